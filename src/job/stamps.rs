//! When what happened to a job, in twelve bytes: each time as the difference to the one before, with 27
//! significant bits.
#![forbid(unsafe_code)]

use crate::engine::sync::{AtomicU32, Ordering};

/// In ticks since the `base` that all of the calls name.
pub(super) struct Stamps {
    enqueued: u32,
    /// Since it was enqueued; 0: not yet.
    started: AtomicU32,
    /// Since it was started, or enqueued if it was not; 0: not yet.
    finished: AtomicU32,
}

/// What is stored of it.
#[derive(Clone, Copy)]
pub(super) struct Waited(u32);

/// What is stored is one more than the difference, so that 0 says that there is none; and of that so many
/// bits, above them by how many it was shifted.
const BITS: u32 = 27;

#[inline]
fn pack(ticks: u64) -> u32 {
    if ticks < (1 << BITS) - 1 { ticks as u32 + 1 } else { pack_long(ticks) }
}

#[cold]
fn pack_long(ticks: u64) -> u32 {
    let value = ticks.saturating_add(1);
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(BITS);
    // At some thousand million ticks a second the largest is a matter of years.
    if shift >= 1 << (u32::BITS - BITS) {
        return u32::MAX;
    }
    (value >> shift) as u32 | shift << BITS
}

#[inline]
fn unpack(packed: u32) -> Option<u64> {
    let value = u64::from(packed & ((1 << BITS) - 1)) << (packed >> BITS);
    value.checked_sub(1)
}

impl Stamps {
    #[inline]
    pub(super) fn new(base: u64, enqueued: u64) -> Self {
        let enqueued = u32::try_from(enqueued.saturating_sub(base)).unwrap_or(u32::MAX);
        Stamps { enqueued, started: AtomicU32::new(0), finished: AtomicU32::new(0) }
    }

    #[inline]
    pub(super) fn enqueued(&self, base: u64) -> u64 {
        base + u64::from(self.enqueued)
    }

    /// When it was last started.
    pub(super) fn started(&self, base: u64) -> Option<u64> {
        Some(self.enqueued(base) + unpack(self.started.load(Ordering::Relaxed))?)
    }

    pub(super) fn finished(&self, base: u64) -> Option<u64> {
        let since = self.started(base).unwrap_or_else(|| self.enqueued(base));
        Some(since + unpack(self.finished.load(Ordering::Relaxed))?)
    }

    #[inline]
    pub(super) fn has_started(&self) -> bool {
        self.started.load(Ordering::Relaxed) != 0
    }

    /// Returns how long it has waited, as far as that is kept.
    #[inline]
    pub(super) fn start(&self, base: u64, now: u64) -> Waited {
        let packed = pack(now.saturating_sub(self.enqueued(base)));
        self.started.store(packed, Ordering::Relaxed);
        Waited(packed)
    }

    #[inline]
    pub(super) fn finish(&self, base: u64, now: u64) {
        self.finish_after(Waited(self.started.load(Ordering::Relaxed)), base, now);
    }

    /// As [`Self::finish`], by whoever has just [started](Self::start) it.
    #[inline]
    pub(super) fn finish_after(&self, waited: Waited, base: u64, now: u64) {
        let waited = unpack(waited.0).unwrap_or(0);
        let ticks = now.saturating_sub(self.enqueued(base) + waited);
        self.finished.store(pack(ticks), Ordering::Relaxed);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_difference_keeps_its_first_bits() {
        for bits in 0..57 {
            for ticks in [(1_u64 << bits) - 1, 1 << bits, (1 << bits) + 1, (1 << bits) / 3 * 4] {
                let back = unpack(pack(ticks)).unwrap();
                assert!(back <= ticks && ticks - back <= ticks >> (BITS - 1), "{ticks} {back}");
            }
        }
        assert_eq!(unpack(pack(0)), Some(0));
        assert_eq!(unpack(0), None);
        assert!(unpack(pack(u64::MAX)).unwrap() > 1 << 57);
    }

    #[test]
    fn a_run_is_as_exact_after_a_long_wait() {
        let second = 3_000_000_000;
        let stamps = Stamps::new(7, 9);
        assert_eq!((stamps.enqueued(7), stamps.started(7), stamps.finished(7)), (9, None, None));
        stamps.start(7, 9 + 3600 * second + 1);
        let started = stamps.started(7).unwrap();
        stamps.finish(7, started + 12_345);
        assert_eq!(stamps.finished(7), Some(started + 12_345));
        let ended_at_once = Stamps::new(7, 9);
        ended_at_once.finish(7, 9);
        assert_eq!((ended_at_once.started(7), ended_at_once.finished(7)), (None, Some(9)));
        // A clock that steps back between two cores.
        ended_at_once.finish(7, 3);
        assert_eq!(ended_at_once.finished(7), Some(9));
    }
}
