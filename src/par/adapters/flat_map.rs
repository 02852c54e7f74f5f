//! Parallel iterators made of the items of another.

use crate::par::convert::IntoParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::on_heap::OnHeap;
use crate::par::source::{Grain, Shared, Source};
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;

/// What [`flat_map`](ParallelIterator::flat_map) returns.
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct FlatMap<I, F, PI> {
    base: I,
    f: F,
    marker: PhantomData<fn() -> PI>,
}

impl<I, F, PI> FlatMap<I, F, PI> {
    pub(crate) fn new(base: I, f: F) -> Self {
        FlatMap { base, f, marker: PhantomData }
    }
}

impl<I: Clone, F: Clone, PI> Clone for FlatMap<I, F, PI> {
    fn clone(&self) -> Self {
        FlatMap::new(self.base.clone(), self.f.clone())
    }
}

impl<I: fmt::Debug, F, PI> fmt::Debug for FlatMap<I, F, PI> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlatMap").field("base", &self.base).finish_non_exhaustive()
    }
}

impl<I, F, PI> ParallelIterator for FlatMap<I, F, PI>
where
    I: ParallelIterator,
    F: Fn(I::Item) -> PI + Sync + Send,
    PI: IntoParallelIterator,
{
    type Item = PI::Item;
    type Source = FlatMapSource<I::Source, F, PI::Iter>;
    unsafe fn source(&mut self) -> Self::Source {
        // SAFETY: the base and the closure stay where they are as long as `self` does.
        let (base, f) = unsafe { (self.base.source(), Shared::new(&self.f)) };
        FlatMapSource::new(base, f)
    }
}

/// What [`flatten`](ParallelIterator::flatten) returns.
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct Flatten<I: ParallelIterator> {
    base: I,
    identity: fn(I::Item) -> I::Item,
}

impl<I: ParallelIterator> Flatten<I> {
    pub(crate) fn new(base: I) -> Self {
        Flatten { base, identity: std::convert::identity }
    }
}

impl<I: ParallelIterator + Clone> Clone for Flatten<I> {
    fn clone(&self) -> Self {
        Flatten::new(self.base.clone())
    }
}

impl<I: ParallelIterator + fmt::Debug> fmt::Debug for Flatten<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flatten").field("base", &self.base).finish_non_exhaustive()
    }
}

impl<I> ParallelIterator for Flatten<I>
where
    I: ParallelIterator<Item: IntoParallelIterator>,
{
    type Item = <I::Item as IntoParallelIterator>::Item;
    type Source =
        FlatMapSource<I::Source, fn(I::Item) -> I::Item, <I::Item as IntoParallelIterator>::Iter>;
    unsafe fn source(&mut self) -> Self::Source {
        // SAFETY: the base and the function's address stay where they are as long as `self` does.
        let (base, f) = unsafe { (self.base.source(), Shared::new(&self.identity)) };
        FlatMapSource::new(base, f)
    }
}

/// What comes next is, in this order: what is left of an inner iterator, outer items that were
/// taken from the base before it turned out to be long, and the base.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct FlatMapSource<S: Source, F, U: ParallelIterator> {
    inner: Option<OnHeap<U>>,
    stash: VecDeque<S::Item>,
    base: S,
    f: Shared<F>,
    /// What an outer item has come to, in units, lately.
    weight: usize,
}

impl<S: Source, F, U: ParallelIterator> FlatMapSource<S, F, U> {
    fn new(base: S, f: Shared<F>) -> Self {
        FlatMapSource { inner: None, stash: VecDeque::new(), base, f, weight: 1 }
    }

    fn inner_len(&self) -> usize {
        self.inner.as_ref().map_or(0, Source::len)
    }

    fn outer_len(&self) -> usize {
        self.stash.len().saturating_add(self.base.len())
    }
}

// SAFETY: not exact.
unsafe impl<S, F, PI> Source for FlatMapSource<S, F, PI::Iter>
where
    S: Source<Item: Send>,
    F: Fn(S::Item) -> PI + Sync + Send,
    PI: IntoParallelIterator,
{
    type Item = PI::Item;
    const EXACT: bool = false;
    fn len(&self) -> usize {
        self.outer_len().saturating_mul(self.weight).saturating_add(self.inner_len())
    }
    fn split_at(self, index: usize) -> (Self, Self) {
        let inner_len = self.inner_len();
        let FlatMapSource { inner, mut stash, base, f, weight } = self;
        let (left, right, outer) = match inner {
            Some(inner) if index < inner_len => {
                let (left, right) = inner.split_at(index);
                (Some(left), Some(right), 0)
            }
            inner => (inner, None, (index - inner_len) / weight),
        };
        let stashed = outer.min(stash.len());
        let right_stash = stash.split_off(stashed);
        let at = (outer - stashed).min(base.len());
        let (left_base, right_base) = base.split_at(at);
        (
            FlatMapSource { inner: left, stash, base: left_base, f, weight },
            FlatMapSource { inner: right, stash: right_stash, base: right_base, f, weight },
        )
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = PI::Item> {
        Front { source: self, ready: VecDeque::new(), left: n }
    }
    fn grain(&self) -> Grain {
        self.base.grain()
    }
}

/// A batch of about so many units.
struct Front<'a, S: Source, F, U: ParallelIterator> {
    source: &'a mut FlatMapSource<S, F, U>,
    /// What a unit of the inner iterator has yielded beyond its first item.
    ready: VecDeque<U::Item>,
    left: usize,
}

impl<S, F, PI> Iterator for Front<'_, S, F, PI::Iter>
where
    S: Source,
    F: Fn(S::Item) -> PI,
    PI: IntoParallelIterator,
{
    type Item = PI::Item;

    fn next(&mut self) -> Option<PI::Item> {
        if let Some(item) = self.ready.pop_front() {
            return Some(item);
        }
        loop {
            if let Some(inner) = &mut self.source.inner {
                if !inner.is_empty() {
                    self.left = self.left.checked_sub(1)?;
                    let mut items = inner.take_front(1);
                    if let Some(item) = items.next() {
                        if !<PI::Iter as ParallelIterator>::Source::EXACT {
                            self.ready.extend(items);
                        }
                        return Some(item);
                    }
                    continue;
                }
                self.source.inner = None;
            }
            if self.left == 0 || self.source.outer_len() == 0 {
                return None;
            }
            self.left -= 1;
            let FlatMapSource { inner, stash, base, f, .. } = &mut *self.source;
            let item = stash.pop_front().or_else(|| {
                let mut items = base.take_front(1);
                let first = items.next();
                if !S::EXACT {
                    stash.extend(items);
                }
                first
            });
            if let Some(item) = item {
                *inner = Some(OnHeap::new(f(item).into_par_iter()));
            }
        }
    }

    /// The way of most consumers. Outer items are taken many at a time, and an inner iterator that
    /// fits the batch needs no heap. Should one be longer, it is put where it can be split, and the
    /// outer items that were taken with it wait.
    #[inline]
    fn fold<B, G: FnMut(B, PI::Item) -> B>(mut self, init: B, mut g: G) -> B {
        let mut so_far = std::mem::take(&mut self.ready).into_iter().fold(init, &mut g);
        loop {
            let FlatMapSource { inner, stash, base, f, weight } = &mut *self.source;
            if let Some(iter) = inner {
                let n = iter.len().min(self.left);
                so_far = iter.take_front(n).fold(so_far, &mut g);
                self.left -= n;
                if !iter.is_empty() {
                    if self.left == 0 {
                        return so_far;
                    }
                    continue;
                }
                *inner = None;
            }
            if self.left == 0 {
                return so_far;
            }
            let limit = self.left;
            let (mut num_units, mut num_outer) = (0_usize, 0_usize);
            let mut each = |so_far, item, stash: &mut VecDeque<_>| {
                if inner.is_some() {
                    stash.push_back(item);
                    return so_far;
                }
                num_outer += 1;
                let mut iter = f(item).into_par_iter();
                match iter.opt_len() {
                    Some(len) if len <= limit => {
                        num_units += len;
                        // SAFETY: the source is gone, by its end or unwinding, before `iter`, which
                        // is not touched until then.
                        let mut source = unsafe { iter.source() };
                        source.take_front(len).fold(so_far, &mut g)
                    }
                    _ => {
                        let long = inner.insert(OnHeap::new(iter));
                        num_units = num_units.saturating_add(long.len());
                        so_far
                    }
                }
            };
            if let Some(item) = stash.pop_front() {
                so_far = each(so_far, item, stash);
            } else {
                // Once: what a bridge expects may shrink, as others eat of it.
                let len = base.len();
                if len == 0 {
                    return so_far;
                }
                let n = (limit / *weight).clamp(1, len);
                so_far = base.take_front(n).fold(so_far, |so_far, item| each(so_far, item, stash));
                // What a `filter` below has dropped counts as well.
                num_outer = num_outer.max(n.saturating_sub(stash.len()));
            }
            let units = num_units.saturating_add(num_outer);
            *weight = (*weight / 2).saturating_add(units / num_outer.max(1) / 2).max(1);
            // What went to the heap is still to be taken.
            self.left = self.left.saturating_sub(units - inner.as_ref().map_or(0, Source::len));
        }
    }
}
