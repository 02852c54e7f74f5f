//! Job graphs: nodes that run after one another, and side by side where they may.
//!
//! A graph is put together by a [`GraphBuilder`]: nodes with names and bodies, each with what it runs
//! after and whose results it takes. [`build`](GraphBuilder::build) checks it once; then a [`Graph`] is
//! run as often as one likes, also several times at once. A node costs a few nanoseconds beside its
//! body, so graphs of millions of nodes are fine; they may be as deep as they are large.
//!
//! ```
//! use windlass::Pool;
//! use windlass::graph::Graph;
//!
//! let mut graph = Graph::builder();
//! let text = graph.node("read").try_run(|| std::fs::read_to_string("Cargo.toml"));
//! let lines = graph.node("lines").input(text).run(|text| text.lines().count());
//! let words = graph.node("words").input(text).run(|text| text.split_whitespace().count());
//! let report = graph
//!     .node("report")
//!     .input((lines, words))
//!     .run(|(lines, words)| format!("{lines} lines, {words} words"));
//! let graph = graph.build()?;
//!
//! let run = graph.run(&Pool::new(2)?).completed()?;
//! assert!(run.output(report).unwrap().contains("words"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Results
//!
//! A node's result goes to those that name it as an [input](NodeBuilder::input): borrowed by any
//! number of them, or [taken](Node::take) by one. It is dropped when its last user has succeeded. What
//! nobody uses, and what is to be [kept](NodeBuilder::keep), is in the [`Run`].
//!
//! # What happens when
//!
//! | what | the node | the others |
//! |---|---|---|
//! | its body returns an error | [`Failed`](NodeState::Failed) | by [`OnFailure`]: the run is stopped, or goes on where it may |
//! | its body panics | [`Panicked`](NodeState::Panicked); the worker goes on | the same |
//! | it fails and has a [`retry`](NodeBuilder::retry) | runs again after a time, in which it holds no worker | wait for it |
//! | it fails for good and has a [`fallback`](GraphBuilder::fallback) | [`Succeeded`](NodeState::Succeeded), with the fallback's result | run |
//! | it runs longer than [`run_timeout`](NodeBuilder::run_timeout) | is asked to stop; [`TimedOut`](NodeState::TimedOut) when its body returns | as for an error |
//! | it has not begun in time ([`start_within`](NodeBuilder::start_within)) | [`TimedOut`](NodeState::TimedOut) at once, never runs | as for an error |
//! | a dependency has not succeeded | its [rule](TriggerRule) says; by default [`Skipped`](NodeState::Skipped) | the same |
//! | the run is stopped: cancelled, out of time, failing fast | is asked to stop if it runs; else [`Cancelled`](NodeState::Cancelled), unless it is [shielded](NodeBuilder::shielded) | |
//! | the pool is shut down | a run goes on, unless it has not begun, or waits for a time to come: [`Abandoned`](RunStatus::Abandoned) | |
//!
//! # Order
//!
//! A worker goes on with a node that its last one has made ready, so a graph is walked depth first, and
//! few results are alive at a time; nodes without dependencies are begun one by one. If
//! [costs](NodeBuilder::cost) are named, or [measured](Graph::ranked_by), what the longest way to an end
//! begins with comes first. Idle workers take what has waited longest.
//!
//! # Loops, branches, nodes that come later
//!
//! A node [chooses](NodeCx::choose) among its successors; a graph is [a node](NodeBuilder::graph) of
//! another, also [over and over](NodeBuilder::repeat); and a running node [starts](NodeCx::spawn) graphs
//! that nobody knew of before.

// For maintainers.
//
// | file | owns |
// |---|---|
// | `node` | the keys by which nodes are spoken of |
// | `inputs` | what a node takes from others |
// | `build`, `node_builder` | putting a graph together |
// | `arena` | where bodies lie |
// | `freeze` | the checks, successors side by side, ranks |
// | `frozen` | what all runs of a graph share |
// | `graph` | the graph as users hold it, and how a run begins |
// | `memory` | the arrays of one run: counters, states, results |
// | `run` | one run: decisions, stops, the end |
// | `drive` | a worker at work for a run: the hot path |
// | `slow` | nodes of which something is said, or in which something goes wrong |
// | `family` | what is public of a run and the runs inside it, and who waits |
// | `children` | graphs that run as a part of a node |
// | `part` | runs of a part of a graph |
// | `rule`, `options`, `state`, `error` | what may be said of a node, how it may end |
// | `cx` | what a body sees of its node |
// | `fault` | what the shuttle scenarios break |
// | `result` | handles: a run that goes on, a run that has ended |
// | `report` | times, critical path |
// | `export`, `svg` | graphs and reports for other programs, and as a picture |

mod arena;
mod build;
mod children;
mod cx;
mod drive;
mod error;
mod export;
mod family;
#[cfg(shuttle)]
#[doc(hidden)]
pub mod fault;
#[cfg(not(shuttle))]
mod fault;
mod freeze;
mod frozen;
#[expect(clippy::module_inception, reason = "it holds the type `Graph`")]
mod graph;
mod inputs;
mod memory;
mod node;
mod node_builder;
mod options;
mod part;
mod report;
mod result;
mod rule;
mod run;
mod slow;
mod state;
mod svg;

pub use build::GraphBuilder;
pub use cx::NodeCx;
pub use error::{GraphError, NodeError};
pub use frozen::OnFailure;
pub use graph::{Graph, Launch};
pub use inputs::Inputs;
pub use node::{Maybe, Node, NodeId, Take};
pub use node_builder::{NodeBuilder, With};
pub use report::{NodeReport, RunReport, WorkerReport};
pub use result::{Run, RunError, RunHandle};
pub use rule::{CustomRule, Decision, DepStates, TriggerRule};
pub use run::RunStatus;
pub use state::{DepOutcome, NodeState};
