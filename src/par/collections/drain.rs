//! Taking items out of the collections of the standard library.

use crate::par::convert::{IntoParallelIterator, ParallelDrainFull, ParallelDrainRange};
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::sources::vec::{IntoIter, Owned};
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::ops::{Bound, Range, RangeBounds};

impl<K: Send, V: Send, S> ParallelDrainFull for &mut HashMap<K, V, S> {
    type Iter = IntoIter<(K, V)>;
    type Item = (K, V);
    /// Moves the items into a vector at once.
    fn par_drain(self) -> Self::Iter {
        Vec::from_iter(self.drain()).into_par_iter()
    }
}

impl<T: Send, S> ParallelDrainFull for &mut HashSet<T, S> {
    type Iter = IntoIter<T>;
    type Item = T;
    /// Moves the items into a vector at once.
    fn par_drain(self) -> Self::Iter {
        Vec::from_iter(self.drain()).into_par_iter()
    }
}

impl<'data, T: Ord + Send> ParallelDrainFull for &'data mut BinaryHeap<T> {
    type Iter = Drain<'data, BinaryHeap<T>>;
    type Item = T;
    fn par_drain(self) -> Self::Iter {
        let range = 0..self.len();
        Drain { collection: self, range, taken: None }
    }
}

impl<'data, T: Send> ParallelDrainRange for &'data mut VecDeque<T> {
    type Iter = Drain<'data, VecDeque<T>>;
    type Item = T;
    #[track_caller]
    fn par_drain<R: RangeBounds<usize>>(self, range: R) -> Self::Iter {
        let len = self.len();
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before.checked_add(1).expect("the range begins somewhere"),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.checked_add(1).expect("the range ends somewhere"),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => len,
        };
        assert!(start <= end, "the range {start}..{end} ends before it begins");
        assert!(end <= len, "the range {start}..{end} is out of bounds: there are {len} items");
        Drain { collection: self, range: start..end, taken: None }
    }
}

/// A collection whose items lie in a vector, more or less.
#[doc(hidden)]
pub trait VecLike: Default {
    type Item;
    fn into_vec(self) -> Vec<Self::Item>;
    fn from_vec(vec: Vec<Self::Item>) -> Self;
}

impl<T> VecLike for VecDeque<T> {
    type Item = T;
    fn into_vec(self) -> Vec<T> {
        self.into()
    }
    fn from_vec(vec: Vec<T>) -> Self {
        vec.into()
    }
}

impl<T: Ord> VecLike for BinaryHeap<T> {
    type Item = T;
    fn into_vec(self) -> Vec<T> {
        self.into_vec()
    }
    fn from_vec(vec: Vec<T>) -> Self {
        vec.into()
    }
}

/// What `par_drain` of a [`VecDeque`] ([`ParallelDrainRange`]) and of a [`BinaryHeap`]
/// ([`ParallelDrainFull`]) returns.
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct Drain<'data, C: VecLike> {
    collection: &'data mut C,
    range: Range<usize>,
    taken: Option<Taken<C::Item>>,
}

/// A collection that is taken apart while the loop runs.
struct Taken<T> {
    /// Its memory, with the items before the drained ones.
    vec: Vec<T>,
    behind: Vec<T>,
}

impl<C: VecLike + fmt::Debug> fmt::Debug for Drain<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain")
            .field("collection", &self.collection)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

impl<C: VecLike> Drain<'_, C> {
    /// Takes the collection apart.
    fn take(&mut self) -> &mut Vec<C::Item> {
        let mut vec = std::mem::take(self.collection).into_vec();
        let behind = vec.split_off(self.range.end);
        &mut self.taken.insert(Taken { vec, behind }).vec
    }
}

impl<C: VecLike<Item: Send> + Send> ParallelIterator for Drain<'_, C> {
    type Item = C::Item;
    type Source = Owned<C::Item>;
    unsafe fn source(&mut self) -> Self::Source {
        let Range { start, end } = self.range;
        // SAFETY: the vector lives as long as `self`, and is not touched until `self` is dropped.
        unsafe { Owned::from_tail(self.take(), start, end - start) }
    }
    fn opt_len(&self) -> Option<usize> {
        Some(self.range.len())
    }
}

impl<C: VecLike<Item: Send> + Send> IndexedParallelIterator for Drain<'_, C> {}

impl<C: VecLike> Drop for Drain<'_, C> {
    /// Puts the rest back, in the memory that it was in.
    fn drop(&mut self) {
        let is_unused = self.taken.is_none();
        if is_unused {
            self.take();
        }
        let Some(Taken { mut vec, mut behind }) = self.taken.take() else { return };
        // Dropped at the end, when all is in its place: it runs user code.
        let _unwanted = is_unused.then(|| vec.split_off(self.range.start));
        vec.append(&mut behind);
        *self.collection = C::from_vec(vec);
    }
}
