//! What happens to a schedule, as it is told.

use crate::time::when::{Moment, When};
use crate::{CancelCause, TimeoutPhase};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Something that has happened to a schedule.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScheduleEvent {
    /// When, by the clock of the pool.
    pub at: Moment,
    /// What.
    pub kind: ScheduleEventKind,
}

/// What has happened to a schedule.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ScheduleEventKind {
    /// A run has begun, on a worker.
    Started {
        /// The number of the run, from 1.
        run: u64,
        /// When it was due.
        due: When,
        /// How much later, jitter not counted, it has begun.
        lateness: Duration,
    },
    /// A run has ended. Not told of one that the end of the pool has abandoned.
    Finished {
        /// The number of the run.
        run: u64,
        /// How.
        outcome: RunOutcome,
    },
    /// Runs that were due are not made.
    Skipped {
        /// Why.
        reason: SkipReason,
        /// How many.
        count: u64,
        /// When the last of them was due.
        last: When,
    },
    /// No more runs until it is resumed.
    Paused {
        /// Whether that is because a run has failed ([`OnError::Pause`](super::OnError::Pause)).
        by_error: bool,
    },
    /// It goes on.
    Resumed,
    /// It has another trigger.
    Changed,
    /// There are no more runs.
    Ended {
        /// Why.
        reason: EndReason,
    },
}

/// Why a run was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SkipReason {
    /// The run before had not ended: [`Overlap`](super::Overlap).
    Overlap,
    /// It was missed, and one run is made for all that were:
    /// [`Misfire::RunLate`](super::Misfire::RunLate).
    Coalesced,
    /// It was missed: [`Misfire::Skip`](super::Misfire::Skip).
    Missed,
    /// It was noticed later than its [grace](super::ScheduleBuilder::grace) allows.
    GracePassed,
    /// The schedule was paused.
    Paused,
    /// The schedule got another trigger before the run could begin.
    Changed,
    /// The series had ended before the run could begin.
    Ended,
    /// The pool did not accept it.
    Rejected,
}

/// Why a series has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// Nothing is due any more: by its trigger, by its end, or by its number of runs.
    Exhausted,
    /// It was cancelled, or its token was.
    Cancelled,
    /// A run has failed ([`OnError::Stop`](super::OnError::Stop)).
    Error,
    /// The pool has begun to shut down.
    Shutdown,
    /// Its trigger panicked, or said a time that was not later than the one before.
    BadTrigger,
}

/// How a run has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RunOutcome {
    /// Its closure returned.
    Completed,
    /// Its closure returned an error.
    Failed(Arc<dyn Error + Send + Sync>),
    /// Its closure panicked.
    Panicked {
        /// With this message, if it was a text.
        message: Option<String>,
    },
    /// It was cancelled.
    Cancelled {
        /// Why.
        cause: CancelCause,
    },
    /// It took too long.
    TimedOut {
        /// What took too long.
        phase: TimeoutPhase,
    },
    /// The pool was shut down before it began.
    Abandoned,
}

impl RunOutcome {
    /// Whether it counts as an error: it failed, panicked or timed out.
    pub fn is_error(&self) -> bool {
        matches!(
            self,
            RunOutcome::Failed(_) | RunOutcome::Panicked { .. } | RunOutcome::TimedOut { .. }
        )
    }
}

impl fmt::Display for RunOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunOutcome::Completed => f.write_str("completed"),
            RunOutcome::Failed(error) => write!(f, "failed: {error}"),
            RunOutcome::Panicked { message: Some(message) } => write!(f, "panicked: {message}"),
            RunOutcome::Panicked { message: None } => f.write_str("panicked"),
            RunOutcome::Cancelled { cause } => write!(f, "was cancelled: {cause}"),
            RunOutcome::TimedOut { .. } => f.write_str("timed out"),
            RunOutcome::Abandoned => f.write_str("was abandoned"),
        }
    }
}

/// How a schedule has fared so far.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ScheduleStats {
    /// Runs that have been submitted.
    pub runs: u64,
    /// Of those: that have not ended.
    pub in_flight: u64,
    /// Whose closure returned.
    pub completed: u64,
    /// That ended by an error, a panic or a limit in time.
    pub failed: u64,
    /// That were cancelled, or abandoned by the end of the pool.
    pub cancelled: u64,
    /// Runs that were due and not made.
    pub skipped: u64,
    /// How late runs began.
    pub lateness: Lateness,
}

/// How late runs have begun: after they were due, jitter not counted, until their closure was
/// called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lateness {
    /// Of how many runs.
    pub count: u64,
    /// The last one's.
    pub last: Duration,
    /// The greatest.
    pub max: Duration,
    /// Of all together.
    pub total: Duration,
}

impl Lateness {
    /// In the mean; zero before the first run.
    pub fn mean(&self) -> Duration {
        let nanos = self.total.as_nanos() / u128::from(self.count.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    pub(super) fn add(&mut self, lateness: Duration) {
        self.count += 1;
        self.last = lateness;
        self.max = self.max.max(lateness);
        self.total = self.total.saturating_add(lateness);
    }
}

/// Events that were kept for whoever asks: see [`take_events`](super::ScheduleHandle::take_events).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KeptEvents {
    /// In the order in which they happened.
    pub events: Vec<ScheduleEvent>,
    /// How many older ones were dropped to make room.
    pub lost: u64,
}

/// The events that nobody has taken, the last so many of them.
pub(super) struct Record {
    events: VecDeque<ScheduleEvent>,
    capacity: usize,
    lost: u64,
}

impl Record {
    pub(super) fn new(capacity: usize) -> Self {
        Record { events: VecDeque::new(), capacity, lost: 0 }
    }

    pub(super) fn keep(&mut self, event: ScheduleEvent) {
        if self.events.len() >= self.capacity {
            self.lost += 1;
            if self.events.pop_front().is_none() {
                return;
            }
        }
        self.events.push_back(event);
    }

    pub(super) fn take(&mut self) -> KeptEvents {
        let lost = std::mem::take(&mut self.lost);
        KeptEvents { events: std::mem::take(&mut self.events).into(), lost }
    }
}
