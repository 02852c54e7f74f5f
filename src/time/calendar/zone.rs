//! Time zones: what a clock on the wall shows, and when it is set. The one place that knows jiff.

use super::error::CalendarError;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// See the module. It has the rules that the system knew when it was made.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    name: String,
    rules: TimeZone,
}

/// A stretch of time without a change, in seconds of Unix time; offsets in seconds east.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// What the wall shows is so much ahead.
    pub(super) offset: i64,
    /// When it began, and the offset before that. `None`: it has no beginning.
    pub(super) from: Option<(i64, i64)>,
    /// When the next one begins.
    pub(super) until: Option<i64>,
}

impl Zone {
    /// By its name in the time zone database, or `UTC`, or `local`.
    pub(super) fn named(name: &str) -> Result<Zone, CalendarError> {
        let unknown = || CalendarError::UnknownZone { name: name.to_owned() };
        let rules = match name {
            "UTC" => TimeZone::UTC,
            "local" => TimeZone::try_system().map_err(|_| unknown())?,
            name => TimeZone::get(name).map_err(|_| unknown())?,
        };
        let name = rules.iana_name().unwrap_or(name).to_owned();
        Ok(Zone { name, rules })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The stretch that a time is in; `None`: it is further away than the calendar goes.
    pub(super) fn stretch(&self, at: i64) -> Option<Stretch> {
        let offset_at = |at: i64| {
            let at = Timestamp::from_second(at).ok()?;
            Some(i64::from(self.rules.to_offset(at).seconds()))
        };
        let (this, next) = (Timestamp::from_second(at).ok()?, Timestamp::from_second(at + 1).ok()?);
        // Those before `next` are at `at` or before.
        let from = self.rules.preceding(next).next().map(|change| change.timestamp().as_second());
        let from = from.and_then(|from| Some((from, offset_at(from - 1)?)));
        let until = self.rules.following(this).next().map(|change| change.timestamp().as_second());
        Some(Stretch { offset: offset_at(at)?, from, until })
    }

    /// When the wall shows that: the first time of two, and the end of a gap that it falls into.
    pub(super) fn first_at(&self, civil: i64) -> Option<i64> {
        // No zone is further from UTC than a day and some.
        let mut stretch = self.stretch(civil - 2 * super::civil::DAY)?;
        for _ in 0..8 {
            let until = match stretch.until {
                Some(until) if civil - stretch.offset >= until => until,
                _ => {
                    return Some(
                        (civil - stretch.offset).max(stretch.from.map_or(i64::MIN, |f| f.0)),
                    );
                }
            };
            stretch = self.stretch(until)?;
        }
        None
    }
}
