//! Tokens of one limit: who has one is in, and there are as many as the limit says.
//!
//! They lie in one place, the centre, or with the threads that use them, in shards: each thread
//! takes some along for its next jobs, and what a job gives back stays with the thread that ran it.
//! So two threads that are both at it seldom write to the same cache line.
//!
//! I1. The centre, the shards and what is out add up to the limit. So the limit is exact: a thread
//!     that finds nothing in its shard looks through all others before it takes the limit for
//!     reached.
//! I2. In a limit with shards the centre is changed under the lock of the line (`line`) only, and
//!     a thread changes its shard by one step at a time. So under that lock no token is on its way
//!     from one place to another.
//! I3. Whoever waits says so in `waiting` before it looks for the last time, by a read-modify-write
//!     of each place (`is_last`). Whoever gives something back does that by one as well, and then
//!     looks at `waiting`. Of two such steps one comes first: either the one who waits finds what
//!     was given back, or the one who gives it back sees that somebody waits.
//! I4. Below zero is the centre of a limit that was passed on purpose ([`Tokens::force`]); `waiting`
//!     counts the debt as one that waits, so nobody takes from a shard meanwhile.

use crate::engine::sync::{AtomicU32, AtomicU64, Ordering};
use crossbeam_utils::CachePadded;

/// What a thread takes along for its next jobs, at most. Looking through the shards of others, some
/// 0.2 us, is then some 4 ns a job.
const MOST: u64 = 64;
/// With less to take along, shards only make it more to look through.
const LEAST: u64 = 8;

/// See the module.
pub(crate) struct Tokens {
    limit: u64,
    /// What a thread takes along; 0: nothing, and all is in the centre.
    batch: u64,
    /// How many wait for these.
    waiting: AtomicU32,
    centre: CachePadded<AtomicU64>,
    shards: Box<[CachePadded<AtomicU64>]>,
}

impl Tokens {
    /// So many, for threads that use so many shards. With `is_single`, all are in the centre: how
    /// many are left can then be read at any time.
    pub(crate) fn new(limit: u64, shards: usize, is_single: bool) -> Self {
        // Below zero it must be told apart from above (I4).
        let limit = limit.min(i64::MAX as u64);
        let batch = (limit / (4 * shards as u64)).min(MOST);
        let batch = if is_single || batch < LEAST { 0 } else { batch };
        Tokens {
            limit,
            batch,
            waiting: AtomicU32::new(0),
            centre: CachePadded::new(AtomicU64::new(limit)),
            shards: (0..if batch == 0 { 0 } else { shards })
                .map(|_| CachePadded::default())
                .collect(),
        }
    }

    /// As [`Self::new`], with so many to take along: for models, whose limits are small.
    #[cfg(loom)]
    pub(crate) fn with_batch(limit: u64, shards: usize, batch: u64) -> Self {
        let shards = (0..shards).map(|_| CachePadded::default()).collect();
        Tokens { batch, shards, ..Tokens::new(limit, 1, true) }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// How many are left; below zero: how many too many are out. Exact if nobody is at it, or if
    /// all are in the centre.
    pub(crate) fn left(&self) -> i64 {
        let shards: u64 = self.shards.iter().map(|shard| shard.load(Ordering::Relaxed)).sum();
        self.centre.load(Ordering::Relaxed).wrapping_add(shards) as i64
    }

    /// Whether somebody waits for these. Relaxed: I3 says what comes before.
    #[inline]
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) != 0
    }

    /// One more waits. Under the lock of the line. Release pairs, through the read-modify-writes of
    /// I3, with the load of whoever gives back.
    pub(crate) fn add_waiting(&self) {
        self.waiting.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn remove_waiting(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes `n` out of the shard of the calling thread, or out of the centre if there are no
    /// shards. `false`: there may be some elsewhere, or somebody waits for them.
    #[inline]
    pub(crate) fn take_here(&self, n: u64, shard: usize) -> bool {
        let place = if self.batch == 0 { &*self.centre } else { &*self.shards[shard] };
        !self.is_waited_for() && take(place, n)
    }

    /// Gives `n` back. `true`: somebody waits for them. AcqRel: see I3.
    #[inline]
    #[must_use]
    pub(crate) fn give(&self, n: u64, shard: usize) -> bool {
        let place = if self.batch == 0 { &*self.centre } else { &*self.shards[shard] };
        place.fetch_add(n, Ordering::AcqRel);
        self.is_waited_for()
    }

    // ---- under the lock of the line

    /// Takes `n`, wherever they are. `is_last`: whoever asks has said that it waits (I3).
    pub(crate) fn take_anywhere(&self, n: u64, shard: usize, is_last: bool) -> bool {
        if self.batch == 0 {
            if is_last {
                self.centre.fetch_add(0, Ordering::AcqRel);
            }
            return take(&self.centre, n);
        }
        let mut left = self.centre.load(Ordering::Relaxed) as i64;
        if is_last || left < n as i64 {
            left = self.gather(is_last);
        }
        let Some(rest) = left.checked_sub_unsigned(n).filter(|rest| *rest >= 0) else {
            return false;
        };
        let along = if self.is_waited_for() { 0 } else { self.batch.min(rest as u64) };
        self.centre.fetch_sub(n + along, Ordering::Relaxed);
        if along > 0 {
            self.shards[shard].fetch_add(along, Ordering::Relaxed);
        }
        true
    }

    /// Takes up to `most`, and says how many.
    pub(crate) fn take_some(&self, most: u64) -> u64 {
        if self.batch > 0 {
            self.gather(false);
        }
        let mut left = self.centre.load(Ordering::Relaxed);
        loop {
            let n = (left as i64).clamp(0, most.min(i64::MAX as u64) as i64) as u64;
            let next = left.wrapping_sub(n);
            // Relaxed: tokens guard no memory.
            match self.centre.compare_exchange_weak(
                left,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return n,
                Err(seen) => left = seen,
            }
        }
    }

    /// Takes `n` that may not be there. `true`: there is a debt now (I4).
    pub(crate) fn force(&self, n: u64) -> bool {
        self.gather(false);
        let before = self.centre.fetch_sub(n, Ordering::AcqRel);
        (before.wrapping_sub(n) as i64) < 0
    }

    /// Puts back what was taken for somebody who is not let in after all.
    pub(crate) fn put_back(&self, n: u64) {
        self.centre.fetch_add(n, Ordering::AcqRel);
    }

    /// Brings all to the centre, and says how many are there. AcqRel: see I3.
    pub(crate) fn gather(&self, is_last: bool) -> i64 {
        let mut sum = 0;
        for shard in &self.shards {
            if is_last || shard.load(Ordering::Relaxed) > 0 {
                sum += shard.swap(0, Ordering::AcqRel);
            }
        }
        self.centre.fetch_add(sum, Ordering::AcqRel).wrapping_add(sum) as i64
    }
}

/// Takes `n` out of a place, if they are there. Relaxed: tokens guard no memory.
#[inline]
fn take(place: &AtomicU64, n: u64) -> bool {
    let mut there = place.load(Ordering::Relaxed);
    loop {
        if (there as i64) < 0 || there < n {
            return false;
        }
        match place.compare_exchange_weak(there, there - n, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(seen) => there = seen,
        }
    }
}
