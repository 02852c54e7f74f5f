//! A clock that a test moves.

use super::clock::{Clock, Listener, after, wall_after};
use crate::engine::sync::{Condvar, Mutex, lock, thread, wait};
use crate::pool::Pool;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

/// A clock that stands still until it is moved, so that tests of time are exact and take none. Needs
/// the feature `test-util`.
///
/// It is a handle: clones are the same clock.
///
/// ```
/// use std::time::Duration;
/// use windlass::{Clock, ManualClock};
///
/// let clock = ManualClock::new();
/// let start = clock.now();
/// clock.clone().advance(Duration::from_secs(3_600));
/// assert_eq!(clock.now() - start, Duration::from_secs(3_600));
/// ```
#[derive(Clone)]
pub struct ManualClock {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    /// Somebody has finished moving the clock.
    is_free: Condvar,
}

struct State {
    now: Instant,
    /// The wall clock shows that time at that instant, and moves with the clock.
    wall: (Instant, SystemTime),
    /// The thread that moves the clock.
    mover: Option<thread::ThreadId>,
    listeners: Vec<Weak<dyn Listener>>,
}

impl ManualClock {
    /// A clock that shows the present time.
    ///
    /// ```
    /// use std::time::Instant;
    /// use windlass::{Clock, ManualClock};
    ///
    /// assert!(ManualClock::new().now() <= Instant::now());
    /// ```
    pub fn new() -> Self {
        ManualClock::starting_at(Instant::now())
    }

    /// A clock that shows `start`.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use windlass::{Clock, ManualClock};
    ///
    /// let start = Instant::now() + Duration::from_secs(60);
    /// assert_eq!(ManualClock::starting_at(start).now(), start);
    /// ```
    pub fn starting_at(start: Instant) -> Self {
        let wall = (start, SystemTime::now());
        let state = State { now: start, wall, mover: None, listeners: Vec::new() };
        ManualClock { inner: Arc::new(Inner { state: Mutex::new(state), is_free: Condvar::new() }) }
    }

    /// Moves the clock on, from one deadline to the next: what is due at a time is run when the
    /// clock shows that time, by this thread, by deadline and then in the order in which it was
    /// asked for. What is asked for meanwhile is run too, if it becomes due.
    ///
    /// When it returns, all that became due has been run. A time that is beyond what [`Instant`]
    /// holds is the last one that it does.
    ///
    /// What runs may move the clock further; then the outer call returns at that later time.
    ///
    /// # Blocking
    /// While another thread moves the clock.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{Clock, ManualClock};
    ///
    /// let clock = ManualClock::new();
    /// let start = clock.now();
    /// clock.advance(Duration::from_millis(1_500));
    /// clock.advance(Duration::ZERO);
    /// assert_eq!(clock.now() - start, Duration::from_millis(1_500));
    /// clock.advance(Duration::MAX);
    /// ```
    pub fn advance(&self, by: Duration) {
        let turn = self.take_turn();
        turn.run_until(after(self.now(), by));
    }

    /// As [`advance`](ManualClock::advance), but what becomes due is run when the clock shows the
    /// last of these times already: as if the machine had been suspended meanwhile.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{Clock, ManualClock};
    ///
    /// let clock = ManualClock::new();
    /// let start = clock.now();
    /// clock.jump(Duration::from_secs(3_600));
    /// assert_eq!(clock.now() - start, Duration::from_secs(3_600));
    /// ```
    pub fn jump(&self, by: Duration) {
        let turn = self.take_turn();
        let target = after(self.now(), by);
        turn.move_to(target);
        turn.run_until(target);
    }

    /// Sets the wall clock, which by itself shows the present time when the clock is made, and then
    /// moves with it. [`now`](Clock::now) stays as it is: what waits for a time of the day becomes
    /// due, or is further away.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use windlass::{Clock, ManualClock};
    ///
    /// let clock = ManualClock::new();
    /// clock.set_wall(SystemTime::UNIX_EPOCH);
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(clock.wall(), SystemTime::UNIX_EPOCH + Duration::from_secs(60));
    /// ```
    pub fn set_wall(&self, wall: SystemTime) {
        let turn = self.take_turn();
        let listeners = {
            let mut state = lock(&self.inner.state);
            state.wall = (state.now, wall);
            state.listeners()
        };
        for listener in listeners {
            listener.wall_is_set();
        }
        turn.run_until(self.now());
    }

    /// As if the machine had been suspended, on a system whose clock stands still meanwhile, as that
    /// of Linux does: only the wall clock moves.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{Clock, ManualClock};
    ///
    /// let clock = ManualClock::new();
    /// let (now, wall) = (clock.now(), clock.wall());
    /// clock.suspend(Duration::from_secs(3_600));
    /// assert_eq!(clock.now(), now);
    /// assert_eq!(clock.wall(), wall + Duration::from_secs(3_600));
    /// ```
    pub fn suspend(&self, by: Duration) {
        self.set_wall(wall_after(self.wall(), by));
    }

    /// Runs what is due, then waits until no job of `pool` is queued or running, other than those that
    /// wait for a time or for other jobs, and so on until both is the case at once. Does not move the clock.
    ///
    /// # Blocking
    /// For good, if called by a job of the pool, or if a job waits for the clock to be moved. Then
    /// there is [`advance`](ManualClock::advance), which does not wait for jobs.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{ManualClock, Pool};
    ///
    /// let clock = ManualClock::new();
    /// let pool = Pool::builder().workers(1).clock(clock.clone()).build()?;
    /// pool.submit(|| 1).detach();
    /// clock.run_until_idle(&pool);
    /// assert_eq!(pool.job_counts().completed, 1);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn run_until_idle(&self, pool: &Pool) {
        loop {
            self.advance(Duration::ZERO);
            pool.wait_until_at_rest();
            let now = self.now();
            if self.take_turn().earliest().is_none_or(|(at, _)| at > now) {
                return;
            }
        }
    }

    /// As [`advance`](ManualClock::advance), and waits at each deadline until `pool` is idle, as
    /// [`run_until_idle`](ManualClock::run_until_idle) does: so the jobs that are due at a time run
    /// while the clock shows that time, and what they ask for is in its place before it moves on.
    ///
    /// # Blocking
    /// As [`run_until_idle`](ManualClock::run_until_idle).
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{ManualClock, Pool};
    ///
    /// let clock = ManualClock::new();
    /// let pool = Pool::builder().workers(1).clock(clock.clone()).build()?;
    /// let start = windlass::Clock::now(&clock);
    /// clock.advance_until_idle(&pool, Duration::from_secs(60));
    /// assert_eq!(windlass::Clock::now(&clock) - start, Duration::from_secs(60));
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn advance_until_idle(&self, pool: &Pool, by: Duration) {
        let target = after(self.now(), by);
        loop {
            self.run_until_idle(pool);
            let turn = self.take_turn();
            let now = self.now();
            match turn.earliest().filter(|(at, _)| *at <= target) {
                Some((at, _)) => turn.run_until(at.max(now)),
                None if now < target => _ = turn.move_to(target),
                None => return,
            }
        }
    }

    fn take_turn(&self) -> Turn<'_> {
        let current = thread::current().id();
        let mut state = lock(&self.inner.state);
        while state.mover.is_some_and(|mover| mover != current) {
            state = wait(&self.inner.is_free, state);
        }
        let is_outermost = state.mover.replace(current).is_none();
        Turn { inner: &self.inner, is_outermost }
    }
}

impl State {
    fn listeners(&self) -> Vec<Arc<dyn Listener>> {
        self.listeners.iter().filter_map(Weak::upgrade).collect()
    }
}

/// The right to move the clock, which one thread has at a time.
struct Turn<'a> {
    inner: &'a Inner,
    /// False for a call out of a callback.
    is_outermost: bool,
}

impl Turn<'_> {
    fn run_until(&self, target: Instant) {
        loop {
            if let Some((at, listener)) = self.earliest().filter(|(at, _)| *at <= target) {
                let now = self.move_to(at);
                listener.fire_one(now);
            } else if lock(&self.inner.state).now < target {
                // Then once more: who inserts meanwhile, by the time before, is not overlooked.
                self.move_to(target);
            } else {
                return;
            }
        }
    }

    /// Shows `at`, or the present time if that is later.
    fn move_to(&self, at: Instant) -> Instant {
        let mut state = lock(&self.inner.state);
        state.now = state.now.max(at);
        state.now
    }

    /// The next deadline and whose it is; of several timers with the same one the oldest.
    fn earliest(&self) -> Option<(Instant, Arc<dyn Listener>)> {
        // They have locks of their own.
        let listeners = lock(&self.inner.state).listeners();
        let next = |listener: Arc<dyn Listener>| Some((listener.next_deadline()?, listener));
        listeners.into_iter().filter_map(next).min_by_key(|(at, _)| *at)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.is_outermost {
            lock(&self.inner.state).mover = None;
            self.inner.is_free.notify_one();
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        lock(&self.inner.state).now
    }

    fn wall(&self) -> SystemTime {
        let state = lock(&self.inner.state);
        let (instant, wall) = state.wall;
        wall_after(wall, state.now.saturating_duration_since(instant))
    }

    fn listen(&self, listener: Weak<dyn Listener>) -> bool {
        let mut state = lock(&self.inner.state);
        state.listeners.retain(|listener| listener.strong_count() > 0);
        state.listeners.push(listener);
        true
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        ManualClock::new()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").field("now", &self.now()).finish_non_exhaustive()
    }
}
