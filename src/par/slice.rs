//! The parallel methods of slices.

use super::sort;
use super::sources::chunks::{
    Chunks, ChunksExact, ChunksExactMut, ChunksMut, RChunks, RChunksExact, RChunksExactMut,
    RChunksMut,
};
use super::sources::split::{
    ChunkBy, ChunkByMut, Split, SplitInclusive, SplitInclusiveMut, SplitMut,
};
use super::sources::windows::{ArrayWindows, Windows};
use std::cmp::Ordering;

#[track_caller]
fn check_size(size: usize) {
    assert!(size > 0, "the size of a chunk must be at least 1");
}

/// Parallel methods of slices, by shared reference.
pub trait ParallelSlice<T: Sync> {
    /// The slice itself.
    fn as_parallel_slice(&self) -> &[T];

    /// What is between the items that `separator` holds for, as [`split`](slice::split).
    ///
    /// The work is shared at separators, so a slice without any is one piece of work.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<&[i32]> = [1, 0, 2, 3, 0].par_split(|&n| n == 0).collect();
    /// assert_eq!(v, [&[1][..], &[2, 3], &[]]);
    /// ```
    fn par_split<P>(&self, separator: P) -> Split<'_, T, P>
    where
        P: Fn(&T) -> bool + Sync + Send,
    {
        Split::new(self.as_parallel_slice(), separator)
    }

    /// [`par_split`](Self::par_split) with the separator at the end of each part, as
    /// [`split_inclusive`](slice::split_inclusive).
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<&[i32]> = [1, 0, 2, 3, 0].par_split_inclusive(|&n| n == 0).collect();
    /// assert_eq!(v, [&[1, 0][..], &[2, 3, 0]]);
    /// ```
    fn par_split_inclusive<P>(&self, separator: P) -> SplitInclusive<'_, T, P>
    where
        P: Fn(&T) -> bool + Sync + Send,
    {
        SplitInclusive::new(self.as_parallel_slice(), separator)
    }

    /// Every `window_size` items that are side by side. The windows overlap.
    ///
    /// # Panics
    /// If `window_size` is 0.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let is_sorted = [1, 2, 4].par_windows(2).all(|pair| pair[0] <= pair[1]);
    /// assert!(is_sorted);
    /// ```
    #[track_caller]
    fn par_windows(&self, window_size: usize) -> Windows<'_, T> {
        assert!(window_size > 0, "the size of a window must be at least 1");
        Windows::new(self.as_parallel_slice(), window_size)
    }

    /// [`par_windows`](Self::par_windows) as arrays. That `N` is not 0 is checked by the compiler.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let steps: Vec<i32> = [1, 2, 4].par_array_windows().map(|[a, b]| b - a).collect();
    /// assert_eq!(steps, [1, 2]);
    /// ```
    fn par_array_windows<const N: usize>(&self) -> ArrayWindows<'_, T, N> {
        const { assert!(N > 0, "the size of a window must be at least 1") }
        ArrayWindows::new(self.as_parallel_slice())
    }

    /// Chunks of `chunk_size` items; the last one may be shorter.
    ///
    /// # Panics
    /// If `chunk_size` is 0.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<&[i32]> = [1, 2, 3].par_chunks(2).collect();
    /// assert_eq!(v, [&[1, 2][..], &[3]]);
    /// ```
    #[track_caller]
    fn par_chunks(&self, chunk_size: usize) -> Chunks<'_, T> {
        check_size(chunk_size);
        Chunks::new(self.as_parallel_slice(), chunk_size)
    }

    /// Chunks of `chunk_size` items. What does not fill one is left in
    /// [`remainder`](ChunksExact::remainder).
    ///
    /// # Panics
    /// If `chunk_size` is 0.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let chunks = [1, 2, 3].par_chunks_exact(2);
    /// assert_eq!(chunks.remainder(), [3]);
    /// assert_eq!(chunks.collect::<Vec<_>>(), [[1, 2]]);
    /// ```
    #[track_caller]
    fn par_chunks_exact(&self, chunk_size: usize) -> ChunksExact<'_, T> {
        check_size(chunk_size);
        ChunksExact::new(self.as_parallel_slice(), chunk_size)
    }

    /// Chunks of `chunk_size` items from the end of the slice; the last one, at its front, may be
    /// shorter.
    ///
    /// # Panics
    /// If `chunk_size` is 0.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<&[i32]> = [1, 2, 3].par_rchunks(2).collect();
    /// assert_eq!(v, [&[2, 3][..], &[1]]);
    /// ```
    #[track_caller]
    fn par_rchunks(&self, chunk_size: usize) -> RChunks<'_, T> {
        check_size(chunk_size);
        RChunks::new(self.as_parallel_slice(), chunk_size)
    }

    /// Chunks of `chunk_size` items from the end of the slice. What does not fill one is left in
    /// [`remainder`](RChunksExact::remainder).
    ///
    /// # Panics
    /// If `chunk_size` is 0.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let chunks = [1, 2, 3].par_rchunks_exact(2);
    /// assert_eq!(chunks.remainder(), [1]);
    /// assert_eq!(chunks.collect::<Vec<_>>(), [[2, 3]]);
    /// ```
    #[track_caller]
    fn par_rchunks_exact(&self, chunk_size: usize) -> RChunksExact<'_, T> {
        check_size(chunk_size);
        RChunksExact::new(self.as_parallel_slice(), chunk_size)
    }

    /// Runs of items in which `pred` holds for each item and the next, as
    /// [`chunk_by`](slice::chunk_by).
    ///
    /// The work is shared at the ends of runs, so a slice of one run is one piece of work.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<&[i32]> = [1, 1, 2, 3, 3].par_chunk_by(|a, b| a == b).collect();
    /// assert_eq!(v, [&[1, 1][..], &[2], &[3, 3]]);
    /// ```
    fn par_chunk_by<F>(&self, pred: F) -> ChunkBy<'_, T, F>
    where
        F: Fn(&T, &T) -> bool + Send + Sync,
    {
        ChunkBy::new(self.as_parallel_slice(), pred)
    }
}

impl<T: Sync> ParallelSlice<T> for [T] {
    fn as_parallel_slice(&self) -> &[T] {
        self
    }
}

/// Parallel methods of slices, by exclusive reference.
pub trait ParallelSliceMut<T: Send> {
    /// The slice itself.
    fn as_parallel_slice_mut(&mut self) -> &mut [T];

    /// What is between the items that `separator` holds for, as [`split_mut`](slice::split_mut).
    ///
    /// The work is shared at separators, so a slice without any is one piece of work.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = [1, 2, 0, 3, 4, 5];
    /// v.par_split_mut(|&n| n == 0).for_each(|part| part.reverse());
    /// assert_eq!(v, [2, 1, 0, 5, 4, 3]);
    /// ```
    fn par_split_mut<P>(&mut self, separator: P) -> SplitMut<'_, T, P>
    where
        P: Fn(&T) -> bool + Sync + Send,
    {
        SplitMut::new(self.as_parallel_slice_mut(), separator)
    }

    /// [`par_split_mut`](Self::par_split_mut) with the separator at the end of each part, as
    /// [`split_inclusive_mut`](slice::split_inclusive_mut).
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = [1, 2, 0, 3, 4, 5];
    /// v.par_split_inclusive_mut(|&n| n == 0).for_each(|part| part.reverse());
    /// assert_eq!(v, [0, 2, 1, 5, 4, 3]);
    /// ```
    fn par_split_inclusive_mut<P>(&mut self, separator: P) -> SplitInclusiveMut<'_, T, P>
    where
        P: Fn(&T) -> bool + Sync + Send,
    {
        SplitInclusiveMut::new(self.as_parallel_slice_mut(), separator)
    }

    /// Chunks of `chunk_size` items; the last one may be shorter.
    ///
    /// # Panics
    /// If `chunk_size` is 0.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = [0; 3];
    /// v.par_chunks_mut(2).enumerate().for_each(|(row, chunk)| chunk.fill(row));
    /// assert_eq!(v, [0, 0, 1]);
    /// ```
    #[track_caller]
    fn par_chunks_mut(&mut self, chunk_size: usize) -> ChunksMut<'_, T> {
        check_size(chunk_size);
        ChunksMut::new(self.as_parallel_slice_mut(), chunk_size)
    }

    /// Chunks of `chunk_size` items. What does not fill one is left to
    /// [`into_remainder`](ChunksExactMut::into_remainder) and
    /// [`take_remainder`](ChunksExactMut::take_remainder).
    ///
    /// # Panics
    /// If `chunk_size` is 0.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = [1, 2, 3];
    /// v.par_chunks_exact_mut(2).for_each(|chunk| chunk.reverse());
    /// assert_eq!(v, [2, 1, 3]);
    /// ```
    #[track_caller]
    fn par_chunks_exact_mut(&mut self, chunk_size: usize) -> ChunksExactMut<'_, T> {
        check_size(chunk_size);
        ChunksExactMut::new(self.as_parallel_slice_mut(), chunk_size)
    }

    /// Chunks of `chunk_size` items from the end of the slice; the last one, at its front, may be
    /// shorter.
    ///
    /// # Panics
    /// If `chunk_size` is 0.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = [0; 3];
    /// v.par_rchunks_mut(2).enumerate().for_each(|(row, chunk)| chunk.fill(row));
    /// assert_eq!(v, [1, 0, 0]);
    /// ```
    #[track_caller]
    fn par_rchunks_mut(&mut self, chunk_size: usize) -> RChunksMut<'_, T> {
        check_size(chunk_size);
        RChunksMut::new(self.as_parallel_slice_mut(), chunk_size)
    }

    /// Chunks of `chunk_size` items from the end of the slice. What does not fill one is left to
    /// [`into_remainder`](RChunksExactMut::into_remainder) and
    /// [`take_remainder`](RChunksExactMut::take_remainder).
    ///
    /// # Panics
    /// If `chunk_size` is 0.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = [1, 2, 3];
    /// v.par_rchunks_exact_mut(2).for_each(|chunk| chunk.reverse());
    /// assert_eq!(v, [1, 3, 2]);
    /// ```
    #[track_caller]
    fn par_rchunks_exact_mut(&mut self, chunk_size: usize) -> RChunksExactMut<'_, T> {
        check_size(chunk_size);
        RChunksExactMut::new(self.as_parallel_slice_mut(), chunk_size)
    }

    /// Runs of items in which `pred` holds for each item and the next, as
    /// [`chunk_by_mut`](slice::chunk_by_mut).
    ///
    /// The work is shared at the ends of runs, so a slice of one run is one piece of work.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = [1, 2, 2, 0, 3];
    /// v.par_chunk_by_mut(|a, b| a <= b).for_each(|run| run.reverse());
    /// assert_eq!(v, [2, 2, 1, 3, 0]);
    /// ```
    fn par_chunk_by_mut<F>(&mut self, pred: F) -> ChunkByMut<'_, T, F>
    where
        F: Fn(&T, &T) -> bool + Send + Sync,
    {
        ChunkByMut::new(self.as_parallel_slice_mut(), pred)
    }

    // sorts

    /// Sorts, keeping equal items in their order.
    ///
    /// The standard library sorts the parts, a parallel merge puts them together: a buffer as long
    /// as the slice is taken, unless it is short, or in order already.
    ///
    /// # Panics
    /// If a comparison does; the slice then holds each item once, in some order. This holds for all
    /// of the sorts.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = [3, 1, 2];
    /// v.par_sort();
    /// assert_eq!(v, [1, 2, 3]);
    /// ```
    fn par_sort(&mut self)
    where
        T: Ord,
    {
        sort::sort(self.as_parallel_slice_mut());
    }

    /// [`par_sort`](Self::par_sort) by a comparison.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = [1, 3, 2];
    /// v.par_sort_by(|a, b| b.cmp(a));
    /// assert_eq!(v, [3, 2, 1]);
    /// ```
    fn par_sort_by<F>(&mut self, compare: F)
    where
        F: Fn(&T, &T) -> Ordering + Sync,
    {
        sort::sort_by(self.as_parallel_slice_mut(), compare);
    }

    /// [`par_sort`](Self::par_sort) by a key, which is computed for each comparison.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = [-3_i32, 1, 2];
    /// v.par_sort_by_key(|n| n.abs());
    /// assert_eq!(v, [1, 2, -3]);
    /// ```
    fn par_sort_by_key<K, F>(&mut self, f: F)
    where
        K: Ord,
        F: Fn(&T) -> K + Sync,
    {
        sort::sort_by_key(self.as_parallel_slice_mut(), f);
    }

    /// [`par_sort`](Self::par_sort) by a key, which is computed once for each item, in parallel.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = [10, 9, 100];
    /// v.par_sort_by_cached_key(|n| n.to_string());
    /// assert_eq!(v, [10, 100, 9]);
    /// ```
    fn par_sort_by_cached_key<K, F>(&mut self, f: F)
    where
        K: Ord + Send,
        F: Fn(&T) -> K + Sync,
    {
        sort::sort_by_cached_key(self.as_parallel_slice_mut(), f);
    }

    /// Sorts without regard to the order of equal items, and usually without taking memory.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = [3, 1, 2];
    /// v.par_sort_unstable();
    /// assert_eq!(v, [1, 2, 3]);
    /// ```
    fn par_sort_unstable(&mut self)
    where
        T: Ord,
    {
        sort::sort_unstable(self.as_parallel_slice_mut());
    }

    /// [`par_sort_unstable`](Self::par_sort_unstable) by a comparison.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = [1.5, -2.0];
    /// v.par_sort_unstable_by(f64::total_cmp);
    /// assert_eq!(v, [-2.0, 1.5]);
    /// ```
    fn par_sort_unstable_by<F>(&mut self, compare: F)
    where
        F: Fn(&T, &T) -> Ordering + Sync,
    {
        sort::sort_unstable_by(self.as_parallel_slice_mut(), compare);
    }

    /// [`par_sort_unstable`](Self::par_sort_unstable) by a key, which is computed for each
    /// comparison.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = [-3_i32, 1, 2];
    /// v.par_sort_unstable_by_key(|n| n.abs());
    /// assert_eq!(v, [1, 2, -3]);
    /// ```
    fn par_sort_unstable_by_key<K, F>(&mut self, f: F)
    where
        K: Ord,
        F: Fn(&T) -> K + Sync,
    {
        sort::sort_unstable_by_key(self.as_parallel_slice_mut(), f);
    }
}

impl<T: Send> ParallelSliceMut<T> for [T] {
    fn as_parallel_slice_mut(&mut self) -> &mut [T] {
        self
    }
}
