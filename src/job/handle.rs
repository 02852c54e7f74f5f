//! The typed handle of a job.

use super::board::{Board, JobId};
use super::cancel::CancelCause;
use super::control::CancelOutcome;
use super::life::Continue;
use super::outcome::JobError;
use super::raw::Raw;
use super::reference::{JobRef, JobState, JobTimes};
use super::tail::{CANCELS, IS_TAKEN, Tail, Wait};
use super::told::Told;
use super::waiter::{Task, Waiter};
use crate::Priority;
use crate::bridge::block_on::Helping;
use crate::engine::job::JobRef as Entry;
use crate::engine::registry::Registry;
use crate::engine::wait;
use crate::engine::worker::Worker;
use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::ptr;
use std::sync::Weak;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A job that was submitted, and the way to its result.
///
/// Each job ends once, with what its closure returned or with a [`JobError`]; the handle tells
/// which, to whoever waits ([`wait`](JobHandle::wait)), looks ([`try_take`](JobHandle::try_take)) or
/// awaits it: it is a future, of no runtime in particular.
///
/// **Dropping the handle detaches the job**: it runs all the same, and its result is dropped by the
/// worker. [`cancel_on_drop`](JobHandle::cancel_on_drop) changes that.
///
/// The handle does not keep the pool alive. When the pool is dropped its jobs end, those that have
/// not started as [`Abandoned`](JobError::Abandoned).
///
/// ```
/// use windlass::Pool;
///
/// let pool = Pool::new(2)?;
/// let sum = pool.submit(|| (1..=100).sum::<u32>());
/// let product = pool.submit(|| (1..=5).product::<u32>());
/// assert_eq!((sum.wait().unwrap(), product.wait().unwrap()), (5050, 120));
/// # Ok::<(), windlass::BuildError>(())
/// ```
#[must_use = "dropping a handle detaches the job; say `detach` if that is meant"]
pub struct JobHandle<T> {
    job: Raw,
    tail: Tail,
    marker: PhantomData<T>,
}

const _: () = assert!(size_of::<JobHandle<()>>() == 2 * size_of::<usize>());

// SAFETY: a handle is a pointer to a job, which may be used from any thread, and it moves the
// result, a `T: Send`, to the thread that has the handle.
unsafe impl<T: Send> Send for JobHandle<T> {}
// SAFETY: through `&JobHandle` nobody gets at the result.
unsafe impl<T: Send> Sync for JobHandle<T> {}
impl<T> Unpin for JobHandle<T> {}
impl<T> std::panic::UnwindSafe for JobHandle<T> {}
impl<T> std::panic::RefUnwindSafe for JobHandle<T> {}

impl<T> JobHandle<T> {
    /// # Safety
    /// The job's output is a `T`, and this is its only handle, made with it.
    #[inline]
    pub(super) unsafe fn new(job: Raw) -> Self {
        JobHandle { job, tail: Tail::new(), marker: PhantomData }
    }

    /// Its submission has woken a worker of this pool.
    #[cold]
    pub(super) fn set_room(&mut self, pool: Weak<Registry>) {
        self.tail.rest_mut().wait = Some(Wait::Room(pool));
    }

    /// Waits for the job to end, and returns its result.
    ///
    /// # Errors
    /// A [`JobError`] if the job did not complete.
    ///
    /// # Panics
    /// If the result was taken before by [`try_take`](Self::try_take) or its like.
    ///
    /// # Blocking
    /// Until the job has ended. A job that has not started is run here and now, by the calling
    /// thread, if that is a worker of the pool. So it is outside of the pool if a worker was woken for
    /// the job, which has no limit in time, and there is room for one more, or that worker has not come
    /// to itself yet: the calling thread takes its place meanwhile. Nothing else is run here. While
    /// a worker waits for a job that others run, another thread takes its place, so jobs may wait
    /// for jobs to any depth, and a lock that is held across the wait is not asked for by foreign
    /// work on this thread. The job itself must not need it. In a pool that shuts down and runs no more pending
    /// jobs it may be abandoned here instead.
    ///
    /// Who waits lends its level to the job: see [`Priority`].
    #[inline]
    #[track_caller]
    pub fn wait(self) -> Result<T, JobError> {
        if self.tail.is_empty() && (self.is_finished() || self.job.run_in_place()) {
            // The usual end of a handle, without what its drop asks.
            let job = mem::ManuallyDrop::new(self).job;
            // SAFETY: as in `take` and in `drop`. Small results stay in registers meanwhile.
            let ending = unsafe {
                let ending = job.take_ending();
                job.release();
                ending
            };
            return ending.map_err(|error| *error);
        }
        self.wait_for_it()
    }

    #[track_caller]
    fn wait_for_it(mut self) -> Result<T, JobError> {
        assert!(!self.is_taken(), "the result of the job was taken before");
        if !self.is_finished() {
            self.run_or_wait();
        }
        self.take()
    }

    /// Waits for the job to end, but no longer than so; `None`: it has not ended, or its result was
    /// taken before.
    ///
    /// # Errors
    /// A [`JobError`] if the job did not complete.
    ///
    /// # Blocking
    /// As [`wait`](Self::wait), but the job is not run by the calling thread, which could then not
    /// keep to the time. So the time may run out without the job having started, if all workers
    /// wait like this and no [spare worker](crate::PoolBuilder::max_spare_workers) is left, or if
    /// those that run need a lock which the calling thread holds.
    #[track_caller]
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<Result<T, JobError>> {
        if !self.is_taken() && !self.is_finished() {
            match Instant::now().checked_add(timeout) {
                // A time that the clock cannot express is none.
                None => self.run_or_wait(),
                deadline => self.block(deadline),
            }
        }
        self.try_take()
    }

    /// The result if the job has ended; `None` if it has not, or the result was taken before.
    ///
    /// # Errors
    /// A [`JobError`] if the job did not complete.
    pub fn try_take(&mut self) -> Option<Result<T, JobError>> {
        (!self.is_taken() && self.is_finished()).then(|| self.take())
    }

    /// The job has ended and its result is there.
    #[inline]
    fn take(&mut self) -> Result<T, JobError> {
        self.tail.set(IS_TAKEN, true);
        // SAFETY: of the type that `new` was promised; taken once.
        unsafe { self.job.take_result() }
    }

    /// Whether the job has ended.
    #[inline]
    pub fn is_finished(&self) -> bool {
        self.job.header().life.is_finished()
    }

    /// Where the job is.
    pub fn state(&self) -> JobState {
        self.with_ref(JobRef::state)
    }

    /// The job's number in its pool.
    pub fn id(&self) -> JobId {
        self.job.id()
    }

    /// The name that the job was given.
    pub fn name(&self) -> Option<&str> {
        self.job.extra().map(|extra| &*extra.name).filter(|name| !name.is_empty())
    }

    /// The level of the job: its own, or that of somebody who waits for it, if that is higher.
    pub fn priority(&self) -> Priority {
        self.with_ref(JobRef::priority)
    }

    /// When what happened to the job.
    ///
    /// ```
    /// let pool = windlass::Pool::new(1)?;
    /// let mut handle = pool.submit(|| 1);
    /// while handle.try_take().is_none() {}
    /// let times = handle.times();
    /// assert!(times.enqueued <= times.started.unwrap());
    /// assert!(times.queue_time().is_some() && times.run_time().is_some());
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn times(&self) -> JobTimes {
        self.with_ref(JobRef::times)
    }

    /// The job without its type, for a table of jobs.
    pub fn job_ref(&self) -> JobRef {
        JobRef::new(self.job)
    }

    /// As [`Raw::list_in_order`], of a job that is queued.
    #[inline]
    pub(super) fn list_in_order(&self, board: &Board) {
        self.job.list_in_order(board, false);
    }

    /// What a lane holds for the job, if it is queued on its own.
    pub(super) fn entry(&self) -> Entry {
        self.job.entry()
    }

    fn with_ref<R>(&self, f: impl FnOnce(&JobRef) -> R) -> R {
        f(&mem::ManuallyDrop::new(JobRef::borrowed(self.job)))
    }

    /// Cancels the job: [`cancel_with`](Self::cancel_with) the cause
    /// [`Requested`](CancelCause::Requested).
    pub fn cancel(&self) -> CancelOutcome {
        self.cancel_with(CancelCause::Requested)
    }

    /// Cancels the job, and says what that brought about.
    ///
    /// A job that has not started never will: its closure is dropped before this returns, and the
    /// handle has its end. One that runs is asked to stop: its
    /// [`checkpoint`](crate::checkpoint)s and its token say so, its parallel loops end, and so do
    /// its forks. It is cancelled if one of those has ended it; if its closure returns all the same,
    /// it has completed.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// use windlass::{CancelOutcome, JobError, Pool};
    ///
    /// let pool = Pool::new(1)?;
    /// let endless = pool.submit(|| windlass::iter::repeat(1_u64).map(std::hint::black_box).sum::<u64>());
    /// while !matches!(endless.state(), windlass::JobState::Running) {
    ///     std::thread::yield_now();
    /// }
    /// assert_eq!(endless.cancel(), CancelOutcome::Requested);
    /// assert!(matches!(endless.wait(), Err(JobError::Cancelled { had_started: true, .. })));
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn cancel_with(&self, cause: CancelCause) -> CancelOutcome {
        self.job.cancel(cause)
    }

    /// Lets the job go: it runs, and nobody hears of its end. If it panics, only the panic hook
    /// tells.
    pub fn detach(mut self) {
        self.tail.set(CANCELS, false);
    }

    /// Makes the drop of the handle cancel the job, as [`cancel`](Self::cancel) does.
    ///
    /// ```
    /// use windlass::prelude::*;
    ///
    /// let pool = windlass::Pool::new(1)?;
    /// let job = {
    ///     let handle = pool.submit(|| windlass::iter::repeat(1_u64).map(std::hint::black_box).sum::<u64>());
    ///     let handle = handle.cancel_on_drop();
    ///     handle.job_ref()
    /// };
    /// assert!(pool.wait_idle(std::time::Duration::from_secs(10)));
    /// assert!(job.is_finished());
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn cancel_on_drop(mut self) -> Self {
        self.tail.set(CANCELS, true);
        self
    }

    /// Ends the job if it has not started, because the pool shuts down.
    pub(super) fn abandon(&self) {
        self.job.abandon();
    }

    // ---- waiting

    #[cold]
    #[track_caller]
    fn run_or_wait(&mut self) {
        let is_run = if self.job.is_here() { self.run() } else { self.run_if_room() };
        // Or it waits to be tried again.
        if !(is_run && self.is_finished()) {
            self.block(None);
        }
    }

    /// Runs the job here and now, from outside of its pool, if that was about to begin with it, or has
    /// room for one more.
    fn run_if_room(&self) -> bool {
        let Some(Wait::Room(pool)) = self.wait_of() else { return false };
        // One with a limit in time may end before its closure does, and the wait with it.
        let pool = if self.job.is_timed() { None } else { pool.upgrade() };
        let Some(pool) = pool else { return false };
        let _helping = Helping::set(false);
        self.with_ref(|job| job.run_if_room(&pool))
    }

    /// Runs the job here and now, if it is queued, the calling thread is in its pool, and is about to
    /// wait for it.
    pub(crate) fn run_if_queued(&self) -> bool {
        self.job.is_here() && self.run()
    }

    fn run(&self) -> bool {
        // What it polls is its own affair.
        let _helping = Helping::set(false);
        self.with_ref(JobRef::run_now)
    }

    /// When it has ended, in ticks. `None`: not yet, or it was never accepted.
    pub(crate) fn finished_ticks(&self) -> Option<u64> {
        self.job.header().stamps.finished(self.job.common().begun)
    }

    #[inline]
    pub(crate) fn is_taken(&self) -> bool {
        self.tail.has(IS_TAKEN)
    }

    fn wait_of(&self) -> Option<&Wait> {
        self.tail.rest()?.wait.as_ref()
    }

    /// Blocks until the job has ended or the time is up.
    #[track_caller]
    fn block(&mut self, deadline: Option<Instant>) {
        let job = self.job;
        Worker::with_current(|worker| {
            if let Some(worker) = worker.filter(|worker| job.is_in(worker.registry())) {
                job.lend_level(worker);
            }
        });
        let enqueued = job.header().stamps.enqueued(job.common().begun);
        let has_time = deadline.is_none_or(|deadline| deadline > Instant::now() + wait::SPIN);
        if has_time && wait::spin_since(enqueued, || job.header().life.is_finished()) {
            return;
        }
        if !matches!(self.wait_of(), Some(Wait::Told(_))) {
            let Some(waiter) = job.header().life.attach_new(Waiter::new()) else { return };
            self.tail.rest_mut().wait = Some(Wait::Told(waiter));
        }
        if let Some(Wait::Told(waiter)) = self.wait_of() {
            waiter.block(deadline);
        }
    }

    fn task(&self) -> Option<&Told<Task>> {
        self.tail.rest()?.task.as_deref()
    }

    /// Has `cx`'s task woken when the job ends. `false`: it has ended.
    fn attend(&mut self, cx: &Context<'_>) -> bool {
        match self.task() {
            Some(task) => task.set(cx.waker()),
            None => {
                let task = self.job.header().life.attach_new(Task::new(cx.waker()));
                let Some(task) = task else { return false };
                self.tail.rest_mut().task = Some(task);
            }
        }
        // It may have ended before the waker was there.
        !self.is_finished()
    }

    /// Has `target` told when the job ends. `false`: it has ended.
    pub(crate) fn tell(&self, target: impl Continue) -> bool {
        self.job.header().life.attach_new(target).is_some()
    }
}

impl<T: Send + 'static> JobHandle<T> {
    /// The handle without its type.
    pub(crate) fn erase(self) -> AnyHandle {
        // SAFETY: nobody gets at the result by that handle.
        AnyHandle { handle: unsafe { self.with_type() }, of: TypeId::of::<T>() }
    }
}

impl<T> JobHandle<T> {
    /// As a handle of another type. All that a handle does, its end included, does not go by the type, but for
    /// taking the result.
    ///
    /// # Safety
    /// The result is taken only by a handle of its own type.
    unsafe fn with_type<U>(self) -> JobHandle<U> {
        let this = mem::ManuallyDrop::new(self);
        // SAFETY: moved out of what is not used any more.
        let tail = unsafe { ptr::read(&raw const this.tail) };
        JobHandle { job: this.job, tail, marker: PhantomData }
    }
}

/// A handle whose type somebody else knows.
pub(crate) struct AnyHandle {
    handle: JobHandle<()>,
    of: TypeId,
}

impl AnyHandle {
    /// `None`: it is of another type.
    pub(crate) fn downcast<T: Send + 'static>(self) -> Option<JobHandle<T>> {
        // SAFETY: of the type that it had when it was erased.
        (self.of == TypeId::of::<T>()).then(|| unsafe { self.handle.with_type() })
    }
}

impl<T> Future for JobHandle<T> {
    type Output = Result<T, JobError>;

    /// # Panics
    /// If the result was taken before.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(!self.is_taken(), "the result of the job was taken before");
        if !self.is_finished() {
            // In `block_on` on a worker. If it has just begun elsewhere, its end wakes us.
            let _ = Helping::is_on() && self.run_if_queued();
            if !self.is_finished() && self.attend(cx) {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.take())
    }
}

impl<T> Drop for JobHandle<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(task) = self.task() {
            // The job keeps its share until it ends, but not the waker.
            task.clear();
        }
        if self.tail.has(CANCELS) && !self.is_taken() && !self.is_finished() {
            self.job.cancel(CancelCause::Requested);
        }
        if self.is_taken() || !self.job.header().life.detach() {
            // It has ended: what handle and runner shared is ours (`life` I4).
            // SAFETY: nobody else takes the result; the reference is the one that was shared.
            unsafe {
                if !self.is_taken() {
                    self.job.drop_result();
                }
                self.job.release();
            }
        }
    }
}

impl<T> fmt::Debug for JobHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobHandle")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("state", &self.state())
            .finish()
    }
}
