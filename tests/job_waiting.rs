//! Waiting for a job never deadlocks and never runs anything foreign, on any number of workers.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::thread;
use std::time::Duration;
use windlass::{JobHandle, JobState, Pool, join, scope};

/// D11.
#[test]
fn jobs_wait_for_jobs_to_any_depth() {
    fn nest(pool: &Pool, depth: usize) -> usize {
        if depth == 0 {
            return 0;
        }
        let inner = pool.clone();
        pool.submit(move || nest(&inner, depth - 1)).wait().unwrap() + 1
    }
    at_each_width(|pool| {
        let inner = pool.clone();
        assert_eq!(pool.submit(move || nest(&inner, 1_000)).wait().unwrap(), 1_000);
    });
}

/// Submits jobs that all wait, in their own way, for one that is submitted last.
fn all_wait_for_one_more(
    pool: &Pool,
    count: usize,
    wait: impl Fn(JobHandle<usize>) -> usize + Copy + Send + Sync + 'static,
) {
    let slots: Vec<_> = (0..count).map(|_| Arc::new((Mutex::new(None), Gate::default()))).collect();
    let waiters: Vec<_> = slots
        .iter()
        .map(|slot| {
            let slot = Arc::clone(slot);
            pool.submit(move || {
                // The handle comes with the gate, which blocks the thread by other means.
                slot.1.wait();
                wait(slot.0.lock().unwrap().take().unwrap())
            })
        })
        .collect();
    for (i, slot) in slots.iter().enumerate() {
        *slot.0.lock().unwrap() = Some(pool.submit(move || i));
        slot.1.open();
    }
    for (i, waiter) in waiters.into_iter().enumerate() {
        assert_eq!(waiter.wait().unwrap(), i);
    }
}

#[test]
fn as_many_jobs_as_there_are_workers_wait_for_one_more() {
    at_each_width(|pool| {
        for _ in 0..scale(50) {
            let n = pool.num_workers();
            all_wait_for_one_more(pool, n, |handle| handle.wait().unwrap());
            // These never run it themselves: a spare thread does.
            all_wait_for_one_more(pool, n, |mut handle| {
                handle.wait_timeout(LONG).unwrap().unwrap()
            });
        }
    });
}

/// Waits for a job that runs on another worker, which itself needs one more.
#[test]
fn while_every_worker_waits_for_a_running_job_others_take_their_place() {
    at_each_width(|pool| {
        // Each waits for the next, which is already running: so they are all blocked, and deeper
        // than the pool is wide.
        let depth = pool.num_workers() + 8;
        let started = Arc::new(AtomicUsize::new(0));
        fn link(pool: Pool, left: usize, started: Arc<AtomicUsize>) -> usize {
            started.fetch_add(1, Ordering::SeqCst);
            if left == 0 {
                return 0;
            }
            let inner = (pool.clone(), Arc::clone(&started));
            let mut next = pool.submit(move || link(inner.0, left - 1, inner.1));
            next.wait_timeout(LONG).unwrap().unwrap() + 1
        }
        let inner = (pool.clone(), Arc::clone(&started));
        let mut chain = pool.submit(move || link(inner.0, depth, inner.1));
        assert_eq!(chain.wait_timeout(LONG).unwrap().unwrap(), depth);
        assert_eq!(started.load(Ordering::SeqCst), depth + 1);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn spare_workers_are_bounded_and_without_them_waits_still_end() {
    in_child("spare_workers_are_bounded_and_without_them_waits_still_end", &[], || {
        for spares in [0, 1, 3] {
            let before = num_threads();
            let pool = Pool::builder().workers(2).max_spare_workers(spares).build().unwrap();
            watchdog(&pool, || {
                let gate = Gate::default();
                let inner = gate.clone();
                // Outside of the pool, so that it needs no worker.
                let source = Pool::new(1).unwrap();
                let handles = source.submit_many((0..20).map(|_| {
                    let gate = inner.clone();
                    move || gate.wait()
                }));
                let waiting = Arc::new(AtomicUsize::new(0));
                let waiters: Vec<_> = handles
                    .into_iter()
                    .map(|mut handle| {
                        let waiting = Arc::clone(&waiting);
                        pool.submit(move || {
                            waiting.fetch_add(1, Ordering::SeqCst);
                            handle.wait_timeout(LONG).unwrap().unwrap();
                        })
                    })
                    .collect();
                // So many wait at once, and no more.
                until(|| waiting.load(Ordering::SeqCst) == 2 + spares);
                // The watchdog's thread, the source's, and the pool's.
                assert!(num_threads() <= before + 1 + 1 + 2 + spares, "{}", num_threads());
                gate.open();
                waiters.into_iter().for_each(|waiter| waiter.wait().unwrap());
                assert_eq!(waiting.load(Ordering::SeqCst), 20);
            });
        }
    });
}

#[test]
fn without_spare_workers_a_wait_runs_what_is_queued_itself() {
    for width in WIDTHS {
        let pool = Pool::builder().workers(width).max_spare_workers(0).build().unwrap();
        watchdog(&pool, || {
            for _ in 0..scale(50) {
                all_wait_for_one_more(&pool, width, |handle| handle.wait().unwrap());
            }
        });
    }
}

/// SEMANTICS 6.3, D1: who waits runs nothing that could want the lock which it holds.
#[test]
fn a_lock_may_be_held_across_a_wait() {
    at_each_width(|pool| {
        let lock = Arc::new(Mutex::new(0_u64));
        let rounds = scale(50_000);
        let jobs: Vec<_> = (0..8)
            .map(|_| {
                let (pool, lock) = (pool.clone(), Arc::clone(&lock));
                move || {
                    for round in 0..rounds {
                        let mut sum = lock.lock().unwrap();
                        match round % 64 {
                            0 => *sum += pool.submit(|| 1).wait().unwrap(),
                            1 => *sum += pool.install(|| windlass::submit(|| 1)).wait().unwrap(),
                            2 => {
                                let count = AtomicUsize::new(0);
                                scope(|s| s.spawn(|_| _ = count.fetch_add(1, Ordering::Relaxed)));
                                *sum += count.into_inner() as u64;
                            }
                            3 => *sum += fib(7) / 13,
                            _ => {
                                let (a, b) = join(|| 1, || 0);
                                *sum += a + b;
                            }
                        }
                    }
                }
            })
            .collect();
        let handles = pool.submit_many(jobs);
        handles.into_iter().for_each(|handle| handle.wait().unwrap());
        assert_eq!(*lock.lock().unwrap(), 8 * rounds as u64);
    });
}

#[test]
fn a_cell_may_be_initialised_and_a_lock_read_across_a_wait() {
    at_each_width(|pool| {
        for round in 0..scale(500) {
            let cell: Arc<OnceLock<usize>> = Arc::default();
            let lock = Arc::new(RwLock::new(round));
            let jobs = (0..8).map(|i| {
                let (pool, cell, lock) = (pool.clone(), Arc::clone(&cell), Arc::clone(&lock));
                move || {
                    let value = *cell.get_or_init(|| {
                        let (a, b) = join(|| fib(3) as usize, || fib(4) as usize);
                        a + b + pool.submit(|| 1).wait().unwrap()
                    });
                    if i == 5 {
                        // A writer, for whom new readers would wait.
                        *lock.write().unwrap() += 1;
                    }
                    let read = lock.read().unwrap();
                    let (a, b) = join(|| *read, || 0);
                    value + (a + b + pool.submit(|| 0).wait().unwrap() - *read)
                }
            });
            for handle in pool.submit_many(jobs) {
                assert_eq!(handle.wait().unwrap(), 6);
            }
        }
    });
}

#[test]
fn broadcasts_reach_a_worker_that_waits_for_a_job() {
    at_each_width(|pool| {
        let source = Pool::new(1).unwrap();
        for _ in 0..scale(20) {
            let gate = Gate::default();
            let inner = gate.clone();
            let job = source.submit(move || inner.wait());
            let job = Arc::new(Mutex::new(Some(job)));
            let waiters: Vec<_> = (0..pool.num_workers())
                .map(|_| {
                    let job = Arc::clone(&job);
                    pool.submit(move || {
                        let job = job.lock().unwrap().take();
                        if let Some(mut job) = job {
                            job.wait_timeout(LONG).unwrap().unwrap();
                        }
                    })
                })
                .collect();
            until(|| job.lock().unwrap().is_none());
            let ran = pool.broadcast(|cx| cx.index());
            assert!(ran.into_iter().eq(0..pool.num_workers()));
            gate.open();
            waiters.into_iter().for_each(|waiter| waiter.wait().unwrap());
        }
    });
}

/// D2.
#[test]
fn pools_wait_for_each_other_crosswise() {
    fn bounce(a: &Pool, b: &Pool, depth: usize) -> usize {
        if depth == 0 {
            return 0;
        }
        let inner = (b.clone(), a.clone());
        let handle = b.submit(move || bounce(&inner.0, &inner.1, depth - 1));
        let n = match depth % 3 {
            0 => handle.wait().unwrap(),
            1 => a.install(|| handle.wait().unwrap()),
            _ => {
                let mut handle = handle;
                handle.wait_timeout(LONG).unwrap().unwrap()
            }
        };
        n + 1
    }
    for width in WIDTHS {
        let (a, b) = (Pool::new(width).unwrap(), Pool::new(width).unwrap());
        watchdog(&a, || {
            let callers: Vec<_> = (0..4)
                .map(|i| {
                    let (a, b) =
                        if i % 2 == 0 { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) };
                    std::thread::spawn(move || {
                        for _ in 0..scale(20) {
                            assert_eq!(bounce(&a, &b, 9), 9);
                        }
                    })
                })
                .collect();
            callers.into_iter().for_each(|caller| caller.join().unwrap());
        });
    }
}

/// What a wait does run is the job that it waits for.
#[test]
fn a_wait_runs_nothing_but_its_job() {
    at_each_width(|pool| {
        // As many at once as there are spare threads for, with room to spare.
        for first in (0..scale(300)).step_by(16) {
            let jobs = (first..first + 16).map(|root| {
                let pool = pool.clone();
                move || {
                    as_part_of(root, || {
                        let waited = pool.submit(move || tree_of(root, 4)).wait().unwrap();
                        let own = tree_of(root, 4);
                        let mut late = pool.submit(|| 1);
                        late.wait_timeout(LONG).unwrap().unwrap() + waited + own
                    })
                }
            });
            for handle in pool.submit_many(jobs) {
                assert_eq!(handle.wait().unwrap(), 33);
            }
        }
    });
}

/// An outside thread counts against the width while it runs the job that it waits for.
#[test]
fn the_width_holds_while_outsiders_run_what_they_wait_for() {
    for width in [1, 2, 3] {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            std::thread::scope(|s| {
                for _ in 0..4 {
                    s.spawn(|| {
                        for _ in 0..scale(300) {
                            let (inside, most) = (Arc::clone(&inside), Arc::clone(&most));
                            let handle = pool.submit(move || {
                                let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                                most.fetch_max(now, Ordering::SeqCst);
                                work_for(Duration::from_micros(20));
                                inside.fetch_sub(1, Ordering::SeqCst);
                            });
                            handle.wait().unwrap();
                        }
                    });
                }
            });
            assert!(most.load(Ordering::SeqCst) <= width, "{most:?}");
        });
    }
}

/// The one worker is on its way, and has the only permit: who waits is there already, borrows that, and
/// runs the job. Not each time; without the loan never.
#[test]
fn who_waits_outside_runs_the_job_before_the_one_worker_has_come_to_itself() {
    let pool = Pool::new(1).unwrap();
    watchdog(&pool, || {
        let me = std::thread::current().id();
        until(|| {
            // For the worker to fall asleep.
            std::thread::sleep(Duration::from_millis(1));
            pool.submit(|| std::thread::current().id()).wait().unwrap() == me
        });
    });
}

#[test]
fn a_job_that_runs_is_waited_for_by_many_at_once() {
    at_each_width(|pool| {
        let gate = Gate::default();
        let inner = gate.clone();
        let job = pool.submit(move || inner.wait());
        let table = job.job_ref();
        let watchers: Vec<_> = (0..4)
            .map(|_| {
                let (pool, table) = (pool.clone(), table.clone());
                std::thread::spawn(move || {
                    assert!(pool.wait_idle(LONG));
                    table.state()
                })
            })
            .collect();
        gate.open();
        job.wait().unwrap();
        for watcher in watchers {
            assert_eq!(watcher.join().unwrap(), JobState::Finished);
        }
    });
}

/// F4: what a worker has of its own, however much, does not keep it from the jobs of another that is in the middle of
/// something long.
#[test]
fn jobs_of_a_blocked_worker_are_run_by_one_that_always_has_some_of_its_own() {
    fn chain(gate: Gate, is_done: Arc<AtomicUsize>) {
        if is_done.load(Ordering::SeqCst) == 0 {
            let next = (gate, Arc::clone(&is_done));
            windlass::submit(move || chain(next.0, next.1)).detach();
        } else {
            gate.open();
        }
    }
    for width in [2, 3, 8] {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            let (gate, is_done) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
            let started = Arc::new(Meeting::of(width));
            for _ in 1..width {
                let inner = (gate.clone(), Arc::clone(&is_done), Arc::clone(&started));
                pool.submit(move || {
                    inner.2.attend();
                    chain(inner.0, inner.1);
                })
                .detach();
            }
            let blocked = pool.submit(move || {
                started.attend();
                windlass::submit(move || is_done.fetch_add(1, Ordering::SeqCst)).detach();
                gate.wait();
            });
            blocked.wait().unwrap();
            assert!(pool.wait_idle(LONG));
        });
    }
}

/// The last job may end on a thread that is none of the pool's, and stays in it.
#[test]
fn who_waits_for_an_idle_pool_is_told_by_a_guest() {
    let pool = Pool::new(2).unwrap();
    watchdog(&pool, || {
        for _ in 0..5 {
            let has_begun = Arc::new(AtomicBool::new(false));
            thread::scope(|scope| {
                let idle = scope.spawn(|| {
                    until(|| has_begun.load(Ordering::SeqCst));
                    pool.wait_idle(Duration::MAX)
                });
                pool.install(|| {
                    let begun = Arc::clone(&has_begun);
                    let job = pool.submit(move || {
                        begun.store(true, Ordering::SeqCst);
                        // Until the other one waits, and the worker that was woken sleeps again.
                        thread::sleep(Duration::from_millis(20));
                    });
                    job.wait().unwrap();
                    until(|| idle.is_finished());
                });
                assert!(idle.join().unwrap());
            });
        }
    });
}
