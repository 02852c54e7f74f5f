//! What is said of a schedule, and its start.

use super::core::{Body, Core, Listener, Parts, RunError, ScheduledRun, moment_of};
use super::error::{ScheduleError, StartError};
use super::event::ScheduleEvent;
use super::handle::ScheduleHandle;
use super::plan::Plan;
use super::rules::{Misfire, OnError, Overlap, Past, Rules};
use crate::engine::registry::Registry;
use crate::engine::sync::{Ordering, fence};
use crate::job::Board;
use crate::pool::Pool;
use crate::time::after;
use crate::time::trigger::{Every, Once, Trigger};
use crate::time::when::{Moment, When};
use crate::{CancelToken, JobOptions, Priority};
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

/// How many events are kept if nothing else is said.
const KEPT_EVENTS: usize = 256;

impl Pool {
    /// Names a schedule: jobs of this pool that are run at times. When, and by which rules, is said
    /// before it is started; [`guide::schedules`](crate::guide::schedules) tells of all of that, and
    /// of the defaults.
    ///
    /// A due run is a job like another, with the schedule's name, its
    /// [priority](ScheduleBuilder::priority) and its other [options](ScheduleBuilder::options). A
    /// schedule does not keep its pool alive: it ends with it. It goes on when its handle is
    /// dropped.
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use std::time::Duration;
    /// use windlass::{ManualClock, Pool};
    ///
    /// let clock = ManualClock::new();
    /// let pool = Pool::builder().workers(1).clock(clock.clone()).build()?;
    /// let count = Arc::new(AtomicU32::new(0));
    /// let counter = Arc::clone(&count);
    /// let gc = pool.schedule("gc").every(Duration::from_secs(60)).start(move || {
    ///     counter.fetch_add(1, Ordering::Relaxed);
    /// });
    /// let gc = gc.unwrap();
    /// clock.advance_until_idle(&pool, Duration::from_secs(3_600));
    /// assert_eq!(count.load(Ordering::Relaxed), 60);
    /// gc.cancel();
    /// # }
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn schedule(&self, name: impl Into<Cow<'static, str>>) -> ScheduleBuilder<'_> {
        ScheduleBuilder {
            registry: self.registry(),
            name: name.into(),
            rule: Rule::None,
            #[cfg(feature = "calendar")]
            zone: None,
            rules: Rules { jitter_seed: RandomState::new().hash_one("jitter"), ..Rules::default() },
            start: None,
            is_immediate: false,
            past: Past::default(),
            options: JobOptions::default(),
            token: None,
            on_event: None,
            kept_events: KEPT_EVENTS,
        }
    }

    /// The schedules of this pool whose series go on, in no particular order.
    pub fn schedules(&self) -> Vec<ScheduleHandle> {
        let all = Board::of(self.registry()).schedules.all();
        all.into_iter().map(ScheduleHandle::new).collect()
    }
}

/// When it is due.
enum Rule {
    None,
    After(Duration),
    At(When),
    Custom(Box<dyn Trigger>),
    ZeroInterval,
    #[cfg(feature = "calendar")]
    Cron(String),
}

/// A schedule that is about to be started. See [`Pool::schedule`].
#[must_use = "a schedule runs only when it is started"]
pub struct ScheduleBuilder<'a> {
    registry: &'a Registry,
    name: Cow<'static, str>,
    rule: Rule,
    #[cfg(feature = "calendar")]
    zone: Option<String>,
    rules: Rules,
    start: Option<When>,
    is_immediate: bool,
    past: Past,
    options: JobOptions,
    token: Option<CancelToken>,
    on_event: Option<Listener>,
    kept_events: usize,
}

/// When. The last of these that is called counts.
impl ScheduleBuilder<'_> {
    /// Once, so long after the start. A time that the clock cannot express never comes.
    pub fn after(mut self, delay: Duration) -> Self {
        self.rule = Rule::After(delay);
        self
    }

    /// Once, at that time: an [`Instant`](std::time::Instant), or a
    /// [`SystemTime`](std::time::SystemTime) by the wall clock. What if that is past, [`past`]
    /// says.
    ///
    /// [`past`]: Self::past
    pub fn at(mut self, when: impl Into<When>) -> Self {
        self.rule = Rule::At(when.into());
        self
    }

    /// At a fixed rate: one, two, three.. intervals after the start, however late runs begin and
    /// however long they take. Nothing drifts.
    pub fn every(mut self, interval: Duration) -> Self {
        self.rule = match interval.is_zero() {
            true => Rule::ZeroInterval,
            false => Rule::Custom(Box::new(Every::rate(interval))),
        };
        self
    }

    /// With a fixed delay between the end of a run and the next; the first run is so long after the
    /// start.
    pub fn fixed_delay(mut self, delay: Duration) -> Self {
        self.rule = match delay.is_zero() {
            true => Rule::ZeroInterval,
            false => Rule::Custom(Box::new(Every::delay(delay))),
        };
        self
    }

    /// Whenever the trigger says.
    pub fn trigger(mut self, trigger: impl Trigger) -> Self {
        self.rule = Rule::Custom(Box::new(trigger));
        self
    }

    /// By a cron expression, in the time zone that [`zone`](Self::zone) names, else in UTC. See
    /// [`Cron`](super::Cron).
    #[cfg(feature = "calendar")]
    pub fn cron(mut self, expression: impl Into<String>) -> Self {
        self.rule = Rule::Cron(expression.into());
        self
    }

    /// The time zone of [`cron`](Self::cron), by its name in the time zone database, such as
    /// `Europe/Berlin`; `local` is that of the system.
    #[cfg(feature = "calendar")]
    pub fn zone(mut self, name: impl Into<String>) -> Self {
        self.zone = Some(name.into());
        self
    }

    /// The series begins then: a fixed rate is counted from that time, which is its first one.
    /// Without this, it begins when it is started, and the first run comes after that. What would
    /// have been due before it is started is nobody's.
    pub fn starting(mut self, when: impl Into<When>) -> Self {
        self.start = Some(when.into());
        self
    }

    /// Nothing is due after that time.
    pub fn until(mut self, when: impl Into<When>) -> Self {
        self.rules.until = Some(when.into());
        self
    }

    /// So many runs are made at most, [asked for](ScheduleHandle::trigger_now) ones included, and
    /// skipped ones not.
    pub fn max_runs(mut self, count: u64) -> Self {
        self.rules.max_runs = count;
        self
    }

    /// The first run is made at the start, the others as without this.
    pub fn immediately(mut self) -> Self {
        self.is_immediate = true;
        self
    }

    /// What if the time of [`at`](Self::at) is past. The default is an error.
    pub fn past(mut self, past: Past) -> Self {
        self.past = past;
        self
    }

    /// Each run is made up to so much later than it is due, at random, and always before the next
    /// one is due. What is due is not changed by that.
    pub fn jitter(mut self, most: Duration) -> Self {
        self.rules.jitter = most;
        self
    }

    /// Makes the jitter the same each time. By default it is another one in each process.
    pub fn jitter_seed(mut self, seed: u64) -> Self {
        self.rules.jitter_seed = seed;
        self
    }
}

/// How.
impl ScheduleBuilder<'_> {
    /// What becomes of a run that is due while the one before has not ended. The default is that it
    /// is skipped.
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.rules.overlap = overlap;
        self
    }

    /// What becomes of runs that were missed. The default is one late run for all of them.
    pub fn misfire(mut self, misfire: Misfire) -> Self {
        self.rules.misfire = misfire;
        self
    }

    /// A run that is noticed later than this after it was due is not made. By default there is no
    /// such limit, but with [`Misfire::Skip`], where it is a second.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.rules.grace = Some(grace);
        self
    }

    /// What a failed run means for the series: one whose closure returns an error or panics, or that
    /// takes too long. The default is nothing.
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.rules.on_error = on_error;
        self
    }

    /// The options of each run, which is a job. Their limits in time are counted from when the run
    /// is made.
    pub fn options(mut self, options: &JobOptions) -> Self {
        self.options = options.clone();
        self
    }

    /// The level of the runs.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.options = self.options.priority(priority);
        self
    }

    /// Ends the series when the token is cancelled, and cancels its runs.
    pub fn cancel_token(mut self, token: &CancelToken) -> Self {
        self.token = Some(token.clone());
        self
    }

    /// Calls `f` with what happens, on the thread where that is noticed: a worker, the timer, or
    /// whoever uses the handle. It may use the handle and the pool; it should be quick, because a
    /// slow one holds up the timer. If it panics, nobody else notices.
    ///
    /// Events of one schedule that are noticed by several threads at once may come in another order
    /// than that in which [`take_events`](ScheduleHandle::take_events) tells them.
    pub fn on_event(mut self, f: impl Fn(&ScheduleEvent) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Box::new(f));
        self
    }

    /// How many events are kept for [`take_events`](ScheduleHandle::take_events). The default is
    /// 256; older ones are dropped, and counted.
    pub fn keep_events(mut self, count: usize) -> Self {
        self.kept_events = count;
        self
    }

    /// Starts the series. `f` is called for each run.
    ///
    /// # Errors
    /// If nothing can ever be due by what was said, or the pool has begun to shut down. Gives `f`
    /// back.
    ///
    /// # Panics
    /// If the system has no thread for the pool's timer.
    pub fn start<F>(self, f: F) -> Result<ScheduleHandle, StartError<F>>
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.launch(f, |f, _| {
            f();
            Ok(())
        })
    }

    /// As [`start`](Self::start), with a closure that sees its run.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_with<F>(self, f: F) -> Result<ScheduleHandle, StartError<F>>
    where
        F: Fn(&ScheduledRun<'_>) + Send + Sync + 'static,
    {
        self.launch(f, |f, run| {
            f(run);
            Ok(())
        })
    }

    /// As [`start_with`](Self::start_with), with a closure that may fail: an error is told as the
    /// run's [outcome](super::RunOutcome), and [`on_error`](Self::on_error) says what else follows.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Panics
    /// As [`start`](Self::start).
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use std::time::Duration;
    /// use windlass::schedule::{OnError, ScheduleState};
    /// use windlass::{ManualClock, Pool};
    ///
    /// let clock = ManualClock::new();
    /// let pool = Pool::builder().workers(1).clock(clock.clone()).build()?;
    /// let sync = pool.schedule("sync").every(Duration::from_secs(60)).on_error(OnError::Pause);
    /// let sync = sync.start_fallible(|run| match run.number() {
    ///     3 => Err("no connection"),
    ///     _ => Ok(()),
    /// });
    /// let sync = sync.unwrap();
    /// clock.advance_until_idle(&pool, Duration::from_secs(3_600));
    /// assert_eq!(sync.state(), ScheduleState::Paused);
    /// assert_eq!(sync.last_outcome().unwrap().to_string(), "failed: no connection");
    /// # }
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn start_fallible<F, E>(self, f: F) -> Result<ScheduleHandle, StartError<F>>
    where
        F: Fn(&ScheduledRun<'_>) -> Result<(), E> + Send + Sync + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.launch(f, |f, run| f(run).map_err(|error| RunError::from(error.into())))
    }

    fn launch<F, C>(self, f: F, call: C) -> Result<ScheduleHandle, StartError<F>>
    where
        F: Send + Sync + 'static,
        C: Fn(&F, &ScheduledRun<'_>) -> Result<(), RunError> + Send + Sync + 'static,
    {
        let registry = self.registry;
        registry.check_not_forked();
        let now = moment_of(registry);
        let board = Board::of(registry);
        let prepared =
            if board.is_open() { self.prepare(now) } else { Err(ScheduleError::ShuttingDown) };
        let (parts, is_immediate) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Err(StartError { error, closure: f }),
        };
        let f = Arc::new(f);
        let held = Arc::clone(&f);
        let body: Body = Arc::new(move |run: &ScheduledRun<'_>| call(&held, run));
        let core = Core::new(registry, parts, body);
        board.schedules.add(&core);
        // Pairs with the fence in `Board::advance`: either the end of the pool sees the schedule in
        // the list, or we see that it has begun.
        fence(Ordering::SeqCst);
        if !board.is_open() {
            core.act(|plan, now| plan.end(super::EndReason::Shutdown, now));
            if let Ok(closure) = Arc::try_unwrap(f) {
                return Err(StartError { error: ScheduleError::ShuttingDown, closure });
            }
        }
        core.obey_token();
        core.act(|plan, now| plan.begin(is_immediate, now));
        Ok(ScheduleHandle::new(core))
    }

    /// The parts of a schedule, and whether it runs at once.
    fn prepare(self, now: Moment) -> Result<(Parts, bool), ScheduleError> {
        let mut is_immediate = self.is_immediate;
        let trigger: Box<dyn Trigger> = match self.rule {
            Rule::None => return Err(ScheduleError::NoTrigger),
            Rule::ZeroInterval => return Err(ScheduleError::ZeroInterval),
            Rule::After(delay) if delay.is_zero() => {
                is_immediate = true;
                Box::new(Once::at(now.at))
            }
            Rule::After(delay) => Box::new(Once::at(after(now.at, delay))),
            Rule::At(when) if now.is_at(when) => {
                let by = now.since(when);
                if self.past == Past::Error && !by.is_zero() {
                    return Err(ScheduleError::InPast { by });
                }
                is_immediate = true;
                Box::new(Once::at(when))
            }
            Rule::At(when) => Box::new(Once::at(when)),
            Rule::Custom(trigger) => trigger,
            #[cfg(feature = "calendar")]
            Rule::Cron(expression) => {
                let zone = self.zone.as_deref().unwrap_or("UTC");
                let cron = super::Cron::in_zone(&expression, zone);
                Box::new(cron.map_err(ScheduleError::Calendar)?)
            }
        };
        let is_past = self.rules.until.is_some_and(|until| now.is_at(until));
        let plan = Plan::new(trigger, self.rules, self.kept_events, now, self.start);
        if plan.preview(1, now).is_empty() && !is_immediate || is_past {
            return Err(ScheduleError::NeverDue);
        }
        let Self { name, options, token, on_event, .. } = self;
        Ok((Parts { name, options, token, on_event, plan }, is_immediate))
    }
}

impl fmt::Debug for ScheduleBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScheduleBuilder")
            .field("name", &self.name)
            .field("rules", &self.rules)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
