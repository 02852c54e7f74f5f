//! What a job that is in a group tells it, and what the group decides for it. The group itself is a
//! policy (`policy::group`); a job knows it by these traits only.
#![forbid(unsafe_code)]

use super::builder::JobBuilder;
use super::cancel::CancelToken;
use super::gate::Gate;
use super::handle::{AnyHandle, JobHandle};
use super::life::Continue;
use super::outcome::SkipCause;
use super::raw::Raw;
use super::reference::JobRef;
use crate::group::GroupHandle;
use std::borrow::Cow;
use std::sync::Arc;

/// A group that jobs may join.
pub(crate) trait Enlist: Send + Sync {
    /// A new member, which waits for something else first, or not. `None`: the group is closed.
    fn enlist(self: Arc<Self>, waits: bool) -> Option<Arc<dyn Member>>;

    /// Whether members may have to wait until there is room in the group, so that they need a gate.
    /// They get their room only when they are in the pool: whoever waits for that holds none.
    fn holds_back(&self) -> bool;

    /// What a member is called that has this name of its own.
    fn name_of_member(&self, name: &str) -> Cow<'static, str>;
}

/// A group that jobs may wait for.
pub(crate) trait Await: Send + Sync {
    /// Has `target` told when no member is pending. `false`: none is.
    fn attach(&self, target: Arc<dyn Continue>) -> bool;

    /// The first member, here or below, that has ended and not completed.
    fn failure(&self) -> Option<SkipCause>;
}

/// One job of a group, as the group sees it.
///
/// It is told, in this order: whether the job was accepted ([`joined`](Self::joined) or
/// [`rejected`](Self::rejected)); each time that a job with a gate may be queued
/// ([`enter`](Self::enter)); that it is queued, that it starts, that it fails;
/// and, if it is to be tried again, that it pauses. None of these unwinds or blocks. They may come
/// before `joined`. Of its end it hears as others do ([`JobRef::on_end`]).
pub(crate) trait Member: Send + Sync {
    /// It was accepted. The group keeps the handle, if it is given one.
    fn joined(self: Arc<Self>, job: JobRef, handle: Option<AnyHandle>);

    /// It was not accepted.
    fn rejected(&self);

    /// Everything else that the job has waited for is there: the group opens the gate when it has
    /// room ([`Gate::open_now`]).
    fn enter(self: Arc<Self>, gate: Gate);

    /// It is about to wait for a worker.
    fn queued(&self);

    /// It does so now, if it has not been run since: it can be found by who helps.
    fn listed(&self);

    /// It runs.
    fn started(&self);

    /// It will be run once more, and until its gate is opened it counts for no limit.
    fn paused(&self);

    /// Its closure has failed.
    fn failed(&self);

    /// Whether that was said.
    fn has_failed(&self) -> bool;

    /// The token of the group, if that has a deadline for the job to see.
    fn timed_token(&self) -> Option<CancelToken>;

    /// Whether this is a member of the group with that address, or of one below it.
    fn is_within(&self, group: usize) -> bool;
}

impl Raw {
    /// What it is in its group, if it is in one.
    pub(super) fn member<'a>(self) -> Option<&'a Arc<dyn Member>> {
        self.extra()?.member.as_ref()
    }
}

impl JobBuilder<'_> {
    /// Makes the job a member of the group, which counts it, cancels it, and holds it back as its
    /// limit says; its result is the handle's. It takes over the group's priority: what is said of
    /// that later counts. Its name is put behind the group's.
    ///
    /// If the group is closed, the job is rejected.
    ///
    /// ```
    /// use windlass::{Join, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let etl = pool.group("etl").open::<()>();
    /// let load = pool.job("load").group(&etl).submit(|| "of any type");
    /// assert_eq!(load.name(), Some("etl/load"));
    /// etl.wait(Join::collect());
    /// assert_eq!(etl.statistics().completed, 1);
    /// assert_eq!(load.wait().unwrap(), "of any type");
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn group<T: Send + 'static>(self, group: &GroupHandle<T>) -> Self {
        let priority = group.priority();
        self.enlist(group.as_enlist()).priority(priority)
    }

    fn enlist(mut self, group: Arc<dyn Enlist>) -> Self {
        self.extra.name = group.name_of_member(&self.extra.name);
        self.group = Some(group);
        self
    }

    /// Makes the job a member that [joins](JobHandle::join_group) when its handle is there, and not
    /// without it.
    pub(crate) fn enlist_whole(self, group: Arc<dyn Enlist>) -> Self {
        JobBuilder { joins_whole: true, ..self.enlist(group) }
    }
}

impl<T: Send + 'static> JobHandle<T> {
    /// Has the job, which is to [join whole](JobBuilder::enlist_whole), join its group, which keeps the
    /// handle.
    pub(crate) fn join_group(self) -> JobRef {
        let job = self.job_ref();
        let member = Arc::clone(job.raw().member().expect("a member"));
        member.joined(job.clone(), Some(self.erase()));
        job
    }
}
