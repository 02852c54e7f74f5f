//! Slices, by shared and by exclusive reference.

use crate::par::convert::IntoParallelIterator;
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{IndexedSource, Source};

// SAFETY: exact, as slices are.
unsafe impl<'a, T: Sync> Source for &'a [T] {
    type Item = &'a T;
    const EXACT: bool = true;
    #[inline]
    fn len(&self) -> usize {
        <[T]>::len(self)
    }
    #[inline]
    fn split_at(self, index: usize) -> (Self, Self) {
        <[T]>::split_at(self, index)
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = &'a T> {
        let (front, rest) = <[T]>::split_at(self, n);
        *self = rest;
        front.iter()
    }
}

impl<'a, T: Sync> IndexedSource for &'a [T] {
    #[inline]
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = &'a T> {
        let (rest, back) = <[T]>::split_at(self, <[T]>::len(self) - n);
        *self = rest;
        back.iter().rev()
    }
}

// SAFETY: exact, as slices are.
unsafe impl<'a, T: Send> Source for &'a mut [T] {
    type Item = &'a mut T;
    const EXACT: bool = true;
    #[inline]
    fn len(&self) -> usize {
        <[T]>::len(self)
    }
    #[inline]
    fn split_at(self, index: usize) -> (Self, Self) {
        self.split_at_mut(index)
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = &'a mut T> {
        let (front, rest) = std::mem::take(self).split_at_mut(n);
        *self = rest;
        front.iter_mut()
    }
}

impl<'a, T: Send> IndexedSource for &'a mut [T] {
    #[inline]
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = &'a mut T> {
        let slice = std::mem::take(self);
        let at = slice.len() - n;
        let (rest, back) = slice.split_at_mut(at);
        *self = rest;
        back.iter_mut().rev()
    }
}

/// A parallel iterator over references to the items of a slice.
#[derive(Debug)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct Iter<'data, T> {
    slice: &'data [T],
}

impl<T> Clone for Iter<'_, T> {
    fn clone(&self) -> Self {
        Iter { slice: self.slice }
    }
}

impl<'data, T: Sync> ParallelIterator for Iter<'data, T> {
    type Item = &'data T;
    type Source = &'data [T];
    unsafe fn source(&mut self) -> Self::Source {
        self.slice
    }
    fn opt_len(&self) -> Option<usize> {
        Some(self.slice.len())
    }
}

impl<T: Sync> IndexedParallelIterator for Iter<'_, T> {}

/// A parallel iterator over exclusive references to the items of a slice.
#[derive(Debug)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct IterMut<'data, T> {
    slice: &'data mut [T],
}

impl<'data, T: Send> ParallelIterator for IterMut<'data, T> {
    type Item = &'data mut T;
    type Source = &'data mut [T];
    unsafe fn source(&mut self) -> Self::Source {
        std::mem::take(&mut self.slice)
    }
    fn opt_len(&self) -> Option<usize> {
        Some(self.slice.len())
    }
}

impl<T: Send> IndexedParallelIterator for IterMut<'_, T> {}

macro_rules! by_reference {
    ($([$($generics:tt)*] $from:ty;)*) => {$(
        impl<'data, T: Sync, $($generics)*> IntoParallelIterator for &'data $from {
            type Iter = Iter<'data, T>;
            type Item = &'data T;
            #[inline]
            fn into_par_iter(self) -> Iter<'data, T> {
                Iter { slice: self }
            }
        }

        impl<'data, T: Send, $($generics)*> IntoParallelIterator for &'data mut $from {
            type Iter = IterMut<'data, T>;
            type Item = &'data mut T;
            #[inline]
            fn into_par_iter(self) -> IterMut<'data, T> {
                IterMut { slice: self }
            }
        }
    )*};
}

by_reference! {
    [] [T];
    [] Vec<T>;
    [] Box<[T]>;
    [const N: usize] [T; N];
}
