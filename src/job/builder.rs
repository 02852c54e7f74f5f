//! A job that is about to be submitted, and what is said of it.

use super::admit::{self, Door};
use super::after::{After, Dependency, Need};
use super::board::Board;
use super::cancel::CancelToken;
use super::cx::JobCx;
use super::handle::JobHandle;
use super::member::Enlist;
use super::options::{Extra, JobOptions};
use super::outcome::{SubmitError, TimeoutPhase};
use super::raw::Raw;
use super::reference::JobRef;
use super::submit::{Terms, accept, accept_gated, rejected};
use super::work::{Call, Options, Plain, WithCx, Work};
use crate::Priority;
use crate::engine::registry::Registry;
use crate::time::after;
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A job that is about to be submitted. See [`Pool::job`](crate::Pool::job).
#[must_use = "a job runs only when it is submitted"]
pub struct JobBuilder<'a> {
    /// Named at last when it is submitted.
    pub(super) registry: Option<&'a Registry>,
    pub(super) options: JobOptions,
    pub(super) extra: Extra,
    pub(super) token: Option<CancelToken>,
    pub(super) deadline: Option<Instant>,
    pub(super) after: After,
    pub(super) group: Option<Arc<dyn Enlist>>,
    /// Whether it joins that when its handle is there.
    pub(super) joins_whole: bool,
}

impl<'a> JobBuilder<'a> {
    pub(crate) fn new(registry: &'a Registry, name: Cow<'static, str>) -> Self {
        Self::unbound(name).on(registry)
    }

    /// Of a job whose pool is yet to be named.
    pub(crate) fn unbound(name: Cow<'static, str>) -> Self {
        let extra = Extra::named(name);
        let (options, token, deadline) = (JobOptions::default(), None, None);
        let (registry, after) = (None, After::default());
        let (group, joins_whole) = (None, false);
        JobBuilder { registry, options, extra, token, deadline, after, group, joins_whole }
    }

    pub(crate) fn on(mut self, registry: &'a Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    pub(super) fn registry(&self) -> &'a Registry {
        self.registry.expect("the pool is named before the job is submitted")
    }

    /// Takes over all of these options; what was said before is forgotten, as far as they say it.
    pub fn options(mut self, options: &JobOptions) -> Self {
        self.options = options.clone();
        self
    }

    /// As [`JobOptions::priority`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.options = self.options.priority(priority);
        self
    }

    /// As [`JobOptions::start_within`].
    pub fn start_within(mut self, limit: Duration) -> Self {
        self.options = self.options.start_within(limit);
        self
    }

    /// As [`JobOptions::run_timeout`].
    pub fn run_timeout(mut self, limit: Duration) -> Self {
        self.options = self.options.run_timeout(limit);
        self
    }

    /// As [`JobOptions::timeout`].
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.options = self.options.timeout(limit);
        self
    }

    /// As [`timeout`](Self::timeout), at a point in time, by the pool's
    /// [clock](crate::PoolBuilder::clock). Of both the earlier counts.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Cancels the job when the token is cancelled, or its deadline passes. The job gets a
    /// [`child`](CancelToken::child) of it. The last one that is given counts.
    pub fn cancel_token(mut self, token: &CancelToken) -> Self {
        self.token = Some(token.clone());
        self
    }

    /// Has the job wait until all of these have completed, whatever pool they are in; it holds no
    /// worker meanwhile. If one of them ends in another way, the job never starts: it ends as
    /// [`Skipped`](crate::JobError::Skipped), at once, and so do those that wait for it.
    ///
    /// Those that have ended already count as well. A job can only wait for jobs that were submitted
    /// before it, so no two can wait for each other. A job whose closure returns an `Err` has
    /// completed.
    ///
    /// A [group](crate::GroupHandle) has completed when all members that were submitted so far have,
    /// with those of the groups below; without members it has at once. If one ends in another way, so
    /// has the group, for good. A member that waits for its own group, or for what waits for that,
    /// waits until it is cancelled.
    ///
    /// The limits in time of the job count from its submission, the wait included.
    ///
    /// ```
    /// use windlass::{JobError, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let fetch = pool.job("fetch").submit(|| 1);
    /// let parse = pool.job("parse").submit(|| -> u8 { panic!("no luck") });
    /// let both = pool.job("both").after(&[&fetch, &parse]).submit(|| 3);
    /// match both.wait() {
    ///     Err(JobError::Skipped { because }) => assert_eq!(because.name.as_deref(), Some("parse")),
    ///     other => unreachable!("{other:?}"),
    /// }
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn after(mut self, jobs: &[&dyn Dependency]) -> Self {
        self.after.add(jobs, Need::Completion);
        self
    }

    /// As [`after`](Self::after), but it does not matter how these end: for what must be done
    /// afterwards in any case.
    ///
    /// ```
    /// use windlass::Pool;
    ///
    /// let pool = Pool::new(2)?;
    /// let work = pool.job("work").submit(|| panic!("no luck"));
    /// let clean_up = pool.job("clean up").after_end(&[&work]).submit(|| "clean");
    /// assert_eq!(clean_up.wait().unwrap(), "clean");
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn after_end(mut self, jobs: &[&dyn Dependency]) -> Self {
        self.after.add(jobs, Need::End);
        self
    }

    /// As [`JobOptions::kind`].
    pub fn kind(mut self, kind: impl Into<Cow<'static, str>>) -> Self {
        self.options = self.options.kind(kind);
        self
    }

    /// As [`JobOptions::weight`].
    pub fn weight(mut self, weight: u64) -> Self {
        self.options = self.options.weight(weight);
        self
    }

    /// Gives the job a value, which what runs in it finds by its type:
    /// [`JobCx::extension`](crate::JobCx::extension). Of several of one type the last stays.
    ///
    /// ```
    /// use windlass::Pool;
    ///
    /// struct Tenant(u32);
    /// let pool = Pool::new(2)?;
    /// let tenant = || windlass::current().unwrap().extension::<Tenant>().unwrap().0;
    /// let handle = pool.job("bill").extension(Tenant(7)).submit(move || windlass::join(tenant, tenant));
    /// assert_eq!(handle.wait().unwrap(), (7, 7));
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn extension<T: Any + Send + Sync>(mut self, value: T) -> Self {
        self.extra.set_extension(value);
        self
    }

    /// As [`Pool::submit`](crate::Pool::submit).
    pub fn submit<T, F>(self, f: F) -> JobHandle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.submit_call(Plain(f), Door::AsUsual)
    }

    /// As [`Pool::submit_with`](crate::Pool::submit_with).
    pub fn submit_with<T, F>(self, f: F) -> JobHandle<T>
    where
        T: Send + 'static,
        F: FnOnce(&JobCx) -> T + Send + 'static,
    {
        self.submit_call(WithCx(f), Door::AsUsual)
    }

    /// As [`Pool::try_submit`](crate::Pool::try_submit).
    ///
    /// # Errors
    /// As there.
    pub fn try_submit<T, F>(self, f: F) -> Result<JobHandle<T>, SubmitError<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.submit_by(f, Door::Now)
    }

    pub(super) fn submit_by<T, F>(self, f: F, door: Door) -> Result<JobHandle<T>, SubmitError<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.accept(Plain(f), door).map_err(|error| error.map(|call| call.0))
    }

    /// As `submit`, with a call of any kind, which comes back if it is refused. `waits`: for room, if
    /// the pool is of that kind.
    pub(crate) fn call<C: Call>(
        self,
        call: C,
        waits: bool,
    ) -> Result<JobHandle<C::Output>, SubmitError<C>> {
        self.accept(call, if waits { Door::AsUsual } else { Door::Now })
    }

    /// As [`try_submit`](Self::try_submit), with a closure that sees its job.
    ///
    /// # Errors
    /// As there.
    pub fn try_submit_with<T, F>(self, f: F) -> Result<JobHandle<T>, SubmitError<F>>
    where
        T: Send + 'static,
        F: FnOnce(&JobCx) -> T + Send + 'static,
    {
        self.accept(WithCx(f), Door::Now).map_err(|error| error.map(|call| call.0))
    }

    /// As `submit`, with a call of any kind.
    pub(super) fn submit_call<C: Call>(self, call: C, door: Door) -> JobHandle<C::Output> {
        let registry = self.registry();
        self.accept(call, door).unwrap_or_else(|error| rejected(registry, error))
    }

    fn accept<C: Call>(self, call: C, door: Door) -> Result<JobHandle<C::Output>, SubmitError<C>> {
        self.accept_with(call, door, |extra| extra)
    }

    /// `wrap`: with what the job keeps its options.
    pub(super) fn accept_with<X: Options, C: Work>(
        self,
        call: C,
        door: Door,
        wrap: impl FnOnce(Extra) -> X,
    ) -> Result<JobHandle<C::Output>, SubmitError<C>> {
        let registry = self.registry();
        let JobBuilder { options, mut extra, token, deadline, group, joins_whole, .. } = self;
        let dependencies = self.after;
        let board = Board::of(registry);
        let ticket = admit::ticket(board, &options);
        extra.set_ticket(ticket);
        let is_paced = admit::is_paced(board, &ticket);
        if is_paced {
            extra.set_paced();
        }
        let mut waits = is_paced || !dependencies.is_empty();
        if let Some(group) = group {
            waits |= group.holds_back();
            match group.enlist(waits) {
                Some(member) => extra.member = Some(member),
                None => {
                    admit::turn_away(board, &ticket, &door);
                    return Err(SubmitError::GroupClosed(call));
                }
            }
        }
        let member = extra.member.clone();
        let (now, clock) = (board.now(), board.clock());
        let by_timeout = options.timeout.map(|limit| after(now, limit));
        let deadline = by_timeout.into_iter().chain(deadline).min();
        extra.set_limits(options.run_timeout, deadline);
        let start_by = options.start_within.map(|limit| after(now, limit));
        let inherited = token.as_ref().and_then(CancelToken::deadline);
        let is_bound = token.is_some();
        let token = token.or_else(|| member.as_ref()?.timed_token());
        // The child of a token that has none is a token like another.
        let token = match (token, deadline) {
            (Some(token), deadline) => Some(token.child_by(clock, deadline)),
            (None, Some(deadline)) => Some(CancelToken::new_by(clock).with_deadline(deadline)),
            (None, None) => None,
        };
        let is_timed = deadline.is_some() || options.run_timeout.is_some();
        let level = options.priority.level();
        let extra = wrap(extra);
        let terms = Terms { extra, level, is_timed, token };
        let prepare = |raw: Raw| {
            if is_bound {
                let job = JobRef::new(raw);
                let callback = raw.token().on_cancel(move |cause| {
                    job.cancel_with(cause.clone());
                });
                raw.extra().expect("it was given").set_callback(callback);
            }
            if let Some(at) = start_by {
                raw.limit(at, |job| job.time_out(TimeoutPhase::Queued));
            }
            if let Some(at) = deadline {
                raw.limit(at, |job| job.time_out(TimeoutPhase::Total));
            }
            if let Some(at) = inherited {
                // Looking is enough: the token then calls back.
                raw.limit(at, |job| {
                    job.token().is_cancelled();
                });
            }
        };
        let result = if waits {
            accept_gated(registry, call, terms, door, prepare, |gate| dependencies.keep(gate))
        } else {
            accept(registry, call, terms, door, prepare)
        };
        if let Some(member) = member {
            match &result {
                Ok(_) if joins_whole => {}
                Ok(handle) => member.joined(handle.job_ref(), None),
                Err(_) => member.rejected(),
            }
        }
        result
    }
}

impl fmt::Debug for JobBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobBuilder")
            .field("name", &self.extra.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
