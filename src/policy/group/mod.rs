//! Structured sets of jobs.
//!
//! Goal: jobs that belong together are waited for, limited, cancelled and counted together.
//! Rule: a group counts its members, one lock a step of each; it hears of them by the traits in
//! `job::member`, and of their ends as any other that waits for jobs. It holds no thread.
//! Cost: a member costs an allocation and five or so short locks more than a job with options.
//! Starvation bound: `limit`.
//! Not promised: that members start in the order of submission.
//!
//! | file | owns |
//! |---|---|
//! | `core` | what a group knows of its members |
//! | `waiting` | who waits for them |
//! | `member` | where one member is |
//! | `limit` | how many are queued or run at once |
//! | `builder` | what is said of a group before it is opened |
//! | `joiner` | what a wait is for |
//! | `future` | waits of tasks |
//! | `error`, `statistics` | what comes of it |

mod builder;
mod core;
mod error;
mod future;
mod joiner;
mod limit;
mod member;
mod members;
mod statistics;
mod submit;
mod waiting;

pub use builder::GroupBuilder;
pub use error::{BoxError, Failure, GroupError, GroupErrorKind, MemberError};
pub use future::GroupJoin;
pub use joiner::{
    All, Any, Collect, Ended, Finish, FirstN, FirstOk, Fold, Join, JoinEnd, Joiner, Until,
};
pub use statistics::GroupStatistics;
pub use submit::{MemberBuilder, MemberRetryBuilder};

use self::core::{Core, Done};
use self::waiting::Ticket;
use crate::Priority;
use crate::engine::registry::Registry;
use crate::job::{Await, CancelCause, CancelToken, Enlist};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{ControlFlow, Deref};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A set of jobs that return a `T`: its owner. What can be done with it is said at [`GroupHandle`],
/// which it dereferences to.
///
/// **Dropping the group cancels its members**, for
/// [`GroupDropped`](crate::CancelCause::GroupDropped), and does not wait for those that run;
/// [`detach`](Group::detach) lets them go on, [`wait_on_drop`](Group::wait_on_drop) waits for them.
///
/// Like a handle of a job, a group does not keep its pool alive.
///
/// ```
/// use windlass::{Join, Pool};
///
/// let pool = Pool::new(2)?;
/// let group = pool.group("pages").limit(2).open();
/// for page in 1..=5_u32 {
///     group.submit(move || page * 100)?;
/// }
/// assert_eq!(group.wait(Join::all())?, [100, 200, 300, 400, 500]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a group cancels its members"]
pub struct Group<T: Send + 'static> {
    handle: GroupHandle<T>,
    on_drop: OnDrop,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum OnDrop {
    Cancel,
    Wait,
    Detach,
}

impl<T: Send + 'static> Group<T> {
    /// Lets the members go on, and whoever has a [handle](GroupHandle) add to them. Results are
    /// dropped as they come.
    pub fn detach(mut self) {
        self.on_drop = OnDrop::Detach;
    }

    /// Makes the drop of the group close it and wait until all members have ended; when the thread
    /// panics, it cancels them first.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use std::sync::Arc;
    ///
    /// let pool = windlass::Pool::new(2)?;
    /// let sum = Arc::new(AtomicU32::new(0));
    /// {
    ///     let group = pool.group("block").open().wait_on_drop();
    ///     for n in 1..=4 {
    ///         let sum = Arc::clone(&sum);
    ///         group.submit(move || drop(sum.fetch_add(n, Ordering::Relaxed)))?;
    ///     }
    /// }
    /// assert_eq!(sum.load(Ordering::Relaxed), 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_on_drop(mut self) -> Self {
        self.on_drop = OnDrop::Wait;
        self
    }

    /// A handle of the group, for members that add others, or for whoever looks on.
    pub fn handle(&self) -> GroupHandle<T> {
        self.handle.clone()
    }
}

impl<T: Send + 'static> Deref for Group<T> {
    type Target = GroupHandle<T>;
    fn deref(&self) -> &GroupHandle<T> {
        &self.handle
    }
}

impl<T: Send + 'static> Drop for Group<T> {
    fn drop(&mut self) {
        let core = &self.handle.core;
        match self.on_drop {
            OnDrop::Detach => {}
            OnDrop::Cancel => {
                core.cancel(CancelCause::GroupDropped);
            }
            OnDrop::Wait => {
                core.close();
                if std::thread::panicking() {
                    core.cancel(CancelCause::GroupDropped);
                }
                if !core.is_inside() {
                    core.wait(Until::AllEnded, None);
                }
            }
        }
        core.discard();
    }
}

impl<T: Send + 'static> fmt::Debug for Group<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

/// A group of jobs that return a `T`, to add to it, to wait for it, and to look at it. Dropping it
/// changes nothing; the [`Group`] is the owner.
///
/// Members are submitted here, and the group keeps their results until they are asked for, each once;
/// or by [`JobBuilder::group`](crate::JobBuilder::group): those may return anything, and their
/// handles have the results.
///
/// ```
/// use windlass::{GroupHandle, Join, Pool};
///
/// fn visit(node: u32, group: GroupHandle<u32>) -> u32 {
///     for child in [2 * node, 2 * node + 1] {
///         if child < 16 {
///             let inner = group.clone();
///             group.submit(move || visit(child, inner)).unwrap();
///         }
///     }
///     1
/// }
/// let pool = Pool::new(2)?;
/// let group = pool.group("tree").open();
/// let handle = group.handle();
/// group.submit(move || visit(1, handle))?;
/// assert_eq!(group.wait(Join::all())?.len(), 15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct GroupHandle<T: Send + 'static> {
    core: Arc<Core>,
    marker: PhantomData<fn() -> T>,
}

impl<T: Send + 'static> Clone for GroupHandle<T> {
    fn clone(&self) -> Self {
        GroupHandle::new(Arc::clone(&self.core))
    }
}

/// What a member's job returns: the value, or the error of its closure.
type Outcome<T> = Result<T, BoxError>;

impl<T: Send + 'static> GroupHandle<T> {
    fn new(core: Arc<Core>) -> Self {
        GroupHandle { core, marker: PhantomData }
    }

    pub(crate) fn as_enlist(&self) -> Arc<dyn Enlist> {
        Arc::clone(&self.core) as Arc<dyn Enlist>
    }

    pub(crate) fn as_awaited(&self) -> Arc<dyn Await> {
        Arc::clone(&self.core) as Arc<dyn Await>
    }

    /// Its pool, if it is still there.
    pub(crate) fn registry(&self) -> Option<Arc<Registry>> {
        self.core.registry()
    }

    /// The group's name, behind those of the groups above: `"etl/load"`.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// The priority of members of which nothing else is said.
    pub fn priority(&self) -> Priority {
        self.core.priority
    }

    /// The token that cancels the group and all members.
    pub fn token(&self) -> CancelToken {
        self.core.token.clone()
    }

    /// Names a group inside of this one: cancelled with it, and its members count as members of both
    /// for what is waited for, and for limits. It has its own rules otherwise: what fails there
    /// fails here only if its owner says so.
    ///
    /// ```
    /// use windlass::{Join, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let outer = pool.group("etl").limit(2).open::<()>();
    /// let inner = outer.group("load").open();
    /// inner.submit(|| 1)?;
    /// outer.wait(Join::all())?;
    /// assert_eq!((inner.name(), inner.statistics().completed), ("etl/load", 1));
    /// outer.cancel();
    /// assert!(inner.submit(|| 2).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn group(&self, name: &str) -> GroupBuilder {
        GroupBuilder::below(&self.core, name)
    }

    /// Takes no more members: submitting one is an error, which gives the closure back.
    pub fn close(&self) {
        self.core.close();
    }

    /// Whether it takes no more members.
    pub fn is_closed(&self) -> bool {
        self.core.is_closed()
    }

    /// Changes the limit, and lets those in that have room now. `false`: the group was opened without
    /// a [limit](GroupBuilder::limit).
    pub fn set_limit(&self, limit: usize) -> bool {
        self.core.limit().map(|own| own.set(limit)).is_some()
    }

    /// Cancels all members, and those of the groups below, and closes the group.
    pub fn cancel(&self) {
        self.cancel_all(CancelCause::Requested);
    }

    /// As [`cancel`](Self::cancel), for that cause. The first cause counts.
    pub fn cancel_all(&self, cause: CancelCause) {
        self.core.cancel(cause);
    }

    /// How many members there are and were, at one moment. Whoever waits for the handle of one member
    /// may hear of its end a moment before it is counted here; who waits for the group does not.
    pub fn statistics(&self) -> GroupStatistics {
        self.core.statistics()
    }

    /// Stops services one after the other: closes the group, then cancels its members in the reverse
    /// order of submission, each when the one before it has ended. `false`: the time was up.
    ///
    /// # Blocking
    /// For at most `limit`. Called by a member, it does not wait for that one.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use std::time::Duration;
    ///
    /// let pool = windlass::Pool::new(2)?;
    /// let (group, ended) = (pool.group("services").open(), Arc::new(Mutex::new(Vec::new())));
    /// for name in ["database", "server"] {
    ///     let ended = Arc::clone(&ended);
    ///     group.submit_with(move |cx| {
    ///         while !cx.is_cancelled() {
    ///             std::thread::yield_now();
    ///         }
    ///         ended.lock().unwrap().push(name);
    ///     })?;
    /// }
    /// while group.statistics().running < 2 {
    ///     std::thread::yield_now();
    /// }
    /// assert!(group.stop_in_reverse(Duration::from_secs(10)));
    /// assert_eq!(*ended.lock().unwrap(), ["server", "database"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop_in_reverse(&self, limit: Duration) -> bool {
        self.close();
        let deadline = Instant::now().checked_add(limit);
        for (index, job) in self.core.pending() {
            job.cancel();
            if !job.is_current() && !self.core.wait(Until::Gone(index), deadline) {
                return false;
            }
        }
        true
    }

    // ---- results

    /// Waits for what the joiner wants: see [`Join`].
    ///
    /// The group stays open, unless the joiner has enough and cancels the rest. Without members it
    /// returns at once. Results go to one wait each.
    ///
    /// # Blocking
    /// Until then. A worker of the pool runs queued members of this very group meanwhile, and nothing
    /// else; when there is none it sleeps, and another thread takes its place. So members may wait
    /// for groups of their own to any depth. A member that waits for its own group is told that it
    /// cannot ([`JoinEnd::FromInside`]).
    pub fn wait<J: Joiner<T>>(&self, joiner: J) -> J::Output {
        self.wait_until(joiner, None)
    }

    /// As [`wait`](Self::wait), but no longer than so; the joiner makes what it can of what there is.
    /// The members go on.
    ///
    /// # Blocking
    /// For at most `timeout`. The calling thread runs no members, as it could then not keep to the
    /// time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{Join, Pool};
    ///
    /// let pool = Pool::new(1)?;
    /// let group = pool.group("slow").open();
    /// group.submit_with(|cx| while !cx.is_cancelled() { std::thread::yield_now() })?;
    /// let error = group.wait_timeout(Join::all(), Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(error.kind(), windlass::group::GroupErrorKind::TimedOut);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_timeout<J: Joiner<T>>(&self, joiner: J, timeout: Duration) -> J::Output {
        self.wait_until(joiner, Instant::now().checked_add(timeout))
    }

    fn wait_until<J: Joiner<T>>(&self, mut joiner: J, deadline: Option<Instant>) -> J::Output {
        let core = &*self.core;
        let mut is_late = false;
        let end = loop {
            if core.is_reached(joiner.until()) || (is_late && joiner.takes_part()) {
                if self.hand_to(&mut joiner).is_break() {
                    core.cancel(CancelCause::NotNeeded);
                    break JoinEnd::Enough;
                }
                if core.is_over() {
                    break JoinEnd::AllEnded;
                }
            }
            if is_late {
                break JoinEnd::TimedOut;
            }
            if core.is_reached(joiner.until()) {
                continue;
            }
            if core.is_inside() {
                break JoinEnd::FromInside;
            }
            is_late = !core.wait(joiner.until(), deadline);
        };
        joiner.finish(self.finish(end))
    }

    /// What has ended goes to the joiner.
    fn hand_to(&self, joiner: &mut impl Joiner<T>) -> ControlFlow<()> {
        while let Some(done) = self.core.take() {
            joiner.ended(Self::open(done))?;
        }
        ControlFlow::Continue(())
    }

    fn finish(&self, end: JoinEnd) -> Finish {
        let elsewhere = self.core.failed_elsewhere().into_iter().map(|member| {
            Failure::new(member.index, member.job, MemberError::Elsewhere(member.outcome))
        });
        Finish { end, elsewhere: elsewhere.collect(), group: Arc::clone(&self.core.name) }
    }

    fn open(done: Done) -> Ended<T> {
        let mut handle = done.handle.downcast::<Outcome<T>>().expect("of the group's type");
        let result = match handle.try_take().expect("it has ended") {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(MemberError::Failed(error)),
            Err(error) => Err(MemberError::Job(error)),
        };
        Ended { index: done.index, job: handle.job_ref(), result }
    }

    /// The results in the order of the ends, each handed out once, however many ask. It ends when
    /// all members have ended and all results are taken.
    ///
    /// # Blocking
    /// In `next`, as [`wait`](Self::wait).
    ///
    /// ```
    /// use windlass::Pool;
    ///
    /// let pool = Pool::new(2)?;
    /// let group = pool.group("parts").open();
    /// for n in 0..10_u32 {
    ///     group.submit(move || n)?;
    /// }
    /// let sum: u32 = group.as_completed().filter_map(|member| member.result.ok()).sum();
    /// assert_eq!(sum, 45);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn as_completed(&self) -> AsCompleted<'_, T> {
        AsCompleted { group: self, ticket: Ticket::default() }
    }

    /// The next result in the order of the ends, if one is there.
    pub fn try_next(&self) -> Option<Ended<T>> {
        self.core.take().map(Self::open)
    }

    /// As [`try_next`](Self::try_next), and waits for it for so long. `None`: the time was up, or all
    /// members have ended and all results are taken.
    ///
    /// # Blocking
    /// As [`wait_timeout`](Self::wait_timeout).
    pub fn next_timeout(&self, timeout: Duration) -> Option<Ended<T>> {
        self.next_until(Instant::now().checked_add(timeout))
    }

    fn next_until(&self, deadline: Option<Instant>) -> Option<Ended<T>> {
        loop {
            if let Some(member) = self.try_next() {
                return Some(member);
            }
            if self.core.is_inside() || self.core.is_over() {
                return None;
            }
            if !self.core.wait(Until::Ends(1), deadline) {
                return self.try_next();
            }
        }
    }
}

impl<T: Send + 'static> fmt::Debug for GroupHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("name", &self.core.name)
            .field("is_closed", &self.is_closed())
            .field("statistics", &self.statistics())
            .finish_non_exhaustive()
    }
}

/// See [`GroupHandle::as_completed`].
#[derive(Debug)]
pub struct AsCompleted<'a, T: Send + 'static> {
    group: &'a GroupHandle<T>,
    ticket: Ticket,
}

impl<T: Send + 'static> Iterator for AsCompleted<'_, T> {
    type Item = Ended<T>;

    fn next(&mut self) -> Option<Ended<T>> {
        self.group.next_until(None)
    }
}
