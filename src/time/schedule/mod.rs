//! Jobs that are run at times.
//!
//! | file | owns |
//! |---|---|
//! | `builder` | what is said of a schedule, and its start |
//! | `handle` | what the outside holds of it |
//! | `rules` | overlap, misfires, errors, jitter |
//! | `plan` | what is due, what is run and what is skipped: a state machine without a clock |
//! | `core` | carries the plan out: the timer, the jobs, the pool's list |
//! | `event` | what has happened |
//! | `follow` | its events as a stream, its end as a future |
//! | `error` | why it cannot be started |

mod builder;
mod core;
mod error;
mod event;
mod follow;
mod handle;
mod plan;
mod rules;
#[cfg(test)]
mod tests;

pub use self::core::ScheduledRun;
pub(crate) use self::core::Schedules;
pub use builder::ScheduleBuilder;
pub use error::{ScheduleError, StartError};
pub use event::{
    EndReason, KeptEvents, Lateness, RunOutcome, ScheduleEvent, ScheduleEventKind, ScheduleStats,
    SkipReason,
};
pub use follow::{ScheduleEnded, ScheduleEvents, ScheduleEventsIter};
pub use handle::{ScheduleGuard, ScheduleHandle};
pub use plan::{ScheduleState, Triggered};
pub use rules::{Misfire, OnError, Overlap, Past};

#[cfg(feature = "calendar")]
pub use crate::time::calendar::{Calendar, CalendarBuilder, CalendarError, Cron, FieldProblem};
