//! Jobs start when the jobs that they wait for have ended, hold nothing until then, and end with them.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use windlass::{
    CancelOutcome, Dependency, JobError, JobHandle, JobOutcome, JobState, Pool, Shutdown,
    SubmitError, TimeoutPhase,
};

fn because<T: std::fmt::Debug>(result: Result<T, JobError>) -> windlass::SkipCause {
    match result {
        Err(JobError::Skipped { because }) => because,
        other => panic!("not skipped: {other:?}"),
    }
}

#[test]
fn a_job_starts_after_those_that_it_waits_for() {
    at_each_width(|pool| {
        for _ in 0..scale(200) {
            let log = Arc::new(Mutex::new(Vec::new()));
            let note = |what: &'static str| {
                let log = Arc::clone(&log);
                move || log.lock().unwrap().push(what)
            };
            let a = pool.submit(note("a"));
            let b = pool.job("b").after(&[&a]).submit(note("b"));
            let c = pool.job("c").after(&[&a]).submit(note("c"));
            let d = pool.job("d").after(&[&b, &c.job_ref()]).submit(note("d"));
            d.wait().unwrap();
            let log = log.lock().unwrap();
            assert_eq!((log[0], log[3], log.len()), ("a", "d", 4), "{log:?}");
        }
    });
}

#[test]
fn what_waits_holds_no_worker_and_is_in_no_lane() {
    at_each_width(|pool| {
        let (gate, blockers) = block(pool);
        let first = pool.submit(|| 1);
        let waiting: Vec<_> =
            (0..1_000).map(|n| pool.job("w").after(&[&first]).submit(move || n)).collect();
        assert!(waiting.iter().all(|job| job.state() == JobState::Waiting));
        end(&gate, blockers);
        for (n, job) in waiting.into_iter().enumerate() {
            let job_ref = job.job_ref();
            assert_eq!(job.wait().unwrap(), n);
            let (first, times) = (first.times(), job_ref.times());
            // To the microsecond, that is.
            let slack = Duration::from_millis(1);
            assert!(times.ready + slack >= first.finished.unwrap());
            assert!(times.ready + slack >= times.enqueued);
        }
        assert_eq!(first.wait().unwrap(), 1);
    });
}

#[test]
fn those_that_have_ended_already_count() {
    at_each_width(|pool| {
        let done = pool.submit(|| 1);
        let broken = pool.job("broken").submit(|| throw("no luck"));
        assert!(pool.wait_idle(LONG));
        assert_eq!(pool.job("after").after(&[&done]).submit(|| 2).wait().unwrap(), 2);
        let cause = because(pool.job("after").after(&[&done, &broken]).submit(|| 2).wait());
        assert_eq!((cause.id, cause.outcome), (broken.id(), JobOutcome::Panicked));
        assert_eq!(cause.to_string(), format!("job {} (broken) panicked", broken.id()));
        // Nothing at all to wait for.
        assert_eq!(pool.job("after").after(&[]).submit(|| 3).wait().unwrap(), 3);
    });
}

#[test]
fn each_end_but_completion_skips_what_waits_for_it() {
    at_each_width(|pool| {
        let (gate, blockers) = block(pool);
        let cancelled = pool.submit(|| ());
        let late = pool.job("late").start_within(Duration::from_millis(1)).submit(|| ());
        let panicked = pool.submit(|| throw("no luck"));
        let on_cancelled = pool.job("x").after(&[&cancelled]).submit(|| ());
        let on_late = pool.job("x").after(&[&late]).submit(|| ());
        let on_panicked = pool.job("x").after(&[&panicked]).submit(|| ());
        let on_skipped = pool.job("x").after(&[&on_cancelled]).submit(|| ());
        let anyway = pool.job("x").after_end(&[&on_skipped]).submit(|| 4);
        assert_eq!(cancelled.cancel(), CancelOutcome::Removed);
        // At once, although no worker is free.
        assert_eq!(because(on_cancelled.wait()).outcome, JobOutcome::Cancelled);
        assert_eq!(because(on_skipped.wait()).outcome, JobOutcome::Skipped);
        assert_eq!(because(on_late.wait()).outcome, JobOutcome::TimedOut);
        end(&gate, blockers);
        assert_eq!(because(on_panicked.wait()).outcome, JobOutcome::Panicked);
        assert_eq!(anyway.wait().unwrap(), 4);
        assert_eq!(pool.job_counts().skipped, 4);
        drop((late, panicked));
    });
}

#[test]
fn a_job_that_waits_can_be_cancelled_and_time_out() {
    at_each_width(|pool| {
        let (gate, blockers) = block(pool);
        let first = pool.submit(|| 1);
        let capture = Arc::new(());
        let held = Arc::clone(&capture);
        let job = pool.job("w").after(&[&first]).submit(move || drop(held));
        assert_eq!(job.cancel(), CancelOutcome::Removed);
        assert_eq!(Arc::strong_count(&capture), 1, "the closure is dropped at once");
        assert!(matches!(job.wait(), Err(JobError::Cancelled { had_started: false, .. })));
        let held = Arc::clone(&capture);
        let limit = Duration::from_millis(1);
        let job = pool.job("w").after(&[&first]).start_within(limit).submit(move || drop(held));
        assert!(matches!(job.wait(), Err(JobError::TimedOut { phase: TimeoutPhase::Queued })));
        assert_eq!(Arc::strong_count(&capture), 1);
        end(&gate, blockers);
        first.wait().unwrap();
    });
}

#[test]
fn a_handle_may_go_before_its_job_is_ready() {
    at_each_width(|pool| {
        let (gate, blockers) = block(pool);
        let first = pool.submit(|| 1);
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..10 {
            let ran = Arc::clone(&ran);
            let count = move || ran.fetch_add(1, Ordering::SeqCst);
            pool.job("w").after(&[&first]).submit(count).detach();
        }
        first.detach();
        end(&gate, blockers);
        assert!(pool.wait_idle(LONG));
        assert_eq!(ran.load(Ordering::SeqCst), 10);
    });
}

/// Each end tells the next: not on top of each other's frames.
#[test]
fn a_long_chain_needs_no_stack() {
    at_each_width(|pool| {
        let small = std::thread::Builder::new().stack_size(128 << 10);
        let pool = pool.clone();
        let run = move || {
            let length = scale(100_000);
            let chain = |first: JobHandle<usize>| {
                let mut last = first;
                for n in 1..length {
                    last = pool.job("").after(&[&last]).submit(move || n);
                }
                last
            };
            let (gate, blockers) = block(&pool);
            let last = chain(pool.submit(|| 0));
            end(&gate, blockers);
            assert_eq!(last.wait().unwrap(), length - 1);
            let (gate, blockers) = block(&pool);
            let first = pool.submit(|| 0);
            let job = first.job_ref();
            let last = chain(first);
            // On this small stack.
            assert_eq!(job.cancel(), CancelOutcome::Removed);
            assert!(last.is_finished());
            assert_eq!(because(last.wait()).outcome, JobOutcome::Skipped);
            end(&gate, blockers);
        };
        small.spawn(run).unwrap().join().unwrap();
    });
}

#[test]
fn jobs_wait_for_those_of_other_pools() {
    at_each_width(|pool| {
        let other = Pool::new(1).unwrap();
        let (gate, blockers) = block(pool);
        let first = pool.submit(|| 1);
        let second = other.job("second").after(&[&first]).submit(|| 2);
        let third = pool.job("third").after(&[&second]).submit(|| 3);
        end(&gate, blockers);
        assert_eq!(third.wait().unwrap(), 3);
        // The pool of one that waits ends first.
        let (gate, blockers) = block(pool);
        let first = pool.submit(|| 1);
        let waits = other.job("waits").after(&[&first]).submit(|| 2);
        drop(other);
        assert!(matches!(waits.wait(), Err(JobError::Abandoned)));
        end(&gate, blockers);
        assert_eq!(first.wait().unwrap(), 1);
    });
}

/// SEMANTICS 6.17, the dependent ones.
#[test]
fn the_end_of_a_pool_finds_what_waits() {
    for width in WIDTHS {
        for how in [Shutdown::Drain, Shutdown::CancelPending, Shutdown::CancelAll] {
            let pool = Pool::new(width).unwrap();
            watchdog(&pool, || {
                let (gate, blockers) = block(&pool);
                let elsewhere = Pool::new(1).unwrap();
                let (far_gate, far_blockers) = block(&elsewhere);
                let far = elsewhere.submit(|| ());
                let first = pool.submit(|| 1);
                let second = pool.job("second").after(&[&first]).submit(|| 2);
                let third = pool.job("third").after(&[&second, &far]).submit(|| 3);
                let inner = pool.clone();
                let shutdown = std::thread::spawn(move || inner.shutdown(how, LONG));
                until(|| pool.try_submit(|| ()).is_err());
                match pool.job("late").after(&[&first]).try_submit(|| "back") {
                    Err(SubmitError::ShuttingDown(f)) => assert_eq!(f(), "back"),
                    other => panic!("{other:?}"),
                }
                if how != Shutdown::Drain {
                    until(|| second.is_finished() && third.is_finished());
                }
                gate.open();
                far_gate.open();
                let report = shutdown.join().unwrap();
                assert!(report.is_complete(), "{report:?}");
                if how == Shutdown::Drain {
                    assert_eq!((second.wait().unwrap(), third.wait().unwrap()), (2, 3));
                } else {
                    // Whichever of its ends comes first.
                    let ends = [second.wait().unwrap_err(), third.wait().unwrap_err()];
                    let is_end = |end: &JobError| {
                        matches!(end, JobError::Abandoned | JobError::Skipped { .. })
                    };
                    assert!(ends.iter().all(is_end), "{ends:?}");
                }
                let counts = pool.job_counts();
                assert_eq!(counts.accepted, counts.finished());
                drop((blockers, far_blockers, far, first));
            });
        }
    }
}

/// The conservation law of L3 with dependencies, under a random mix of ends.
#[test]
fn accepted_is_the_sum_of_the_outcomes() {
    at_each_width(|pool| {
        let live = Arc::new(AtomicUsize::new(0));
        struct Counted(Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut jobs: Vec<JobHandle<u64>> = Vec::new();
        for n in 0..scale(4_000) as u64 {
            live.fetch_add(1, Ordering::SeqCst);
            let counted = Counted(Arc::clone(&live));
            let mut builder = pool.job("n");
            for _ in 0..next(4) {
                if !jobs.is_empty() {
                    let on: &dyn Dependency = &jobs[next(jobs.len() as u64) as usize];
                    builder = match next(3) {
                        0 => builder.after_end(&[on]),
                        _ => builder.after(&[on]),
                    };
                }
            }
            let panics = next(50) == 0;
            let handle = builder.submit(move || {
                let _counted = counted;
                if panics { throw(n) } else { n }
            });
            match next(20) {
                0 => drop(handle),
                1 => {
                    handle.cancel();
                    jobs.push(handle);
                }
                _ => jobs.push(handle),
            }
        }
        assert!(pool.wait_idle(LONG));
        let counts = pool.job_counts();
        assert_eq!(counts.accepted, scale(4_000) as u64);
        assert_eq!(counts.accepted, counts.finished());
        assert!(jobs.iter().all(JobHandle::is_finished));
        assert_eq!(live.load(Ordering::SeqCst), 0, "every closure is gone");
    });
}

// ---- groups

#[test]
fn a_job_waits_for_all_members_of_a_group_and_of_those_below() {
    at_each_width(|pool| {
        let (outer, ended) = (pool.group("outer").open(), Arc::new(AtomicUsize::new(0)));
        let inner = outer.group("inner").open();
        // Without members it is over at once.
        assert!(pool.job("empty").after(&[&outer]).submit(|| ()).wait().is_ok());
        let hold = Gate::default();
        for group in [&outer, &inner] {
            for _ in 0..10 {
                let (hold, ended) = (hold.clone(), Arc::clone(&ended));
                let member = move || {
                    hold.wait();
                    ended.fetch_add(1, Ordering::SeqCst);
                };
                group.submit(member).unwrap();
            }
        }
        let seen = Arc::clone(&ended);
        let after = pool.job("after").after(&[&outer]).submit(move || seen.load(Ordering::SeqCst));
        let cancelled = pool.job("cancelled").after(&[&outer, &inner]).submit(|| ());
        cancelled.cancel();
        assert_eq!((after.state(), ended.load(Ordering::SeqCst)), (JobState::Waiting, 0));
        hold.open();
        assert_eq!(after.wait().unwrap(), 20);
        assert_eq!(outer.statistics().completed + inner.statistics().completed, 20);
    });
}

#[test]
fn what_waits_for_a_group_is_skipped_when_a_member_fails() {
    at_each_width(|pool| {
        let outer = pool.group("outer").open::<()>();
        let inner = outer.group("inner").open();
        let held = outer.group("held").limit(0).open();
        held.submit(|| ()).unwrap();
        let skipped = pool.job("skipped").after(&[&outer]).submit(|| unreachable!());
        let at_the_end = pool.job("clean up").after_end(&[&outer]).submit(|| ());
        inner.job("bad").submit(|| throw("no luck")).unwrap();
        until(|| inner.statistics().panicked == 1);
        // Not before all have ended, one of which may add to the group.
        assert_eq!(skipped.state(), JobState::Waiting);
        held.set_limit(1);
        let cause = because(skipped.wait());
        assert_eq!(cause.name.as_deref(), Some("outer/inner/bad"));
        assert_eq!(cause.outcome, JobOutcome::Panicked);
        assert!(at_the_end.wait().is_ok());
        // For good.
        let late = pool.job("late").after(&[&outer]).submit(|| ());
        assert!(matches!(late.wait(), Err(JobError::Skipped { because }) if because == cause));

        let group = pool.group("cancelled").limit(0).open::<()>();
        let report = pool.job("report").after(&[&group.handle()]).submit(|| ());
        group.job("waits").submit(|| ()).unwrap();
        let skipped = pool.job("skipped").after(&[&group]).submit(|| ());
        group.cancel();
        assert!(report.wait().is_ok(), "it was submitted before the member");
        assert_eq!(because(skipped.wait()).outcome, JobOutcome::Cancelled);
    });
}
