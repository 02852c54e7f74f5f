//! What may be said of a schedule beside its trigger.

use crate::time::when::When;
use std::time::Duration;

/// What becomes of a run that is due while the one before has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// It waits for that end, and what is due meanwhile is skipped.
    QueueOne,
    /// So many runs go on side by side, at least one; what is more is skipped.
    Allow(u32),
    /// The one before is asked to stop ([`JobRef::cancel`](crate::JobRef::cancel)), and the new one
    /// begins when that has ended. Of several that wait, the last one stays.
    CancelPrevious,
}

/// What becomes of runs that were due and have been missed: the machine was suspended, the wall clock
/// was set ahead, or the timer was late.
///
/// A run that is late and has no other behind it is run late, unless its
/// [grace](super::ScheduleBuilder::grace) has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Misfire {
    /// One run is made for all of them, at once.
    #[default]
    RunLate,
    /// Those that are more than the [grace](super::ScheduleBuilder::grace) late, by default a
    /// second, are not made up for; of the others the last one is run.
    Skip,
    /// Each of them is run, one after the other, or as many at once as [`Overlap::Allow`] says.
    Burst,
}

/// What a failed run means for the series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnError {
    /// Nothing.
    #[default]
    Continue,
    /// It is paused, until somebody resumes it.
    Pause,
    /// It ends.
    Stop,
}

/// What a start in the past means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Past {
    /// [`ScheduleError::InPast`](super::ScheduleError::InPast).
    #[default]
    Error,
    /// That it is run at once.
    RunAtOnce,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) overlap: Overlap,
    pub(super) misfire: Misfire,
    pub(super) grace: Option<Duration>,
    pub(super) on_error: OnError,
    pub(super) jitter: Duration,
    pub(super) jitter_seed: u64,
    pub(super) max_runs: u64,
    pub(super) until: Option<When>,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            overlap: Overlap::default(),
            misfire: Misfire::default(),
            grace: None,
            on_error: OnError::default(),
            jitter: Duration::ZERO,
            jitter_seed: 0,
            max_runs: u64::MAX,
            until: None,
        }
    }
}

/// How late a run may be by [`Misfire::Skip`].
const SKIP_GRACE: Duration = Duration::from_secs(1);

impl Rules {
    /// How many runs may be in flight.
    pub(super) fn width(&self) -> usize {
        match self.overlap {
            Overlap::Allow(n) => n.max(1) as usize,
            _ => 1,
        }
    }

    pub(super) fn grace(&self) -> Duration {
        let default = if self.misfire == Misfire::Skip { SKIP_GRACE } else { Duration::MAX };
        self.grace.unwrap_or(default)
    }

    /// How much later than its time the `n`th run is, less than the jitter and than `gap`.
    pub(super) fn jitter_of(&self, n: u64, gap: Option<Duration>) -> Duration {
        let most = gap.map_or(self.jitter, |gap| self.jitter.min(gap));
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        if most == 0 {
            return Duration::ZERO;
        }
        let random = mix(self.jitter_seed ^ mix(n));
        Duration::from_nanos(((u128::from(random) * u128::from(most)) >> 64) as u64)
    }
}

/// The output function of SplitMix64: every bit of the input changes half of the output's.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
