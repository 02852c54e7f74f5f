//! How scenarios are explored by shuttle.

use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler};
use shuttle::{Config, Runner};
use std::panic::resume_unwind;
use windlass::{Pinning, Pool, PoolBuilder};

/// Runs the scenario under `iterations` schedules, or as many as the environment says.
pub(crate) fn explore_some(iterations: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let asked = std::env::var("WINDLASS_SHUTTLE_ITERATIONS");
    let iterations = asked.map_or(iterations, |n| n.parse().unwrap());
    let scenario = std::sync::Arc::new(scenario);
    let run = || {
        let scenario = std::sync::Arc::clone(&scenario);
        move || scenario()
    };
    let config = || {
        let mut config = Config::new();
        config.stack_size = 1 << 18;
        config.silence_warnings = true;
        config
    };
    if let Ok(schedule) = std::env::var("WINDLASS_SHUTTLE_REPLAY") {
        let replay = ReplayScheduler::new_from_encoded(&schedule);
        Runner::new(replay, config()).run(run());
        return;
    }
    Runner::new(RandomScheduler::new(iterations / 2), config()).run(run());
    Runner::new(PctScheduler::new(2, iterations / 4), config()).run(run());
    Runner::new(PctScheduler::new(3, iterations / 4), config()).run(run());
}

/// Pinning would pin the one real thread.
pub(crate) fn builder(workers: usize) -> PoolBuilder {
    Pool::builder().workers(workers).pinning(Pinning::Never)
}

pub(crate) fn pool(workers: usize) -> Pool {
    builder(workers).build().unwrap()
}

/// Not `panic!`: shuttle takes each call of the panic hook for a failure.
pub(crate) fn throw() -> usize {
    resume_unwind(Box::new("thrown"))
}
