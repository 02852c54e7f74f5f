//! What the tests of futures share.
#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Counts how often it is woken. Nobody but a test holds it when nothing is left behind.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A task that is polled by hand.
#[derive(Debug, Default)]
pub(crate) struct Task(Arc<Count>);

impl Task {
    pub(crate) fn wakes(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    /// Whether somebody still has its waker.
    pub(crate) fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Context<'_>) -> R) -> R {
        let waker = Waker::from(Arc::clone(&self.0));
        f(&mut Context::from_waker(&waker))
    }

    pub(crate) fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        self.with(|cx| Pin::new(future).poll(cx))
    }
}

/// Ready at its `n`th poll; wakes itself.
#[derive(Debug)]
pub(crate) struct Yields(pub(crate) usize);

impl Future for Yields {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Runs `future` to its end in each executor.
pub(crate) fn in_each_executor(test: impl AsyncFn()) {
    futures::executor::block_on(test());
    smol::block_on(test());
    pollster::block_on(test());
    windlass::block_on(test());
    let current = tokio::runtime::Builder::new_current_thread().build().unwrap();
    current.block_on(test());
    let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    multi.block_on(test());
}
