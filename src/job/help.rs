//! What a thread that waits may do meanwhile: run what it waits for, if that is queued.

use super::context::Context;
use super::life::Phase;
use super::reference::JobRef;

impl JobRef {
    /// Runs the job here and now, in its pool. `false`: it is not queued, or somebody else takes it.
    pub(super) fn run_now(&self) -> bool {
        let job = self.raw();
        let is_ours =
            job.phase() == Phase::Queued && job.claim_beside(|life| life.claim(job.is_timed()));
        if is_ours {
            // SAFETY: claimed, and we are a reference.
            unsafe { job.run_here() };
        }
        is_ours
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
