//! Parallel iterators made of the items of another.

use crate::par::convert::IntoParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::on_heap::OnHeap;
use crate::par::source::{Grain, Shared, Source};
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
        FlatMapSource { base, f, inner: None }
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
        FlatMapSource { base, f, inner: None }
    }
}

/// Units are what is left of the inner iterator in hand, and then the outer items.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct FlatMapSource<S, F, U: ParallelIterator> {
    inner: Option<OnHeap<U>>,
    base: S,
    f: Shared<F>,
}

impl<S, F, U: ParallelIterator> FlatMapSource<S, F, U> {
    fn inner_len(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| inner.len())
    }
}

// SAFETY: not exact.
unsafe impl<S, F, PI> Source for FlatMapSource<S, F, PI::Iter>
where
    S: Source,
    F: Fn(S::Item) -> PI + Sync + Send,
    PI: IntoParallelIterator,
{
    type Item = PI::Item;
    const EXACT: bool = false;
    fn len(&self) -> usize {
        self.base.len().saturating_add(self.inner_len())
    }
    fn split_at(self, index: usize) -> (Self, Self) {
        let inner_len = self.inner_len();
        let FlatMapSource { inner, base, f } = self;
        let (left, right, at) = match inner {
            Some(inner) if index < inner_len => {
                let (left, right) = inner.split_at(index);
                (Some(left), Some(right), 0)
            }
            inner => (inner, None, (index - inner_len).min(base.len())),
        };
        let (left_base, right_base) = base.split_at(at);
        (
            FlatMapSource { inner: left, base: left_base, f },
            FlatMapSource { inner: right, base: right_base, f },
        )
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = PI::Item> {
        Front { source: self, left: n }
    }
    fn grain(&self) -> Grain {
        self.base.grain()
    }
}

/// A batch: as many units as are left, of inner and of outer items.
struct Front<'a, S, F, U: ParallelIterator> {
    source: &'a mut FlatMapSource<S, F, U>,
    left: usize,
}

impl<S, F, PI> Front<'_, S, F, PI::Iter>
where
    S: Source,
    F: Fn(S::Item) -> PI,
    PI: IntoParallelIterator,
{
    /// The next outer item's iterator.
    fn next_iter(&mut self) -> Option<PI::Iter> {
        while self.left > 0 && !self.source.base.is_empty() {
            self.left -= 1;
            let item = self.source.base.take_front(1).next();
            if let Some(item) = item {
                return Some((self.source.f)(item).into_par_iter());
            }
        }
        None
    }
}

impl<S, F, PI> Iterator for Front<'_, S, F, PI::Iter>
where
    S: Source,
    F: Fn(S::Item) -> PI,
    PI: IntoParallelIterator,
{
    type Item = PI::Item;

    fn next(&mut self) -> Option<PI::Item> {
        loop {
            if let Some(inner) = &mut self.source.inner {
                if !inner.is_empty() {
                    self.left = self.left.checked_sub(1)?;
                    let item = inner.take_front(1).next();
                    if item.is_some() {
                        return item;
                    }
                    continue;
                }
                self.source.inner = None;
            }
            self.source.inner = Some(OnHeap::new(self.next_iter()?));
        }
    }

    /// The way of most consumers: an inner iterator that fits the batch needs no heap.
    fn fold<B, G: FnMut(B, PI::Item) -> B>(mut self, init: B, mut g: G) -> B {
        let mut so_far = init;
        loop {
            if let Some(inner) = &mut self.source.inner {
                let n = inner.len().min(self.left);
                so_far = inner.take_front(n).fold(so_far, &mut g);
                self.left -= n;
                if !inner.is_empty() {
                    if self.left == 0 {
                        return so_far;
                    }
                    continue;
                }
                self.source.inner = None;
            }
            let Some(mut iter) = self.next_iter() else { return so_far };
            if iter.opt_len().is_some_and(|len| len <= self.left) {
                // SAFETY: the source is gone, by its end or unwinding, before `iter`, which is not
                // touched until then.
                let mut source = unsafe { iter.source() };
                let n = source.len();
                so_far = source.take_front(n).fold(so_far, &mut g);
                self.left = self.left.saturating_sub(n);
            } else {
                self.source.inner = Some(OnHeap::new(iter));
            }
        }
    }
}
