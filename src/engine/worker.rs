//! One worker: its fork stack, its published tier, and what others may see of it.
//!
//! A worker is a seat in the registry. The first `width` seats belong to the pool's threads, the others to guests:
//! threads from outside that take part for one call. `local` is touched only by the thread that holds the
//! seat, `shared` by anybody.
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
//! I3. `limit` is `end`, or null when the next fork shall take the cold path (`attention` says why).
//! I4. While a worker waits at a join, `head == published` and `forks` is empty: everything it has
//!     published is stolen. Hence whatever a thief finds in it later descends from what it runs.

use super::clock;
use super::job::{ForkHeader, ForkJob, JobRef, header_of};
use super::latch::Latch;
use super::park::Parker;
use super::region::{Plan, Region};
use super::registry::Registry;
use super::sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Mutex, Ordering, fence, lock};
use super::topology::Victims;
use super::unwind;
use crossbeam_deque::{Stealer, Worker as Deque};
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::collections::VecDeque;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr;
use std::sync::OnceLock;

/// How many forks can be nested before the deepest run inline. 64 KiB of address space a seat, of
/// which only the touched pages are resident; a fork frame is larger than a slot, so
/// an 8 MiB stack is usually full before.
const SLOTS: usize = 4096;

type Slot = MaybeUninit<JobRef>;

/// The head while joins are plain calls: above every limit.
const PLAIN: *mut Slot = ptr::without_provenance_mut(usize::MAX);

/// Where the boundary of plain calls is first looked for.
const FIRST_LEVELS: usize = 8;
/// How many levels fork again when a thief finds nothing to take.
const REVIVED_LEVELS: usize = 4;
/// A subtree that runs as plain calls takes between these. Long enough for the two clock reads around it not to show
/// (1-2 %), short enough that nobody misses its forks: a theft costs about as much.
const PLAIN_MIN_US: u64 = 2;
const PLAIN_MAX_US: u64 = 8;

/// Somebody wants work: publish some.
pub(crate) const WANT: u32 = 1;

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
    forks: Deque<JobRef>,
    /// Beacons of scopes that have queued work.
    lane: Deque<JobRef>,
    rng: Cell<u64>,
    /// Keeps the slots allocated; null until the seat is first used.
    slots: Cell<*mut Slot>,
}

/// What anybody may look at. On lines of its own: the owner reads `limit` at every fork, others write it rarely.
pub(crate) struct Shared {
    limit: AtomicPtr<Slot>,
    attention: AtomicU32,
    /// Whether a thread runs jobs in this seat, so that it makes sense to ask it for work.
    busy: AtomicBool,
    pub(crate) forks: Stealer<JobRef>,
    pub(crate) lane: Stealer<JobRef>,
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
    pub(crate) region: Region,
    pub(crate) shared: CachePadded<Shared>,
    index: u32,
    registry: Cell<*const Registry>,
    /// The order in which this worker looks at the others; set once, when it is pinned.
    near: OnceLock<Victims>,
}

// SAFETY: `shared` is Sync by itself. `local`, `region` and the `registry` cell are touched only by the thread that holds
// the seat (the worker's own thread, or the guest that claimed the seat with Acquire and gives it
// back with Release); `registry` is written once, before any thread can reach the seat.
unsafe impl Sync for Worker {}
// SAFETY: as above; the raw pointers point into memory that the seat or its registry owns.
unsafe impl Send for Worker {}

/// What `enter_stolen` saves and `leave_stolen` restores.
pub(crate) struct Outer {
    patron: *const ForkHeader,
    boundary: *mut Slot,
    region: super::region::Saved,
}

#[cfg(not(shuttle))]
mod tls {
    use super::{Cell, Frame, Worker, ptr};
    thread_local! {
        pub(super) static CURRENT: Cell<*const Worker> = const { Cell::new(ptr::null()) };
        pub(super) static FRAMES: Cell<*const Frame> = const { Cell::new(ptr::null()) };
    }
}
#[cfg(shuttle)]
mod tls {
    use super::{Cell, Frame, Worker, ptr};
    shuttle::thread_local! {
        pub(super) static CURRENT: Cell<*const Worker> = Cell::new(ptr::null());
        pub(super) static FRAMES: Cell<*const Frame> = Cell::new(ptr::null());
    }
}

/// One entry into a pool on this thread's stack, linked to the entry around it: a thread may be in
/// pool A, from there in pool B, and from there in A again.
pub(crate) struct Frame {
    worker: *const Worker,
    outer: *const Frame,
}

/// Puts a worker into the thread's context for as long as it lives.
pub(crate) struct Seated {
    frame: Box<Frame>,
}

impl Seated {
    /// # Safety
    /// The calling thread holds the seat `worker`, which outlives the guard.
    pub(crate) unsafe fn new(worker: &Worker) -> Self {
        let outer = tls::FRAMES.with(Cell::get);
        let frame = Box::new(Frame { worker, outer });
        tls::FRAMES.with(|frames| frames.set(&raw const *frame));
        tls::CURRENT.with(|current| current.set(worker));
        Seated { frame }
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        let outer = self.frame.outer;
        tls::FRAMES.with(|frames| frames.set(outer));
        // SAFETY: the outer frame belongs to a `Seated` further down this thread's stack.
        let worker = if outer.is_null() { ptr::null() } else { unsafe { (*outer).worker } };
        tls::CURRENT.with(|current| current.set(worker));
    }
}

impl Worker {
    pub(crate) fn new(index: u32) -> Self {
        // LIFO for the owner, FIFO for thieves: the owner pops what it pushed last, thieves take the oldest, which is the biggest.
        let (forks, lane) = (Deque::new_lifo(), Deque::new_lifo());
        let shared = Shared {
            limit: AtomicPtr::new(ptr::null_mut()),
            attention: AtomicU32::new(0),
            busy: AtomicBool::new(false),
            forks: forks.stealer(),
            lane: lane.stealer(),
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
            forks,
            lane,
            rng: Cell::new(0x9e37_79b9_7f4a_7c15 ^ (u64::from(index) + 1)),
            slots: null(),
        };
        Worker {
            local: CachePadded::new(local),
            region: Region::new(),
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

    #[inline]
    pub(crate) fn registry(&self) -> &Registry {
        // SAFETY: set before the seat was reachable; the registry owns the seat, so it is live
        // while we are.
        unsafe { &*self.registry.get() }
    }

    // ---- the thread's context --------------------------------------------------------------------

    /// The worker that the calling thread is now, in the innermost pool it has entered, or null. The hot
    /// path's form of [`Self::with_current`]: a closure there is not always inlined.
    #[inline(always)]
    pub(crate) fn current() -> *const Worker {
        // Thread-locals without a destructor are readable until the thread is gone.
        tls::CURRENT.with(Cell::get)
    }

    /// Calls `f` with the worker that the calling thread is now.
    #[inline(always)]
    pub(crate) fn with_current<R>(f: impl FnOnce(Option<&Worker>) -> R) -> R {
        // SAFETY: a non-null pointer was set by a `Seated` on this thread's stack, whose seat is live.
        f(unsafe { Self::current().as_ref() })
    }

    /// The seat that the calling thread holds in `registry`, at whatever depth.
    #[inline]
    pub(crate) fn with_seat_in<R>(registry: &Registry, f: impl FnOnce(Option<&Worker>) -> R) -> R {
        let current = tls::CURRENT.with(Cell::get);
        if current.is_null() {
            return f(None);
        }
        // SAFETY: as in `with_current`.
        let worker = unsafe { &*current };
        if ptr::eq(worker.registry.get(), registry) {
            return f(Some(worker));
        }
        Self::with_outer_seat_in(registry, f)
    }

    #[cold]
    fn with_outer_seat_in<R>(registry: &Registry, f: impl FnOnce(Option<&Worker>) -> R) -> R {
        let mut frame = tls::FRAMES.with(Cell::get);
        while !frame.is_null() {
            // SAFETY: frames belong to `Seated` guards further down this thread's stack, and their
            // seats outlive them.
            let (worker, outer) = unsafe { (&*(*frame).worker, (*frame).outer) };
            if ptr::eq(worker.registry.get(), registry) {
                // SAFETY: this thread holds that seat.
                let _seated = unsafe { Seated::new(worker) };
                return f(Some(worker));
            }
            frame = outer;
        }
        f(None)
    }

    /// The pools that the calling thread is in, innermost first.
    pub(crate) fn for_each_seat(mut f: impl FnMut(&Worker)) {
        let mut frame = tls::FRAMES.with(Cell::get);
        while !frame.is_null() {
            // SAFETY: as in `with_outer_seat_in`.
            let (worker, outer) = unsafe { (&*(*frame).worker, (*frame).outer) };
            f(worker);
            frame = outer;
        }
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
        self.region.reset(slots.cast());
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

    // ---- the hot path ----------------------------------------------------------------------------

    /// Runs both closures, maybe in parallel. See [`crate::join`].
    #[inline(always)]
    pub(crate) fn join<A, B, RA, RB>(&self, a: A, b: B) -> (RA, RB)
    where
        A: FnOnce() -> RA,
        B: FnOnce() -> RB,
    {
        let slot = self.local.head.get();
        // Relaxed: a hint; the cold path reads it again with a read-modify-write.
        let limit = self.shared.limit.load(Ordering::Relaxed);
        if slot < limit {
            return self.join_forked(slot, false, a, b);
        }
        if slot == PLAIN && !limit.is_null() {
            return join_plain(a, b);
        }
        self.join_cold(a, b)
    }

    /// As `join`, with the second closure published whatever the policy says: a loop that has
    /// decided to split.
    pub(crate) fn join_shared<A, B, RA, RB>(&self, a: A, b: B) -> (RA, RB)
    where
        A: FnOnce() -> RA,
        B: FnOnce() -> RB,
    {
        self.leave_plain();
        let slot = self.local.head.get();
        if slot >= self.local.end.get() {
            return join_plain(a, b);
        }
        self.join_forked(slot, true, a, b)
    }

    /// A join with its second half on the fork stack.
    #[inline(always)]
    fn join_forked<A, B, RA, RB>(&self, slot: *mut Slot, share: bool, a: A, b: B) -> (RA, RB)
    where
        A: FnOnce() -> RA,
        B: FnOnce() -> RB,
    {
        let job = ForkJob::new(b);
        // SAFETY: below `end`, so within the slots.
        unsafe { slot.write(Slot::new(job.as_job_ref())) };
        // SAFETY: at most `end`.
        self.local.head.set(unsafe { slot.add(1) });
        if share {
            self.publish_all();
        }
        let guard = JoinGuard { worker: self, slot, job: &job };
        let ra = a();
        std::mem::forget(guard);
        self.local.head.set(slot);
        if slot < self.local.mark.get() && !self.rejoin(slot) {
            // SAFETY: `rejoin` said that a thief has finished the job.
            return match unsafe { job.take_result() } {
                Ok(rb) => (ra, rb),
                Err(payload) => std::panic::resume_unwind(payload),
            };
        }
        // SAFETY: private, or popped from the deque by `rejoin`: nobody else has it.
        let b = unsafe { job.take() };
        (ra, b())
    }

    /// The end of a join whose first half unwinds.
    #[cold]
    #[inline(never)]
    fn join_unwinding<F: FnOnce() -> R, R>(&self, slot: *mut Slot, job: &ForkJob<F, R>) {
        self.local.head.set(slot);
        if slot < self.local.mark.get() && !self.rejoin(slot) {
            // SAFETY: finished by a thief, as in `join_forked`.
            unwind::drop_quietly(unsafe { job.take_result() });
        } else {
            // SAFETY: ours alone, as in `join_forked`.
            finish_quietly(unsafe { job.take() });
        }
    }

    /// A join at a region's start, at the boundary of plain calls, or when somebody asks.
    #[cold]
    #[inline(never)]
    fn join_cold<A, B, RA, RB>(&self, a: A, b: B) -> (RA, RB)
    where
        A: FnOnce() -> RA,
        B: FnOnce() -> RB,
    {
        match self.attend(ForkJob::<B, RB>::site()) {
            Join::Forked => self.join_forked(self.local.head.get(), false, a, b),
            Join::Shared => self.join_forked(self.local.head.get(), true, a, b),
            Join::Plain => join_plain(a, b),
            Join::Probe => {
                let start = clock::ticks();
                let plain = self.enter_plain();
                let results = join_plain(a, b);
                let slot = plain.slot;
                drop(plain);
                self.adapt(slot, clock::since(start));
                results
            }
            Join::Skip => {
                let plain = self.enter_plain();
                let results = join_plain(a, b);
                drop(plain);
                self.end_region(true);
                results
            }
        }
    }

    /// Decides how a join goes that may not just fork. `site` stands for its second closure.
    fn attend(&self, site: usize) -> Join {
        let asked = self.is_asked();
        let wanted = asked && self.take_attention() & WANT != 0 && self.region.may_share_now();
        if self.local.head.get() == PLAIN {
            if !wanted {
                return Join::Plain;
            }
            if self.num_private() > 0 {
                self.share_some();
                return Join::Plain;
            }
            // All forks are gone. What the plain calls hold is out of reach, but not what comes.
            self.leave_plain();
        }
        let slot = self.local.head.get();
        if asked && slot.cast() == self.region.base() {
            return self.begin_region(slot, site);
        }
        if wanted && self.num_private() > 0 {
            self.share_some();
        } else if wanted && slot < self.local.end.get() {
            self.set_boundary(slot.wrapping_add(REVIVED_LEVELS));
            return Join::Shared;
        }
        // At the boundary also when the stack is full.
        if slot < self.local.boundary.get() { Join::Forked } else { Join::Probe }
    }

    /// Resets the limit and takes the reasons.
    pub(crate) fn take_attention(&self) -> u32 {
        // Swap, not store: it reads the null that an asker stored with Release, so the bit which
        // the asker set before is visible to the second swap (I3).
        self.shared.limit.swap(self.local.boundary.get(), Ordering::AcqRel);
        self.shared.attention.swap(0, Ordering::AcqRel)
    }

    /// Whether somebody asked for attention since the last look. One relaxed load: the poll of loops.
    #[inline(always)]
    pub(crate) fn is_asked(&self) -> bool {
        self.shared.limit.load(Ordering::Relaxed).is_null()
    }

    /// The first fork of a region: decides whether it is worth to share.
    fn begin_region(&self, slot: *mut Slot, site: usize) -> Join {
        let registry = self.registry();
        if !registry.sleep.has_taker() {
            // Nobody could take it now. Should a permit come back meanwhile, a worker will ask.
            registry.sleep.defer();
            return Join::Forked;
        }
        // SAFETY: below `end`.
        let above = unsafe { slot.add(1) };
        match self.region.begin(site, registry.worth_waking) {
            Plan::Share => {
                self.raise_mark(above);
                Join::Shared
            }
            Plan::Skip => Join::Skip,
            Plan::Poll => {
                // Every join must come by, until the first one has looked at the clock.
                self.raise_mark(self.local.end.get());
                Join::Forked
            }
        }
    }

    fn end_region(&self, ours: bool) {
        if self.region.end(ours, self.registry().worth_waking) {
            self.arm();
        }
    }

    // ---- plain calls -------------------------------------------------------------------------------

    /// From here on joins are plain calls, until the guard is dropped or somebody wants work.
    fn enter_plain(&self) -> PlainFrame<'_> {
        let slot = self.local.head.replace(PLAIN);
        self.local.below_plain.set(slot);
        PlainFrame { worker: self, slot }
    }

    /// Joins fork again. The plain calls that have begun go on as they are.
    #[inline]
    pub(crate) fn leave_plain(&self) {
        if self.local.head.get() == PLAIN {
            self.local.head.set(self.local.below_plain.get());
        }
    }

    /// A subtree of plain calls at `slot` took so long: moves the boundary to where they take about right.
    fn adapt(&self, slot: *mut Slot, took: u64) {
        let registry = self.registry();
        // SAFETY: both in the slots, and a join is never below its region's base.
        let level = unsafe { slot.offset_from(self.region.base().cast()) } as usize;
        let longest = registry.us(PLAIN_MAX_US);
        let levels = if took < registry.us(PLAIN_MIN_US) {
            level.saturating_sub(1).max(1)
        } else if took > longest {
            // A level of a balanced tree halves the time.
            level + 1 + (took / longest).ilog2() as usize
        } else {
            return;
        };
        self.local.levels.set(levels.min(SLOTS));
        self.set_boundary(self.region.base().cast::<Slot>().wrapping_add(levels));
    }

    fn set_boundary(&self, boundary: *mut Slot) {
        let boundary = boundary.min(self.local.end.get());
        let before = self.local.boundary.replace(boundary);
        // Not over a null: somebody asks. A failure means just that.
        let limit = &self.shared.limit;
        let _ = limit.compare_exchange(before, boundary, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// The next fork shall take the cold path and open a region.
    fn arm(&self) {
        let boundary = self.region.base().cast::<Slot>().wrapping_add(self.local.levels.get());
        self.local.boundary.set(boundary.min(self.local.end.get()));
        self.shared.limit.store(ptr::null_mut(), Ordering::Release);
    }

    fn raise_mark(&self, to: *mut Slot) {
        self.local.mark.set(self.local.mark.get().max(to));
    }

    /// The number of forks that nobody else can see.
    pub(crate) fn num_private(&self) -> usize {
        let head = match self.local.head.get() {
            PLAIN => self.local.below_plain.get(),
            head => head,
        };
        // SAFETY: both point into the slots, head at or above published.
        unsafe { head.offset_from(self.local.published.get()) as usize }
    }

    /// Somebody asked for work: publishes half of the private forks, the oldest.
    pub(crate) fn share_some(&self) {
        self.publish(self.num_private().div_ceil(2));
    }

    #[cold]
    pub(crate) fn publish_all(&self) {
        self.publish(self.num_private());
    }

    fn publish(&self, count: usize) {
        if count == 0 {
            return;
        }
        for _ in 0..count {
            let slot = self.local.published.get();
            // SAFETY: a private fork: written, and its job lives until its join, which is further up this
            // thread's stack or is held by its `JoinGuard` when that unwinds.
            let job = unsafe { (*slot).assume_init() };
            // SAFETY: every slot is a ForkJob; nobody else sees the header before the push.
            unsafe { header_of(job.data).cast_mut().write(ForkHeader::new(self.index)) };
            self.local.forks.push(job);
            // SAFETY: at most `head`.
            self.local.published.set(unsafe { slot.add(1) });
        }
        self.raise_mark(self.local.published.get());
        // Pairs with the fence in `park_on`: we see that the patron parks, or it sees our forks.
        fence(Ordering::SeqCst);
        // The one who waits for what we run may help, and may run nothing else: it comes first.
        // SAFETY: the patron's job is not finished while we run it, so its header is live.
        let patron = unsafe { self.local.patron.get().as_ref() };
        match patron {
            Some(patron) if patron.latch.nudge() => self.registry().unpark(patron.owner),
            _ => _ = self.registry().sleep.notify(),
        }
    }

    /// The cold half of a join, with `head == slot`. `true`: the job is ours again, to run inline.
    /// `false`: a thief has finished it.
    #[cold]
    #[inline(never)]
    fn rejoin(&self, slot: *mut Slot) -> bool {
        let mut ours = true;
        if slot < self.local.published.get() {
            // SAFETY: below head when it was joined, so written.
            let job = unsafe { (*slot).assume_init() };
            self.local.published.set(slot);
            // I1: our own job, or nothing.
            match self.local.forks.pop() {
                Some(popped) => debug_assert!(ptr::eq(popped.data, job.data)),
                // SAFETY: published and stolen: its header is live until we return.
                None => ours = self.wait_for_fork(unsafe { &*header_of(job.data) }, job),
            }
        }
        let base = self.region.base().cast::<Slot>();
        let keep = if slot == base {
            self.end_region(ours);
            slot
        } else if slot < self.local.mark.get() && self.region.is_polling() {
            // The base's own join must come by in any case, to close the region.
            if self.region.poll() {
                self.share_some();
                base.wrapping_add(1)
            } else {
                // A join two levels up comes about four times later in a balanced tree.
                slot.wrapping_sub(1).max(base.wrapping_add(1))
            }
        } else {
            self.local.mark.get().min(slot)
        };
        self.local.mark.set(keep.max(self.local.published.get()));
        ours
    }

    // ---- running what was stolen -----------------------------------------------------------------

    /// Before a stolen fork runs here: it is a region of its own, on top of whatever waits below.
    pub(crate) fn enter_stolen(&self, header: *const ForkHeader) -> Outer {
        self.leave_plain();
        let head = self.local.head.get();
        let outer = Outer {
            patron: self.local.patron.replace(header),
            boundary: self.local.boundary.get(),
            region: self.region.enter(head.cast(), self.local.mark.get().cast()),
        };
        self.local.mark.set(self.local.published.get());
        self.arm();
        outer
    }

    pub(crate) fn leave_stolen(&self, outer: Outer) {
        self.local.patron.set(outer.patron);
        let mark = self.region.leave(outer.region);
        self.local.mark.set(mark.cast());
        self.set_boundary(outer.boundary);
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

    // ---- asking and answering --------------------------------------------------------------------

    /// Asks this worker, from another thread, to publish work at its next fork.
    pub(crate) fn ask(&self) {
        if self.shared.busy.load(Ordering::Relaxed)
            && self.shared.attention.load(Ordering::Relaxed) & WANT == 0
        {
            self.shared.attention.fetch_or(WANT, Ordering::AcqRel);
            // Release: pairs with the swap in `take_attention`.
            self.shared.limit.store(ptr::null_mut(), Ordering::Release);
        }
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

    /// Runs whatever an idle worker has found.
    pub(crate) fn run_at_the_bottom(&self, job: JobRef) {
        self.set_busy(true);
        self.arm();
        // SAFETY: taken from a queue by us alone; whoever queued it keeps it alive until it has
        // run. Jobs do not unwind: each catches what its closure throws.
        unsafe { (job.run)(job.data, self) };
        self.set_busy(false);
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

/// How a join goes that may not just fork.
enum Join {
    Forked,
    /// Forked, and published at once.
    Shared,
    /// As plain calls, as the joins around it.
    Plain,
    /// As plain calls from here on; how long they take moves the boundary.
    Probe,
    /// As plain calls: a region that is known to be tiny.
    Skip,
}

/// Two calls, one after the other, on the terms of a join: if the first unwinds, the second runs all the same.
#[inline(always)]
fn join_plain<A, B, RA, RB>(a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA,
    B: FnOnce() -> RB,
{
    struct Guard<B: FnOnce() -> R, R>(ManuallyDrop<B>);
    impl<B: FnOnce() -> R, R> Drop for Guard<B, R> {
        #[inline(always)]
        fn drop(&mut self) {
            // SAFETY: dropped only when `a` unwinds; otherwise the closure was taken out below.
            finish_quietly(unsafe { ManuallyDrop::take(&mut self.0) });
        }
    }
    let mut guard = Guard(ManuallyDrop::new(b));
    let ra = a();
    // SAFETY: once; the guard is forgotten.
    let b = unsafe { ManuallyDrop::take(&mut guard.0) };
    std::mem::forget(guard);
    (ra, b())
}

/// Runs the second half of a join whose first half has panicked. That panic is the one that counts.
#[cold]
#[inline(never)]
fn finish_quietly<B: FnOnce() -> R, R>(b: B) {
    unwind::drop_quietly(unwind::catch(b));
}

/// Ends the plain calls, also when they unwind.
struct PlainFrame<'a> {
    worker: &'a Worker,
    slot: *mut Slot,
}

impl Drop for PlainFrame<'_> {
    fn drop(&mut self) {
        self.worker.local.head.set(self.slot);
    }
}

/// Armed while the first half of a join runs: if it unwinds, the second half must be finished
/// before its stack job goes out of scope (L8). As with a plain return it runs in any case; its own
/// panic and its result are dropped, the first panic is the one that counts.
struct JoinGuard<'a, F: FnOnce() -> R, R> {
    worker: &'a Worker,
    slot: *mut Slot,
    job: &'a ForkJob<F, R>,
}

impl<F: FnOnce() -> R, R> Drop for JoinGuard<'_, F, R> {
    // Inlined into the landing pad, so that the three words stay in registers on the way that is
    // nearly always taken.
    #[inline(always)]
    fn drop(&mut self) {
        self.worker.join_unwinding(self.slot, self.job);
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
        let guest = self.index as usize >= self.registry().width();
        f.debug_struct(if guest { "Guest" } else { "Thread" })
            .field("index", &self.index)
            .field("busy", &self.is_busy())
            .field("asked", &self.is_asked())
            .field("public_forks", &self.shared.forks.len())
            .field("beacons", &self.shared.lane.len())
            .field("broadcasts", &self.shared.num_broadcasts.load(Ordering::Relaxed))
            .field("steals", &self.shared.steals.load(Ordering::Relaxed))
            .finish()
    }
}
