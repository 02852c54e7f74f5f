//! Which jobs of a chunk are queued, in one word: bit `n` for the job in place `n`, and bit 0 for
//! whether a lane holds the chunk.
//!
//! A lane's entry stands for all the queued jobs of a chunk, as a scope's beacon stands for its
//! tasks. So jobs that are submitted one after the other share one push and one pop.
//!
//! I1. Whoever clears a job's bit has its place in the queue, and nobody else.
//! I2. While LISTED is set, a lane holds an entry of the chunk, or somebody has just taken one who
//!     has not called [`Ready::take`] since, or has not done yet what that asked for. So a job whose
//!     bit is set can be found. There may be more entries than one; those that find no job are
//!     stale.
#![forbid(unsafe_code)]

use crate::engine::sync::{AtomicU64, Ordering};

const LISTED: u64 = 1;

/// See the module.
pub(crate) struct Ready(AtomicU64);

/// A job that was taken.
pub(crate) struct Taken {
    pub(crate) place: u32,
    /// There are more. Whoever has called for the first time since it took an entry out of a lane
    /// puts one back, before it runs the job.
    pub(crate) has_more: bool,
}

impl Ready {
    pub(crate) fn new() -> Self {
        Ready(AtomicU64::new(0))
    }

    /// Queues the jobs of these places, a bit each, which were not queued before. Nobody else adds
    /// any at the same time. `true`: no lane holds the chunk; the caller puts an entry into one.
    #[inline]
    #[must_use]
    pub(crate) fn add(&self, places: u64) -> bool {
        debug_assert!(places & LISTED == 0);
        // An addition, as none of the bits is set: that is one instruction where `fetch_or` is a
        // loop, which first reads the line that it has to write. AcqRel: hands over the jobs to
        // whoever takes them, and what was done in the lane before.
        let before = self.0.fetch_add(places, Ordering::AcqRel);
        debug_assert!(before & places == 0);
        let is_unlisted = before & LISTED == 0;
        if is_unlisted {
            // Whoever takes the jobs meanwhile leaves this entry stale (I2).
            self.0.fetch_or(LISTED, Ordering::AcqRel);
        }
        is_unlisted
    }

    /// Takes the oldest job. `None`: there is none.
    #[inline]
    pub(crate) fn take(&self) -> Option<Taken> {
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            let jobs = word & !LISTED;
            let job = jobs & jobs.wrapping_neg();
            let rest = jobs & !job;
            // Without a job there need be no entry; and the next job puts one into its lane, which
            // others find while this one runs.
            let next = if rest == 0 { 0 } else { word & !job };
            if word == next {
                return None;
            }
            // AcqRel: as in `add`.
            match self.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if job == 0 => return None,
                Ok(_) => return Some(Taken { place: job.trailing_zeros(), has_more: rest != 0 }),
                Err(now) => word = now,
            }
        }
    }

    /// How many jobs are queued.
    pub(crate) fn len(&self) -> u32 {
        (self.0.load(Ordering::Relaxed) & !LISTED).count_ones()
    }

    /// Whether a job is queued that lies in this place or behind it.
    pub(crate) fn has_since(&self, place: u32) -> bool {
        self.0.load(Ordering::Relaxed) >> place != 0
    }

    /// Takes this very job. `false`: somebody else has, or it was never queued here.
    #[inline]
    #[must_use]
    pub(crate) fn withdraw(&self, place: u32) -> bool {
        // As in `take`.
        self.0.fetch_and(!(1 << place), Ordering::AcqRel) & (1 << place) != 0
    }
}
