//! Groups under random schedules:
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test --release --test shuttle_groups
//! ```
//!
//! As `tests/shuttle_jobs.rs`. At the end of each scenario the group's books are right, and those of
//! the pool agree.
#![cfg(shuttle)]

#[path = "common/schedules.rs"]
mod schedules;

use schedules::{builder, explore_some, pool, throw};
use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::thread;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use windlass::group::{GroupStatistics, MemberError};
use windlass::{CancelCause, Group, GroupHandle, JobError, Join, Pool, Shutdown};

const ITERATIONS: usize = 4_000;

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    explore_some(ITERATIONS, scenario);
}

/// Of std, so that it adds no steps to the schedule: it all happens on one real thread.
#[derive(Default)]
struct Seen {
    runs: AtomicUsize,
    inside: AtomicUsize,
    dropped: AtomicUsize,
    made: AtomicUsize,
}

type Shared = std::sync::Arc<Seen>;

struct Probe(Shared);

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Relaxed);
    }
}

/// A closure that is inside for a moment, with no more than `limit` of them.
fn call(seen: &Shared, limit: usize) -> impl FnOnce() + Send + use<> {
    seen.made.fetch_add(1, Relaxed);
    let probe = Probe(Shared::clone(seen));
    move || {
        let seen = &probe.0;
        assert!(seen.inside.fetch_add(1, Relaxed) < limit, "too many at once");
        thread::yield_now();
        seen.inside.fetch_sub(1, Relaxed);
        seen.runs.fetch_add(1, Relaxed);
    }
}

fn assert_books(statistics: &GroupStatistics) {
    assert_eq!(statistics.total, statistics.finished() + statistics.pending(), "{statistics:?}");
}

/// The group's members have ended; waits until the pool has noticed.
fn assert_over(pool: &Pool, seen: &Shared, group: &GroupHandle<()>) {
    let statistics = group.statistics();
    assert_books(&statistics);
    assert_eq!(statistics.pending(), 0, "{statistics:?}");
    assert_eq!(statistics.completed, seen.runs.load(Relaxed) as u64, "{statistics:?}");
    assert!(pool.wait_idle(std::time::Duration::MAX));
    assert_eq!(seen.made.load(Relaxed), seen.dropped.load(Relaxed), "each closure is dropped once");
}

#[test]
fn a_limited_group_runs_all_members_of_two_submitters() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, seen) = (pool(workers), Shared::default());
            let group = pool.group("limited").limit(1).open();
            let other = {
                let (group, seen) = (group.handle(), Shared::clone(&seen));
                thread::spawn(move || drop(group.submit(call(&seen, 1)).unwrap()))
            };
            for _ in 0..2 {
                group.submit(call(&seen, 1)).unwrap();
                assert_books(&group.statistics());
            }
            other.join().unwrap();
            assert_eq!(group.wait(Join::all()).unwrap().len(), 3);
            assert_over(&pool, &seen, &group);
        });
    }
}

#[test]
fn a_cancel_meets_members_that_come_wait_run_and_end() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, seen) = (pool(workers), Shared::default());
            let group = pool.group("cancelled").limit(1).open();
            let refused = {
                let (group, seen) = (group.handle(), Shared::clone(&seen));
                thread::spawn(move || {
                    (0..3).filter(|_| group.submit(call(&seen, 1)).is_err()).count()
                })
            };
            thread::yield_now();
            group.cancel();
            let refused = refused.join().unwrap();
            let ended = group.wait(Join::collect());
            assert_eq!(ended.len() + refused, 3);
            for member in ended {
                let (Ok(()) | Err(MemberError::Job(JobError::Cancelled { .. }))) = member.result
                else {
                    unreachable!("{:?}", member.result)
                };
            }
            assert_over(&pool, &seen, &group);
        });
    }
}

/// A slot that is granted to a member just when that is cancelled goes back to its own limit.
#[test]
fn members_of_a_nested_group_are_cancelled_while_they_wait_for_either_limit() {
    explore(|| {
        let (pool, seen) = (pool(1), Shared::default());
        let outer = pool.group("outer").limit(1).open::<()>();
        let inner = outer.group("inner").limit(2).open::<()>();
        let canceller = {
            outer.submit(call(&seen, 1)).unwrap();
            let job = inner.submit(call(&seen, 1)).unwrap();
            thread::spawn(move || drop(job.cancel()))
        };
        inner.submit(call(&seen, 1)).unwrap();
        canceller.join().unwrap();
        // All slots are there again.
        inner.submit(call(&seen, 1)).unwrap();
        outer.submit(call(&seen, 1)).unwrap();
        outer.wait(Join::collect());
        let (a, b) = (outer.statistics(), inner.statistics());
        assert_eq!((a.completed, b.completed + b.cancelled, a.pending() + b.pending()), (2, 3, 0));
        assert!(pool.wait_idle(std::time::Duration::MAX));
        assert_eq!(seen.made.load(Relaxed), seen.dropped.load(Relaxed));
    });
}

#[test]
fn a_failure_cancels_the_others_once() {
    for workers in [1, 2] {
        explore(move || {
            let pool = pool(workers);
            let group = pool.group("fast").fail_fast().limit(2).open();
            let _ = group.submit(|| _ = throw());
            let _ = group.submit_fallible(|| Err::<(), _>("no"));
            let _ = group.submit(|| ());
            let error = group.wait(Join::all()).unwrap_err();
            assert!(!error.first().unwrap().error().is_secondary());
            assert_eq!(group.token().cause(), Some(CancelCause::SiblingFailed));
            let statistics = group.statistics();
            assert_books(&statistics);
            assert!(statistics.failed + statistics.panicked >= 1 && group.is_closed());
        });
    }
}

/// Each worker waits for a group of its own, with nobody else to run the members.
#[test]
fn workers_that_wait_run_what_they_wait_for() {
    for workers in [1, 2] {
        explore(move || {
            let pool = builder(workers).max_spare_workers(0).build().unwrap();
            let seen = Shared::default();
            let jobs: Vec<_> = (0..workers)
                .map(|_| {
                    let (inner, seen) = (pool.clone(), Shared::clone(&seen));
                    pool.submit(move || {
                        let group = inner.group("inside").limit(1).open();
                        for _ in 0..2 {
                            group.submit(call(&seen, 2)).unwrap();
                        }
                        group.wait(Join::all()).unwrap().len()
                    })
                })
                .collect();
            jobs.into_iter().for_each(|job| assert_eq!(job.wait().unwrap(), 2));
        });
    }
}

/// A member becomes ready while the only worker waits, and nobody else could run it.
#[test]
fn a_waiting_worker_is_told_of_work() {
    explore(|| {
        let pool = builder(1).max_spare_workers(0).build().unwrap();
        let group = pool.group("told").limit(0).open::<()>();
        group.submit(|| ()).unwrap();
        let waiter = {
            let group = group.handle();
            pool.submit(move || group.wait(Join::all()).unwrap().len())
        };
        thread::yield_now();
        assert!(group.set_limit(1));
        assert_eq!(waiter.wait().unwrap(), 1);
    });
}

#[test]
fn a_group_is_dropped_while_its_members_come_and_go() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, seen) = (pool(workers), Shared::default());
            let group: Group<()> = pool.group("dropped").limit(1).open();
            let handle = group.handle();
            let other = {
                let (group, seen) = (group.handle(), Shared::clone(&seen));
                thread::spawn(move || drop(group.submit(call(&seen, 1))))
            };
            group.submit(call(&seen, 1)).unwrap();
            drop(group);
            other.join().unwrap();
            handle.wait(Join::collect());
            assert_over(&pool, &seen, &handle);
            assert!(handle.is_closed());
        });
    }
}

#[test]
fn two_waiters_share_the_results() {
    explore(|| {
        let pool = pool(1);
        let group = pool.group("shared").open();
        for n in 0..3 {
            group.submit(move || n).unwrap();
        }
        let other = {
            let group = group.handle();
            thread::spawn(move || group.as_completed().count())
        };
        let mine = group.as_completed().count();
        assert_eq!(mine + other.join().unwrap(), 3);
    });
}

/// The timer fires if it comes to look after that, and else never: there is no time.
const MOMENT: std::time::Duration = std::time::Duration::from_nanos(1);

/// The first copy fails or is slow, others come of that or of the timer, and one result counts.
#[test]
fn copies_race_and_one_counts() {
    for (workers, fails) in [(1, false), (1, true), (2, false), (2, true)] {
        explore(move || {
            let (pool, seen) = (pool(workers), Shared::default());
            let probe = Probe(Shared::clone(&seen));
            let job = pool.hedge("race", MOMENT).copies(3).submit(move |cx| {
                let is_first = probe.0.runs.fetch_add(1, Relaxed) == 0;
                thread::yield_now();
                cx.checkpoint().map_err(|_| "cancelled")?;
                if is_first && fails { Err("first") } else { Ok(7) }
            });
            assert_eq!(job.unwrap().wait().unwrap(), 7);
            // The timer may be about to submit a copy, which it then takes back.
            assert!(pool.shutdown(Shutdown::Drain, std::time::Duration::MAX).is_complete());
            let counts = pool.job_counts();
            assert!(counts.accepted <= 3 && counts.pending() == 0, "{counts:?}");
            assert!(!fails || counts.failed + counts.cancelled >= 1, "{counts:?}");
            // With it the timer goes, which may be about to look for a copy that is not needed.
            drop(pool);
            assert_eq!(seen.dropped.load(Relaxed), 1, "the closure is dropped once");
        });
    }
}

/// Whoever asked goes away while copies begin, run and fail.
#[test]
fn a_hedged_job_is_dropped() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, seen) = (pool(workers), Shared::default());
            let probe = Probe(Shared::clone(&seen));
            let job = pool.hedge("dropped", MOMENT).submit(move |cx| {
                probe.0.runs.fetch_add(1, Relaxed);
                thread::yield_now();
                cx.checkpoint().map_err(|_| "cancelled").and(Err::<(), _>("failed"))
            });
            thread::yield_now();
            drop(job.unwrap());
            assert!(pool.wait_idle(std::time::Duration::MAX));
            drop(pool);
            assert_eq!(seen.dropped.load(Relaxed), 1);
            assert!(seen.runs.load(Relaxed) <= 2);
        });
    }
}

/// The hand-over of slots, small: a slot that comes back goes to who waits for it.
fn toy(hands_over: bool) {
    struct Slots {
        taken: bool,
        waits: Vec<usize>,
        granted: Vec<usize>,
    }
    let slots = Slots { taken: false, waits: Vec::new(), granted: Vec::new() };
    let shared = Arc::new((Mutex::new(slots), Condvar::new()));
    let members: Vec<_> = (0..2)
        .map(|me| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (slots, told) = &*shared;
                let mut slots = slots.lock().unwrap();
                if slots.taken {
                    slots.waits.push(me);
                    while !slots.granted.contains(&me) {
                        slots = told.wait(slots).unwrap();
                    }
                }
                slots.taken = true;
                drop(slots);
                thread::yield_now();
                let mut slots = shared.0.lock().unwrap();
                match slots.waits.pop() {
                    Some(next) if hands_over => {
                        slots.granted.push(next);
                        told.notify_all();
                    }
                    _ => slots.taken = false,
                }
            })
        })
        .collect();
    members.into_iter().for_each(|member| member.join().unwrap());
}

#[test]
fn the_toy_ends() {
    explore(|| toy(true));
}

#[test]
#[should_panic(expected = "deadlock")]
fn twin_the_toy_gives_a_slot_back_without_a_look_at_who_waits() {
    explore(|| toy(false));
}
