//! Jobs, and what belongs to them.
//!
//! | file | owns |
//! |---|---|
//! | `cancel` | tokens by which work is told to stop; `cancel/cause`: why; `cancel/tree`: who is below whom |
//! | `context` | what the work on a thread runs under |

mod cancel;
mod context;

pub use cancel::{CancelCallback, CancelCause, CancelGuard, CancelToken, Cancelled};
pub(crate) use context::Context;
pub use context::checkpoint;
