//! Prefix sums (Blelloch, "Prefix sums and their applications", 1990): totals of blocks, a plain
//! scan over those, and then each block from the total before it.

use crate::par::convert::collect_in_place;
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::slice::ParallelSliceMut;
use crate::par::sources::vec::Owned;
use crate::pool::with_current_registry;
use std::fmt;

/// Fewer workers than this cannot make up for calling the operation twice as often.
const MIN_WORKERS: usize = 3;
/// Blocks a worker: enough to even out.
const BLOCKS_PER_WORKER: usize = 4;

/// What [`inclusive_scan`](IndexedParallelIterator::inclusive_scan) and
/// [`exclusive_scan`](IndexedParallelIterator::exclusive_scan) return.
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct Scan<I: ParallelIterator, F> {
    /// Consumed when the source is made.
    base: Option<I>,
    /// What an exclusive scan starts with.
    init: Option<I::Item>,
    op: F,
    results: Vec<I::Item>,
}

impl<I: ParallelIterator, F> Scan<I, F> {
    pub(crate) fn new(base: I, init: Option<I::Item>, op: F) -> Self {
        Scan { base: Some(base), init, op, results: Vec::new() }
    }
}

impl<I: ParallelIterator<Item: Clone> + Clone, F: Clone> Clone for Scan<I, F> {
    fn clone(&self) -> Self {
        Scan {
            base: self.base.clone(),
            init: self.init.clone(),
            op: self.op.clone(),
            results: Vec::new(),
        }
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
    type Source = Owned<I::Item>;
    unsafe fn source(&mut self) -> Self::Source {
        if let Some(base) = self.base.take() {
            collect_in_place(base, &mut self.results);
        }
        scan(&mut self.results, self.init.take(), &self.op);
        let len = self.results.len();
        // SAFETY: the vector lives as long as `self`, and nobody else touches it.
        unsafe { Owned::from_tail(&mut self.results, 0, len) }
    }
    fn opt_len(&self) -> Option<usize> {
        self.base.as_ref()?.opt_len()
    }
}

impl<I, F> IndexedParallelIterator for Scan<I, F>
where
    I: IndexedParallelIterator,
    F: Fn(&I::Item, &I::Item) -> I::Item + Sync + Send,
{
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
