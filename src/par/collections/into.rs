//! From the collections of the standard library to parallel iterators.

use crate::par::adapters::Chain;
use crate::par::convert::IntoParallelIterator;
use crate::par::iter::ParallelIterator as _;
use crate::par::sources::once::Once;
use crate::par::sources::slice::{Iter, IterMut};
use crate::par::sources::vec::IntoIter;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};

/// The expression says how a collection becomes the parallel iterator.
macro_rules! into_par_iter {
    ($([$($generics:tt)*] $from:ty => $iter:ty, $item:ty, |$this:ident| $into:expr;)*) => {$(
        impl<$($generics)*> IntoParallelIterator for $from {
            type Iter = $iter;
            type Item = $item;
            fn into_par_iter(self) -> $iter {
                let $this = self;
                $into
            }
        }
    )*};
}

into_par_iter! {
    // Two slices, end to end.
    ['a, T: Sync] &'a VecDeque<T> => Chain<Iter<'a, T>, Iter<'a, T>>, &'a T, |deque| {
        let (front, back) = deque.as_slices();
        front.into_par_iter().chain(back)
    };
    ['a, T: Send] &'a mut VecDeque<T> => Chain<IterMut<'a, T>, IterMut<'a, T>>, &'a mut T, |deque| {
        let (front, back) = deque.as_mut_slices();
        front.into_par_iter().chain(back)
    };
    // A vector that may have to be rotated first.
    [T: Send] VecDeque<T> => IntoIter<T>, T, |deque| Vec::from(deque).into_par_iter();

    // A vector.
    ['a, T: Sync] &'a BinaryHeap<T> => Iter<'a, T>, &'a T, |heap| heap.as_slice().into_par_iter();
    [T: Send] BinaryHeap<T> => IntoIter<T>, T, |heap| heap.into_vec().into_par_iter();

    // At most one item.
    [T: Send] Option<T> => Once<T>, T, |item| Once::new(item);
    ['a, T: Sync] &'a Option<T> => Once<&'a T>, &'a T, |item| Once::new(item.as_ref());
    ['a, T: Send] &'a mut Option<T> => Once<&'a mut T>, &'a mut T, |item| Once::new(item.as_mut());
    [T: Send, E] Result<T, E> => Once<T>, T, |result| Once::new(result.ok());
    ['a, T: Sync, E] &'a Result<T, E> => Once<&'a T>, &'a T, |result| {
        Once::new(result.as_ref().ok())
    };
    ['a, T: Send, E] &'a mut Result<T, E> => Once<&'a mut T>, &'a mut T, |result| {
        Once::new(result.as_mut().ok())
    };

    // A slice. One that is borrowed is cloned if it is to be iterated over by value.
    ['a, T: Sync + Clone] &'a Cow<'_, [T]> => Iter<'a, T>, &'a T, |items| items[..].into_par_iter();
    [T: Send + Clone] Cow<'_, [T]> => IntoIter<T>, T, |items| items.into_owned().into_par_iter();
}

/// Collections that cannot be cut: their items, or references to them, are gathered into a vector.
macro_rules! gathered {
    ($([$($generics:tt)*] $from:ty => $item:ty;)*) => {
        into_par_iter! {$(
            [$($generics)*] $from => IntoIter<$item>, $item, |items| {
                Vec::from_iter(items).into_par_iter()
            };
        )*}
    };
}

gathered! {
    ['a, K: Sync, V: Sync, S] &'a HashMap<K, V, S> => (&'a K, &'a V);
    ['a, K: Sync, V: Send, S] &'a mut HashMap<K, V, S> => (&'a K, &'a mut V);
    [K: Send, V: Send, S] HashMap<K, V, S> => (K, V);
    ['a, T: Sync, S] &'a HashSet<T, S> => &'a T;
    [T: Send, S] HashSet<T, S> => T;
    ['a, K: Sync, V: Sync] &'a BTreeMap<K, V> => (&'a K, &'a V);
    ['a, K: Sync, V: Send] &'a mut BTreeMap<K, V> => (&'a K, &'a mut V);
    [K: Send, V: Send] BTreeMap<K, V> => (K, V);
    ['a, T: Sync] &'a BTreeSet<T> => &'a T;
    [T: Send] BTreeSet<T> => T;
    ['a, T: Sync] &'a LinkedList<T> => &'a T;
    ['a, T: Send] &'a mut LinkedList<T> => &'a mut T;
    [T: Send] LinkedList<T> => T;
}
