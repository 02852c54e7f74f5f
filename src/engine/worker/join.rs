//! The fork stack: forks, joins, plain calls, and what is published when.
//!
//! The hot path is [`Worker::join`]; everything that is not a fork and its join on a private slot
//! is out of line. `engine/README.md`, "A fork and its join", tells the whole.

use super::{CHECK, MAKE_WAY, SLOTS, Slot, WANT, Worker};
use crate::engine::clock;
use crate::engine::job::{ForkHeader, ForkJob, header_of};
use crate::engine::region::Plan;
use crate::engine::sync::{Ordering, fence};
use crate::engine::unwind;
use std::mem::ManuallyDrop;
use std::ptr;

/// The head while joins are plain calls: above every limit.
const PLAIN: *mut Slot = ptr::without_provenance_mut(usize::MAX);

/// How many levels fork again when a thief finds nothing to take.
const REVIVED_LEVELS: usize = 4;
/// A subtree that runs as plain calls takes between these. Long enough for the two clock reads
/// around it not to show (1-2 %), short enough that nobody misses its forks: a theft costs about as
/// much.
const PLAIN_MIN_US: u64 = 2;
const PLAIN_MAX_US: u64 = 8;

impl Worker {
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
        let how = self.attend(ForkJob::<B, RB>::site());
        // Each closure is moved on in two places only: without optimisation every one of them takes
        // its size on the stack.
        if matches!(how, Join::Forked | Join::Shared) {
            let share = matches!(how, Join::Shared);
            return self.join_forked(self.local.head.get(), share, a, b);
        }
        let begin = matches!(how, Join::Probe).then(clock::ticks);
        let plain = match how {
            Join::Probe => Some(self.enter_plain(false)),
            Join::Skip => Some(self.enter_plain(true)),
            _ => None,
        };
        let results = join_plain(a, b);
        let slot = plain.as_ref().map(|plain| plain.slot);
        drop(plain);
        if let (Some(begin), Some(slot)) = (begin, slot) {
            self.adapt(slot, clock::since(begin));
            // What is plain from here on comes by nowhere else, and may do so for long.
            if self.local.region.is_polling() && self.local.region.poll() {
                self.share_some();
            }
        }
        results
    }

    /// Decides how a join goes that may not just fork. `site` stands for its second closure.
    fn attend(&self, site: usize) -> Join {
        let asked = self.is_asked();
        let reasons = if asked { self.take_attention() } else { 0 };
        if reasons & CHECK != 0 {
            // May unwind: neither half of the join has begun.
            (self.registry().check)();
        }
        if reasons & MAKE_WAY != 0 {
            self.make_way();
        }
        let wanted = reasons & WANT != 0 && self.local.region.may_share_now();
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
        if asked && slot.cast() == self.local.region.base() && slot < self.local.end.get() {
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

    /// Takes notice that somebody wants work, and publishes half of the private forks.
    #[cold]
    pub(crate) fn answer(&self) {
        // A loop looks by itself whether it shall stop, but a join inside may not have yet.
        let kept = self.take_attention() & (CHECK | MAKE_WAY);
        self.share_some();
        if kept != 0 {
            self.ask_for(kept);
        }
        if self.local.head.get().cast() == self.local.region.base() {
            // The next fork opens a region as before.
            self.arm();
        }
    }

    /// Resets the limit and takes the reasons.
    fn take_attention(&self) -> u32 {
        // Swap, not store: it reads the null that an asker stored with Release, so the bit which
        // the asker set before is visible to the second swap (I3).
        self.shared.limit.swap(self.local.boundary.get(), Ordering::AcqRel);
        self.shared.attention.swap(0, Ordering::AcqRel)
    }

    /// Whether the next join takes the cold path for more than the boundary.
    #[inline]
    pub(super) fn is_asked(&self) -> bool {
        self.shared.limit.load(Ordering::Relaxed).is_null()
    }

    /// Whether somebody wants work. One relaxed load: the poll of loops.
    #[inline(always)]
    pub(crate) fn is_wanted(&self) -> bool {
        self.shared.attention.load(Ordering::Relaxed) & WANT != 0
    }

    /// Whether anything is asked of this worker. One relaxed load.
    #[inline(always)]
    pub(crate) fn is_asked_for_something(&self) -> bool {
        self.shared.attention.load(Ordering::Relaxed) != 0
    }

    /// Between two batches of a loop: lets higher lanes come first. One relaxed load.
    #[inline(always)]
    pub(crate) fn make_way_if_asked(&self) {
        if self.shared.attention.load(Ordering::Relaxed) & MAKE_WAY != 0 {
            // The other reasons stay; the limit is null for them in any case.
            self.shared.attention.fetch_and(!MAKE_WAY, Ordering::AcqRel);
            self.make_way();
        }
    }

    /// The first fork of a region: decides whether it is worth to share.
    fn begin_region(&self, slot: *mut Slot, site: usize) -> Join {
        let registry = self.registry();
        match self.local.region.begin(site, registry.worth_waking) {
            Plan::Skip => Join::Skip,
            Plan::Poll => {
                // Every join must come by, until the first one has looked at the clock.
                self.raise_mark(self.local.end.get());
                Join::Forked
            }
            Plan::Share => {
                // Published even if nobody could take it now: somebody may be free long before the
                // first closure forks again.
                self.raise_mark(slot.wrapping_add(1));
                Join::Shared
            }
        }
    }

    fn end_region(&self, ours: bool) {
        self.local.region.end(ours, self.registry().worth_waking);
        self.arm();
    }

    /// From here on joins are plain calls, until the guard is dropped or somebody wants work.
    fn enter_plain(&self, is_region: bool) -> PlainFrame<'_> {
        let slot = self.local.head.replace(PLAIN);
        self.local.below_plain.set(slot);
        PlainFrame { worker: self, slot, is_region }
    }

    /// Joins fork again. The plain calls that have begun go on as they are.
    #[inline]
    pub(crate) fn leave_plain(&self) {
        if self.local.head.get() == PLAIN {
            self.local.head.set(self.local.below_plain.get());
        }
    }

    /// A subtree of plain calls at `slot` took so long: moves the boundary to where they take about
    /// right.
    fn adapt(&self, slot: *mut Slot, took: u64) {
        let registry = self.registry();
        // SAFETY: both in the slots, and a join is never below its region's base.
        let level = unsafe { slot.offset_from(self.local.region.base().cast()) } as usize;
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
        self.set_boundary(self.local.region.base().cast::<Slot>().wrapping_add(levels));
    }

    pub(super) fn set_boundary(&self, boundary: *mut Slot) {
        let boundary = boundary.min(self.local.end.get());
        let before = self.local.boundary.replace(boundary);
        // Not over a null: somebody asks. A failure means just that.
        let limit = &self.shared.limit;
        let _ = limit.compare_exchange(before, boundary, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// The next fork shall take the cold path and open a region.
    pub(in crate::engine) fn arm(&self) {
        let boundary =
            self.local.region.base().cast::<Slot>().wrapping_add(self.local.levels.get());
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
        let context = super::context();
        for _ in 0..count {
            let slot = self.local.published.get();
            // SAFETY: a private fork: written, and its job lives until its join, which is further
            // up this thread's stack or is held by its `JoinGuard` when that unwinds.
            let job = unsafe { (*slot).assume_init() };
            // SAFETY: every slot is a ForkJob; nobody else sees the header before the push.
            unsafe { header_of(job.data).cast_mut().write(ForkHeader::new(self.index, context)) };
            self.local.forks.push(job);
            // SAFETY: at most `head`.
            self.local.published.set(unsafe { slot.add(1) });
        }
        self.raise_mark(self.local.published.get());
        self.registry().lanes.note_forks(self.level());
        // Pairs with the fence in `park_on`: we see that the patron parks, or it sees our forks.
        fence(Ordering::SeqCst);
        // The one who waits for what we run may help, and may run nothing else: it comes first.
        // SAFETY: the patron's job is not finished while we run it, so its header is live.
        let patron = unsafe { self.local.patron.get().as_ref() };
        let nudged = patron.is_some_and(|patron| patron.latch.nudge());
        if let (Some(patron), true) = (patron, nudged) {
            self.registry().unpark(patron.owner);
        }
        if !nudged || count > 1 {
            self.registry().notify();
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
        let base = self.local.region.base().cast::<Slot>();
        let keep = if slot == base {
            self.end_region(ours);
            slot
        } else if slot < self.local.mark.get() && self.local.region.is_polling() {
            // The base's own join must come by in any case, to close the region.
            if self.local.region.poll() {
                self.share_some();
                base.wrapping_add(1)
            } else {
                // A join two levels up comes about four times later in a balanced tree. Those right
                // above the base come by each time: they may be steps of a loop, and the last to
                // see that it is long.
                slot.wrapping_sub(1).max(base.wrapping_add(2))
            }
        } else {
            self.local.mark.get().min(slot)
        };
        self.local.mark.set(keep.max(self.local.published.get()));
        ours
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

/// Two calls, one after the other, on the terms of a join: if the first unwinds, the second runs
/// all the same.
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
    /// Whether a region ends with them.
    is_region: bool,
}

impl Drop for PlainFrame<'_> {
    fn drop(&mut self) {
        self.worker.local.head.set(self.slot);
        if self.is_region {
            self.worker.end_region(true);
        }
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
