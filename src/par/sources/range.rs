//! Ranges of integers and of characters.

use crate::par::convert::IntoParallelIterator;
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{IndexedSource, Source};
use std::fmt::Debug;
use std::ops::{Range, RangeInclusive};

/// What a parallel range can be made of: integers and `char`. It cannot be implemented outside of
/// this crate.
pub trait RangeItem: private::Sealed + Copy + Send + Debug + PartialOrd {
    #[doc(hidden)]
    type Count: Count;
    /// The item so many places after this one.
    #[doc(hidden)]
    fn after(self, offset: usize) -> Self;
    /// The same for a distance that came from `split`.
    #[doc(hidden)]
    fn far_after(self, offset: Self::Count) -> Self;
    /// How many places `to`, which is not less, is after this one.
    #[doc(hidden)]
    fn distance(self, to: Self) -> Self::Count;
}

/// A [`RangeItem`] of whose type there are few enough for a `usize` to count a range of them. It
/// cannot be implemented outside of this crate.
pub trait IndexedRangeItem: RangeItem<Count = usize> {}

/// How many items a range has.
#[doc(hidden)]
pub trait Count: Copy + Send + Debug {
    const EXACT: bool;
    const ZERO: Self;
    fn plus_one(self) -> Option<Self>;
    fn units(self) -> usize;
    /// What the first `index` units are, and what is left.
    fn split(self, index: usize) -> (Self, Self);
}

impl Count for usize {
    const EXACT: bool = true;
    const ZERO: usize = 0;
    fn plus_one(self) -> Option<usize> {
        self.checked_add(1)
    }
    #[inline]
    fn units(self) -> usize {
        self
    }
    #[inline]
    fn split(self, index: usize) -> (usize, usize) {
        (index, self - index)
    }
}

impl Count for u128 {
    const EXACT: bool = false;
    const ZERO: u128 = 0;
    fn plus_one(self) -> Option<u128> {
        self.checked_add(1)
    }
    fn units(self) -> usize {
        usize::try_from(self).unwrap_or(usize::MAX)
    }
    /// Halves what is too long for a `usize`, if asked for so much.
    fn split(self, index: usize) -> (u128, u128) {
        let is_long = self > usize::MAX as u128 && index > usize::MAX / 2;
        let first = if is_long { self / 2 } else { index as u128 };
        (first, self - first)
    }
}

mod private {
    pub trait Sealed {}
}

macro_rules! integers {
    ($count:ty: $($int:ty)*) => {$(
        impl private::Sealed for $int {}
        impl RangeItem for $int {
            type Count = $count;
            #[inline(always)]
            fn after(self, offset: usize) -> $int {
                self.wrapping_add(offset as $int)
            }
            #[inline(always)]
            fn far_after(self, offset: $count) -> $int {
                self.wrapping_add(offset as $int)
            }
            #[inline(always)]
            fn distance(self, to: $int) -> $count {
                to.abs_diff(self) as $count
            }
        }
    )*};
}

macro_rules! indexed {
    ($($int:ty)*) => {$(impl IndexedRangeItem for $int {})*};
}

integers! { usize: u8 u16 u32 usize i8 i16 i32 isize }
indexed! { u8 u16 u32 usize i8 i16 i32 isize char }
integers! { u128: u128 i128 }

#[cfg(target_pointer_width = "64")]
integers! { usize: u64 i64 }
#[cfg(target_pointer_width = "64")]
indexed! { u64 i64 }
#[cfg(not(target_pointer_width = "64"))]
integers! { u128: u64 i64 }

/// Numbers the characters without the gap of the surrogates.
fn index_of(c: char) -> usize {
    let code = c as usize;
    if code < 0xD800 { code } else { code - 0x800 }
}

impl private::Sealed for char {}
impl RangeItem for char {
    type Count = usize;
    #[inline]
    fn after(self, offset: usize) -> char {
        let index = index_of(self) + offset;
        let code = if index < 0xD800 { index } else { index + 0x800 };
        // There may be no character at the very end of a range, where none is taken either.
        char::from_u32(code as u32).unwrap_or(char::MAX)
    }
    #[inline]
    fn far_after(self, offset: usize) -> char {
        self.after(offset)
    }
    fn distance(self, to: char) -> usize {
        index_of(to) - index_of(self)
    }
}

/// A parallel iterator over a range of integers or characters.
///
/// It is a first item, and how many there are: so it can hold the last value of its type too.
#[derive(Clone, Debug)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct RangeIter<T: RangeItem> {
    start: T,
    len: T::Count,
}

// SAFETY: exact, if a `usize` counts it: a run of so many numbers.
unsafe impl<T: RangeItem> Source for RangeIter<T> {
    type Item = T;
    const EXACT: bool = T::Count::EXACT;
    #[inline]
    fn len(&self) -> usize {
        self.len.units()
    }
    #[inline]
    fn split_at(self, index: usize) -> (Self, Self) {
        let (left, right) = self.len.split(index);
        (
            RangeIter { start: self.start, len: left },
            RangeIter { start: self.start.far_after(left), len: right },
        )
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = T> {
        let start = self.start;
        self.start = start.after(n);
        // A batch is never so long that `split` would halve the rest.
        self.len = self.len.split(n).1;
        (0..n).map(move |offset| start.after(offset))
    }
}

impl<T: IndexedRangeItem> IndexedSource for RangeIter<T> {
    #[inline]
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = T> {
        self.len -= n;
        let start = self.start.after(self.len);
        (0..n).rev().map(move |offset| start.after(offset))
    }
}

impl<T: RangeItem> ParallelIterator for RangeIter<T> {
    type Item = T;
    type Source = Self;
    unsafe fn source(&mut self) -> Self {
        self.clone()
    }
    fn opt_len(&self) -> Option<usize> {
        T::Count::EXACT.then(|| self.len.units())
    }
}

impl<T: IndexedRangeItem> IndexedParallelIterator for RangeIter<T> {}

impl<T: RangeItem> IntoParallelIterator for Range<T> {
    type Iter = RangeIter<T>;
    type Item = T;
    #[inline]
    fn into_par_iter(self) -> RangeIter<T> {
        let Range { start, end } = self;
        let len = if start < end { start.distance(end) } else { T::Count::ZERO };
        RangeIter { start, len }
    }
}

impl<T: RangeItem> IntoParallelIterator for RangeInclusive<T> {
    type Iter = RangeIter<T>;
    type Item = T;
    /// # Panics
    /// If there are more items than can be counted: all of the largest type's.
    #[track_caller]
    fn into_par_iter(self) -> RangeIter<T> {
        let start = *self.start();
        // Not by the bounds alone: the range may have been iterated over to its end.
        let len = if self.is_empty() {
            T::Count::ZERO
        } else {
            start.distance(*self.end()).plus_one().expect("the number of items can be counted")
        };
        RangeIter { start, len }
    }
}
