//! What call sites have cost lately: the table that decides whether a cold fork or loop is worth a
//! wake.
//!
//! A site is the address of a monomorphised function, so two closures never share one by type (they
//! may by a hash collision, which the tag makes unlikely and which costs a wrong guess, no more).
//! One table serves the process. An entry is one relaxed word: a lost update loses a sample.

use super::sync::Ordering;
use std::sync::atomic::AtomicU64;

const SIZE: usize = 1024;
const TAG_BITS: u32 = 20;
const VALUE_BITS: u32 = 64 - TAG_BITS;

static TABLE: [AtomicU64; SIZE] = [const { AtomicU64::new(0) }; SIZE];

/// A call site's entry.
#[derive(Clone, Copy)]
pub(crate) struct Site {
    entry: &'static AtomicU64,
    tag: u64,
}

impl Site {
    /// The entry for the function at `address`.
    #[inline]
    pub(crate) fn of(address: usize) -> Site {
        // Fibonacci hashing: function addresses differ in their middle bits.
        let hash = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // The tag is never 0, so that an empty entry never matches.
        Site {
            entry: &TABLE[(hash >> 54) as usize % SIZE],
            tag: (hash >> 20 & ((1 << TAG_BITS) - 1)) | 1,
        }
    }

    /// The estimate, in the unit that the caller keeps for this site; `None` without history.
    #[inline]
    pub(crate) fn estimate(self) -> Option<u64> {
        if cfg!(shuttle) {
            // The table outlives a schedule, which must depend on its seed alone: the history is
            // drawn as well.
            return super::clock::ticks().checked_sub(32);
        }
        let word = self.entry.load(Ordering::Relaxed);
        (word >> VALUE_BITS == self.tag).then_some(word & ((1 << VALUE_BITS) - 1))
    }

    /// Records a sample. The estimate moves half-way, so that two samples nearly outweigh the past:
    /// "lately" is what counts, and a mistake costs little (the polls find a long region anyway).
    pub(crate) fn record(self, sample: u64) {
        let sample = sample.min((1 << VALUE_BITS) - 1);
        let value = match self.estimate() {
            Some(old) => (old + sample).div_ceil(2),
            None => sample,
        };
        self.entry.store(self.tag << VALUE_BITS | value, Ordering::Relaxed);
    }
}
