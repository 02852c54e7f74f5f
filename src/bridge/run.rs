//! A job whose future cancels it.
#![forbid(unsafe_code)]

use crate::job::{
    JobBuilder, JobCx, JobError, JobHandle, JobRef, SubmitAsync, SubmitError, current,
};
use crate::pool::Pool;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A job and its result as a future, which cancels the job when it is dropped: see [`Pool::run`].
///
/// ```
/// # pollster::block_on(async {
/// let pool = windlass::Pool::new(2).unwrap();
/// assert_eq!(pool.run(|| 6 * 7).await.unwrap(), 42);
/// # });
/// ```
#[must_use = "dropping it cancels the job"]
pub struct Run<T>(State<T>);

type Entered<T> = Result<JobHandle<T>, JobError>;

enum State<T> {
    /// It waits for room.
    Entering(Pin<Box<dyn Future<Output = Entered<T>> + Send>>),
    /// It has been accepted, and is cancelled with its handle.
    Accepted(JobHandle<T>),
    /// It was not accepted. `None`: that has been told.
    Refused(Option<JobError>),
}

impl<T> From<Entered<T>> for State<T> {
    fn from(entered: Entered<T>) -> Self {
        match entered {
            Ok(handle) => State::Accepted(handle.cancel_on_drop()),
            Err(error) => State::Refused(Some(error)),
        }
    }
}

impl<T: Send + 'static> Run<T> {
    fn submit<F>(pool: &Pool, f: F) -> Self
    where
        F: FnOnce() -> T + Send + 'static,
    {
        if pool.is_bounded() {
            return Run::enter(pool.submit_async(f));
        }
        // There is nothing to wait for.
        Run(pool.try_submit(f).map_err(|error| error.as_end()).into())
    }

    /// Lets the job in at once if there is room, or else takes its place in line.
    fn enter<F>(mut entry: SubmitAsync<T, F>) -> Self
    where
        F: FnOnce() -> T + Send + 'static,
    {
        let wait = |entered: Result<_, SubmitError<F>>| entered.map_err(|error| error.as_end());
        Run(match Pin::new(&mut entry).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(entered) => wait(entered).into(),
            Poll::Pending => State::Entering(Box::pin(async move { wait(entry.await) })),
        })
    }
}

impl<T> Run<T> {
    /// The job without its type, for a table of jobs, and to cancel it by. `None`: it has not been
    /// accepted yet, or was not.
    pub fn job_ref(&self) -> Option<JobRef> {
        match &self.0 {
            State::Accepted(handle) => Some(handle.job_ref()),
            State::Entering(_) | State::Refused(_) => None,
        }
    }

    /// The handle, when it has been accepted. It still cancels its job.
    pub(super) fn poll_handle(&mut self, cx: &mut Context<'_>) -> Poll<Entered<T>> {
        if let Poll::Ready(error) = self.poll_entered(cx) {
            let state = std::mem::replace(&mut self.0, State::Refused(None));
            return Poll::Ready(match state {
                State::Accepted(handle) => Ok(handle),
                _ => Err(error.expect("it was refused")),
            });
        }
        Poll::Pending
    }

    /// Ready when it does not wait for room any more; with an error if it was refused.
    fn poll_entered(&mut self, cx: &mut Context<'_>) -> Poll<Option<JobError>> {
        if let State::Entering(entry) = &mut self.0 {
            let Poll::Ready(entered) = entry.as_mut().poll(cx) else { return Poll::Pending };
            self.0 = entered.into();
        }
        match &mut self.0 {
            State::Refused(error) => {
                Poll::Ready(Some(error.take().expect("the result of the job was taken before")))
            }
            _ => Poll::Ready(None),
        }
    }
}

impl<T> Future for Run<T> {
    type Output = Result<T, JobError>;

    /// # Panics
    /// If it has been ready before.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.poll_entered(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(error)) => Poll::Ready(Err(error)),
            Poll::Ready(None) => match &mut self.0 {
                State::Accepted(handle) => Pin::new(handle).poll(cx),
                _ => unreachable!("it waits no more, and was not refused"),
            },
        }
    }
}

impl<T> fmt::Debug for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Run").field(&self.job_ref()).finish()
    }
}

/// A closure that finds its job by itself.
fn with_cx<T, F>(f: F) -> impl FnOnce() -> T + Send + 'static
where
    F: FnOnce(&JobCx) -> T + Send + 'static,
{
    move || f(&current().expect("it runs as a job"))
}

impl Pool {
    /// Has `f` run by a worker, and returns a future of its result: what async code awaits instead
    /// of computing on a thread of its runtime.
    ///
    /// The job is submitted by this call, not by the first poll: several may be under way before
    /// any of them is awaited. If the pool is [bounded](crate::PoolBuilder::queue) and has no room,
    /// the future waits for it, in line with others, whatever is said [for that
    /// case](crate::WhenFull); [`try_run`](Pool::try_run) does not. **Dropping the future cancels the job**: one that has not started never
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
    /// See above. What `f` had made is dropped by a worker. One that waits for room gives its place
    /// up.
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
        Run::submit(self, f)
    }

    /// As [`run`](Pool::run), but gives the closure back if there is no room: for a service that
    /// rather refuses a request than lets it wait.
    ///
    /// # Errors
    /// As [`try_submit`](Pool::try_submit).
    ///
    /// ```
    /// use windlass::{Bound, Pool, SubmitError};
    ///
    /// # pollster::block_on(async {
    /// let pool = Pool::builder().workers(1).queue(Bound::in_flight(1)).build().unwrap();
    /// let endless = pool.try_run(|| while windlass::checkpoint().is_ok() {}).unwrap();
    /// assert!(matches!(pool.try_run(|| 1), Err(SubmitError::Full(_))));
    /// drop(endless);
    /// // This one waits until the other has ended.
    /// assert_eq!(pool.run(|| 1).await.unwrap(), 1);
    /// # });
    /// ```
    pub fn try_run<T, F>(&self, f: F) -> Result<Run<T>, SubmitError<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.try_submit(f).map(|handle| Run(Ok(handle).into()))
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
        Run::submit(self, with_cx(f))
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
        Run::enter(self.submit_async(f))
    }

    /// As [`Pool::try_run`].
    ///
    /// # Errors
    /// As [`Pool::try_submit`].
    pub fn try_run<T, F>(self, f: F) -> Result<Run<T>, SubmitError<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.try_submit(f).map(|handle| Run(Ok(handle).into()))
    }

    /// As [`Pool::run_with`].
    pub fn run_with<T, F>(self, f: F) -> Run<T>
    where
        T: Send + 'static,
        F: FnOnce(&JobCx) -> T + Send + 'static,
    {
        Run::enter(self.submit_async(with_cx(f)))
    }
}
