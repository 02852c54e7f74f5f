//! What a job does, and what it may have beside its closure.
#![forbid(unsafe_code)]

use super::board::JobId;
use super::cx::JobCx;
use super::options::Extra;
use super::raw::VTable;
use super::record::Record;

/// What a job does, in whichever way it is run.
pub(crate) trait Work: Send + 'static {
    type Output: Send + 'static;
    /// Whether it may be run more than once.
    const IS_REPEATED: bool = false;
    /// The functions of a job that does this, and has such options.
    fn vtable<X: Options>() -> &'static VTable;
}

/// What is to be called, once.
pub(crate) trait Call: Send + 'static {
    type Output: Send + 'static;
    fn call(self, cx: &JobCx) -> Self::Output;
}

/// A closure that wants nothing to know.
pub(super) struct Plain<F>(pub(super) F);

impl<T: Send + 'static, F: FnOnce() -> T + Send + 'static> Call for Plain<F> {
    type Output = T;
    fn call(self, _: &JobCx) -> T {
        (self.0)()
    }
}

/// A closure that sees its job.
pub(super) struct WithCx<F>(pub(super) F);

impl<T: Send + 'static, F: FnOnce(&JobCx) -> T + Send + 'static> Call for WithCx<F> {
    type Output = T;
    fn call(self, cx: &JobCx) -> T {
        (self.0)(cx)
    }
}

/// What a job may have beside its closure: nothing, or options.
pub(crate) trait Options: Send + Sync + 'static {
    /// Whether the job counts; or else it is a step of something that counts as a whole.
    const IS_COUNTED: bool = true;
    /// Whether it has any of the two. Of most jobs this is all that anybody asks.
    const HAS_EXTRA: bool = false;
    const HAS_RECORD: bool = false;
    /// Whether [`Self::id`] is `Some`.
    const HAS_ID: bool = false;
    fn extra(&self) -> Option<&Extra> {
        None
    }
    /// Of a job that may be tried again.
    fn record(&self) -> Option<&Record> {
        None
    }
    /// The number of what it is a part of, in the place of one of its own.
    fn id(&self) -> Option<&JobId> {
        None
    }
}

impl Options for () {}

/// Of a step.
pub(crate) struct Step(pub(super) JobId);

impl Options for Step {
    const IS_COUNTED: bool = false;
    const HAS_ID: bool = true;
    fn id(&self) -> Option<&JobId> {
        Some(&self.0)
    }
}

impl Options for Extra {
    const HAS_EXTRA: bool = true;
    fn extra(&self) -> Option<&Extra> {
        Some(self)
    }
}
