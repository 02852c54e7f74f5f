//! How a job ends.
#![forbid(unsafe_code)]

use super::board::JobId;
use super::cancel::{CancelCause, Cancelled};
use crate::engine::sync::{Mutex, lock};
use crate::engine::unwind::Payload;
use std::error::Error;
use std::fmt;

/// Why there is no result.
///
/// Each job that was accepted ends once, in one way: with its result, or with one of these.
#[derive(Debug)]
#[non_exhaustive]
pub enum JobError {
    /// Its closure panicked. The worker goes on.
    Panicked(JobPanic),
    /// It was cancelled.
    Cancelled {
        /// Why.
        cause: CancelCause,
        /// Whether its closure had started, and may have done a part of its work.
        had_started: bool,
    },
    /// It took too long.
    TimedOut {
        /// What took too long.
        phase: TimeoutPhase,
    },
    /// It never started, because a job that it [depends on](crate::JobBuilder::after) did not
    /// complete.
    Skipped {
        /// Which one, and how that has ended.
        because: SkipCause,
    },
    /// It was never accepted: the pool had begun to shut down, or its group was closed.
    Rejected,
    /// It was never accepted: there was [no room](crate::PoolBuilder::queue) for it.
    Full,
    /// It was never accepted: its kind had come too [often](crate::Rate::or_refuse).
    RateLimited,
    /// It was accepted, and pushed out before it started, to make [room](crate::WhenFull) for
    /// another.
    Evicted,
    /// It was accepted, and the pool was shut down before it started, or while it waited to be tried
    /// again.
    Abandoned,
}

/// How a job has ended, without what it leaves behind: see [`JobError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum JobOutcome {
    /// Its closure returned.
    Completed,
    /// Its closure panicked.
    Panicked,
    /// It was cancelled, before or after it started.
    Cancelled,
    /// It took too long.
    TimedOut,
    /// It never started, because something that it depends on did not complete.
    Skipped,
    /// It was accepted, and the pool was shut down before it started, or while it waited to be tried
    /// again.
    Abandoned,
    /// It was accepted, and pushed out before it started, to make room for another.
    Evicted,
    /// Its closure returned an `Err`, and is not tried again
    /// ([`submit_fallible`](crate::JobBuilder::submit_fallible)).
    Failed,
}

impl JobOutcome {
    const ALL: [JobOutcome; 8] = [
        JobOutcome::Completed,
        JobOutcome::Panicked,
        JobOutcome::Cancelled,
        JobOutcome::TimedOut,
        JobOutcome::Skipped,
        JobOutcome::Abandoned,
        JobOutcome::Evicted,
        JobOutcome::Failed,
    ];

    /// From a byte; `None`: the job has not ended.
    pub(crate) fn from_byte(byte: u8) -> Option<JobOutcome> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}

impl fmt::Display for JobOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JobOutcome::Completed => "completed",
            JobOutcome::Panicked => "panicked",
            JobOutcome::Cancelled => "was cancelled",
            JobOutcome::TimedOut => "timed out",
            JobOutcome::Skipped => "was skipped",
            JobOutcome::Abandoned => "was abandoned",
            JobOutcome::Evicted => "was pushed out of the queue",
            JobOutcome::Failed => "failed",
        })
    }
}

/// Why a job was skipped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SkipCause {
    /// The job that it depends on.
    pub id: JobId,
    /// The name of that, if it has one.
    pub name: Option<String>,
    /// How that has ended.
    pub outcome: JobOutcome,
}

impl fmt::Display for SkipCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "job {} ({name}) {}", self.id, self.outcome),
            None => write!(f, "job {} {}", self.id, self.outcome),
        }
    }
}

/// Which time of a job was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeoutPhase {
    /// It had not started in time ([`JobOptions::start_within`](crate::JobOptions::start_within)).
    Queued,
    /// It ran too long ([`JobOptions::run_timeout`](crate::JobOptions::run_timeout)).
    Running,
    /// It had not finished in time, queued or running
    /// ([`JobOptions::timeout`](crate::JobOptions::timeout)).
    Total,
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobError::Panicked(panic) => panic.fmt(f),
            JobError::Cancelled { cause, had_started } => {
                let when = if *had_started { "while it ran" } else { "before it started" };
                write!(f, "the job was cancelled {when}: {cause}")
            }
            JobError::TimedOut { phase } => f.write_str(match phase {
                TimeoutPhase::Queued => "the job did not start in time",
                TimeoutPhase::Running => "the job ran too long",
                TimeoutPhase::Total => "the job did not finish in time",
            }),
            JobError::Skipped { because } => write!(f, "the job was skipped: {because}"),
            JobError::Rejected => {
                f.write_str("the job was not accepted: its pool shuts down, or its group is closed")
            }
            JobError::Full => f.write_str("the job was not accepted: the queue is full"),
            JobError::RateLimited => f.write_str("the job was not accepted: it came too early"),
            JobError::Evicted => f.write_str("the job was pushed out of the queue"),
            JobError::Abandoned => f.write_str("the pool was shut down before the job could run"),
        }
    }
}

impl Error for JobError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            JobError::Panicked(panic) => Some(panic),
            _ => None,
        }
    }
}

impl JobError {
    pub(crate) fn cancelled(cancelled: &Cancelled, had_started: bool) -> Self {
        JobError::Cancelled { cause: cancelled.cause().clone(), had_started }
    }
}

/// What a job's closure threw, as a value and as an error.
///
/// ```
/// use windlass::{JobError, Pool};
///
/// let pool = Pool::new(1)?;
/// match pool.submit(|| -> u32 { panic!("out of cheese") }).wait() {
///     Err(JobError::Panicked(panic)) => {
///         assert_eq!(panic.message(), Some("out of cheese"));
///         assert!(panic.location().is_some());
///     }
///     other => unreachable!("{other:?}"),
/// }
/// # Ok::<(), windlass::BuildError>(())
/// ```
pub struct JobPanic(Box<Parts>);

struct Parts {
    /// In a lock, which is never waited for, because a payload need not be `Sync`.
    payload: Mutex<Payload>,
    message: Option<String>,
    location: Option<PanicLocation>,
}

impl JobPanic {
    pub(crate) fn new(payload: Payload, location: Option<PanicLocation>) -> Self {
        let message = match payload.downcast_ref::<&str>() {
            Some(text) => Some((*text).to_owned()),
            None => payload.downcast_ref::<String>().cloned(),
        };
        JobPanic(Box::new(Parts { payload: Mutex::new(payload), message, location }))
    }

    /// The panic's message, `None` if something else than a text was thrown.
    pub fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// Where it was thrown, in whichever thread that was. `None` if it was thrown without the panic
    /// hook ([`resume_unwind`](std::panic::resume_unwind)), or if the program has set a hook of its
    /// own after the first job was submitted and that does not call the one before.
    pub fn location(&self) -> Option<&PanicLocation> {
        self.0.location.as_ref()
    }

    /// What was thrown, to be thrown on by [`resume_unwind`](std::panic::resume_unwind).
    pub fn into_payload(self) -> Box<dyn std::any::Any + Send + 'static> {
        self.0.payload.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl fmt::Debug for JobPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        drop(lock(&self.0.payload));
        f.debug_struct("JobPanic")
            .field("message", &self.0.message)
            .field("location", &self.0.location)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for JobPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the job panicked")?;
        if let Some(location) = &self.0.location {
            write!(f, " at {location}")?;
        }
        match &self.0.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

impl Error for JobPanic {}

/// A place in the source code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PanicLocation {
    file: String,
    line: u32,
    column: u32,
}

impl PanicLocation {
    pub(crate) fn new(location: &std::panic::Location<'_>) -> Self {
        let file = location.file().to_owned();
        PanicLocation { file, line: location.line(), column: location.column() }
    }

    /// The source file, as the compiler names it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, from 1.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The column, from 1.
    pub fn column(&self) -> u32 {
        self.column
    }
}

impl fmt::Display for PanicLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why a job was not accepted. The closure comes back.
#[non_exhaustive]
pub enum SubmitError<F> {
    /// The pool has begun to shut down.
    ShuttingDown(F),
    /// There is [no room](crate::PoolBuilder::queue) for it.
    Full(F),
    /// Its kind has come too [often](crate::Rate::or_refuse).
    RateLimited(F),
    /// The group that the job was to be in is closed.
    GroupClosed(F),
}

impl<F> SubmitError<F> {
    /// The closure that was to be run.
    pub fn into_inner(self) -> F {
        match self {
            SubmitError::ShuttingDown(f)
            | SubmitError::Full(f)
            | SubmitError::RateLimited(f)
            | SubmitError::GroupClosed(f) => f,
        }
    }

    pub(crate) fn map<G>(self, f: impl FnOnce(F) -> G) -> SubmitError<G> {
        match self {
            SubmitError::ShuttingDown(inner) => SubmitError::ShuttingDown(f(inner)),
            SubmitError::Full(inner) => SubmitError::Full(f(inner)),
            SubmitError::RateLimited(inner) => SubmitError::RateLimited(f(inner)),
            SubmitError::GroupClosed(inner) => SubmitError::GroupClosed(f(inner)),
        }
    }

    /// The end of a job that has a handle all the same.
    pub(crate) fn as_end(&self) -> JobError {
        match self {
            SubmitError::ShuttingDown(_) | SubmitError::GroupClosed(_) => JobError::Rejected,
            SubmitError::Full(_) => JobError::Full,
            SubmitError::RateLimited(_) => JobError::RateLimited,
        }
    }
}

impl<F> fmt::Debug for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            SubmitError::ShuttingDown(_) => "ShuttingDown",
            SubmitError::Full(_) => "Full",
            SubmitError::RateLimited(_) => "RateLimited",
            SubmitError::GroupClosed(_) => "GroupClosed",
        };
        f.debug_tuple(name).finish_non_exhaustive()
    }
}

impl<F> fmt::Display for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SubmitError::ShuttingDown(_) => "the pool shuts down",
            SubmitError::Full(_) => "the queue is full",
            SubmitError::RateLimited(_) => "the job comes too early",
            SubmitError::GroupClosed(_) => "the group is closed",
        })
    }
}

impl<F> Error for SubmitError<F> {}
