//! Parallel iterators over things that are not parallel iterators.

pub(crate) mod bridge;
pub(crate) mod chunks;
pub(crate) mod once;
pub(crate) mod range;
pub(crate) mod repeat;
pub(crate) mod slice;
pub(crate) mod split;
pub(crate) mod splitter;
pub(crate) mod text;
pub(crate) mod tree;
pub(crate) mod tuple;
pub(crate) mod vec;
pub(crate) mod windows;
