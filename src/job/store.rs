//! Where jobs live: side by side in chunks, each thread filling its own, but for large ones.
//!
//! A place is a cache line, and most jobs need one: what those of a chunk have in common stands at its
//! start. Taking a place is a bump, giving it back one subtraction from the chunk's count, from whichever
//! thread; a place is not used again before its chunk is empty as a whole. So jobs that are
//! submitted together lie together, and an allocator that is slow at giving memory back to another
//! thread is asked once a chunk. The price: a job that stays, or a handle that is kept, keeps a
//! chunk of 4 KiB, and so does each that comes more than a second or so after the chunk was begun; and what
//! many jobs have used, up to 32 MiB, is kept for the next ones.
//!
//! A chunk has a home: the pool and the level of its first job. Jobs for there are queued together
//! (`row`). Jobs of the same pool and other levels lie there, too, and are queued on their own; those of
//! other pools have allocations of their own, unless the thread stays with that pool.
//!
//! I1. `left` counts the places that are given away, the entries in lanes or in somebody's hands, and
//!     what the filling thread has not given away yet. The one that takes it to zero owns the chunk.
//! I2. A job for a chunk's home that is queued on its own closes the chunk: the next one must not come
//!     before it. That is one that is too large for a chunk, or has a name or options: who looks for
//!     it, or has its level take turns, finds it in its lane and not in a row with others.
//!
//! With `--cfg windlass_boxed_jobs` each job is an allocation of its own, so that a sanitizer sees
//! it by itself.

use super::board::{Board, JobId};
use super::ready::Ready;
use crate::engine::registry::Registry;
use crate::engine::worker::Worker;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::mem::size_of;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

mod row;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub(super) use row::{Row, discard, keep, withdraw};

/// A cache line. What shuttle has in the place of atomics is larger.
pub(super) const PLACE: usize = if cfg!(shuttle) { 1024 } else { 64 };
/// How many places a job takes at most. With a name and options it takes three or four.
const MOST: u32 = 4;
const CHUNK: usize = if cfg!(shuttle) { 8192 } else { 4096 };
/// The first place that is not taken up by the head.
const FIRST: u32 = size_of::<Head>().div_ceil(PLACE) as u32;
/// The one behind the last.
const FULL: u32 = (CHUNK / PLACE) as u32;
const PLACES: u32 = FULL - FIRST;
/// How many empty chunks are kept for later: 32 MiB.
const KEPT: usize = 8192;

const LAYOUT: Layout = match Layout::from_size_align(CHUNK, CHUNK) {
    Ok(layout) => layout,
    Err(_) => unreachable!(),
};

/// Chunks are made one by one, then so many at once, in huge pages: jobs that are run by one thread
/// and collected by another cost each of the two some address translations, of which a virtual
/// machine makes a quarter of the whole.
const FEW: usize = 16;
const SLAB: usize = 2 << 20;
/// How many chunks are made like that in all. They are kept for good, and made one by one again when
/// they are all in use.
const FROM_SLABS: usize =
    if cfg!(all(target_os = "linux", target_pointer_width = "64")) { KEPT } else { 0 };

/// At the start of a chunk.
struct Head {
    common: Common,
    ready: Ready,
    /// The level of the jobs that are queued together.
    level: u8,
    /// Whether the thread that fills the chunk is none of the pool's.
    is_outside: bool,
    is_from_slab: bool,
    left: Left,
}

/// On a line of its own: whoever collects results writes it, close behind those who run the jobs.
#[repr(align(64))]
struct Left(AtomicU32);

/// What jobs have in common that lie together.
pub(super) struct Common {
    /// Live until each of them has ended, and while a thread of the pool, or a guest, looks.
    pub(super) registry: *const Registry,
    /// The number of the first one. With each place it is one more.
    number: u64,
    /// When the first one was submitted, in ticks.
    pub(super) begun: u64,
}

/// What a job that lies alone has in front of it.
const ALONE: usize = size_of::<Common>();

/// Nobody's.
struct Chunk {
    at: NonNull<Head>,
    is_from_slab: bool,
}

// SAFETY: an empty chunk, which is nobody's.
unsafe impl Send for Chunk {}

/// The chunks that nobody uses.
struct Empty {
    chunks: Vec<Chunk>,
    /// How many were made one by one, up to [`FEW`].
    few: usize,
    /// How many were made in slabs.
    from_slabs: usize,
}

static EMPTY: Mutex<Empty> = Mutex::new(Empty { chunks: Vec::new(), few: 0, from_slabs: 0 });

fn empty() -> MutexGuard<'static, Empty> {
    EMPTY.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Empty {
    fn take(&mut self) -> Chunk {
        if self.chunks.is_empty() {
            if self.few < FEW {
                self.few += 1;
            } else if self.from_slabs < FROM_SLABS {
                self.add_slab();
            }
        }
        self.chunks.pop().unwrap_or_else(|| {
            // SAFETY: the layout's size is not zero.
            let chunk = NonNull::new(unsafe { alloc(LAYOUT) });
            let at = chunk.unwrap_or_else(|| handle_alloc_error(LAYOUT)).cast();
            Chunk { at, is_from_slab: false }
        })
    }

    #[cold]
    fn add_slab(&mut self) {
        let layout = Layout::from_size_align(SLAB, SLAB).expect("a power of two");
        // SAFETY: the layout's size is not zero.
        let Some(slab) = NonNull::new(unsafe { alloc(layout) }) else { return };
        #[cfg(target_os = "linux")]
        // SAFETY: ours. Without huge pages all goes on as before.
        unsafe {
            libc::madvise(slab.as_ptr().cast(), SLAB, libc::MADV_HUGEPAGE)
        };
        let count = SLAB / CHUNK;
        self.from_slabs += count;
        // The first one is taken first.
        self.chunks.extend((0..count).rev().map(|nth| {
            // SAFETY: inside of the slab.
            let at = unsafe { slab.add(nth * CHUNK) }.cast();
            Chunk { at, is_from_slab: true }
        }));
    }
}

/// The chunk that this thread fills.
struct Filling {
    chunk: Cell<*mut Head>,
    /// Its next place; `FULL`: there is none.
    next: Cell<u32>,
    /// How many of those before have only given their number to a job that lies alone.
    skipped: Cell<u32>,
    /// The pool whose jobs it is for, as of [`Board::serial`]; 0: none.
    pool: Cell<u64>,
    /// The level whose jobs are queued together, as long as it is open; else `CLOSED`.
    level: Cell<u8>,
    /// When its first job was submitted.
    begun: Cell<u64>,
    /// How many jobs of other pools have come since one of this.
    strangers: Cell<u32>,
}

const CLOSED: u8 = u8::MAX;
/// A thread that submits so many jobs in a row to another pool than before stays there, as it seems. Few,
/// since each of them is allocated by itself; more than one, for those that take turns.
const STRANGERS: u32 = 4;

impl Filling {
    const fn new() -> Self {
        Filling {
            chunk: Cell::new(ptr::null_mut()),
            next: Cell::new(FULL),
            skipped: Cell::new(0),
            pool: Cell::new(0),
            level: Cell::new(CLOSED),
            begun: Cell::new(0),
            strangers: Cell::new(0),
        }
    }
}

#[cfg(not(shuttle))]
thread_local! {
    static FILLING: Filling = const { Filling::new() };
}
// Its threads are tasks of one thread.
#[cfg(shuttle)]
shuttle::thread_local! {
    static FILLING: Filling = Filling::new();
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.give_rest_back();
    }
}

impl Filling {
    /// Gives back what it has not given away.
    fn give_rest_back(&self) {
        let (chunk, next) = (self.chunk.replace(ptr::null_mut()), self.next.replace(FULL));
        let rest = FULL - next + self.skipped.replace(0);
        if let Some(chunk) = NonNull::new(chunk).filter(|_| rest > 0) {
            // SAFETY: see above.
            unsafe { give_back(chunk, rest) };
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) layout: Layout,
    pub(super) registry: &'a Registry,
    pub(super) level: u8,
    /// In ticks.
    pub(super) enqueued: u64,
    /// Whether it may be queued with others.
    pub(super) may_join: bool,
    /// Whether it shall have an allocation of its own.
    pub(super) is_alone: bool,
    /// Whether it is queued only later.
    pub(super) is_gated: bool,
}

/// Memory for a job.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) at: NonNull<u8>,
    /// Whether it has an allocation of its own.
    pub(super) is_alone: bool,
    /// Whether it is queued with the others of its chunk.
    pub(super) is_grouped: bool,
}

/// How many places such a job takes, side by side.
#[inline]
const fn span(layout: Layout) -> u32 {
    layout.size().div_ceil(PLACE) as u32
}

/// Memory for a job: in the chunk that this thread fills, or by itself if it is too large for that, if
/// that is wished for, or if the chunk is for another pool.
#[inline]
pub(super) fn take(wish: Wish<'_>) -> Place {
    // A thread that is about to end uses the allocator.
    match FILLING.try_with(|filling| filling.take_next(&wish)) {
        Ok(Some((at, is_grouped))) => Place { at, is_alone: false, is_grouped },
        _ => take_slowly(wish),
    }
}

/// As [`take`], where something is to be decided first.
#[inline(never)]
fn take_slowly(wish: Wish<'_>) -> Place {
    match FILLING.try_with(|filling| filling.take(&wish)) {
        Ok(Some((at, is_grouped))) => Place { at, is_alone: false, is_grouped },
        _ => take_alone(&wish),
    }
}

/// Memory for up to so many jobs like this, side by side, but for one at least: the first of those
/// places, and how many they are.
pub(super) fn take_row(wish: &Wish<'_>, most: u32) -> (Place, u32) {
    let _ = FILLING.try_with(|filling| {
        // Closed, and there are more than it has room for: they are queued together in a new one.
        if most > FULL - filling.next.get() && filling.is_closed_for(wish) {
            filling.give_rest_back();
        }
    });
    let place = take(*wish);
    if !place.is_grouped {
        return (place, 1);
    }
    let more = FILLING.try_with(|filling| filling.take_more(span(wish.layout), most - 1));
    (place, 1 + more.unwrap_or(0))
}

impl Place {
    /// The place of the one that lies so many behind this one, of those that were taken together.
    pub(super) fn nth(self, n: u32, layout: Layout) -> Place {
        let offset = (n * span(layout)) as usize * PLACE;
        // SAFETY: inside of the chunk, as it was taken, too.
        Place { at: unsafe { self.at.add(offset) }, ..self }
    }
}

impl Filling {
    fn is_closed_for(&self, wish: &Wish<'_>) -> bool {
        self.pool.get() == Board::of(wish.registry).serial() && self.level.get() != wish.level
    }

    /// Takes up to so many more like the last one.
    fn take_more(&self, span: u32, most: u32) -> u32 {
        let next = self.next.get();
        let more = most.min((FULL - next) / span);
        self.next.set(next + more * span);
        more
    }

    /// Whether such a job may lie in a chunk.
    #[inline]
    fn takes(wish: &Wish<'_>) -> bool {
        let fits = span(wish.layout) <= MOST && wish.layout.align() <= PLACE;
        fits && !wish.is_alone && !cfg!(windlass_boxed_jobs)
    }

    /// Whether the chunk has a place for such a job.
    #[inline]
    fn has_next(&self, wish: &Wish<'_>) -> bool {
        // Times are kept as differences to the chunk's, in 32 bits.
        let is_late = wish.enqueued.saturating_sub(self.begun.get()) > u64::from(u32::MAX);
        FULL - self.next.get() >= span(wish.layout)
            && self.pool.get() == Board::of(wish.registry).serial()
            && !is_late
    }

    #[inline]
    fn bump(&self, wish: &Wish<'_>) -> (NonNull<u8>, bool) {
        self.strangers.set(0);
        let nth = self.next.get();
        self.next.set(nth + span(wish.layout));
        // SAFETY: inside of the chunk, behind its head.
        let at = unsafe { self.chunk.get().cast::<u8>().add(nth as usize * PLACE) };
        // SAFETY: not null.
        (unsafe { NonNull::new_unchecked(at) }, self.level.get() == wish.level)
    }

    /// As [`Self::take`], if there is nothing to decide.
    #[inline]
    fn take_next(&self, wish: &Wish<'_>) -> Option<(NonNull<u8>, bool)> {
        let is_plain = Self::takes(wish) && wish.may_join;
        (is_plain && self.has_next(wish)).then(|| self.bump(wish))
    }

    /// A place, and whether the job is queued with the others of its chunk: two words, which come in
    /// registers.
    fn take(&self, wish: &Wish<'_>) -> Option<(NonNull<u8>, bool)> {
        if !Self::takes(wish) {
            return None;
        }
        if !self.has_next(wish) {
            let pool = Board::of(wish.registry).serial();
            if self.pool.get() != pool && self.strangers.get() < STRANGERS && self.pool.get() != 0 {
                self.strangers.set(self.strangers.get() + 1);
                return None;
            }
            self.renew(pool, wish);
        }
        if !wish.may_join {
            self.close(wish.level);
        }
        Some(self.bump(wish))
    }

    /// A job of that level is queued on its own (I2).
    fn close(&self, level: u8) {
        if self.level.get() == level {
            self.level.set(CLOSED);
        }
    }

    fn renew(&self, pool: u64, wish: &Wish<'_>) {
        self.give_rest_back();
        let &Wish { registry, level, enqueued, .. } = wish;
        let is_outside =
            Worker::with_seat_in(registry, |seat| seat.and_then(Worker::own_lanes).is_none());
        let number = Board::of(registry).numbers(PLACES);
        let common = Common { registry, number, begun: enqueued };
        self.chunk.set(new_chunk(common, level, is_outside).as_ptr());
        self.next.set(FIRST);
        self.pool.set(pool);
        self.level.set(level);
        self.begun.set(enqueued);
    }

    /// The number of a job that lies alone, of this pool. Later ones have higher numbers, so it is that of
    /// a place, which stays empty.
    fn number_alone(&self, pool: u64, wish: &Wish<'_>) -> Option<u64> {
        let nth = self.next.get();
        if self.pool.get() != pool || nth == FULL {
            return None;
        }
        if !wish.is_gated {
            self.close(wish.level);
        }
        self.next.set(nth + 1);
        self.skipped.set(self.skipped.get() + 1);
        // SAFETY: it has a place left, so it is live.
        let common = unsafe { &(*self.chunk.get()).common };
        Some(common.number + u64::from(nth - FIRST))
    }
}

fn new_chunk(common: Common, level: u8, is_outside: bool) -> NonNull<Head> {
    let Chunk { at, is_from_slab } = empty().take();
    let (left, ready) = (Left(AtomicU32::new(PLACES)), Ready::new());
    // SAFETY: ours alone, and large enough.
    unsafe { at.write(Head { common, ready, level, is_outside, is_from_slab, left }) };
    at
}

/// The layout of a job that lies alone, and where in it the job is.
fn layout_alone(layout: Layout) -> (Layout, usize) {
    let in_front = Layout::new::<Common>();
    in_front.extend(layout).expect("a closure of a sane size")
}

/// Memory of its own.
#[cold]
fn take_alone(wish: &Wish<'_>) -> Place {
    let &Wish { registry, enqueued: begun, .. } = wish;
    let board = Board::of(registry);
    let number = FILLING.try_with(|filling| filling.number_alone(board.serial(), wish));
    let number = number.ok().flatten().unwrap_or_else(|| board.numbers(1));
    let (layout, offset) = layout_alone(wish.layout);
    // SAFETY: the layout's size is not zero.
    let memory = NonNull::new(unsafe { alloc(layout) });
    let memory = memory.unwrap_or_else(|| handle_alloc_error(layout));
    // SAFETY: inside of the memory, and as aligned as the job, or more than what is in front of it.
    unsafe {
        let at = memory.add(offset);
        at.sub(ALONE).cast::<Common>().write(Common { registry, number, begun });
        Place { at, is_alone: true, is_grouped: false }
    }
}

/// What a job has in common with those beside it, and its number.
///
/// # Safety
/// The place is from [`take`], and the job lives as long as the caller uses this.
#[inline]
pub(super) unsafe fn common_of<'a>(place: NonNull<u8>, is_alone: bool) -> &'a Common {
    // SAFETY: by contract.
    unsafe {
        if is_alone {
            place.sub(ALONE).cast::<Common>().as_ref()
        } else {
            &chunk_of(place).as_ref().common
        }
    }
}

impl Common {
    /// The number of the job in that place.
    pub(super) fn number_of(&self, place: NonNull<u8>, is_alone: bool) -> JobId {
        let nth = if is_alone { 0 } else { number_of(place) - FIRST };
        JobId::new(self.number + u64::from(nth))
    }
}

/// Gives back what a job has lain in.
///
/// # Safety
/// It is from [`take`] for such a job, and nothing is in it any more.
#[inline]
pub(super) unsafe fn put(place: NonNull<u8>, layout: Layout, is_alone: bool) {
    if is_alone {
        let (layout, offset) = layout_alone(layout);
        // SAFETY: as it was allocated; what lies in front has no destructor.
        return unsafe { dealloc(place.sub(offset).as_ptr(), layout) };
    }
    // SAFETY: by contract.
    unsafe { put_places(place, span(layout)) };
}

/// Gives back so many places of a chunk, from this on.
///
/// # Safety
/// As of [`put`].
#[inline]
pub(super) unsafe fn put_places(place: NonNull<u8>, count: u32) {
    // SAFETY: those of the chunk's count.
    unsafe { give_back(chunk_of(place), count) };
}

/// How many places more than one such a job takes, if it lies in a chunk.
pub(super) const fn more_places(layout: Layout) -> u8 {
    let span = span(layout);
    if span > MOST { 0 } else { (span - 1) as u8 }
}

const _: () = assert!(MOST <= 4, "two bits say how many places a job takes");

/// # Safety
/// The place is from [`take`].
#[inline]
unsafe fn chunk_of(place: NonNull<u8>) -> NonNull<Head> {
    let chunk = place.as_ptr().map_addr(|addr| addr & !(CHUNK - 1)).cast::<Head>();
    // SAFETY: a place of a chunk, which is aligned to its size.
    unsafe { NonNull::new_unchecked(chunk) }
}

fn number_of(place: NonNull<u8>) -> u32 {
    ((place.addr().get() & (CHUNK - 1)) / PLACE) as u32
}

/// # Safety
/// The caller has `count` places of the chunk.
#[inline]
unsafe fn give_back(chunk: NonNull<Head>, count: u32) {
    // AcqRel: what was done in the places happened before somebody uses them again.
    // SAFETY: live as long as one of its places is somebody's.
    let before = unsafe { chunk.as_ref() }.left.0.fetch_sub(count, Ordering::AcqRel);
    if before == count {
        keep_or_free(chunk);
    }
}

#[cold]
fn keep_or_free(chunk: NonNull<Head>) {
    // SAFETY: ours alone (I1).
    let Head { is_from_slab, .. } = unsafe { chunk.read() };
    let mut empty = empty();
    if is_from_slab || empty.chunks.len() < KEPT {
        return empty.chunks.push(Chunk { at: chunk, is_from_slab });
    }
    drop(empty);
    // SAFETY: from `alloc` with this layout, and nobody's any more (I1).
    unsafe { dealloc(chunk.as_ptr().cast(), LAYOUT) };
}
