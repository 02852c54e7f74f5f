//! How many members there are, and where.

use super::core::Place;
use crate::job::JobOutcome;

/// How many members a group has had, and where they are, at one moment: the others add up to
/// `total`, always. Members of nested groups count in theirs.
///
/// A member that has ended counts here a moment after its handle tells so.
///
/// ```
/// use windlass::{Join, Pool};
///
/// let pool = Pool::new(2)?;
/// let group = pool.group("sums").open();
/// for n in 0..10_u32 {
///     group.submit(move || n)?;
/// }
/// group.wait(Join::all())?;
/// let statistics = group.statistics();
/// assert_eq!((statistics.total, statistics.completed, statistics.pending()), (10, 10, 0));
/// assert_eq!(statistics.progress(), 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupStatistics {
    /// All that were accepted.
    pub total: u64,
    /// Wait for other jobs, or for the group's limit.
    pub waiting: u64,
    /// Wait for a worker.
    pub queued: u64,
    /// Run.
    pub running: u64,
    /// Have failed, and wait to be tried again.
    pub retrying: u64,
    /// Ended with a result.
    pub completed: u64,
    /// Ended with an error of their own:
    /// [`submit_fallible`](crate::GroupHandle::submit_fallible).
    pub failed: u64,
    /// Ended by a panic.
    pub panicked: u64,
    /// Ended by being cancelled.
    pub cancelled: u64,
    /// Ended by a limit in time.
    pub timed_out: u64,
    /// Never started, because something else did not complete.
    pub skipped: u64,
    /// Never started, because the pool was shut down.
    pub abandoned: u64,
    /// Never started, because they were pushed out of the [queue](crate::WhenFull).
    pub evicted: u64,
}

impl GroupStatistics {
    /// Those that have ended, in whatever way.
    pub fn finished(&self) -> u64 {
        self.completed + self.unsuccessful()
    }

    /// Those that have ended in any other way than with a result.
    pub fn unsuccessful(&self) -> u64 {
        self.failed
            + self.panicked
            + self.cancelled
            + self.timed_out
            + self.skipped
            + self.abandoned
            + self.evicted
    }

    /// Those that have not ended.
    pub fn pending(&self) -> u64 {
        self.waiting + self.queued + self.running + self.retrying
    }

    /// The part that has ended, from 0 to 1; 1 if there are no members.
    pub fn progress(&self) -> f64 {
        if self.total == 0 { 1.0 } else { self.finished() as f64 / self.total as f64 }
    }

    pub(super) fn at(&mut self, place: Place) -> &mut u64 {
        match place {
            Place::Waiting => &mut self.waiting,
            Place::Queued => &mut self.queued,
            Place::Retrying => &mut self.retrying,
        }
    }

    pub(super) fn count(&mut self, outcome: JobOutcome) {
        *match outcome {
            JobOutcome::Failed => &mut self.failed,
            JobOutcome::Completed => &mut self.completed,
            JobOutcome::Panicked => &mut self.panicked,
            JobOutcome::Cancelled => &mut self.cancelled,
            JobOutcome::TimedOut => &mut self.timed_out,
            JobOutcome::Skipped => &mut self.skipped,
            JobOutcome::Abandoned => &mut self.abandoned,
            JobOutcome::Evicted => &mut self.evicted,
        } += 1;
    }
}
