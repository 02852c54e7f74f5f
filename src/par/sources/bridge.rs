//! Ordinary iterators, shared by several workers.

use crate::engine::sync::{Mutex, lock};
use crate::par::iter::ParallelIterator;
use crate::par::source::{Shared, Source};
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most items that a worker takes from the iterator at once, unless told otherwise.
const LOOK_AHEAD: usize = 1024;

/// Parallel loops over ordinary iterators: `par_bridge`.
pub trait ParallelBridge: Sized {
    /// A parallel iterator over the items of an ordinary one, in no particular order.
    ///
    /// The iterator runs under a lock, on one worker at a time; what the loop does with its items
    /// runs in parallel. So this is for iterators that cannot be cut (a channel, lines of a file)
    /// and items that take more time than it takes to get them.
    ///
    /// The iterator is never run far ahead of the loop: it may be endless, if the loop is ended in
    /// some other way. A worker takes one item at a time; several, up to 1,024, where
    /// [`size_hint`](Iterator::size_hint) promises that there are so many, and as many as are worth
    /// a few microseconds. So items of an iterator that promises nothing, such as a channel, do not
    /// wait for others to come. See [`with_look_ahead`](IterBridge::with_look_ahead).
    ///
    /// Items that were taken from the iterator and are not looked at, because the loop has ended
    /// early, are dropped.
    ///
    /// # Panics
    /// If the iterator panics, so does the loop. The iterator is not asked again.
    ///
    /// # Blocking
    /// A worker waits while another one runs the iterator. The iterator may itself use this crate:
    /// a worker that waits inside of it runs only what it waits for, so never this loop.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use windlass::prelude::*;
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// let producer = std::thread::spawn(move || (0..100).try_for_each(|n| sender.send(n)));
    /// assert_eq!(receiver.into_iter().par_bridge().map(|n| n * n).max(), Some(9_801));
    /// # producer.join().unwrap().unwrap();
    /// ```
    fn par_bridge(self) -> IterBridge<Self>;
}

impl<I: Iterator<Item: Send> + Send> ParallelBridge for I {
    fn par_bridge(self) -> IterBridge<I> {
        IterBridge { iter: Some(self), look_ahead: None, feed: None }
    }
}

/// What [`par_bridge`](ParallelBridge::par_bridge) returns.
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct IterBridge<I> {
    /// Until the source is made.
    iter: Option<I>,
    look_ahead: Option<usize>,
    feed: Option<Feed<I>>,
}

impl<I> IterBridge<I> {
    /// A worker takes up to `n` items from the iterator at once, at least one, whatever
    /// [`size_hint`](Iterator::size_hint) says.
    ///
    /// Many make cheap items cheaper. But the first of them waits until the iterator has yielded
    /// the last: that must not depend on the loop having done the first.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let words = "one two three".split(' ').par_bridge().with_look_ahead(100);
    /// assert_eq!(words.map(str::len).sum::<usize>(), 11);
    /// ```
    pub fn with_look_ahead(self, n: usize) -> Self {
        IterBridge { look_ahead: Some(n.max(1)), ..self }
    }
}

impl<I: Clone> Clone for IterBridge<I> {
    fn clone(&self) -> Self {
        IterBridge { iter: self.iter.clone(), look_ahead: self.look_ahead, feed: None }
    }
}

impl<I: fmt::Debug> fmt::Debug for IterBridge<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IterBridge").field("iter", &self.iter).finish_non_exhaustive()
    }
}

impl<I: Iterator<Item: Send> + Send> ParallelIterator for IterBridge<I> {
    type Item = I::Item;
    type Source = BridgeSource<I>;
    unsafe fn source(&mut self) -> Self::Source {
        let look_ahead = self.look_ahead;
        self.feed = self.iter.take().map(|iter| Feed::new(iter, look_ahead));
        let feed = self.feed.as_ref().expect("a source is made once");
        // SAFETY: what the parts share stays where it is as long as `self` does.
        let feed = unsafe { Shared::new(feed) };
        BridgeSource { feed, quota: usize::MAX, ready: VecDeque::new() }
    }
}

/// What the parts of a loop share.
struct Feed<I> {
    state: Mutex<State<I>>,
    /// How many items there may still be: `usize::MAX` if that is unknown, 0 if the iterator has
    /// ended. Written under the lock; what others read may be out of date.
    expected: AtomicUsize,
    look_ahead: Option<usize>,
}

struct State<I> {
    iter: I,
    /// How many items are still to come at least, by the iterator's word.
    promised: usize,
    /// The iterator has ended, or is being run: then it counts as ended, should it unwind.
    is_over: bool,
}

impl<I: Iterator> Feed<I> {
    fn new(iter: I, look_ahead: Option<usize>) -> Self {
        let (promised, expected) = iter.size_hint();
        let expected = AtomicUsize::new(expected.unwrap_or(usize::MAX).max(1));
        let state = Mutex::new(State { iter, promised, is_over: false });
        Feed { state, expected, look_ahead }
    }

    /// Takes up to `n` items from the iterator, at least one, unless that has ended.
    fn pull(&self, n: usize, ready: &mut VecDeque<I::Item>) {
        let mut state = lock(&self.state);
        let state = &mut *state;
        // Relaxed, here and below: a word on its own; the items are handed on by the lock.
        let mut expected = 0;
        if !state.is_over {
            expected = self.expected.load(Ordering::Relaxed);
            let look_ahead = self.look_ahead.unwrap_or(state.promised.clamp(1, LOOK_AHEAD));
            let n = n.min(look_ahead);
            let before = ready.len();
            state.is_over = true;
            ready.extend(state.iter.by_ref().take(n));
            state.is_over = ready.len() - before < n;
            state.promised = state.promised.saturating_sub(n);
            expected = match expected {
                _ if state.is_over => 0,
                usize::MAX => usize::MAX,
                // There may be more than it said.
                _ => expected.saturating_sub(n).max(1),
            };
        }
        self.expected.store(expected, Ordering::Relaxed);
    }
}

/// A part takes what it gets: any items, but no more than its quota. The first part's quota is
/// without bound, and each cut splits a quota in two; so there are few cuts on top of each other,
/// however many items there are, and usually as many parts as workers. A unit is an item.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct BridgeSource<I: Iterator> {
    feed: Shared<Feed<I>>,
    quota: usize,
    /// Items of the batch in hand, in their order.
    ready: VecDeque<I::Item>,
}

// SAFETY: not exact.
unsafe impl<I: Iterator<Item: Send> + Send> Source for BridgeSource<I> {
    type Item = I::Item;
    const EXACT: bool = false;

    #[inline]
    fn len(&self) -> usize {
        self.quota.min(self.feed.expected.load(Ordering::Relaxed))
    }

    fn split_at(mut self, index: usize) -> (Self, Self) {
        let left = index.min(self.quota);
        let right =
            BridgeSource { feed: self.feed, quota: self.quota - left, ready: VecDeque::new() };
        self.quota = left;
        (self, right)
    }

    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = I::Item> {
        // Items of the last batch that nobody wanted.
        self.ready.clear();
        Batch { left: n.min(self.quota), source: self }
    }
}

/// A batch: taken from the iterator in one or several goes.
struct Batch<'a, I: Iterator> {
    source: &'a mut BridgeSource<I>,
    left: usize,
}

impl<I: Iterator> Batch<'_, I> {
    /// Whether there is more of the batch.
    fn refill(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        let ready = &mut self.source.ready;
        self.source.feed.pull(self.left, ready);
        let pulled = ready.len();
        self.left -= pulled;
        self.source.quota -= pulled;
        pulled > 0
    }
}

impl<I: Iterator> Iterator for Batch<'_, I> {
    type Item = I::Item;

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        loop {
            if let Some(item) = self.source.ready.pop_front() {
                return Some(item);
            }
            if !self.refill() {
                return None;
            }
        }
    }

    #[inline]
    fn fold<B, F: FnMut(B, I::Item) -> B>(mut self, init: B, mut f: F) -> B {
        let mut so_far = init;
        loop {
            so_far = self.source.ready.drain(..).fold(so_far, &mut f);
            if !self.refill() {
                return so_far;
            }
        }
    }
}
