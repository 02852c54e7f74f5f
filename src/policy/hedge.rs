//! Hedged jobs: another copy of what takes long, and the first that succeeds counts.
//!
//! Source: Dean and Barroso, "The Tail at Scale" (2013), on hedged requests; that a copy which fails
//! starts the next at once is gRPC's rule (proposal A6).
//!
//! The copies are members of a group. The next begins when the timer says so, on no worker's time, or
//! when one fails; it never waits for room: a pool that is full makes no copies.

use super::Priority;
use super::group::{
    BoxError, FirstOk, Group, GroupBuilder, GroupError, GroupHandle, GroupJoin, Join,
};
use crate::engine::sync::{Mutex, lock};
use crate::job::{Board, CancelCause, CancelToken, JobCx, JobOptions, JobRef, SubmitError};
use crate::pool::Pool;
use crate::time::TimerKey;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

impl Pool {
    /// A job of which a second copy is started if the first takes longer than `delay`. The first that
    /// succeeds counts, and cancels the other. For work that is slow by chance, not by its nature: the
    /// 95th percentile of its time is a good delay, and costs one copy in twenty.
    ///
    /// A copy that fails or panics starts the next at once; if all fail, the error of the first is the
    /// primary one, and the others are attached.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{CancelToken, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let answer = pool.hedge("ask", Duration::from_millis(1)).submit(|cx| {
    ///     // The first copy would never end by itself.
    ///     while cx.name() == Some("ask/1") {
    ///         cx.checkpoint()?;
    ///     }
    ///     Ok::<_, windlass::Cancelled>(42)
    /// })?;
    /// assert_eq!(answer.wait()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hedge(&self, name: impl Into<String>, delay: Duration) -> HedgeBuilder {
        let (group, options) = (self.group(name), JobOptions::default());
        HedgeBuilder { group, delay, copies: 2, options }
    }
}

/// A hedged job that is about to be submitted. See [`Pool::hedge`].
#[must_use = "a job runs only when it is submitted"]
pub struct HedgeBuilder {
    group: GroupBuilder,
    delay: Duration,
    copies: u32,
    options: JobOptions,
}

impl HedgeBuilder {
    /// How many copies there are at most, each so long after the one before: 2 by default; 1 makes no
    /// copies. 0 is taken for 1.
    pub fn copies(mut self, copies: u32) -> Self {
        self.copies = copies.max(1);
        self
    }

    /// The options of each copy: its limits in time are those of a copy, from its own submission.
    pub fn options(mut self, options: &JobOptions) -> Self {
        self.options = options.clone();
        self
    }

    /// The priority of all copies.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.options = self.options.priority(priority);
        self
    }

    /// Cancels all copies when the token is cancelled.
    pub fn cancel_token(mut self, token: &CancelToken) -> Self {
        self.group = self.group.cancel_token(token);
        self
    }

    /// Cancels all copies at that time, by the pool's [clock](crate::PoolBuilder::clock).
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.group = self.group.deadline(deadline);
        self
    }

    /// Submits the first copy. The copies are named `"name/1"`, `"name/2"` and so on.
    ///
    /// # Errors
    /// If the pool has begun to shut down, or has [no room](crate::PoolBuilder::queue). The closure
    /// comes back. A later copy that is refused is not made.
    ///
    /// # Blocking
    /// As [`Pool::try_submit`]: it does not.
    pub fn submit<T, E, F>(self, f: F) -> Result<Hedged<T>, SubmitError<F>>
    where
        T: Send + 'static,
        E: Into<BoxError> + 'static,
        F: Fn(&JobCx) -> Result<T, E> + Send + Sync + 'static,
    {
        let HedgeBuilder { group, delay, copies, options } = self;
        let group = group.open();
        let state = Mutex::new(State { num_begun: 1, winner: None, jobs: Vec::new(), alarm: None });
        let handle = group.handle();
        let race =
            Arc::new(Race { f, group: handle, delay, copies, options, state, fails: PhantomData });
        if let Err(error) = race.begin(1) {
            let race = Arc::into_inner(race).expect("a copy that was refused is gone");
            return Err(error.map(|()| race.f));
        }
        let join = group.join(Join::first_ok());
        Ok(Hedged { join, group })
    }
}

impl fmt::Debug for HedgeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeBuilder")
            .field("group", &self.group)
            .field("delay", &self.delay)
            .field("copies", &self.copies)
            .finish_non_exhaustive()
    }
}

/// Shared by the copies, and by nobody else: with the last one it goes, and what it has captured.
struct Race<T: Send + 'static, E, F> {
    f: F,
    group: GroupHandle<T>,
    delay: Duration,
    copies: u32,
    options: JobOptions,
    state: Mutex<State>,
    fails: PhantomData<fn() -> E>,
}

struct State {
    num_begun: u32,
    /// The number of the copy that has succeeded first.
    winner: Option<u32>,
    jobs: Vec<(u32, JobRef)>,
    /// Starts the next copy.
    alarm: Option<TimerKey>,
}

impl<T, E, F> Race<T, E, F>
where
    T: Send + 'static,
    E: Into<BoxError> + 'static,
    F: Fn(&JobCx) -> Result<T, E> + Send + Sync + 'static,
{
    fn begin(self: &Arc<Self>, number: u32) -> Result<(), SubmitError<()>> {
        let race = Arc::clone(self);
        let job = self.group.job(number.to_string()).options(&self.options);
        let job = job
            .try_submit_fallible_with(move |cx| race.run(number, cx))
            .map_err(|error| error.map(drop))?;
        let is_late = {
            let mut state = lock(&self.state);
            state.jobs.push((number, job.clone()));
            state.winner.is_some_and(|winner| winner != number)
        };
        if is_late {
            // Whoever has won could not cancel it.
            job.cancel_with(CancelCause::NotNeeded);
        } else {
            self.set_alarm(number);
        }
        Ok(())
    }

    fn run(self: &Arc<Self>, number: u32, cx: &JobCx) -> Result<T, E> {
        // Before this copy ends: a group that has none but failures is over.
        let failing = Failing(self);
        let result = (self.f)(cx);
        if result.is_ok() {
            std::mem::forget(failing);
            self.win(number);
        }
        result
    }

    /// Starts the next copy, if there is to be one. `after`: only if this was the last.
    fn go_on(self: &Arc<Self>, after: Option<u32>) {
        let number = {
            let mut state = lock(&self.state);
            let is_next = after.is_none_or(|last| last == state.num_begun);
            if state.winner.is_some() || state.num_begun == self.copies || !is_next {
                return;
            }
            state.num_begun += 1;
            state.num_begun
        };
        // There is no room for it, or the group has been cancelled: those that run are all there is.
        let _ = self.begin(number);
    }

    fn win(&self, number: u32) {
        let (jobs, alarm) = {
            let mut state = lock(&self.state);
            if state.winner.is_some() {
                return;
            }
            state.winner = Some(number);
            (std::mem::take(&mut state.jobs), state.alarm.take())
        };
        self.stop(alarm);
        for (other, job) in jobs {
            if other != number {
                job.cancel_with(CancelCause::NotNeeded);
            }
        }
    }

    fn set_alarm(self: &Arc<Self>, number: u32) {
        let Some(registry) = self.group.registry().filter(|_| number < self.copies) else {
            return;
        };
        let board = Board::of(&registry);
        // None: never.
        let Some(at) = board.now().checked_add(self.delay) else { return };
        let race: Weak<Self> = Arc::downgrade(self);
        let ring = move || {
            if let Some(race) = race.upgrade() {
                race.go_on(Some(number));
            }
        };
        let key = board.timer().insert(at, ring);
        let old = {
            let mut state = lock(&self.state);
            // It has won meanwhile, or the next has begun.
            let is_over = state.winner.is_some() || state.num_begun != number;
            if is_over { Some(key) } else { state.alarm.replace(key) }
        };
        self.stop(old);
    }

    fn stop(&self, alarm: Option<TimerKey>) {
        if let (Some(key), Some(registry)) = (alarm, self.group.registry()) {
            Board::of(&registry).timer().cancel(key);
        }
    }
}

/// A copy that has not succeeded yet.
struct Failing<'a, T, E, F>(&'a Arc<Race<T, E, F>>)
where
    T: Send + 'static,
    E: Into<BoxError> + 'static,
    F: Fn(&JobCx) -> Result<T, E> + Send + Sync + 'static;

impl<T, E, F> Drop for Failing<'_, T, E, F>
where
    T: Send + 'static,
    E: Into<BoxError> + 'static,
    F: Fn(&JobCx) -> Result<T, E> + Send + Sync + 'static,
{
    fn drop(&mut self) {
        self.0.go_on(None);
    }
}

/// A job of which there may be several copies: see [`Pool::hedge`]. It can be awaited. Dropping it
/// cancels them all.
#[must_use = "dropping it cancels the job"]
pub struct Hedged<T: Send + 'static> {
    // In this order: it leaves the group first.
    join: GroupJoin<T, FirstOk<T>>,
    group: Group<T>,
}

impl<T: Send + 'static> Hedged<T> {
    /// Waits for the first copy that succeeds.
    ///
    /// # Errors
    /// If no copy has.
    ///
    /// # Blocking
    /// As [`GroupHandle::wait`]: a worker runs what is queued meanwhile.
    pub fn wait(self) -> Result<T, GroupError> {
        self.group.wait(Join::first_ok()).map_err(GroupError::in_order)
    }

    /// How many copies have been submitted.
    pub fn num_copies(&self) -> u64 {
        self.group.statistics().total
    }

    /// Whether all copies have ended: there is a result, and what was not needed is no longer at work.
    pub fn is_finished(&self) -> bool {
        let statistics = self.group.statistics();
        statistics.finished() == statistics.total
    }

    /// Cancels all copies.
    pub fn cancel(&self) {
        self.group.cancel();
    }
}

impl<T: Send + 'static> Future for Hedged<T> {
    type Output = Result<T, GroupError>;

    /// # Panics
    /// If it was ready before.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.join).poll(cx).map_err(GroupError::in_order)
    }
}

impl<T: Send + 'static> fmt::Debug for Hedged<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hedged").field(&*self.group).finish()
    }
}
