//! What must stay on its thread, in something that is sent about.

use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, Ordering};

/// A value that only the thread which made it may touch, and that may lie in what is sent about.
/// Dropped by another thread, it is leaked.
pub(super) struct Pinned<T> {
    value: ManuallyDrop<T>,
    thread: u64,
}

// SAFETY: the value is reached only on the thread that made it, where it is as if it had never been
// away: every access, and the drop, look at the number of the thread, and no two threads have the
// same.
unsafe impl<T> Send for Pinned<T> {}

impl<T> Pinned<T> {
    pub(super) fn new(value: T) -> Self {
        Pinned { value: ManuallyDrop::new(value), thread: this_thread() }
    }

    fn is_here(&self) -> bool {
        self.thread == this_thread()
    }

    #[track_caller]
    fn check(&self) {
        assert!(self.is_here(), "R2: a loop that has begun stays on its thread");
    }

    pub(super) fn get(&self) -> &T {
        self.check();
        &self.value
    }

    pub(super) fn get_mut(&mut self) -> &mut T {
        self.check();
        &mut self.value
    }

    pub(super) fn into_inner(self) -> T {
        self.check();
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is neither used nor dropped from here on.
        unsafe { ManuallyDrop::take(&mut this.value) }
    }
}

impl<T> Drop for Pinned<T> {
    fn drop(&mut self) {
        if self.is_here() {
            // SAFETY: on its thread, and not used again.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}

/// A number that no other thread has or had.
fn this_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        // Relaxed: only that each gets its own.
        static THIS: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    THIS.with(|number| *number)
}
