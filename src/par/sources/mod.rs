//! Parallel iterators over things that are not parallel iterators.

pub(crate) mod chunks;
pub(crate) mod range;
pub(crate) mod slice;
pub(crate) mod vec;
