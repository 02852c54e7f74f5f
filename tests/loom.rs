//! Models of the sleep, permit, stop, latch and parker protocols, explored exhaustively by loom:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release --test loom
//! ```
//!
//! `Sleep`, `Latch` and `Parker` are the code that ships. What calls them is mirrored here, because
//! loom cannot see through the crossbeam deques: `Pool::run_worker` is `Worker::main_loop`,
//! `Pool::leave` is `Registry::leave`, `Fork::park` is `Worker::park_on`. A source of work is one
//! flag a job, stored with Release: no stronger than the deques.
//!
//! Most models have twins: the same with one step left out, of which loom must find the fault, so
//! that the lane is known to be able to fail. A fault may abort the process, so a twin runs in a
//! child process of this very binary.
#![cfg(loom)]

#[path = "common/models.rs"]
mod models;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use models::{DEADLOCK, assert_caught, explore};
use windlass::model::{Latch, Loan, Mask, Parker, Sleep};

/// What a twin leaves out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// The look at the sources of work after the announcement.
    SecondLook,
    /// The look at `stop` after the announcement.
    SecondLookAtStop,
    /// The fence in `notify`.
    FenceInNotify,
    /// The duty of the last searcher that finds work.
    WakingTheNext,
    /// The look at the broadcasts of other sleepers after the announcement.
    SecondLookForOthers,
    /// The note that a permit was missing.
    Deferred,
    /// The announcement on the latch before a wait.
    AnnouncePark,
    /// The look at the sources of work after that announcement.
    LookAfterAnnouncePark,
    /// Waking the waiter, when `Latch::set` says so.
    UnparkAfterSet,
    /// The fence between work for a waiter and the look whether it is parked.
    FenceBeforeNudge,
    /// Waking the waiter, when `Latch::nudge` says so.
    UnparkAfterNudge,
    /// Giving the permit back before a wait.
    GivingThePermitBack,
    /// The look at the sources of work before a wait.
    Cover,
    /// The fence before that look.
    FenceInCover,
    /// The note that somebody found every permit taken, when a worker ends.
    DeferredAtTheEnd,
    /// Waking somebody when a spare thread could not be started.
    WakingAfterRefusal,
    /// The look at the sources of work when all are above the width, at the end.
    LookAboveTheWidth,
    /// The second announcement of jobs that were moved.
    SecondAnnounce,
    /// The fence between the note that a permit was missing and the look at the sources of work.
    FenceInHandOn,
    /// The look at the sources of work of a worker whose permit has been lent.
    LookWithoutPermit,
    /// Leaving in the ordinary way, when a loan cannot be given back.
    LeavingAfterLoan,
    /// The look whether more run than the width, after a permit was borrowed.
    LookAtTheWidth,
}

/// A job that a worker may take once.
type Job = AtomicBool;

/// A registry, as far as the models need it.
struct Pool {
    sleep: Sleep,
    width: usize,
    jobs: Vec<Job>,
    num_done: AtomicUsize,
    stop: AtomicBool,
    spare: Spare,
    /// Of a caller who waits for a permit.
    caller: Parker,
    without: Without,
}

/// `Crew`, with at most one spare thread.
struct Spare {
    may_start: bool,
    starting: Mutex<()>,
    num_started: AtomicUsize,
    /// A thread of the model that stands for the one that may be started.
    parker: Parker,
    told: AtomicUsize,
}

const START: usize = 1;
const NEVER: usize = 2;

impl Pool {
    fn new(width: usize, num_jobs: usize, without: Without) -> Arc<Pool> {
        Pool::with_spare(width, 0, false, num_jobs, without)
    }

    fn with_spare(
        width: usize,
        spares: usize,
        may_start: bool,
        num_jobs: usize,
        without: Without,
    ) -> Arc<Pool> {
        let spare = Spare {
            may_start,
            starting: Mutex::new(()),
            num_started: AtomicUsize::new(0),
            parker: Parker::new(),
            told: AtomicUsize::new(0),
        };
        Arc::new(Pool {
            sleep: Sleep::new(width, spares),
            width,
            jobs: (0..num_jobs).map(|_| Job::new(false)).collect(),
            num_done: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            spare,
            caller: Parker::new(),
            without,
        })
    }

    fn publish(&self, job: usize) {
        self.jobs[job].store(true, Ordering::Release);
        self.notify();
    }

    fn notify(&self) {
        let relies = || self.sleep.num_searching() > 0 || self.sleep.num_sleeping() == 0;
        if self.without == Without::FenceInNotify && relies() {
            return;
        }
        if self.sleep.notify() {
            self.start_spare();
        }
    }

    /// `Registry::start_spare`.
    fn start_spare(&self) {
        let is_started = {
            let _starting = self.spare.starting.lock().unwrap();
            let count = self.spare.num_started.load(Ordering::Acquire);
            let is_started = self.spare.may_start && count == 0 && !self.is_stopping();
            if is_started {
                self.spare.num_started.store(1, Ordering::Release);
                self.tell_spare(START);
            }
            self.sleep.stop_growing();
            is_started
        };
        if !is_started {
            if self.without == Without::WakingAfterRefusal {
                let _ = self.sleep.end_search();
            } else {
                self.end_search();
            }
            self.leave();
        }
    }

    fn tell_spare(&self, what: usize) {
        self.spare.told.store(what, Ordering::Release);
        self.spare.parker.unpark();
    }

    /// What the thread does that stands for a spare one.
    fn run_spare(&self, me: usize, run: impl Fn(usize)) {
        loop {
            match self.spare.told.load(Ordering::Acquire) {
                START => return self.run_thread(me, true, run),
                NEVER => return,
                _ => self.spare.parker.park(),
            }
        }
    }

    /// `Registry::end_search`.
    fn end_search(&self) {
        if self.sleep.end_search() {
            self.notify();
        }
    }

    /// One steal after the other.
    fn take(&self) -> Option<usize> {
        self.jobs.iter().position(|job| {
            job.load(Ordering::Acquire)
                && job.compare_exchange(true, false, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })
    }

    fn has_public_work(&self) -> bool {
        self.jobs.iter().any(|job| job.load(Ordering::Acquire))
    }

    /// `Worker::main_loop`.
    fn run_worker(&self, me: usize, run: impl Fn(usize)) {
        self.run_thread(me, false, run);
    }

    fn run_thread(&self, me: usize, mut is_claimed: bool, run: impl Fn(usize)) {
        loop {
            if std::mem::take(&mut is_claimed) || self.sleep.park(me) {
                loop {
                    let job = if self.is_superfluous() { None } else { self.take() };
                    if let Some(job) = job {
                        if self.without == Without::WakingTheNext {
                            // One less that searches, and nobody notified.
                            let _ = self.sleep.retire();
                            self.sleep.resume();
                        } else {
                            self.end_search();
                        }
                        run(job);
                        self.sleep.start_search();
                    } else if !self.is_stopping() {
                        break;
                    } else if self.has_public_work() {
                        thread::yield_now();
                    } else {
                        return self.retire();
                    }
                }
                self.sleep.announce(me);
            } else if self.without == Without::LookWithoutPermit {
                continue;
            }
            if self.without != Without::SecondLookAtStop && self.is_stopping() {
                self.sleep.wake_for_certain(me);
            } else if self.without != Without::SecondLook && self.has_public_work() {
                self.notify();
            }
        }
    }

    /// The beginning of `Worker::search`.
    fn is_superfluous(&self) -> bool {
        self.sleep.is_over_width()
            && (self.without == Without::LookAboveTheWidth
                || !self.is_stopping()
                || self.sleep.is_at_work_in_full())
    }

    /// `registry::blocking`.
    fn block(&self, f: impl FnOnce()) {
        self.leave();
        if self.without != Without::FenceInCover {
            fence(Ordering::SeqCst);
        }
        if self.without != Without::Cover && self.has_public_work() {
            self.notify();
        }
        f();
        self.sleep.resume();
    }

    /// A worker whose jobs do nothing; whoever runs the last one stops the pool. If a job is
    /// forgotten, nobody does.
    fn run_to_the_last(&self, me: usize) {
        self.run_worker(me, |_| self.finish_one());
    }

    fn finish_one(&self) {
        if self.num_done.fetch_add(1, Ordering::AcqRel) + 1 == self.jobs.len() {
            self.stop();
        }
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// `Registry::stop`.
    fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.sleep.stop_growing();
        for index in 0..self.width + self.spare.num_started.load(Ordering::Acquire) {
            self.sleep.wake_for_certain(index);
        }
        drop(self.spare.starting.lock().unwrap());
    }

    /// `Registry::leave`.
    fn leave(&self) {
        if let Some(searching) = self.sleep.leave()
            && self.without != Without::Deferred
        {
            self.hand_on(searching);
        }
    }

    /// `Registry::enter_if_room`, with the permit, as long as `f` runs.
    fn visit(&self, f: impl FnOnce()) {
        let loan = if self.sleep.try_enter() {
            None
        } else {
            let Some(loan) = self.sleep.borrow() else { return };
            if self.without != Without::LookAtTheWidth && self.sleep.is_over_width() {
                return self.give_up(Some(loan));
            }
            Some(loan)
        };
        f();
        self.give_up(loan);
    }

    /// `Registry::give_up`.
    fn give_up(&self, loan: Option<Loan>) {
        if loan.is_none_or(|loan| !self.sleep.repay(loan))
            && (loan.is_none() || self.without != Without::LeavingAfterLoan)
        {
            self.leave();
        }
    }

    /// `Registry::retire`.
    fn retire(&self) {
        if let Some(searching) = self.sleep.retire()
            && self.without != Without::DeferredAtTheEnd
        {
            self.hand_on(searching);
        }
    }

    /// `Registry::hand_on`.
    fn hand_on(&self, searching: usize) {
        if self.without != Without::FenceInHandOn {
            fence(Ordering::SeqCst);
        }
        if searching == 0 && (self.sleep.num_active() > 0 || self.has_public_work()) {
            self.notify();
        }
        self.caller.unpark();
    }

    fn assert_all_done(&self) {
        assert_eq!(self.num_done.load(Ordering::Acquire), self.jobs.len());
        assert!(!self.has_public_work());
        assert_eq!((self.sleep.num_active(), self.sleep.num_searching()), (0, 0));
    }
}

/// Starts a model's thread.
fn spawn(pool: &Arc<Pool>, f: impl FnOnce(&Pool) + 'static) -> thread::JoinHandle<()> {
    let pool = Arc::clone(pool);
    thread::spawn(move || f(&pool))
}

fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

// Sleep: no job is left in a queue while everybody sleeps.

/// Each producer publishes so many jobs.
fn producers_and_workers(producers: &[usize], workers: usize, without: Without) {
    let pool = Pool::new(workers, producers.iter().sum(), without);
    let mut threads: Vec<_> =
        (0..workers).map(|me| spawn(&pool, move |pool| pool.run_to_the_last(me))).collect();
    let mut first = 0;
    for (at, &jobs) in producers.iter().enumerate() {
        let produce = move |pool: &Pool| (first..first + jobs).for_each(|job| pool.publish(job));
        // The last one is the model's own thread.
        if at + 1 == producers.len() {
            produce(&pool);
        } else {
            threads.push(spawn(&pool, produce));
        }
        first += jobs;
    }
    join(threads);
    pool.assert_all_done();
}

#[test]
fn sleep_one_producer_one_worker() {
    explore(3, || producers_and_workers(&[1], 1, Without::Nothing));
}

#[test]
fn sleep_two_jobs_one_worker() {
    explore(3, || producers_and_workers(&[2], 1, Without::Nothing));
}

#[test]
fn sleep_two_producers_one_worker() {
    explore(3, || producers_and_workers(&[1, 1], 1, Without::Nothing));
}

#[test]
fn sleep_one_producer_two_workers() {
    explore(2, || producers_and_workers(&[2], 2, Without::Nothing));
}

#[test]
fn twin_sleep_without_second_look() {
    assert_caught("twin_sleep_without_second_look", DEADLOCK, 3, || {
        producers_and_workers(&[2], 1, Without::SecondLook);
    });
}

#[test]
fn twin_sleep_without_fence_in_notify() {
    assert_caught("twin_sleep_without_fence_in_notify", DEADLOCK, 3, || {
        producers_and_workers(&[2], 1, Without::FenceInNotify);
    });
}

/// Two jobs of which each waits for the other to begin: with two workers both must be at work (W1,
/// W2).
fn jobs_that_meet(without: Without) {
    let pool = Pool::new(2, 2, without);
    let met = Arc::new((Mutex::new(0), Condvar::new()));
    let worker = |me: usize| {
        let met = Arc::clone(&met);
        spawn(&pool, move |pool| {
            pool.run_worker(me, |_| {
                let (begun, condvar) = &*met;
                let mut begun = begun.lock().unwrap();
                *begun += 1;
                condvar.notify_one();
                while *begun < 2 {
                    begun = condvar.wait(begun).unwrap();
                }
                drop(begun);
                pool.finish_one();
            });
        })
    };
    let threads = [worker(0), worker(1)];
    pool.publish(0);
    pool.publish(1);
    join(threads);
    pool.assert_all_done();
}

#[test]
fn sleep_the_last_searcher_that_finds_work_wakes_the_next() {
    explore(2, || jobs_that_meet(Without::Nothing));
}

#[test]
fn twin_sleep_last_searcher_wakes_nobody() {
    assert_caught("twin_sleep_last_searcher_wakes_nobody", DEADLOCK, 2, || {
        jobs_that_meet(Without::WakingTheNext);
    });
}

// Permits: work that was held back for lack of one is not stranded.

/// A guest comes and goes while a producer, which needs no permit, publishes.
fn guest_and_producer(without: Without) {
    let pool = Pool::new(1, 1, without);
    let worker = spawn(&pool, |pool| pool.run_to_the_last(0));
    let guest = spawn(&pool, |pool| {
        if pool.sleep.try_enter() {
            pool.leave();
        }
    });
    pool.publish(0);
    join([worker, guest]);
    pool.assert_all_done();
}

#[test]
fn permits_work_deferred_for_a_guest_is_run() {
    explore(3, || guest_and_producer(Without::Nothing));
}

#[test]
fn twin_permits_leave_ignores_the_note() {
    assert_caught("twin_permits_leave_ignores_the_note", DEADLOCK, 3, || {
        guest_and_producer(Without::Deferred);
    });
}

/// The work for which the note was left is taken back, and other work relies on the same note.
fn work_behind_a_note(without: Without) {
    let pool = Pool::new(1, 2, without);
    let worker = spawn(&pool, |pool| pool.run_to_the_last(0));
    let guest = spawn(&pool, |pool| {
        if pool.sleep.try_enter() {
            pool.leave();
        }
    });
    let canceller = spawn(&pool, |pool| {
        pool.publish(0);
        if claim(&pool.jobs[0]) {
            pool.finish_one();
        }
    });
    pool.publish(1);
    join([worker, guest, canceller]);
    pool.assert_all_done();
}

#[test]
fn permits_work_behind_a_note_is_seen() {
    explore(2, || work_behind_a_note(Without::Nothing));
}

#[test]
fn twin_permits_work_behind_a_note_is_not_seen() {
    assert_caught("twin_permits_work_behind_a_note_is_not_seen", DEADLOCK, 2, || {
        work_behind_a_note(Without::FenceInHandOn);
    });
}

/// `Registry::enter_as_guest` by two callers at a width of one: whoever gets no permit injects and
/// is served.
fn two_callers(without: Without) {
    let pool = Pool::new(1, 2, without);
    let inside = Arc::new(AtomicUsize::new(0));
    let enter = move |pool: &Pool, job: usize, served: &Parker, inside: &AtomicUsize| {
        if pool.sleep.try_enter() {
            // A pool of one runs one thing at a time.
            assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
            inside.fetch_sub(1, Ordering::Relaxed);
            pool.leave();
        } else {
            pool.publish(job);
            served.park();
        }
    };
    let served = Arc::new([Parker::new(), Parker::new()]);
    let worker = {
        let (served, inside) = (Arc::clone(&served), Arc::clone(&inside));
        spawn(&pool, move |pool| {
            pool.run_worker(0, |job| {
                assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
                inside.fetch_sub(1, Ordering::Relaxed);
                served[job].unpark();
            });
        })
    };
    let caller = {
        let (served, inside) = (Arc::clone(&served), Arc::clone(&inside));
        spawn(&pool, move |pool| enter(pool, 0, &served[0], &inside))
    };
    enter(&pool, 1, &served[1], &inside);
    join([caller]);
    pool.stop();
    join([worker]);
    assert_eq!(pool.sleep.num_active(), 0);
}

#[test]
fn permits_the_second_caller_is_served() {
    explore(2, || two_callers(Without::Nothing));
}

#[test]
fn twin_permits_the_second_caller_is_forgotten() {
    assert_caught("twin_permits_the_second_caller_is_forgotten", DEADLOCK, 2, || {
        two_callers(Without::Deferred);
    });
}

// Loans: a guest with the permit of a worker that has not come to itself.

/// Counts those who are at work, of whom there may be one.
#[derive(Clone)]
struct Room(Arc<AtomicUsize>);

impl Room {
    fn new() -> Room {
        Room(Arc::new(AtomicUsize::new(0)))
    }

    fn work<R>(&self, f: impl FnOnce() -> R) -> R {
        assert_eq!(self.0.fetch_add(1, Ordering::Relaxed), 0);
        let result = f();
        self.0.fetch_sub(1, Ordering::Relaxed);
        result
    }
}

/// Two submit, of whom one or both wait, in a pool of one: `JobHandle::wait`.
fn waiters_and_a_worker(others: usize, without: Without) {
    let pool = Pool::new(1, 2, without);
    let room = Room::new();
    let worker = {
        let room = room.clone();
        spawn(&pool, move |pool| {
            pool.run_worker(0, |_| {
                room.work(|| ());
                pool.finish_one();
            });
        })
    };
    let wait = |pool: &Pool, room: &Room| {
        pool.visit(|| {
            if room.work(|| pool.take()).is_some() {
                pool.finish_one();
            }
        });
    };
    let other = {
        let room = room.clone();
        spawn(&pool, move |pool| {
            pool.publish(0);
            if others > 0 {
                wait(pool, &room);
            }
        })
    };
    pool.publish(1);
    wait(&pool, &room);
    join([worker, other]);
    pool.assert_all_done();
}

#[test]
fn loans_no_job_is_left_by_one_waiter() {
    explore(3, || waiters_and_a_worker(0, Without::Nothing));
}

#[test]
fn loans_no_job_is_left_by_two_waiters() {
    explore(2, || waiters_and_a_worker(1, Without::Nothing));
}

#[test]
fn twin_loans_nobody_looks_without_a_permit() {
    assert_caught("twin_loans_nobody_looks_without_a_permit", DEADLOCK, 3, || {
        waiters_and_a_worker(0, Without::LookWithoutPermit);
    });
}

#[test]
fn twin_loans_a_permit_is_lost() {
    assert_caught("twin_loans_a_permit_is_lost", DEADLOCK, 3, || {
        waiters_and_a_worker(0, Without::LeavingAfterLoan);
    });
}

/// One bed is lent twice, to the second guest while the first one blocks; whoever gives back first.
#[test]
fn loans_are_all_alike() {
    for first_comes_first in [true, false] {
        explore(1, move || {
            let sleep = Sleep::new(1, 0);
            let counts = || (sleep.num_active(), sleep.num_searching(), sleep.num_sleeping());
            assert!(!sleep.notify());
            let first = sleep.borrow().unwrap();
            assert_eq!(sleep.leave(), None);
            // The worker comes to itself, lies down again, and is claimed for other work.
            assert!(!sleep.park(0));
            assert_eq!(counts(), (0, 0, 1));
            assert!(!sleep.notify());
            let second = sleep.borrow().unwrap();
            assert!(sleep.borrow().is_none());
            sleep.resume();
            assert_eq!(counts(), (2, 1, 0));
            let [early, late] = if first_comes_first { [first, second] } else { [second, first] };
            assert!(sleep.repay(early));
            assert!(!sleep.repay(late));
            assert_eq!(sleep.leave(), None);
            // One permit is left, which is the worker's.
            assert!(sleep.park(0));
            assert_eq!(counts(), (1, 1, 0));
        });
    }
}

/// A guest blocks with a borrowed permit until the other job is done, whoever does that.
#[test]
fn loans_are_given_up_in_a_wait() {
    explore(1, || {
        let pool = Pool::new(1, 2, Without::Nothing);
        let second_is_done = Arc::new(Parker::new());
        let run = {
            let done = Arc::clone(&second_is_done);
            move |pool: &Pool, job: usize| {
                if job == 1 {
                    done.unpark();
                }
                pool.finish_one();
            }
        };
        let worker = {
            let run = run.clone();
            spawn(&pool, move |pool| pool.run_worker(0, |job| run(pool, job)))
        };
        let first = {
            let run = run.clone();
            spawn(&pool, move |pool| {
                pool.publish(0);
                pool.visit(|| {
                    if claim(&pool.jobs[0]) {
                        pool.block(|| second_is_done.park());
                        run(pool, 0);
                    }
                });
            })
        };
        pool.publish(1);
        pool.visit(|| {
            if claim(&pool.jobs[1]) {
                run(&pool, 1);
            }
        });
        join([worker, first]);
        pool.assert_all_done();
    });
}

/// A worker is summoned, above the width; guests are not to come in its place, nor instead of it.
fn a_guest_meets_a_summons(without: Without) {
    let pool = Pool::new(1, 0, without);
    let room = Room::new();
    let broadcast = Arc::new(AtomicUsize::new(0));
    let worker = {
        let broadcast = Arc::clone(&broadcast);
        spawn(&pool, move |pool| {
            let has_broadcast = || broadcast.load(Ordering::Acquire) == 1;
            loop {
                if pool.sleep.park(0) {
                    if has_broadcast() {
                        broadcast.store(2, Ordering::Release);
                        return pool.retire();
                    }
                    pool.sleep.announce(0);
                }
                if has_broadcast() {
                    pool.sleep.wake_for_certain(0);
                }
            }
        })
    };
    let guest = {
        let room = room.clone();
        spawn(&pool, move |pool| pool.visit(|| room.work(|| ())))
    };
    broadcast.fetch_add(1, Ordering::Release);
    pool.sleep.wake_for_certain(0);
    pool.visit(|| room.work(|| ()));
    join([worker, guest]);
    assert_eq!(broadcast.load(Ordering::Acquire), 2);
    assert_eq!((pool.sleep.num_active(), pool.sleep.num_searching()), (0, 0));
}

#[test]
fn loans_keep_to_the_width() {
    explore(2, || a_guest_meets_a_summons(Without::Nothing));
}

#[test]
fn twin_loans_above_the_width() {
    assert_caught("twin_loans_above_the_width", "assertion `left == right` failed", 2, || {
        a_guest_meets_a_summons(Without::LookAtTheWidth);
    });
}

// Stop: every worker ends, and what was queued is done first (P7).

fn work_and_stop(workers: usize, without: Without) {
    let pool = Pool::new(workers, 1, without);
    let worker = |me| {
        spawn(&pool, move |pool: &Pool| {
            pool.run_worker(me, |_| {
                pool.num_done.fetch_add(1, Ordering::Relaxed);
            });
        })
    };
    let threads: Vec<_> = (0..workers).map(worker).collect();
    pool.publish(0);
    pool.stop();
    join(threads);
    pool.assert_all_done();
}

#[test]
fn stop_ends_one_worker() {
    explore(3, || work_and_stop(1, Without::Nothing));
}

#[test]
fn stop_ends_two_workers() {
    explore(2, || work_and_stop(2, Without::Nothing));
}

/// `Registry::wait_for_call` while the pool ends: no worker may look at the call any more, but one
/// still has the permit.
fn a_call_at_the_end(without: Without) {
    let pool = Pool::new(1, 1, without);
    let worker = spawn(&pool, |pool| {
        pool.run_worker(0, |_| {
            pool.num_done.fetch_add(1, Ordering::Release);
            pool.caller.unpark();
        });
    });
    let caller = spawn(&pool, |pool| {
        pool.publish(0);
        while pool.num_done.load(Ordering::Acquire) == 0 {
            if pool.sleep.enter_or_defer() {
                if pool.take().is_some() {
                    pool.num_done.fetch_add(1, Ordering::Relaxed);
                }
                pool.leave();
            } else {
                pool.caller.park();
            }
        }
    });
    pool.stop();
    join([worker, caller]);
    pool.assert_all_done();
}

#[test]
fn stop_leaves_no_caller_behind() {
    explore(3, || a_call_at_the_end(Without::Nothing));
}

#[test]
fn twin_stop_leaves_a_caller_behind() {
    assert_caught("twin_stop_leaves_a_caller_behind", DEADLOCK, 3, || {
        a_call_at_the_end(Without::DeferredAtTheEnd);
    });
}

#[test]
fn twin_stop_is_not_looked_at_again() {
    assert_caught("twin_stop_is_not_looked_at_again", DEADLOCK, 3, || {
        work_and_stop(1, Without::SecondLookAtStop);
    });
}

/// `Registry::summon`: the last worker must come, whatever else keeps or wakes the others.
fn summons(workers: usize, without: Without) {
    let pool = Pool::new(workers, 1, without);
    let wanted = workers - 1;
    let broadcast = Arc::new(AtomicUsize::new(0));
    let worker = |me: usize| {
        let broadcast = Arc::clone(&broadcast);
        spawn(&pool, move |pool| {
            let has_broadcast = || me == wanted && broadcast.load(Ordering::Acquire) == 1;
            // As `run_worker`, with a broadcast beside the jobs.
            loop {
                assert!(pool.sleep.park(me));
                if has_broadcast() {
                    broadcast.store(2, Ordering::Release);
                    pool.stop();
                }
                while pool.take().is_some() {
                    pool.end_search();
                    pool.sleep.start_search();
                }
                if pool.is_stopping() {
                    return pool.retire();
                }
                pool.sleep.announce(me);
                let summoned = has_broadcast() && pool.without != Without::SecondLook;
                if summoned || pool.is_stopping() {
                    pool.sleep.wake_for_certain(me);
                } else if pool.has_public_work() {
                    pool.notify();
                }
            }
        })
    };
    let threads: Vec<_> = (0..workers).map(worker).collect();
    pool.publish(0);
    // The queue of broadcasts has a lock, and its count is a read-modify-write.
    broadcast.fetch_add(1, Ordering::Release);
    pool.sleep.wake_for_certain(wanted);
    join(threads);
    assert_eq!(broadcast.load(Ordering::Acquire), 2);
}

#[test]
fn summons_reach_the_only_worker() {
    explore(3, || summons(1, Without::Nothing));
}

#[test]
fn summons_reach_the_right_worker() {
    explore(2, || summons(2, Without::Nothing));
}

/// A claim that is on its way is no promise to a certain worker: it may find the bed of another
/// one, which lay down later and therefore looks for broadcasts to others. (Found by shuttle: a
/// broadcast was lost.)
fn summons_while_a_claim_is_on_its_way(without: Without) {
    let pool = Pool::new(2, 0, without);
    let wanted = Arc::new(AtomicBool::new(false));
    // `Registry::sleeper_with_broadcast`.
    let is_overslept = |pool: &Pool, wanted: &AtomicBool| {
        wanted.load(Ordering::Acquire) && pool.sleep.is_asleep(1)
    };
    let first = {
        let wanted = Arc::clone(&wanted);
        spawn(&pool, move |pool| {
            loop {
                assert!(pool.sleep.park(0));
                if pool.is_stopping() {
                    return pool.retire();
                }
                pool.sleep.announce(0);
                if pool.is_stopping() {
                    pool.sleep.wake_for_certain(0);
                } else if without != Without::SecondLookForOthers && is_overslept(pool, &wanted) {
                    pool.sleep.wake_for_certain(1);
                }
            }
        })
    };
    let second = {
        let wanted = Arc::clone(&wanted);
        spawn(&pool, move |pool| {
            loop {
                assert!(pool.sleep.park(1));
                if wanted.swap(false, Ordering::AcqRel) {
                    return pool.retire();
                }
                pool.sleep.announce(1);
                if is_overslept(pool, &wanted) {
                    pool.sleep.wake_for_certain(1);
                }
            }
        })
    };
    let summoner = spawn(&pool, move |pool| {
        pool.sleep.wake_for_certain(0);
        // The count of broadcasts is a read-modify-write, too.
        wanted.swap(true, Ordering::Release);
        pool.sleep.wake_for_certain(1);
    });
    pool.notify();
    join([summoner, second]);
    pool.stop.store(true, Ordering::SeqCst);
    pool.sleep.wake_for_certain(0);
    join([first]);
}

#[test]
fn summons_do_not_rely_on_a_claim_of_another() {
    explore(2, || summons_while_a_claim_is_on_its_way(Without::Nothing));
}

#[test]
fn twin_summons_rely_on_a_claim_of_another() {
    assert_caught("twin_summons_rely_on_a_claim_of_another", DEADLOCK, 2, || {
        summons_while_a_claim_is_on_its_way(Without::SecondLookForOthers);
    });
}

#[test]
fn twin_summons_are_not_looked_at_again() {
    assert_caught("twin_summons_are_not_looked_at_again", DEADLOCK, 3, || {
        summons(1, Without::SecondLook);
    });
}

// Spare threads: one takes the place of a thread that is blocked, or nothing is lost.

/// The first of two jobs waits for the second, in a pool of one thread.
fn a_job_waits_for_another(without: Without) {
    let pool = Pool::with_spare(1, 1, true, 2, without);
    let second_is_done = Arc::new(Parker::new());
    let run = {
        let done = Arc::clone(&second_is_done);
        move |pool: &Pool, job: usize| {
            match job {
                0 => pool.block(|| done.park()),
                _ => done.unpark(),
            }
            pool.finish_one();
        }
    };
    let worker = {
        let run = run.clone();
        spawn(&pool, move |pool| pool.run_worker(0, |job| run(pool, job)))
    };
    let spare = spawn(&pool, move |pool| pool.run_spare(1, |job| run(pool, job)));
    pool.publish(0);
    pool.publish(1);
    join([worker]);
    // Unless the worker took the second job first.
    if pool.spare.num_started.load(Ordering::Acquire) == 0 {
        pool.tell_spare(NEVER);
    }
    join([spare]);
    pool.assert_all_done();
}

#[test]
fn spare_thread_takes_the_place_of_a_blocked_one() {
    explore(2, || a_job_waits_for_another(Without::Nothing));
}

#[test]
fn twin_spare_nobody_looks_before_a_wait() {
    assert_caught("twin_spare_nobody_looks_before_a_wait", DEADLOCK, 2, || {
        a_job_waits_for_another(Without::Cover);
    });
}

#[test]
fn twin_spare_no_fence_before_the_look() {
    assert_caught("twin_spare_no_fence_before_the_look", DEADLOCK, 2, || {
        a_job_waits_for_another(Without::FenceInCover);
    });
}

/// A thread waits for something outside, and no spare thread can be started for the job that comes
/// meanwhile: the thread runs it when it is back.
fn no_thread_to_be_had(without: Without) {
    let pool = Pool::with_spare(1, 1, false, 2, without);
    let opened = Arc::new(Parker::new());
    let worker = {
        let opened = Arc::clone(&opened);
        spawn(&pool, move |pool| {
            pool.run_worker(0, |job| {
                if job == 0 {
                    pool.block(|| opened.park());
                }
                pool.finish_one();
            });
        })
    };
    let producer = spawn(&pool, |pool| pool.publish(1));
    pool.publish(0);
    opened.unpark();
    join([worker, producer]);
    pool.assert_all_done();
}

#[test]
fn spare_thread_that_cannot_be_started_is_relied_on_by_nobody() {
    explore(3, || no_thread_to_be_had(Without::Nothing));
}

#[test]
fn twin_spare_thread_that_cannot_be_started_is_relied_on() {
    assert_caught("twin_spare_thread_that_cannot_be_started_is_relied_on", DEADLOCK, 3, || {
        no_thread_to_be_had(Without::WakingAfterRefusal);
    });
}

/// The end of a pool of one that has started a spare thread, with a job left: both are awake, one
/// above the width. (Found by shuttle: each left the job to the other, for ever.)
fn the_end_above_the_width(without: Without) {
    let pool = Pool::with_spare(1, 1, true, 1, without);
    // A waiter that is about to resume holds the permit.
    assert!(pool.sleep.try_enter());
    assert!(!pool.sleep.notify());
    pool.sleep.wake_for_certain(0);
    let worker = spawn(&pool, |pool| {
        pool.run_worker(0, |_| {
            pool.num_done.fetch_add(1, Ordering::Relaxed);
        });
    });
    // The spare thread, counted as a searcher.
    pool.sleep.start_search();
    pool.spare.num_started.store(1, Ordering::Release);
    pool.tell_spare(START);
    let spare = spawn(&pool, |pool| {
        pool.run_spare(1, |_| {
            pool.num_done.fetch_add(1, Ordering::Relaxed);
        });
    });
    pool.jobs[0].store(true, Ordering::Release);
    pool.stop();
    join([worker, spare]);
    pool.assert_all_done();
}

#[test]
fn spare_thread_and_the_regular_one_do_the_last_job() {
    explore(1, || the_end_above_the_width(Without::Nothing));
}

#[test]
fn twin_spare_thread_and_the_regular_one_leave_the_last_job_to_each_other() {
    assert_caught(
        "twin_spare_thread_and_the_regular_one_leave_the_last_job_to_each_other",
        "exceeded maximum number of branches",
        1,
        || the_end_above_the_width(Without::LookAboveTheWidth),
    );
}

// Lanes: a job in a lane is seen, also while it moves from one to another.

/// One level: the injector, and a lane for each of two workers. A job is a flag in one of them.
struct Lanes {
    mask: Mask,
    injector: [Job; 2],
    own: [[Job; 2]; 2],
}

fn empty() -> [Job; 2] {
    [Job::new(false), Job::new(false)]
}

fn claim(job: &Job) -> bool {
    job.load(Ordering::Acquire)
        && job.compare_exchange(true, false, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

impl Lanes {
    /// `Registry::notify_of_job`.
    fn notify(&self, pool: &Pool) {
        let wants_spare =
            if self.mask.announce(0) { pool.sleep.notify() } else { pool.sleep.notify_fenced() };
        assert!(!wants_spare);
    }

    /// `Worker::take_job`.
    fn take(&self, pool: &Pool, me: usize) -> Option<usize> {
        if self.mask.levels() == 0 {
            return None;
        }
        let all = |jobs: &[Job; 2]| jobs.iter().any(|job| job.load(Ordering::Acquire));
        loop {
            if let Some(job) = self.own[me].iter().position(claim) {
                return Some(job);
            }
            // A batch, in flight until it has been stored.
            let batch: Vec<usize> = (0..2).filter(|&job| claim(&self.injector[job])).collect();
            if let [first, rest @ ..] = &batch[..] {
                for &job in rest {
                    self.own[me][job].store(true, Ordering::Release);
                }
                if pool.without != Without::SecondAnnounce && self.mask.announce(0) {
                    pool.notify();
                }
                return Some(*first);
            }
            if let Some(job) = self.own[1 - me].iter().position(claim) {
                return Some(job);
            }
            if !self.mask.clear(0, || all(&self.injector) || self.own.iter().any(all)) {
                return None;
            }
        }
    }
}

/// Two jobs that are queued together, of which each waits for the other to begin. Whoever takes the
/// first moves the second to its own lane.
fn a_batch_is_moved(without: Without) {
    let pool = Pool::new(2, 2, without);
    let lanes = Arc::new(Lanes { mask: Mask::new(), injector: empty(), own: [empty(), empty()] });
    let met = Arc::new((Mutex::new(0), Condvar::new()));
    let worker = |me: usize| {
        let (lanes, met) = (Arc::clone(&lanes), Arc::clone(&met));
        spawn(&pool, move |pool| {
            loop {
                assert!(pool.sleep.park(me));
                while let Some(_job) = lanes.take(pool, me) {
                    pool.end_search();
                    let (begun, condvar) = &*met;
                    let mut begun = begun.lock().unwrap();
                    *begun += 1;
                    condvar.notify_one();
                    while *begun < 2 {
                        begun = condvar.wait(begun).unwrap();
                    }
                    drop(begun);
                    pool.finish_one();
                    pool.sleep.start_search();
                }
                if pool.is_stopping() {
                    return pool.retire();
                }
                pool.sleep.announce(me);
                if pool.is_stopping() {
                    pool.sleep.wake_for_certain(me);
                } else if lanes.mask.levels() != 0 {
                    pool.notify();
                }
            }
        })
    };
    let threads = [worker(0), worker(1)];
    // Both search already, or one would sleep until the batch has arrived.
    pool.sleep.wake_for_certain(0);
    pool.sleep.wake_for_certain(1);
    for job in &lanes.injector {
        job.store(true, Ordering::Release);
    }
    lanes.notify(&pool);
    join(threads);
    pool.assert_all_done();
}

#[test]
fn lanes_a_batch_that_has_moved_is_announced_again() {
    explore(1, || a_batch_is_moved(Without::Nothing));
}

#[test]
fn twin_lanes_a_batch_that_has_moved_is_not_announced_again() {
    assert_caught("twin_lanes_a_batch_that_has_moved_is_not_announced_again", DEADLOCK, 1, || {
        a_batch_is_moved(Without::SecondAnnounce);
    });
}

/// A worker that finds the lane empty says so while a job comes in.
#[test]
fn lanes_no_job_is_hidden_by_a_mask_that_is_cleared() {
    explore(3, || {
        let pool = Pool::new(1, 2, Without::Nothing);
        let lanes =
            Arc::new(Lanes { mask: Mask::new(), injector: empty(), own: [empty(), empty()] });
        let worker = {
            let lanes = Arc::clone(&lanes);
            spawn(&pool, move |pool| {
                loop {
                    assert!(pool.sleep.park(0));
                    while lanes.take(pool, 0).is_some() {
                        pool.end_search();
                        pool.finish_one();
                        pool.sleep.start_search();
                    }
                    if pool.is_stopping() {
                        return pool.retire();
                    }
                    pool.sleep.announce(0);
                    if pool.is_stopping() {
                        pool.sleep.wake_for_certain(0);
                    } else if lanes.mask.levels() != 0 {
                        pool.notify();
                    }
                }
            })
        };
        for job in &lanes.injector {
            job.store(true, Ordering::Release);
            lanes.notify(&pool);
        }
        join([worker]);
        pool.assert_all_done();
    });
}

// Latch: the waiter wakes when the work is done, and frees it then.

/// A published fork: the latch, what it guards, and the seat of who waits.
struct Fork {
    latch: UnsafeCell<Latch>,
    result: UnsafeCell<u32>,
    parker: Parker,
    without: Without,
}

// SAFETY: loom's cells check each access.
unsafe impl Sync for Fork {}
// SAFETY: as above.
unsafe impl Send for Fork {}

impl Fork {
    fn new(without: Without) -> Arc<Fork> {
        let latch = UnsafeCell::new(Latch::new());
        let result = UnsafeCell::new(0);
        Arc::new(Fork { latch, result, parker: Parker::new(), without })
    }

    fn latch<R>(&self, f: impl FnOnce(&Latch) -> R) -> R {
        // SAFETY: only shared accesses, until the waiter frees it.
        self.latch.with(|latch| f(unsafe { &*latch }))
    }

    /// `Worker::finish_fork`.
    fn finish(&self, result: u32) {
        // SAFETY: nobody reads before the latch is set.
        self.result.with_mut(|place| unsafe { *place = result });
        // SAFETY: live until the swap: the waiter frees it only when it has seen it set.
        let parked = self.latch.with(|latch| unsafe { Latch::set(latch) });
        if parked && self.without != Without::UnparkAfterSet {
            self.parker.unpark();
        }
    }

    /// Whoever has work for the waiter.
    fn nudge(&self) {
        if self.latch(Latch::nudge) && self.without != Without::UnparkAfterNudge {
            self.parker.unpark();
        }
    }

    /// `Worker::park_on`, less the permit.
    fn park(&self, has_work: impl Fn() -> bool) {
        if self.without == Without::AnnouncePark {
            return self.parker.park();
        }
        if !self.latch(Latch::announce_park) {
            return;
        }
        fence(Ordering::SeqCst);
        if self.without != Without::LookAfterAnnouncePark && has_work() {
            return self.latch(Latch::retract_park);
        }
        while self.latch(Latch::is_parked) {
            self.parker.park();
        }
        self.latch(Latch::retract_park);
    }

    /// The end of a join: the memory of the fork is given up.
    fn take_result(&self) -> u32 {
        self.latch.with_mut(|_| ());
        // SAFETY: the latch was seen set.
        self.result.with(|result| unsafe { *result })
    }
}

fn wait_for_a_fork(without: Without) {
    let fork = Fork::new(without);
    let thief = {
        let fork = Arc::clone(&fork);
        thread::spawn(move || fork.finish(7))
    };
    while !fork.latch(Latch::probe) {
        fork.park(|| false);
    }
    assert_eq!(fork.take_result(), 7);
    join([thief]);
}

#[test]
fn latch_set_wakes_the_waiter() {
    explore(3, || wait_for_a_fork(Without::Nothing));
}

#[test]
fn twin_latch_waiter_does_not_announce() {
    assert_caught("twin_latch_waiter_does_not_announce", DEADLOCK, 3, || {
        wait_for_a_fork(Without::AnnouncePark);
    });
}

#[test]
fn twin_latch_setter_wakes_nobody() {
    assert_caught("twin_latch_setter_wakes_nobody", DEADLOCK, 3, || {
        wait_for_a_fork(Without::UnparkAfterSet);
    });
}

/// U1: the waiter may be gone at the swap, and with it the latch.
#[test]
fn twin_latch_touched_after_it_was_set() {
    assert_caught("twin_latch_touched_after_it_was_set", "Causality violation", 3, || {
        let fork = Fork::new(Without::Nothing);
        let thief = {
            let fork = Arc::clone(&fork);
            thread::spawn(move || {
                fork.latch(|latch| {
                    // SAFETY: live.
                    unsafe { Latch::set(latch) };
                    latch.probe()
                });
            })
        };
        while !fork.latch(Latch::probe) {
            thread::yield_now();
        }
        fork.take_result();
        join([thief]);
    });
}

/// The parker belongs to the seat: the token for one wait may come late, in the next one.
#[test]
fn latch_a_late_token_is_a_spurious_wake_up() {
    explore(3, || {
        let seat = Arc::new((Parker::new(), [Latch::new(), Latch::new()]));
        let setters: Vec<_> = (0..2)
            .map(|which| {
                let seat = Arc::clone(&seat);
                thread::spawn(move || {
                    let (parker, latches) = &*seat;
                    // SAFETY: the seat is live.
                    if unsafe { Latch::set(&latches[which]) } {
                        parker.unpark();
                    }
                })
            })
            .collect();
        let (parker, latches) = &*seat;
        for latch in latches {
            while !latch.probe() {
                if latch.announce_park() {
                    while latch.is_parked() {
                        parker.park();
                    }
                    latch.retract_park();
                }
            }
        }
        join(setters);
    });
}

/// `Registry::give_back`: the waiter alone will do the work that it is nudged for.
/// (`Worker::publish` for a patron is the same.)
fn nudged_for_work(without: Without) {
    let fork = Fork::new(without);
    let job = Arc::new(Job::new(false));
    let giver = {
        let (fork, job) = (Arc::clone(&fork), Arc::clone(&job));
        thread::spawn(move || {
            job.store(true, Ordering::Release);
            // Pairs with the fence in `park_on`: either we see it parked, or it sees the work.
            if without != Without::FenceBeforeNudge {
                fence(Ordering::SeqCst);
            }
            fork.nudge();
        })
    };
    while !fork.latch(Latch::probe) {
        if job.load(Ordering::Acquire) {
            job.store(false, Ordering::Relaxed);
            fork.finish(1);
            continue;
        }
        fork.park(|| job.load(Ordering::Acquire));
    }
    join([giver]);
    assert_eq!(fork.take_result(), 1);
}

#[test]
fn latch_nudge_is_not_lost() {
    explore(3, || nudged_for_work(Without::Nothing));
}

#[test]
fn twin_latch_nudge_without_fence() {
    assert_caught("twin_latch_nudge_without_fence", DEADLOCK, 3, || {
        nudged_for_work(Without::FenceBeforeNudge);
    });
}

#[test]
fn twin_latch_nudge_without_token() {
    assert_caught("twin_latch_nudge_without_token", DEADLOCK, 3, || {
        nudged_for_work(Without::UnparkAfterNudge);
    });
}

#[test]
fn twin_latch_no_look_after_the_announcement() {
    assert_caught("twin_latch_no_look_after_the_announcement", DEADLOCK, 3, || {
        nudged_for_work(Without::LookAfterAnnouncePark);
    });
}

/// `scope`'s `Core::push`, with a task that has no beacon: the queue's lock does what the fence
/// does elsewhere.
#[test]
fn latch_nudge_after_a_lock_needs_no_fence() {
    explore(3, || {
        let fork = Fork::new(Without::Nothing);
        let queue = Arc::new(Mutex::new(0));
        let spawner = {
            let (fork, queue) = (Arc::clone(&fork), Arc::clone(&queue));
            thread::spawn(move || {
                *queue.lock().unwrap() += 1;
                fork.nudge();
            })
        };
        while !fork.latch(Latch::probe) {
            let task = std::mem::take(&mut *queue.lock().unwrap());
            if task > 0 {
                fork.finish(1);
                continue;
            }
            fork.park(|| *queue.lock().unwrap() > 0);
        }
        join([spawner]);
        assert_eq!(fork.take_result(), 1);
    });
}

/// A thief nudges its patron for what it publishes, and goes on to set the latch.
#[test]
fn latch_nudge_races_with_set() {
    explore(3, || {
        let fork = Fork::new(Without::Nothing);
        let job = Arc::new(Job::new(false));
        let thief = {
            let (fork, job) = (Arc::clone(&fork), Arc::clone(&job));
            thread::spawn(move || {
                job.store(true, Ordering::Release);
                fence(Ordering::SeqCst);
                fork.nudge();
                // The thief's own join takes the job back, if the patron has not.
                let _ = job.compare_exchange(true, false, Ordering::AcqRel, Ordering::Relaxed);
                fork.finish(2);
            })
        };
        while !fork.latch(Latch::probe) {
            if job.load(Ordering::Acquire) {
                let _ = job.compare_exchange(true, false, Ordering::AcqRel, Ordering::Relaxed);
                continue;
            }
            fork.park(|| job.load(Ordering::Acquire));
        }
        assert_eq!(fork.take_result(), 2);
        join([thief]);
    });
}

/// A guest waits for its fork in a pool of one: the worker needs the guest's permit.
fn guest_waits_for_its_fork(without: Without) {
    let pool = Pool::new(1, 1, without);
    let fork = Fork::new(Without::Nothing);
    let worker = {
        let fork = Arc::clone(&fork);
        spawn(&pool, move |pool| {
            pool.run_worker(0, |_| {
                pool.num_done.fetch_add(1, Ordering::Relaxed);
                fork.finish(3);
            });
        })
    };
    if pool.sleep.try_enter() {
        pool.publish(0);
        while !fork.latch(Latch::probe) {
            if !fork.latch(Latch::announce_park) {
                continue;
            }
            fence(Ordering::SeqCst);
            if without != Without::GivingThePermitBack {
                pool.leave();
            }
            while fork.latch(Latch::is_parked) {
                fork.parker.park();
            }
            fork.latch(Latch::retract_park);
            if without != Without::GivingThePermitBack {
                pool.sleep.resume();
            }
        }
        assert_eq!(fork.take_result(), 3);
        pool.leave();
    }
    pool.stop();
    join([worker]);
    pool.assert_all_done();
}

#[test]
fn permits_a_waiter_lends_its_own() {
    explore(2, || guest_waits_for_its_fork(Without::Nothing));
}

#[test]
fn twin_permits_a_waiter_keeps_its_own() {
    assert_caught("twin_permits_a_waiter_keeps_its_own", DEADLOCK, 2, || {
        guest_waits_for_its_fork(Without::GivingThePermitBack);
    });
}

// Parker: a token is never lost.

#[test]
fn parker_token_before_while_or_after() {
    explore(3, || {
        let parker = Arc::new(Parker::new());
        let ready = Arc::new(AtomicBool::new(false));
        let waker = {
            let (parker, ready) = (Arc::clone(&parker), Arc::clone(&ready));
            thread::spawn(move || {
                ready.store(true, Ordering::Relaxed);
                parker.unpark();
            })
        };
        // What the waker wrote is visible with its token.
        while !ready.load(Ordering::Relaxed) {
            parker.park();
        }
        join([waker]);
    });
}

#[test]
fn parker_two_wakers_and_two_waits() {
    explore(3, || {
        let parker = Arc::new(Parker::new());
        let flags = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let wakers: Vec<_> = (0..2)
            .map(|which| {
                let (parker, flags) = (Arc::clone(&parker), Arc::clone(&flags));
                thread::spawn(move || {
                    flags[which].store(true, Ordering::Relaxed);
                    parker.unpark();
                })
            })
            .collect();
        for flag in &*flags {
            while !flag.load(Ordering::Relaxed) {
                parker.park();
            }
        }
        join(wakers);
    });
}

/// A parker whose waker does not take the lock: the notification falls between the look and the wait
/// (W10).
#[test]
fn twin_parker_without_the_lock() {
    assert_caught("twin_parker_without_the_lock", DEADLOCK, 3, || {
        let parker = Arc::new((AtomicBool::new(false), Mutex::new(()), Condvar::new()));
        let waker = {
            let parker = Arc::clone(&parker);
            thread::spawn(move || {
                parker.0.store(true, Ordering::SeqCst);
                parker.2.notify_one();
            })
        };
        let (token, mutex, condvar) = &*parker;
        let guard = mutex.lock().unwrap();
        if !token.load(Ordering::SeqCst) {
            drop(condvar.wait(guard).unwrap());
        }
        join([waker]);
    });
}
