//! Getting jobs into a pool.

use super::admit::{self, Door, Held, Pass, Refusal};
use super::board::Board;
use super::builder::JobBuilder;
use super::cancel::CancelToken;
use super::cx::JobCx;
use super::gate::Gate;
use super::handle::JobHandle;
use super::options::Extra;
use super::outcome::SubmitError;
use super::panic;
use super::raw::{Parts, Raw};
use super::work::{Call, Options, Plain, WithCx, Work};
use crate::Priority;
use crate::engine::clock;
use crate::engine::job::JobRef as Entry;
use crate::engine::registry::Registry;
use crate::engine::sync::fence_after_rmw;
use crate::engine::worker::Worker;
use crate::policy::admission::Ticket;
use crate::pool::{Pool, with_current_registry};
use std::borrow::Cow;
use std::mem;

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
    pub(super) extra: X,
    pub(super) level: u8,
    pub(super) is_timed: bool,
    pub(super) token: Option<CancelToken>,
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
pub(super) fn accept_gated<X: Options, C: Work>(
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
