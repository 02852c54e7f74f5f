//! Pools with limits, under random schedules:
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test --release --test shuttle_admission
//! ```
#![cfg(shuttle)]

#[path = "common/schedules.rs"]
mod schedules;

use schedules::{builder, explore_some, throw};
use shuttle::thread;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use windlass::{Bound, JobError, Pool, QueueLimits, Shutdown, WhenFull};

const ITERATIONS: usize = 6_000;

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    explore_some(ITERATIONS, scenario);
}

fn bounded(workers: usize, limits: impl Into<QueueLimits>) -> Pool {
    builder(workers).queue(limits).build().unwrap()
}

/// Each has had one outcome, and all tokens are back.
fn assert_settled(pool: &Pool) {
    assert!(pool.wait_idle(Duration::MAX));
    let (counts, stats) = (pool.job_counts(), pool.queue_stats());
    assert_eq!(counts.accepted, counts.finished(), "{counts:?}");
    let used = [stats.queued, stats.weight, stats.in_flight];
    assert!(used.into_iter().flatten().all(|n| n == 0) && stats.waiting == 0, "{stats:?}");
}

#[test]
fn submitters_that_wait_are_let_in() {
    for bound in [Bound::jobs(1), Bound::in_flight(1), Bound::jobs(1).or_in_flight(2)] {
        explore(move || {
            let pool = bounded(1, bound.clone());
            let other = {
                let pool = pool.clone();
                thread::spawn(move || [pool.submit(throw), pool.submit(|| 1)])
            };
            let mine = [pool.submit(|| 2), pool.submit(|| 3)];
            let sum: usize = mine.into_iter().map(|job| job.wait().unwrap()).sum();
            let [thrown, one] = other.join().unwrap();
            assert!(matches!(thrown.wait(), Err(JobError::Panicked(_))));
            assert_eq!(sum + one.wait().unwrap(), 6);
            assert_settled(&pool);
        });
    }
}

/// W9: who gives up, at whatever step, leaves its room to the one behind.
#[test]
fn who_gives_up_leaves_its_room_to_the_next() {
    explore(|| {
        let pool = bounded(1, Bound::in_flight(1));
        let first = pool.submit(|| 1);
        let gives_up = {
            let pool = pool.clone();
            thread::spawn(move || {
                let mut cx = Context::from_waker(Waker::noop());
                let mut submission = pin!(pool.submit_async(|| 2));
                match submission.as_mut().poll(&mut cx) {
                    Poll::Ready(handle) => handle.unwrap().detach(),
                    Poll::Pending => thread::yield_now(),
                }
            })
        };
        assert_eq!(pool.submit(|| 3).wait().unwrap(), 3);
        gives_up.join().unwrap();
        assert_eq!(first.wait().unwrap(), 1);
        assert_settled(&pool);
    });
}

/// A token goes back once, whoever is first of a worker, a canceller and one that pushes out.
#[test]
fn a_job_that_all_are_after_gives_back_once() {
    explore(|| {
        let limits = QueueLimits::new(Bound::jobs(1).or_in_flight(3));
        let pool = bounded(1, limits.when_full(WhenFull::DropOldest));
        let first = pool.submit(|| 1);
        let job = first.job_ref();
        let canceller = thread::spawn(move || job.cancel());
        let second = pool.submit(|| 2);
        let third = pool.submit(|| 3);
        canceller.join().unwrap();
        let ends = [first.wait(), second.wait(), third.wait()];
        let is_fine = |end: &Result<_, _>| {
            matches!(
                end,
                Ok(_) | Err(JobError::Evicted | JobError::Cancelled { .. } | JobError::Full)
            )
        };
        assert!(ends.iter().all(is_fine), "{ends:?}");
        assert_settled(&pool);
    });
}

#[test]
fn the_end_of_the_pool_is_told_to_who_waits() {
    explore(|| {
        let pool = bounded(1, Bound::jobs(1));
        let submitter = {
            let pool = pool.clone();
            thread::spawn(move || {
                let jobs = [pool.submit(|| 1), pool.submit(|| 2), pool.submit(|| 3)];
                jobs.map(|job| job.wait())
            })
        };
        pool.shutdown(Shutdown::CancelPending, Duration::MAX);
        for end in submitter.join().unwrap() {
            assert!(
                matches!(end, Ok(_) | Err(JobError::Rejected | JobError::Abandoned)),
                "{end:?}"
            );
        }
        assert_settled(&pool);
    });
}

#[test]
fn a_job_that_submits_beyond_the_limit_holds_nobody_up() {
    explore(|| {
        let pool = bounded(1, Bound::jobs(1));
        let inner = pool.clone();
        let outer = pool.submit(move || {
            let jobs = [inner.submit(|| 1), inner.submit(|| 2)];
            jobs.map(|job| job.wait().unwrap()).iter().sum::<usize>()
        });
        let other = pool.submit(|| 4);
        assert_eq!(outer.wait().unwrap() + other.wait().unwrap(), 7);
        assert_settled(&pool);
    });
}
