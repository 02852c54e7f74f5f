//! Windlass: a work-stealing data-parallel engine.

mod builder;
mod engine;
mod error;
mod fork;
mod par;
mod pool;

#[cfg(loom)]
#[doc(hidden)]
pub use engine::model;

pub use builder::{Pinning, PoolBuilder};
pub use error::BuildError;
pub use fork::{BroadcastContext, Scope, broadcast, join, scope};
pub use par::{
    IntoSource, par_chunks, par_chunks_mut, par_for_each, par_map, par_map_reduce,
    try_par_for_each, try_par_map,
};
pub use pool::Pool;
