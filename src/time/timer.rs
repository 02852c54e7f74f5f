//! The timer of a pool: callbacks that run at their time.
//!
//! One thread, which starts with the first timer, sleeps until the earliest deadline and runs what
//! is due. Nobody polls. What is pending lies in parts, each under a lock of its own, and each thread
//! inserts into one of them: so limits in time of many jobs, which are set by some threads and taken
//! back by others, do not all go through one lock. No foreign code runs under a lock: callbacks run,
//! and captures are dropped, outside of them.
//!
//! T1. A callback leaves its part under the lock, once: to be run, or by the cancel that returns
//!     true, or by the stop. So it runs at most once, and never after such a cancel has returned.
//! T2. The thread takes the locks of all parts to look for the earliest deadline, and lets go of none
//!     before it has written into `until` when it will wake. So whoever inserts after that sees it,
//!     and if the new deadline is earlier, has the thread look again, once a sleep. The thread writes
//!     `until` and begins to wait in one step under the lock of `rest`, so no notification falls in
//!     between. A cancel may leave it to wake for nothing, at the deadline that it has slept for:
//!     once, and a few times if that was far away, as the queue then looks closer.
//!
//! Lock order: the parts by number, then `rest`.
//!
//! With a clock that is moved by hand there is no thread, and one part: what is due is run by who
//! moves it. Under loom and shuttle no time passes for who sleeps: what is due when its thread looks
//! fires, all else never, except by a manual clock.

use super::clock::{Clock, Listener, nanoseconds};
use super::queue::{Callback, PARTS, Queue, TimerKey};
use crate::engine::sync::{
    AtomicU64, Condvar, Mutex, MutexGuard, Ordering, lock, thread, wait, wait_timeout,
};
use crate::engine::unwind::{AbortOnUnwind, catch, drop_quietly};
use crate::engine::{forked, number};
use crossbeam_utils::CachePadded;
use std::io;
use std::sync::{Arc, TryLockError, Weak};
use std::time::Instant;

/// It is awake, or does not exist.
const AWAKE: u64 = 0;
const FOR_EVER: u64 = u64::MAX;

/// See the module.
///
/// In the child of a fork(2) its timers are still pending, and the first insert there starts a new
/// thread. A lock that another thread held at that very moment is lost with it, so a child had
/// better make its own timer; but it can always drop the one of its parent.
pub(crate) struct Timer {
    shared: Arc<Shared>,
    /// Whether somebody moves the clock.
    is_manual: bool,
    /// The [`generation`] in which the timer was made.
    made_in: u64,
}

struct Shared {
    clock: Arc<dyn Clock>,
    /// Who wants to know when the wall clock is set.
    watcher: Option<Weak<dyn WatchWall>>,
    parts: [CachePadded<Mutex<Part>>; PARTS],
    /// When the timer was made.
    epoch: Instant,
    /// Until when the thread sleeps, in nanoseconds since the epoch; or [`AWAKE`], or [`FOR_EVER`].
    /// Written under the lock of `rest`.
    until: AtomicU64,
    /// The [`generation`] in which the thread was last started; 0: in none. Written under the lock of
    /// `rest`.
    started_in: AtomicU64,
    rest: Mutex<Rest>,
    /// What the thread sleeps on.
    wake: Condvar,
}

/// A part of what is pending.
struct Part {
    queue: Queue,
    is_stopped: bool,
}

/// What there is but once.
struct Rest {
    sleep: Sleep,
    is_stopped: bool,
    /// None before the first insert and after the stop.
    thread: Option<thread::JoinHandle<()>>,
    #[cfg(test)]
    num_notified: usize,
    #[cfg(test)]
    num_wakes: usize,
}

/// What the thread is at.
#[derive(Clone, Copy)]
enum Sleep {
    /// It will look at the parts before it sleeps; or it does not exist.
    Awake,
    /// It sleeps until then; None: for ever.
    Until(Option<Instant>),
}

/// A number that is not 0, and changes in the child of a fork.
fn generation() -> u64 {
    u64::from(forked::generation()) + 1
}

impl Timer {
    /// A timer without a thread, yet.
    #[cfg(any(test, loom, feature = "test-util"))]
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self::watched(clock, None)
    }

    /// As [`new`](Timer::new). `watcher` is told when the wall clock is set, if the clock tells.
    pub(crate) fn watched(clock: Arc<dyn Clock>, watcher: Option<Weak<dyn WatchWall>>) -> Self {
        let part = || Part { queue: Queue::new(), is_stopped: false };
        let shared = Arc::new(Shared {
            epoch: clock.now(),
            clock,
            watcher,
            parts: std::array::from_fn(|_| CachePadded::new(Mutex::new(part()))),
            until: AtomicU64::new(AWAKE),
            started_in: AtomicU64::new(0),
            rest: Mutex::new(Rest {
                sleep: Sleep::Awake,
                is_stopped: false,
                thread: None,
                #[cfg(test)]
                num_notified: 0,
                #[cfg(test)]
                num_wakes: 0,
            }),
            wake: Condvar::new(),
        });
        let listener: Weak<Shared> = Arc::downgrade(&shared);
        let is_manual = shared.clock.listen(listener);
        Timer { shared, is_manual, made_in: generation() }
    }

    /// The clock by which the deadlines are.
    #[cfg(test)]
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// Whether the watcher is told when the wall clock is set.
    pub(crate) fn tells_of_wall(&self) -> bool {
        self.is_manual
    }

    /// Runs `callback` at `at` or soon after, on the timer's thread: so it must be short, and must
    /// not block. If that time has passed, as soon as may be: with a manual clock, when that is next
    /// moved, be it by nothing.
    ///
    /// Callbacks run one after the other, by deadline; those of one deadline that one thread has
    /// inserted, or anybody by a manual clock, in the order in which they were inserted. A callback
    /// may use the timer itself, and drop it. If it panics, the panic hook reports that, and nobody
    /// else notices.
    ///
    /// After the [`stop`](Timer::stop) the callback is dropped at once.
    ///
    /// # Panics
    /// If the system has no thread for the timer.
    pub(crate) fn insert(&self, at: Instant, callback: impl FnOnce() + Send + 'static) -> TimerKey {
        let callback: Callback = Box::new(callback);
        if self.is_manual {
            return self.shared.insert(0, at, callback);
        }
        let key = self.shared.insert(number::of_thread() % PARTS, at, callback);
        let generation = generation();
        // Relaxed: a thread that somebody else has just started looks before it sleeps.
        if self.shared.started_in.load(Ordering::Relaxed) != generation
            && let Err(error) = self.start_thread(generation)
        {
            drop_quietly(self.shared.remove(key));
            panic!("windlass: the timer's thread cannot be started: {error}");
        }
        // Relaxed: see T2.
        if self.shared.nanos_of(at) < self.shared.until.load(Ordering::Relaxed) {
            self.shared.look_again(at);
        }
        key
    }

    /// True: the callback will not run, and has been dropped. False: it has run, or another thread
    /// is running it, or it is what runs here; or the timer has been stopped.
    ///
    /// If a destructor of what the callback has captured panics, the panic hook reports that, and
    /// nobody else notices.
    pub(crate) fn cancel(&self, key: TimerKey) -> bool {
        let callback = self.shared.remove(key);
        let is_cancelled = callback.is_some();
        drop_quietly(callback);
        is_cancelled
    }

    /// Drops what is pending, without running it, and waits for the thread to end, and so for the
    /// callback that it may be running; except on that very thread, which ends when the callback
    /// that calls this has returned.
    ///
    /// Nothing waits for a callback that a manual clock runs.
    pub(crate) fn stop(&self) {
        let is_forked = self.is_from_before_fork();
        for part in &self.shared.parts {
            let Some(mut part) = lock_to_stop(part, is_forked) else { continue };
            part.is_stopped = true;
            let queue = std::mem::take(&mut part.queue);
            drop(part);
            queue.into_callbacks().for_each(drop_quietly);
        }
        let Some(mut rest) = lock_to_stop(&self.shared.rest, is_forked) else { return };
        rest.is_stopped = true;
        self.shared.wake_up(&mut rest);
        let thread = if is_forked {
            // The thread is the parent's. Its handle must not be joined.
            std::mem::forget(rest.thread.take());
            None
        } else {
            let current = thread::current().id();
            rest.thread.take_if(|thread| thread.thread().id() != current)
        };
        drop(rest);
        self.shared.wake.notify_all();
        if let Some(thread) = thread {
            // It catches what callbacks throw.
            let _ = thread.join();
        }
    }

    /// Whether this process is the child of a fork, and has not inserted anything.
    fn is_from_before_fork(&self) -> bool {
        let known = match self.shared.started_in.load(Ordering::Relaxed) {
            0 => self.made_in,
            started_in => started_in,
        };
        known != generation()
    }

    #[cold]
    fn start_thread(&self, generation: u64) -> io::Result<()> {
        let mut rest = lock(&self.shared.rest);
        let started_in = &self.shared.started_in;
        if rest.is_stopped || started_in.load(Ordering::Relaxed) == generation {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name("windlass-timer".to_owned()).spawn(move || {
            let guard = AbortOnUnwind("the timer's thread");
            shared.run(generation);
            guard.disarm();
        })?;
        // A handle that was here is that of the parent of a fork, not to be touched.
        std::mem::forget(rest.thread.replace(thread));
        self.shared.wake_up(&mut rest);
        started_in.store(generation, Ordering::Relaxed);
        Ok(())
    }
}

/// In the child of a fork, before the first insert there, nobody holds a lock for long: if it is
/// taken, it is lost, and what it guards is leaked.
fn lock_to_stop<T>(mutex: &Mutex<T>, may_be_lost: bool) -> Option<MutexGuard<'_, T>> {
    if !may_be_lost {
        return Some(lock(mutex));
    }
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// In the order of the deadlines.
    fn nanos_of(&self, at: Instant) -> u64 {
        nanoseconds(at.saturating_duration_since(self.epoch)).clamp(AWAKE + 1, FOR_EVER - 1)
    }

    fn insert(&self, nth: usize, at: Instant, callback: Callback) -> TimerKey {
        let mut part = lock(&self.parts[nth]);
        if part.is_stopped {
            drop(part);
            drop_quietly(callback);
            return TimerKey::NONE;
        }
        part.queue.insert(at, callback).in_part(nth)
    }

    fn remove(&self, key: TimerKey) -> Option<Callback> {
        let (nth, key) = key.split()?;
        lock(&self.parts[nth]).queue.remove(key)
    }

    /// Wakes the thread if it would sleep beyond `at`.
    #[cold]
    fn look_again(&self, at: Instant) {
        let mut rest = lock(&self.rest);
        let is_earlier = match rest.sleep {
            Sleep::Awake => false,
            Sleep::Until(until) => until.is_none_or(|until| at < until),
        };
        if is_earlier {
            self.wake_up(&mut rest);
            #[cfg(test)]
            (rest.num_notified += 1);
            drop(rest);
            self.wake.notify_one();
        }
    }

    /// The thread is awake, or about to be.
    fn wake_up(&self, rest: &mut Rest) {
        rest.sleep = Sleep::Awake;
        self.until.store(AWAKE, Ordering::Relaxed);
    }

    /// The thread.
    fn run(&self, generation: u64) {
        loop {
            let now = self.clock.now();
            let mut parts = self.lock_all();
            // A callback may fork: in the child this thread goes on, but is not the timer's.
            if parts[0].is_stopped || self::generation() != generation {
                return;
            }
            match first_of(&parts) {
                Some((nth, at)) if at <= now => {
                    let others = parts.iter().enumerate().filter(|&(other, _)| other != nth);
                    let others = others.filter_map(|(_, part)| part.queue.next_deadline());
                    let until = others.fold(now, Instant::min);
                    // None: that one was cancelled, and the queue has looked which is next.
                    let callback = parts[nth].queue.pop_due(until);
                    drop(parts);
                    if let Some(callback) = callback {
                        run_callback(callback);
                    }
                }
                first => self.sleep(parts, first.map(|(_, at)| at), now),
            }
        }
    }

    fn lock_all(&self) -> [MutexGuard<'_, Part>; PARTS] {
        std::array::from_fn(|nth| lock(&self.parts[nth]))
    }

    /// Sleeps until then, or until something changes, or for no reason.
    fn sleep(&self, parts: [MutexGuard<'_, Part>; PARTS], until: Option<Instant>, now: Instant) {
        let mut rest = lock(&self.rest);
        rest.sleep = Sleep::Until(until);
        self.until.store(until.map_or(FOR_EVER, |at| self.nanos_of(at)), Ordering::Relaxed);
        drop(parts);
        rest = match until {
            Some(at) => wait_timeout(&self.wake, rest, at.saturating_duration_since(now)),
            None => wait(&self.wake, rest),
        };
        self.wake_up(&mut rest);
        #[cfg(test)]
        (rest.num_wakes += 1);
    }
}

/// Which part has the earliest deadline, and which that is, or an earlier time
/// ([`Queue::next_deadline`]).
fn first_of(parts: &[MutexGuard<'_, Part>]) -> Option<(usize, Instant)> {
    let nexts = parts.iter().enumerate();
    let nexts = nexts.filter_map(|(nth, part)| Some((nth, part.queue.next_deadline()?)));
    nexts.min_by_key(|&(_, at)| at)
}

/// Waits for times of the day.
pub(crate) trait WatchWall: Send + Sync {
    fn wall_is_set(&self);
}

impl Listener for Shared {
    fn wall_is_set(&self) {
        let watcher = self.watcher.as_ref().and_then(Weak::upgrade);
        if let Some(watcher) = watcher {
            watcher.wall_is_set();
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        first_of(&self.lock_all()).map(|(_, at)| at)
    }

    fn fire_one(&self, now: Instant) {
        // All are in one part.
        let callback = lock(&self.parts[0]).queue.pop_due(now);
        if let Some(callback) = callback {
            run_callback(callback);
        }
    }
}

fn run_callback(callback: Callback) {
    if let Err(payload) = catch(callback) {
        drop_quietly(payload);
    }
}

#[cfg(loom)]
impl Timer {
    /// What `cancel` would be if it looked and took out in two steps: for the broken twin of a model.
    pub(super) fn cancel_in_two_steps(&self, key: TimerKey) -> bool {
        let (nth, in_part) = key.split().expect("a timer's key");
        let is_there = lock(&self.shared.parts[nth]).queue.contains(in_part);
        drop_quietly(self.shared.remove(key));
        is_there
    }
}

/// What the tests look at.
#[cfg(test)]
impl Timer {
    pub(super) fn num_pending_for_test(&self) -> usize {
        let parts = self.shared.lock_all();
        let count = |part: &MutexGuard<'_, Part>| {
            part.queue.check();
            part.queue.len()
        };
        parts.iter().map(count).sum()
    }

    pub(super) fn has_thread_for_test(&self) -> bool {
        lock(&self.shared.rest).thread.is_some()
    }

    pub(super) fn is_asleep_for_test(&self) -> bool {
        matches!(lock(&self.shared.rest).sleep, Sleep::Until(_))
    }

    /// How often the thread was notified, and how often it has woken up.
    pub(super) fn wakes_for_test(&self) -> (usize, usize) {
        let rest = lock(&self.shared.rest);
        (rest.num_notified, rest.num_wakes)
    }

    /// Ends when the thread has: it holds the other handle.
    pub(super) fn life_for_test(&self) -> Weak<dyn Listener> {
        let life: Weak<Shared> = Arc::downgrade(&self.shared);
        life
    }

    /// As in the child of a fork, except that the thread still exists, whose handle this returns.
    pub(super) fn pretend_fork_for_test(&self) -> Option<thread::JoinHandle<()>> {
        self.shared.started_in.store(u64::MAX, Ordering::Relaxed);
        lock(&self.shared.rest).thread.take()
    }

    /// As if another thread held the locks.
    pub(super) fn while_locked_for_test<R>(&self, f: impl FnOnce() -> R) -> R {
        let _parts = self.shared.lock_all();
        let _rest = lock(&self.shared.rest);
        f()
    }
}
