//! Side by side, and numbered.

use super::adapter;
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{Grain, IndexedSource, Source};
use std::iter;

adapter! {
    /// What [`zip`](IndexedParallelIterator::zip) returns.
    Zip<A, B> { second: B }
}

adapter! {
    /// What [`zip_eq`](IndexedParallelIterator::zip_eq) returns.
    ZipEq<A, B> { second: B }
}

macro_rules! zip {
    ($name:ident) => {
        impl<A, B> ParallelIterator for $name<A, B>
        where
            A: IndexedParallelIterator,
            B: IndexedParallelIterator,
        {
            type Item = (A::Item, B::Item);
            type Source = ZipSource<A::Source, B::Source>;
            unsafe fn source(&mut self) -> Self::Source {
                // SAFETY: both stay where they are as long as `self` does.
                let (a, b) = unsafe { (self.base.source(), self.second.source()) };
                ZipSource::new(a, b)
            }
            fn opt_len(&self) -> Option<usize> {
                Some(self.base.opt_len()?.min(self.second.opt_len()?))
            }
        }

        impl<A, B> IndexedParallelIterator for $name<A, B>
        where
            A: IndexedParallelIterator,
            B: IndexedParallelIterator,
        {
        }
    };
}
zip!(Zip);
zip!(ZipEq);

#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct ZipSource<A, B> {
    a: A,
    b: B,
}

impl<A: Source, B: Source> ZipSource<A, B> {
    /// Cuts the longer one down, so that both are always of one length, also from the back.
    pub(crate) fn new(a: A, b: B) -> Self {
        let len = a.len().min(b.len());
        ZipSource { a: a.split_at(len).0, b: b.split_at(len).0 }
    }
}

// SAFETY: exact if both are; they are cut alike.
unsafe impl<A: Source, B: Source> Source for ZipSource<A, B> {
    type Item = (A::Item, B::Item);
    const EXACT: bool = A::EXACT && B::EXACT;
    #[inline]
    fn len(&self) -> usize {
        self.a.len()
    }
    #[inline]
    fn split_at(self, index: usize) -> (Self, Self) {
        let (left_a, right_a) = self.a.split_at(index);
        let (left_b, right_b) = self.b.split_at(index);
        (ZipSource { a: left_a, b: left_b }, ZipSource { a: right_a, b: right_b })
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = Self::Item> {
        iter::zip(self.a.take_front(n), self.b.take_front(n))
    }
    fn grain(&self) -> Grain {
        self.a.grain().and(self.b.grain())
    }
}

impl<A: IndexedSource, B: IndexedSource> IndexedSource for ZipSource<A, B> {
    #[inline]
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = Self::Item> {
        iter::zip(self.a.take_back(n), self.b.take_back(n))
    }
}

adapter! {
    /// What [`enumerate`](IndexedParallelIterator::enumerate) returns.
    Enumerate<I> {}
}

impl<I: IndexedParallelIterator> ParallelIterator for Enumerate<I> {
    type Item = (usize, I::Item);
    type Source = EnumerateSource<I::Source>;
    unsafe fn source(&mut self) -> Self::Source {
        // SAFETY: the base stays where it is as long as `self` does.
        EnumerateSource { base: unsafe { self.base.source() }, next: 0 }
    }
    fn opt_len(&self) -> Option<usize> {
        self.base.opt_len()
    }
}

impl<I: IndexedParallelIterator> IndexedParallelIterator for Enumerate<I> {}

#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct EnumerateSource<S> {
    base: S,
    next: usize,
}

// SAFETY: as exact as the base, item by item.
unsafe impl<S: Source> Source for EnumerateSource<S> {
    type Item = (usize, S::Item);
    const EXACT: bool = S::EXACT;
    #[inline]
    fn len(&self) -> usize {
        self.base.len()
    }
    #[inline]
    fn split_at(self, index: usize) -> (Self, Self) {
        let (left, right) = self.base.split_at(index);
        (
            EnumerateSource { base: left, next: self.next },
            EnumerateSource { base: right, next: self.next + index },
        )
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = Self::Item> {
        // Not `enumerate`: the sum of its number and the first one would be made for each item.
        let mut next = self.next;
        self.next += n;
        self.base.take_front(n).map(move |item| {
            let index = next;
            next += 1;
            (index, item)
        })
    }
    fn grain(&self) -> Grain {
        self.base.grain()
    }
}

impl<S: IndexedSource> IndexedSource for EnumerateSource<S> {
    #[inline]
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = Self::Item> {
        let end = self.next + self.base.len();
        iter::zip((end - n..end).rev(), self.base.take_back(n))
    }
}
