//! Days and times of the day as numbers, without a time zone: what a clock on the wall shows, as
//! seconds from 1970-01-01 00:00, in the proleptic Gregorian calendar.

pub(super) const DAY: i64 = 86_400;

/// After so many seconds the calendar repeats itself, weekdays included.
pub(super) const CYCLE: i64 = 146_097 * DAY;

/// A day: its year, month from 1 to 12, and day of the month from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    pub(super) month: u32,
    pub(super) day: u32,
}

impl Date {
    /// The day that is so many days after 1970-01-01. By eras of 400 years that begin in March, so
    /// that the day that is sometimes missing is the last one.
    pub(super) fn from_days(days: i64) -> Date {
        let days = days + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = (of_year - (153 * shifted + 2) / 5 + 1) as u32;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 } as u32;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Date { year, month, day }
    }

    /// How many days it is after 1970-01-01.
    pub(super) fn to_days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let shifted = i64::from(if self.month > 2 { self.month - 3 } else { self.month + 9 });
        let of_year = (153 * shifted + 2) / 5 + i64::from(self.day) - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        era * 146_097 + of_era - 719_468
    }

    /// How many days its month has.
    pub(super) fn days_in_month(self) -> u32 {
        days_in(self.year, self.month)
    }

    /// The first day of the next month.
    pub(super) fn next_month(self) -> Date {
        let (year, month) = match self.month {
            12 => (self.year + 1, 1),
            month => (self.year, month + 1),
        };
        Date { year, month, day: 1 }
    }

    /// The same day so many months later; a day that the month does not have is its last one.
    pub(super) fn plus_months(self, months: i64) -> Date {
        let index = self.year * 12 + i64::from(self.month) - 1 + months;
        let (year, month) = (index.div_euclid(12), index.rem_euclid(12) as u32 + 1);
        Date { year, month, day: self.day.min(days_in(year, month)) }
    }
}

fn days_in(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The day of the week of a day: 0 is Sunday.
pub(super) fn weekday(days: i64) -> u32 {
    (days + 4).rem_euclid(7) as u32
}
