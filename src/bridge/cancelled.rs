//! A token as a future.
#![forbid(unsafe_code)]

use crate::job::waiter::Task;
use crate::job::{CancelCallback, CancelCause, CancelToken};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Ready when a token is cancelled: see [`CancelToken::cancelled`].
#[must_use = "futures do nothing unless they are polled"]
pub struct WhenCancelled {
    token: CancelToken,
    /// Who is woken, and what wakes it; once it has been polled.
    registered: Option<(Arc<Task>, CancelCallback)>,
}

impl CancelToken {
    /// Waits, as a future, until the token is cancelled, and says why.
    ///
    /// For a `select!` in async code that is to stop with the work. A deadline of the token is kept:
    /// as long as the future waits, a timer watches it, on a thread that all such futures share. By a
    /// [clock](CancelToken::with_clock) of the token's own, it is noticed when that is moved.
    ///
    /// # Panics
    /// The poll, if the system has no thread for that timer.
    ///
    /// # Cancellation
    /// Dropping the future takes back what it has left with the token.
    ///
    /// ```
    /// use windlass::{CancelCause, CancelToken};
    ///
    /// # pollster::block_on(async {
    /// let token = CancelToken::new();
    /// let canceller = std::thread::spawn({
    ///     let token = token.clone();
    ///     move || token.cancel()
    /// });
    /// assert_eq!(token.cancelled().await, CancelCause::Requested);
    /// # canceller.join().unwrap();
    /// # });
    /// ```
    pub fn cancelled(&self) -> WhenCancelled {
        WhenCancelled { token: self.clone(), registered: None }
    }
}

impl Future for WhenCancelled {
    type Output = CancelCause;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CancelCause> {
        if let Some(cause) = self.token.cause() {
            return Poll::Ready(cause);
        }
        if let Some((task, _)) = &self.registered {
            task.set(cx.waker());
        } else {
            let task = Arc::new(Task::new(cx.waker()));
            let woken = Arc::clone(&task);
            let callback = self.token.on_cancel_in_time(move |_| woken.wake());
            self.registered = Some((task, callback));
        }
        // It may have been cancelled before the waker was there.
        self.token.cause().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for WhenCancelled {
    fn drop(&mut self) {
        if let Some((task, callback)) = self.registered.take() {
            drop(callback);
            task.clear();
        }
    }
}

impl fmt::Debug for WhenCancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhenCancelled").field("token", &self.token).finish_non_exhaustive()
    }
}
