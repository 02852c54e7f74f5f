//! From what was said to what runs: checks, successors side by side, ranks.
//!
//! Nothing here recurses, so a graph may be as deep as it is large.
#![forbid(unsafe_code)]

use super::build::GraphBuilder;
use super::error::GraphError;
use super::frozen::{Frozen, Kind, Rec, name_in};
use super::graph::Graph;
use super::node::{Node, NodeId};
use crate::engine::sync::{AtomicU64, Mutex, Ordering};
use crate::time::nanoseconds;
use std::alloc::Layout;
use std::any::{TypeId, type_name};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

type Names = [(u32, Cow<'static, str>)];

/// The key of a node that was found by its name.
pub(super) fn typed<T: 'static>(
    graph: u32,
    node: u32,
    name: &str,
    kind: Option<Kind>,
) -> Result<Node<T>, GraphError> {
    // Types without a size and without a destructor are all alike: there is no value to mistake.
    let is_right = match kind {
        Some(kind) => kind.id == TypeId::of::<T>(),
        None => !super::memory::has_slot::<T>(),
    };
    if is_right {
        return Ok(Node::new(NodeId::new(graph, node)));
    }
    let (name, asked) = (name.to_owned(), type_name::<T>());
    Err(GraphError::TypeMismatch { name, asked, found: kind.map_or("()", |kind| kind.name) })
}

pub(super) fn freeze(mut graph: GraphBuilder) -> Result<Graph, GraphError> {
    if let Some(error) = graph.error.take() {
        return Err(error);
    }
    check_names(&graph.names)?;
    count_uses(&mut graph)?;
    let mut successors = spread(&mut graph.recs, &graph.edges)?;
    let order = match graph.is_forward {
        true => None,
        false => Some(sort(&graph.recs, &successors, &graph.names)?),
    };
    let costs = graph.extras.iter().filter_map(|(node, extra)| Some((*node, extra.cost?)));
    let costs: Vec<(u32, u64)> =
        costs.map(|(node, cost)| (node, nanoseconds(cost).max(1))).collect();
    let mut roots: Vec<u32> =
        (0..).zip(&graph.recs).filter(|(_, rec)| rec.pending == 0).map(|(node, _)| node).collect();
    let ranks = match costs.is_empty() {
        true => Vec::new(),
        false => put_in_order(&graph.recs, &mut successors, &mut roots, order.as_deref(), &costs),
    };
    let is_timed = graph.extras.values().any(|extra| extra.start_within.is_some());
    let layout = Layout::from_size_align(graph.size, graph.align.max(16));
    let frozen = Frozen {
        id: graph.id,
        name: graph.name,
        pending: graph.recs.iter().map(|rec| rec.pending).collect(),
        recs: graph.recs.into(),
        successors: successors.into(),
        roots: roots.into(),
        slots: graph.slots.into(),
        kinds: graph.kinds.into(),
        layout: layout.map_err(|_| GraphError::TooLarge)?,
        extras: graph.extras.into_iter().collect(),
        names: graph.names.into(),
        order: order.map(Into::into),
        ranks: ranks.into(),
        on_failure: graph.on_failure,
        timeout: graph.timeout,
        is_timed,
        estimate: AtomicU64::new(0),
        predecessors: OnceLock::new(),
        spare: Mutex::new(Vec::new()),
        arena: Arc::new(graph.arena),
    };
    Ok(Graph::new(Arc::new(frozen)))
}

fn check_names(names: &Names) -> Result<(), GraphError> {
    let mut seen = HashSet::with_capacity(names.len());
    match names.iter().find(|(_, name)| !seen.insert(&**name)) {
        Some((_, name)) => Err(GraphError::DuplicateName { name: name.clone().into_owned() }),
        None => Ok(()),
    }
}

/// Counts who uses each result.
fn count_uses(graph: &mut GraphBuilder) -> Result<(), GraphError> {
    let slot_of = |node: u32| graph.recs[node as usize].slot() as usize;
    let has_slot = |node: u32| graph.recs[node as usize].has_slot();
    let mut uses = vec![0_u32; graph.slots.len()];
    for &(from, _) in graph.taken.iter().chain(&graph.shared) {
        if has_slot(from) {
            uses[slot_of(from)] += 1;
        }
    }
    for &(from, user) in &graph.taken {
        let is_kept = graph.extras.get(&from).is_some_and(|extra| extra.is_kept);
        if has_slot(from) && (uses[slot_of(from)] > 1 || is_kept) {
            let users = graph.taken.iter().chain(&graph.shared).filter(|(node, _)| *node == from);
            let users = users.map(|&(_, user)| name_in(&graph.names, user).into_owned());
            let users = users.chain(is_kept.then(|| "the run, which keeps it".to_owned()));
            let node = name_in(&graph.names, from).into_owned();
            return Err(GraphError::TakenAndUsed { node, users: users.collect() });
        }
        if graph.extras.get(&user).is_some_and(|extra| extra.retry.is_some()) {
            let [user, node] = [user, from].map(|node| name_in(&graph.names, node).into_owned());
            return Err(GraphError::TakenByRepeated { user, node });
        }
    }
    for (slot, uses) in graph.slots.iter_mut().zip(uses) {
        let is_kept = graph.extras.get(&slot.node).is_some_and(|extra| extra.is_kept);
        slot.uses = uses + u32::from(is_kept || uses == 0);
    }
    // A user that does not wait for all may be done with a result before it is there.
    for &(from, user) in &graph.shared {
        if graph.recs[user as usize].is_eager() && graph.recs[from as usize].has_slot() {
            let slot = &mut graph.slots[graph.recs[from as usize].slot() as usize];
            slot.uses += u32::from(!slot.is_held);
            slot.is_held = true;
            graph.recs[from as usize].set_rich();
        }
    }
    Ok(())
}

/// Puts the successors of each node side by side, in the order in which they were said.
fn spread(recs: &mut [Rec], edges: &[(u32, u32)]) -> Result<Vec<u32>, GraphError> {
    if edges.len() >= 1 << 29 {
        return Err(GraphError::TooLarge);
    }
    let mut first = 0;
    for rec in recs.iter_mut() {
        rec.first = first;
        first += rec.len;
    }
    let mut successors = vec![0; edges.len()];
    for &(from, to) in edges {
        let rec = &mut recs[from as usize];
        successors[rec.first as usize] = to;
        rec.first += 1;
    }
    for rec in recs {
        rec.first -= rec.len;
    }
    Ok(successors)
}

fn row<'a>(rec: &Rec, successors: &'a [u32]) -> &'a [u32] {
    &successors[rec.first as usize..][..rec.len as usize]
}

/// A topological order, always the same one: first those that wait for nothing, by number, then
/// those that they make ready, and so on.
fn sort(recs: &[Rec], successors: &[u32], names: &Names) -> Result<Vec<u32>, GraphError> {
    let mut pending: Vec<u32> = recs.iter().map(|rec| rec.pending).collect();
    let mut order: Vec<u32> =
        (0..).zip(recs).filter(|(_, r)| r.pending == 0).map(|(n, _)| n).collect();
    let mut done = 0;
    while let Some(&node) = order.get(done) {
        done += 1;
        for &successor in row(&recs[node as usize], successors) {
            pending[successor as usize] -= 1;
            if pending[successor as usize] == 0 {
                order.push(successor);
            }
        }
    }
    if order.len() == recs.len() {
        return Ok(order);
    }
    let path = find_cycle(recs, successors, &pending);
    Err(GraphError::Cycle {
        path: path.into_iter().map(|node| name_in(names, node).into_owned()).collect(),
    })
}

/// A circle among the nodes that still wait for something. From any of them a way back along what
/// it waits for never ends, so it comes to a node again.
fn find_cycle(recs: &[Rec], successors: &[u32], pending: &[u32]) -> Vec<u32> {
    // One dependency that is never done, of each node that waits.
    let mut waits_for = HashMap::new();
    for (node, rec) in (0..).zip(recs).filter(|(node, _)| pending[*node as usize] > 0) {
        for &successor in row(rec, successors) {
            waits_for.entry(successor).or_insert(node);
        }
    }
    let first = (0..recs.len() as u32).find(|&node| pending[node as usize] > 0);
    let Some(mut at) = first else { return Vec::new() };
    let mut places = HashMap::new();
    let mut path = Vec::new();
    let start = loop {
        if let Some(start) = places.insert(at, path.len()) {
            break start;
        }
        path.push(at);
        at = waits_for[&at];
    };
    let mut path = path.split_off(start);
    // Along the edges, and from the one that was added first.
    path.reverse();
    let first = path.iter().enumerate().min_by_key(|(_, node)| **node).map_or(0, |(at, _)| at);
    path.rotate_left(first);
    path
}

/// Puts the successors of each node, and the roots, into the order of their ranks, which it returns.
fn put_in_order(
    recs: &[Rec],
    successors: &mut [u32],
    roots: &mut [u32],
    order: Option<&[u32]>,
    costs: &[(u32, u64)],
) -> Vec<u64> {
    let ranks = rank(recs, successors, order, costs);
    let best_first = |node: &u32| std::cmp::Reverse(ranks[*node as usize]);
    for rec in recs {
        successors[rec.first as usize..][..rec.len as usize].sort_by_key(best_first);
    }
    roots.sort_by_key(best_first);
    ranks
}

/// The same graph, with ranks by other costs.
pub(super) fn reorder(graph: &Frozen, costs: &[(u32, u64)]) -> Frozen {
    let (mut successors, mut roots) = (graph.successors.clone(), graph.roots.clone());
    let order = graph.order.as_deref();
    let ranks = put_in_order(&graph.recs, &mut successors, &mut roots, order, costs);
    Frozen {
        id: graph.id,
        name: graph.name.clone(),
        recs: graph.recs.clone(),
        successors,
        roots,
        pending: graph.pending.clone(),
        slots: Arc::clone(&graph.slots),
        kinds: Arc::clone(&graph.kinds),
        layout: graph.layout,
        extras: Arc::clone(&graph.extras),
        names: Arc::clone(&graph.names),
        order: graph.order.clone(),
        ranks: ranks.into(),
        on_failure: graph.on_failure,
        timeout: graph.timeout,
        is_timed: graph.is_timed,
        estimate: AtomicU64::new(graph.estimate.load(Ordering::Relaxed)),
        predecessors: OnceLock::new(),
        spare: Mutex::new(Vec::new()),
        arena: Arc::clone(&graph.arena),
    }
}

/// The upward rank of each node: the longest way from its beginning to an end of the graph
/// (Topcuoglu et al., 2002).
fn rank(recs: &[Rec], successors: &[u32], order: Option<&[u32]>, costs: &[(u32, u64)]) -> Vec<u64> {
    let mut ranks = vec![1_u64; recs.len()];
    for &(node, cost) in costs {
        ranks[node as usize] = cost;
    }
    for at in (0..recs.len()).rev() {
        let node = order.map_or(at, |order| order[at] as usize);
        let after = row(&recs[node], successors).iter().map(|&next| ranks[next as usize]).max();
        ranks[node] = ranks[node].saturating_add(after.unwrap_or(0));
    }
    ranks
}
