//! A handle without a type.

use super::board::JobId;
use super::cancel::CancelCause;
use super::control::CancelOutcome;
use super::life::{Continue, Phase};
use super::outcome::JobOutcome;
use super::raw::Raw;
use super::record::{Attempt, Record};
use crate::Priority;
use crate::engine::clock;
use crate::engine::sync::Ordering;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A job, whatever its result is: for tables of jobs, and to cancel them.
///
/// It does not keep the job from running, nor its result for anybody.
///
/// ```
/// use windlass::{JobState, Pool};
///
/// let pool = Pool::new(1)?;
/// let handle = pool.job("resize").submit(|| 1);
/// let job = handle.job_ref();
/// handle.wait().unwrap();
/// assert_eq!((job.name(), job.state()), (Some("resize"), JobState::Finished));
/// # Ok::<(), windlass::BuildError>(())
/// ```
pub struct JobRef(Raw);

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JobState {
    /// It waits for something that must come before it can start.
    Waiting,
    /// It waits for a worker.
    Queued,
    /// A worker runs it.
    Running,
    /// It has ended, in whatever way.
    Finished,
}

impl JobRef {
    pub(crate) fn new(job: Raw) -> Self {
        job.header().refs.retain();
        JobRef(job)
    }

    /// Without a reference of its own: must not be dropped.
    pub(super) fn borrowed(job: Raw) -> Self {
        JobRef(job)
    }

    pub(super) fn raw(&self) -> Raw {
        self.0
    }

    /// Has `target` told when the job ends, or now if it has.
    pub(crate) fn on_end(&self, target: Arc<dyn Continue>) {
        if !self.0.header().life.attach(Arc::clone(&target)) {
            target.go_on();
        }
    }

    pub(super) fn is(&self, job: Raw) -> bool {
        self.0 == job
    }

    /// The job's number in its pool.
    pub fn id(&self) -> JobId {
        self.0.id()
    }

    /// The name that it was given.
    pub fn name(&self) -> Option<&str> {
        self.0.extra().map(|extra| &*extra.name).filter(|name| !name.is_empty())
    }

    /// Its level: its own, or that of somebody who waits for it, if that is higher.
    pub fn priority(&self) -> Priority {
        Priority::from_level(self.0.level()).expect("made of a priority")
    }

    /// Where it is.
    pub fn state(&self) -> JobState {
        match self.0.phase() {
            Phase::Waiting => JobState::Waiting,
            Phase::Queued => JobState::Queued,
            Phase::Running => JobState::Running,
            Phase::Finished => JobState::Finished,
        }
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.0.header().life.is_finished()
    }

    /// How it has ended, `None` if it has not.
    ///
    /// ```
    /// use windlass::{JobOutcome, Pool};
    ///
    /// let pool = Pool::new(1)?;
    /// let handle = pool.submit(|| 1);
    /// let job = handle.job_ref();
    /// handle.wait().unwrap();
    /// assert_eq!(job.outcome(), Some(JobOutcome::Completed));
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn outcome(&self) -> Option<JobOutcome> {
        self.0.outcome()
    }

    /// How many attempts were begun: see [`RetryHandle::attempts`](crate::RetryHandle::attempts).
    pub fn attempts(&self) -> u32 {
        match self.0.record() {
            Some(record) => record.attempts(),
            None => u32::from(self.0.header().stamps.has_started()),
        }
    }

    /// Its last attempts, the oldest first: see [`RetryHandle::history`](crate::RetryHandle::history).
    pub fn history(&self) -> Vec<Attempt> {
        self.0.record().map_or_else(Vec::new, Record::history)
    }

    /// When what happened to it.
    pub fn times(&self) -> JobTimes {
        let (stamps, begun) = (&self.0.header().stamps, self.0.common().begun);
        let ready = self.0.extra().map_or(0, |extra| extra.ready.load(Ordering::Relaxed));
        let enqueued = stamps.enqueued(begun);
        let ready = if ready == 0 { enqueued } else { ready };
        JobTimes::new(enqueued, ready, stamps.started(begun), stamps.finished(begun))
    }

    /// As [`JobHandle::cancel`](crate::JobHandle::cancel).
    pub fn cancel(&self) -> CancelOutcome {
        self.cancel_with(CancelCause::Requested)
    }

    /// As [`JobHandle::cancel_with`](crate::JobHandle::cancel_with).
    pub fn cancel_with(&self, cause: CancelCause) -> CancelOutcome {
        self.0.cancel(cause)
    }
}

impl Clone for JobRef {
    fn clone(&self) -> Self {
        JobRef::new(self.0)
    }
}

impl Drop for JobRef {
    fn drop(&mut self) {
        // SAFETY: the reference that `new` has taken.
        unsafe { self.0.release() };
    }
}

impl fmt::Debug for JobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRef")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("priority", &self.priority())
            .field("state", &self.state())
            .finish()
    }
}

/// When what happened to a job.
///
/// The times are exact to about a microsecond, or after a wait or a run of more than a minute to a fifty
/// millionth of that; durations between them to a thousandth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobTimes {
    /// It was submitted.
    pub enqueued: Instant,
    /// It could start: everything that it had to wait for was there.
    pub ready: Instant,
    /// Its closure was called. `None`: not yet, or never.
    pub started: Option<Instant>,
    /// Its closure returned or panicked, or it was ended without having started.
    pub finished: Option<Instant>,
}

impl JobTimes {
    fn new(enqueued: u64, ready: u64, started: Option<u64>, finished: Option<u64>) -> Self {
        let (now, now_ticks) = (Instant::now(), clock::ticks());
        let instant = |ticks: u64| {
            let us = now_ticks.saturating_sub(ticks) as f64 / clock::ticks_per_us() as f64;
            now.checked_sub(Duration::from_secs_f64(us / 1e6)).unwrap_or(now)
        };
        JobTimes {
            enqueued: instant(enqueued),
            ready: instant(ready),
            started: started.map(instant),
            finished: finished.map(instant),
        }
    }

    /// How long it waited for a worker. `None` if it has not started.
    pub fn queue_time(&self) -> Option<Duration> {
        Some(self.started?.saturating_duration_since(self.ready))
    }

    /// How long its closure ran. `None` if it did not, or has not returned.
    pub fn run_time(&self) -> Option<Duration> {
        Some(self.finished?.saturating_duration_since(self.started?))
    }
}
