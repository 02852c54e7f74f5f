//! Why a group has no result.

use crate::job::{CancelCause, JobError, JobId, JobOutcome, JobRef};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// An error of any kind.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a member has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum MemberError {
    /// Its closure returned an error: [`submit_fallible`](crate::GroupHandle::submit_fallible).
    Failed(BoxError),
    /// Its job did not complete.
    Job(JobError),
    /// It has not completed, and why only its handle tells: it was submitted by
    /// [`JobBuilder::group`](crate::JobBuilder::group).
    Elsewhere(JobOutcome),
}

impl MemberError {
    /// Whether it was cancelled because of something else: that it is of no use any more.
    pub fn is_secondary(&self) -> bool {
        let MemberError::Job(JobError::Cancelled { cause, .. }) = self else { return false };
        matches!(cause, CancelCause::SiblingFailed | CancelCause::NotNeeded)
    }

    /// The error that the closure returned, if it is of that type.
    ///
    /// ```
    /// use windlass::{Join, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let group = pool.group("parse").open();
    /// group.submit_fallible(|| "one".parse::<u32>()).unwrap();
    /// let error = group.wait(Join::all()).unwrap_err();
    /// let member = error.first().unwrap().error();
    /// assert!(member.downcast_ref::<std::num::ParseIntError>().is_some());
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        match self {
            MemberError::Failed(error) => error.downcast_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for MemberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemberError::Failed(error) => error.fmt(f),
            MemberError::Job(error) => error.fmt(f),
            MemberError::Elsewhere(outcome) => write!(f, "the job {outcome}"),
        }
    }
}

impl Error for MemberError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            MemberError::Failed(error) => error.source(),
            MemberError::Job(error) => error.source(),
            MemberError::Elsewhere(_) => None,
        }
    }
}

/// A member of a group that has not completed.
#[derive(Debug)]
pub struct Failure {
    index: u64,
    job: JobRef,
    error: MemberError,
}

impl Failure {
    pub(super) fn new(index: u64, job: JobRef, error: MemberError) -> Self {
        Failure { index, job, error }
    }

    /// Its number in the group, from 0, in the order of submission.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Its number in the pool.
    pub fn id(&self) -> JobId {
        self.job.id()
    }

    /// Its name, behind that of the group.
    pub fn name(&self) -> Option<&str> {
        self.job.name()
    }

    /// Why.
    pub fn error(&self) -> &MemberError {
        &self.error
    }

    /// Why, to be kept.
    pub fn into_error(self) -> MemberError {
        self.error
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name}: {}", self.error),
            None => write!(f, "member {}: {}", self.index, self.error),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.error {
            MemberError::Failed(error) => Some(&**error),
            MemberError::Job(error) => Some(error),
            MemberError::Elsewhere(_) => None,
        }
    }
}

/// Why a [wait](crate::GroupHandle::wait) has not brought what it was for.
#[derive(Debug)]
pub struct GroupError {
    name: Arc<str>,
    kind: GroupErrorKind,
    failures: Vec<Failure>,
}

/// What kind of reason that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupErrorKind {
    /// Members have failed, or too few are left to succeed.
    Failed,
    /// The time was up. What has not been taken is still there: one can wait again.
    TimedOut,
    /// It was a member of the group that waited: for itself, among others. So it did not.
    FromInside,
}

impl GroupError {
    /// The failures in the order of the ends; those that were cancelled because another one failed
    /// come last.
    pub(super) fn new(name: Arc<str>, kind: GroupErrorKind, mut failures: Vec<Failure>) -> Self {
        failures.sort_by_key(|failure| failure.error.is_secondary());
        GroupError { name, kind, failures }
    }

    /// With the failures in the order in which their members were submitted, not that in which they
    /// ended.
    pub(crate) fn in_order(mut self) -> Self {
        self.failures.sort_by_key(|failure| (failure.error.is_secondary(), failure.index));
        self
    }

    /// The name of the group.
    pub fn group(&self) -> &str {
        &self.name
    }

    /// What kind of reason there is.
    pub fn kind(&self) -> GroupErrorKind {
        self.kind
    }

    /// The failure that came first, and was not brought about by another one.
    pub fn first(&self) -> Option<&Failure> {
        self.failures.first()
    }

    /// All failures that are known, the first one first; those that others have brought about
    /// ([`MemberError::is_secondary`]) at the end.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// As [`failures`](Self::failures), to be kept.
    pub fn into_failures(self) -> Vec<Failure> {
        self.failures
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {}: ", self.name)?;
        match self.kind {
            GroupErrorKind::Failed => f.write_str("it has failed")?,
            GroupErrorKind::TimedOut => f.write_str("it has not ended in time")?,
            GroupErrorKind::FromInside => f.write_str("a member cannot wait for its own group")?,
        }
        let Some(first) = self.first() else { return Ok(()) };
        write!(f, ": {first}")?;
        match self.failures.len() - 1 {
            0 => Ok(()),
            others => write!(f, " (and {others} more)"),
        }
    }
}

impl Error for GroupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.first().map(|first| first as &(dyn Error + 'static))
    }
}
