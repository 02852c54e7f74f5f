//! Parallel loops: parallel iterators, and `par_map` and its kin, over the fork layer.
//!
//! A parallel iterator (`iter.rs`, `indexed.rs`) is a description. Its *source* (`source.rs`) is
//! what splits in two and yields batches as ordinary iterators, so that a loop nobody shares runs
//! at the speed of a plain one. A *consumer* (`consumers/`) eats the batches of one part and merges
//! with its neighbour. The *driver* (`drive.rs`) decides who runs what, and when to split.

pub(crate) mod adapters;
pub(crate) mod attempt;
pub(crate) mod cancel;
pub(crate) mod collections;
#[cfg(doctest)]
mod compile_fail;
pub(crate) mod consumers;
pub(crate) mod convert;
mod drive;
pub(crate) mod indexed;
pub(crate) mod iter;
mod on_heap;
pub(crate) mod slice;
mod sort;
pub(crate) mod source;
pub(crate) mod sources;
pub(crate) mod stream;
pub(crate) mod string;

use crate::engine::worker::Alone;
use crate::pool::{Pool, with_current_registry};
use consumers::Consumer;
use convert::IntoParallelIterator;
use drive::drive;
use indexed::IndexedParallelIterator;
use iter::ParallelIterator;
use slice::{ParallelSlice, ParallelSliceMut};
use source::Source;

/// Runs a loop over a parallel iterator, in the pool that the calling thread is in.
fn run<I: ParallelIterator, C: Consumer<I::Item>>(mut iter: I, consumer: C) -> C::Out {
    // SAFETY: `iter` stays here until the end of this function, when all parts of the source are
    // gone: eaten, or dropped by the unwinding of `drive`.
    let source = unsafe { iter.source() };
    run_source(source, consumer)
}

pub(crate) fn run_source<S: Source, C: Consumer<S::Item>>(source: S, consumer: C) -> C::Out {
    with_current_registry(|registry| drive(registry, source, consumer))
}

impl Pool {
    /// Applies `f` to each item and returns the results in the order of the items.
    ///
    /// `items` is a slice, a vector (by reference or by value), an array, or a range of integers.
    /// Each result is written once, in place, into the vector that is returned. There is nothing to
    /// tune: a loop that is too short to be worth waking a thread runs as a plain loop, a longer
    /// one is split when, and as far as, other workers ask for work.
    ///
    /// # Panics
    /// If `f` panics, after every call that had begun is finished, with the payload of the first
    /// half that panicked. Results that exist by then are dropped, as are the items that `f` was
    /// not called with.
    ///
    /// # Blocking
    /// Until all is done. The calling thread takes part; while it waits for others it runs only
    /// parts of this very loop. As [`install`](Pool::install) if the pool is full of other callers.
    ///
    /// # Examples
    /// ```
    /// let pool = windlass::Pool::new(2)?;
    /// let words = vec!["a", "bc", "def"];
    /// assert_eq!(pool.par_map(&words, |word| word.len()), [1, 2, 3]);
    /// assert_eq!(pool.par_map(0..4, |n| n * n), [0, 1, 4, 9]);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn par_map<I: IntoParallelIterator, R: Send>(
        &self,
        items: I,
        f: impl Fn(I::Item) -> R + Sync,
    ) -> Vec<R> {
        let _here = Alone::new(self.registry());
        par_map(items, f)
    }

    /// Calls `f` with each item.
    ///
    /// # Panics
    /// As [`par_map`](Pool::par_map).
    ///
    /// # Blocking
    /// As [`par_map`](Pool::par_map).
    ///
    /// # Examples
    /// ```
    /// let pool = windlass::Pool::new(2)?;
    /// let mut numbers = vec![1, 2, 3];
    /// pool.par_for_each(&mut numbers, |n| *n *= 10);
    /// assert_eq!(numbers, [10, 20, 30]);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn par_for_each<I: IntoParallelIterator>(&self, items: I, f: impl Fn(I::Item) + Sync) {
        let _here = Alone::new(self.registry());
        par_for_each(items, f);
    }

    /// Applies `map` to each item and combines the results with `reduce`, in the order of the
    /// items.
    ///
    /// `reduce` must be associative, and `identity` its neutral element: how the items are grouped,
    /// and how often `identity` is used, depends on how the work was shared. It need not be
    /// commutative.
    ///
    /// # Panics
    /// As [`par_map`](Pool::par_map).
    ///
    /// # Blocking
    /// As [`par_map`](Pool::par_map).
    ///
    /// # Examples
    /// ```
    /// let pool = windlass::Pool::new(2)?;
    /// let words = ["fork", "join"];
    /// let length = pool.par_map_reduce(&words, |word| word.len(), || 0, |a, b| a + b);
    /// assert_eq!(length, 8);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn par_map_reduce<I: IntoParallelIterator, R: Send>(
        &self,
        items: I,
        map: impl Fn(I::Item) -> R + Sync,
        identity: impl Fn() -> R + Sync,
        reduce: impl Fn(R, R) -> R + Sync,
    ) -> R {
        let _here = Alone::new(self.registry());
        par_map_reduce(items, map, identity, reduce)
    }

    /// As [`par_map`](Pool::par_map) with an `f` that may fail: all results, or the first error in
    /// the order of the items.
    ///
    /// Items before the first error are all tried, so that it is the first in any case. Of the
    /// items after it, those that have not begun when it is known are not tried.
    ///
    /// # Errors
    /// The error of the first item that failed. Results and other errors are dropped.
    ///
    /// # Panics
    /// As [`par_map`](Pool::par_map).
    ///
    /// # Blocking
    /// As [`par_map`](Pool::par_map).
    ///
    /// # Examples
    /// ```
    /// let pool = windlass::Pool::new(2)?;
    /// let texts = ["1", "x", "3", "y"];
    /// let bad = pool.try_par_map(&texts, |text| text.parse::<u32>().map_err(|_| *text));
    /// assert_eq!(bad, Err("x"));
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn try_par_map<I: IntoParallelIterator, R: Send, E: Send>(
        &self,
        items: I,
        f: impl Fn(I::Item) -> Result<R, E> + Sync,
    ) -> Result<Vec<R>, E> {
        let _here = Alone::new(self.registry());
        try_par_map(items, f)
    }

    /// As [`par_for_each`](Pool::par_for_each) with an `f` that may fail.
    ///
    /// # Errors
    /// The error of the first item that failed, as [`try_par_map`](Pool::try_par_map).
    ///
    /// # Panics
    /// As [`par_map`](Pool::par_map).
    ///
    /// # Blocking
    /// As [`par_map`](Pool::par_map).
    ///
    /// # Examples
    /// ```
    /// let pool = windlass::Pool::new(2)?;
    /// assert_eq!(pool.try_par_for_each(0..9, |n| if n < 5 { Ok(()) } else { Err(n) }), Err(5));
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn try_par_for_each<I: IntoParallelIterator, E: Send>(
        &self,
        items: I,
        f: impl Fn(I::Item) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        let _here = Alone::new(self.registry());
        try_par_for_each(items, f)
    }

    /// Applies `f` to each chunk of `size` items, and returns the results in order. The last chunk
    /// may be shorter.
    ///
    /// # Panics
    /// If `size` is 0. As [`par_map`](Pool::par_map).
    ///
    /// # Blocking
    /// As [`par_map`](Pool::par_map).
    ///
    /// # Examples
    /// ```
    /// let pool = windlass::Pool::new(2)?;
    /// let sums = pool.par_chunks(&[1, 2, 3, 4, 5], 2, |chunk| chunk.iter().sum::<i32>());
    /// assert_eq!(sums, [3, 7, 5]);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    #[track_caller]
    pub fn par_chunks<T: Sync, R: Send>(
        &self,
        items: &[T],
        size: usize,
        f: impl Fn(&[T]) -> R + Sync,
    ) -> Vec<R> {
        let _here = Alone::new(self.registry());
        par_chunks(items, size, f)
    }

    /// Calls `f` with the index of each chunk of `size` items and the chunk itself, to be changed.
    ///
    /// # Panics
    /// If `size` is 0. As [`par_map`](Pool::par_map).
    ///
    /// # Blocking
    /// As [`par_map`](Pool::par_map).
    ///
    /// # Examples
    /// ```
    /// let pool = windlass::Pool::new(2)?;
    /// let mut cells = [0; 5];
    /// pool.par_chunks_mut(&mut cells, 2, |row, chunk| chunk.fill(row));
    /// assert_eq!(cells, [0, 0, 1, 1, 2]);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    #[track_caller]
    pub fn par_chunks_mut<T: Send>(
        &self,
        items: &mut [T],
        size: usize,
        f: impl Fn(usize, &mut [T]) + Sync,
    ) {
        let _here = Alone::new(self.registry());
        par_chunks_mut(items, size, f);
    }
}

/// [`Pool::par_map`] in the pool that the calling thread is in, else in [`Pool::global`].
///
/// ```
/// assert_eq!(windlass::par_map(&["a", "bc"], |word| word.len()), [1, 2]);
/// ```
pub fn par_map<I: IntoParallelIterator, R: Send>(
    items: I,
    f: impl Fn(I::Item) -> R + Sync,
) -> Vec<R> {
    items.into_par_iter().map(&f).collect()
}

/// [`Pool::par_for_each`] in the pool that the calling thread is in, else in [`Pool::global`].
///
/// ```
/// let mut numbers = [1, 2, 3];
/// windlass::par_for_each(&mut numbers, |n| *n += 1);
/// assert_eq!(numbers, [2, 3, 4]);
/// ```
pub fn par_for_each<I: IntoParallelIterator>(items: I, f: impl Fn(I::Item) + Sync) {
    items.into_par_iter().for_each(&f);
}

/// [`Pool::par_map_reduce`] in the pool that the calling thread is in, else in [`Pool::global`].
///
/// ```
/// assert_eq!(windlass::par_map_reduce(1..5, |n| n, || 0, |a, b| a + b), 10);
/// ```
pub fn par_map_reduce<I: IntoParallelIterator, R: Send>(
    items: I,
    map: impl Fn(I::Item) -> R + Sync,
    identity: impl Fn() -> R + Sync,
    reduce: impl Fn(R, R) -> R + Sync,
) -> R {
    items.into_par_iter().map(&map).reduce(&identity, &reduce)
}

/// [`Pool::try_par_map`] in the pool that the calling thread is in, else in [`Pool::global`].
///
/// # Errors
/// The error of the first item that failed.
///
/// ```
/// let halves = windlass::try_par_map(&[2, 4], |n| if n % 2 == 0 { Ok(n / 2) } else { Err(*n) });
/// assert_eq!(halves, Ok(vec![1, 2]));
/// ```
pub fn try_par_map<I: IntoParallelIterator, R: Send, E: Send>(
    items: I,
    f: impl Fn(I::Item) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    items.into_par_iter().map(&f).collect()
}

/// [`Pool::try_par_for_each`] in the pool that the calling thread is in, else in [`Pool::global`].
///
/// # Errors
/// The error of the first item that failed.
///
/// ```
/// assert_eq!(windlass::try_par_for_each(0..9, |n| if n < 9 { Ok(()) } else { Err(n) }), Ok(()));
/// ```
pub fn try_par_for_each<I: IntoParallelIterator, E: Send>(
    items: I,
    f: impl Fn(I::Item) -> Result<(), E> + Sync,
) -> Result<(), E> {
    items.into_par_iter().try_for_each(&f)
}

/// [`Pool::par_chunks`] in the pool that the calling thread is in, else in [`Pool::global`].
///
/// ```
/// assert_eq!(windlass::par_chunks(&[1, 2, 3], 2, |chunk| chunk.len()), [2, 1]);
/// ```
#[track_caller]
pub fn par_chunks<T: Sync, R: Send>(
    items: &[T],
    size: usize,
    f: impl Fn(&[T]) -> R + Sync,
) -> Vec<R> {
    items.par_chunks(size).map(&f).collect()
}

/// [`Pool::par_chunks_mut`] in the pool that the calling thread is in, else in [`Pool::global`].
///
/// ```
/// let mut cells = [0; 3];
/// windlass::par_chunks_mut(&mut cells, 2, |row, chunk| chunk.fill(row));
/// assert_eq!(cells, [0, 0, 1]);
/// ```
#[track_caller]
pub fn par_chunks_mut<T: Send>(items: &mut [T], size: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    items.par_chunks_mut(size).enumerate().for_each(|(index, chunk)| f(index, chunk));
}
