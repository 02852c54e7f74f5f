//! Panics at the engine's edges: caught where user code ends, never let through the engine itself.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panicking closure threw.
pub(crate) type Payload = Box<dyn Any + Send + 'static>;

/// Runs user code and catches its panic.
///
/// `AssertUnwindSafe` holds because whatever the closure left half-done is only seen by whoever
/// resumes the panic, as with a plain call.
#[inline]
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Payload> {
    catch_unwind(AssertUnwindSafe(f))
}

/// Drops a value of the user's whose destructor may panic, where nobody is left to tell: a second
/// payload beside the one that is being propagated, or the result of a half whose other half
/// panicked.
pub(crate) fn drop_quietly<T>(value: T) {
    if let Err(payload) = catch(|| drop(value))
        && let Err(again) = catch(|| drop(payload))
    {
        // A payload whose own drop panics could go on for ever; forgetting it leaks one box.
        std::mem::forget(again);
    }
}

/// Aborts the process if dropped: armed around the steps of the engine in which an unwind would
/// leave another thread with a dangling job. Loud, because a hang would be worse.
#[derive(Debug)]
pub(crate) struct AbortOnUnwind(pub(crate) &'static str);

impl AbortOnUnwind {
    pub(crate) fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        eprintln!("windlass: internal panic in {}; aborting, this is a bug in windlass", self.0);
        std::process::abort();
    }
}
