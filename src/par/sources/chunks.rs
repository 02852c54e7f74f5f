//! Slices in chunks.

use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{IndexedSource, Source};

/// What [`par_chunks`](crate::slice::ParallelSlice::par_chunks) returns.
#[derive(Clone, Debug)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct Chunks<'data, T> {
    slice: &'data [T],
    size: usize,
}

/// What [`par_chunks_mut`](crate::slice::ParallelSliceMut::par_chunks_mut) returns.
#[derive(Debug)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct ChunksMut<'data, T> {
    slice: &'data mut [T],
    size: usize,
}

impl<'data, T> Chunks<'data, T> {
    pub(crate) fn new(slice: &'data [T], size: usize) -> Self {
        Chunks { slice, size }
    }
}

impl<'data, T> ChunksMut<'data, T> {
    pub(crate) fn new(slice: &'data mut [T], size: usize) -> Self {
        ChunksMut { slice, size }
    }
}

macro_rules! chunks {
    ($name:ident, $bound:ident, $item:ty, |$this:ident| $take:expr, $split_at:ident, $chunks:ident) => {
        // SAFETY: exact: cut between chunks.
        unsafe impl<'data, T: $bound> Source for $name<'data, T> {
            type Item = $item;
            const EXACT: bool = true;
            #[inline]
            fn len(&self) -> usize {
                self.slice.len().div_ceil(self.size)
            }
            #[inline]
            fn split_at(self, index: usize) -> (Self, Self) {
                let at = index.saturating_mul(self.size).min(self.slice.len());
                let (left, right) = self.slice.$split_at(at);
                ($name::new(left, self.size), $name::new(right, self.size))
            }
            #[inline]
            fn take_front(&mut self, n: usize) -> impl Iterator<Item = $item> {
                let at = n.saturating_mul(self.size).min(self.slice.len());
                let $this = &mut *self;
                let (front, rest) = $take.$split_at(at);
                self.slice = rest;
                front.$chunks(self.size)
            }
        }

        impl<'data, T: $bound> IndexedSource for $name<'data, T> {
            #[inline]
            fn take_back(&mut self, n: usize) -> impl Iterator<Item = $item> {
                let at = (Source::len(self) - n).saturating_mul(self.size).min(self.slice.len());
                let $this = &mut *self;
                let (rest, back) = $take.$split_at(at);
                self.slice = rest;
                back.$chunks(self.size).rev()
            }
        }

        impl<'data, T: $bound> ParallelIterator for $name<'data, T> {
            type Item = $item;
            type Source = Self;
            unsafe fn source(&mut self) -> Self {
                let $this = &mut *self;
                $name::new($take, self.size)
            }
            fn opt_len(&self) -> Option<usize> {
                Some(Source::len(self))
            }
        }

        impl<T: $bound> IndexedParallelIterator for $name<'_, T> {}
    };
}

chunks!(Chunks, Sync, &'data [T], |this| this.slice, split_at, chunks);
chunks!(
    ChunksMut,
    Send,
    &'data mut [T],
    |this| std::mem::take(&mut this.slice),
    split_at_mut,
    chunks_mut
);
