//! The handle of a fallible job, and how that may end.
#![forbid(unsafe_code)]

use super::board::JobId;
use super::cancel::CancelCause;
use super::control::CancelOutcome;
use super::handle::JobHandle;
use super::outcome::JobError;
use super::record::Attempt;
use super::reference::{JobRef, JobState, JobTimes};
use crate::Priority;
use crate::policy::GiveUp;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How the closure of a fallible job has come to an end.
pub(crate) type Ended<T, E> = Result<T, (E, GiveUp)>;

/// A fallible job that was submitted, and the way to its result: as [`JobHandle`], but it tells the
/// closure's own error from all other ways in which a job may end.
///
/// The job has ended when no attempt is left to make; while it waits for its next attempt it is
/// [`Waiting`](JobState::Waiting).
///
/// ```
/// use std::time::Duration;
/// use windlass::{JobError, Pool, RetryError, RetryPolicy};
///
/// let pool = Pool::new(2)?;
/// let retry = RetryPolicy::fixed(Duration::from_secs(3600));
/// let job = pool.job("poll").retry(retry).submit_fallible(|_| Err::<(), _>("nothing there"));
/// while job.state() != windlass::JobState::Waiting {}
/// job.cancel();
/// match job.wait() {
///     Err(RetryError::Job(JobError::Cancelled { had_started, .. })) => assert!(had_started),
///     other => unreachable!("{other:?}"),
/// }
/// # Ok::<(), windlass::BuildError>(())
/// ```
#[must_use = "dropping a handle detaches the job; say `detach` if that is meant"]
pub struct RetryHandle<T, E> {
    inner: JobHandle<Ended<T, E>>,
}

impl<T, E> RetryHandle<T, E> {
    pub(super) fn new(inner: JobHandle<Ended<T, E>>) -> Self {
        RetryHandle { inner }
    }

    /// Waits for the job to end, and returns what its last attempt did.
    ///
    /// # Errors
    /// [`RetryError::Failed`] if the closure returned an `Err` and is not tried again, else
    /// [`RetryError::Job`].
    ///
    /// # Panics
    /// If the result was taken before.
    ///
    /// # Blocking
    /// As [`JobHandle::wait`]. Between two attempts nothing runs here.
    #[track_caller]
    pub fn wait(self) -> Result<T, RetryError<E>> {
        let job = self.job_ref();
        told(self.inner.wait(), &job)
    }

    /// As [`JobHandle::wait_timeout`].
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    ///
    /// # Blocking
    /// As [`JobHandle::wait_timeout`].
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<Result<T, RetryError<E>>> {
        let result = self.inner.wait_timeout(timeout)?;
        Some(told(result, &self.job_ref()))
    }

    /// As [`JobHandle::try_take`].
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn try_take(&mut self) -> Option<Result<T, RetryError<E>>> {
        let result = self.inner.try_take()?;
        Some(told(result, &self.job_ref()))
    }

    /// Whether the job has ended.
    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }

    /// Where the job is.
    pub fn state(&self) -> JobState {
        self.inner.state()
    }

    /// The job's number in its pool, the same for all its attempts.
    pub fn id(&self) -> JobId {
        self.inner.id()
    }

    /// The name that the job was given.
    pub fn name(&self) -> Option<&str> {
        self.inner.name()
    }

    /// As [`JobHandle::priority`].
    pub fn priority(&self) -> Priority {
        self.inner.priority()
    }

    /// When what happened to the job: `ready` and `started` are those of the last attempt.
    pub fn times(&self) -> JobTimes {
        self.inner.times()
    }

    /// How many attempts were begun.
    pub fn attempts(&self) -> u32 {
        self.job_ref().attempts()
    }

    /// The last attempts that have ended, the oldest first, as many as the policy
    /// [remembers](crate::RetryPolicy::history).
    pub fn history(&self) -> Vec<Attempt> {
        self.job_ref().history()
    }

    /// The job without its type, for a table of jobs.
    pub fn job_ref(&self) -> JobRef {
        self.inner.job_ref()
    }

    /// Cancels the job: [`cancel_with`](Self::cancel_with) the cause
    /// [`Requested`](CancelCause::Requested).
    pub fn cancel(&self) -> CancelOutcome {
        self.inner.cancel()
    }

    /// As [`JobHandle::cancel_with`]. A job that waits for its next attempt ends at once, and its
    /// closure is dropped. An attempt that runs is asked to stop, and is the last one: if it fails,
    /// however it does, the job is cancelled.
    pub fn cancel_with(&self, cause: CancelCause) -> CancelOutcome {
        self.inner.cancel_with(cause)
    }

    /// As [`JobHandle::detach`].
    pub fn detach(self) {
        self.inner.detach();
    }

    /// As [`JobHandle::cancel_on_drop`].
    pub fn cancel_on_drop(self) -> Self {
        RetryHandle { inner: self.inner.cancel_on_drop() }
    }
}

fn told<T, E>(result: Result<Ended<T, E>, JobError>, job: &JobRef) -> Result<T, RetryError<E>> {
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err((error, reason))) => {
            let (attempts, history) = (job.attempts(), job.history());
            Err(RetryError::Failed(Failed { error, reason, attempts, history }))
        }
        Err(error) => Err(RetryError::Job(error)),
    }
}

impl<T, E> Future for RetryHandle<T, E> {
    type Output = Result<T, RetryError<E>>;

    /// # Panics
    /// If the result was taken before.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = std::task::ready!(Pin::new(&mut self.inner).poll(cx));
        Poll::Ready(told(result, &self.job_ref()))
    }
}

impl<T, E> fmt::Debug for RetryHandle<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryHandle")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("state", &self.state())
            .field("attempts", &self.attempts())
            .finish()
    }
}

/// Why a fallible job has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum RetryError<E> {
    /// Its closure returned an `Err`, and is not tried again.
    Failed(Failed<E>),
    /// It has ended in another way: cancelled, out of time, panicked, not started.
    Job(JobError),
}

/// The last error of a job that gave up.
#[derive(Debug)]
pub struct Failed<E> {
    error: E,
    reason: GiveUp,
    attempts: u32,
    history: Vec<Attempt>,
}

impl<E> Failed<E> {
    /// What the last attempt returned.
    pub fn error(&self) -> &E {
        &self.error
    }

    /// The same, to keep.
    pub fn into_error(self) -> E {
        self.error
    }

    /// Why there was no other attempt.
    pub fn reason(&self) -> GiveUp {
        self.reason
    }

    /// How many attempts there were, the first one counted.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The last ones of them, as many as the policy [remembers](crate::RetryPolicy::history), the
    /// oldest first.
    pub fn history(&self) -> &[Attempt] {
        &self.history
    }
}

impl<E> RetryError<E> {
    /// The closure's own error, if that is what ended the job.
    pub fn into_error(self) -> Option<E> {
        match self {
            RetryError::Failed(failed) => Some(failed.error),
            RetryError::Job(_) => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Failed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failed { error, reason, attempts, .. } = self;
        match attempts {
            1 => write!(f, "the job failed ({reason}): {error}"),
            _ => write!(f, "the job failed {attempts} times ({reason}): {error}"),
        }
    }
}

impl<E: fmt::Display> fmt::Display for RetryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RetryError::Failed(failed) => failed.fmt(f),
            RetryError::Job(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for Failed<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

impl<E: Error + 'static> Error for RetryError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            RetryError::Failed(failed) => Some(&failed.error),
            RetryError::Job(error) => error.source(),
        }
    }
}
