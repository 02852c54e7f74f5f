//! Jobs that wait for something else than a worker: for other jobs, for a time, for room.
//!
//! A job that waits is in no lane. It has a [`Gate`], which stands for its entry, and which whoever
//! knows what the job waits for keeps until then. So a gate that is dropped, with a timer that is
//! stopped, say, ends its job: none is forgotten (L3).
//!
//! The board lists such jobs, so that the end of their pool finds them.

use super::admit;
use super::board::Board;
use super::outcome::{JobError, JobOutcome, SkipCause};
use super::raw::Raw;
use super::submit::list;
use crate::engine::clock;
use crate::engine::registry::Registry;
use crate::engine::sync::{Ordering, fence};
use crate::job::abandon_pending;
use crate::time::TimerKey;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// The right to have a waiting job queued, or to end it. Dropped, it abandons the job.
#[must_use = "a gate that is dropped abandons its job"]
pub(crate) struct Gate {
    job: Raw,
    /// The pool, which may end before the gate does: then it has ended the job.
    registry: Weak<Registry>,
    /// Whether the job is counted as one that waits.
    is_counted: bool,
}

impl Gate {
    /// The gate of a job, which has options.
    ///
    /// # Safety
    /// The job is WAITING (`life`), and has no gate. Its pool is alive. The caller owns a reference
    /// beside that of the gate.
    pub(super) unsafe fn new(job: Raw, registry: &Registry) -> Gate {
        let gate = Gate { job, registry: registry.to_weak(), is_counted: false };
        let board = Board::of(registry);
        job.extra().expect("a job with a gate has options").list_waiting(board, job);
        // Pairs with the fence in `Board::advance`: either the end of the pool sees the job in the
        // list, or we see that it has begun.
        fence(Ordering::SeqCst);
        if board.is_discarding() {
            job.abandon();
        }
        gate
    }

    /// Counts the job as one that waits, for those who ask whether all others do: what it waits for
    /// is known by now, or will make itself known.
    pub(super) fn counted(mut self, board: &Board) -> Gate {
        self.is_counted = true;
        board.begin_wait();
        self
    }

    /// Has the gate opened at `at`. Returns the timer.
    pub(super) fn open_at(mut self, board: &Board, at: Instant) -> TimerKey {
        self.is_counted = true;
        let key = board.timer().insert(at, move || self.open());
        // Not before it is in the timer: whoever moves a clock, and sees that all others wait, knows
        // all the times that they wait for.
        board.begin_wait();
        key
    }

    /// Has the job queued, when its group has room for it.
    pub(crate) fn open(self) {
        let gate = match self.registry.upgrade() {
            Some(registry) => {
                let job = self.job;
                match admit::pace(&registry, self, job) {
                    Some(gate) => gate,
                    // It is opened when the time has come.
                    None => return,
                }
            }
            None => self,
        };
        match gate.job.extra().and_then(|extra| extra.member.clone()) {
            Some(member) => member.enter(gate),
            None => gate.open_now(),
        }
    }

    /// The level of the job.
    pub(crate) fn level(&self) -> u8 {
        self.job.level()
    }

    /// Has the job queued: it waits for a worker now. If it has been ended meanwhile, that is all.
    pub(crate) fn open_now(self) {
        let Some((job, registry)) = self.into_parts() else { return };
        let (board, level) = (Board::of(&registry), job.level());
        let extra = job.extra().expect("a job with a gate has options");
        extra.ready.store(clock::ticks(), Ordering::Relaxed);
        extra.unlist_waiting(board);
        // The job may be gone when it is queued.
        let member = extra.member.clone();
        if let Some(member) = &member {
            member.queued();
        }
        if !job.header().life.open() {
            // SAFETY: whoever has ended the job has left us this reference (`life` I6).
            return unsafe { job.release() };
        }
        list(&registry, level, Some(job.entry()));
        registry.notify_of_job(level);
        if let Some(member) = member {
            member.listed();
        }
        // The end of the pool has seen the job neither in the list nor in the lane, or we see it.
        if board.is_discarding() {
            abandon_pending(&registry);
            registry.tell_idle();
        }
    }

    /// Ends the job, because something that it depends on did not complete.
    pub(crate) fn skip(self, because: SkipCause) {
        self.end(JobOutcome::Skipped, JobError::Skipped { because });
    }

    /// Ends the job, if nobody else has.
    pub(crate) fn end(self, outcome: JobOutcome, error: JobError) {
        let Some((job, registry)) = self.into_parts() else { return };
        if job.header().life.claim_to_end() {
            // SAFETY: claimed; afterwards it may be gone.
            unsafe { job.end_unstarted(outcome, error) };
            registry.tell_idle();
        } else {
            // SAFETY: as in `open`.
            unsafe { job.release() };
        }
    }

    /// `None`: the pool is gone, and with it all its jobs have ended.
    fn into_parts(self) -> Option<(Raw, Arc<Registry>)> {
        let mut gate = ManuallyDrop::new(self);
        let (job, registry) = (gate.job, std::mem::take(&mut gate.registry));
        match registry.upgrade() {
            Some(registry) => {
                if gate.is_counted {
                    Board::of(&registry).end_wait();
                }
                Some((job, registry))
            }
            None => {
                // SAFETY: whoever has ended the job has left us this reference (`life` I6).
                unsafe { job.release() };
                None
            }
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let registry = std::mem::take(&mut self.registry);
        let gate = Gate { job: self.job, registry, is_counted: self.is_counted };
        gate.end(JobOutcome::Abandoned, JobError::Abandoned);
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}
