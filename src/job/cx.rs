//! What a job sees of itself.

use super::board::JobId;
use super::cancel::{CancelToken, Cancelled};
use super::context::Context;
use super::raw::Raw;
use super::reference::JobRef;
use crate::Priority;
use std::any::Any;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

/// The job that runs, seen from inside: what the closure of
/// [`Pool::submit_with`](crate::Pool::submit_with) gets, and [`current`] returns.
///
/// ```
/// use windlass::{Cancelled, Pool};
///
/// let pool = Pool::new(1)?;
/// let handle = pool.job("count").submit_with(|cx| -> Result<u64, Cancelled> {
///     let mut count = 0;
///     for _ in 0..1_000 {
///         cx.checkpoint()?;
///         count += 1;
///     }
///     Ok(count)
/// });
/// assert_eq!(handle.wait().unwrap(), Ok(1_000));
/// # Ok::<(), windlass::BuildError>(())
/// ```
#[derive(Debug)]
pub struct JobCx {
    job: JobRef,
}

/// What a job is lent, without a reference of its own.
pub(crate) struct Borrowed(ManuallyDrop<JobCx>);

impl Deref for Borrowed {
    type Target = JobCx;
    fn deref(&self) -> &JobCx {
        &self.0
    }
}

impl JobCx {
    /// For as long as the job runs.
    pub(crate) fn borrowed(job: Raw) -> Borrowed {
        // Never dropped, so it releases nothing.
        Borrowed(ManuallyDrop::new(JobCx { job: JobRef::borrowed(job) }))
    }

    pub(super) fn raw(&self) -> Raw {
        self.job.raw()
    }

    /// The job's number in its pool.
    pub fn id(&self) -> JobId {
        self.job.id()
    }

    /// The name that it was given.
    pub fn name(&self) -> Option<&str> {
        self.job.name()
    }

    /// The level at which it runs: its own, or that of somebody who waits for it, if that is higher.
    pub fn priority(&self) -> Priority {
        self.job.priority()
    }

    /// The token by which it is cancelled, for what looks at a token by itself. It is also
    /// cancelled when the pool is shut down in a way that asks running jobs to stop.
    pub fn token(&self) -> CancelToken {
        self.raw().token_from_inside().clone()
    }

    /// Whether it shall stop.
    pub fn is_cancelled(&self) -> bool {
        self.raw().is_cancelled()
    }

    /// Goes on, or says that the job shall stop: for the `?` operator.
    ///
    /// # Errors
    /// If the job has been cancelled, its time is up, or the pool is shut down.
    pub fn checkpoint(&self) -> Result<(), Cancelled> {
        self.raw().check()
    }

    /// When it must have finished: the earliest of its own limits and the deadline of its token.
    pub fn deadline(&self) -> Option<Instant> {
        self.raw().existing_token().and_then(CancelToken::deadline)
    }

    /// Which attempt this is, from 1. Only what was given a [`RetryPolicy`](crate::RetryPolicy) comes
    /// to a second one.
    pub fn attempt(&self) -> u32 {
        self.raw().record().map_or(1, |record| record.attempts().max(1))
    }

    /// The present time, by the clock of the pool.
    pub(super) fn now(&self) -> Instant {
        self.raw().board().now()
    }

    /// A value that the job was given by [`JobBuilder::extension`](crate::JobBuilder::extension).
    pub fn extension<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.raw().extra()?.extension()
    }

    /// Its closure is about to return an error.
    pub(crate) fn note_failure(&self) {
        if let Some(member) = self.raw().member() {
            member.failed();
        }
    }

    /// The job, for a table of jobs.
    pub fn job_ref(&self) -> JobRef {
        // What a clone may do when the job has ended must not need the pool.
        drop(self.token());
        JobRef::new(self.raw())
    }
}

impl Clone for JobCx {
    fn clone(&self) -> Self {
        JobCx { job: self.job_ref() }
    }
}

/// The job that the calling thread works for, also if it runs a fork or a part of a loop that it
/// has stolen from that job's thread. `None` outside of any.
///
/// ```
/// use windlass::Pool;
///
/// let pool = Pool::new(2)?;
/// let name = || windlass::current().and_then(|cx| cx.name().map(str::to_owned));
/// let names = pool.job("outer").submit(move || windlass::join(name, name)).wait().unwrap();
/// assert_eq!(names, (Some("outer".into()), Some("outer".into())));
/// assert!(windlass::current().is_none());
/// # Ok::<(), windlass::BuildError>(())
/// ```
pub fn current() -> Option<JobCx> {
    Context::current_job().map(|job| JobCx::borrowed(job).clone())
}
