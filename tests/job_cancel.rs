//! A job that is cancelled, or whose time is up, ends in exactly one way, and everybody hears of it.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};
use windlass::prelude::*;
use windlass::{
    CancelCause, CancelOutcome, CancelToken, JobError, JobOptions, JobState, Pool, TimeoutPhase,
    checkpoint, join, scope,
};

const SOON: Duration = Duration::from_millis(1);

fn is_requested(error: &JobError, started: bool) -> bool {
    matches!(error, JobError::Cancelled { cause: CancelCause::Requested, had_started } if *had_started == started)
}

fn is_timed_out(error: &JobError, wanted: TimeoutPhase) -> bool {
    matches!(error, JobError::TimedOut { phase } if *phase == wanted)
}

/// The error of a job that did not complete.
#[track_caller]
fn error<T>(result: Result<T, JobError>) -> JobError {
    result.err().expect("it must not complete")
}

#[test]
fn a_queued_job_is_removed_with_its_captures_at_once() {
    at_each_width(|pool| {
        let (gate, blockers) = block(pool);
        let capture = Arc::new(());
        let held = Arc::clone(&capture);
        let mut handle = pool.submit(move || drop(held));
        assert_eq!(handle.state(), JobState::Queued);
        assert_eq!(handle.cancel(), CancelOutcome::Removed);
        // The workers are all blocked: so this thread has dropped it.
        assert_eq!(Arc::strong_count(&capture), 1);
        assert_eq!(handle.state(), JobState::Finished);
        assert_eq!(handle.cancel(), CancelOutcome::AlreadyFinished);
        assert!(is_requested(&error(handle.try_take().unwrap()), false));
        // By its reference, from a table.
        let handle = pool.submit(|| ());
        assert_eq!(handle.job_ref().cancel_with("because".into()), CancelOutcome::Removed);
        assert_eq!(
            error(handle.wait()).to_string(),
            "the job was cancelled before it started: because"
        );
        assert_eq!(pool.job_counts().cancelled, 2);
        assert_eq!(pool.job_counts().pending(), pool.num_workers() as u64);
        end(&gate, blockers);
    });
}

/// SEMANTICS 6.1.
#[test]
fn every_kind_of_waiter_hears_of_the_cancel() {
    struct Flag(AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    at_each_width(|pool| {
        for _ in 0..scale(30) {
            let (gate, blockers) = block(pool);
            // A thread. It must not run the job itself, hence with a limit.
            let mut handle = pool.submit(|| ());
            let by_thread = handle.job_ref();
            let thread = std::thread::spawn(move || error(handle.wait_timeout(LONG).unwrap()));
            // A worker, of another pool.
            let other = Pool::new(1).unwrap();
            let mut handle = pool.submit(|| ());
            let by_worker = handle.job_ref();
            let worker = other.submit(move || error(handle.wait_timeout(LONG).unwrap()));
            // A task.
            let mut handle = pool.submit(|| ());
            let flag = Arc::new(Flag(AtomicBool::new(false)));
            let waker = Waker::from(Arc::clone(&flag));
            assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
            for job in [by_thread, by_worker, handle.job_ref()] {
                assert_eq!(job.cancel(), CancelOutcome::Removed);
            }
            assert!(is_requested(&thread.join().unwrap(), false));
            assert!(is_requested(&worker.wait().unwrap(), false));
            assert!(flag.0.load(Ordering::SeqCst));
            assert!(is_requested(&error(handle.wait()), false));
            end(&gate, blockers);
        }
    });
}

#[test]
fn a_running_job_is_asked_and_decides() {
    at_each_width(|pool| {
        for obeys in [true, false] {
            let started = Arc::new(Meeting::of(2));
            let inner = Arc::clone(&started);
            let mut handle = pool.submit_with(move |cx| {
                inner.attend();
                until(|| cx.is_cancelled());
                assert!(checkpoint().is_err() && cx.token().is_cancelled());
                let cause = cx.checkpoint().unwrap_err().cause().clone();
                if obeys {
                    windlass::iter::repeat(1_u64).sum::<u64>();
                }
                cause
            });
            started.attend();
            assert_eq!(handle.state(), JobState::Running);
            assert_eq!(handle.cancel(), CancelOutcome::Requested);
            let result = handle.wait_timeout(LONG).unwrap();
            if obeys {
                assert!(is_requested(&error(result), true));
            } else {
                assert_eq!(result.unwrap(), CancelCause::Requested);
            }
            assert_eq!(handle.cancel(), CancelOutcome::AlreadyFinished);
        }
    });
}

/// Forks, scopes and loops in a cancelled job end by themselves, at whatever depth.
#[test]
fn what_a_job_forks_ends_with_it() {
    fn for_ever(depth: usize) {
        loop {
            join(
                || {
                    if depth > 0 {
                        for_ever(depth - 1)
                    }
                },
                || std::hint::black_box(1),
            );
        }
    }
    let ways: [fn(); 4] = [
        || for_ever(3),
        || loop {
            scope(|s| s.spawn(|_| _ = join(|| (), || ())));
        },
        || _ = windlass::iter::repeat(1_u64).map(std::hint::black_box).sum::<u64>(),
        || loop {
            windlass::par_map(0..1_000, std::hint::black_box);
        },
    ];
    at_each_width(|pool| {
        for (way, run) in ways.into_iter().enumerate() {
            for by_token in [true, false] {
                let token = CancelToken::new();
                let mut handle = pool.job("endless").cancel_token(&token).submit(run);
                until(|| handle.state() == JobState::Running);
                if by_token {
                    token.cancel();
                } else {
                    handle.cancel();
                }
                let ended = handle.wait_timeout(LONG);
                let ended = ended.unwrap_or_else(|| panic!("way {way} goes on"));
                assert!(is_requested(&error(ended), true));
            }
            // Without a name and a token nobody lists it, and it ends all the same.
            let mut handle = pool.submit(run);
            until(|| handle.state() == JobState::Running);
            handle.cancel();
            assert!(is_requested(&error(handle.wait_timeout(LONG).unwrap()), true));
        }
        // The next job is not concerned.
        assert_eq!(pool.submit(|| fib(10)).wait().unwrap(), 55);
    });
}

#[test]
fn a_token_cancels_its_jobs_and_not_the_other_way_round() {
    at_each_width(|pool| {
        let (gate, blockers) = block(pool);
        let parent = CancelToken::new();
        let token = parent.child();
        let submit = |token| pool.job("").cancel_token(token).submit(|| 1);
        // By a cancel of one job the others live on.
        let (one, two, three) = (submit(&token), submit(&token), submit(&parent));
        one.cancel();
        assert!(!token.is_cancelled() && !two.is_finished());
        token.cancel();
        assert!(one.is_finished() && two.is_finished() && !three.is_finished());
        let late = submit(&token);
        assert!(late.is_finished());
        parent.cancel_with(CancelCause::SiblingFailed);
        for handle in [one, two, late] {
            assert!(is_requested(&error(handle.wait()), false));
        }
        let error = error(three.wait());
        assert!(matches!(
            error,
            JobError::Cancelled { cause: CancelCause::SiblingFailed, had_started: false }
        ));
        assert_eq!(pool.job_counts().cancelled, 4);
        end(&gate, blockers);
    });
}

#[test]
fn the_deadline_of_a_token_cancels_its_jobs_queued_or_running() {
    at_each_width(|pool| {
        let is_due =
            |error| matches!(error, JobError::Cancelled { cause: CancelCause::Deadline, .. });
        let (gate, blockers) = block(pool);
        let token = CancelToken::new().with_timeout(SOON);
        let mut queued = pool.job("").cancel_token(&token.child()).submit(|| ());
        assert!(is_due(error(queued.wait_timeout(LONG).unwrap())));
        end(&gate, blockers);
        let token = CancelToken::new().with_timeout(2 * SOON);
        let job = pool.job("").cancel_token(&token);
        let mut running = job.submit_with(|cx| {
            assert!(cx.deadline().is_some());
            windlass::iter::repeat(1_u64).map(std::hint::black_box).sum::<u64>()
        });
        assert!(is_due(error(running.wait_timeout(LONG).unwrap())));
    });
}

/// Whoever cancels, starts and ends a job: it has one outcome, and what `cancel` says is true.
#[test]
fn cancel_against_start_and_end_has_one_outcome() {
    at_each_width(|pool| {
        let runs = Arc::new(AtomicUsize::new(0));
        let (mut completed, mut removed) = (0, 0);
        for round in 0..scale(3_000) {
            let inner = Arc::clone(&runs);
            let capture = Arc::new(());
            let held = Arc::clone(&capture);
            let mut handle = pool.submit(move || {
                inner.fetch_add(1, Ordering::SeqCst);
                drop(held);
            });
            let before = runs.load(Ordering::SeqCst);
            (0..round % 97).for_each(|_| std::hint::spin_loop());
            let said = match round % 2 {
                0 => vec![handle.cancel()],
                _ => std::thread::scope(|s| {
                    let jobs = [handle.job_ref(), handle.job_ref()];
                    let asks = jobs.map(|job| s.spawn(move || job.cancel()));
                    asks.into_iter().map(|ask| ask.join().unwrap()).collect()
                }),
            };
            let times_removed = said.iter().filter(|&&said| said == CancelOutcome::Removed).count();
            match handle.wait_timeout(LONG).unwrap() {
                Ok(()) => {
                    assert_eq!(times_removed, 0);
                    completed += 1;
                }
                Err(error) => {
                    assert!(is_requested(&error, false));
                    assert_eq!((times_removed, runs.load(Ordering::SeqCst)), (1, before));
                    removed += 1;
                }
            }
            assert_eq!(Arc::strong_count(&capture), 1);
        }
        assert!(pool.wait_idle(LONG));
        let counts = pool.job_counts();
        assert_eq!((counts.completed, counts.cancelled), (completed, removed));
        assert_eq!(runs.load(Ordering::SeqCst) as u64, completed);
    });
}

// ---- time

#[test]
fn each_limit_in_time_has_its_outcome() {
    at_each_width(|pool| {
        let limits = JobOptions::default();
        let none = limits.clone();
        let queued: [(JobOptions, TimeoutPhase); 2] = [
            (limits.clone().start_within(SOON), TimeoutPhase::Queued),
            (limits.clone().timeout(SOON), TimeoutPhase::Total),
        ];
        let (gate, blockers) = block(pool);
        for (options, phase) in queued {
            let capture = Arc::new(());
            let held = Arc::clone(&capture);
            let mut job = pool.job("").options(&options).submit(move || drop(held));
            assert!(is_timed_out(&error(job.wait_timeout(LONG).unwrap()), phase));
            // It frees what it held, although every worker is blocked.
            assert_eq!(Arc::strong_count(&capture), 1);
        }
        let mut job = pool.job("").deadline(Instant::now()).submit(|| ());
        assert!(is_timed_out(&error(job.wait_timeout(LONG).unwrap()), TimeoutPhase::Total));
        // The time of the run has not begun; and one that has started in time may go on.
        let mut first = pool.job("").options(&none).run_timeout(LONG).submit(|| 1);
        let mut second = pool.job("").start_within(LONG).submit(|| 2);
        end(&gate, blockers);
        assert_eq!(first.wait_timeout(LONG).unwrap().unwrap(), 1);
        assert_eq!(second.wait_timeout(LONG).unwrap().unwrap(), 2);
        let mut job = pool.job("").start_within(3 * SOON).submit(|| work_for(6 * SOON));
        match job.wait_timeout(LONG).unwrap() {
            // On a busy machine it did not start in time.
            Err(error) => assert!(is_timed_out(&error, TimeoutPhase::Queued)),
            Ok(()) => assert!(job.times().queue_time().unwrap() < LONG),
        }
        // While it runs.
        let endless = || windlass::iter::repeat(1_u64).map(std::hint::black_box).sum::<u64>();
        let mut job = pool.job("").run_timeout(SOON).submit(endless);
        assert!(is_timed_out(&error(job.wait_timeout(LONG).unwrap()), TimeoutPhase::Running));
        let mut job = pool.job("").timeout(3 * SOON).submit(endless);
        assert!(is_timed_out(&error(job.wait_timeout(LONG).unwrap()), TimeoutPhase::Total));
        assert!(pool.wait_idle(LONG));
        let counts = pool.job_counts();
        assert_eq!((counts.overrunning, counts.pending()), (0, 0));
    });
}

/// SEMANTICS 6.6.
#[test]
fn a_job_that_runs_on_past_its_time_is_counted_and_its_result_dropped() {
    struct Late(Arc<AtomicUsize>);
    impl Drop for Late {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
            throw("late");
        }
    }
    at_each_width(|pool| {
        for run in [true, false] {
            let gate = Gate::default();
            let (inner, drops) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
            let late = Arc::clone(&drops);
            let started = Arc::new(Meeting::of(2));
            let start = Arc::clone(&started);
            let job = pool.job("late");
            let limit = if run { job.run_timeout(SOON) } else { job.timeout(200 * SOON) };
            let mut handle = limit.submit_with(move |cx| {
                start.attend();
                inner.wait();
                // It was told, too.
                assert!(cx.is_cancelled());
                Late(late)
            });
            started.attend();
            let phase = if run { TimeoutPhase::Running } else { TimeoutPhase::Total };
            assert!(is_timed_out(&error(handle.wait_timeout(LONG).unwrap()), phase));
            let counts = pool.job_counts();
            assert_eq!((counts.overrunning, counts.pending()), (1, 0));
            assert!(!pool.wait_idle(SOON), "its worker is not free");
            assert_eq!(handle.cancel(), CancelOutcome::AlreadyFinished);
            assert_eq!(drops.load(Ordering::SeqCst), 0);
            gate.open();
            assert!(pool.wait_idle(LONG));
            assert_eq!(pool.job_counts().overrunning, 0);
            assert_eq!(drops.load(Ordering::SeqCst), 1);
        }
        assert_eq!(pool.job_counts().timed_out, 2);
        // The panic of the late result was nobody's.
        assert_eq!(pool.job_counts().panicked, 0);
    });
}

#[test]
fn a_limit_against_the_end_has_one_outcome() {
    at_each_width(|pool| {
        let (mut completed, mut timed_out) = (0, 0);
        for round in 0..scale(300) {
            let limit = Duration::from_micros(round as u64 % 7 * 30);
            let job = pool.job("");
            let job = match round % 3 {
                0 => job.run_timeout(limit),
                1 => job.timeout(limit),
                _ => job.start_within(limit),
            };
            let held = Arc::new(());
            let capture = Arc::clone(&held);
            let mut handle = job.submit(move || {
                work_for(Duration::from_micros(100));
                capture
            });
            match handle.wait_timeout(LONG).unwrap() {
                Ok(_) => completed += 1,
                Err(JobError::TimedOut { .. }) => timed_out += 1,
                other => panic!("{other:?}"),
            }
            assert!(pool.wait_idle(LONG));
            assert_eq!(Arc::strong_count(&held), 1);
        }
        let counts = pool.job_counts();
        assert_eq!((counts.completed, counts.timed_out), (completed, timed_out));
    });
}

/// tokio #4639.
#[test]
fn a_token_keeps_no_trace_of_jobs_that_have_ended() {
    at_each_width(|pool| {
        let token = CancelToken::new();
        for round in 0..scale(200) {
            let handles: Vec<_> = (0..10)
                .map(|i| {
                    let handle = pool.job("").cancel_token(&token).submit(move || i);
                    if round % 3 == 0 {
                        handle.cancel();
                    }
                    handle
                })
                .collect();
            for handle in handles {
                _ = handle.wait();
            }
        }
        assert!(pool.wait_idle(LONG));
        assert!(token.num_children_for_test() <= 64, "{}", token.num_children_for_test());
    });
}
