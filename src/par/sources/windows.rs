//! The windows of slices, which overlap.

use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{IndexedSource, Source};

/// How long windows are, and as what they are yielded.
#[doc(hidden)]
pub trait Shape<'data, T>: Copy + Send {
    type Item;
    /// At least 1.
    fn size(self) -> usize;
    fn windows(self, slice: &'data [T]) -> impl DoubleEndedIterator<Item = Self::Item>;
}

/// Slices of so many items.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Slices(usize);

impl<'data, T: 'data> Shape<'data, T> for Slices {
    type Item = &'data [T];
    #[inline]
    fn size(self) -> usize {
        self.0
    }
    #[inline]
    fn windows(self, slice: &'data [T]) -> impl DoubleEndedIterator<Item = &'data [T]> {
        slice.windows(self.0)
    }
}

/// Arrays of `N` items.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Arrays<const N: usize>;

impl<'data, T: 'data, const N: usize> Shape<'data, T> for Arrays<N> {
    type Item = &'data [T; N];
    #[inline]
    fn size(self) -> usize {
        N
    }
    #[inline]
    fn windows(self, slice: &'data [T]) -> impl DoubleEndedIterator<Item = &'data [T; N]> {
        slice.array_windows()
    }
}

/// The slice that the windows which are left lie in, or an empty one.
#[doc(hidden)]
#[derive(Debug)]
pub struct WindowSource<'data, T, W> {
    slice: &'data [T],
    shape: W,
}

impl<'data, T, W: Shape<'data, T>> WindowSource<'data, T, W> {
    /// What `n` windows from the `first` one on lie in.
    #[inline]
    fn span(&self, first: usize, n: usize) -> &'data [T] {
        let len = if n == 0 { 0 } else { n + (self.shape.size() - 1) };
        &self.slice[first..first + len]
    }
}

// SAFETY: exact: a window begins at each item of the slice but the last `size - 1`, and a part gets
// the items of its windows and no others.
unsafe impl<'data, T: Sync, W: Shape<'data, T>> Source for WindowSource<'data, T, W> {
    type Item = W::Item;
    const EXACT: bool = true;
    #[inline]
    fn len(&self) -> usize {
        self.slice.len().saturating_sub(self.shape.size() - 1)
    }
    #[inline]
    fn split_at(self, index: usize) -> (Self, Self) {
        let left = self.span(0, index);
        let right = self.span(index, self.len() - index);
        (WindowSource { slice: left, ..self }, WindowSource { slice: right, ..self })
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = W::Item> {
        let front = self.span(0, n);
        self.slice = self.span(n, self.len() - n);
        self.shape.windows(front)
    }
}

impl<'data, T: Sync, W: Shape<'data, T>> IndexedSource for WindowSource<'data, T, W> {
    #[inline]
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = W::Item> {
        let rest = self.len() - n;
        let back = self.span(rest, n);
        self.slice = self.span(0, rest);
        self.shape.windows(back).rev()
    }
}

/// What [`par_windows`](crate::slice::ParallelSlice::par_windows) returns.
#[derive(Debug)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct Windows<'data, T> {
    slice: &'data [T],
    shape: Slices,
}

impl<'data, T> Windows<'data, T> {
    /// `size` is at least 1.
    pub(crate) fn new(slice: &'data [T], size: usize) -> Self {
        Windows { slice, shape: Slices(size) }
    }
}

impl<T> Clone for Windows<'_, T> {
    fn clone(&self) -> Self {
        Windows { ..*self }
    }
}

impl<'data, T: Sync> ParallelIterator for Windows<'data, T> {
    type Item = &'data [T];
    type Source = WindowSource<'data, T, Slices>;
    unsafe fn source(&mut self) -> Self::Source {
        WindowSource { slice: self.slice, shape: self.shape }
    }
    fn opt_len(&self) -> Option<usize> {
        Some(self.slice.len().saturating_sub(self.shape.0 - 1))
    }
}

impl<T: Sync> IndexedParallelIterator for Windows<'_, T> {}

/// What [`par_array_windows`](crate::slice::ParallelSlice::par_array_windows) returns.
#[derive(Debug)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct ArrayWindows<'data, T, const N: usize> {
    slice: &'data [T],
}

impl<'data, T, const N: usize> ArrayWindows<'data, T, N> {
    /// `N` is at least 1.
    pub(crate) fn new(slice: &'data [T]) -> Self {
        ArrayWindows { slice }
    }
}

impl<T, const N: usize> Clone for ArrayWindows<'_, T, N> {
    fn clone(&self) -> Self {
        ArrayWindows { ..*self }
    }
}

impl<'data, T: Sync, const N: usize> ParallelIterator for ArrayWindows<'data, T, N> {
    type Item = &'data [T; N];
    type Source = WindowSource<'data, T, Arrays<N>>;
    unsafe fn source(&mut self) -> Self::Source {
        WindowSource { slice: self.slice, shape: Arrays }
    }
    fn opt_len(&self) -> Option<usize> {
        Some(self.slice.len().saturating_sub(N - 1))
    }
}

impl<T: Sync, const N: usize> IndexedParallelIterator for ArrayWindows<'_, T, N> {}
