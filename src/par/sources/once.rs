//! One item, or none.

use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{IndexedSource, Source};
use std::fmt;
use std::marker::PhantomData;

/// A parallel iterator without items. It can be the other end of an `if`, and an identity of
/// [`chain`](ParallelIterator::chain).
///
/// ```
/// use windlass::iter;
/// use windlass::prelude::*;
/// let numbers: Vec<i32> = iter::empty().chain([1, 2]).collect();
/// assert_eq!(numbers, [1, 2]);
/// ```
pub fn empty<T: Send>() -> Empty<T> {
    Empty { marker: PhantomData }
}

/// A parallel iterator over one item.
///
/// ```
/// use windlass::iter;
/// use windlass::prelude::*;
/// let numbers: Vec<i32> = iter::once(0).chain([1, 2]).collect();
/// assert_eq!(numbers, [0, 1, 2]);
/// ```
pub fn once<T: Send>(item: T) -> Once<T> {
    Once::new(Some(item))
}

/// What [`empty`] returns.
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct Empty<T> {
    marker: PhantomData<fn() -> T>,
}

impl<T> Clone for Empty<T> {
    fn clone(&self) -> Self {
        Empty { marker: PhantomData }
    }
}

impl<T> fmt::Debug for Empty<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Empty")
    }
}

impl<T: Send> ParallelIterator for Empty<T> {
    type Item = T;
    type Source = OnceSource<T>;
    unsafe fn source(&mut self) -> Self::Source {
        OnceSource(None)
    }
    fn opt_len(&self) -> Option<usize> {
        Some(0)
    }
}

impl<T: Send> IndexedParallelIterator for Empty<T> {}

/// A parallel iterator over one item or none: of [`once`], an `Option`, or a `Result`.
#[derive(Clone, Debug)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct Once<T> {
    item: Option<T>,
}

impl<T> Once<T> {
    pub(crate) fn new(item: Option<T>) -> Self {
        Once { item }
    }
}

impl<T: Send> ParallelIterator for Once<T> {
    type Item = T;
    type Source = OnceSource<T>;
    unsafe fn source(&mut self) -> Self::Source {
        OnceSource(self.item.take())
    }
    fn opt_len(&self) -> Option<usize> {
        Some(usize::from(self.item.is_some()))
    }
}

impl<T: Send> IndexedParallelIterator for Once<T> {}

#[doc(hidden)]
#[derive(Debug)]
pub struct OnceSource<T>(Option<T>);

// SAFETY: exact: the item is on one side of a cut.
unsafe impl<T: Send> Source for OnceSource<T> {
    type Item = T;
    const EXACT: bool = true;
    #[inline]
    fn len(&self) -> usize {
        usize::from(self.0.is_some())
    }
    fn split_at(self, index: usize) -> (Self, Self) {
        if index == 0 { (OnceSource(None), self) } else { (self, OnceSource(None)) }
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = T> {
        self.0.take_if(|_| n > 0).into_iter()
    }
}

impl<T: Send> IndexedSource for OnceSource<T> {
    #[inline]
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = T> {
        self.take_front(n)
    }
}
