//! Futures and streams over the whole pool, under random schedules: who wakes, who completes, who drops.
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test --release --test shuttle_async
//! ```
//!
//! As `tests/shuttle_jobs.rs`. The twins at the end do one step of a protocol in the wrong order, and must be seen to fail.
#![cfg(shuttle)]

#[path = "common/schedules.rs"]
mod schedules;

use futures_core::Stream;
use schedules::{explore_some, pool, throw};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use windlass::{CancelToken, JobError, Shutdown, as_completed, block_on};

const ITERATIONS: usize = 3_000;
/// There is no time under shuttle.
const FOR_EVER: Duration = Duration::MAX;

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    explore_some(ITERATIONS, scenario);
}

/// Counts with atomics of std, so that it adds no steps to the schedule.
type Count = std::sync::Arc<AtomicUsize>;

/// Counts its drops.
struct Probe(Count);

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    block_on(poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)))
}

/// Polls once, for a task that nobody wakes.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

// A job that is awaited.

#[test]
fn a_run_is_awaited_dropped_and_cancelled() {
    for workers in [1, 2] {
        for goes in [false, true] {
            explore(move || {
                let (pool, dropped) = (pool(workers), Count::default());
                let probe = Probe(dropped.clone());
                let mut run = pool.run(move || {
                    thread::yield_now();
                    probe
                });
                let job = run.job_ref().unwrap();
                let canceller = thread::spawn(move || job.cancel());
                if goes {
                    let _ = poll_once(&mut run);
                    drop(run);
                } else {
                    match block_on(run) {
                        Ok(_) | Err(JobError::Cancelled { had_started: false, .. }) => {}
                        Err(other) => unreachable!("{other:?}"),
                    }
                }
                canceller.join().unwrap();
                assert!(pool.wait_idle(FOR_EVER));
                assert_eq!(dropped.load(Relaxed), 1);
            });
        }
    }
}

#[test]
fn block_on_in_a_worker_runs_what_it_waits_for() {
    for workers in [1, 2] {
        explore(move || {
            let pool = pool(workers);
            let jobs = [(); 2].map(|()| {
                let inner = pool.clone();
                pool.submit(move || {
                    let job = block_on(inner.run(|| 1)).unwrap();
                    job + block_on(inner.spawn_future(async { 2 })).unwrap()
                })
            });
            jobs.into_iter().for_each(|job| assert_eq!(job.wait().unwrap(), 3));
        });
    }
}

// Many jobs.

#[test]
fn each_job_is_yielded_once() {
    for workers in [1, 2] {
        for blocks in [false, true] {
            explore(move || {
                let pool = pool(workers);
                let handles =
                    [pool.submit(|| 0), pool.submit(throw), pool.submit(|| 2), pool.submit(|| 3)];
                let job = handles[2].job_ref();
                let canceller = thread::spawn(move || job.cancel());
                let mut seen = 0_u32;
                let mut results = as_completed(handles);
                let mut enter = |(index, result): (usize, Result<usize, JobError>)| {
                    assert_eq!(seen & 1 << index, 0, "{index} twice");
                    seen |= 1 << index;
                    match (index, result) {
                        (1, Err(JobError::Panicked(_))) | (2, Err(JobError::Cancelled { .. })) => {}
                        (index, Ok(value)) => assert_eq!(index, value),
                        (index, other) => unreachable!("{index}: {other:?}"),
                    }
                };
                if blocks {
                    results.into_iter().for_each(enter);
                } else {
                    while let Some(item) = next(&mut results) {
                        enter(item);
                    }
                }
                assert_eq!(seen, 0b1111);
                canceller.join().unwrap();
            });
        }
    }
}

#[test]
fn a_stream_is_dropped_while_its_jobs_end() {
    explore(|| {
        let (pool, dropped) = (pool(2), Count::default());
        let handles = [(); 3].map(|()| {
            let probe = Probe(dropped.clone());
            pool.submit(move || probe).cancel_on_drop()
        });
        let mut results = as_completed(handles);
        drop(next(&mut results));
        let mut cx = Context::from_waker(Waker::noop());
        drop(Pin::new(&mut results).poll_next(&mut cx));
        drop(results);
        assert!(pool.wait_idle(FOR_EVER));
        assert_eq!(dropped.load(Relaxed), 3);
    });
}

#[test]
fn a_map_yields_all_or_ends_with_the_first_error() {
    for workers in [1, 2] {
        for is_ordered in [true, false] {
            for bad in [usize::MAX, 1] {
                explore_some(ITERATIONS / 2, move || {
                    let pool = pool(workers);
                    let f = move |n: usize| if n == bad { throw() } else { n };
                    let map = pool.map_async(0..4, f).limit(2);
                    let mut results = if is_ordered { map } else { map.unordered() };
                    let mut values = Vec::new();
                    let error = loop {
                        match next(&mut results) {
                            Some(Ok(value)) => values.push(value),
                            Some(Err(error)) => break Some(error),
                            None => break None,
                        }
                    };
                    assert!(next(&mut results).is_none());
                    if bad == usize::MAX {
                        values.sort_unstable();
                        assert!(error.is_none() && values == [0, 1, 2, 3]);
                    } else {
                        assert!(matches!(error, Some(JobError::Panicked(_))));
                        assert!(!is_ordered || values == [0]);
                    }
                    drop(results);
                    assert!(pool.wait_idle(FOR_EVER));
                });
            }
        }
    }
}

// Futures on the lanes.

#[test]
fn a_spawned_future_is_woken_cancelled_and_dropped() {
    for workers in [1, 2] {
        for goes in [false, true] {
            explore(move || {
                let (pool, dropped) = (pool(workers), Count::default());
                let token = CancelToken::new();
                let (inner, probe) = (token.clone(), Probe(dropped.clone()));
                let handle = pool.spawn_future(async move {
                    let _probe = probe;
                    inner.cancelled().await
                });
                let waker = thread::spawn(move || token.cancel());
                if goes {
                    drop(handle.cancel_on_drop());
                } else {
                    handle.cancel();
                    match block_on(handle) {
                        Ok(_) | Err(JobError::Cancelled { .. }) => {}
                        Err(other) => unreachable!("{other:?}"),
                    }
                }
                waker.join().unwrap();
                assert!(pool.wait_idle(FOR_EVER));
                assert_eq!(dropped.load(Relaxed), 1);
                let counts = pool.job_counts();
                assert_eq!((counts.accepted, counts.completed + counts.cancelled), (1, 1));
            });
        }
    }
}

#[test]
fn a_shutdown_races_a_wake_and_a_spawn() {
    for how in [Shutdown::Drain, Shutdown::CancelPending, Shutdown::CancelAll] {
        explore(move || {
            let (pool, dropped) = (pool(1), Count::default());
            let token = CancelToken::new();
            let (inner, probe) = (token.clone(), Probe(dropped.clone()));
            let early = pool.spawn_future(async move {
                let _probe = probe;
                inner.cancelled().await
            });
            let other = {
                let (pool, probe) = (pool.clone(), Probe(dropped.clone()));
                thread::spawn(move || {
                    token.cancel();
                    block_on(pool.spawn_future(async move { drop(probe) })).err()
                })
            };
            let report = pool.shutdown(how, FOR_EVER);
            assert!(report.threads_ended, "{report:?}");
            match block_on(early) {
                Ok(_) => {}
                Err(JobError::Abandoned) => assert_ne!(how, Shutdown::Drain),
                Err(other) => unreachable!("{other:?}"),
            }
            match other.join().unwrap() {
                None | Some(JobError::Rejected) => {}
                Some(JobError::Abandoned) => assert_ne!(how, Shutdown::Drain),
                Some(other) => unreachable!("{other:?}"),
            }
            assert!(pool.wait_idle(FOR_EVER));
            assert_eq!(pool.job_counts().pending(), 0);
            assert_eq!(dropped.load(Relaxed), 2);
        });
    }
}

// The protocol between who puts and who waits, and twins of it that lose a wake.

/// What `bridge::inbox` does, and where a twin departs from it.
#[derive(Clone, Copy, PartialEq)]
enum Inbox {
    /// Looks and says that it waits under one lock.
    Right,
    /// Looks, and says that it waits later: an item that comes in between tells nobody.
    LooksTooEarly,
    /// Whoever puts takes out who waits before the item is there.
    TellsTooEarly,
}

fn hand_over(inbox: Inbox) {
    type Shared = Mutex<(VecDeque<u32>, Option<Waker>)>;
    let shared: Arc<Shared> = Arc::default();
    let putter = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            for n in 0..2 {
                let waker = if inbox == Inbox::TellsTooEarly {
                    let waker = shared.lock().unwrap().1.take();
                    shared.lock().unwrap().0.push_back(n);
                    waker
                } else {
                    let mut shared = shared.lock().unwrap();
                    shared.0.push_back(n);
                    shared.1.take()
                };
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        })
    };
    for n in 0..2 {
        let took = block_on(poll_fn(|cx| {
            let mut state = shared.lock().unwrap();
            if let Some(item) = state.0.pop_front() {
                return Poll::Ready(item);
            }
            if inbox == Inbox::LooksTooEarly {
                drop(state);
                state = shared.lock().unwrap();
            }
            state.1 = Some(cx.waker().clone());
            Poll::Pending
        }));
        assert_eq!(took, n);
    }
    putter.join().unwrap();
}

#[test]
fn what_is_put_reaches_who_waits() {
    explore(|| hand_over(Inbox::Right));
}

#[test]
#[should_panic(expected = "deadlock")]
fn twin_who_looks_too_early_sleeps_for_ever() {
    explore(|| hand_over(Inbox::LooksTooEarly));
}

#[test]
#[should_panic(expected = "deadlock")]
fn twin_who_is_told_too_early_sleeps_for_ever() {
    explore(|| hand_over(Inbox::TellsTooEarly));
}
