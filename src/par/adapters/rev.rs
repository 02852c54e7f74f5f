//! From the back, and parts of the whole.

use super::adapter;
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{Grain, IndexedSource, Source};

adapter! {
    /// What [`rev`](IndexedParallelIterator::rev) returns.
    Rev<I> {}
}

impl<I: IndexedParallelIterator> ParallelIterator for Rev<I> {
    type Item = I::Item;
    type Source = RevSource<I::Source>;
    unsafe fn source(&mut self) -> Self::Source {
        // SAFETY: the base stays where it is as long as `self` does.
        RevSource(unsafe { self.base.source() })
    }
    fn opt_len(&self) -> Option<usize> {
        self.base.opt_len()
    }
}

impl<I: IndexedParallelIterator> IndexedParallelIterator for Rev<I> {}

#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct RevSource<S>(S);

// SAFETY: as exact as the base.
unsafe impl<S: IndexedSource> Source for RevSource<S> {
    type Item = S::Item;
    const EXACT: bool = S::EXACT;
    #[inline]
    fn len(&self) -> usize {
        self.0.len()
    }
    #[inline]
    fn split_at(self, index: usize) -> (Self, Self) {
        let at = self.0.len() - index;
        let (left, right) = self.0.split_at(at);
        (RevSource(right), RevSource(left))
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = S::Item> {
        self.0.take_back(n)
    }
    fn grain(&self) -> Grain {
        self.0.grain()
    }
}

impl<S: IndexedSource> IndexedSource for RevSource<S> {
    #[inline]
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = S::Item> {
        self.0.take_front(n)
    }
}

adapter! {
    /// What [`skip`](IndexedParallelIterator::skip) returns.
    Skip<I> { n: usize }
}

impl<I: IndexedParallelIterator> ParallelIterator for Skip<I> {
    type Item = I::Item;
    type Source = I::Source;
    unsafe fn source(&mut self) -> Self::Source {
        // SAFETY: the base stays where it is as long as `self` does.
        let base = unsafe { self.base.source() };
        let at = self.n.min(base.len());
        base.split_at(at).1
    }
    fn opt_len(&self) -> Option<usize> {
        Some(self.base.opt_len()?.saturating_sub(self.n))
    }
}

impl<I: IndexedParallelIterator> IndexedParallelIterator for Skip<I> {}

adapter! {
    /// What [`take`](IndexedParallelIterator::take) returns.
    Take<I> { n: usize }
}

impl<I: IndexedParallelIterator> ParallelIterator for Take<I> {
    type Item = I::Item;
    type Source = I::Source;
    unsafe fn source(&mut self) -> Self::Source {
        // SAFETY: the base stays where it is as long as `self` does.
        let base = unsafe { self.base.source() };
        let at = self.n.min(base.len());
        base.split_at(at).0
    }
    fn opt_len(&self) -> Option<usize> {
        Some(self.base.opt_len()?.min(self.n))
    }
}

impl<I: IndexedParallelIterator> IndexedParallelIterator for Take<I> {}
