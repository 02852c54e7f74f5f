//! A job is awaited by any executor, ends for whoever awaits it in each of its ways, and leaves nothing behind when
//! nobody does any more.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use crate::tasks::{Task, in_each_executor};
use futures::StreamExt;
use futures::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;
use windlass::iter::ParallelIterator as _;
use windlass::{
    AsCompleted, Bound, CancelCause, JobError, Pool, Priority, SubmitError, TimeoutPhase,
    as_completed, block_on,
};

#[test]
fn every_executor_awaits_jobs() {
    at_each_width(|pool| {
        in_each_executor(async || {
            let handles = (0..50).map(|n| pool.submit(move || n));
            let runs = (0..50).map(|n| pool.run(move || n));
            let named = pool.job("one").priority(Priority::High).run_with(|cx| cx.name().is_some());
            let (handles, runs) = (join_all(handles).await, join_all(runs).await);
            for (n, (a, b)) in handles.into_iter().zip(runs).enumerate() {
                assert_eq!((a.unwrap(), b.unwrap()), (n, n));
            }
            assert!(named.await.unwrap());
        });
    });
}

#[test]
fn dropped_before_it_starts_a_run_never_does() {
    at_each_width(|pool| {
        for is_polled in [false, true] {
            let (gate, blockers) = block(pool);
            let (task, captured) = (Task::default(), Arc::new(()));
            let held = Arc::clone(&captured);
            let before = pool.job_counts().cancelled;
            let mut run = pool.run(move || -> () { unreachable!("{held:?}") });
            if is_polled {
                assert!(task.poll(&mut run).is_pending());
            }
            drop(run);
            // At once: the worker is still busy.
            assert_eq!(Arc::strong_count(&captured), 1);
            assert!(!task.is_held() && task.wakes() == 0);
            assert_eq!(pool.job_counts().cancelled, before + 1);
            end(&gate, blockers);
        }
        assert!(pool.wait_idle(LONG));
    });
}

#[test]
fn dropped_while_it_runs_a_run_stops_down_to_its_inner_loop() {
    at_each_width(|pool| {
        for is_polled in [false, true] {
            let (rounds, task) = (Arc::new(AtomicUsize::new(0)), Task::default());
            let count = Arc::clone(&rounds);
            let mut run = pool.run(move || {
                windlass::iter::repeat(()).for_each(|()| _ = count.fetch_add(1, Ordering::SeqCst));
            });
            if is_polled {
                assert!(task.poll(&mut run).is_pending());
            }
            until(|| rounds.load(Ordering::SeqCst) > 0);
            drop(run);
            assert!(!task.is_held());
            assert!(pool.wait_idle(LONG));
            // What it captured is gone, so nothing of it can run.
            assert_eq!(Arc::strong_count(&rounds), 1);
            assert_eq!(task.wakes(), 0);
        }
        assert_eq!(pool.job_counts().cancelled, 2);
    });
}

#[test]
fn dropped_when_it_has_ended_a_future_leaves_nothing() {
    at_each_width(|pool| {
        for is_polled in [false, true] {
            let (result, task) = (Arc::new(()), Task::default());
            let (gate, blockers) = block(pool);
            let made = Arc::clone(&result);
            let mut run = pool.run(move || made);
            if is_polled {
                assert!(task.poll(&mut run).is_pending());
            }
            end(&gate, blockers);
            let job = run.job_ref();
            until(|| job.as_ref().unwrap().is_finished());
            drop(run);
            assert_eq!(Arc::strong_count(&result), 1);
            assert!(pool.wait_idle(LONG));
            until(|| !task.is_held());
            assert!(task.wakes() <= usize::from(is_polled));
        }
    });
}

#[test]
fn a_detached_handle_takes_its_waker_along() {
    at_each_width(|pool| {
        let (gate, blockers) = block(pool);
        let (mut handle, task) = (pool.submit(|| 1), Task::default());
        assert!(task.poll(&mut handle).is_pending());
        assert!(task.is_held());
        handle.detach();
        assert!(!task.is_held());
        end(&gate, blockers);
        assert!(pool.wait_idle(LONG));
        assert_eq!(task.wakes(), 0);
    });
}

#[test]
fn a_task_is_woken_once_and_not_before_the_end() {
    at_each_width(|pool| {
        let (gate, blockers) = block(pool);
        let (mut handle, task) = (pool.submit(|| 1), Task::default());
        for _ in 0..3 {
            assert!(task.poll(&mut handle).is_pending());
        }
        assert_eq!(task.wakes(), 0);
        end(&gate, blockers);
        until(|| task.wakes() > 0);
        assert!(matches!(task.poll(&mut handle), Poll::Ready(Ok(1))));
        drop(handle);
        assert!(pool.wait_idle(LONG));
        assert_eq!((task.wakes(), task.is_held()), (1, false));
    });
}

#[test]
fn a_panic_reaches_whoever_awaits() {
    at_each_width(|pool| {
        in_each_executor(async || match pool.run(|| -> () { panic!("with {}", "care") }).await {
            Err(JobError::Panicked(panic)) => {
                assert_eq!(panic.message(), Some("with care"));
                assert!(panic.location().unwrap().file().ends_with("async_jobs.rs"));
            }
            other => panic!("{other:?}"),
        });
    });
}

/// SEMANTICS 6.1.
#[test]
fn a_job_that_is_cancelled_wakes_everybody_who_waits_for_it() {
    at_each_width(|pool| {
        for is_early in [true, false] {
            let (gate, blockers) = block(pool);
            let (awaited, stream, iterated) =
                (pool.submit(|| ()), pool.submit(|| ()), pool.submit(|| ()));
            let jobs = [awaited.job_ref(), stream.job_ref(), iterated.job_ref()];
            let cancel = move || jobs.iter().for_each(|job| _ = job.cancel());
            let canceller = if is_early {
                cancel();
                None
            } else {
                Some(std::thread::spawn(cancel))
            };
            let is_cancelled = |result: &Result<(), JobError>| {
                matches!(
                    result,
                    Err(JobError::Cancelled { cause: CancelCause::Requested, had_started: false })
                )
            };
            assert!(is_cancelled(&block_on(awaited)));
            let of_stream = block_on(as_completed([stream]).collect::<Vec<_>>());
            assert!(of_stream.len() == 1 && is_cancelled(&of_stream[0].1));
            let of_iterator: Vec<_> = as_completed([iterated]).into_iter().collect();
            assert!(of_iterator.len() == 1 && is_cancelled(&of_iterator[0].1));
            end(&gate, blockers);
            canceller.into_iter().for_each(|thread| thread.join().unwrap());
        }
    });
}

/// SEMANTICS 6.6.
#[test]
fn a_job_that_runs_too_long_ends_for_who_awaits_it_and_counts_until_it_returns() {
    struct Bad(#[allow(dead_code, reason = "counted")] Arc<()>);
    impl Drop for Bad {
        fn drop(&mut self) {
            throw("late");
        }
    }
    at_each_width(|pool| {
        let (gate, late) = (Gate::default(), Arc::new(()));
        let (inner, made) = (gate.clone(), Arc::clone(&late));
        let run = pool.job("long").run_timeout(Duration::from_millis(1)).run(move || {
            inner.wait();
            Bad(made)
        });
        let phase = TimeoutPhase::Running;
        assert!(matches!(block_on(run), Err(JobError::TimedOut { phase: at }) if at == phase));
        let counts = pool.job_counts();
        assert_eq!((counts.timed_out, counts.overrunning), (1, 1));
        gate.open();
        assert!(pool.wait_idle(LONG));
        assert_eq!(pool.job_counts().overrunning, 0);
        assert_eq!(Arc::strong_count(&late), 1);
        assert_eq!(block_on(pool.run(|| 1)).unwrap(), 1);
    });
}

#[test]
fn a_run_waits_for_room_without_a_thread() {
    for width in WIDTHS {
        let pool = Pool::builder().workers(width).queue(Bound::in_flight(1)).build().unwrap();
        watchdog(&pool, || {
            let (gate, task, held) = (Gate::default(), Task::default(), Arc::new(()));
            let (inner, captured) = (gate.clone(), Arc::clone(&held));
            let first = pool.run(move || inner.wait());
            let mut given_up = pool.run(move || unreachable!("{captured:?}"));
            let mut second = pool.run(|| 2);
            let third = pool.job("third").run_with(|cx| cx.name().unwrap().len());
            assert!(matches!(pool.try_run(|| 4), Err(SubmitError::Full(_))));
            assert!(first.job_ref().is_some() && second.job_ref().is_none());
            assert!(task.poll(&mut given_up).is_pending() && task.poll(&mut second).is_pending());
            drop(given_up);
            // Its place and what it captured are gone at once.
            assert_eq!(Arc::strong_count(&held), 1);
            gate.open();
            block_on(first).unwrap();
            until(|| task.wakes() > 0);
            assert_eq!(block_on(second).unwrap(), 2);
            assert_eq!(block_on(third).unwrap(), 5);
            assert!(!task.is_held());
            assert_eq!(pool.job_counts().accepted, 3);
        });
    }
}

// ---- as_completed

#[test]
fn each_end_of_a_job_is_yielded_once() {
    at_each_width(|pool| {
        for round in 0..scale(50) {
            let handles: Vec<_> = (0..30)
                .map(|n| {
                    let handle = pool.submit(move || if n % 3 == 1 { throw("odd") } else { n });
                    if n % 3 == 2 {
                        handle.cancel();
                    }
                    handle
                })
                .collect();
            let check = |n: usize, result: Result<usize, JobError>| match (n % 3, result) {
                (0 | 2, Ok(value)) => assert_eq!(value, n),
                (1, Err(JobError::Panicked(_))) | (2, Err(JobError::Cancelled { .. })) => {}
                (_, other) => panic!("{n}: {other:?}"),
            };
            let mut seen = Vec::new();
            if round % 2 == 0 {
                let mut results = as_completed(handles);
                while let Some((n, result)) = block_on(results.next()) {
                    check(n, result);
                    seen.push(n);
                }
                assert!(results.is_empty() && block_on(results.next()).is_none());
            } else {
                for (n, result) in as_completed(handles) {
                    check(n, result);
                    seen.push(n);
                }
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..30).collect::<Vec<_>>());
        }
    });
}

#[test]
fn jobs_are_yielded_in_the_order_in_which_they_end() {
    for is_early in [true, false] {
        let pool = Pool::new(1).unwrap();
        watchdog(&pool, || {
            let (gate, blockers) = block(&pool);
            let levels = [Priority::Background, Priority::Normal, Priority::High];
            let mut handles = Vec::new();
            for n in 0..6 {
                handles.push(pool.job("").priority(levels[n % 3]).submit(move || n));
            }
            let mut results = None;
            if is_early {
                results = Some(as_completed(std::mem::take(&mut handles)));
            }
            end(&gate, blockers);
            assert!(pool.wait_idle(LONG));
            let results = results.unwrap_or_else(|| as_completed(handles));
            let order: Vec<_> = results.into_iter().map(|(n, _)| n).collect();
            assert_eq!(order, [2, 5, 1, 4, 0, 3]);
        });
    }
}

#[test]
fn nothing_is_polled_until_a_job_ends() {
    at_each_width(|pool| {
        let (gate, blockers) = block(pool);
        let mut results = as_completed((0..4).map(|n| pool.submit(move || n)));
        let task = Task::default();
        let poll = |results: &mut AsCompleted<usize>| task.with(|cx| results.poll_next_unpin(cx));
        assert!(poll(&mut results).is_pending() && poll(&mut results).is_pending());
        assert_eq!(task.wakes(), 0);
        end(&gate, blockers);
        until(|| task.wakes() == 1);
        assert!(pool.wait_idle(LONG));
        // All are there now, and one wake has told of all.
        for _ in 0..4 {
            assert!(matches!(poll(&mut results), Poll::Ready(Some((_, Ok(_))))));
        }
        assert!(matches!(poll(&mut results), Poll::Ready(None)));
        assert_eq!((task.wakes(), task.is_held()), (1, false));
    });
}

#[test]
fn a_stream_that_is_dropped_lets_go_of_its_jobs_and_its_task() {
    at_each_width(|pool| {
        let (gate, blockers) = block(pool);
        let ran = Arc::new(AtomicUsize::new(0));
        let job = || {
            let ran = Arc::clone(&ran);
            pool.submit(move || _ = ran.fetch_add(1, Ordering::SeqCst))
        };
        let mut results = as_completed([job(), job().cancel_on_drop(), job()]);
        let task = Task::default();
        assert!(task.with(|cx| results.poll_next_unpin(cx)).is_pending());
        drop(results);
        assert!(!task.is_held());
        end(&gate, blockers);
        assert!(pool.wait_idle(LONG));
        assert_eq!((ran.load(Ordering::SeqCst), task.wakes()), (2, 0));
    });
}

#[test]
fn jobs_may_come_later_and_taken_ones_are_passed_over() {
    at_each_width(|pool| {
        let mut taken = pool.submit(|| 0);
        until(|| taken.is_finished());
        assert_eq!(taken.try_take().unwrap().unwrap(), 0);
        let mut results = as_completed([taken, pool.submit(|| 1)]);
        assert_eq!(results.len(), 1);
        assert_eq!(block_on(results.next()).unwrap().0, 1);
        assert_eq!(results.push(pool.submit(|| 2)), 2);
        assert_eq!(results.into_iter().map(|(_, result)| result.unwrap()).sum::<i32>(), 2);
        assert!(as_completed::<()>([]).into_iter().next().is_none());
    });
}

/// SEMANTICS 6.2: who waits inside of the pool runs what nobody else may be there to run.
#[test]
fn results_are_collected_inside_of_a_pool_without_spare_threads() {
    for width in WIDTHS {
        let pool = Pool::builder().workers(width).max_spare_workers(0).build().unwrap();
        watchdog(&pool, || {
            let jobs = (0..width).map(|_| {
                let inner = pool.clone();
                pool.submit(move || {
                    let jobs = (0..20).map(|n| inner.submit(move || n));
                    as_completed(jobs).into_iter().map(|(_, result)| result.unwrap()).sum::<i32>()
                })
            });
            for (_, result) in as_completed(jobs) {
                assert_eq!(result.unwrap(), 190);
            }
        });
    }
}

// ---- tokens

#[test]
fn a_token_is_awaited() {
    use windlass::CancelToken;
    deadline(|| {
        let (token, task) = (CancelToken::new(), Task::default());
        let mut when = token.child().cancelled();
        assert!(task.poll(&mut when).is_pending() && task.poll(&mut when).is_pending());
        token.cancel_with("why not".into());
        assert_eq!(task.wakes(), 1);
        assert_eq!(task.poll(&mut when), Poll::Ready("why not".into()));
        assert_eq!(block_on(token.cancelled()), "why not".into());

        let token = CancelToken::new();
        let mut when = token.cancelled();
        assert!(task.poll(&mut when).is_pending());
        drop(when);
        assert!(!task.is_held());
        token.cancel();
        assert_eq!(task.wakes(), 1);
    });
}

/// Nobody else looks at the token, nor is there a pool.
#[test]
fn a_deadline_of_a_token_is_awaited() {
    use windlass::{CancelCause, CancelToken};
    deadline(|| {
        let parent = CancelToken::new().with_timeout(std::time::Duration::from_millis(5));
        assert_eq!(block_on(parent.child().cancelled()), CancelCause::Deadline);
        assert!(parent.is_cancelled());
        // One that is dropped before leaves nothing behind, not even with the timer.
        let (token, held) = (CancelToken::new(), Arc::new(()));
        let token = token.with_timeout(std::time::Duration::from_secs(3_600));
        let inner = Arc::clone(&held);
        token.on_cancel(move |_| drop(inner)).detach();
        let (task, mut when) = (Task::default(), token.cancelled());
        assert!(task.poll(&mut when).is_pending());
        drop((when, token));
        assert!(!task.is_held());
        assert_eq!(Arc::strong_count(&held), 1, "the timer keeps no token");
    });
}

#[test]
#[cfg(feature = "test-util")]
fn a_deadline_by_a_clock_is_awaited() {
    use std::time::Duration;
    use windlass::{CancelCause, CancelToken, ManualClock};
    deadline(|| {
        let (clock, minute) = (ManualClock::new(), Duration::from_secs(60));
        let token = CancelToken::with_clock(clock.clone()).with_timeout(minute);
        let (task, mut when) = (Task::default(), token.cancelled());
        assert!(task.poll(&mut when).is_pending());
        clock.advance(minute - Duration::from_nanos(1));
        assert_eq!(task.wakes(), 0);
        clock.advance(Duration::from_nanos(1));
        assert_eq!(task.wakes(), 1);
        assert_eq!(task.poll(&mut when), Poll::Ready(CancelCause::Deadline));
    });
}
