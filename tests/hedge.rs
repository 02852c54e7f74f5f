//! A job that takes long gets a second copy, and one of them counts.

use crate::common::*;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use windlass::group::GroupErrorKind;
use windlass::{
    Bound, CancelCause, CancelToken, Cancelled, Clock, JobCx, ManualClock, Pool, SubmitError,
    block_on,
};

const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_nanos(1);

fn number(cx: &JobCx) -> u32 {
    cx.name().unwrap().rsplit('/').next().unwrap().parse().unwrap()
}

/// Runs until it is cancelled.
fn never(cx: &JobCx) -> Result<u32, Cancelled> {
    loop {
        cx.checkpoint()?;
        std::thread::yield_now();
    }
}

#[test]
fn the_second_copy_comes_at_its_time_and_its_success_cancels_the_first() {
    for width in [2, 3, 8] {
        let (pool, clock) = pool_and_clock(width);
        watchdog(&pool, || {
            let begun = Arc::new(Mutex::new(Vec::new()));
            let cause = Arc::new(Mutex::new(None));
            let (seen, by, start, told) =
                (Arc::clone(&begun), clock.clone(), clock.now(), Arc::clone(&cause));
            let job = pool.hedge("ask", SECOND).submit(move |cx| {
                seen.lock().unwrap().push((number(cx), by.now() - start));
                if number(cx) == 1 {
                    let result = never(cx);
                    *told.lock().unwrap() = cx.token().cause();
                    result
                } else {
                    Ok(7)
                }
            });
            let job = job.unwrap();
            until(|| begun.lock().unwrap().len() == 1);
            clock.advance(SECOND - TICK);
            assert_eq!(job.num_copies(), 1);
            clock.advance(TICK);
            assert_eq!(job.wait().unwrap(), 7);
            assert!(pool.wait_idle(LONG));
            assert_eq!(*begun.lock().unwrap(), [(1, Duration::ZERO), (2, SECOND)]);
            assert_eq!(*cause.lock().unwrap(), Some(CancelCause::NotNeeded));
            clock.advance(100 * SECOND);
            assert_eq!(pool.job_counts().accepted, 2, "two copies are all there are");
        });
    }
}

#[test]
fn a_job_that_is_quick_has_no_second_copy() {
    for width in WIDTHS {
        let (pool, clock) = pool_and_clock(width);
        watchdog(&pool, || {
            let held = Arc::new(());
            let inner = Arc::clone(&held);
            let job = pool.hedge("quick", SECOND).submit(move |_| {
                let _inner = &inner;
                Ok::<_, Cancelled>(1)
            });
            let job = job.unwrap();
            assert!(pool.wait_idle(LONG));
            clock.advance(10 * SECOND);
            assert_eq!((job.num_copies(), job.is_finished()), (1, true));
            assert_eq!(Arc::strong_count(&held), 1, "what it captured is gone with it");
            assert_eq!(block_on(job).unwrap(), 1);
            assert_eq!(pool.job_counts().accepted, 1);
        });
    }
}

#[test]
fn a_copy_that_is_still_queued_never_runs_when_the_first_succeeds() {
    let (pool, clock) = pool_and_clock(1);
    watchdog(&pool, || {
        let runs = Arc::new(AtomicU32::new(0));
        let (gate, count) = (Gate::default(), Arc::clone(&runs));
        let (inner, begun) = (gate.clone(), Arc::new(Meeting::of(2)));
        let begin = Arc::clone(&begun);
        let job = pool.hedge("slow", SECOND).submit(move |_| {
            begin.attend();
            inner.wait();
            Ok::<_, Cancelled>(count.fetch_add(1, Ordering::SeqCst))
        });
        let job = job.unwrap();
        begun.attend();
        clock.advance(SECOND);
        assert_eq!(job.num_copies(), 2);
        gate.open();
        assert_eq!(job.wait().unwrap(), 0);
        assert!(pool.wait_idle(LONG));
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert_eq!(pool.job_counts().cancelled, 1);
    });
}

#[test]
fn a_copy_that_fails_or_panics_starts_the_next_at_once() {
    for panics in [false, true] {
        for width in WIDTHS {
            let (pool, _clock) = pool_and_clock(width);
            watchdog(&pool, || {
                let job =
                    pool.hedge("flaky", SECOND).copies(3).submit(move |cx| match number(cx) {
                        3 => Ok(3),
                        _ if panics => throw("flaky"),
                        n => Err(format!("failed {n}")),
                    });
                // Nobody moves the clock.
                assert_eq!(job.unwrap().wait().unwrap(), 3);
            });
        }
    }
}

#[test]
fn when_all_copies_fail_the_first_error_is_the_primary_one() {
    for width in WIDTHS {
        let (pool, _clock) = pool_and_clock(width);
        watchdog(&pool, || {
            let job = pool
                .hedge("bad", SECOND)
                .copies(3)
                .submit(|cx| Err::<(), _>(format!("failed {}", number(cx))));
            let error = block_on(job.unwrap()).unwrap_err();
            let told: Vec<_> = error.failures().iter().map(|f| f.error().to_string()).collect();
            assert_eq!(told, ["failed 1", "failed 2", "failed 3"]);
            assert_eq!(error.first().unwrap().error().to_string(), "failed 1");
            assert_eq!(pool.job_counts().failed, 3);
        });
    }
}

#[test]
fn dropped_or_cancelled_it_ends_and_no_copy_follows() {
    for how in 0..3 {
        let (pool, clock) = pool_and_clock(2);
        watchdog(&pool, || {
            let (held, token) = (Arc::new(()), CancelToken::new());
            let begun = Arc::new(Meeting::of(2));
            let (inner, begin) = (Arc::clone(&held), Arc::clone(&begun));
            let job = pool.hedge("gone", SECOND).cancel_token(&token).submit(move |cx| {
                let _inner = &inner;
                begin.attend();
                never(cx)
            });
            let job = job.unwrap();
            begun.attend();
            match how {
                0 => drop(job),
                1 => {
                    job.cancel();
                    assert_eq!(job.wait().unwrap_err().kind(), GroupErrorKind::Failed);
                }
                _ => {
                    token.cancel();
                    assert_eq!(job.wait().unwrap_err().kind(), GroupErrorKind::Failed);
                }
            }
            assert!(pool.wait_idle(LONG));
            clock.advance(SECOND);
            assert!(pool.wait_idle(LONG));
            assert_eq!(pool.job_counts().accepted, 1);
            assert_eq!(Arc::strong_count(&held), 1);
        });
    }
}

#[test]
fn a_full_pool_makes_no_copy_and_gives_a_job_back() {
    let clock = ManualClock::new();
    let pool = Pool::builder().workers(2).clock(clock.clone());
    let pool = pool.queue(Bound::in_flight(1)).build().unwrap();
    watchdog(&pool, || {
        let gate = Gate::default();
        let inner = gate.clone();
        let job = pool.hedge("one", SECOND).submit(move |_| {
            inner.wait();
            Ok::<_, Cancelled>(5)
        });
        let job = job.unwrap();
        clock.advance(SECOND);
        let precious = String::from("precious");
        match pool.hedge("two", SECOND).submit(move |_| Ok::<_, Cancelled>(precious.len())) {
            Err(SubmitError::Full(f)) => drop(f),
            other => panic!("{other:?}"),
        }
        gate.open();
        assert_eq!(job.wait().unwrap(), 5);
        assert_eq!(pool.job_counts().accepted, 1);
    });
}

#[test]
fn copies_that_race_have_one_result() {
    for width in WIDTHS {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            for round in 0..scale(200) {
                let wins = Arc::new(AtomicU32::new(0));
                let count = Arc::clone(&wins);
                let delay = Duration::from_micros(round as u64 % 50);
                let job = pool.hedge("race", delay).copies(3).submit(move |cx| {
                    work_for(Duration::from_micros(20));
                    cx.checkpoint()?;
                    count.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, Cancelled>(number(cx))
                });
                assert!((1..=3).contains(&job.unwrap().wait().unwrap()));
                assert!(wins.load(Ordering::SeqCst) >= 1);
            }
            assert!(pool.wait_idle(LONG));
            assert_eq!(pool.job_counts().pending(), 0);
        });
    }
}
