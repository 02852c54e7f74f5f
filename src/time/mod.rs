//! Time: the clock of a pool, and its one timer.
//!
//! | file | owns |
//! |---|---|
//! | `clock` | what time it is: the trait, and the real clock |
//! | `manual` | a clock that a test moves |
//! | `queue` | the pending timers, ordered by deadline |
//! | `timer` | when they fire, and the thread that they fire on |
#![forbid(unsafe_code)]

mod clock;
#[cfg(any(test, feature = "test-util"))]
mod manual;
mod queue;
#[cfg(test)]
mod tests;
mod timer;

pub use clock::{Clock, RealClock};
#[cfg(any(test, feature = "test-util"))]
pub use manual::ManualClock;
pub(crate) use {clock::after, queue::TimerKey, timer::Timer};
