//! The timer alone, as `perf` measures it.

use super::clock::RealClock;
use super::queue::TimerKey;
use super::timer::Timer;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// The timer that a pool has, by the real clock. Not for others to use.
#[doc(hidden)]
pub struct BareTimer(Timer);

/// Names a timer of a [`BareTimer`].
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct BareKey(TimerKey);

#[allow(missing_docs, reason = "the same names in `timer` tell")]
impl BareTimer {
    pub fn new() -> Self {
        BareTimer(Timer::new(Arc::new(RealClock)))
    }

    pub fn insert(&self, at: Instant, callback: impl FnOnce() + Send + 'static) -> BareKey {
        BareKey(self.0.insert(at, callback))
    }

    pub fn cancel(&self, key: BareKey) -> bool {
        self.0.cancel(key.0)
    }
}

impl Default for BareTimer {
    fn default() -> Self {
        BareTimer::new()
    }
}

impl fmt::Debug for BareTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BareTimer").finish_non_exhaustive()
    }
}
