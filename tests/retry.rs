//! A job that fails is tried again, after a time in which it holds nothing, and ends once.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use windlass::{
    CancelCause, CancelOutcome, Clock, GiveUp, JobError, JobOutcome, JobState, Pool, Retry,
    RetryError, RetryHandle, RetryPolicy, Shutdown, SkipCause, SubmitError, TimeoutPhase,
    Transience,
};

const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_nanos(1);

/// Fails the first `failures` times.
fn fails(failures: u32) -> impl FnMut(&windlass::JobCx) -> Result<u32, u32> {
    move |cx| if cx.attempt() <= failures { Err(cx.attempt()) } else { Ok(cx.attempt()) }
}

/// A policy of so many attempts, a second apart.
fn seconds(attempts: u32) -> RetryPolicy {
    RetryPolicy::fixed(SECOND).attempts(attempts)
}

#[track_caller]
fn failed<T: std::fmt::Debug, E: std::fmt::Debug>(
    result: Result<T, RetryError<E>>,
) -> windlass::Failed<E> {
    match result {
        Err(RetryError::Failed(failed)) => failed,
        other => panic!("it must fail: {other:?}"),
    }
}

#[track_caller]
fn job_error<T: std::fmt::Debug, E: std::fmt::Debug>(result: Result<T, RetryError<E>>) -> JobError {
    match result {
        Err(RetryError::Job(error)) => error,
        other => panic!("it must end: {other:?}"),
    }
}

fn is_waiting<T, E>(handle: &RetryHandle<T, E>) -> bool {
    handle.state() == JobState::Waiting
}

#[test]
fn a_job_is_tried_until_it_succeeds_and_at_its_times() {
    at_each_width_by_hand(|pool, clock| {
        let starts = Arc::new(Mutex::new(Vec::new()));
        let (seen, by, start) = (Arc::clone(&starts), clock.clone(), clock.now());
        let mut fails = fails(2);
        let job = pool.job("flaky").retry(seconds(3)).submit_fallible(move |cx| {
            seen.lock().unwrap().push(by.now() - start);
            fails(cx)
        });
        let id = job.id();
        clock.run_until_idle(pool);
        assert!(is_waiting(&job));
        assert_eq!((job.attempts(), job.id()), (1, id));
        clock.advance(SECOND - TICK);
        assert!(is_waiting(&job), "not a nanosecond too early");
        clock.advance_until_idle(pool, TICK);
        assert_eq!(job.attempts(), 2);
        clock.advance_until_idle(pool, SECOND);
        assert_eq!(job.wait().unwrap(), 3);
        assert_eq!(*starts.lock().unwrap(), [Duration::ZERO, SECOND, 2 * SECOND]);
        let counts = pool.job_counts();
        assert_eq!((counts.accepted, counts.completed, counts.finished()), (1, 1, 1));
    });
}

/// The first attempt counts; the last error comes back, once.
#[test]
fn a_job_that_gives_up_has_its_last_error() {
    at_each_width_by_hand(|pool, clock| {
        let job = pool.job("down").retry(seconds(3)).submit_fallible(fails(9));
        let by_ref = job.job_ref();
        clock.advance_until_idle(pool, 60 * SECOND);
        let failed = failed(job.wait());
        assert_eq!((*failed.error(), failed.attempts()), (3, 3));
        assert_eq!(failed.reason(), GiveUp::Attempts);
        assert_eq!(by_ref.outcome(), Some(JobOutcome::Failed));
        assert_eq!(pool.job_counts().failed, 1);
        // Without a policy, and with one that says so, there is one attempt.
        for handle in [
            pool.job("once").submit_fallible(fails(9)),
            pool.job("never").retry(RetryPolicy::never()).submit_fallible(fails(9)),
            pool.job("zero").retry(RetryPolicy::default().attempts(0)).submit_fallible(fails(9)),
        ] {
            assert_eq!(self::failed(handle.wait()).attempts(), 1);
        }
    });
}

/// L1, and the first Seed line of retries: they slept on the worker.
#[test]
fn a_job_that_waits_holds_no_worker() {
    at_each_width_by_hand(|pool, clock| {
        let jobs: Vec<_> = (0..1_000)
            .map(|_| pool.job("waits").retry(seconds(2)).submit_fallible(fails(1)))
            .collect();
        clock.run_until_idle(pool);
        assert!(jobs.iter().all(is_waiting));
        // Others run meanwhile.
        for n in 0..100 {
            assert_eq!(pool.submit(move || n).wait().unwrap(), n);
        }
        assert!(jobs.iter().all(is_waiting));
        clock.advance_until_idle(pool, SECOND);
        assert!(jobs.into_iter().all(|job| job.wait().unwrap() == 2));
    });
}

/// Nor a thread. In a process of its own, whose threads are no other test's.
#[test]
#[cfg(target_os = "linux")]
fn jobs_that_wait_hold_no_threads() {
    in_child("jobs_that_wait_hold_no_threads", &[], || {
        let pool = Pool::new(2).unwrap();
        let retry = Retry::new(RetryPolicy::fixed(Duration::MAX));
        let submit = || pool.job("waits").retry(&retry).submit_fallible(|_| Err::<(), _>("no"));
        let first = submit();
        until(|| is_waiting(&first));
        // The job waits a moment before the timer's thread is there.
        until(|| has_thread("windlass-timer"));
        let before = num_threads();
        let jobs: Vec<_> = (0..scale(20_000)).map(|_| submit()).collect();
        until(|| jobs.iter().all(is_waiting));
        assert_eq!(num_threads(), before);
    });
}

/// SEMANTICS 6.4, and the Seed: what waited could not be cancelled.
#[test]
fn a_cancel_during_the_wait_ends_the_job_at_once() {
    at_each_width_by_hand(|pool, clock| {
        let capture = Arc::new(());
        let held = Arc::clone(&capture);
        let runs = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&runs);
        let mut job = pool.job("waits").retry(seconds(5)).submit_fallible(move |_| {
            let _ = &held;
            count.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>("no")
        });
        clock.run_until_idle(pool);
        assert_eq!(job.cancel(), CancelOutcome::Removed);
        assert_eq!(Arc::strong_count(&capture), 1, "what it captured is dropped at once");
        assert_eq!(job.state(), JobState::Finished);
        match job_error(job.try_take().unwrap()) {
            JobError::Cancelled { cause: CancelCause::Requested, had_started: true } => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(job.cancel(), CancelOutcome::AlreadyFinished);
        clock.advance_until_idle(pool, 60 * SECOND);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        let counts = pool.job_counts();
        assert_eq!((counts.cancelled, counts.pending()), (1, 0));
        assert!(pool.wait_idle(LONG));
    });
}

/// SEMANTICS 6.4: of ray, where a retry came after the cancel.
#[test]
fn a_cancel_while_an_attempt_runs_beats_the_retry() {
    at_each_width_by_hand(|pool, clock| {
        let (gate, started) = (Gate::default(), Gate::default());
        let (inner_gate, inner_started) = (gate.clone(), started.clone());
        let retries = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&retries);
        let retry = Retry::new(seconds(5)).on_retry(move |_, _| {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let job = pool.job("runs").retry(retry).submit_fallible(move |_| {
            inner_started.open();
            inner_gate.wait();
            Err::<(), _>("no")
        });
        started.wait();
        assert_eq!(job.cancel(), CancelOutcome::Requested);
        gate.open();
        match job_error(job.wait()) {
            JobError::Cancelled { cause: CancelCause::Requested, had_started: true } => {}
            other => panic!("{other:?}"),
        }
        clock.advance_until_idle(pool, 60 * SECOND);
        assert_eq!(retries.load(Ordering::SeqCst), 0);
    });
}

/// As above, at any moment: the answer of the cancel is true, and the job ends.
#[test]
fn a_cancel_at_any_moment_is_answered_truly() {
    for width in WIDTHS {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            for round in 0..scale(2_000) {
                let policy = RetryPolicy::fixed(Duration::from_nanos(round as u64 % 3)).attempts(3);
                let runs = Arc::new(AtomicU32::new(0));
                let count = Arc::clone(&runs);
                let job = pool.job("any").retry(policy).submit_fallible(move |cx| {
                    count.fetch_add(1, Ordering::SeqCst);
                    if cx.attempt() < 3 { Err("no") } else { Ok(()) }
                });
                for _ in 0..round % 64 {
                    std::hint::spin_loop();
                }
                let answer = job.cancel();
                let at_the_answer = runs.load(Ordering::SeqCst);
                match (answer, job.wait()) {
                    (CancelOutcome::Removed, Err(RetryError::Job(JobError::Cancelled { .. }))) => {
                        assert_eq!(runs.load(Ordering::SeqCst), at_the_answer);
                    }
                    (
                        CancelOutcome::Requested,
                        Ok(()) | Err(RetryError::Job(JobError::Cancelled { .. })),
                    ) => {
                        assert!(runs.load(Ordering::SeqCst) <= at_the_answer + 1);
                    }
                    (CancelOutcome::AlreadyFinished, Ok(())) => {}
                    other => panic!("{other:?}"),
                }
            }
            let counts = pool.job_counts();
            assert_eq!(counts.accepted, counts.completed + counts.cancelled);
        });
    }
}

/// SEMANTICS 6.5, and the Seed: there was no deadline.
#[test]
fn a_retry_never_waits_past_the_deadline() {
    at_each_width_by_hand(|pool, clock| {
        // 10 s: attempts at 0, 4, 8; the next would be at 12.
        let policy = RetryPolicy::fixed(4 * SECOND).attempts(100);
        let job = pool.job("late").timeout(10 * SECOND).retry(policy.clone());
        let job = job.submit_fallible(|cx| Err::<(), _>(cx.deadline().unwrap()));
        clock.advance_until_idle(pool, 8 * SECOND);
        assert!(job.is_finished(), "it does not wait for a deadline that it knows it will miss");
        let failed = failed(job.wait());
        assert_eq!((failed.attempts(), failed.reason()), (3, GiveUp::Deadline));
        assert_eq!(*failed.error(), clock.now() + 2 * SECOND);
        // To the very moment.
        for (deadline, attempts) in [(4 * SECOND, 1), (4 * SECOND + TICK, 2)] {
            let job = pool.job("exact").deadline(clock.now() + deadline).retry(policy.clone());
            let job = job.submit_fallible(fails(9));
            clock.advance_until_idle(pool, 4 * SECOND);
            assert_eq!(self::failed(job.wait()).attempts(), attempts);
        }
    });
}

#[test]
fn the_time_for_all_attempts_is_kept() {
    at_each_width_by_hand(|pool, clock| {
        for (limit, attempts) in [(3 * SECOND, 3), (3 * SECOND + TICK, 4), (Duration::ZERO, 1)] {
            let policy = seconds(100).max_elapsed(limit);
            let job = pool.job("elapsed").retry(policy).submit_fallible(fails(99));
            clock.advance_until_idle(pool, 10 * SECOND);
            let failed = failed(job.wait());
            assert_eq!((failed.attempts(), failed.reason()), (attempts, GiveUp::Elapsed));
        }
    });
}

/// A total limit that comes while it waits: only if it came nearer than when the wait began.
#[test]
fn a_token_that_is_cancelled_ends_the_wait() {
    at_each_width_by_hand(|pool, clock| {
        let token = windlass::CancelToken::new();
        let job = pool.job("waits").cancel_token(&token).retry(seconds(5));
        let job = job.submit_fallible(fails(9));
        clock.run_until_idle(pool);
        token.cancel_with(CancelCause::SiblingFailed);
        assert!(job.is_finished());
        match job_error(job.wait()) {
            JobError::Cancelled { cause: CancelCause::SiblingFailed, had_started: true } => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn the_limit_of_the_run_is_that_of_each_attempt() {
    at_each_width_by_hand(|pool, clock| {
        let turns = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
        let inner = Arc::clone(&turns);
        let job = pool.job("long").run_timeout(3 * SECOND).retry(seconds(3));
        let job = job.submit_fallible(move |cx| {
            inner.0.store(cx.attempt(), Ordering::SeqCst);
            until(|| inner.1.load(Ordering::SeqCst) >= cx.attempt() || cx.is_cancelled());
            Err::<(), _>(cx.attempt())
        });
        for attempt in 1..=2 {
            until(|| turns.0.load(Ordering::SeqCst) == attempt);
            // Longer than the limit in sum.
            clock.advance(2 * SECOND);
            turns.1.store(attempt, Ordering::SeqCst);
            clock.run_until_idle(pool);
            assert!(is_waiting(&job));
            clock.advance(SECOND);
        }
        until(|| turns.0.load(Ordering::SeqCst) == 3);
        clock.advance(3 * SECOND);
        assert!(job.is_finished(), "its handle is told at once");
        assert_eq!(job.attempts(), 3);
        match job_error(job.wait()) {
            JobError::TimedOut { phase: TimeoutPhase::Running } => {}
            other => panic!("{other:?}"),
        }
        assert!(pool.wait_idle(LONG));
    });
}

#[test]
fn the_time_to_start_is_over_with_the_first_attempt() {
    at_each_width_by_hand(|pool, clock| {
        let job = pool.job("started").start_within(2 * SECOND).retry(seconds(9));
        let job = job.submit_fallible(fails(5));
        clock.advance_until_idle(pool, 60 * SECOND);
        assert_eq!(job.wait().unwrap(), 6);
        let (gate, blockers) = block(pool);
        let job = pool.job("late").start_within(2 * SECOND).retry(seconds(9));
        let job = job.submit_fallible(fails(5));
        clock.advance(2 * SECOND);
        match job_error(job.wait()) {
            JobError::TimedOut { phase: TimeoutPhase::Queued } => {}
            other => panic!("{other:?}"),
        }
        end(&gate, blockers);
    });
}

#[test]
fn errors_and_values_say_whether_it_is_worth_it() {
    at_each_width_by_hand(|pool, clock| {
        let odd = Retry::new(seconds(9)).retry_if(|error: &u32| error % 2 == 1);
        let job = pool.job("odd").retry(&odd).submit_fallible(fails(9));
        clock.advance_until_idle(pool, 60 * SECOND);
        let failed = failed(job.wait());
        assert_eq!((*failed.error(), failed.reason()), (2, GiveUp::Permanent));
        // What a failure asks for goes before what the policy says, up to its own maximum.
        let asked = seconds(9).max_hint(5 * SECOND).max_delay(SECOND);
        let asked =
            Retry::new(asked).classify(|error: &u32| Transience::RetryAfter(2 * *error * SECOND));
        let job = pool.job("asked").retry(&asked).submit_fallible(fails(3));
        let begun = clock.now();
        for (attempt, at) in [(2, 2), (3, 6), (4, 11)] {
            clock.advance_until_idle(pool, begun + at * SECOND - TICK - clock.now());
            assert_eq!(job.attempts(), attempt - 1);
            clock.advance_until_idle(pool, TICK);
            assert_eq!(job.attempts(), attempt);
        }
        assert_eq!(job.wait().unwrap(), 4);
        // A value that is not good enough; the last one comes back.
        let more = Retry::new(seconds(3)).retry_ok_if(|value: &u32| *value < 5);
        let few = pool.job("few").retry(&more).submit_fallible(|cx| Ok::<_, ()>(cx.attempt()));
        let enough = pool.job("enough").retry(&more);
        let enough = enough.submit_fallible(|cx| Ok::<_, ()>(3 + cx.attempt()));
        clock.advance_until_idle(pool, 60 * SECOND);
        assert_eq!((few.attempts(), enough.attempts()), (3, 2));
        assert_eq!((few.wait().unwrap(), enough.wait().unwrap()), (3, 5));
    });
}

#[test]
fn a_panic_is_retried_only_if_that_is_asked_for() {
    at_each_width_by_hand(|pool, clock| {
        let panics = |cx: &windlass::JobCx| -> Result<u32, ()> {
            if cx.attempt() < 3 { throw("broken") } else { Ok(cx.attempt()) }
        };
        let job = pool.job("once").retry(seconds(3)).submit_fallible(panics);
        match job_error(job.wait()) {
            JobError::Panicked(panic) => assert_eq!(panic.message(), Some("broken")),
            other => panic!("{other:?}"),
        }
        let job = pool.job("more").retry(seconds(3).retry_panics(true)).submit_fallible(panics);
        clock.advance_until_idle(pool, 60 * SECOND);
        assert_eq!(job.wait().unwrap(), 3);
        let job = pool.job("few").retry(seconds(2).retry_panics(true)).submit_fallible(panics);
        clock.advance_until_idle(pool, 60 * SECOND);
        let by_ref = job.job_ref();
        assert!(matches!(job_error(job.wait()), JobError::Panicked(_)));
        assert_eq!((by_ref.attempts(), by_ref.outcome()), (2, Some(JobOutcome::Panicked)));
    });
}

/// The Seed: `on_retry` fired after the last failure too, and a delay was recorded that was never
/// waited.
#[test]
fn hooks_tell_what_happens_and_nothing_else() {
    at_each_width_by_hand(|pool, clock| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let note = |text: &'static str| {
            let log = Arc::clone(&log);
            move |attempt: u32, more: String| {
                log.lock().unwrap().push(format!("{text} {attempt} {more}"));
            }
        };
        let (before, again, over) = (note("before"), note("again"), note("over"));
        let retry = Retry::new(seconds(3).history(9))
            .describe(|error: &u32| format!("error {error}"))
            .before_attempt(move |cx| before(cx.attempt(), cx.name().unwrap().into()))
            .on_retry(move |failed, delay| {
                again(failed.attempt(), format!("{:?} {delay:?}", failed.error()));
            })
            .on_give_up(move |failed, reason| over(failed.attempt(), reason.to_string()));
        let good = pool.job("a").retry(&retry).submit_fallible(fails(1));
        clock.advance_until_idle(pool, 60 * SECOND);
        assert_eq!(good.wait().unwrap(), 2);
        let expected = ["before 1 a", "again 1 Some(1) 1s", "before 2 a"];
        assert_eq!(std::mem::take(&mut *log.lock().unwrap()), expected);
        let begun = clock.now();
        let bad = pool.job("b").retry(&retry).submit_fallible(fails(9));
        clock.advance_until_idle(pool, 60 * SECOND);
        let failed = failed(bad.wait());
        let expected = [
            "before 1 b",
            "again 1 Some(1) 1s",
            "before 2 b",
            "again 2 Some(2) 1s",
            "before 3 b",
            "over 3 no attempts left",
        ];
        assert_eq!(*log.lock().unwrap(), expected);
        let history = failed.history();
        assert_eq!(history.len(), 3);
        for (nth, attempt) in (0..).zip(history) {
            assert_eq!(attempt.number, nth + 1);
            assert_eq!(attempt.started, begun + nth * SECOND);
            assert_eq!(attempt.ended, attempt.started);
            assert_eq!(attempt.waited, if nth == 0 { Duration::ZERO } else { SECOND });
            assert_eq!(attempt.error.as_deref(), Some(&*format!("error {}", nth + 1)));
        }
    });
}

#[test]
fn hooks_that_panic_change_nothing() {
    at_each_width_by_hand(|pool, clock| {
        let retry = Retry::new(seconds(2))
            .before_attempt(|_| throw("hook"))
            .on_retry(|_, _| throw("hook"))
            .on_give_up(|_, _| throw("hook"));
        let job = pool.job("hooked").retry(&retry).submit_fallible(fails(9));
        clock.advance_until_idle(pool, 60 * SECOND);
        assert_eq!(failed(job.wait()).attempts(), 2);
        // What decides is another matter.
        let retry = Retry::new(seconds(2)).retry_if(|_: &u32| throw("judge"));
        let job = pool.job("judged").retry(&retry).submit_fallible(fails(9));
        assert!(matches!(job_error(job.wait()), JobError::Panicked(_)));
    });
}

#[test]
fn the_history_is_bounded() {
    at_each_width_by_hand(|pool, clock| {
        let job = pool.job("many").retry(seconds(100).history(4)).submit_fallible(fails(99));
        clock.advance_until_idle(pool, 200 * SECOND);
        let numbers: Vec<u32> = job.history().iter().map(|attempt| attempt.number).collect();
        assert_eq!(numbers, [97, 98, 99, 100]);
        assert_eq!(job.wait().unwrap(), 100);
        let job = pool.job("none").retry(seconds(3)).submit_fallible(fails(9));
        clock.advance_until_idle(pool, 200 * SECOND);
        assert!(failed(job.wait()).history().is_empty());
    });
}

#[test]
fn those_that_wait_for_a_job_that_failed_are_skipped() {
    at_each_width_by_hand(|pool, clock| {
        let job = pool.job("first").retry(seconds(2)).submit_fallible(fails(9));
        let good = pool.job("good").retry(seconds(2)).submit_fallible(fails(1));
        let next = pool.job("next").after(&[&job]).submit(|| 1);
        let then = pool.job("then").after(&[&good]).submit(|| 2);
        let anyway = pool.job("anyway").after_end(&[&job]).submit(|| 3);
        clock.run_until_idle(pool);
        assert!(!next.is_finished() && !then.is_finished(), "a job that waits has not ended");
        clock.advance_until_idle(pool, SECOND);
        match next.wait() {
            Err(JobError::Skipped { because: SkipCause { name, outcome, .. } }) => {
                assert_eq!((name.as_deref(), outcome), (Some("first"), JobOutcome::Failed));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!((then.wait().unwrap(), anyway.wait().unwrap()), (2, 3));
        assert!(job.wait().is_err() && good.wait().is_ok());
    });
}

/// A job that waits for others and is tried again.
#[test]
fn a_job_with_dependencies_is_tried_again() {
    at_each_width_by_hand(|pool, clock| {
        let first = pool.submit(|| 1);
        let job = pool.job("second").after(&[&first]).retry(seconds(3)).submit_fallible(fails(2));
        clock.advance_until_idle(pool, 60 * SECOND);
        assert_eq!(job.wait().unwrap(), 3);
        first.wait().unwrap();
    });
}

/// SEMANTICS 6.17: what waits for its next attempt when the pool ends.
#[test]
fn the_end_of_a_pool_finds_what_waits_to_be_tried_again() {
    for width in WIDTHS {
        for how in [Shutdown::CancelPending, Shutdown::CancelAll] {
            let (pool, clock) = pool_and_clock(width);
            watchdog(&pool, || {
                let capture = Arc::new(());
                let held = Arc::clone(&capture);
                let mut fails = fails(9);
                let waits = pool.job("waits").retry(seconds(5)).submit_fallible(move |cx| {
                    let _ = &held;
                    fails(cx)
                });
                clock.run_until_idle(&pool);
                let report = pool.shutdown(how, LONG);
                assert!(report.is_complete(), "{report:?}");
                assert_eq!(report.cancelled, 1);
                assert!(matches!(job_error(waits.wait()), JobError::Abandoned));
                assert_eq!(Arc::strong_count(&capture), 1);
                match pool.job("late").retry(seconds(2)).try_submit_fallible(self::fails(1)) {
                    Err(SubmitError::ShuttingDown(_)) => {}
                    other => panic!("{other:?}"),
                }
                let late = pool.job("late").retry(seconds(2)).submit_fallible(self::fails(1));
                assert!(matches!(job_error(late.wait()), JobError::Rejected));
            });
        }
    }
}

/// An attempt that runs when the pool ends, and fails, is the last one.
#[test]
fn an_attempt_that_fails_while_the_pool_ends_is_the_last() {
    for width in WIDTHS {
        for how in [Shutdown::CancelPending, Shutdown::CancelAll] {
            let (pool, _clock) = pool_and_clock(width);
            watchdog(&pool, || {
                let (gate, started) = (Gate::default(), Gate::default());
                let (inner_gate, inner_started) = (gate.clone(), started.clone());
                let job = pool.job("runs").retry(seconds(5)).submit_fallible(move |_| {
                    inner_started.open();
                    inner_gate.wait();
                    Err::<(), _>("no")
                });
                started.wait();
                let inner = pool.clone();
                let shutdown = std::thread::spawn(move || inner.shutdown(how, LONG));
                until(|| pool.try_submit(|| ()).is_err());
                if how == Shutdown::CancelAll {
                    until(|| pool.job_counts().pending() == 1);
                }
                gate.open();
                assert!(shutdown.join().unwrap().is_complete());
                let error = job_error(job.wait());
                assert!(
                    matches!(error, JobError::Abandoned | JobError::Cancelled { .. }),
                    "{error:?}"
                );
            });
        }
    }
}

/// A drain waits for the attempts that are to come, but no longer than it says.
#[test]
fn a_drain_waits_for_retries_within_its_limit() {
    for width in WIDTHS {
        let (pool, clock) = pool_and_clock(width);
        watchdog(&pool, || {
            let job = pool.job("waits").retry(seconds(3)).submit_fallible(fails(2));
            clock.run_until_idle(&pool);
            let inner = pool.clone();
            let drain = std::thread::spawn(move || inner.shutdown(Shutdown::Drain, LONG));
            until(|| pool.try_submit(|| ()).is_err());
            until(|| {
                clock.advance(SECOND);
                job.is_finished()
            });
            assert!(drain.join().unwrap().is_complete());
            assert_eq!(job.wait().unwrap(), 3);
        });
        let (pool, clock) = pool_and_clock(width);
        watchdog(&pool, || {
            let (gate, blockers) = block(&pool);
            let runs = pool.job("runs").retry(seconds(3)).submit_fallible(fails(2));
            end(&gate, blockers);
            clock.run_until_idle(&pool);
            assert!(is_waiting(&runs));
            let report = pool.shutdown(Shutdown::Drain, Duration::from_millis(1));
            assert!(report.is_complete(), "{report:?}");
            assert_eq!(report.cancelled, 1);
            assert!(matches!(job_error(runs.wait()), JobError::Abandoned));
        });
    }
}

/// As above, of an attempt that outlasts the drain.
#[test]
fn an_attempt_that_fails_after_a_drain_is_the_last() {
    for width in WIDTHS {
        let (pool, _clock) = pool_and_clock(width);
        watchdog(&pool, || {
            let (gate, started) = (Gate::default(), Gate::default());
            let (inner_gate, inner_started) = (gate.clone(), started.clone());
            let job = pool.job("runs").retry(seconds(5)).submit_fallible(move |_| {
                inner_started.open();
                inner_gate.wait();
                Err::<(), _>("no")
            });
            started.wait();
            let report = pool.shutdown(Shutdown::Drain, Duration::from_millis(1));
            assert_eq!((report.left, report.left_running.len()), (1, 1));
            gate.open();
            assert!(matches!(job_error(job.wait()), JobError::Abandoned));
            assert!(pool.shutdown(Shutdown::Drain, LONG).is_complete());
        });
    }
}

#[test]
fn a_pool_that_is_dropped_ends_what_waits() {
    for width in WIDTHS {
        let (pool, clock) = pool_and_clock(width);
        let job = pool.job("waits").retry(seconds(3)).submit_fallible(fails(2));
        clock.run_until_idle(&pool);
        let by_ref = job.job_ref();
        deadline(|| {
            drop(pool);
            assert!(matches!(job_error(job.wait()), JobError::Abandoned));
        });
        assert_eq!((by_ref.attempts(), by_ref.outcome()), (1, Some(JobOutcome::Abandoned)));
        clock.advance(60 * SECOND);
    }
}

/// A waiter runs a queued job itself; if that is to be tried again, it waits on.
#[test]
fn whoever_waits_runs_an_attempt_and_waits_for_the_next() {
    for width in WIDTHS {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            for _ in 0..scale(100) {
                let inner = pool.clone();
                let outer = pool.submit(move || {
                    let policy = RetryPolicy::fixed(Duration::from_micros(10)).attempts(3);
                    inner.job("inner").retry(policy).submit_fallible(fails(2)).wait().unwrap()
                });
                assert_eq!(outer.wait().unwrap(), 3);
            }
        });
    }
}

#[test]
fn a_handle_that_is_dropped_leaves_the_job_its_attempts() {
    at_each_width_by_hand(|pool, clock| {
        let runs = Arc::new(AtomicU32::new(0));
        for at_once in [true, false] {
            let count = Arc::clone(&runs);
            let job = pool.job("goes").retry(seconds(3)).submit_fallible(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                Err::<(), _>(Vec::from(*b"an error to free"))
            });
            if !at_once {
                clock.run_until_idle(pool);
            }
            job.detach();
        }
        clock.advance_until_idle(pool, 60 * SECOND);
        assert_eq!((runs.load(Ordering::SeqCst), pool.job_counts().failed), (6, 2));
        let job = pool.job("goes").retry(seconds(3)).submit_fallible(fails(9));
        clock.run_until_idle(pool);
        drop(job.cancel_on_drop());
        assert_eq!((pool.job_counts().cancelled, pool.job_counts().pending()), (1, 0));
    });
}
