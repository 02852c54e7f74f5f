//! What may be said of a job beside its closure.
#![forbid(unsafe_code)]

use super::board::{Board, Listed};
use super::cancel::CancelCallback;
use super::member::Member;
use super::raw::Raw;
use crate::Priority;
use crate::engine::sync::{AtomicBool, AtomicU64, Mutex, Ordering, lock};
use crate::policy::admission::Ticket;
use crate::time::TimerKey;
use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Options of jobs, as data: to be kept, read from a file (feature `serde`), and used again.
///
/// The limits in time are counted from the submission, but for `run_timeout`. What is not said is
/// not limited.
///
/// ```
/// use std::time::{Duration, Instant};
/// use windlass::{JobOptions, Pool, Priority};
///
/// let thumbnails = JobOptions::default()
///     .priority(Priority::Background)
///     .start_within(Duration::from_secs(60));
/// let pool = Pool::new(1)?;
/// let handle = pool.job("thumbnail").options(&thumbnails).submit(|| 1);
/// assert_eq!(handle.wait().unwrap(), 1);
/// # Ok::<(), windlass::BuildError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[must_use]
pub struct JobOptions {
    pub(super) priority: Priority,
    pub(super) start_within: Option<Duration>,
    pub(super) run_timeout: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) kind: Option<Cow<'static, str>>,
    pub(super) weight: Option<u64>,
}

impl JobOptions {
    /// Which jobs come first.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// If the job has not started so long after it was submitted, it never does: it ends as
    /// [`TimedOut`](crate::JobError::TimedOut).
    pub fn start_within(mut self, limit: Duration) -> Self {
        self.start_within = Some(limit);
        self
    }

    /// If the job runs so long, its handle is told that it has [timed
    /// out](crate::JobError::TimedOut), and its token is cancelled. The closure is not killed: it
    /// keeps its worker until it returns, and what it returns is dropped.
    pub fn run_timeout(mut self, limit: Duration) -> Self {
        self.run_timeout = Some(limit);
        self
    }

    /// As [`start_within`](Self::start_within) and [`run_timeout`](Self::run_timeout) together:
    /// from the submission to the end.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// What kind of job it is: some name, by which jobs have [limits](crate::QueueLimits::kind) in
    /// common.
    pub fn kind(mut self, kind: impl Into<Cow<'static, str>>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// How much it counts towards the [weight](crate::Bound::weight) of all jobs, in whatever unit
    /// the pool's bound is. A job of which nothing is said weighs 1.
    pub fn weight(mut self, weight: u64) -> Self {
        self.weight = Some(weight);
        self
    }
}

/// What a job with options has beside its closure.
#[derive(Default)]
pub(crate) struct Extra {
    /// Empty: none.
    pub(super) name: Cow<'static, str>,
    /// What it is in its group.
    pub(super) member: Option<Arc<dyn Member>>,
    /// In a box, as few jobs have any of it, and many may wait.
    rare: Option<Box<Rare>>,
    /// What it counts for where jobs are limited: its kind, its level; its weight is rare.
    kind: Option<u16>,
    level: u8,
    /// When it could start, in ticks; 0: when it was submitted.
    pub(super) ready: AtomicU64,
    /// What will end it if nothing else does.
    limits: Mutex<Limits>,
}

/// What is known of a job before it is made, and does not change.
#[derive(Default)]
struct Rare {
    extensions: Extensions,
    run_timeout: Option<Duration>,
    deadline: Option<Instant>,
    /// None: 1.
    weight: Option<u64>,
    /// Whether its kind has a time before which it must not begin.
    is_paced: AtomicBool,
}

#[derive(Default)]
struct Limits {
    watched: Option<Box<Watched>>,
    /// Where it is listed while it waits at a gate: a [`Listed`], without its padding.
    key: u32,
    shard: u16,
    /// Set when the job ends: what comes later is taken down at once.
    is_over: bool,
}

#[derive(Default)]
struct Watched {
    timers: Vec<TimerKey>,
    callback: Option<CancelCallback>,
}

impl Limits {
    fn take_listed(&mut self) -> Listed {
        Listed { key: self.key, shard: std::mem::take(&mut self.shard) }
    }
}

impl Extra {
    pub(super) fn named(name: Cow<'static, str>) -> Self {
        Extra { name, ..Extra::default() }
    }

    /// What it counts for where jobs are limited.
    pub(super) fn ticket(&self) -> Ticket {
        let weight = self.rare.as_ref().and_then(|rare| rare.weight);
        Ticket { weight: weight.unwrap_or(1), level: self.level, kind: self.kind }
    }

    pub(super) fn set_ticket(&mut self, ticket: Ticket) {
        (self.level, self.kind) = (ticket.level, ticket.kind);
        if ticket.weight != 1 {
            self.rare_mut().weight = Some(ticket.weight);
        }
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// The last one of a type stays.
    pub(super) fn set_extension<T: Any + Send + Sync>(&mut self, value: T) {
        self.rare_mut().extensions.set(value);
    }

    pub(super) fn extension<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.rare.as_ref()?.extensions.get()
    }

    /// How long it may run, and by when it must have ended, by its own limits.
    pub(super) fn set_limits(&mut self, run: Option<Duration>, deadline: Option<Instant>) {
        if run.is_some() || deadline.is_some() {
            let rare = self.rare_mut();
            (rare.run_timeout, rare.deadline) = (run, deadline);
        }
    }

    pub(super) fn set_paced(&mut self) {
        self.rare_mut().is_paced = AtomicBool::new(true);
    }

    /// Whether it is paced; it is not any more, then. Asked by whoever has its gate.
    pub(super) fn take_paced(&self) -> bool {
        // Relaxed: whoever has the gate does this.
        self.rare.as_ref().is_some_and(|rare| rare.is_paced.swap(false, Ordering::Relaxed))
    }

    pub(super) fn run_timeout(&self) -> Option<Duration> {
        self.rare.as_ref()?.run_timeout
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.rare.as_ref()?.deadline
    }

    /// Notes a timer. `false`: the job has ended, and the caller cancels the timer.
    pub(super) fn add_timer(&self, key: TimerKey) -> bool {
        let mut limits = lock(&self.limits);
        if !limits.is_over {
            limits.watched.get_or_insert_default().timers.push(key);
        }
        !limits.is_over
    }

    /// Has the job listed while it waits. `false`: it has ended.
    pub(super) fn list_waiting(&self, board: &Board, job: Raw) -> bool {
        let listed = board.list_waiting(job);
        let mut limits = lock(&self.limits);
        if limits.is_over {
            drop(limits);
            board.unlist_waiting(listed);
            return false;
        }
        (limits.key, limits.shard) = (listed.key, listed.shard);
        true
    }

    /// The job waits no more.
    pub(super) fn unlist_waiting(&self, board: &Board) {
        let listed = lock(&self.limits).take_listed();
        board.unlist_waiting(listed);
    }

    /// Notes what listens to the job's token.
    pub(super) fn set_callback(&self, callback: CancelCallback) {
        let mut limits = lock(&self.limits);
        if !limits.is_over {
            limits.watched.get_or_insert_default().callback = Some(callback);
        }
    }

    /// The job ends: takes all of that down.
    pub(super) fn forget_limits(&self, board: &Board) {
        let (watched, listed) = {
            let mut limits = lock(&self.limits);
            limits.is_over = true;
            (limits.watched.take(), limits.take_listed())
        };
        board.unlist_waiting(listed);
        let Some(watched) = watched else { return };
        if let Some(timer) = board.timer.get() {
            for key in watched.timers {
                timer.cancel(key);
            }
        }
        drop(watched.callback);
    }
}

/// Values by their types.
#[derive(Clone, Default)]
pub(crate) struct Extensions(Vec<(TypeId, Arc<dyn Any + Send + Sync>)>);

impl Extensions {
    /// The last one of a type stays.
    pub(super) fn set<T: Any + Send + Sync>(&mut self, value: T) {
        let id = TypeId::of::<T>();
        self.0.retain(|(known, _)| *known != id);
        self.0.push((id, Arc::new(value)));
    }

    pub(super) fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let (_, value) = self.0.iter().find(|(known, _)| *known == TypeId::of::<T>())?;
        Arc::clone(value).downcast().ok()
    }
}
