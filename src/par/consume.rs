//! What a parallel loop does with its items: one consumer a kind of loop.

use crate::engine::sync::{Mutex, lock};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Eats the items of one contiguous part of the input, and merges with the consumer of the next
/// part.
pub(crate) trait Consumer<T>: Sized + Send {
    /// What is left when the part is eaten. Dropping it drops the partial results in it.
    type Out: Send;
    /// The consumer of the first `index` items that are still to come (and all that were eaten),
    /// and that of the rest.
    fn split_at(self, index: usize) -> (Self, Self);
    /// Eats the next `n` items.
    fn feed(&mut self, items: impl Iterator<Item = T>, n: usize);
    /// Whether further items are of no interest.
    fn is_full(&self) -> bool {
        false
    }
    /// The part is eaten.
    fn finish(self) -> Self::Out;
    /// Joins the results of two neighbouring parts.
    fn merge(left: Self::Out, right: Self::Out) -> Self::Out;
}

// ---- for_each

pub(crate) struct ForEach<'a, F>(pub(crate) &'a F);

impl<T, F: Fn(T) + Sync> Consumer<T> for ForEach<'_, F> {
    type Out = ();
    fn split_at(self, _: usize) -> (Self, Self) {
        (ForEach(self.0), self)
    }
    #[inline]
    fn feed(&mut self, items: impl Iterator<Item = T>, _: usize) {
        items.for_each(self.0);
    }
    fn finish(self) {}
    fn merge((): (), (): ()) {}
}

// ---- reduce

pub(crate) struct Reduce<'a, M, I, O, R> {
    map: &'a M,
    identity: &'a I,
    op: &'a O,
    so_far: Option<R>,
}

impl<'a, M, I, O, R> Reduce<'a, M, I, O, R> {
    pub(crate) fn new(map: &'a M, identity: &'a I, op: &'a O) -> Self {
        Reduce { map, identity, op, so_far: None }
    }
}

impl<T, R, M, I, O> Consumer<T> for Reduce<'_, M, I, O, R>
where
    R: Send,
    M: Fn(T) -> R + Sync,
    I: Fn() -> R + Sync,
    O: Fn(R, R) -> R + Sync,
{
    type Out = (Option<R>, Self);
    fn split_at(self, _: usize) -> (Self, Self) {
        let right = Reduce::new(self.map, self.identity, self.op);
        (self, right)
    }
    #[inline]
    fn feed(&mut self, items: impl Iterator<Item = T>, _: usize) {
        let so_far = self.so_far.take().unwrap_or_else(self.identity);
        self.so_far = Some(items.fold(so_far, |so_far, item| (self.op)(so_far, (self.map)(item))));
    }
    fn finish(mut self) -> Self::Out {
        (self.so_far.take(), self)
    }
    fn merge((left, this): Self::Out, (right, _): Self::Out) -> Self::Out {
        let both = match (left, right) {
            (Some(left), Some(right)) => Some((this.op)(left, right)),
            (left, right) => left.or(right),
        };
        (both, this)
    }
}

// ---- map into a vector

/// A run of results that were written into the output. Dropping it drops them.
pub(crate) struct Filled<R> {
    first: *mut R,
    len: usize,
    marker: PhantomData<R>,
}

// SAFETY: it owns the results in its run, and nothing else refers to them.
unsafe impl<R: Send> Send for Filled<R> {}

impl<R> Filled<R> {
    pub(crate) fn new(first: *mut R) -> Self {
        Filled { first, len: 0, marker: PhantomData }
    }

    /// Leaves the results to the owner of the output, and says how many they are.
    pub(crate) fn release(self) -> usize {
        let len = self.len;
        std::mem::forget(self);
        len
    }

    /// Two neighbouring runs become one. If the left one is not full (its loop was ended early),
    /// the right one is dropped.
    fn merge(mut self, right: Self) -> Self {
        if std::ptr::eq(self.first.wrapping_add(self.len), right.first) {
            self.len += right.release();
        }
        self
    }
}

impl<R> Drop for Filled<R> {
    fn drop(&mut self) {
        let run = std::ptr::slice_from_raw_parts_mut(self.first, self.len);
        // SAFETY: the run is initialised and ours.
        unsafe { run.drop_in_place() };
    }
}

/// Counts results as they are written, in a register: the run learns of them at the end, or when
/// the closure unwinds.
struct Writer<'a, R> {
    filled: &'a mut Filled<R>,
    count: usize,
}

impl<'a, R> Writer<'a, R> {
    #[inline(always)]
    fn new(filled: &'a mut Filled<R>) -> Self {
        let count = filled.len;
        Writer { filled, count }
    }

    /// # Safety
    /// The run has room for one more.
    #[inline(always)]
    unsafe fn push(&mut self, value: R) {
        // SAFETY: by contract within the output, and not initialised yet.
        unsafe { self.filled.first.add(self.count).write(value) };
        self.count += 1;
    }
}

impl<R> Drop for Writer<'_, R> {
    #[inline(always)]
    fn drop(&mut self) {
        self.filled.len = self.count;
    }
}

pub(crate) struct Map<'a, F, R> {
    f: &'a F,
    filled: Filled<R>,
}

impl<'a, F, R> Map<'a, F, R> {
    /// # Safety
    /// `first` points to room for as many results as there will be items.
    pub(crate) unsafe fn new(f: &'a F, first: *mut R) -> Self {
        Map { f, filled: Filled::new(first) }
    }
}

impl<T, R: Send, F: Fn(T) -> R + Sync> Consumer<T> for Map<'_, F, R> {
    type Out = Filled<R>;
    fn split_at(self, index: usize) -> (Self, Self) {
        let first = self.filled.first.wrapping_add(self.filled.len + index);
        let right = Map { f: self.f, filled: Filled::new(first) };
        (self, right)
    }
    #[inline]
    fn feed(&mut self, items: impl Iterator<Item = T>, n: usize) {
        let f = self.f;
        let mut writer = Writer::new(&mut self.filled);
        // `take` holds a source of ours to its word: it never yields more than `n`.
        for item in items.take(n) {
            let value = f(item);
            // SAFETY: the output has room for every item of the input (`new`), and this part writes
            // only its own.
            unsafe { writer.push(value) };
        }
    }
    fn finish(self) -> Filled<R> {
        self.filled
    }
    fn merge(left: Filled<R>, right: Filled<R>) -> Filled<R> {
        left.merge(right)
    }
}

// ---- fallible map

/// The error with the lowest index so far.
pub(crate) struct FirstError<E> {
    /// Its index, `usize::MAX` while there is none. Only ever falls.
    index: AtomicUsize,
    error: Mutex<Option<(usize, E)>>,
}

impl<E> FirstError<E> {
    pub(crate) fn new() -> Self {
        FirstError { index: AtomicUsize::new(usize::MAX), error: Mutex::new(None) }
    }

    #[cold]
    fn keep(&self, index: usize, error: E) {
        let mut first = lock(&self.error);
        if first.as_ref().is_some_and(|&(earlier, _)| earlier < index) {
            // The lock is released first: dropping the error runs user code.
            drop(first);
            return;
        }
        let later = first.replace((index, error));
        // Relaxed: a hint to stop early; the error itself is behind the lock.
        self.index.store(index, Ordering::Relaxed);
        drop(first);
        drop(later);
    }

    pub(crate) fn into_error(self) -> Option<E> {
        let error = self.error.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        error.map(|(_, error)| error)
    }
}

pub(crate) struct TryMap<'a, F, R, E> {
    f: &'a F,
    filled: Filled<R>,
    /// The index of the next item in the whole input.
    next: usize,
    first_error: &'a FirstError<E>,
}

impl<'a, F, R, E> TryMap<'a, F, R, E> {
    /// # Safety
    /// As [`Map::new`].
    pub(crate) unsafe fn new(f: &'a F, first: *mut R, first_error: &'a FirstError<E>) -> Self {
        TryMap { f, filled: Filled::new(first), next: 0, first_error }
    }
}

impl<T, R, E, F> Consumer<T> for TryMap<'_, F, R, E>
where
    R: Send,
    E: Send,
    F: Fn(T) -> Result<R, E> + Sync,
{
    type Out = Filled<R>;
    fn split_at(self, index: usize) -> (Self, Self) {
        let first = self.filled.first.wrapping_add(self.filled.len + index);
        let right = TryMap { filled: Filled::new(first), next: self.next + index, ..self };
        let left = TryMap {
            f: right.f,
            filled: self.filled,
            next: self.next,
            first_error: right.first_error,
        };
        (left, right)
    }
    #[inline]
    fn feed(&mut self, items: impl Iterator<Item = T>, n: usize) {
        let mut writer = Writer::new(&mut self.filled);
        for (offset, item) in items.take(n).enumerate() {
            match (self.f)(item) {
                // SAFETY: as in `Map::feed`.
                Ok(value) => unsafe { writer.push(value) },
                Err(error) => {
                    self.first_error.keep(self.next + offset, error);
                    break;
                }
            }
        }
        self.next += n;
    }
    /// Whether an earlier item than all that are left has failed. Items before the first error
    /// always run, so that it is the first of all.
    fn is_full(&self) -> bool {
        self.first_error.index.load(Ordering::Relaxed) < self.next
    }
    fn finish(self) -> Filled<R> {
        self.filled
    }
    fn merge(left: Filled<R>, right: Filled<R>) -> Filled<R> {
        left.merge(right)
    }
}
