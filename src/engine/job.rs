//! Erased jobs: what a deque holds, and the stack job of a fork.

use super::latch::Latch;
use super::sync::{AtomicU32, Ordering};
use super::unwind::{self, Payload};
use super::worker::{Belonging, Worker};
use std::cell::UnsafeCell;
use std::mem::{ManuallyDrop, MaybeUninit};

/// A job as the deques hold it: two words, run exactly once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobRef {
    pub(crate) data: *const (),
    /// Runs the job on the worker whose thread calls.
    pub(crate) run: unsafe fn(*const (), &Worker),
}

// SAFETY: a JobRef is only made of jobs whose closures and results are Send (the bounds stand at
// `join`, `scope`, `install`), and whoever makes one keeps `data` alive until the job has run.
unsafe impl Send for JobRef {}

/// No thief yet.
pub(crate) const NOBODY: u32 = u32::MAX;

/// What a *published* fork has and a private one does not pay for: it is written at publication.
pub(crate) struct ForkHeader {
    pub(crate) latch: Latch,
    /// The worker that forked and waits.
    pub(crate) owner: u32,
    /// The worker that runs the job. Written by the thief, read by the owner to steal back from it.
    pub(crate) thief: AtomicU32,
    /// What the fork belongs to.
    pub(crate) context: *const (),
}

impl ForkHeader {
    pub(crate) fn new(owner: u32, context: *const ()) -> Self {
        ForkHeader { latch: Latch::new(), owner, thief: AtomicU32::new(NOBODY), context }
    }
}

/// The second half of a `join`, on the stack of its owner. The header comes first, so that
/// a pointer to the job is a pointer to the header.
#[repr(C)]
pub(crate) struct ForkJob<F, R> {
    header: UnsafeCell<MaybeUninit<ForkHeader>>,
    func: UnsafeCell<ManuallyDrop<F>>,
    result: UnsafeCell<MaybeUninit<Result<R, Payload>>>,
}

impl<F: FnOnce() -> R, R> ForkJob<F, R> {
    #[inline(always)]
    pub(crate) fn new(func: F) -> Self {
        ForkJob {
            header: UnsafeCell::new(MaybeUninit::uninit()),
            func: UnsafeCell::new(ManuallyDrop::new(func)),
            result: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    #[inline(always)]
    pub(crate) fn as_job_ref(&self) -> JobRef {
        JobRef { data: (&raw const *self).cast(), run: Self::run }
    }

    /// What stands for the call site of this fork: one function a closure type.
    pub(crate) fn site() -> usize {
        Self::run as unsafe fn(*const (), &Worker) as usize
    }

    /// Takes the closure back.
    ///
    /// # Safety
    /// Nobody else runs the job: it was never published, or was taken back from the deque; and
    /// this is the only call.
    #[inline(always)]
    pub(crate) unsafe fn take(&self) -> F {
        // SAFETY: by contract we are the only one to touch `func`, once.
        unsafe { ManuallyDrop::take(&mut *self.func.get()) }
    }

    /// Takes the result that a thief has left.
    ///
    /// # Safety
    /// The latch was seen set, and this is the only call.
    pub(crate) unsafe fn take_result(&self) -> Result<R, Payload> {
        // SAFETY: `run` writes the result before it sets the latch, whose Acquire load orders us
        // after; nobody touches it again (L7).
        unsafe { (*self.result.get()).assume_init_read() }
    }

    /// What a thief does.
    ///
    /// # Safety
    /// `data` is a live, published `ForkJob<F, R>`, run once; it stays live until its latch is set
    /// because the owner waits for that, also when it unwinds (`JoinGuard`).
    unsafe fn run(data: *const (), worker: &Worker) {
        let job: *const Self = data.cast();
        let header = header_of(data);
        // Relaxed: a hint; the owner checks the latch after acting on it.
        // SAFETY: published, so the header was initialised, and live until the latch is set.
        unsafe { (*header).thief.store(worker.index(), Ordering::Relaxed) };
        // SAFETY: as above; not written after publication.
        let belonging = Belonging::enter(unsafe { (*header).context });
        let patron = worker.enter_stolen(header);
        // SAFETY: the deque handed the job to us alone.
        let func = unsafe { (*job).take() };
        let result = unwind::catch(func);
        worker.leave_stolen(patron);
        drop(belonging);
        // SAFETY: as above; the owner reads only after the latch is set.
        unsafe { (*(*job).result.get()).write(result) };
        // SAFETY: the last touch of the job (L7). Nothing from `catch` on unwinds.
        unsafe { worker.finish_fork(header) };
    }
}

/// The header of a fork job.
#[inline(always)]
pub(crate) fn header_of(data: *const ()) -> *const ForkHeader {
    // `ForkJob` is repr(C) with the header first; UnsafeCell and MaybeUninit are transparent.
    data.cast()
}
