//! How a node is doing, as a byte and as a value.
#![forbid(unsafe_code)]

use std::fmt;

pub(super) const WAITING: u8 = 0;
/// Its body runs, or what its body has started.
pub(super) const RUNNING: u8 = 1;
pub(super) const SUCCEEDED: u8 = 2;
pub(super) const FAILED: u8 = 3;
pub(super) const PANICKED: u8 = 4;
pub(super) const TIMED_OUT: u8 = 5;
pub(super) const CANCELLED: u8 = 6;
pub(super) const SKIPPED: u8 = 7;
/// Between two attempts.
pub(super) const RETRYING: u8 = 8;
/// Claimed by whoever is about to run or end it, where several may.
pub(super) const CLAIMED: u8 = 9;
/// It was decided that it does not run; its successors have not been told.
pub(super) const DOOMED: u8 = 10;
/// Its time to begin was up; its successors have not been told.
pub(super) const EXPIRED: u8 = 11;

/// Where a node of a run is, or how it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeState {
    /// It has not started.
    Waiting,
    /// It has started and not ended.
    Running,
    /// Its body has returned, or that of its fallback.
    Succeeded,
    /// Its body has returned an error.
    Failed,
    /// Its body has panicked.
    Panicked,
    /// It ran too long, or had not started in time.
    TimedOut,
    /// It was to be stopped, with the run or by its token.
    Cancelled,
    /// What it depends on ended so that it did not run.
    Skipped,
}

impl NodeState {
    pub(super) fn of(state: u8) -> NodeState {
        match state {
            RUNNING | RETRYING | CLAIMED => NodeState::Running,
            SUCCEEDED => NodeState::Succeeded,
            FAILED => NodeState::Failed,
            PANICKED => NodeState::Panicked,
            TIMED_OUT => NodeState::TimedOut,
            CANCELLED => NodeState::Cancelled,
            SKIPPED => NodeState::Skipped,
            _ => NodeState::Waiting,
        }
    }

    /// As a word in lower case: `"timed-out"`.
    pub fn name(self) -> &'static str {
        match self {
            NodeState::Waiting => "waiting",
            NodeState::Running => "running",
            NodeState::Succeeded => "succeeded",
            NodeState::Failed => "failed",
            NodeState::Panicked => "panicked",
            NodeState::TimedOut => "timed-out",
            NodeState::Cancelled => "cancelled",
            NodeState::Skipped => "skipped",
        }
    }

    /// Whether it has ended.
    pub fn is_final(self) -> bool {
        !matches!(self, NodeState::Waiting | NodeState::Running)
    }

    /// What that means for the nodes that depend on it; `None` until it has ended.
    pub fn outcome(self) -> Option<DepOutcome> {
        Some(match self {
            NodeState::Waiting | NodeState::Running => return None,
            NodeState::Succeeded => DepOutcome::Succeeded,
            NodeState::Failed | NodeState::Panicked | NodeState::TimedOut => DepOutcome::Failed,
            NodeState::Cancelled => DepOutcome::Cancelled,
            NodeState::Skipped => DepOutcome::Skipped,
        })
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a dependency has ended, as far as those that depend on it care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DepOutcome {
    /// Its result is there.
    Succeeded,
    /// It has returned an error, panicked, or was out of time.
    Failed,
    /// It was told to stop.
    Cancelled,
    /// It has not run, because of what it depends on itself, or because it was not chosen.
    Skipped,
}
