//! Consumers that stop at the first failure in the order of the input.
//!
//! Items before the first failure are all looked at, so that it is the first in any case. Of the
//! items after it, those that have not begun when it is known are skipped.

use super::{Consumer, Rank};
use crate::par::attempt::Try;
use std::ops::ControlFlow::{Break, Continue};
use std::sync::atomic::{AtomicU64, Ordering};

/// Calls a fallible closure with each item.
pub(crate) struct TryForEach<'a, F, R> {
    op: &'a F,
    rank: Rank,
    /// The lowest rank that has failed, `u64::MAX` while none has.
    failed: &'a AtomicU64,
    failure: Option<R>,
}

impl<'a, F, R> TryForEach<'a, F, R> {
    /// `failed` is shared by the parts of one loop, and `u64::MAX` at first.
    pub(crate) fn new(op: &'a F, failed: &'a AtomicU64) -> Self {
        TryForEach { op, rank: Rank::ALL, failed, failure: None }
    }
}

impl<T, F, R> Consumer<T> for TryForEach<'_, F, R>
where
    R: Try<Output = ()> + Send,
    F: Fn(T) -> R + Sync,
{
    type Out = Option<R>;
    fn split_at(self, index: usize) -> (Self, Self) {
        let (left, right) = self.rank.split(index);
        let right = TryForEach { rank: right, failure: None, ..self };
        (TryForEach { rank: left, failure: self.failure, ..right }, right)
    }
    #[inline]
    fn feed(&mut self, items: impl Iterator<Item = T>) {
        for item in items {
            if let Break(residual) = (self.op)(item).branch() {
                self.failure = Some(R::from_residual(residual));
                // Relaxed: a hint to stop early; the failure is handed on by the joins.
                self.failed.fetch_min(self.rank.coarse(), Ordering::Relaxed);
                return;
            }
        }
    }
    #[inline]
    fn is_full(&self) -> bool {
        self.failure.is_some() || self.failed.load(Ordering::Relaxed) < self.rank.coarse()
    }
    fn finish(self) -> Self::Out {
        self.failure
    }
    fn merge(left: Self::Out, right: Self::Out) -> Self::Out {
        left.or(right)
    }
}

/// Combines the items by a fallible operation.
pub(crate) struct TryReduce<'a, O, R> {
    op: &'a O,
    rank: Rank,
    failed: &'a AtomicU64,
    so_far: Option<R>,
    is_failure: bool,
}

impl<'a, O, R> TryReduce<'a, O, R> {
    /// As [`TryForEach::new`].
    pub(crate) fn new(op: &'a O, failed: &'a AtomicU64) -> Self {
        TryReduce { op, rank: Rank::ALL, failed, so_far: None, is_failure: false }
    }
}

impl<'a, R, O> Consumer<R> for TryReduce<'a, O, R>
where
    R: Try + Send,
    O: Fn(R::Output, R::Output) -> R + Sync,
{
    type Out = (Option<R>, &'a O);
    fn split_at(self, index: usize) -> (Self, Self) {
        let (left, right) = self.rank.split(index);
        let right = TryReduce { rank: right, so_far: None, is_failure: false, ..self };
        let (so_far, is_failure) = (self.so_far, self.is_failure);
        (TryReduce { rank: left, so_far, is_failure, ..right }, right)
    }
    #[inline]
    fn feed(&mut self, mut items: impl Iterator<Item = R>) {
        let Some(first) = self.so_far.take().or_else(|| items.next()) else { return };
        let op = self.op;
        let outcome = match first.branch() {
            Continue(first) => items.try_fold(first, |so_far, item| match item.branch() {
                Continue(item) => op(so_far, item).branch(),
                Break(residual) => Break(residual),
            }),
            Break(residual) => Break(residual),
        };
        self.so_far = Some(match outcome {
            Continue(so_far) => R::from_output(so_far),
            Break(residual) => {
                self.is_failure = true;
                // Relaxed: as in `TryForEach`.
                self.failed.fetch_min(self.rank.coarse(), Ordering::Relaxed);
                R::from_residual(residual)
            }
        });
    }
    #[inline]
    fn is_full(&self) -> bool {
        self.is_failure || self.failed.load(Ordering::Relaxed) < self.rank.coarse()
    }
    fn finish(self) -> Self::Out {
        (self.so_far, self.op)
    }
    fn merge((left, op): Self::Out, (right, _): Self::Out) -> Self::Out {
        let both = match (left.map(R::branch), right) {
            (None, right) => right,
            (Some(Break(residual)), _) => Some(R::from_residual(residual)),
            (Some(Continue(left)), None) => Some(R::from_output(left)),
            (Some(Continue(left)), Some(right)) => Some(match right.branch() {
                Continue(right) => op(left, right),
                Break(residual) => R::from_residual(residual),
            }),
        };
        (both, op)
    }
}
