//! `broadcast` runs once on each of the pool's threads, whatever those are doing, and returns the results in order.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use windlass::{Pool, broadcast, join, scope};

#[test]
fn each_worker_is_called_once_and_in_order() {
    at_each_width(|pool| {
        let width = pool.num_workers();
        for _ in 0..scale(500) {
            let calls = AtomicUsize::new(0);
            let seen = pool.broadcast(|cx| {
                calls.fetch_add(1, Ordering::SeqCst);
                assert_eq!((cx.num_workers(), pool.current_worker()), (width, Some(cx.index())));
                (cx.index(), thread::current().id())
            });
            assert_eq!(calls.into_inner(), width);
            assert!(seen.iter().map(|(index, _)| *index).eq(0..width));
            let threads: HashSet<_> = seen.into_iter().map(|(_, thread)| thread).collect();
            assert_eq!(threads.len(), width);
            assert!(!threads.contains(&thread::current().id()));
        }
    });
}

#[test]
fn all_workers_may_run_their_calls_at_the_same_time() {
    at_each_width(|pool| {
        for _ in 0..scale(100) {
            let meeting = Meeting::of(pool.num_workers());
            pool.broadcast(|_| meeting.attend());
        }
    });
}

#[test]
fn results_are_dropped_once_also_when_a_call_panics() {
    at_each_width(|pool| {
        let width = pool.num_workers();
        for round in 0..scale(100) {
            let live = Live::default();
            assert_eq!(pool.broadcast(|_| live.token()).len(), width);
            live.assert_none();
            let (bad, calls) = (round % width, AtomicUsize::new(0));
            let thrown: usize = caught(|| {
                pool.broadcast(|cx| {
                    calls.fetch_add(1, Ordering::SeqCst);
                    if cx.index() == bad { throw(bad) } else { live.token() }
                })
            });
            assert_eq!((thrown, calls.into_inner()), (bad, width));
            live.assert_none();
        }
        let thrown: usize = caught(|| pool.broadcast(|cx| throw(cx.index())));
        assert!(thrown < width);
    });
}

#[test]
fn it_works_from_inside_of_a_worker_and_of_a_guest() {
    at_each_width(|pool| {
        let width = pool.num_workers();
        let expected: Vec<usize> = (0..width).collect();
        for _ in 0..scale(100) {
            assert_eq!(pool.install(|| broadcast(|cx| cx.index())), expected);
            let nested = pool.broadcast(|_| broadcast(|cx| cx.index()));
            assert_eq!(nested, vec![expected.clone(); width]);
            let (a, b) = pool.join(|| broadcast(|cx| cx.index()), || broadcast(|cx| cx.index()));
            assert_eq!((&a, &b), (&expected, &expected));
            pool.scope(|s| {
                for _ in 0..3 {
                    s.spawn(|_| assert_eq!(broadcast(|cx| cx.index()), expected));
                }
            });
            pool.par_for_each(0..4, |_| assert_eq!(broadcast(|cx| cx.index()), expected));
        }
    });
}

#[test]
fn broadcasts_of_several_threads_do_not_block_one_another() {
    at_each_width(|pool| {
        let width = pool.num_workers();
        thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for _ in 0..scale(200) {
                        assert_eq!(pool.broadcast(|_| 1).len(), width);
                        assert_eq!(pool.install(|| broadcast(|_| 1)).len(), width);
                    }
                });
            }
        });
    });
}

/// W4: a broadcast to a sleeper that has just looked for work.
#[test]
fn broadcasts_reach_sleepers_waiters_and_the_busy() {
    at_each_width(|pool| {
        let (stop, width) = (AtomicBool::new(false), pool.num_workers());
        thread::scope(|threads| {
            for load in 0..3 {
                let stop = &stop;
                threads.spawn(move || {
                    let mut n = 0_u32;
                    while !stop.load(Ordering::Relaxed) {
                        n += 1;
                        match load {
                            0 => _ = pool.install(|| fib(12)),
                            1 => pool.scope(|s| (0..5).for_each(|_| s.spawn(|_| _ = fib(8)))),
                            // Comes and goes, so that the workers fall asleep and wake.
                            _ if n.is_multiple_of(4) => thread::sleep(Duration::from_micros(100)),
                            _ => _ = pool.par_map(0..100_u64, |n| n * n),
                        }
                    }
                });
            }
            for round in 0..scale(1_000) {
                assert_eq!(pool.broadcast(|cx| cx.index() + round).len(), width);
                if round % 16 == 0 {
                    thread::sleep(Duration::from_micros(200));
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn a_worker_that_waits_in_join_serves_broadcasts() {
    for width in [2, 3, 8] {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            for _ in 0..scale(50) {
                // A worker waits for the stolen half, which ends only after the broadcast that needs the waiter.
                let meeting = Meeting::of(2);
                pool.broadcast(|cx| {
                    if cx.index() > 0 {
                        return;
                    }
                    join(
                        || {
                            meeting.attend();
                            work_for(Duration::from_micros(100));
                        },
                        || {
                            meeting.attend();
                            assert_eq!(broadcast(|cx| cx.index()).len(), width);
                        },
                    );
                });
            }
        });
    }
}

#[test]
fn calls_may_fork_spawn_and_loop() {
    at_each_width(|pool| {
        for _ in 0..scale(50) {
            let sums = pool.broadcast(|cx| {
                let count = AtomicUsize::new(0);
                scope(|s| {
                    (0..4).for_each(|_| s.spawn(|_| _ = count.fetch_add(1, Ordering::Relaxed)))
                });
                let sum = windlass::par_map_reduce(0..cx.index(), |n| n, || 0, |a, b| a + b);
                fib(8) as usize + count.into_inner() + sum
            });
            let expected = (0..pool.num_workers()).map(|i| 25 + i * i.saturating_sub(1) / 2);
            assert!(sums.into_iter().eq(expected));
        }
    });
}

/// A worker inside of a broadcast looks for nothing; were it counted as a searcher, nobody would come for its forks.
#[test]
fn a_fork_inside_of_a_call_is_taken_when_everybody_else_sleeps() {
    for width in [2, 3, 8] {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            for _ in 0..scale(20) {
                let meeting = Meeting::of(2);
                let half = || {
                    meeting.attend();
                    work_for(Duration::from_micros(200));
                };
                pool.broadcast(|cx| {
                    if cx.index() == 0 {
                        // Not to wait for anything: the others may as well be awake, which is the easier case.
                        thread::sleep(Duration::from_millis(5));
                        join(half, half);
                    }
                });
            }
        });
    }
}

/// As above, and the other way round: work from outside while one worker is inside of a long broadcast.
#[test]
fn a_long_call_does_not_keep_others_from_being_woken() {
    for width in [2, 3, 8] {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            for _ in 0..scale(20) {
                let (started, met) = (AtomicBool::new(false), AtomicBool::new(false));
                thread::scope(|threads| {
                    threads.spawn(|| {
                        pool.broadcast(|cx| {
                            if cx.index() == width - 1 {
                                started.store(true, Ordering::SeqCst);
                                while !met.load(Ordering::SeqCst) {
                                    thread::yield_now();
                                }
                            }
                        });
                    });
                    while !started.load(Ordering::SeqCst) {
                        thread::yield_now();
                    }
                    // Lets the others fall asleep, which is the harder case.
                    thread::sleep(Duration::from_millis(2));
                    if width > 2 {
                        let meeting = Meeting::of(2);
                        let half = || {
                            meeting.attend();
                            work_for(Duration::from_micros(200));
                        };
                        pool.join(half, half);
                    }
                    met.store(true, Ordering::SeqCst);
                });
            }
        });
    }
}
