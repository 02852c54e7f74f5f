//! Limits in time, by a clock that the test moves: how long the first in the queue may wait, how many
//! jobs of a kind may begin in a time, how long somebody should stay away.
#![cfg(not(any(loom, shuttle)))]

use crate::common::{LONG, block, end, until, watchdog};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use windlass::{
    Bound, JobError, JobOutcome, JobState, ManualClock, Pool, Priority, QueueLimits, Rate,
    Shutdown, SubmitError, WhenFull,
};

const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_nanos(1);

fn pool_and_clock(workers: usize, limits: QueueLimits) -> (Pool, ManualClock) {
    let clock = ManualClock::new();
    let builder = Pool::builder().workers(workers).clock(clock.clone());
    (builder.queue(limits).build().unwrap(), clock)
}

#[test]
fn nothing_is_let_in_while_the_first_has_waited_too_long() {
    let (pool, clock) = pool_and_clock(1, QueueLimits::default().or_wait(SECOND));
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let first = pool.submit(|| 1);
        clock.advance(SECOND);
        let second = pool.try_submit(|| 2).unwrap();
        clock.advance(TICK);
        match pool.try_submit(|| 3) {
            Err(SubmitError::Full(f)) => assert_eq!(f(), 3),
            other => panic!("{other:?}"),
        }
        assert!(matches!(pool.submit(|| 3).wait(), Err(JobError::Full)), "none would wait");
        assert!(pool.submit_timeout(LONG, || 3).is_err());
        assert!(matches!(pool.submit_many([|| 3]).remove(0).wait(), Err(JobError::Full)));
        // The next is as old as it is itself.
        first.cancel();
        pool.try_submit(|| 4).unwrap().cancel();
        clock.advance(SECOND - TICK);
        pool.try_submit(|| 5).unwrap().cancel();
        clock.advance(TICK);
        assert!(pool.try_submit(|| 6).is_err());
        end(&gate, blockers);
        assert_eq!(second.wait().unwrap(), 2);
        assert_eq!(pool.try_submit(|| 7).unwrap().wait().unwrap(), 7);
    });
}

#[test]
fn a_lower_level_that_waits_is_in_nobodys_way() {
    let (pool, clock) = pool_and_clock(1, QueueLimits::default().or_wait(SECOND));
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let low = pool.job("low").priority(Priority::Background).submit(|| ());
        // What waits for something else waits for no worker.
        let waits = pool.job("waits").after(&[&blockers[0]]).submit(|| ());
        clock.advance(2 * SECOND);
        let high = pool.job("high").priority(Priority::High).try_submit(|| ()).unwrap();
        pool.try_submit(|| ()).unwrap().cancel();
        assert!(pool.job("idle").priority(Priority::Idle).try_submit(|| ()).is_err());
        end(&gate, blockers);
        low.wait().unwrap();
        waits.wait().unwrap();
        high.wait().unwrap();
    });
}

#[test]
fn those_are_pushed_out_that_have_waited_too_long() {
    let limits = QueueLimits::default().or_wait(SECOND).when_full(WhenFull::DropOldest);
    let (pool, clock) = pool_and_clock(2, limits);
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let old: Vec<_> = (0..3).map(|n| pool.submit(move || n)).collect();
        clock.advance(SECOND / 2);
        let young = pool.submit(|| 3);
        clock.advance(SECOND / 2 + TICK);
        let new = pool.submit(|| 4);
        let is_evicted =
            |job: &windlass::JobHandle<i32>| job.job_ref().outcome() == Some(JobOutcome::Evicted);
        assert!(old.iter().all(is_evicted) && !is_evicted(&young));
        end(&gate, blockers);
        assert_eq!(young.wait().unwrap() + new.wait().unwrap(), 7);
    });
}

#[test]
fn a_job_from_inside_is_let_in_all_the_same() {
    let (pool, clock) = pool_and_clock(1, QueueLimits::default().or_wait(SECOND));
    watchdog(&pool, || {
        let inner = pool.clone();
        let time = clock.clone();
        let job = pool.submit(move || {
            let first = inner.submit(|| 1);
            time.advance(2 * SECOND);
            let second = inner.submit(|| 2);
            let third = inner.try_submit(|| 3).is_err();
            (first.wait().unwrap(), second.wait().unwrap(), third)
        });
        assert_eq!(job.wait().unwrap(), (1, 2, true));
    });
}

// ---- rates

#[test]
fn jobs_of_a_kind_begin_at_their_rate() {
    for per_second in [1.0, 10.0, 1_000.0] {
        let limits = QueueLimits::default().rate("mail", Rate::per_second(per_second).burst(1));
        let (pool, clock) = pool_and_clock(2, limits);
        watchdog(&pool, || {
            let begun = Arc::new(AtomicUsize::new(0));
            let jobs: Vec<_> = (0..50)
                .map(|_| {
                    let begun = Arc::clone(&begun);
                    let job = pool.job("").kind("mail");
                    job.submit(move || {
                        begun.fetch_add(1, Ordering::SeqCst);
                    })
                })
                .collect();
            let other = pool.job("").kind("other").submit(|| ());
            other.wait().unwrap();
            let interval = Duration::from_secs_f64(1.0 / per_second);
            for n in 1..=50 {
                until(|| begun.load(Ordering::SeqCst) == n);
                let is_waiting =
                    |at: usize| jobs.get(at).is_none_or(|j| j.state() == JobState::Waiting);
                assert!(is_waiting(n));
                clock.advance(interval - TICK);
                assert!(is_waiting(n), "not before its time");
                clock.advance(TICK);
            }
            for job in jobs {
                job.wait().unwrap();
            }
        });
    }
}

#[test]
fn a_kind_that_comes_too_early_is_refused() {
    let rate = Rate::every(SECOND).burst(2).or_refuse();
    let limits = QueueLimits::new(Bound::jobs(10)).rate("mail", rate);
    let (pool, clock) = pool_and_clock(1, limits);
    watchdog(&pool, || {
        let send = || pool.job("").kind("mail").try_submit(|| 1);
        assert_eq!(send().unwrap().wait().unwrap() + send().unwrap().wait().unwrap(), 2);
        match send() {
            Err(SubmitError::RateLimited(f)) => assert_eq!(f(), 1),
            other => panic!("{other:?}"),
        }
        assert_eq!(pool.retry_after_of("mail"), Some(SECOND));
        assert_eq!(pool.retry_after_of("other"), None);
        let refused = pool.job("").kind("mail").submit(|| 1);
        assert!(matches!(refused.wait(), Err(JobError::RateLimited)));
        assert_eq!(pool.queue_stats().refused, 2);
        assert_eq!(pool.queue_stats().queued, Some(0), "the room was given back");
        clock.advance(SECOND - TICK);
        assert!(send().is_err());
        clock.advance(TICK);
        assert_eq!(send().unwrap().wait().unwrap(), 1);
        assert!(send().is_err());
    });
}

#[test]
fn one_that_waits_for_its_time_can_be_ended() {
    let limits = QueueLimits::new(Bound::jobs(3)).rate("mail", Rate::every(SECOND).burst(1));
    let (pool, clock) = pool_and_clock(1, limits.when_full(WhenFull::Reject));
    watchdog(&pool, || {
        let send = || pool.job("").kind("mail").submit(|| 1);
        assert_eq!(send().wait().unwrap(), 1);
        let (cancelled, waits) = (send(), send());
        let expires = pool.job("").kind("mail").start_within(SECOND / 2).submit(|| 1);
        assert_eq!(pool.queue_stats().queued, Some(3), "it has room while it waits");
        assert!(matches!(send().wait(), Err(JobError::Full)));
        cancelled.cancel();
        clock.advance(SECOND / 2);
        assert!(matches!(expires.wait(), Err(JobError::TimedOut { .. })));
        assert_eq!(pool.queue_stats().queued, Some(1));
        clock.advance(2 * SECOND);
        assert_eq!(waits.wait().unwrap(), 1);
        let last = send();
        pool.shutdown(Shutdown::CancelPending, LONG);
        assert!(last.is_finished());
    });
}

#[test]
fn the_rate_counts_from_when_a_job_could_begin() {
    let limits = QueueLimits::default().rate("mail", Rate::every(SECOND).burst(1));
    let (pool, clock) = pool_and_clock(1, limits);
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let after = pool.job("").kind("mail").after(&[&blockers[0]]).submit(|| ());
        let now = pool.job("").kind("mail").submit(|| ());
        assert_eq!(now.state(), JobState::Queued, "the other one takes no turn while it waits");
        end(&gate, blockers);
        now.wait().unwrap();
        assert_eq!(after.state(), JobState::Waiting);
        clock.advance(SECOND);
        after.wait().unwrap();
    });
}

// ---- how long to stay away

#[test]
fn who_is_refused_is_told_for_how_long() {
    let limits = QueueLimits::new(Bound::jobs(50)).when_full(WhenFull::Reject);
    let (pool, clock) = pool_and_clock(1, limits);
    watchdog(&pool, || {
        assert_eq!(pool.retry_after(), Some(Duration::ZERO));
        for _ in 0..99 {
            pool.submit(|| ()).wait().unwrap();
        }
        let (gate, blockers) = block(&pool);
        let queued: Vec<_> = (0..50).map(|_| pool.submit(|| ())).collect();
        assert_eq!(pool.retry_after(), None, "no time has passed");
        clock.advance(11 * SECOND);
        // 99 in 11 s, and 50 are queued.
        let estimate = pool.retry_after().unwrap().as_secs_f64();
        assert!((estimate - 50.0 / 9.0).abs() < 1e-6, "{estimate}");
        // As long again without a single one: slower.
        clock.advance(11 * SECOND);
        assert!(pool.retry_after().unwrap().as_secs_f64() > 2.0 * estimate);
        end(&gate, blockers);
        queued.into_iter().for_each(|job| job.wait().unwrap());
        assert_eq!(pool.retry_after(), Some(Duration::ZERO));
    });
}
