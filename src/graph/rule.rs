//! Goal: decide whether a node runs, by how its dependencies have ended.
//!
//! Rule: see [`TriggerRule`].
//!
//! Cost: none for a node with the default rule, while everything succeeds.
//!
//! Starvation bound: a node whose dependencies have all ended is decided upon; it never waits on.
//!
//! Not promised: which of several dependencies that succeed starts a node that wants any.
#![forbid(unsafe_code)]

use super::state::DepOutcome;
use std::fmt;
use std::sync::Arc;

/// When a node runs, given how its dependencies end.
///
/// | rule | decided | runs if | else |
/// |---|---|---|---|
/// | `AllSucceeded` | when all have ended | all have succeeded | skipped |
/// | `AllDone` | when all have ended | always | |
/// | `AnySucceeded` | with the first that succeeds | one has succeeded | skipped |
/// | `AnyFailed` | with the first that fails | one has failed | skipped |
/// | `NoneFailed` | when all have ended | all have succeeded or were skipped | skipped |
/// | `Always` | when all have ended | always, also in a run that was stopped | |
/// | `Custom` | with each that ends | it says `Run` | skipped, if it says so or all have ended |
///
/// For two dependencies, that is (s: succeeded, f: failed, c: cancelled, k: skipped; R: runs, -: is
/// skipped):
///
/// | rule | s s | s f | s c | s k | f f | f c | f k | c c | c k | k k |
/// |---|---|---|---|---|---|---|---|---|---|---|
/// | `AllSucceeded` | R | - | - | - | - | - | - | - | - | - |
/// | `AllDone` | R | R | R | R | R | R | R | R | R | R |
/// | `AnySucceeded` | R | R | R | R | - | - | - | - | - | - |
/// | `AnyFailed` | - | R | - | - | R | R | R | - | - | - |
/// | `NoneFailed` | R | - | - | R | - | - | - | - | - | R |
/// | `Always` | R | R | R | R | R | R | R | R | R | R |
///
/// A node without dependencies runs, but for `AnySucceeded` and `AnyFailed`, which are skipped.
/// One whose input ([`Inputs`](crate::graph::Inputs)) is not there is skipped whatever the rule
/// says; `maybe` inputs may be missing.
///
/// In a run that is stopped (cancelled, out of time, or failing fast), nodes that have not started
/// are cancelled, unless they are [shielded](crate::graph::NodeBuilder::shielded) or `Always`: for
/// those the rule decides.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum TriggerRule {
    /// All dependencies have succeeded.
    #[default]
    AllSucceeded,
    /// All have ended, in whatever way.
    AllDone,
    /// One has succeeded. The others are not waited for.
    AnySucceeded,
    /// One has failed. The others are not waited for.
    AnyFailed,
    /// All have ended, and each has succeeded or was skipped.
    NoneFailed,
    /// As `AllDone`, and also in a run that was stopped.
    Always,
    /// As the function says.
    Custom(CustomRule),
}

/// The function of [`TriggerRule::Custom`].
#[derive(Clone)]
pub struct CustomRule(Arc<dyn Fn(&DepStates<'_>) -> Decision + Send + Sync>);

/// What becomes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// It runs now.
    Run,
    /// It does not run.
    Skip,
    /// It is asked again when the next dependency has ended; if none is left, it is skipped.
    Wait,
}

impl TriggerRule {
    /// A rule of one's own, asked when a dependency has ended (and once at the start if there is
    /// none). If it panics, the node is skipped.
    ///
    /// ```
    /// use windlass::Pool;
    /// use windlass::graph::{Decision, GraphBuilder, TriggerRule};
    ///
    /// // Two of three votes are enough.
    /// let majority = TriggerRule::custom(|deps| match deps.num_succeeded() {
    ///     2.. => Decision::Run,
    ///     _ => Decision::Wait,
    /// });
    /// let mut graph = GraphBuilder::new();
    /// let votes = [("ann", true), ("bob", false), ("cid", true)].map(|(name, vote)| {
    ///     graph.node(name).try_run(move || vote.then_some(()).ok_or("no"))
    /// });
    /// let commit = graph.node("commit").after_all(votes).rule(majority).run(|| 42);
    /// graph.on_failure(windlass::graph::OnFailure::Continue);
    /// let run = graph.build()?.run(&Pool::new(2)?);
    /// assert_eq!(run.output(commit), Some(&42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn custom(f: impl Fn(&DepStates<'_>) -> Decision + Send + Sync + 'static) -> TriggerRule {
        TriggerRule::Custom(CustomRule(Arc::new(f)))
    }

    /// Whether it may decide before all dependencies have ended.
    pub(super) fn is_eager(&self) -> bool {
        matches!(self, TriggerRule::AnySucceeded | TriggerRule::AnyFailed | TriggerRule::Custom(_))
    }

    /// Whether the node runs, as far as is known.
    pub(super) fn decide(&self, deps: &DepStates<'_>) -> Decision {
        let if_done = |runs: bool| match (deps.num_waiting(), runs) {
            (0, true) => Decision::Run,
            (0, false) => Decision::Skip,
            _ => Decision::Wait,
        };
        let as_soon_as = |runs: bool| if runs { Decision::Run } else { if_done(false) };
        match self {
            TriggerRule::AllSucceeded => if_done(deps.num_succeeded() == deps.len()),
            TriggerRule::AllDone | TriggerRule::Always => if_done(true),
            TriggerRule::AnySucceeded => as_soon_as(deps.num_succeeded() > 0),
            TriggerRule::AnyFailed => as_soon_as(deps.num_failed() > 0),
            TriggerRule::NoneFailed => if_done(deps.num_failed() + deps.num_cancelled() == 0),
            TriggerRule::Custom(rule) => match (rule.0(deps), deps.num_waiting()) {
                (Decision::Wait, 0) => Decision::Skip,
                (decision, _) => decision,
            },
        }
    }
}

impl fmt::Debug for TriggerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TriggerRule::AllSucceeded => "AllSucceeded",
            TriggerRule::AllDone => "AllDone",
            TriggerRule::AnySucceeded => "AnySucceeded",
            TriggerRule::AnyFailed => "AnyFailed",
            TriggerRule::NoneFailed => "NoneFailed",
            TriggerRule::Always => "Always",
            TriggerRule::Custom(_) => "Custom",
        })
    }
}

impl fmt::Debug for CustomRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomRule").finish_non_exhaustive()
    }
}

/// How the dependencies of a node have ended so far.
#[derive(Clone, Copy, Debug)]
pub struct DepStates<'a> {
    /// In the order in which they were named; `None` for those that have not ended.
    outcomes: &'a [Option<DepOutcome>],
}

impl<'a> DepStates<'a> {
    pub(super) fn new(outcomes: &'a [Option<DepOutcome>]) -> Self {
        DepStates { outcomes }
    }

    fn count(&self, what: Option<DepOutcome>) -> usize {
        self.outcomes.iter().filter(|outcome| **outcome == what).count()
    }

    /// The dependencies in the order in which they were named; `None` for those that have not ended.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<DepOutcome>> + 'a {
        self.outcomes.iter().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.outcomes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    /// How many have not ended.
    pub fn num_waiting(&self) -> usize {
        self.count(None)
    }

    /// How many have succeeded.
    pub fn num_succeeded(&self) -> usize {
        self.count(Some(DepOutcome::Succeeded))
    }

    /// How many have failed.
    pub fn num_failed(&self) -> usize {
        self.count(Some(DepOutcome::Failed))
    }

    /// How many were cancelled.
    pub fn num_cancelled(&self) -> usize {
        self.count(Some(DepOutcome::Cancelled))
    }

    /// How many were skipped.
    pub fn num_skipped(&self) -> usize {
        self.count(Some(DepOutcome::Skipped))
    }
}
