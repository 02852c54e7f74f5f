//! The thread's context: which seats the calling thread holds, innermost first.

use super::Worker;
use crate::engine::registry::Registry;
use std::cell::Cell;
use std::ptr;

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
    /// The worker that the calling thread is now, in the innermost pool it has entered, or null.
    /// The hot path's form of [`Self::with_current`]: a closure there is not always inlined.
    #[inline(always)]
    pub(crate) fn current() -> *const Worker {
        // Thread-locals without a destructor are readable until the thread is gone.
        tls::CURRENT.with(Cell::get)
    }

    /// Calls `f` with the worker that the calling thread is now.
    #[inline(always)]
    pub(crate) fn with_current<R>(f: impl FnOnce(Option<&Worker>) -> R) -> R {
        // SAFETY: a non-null pointer was set by a `Seated` on this thread's stack, whose seat is
        // live.
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
}
