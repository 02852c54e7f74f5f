//! Parallel loops: `par_map` and its kin, over the fork layer.

mod consume;
mod drive;
mod source;

use crate::engine::registry::Registry;
use crate::pool::{Pool, with_current_registry};
use consume::{Consumer, FirstError, ForEach, Map, Reduce, TryMap};
use drive::drive;
pub use source::IntoSource;
use source::{Chunks, ChunksMut, Source};

/// Runs a loop over anything that can be looped over.
fn run<S: IntoSource, C: Consumer<S::Item>>(registry: &Registry, items: S, consumer: C) -> C::Out {
    // SAFETY: the owner lives until the end of this function, when all parts of the source are
    // gone: eaten, or dropped by the unwinding of `drive`.
    let (owner, source) = unsafe { items.into_parts() };
    let out = drive(registry, source, consumer);
    drop(owner);
    out
}

fn map<S: Source, R: Send, F: Fn(S::Item) -> R + Sync>(
    registry: &Registry,
    source: S,
    f: &F,
) -> Vec<R> {
    let len = source.len();
    let mut out = Vec::with_capacity(len);
    // SAFETY: the vector has room for `len` results, and does not move while they are written.
    let consumer = unsafe { Map::new(f, out.as_mut_ptr()) };
    let filled = drive(registry, source, consumer).release();
    assert_eq!(filled, len, "a source yields as many items as it says");
    // SAFETY: every result was written. Had a closure panicked, we would not be here, and `out`
    // would be empty.
    unsafe { out.set_len(len) };
    out
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
    pub fn par_map<S: IntoSource, R: Send>(
        &self,
        items: S,
        f: impl Fn(S::Item) -> R + Sync,
    ) -> Vec<R> {
        par_map_in(self.registry(), items, f)
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
    pub fn par_for_each<S: IntoSource>(&self, items: S, f: impl Fn(S::Item) + Sync) {
        run(self.registry(), items, ForEach(&f));
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
    pub fn par_map_reduce<S: IntoSource, R: Send>(
        &self,
        items: S,
        map: impl Fn(S::Item) -> R + Sync,
        identity: impl Fn() -> R + Sync,
        reduce: impl Fn(R, R) -> R + Sync,
    ) -> R {
        let (so_far, _) = run(self.registry(), items, Reduce::new(&map, &identity, &reduce));
        so_far.unwrap_or_else(identity)
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
    pub fn try_par_map<S: IntoSource, R: Send, E: Send>(
        &self,
        items: S,
        f: impl Fn(S::Item) -> Result<R, E> + Sync,
    ) -> Result<Vec<R>, E> {
        try_par_map_in(self.registry(), items, f)
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
    pub fn try_par_for_each<S: IntoSource, E: Send>(
        &self,
        items: S,
        f: impl Fn(S::Item) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        // A vector of `()` takes no memory.
        self.try_par_map(items, f).map(drop)
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
        par_chunks_in(self.registry(), items, size, f)
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
        par_chunks_mut_in(self.registry(), items, size, f);
    }
}

fn par_map_in<S: IntoSource, R: Send>(
    registry: &Registry,
    items: S,
    f: impl Fn(S::Item) -> R + Sync,
) -> Vec<R> {
    // SAFETY: as in `run`.
    let (owner, source) = unsafe { items.into_parts() };
    let out = map(registry, source, &f);
    drop(owner);
    out
}

fn try_par_map_in<S: IntoSource, R: Send, E: Send>(
    registry: &Registry,
    items: S,
    f: impl Fn(S::Item) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    // SAFETY: as in `run`.
    let (owner, source) = unsafe { items.into_parts() };
    let mut out = Vec::with_capacity(source.len());
    let first_error = FirstError::new();
    // SAFETY: as in `map`.
    let consumer = unsafe { TryMap::new(&f, out.as_mut_ptr(), &first_error) };
    let filled = drive(registry, source, consumer);
    drop(owner);
    match first_error.into_error() {
        // Drops the results that there are.
        Some(error) => Err(error),
        None => {
            // SAFETY: as many as were written, from the start.
            unsafe { out.set_len(filled.release()) };
            Ok(out)
        }
    }
}

#[track_caller]
fn par_chunks_in<T: Sync, R: Send>(
    registry: &Registry,
    items: &[T],
    size: usize,
    f: impl Fn(&[T]) -> R + Sync,
) -> Vec<R> {
    assert!(size > 0, "the size of a chunk must be at least 1");
    map(registry, Chunks { slice: items, size }, &f)
}

#[track_caller]
fn par_chunks_mut_in<T: Send>(
    registry: &Registry,
    items: &mut [T],
    size: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    assert!(size > 0, "the size of a chunk must be at least 1");
    let f = |(index, chunk): (usize, &mut [T])| f(index, chunk);
    drive(registry, ChunksMut { slice: items, size, first: 0 }, ForEach(&f));
}

/// [`Pool::par_map`] in the pool that the calling thread is in, else in [`Pool::global`].
///
/// ```
/// assert_eq!(windlass::par_map(&["a", "bc"], |word| word.len()), [1, 2]);
/// ```
pub fn par_map<S: IntoSource, R: Send>(items: S, f: impl Fn(S::Item) -> R + Sync) -> Vec<R> {
    with_current_registry(|registry| par_map_in(registry, items, f))
}

/// [`Pool::par_for_each`] in the pool that the calling thread is in, else in [`Pool::global`].
///
/// ```
/// let mut numbers = [1, 2, 3];
/// windlass::par_for_each(&mut numbers, |n| *n += 1);
/// assert_eq!(numbers, [2, 3, 4]);
/// ```
pub fn par_for_each<S: IntoSource>(items: S, f: impl Fn(S::Item) + Sync) {
    with_current_registry(|registry| run(registry, items, ForEach(&f)));
}

/// [`Pool::par_map_reduce`] in the pool that the calling thread is in, else in [`Pool::global`].
///
/// ```
/// assert_eq!(windlass::par_map_reduce(1..5, |n| n, || 0, |a, b| a + b), 10);
/// ```
pub fn par_map_reduce<S: IntoSource, R: Send>(
    items: S,
    map: impl Fn(S::Item) -> R + Sync,
    identity: impl Fn() -> R + Sync,
    reduce: impl Fn(R, R) -> R + Sync,
) -> R {
    let (so_far, _) = with_current_registry(|registry| {
        run(registry, items, Reduce::new(&map, &identity, &reduce))
    });
    so_far.unwrap_or_else(identity)
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
pub fn try_par_map<S: IntoSource, R: Send, E: Send>(
    items: S,
    f: impl Fn(S::Item) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    with_current_registry(|registry| try_par_map_in(registry, items, f))
}

/// [`Pool::try_par_for_each`] in the pool that the calling thread is in, else in [`Pool::global`].
///
/// # Errors
/// The error of the first item that failed.
///
/// ```
/// assert_eq!(windlass::try_par_for_each(0..9, |n| if n < 9 { Ok(()) } else { Err(n) }), Ok(()));
/// ```
pub fn try_par_for_each<S: IntoSource, E: Send>(
    items: S,
    f: impl Fn(S::Item) -> Result<(), E> + Sync,
) -> Result<(), E> {
    try_par_map(items, f).map(drop)
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
    with_current_registry(|registry| par_chunks_in(registry, items, size, f))
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
    with_current_registry(|registry| par_chunks_mut_in(registry, items, size, f));
}
