//! Why a schedule cannot be started, or changed.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a schedule cannot be started, or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScheduleError {
    /// Nothing says when it is due.
    NoTrigger,
    /// An interval of zero.
    ZeroInterval,
    /// The time is past: see [`Past`](super::Past).
    InPast {
        /// By so much.
        by: Duration,
    },
    /// Nothing will ever be due.
    NeverDue,
    /// The pool has begun to shut down.
    ShuttingDown,
    /// The series has ended.
    Ended,
    /// A calendar or cron expression, or its time zone, is wrong.
    #[cfg(feature = "calendar")]
    Calendar(super::CalendarError),
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScheduleError::NoTrigger => f.write_str("nothing says when the schedule is due"),
            ScheduleError::ZeroInterval => f.write_str("the interval is zero"),
            ScheduleError::InPast { by } => write!(f, "the time is {by:?} past"),
            ScheduleError::NeverDue => f.write_str("the schedule will never be due"),
            ScheduleError::ShuttingDown => f.write_str("the pool is shutting down"),
            ScheduleError::Ended => f.write_str("the schedule has ended"),
            #[cfg(feature = "calendar")]
            ScheduleError::Calendar(error) => error.fmt(f),
        }
    }
}

impl Error for ScheduleError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            #[cfg(feature = "calendar")]
            ScheduleError::Calendar(error) => Some(error),
            _ => None,
        }
    }
}

/// A schedule was not started: why, and its closure.
pub struct StartError<F> {
    /// Why.
    pub error: ScheduleError,
    /// What was to be run.
    pub closure: F,
}

impl<F> fmt::Debug for StartError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartError").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<F> fmt::Display for StartError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<F> Error for StartError<F> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

impl<F> From<StartError<F>> for ScheduleError {
    fn from(error: StartError<F>) -> Self {
        error.error
    }
}
