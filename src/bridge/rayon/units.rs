//! A producer of rayon as a source.

use crate::par::source::{Grain, Source};
use rayon::iter::plumbing::Producer;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where the part that eats a source can be cut in about the middle: behind so many units, or
/// anywhere while it has not begun. Part and source are at one thread at a time, and go to another
/// together, so there is nothing to order.
pub(super) struct Cut(AtomicUsize);

impl Cut {
    const ANYWHERE: usize = usize::MAX;

    fn new() -> Arc<Self> {
        Arc::new(Cut(AtomicUsize::new(Self::ANYWHERE)))
    }

    pub(super) fn set(&self, at: usize) {
        self.0.store(at, Ordering::Relaxed);
    }

    pub(super) fn near(&self, index: usize) -> usize {
        match self.0.load(Ordering::Relaxed) {
            Self::ANYWHERE => index,
            at => at,
        }
    }
}

/// What is left of a producer. A unit is one of its items; a batch is a producer, too, because the
/// part that eats it may have to split it.
pub(super) struct Units<P> {
    /// May be `None` if no units are left.
    producer: Option<P>,
    len: usize,
    grain: Grain,
    cut: Arc<Cut>,
}

impl<P> Units<P> {
    pub(super) fn new(producer: P, len: usize, grain: Grain) -> Self {
        Units { producer: Some(producer), len, grain, cut: Cut::new() }
    }
}

/// At least one unit.
pub(super) struct Batch<P> {
    pub(super) producer: P,
    pub(super) len: usize,
    /// Of the source that it is from.
    pub(super) cut: Arc<Cut>,
}

// SAFETY: not exact, so nothing is asked of it.
unsafe impl<P: Producer> Source for Units<P> {
    type Item = Batch<P>;
    const EXACT: bool = false;

    fn len(&self) -> usize {
        self.len
    }

    fn split_at(self, index: usize) -> (Self, Self) {
        let Units { producer, len, grain, cut } = self;
        let at = cut.near(index);
        let (left, right) = match producer {
            Some(producer) => split(producer, len, at),
            None => (None, None),
        };
        let right = Units { producer: right, len: len - at, grain, cut: Cut::new() };
        (Units { producer: left, len: at, grain, cut }, right)
    }

    fn take_front(&mut self, n: usize) -> impl Iterator<Item = Batch<P>> {
        let producer = if n > 0 { self.producer.take() } else { None };
        let batch = producer.and_then(|producer| {
            let (front, rest) = split(producer, self.len, n);
            self.producer = rest;
            self.len -= n;
            front.map(|producer| Batch { producer, len: n, cut: Arc::clone(&self.cut) })
        });
        batch.into_iter()
    }

    fn grain(&self) -> Grain {
        self.grain
    }
}

/// The first `at` of `len` units, and the rest if there is any.
pub(super) fn split<P: Producer>(producer: P, len: usize, at: usize) -> (Option<P>, Option<P>) {
    if at >= len {
        return (Some(producer), None);
    }
    let (front, rest) = producer.split_at(at);
    (Some(front), Some(rest))
}
