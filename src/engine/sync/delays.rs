//! What stands in the place of atomics with `--cfg windlass_delays`: the same, but that a thread is now
//! and then held up before or behind a step that others can see, for microseconds or a few milliseconds.
//! So the ordinary tests, with real threads, see orders of events that otherwise only a loaded machine
//! brings about, some once in a thousand runs.
//!
//! Loads are as they are: a delay before a load is one behind the step before it.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{self, Ordering};
use std::thread;
use std::time::Duration;

thread_local! {
    /// The state of a generator of pseudo-random numbers (xorshift64); 0: not seeded yet.
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// Perhaps holds the calling thread up: once in 512 times. Most of those it yields; one in eight it
/// sleeps for up to 60 us, one in 64 for up to 4 ms.
#[inline]
fn delay() {
    let number = STATE.try_with(|state| {
        let mut x = state.get();
        if x == 0 {
            x = RandomState::new().build_hasher().finish() | 1;
        }
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        state.set(x);
        x >> 20
    });
    if let Ok(number) = number
        && number.is_multiple_of(512)
    {
        hold_up(number / 512);
    }
}

#[cold]
fn hold_up(number: u64) {
    let sleep = |most| thread::sleep(Duration::from_micros(number / 64 % most));
    match number % 64 {
        0 => sleep(4_000),
        8 | 16 | 24 | 32 | 40 | 48 | 56 => sleep(60),
        _ => thread::yield_now(),
    }
}

/// Takes a step that others can see, and perhaps holds the thread up on either side of it.
#[inline]
pub(crate) fn step<R>(f: impl FnOnce() -> R) -> R {
    delay();
    let result = f();
    delay();
    result
}

pub(crate) fn fence(order: Ordering) {
    step(|| atomic::fence(order));
}

macro_rules! updates {
    ($t:ty: $($f:ident)*) => { $(
        #[inline]
        pub(crate) fn $f(&self, value: $t, order: Ordering) -> $t {
            step(|| self.0.$f(value, order))
        }
    )* };
}

macro_rules! exchanges {
    ($t:ty: $($f:ident)*) => { $(
        #[inline]
        pub(crate) fn $f(
            &self,
            from: $t,
            to: $t,
            order: Ordering,
            failure: Ordering,
        ) -> Result<$t, $t> {
            step(|| self.0.$f(from, to, order, failure))
        }
    )* };
}

/// All that there is of every type of atomic.
macro_rules! atomic {
    ($name:ident $(<$param:ident>)?: $t:ty, $($f:ident)*) => {
        #[derive(Debug)]
        #[repr(transparent)]
        pub(crate) struct $name $(<$param>)? (atomic::$name $(<$param>)?);

        #[allow(dead_code, reason = "some are used of each type")]
        impl $(<$param>)? $name $(<$param>)? {
            #[inline]
            pub(crate) const fn new(value: $t) -> Self {
                Self(atomic::$name::new(value))
            }

            #[inline]
            pub(crate) fn into_inner(self) -> $t {
                self.0.into_inner()
            }

            #[inline]
            pub(crate) fn store(&self, value: $t, order: Ordering) {
                step(|| self.0.store(value, order));
            }

            exchanges!($t: compare_exchange compare_exchange_weak);
            updates!($t: swap $($f)*);
        }

        impl $(<$param>)? Deref for $name $(<$param>)? {
            type Target = atomic::$name $(<$param>)?;
            #[inline]
            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        impl $(<$param>)? DerefMut for $name $(<$param>)? {
            #[inline]
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.0
            }
        }

        impl $(<$param>)? Default for $name $(<$param>)? {
            fn default() -> Self {
                Self(Default::default())
            }
        }
    };
}

atomic!(AtomicBool: bool, fetch_or fetch_and);
atomic!(AtomicU8: u8, fetch_add fetch_sub fetch_or fetch_and fetch_max fetch_min);
atomic!(AtomicU16: u16, fetch_add fetch_sub fetch_or fetch_and fetch_max fetch_min);
atomic!(AtomicU32: u32, fetch_add fetch_sub fetch_or fetch_and fetch_max fetch_min);
atomic!(AtomicU64: u64, fetch_add fetch_sub fetch_or fetch_and fetch_max fetch_min);
atomic!(AtomicUsize: usize, fetch_add fetch_sub fetch_or fetch_and fetch_max fetch_min);
atomic!(AtomicPtr<T>: *mut T,);

impl<T> AtomicPtr<T> {
    #[inline]
    pub(crate) fn fetch_byte_sub(&self, bytes: usize, order: Ordering) -> *mut T {
        step(|| self.0.fetch_byte_sub(bytes, order))
    }
}
