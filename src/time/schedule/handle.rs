//! What the outside holds of a schedule.

use super::core::Core;
use super::error::ScheduleError;
use super::event::{EndReason, KeptEvents, RunOutcome, ScheduleStats};
use super::plan::{ScheduleState, Triggered};
use crate::time::trigger::Trigger;
use crate::time::when::When;
use std::fmt;
use std::sync::Arc;

/// A schedule that was started: see [`Pool::schedule`](crate::Pool::schedule).
///
/// Clones are the same schedule. Dropping the handle leaves it going;
/// [`cancel_on_drop`](Self::cancel_on_drop) does not. It does not keep the pool alive: when that
/// ends, the series has, too.
///
/// ```
/// # #[cfg(feature = "test-util")] {
/// use std::time::Duration;
/// use windlass::schedule::ScheduleState;
/// use windlass::{ManualClock, Pool};
///
/// let (clock, minute) = (ManualClock::new(), Duration::from_secs(60));
/// let pool = Pool::builder().workers(1).clock(clock.clone()).build()?;
/// let tick = pool.schedule("tick").every(minute).start(|| ()).unwrap();
/// clock.advance_until_idle(&pool, 3 * minute);
/// assert_eq!(tick.stats().completed, 3);
/// tick.pause();
/// clock.advance_until_idle(&pool, 3 * minute);
/// tick.resume();
/// assert_eq!((tick.stats().completed, tick.stats().skipped), (3, 3));
/// tick.trigger_now().unwrap();
/// tick.cancel();
/// assert!(matches!(tick.state(), ScheduleState::Ended(_)));
/// # }
/// # Ok::<(), windlass::BuildError>(())
/// ```
#[derive(Clone)]
pub struct ScheduleHandle {
    core: Arc<Core>,
}

// What its closure leaves half-done when it panics is its own affair.
impl std::panic::UnwindSafe for ScheduleHandle {}
impl std::panic::RefUnwindSafe for ScheduleHandle {}

impl ScheduleHandle {
    pub(super) fn new(core: Arc<Core>) -> Self {
        ScheduleHandle { core }
    }

    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// Where it is.
    pub fn state(&self) -> ScheduleState {
        self.core.look_at(|plan| plan.state())
    }

    /// How it has fared so far.
    pub fn stats(&self) -> ScheduleStats {
        self.core.look_at(|plan| plan.stats.clone())
    }

    /// How the last run that has ended did; `None` before the first end.
    pub fn last_outcome(&self) -> Option<RunOutcome> {
        self.core.look_at(|plan| plan.last.clone())
    }

    /// The next `n` times at which runs are due, as far as there are any, jitter not counted. With a
    /// fixed delay as if runs took no time. Of a paused schedule as if it were resumed now.
    pub fn next_runs(&self, n: usize) -> Vec<When> {
        let Some(now) = self.core.now() else { return Vec::new() };
        self.core.look_at(|plan| plan.preview(n, now))
    }

    /// The events that nobody has taken yet, the last
    /// [so many](super::ScheduleBuilder::keep_events) of them.
    pub fn take_events(&self) -> KeptEvents {
        self.core.look_at(|plan| plan.record.take())
    }

    /// Makes no runs until it is resumed. What is due meanwhile is skipped, and what waits for the
    /// end of a run, too; a run in flight goes on. `false`: it is not active.
    pub fn pause(&self) -> bool {
        self.core.act(|plan, now| plan.pause(now)).unwrap_or(false)
    }

    /// Makes it go on, by the times that it had: a fixed rate keeps its anchor. `false`: it is not
    /// paused.
    pub fn resume(&self) -> bool {
        self.core.act(|plan, now| plan.resume(now)).unwrap_or(false)
    }

    /// Makes a run now, beside those that are due, also if it is paused. If it overlaps another, the
    /// schedule's [rule](super::Overlap) for that holds.
    ///
    /// # Errors
    /// If the series has ended.
    pub fn trigger_now(&self) -> Result<Triggered, ScheduleError> {
        self.core.act(|plan, now| plan.run_now(now)).flatten().ok_or(ScheduleError::Ended)
    }

    /// Gives it another trigger, by which it begins anew: a fixed rate is counted from now. What
    /// waits for the end of a run is skipped. A paused one stays paused.
    ///
    /// # Errors
    /// If the series has ended.
    pub fn set_trigger(&self, trigger: impl Trigger) -> Result<(), ScheduleError> {
        let trigger: Box<dyn Trigger> = Box::new(trigger);
        match self.core.act(|plan, now| plan.change(trigger, now)) {
            Some(true) => Ok(()),
            _ => Err(ScheduleError::Ended),
        }
    }

    /// Ends the series. Runs that were made are left alone: see [`cancel_runs`](Self::cancel_runs).
    /// `false`: it had ended.
    pub fn cancel(&self) -> bool {
        self.core.act(|plan, now| plan.end(EndReason::Cancelled, now)).unwrap_or(false)
    }

    /// Cancels the runs in flight, as [`JobHandle::cancel`](crate::JobHandle::cancel) does, and
    /// returns how many there were. The series goes on.
    pub fn cancel_runs(&self) -> u64 {
        self.core.cancel_runs()
    }

    /// A guard that [cancels](Self::cancel) the series when it is dropped.
    pub fn cancel_on_drop(self) -> ScheduleGuard {
        ScheduleGuard { handle: self }
    }
}

impl fmt::Debug for ScheduleHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScheduleHandle")
            .field("name", &self.name())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// A schedule whose series ends when this is dropped: see [`ScheduleHandle::cancel_on_drop`].
#[derive(Debug)]
#[must_use = "dropping it ends the series"]
pub struct ScheduleGuard {
    handle: ScheduleHandle,
}

impl std::ops::Deref for ScheduleGuard {
    type Target = ScheduleHandle;
    fn deref(&self) -> &ScheduleHandle {
        &self.handle
    }
}

impl Drop for ScheduleGuard {
    fn drop(&mut self) {
        self.handle.cancel();
    }
}
