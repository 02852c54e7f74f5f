//! Time: the clock of a pool, and its one timer.
//!
//! | file | owns |
//! |---|---|
//! | `alarm` | one thing at one time, for what has no pool |
//! | `clock` | what time it is: the trait, and the real clock |
//! | `manual` | a clock that a test moves |
//! | `queue` | the pending timers, ordered by deadline |
//! | `wheel` | where in a hierarchy of wheels a deadline belongs |
//! | `timer` | when they fire, and the thread that they fire on |
//! | `when` | points in time, on the clock that only runs and on the wall clock |
//! | `trigger` | when something is due, as far as that needs no calendar |
//! | `calendar` | cron, and days, weeks and months in time zones |
//! | `schedule` | jobs that are run at times |
#![forbid(unsafe_code)]

mod alarm;
#[cfg(feature = "test-util")]
pub(crate) mod bare;
#[cfg(feature = "calendar")]
mod calendar;
mod clock;
#[cfg(any(test, feature = "test-util"))]
mod manual;
#[cfg(loom)]
pub(crate) mod model;
mod queue;
pub(crate) mod schedule;
#[cfg(test)]
mod tests;
mod timer;
mod trigger;
mod wheel;
mod when;

pub use clock::{Clock, RealClock};
#[cfg(any(test, feature = "test-util"))]
pub use manual::ManualClock;
pub use trigger::{Every, Missed, Once, Trigger, TriggerCx};
pub use when::{Moment, When};
pub(crate) use {
    alarm::Alarm, clock::after, clock::nanoseconds, queue::TimerKey, schedule::Schedules,
    timer::Timer,
};
