//! The parts of the jobs that loom's models drive (`tests/loom_jobs.rs`), as `engine::model`.

use super::{life, ready, told};
use std::fmt;

/// [`life::Life`], and who owns it.
#[repr(C)]
pub struct Life(life::Life, life::Refs);

/// [`told::Continuations`].
#[must_use]
pub struct Continuations(told::Continuations);

struct Calls<F>(F);

impl<F: Fn() + Send + Sync> told::Continue for Calls<F> {
    fn go_on(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.phase().fmt(f)
    }
}

impl fmt::Debug for Continuations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Continuations").finish_non_exhaustive()
    }
}

#[allow(missing_docs, reason = "the same names in `life` tell")]
impl Continuations {
    pub fn go_on(self) {
        self.0.go_on();
    }
}

#[allow(missing_docs, reason = "the same names in `life` tell")]
impl Life {
    pub fn queued() -> Self {
        Life(life::Life::queued(), life::Refs::one())
    }
    pub fn waiting() -> Self {
        Life(life::Life::waiting(), life::Refs::one())
    }
    pub fn in_row() -> Self {
        Life(life::Life::in_row(), life::Refs::one())
    }
    pub fn is_in_row(&self) -> bool {
        self.0.is_in_row()
    }
    pub fn start_from_row(&self) {
        self.0.start_from_row();
    }
    pub fn single_out(&self) {
        self.0.single_out();
    }
    pub fn open(&self) -> bool {
        self.0.open()
    }
    pub fn is_queued(&self) -> bool {
        self.0.phase() == life::Phase::Queued
    }
    pub fn is_running(&self) -> bool {
        self.0.phase() == life::Phase::Running
    }
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
    pub fn claim(&self, is_timed: bool) -> bool {
        self.0.claim(is_timed)
    }
    pub fn start(&self) {
        self.0.start();
    }
    pub fn claim_to_end(&self) -> bool {
        self.0.claim_to_end()
    }
    pub fn claim_result(&self) -> bool {
        self.0.claim_result()
    }
    pub fn hold_to_wait(&self) -> bool {
        self.0.hold_to_wait()
    }
    pub fn wait_again(&self) {
        self.0.wait_again();
    }
    pub fn is_over(&self) -> bool {
        self.0.is_over()
    }
    pub fn hold(&self, f: impl FnOnce()) -> bool {
        self.0.hold(f)
    }
    /// # Safety
    /// As the wrapped one: live until the exchange inside.
    pub unsafe fn finish(this: *const Life) -> (Continuations, bool) {
        // SAFETY: by contract; the first field, so the same pointer.
        let (continuations, is_detached) = unsafe { life::Life::finish(this.cast()) };
        (Continuations(continuations), is_detached)
    }
    pub fn detach(&self) -> bool {
        self.0.detach()
    }
    pub fn attach(&self, target: impl Fn() + Send + Sync + 'static) -> bool {
        self.0.attach(std::sync::Arc::new(Calls(target)))
    }
    pub fn retain(&self) {
        self.1.retain();
    }
    #[must_use]
    pub fn release(&self) -> bool {
        self.1.release()
    }
}

/// [`ready::Ready`].
pub struct Ready(ready::Ready);

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ready({})", self.0.len())
    }
}

#[allow(missing_docs, reason = "the same names in `ready` tell")]
impl Ready {
    #[allow(clippy::new_without_default, reason = "as the wrapped one")]
    pub fn new() -> Self {
        Ready(ready::Ready::new())
    }
    #[must_use]
    pub fn add(&self, places: u64) -> bool {
        self.0.add(places)
    }
    /// The place, and whether there are more.
    pub fn take(&self) -> Option<(u32, bool)> {
        self.0.take().map(|taken| (taken.place, taken.has_more))
    }
    #[must_use]
    pub fn withdraw(&self, place: u32) -> bool {
        self.0.withdraw(place)
    }
}
