//! Searches: for any match, or for the first or the last.

use super::Consumer;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Looks for an item that `pick` makes something of, whichever comes first in time.
pub(crate) struct FindAny<'a, F, R> {
    pick: &'a F,
    is_found: &'a AtomicBool,
    found: Option<R>,
}

impl<'a, F, R> FindAny<'a, F, R> {
    pub(crate) fn new(pick: &'a F, is_found: &'a AtomicBool) -> Self {
        FindAny { pick, is_found, found: None }
    }
}

impl<T, R: Send, F: Fn(T) -> Option<R> + Sync> Consumer<T> for FindAny<'_, F, R> {
    type Out = Option<R>;
    fn split_at(self, _: usize) -> (Self, Self) {
        let right = FindAny::new(self.pick, self.is_found);
        (self, right)
    }
    #[inline]
    fn feed(&mut self, mut items: impl Iterator<Item = T>, _: usize) {
        self.found = items.find_map(self.pick);
        if self.found.is_some() {
            // Relaxed: tells the others to stop; what was found is handed on by the joins.
            self.is_found.store(true, Ordering::Relaxed);
        }
    }
    #[inline]
    fn is_full(&self) -> bool {
        self.is_found.load(Ordering::Relaxed)
    }
    fn finish(self) -> Option<R> {
        self.found
    }
    fn merge(left: Option<R>, right: Option<R>) -> Option<R> {
        left.or(right)
    }
}

/// Where a part of a loop stands among the others: of two parts that do not overlap, the one with
/// the lower rank comes first. Two parts may have equal ranks if one was split off after more than
/// a hundred splits; then nothing is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rank {
    first: u128,
    last: u128,
}

impl Rank {
    pub(crate) const ALL: Rank = Rank { first: 0, last: u128::MAX };

    pub(crate) fn split(self) -> (Rank, Rank) {
        let middle = self.first + (self.last - self.first).div_ceil(2);
        (
            Rank { first: self.first, last: (middle.max(1) - 1).max(self.first) },
            Rank { first: middle, last: self.last },
        )
    }

    pub(crate) fn is_before(self, other: Rank) -> bool {
        self.first < other.first
    }

    /// What of a rank fits a word; not as fine.
    pub(crate) fn coarse(self) -> u64 {
        (self.first >> 64) as u64
    }
}

/// The end that a search starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    First,
    Last,
}

/// Looks for the first or the last item that `pick` makes something of.
pub(crate) struct FindEnd<'a, F, R> {
    pick: &'a F,
    end: End,
    rank: Rank,
    /// The best rank that has found something, counted from the end in question.
    best: &'a AtomicU64,
    found: Option<R>,
}

impl<'a, F, R> FindEnd<'a, F, R> {
    /// `best` is shared by the parts of one search, and `u64::MAX` at first.
    pub(crate) fn new(pick: &'a F, end: End, best: &'a AtomicU64) -> Self {
        FindEnd { pick, end, rank: Rank::ALL, best, found: None }
    }

    fn distance(&self) -> u64 {
        match self.end {
            End::First => self.rank.coarse(),
            // Below `u64::MAX`, which says that nothing is found.
            End::Last => (u64::MAX - self.rank.coarse()).saturating_sub(1),
        }
    }
}

impl<T, R: Send, F: Fn(T) -> Option<R> + Sync> Consumer<T> for FindEnd<'_, F, R> {
    /// And the end, for `merge`.
    type Out = (Option<R>, End);
    fn split_at(self, _: usize) -> (Self, Self) {
        let (left, right) = self.rank.split();
        let right = FindEnd { rank: right, found: None, ..self };
        (FindEnd { rank: left, found: self.found, ..right }, right)
    }
    #[inline]
    fn feed(&mut self, mut items: impl Iterator<Item = T>, _: usize) {
        let found = match self.end {
            End::First => items.find_map(self.pick),
            End::Last => items.filter_map(self.pick).last(),
        };
        if found.is_some() {
            self.found = found;
            // Relaxed: a hint to stop early.
            self.best.fetch_min(self.distance(), Ordering::Relaxed);
        }
    }
    #[inline]
    fn is_full(&self) -> bool {
        let best = self.best.load(Ordering::Relaxed);
        best < self.distance() || (self.end == End::First && self.found.is_some())
    }
    fn finish(self) -> Self::Out {
        (self.found, self.end)
    }
    fn merge((left, end): Self::Out, (right, _): Self::Out) -> Self::Out {
        match end {
            End::First => (left.or(right), end),
            End::Last => (right.or(left), end),
        }
    }
}
