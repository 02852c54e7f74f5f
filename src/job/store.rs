//! Where jobs live: side by side in chunks, each thread filling its own, but for large ones; and how
//! those of one chunk are queued together, by the first place of each.
//!
//! Taking a place is a bump, giving it back one subtraction from the chunk's count, from whichever
//! thread; a place is not used again before its chunk is empty as a whole. So jobs that are
//! submitted together lie together, and an allocator that is slow at giving memory back to another
//! thread is asked once a chunk. The price: a job that stays, or a handle that is kept, keeps a
//! chunk of 4 KiB; and what many jobs have used, up to 32 MiB, is kept for the next ones.
//!
//! A chunk has a home: the pool and the level of its first job. Jobs for there are queued by a bit in
//! the chunk (`ready`), and one entry in a lane stands for all of them. A worker runs them in order,
//! as long as it has no other duties. Where jobs are long others take part at once (`lanes::front`), so
//! that they start in their order, and where they are quick when it is the turn of the row's entry.
//!
//! I1. `left` counts the places that are given away, the entries in lanes or in somebody's hands, and
//!     what the filling thread has not given away yet. The one that takes it to zero owns the chunk.
//! I2. A job for a chunk's home that is queued on its own closes the chunk: the next one must not come
//!     before it. That is one that is too large for a chunk, or has a name or options: who looks for
//!     it, or has its level take turns, finds it in its lane and not in a row with others.
//!
//! With `--cfg windlass_boxed_jobs` each job is an allocation of its own, so that a sanitizer sees
//! it by itself.

use super::raw::Raw;
use super::ready::{Ready, Taken};
use crate::engine::job::JobRef as Entry;
use crate::engine::registry::Registry;
use crate::engine::sync::spin_loop;
use crate::engine::worker::Worker;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::mem::size_of;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Two cache lines: what most jobs need. What shuttle has in the place of atomics is larger.
pub(super) const PLACE: usize = if cfg!(shuttle) { 1024 } else { 128 };
/// How many places a job takes at most: two, with a name and options.
const MOST: u32 = 2;
const CHUNK: usize = if cfg!(shuttle) { 8192 } else { 4096 };
/// The first place holds the count.
const PLACES: u32 = (CHUNK / PLACE) as u32 - 1;
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
    left: AtomicU32,
    ready: Ready,
    home: Home,
    is_from_slab: bool,
}

/// Where jobs are queued together.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Home {
    registry: *const Registry,
    level: u8,
    /// Whether the thread that fills the chunk is none of the pool's.
    is_outside: bool,
}

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
    /// Its next place; `CHUNK / PLACE`: it is full, or there is none.
    next: Cell<u32>,
    /// Where it is at home, as long as it is open.
    home: Cell<Option<(*const Registry, u8)>>,
}

const FULL: u32 = PLACES + 1;

impl Filling {
    const fn new() -> Self {
        Filling { chunk: Cell::new(ptr::null_mut()), next: Cell::new(FULL), home: Cell::new(None) }
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
        if let Some(chunk) = NonNull::new(chunk).filter(|_| next < FULL) {
            // SAFETY: see above.
            unsafe { give_back(chunk, FULL - next) };
        }
    }
}

/// Memory for a job.
pub(super) struct Place {
    pub(super) at: NonNull<u8>,
    /// Whether it is queued with the others of its chunk.
    pub(super) is_grouped: bool,
}

/// How many places such a job takes, side by side.
#[inline]
const fn span(layout: Layout) -> u32 {
    layout.size().div_ceil(PLACE) as u32
}

/// Memory for a job of this pool and level, if it fits into a place, or a few. Unless it `may_join`
/// others, it is queued on its own; one without a layout lies elsewhere as well.
#[inline]
pub(super) fn take(
    layout: Option<Layout>,
    registry: &Registry,
    level: u8,
    may_join: bool,
) -> Option<Place> {
    if cfg!(windlass_boxed_jobs) {
        return None;
    }
    let span = layout.filter(|layout| layout.align() <= PLACE).map(span);
    let span = span.filter(|span| *span <= MOST);
    // A thread that is about to end uses the allocator.
    FILLING.try_with(|filling| filling.take(span, (registry, level), may_join)).ok().flatten()
}

impl Filling {
    #[inline]
    fn take(
        &self,
        span: Option<u32>,
        home: (*const Registry, u8),
        may_join: bool,
    ) -> Option<Place> {
        let Some(span) = span else {
            self.close(home);
            return None;
        };
        if FULL - self.next.get() < span {
            self.renew(home);
        }
        let nth = self.next.get();
        self.next.set(nth + span);
        // SAFETY: inside of the chunk, behind its head.
        let at = unsafe { self.chunk.get().cast::<u8>().add(nth as usize * PLACE) };
        // SAFETY: not null.
        let at = unsafe { NonNull::new_unchecked(at) };
        if !may_join {
            self.close(home);
        }
        Some(Place { at, is_grouped: self.home.get() == Some(home) })
    }

    /// A job for there is queued on its own (I2).
    fn close(&self, home: (*const Registry, u8)) {
        if self.home.get() == Some(home) {
            self.home.set(None);
        }
    }

    #[cold]
    fn renew(&self, home: (*const Registry, u8)) {
        self.give_rest_back();
        let (registry, level) = home;
        let seat = |seat: Option<&Worker>| seat.and_then(Worker::own_lanes).is_none();
        // SAFETY: the caller of `take` borrows it.
        let is_outside = Worker::with_seat_in(unsafe { &*registry }, seat);
        self.chunk.set(new_chunk(Home { registry, level, is_outside }).as_ptr());
        self.next.set(1);
        self.home.set(Some(home));
    }
}

fn new_chunk(home: Home) -> NonNull<Head> {
    const { assert!(size_of::<Head>() <= PLACE) };
    let Chunk { at, is_from_slab } = empty().take();
    let (left, ready) = (AtomicU32::new(PLACES), Ready::new());
    // SAFETY: ours alone, and large enough.
    unsafe { at.write(Head { left, ready, home, is_from_slab }) };
    at
}

/// Gives back what a job has lain in.
///
/// # Safety
/// It is from [`take`] for such a job, and nothing is in it any more.
#[inline]
pub(super) unsafe fn put(place: NonNull<u8>, layout: Layout) {
    // SAFETY: those of the chunk's count.
    unsafe { give_back(chunk_of(place), span(layout)) };
}

/// # Safety
/// The place is from [`take`].
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
unsafe fn give_back(chunk: NonNull<Head>, count: u32) {
    // AcqRel: what was done in the places happened before somebody uses them again.
    // SAFETY: live as long as one of its places is somebody's.
    let before = unsafe { chunk.as_ref() }.left.fetch_sub(count, Ordering::AcqRel);
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

// ---- queueing together

/// Jobs that are about to be queued, side by side in one chunk.
pub(super) struct Row {
    chunk: NonNull<Head>,
    places: u32,
}

impl Row {
    /// # Safety
    /// The place is from [`take`], and grouped.
    pub(super) unsafe fn of(place: NonNull<u8>) -> Row {
        // SAFETY: by contract.
        Row { chunk: unsafe { chunk_of(place) }, places: 1 << number_of(place) }
    }

    /// Takes the jobs of another one over. `false`: they lie in another chunk.
    #[inline]
    pub(super) fn add(&mut self, other: &Row) -> bool {
        let is_same = other.chunk == self.chunk;
        if is_same {
            self.places |= other.places;
        }
        is_same
    }

    /// Queues them. `Some`: the chunk, to be put into a lane.
    ///
    /// # Safety
    /// The places hold jobs that are queued once, here, and that do not go before this returns: the
    /// caller has their handles.
    #[inline]
    pub(super) unsafe fn queue(self) -> Option<Entry> {
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
    unsafe { chunk.as_ref() }.left.fetch_add(1, Ordering::Relaxed);
    Entry {
        data: chunk.as_ptr().cast_const().cast::<()>().map_addr(|addr| addr | TAG),
        run: run_row,
    }
}

/// How long a worker that is at it lets jobs gather, and how many are enough. Some 0.5 us, which
/// only matters when jobs come as fast as they are run; a worker that falls behind finds enough.
const PAUSES: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 20 };
const ENOUGH: u32 = 4;

/// Tells a chunk from a job, whose address is even.
const TAG: usize = 1;
/// Of a chunk that was put aside, for which an entry is in a lane already (`ready` I2).
const ASIDE: usize = 2;

/// Takes the place's job out of the queue of its chunk. `false`: it is there no more.
///
/// # Safety
/// The place is from [`take`], and somebody's.
#[inline]
pub(super) unsafe fn withdraw(place: NonNull<u8>) -> bool {
    // SAFETY: by contract.
    unsafe { chunk_of(place).as_ref() }.ready.withdraw(number_of(place))
}

/// There is one more entry like this.
///
/// # Safety
/// The entry is a chunk's, and somebody has it.
pub(super) unsafe fn keep(entry: Entry) {
    // SAFETY: by contract; Relaxed as in `new_entry`.
    unsafe {
        let chunk = chunk_of(NonNull::new_unchecked(entry.data.cast_mut().cast()));
        chunk.as_ref().left.fetch_add(1, Ordering::Relaxed);
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
            if let Some(entry) = self.worker.unlist_in_front(self.head().home.level, number) {
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
    let Home { level, is_outside, .. } = row.head().home;
    if worker.has_just_run() {
        // Whoever submits is at it right now: with each job by itself the two would do little but
        // pass the chunk's cache line to and fro.
        for _ in 0..PAUSES {
            // If there is none, the entry is stale.
            if matches!(row.head().ready.len(), 0 | ENOUGH..) {
                break;
            }
            spin_loop();
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
        let entry = unsafe { row.job(&taken) }.entry();
        // SAFETY: as above.
        unsafe { (entry.run)(entry.data, worker) };
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
pub(super) unsafe fn discard(entry: Entry) {
    if entry.data.addr() & TAG == 0 {
        // SAFETY: by contract.
        return unsafe { Raw::discard(entry) };
    }
    // SAFETY: as in `run_row`.
    unsafe {
        let chunk = chunk_of(NonNull::new_unchecked(entry.data.cast_mut().cast()));
        while let Some(taken) = chunk.as_ref().ready.take() {
            let job = chunk.cast::<u8>().add(taken.place as usize * PLACE);
            Raw::discard(Raw::from_place(job).entry());
        }
        give_back(chunk, 1);
    }
}
