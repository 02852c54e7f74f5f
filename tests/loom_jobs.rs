//! Models of a job's life, explored exhaustively by loom:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release --test loom_jobs
//! ```
//!
//! `Life` is the code that ships. What calls it is mirrored here: `Job` is `job::raw::Cell` and its
//! methods are those of `Raw` and of the handle, by the same names. The closure, the result and the
//! memory of the job are cells that loom watches.
//!
//! The twins leave out one step each, and must fail: see `tests/loom.rs`.
#![cfg(loom)]

#[path = "common/models.rs"]
mod models;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use models::{DEADLOCK, assert_caught, explore};
use windlass::model::{Life, Parker, Ready};

/// What loom says when a cell is used by two threads without one before the other.
const RACE: &str = "Causality violation";

/// What a twin leaves out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// The claim: the worker only looks whether the job is queued.
    Claim,
    /// The reference for the entry that stays behind in the lane.
    ReferenceForTheEntry,
    /// Looking at what `attach` answers.
    AnswerOfAttach,
    /// Telling those who were attached.
    Telling,
    /// Looking at what `detach` answers.
    AnswerOfDetach,
    /// Looking at what `finish` says of the handle.
    AnswerOfFinish,
    /// Holding the job while its pool is looked at.
    Hold,
    /// Holding a timed job until its closure has been taken out.
    HoldUntilTheStart,
    /// The runner's claim of the result.
    ClaimOfTheResult,
    /// The runner's reference, when another has ended its job.
    ReferenceForTheRunner,
    /// The reference of whoever cancels.
    ReferenceOfItsOwn,
    /// The entry for those who go on with a row.
    Sharing,
    /// Looking at what `add` answers.
    AnswerOfAdd,
    /// Looking at what `withdraw` answers.
    AnswerOfWithdraw,
    /// Singling out a job that was withdrawn.
    SinglingOut,
    /// The runner's look at the token, when it has put the closure back.
    LookAtTheToken,
    /// The second try of whoever cancels.
    SecondTry,
    /// Holding the job while the closure is put back.
    HoldToPutBack,
    /// Looking whether what was taken out of its row has ended.
    LookAtTheEnd,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Call,
    Nothing,
    Result(&'static str),
}

/// See the module.
struct Job {
    life: UnsafeCell<Life>,
    stage: UnsafeCell<Stage>,
    /// What only a pending job keeps alive: its pool.
    pool: UnsafeCell<()>,
    is_timed: bool,
    without: Without,
    /// The job's token.
    token: AtomicBool,
    // Of std, so that counting orders nothing.
    num_runs: std::sync::atomic::AtomicUsize,
    num_freed: std::sync::atomic::AtomicUsize,
    num_told: std::sync::atomic::AtomicUsize,
    num_answers: std::sync::atomic::AtomicUsize,
}

// SAFETY: loom's cells check each access.
unsafe impl Sync for Job {}
// SAFETY: as above.
unsafe impl Send for Job {}

fn count(counter: &std::sync::atomic::AtomicUsize) -> usize {
    counter.load(std::sync::atomic::Ordering::Relaxed)
}

fn add(counter: &std::sync::atomic::AtomicUsize) {
    counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}

impl Job {
    fn new(is_timed: bool, without: Without) -> Arc<Job> {
        Self::with_life(Life::queued(), is_timed, without)
    }

    fn with_life(life: Life, is_timed: bool, without: Without) -> Arc<Job> {
        Arc::new(Job {
            life: UnsafeCell::new(life),
            stage: UnsafeCell::new(Stage::Call),
            pool: UnsafeCell::new(()),
            is_timed,
            without,
            num_runs: Default::default(),
            num_freed: Default::default(),
            num_told: Default::default(),
            num_answers: Default::default(),
            token: AtomicBool::new(false),
        })
    }

    fn life<R>(&self, f: impl FnOnce(&Life) -> R) -> R {
        // SAFETY: only shared accesses, until the last owner frees it.
        self.life.with(|life| f(unsafe { &*life }))
    }

    /// The stage is what the caller thinks, and becomes something else.
    fn step(&self, is_right: impl Fn(Stage) -> bool, next: Stage) -> Stage {
        self.stage.with_mut(|stage| {
            // SAFETY: loom has checked that we are alone.
            let before = unsafe { stage.replace(next) };
            assert!(is_right(before), "the stage is {before:?}");
            before
        })
    }

    fn take_call(&self) {
        self.step(|stage| stage == Stage::Call, Stage::Nothing);
    }

    fn set_result(&self, result: &'static str) {
        self.step(|stage| stage == Stage::Nothing, Stage::Result(result));
    }

    fn take_result(&self) -> &'static str {
        match self.step(|stage| matches!(stage, Stage::Result(_)), Stage::Nothing) {
            Stage::Result(result) => result,
            _ => unreachable!(),
        }
    }

    fn retain(&self) {
        self.life(Life::retain);
    }

    fn release(&self) {
        if self.life(Life::release) {
            // Nobody else may be looking.
            self.life.with_mut(|_| ());
            self.stage.with_mut(|_| ());
            add(&self.num_freed);
            assert_eq!(count(&self.num_freed), 1, "freed twice");
        }
    }

    /// `Raw::tell`.
    fn tell(&self) {
        // The board is told first, so the pool is needed up to here.
        self.pool.with(|_| ());
        // SAFETY: live until the exchange: the caller has the right to write the result.
        let (continuations, is_detached) = self.life.with(|life| unsafe { Life::finish(life) });
        if is_detached && self.without != Without::AnswerOfFinish {
            self.take_result();
            self.release();
        }
        if self.without != Without::Telling {
            continuations.go_on();
        }
    }

    /// `Cell::run`: from a lane.
    fn run(&self) {
        let is_ours = match self.without {
            Without::Claim => self.life(Life::is_queued),
            _ => self.claim(),
        };
        if is_ours {
            self.run_claimed("run");
        } else {
            self.release();
        }
    }

    /// `Gate::open`, and a worker finds the job at once.
    fn open(&self) {
        if self.life(Life::open) {
            self.run();
        } else {
            self.release();
        }
    }

    fn run_claimed(&self, result: &'static str) {
        self.take_call();
        if self.holds_until_start() {
            self.life(Life::start);
        }
        add(&self.num_runs);
        if self.is_timed
            && self.without != Without::ClaimOfTheResult
            && !self.life(Life::claim_result)
        {
            return self.release();
        }
        self.set_result(result);
        self.tell();
    }

    /// `Raw::claim`.
    fn claim(&self) -> bool {
        self.life(|life| life.claim(self.holds_until_start()))
    }

    fn holds_until_start(&self) -> bool {
        self.is_timed && self.without != Without::HoldUntilTheStart
    }

    /// The inline run of `JobHandle::wait`. `false`: somebody else has the job.
    fn run_here(&self) -> bool {
        if self.without != Without::ReferenceForTheEntry {
            self.retain();
        }
        if self.claim() {
            self.run_claimed("run here");
            return true;
        }
        if self.without != Without::ReferenceForTheEntry {
            self.release();
        }
        false
    }

    /// `Raw::cancel` and `Raw::abandon`, of a job that has not started.
    fn cancel(&self) -> bool {
        if self.without != Without::ReferenceForTheEntry {
            self.retain();
        }
        if self.life(Life::claim_to_end) {
            self.take_call();
            self.set_result("cancelled");
            self.tell();
            return true;
        }
        if self.without != Without::ReferenceForTheEntry {
            self.release();
        }
        false
    }

    /// `Raw::time_out`.
    fn time_out(&self) {
        if self.cancel() || !self.life(Life::claim_result) {
            return;
        }
        // `end_running`: for the runner, who finds that it has ended.
        if self.without != Without::ReferenceForTheRunner {
            self.retain();
        }
        self.set_result("timed out");
        self.tell();
    }

    /// The end of a `JobHandle`.
    fn drop_handle(&self, is_taken: bool) {
        let is_ours = is_taken || !self.life(Life::detach);
        if is_ours && self.without != Without::AnswerOfDetach {
            if !is_taken {
                self.take_result();
            }
            self.release();
        }
    }

    /// A `JobHandle` waits for the end and takes the result.
    fn wait(this: &Arc<Job>) -> &'static str {
        let parker = Arc::new(Parker::new());
        if !this.life(Life::is_finished) {
            let (told, waiter) = (Arc::clone(this), Arc::clone(&parker));
            let is_attached = this.life(|life| {
                life.attach(move || {
                    add(&told.num_told);
                    waiter.unpark();
                })
            });
            if is_attached || this.without == Without::AnswerOfAttach {
                while !this.life(Life::is_finished) {
                    parker.park();
                }
            }
            if this.without == Without::AnswerOfAttach && !is_attached {
                parker.park();
            }
        }
        this.take_by_handle()
    }

    /// As [`Self::wait`], by whoever may have run the job itself.
    fn wait_unless(this: &Arc<Self>, has_ended: bool) -> &'static str {
        if has_ended { this.take_by_handle() } else { Job::wait(this) }
    }

    /// The handle takes the result, and goes.
    fn take_by_handle(&self) -> &'static str {
        let result = self.take_result();
        self.drop_handle(true);
        result
    }

    fn assert_gone(&self) {
        assert_eq!(count(&self.num_freed), 1, "freed so often");
        assert!(count(&self.num_runs) <= 1, "run twice");
    }
}

/// Starts a model's thread, which has the job.
fn spawn<R: 'static>(
    job: &Arc<Job>,
    f: impl FnOnce(&Arc<Job>) -> R + 'static,
) -> thread::JoinHandle<R> {
    let job = Arc::clone(job);
    thread::spawn(move || f(&job))
}

// I1: one has the closure.

/// A worker finds the job in its lane, its waiter runs it itself, and a third cancels it.
fn three_claim(without: Without) {
    let job = Job::new(false, without);
    let worker = spawn(&job, |job| job.run());
    // A `JobRef`.
    job.retain();
    let canceller = spawn(&job, |job| {
        let is_removed = job.cancel();
        job.release();
        is_removed
    });
    let is_run_here = job.run_here();
    let result = Job::wait_unless(&job, is_run_here);
    worker.join().unwrap();
    let is_removed = canceller.join().unwrap();
    let expected = match (is_run_here, is_removed) {
        (true, false) => "run here",
        (false, true) => "cancelled",
        (false, false) => "run",
        (true, true) => unreachable!("both have had the job"),
    };
    assert_eq!(result, expected);
    assert_eq!(count(&job.num_runs), usize::from(!is_removed));
    job.assert_gone();
}

#[test]
fn one_of_worker_waiter_and_canceller_has_the_job() {
    explore(3, || three_claim(Without::Nothing));
}

#[test]
fn twin_the_worker_only_looks() {
    assert_caught("twin_the_worker_only_looks", RACE, 3, || {
        three_claim(Without::Claim);
    });
}

#[test]
fn twin_the_entry_in_the_lane_owns_nothing() {
    assert_caught("twin_the_entry_in_the_lane_owns_nothing", "panicked", 3, || {
        three_claim(Without::ReferenceForTheEntry);
    });
}

/// `Raw::lend_level`: queued once more, further up. Two workers find the two entries.
#[test]
fn of_two_entries_of_a_job_one_is_stale() {
    explore(3, || {
        let job = Job::new(false, Without::Nothing);
        job.retain();
        let workers = [spawn(&job, |job| job.run()), spawn(&job, |job| job.run())];
        assert_eq!(Job::wait(&job), "run");
        for worker in workers {
            worker.join().unwrap();
        }
        job.assert_gone();
    });
}

// I6: a gate stands for an entry.

/// What a job waits for is there, while it is cancelled.
fn gate_opens(without: Without) {
    let job = Job::with_life(Life::waiting(), false, without);
    let opener = spawn(&job, |job| job.open());
    // A `JobRef`.
    job.retain();
    let canceller = spawn(&job, |job| {
        let is_removed = job.cancel();
        job.release();
        is_removed
    });
    let result = Job::wait(&job);
    opener.join().unwrap();
    assert_eq!(result, if canceller.join().unwrap() { "cancelled" } else { "run" });
    job.assert_gone();
}

#[test]
fn a_gate_that_opens_and_a_canceller_are_told_apart() {
    explore(3, || gate_opens(Without::Nothing));
}

#[test]
fn twin_the_gate_owns_nothing() {
    assert_caught("twin_the_gate_owns_nothing", "panicked", 3, || {
        gate_opens(Without::ReferenceForTheEntry);
    });
}

// I3: whoever waits is told once, or knows.

fn one_waits(without: Without) {
    let job = Job::new(false, without);
    let worker = spawn(&job, |job| job.run());
    assert_eq!(Job::wait(&job), "run");
    worker.join().unwrap();
    assert!(count(&job.num_told) <= 1);
    job.assert_gone();
}

#[test]
fn whoever_waits_is_told_or_knows() {
    explore(3, || one_waits(Without::Nothing));
}

#[test]
fn twin_the_waiter_does_not_hear_that_it_is_too_late() {
    assert_caught("twin_the_waiter_does_not_hear_that_it_is_too_late", DEADLOCK, 3, || {
        one_waits(Without::AnswerOfAttach);
    });
}

#[test]
fn twin_nobody_tells_the_waiter() {
    assert_caught("twin_nobody_tells_the_waiter", DEADLOCK, 3, || one_waits(Without::Telling));
}

/// Two attach while the job ends; those that are told have not been refused, in the order in which
/// they came.
#[test]
fn each_of_two_is_told_once_or_refused() {
    explore(3, || {
        let job = Job::new(false, Without::Nothing);
        let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        job.retain();
        let attach = |which: usize| {
            let told = std::sync::Arc::clone(&told);
            move |job: &Arc<Job>| {
                let tell = move || told.lock().unwrap().push(which);
                job.life(|life| life.attach(tell))
            }
        };
        let other = {
            let attach = attach(2);
            spawn(&job, move |job| {
                let is_attached = attach(job);
                job.release();
                is_attached
            })
        };
        let worker = spawn(&job, |job| job.run());
        let attached = [attach(0)(&job), attach(1)(&job)];
        let third = other.join().unwrap();
        worker.join().unwrap();
        job.drop_handle(false);
        let mut told = std::mem::take(&mut *told.lock().unwrap());
        assert!(told.iter().filter(|&&which| which < 2).is_sorted());
        told.sort_unstable();
        let expected = [(0, attached[0]), (1, attached[1]), (2, third)];
        let expected: Vec<usize> =
            expected.iter().filter(|(_, is_told)| *is_told).map(|&(which, _)| which).collect();
        assert_eq!(told, expected);
        job.assert_gone();
    });
}

/// A continuation is freed with the job's end, also if nobody told it anything.
#[test]
fn a_continuation_is_dropped_once() {
    explore(3, || {
        let job = Job::new(false, Without::Nothing);
        let kept = std::sync::Arc::new(());
        let worker = spawn(&job, |job| job.run());
        let in_list = std::sync::Arc::clone(&kept);
        job.life(|life| life.attach(move || drop(std::sync::Arc::clone(&in_list))));
        job.drop_handle(false);
        worker.join().unwrap();
        assert_eq!(std::sync::Arc::strong_count(&kept), 1);
        job.assert_gone();
    });
}

// I4: of handle and runner, one drops the result and frees the job.

fn handle_goes(without: Without) {
    let job = Job::new(false, without);
    let worker = spawn(&job, |job| job.run());
    job.drop_handle(false);
    worker.join().unwrap();
    job.stage.with(|stage| {
        // SAFETY: both threads are done.
        assert_eq!(unsafe { *stage }, Stage::Nothing, "the result is left");
    });
    job.assert_gone();
}

#[test]
fn of_handle_and_runner_one_has_the_result() {
    explore(3, || handle_goes(Without::Nothing));
}

#[test]
fn twin_the_handle_relies_on_the_runner() {
    assert_caught("twin_the_handle_relies_on_the_runner", "the result is left", 3, || {
        handle_goes(Without::AnswerOfDetach);
    });
}

#[test]
fn twin_the_runner_relies_on_the_handle() {
    assert_caught("twin_the_runner_relies_on_the_handle", "the result is left", 3, || {
        handle_goes(Without::AnswerOfFinish);
    });
}

/// The handle goes while somebody else removes the job, whose entry is still in a lane.
fn handle_goes_and_one_cancels(without: Without) {
    let job = Job::new(false, without);
    if without != Without::ReferenceOfItsOwn {
        job.retain();
    }
    let worker = spawn(&job, |job| job.run());
    let canceller = spawn(&job, move |job| {
        job.cancel();
        if without != Without::ReferenceOfItsOwn {
            job.release();
        }
    });
    job.drop_handle(false);
    worker.join().unwrap();
    canceller.join().unwrap();
    job.assert_gone();
}

#[test]
fn a_stale_entry_and_a_handle_that_goes_free_the_job_once() {
    explore(3, || handle_goes_and_one_cancels(Without::Nothing));
}

#[test]
fn twin_a_stale_entry_has_no_reference() {
    assert_caught("twin_a_stale_entry_has_no_reference", "panicked", 3, || {
        handle_goes_and_one_cancels(Without::ReferenceForTheEntry);
    });
}

#[test]
fn twin_whoever_cancels_has_no_reference() {
    assert_caught("twin_whoever_cancels_has_no_reference", "panicked", 3, || {
        handle_goes_and_one_cancels(Without::ReferenceOfItsOwn);
    });
}

// HELD: what is looked at meanwhile stays.

/// `Raw::cancel` of a job that runs looks at its pool, which may go when the job has ended.
fn one_holds(without: Without) {
    let job = Job::new(false, without);
    job.retain();
    let canceller = spawn(&job, move |job| {
        let look = || job.pool.with(|_| ());
        let is_held = match without {
            Without::Hold => {
                let is_running = job.life(Life::is_running);
                if is_running {
                    look();
                }
                is_running
            }
            _ => job.life(|life| life.hold(look)),
        };
        job.release();
        is_held
    });
    let worker = spawn(&job, |job| job.run());
    assert_eq!(Job::wait(&job), "run");
    // All jobs have ended, so the pool goes.
    job.pool.with_mut(|_| ());
    worker.join().unwrap();
    canceller.join().unwrap();
    job.assert_gone();
}

#[test]
fn a_job_that_is_held_does_not_end() {
    explore(3, || one_holds(Without::Nothing));
}

#[test]
fn twin_a_job_is_not_held() {
    assert_caught("twin_a_job_is_not_held", RACE, 3, || one_holds(Without::Hold));
}

#[test]
fn two_may_hold_a_job_that_ends() {
    explore(2, || {
        let job = Job::new(false, Without::Nothing);
        let looks = Arc::new(AtomicUsize::new(0));
        job.retain();
        let hold = {
            let looks = Arc::clone(&looks);
            move |job: &Arc<Job>| {
                job.life(|life| {
                    life.hold(|| {
                        assert_eq!(looks.fetch_add(1, Ordering::Relaxed), 0, "one at a time");
                        looks.fetch_sub(1, Ordering::Relaxed);
                    })
                });
            }
        };
        let other = {
            let hold = hold.clone();
            spawn(&job, move |job| {
                hold(job);
                job.release();
            })
        };
        let worker = spawn(&job, |job| job.run());
        hold(&job);
        assert_eq!(Job::wait(&job), "run");
        other.join().unwrap();
        worker.join().unwrap();
        job.assert_gone();
    });
}

// I2: one writes the result, though the job may end while it runs.

/// The time of a job is up while it is queued, or runs, or ends.
fn time_is_up(without: Without) {
    let job = Job::new(true, without);
    // The timer's.
    job.retain();
    let timer = spawn(&job, |job| {
        job.time_out();
        job.release();
    });
    let worker = spawn(&job, |job| job.run());
    let result = Job::wait(&job);
    timer.join().unwrap();
    worker.join().unwrap();
    match result {
        "run" => assert_eq!(count(&job.num_runs), 1),
        "cancelled" => assert_eq!(count(&job.num_runs), 0),
        _ => assert_eq!((result, count(&job.num_runs)), ("timed out", 1)),
    }
    job.assert_gone();
}

#[test]
fn of_runner_and_timer_one_writes_the_result() {
    explore(3, || time_is_up(Without::Nothing));
}

#[test]
fn twin_the_runner_does_not_claim_the_result() {
    assert_caught("twin_the_runner_does_not_claim_the_result", "panicked", 3, || {
        time_is_up(Without::ClaimOfTheResult);
    });
}

#[test]
fn twin_the_timer_leaves_no_reference_to_the_runner() {
    assert_caught("twin_the_timer_leaves_no_reference_to_the_runner", "panicked", 3, || {
        time_is_up(Without::ReferenceForTheRunner);
    });
}

/// The result goes where the closure is.
#[test]
fn twin_a_timed_job_is_not_held_until_it_starts() {
    assert_caught("twin_a_timed_job_is_not_held_until_it_starts", RACE, 3, || {
        time_is_up(Without::HoldUntilTheStart);
    });
}

/// As before, and nobody waits: the handle goes.
#[test]
fn a_job_without_a_handle_whose_time_is_up_is_freed_once() {
    explore(3, || {
        let job = Job::new(true, Without::Nothing);
        job.retain();
        let timer = spawn(&job, |job| {
            job.time_out();
            job.release();
        });
        let worker = spawn(&job, |job| job.run());
        job.drop_handle(false);
        timer.join().unwrap();
        worker.join().unwrap();
        job.assert_gone();
    });
}

/// A job with a limit is cancelled while it runs and its time is up: it is held between two claims.
#[test]
fn a_held_job_is_timed_out_when_it_is_let_go() {
    explore(2, || {
        let job = Job::new(true, Without::Nothing);
        assert!(job.claim());
        job.take_call();
        job.life(Life::start);
        job.retain();
        let timer = spawn(&job, |job| {
            if job.life(Life::claim_result) {
                job.retain();
                job.set_result("timed out");
                job.tell();
            }
            job.release();
        });
        job.retain();
        let canceller = spawn(&job, |job| {
            let is_held = job.life(|life| life.hold(|| job.pool.with(|_| ())));
            job.release();
            is_held
        });
        if job.life(Life::claim_result) {
            job.set_result("run");
            job.tell();
        } else {
            job.release();
        }
        Job::wait(&job);
        timer.join().unwrap();
        canceller.join().unwrap();
        job.pool.with_mut(|_| ());
        job.assert_gone();
    });
}

/// As above, and the timer does not come: whoever ends the job waits for whoever holds it.
#[test]
fn a_timed_job_that_is_held_ends_when_it_is_let_go() {
    explore(3, || {
        let job = Job::new(true, Without::Nothing);
        assert!(job.claim());
        job.take_call();
        job.life(Life::start);
        job.retain();
        let canceller = spawn(&job, |job| {
            job.life(|life| life.hold(|| job.pool.with(|_| ())));
            job.release();
        });
        assert!(job.life(Life::claim_result), "nobody else ends it");
        job.set_result("run");
        job.tell();
        Job::wait(&job);
        canceller.join().unwrap();
        job.assert_gone();
    });
}

// Jobs that are tried again (`job::attempt`).

impl Job {
    /// `attempt::run_claimed`, twice: the first attempt fails, the second does not.
    fn run_twice(&self) {
        if !self.claim() {
            return self.release();
        }
        self.begin();
        if self.without == Without::HoldToPutBack {
            self.step(|stage| stage == Stage::Nothing, Stage::Call);
        }
        // `attempt::wait_again`
        if !self.life(Life::hold_to_wait) {
            return self.release();
        }
        if self.without != Without::HoldToPutBack {
            self.step(|stage| stage == Stage::Nothing, Stage::Call);
        }
        self.retain();
        self.life(Life::wait_again);
        if self.without != Without::LookAtTheToken && self.token.load(Ordering::Acquire) {
            self.cancel();
        }
        // `Gate::open`, and a worker finds it at once.
        if self.life(Life::open) && self.claim() {
            self.begin();
            if self.is_timed && !self.life(Life::claim_result) {
                self.release();
            } else {
                self.set_result("run");
                self.tell();
            }
        } else {
            self.release();
        }
        self.release();
    }

    /// An attempt begins.
    fn begin(&self) {
        self.take_call();
        if self.holds_until_start() {
            self.life(Life::start);
        }
        add(&self.num_runs);
        assert!(
            count(&self.num_runs) == 1 || count(&self.num_answers) == 0,
            "tried again after the cancel"
        );
    }

    /// All others are done. (That whoever waits is told is another model's.)
    fn result_in_the_end(&self) -> &'static str {
        assert!(self.life(Life::is_finished), "it never ends");
        self.take_by_handle()
    }

    /// `Raw::cancel`.
    fn cancel_for_good(&self) {
        loop {
            if self.cancel() || self.life(Life::is_over) {
                break;
            }
            self.token.store(true, Ordering::Release);
            if self.life(|life| life.hold(|| ())) || self.without == Without::SecondTry {
                break;
            }
        }
        add(&self.num_answers);
    }

    /// `Raw::time_out`.
    fn time_out_for_good(&self) {
        loop {
            if self.cancel() {
                return;
            }
            if self.life(Life::claim_result) {
                // `end_running`
                self.retain();
                self.set_result("timed out");
                return self.tell();
            }
            if self.life(Life::is_over) {
                return;
            }
        }
    }
}

fn cancel_beats_retry(without: Without) {
    let job = Job::new(false, without);
    // A `JobRef`.
    job.retain();
    let canceller = spawn(&job, |job| {
        job.cancel_for_good();
        job.release();
    });
    let worker = spawn(&job, |job| job.run_twice());
    worker.join().unwrap();
    canceller.join().unwrap();
    let result = job.result_in_the_end();
    assert_eq!(result, if count(&job.num_runs) == 2 { "run" } else { "cancelled" });
    assert_eq!(count(&job.num_freed), 1, "freed so often");
}

#[test]
fn a_job_that_was_cancelled_is_not_tried_again() {
    explore(2, || cancel_beats_retry(Without::Nothing));
}

#[test]
fn twin_the_runner_does_not_look_at_the_token() {
    let fault = "tried again after the cancel";
    assert_caught("twin_the_runner_does_not_look_at_the_token", fault, 2, || {
        cancel_beats_retry(Without::LookAtTheToken);
    });
}

#[test]
fn twin_whoever_cancels_tries_once() {
    let fault = "tried again after the cancel";
    assert_caught("twin_whoever_cancels_tries_once", fault, 2, || {
        cancel_beats_retry(Without::SecondTry);
    });
}

fn time_is_up_between_attempts(without: Without) {
    let job = Job::new(true, without);
    // The timer's.
    job.retain();
    let timer = spawn(&job, |job| {
        job.time_out_for_good();
        job.release();
    });
    let worker = spawn(&job, |job| job.run_twice());
    timer.join().unwrap();
    worker.join().unwrap();
    match job.result_in_the_end() {
        "run" => assert_eq!(count(&job.num_runs), 2),
        "cancelled" => assert!(count(&job.num_runs) <= 1),
        result => assert_eq!(result, "timed out"),
    }
    assert_eq!(count(&job.num_freed), 1, "freed so often");
}

/// The result goes where the closure is put back.
#[test]
fn of_a_timer_and_a_runner_that_puts_the_closure_back_one_has_the_place() {
    explore(2, || time_is_up_between_attempts(Without::Nothing));
}

#[test]
fn twin_a_job_is_not_held_while_its_closure_is_put_back() {
    assert_caught("twin_a_job_is_not_held_while_its_closure_is_put_back", RACE, 2, || {
        time_is_up_between_attempts(Without::HoldToPutBack);
    });
}

// Rows: jobs that share an entry in a lane (`job::ready`).

/// A chunk of jobs, and the lane.
struct Row {
    ready: Ready,
    /// How many entries of the chunk the lane holds.
    entries: AtomicUsize,
    /// What the job in a place captures.
    calls: [UnsafeCell<u32>; 3],
    num_runs: [std::sync::atomic::AtomicUsize; 3],
    without: Without,
}

// SAFETY: loom's cells check each access.
unsafe impl Sync for Row {}
// SAFETY: as above.
unsafe impl Send for Row {}

impl Row {
    fn new(without: Without) -> Arc<Row> {
        Arc::new(Row {
            ready: Ready::new(),
            entries: AtomicUsize::new(0),
            calls: std::array::from_fn(|_| UnsafeCell::new(0)),
            num_runs: Default::default(),
            without,
        })
    }

    /// `Row::queue`, and the push that it asks for.
    fn submit(&self, places: &[u32]) {
        for &place in places {
            // SAFETY: nobody else knows of the job; loom checks.
            self.calls[place as usize].with_mut(|call| unsafe { *call = place });
        }
        let is_new = self.ready.add(places.iter().map(|place| 1 << place).sum());
        if is_new && self.without != Without::AnswerOfAdd {
            self.entries.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn pop(&self) -> bool {
        let less = |entries: usize| entries.checked_sub(1);
        self.entries.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok()
    }

    /// `store::run_row`, by somebody who runs so many jobs, the last of which never ends.
    fn run(&self, most: usize) {
        if !self.pop() {
            return;
        }
        for nth in 0..most {
            let Some((place, more)) = self.ready.take() else { return };
            if nth == 0 && more && self.without != Without::Sharing {
                self.entries.fetch_add(1, Ordering::AcqRel);
            }
            self.run_one(place);
            if !more {
                return;
            }
        }
    }

    fn run_one(&self, place: u32) {
        // SAFETY: taken, so ours alone; loom checks.
        let call = self.calls[place as usize].with_mut(|call| unsafe { *call });
        assert_eq!(call, place);
        add(&self.num_runs[place as usize]);
    }

    /// Whoever has nothing to do finds what is left.
    fn run_the_rest(&self) {
        while self.entries.load(Ordering::Acquire) > 0 {
            self.run(usize::MAX);
        }
    }

    fn num_runs(&self) -> [usize; 3] {
        std::array::from_fn(|place| count(&self.num_runs[place]))
    }
}

/// One submits, two run, and stay with the first job they find, or the second.
fn a_row(most: usize, without: Without) {
    let row = Row::new(without);
    let threads = [0, 1].map(|_| {
        let row = Arc::clone(&row);
        thread::spawn(move || row.run(most))
    });
    row.submit(&[1]);
    row.submit(&[2]);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    row.run_the_rest();
    assert_eq!(row.num_runs(), [0, 1, 1]);
}

#[test]
fn jobs_of_a_row_are_found_beside_one_that_blocks() {
    explore(3, || a_row(1, Without::Nothing));
}

#[test]
fn jobs_of_a_row_are_found_beside_the_second_that_blocks() {
    explore(3, || a_row(2, Without::Nothing));
}

#[test]
fn twin_a_row_is_not_listed() {
    assert_caught("twin_a_row_is_not_listed", "left", 3, || a_row(1, Without::AnswerOfAdd));
}

/// Both are queued at once; whoever takes the first never comes back.
fn a_row_at_once(without: Without) {
    let row = Row::new(without);
    row.submit(&[1, 2]);
    let other = {
        let row = Arc::clone(&row);
        thread::spawn(move || row.run(1))
    };
    row.run(1);
    other.join().unwrap();
    row.run_the_rest();
    assert_eq!(row.num_runs(), [0, 1, 1]);
}

#[test]
fn a_row_that_is_queued_at_once_is_shared() {
    explore(3, || a_row_at_once(Without::Nothing));
}

#[test]
fn twin_a_row_is_not_shared() {
    assert_caught("twin_a_row_is_not_shared", "left", 3, || a_row_at_once(Without::Sharing));
}

/// A waiter takes one of two jobs out of the row, or comes too late.
#[test]
fn a_job_leaves_its_row_once() {
    explore(3, || {
        let row = Row::new(Without::Nothing);
        row.submit(&[1]);
        let worker = {
            let row = Arc::clone(&row);
            thread::spawn(move || row.run(usize::MAX))
        };
        let waiter = {
            let row = Arc::clone(&row);
            thread::spawn(move || {
                if row.ready.withdraw(1) {
                    row.run_one(1);
                }
            })
        };
        row.submit(&[2]);
        worker.join().unwrap();
        waiter.join().unwrap();
        row.run_the_rest();
        assert_eq!(row.num_runs(), [0, 1, 1]);
    });
}

// Whoever has the bit has the job (`job::life` I1).

/// One job in a row.
struct Grouped {
    ready: Ready,
    job: Arc<Job>,
}

impl Grouped {
    fn new(without: Without) -> Arc<Grouped> {
        let ready = Ready::new();
        let _ = ready.add(1 << 1);
        Arc::new(Grouped { ready, job: Job::with_life(Life::in_row(), false, without) })
    }

    /// `Cell::run_from_row`.
    fn run(&self) {
        if self.ready.take().is_some() {
            self.job.life(Life::start_from_row);
            self.job.run_claimed("run");
        }
    }

    /// `Raw::discard_from_row`.
    fn discard(&self) {
        if self.ready.take().is_some() {
            self.discard_taken();
        }
    }

    fn discard_taken(&self) {
        self.job.life(Life::single_out);
        if self.job.life(Life::claim_to_end) {
            self.job.take_call();
            self.job.set_result("discarded");
            self.job.tell();
        } else {
            self.job.release();
        }
    }

    /// `Raw::run_in_place`, where the pool discards what has not started, or does not.
    fn run_in_place(&self, discards: bool) -> bool {
        if !self.ready.withdraw(1) {
            return false;
        }
        if discards {
            self.discard_taken();
        } else {
            self.job.life(Life::start_from_row);
            self.job.run_claimed("run here");
        }
        self.job.without == Without::LookAtTheEnd || self.job.life(Life::is_finished)
    }

    /// `Raw::claim_beside`.
    fn claim_beside(&self, claim: impl FnOnce(&Life) -> bool) -> bool {
        let job = &self.job;
        if self.ready.withdraw(1) || job.without == Without::AnswerOfWithdraw {
            if job.without != Without::SinglingOut {
                job.life(Life::single_out);
            }
        } else if job.life(Life::is_in_row) {
            return false;
        } else {
            job.retain();
        }
        let is_ours = job.life(claim);
        if !is_ours {
            job.release();
        }
        is_ours
    }

    fn run_here(&self) -> bool {
        let is_ours = self.claim_beside(|life| life.claim(false));
        if is_ours {
            self.job.run_claimed("run here");
        }
        is_ours
    }

    fn cancel(&self) -> bool {
        let is_ours = self.claim_beside(Life::claim_to_end);
        if is_ours {
            self.job.take_call();
            self.job.set_result("cancelled");
            self.job.tell();
        }
        is_ours
    }

    /// `Raw::lend_level`, and somebody finds the new entry at once.
    fn lend(&self) {
        if self.ready.withdraw(1) {
            self.job.life(Life::single_out);
        } else if self.job.life(Life::is_in_row) {
            return;
        } else {
            self.job.retain();
        }
        self.job.run();
    }
}

/// A worker finds the job in its row, or discards it, its waiter runs it itself, and a third cancels it, or
/// lends it its level.
fn three_claim_from_a_row(lends: bool, without: Without) {
    three_claim_from_a_row_of(false, lends, without);
}

fn three_claim_from_a_row_of(ends: bool, lends: bool, without: Without) {
    let row = Grouped::new(without);
    let job = &row.job;
    let spawn = |f: fn(&Grouped) -> bool| {
        let row = Arc::clone(&row);
        thread::spawn(move || f(&row))
    };
    let worker = spawn(if ends {
        |row| {
            row.discard();
            true
        }
    } else {
        |row| {
            row.run();
            true
        }
    });
    // A `JobRef`.
    job.retain();
    let third: fn(&Grouped) -> bool = if lends {
        |row| {
            row.lend();
            row.job.release();
            false
        }
    } else {
        |row| {
            let is_removed = row.cancel();
            row.job.release();
            is_removed
        }
    };
    let third = spawn(third);
    let is_run_here = row.run_here();
    let result = Job::wait_unless(job, is_run_here);
    worker.join().unwrap();
    let is_removed = third.join().unwrap();
    let expected = match (is_run_here, is_removed) {
        (true, false) => "run here",
        (false, true) => "cancelled",
        (false, false) if ends => "discarded",
        (false, false) => "run",
        (true, true) => unreachable!("both have had the job"),
    };
    assert_eq!(result, expected);
    job.assert_gone();
}

/// A worker runs the job out of its row, or discards it, and so does its waiter; a third cancels it.
fn a_waiter_takes_from_a_row(discards: bool, without: Without) {
    let row = Grouped::new(without);
    let job = &row.job;
    let worker = {
        let row = Arc::clone(&row);
        thread::spawn(move || if discards { row.discard() } else { row.run() })
    };
    // A `JobRef`.
    job.retain();
    let third = {
        let row = Arc::clone(&row);
        thread::spawn(move || {
            let is_removed = row.cancel();
            row.job.release();
            is_removed
        })
    };
    let result = Job::wait_unless(job, row.run_in_place(discards));
    worker.join().unwrap();
    match (third.join().unwrap(), discards) {
        (true, _) => assert_eq!(result, "cancelled"),
        (false, true) => assert_eq!(result, "discarded"),
        (false, false) => assert!(matches!(result, "run" | "run here")),
    }
    job.assert_gone();
}

#[test]
fn a_waiter_runs_a_job_out_of_its_row() {
    explore(3, || a_waiter_takes_from_a_row(false, Without::Nothing));
}

#[test]
fn a_waiter_discards_a_job_out_of_its_row() {
    explore(3, || a_waiter_takes_from_a_row(true, Without::Nothing));
}

#[test]
fn twin_a_waiter_takes_for_ended_what_another_ends() {
    let name = "twin_a_waiter_takes_for_ended_what_another_ends";
    assert_caught(name, RACE, 3, || a_waiter_takes_from_a_row(true, Without::LookAtTheEnd));
}

#[test]
fn whoever_has_the_bit_of_a_job_has_the_job() {
    explore(3, || three_claim_from_a_row(false, Without::Nothing));
}

#[test]
fn whoever_discards_a_row_has_its_jobs() {
    explore(3, || three_claim_from_a_row_of(true, false, Without::Nothing));
}

#[test]
fn a_job_is_lent_a_level_out_of_its_row() {
    explore(3, || three_claim_from_a_row(true, Without::Nothing));
}

#[test]
fn twin_a_job_is_claimed_without_its_bit() {
    assert_caught("twin_a_job_is_claimed_without_its_bit", RACE, 3, || {
        three_claim_from_a_row(false, Without::AnswerOfWithdraw);
    });
}

#[test]
fn twin_a_job_that_was_withdrawn_is_not_singled_out() {
    let name = "twin_a_job_that_was_withdrawn_is_not_singled_out";
    assert_caught(name, RACE, 3, || three_claim_from_a_row(false, Without::SinglingOut));
}
