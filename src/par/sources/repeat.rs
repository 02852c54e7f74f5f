//! The same item over and over.

use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{IndexedSource, Source};

/// A parallel iterator over clones of `item`, without end: its length is `usize::MAX`. Usually
/// [`take`](IndexedParallelIterator::take) or [`zip`](IndexedParallelIterator::zip) shorten it, or
/// a search ends it.
///
/// ```
/// use windlass::iter;
/// use windlass::prelude::*;
/// let pairs: Vec<(i32, char)> = iter::repeat(7).zip(['a', 'b']).collect();
/// assert_eq!(pairs, [(7, 'a'), (7, 'b')]);
/// ```
pub fn repeat<T: Clone + Send>(item: T) -> Repeat<T> {
    Repeat { item: Some(item) }
}

/// A parallel iterator over `n` items: `n - 1` clones of `item`, and `item` itself.
///
/// ```
/// use windlass::iter;
/// use windlass::prelude::*;
/// let rows: Vec<Vec<u8>> = iter::repeat_n(vec![0; 2], 3).collect();
/// assert_eq!(rows, [[0, 0], [0, 0], [0, 0]]);
/// ```
pub fn repeat_n<T: Clone + Send>(item: T, n: usize) -> RepeatN<T> {
    RepeatN { run: Run::new(Some(item), n) }
}

/// What [`repeat`] returns.
#[derive(Clone, Debug)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct Repeat<T> {
    item: Option<T>,
}

impl<T: Clone + Send> ParallelIterator for Repeat<T> {
    type Item = T;
    type Source = Run<T>;
    unsafe fn source(&mut self) -> Self::Source {
        Run::new(self.item.take(), usize::MAX)
    }
    fn opt_len(&self) -> Option<usize> {
        Some(usize::MAX)
    }
}

impl<T: Clone + Send> IndexedParallelIterator for Repeat<T> {}

/// What [`repeat_n`] returns.
#[derive(Clone, Debug)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct RepeatN<T> {
    run: Run<T>,
}

impl<T: Clone + Send> ParallelIterator for RepeatN<T> {
    type Item = T;
    type Source = Run<T>;
    unsafe fn source(&mut self) -> Self::Source {
        self.run.cut(self.run.len)
    }
    fn opt_len(&self) -> Option<usize> {
        Some(self.run.len)
    }
}

impl<T: Clone + Send> IndexedParallelIterator for RepeatN<T> {}

/// So many equal items: the last is moved, those before it are cloned.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Run<T> {
    /// Present unless the run is empty.
    item: Option<T>,
    len: usize,
}

impl<T: Clone> Run<T> {
    fn new(item: Option<T>, len: usize) -> Self {
        Run { item: item.filter(|_| len > 0), len }
    }

    /// Cuts `n` items off. It takes a clone only if items are left on both sides, so that a run
    /// costs one clone less than it has items, however it is cut.
    fn cut(&mut self, n: usize) -> Run<T> {
        assert!(n <= self.len);
        let item = match n {
            0 => None,
            _ if n == self.len => self.item.take(),
            _ => self.item.clone(),
        };
        self.len -= n;
        Run { item, len: n }
    }
}

impl<T: Clone> Iterator for Run<T> {
    type Item = T;
    #[inline]
    fn next(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        if self.len == 0 { self.item.take() } else { self.item.clone() }
    }
    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

// SAFETY: exact: a run of so many items.
unsafe impl<T: Clone + Send> Source for Run<T> {
    type Item = T;
    const EXACT: bool = true;
    #[inline]
    fn len(&self) -> usize {
        self.len
    }
    fn split_at(mut self, index: usize) -> (Self, Self) {
        (self.cut(index), self)
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = T> {
        self.cut(n)
    }
}

impl<T: Clone + Send> IndexedSource for Run<T> {
    #[inline]
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = T> {
        self.cut(n)
    }
}
