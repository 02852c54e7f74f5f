//! Graphs that run as a part of a node.

use super::family::Task;
use super::frozen::Flow;
use super::graph::Graph;
use super::result::Run;
use super::run::{At, Plan, RunCore, Then};
use crate::engine::sync::lock;
use crate::job::{Board, CancelToken};
use std::ops::ControlFlow;
use std::sync::Arc;

impl At<'_> {
    /// Has a graph run as a part of this node, and `then` be called when it has completed.
    pub(super) fn spawn(self, graph: &Graph, then: Option<Then>) {
        let run = self.run;
        // A node with a time limit, or a shielded one, has a token of its own.
        let token = CancelToken::current().unwrap_or_else(|| run.token.clone());
        let registry = run.family.registry();
        let begun = registry.as_ref().map_or(run.begun, |registry| Board::of(registry).now());
        let child = RunCore::new(Plan {
            graph: Arc::clone(&graph.frozen),
            family: Arc::clone(&run.family),
            // Counted, so that the parent is there when the child ends.
            parent: Some((run.entry(Task::Nodes(Vec::new())).run, self.node)),
            token: token.child(),
            // Whoever waits for us waits for it, too.
            outer: run.outer,
            is_job: false,
            is_recorded: false,
            begun,
            part: None,
        });
        let stop = {
            let mut notes = lock(&run.notes);
            let children = notes.children.entry(self.node).or_default();
            children.running.push(Arc::clone(&child));
            if then.is_some() {
                children.then = then;
            }
            notes.stop.clone()
        };
        if let Some(cause) = stop {
            child.stop(cause);
        }
        if let Some(registry) = registry {
            child.watch(&registry, &token);
        }
        run.family.publish(child.first_entry());
    }

    /// Begins a round of [`NodeBuilder::repeat`](super::NodeBuilder::repeat).
    pub(super) fn begin_round<R, F>(self, graph: &Graph, round: u32, limit: u32, f: Arc<F>) -> Flow
    where
        R: Send + 'static,
        F: Fn(u32, &mut Run) -> ControlFlow<R> + Send + Sync + 'static,
    {
        if round > limit {
            return self.fail(format!("it was not done after {limit} rounds").into());
        }
        let again = graph.clone();
        let then: Then = Box::new(move |at, child| {
            let mut run = Run::new(child);
            match f(round, &mut run) {
                // SAFETY: called once for each time that the node runs, whose result is an `R`.
                ControlFlow::Break(value) => unsafe { at.put(value) },
                ControlFlow::Continue(()) => at.begin_round(&again, round + 1, limit, f),
            }
        });
        self.spawn(graph, Some(then));
        Flow::Done
    }
}
