//! Cron expressions: the times that they match.

use super::civil::{CYCLE, DAY, Date};
use super::error::CalendarError;
use super::field::{self, Days, Field};
use super::zone::Zone;
use super::{seconds_of, wall_of};
use crate::time::trigger::{Trigger, TriggerCx};
use crate::time::when::{Moment, When};
use std::fmt;
use std::time::SystemTime;

/// A zone is set less often than this in the 400 years after which there is no need to look on:
/// there is none that is set more than four times a year.
const MAX_STRETCHES: usize = 4 * 400;

/// Times by a cron expression, in a time zone. Needs the feature `calendar`.
///
/// Five fields, or six with seconds before them:
///
/// | field | numbers | also |
/// |---|---|---|
/// | seconds | 0-59 | |
/// | minutes | 0-59 | |
/// | hours | 0-23 | |
/// | days of the month | 1-31 | `L` the last; `15W` the day from Monday to Friday that is nearest in the month; `LW` the last of those |
/// | months | 1-12 | `JAN`-`DEC` |
/// | days of the week | 0-7, 0 and 7 are Sunday | `SUN`-`SAT`, and `FRI-SUN` too; `5#2` the second Friday; `5L` or `5#L` the last one |
///
/// A field is `*` (or `?`), a number, a range `10-15`, one of the two with a step, `*/5` or
/// `10-50/20`, or several of these with commas. If both the days of the month and those of the week
/// are restricted, a day that fits one of them is enough; but if one of these fields begins with a
/// star, both must fit. In place of the fields there may be `@yearly` (or `@annually`), `@monthly`,
/// `@weekly`, `@daily` (or `@midnight`), `@hourly`.
///
/// # When the wall clock is set for summer and winter
///
/// The rule is that of Vixie's cron. An expression whose fields of minutes and hours both do not
/// begin with a star means *fixed times* of the day:
///
/// - a time that is skipped, such as 2:30 when it is 3:00 after 1:59, is due right after the gap, at
///   3:00; several of them once;
/// - a time that there is twice is due the first time.
///
/// All others, such as `*/15 * * * *` or `0 * * * *`, follow *real time*: what is skipped is not due,
/// and what there is twice is due twice, so that nothing changes in the rhythm.
///
/// The same holds if a zone is set for another reason, by half an hour or by a day. A zone is kept by
/// its name and has the rules that were known when the expression was read.
///
/// If the clock itself is set, ahead or back, or the machine was suspended, see
/// [`guide::schedules`](crate::guide::schedules).
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use windlass::schedule::Cron;
///
/// // Unix time 1,700,000,000 is Tuesday, 2023-11-14 22:13:20.
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// let monday = Cron::parse("30 9 * * MON").unwrap().next_after(now).unwrap();
/// assert_eq!(monday.duration_since(now).unwrap().as_secs(), 5 * 86_400 + 40_600);
/// assert!(Cron::parse("0 0 30 2 *").is_err());
/// ```
#[derive(Clone)]
pub struct Cron {
    text: String,
    second: Field,
    minute: Field,
    hour: Field,
    days: Days,
    zone: Zone,
}

impl Cron {
    /// In UTC.
    ///
    /// # Errors
    /// If the expression is not understood, or can never be due.
    pub fn parse(expression: &str) -> Result<Cron, CalendarError> {
        Cron::in_zone(expression, "UTC")
    }

    /// In the time zone of that name, such as `Europe/Berlin`; `local` is that of the system.
    ///
    /// # Errors
    /// If the expression is not understood, or can never be due, or the system does not know the
    /// zone.
    ///
    /// ```
    /// use windlass::schedule::{CalendarError, Cron};
    ///
    /// assert!(Cron::in_zone("0 3 * * *", "Europe/Berlin").is_ok());
    /// let error = Cron::in_zone("0 3 * * *", "Europe/Atlantis").unwrap_err();
    /// assert!(matches!(error, CalendarError::UnknownZone { .. }));
    /// assert_eq!(
    ///     Cron::parse("0 25 * * *").unwrap_err().to_string(),
    ///     r#"in the field of the hours, "25" is out of range"#
    /// );
    /// ```
    pub fn in_zone(expression: &str, zone: &str) -> Result<Cron, CalendarError> {
        let text = expression.trim();
        let fields: Vec<&str> = match text.strip_prefix('@') {
            Some(name) => named(name)?.split(' ').collect(),
            None => text.split_whitespace().collect(),
        };
        let (second, [minute, hour, day, month, week]) = match fields[..] {
            [minute, hour, day, month, week] => ("0", [minute, hour, day, month, week]),
            [second, minute, hour, day, month, week] => (second, [minute, hour, day, month, week]),
            _ => return Err(CalendarError::FieldCount { found: fields.len() }),
        };
        let plain = |kind: field::Kind, text| kind.parse(text, |_| Ok(false));
        let cron = Cron {
            text: text.to_owned(),
            second: plain(field::SECOND, second)?,
            minute: plain(field::MINUTE, minute)?,
            hour: plain(field::HOUR, hour)?,
            days: Days::parse(day, month, week)?,
            zone: Zone::named(zone)?,
        };
        match cron.next_civil(0, CYCLE) {
            Some(_) => Ok(cron),
            None => Err(CalendarError::NeverMatches),
        }
    }

    /// The first time that is later than `after`; `None`: there is none within 400 years.
    pub fn next_after(&self, after: SystemTime) -> Option<SystemTime> {
        wall_of(self.next_second(seconds_of(after)?)?)
    }

    /// The name of the time zone.
    pub fn zone(&self) -> &str {
        self.zone.name()
    }

    /// Whether it means times of the day, and not a rhythm.
    fn is_fixed(&self) -> bool {
        !self.minute.is_star && !self.hour.is_star
    }

    pub(super) fn next_second(&self, after: i64) -> Option<i64> {
        let mut at = after.checked_add(1)?;
        let end = after.checked_add(CYCLE)?;
        for _ in 0..MAX_STRETCHES {
            let stretch = self.zone.stretch(at)?;
            let mut civil = at + stretch.offset;
            if let Some((from, before)) = stretch.from.filter(|_| self.is_fixed()) {
                let is_in_gap = || self.next_civil(from + before, from + stretch.offset).is_some();
                if at == from && is_in_gap() {
                    return Some(from);
                }
                // What the wall has shown before.
                civil = civil.max(from + before);
            }
            let until = stretch.until.filter(|&until| until <= end).unwrap_or(end);
            if let Some(found) = self.next_civil(civil, until + stretch.offset) {
                return Some(found - stretch.offset);
            }
            if until == end {
                return None;
            }
            at = until;
        }
        None
    }

    /// The first match from `from` on, before `until`.
    fn next_civil(&self, from: i64, until: i64) -> Option<i64> {
        let (mut days, mut second) = (from.div_euclid(DAY), from.rem_euclid(DAY) as u32);
        let mut date = Date::from_days(days);
        while days * DAY < until {
            if !self.days.has_month(date.month) {
                date = date.next_month();
                (days, second) = (date.to_days(), 0);
                continue;
            }
            if self.days.has(date, days)
                && let Some(time) = self.time_from(second)
            {
                return Some(days * DAY + i64::from(time)).filter(|&found| found < until);
            }
            (days, second) = (days + 1, 0);
            date = match date.day < date.days_in_month() {
                true => Date { day: date.day + 1, ..date },
                false => date.next_month(),
            };
        }
        None
    }

    /// The first time of the day from that second on.
    fn time_from(&self, second: u32) -> Option<u32> {
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let first_second = self.second.from(0)?;
        let first = self.minute.from(0)? * 60 + first_second;
        if self.hour.has(hour) {
            if self.minute.has(minute)
                && let Some(second) = self.second.from(second)
            {
                return Some(hour * 3_600 + minute * 60 + second);
            }
            if let Some(minute) = self.minute.from(minute + 1) {
                return Some(hour * 3_600 + minute * 60 + first_second);
            }
        }
        Some(self.hour.from(hour + 1)? * 3_600 + first)
    }
}

fn named(name: &str) -> Result<&'static str, CalendarError> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "yearly" | "annually" => "0 0 1 1 *",
        "monthly" => "0 0 1 * *",
        "weekly" => "0 0 * * 0",
        "daily" | "midnight" => "0 0 * * *",
        "hourly" => "0 * * * *",
        _ => return Err(CalendarError::UnknownName { name: format!("@{name}") }),
    })
}

impl Trigger for Cron {
    fn next(&self, after: Moment, _: &TriggerCx) -> Option<When> {
        self.next_after(after.wall).map(When::Wall)
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.zone.name())
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cron").field("text", &self.text).field("zone", &self.zone.name()).finish()
    }
}
