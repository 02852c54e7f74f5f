//! Which lanes may hold jobs, in one word (`lanes` I1, I2). Apart from the lanes, so that loom can
//! drive it.

use super::super::sync::{AtomicU32, Ordering, fence};

/// Bit `l`: lane `l` may hold jobs.
pub(crate) struct Mask(AtomicU32);

impl Mask {
    pub(crate) fn new() -> Self {
        Mask(AtomicU32::new(0))
    }

    #[inline]
    pub(crate) fn levels(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Says that the lane holds jobs; after a push. `true`: it was said to be empty, and `first` has
    /// been called.
    #[inline]
    pub(crate) fn announce(&self, level: u8, first: impl FnOnce()) -> bool {
        let bit = 1 << level;
        // Pairs with the fence in `clear` (I1).
        fence(Ordering::SeqCst);
        let is_new = self.0.load(Ordering::Relaxed) & bit == 0;
        if is_new {
            first();
            self.0.fetch_or(bit, Ordering::AcqRel);
        }
        is_new
    }

    /// Says that the lane is empty, unless `holds` finds a job in it. Returns what that has said.
    pub(crate) fn clear(&self, level: usize, holds: impl FnOnce() -> bool) -> bool {
        self.0.fetch_and(!(1 << level), Ordering::AcqRel);
        // Pairs with the fence in `announce` (I1).
        fence(Ordering::SeqCst);
        let is_full = holds();
        if is_full {
            self.0.fetch_or(1 << level, Ordering::AcqRel);
        }
        is_full
    }
}
