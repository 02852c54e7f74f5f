//! What is said of a group before it is opened.

use super::core::{Core, OnEnd, Terms};
use super::statistics::GroupStatistics;
use super::{Group, GroupHandle, OnDrop};
use crate::engine::registry::Registry;
use crate::job::{Board, CancelToken};
use crate::time::after;
use crate::{Pool, Priority};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A group that is about to be opened. See [`Pool::group`].
#[must_use = "a group is there only when it is opened"]
pub struct GroupBuilder {
    /// `None`: the group that it is to be in has no pool any more.
    registry: Option<Arc<Registry>>,
    name: Arc<str>,
    parent: Option<Arc<Core>>,
    token: Option<CancelToken>,
    deadline: Option<Instant>,
    timeout: Option<Duration>,
    priority: Priority,
    fails_fast: bool,
    limit: Option<usize>,
    on_end: Option<OnEnd>,
}

impl Pool {
    /// Names a group of jobs, to say more of it and to [open](GroupBuilder::open) it.
    ///
    /// ```
    /// use windlass::{Join, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let group = pool.group("etl").fail_fast().limit(8).open();
    /// for part in 0..100_u64 {
    ///     group.submit_fallible(move || if part < 100 { Ok(part) } else { Err("too many") })?;
    /// }
    /// let parts = group.wait(Join::all())?;
    /// assert_eq!(parts.iter().sum::<u64>(), 4_950);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn group(&self, name: impl Into<String>) -> GroupBuilder {
        GroupBuilder::new(Some(self.registry().to_arc()), name.into().into(), None)
    }
}

impl GroupBuilder {
    fn new(registry: Option<Arc<Registry>>, name: Arc<str>, parent: Option<Arc<Core>>) -> Self {
        let priority = parent.as_ref().map_or_else(Priority::default, |parent| parent.priority);
        GroupBuilder {
            registry,
            name,
            parent,
            token: None,
            deadline: None,
            timeout: None,
            priority,
            fails_fast: false,
            limit: None,
            on_end: None,
        }
    }

    pub(super) fn below(parent: &Arc<Core>, name: &str) -> Self {
        let name = format!("{}/{name}", parent.name).into();
        Self::new(parent.registry(), name, Some(Arc::clone(parent)))
    }

    /// Has the first member that fails cancel the others, for
    /// [`SiblingFailed`](crate::CancelCause::SiblingFailed), and close the group.
    ///
    /// A member fails by an error that its closure returns
    /// ([`submit_fallible`](GroupHandle::submit_fallible)), a panic, a limit in time, or by being
    /// skipped; not by being cancelled.
    pub fn fail_fast(mut self) -> Self {
        self.fails_fast = true;
        self
    }

    /// Lets the others go on when one fails: the default. The failures are told together.
    pub fn collect_errors(mut self) -> Self {
        self.fails_fast = false;
        self
    }

    /// Lets so many members be queued or run at once; the others wait, and hold no worker. With 0,
    /// all wait until it is [raised](GroupHandle::set_limit). Members of nested groups count as well.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The priority of its members, if nothing else is said of them: else that of the group above,
    /// or `Normal`.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Cancels the group when the token is cancelled: the group's own token is a child of it.
    /// Without it the token is a child of that of the group above.
    pub fn cancel_token(mut self, token: &CancelToken) -> Self {
        self.token = Some(token.clone());
        self
    }

    /// Cancels the group at that time, by the pool's [clock](crate::PoolBuilder::clock). Its members see it as their
    /// [deadline](crate::JobCx::deadline).
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// As [`deadline`](Self::deadline), so long after the group was opened. Of both the earlier
    /// counts.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Calls `f` after each member that has ended, on the thread that has ended it: to show progress.
    /// It shall be quick; of what it panics nobody hears but the panic hook.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use std::sync::Arc;
    /// use windlass::{Join, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let most = Arc::new(AtomicU64::new(0));
    /// let shown = Arc::clone(&most);
    /// let group = pool
    ///     .group("pages")
    ///     .on_end(move |s| drop(shown.fetch_max(s.finished(), Ordering::Relaxed)))
    ///     .run(|group| (0..10).for_each(|n| drop(group.submit(move || n))));
    /// assert_eq!(most.load(Ordering::Relaxed), 10);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn on_end(mut self, f: impl Fn(&GroupStatistics) + Send + Sync + 'static) -> Self {
        self.on_end = Some(Box::new(f));
        self
    }

    /// Opens the group. Its members all return a `T`, which it keeps until it is asked for.
    ///
    /// Dropping it cancels what has not ended: see [`Group`].
    pub fn open<T: Send + 'static>(self) -> Group<T> {
        Group { handle: self.open_handle(), on_drop: OnDrop::Cancel }
    }

    /// Opens the group for `f`, and waits until all members have ended, also those that members have
    /// submitted. If `f` panics, the group is cancelled first.
    ///
    /// The group can be asked for its results afterwards; it is closed.
    ///
    /// # Panics
    /// If `f` does.
    ///
    /// # Blocking
    /// As [`GroupHandle::wait`].
    ///
    /// ```
    /// use windlass::Pool;
    ///
    /// let pool = Pool::new(2)?;
    /// let group = pool.group("words").run(|group| {
    ///     for word in ["steal", "fork"] {
    ///         group.submit(move || word.len()).unwrap();
    ///     }
    /// });
    /// assert_eq!(group.as_completed().map(|member| member.result.unwrap()).sum::<usize>(), 9);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn run<T: Send + 'static>(self, f: impl FnOnce(&Group<T>)) -> Group<T> {
        let group = self.open().wait_on_drop();
        f(&group);
        group.close();
        group.handle.core.wait(super::Until::AllEnded, None);
        group
    }

    fn open_handle<T: Send + 'static>(self) -> GroupHandle<T> {
        let GroupBuilder { registry, name, parent, priority, fails_fast, limit, on_end, .. } = self;
        let board = registry.as_deref().map(Board::of);
        let clock = board.and_then(Board::clock);
        let in_time = self.timeout.zip(board).map(|(timeout, board)| after(board.now(), timeout));
        let deadline = in_time.into_iter().chain(self.deadline).min();
        let above = self.token.or_else(|| parent.as_ref().map(|parent| parent.token.clone()));
        let token = match (above, deadline) {
            (Some(token), deadline) => token.child_by(clock, deadline),
            (None, Some(deadline)) => CancelToken::new_by(clock).with_deadline(deadline),
            (None, None) => CancelToken::new_by(clock),
        };
        let terms = Terms { name, token, priority, fails_fast, limit, parent, on_end };
        GroupHandle::new(Core::open(registry.as_deref(), terms))
    }
}

impl fmt::Debug for GroupBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupBuilder")
            .field("name", &self.name)
            .field("limit", &self.limit)
            .field("fails_fast", &self.fails_fast)
            .finish_non_exhaustive()
    }
}
