//! From parallel iterators to the collections of the standard library.

use crate::par::consumers::Pieces;
use crate::par::convert::{
    FromParallelIterator, IntoParallelIterator, ParallelExtend, collect_in_place, extend_vec,
    split, unzip,
};
use crate::par::iter::ParallelIterator;
use crate::par::run;
use crate::par::source::Source;
use either::Either;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::rc::Rc;
use std::sync::Arc;

/// The items, in order: in one vector if their number is known, else in one for each part of the
/// loop.
fn gather<I: ParallelIterator>(iter: I) -> Vec<Vec<I::Item>> {
    if <I::Source as Source>::EXACT {
        let mut all = Vec::new();
        collect_in_place(iter, &mut all);
        vec![all]
    } else {
        run(iter, Pieces::new())
    }
}

fn total<T>(pieces: &[Vec<T>]) -> usize {
    pieces.iter().map(Vec::len).sum()
}

// ---- vectors

impl<T: Send> ParallelExtend<T> for Vec<T> {
    fn par_extend<I: IntoParallelIterator<Item = T>>(&mut self, items: I) {
        extend_vec(items.into_par_iter(), self);
    }
    fn par_extend_vec(&mut self, mut items: Vec<T>) {
        if self.capacity() == 0 {
            *self = items;
        } else {
            self.append(&mut items);
        }
    }
}

impl<T: Send> FromParallelIterator<T> for Vec<T> {
    fn from_par_iter<I: IntoParallelIterator<Item = T>>(items: I) -> Self {
        let mut vec = Vec::new();
        extend_vec(items.into_par_iter(), &mut vec);
        vec
    }
}

macro_rules! from_vec {
    ($([$($generics:tt)*] $into:ty;)*) => {$(
        impl<$($generics)*> FromParallelIterator<T> for $into {
            fn from_par_iter<I: IntoParallelIterator<Item = T>>(items: I) -> Self {
                Vec::from_par_iter(items).into()
            }
        }
    )*};
}

from_vec! {
    [T: Send] Box<[T]>;
    [T: Send] Rc<[T]>;
    [T: Send] Arc<[T]>;
    [T: Send] VecDeque<T>;
    [T: Send + Ord] BinaryHeap<T>;
}

/// What is collected is owned.
impl<C, T> FromParallelIterator<T> for Cow<'_, C>
where
    C: ToOwned<Owned: FromParallelIterator<T>> + ?Sized,
    T: Send,
{
    fn from_par_iter<I: IntoParallelIterator<Item = T>>(items: I) -> Self {
        Cow::Owned(C::Owned::from_par_iter(items))
    }
}

// ---- collections that take in one vector after the other

/// The expression says how much room to make for how many items.
macro_rules! extend {
    ($([$($generics:tt)*] $into:ty, $item:ty $(, |$c:ident, $len:ident| $reserve:expr)?;)*) => {$(
        impl<$($generics)*> ParallelExtend<$item> for $into {
            fn par_extend<I: IntoParallelIterator<Item = $item>>(&mut self, items: I) {
                let pieces = gather(items.into_par_iter());
                $(
                    let ($c, $len) = (&mut *self, total(&pieces));
                    $reserve;
                )?
                for piece in pieces {
                    self.extend(piece);
                }
            }
            fn par_extend_vec(&mut self, items: Vec<$item>) {
                self.extend(items);
            }
        }
    )*};
}

extend! {
    [T: Send] VecDeque<T>, T, |deque, len| deque.reserve(len);
    [T: Send + Ord] BinaryHeap<T>, T, |heap, len| heap.reserve(len);
    [K: Send + Eq + Hash, V: Send, S: BuildHasher] HashMap<K, V, S>, (K, V), |map, len| {
        map.reserve(new_keys(len, map.is_empty()))
    };
    [T: Send + Eq + Hash, S: BuildHasher] HashSet<T, S>, T, |set, len| {
        set.reserve(new_keys(len, set.is_empty()))
    };
    [K: Send + Ord, V: Send] BTreeMap<K, V>, (K, V);
    [T: Send + Ord] BTreeSet<T>, T;
}

/// As in the standard library: half of the keys may be there already.
fn new_keys(len: usize, is_empty: bool) -> usize {
    if is_empty { len } else { len.div_ceil(2) }
}

/// Each part of the loop makes a list; these are linked.
impl<T: Send> ParallelExtend<T> for LinkedList<T> {
    fn par_extend<I: IntoParallelIterator<Item = T>>(&mut self, items: I) {
        let push = |mut list: LinkedList<T>, item| {
            list.push_back(item);
            list
        };
        let link = |mut left: LinkedList<T>, mut right: LinkedList<T>| {
            left.append(&mut right);
            left
        };
        let lists = items.into_par_iter().fold(LinkedList::new, push);
        self.append(&mut lists.reduce(LinkedList::new, link));
    }
    fn par_extend_vec(&mut self, items: Vec<T>) {
        self.extend(items);
    }
}

macro_rules! from_default {
    ($([$($generics:tt)*] $into:ty, $item:ty;)*) => {$(
        impl<$($generics)*> FromParallelIterator<$item> for $into {
            fn from_par_iter<I: IntoParallelIterator<Item = $item>>(items: I) -> Self {
                let mut collection = Self::default();
                collection.par_extend(items);
                collection
            }
        }
    )*};
}

from_default! {
    [T: Send] LinkedList<T>, T;
    [K: Send + Eq + Hash, V: Send, S: BuildHasher + Default] HashMap<K, V, S>, (K, V);
    [T: Send + Eq + Hash, S: BuildHasher + Default] HashSet<T, S>, T;
}

/// What is sorted first becomes a tree without searching for each item's place.
macro_rules! from_sorted {
    ($([$($generics:tt)*] $into:ty, $item:ty;)*) => {$(
        impl<$($generics)*> FromParallelIterator<$item> for $into {
            fn from_par_iter<I: IntoParallelIterator<Item = $item>>(items: I) -> Self {
                gather(items.into_par_iter()).into_iter().flatten().collect()
            }
        }
    )*};
}

from_sorted! {
    [K: Send + Ord, V: Send] BTreeMap<K, V>, (K, V);
    [T: Send + Ord] BTreeSet<T>, T;
}

// ---- by reference

macro_rules! extend_copied {
    ($([$($generics:tt)*] $into:ty;)*) => {$(
        impl<'a, T: 'a + Copy + Send + Sync $($generics)*> ParallelExtend<&'a T> for $into {
            fn par_extend<I: IntoParallelIterator<Item = &'a T>>(&mut self, items: I) {
                self.par_extend(items.into_par_iter().copied());
            }
        }
    )*};
}

extend_copied! {
    [] Vec<T>;
    [] VecDeque<T>;
    [] LinkedList<T>;
    [+ Ord] BinaryHeap<T>;
    [+ Ord] BTreeSet<T>;
    [+ Eq + Hash, S: BuildHasher] HashSet<T, S>;
}

impl<'a, K, V> ParallelExtend<(&'a K, &'a V)> for BTreeMap<K, V>
where
    K: Copy + Ord + Send + Sync,
    V: Copy + Send + Sync,
{
    fn par_extend<I: IntoParallelIterator<Item = (&'a K, &'a V)>>(&mut self, items: I) {
        self.par_extend(items.into_par_iter().map(|(key, value)| (*key, *value)));
    }
}

impl<'a, K, V, S> ParallelExtend<(&'a K, &'a V)> for HashMap<K, V, S>
where
    K: Copy + Eq + Hash + Send + Sync,
    V: Copy + Send + Sync,
    S: BuildHasher,
{
    fn par_extend<I: IntoParallelIterator<Item = (&'a K, &'a V)>>(&mut self, items: I) {
        self.par_extend(items.into_par_iter().map(|(key, value)| (*key, *value)));
    }
}

// ---- nothing, and two at once

/// All units become one.
impl FromParallelIterator<()> for () {
    fn from_par_iter<I: IntoParallelIterator<Item = ()>>(items: I) {
        items.into_par_iter().for_each(|()| ());
    }
}

/// All units become one.
impl ParallelExtend<()> for () {
    fn par_extend<I: IntoParallelIterator<Item = ()>>(&mut self, items: I) {
        items.into_par_iter().for_each(|()| ());
    }
}

impl<A: Send, B: Send, FromA, FromB> ParallelExtend<(A, B)> for (FromA, FromB)
where
    FromA: ParallelExtend<A>,
    FromB: ParallelExtend<B>,
{
    fn par_extend<I: IntoParallelIterator<Item = (A, B)>>(&mut self, items: I) {
        let (left, right): (Vec<A>, Vec<B>) = unzip(items.into_par_iter());
        self.0.par_extend_vec(left);
        self.1.par_extend_vec(right);
    }
}

impl<L: Send, R: Send, FromL, FromR> ParallelExtend<Either<L, R>> for (FromL, FromR)
where
    FromL: ParallelExtend<L>,
    FromR: ParallelExtend<R>,
{
    fn par_extend<I: IntoParallelIterator<Item = Either<L, R>>>(&mut self, items: I) {
        let (left, right): (Vec<L>, Vec<R>) = split(items.into_par_iter(), sides);
        self.0.par_extend_vec(left);
        self.1.par_extend_vec(right);
    }
}

impl<A: Send, B: Send, FromA, FromB> FromParallelIterator<(A, B)> for (FromA, FromB)
where
    FromA: FromParallelIterator<A>,
    FromB: FromParallelIterator<B>,
{
    fn from_par_iter<I: IntoParallelIterator<Item = (A, B)>>(items: I) -> Self {
        let (left, right): (Vec<A>, Vec<B>) = unzip(items.into_par_iter());
        (FromA::from_par_iter(left), FromB::from_par_iter(right))
    }
}

impl<L: Send, R: Send, FromL, FromR> FromParallelIterator<Either<L, R>> for (FromL, FromR)
where
    FromL: FromParallelIterator<L>,
    FromR: FromParallelIterator<R>,
{
    fn from_par_iter<I: IntoParallelIterator<Item = Either<L, R>>>(items: I) -> Self {
        let (left, right): (Vec<L>, Vec<R>) = split(items.into_par_iter(), sides);
        (FromL::from_par_iter(left), FromR::from_par_iter(right))
    }
}

fn sides<L, R>(either: Either<L, R>) -> (Option<L>, Option<R>) {
    match either {
        Either::Left(left) => (Some(left), None),
        Either::Right(right) => (None, Some(right)),
    }
}
