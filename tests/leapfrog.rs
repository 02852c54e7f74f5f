//! A thread that waits runs only what it waits for: locks may be held across `join` and `scope`, and stacks stay as deep
//! as the program's own recursion.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use windlass::{Pool, join, scope};

/// rayon #592, D1.
#[test]
fn a_lock_may_be_held_across_join() {
    fn contend(lock: &Mutex<u64>, depth: u32) {
        if depth > 0 {
            join(|| contend(lock, depth - 1), || contend(lock, depth - 1));
            return;
        }
        let mut sum = lock.lock().unwrap();
        *sum += fib(6);
    }
    at_each_width(|pool| {
        let lock = Mutex::new(0);
        // 100,000 calls over the four widths and the four threads.
        let rounds = scale(100_000) / 16;
        std::thread::scope(|threads| {
            for _ in 0..4 {
                // Each call has 16 leaves that want the lock, here and in the other threads' trees.
                threads.spawn(|| (0..rounds + 1).for_each(|_| pool.install(|| contend(&lock, 4))));
            }
        });
        assert_eq!(lock.into_inner().unwrap(), 8 * 16 * 4 * (rounds as u64 + 1));
    });
}

#[test]
fn a_lock_may_be_held_across_a_join_that_is_stolen_from() {
    at_each_width(|pool| {
        let lock = Mutex::new(0);
        let rounds = scale(4_000) / 8 + 1;
        std::thread::scope(|threads| {
            for _ in 0..3 {
                threads.spawn(|| {
                    for _ in 0..rounds {
                        let hold = || {
                            let mut sum = lock.lock().unwrap();
                            *sum += fib(13);
                        };
                        pool.install(|| join(|| join(hold, hold), || join(hold, hold)));
                    }
                });
            }
        });
        assert_eq!(lock.into_inner().unwrap(), 233 * 4 * 3 * rounds as u64);
    });
}

#[test]
fn a_lock_may_be_held_across_scope() {
    at_each_width(|pool| {
        let lock = Mutex::new(0_usize);
        let rounds = scale(2_000) / 4 + 1;
        std::thread::scope(|threads| {
            for _ in 0..3 {
                threads.spawn(|| {
                    for _ in 0..rounds {
                        pool.scope(|s| {
                            for _ in 0..4 {
                                s.spawn(|_| {
                                    let mut sum = lock.lock().unwrap();
                                    let inner = AtomicUsize::new(0);
                                    scope(|s| {
                                        for _ in 0..8 {
                                            s.spawn(|_| _ = inner.fetch_add(1, Ordering::Relaxed));
                                        }
                                    });
                                    *sum += inner.into_inner();
                                });
                            }
                        });
                    }
                });
            }
        });
        assert_eq!(lock.into_inner().unwrap(), 3 * 4 * 8 * rounds);
    });
}

#[test]
fn a_lock_may_be_held_across_par_map() {
    at_each_width(|pool| {
        let lock = Mutex::new(0);
        let rounds = scale(800) / 4 + 1;
        pool.par_for_each(0..rounds, |_| {
            let mut sum = lock.lock().unwrap();
            *sum += windlass::par_map_reduce(0..2_000_u64, |n| n, || 0, |a, b| a + b);
        });
        assert_eq!(lock.into_inner().unwrap(), 1_999_000 * rounds as u64);
    });
}

#[test]
fn a_once_lock_may_be_initialised_by_parallel_work() {
    at_each_width(|pool| {
        for _ in 0..scale(2_000) {
            let once = OnceLock::new();
            let sums = pool.par_map(0..8, |_| *once.get_or_init(|| fib(10)));
            assert_eq!(sums, [55; 8]);
        }
    });
}

#[test]
fn a_wait_in_join_runs_nothing_foreign() {
    at_each_width(|pool| {
        std::thread::scope(|threads| {
            for caller in 0..6 {
                threads.spawn(move || {
                    for round in 0..scale(300) {
                        let root = caller * 1_000_000 + round;
                        let sum = pool.install(|| as_part_of(root, || tree_of(root, 10)));
                        assert_eq!(sum, 1 << 10);
                    }
                });
            }
        });
    });
}

#[test]
fn a_wait_in_join_runs_nothing_of_a_sibling_tree() {
    // The two halves of the outer join are not one another's descendants.
    fn halves(pool: &Pool, round: usize) {
        pool.join(
            || as_part_of(2 * round, || tree_of(2 * round, 9)),
            || as_part_of(2 * round + 1, || tree_of(2 * round + 1, 9)),
        );
    }
    at_each_width(|pool| {
        for round in 0..scale(500) {
            halves(pool, round);
        }
    });
}

#[test]
fn a_wait_in_scope_runs_nothing_foreign() {
    fn bush(root: usize, depth: u32, count: &AtomicUsize) {
        scope(|s| {
            for _ in 0..3 {
                s.spawn(move |_| {
                    as_part_of(root, || {
                        count.fetch_add(1, Ordering::Relaxed);
                        if depth > 0 {
                            bush(root, depth - 1, count);
                        } else {
                            tree_of(root, 4);
                        }
                    });
                });
            }
        });
    }
    at_each_width(|pool| {
        std::thread::scope(|threads| {
            for caller in 0..5 {
                threads.spawn(move || {
                    for round in 0..scale(60) {
                        let (root, count) = (caller * 1_000_000 + round, AtomicUsize::new(0));
                        pool.install(|| as_part_of(root, || bush(root, 3, &count)));
                        assert_eq!(count.into_inner(), 3 + 9 + 27 + 81);
                    }
                });
            }
        });
    });
}

#[test]
fn a_wait_in_a_loop_runs_nothing_foreign() {
    at_each_width(|pool| {
        std::thread::scope(|threads| {
            for caller in 0..5 {
                threads.spawn(move || {
                    for round in 0..scale(100) {
                        let root = caller * 1_000_000 + round;
                        pool.install(|| {
                            as_part_of(root, || {
                                windlass::par_for_each(0..64, |_| {
                                    as_part_of(root, || assert_eq!(tree_of(root, 4), 16));
                                });
                            });
                        });
                    }
                });
            }
        });
    });
}

/// S1: each task waits in a scope or join of its own; were a wait to run the siblings, they would pile up.
#[test]
fn ten_thousand_sibling_scopes_fit_on_a_small_stack() {
    for width in WIDTHS {
        let pool = Pool::builder().workers(width).stack_size(256 * 1024).build().unwrap();
        watchdog(&pool, || {
            let done = AtomicUsize::new(0);
            let n = scale(10_000);
            pool.broadcast(|cx| {
                if cx.index() > 0 {
                    return;
                }
                scope(|s| {
                    for _ in 0..n {
                        s.spawn(|_| {
                            scope(|s| {
                                s.spawn(|_| _ = join(|| fib(5), || fib(5)));
                                s.spawn(|_| _ = done.fetch_add(1, Ordering::Relaxed));
                            });
                        });
                    }
                });
            });
            assert_eq!(done.into_inner(), n);
        });
    }
}

/// S1: how deep a thread's stack gets does not depend on how much is stolen.
#[test]
fn stacks_grow_no_deeper_by_stealing() {
    // Under AddressSanitizer the address of a local says nothing.
    if scale(20) == 1 {
        return;
    }
    thread_local! { static TOP: std::cell::Cell<usize> = const { std::cell::Cell::new(0) }; }
    fn here() -> usize {
        let local = 0_u8;
        std::hint::black_box(&raw const local).addr()
    }
    fn tree(depth: u32, deepest: &AtomicUsize) {
        let used = TOP.get().saturating_sub(here());
        deepest.fetch_max(used, Ordering::Relaxed);
        if depth > 0 {
            join(|| tree(depth - 1, deepest), || tree(depth - 1, deepest));
        }
    }
    let measure = |width: usize| {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            let deepest = AtomicUsize::new(0);
            pool.broadcast(|_| TOP.set(here()));
            for _ in 0..scale(40) {
                pool.broadcast(|cx| {
                    if cx.index() == 0 {
                        tree(15, &deepest)
                    }
                });
            }
            deepest.into_inner()
        })
    };
    let alone = measure(1);
    for width in [2, 3, 8] {
        let stolen = measure(width);
        // A stolen job starts a frame of its own per level at most.
        assert!(stolen < 4 * alone + 65_536, "{stolen} bytes at {width} workers, {alone} alone");
    }
}
