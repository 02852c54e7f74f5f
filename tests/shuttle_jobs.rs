//! Jobs in the whole pool, under random schedules:
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test --release --test shuttle_jobs
//! ```
//!
//! As `tests/shuttle.rs`, with fewer schedules a scenario. At the end of each stands the law of
//! conservation: each closure was run or not, and dropped once; each job that was accepted has one
//! outcome, which its handle, its closure and the pool's counts agree on.
#![cfg(shuttle)]

#[path = "common/schedules.rs"]
mod schedules;

use schedules::{builder, explore_some, pool, throw};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::{future, thread};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use windlass::{
    CancelOutcome, JobError, JobHandle, Pool, Priority, Shutdown, SubmitError, checkpoint,
};

const ITERATIONS: usize = 6_000;
/// There is no time under shuttle.
const FOR_EVER: Duration = Duration::MAX;

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    explore_some(ITERATIONS, scenario);
}

/// What has become of the closures and results. Counted with atomics of std, so that it adds no
/// steps to the schedule: it all happens on one real thread.
#[derive(Default)]
struct Ledger {
    made: AtomicUsize,
    runs: AtomicUsize,
    calls_dropped: AtomicUsize,
    results_made: AtomicUsize,
    results_dropped: AtomicUsize,
    // As the handles tell.
    completed: AtomicUsize,
    panicked: AtomicUsize,
    cancelled_early: AtomicUsize,
    cancelled_late: AtomicUsize,
    abandoned: AtomicUsize,
    rejected: AtomicUsize,
}

type Shared = std::sync::Arc<Ledger>;

fn ledger() -> Shared {
    Shared::default()
}

fn add(count: &AtomicUsize) {
    count.fetch_add(1, Relaxed);
}

/// What each closure captures.
struct Probe(Shared);

impl Drop for Probe {
    fn drop(&mut self) {
        add(&self.0.calls_dropped);
    }
}

/// What each closure returns.
struct Token(Shared);

impl Drop for Token {
    fn drop(&mut self) {
        add(&self.0.results_dropped);
    }
}

/// A closure that does `f`.
fn call<F>(ledger: &Shared, f: F) -> impl FnOnce() -> Token + Send + use<F>
where
    F: FnOnce() + Send + 'static,
{
    add(&ledger.made);
    let probe = Probe(Shared::clone(ledger));
    move || {
        add(&probe.0.runs);
        f();
        add(&probe.0.results_made);
        Token(Shared::clone(&probe.0))
    }
}

impl Ledger {
    /// Enters how a job has ended; dropping its result, if it has one.
    fn enter(&self, result: Result<Token, JobError>) {
        add(match result {
            Ok(_) => &self.completed,
            Err(JobError::Panicked(_)) => &self.panicked,
            Err(JobError::Cancelled { had_started: false, .. }) => &self.cancelled_early,
            Err(JobError::Cancelled { .. }) => &self.cancelled_late,
            Err(JobError::Abandoned) => &self.abandoned,
            Err(JobError::Rejected) => &self.rejected,
            Err(other) => unreachable!("{other:?}"),
        });
    }

    fn wait(&self, handle: JobHandle<Token>) {
        self.enter(handle.wait());
    }

    /// All handles have been waited for, and the pool's jobs have ended.
    fn assert_conserved(&self, pool: &Pool) {
        self.assert_told();
        let counts = pool.job_counts();
        let of = |count: &AtomicUsize| count.load(Relaxed) as u64;
        assert_eq!(counts.pending(), 0, "{counts:?}");
        assert_eq!(counts.overrunning, 0, "{counts:?}");
        assert_eq!(counts.accepted, of(&self.made) - of(&self.rejected), "{counts:?}");
        assert_eq!(counts.completed, of(&self.completed), "{counts:?}");
        assert_eq!(counts.panicked, of(&self.panicked), "{counts:?}");
        let cancelled = of(&self.cancelled_early) + of(&self.cancelled_late);
        assert_eq!(counts.cancelled, cancelled, "{counts:?}");
        assert_eq!(counts.abandoned, of(&self.abandoned), "{counts:?}");
    }

    /// As far as that can be said without the pool.
    fn assert_told(&self) {
        let of = |count: &AtomicUsize| count.load(Relaxed);
        let ran = of(&self.completed) + of(&self.panicked) + of(&self.cancelled_late);
        assert_eq!(of(&self.runs), ran, "each that has started has run once");
        let unrun = of(&self.cancelled_early) + of(&self.abandoned) + of(&self.rejected);
        assert_eq!(of(&self.made), ran + unrun, "each has one outcome");
        self.assert_dropped();
    }

    fn assert_dropped(&self) {
        let of = |count: &AtomicUsize| count.load(Relaxed);
        assert_eq!(of(&self.made), of(&self.calls_dropped), "each closure is dropped once");
        assert_eq!(of(&self.results_made), of(&self.results_dropped), "and so is each result");
    }
}

// Submitting and waiting.

#[test]
fn jobs_from_outside_end() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, ledger) = (pool(workers), ledger());
            let handles = [(); 3].map(|()| pool.submit(call(&ledger, || ())));
            handles.into_iter().for_each(|handle| ledger.wait(handle));
            ledger.assert_conserved(&pool);
        });
    }
}

#[test]
fn jobs_from_two_threads_outside_end() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, ledger) = (pool(workers), ledger());
            let other = {
                let (pool, ledger) = (pool.clone(), Shared::clone(&ledger));
                thread::spawn(move || ledger.wait(pool.submit(call(&ledger, || ()))))
            };
            let handles = [(); 2].map(|()| pool.submit(call(&ledger, || ())));
            handles.into_iter().for_each(|handle| ledger.wait(handle));
            other.join().unwrap();
            ledger.assert_conserved(&pool);
        });
    }
}

#[test]
fn jobs_from_inside_end() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, ledger) = (pool(workers), ledger());
            let inner = {
                let ledger = Shared::clone(&ledger);
                move || {
                    let handles = [(); 2].map(|()| windlass::submit(call(&ledger, || ())));
                    handles.into_iter().for_each(|handle| ledger.wait(handle));
                }
            };
            let outer = pool.submit(call(&ledger, inner));
            ledger.wait(outer);
            ledger.assert_conserved(&pool);
        });
    }
}

/// Batches move from the injector to a worker's lane, and from there to another's.
#[test]
fn jobs_that_are_submitted_together_end() {
    for workers in [1, 2, 3] {
        explore(move || {
            let (pool, ledger) = (pool(workers), ledger());
            let calls: Vec<_> = (0..4).map(|_| call(&ledger, || thread::yield_now())).collect();
            for handle in pool.submit_many(calls) {
                ledger.wait(handle);
            }
            ledger.assert_conserved(&pool);
        });
    }
}

/// Nobody waits for them, so nothing but the wake of the submission has them run.
#[test]
fn jobs_that_nobody_waits_for_end() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, ledger) = (pool(workers), ledger());
            let nested = {
                let (inner, ledger) = (call(&ledger, || ()), Shared::clone(&ledger));
                move || windlass::submit(inner).detach_after(&ledger)
            };
            let calls: Vec<_> = (0..2).map(|_| call(&ledger, || ())).collect();
            pool.submit(call(&ledger, nested)).detach_after(&ledger);
            for handle in pool.submit_many(calls) {
                handle.detach_after(&ledger);
            }
            assert!(pool.wait_idle(FOR_EVER));
            ledger.assert_conserved(&pool);
        });
    }
}

trait DetachAfter {
    /// Lets the job go, which will complete.
    fn detach_after(self, ledger: &Ledger);
}

impl DetachAfter for JobHandle<Token> {
    fn detach_after(self, ledger: &Ledger) {
        add(&ledger.completed);
        self.detach();
    }
}

/// Two closures each of which waits for the other to begin, by means that the pool knows nothing of.
fn meeting(ledger: &Shared) -> [impl FnOnce() -> Token + Send + use<>; 2] {
    let met = Arc::new((Mutex::new(0), Condvar::new()));
    [(); 2].map(|()| {
        let met = Arc::clone(&met);
        call(ledger, move || {
            let (begun, condvar) = &*met;
            let mut begun = begun.lock().unwrap();
            *begun += 1;
            condvar.notify_all();
            while *begun < 2 {
                begun = condvar.wait(begun).unwrap();
            }
        })
    })
}

/// For a batch both workers must come.
#[test]
fn a_batch_wakes_a_second_worker() {
    explore(|| {
        let (pool, ledger) = (pool(2), ledger());
        for handle in pool.submit_many(meeting(&ledger)) {
            handle.detach_after(&ledger);
        }
        assert!(pool.wait_idle(FOR_EVER));
        ledger.assert_conserved(&pool);
    });
}

/// The second job joins the row of the first, whose entry may be in a lane, or just out of it; and
/// then tells nobody.
#[test]
fn a_job_that_joins_a_row_is_found_by_a_second_worker() {
    explore(|| {
        let (pool, ledger) = (pool(2), ledger());
        for call in meeting(&ledger) {
            pool.submit(call).detach_after(&ledger);
        }
        assert!(pool.wait_idle(FOR_EVER));
        ledger.assert_conserved(&pool);
    });
}

/// A row stays to be found by others for as long as it holds jobs, also when one that comes from it
/// has been run: its runner then waits for the last one.
#[test]
fn the_rest_of_a_row_is_found_while_its_runner_waits() {
    explore(|| {
        let (pool, ledger) = (pool(2), ledger());
        pool.submit(call(&ledger, || ())).detach_after(&ledger);
        for call in meeting(&ledger) {
            pool.submit(call).detach_after(&ledger);
        }
        assert!(pool.wait_idle(FOR_EVER));
        ledger.assert_conserved(&pool);
    });
}

/// The timer's thread sleeps for ever, or is about to, when two threads insert what is due. No
/// worker can come: only the timer ends the jobs.
#[test]
fn what_is_due_wakes_the_timer() {
    explore(|| {
        let pool = pool(1);
        let open = Arc::new((Mutex::new(false), Condvar::new()));
        let (begun, is_begun) = shuttle::sync::mpsc::channel();
        let held = {
            let open = Arc::clone(&open);
            pool.submit(move || {
                begun.send(()).unwrap();
                let mut is_open = open.0.lock().unwrap();
                while !*is_open {
                    is_open = open.1.wait(is_open).unwrap();
                }
            })
        };
        is_begun.recv().unwrap();
        // There is no time under shuttle: what is due must have been so before.
        let past = std::time::Instant::now() - Duration::from_secs(1);
        let submit = move |pool: &Pool| {
            let handle = pool.job("late").deadline(past).submit(|| ());
            assert!(matches!(handle.wait(), Err(JobError::TimedOut { .. })));
        };
        let other = {
            let pool = pool.clone();
            thread::spawn(move || submit(&pool))
        };
        submit(&pool);
        other.join().unwrap();
        *open.0.lock().unwrap() = true;
        open.1.notify_all();
        held.wait().unwrap();
    });
}

/// A job waits for one that has been queued by somebody else, and may run already: its worker is
/// blocked, and a spare thread takes its place.
#[test]
fn jobs_wait_for_jobs_that_run() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, ledger) = (pool(workers), ledger());
            let inner = {
                let ledger = Shared::clone(&ledger);
                move || {
                    let inmost = windlass::submit(call(&ledger, || thread::yield_now()));
                    ledger.wait(inmost);
                }
            };
            let first = pool.submit(call(&ledger, inner));
            let waits = {
                let ledger = Shared::clone(&ledger);
                move || ledger.wait(first)
            };
            let second = pool.submit(call(&ledger, waits));
            let third = pool.submit(call(&ledger, || ()));
            third.detach_after(&ledger);
            ledger.wait(second);
            assert!(pool.wait_idle(FOR_EVER));
            ledger.assert_conserved(&pool);
        });
    }
}

#[test]
fn waits_nest() {
    fn nest(pool: &Pool, ledger: &Shared, depth: usize) {
        if depth > 0 {
            let inner = {
                let (pool, ledger) = (pool.clone(), Shared::clone(ledger));
                move || nest(&pool, &ledger, depth - 1)
            };
            ledger.wait(pool.submit(call(ledger, inner)));
        }
    }
    for workers in [1, 2] {
        explore(move || {
            let (pool, ledger) = (pool(workers), ledger());
            nest(&pool, &ledger, 4);
            assert!(pool.wait_idle(FOR_EVER));
            ledger.assert_conserved(&pool);
        });
    }
}

#[test]
fn jobs_of_two_pools_wait_for_each_other() {
    explore(|| {
        let (a, b, ledger) = (pool(1), pool(1), ledger());
        let in_a = {
            let (b, ledger) = (b.clone(), Shared::clone(&ledger));
            move || ledger.wait(b.submit(call(&ledger, || ())))
        };
        let in_b = {
            let (a, ledger) = (a.clone(), Shared::clone(&ledger));
            move || ledger.wait(a.submit(call(&ledger, || ())))
        };
        let handles = [a.submit(call(&ledger, in_a)), b.submit(call(&ledger, in_b))];
        handles.into_iter().for_each(|handle| ledger.wait(handle));
        assert!(a.wait_idle(FOR_EVER) && b.wait_idle(FOR_EVER));
        ledger.assert_told();
    });
}

#[test]
fn a_panic_is_an_outcome() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, ledger) = (pool(workers), ledger());
            let thrower = pool.submit(call(&ledger, || _ = throw()));
            let other = pool.submit(call(&ledger, || ()));
            let forks = call(&ledger, || _ = windlass::join(throw, || thread::yield_now()));
            let forks = pool.submit(forks);
            [thrower, other, forks].into_iter().for_each(|handle| ledger.wait(handle));
            assert_eq!(ledger.panicked.load(Relaxed), 2);
            ledger.assert_conserved(&pool);
        });
    }
}

// Cancelling.

/// Enters what a cancel says, and checks it against how the job ended.
fn assert_agrees(outcome: CancelOutcome, result: &Result<Token, JobError>) {
    match outcome {
        CancelOutcome::Removed => {
            assert!(matches!(result, Err(JobError::Cancelled { had_started: false, .. })));
        }
        CancelOutcome::Requested => {
            assert!(!matches!(result, Err(JobError::Cancelled { had_started: false, .. })));
        }
        CancelOutcome::AlreadyFinished => {}
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn a_cancel_races_start_and_end() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, ledger) = (pool(workers), ledger());
            let handle = pool.submit(call(&ledger, || thread::yield_now()));
            let job = handle.job_ref();
            let canceller = thread::spawn(move || job.cancel());
            let result = handle.wait();
            assert_agrees(canceller.join().unwrap(), &result);
            assert!(!matches!(result, Err(JobError::Cancelled { had_started: true, .. })));
            ledger.enter(result);
            assert!(pool.wait_idle(FOR_EVER));
            ledger.assert_conserved(&pool);
        });
    }
}

#[test]
fn of_two_cancels_one_removes_the_job() {
    explore(|| {
        let (pool, ledger) = (pool(1), ledger());
        let handle = pool.submit(call(&ledger, || ()));
        let cancel = || {
            let job = handle.job_ref();
            thread::spawn(move || job.cancel())
        };
        let said = [cancel(), cancel()].map(|canceller| canceller.join().unwrap());
        assert_ne!(said, [CancelOutcome::Removed; 2]);
        ledger.wait(handle);
        assert!(pool.wait_idle(FOR_EVER));
        ledger.assert_conserved(&pool);
    });
}

/// The job is cancelled in the middle of its forks, or is not.
#[test]
fn a_job_that_forks_is_cancelled() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, ledger) = (pool(workers), ledger());
            let tasks = std::sync::Arc::new([const { AtomicUsize::new(0) }; 4]);
            let forks = {
                let tasks = std::sync::Arc::clone(&tasks);
                move || {
                    let run = |task: usize| add(&tasks[task]);
                    windlass::join(|| run(0), || windlass::join(|| run(1), || ()));
                    windlass::scope(|s| {
                        s.spawn(|_| run(2));
                        s.spawn(|_| run(3));
                    });
                }
            };
            let handle = pool.submit(call(&ledger, forks));
            let job = handle.job_ref();
            let canceller = thread::spawn(move || job.cancel());
            let result = handle.wait();
            assert_agrees(canceller.join().unwrap(), &result);
            let runs: Vec<usize> = tasks.iter().map(|task| task.load(Relaxed)).collect();
            assert!(runs.iter().all(|&runs| runs <= 1));
            assert!(result.is_err() || runs == [1; 4]);
            ledger.enter(result);
            assert!(pool.wait_idle(FOR_EVER));
            ledger.assert_conserved(&pool);
        });
    }
}

/// A cancel that has been asked for is seen by the job, in whatever it has forked.
#[test]
fn a_job_that_runs_until_it_is_cancelled_ends() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, ledger) = (pool(workers), ledger());
            let handle = pool.submit(call(&ledger, || {
                let spin = || {
                    while checkpoint().is_ok() {
                        thread::yield_now();
                    }
                };
                windlass::join(spin, spin);
                windlass::join(|| (), || ());
            }));
            let handle = handle.cancel_on_drop();
            let job = handle.job_ref();
            drop(handle);
            assert!(pool.wait_idle(FOR_EVER));
            assert!(job.is_finished());
            let counts = pool.job_counts();
            // Its last fork may have been a plain call.
            assert_eq!((counts.accepted, counts.cancelled + counts.completed), (1, 1));
            ledger.assert_dropped();
        });
    }
}

// Handles.

#[test]
fn a_handle_goes_while_its_job_ends() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, ledger) = (pool(workers), ledger());
            let handle = pool.submit(call(&ledger, || ()));
            let job = handle.job_ref();
            thread::yield_now();
            handle.detach_after(&ledger);
            assert!(pool.wait_idle(FOR_EVER));
            assert!(job.is_finished());
            ledger.assert_conserved(&pool);
        });
    }
}

#[test]
fn a_handle_that_cancels_goes_while_its_job_ends() {
    explore(|| {
        let (pool, ledger) = (pool(1), ledger());
        let handle = pool.submit(call(&ledger, || ())).cancel_on_drop();
        thread::yield_now();
        drop(handle);
        assert!(pool.wait_idle(FOR_EVER));
        let counts = pool.job_counts();
        assert_eq!((counts.accepted, counts.completed + counts.cancelled), (1, 1));
        assert_eq!(ledger.runs.load(Relaxed) as u64, counts.completed);
        ledger.assert_dropped();
    });
}

#[test]
fn a_job_is_awaited() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, ledger) = (pool(workers), ledger());
            let handles = [(); 2].map(|()| pool.submit(call(&ledger, || thread::yield_now())));
            for handle in handles {
                ledger.enter(future::block_on(handle));
            }
            assert!(pool.wait_idle(FOR_EVER));
            ledger.assert_conserved(&pool);
        });
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: std::sync::Arc<Self>) {
        assert!(!self.0.swap(true, Ordering::SeqCst), "woken twice");
    }
}

/// Polled once, a job that was pending wakes its task. If the handle goes first, it may or may not;
/// the waker is dropped in any case.
#[test]
fn a_job_that_was_polled_wakes_its_task() {
    for goes in [false, true] {
        explore(move || {
            let (pool, ledger) = (pool(1), ledger());
            let mut handle = pool.submit(call(&ledger, || ()));
            let flag = std::sync::Arc::new(Flag(AtomicBool::new(false)));
            let waker = Waker::from(std::sync::Arc::clone(&flag));
            match Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(result) => ledger.enter(result),
                Poll::Pending => {
                    drop(waker);
                    let mut handle = Some(handle);
                    if goes {
                        handle.take().unwrap().detach_after(&ledger);
                    }
                    // The pool's threads end when all is told.
                    pool.shutdown(Shutdown::Drain, FOR_EVER);
                    assert!(goes || flag.0.load(Ordering::SeqCst), "never woken");
                    assert_eq!(std::sync::Arc::strong_count(&flag), 1, "the waker was kept");
                    if let Some(handle) = handle {
                        ledger.wait(handle);
                    }
                }
            }
            assert!(pool.wait_idle(FOR_EVER));
            ledger.assert_conserved(&pool);
        });
    }
}

// The end.

const MODES: [Shutdown; 3] = [Shutdown::Drain, Shutdown::CancelPending, Shutdown::CancelAll];

/// One thread submits, one cancels, and the pool is shut down.
#[test]
fn a_shutdown_races_submissions_and_a_cancel() {
    for how in MODES {
        for workers in [1, 2] {
            explore_some(ITERATIONS / 2, move || {
                let (pool, ledger) = (pool(workers), ledger());
                let early = pool.submit(call(&ledger, || thread::yield_now()));
                let job = early.job_ref();
                let canceller = thread::spawn(move || job.cancel());
                let submitter = {
                    let (pool, ledger) = (pool.clone(), Shared::clone(&ledger));
                    thread::spawn(move || {
                        match pool.try_submit(call(&ledger, || ())) {
                            Ok(handle) => ledger.wait(handle),
                            Err(SubmitError::ShuttingDown(f)) => {
                                add(&ledger.rejected);
                                drop(f);
                            }
                            Err(other) => unreachable!("{other:?}"),
                        }
                        let calls: Vec<_> = (0..2).map(|_| call(&ledger, || ())).collect();
                        for handle in pool.submit_many(calls) {
                            ledger.wait(handle);
                        }
                    })
                };
                let report = pool.shutdown(how, FOR_EVER);
                assert!(report.threads_ended, "{report:?}");
                submitter.join().unwrap();
                let result = early.wait();
                assert_agrees(canceller.join().unwrap(), &result);
                assert!(how != Shutdown::Drain || !matches!(result, Err(JobError::Abandoned)));
                ledger.enter(result);
                let late = pool.submit(call(&ledger, || ())).wait();
                assert!(matches!(late, Err(JobError::Rejected)));
                ledger.enter(late);
                assert!(pool.wait_idle(FOR_EVER));
                ledger.assert_conserved(&pool);
            });
        }
    }
}

/// A job that goes on until it is asked to stop, and waits for one of its own.
#[test]
fn a_shutdown_stops_what_runs() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, ledger) = (pool(workers), ledger());
            let inner = {
                let ledger = Shared::clone(&ledger);
                move || {
                    while checkpoint().is_ok() {
                        thread::yield_now();
                    }
                    ledger.wait(windlass::submit(call(&ledger, || ())));
                }
            };
            let handle = pool.submit(call(&ledger, inner));
            let report = pool.shutdown(Shutdown::CancelAll, FOR_EVER);
            assert!(report.is_complete(), "{report:?}");
            ledger.wait(handle);
            ledger.assert_conserved(&pool);
        });
    }
}

/// The pool goes while a thread outside waits, and runs the job itself, perhaps.
#[test]
fn a_pool_is_dropped_while_a_waiter_runs_a_job() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, ledger) = (pool(workers), ledger());
            let handles = [(); 2].map(|()| pool.submit(call(&ledger, || thread::yield_now())));
            let waiters = handles.map(|handle| {
                let ledger = Shared::clone(&ledger);
                thread::spawn(move || ledger.wait(handle))
            });
            drop(pool);
            for waiter in waiters {
                waiter.join().unwrap();
            }
            ledger.assert_told();
        });
    }
}

/// In a pool of one a thread outside waits for a job for which the worker was woken, and may borrow
/// that one's permit; another one comes with something else meanwhile.
fn a_waiter_borrows(other: impl Fn(Pool, Shared) + Copy + Send + Sync + 'static) {
    explore(move || {
        let (pool, ledger) = (pool(1), ledger());
        let other = {
            let (pool, ledger) = (pool.clone(), Shared::clone(&ledger));
            thread::spawn(move || other(pool, ledger))
        };
        let result = match pool.try_submit(call(&ledger, || thread::yield_now())) {
            Ok(handle) => handle.wait(),
            Err(_) => Err(JobError::Rejected),
        };
        ledger.enter(result);
        other.join().unwrap();
        assert!(pool.wait_idle(FOR_EVER));
        ledger.assert_conserved(&pool);
    });
}

#[test]
fn a_waiter_borrows_while_another_one_waits() {
    a_waiter_borrows(|pool, ledger| {
        for _ in 0..2 {
            ledger.wait(pool.submit(call(&ledger, || ())));
        }
    });
}

#[test]
fn a_waiter_borrows_while_jobs_are_left_behind() {
    a_waiter_borrows(|pool, ledger| {
        let levels = [Priority::Background, Priority::High];
        for level in levels {
            let job = pool.job("left").priority(level);
            job.submit(call(&ledger, || thread::yield_now())).detach_after(&ledger);
        }
    });
}

#[test]
fn a_waiter_borrows_while_another_one_enters() {
    a_waiter_borrows(|pool, _| {
        pool.install(|| windlass::join(|| thread::yield_now(), || ()));
        assert_eq!(pool.broadcast(|cx| cx.index()), [0]);
    });
}

#[test]
fn a_waiter_borrows_while_the_pool_shuts_down() {
    for how in MODES {
        a_waiter_borrows(move |pool, _| {
            let report = pool.shutdown(how, FOR_EVER);
            assert!(report.threads_ended, "{report:?}");
        });
    }
}

/// Its job waits for another one, so that the permit goes on before the worker has noticed.
#[test]
fn a_waiter_borrows_and_blocks() {
    explore(|| {
        let (pool, ledger) = (pool(1), ledger());
        let (sender, receiver) = shuttle::sync::mpsc::channel::<JobHandle<Token>>();
        let inner = Shared::clone(&ledger);
        let handle = pool.submit(call(&ledger, move || {
            let mut other = receiver.recv().unwrap();
            inner.enter(other.wait_timeout(FOR_EVER).unwrap());
        }));
        let other = {
            let (pool, ledger) = (pool.clone(), Shared::clone(&ledger));
            thread::spawn(move || {
                sender.send(pool.submit(call(&ledger, || ()))).unwrap();
                ledger.wait(pool.submit(call(&ledger, || ())));
            })
        };
        ledger.wait(handle);
        other.join().unwrap();
        assert!(pool.wait_idle(FOR_EVER));
        ledger.assert_conserved(&pool);
    });
}

#[test]
fn a_pool_is_dropped_by_a_job_of_its_own() {
    explore(|| {
        let (pool, ledger) = (pool(1), ledger());
        let inside = pool.clone();
        let first = pool.submit(call(&ledger, move || drop(inside)));
        let second = pool.submit(call(&ledger, || ()));
        drop(pool);
        [first, second].into_iter().for_each(|handle| ledger.wait(handle));
        ledger.assert_told();
    });
}

// Beside the width.

/// The one worker waits for a job of the top level, by means that the pool knows nothing of: only
/// the reserved worker can run it.
#[test]
fn a_reserved_worker_is_woken() {
    explore(|| {
        let (pool, ledger) = (builder(1).reserved_workers(1).build().unwrap(), ledger());
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let opened = Arc::clone(&gate);
        let waits = call(&ledger, move || {
            let (open, condvar) = &*gate;
            let mut open = open.lock().unwrap();
            while !*open {
                open = condvar.wait(open).unwrap();
            }
        });
        let opens = call(&ledger, move || {
            let (open, condvar) = &*opened;
            *open.lock().unwrap() = true;
            condvar.notify_all();
        });
        let other = {
            let (pool, ledger) = (pool.clone(), Shared::clone(&ledger));
            thread::spawn(move || pool.submit(waits).detach_after(&ledger))
        };
        pool.job("top").priority(Priority::High).submit(opens).detach_after(&ledger);
        other.join().unwrap();
        assert!(pool.wait_idle(FOR_EVER));
        ledger.assert_conserved(&pool);
    });
}

#[test]
fn jobs_of_all_levels_end() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, ledger) = (builder(workers).reserved_workers(1).build().unwrap(), ledger());
            let levels = [Priority::Background, Priority::Normal, Priority::High];
            let handles = levels.map(|level| {
                let call = call(&ledger, || thread::yield_now());
                pool.job("levelled").priority(level).submit(call)
            });
            handles.into_iter().for_each(|handle| ledger.wait(handle));
            assert!(pool.wait_idle(FOR_EVER));
            ledger.assert_conserved(&pool);
        });
    }
}

/// Two threads wait for the pool to be idle while jobs come and go.
#[test]
fn whoever_waits_for_an_idle_pool_is_told() {
    for workers in [1, 2] {
        explore(move || {
            let (pool, ledger) = (pool(workers), ledger());
            let other = {
                let (pool, ledger) = (pool.clone(), Shared::clone(&ledger));
                thread::spawn(move || {
                    pool.submit(call(&ledger, || ())).detach_after(&ledger);
                    assert!(pool.wait_idle(FOR_EVER));
                })
            };
            let handle = pool.submit(call(&ledger, || ()));
            handle.detach_after(&ledger);
            assert!(pool.wait_idle(FOR_EVER));
            other.join().unwrap();
            ledger.assert_conserved(&pool);
        });
    }
}

// What shuttle must find.

/// A toy of the handle's wait: the end of the job against the waiter's word that it waits.
fn toy(heeds_the_answer: bool) {
    const WAITED_FOR: usize = 1;
    const FINISHED: usize = 2;
    let job =
        Arc::new((shuttle::sync::atomic::AtomicUsize::new(0), Mutex::new(false), Condvar::new()));
    let runner = {
        let job = Arc::clone(&job);
        thread::spawn(move || {
            if job.0.fetch_or(FINISHED, Ordering::SeqCst) & WAITED_FOR != 0 {
                *job.1.lock().unwrap() = true;
                job.2.notify_one();
            }
        })
    };
    if job.0.load(Ordering::SeqCst) & FINISHED == 0 {
        let is_late = job.0.fetch_or(WAITED_FOR, Ordering::SeqCst) & FINISHED != 0;
        if !(is_late && heeds_the_answer) {
            let mut token = job.1.lock().unwrap();
            while !*token {
                token = job.2.wait(token).unwrap();
            }
        }
    }
    runner.join().unwrap();
}

#[test]
fn the_toy_waits() {
    explore(|| toy(true));
}

#[test]
#[should_panic(expected = "deadlock")]
fn twin_the_toy_waits_without_an_answer() {
    explore(|| toy(false));
}

/// The scenarios of borrowed permits are worth their time only if there are some. In a pool of one the
/// job of a waiter has no other way to the waiter's thread.
#[test]
fn a_waiter_outside_of_a_pool_of_one_runs_its_job_or_does_not() {
    static RAN: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
    explore(|| {
        let pool = pool(1);
        let runner = pool.submit(|| thread::current().id()).wait().unwrap();
        add(&RAN[usize::from(runner == thread::current().id())]);
    });
    let ran = RAN.each_ref().map(|count| count.load(Relaxed));
    let schedules: usize = ran.iter().sum();
    assert!(ran.iter().all(|&times| times * 50 > schedules), "{ran:?}");
}

/// The scenarios are worth their time only if cancels come at all times.
#[test]
fn a_cancel_comes_before_during_and_after() {
    static SAID: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];
    explore(|| {
        let pool = pool(1);
        let handle = pool.submit(|| thread::yield_now());
        thread::yield_now();
        add(&SAID[handle.cancel() as usize]);
        drop(handle);
    });
    let said = SAID.each_ref().map(|count| count.load(Relaxed));
    let schedules: usize = said.iter().sum();
    assert!(said.iter().all(|&times| times * 50 > schedules), "{said:?}");
}
