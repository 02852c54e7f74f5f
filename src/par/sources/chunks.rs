//! Slices in chunks, counted from the front or from the back.

use super::split::Run;
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{IndexedSource, Source};
use std::marker::PhantomData;

/// From which end the chunks are counted, and what the standard library calls them.
#[doc(hidden)]
pub trait Kind<V>: Send {
    const FROM_BACK: bool;
    fn chunks(run: V, size: usize) -> impl DoubleEndedIterator<Item = V>;
}

/// What is left of a slice in chunks.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct ChunkSource<V, K> {
    run: V,
    /// At least 1.
    size: usize,
    kind: PhantomData<K>,
}

impl<V: Run, K: Kind<V>> ChunkSource<V, K> {
    /// If chunks of this kind are never short, `size` divides the run's length.
    fn new(run: V, size: usize) -> Self {
        ChunkSource { run, size, kind: PhantomData }
    }

    /// The first `n` chunks and the others.
    #[inline]
    fn cut(run: V, size: usize, n: usize) -> (V, V) {
        let at = n.saturating_mul(size).min(run.size());
        if K::FROM_BACK {
            let at = run.size() - at;
            let (others, first) = run.cut(at);
            (first, others)
        } else {
            run.cut(at)
        }
    }
}

// SAFETY: exact: `len` counts the chunks, and the short one at the end, if this kind has it. A cut
// is a whole number of chunks away from where they are counted from, so neither part has others
// than the whole, and only the part with the end of the whole has a short one.
unsafe impl<V: Run, K: Kind<V>> Source for ChunkSource<V, K> {
    type Item = V;
    const EXACT: bool = true;
    #[inline]
    fn len(&self) -> usize {
        self.run.size().div_ceil(self.size)
    }
    #[inline]
    fn split_at(self, index: usize) -> (Self, Self) {
        let size = self.size;
        let (left, right) = Self::cut(self.run, size, index);
        (Self::new(left, size), Self::new(right, size))
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = V> {
        let (front, rest) = Self::cut(std::mem::take(&mut self.run), self.size, n);
        self.run = rest;
        K::chunks(front, self.size)
    }
}

impl<V: Run, K: Kind<V>> IndexedSource for ChunkSource<V, K> {
    #[inline]
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = V> {
        let left = self.len() - n;
        let (rest, back) = Self::cut(std::mem::take(&mut self.run), self.size, left);
        self.run = rest;
        K::chunks(back, self.size).rev()
    }
}

macro_rules! chunks {
    ($(
        $(#[$doc:meta])*
        $name:ident, $bound:ident, $slice:ty, $kind:ident from_back: $from_back:tt, $chunks:ident;
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        #[must_use = "parallel iterators are lazy and do nothing unless consumed"]
        pub struct $name<'data, T> {
            slice: $slice,
            size: usize,
        }

        impl<'data, T> $name<'data, T> {
            pub(crate) fn new(slice: $slice, size: usize) -> Self {
                $name { slice, size }
            }
        }

        chunks!(@iterator $name, $bound, $slice, $kind $from_back, $chunks);
    )*};
    // The same with a remainder, where chunks are never short.
    (exact: $(
        $(#[$doc:meta])*
        $name:ident, $bound:ident, $slice:ty, $kind:ident from_back: $from_back:tt, $chunks:ident,
        $split_at:ident;
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        #[must_use = "parallel iterators are lazy and do nothing unless consumed"]
        pub struct $name<'data, T> {
            /// As many items as there are in whole chunks.
            slice: $slice,
            remainder: $slice,
            size: usize,
        }

        impl<'data, T> $name<'data, T> {
            pub(crate) fn new(slice: $slice, size: usize) -> Self {
                let odd = slice.len() % size;
                if $from_back {
                    let (remainder, slice) = slice.$split_at(odd);
                    $name { slice, remainder, size }
                } else {
                    let at = slice.len() - odd;
                    let (slice, remainder) = slice.$split_at(at);
                    $name { slice, remainder, size }
                }
            }
        }

        chunks!(@iterator $name, $bound, $slice, $kind $from_back, $chunks);
    )*};
    (@iterator $name:ident, $bound:ident, $slice:ty, $kind:ident $from_back:tt, $chunks:ident) => {
        #[doc(hidden)]
        #[derive(Debug)]
        pub struct $kind;

        impl<'data, T: $bound> Kind<$slice> for $kind {
            const FROM_BACK: bool = $from_back;
            #[inline]
            fn chunks(run: $slice, size: usize) -> impl DoubleEndedIterator<Item = $slice> {
                run.$chunks(size)
            }
        }

        impl<'data, T: $bound> ParallelIterator for $name<'data, T> {
            type Item = $slice;
            type Source = ChunkSource<$slice, $kind>;
            unsafe fn source(&mut self) -> Self::Source {
                ChunkSource::new(std::mem::take(&mut self.slice), self.size)
            }
            fn opt_len(&self) -> Option<usize> {
                Some(self.slice.len().div_ceil(self.size))
            }
        }

        impl<T: $bound> IndexedParallelIterator for $name<'_, T> {}
    };
}

chunks! {
    /// What [`par_chunks`](crate::slice::ParallelSlice::par_chunks) returns.
    Chunks, Sync, &'data [T], Front from_back: false, chunks;
    /// What [`par_chunks_mut`](crate::slice::ParallelSliceMut::par_chunks_mut) returns.
    ChunksMut, Send, &'data mut [T], FrontMut from_back: false, chunks_mut;
    /// What [`par_rchunks`](crate::slice::ParallelSlice::par_rchunks) returns.
    RChunks, Sync, &'data [T], Back from_back: true, rchunks;
    /// What [`par_rchunks_mut`](crate::slice::ParallelSliceMut::par_rchunks_mut) returns.
    RChunksMut, Send, &'data mut [T], BackMut from_back: true, rchunks_mut;
}

chunks! { exact:
    /// What [`par_chunks_exact`](crate::slice::ParallelSlice::par_chunks_exact) returns.
    ChunksExact, Sync, &'data [T], FrontExact from_back: false, chunks_exact, split_at;
    /// What [`par_chunks_exact_mut`](crate::slice::ParallelSliceMut::par_chunks_exact_mut) returns.
    ChunksExactMut, Send, &'data mut [T], FrontExactMut from_back: false, chunks_exact_mut,
    split_at_mut;
    /// What [`par_rchunks_exact`](crate::slice::ParallelSlice::par_rchunks_exact) returns.
    RChunksExact, Sync, &'data [T], BackExact from_back: true, rchunks_exact, split_at;
    /// What [`par_rchunks_exact_mut`](crate::slice::ParallelSliceMut::par_rchunks_exact_mut)
    /// returns.
    RChunksExactMut, Send, &'data mut [T], BackExactMut from_back: true, rchunks_exact_mut,
    split_at_mut;
}

macro_rules! shared {
    ($($name:ident)*) => {$(
        impl<T> Clone for $name<'_, T> {
            fn clone(&self) -> Self {
                $name { ..*self }
            }
        }
    )*};
}
shared!(Chunks RChunks ChunksExact RChunksExact);

macro_rules! remainder {
    ($(
        $name:ident, $name_mut:ident, $method:literal, $method_mut:literal, $end:literal $odd:tt;
    )*) => {$(
        impl<'data, T> $name<'data, T> {
            #[doc = concat!("The items at the ", $end, " of the slice that are in no chunk, fewer")]
            /// than a chunk has.
            ///
            /// ```
            /// use windlass::prelude::*;
            #[doc = concat!("let chunks = [1, 2, 3].", $method, "(2);")]
            #[doc = concat!("assert_eq!(chunks.remainder(), [", $odd, "]);")]
            /// ```
            #[must_use]
            pub fn remainder(&self) -> &'data [T] {
                self.remainder
            }
        }

        impl<'data, T> $name_mut<'data, T> {
            #[doc = concat!("The items at the ", $end, " of the slice that are in no chunk, fewer")]
            /// than a chunk has. The chunks are given up.
            ///
            /// ```
            /// use windlass::prelude::*;
            /// let mut v = [1, 2, 3];
            #[doc = concat!("assert_eq!(v.", $method_mut, "(2).into_remainder(), [", $odd, "]);")]
            /// ```
            #[must_use]
            pub fn into_remainder(self) -> &'data mut [T] {
                self.remainder
            }

            #[doc = concat!("The items at the ", $end, " of the slice that are in no chunk, fewer")]
            /// than a chunk has; none if they were taken.
            ///
            /// ```
            /// use windlass::prelude::*;
            /// let mut v = [1, 2, 3];
            #[doc = concat!("assert_eq!(v.", $method_mut, "(2).remainder(), [", $odd, "]);")]
            /// ```
            #[must_use]
            pub fn remainder(&mut self) -> &mut [T] {
                self.remainder
            }

            #[doc = concat!("Takes the items at the ", $end, " of the slice that are in no chunk.")]
            /// The chunks are still there.
            ///
            /// ```
            /// use windlass::prelude::*;
            /// let mut v = [1, 2, 3];
            #[doc = concat!("let mut chunks = v.", $method_mut, "(2);")]
            #[doc = concat!("assert_eq!(chunks.take_remainder(), [", $odd, "]);")]
            /// assert_eq!((chunks.take_remainder().len(), chunks.len()), (0, 1));
            /// ```
            #[must_use]
            pub fn take_remainder(&mut self) -> &'data mut [T] {
                std::mem::take(&mut self.remainder)
            }
        }
    )*};
}

remainder! {
    ChunksExact, ChunksExactMut, "par_chunks_exact", "par_chunks_exact_mut", "end" 3;
    RChunksExact, RChunksExactMut, "par_rchunks_exact", "par_rchunks_exact_mut", "front" 1;
}
