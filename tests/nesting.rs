//! Pools nest in one another and in themselves, in any order and at any width, and nothing blocks.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use windlass::{Pool, broadcast, join, par_map, scope};

#[test]
fn a_pool_may_be_entered_from_inside_of_itself() {
    at_each_width(|pool| {
        for _ in 0..scale(200) {
            let n = pool.install(|| {
                let (a, b) = join(
                    || pool.install(|| pool.join(|| fib(5), || fib(6))),
                    || pool.install(|| pool.par_map(0..10, |n| pool.install(|| n))),
                );
                a.0 + a.1 + b.len() as u64
            });
            assert_eq!(n, 5 + 8 + 10);
        }
    });
}

/// D3
#[test]
fn every_function_works_inside_of_a_worker() {
    at_each_width(|pool| {
        for _ in 0..scale(50) {
            let results = pool.broadcast(|_| {
                let sum = AtomicUsize::new(0);
                join(|| fib(6), || fib(6));
                scope(|s| s.spawn(|s| s.spawn(|_| _ = sum.fetch_add(1, Ordering::Relaxed))));
                pool.install(|| sum.fetch_add(1, Ordering::Relaxed));
                let mut v = par_map(0..50_usize, |n| n);
                windlass::par_for_each(&mut v, |n| *n += 1);
                windlass::par_chunks_mut(&mut v, 7, |_, row| row.reverse());
                sum.fetch_add(windlass::par_chunks(&v, 7, <[usize]>::len).len(), Ordering::Relaxed);
                let total = windlass::par_map_reduce(&v, |n| *n, || 0, |a, b| a + b);
                let tried = windlass::try_par_map(&v, |n| if *n > 0 { Ok(1) } else { Err(()) });
                assert_eq!(windlass::try_par_for_each(&v, |n| Err::<(), _>(*n)), Err(7));
                sum.into_inner() + total + tried.unwrap().len() + broadcast(|_| 1).len()
            });
            assert!(results.into_iter().all(|n| n == 2 + 8 + 1275 + 50 + pool.num_workers()));
        }
    });
}

/// D2
#[test]
fn two_pools_of_one_worker_nest_in_both_orders() {
    let (a, b) = (Pool::new(1).unwrap(), Pool::new(1).unwrap());
    watchdog(&a, || {
        assert_eq!(a.install(|| b.install(|| a.install(|| b.install(|| fib(10))))), 55);
        assert_eq!(a.broadcast(|_| b.install(|| a.install(|| fib(10)))), [55]);
        assert_eq!(b.broadcast(|_| a.broadcast(|_| b.install(|| fib(10)))), [[55]]);
        thread::scope(|threads| {
            for (x, y) in [(&a, &b), (&b, &a)] {
                for _ in 0..2 {
                    threads.spawn(move || {
                        for round in 0..scale(500) {
                            let work = || match round % 3 {
                                0 => fib(8),
                                1 => join(|| fib(7), || fib(6)).0 + 8,
                                _ => par_map(0..21, |n| n).len() as u64,
                            };
                            let n = x.install(|| y.install(|| x.install(|| y.install(work))));
                            assert_eq!(n, 21);
                        }
                    });
                }
            }
        });
    });
}

/// D2
#[test]
fn workers_of_pools_call_into_one_another_in_a_ring() {
    for width in [1, 2, 3] {
        let pools: Vec<Pool> = (0..3).map(|_| Pool::new(width).unwrap()).collect();
        watchdog(&pools[0], || {
            thread::scope(|threads| {
                for start in 0..3 {
                    let pools = &pools;
                    threads.spawn(move || {
                        for _ in 0..scale(200) {
                            let [x, y, z] = [0, 1, 2].map(|i| &pools[(start + i) % 3]);
                            let results = x.par_map(0..4, |_| {
                                let (a, b) =
                                    y.join(|| z.install(|| fib(6)), || x.install(|| fib(5)));
                                a + b
                            });
                            assert_eq!(results, [13; 4]);
                        }
                    });
                }
            });
        });
    }
}

#[test]
fn loops_scopes_and_joins_nest_in_any_order() {
    at_each_width(|pool| {
        for _ in 0..scale(100) {
            let sum = AtomicUsize::new(0);
            let add = |n: usize| _ = sum.fetch_add(n, Ordering::Relaxed);
            pool.join(
                || {
                    scope(|s| {
                        for _ in 0..3 {
                            s.spawn(|_| add(par_map(0..20, |n| n).len()));
                        }
                    });
                },
                || {
                    windlass::par_for_each(0..3, |_| {
                        scope(|s| {
                            s.spawn(|_| {
                                join(|| add(1), || scope(|s| s.spawn(|_| add(1))));
                            });
                        });
                    });
                },
            );
            assert_eq!(sum.into_inner(), 66);
        }
    });
}

/// U3
#[test]
fn pools_may_be_dropped_right_after_jobs_that_waited_in_them() {
    deadline(|| {
        for round in 0..scale(300) {
            let (a, b) = (Pool::new(1 + round % 2).unwrap(), Pool::new(1 + round % 3).unwrap());
            let (a, b) = (&a.clone(), b);
            thread::scope(|threads| {
                let b = &b;
                threads.spawn(move || a.join(|| b.install(|| fib(5)), || b.install(|| fib(6))));
                threads.spawn(move || b.join(|| a.install(|| fib(5)), || a.install(|| fib(6))));
                threads.spawn(move || b.broadcast(|_| a.install(|| fib(4))));
            });
            drop(b);
        }
    });
}

#[test]
fn free_functions_use_the_pool_around_them_or_the_global_one() {
    let pool = Pool::new(3).unwrap();
    watchdog(&pool, || {
        let global = Pool::global().num_workers();
        assert!(std::ptr::eq(Pool::global(), Pool::global()));
        let names = || broadcast(|_| thread::current().name().map(str::to_owned).unwrap());
        assert_eq!(broadcast(|_| ()).len(), global);
        assert_eq!(pool.install(|| broadcast(|_| ()).len()), 3);
        assert_eq!(names().len(), global);
        let other = Pool::builder().workers(2).name("other").build().unwrap();
        assert_eq!(pool.install(|| other.install(names)), ["other-0", "other-1"]);
        // After a nested pool, and after a panic in it, we are where we were.
        pool.install(|| {
            assert!(panics(|| other.install(|| throw(1))));
            assert_eq!(broadcast(|_| ()).len(), 3);
        });
        assert!(panics(|| other.install(|| throw(1))));
        assert_eq!(broadcast(|_| ()).len(), global);
    });
}

#[test]
fn many_threads_start_the_global_pool_at_the_same_time() {
    in_child("many_threads_start_the_global_pool_at_the_same_time", &[], || {
        let pools: Vec<usize> = thread::scope(|threads| {
            let spawn = |_| threads.spawn(|| (&raw const *Pool::global()).addr());
            let threads: Vec<_> = (0..8).map(spawn).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(pools.windows(2).all(|two| two[0] == two[1]));
        assert_eq!(join(|| fib(10), || 1), (55, 1));
    });
}
