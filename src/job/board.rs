//! What the jobs of one pool have in common: how many there are, and whether they are still
//! welcome.
//!
//! I1. `accepted` is counted before a job can end, its outcome before its handle says so, and
//!     `resolved` after that. So accepted = the sum of the outcomes + those that are pending, at
//!     any time at which nobody is in the middle of a job; and when `resolved` has come up to
//!     `accepted`, every handle says so.
//! I2. Each count only grows, and each job's `accepted` happens before its `resolved`. So if the
//!     sum over `resolved`, read first, is the sum over `accepted`, read second, there was no
//!     pending job in between.

use super::admit::Entrance;
use super::outcome::JobOutcome;
use super::raw::Raw;
use super::reference::JobRef;
use super::slab::Slab;
use crate::engine::number;
use crate::engine::registry::{Registry, guest_seats};
use crate::engine::sync::{AtomicU8, AtomicU64, Mutex, Ordering, fence, lock};
use crate::engine::worker::Worker;
use crate::policy::QueueLimits;
use crate::time::{Clock, RealClock, Schedules, Timer};
use crossbeam_utils::CachePadded;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;
use std::time::Instant;
use std::{fmt, ptr};

/// Each regular worker and each guest counts in a place of its own, as nobody else writes; all other
/// threads share so many, so that they seldom wait for each other's cache lines.
const SHARED: usize = if cfg!(shuttle) { 1 } else { 8 };

/// The number of a job in its pool. Of the jobs that one thread submits later ones have higher numbers,
/// with gaps; futures and runs of graphs are numbered apart from these.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(NonZeroU64);

impl JobId {
    pub(super) fn new(number: u64) -> JobId {
        JobId(NonZeroU64::new(number).expect("from 1"))
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({})", self.0)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One count for each [`JobOutcome`].
const OUTCOMES: usize = 8;

#[derive(Default)]
struct Shard {
    accepted: AtomicU64,
    /// Accepted by mistake, while a shutdown began, and given back.
    returned: AtomicU64,
    resolved: AtomicU64,
    outcomes: [AtomicU64; OUTCOMES],
    /// How often a job has begun to wait at a gate, and has ceased to.
    begun_waits: AtomicU64,
    ended_waits: AtomicU64,
    /// Jobs that run, of those that have a name, a token or a limit.
    running: Mutex<Vec<JobRef>>,
    /// Jobs that wait at a gate.
    waiting: Mutex<Slab<JobRef>>,
}

/// How many jobs a pool has accepted, and how they have ended. Of one moment only if no job was
/// submitted or ended meanwhile.
///
/// ```
/// use std::time::Duration;
/// let pool = windlass::Pool::new(2)?;
/// pool.submit(|| 1).wait().unwrap();
/// let counts = pool.job_counts();
/// assert_eq!((counts.accepted, counts.completed, counts.pending()), (1, 1, 0));
/// # Ok::<(), windlass::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobCounts {
    /// Accepted, since the pool was built.
    pub accepted: u64,
    /// Ended with a result.
    pub completed: u64,
    /// Ended by a panic.
    pub panicked: u64,
    /// Ended by being cancelled.
    pub cancelled: u64,
    /// Ended by a limit in time.
    pub timed_out: u64,
    /// Never started, because something else did not complete.
    pub skipped: u64,
    /// Did not run to their end, because the pool was shut down.
    pub abandoned: u64,
    /// Never started, because they were pushed out to make room for others.
    pub evicted: u64,
    /// Ended by an `Err` of their closure, after all their attempts
    /// ([`submit_fallible`](crate::JobBuilder::submit_fallible)).
    pub failed: u64,
    /// Of those that have timed out: whose closure has not returned yet, and keeps a worker.
    pub overrunning: u64,
}

impl JobCounts {
    /// Those that have ended, in whatever way.
    pub fn finished(&self) -> u64 {
        self.completed
            + self.panicked
            + self.cancelled
            + self.timed_out
            + self.skipped
            + self.abandoned
            + self.evicted
            + self.failed
    }

    /// Those that have been accepted and have not ended.
    pub fn pending(&self) -> u64 {
        self.accepted.saturating_sub(self.finished())
    }
}

/// What becomes of the jobs. A pool only moves on in this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Mode {
    Open,
    /// No new ones are accepted.
    Draining,
    /// Those that have not started never do.
    Discarding,
    /// Those that run are asked to stop.
    Cancelling,
}

const MODES: [Mode; 4] = [Mode::Open, Mode::Draining, Mode::Discarding, Mode::Cancelling];

/// Not of the engine's atomics, as it goes on from one schedule of a model to the next.
static NEXT_SERIAL: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

/// See the module.
pub(crate) struct Board {
    mode: AtomicU8,
    serial: u64,
    /// The number of the next job, of which threads take several at once.
    next: CachePadded<AtomicU64>,
    /// The shared ones, then those of the workers, then those of the guests.
    shards: Box<[CachePadded<Shard>]>,
    entrance_shards: usize,
    /// None: the real one.
    clock: Option<Arc<dyn Clock>>,
    /// None: all jobs are let in.
    entrance: Option<Box<Entrance>>,
    pub(super) timer: OnceLock<Timer>,
    /// The futures that have not ended. When the pool's end discards what is pending, they are woken
    /// to notice.
    futures: Mutex<BTreeMap<JobId, Waker>>,
    /// Work that counts as a job and is not one.
    ongoing: Mutex<Vec<Weak<dyn Ongoing>>>,
    pub(crate) schedules: Arc<Schedules>,
}

/// Work that counts as a job, but goes on in many pieces: the run of a graph.
pub(crate) trait Ongoing: Send + Sync {
    /// Nothing that waits runs any more.
    fn discard(self: Arc<Self>);
    /// What runs is asked to stop.
    fn shut_down(self: Arc<Self>);
}

/// Adds. If nobody else writes, without a locked instruction.
#[inline]
fn add(count: &AtomicU64, more: u64, is_mine: bool) {
    // Release pairs with the Acquire loads in `is_idle` and `counts`.
    if is_mine {
        count.store(count.load(Ordering::Relaxed) + more, Ordering::Release);
    } else {
        count.fetch_add(more, Ordering::Release);
    }
}

impl Board {
    pub(crate) fn new(
        width: usize,
        clock: Option<Arc<dyn Clock>>,
        limits: Option<QueueLimits>,
    ) -> Self {
        let now = clock.as_ref().map_or_else(Instant::now, |clock| clock.now());
        let entrance_shards = SHARED + width;
        let entrance = limits.map(|limits| Box::new(Entrance::new(limits, entrance_shards, now)));
        Board {
            mode: AtomicU8::new(Mode::Open as u8),
            serial: NEXT_SERIAL.fetch_add(1, Ordering::Relaxed),
            next: CachePadded::new(AtomicU64::new(1)),
            shards: (0..SHARED + width + guest_seats(width))
                .map(|_| CachePadded::default())
                .collect(),
            entrance_shards,
            clock,
            entrance,
            timer: OnceLock::new(),
            futures: Mutex::new(BTreeMap::new()),
            ongoing: Mutex::new(Vec::new()),
            schedules: Arc::default(),
        }
    }

    #[inline]
    pub(crate) fn of(registry: &Registry) -> &Board {
        let above = registry.above();
        debug_assert!(above.is::<Board>());
        // SAFETY: a registry is made in one place, the builder, with a board.
        unsafe { &*std::ptr::from_ref(above).cast() }
    }

    #[inline]
    pub(crate) fn mode(&self) -> Mode {
        MODES[usize::from(self.mode.load(Ordering::Acquire))]
    }

    /// Whether jobs that have not started never do.
    #[inline]
    pub(crate) fn is_discarding(&self) -> bool {
        self.mode.load(Ordering::Acquire) >= Mode::Discarding as u8
    }

    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.mode.load(Ordering::Acquire) == Mode::Open as u8
    }

    /// Moves on to `mode`, if the pool is not there already.
    pub(crate) fn advance(&self, mode: Mode) {
        self.mode.fetch_max(mode as u8, Ordering::AcqRel);
        // Pairs with the fence after a push: either whoever pushes sees the mode, or we see its job.
        fence(Ordering::SeqCst);
        if let Some(entrance) = &self.entrance {
            entrance.close();
        }
    }

    /// The pool's timer, whose thread starts with the first thing that waits for a time.
    pub(crate) fn timer(&self) -> &Timer {
        self.timer.get_or_init(|| {
            let clock = self.clock.clone().unwrap_or_else(|| Arc::new(RealClock));
            let schedules: Weak<Schedules> = Arc::downgrade(&self.schedules);
            // No lock is taken in here, at which a model could change threads.
            Timer::watched(clock, Some(schedules))
        })
    }

    /// Ends the timer's thread, and waits for what it is at. No job is left that it is for.
    pub(crate) fn stop_timer(&self) {
        if let Some(timer) = self.timer.get() {
            timer.stop();
        }
    }

    /// The clock that the pool was given; None: the real one.
    pub(crate) fn clock(&self) -> Option<&Arc<dyn Clock>> {
        self.clock.as_ref()
    }

    /// The present time, by the pool's clock.
    pub(crate) fn now(&self) -> Instant {
        self.clock.as_ref().map_or_else(Instant::now, |clock| clock.now())
    }

    /// The limits of the pool, if it has any.
    #[inline]
    pub(super) fn entrance(&self) -> Option<&Entrance> {
        self.entrance.as_deref()
    }

    // ---- counting

    /// The calling thread's shard of what belongs to the limits, where guests are as all other threads:
    /// the more shards, the less each can keep.
    #[inline]
    pub(super) fn shard(&self) -> usize {
        let place = self.place().0;
        if place < self.entrance_shards { place } else { place % SHARED }
    }

    /// Where the calling thread counts, and whether nobody else does.
    #[inline]
    fn place(&self) -> (usize, bool) {
        let mine = Worker::with_current(|worker| {
            let worker = worker.filter(|worker| ptr::eq(Board::of(worker.registry()), self));
            worker.and_then(Self::place_of)
        });
        match mine {
            Some(place) => (place, true),
            None => (number::of_thread() % SHARED, false),
        }
    }

    /// Where the thread in a seat of this pool counts, if nobody else does.
    #[inline]
    fn place_of(worker: &Worker) -> Option<usize> {
        Some(SHARED + worker.registry().number_of_seat(worker.index())?)
    }

    /// Tells this pool from all others of the process, those that are gone included. From 1.
    #[inline]
    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    /// So many numbers for jobs, from the one that is returned.
    pub(super) fn numbers(&self, count: u32) -> u64 {
        self.next.fetch_add(u64::from(count), Ordering::Relaxed)
    }

    /// A number for what counts as a job and is not one.
    pub(crate) fn number(&self) -> JobId {
        JobId::new(self.numbers(1))
    }

    /// `count` jobs more.
    #[inline]
    pub(crate) fn accept(&self, count: u64) {
        let (place, is_mine) = self.place();
        add(&self.shards[place].accepted, count, is_mine);
    }

    /// A job that was counted is not accepted after all.
    pub(crate) fn give_back(&self) {
        let (place, is_mine) = self.place();
        add(&self.shards[place].returned, 1, is_mine);
    }

    /// Where the calling thread counts what ends, as long as it is in no other pool.
    #[inline]
    pub(crate) fn counter(&self) -> Counter<'_> {
        let (place, is_mine) = self.place();
        Counter { shard: &self.shards[place], is_mine }
    }

    /// As [`Self::counter`], for the thread in a seat of this pool.
    #[inline]
    pub(super) fn counter_on(&self, worker: &Worker) -> Counter<'_> {
        match Self::place_of(worker).and_then(|place| self.shards.get(place)) {
            Some(shard) => Counter { shard, is_mine: true },
            None => self.counter(),
        }
    }

    /// Whether no job is queued or running (I2).
    pub(crate) fn is_idle(&self) -> bool {
        let sum = |count: fn(&Shard) -> &AtomicU64| -> u64 {
            self.shards.iter().map(|shard| count(shard).load(Ordering::Acquire)).sum()
        };
        let resolved = sum(|shard| &shard.resolved) + sum(|shard| &shard.returned);
        // Pairs with the fence of whoever has told us to look.
        fence(Ordering::SeqCst);
        resolved == sum(|shard| &shard.accepted)
    }

    /// A job waits at a gate.
    pub(super) fn begin_wait(&self) {
        let (place, is_mine) = self.place();
        add(&self.shards[place].begun_waits, 1, is_mine);
    }

    pub(super) fn end_wait(&self) {
        let (place, is_mine) = self.place();
        add(&self.shards[place].ended_waits, 1, is_mine);
    }

    /// Whether all jobs that are pending wait at a gate. As in I2: what is read first never exceeds
    /// what is read second, unless a job that waits is ended from outside just now.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn is_at_rest(&self) -> bool {
        let sum = |count: fn(&Shard) -> &AtomicU64| -> u64 {
            self.shards.iter().map(|shard| count(shard).load(Ordering::Acquire)).sum()
        };
        let at_rest = sum(|shard| &shard.resolved)
            + sum(|shard| &shard.returned)
            + sum(|shard| &shard.begun_waits);
        // As in `is_idle`.
        fence(Ordering::SeqCst);
        at_rest == sum(|shard| &shard.ended_waits) + sum(|shard| &shard.accepted)
    }

    pub(crate) fn counts(&self) -> JobCounts {
        let sum = |count: &dyn Fn(&Shard) -> u64| self.shards.iter().map(|s| count(s)).sum();
        let outcome = |which: JobOutcome| -> u64 {
            sum(&|shard| shard.outcomes[which as usize].load(Ordering::Acquire))
        };
        let mut counts = JobCounts {
            accepted: 0,
            completed: outcome(JobOutcome::Completed),
            panicked: outcome(JobOutcome::Panicked),
            cancelled: outcome(JobOutcome::Cancelled),
            timed_out: outcome(JobOutcome::TimedOut),
            skipped: outcome(JobOutcome::Skipped),
            abandoned: outcome(JobOutcome::Abandoned),
            evicted: outcome(JobOutcome::Evicted),
            failed: outcome(JobOutcome::Failed),
            overrunning: 0,
        };
        let resolved = sum(&|shard| shard.resolved.load(Ordering::Acquire));
        counts.overrunning = counts.timed_out.min(counts.finished().saturating_sub(resolved));
        // Last, so that there are never fewer than have ended.
        let returned: u64 = sum(&|shard| shard.returned.load(Ordering::Acquire));
        let accepted: u64 = sum(&|shard| shard.accepted.load(Ordering::Acquire));
        counts.accepted = accepted - returned;
        counts
    }

    // ---- futures

    /// A future has been accepted. Its waker is our own, and may be used under a lock but for `wake`.
    pub(crate) fn add_future(&self, id: JobId, waker: Waker) {
        lock(&self.futures).insert(id, waker);
    }

    /// It has ended. Its waker comes back, to be dropped outside of every lock.
    pub(crate) fn remove_future(&self, id: JobId) -> Option<Waker> {
        lock(&self.futures).remove(&id)
    }

    /// Wakes all of them: the mode has changed.
    pub(super) fn wake_futures(&self) {
        let futures = std::mem::take(&mut *lock(&self.futures));
        for waker in futures.into_values() {
            waker.wake();
        }
    }

    // ---- what waits, what runs

    /// Lists a job that waits at a gate, so that it can be ended with the pool.
    pub(super) fn list_waiting(&self, job: Raw) -> Listed {
        let shard = self.place().0;
        let key = lock(&self.shards[shard].waiting).insert(JobRef::new(job));
        let (shard, key) = (u16::try_from(shard + 1).ok(), u32::try_from(key).ok());
        let listed = shard.zip(key).map(|(shard, key)| Listed { key, shard });
        listed.expect("fewer workers than 2^16, and jobs than 2^32")
    }

    pub(super) fn unlist_waiting(&self, listed: Listed) {
        let Some(shard) = usize::from(listed.shard).checked_sub(1) else { return };
        let found = lock(&self.shards[shard].waiting).remove(listed.key as usize);
        // Outside of the lock: it may be the last reference.
        drop(found);
    }

    /// The jobs that are listed as waiting.
    pub(super) fn waiting(&self) -> Vec<JobRef> {
        let list = |shard: &CachePadded<Shard>| -> Vec<JobRef> {
            lock(&shard.waiting).values().cloned().collect()
        };
        self.shards.iter().flat_map(list).collect()
    }

    /// Lists work that is to be told of a shutdown, until it is dropped.
    pub(crate) fn list_ongoing(&self, work: Weak<dyn Ongoing>) {
        let mut ongoing = lock(&self.ongoing);
        if ongoing.len() == ongoing.capacity() {
            ongoing.retain(|work| work.strong_count() > 0);
        }
        ongoing.push(work);
    }

    /// Calls `f` with all such work.
    pub(super) fn for_each_ongoing(&self, f: impl Fn(Arc<dyn Ongoing>)) {
        let ongoing: Vec<_> = lock(&self.ongoing).iter().filter_map(Weak::upgrade).collect();
        ongoing.into_iter().for_each(f);
    }

    /// Lists a job that runs; whoever lists it takes it out.
    pub(super) fn list(&self, job: Raw) -> usize {
        let shard = self.place().0;
        lock(&self.shards[shard].running).push(JobRef::new(job));
        shard
    }

    pub(super) fn unlist(&self, shard: usize, job: Raw) {
        let mut running = lock(&self.shards[shard].running);
        let found =
            running.iter().position(|listed| listed.is(job)).map(|at| running.swap_remove(at));
        drop(running);
        // Outside of the lock: it may be the last reference.
        drop(found);
    }

    /// The jobs that are listed as running.
    pub(crate) fn running(&self) -> Vec<JobRef> {
        self.shards.iter().flat_map(|shard| lock(&shard.running).clone()).collect()
    }
}

/// See [`Board::counter`].
#[derive(Clone, Copy)]
pub(crate) struct Counter<'a> {
    shard: &'a Shard,
    is_mine: bool,
}

impl Counter<'_> {
    /// A job is about to end.
    #[inline]
    pub(crate) fn count(self, outcome: JobOutcome) {
        add(&self.shard.outcomes[outcome as usize], 1, self.is_mine);
    }

    /// A job has ended.
    #[inline]
    pub(crate) fn resolved(self) {
        add(&self.shard.resolved, 1, self.is_mine);
    }
}

/// Where a waiting job is listed. By default nowhere.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Listed {
    pub(super) key: u32,
    /// From 1; 0: nowhere.
    pub(super) shard: u16,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board")
            .field("mode", &self.mode())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
