//! How a job runs that may be tried again.
//!
//! An attempt that is not the last one puts the closure back into the job, gives the job a gate, and
//! leaves: no worker, no thread stays with a job that waits for its next attempt (L1). The timer
//! opens the gate, and the job goes to the end of its lane, as a new one does. Nobody is asked
//! whether there is room: the job was let in when it was submitted. Until it starts again it counts
//! for no limit (`admit`).
//!
//! What has run as the owner of the job (`life` I4) becomes what the gate owns.
//!
//! *Cancel beats retry.* Whoever cancels closes the token first, and then looks for the job where it
//! is: if it runs, the runner looks at the token once the closure is back and others may end the job;
//! if it waits, whoever cancels ends it itself (`control`). One of the two sees the other, since both
//! go through the job's word. The same holds for the end of the pool, by its mode and by the list of
//! those that wait (`gate`).

use super::board::Board;
use super::cancel::Cancelled;
use super::context::Context;
use super::cx::JobCx;
use super::gate::Gate;
use super::life::Life;
use super::options::Extra;
use super::outcome::{JobError, JobOutcome, TimeoutPhase};
use super::panic;
use super::raw::{Cell, Raw, VTable};
use super::reference::JobRef;
use super::work::{Options, Work};
use crate::engine::unwind;
use crate::engine::worker::{Belonging, Worker};
use crate::time::after;
use std::mem::ManuallyDrop;
use std::time::Duration;

/// What an attempt has come to.
pub(super) enum Step<T> {
    End(JobOutcome, T),
    /// The job is to be tried again, so long from now.
    Again(Duration),
    /// It has been told to stop.
    Stopped(Cancelled),
}

/// What may be called several times.
pub(super) trait Attempts: Send + 'static {
    type Output: Send + 'static;

    /// The next attempt.
    fn attempt(&mut self, cx: &JobCx) -> Step<Self::Output>;

    /// It has panicked. `Some`: it is to be tried again.
    fn panicked(&mut self, cx: &JobCx, panic: &JobError) -> Option<Duration>;
}

/// The work of such a job.
pub(super) struct Tries<A>(pub(super) A);

impl<A: Attempts> Work for Tries<A> {
    type Output = A::Output;
    const IS_REPEATED: bool = true;

    fn vtable<X: Options>() -> &'static VTable {
        const { &Cell::<X, Tries<A>>::functions([run::<X, A>; 2], run_claimed::<X, A>) }
    }
}

/// # Safety
/// `data` is a `Cell<X, Tries<A>>`, and the lane's reference to it is given away with it.
unsafe fn run<X: Options, A: Attempts>(data: *const (), worker: &Worker) {
    // SAFETY: by contract; what is claimed is run.
    unsafe {
        if Cell::<X, Tries<A>>::claim_found(data, worker) {
            run_claimed::<X, A>(data, worker);
        }
    }
}

/// Runs one attempt.
///
/// # Safety
/// `data` is a live `Cell<X, Tries<A>>` whose job the caller has claimed; it may be gone afterwards.
unsafe fn run_claimed<X: Options, A: Attempts>(data: *const (), worker: &Worker) {
    // SAFETY: by contract.
    let (raw, Tries(mut tries)) = unsafe { Cell::<X, Tries<A>>::start(data, worker) };
    let board = Board::of(worker.registry());
    let record = raw.record().expect("it may be tried again");
    let number = record.begin(board.now());
    raw.list();
    if let Some(member) = raw.member() {
        member.started();
    }
    if let Some(limit) = raw.extra().and_then(Extra::run_timeout) {
        let job = JobRef::new(raw);
        let time_out = move || job.raw().time_out_attempt(number);
        let key = board.timer().insert(after(board.now(), limit), time_out);
        record.set_timer(number, key, board);
    }
    let context = Context::of_job(raw);
    let belonging = Belonging::enter_on(worker, context.as_ptr());
    let cx = JobCx::borrowed(raw);
    let end = match unwind::catch(|| tries.attempt(&cx)) {
        Ok(step) => {
            panic::forget_location(raw);
            match step {
                Step::End(outcome, output) => Ok((outcome, Ok(output))),
                Step::Again(delay) => Err(delay),
                Step::Stopped(cancelled) => {
                    let (outcome, error) = raw.stopped(&cancelled);
                    Ok((outcome, Err(Box::new(error))))
                }
            }
        }
        Err(payload) => {
            let (outcome, error) = raw.thrown(&context, payload);
            let again = match outcome {
                JobOutcome::Panicked => unwind::catch(|| tries.panicked(&cx, &error))
                    .unwrap_or_else(|payload| {
                        unwind::drop_quietly(payload);
                        None
                    }),
                _ => None,
            };
            match again {
                Some(delay) => {
                    unwind::drop_quietly(error);
                    Err(delay)
                }
                None => Ok((outcome, Err(Box::new(error)))),
            }
        }
    };
    drop(belonging);
    record.end(board);
    match end {
        Ok((outcome, result)) => {
            unwind::drop_quietly(tries);
            // SAFETY: started above, and nothing of it runs any more.
            unsafe { Cell::<X, Tries<A>>::settle(raw, worker, outcome, result) };
        }
        // SAFETY: as above; and the attempt is over.
        Err(delay) => unsafe { wait_again::<X, A>(raw, worker, tries, (number, delay)) },
    }
}

/// Puts the closure back and has the job wait.
///
/// # Safety
/// The caller has started the job, and nothing of it runs any more. It may be gone afterwards.
unsafe fn wait_again<X: Options, A: Attempts>(
    raw: Raw,
    worker: &Worker,
    tries: A,
    (number, delay): (u32, Duration),
) {
    let (header, registry) = (raw.header(), worker.registry());
    let board = Board::of(registry);
    raw.unlist();
    if !header.life.hold_to_wait() {
        unwind::drop_quietly(tries);
        // SAFETY: by contract; it has been ended by somebody else.
        return unsafe { raw.leave_late() };
    }
    // SAFETY: held, so the place is ours; the closure has been taken out of it (`life` I2).
    unsafe { (*Cell::<X, Tries<A>>::stage(raw)).call = ManuallyDrop::new(Tries(tries)) };
    raw.give_all_back();
    if let Some(member) = raw.member() {
        // Not yet for others to end.
        member.paused();
    }
    // Ours; the one that we have run with becomes the gate's.
    header.refs.retain();
    header.life.wait_again();
    // SAFETY: it waits, and had no gate; the pool is that of our worker.
    let gate = unsafe { Gate::new(raw, registry) };
    // When it waits already, see the module; and the fence of the gate pairs with that of
    // `abandon_retries`.
    if registry.is_stopping() {
        raw.abandon();
    }
    if let Err(cancelled) = raw.check() {
        raw.stop_waiting(&cancelled);
    }
    if delay.is_zero() {
        gate.open();
    } else {
        let key = gate.open_at(board, after(board.now(), delay));
        raw.record().expect("it may be tried again").set_timer(number, key, board);
    }
    // Whoever moves a clock waits for us.
    registry.tell_idle();
    // SAFETY: ours.
    unsafe { raw.release() };
}

impl Raw {
    /// Ends a job that waits to be tried again, if nobody else has.
    fn stop_waiting(self, cancelled: &Cancelled) {
        if self.claim_beside(Life::claim_to_end) {
            let (outcome, error) = self.stopped(cancelled);
            let registry = self.registry();
            // SAFETY: claimed, and the caller owns a reference.
            unsafe { self.end_unstarted(outcome, error) };
            registry.tell_idle();
        }
    }

    /// An attempt runs too long: that is the end of the job.
    fn time_out_attempt(self, number: u32) {
        let record = self.record().expect("it may be tried again");
        if record.while_running(number, || self.header().life.claim_result()) {
            // SAFETY: claimed, and the caller owns a reference.
            unsafe { self.end_late(TimeoutPhase::Running) };
        }
    }
}
