//! What the outside holds of a run: while it lasts, and when it has ended.

use super::error::NodeError;
use super::family::Family;
use super::memory::Memory;
use super::node::{Node, NodeId};
use super::report::RunReport;
use super::run::{RunCore, RunStatus};
use super::state::NodeState;
use crate::engine::sync::{Ordering, lock};
use crate::job::{CancelCause, JobId};
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A run that has ended: how, and what its nodes have returned.
///
/// The results that are left are dropped with it.
pub struct Run {
    pub(super) core: Arc<RunCore>,
}

impl Run {
    /// Of a run that has ended, which this is the only one for.
    pub(super) fn new(core: Arc<RunCore>) -> Run {
        Run { core }
    }

    fn memory(&self) -> &Memory {
        self.core.memory()
    }

    fn ours(&self, node: NodeId) -> Option<u32> {
        (node.graph() == self.core.graph.id).then(|| node.at())
    }

    /// How it has ended.
    pub fn status(&self) -> RunStatus {
        self.core.status()
    }

    /// Whether no node has failed, and nothing was cancelled.
    pub fn is_completed(&self) -> bool {
        self.status() == RunStatus::Completed
    }

    /// The run, if it has completed.
    ///
    /// # Errors
    /// If it has not. The error holds the run.
    pub fn completed(self) -> Result<Run, RunError> {
        if self.is_completed() { Ok(self) } else { Err(RunError { run: Box::new(self) }) }
    }

    /// What a node has returned. `None` if it has not succeeded; if its result was dropped when its
    /// last user had succeeded, unless it is [kept](crate::graph::NodeBuilder::keep); if it was
    /// taken; or if the node is one of another graph.
    pub fn output<T: Sync>(&self, node: Node<T>) -> Option<&T> {
        let node = self.ours(node.id())?;
        // SAFETY: it is there, and the run has ended; a node of this graph with this key returns a
        // `T`.
        self.memory().has_result(node).then(|| unsafe { self.memory().borrow(node) })
    }

    /// As [`output`](Self::output), by value. Later calls find nothing.
    pub fn take<T: Send>(&mut self, node: Node<T>) -> Option<T> {
        let node = self.ours(node.id())?;
        // SAFETY: as in `output`; nobody borrows it.
        self.memory().has_result(node).then(|| unsafe { self.memory().take(node) })
    }

    /// How a node has ended; `None` if it is one of another graph.
    pub fn state(&self, node: impl Into<NodeId>) -> Option<NodeState> {
        self.ours(node.into()).map(|node| NodeState::of(self.memory().state(node)))
    }

    /// Why a node has not succeeded, or needed its fallback. `None` if it has succeeded.
    pub fn error(&self, node: impl Into<NodeId>) -> Option<NodeError> {
        let node = self.ours(node.into())?;
        let noted = lock(&self.core.notes).errors.get(&node).cloned();
        noted.or_else(|| match NodeState::of(self.memory().state(node)) {
            NodeState::Skipped => {
                let culprit = self.core.culprit(node);
                let because = culprit.map(|node| self.core.graph.name_of(node).into_owned());
                Some(NodeError::Skipped { because })
            }
            NodeState::Cancelled => {
                let cause = lock(&self.core.notes).stop.clone();
                Some(NodeError::Cancelled(cause.unwrap_or(CancelCause::Requested)))
            }
            _ => None,
        })
    }

    /// The node that has failed first, and why.
    pub fn first_failure(&self) -> Option<(NodeId, NodeError)> {
        let notes = lock(&self.core.notes);
        let node = notes.first?;
        Some((NodeId::new(self.core.graph.id, node), notes.errors.get(&node)?.clone()))
    }

    /// How often a node has run.
    pub fn attempts(&self, node: impl Into<NodeId>) -> u32 {
        let Some(node) = self.ours(node.into()) else { return 0 };
        let more = lock(&self.core.notes).attempts.get(&node).map(|tries| tries.count);
        more.unwrap_or_else(|| match NodeState::of(self.memory().state(node)) {
            NodeState::Succeeded | NodeState::Failed | NodeState::Panicked => 1,
            NodeState::TimedOut if !self.has_expired(node) => 1,
            _ => 0,
        })
    }

    fn has_expired(&self, node: u32) -> bool {
        let queued = crate::TimeoutPhase::Queued;
        matches!(lock(&self.core.notes).errors.get(&node), Some(NodeError::TimedOut(p)) if *p == queued)
    }

    /// Whether the node's fallback has stepped in.
    pub fn fell_back(&self, node: impl Into<NodeId>) -> bool {
        let node = self.ours(node.into());
        node.is_some_and(|node| lock(&self.core.notes).fell_back.contains(&node))
    }

    /// The name of a node, or its number.
    pub fn name_of(&self, node: impl Into<NodeId>) -> Option<Cow<'_, str>> {
        self.ours(node.into()).map(|node| self.core.graph.name_of(node))
    }

    /// How long it took, from the call to the end of the last node.
    pub fn elapsed(&self) -> Duration {
        let ended = self.core.ended_ticks.load(Ordering::Relaxed);
        super::report::duration(ended.saturating_sub(self.core.begun_ticks))
    }

    /// When and where each node ran, if that was [recorded](crate::graph::Launch::recorded).
    pub fn report(&self) -> Option<RunReport> {
        RunReport::of(&self.core)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let empty = Memory::empty(&self.core.graph);
        // SAFETY: it has ended: whoever touches the memory does so for a node that has not
        // (`run` I1), and we are the only ones to look at what is left.
        drop(unsafe { self.core.take_memory(empty) });
    }
}

impl std::panic::UnwindSafe for Run {}
impl std::panic::RefUnwindSafe for Run {}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("graph", &self.core.graph.name)
            .field("status", &self.status())
            .field("elapsed", &self.elapsed())
            .finish_non_exhaustive()
    }
}

/// A run that has not completed, as an error.
pub struct RunError {
    run: Box<Run>,
}

impl RunError {
    /// The run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The run.
    pub fn into_run(self) -> Run {
        *self.run
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let graph = &self.run.core.graph;
        write!(f, "{} ", graph.name)?;
        match (self.run.status(), self.run.first_failure()) {
            (RunStatus::Failed, Some((node, error))) => {
                write!(f, "has failed: node {:?}: {error}", graph.name_of(node.at()))
            }
            (RunStatus::Cancelled(cause), _) => write!(f, "was cancelled: {cause}"),
            (RunStatus::TimedOut, _) => f.write_str("was not done in time"),
            (RunStatus::Abandoned, _) => f.write_str("was abandoned: the pool was shut down"),
            _ => f.write_str("has failed"),
        }
    }
}

/// What `main` shows of it: the same as to users, and the run.
impl fmt::Debug for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({:?})", self.run)
    }
}

impl Error for RunError {}

/// A run that was [started](crate::graph::Graph::start): to be waited for, awaited or cancelled.
///
/// Dropping the handle detaches the run: it goes on, and its results are dropped at its end.
#[must_use = "dropping a handle detaches the run; say `detach` if that is meant"]
pub struct RunHandle {
    /// `None` when the run has been handed out.
    run: Option<Arc<RunCore>>,
    id: JobId,
}

impl RunHandle {
    pub(super) fn new(run: Arc<RunCore>, id: JobId) -> Self {
        RunHandle { run: Some(run), id }
    }

    /// The run's number among the jobs of its pool.
    pub fn id(&self) -> JobId {
        self.id
    }

    fn family(&self) -> Option<&Arc<Family>> {
        self.run.as_ref().map(|run| &run.family)
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.family().is_none_or(|family| family.latch.probe())
    }

    /// Waits for the run to end.
    ///
    /// # Panics
    /// If it was handed out before by [`try_take`](Self::try_take).
    ///
    /// # Blocking
    /// Until the run has ended. A worker of the pool runs nodes of this graph meanwhile, and
    /// nothing else.
    #[track_caller]
    pub fn wait(mut self) -> Run {
        let run = self.run.take().expect("the run was handed out before");
        run.family.wait();
        Run::new(run)
    }

    /// The run, if it has ended and was not handed out before.
    pub fn try_take(&mut self) -> Option<Run> {
        if self.is_finished() { self.run.take().map(Run::new) } else { None }
    }

    /// Stops the run: nodes that have not started are cancelled, those that run are asked to stop.
    pub fn cancel(&self) {
        self.cancel_with(CancelCause::Requested);
    }

    /// As [`cancel`](Self::cancel), for the given cause. The first one counts.
    pub fn cancel_with(&self, cause: CancelCause) {
        if let Some(run) = &self.run {
            run.stop(cause);
        }
    }

    /// Lets the run go.
    pub fn detach(self) {}
}

impl Future for RunHandle {
    type Output = Run;

    /// # Panics
    /// If the run was handed out before.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Run> {
        let family = self.family().expect("the run was handed out before");
        if !family.latch.probe() {
            let old = lock(&family.waker).replace(cx.waker().clone());
            // Outside of the lock: a waker is the user's code.
            drop(old);
            // The run may have ended before the waker was there.
            if !self.is_finished() {
                return Poll::Pending;
            }
        }
        Poll::Ready(Run::new(self.run.take().expect("it was there")))
    }
}

impl std::panic::UnwindSafe for RunHandle {}
impl std::panic::RefUnwindSafe for RunHandle {}

impl fmt::Debug for RunHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunHandle")
            .field("id", &self.id)
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
