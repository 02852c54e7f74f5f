//! A graph that was built: what all of its runs share, and nobody changes.
//!
//! I1. Successors are numbers of nodes of this graph, and the edges have no circle.
//! I2. A record's function is that of the body that lies in its word, or where that points.

use super::arena::Arena;
use super::memory::{Buffers, Slot};
use super::options::Extra;
use super::run::RunCore;
use crate::engine::sync::{AtomicU64, Mutex, Ordering, lock};
use std::alloc::Layout;
use std::any::TypeId;
use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How a body's call has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Flow {
    /// The result is written.
    Done,
    /// The error is with the run.
    Failed,
}

/// What holds a body, or points to it.
pub(super) type Word = MaybeUninit<*const ()>;

/// Calls a body for a node of a run.
pub(super) type Call = unsafe fn(&Word, &RunCore, u32) -> Flow;

/// No slot.
const NONE: u32 = (1 << 30) - 1;
/// Something is said of the node beside its body and its dependencies.
const RICH: u32 = 1 << 30;
/// It may start before all of its dependencies have ended.
const EAGER: u32 = 1 << 31;

/// What is known of a node, in half a cache line.
#[derive(Clone)]
#[repr(C, align(32))]
pub(super) struct Rec {
    pub(super) call: Call,
    pub(super) word: Word,
    /// Where its successors begin, and how many there are.
    pub(super) first: u32,
    pub(super) len: u32,
    /// How many edges lead to it.
    pub(super) pending: u32,
    /// The number of its result's slot, and two flags.
    tags: u32,
}

// SAFETY: the word holds a body, or points to one; bodies are Send and Sync (`Arena::put`).
unsafe impl Send for Rec {}
// SAFETY: as above.
unsafe impl Sync for Rec {}

impl Rec {
    pub(super) fn new(call: Call, word: Word, slot: Option<u32>) -> Rec {
        Rec { call, word, first: 0, len: 0, pending: 0, tags: slot.unwrap_or(NONE) }
    }

    #[inline]
    pub(super) fn has_slot(&self) -> bool {
        self.tags & NONE != NONE
    }

    #[inline]
    pub(super) fn slot(&self) -> u32 {
        self.tags & NONE
    }

    #[inline(always)]
    pub(super) fn is_rich(&self) -> bool {
        self.tags & RICH != 0
    }

    #[inline(always)]
    pub(super) fn is_eager(&self) -> bool {
        self.tags & EAGER != 0
    }

    pub(super) fn set_rich(&mut self) {
        self.tags |= RICH;
    }

    pub(super) fn set_eager(&mut self) {
        self.tags |= RICH | EAGER;
    }
}

/// The type of a node's result. Nodes that return nothing have none.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) id: TypeId,
    pub(super) name: &'static str,
}

/// What becomes of the other nodes when one fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnFailure {
    /// The run is stopped: what runs is asked to stop, what has not started is cancelled.
    #[default]
    Stop,
    /// Whatever does not depend on it goes on.
    Continue,
}

/// See the module.
pub(super) struct Frozen {
    pub(super) id: u32,
    pub(super) name: Cow<'static, str>,
    pub(super) recs: Box<[Rec]>,
    /// The successors of all nodes, those of each node in the order in which they are to run.
    pub(super) successors: Box<[u32]>,
    /// Nodes without dependencies, in the order in which they are to run.
    pub(super) roots: Box<[u32]>,
    /// `Rec::pending` again, to be copied.
    pub(super) pending: Box<[u32]>,
    pub(super) slots: Arc<[Slot]>,
    /// By slot.
    pub(super) kinds: Arc<[Kind]>,
    pub(super) layout: Layout,
    /// Sorted by node.
    pub(super) extras: Arc<[(u32, Extra)]>,
    /// Sorted by node.
    pub(super) names: Arc<[(u32, Cow<'static, str>)]>,
    /// A topological order; `None`: that of the numbers.
    pub(super) order: Option<Arc<[u32]>>,
    /// The length of the longest way from each node to an end, in ns; empty if no node has a cost.
    pub(super) ranks: Box<[u64]>,
    pub(super) on_failure: OnFailure,
    pub(super) timeout: Option<Duration>,
    /// Whether a run needs a timer.
    pub(super) is_timed: bool,
    /// What a run has taken lately, in ticks; 0: unknown.
    pub(super) estimate: AtomicU64,
    pub(super) predecessors: OnceLock<Rows>,
    pub(super) spare: Mutex<Vec<Buffers>>,
    /// Where the bodies lie that the records point to.
    pub(super) arena: Arc<Arena>,
}

/// A list for each node.
pub(super) struct Rows {
    starts: Box<[u32]>,
    items: Box<[u32]>,
}

impl Rows {
    pub(super) fn of(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.items[self.starts[node] as usize..self.starts[node + 1] as usize]
    }
}

/// How many buffers are kept for later runs.
const SPARE: usize = 4;

impl Frozen {
    #[inline(always)]
    pub(super) fn successors_of(&self, rec: &Rec) -> &[u32] {
        &self.successors[rec.first as usize..][..rec.len as usize]
    }

    /// What a node depends on, in the order in which it was said. Made when it is first needed.
    pub(super) fn predecessors_of(&self, node: u32) -> &[u32] {
        self.predecessors.get_or_init(|| self.turn_around()).of(node)
    }

    fn turn_around(&self) -> Rows {
        let mut starts = vec![0; self.recs.len() + 1];
        for (node, rec) in self.recs.iter().enumerate() {
            starts[node + 1] = starts[node] + rec.pending;
        }
        let mut next = starts.clone();
        let mut items = vec![0; self.successors.len()];
        for (node, rec) in self.recs.iter().enumerate() {
            for &successor in self.successors_of(rec) {
                let at = &mut next[successor as usize];
                items[*at as usize] = node as u32;
                *at += 1;
            }
        }
        Rows { starts: starts.into(), items: items.into() }
    }

    pub(super) fn extra(&self, node: u32) -> Option<&Extra> {
        let at = self.extras.binary_search_by_key(&node, |(node, _)| *node).ok()?;
        Some(&self.extras[at].1)
    }

    /// The name that a node was given, or its number.
    pub(super) fn name_of(&self, node: u32) -> Cow<'_, str> {
        name_in(&self.names, node)
    }

    /// The nodes in a topological order.
    pub(super) fn in_order(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        let order = self.order.as_deref();
        (0..self.recs.len()).map(move |at| order.map_or(at as u32, |order| order[at]))
    }

    pub(super) fn take_buffers(&self) -> Buffers {
        let spare = lock(&self.spare).pop();
        match spare {
            Some(mut buffers) => {
                buffers.reset(self);
                buffers
            }
            None => Buffers::new(self),
        }
    }

    pub(super) fn give_buffers(&self, buffers: Buffers) {
        let mut spare = lock(&self.spare);
        if spare.len() < SPARE {
            spare.push(buffers);
        }
    }

    /// A run has taken so many ticks.
    pub(super) fn learn(&self, took: u64) {
        let known = self.estimate.load(Ordering::Relaxed);
        let next = if known == 0 { took } else { (3 * (known / 4)).saturating_add(took / 4) };
        self.estimate.store(next.max(1), Ordering::Relaxed);
    }
}

pub(super) fn name_in(names: &[(u32, Cow<'static, str>)], node: u32) -> Cow<'static, str> {
    match names.binary_search_by_key(&node, |(node, _)| *node) {
        Ok(at) => names[at].1.clone(),
        Err(_) => Cow::Owned(format!("#{node}")),
    }
}
