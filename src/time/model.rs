//! The timer as loom's models drive it (`tests/loom_timer.rs`): without a thread, by who says that
//! time has passed.

use super::clock::{Clock, Listener};
use super::queue::TimerKey;
use super::timer;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

/// Stands still.
struct Still {
    start: Instant,
    listener: Mutex<Option<Weak<dyn Listener>>>,
}

impl Clock for Arc<Still> {
    fn now(&self) -> Instant {
        self.start
    }

    fn listen(&self, listener: Weak<dyn Listener>) -> bool {
        *self.listener.lock().unwrap() = Some(listener);
        true
    }
}

/// `timer::Timer`.
pub struct TimerModel {
    timer: timer::Timer,
    start: Instant,
    listener: Arc<dyn Listener>,
}

/// `queue::TimerKey`.
#[derive(Clone, Copy, Debug)]
pub struct TimerKeyModel(TimerKey);

/// One for all executions of a model, which must not differ.
fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

impl fmt::Debug for TimerModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerModel").finish_non_exhaustive()
    }
}

#[allow(missing_docs, reason = "the same names in `timer` tell; times are in seconds")]
impl TimerModel {
    #[allow(clippy::new_without_default, reason = "a model is made, not left out")]
    pub fn new() -> Self {
        let clock = Arc::new(Still { start: start(), listener: Mutex::new(None) });
        let timer = timer::Timer::new(Arc::new(Arc::clone(&clock)));
        let listener = clock.listener.lock().unwrap().as_ref().and_then(Weak::upgrade);
        TimerModel { timer, start: clock.start, listener: listener.expect("the timer's") }
    }

    pub fn insert(&self, at: u64, callback: impl FnOnce() + Send + 'static) -> TimerKeyModel {
        TimerKeyModel(self.timer.insert(self.start + Duration::from_secs(at), callback))
    }

    pub fn cancel(&self, key: TimerKeyModel) -> bool {
        self.timer.cancel(key.0)
    }

    /// As `cancel`, but looks and takes out in two steps.
    pub fn cancel_in_two_steps(&self, key: TimerKeyModel) -> bool {
        self.timer.cancel_in_two_steps(key.0)
    }

    /// What is due at that time is run, one after the other.
    pub fn pass(&self, now: u64) {
        let now = self.start + Duration::from_secs(now);
        while self.listener.next_deadline().is_some_and(|at| at <= now) {
            self.listener.fire_one(now);
        }
    }

    pub fn stop(&self) {
        self.timer.stop();
    }
}
