//! A pool with limits: they are exact, what has no room is dealt with as the pool says, and each
//! job gives back what it had, in whatever way it ends.
#![cfg(not(any(loom, shuttle)))]

use crate::common::{
    Gate, LONG, Live, Meeting, WIDTHS, deadline, end, scale, throw, until, watchdog,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use windlass::{
    Bound, BuildError, CancelOutcome, JobError, JobHandle, Pool, Priority, QueueLimits,
    ReserveError, Shutdown, SubmitError, WhenFull,
};

/// Keeps every worker busy until the gate is opened. They come in one by one, however little room
/// there is, and count as running.
pub(crate) fn block(pool: &Pool) -> (Gate, Vec<JobHandle<()>>) {
    let gate = Gate::default();
    let started = Arc::new(Meeting::of(pool.num_workers() + 1));
    let blockers = (0..pool.num_workers()).map(|_| {
        let (gate, started) = (gate.clone(), Arc::clone(&started));
        pool.reserve().unwrap().submit(move || {
            started.attend();
            gate.wait();
        })
    });
    let blockers = blockers.collect();
    started.attend();
    (gate, blockers)
}

/// Runs `body` with a pool of each width that has these limits.
fn at_each_width(limits: impl Into<QueueLimits>, body: impl Fn(&Pool)) {
    let limits = limits.into();
    for width in WIDTHS {
        let pool = bounded(width, limits.clone());
        watchdog(&pool, || body(&pool));
    }
}

fn bounded(width: usize, limits: impl Into<QueueLimits>) -> Pool {
    Pool::builder().workers(width).queue(limits).build().unwrap()
}

fn rejecting(bound: Bound) -> QueueLimits {
    QueueLimits::new(bound).when_full(WhenFull::Reject)
}

fn is_full<T>(result: &Result<T, JobError>) -> bool {
    matches!(result, Err(JobError::Full))
}

/// A permit for each of the pool's queue is there.
fn assert_all_back(pool: &Pool, limit: usize) {
    let permits: Vec<_> = (0..limit).map(|_| pool.try_reserve().unwrap()).collect();
    assert_eq!(pool.try_reserve().unwrap_err(), ReserveError::Full);
    drop(permits);
    assert_eq!(pool.queue_stats().queued.unwrap_or(0), 0);
    assert_eq!(pool.queue_stats().waiting, 0);
}

// ---- what is let in

#[test]
fn sixty_four_submitters_fill_it_to_the_last_place_and_not_beyond() {
    // One that is all in the centre, and one with shards.
    for limit in [7, 1000] {
        for width in WIDTHS {
            let pool = bounded(width, rejecting(Bound::jobs(limit)));
            watchdog(&pool, || {
                let (gate, blockers) = block(&pool);
                let accepted = AtomicUsize::new(0);
                thread::scope(|scope| {
                    for _ in 0..64 {
                        scope.spawn(|| {
                            while let Ok(handle) = pool.try_submit(|| ()) {
                                handle.detach();
                                accepted.fetch_add(1, Ordering::SeqCst);
                            }
                        });
                    }
                });
                assert_eq!(accepted.load(Ordering::SeqCst), limit);
                assert_eq!(pool.queue_stats().queued, Some(limit as u64));
                end(&gate, blockers);
                assert!(pool.wait_idle(LONG));
                assert_all_back(&pool, limit);
            });
        }
    }
}

/// Counts those that are there at once.
#[derive(Default)]
struct Peak {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Peak {
    fn come(self: &Arc<Self>) -> impl Send + use<> {
        struct Leave(Arc<Peak>);
        impl Drop for Leave {
            fn drop(&mut self) {
                self.0.now.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Leave(Arc::clone(self))
    }
}

#[test]
fn never_more_than_the_limit_are_in_flight_with_64_submitters() {
    for width in WIDTHS {
        for limit in [1, 3, 500] {
            let pool = bounded(width, Bound::in_flight(limit));
            let peak = Arc::new(Peak::default());
            watchdog(&pool, || {
                thread::scope(|scope| {
                    for n in 0..64 {
                        let (pool, peak) = (&pool, &peak);
                        scope.spawn(move || {
                            for _ in 0..scale(100) {
                                // What is there only while there is a permit for it.
                                let permit = pool.reserve().unwrap();
                                let there = peak.come();
                                let handle = permit.submit(move || {
                                    drop(there);
                                    if n % 8 == 0 {
                                        throw("one of eight");
                                    }
                                });
                                handle.detach();
                            }
                        });
                    }
                });
                assert!(pool.wait_idle(LONG));
                assert!(peak.most.load(Ordering::SeqCst) <= limit);
                assert_eq!(pool.queue_stats().in_flight, Some(0));
                assert_eq!(pool.job_counts().finished(), 64 * scale(100) as u64);
            });
        }
    }
}

#[test]
fn weight_is_what_is_said_until_the_end() {
    let pool = bounded(1, rejecting(Bound::weight(100)));
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let heavy = pool.job("heavy").weight(60).submit(|| 1);
        assert_eq!(pool.queue_stats().weight, Some(61), "the blocker weighs 1");
        assert!(is_full(&pool.job("too heavy").weight(40).submit(|| 2).wait()));
        let light = pool.job("light").weight(39).submit(|| 3);
        assert!(pool.try_submit(|| 4).is_err());
        let nothing = pool.job("nothing").weight(0).submit(|| 5);
        end(&gate, blockers);
        assert_eq!(heavy.wait().unwrap() + light.wait().unwrap() + nothing.wait().unwrap(), 9);
        assert_eq!(pool.queue_stats().weight, Some(0));
        // Heavier than the bound: alone.
        let (gate, blockers) = block(&pool);
        assert!(is_full(&pool.job("whale").weight(1_000).submit(|| 6).wait()));
        end(&gate, blockers);
        assert_eq!(pool.job("whale").weight(1_000).submit(|| 6).wait().unwrap(), 6);
    });
}

#[test]
fn levels_and_kinds_have_bounds_of_their_own() {
    let limits = rejecting(Bound::jobs(10))
        .level(Priority::Low, Bound::jobs(2))
        .kind("thumb", Bound::jobs(5))
        .kind("thumb", Bound::jobs(3));
    let pool = bounded(1, limits);
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let job = |level: Priority, kind: &'static str| {
            pool.job("").priority(level).kind(kind).try_submit(|| ()).map(drop).is_ok()
        };
        assert!(job(Priority::Low, "mail") && job(Priority::Low, "thumb"));
        assert!(!job(Priority::Low, "mail"), "2 are Low");
        assert!(job(Priority::Normal, "thumb") && job(Priority::High, "thumb"));
        assert!(!job(Priority::Normal, "thumb"), "3 are thumb");
        assert!((0..6).all(|_| job(Priority::Normal, "mail")));
        assert!(!job(Priority::Critical, "mail"), "10 in all");
        assert_eq!(pool.queue_stats().queued, Some(10));
        end(&gate, blockers);
        assert!(pool.wait_idle(LONG));
        assert_all_back(&pool, 10);
        let (gate, blockers) = block(&pool);
        assert!((0..2).all(|_| job(Priority::Low, "mail")) && !job(Priority::Low, "mail"));
        assert!((0..3).all(|_| job(Priority::High, "thumb")) && !job(Priority::High, "thumb"));
        end(&gate, blockers);
    });
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    let none = || Bound::jobs(0);
    let limits = [
        QueueLimits::new(none()),
        QueueLimits::new(Bound::jobs(1).or_weight(0)),
        QueueLimits::default().level(Priority::Idle, none()),
        QueueLimits::default().kind("mail", Bound::in_flight(0)),
    ];
    for limits in limits {
        let built = Pool::builder().workers(1).queue(limits).build();
        assert!(matches!(built, Err(BuildError::BadLimits { .. })));
    }
    let pool = bounded(1, Bound::jobs(usize::MAX).or_weight(u64::MAX));
    deadline(|| assert_eq!(pool.submit(|| 1).wait().unwrap(), 1));
}

// ---- when there is no room

#[test]
fn a_closure_without_room_comes_back() {
    at_each_width(rejecting(Bound::jobs(1)), |pool| {
        let live = Arc::new(Live::new());
        let (gate, blockers) = block(pool);
        let queued = pool.submit(|| 1);
        let value = String::from("precious");
        match pool.try_submit(move || value) {
            Err(SubmitError::Full(f)) => assert_eq!(f(), "precious"),
            other => panic!("{other:?}"),
        }
        match pool.submit_timeout(Duration::from_millis(1), || 3) {
            Err(error @ SubmitError::Full(_)) => assert_eq!(error.into_inner()(), 3),
            other => panic!("{other:?}"),
        }
        let held = Arc::clone(&live);
        let full = pool.submit(move || drop(held));
        assert!(full.is_finished(), "its handle tells at once");
        assert!(is_full(&full.wait()));
        assert_eq!(Arc::strong_count(&live), 1, "the closure is dropped");
        let counts = pool.job_counts();
        assert_eq!(counts.accepted, 1 + pool.num_workers() as u64);
        end(&gate, blockers);
        assert_eq!(queued.wait().unwrap(), 1);
    });
}

#[test]
fn a_submitter_waits_for_room() {
    for width in WIDTHS {
        let pool = bounded(width, Bound::jobs(2));
        watchdog(&pool, || {
            let (gate, blockers) = block(&pool);
            let sum = Arc::new(AtomicU64::new(0));
            let submitter = thread::spawn({
                let (pool, sum) = (pool.clone(), Arc::clone(&sum));
                move || {
                    for n in 1..=100 {
                        let sum = Arc::clone(&sum);
                        pool.submit(move || sum.fetch_add(n, Ordering::SeqCst)).detach();
                    }
                }
            });
            until(|| pool.queue_stats().waiting == 1);
            assert_eq!(pool.queue_stats().queued, Some(2));
            end(&gate, blockers);
            submitter.join().unwrap();
            assert!(pool.wait_idle(LONG));
            assert_eq!(sum.load(Ordering::SeqCst), 5050);
            assert_all_back(&pool, 2);
        });
    }
}

#[test]
fn the_wait_for_room_has_a_limit_if_the_pool_says_so() {
    let limits = QueueLimits::new(Bound::jobs(1)).when_full(WhenFull::Timeout(Duration::ZERO));
    let pool = bounded(1, limits);
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let queued = pool.submit(|| 1);
        assert!(is_full(&pool.submit(|| 2).wait()));
        assert_eq!(pool.queue_stats().waiting, 0);
        end(&gate, blockers);
        assert_eq!(queued.wait().unwrap(), 1);
        assert_all_back(&pool, 1);
    });
}

#[test]
fn the_caller_runs_what_has_no_room() {
    let limits = QueueLimits::new(Bound::jobs(1)).when_full(WhenFull::CallerRuns);
    at_each_width(limits, |pool| {
        let permit = pool.try_reserve().unwrap();
        let me = thread::current().id();
        let handle = pool.submit(move || thread::current().id() == me);
        assert!(handle.is_finished(), "it has run before the submit returned");
        assert!(handle.wait().unwrap());
        let panicked = pool.submit(|| throw::<u32>(3));
        assert!(matches!(panicked.wait(), Err(JobError::Panicked(_))));
        let cancelled = windlass::CancelToken::new();
        cancelled.cancel();
        let cancelled = pool.job("never").cancel_token(&cancelled).submit(|| ());
        assert!(matches!(cancelled.wait(), Err(JobError::Cancelled { had_started: false, .. })));
        // One that waits for others is not to be run now.
        let gate = Gate::default();
        let held = gate.clone();
        let first = permit.submit(move || held.wait());
        let second = pool.job("second").after(&[&first]).submit(|| 2);
        assert!(!second.is_finished());
        gate.open();
        assert_eq!(second.wait().unwrap(), 2);
        first.wait().unwrap();
        assert!(pool.wait_idle(LONG));
        assert_all_back(pool, 1);
    });
}

#[test]
fn the_caller_waits_for_a_worker_if_all_are_busy() {
    let limits = QueueLimits::new(Bound::jobs(1)).when_full(WhenFull::CallerRuns);
    at_each_width(limits, |pool| {
        let (gate, blockers) = block(pool);
        let queued = pool.submit(|| ());
        let caller = thread::spawn({
            let pool = pool.clone();
            move || pool.submit(|| 7).wait().unwrap()
        });
        until(|| pool.job_counts().accepted == pool.num_workers() as u64 + 2);
        end(&gate, blockers);
        assert_eq!(caller.join().unwrap(), 7);
        queued.wait().unwrap();
        assert!(pool.wait_idle(LONG));
        assert_all_back(pool, 1);
    });
}

/// SEMANTICS 6, item 2: N workers that each submit into a full queue go on.
#[test]
fn a_worker_is_never_held_up_by_a_full_queue() {
    for when_full in [WhenFull::Block, WhenFull::Timeout(LONG), WhenFull::CallerRuns] {
        for width in WIDTHS {
            for bound in [Bound::jobs(1), Bound::in_flight(1), Bound::weight(1)] {
                let pool = bounded(width, QueueLimits::new(bound).when_full(when_full));
                watchdog(&pool, || {
                    let inner = pool.clone();
                    let outer = move || {
                        let jobs: Vec<_> = (0..20).map(|n| inner.submit(move || n)).collect();
                        jobs.into_iter().map(|job| job.wait().unwrap()).sum::<u32>()
                    };
                    let jobs: Vec<_> = (0..width).map(|_| pool.submit(outer.clone())).collect();
                    for job in jobs {
                        assert_eq!(job.wait().unwrap(), 190);
                    }
                    assert!(pool.wait_idle(LONG));
                    assert_all_back(&pool, 1);
                });
            }
        }
    }
}

#[test]
fn a_guest_is_never_held_up_by_a_full_queue() {
    at_each_width(Bound::jobs(1), |pool| {
        let sum: u32 = pool.install(|| {
            let jobs: Vec<_> = (0..20).map(|n| pool.submit(move || n)).collect();
            jobs.into_iter().map(|job| job.wait().unwrap()).sum()
        });
        assert_eq!(sum, 190);
        assert!(pool.wait_idle(LONG));
        assert_all_back(pool, 1);
    });
}

#[test]
fn what_is_beyond_the_limit_is_made_good_first() {
    let pool = bounded(1, Bound::jobs(2));
    watchdog(&pool, || {
        let inner = pool.clone();
        let (send, receive) = std::sync::mpsc::channel();
        let job = pool.submit(move || {
            (0..5).for_each(|_| inner.submit(|| ()).detach());
            let stats = inner.queue_stats();
            let refused = inner.try_submit(|| ()).is_err();
            send.send((stats.queued, refused)).unwrap();
        });
        assert_eq!(receive.recv().unwrap(), (Some(5), true));
        job.wait().unwrap();
        assert!(pool.wait_idle(LONG));
        assert_all_back(&pool, 2);
    });
}

// ---- what comes back

/// D6: whatever becomes of a job, its tokens come back.
#[test]
fn each_way_to_end_gives_the_tokens_back() {
    at_each_width(rejecting(Bound::jobs(4).or_in_flight(12).or_weight(1_000)), |pool| {
        let all_back = |what: &str| {
            assert!(pool.wait_idle(LONG));
            let stats = pool.queue_stats();
            let used = (stats.queued, stats.in_flight, stats.weight);
            assert_eq!(used, (Some(0), Some(0), Some(0)), "{what}");
        };
        pool.submit(|| 1).wait().unwrap();
        all_back("completed");
        let panicked = pool.submit(|| throw::<()>(()));
        assert!(panicked.wait().is_err());
        all_back("panicked");
        let (gate, blockers) = block(pool);
        let job = pool.job("cancelled").weight(7).submit(|| 1);
        assert_eq!(pool.queue_stats().weight, Some(7 + pool.num_workers() as u64));
        assert_eq!(job.cancel(), CancelOutcome::Removed);
        let stats = pool.queue_stats();
        let running = pool.num_workers() as u64;
        assert_eq!((stats.queued, stats.in_flight), (Some(0), Some(running)));
        let job = pool.job("expired").start_within(Duration::ZERO).submit(|| 1);
        assert!(matches!(job.wait(), Err(JobError::TimedOut { .. })));
        assert_eq!(pool.queue_stats().queued, Some(0));
        let waits_for = pool.job("waits").after(&[&blockers[0]]).submit(|| 1);
        assert_eq!(pool.queue_stats().queued, Some(1), "what waits for others counts as well");
        assert_eq!(waits_for.cancel(), CancelOutcome::Removed);
        assert_eq!(pool.queue_stats().queued, Some(0));
        let broken = pool.job("broken").submit(|| throw::<()>(()));
        let skipped = pool.job("skipped").after(&[&broken]).submit(|| 1);
        end(&gate, blockers);
        assert!(matches!(skipped.wait(), Err(JobError::Skipped { .. })));
        all_back("cancelled, expired, skipped");
        let over = pool.job("over").run_timeout(Duration::ZERO).submit_with(|cx| {
            while !cx.is_cancelled() {
                thread::yield_now();
            }
        });
        assert!(matches!(over.wait(), Err(JobError::TimedOut { .. })));
        all_back("ran too long");
        pool.job("detached").submit(|| ()).detach();
        all_back("detached");
    });
}

#[test]
fn a_job_whose_time_is_up_counts_until_its_closure_returns() {
    let pool = bounded(1, rejecting(Bound::in_flight(1)));
    watchdog(&pool, || {
        let gate = crate::common::Gate::default();
        let held = gate.clone();
        let job = pool.job("over").run_timeout(Duration::ZERO).submit(move || held.wait());
        assert!(matches!(job.wait(), Err(JobError::TimedOut { .. })));
        assert!(pool.try_submit(|| ()).is_err(), "it keeps its worker still");
        gate.open();
        assert!(pool.wait_idle(LONG));
        pool.try_submit(|| ()).unwrap().wait().unwrap();
    });
}

#[test]
fn whoever_is_told_of_an_end_finds_its_room() {
    at_each_width(rejecting(Bound::in_flight(1)), |pool| {
        for n in 0..scale(2_000) {
            let handle = pool.try_submit(move || n).unwrap();
            assert_eq!(handle.wait().unwrap(), n);
        }
    });
}

// ---- many at once

#[test]
fn many_are_let_in_as_far_as_there_is_room() {
    for width in WIDTHS {
        for limit in [3, 700] {
            let pool = bounded(width, rejecting(Bound::jobs(limit)));
            watchdog(&pool, || {
                let (gate, blockers) = block(&pool);
                let handles = pool.submit_many((0..limit + 5).map(|n| move || n));
                assert_eq!(pool.queue_stats().queued, Some(limit as u64));
                end(&gate, blockers);
                for (n, handle) in handles.into_iter().enumerate() {
                    match handle.wait() {
                        Ok(value) => assert!(value == n && n < limit),
                        Err(error) => assert!(matches!(error, JobError::Full) && n >= limit),
                    }
                }
                assert_all_back(&pool, limit);
            });
            let pool = bounded(width, Bound::jobs(limit).or_in_flight(2 * limit));
            watchdog(&pool, || {
                let handles = pool.submit_many((0..5 * limit as u64).map(|n| move || n));
                let sum: u64 = handles.into_iter().map(|handle| handle.wait().unwrap()).sum();
                assert_eq!(sum, (0..5 * limit as u64).sum::<u64>());
                assert_all_back(&pool, limit);
            });
        }
    }
}

// ---- the end of the pool

#[test]
fn who_waits_hears_of_the_end() {
    for how in [Shutdown::Drain, Shutdown::CancelPending, Shutdown::CancelAll] {
        let pool = bounded(1, Bound::jobs(1));
        watchdog(&pool, || {
            let (gate, blockers) = block(&pool);
            let queued = pool.submit(|| 1);
            let blocked = thread::spawn({
                let pool = pool.clone();
                move || pool.submit(|| 2).wait()
            });
            let reserving = thread::spawn({
                let pool = pool.clone();
                move || pool.reserve().unwrap_err()
            });
            until(|| pool.queue_stats().waiting == 2);
            pool.shutdown(how, Duration::ZERO);
            assert!(matches!(blocked.join().unwrap(), Err(JobError::Rejected)));
            assert_eq!(reserving.join().unwrap(), ReserveError::ShuttingDown);
            assert_eq!(pool.try_reserve().unwrap_err(), ReserveError::ShuttingDown);
            end(&gate, blockers);
            assert_eq!(queued.wait().is_ok(), how == Shutdown::Drain);
        });
    }
}

#[test]
fn a_permit_is_for_a_job_with_its_options() {
    let limits = QueueLimits::new(Bound::jobs(10))
        .level(Priority::Background, Bound::jobs(1))
        .kind("upload", Bound::weight(100));
    let pool = Pool::builder().workers(1).queue(limits).build().unwrap();
    watchdog(&pool, || {
        let upload = |bytes| pool.job("upload").kind("upload").weight(bytes);
        let permit = upload(80).try_reserve().unwrap();
        assert_eq!(upload(21).try_reserve().unwrap_err(), ReserveError::Full);
        let small = upload(20).reserve().unwrap();
        assert_eq!(pool.queue_stats().queued, Some(2));
        drop(small);
        let low = pool.job("low").priority(Priority::Background);
        let low = low.try_reserve().unwrap();
        let other = pool.job("other").priority(Priority::Background);
        assert_eq!(other.try_reserve().unwrap_err(), ReserveError::Full);
        let (gate, blockers) = block(&pool);
        let (job, low) = (permit.submit(|| 1), low.submit(|| 2));
        assert_eq!((job.name(), low.priority()), (Some("upload"), Priority::Background));
        assert!(upload(21).try_submit(|| ()).is_err(), "it has the room of its permit");
        end(&gate, blockers);
        assert_eq!((job.wait().unwrap(), low.wait().unwrap()), (1, 2));
        assert!(upload(100).try_reserve().is_ok());

        // One that its group does not take leaves its room behind.
        let group = pool.group("closed").open::<()>();
        let permit = upload(100).group(&group).try_reserve().unwrap();
        group.close();
        assert!(matches!(permit.submit(|| ()).wait(), Err(JobError::Rejected)));
        assert!(upload(100).try_reserve().is_ok());
        assert_eq!(pool.queue_stats().queued, Some(0));
    });
}

#[test]
fn a_permit_outlives_its_pool() {
    let pool = bounded(1, Bound::jobs(1));
    let permits = [pool.try_reserve().unwrap()];
    drop(pool);
    deadline(|| {
        for permit in permits {
            assert!(matches!(permit.submit(|| ()).wait(), Err(JobError::Rejected)));
        }
    });
    let pool = bounded(1, Bound::jobs(1));
    let permit = pool.try_reserve().unwrap();
    drop(pool);
    drop(permit);
}
