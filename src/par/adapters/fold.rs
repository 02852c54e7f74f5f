//! Accumulators: one for each part of the loop.

use super::adapter;
use super::state::{ByCall, ByClone, Make};
use crate::par::attempt::Try;
use crate::par::iter::ParallelIterator;
use crate::par::source::{Grain, Shared, Source};
use std::marker::PhantomData;
use std::ops::ControlFlow::{Break, Continue};

adapter! {
    /// What [`fold`](ParallelIterator::fold) returns.
    Fold<I, ID, F> { identity: ByCall<ID>, fold_op: F }
}

impl<I, ID, F, T> ParallelIterator for Fold<I, ID, F>
where
    I: ParallelIterator,
    ID: Fn() -> T + Sync + Send,
    F: Fn(T, I::Item) -> T + Sync + Send,
    T: Send,
{
    type Item = T;
    type Source = FoldSource<I::Source, ByCall<ID>, F>;
    unsafe fn source(&mut self) -> Self::Source {
        // SAFETY: the base and the closures stay where they are as long as `self` does.
        unsafe { FoldSource::new(self.base.source(), &self.identity, &self.fold_op) }
    }
}

/// What [`fold_with`](ParallelIterator::fold_with) returns.
#[derive(Clone)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct FoldWith<I, T: Clone, F> {
    base: I,
    init: ByClone<T>,
    fold_op: F,
}

impl<I, T: Clone, F> FoldWith<I, T, F> {
    pub(crate) fn new(base: I, init: T, fold_op: F) -> Self {
        FoldWith { base, init: ByClone::new(init), fold_op }
    }
}

impl<I: std::fmt::Debug, T: Clone, F> std::fmt::Debug for FoldWith<I, T, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FoldWith").field("base", &self.base).finish_non_exhaustive()
    }
}

impl<I, T, F> ParallelIterator for FoldWith<I, T, F>
where
    I: ParallelIterator,
    F: Fn(T, I::Item) -> T + Sync + Send,
    T: Clone + Send,
{
    type Item = T;
    type Source = FoldSource<I::Source, ByClone<T>, F>;
    unsafe fn source(&mut self) -> Self::Source {
        // SAFETY: the base, the model and the closure stay where they are as long as `self` does.
        unsafe { FoldSource::new(self.base.source(), &self.init, &self.fold_op) }
    }
}

#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct FoldSource<S, M: Make, F> {
    base: S,
    init: Shared<M>,
    fold_op: Shared<F>,
    so_far: Option<M::State>,
}

impl<S, M: Make, F> FoldSource<S, M, F> {
    /// # Safety
    /// As [`Shared::new`].
    unsafe fn new(base: S, init: &M, fold_op: &F) -> Self {
        // SAFETY: by contract.
        let (init, fold_op) = unsafe { (Shared::new(init), Shared::new(fold_op)) };
        FoldSource { base, init, fold_op, so_far: None }
    }
}

// SAFETY: not exact.
unsafe impl<S, M, F> Source for FoldSource<S, M, F>
where
    S: Source,
    M: Make,
    F: Fn(M::State, S::Item) -> M::State + Sync,
{
    type Item = M::State;
    const EXACT: bool = false;
    /// The accumulator counts if the base has ended without its last batch being taken here.
    fn len(&self) -> usize {
        self.base.len().max(usize::from(self.so_far.is_some()))
    }
    /// The accumulator stays with the left part.
    fn split_at(self, index: usize) -> (Self, Self) {
        let FoldSource { base, init, fold_op, so_far } = self;
        let at = index.min(base.len());
        let (left, right) = base.split_at(at);
        (
            FoldSource { base: left, init, fold_op, so_far },
            FoldSource { base: right, init, fold_op, so_far: None },
        )
    }
    /// Yields the accumulator after the last batch.
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = M::State> {
        let n_base = n.min(self.base.len());
        if n > 0 {
            let so_far = self.so_far.take().unwrap_or_else(|| self.init.make());
            let items = self.base.take_front(n_base);
            self.so_far = Some(items.fold(so_far, |so_far, item| (self.fold_op)(so_far, item)));
        }
        let is_over = self.base.is_empty();
        self.so_far.take_if(|_| is_over).into_iter()
    }
    fn grain(&self) -> Grain {
        self.base.grain()
    }
}

adapter! {
    /// What [`try_fold`](ParallelIterator::try_fold) returns.
    TryFold<I, R, ID, F> { identity: ID, fold_op: F, marker: PhantomData<fn() -> R> }
}

impl<I, R, ID, F, T> ParallelIterator for TryFold<I, R, ID, F>
where
    I: ParallelIterator,
    ID: Fn() -> T + Sync + Send,
    F: Fn(T, I::Item) -> R + Sync + Send,
    R: Try<Output = T> + Send,
{
    type Item = R;
    type Source = TryFoldSource<I::Source, R, ID, F>;
    unsafe fn source(&mut self) -> Self::Source {
        // SAFETY: the base and the closures stay where they are as long as `self` does.
        let (base, identity, fold_op) = unsafe {
            (self.base.source(), Shared::new(&self.identity), Shared::new(&self.fold_op))
        };
        TryFoldSource { base, identity, fold_op, so_far: None, has_failed: false }
    }
}

#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct TryFoldSource<S, R, ID, F> {
    base: S,
    identity: Shared<ID>,
    fold_op: Shared<F>,
    so_far: Option<R>,
    has_failed: bool,
}

// SAFETY: not exact.
unsafe impl<S, R, ID, F> Source for TryFoldSource<S, R, ID, F>
where
    S: Source,
    R: Try + Send,
    ID: Fn() -> R::Output + Sync,
    F: Fn(R::Output, S::Item) -> R + Sync,
{
    type Item = R;
    const EXACT: bool = false;
    fn len(&self) -> usize {
        if self.has_failed { 0 } else { self.base.len().max(usize::from(self.so_far.is_some())) }
    }
    fn split_at(self, index: usize) -> (Self, Self) {
        let TryFoldSource { base, identity, fold_op, so_far, has_failed } = self;
        let at = index.min(base.len());
        let (left, right) = base.split_at(at);
        (
            TryFoldSource { base: left, identity, fold_op, so_far, has_failed },
            TryFoldSource { base: right, identity, fold_op, so_far: None, has_failed },
        )
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = R> {
        let n_base = n.min(self.base.len());
        if n > 0 && !self.has_failed {
            let outcome = match self.so_far.take().map(R::branch) {
                Some(Break(residual)) => Break(residual),
                Some(Continue(so_far)) => Continue(so_far),
                None => Continue((self.identity)()),
            };
            let outcome = match outcome {
                Continue(so_far) => self
                    .base
                    .take_front(n_base)
                    .try_fold(so_far, |so_far, item| (self.fold_op)(so_far, item).branch()),
                Break(residual) => Break(residual),
            };
            self.so_far = Some(match outcome {
                Continue(so_far) => R::from_output(so_far),
                Break(residual) => {
                    self.has_failed = true;
                    R::from_residual(residual)
                }
            });
        }
        let is_over = self.has_failed || self.base.is_empty();
        self.so_far.take_if(|_| is_over).into_iter()
    }
    fn grain(&self) -> Grain {
        self.base.grain()
    }
}
