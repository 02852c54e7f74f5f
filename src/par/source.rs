//! What a parallel loop runs over: sources that know their length, split in two, and are eaten from
//! the front.

use std::ops::Range;
use std::ptr::NonNull;

/// Something that the `par_*` functions can run over: `&[T]`, `&Vec<T>`, `&[T; N]`, the same with
/// `&mut`, `Vec<T>` and `[T; N]` by value, and ranges of integers.
///
/// It cannot be implemented outside of this crate.
pub trait IntoSource: private::Sealed {
    /// What the closure gets.
    type Item;
    #[doc(hidden)]
    type Source: Source<Item = Self::Item>;
    /// What owns the memory that the source reads from.
    #[doc(hidden)]
    type Owner;
    /// Splits into the owner and the source.
    ///
    /// # Safety
    /// The owner outlives the source and all its parts.
    #[doc(hidden)]
    unsafe fn into_parts(self) -> (Self::Owner, Self::Source);
}

/// A source of known length.
#[doc(hidden)]
pub trait Source: Sized + Send {
    /// What it yields.
    type Item;
    /// How many items are left.
    fn len(&self) -> usize;
    /// The first `index` items and the rest; `index` is at most `len`.
    fn split_at(self, index: usize) -> (Self, Self);
    /// Eats `n` items from the front; `n` is at most `len`.
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = Self::Item>;
}

mod private {
    pub trait Sealed {}
}

// ---- shared and exclusive slices

impl<'a, T: Sync> Source for &'a [T] {
    type Item = &'a T;
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

impl<'a, T: Send> Source for &'a mut [T] {
    type Item = &'a mut T;
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

macro_rules! by_reference {
    ($([$($generics:tt)*] $from:ty => $slice:ty, $item:ty;)*) => {$(
        impl<$($generics)*> private::Sealed for $from {}
        impl<$($generics)*> IntoSource for $from {
            type Item = $item;
            type Source = $slice;
            type Owner = ();
            #[inline]
            unsafe fn into_parts(self) -> ((), $slice) {
                ((), self)
            }
        }
    )*};
}

by_reference! {
    ['a, T: Sync] &'a [T] => &'a [T], &'a T;
    ['a, T: Sync] &'a Vec<T> => &'a [T], &'a T;
    ['a, T: Sync, const N: usize] &'a [T; N] => &'a [T], &'a T;
    ['a, T: Send] &'a mut [T] => &'a mut [T], &'a mut T;
    ['a, T: Send] &'a mut Vec<T> => &'a mut [T], &'a mut T;
    ['a, T: Send, const N: usize] &'a mut [T; N] => &'a mut [T], &'a mut T;
}

// ---- chunks

/// A shared slice in pieces of `size` items; the last one may be shorter.
pub(crate) struct Chunks<'a, T> {
    pub(crate) slice: &'a [T],
    pub(crate) size: usize,
}

impl<'a, T: Sync> Source for Chunks<'a, T> {
    type Item = &'a [T];
    fn len(&self) -> usize {
        self.slice.len().div_ceil(self.size)
    }
    fn split_at(self, index: usize) -> (Self, Self) {
        let at = index.saturating_mul(self.size).min(self.slice.len());
        let (front, rest) = self.slice.split_at(at);
        (Chunks { slice: front, ..self }, Chunks { slice: rest, ..self })
    }
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = &'a [T]> {
        let at = n.saturating_mul(self.size).min(self.slice.len());
        let (front, rest) = self.slice.split_at(at);
        self.slice = rest;
        front.chunks(self.size)
    }
}

/// An exclusive slice in pieces, each with its index.
pub(crate) struct ChunksMut<'a, T> {
    pub(crate) slice: &'a mut [T],
    pub(crate) size: usize,
    pub(crate) first: usize,
}

impl<'a, T: Send> Source for ChunksMut<'a, T> {
    type Item = (usize, &'a mut [T]);
    fn len(&self) -> usize {
        self.slice.len().div_ceil(self.size)
    }
    fn split_at(self, index: usize) -> (Self, Self) {
        let ChunksMut { slice, size, first } = self;
        let at = index.saturating_mul(size).min(slice.len());
        let (front, rest) = slice.split_at_mut(at);
        (
            ChunksMut { slice: front, size, first },
            ChunksMut { slice: rest, size, first: first + index },
        )
    }
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = (usize, &'a mut [T])> {
        let at = n.saturating_mul(self.size).min(self.slice.len());
        let (front, rest) = std::mem::take(&mut self.slice).split_at_mut(at);
        self.slice = rest;
        let first = self.first;
        self.first += n;
        (first..).zip(front.chunks_mut(self.size))
    }
}

// ---- owned vectors and arrays

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

impl<T: Send> Source for Owned<T> {
    type Item = T;
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

impl<T: Send> private::Sealed for Vec<T> {}
impl<T: Send> IntoSource for Vec<T> {
    type Item = T;
    type Source = Owned<T>;
    type Owner = Vec<T>;
    unsafe fn into_parts(mut self) -> (Vec<T>, Owned<T>) {
        let len = self.len();
        // SAFETY: fewer items than before; the source owns them from here on.
        unsafe { self.set_len(0) };
        // SAFETY: a Vec's pointer is never null.
        let first = unsafe { NonNull::new_unchecked(self.as_mut_ptr()) };
        (self, Owned { first, len })
    }
}

impl<T: Send, const N: usize> private::Sealed for [T; N] {}
impl<T: Send, const N: usize> IntoSource for [T; N] {
    type Item = T;
    type Source = Owned<T>;
    // On the heap, because the owner is moved after the source was made.
    type Owner = Vec<T>;
    unsafe fn into_parts(self) -> (Vec<T>, Owned<T>) {
        // SAFETY: by contract.
        unsafe { IntoSource::into_parts(Vec::from(self)) }
    }
}

// ---- integer ranges

macro_rules! ranges {
    ($($int:ty)*) => {$(
        impl Source for Range<$int> {
            type Item = $int;
            #[inline]
            fn len(&self) -> usize {
                if self.start < self.end { self.end.abs_diff(self.start) as usize } else { 0 }
            }
            #[inline]
            fn split_at(self, index: usize) -> (Self, Self) {
                let mid = self.start.wrapping_add(index as $int);
                (self.start..mid, mid..self.end)
            }
            #[inline]
            fn take_front(&mut self, n: usize) -> impl Iterator<Item = $int> {
                let mid = self.start.wrapping_add(n as $int);
                let front = self.start..mid;
                self.start = mid;
                front
            }
        }
        impl private::Sealed for Range<$int> {}
        impl IntoSource for Range<$int> {
            type Item = $int;
            type Source = Range<$int>;
            type Owner = ();
            #[inline]
            unsafe fn into_parts(self) -> ((), Self) {
                ((), self)
            }
        }
    )*};
}

ranges! { u8 u16 u32 usize i8 i16 i32 isize }
#[cfg(target_pointer_width = "64")]
ranges! { u64 i64 }
