//! Futures on the lanes: polled by workers that have nothing else in hand, ended once, and gone with their pool.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use crate::tasks::{Task, Yields, in_each_executor};
use futures::channel::{mpsc, oneshot};
use futures::{SinkExt, StreamExt};
use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use windlass::iter::ParallelIterator as _;
use windlass::{CancelCause, JobError, Pool, Priority, Shutdown, block_on, join, scope};

#[test]
fn workers_poll_and_any_executor_awaits() {
    at_each_width(|pool| {
        in_each_executor(async || {
            let inner = pool.clone();
            let handle = pool.spawn_future(async move {
                assert!(inner.current_worker().is_some());
                Yields(3).await;
                assert!(inner.current_worker().is_some());
                let (a, b) = (inner.run(|| 20), inner.submit(|| 22));
                let sum = a.await.unwrap() + b.await.unwrap();
                let (c, d) = join(|| 1, || 2);
                sum + c + d
            });
            assert_eq!(handle.await.unwrap(), 45);
        });
        assert!(pool.wait_idle(LONG));
    });
}

/// Two futures hand a ball to and fro, and others get on.
#[test]
fn futures_wake_each_other() {
    at_each_width(|pool| {
        let (mut to, mut from) = (mpsc::channel::<usize>(0), mpsc::channel::<usize>(0));
        let rounds = scale(1_000);
        let ping = pool.spawn_future_at(Priority::High, async move {
            for n in 0..rounds {
                to.0.send(n).await.unwrap();
                assert_eq!(from.1.next().await, Some(n + 1));
            }
        });
        let pong = pool.spawn_future_at(Priority::Background, async move {
            while let Some(n) = to.1.next().await {
                from.0.send(n + 1).await.unwrap();
            }
        });
        let yields: Vec<_> = (0..20).map(|n| pool.spawn_future(Yields(n))).collect();
        block_on(ping).unwrap();
        block_on(pong).unwrap();
        for handle in yields {
            block_on(handle).unwrap();
        }
        assert!(pool.wait_idle(LONG));
        // Each counts once, however often it was polled.
        let counts = pool.job_counts();
        assert_eq!((counts.accepted, counts.completed), (22, 22));
    });
}

thread_local! {
    static WAITS: Cell<bool> = const { Cell::new(false) };
}

/// L2: what a worker holds across a wait is not asked for by a future on the same thread.
#[test]
fn no_future_is_polled_inside_of_a_wait() {
    at_each_width(|pool| {
        let is_over = Arc::new(AtomicBool::new(false));
        let futures: Vec<_> = (0..4)
            .map(|_| {
                let is_over = Arc::clone(&is_over);
                pool.spawn_future(poll_fn(move |cx: &mut Context<'_>| {
                    assert!(!WAITS.get(), "polled inside of a wait");
                    cx.waker().wake_by_ref();
                    if is_over.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
                }))
            })
            .collect();
        let jobs = (0..pool.num_workers()).map(|_| {
            let inner = pool.clone();
            move || {
                for _ in 0..scale(200) {
                    WAITS.set(true);
                    join(|| fib(4), || fib(4));
                    scope(|s| s.spawn(|_| _ = fib(4)));
                    inner.submit(|| fib(4)).wait().unwrap();
                    inner.submit(|| fib(4)).wait_timeout(LONG).unwrap().unwrap();
                    block_on(inner.run(|| fib(4))).unwrap();
                    WAITS.set(false);
                }
            }
        });
        for handle in pool.submit_many(jobs) {
            handle.wait().unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
        for handle in futures {
            block_on(handle).unwrap();
        }
    });
}

#[test]
fn a_panic_reaches_whoever_awaits_the_future() {
    at_each_width(|pool| {
        let handle = pool.spawn_future(async {
            Yields(1).await;
            panic!("no {}", "way")
        });
        match block_on(handle) {
            Err(JobError::Panicked(panic)) => {
                assert_eq!(panic.message(), Some("no way"));
                assert!(panic.location().unwrap().file().ends_with("async_spawn.rs"));
            }
            Ok(()) | Err(_) => panic!("it must panic"),
        }
        assert!(pool.wait_idle(LONG));
        assert_eq!(pool.job_counts().panicked, 1);
        assert_eq!(pool.submit(|| 1).wait().unwrap(), 1);
    });
}

#[test]
fn a_future_is_cancelled_wherever_it_is() {
    at_each_width(|pool| {
        let held = Arc::new(());
        let is_cancelled = |result: Result<(), JobError>, started| match result {
            Err(JobError::Cancelled { cause, had_started }) => {
                assert_eq!((cause, had_started), ("enough".into(), started));
            }
            other => panic!("{other:?}"),
        };
        // Queued.
        let (gate, blockers) = block(pool);
        let inner = Arc::clone(&held);
        let handle = pool.spawn_future(async move { unreachable!("{inner:?}") });
        assert!(handle.cancel_with("enough".into()) && !handle.cancel());
        end(&gate, blockers);
        is_cancelled(block_on(handle), false);

        // Asleep.
        let (inner, polled) = (Arc::clone(&held), Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&polled);
        let handle = pool.spawn_future(async move {
            let _held = inner;
            told.store(true, Ordering::SeqCst);
            pending().await
        });
        until(|| polled.load(Ordering::SeqCst));
        assert!(handle.cancel_with("enough".into()));
        is_cancelled(block_on(handle), true);

        // In the middle of a loop.
        let (inner, rounds) = (Arc::clone(&held), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&rounds);
        let handle = pool.spawn_future(async move {
            let _held = inner;
            windlass::iter::repeat(()).for_each(|()| _ = count.fetch_add(1, Ordering::SeqCst));
        });
        until(|| rounds.load(Ordering::SeqCst) > 0);
        assert!(handle.cancel_with("enough".into()));
        is_cancelled(block_on(handle), true);

        assert!(pool.wait_idle(LONG));
        assert_eq!(Arc::strong_count(&held), 1);
        let (counts, blockers) = (pool.job_counts(), pool.num_workers() as u64);
        assert_eq!((counts.accepted - blockers, counts.cancelled), (3, 3));
        let handle = pool.spawn_future(async {});
        until(|| handle.is_finished());
        assert!(!handle.cancel());
        block_on(handle).unwrap();
    });
}

#[test]
fn a_dropped_handle_detaches_or_cancels_and_leaves_nothing() {
    at_each_width(|pool| {
        let (task, held) = (Task::default(), Arc::new(()));
        for cancels in [false, true] {
            let (sender, receiver) = oneshot::channel::<()>();
            let inner = Arc::clone(&held);
            let handle = pool.spawn_future(async move {
                _ = receiver.await;
                inner
            });
            let mut handle = if cancels { handle.cancel_on_drop() } else { handle };
            assert!(task.poll(&mut handle).is_pending() && task.is_held());
            drop(handle);
            assert!(!task.is_held());
            if !cancels {
                assert_eq!(pool.job_counts().pending(), 1);
                sender.send(()).unwrap();
            }
            assert!(pool.wait_idle(LONG));
            until(|| Arc::strong_count(&held) == 1);
        }
        let counts = pool.job_counts();
        assert_eq!((counts.completed, counts.cancelled, task.wakes()), (1, 1, 0));
        // Ended, and never looked at.
        let inner = Arc::clone(&held);
        let handle = pool.spawn_future(async move { inner });
        until(|| handle.is_finished());
        drop(handle);
        assert!(pool.wait_idle(LONG));
        until(|| Arc::strong_count(&held) == 1);
    });
}

#[test]
fn whatever_panics_in_a_destructor_or_a_waker_harms_nobody() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            throw("destructor");
        }
    }
    struct BadFuture(bool);
    impl Future for BadFuture {
        type Output = Bad;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Bad> {
            if self.0 { Poll::Ready(Bad) } else { Poll::Pending }
        }
    }
    impl Drop for BadFuture {
        fn drop(&mut self) {
            throw("future");
        }
    }
    struct BadWaker;
    impl std::task::Wake for BadWaker {
        fn wake(self: Arc<Self>) {
            throw("waker");
        }
    }
    at_each_width(|pool| {
        pool.spawn_future(BadFuture(true)).detach();
        drop(pool.spawn_future(BadFuture(false)).cancel_on_drop());
        let (gate, blockers) = block(pool);
        let mut handle = pool.spawn_future(async {});
        let waker = Arc::new(BadWaker).into();
        assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
        end(&gate, blockers);
        block_on(handle).unwrap();
        assert!(pool.wait_idle(LONG));
        let counts = pool.job_counts();
        assert_eq!((counts.pending(), counts.cancelled), (0, 1));
        assert_eq!(pool.submit(|| 1).wait().unwrap(), 1);
    });
}

// ---- the end of the pool

#[test]
fn a_shutdown_that_drains_waits_for_futures_and_one_that_discards_drops_them() {
    for width in WIDTHS {
        for how in [Shutdown::Drain, Shutdown::CancelPending, Shutdown::CancelAll] {
            let pool = Pool::new(width).unwrap();
            watchdog(&pool, || {
                let held = Arc::new(());
                let polled = Arc::new(AtomicUsize::new(0));
                let (senders, handles): (Vec<_>, Vec<_>) = (0..4)
                    .map(|n| {
                        let (sender, receiver) = oneshot::channel::<usize>();
                        let (held, polled) = (Arc::clone(&held), Arc::clone(&polled));
                        let handle = pool.spawn_future(async move {
                            polled.fetch_add(1, Ordering::SeqCst);
                            let n = receiver.await.unwrap();
                            Yields(n).await;
                            drop(held);
                            n
                        });
                        ((n, sender), handle)
                    })
                    .unzip();
                until(|| polled.load(Ordering::SeqCst) == 4);
                let late = std::thread::spawn({
                    let pool = pool.clone();
                    move || {
                        // The shutdown has begun.
                        until(|| pool.try_submit(|| ()).is_err());
                        senders.into_iter().for_each(|(n, sender)| _ = sender.send(n));
                    }
                });
                let report = pool.shutdown(how, LONG);
                late.join().unwrap();
                assert!(report.is_complete(), "{report:?}");
                for (n, handle) in handles.into_iter().enumerate() {
                    match (how, block_on(handle)) {
                        (Shutdown::Drain, Ok(value)) => assert_eq!(value, n),
                        (Shutdown::CancelPending | Shutdown::CancelAll, Ok(_)) => {}
                        (_, Err(JobError::Abandoned)) if how != Shutdown::Drain => {}
                        (_, other) => panic!("{how:?}: {other:?}"),
                    }
                }
                assert_eq!(Arc::strong_count(&held), 1);
                let counts = pool.job_counts();
                assert_eq!(counts.pending(), 0);
                let rejected = pool.spawn_future(async {});
                assert!(rejected.is_finished());
                assert!(matches!(block_on(rejected), Err(JobError::Rejected)));
                assert_eq!(pool.job_counts().accepted, counts.accepted);
            });
        }
    }
}

/// U4: a wake from another thread races the drop of the pool.
#[test]
fn a_future_ends_when_its_pool_does() {
    deadline(|| {
        for round in 0..scale(300) {
            let pool = Pool::new(1 + round % 3).unwrap();
            let (held, waker) = (Arc::new(()), Arc::new(Mutex::new(None)));
            let (inner, slot) = (Arc::clone(&held), Arc::clone(&waker));
            let mut is_first = true;
            let handle = pool.spawn_future(poll_fn(move |cx: &mut Context<'_>| {
                let _held = &inner;
                if std::mem::take(&mut is_first) {
                    *slot.lock().unwrap() = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(())
            }));
            until(|| waker.lock().unwrap().is_some());
            let waker = waker.lock().unwrap().take().unwrap();
            let wakes = std::thread::spawn(move || waker.wake());
            drop(pool);
            assert!(matches!(block_on(handle), Ok(()) | Err(JobError::Abandoned)));
            wakes.join().unwrap();
            assert_eq!(Arc::strong_count(&held), 1);
        }
    });
}

/// U5: a waker that is used up inside of the poll, and one that is used long after the end.
#[test]
#[allow(clippy::waker_clone_wake, reason = "used up, which is the question")]
fn wakers_may_be_used_at_any_time() {
    at_each_width(|pool| {
        let kept = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&kept);
        let handle = pool.spawn_future(poll_fn(move |cx: &mut Context<'_>| {
            *slot.lock().unwrap() = Some(cx.waker().clone());
            cx.waker().clone().wake();
            Poll::Ready(7)
        }));
        assert_eq!(block_on(handle).unwrap(), 7);
        assert!(pool.wait_idle(LONG));
        kept.lock().unwrap().take().unwrap().wake();
        assert_eq!(pool.job_counts().completed, 1);
    });
}

/// SEMANTICS 6.18: a pool that is dropped by one of its own futures ends.
#[test]
fn a_future_may_hold_its_pool() {
    deadline(|| {
        for width in WIDTHS {
            let pool = Pool::new(width).unwrap();
            let inner = pool.clone();
            let handle = pool.spawn_future(async move {
                Yields(2).await;
                inner.num_workers()
            });
            drop(pool);
            assert_eq!(block_on(handle).unwrap(), width);
        }
    });
}

#[test]
fn the_cause_of_a_cancelled_token_is_told() {
    at_each_width(|pool| {
        let handle = pool.spawn_future(pending::<()>());
        handle.cancel();
        assert!(matches!(
            block_on(handle),
            Err(JobError::Cancelled { cause: CancelCause::Requested, .. })
        ));
    });
}
