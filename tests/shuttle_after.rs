//! Jobs that wait for others, under random schedules:
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test --release --test shuttle_after
//! ```
#![cfg(shuttle)]

#[path = "common/schedules.rs"]
mod schedules;

use schedules::{explore_some, pool, throw};
use shuttle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use windlass::{JobError, JobOutcome, Pool, Shutdown};

const ITERATIONS: usize = 12_000;

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    explore_some(ITERATIONS, scenario);
}

/// Counts, with atomics of std, which add no steps to the schedule.
fn counter() -> (Arc<AtomicUsize>, impl FnOnce() -> usize + Send + 'static) {
    let count = Arc::new(AtomicUsize::new(0));
    let inner = Arc::clone(&count);
    (count, move || inner.fetch_add(1, Relaxed))
}

fn assert_conserved(pool: &Pool, accepted: u64) {
    let counts = pool.job_counts();
    assert_eq!((counts.accepted, counts.finished()), (accepted, accepted), "{counts:?}");
}

#[test]
fn the_last_of_two_ends_starts_a_job() {
    explore(|| {
        let pool = pool(2);
        let first = pool.submit(|| 1);
        let (ran, count) = counter();
        let other = pool.submit(|| 2);
        let both = pool.job("both").after(&[&first, &other]).submit(count);
        assert_eq!(both.wait().unwrap(), 0);
        assert!(first.is_finished() && other.is_finished());
        assert_eq!(ran.load(Relaxed), 1);
        assert_eq!(first.wait().unwrap() + other.wait().unwrap(), 3);
        assert_conserved(&pool, 3);
    });
}

#[test]
fn a_dependency_and_a_dependent_are_cancelled() {
    explore(|| {
        let pool = pool(2);
        let first = pool.submit(|| 1);
        let (ran, count) = counter();
        let second = pool.job("second").after(&[&first]).submit(count);
        let third = pool.job("third").after(&[&second]).submit(|| 3);
        let canceller = {
            let (first, second) = (first.job_ref(), second.job_ref());
            thread::spawn(move || {
                first.cancel();
                second.cancel();
            })
        };
        let ends = (first.wait(), second.wait(), third.wait());
        canceller.join().unwrap();
        match &ends {
            (Ok(_), Ok(_), Ok(_)) => assert_eq!(ran.load(Relaxed), 1),
            (Err(JobError::Cancelled { .. }), Err(_), Err(JobError::Skipped { because })) => {
                assert!(
                    matches!(because.outcome, JobOutcome::Skipped | JobOutcome::Cancelled),
                    "{ends:?}"
                );
                assert_eq!(ran.load(Relaxed), 0);
            }
            (Ok(_), Err(JobError::Cancelled { .. }), Err(JobError::Skipped { because })) => {
                assert_eq!(because.outcome, JobOutcome::Cancelled);
            }
            _ => panic!("{ends:?}"),
        }
        assert_conserved(&pool, 3);
    });
}

#[test]
fn a_panic_skips_what_waits_for_it() {
    explore(|| {
        let pool = pool(1);
        let first = pool.submit(throw);
        let second = pool.job("second").after(&[&first]).submit(|| 2);
        let anyway = pool.job("anyway").after_end(&[&first, &second]).submit(|| 3);
        assert!(matches!(second.wait(), Err(JobError::Skipped { .. })));
        assert_eq!(anyway.wait().unwrap(), 3);
        assert!(matches!(first.wait(), Err(JobError::Panicked(_))));
        assert_conserved(&pool, 3);
    });
}

/// The gate is in the hands of the one pool while the other, whose job it holds, ends.
#[test]
fn the_pool_of_a_job_that_waits_ends_first() {
    explore(|| {
        let (near, far) = (pool(1), pool(1));
        let first = far.submit(|| 1);
        let (ran, count) = counter();
        let second = near.job("second").after(&[&first]).submit(count);
        drop(near);
        match second.wait() {
            Ok(_) => assert_eq!(ran.load(Relaxed), 1),
            Err(JobError::Abandoned) => assert_eq!(ran.load(Relaxed), 0),
            other => panic!("{other:?}"),
        }
        assert_eq!(first.wait().unwrap(), 1);
        assert_conserved(&far, 1);
    });
}

#[test]
fn a_shutdown_races_a_submission_that_waits() {
    explore(|| {
        let pool = pool(1);
        let first = pool.submit(|| 1);
        let ender = {
            let pool = pool.clone();
            thread::spawn(move || pool.shutdown(Shutdown::CancelPending, Duration::MAX))
        };
        let (ran, count) = counter();
        match pool.job("second").after(&[&first]).try_submit(count) {
            Ok(second) => match second.wait() {
                Ok(_) => assert_eq!(ran.load(Relaxed), 1),
                Err(JobError::Abandoned | JobError::Skipped { .. }) => {
                    assert_eq!(ran.load(Relaxed), 0);
                }
                other => panic!("{other:?}"),
            },
            Err(error) => assert_eq!(error.into_inner()(), 0, "it has not run"),
        }
        drop(first.wait());
        let report = ender.join().unwrap();
        assert!(report.is_complete(), "{report:?}");
        let counts = pool.job_counts();
        assert_eq!(counts.accepted, counts.finished(), "{counts:?}");
    });
}
