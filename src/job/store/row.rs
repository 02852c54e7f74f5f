//! How jobs that lie in one chunk are queued together: as a row.
//!
//! Each is queued by its bit in the chunk (`ready`), and one entry in a lane stands for all of them. A worker
//! runs them in order, as long as it has no other duties. Where jobs are long others take part at once
//! (`lanes::front`), so that they start in their order, and where they are quick when it is the turn of
//! the row's entry.

use super::super::raw::Raw;
use super::super::ready::Taken;
use super::{CHUNK, FULL, Head, MOST, PLACE, Place, chunk_of, give_back, number_of, span};
use crate::engine::job::JobRef as Entry;
use crate::engine::sync::spin_loop;
use crate::engine::worker::Worker;
use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

/// Jobs that are about to be queued, side by side in one chunk.
pub(in crate::job) struct Row {
    chunk: NonNull<Head>,
    places: u64,
}

impl Row {
    /// # Safety
    /// The place is from [`take`](super::take), and grouped.
    pub(in crate::job) unsafe fn of_one(place: NonNull<u8>) -> Row {
        // SAFETY: by contract.
        Row { chunk: unsafe { chunk_of(place) }, places: 1 << number_of(place) }
    }

    /// Of jobs whose places were taken together. `None`: they are queued on their own.
    pub(in crate::job) fn of(first: Place, count: u32, layout: Layout) -> Option<Row> {
        let (nth, span) = (number_of(first.at), span(layout));
        let places = (0..count).fold(0, |places, n| places | 1 << (nth + n * span));
        // SAFETY: grouped, so it is a place.
        first.is_grouped.then(|| Row { chunk: unsafe { chunk_of(first.at) }, places })
    }

    /// Queues them. `Some`: the chunk, to be put into a lane.
    ///
    /// # Safety
    /// The places hold jobs that are queued once, here, and that do not go before this returns: the
    /// caller has their handles.
    #[inline]
    pub(in crate::job) unsafe fn queue(self) -> Option<Entry> {
        // SAFETY: live, by contract.
        let head = unsafe { self.chunk.as_ref() };
        // SAFETY: as above.
        head.ready.add(self.places).then(|| unsafe { new_entry(self.chunk) })
    }
}

/// # Safety
/// The chunk is live.
unsafe fn new_entry(chunk: NonNull<Head>) -> Entry {
    // Relaxed: whoever takes the entry out of its lane sees it by what that hands over.
    // SAFETY: by contract.
    unsafe { chunk.as_ref() }.left.0.fetch_add(1, Ordering::Relaxed);
    Entry {
        data: chunk.as_ptr().cast_const().cast::<()>().map_addr(|addr| addr | TAG),
        run: run_row,
    }
}

/// How a worker lets jobs gather: it looks so often, each time after so many pauses, in which whoever
/// submits adds several, and how many are enough. Some two microseconds in all, which only matter when
/// jobs come as fast as they are run; a worker that falls behind finds enough. With half of that, or looks
/// that are nearer to each other, a job from outside cost up to twice as much (2026-11-29).
const LOOKS: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 6 };
const PAUSES: u32 = 16;
const ENOUGH: u32 = 32;

/// Tells a chunk from a job, whose address is even.
const TAG: usize = 1;
/// Of a chunk that was put aside, for which an entry is in a lane already (`ready` I2).
const ASIDE: usize = 2;

/// Takes the place's job out of the queue of its chunk. `false`: it is there no more.
///
/// # Safety
/// The place is from [`take`](super::take), and somebody's.
#[inline]
pub(in crate::job) unsafe fn withdraw(place: NonNull<u8>) -> bool {
    // SAFETY: by contract.
    unsafe { chunk_of(place).as_ref() }.ready.withdraw(number_of(place))
}

/// There is one more entry like this.
///
/// # Safety
/// The entry is a chunk's, and somebody has it.
pub(in crate::job) unsafe fn keep(entry: Entry) {
    // SAFETY: by contract; Relaxed as in `new_entry`.
    unsafe {
        let chunk = chunk_of(NonNull::new_unchecked(entry.data.cast_mut().cast()));
        chunk.as_ref().left.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A row that a worker is at.
struct Run<'a> {
    worker: &'a Worker,
    chunk: NonNull<Head>,
    /// As of [`Worker::list_in_front`]; 0: it is not there.
    number: u64,
}

impl Run<'_> {
    fn head(&self) -> &Head {
        // SAFETY: whoever runs a row has one of its chunk's count.
        unsafe { self.chunk.as_ref() }
    }

    /// The next job. If it is the last one, its row is in no lane any more: that is left to the entry
    /// of the next one, if there is one.
    #[inline]
    fn take(&mut self) -> Option<Taken> {
        let taken = self.head().ready.take();
        if self.number != 0 && taken.as_ref().is_none_or(|taken| !taken.has_more) {
            let number = std::mem::take(&mut self.number);
            if let Some(entry) = self.worker.unlist_in_front(self.head().level, number) {
                debug_assert_eq!(entry.data.addr() & !(CHUNK - 1), self.chunk.addr().get());
                // SAFETY: the entry's, which is not the last: we have one.
                unsafe { give_back(self.chunk, 1) };
            }
        }
        taken
    }

    /// # Safety
    /// The caller has taken it, and it has not been run.
    unsafe fn job(&self, taken: &Taken) -> Raw {
        // SAFETY: inside of the chunk; a job, whose place in the queue is the caller's.
        unsafe { Raw::from_place(self.chunk.cast::<u8>().add(taken.place as usize * PLACE)) }
    }
}

/// Runs the jobs of a chunk that a worker has found in a lane.
///
/// # Safety
/// `data` is a chunk's, from [`new_entry`], and given away with it.
unsafe fn run_row(data: *const (), worker: &Worker) {
    // SAFETY: by contract; we have one of its count.
    let chunk = unsafe { chunk_of(NonNull::new_unchecked(data.cast_mut().cast())) };
    let mut row = Run { worker, chunk, number: worker.take_row() };
    let &Head { level, is_outside, .. } = row.head();
    if worker.has_just_run() {
        // Whoever submits is at it right now: with each job by itself the two would do little but
        // pass the chunk's cache line to and fro.
        let mut before = 0;
        for _ in 0..LOOKS {
            let len = row.head().ready.len();
            // Enough; or no more than before, so that nobody is at it; or none, and the entry is stale; or
            // there is no place for more.
            if len >= ENOUGH || len == before || row.head().ready.has_since(FULL - MOST) {
                break;
            }
            before = len;
            for _ in 0..PAUSES {
                spin_loop();
            }
            // The first job starts now, and not when the last one has ended.
            worker.note_time(0);
        }
    }
    let is_listed = row.number != 0 || data.addr() & ASIDE != 0;
    let mut next = row.take();
    // SAFETY: taken.
    let age = next.as_ref().map_or((0, 0), |taken| unsafe { row.job(taken) }.age());
    if next.as_ref().is_some_and(|taken| taken.has_more) && !is_listed {
        // SAFETY: as above.
        let entry = unsafe { new_entry(chunk) };
        if worker.is_quick() {
            worker.share(level, entry, is_outside);
        } else {
            row.number = worker.list_in_front(level, entry, is_outside, age);
        }
    }
    while let Some(taken) = next {
        // SAFETY: taken.
        let job = unsafe { row.job(&taken) };
        // SAFETY: taken, so its bit is ours, and what the row had of it.
        unsafe { job.run_from_row(worker) };
        if !taken.has_more {
            break;
        }
        if row.number == 0 && !worker.is_quick() {
            // It was shared, or put aside, when jobs were quick.
            // SAFETY: as above.
            row.number = worker.list_in_front(level, unsafe { new_entry(chunk) }, is_outside, age);
        }
        if !worker.may_go_on(level, is_outside, row.number) {
            let aside = Entry { data: data.map_addr(|addr| addr | ASIDE), run: run_row };
            if worker.put_aside(level, aside, is_outside, row.number) {
                return;
            }
            break;
        }
        next = row.take();
    }
    // SAFETY: the entry's.
    unsafe { give_back(chunk, 1) };
}

/// Ends what an entry of a lane stands for, at the end of the pool.
///
/// # Safety
/// The entry was taken from a lane.
pub(in crate::job) unsafe fn discard(entry: Entry) {
    if entry.data.addr() & TAG == 0 {
        // SAFETY: by contract.
        return unsafe { Raw::discard(entry) };
    }
    // SAFETY: as in `run_row`.
    unsafe {
        let chunk = chunk_of(NonNull::new_unchecked(entry.data.cast_mut().cast()));
        while let Some(taken) = chunk.as_ref().ready.take() {
            let job = chunk.cast::<u8>().add(taken.place as usize * PLACE);
            Raw::from_place(job).discard_from_row();
        }
        give_back(chunk, 1);
    }
}
