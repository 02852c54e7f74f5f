//! A future on a thread that waits for it.
//!
//! I1. A wake is noted before whoever waits is told, both under one lock, and is forgotten before
//!     the future is polled. So a wake during a poll leads to another poll.
//! I2. A handle that is polled by [`block_on`] on a thread of its pool runs its job, or its future's
//!     next step, if that is queued: the thread waits for it, so it may (L2), and there may be nobody
//!     else.
#![forbid(unsafe_code)]

use crate::engine::sync::{Mutex, lock};
use crate::engine::wait;
use crate::engine::worker::Worker;
use crate::job::waiter::Waiter;
use std::cell::Cell;
use std::future::IntoFuture;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

#[cfg(not(shuttle))]
thread_local! {
    static HELPS: Cell<bool> = const { Cell::new(false) };
}
// Its threads are tasks of one thread.
#[cfg(shuttle)]
shuttle::thread_local! {
    static HELPS: Cell<bool> = Cell::new(false);
}

/// Says, as long as it lives, whether handles that this thread polls run their jobs.
pub(crate) struct Helping {
    before: bool,
}

impl Helping {
    pub(crate) fn set(helps: bool) -> Self {
        // A thread that is about to end helps nobody.
        Helping { before: HELPS.try_with(|cell| cell.replace(helps)).unwrap_or(false) }
    }

    pub(crate) fn is_on() -> bool {
        HELPS.try_with(Cell::get).unwrap_or(false)
    }
}

impl Drop for Helping {
    fn drop(&mut self) {
        let _ = HELPS.try_with(|cell| cell.set(self.before));
    }
}

/// Wakes a thread that polls.
#[derive(Default)]
struct Bell(Mutex<Rung>);

#[derive(Default)]
struct Rung {
    is_rung: bool,
    waiter: Option<Arc<Waiter>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waiter = {
            let mut rung = lock(&self.0);
            rung.is_rung = true;
            rung.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter.tell();
        }
    }
}

impl Bell {
    /// Blocks until it is rung.
    #[track_caller]
    fn wait(&self) {
        if !wait::spin(|| lock(&self.0).is_rung) {
            let waiter = {
                let mut rung = lock(&self.0);
                let waiter = (!rung.is_rung).then(|| Arc::new(Waiter::new()));
                rung.waiter.clone_from(&waiter);
                waiter
            };
            if let Some(waiter) = waiter {
                waiter.block(None);
            }
        }
        lock(&self.0).is_rung = false;
    }
}

/// Polls the future on the calling thread until it is ready, and blocks in between.
///
/// For async code at the edge of a program without a runtime, and inside of jobs. It drives no
/// timers and no sockets: a future that needs a runtime for those is to be blocked on there.
///
/// # Panics
/// If the future does.
///
/// # Blocking
/// Until the future is ready. On a thread of a pool this is a wait like
/// [`JobHandle::wait`](crate::JobHandle::wait): while the thread sleeps another one takes its
/// place, and a handle of the same pool that is polled, by whatever combinator, has its job run here
/// and now if that is queued, or its [spawned future](crate::Pool::spawn_future) polled. Nothing
/// else is. So it ends also in a pool of one worker, and without
/// [spare workers](crate::PoolBuilder::max_spare_workers), as far as it waits for what it polls
/// itself. The `block_on` of another crate knows nothing of the pool, and keeps its worker: in a job
/// use this one.
///
/// ```
/// use windlass::{Pool, block_on};
///
/// let pool = Pool::new(1)?;
/// assert_eq!(block_on(pool.run(|| 42)).unwrap(), 42);
///
/// // In a job, of a pool with one worker.
/// let inner = pool.clone();
/// let outer = pool.submit(move || block_on(async {
///     let (a, b) = (inner.run(|| 20), inner.run(|| 22));
///     a.await.unwrap() + b.await.unwrap()
/// }));
/// assert_eq!(outer.wait().unwrap(), 42);
/// # Ok::<(), windlass::BuildError>(())
/// ```
#[track_caller]
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut cx = Context::from_waker(&waker);
    let helps = Worker::with_current(|worker| worker.is_some());
    loop {
        let helping = Helping::set(helps);
        let polled = future.as_mut().poll(&mut cx);
        drop(helping);
        match polled {
            Poll::Ready(output) => return output,
            Poll::Pending => bell.wait(),
        }
    }
}
