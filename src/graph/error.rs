//! What can be wrong with a graph, and with a node of a run.
#![forbid(unsafe_code)]

use crate::job::{CancelCause, JobPanic, TimeoutPhase};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why a graph cannot be built. Nodes are told by their names, those without by their numbers, such
/// as `#17`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GraphError {
    /// Nodes wait for one another in a circle: each for the one before it, the first for the last.
    Cycle {
        /// The circle.
        path: Vec<String>,
    },
    /// Two nodes have one name.
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A node is named that belongs to another graph.
    ForeignNode {
        /// The node that depends on it, or of which something is said; none if it is the foreign
        /// one itself.
        user: Option<String>,
    },
    /// No node has this name.
    UnknownName {
        /// The name.
        name: String,
    },
    /// The node with this name returns another type.
    TypeMismatch {
        /// The name.
        name: String,
        /// The type that was asked for.
        asked: &'static str,
        /// The type that the node returns.
        found: &'static str,
    },
    /// A result is taken by value, and is used by somebody else, too.
    TakenAndUsed {
        /// The node whose result it is.
        node: String,
        /// Those that use it.
        users: Vec<String>,
    },
    /// A node that may run again takes a result by value, which is there only once.
    TakenByRepeated {
        /// The node that takes.
        user: String,
        /// The node whose result it takes.
        node: String,
    },
    /// There are more nodes or edges than 2^29.
    TooLarge,
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GraphError::Cycle { path } => {
                f.write_str("the nodes wait for one another in a circle: ")?;
                for name in path {
                    write!(f, "{name} -> ")?;
                }
                f.write_str(path.first().map_or("", String::as_str))
            }
            GraphError::DuplicateName { name } => write!(f, "two nodes have the name {name:?}"),
            GraphError::ForeignNode { user: Some(user) } => {
                write!(f, "node {user:?} refers to a node of another graph")
            }
            GraphError::ForeignNode { user: None } => {
                f.write_str("something is said of a node of another graph")
            }
            GraphError::UnknownName { name } => write!(f, "no node has the name {name:?}"),
            GraphError::TypeMismatch { name, asked, found } => {
                write!(f, "node {name:?} returns {found}, not {asked}")
            }
            GraphError::TakenAndUsed { node, users } => {
                write!(
                    f,
                    "the result of node {node:?} is taken by value and used by: {}",
                    users.join(", ")
                )
            }
            GraphError::TakenByRepeated { user, node } => {
                write!(
                    f,
                    "node {user:?} may run again, so it cannot take the result of {node:?} by value"
                )
            }
            GraphError::TooLarge => f.write_str("the graph has too many nodes or edges"),
        }
    }
}

impl Error for GraphError {}

/// An error that a node's body has returned.
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// Why a node of a run has not succeeded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NodeError {
    /// Its body has returned this error.
    Failed(Arc<dyn Error + Send + Sync>),
    /// Its body has panicked.
    Panicked(Arc<JobPanic>),
    /// It ran too long, or had not started in time.
    TimedOut(TimeoutPhase),
    /// It was told to stop.
    Cancelled(CancelCause),
    /// It has not run, because of how this dependency ended; `None` if that was the decision of a
    /// rule over several, or of a node that chose others.
    Skipped {
        /// The name of the dependency.
        because: Option<String>,
    },
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeError::Failed(error) => error.fmt(f),
            NodeError::Panicked(panic) => {
                f.write_str("it panicked")?;
                if let Some(location) = panic.location() {
                    write!(f, " at {location}")?;
                }
                panic.message().map_or(Ok(()), |message| write!(f, ": {message}"))
            }
            NodeError::TimedOut(TimeoutPhase::Queued) => f.write_str("it did not start in time"),
            NodeError::TimedOut(_) => f.write_str("it ran too long"),
            NodeError::Cancelled(cause) => write!(f, "it was cancelled: {cause}"),
            NodeError::Skipped { because: Some(name) } => {
                write!(f, "it was skipped, because of {name:?}")
            }
            NodeError::Skipped { because: None } => f.write_str("it was skipped"),
        }
    }
}

impl Error for NodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            NodeError::Failed(error) => error.source(),
            _ => None,
        }
    }
}
