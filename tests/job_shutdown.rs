//! A pool ends as it is told to: each job has the documented end, nothing is lost, and the threads are gone.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use windlass::{
    CancelCause, JobError, JobHandle, JobState, Pool, Priority, Shutdown, SubmitError, checkpoint,
};

const SOON: Duration = Duration::from_millis(1);
const MODES: [Shutdown; 3] = [Shutdown::Drain, Shutdown::CancelPending, Shutdown::CancelAll];

/// SEMANTICS 6.17.
#[test]
fn each_mode_does_with_each_job_what_it_says() {
    for width in WIDTHS {
        for how in MODES {
            let pool = Pool::new(width).unwrap();
            watchdog(&pool, || {
                assert_eq!(pool.submit(|| 1).wait().unwrap(), 1);
                let (gate, mut blockers) = block(&pool);
                let capture = Arc::new(());
                let held = Arc::clone(&capture);
                let mut queued = pool.submit(move || drop(held));
                let inner = pool.clone();
                let shutdown = std::thread::spawn(move || inner.shutdown(how, LONG));
                // From its beginning nothing is accepted, and the closure comes back.
                let rejected = loop {
                    match pool.try_submit(|| "back") {
                        Ok(handle) => drop(handle),
                        Err(error) => break error.into_inner()(),
                    }
                };
                assert_eq!(rejected, "back");
                assert!(matches!(pool.submit(|| ()).wait(), Err(JobError::Rejected)));
                assert!(matches!(
                    pool.submit_many([|| (); 3]).pop().unwrap().wait(),
                    Err(JobError::Rejected)
                ));
                let job = pool.job("").priority(Priority::High);
                assert!(matches!(job.try_submit(|| ()), Err(SubmitError::ShuttingDown(_))));
                if how != Shutdown::Drain {
                    // While every worker is blocked.
                    let end = queued.wait_timeout(LONG).unwrap();
                    assert!(matches!(end, Err(JobError::Abandoned)));
                    assert_eq!(Arc::strong_count(&capture), 1);
                }
                assert!(blockers.iter().all(|job| job.state() == JobState::Running));
                gate.open();
                let report = shutdown.join().unwrap();
                assert!(report.is_complete(), "{report:?}");
                assert!(report.left_running.is_empty());
                if how == Shutdown::Drain {
                    queued.try_take().unwrap().unwrap();
                }
                for blocker in &mut blockers {
                    blocker.try_take().unwrap().unwrap();
                }
                let counts = pool.job_counts();
                assert_eq!(counts.pending(), 0);
                assert_eq!(counts.abandoned == 0, how == Shutdown::Drain);
                // Once more changes nothing.
                assert!(pool.shutdown(how, SOON).is_complete());
                // What is no job goes on, on the calling thread.
                assert_eq!(pool.install(|| fib(10)), 55);
            });
        }
    }
}

#[test]
fn cancel_all_asks_what_runs_to_stop() {
    at_each_width(|pool| {
        let pool = Pool::new(pool.num_workers()).unwrap();
        let (started, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let ways = (0..pool.num_workers()).map(|way| {
            let (started, stopped) = (Arc::clone(&started), Arc::clone(&stopped));
            let body = move || {
                started.fetch_add(1, Ordering::SeqCst);
                if way % 2 == 0 {
                    loop {
                        fib(10);
                    }
                }
                until(|| checkpoint().is_err());
                assert_eq!(checkpoint().unwrap_err().cause(), &CancelCause::Shutdown);
                stopped.fetch_add(1, Ordering::SeqCst);
            };
            // With a name it is listed, without one it looks by itself.
            if way % 4 < 2 { pool.submit(body) } else { pool.job("named").submit(body) }
        });
        let handles: Vec<JobHandle<()>> = ways.collect();
        until(|| started.load(Ordering::SeqCst) == handles.len());
        let report = pool.shutdown(Shutdown::CancelAll, LONG);
        assert!(report.is_complete(), "{report:?}");
        let stopped = stopped.load(Ordering::SeqCst) as u64;
        assert_eq!((report.finished, report.cancelled), (stopped, handles.len() as u64 - stopped));
        for (way, handle) in handles.into_iter().enumerate() {
            match handle.wait() {
                Ok(()) => assert_eq!(way % 2, 1),
                Err(JobError::Cancelled { cause: CancelCause::Shutdown, had_started: true }) => {
                    assert_eq!(way % 2, 0);
                }
                other => panic!("{other:?}"),
            }
        }
    });
}

thread_local! {
    static AT_THE_END: RefCell<Option<Slow>> = const { RefCell::new(None) };
}

/// Takes its time to be dropped.
struct Slow(Arc<AtomicUsize>);

impl Drop for Slow {
    fn drop(&mut self) {
        std::thread::sleep(20 * SOON);
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Leaves something in each worker's thread-local memory.
fn leave_behind(pool: &Pool, ended: &Arc<AtomicUsize>) {
    pool.broadcast(|_| AT_THE_END.set(Some(Slow(Arc::clone(ended)))));
}

/// P8.
#[test]
fn the_threads_have_ended_when_it_says_so() {
    for width in WIDTHS {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            let ended = Arc::new(AtomicUsize::new(0));
            leave_behind(&pool, &ended);
            let report = pool.shutdown(Shutdown::Drain, LONG);
            assert!(report.threads_ended);
            assert_eq!(ended.load(Ordering::SeqCst), width);
        });
        let (pool, ended) = (Pool::new(width).unwrap(), Arc::new(AtomicUsize::new(0)));
        deadline(|| {
            leave_behind(&pool, &ended);
            drop(pool);
            assert_eq!(ended.load(Ordering::SeqCst), width);
        });
    }
}

#[test]
fn a_limit_that_was_too_short_leaves_what_runs_by_name_and_the_next_call_ends_it() {
    for width in WIDTHS {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            let ended = Arc::new(AtomicUsize::new(0));
            leave_behind(&pool, &ended);
            let gate = Gate::default();
            let inner = gate.clone();
            let stuck = pool.job("stuck").submit(move || inner.wait());
            until(|| stuck.state() == JobState::Running);
            let report = pool.shutdown(Shutdown::CancelAll, SOON);
            assert!(!report.is_complete() && !report.threads_ended);
            assert_eq!((report.left, report.left_running.len()), (1, 1));
            assert_eq!(report.left_running[0].id, stuck.id());
            assert_eq!(report.left_running[0].name.as_deref(), Some("stuck"));
            // Two at once: both tell the truth.
            let callers: Vec<_> = (0..2)
                .map(|_| {
                    let (pool, ended) = (pool.clone(), Arc::clone(&ended));
                    std::thread::spawn(move || {
                        let report = pool.shutdown(Shutdown::Drain, LONG);
                        assert!(report.is_complete(), "{report:?}");
                        assert_eq!(ended.load(Ordering::SeqCst), width);
                    })
                })
                .collect();
            gate.open();
            callers.into_iter().for_each(|caller| caller.join().unwrap());
            stuck.wait().unwrap();
        });
    }
}

#[test]
fn the_drop_of_a_pool_waits_for_what_runs_and_abandons_the_rest() {
    for width in WIDTHS {
        let pool = Pool::new(width).unwrap();
        deadline(|| {
            let (gate, blockers) = block(&pool);
            let queued: Vec<_> = (0..100).map(|i| pool.submit(move || i)).collect();
            let dropping = std::thread::spawn(move || drop(pool));
            for handle in queued {
                assert!(matches!(handle.wait(), Err(JobError::Abandoned)));
            }
            assert!(!dropping.is_finished());
            end(&gate, blockers);
            dropping.join().unwrap();
        });
    }
}

/// D10.
#[test]
fn a_pool_may_be_dropped_and_shut_down_by_its_own_job() {
    for width in WIDTHS {
        deadline(|| {
            for round in 0..scale(50) {
                let pool = Pool::new(width).unwrap();
                let inner = pool.clone();
                let go = Gate::default();
                let gone = go.clone();
                let mut handle = pool.submit(move || {
                    gone.wait();
                    if round % 2 == 0 {
                        let report = inner.shutdown(Shutdown::CancelAll, LONG);
                        assert!(!report.threads_ended && report.left >= 1);
                    }
                    drop(inner);
                    7
                });
                let queued = pool.submit(|| 8);
                until(|| handle.state() == JobState::Running);
                drop(pool);
                go.open();
                let end = handle.wait_timeout(LONG).unwrap();
                assert_eq!(end.unwrap(), 7);
                match queued.wait() {
                    Ok(eight) => assert_eq!(eight, 8),
                    Err(error) => assert!(matches!(error, JobError::Abandoned)),
                }
            }
        });
    }
}

/// U3, U4: what is left of a pool when outside threads still hold, run, cancel or await its jobs.
#[test]
fn handles_outlive_their_pool_at_every_step() {
    for width in [1, 2] {
        deadline(|| {
            for round in 0..scale(1_500) {
                let pool = Pool::new(width).unwrap();
                let handles: Vec<_> = (0..3).map(|i| pool.submit(move || i)).collect();
                let outsiders: Vec<_> = handles
                    .into_iter()
                    .enumerate()
                    .map(|(i, mut handle)| {
                        std::thread::spawn(move || {
                            match (round + i) % 4 {
                                // It may run the job itself.
                                0 => return handle.wait(),
                                1 => _ = handle.cancel(),
                                2 => _ = handle.wait_timeout(SOON),
                                _ => return handle.wait_timeout(LONG).unwrap(),
                            }
                            handle.wait_timeout(LONG).unwrap_or(Ok(i))
                        })
                    })
                    .collect();
                (0..round % 13 * 40).for_each(|_| std::hint::spin_loop());
                drop(pool);
                for (i, outsider) in outsiders.into_iter().enumerate() {
                    match outsider.join().unwrap() {
                        Ok(n) => assert_eq!(n, i),
                        Err(JobError::Abandoned | JobError::Cancelled { .. }) => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
        });
    }
}

/// As the last test, with the outsider certainly in the middle of the job when the pool goes.
#[test]
fn the_drop_of_a_pool_waits_for_an_outsider_that_runs_a_job() {
    deadline(|| {
        for _ in 0..scale(20) {
            let pool = Pool::new(1).unwrap();
            let (gate, inside) = (Gate::default(), Gate::default());
            let (wait, enter) = (gate.clone(), inside.clone());
            let me = std::thread::current().id();
            let is_outside = Arc::new(AtomicUsize::new(0));
            let outside = Arc::clone(&is_outside);
            let handle = pool.submit(move || {
                let thread = std::thread::current();
                assert_ne!(thread.id(), me);
                let is_worker = thread.name().is_some_and(|name| name.starts_with("windlass"));
                outside.store(1 + usize::from(!is_worker), Ordering::SeqCst);
                enter.open();
                wait.wait();
                fib(10)
            });
            let outsider = std::thread::spawn(move || handle.wait().unwrap());
            inside.wait();
            let dropping = std::thread::spawn(move || drop(pool));
            std::thread::sleep(SOON);
            assert!(!dropping.is_finished());
            gate.open();
            assert_eq!(outsider.join().unwrap(), 55);
            dropping.join().unwrap();
        }
    });
}

/// P6, P10: exactly one of accepted and rejected, and every accepted job ends once.
#[test]
fn submissions_against_a_shutdown_are_accepted_or_given_back() {
    for round in 0..scale(400) {
        let width = WIDTHS[round % WIDTHS.len()];
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            let drops = Drops::new(4 * 100);
            let (ran, back) = (AtomicUsize::new(0), AtomicUsize::new(0));
            // Jobs borrow nothing that ends, so this does not.
            let (drops, ran, back) = forever((drops, ran, back));
            let start = Meeting::of(5);
            let resolved: Vec<_> = std::thread::scope(|s| {
                let submitters: Vec<_> = (0..4)
                    .map(|k| {
                        let (pool, start) = (&pool, &start);
                        s.spawn(move || {
                            start.attend();
                            let mut handles = Vec::new();
                            for i in 0..100 {
                                let item = drops.item(k * 100 + i);
                                let f = move || {
                                    ran.fetch_add(1, Ordering::SeqCst);
                                    drop(item);
                                };
                                match pool.try_submit(f) {
                                    Ok(handle) => handles.push(handle),
                                    Err(error) => {
                                        back.fetch_add(1, Ordering::SeqCst);
                                        drop(error.into_inner());
                                    }
                                }
                            }
                            handles
                        })
                    })
                    .collect();
                start.attend();
                (0..round % 31 * 50).for_each(|_| std::hint::spin_loop());
                let report = pool.shutdown(MODES[round % 3], LONG);
                assert!(report.is_complete(), "{report:?}");
                submitters.into_iter().flat_map(|s| s.join().unwrap()).collect()
            });
            let accepted = resolved.len();
            let mut completed = 0;
            for mut handle in resolved {
                match handle.wait_timeout(LONG).expect("the shutdown is over") {
                    Ok(()) => completed += 1,
                    Err(JobError::Abandoned) => {}
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(accepted + back.load(Ordering::SeqCst), 400);
            assert_eq!(completed, ran.load(Ordering::SeqCst));
            drops.assert_each_once();
            let now = pool.job_counts();
            assert_eq!((now.accepted, now.pending()), (accepted as u64, 0));
            assert_eq!((now.completed, now.finished()), (completed as u64, accepted as u64));
            if round % 3 == 0 {
                assert_eq!(now.abandoned, 0, "a drain runs what it has accepted");
            }
        });
    }
}

/// L3: accepted is the sum of the outcomes, whatever is done to jobs and handles.
#[test]
fn no_job_is_lost_in_a_random_mix() {
    static LIVE: Live = Live::new();
    fn next(seed: &mut u64) -> u64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed
    }
    fn work(pool: &Pool, seed: u64, depth: u32) -> u64 {
        match seed % 8 {
            0 => throw("mixed"),
            1 if depth > 0 => {
                let inner = pool.clone();
                _ = pool.submit(move || work(&inner, seed / 8, depth - 1)).wait();
            }
            2 if depth > 0 => {
                let inner = pool.clone();
                drop(pool.submit(move || work(&inner, seed / 8, depth - 1)));
            }
            3 => return fib(8),
            _ => {}
        }
        seed
    }
    for round in 0..scale(200) {
        let width = WIDTHS[round % WIDTHS.len()];
        let pool = Pool::builder().workers(width).reserved_workers(round % 2).build().unwrap();
        watchdog(&pool, || {
            std::thread::scope(|s| {
                for k in 0..3 {
                    let pool = &pool;
                    s.spawn(move || {
                        let mut seed =
                            (round as u64 * 3 + k + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                        let mut kept = Vec::new();
                        for _ in 0..100 {
                            let (job, what, token) =
                                (next(&mut seed), next(&mut seed), LIVE.token());
                            let level = Priority::from_level((what >> 8) as u8 % 8).unwrap();
                            let inner = pool.clone();
                            let f = move || {
                                let made = LIVE.token();
                                drop(token);
                                (work(&inner, job, 3), made)
                            };
                            let mut handle = match what % 5 {
                                0 => pool.job("mixed").priority(level).timeout(SOON).submit(f),
                                1 => pool.job("").priority(level).start_within(SOON).submit(f),
                                _ => pool.submit(f),
                            };
                            match what / 16 % 8 {
                                0 => drop(handle),
                                1 => _ = handle.cancel(),
                                2 => drop(handle.cancel_on_drop()),
                                3 => _ = handle.wait(),
                                4 => _ = handle.try_take(),
                                _ => kept.push(handle),
                            }
                        }
                        kept.into_iter().for_each(|handle| drop(handle.wait()));
                    });
                }
                if round % 3 == 0 {
                    (0..round * 97 % 5_000).for_each(|_| std::hint::spin_loop());
                    pool.shutdown(MODES[round / 3 % 3], SOON);
                }
            });
            assert!(pool.shutdown(Shutdown::Drain, LONG).is_complete());
            let counts = pool.job_counts();
            assert_eq!((counts.accepted, counts.overrunning), (counts.finished(), 0), "{counts:?}");
        });
        drop(pool);
        LIVE.assert_none();
    }
}

/// P9: a worker's own thread-local values may use the pool that ends.
#[test]
fn a_destructor_on_a_worker_that_ends_gets_its_closure_back() {
    struct Late(Pool, Arc<AtomicUsize>);
    impl Drop for Late {
        fn drop(&mut self) {
            assert!(windlass::current().is_none());
            if self.0.try_submit(|| ()).is_err() {
                self.1.fetch_add(1, Ordering::SeqCst);
            }
            _ = self.0.submit(|| ()).wait();
            self.0.shutdown(Shutdown::Drain, SOON);
        }
    }
    thread_local! {
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }
    for width in WIDTHS {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            let back = Arc::new(AtomicUsize::new(0));
            pool.broadcast(|_| LATE.set(Some(Late(pool.clone(), Arc::clone(&back)))));
            assert!(pool.shutdown(Shutdown::Drain, LONG).is_complete());
            assert_eq!(back.load(Ordering::SeqCst), width);
        });
    }
}
