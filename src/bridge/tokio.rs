//! Where tokio and Windlass meet: cancel tokens both ways, and waits that would block a runtime.
//!
//! Nothing else needs this: every future of the crate may be awaited in tokio's tasks, and any
//! closure of a job may hold a [`Handle`](tokio::runtime::Handle).
//!
//! # Tokens
//!
//! [`forward`] cancels one of theirs with one of ours, [`follow`] one of ours with one of theirs.
//! Neither needs a task or a runtime: whoever cancels the one cancels the other, on the spot.
//!
//! # Blocking waits
//!
//! [`JobHandle::wait`](crate::JobHandle::wait), [`block_on`](crate::block_on) and their like block
//! the thread. On one that polls tasks of a runtime this holds up all of its other tasks, and is a
//! deadlock if the job waits for one of those: such a handle is to be awaited. With this feature
//! such a wait is reported before it blocks: to the hook of [`on_blocking_wait`]; if there is none,
//! in debug builds on standard error, once for each place in the code. Threads of `spawn_blocking`
//! are meant for that and not reported, nor is `block_in_place`, nor what has an unlimited budget
//! ([`unconstrained`](tokio::task::coop::unconstrained)).

use crate::job::{CancelCallback, CancelToken};
use ::tokio::runtime::Handle;
use ::tokio::task::coop;
use std::collections::BTreeSet;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Context, Poll, Wake, Waker};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Cancels `theirs` when `ours` is cancelled, until the registration is dropped.
///
/// A deadline of ours is kept, as for [`cancelled`](CancelToken::cancelled).
///
/// ```
/// use tokio_util::sync::CancellationToken;
/// use windlass::{CancelToken, tokio_compat};
///
/// let (ours, theirs) = (CancelToken::new(), CancellationToken::new());
/// let registration = tokio_compat::forward(&ours, &theirs);
/// ours.cancel();
/// assert!(theirs.is_cancelled());
/// # drop(registration);
/// ```
pub fn forward(ours: &CancelToken, theirs: &CancellationToken) -> CancelCallback {
    let theirs = theirs.clone();
    ours.on_cancel_in_time(move |_| theirs.cancel())
}

/// Cancels `ours` when `theirs` is cancelled, until what this returns is dropped.
///
/// ```
/// use tokio_util::sync::CancellationToken;
/// use windlass::{CancelToken, tokio_compat};
///
/// let (ours, theirs) = (CancelToken::new(), CancellationToken::new());
/// let following = tokio_compat::follow(&ours, &theirs);
/// theirs.cancel();
/// assert!(ours.is_cancelled());
/// # drop(following);
/// ```
pub fn follow(ours: &CancelToken, theirs: &CancellationToken) -> Following {
    let (ours, wait) = (ours.clone(), theirs.clone().cancelled_owned());
    let (theirs, wait) = (theirs.clone(), Mutex::new(Some(Box::pin(wait))));
    let link = Arc::new(Link { ours, theirs, wait });
    link.look();
    Following(link)
}

/// Makes a token of ours follow one of theirs, as long as it lives: see [`follow`].
#[must_use = "dropping it ends the connection"]
pub struct Following(Arc<Link>);

struct Link {
    ours: CancelToken,
    theirs: CancellationToken,
    /// Holds a waker of the link, so it is taken out when it is of no more use.
    wait: Mutex<Option<Pin<Box<WaitForCancellationFutureOwned>>>>,
}

impl Link {
    fn look(self: &Arc<Self>) {
        let wait = lock(&self.wait).take();
        if let Some(mut wait) = wait {
            let waker = Waker::from(Arc::clone(self));
            if wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                *lock(&self.wait) = Some(wait);
            }
        }
        // Who cancels while the future is being polled may have found none to poll.
        if self.theirs.is_cancelled() {
            self.close();
            self.ours.cancel();
        }
    }

    fn close(&self) {
        let wait = lock(&self.wait).take();
        drop(wait);
    }
}

impl Wake for Link {
    fn wake(self: Arc<Self>) {
        self.look();
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Following").field("token", &self.0.ours).finish_non_exhaustive()
    }
}

// ---- blocking waits

type Hook = dyn Fn(&'static Location<'static>) + Send + Sync;

static HOOK: RwLock<Option<Arc<Hook>>> = RwLock::new(None);

/// Has `hook` called, with the place of the call, before a wait blocks a thread that polls tasks of
/// tokio: to log it, to count it, or to panic, which then comes out of the wait. It takes the place
/// of the one before, in the whole process.
///
/// ```
/// use windlass::{Pool, tokio_compat};
///
/// tokio_compat::on_blocking_wait(|place| panic!("{place} blocks the runtime"));
/// let pool = Pool::new(1)?;
/// let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// let job = pool.submit(|| std::thread::sleep(std::time::Duration::from_millis(50)));
/// while job.state() == windlass::JobState::Queued {}
/// let task = runtime.spawn(async { job.wait() });
/// assert!(runtime.block_on(task).unwrap_err().is_panic());
/// # Ok::<(), windlass::BuildError>(())
/// ```
pub fn on_blocking_wait(hook: impl Fn(&'static Location<'static>) + Send + Sync + 'static) {
    let old = HOOK.write().unwrap_or_else(PoisonError::into_inner).replace(Arc::new(hook));
    drop(old);
}

/// Whether the calling thread polls a task of tokio: only then is there a budget, which every poll
/// of something of tokio's takes a little of. It is tried out, and put back.
fn polls_a_task() -> bool {
    if Handle::try_current().is_err() {
        return false;
    }
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(before) = coop::poll_proceed(&mut cx) else { return true };
    let is_limited = (0..u8::MAX).any(|_| match coop::poll_proceed(&mut cx) {
        Poll::Ready(taken) => {
            taken.made_progress();
            false
        }
        Poll::Pending => true,
    });
    // Puts back what there was before the first.
    drop(before);
    is_limited
}

/// The calling thread is about to block.
#[track_caller]
pub(crate) fn note_blocking_wait() {
    let place = Location::caller();
    if !polls_a_task() {
        return;
    }
    let hook = HOOK.read().unwrap_or_else(PoisonError::into_inner).clone();
    match hook {
        Some(hook) => hook(place),
        None if cfg!(debug_assertions) => warn_once(place),
        None => {}
    }
}

fn warn_once(place: &'static Location<'static>) {
    static WARNED: Mutex<BTreeSet<&'static Location<'static>>> = Mutex::new(BTreeSet::new());
    if lock(&WARNED).insert(place) {
        eprintln!(
            "windlass: the wait at {place} blocks a thread that polls tasks of tokio; await instead"
        );
    }
}
