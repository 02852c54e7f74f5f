//! Ways in and out: futures and streams, and what other crates have, on the threads of this one.
//!
//! | file | owns |
//! |---|---|
//! | `run` | a job whose future cancels it |
//! | `completed` | many jobs, as a stream in the order in which they end |
//! | `map` | a function over many items, as a stream |
//! | `spawn` | futures on the lanes |
//! | `block_on` | a future on a thread that waits for it |
//! | `cancelled` | a token as a future |
//! | `inbox` | what has arrived for a task or a thread that waits for it |
//! | `tokio` | tokens of tokio, and waits where its tasks run |
//! | `rayon` | rayon's parallel iterators |
//!
//! All of it is of no runtime in particular: a future asks nothing of whoever polls it but a waker.

pub(crate) mod block_on;
mod cancelled;
mod completed;
pub(crate) mod inbox;
mod map;
#[cfg(feature = "rayon")]
pub mod rayon;
mod run;
mod spawn;
#[cfg(all(feature = "tokio", not(loom)))]
pub mod tokio;

pub use block_on::block_on;
pub use cancelled::WhenCancelled;
pub use completed::{AsCompleted, CompletedIter, as_completed};
pub(crate) use inbox::{Inbox, Untold};
pub use map::{IterStream, MapAsync, MapError};
pub use run::Run;
pub use spawn::FutureHandle;
