//! Schedules by the calendar. Needs the feature `calendar`.
//!
//! | file | owns |
//! |---|---|
//! | `civil` | days and times of the day as numbers |
//! | `zone` | time zones: what a clock on the wall shows, and when it is set. The one place that knows jiff |
//! | `field` | what is written of a cron expression |
//! | `cron` | the times that it matches |
//! | `interval` | every so many days, weeks and months |
//! | `error` | what is wrong with one |
//!
//! C1. Time zones are kept by name, and their rules are asked for each time; an offset is never kept.
//! C2. The next time is later than the one that it is asked after, and every search is bounded: the
//!     calendar repeats itself after 400 years, so what is not found by then does not exist.

mod civil;
mod cron;
mod error;
mod field;
mod interval;
#[cfg(test)]
mod tests;
mod zone;

pub use cron::Cron;
pub use error::{CalendarError, FieldProblem};
pub use interval::{Calendar, CalendarBuilder};

use std::time::{Duration, SystemTime};

/// In whole seconds of Unix time, rounded down; `None`: it is further away than anybody counts.
fn seconds_of(wall: SystemTime) -> Option<i64> {
    match wall.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).ok(),
        Err(before) => {
            let before = before.duration();
            let whole = i64::try_from(before.as_secs()).ok()?;
            Some(-whole - i64::from(before.subsec_nanos() > 0))
        }
    }
}

fn wall_of(seconds: i64) -> Option<SystemTime> {
    let span = Duration::from_secs(seconds.unsigned_abs());
    match seconds >= 0 {
        true => SystemTime::UNIX_EPOCH.checked_add(span),
        false => SystemTime::UNIX_EPOCH.checked_sub(span),
    }
}
