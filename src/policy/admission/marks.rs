//! Tells when a queue has become long, and when it has become short again.
//!
//! M1. `turns` counts how often the one has followed the other: odd, it is long. Whoever sees the
//!     queue beyond the other mark adds one, and then somebody tells of it.
//! M2. Whoever has `told` tells of all turns in their order. Nobody waits for it: who finds it taken
//!     leaves his turn to the one who has it, who looks again after giving it back. So what is told
//!     may use the pool, and turn it.

use crate::engine::sync::{AtomicU64, Mutex, Ordering};
use crate::engine::unwind;
use std::fmt;
use std::sync::{Arc, TryLockError};

/// What has become of the length of a queue: see [`QueueLimits::marks`](crate::QueueLimits::marks).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueEvent {
    /// So many jobs are queued, and before that it was low.
    High(u64),
    /// No more than this are queued, and before that it was high.
    Low(u64),
}

/// Where the marks are, and who is told.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) low: u64,
    pub(super) high: u64,
    pub(super) tell: Arc<dyn Fn(QueueEvent) + Send + Sync>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Marks").field("low", &self.low).field("high", &self.high).finish()
    }
}

/// See the module.
pub(crate) struct Marks {
    asked: Asked,
    turns: AtomicU64,
    told: Mutex<u64>,
}

impl Marks {
    pub(super) fn new(asked: Asked) -> Self {
        Marks { asked, turns: AtomicU64::new(0), told: Mutex::new(0) }
    }

    pub(crate) fn is_high(&self) -> bool {
        !self.turns.load(Ordering::Relaxed).is_multiple_of(2)
    }

    /// So many are queued. What is told does not unwind out of this.
    pub(crate) fn look(&self, queued: u64) {
        let turns = self.turns.load(Ordering::Relaxed);
        let is_beyond = if turns.is_multiple_of(2) {
            queued >= self.asked.high
        } else {
            queued <= self.asked.low
        };
        // AcqRel, with the load in `tell`: who leaves a turn to another has added it before.
        if is_beyond
            && self
                .turns
                .compare_exchange(turns, turns + 1, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        {
            self.tell();
        }
    }

    #[cold]
    fn tell(&self) {
        loop {
            let mut told = match self.told.try_lock() {
                Ok(told) => told,
                Err(TryLockError::Poisoned(told)) => told.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            while *told < self.turns.load(Ordering::Acquire) {
                *told += 1;
                let event = if told.is_multiple_of(2) {
                    QueueEvent::Low(self.asked.low)
                } else {
                    QueueEvent::High(self.asked.high)
                };
                let _ = unwind::catch(|| (self.asked.tell)(event)).map_err(unwind::drop_quietly);
            }
            let seen = *told;
            drop(told);
            // Somebody may have found it taken after our last look. SeqCst, by a read-modify-write:
            // he has added his turn before he tried.
            if self.turns.fetch_add(0, Ordering::SeqCst) == seen {
                return;
            }
        }
    }
}
