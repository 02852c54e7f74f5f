//! The life of a job in one word: its phase, whether anybody still wants its result, and who is to
//! be told when it ends.
//!
//! ```text
//! WAITING -> QUEUED -> RUNNING -> (RESOLVING ->) FINISHED
//!     \_____^__\_____^______________/^      RUNNING <-> HELD
//!      ^    |________|_ HELD: it shall run once more
//!           IN_ROW
//! ```
//!
//! I1. Whoever moves the job out of QUEUED (or WAITING) has the closure, and nobody else. A worker,
//!     a waiter, and a canceller may race for it; a queue entry whose job has been taken is stale.
//!     Of a job that is queued with others (IN_ROW) whoever has taken its bit (`ready` I1) has the
//!     closure, and need not ask: nobody else moves it on. Either to RUNNING, or to QUEUED, to be raced
//!     for as one that is queued by itself. Such a job is neither timed nor repeated. While somebody has
//!     its bit, others take it for one that runs; of those who only lend it their level there is one at a
//!     time, whoever has its handle, so that nobody else waits for it meanwhile.
//! I2. Whoever may write the result does so before FINISHED, alone: the one that runs the job, and
//!     if somebody else may end it meanwhile (a time-out), the one that has moved it to RESOLVING.
//!     Such a job is HELD from its claim until its closure has been taken out of the same place,
//!     and any job while it is put back there.
//! I3. FINISHED is final. The one that sets it takes the continuations along, in the same step.
//! I4. The memory is shared by `refs` owners. The one that runs the job and the typed handle are one
//!     owner together: the handle, unless it is gone (`DETACHED`) when the job ends. So a job that
//!     is run from the queue and taken by its handle changes no count.
//! I5. Publish last (L7): the one that sets FINISHED does not touch the job again, unless it holds
//!     a reference of its own or the job was `DETACHED`.
//! I6. A job that waits has a gate (`gate`), which stands for its entry in a lane: whoever takes the
//!     job out of WAITING leaves the gate a reference, as it does for an entry of a lane.

pub(crate) use super::told::Continue;
use super::told::{Continuations, Link, Told};
use crate::engine::sync::{AtomicPtr, AtomicU32, Ordering, spin_loop, thread};
use std::ptr;
use std::sync::Arc;

const PHASE: usize = 0b0111;
const WAITING: usize = 0;
const QUEUED: usize = 1;
const RUNNING: usize = 2;
/// Somebody has what it takes to write the result.
const RESOLVING: usize = 3;
const FINISHED: usize = 4;
/// Running, and may not end just now.
const HELD: usize = 5;
/// As QUEUED, for a job whose bit in its row says who has it.
const IN_ROW: usize = 6;
/// Nobody will take the result.
const DETACHED: usize = 0b1000;
const TAGS: usize = PHASE | DETACHED;

/// See the module.
pub(crate) struct Life {
    word: AtomicPtr<Link>,
}

/// How many own the job (I4).
pub(crate) struct Refs(AtomicU32);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Waiting,
    Queued,
    Running,
    Finished,
}

fn tag(word: *mut Link) -> usize {
    word.addr() & TAGS
}

fn with_tag(word: *mut Link, tag: usize) -> *mut Link {
    word.map_addr(|addr| (addr & !TAGS) | tag)
}

impl Life {
    /// A job that is about to be queued; nobody else knows of it.
    #[inline]
    pub(crate) fn queued() -> Self {
        Self::new(QUEUED)
    }

    /// A job that is about to be queued with others, by its bit; nobody else knows of it.
    #[inline]
    pub(crate) fn in_row() -> Self {
        Self::new(IN_ROW)
    }

    /// A job that is about to wait at a gate; nobody else knows of it.
    pub(crate) fn waiting() -> Self {
        Self::new(WAITING)
    }

    #[inline]
    fn new(phase: usize) -> Self {
        Life { word: AtomicPtr::new(ptr::without_provenance_mut(phase)) }
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        // Acquire pairs with the Release half of the exchange in `finish`: the result is visible.
        match tag(self.word.load(Ordering::Acquire)) & PHASE {
            WAITING => Phase::Waiting,
            QUEUED | IN_ROW => Phase::Queued,
            FINISHED => Phase::Finished,
            _ => Phase::Running,
        }
    }

    #[inline]
    pub(crate) fn is_finished(&self) -> bool {
        // As in `phase`.
        tag(self.word.load(Ordering::Acquire)) & PHASE == FINISHED
    }

    /// Whether it has ended, or somebody is about to end it.
    pub(crate) fn is_over(&self) -> bool {
        matches!(tag(self.word.load(Ordering::Acquire)) & PHASE, RESOLVING | FINISHED)
    }

    /// Changes the phase, if it is one of those. AcqRel: whoever moves the job on sees what was
    /// written to it before, and hands on what it has written. Acquire also for whoever comes too
    /// late: it may own no more than the reference that the other one has left to it, and must see
    /// that one in `refs`.
    #[inline]
    fn advance(&self, from: impl Fn(usize) -> bool, to: usize) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let now = tag(word);
            if !from(now & PHASE) {
                return false;
            }
            let next = with_tag(word, now & DETACHED | to);
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(seen) => word = seen,
            }
        }
    }

    /// Takes the job to run it, which is not in a row. `false`: somebody else has. If somebody may end it
    /// while it runs (`is_timed`), it is held until [`Self::start`], as its closure is still where the
    /// result goes.
    #[inline]
    pub(crate) fn claim(&self, is_timed: bool) -> bool {
        self.advance(|phase| phase == QUEUED, if is_timed { HELD } else { RUNNING })
    }

    /// Whether it is queued with others: whoever has its bit has the job.
    pub(crate) fn is_in_row(&self) -> bool {
        tag(self.word.load(Ordering::Acquire)) & PHASE == IN_ROW
    }

    /// Has the job run, by whoever has taken its bit.
    #[inline]
    pub(crate) fn start_from_row(&self) {
        self.leave_row(RUNNING);
    }

    /// The job is queued by itself from now on. By whoever has taken its bit.
    pub(crate) fn single_out(&self) {
        self.leave_row(QUEUED);
    }

    /// One step whatever else is in the word, and one that does not read the line first that it has to
    /// write: what is in front of the tag stays, as nobody else moves the phase. AcqRel as in `advance`.
    #[inline]
    fn leave_row(&self, to: usize) {
        #[cfg(not(any(loom, shuttle)))]
        let before = self.word.fetch_byte_sub(IN_ROW - to, Ordering::AcqRel);
        #[cfg(any(loom, shuttle))]
        let before = {
            let mut word = self.word.load(Ordering::Acquire);
            loop {
                let next = with_tag(word, tag(word) & DETACHED | to);
                let order = (Ordering::AcqRel, Ordering::Acquire);
                match self.word.compare_exchange_weak(word, next, order.0, order.1) {
                    Ok(before) => break before,
                    Err(seen) => word = seen,
                }
            }
        };
        debug_assert_eq!(tag(before) & PHASE, IN_ROW);
    }

    /// The job has waited long enough, and is about to be queued. `false`: it has been ended.
    pub(crate) fn open(&self) -> bool {
        self.advance(|phase| phase == WAITING, QUEUED)
    }

    /// The job has run, and shall wait to be run once more: holds it, so that its closure can be put
    /// back. `false`: somebody has ended it, or is about to.
    pub(crate) fn hold_to_wait(&self) -> bool {
        self.advance_running(HELD)
    }

    /// The closure is back in its place.
    pub(crate) fn wait_again(&self) {
        let is_ours = self.advance(|phase| phase == HELD, WAITING);
        debug_assert!(is_ours);
    }

    /// The closure of a timed job has been taken out.
    pub(crate) fn start(&self) {
        let is_ours = self.advance(|phase| phase == HELD, RUNNING);
        debug_assert!(is_ours);
    }

    /// Takes a job that has not started, and is not in a row, to end it without running it.
    pub(crate) fn claim_to_end(&self) -> bool {
        self.advance(|phase| phase == QUEUED || phase == WAITING, RESOLVING)
    }

    /// Takes the right to write the result of a running job.
    pub(crate) fn claim_result(&self) -> bool {
        self.advance_running(RESOLVING)
    }

    /// Calls `f` while the job is running and cannot end. `false`: it is not running.
    pub(crate) fn hold(&self, f: impl FnOnce()) -> bool {
        let is_held = self.advance_running(HELD);
        if is_held {
            f();
            self.start();
        }
        is_held
    }

    /// Moves a running job on, when nobody holds it. `false`: it does not run.
    fn advance_running(&self, to: usize) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let now = tag(word);
            match now & PHASE {
                RUNNING => {
                    let next = with_tag(word, now & DETACHED | to);
                    // As in `advance`.
                    let order = (Ordering::AcqRel, Ordering::Acquire);
                    match self.word.compare_exchange_weak(word, next, order.0, order.1) {
                        Ok(_) => return true,
                        Err(seen) => word = seen,
                    }
                }
                // A few instructions of another thread.
                HELD => {
                    thread::yield_now();
                    word = self.word.load(Ordering::Acquire);
                }
                _ => return false,
            }
        }
    }

    /// The job has ended, and its result is written. Returns those who are to be told, and whether
    /// nobody wants the result. If somebody does, the job may be gone (L7).
    ///
    /// # Safety
    /// The caller has the right to write the result, and `this` is live until the exchange inside.
    #[inline]
    pub(crate) unsafe fn finish(this: *const Life) -> (Continuations, bool) {
        // SAFETY: live, by contract.
        let word = unsafe { &(*this).word };
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let now = tag(seen);
            if now & PHASE == HELD {
                // A few instructions of another thread.
                spin_loop();
                thread::yield_now();
                seen = word.load(Ordering::Relaxed);
                continue;
            }
            let next = ptr::without_provenance_mut(now & DETACHED | FINISHED);
            // AcqRel: hands on the result, and takes over the continuations.
            match word.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return (Continuations(with_tag(seen, 0)), now & DETACHED != 0),
                Err(other) => seen = other,
            }
        }
    }

    /// The typed handle goes. `false`: the job has ended, and what the handle and the job's runner
    /// shared is the handle's (I4).
    pub(crate) fn detach(&self) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let now = tag(word);
            if now & PHASE == FINISHED {
                return false;
            }
            let next = with_tag(word, now | DETACHED);
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(seen) => word = seen,
            }
        }
    }

    /// Has `target` told when the job ends. `false`: it has ended.
    pub(crate) fn attach(&self, target: Arc<dyn Continue>) -> bool {
        self.attach_new(target).is_some()
    }

    /// As [`Self::attach`], and puts it into one allocation with its link. `None`: it has ended.
    pub(crate) fn attach_new<C: Continue>(&self, target: C) -> Option<Arc<Told<C>>> {
        let mut word = self.word.load(Ordering::Acquire);
        if tag(word) & PHASE == FINISHED {
            return None;
        }
        let told = Told::new(target);
        let node = Link::of(&told);
        loop {
            if tag(word) & PHASE == FINISHED {
                // SAFETY: nobody else has seen it.
                unsafe { Link::take_back(node, &told) };
                return None;
            }
            // SAFETY: ours until the exchange succeeds.
            unsafe { Link::set_next(node, with_tag(word, 0)) };
            let next = with_tag(node, tag(word));
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(told),
                Err(seen) => word = seen,
            }
        }
    }
}

impl Refs {
    /// One owner.
    #[inline]
    pub(crate) fn one() -> Self {
        Refs(AtomicU32::new(1))
    }

    /// One owner more.
    pub(crate) fn retain(&self) {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        assert!(before < u32::MAX / 2, "windlass: too many references to a job");
    }

    /// One owner less. `true`: it was the last, and frees the job.
    #[inline]
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        // Acquire pairs with the Release of the others: what they did to the job happened before.
        if self.0.load(Ordering::Acquire) == 1 {
            return true;
        }
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

// SAFETY: the list's nodes are Send and Sync by the bounds of `Continue`, and belong to whoever
// takes the list.
unsafe impl Send for Life {}
// SAFETY: as above; `next` is written by one thread before the node is shared.
unsafe impl Sync for Life {}
