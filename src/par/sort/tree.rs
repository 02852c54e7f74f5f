//! The stable sort: a merge sort that moves its runs to and fro between the slice and a buffer.
//!
//! A node's run may end at either place: where two neighbours are in order already, nothing moves.
//! Of two runs that overlap only a little, only what overlaps is merged.

use super::merge::{copy, merge, merge_few};
use super::runs::{self, Run};
use crate::fork::join;
use std::mem::{MaybeUninit, forget};
use std::ptr;

/// A leading run of at least this part of a node becomes its left half as it is.
const LONG_RUN: usize = 4;

/// If one of two runs is so many times as long as the other one, that is inserted in place.
const FEW: usize = 16;

/// How a slice is sorted.
pub(super) struct Tree<'a, F, S> {
    /// So many elements are sorted by `leaf`.
    pub(super) leaf_len: usize,
    /// So many are merged, copied or looked through in one go.
    pub(super) piece: usize,
    pub(super) is_less: &'a F,
    pub(super) leaf: &'a S,
}

fn is_long(run: Run, len: usize) -> bool {
    run.len >= len / LONG_RUN
}

/// Where the elements of a node are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the slice.
    Home,
    /// In the buffer, at the same offset. What the slice holds is out of date.
    Buffer,
}

/// A part of the slice and of the buffer. Whoever drops it finds the elements in the slice (S1).
struct Part<'a, T> {
    home: &'a mut [T],
    buffer: &'a mut [MaybeUninit<T>],
    place: Place,
}

impl<T> Drop for Part<'_, T> {
    fn drop(&mut self) {
        if self.place == Place::Buffer {
            let from = self.buffer.as_ptr().cast();
            // SAFETY: two slices of the same length that do not overlap. The buffer's holds all
            // elements, says `place`; the copies at home are not to be used or dropped.
            unsafe { ptr::copy_nonoverlapping(from, self.home.as_mut_ptr(), self.home.len()) };
        }
    }
}

impl<'a, T> Part<'a, T> {
    fn at_home(home: &'a mut [T], buffer: &'a mut [MaybeUninit<T>]) -> Self {
        assert_eq!(home.len(), buffer.len());
        Part { home, buffer, place: Place::Home }
    }

    /// Leaves the elements where they are.
    fn settle(self) -> Place {
        let place = self.place;
        forget(self);
        place
    }

    /// The place where the elements are, and the other one.
    fn both_places(&mut self) -> (&mut [T], &mut [MaybeUninit<T>]) {
        let home: *mut [T] = &raw mut *self.home;
        let buffer: *mut [MaybeUninit<T>] = &raw mut *self.buffer;
        // SAFETY: a slice seen as one of `MaybeUninit` has the same layout. What is written to
        // `home` is seen as elements only if all of it was written, and `place` changes then; when
        // something unwinds before, `drop` writes it anew. The buffer holds elements, says `place`.
        unsafe {
            match self.place {
                Place::Home => (&mut *home, &mut *buffer),
                Place::Buffer => (&mut *(buffer as *mut [T]), &mut *(home as *mut [_])),
            }
        }
    }

    /// The elements were copied to the other place, all of them, and are there from now on.
    ///
    /// # Safety
    /// It is so.
    unsafe fn set_moved(&mut self) {
        self.place = match self.place {
            Place::Home => Place::Buffer,
            Place::Buffer => Place::Home,
        };
    }
}

impl<T: Send> Part<'_, T> {
    fn bring_home(&mut self) {
        if self.place == Place::Buffer {
            let (from, to) = self.both_places();
            copy(from, to);
            // SAFETY: `copy` has just done so.
            unsafe { self.set_moved() };
        }
    }
}

impl<F, S> Tree<'_, F, S> {
    /// Sorts `v`, which begins with `run`.
    pub(super) fn sort<T>(&self, v: &mut [T], run: Run)
    where
        T: Send,
        F: Fn(&T, &T) -> bool + Sync,
        S: Fn(&mut [T]) + Sync,
    {
        if run.len == v.len() {
            return self.turn(v, run);
        }
        if v.len() <= self.leaf_len && !is_long(run, v.len()) {
            return (self.leaf)(v);
        }
        let mut buffer: Vec<T> = Vec::with_capacity(v.len());
        let buffer = &mut buffer.spare_capacity_mut()[..v.len()];
        let mut all = Part::at_home(v, buffer);
        self.fork(&mut all, run);
        all.bring_home();
    }

    /// A run that is descending is reversed.
    fn turn<T: Send>(&self, v: &mut [T], run: Run) {
        if run.is_descending {
            runs::reverse(&mut v[..run.len], self.piece);
        }
    }

    /// Sorts a part that is at home, to either place.
    fn node<T>(&self, part: &mut Part<T>)
    where
        T: Send,
        F: Fn(&T, &T) -> bool + Sync,
        S: Fn(&mut [T]) + Sync,
    {
        if part.home.len() <= self.leaf_len {
            return (self.leaf)(part.home);
        }
        let run = runs::leading(part.home, self.piece, self.is_less);
        if run.len == part.home.len() {
            return self.turn(part.home, run);
        }
        self.fork(part, run);
    }

    /// Sorts a part that is at home and begins with `run`, by its two halves.
    fn fork<T>(&self, part: &mut Part<T>, run: Run)
    where
        T: Send,
        F: Fn(&T, &T) -> bool + Sync,
        S: Fn(&mut [T]) + Sync,
    {
        let len = part.home.len();
        let is_long = is_long(run, len);
        let middle = if is_long { run.len } else { len.div_ceil(2) };
        if is_long {
            self.turn(part.home, run);
        }
        let (home, right_home) = part.home.split_at_mut(middle);
        let (buffer, right_buffer) = part.buffer.split_at_mut(middle);
        let mut left = Part::at_home(home, buffer);
        let mut right = Part::at_home(right_home, right_buffer);
        // When a half unwinds, what the other one has in the buffer comes home as it is dropped.
        if is_long {
            self.node(&mut right);
        } else {
            join(|| self.node(&mut left), || self.node(&mut right));
        }
        if left.place != right.place {
            left.bring_home();
            right.bring_home();
        }
        // Nothing unwinds between here and the next line.
        (_, part.place) = (left.settle(), right.settle());
        self.combine(part, middle);
    }

    /// Makes one run of the two in a part.
    fn combine<T>(&self, part: &mut Part<T>, middle: usize)
    where
        T: Send,
        F: Fn(&T, &T) -> bool + Sync,
    {
        let (is_less, piece) = (self.is_less, self.piece);
        let is_home = part.place == Place::Home;
        let (from, to) = part.both_places();
        let len = from.len();
        let (left, right) = from.split_at_mut(middle);
        let (last, first) = (&left[middle - 1], &right[0]);
        if !is_less(first, last) {
            return;
        }
        // What is before `skip` or from `keep` on is in its place already.
        let skip = left.partition_point(|element| !is_less(first, element));
        let keep = middle + right.partition_point(|element| is_less(element, last));
        let overlap = keep - skip;
        let shorter = (middle - skip).min(keep - middle);
        if is_home && shorter < overlap / FEW {
            return merge_few(&mut from[skip..keep], middle - skip, to, piece, is_less);
        }
        let (left, right) = (&mut left[skip..], &mut right[..keep - middle]);
        merge(left, right, &mut to[skip..keep], piece, is_less);
        if is_home && overlap <= len / 2 {
            // SAFETY: the merge has just written these; copying does not unwind.
            let merged = unsafe { to[skip..keep].assume_init_mut() };
            let home = &raw mut from[skip..keep];
            // SAFETY: the elements that were there are all in `merged`.
            copy(merged, unsafe { &mut *(home as *mut [MaybeUninit<T>]) });
            return;
        }
        copy(&mut from[..skip], &mut to[..skip]);
        copy(&mut from[keep..], &mut to[keep..]);
        // SAFETY: the merge has written the middle, and these copies the rest.
        unsafe { part.set_moved() };
    }
}
