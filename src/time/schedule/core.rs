//! What carries a plan out: arms the timer, submits the runs, hears of their ends.
//!
//! K1. The plan is changed under `state`, which no code of the user's runs under but that of its
//!     trigger. What the plan wants done is done when the lock is released: runs are submitted and
//!     cancelled, events are told. The timer is armed under the lock, so that it is armed for the
//!     last change.
//! K2. The pool's list owns the schedule while the series goes on, a run of it meanwhile, and handles.
//!     The timer does not, and nothing of a schedule owns the pool.
//! K3. When the series has ended and nothing of it is in flight, its closure is dropped.

use super::event::{EndReason, RunOutcome, ScheduleEvent};
use super::follow::Follower;
use super::plan::{Effects, Order, Plan, ScheduleState};
use crate::bridge::Untold;
use crate::engine::registry::Registry;
use crate::engine::sync::{Mutex, MutexGuard, lock};
use crate::engine::unwind::{catch, drop_quietly};
use crate::job::{Board, CancelCallback, CancelToken, JobBuilder, JobCx, JobError, JobRef};
use crate::time::timer::WatchWall;
use crate::time::when::{Moment, When};
use crate::time::{RealClock, TimerKey};
use crate::{JobOptions, SubmitError};
use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The error of a run.
pub(super) type RunError = Arc<dyn Error + Send + Sync>;

/// What is run.
pub(super) type Body = Arc<dyn Fn(&ScheduledRun<'_>) -> Result<(), RunError> + Send + Sync>;

/// Who is told of events.
pub(super) type Listener = Box<dyn Fn(&ScheduleEvent) + Send + Sync>;

/// On systems that do not tell when the wall clock is set, who waits for a time of the day looks
/// again after so long.
const RECHECK: Duration = Duration::from_secs(3_600);

/// See the module.
pub(super) struct Core {
    pub(super) name: Cow<'static, str>,
    registry: Weak<Registry>,
    options: JobOptions,
    token: Option<CancelToken>,
    on_event: Option<Listener>,
    state: Mutex<State>,
}

struct State {
    plan: Plan,
    /// None at the end (K3).
    body: Option<Body>,
    /// What waits for the token to be cancelled.
    on_cancel: Option<CancelCallback>,
    timer: Option<TimerKey>,
    /// What that is set for.
    aim: Option<When>,
    /// Counts the timers, so that one which fires late is not taken for the present one.
    armed: u64,
    /// Who follows it, until it is over (K3).
    followers: Vec<Arc<Follower>>,
    /// Runs in flight.
    jobs: HashMap<u64, JobRef>,
    /// Runs up to this number have been asked to stop.
    cancelled: u64,
    last_run: u64,
}

/// What a schedule is made of.
pub(super) struct Parts {
    pub(super) name: Cow<'static, str>,
    pub(super) options: JobOptions,
    pub(super) token: Option<CancelToken>,
    pub(super) on_event: Option<Listener>,
    pub(super) plan: Plan,
}

/// What `clock` shows, or the real one.
pub(super) fn moment_of(registry: &Registry) -> Moment {
    Board::of(registry).clock().map_or_else(|| Moment::of(&RealClock), |clock| Moment::of(&**clock))
}

impl Core {
    pub(super) fn new(registry: &Registry, parts: Parts, body: Body) -> Arc<Core> {
        let Parts { name, options, token, on_event, plan } = parts;
        let state = State {
            plan,
            body: Some(body),
            on_cancel: None,
            timer: None,
            aim: None,
            armed: 0,
            followers: Vec::new(),
            jobs: HashMap::new(),
            cancelled: 0,
            last_run: 0,
        };
        let registry = registry.to_weak();
        Arc::new(Core { name, registry, options, token, on_event, state: Mutex::new(state) })
    }

    /// Has the series end when its token is cancelled.
    pub(super) fn obey_token(self: &Arc<Self>) {
        if let Some(token) = &self.token {
            let core = Arc::downgrade(self);
            let callback = token.on_cancel(move |_| {
                if let Some(core) = core.upgrade() {
                    core.act(|plan, now| plan.end(EndReason::Cancelled, now));
                }
            });
            let mut state = lock(&self.state);
            if state.body.is_some() {
                state.on_cancel = Some(callback);
            }
        }
    }

    pub(super) fn look_at<R>(&self, f: impl FnOnce(&mut Plan) -> R) -> R {
        f(&mut lock(&self.state).plan)
    }

    /// Has somebody follow it. `false`: it is over.
    pub(super) fn follow(&self, follower: &Arc<Follower>) -> bool {
        let mut state = lock(&self.state);
        let goes_on = state.body.is_some();
        if goes_on {
            state.followers.push(Arc::clone(follower));
        }
        goes_on
    }

    /// What the pool's clock shows, if there is a pool.
    pub(super) fn now(&self) -> Option<Moment> {
        self.registry.upgrade().map(|registry| moment_of(&registry))
    }

    /// Changes the plan, and does what it wants. `None`: the pool is gone, and the series with it.
    pub(super) fn act<R>(self: &Arc<Self>, f: impl FnOnce(&mut Plan, Moment) -> R) -> Option<R> {
        self.act_on(|state, now| f(&mut state.plan, now))
    }

    fn act_on<R>(self: &Arc<Self>, f: impl FnOnce(&mut State, Moment) -> R) -> Option<R> {
        // Dropped when the lock is released.
        let registry = self.registry.upgrade()?;
        let now = moment_of(&registry);
        let mut state = lock(&self.state);
        let result = f(&mut state, now);
        let effects = state.plan.take_effects();
        self.arm(&mut state, &registry, now);
        self.carry_out(state, &registry, effects);
        Some(result)
    }

    /// Sets the timer for what the plan waits for.
    fn arm(self: &Arc<Self>, state: &mut State, registry: &Registry, now: Moment) {
        let aim = state.plan.aim();
        if aim == state.aim {
            return;
        }
        state.aim = aim;
        let timer = Board::of(registry).timer();
        if let Some(key) = state.timer.take() {
            timer.cancel(key);
        }
        let Some(aim) = aim else { return };
        let mut at = now.on(aim).at;
        if matches!(aim, When::Wall(_)) && !timer.tells_of_wall() {
            at = at.min(crate::time::after(now.at, RECHECK));
        }
        state.armed += 1;
        let (armed, core) = (state.armed, Arc::downgrade(self));
        state.timer = Some(timer.insert(at, move || {
            if let Some(core) = core.upgrade() {
                core.fire(armed);
            }
        }));
    }

    fn fire(self: &Arc<Self>, armed: u64) {
        self.act_on(|state, now| {
            if state.armed == armed {
                state.timer = None;
                state.aim = None;
            }
            state.plan.look(now);
        });
    }

    /// The wall clock has been set.
    fn wall_is_set(self: &Arc<Self>) {
        self.act_on(|state, now| {
            if matches!(state.aim, Some(When::Wall(_))) {
                state.aim = None;
            }
            state.plan.look(now);
        });
    }

    fn carry_out(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        registry: &Registry,
        effects: Effects,
    ) {
        let Effects { orders, cancels, events } = effects;
        let mut to_cancel = Vec::new();
        if cancels {
            state.cancelled = state.last_run;
            to_cancel.extend(state.jobs.values().cloned());
        }
        state.last_run = orders.last().map_or(state.last_run, |order| order.run);
        let body = if orders.is_empty() { None } else { state.body.clone() };
        let is_over = matches!(state.plan.state(), ScheduleState::Ended(_))
            && state.plan.stats.in_flight == 0;
        let gone = is_over.then(|| (state.body.take(), state.on_cancel.take()));
        let mut untold = Vec::new();
        // Under the lock, so that all see them in one order.
        for event in &events {
            state.followers.retain(|follower| {
                let told = follower.put(event);
                let is_there = told.is_some();
                untold.extend(told);
                is_there
            });
        }
        if is_over {
            let followers = std::mem::take(&mut state.followers);
            untold.extend(followers.iter().filter_map(|follower| follower.end()));
        }
        drop(state);
        untold.into_iter().for_each(Untold::tell);
        drop_quietly(gone);
        if is_over {
            Board::of(registry).schedules.remove(self);
        }
        for job in to_cancel {
            job.cancel();
        }
        if let Some(listener) = &self.on_event {
            for event in &events {
                if let Err(payload) = catch(|| listener(event)) {
                    drop_quietly(payload);
                }
            }
        }
        if let Some(body) = body {
            for order in orders {
                self.submit(registry, order, Arc::clone(&body));
            }
        }
    }

    fn submit(self: &Arc<Self>, registry: &Registry, order: Order, body: Body) {
        let mut job = JobBuilder::new(registry, self.name.clone()).options(&self.options);
        if let Some(token) = &self.token {
            job = job.cancel_token(token);
        }
        let core = Arc::clone(self);
        let run = move |cx: &JobCx| {
            core.act(|plan, now| plan.started(&order, now));
            body(&ScheduledRun { cx, order })
        };
        let handle = match job.try_submit_with(run) {
            Ok(handle) => handle,
            Err(error) => {
                let is_ending = matches!(error, SubmitError::ShuttingDown(_));
                drop_quietly(error);
                self.act(|plan, now| plan.rejected(&order, is_ending, now));
                return;
            }
        };
        let job = handle.job_ref();
        let is_cancelled = {
            let mut state = lock(&self.state);
            state.jobs.insert(order.run, job.clone());
            order.run <= state.cancelled
        };
        let core = Arc::clone(self);
        handle.when_done(move |end| core.finish(order, end));
        if is_cancelled {
            job.cancel();
        }
    }

    fn finish(self: &Arc<Self>, order: Order, end: Result<Result<(), RunError>, JobError>) {
        let outcome = match end {
            Ok(Ok(())) => RunOutcome::Completed,
            Ok(Err(error)) => RunOutcome::Failed(error),
            Err(JobError::Panicked(panic)) => {
                let message = panic.message().map(str::to_owned);
                drop_quietly(panic);
                RunOutcome::Panicked { message }
            }
            Err(JobError::Cancelled { cause, .. }) => RunOutcome::Cancelled { cause },
            Err(JobError::TimedOut { phase }) => RunOutcome::TimedOut { phase },
            Err(_) => RunOutcome::Abandoned,
        };
        let mut gone = None;
        self.act_on(|state, now| {
            gone = state.jobs.remove(&order.run);
            state.plan.finished(order.run, outcome, now);
        });
        drop(gone);
    }

    /// Asks the runs in flight to stop; returns how many there are.
    pub(super) fn cancel_runs(&self) -> u64 {
        let (jobs, count) = {
            let mut state = lock(&self.state);
            // One that is being submitted just now is cancelled by who does that.
            state.cancelled = state.last_run;
            (state.jobs.values().cloned().collect::<Vec<_>>(), state.plan.stats.in_flight)
        };
        for job in jobs {
            job.cancel();
        }
        count
    }
}

/// A run of a schedule, seen from inside.
#[derive(Debug)]
pub struct ScheduledRun<'a> {
    cx: &'a JobCx,
    order: Order,
}

impl ScheduledRun<'_> {
    /// The job that this run is.
    pub fn cx(&self) -> &JobCx {
        self.cx
    }

    /// The number of the run, from 1.
    pub fn number(&self) -> u64 {
        self.order.run
    }

    /// When it was due, jitter not counted.
    pub fn due(&self) -> When {
        self.order.due
    }

    /// How many runs that were missed it stands for, beside itself.
    pub fn coalesced(&self) -> u64 {
        self.order.coalesced
    }
}

/// The schedules of one pool whose series go on.
#[derive(Default)]
pub(crate) struct Schedules {
    list: Mutex<HashMap<usize, Arc<Core>>>,
}

impl Schedules {
    pub(super) fn add(&self, core: &Arc<Core>) {
        lock(&self.list).insert(Arc::as_ptr(core).addr(), Arc::clone(core));
    }

    fn remove(&self, core: &Arc<Core>) {
        // Not the last reference: the caller has one.
        lock(&self.list).remove(&Arc::as_ptr(core).addr());
    }

    pub(super) fn all(&self) -> Vec<Arc<Core>> {
        lock(&self.list).values().cloned().collect()
    }

    /// The pool ends: no series goes on.
    pub(crate) fn end_all(&self) {
        for core in self.all() {
            core.act(|plan, now| plan.end(EndReason::Shutdown, now));
        }
    }
}

impl WatchWall for Schedules {
    fn wall_is_set(&self) {
        for core in self.all() {
            core.wall_is_set();
        }
    }
}
