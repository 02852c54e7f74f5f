//! One after the other.

use super::adapter;
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{Grain, IndexedSource, Source};

adapter! {
    /// What [`chain`](ParallelIterator::chain) returns.
    Chain<A, B> { second: B }
}

impl<A, B> ParallelIterator for Chain<A, B>
where
    A: ParallelIterator,
    B: ParallelIterator<Item = A::Item>,
{
    type Item = A::Item;
    type Source = ChainSource<A::Source, B::Source>;
    unsafe fn source(&mut self) -> Self::Source {
        // SAFETY: both stay where they are as long as `self` does.
        let (a, b) = unsafe { (self.base.source(), self.second.source()) };
        ChainSource { a, b }
    }
    fn opt_len(&self) -> Option<usize> {
        self.base.opt_len()?.checked_add(self.second.opt_len()?)
    }
}

impl<A, B> IndexedParallelIterator for Chain<A, B>
where
    A: IndexedParallelIterator,
    B: IndexedParallelIterator<Item = A::Item>,
{
}

#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct ChainSource<A, B> {
    a: A,
    b: B,
}

// SAFETY: exact if both are: lengths add up, and so do the cuts.
unsafe impl<A, B> Source for ChainSource<A, B>
where
    A: Source,
    B: Source<Item = A::Item>,
{
    type Item = A::Item;
    const EXACT: bool = A::EXACT && B::EXACT;
    #[inline]
    fn len(&self) -> usize {
        let (a, b) = (self.a.len(), self.b.len());
        if Self::EXACT {
            a.checked_add(b).expect("the length of a chain fits a usize")
        } else {
            a.saturating_add(b)
        }
    }
    #[inline]
    fn split_at(self, index: usize) -> (Self, Self) {
        let first = self.a.len().min(index);
        let rest = (index - first).min(self.b.len());
        let (left_a, right_a) = self.a.split_at(first);
        let (left_b, right_b) = self.b.split_at(rest);
        (ChainSource { a: left_a, b: left_b }, ChainSource { a: right_a, b: right_b })
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = A::Item> {
        let first = self.a.len().min(n);
        // What is not exact may have grown when its batch is eaten; all of that comes first.
        let rest = if A::EXACT || first == 0 { (n - first).min(self.b.len()) } else { 0 };
        self.a.take_front(first).chain(self.b.take_front(rest))
    }
    fn grain(&self) -> Grain {
        self.a.grain().and(self.b.grain())
    }
}

impl<A, B> IndexedSource for ChainSource<A, B>
where
    A: IndexedSource,
    B: IndexedSource<Item = A::Item>,
{
    #[inline]
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = A::Item> {
        let last = self.b.len().min(n);
        let (a, b) = (self.a.take_back(n - last), self.b.take_back(last));
        b.chain(a)
    }
}
