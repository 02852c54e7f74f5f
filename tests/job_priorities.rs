//! Which job comes first, by how much it may be late, and that no level starves.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use windlass::{Pool, Priority, join};

type Log = Arc<Mutex<Vec<Priority>>>;

/// A job that takes down its level, and then submits itself again as long as `goes_on`.
fn endless(pool: &Pool, priority: Priority, log: &Log, goes_on: &Arc<AtomicBool>) {
    if !goes_on.load(Ordering::SeqCst) {
        return;
    }
    let (inner, log, goes_on) = (pool.clone(), Arc::clone(log), Arc::clone(goes_on));
    let job = pool.job("").priority(priority);
    job.submit(move || {
        log.lock().unwrap().push(priority);
        endless(&inner, priority, &log, &goes_on);
    })
    .detach();
}

#[test]
fn the_highest_level_comes_first() {
    let pool = Pool::new(1).unwrap();
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let order = Arc::new(AtomicUsize::new(0));
        let mut handles = Vec::new();
        for priority in Priority::ALL.into_iter().rev() {
            let order = Arc::clone(&order);
            let job = pool.job("step").priority(priority);
            handles.push((priority, job.submit(move || order.fetch_add(1, Ordering::SeqCst))));
        }
        gate.open();
        assert!(pool.wait_idle(LONG));
        for (priority, mut handle) in handles {
            assert_eq!(handle.try_take().unwrap().unwrap(), usize::from(priority.level()));
        }
        drop(blockers);
    });
}

/// A job of the top level is overtaken by the jobs that run and by at most 32 dispatches.
#[test]
fn a_high_job_is_late_by_a_bounded_number_of_dispatches() {
    for from_inside in [true, false] {
        let pool = Pool::new(1).unwrap();
        watchdog(&pool, || {
            for _ in 0..scale(50) {
                let (gate, blockers) = block(&pool);
                let log = Log::default();
                for _ in 0..500 {
                    let log = Arc::clone(&log);
                    let job = pool.job("").priority(Priority::Background);
                    job.submit(move || log.lock().unwrap().push(Priority::Background)).detach();
                }
                let high = || {
                    let (log, pool) = (Arc::clone(&log), pool.clone());
                    move || {
                        let inner = Arc::clone(&log);
                        let job = pool.job("").priority(Priority::High);
                        job.submit(move || inner.lock().unwrap().push(Priority::High)).detach();
                        log.lock().unwrap().push(Priority::Critical);
                    }
                };
                if from_inside {
                    pool.submit(high()).detach();
                } else {
                    high()();
                }
                end(&gate, blockers);
                assert!(pool.wait_idle(LONG));
                let log = log.lock().unwrap();
                let place = |wanted| log.iter().position(|&level| level == wanted).unwrap();
                let late = place(Priority::High) - place(Priority::Critical);
                assert!(late <= 1 + 32, "{late}");
            }
        });
    }
}

/// F1: with endless streams of all levels above, each level has its turn.
#[test]
fn no_level_starves_under_endless_streams_above() {
    // One stream of each level, and then only the highest beside the lowest.
    for levels in [&Priority::ALL[..], &[Priority::Critical, Priority::Idle]] {
        let pool = Pool::new(1).unwrap();
        watchdog(&pool, || {
            let (gate, blockers) = block(&pool);
            let (log, goes_on) = (Log::default(), Arc::new(AtomicBool::new(true)));
            for &level in levels {
                (0..4).for_each(|_| endless(&pool, level, &log, &goes_on));
            }
            end(&gate, blockers);
            until(|| log.lock().unwrap().len() >= scale(50_000).max(5_000));
            goes_on.store(false, Ordering::SeqCst);
            assert!(pool.wait_idle(LONG));
            let log = log.lock().unwrap();
            for &level in levels {
                let places =
                    log.iter().enumerate().filter(|(_, at)| **at == level).map(|(at, _)| at);
                let mut last = 0;
                let ends = places.chain([log.len() - 100]);
                for at in ends {
                    let gap = at.saturating_sub(last);
                    // The jobs of the last round end in whichever order.
                    assert!(gap <= 61 * (levels.len() - 1), "{level} waited for {gap} others");
                    last = at;
                }
            }
            // And yet most are of the highest.
            let highest = log.iter().filter(|&&level| level == Priority::Critical).count();
            assert!(highest * 100 >= log.len() * 97, "{highest} of {}", log.len());
        });
    }
}

#[test]
fn all_levels_make_progress_on_any_number_of_workers() {
    at_each_width(|pool| {
        let goes_on = Arc::new(AtomicBool::new(true));
        let logs: Vec<_> = Priority::ALL.map(|level| (level, Log::default())).into();
        for (level, log) in &logs {
            (0..2 * pool.num_workers()).for_each(|_| endless(pool, *level, log, &goes_on));
        }
        for (_, log) in &logs {
            until(|| log.lock().unwrap().len() >= 20);
        }
        goes_on.store(false, Ordering::SeqCst);
        assert!(pool.wait_idle(LONG));
    });
}

/// F4: jobs from inside do not keep those from outside waiting.
#[test]
fn a_job_from_outside_starts_among_endless_jobs_from_inside() {
    let pool = Pool::new(1).unwrap();
    watchdog(&pool, || {
        let (log, goes_on) = (Log::default(), Arc::new(AtomicBool::new(true)));
        let (gate, blockers) = block(&pool);
        let inner = (pool.clone(), Arc::clone(&log), Arc::clone(&goes_on));
        // From inside, so that they never leave the worker; more than a batch.
        pool.submit(move || {
            (0..5_000).for_each(|_| endless(&inner.0, Priority::Normal, &inner.1, &inner.2))
        })
        .detach();
        end(&gate, blockers);
        for _ in 0..scale(50) {
            let count = log.lock().unwrap().len();
            until(|| log.lock().unwrap().len() > count);
            let inner = Arc::clone(&log);
            // The lock keeps the worker from running on meanwhile.
            let (mut handle, before) = {
                let log = log.lock().unwrap();
                (pool.submit(move || inner.lock().unwrap().len()), log.len())
            };
            let started = handle.wait_timeout(LONG).unwrap().unwrap();
            assert!(started - before <= 2 + 32 + 32, "{}", started - before);
        }
        goes_on.store(false, Ordering::SeqCst);
        assert!(pool.wait_idle(LONG));
    });
}

/// F2.
#[test]
fn who_waits_for_a_job_lends_it_its_level() {
    at_each_width(|pool| {
        // A queued one.
        let (gate, blockers) = block(pool);
        let mut low = pool.job("").priority(Priority::Background).submit(|| ());
        assert_eq!(low.priority(), Priority::Background);
        let job = low.job_ref();
        let inner = pool.clone();
        let waiter = pool.job("").priority(Priority::High).submit(move || {
            if inner.num_workers() == 1 {
                assert!(low.wait_timeout(Duration::ZERO).is_none());
            } else {
                // Somebody else may have run it, or be about to.
                low.wait_timeout(LONG).unwrap().unwrap();
            }
            low
        });
        let filler = Arc::new(AtomicUsize::new(0));
        let fillers: Vec<_> = (0..200)
            .map(|_| {
                let filler = Arc::clone(&filler);
                pool.submit(move || _ = filler.fetch_add(1, Ordering::SeqCst))
            })
            .collect();
        end(&gate, blockers);
        let mut waiter = waiter;
        let mut low = waiter.wait_timeout(LONG).unwrap().unwrap();
        if pool.num_workers() == 1 {
            assert_eq!(job.priority(), Priority::High);
            low.wait_timeout(LONG).unwrap().unwrap();
            // In front of the others, which are of a level in between.
            assert!(
                low.times().started < fillers[100].times().started || !fillers[100].is_finished()
            );
        }
        fillers.into_iter().for_each(|filler| filler.wait().unwrap());
        // A running one. It takes another worker to wait for it.
        if pool.num_workers() == 1 {
            return;
        }
        let (gate, has_looked) = (Gate::default(), Arc::new(AtomicBool::new(false)));
        let (inner, looked) = (gate.clone(), Arc::clone(&has_looked));
        let job = pool.job("").priority(Priority::Background);
        let mut low = job.submit_with(move |cx| {
            let at_first = cx.priority();
            looked.store(true, Ordering::SeqCst);
            inner.wait();
            (at_first, join(|| cx.priority(), || windlass::current().unwrap().priority()))
        });
        until(|| has_looked.load(Ordering::SeqCst));
        let job = low.job_ref();
        let wait = move || low.wait_timeout(LONG).unwrap().unwrap();
        let mut high = pool.job("").priority(Priority::High).submit(wait);
        until(|| job.priority() == Priority::High);
        gate.open();
        let levels = high.wait_timeout(LONG).unwrap().unwrap();
        assert_eq!(levels, (Priority::Background, (Priority::High, Priority::High)));
    });
}

#[test]
fn jobs_are_of_their_own_level_also_when_a_wait_runs_them() {
    at_each_width(|pool| {
        let inner = pool.clone();
        let outer = pool.job("").priority(Priority::Critical).submit(move || {
            let level = || windlass::current().unwrap().priority();
            let low = inner.job("").priority(Priority::Idle).submit(level);
            let forks = join(level, level);
            (level(), low.wait().unwrap(), forks)
        });
        let (own, low, forks) = outer.wait().unwrap();
        assert_eq!((own, forks), (Priority::Critical, (Priority::Critical, Priority::Critical)));
        // Or what was lent, if another worker was about to run it.
        assert!(low == Priority::Idle || low == Priority::Critical);
    });
}

/// A reserved worker starts a job of the top levels while all others are blocked, and no other job.
#[test]
fn reserved_workers_serve_the_top_levels_only() {
    for width in WIDTHS {
        let pool = Pool::builder().workers(width).reserved_workers(1).build().unwrap();
        assert_eq!(pool.num_workers(), width);
        watchdog(&pool, || {
            for _ in 0..scale(20) {
                let (gate, blockers) = block(&pool);
                let normal = pool.job("").priority(Priority::AboveNormal).submit(|| ());
                for priority in [Priority::High, Priority::Critical, Priority::High] {
                    let mut high = pool.job("").priority(priority).submit(|| fib(10));
                    assert_eq!(high.wait_timeout(LONG).unwrap().unwrap(), 55);
                }
                // Of many, too.
                let handles: Vec<_> = (0..100)
                    .map(|i| pool.job("").priority(Priority::High).submit(move || i))
                    .collect();
                for (i, mut handle) in handles.into_iter().enumerate() {
                    assert_eq!(handle.wait_timeout(LONG).unwrap().unwrap(), i);
                }
                assert!(!normal.is_finished());
                end(&gate, blockers);
                normal.wait().unwrap();
            }
        });
    }
}
