//! What may be said of a node beside its body.
#![forbid(unsafe_code)]

use super::error::NodeError;
use super::rule::TriggerRule;
use super::run::At;
use crate::{Priority, RetryPolicy};
use std::time::Duration;

/// Says how long to wait before a node that has failed runs again; `None`: it does not.
pub(super) enum Retry {
    Policy(RetryPolicy),
    With(Box<NextDelay>),
}

/// Is told how often the node has run, and the error.
pub(super) type NextDelay = dyn Fn(u32, &NodeError) -> Option<Duration> + Send + Sync;

/// Makes the result of a node that has failed. `true`: it has.
pub(super) type Fallback = Box<dyn Fn(&NodeError, At<'_>) + Send + Sync>;

/// See the module.
#[derive(Default)]
pub(super) struct Extra {
    pub(super) rule: TriggerRule,
    /// Whether the stop of the run does not concern it.
    pub(super) is_shielded: bool,
    pub(super) priority: Option<Priority>,
    pub(super) cost: Option<Duration>,
    pub(super) run_timeout: Option<Duration>,
    pub(super) start_within: Option<Duration>,
    pub(super) retry: Option<Retry>,
    pub(super) fallback: Option<Fallback>,
    /// Those whose results it cannot do without, if its rule does not see to it.
    pub(super) needs: Vec<u32>,
    pub(super) is_kept: bool,
}

impl Extra {
    /// Whether more than one thread may want to start or end the node.
    pub(super) fn is_contended(&self) -> bool {
        self.start_within.is_some()
    }

    /// Whether it runs, if its rule says so, in a run that is stopped.
    pub(super) fn defies_stop(&self) -> bool {
        self.is_shielded || matches!(self.rule, TriggerRule::Always)
    }
}
