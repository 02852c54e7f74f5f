//! What is written of a cron expression: fields of numbers, and days.

use super::civil::{Date, weekday};
use super::error::{CalendarError, FieldProblem};

/// The numbers that a field allows, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) bits: u64,
    /// Whether it begins with a star.
    pub(super) is_star: bool,
}

impl Field {
    pub(super) fn has(self, n: u32) -> bool {
        n < 64 && self.bits >> n & 1 == 1
    }

    /// The first number from `n` on.
    pub(super) fn from(self, n: u32) -> Option<u32> {
        let rest = self.bits.checked_shr(n)?;
        (rest != 0).then(|| n + rest.trailing_zeros())
    }
}

/// What a field is about.
pub(super) struct Kind {
    name: &'static str,
    min: u32,
    max: u32,
    /// Names of the numbers, from the least on.
    words: &'static [&'static str],
}

pub(super) const SECOND: Kind = Kind { name: "seconds", min: 0, max: 59, words: &[] };
pub(super) const MINUTE: Kind = Kind { name: "minutes", min: 0, max: 59, words: &[] };
pub(super) const HOUR: Kind = Kind { name: "hours", min: 0, max: 23, words: &[] };
pub(super) const DAY: Kind = Kind { name: "days of the month", min: 1, max: 31, words: &[] };
pub(super) const MONTH: Kind = Kind {
    name: "months",
    min: 1,
    max: 12,
    words: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
/// 7 is Sunday too.
pub(super) const WEEKDAY: Kind = Kind {
    name: "days of the week",
    min: 0,
    max: 7,
    words: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
};

impl Kind {
    fn error(&self, text: &str, problem: FieldProblem) -> CalendarError {
        CalendarError::Field { field: self.name, text: text.to_owned(), problem }
    }

    fn number(&self, text: &str) -> Result<u32, CalendarError> {
        if let Some(at) = self.words.iter().position(|word| word.eq_ignore_ascii_case(text)) {
            return Ok(self.min + at as u32);
        }
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.error(text, FieldProblem::NotUnderstood));
        }
        match text.parse() {
            Ok(n) if (self.min..=self.max).contains(&n) => Ok(n),
            _ => Err(self.error(text, FieldProblem::OutOfRange)),
        }
    }

    /// A field, whose parts `special` may take for itself.
    pub(super) fn parse(
        &self,
        text: &str,
        mut special: impl FnMut(&str) -> Result<bool, CalendarError>,
    ) -> Result<Field, CalendarError> {
        let mut bits = 0;
        for part in text.split(',') {
            if !special(part)? {
                bits |= self.part(part)?;
            }
        }
        Ok(Field { bits, is_star: text.starts_with(['*', '?']) })
    }

    fn part(&self, part: &str) -> Result<u64, CalendarError> {
        let (range, step) = match part.split_once('/') {
            None => (part, None),
            Some((range, step)) => (range, Some(step)),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (self.min, self.max),
            Some((first, last)) => (self.number(first)?, self.number(last)?),
            None if step.is_some() => return Err(self.error(part, FieldProblem::StepWithoutRange)),
            None => {
                let n = self.number(range)?;
                (n, n)
            }
        };
        // To Sunday, which is the last day here.
        let last = if self.max == 7 && last == 0 && first > 0 { 7 } else { last };
        if first > last {
            return Err(self.error(range, FieldProblem::Reversed));
        }
        let step = match step {
            None => 1,
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse::<usize>().map_err(|_| self.error(part, FieldProblem::OutOfRange))?
            }
            Some(_) => return Err(self.error(part, FieldProblem::NotUnderstood)),
        };
        if step == 0 {
            return Err(self.error(part, FieldProblem::ZeroStep));
        }
        Ok((first..=last).step_by(step).fold(0, |bits, n| bits | 1 << n))
    }
}

/// The days that an expression allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Days {
    month: Field,
    /// Days of the month, and of the week.
    day: Field,
    weekday: Field,
    /// `L`: the last day of the month.
    is_last: bool,
    /// `LW`: its last day from Monday to Friday.
    is_last_working: bool,
    /// `15W`: the day from Monday to Friday that is nearest.
    nearest: u32,
    /// `5#2`, `5L`: for each day of the week, of its second to be bit 2, of its last bit 0.
    nth: [u8; 7],
}

impl Days {
    pub(super) fn parse(day: &str, month: &str, week: &str) -> Result<Days, CalendarError> {
        let (mut is_last, mut is_last_working, mut nearest) = (false, false, 0_u32);
        let day = DAY.parse(day, |part| {
            let part = part.to_ascii_uppercase();
            match part.as_str() {
                "L" => is_last = true,
                "LW" | "WL" => is_last_working = true,
                part => match part.strip_suffix('W') {
                    Some(day) => nearest |= 1 << DAY.number(day)?,
                    None => return Ok(false),
                },
            }
            Ok(true)
        })?;
        let mut nth = [0_u8; 7];
        let mut week = WEEKDAY.parse(week, |part| {
            let (day, which) = match part.split_once('#') {
                Some((day, "L" | "l")) => (day, 0),
                Some((day, n)) => match n.parse() {
                    Ok(n) if (1..=5).contains(&n) => (day, n),
                    _ => return Err(WEEKDAY.error(part, FieldProblem::OutOfRange)),
                },
                None => match part.strip_suffix(['L', 'l']) {
                    Some(day) => (day, 0),
                    None => return Ok(false),
                },
            };
            nth[WEEKDAY.number(day)? as usize % 7] |= 1 << which;
            Ok(true)
        })?;
        // 7 is 0.
        week.bits = (week.bits | week.bits >> 7) & 0x7f;
        let month = MONTH.parse(month, |_| Ok(false))?;
        Ok(Days { month, day, weekday: week, is_last, is_last_working, nearest, nth })
    }

    pub(super) fn has_month(&self, month: u32) -> bool {
        self.month.has(month)
    }

    /// Whether a day of an allowed month is allowed. As in Vixie's cron: if both of its fields say
    /// something, one of them is enough; if one begins with a star, both must hold.
    pub(super) fn has(&self, date: Date, days: i64) -> bool {
        let is_both = self.day.is_star || self.weekday.is_star;
        let (by_day, by_week) = (self.has_day(date, days), self.has_weekday(date, days));
        if is_both { by_day && by_week } else { by_day || by_week }
    }

    fn has_day(&self, date: Date, days: i64) -> bool {
        let length = date.days_in_month();
        let first = days - i64::from(date.day) + 1;
        let is_working = |day: u32| !matches!(weekday(first + i64::from(day) - 1), 0 | 6);
        self.day.has(date.day)
            || self.is_last && date.day == length
            || self.is_last_working
                && is_working(date.day)
                && (date.day + 1..=length).all(|day| !is_working(day))
            || self.nearest != 0
                && (1..=length)
                    .filter(|day| self.nearest >> day & 1 == 1)
                    .any(|day| nearest_working(day, length, is_working) == date.day)
    }

    fn has_weekday(&self, date: Date, days: i64) -> bool {
        let day = weekday(days);
        let (nth, length) = (self.nth[day as usize], date.days_in_month());
        self.weekday.has(day)
            || nth >> ((date.day - 1) / 7 + 1) & 1 == 1
            || nth & 1 == 1 && date.day + 7 > length
    }
}

/// The day from Monday to Friday that is nearest, in the same month.
fn nearest_working(day: u32, length: u32, is_working: impl Fn(u32) -> bool) -> u32 {
    if is_working(day) {
        day
    } else if day > 1 && is_working(day - 1) {
        day - 1
    } else if day < length && is_working(day + 1) {
        day + 1
    } else if day == 1 {
        // A Saturday.
        day + 2
    } else {
        // A Sunday at the end.
        day - 2
    }
}
