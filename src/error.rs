//! Typed errors.

use std::fmt;

/// Why a pool could not be built.
///
/// Threads that had already been started are stopped and joined before the error is returned.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A pool of zero workers was asked for.
    ZeroWorkers,
    /// More workers were asked for than the pool's counters hold.
    TooManyWorkers {
        /// How many were asked for.
        asked: usize,
        /// The most that a pool can have.
        max: usize,
    },
    /// The stack of the workers would be too small to run anything.
    StackTooSmall {
        /// The size that was asked for, in bytes.
        asked: usize,
        /// The smallest size, in bytes.
        min: usize,
    },
    /// A CPU was named to pin a worker to, and the process may not run on it.
    CpuNotAllowed {
        /// The number of the CPU.
        cpu: usize,
    },
    /// A list of CPUs was given whose length is not the number of workers.
    CpuCount {
        /// How many CPUs were named.
        cpus: usize,
        /// How many workers the pool has.
        workers: usize,
    },
    /// The environment variable `WINDLASS_NUM_THREADS` does not hold a number of workers.
    BadEnvironment {
        /// What it holds.
        value: String,
    },
    /// The [limits of the queue](crate::PoolBuilder::queue) make no sense.
    BadLimits {
        /// Why.
        reason: String,
    },
    /// The operating system refused a thread.
    Spawn {
        /// Which worker it was for.
        worker: usize,
        /// What the operating system said.
        source: std::io::Error,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::ZeroWorkers => f.write_str("a pool needs at least one worker"),
            BuildError::TooManyWorkers { asked, max } => {
                write!(f, "{asked} workers were asked for, a pool has at most {max}")
            }
            BuildError::StackTooSmall { asked, min } => {
                write!(f, "a worker's stack of {asked} bytes is too small, it needs {min}")
            }
            BuildError::CpuNotAllowed { cpu } => {
                write!(f, "CPU {cpu} is not one that this process may run on")
            }
            BuildError::CpuCount { cpus, workers } => {
                write!(f, "{cpus} CPUs were named for {workers} workers")
            }
            BuildError::BadEnvironment { value } => {
                write!(f, "WINDLASS_NUM_THREADS is {value:?}, not a number of workers")
            }
            BuildError::BadLimits { reason } => write!(f, "the limits of the queue: {reason}"),
            BuildError::Spawn { worker, source } => {
                write!(f, "the thread of worker {worker} could not be started: {source}")
            }
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BuildError::Spawn { source, .. } => Some(source),
            _ => None,
        }
    }
}
