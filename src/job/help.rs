//! What a worker that waits for a group may do meanwhile: run one of its queued members.

use super::context::Context;
use super::life::Phase;
use super::raw::Raw;
use super::reference::JobRef;
use crate::engine::worker::Worker;

impl JobRef {
    /// Runs the job on the calling thread, if it is queued and the thread is one of its pool's.
    pub(crate) fn help(&self) {
        let job: Raw = self.raw();
        let is_here = Worker::with_current(|worker| {
            worker.is_some_and(|worker| job.is_in(worker.registry()))
        });
        if is_here
            && job.phase() == Phase::Queued
            && job.claim_beside(|life| life.claim(job.is_timed()))
        {
            // SAFETY: claimed, and we are a reference.
            unsafe { job.run_here() };
        }
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
