//! How a job ends, and who is told.

use super::board::Counter;
use super::cancel::{CancelCause, Cancelled};
use super::context::Context;
use super::life::Life;
use super::options::Extra;
use super::outcome::{JobError, JobOutcome, JobPanic, TimeoutPhase};
use super::panic;
use super::raw::{Cell, Ending, Raw};
use super::work::{Options, Work};
use crate::engine::sync::Ordering;
use crate::engine::unwind::Payload;
use std::mem::ManuallyDrop;

impl Raw {
    /// What it means that the closure has returned.
    #[inline]
    pub(super) fn outcome_of_return(self) -> JobOutcome {
        match self.member() {
            Some(member) if member.has_failed() => JobOutcome::Failed,
            _ => JobOutcome::Completed,
        }
    }

    /// What a payload that came out of the closure means.
    pub(super) fn thrown(self, context: &Context<'_>, payload: Payload) -> (JobOutcome, JobError) {
        let location = panic::take_location(self);
        match context.cancelled_by(payload) {
            Ok(cancelled) => self.stopped(&cancelled),
            Err(payload) => {
                (JobOutcome::Panicked, JobError::Panicked(JobPanic::new(payload, location)))
            }
        }
    }

    /// What it means that its work has stopped.
    pub(super) fn stopped(self, cancelled: &Cancelled) -> (JobOutcome, JobError) {
        // Whoever looked was faster than the timer.
        if *cancelled.cause() == CancelCause::Deadline && self.is_late() {
            return (JobOutcome::TimedOut, JobError::TimedOut { phase: TimeoutPhase::Total });
        }
        (JobOutcome::Cancelled, JobError::cancelled(cancelled, true))
    }

    /// Whether the time is up that the job was given for itself.
    fn is_late(self) -> bool {
        let deadline = self.extra().and_then(Extra::deadline);
        deadline.is_some_and(|deadline| deadline <= self.board().now())
    }

    /// Ends a job that has not run.
    ///
    /// # Safety
    /// The caller has claimed the job; afterwards it may be gone, unless the caller owns it.
    pub(crate) unsafe fn end_unstarted(self, outcome: JobOutcome, error: JobError) {
        let vtable = self.header().vtable;
        // SAFETY: claimed, so the closure is there and ours.
        unsafe { (vtable.drop_call)(self) };
        self.note_end();
        // SAFETY: as above.
        unsafe { (vtable.set_error)(self, error) };
        self.forget_watchers();
        // SAFETY: the result is written.
        unsafe { self.end(outcome, self.counter()) };
    }

    /// Ends a job that runs on: its handle is told `error`.
    ///
    /// # Safety
    /// The caller owns a reference to the job, and has the right to write its result.
    pub(crate) unsafe fn end_running(self, outcome: JobOutcome, error: JobError) {
        // For its runner, who still needs it and finds that it has ended.
        self.header().refs.retain();
        // SAFETY: the closure has been taken out: until then the job was held (`life` I2).
        unsafe { (self.header().vtable.set_error)(self, error) };
        self.forget_watchers();
        let counter = self.counter();
        // SAFETY: the result is written.
        unsafe { self.tell(outcome, counter) };
    }

    /// It ends: nobody need look after its limits any more.
    pub(super) fn forget_watchers(self) {
        if let Some(extra) = self.extra() {
            extra.forget_limits(self.board());
        }
        if let Some(record) = self.record() {
            record.forget_timer(self.board());
        }
    }

    /// Where the calling thread counts the job, if it counts.
    fn counter<'a>(self) -> Option<Counter<'a>> {
        // The pool is alive: the caller is one of its threads, or holds it.
        self.header().vtable.is_counted.then(|| self.board().counter())
    }

    /// The job has ended, and its result is there.
    ///
    /// # Safety
    /// As [`Self::tell`]; and nothing of it runs any more.
    #[inline(always)]
    pub(super) unsafe fn end(self, outcome: JobOutcome, counter: Option<Counter<'_>>) {
        // Whoever is told finds the room that it has left.
        self.give_all_back();
        // SAFETY: by contract.
        unsafe { self.tell(outcome, counter) };
        if let Some(counter) = counter {
            counter.resolved();
        }
    }

    /// The runner of a job is done with it, whose time was up before, and whose end has been told.
    ///
    /// # Safety
    /// The caller has run the job, and has not the right to end it.
    pub(super) unsafe fn leave_late(self) {
        self.give_all_back();
        self.board().counter().resolved();
        // SAFETY: whoever ended it left this reference to its runner.
        unsafe { self.release() };
    }

    /// Tells those who want to know that the job has ended.
    ///
    /// # Safety
    /// The caller has the right to write the result and has written it. Afterwards the job may be
    /// gone, unless the caller owns a reference.
    #[inline(always)]
    unsafe fn tell(self, outcome: JobOutcome, counter: Option<Counter<'_>>) {
        let header = self.header();
        let vtable = header.vtable;
        header.outcome.store(outcome as u8, Ordering::Relaxed);
        if let Some(counter) = counter {
            counter.count(outcome);
        }
        // SAFETY: by contract.
        let (continuations, is_detached) = unsafe { Life::finish(&raw const header.life) };
        if is_detached {
            // SAFETY: nobody else wants it, and the job's owner is us (`life` I4).
            unsafe {
                (vtable.drop_result)(self);
                self.release();
            }
        }
        continuations.go_on();
    }

    /// # Safety
    /// The caller owns a reference, which this is.
    #[inline]
    pub(crate) unsafe fn release(self) {
        if self.header().refs.release() {
            // SAFETY: it was the last.
            unsafe { self.free() };
        }
    }

    /// Takes the result.
    ///
    /// # Safety
    /// The job has ended, its output is a `T`, and the caller is the handle, which takes it once.
    #[inline]
    pub(crate) unsafe fn take_result<T>(self) -> Result<T, JobError> {
        // SAFETY: by contract.
        unsafe { self.take_ending() }.map_err(|error| *error)
    }

    /// As [`Self::take_result`], as it is kept.
    ///
    /// # Safety
    /// As there.
    #[inline]
    pub(super) unsafe fn take_ending<T>(self) -> Ending<T> {
        // SAFETY: by contract; a union is as large and as aligned as each of its fields.
        unsafe {
            let at = self.0.as_ptr().byte_add(self.header().vtable.result);
            at.cast::<Ending<T>>().read()
        }
    }

    /// # Safety
    /// As [`Self::take_result`].
    pub(crate) unsafe fn drop_result(self) {
        // SAFETY: by contract.
        unsafe { (self.header().vtable.drop_result)(self) };
    }

    /// Ends a job that was never accepted.
    ///
    /// # Safety
    /// Nobody else knows of the job.
    pub(crate) unsafe fn reject(self, error: JobError) {
        let vtable = self.header().vtable;
        // SAFETY: nobody else has the closure, nor sees the result before it is there.
        unsafe {
            (vtable.drop_call)(self);
            (vtable.set_error)(self, error);
            let _ = Life::finish(&raw const self.header().life);
        }
    }

    /// Takes a job back that was queued in vain.
    ///
    /// # Safety
    /// The call is a `C`, and the caller owns a reference and has claimed the job.
    pub(crate) unsafe fn take_call<X: Options, C: Work>(self) -> C {
        // SAFETY: claimed, so the closure is there and ours.
        unsafe { ManuallyDrop::take(&mut (*Cell::<X, C>::stage(self)).call) }
    }
}
