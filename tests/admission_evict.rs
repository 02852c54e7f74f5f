//! A pool that pushes others out to make room, and one that tells when its queue is long.
#![cfg(not(any(loom, shuttle)))]

use crate::admission::block;
use crate::common::{LONG, Live, WIDTHS, end, scale, throw, watchdog};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use windlass::{
    Bound, CancelToken, JobError, JobHandle, JobOutcome, Pool, Priority, QueueEvent, QueueLimits,
    Shutdown, SubmitError, WhenFull,
};

fn bounded(width: usize, limits: impl Into<QueueLimits>) -> Pool {
    Pool::builder().workers(width).queue(limits).build().unwrap()
}

fn dropping(bound: Bound, when_full: WhenFull) -> QueueLimits {
    QueueLimits::new(bound).when_full(when_full)
}

fn is_evicted<T>(handle: &JobHandle<T>) -> bool {
    handle.job_ref().outcome() == Some(JobOutcome::Evicted)
}

#[test]
fn the_oldest_go_first() {
    for width in WIDTHS {
        let pool = bounded(width, dropping(Bound::jobs(3), WhenFull::DropOldest));
        watchdog(&pool, || {
            let (gate, blockers) = block(&pool);
            let live = Arc::new(());
            let job = |n: u32| {
                let live = Arc::clone(&live);
                pool.submit(move || {
                    drop(live);
                    n
                })
            };
            let jobs: Vec<_> = (0..5).map(job).collect();
            assert_eq!(Arc::strong_count(&live), 4, "what was pushed out is gone");
            let evicted: Vec<_> = jobs.iter().map(is_evicted).collect();
            assert_eq!(evicted, [true, true, false, false, false]);
            assert_eq!(pool.queue_stats().queued, Some(3));
            assert!(pool.try_submit(|| ()).is_err(), "who only tries pushes nobody out");
            end(&gate, blockers);
            for (n, job) in jobs.into_iter().enumerate() {
                match job.wait() {
                    Ok(value) => assert!(value == n as u32 && n >= 2),
                    Err(error) => assert!(matches!(error, JobError::Evicted) && n < 2, "{error}"),
                }
            }
            let counts = pool.job_counts();
            assert_eq!((counts.evicted, counts.pending()), (2, 0));
            assert_eq!(counts.accepted, counts.finished());
            assert_eq!(pool.queue_stats().queued, Some(0));
        });
    }
}

#[test]
fn the_newest_go_first() {
    let pool = bounded(2, dropping(Bound::jobs(3), WhenFull::DropNewest));
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let jobs: Vec<_> = (0..6).map(|n| pool.submit(move || n)).collect();
        let evicted: Vec<_> = jobs.iter().map(is_evicted).collect();
        assert_eq!(evicted, [false, false, true, true, true, false]);
        end(&gate, blockers);
    });
}

#[test]
fn those_of_lower_priority_go_first() {
    use Priority::{Background, High, Low, Normal};
    let pool = bounded(2, dropping(Bound::jobs(4), WhenFull::DropLowest));
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let job = |level| pool.job("").priority(level).submit(|| ());
        let before = [job(Background), job(Low), job(Low), job(Normal)];
        let high = [job(High), job(High)];
        let evicted: Vec<_> = before.iter().map(is_evicted).collect();
        assert_eq!(evicted, [true, false, true, false], "the lowest, and of these the newest");
        let low = job(Low);
        assert!(matches!(low.wait(), Err(JobError::Full)), "none is lower");
        let normal = job(Normal);
        assert!(is_evicted(&before[1]) && !is_evicted(&before[3]));
        assert!(matches!(job(Normal).wait(), Err(JobError::Full)), "an equal is not lower");
        end(&gate, blockers);
        normal.wait().unwrap();
        high.into_iter().for_each(|job| job.wait().unwrap());
    });
}

#[test]
fn only_those_go_who_are_in_the_way() {
    let limits = dropping(Bound::jobs(10).or_weight(100), WhenFull::DropOldest)
        .kind("thumb", Bound::jobs(1))
        .level(Priority::Low, Bound::jobs(1));
    let pool = bounded(1, limits);
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let mail = pool.job("mail").kind("mail").weight(10).submit(|| ());
        let thumb = pool.job("thumb").kind("thumb").weight(10).submit(|| ());
        let low = pool.job("low").priority(Priority::Low).weight(10).submit(|| ());
        let thumb_2 = pool.job("thumb").kind("thumb").weight(10).submit(|| ());
        assert!(is_evicted(&thumb) && !is_evicted(&mail));
        let low_2 = pool.job("low").priority(Priority::Low).weight(10).submit(|| ());
        assert!(is_evicted(&low) && !is_evicted(&mail) && !is_evicted(&thumb_2));
        // As many as are as heavy: 1 of the blocker and 10 of the last must fit as well.
        let heavy = pool.job("heavy").weight(85).submit(|| ());
        assert!(is_evicted(&mail) && is_evicted(&thumb_2) && !is_evicted(&low_2));
        // Nothing that could be pushed out is heavy enough: the blocker runs.
        let whale = pool.job("whale").weight(100).submit(|| ());
        assert!(matches!(whale.wait(), Err(JobError::Full)));
        assert!(is_evicted(&heavy) && is_evicted(&low_2), "room was made, though not enough");
        end(&gate, blockers);
    });
}

#[test]
fn one_that_waits_for_others_may_have_to_go() {
    let pool = bounded(1, dropping(Bound::jobs(1), WhenFull::DropOldest));
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let waits = pool.job("waits").after(&[&blockers[0]]).submit(|| ());
        let next = pool.submit(|| 1);
        assert!(matches!(waits.wait(), Err(JobError::Evicted)));
        end(&gate, blockers);
        assert_eq!(next.wait().unwrap(), 1);
    });
}

/// The drop of what is pushed out is the user's code: it may panic, and submit.
#[test]
fn what_is_pushed_out_may_do_as_it_likes() {
    struct Bad(Pool);
    impl Drop for Bad {
        fn drop(&mut self) {
            drop(self.0.try_submit(|| ()));
            throw(())
        }
    }
    let pool = bounded(1, dropping(Bound::jobs(1), WhenFull::DropOldest));
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let bad = Bad(pool.clone());
        let first = pool.submit(move || drop(bad));
        let second = pool.submit(|| 2);
        assert!(is_evicted(&first));
        end(&gate, blockers);
        assert_eq!(second.wait().unwrap(), 2);
        assert_eq!(pool.queue_stats().queued, Some(0));
    });
}

/// A job that is cancelled while it is being submitted ends there and then, and so does what it holds:
/// before anybody can push it out, and while it is about to be listed for that.
#[test]
fn what_ends_while_it_is_submitted_may_submit() {
    struct Again(Pool, Arc<AtomicUsize>);
    impl Drop for Again {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::SeqCst);
            self.0.submit(|| ()).detach();
        }
    }
    for when_full in [WhenFull::DropOldest, WhenFull::DropNewest, WhenFull::DropLowest] {
        let pool = bounded(1, dropping(Bound::jobs(1), when_full));
        watchdog(&pool, || {
            let (gate, blockers) = block(&pool);
            let (token, dropped) = (CancelToken::new(), Arc::new(AtomicUsize::new(0)));
            token.cancel();
            // Twice: the second finds the pool full with what the first one has left.
            for _ in 0..2 {
                let (captured, extension) =
                    [0, 1].map(|_| Again(pool.clone(), Arc::clone(&dropped))).into();
                let job = pool.job("cancelled").cancel_token(&token).extension(extension);
                let handle = job.submit(move || drop(captured));
                assert!(handle.is_finished());
                assert!(handle.wait().is_err());
            }
            // The extensions go with what the lane still holds of the jobs.
            assert_eq!(dropped.load(Ordering::SeqCst), 2);
            end(&gate, blockers);
            assert!(pool.wait_idle(LONG));
            let counts = pool.job_counts();
            assert_eq!((counts.pending(), pool.queue_stats().queued), (0, Some(0)));
            let _ = pool.shutdown(Shutdown::Drain, LONG);
            assert_eq!(dropped.load(Ordering::SeqCst), 4);
        });
    }
}

#[test]
fn all_submitters_push_out_and_nothing_is_lost() {
    static LIVE: Live = Live::new();
    for when_full in [WhenFull::DropOldest, WhenFull::DropNewest, WhenFull::DropLowest] {
        for width in WIDTHS {
            let pool = bounded(width, dropping(Bound::jobs(5), when_full));
            watchdog(&pool, || {
                let ran = Arc::new(AtomicUsize::new(0));
                thread::scope(|scope| {
                    for level in [Priority::High, Priority::Normal, Priority::Low] {
                        let (pool, ran) = (&pool, &ran);
                        scope.spawn(move || {
                            for n in 0..scale(2_000) {
                                let (token, ran) = (LIVE.token(), Arc::clone(ran));
                                let run = move || {
                                    drop(token);
                                    ran.fetch_add(1, Ordering::SeqCst);
                                };
                                if n % 2 == 0 {
                                    pool.job("").priority(level).submit(run).detach();
                                } else {
                                    pool.submit(run).detach();
                                }
                            }
                        });
                    }
                });
                assert!(pool.wait_idle(LONG));
                let counts = pool.job_counts();
                assert_eq!(counts.completed, ran.load(Ordering::SeqCst) as u64);
                assert_eq!(counts.completed + counts.evicted, counts.accepted);
                let refused = pool.queue_stats().refused;
                assert_eq!(counts.accepted + refused, 3 * scale(2_000) as u64);
                assert_eq!(pool.queue_stats().queued, Some(0));
                LIVE.assert_none();
            });
        }
    }
}

// ---- marks

#[test]
fn the_marks_are_told_in_turn() {
    for width in WIDTHS {
        let told = Arc::new(Mutex::new(Vec::new()));
        let limits = QueueLimits::new(Bound::jobs(1_000)).marks(2, 6, {
            let told = Arc::clone(&told);
            move |event| told.lock().unwrap().push(event)
        });
        let pool = bounded(width, limits);
        watchdog(&pool, || {
            let take = || std::mem::take(&mut *told.lock().unwrap());
            let mut permits: Vec<_> = (0..5).map(|_| pool.try_reserve().unwrap()).collect();
            assert!(take().is_empty() && !pool.queue_stats().is_high);
            permits.push(pool.try_reserve().unwrap());
            assert_eq!(take(), [QueueEvent::High(6)]);
            assert!(pool.queue_stats().is_high);
            permits.truncate(3);
            permits.push(pool.try_reserve().unwrap());
            assert!(take().is_empty(), "neither high again, nor low yet");
            permits.truncate(2);
            assert_eq!(take(), [QueueEvent::Low(2)]);
            drop(permits);
            assert!(take().is_empty());
            // By jobs, and by all threads: one after the other.
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..scale(2_000) {
                            pool.submit(|| ()).detach();
                        }
                    });
                }
            });
            assert!(pool.wait_idle(LONG));
            let events = take();
            assert!(events.len() % 2 == 0);
            for (n, event) in events.into_iter().enumerate() {
                let is_high = matches!(event, QueueEvent::High(6));
                assert_eq!(is_high, n % 2 == 0, "{event:?} as number {n}");
            }
        });
    }
}

/// Items 12 of SEMANTICS 6, and D9: what is told may panic, and may use the pool.
#[test]
fn who_is_told_may_do_as_it_likes() {
    static POOL: OnceLock<Pool> = OnceLock::new();
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    let limits = QueueLimits::new(Bound::jobs(4)).marks(0, 2, |event| {
        let pool = POOL.get().unwrap();
        TOLD.fetch_add(1, Ordering::SeqCst);
        if TOLD.load(Ordering::SeqCst) < 20 {
            // Turns it again, out of the telling.
            drop([pool.try_reserve(), pool.try_reserve()]);
        }
        if matches!(event, QueueEvent::Low(_)) {
            throw("told")
        }
    });
    let pool = POOL.get_or_init(|| bounded(1, limits));
    watchdog(pool, || {
        drop([pool.try_reserve(), pool.try_reserve()]);
        assert!(TOLD.load(Ordering::SeqCst) >= 20);
        assert_eq!(pool.submit(|| 1).wait().unwrap(), 1);
        assert_eq!(pool.queue_stats().queued, Some(0));
    });
}

#[test]
fn marks_and_rates_that_make_no_sense_are_refused() {
    let marks = |bound, low, high| QueueLimits::new(bound).marks(low, high, |_| ());
    let rate = |rate| QueueLimits::default().rate("mail", rate);
    use windlass::Rate;
    for limits in [
        marks(Bound::jobs(5), 3, 3),
        marks(Bound::jobs(5), 3, 6),
        marks(Bound::in_flight(5), 1, 3),
        rate(Rate::per_second(0.0)),
        rate(Rate::per_second(f64::NAN)),
        rate(Rate::per_second(-1.0)),
        rate(Rate::per_second(1e8)),
        rate(Rate::every(std::time::Duration::ZERO)),
        rate(Rate::per_second(1.0).burst(0)),
    ] {
        assert!(Pool::builder().workers(1).queue(limits).build().is_err());
    }
    let full = SubmitError::Full(1);
    assert_eq!(full.to_string(), "the queue is full");
}
