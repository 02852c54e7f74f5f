//! Prefix sums. A loop that nobody shares scans its base as it goes. One that is shared first
//! collects what is left (Blelloch, "Prefix sums and their applications", 1990): totals of blocks, a
//! plain scan over those, and then each block from the total before it.

use crate::engine::sync::{Mutex, lock};
use crate::par::convert::collect_source;
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::slice::ParallelSliceMut;
use crate::par::source::{Grain, IndexedSource, Shared, Source};
use crate::par::sources::vec::Owned;
use crate::pool::with_current_registry;
use either::Either;
use std::{fmt, mem, thread};

/// Fewer workers than this cannot make up for calling the operation twice as often.
const MIN_WORKERS: usize = 3;
/// With fewer, a loop whose items cost less than this is not shared: to collect, to scan and to move
/// them takes as long as two workers would save.
const MIN_SHARED_NS: u64 = 4;
/// Blocks a worker: enough to even out.
const BLOCKS_PER_WORKER: usize = 4;

/// What [`inclusive_scan`](IndexedParallelIterator::inclusive_scan) and
/// [`exclusive_scan`](IndexedParallelIterator::exclusive_scan) return.
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct Scan<I: ParallelIterator, F> {
    base: I,
    /// What an exclusive scan starts with.
    init: Option<I::Item>,
    op: F,
    /// The buffer of the results that were collected.
    results: Mutex<Vec<I::Item>>,
}

impl<I: ParallelIterator, F> Scan<I, F> {
    pub(crate) fn new(base: I, init: Option<I::Item>, op: F) -> Self {
        Scan { base, init, op, results: Mutex::new(Vec::new()) }
    }
}

impl<I: ParallelIterator<Item: Clone> + Clone, F: Clone> Clone for Scan<I, F> {
    fn clone(&self) -> Self {
        Scan::new(self.base.clone(), self.init.clone(), self.op.clone())
    }
}

impl<I: ParallelIterator + fmt::Debug, F> fmt::Debug for Scan<I, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("base", &self.base).finish_non_exhaustive()
    }
}

impl<I, F> ParallelIterator for Scan<I, F>
where
    I: IndexedParallelIterator,
    F: Fn(&I::Item, &I::Item) -> I::Item + Sync + Send,
{
    type Item = I::Item;
    type Source = ScanSource<I::Source, F>;
    unsafe fn source(&mut self) -> Self::Source {
        let is_exclusive = self.init.is_some();
        // SAFETY: the closure and the vector stay where they are as long as `self` does.
        let (op, results) = unsafe { (Shared::new(&self.op), Shared::new(&self.results)) };
        // SAFETY: and so does the base.
        let base = unsafe { self.base.source() };
        ScanSource { rest: Rest::Lazy(base, self.init.take()), is_exclusive, op, results }
    }
    fn opt_len(&self) -> Option<usize> {
        self.base.opt_len()
    }
}

impl<I, F> IndexedParallelIterator for Scan<I, F>
where
    I: IndexedParallelIterator,
    F: Fn(&I::Item, &I::Item) -> I::Item + Sync + Send,
{
}

#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct ScanSource<S: Source, F> {
    rest: Rest<S, S::Item>,
    is_exclusive: bool,
    op: Shared<F>,
    results: Shared<Mutex<Vec<S::Item>>>,
}

/// What is left to be yielded.
enum Rest<S, T> {
    /// The item that comes next, and of what those behind it will be made. An inclusive scan makes
    /// its first one when it begins.
    Lazy(S, Option<T>),
    Collected(Owned<T>),
}

impl<S, F> ScanSource<S, F>
where
    S: Source<Item: Send>,
    F: Fn(&S::Item, &S::Item) -> S::Item + Sync,
{
    /// All that is left, in a buffer.
    #[cold]
    fn collect(&mut self) -> &mut Owned<S::Item> {
        let items = match mem::replace(&mut self.rest, Rest::Collected(Owned::empty())) {
            Rest::Lazy(base, next) => self.scan(base, next),
            Rest::Collected(items) => items,
        };
        self.rest = Rest::Collected(items);
        match &mut self.rest {
            Rest::Collected(items) => items,
            Rest::Lazy(..) => unreachable!("just collected"),
        }
    }

    fn scan(&self, base: S, next: Option<S::Item>) -> Owned<S::Item> {
        let (mut results, mut init) = (Vec::new(), next);
        if !self.is_exclusive {
            results.extend(init.take());
        }
        collect_source(base, &mut results);
        scan(&mut results, init, &*self.op);
        let len = results.len();
        let mut home = lock(&self.results);
        *home = results;
        // SAFETY: the buffer lives as long as the iterator, and nobody else writes to it: this is
        // done once, before the source is split.
        unsafe { Owned::from_tail(&mut home, 0, len) }
    }
}

// SAFETY: an item for each item of the base.
unsafe impl<S, F> Source for ScanSource<S, F>
where
    S: Source<Item: Send>,
    F: Fn(&S::Item, &S::Item) -> S::Item + Sync + Send,
{
    type Item = S::Item;
    const EXACT: bool = S::EXACT;
    #[inline]
    fn len(&self) -> usize {
        match &self.rest {
            Rest::Lazy(base, next) => {
                base.len() + usize::from(next.is_some() && !self.is_exclusive)
            }
            Rest::Collected(items) => Source::len(items),
        }
    }
    fn split_at(mut self, index: usize) -> (Self, Self) {
        let (left, right) = mem::replace(self.collect(), Owned::empty()).split_at(index);
        let part = |items| ScanSource { rest: Rest::Collected(items), ..self };
        (part(left), part(right))
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = S::Item> {
        match &mut self.rest {
            Rest::Lazy(base, next) => {
                if next.is_none() && n > 0 {
                    *next = base.take_front(1).next();
                }
                let num_items = n.min(base.len());
                let (items, ends) = (Some(base.take_front(num_items)), num_items < n);
                Either::Left(Batch { items, ends, total: next.take(), home: next, op: self.op })
            }
            Rest::Collected(items) => Either::Right(items.take_front(n)),
        }
    }
    fn grain(&self) -> Grain {
        match &self.rest {
            Rest::Lazy(base, _) => {
                let is_wide = with_current_registry(|registry| registry.width()) >= MIN_WORKERS;
                let min_ns = if is_wide { 0 } else { MIN_SHARED_NS };
                Grain { min_ns, ..Grain::default() }.and(base.grain())
            }
            Rest::Collected(_) => Grain::default(),
        }
    }
}

impl<S, F> IndexedSource for ScanSource<S, F>
where
    S: IndexedSource<Item: Send>,
    F: Fn(&S::Item, &S::Item) -> S::Item + Sync + Send,
{
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = S::Item> {
        self.collect().take_back(n)
    }
}

/// Yields one item behind those that it takes: what comes next is made before an item is given
/// away, because there is no copy of it to be had.
struct Batch<'a, I, T, F>
where
    I: Iterator<Item = T>,
    F: Fn(&T, &T) -> T,
{
    /// `None` once they are eaten.
    items: Option<I>,
    /// Whether what comes after the last item is yielded too, as nothing follows.
    ends: bool,
    total: Option<T>,
    /// Where the total is kept between two batches.
    home: &'a mut Option<T>,
    op: Shared<F>,
}

impl<I, T, F> Iterator for Batch<'_, I, T, F>
where
    I: Iterator<Item = T>,
    F: Fn(&T, &T) -> T,
{
    type Item = T;
    #[inline]
    fn next(&mut self) -> Option<T> {
        match self.items.as_mut()?.next() {
            Some(item) => {
                let next = (self.op)(self.total.as_ref()?, &item);
                self.total.replace(next)
            }
            None => {
                self.items = None;
                if self.ends { self.total.take() } else { None }
            }
        }
    }
    #[inline]
    fn fold<B, G: FnMut(B, T) -> B>(mut self, init: B, mut g: G) -> B {
        let Some(items) = self.items.take() else { return init };
        let Some(mut total) = self.total.take() else { return init };
        let op = self.op;
        let so_far = items.fold(init, |so_far, item| {
            let next = op(&total, &item);
            g(so_far, mem::replace(&mut total, next))
        });
        if self.ends {
            return g(so_far, total);
        }
        self.total = Some(total);
        so_far
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        let Some(items) = &self.items else { return (0, Some(0)) };
        let (least, most) = items.size_hint();
        (least + usize::from(self.ends), most.map(|most| most + usize::from(self.ends)))
    }
}

impl<I, T, F> Drop for Batch<'_, I, T, F>
where
    I: Iterator<Item = T>,
    F: Fn(&T, &T) -> T,
{
    fn drop(&mut self) {
        // Items that nobody has asked for are lost, but not from the total.
        if self.items.is_some() && !thread::panicking() {
            self.by_ref().for_each(drop);
        }
        *self.home = self.total.take();
    }
}

/// Scans in place: exclusively if there is something to start with.
fn scan<T: Send>(items: &mut [T], init: Option<T>, op: &(impl Fn(&T, &T) -> T + Sync)) {
    let is_exclusive = init.is_some();
    let width = with_current_registry(|registry| registry.width());
    let num_blocks = width * BLOCKS_PER_WORKER;
    if width < MIN_WORKERS || items.len() < 2 * num_blocks {
        return scan_block(items, init, is_exclusive, op);
    }
    let size = items.len().div_ceil(num_blocks);
    let before_last = (items.len() - 1) / size * size;
    // Blocks of at least two items, because there is no copy of a single one to be had.
    let totals: Vec<T> = items[..before_last]
        .par_chunks_mut(size)
        .map(|block| {
            let first = op(&block[0], &block[1]);
            block[2..].iter().fold(first, |total, item| op(&total, item))
        })
        .collect();
    let mut starts = vec![init];
    for total in totals {
        let next = match starts.last() {
            Some(Some(start)) => op(start, &total),
            _ => total,
        };
        starts.push(Some(next));
    }
    items
        .par_chunks_mut(size)
        .zip(starts)
        .for_each(|(block, start)| scan_block(block, start, is_exclusive, op));
}

fn scan_block<T>(items: &mut [T], start: Option<T>, is_exclusive: bool, op: &impl Fn(&T, &T) -> T) {
    match start {
        Some(start) if is_exclusive => {
            items.iter_mut().fold(start, |total, item| {
                let next = op(&total, item);
                *item = total;
                next
            });
            return;
        }
        Some(start) => {
            if let Some(first) = items.first_mut() {
                *first = op(&start, first);
            }
        }
        None => {}
    }
    for next in 1..items.len() {
        items[next] = op(&items[next - 1], &items[next]);
    }
}
