//! The fork-join surface: `join`, `scope`, `broadcast`.

mod broadcast;
mod join;
mod scope;
mod task;

pub use broadcast::{BroadcastContext, broadcast};
pub use join::join;
pub use scope::{Scope, scope};
pub use task::TaskBuilder;
