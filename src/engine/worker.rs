//! One worker: its fork stack, its published tier, and what others may see of it.
//!
//! A worker is a seat in the registry. The first `width` seats belong to the pool's threads, the
//! others to guests: threads from outside that take part for one call. `local` is touched only by
//! the thread that holds the seat, `shared` by anybody.
//!
//! The fork stack is an array of two-word slots. From the bottom:
//!
//! ```text
//!   slots            published            head            end
//!     | stolen or in    |  private forks     |  free          |
//!     | `forks` deque   |  (owner only)      |                |
//! ```
//!
//! I1. Slots below `published` were pushed into `forks` in order, oldest first; what `forks` holds
//!     is the newest run of them, because thieves take the oldest. So a pop at a join returns that
//!     join's own job, or nothing because it was stolen with everything older.
//! I2. `mark >= published`. A join on a slot below `mark` takes the cold path; all others are a
//!     compare and an inlined call.
//! I3. `limit` is `boundary`, or null when the next fork shall take the cold path (`attention` says
//!     why); `boundary <= end`.
//! I4. While a worker waits at a join, `head == published` and `forks` is empty: everything it has
//!     published is stolen. Hence whatever a thief finds in it later descends from what it runs.

mod context;
mod join;

use super::clock;
use super::job::{ForkHeader, JobRef};
use super::lanes::{AT_FIRST, FOREIGN_LEVEL, LaneStealers, OwnLanes};
use super::latch::Latch;
use super::park::Parker;
use super::region::Region;
use super::registry::Registry;
use super::sync::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Mutex, Ordering, fence, lock,
};
use super::topology::Victims;
use crossbeam_deque::{Stealer, Worker as Deque};
use crossbeam_utils::CachePadded;
use std::cell::{Cell, OnceCell};
use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;

pub(crate) use context::{Alone, Belonging, Seated, context};

/// How many forks can be nested before the deepest run inline. 64 KiB of address space a seat, of
/// which only the touched pages are resident; a fork frame is larger than a slot, so
/// an 8 MiB stack is usually full before.
const SLOTS: usize = 4096;

type Slot = MaybeUninit<JobRef>;

/// Where the boundary of plain calls is first looked for.
const FIRST_LEVELS: usize = 8;

/// Somebody wants work: publish some.
const WANT: u32 = 1;
/// Somebody wants the next fork to look whether its work shall stop.
const CHECK: u32 = 2;
/// A lane above the level of what runs here holds jobs, and no thread is free for them.
const MAKE_WAY: u32 = 4;

/// What only the thread in the seat touches.
struct Local {
    head: Cell<*mut Slot>,
    mark: Cell<*mut Slot>,
    published: Cell<*mut Slot>,
    end: Cell<*mut Slot>,
    /// From this slot on joins are plain calls.
    boundary: Cell<*mut Slot>,
    /// The head while it is `PLAIN`.
    below_plain: Cell<*mut Slot>,
    /// How many levels above a region's base the boundary is, as learned so far.
    levels: Cell<usize>,
    /// The header of the stolen fork that this worker runs, null at the top level.
    patron: Cell<*const ForkHeader>,
    region: Region,
    forks: Deque<JobRef>,
    /// Beacons of scopes that have queued work.
    lane: Deque<JobRef>,
    /// Jobs that were submitted on this thread, or taken in a batch.
    own_lanes: OnceCell<Box<OwnLanes>>,
    /// How often this worker has looked for a job.
    tick: Cell<u32>,
    /// When this worker last looked at the clock, if nothing has happened since; else 0.
    time: Cell<u64>,
    /// How many jobs must still be quick before the next one is taken for quick, too.
    caution: Cell<u32>,
    /// The number of the row that this worker is about to run, if it was shared; else 0.
    row: Cell<u64>,
    /// Before this it does not make way again, in ticks.
    turn: Cell<u64>,
    rng: Cell<u64>,
    /// Keeps the slots allocated; null until the seat is first used.
    slots: Cell<*mut Slot>,
}

/// What anybody may look at. On lines of its own: the owner reads `limit` at every fork, others
/// write it rarely.
pub(crate) struct Shared {
    limit: AtomicPtr<Slot>,
    attention: AtomicU32,
    /// Whether a thread runs jobs in this seat, so that it makes sense to ask it for work.
    busy: AtomicBool,
    pub(crate) forks: Stealer<JobRef>,
    pub(crate) lane: Stealer<JobRef>,
    lanes: OnceLock<LaneStealers>,
    /// The level of the work that runs here.
    level: AtomicU8,
    /// For waits on a latch.
    pub(crate) parker: Parker,
    /// Jobs that must run on this very worker (`broadcast`).
    broadcasts: Mutex<VecDeque<JobRef>>,
    num_broadcasts: AtomicUsize,
    /// Steals that got a job, for `Debug` and tests.
    pub(crate) steals: AtomicUsize,
}

/// See the module.
pub(crate) struct Worker {
    local: CachePadded<Local>,
    pub(crate) shared: CachePadded<Shared>,
    index: u32,
    registry: Cell<*const Registry>,
    /// The order in which this worker looks at the others; set once, when it is pinned.
    near: OnceLock<Victims>,
}

// SAFETY: `shared` is Sync by itself. `local` and the `registry` cell are touched only by
// the thread that holds the seat (the worker's own thread, or the guest that claimed the seat with
// Acquire and gives it back with Release); `registry` is written once, before any thread can reach
// the seat.
unsafe impl Sync for Worker {}
// SAFETY: as above; the raw pointers point into memory that the seat or its registry owns.
unsafe impl Send for Worker {}

/// What `enter_stolen` saves and `leave_stolen` restores.
pub(crate) struct Outer {
    patron: *const ForkHeader,
    boundary: *mut Slot,
    region: super::region::Saved,
}

impl Worker {
    pub(crate) fn new(index: u32) -> Self {
        // LIFO for the owner, FIFO for thieves: the owner pops what it pushed last, thieves take
        // the oldest, which is the biggest.
        let (forks, lane) = (Deque::new_lifo(), Deque::new_lifo());
        let shared = Shared {
            limit: AtomicPtr::new(ptr::null_mut()),
            attention: AtomicU32::new(0),
            busy: AtomicBool::new(false),
            forks: forks.stealer(),
            lane: lane.stealer(),
            lanes: OnceLock::new(),
            level: AtomicU8::new(FOREIGN_LEVEL),
            parker: Parker::new(),
            broadcasts: Mutex::new(VecDeque::new()),
            num_broadcasts: AtomicUsize::new(0),
            steals: AtomicUsize::new(0),
        };
        let null = || Cell::new(ptr::null_mut());
        let local = Local {
            head: null(),
            mark: null(),
            published: null(),
            end: null(),
            boundary: null(),
            below_plain: null(),
            levels: Cell::new(FIRST_LEVELS),
            patron: Cell::new(ptr::null()),
            region: Region::new(),
            forks,
            lane,
            own_lanes: OnceCell::new(),
            tick: Cell::new(0),
            time: Cell::new(0),
            caution: Cell::new(AT_FIRST),
            row: Cell::new(0),
            turn: Cell::new(0),
            rng: Cell::new(0x9e37_79b9_7f4a_7c15 ^ (u64::from(index) + 1)),
            slots: null(),
        };
        Worker {
            local: CachePadded::new(local),
            shared: CachePadded::new(shared),
            index,
            registry: Cell::new(ptr::null()),
            near: OnceLock::new(),
        }
    }

    /// Called once, before the registry is shared.
    pub(crate) fn set_registry(&self, registry: *const Registry) {
        self.registry.set(registry);
    }

    /// The victims by nearness, of a worker that is pinned.
    pub(crate) fn near(&self) -> Option<&Victims> {
        self.near.get()
    }

    /// Called at most once, by the worker's own thread before it starts to work.
    pub(crate) fn set_near(&self, victims: Victims) {
        // A second call would change nothing.
        let _ = self.near.set(victims);
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Whether the thread in this seat is none of the pool's.
    pub(crate) fn is_guest(&self) -> bool {
        self.registry().is_guest(self.index)
    }

    #[inline]
    pub(crate) fn registry(&self) -> &Registry {
        // SAFETY: set before the seat was reachable; the registry owns the seat, so it is live
        // while we are.
        unsafe { &*self.registry.get() }
    }

    /// A thread takes the seat: an empty stack, and the first fork takes the cold path.
    pub(crate) fn sit_down(&self) {
        if self.local.slots.get().is_null() {
            self.allocate_slots();
        }
        let slots = self.local.slots.get();
        self.local.head.set(slots);
        self.local.published.set(slots);
        self.local.mark.set(slots);
        self.local.region.reset(slots.cast());
        self.set_level(FOREIGN_LEVEL);
        self.arm();
    }

    pub(crate) fn set_busy(&self, busy: bool) {
        self.shared.busy.store(busy, Ordering::Relaxed);
    }

    /// The thread leaves the seat, with all its forks joined.
    pub(crate) fn stand_up(&self) {
        debug_assert!(self.local.head.get() == self.local.slots.get());
        debug_assert!(self.shared.forks.is_empty());
        // A beacon whose scope has ended, at most; the seat's next holder must not inherit it.
        while let Some(job) = self.pop_lane() {
            self.registry().inject(job);
        }
    }

    #[cold]
    fn allocate_slots(&self) {
        let slots = Box::<[JobRef]>::new_uninit_slice(SLOTS);
        let first = Box::into_raw(slots).cast::<Slot>();
        self.local.slots.set(first);
        // SAFETY: one past the allocation's last slot.
        self.local.end.set(unsafe { first.add(SLOTS) });
    }

    // ---- running what was stolen

    /// Before a stolen fork runs here: it is a region of its own, on top of whatever waits below.
    pub(crate) fn enter_stolen(&self, header: *const ForkHeader) -> Outer {
        self.leave_plain();
        self.note_time(0);
        let head = self.local.head.get();
        let outer = Outer {
            patron: self.local.patron.replace(header),
            boundary: self.local.boundary.get(),
            region: self.local.region.enter(head.cast(), self.local.mark.get().cast()),
        };
        self.local.mark.set(self.local.published.get());
        self.arm();
        outer
    }

    pub(crate) fn leave_stolen(&self, outer: Outer) {
        self.local.patron.set(outer.patron);
        let mark = self.local.region.leave(outer.region).cast::<Slot>();
        // What ran may have published forks that lie below it (I2).
        self.local.mark.set(mark.max(self.local.published.get()));
        self.set_boundary(outer.boundary);
        if self.local.head.get().cast() == self.local.region.base() {
            // The outer region was armed when it was interrupted, or might as well have been.
            self.arm();
        }
    }

    /// Sets the latch of a stolen fork that has run, and wakes its owner if it sleeps.
    ///
    /// # Safety
    /// The header is live until the latch is set, and this is the last touch of the job (L7).
    pub(crate) unsafe fn finish_fork(&self, header: *const ForkHeader) {
        // SAFETY: live, by contract.
        let owner = unsafe { (*header).owner };
        // SAFETY: live until this returns, by contract.
        if unsafe { Latch::set(&raw const (*header).latch) } {
            // The parker belongs to the registry, which our own seat keeps alive.
            self.registry().unpark(owner);
        }
    }

    // ---- asking and answering

    /// Asks this worker, from another thread, to publish work at its next fork.
    pub(crate) fn ask(&self) {
        if self.shared.busy.load(Ordering::Relaxed)
            && self.shared.attention.load(Ordering::Relaxed) & WANT == 0
        {
            self.ask_for(WANT);
        }
    }

    /// Makes this worker look, at its next fork, whether its work shall stop.
    pub(crate) fn ask_to_check(&self) {
        if self.is_busy() {
            self.ask_for(CHECK);
        }
    }

    /// Makes this worker let others run at its next fork or between two batches of a loop.
    pub(crate) fn ask_to_make_way(&self) {
        self.ask_for(MAKE_WAY);
    }

    fn ask_for(&self, reason: u32) {
        self.shared.attention.fetch_or(reason, Ordering::AcqRel);
        // Release: pairs with the swap in `take_attention`.
        self.shared.limit.store(ptr::null_mut(), Ordering::Release);
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.shared.busy.load(Ordering::Relaxed)
    }

    pub(crate) fn push_broadcast(&self, job: JobRef) {
        lock(&self.shared.broadcasts).push_back(job);
        self.shared.num_broadcasts.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn has_broadcast(&self) -> bool {
        self.shared.num_broadcasts.load(Ordering::Acquire) > 0
    }

    /// Runs what was broadcast to this worker. Broadcast jobs catch their own panics.
    pub(crate) fn run_broadcasts(&self) {
        while self.has_broadcast() {
            let Some(job) = lock(&self.shared.broadcasts).pop_front() else { return };
            self.shared.num_broadcasts.fetch_sub(1, Ordering::Relaxed);
            self.run_plain(job);
        }
    }

    /// Runs whatever an idle worker has found. The worker is busy.
    #[inline]
    pub(crate) fn run_at_the_bottom(&self, job: JobRef) {
        self.arm();
        if self.registry().lanes.has_above(self.level()) {
            // It came while we took this one.
            self.ask_to_make_way();
        }
        // SAFETY: taken from a queue by us alone; whoever queued it keeps it alive until it has
        // run. Jobs do not unwind: each catches what its closure throws.
        unsafe { (job.run)(job.data, self) };
    }

    /// Whether this is a thread of the pool that runs what its main loop has found, and has forked
    /// nothing.
    #[inline]
    pub(crate) fn is_at_the_bottom(&self) -> bool {
        (self.index as usize) < self.registry().width()
            && self.local.head.get() == self.local.slots.get()
    }

    /// Runs a job that is not a fork on top of whatever waits here, as a region of its own.
    pub(crate) fn run_plain(&self, job: JobRef) {
        let outer = self.enter_stolen(ptr::null());
        // SAFETY: as in `run_at_the_bottom`.
        unsafe { (job.run)(job.data, self) };
        self.leave_stolen(outer);
    }

    pub(crate) fn push_lane(&self, job: JobRef) {
        self.local.lane.push(job);
    }

    pub(crate) fn pop_lane(&self) -> Option<JobRef> {
        self.local.lane.pop()
    }

    /// The jobs that wait on this worker alone: only the pool's regular threads have such lanes.
    pub(crate) fn own_lanes(&self) -> Option<&OwnLanes> {
        if self.index as usize >= self.registry().width() {
            return None;
        }
        Some(self.local.own_lanes.get_or_init(|| {
            let (own, stealers) = OwnLanes::new();
            // The cell is filled once, and so is this.
            let _ = self.shared.lanes.set(stealers);
            own
        }))
    }

    pub(crate) fn lane_stealers(&self) -> Option<&LaneStealers> {
        self.shared.lanes.get()
    }

    pub(crate) fn tick(&self) -> u32 {
        self.local.tick.get()
    }

    pub(crate) fn next_tick(&self) -> u32 {
        let tick = self.tick().wrapping_add(1);
        self.local.tick.set(tick);
        tick
    }

    /// A job has ended just now. What this worker starts next starts then.
    #[inline]
    pub(crate) fn note_time(&self, now: u64) {
        self.local.time.set(now);
    }

    /// Whether a job has ended just now, as far as is noted.
    #[inline]
    pub(crate) fn has_just_run(&self) -> bool {
        self.local.time.get() != 0
    }

    /// Now: as noted, if that holds.
    #[inline]
    pub(crate) fn take_time(&self) -> u64 {
        match self.local.time.replace(0) {
            0 => clock::ticks(),
            noted => noted,
        }
    }

    /// The noted time, which is noted now if there is none.
    #[inline]
    pub(crate) fn noted_time(&self) -> u64 {
        let time = &self.local.time;
        if time.get() == 0 {
            time.set(clock::ticks());
        }
        time.get()
    }

    /// How many jobs must still be quick before the next one is taken for quick, too.
    pub(crate) fn caution(&self) -> u32 {
        self.local.caution.get()
    }

    pub(crate) fn set_caution(&self, caution: u32) {
        self.local.caution.set(caution);
    }

    pub(crate) fn set_row(&self, number: u64) {
        self.local.row.set(number);
    }

    pub(crate) fn take_row(&self) -> u64 {
        self.local.row.replace(0)
    }

    pub(crate) fn turn(&self) -> u64 {
        self.local.turn.get()
    }

    pub(crate) fn set_turn(&self, turn: u64) {
        self.local.turn.set(turn);
    }

    pub(crate) fn level(&self) -> u8 {
        self.shared.level.load(Ordering::Relaxed)
    }

    /// The level of what runs here from now on.
    #[inline]
    pub(crate) fn set_level(&self, level: u8) {
        if self.level() != level {
            self.shared.level.store(level, Ordering::Relaxed);
            // Pairs with the fence of a submission (`notify_of_job`): either it sees what runs
            // here, and asks, or `run_at_the_bottom` sees its job.
            fence(Ordering::SeqCst);
        }
    }

    /// Raises the level of what runs here, from another thread.
    pub(crate) fn lend_level(&self, level: u8) {
        self.shared.level.fetch_min(level, Ordering::Relaxed);
    }

    /// A pseudo-random number (xorshift64*), for the first victim.
    pub(crate) fn random(&self) -> u64 {
        let mut x = self.local.rng.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.local.rng.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let slots = self.local.slots.get();
        if !slots.is_null() {
            // SAFETY: allocated as exactly this in `allocate_slots`; slots hold plain words.
            drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(slots, SLOTS)) });
        }
    }
}

impl Worker {
    /// Whether there is anything to tell about this seat.
    pub(crate) fn is_notable(&self) -> bool {
        (self.index as usize) < self.registry().width() || self.is_busy()
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct(self.registry().kind_of_seat(self.index))
            .field("index", &self.index)
            .field("busy", &self.is_busy())
            .field("asked", &self.is_asked())
            .field("public_forks", &self.shared.forks.len())
            .field("beacons", &self.shared.lane.len())
            .field("broadcasts", &self.shared.num_broadcasts.load(Ordering::Relaxed))
            .field("level", &self.level())
            .field("steals", &self.shared.steals.load(Ordering::Relaxed))
            .finish()
    }
}
