//! Sources that can be cut only between two items: where a separator stands, or a run of the input
//! ends.
//!
//! Cut there, both sides are inputs like the whole, and together yield what the whole would. So a
//! batch is handed as it is to the iterator that the standard library has for it. How many items
//! there are is not known before all is searched; a unit is an item of the slice, or a byte of the
//! text, that is cut.

use crate::par::iter::ParallelIterator;
use crate::par::source::{Shared, Source};
use std::fmt;

/// A contiguous part of the input: `&str`, `&[T]` or `&mut [T]`.
#[doc(hidden)]
pub trait Run: Default + Send {
    fn size(&self) -> usize;
    fn cut(self, at: usize) -> (Self, Self);
    /// The last place up to `at` where it may be cut.
    fn floor(&self, at: usize) -> usize {
        at
    }
}

impl<T: Sync> Run for &[T] {
    #[inline]
    fn size(&self) -> usize {
        self.len()
    }
    #[inline]
    fn cut(self, at: usize) -> (Self, Self) {
        self.split_at(at)
    }
}

impl<T: Send> Run for &mut [T] {
    #[inline]
    fn size(&self) -> usize {
        self.len()
    }
    #[inline]
    fn cut(self, at: usize) -> (Self, Self) {
        self.split_at_mut(at)
    }
}

impl Run for &str {
    #[inline]
    fn size(&self) -> usize {
        self.len()
    }
    #[inline]
    fn cut(self, at: usize) -> (Self, Self) {
        self.split_at(at)
    }
    #[inline]
    fn floor(&self, at: usize) -> usize {
        self.floor_char_boundary(at)
    }
}

/// A cut between two items: the left part ends at `end`, the right one begins at `start`. What is
/// between is a separator that belongs to no item.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub(crate) end: usize,
    pub(crate) start: usize,
}

impl Cut {
    fn of<V: Run>(self, run: V) -> (V, V) {
        let (left, right) = run.cut(self.start);
        (left.cut(self.end).0, right)
    }
}

/// Where one item ends and the next begins.
#[doc(hidden)]
pub trait Rule<V: Run>: Sync {
    /// Whether nothing is an item too, as it is beside a separator.
    const YIELDS_EMPTY: bool;
    /// The first cut at a separator that begins in `from..to`.
    fn find(&self, run: &V, from: usize, to: usize) -> Option<Cut>;
    /// The last cut at a separator that begins before `to`.
    fn rfind(&self, run: &V, to: usize) -> Option<Cut>;
    fn items(&self, run: V) -> impl Iterator<Item = V>;
    /// The item in a run that has no separator, unless at its end; none if that is all.
    #[inline]
    fn item(&self, run: V) -> Option<V> {
        (Self::YIELDS_EMPTY || run.size() > 0).then_some(run)
    }
}

/// What is left of an input, and the rule by which it is cut.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct SplitSource<V, R> {
    /// `None` when all items are eaten: an empty rest may be an item.
    rest: Option<V>,
    /// How much of `rest` has not been searched in vain: from here on there is no cut.
    unsearched: usize,
    rule: Shared<R>,
}

impl<V: Run, R: Rule<V>> SplitSource<V, R> {
    pub(crate) fn new(run: V, rule: Shared<R>) -> Self {
        SplitSource { unsearched: run.size(), rest: Some(run), rule }
    }

    /// The cut that leaves at least `n` units, and at least one item, on the left, and no more
    /// items than it must; also where the search began.
    fn find(&self, run: &V, n: usize) -> (usize, Option<Cut>) {
        let from = run.floor(n.saturating_sub(1).min(self.unsearched));
        (from, self.rule.find(run, from, self.unsearched))
    }

    /// Cuts `run` behind at least `n` units, keeps the rest, and returns the items before the last
    /// and the last: that one was searched already, and may be long.
    #[inline]
    fn cut_front(&mut self, run: V, n: usize) -> (Option<V>, Option<V>) {
        let (from, found) = self.find(&run, n);
        let front = match found {
            Some(cut) => {
                let (front, rest) = cut.of(run);
                self.unsearched -= cut.start;
                self.rest = Some(rest);
                front
            }
            None => run,
        };
        let (head, last) = match self.rule.rfind(&front, from) {
            Some(cut) => {
                let (head, last) = cut.of(front);
                (Some(head), last)
            }
            None => (None, front),
        };
        (head, self.rule.item(last))
    }
}

// SAFETY: not exact.
unsafe impl<V: Run, R: Rule<V>> Source for SplitSource<V, R> {
    type Item = V;
    const EXACT: bool = false;
    fn len(&self) -> usize {
        let end = usize::from(R::YIELDS_EMPTY);
        self.rest.as_ref().map_or(0, |run| run.size().saturating_add(end))
    }
    /// Looks for a cut from `index` to the end, and from there to the front. So a far half of one
    /// very long item leaves both sides something to do, and is searched once.
    fn split_at(mut self, index: usize) -> (Self, Self) {
        let rule = self.rule;
        let none = SplitSource { rest: None, unsearched: 0, rule };
        if index == 0 {
            return (none, self);
        }
        if index >= self.len() {
            return (self, none);
        }
        let Some(run) = self.rest.take() else { return (self, none) };
        let (from, found) = self.find(&run, index);
        let (cut, near, far) = match found.filter(|cut| R::YIELDS_EMPTY || cut.start < run.size()) {
            Some(cut) => (cut, from, self.unsearched - cut.start),
            None => match rule.rfind(&run, from) {
                Some(cut) => (cut, cut.end.min(from), 0),
                None => return (SplitSource { rest: Some(run), unsearched: 0, rule }, none),
            },
        };
        let (left, right) = cut.of(run);
        (
            SplitSource { rest: Some(left), unsearched: near, rule },
            SplitSource { rest: Some(right), unsearched: far, rule },
        )
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = V> {
        let front = if n == 0 { None } else { self.rest.take() };
        let (head, last) = front.map_or((None, None), |run| self.cut_front(run, n));
        head.into_iter().flat_map(|head| self.rule.items(head)).chain(last)
    }
}

// ---- slices

/// Items that are separators stand between what is yielded.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Between<P>(pub(crate) P);

/// Items that are separators end what is yielded.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Inclusive<P>(pub(crate) P);

/// Neighbours belong together if the predicate holds for them.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Alike<P>(pub(crate) P);

macro_rules! slice_rules {
    ($bound:ident, $run:ty, $split:ident, $split_inclusive:ident, $chunk_by:ident) => {
        impl<'data, T: $bound, P: Fn(&T) -> bool + Sync> Rule<$run> for Between<P> {
            const YIELDS_EMPTY: bool = true;
            #[inline]
            fn find(&self, run: &$run, from: usize, to: usize) -> Option<Cut> {
                let at = from + run[from..to].iter().position(&self.0)?;
                Some(Cut { end: at, start: at + 1 })
            }
            fn rfind(&self, run: &$run, to: usize) -> Option<Cut> {
                let at = run[..to].iter().rposition(&self.0)?;
                Some(Cut { end: at, start: at + 1 })
            }
            #[inline]
            fn items(&self, run: $run) -> impl Iterator<Item = $run> {
                run.$split(&self.0)
            }
        }

        impl<'data, T: $bound, P: Fn(&T) -> bool + Sync> Rule<$run> for Inclusive<P> {
            const YIELDS_EMPTY: bool = false;
            #[inline]
            fn find(&self, run: &$run, from: usize, to: usize) -> Option<Cut> {
                let end = from + run[from..to].iter().position(&self.0)? + 1;
                Some(Cut { end, start: end })
            }
            fn rfind(&self, run: &$run, to: usize) -> Option<Cut> {
                let end = run[..to].iter().rposition(&self.0)? + 1;
                Some(Cut { end, start: end })
            }
            #[inline]
            fn items(&self, run: $run) -> impl Iterator<Item = $run> {
                run.$split_inclusive(&self.0)
            }
        }

        /// An item that its successor is not like counts as a separator.
        impl<'data, T: $bound, P: Fn(&T, &T) -> bool + Sync> Rule<$run> for Alike<P> {
            const YIELDS_EMPTY: bool = false;
            #[inline]
            fn find(&self, run: &$run, from: usize, to: usize) -> Option<Cut> {
                let mut pairs = run[from..run.len().min(to.saturating_add(1))].windows(2);
                let end = from + pairs.position(|pair| !(self.0)(&pair[0], &pair[1]))? + 1;
                Some(Cut { end, start: end })
            }
            fn rfind(&self, run: &$run, to: usize) -> Option<Cut> {
                let mut pairs = run[..run.len().min(to.saturating_add(1))].windows(2);
                let end = pairs.rposition(|pair| !(self.0)(&pair[0], &pair[1]))? + 1;
                Some(Cut { end, start: end })
            }
            #[inline]
            fn items(&self, run: $run) -> impl Iterator<Item = $run> {
                run.$chunk_by(&self.0)
            }
        }
    };
}

slice_rules!(Sync, &'data [T], split, split_inclusive, chunk_by);
slice_rules!(Send, &'data mut [T], split_mut, split_inclusive_mut, chunk_by_mut);

macro_rules! slice_types {
    ($(
        $(#[$doc:meta])*
        $name:ident, $bound:ident, $slice:ty, $rule:ident, Fn($($arg:ty),*);
    )*) => {$(
        $(#[$doc])*
        #[must_use = "parallel iterators are lazy and do nothing unless consumed"]
        pub struct $name<'data, T, P> {
            slice: $slice,
            rule: $rule<P>,
        }

        impl<'data, T, P> $name<'data, T, P> {
            pub(crate) fn new(slice: $slice, predicate: P) -> Self {
                $name { slice, rule: $rule(predicate) }
            }
        }

        impl<T: fmt::Debug, P> fmt::Debug for $name<'_, T, P> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = f.debug_struct(stringify!($name));
                text.field("slice", &self.slice).finish_non_exhaustive()
            }
        }

        impl<'data, T, P> ParallelIterator for $name<'data, T, P>
        where
            T: $bound,
            P: Fn($($arg),*) -> bool + Sync + Send,
        {
            type Item = $slice;
            type Source = SplitSource<$slice, $rule<P>>;
            unsafe fn source(&mut self) -> Self::Source {
                // SAFETY: the rule stays where it is as long as `self` does.
                let rule = unsafe { Shared::new(&self.rule) };
                SplitSource::new(std::mem::take(&mut self.slice), rule)
            }
        }
    )*};
}

slice_types! {
    /// What [`par_split`](crate::slice::ParallelSlice::par_split) returns.
    Split, Sync, &'data [T], Between, Fn(&T);
    /// What [`par_split_inclusive`](crate::slice::ParallelSlice::par_split_inclusive) returns.
    SplitInclusive, Sync, &'data [T], Inclusive, Fn(&T);
    /// What [`par_chunk_by`](crate::slice::ParallelSlice::par_chunk_by) returns.
    ChunkBy, Sync, &'data [T], Alike, Fn(&T, &T);
    /// What [`par_split_mut`](crate::slice::ParallelSliceMut::par_split_mut) returns.
    SplitMut, Send, &'data mut [T], Between, Fn(&T);
    /// What [`par_split_inclusive_mut`](crate::slice::ParallelSliceMut::par_split_inclusive_mut)
    /// returns.
    SplitInclusiveMut, Send, &'data mut [T], Inclusive, Fn(&T);
    /// What [`par_chunk_by_mut`](crate::slice::ParallelSliceMut::par_chunk_by_mut) returns.
    ChunkByMut, Send, &'data mut [T], Alike, Fn(&T, &T);
}

macro_rules! shared_types {
    ($($name:ident)*) => {$(
        impl<T, P: Clone> Clone for $name<'_, T, P> {
            fn clone(&self) -> Self {
                $name { slice: self.slice, rule: self.rule.clone() }
            }
        }
    )*};
}
shared_types!(Split SplitInclusive ChunkBy);
