//! What is wrong with an expression of time.

use std::error::Error;
use std::fmt;

/// What is wrong with a cron expression, a calendar interval, or a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CalendarError {
    /// A cron expression has neither five fields nor six, with seconds before the others.
    FieldCount {
        /// How many it has.
        found: usize,
    },
    /// A field of a cron expression is wrong.
    Field {
        /// Which one.
        field: &'static str,
        /// The part of it that is.
        text: String,
        /// In which way.
        problem: FieldProblem,
    },
    /// An `@` name that is not known.
    UnknownName {
        /// The name.
        name: String,
    },
    /// There is no such day, as with `0 0 30 2 *`.
    NeverMatches,
    /// The time zone is not in the system's database.
    UnknownZone {
        /// Its name.
        name: String,
    },
    /// There is no such time of the day, or no such date.
    NoSuchTime,
    /// An interval of zero.
    ZeroInterval,
}

/// What is wrong with a field of a cron expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FieldProblem {
    /// It is neither a number, nor a name or a sign that has a meaning in this field.
    NotUnderstood,
    /// The number is less or more than the field can hold.
    OutOfRange,
    /// A range whose end is before its start.
    Reversed,
    /// A step of zero.
    ZeroStep,
    /// A step after a single number.
    StepWithoutRange,
}

impl fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FieldProblem::NotUnderstood => "is not understood",
            FieldProblem::OutOfRange => "is out of range",
            FieldProblem::Reversed => "ends before it begins",
            FieldProblem::ZeroStep => "has a step of zero",
            FieldProblem::StepWithoutRange => "has a step, but no range",
        })
    }
}

impl fmt::Display for CalendarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CalendarError::FieldCount { found } => {
                write!(f, "a cron expression has five fields, or six with seconds, not {found}")
            }
            CalendarError::Field { field, text, problem } => {
                write!(f, "in the field of the {field}, {text:?} {problem}")
            }
            CalendarError::UnknownName { name } => {
                write!(f, "{name:?} is no name for a cron expression")
            }
            CalendarError::NeverMatches => f.write_str("there is no such day"),
            CalendarError::UnknownZone { name } => write!(f, "the time zone {name:?} is not known"),
            CalendarError::NoSuchTime => f.write_str("there is no such date or time of the day"),
            CalendarError::ZeroInterval => f.write_str("the interval is zero"),
        }
    }
}

impl Error for CalendarError {}
