//! Many items become one, or are passed over.

use super::adapter;
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{Grain, IndexedSource, Shared, Source};

/// What becomes of the items of a chunk.
#[doc(hidden)]
pub trait MakeChunk<T> {
    /// What a chunk becomes.
    type Out;
    /// Makes it.
    fn make(&self, items: impl Iterator<Item = T>) -> Self::Out;
}

#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct ToVec;

impl<T> MakeChunk<T> for ToVec {
    type Out = Vec<T>;
    fn make(&self, items: impl Iterator<Item = T>) -> Vec<T> {
        items.collect()
    }
}

#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct ByFold<ID, F>(Shared<ID>, Shared<F>);

impl<T, U, ID: Fn() -> U, F: Fn(U, T) -> U> MakeChunk<T> for ByFold<ID, F> {
    type Out = U;
    #[inline]
    fn make(&self, items: impl Iterator<Item = T>) -> U {
        items.fold((self.0)(), |so_far, item| (self.1)(so_far, item))
    }
}

impl<ID, F> Clone for ByFold<ID, F> {
    fn clone(&self) -> Self {
        ByFold(self.0, self.1)
    }
}

adapter! {
    /// What [`chunks`](IndexedParallelIterator::chunks) returns.
    Chunks<I> { size: usize }
}

impl<I: IndexedParallelIterator> ParallelIterator for Chunks<I> {
    type Item = Vec<I::Item>;
    type Source = ChunkSource<I::Source, ToVec>;
    unsafe fn source(&mut self) -> Self::Source {
        // SAFETY: the base stays where it is as long as `self` does.
        ChunkSource { base: unsafe { self.base.source() }, size: self.size, make: ToVec }
    }
    fn opt_len(&self) -> Option<usize> {
        Some(self.base.opt_len()?.div_ceil(self.size))
    }
}

impl<I: IndexedParallelIterator> IndexedParallelIterator for Chunks<I> {}

adapter! {
    /// What [`fold_chunks`](IndexedParallelIterator::fold_chunks) returns.
    FoldChunks<I, ID, F> { size: usize, identity: ID, fold_op: F }
}

impl<I, ID, F, U> ParallelIterator for FoldChunks<I, ID, F>
where
    I: IndexedParallelIterator,
    ID: Fn() -> U + Sync + Send,
    F: Fn(U, I::Item) -> U + Sync + Send,
    U: Send,
{
    type Item = U;
    type Source = ChunkSource<I::Source, ByFold<ID, F>>;
    unsafe fn source(&mut self) -> Self::Source {
        // SAFETY: the closures stay where they are as long as `self` does.
        let make = unsafe { ByFold(Shared::new(&self.identity), Shared::new(&self.fold_op)) };
        // SAFETY: and so does the base.
        ChunkSource { base: unsafe { self.base.source() }, size: self.size, make }
    }
    fn opt_len(&self) -> Option<usize> {
        Some(self.base.opt_len()?.div_ceil(self.size))
    }
}

impl<I, ID, F, U> IndexedParallelIterator for FoldChunks<I, ID, F>
where
    I: IndexedParallelIterator,
    ID: Fn() -> U + Sync + Send,
    F: Fn(U, I::Item) -> U + Sync + Send,
    U: Send,
{
}

#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct ChunkSource<S, M> {
    base: S,
    size: usize,
    make: M,
}

impl<S: Source, M> ChunkSource<S, M> {
    /// How many items of the base are in the first `n` chunks.
    fn items_in(&self, n: usize) -> usize {
        n.saturating_mul(self.size).min(self.base.len())
    }
}

// SAFETY: an item for each run of `size` items of the base, which is cut between runs.
unsafe impl<S: Source, M: MakeChunk<S::Item> + Clone + Send> Source for ChunkSource<S, M> {
    type Item = M::Out;
    const EXACT: bool = S::EXACT;
    fn len(&self) -> usize {
        self.base.len().div_ceil(self.size)
    }
    /// Without a division.
    fn is_empty(&self) -> bool {
        self.base.is_empty()
    }
    fn split_at(self, index: usize) -> (Self, Self) {
        let at = self.items_in(index);
        let (left, right) = self.base.split_at(at);
        (
            ChunkSource { base: left, size: self.size, make: self.make.clone() },
            ChunkSource { base: right, size: self.size, make: self.make },
        )
    }
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = M::Out> {
        let left = self.items_in(n);
        ChunkBatch { base: &mut self.base, left, size: self.size, make: &self.make }
    }
    fn grain(&self) -> Grain {
        self.base.grain().in_chunks_of(self.size)
    }
}

/// Takes each chunk from the base as a batch, so that the loop over its items is a plain one.
struct ChunkBatch<'a, S: Source, M> {
    base: &'a mut S,
    /// How many items of the base are still to be taken.
    left: usize,
    size: usize,
    make: &'a M,
}

impl<S: Source, M: MakeChunk<S::Item>> Iterator for ChunkBatch<'_, S, M> {
    type Item = M::Out;
    #[inline]
    fn next(&mut self) -> Option<M::Out> {
        if self.left == 0 {
            return None;
        }
        let n = self.size.min(self.left);
        self.left -= n;
        let mut items = self.base.take_front(n).peekable();
        // None if the base has ended early.
        items.peek()?;
        Some(self.make.make(items))
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.left.div_ceil(self.size);
        (len, Some(len))
    }
}

impl<S: Source, M> Drop for ChunkBatch<'_, S, M> {
    fn drop(&mut self) {
        if self.left > 0 {
            // Items that nobody has asked for are lost.
            drop(self.base.take_front(self.left));
        }
    }
}

impl<S: IndexedSource, M: MakeChunk<S::Item> + Clone + Send> IndexedSource for ChunkSource<S, M> {
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = M::Out> {
        let len = self.base.len();
        let num_items = len - self.items_in(self.len() - n);
        // The last chunk may be short.
        let mut size = match len % self.size {
            0 => self.size,
            rest => rest,
        };
        let mut items = self.base.take_back(num_items);
        let (full, make) = (self.size, &self.make);
        (0..n).map_while(move |_| {
            let chunk: Vec<_> = items.by_ref().take(size).collect();
            size = full;
            // Empty if the base has ended early.
            (!chunk.is_empty()).then(|| make.make(chunk.into_iter().rev()))
        })
    }
}

adapter! {
    /// What [`step_by`](IndexedParallelIterator::step_by) returns.
    StepBy<I> { step: usize }
}

impl<I: IndexedParallelIterator> ParallelIterator for StepBy<I> {
    type Item = I::Item;
    type Source = StepSource<I::Source>;
    unsafe fn source(&mut self) -> Self::Source {
        // SAFETY: the base stays where it is as long as `self` does.
        let base = unsafe { self.base.source() };
        // As good as any longer one. (`StepBy` of the standard library is lost in steps of steps
        // that overflow.)
        let step = self.step.min(base.len()).max(1);
        StepSource { base, step }
    }
    fn opt_len(&self) -> Option<usize> {
        Some(self.base.opt_len()?.div_ceil(self.step))
    }
}

impl<I: IndexedParallelIterator> IndexedParallelIterator for StepBy<I> {}

#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct StepSource<S> {
    base: S,
    step: usize,
}

impl<S: Source> StepSource<S> {
    fn items_in(&self, n: usize) -> usize {
        n.saturating_mul(self.step).min(self.base.len())
    }
}

// SAFETY: the first of each run of `step` items of the base, which is cut between runs.
unsafe impl<S: Source> Source for StepSource<S> {
    type Item = S::Item;
    const EXACT: bool = S::EXACT;
    fn len(&self) -> usize {
        self.base.len().div_ceil(self.step)
    }
    /// Without a division.
    fn is_empty(&self) -> bool {
        self.base.is_empty()
    }
    fn split_at(self, index: usize) -> (Self, Self) {
        let (at, step) = (self.items_in(index), self.step);
        let (left, right) = self.base.split_at(at);
        (StepSource { base: left, step }, StepSource { base: right, step })
    }
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = S::Item> {
        let num_items = self.items_in(n);
        self.base.take_front(num_items).step_by(self.step)
    }
    fn grain(&self) -> Grain {
        self.base.grain().in_chunks_of(self.step)
    }
}

impl<S: IndexedSource> IndexedSource for StepSource<S> {
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = S::Item> {
        let len = self.base.len();
        // What follows the last item that is not passed over.
        let behind = if n > 0 { (len - 1) % self.step } else { 0 };
        let num_items = if n > 0 { (n - 1) * self.step + 1 } else { 0 };
        drop(self.base.take_back(behind));
        self.base.take_back(num_items).step_by(self.step)
    }
}
