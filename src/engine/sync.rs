//! The only door to atomics, locks and threads.
//!
//! Everything in `engine/` takes its primitives from here, so that loom (`--cfg loom`) and shuttle
//! (`--cfg shuttle`) drive the very code that ships. Two things stay outside on purpose: the
//! crossbeam deques (loom cannot see through them; its models use a mock) and the plain cells that
//! only their owning thread touches.

#[cfg(all(windlass_delays, not(any(loom, shuttle))))]
mod delays;

#[cfg(not(any(loom, shuttle)))]
mod imp {
    #[cfg(windlass_delays)]
    pub(crate) use super::delays::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, fence,
    };
    pub(crate) use std::hint::spin_loop;
    #[cfg(windlass_delays)]
    pub(crate) use std::sync::atomic::Ordering;
    #[cfg(not(windlass_delays))]
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
        fence,
    };
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread;
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
        fence,
    };
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

    /// Pools are not driven by loom, but loops that wait for a step of another thread are.
    pub(crate) mod thread {
        pub(crate) use loom::thread::yield_now;
        pub(crate) use std::thread::*;
    }
}

#[cfg(all(shuttle, not(loom)))]
mod imp {
    pub(crate) use shuttle::hint::spin_loop;
    pub(crate) use shuttle::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
        fence,
    };
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use shuttle::thread;
}

#[cfg(all(windlass_delays, not(any(loom, shuttle))))]
use delays::step;
pub(crate) use imp::*;
use std::time::Duration;

/// Nothing holds a step up.
#[cfg(not(all(windlass_delays, not(any(loom, shuttle)))))]
#[inline]
fn step<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// A sequentially consistent fence right behind a read-modify-write of this thread. On x86 that is one
/// by itself, whatever its ordering: the locked instruction waits for all stores before it, and no load
/// behind it comes sooner (Intel SDM vol. 3, 10.2.2), so only the compiler is told.
#[inline]
pub(crate) fn fence_after_rmw() {
    #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), not(any(loom, shuttle, miri))))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(not(all(
        any(target_arch = "x86", target_arch = "x86_64"),
        not(any(loom, shuttle, miri))
    )))]
    fence(Ordering::SeqCst);
}

/// Locks, and goes on after a panic elsewhere: what these locks guard is valid between any two of
/// its own operations, and none of them runs user code inside.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    step(|| mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

/// Waits for a notification, and goes on as [`lock`] does. May return without one.
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// As [`wait`], for `timeout` at most. Under loom and shuttle there is no time: it never runs out.
pub(crate) fn wait_timeout<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
) -> MutexGuard<'a, T> {
    condvar.wait_timeout(guard, timeout).unwrap_or_else(|poisoned| poisoned.into_inner()).0
}
