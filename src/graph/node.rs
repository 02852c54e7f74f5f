//! The names by which nodes are spoken of: typed ones for what is handed on, plain ones for order.
#![forbid(unsafe_code)]

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// A node of a graph whose body returns a `T`.
///
/// It is a small number, to be copied: what [`GraphBuilder`](crate::graph::GraphBuilder) returns for each
/// node, and by which other nodes take its result and a [`Run`](crate::graph::Run) shows it. It means
/// nothing to any other graph.
pub struct Node<T> {
    id: NodeId,
    marker: PhantomData<fn() -> T>,
}

/// A node of a graph, whatever it returns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    graph: u32,
    index: u32,
}

impl NodeId {
    pub(super) fn new(graph: u32, index: u32) -> Self {
        NodeId { graph, index }
    }

    pub(super) fn graph(self) -> u32 {
        self.graph
    }

    /// Which node of its graph it is: the first that was added is 0.
    pub fn index(self) -> usize {
        self.index as usize
    }

    pub(super) fn at(self) -> u32 {
        self.index
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({} of graph {})", self.index, self.graph)
    }
}

impl<T> Node<T> {
    pub(super) fn new(id: NodeId) -> Self {
        Node { id, marker: PhantomData }
    }

    /// The node without its type.
    pub fn id(self) -> NodeId {
        self.id
    }

    /// Which node of its graph it is: the first that was added is 0.
    pub fn index(self) -> usize {
        self.id.index()
    }

    /// As an input: the result itself, by value. The node may have no other consumer.
    pub fn take(self) -> Take<T> {
        Take(self)
    }

    /// As an input: the result if the node has succeeded by then, for nodes that run in any case.
    pub fn maybe(self) -> Maybe<T> {
        Maybe(self)
    }
}

/// An input by value: see [`Node::take`].
pub struct Take<T>(pub(super) Node<T>);

/// An input that may be missing: see [`Node::maybe`].
pub struct Maybe<T>(pub(super) Node<T>);

macro_rules! key {
    ($($name:ident)*) => {$(
        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<T> Copy for $name<T> {}
    )*};
}

key!(Node Take Maybe);

impl<T> PartialEq for Node<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<T> Eq for Node<T> {}

impl<T> Hash for Node<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<T> fmt::Debug for Node<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({} of graph {})", self.id.index, self.id.graph)
    }
}

impl<T> fmt::Debug for Take<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Take").field(&self.0.index()).finish()
    }
}

impl<T> fmt::Debug for Maybe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Maybe").field(&self.0.index()).finish()
    }
}

impl<T> From<Node<T>> for NodeId {
    fn from(node: Node<T>) -> NodeId {
        node.id
    }
}

impl<T> From<&Node<T>> for NodeId {
    fn from(node: &Node<T>) -> NodeId {
        node.id
    }
}

impl From<&NodeId> for NodeId {
    fn from(node: &NodeId) -> NodeId {
        *node
    }
}
