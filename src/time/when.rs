//! Points in time on two clocks: the one that only runs, and the one on the wall.

use super::clock::{Clock, after, before, wall_after, wall_before};
use std::time::{Duration, Instant, SystemTime};

/// A point in time: on the clock that only runs, which intervals are measured by, or on the wall
/// clock, which may be set.
///
/// ```
/// use std::time::{Instant, SystemTime};
/// use windlass::schedule::When;
///
/// assert_eq!(When::from(SystemTime::UNIX_EPOCH), When::Wall(SystemTime::UNIX_EPOCH));
/// assert!(matches!(Instant::now().into(), When::Instant(_)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// On the clock that only runs.
    Instant(Instant),
    /// On the wall clock.
    Wall(SystemTime),
}

impl From<Instant> for When {
    fn from(at: Instant) -> Self {
        When::Instant(at)
    }
}

impl From<SystemTime> for When {
    fn from(at: SystemTime) -> Self {
        When::Wall(at)
    }
}

/// What both clocks show at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The clock that only runs.
    pub at: Instant,
    /// The wall clock.
    pub wall: SystemTime,
}

impl Moment {
    /// What `clock` shows now.
    pub fn of(clock: &dyn Clock) -> Moment {
        Moment { at: clock.now(), wall: clock.wall() }
    }

    /// The moment at which it is `when`, if nobody sets the wall clock between this one and that.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{RealClock, schedule::Moment};
    ///
    /// let (now, hour) = (Moment::of(&RealClock), Duration::from_secs(3_600));
    /// let then = now.on((now.wall + hour).into());
    /// assert_eq!((then.at, then.wall), (now.at + hour, now.wall + hour));
    /// ```
    #[must_use]
    pub fn on(self, when: When) -> Moment {
        match when {
            When::Instant(at) => {
                let wall = match at.checked_duration_since(self.at) {
                    Some(ahead) => wall_after(self.wall, ahead),
                    None => wall_before(self.wall, self.at.saturating_duration_since(at)),
                };
                Moment { at, wall }
            }
            When::Wall(wall) => {
                let at = match wall.duration_since(self.wall) {
                    Ok(ahead) => after(self.at, ahead),
                    Err(behind) => before(self.at, behind.duration()),
                };
                Moment { at, wall }
            }
        }
    }

    /// Whether it is `when` or later, by the clock that `when` is on.
    pub fn is_at(self, when: When) -> bool {
        match when {
            When::Instant(at) => at <= self.at,
            When::Wall(wall) => wall <= self.wall,
        }
    }

    /// How long ago `when` was; zero if it is not past.
    pub fn since(self, when: When) -> Duration {
        match when {
            When::Instant(at) => self.at.saturating_duration_since(at),
            When::Wall(wall) => self.wall.duration_since(wall).unwrap_or_default(),
        }
    }

    /// How far away `when` is; zero if it is not ahead.
    pub(super) fn until(self, when: When) -> Duration {
        match when {
            When::Instant(at) => at.saturating_duration_since(self.at),
            When::Wall(wall) => wall.duration_since(self.wall).unwrap_or_default(),
        }
    }

    /// Of each clock the later time.
    pub(super) fn max_of(self, other: Moment) -> Moment {
        Moment { at: self.at.max(other.at), wall: self.wall.max(other.wall) }
    }

    /// The moment so long before, or the first that there is.
    pub(super) fn back(self, by: Duration) -> Moment {
        Moment { at: before(self.at, by), wall: wall_before(self.wall, by) }
    }
}

impl When {
    /// So much later on the same clock, or the last time that there is.
    pub(super) fn plus(self, by: Duration) -> When {
        match self {
            When::Instant(at) => When::Instant(after(at, by)),
            When::Wall(wall) => When::Wall(wall_after(wall, by)),
        }
    }

    /// The earlier one, if they are on the same clock; else by what both clocks show at `now`.
    pub(super) fn is_before(self, other: When, now: Moment) -> bool {
        match (self, other) {
            (When::Instant(one), When::Instant(other)) => one < other,
            (When::Wall(one), When::Wall(other)) => one < other,
            _ => now.on(self).at < now.on(other).at,
        }
    }
}
