//! One parker a worker: a token that one thread waits for and any thread hands over.
//!
//! Our own and not `std::thread::park`, because user code on a guest thread may use that token for
//! itself, and because a parker belongs to a seat, which outlives the guest that sits in it: a
//! late `unpark` then reaches live memory, whoever sits there now, who takes it for a spurious
//! wake-up. Every caller parks in a loop around its own condition.

use super::sync::{AtomicU32, Condvar, Mutex, Ordering, lock, wait, wait_timeout};
use std::time::Duration;

const EMPTY: u32 = 0;
const PARKED: u32 = 1;
const TOKEN: u32 = 2;

/// See the module.
#[derive(Debug)]
pub(crate) struct Parker {
    state: AtomicU32,
    mutex: Mutex<()>,
    condvar: Condvar,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Parker { state: AtomicU32::new(EMPTY), mutex: Mutex::new(()), condvar: Condvar::new() }
    }

    /// Blocks until a token is there, and takes it. May return without one.
    pub(crate) fn park(&self) {
        self.park_at_most(Duration::MAX);
    }

    /// As [`Self::park`], and returns after so long.
    pub(crate) fn park_at_most(&self, most: Duration) {
        // Acquire pairs with the Release half of the swap in `unpark`: what the waker wrote before
        // it is visible after.
        if self.state.compare_exchange(TOKEN, EMPTY, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return;
        }
        let guard = lock(&self.mutex);
        match self.state.compare_exchange(EMPTY, PARKED, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => {}
            Err(_) => {
                // A token arrived between the two looks.
                self.state.swap(EMPTY, Ordering::Acquire);
                return;
            }
        }
        let guard = if most == Duration::MAX {
            wait(&self.condvar, guard)
        } else {
            wait_timeout(&self.condvar, guard, most)
        };
        drop(guard);
        self.state.swap(EMPTY, Ordering::Acquire);
    }

    /// Hands over the token and wakes the parked thread, if one is parked.
    pub(crate) fn unpark(&self) {
        if self.state.swap(TOKEN, Ordering::AcqRel) == PARKED {
            // Taking the lock once orders us after the parker's step from "PARKED is written" to
            // "waits on the condvar", so that the notification cannot fall in between.
            drop(lock(&self.mutex));
            self.condvar.notify_one();
        }
    }
}
