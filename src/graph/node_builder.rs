//! One node of a graph that is put together: what is said of it, and its body.

use super::build::GraphBuilder;
use super::cx::NodeCx;
use super::error::{BoxError, GraphError, NodeError};
use super::frozen::Flow;
use super::graph::Graph;
use super::inputs::{Inputs, Need};
use super::node::{Node, NodeId};
use super::options::{Extra, Retry};
use super::result::Run;
use super::rule::TriggerRule;
use super::run::At;
use crate::{Priority, RetryPolicy};
use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

/// A node that is about to be added. See [`GraphBuilder::node`].
#[must_use = "a node is added by `run` or one of its kin"]
pub struct NodeBuilder<'g, I> {
    graph: &'g mut GraphBuilder,
    name: Option<Cow<'static, str>>,
    after: Vec<NodeId>,
    extra: Option<Box<Extra>>,
    inputs: I,
}

/// Inputs that were named.
#[derive(Debug)]
pub struct With<I>(I);

impl<'g> NodeBuilder<'g, ()> {
    pub(super) fn new(graph: &'g mut GraphBuilder, name: Option<Cow<'static, str>>) -> Self {
        NodeBuilder { graph, name, after: Vec::new(), extra: None, inputs: () }
    }
}

impl<'g, I> NodeBuilder<'g, I> {
    /// Runs after this node.
    pub fn after(mut self, node: impl Into<NodeId>) -> Self {
        self.after.push(node.into());
        self
    }

    /// Runs after all of these.
    pub fn after_all<N: Into<NodeId>>(mut self, nodes: impl IntoIterator<Item = N>) -> Self {
        self.after.extend(nodes.into_iter().map(Into::into));
        self
    }

    /// What the body gets of the results of other nodes, after which it runs. The last call counts.
    pub fn input<J: Inputs>(self, inputs: J) -> NodeBuilder<'g, With<J>> {
        let NodeBuilder { graph, name, after, extra, .. } = self;
        NodeBuilder { graph, name, after, extra, inputs: With(inputs) }
    }

    fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// When the node runs, given how those before it end.
    pub fn rule(mut self, rule: TriggerRule) -> Self {
        self.extra().rule = rule;
        self
    }

    /// The stop of the run does not concern the node: it runs if its rule says so, and is not asked
    /// to stop.
    pub fn shielded(mut self) -> Self {
        self.extra().is_shielded = true;
        self
    }

    /// A node that clears up: it runs when those before it have ended, in whatever way, and is
    /// [shielded](Self::shielded).
    pub fn cleanup(self) -> Self {
        self.rule(TriggerRule::AllDone).shielded()
    }

    /// The level at which the body runs. By default it runs wherever its last dependency did.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.extra().priority = Some(priority);
        self
    }

    /// About how long the body takes. Of nodes that are ready at the same time on one worker, the
    /// one with the longest way to an end of the graph comes first. Nodes of which nothing is said
    /// count as one nanosecond.
    pub fn cost(mut self, cost: Duration) -> Self {
        self.extra().cost = Some(cost);
        self
    }

    /// If the body runs longer, it is asked to stop, and the node has timed out when it returns.
    pub fn run_timeout(mut self, limit: Duration) -> Self {
        self.extra().run_timeout = Some(limit);
        self
    }

    /// If the node has not begun so long after the run has, it never does: it has timed out.
    pub fn start_within(mut self, limit: Duration) -> Self {
        self.extra().start_within = Some(limit);
        self
    }

    /// Whether the node runs again when it has failed, panicked or run out of time, and after what
    /// delay: `f` is called with the number of attempts so far and the error; `None` ends it.
    /// While it waits it holds no worker.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use std::time::Duration;
    /// use windlass::Pool;
    /// use windlass::graph::GraphBuilder;
    ///
    /// let (mut graph, tries) = (GraphBuilder::new(), AtomicU32::new(0));
    /// let fetch = graph
    ///     .node("fetch")
    ///     .retry_with(|attempt, _| (attempt < 3).then_some(Duration::from_millis(1)))
    ///     .try_run(move || match tries.fetch_add(1, Ordering::Relaxed) {
    ///         0 | 1 => Err("refused"),
    ///         n => Ok(n),
    ///     });
    /// let run = graph.build()?.run(&Pool::new(1)?);
    /// assert_eq!((run.output(fetch), run.attempts(fetch)), (Some(&2), 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn retry_with<F>(mut self, f: F) -> Self
    where
        F: Fn(u32, &NodeError) -> Option<Duration> + Send + Sync + 'static,
    {
        self.extra().retry = Some(Retry::With(Box::new(f)));
        self
    }

    /// Has the node run again, as the policy says, when it has failed or run out of time; when it has
    /// panicked only if the policy [says so](RetryPolicy::retry_panics). While it waits it holds no
    /// worker.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use std::time::Duration;
    /// use windlass::graph::GraphBuilder;
    /// use windlass::{Pool, RetryPolicy};
    ///
    /// let (mut graph, tries) = (GraphBuilder::new(), AtomicU32::new(0));
    /// let fetch = graph.node("fetch").retry(RetryPolicy::fixed(Duration::from_millis(1))).try_run(
    ///     move || match tries.fetch_add(1, Ordering::Relaxed) {
    ///         0 | 1 => Err("refused"),
    ///         n => Ok(n),
    ///     },
    /// );
    /// let run = graph.build()?.run(&Pool::new(1)?);
    /// assert_eq!((run.output(fetch), run.attempts(fetch)), (Some(&2), 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.extra().retry = Some(Retry::Policy(policy));
        self
    }

    /// Keeps the result for [`Run::output`], although other nodes use it. Results that nobody uses
    /// are always kept, others until their last user has succeeded.
    pub fn keep(mut self) -> Self {
        self.extra().is_kept = true;
        self
    }

    /// Adds the node.
    fn add<R, B>(
        self,
        is_rich: bool,
        uses: impl FnOnce(&I, &mut dyn FnMut(NodeId, Need)),
        body: impl FnOnce(I) -> B,
    ) -> Node<R>
    where
        R: Send + 'static,
        B: Fn(At<'_>) -> Flow + Send + Sync + 'static,
    {
        let NodeBuilder { graph, name, mut after, mut extra, inputs } = self;
        let at = graph.len() as u32;
        let mut needs = Vec::new();
        uses(&inputs, &mut |node, need| needs.push((node, need)));
        let nodes = after.iter().chain(needs.iter().map(|(node, _)| node));
        if nodes.into_iter().any(|node| node.graph() != graph.id) {
            let user = Some(name.as_deref().map_or_else(|| format!("#{at}"), str::to_owned));
            graph.mistake(GraphError::ForeignNode { user });
            (needs, after) = (Vec::new(), Vec::new());
        }
        if let Some(extra) = &mut extra
            && !matches!(extra.rule, TriggerRule::AllSucceeded)
        {
            let needs = needs.iter().filter(|(_, need)| *need != Need::Maybe);
            extra.needs = needs.map(|(node, _)| node.at()).collect();
        }
        let node = graph.add_body::<R, B>(body(inputs));
        if graph.len() as u32 == at {
            return node; // There was no room, and `build` will say so.
        }
        for (from, need) in needs {
            graph.connect(from.at(), at);
            match need {
                Need::Take => graph.taken.push((from.at(), at)),
                Need::Share | Need::Maybe => graph.shared.push((from.at(), at)),
            }
        }
        for from in after {
            graph.connect(from.at(), at);
        }
        if let Some(name) = name {
            graph.names.push((at, name));
        }
        if is_rich {
            graph.recs[at as usize].set_rich();
        }
        if let Some(extra) = extra {
            let is_eager = extra.rule.is_eager();
            *graph.extra_of(at) = *extra;
            if is_eager {
                graph.recs[at as usize].set_eager();
            }
        }
        node
    }
}

/// Writes what a body has returned.
///
/// # Safety
/// As [`At::put`].
unsafe fn finish<R, E: Into<BoxError>>(at: At<'_>, result: Result<R, E>) -> Flow {
    match result {
        // SAFETY: by contract.
        Ok(value) => unsafe { at.put(value) },
        Err(error) => at.fail(error.into()),
    }
}

impl NodeBuilder<'_, ()> {
    /// Adds the node. `f` is called once in each run.
    pub fn run<R, F>(self, f: F) -> Node<R>
    where
        R: Send + 'static,
        F: Fn() -> R + Send + Sync + 'static,
    {
        // SAFETY: called once for each time that the node runs, whose result is an `R`.
        self.add(false, |_, _| (), |()| move |at: At<'_>| unsafe { at.put(f()) })
    }

    /// As [`run`](Self::run), with a body that may fail.
    pub fn try_run<R, E, F>(self, f: F) -> Node<R>
    where
        R: Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        F: Fn() -> Result<R, E> + Send + Sync + 'static,
    {
        // SAFETY: as in `run`.
        self.add(false, |_, _| (), |()| move |at: At<'_>| unsafe { finish(at, f()) })
    }

    /// As [`run`](Self::run), with a body that sees its node.
    pub fn run_with<R, F>(self, f: F) -> Node<R>
    where
        R: Send + 'static,
        F: Fn(&NodeCx<'_>) -> R + Send + Sync + 'static,
    {
        // SAFETY: as in `run`.
        let body = move |at: At<'_>| unsafe { at.put(f(&NodeCx::new(at))) };
        self.add(true, |_, _| (), |()| body)
    }

    /// As [`try_run`](Self::try_run), with a body that sees its node.
    pub fn try_run_with<R, E, F>(self, f: F) -> Node<R>
    where
        R: Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        F: Fn(&NodeCx<'_>) -> Result<R, E> + Send + Sync + 'static,
    {
        // SAFETY: as in `run`.
        let body = move |at: At<'_>| unsafe { finish(at, f(&NodeCx::new(at))) };
        self.add(true, |_, _| (), |()| body)
    }

    /// Adds a node that is a graph of its own: it has succeeded when that has completed. A cancel
    /// of the run reaches into it.
    ///
    /// ```
    /// use windlass::Pool;
    /// use windlass::graph::GraphBuilder;
    ///
    /// let mut inner = GraphBuilder::new();
    /// let one = inner.node("one").run(|| 1);
    /// inner.node("two").after(one).run(|| 2);
    /// let mut outer = GraphBuilder::new();
    /// let both = outer.node("both").graph(inner.build()?);
    /// let done = outer.node("done").after(both).run(|| "done");
    /// let run = outer.build()?.run(&Pool::new(2)?);
    /// assert_eq!(run.output(done), Some(&"done"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn graph(self, graph: Graph) -> Node<()> {
        self.repeat(1, graph, |_, _| ControlFlow::Break(()))
    }

    /// Adds a node that runs a graph over and over, at most `limit` times, until `f` says that it
    /// is done, and with which result. `f` gets the number of the round, from 1, and the run.
    ///
    /// If it is not done after `limit` rounds, or a round does not complete, the node fails.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use windlass::Pool;
    /// use windlass::graph::GraphBuilder;
    ///
    /// // Newton's way to the square root of 2.
    /// let x = Arc::new(AtomicU64::new(1_f64.to_bits()));
    /// let mut step = GraphBuilder::new();
    /// let improved = step.node("improve").run(move || {
    ///     let old = f64::from_bits(x.load(Ordering::Relaxed));
    ///     let new = (old + 2.0 / old) / 2.0;
    ///     x.store(new.to_bits(), Ordering::Relaxed);
    ///     (old, new)
    /// });
    /// let mut graph = GraphBuilder::new();
    /// let root = graph.node("root").repeat(20, step.build()?, move |_, run| {
    ///     match run.output(improved) {
    ///         Some((old, new)) if (old - new).abs() < 1e-9 => ControlFlow::Break(*new),
    ///         _ => ControlFlow::Continue(()),
    ///     }
    /// });
    /// let run = graph.build()?.run(&Pool::new(2)?);
    /// assert!((run.output(root).unwrap() - 2_f64.sqrt()).abs() < 1e-9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn repeat<R, F>(self, limit: u32, graph: Graph, f: F) -> Node<R>
    where
        R: Send + 'static,
        F: Fn(u32, &mut Run) -> ControlFlow<R> + Send + Sync + 'static,
    {
        let f = std::sync::Arc::new(f);
        let body = move |at: At<'_>| at.begin_round(&graph, 1, limit, std::sync::Arc::clone(&f));
        self.add(true, |_, _| (), |()| body)
    }
}

impl<I: Inputs> NodeBuilder<'_, With<I>> {
    fn add_with<R, B>(self, is_rich: bool, body: impl FnOnce(I) -> B) -> Node<R>
    where
        R: Send + 'static,
        B: Fn(At<'_>) -> Flow + Send + Sync + 'static,
    {
        let uses = |inputs: &With<I>, f: &mut dyn FnMut(NodeId, Need)| {
            inputs.0.each(&mut |node, need| f(node, need.0));
        };
        self.add(is_rich, uses, |With(inputs)| body(inputs))
    }

    /// Adds the node. `f` is called once in each run, with the [inputs](Self::input).
    pub fn run<R, F>(self, f: F) -> Node<R>
    where
        R: Send + 'static,
        F: for<'r> Fn(I::Args<'r>) -> R + Send + Sync + 'static,
    {
        self.add_with(false, |inputs| {
            // SAFETY: as in `call`, which calls it.
            move |at: At<'_>| unsafe { call(at, &inputs, |args| Ok::<R, BoxError>(f(args))) }
        })
    }

    /// As [`run`](Self::run), with a body that may fail.
    pub fn try_run<R, E, F>(self, f: F) -> Node<R>
    where
        R: Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        F: for<'r> Fn(I::Args<'r>) -> Result<R, E> + Send + Sync + 'static,
    {
        // SAFETY: as in `call`, which calls it.
        self.add_with(false, |inputs| move |at: At<'_>| unsafe { call(at, &inputs, &f) })
    }

    /// As [`run`](Self::run), with a body that sees its node.
    pub fn run_with<R, F>(self, f: F) -> Node<R>
    where
        R: Send + 'static,
        F: for<'r> Fn(&NodeCx<'_>, I::Args<'r>) -> R + Send + Sync + 'static,
    {
        self.add_with(true, |inputs| {
            move |at: At<'_>| {
                let f = |args: I::Args<'_>| Ok::<R, BoxError>(f(&NodeCx::new(at), args));
                // SAFETY: as in `call`, which calls it.
                unsafe { call(at, &inputs, f) }
            }
        })
    }

    /// As [`try_run`](Self::try_run), with a body that sees its node.
    pub fn try_run_with<R, E, F>(self, f: F) -> Node<R>
    where
        R: Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        F: for<'r> Fn(&NodeCx<'_>, I::Args<'r>) -> Result<R, E> + Send + Sync + 'static,
    {
        self.add_with(true, |inputs| {
            move |at: At<'_>| {
                // SAFETY: as in `call`, which calls it.
                unsafe { call(at, &inputs, |args: I::Args<'_>| f(&NodeCx::new(at), args)) }
            }
        })
    }
}

/// Calls a body with its inputs.
///
/// # Safety
/// By the one who runs the node, whose inputs these are and whose result is an `R`, once each time
/// that it runs. The node is ready: so what it needs is there, and stays there until it is released.
#[inline]
unsafe fn call<I, R, E, F>(at: At<'_>, inputs: &I, f: F) -> Flow
where
    I: Inputs,
    E: Into<BoxError>,
    F: for<'r> FnOnce(I::Args<'r>) -> Result<R, E>,
{
    let memory = at.run.memory();
    // SAFETY: by contract.
    let args = unsafe { inputs.fetch(memory) };
    match f(args) {
        Ok(value) => {
            // SAFETY: by contract; the arguments are gone, and `R` borrows nothing.
            unsafe { inputs.release(memory) };
            // SAFETY: by contract.
            unsafe { at.put(value) }
        }
        Err(error) => at.fail(error.into()),
    }
}

impl<I> fmt::Debug for NodeBuilder<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
