//! What others do to a job: claim it, cancel it, end it for its time, lend it their level.

use super::board::Mode;
use super::cancel::{CancelCause, CancelToken, Cancelled};
use super::life::{Life, Phase};
use super::outcome::{JobError, JobOutcome, TimeoutPhase};
use super::raw::{Raw, Run};
use super::reference::JobRef;
use crate::engine::job::JobRef as Entry;
use crate::engine::sync::{Ordering, fence, thread};
use crate::engine::worker::Worker;
use std::time::Instant;

impl Raw {
    /// Takes the job to run it. `false`: somebody else has. It is to be run at once: if it is timed,
    /// its timer waits for the start.
    #[inline]
    pub(crate) fn claim(self) -> bool {
        let header = self.header();
        header.life.claim(self.is_timed())
    }

    /// Whether the calling thread is in its pool.
    pub(crate) fn is_here(self) -> bool {
        Worker::with_current(|worker| worker.is_some_and(|at| self.is_in(at.registry())))
    }

    /// Runs a job that the calling thread has claimed, in its own pool.
    ///
    /// # Safety
    /// The caller has claimed the job, and owns a reference to it.
    pub(crate) unsafe fn run_here(self) {
        let run = self.header().vtable.run_claimed;
        let is_run = Worker::with_current(|worker| {
            let worker = worker.filter(|worker| self.is_in(worker.registry()));
            // SAFETY: by contract.
            worker.map(|worker| unsafe { self.run_on(worker, run) }).is_some()
        });
        if is_run {
            return;
        }
        // Until we are out of it again (L7).
        let registry = self.registry();
        // SAFETY: by contract.
        registry.enter(move |worker| unsafe { self.run_on(worker, run) });
    }

    /// Runs the job, by one of its ways, on the worker that the calling thread is.
    ///
    /// # Safety
    /// As that way demands; and the caller owns the job beside that.
    pub(super) unsafe fn run_on(self, worker: &Worker, run: Run) {
        worker.run_plain(Entry { data: self.0.as_ptr().cast_const().cast::<()>(), run });
        // A thread of the pool looks for more, and tells it when there is none. This one may have nothing
        // more to do with the pool.
        if worker.is_guest() {
            worker.registry().tell_idle();
        }
    }

    /// Runs a job that was made to be queued and has not been, unless it has been ended meanwhile.
    /// The caller has its only reference.
    pub(super) fn run_unqueued(self) -> bool {
        if self.header().life.is_in_row() {
            // Its bit was never set, so nobody else has it.
            self.header().life.single_out();
        }
        if self.claim() {
            // SAFETY: claimed, and that of the caller is the reference.
            unsafe { self.run_here() };
        } else {
            // SAFETY: whoever has ended it has left this to its entry, which it never had.
            unsafe { self.release() };
        }
        false
    }

    /// Whether its work shall stop. Asked by what runs in it.
    pub(crate) fn is_cancelled(self) -> bool {
        self.header().token.get().is_some_and(CancelToken::is_cancelled)
            || self.board().mode() == Mode::Cancelling
    }

    /// Goes on, or says why not. Asked by what runs in it.
    pub(crate) fn check(self) -> Result<(), Cancelled> {
        match self.header().token.get() {
            Some(token) if token.is_cancelled() => token.check(),
            _ if self.board().mode() == Mode::Cancelling => {
                Err(Cancelled::new(CancelCause::Shutdown))
            }
            _ => Ok(()),
        }
    }

    /// The token by which it is cancelled, made by what runs in it, to be handed out.
    pub(crate) fn token_from_inside<'a>(self) -> &'a CancelToken {
        if self.existing_token().is_none() {
            // It must hear of a shutdown: either that sees it in the list, or we see the mode.
            self.list();
            let token = self.header().token.get_or_make(self.board().clock());
            fence(Ordering::SeqCst);
            if self.board().mode() == Mode::Cancelling {
                token.cancel_with(CancelCause::Shutdown);
            }
        }
        self.token()
    }

    /// The token by which it is cancelled. One that is made here has no deadline, and nobody who is
    /// handed it before it is cancelled, so it needs no clock.
    pub(crate) fn token<'a>(self) -> &'a CancelToken {
        self.header().token.get_or_make(None)
    }

    pub(crate) fn existing_token<'a>(self) -> Option<&'a CancelToken> {
        self.header().token.get()
    }

    /// Ends it if it does not run, otherwise asks it to stop.
    pub(crate) fn cancel(self, cause: CancelCause) -> CancelOutcome {
        let header = self.header();
        let mut is_asked = false;
        loop {
            if self.claim_beside(Life::claim_to_end) {
                let registry = self.registry();
                let had_started = header.stamps.has_started();
                let error = JobError::Cancelled { cause, had_started };
                // SAFETY: claimed, and the caller owns a reference.
                unsafe { self.end_unstarted(JobOutcome::Cancelled, error) };
                registry.tell_idle();
                return CancelOutcome::Removed;
            }
            if header.life.is_over() {
                break;
            }
            is_asked |= self.token().cancel_with(cause.clone());
            // Its forks look when they are asked to.
            if header.life.hold(|| self.ask_its_workers()) {
                return CancelOutcome::Requested;
            }
            // It has ended; or somebody has taken it out of its row just now; or it waits to be tried
            // once more. Its runner looks at the token when it has put the closure back, but not again
            // if we have come after that.
            thread::yield_now();
        }
        // Perhaps because its runner has seen the token.
        if is_asked { CancelOutcome::Requested } else { CancelOutcome::AlreadyFinished }
    }

    /// Makes what runs in the job look around at its next fork. The job is held.
    fn ask_its_workers(self) {
        // SAFETY: held, so it is pending and its pool alive.
        unsafe { &*self.common().registry }.ask_all_to_check();
    }

    /// Ends it if it has not started: the pool shuts down.
    pub(crate) fn abandon(self) {
        if self.claim_beside(Life::claim_to_end) {
            let registry = self.registry();
            // SAFETY: claimed, and the caller owns a reference.
            unsafe { self.end_unstarted(JobOutcome::Abandoned, JobError::Abandoned) };
            registry.tell_idle();
        }
    }

    /// Ends it if it has not started: another is to have its room. `false`: it has, or is about to.
    pub(super) fn evict(self) -> bool {
        let is_ours = self.claim_unstarted();
        if is_ours {
            let registry = self.registry();
            // SAFETY: claimed, and the caller owns a reference.
            unsafe { self.end_unstarted(JobOutcome::Evicted, JobError::Evicted) };
            registry.tell_idle();
        }
        is_ours
    }

    /// Discards what a lane held, at the end of the pool.
    ///
    /// # Safety
    /// The entry was taken from a lane, and its reference with it.
    pub(crate) unsafe fn discard(entry: Entry) {
        // SAFETY: by contract.
        unsafe { Raw::from_entry(entry).discard_entry() };
    }

    /// Ends a job that a lane held, if nobody else has it.
    ///
    /// # Safety
    /// As [`Self::discard`].
    pub(super) unsafe fn discard_entry(self) {
        // Not as if to run it: its time may be up meanwhile.
        if self.header().life.claim_to_end() {
            // SAFETY: claimed; afterwards it may be gone.
            unsafe { self.end_unstarted(JobOutcome::Abandoned, JobError::Abandoned) };
        } else {
            // SAFETY: the lane's reference.
            unsafe { self.release() };
        }
    }

    /// Ends a job that was taken out of its row, at the end of the pool.
    ///
    /// # Safety
    /// The caller has its bit, and the reference with it.
    pub(super) unsafe fn discard_from_row(self) {
        self.header().life.single_out();
        // SAFETY: by contract.
        unsafe { self.discard_entry() };
    }

    /// Has `act` called with the job at a time, if it has not ended by then.
    pub(crate) fn limit(self, at: Instant, act: impl FnOnce(Raw) + Send + 'static) {
        let (job, timer) = (JobRef::new(self), self.board().timer());
        let key = timer.insert(at, move || act(job.raw()));
        if !self.extra().expect("a job with limits").add_timer(key) {
            timer.cancel(key);
        }
    }

    /// Its time is up.
    pub(crate) fn time_out(self, phase: TimeoutPhase) {
        let header = self.header();
        loop {
            let is_ours = match phase {
                TimeoutPhase::Queued => self.claim_unstarted(),
                _ => self.claim_beside(Life::claim_to_end),
            };
            if is_ours {
                let registry = self.registry();
                // SAFETY: claimed, and the caller owns a reference.
                unsafe { self.end_unstarted(JobOutcome::TimedOut, JobError::TimedOut { phase }) };
                return registry.tell_idle();
            }
            if phase == TimeoutPhase::Queued {
                return;
            }
            if header.life.claim_result() {
                // SAFETY: claimed, and the caller owns a reference.
                return unsafe { self.end_late(phase) };
            }
            if header.life.is_over() {
                return;
            }
            // It waits to be tried once more.
            thread::yield_now();
        }
    }

    /// Ends it while it runs, for its time.
    ///
    /// # Safety
    /// The caller owns a reference to the job, and has the right to write its result.
    pub(super) unsafe fn end_late(self, phase: TimeoutPhase) {
        let registry = self.registry();
        self.note_end();
        // SAFETY: by contract.
        unsafe { self.end_running(JobOutcome::TimedOut, JobError::TimedOut { phase }) };
        self.token().cancel_with(CancelCause::Deadline);
        registry.ask_all_to_check();
    }

    /// Claims a job that has never been started, for somebody who has not taken its entry.
    pub(super) fn claim_unstarted(self) -> bool {
        let claim = || self.claim_beside(Life::claim_to_end);
        match self.record() {
            Some(record) => record.unless_begun(claim),
            None => claim(),
        }
    }

    /// Somebody on this level, on this worker of the same pool, waits for the job.
    pub(crate) fn lend_level(self, worker: &Worker) {
        let (header, level) = (self.header(), worker.level());
        if header.level.fetch_min(level, Ordering::Relaxed) <= level {
            return;
        }
        match header.life.phase() {
            // Further up; or there once more, and whichever entry comes second is stale.
            Phase::Queued => {
                if !self.take_entry() {
                    // It is about to run, or to end.
                    return;
                }
                worker.queue_job(level, self.entry());
                worker.registry().notify_of_job(level);
            }
            Phase::Running => {
                if let Some(runner) = self.runner() {
                    worker.registry().worker(runner).lend_level(level);
                }
            }
            Phase::Waiting | Phase::Finished => {}
        }
    }

    /// Has it listed as running, so that a shutdown can ask it to stop, and name it. Called by what
    /// runs in it.
    pub(crate) fn list(self) {
        let (header, board) = (self.header(), self.board());
        if header.listed.load(Ordering::Relaxed) != 0 {
            return;
        }
        let shard = board.list(self);
        let mine = u16::try_from(shard + 1).expect("fewer workers than 2^16");
        if header.listed.compare_exchange(0, mine, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            // A fork of it was faster.
            board.unlist(shard, self);
        }
    }

    #[inline]
    pub(super) fn unlist(self) {
        let shard = self.header().listed.load(Ordering::Relaxed);
        if shard != 0 {
            self.unlist_from(shard);
        }
    }

    #[cold]
    fn unlist_from(self, shard: u16) {
        self.board().unlist(usize::from(shard) - 1, self);
        // It may run once more. Nothing runs in it now, so nobody lists it.
        self.header().listed.store(0, Ordering::Relaxed);
    }

    pub(crate) fn phase(self) -> Phase {
        self.header().life.phase()
    }
}

/// What a cancel has brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CancelOutcome {
    /// The job did not run, and never will. Its closure has been dropped.
    Removed,
    /// The job runs, and has been asked to stop.
    Requested,
    /// The job had ended before.
    AlreadyFinished,
}
