//! The memory of one run: how many dependencies each node waits for, how each has ended, and what
//! the nodes have returned. All of it is made of a few flat arrays, which are filled by copying
//! the frozen graph's and used again by later runs: a run allocates nothing for a node.
//!
//! I1. The slot of a node's result is written by the one who runs the node, once, before the node's
//!     state says `SUCCEEDED`. Whoever reads it has seen that state, or was made ready by it.
//! I2. `uses` counts those who will still use a result: each consumer, the run itself if the result
//!     is kept, and the producer until it has written it, if somebody might be done with it before.
//!     The last of them drops it. A consumer that does not succeed does not let its inputs go.
//! I3. A result is there while the state says `SUCCEEDED` and `uses` is not 0.

use super::frozen::Frozen;
use super::state;
use crate::engine::sync::{AtomicU8, AtomicU32, Ordering};
use crate::engine::unwind;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::needs_drop;
use std::ptr::NonNull;
use std::sync::Arc;

/// Where a result goes.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) node: u32,
    /// In bytes.
    pub(super) offset: usize,
    /// How many use it, at the start of a run (I2).
    pub(super) uses: u32,
    /// Whether the producer is one of them.
    pub(super) is_held: bool,
    pub(super) drop: unsafe fn(*mut u8),
}

/// Whether a result of this type needs a place.
pub(super) const fn has_slot<T>() -> bool {
    size_of::<T>() > 0 || needs_drop::<T>()
}

/// Drops a result of the user's.
///
/// # Safety
/// There is a `T`, which nobody uses any more.
pub(super) unsafe fn drop_slot<T>(at: *mut u8) {
    // SAFETY: by contract.
    unwind::drop_quietly(unsafe { at.cast::<T>().read() });
}

/// What a run may leave to a later one.
pub(super) struct Buffers {
    pub(super) pending: Box<[AtomicU32]>,
    pub(super) states: Box<[AtomicU8]>,
    uses: Box<[AtomicU32]>,
    data: NonNull<u8>,
    layout: Layout,
}

// SAFETY: plain memory; what lies in `data` is Send (the bounds stand at the builder's methods).
unsafe impl Send for Buffers {}
// SAFETY: as above; shared results are Sync (`Inputs`), and those of `Run` are borrowed only if so.
unsafe impl Sync for Buffers {}

impl Buffers {
    pub(super) fn new(graph: &Frozen) -> Buffers {
        let zeros = |n: usize| (0..n).map(|_| AtomicU32::new(0)).collect();
        let layout = graph.layout;
        let data = match layout.size() {
            // Aligned for whatever has no size.
            0 => NonNull::without_provenance(
                std::num::NonZeroUsize::new(layout.align()).expect("an alignment"),
            ),
            // SAFETY: of a size.
            _ => match NonNull::new(unsafe { alloc(layout) }) {
                Some(data) => data,
                None => handle_alloc_error(layout),
            },
        };
        let mut buffers = Buffers {
            pending: zeros(graph.recs.len()),
            states: (0..graph.recs.len()).map(|_| AtomicU8::new(0)).collect(),
            uses: zeros(graph.slots.len()),
            data,
            layout,
        };
        buffers.reset(graph);
        buffers
    }

    /// As at the start of a run.
    pub(super) fn reset(&mut self, graph: &Frozen) {
        for (pending, &count) in self.pending.iter_mut().zip(&graph.pending) {
            *pending = AtomicU32::new(count);
        }
        for state in &mut self.states {
            *state = AtomicU8::new(state::WAITING);
        }
        for (uses, slot) in self.uses.iter_mut().zip(&*graph.slots) {
            *uses = AtomicU32::new(slot.uses);
        }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        if self.layout.size() > 0 {
            // SAFETY: allocated like this in `new`.
            unsafe { dealloc(self.data.as_ptr(), self.layout) };
        }
    }
}

/// See the module.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody outside gets one")]
pub struct Memory {
    pub(super) graph: Arc<Frozen>,
    /// `None` only while it is dropped.
    buffers: Option<Buffers>,
}

impl Memory {
    pub(super) fn new(graph: &Arc<Frozen>) -> Memory {
        let buffers = graph.take_buffers();
        Memory { graph: Arc::clone(graph), buffers: Some(buffers) }
    }

    #[inline(always)]
    pub(super) fn buffers(&self) -> &Buffers {
        match &self.buffers {
            Some(buffers) => buffers,
            None => unreachable!("it is being dropped"),
        }
    }

    /// Nothing, of a graph.
    pub(super) fn empty(graph: &Arc<Frozen>) -> Memory {
        Memory { graph: Arc::clone(graph), buffers: None }
    }

    /// As if the nodes for which `is_again` says so had never run, and waited for those of their
    /// dependencies that are to run again, too.
    pub(super) fn rewind(&mut self, is_again: &[bool], waits_for: &[u32]) {
        let graph = Arc::clone(&self.graph);
        for slot in &*graph.slots {
            if is_again[slot.node as usize] && self.has_succeeded(slot.node) {
                self.drop_result(slot.node);
            }
        }
        let Some(buffers) = &mut self.buffers else { return };
        for (slot, uses) in graph.slots.iter().zip(&mut buffers.uses) {
            if is_again[slot.node as usize] {
                *uses = AtomicU32::new(slot.uses);
            }
        }
        for (node, &is_again) in is_again.iter().enumerate() {
            if is_again {
                buffers.states[node] = AtomicU8::new(state::WAITING);
                buffers.pending[node] = AtomicU32::new(waits_for[node]);
            }
        }
    }

    fn slot(&self, node: u32) -> (&AtomicU32, NonNull<u8>) {
        let index = self.graph.recs[node as usize].slot() as usize;
        let buffers = self.buffers();
        // SAFETY: the slot lies in the data.
        let at = unsafe { buffers.data.byte_add(self.graph.slots[index].offset) };
        (&buffers.uses[index], at)
    }

    /// How a node has ended.
    #[inline]
    pub(super) fn state(&self, node: u32) -> u8 {
        // Acquire pairs with the Release in `set_state`: what it has returned is visible.
        self.buffers().states[node as usize].load(Ordering::Acquire)
    }

    #[inline]
    pub(super) fn set_state(&self, node: u32, state: u8) {
        self.buffers().states[node as usize].store(state, Ordering::Release); // as in `state`
    }

    pub(super) fn has_succeeded(&self, node: u32) -> bool {
        self.state(node) == state::SUCCEEDED
    }

    /// Writes a node's result.
    ///
    /// # Safety
    /// By the one who runs the node, whose result is a `T`; once.
    #[inline]
    pub(super) unsafe fn put<T>(&self, node: u32, value: T) {
        if has_slot::<T>() {
            // SAFETY: the slot is for a `T`, and nobody else touches it now (I1).
            unsafe { self.slot(node).1.cast::<T>().write(value) };
        }
    }

    /// # Safety
    /// The result, a `T`, is there (I3) and stays there.
    pub(super) unsafe fn borrow<T>(&self, node: u32) -> &T {
        let at = if has_slot::<T>() { self.slot(node).1.cast() } else { NonNull::<T>::dangling() };
        // SAFETY: by contract. What has no size and no destructor is anywhere.
        unsafe { at.as_ref() }
    }

    /// # Safety
    /// The result, a `T`, is there, and nobody else uses it.
    pub(super) unsafe fn take<T>(&self, node: u32) -> T {
        if !has_slot::<T>() {
            // SAFETY: as in `borrow`.
            return unsafe { NonNull::<T>::dangling().read() };
        }
        let (uses, at) = self.slot(node);
        // Relaxed: the run's end is after us.
        uses.store(0, Ordering::Relaxed);
        // SAFETY: by contract.
        unsafe { at.cast().read() }
    }

    /// One user less (I2).
    ///
    /// # Safety
    /// The caller is one, and the result is a `T`.
    #[inline]
    pub(super) unsafe fn release<T>(&self, node: u32) {
        if !has_slot::<T>() {
            return;
        }
        let (uses, at) = self.slot(node);
        // AcqRel: what the others have read is read before it is dropped.
        if uses.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: it was the last, and the producer has written it: it would count otherwise.
            unsafe { drop_slot::<T>(at.as_ptr()) };
        }
    }

    /// The node has succeeded, and its producer is no longer a user of its result, if it is one.
    pub(super) fn let_go(&self, node: u32) {
        let rec = &self.graph.recs[node as usize];
        if rec.has_slot() && self.graph.slots[rec.slot() as usize].is_held {
            let (uses, at) = self.slot(node);
            // AcqRel: as in `release`.
            if uses.fetch_sub(1, Ordering::AcqRel) == 1 {
                // SAFETY: the node has succeeded, and this was the last user.
                unsafe { (self.graph.slots[rec.slot() as usize].drop)(at.as_ptr()) };
            }
        }
    }

    /// Whether the result of a node is still there.
    pub(super) fn has_result(&self, node: u32) -> bool {
        self.has_succeeded(node)
            && (!self.graph.recs[node as usize].has_slot()
                || self.slot(node).0.load(Ordering::Acquire) > 0)
    }

    /// Drops what a body has written whose node does not succeed after all.
    ///
    /// # Safety
    /// The body has run, and the state does not say that it has succeeded.
    pub(super) unsafe fn discard(&self, node: u32) {
        let rec = &self.graph.recs[node as usize];
        if rec.has_slot() {
            // SAFETY: written, and nobody sees it.
            unsafe { (self.graph.slots[rec.slot() as usize].drop)(self.slot(node).1.as_ptr()) };
        }
    }

    /// Drops a result, if it is there. Nobody else uses the memory.
    fn drop_result(&mut self, node: u32) {
        if self.graph.recs[node as usize].has_slot() && self.has_result(node) {
            let (uses, at) = self.slot(node);
            uses.store(0, Ordering::Relaxed);
            let index = self.graph.recs[node as usize].slot() as usize;
            // SAFETY: it is there, and nobody else uses it.
            unsafe { (self.graph.slots[index].drop)(at.as_ptr()) };
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let graph = Arc::clone(&self.graph);
        if self.buffers.is_none() {
            return;
        }
        for slot in &*graph.slots {
            self.drop_result(slot.node);
        }
        if let Some(buffers) = self.buffers.take() {
            graph.give_buffers(buffers);
        }
    }
}
