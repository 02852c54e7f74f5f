//! Vectors, arrays and boxed slices by value, and ranges drained from a vector.

use crate::par::convert::{IntoParallelIterator, ParallelDrainRange};
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{IndexedSource, Source};
use std::ops::RangeBounds;
use std::ptr::NonNull;
use std::slice;

/// A run of items that are moved out of a buffer which somebody else frees. What is not eaten is
/// dropped.
#[doc(hidden)]
#[derive(Debug)]
pub struct Owned<T> {
    first: NonNull<T>,
    len: usize,
}

// SAFETY: it owns its items, and nothing else refers to them.
unsafe impl<T: Send> Send for Owned<T> {}

impl<T> Owned<T> {
    /// Moves the items of `vec` from `start` on into a source, and leaves the vector with those
    /// before.
    ///
    /// # Safety
    /// The vector's buffer lives, and is not written to, until the source and all of its parts
    /// are gone.
    pub(crate) unsafe fn from_tail(vec: &mut Vec<T>, start: usize, len: usize) -> Self {
        assert!(start + len <= vec.len());
        // SAFETY: fewer items than before; the source owns `len` of those behind from here on.
        unsafe { vec.set_len(start) };
        // SAFETY: a vector's pointer is never null, and `start` is within its items.
        let first = unsafe { NonNull::new_unchecked(vec.as_mut_ptr().add(start)) };
        Owned { first, len }
    }

    pub(crate) fn empty() -> Self {
        Owned { first: NonNull::dangling(), len: 0 }
    }

    fn cut(&mut self, n: usize) -> Owned<T> {
        assert!(n <= self.len);
        let front = Owned { first: self.first, len: n };
        // SAFETY: within the run, as just checked.
        self.first = unsafe { self.first.add(n) };
        self.len -= n;
        front
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        let rest = std::ptr::slice_from_raw_parts_mut(self.first.as_ptr(), self.len);
        // SAFETY: these items are initialised and ours; the fields are not used again, also if an
        // item's drop unwinds.
        unsafe { rest.drop_in_place() };
    }
}

impl<T> Iterator for Owned<T> {
    type Item = T;
    #[inline]
    fn next(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        let item = self.first;
        // SAFETY: `item` was the first of at least one.
        self.first = unsafe { item.add(1) };
        // SAFETY: initialised and ours; it is out of the run now, so it is read once.
        Some(unsafe { item.read() })
    }
    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

impl<T> DoubleEndedIterator for Owned<T> {
    #[inline]
    fn next_back(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: the last of at least one item: initialised and ours, and out of the run now.
        Some(unsafe { self.first.add(self.len).read() })
    }
}

impl<T> ExactSizeIterator for Owned<T> {}

// SAFETY: exact: a run of so many items.
unsafe impl<T: Send> Source for Owned<T> {
    type Item = T;
    const EXACT: bool = true;
    #[inline]
    fn len(&self) -> usize {
        self.len
    }
    #[inline]
    fn split_at(mut self, index: usize) -> (Self, Self) {
        (self.cut(index), self)
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = T> {
        self.cut(n)
    }
}

impl<T: Send> IndexedSource for Owned<T> {
    #[inline]
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = T> {
        let front = self.cut(self.len - n);
        std::mem::replace(self, front).rev()
    }
}

/// A parallel iterator that moves items out of a vector, an array, or another collection that
/// became a vector.
#[derive(Clone, Debug)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct IntoIter<T> {
    vec: Vec<T>,
}

impl<T: Send> ParallelIterator for IntoIter<T> {
    type Item = T;
    type Source = Owned<T>;
    unsafe fn source(&mut self) -> Owned<T> {
        let len = self.vec.len();
        // SAFETY: the vector lives as long as `self`, and nobody else touches it.
        unsafe { Owned::from_tail(&mut self.vec, 0, len) }
    }
    fn opt_len(&self) -> Option<usize> {
        Some(self.vec.len())
    }
}

impl<T: Send> IndexedParallelIterator for IntoIter<T> {}

impl<T: Send> IntoParallelIterator for Vec<T> {
    type Iter = IntoIter<T>;
    type Item = T;
    #[inline]
    fn into_par_iter(self) -> IntoIter<T> {
        IntoIter { vec: self }
    }
}

impl<T: Send> IntoParallelIterator for Box<[T]> {
    type Iter = IntoIter<T>;
    type Item = T;
    fn into_par_iter(self) -> IntoIter<T> {
        IntoIter { vec: self.into_vec() }
    }
}

impl<T: Send, const N: usize> IntoParallelIterator for [T; N] {
    type Iter = IntoIter<T>;
    type Item = T;
    /// Moves the items to the heap: the iterator is moved about before it is run.
    fn into_par_iter(self) -> IntoIter<T> {
        IntoIter { vec: Vec::from(self) }
    }
}

/// What [`par_drain`](ParallelDrainRange::par_drain) of a vector returns.
#[derive(Debug)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct Drain<'data, T: Send> {
    vec: &'data mut Vec<T>,
    /// Where the drained items begin and how many they are, at first.
    start: usize,
    len: usize,
    /// How many items follow them.
    num_behind: usize,
    /// Whether the items have gone into a source.
    is_taken: bool,
}

impl<'data, T: Send> ParallelDrainRange for &'data mut Vec<T> {
    type Iter = Drain<'data, T>;
    type Item = T;
    #[track_caller]
    fn par_drain<R: RangeBounds<usize>>(self, range: R) -> Drain<'data, T> {
        let bounds = (range.start_bound().cloned(), range.end_bound().cloned());
        // Checks the range, with the messages of the standard library.
        let first = self.as_ptr();
        let drained: &[T] = &self[bounds];
        let (start, len) = if size_of::<T>() == 0 {
            let start = match bounds.0 {
                std::ops::Bound::Included(start) => start,
                std::ops::Bound::Excluded(before) => before + 1,
                std::ops::Bound::Unbounded => 0,
            };
            (start, drained.len())
        } else {
            // SAFETY: both point into the vector's items.
            (unsafe { drained.as_ptr().offset_from(first) } as usize, drained.len())
        };
        let num_behind = self.len() - start - len;
        Drain { vec: self, start, len, num_behind, is_taken: false }
    }
}

impl<T: Send> ParallelIterator for Drain<'_, T> {
    type Item = T;
    type Source = Owned<T>;
    unsafe fn source(&mut self) -> Owned<T> {
        self.is_taken = true;
        // SAFETY: the vector lives as long as `self`, and is not touched until `self` is dropped.
        // Should that not happen, it has lost items but none twice.
        unsafe { Owned::from_tail(self.vec, self.start, self.len) }
    }
    fn opt_len(&self) -> Option<usize> {
        Some(self.len)
    }
}

impl<T: Send> IndexedParallelIterator for Drain<'_, T> {}

impl<T: Send> Drop for Drain<'_, T> {
    fn drop(&mut self) {
        if !self.is_taken {
            self.vec.drain(self.start..self.start + self.len);
            return;
        }
        let (start, num_behind) = (self.start, self.num_behind);
        let first = self.vec.as_mut_ptr();
        // SAFETY: the items behind were left where they were, initialised, within the buffer; they
        // move down over the place of the drained ones, which are all gone.
        unsafe {
            let behind = slice::from_raw_parts(first.add(start + self.len), num_behind);
            std::ptr::copy(behind.as_ptr(), first.add(start), num_behind);
        }
        // SAFETY: so many items are there, in order.
        unsafe { self.vec.set_len(start + num_behind) };
    }
}
