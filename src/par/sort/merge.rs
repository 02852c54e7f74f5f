//! Two sorted runs become one, in another place.
//!
//! In parallel: the longer run is split in its middle, the other one where that element belongs
//! (Cormen et al., "Introduction to Algorithms", third edition, 27.3); the two pairs are a fork.
//!
//! On one thread: from both ends at once, without branches that depend on a comparison. That makes
//! two chains of loads that do not wait for each other, as the bidirectional merge in std's
//! driftsort (Bergdoll and Peters, 2024) does for a few elements. As long as neither end takes more
//! than half of the shorter run there is nothing to check, so this goes in rounds; with random runs
//! each leaves half of the one before. 10^6 random `u64`: 1.4 ns an element; from one end, 2.5 ns.
//!
//! What is written is a bitwise copy. The sources stay as they are, and an element is not compared
//! any more once it was copied: until the end they are what counts, and after it the copies (S1).

use super::runs::first_not;
use crate::fork::join;
use std::mem::MaybeUninit;
use std::{ptr, slice};

/// So many bytes are copied in one go.
const COPY_BYTES: usize = 1 << 18;
/// If a run is longer than the other one by more than this factor, it is split first.
const MAX_RATIO: usize = 8;
/// Shorter runs are merged from one end.
const FEW: usize = 8;
/// Before so many elements are merged, it takes two comparisons to see whether half as many of one
/// run come first: then all that do are copied at once. With few different keys there is hardly
/// anything else to do.
const STREAK: usize = 64;
/// If so many elements make a piece, comparisons are cheaper than what a binary search waits for
/// memory.
const CHEAP: usize = 1 << 12;
/// Up to so many elements to one, cheap comparisons look for it one by one.
const LINEAR_RATIO: usize = 1 << 10;

/// Merges the runs `left` and `right` to `out`, in pieces of at most so many elements. Of equal
/// elements those of `left` come first.
pub(super) fn merge<T, F>(
    left: &mut [T],
    right: &mut [T],
    out: &mut [MaybeUninit<T>],
    piece: usize,
    is_less: &F,
) where
    T: Send,
    F: Fn(&T, &T) -> bool + Sync,
{
    assert_eq!(left.len() + right.len(), out.len());
    let (Some(last_left), Some(first_right)) = (left.last(), right.first()) else {
        return concatenate(left, right, out);
    };
    if !is_less(first_right, last_left) {
        return concatenate(left, right, out);
    }
    let (shorter, longer) = (left.len().min(right.len()), left.len().max(right.len()));
    let is_balanced = longer / shorter <= MAX_RATIO || longer <= FEW;
    let is_short = out.len() <= piece;
    if is_short && is_balanced {
        return merge_here(left, right, out, is_less);
    }
    if is_less(&right[right.len() - 1], &left[0]) {
        return concatenate(right, left, out);
    }
    let (i, j) = if left.len() >= right.len() {
        let i = left.len() / 2;
        (i, right.partition_point(|element| is_less(element, &left[i])))
    } else {
        let j = right.len() / 2;
        (left.partition_point(|element| !is_less(&right[j], element)), j)
    };
    let (out, out_2) = out.split_at_mut(i + j);
    let (left, left_2) = left.split_at_mut(i);
    let (right, right_2) = right.split_at_mut(j);
    if is_short {
        merge(left, right, out, piece, is_less);
        merge(left_2, right_2, out_2, piece, is_less);
    } else {
        join(
            || merge(left, right, out, piece, is_less),
            || merge(left_2, right_2, out_2, piece, is_less),
        );
    }
}

fn concatenate<T: Send>(first: &mut [T], second: &mut [T], out: &mut [MaybeUninit<T>]) {
    let (out, out_2) = out.split_at_mut(first.len());
    copy(first, out);
    copy(second, out_2);
}

/// Copies `from` to `to`, bit by bit. Does not unwind.
pub(super) fn copy<T: Send>(from: &mut [T], to: &mut [MaybeUninit<T>]) {
    assert_eq!(from.len(), to.len());
    if size_of_val(from) > COPY_BYTES && from.len() > 1 {
        let middle = from.len() / 2;
        let (from, from_2) = from.split_at_mut(middle);
        let (to, to_2) = to.split_at_mut(middle);
        join(|| copy(from, to), || copy(from_2, to_2));
        return;
    }
    // SAFETY: two slices of this length, both borrowed mutably, so they do not overlap.
    unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to.as_mut_ptr().cast(), from.len()) };
}

/// Merges the runs `v[..middle]` and `v[middle..]`, of which one is much shorter, in place.
///
/// Comparisons find where the few elements belong; only then something is moved, by blocks, with
/// room for the few. `room` must hold the shorter run.
pub(super) fn merge_few<T, F>(
    v: &mut [T],
    middle: usize,
    room: &mut [MaybeUninit<T>],
    piece: usize,
    is_less: &F,
) where
    T: Send,
    F: Fn(&T, &T) -> bool + Sync,
{
    let (left, right) = v.split_at_mut(middle);
    let (left_len, right_len) = (left.len(), right.len());
    if left_len < right_len {
        let mut places = vec![0; left_len];
        // Of equal elements those of the left run come first.
        find_places(left, right, 0, &mut places, piece, &|few, other| is_less(other, few));
        copy(left, &mut room[..left_len]);
        let mut from = 0;
        for (index, &place) in places.iter().enumerate() {
            // SAFETY: places rise and are at most `right_len`, whatever the comparisons say, so all
            // is in `v`. The hole, as long as what is left of the few, is before `middle + from`:
            // a block is moved to its start, and one of the few behind that. Nothing unwinds.
            unsafe {
                let base = v.as_mut_ptr();
                ptr::copy(base.add(middle + from), base.add(index + from), place - from);
                ptr::copy_nonoverlapping(room[index].as_ptr(), base.add(index + place), 1);
            }
            from = place;
        }
    } else {
        let mut places = vec![0; right_len];
        find_places(right, left, 0, &mut places, piece, &|few, other| !is_less(few, other));
        copy(right, &mut room[..right_len]);
        let mut end = left_len;
        for (index, &place) in places.iter().enumerate().rev() {
            // SAFETY: as above, from the other end.
            unsafe {
                let base = v.as_mut_ptr();
                ptr::copy(base.add(place), base.add(place + index + 1), end - place);
                ptr::copy_nonoverlapping(room[index].as_ptr(), base.add(index + place), 1);
            }
            end = place;
        }
    }
}

/// How many of the `others`, which begin at `start`, come before each of the few: those for which
/// `is_before(few, other)` holds.
fn find_places<T, F>(
    few: &mut [T],
    others: &mut [T],
    start: usize,
    places: &mut [usize],
    piece: usize,
    is_before: &F,
) where
    T: Send,
    F: Fn(&T, &T) -> bool + Sync,
{
    if piece >= CHEAP && others.len() <= piece.min(few.len() * LINEAR_RATIO) {
        let mut at = 0;
        for (element, place) in few.iter().zip(places) {
            at = first_not(at, others.len(), |at| is_before(element, &others[at]));
            *place = start + at;
        }
        return;
    }
    let half = few.len() / 2;
    let (few, rest) = few.split_at_mut(half);
    let (places, rest_places) = places.split_at_mut(half);
    let ([middle, rest @ ..], [place, rest_places @ ..]) = (rest, rest_places) else { return };
    let at = others.partition_point(|other| is_before(middle, other));
    *place = start + at;
    let (others, rest_others) = others.split_at_mut(at);
    let is_short = half <= piece / 16;
    let mut a = || find_places(few, others, start, places, piece, is_before);
    let mut b = || find_places(rest, rest_others, start + at, rest_places, piece, is_before);
    if is_short {
        a();
        b();
    } else {
        join(a, b);
    }
}

/// What is still to be merged: both runs and the output are taken from at either end.
struct Ends<T> {
    left: *const T,
    left_end: *const T,
    right: *const T,
    right_end: *const T,
    out: *mut T,
    out_end: *mut T,
}

// SAFETY (I): each step takes as many elements of the runs as it writes, and the output has room
// for both runs (`merge` checks that). None takes from an empty run: of `steps` at either end, both
// together take no more than all of the shorter run, whatever the comparisons say. When a
// comparison unwinds, only copies have been made.
fn merge_here<T, F>(left: &[T], right: &[T], out: &mut [MaybeUninit<T>], is_less: &F)
where
    F: Fn(&T, &T) -> bool,
{
    let (left, right, out) = (left.as_ptr_range(), right.as_ptr_range(), out.as_mut_ptr_range());
    let mut ends = Ends {
        left: left.start,
        left_end: left.end,
        right: right.start,
        right_end: right.end,
        out: out.start.cast(),
        out_end: out.end.cast(),
    };
    loop {
        let shorter = ends.left_len().min(ends.right_len());
        if shorter < FEW {
            break;
        }
        let steps = (shorter / 2).min(STREAK / 2);
        // SAFETY: I; both runs are longer than `steps`.
        unsafe {
            if ends.take_streak(steps, is_less) {
                continue;
            }
            for _ in 0..steps {
                ends.take_front(is_less);
                ends.take_back(is_less);
            }
        }
    }
    while ends.left_len() > 0 && ends.right_len() > 0 {
        // SAFETY: I.
        unsafe { ends.take_front(is_less) };
    }
    // SAFETY: I; what is left of one run, as the other is empty, fills the rest of the output.
    unsafe {
        ends.take_left(ends.left_len());
        ends.take_right(ends.right_len());
    }
}

/// How many elements at the start of `v` go, if it is likely that many do.
fn gallop<T>(v: &[T], goes: impl Fn(&T) -> bool) -> usize {
    let (mut low, mut step) = (0, STREAK);
    while low + step < v.len() && goes(&v[low + step]) {
        low += step;
        step *= 2;
    }
    let high = v.len().min(low + step);
    low + v[low..high].partition_point(goes)
}

impl<T> Ends<T> {
    fn left_len(&self) -> usize {
        // SAFETY: both are in the left run or at its end, in this order.
        unsafe { self.left_end.offset_from_unsigned(self.left) }
    }

    fn right_len(&self) -> usize {
        // SAFETY: both are in the right run or at its end, in this order.
        unsafe { self.right_end.offset_from_unsigned(self.right) }
    }

    /// If more than `len` elements of one run come first, takes all that do.
    ///
    /// # Safety
    /// Both runs are longer than `len`.
    #[inline(always)]
    unsafe fn take_streak(&mut self, len: usize, is_less: &impl Fn(&T, &T) -> bool) -> bool {
        // SAFETY: by contract; nothing is taken before the comparisons.
        unsafe {
            if !is_less(&*self.right, &*self.left.add(len)) {
                self.take_left_streak(is_less);
            } else if is_less(&*self.right.add(len), &*self.left) {
                self.take_right_streak(is_less);
            } else {
                return false;
            }
        }
        true
    }

    /// # Safety
    /// Neither run is empty.
    #[cold]
    unsafe fn take_left_streak(&mut self, is_less: &impl Fn(&T, &T) -> bool) {
        // SAFETY: by contract. At least one, so that it ends even if comparisons say otherwise now,
        // and at most all. Nothing is taken before the comparisons.
        unsafe {
            let left = slice::from_raw_parts(self.left, self.left_len());
            self.take_left(gallop(left, |element| !is_less(&*self.right, element)).max(1));
        }
    }

    /// # Safety
    /// Neither run is empty.
    #[cold]
    unsafe fn take_right_streak(&mut self, is_less: &impl Fn(&T, &T) -> bool) {
        // SAFETY: as in `take_left_streak`.
        unsafe {
            let right = slice::from_raw_parts(self.right, self.right_len());
            self.take_right(gallop(right, |element| is_less(element, &*self.left)).max(1));
        }
    }

    /// # Safety
    /// The left run has so many elements.
    unsafe fn take_left(&mut self, len: usize) {
        // SAFETY: by contract, and the output has room for all that is left.
        unsafe {
            ptr::copy_nonoverlapping(self.left, self.out, len);
            self.left = self.left.add(len);
            self.out = self.out.add(len);
        }
    }

    /// # Safety
    /// The right run has so many elements.
    unsafe fn take_right(&mut self, len: usize) {
        // SAFETY: as in `take_left`.
        unsafe {
            ptr::copy_nonoverlapping(self.right, self.out, len);
            self.right = self.right.add(len);
            self.out = self.out.add(len);
        }
    }

    /// Moves the least element.
    ///
    /// # Safety
    /// Neither run is empty.
    #[inline(always)]
    unsafe fn take_front(&mut self, is_less: &impl Fn(&T, &T) -> bool) {
        // SAFETY: both runs have a first element, and the output room for it. When the comparison
        // unwinds nothing has changed.
        unsafe {
            let is_right = is_less(&*self.right, &*self.left);
            let from = if is_right { self.right } else { self.left };
            ptr::copy_nonoverlapping(from, self.out, 1);
            self.right = self.right.add(usize::from(is_right));
            self.left = self.left.add(usize::from(!is_right));
            self.out = self.out.add(1);
        }
    }

    /// Moves the greatest element.
    ///
    /// # Safety
    /// Neither run is empty.
    #[inline(always)]
    unsafe fn take_back(&mut self, is_less: &impl Fn(&T, &T) -> bool) {
        // SAFETY: as in `take_front`, at the other end.
        unsafe {
            let (left, right) = (self.left_end.sub(1), self.right_end.sub(1));
            let is_left = is_less(&*right, &*left);
            let from = if is_left { left } else { right };
            self.out_end = self.out_end.sub(1);
            ptr::copy_nonoverlapping(from, self.out_end, 1);
            self.left_end = self.left_end.sub(usize::from(is_left));
            self.right_end = self.right_end.sub(usize::from(!is_left));
        }
    }
}
