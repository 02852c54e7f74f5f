//! What a node's body sees of its node.

use super::error::NodeError;
use super::graph::Graph;
use super::node::NodeId;
use super::run::{At, RunCore, UNEVEN};
use super::state::NodeState;
use crate::engine::sync::lock;
use crate::job::{CancelToken, Cancelled};
use std::borrow::Cow;
use std::fmt;

/// The node that runs, seen from inside: what the closures of
/// [`NodeBuilder::run_with`](crate::graph::NodeBuilder::run_with) and
/// [`try_run_with`](crate::graph::NodeBuilder::try_run_with) get.
#[derive(Clone, Copy)]
pub struct NodeCx<'a> {
    at: At<'a>,
}

impl<'a> NodeCx<'a> {
    pub(super) fn new(at: At<'a>) -> Self {
        NodeCx { at }
    }

    fn run(&self) -> &'a RunCore {
        self.at.run
    }

    /// The node.
    pub fn id(&self) -> NodeId {
        NodeId::new(self.run().graph.id, self.at.node)
    }

    /// The node's name, or its number.
    pub fn name(&self) -> Cow<'_, str> {
        self.run().graph.name_of(self.at.node)
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        lock(&self.run().notes).attempts.get(&self.at.node).map_or(1, |tries| tries.count)
    }

    /// A token that is cancelled when the node shall stop.
    pub fn token(&self) -> CancelToken {
        CancelToken::current().unwrap_or_default().child()
    }

    /// Whether the node shall stop.
    pub fn is_cancelled(&self) -> bool {
        self.checkpoint().is_err()
    }

    /// Goes on, or says that the node shall stop.
    ///
    /// # Errors
    /// If the run was stopped, or the node's time is up.
    pub fn checkpoint(&self) -> Result<(), Cancelled> {
        crate::checkpoint()
    }

    /// How a node of the graph is doing: a dependency, say, of a node that runs in any case.
    pub fn state_of(&self, node: impl Into<NodeId>) -> Option<NodeState> {
        let node = self.ours(node.into())?;
        Some(NodeState::of(self.run().memory().state(node)))
    }

    /// Why a dependency has not succeeded, or needed its fallback.
    pub fn error_of(&self, node: impl Into<NodeId>) -> Option<NodeError> {
        lock(&self.run().notes).errors.get(&self.ours(node.into())?).cloned()
    }

    fn ours(&self, node: NodeId) -> Option<u32> {
        (node.graph() == self.run().graph.id).then(|| node.at())
    }

    /// Chooses among the nodes that depend on this one: for all others, it counts as skipped. Nodes
    /// that do not depend on this one are not concerned. The last call counts.
    ///
    /// So a branch is skipped that was not chosen; where branches meet again, the rule
    /// [`NoneFailed`](crate::graph::TriggerRule::NoneFailed) takes what was.
    ///
    /// ```
    /// use windlass::Pool;
    /// use windlass::graph::{GraphBuilder, NodeState, TriggerRule};
    ///
    /// let mut graph = GraphBuilder::new();
    /// let size = graph.node("size").run(|| 3);
    /// // The branches come later: told by their names.
    /// let choose = graph.node("choose").input(size).run_with(|cx, &size| {
    ///     cx.choose_named([if size < 10 { "small" } else { "large" }]);
    /// });
    /// let small = graph.node("small").after(choose).run(|| "by hand");
    /// let large = graph.node("large").after(choose).run(|| "by machine");
    /// let done = graph
    ///     .node("done")
    ///     .input((small.maybe(), large.maybe()))
    ///     .rule(TriggerRule::NoneFailed)
    ///     .run(|(small, large)| *small.or(large).unwrap());
    /// let run = graph.build()?.run(&Pool::new(2)?);
    /// assert_eq!(run.output(done), Some(&"by hand"));
    /// assert_eq!(run.state(large), Some(NodeState::Skipped));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn choose<N: Into<NodeId>>(&self, nodes: impl IntoIterator<Item = N>) {
        let nodes = nodes.into_iter().filter_map(|node| self.ours(node.into())).collect();
        self.choose_among(nodes);
    }

    /// As [`choose`](NodeCx::choose), by name. Names that no node has are not concerned.
    pub fn choose_named<'n>(&self, names: impl IntoIterator<Item = &'n str>) {
        let graph = &self.run().graph;
        let find = |name: &str| graph.names.iter().find(|(_, known)| known == name);
        let nodes = names.into_iter().filter_map(|name| Some(find(name)?.0)).collect();
        self.choose_among(nodes);
    }

    fn choose_among(&self, nodes: Vec<u32>) {
        lock(&self.run().notes).choices.insert(self.at.node, nodes);
        self.run().mark(UNEVEN);
    }

    /// Has another graph run as a part of this node: nodes that were not known when the graph was
    /// built. The node ends when its body has returned and all that it has started has ended; if
    /// one of those does not complete, it fails. They are stopped with it.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use windlass::Pool;
    /// use windlass::graph::GraphBuilder;
    ///
    /// let found = Arc::new(AtomicUsize::new(0));
    /// let mut graph = GraphBuilder::new();
    /// let count = Arc::clone(&found);
    /// let scan = graph.node("scan").run_with(move |cx| {
    ///     let mut more = GraphBuilder::new();
    ///     for _ in 0..3 {
    ///         let count = Arc::clone(&count);
    ///         more.add(move || drop(count.fetch_add(1, Ordering::Relaxed)));
    ///     }
    ///     cx.spawn(&more.build().expect("it has no edges"));
    /// });
    /// let seen = Arc::clone(&found);
    /// let total = graph.node("total").after(scan).run(move || seen.load(Ordering::Relaxed));
    /// let run = graph.build()?.run(&Pool::new(2)?);
    /// assert_eq!(run.output(total), Some(&3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn(&self, graph: &Graph) {
        self.at.spawn(graph, None);
    }
}

impl fmt::Debug for NodeCx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeCx").field("node", &self.name()).finish_non_exhaustive()
    }
}
