//! The clock of a pool: the limits in time of its jobs are by it, and so are the tokens of its jobs.
#![cfg(not(any(loom, shuttle)))]

use crate::common::{Gate, block, deadline, end, pool_and_clock, until, watchdog};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use windlass::{
    CancelCause, CancelToken, Clock, JobError, JobState, ManualClock, Pool, PoolBuilder,
    TimeoutPhase,
};

const MINUTE: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_nanos(1);

#[test]
fn a_job_that_has_not_started_times_out_at_its_time_exactly() {
    let (pool, clock) = pool_and_clock(1);
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let queued = pool.job("queued").start_within(MINUTE).submit(|| ());
        let total = pool.job("total").timeout(2 * MINUTE).submit(|| ());
        let at = pool.job("at").deadline(clock.now() + 3 * MINUTE).submit(|| ());
        clock.advance(MINUTE - TICK);
        assert_eq!(queued.state(), JobState::Queued);
        clock.advance(TICK);
        let error = queued.wait().unwrap_err();
        assert!(matches!(error, JobError::TimedOut { phase: TimeoutPhase::Queued }), "{error}");
        clock.advance(MINUTE - TICK);
        assert_eq!(total.state(), JobState::Queued);
        clock.advance(TICK);
        let error = total.wait().unwrap_err();
        assert!(matches!(error, JobError::TimedOut { phase: TimeoutPhase::Total }), "{error}");
        clock.advance(MINUTE - TICK);
        assert_eq!(at.state(), JobState::Queued);
        clock.advance(TICK);
        assert!(matches!(at.wait(), Err(JobError::TimedOut { .. })));
        end(&gate, blockers);
    });
}

#[test]
fn the_running_time_is_counted_from_the_start_by_the_clock() {
    let (pool, clock) = pool_and_clock(1);
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let (started, starts) = mpsc::channel();
        let job = pool.job("long").run_timeout(MINUTE).submit_with(move |cx| {
            started.send(()).unwrap();
            let token = cx.token();
            until(|| token.is_cancelled());
            token.cause()
        });
        clock.advance(10 * MINUTE);
        assert_eq!(job.state(), JobState::Queued);
        end(&gate, blockers);
        starts.recv().unwrap();
        clock.advance(MINUTE - TICK);
        assert_eq!(job.state(), JobState::Running);
        clock.advance(TICK);
        assert!(matches!(job.wait(), Err(JobError::TimedOut { phase: TimeoutPhase::Running })));
    });
}

#[test]
fn the_token_of_a_job_is_by_the_clock_of_its_pool() {
    let (pool, clock) = pool_and_clock(1);
    watchdog(&pool, || {
        // A token by the real clock, whose deadline has passed if one asks that.
        let user = CancelToken::new();
        let (seen, sees) = mpsc::channel();
        let gate = Gate::default();
        let go_on = gate.clone();
        let past = Instant::now() - TICK;
        let at = clock.now() + MINUTE;
        let job = pool.job("job").cancel_token(&user).deadline(at).submit_with(move |cx| {
            let own = cx.token();
            let below = own.with_timeout(MINUTE / 2);
            seen.send((own.deadline(), own.is_cancelled(), below.time_left())).unwrap();
            go_on.wait();
            (own.cause(), below.cause(), own.time_left())
        });
        let (deadline, is_cancelled, left) = sees.recv().unwrap();
        assert_eq!((deadline, is_cancelled, left), (Some(at), false, Some(MINUTE / 2)));
        clock.advance(MINUTE);
        gate.open();
        assert!(matches!(job.wait(), Err(JobError::TimedOut { phase: TimeoutPhase::Total })));
        assert!(!user.is_cancelled());
        let plain = pool.submit_with(|cx| cx.token().with_timeout(MINUTE));
        let token = plain.wait().unwrap();
        assert_eq!(token.deadline(), Some(clock.now() + MINUTE));
        assert!(!token.is_cancelled());
        clock.advance(MINUTE);
        assert_eq!(token.cause(), Some(CancelCause::Deadline));
        assert!(user.with_deadline(past).is_cancelled());
    });
}

#[test]
fn a_cancel_from_above_asks_each_clock_for_its_own_deadlines() {
    let (one, other) = (ManualClock::new(), ManualClock::new());
    let (pool, clock) = pool_and_clock(1);
    watchdog(&pool, || {
        let top = CancelToken::with_clock(one.clone());
        let late = top.with_timeout(MINUTE);
        // Below it a job, by its pool's clock, on which a minute passes.
        let (tokens, gets) = mpsc::channel();
        let gate = Gate::default();
        let go_on = gate.clone();
        let handle = pool.job("below").cancel_token(&top).submit_with(move |cx| {
            tokens.send((cx.token(), cx.token().with_timeout(MINUTE))).unwrap();
            go_on.wait();
        });
        let (below, timed) = gets.recv().unwrap();
        one.advance(MINUTE - TICK);
        clock.advance(MINUTE);
        other.advance(MINUTE);
        top.cancel();
        assert_eq!(late.cause(), Some(CancelCause::Requested));
        assert_eq!(below.cause(), Some(CancelCause::Requested));
        assert_eq!(timed.cause(), Some(CancelCause::Deadline));
        gate.open();
        handle.wait().unwrap();
    });
}

#[test]
fn a_deadline_that_is_inherited_counts_by_the_clock_of_the_pool() {
    let (pool, clock) = pool_and_clock(1);
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let user = CancelToken::new().with_deadline(clock.now() + 60 * MINUTE);
        let job = pool.job("job").cancel_token(&user).submit(|| ());
        clock.advance(60 * MINUTE - TICK);
        assert_eq!(job.state(), JobState::Queued);
        clock.advance(TICK);
        match job.wait() {
            Err(JobError::Cancelled { cause: CancelCause::Deadline, had_started: false }) => {}
            other => panic!("{other:?}"),
        }
        assert!(!user.is_cancelled(), "by the real clock there is time left");
        end(&gate, blockers);
    });
}

#[test]
fn until_idle_waits_for_jobs_and_for_what_they_submit() {
    let (pool, clock) = pool_and_clock(2);
    watchdog(&pool, || {
        let done = Arc::new(AtomicUsize::new(0));
        let start = clock.now();
        for _ in 0..100 {
            let (done, inner) = (Arc::clone(&done), pool.clone());
            let outer = move || inner.submit(move || done.fetch_add(1, Ordering::Relaxed)).detach();
            pool.submit(outer).detach();
        }
        clock.run_until_idle(&pool);
        assert_eq!((done.load(Ordering::Relaxed), clock.now()), (100, start));
        let inner = Arc::clone(&done);
        pool.submit(move || inner.fetch_add(1, Ordering::Relaxed)).detach();
        clock.advance_until_idle(&pool, MINUTE);
        assert_eq!((done.load(Ordering::Relaxed), clock.now()), (101, start + MINUTE));
    });
}

#[test]
fn a_clock_takes_nothing_from_what_may_be_unwound_over() {
    fn is_safe<T: Send + Sync + UnwindSafe + RefUnwindSafe>() {}
    is_safe::<CancelToken>();
    is_safe::<PoolBuilder>();
    is_safe::<Pool>();
    deadline(|| {
        let text = format!("{:?}", Pool::builder().clock(ManualClock::new()));
        assert!(text.contains("has_own_clock: true"), "{text}");
    });
}
