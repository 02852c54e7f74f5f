//! Parallel sorting of slices: std's sorts, with forks above them.
//!
//! - The unstable sort (`quick`) is a quicksort whose two halves are a fork. It makes the
//!   partitions that std would have made, so it costs nothing if nobody takes the forks, and needs
//!   no memory.
//! - The stable sort (`tree`, `merge`) is a merge sort: leaves that std sorts, a parallel merge
//!   above them, one buffer of the slice's length.
//! - With keys that are kept (`cached`), pairs of key and index are sorted, then the elements are
//!   brought in their order.
//!
//! What is ordered already, or strictly reversed, takes one look at each element and no memory
//! (`runs`). A slice that is sorted in less time than a wake takes goes to std at once: how long a
//! comparison takes is measured.
//!
//! # Invariants
//!
//! A comparison may panic, change elements through a `Cell`, and contradict itself; and `T` is not
//! `Sync`, so an element may be looked at by one thread at a time.
//!
//! - S1: at every comparison there is one place where all elements are, each once: the slice, or
//!   the buffer as its [`Part`](tree) knows, or the slice with a gap that a guard fills. So after a
//!   panic the slice holds each element once, with its latest changes. What is copied by a merge is
//!   not compared any more before all of it is.
//! - S2: two threads never compare the same element at the same time: each side of a fork compares
//!   what is in its own part of the slice (or of two runs), to which it has the only reference.
//! - S3: where an element goes depends on comparisons, how many go there does not: counts bound
//!   every index, so a comparison that contradicts itself yields some order and nothing worse.

mod cached;
mod merge;
mod quick;
mod runs;
#[cfg(test)]
mod tests;
mod tree;

use crate::engine::clock;
use crate::pool::with_current_registry;
pub(crate) use cached::sort_by_cached_key;

use quick::Quick;
use std::cmp::Ordering;
use std::hint::black_box;
use tree::Tree;

/// Up to here std sorts by insertion.
const SHORT: usize = 20;
/// What takes less is left to std: until a sleeper is awake and at work, some 20 us have passed.
const WORTH_SHARING_US: u64 = 20;
/// About how long a piece takes that is merged, copied or looked through in one go. Forks cost
/// next to nothing, but a piece that is split costs a binary search.
const PIECE_US: u64 = 20;
/// A leaf of the merge sort takes at least so long.
const LEAF_US: u64 = 10;
/// So few elements std sorts by insertion, with about as many comparisons as a merge sort.
const MIN_LEAF: usize = 16;
/// How many leaves a worker: the last ones to be sorted leave others idle for half a leaf. More
/// cost nothing: with 10^7 random `u64` on two workers, 16, 64 and 256 leaves were within 5 % of
/// each other, because a merge moves as many elements a nanosecond as std's own sort on a level.
const LEAVES_PER_WORKER: usize = 8;
/// As many pieces a worker has a quicksort at least: they are of different lengths, and cost
/// nothing.
const PARTS_PER_WORKER: usize = 32;
/// A quicksort keeps so many workers busy in spite of its first partition, which is one thread's.
/// Wider pools sort several parts like that, and merge them. (By calculation, with 10^7 random
/// `u64`: a partition takes 0.6 ns an element, a merge 1.4 ns, all of the sort 16 ns.)
const WORKERS_PER_QUICKSORT: usize = 8;
/// Costs are kept in ticks times this.
const SCALE: u64 = 64;

/// `[T]::sort`, in parallel.
pub(crate) fn sort<T: Ord + Send>(v: &mut [T]) {
    stable(v, &T::lt, &|v: &mut [T]| v.sort());
}

/// `[T]::sort_by`, in parallel.
pub(crate) fn sort_by<T: Send>(v: &mut [T], compare: impl Fn(&T, &T) -> Ordering + Sync) {
    stable(v, &|a, b| compare(a, b).is_lt(), &|v: &mut [T]| v.sort_by(&compare));
}

/// `[T]::sort_by_key`, in parallel.
pub(crate) fn sort_by_key<T: Send, K: Ord>(v: &mut [T], key: impl Fn(&T) -> K + Sync) {
    stable(v, &|a, b| key(a).lt(&key(b)), &|v: &mut [T]| v.sort_by_key(&key));
}

/// `[T]::sort_unstable`, in parallel.
pub(crate) fn sort_unstable<T: Ord + Send>(v: &mut [T]) {
    unstable(v, &T::lt, &|v: &mut [T]| v.sort_unstable());
}

/// `[T]::sort_unstable_by`, in parallel.
pub(crate) fn sort_unstable_by<T: Send>(v: &mut [T], compare: impl Fn(&T, &T) -> Ordering + Sync) {
    unstable(v, &|a, b| compare(a, b).is_lt(), &|v: &mut [T]| v.sort_unstable_by(&compare));
}

/// `[T]::sort_unstable_by_key`, in parallel.
pub(crate) fn sort_unstable_by_key<T: Send, K: Ord>(v: &mut [T], key: impl Fn(&T) -> K + Sync) {
    unstable(v, &|a, b| key(a).lt(&key(b)), &|v: &mut [T]| v.sort_unstable_by_key(&key));
}

/// Sorts by `is_less`, stably. `leaf` does the same on one thread, as fast as std can.
fn stable<T, F, S>(v: &mut [T], is_less: &F, leaf: &S)
where
    T: Send,
    F: Fn(&T, &T) -> bool + Sync,
    S: Fn(&mut [T]) + Sync,
{
    let Some(cost) = Cost::of(v, is_less) else { return leaf(v) };
    with_current_registry(|registry| {
        let width = registry.width();
        registry.enter(|_| {
            if width == 1 {
                return leaf(v);
            }
            let piece = cost.piece();
            let run = runs::leading(v, piece, is_less);
            let leaf_len = cost.leaf_len(v.len(), LEAVES_PER_WORKER * width);
            Tree { leaf_len, piece, is_less, leaf }.sort(v, run);
        });
    });
}

/// Sorts by `is_less`. `leaf` does the same on one thread, as fast as std can.
fn unstable<T, F, S>(v: &mut [T], is_less: &F, leaf: &S)
where
    T: Send,
    F: Fn(&T, &T) -> bool + Sync,
    S: Fn(&mut [T]) + Sync,
{
    let Some(cost) = Cost::of(v, is_less) else { return leaf(v) };
    with_current_registry(|registry| {
        let width = registry.width();
        registry.enter(|_| {
            if width == 1 {
                return leaf(v);
            }
            let (len, piece) = (v.len(), cost.piece());
            let run = runs::leading(v, piece, is_less);
            let part_len = cost.len_of_us(PIECE_US, len).max(len / (PARTS_PER_WORKER * width));
            let quick = Quick { part_len, piece, is_less, leaf };
            let quick = |v: &mut [T]| quick.sort(v);
            // A quicksort makes nothing of what is half in order.
            if width > WORKERS_PER_QUICKSORT || run.len >= len / 2 {
                let leaf_len = cost.leaf_len(len, width.div_ceil(WORKERS_PER_QUICKSORT));
                Tree { leaf_len, piece, is_less, leaf: &quick }.sort(v, run);
            } else {
                quick(v);
            }
        });
    });
}

/// What sorting costs, as far as some comparisons tell.
#[derive(Clone, Copy)]
struct Cost {
    /// A comparison and a move, in ticks times [`SCALE`].
    step: u64,
    ticks_per_us: u64,
}

impl Cost {
    /// `None` if a slice is not worth sharing.
    #[inline]
    fn of<T>(v: &[T], is_less: &impl Fn(&T, &T) -> bool) -> Option<Cost> {
        if v.len() <= SHORT || size_of::<T>() == 0 { None } else { Cost::measure(v, is_less) }
    }

    /// Compares up to 16 neighbours, and if it seems to be worth sharing, 64 more: what the first
    /// ones have cost may be a cache miss, or the clock.
    fn measure<T>(v: &[T], is_less: &impl Fn(&T, &T) -> bool) -> Option<Cost> {
        let len = v.len();
        let first = (len / 8).min(16);
        let ticks_per_us = clock::ticks_per_us();
        let worth = WORTH_SHARING_US * ticks_per_us;
        let mut cost = Cost { step: 0, ticks_per_us };
        for probe in [&v[..=first], &v[first..=first + (len / 16).min(64)]] {
            let start = clock::ticks();
            black_box(probe.windows(2).filter(|pair| is_less(&pair[1], &pair[0])).count());
            let step = clock::since(start) * SCALE / (probe.len() - 1) as u64;
            // A move of 64 bytes takes about a nanosecond; nothing takes less than half of one.
            let least = (size_of::<T>() as u64 + 32) * SCALE * ticks_per_us / 64_000;
            cost.step = step.max(least).max(1);
            if cost.ticks(len) < worth {
                return None;
            }
        }
        Some(cost)
    }

    /// How long it takes to sort so many elements.
    fn ticks(self, len: usize) -> u64 {
        let steps = len as u64 * u64::from(len.max(2).ilog2());
        steps.saturating_mul(self.step) / SCALE
    }

    /// As many steps as [`PIECE_US`] has room for.
    fn piece(self) -> usize {
        (PIECE_US * self.ticks_per_us * SCALE / self.step).clamp(1 << 6, 1 << 15) as usize
    }

    /// About how many of `len` elements are sorted in so long.
    fn len_of_us(self, us: u64, len: usize) -> usize {
        let part = self.ticks(len) / (us * self.ticks_per_us).max(1);
        len / (part as usize).max(1)
    }

    /// How long the leaves of a merge sort are. There is an even number of levels above them, so
    /// that what was moved to the buffer and back ends in the slice.
    fn leaf_len(self, len: usize, leaves: usize) -> usize {
        let shortest = self.len_of_us(LEAF_US, len).max(MIN_LEAF);
        let (mut parts, mut leaf_len) = (1, len);
        while parts < leaves && leaf_len / 4 >= shortest {
            parts *= 4;
            leaf_len = len.div_ceil(parts);
        }
        leaf_len
    }
}
