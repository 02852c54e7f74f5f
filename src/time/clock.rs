//! What time it is.

use std::sync::Weak;
use std::time::{Duration, Instant};

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
    let (mut at, mut step) = (start, delay);
    while step > Duration::ZERO {
        match at.checked_add(step) {
            Some(later) if step == delay => return later,
            Some(later) => at = later,
            None => step /= 2,
        }
    }
    at
}
