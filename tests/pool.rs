//! A pool is built as asked or not at all, keeps all its workers whatever happens, never runs wider than it is, and leaves
//! nothing behind.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use windlass::{BroadcastContext, BuildError, Pinning, Pool, PoolBuilder, Scope};

#[test]
fn public_types_are_send_and_sync() {
    fn both<T: Send + Sync>() {}
    both::<Pool>();
    both::<PoolBuilder>();
    both::<Pinning>();
    both::<BuildError>();
    both::<BroadcastContext>();
    both::<Scope<'static>>();
}

#[test]
fn settings_that_make_no_sense_are_errors_that_say_so() {
    let error = |builder: PoolBuilder| builder.build().expect_err("it must not be built");
    let zero = error(Pool::builder().workers(0));
    assert!(matches!(zero, BuildError::ZeroWorkers), "{zero:?}");
    let many = error(Pool::builder().workers(usize::MAX));
    assert!(matches!(many, BuildError::TooManyWorkers { asked: usize::MAX, .. }), "{many:?}");
    let BuildError::TooManyWorkers { max, .. } = many else { unreachable!() };
    assert!(matches!(error(Pool::builder().workers(max + 1)), BuildError::TooManyWorkers { .. }));
    let stack = error(Pool::builder().workers(1).stack_size(1024));
    assert!(matches!(stack, BuildError::StackTooSmall { asked: 1024, .. }), "{stack:?}");
    let cpus = error(Pool::builder().workers(2).pinning(Pinning::Cpus(vec![0])));
    assert!(matches!(cpus, BuildError::CpuCount { cpus: 1, workers: 2 }), "{cpus:?}");
    let cpu = error(Pool::builder().workers(1).pinning(Pinning::Cpus(vec![99_999])));
    if cfg!(target_os = "linux") {
        assert!(matches!(cpu, BuildError::CpuNotAllowed { cpu: 99_999 }), "{cpu:?}");
    }
    for error in [zero, stack, cpus, cpu] {
        assert!(error.to_string().len() > 20);
    }
}

#[test]
fn workers_carry_the_name_of_the_pool() {
    let names = |builder: PoolBuilder| {
        let pool = builder.workers(3).build().unwrap();
        watchdog(&pool, || pool.broadcast(|_| thread::current().name().map(str::to_owned).unwrap()))
    };
    assert_eq!(names(Pool::builder()), ["windlass-0", "windlass-1", "windlass-2"]);
    assert_eq!(names(Pool::builder().name("a b")), ["a b-0", "a b-1", "a b-2"]);
    assert_eq!(names(Pool::builder().name("cut\0off")), ["cut-0", "cut-1", "cut-2"]);
}

/// P12
#[cfg(target_os = "linux")]
#[test]
fn a_thread_that_cannot_be_created_is_an_error_and_leaves_no_thread_behind() {
    in_child(
        "a_thread_that_cannot_be_created_is_an_error_and_leaves_no_thread_behind",
        &[],
        || {
            let before = num_threads();
            let error =
                Pool::builder().workers(4).stack_size(1 << 47).build().expect_err("too big");
            assert!(matches!(error, BuildError::Spawn { worker: 0, .. }), "{error:?}");
            assert_eq!(num_threads(), before);
            if cfg!(miri) || scale(20) == 1 {
                return; // a sanitizer needs its address space
            }
            // Midway: there is room for three stacks of 256 MiB and not for eight.
            let status = std::fs::read_to_string("/proc/self/statm").unwrap();
            let pages: u64 = status.split(' ').next().unwrap().parse().unwrap();
            let limit = pages * 4096 + (900 << 20);
            let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
            // SAFETY: a plain system call with a live argument.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
            let error =
                Pool::builder().workers(8).stack_size(256 << 20).build().expect_err("too big");
            assert!(matches!(error, BuildError::Spawn { worker: 1..=3, .. }), "{error:?}");
            settles_at(before);
            assert_eq!(Pool::new(2).unwrap().par_map(0..3, |n| n), [0, 1, 2]);
        },
    );
}

/// A joined thread is listed for a moment longer.
#[cfg(target_os = "linux")]
#[track_caller]
fn settles_at(threads: usize) {
    for _ in 0..10_000 {
        if num_threads() == threads {
            return;
        }
        thread::sleep(Duration::from_micros(100));
    }
    assert_eq!(num_threads(), threads);
}

/// P8
#[cfg(target_os = "linux")]
#[test]
fn drop_waits_until_the_threads_have_ended() {
    in_child("drop_waits_until_the_threads_have_ended", &[], || {
        static ALIVE: AtomicUsize = AtomicUsize::new(0);
        struct Local;
        impl Drop for Local {
            fn drop(&mut self) {
                thread::sleep(Duration::from_millis(1));
                ALIVE.fetch_sub(1, Ordering::SeqCst);
            }
        }
        thread_local! { static LOCAL: Local = { ALIVE.fetch_add(1, Ordering::SeqCst); Local }; }
        let before = num_threads();
        for width in WIDTHS {
            for _ in 0..scale(20) {
                let pool = Pool::new(width).unwrap();
                pool.broadcast(|_| LOCAL.with(|_| ()));
                pool.install(|| fib(10));
                assert_eq!(ALIVE.load(Ordering::SeqCst), width);
                drop(pool);
                // The destructors of their thread-locals have run.
                assert_eq!(ALIVE.load(Ordering::SeqCst), 0);
            }
        }
        settles_at(before);
    });
}

/// P6, P7
#[test]
fn pools_that_are_built_used_and_dropped_at_once_neither_hang_nor_lose_work() {
    deadline(|| {
        for round in 0..scale(500) {
            let pool = Pool::new(1 + round % 4).unwrap();
            let count = AtomicUsize::new(0);
            match round % 5 {
                0 => {}
                1 => _ = pool.install(|| fib(9)),
                2 => pool.scope(|s| {
                    (0..8).for_each(|_| s.spawn(|_| _ = count.fetch_add(1, Ordering::Relaxed)));
                }),
                3 => pool.par_for_each(0..8, |_| _ = count.fetch_add(1, Ordering::Relaxed)),
                _ => _ = pool.broadcast(|_| ()),
            }
            drop(pool);
            assert_eq!(count.into_inner(), if matches!(round % 5, 2 | 3) { 8 } else { 0 });
        }
    });
}

/// D10
#[test]
fn handles_may_be_dropped_inside_of_jobs() {
    deadline(|| {
        for round in 0..scale(100) {
            let (a, b) = (Pool::new(1 + round % 3).unwrap(), Pool::new(1 + round % 2).unwrap());
            // Clones go inside of the pool; the last handle of `b` goes inside of `a`, on a worker or a guest.
            let clones: Vec<Pool> = (0..8).map(|_| a.clone()).collect();
            let b_again = b.clone();
            a.par_for_each(clones, drop);
            a.scope(|s| {
                s.spawn(move |_| {
                    b.install(|| fib(8));
                    drop(b);
                });
                s.spawn(move |_| drop(b_again));
            });
            let c = std::sync::Mutex::new(Some(Pool::new(2).unwrap()));
            a.broadcast(|_| drop(c.lock().unwrap().take()));
            let inside = a.clone();
            a.install(move || {
                inside.install(|| fib(5));
                drop(inside);
            });
        }
    });
}

#[test]
fn clones_keep_the_pool_alive() {
    let pool = Pool::new(2).unwrap();
    let clone = pool.clone();
    drop(pool);
    watchdog(&clone, || assert_eq!(clone.broadcast(|cx| cx.index()), [0, 1]));
}

/// P1
#[test]
fn a_pool_is_whole_after_any_panic() {
    at_each_width(|pool| {
        let width = pool.num_workers();
        for round in 0..scale(50) {
            assert!(panics(|| pool.install(|| throw(1))));
            assert!(panics(|| pool.join(|| throw(1), || fib(5))));
            assert!(panics(|| pool.join(|| fib(5), || throw(1))));
            assert!(panics(|| pool.scope(|s| s.spawn(|_| throw(1)))));
            assert!(panics(|| pool.scope(|_| throw(1))));
            assert!(panics(|| pool.broadcast(|cx| if cx.index() == round % width {
                throw(1)
            })));
            assert!(panics(|| pool.par_for_each(0..100_usize, |n| if n == round % 100 {
                throw(1)
            })));
            assert!(panics(|| pool.par_map_reduce(0..0, |n| n, || -> i32 { throw(1) }, |a, _| a)));
            // All at once, from workers and guests.
            assert!(panics(|| pool.broadcast(|_| windlass::join(|| throw(1), || throw(2)))));
            assert_eq!(pool.broadcast(|cx| cx.index()).len(), width);
        }
        for _ in 0..scale(1000) {
            assert_eq!(pool.install(|| fib(6)), 8);
        }
        let meeting = Meeting::of(width);
        pool.broadcast(|_| meeting.attend());
    });
}

/// S6
#[test]
fn pools_of_many_workers_work() {
    deadline(|| {
        for width in [1, 2, 64, scale(1024)] {
            let pool = Pool::builder().workers(width).stack_size(128 * 1024).build().unwrap();
            assert_eq!(pool.num_workers(), width);
            assert_eq!(pool.broadcast(|cx| cx.index()), (0..width).collect::<Vec<_>>());
            assert_eq!(pool.install(|| fib(15)), 610);
            let n = scale(100_000);
            assert_eq!(pool.par_map(0..n, |n| n), (0..n).collect::<Vec<_>>());
            let meeting = Meeting::of(width.min(64));
            pool.scope(|s| (0..width.min(64)).for_each(|_| s.spawn(|_| meeting.attend())));
        }
    });
}

#[test]
fn never_more_callers_run_than_the_pool_is_wide() {
    at_each_width(|pool| {
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let visit = || {
            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            work_for(Duration::from_micros(10));
            inside.fetch_sub(1, Ordering::SeqCst);
        };
        thread::scope(|threads| {
            for thread in 0..16 {
                threads.spawn(move || {
                    for round in 0..scale(100) {
                        match (thread + round) % 3 {
                            0 => pool.install(visit),
                            1 => pool.scope(|_| visit()),
                            _ => pool.par_for_each(0..3, |_| visit()),
                        }
                    }
                });
            }
        });
        assert_eq!(inside.into_inner(), 0);
        let most = most.into_inner();
        assert!(most <= pool.num_workers(), "{most} ran at once");
    });
}

#[test]
fn every_caller_is_served_where_many_come_at_once() {
    at_each_width(|pool| {
        thread::scope(|threads| {
            for thread in 0..16_u64 {
                threads.spawn(move || {
                    for round in 0..scale(100) as u64 {
                        let n = thread * 1000 + round;
                        assert_eq!(pool.install(|| n), n);
                        assert_eq!(pool.join(|| fib(8), || n), (21, n));
                        assert_eq!(caught::<u64, _>(|| pool.install(|| throw(n))), n);
                    }
                });
            }
        });
    });
}

#[test]
fn current_worker_is_known_on_the_pools_own_threads_only() {
    let (a, b) = (Pool::new(2).unwrap(), Pool::new(1).unwrap());
    watchdog(&a, || {
        assert_eq!((a.current_worker(), a.install(|| a.current_worker())), (None, None));
        assert_eq!(a.broadcast(|_| a.current_worker()), [Some(0), Some(1)]);
        assert_eq!(a.broadcast(|_| b.current_worker()), [None, None]);
        assert_eq!(b.broadcast(|_| b.install(|| b.current_worker())), [Some(0)]);
        // From inside of another pool as well, if it is the same thread.
        let nested = |_| b.install(|| (a.current_worker(), thread::current().id()));
        let here = a.broadcast(|_| thread::current().id());
        for (worker, id) in a.broadcast(nested) {
            assert_eq!(worker, here.iter().position(|&known| known == id));
        }
    });
}

#[cfg(target_os = "linux")]
fn mask() -> Vec<usize> {
    // SAFETY: an all-zero set is a valid one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is live and of the size that is given.
    assert_eq!(unsafe { libc::sched_getaffinity(0, size_of_val(&set), &mut set) }, 0);
    // SAFETY: reads a bit within the set.
    (0..1024).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn workers_are_pinned_where_they_are_told() {
    let allowed = mask();
    let cpus: Vec<usize> = allowed.iter().rev().copied().cycle().take(3).collect();
    let pool = Pool::builder().workers(3).pinning(Pinning::Cpus(cpus.clone())).build().unwrap();
    watchdog(&pool, || {
        let masks = pool.broadcast(|_| mask());
        assert_eq!(masks, cpus.iter().map(|&cpu| vec![cpu]).collect::<Vec<_>>());
        assert_eq!(pool.pinned_cpus(), cpus.iter().copied().map(Some).collect::<Vec<_>>());
        assert_eq!(pool.install(|| fib(15)), 610);
        assert_eq!(mask(), allowed, "the caller is not pinned");
    });
    let pool = Pool::builder().workers(3).pinning(Pinning::Never).build().unwrap();
    assert_eq!(pool.pinned_cpus(), [None; 3]);
    assert!(pool.broadcast(|_| mask()).iter().all(|mask| *mask == allowed));
    let pool = Pool::builder().workers(3).pinning(Pinning::Cores).build().unwrap();
    for (cpu, mask) in pool.pinned_cpus().into_iter().zip(pool.broadcast(|_| mask())) {
        assert!(cpu.is_none_or(|cpu| mask == [cpu] && allowed.contains(&cpu)));
    }
}

/// F7, F8
#[cfg(target_os = "linux")]
#[test]
fn a_smaller_affinity_mask_is_respected() {
    in_child("a_smaller_affinity_mask_is_respected", &[], || {
        let last = *mask().last().unwrap();
        let others = mask().len() > 1;
        // SAFETY: an all-zero set is a valid one.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: writes a bit within the set.
        unsafe { libc::CPU_SET(last, &mut set) };
        // SAFETY: the set is live and of the size that is given.
        assert_eq!(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) }, 0);
        assert_eq!(Pool::global().num_workers(), 1);
        for pinning in [Pinning::Auto, Pinning::Never, Pinning::Cores, Pinning::Cpus(vec![last; 4])]
        {
            let pool = Pool::builder().workers(4).pinning(pinning).build().unwrap();
            assert!(pool.broadcast(|_| mask()).iter().all(|mask| *mask == [last]));
            assert_eq!(pool.install(|| fib(12)), 144);
        }
        if others {
            let error = Pool::builder().workers(1).pinning(Pinning::Cpus(vec![last - 1])).build();
            assert!(matches!(error, Err(BuildError::CpuNotAllowed { .. })));
        }
    });
}

#[test]
fn the_environment_says_how_many_workers() {
    let test = "the_environment_says_how_many_workers";
    let errors = in_child(test, &[("WINDLASS_NUM_THREADS", " 3 ")], || {
        assert_eq!(Pool::builder().build().unwrap().num_workers(), 3);
        assert_eq!(Pool::global().num_workers(), 3);
        // What the program says goes first.
        assert_eq!(Pool::new(2).unwrap().num_workers(), 2);
    });
    assert!(!errors.contains("windlass:"), "{errors}");
}

#[test]
fn an_empty_environment_variable_says_nothing() {
    let test = "an_empty_environment_variable_says_nothing";
    in_child(test, &[("WINDLASS_NUM_THREADS", "")], || {
        assert!(Pool::builder().build().unwrap().num_workers() >= 1);
    });
}

fn a_bad_environment(test: &str, value: &str) {
    let errors = in_child(test, &[("WINDLASS_NUM_THREADS", value)], || {
        let error = Pool::builder().build().expect_err("no number of workers");
        assert!(
            matches!(&error, BuildError::BadEnvironment { value: v } if v == value),
            "{error:?}"
        );
        assert!(Pool::new(2).is_ok());
        let default = Pool::global().num_workers();
        assert!(default >= 1 && default <= thread::available_parallelism().unwrap().get());
        assert_eq!(windlass::par_map(0..3, |n| n), [0, 1, 2]);
    });
    if !is_child() {
        let lines =
            errors.lines().filter(|line| line.starts_with("windlass: WINDLASS_NUM_THREADS"));
        assert_eq!(lines.count(), 1, "{errors}");
    }
}

#[test]
fn garbage_in_the_environment_is_an_error_and_the_global_pool_starts_anyway() {
    a_bad_environment(
        "garbage_in_the_environment_is_an_error_and_the_global_pool_starts_anyway",
        "two",
    );
}

#[test]
fn zero_in_the_environment_is_an_error_and_the_global_pool_starts_anyway() {
    a_bad_environment("zero_in_the_environment_is_an_error_and_the_global_pool_starts_anyway", "0");
}

#[test]
fn too_many_in_the_environment_is_an_error_and_the_global_pool_starts_anyway() {
    let test = "too_many_in_the_environment_is_an_error_and_the_global_pool_starts_anyway";
    a_bad_environment(test, "99999999999999999999999");
}

/// P9
#[test]
fn destructors_of_thread_locals_may_use_pools() {
    in_child(
        "destructors_of_thread_locals_may_use_pools",
        &[("WINDLASS_NUM_THREADS", "2")],
        || {
            static DONE: AtomicUsize = AtomicUsize::new(0);
            struct Late;
            impl Drop for Late {
                fn drop(&mut self) {
                    assert_eq!(Pool::global().install(|| fib(10)), 55);
                    assert_eq!(windlass::join(|| fib(10), || fib(9)), (55, 34));
                    assert_eq!(windlass::par_map(0..100, |n| n).len(), 100);
                    windlass::scope(|s| (0..10).for_each(|_| s.spawn(|_| _ = fib(5))));
                    assert_eq!(windlass::broadcast(|cx| cx.index()), [0, 1]);
                    assert_eq!(Pool::new(2).unwrap().install(|| fib(10)), 55);
                    DONE.fetch_add(1, Ordering::SeqCst);
                }
            }
            // Registered before and after the pool was first used on the thread, or never used before.
            thread_local! { static LATE: Late = const { Late }; }
            for order in 0..3 {
                thread::spawn(move || {
                    if order == 1 {
                        windlass::join(|| fib(5), || fib(5));
                    }
                    LATE.with(|_| ());
                    if order == 2 {
                        windlass::join(|| fib(5), || fib(5));
                    }
                })
                .join()
                .expect("no panic in a destructor");
            }
            // On a worker, whose own pool is about to end.
            let pool = Pool::new(2).unwrap();
            pool.broadcast(|_| LATE.with(|_| ()));
            drop(pool);
            assert_eq!(DONE.load(Ordering::SeqCst), 5);
        },
    );
}

/// P9
#[cfg(unix)]
#[test]
fn handlers_of_atexit_may_use_pools() {
    extern "C" fn late() {
        deadline(|| {
            assert_eq!(windlass::join(|| fib(10), || fib(9)), (55, 34));
            assert_eq!(windlass::par_map(0..100, |n| n).len(), 100);
            assert_eq!(Pool::new(2).unwrap().broadcast(|_| ()).len(), 2);
        });
        eprintln!("late work is done");
    }
    let errors = in_child("handlers_of_atexit_may_use_pools", &[], || {
        windlass::join(|| fib(10), || fib(10));
        // SAFETY: the handler does not unwind: a panic in it aborts, which fails the test.
        assert_eq!(unsafe { libc::atexit(late) }, 0);
    });
    assert!(is_child() || errors.contains("late work is done"), "{errors}");
}
