//! What a parallel loop runs over: sources that split in two and are eaten from the front.
//!
//! A [`ParallelIterator`](super::ParallelIterator) is a description; its [`Source`] is what the
//! driver works on. A source is measured in *units*. For most of them a unit is an item; where the
//! number of items is not known before they are looked at, a unit is whatever can be counted: a
//! byte of a string, an item of the input of a `filter`.

use std::num::NonZeroUsize;
use std::ops::Deref;
use std::ptr::NonNull;

/// The part of a loop's input that is still to be eaten: it splits in two, and yields its items
/// from the front as ordinary iterators, a batch at a time.
///
/// Implement this, and [`ParallelIterator`](super::ParallelIterator) on top, to make a data
/// structure of your own a parallel iterator. Batches are long where items are cheap, so what
/// `take_front` returns should be as fast as a hand-written loop over so many items.
///
/// # Safety
/// If [`EXACT`](Source::EXACT) is `true`, results are written straight to where a unit's position
/// says. So then, unless something unwinds:
/// - `take_front(n)` yields at most `n` items and takes `n` off `len`; only if the source ends
///   early for good, so that no later item of the whole input is wanted, it yields fewer than `n`;
/// - `split_at(i)` returns a source of length `i` and one of length `len - i`;
/// - `len` changes by these two alone.
pub unsafe trait Source: Sized + Send {
    /// What it yields.
    type Item;

    /// Whether a unit is an item.
    const EXACT: bool;

    /// How many units are left; at least 1 if an item is left. May grow while items are eaten if
    /// the source is not exact.
    fn len(&self) -> usize;

    /// Whether nothing is left.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Splits into about the first `index` units and the rest; `index` is at most `len`.
    fn split_at(self, index: usize) -> (Self, Self);

    /// Eats about `n` units from the front, at least one unless `n` is 0; `n` is in `0..=len`. Items
    /// that the caller does not take are lost.
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = Self::Item>;

    /// What the user wants of the driver. Adapters hand on what their base says.
    fn grain(&self) -> Grain {
        Grain::default()
    }
}

/// A [`Source`] with an item a unit, which can be eaten from the back too.
pub trait IndexedSource: Source {
    /// Eats `n` items from the back, the last one first; `n` is in `0..=len`.
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = Self::Item>;
}

/// How a loop may be cut into pieces, as the user wants it. By default: as the driver likes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Grain {
    /// A piece of fewer than twice as many units is not split.
    pub min: usize,
    /// At least every so many units the worker looks whether somebody wants work.
    pub max: usize,
    /// How far the loop may be ahead of its first unfinished unit.
    pub blocks: Blocks,
    /// A loop whose units are known to cost less, in nanoseconds, is not split: for sources that
    /// lose by it what a second worker would gain.
    pub min_ns: u64,
}

/// Whether a loop runs all of its input at once, or block after block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Blocks {
    /// All at once.
    All,
    /// Blocks of so many units.
    Uniform(NonZeroUsize),
    /// Blocks of 1, 2, 4, .. times the number of workers.
    Exponential,
}

impl Default for Grain {
    fn default() -> Self {
        Grain { min: 1, max: usize::MAX, blocks: Blocks::All, min_ns: 0 }
    }
}

impl Grain {
    /// The same wish in units of which each is `size` of these.
    #[must_use]
    pub fn in_chunks_of(self, size: usize) -> Self {
        let size = size.max(1);
        let blocks = match self.blocks {
            Blocks::Uniform(units) => Blocks::Uniform(
                units.div_ceil(NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN)),
            ),
            other => other,
        };
        Grain {
            min: self.min.div_ceil(size),
            max: (self.max / size).max(1),
            blocks,
            min_ns: self.min_ns.saturating_mul(size as u64),
        }
    }

    /// Both wishes at once, as far as they can be met.
    #[must_use]
    pub fn and(self, other: Grain) -> Self {
        Grain {
            min: self.min.max(other.min),
            max: self.max.min(other.max),
            blocks: if self.blocks == Blocks::All { other.blocks } else { self.blocks },
            min_ns: self.min_ns.max(other.min_ns),
        }
    }
}

/// A shared reference without a lifetime: to a closure, a counter or the like, from the parts of a
/// source to the parallel iterator that owns it.
pub(crate) struct Shared<T>(NonNull<T>);

// SAFETY: a `&T` in all but the lifetime, which `new` vouches for.
unsafe impl<T: Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// # Safety
    /// The value outlives the reference and all copies of it, and stays where it is.
    pub(crate) unsafe fn new(value: &T) -> Self {
        Shared(NonNull::from(value))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<T> {}

impl<T> Deref for Shared<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: live, by the contract of `new`.
        unsafe { self.0.as_ref() }
    }
}
