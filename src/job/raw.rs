//! A job in memory: what is known of it, then its closure, and then its result in the same place. Who may
//! touch what, and when it is freed, is in `life`; where it lies is in `store`.

use super::admit::Held;
use super::board::{Board, JobId};
use super::cancel::CancelToken;
use super::context::Context;
use super::cx::JobCx;
use super::lazy::LazyToken;
use super::life::{Life, Refs};
use super::options::Extra;
use super::outcome::{JobError, JobOutcome, TimeoutPhase};
use super::panic;
use super::record::Record;
use super::stamps::Stamps;
use super::store::{self, Common, Place, Row, Wish};
use super::work::{Call, Options, Work};
use crate::engine::clock;
use crate::engine::job::JobRef as Entry;
use crate::engine::registry::Registry;
use crate::engine::sync::{AtomicU8, AtomicU16, Ordering};
use crate::engine::unwind;
use crate::engine::worker::{Belonging, Worker};
use crate::time::after;
use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::mem::{ManuallyDrop, needs_drop, offset_of};
use std::ptr::NonNull;
use std::sync::Arc;

impl<C: Call> Work for C {
    type Output = C::Output;
    fn vtable<X: Options>() -> &'static VTable {
        const {
            // With options it is in no row.
            let run = Cell::<X, C>::run;
            let from_row: Run = if X::HAS_EXTRA { run } else { Cell::<X, C>::run_from_row };
            &Cell::<X, C>::functions([run, from_row], Cell::<X, C>::run_claimed)
        }
    }
}

/// What is known of a job, beside its life: all that whoever has a pointer to it may look at.
pub(crate) struct Header {
    pub(super) life: Life,
    pub(super) vtable: &'static VTable,
    /// Made when it is first asked for.
    pub(super) token: LazyToken,
    pub(super) refs: Refs,
    pub(super) stamps: Stamps,
    /// Where the board lists it, from 1; 0: nowhere.
    pub(super) listed: AtomicU16,
    /// The worker that runs it, or `UNKNOWN`. A hint.
    runner: AtomicU16,
    /// Less may be lent to it.
    pub(super) level: AtomicU8,
    /// How it has ended: a [`JobOutcome`], or `PENDING`.
    pub(super) outcome: AtomicU8,
    /// Which tokens of the pool's limits it has ([`Held`]). Written by whoever has claimed it.
    pub(super) held: AtomicU8,
    flags: u8,
}

/// A job of a few words is a cache line with its result.
const _: () =
    assert!(cfg!(any(loom, shuttle)) || size_of::<usize>() != 8 || size_of::<Header>() == 48);

/// Somebody else than its runner may end it while it runs.
const IS_TIMED: u8 = 1;
/// It has an allocation of its own.
const IS_ALONE: u8 = 2;
/// It is queued with the others of its chunk.
const IS_GROUPED: u8 = 4;
/// It lies in a chunk, and nothing in it has a destructor but closure, result and token.
const IS_BARE: u8 = 8;
/// How many places more than one it takes, if it lies in a chunk.
const MORE_PLACES: u32 = 6;

/// A seat with so high a number is not told from this one.
const UNKNOWN: u16 = u16::MAX;

/// What says that this worker runs a job.
#[inline]
fn runner_on(worker: &Worker) -> u16 {
    u16::try_from(worker.index()).unwrap_or(UNKNOWN)
}

/// No outcome, yet.
const PENDING: u8 = u8::MAX;

/// Runs a job.
pub(super) type Run = unsafe fn(*const (), &Worker);
/// Finds something in a job.
type Find<T> = unsafe fn(Raw) -> NonNull<T>;

pub(crate) struct VTable {
    pub(super) run: Run,
    /// Runs a job that was taken out of its row.
    pub(super) run_from_row: Run,
    /// Runs a job that has been claimed.
    pub(super) run_claimed: Run,
    pub(super) drop_call: unsafe fn(Raw),
    pub(super) dealloc: unsafe fn(Raw),
    /// Where the result is, in bytes from the header.
    pub(super) result: usize,
    pub(super) drop_result: unsafe fn(Raw),
    pub(super) set_error: unsafe fn(Raw, JobError),
    /// As of [`Options`].
    pub(super) is_counted: bool,
    extra: Option<Find<Extra>>,
    record: Option<Find<Record>>,
    id: Option<Find<JobId>>,
}

#[repr(C)]
pub(super) struct Cell<X, C: Work> {
    header: Header,
    extra: X,
    stage: UnsafeCell<Stage<C>>,
}

pub(super) union Stage<C: Work> {
    pub(super) call: ManuallyDrop<C>,
    /// The error in a box: most jobs have none, and it is larger than most results.
    result: ManuallyDrop<Ending<C::Output>>,
}

/// What the end of a job leaves.
pub(super) type Ending<T> = Result<T, Box<JobError>>;

/// A pointer to a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Raw(pub(super) NonNull<Header>);

// SAFETY: what a job holds is Send, and `life` says who may touch what.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

/// What a job is made of.
pub(crate) struct Parts<X, C> {
    pub(crate) call: C,
    pub(crate) extra: X,
    pub(crate) level: u8,
    pub(crate) is_timed: bool,
    pub(crate) token: Option<CancelToken>,
    pub(crate) enqueued: u64,
    /// Whether it waits at a gate before it is queued.
    pub(crate) is_gated: bool,
    pub(crate) held: Held,
}

impl<X: Options, C: Call> Cell<X, C> {
    /// Runs the job that a worker has found in a lane.
    ///
    /// # Safety
    /// `data` is a `Cell<X, C>`, and the lane's reference to it is given away with it.
    unsafe fn run(data: *const (), worker: &Worker) {
        let begin = worker.noted_time();
        // SAFETY: by contract; what is claimed is run.
        unsafe {
            if Self::claim_found(data, worker) {
                Self::run_claimed(data, worker);
            }
        }
        worker.note_quickness(begin);
    }

    /// As [`Self::run`], of a job whose bit the worker has taken. So it lies in a chunk, is neither timed
    /// nor repeated, and has no options: of all that [`Self::run_claimed`] does, what is left, as small
    /// jobs cost little more than this.
    ///
    /// # Safety
    /// As there; and nobody else has its bit.
    unsafe fn run_from_row(data: *const (), worker: &Worker) {
        debug_assert!(!X::HAS_EXTRA && !X::HAS_RECORD);
        // SAFETY: by contract.
        let raw = unsafe { Raw::from_data(data) };
        let (header, board) = (raw.header(), Board::of(worker.registry()));
        if board.is_discarding() {
            // SAFETY: by contract.
            return unsafe { raw.discard_from_row() };
        }
        header.life.start_from_row();
        // SAFETY: whoever has the bit has the job (`life` I1), so the stage holds the closure, once.
        let call = unsafe { ManuallyDrop::take(&mut (*Self::stage(raw)).call) };
        raw.leave_queue();
        // SAFETY: it lies in a chunk.
        let common = unsafe { store::common_of(raw.0.cast(), false) };
        let started = worker.take_time();
        let waited = header.stamps.start(common.begun, started);
        header.runner.store(runner_on(worker), Ordering::Relaxed);
        let (outcome, result) = Self::call(raw, worker, call);
        let now = clock::ticks();
        header.stamps.finish_after(waited, common.begun, now);
        worker.note_run(started, now);
        raw.unlist();
        // SAFETY: the closure has been taken out, and nobody else writes the result (`life` I2).
        unsafe { (*Self::stage(raw)).result = ManuallyDrop::new(result) };
        let counter = X::IS_COUNTED.then(|| board.counter_on(worker));
        // SAFETY: the result is written, and nothing of it runs any more.
        unsafe { raw.end(outcome, counter) };
    }

    /// # Safety
    /// `data` is a live `Cell<X, C>` whose job the caller has claimed; it may be gone afterwards.
    #[inline]
    unsafe fn run_claimed(data: *const (), worker: &Worker) {
        // SAFETY: by contract.
        let (raw, call) = unsafe { Self::start(data, worker) };
        if X::HAS_EXTRA
            && let Some(extra) = raw.extra()
        {
            raw.list();
            if let Some(member) = raw.member() {
                member.started();
            }
            if let Some(limit) = extra.run_timeout() {
                let at = after(raw.board().now(), limit);
                raw.limit(at, |job| job.time_out(TimeoutPhase::Running));
            }
        }
        let (outcome, result) = Self::call(raw, worker, call);
        // SAFETY: started above, and nothing of it runs any more.
        unsafe { Self::settle(raw, worker, outcome, result) };
    }

    /// Calls the closure.
    #[inline]
    fn call(raw: Raw, worker: &Worker, call: C) -> (JobOutcome, Ending<C::Output>) {
        let context = Context::of_job(raw);
        let belonging = Belonging::enter_on(worker, context.as_ptr());
        let cx = JobCx::borrowed(raw);
        let result = unwind::catch(|| call.call(&cx));
        drop(belonging);
        match result {
            Ok(value) => {
                panic::forget_location(raw);
                let is_plain = !X::HAS_EXTRA;
                let outcome =
                    if is_plain { JobOutcome::Completed } else { raw.outcome_of_return() };
                (outcome, Ok(value))
            }
            Err(payload) => {
                let (outcome, error) = raw.thrown(&context, payload);
                (outcome, Err(Box::new(error)))
            }
        }
    }
}

impl<X: Options, C: Work> Cell<X, C> {
    pub(super) const fn functions([run, run_from_row]: [Run; 2], run_claimed: Run) -> VTable {
        VTable {
            run,
            run_from_row,
            run_claimed,
            drop_call: Self::drop_call,
            dealloc: Self::dealloc,
            result: offset_of!(Self, stage),
            drop_result: Self::drop_result,
            set_error: Self::set_error,
            is_counted: X::IS_COUNTED,
            extra: if X::HAS_EXTRA { Some(Self::extra) } else { None },
            record: if X::HAS_RECORD { Some(Self::record) } else { None },
            id: if X::HAS_ID { Some(Self::id) } else { None },
        }
    }

    /// # Safety
    /// `raw` is a live `Cell<X, C>`.
    pub(super) unsafe fn stage(raw: Raw) -> *mut Stage<C> {
        let cell = raw.0.as_ptr().cast::<Self>();
        // SAFETY: live, by contract; no reference to the stage is made.
        unsafe { UnsafeCell::raw_get(&raw const (*cell).stage) }
    }

    /// Claims the job that a worker has found in a lane. `false`: that is not to run, and the lane's
    /// reference is gone.
    ///
    /// # Safety
    /// `data` is a `Cell<X, C>`, and the lane's reference to it is given away with it.
    #[inline]
    pub(super) unsafe fn claim_found(data: *const (), worker: &Worker) -> bool {
        // SAFETY: by contract.
        let raw = unsafe { Raw::from_data(data) };
        if Board::of(worker.registry()).is_discarding() {
            // SAFETY: the lane's reference is ours.
            unsafe { raw.discard_entry() };
            return false;
        }
        if !raw.claim() {
            // Somebody else has run or ended it, and left this reference to us.
            // SAFETY: the lane's.
            unsafe { raw.release() };
            return false;
        }
        true
    }

    /// Takes the closure out of a job that is about to run.
    ///
    /// # Safety
    /// `data` is a live `Cell<X, C>` whose job the caller has claimed.
    #[inline]
    pub(super) unsafe fn start(data: *const (), worker: &Worker) -> (Raw, C) {
        // SAFETY: by contract.
        let raw = unsafe { Raw::from_data(data) };
        let header = raw.header();
        // SAFETY: by contract; claimed by us alone, so the stage holds the closure, once.
        let call = unsafe { ManuallyDrop::take(&mut (*Self::stage(raw)).call) };
        if C::IS_REPEATED && header.stamps.has_started() {
            raw.step_in_again();
        } else {
            raw.leave_queue();
        }
        header.stamps.start(raw.common().begun, worker.take_time());
        header.runner.store(runner_on(worker), Ordering::Relaxed);
        if raw.is_timed() {
            header.life.start();
        }
        (raw, call)
    }

    /// Ends a job that has run.
    ///
    /// # Safety
    /// The caller has started it, and it has not ended, but for its time. It may be gone afterwards.
    #[inline]
    pub(super) unsafe fn settle(
        raw: Raw,
        worker: &Worker,
        outcome: JobOutcome,
        result: Ending<C::Output>,
    ) {
        let (header, now) = (raw.header(), clock::ticks());
        header.stamps.finish(raw.common().begun, now);
        worker.note_time(now);
        raw.unlist();
        if raw.is_timed() && !header.life.claim_result() {
            // What it made all the same is of no use.
            unwind::drop_quietly(result);
            // SAFETY: see above; it has been ended by somebody else.
            return unsafe { raw.leave_late() };
        }
        // SAFETY: the closure has been taken out, and nobody else writes the result (`life` I2).
        unsafe { (*Self::stage(raw)).result = ManuallyDrop::new(result) };
        let counter = X::IS_COUNTED.then(|| Board::of(worker.registry()).counter_on(worker));
        if X::HAS_EXTRA || X::HAS_RECORD {
            raw.forget_watchers();
        }
        // SAFETY: the result is written, and nothing of it runs any more.
        unsafe { raw.end(outcome, counter) };
    }

    unsafe fn drop_call(raw: Raw) {
        // SAFETY: the caller has claimed the job and does not run it.
        unwind::drop_quietly(unsafe { ManuallyDrop::take(&mut (*Self::stage(raw)).call) });
    }

    unsafe fn dealloc(raw: Raw) {
        let (cell, header) = (raw.0.cast::<Self>(), raw.header());
        let is_alone = header.flags & IS_ALONE != 0;
        if needs_drop::<X>() || header.token.get().is_some() {
            // Extensions and what waits for a token are the user's, and so may panic; we may be a
            // worker. The stage is empty, or holds nothing that is dropped: it is a union.
            // SAFETY: the caller was the last to own the job.
            unwind::drop_quietly(unsafe { cell.read() });
        }
        // SAFETY: from `store` for such a job, and nothing in it is used any more.
        unsafe { store::put(cell.cast(), Layout::new::<Self>(), is_alone) };
    }

    unsafe fn drop_result(raw: Raw) {
        // SAFETY: the job has ended, and the caller owns the result.
        unwind::drop_quietly(unsafe { ManuallyDrop::take(&mut (*Self::stage(raw)).result) });
    }

    unsafe fn set_error(raw: Raw, error: JobError) {
        // SAFETY: the caller has the right to write the result, and the closure is gone.
        unsafe { (*Self::stage(raw)).result = ManuallyDrop::new(Err(Box::new(error))) };
    }

    unsafe fn extra(raw: Raw) -> NonNull<Extra> {
        let cell = raw.0.as_ptr().cast::<Self>();
        // SAFETY: live, by contract; shared for the job's whole life.
        unsafe { (*cell).extra.extra() }.map(NonNull::from).expect("it has some")
    }

    unsafe fn id(raw: Raw) -> NonNull<JobId> {
        let cell = raw.0.as_ptr().cast::<Self>();
        // SAFETY: as in `extra`.
        unsafe { (*cell).extra.id() }.map(NonNull::from).expect("it has one")
    }

    unsafe fn record(raw: Raw) -> NonNull<Record> {
        let cell = raw.0.as_ptr().cast::<Self>();
        // SAFETY: as in `extra`.
        unsafe { (*cell).extra.record() }.map(NonNull::from).expect("it has one")
    }
}

impl Raw {
    /// A job with one owner (`life` I4).
    #[inline]
    pub(crate) fn new<X: Options, C: Work>(registry: &Registry, parts: Parts<X, C>) -> Raw {
        let (level, enqueued, is_gated) = (parts.level, parts.enqueued, parts.is_gated);
        let place = store::take(Self::wish::<X, C>(registry, level, enqueued, is_gated));
        // SAFETY: for such a job.
        unsafe { Self::write(place, parts) }
    }

    /// What such a job needs.
    #[inline]
    pub(super) fn wish<X: Options, C: Work>(
        registry: &Registry,
        level: u8,
        enqueued: u64,
        is_gated: bool,
    ) -> Wish<'_> {
        Wish {
            layout: Layout::new::<Cell<X, C>>(),
            registry,
            level,
            enqueued,
            may_join: !X::HAS_EXTRA,
            // One that waits, or may wait for its next attempt, lies where it takes no more than it needs.
            is_alone: is_gated || X::HAS_RECORD,
            is_gated,
        }
    }

    /// As [`Self::new`], in a place that was taken.
    ///
    /// # Safety
    /// It was taken for such a job, once.
    #[inline]
    pub(super) unsafe fn write<X: Options, C: Work>(place: Place, parts: Parts<X, C>) -> Raw {
        const {
            assert!(offset_of!(Cell<X, C>, header) == 0);
            // Such a job is not queued with others: it is claimed otherwise (`life` I1).
            assert!(!C::IS_REPEATED || X::HAS_RECORD);
        }
        let Parts { call, extra, level, is_timed, token, enqueued, is_gated, held } = parts;
        // As above (`life` I2).
        assert!(!(is_timed && place.is_grouped), "a job with limits has options");
        let cell = place.at.cast::<Cell<X, C>>().as_ptr();
        // SAFETY: taken just now.
        let begun = unsafe { store::common_of(place.at, place.is_alone) }.begun;
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let header = Header {
            life: match (is_gated, place.is_grouped) {
                (true, _) => Life::waiting(),
                (false, true) => Life::in_row(),
                (false, false) => Life::queued(),
            },
            vtable: C::vtable::<X>(),
            token: LazyToken::new(token),
            refs: Refs::one(),
            stamps: Stamps::new(begun, enqueued),
            listed: AtomicU16::new(0),
            runner: AtomicU16::new(UNKNOWN),
            level: AtomicU8::new(level),
            outcome: AtomicU8::new(PENDING),
            held: AtomicU8::new(held.bits()),
            flags: flag(is_timed, IS_TIMED)
                | flag(place.is_alone, IS_ALONE)
                | flag(place.is_grouped, IS_GROUPED)
                | flag(!needs_drop::<X>() && !place.is_alone, IS_BARE)
                | store::more_places(Layout::new::<Cell<X, C>>()) << MORE_PLACES,
        };
        // Written in place: a copy would read what has just been stored in smaller pieces, and wait.
        // SAFETY: ours, and it fits; nothing unwinds before all of it is written.
        unsafe {
            (&raw mut (*cell).header).write(header);
            (&raw mut (*cell).extra).write(extra);
            let stage = UnsafeCell::raw_get(&raw const (*cell).stage);
            (&raw mut (*stage).call).write(ManuallyDrop::new(call));
        }
        // SAFETY: not null.
        Raw(unsafe { NonNull::new_unchecked(cell) }.cast())
    }

    /// The job that lies in a place.
    ///
    /// # Safety
    /// There is one.
    pub(super) unsafe fn from_place(place: NonNull<u8>) -> Raw {
        Raw(place.cast())
    }

    /// What a lane holds for a job that is queued on its own.
    pub(super) fn entry(self) -> Entry {
        Entry { data: self.0.as_ptr().cast_const().cast(), run: self.header().vtable.run }
    }

    /// Runs a job that was taken out of its row.
    ///
    /// # Safety
    /// The caller has its bit, and the reference with it.
    #[inline]
    pub(super) unsafe fn run_from_row(self, worker: &Worker) {
        // SAFETY: by contract.
        unsafe { (self.header().vtable.run_from_row)(self.0.as_ptr().cast_const().cast(), worker) };
    }

    /// When it was submitted; of several at once, which comes first.
    pub(super) fn age(self) -> (u64, u64) {
        (self.header().stamps.enqueued(self.common().begun), self.id().get())
    }

    /// What it has in common with those beside it.
    #[inline]
    pub(super) fn common<'a>(self) -> &'a Common {
        // SAFETY: live, as in `header`.
        unsafe { store::common_of(self.0.cast(), self.header().flags & IS_ALONE != 0) }
    }

    pub(crate) fn id(self) -> JobId {
        match self.header().vtable.id {
            // SAFETY: live, as in `header`.
            Some(find) => unsafe { *find(self).as_ref() },
            None => self.common().number_of(self.0.cast(), self.header().flags & IS_ALONE != 0),
        }
    }

    /// Frees it.
    ///
    /// # Safety
    /// The caller has released the last reference.
    #[inline]
    pub(super) unsafe fn free(self) {
        let header = self.header();
        // SAFETY: by contract; there is nothing to drop, as closure and result are gone.
        unsafe {
            if header.flags & IS_BARE != 0 && header.token.get().is_none() {
                store::put_places(self.0.cast(), 1 + u32::from(header.flags >> MORE_PLACES));
            } else {
                (header.vtable.dealloc)(self);
            }
        }
    }

    /// Whether somebody else than its runner may end it while it runs.
    #[inline]
    pub(crate) fn is_timed(self) -> bool {
        self.header().flags & IS_TIMED != 0
    }

    fn is_grouped(self) -> bool {
        self.header().flags & IS_GROUPED != 0
    }

    /// The worker that runs it, or has.
    pub(super) fn runner(self) -> Option<u32> {
        let runner = self.header().runner.load(Ordering::Relaxed);
        (runner != UNKNOWN).then_some(u32::from(runner))
    }

    /// It has ended now.
    pub(super) fn note_end(self) {
        self.header().stamps.finish(self.common().begun, clock::ticks());
    }

    /// The job as one of its chunk, if it is queued as such.
    #[inline]
    pub(super) fn row(self) -> Option<Row> {
        // SAFETY: a grouped job lies in a place.
        self.is_grouped().then(|| unsafe { Row::of_one(self.0.cast()) })
    }

    /// Takes the entry of a queued job out of its lane, if it can be found there. `false`: whoever
    /// finds it needs the job.
    pub(super) fn withdraw(self) -> bool {
        // SAFETY: a grouped job lies in a place.
        self.is_grouped()
            && self.header().life.is_in_row()
            && unsafe { store::withdraw(self.0.cast()) }
    }

    /// Has a queued job raced for by its life, and gives the caller what an entry of it in a lane has: that
    /// which was there, or one more reference beside it. `false`: somebody else has its bit, and so the job.
    pub(super) fn take_entry(self) -> bool {
        let header = self.header();
        if self.withdraw() {
            header.life.single_out();
        } else if header.life.is_in_row() {
            return false;
        } else {
            // For the entry, which stays behind.
            header.refs.retain();
        }
        true
    }

    /// Claims a queued job, by `claim`, for somebody who has not taken its entry. `false`: somebody
    /// else has.
    pub(super) fn claim_beside(self, claim: impl FnOnce(&Life) -> bool) -> bool {
        if !self.take_entry() {
            return false;
        }
        let is_ours = claim(&self.header().life);
        if !is_ours {
            // Of the entry that we have: what whoever was faster has left to it, or what we have.
            // SAFETY: see above; the caller has a reference beside it.
            unsafe { self.release() };
        }
        is_ours
    }

    unsafe fn from_data(data: *const ()) -> Raw {
        // SAFETY: from `new`, by contract.
        Raw(unsafe { NonNull::new_unchecked(data.cast_mut().cast()) })
    }

    /// The job of an entry of a lane.
    ///
    /// # Safety
    /// The entry is from [`Self::new`], and the caller has its reference.
    pub(crate) unsafe fn from_entry(entry: Entry) -> Raw {
        // SAFETY: by contract.
        unsafe { Self::from_data(entry.data) }
    }

    /// For whoever owns a reference to the job.
    #[inline]
    pub(crate) fn header<'a>(self) -> &'a Header {
        // SAFETY: a `Raw` is used only while the job is live: by its owners, and on its way to an
        // end by whoever has claimed it.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn extra<'a>(self) -> Option<&'a Extra> {
        let find = self.header().vtable.extra?;
        // SAFETY: live, as in `header`.
        Some(unsafe { find(self).as_ref() })
    }

    #[inline]
    pub(crate) fn record<'a>(self) -> Option<&'a Record> {
        let find = self.header().vtable.record?;
        // SAFETY: as in `extra`.
        Some(unsafe { find(self).as_ref() })
    }

    /// The pool's board. Only before the job has ended, or on a thread of the pool.
    pub(crate) fn board<'a>(self) -> &'a Board {
        // SAFETY: the pool lives as long as one of its jobs is pending, or one of its threads runs.
        Board::of(unsafe { &*self.common().registry })
    }

    /// The pool's registry, which then lives as long as the caller likes. The job is pending.
    pub(crate) fn registry(self) -> Arc<Registry> {
        // SAFETY: as in `board`.
        unsafe { &*self.common().registry }.to_arc()
    }

    pub(crate) fn is_in(self, registry: &Registry) -> bool {
        std::ptr::eq(self.common().registry, registry)
    }

    /// How it has ended. `None`: it has not, as far as its life goes.
    pub(crate) fn outcome(self) -> Option<JobOutcome> {
        // Relaxed: written before the job is FINISHED, which `is_finished` acquires.
        let outcome = || JobOutcome::from_byte(self.header().outcome.load(Ordering::Relaxed));
        self.header().life.is_finished().then(outcome).flatten()
    }

    pub(crate) fn level(self) -> u8 {
        self.header().level.load(Ordering::Relaxed)
    }
}
