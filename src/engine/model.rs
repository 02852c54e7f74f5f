//! The parts of the engine that loom's models drive (`tests/loom.rs`), made public for them under
//! `--cfg loom`.
//!
//! Thin wrappers and nothing else: what a model calls is the code that ships.

use super::lanes::mask;
use super::{latch, park, sleep};
use std::fmt;

/// [`sleep::Sleep`].
pub struct Sleep(sleep::Sleep);

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.word().fmt(f)
    }
}

#[allow(missing_docs, reason = "the same names in `sleep` tell")]
impl Sleep {
    pub fn new(width: usize, spares: usize) -> Self {
        Sleep(sleep::Sleep::new(width, spares))
    }
    pub fn num_active(&self) -> usize {
        self.0.word().active()
    }
    pub fn num_searching(&self) -> usize {
        self.0.word().searching()
    }
    pub fn num_sleeping(&self) -> usize {
        self.0.word().sleeping()
    }
    pub fn is_over_width(&self) -> bool {
        self.0.is_over_width()
    }
    pub fn is_at_work_in_full(&self) -> bool {
        self.0.is_at_work_in_full()
    }
    pub fn try_enter(&self) -> bool {
        self.0.try_enter()
    }
    /// As [`sleep::Loan`].
    pub fn borrow(&self) -> Option<Loan> {
        self.0.borrow().map(Loan)
    }
    #[must_use]
    pub fn repay(&self, loan: Loan) -> bool {
        self.0.repay(loan.0)
    }
    #[must_use]
    pub fn leave(&self) -> Option<usize> {
        self.0.leave()
    }
    pub fn enter_or_defer(&self) -> bool {
        self.0.enter_or_defer()
    }
    pub fn resume(&self) {
        self.0.resume();
    }
    /// `true`: the caller holds a permit for a spare thread, and starts one.
    #[must_use]
    pub fn notify(&self) -> bool {
        self.0.notify() == sleep::Notified::Spare
    }
    #[must_use]
    pub fn notify_fenced(&self) -> bool {
        self.0.notify_fenced() == sleep::Notified::Spare
    }
    pub fn stop_growing(&self) {
        self.0.stop_growing();
    }
    pub fn wake_for_certain(&self, index: usize) {
        self.0.wake_for_certain(index);
    }
    pub fn is_asleep(&self, index: usize) -> bool {
        self.0.is_asleep(index)
    }
    pub fn start_search(&self) {
        self.0.start_search();
    }
    #[must_use]
    pub fn end_search(&self) -> bool {
        self.0.end_search()
    }
    pub fn announce(&self, index: usize) {
        self.0.announce(index);
    }
    #[must_use]
    pub fn retire(&self) -> Option<usize> {
        self.0.retire()
    }
    #[must_use]
    pub fn park(&self, index: usize) -> bool {
        self.0.park(index)
    }
}

/// [`sleep::Loan`].
#[derive(Clone, Copy, Debug)]
pub struct Loan(sleep::Loan);

/// [`latch::Latch`].
#[derive(Debug)]
#[repr(transparent)]
pub struct Latch(latch::Latch);

#[allow(missing_docs, reason = "the same names in `latch` tell")]
impl Latch {
    #[allow(clippy::new_without_default, reason = "as the wrapped one")]
    pub fn new() -> Self {
        Latch(latch::Latch::new())
    }
    pub fn probe(&self) -> bool {
        self.0.probe()
    }
    /// # Safety
    /// As the wrapped one: live until the swap inside, and not touched by the caller afterwards.
    pub unsafe fn set(this: *const Latch) -> bool {
        // SAFETY: by contract; transparent, so the same pointer.
        unsafe { latch::Latch::set(this.cast()) }
    }
    pub fn announce_park(&self) -> bool {
        self.0.announce_park()
    }
    pub fn is_parked(&self) -> bool {
        self.0.is_parked()
    }
    pub fn retract_park(&self) {
        self.0.retract_park();
    }
    pub fn nudge(&self) -> bool {
        self.0.nudge()
    }
}

/// [`park::Parker`].
#[derive(Debug)]
pub struct Parker(park::Parker);

#[allow(missing_docs, reason = "the same names in `park` tell")]
impl Parker {
    #[allow(clippy::new_without_default, reason = "as the wrapped one")]
    pub fn new() -> Self {
        Parker(park::Parker::new())
    }
    pub fn park(&self) {
        self.0.park();
    }
    pub fn unpark(&self) {
        self.0.unpark();
    }
}

/// [`mask::Mask`].
pub struct Mask(mask::Mask);

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({:b})", self.0.levels())
    }
}

#[allow(missing_docs, reason = "the same names in `mask` tell")]
impl Mask {
    #[allow(clippy::new_without_default, reason = "as the wrapped one")]
    pub fn new() -> Self {
        Mask(mask::Mask::new())
    }
    pub fn levels(&self) -> u32 {
        self.0.levels()
    }
    pub fn announce(&self, level: u8) -> bool {
        self.0.announce(level, || ())
    }
    pub fn clear(&self, level: usize, holds: impl FnOnce() -> bool) -> bool {
        self.0.clear(level, holds)
    }
}
