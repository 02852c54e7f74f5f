//! Putting a graph together.

use super::arena::{self, Arena};
use super::error::{GraphError, NodeError};
use super::freeze;
use super::frozen::{Flow, Kind, OnFailure, Rec, Word};
use super::graph::Graph;
use super::memory::{Slot, drop_slot, has_slot};
use super::node::{Node, NodeId};
use super::node_builder::NodeBuilder;
use super::options::{Extra, Fallback};
use super::run::{At, RunCore};
use std::any::{TypeId, type_name};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The most nodes, and the most edges.
const MOST: usize = 1 << 29;

/// A graph that is put together: see [`Graph`].
pub struct GraphBuilder {
    pub(super) id: u32,
    pub(super) name: Cow<'static, str>,
    pub(super) recs: Vec<Rec>,
    /// From, to.
    pub(super) edges: Vec<(u32, u32)>,
    /// Whether every edge leads from a lower number to a higher one.
    pub(super) is_forward: bool,
    pub(super) slots: Vec<Slot>,
    pub(super) kinds: Vec<Kind>,
    pub(super) size: usize,
    pub(super) align: usize,
    /// Taken by value: the node whose result it is, and who takes it.
    pub(super) taken: Vec<(u32, u32)>,
    /// Borrowed, likewise.
    pub(super) shared: Vec<(u32, u32)>,
    pub(super) extras: BTreeMap<u32, Extra>,
    pub(super) names: Vec<(u32, Cow<'static, str>)>,
    pub(super) arena: Arena,
    pub(super) on_failure: OnFailure,
    pub(super) timeout: Option<Duration>,
    /// The first mistake.
    pub(super) error: Option<GraphError>,
}

impl Default for GraphBuilder {
    fn default() -> Self {
        GraphBuilder::new()
    }
}

impl GraphBuilder {
    /// A graph without nodes.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        GraphBuilder {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            name: Cow::Borrowed("graph"),
            recs: Vec::new(),
            edges: Vec::new(),
            is_forward: true,
            slots: Vec::new(),
            kinds: Vec::new(),
            size: 0,
            align: 1,
            taken: Vec::new(),
            shared: Vec::new(),
            extras: BTreeMap::new(),
            names: Vec::new(),
            arena: Arena::new(),
            on_failure: OnFailure::default(),
            timeout: None,
            error: None,
        }
    }

    /// Makes room for so many nodes and edges.
    pub fn reserve(&mut self, nodes: usize, edges: usize) -> &mut Self {
        self.recs.reserve(nodes);
        self.edges.reserve(edges);
        self
    }

    /// The name of the graph, for reports.
    pub fn name(&mut self, name: impl Into<Cow<'static, str>>) -> &mut Self {
        self.name = name.into();
        self
    }

    /// What becomes of the others when a node fails. By default the run is
    /// [stopped](OnFailure::Stop).
    pub fn on_failure(&mut self, policy: OnFailure) -> &mut Self {
        self.on_failure = policy;
        self
    }

    /// A run that is not done after so long is stopped:
    /// [`RunStatus::TimedOut`](crate::graph::RunStatus::TimedOut).
    pub fn timeout(&mut self, limit: Duration) -> &mut Self {
        self.timeout = Some(limit);
        self
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.recs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.recs.is_empty()
    }

    /// Adds a node of which nothing is to be said but what it does: in the least time and memory.
    /// Its name is its number, such as `#17`.
    #[inline]
    pub fn add<R, F>(&mut self, f: F) -> Node<R>
    where
        R: Send + 'static,
        F: Fn() -> R + Send + Sync + 'static,
    {
        // SAFETY: called once for each time that the node runs, whose result is an `R`.
        self.add_body(move |at: At<'_>| unsafe { at.put(f()) })
    }

    /// Says that `after` runs after `before`.
    ///
    /// Edges that are said with the nodes ([`NodeBuilder::after`], [`NodeBuilder::input`]) make no
    /// circles; these may, and then [`build`](Self::build) says so.
    #[inline]
    pub fn edge(&mut self, before: impl Into<NodeId>, after: impl Into<NodeId>) -> &mut Self {
        let (before, after) = (before.into(), after.into());
        if before.graph() == self.id && after.graph() == self.id {
            self.connect(before.at(), after.at());
        } else {
            self.mistake(GraphError::ForeignNode { user: None });
        }
        self
    }

    #[inline]
    pub(super) fn connect(&mut self, before: u32, after: u32) {
        self.is_forward &= before < after;
        // The successors are counted here, where their records are still warm.
        self.recs[before as usize].len += 1;
        self.recs[after as usize].pending += 1;
        self.edges.push((before, after));
    }

    /// Adds a node with a name, by which errors, reports and drawings tell it from others.
    ///
    /// ```
    /// use windlass::Pool;
    /// use windlass::graph::GraphBuilder;
    ///
    /// let mut graph = GraphBuilder::new();
    /// let text = graph.node("text").run(|| String::from("to be or not to be"));
    /// let words = graph.node("words").input(text).run(|text| text.split(' ').count());
    /// let letters = graph.node("letters").input(text).run(|text| text.len());
    /// let ratio = graph.node("ratio").input((letters, words)).run(|(l, w)| l / w);
    /// let run = graph.build()?.run(&Pool::new(2)?);
    /// assert_eq!(run.output(ratio), Some(&3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn node(&mut self, name: impl Into<Cow<'static, str>>) -> NodeBuilder<'_, ()> {
        NodeBuilder::new(self, Some(name.into()))
    }

    /// As [`node`](Self::node), without a name.
    pub fn unnamed(&mut self) -> NodeBuilder<'_, ()> {
        NodeBuilder::new(self, None)
    }

    /// What stands in for the result of a node that has failed, if its last attempt has: the node
    /// then counts as one that has succeeded. One that is cancelled has no fallback.
    ///
    /// ```
    /// use windlass::Pool;
    /// use windlass::graph::GraphBuilder;
    ///
    /// let mut graph = GraphBuilder::new();
    /// let limit = graph.node("limit").try_run(|| "many".parse::<u32>());
    /// graph.fallback(limit, |error| error.to_string().len() as u32);
    /// let run = graph.build()?.run(&Pool::new(1)?);
    /// assert_eq!(run.output(limit), Some(&29));
    /// assert!(run.error(limit).is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fallback<R, F>(&mut self, node: Node<R>, f: F) -> &mut Self
    where
        R: Send + 'static,
        F: Fn(&NodeError) -> R + Send + Sync + 'static,
    {
        if node.id().graph() != self.id {
            self.mistake(GraphError::ForeignNode { user: None });
            return self;
        }
        let fallback: Fallback = Box::new(move |error, at| {
            // SAFETY: called by the one who runs the node, whose body has written nothing.
            unsafe { at.put(f(error)) };
        });
        self.extra_of(node.id().at()).fallback = Some(fallback);
        self
    }

    /// The node with this name.
    ///
    /// # Errors
    /// If there is none, or it returns another type.
    pub fn find<T: 'static>(&self, name: &str) -> Result<Node<T>, GraphError> {
        let found = self.names.iter().find(|(_, known)| known == name).map(|(node, _)| *node);
        let node = found.ok_or_else(|| GraphError::UnknownName { name: name.to_owned() })?;
        let kind = kind_of(&self.recs[node as usize], &self.kinds);
        freeze::typed(self.id, node, name, kind)
    }

    /// Checks the graph, and makes it ready to run.
    ///
    /// # Errors
    /// If nodes wait for one another in a circle, two have one name, one of another graph is
    /// referred to, or a result is taken by value that others use.
    pub fn build(self) -> Result<Graph, GraphError> {
        freeze::freeze(self)
    }

    // ---- the parts of a node

    pub(super) fn mistake(&mut self, error: GraphError) {
        self.error.get_or_insert(error);
    }

    pub(super) fn extra_of(&mut self, node: u32) -> &mut Extra {
        self.recs[node as usize].set_rich();
        self.extras.entry(node).or_default()
    }

    /// Adds a node with a body that returns an `R`, or an error.
    #[inline]
    pub(super) fn add_body<R, B>(&mut self, body: B) -> Node<R>
    where
        R: Send + 'static,
        B: Fn(At<'_>) -> Flow + Send + Sync + 'static,
    {
        /// # Safety
        /// The word holds a `B`, which may be called for the node.
        unsafe fn call<B: Fn(At<'_>) -> Flow>(word: &Word, run: &RunCore, node: u32) -> Flow {
            // SAFETY: by contract.
            let body = unsafe { arena::get::<B>(word) };
            body(At { run, node })
        }
        let index = self.recs.len();
        if index >= MOST {
            self.mistake(GraphError::TooLarge);
            return Node::new(NodeId::new(self.id, 0));
        }
        let node = index as u32;
        let slot = if has_slot::<R>() { Some(self.add_slot::<R>(node)) } else { None };
        let word = self.arena.put(body);
        self.recs.push(Rec::new(call::<B>, word, slot));
        Node::new(NodeId::new(self.id, node))
    }

    fn add_slot<R: 'static>(&mut self, node: u32) -> u32 {
        let offset = self.size.next_multiple_of(align_of::<R>());
        self.size = offset + size_of::<R>();
        self.align = self.align.max(align_of::<R>());
        self.slots.push(Slot { node, offset, uses: 0, is_held: false, drop: drop_slot::<R> });
        self.kinds.push(Kind { id: TypeId::of::<R>(), name: type_name::<R>() });
        self.slots.len() as u32 - 1
    }
}

/// The type of a node's result, `None` for one without a size.
pub(super) fn kind_of(rec: &Rec, kinds: &[Kind]) -> Option<Kind> {
    rec.has_slot().then(|| kinds[rec.slot() as usize])
}

impl fmt::Debug for GraphBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphBuilder")
            .field("name", &self.name)
            .field("nodes", &self.recs.len())
            .field("edges", &self.edges.len())
            .finish_non_exhaustive()
    }
}
