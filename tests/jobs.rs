//! Jobs: each that is accepted ends once, and its handle tells how.
#![cfg(not(any(loom, shuttle)))]

mod common;

use common::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use windlass::prelude::*;
use windlass::{CancelOutcome, JobError, JobState, Pool, Priority};

#[test]
fn results_come_back_to_whoever_waits() {
    at_each_width(|pool| {
        let handles: Vec<_> = (0..scale(10_000)).map(|i| pool.submit(move || i)).collect();
        for (i, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.wait().unwrap(), i);
        }
        let counts = pool.job_counts();
        assert_eq!(counts.accepted, counts.completed);
    });
}

#[test]
fn jobs_wait_for_jobs_to_any_depth() {
    fn nest(pool: &Pool, depth: usize) -> usize {
        if depth == 0 {
            return 0;
        }
        let inner = pool.clone();
        pool.submit(move || nest(&inner, depth - 1)).wait().unwrap() + 1
    }
    at_each_width(|pool| {
        let inner = pool.clone();
        assert_eq!(pool.submit(move || nest(&inner, 1_000)).wait().unwrap(), 1_000);
    });
}

#[test]
fn a_panic_belongs_to_its_handle() {
    at_each_width(|pool| {
        for _ in 0..100 {
            let handle = pool.submit(|| -> usize { std::panic::resume_unwind(Box::new("thrown")) });
            match handle.wait() {
                Err(JobError::Panicked(panic)) => assert_eq!(panic.message(), Some("thrown")),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(pool.submit(|| 1).wait().unwrap(), 1);
    });
}

#[test]
fn cancel_removes_what_has_not_started() {
    at_each_width(|pool| {
        let gate = Gate::default();
        let block = |_| {
            let gate = gate.clone();
            pool.submit(move || gate.wait())
        };
        let blockers: Vec<_> = (0..pool.num_workers()).map(block).collect();
        let capture = Arc::new(());
        let held = Arc::clone(&capture);
        let mut handle = pool.submit(move || drop(held));
        assert_eq!(handle.state(), JobState::Queued);
        assert_eq!(handle.cancel(), CancelOutcome::Removed);
        assert_eq!(Arc::strong_count(&capture), 1);
        assert!(matches!(
            handle.try_take(),
            Some(Err(JobError::Cancelled { had_started: false, .. }))
        ));
        assert_eq!(handle.cancel(), CancelOutcome::AlreadyFinished);
        gate.open();
        for blocker in blockers {
            blocker.wait().unwrap();
        }
    });
}

#[test]
fn the_highest_level_comes_first() {
    let pool = Pool::new(1).unwrap();
    watchdog(&pool, || {
        let gate = Gate::default();
        let inner = gate.clone();
        pool.submit(move || inner.wait()).detach();
        let order = Arc::new(AtomicUsize::new(0));
        let mut handles = Vec::new();
        for priority in Priority::ALL.into_iter().rev() {
            let order = Arc::clone(&order);
            let job = pool.job("step").priority(priority);
            handles.push((priority, job.submit(move || order.fetch_add(1, Ordering::SeqCst))));
        }
        gate.open();
        assert!(pool.wait_idle(Duration::from_secs(20)));
        for (priority, mut handle) in handles {
            assert_eq!(handle.try_take().unwrap().unwrap(), usize::from(priority.level()));
        }
    });
}

#[test]
fn a_loop_of_a_lower_level_makes_way() {
    at_each_width(|pool| {
        // Each ends only when the job of a higher level has run.
        let done = Arc::new(AtomicUsize::new(0));
        let low = |by_fork: bool| {
            let done = Arc::clone(&done);
            let started = Gate::default();
            let is_started = started.clone();
            let busy = move || {
                fn fork(done: &AtomicUsize) {
                    if done.load(Ordering::SeqCst) == 0 {
                        windlass::join(|| work_for(Duration::from_micros(5)), || ());
                    }
                }
                started.open();
                while by_fork && done.load(Ordering::SeqCst) == 0 {
                    fork(&done);
                }
                if !by_fork {
                    windlass::iter::repeat(()).find_any(|()| {
                        work_for(Duration::from_micros(5));
                        done.load(Ordering::SeqCst) > 0
                    });
                }
            };
            let handle = pool.job("batch").priority(Priority::Background).submit(busy);
            (is_started, handle)
        };
        for by_fork in [false, true] {
            done.store(0, Ordering::SeqCst);
            // One endless loop takes all workers.
            let count = if by_fork { pool.num_workers() } else { 1 };
            let batches: Vec<_> = (0..count).map(|_| low(by_fork)).collect();
            for (started, _) in &batches {
                started.wait();
            }
            let count = Arc::clone(&done);
            let urgent = pool.job("urgent").priority(Priority::High);
            urgent.submit(move || count.fetch_add(1, Ordering::SeqCst)).detach();
            for (_, batch) in batches {
                batch.wait().unwrap();
            }
            assert_eq!(done.load(Ordering::SeqCst), 1);
        }
    });
}
