//! One thing at one time, for what has no pool, and so no timer of its own: a token that is awaited.
#![forbid(unsafe_code)]

use super::clock::{Clock, RealClock};
use super::queue::TimerKey;
use super::timer::Timer;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Something that is called at a time, unless this is dropped before.
pub(crate) struct Alarm {
    timer: By,
    key: TimerKey,
}

// What is called is caught, and nothing is seen of it.
impl std::panic::UnwindSafe for Alarm {}
impl std::panic::RefUnwindSafe for Alarm {}

enum By {
    /// That of the program, by the real clock. Its thread starts with the first alarm, and stays.
    All(&'static Timer),
    /// By another clock, each its own: nobody has many.
    Own(Timer),
}

impl Alarm {
    /// Calls `f` at that time, on a thread of the alarm's, or that of who moves the clock: so it must
    /// be short, and must not block. By the real clock, if there is no other.
    ///
    /// # Panics
    /// If the system has no thread for it.
    pub(crate) fn new(
        clock: Option<&Arc<dyn Clock>>,
        at: Instant,
        f: impl FnOnce() + Send + 'static,
    ) -> Alarm {
        static ALL: OnceLock<Timer> = OnceLock::new();
        let own = |clock| By::Own(Timer::watched(clock, None));
        let timer = match clock {
            Some(clock) => own(Arc::clone(clock)),
            // A model's primitives do not outlive one of its executions.
            None if cfg!(any(loom, shuttle)) => own(Arc::new(RealClock)),
            None => By::All(ALL.get_or_init(|| Timer::watched(Arc::new(RealClock), None))),
        };
        let key = timer.get().insert(at, f);
        Alarm { timer, key }
    }

    /// Leaves it to be called, whatever becomes of this.
    pub(crate) fn detach(self) {
        std::mem::forget(self);
    }
}

impl By {
    fn get(&self) -> &Timer {
        match self {
            By::All(timer) => timer,
            By::Own(timer) => timer,
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.timer.get().cancel(self.key);
    }
}
