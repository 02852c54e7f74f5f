//! Where a job's panic was thrown. The payload does not tell, only the panic hook knows.

#[cfg(not(any(loom, shuttle)))]
use super::context::Context;
use super::outcome::PanicLocation;
use super::raw::Raw;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

/// How many there are, so that a job that ends need not look.
static NUM_PLACES: AtomicUsize = AtomicUsize::new(0);

/// By job or piece of work ([`Context::current_key`]), from the panic until that ends. A stolen fork panics on another thread than the job's.
fn places() -> MutexGuard<'static, HashMap<usize, PanicLocation>> {
    static PLACES: OnceLock<Mutex<HashMap<usize, PanicLocation>>> = OnceLock::new();
    let places = PLACES.get_or_init(Mutex::default);
    places.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub(super) fn key(job: Raw) -> usize {
    std::ptr::from_ref(job.header()).addr()
}

/// Puts a hook before the one that is there, once a process.
#[inline]
pub(crate) fn watch() {
    #[cfg(not(any(loom, shuttle)))]
    {
        use std::sync::Once;
        static ONCE: Once = Once::new();
        if !ONCE.is_completed() {
            install(&ONCE);
        }
    }
}

#[cfg(not(any(loom, shuttle)))]
#[cold]
fn install(once: &std::sync::Once) {
    // The hook cannot be changed by a thread that panics; the next job does it.
    if std::thread::panicking() {
        return;
    }
    once.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if let (Some(key), Some(location)) = (Context::current_key(), info.location()) {
                let mut places = places();
                places.insert(key, PanicLocation::new(location));
                NUM_PLACES.store(places.len(), Ordering::Relaxed);
            }
            before(info);
        }));
    });
}

/// The place of the last panic in the job, which has thrown something.
pub(crate) fn take_location(job: Raw) -> Option<PanicLocation> {
    take_location_of(key(job))
}

/// As [`take_location`], of a piece of work.
pub(crate) fn take_location_of(key: usize) -> Option<PanicLocation> {
    // Relaxed: a panic of this work happened before it ended.
    if NUM_PLACES.load(Ordering::Relaxed) == 0 {
        return None;
    }
    let mut places = places();
    let place = places.remove(&key);
    NUM_PLACES.store(places.len(), Ordering::Relaxed);
    place
}

/// The place of the last panic in the job that the calling thread works for.
pub(crate) fn take_current_location() -> Option<PanicLocation> {
    super::context::Context::current_job().and_then(take_location)
}

/// A job that has ended well may have caught panics of its own.
#[inline]
pub(crate) fn forget_location(job: Raw) {
    // Relaxed: a panic of this job happened before it ended.
    if NUM_PLACES.load(Ordering::Relaxed) > 0 {
        drop(take_location(job));
    }
}
