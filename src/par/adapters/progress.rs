//! How far a loop has come.

use crate::engine::clock;
use crate::engine::worker::Worker;
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{Grain, IndexedSource, Shared, Source};
use crate::pool::with_current_registry;
use crossbeam_utils::CachePadded;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How often a sink is told, at most.
const INTERVAL_US: u64 = 50_000;
/// Counters, so that many workers do not fight for one (a shared one has cost a loop on 80 cores 97
/// % of its speed: indicatif #170).
const SHARDS: usize = 16;

/// Where a loop reports how far it has come: [`progress`](ParallelIterator::progress).
///
/// Closures that take the number of items done, and the total if it is known, are sinks; with the
/// feature `indicatif`, its progress bars are too.
pub trait ProgressSink: Sync {
    /// `done` items of `total` are done. Called by one thread at a time, some twenty times a second
    /// at most, with numbers that never fall, and once at the end.
    fn update(&self, done: u64, total: Option<u64>);
}

impl<F: Fn(u64, Option<u64>) + Sync> ProgressSink for F {
    fn update(&self, done: u64, total: Option<u64>) {
        self(done, total);
    }
}

#[cfg(feature = "indicatif")]
impl ProgressSink for indicatif::ProgressBar {
    fn update(&self, done: u64, total: Option<u64>) {
        if let Some(total) = total {
            self.set_length(total);
        }
        self.set_position(done);
    }
}

/// What [`progress`](ParallelIterator::progress) returns.
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct Progress<'a, I, P: ProgressSink + ?Sized> {
    base: I,
    meter: Meter<'a, P>,
    has_begun: bool,
}

struct Meter<'a, P: ?Sized> {
    sink: &'a P,
    total: Option<u64>,
    shards: [CachePadded<AtomicU64>; SHARDS],
    /// When the sink was told last, in ticks; 0 before the loop has begun.
    last: AtomicU64,
    /// Between two reports, in ticks.
    interval: u64,
    /// Somebody is telling the sink.
    is_busy: AtomicBool,
}

impl<'a, P: ProgressSink + ?Sized> Meter<'a, P> {
    fn new(sink: &'a P) -> Self {
        Meter {
            sink,
            total: None,
            shards: Default::default(),
            last: AtomicU64::new(0),
            interval: 0,
            is_busy: AtomicBool::new(false),
        }
    }

    #[inline]
    fn add(&self, count: usize) {
        let shard = Worker::with_current(|worker| worker.map_or(0, Worker::index)) as usize;
        // Relaxed: a count of its own; whoever reports is content with what it sees.
        self.shards[shard % SHARDS].fetch_add(count as u64, Ordering::Relaxed);
        if clock::since(self.last.load(Ordering::Relaxed)) >= self.interval {
            self.report();
        }
    }

    #[cold]
    fn report(&self) {
        // Acquire pairs with the Release below: the sums of one report after another never fall.
        if self.is_busy.swap(true, Ordering::Acquire) {
            return;
        }
        let guard = Busy(&self.is_busy);
        self.last.store(clock::ticks(), Ordering::Relaxed);
        let done = self.shards.iter().map(|shard| shard.load(Ordering::Relaxed)).sum();
        self.sink.update(done, self.total);
        drop(guard);
    }
}

struct Busy<'a>(&'a AtomicBool);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `report`.
        self.0.store(false, Ordering::Release);
    }
}

impl<'a, I, P: ProgressSink + ?Sized> Progress<'a, I, P> {
    pub(crate) fn new(base: I, sink: &'a P) -> Self {
        Progress { base, meter: Meter::new(sink), has_begun: false }
    }
}

impl<I: Clone, P: ProgressSink + ?Sized> Clone for Progress<'_, I, P> {
    fn clone(&self) -> Self {
        Progress::new(self.base.clone(), self.meter.sink)
    }
}

impl<I: fmt::Debug, P: ProgressSink + ?Sized> fmt::Debug for Progress<'_, I, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("base", &self.base).finish_non_exhaustive()
    }
}

impl<'a, I: ParallelIterator, P: ProgressSink + ?Sized> ParallelIterator for Progress<'a, I, P> {
    type Item = I::Item;
    type Source = ProgressSource<'a, I::Source, P>;
    unsafe fn source(&mut self) -> Self::Source {
        self.meter.total = self.base.opt_len().map(|len| len as u64);
        self.meter.interval = with_current_registry(|registry| registry.us(INTERVAL_US));
        self.meter.last.store(clock::ticks(), Ordering::Relaxed);
        self.has_begun = true;
        // SAFETY: the base and the meter stay where they are as long as `self` does.
        let (base, meter) = unsafe { (self.base.source(), Shared::new(&self.meter)) };
        ProgressSource { base, part: Part { meter, pending: 0 } }
    }
    fn opt_len(&self) -> Option<usize> {
        self.base.opt_len()
    }
}

impl<I, P: ProgressSink + ?Sized> Drop for Progress<'_, I, P> {
    /// The loop is over, and all that its parts have done is counted.
    fn drop(&mut self) {
        // A sink that panicked is not called again while that unwinds.
        if self.has_begun && !std::thread::panicking() {
            self.meter.report();
        }
    }
}

impl<I, P> IndexedParallelIterator for Progress<'_, I, P>
where
    I: IndexedParallelIterator,
    P: ProgressSink + ?Sized,
{
}

/// What one part of the loop has done and not told.
struct Part<'a, P: ProgressSink + ?Sized> {
    meter: Shared<Meter<'a, P>>,
    pending: usize,
}

impl<P: ProgressSink + ?Sized> Part<'_, P> {
    #[inline]
    fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        if pending > 0 {
            self.meter.add(pending);
        }
    }
}

impl<P: ProgressSink + ?Sized> Drop for Part<'_, P> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.flush();
        }
    }
}

#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct ProgressSource<'a, S, P: ProgressSink + ?Sized> {
    base: S,
    part: Part<'a, P>,
}

// SAFETY: the items of the base.
unsafe impl<'a, S: Source, P: ProgressSink + ?Sized> Source for ProgressSource<'a, S, P> {
    type Item = S::Item;
    const EXACT: bool = S::EXACT;
    #[inline]
    fn len(&self) -> usize {
        self.base.len()
    }
    fn split_at(self, index: usize) -> (Self, Self) {
        let meter = self.part.meter;
        let (left, right) = self.base.split_at(index);
        (
            ProgressSource { base: left, part: self.part },
            ProgressSource { base: right, part: Part { meter, pending: 0 } },
        )
    }
    /// A batch is done when the next one is asked for.
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = S::Item> {
        self.part.flush();
        let pending = &mut self.part.pending;
        *pending = if S::EXACT { n } else { 0 };
        self.base.take_front(n).inspect(move |_| {
            if !S::EXACT {
                *pending += 1;
            }
        })
    }
    fn grain(&self) -> Grain {
        self.base.grain()
    }
}

impl<'a, S, P> IndexedSource for ProgressSource<'a, S, P>
where
    S: IndexedSource,
    P: ProgressSink + ?Sized,
{
    #[inline]
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = S::Item> {
        self.part.flush();
        self.part.pending = n;
        self.base.take_back(n)
    }
}
