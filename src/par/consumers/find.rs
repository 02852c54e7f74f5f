//! Searches: for any match, or for the first or the last.

use super::Consumer;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The first of the items that a function makes something of, and what. Four items a turn: a loop
/// as short as over one would be half as fast where it happens to lie across two cache lines. And
/// a function of its own, so that it has the registers to itself.
#[inline(never)]
fn search<T, R>(
    mut items: impl Iterator<Item = T>,
    mut make: impl FnMut(T) -> Option<R>,
) -> Option<R> {
    loop {
        if let found @ Some(_) = make(items.next()?) {
            return found;
        }
        if let found @ Some(_) = make(items.next()?) {
            return found;
        }
        if let found @ Some(_) = make(items.next()?) {
            return found;
        }
        if let found @ Some(_) = make(items.next()?) {
            return found;
        }
    }
}

/// What makes an item the one that is looked for.
pub(crate) trait Pick<T>: Sync {
    type Found: Send;
    fn first(&self, items: impl Iterator<Item = T>) -> Option<Self::Found>;
    fn last(&self, items: impl Iterator<Item = T>) -> Option<Self::Found>;
}

/// An item that a predicate holds for.
pub(crate) struct That<P>(pub(crate) P);

impl<T: Send, P: Fn(&T) -> bool + Sync> Pick<T> for That<P> {
    type Found = T;
    #[inline]
    fn first(&self, items: impl Iterator<Item = T>) -> Option<T> {
        search(items, |item| if (self.0)(&item) { Some(item) } else { None })
    }
    #[inline]
    fn last(&self, items: impl Iterator<Item = T>) -> Option<T> {
        items.filter(&self.0).last()
    }
}

/// Whether there is an item that a predicate holds for.
pub(crate) struct Any<P>(pub(crate) P);

impl<T, P: Fn(T) -> bool + Sync> Pick<T> for Any<P> {
    type Found = ();
    #[inline]
    fn first(&self, items: impl Iterator<Item = T>) -> Option<()> {
        search(items, |item| (self.0)(item).then_some(()))
    }
    fn last(&self, items: impl Iterator<Item = T>) -> Option<()> {
        self.first(items)
    }
}

/// What a function makes of an item, if it makes something.
pub(crate) struct Made<F>(pub(crate) F);

impl<T, R: Send, F: Fn(T) -> Option<R> + Sync> Pick<T> for Made<F> {
    type Found = R;
    #[inline]
    fn first(&self, items: impl Iterator<Item = T>) -> Option<R> {
        search(items, &self.0)
    }
    #[inline]
    fn last(&self, items: impl Iterator<Item = T>) -> Option<R> {
        items.filter_map(&self.0).last()
    }
}

/// Looks for an item, whichever comes first in time.
pub(crate) struct FindAny<'a, P, R> {
    pick: &'a P,
    is_found: &'a AtomicBool,
    found: Option<R>,
}

impl<'a, P, R> FindAny<'a, P, R> {
    pub(crate) fn new(pick: &'a P, is_found: &'a AtomicBool) -> Self {
        FindAny { pick, is_found, found: None }
    }
}

impl<T, P: Pick<T>> Consumer<T> for FindAny<'_, P, P::Found> {
    type Out = Option<P::Found>;
    fn split_at(self, _: usize) -> (Self, Self) {
        let right = FindAny::new(self.pick, self.is_found);
        (self, right)
    }
    #[inline]
    fn feed(&mut self, items: impl Iterator<Item = T>) {
        self.found = self.pick.first(items);
        if self.found.is_some() {
            // Relaxed: tells the others to stop; what was found is handed on by the joins.
            self.is_found.store(true, Ordering::Relaxed);
        }
    }
    #[inline]
    fn is_full(&self) -> bool {
        self.is_found.load(Ordering::Relaxed)
    }
    fn finish(self) -> Self::Out {
        self.found
    }
    fn merge(left: Self::Out, right: Self::Out) -> Self::Out {
        left.or(right)
    }
}

/// Where a part of a loop stands among the others: of two parts that do not overlap, the one with
/// the lower rank comes first.
///
/// Each unit is given as much room as sixty splits take, for the parts that grow while they are
/// eaten. If that is not enough, two parts may have equal ranks; then nothing is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rank {
    first: u128,
    last: u128,
}

impl Rank {
    pub(crate) const ALL: Rank = Rank { first: 0, last: u128::MAX };

    /// The ranks of the first `index` units and of the rest.
    pub(crate) fn split(self, index: usize) -> (Rank, Rank) {
        let (room, wish) = (self.last - self.first, (index as u128) << 64);
        let middle = self.first + if wish <= room { wish } else { room.div_ceil(2) };
        (
            Rank { first: self.first, last: middle.saturating_sub(1).max(self.first) },
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

/// Looks for the first or the last item.
pub(crate) struct FindEnd<'a, P, R> {
    pick: &'a P,
    end: End,
    rank: Rank,
    /// The best rank that has found something, counted from the end in question.
    best: &'a AtomicU64,
    found: Option<R>,
}

impl<'a, P, R> FindEnd<'a, P, R> {
    /// `best` is shared by the parts of one search, and `u64::MAX` at first.
    pub(crate) fn new(pick: &'a P, end: End, best: &'a AtomicU64) -> Self {
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

impl<T, P: Pick<T>> Consumer<T> for FindEnd<'_, P, P::Found> {
    /// And the end, for `merge`.
    type Out = (Option<P::Found>, End);
    fn split_at(self, index: usize) -> (Self, Self) {
        let (left, right) = self.rank.split(index);
        let right = FindEnd { rank: right, found: None, ..self };
        (FindEnd { rank: left, found: self.found, ..right }, right)
    }
    #[inline]
    fn feed(&mut self, items: impl Iterator<Item = T>) {
        let found = match self.end {
            End::First => self.pick.first(items),
            End::Last => self.pick.last(items),
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
