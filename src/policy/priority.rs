//! Goal: say which jobs come first.
//!
//! Rule: eight levels, one lane each. A worker that has nothing to do takes the oldest job it can
//! find of the highest level there is.
//!
//! Cost: none, when all jobs have the same level.
//!
//! Starvation bound: see [`Priority`].
//!
//! Not promised: an order within a level across workers; that a running job is interrupted.

use std::fmt;

/// Which jobs come first.
///
/// There are eight levels; most programs need `High`, `Normal` and `Background`.
///
/// When a worker is free it takes a job of the highest level that has any. So a job waits for at
/// most one running job a worker, and then for jobs of its own level or above, but for the turns of
/// the lower levels: each 61st job that a worker starts is of a lower level, of all those that have
/// jobs in turn, and a level that had no turn for 100 ms times its distance from the highest gets
/// one. That bounds how long the lowest waits: one of its jobs is started among 61 · 7 at the
/// latest.
///
/// What a job forks ([`join`](crate::join), [`scope`](crate::scope()), the parallel loops) has the
/// level of that job. What is called from outside the pool counts as `Normal`.
///
/// ```
/// use windlass::{Pool, Priority};
///
/// let pool = Pool::new(1)?;
/// let handle = pool.job("thumbnail").priority(Priority::Background).submit(|| 6 * 7);
/// assert_eq!(handle.wait().unwrap(), 42);
/// assert!(Priority::High < Priority::Normal, "what comes first is less");
/// # Ok::<(), windlass::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum Priority {
    /// Level 0: before everything else.
    Critical = 0,
    /// Level 1: somebody waits for it. Reserved workers
    /// ([`PoolBuilder::reserved_workers`](crate::PoolBuilder::reserved_workers)) serve this level
    /// and the one above.
    High = 1,
    /// Level 2.
    AboveNormal = 2,
    /// Level 3: what a job has if nothing else is said.
    #[default]
    Normal = 3,
    /// Level 4.
    BelowNormal = 4,
    /// Level 5.
    Low = 5,
    /// Level 6: nobody waits for it.
    Background = 6,
    /// Level 7: after everything else.
    Idle = 7,
}

impl Priority {
    /// All levels, the highest first.
    pub const ALL: [Priority; 8] = [
        Priority::Critical,
        Priority::High,
        Priority::AboveNormal,
        Priority::Normal,
        Priority::BelowNormal,
        Priority::Low,
        Priority::Background,
        Priority::Idle,
    ];

    /// The level as a number: 0 is the highest, 7 the lowest.
    #[inline]
    pub const fn level(self) -> u8 {
        self as u8
    }

    /// The priority of a level, `None` above 7.
    ///
    /// ```
    /// use windlass::Priority;
    /// assert_eq!(Priority::from_level(3), Some(Priority::Normal));
    /// assert_eq!(Priority::from_level(8), None);
    /// ```
    pub fn from_level(level: u8) -> Option<Priority> {
        Self::ALL.get(usize::from(level)).copied()
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Priority::Critical => "critical",
            Priority::High => "high",
            Priority::AboveNormal => "above normal",
            Priority::Normal => "normal",
            Priority::BelowNormal => "below normal",
            Priority::Low => "low",
            Priority::Background => "background",
            Priority::Idle => "idle",
        })
    }
}
