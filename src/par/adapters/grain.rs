//! Wishes about how a loop is cut into pieces.

use super::adapter;
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{Grain, IndexedSource, Source};

adapter! {
    /// What [`with_min_len`](IndexedParallelIterator::with_min_len) and its like return.
    WithGrain<I> { grain: Grain }
}

impl<I: ParallelIterator> ParallelIterator for WithGrain<I> {
    type Item = I::Item;
    type Source = GrainSource<I::Source>;
    unsafe fn source(&mut self) -> Self::Source {
        // SAFETY: the base stays where it is as long as `self` does.
        let base = unsafe { self.base.source() };
        GrainSource { grain: self.grain.and(base.grain()), base }
    }
    fn opt_len(&self) -> Option<usize> {
        self.base.opt_len()
    }
}

impl<I: IndexedParallelIterator> IndexedParallelIterator for WithGrain<I> {}

#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct GrainSource<S> {
    base: S,
    grain: Grain,
}

// SAFETY: the base in all but `grain`.
unsafe impl<S: Source> Source for GrainSource<S> {
    type Item = S::Item;
    const EXACT: bool = S::EXACT;
    #[inline]
    fn len(&self) -> usize {
        self.base.len()
    }
    #[inline]
    fn split_at(self, index: usize) -> (Self, Self) {
        let grain = self.grain;
        let (left, right) = self.base.split_at(index);
        (GrainSource { base: left, grain }, GrainSource { base: right, grain })
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = S::Item> {
        self.base.take_front(n)
    }
    fn grain(&self) -> Grain {
        self.grain
    }
}

impl<S: IndexedSource> IndexedSource for GrainSource<S> {
    #[inline]
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = S::Item> {
        self.base.take_back(n)
    }
}
