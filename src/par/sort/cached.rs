//! The sort that calls the key function once for each element.

use super::merge::copy;
use crate::engine::clock;
use crate::fork::join;
use crate::pool::with_current_registry;
use std::mem::{MaybeUninit, forget};
use std::ptr;

/// If the keys have taken so long and some are left, a pool is looked for.
const ALONE_US: u64 = 10;
/// About so many keys are made in one go, in time.
const PIECE_US: u64 = 10;
/// A longer slice, in bytes, is brought in order through a buffer: its loads do not wait for each
/// other, and many threads take part.
const IN_PLACE_BYTES: usize = 1 << 14;
/// So many elements are gathered in one go.
const GATHER: usize = 1 << 12;

/// `[T]::sort_by_cached_key`, in parallel.
pub(crate) fn sort_by_cached_key<T, K>(v: &mut [T], key: impl Fn(&T) -> K + Sync)
where
    T: Send,
    K: Ord + Send,
{
    // As std does: an index takes no more room than it must.
    let is_smaller = size_of::<(K, u32)>() < size_of::<(K, usize)>();
    if is_smaller && u32::try_from(v.len()).is_ok() {
        sort_with::<T, K, u32>(v, &key, &|index| index as u32, &|index| index as usize);
    } else {
        sort_with::<T, K, usize>(v, &key, &|index| index, &|index| index);
    }
}

/// Sorts with indices of type `I`, which holds every index of `v`.
fn sort_with<T, K, I>(
    v: &mut [T],
    key: &(impl Fn(&T) -> K + Sync),
    narrow: &(impl Fn(usize) -> I + Sync),
    widen: &(impl Fn(I) -> usize + Sync),
) where
    T: Send,
    K: Ord + Send,
    I: Copy + Ord + Send,
{
    let len = v.len();
    if len < 2 {
        return;
    }
    let make = |index: usize, element: &T| (key(element), narrow(index));
    let mut pairs = Vec::with_capacity(len);
    let piece = make_alone(v, &mut pairs, &make);
    if pairs.len() == len {
        return arrange(v, pairs, narrow, widen);
    }
    with_current_registry(|registry| {
        let piece = if registry.width() == 1 { len } else { piece };
        registry.enter(|_| {
            let first = pairs.len();
            let room = &mut pairs.spare_capacity_mut()[..len - first];
            make_all(&mut v[first..], first, room, piece, &make);
            // SAFETY: the first ones were there, and the rest has just been made.
            unsafe { pairs.set_len(len) };
            arrange(v, pairs, narrow, widen);
        });
    });
}

/// Makes pairs until there are all, or until that has taken its time. How many are made in
/// [`PIECE_US`].
fn make_alone<T, P>(v: &[T], pairs: &mut Vec<P>, make: &impl Fn(usize, &T) -> P) -> usize {
    let ticks_per_us = clock::ticks_per_us();
    let start = clock::ticks();
    let mut batch = 1;
    loop {
        let first = pairs.len();
        let end = v.len().min(first + batch);
        pairs.extend((first..end).map(|index| make(index, &v[index])));
        let took = clock::since(start);
        if end == v.len() || took > ALONE_US * ticks_per_us {
            let made = end as u64 * PIECE_US * ticks_per_us / took.max(1);
            return made.max(1) as usize;
        }
        batch *= 2;
    }
}

/// What has been made of a part. Dropped only when something unwinds.
struct Made<'a, P> {
    room: &'a mut [MaybeUninit<P>],
    len: usize,
}

impl<P> Drop for Made<'_, P> {
    fn drop(&mut self) {
        // SAFETY: so many are initialised, and ours.
        unsafe { self.room[..self.len].assume_init_drop() };
    }
}

/// Makes a pair of each element of `v`, whose first one has the index `first`, in `room`, which is
/// as long. When it unwinds, it has dropped what it made.
fn make_all<T, P, F>(v: &mut [T], first: usize, room: &mut [MaybeUninit<P>], piece: usize, make: &F)
where
    T: Send,
    P: Send,
    F: Fn(usize, &T) -> P + Sync,
{
    if v.len() <= piece {
        let mut made = Made { room, len: 0 };
        for element in &*v {
            let pair = make(first + made.len, element);
            made.room[made.len].write(pair);
            made.len += 1;
        }
        return forget(made);
    }
    let middle = v.len() / 2;
    let (v, rest) = v.split_at_mut(middle);
    let (room, rest_room) = room.split_at_mut(middle);
    let mut left = Made { room, len: 0 };
    let mut right = Made { room: rest_room, len: 0 };
    join(
        || {
            make_all(v, first, left.room, piece, make);
            left.len = left.room.len();
        },
        || {
            make_all(rest, first + middle, right.room, piece, make);
            right.len = right.room.len();
        },
    );
    forget(left);
    forget(right);
}

/// Sorts the pairs, and brings the elements in their order.
fn arrange<T, K, I>(
    v: &mut [T],
    mut pairs: Vec<(K, I)>,
    narrow: &impl Fn(usize) -> I,
    widen: &(impl Fn(I) -> usize + Sync),
) where
    T: Send,
    K: Ord + Send,
    I: Copy + Ord + Send,
{
    // No two pairs are equal, so the order is that of a stable sort.
    super::sort_unstable(&mut pairs);
    if size_of_val(v) > IN_PLACE_BYTES {
        return permute(v, &mut pairs, &|pair: &(K, I)| widen(pair.1));
    }
    for place in 0..v.len() {
        let mut from = widen(pairs[place].1);
        // What belongs here was swapped away if its place comes before, to where this one went.
        while from < place {
            from = widen(pairs[from].1);
        }
        pairs[place].1 = narrow(from);
        v.swap(place, from);
    }
}

/// The elements of a slice, to be copied bit by bit by many threads.
struct Elements<T>(*const T);

// SAFETY: no thread makes a reference to an element; each element is moved by one of them, and may
// be (`permute`).
unsafe impl<T: Send> Sync for Elements<T> {}

/// Moves to each place the element whose index `index_of` says. The indices are a permutation.
fn permute<T, P>(v: &mut [T], pairs: &mut [P], index_of: &(impl Fn(&P) -> usize + Sync))
where
    T: Send,
    P: Send,
{
    let mut buffer: Vec<T> = Vec::with_capacity(v.len());
    let room = &mut buffer.spare_capacity_mut()[..v.len()];
    gather(&Elements(v.as_ptr()), v.len(), pairs, room, index_of);
    // SAFETY: `gather` has written all of it. It holds each element once, as the indices are a
    // permutation, and so `v` may be written over, which does not unwind; the buffer's length is 0,
    // so that the elements are dropped with `v` only.
    unsafe {
        let elements = room.assume_init_mut();
        copy(elements, &mut *(&raw mut *v as *mut [MaybeUninit<T>]));
    }
}

fn gather<T, P>(
    elements: &Elements<T>,
    len: usize,
    pairs: &mut [P],
    room: &mut [MaybeUninit<T>],
    index_of: &(impl Fn(&P) -> usize + Sync),
) where
    T: Send,
    P: Send,
{
    if pairs.len() > GATHER {
        let middle = pairs.len() / 2;
        let (pairs, rest) = pairs.split_at_mut(middle);
        let (room, rest_room) = room.split_at_mut(middle);
        join(
            || gather(elements, len, pairs, room, index_of),
            || gather(elements, len, rest, rest_room, index_of),
        );
        return;
    }
    for (pair, place) in pairs.iter().zip(room) {
        let index = index_of(pair);
        assert!(index < len);
        // SAFETY: in the slice, which is borrowed mutably by `permute`, and not written to before
        // this has ended.
        unsafe { ptr::copy_nonoverlapping(elements.0.add(index), place.as_mut_ptr(), 1) };
    }
}
