//! A job in memory: one allocation that holds what is known of it, then its closure, and then its
//! result in the same place. Who may touch what, and when it is freed, is in `life`.

use super::board::{Board, JobId, Mode, Outcome};
use super::cancel::{CancelCause, CancelToken, Cancelled};
use super::context::Context;
use super::cx::JobCx;
use super::lazy::LazyToken;
use super::life::{Life, Phase};
use super::options::Extra;
use super::outcome::{JobError, JobPanic, TimeoutPhase};
use super::panic;
use super::reference::JobRef;
use super::store;
use crate::engine::clock;
use crate::engine::job::{JobRef as Entry, NOBODY};
use crate::engine::registry::Registry;
use crate::engine::sync::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
use crate::engine::unwind::{self, Payload};
use crate::engine::worker::{Belonging, Worker};
use crate::time::after;
use std::cell::UnsafeCell;
use std::mem::{ManuallyDrop, offset_of};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Instant;

/// What is to be called.
pub(crate) trait Call: Send + 'static {
    type Output: Send + 'static;
    fn call(self, cx: &JobCx) -> Self::Output;
}

/// What is known of a job, beside its life: all that whoever has a pointer to it may look at.
pub(crate) struct Header {
    pub(super) life: Life,
    /// Less may be lent to it.
    level: AtomicU8,
    /// Whether somebody else than its runner may end it while it runs.
    is_timed: bool,
    /// Whether it has an allocation of its own.
    is_boxed: bool,
    pub(super) id: JobId,
    vtable: &'static VTable,
    /// Live until the job has ended, and while a thread of the pool, or a guest, looks.
    registry: *const Registry,
    /// In ticks; 0: not yet.
    pub(super) enqueued: u64,
    pub(super) started: AtomicU64,
    pub(super) finished: AtomicU64,
    /// Where the board lists it, from 1; 0: nowhere.
    listed: AtomicU32,
    /// The worker that runs it. A hint.
    runner: AtomicU32,
    /// Made when it is first asked for.
    token: LazyToken,
}

struct VTable {
    run: unsafe fn(*const (), &Worker),
    /// Runs a job that has been claimed.
    run_claimed: unsafe fn(*const (), &Worker),
    drop_call: unsafe fn(Raw),
    dealloc: unsafe fn(Raw),
    /// Where the result is, in bytes from the header.
    result: usize,
    drop_result: unsafe fn(Raw),
    set_error: unsafe fn(Raw, JobError),
    extra: unsafe fn(Raw) -> Option<NonNull<Extra>>,
}

/// What a job may have beside its closure: nothing, or options.
pub(crate) trait Options: Send + Sync + 'static {
    fn extra(&self) -> Option<&Extra>;
}

impl Options for () {
    fn extra(&self) -> Option<&Extra> {
        None
    }
}

impl Options for Extra {
    fn extra(&self) -> Option<&Extra> {
        Some(self)
    }
}

#[repr(C)]
struct Cell<X, C: Call> {
    header: Header,
    extra: X,
    stage: UnsafeCell<Stage<C>>,
}

union Stage<C: Call> {
    call: ManuallyDrop<C>,
    /// The error in a box: most jobs have none, and it is larger than most results.
    result: ManuallyDrop<Ending<C::Output>>,
}

/// What the end of a job leaves.
type Ending<T> = Result<T, Box<JobError>>;

/// A pointer to a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Raw(NonNull<Header>);

// SAFETY: what a job holds is Send, and `life` says who may touch what.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

/// What a job is made of.
pub(crate) struct Parts<X, C> {
    pub(crate) call: C,
    pub(crate) extra: X,
    pub(crate) id: JobId,
    pub(crate) level: u8,
    pub(crate) is_timed: bool,
    pub(crate) token: Option<CancelToken>,
    pub(crate) enqueued: u64,
}

impl<X: Options, C: Call> Cell<X, C> {
    const VTABLE: &'static VTable = &VTable {
        run: Self::run,
        run_claimed: Self::run_claimed,
        drop_call: Self::drop_call,
        dealloc: Self::dealloc,
        result: offset_of!(Self, stage),
        drop_result: Self::drop_result,
        set_error: Self::set_error,
        extra: Self::extra,
    };

    /// # Safety
    /// `raw` is a live `Cell<X, C>`.
    unsafe fn stage(raw: Raw) -> *mut Stage<C> {
        let cell = raw.0.as_ptr().cast::<Self>();
        // SAFETY: live, by contract; no reference to the stage is made.
        unsafe { UnsafeCell::raw_get(&raw const (*cell).stage) }
    }

    /// Runs the job that a worker has found in a lane.
    ///
    /// # Safety
    /// `data` is a `Cell<X, C>`, and the lane's reference to it is given away with it.
    unsafe fn run(data: *const (), worker: &Worker) {
        // SAFETY: by contract.
        let raw = unsafe { Raw::from_data(data) };
        if Board::of(worker.registry()).mode() >= Mode::Discarding {
            // SAFETY: the lane's reference is ours.
            return unsafe { raw.discard_entry() };
        }
        if !raw.claim() {
            // Somebody else has run or ended it, and left this reference to us.
            // SAFETY: the lane's.
            return unsafe { raw.release() };
        }
        // SAFETY: as above.
        unsafe { Self::run_claimed(data, worker) };
    }

    /// # Safety
    /// `data` is a live `Cell<X, C>` whose job the caller has claimed; it may be gone afterwards.
    unsafe fn run_claimed(data: *const (), worker: &Worker) {
        // SAFETY: by contract.
        let raw = unsafe { Raw::from_data(data) };
        let header = raw.header();
        // SAFETY: by contract; claimed by us alone, so the stage holds the closure, once.
        let (stage, call) = unsafe {
            let stage = Self::stage(raw);
            (stage, ManuallyDrop::take(&mut (*stage).call))
        };
        if header.is_timed {
            header.life.start();
        }
        header.started.store(worker.take_time(), Ordering::Relaxed);
        header.runner.store(worker.index(), Ordering::Relaxed);
        if let Some(extra) = raw.extra() {
            raw.list();
            if let Some(limit) = extra.run_timeout {
                let at = after(Instant::now(), limit);
                raw.limit(at, |job| job.time_out(TimeoutPhase::Running));
            }
        }
        let context = Context::of_job(raw);
        let belonging = Belonging::enter_on(worker, context.as_ptr());
        let cx = JobCx::borrowed(raw);
        let result = unwind::catch(|| call.call(&cx));
        drop(belonging);
        let now = clock::ticks();
        header.finished.store(now, Ordering::Relaxed);
        worker.note_time(now);
        let (outcome, result) = match result {
            Ok(value) => {
                panic::forget_location(raw);
                (Outcome::Completed, Ok(value))
            }
            Err(payload) => {
                let (outcome, error) = raw.thrown(&context, payload);
                (outcome, Err(Box::new(error)))
            }
        };
        raw.unlist();
        if header.is_timed && !header.life.claim_result() {
            // Its time was up, and its end has been told. What it made all the same is of no use.
            unwind::drop_quietly(result);
            raw.board().resolved();
            // SAFETY: whoever ended it left this reference to us.
            return unsafe { raw.release() };
        }
        // SAFETY: the closure has been taken out, and nobody else writes the result (`life` I2).
        unsafe {
            (*stage).result = ManuallyDrop::new(result);
            raw.end(outcome);
        }
    }

    unsafe fn drop_call(raw: Raw) {
        // SAFETY: the caller has claimed the job and does not run it.
        unwind::drop_quietly(unsafe { ManuallyDrop::take(&mut (*Self::stage(raw)).call) });
    }

    unsafe fn dealloc(raw: Raw) {
        let cell = raw.0.cast::<Self>();
        // SAFETY: the caller was the last to own the job, whose stage is empty, or holds nothing
        // that is dropped: it is a union. Its extensions are the user's, and so may panic; we may be
        // a worker.
        unsafe {
            if raw.header().is_boxed {
                unwind::drop_quietly(Box::from_raw(cell.as_ptr()));
            } else {
                unwind::drop_quietly(cell.read());
                store::put(cell.cast());
            }
        }
    }

    unsafe fn drop_result(raw: Raw) {
        // SAFETY: the job has ended, and the caller owns the result.
        unwind::drop_quietly(unsafe { ManuallyDrop::take(&mut (*Self::stage(raw)).result) });
    }

    unsafe fn set_error(raw: Raw, error: JobError) {
        // SAFETY: the caller has the right to write the result, and the closure is gone.
        unsafe { (*Self::stage(raw)).result = ManuallyDrop::new(Err(Box::new(error))) };
    }

    unsafe fn extra(raw: Raw) -> Option<NonNull<Extra>> {
        let cell = raw.0.as_ptr().cast::<Self>();
        // SAFETY: live, by contract; shared for the job's whole life.
        unsafe { (*cell).extra.extra() }.map(NonNull::from)
    }
}

impl Raw {
    /// A job with one owner (`life` I4), and its entry for a lane.
    pub(crate) fn new<X: Options, C: Call>(
        registry: &Registry,
        parts: Parts<X, C>,
    ) -> (Raw, Entry) {
        const {
            assert!(offset_of!(Cell<X, C>, header) == 0);
        }
        let Parts { call, extra, id, level, is_timed, token, enqueued } = parts;
        let header = Header {
            life: Life::queued(),
            level: AtomicU8::new(level),
            is_timed,
            is_boxed: false,
            id,
            vtable: Cell::<X, C>::VTABLE,
            registry,
            enqueued,
            started: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            listed: AtomicU32::new(0),
            runner: AtomicU32::new(NOBODY),
            token: LazyToken::new(token),
        };
        let stage = UnsafeCell::new(Stage { call: ManuallyDrop::new(call) });
        let cell = Cell { header, extra, stage };
        let layout = std::alloc::Layout::new::<Cell<X, C>>();
        let cell = match store::take(layout) {
            Some(place) => {
                let place = place.cast::<Cell<X, C>>();
                // SAFETY: ours, and it fits.
                unsafe { place.write(cell) };
                place.as_ptr()
            }
            None => {
                let cell = Box::into_raw(Box::new(cell));
                // SAFETY: nobody else knows of it.
                unsafe { (*cell).header.is_boxed = true };
                cell
            }
        };
        // SAFETY: a place or a box.
        let raw = Raw(unsafe { NonNull::new_unchecked(cell) }.cast());
        (raw, Entry { data: cell.cast_const().cast(), run: Cell::<X, C>::run })
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
    pub(crate) fn header<'a>(self) -> &'a Header {
        // SAFETY: a `Raw` is used only while the job is live: by its owners, and on its way to an
        // end by whoever has claimed it.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn extra<'a>(self) -> Option<&'a Extra> {
        // SAFETY: live, as in `header`.
        unsafe { (self.header().vtable.extra)(self).map(|extra| extra.as_ref()) }
    }

    /// The pool's board. Only before the job has ended, or on a thread of the pool.
    pub(crate) fn board<'a>(self) -> &'a Board {
        // SAFETY: the pool lives as long as one of its jobs is pending, or one of its threads runs.
        Board::of(unsafe { &*self.header().registry })
    }

    /// The pool's registry, which then lives as long as the caller likes. The job is pending.
    pub(crate) fn registry(self) -> Arc<Registry> {
        // SAFETY: as in `board`.
        unsafe { &*self.header().registry }.to_arc()
    }

    pub(crate) fn is_in(self, registry: &Registry) -> bool {
        std::ptr::eq(self.header().registry, registry)
    }

    pub(crate) fn level(self) -> u8 {
        self.header().level.load(Ordering::Relaxed)
    }

    // ---- ends

    /// What a payload that came out of the closure means.
    fn thrown(self, context: &Context<'_>, payload: Payload) -> (Outcome, JobError) {
        let location = panic::take_location(self);
        match context.cancelled_by(payload) {
            // A loop or a fork was faster than the timer.
            Ok(cancelled) if *cancelled.cause() == CancelCause::Deadline && self.is_late() => {
                (Outcome::TimedOut, JobError::TimedOut { phase: TimeoutPhase::Total })
            }
            Ok(cancelled) => (Outcome::Cancelled, JobError::cancelled(&cancelled, true)),
            Err(payload) => {
                (Outcome::Panicked, JobError::Panicked(JobPanic::new(payload, location)))
            }
        }
    }

    /// Whether the time is up that the job was given for itself.
    fn is_late(self) -> bool {
        let deadline = self.extra().and_then(|extra| extra.deadline);
        deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Ends a job that has not run.
    ///
    /// # Safety
    /// The caller has claimed the job; afterwards it may be gone, unless the caller owns it.
    pub(crate) unsafe fn end_unstarted(self, outcome: Outcome, error: JobError) {
        let vtable = self.header().vtable;
        // SAFETY: claimed, so the closure is there and ours.
        unsafe { (vtable.drop_call)(self) };
        self.header().finished.store(clock::ticks(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { (vtable.set_error)(self, error) };
        // SAFETY: the result is written.
        unsafe { self.end(outcome) };
    }

    /// Ends a job that runs on: its handle is told `error`.
    ///
    /// # Safety
    /// The caller owns a reference to the job, and has the right to write its result.
    pub(crate) unsafe fn end_running(self, outcome: Outcome, error: JobError) {
        // For its runner, who still needs it and finds that it has ended.
        self.header().life.retain();
        // SAFETY: the closure has been taken out: until then the job was held (`life` I2).
        unsafe { (self.header().vtable.set_error)(self, error) };
        // SAFETY: the result is written.
        unsafe { self.tell(outcome) };
    }

    /// The job has ended, and its result is there.
    ///
    /// # Safety
    /// As [`Self::tell`]; and nothing of it runs any more.
    unsafe fn end(self, outcome: Outcome) {
        // The pool is alive: the caller is one of its threads, or holds it.
        let board = self.board();
        // SAFETY: by contract.
        unsafe { self.tell(outcome) };
        board.resolved();
    }

    /// Tells those who want to know that the job has ended.
    ///
    /// # Safety
    /// The caller has the right to write the result and has written it. Afterwards the job may be
    /// gone, unless the caller owns a reference.
    unsafe fn tell(self, outcome: Outcome) {
        let header = self.header();
        let board = self.board();
        if let Some(extra) = self.extra() {
            extra.forget_limits(board);
        }
        let vtable = header.vtable;
        board.count(outcome);
        // SAFETY: by contract.
        let (continuations, is_detached) = unsafe { Life::finish(&raw const header.life) };
        if is_detached {
            // SAFETY: nobody else wants it, and the job's owner is us (`life` I4).
            unsafe {
                (vtable.drop_result)(self);
                self.release();
            }
        }
        continuations.go_on();
    }

    /// # Safety
    /// The caller owns a reference, which this is.
    pub(crate) unsafe fn release(self) {
        if self.header().life.release() {
            // SAFETY: it was the last.
            unsafe { (self.header().vtable.dealloc)(self) };
        }
    }

    /// Takes the result.
    ///
    /// # Safety
    /// The job has ended, its output is a `T`, and the caller is the handle, which takes it once.
    pub(crate) unsafe fn take_result<T>(self) -> Result<T, JobError> {
        // SAFETY: by contract; a union is as large and as aligned as each of its fields.
        let ending = unsafe {
            let at = self.0.as_ptr().byte_add(self.header().vtable.result);
            at.cast::<Ending<T>>().read()
        };
        ending.map_err(|error| *error)
    }

    /// # Safety
    /// As [`Self::take_result`].
    pub(crate) unsafe fn drop_result(self) {
        // SAFETY: by contract.
        unsafe { (self.header().vtable.drop_result)(self) };
    }

    /// Ends a job that was never accepted.
    ///
    /// # Safety
    /// Nobody else knows of the job.
    pub(crate) unsafe fn reject(self) {
        let vtable = self.header().vtable;
        // SAFETY: nobody else has the closure, nor sees the result before it is there.
        unsafe {
            (vtable.drop_call)(self);
            (vtable.set_error)(self, JobError::Rejected);
            let _ = Life::finish(&raw const self.header().life);
        }
    }

    /// Takes a job back that was queued in vain.
    ///
    /// # Safety
    /// The call is a `C`, and the caller owns a reference and has claimed the job.
    pub(crate) unsafe fn take_call<X: Options, C: Call>(self) -> C {
        // SAFETY: claimed, so the closure is there and ours.
        unsafe { ManuallyDrop::take(&mut (*Cell::<X, C>::stage(self)).call) }
    }

    // ---- from outside

    /// Takes the job to run it. `false`: somebody else has. It is to be run at once: if it is timed,
    /// its timer waits for the start.
    pub(crate) fn claim(self) -> bool {
        let header = self.header();
        header.life.claim(header.is_timed)
    }

    /// Whether its end may be told while it runs.
    pub(crate) fn is_timed(self) -> bool {
        self.header().is_timed
    }

    /// Runs a job that the calling thread has claimed, in its own pool.
    ///
    /// # Safety
    /// The caller has claimed the job, and owns a reference to it.
    pub(crate) unsafe fn run_here(self) {
        let run = self.header().vtable.run_claimed;
        let data = self.0.as_ptr().cast_const().cast::<()>();
        let entry = Entry { data, run };
        let is_run = Worker::with_current(|worker| {
            let worker = worker.filter(|worker| self.is_in(worker.registry()));
            worker.map(|worker| worker.run_plain(entry)).is_some()
        });
        if is_run {
            return;
        }
        // Until we are out of it again (L7).
        let registry = self.registry();
        registry.enter(move |worker| worker.run_plain(entry));
        registry.tell_idle();
    }

    /// Whether its work shall stop. Asked by what runs in it.
    pub(crate) fn is_cancelled(self) -> bool {
        self.header().token.get().is_some_and(CancelToken::is_cancelled)
            || self.board().mode() == Mode::Cancelling
    }

    /// Goes on, or says why not. Asked by what runs in it.
    pub(crate) fn check(self) -> Result<(), Cancelled> {
        match self.header().token.get() {
            Some(token) if token.is_cancelled() => token.check(),
            _ if self.board().mode() == Mode::Cancelling => {
                Err(Cancelled::new(CancelCause::Shutdown))
            }
            _ => Ok(()),
        }
    }

    /// The token by which it is cancelled, made by what runs in it, to be handed out.
    pub(crate) fn token_from_inside<'a>(self) -> &'a CancelToken {
        if self.existing_token().is_none() {
            // It must hear of a shutdown: either that sees it in the list, or we see the mode.
            self.list();
            let token = self.token();
            fence(Ordering::SeqCst);
            if self.board().mode() == Mode::Cancelling {
                token.cancel_with(CancelCause::Shutdown);
            }
        }
        self.token()
    }

    /// The token by which it is cancelled.
    pub(crate) fn token<'a>(self) -> &'a CancelToken {
        self.header().token.get_or_make()
    }

    pub(crate) fn existing_token<'a>(self) -> Option<&'a CancelToken> {
        self.header().token.get()
    }

    /// Ends it if it has not started, otherwise asks it to stop.
    pub(crate) fn cancel(self, cause: CancelCause) -> CancelOutcome {
        let life = &self.header().life;
        // For the entry in the lane, which stays behind.
        life.retain();
        if life.claim_to_end() {
            let registry = self.registry();
            let error = JobError::Cancelled { cause, had_started: false };
            // SAFETY: claimed, and the caller owns a reference.
            unsafe { self.end_unstarted(Outcome::Cancelled, error) };
            registry.tell_idle();
            return CancelOutcome::Removed;
        }
        // SAFETY: taken above.
        unsafe { self.release() };
        if life.is_finished() {
            return CancelOutcome::AlreadyFinished;
        }
        self.token().cancel_with(cause);
        // Its forks look when they are asked to.
        if life.hold(|| self.ask_its_workers()) {
            CancelOutcome::Requested
        } else {
            CancelOutcome::AlreadyFinished
        }
    }

    /// Makes what runs in the job look around at its next fork. The job is held.
    fn ask_its_workers(self) {
        // SAFETY: held, so it is pending and its pool alive.
        unsafe { &*self.header().registry }.ask_all_to_check();
    }

    /// Ends it if it has not started: the pool shuts down.
    pub(crate) fn abandon(self) {
        let life = &self.header().life;
        // For the entry in the lane, which stays behind.
        life.retain();
        if life.claim_to_end() {
            let registry = self.registry();
            // SAFETY: claimed, and the caller owns a reference.
            unsafe { self.end_unstarted(Outcome::Abandoned, JobError::Abandoned) };
            registry.tell_idle();
        } else {
            // SAFETY: taken above.
            unsafe { self.release() };
        }
    }

    /// Discards what a lane held, at the end of the pool.
    ///
    /// # Safety
    /// The entry was taken from a lane, and its reference with it.
    pub(crate) unsafe fn discard(entry: Entry) {
        // SAFETY: by contract.
        unsafe { Raw::from_entry(entry).discard_entry() };
    }

    /// Ends a job that a lane held, if nobody else has it.
    ///
    /// # Safety
    /// As [`Self::discard`].
    unsafe fn discard_entry(self) {
        // Not as if to run it: its time may be up meanwhile.
        if self.header().life.claim_to_end() {
            // SAFETY: claimed; afterwards it may be gone.
            unsafe { self.end_unstarted(Outcome::Abandoned, JobError::Abandoned) };
        } else {
            // SAFETY: the lane's reference.
            unsafe { self.release() };
        }
    }

    /// Has `act` called with the job at a time, if it has not ended by then.
    pub(crate) fn limit(self, at: Instant, act: impl FnOnce(Raw) + Send + 'static) {
        let (job, timer) = (JobRef::new(self), self.board().timer());
        let key = timer.insert(at, move || act(job.raw()));
        if !self.extra().expect("a job with limits").add_timer(key) {
            timer.cancel(key);
        }
    }

    /// Its time is up.
    pub(crate) fn time_out(self, phase: TimeoutPhase) {
        let (header, error) = (self.header(), JobError::TimedOut { phase });
        // For the entry in the lane, which stays behind.
        header.life.retain();
        if header.life.claim_to_end() {
            let registry = self.registry();
            // SAFETY: claimed, and the caller owns a reference.
            unsafe { self.end_unstarted(Outcome::TimedOut, error) };
            return registry.tell_idle();
        }
        // SAFETY: taken above.
        unsafe { self.release() };
        if phase == TimeoutPhase::Queued || !header.life.claim_result() {
            return;
        }
        let registry = self.registry();
        header.finished.store(clock::ticks(), Ordering::Relaxed);
        // SAFETY: claimed, and the caller owns a reference.
        unsafe { self.end_running(Outcome::TimedOut, error) };
        self.token().cancel_with(CancelCause::Deadline);
        registry.ask_all_to_check();
    }

    /// Somebody on this level, on this worker of the same pool, waits for the job.
    pub(crate) fn lend_level(self, worker: &Worker) {
        let (header, level) = (self.header(), worker.level());
        if header.level.fetch_min(level, Ordering::Relaxed) <= level {
            return;
        }
        match header.life.phase() {
            // Once more, further up; whichever entry comes second is stale.
            Phase::Queued => {
                header.life.retain();
                worker.queue_job(level, self.entry());
                worker.registry().notify_of_job(level);
            }
            Phase::Running => {
                let runner = header.runner.load(Ordering::Relaxed);
                if runner != NOBODY {
                    worker.registry().worker(runner).lend_level(level);
                }
            }
            Phase::Waiting | Phase::Finished => {}
        }
    }

    fn entry(self) -> Entry {
        Entry { data: self.0.as_ptr().cast_const().cast(), run: self.header().vtable.run }
    }

    /// Has it listed as running, so that a shutdown can ask it to stop, and name it. Called by what
    /// runs in it.
    pub(crate) fn list(self) {
        let (header, board) = (self.header(), self.board());
        if header.listed.load(Ordering::Relaxed) != 0 {
            return;
        }
        let shard = board.list(self);
        let mine = shard as u32 + 1;
        if header.listed.compare_exchange(0, mine, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            // A fork of it was faster.
            board.unlist(shard, self);
        }
    }

    fn unlist(self) {
        let shard = self.header().listed.load(Ordering::Relaxed);
        if shard != 0 {
            self.board().unlist(shard as usize - 1, self);
        }
    }

    pub(crate) fn phase(self) -> Phase {
        self.header().life.phase()
    }
}

/// What a cancel has brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CancelOutcome {
    /// The job had not started and never will. Its closure has been dropped.
    Removed,
    /// The job runs, and has been asked to stop.
    Requested,
    /// The job had ended before.
    AlreadyFinished,
}
