//! Into parallel iterators, and out of them into collections.

use super::consumers::{InPlace, Pieces, TwoInPlace, TwoPieces};
use super::iter::ParallelIterator;
use super::run;
use super::run_source;
use super::source::Source;
use std::ops::RangeBounds;

/// Something that a parallel loop can run over.
///
/// Slices, vectors, arrays, ranges, strings by their methods, the collections of the standard
/// library, tuples of parallel iterators (all at once, as [`zip`](super::IndexedParallelIterator::zip)),
/// and every parallel iterator itself.
pub trait IntoParallelIterator {
    /// The parallel iterator.
    type Iter: ParallelIterator<Item = Self::Item>;
    /// What the closures get.
    type Item: Send;
    /// Becomes a parallel iterator.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<i32> = vec![1, 2].into_par_iter().map(|n| n + 1).collect();
    /// assert_eq!(v, [2, 3]);
    /// ```
    fn into_par_iter(self) -> Self::Iter;
}

impl<I: ParallelIterator> IntoParallelIterator for I {
    type Iter = I;
    type Item = I::Item;
    fn into_par_iter(self) -> I {
        self
    }
}

/// Parallel iteration by shared reference: what there is for `&C` under the name of `par_iter`.
pub trait IntoParallelRefIterator<'data> {
    /// The parallel iterator.
    type Iter: ParallelIterator<Item = Self::Item>;
    /// What the closures get.
    type Item: Send + 'data;
    /// `(&self).into_par_iter()`
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!(vec![1, 2].par_iter().sum::<i32>(), 3);
    /// ```
    fn par_iter(&'data self) -> Self::Iter;
}

impl<'data, C: 'data + ?Sized> IntoParallelRefIterator<'data> for C
where
    &'data C: IntoParallelIterator,
{
    type Iter = <&'data C as IntoParallelIterator>::Iter;
    type Item = <&'data C as IntoParallelIterator>::Item;
    fn par_iter(&'data self) -> Self::Iter {
        self.into_par_iter()
    }
}

/// Parallel iteration by exclusive reference: what there is for `&mut C` under the name of
/// `par_iter_mut`.
pub trait IntoParallelRefMutIterator<'data> {
    /// The parallel iterator.
    type Iter: ParallelIterator<Item = Self::Item>;
    /// What the closures get.
    type Item: Send + 'data;
    /// `(&mut self).into_par_iter()`
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = [1, 2];
    /// v.par_iter_mut().for_each(|n| *n += 1);
    /// assert_eq!(v, [2, 3]);
    /// ```
    fn par_iter_mut(&'data mut self) -> Self::Iter;
}

impl<'data, C: 'data + ?Sized> IntoParallelRefMutIterator<'data> for C
where
    &'data mut C: IntoParallelIterator,
{
    type Iter = <&'data mut C as IntoParallelIterator>::Iter;
    type Item = <&'data mut C as IntoParallelIterator>::Item;
    fn par_iter_mut(&'data mut self) -> Self::Iter {
        self.into_par_iter()
    }
}

/// Taking a range of items out of a collection.
pub trait ParallelDrainRange<Idx = usize> {
    /// The parallel iterator.
    type Iter: ParallelIterator<Item = Self::Item>;
    /// What the closures get.
    type Item: Send;
    /// Takes the items of `range` out of the collection, which keeps its memory. They are gone when
    /// the iterator is, also those that it did not get to.
    ///
    /// # Panics
    /// If the range is out of bounds.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = vec![1, 2, 3, 4];
    /// assert_eq!(v.par_drain(1..3).sum::<i32>(), 5);
    /// assert_eq!(v, [1, 4]);
    /// ```
    fn par_drain<R: RangeBounds<Idx>>(self, range: R) -> Self::Iter;
}

/// Taking all items out of a collection.
pub trait ParallelDrainFull {
    /// The parallel iterator.
    type Iter: ParallelIterator<Item = Self::Item>;
    /// What the closures get.
    type Item: Send;
    /// Takes all items out of the collection, which keeps its memory.
    ///
    /// ```
    /// use std::collections::HashSet;
    /// use windlass::prelude::*;
    /// let mut set = HashSet::from([1, 2]);
    /// assert_eq!(set.par_drain().sum::<i32>(), 3);
    /// assert!(set.is_empty());
    /// ```
    fn par_drain(self) -> Self::Iter;
}

/// A collection that can be made of a parallel iterator, by
/// [`collect`](ParallelIterator::collect).
pub trait FromParallelIterator<T: Send> {
    /// Collects.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!(Vec::from_par_iter(0..3), [0, 1, 2]);
    /// ```
    fn from_par_iter<I: IntoParallelIterator<Item = T>>(items: I) -> Self;
}

/// A collection that can take in a parallel iterator.
pub trait ParallelExtend<T: Send> {
    /// Appends or inserts the items, in their order where the collection has one.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = vec![0];
    /// v.par_extend(1..3);
    /// assert_eq!(v, [0, 1, 2]);
    /// ```
    fn par_extend<I: IntoParallelIterator<Item = T>>(&mut self, items: I);

    #[doc(hidden)]
    fn par_extend_vec(&mut self, items: Vec<T>) {
        self.par_extend(items);
    }
}

// ---- into vectors

/// Appends the items of an iterator to a vector.
pub(crate) fn extend_vec<I: ParallelIterator>(iter: I, target: &mut Vec<I::Item>) {
    if <I::Source as Source>::EXACT {
        collect_in_place(iter, target);
        return;
    }
    let pieces = run(iter, Pieces::new());
    append_all(target, pieces);
}

/// Appends pieces, the first of which may become the vector.
fn append_all<T>(target: &mut Vec<T>, pieces: Vec<Vec<T>>) {
    let total = pieces.iter().map(Vec::len).sum();
    let mut pieces = pieces.into_iter();
    if target.is_empty()
        && let Some(first) = pieces.next()
    {
        let room = target.capacity();
        if room >= total && room > 0 {
            // Memory of the caller's own, which he may have a use for.
            target.reserve(total);
            target.extend(first);
        } else {
            *target = first;
            target.reserve(total - target.len());
        }
    } else {
        target.reserve(total);
    }
    for mut piece in pieces {
        target.append(&mut piece);
    }
}

/// Writes the items of an exact iterator behind those in a vector.
pub(crate) fn collect_in_place<I: ParallelIterator>(mut iter: I, target: &mut Vec<I::Item>) {
    // SAFETY: `iter` stays here until the source is gone: at the end of `drive`, or by its unwinding.
    let source = unsafe { iter.source() };
    collect_source(source, target);
}

/// Writes the items of an exact source behind those in a vector.
pub(crate) fn collect_source<S: Source<Item: Send>>(source: S, target: &mut Vec<S::Item>) {
    assert!(S::EXACT, "the source knows its items' places");
    let before = target.len();
    target.reserve(source.len());
    // SAFETY: there is room for `source.len()` items there, and the vector is not touched while they are written.
    let consumer = unsafe { InPlace::new(target.as_mut_ptr().add(before)) };
    let filled = run_source(source, consumer).release();
    // SAFETY: so many were written. If the loop unwinds we do not get here, and they are dropped.
    unsafe { target.set_len(before + filled) };
}

/// Writes the halves of the items of an exact iterator behind those in two vectors.
pub(crate) fn unzip_in_place<A: Send, B: Send, I: ParallelIterator<Item = (A, B)>>(
    mut iter: I,
    left: &mut Vec<A>,
    right: &mut Vec<B>,
) {
    assert!(<I::Source as Source>::EXACT, "the iterator knows its items' places");
    // SAFETY: as in `collect_in_place`.
    let source = unsafe { iter.source() };
    let (before_left, before_right) = (left.len(), right.len());
    left.reserve(source.len());
    right.reserve(source.len());
    // SAFETY: as in `collect_in_place`.
    let consumer = unsafe {
        TwoInPlace::new(left.as_mut_ptr().add(before_left), right.as_mut_ptr().add(before_right))
    };
    let (a, b) = run_source(source, consumer);
    // SAFETY: as in `collect_in_place`.
    unsafe { left.set_len(before_left + a.release()) };
    // SAFETY: as in `collect_in_place`.
    unsafe { right.set_len(before_right + b.release()) };
}

/// Collects pairs into two collections.
pub(crate) fn unzip<A, B, FromA, FromB, I>(iter: I) -> (FromA, FromB)
where
    I: ParallelIterator<Item = (A, B)>,
    FromA: Default + ParallelExtend<A>,
    FromB: Default + ParallelExtend<B>,
    A: Send,
    B: Send,
{
    let (mut left, mut right) = (Vec::new(), Vec::new());
    if <I::Source as Source>::EXACT {
        unzip_in_place(iter, &mut left, &mut right);
    } else {
        let pieces = run(iter, TwoPieces::new(&|(a, b)| (Some(a), Some(b))));
        append_all(&mut left, pieces.0);
        append_all(&mut right, pieces.1);
    }
    extend_both(left, right)
}

/// Collects what `split` makes of the items into two collections.
pub(crate) fn split<A, B, FromA, FromB, I, F>(iter: I, split: F) -> (FromA, FromB)
where
    I: ParallelIterator,
    F: Fn(I::Item) -> (Option<A>, Option<B>) + Sync,
    FromA: Default + ParallelExtend<A>,
    FromB: Default + ParallelExtend<B>,
    A: Send,
    B: Send,
{
    let pieces = run(iter, TwoPieces::new(&split));
    let (mut left, mut right) = (Vec::new(), Vec::new());
    append_all(&mut left, pieces.0);
    append_all(&mut right, pieces.1);
    extend_both(left, right)
}

fn extend_both<A, B, FromA, FromB>(left: Vec<A>, right: Vec<B>) -> (FromA, FromB)
where
    FromA: Default + ParallelExtend<A>,
    FromB: Default + ParallelExtend<B>,
    A: Send,
    B: Send,
{
    let (mut a, mut b) = (FromA::default(), FromB::default());
    a.par_extend_vec(left);
    b.par_extend_vec(right);
    (a, b)
}
