//! The timer of a pool: callbacks that run at their time.
//!
//! One thread, which starts with the first timer, sleeps until the earliest deadline and runs what
//! is due. Nobody polls. Everything is under one lock, which no foreign code runs under: callbacks
//! run, and captures are dropped, outside of it.
//!
//! T1. A callback leaves the queue under the lock, once: to be run, or by the cancel that returns
//!     true, or by the stop. So it runs at most once, and never after such a cancel has returned.
//! T2. While the thread sleeps, `sleep` says until when, and no deadline in the queue is earlier.
//!     Whoever inserts an earlier one writes `Awake` and notifies, once a sleep. The thread writes
//!     `sleep` and begins to wait in one step under the lock, so no notification falls in between.
//!     A cancel may leave it to wake for nothing, at the deadline that it has slept for: once, and a
//!     few times if that was far away, as the queue then looks closer.
//!
//! With a clock that is moved by hand there is no thread: what is due is run by who moves it. Under
//! loom and shuttle no time passes for who sleeps: what is due when its thread looks fires, all else
//! never, except by a manual clock.

use super::clock::{Clock, Listener};
use super::queue::{Callback, Queue, TimerKey};
use crate::engine::forked;
use crate::engine::sync::{
    AtomicU32, Condvar, Mutex, MutexGuard, Ordering, lock, thread, wait, wait_timeout,
};
use crate::engine::unwind::{AbortOnUnwind, catch, drop_quietly};
use std::sync::{Arc, TryLockError, Weak};
use std::time::Instant;

/// See the module.
///
/// In the child of a fork(2) its timers are still pending, and the first insert there starts a new
/// thread. A lock that another thread held at that very moment is lost with it, so a child had
/// better make its own timer; but it can always drop the one of its parent.
pub(crate) struct Timer {
    shared: Arc<Shared>,
    /// Whether somebody moves the clock.
    is_manual: bool,
    /// The process's generation when the timer was made, or when its thread was last started.
    /// Written under the lock.
    generation: AtomicU32,
}

struct Shared {
    clock: Arc<dyn Clock>,
    /// Who wants to know when the wall clock is set.
    watcher: Option<Weak<dyn WatchWall>>,
    state: Mutex<State>,
    /// What the thread sleeps on.
    wake: Condvar,
}

struct State {
    queue: Queue,
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
    /// It will look at the queue before it sleeps; or it does not exist.
    Awake,
    /// It sleeps until then; None: for ever.
    Until(Option<Instant>),
}

impl Timer {
    /// A timer without a thread, yet.
    #[cfg(any(test, loom, feature = "test-util"))]
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self::watched(clock, None)
    }

    /// As [`new`](Timer::new). `watcher` is told when the wall clock is set, if the clock tells.
    pub(crate) fn watched(clock: Arc<dyn Clock>, watcher: Option<Weak<dyn WatchWall>>) -> Self {
        let shared = Arc::new(Shared {
            clock,
            watcher,
            state: Mutex::new(State {
                queue: Queue::new(),
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
        Timer { shared, is_manual, generation: AtomicU32::new(forked::generation()) }
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
    /// Callbacks run one after the other, by deadline, those of one deadline in the order in which
    /// they were inserted. A callback may use the timer itself, and drop it. If it panics, the panic
    /// hook reports that, and nobody else notices.
    ///
    /// After the [`stop`](Timer::stop) the callback is dropped at once.
    ///
    /// # Panics
    /// If the system has no thread for the timer.
    pub(crate) fn insert(&self, at: Instant, callback: impl FnOnce() + Send + 'static) -> TimerKey {
        // Before the lock, so that it is dropped after it if the thread cannot be started.
        let callback: Callback = Box::new(callback);
        let mut state = lock(&self.shared.state);
        if state.is_stopped {
            drop(state);
            drop_quietly(callback);
            return TimerKey::NONE;
        }
        if !self.is_manual {
            self.ensure_thread(&mut state);
        }
        let key = state.queue.insert(at, callback);
        let is_earlier = match state.sleep {
            Sleep::Awake => false,
            Sleep::Until(until) => until.is_none_or(|until| at < until),
        };
        if is_earlier {
            state.sleep = Sleep::Awake;
            #[cfg(test)]
            (state.num_notified += 1);
            drop(state);
            self.shared.wake.notify_one();
        }
        key
    }

    /// True: the callback will not run, and has been dropped. False: it has run, or another thread
    /// is running it, or it is what runs here; or the timer has been stopped.
    ///
    /// If a destructor of what the callback has captured panics, the panic hook reports that, and
    /// nobody else notices.
    pub(crate) fn cancel(&self, key: TimerKey) -> bool {
        let callback = lock(&self.shared.state).queue.remove(key);
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
        let is_forked = self.generation.load(Ordering::Relaxed) != forked::generation();
        let Some(mut state) = self.lock_to_stop(is_forked) else { return };
        state.is_stopped = true;
        let queue = std::mem::take(&mut state.queue);
        let thread = if is_forked {
            // The thread is the parent's. Its handle must not be joined.
            std::mem::forget(state.thread.take());
            None
        } else {
            let current = thread::current().id();
            state.thread.take_if(|thread| thread.thread().id() != current)
        };
        drop(state);
        self.shared.wake.notify_all();
        queue.into_callbacks().for_each(drop_quietly);
        if let Some(thread) = thread {
            // It catches what callbacks throw.
            let _ = thread.join();
        }
    }

    /// In the child of a fork, before the first insert there, nobody holds the lock for long: if it
    /// is taken, it is lost, and what it guards is leaked.
    fn lock_to_stop(&self, is_forked: bool) -> Option<MutexGuard<'_, State>> {
        if !is_forked {
            return Some(lock(&self.shared.state));
        }
        match self.shared.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    #[inline]
    fn ensure_thread(&self, state: &mut State) {
        let generation = forked::generation();
        if state.thread.is_none() || self.generation.load(Ordering::Relaxed) != generation {
            self.start_thread(state, generation);
        }
    }

    #[cold]
    fn start_thread(&self, state: &mut State, generation: u32) {
        let shared = Arc::clone(&self.shared);
        let spawned = thread::Builder::new().name("windlass-timer".to_owned()).spawn(move || {
            let guard = AbortOnUnwind("the timer's thread");
            shared.run(generation);
            guard.disarm();
        });
        match spawned {
            // A handle that was here is that of the parent of a fork, not to be touched.
            Ok(thread) => std::mem::forget(state.thread.replace(thread)),
            Err(error) => panic!("windlass: the timer's thread cannot be started: {error}"),
        }
        state.sleep = Sleep::Awake;
        self.generation.store(generation, Ordering::Relaxed);
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// The thread.
    fn run(&self, generation: u32) {
        loop {
            let now = self.clock.now();
            let mut state = lock(&self.state);
            // A callback may fork: in the child this thread goes on, but is not the timer's.
            if state.is_stopped || forked::generation() != generation {
                return;
            }
            match state.queue.pop_due(now) {
                Some(callback) => {
                    drop(state);
                    run_callback(callback);
                }
                None => self.sleep(state, now),
            }
        }
    }

    /// Sleeps until the next deadline is due, or something changes, or for no reason.
    fn sleep(&self, mut state: MutexGuard<'_, State>, now: Instant) {
        let until = state.queue.next_deadline();
        state.sleep = Sleep::Until(until);
        state = match until {
            Some(at) => wait_timeout(&self.wake, state, at.saturating_duration_since(now)),
            None => wait(&self.wake, state),
        };
        state.sleep = Sleep::Awake;
        #[cfg(test)]
        (state.num_wakes += 1);
    }
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
        lock(&self.state).queue.next_deadline()
    }

    fn fire_one(&self, now: Instant) {
        let callback = lock(&self.state).queue.pop_due(now);
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
        let is_there = lock(&self.shared.state).queue.contains(key);
        drop_quietly(lock(&self.shared.state).queue.remove(key));
        is_there
    }
}

/// What the tests look at.
#[cfg(test)]
impl Timer {
    pub(super) fn num_pending_for_test(&self) -> usize {
        let state = lock(&self.shared.state);
        state.queue.check();
        state.queue.len()
    }

    pub(super) fn has_thread_for_test(&self) -> bool {
        lock(&self.shared.state).thread.is_some()
    }

    pub(super) fn is_asleep_for_test(&self) -> bool {
        matches!(lock(&self.shared.state).sleep, Sleep::Until(_))
    }

    /// How often the thread was notified, and how often it has woken up.
    pub(super) fn wakes_for_test(&self) -> (usize, usize) {
        let state = lock(&self.shared.state);
        (state.num_notified, state.num_wakes)
    }

    /// Ends when the thread has: it holds the other handle.
    pub(super) fn life_for_test(&self) -> Weak<dyn Listener> {
        let life: Weak<Shared> = Arc::downgrade(&self.shared);
        life
    }

    /// As in the child of a fork, except that the thread still exists, whose handle this returns.
    pub(super) fn pretend_fork_for_test(&self) -> Option<thread::JoinHandle<()>> {
        self.generation.store(forked::generation().wrapping_sub(1), Ordering::Relaxed);
        lock(&self.shared.state).thread.take()
    }

    /// As if another thread held the lock.
    pub(super) fn while_locked_for_test<R>(&self, f: impl FnOnce() -> R) -> R {
        let _state = lock(&self.shared.state);
        f()
    }
}
