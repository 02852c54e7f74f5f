//! From parallel to sequential, in order, with bounded memory.

use super::consumers::Pieces;
use super::drive::WORTH_SHARING_US;
use super::iter::ParallelIterator;
use super::on_heap::OnHeap;
use super::run_source;
use super::source::Source;
use crate::engine::clock;
use crate::engine::site::Site;
use crate::engine::sync::{Mutex, MutexGuard, lock};
use crate::fork::Scope;
use crate::job::Context;
use crate::pool::with_current_registry;
use std::collections::BTreeMap;
use std::fmt;
use std::iter::FusedIterator;
use std::sync::atomic::{AtomicBool, Ordering};
use std::vec;

/// The most units that [`into_seq_iter`](ParallelIterator::into_seq_iter) works on at once.
pub(crate) const MAX_WINDOW: usize = 1 << 16;
/// A window grows until it takes so long: enough to make up for beginning and ending it.
const WINDOW_US: u64 = 1_000;

/// An ordinary iterator over the items of a parallel one, in order:
/// [`into_seq_iter`](ParallelIterator::into_seq_iter).
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct SeqIter<I: ParallelIterator> {
    /// What is still to be worked on.
    rest: Option<OnHeap<I>>,
    ready: vec::IntoIter<Vec<I::Item>>,
    current: vec::IntoIter<I::Item>,
    window: usize,
    max_window: usize,
}

impl<I: ParallelIterator> SeqIter<I> {
    pub(crate) fn new(iter: I, max_window: usize) -> Self {
        SeqIter {
            rest: Some(OnHeap::new(iter)),
            ready: Vec::new().into_iter(),
            current: Vec::new().into_iter(),
            window: 1,
            max_window: max_window.max(1),
        }
    }

    /// Works on the next window. `None` if all is done.
    fn refill(&mut self) -> Option<()> {
        // Taken out: if a closure panics, the iterator is at its end.
        let rest = self.rest.take()?;
        if rest.is_empty() {
            return None;
        }
        let (width, enough) =
            with_current_registry(|registry| (registry.width(), registry.us(WINDOW_US)));
        let at = self.window.max(2 * width).min(self.max_window).min(rest.len());
        let (front, rest) = rest.split_at(at);
        let start = clock::ticks();
        let pieces = run_source(front, Pieces::new());
        if clock::since(start) < enough {
            self.window = (2 * at).min(self.max_window);
        }
        self.ready = pieces.into_iter();
        self.rest = Some(rest);
        Some(())
    }
}

impl<I: ParallelIterator> Iterator for SeqIter<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        loop {
            if let Some(item) = self.current.next() {
                return Some(item);
            }
            match self.ready.next() {
                Some(piece) => self.current = piece.into_iter(),
                None => self.refill()?,
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let ready = self.current.len() + self.ready.as_slice().iter().map(Vec::len).sum::<usize>();
        let rest = self.rest.as_ref().map_or(0, Source::len);
        if <I::Source as Source>::EXACT {
            let len = ready.saturating_add(rest);
            (len, Some(len))
        } else {
            (ready, (rest == 0).then_some(ready))
        }
    }
}

impl<I: ParallelIterator> FusedIterator for SeqIter<I> {}

impl<I: ParallelIterator> fmt::Debug for SeqIter<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeqIter").field("window", &self.window).finish_non_exhaustive()
    }
}

// ---- production and consumption at the same time

/// How long a worker works on a chunk before it hands it in.
const CHUNK_US: u64 = 50;
/// How many chunks a worker may be ahead of the one that is consumed.
const CHUNKS_PER_WORKER: usize = 4;

/// What the workers of one ordered loop share.
struct Ordered<'a, S: Source, F> {
    state: Mutex<State<S, F>>,
    /// What the caller's work runs under.
    context: Option<&'a Context<'a>>,
    /// The loop was cancelled before its end.
    is_cancelled: AtomicBool,
    width: usize,
    /// In ticks.
    chunk: u64,
    /// A rest that takes less is not worth a wake. In ticks.
    worth: u64,
    site: Site,
}

struct State<S: Source, F> {
    /// Input that nobody works on yet.
    rest: Option<S>,
    /// How many units the next chunk has.
    size: usize,
    /// The number of the next chunk to be worked on, and of the next to be consumed.
    next: usize,
    due: usize,
    /// Chunks that are done but not due.
    done: BTreeMap<usize, Vec<S::Item>>,
    /// What a unit takes, in ticks, as far as is known.
    cost: Option<u64>,
    /// Absent while a worker consumes with it.
    consume: Option<F>,
    num_workers: usize,
}

impl<S: Source, F> State<S, F> {
    fn is_worth_a_wake(&self, worth: u64) -> bool {
        let len = self.rest.as_ref().map_or(0, Source::len) as u64;
        self.cost.is_none_or(|cost| cost.saturating_mul(len) >= worth)
    }

    fn may_take(&self, width: usize) -> bool {
        self.rest.as_ref().is_some_and(|rest| !rest.is_empty())
            && self.next - self.due < width * CHUNKS_PER_WORKER
    }
}

/// Calls `f` with each item in order, from whichever worker has the next ones.
pub(crate) fn for_each_ordered<S, F>(source: S, f: F)
where
    S: Source<Item: Send>,
    F: FnMut(S::Item) + Send,
{
    let (width, chunk, worth) = with_current_registry(|registry| {
        (registry.width(), registry.us(CHUNK_US), registry.us(WORTH_SHARING_US))
    });
    let site = Site::of(for_each_ordered::<S, F> as fn(S, F) as usize);
    let state = State {
        rest: Some(source),
        size: 1,
        next: 0,
        due: 0,
        done: BTreeMap::new(),
        cost: site.estimate(),
        consume: Some(f),
        num_workers: 1,
    };
    // SAFETY: used by the workers of this loop, which `scope` waits for.
    let context = unsafe { Context::current() };
    let is_cancelled = AtomicBool::new(false);
    let state = Mutex::new(state);
    let ordered = Ordered { state, context, is_cancelled, width, chunk, worth, site };
    crate::scope(|scope| {
        // The first chunk is for this thread.
        if lock(&ordered.state).rest.as_ref().is_some_and(|rest| rest.len() > 1) {
            ordered.call_for_help(lock(&ordered.state), scope);
        }
        ordered.work(scope);
    });
    if let Some(context) = context
        && ordered.is_cancelled.load(Ordering::Relaxed)
    {
        context.unwind();
    }
}

impl<S, F> Ordered<'_, S, F>
where
    S: Source<Item: Send>,
    F: FnMut(S::Item) + Send,
{
    /// What each worker does: takes a chunk, works on it, hands it in, and consumes what is due,
    /// until there is nothing left or the chunk that is due is too far behind. Nobody waits for
    /// that one: whoever has it calls the others back.
    fn work<'scope>(&'scope self, scope: &Scope<'scope>) {
        let mut guard = Guard { ordered: self, is_armed: true };
        loop {
            let mut state = lock(&self.state);
            if state.may_take(self.width) && self.context.is_some_and(Context::is_cancelled) {
                // Relaxed: read after the scope has ended.
                self.is_cancelled.store(true, Ordering::Relaxed);
                // The guard drops the rest.
                return;
            }
            if !state.may_take(self.width) {
                state.num_workers -= 1;
                guard.is_armed = false;
                return;
            }
            let Some(rest) = state.rest.take() else { continue };
            let (number, size) = (state.next, state.size.min(rest.len()));
            let (mut front, rest) = rest.split_at(size);
            state.next += 1;
            state.rest = Some(rest);
            drop(state);

            let start = clock::ticks();
            let mut items = Vec::new();
            while !front.is_empty() {
                let n = front.len();
                items.extend(front.take_front(n));
            }
            drop(front);
            let took = clock::since(start);

            let mut state = lock(&self.state);
            // From the first chunks on, by their time; one item at least.
            if took < self.chunk / 2 {
                state.size = state.size.max(size.saturating_mul(2));
            } else if took > self.chunk * 2 {
                state.size = state.size.min(size / 2).max(1);
            }
            let cost = took / size.max(1) as u64;
            state.cost = Some(cost);
            self.site.record(cost);
            state.done.insert(number, items);
            self.consume(state, scope);
        }
    }

    /// Consumes what is due, unless somebody else is at it.
    fn consume<'scope>(
        &'scope self,
        mut state: MutexGuard<'scope, State<S, F>>,
        scope: &Scope<'scope>,
    ) {
        let Some(mut consume) = state.consume.take() else {
            return self.call_for_help(state, scope);
        };
        loop {
            let due = state.due;
            let Some(items) = state.done.remove(&due) else {
                state.consume = Some(consume);
                return;
            };
            state.due += 1;
            self.call_for_help(state, scope);
            items.into_iter().for_each(&mut consume);
            state = lock(&self.state);
        }
    }

    /// Calls another worker if there is work for it.
    fn call_for_help<'scope>(
        &'scope self,
        mut state: MutexGuard<'scope, State<S, F>>,
        scope: &Scope<'scope>,
    ) {
        if state.num_workers < self.width
            && state.may_take(self.width)
            && state.is_worth_a_wake(self.worth)
        {
            state.num_workers += 1;
            drop(state);
            scope.spawn(|scope| self.work(scope));
        }
    }
}

/// Ends the loop if a closure panics.
struct Guard<'a, S: Source, F> {
    ordered: &'a Ordered<'a, S, F>,
    is_armed: bool,
}

impl<S: Source, F> Drop for Guard<'_, S, F> {
    fn drop(&mut self) {
        if self.is_armed {
            let rest = lock(&self.ordered.state).rest.take();
            // Outside of the lock: dropping items runs user code.
            drop(rest);
        }
    }
}
