//! A graph that can be run, and the ways to run it.

use super::build::{GraphBuilder, kind_of};
use super::error::GraphError;
use super::family::Family;
use super::freeze;
use super::frozen::Frozen;
use super::node::{Node, NodeId};
use super::part;
use super::report::{NodeReport, RunReport};
use super::result::{Run, RunHandle};
use super::run::{Part, Plan, RunCore};
use super::slow;
use crate::Priority;
use crate::engine::registry::Registry;
use crate::engine::sync::lock;
use crate::engine::worker::context;
use crate::job::{Board, CancelCause, CancelToken, Context, Ongoing};
use crate::pool::Pool;
use crate::time::after;
use crate::time::nanoseconds;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A graph of nodes that run after one another, and side by side where they may.
///
/// It is put together by a [`GraphBuilder`], checked once, and then run as often as one likes, also
/// several times at once. It is a handle: clones are the same graph.
///
/// ```
/// use windlass::Pool;
/// use windlass::graph::Graph;
///
/// let mut graph = Graph::builder();
/// let left = graph.node("left").run(|| 20);
/// let right = graph.node("right").run(|| 22);
/// let sum = graph.node("sum").input((left, right)).run(|(left, right)| left + right);
/// let graph = graph.build()?;
///
/// let pool = Pool::new(2)?;
/// let run = graph.run(&pool);
/// assert_eq!(run.output(sum), Some(&42));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Graph {
    pub(super) frozen: Arc<Frozen>,
}

impl Graph {
    pub(super) fn new(frozen: Arc<Frozen>) -> Graph {
        Graph { frozen }
    }

    /// A graph that is put together: as [`GraphBuilder::new`].
    pub fn builder() -> GraphBuilder {
        GraphBuilder::new()
    }

    /// Runs the graph, and returns when all nodes have ended. The calling thread takes part.
    ///
    /// The bodies run under what the caller's work belongs to: its job, its tokens. If one of those
    /// is cancelled, the run is stopped.
    ///
    /// # Panics
    /// If the pool was made before a fork(2) of which this process is the child. What bodies throw
    /// is in the [`Run`].
    ///
    /// # Blocking
    /// Until the run has ended. Meanwhile the thread runs nodes of this graph, and nothing else.
    pub fn run(&self, pool: &Pool) -> Run {
        self.on(pool).run()
    }

    /// Has the pool run the graph, and returns a handle at once.
    ///
    /// The run counts as a job of the pool. If the pool has begun to shut down, the run ends as
    /// [`Abandoned`](super::RunStatus::Abandoned).
    pub fn start(&self, pool: &Pool) -> RunHandle {
        self.on(pool).start()
    }

    /// As [`run`](Self::run), but only this node and what it depends on.
    pub fn run_target(&self, pool: &Pool, node: impl Into<NodeId>) -> Run {
        self.on(pool).target(node).run()
    }

    /// A run of which more is to be said before it begins.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::Pool;
    /// use windlass::graph::Graph;
    ///
    /// let mut graph = Graph::builder();
    /// let answer = graph.node("answer").run(|| 42);
    /// let (graph, pool) = (graph.build()?, Pool::new(2)?);
    /// let handle = graph.on(&pool).timeout(Duration::from_secs(60)).recorded().start();
    /// let run = handle.wait();
    /// assert_eq!(run.output(answer), Some(&42));
    /// assert_eq!(run.report().unwrap().nodes().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on<'a>(&'a self, pool: &'a Pool) -> Launch<'a> {
        Launch {
            graph: self,
            pool,
            token: None,
            timeout: self.frozen.timeout,
            priority: Priority::default(),
            is_recorded: false,
            part: None,
        }
    }

    /// The name that the graph was given.
    pub fn name(&self) -> &str {
        &self.frozen.name
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.frozen.recs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many edges there are.
    pub fn num_edges(&self) -> usize {
        self.frozen.successors.len()
    }

    /// The nodes, each after all that it depends on. The order depends on nothing but the graph.
    pub fn topological_order(&self) -> impl DoubleEndedIterator<Item = NodeId> + '_ {
        self.frozen.in_order().map(|node| NodeId::new(self.frozen.id, node))
    }

    /// The edges: which node runs after which.
    pub fn edges(&self) -> impl Iterator<Item = (NodeId, NodeId)> + '_ {
        let id = |node| NodeId::new(self.frozen.id, node);
        let of = move |(node, rec)| {
            let successors = self.frozen.successors_of(rec).iter();
            successors.map(move |&successor| (id(node), id(successor)))
        };
        (0..).zip(&self.frozen.recs).flat_map(of)
    }

    /// The name of a node, or its number, such as `#17`. `None` if it is of another graph.
    pub fn name_of(&self, node: impl Into<NodeId>) -> Option<Cow<'_, str>> {
        self.ours(node.into()).map(|node| self.frozen.name_of(node))
    }

    /// The node with this name.
    ///
    /// # Errors
    /// If there is none, or it returns another type.
    pub fn find<T: 'static>(&self, name: &str) -> Result<Node<T>, GraphError> {
        let found = self.frozen.names.iter().find(|(_, known)| known == name);
        let &(node, _) = found.ok_or_else(|| GraphError::UnknownName { name: name.to_owned() })?;
        let kind = kind_of(&self.frozen.recs[node as usize], &self.frozen.kinds);
        freeze::typed(self.frozen.id, node, name, kind)
    }

    /// The length of the longest way from the beginning of a node to an end of the graph, by the
    /// [costs](crate::graph::NodeBuilder::cost) that were named. `None` if none was.
    pub fn rank(&self, node: impl Into<NodeId>) -> Option<Duration> {
        let node = self.ours(node.into())?;
        self.frozen.ranks.get(node as usize).map(|&ns| Duration::from_nanos(ns))
    }

    /// The same graph, whose nodes come in the order of what they have taken in a run: first what
    /// the longest way to an end of the graph begins with. Its keys are those of this graph. Nodes
    /// that did not run in that run cost what was said of them.
    ///
    /// ```
    /// use windlass::Pool;
    /// use windlass::graph::Graph;
    ///
    /// let mut graph = Graph::builder();
    /// let short = graph.node("short").run(|| 1);
    /// let long = graph.node("long").run(|| (0..100_000).map(std::hint::black_box).sum::<u64>());
    /// let (graph, pool) = (graph.build()?, Pool::new(2)?);
    /// let run = graph.on(&pool).recorded().run();
    /// let graph = graph.ranked_by(&run.report().unwrap());
    /// assert!(graph.rank(long) > graph.rank(short));
    /// assert!(graph.run(&pool).is_completed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use = "this makes another graph, and leaves this one as it is"]
    pub fn ranked_by(&self, report: &RunReport) -> Graph {
        if report.graph.id != self.frozen.id {
            return self.clone();
        }
        let nanos = |time: Duration| nanoseconds(time).max(1);
        let said = |node: u32| self.frozen.extra(node).and_then(|extra| extra.cost);
        let cost = |node: &NodeReport| {
            let index = node.index as u32;
            let time = node.start.map(|_| node.time).or_else(|| said(index));
            (index, time.map_or(1, nanos))
        };
        let costs: Vec<_> = report.nodes().iter().map(cost).collect();
        Graph::new(Arc::new(freeze::reorder(&self.frozen, &costs)))
    }

    pub(super) fn ours(&self, node: NodeId) -> Option<u32> {
        (node.graph() == self.frozen.id).then(|| node.at())
    }
}

// What bodies throw is in the run, and leaves the graph whole.
impl std::panic::UnwindSafe for Graph {}
impl std::panic::RefUnwindSafe for Graph {}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph")
            .field("name", &self.frozen.name)
            .field("nodes", &self.len())
            .field("edges", &self.num_edges())
            .finish()
    }
}

/// A run that is about to begin. See [`Graph::on`].
#[must_use = "a run begins only with `run` or `start`"]
pub struct Launch<'a> {
    graph: &'a Graph,
    pool: &'a Pool,
    token: Option<CancelToken>,
    timeout: Option<Duration>,
    priority: Priority,
    is_recorded: bool,
    part: Option<Part>,
}

impl Launch<'_> {
    /// Stops the run when the token is cancelled, or its deadline passes.
    pub fn cancel_token(mut self, token: &CancelToken) -> Self {
        self.token = Some(token.clone());
        self
    }

    /// Stops the run if it is not done after so long: instead of what
    /// [`GraphBuilder::timeout`] says.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// The level at which a run that is [started](Self::start) begins.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Writes down when and where each node runs, for [`Run::report`]. This costs some tens of
    /// nanoseconds a node.
    pub fn recorded(mut self) -> Self {
        self.is_recorded = true;
        self
    }

    /// Only runs what this node needs, and the node. The others are skipped. A node of another
    /// graph needs nothing at all.
    pub fn target(mut self, node: impl Into<NodeId>) -> Self {
        let node = self.graph.ours(node.into());
        self.part = Some(part::towards(&self.graph.frozen, node));
        self
    }

    /// Runs again what has not succeeded in an earlier run of this graph, and what is needed for
    /// that and no longer there; the results of all else are taken over. If the run is one of
    /// another graph, all nodes run.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use windlass::Pool;
    /// use windlass::graph::Graph;
    ///
    /// static IS_UP: AtomicBool = AtomicBool::new(false);
    /// let mut graph = Graph::builder();
    /// let fetch = graph.node("fetch").run(|| "rows");
    /// let store = graph
    ///     .node("store")
    ///     .input(fetch)
    ///     .try_run(|rows| if IS_UP.load(Ordering::Relaxed) { Ok(rows.len()) } else { Err("down") });
    /// let (graph, pool) = (graph.build()?, Pool::new(2)?);
    /// let run = graph.run(&pool);
    /// assert!(run.error(store).is_some());
    /// IS_UP.store(true, Ordering::Relaxed);
    /// let run = graph.on(&pool).again(run).run();
    /// assert_eq!(run.output(store), Some(&4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn again(mut self, run: Run) -> Self {
        if Arc::ptr_eq(&run.core.graph, &self.graph.frozen) {
            self.part = Some(part::again(run));
        }
        self
    }

    fn plan(self, registry: &Registry, outer: *const (), is_job: bool) -> Arc<RunCore> {
        let Launch { graph, token, timeout, priority, is_recorded, part, .. } = self;
        let run = RunCore::new(Plan {
            graph: Arc::clone(&graph.frozen),
            family: Family::new(registry, priority.level()),
            parent: None,
            token: token.as_ref().map_or_else(CancelToken::new, CancelToken::child),
            outer,
            is_job,
            is_recorded,
            begun: Board::of(registry).now(),
            part,
        });
        if let Some(token) = &token {
            run.watch(registry, token);
        }
        // SAFETY: the caller waits.
        if let Some(outer) = unsafe { outer.cast::<Context<'_>>().as_ref() } {
            outer.for_each_token(|token| run.watch(registry, token));
        }
        if let Some(limit) = timeout {
            let weak = Arc::downgrade(&run);
            let at = after(run.begun, limit);
            let key = Board::of(registry).timer().insert(at, move || {
                if let Some(run) = weak.upgrade() {
                    run.stop(CancelCause::Deadline);
                }
            });
            lock(&run.notes).timers.push(key);
        }
        if graph.frozen.is_timed {
            run.set_alarms(registry);
        }
        run
    }

    /// As [`Graph::run`].
    ///
    /// # Panics
    /// As [`Graph::run`].
    ///
    /// # Blocking
    /// As [`Graph::run`].
    pub fn run(self) -> Run {
        let pool = self.pool;
        pool.registry().enter(move |worker| {
            crate::job::watch_panics();
            let registry = worker.registry();
            let run = self.plan(registry, context(), false);
            run.family.sit(worker);
            // With a timer somebody else may tell nodes of something.
            let is_alone = !run.graph.is_timed;
            super::drive::Driver::begin(worker, &run, is_alone);
            run.family.wait();
            Run::new(run)
        })
    }

    /// As [`Graph::start`].
    pub fn start(self) -> RunHandle {
        let pool = self.pool;
        let registry = pool.registry();
        registry.check_not_forked();
        crate::job::watch_panics();
        let board = Board::of(registry);
        // Counted before it can end.
        board.accept(1);
        let id = board.number();
        let run = self.plan(registry, std::ptr::null(), true);
        let weak: std::sync::Weak<RunCore> = Arc::downgrade(&run);
        board.list_ongoing(weak);
        let entry = run.first_entry();
        if board.is_open() {
            run.family.publish(entry);
        } else {
            super::drive::Driver::abandon(entry);
        }
        RunHandle::new(run, id)
    }
}

impl fmt::Debug for Launch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("graph", &self.graph)
            .field("timeout", &self.timeout)
            .field("is_recorded", &self.is_recorded)
            .finish_non_exhaustive()
    }
}

impl Ongoing for RunCore {
    fn discard(self: Arc<Self>) {
        self.abandon_if_waiting();
    }

    fn shut_down(self: Arc<Self>) {
        self.stop(CancelCause::Shutdown);
    }
}

impl RunCore {
    /// Stops the run with a token.
    pub(super) fn watch(self: &Arc<Self>, registry: &Registry, token: &CancelToken) {
        let weak = Arc::downgrade(self);
        let callback = token.on_cancel(move |cause| {
            if let Some(run) = weak.upgrade() {
                run.stop(cause.clone());
            }
        });
        lock(&self.notes).callbacks.push(callback);
        if let Some(at) = token.deadline() {
            let token = token.clone();
            // Looking is enough: the token then calls back.
            let key = Board::of(registry).timer().insert(at, move || {
                token.is_cancelled();
            });
            lock(&self.notes).timers.push(key);
        }
    }

    /// Sets a timer for each node that is to begin in time.
    fn set_alarms(self: &Arc<Self>, registry: &Registry) {
        for (node, extra) in &*self.graph.extras {
            if let Some(limit) = extra.start_within {
                let (weak, node) = (Arc::downgrade(self), *node);
                let at = after(self.begun, limit);
                let key = Board::of(registry).timer().insert(at, move || {
                    if let Some(run) = weak.upgrade() {
                        slow::expire(&run, node);
                    }
                });
                lock(&self.notes).timers.push(key);
            }
        }
    }
}
