//! Notices fork(2): in the child the pool's threads do not exist.

use std::sync::atomic::{AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// A number that changes in the child of a fork. One relaxed load; the first call registers the
/// handler.
#[inline]
pub(crate) fn generation() -> u32 {
    #[cfg(unix)]
    {
        use std::sync::Once;
        extern "C" fn in_child() {
            GENERATION.fetch_add(1, Ordering::Relaxed);
        }
        static ONCE: Once = Once::new();
        // `is_completed` is one load on the path that every guest takes.
        if !ONCE.is_completed() {
            ONCE.call_once(|| {
                // SAFETY: the handler does one atomic addition, which is async-signal-safe. If the
                // system has no memory for the handler, forks go unnoticed, as they would without
                // this module.
                unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
            });
        }
    }
    GENERATION.load(Ordering::Relaxed)
}
