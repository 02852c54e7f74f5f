//! The latch of one piece of work: set once by whoever finishes it, waited for by one owner.
//!
//! I1. `DONE` is stored once, by [`Latch::set`], and is final.
//! I2. Only the one waiter moves `PENDING -> PARKED`; anyone who knows the work unfinished may
//!     move `PARKED -> PENDING` to make the waiter look around ([`Latch::nudge`]).
//! I3. Publish last (L7): after the swap in `set` the memory of the latch may be gone. `set`
//!     therefore takes a raw pointer and has copied what it needs before.

use super::sync::{AtomicU32, Ordering};

const PENDING: u32 = 0;
const PARKED: u32 = 1;
const DONE: u32 = 2;

/// See the module.
#[derive(Debug)]
pub(crate) struct Latch {
    state: AtomicU32,
}

impl Latch {
    pub(crate) fn new() -> Self {
        Latch { state: AtomicU32::new(PENDING) }
    }

    /// Whether the work is finished; if so, all it wrote is visible.
    #[inline]
    pub(crate) fn probe(&self) -> bool {
        // Acquire pairs with the Release half of the swap in `set`.
        self.state.load(Ordering::Acquire) == DONE
    }

    /// Sets the latch. Returns whether the waiter is parked and must be woken by the caller.
    ///
    /// # Safety
    /// `this` is live until the swap inside. Afterwards it may not be, and the caller must not
    /// touch the latch or what it guards again.
    pub(crate) unsafe fn set(this: *const Latch) -> bool {
        // SAFETY: live until the swap, by contract; the reference does not outlive this
        // expression. Nothing here unwinds.
        let before = unsafe { (*this).state.swap(DONE, Ordering::AcqRel) };
        before == PARKED
    }

    /// As [`Self::set`], of a latch that is shared, and so outlives the call.
    pub(crate) fn set_shared(&self) -> bool {
        // SAFETY: borrowed, so live until this returns.
        unsafe { Self::set(self) }
    }

    /// The waiter says that it is about to park. `false`: it must not, the work is done.
    pub(crate) fn announce_park(&self) -> bool {
        // AcqRel: the setter's swap reads this and then knows that a token is needed; on failure
        // Acquire makes the finished work visible.
        self.state.compare_exchange(PENDING, PARKED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether the waiter still counts as parked: it parks again only then.
    pub(crate) fn is_parked(&self) -> bool {
        self.state.load(Ordering::Acquire) == PARKED
    }

    /// The waiter takes its announcement back after a wake-up that was not for the latch.
    pub(crate) fn retract_park(&self) {
        // A failure means that somebody else moved the state on, which is just as good.
        let _ = self.state.compare_exchange(PARKED, PENDING, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Tells a parked waiter to look for work again. Returns whether the caller must wake it.
    #[inline]
    pub(crate) fn nudge(&self) -> bool {
        self.state.load(Ordering::Relaxed) == PARKED
            && self
                .state
                .compare_exchange(PARKED, PENDING, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }
}
