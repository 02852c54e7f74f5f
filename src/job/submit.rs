//! Getting jobs into a pool.

use super::admit::{self, Door, Held, Pass, Refusal};
use super::after::{After, Dependency, Need};
use super::board::Board;
use super::cancel::CancelToken;
use super::cx::JobCx;
use super::gate::Gate;
use super::handle::JobHandle;
use super::member::Enlist;
use super::options::{Extra, JobOptions};
use super::outcome::{SubmitError, TimeoutPhase};
use super::panic;
use super::raw::{Parts, Raw};
use super::reference::JobRef;
use super::work::{Call, Options, Plain, WithCx, Work};
use crate::Priority;
use crate::engine::clock;
use crate::engine::job::JobRef as Entry;
use crate::engine::registry::Registry;
use crate::engine::sync::fence_after_rmw;
use crate::engine::worker::Worker;
use crate::policy::admission::Ticket;
use crate::pool::{Pool, with_current_registry};
use crate::time::after;
use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, mem};

/// Queues a job, whose handle is made only then. Returns whether a worker was woken for it.
#[inline]
pub(super) fn queue(registry: &Registry, level: u8, raw: Raw) -> bool {
    let entry = match raw.row() {
        // SAFETY: by contract.
        Some(row) => unsafe { row.queue() },
        None => Some(raw.entry()),
    };
    let is_listed = entry.is_none();
    list(registry, level, entry);
    if is_listed && !registry.crew.serves(level) {
        // Of the row those were told who were to be told, and whoever takes it out of its lane and
        // leaves jobs in it tells others. Workers that are reserved for this level are told of each
        // job: one of them is to run it if whoever has the row is held up.
        fence_after_rmw();
        return false;
    }
    registry.notify_of_job(level)
}

/// Puts an entry into a lane.
#[inline]
pub(super) fn list(registry: &Registry, level: u8, entry: Option<Entry>) {
    if let Some(entry) = entry {
        Worker::with_seat_in(registry, |seat| match seat {
            Some(worker) => worker.queue_job(level, entry),
            None => registry.lanes.inject(level, entry),
        });
    }
}

/// What is said of a job beside its closure.
pub(super) struct Terms<X> {
    extra: X,
    level: u8,
    is_timed: bool,
    token: Option<CancelToken>,
}

impl Terms<()> {
    /// Of a job of which nothing is said.
    pub(super) const PLAIN: Terms<()> =
        Terms { extra: (), level: Priority::Normal.level(), is_timed: false, token: None };
}

/// Takes a job in, or gives its closure back. `prepare` is called before anybody else sees the job.
#[inline]
pub(super) fn accept<X: Options, C: Work>(
    registry: &Registry,
    call: C,
    terms: Terms<X>,
    door: Door,
    prepare: impl FnOnce(Raw),
) -> Result<JobHandle<C::Output>, SubmitError<C>> {
    let level = terms.level;
    let start = |raw: Raw, runs_here| {
        prepare(raw);
        if runs_here { raw.run_unqueued() } else { queue(registry, level, raw) }
    };
    accept_to(registry, call, terms, &door, false, start)
}

/// As [`accept`], for a job that waits: `keep` has its gate opened at some time.
fn accept_gated<X: Options, C: Work>(
    registry: &Registry,
    call: C,
    terms: Terms<X>,
    door: Door,
    prepare: impl FnOnce(Raw),
    keep: impl FnOnce(Gate),
) -> Result<JobHandle<C::Output>, SubmitError<C>> {
    let start = |raw, _| {
        prepare(raw);
        // SAFETY: made waiting, without a gate; our caller has the handle's reference.
        let gate = unsafe { Gate::new(raw, registry) };
        keep(gate.counted(Board::of(registry)));
        false
    };
    accept_to(registry, call, terms, &door, true, start)
}

#[inline]
fn accept_to<X: Options, C: Work>(
    registry: &Registry,
    call: C,
    terms: Terms<X>,
    door: &Door,
    is_gated: bool,
    start: impl FnOnce(Raw, bool) -> bool,
) -> Result<JobHandle<C::Output>, SubmitError<C>> {
    let Terms { extra, level, is_timed, token } = terms;
    // What has no options has nothing that goes by them, as the compiler is told here.
    let (is_timed, token) = if X::HAS_EXTRA {
        (is_timed, token)
    } else {
        debug_assert!(!is_timed && token.is_none());
        mem::forget(token);
        (false, None)
    };
    registry.check_not_forked();
    panic::watch();
    let board = Board::of(registry);
    let ticket = extra.extra().map_or(Ticket::PLAIN, Extra::ticket);
    if !board.is_open() {
        admit::turn_away(board, &ticket, door);
        return Err(SubmitError::ShuttingDown(call));
    }
    let (held, runs_here) = match admit::ask(registry, &ticket, door, is_gated) {
        Ok(Pass::Queue(held)) => (held, false),
        Ok(Pass::RunHere(held)) => (held, true),
        Err(Refusal::Full) => return Err(SubmitError::Full(call)),
        Err(Refusal::ShuttingDown) => return Err(SubmitError::ShuttingDown(call)),
    };
    if X::HAS_EXTRA && admit::comes_too_early(board, &ticket) {
        admit::give_back(board, &ticket, held);
        return Err(SubmitError::RateLimited(call));
    }
    board.accept(1);
    let enqueued = clock::ticks();
    let parts = Parts { call, extra, level, is_timed, token, enqueued, is_gated, held };
    let raw = Raw::new(registry, parts);
    let had_room = start(raw, runs_here);
    raw.list_in_order(board, is_gated);
    // A shutdown that has not seen our count is seen here: `start` ends with a fence, and so does
    // `Board::advance`.
    if !board.is_open()
        && let Some(call) = take_back::<X, C>(board, raw)
    {
        // It has counted as pending for a moment.
        registry.tell_idle();
        return Err(SubmitError::ShuttingDown(call));
    }
    // SAFETY: the job is a `C`, and this is its handle.
    let mut handle = unsafe { JobHandle::new(raw) };
    if had_room {
        handle.set_room(registry.to_weak());
    }
    Ok(handle)
}

/// Takes back the closure of a job that was queued while the pool began to shut down. `None`: it
/// has been run, or ended, after all.
#[cold]
fn take_back<X: Options, C: Work>(board: &Board, raw: Raw) -> Option<C> {
    if !raw.claim_unstarted() {
        return None;
    }
    // SAFETY: claimed; the reference is that which a handle would have had.
    unsafe {
        let call = raw.take_call::<X, C>();
        if let Some(extra) = raw.extra() {
            extra.forget_limits(board);
        }
        raw.give_all_back();
        board.give_back();
        raw.release();
        Some(call)
    }
}

/// The handle of a job that was not accepted.
pub(super) fn rejected<T: Send + 'static, C: Work<Output = T>>(
    registry: &Registry,
    error: SubmitError<C>,
) -> JobHandle<T> {
    let end = error.as_end();
    drop(error);
    let call = Plain(|| -> T { unreachable!("it is never run") });
    let parts = Parts {
        call,
        extra: (),
        level: Priority::Normal.level(),
        is_timed: false,
        token: None,
        enqueued: clock::ticks(),
        is_gated: false,
        held: Held::NONE,
    };
    let raw = Raw::new(registry, parts);
    // SAFETY: nobody else knows of the job, whose handle this is.
    unsafe {
        raw.reject(end);
        JobHandle::new(raw)
    }
}

pub(super) fn submit_to<T, C>(registry: &Registry, call: C) -> JobHandle<T>
where
    T: Send + 'static,
    C: Call<Output = T>,
{
    match accept(registry, call, Terms::PLAIN, Door::AsUsual, |_| ()) {
        Ok(handle) => handle,
        Err(error) => rejected(registry, error),
    }
}

pub(super) fn submit_plain<T, F>(
    registry: &Registry,
    f: F,
    door: Door,
) -> Result<JobHandle<T>, SubmitError<F>>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    accept(registry, Plain(f), Terms::PLAIN, door, |_| ()).map_err(|error| error.map(|call| call.0))
}

/// Has `f` run, which has been let in.
pub(super) fn submit_with<T, F>(registry: &Registry, f: F, held: Held) -> JobHandle<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let accepted = accept(registry, Plain(f), Terms::PLAIN, Door::With(held), |_| ());
    accepted.unwrap_or_else(|error| rejected(registry, error))
}

/// Has `f` run at a level, as a part of something that was let in; gives it back if the pool takes no
/// more jobs.
pub(crate) fn submit_at<F>(registry: &Registry, level: u8, f: F) -> Result<(), F>
where
    F: FnOnce() + Send + 'static,
{
    let (terms, door) = (Terms { level, ..Terms::PLAIN }, Door::With(Held::NONE));
    let result = accept(registry, Plain(f), terms, door, |_| ());
    result.map(JobHandle::detach).map_err(|error| error.into_inner().0)
}

/// Has `f` run in the pool that the calling thread is in, else in the global one: see
/// [`Pool::submit`].
///
/// ```
/// let handle = windlass::submit(|| 6 * 7);
/// assert_eq!(handle.wait().unwrap(), 42);
/// ```
pub fn submit<T, F>(f: F) -> JobHandle<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    with_current_registry(|registry| submit_to(registry, Plain(f)))
}

impl Pool {
    /// Has `f` run by a worker, some time from now, and returns a handle of it.
    ///
    /// Jobs of one level that are submitted by one thread start in that order, unless somebody
    /// waits for a later one. Quick ones, of some 20 us at most, are shared out in rows of some sixty,
    /// which workers run side by side. A job that panics ends with
    /// [`JobError::Panicked`](crate::JobError::Panicked); the worker goes on. Options have
    /// [`job`](Pool::job).
    ///
    /// If the pool has begun to shut down, `f` is dropped, and the handle says
    /// [`Rejected`](crate::JobError::Rejected); [`try_submit`](Pool::try_submit) gives it back. What
    /// happens if there is no room for it the pool's [limits](crate::PoolBuilder::queue) say.
    ///
    /// # Panics
    /// If the pool was made before a fork(2) of which this process is the child.
    ///
    /// # Blocking
    /// Only if the pool's limits [say so](crate::WhenFull), until there is room.
    ///
    /// ```
    /// let pool = windlass::Pool::new(2)?;
    /// let handle = pool.submit(|| "done");
    /// assert_eq!(handle.wait().unwrap(), "done");
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn submit<T, F>(&self, f: F) -> JobHandle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        submit_to(self.registry(), Plain(f))
    }

    /// As [`submit`](Pool::submit), with a closure that sees its job: to be cancelled between two
    /// steps, say.
    ///
    /// ```
    /// let pool = windlass::Pool::new(2)?;
    /// let handle = pool.submit_with(|cx| cx.is_cancelled());
    /// assert_eq!(handle.wait().unwrap(), false);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn submit_with<T, F>(&self, f: F) -> JobHandle<T>
    where
        T: Send + 'static,
        F: FnOnce(&JobCx) -> T + Send + 'static,
    {
        submit_to(self.registry(), WithCx(f))
    }

    /// Has `f` run, if there is room for it now, and else gives it back.
    ///
    /// Who waits for room comes first: while somebody does, there is none.
    ///
    /// # Errors
    /// If there is [no room](crate::PoolBuilder::queue), or the pool has begun to shut down.
    ///
    /// # Blocking
    /// Never.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{Pool, Shutdown, SubmitError};
    ///
    /// let pool = Pool::new(1)?;
    /// pool.shutdown(Shutdown::Drain, Duration::from_secs(10));
    /// let text = String::from("precious");
    /// match pool.try_submit(move || text) {
    ///     Err(SubmitError::ShuttingDown(f)) => assert_eq!(f(), "precious"),
    ///     other => unreachable!("{other:?}"),
    /// }
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn try_submit<T, F>(&self, f: F) -> Result<JobHandle<T>, SubmitError<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        submit_plain(self.registry(), f, Door::Now)
    }

    /// Names a job, to say more of it before it is submitted.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{Pool, Priority};
    ///
    /// let pool = Pool::new(2)?;
    /// let handle = pool
    ///     .job("report")
    ///     .priority(Priority::High)
    ///     .timeout(Duration::from_secs(30))
    ///     .submit(|| 42);
    /// assert_eq!(handle.name(), Some("report"));
    /// assert_eq!(handle.wait().unwrap(), 42);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn job(&self, name: impl Into<Cow<'static, str>>) -> JobBuilder<'_> {
        JobBuilder::new(self.registry(), name.into())
    }
}

/// A job that is about to be submitted. See [`Pool::job`].
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

    /// As [`Pool::submit`].
    pub fn submit<T, F>(self, f: F) -> JobHandle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.submit_call(Plain(f), Door::AsUsual)
    }

    /// As [`Pool::submit_with`].
    pub fn submit_with<T, F>(self, f: F) -> JobHandle<T>
    where
        T: Send + 'static,
        F: FnOnce(&JobCx) -> T + Send + 'static,
    {
        self.submit_call(WithCx(f), Door::AsUsual)
    }

    /// As [`Pool::try_submit`].
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
