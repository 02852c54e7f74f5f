//! Job graphs: nodes that run after one another, and side by side where they may.
//!
//! | file | owns |
//! |---|---|
//! | `node` | the keys by which nodes are spoken of |
//! | `inputs` | what a node takes from others |
//! | `build`, `node_builder` | putting a graph together |
//! | `arena` | where bodies lie |
//! | `freeze` | the checks, successors side by side, ranks |
//! | `frozen` | what all runs of a graph share |
//! | `graph` | the graph as users hold it, and how a run begins |
//! | `memory` | the arrays of one run: counters, states, results |
//! | `run` | one run: decisions, stops, the end |
//! | `drive` | a worker at work for a run: the hot path |
//! | `slow` | nodes of which something is said, or in which something goes wrong |
//! | `family` | what is public of a run and the runs inside it, and who waits |
//! | `children` | graphs that run as a part of a node |
//! | `part` | runs of a part of a graph |
//! | `rule`, `options`, `state`, `error` | what may be said of a node, how it may end |
//! | `cx` | what a body sees of its node |
//! | `fault` | what the shuttle scenarios break |
//! | `result` | handles: a run that goes on, a run that has ended |
//! | `report` | times, critical path |
//! | `export`, `svg` | graphs and reports for other programs, and as a picture |

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
