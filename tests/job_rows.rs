//! Jobs that are submitted side by side are queued together, and nobody can tell by what they do:
//! each can be run by another worker, in its order, and given up by itself.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;
use windlass::{CancelOutcome, JobError, JobHandle, JobId, Pool, Priority, submit};

/// More than lie in one chunk.
const MANY: usize = 100;

/// So many of them are all under way at the same time.
#[test]
fn a_job_that_blocks_does_not_keep_those_behind_it() {
    at_each_width(|pool| {
        let width = pool.num_workers();
        for way in 0..3 {
            let together = Arc::new(Barrier::new(width));
            let call = |_| {
                let together = Arc::clone(&together);
                move || _ = together.wait()
            };
            let handles: Vec<_> = match way {
                0 => (0..width).map(call).map(|f| pool.submit(f)).collect(),
                1 => pool.submit_many((0..width).map(call)),
                _ => {
                    // From inside, by a worker that then takes part.
                    let calls: Vec<_> = (0..width).map(call).collect();
                    let submitted = pool.submit(|| calls.into_iter().map(submit).collect());
                    let handles: Vec<_> = submitted.wait().unwrap();
                    handles
                }
            };
            for handle in handles {
                handle.wait().unwrap();
            }
        }
    });
}

#[test]
fn others_go_on_with_a_row_whose_first_job_blocks() {
    at_each_width(|pool| {
        if pool.num_workers() == 1 {
            return;
        }
        for from_inside in [false, true] {
            let left = Arc::new(AtomicUsize::new(MANY - 1));
            let call = |i| {
                let left = Arc::clone(&left);
                move || {
                    if i == 0 {
                        until(|| left.load(Ordering::SeqCst) == 0);
                    } else {
                        left.fetch_sub(1, Ordering::SeqCst);
                    }
                }
            };
            let calls: Vec<_> = (0..MANY).map(call).collect();
            if from_inside {
                pool.submit(|| calls.into_iter().for_each(|f| submit(f).detach())).detach();
            } else {
                calls.into_iter().for_each(|f| pool.submit(f).detach());
            }
            assert!(pool.wait_idle(LONG));
        }
    });
}

/// Large ones among them are queued on their own.
#[test]
fn one_worker_keeps_the_order_of_what_one_thread_submits() {
    let pool = Pool::new(1).unwrap();
    watchdog(&pool, || {
        for large_every in [usize::MAX, 1, 2, 7, 40] {
            for from_inside in [false, true] {
                let log = Arc::new(Mutex::new(Vec::new()));
                let all = {
                    let log = Arc::clone(&log);
                    move |pool: &Pool| {
                        for i in 0..5 * MANY {
                            let log = Arc::clone(&log);
                            if i % large_every == large_every - 1 {
                                let large = [i; 100];
                                pool.submit(move || log.lock().unwrap().push(large[i % 100]))
                            } else {
                                pool.submit(move || log.lock().unwrap().push(i))
                            }
                            .detach();
                        }
                    }
                };
                if from_inside {
                    let inner = pool.clone();
                    pool.submit(move || all(&inner)).detach();
                } else {
                    let (gate, blockers) = block(&pool);
                    all(&pool);
                    end(&gate, blockers);
                }
                assert!(pool.wait_idle(LONG));
                let log = log.lock().unwrap();
                assert!(log.iter().copied().eq(0..5 * MANY), "{large_every} {from_inside} {log:?}");
            }
        }
    });
}

/// One at a time: the next one of the row comes after it.
#[test]
fn a_high_job_comes_right_after_the_job_that_submits_it() {
    let pool = Pool::new(1).unwrap();
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let log = Arc::new(Mutex::new(Vec::new()));
        for i in 0..MANY {
            let (inner, log) = (pool.clone(), Arc::clone(&log));
            let step = move || {
                log.lock().unwrap().push((i, false));
                let job = inner.job("").priority(Priority::High);
                job.submit(move || log.lock().unwrap().push((i, true))).detach();
            };
            pool.submit(step).detach();
        }
        end(&gate, blockers);
        assert!(pool.wait_idle(LONG));
        let log = log.lock().unwrap();
        let expected = (0..MANY).flat_map(|i| [(i, false), (i, true)]);
        // Every 61st dispatch is a lower level's.
        let late = log.iter().zip(expected).filter(|(a, b)| **a != *b).count();
        assert!(late <= 2 * (2 * MANY / 61), "{late} {log:?}");
    });
}

#[test]
fn jobs_from_outside_have_their_turn_beside_rows_from_inside() {
    let pool = Pool::new(1).unwrap();
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let log = Arc::new(Mutex::new(Vec::new()));
        let note = |what: bool| {
            let log = Arc::clone(&log);
            move || log.lock().unwrap().push(what)
        };
        let inside = (0..20 * MANY).map(|_| note(true)).collect::<Vec<_>>();
        let outside = pool.clone();
        let (first, second) = (note(false), note(false));
        pool.submit(move || {
            inside.into_iter().for_each(|f| submit(f).detach());
            // From another thread, and so from outside.
            let submit = || [Box::new(first) as Box<dyn FnOnce() + Send>, Box::new(second)];
            let submit = || submit().into_iter().for_each(|f| outside.submit(f).detach());
            std::thread::scope(|scope| drop(scope.spawn(submit).join()));
        })
        .detach();
        end(&gate, blockers);
        assert!(pool.wait_idle(LONG));
        let log = log.lock().unwrap();
        let places = log.iter().enumerate().filter(|(_, inside)| !**inside).map(|(at, _)| at);
        for (nth, at) in places.enumerate() {
            assert!(at <= 33 * (nth + 1), "{at}");
        }
    });
}

/// Whatever becomes of the others.
#[test]
fn each_job_of_a_row_can_be_given_up() {
    at_each_width(|pool| {
        let (gate, blockers) = block(pool);
        let captured = Arc::new(());
        let handles: Vec<_> = (0..MANY)
            .map(|i| {
                let captured = Arc::clone(&captured);
                pool.submit(move || (Arc::strong_count(&captured), i).1)
            })
            .collect();
        for handle in handles.iter().skip(1).step_by(3) {
            assert_eq!(handle.cancel(), CancelOutcome::Removed);
            assert_eq!(handle.cancel(), CancelOutcome::AlreadyFinished);
        }
        assert_eq!(Arc::strong_count(&captured), 1 + MANY - (MANY - 1).div_ceil(3));
        end(&gate, blockers);
        for (i, handle) in handles.into_iter().enumerate() {
            match handle.wait() {
                Ok(value) => assert!(value == i && i % 3 != 1),
                Err(JobError::Cancelled { had_started: false, .. }) => assert_eq!(i % 3, 1),
                Err(other) => unreachable!("{other}"),
            }
        }
        assert_eq!(Arc::strong_count(&captured), 1);
    });
}

/// And each is waited for, or run by whoever waits, in any order.
#[test]
fn a_row_is_waited_for_backwards() {
    at_each_width(|pool| {
        let sum = pool.submit(|| {
            let mut handles: Vec<_> = (0..MANY).map(|i| submit(move || i)).collect();
            handles.reverse();
            handles.into_iter().map(|handle| handle.wait().unwrap()).sum::<usize>()
        });
        assert_eq!(sum.wait().unwrap(), (0..MANY).sum::<usize>());
        let mut handles: Vec<_> = (0..MANY).map(|i| pool.submit(move || i)).collect();
        handles.reverse();
        let sum: usize = handles.into_iter().map(|handle| handle.wait().unwrap()).sum();
        assert_eq!(sum, (0..MANY).sum::<usize>());
    });
}

/// One thread, jobs for two pools by turns.
#[test]
fn jobs_of_two_pools_do_not_mix() {
    let pools = [1, 2].map(|workers| Pool::new(workers).unwrap());
    watchdog(&pools[0], || {
        let handles: Vec<_> = (0..10 * MANY)
            .map(|i| {
                let pool = &pools[i / 3 % 2];
                let right = pool.clone();
                pool.submit(move || right.install(|| windlass::current().is_some()))
            })
            .collect();
        assert!(handles.into_iter().all(|handle| handle.wait().unwrap()));
        let accepted: Vec<_> = pools.iter().map(|pool| pool.job_counts().accepted).collect();
        assert_eq!(accepted.iter().sum::<u64>(), 10 * MANY as u64);
        // A pool that is gone takes nothing along.
        let [first, second] = pools.clone();
        drop((first, second));
    });
}

#[test]
fn long_jobs_start_in_their_order_on_several_workers() {
    const JOBS: usize = 200;
    for width in WIDTHS.into_iter().filter(|width| *width > 1) {
        // All of them, or one in three.
        for (is_inside, every) in [(false, 1), (true, 1), (false, 3), (true, 3)] {
            let pool = Pool::new(width).unwrap();
            let started = Arc::new(Mutex::new(Vec::new()));
            let (inner, log) = (pool.clone(), Arc::clone(&started));
            let submit = move || {
                let job = |n| {
                    let log = Arc::clone(&log);
                    move || {
                        log.lock().unwrap().push(n);
                        if n % every == 0 {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                    }
                };
                (0..JOBS).map(|n| inner.submit(job(n))).for_each(JobHandle::detach);
            };
            watchdog(&pool, || {
                if is_inside {
                    pool.submit(submit).wait().unwrap()
                } else {
                    submit()
                }
                assert!(pool.wait_idle(LONG));
            });
            let started = started.lock().unwrap();
            let off = |(at, n): (usize, &usize)| at.abs_diff(*n);
            let off: usize = started.iter().enumerate().map(off).sum();
            // Not quite: each worker may be held up anywhere. It is 15 on the average, and more, if each
            // takes a row of its own.
            assert!(off / JOBS < 12, "{width} workers, {is_inside}, {every}: {started:?}");
        }
    }
}

/// Whatever they are, and wherever they lie.
#[test]
fn later_jobs_of_a_thread_have_higher_numbers() {
    let (pool, other) = (Pool::new(1).unwrap(), Pool::new(1).unwrap());
    watchdog(&pool, || {
        for strangers in [0, 1, 10] {
            let last = [const { Cell::new(0) }; 2];
            let check = |of: usize, id: JobId| {
                let before = last[of].replace(id.get());
                assert!(id.get() > before, "{id} after {before}");
            };
            for round in 0..MANY {
                let large = [round; 200];
                check(0, pool.submit(move || round).id());
                check(0, pool.submit(move || large.iter().sum::<usize>()).id());
                let named = pool.job("named").priority(Priority::High).submit(|| ());
                check(0, named.id());
                check(0, pool.job("after").after(&[&named]).submit(|| ()).id());
                for handle in pool.submit_many((0..round % 5).map(|n| move || n)) {
                    check(0, handle.id());
                }
                for _ in 0..strangers {
                    check(1, other.submit(|| ()).id());
                }
            }
        }
        assert!(pool.wait_idle(LONG) && other.wait_idle(LONG));
    });
}

/// One thread submits to several pools in turn: each job runs in its own.
#[test]
fn jobs_of_several_pools_are_told_apart() {
    let pools: Vec<_> = (1..=3).map(|workers| Pool::new(workers).unwrap()).collect();
    watchdog(&pools[0], || {
        for in_a_row in [1, 2, 7] {
            let submit = |nth: usize| pools[nth / in_a_row % 3].submit(move || nth);
            let handles: Vec<_> = (0..3 * MANY).map(submit).collect();
            for (nth, handle) in handles.into_iter().enumerate() {
                assert_eq!(handle.wait().unwrap(), nth);
            }
        }
        assert!(pools.iter().all(|pool| pool.wait_idle(LONG)));
        let counts: Vec<_> = pools.iter().map(Pool::job_counts).collect();
        // Where they ran is where they were accepted.
        assert!(counts.iter().all(|counts| counts.completed == counts.accepted), "{counts:?}");
        assert_eq!(counts.iter().map(|counts| counts.completed).sum::<u64>(), 9 * MANY as u64);
    });
}
