//! A job whose future cancels it.
#![forbid(unsafe_code)]

use crate::job::{CancelOutcome, JobBuilder, JobCx, JobError, JobHandle, JobId, JobRef};
use crate::pool::Pool;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A job and its result as a future, which cancels the job when it is dropped: see [`Pool::run`].
///
/// ```
/// # pollster::block_on(async {
/// let pool = windlass::Pool::new(2).unwrap();
/// assert_eq!(pool.run(|| 6 * 7).await.unwrap(), 42);
/// # });
/// ```
#[must_use = "dropping it cancels the job"]
pub struct Run<T>(JobHandle<T>);

impl<T> Run<T> {
    fn new(handle: JobHandle<T>) -> Self {
        Run(handle.cancel_on_drop())
    }

    /// The job's number in its pool.
    pub fn id(&self) -> JobId {
        self.0.id()
    }

    /// The job without its type, for a table of jobs.
    pub fn job_ref(&self) -> JobRef {
        self.0.job_ref()
    }

    /// As [`JobHandle::cancel`].
    pub fn cancel(&self) -> CancelOutcome {
        self.0.cancel()
    }

    /// The handle, which still cancels the job when it is dropped, unless it is
    /// [detached](JobHandle::detach).
    pub fn into_handle(self) -> JobHandle<T> {
        self.0
    }
}

impl<T> Future for Run<T> {
    type Output = Result<T, JobError>;

    /// # Panics
    /// If it has been ready before.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> fmt::Debug for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Run").field(&self.0).finish()
    }
}

impl Pool {
    /// Has `f` run by a worker, and returns a future of its result: what async code awaits instead
    /// of computing on a thread of its runtime.
    ///
    /// The job is submitted by this call, not by the first poll: several may be under way before
    /// any of them is awaited. **Dropping the future cancels the job**: one that has not started never
    /// does, one that runs is asked to stop, so that its loops end and
    /// [`checkpoint`](crate::checkpoint) says so. So a request that its client has given up, a
    /// timeout or a `select!` that another branch has won gives the cores back. A plain
    /// [`submit`](Pool::submit) may be awaited too, and runs on when its handle is dropped.
    ///
    /// Any executor will do; the future is woken once, by the worker that has run the job.
    ///
    /// # Errors
    /// A [`JobError`] if the job did not complete; a panic of `f` is one
    /// ([`Panicked`](JobError::Panicked)).
    ///
    /// # Blocking
    /// Never.
    ///
    /// # Cancellation
    /// See above. What `f` had made is dropped by a worker.
    ///
    /// ```
    /// use windlass::prelude::*;
    ///
    /// # pollster::block_on(async {
    /// let pool = windlass::Pool::new(2).unwrap();
    /// let pages = vec!["steal", "fork", "join"];
    /// let longest = pool.run(move || pages.par_iter().map(|page| page.len()).max());
    /// assert_eq!(longest.await.unwrap(), Some(5));
    ///
    /// // The loop would never end by itself.
    /// let endless = pool.run(|| windlass::iter::repeat(1_u64).sum::<u64>());
    /// drop(endless);
    /// assert!(pool.wait_idle(std::time::Duration::from_secs(10)));
    /// # });
    /// ```
    pub fn run<T, F>(&self, f: F) -> Run<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        Run::new(self.submit(f))
    }

    /// As [`run`](Pool::run), with a closure that sees its job: to look between two steps whether
    /// anybody still waits.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// let pool = windlass::Pool::new(2).unwrap();
    /// let steps = pool.run_with(|cx| (0..1_000).take_while(|_| !cx.is_cancelled()).count());
    /// assert_eq!(steps.await.unwrap(), 1_000);
    /// # });
    /// ```
    pub fn run_with<T, F>(&self, f: F) -> Run<T>
    where
        T: Send + 'static,
        F: FnOnce(&JobCx) -> T + Send + 'static,
    {
        Run::new(self.submit_with(f))
    }
}

impl JobBuilder<'_> {
    /// As [`Pool::run`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::Priority;
    ///
    /// # pollster::block_on(async {
    /// let pool = windlass::Pool::new(2).unwrap();
    /// let job = pool.job("search").priority(Priority::High).timeout(Duration::from_secs(5));
    /// assert_eq!(job.run(|| 42).await.unwrap(), 42);
    /// # });
    /// ```
    pub fn run<T, F>(self, f: F) -> Run<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        Run::new(self.submit(f))
    }

    /// As [`Pool::run_with`].
    pub fn run_with<T, F>(self, f: F) -> Run<T>
    where
        T: Send + 'static,
        F: FnOnce(&JobCx) -> T + Send + 'static,
    {
        Run::new(self.submit_with(f))
    }
}
