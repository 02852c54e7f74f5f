//! The unstable sort: quicksort, whose two halves are a fork. std's sort takes over where a piece
//! is small.
//!
//! The partition is the one of std's ipnsort, a branchless Lomuto partition by cyclic permutation
//! (Bergdoll and Peters, "Branchless Lomuto Partitioning", 2023), and so is the way to deal with
//! equal elements (Peters, "Pattern-defeating Quicksort", 2021). So the forks cost nothing over the
//! sequential sort: it would have made the same partitions. What they cannot share is the first
//! partition: `T` is `Send` only, so the pivot may be looked at by one thread at a time.
//!
//! What is nearly in order gets a partition that moves only what is not in its place, as the one of
//! pattern-defeating quicksort: with 10^6 `u64`, of which 2 % are elsewhere, it takes 0.37 ns an
//! element instead of 0.71, and what is sorted already stays sorted and is done with.

use super::runs;
use crate::fork::join;
use std::mem::{ManuallyDrop, forget};
use std::ptr;

/// Elements above this size are partitioned by swaps, as in ipnsort: a cyclic permutation would
/// move each of them twice.
const MAX_BRANCHLESS: usize = 96;

/// A partition that leaves less than this part on one side is a bad one.
const BAD: usize = 8;

/// A partition that swaps more than this part of the elements was not nearly in order.
const STRAY: usize = 8;

/// A piece that is nearly in order goes down to this length before std takes over.
const NEARLY_LEN: usize = 20;

/// How a slice is sorted.
pub(super) struct Quick<'a, F, S> {
    /// So many elements are sorted by `leaf`.
    pub(super) part_len: usize,
    /// So many are looked through in one go.
    pub(super) piece: usize,
    pub(super) is_less: &'a F,
    pub(super) leaf: &'a S,
}

/// What a sample says of a slice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Nearly ascending: only few elements are not in their places.
    Nearly,
    /// Nearly descending.
    Reversed,
    None,
}

impl<F, S> Quick<'_, F, S> {
    pub(super) fn sort<T>(&self, v: &mut [T])
    where
        T: Send,
        F: Fn(&T, &T) -> bool + Sync,
        S: Fn(&mut [T]) + Sync,
    {
        // After so many bad partitions std does all the rest: it knows how to keep O(n log n).
        let limit = v.len().max(1).ilog2();
        self.part(v, None, limit, false);
    }

    /// `ancestor` is at most every element of `v`. What `is_nearly` in order is partitioned by
    /// swaps, which leave what is in its place where it is, until it is in order.
    fn part<'a, T>(
        &self,
        mut v: &'a mut [T],
        mut ancestor: Option<&'a mut T>,
        mut limit: u32,
        mut is_nearly: bool,
    ) where
        T: Send,
        F: Fn(&T, &T) -> bool + Sync,
        S: Fn(&mut [T]) + Sync,
    {
        let is_less = self.is_less;
        loop {
            let len = v.len();
            let short = if is_nearly { NEARLY_LEN } else { self.part_len.max(NEARLY_LEN) };
            if len <= short || limit == 0 {
                return (self.leaf)(v);
            }
            let sample = if is_nearly {
                if runs::first_break(v, &|a, b| !is_less(b, a)).is_none() {
                    return;
                }
                Sample::of(v, 1, is_less)
            } else {
                // 9 elements of some hundred, 729 of a million.
                Sample::of(v, ((len.ilog2() - 2) / 3).clamp(1, 6), is_less)
            };
            match sample.order() {
                _ if is_nearly => {}
                Order::Reversed => {
                    runs::reverse(v, self.piece);
                    is_nearly = true;
                    continue;
                }
                order => is_nearly = order == Order::Nearly,
            }
            v.swap(0, sample.median);
            let (pivot, rest) = v.split_at_mut(1);
            let pivot = &pivot[0];
            let is_least = ancestor.as_ref().is_some_and(|ancestor| !is_less(ancestor, pivot));
            if is_least {
                // It equals the ancestor, the least of all: so do those that are not greater.
                let (equal, _) = partition(rest, is_nearly, |element| !is_less(pivot, element));
                v = &mut v[1 + equal..];
                ancestor = None;
                continue;
            }
            let (middle, swaps) = partition(rest, is_nearly, |element| is_less(element, pivot));
            // The sample may have been wrong.
            is_nearly &= swaps <= len / STRAY;
            if middle.min(len - middle) < len / BAD {
                limit -= 1;
            }
            v.swap(0, middle);
            let (left, right) = v.split_at_mut(middle);
            let Some((pivot, right)) = right.split_first_mut() else { return };
            join(
                || self.part(left, ancestor, limit, is_nearly),
                || self.part(right, Some(pivot), limit, is_nearly),
            );
            return;
        }
    }
}

/// Elements that are spread evenly over a slice. They are not moved, so what is in order stays so.
struct Sample {
    /// The index of one near the median: the median of three medians of three, and so on.
    median: usize,
    /// How many threes there are, how many of them ascend, and how many do not ascend anywhere.
    /// Each level counts the same: a slice that is made of sorted runs is not nearly in order.
    threes: usize,
    ascending: usize,
    descending: usize,
}

impl Sample {
    /// `3^levels` elements of `v`, which is as long as that.
    fn of<T>(v: &[T], levels: u32, is_less: &impl Fn(&T, &T) -> bool) -> Sample {
        let mut sample = Sample { median: 0, threes: 0, ascending: 0, descending: 0 };
        sample.median = sample.median_of(v, 0, v.len(), levels, is_less);
        sample
    }

    /// A small sample says nothing.
    fn order(&self) -> Order {
        match self.threes * 9 / 10 {
            most if most < 24 => Order::None,
            most if self.ascending > most => Order::Nearly,
            most if self.descending > most => Order::Reversed,
            _ => Order::None,
        }
    }

    fn median_of<T>(
        &mut self,
        v: &[T],
        first: usize,
        len: usize,
        levels: u32,
        is_less: &impl Fn(&T, &T) -> bool,
    ) -> usize {
        if levels == 0 {
            return first + len / 2;
        }
        let part = len / 3;
        let [a, b, c] =
            [0, 1, 2].map(|k| self.median_of(v, first + k * part, part, levels - 1, is_less));
        let (a_b, a_c) = (is_less(&v[a], &v[b]), is_less(&v[a], &v[c]));
        let weight = 3_usize.pow(levels - 1);
        self.threes += weight;
        if a_b != a_c {
            return a;
        }
        // `a` is the least or the greatest of the three.
        if is_less(&v[b], &v[c]) != a_b {
            return c;
        }
        *if a_b { &mut self.ascending } else { &mut self.descending } += weight;
        b
    }
}

/// Brings the elements for which `belongs` holds to the front. How many they are, and, of what
/// `is_nearly` in order, how many had to be swapped.
#[inline]
fn partition<T>(v: &mut [T], is_nearly: bool, belongs: impl Fn(&T) -> bool) -> (usize, usize) {
    if is_nearly || size_of::<T>() > MAX_BRANCHLESS {
        partition_by_swaps(v, is_nearly, belongs)
    } else {
        (partition_branchless(v, belongs), 0)
    }
}

/// Moves only what is not in its place. What is nearly in order is looked at by fours, up to three
/// too many.
pub(super) fn partition_by_swaps<T>(
    v: &mut [T],
    is_nearly: bool,
    belongs: impl Fn(&T) -> bool,
) -> (usize, usize) {
    let (mut left, mut right, mut swaps) = (0, v.len(), 0);
    loop {
        if is_nearly {
            while let [a, b, c, d, ..] = &v[left..right]
                && belongs(a) & belongs(b) & belongs(c) & belongs(d)
            {
                left += 4;
            }
            while let [.., a, b, c, d] = &v[left..right]
                && !(belongs(a) | belongs(b) | belongs(c) | belongs(d))
            {
                right -= 4;
            }
        }
        while left < right && belongs(&v[left]) {
            left += 1;
        }
        while left < right && !belongs(&v[right - 1]) {
            right -= 1;
        }
        if left == right {
            return (left, swaps);
        }
        right -= 1;
        v.swap(left, right);
        left += 1;
        swaps += 1;
    }
}

/// An element that was taken out, and the place that it goes to when all is over.
struct Gap<T> {
    value: ManuallyDrop<T>,
    place: *mut T,
}

impl<T> Drop for Gap<T> {
    fn drop(&mut self) {
        // SAFETY: `place` is in the slice, and what was there is elsewhere in it by now.
        unsafe { ptr::copy_nonoverlapping(&raw const *self.value, self.place, 1) };
    }
}

pub(super) fn partition_branchless<T>(v: &mut [T], belongs: impl Fn(&T) -> bool) -> usize {
    let len = v.len();
    if len == 0 {
        return 0;
    }
    let base = v.as_mut_ptr();
    // SAFETY: the element at `base` is live, and is from now on the gap's; the gap gives it back,
    // also when `belongs` unwinds.
    let mut gap = Gap { value: ManuallyDrop::new(unsafe { base.read() }), place: base };
    let mut count = 0;
    for index in 1..len {
        // SAFETY: `count < index < len`, and the gap is before `index` (or at `count`), so all
        // three are in the slice and `index` holds a live element. When `belongs` unwinds nothing
        // is moved yet in this round: every element but the one in the gap is in its place.
        unsafe {
            let next = base.add(index);
            let belongs = belongs(&*next);
            let first_other = base.add(count);
            ptr::copy(first_other, gap.place, 1);
            ptr::copy_nonoverlapping(next, first_other, 1);
            gap.place = next;
            count += usize::from(belongs);
        }
    }
    // The last one is the one that was taken out. Looked at where it is: a change that `belongs`
    // makes to it must not be lost.
    let belongs = belongs(&gap.value);
    // SAFETY: as above; the gap's value takes the place of the first one that does not belong,
    // which takes the gap.
    unsafe {
        let first_other = base.add(count);
        ptr::copy(first_other, gap.place, 1);
        ptr::copy_nonoverlapping(&raw const *gap.value, first_other, 1);
    }
    forget(gap);
    count + usize::from(belongs)
}
