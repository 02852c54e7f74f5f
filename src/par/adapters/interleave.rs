//! Items of two iterators in turn, and separators between items.

use super::adapter;
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{Grain, IndexedSource, Source};

adapter! {
    /// What [`interleave`](IndexedParallelIterator::interleave) returns.
    Interleave<A, B> { second: B }
}

impl<A, B> ParallelIterator for Interleave<A, B>
where
    A: IndexedParallelIterator,
    B: IndexedParallelIterator<Item = A::Item>,
{
    type Item = A::Item;
    type Source = InterleaveSource<A::Source, B::Source>;
    unsafe fn source(&mut self) -> Self::Source {
        // SAFETY: both stay where they are as long as `self` does.
        let (a, b) = unsafe { (self.base.source(), self.second.source()) };
        InterleaveSource { a, b, is_a_first: true }
    }
    fn opt_len(&self) -> Option<usize> {
        self.base.opt_len()?.checked_add(self.second.opt_len()?)
    }
}

impl<A, B> IndexedParallelIterator for Interleave<A, B>
where
    A: IndexedParallelIterator,
    B: IndexedParallelIterator<Item = A::Item>,
{
}

#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct InterleaveSource<A, B> {
    a: A,
    b: B,
    is_a_first: bool,
}

/// Items in turn: `a` and `b` of them from either side, until one side is out of items.
#[derive(Clone, Copy)]
struct Turns {
    a: usize,
    b: usize,
    is_a_first: bool,
}

impl Turns {
    /// Whether the item at `index` is one of `a`.
    #[inline]
    fn is_a(self, index: usize) -> bool {
        let both = self.a.min(self.b);
        if index / 2 < both { index.is_multiple_of(2) == self.is_a_first } else { self.a > self.b }
    }

    /// The first `index` turns and the rest.
    fn split_at(self, index: usize) -> (Turns, Turns) {
        let both = self.a.min(self.b);
        let (half, extra) = (index / 2, index % 2);
        let (a, b) = if half >= both {
            if self.a > self.b { (index - self.b, self.b) } else { (self.a, index - self.a) }
        } else if self.is_a_first {
            (half + extra, half)
        } else {
            (half, half + extra)
        };
        (
            Turns { a, b, is_a_first: self.is_a_first },
            Turns { a: self.a - a, b: self.b - b, is_a_first: self.is_a_first == (extra == 0) },
        )
    }
}

impl<A: Source, B: Source> InterleaveSource<A, B> {
    fn turns(&self) -> Turns {
        Turns { a: self.a.len(), b: self.b.len(), is_a_first: self.is_a_first }
    }
}

// SAFETY: exact if both are: lengths add up, and `Turns` adds up to what it is given.
unsafe impl<A, B> Source for InterleaveSource<A, B>
where
    A: Source,
    B: Source<Item = A::Item>,
{
    type Item = A::Item;
    const EXACT: bool = A::EXACT && B::EXACT;
    fn len(&self) -> usize {
        self.a.len().checked_add(self.b.len()).expect("the length fits a usize")
    }
    fn split_at(self, index: usize) -> (Self, Self) {
        let (left, right) = self.turns().split_at(index);
        let (left_a, right_a) = self.a.split_at(left.a);
        let (left_b, right_b) = self.b.split_at(left.b);
        (
            InterleaveSource { a: left_a, b: left_b, is_a_first: left.is_a_first },
            InterleaveSource { a: right_a, b: right_b, is_a_first: right.is_a_first },
        )
    }
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = A::Item> {
        let (front, rest) = self.turns().split_at(n);
        self.is_a_first = rest.is_a_first;
        let (mut a, mut b) = (self.a.take_front(front.a), self.b.take_front(front.b));
        (0..n).map_while(move |turn| if front.is_a(turn) { a.next() } else { b.next() })
    }
    fn grain(&self) -> Grain {
        self.a.grain().and(self.b.grain())
    }
}

impl<A, B> IndexedSource for InterleaveSource<A, B>
where
    A: IndexedSource,
    B: IndexedSource<Item = A::Item>,
{
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = A::Item> {
        let (_, back) = self.turns().split_at(self.len() - n);
        let (mut a, mut b) = (self.a.take_back(back.a), self.b.take_back(back.b));
        (0..n).rev().map_while(move |turn| if back.is_a(turn) { a.next() } else { b.next() })
    }
}

adapter! {
    /// What [`intersperse`](IndexedParallelIterator::intersperse) returns.
    Intersperse<I, T> { item: T }
}

impl<I, T> ParallelIterator for Intersperse<I, T>
where
    I: IndexedParallelIterator<Item = T>,
    T: Clone + Send,
{
    type Item = T;
    type Source = IntersperseSource<I::Source, T>;
    unsafe fn source(&mut self) -> Self::Source {
        // SAFETY: the base stays where it is as long as `self` does.
        let base = unsafe { self.base.source() };
        IntersperseSource { base, item: self.item.clone(), is_lead: false, is_trail: false }
    }
    fn opt_len(&self) -> Option<usize> {
        let len = self.base.opt_len()?;
        len.checked_add(len.saturating_sub(1))
    }
}

impl<I, T> IndexedParallelIterator for Intersperse<I, T>
where
    I: IndexedParallelIterator<Item = T>,
    T: Clone + Send,
{
}

/// A part of the whole, which may begin and end with a separator.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct IntersperseSource<S, T> {
    base: S,
    item: T,
    is_lead: bool,
    is_trail: bool,
}

/// A run of so many items with a separator between any two, and maybe one before and one after. A
/// lone separator is a lead.
#[derive(Clone, Copy)]
struct Run {
    items: usize,
    is_lead: bool,
    is_trail: bool,
}

impl Run {
    fn len(self) -> usize {
        let between = self.items.saturating_sub(1);
        let len = self.items.checked_add(between).expect("the length fits a usize");
        len + usize::from(self.is_lead) + usize::from(self.is_trail)
    }

    fn split_at(self, index: usize) -> (Run, Run) {
        if index == 0 {
            return (Run { items: 0, is_lead: false, is_trail: false }, self);
        }
        let inside = index - usize::from(self.is_lead);
        let left = Run {
            items: inside.div_ceil(2),
            is_lead: self.is_lead,
            is_trail: inside > 0 && inside.is_multiple_of(2),
        };
        let items = self.items - left.items;
        let right = match (items, left.is_trail) {
            // What is left is the trail, if there is one.
            (0, is_taken) => Run { items, is_lead: self.is_trail && !is_taken, is_trail: false },
            (_, _) => Run { items, is_lead: inside % 2 == 1, is_trail: self.is_trail },
        };
        (left, right)
    }

    fn over<T: Clone>(
        self,
        item: &T,
        mut base: impl Iterator<Item = T>,
    ) -> impl Iterator<Item = T> {
        let (mut is_due, mut left) = (self.is_lead, self.items);
        std::iter::from_fn(move || {
            if is_due {
                is_due = false;
                return Some(item.clone());
            }
            let next = base.next()?;
            left -= 1;
            is_due = left > 0 || self.is_trail;
            Some(next)
        })
    }
}

impl<S: Source, T> IntersperseSource<S, T> {
    fn run(&self) -> Run {
        Run { items: self.base.len(), is_lead: self.is_lead, is_trail: self.is_trail }
    }
}

// SAFETY: exact if the base is: `Run` adds up to what it is given.
unsafe impl<S, T> Source for IntersperseSource<S, T>
where
    S: Source<Item = T>,
    T: Clone + Send,
{
    type Item = T;
    const EXACT: bool = S::EXACT;
    fn len(&self) -> usize {
        self.run().len()
    }
    fn split_at(self, index: usize) -> (Self, Self) {
        let (left, right) = self.run().split_at(index);
        let item = self.item.clone();
        let (left_base, right_base) = self.base.split_at(left.items);
        (
            IntersperseSource {
                base: left_base,
                item,
                is_lead: left.is_lead,
                is_trail: left.is_trail,
            },
            IntersperseSource {
                base: right_base,
                item: self.item,
                is_lead: right.is_lead,
                is_trail: right.is_trail,
            },
        )
    }
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = T> {
        let (front, rest) = self.run().split_at(n);
        (self.is_lead, self.is_trail) = (rest.is_lead, rest.is_trail);
        front.over(&self.item, self.base.take_front(front.items))
    }
    fn grain(&self) -> Grain {
        self.base.grain()
    }
}

impl<S, T> IndexedSource for IntersperseSource<S, T>
where
    S: IndexedSource<Item = T>,
    T: Clone + Send,
{
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = T> {
        let run = self.run();
        let (rest, mut back) = run.split_at(run.len() - n);
        (self.is_lead, self.is_trail) = (rest.is_lead, rest.is_trail);
        if back.items > 0 {
            (back.is_lead, back.is_trail) = (back.is_trail, back.is_lead);
        }
        back.over(&self.item, self.base.take_back(back.items))
    }
}
