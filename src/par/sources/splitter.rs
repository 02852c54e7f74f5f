//! Data that a closure cuts in two.

use crate::par::iter::ParallelIterator;
use crate::par::source::{Shared, Source};
use crate::pool::with_current_registry;
use std::fmt;

/// Pieces a worker: enough to even out.
const PIECES_PER_WORKER: usize = 4;

/// A parallel iterator over the pieces of `data`, which `splitter` cuts in two, and those again, as
/// long as it returns a second half.
///
/// There are at most about four pieces a worker of the pool, so that pieces are worth their while:
/// four times the [`width`](crate::Pool::num_workers), rounded up to a power of two. A piece that
/// cannot be cut is not made up for by others. Which pieces there are depends on the width alone,
/// not on how the work was shared (in rayon it does). Their order is that of the halves.
///
/// ```
/// use std::ops::Range;
/// use windlass::iter;
/// use windlass::prelude::*;
///
/// type Area = (Range<u32>, Range<u32>);
///
/// /// The longer side of a rectangle is cut.
/// fn halves((x, y): Area) -> (Area, Option<Area>) {
///     match (x.len(), y.len()) {
///         (0..=1, 0..=1) => ((x, y), None),
///         (width, height) if width >= height => {
///             let middle = x.start + width as u32 / 2;
///             ((x.start..middle, y.clone()), Some((middle..x.end, y)))
///         }
///         (_, height) => {
///             let middle = y.start + height as u32 / 2;
///             ((x.clone(), y.start..middle), Some((x, middle..y.end)))
///         }
///     }
/// }
///
/// let area: usize = iter::split((0..800, 0..600), halves).map(|(x, y)| x.len() * y.len()).sum();
/// assert_eq!(area, 480_000);
/// ```
pub fn split<D, S>(data: D, splitter: S) -> Split<D, S>
where
    D: Send,
    S: Fn(D) -> (D, Option<D>) + Sync + Send,
{
    Split { data: Some(data), splitter }
}

/// What [`split`] returns.
#[derive(Clone)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct Split<D, S> {
    /// Until the source is made.
    data: Option<D>,
    splitter: S,
}

impl<D: fmt::Debug, S> fmt::Debug for Split<D, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Split").field("data", &self.data).finish_non_exhaustive()
    }
}

impl<D, S> ParallelIterator for Split<D, S>
where
    D: Send,
    S: Fn(D) -> (D, Option<D>) + Sync + Send,
{
    type Item = D;
    type Source = SplitSource<D, S>;
    unsafe fn source(&mut self) -> Self::Source {
        let width = with_current_registry(|registry| registry.width());
        let budget = (width * PIECES_PER_WORKER).next_power_of_two();
        // SAFETY: the closure stays where it is as long as `self` does.
        let splitter = unsafe { Shared::new(&self.splitter) };
        let pieces = self.data.take().map(|data| Piece { data, budget }).into_iter().collect();
        SplitSource { pieces, splitter }
    }
}

/// What may become as many items as its budget says, at least one.
struct Piece<D> {
    data: D,
    budget: usize,
}

impl<D> Piece<D> {
    /// The halves share the budget. What cannot be cut, or need not, is an item: its budget is 1.
    fn halves(self, splitter: &impl Fn(D) -> (D, Option<D>)) -> (Self, Option<Self>) {
        if self.budget == 1 {
            return (self, None);
        }
        let budget = self.budget / 2;
        match splitter(self.data) {
            (left, Some(right)) => {
                (Piece { data: left, budget }, Some(Piece { data: right, budget }))
            }
            (whole, None) => (Piece { data: whole, budget: 1 }, None),
        }
    }
}

/// A unit is an item that there may be.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct SplitSource<D, S> {
    /// The next one last. Cutting the last again and again makes one more of each budget: so there
    /// are no more than the logarithm of the first one's.
    pieces: Vec<Piece<D>>,
    splitter: Shared<S>,
}

// SAFETY: not exact.
unsafe impl<D, S> Source for SplitSource<D, S>
where
    D: Send,
    S: Fn(D) -> (D, Option<D>) + Sync,
{
    type Item = D;
    const EXACT: bool = false;

    fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.budget).sum()
    }

    fn split_at(mut self, index: usize) -> (Self, Self) {
        let splitter = self.splitter;
        let mut left = Vec::new();
        let mut units = 0;
        while units < index
            && let Some(piece) = self.pieces.pop()
        {
            if units + piece.budget <= index {
                units += piece.budget;
                left.push(piece);
                continue;
            }
            if !left.is_empty() {
                // Near enough.
                self.pieces.push(piece);
                break;
            }
            match piece.halves(&*splitter) {
                (near, Some(far)) => self.pieces.extend([far, near]),
                (item, None) => {
                    left.push(item);
                    break;
                }
            }
        }
        left.reverse();
        (SplitSource { pieces: left, splitter }, self)
    }

    fn take_front(&mut self, n: usize) -> impl Iterator<Item = D> {
        let mut units = n;
        std::iter::from_fn(move || {
            units = units.checked_sub(1)?;
            let mut next = self.pieces.pop()?;
            let mut budget = next.budget;
            loop {
                match next.halves(&*self.splitter) {
                    (near, Some(far)) => {
                        budget = near.budget;
                        self.pieces.push(far);
                        next = near;
                    }
                    (item, None) => {
                        units = units.saturating_sub(budget - 1);
                        return Some(item.data);
                    }
                }
            }
        })
    }
}
