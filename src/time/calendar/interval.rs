//! Every so many days, weeks and months, at a time of the day.

use super::civil::{DAY, Date};
use super::error::CalendarError;
use super::zone::Zone;
use super::{seconds_of, wall_of};
use crate::time::trigger::{Trigger, TriggerCx};
use crate::time::when::{Moment, When};

/// Every so many days, weeks, months or years by the calendar, at a time of the day, in a time zone.
/// Needs the feature `calendar`.
///
/// A day of the calendar is not 24 hours: when the wall clock is set for summer, it has 23. The rule
/// is that of fixed times with [`Cron`](super::Cron#when-the-wall-clock-is-set-for-summer-and-winter): a time that is skipped is due right
/// after the gap, one that there is twice the first time.
///
/// Counted is from a first day, by default that on which the series begins. A day that a month does
/// not have is the last one of that month: from January 31, every month is February 28, March 31,
/// April 30.
///
/// ```
/// use windlass::schedule::Calendar;
///
/// let payday = Calendar::months(1).from(2026, 1, 31).at(9, 30, 0).zone("Europe/Berlin");
/// assert!(payday.build().is_ok());
/// assert!(Calendar::days(0).build().is_err());
/// assert!(Calendar::days(1).at(24, 0, 0).build().is_err());
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is a trigger when it is built"]
pub struct CalendarBuilder {
    unit: Unit,
    first: Option<Date>,
    time: (u32, u32, u32),
    zone: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Days(u32),
    Months(u32),
}

/// A trigger by the calendar: see [`CalendarBuilder`].
#[derive(Clone, Debug)]
pub struct Calendar {
    unit: Unit,
    first: Option<Date>,
    /// In seconds of the day.
    time: i64,
    zone: Zone,
}

impl Calendar {
    /// Every so many days.
    pub fn days(count: u32) -> CalendarBuilder {
        CalendarBuilder { unit: Unit::Days(count), first: None, time: (0, 0, 0), zone: None }
    }

    /// Every so many weeks, on the weekday of the first day.
    pub fn weeks(count: u32) -> CalendarBuilder {
        Calendar::days(count.saturating_mul(7))
    }

    /// Every so many months.
    pub fn months(count: u32) -> CalendarBuilder {
        CalendarBuilder { unit: Unit::Months(count), ..Calendar::days(1) }
    }

    /// Every so many years.
    pub fn years(count: u32) -> CalendarBuilder {
        Calendar::months(count.saturating_mul(12))
    }

    /// The day with that number, from 0.
    fn nth(&self, first: Date, n: i64) -> i64 {
        match self.unit {
            Unit::Days(days) => first.to_days() + n * i64::from(days),
            Unit::Months(months) => first.plus_months(n * i64::from(months)).to_days(),
        }
    }

    fn next_second(&self, after: i64, start: i64) -> Option<i64> {
        let day_of = |at: i64| {
            let offset = self.zone.stretch(at)?.offset;
            Some((at + offset).div_euclid(DAY))
        };
        let first = match self.first {
            Some(first) => first,
            None => Date::from_days(day_of(start)?),
        };
        let today = day_of(after)?;
        let n = match self.unit {
            Unit::Days(days) => (today - first.to_days()).div_euclid(i64::from(days)),
            Unit::Months(months) => {
                let today = Date::from_days(today);
                let apart = (today.year - first.year) * 12 + i64::from(today.month)
                    - i64::from(first.month);
                apart.div_euclid(i64::from(months))
            }
        };
        // One before today may be due still, at the end of a gap; that of today may be past.
        let n = (n - 1).max(0);
        (n..n + 4)
            .filter_map(|n| self.zone.first_at(self.nth(first, n) * DAY + self.time))
            .find(|&at| at > after)
    }
}

impl CalendarBuilder {
    /// At that time of the day, instead of midnight.
    pub fn at(mut self, hour: u32, minute: u32, second: u32) -> Self {
        self.time = (hour, minute, second);
        self
    }

    /// Counted from that day.
    pub fn from(mut self, year: i32, month: u32, day: u32) -> Self {
        self.first = Some(Date { year: year.into(), month, day });
        self
    }

    /// In the time zone of that name, instead of UTC; `local` is that of the system.
    pub fn zone(mut self, name: impl Into<String>) -> Self {
        self.zone = Some(name.into());
        self
    }

    /// The trigger.
    ///
    /// # Errors
    /// If there is no such date, time or time zone, or the interval is zero.
    pub fn build(self) -> Result<Calendar, CalendarError> {
        let (Unit::Days(count) | Unit::Months(count)) = self.unit;
        if count == 0 {
            return Err(CalendarError::ZeroInterval);
        }
        let (hour, minute, second) = self.time;
        let is_date = |date: Date| {
            (1..=12).contains(&date.month) && (1..=date.days_in_month()).contains(&date.day)
        };
        if hour > 23 || minute > 59 || second > 59 || !self.first.is_none_or(is_date) {
            return Err(CalendarError::NoSuchTime);
        }
        let time = i64::from(hour * 3_600 + minute * 60 + second);
        let zone = Zone::named(self.zone.as_deref().unwrap_or("UTC"))?;
        Ok(Calendar { unit: self.unit, first: self.first, time, zone })
    }
}

impl Trigger for Calendar {
    fn next(&self, after: Moment, cx: &TriggerCx) -> Option<When> {
        let (after, start) = (seconds_of(after.wall)?, seconds_of(cx.start().wall)?);
        wall_of(self.next_second(after, start)?).map(When::Wall)
    }
}
