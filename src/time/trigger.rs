//! When something is due: the trait, and what needs no calendar.

use super::clock::after;
use super::when::{Moment, When};
use std::time::{Duration, Instant};

/// How many times are looked at one by one when many were missed.
const MAX_WALK: u64 = 1_000;

/// Says when the runs of a [schedule](crate::Pool::schedule) are due.
///
/// The built-in ones are [`Every`], [`Once`], and with the feature `calendar` [`Cron`] and
/// [`Calendar`]. To write another, say what comes after a given time:
///
/// ```
/// use std::time::Duration;
/// use windlass::schedule::{Moment, Trigger, TriggerCx, When};
///
/// /// After one second, two, four, and so on; anew from one when a run has succeeded.
/// struct BackOff;
///
/// impl Trigger for BackOff {
///     fn next(&self, after: Moment, cx: &TriggerCx) -> Option<When> {
///         let wait = Duration::from_secs(1 << cx.failures_in_a_row().min(10));
///         Some(When::Instant(after.at + wait))
///     }
/// }
/// ```
///
/// [`Cron`]: crate::schedule::Cron
/// [`Calendar`]: crate::schedule::Calendar
pub trait Trigger: Send + Sync + 'static {
    /// The first time after `after` at which a run is due; `None`: there is none any more.
    ///
    /// It must be later than `after`, by the clock that it is on; otherwise, or if this panics, the
    /// series ends, as [`EndReason::BadTrigger`](crate::schedule::EndReason::BadTrigger). Asked twice the same
    /// it should say the same: it is asked for previews too.
    ///
    /// It is called with the schedule locked, so it should be quick, and must not use the handle of
    /// its own schedule.
    fn next(&self, after: Moment, cx: &TriggerCx) -> Option<When>;

    /// The times after `after` that are not later than `now`: how many there are, and the last one.
    ///
    /// By default they are counted one by one; if there are more than a thousand, as if there were
    /// no others.
    fn missed(&self, after: Moment, now: Moment, cx: &TriggerCx) -> Option<Missed> {
        let (mut at, mut found) = (after, None);
        for count in 1..=MAX_WALK {
            match self.next(at, cx) {
                Some(due) if now.is_at(due) => {
                    found = Some(Missed { last: due, count });
                    let next = now.on(due);
                    if !is_later(due, at) {
                        break;
                    }
                    at = next;
                }
                _ => break,
            }
        }
        found
    }

    /// Whether the next time is known only when the run before has ended. Such runs never overlap.
    fn waits_for_end(&self) -> bool {
        false
    }
}

/// Whether a time is later than a moment, by the clock that it is on.
pub(super) fn is_later(when: When, than: Moment) -> bool {
    match when {
        When::Instant(at) => at > than.at,
        When::Wall(wall) => wall > than.wall,
    }
}

/// Times that have passed: see [`Trigger::missed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The last of them.
    pub last: When,
    /// How many they are, at least one.
    pub count: u64,
}

/// What a [`Trigger`] may want to know of its schedule.
#[derive(Clone, Copy, Debug)]
pub struct TriggerCx {
    pub(super) start: Moment,
    pub(super) last_end: Option<Moment>,
    pub(super) failures: u32,
    pub(super) runs: u64,
}

impl TriggerCx {
    /// When the series began, or got this trigger: what a fixed rate is anchored to.
    pub fn start(&self) -> Moment {
        self.start
    }

    /// When the last run ended; `None` before the first end.
    pub fn last_end(&self) -> Option<Moment> {
        self.last_end
    }

    /// How many runs have been started.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// How many of the latest runs, one after the other, have failed: by an error, a panic or a
    /// limit in time.
    pub fn failures_in_a_row(&self) -> u32 {
        self.failures
    }
}

/// One time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Once(When);

impl Once {
    /// At that time.
    pub fn at(when: impl Into<When>) -> Self {
        Once(when.into())
    }
}

impl Trigger for Once {
    fn next(&self, after: Moment, _: &TriggerCx) -> Option<When> {
        is_later(self.0, after).then_some(self.0)
    }
}

/// Again and again, by an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every {
    interval: Duration,
    is_from_end: bool,
}

impl Every {
    /// At the start of the series plus one, two, three.. times `interval`, however long the runs
    /// take and however late they begin: there is no drift. An interval of zero is a nanosecond.
    pub fn rate(interval: Duration) -> Self {
        Every { interval: interval.max(Duration::from_nanos(1)), is_from_end: false }
    }

    /// So long after the end of the run before; the first one so long after the start of the series.
    pub fn delay(interval: Duration) -> Self {
        Every { is_from_end: true, ..Every::rate(interval) }
    }

    /// How many times of a fixed rate there are up to `at`. The first, number 0, is `start` itself.
    fn count_to(self, at: Instant, start: Instant) -> u128 {
        match at.checked_duration_since(start) {
            None => 0,
            Some(elapsed) => elapsed.as_nanos() / self.interval.as_nanos() + 1,
        }
    }

    /// That one of them, if an [`Instant`] holds it.
    fn nth(self, n: u128, start: Instant) -> Option<Instant> {
        let nanos = n.checked_mul(self.interval.as_nanos())?;
        let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
        start.checked_add(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
    }
}

impl Trigger for Every {
    fn next(&self, after_: Moment, cx: &TriggerCx) -> Option<When> {
        let start = cx.start.at;
        if !self.is_from_end {
            let n = self.count_to(after_.at, start);
            return Some(When::Instant(self.nth(n, start)?));
        }
        let due = match cx.last_end {
            Some(end) => after(end.at, self.interval),
            None if after_.at < start => start,
            None => after(start, self.interval),
        };
        // A preview goes on from there.
        Some(When::Instant(due.max(after(after_.at, Duration::from_nanos(1)))))
    }

    fn missed(&self, after: Moment, now: Moment, cx: &TriggerCx) -> Option<Missed> {
        let start = cx.start.at;
        if self.is_from_end {
            let due = self.next(after, cx)?;
            return now.is_at(due).then_some(Missed { last: due, count: 1 });
        }
        let (first, end) = (self.count_to(after.at, start), self.count_to(now.at, start));
        let count = u64::try_from(end.checked_sub(first)?).ok().filter(|&count| count > 0)?;
        Some(Missed { last: When::Instant(self.nth(end - 1, start)?), count })
    }

    fn waits_for_end(&self) -> bool {
        self.is_from_end
    }
}
