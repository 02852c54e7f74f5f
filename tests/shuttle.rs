//! The whole pool, over the real deques, under random schedules:
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test --release --test shuttle
//! ```
//!
//! Each scenario runs under shuttle's uniform scheduler and under PCT of depth 2 and 3,
//! `WINDLASS_SHUTTLE_ITERATIONS` times in all. Shuttle explores the order of steps, not weak
//! memory; that is loom's part. A failure prints its schedule; with that in
//! `WINDLASS_SHUTTLE_REPLAY` the scenario runs it again, and nothing else.
//!
//! Panics are thrown by `resume_unwind`, because shuttle takes each call of the panic hook for a
//! failure.
#![cfg(shuttle)]

#[path = "common/schedules.rs"]
mod schedules;

use schedules::{explore_some, pool, throw};
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::thread;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize as PlainUsize, Ordering::Relaxed};

const ITERATIONS: usize = 40_000;

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    explore_some(ITERATIONS, scenario);
}

/// A tree of forks that runs each of its `leaves` once.
fn tree(leaves: &[AtomicUsize]) -> usize {
    match leaves {
        [] => 0,
        [leaf] => 1 + leaf.fetch_add(1, Ordering::Relaxed),
        _ => {
            let (left, right) = leaves.split_at(leaves.len() / 2);
            let (left, right) = windlass::join(|| tree(left), || tree(right));
            left + right
        }
    }
}

fn leaves(count: usize) -> Vec<AtomicUsize> {
    (0..count).map(|_| AtomicUsize::new(0)).collect()
}

fn assert_each_once(leaves: &[AtomicUsize]) {
    assert!(leaves.iter().all(|leaf| leaf.load(Ordering::Relaxed) == 1));
}

fn join_tree(workers: usize, size: usize) {
    let pool = pool(workers);
    let leaves = leaves(size);
    assert_eq!(pool.install(|| tree(&leaves)), size);
    drop(pool);
    assert_each_once(&leaves);
}

#[test]
fn a_pool_of_one_joins() {
    explore(|| join_tree(1, 6));
}

#[test]
fn a_pool_of_two_joins() {
    explore(|| join_tree(2, 8));
}

#[test]
fn a_pool_of_three_joins() {
    explore(|| join_tree(3, 12));
}

/// A comb: what is stolen forks again at once, so waiters have something to steal back.
#[test]
fn waiters_steal_back() {
    fn comb(leaves: &[AtomicUsize]) {
        if let [leaf, rest @ ..] = leaves {
            windlass::join(|| leaf.fetch_add(1, Ordering::Relaxed), || comb(rest));
        }
    }
    explore(|| {
        let pool = pool(3);
        let leaves = leaves(8);
        let (left, right) = leaves.split_at(4);
        pool.join(|| comb(left), || comb(right));
        drop(pool);
        assert_each_once(&leaves);
    });
}

#[test]
fn one_pool_many_trees() {
    explore(|| {
        let pool = pool(2);
        for size in 1..4 {
            let leaves = leaves(size);
            assert_eq!(pool.install(|| tree(&leaves)), size);
        }
    });
}

#[test]
fn scopes_run_every_task() {
    for workers in [1, 2, 3] {
        explore(move || {
            let pool = pool(workers);
            let leaves = leaves(6);
            pool.scope(|s| {
                for pair in leaves.chunks(2) {
                    s.spawn(|s| {
                        s.spawn(|_| _ = pair[1].fetch_add(1, Ordering::Relaxed));
                        pair[0].fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
            assert_each_once(&leaves);
        });
    }
}

#[test]
fn tasks_of_a_scope_fork_and_open_scopes() {
    explore(|| {
        let pool = pool(2);
        let leaves = leaves(8);
        let (left, right) = leaves.split_at(4);
        pool.scope(|s| {
            s.spawn(|_| _ = tree(left));
            s.spawn(|_| {
                windlass::scope(|s| {
                    for leaf in right {
                        s.spawn(|_| _ = leaf.fetch_add(1, Ordering::Relaxed));
                    }
                });
            });
        });
        assert_each_once(&leaves);
    });
}

/// `Scope` is Sync: a thread that is not in the pool spawns while the owner may wait already.
#[test]
fn a_scope_is_spawned_into_from_outside() {
    explore(|| {
        let pool = pool(1);
        let leaves = leaves(2);
        thread::scope(|t| {
            let (outside, inside) = leaves.split_at(1);
            pool.scope(|s| {
                let gate = Arc::new((Mutex::new(false), Condvar::new()));
                let opened = Arc::clone(&gate);
                // The task keeps the scope open until the outsider has spawned.
                s.spawn(move |_| {
                    let (open, condvar) = &*gate;
                    let mut open = open.lock().unwrap();
                    while !*open {
                        open = condvar.wait(open).unwrap();
                    }
                    inside[0].fetch_add(1, Ordering::Relaxed);
                });
                let s = Outside(s);
                t.spawn(move || {
                    let s = s;
                    s.scope().spawn(move |_| _ = outside[0].fetch_add(1, Ordering::Relaxed));
                    let (open, condvar) = &*opened;
                    *open.lock().unwrap() = true;
                    condvar.notify_one();
                });
            });
        });
        assert_each_once(&leaves);
    });

    /// The scope's borrow is shorter than that of `thread::scope`, which ends later; the task keeps
    /// the scope alive.
    struct Outside<'scope>(*const windlass::Scope<'scope>);
    // SAFETY: `Scope` is Sync.
    unsafe impl Send for Outside<'_> {}
    impl<'scope> Outside<'scope> {
        fn scope(&self) -> &windlass::Scope<'scope> {
            // SAFETY: a task of the scope waits for us.
            unsafe { &*self.0 }
        }
    }
}

#[test]
fn par_map_keeps_the_order() {
    for workers in [1, 2, 3] {
        explore(move || {
            let squares = pool(workers).par_map(0..20_usize, |n| {
                thread::yield_now();
                n * n
            });
            assert!(squares.into_iter().enumerate().all(|(n, square)| square == n * n));
        });
    }
}

#[test]
fn try_par_map_returns_the_first_error() {
    explore(|| {
        let pool = pool(2);
        let odd = pool.try_par_map(0..12, |n| if n % 5 == 4 { Err(n) } else { Ok(n) });
        assert_eq!(odd, Err(4));
    });
}

/// Whoever finds no permit goes through the injector.
#[test]
fn more_callers_than_workers() {
    for (workers, callers) in [(1, 2), (2, 2), (1, 3), (2, 3)] {
        explore(move || {
            let pool = pool(workers);
            let callers: Vec<_> = (0..callers)
                .map(|_| {
                    let pool = pool.clone();
                    thread::spawn(move || {
                        let leaves = leaves(3);
                        assert_eq!(pool.install(|| tree(&leaves)), 3);
                    })
                })
                .collect();
            drop(pool);
            for caller in callers {
                caller.join().unwrap();
            }
        });
    }
}

#[test]
fn broadcast_reaches_busy_workers() {
    explore(|| {
        let pool = pool(2);
        let busy = {
            let pool = pool.clone();
            thread::spawn(move || {
                let leaves = leaves(4);
                assert_eq!(pool.install(|| tree(&leaves)), 4);
            })
        };
        assert_eq!(pool.broadcast(|cx| cx.index()), [0, 1]);
        busy.join().unwrap();
    });
}

#[test]
fn two_broadcasts_from_inside() {
    explore(|| {
        let pool = pool(2);
        let (a, b) = pool
            .join(|| windlass::broadcast(|cx| cx.index()), || windlass::broadcast(|cx| cx.index()));
        assert_eq!((a, b), (vec![0, 1], vec![0, 1]));
    });
}

#[test]
fn broadcasts_from_within_a_broadcast() {
    explore(|| {
        let pool = pool(2);
        let sums = pool.broadcast(|_| pool.broadcast(|cx| cx.index()).iter().sum::<usize>());
        assert_eq!(sums, [1, 1]);
    });
}

#[test]
fn a_panic_in_one_half_leaves_the_other_whole() {
    explore(|| {
        let pool = pool(2);
        for thrower in 0..4 {
            let leaves = leaves(4);
            let (left, right) = leaves.split_at(2);
            let caught = catch_unwind(AssertUnwindSafe(|| {
                pool.join(
                    || if thrower == 0 { throw() } else { tree(left) },
                    || {
                        let inner = || if thrower == 1 { throw() } else { tree(right) };
                        let outer = || if thrower == 2 { throw() } else { 0 };
                        windlass::join(outer, inner)
                    },
                )
            }));
            assert_eq!(caught.is_err(), thrower < 3);
            assert!(thrower == 0 || left.iter().all(|leaf| leaf.load(Ordering::Relaxed) == 1));
            assert!(thrower == 1 || right.iter().all(|leaf| leaf.load(Ordering::Relaxed) == 1));
        }
    });
}

#[test]
fn a_panic_in_a_task_lets_the_others_finish() {
    explore(|| {
        let pool = pool(2);
        let leaves = leaves(3);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            pool.scope(|s| {
                for leaf in &leaves {
                    s.spawn(|s| {
                        s.spawn(|_| _ = throw());
                        leaf.fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
        }));
        assert!(caught.is_err());
        assert_each_once(&leaves);
        assert_eq!(pool.par_map(0..3, |n| n), [0, 1, 2]);
    });
}

#[test]
fn a_pool_without_work_ends() {
    for workers in [1, 3] {
        explore(move || drop(pool(workers)));
    }
}

/// The callers' last handles go while others are still at work (P6, P8).
#[test]
fn a_pool_is_dropped_right_after_work() {
    explore(|| {
        let pool = pool(2);
        let other = {
            let pool = pool.clone();
            thread::spawn(move || {
                assert_eq!(pool.join(|| 1, || 2), (1, 2));
            })
        };
        pool.install(|| windlass::scope(|s| s.spawn(|s| s.spawn(|_| ()))));
        drop(pool);
        other.join().unwrap();
    });
}

/// U3: the pool goes while one of its threads tells the waiter, who sits in another pool, that it
/// is done.
#[test]
fn a_pool_is_dropped_in_another() {
    explore(|| {
        let outer = pool(1);
        let inner = pool(1);
        outer.install(move || {
            let leaves = leaves(3);
            assert_eq!(inner.install(|| tree(&leaves)), 3);
            drop(inner);
        });
    });
}

/// D2: in A, from there in B, and from there in A again.
#[test]
fn pools_nest() {
    explore(|| {
        let (a, b) = (pool(1), pool(1));
        let leaves = leaves(3);
        assert_eq!(a.install(|| b.install(|| a.install(|| tree(&leaves)))), 3);
        assert_each_once(&leaves);
    });
}

/// Each pool's one thread takes the half of a join that enters the other pool, and finds it full:
/// then two callers and two threads wait for threads, and no permit is out in either pool.
#[test]
fn pools_nest_crosswise() {
    explore(|| {
        let (a, b) = (pool(1), pool(1));
        let other = {
            let (a, b) = (a.clone(), b.clone());
            thread::spawn(move || a.join(|| b.join(|| 1, || a.install(|| 2)), || b.install(|| 3)))
        };
        assert_eq!(b.join(|| a.join(|| 1, || b.install(|| 2)), || a.install(|| 3)), ((1, 2), 3));
        assert_eq!(other.join().unwrap(), ((1, 2), 3));
    });
}

// What shuttle must find, so that the lane is known to be able to fail (W10).

/// A toy of the sleep protocol: one producer, one sleeper, with or without the second look.
fn toy(second_look: bool) {
    let work = Arc::new(AtomicBool::new(false));
    let asleep = Arc::new(AtomicBool::new(false));
    let bed = Arc::new((Mutex::new(false), Condvar::new()));
    let sleeper = {
        let (work, asleep, bed) = (Arc::clone(&work), Arc::clone(&asleep), Arc::clone(&bed));
        thread::spawn(move || {
            while !work.load(Ordering::SeqCst) {
                asleep.store(true, Ordering::SeqCst);
                if second_look && work.load(Ordering::SeqCst) {
                    return;
                }
                let mut token = bed.0.lock().unwrap();
                while !*token {
                    token = bed.1.wait(token).unwrap();
                }
            }
        })
    };
    work.store(true, Ordering::SeqCst);
    if asleep.load(Ordering::SeqCst) {
        *bed.0.lock().unwrap() = true;
        bed.1.notify_one();
    }
    sleeper.join().unwrap();
}

#[test]
fn the_toy_wakes() {
    explore(|| toy(true));
}

#[test]
#[should_panic(expected = "deadlock")]
fn twin_the_toy_without_second_look() {
    explore(|| toy(false));
}

/// The scenarios are worth their time only if work moves between threads in them.
#[test]
fn work_is_stolen() {
    static SCHEDULES: PlainUsize = PlainUsize::new(0);
    static STOLEN: PlainUsize = PlainUsize::new(0);
    explore(move || {
        let pool = pool(2);
        let me = thread::current().id();
        let other = || thread::current().id() != me;
        let (left, right) = pool.join(|| (other(), thread::yield_now()).0, other);
        assert!(!left);
        SCHEDULES.fetch_add(1, Relaxed);
        STOLEN.fetch_add(usize::from(right), Relaxed);
    });
    let (schedules, stolen) = (SCHEDULES.load(Relaxed), STOLEN.load(Relaxed));
    assert!(stolen * 10 > schedules, "stolen in {stolen} of {schedules} schedules");
}
