//! `scope` waits for every task that was spawned into it, runs each once, and hands on the first panic.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use windlass::{Pool, Scope, join, scope};

#[test]
fn every_task_runs_once_before_the_scope_ends() {
    at_each_width(|pool| {
        for tasks in [0, 1, 2, 3, 100, scale(20_000)] {
            let runs = Drops::new(tasks);
            let result = pool.scope(|s| {
                for task in 0..tasks {
                    let item = runs.item(task);
                    s.spawn(move |_| drop(item));
                }
                "body"
            });
            assert_eq!(result, "body");
            runs.assert_each_once();
        }
    });
}

#[test]
fn tasks_may_write_what_they_borrow() {
    at_each_width(|pool| {
        let mut parts = vec![0; 1000];
        pool.scope(|s| {
            for (i, part) in parts.iter_mut().enumerate() {
                s.spawn(move |_| *part = i);
            }
        });
        assert!(parts.iter().enumerate().all(|(i, part)| i == *part));
    });
}

#[test]
fn tasks_may_spawn_tasks_at_any_depth() {
    fn grow<'scope>(s: &Scope<'scope>, depth: u32, count: &'scope AtomicUsize) {
        count.fetch_add(1, Ordering::Relaxed);
        if depth > 0 {
            s.spawn(move |s| grow(s, depth - 1, count));
            s.spawn(move |s| grow(s, depth - 1, count));
        }
    }
    at_each_width(|pool| {
        for _ in 0..scale(20) {
            let count = AtomicUsize::new(0);
            pool.scope(|s| grow(s, 10, &count));
            assert_eq!(count.into_inner(), (1 << 11) - 1);
        }
    });
}

#[test]
fn a_chain_of_a_hundred_thousand_spawns_needs_no_stack() {
    fn next<'scope>(s: &Scope<'scope>, left: usize, count: &'scope AtomicUsize) {
        count.fetch_add(1, Ordering::Relaxed);
        if left > 0 {
            s.spawn(move |s| next(s, left - 1, count));
        }
    }
    at_each_width(|pool| {
        let (n, count) = (scale(100_000), AtomicUsize::new(0));
        pool.scope(|s| next(s, n, &count));
        assert_eq!(count.into_inner(), n + 1);
    });
}

#[test]
fn threads_outside_of_the_pool_may_spawn() {
    at_each_width(|pool| {
        for _ in 0..scale(100) {
            let count = AtomicUsize::new(0);
            pool.scope(|s| {
                std::thread::scope(|threads| {
                    for _ in 0..3 {
                        threads.spawn(|| {
                            for _ in 0..20 {
                                s.spawn(|s| {
                                    s.spawn(|_| _ = count.fetch_add(1, Ordering::Relaxed));
                                });
                            }
                        });
                    }
                });
            });
            assert_eq!(count.into_inner(), 60);
        }
    });
}

#[test]
fn a_panic_of_a_task_comes_out_when_all_are_done() {
    at_each_width(|pool| {
        for round in 0..scale(200) {
            let (done, live) = (AtomicUsize::new(0), Live::default());
            let thrown: usize = caught(|| {
                pool.scope(|s| {
                    for task in 0..10 {
                        let token = live.token();
                        let (done, live) = (&done, &live);
                        s.spawn(move |s| {
                            let _token = token;
                            let late = live.token();
                            s.spawn(move |_| {
                                let _late = late;
                                done.fetch_add(1, Ordering::SeqCst);
                            });
                            if task == round % 10 {
                                throw(task);
                            }
                            done.fetch_add(1, Ordering::SeqCst);
                        });
                    }
                    live.token()
                })
            });
            assert_eq!((thrown, done.into_inner()), (round % 10, 19));
            live.assert_none();
        }
    });
}

#[test]
fn a_panic_of_the_body_comes_out_when_all_are_done() {
    at_each_width(|pool| {
        for _ in 0..scale(200) {
            let done = AtomicUsize::new(0);
            let thrown = caught::<&str, _>(|| {
                pool.scope(|s| {
                    for _ in 0..10 {
                        s.spawn(|_| {
                            work_for(Duration::from_micros(5));
                            done.fetch_add(1, Ordering::SeqCst);
                        });
                    }
                    throw("body")
                })
            });
            assert_eq!((thrown, done.into_inner()), ("body", 10));
        }
    });
}

#[test]
fn the_first_panic_in_time_wins() {
    at_each_width(|pool| {
        for _ in 0..scale(100) {
            let order = Mutex::new(Vec::new());
            let thrown: usize = caught(|| {
                pool.scope(|s| {
                    for task in 0..8 {
                        let order = &order;
                        s.spawn(move |s| {
                            // A chain, so that "first" has a meaning.
                            fn link<'s>(s: &Scope<'s>, n: usize, order: &'s Mutex<Vec<usize>>) {
                                order.lock().unwrap().push(n);
                                if n < 100 {
                                    s.spawn(move |s| link(s, n + 10, order));
                                } else {
                                    throw(n);
                                }
                            }
                            if task == 0 {
                                link(s, 0, order);
                            }
                        });
                    }
                });
            });
            assert_eq!(thrown, 100);
            assert_eq!(order.into_inner().unwrap().len(), 11);
        }
        // A task's panic before the body's.
        let thrown = caught::<&str, _>(|| {
            pool.scope(|s| {
                scope(|inner| inner.spawn(|_| s.spawn(|_| throw("task"))));
                while !format!("{s:?}").contains("pending: 1") {
                    // At one worker the task runs only when the body is done.
                    if pool.num_workers() == 1 {
                        throw("task");
                    }
                    std::thread::yield_now();
                }
                throw("body")
            })
        });
        assert_eq!(thrown, "task");
    });
}

/// P2
#[test]
fn a_panic_is_seen_by_its_own_scope_only() {
    at_each_width(|pool| {
        for round in 0..scale(50) {
            std::thread::scope(|threads| {
                for thread in 0..4 {
                    threads.spawn(move || {
                        for number in thread * 8..thread * 8 + 8 {
                            let panicked = panics(|| {
                                pool.scope(|s| {
                                    for _ in 0..4 {
                                        s.spawn(|_| _ = fib(4));
                                    }
                                    s.spawn(|_| {
                                        if number == round % 32 {
                                            throw(number);
                                        }
                                    });
                                });
                            });
                            assert_eq!(panicked, number == round % 32);
                        }
                    });
                }
            });
        }
    });
}

/// D3
#[test]
fn scopes_nest_in_tasks_of_scopes() {
    fn nest(depth: u32) -> usize {
        let count = AtomicUsize::new(1);
        if depth > 0 {
            scope(|s| {
                for _ in 0..3 {
                    s.spawn(|_| _ = count.fetch_add(nest(depth - 1), Ordering::Relaxed));
                }
            });
        }
        count.into_inner()
    }
    at_each_width(|pool| {
        for _ in 0..scale(20) {
            assert_eq!(pool.install(|| nest(5)), 364);
            // From inside of one of the pool's own threads as well.
            assert!(pool.broadcast(|_| nest(4)).into_iter().all(|count| count == 121));
        }
    });
}

#[test]
fn a_task_may_spawn_into_an_outer_scope() {
    at_each_width(|pool| {
        for _ in 0..scale(100) {
            let count = AtomicUsize::new(0);
            pool.scope(|outer| {
                for _ in 0..4 {
                    let count = &count;
                    outer.spawn(move |outer| {
                        scope(|inner| {
                            for _ in 0..4 {
                                inner.spawn(|_| {
                                    outer.spawn(|_| _ = count.fetch_add(1, Ordering::Relaxed));
                                });
                            }
                        });
                    });
                }
            });
            assert_eq!(count.into_inner(), 16);
        }
    });
}

#[test]
fn tasks_run_at_the_same_time_from_the_very_first_call() {
    fn once<const WIDTH: usize>() {
        let pool = Pool::new(WIDTH).unwrap();
        watchdog(&pool, || {
            for _ in 0..scale(100) {
                let meeting = Meeting::of(WIDTH);
                pool.scope(|s| {
                    for _ in 0..WIDTH {
                        s.spawn(|_| {
                            meeting.attend();
                            work_for(Duration::from_micros(200));
                        });
                    }
                });
            }
        });
    }
    once::<2>();
    once::<3>();
    once::<8>();
}

#[test]
fn a_task_runs_while_the_body_goes_on() {
    for width in [2, 3, 8] {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            for _ in 0..scale(100) {
                let meeting = Meeting::of(2);
                pool.scope(|s| {
                    s.spawn(|_| meeting.attend());
                    meeting.attend();
                    work_for(Duration::from_micros(200));
                });
            }
        });
    }
}

#[test]
fn tasks_fork_and_loops_run_in_them() {
    at_each_width(|pool| {
        for _ in 0..scale(50) {
            let sum = AtomicUsize::new(0);
            pool.scope(|s| {
                for _ in 0..6 {
                    s.spawn(|_| {
                        let (a, b) = join(|| fib(8), || fib(8));
                        let c = windlass::par_map_reduce(0..100_usize, |n| n, || 0, |a, b| a + b);
                        sum.fetch_add((a + b) as usize + c, Ordering::Relaxed);
                    });
                }
            });
            assert_eq!(sum.into_inner(), 6 * (42 + 4950));
        }
    });
}

#[test]
fn an_unused_scope_and_a_value_from_the_body_come_back() {
    at_each_width(|pool| {
        for i in 0..scale(10_000) {
            assert_eq!(pool.scope(|_| i), i);
        }
    });
}
