//! Futures on the lanes.
//!
//! `async_task` has the state machine; here is what a poll is for the pool: a step, queued like a
//! job and run by a worker that has nothing else in hand, so never inside of a wait (L2), but for
//! that of `block_on` for this very future. The future as a whole is what the pool has accepted, and counts (L3).
//!
//! I1. A future ends once, when it is dropped: by the poll that ends it, or by whoever finds that nobody
//!     will poll it any more. Its outcome is counted then, before the handle is told; `resolved` is
//!     counted after that.
//! I2. What keeps the state alive, its waker and the callback of its token, is let go when the future
//!     is dropped. So nothing is left behind but what the handle holds.
//! I3. The result goes by a place of our own, not by `async_task`, which aborts the process when the
//!     waker of whoever awaits it panics.
#![forbid(unsafe_code)]

use super::block_on::Helping;
use crate::Priority;
use crate::engine::registry::Registry;
use crate::engine::sync::{AtomicBool, Mutex, Ordering, fence, lock};
use crate::engine::unwind;
use crate::job::waiter::{drop_waker, wake};
use crate::job::{
    Board, CancelCallback, CancelCause, CancelToken, JobError, JobId, JobOutcome, JobPanic, JobRef,
    queue_step, take_current_location, watch_panics,
};
use crate::pool::Pool;
use async_task::Runnable;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

/// What a spawned future is to its pool, and to its handle.
struct State<T> {
    /// A future that sleeps does not keep the pool.
    registry: Weak<Registry>,
    id: JobId,
    level: u8,
    token: CancelToken,
    /// Wakes the future when the token is cancelled.
    callback: Mutex<Option<CancelCallback>>,
    /// The step that is queued, if one is.
    step: Mutex<Option<JobRef>>,
    has_started: AtomicBool,
    has_ended: AtomicBool,
    is_resolved: AtomicBool,
    result: Mutex<Ending<T>>,
}

enum Ending<T> {
    /// Not yet; who is to be woken then.
    Awaited(Option<Waker>),
    /// The handle is gone.
    Detached,
    Ended(Result<T, JobError>),
    Taken,
}

impl<T> State<T> {
    /// The future is gone.
    fn end(&self, outcome: JobOutcome, result: Result<T, JobError>) {
        let (callback, step) = (lock(&self.callback).take(), lock(&self.step).take());
        drop((callback, step));
        if let Some(registry) = self.registry.upgrade() {
            let board = Board::of(&registry);
            drop(board.remove_future(self.id));
            board.counter().count(outcome);
        }
        let (waker, unwanted) = {
            let mut ending = lock(&self.result);
            match &mut *ending {
                Ending::Awaited(waker) => {
                    let waker = waker.take();
                    *ending = Ending::Ended(result);
                    (waker, None)
                }
                _ => (None, Some(result)),
            }
        };
        unwind::drop_quietly(unwanted);
        // Release pairs with the Acquire in `resolve`.
        self.has_ended.store(true, Ordering::Release);
        wake(waker);
    }

    /// Whoever had the future in hand is done with it.
    fn resolve(&self) {
        if self.has_ended.load(Ordering::Acquire)
            && !self.is_resolved.swap(true, Ordering::AcqRel)
            && let Some(registry) = self.registry.upgrade()
        {
            Board::of(&registry).counter().resolved();
            registry.tell_idle();
        }
    }

    /// Runs the step that is queued, for whoever waits for the future in its pool.
    fn run_step(&self) -> bool {
        let step = lock(&self.step).take();
        step.is_some_and(|step| step.run_if_queued())
    }

    fn cancelled(&self, cause: CancelCause) -> JobError {
        let had_started = self.has_started.load(Ordering::Relaxed);
        JobError::Cancelled { cause, had_started }
    }
}

impl<T: Send + 'static> State<T> {
    /// Queues the next step, on behalf of `async_task`.
    fn schedule(self: &Arc<Self>, runnable: Runnable) {
        let step = Step { runnable: Some(runnable), state: Arc::clone(self) };
        // If the pool is gone the step is dropped, and the future with it.
        if let Some(registry) = self.registry.upgrade() {
            let step = queue_step(&registry, self.level, self.id, move || step.run());
            // It may have run by now, or be about to be replaced: then nobody can run it.
            let old = lock(&self.step).replace(step);
            drop(old);
        }
    }
}

/// A poll that is about to be made.
struct Step<T> {
    runnable: Option<Runnable>,
    state: Arc<State<T>>,
}

impl<T> Step<T> {
    fn run(mut self) {
        if let Some(runnable) = self.runnable.take() {
            runnable.run();
        }
    }
}

impl<T> Drop for Step<T> {
    fn drop(&mut self) {
        // If it was not run, nobody polls the future again.
        unwind::drop_quietly(self.runnable.take());
        self.state.resolve();
    }
}

/// What `async_task` polls: the future, and how it ends.
struct Body<F: Future> {
    /// `None`: it has ended.
    future: Option<Pin<Box<F>>>,
    state: Arc<State<F::Output>>,
}

impl<F: Future> Body<F> {
    fn end(&mut self, outcome: JobOutcome, result: Result<F::Output, JobError>) {
        // Its destructor is the user's.
        unwind::drop_quietly(self.future.take());
        self.state.end(outcome, result);
    }
}

impl<F: Future> Future for Body<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let state = &this.state;
        let Some(future) = &mut this.future else { return Poll::Ready(()) };
        // What it computes ends with the token, too.
        let polled = unwind::catch(|| {
            state.token.run(|| {
                state.has_started.store(true, Ordering::Relaxed);
                future.as_mut().poll(cx)
            })
        });
        let (outcome, result) = match polled {
            Ok(Ok(Poll::Pending)) => return Poll::Pending,
            Ok(Ok(Poll::Ready(output))) => (JobOutcome::Completed, Ok(output)),
            Ok(Err(cancelled)) => {
                (JobOutcome::Cancelled, Err(state.cancelled(cancelled.cause().clone())))
            }
            Err(payload) => {
                let panic = JobPanic::new(payload, take_current_location());
                (JobOutcome::Panicked, Err(JobError::Panicked(panic)))
            }
        };
        this.end(outcome, result);
        Poll::Ready(())
    }
}

impl<F: Future> Drop for Body<F> {
    fn drop(&mut self) {
        if self.future.is_some() {
            self.end(JobOutcome::Abandoned, Err(JobError::Abandoned));
        }
    }
}

impl Pool {
    /// Runs a future on the pool's workers: each poll is a step, queued and run like a job of the
    /// level Normal.
    ///
    /// For async code that computes: what it does between two awaits takes place in the lanes, with
    /// the other jobs, and may fork. It drives no timers and no sockets; a future that needs a
    /// runtime is to be spawned there. A worker that waits for something polls no future meanwhile,
    /// so a lock that it holds is not asked for by one.
    ///
    /// The pool counts the future as one job, which is pending until it ends, but against no
    /// [limit](crate::PoolBuilder::queue): it is not queued while it sleeps. A
    /// [`shutdown`](Pool::shutdown) that drains waits for it, one that discards drops it where it
    /// awaits, and its handle says [`Abandoned`](JobError::Abandoned).
    ///
    /// A panic comes out of the handle as [`Panicked`](JobError::Panicked). **Dropping the handle
    /// detaches the future**, as with [`submit`](Pool::submit);
    /// [`cancel_on_drop`](FutureHandle::cancel_on_drop) changes that.
    ///
    /// # Panics
    /// If the pool was made before a fork(2) of which this process is the child.
    ///
    /// # Blocking
    /// Never.
    ///
    /// # Cancellation
    /// [`FutureHandle::cancel`] drops the future at its next step, which it queues; parallel loops
    /// in it end early.
    ///
    /// ```
    /// use windlass::Pool;
    ///
    /// # pollster::block_on(async {
    /// let pool = Pool::new(2).unwrap();
    /// let inner = pool.clone();
    /// let handle = pool.spawn_future(async move {
    ///     let words = inner.run(|| vec!["steal", "fork"]).await.unwrap();
    ///     words.len()
    /// });
    /// assert_eq!(handle.await.unwrap(), 2);
    /// # });
    /// ```
    pub fn spawn_future<F>(&self, future: F) -> FutureHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.spawn_future_at(Priority::Normal, future)
    }

    /// As [`spawn_future`](Pool::spawn_future), with steps of this level.
    pub fn spawn_future_at<F>(&self, priority: Priority, future: F) -> FutureHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let pool = self.registry();
        pool.check_not_forked();
        watch_panics();
        let board = Board::of(pool);
        let (registry, level, token) = (pool.to_weak(), priority.level(), CancelToken::new());
        board.accept(1);
        let id = board.number();
        // Pairs with the fence in `Board::advance`: either a shutdown sees that there is one more to
        // wait for, or it is seen here.
        fence(Ordering::SeqCst);
        let is_open = board.is_open();
        if !is_open {
            board.give_back();
            // It has counted as pending for a moment.
            pool.tell_idle();
        }
        let state = Arc::new(State {
            registry,
            id,
            level,
            token,
            callback: Mutex::new(None),
            step: Mutex::new(None),
            has_started: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            is_resolved: AtomicBool::new(false),
            result: Mutex::new(Ending::Awaited(None)),
        });
        let handle = FutureHandle { state: Arc::clone(&state), cancels: false };
        if !is_open {
            unwind::drop_quietly(future);
            *lock(&state.result) = Ending::Ended(Err(JobError::Rejected));
            return handle;
        }
        let body = Body { future: Some(Box::pin(future)), state: Arc::clone(&state) };
        let scheduler = Arc::clone(&state);
        let (runnable, task) =
            async_task::spawn(body, move |runnable| scheduler.schedule(runnable));
        board.add_future(id, runnable.waker());
        let waker = runnable.waker();
        let callback = state.token.on_cancel(move |_| waker.wake());
        *lock(&state.callback) = Some(callback);
        task.detach();
        // It may end at once.
        runnable.schedule();
        handle
    }
}

/// A future that runs in a pool, and the way to its result: see [`Pool::spawn_future`].
#[must_use = "dropping a handle detaches the future; say `detach` if that is meant"]
pub struct FutureHandle<T> {
    state: Arc<State<T>>,
    cancels: bool,
}

impl<T> FutureHandle<T> {
    /// The future's number among the jobs of its pool.
    pub fn id(&self) -> JobId {
        self.state.id
    }

    /// Whether it has ended, in whatever way.
    pub fn is_finished(&self) -> bool {
        !matches!(*lock(&self.state.result), Ending::Awaited(_))
    }

    /// Asks the future to stop: it is dropped at its next step, which comes now if it sleeps.
    /// Returns false if it had ended, or had been asked before.
    ///
    /// ```
    /// use windlass::{JobError, Pool};
    ///
    /// # pollster::block_on(async {
    /// let pool = Pool::new(1).unwrap();
    /// let handle = pool.spawn_future(std::future::pending::<()>());
    /// assert!(handle.cancel());
    /// assert!(matches!(handle.await, Err(JobError::Cancelled { .. })));
    /// # });
    /// ```
    pub fn cancel(&self) -> bool {
        self.cancel_with(CancelCause::Requested)
    }

    /// As [`cancel`](Self::cancel), for this cause.
    pub fn cancel_with(&self, cause: CancelCause) -> bool {
        !self.is_finished() && self.state.token.cancel_with(cause)
    }

    /// Lets the future run on, without anybody to see how it ends.
    pub fn detach(mut self) {
        self.cancels = false;
    }

    /// Makes the drop of the handle cancel the future, as [`cancel`](Self::cancel) does.
    pub fn cancel_on_drop(mut self) -> Self {
        self.cancels = true;
        self
    }
}

impl<T> Future for FutureHandle<T> {
    type Output = Result<T, JobError>;

    /// # Panics
    /// If it has been ready before.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // In `block_on` on a worker, which waits for this very future.
        while Helping::is_on() && !self.is_finished() && self.state.run_step() {}
        // Outside of the lock, as it is the user's code.
        let new = cx.waker().clone();
        let mut ending = lock(&self.state.result);
        if let Ending::Awaited(waker) = &mut *ending {
            let old = waker.replace(new);
            drop(ending);
            drop_waker(old);
            return Poll::Pending;
        }
        let ended = mem::replace(&mut *ending, Ending::Taken);
        drop(ending);
        match ended {
            Ending::Ended(result) => Poll::Ready(result),
            _ => panic!("the result of the future was taken before"),
        }
    }
}

impl<T> Drop for FutureHandle<T> {
    fn drop(&mut self) {
        let ending = mem::replace(&mut *lock(&self.state.result), Ending::Detached);
        if self.cancels && matches!(ending, Ending::Awaited(_)) {
            self.state.token.cancel();
        }
        // A result's destructor is the user's, and so is a waker's.
        unwind::drop_quietly(ending);
    }
}

impl<T> fmt::Debug for FutureHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FutureHandle")
            .field("id", &self.id())
            .field("is_finished", &self.is_finished())
            .finish()
    }
}
