//! The parallel methods of slices.

use super::sources::chunks::{Chunks, ChunksMut};

/// Parallel methods of slices, by shared reference.
pub trait ParallelSlice<T: Sync> {
    /// The slice itself.
    fn as_parallel_slice(&self) -> &[T];

    /// Chunks of `size` items; the last one may be shorter.
    ///
    /// # Panics
    /// If `size` is 0.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<&[i32]> = [1, 2, 3].par_chunks(2).collect();
    /// assert_eq!(v, [&[1, 2][..], &[3]]);
    /// ```
    #[track_caller]
    fn par_chunks(&self, size: usize) -> Chunks<'_, T> {
        assert!(size > 0, "the size of a chunk must be at least 1");
        Chunks::new(self.as_parallel_slice(), size)
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

    /// Chunks of `size` items; the last one may be shorter.
    ///
    /// # Panics
    /// If `size` is 0.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = [0; 3];
    /// v.par_chunks_mut(2).enumerate().for_each(|(row, chunk)| chunk.fill(row));
    /// assert_eq!(v, [0, 0, 1]);
    /// ```
    #[track_caller]
    fn par_chunks_mut(&mut self, size: usize) -> ChunksMut<'_, T> {
        assert!(size > 0, "the size of a chunk must be at least 1");
        ChunksMut::new(self.as_parallel_slice_mut(), size)
    }
}

impl<T: Send> ParallelSliceMut<T> for [T] {
    fn as_parallel_slice_mut(&mut self) -> &mut [T] {
        self
    }
}
