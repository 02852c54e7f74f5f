//! What time it is.

use std::sync::Weak;
use std::time::{Duration, Instant, SystemTime};

/// Tells the time: [`RealClock`], or a clock that a test moves (`ManualClock`, with the feature
/// `test-util`).
///
/// An implementation must not go backwards and must not panic, and should run about as fast as the
/// real one: a thread that waits for a time sleeps for as long as the clock says that it is away,
/// and then looks again.
///
/// ```
/// use std::time::{Duration, Instant};
/// use windlass::{Clock, RealClock};
///
/// /// As if everything happened an hour later.
/// struct Later;
///
/// impl Clock for Later {
///     fn now(&self) -> Instant {
///         RealClock.now() + Duration::from_secs(3_600)
///     }
/// }
/// assert!(Later.now() > RealClock.now());
/// ```
pub trait Clock: Send + Sync + 'static {
    /// The present time.
    fn now(&self) -> Instant;

    /// The present time of the day, which may be set, ahead and back: what calendars and
    /// [cron](crate::schedule) go by. By default that of the system.
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Not for others to implement: true if this clock stands still until it is moved, and will
    /// tell the listener when it moves, so that nobody needs to wait for it.
    #[doc(hidden)]
    fn listen(&self, listener: Weak<dyn Listener>) -> bool {
        let _ = listener;
        false
    }
}

/// What a clock that is moved by hand tells of its moves: a timer.
#[doc(hidden)]
pub trait Listener: Send + Sync {
    /// The earliest deadline of those that are pending.
    fn next_deadline(&self) -> Option<Instant>;

    /// Takes what is due first, if anything is due at `now`, and runs it on this thread.
    fn fire_one(&self, now: Instant);

    /// The wall clock has been set.
    fn wall_is_set(&self);
}

/// The time of [`Instant::now`].
///
/// ```
/// use windlass::{Clock, RealClock};
///
/// assert!(RealClock.now() <= std::time::Instant::now());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RealClock;

impl Clock for RealClock {
    #[inline]
    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// The time that is `delay` after `start`, or the last one that an [`Instant`] holds, on Linux
/// some 10^11 years away.
pub(crate) fn after(start: Instant, delay: Duration) -> Instant {
    saturating(start, delay, Instant::checked_add)
}

/// As [`after`], for the time of the day.
pub(super) fn wall_after(start: SystemTime, delay: Duration) -> SystemTime {
    saturating(start, delay, SystemTime::checked_add)
}

/// The time that is `delay` before `start`, or the first one that a [`SystemTime`] holds.
pub(super) fn wall_before(start: SystemTime, delay: Duration) -> SystemTime {
    saturating(start, delay, |at, step| at.checked_sub(step))
}

/// The time that is `delay` before `start`, or the first one that an [`Instant`] holds.
pub(super) fn before(start: Instant, delay: Duration) -> Instant {
    saturating(start, delay, |at, step| at.checked_sub(step))
}

/// `start` moved by `delay`, or by as much of it as is possible.
fn saturating<T: Copy>(start: T, delay: Duration, step: fn(&T, Duration) -> Option<T>) -> T {
    if let Some(at) = step(&start, delay) {
        return at;
    }
    let (mut at, mut part) = (start, delay / 2);
    while part > Duration::ZERO {
        match step(&at, part) {
            Some(moved) => at = moved,
            None => part /= 2,
        }
    }
    at
}

/// Some 580 years, at most.
#[inline]
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    // Not `as_nanos`, whose 128 bits cost more than all the rest.
    let seconds = time.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(time.subsec_nanos()))
}
