//! A source that brings along what it refers to.

use super::iter::ParallelIterator;
use super::source::{Grain, Source};
use std::cell::UnsafeCell;
use std::sync::Arc;

/// The source of an iterator that is kept on the heap, so that neither is tied to a frame.
pub(crate) struct OnHeap<I: ParallelIterator> {
    // Refers to the owner, so it comes first: it is dropped first.
    source: I::Source,
    owner: Arc<Owner<I>>,
}

struct Owner<I>(UnsafeCell<I>);

// SAFETY: the iterator is touched by the thread that makes it and its source, and then by the one
// that drops it.
unsafe impl<I: Send> Send for Owner<I> {}
// SAFETY: as above; a shared `Owner` gives no access to the iterator.
unsafe impl<I: Send> Sync for Owner<I> {}

impl<I: ParallelIterator> OnHeap<I> {
    pub(crate) fn new(iter: I) -> Self {
        let owner = Arc::new(Owner(UnsafeCell::new(iter)));
        // SAFETY: nobody else has it yet. It stays in its place on the heap until the last part of
        // the source, each of which comes with an Arc, is gone; also if one is leaked.
        let source = unsafe { (*owner.0.get()).source() };
        OnHeap { source, owner }
    }
}

// SAFETY: as exact as the source itself.
unsafe impl<I: ParallelIterator> Source for OnHeap<I> {
    type Item = I::Item;
    const EXACT: bool = <I::Source as Source>::EXACT;
    #[inline]
    fn len(&self) -> usize {
        self.source.len()
    }
    fn split_at(self, index: usize) -> (Self, Self) {
        let (left, right) = self.source.split_at(index);
        let owner = Arc::clone(&self.owner);
        (OnHeap { source: left, owner }, OnHeap { source: right, owner: self.owner })
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = I::Item> {
        self.source.take_front(n)
    }
    fn grain(&self) -> Grain {
        self.source.grain()
    }
}
