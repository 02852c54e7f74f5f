//! The thread's context: which seats the calling thread holds, innermost first.

use super::Worker;
use crate::engine::registry::Registry;
use std::cell::Cell;
use std::ptr;

#[cfg(not(shuttle))]
mod tls {
    use super::{Cell, Frame, Registry, Worker, ptr};
    thread_local! {
        pub(super) static CURRENT: Cell<*const Worker> = const { Cell::new(ptr::null()) };
        pub(super) static FRAMES: Cell<*const Frame> = const { Cell::new(ptr::null()) };
        pub(super) static AMBIENT: Cell<*const Registry> = const { Cell::new(ptr::null()) };
        pub(super) static CONTEXT: Cell<*const ()> = const { Cell::new(ptr::null()) };
    }
}
#[cfg(shuttle)]
mod tls {
    use super::{Cell, Frame, Registry, Worker, ptr};
    shuttle::thread_local! {
        pub(super) static CURRENT: Cell<*const Worker> = Cell::new(ptr::null());
        pub(super) static FRAMES: Cell<*const Frame> = Cell::new(ptr::null());
        pub(super) static AMBIENT: Cell<*const Registry> = Cell::new(ptr::null());
        pub(super) static CONTEXT: Cell<*const ()> = Cell::new(ptr::null());
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
    /// What was current before.
    before: *const Worker,
}

impl Seated {
    /// # Safety
    /// The calling thread holds the seat `worker`, which outlives the guard.
    pub(crate) unsafe fn new(worker: &Worker) -> Self {
        let outer = tls::FRAMES.with(Cell::get);
        let frame = Box::new(Frame { worker, outer });
        tls::FRAMES.with(|frames| frames.set(&raw const *frame));
        let before = tls::CURRENT.with(|current| current.replace(worker));
        Seated { frame, before }
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        tls::FRAMES.with(|frames| frames.set(self.frame.outer));
        tls::CURRENT.with(|current| current.set(self.before));
    }
}

/// Marks that the thread runs work of a pool without a seat in it: a loop that is too short to
/// enter for. What the loop's closure forks goes to that pool all the same.
pub(crate) struct Alone {
    worker: *const Worker,
    ambient: *const Registry,
}

impl Alone {
    /// `None` if the thread's innermost seat is in the pool, so that there is nothing to mark.
    #[inline]
    pub(crate) fn new(registry: &Registry) -> Option<Self> {
        let worker = Worker::current();
        // SAFETY: as in `Worker::with_current`.
        if unsafe { worker.as_ref() }.is_some_and(|at| ptr::eq(at.registry.get(), registry)) {
            return None;
        }
        tls::CURRENT.with(|current| current.set(ptr::null()));
        let ambient = tls::AMBIENT.with(|ambient| ambient.replace(registry));
        Some(Alone { worker, ambient })
    }

    /// Calls `f` with the pool that the thread runs work of without a seat.
    pub(crate) fn with_ambient<R>(f: impl FnOnce(Option<&Registry>) -> R) -> R {
        let ambient = tls::AMBIENT.with(Cell::get);
        // SAFETY: set by a guard further down this stack, whose caller borrows the pool.
        f(unsafe { ambient.as_ref() })
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        tls::CURRENT.with(|current| current.set(self.worker));
        tls::AMBIENT.with(|ambient| ambient.set(self.ambient));
    }
}

/// What the work on the calling thread belongs to: a pointer that whoever is above the engine can
/// make sense of, null outside of everything. It travels with stolen forks, the tasks of a scope
/// and broadcasts (L4), and is live as long as any of them.
#[inline]
pub(crate) fn context() -> *const () {
    tls::CONTEXT.with(Cell::get)
}

/// Makes the work on the calling thread belong to something else, as long as the guard lives.
pub(crate) struct Belonging {
    before: *const (),
}

impl Belonging {
    /// `None` if it belongs there already.
    #[inline]
    pub(crate) fn enter(context: *const ()) -> Option<Self> {
        let before = self::context();
        if before == context { None } else { Some(Self::enter_other(context, before)) }
    }

    /// As [`Self::enter`], for a job on `worker`, which the calling thread is.
    #[inline]
    pub(crate) fn enter_on(worker: &Worker, context: *const ()) -> Option<Self> {
        let before = self::context();
        if before.is_null() && worker.is_at_the_bottom() {
            // Nothing has been forked: the thread's outermost frame is this worker's.
            tls::CONTEXT.with(|cell| cell.set(context));
            return Some(Belonging { before });
        }
        Self::enter(context)
    }

    #[cold]
    fn enter_other(context: *const (), before: *const ()) -> Self {
        // A fork learns where it belongs when it is published. So that this is where it was made,
        // all that is private is published now. The rest of the time private forks pay nothing.
        Worker::for_each_seat(Worker::publish_all);
        tls::CONTEXT.with(|cell| cell.set(context));
        Belonging { before }
    }
}

impl Drop for Belonging {
    #[inline]
    fn drop(&mut self) {
        tls::CONTEXT.with(|cell| cell.set(self.before));
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
        if current.is_null() && tls::FRAMES.with(Cell::get).is_null() {
            return f(None);
        }
        // SAFETY: as in `with_current`.
        let worker = unsafe { current.as_ref() };
        match worker {
            Some(worker) if ptr::eq(worker.registry.get(), registry) => f(Some(worker)),
            _ => Self::with_outer_seat_in(registry, f),
        }
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
