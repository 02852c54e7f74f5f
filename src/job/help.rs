//! What a thread that waits may do meanwhile: run what it waits for, if that is queued.

use super::context::Context;
use super::life::Phase;
use super::raw::Raw;
use super::reference::JobRef;
use crate::bridge::block_on::Helping;
use crate::engine::registry::Registry;
use crate::engine::worker::Worker;

impl Raw {
    /// Runs the job here and now, if the calling thread is in its pool, and it is queued in a row, from
    /// which one step takes it. `true`: it has ended. The caller owns it.
    #[inline(never)]
    pub(super) fn run_in_place(self) -> bool {
        Worker::with_current(|worker| {
            let worker = worker.filter(|worker| self.is_in(worker.registry()));
            let Some(worker) = worker.filter(|_| self.withdraw()) else { return false };
            // What it polls is its own affair.
            let _helping = Helping::set(false);
            // SAFETY: its bit is ours, and the caller owns the job beside that.
            unsafe { self.run_on(worker, self.header().vtable.run_from_row) };
            // If the pool discards what has not started, it may be another who ends it, just now.
            self.header().life.is_finished()
        })
    }
}

impl JobRef {
    /// Runs the job here and now, in its pool. `false`: it is not queued, or somebody else takes it.
    pub(super) fn run_now(&self) -> bool {
        let is_ours = self.claim_queued();
        if is_ours {
            // SAFETY: claimed, and we are a reference.
            unsafe { self.raw().run_here() };
        }
        is_ours
    }

    /// As [`Self::run_now`], on a thread outside of the pool, `registry`, if that has room for it. The
    /// room comes first: a job that is claimed must be run, and might have to wait for it.
    pub(super) fn run_if_room(&self, registry: &Registry) -> bool {
        let job = self.raw();
        let run = |worker: &Worker| {
            let is_ours = self.claim_queued();
            if is_ours {
                // SAFETY: claimed, and we are a reference.
                unsafe { job.run_on(worker, job.header().vtable.run_claimed) };
            }
            is_ours
        };
        job.phase() == Phase::Queued
            && registry.enter_if_room(job.level(), run).is_some_and(|is_run| is_run)
    }

    fn claim_queued(&self) -> bool {
        let job = self.raw();
        job.phase() == Phase::Queued && job.claim_beside(|life| life.claim(job.is_timed()))
    }

    /// As [`Self::run_now`], on a thread of the pool, which waits for the job.
    pub(crate) fn run_if_queued(&self) -> bool {
        self.raw().is_here() && self.run_now()
    }

    /// Whether the calling thread works for this job.
    pub(crate) fn is_current(&self) -> bool {
        Context::current_job() == Some(self.raw())
    }
}

/// Whether the calling thread works for a member of the group with that address, or of one below.
pub(crate) fn is_inside_group(group: usize) -> bool {
    let member = Context::current_job().and_then(|job| job.extra()?.member.clone());
    member.is_some_and(|member| member.is_within(group))
}
