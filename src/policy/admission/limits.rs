//! What may be said of the limits of a pool.

use crate::Priority;
use std::fmt;
use std::time::Duration;

/// How many jobs may be there at once, or how heavy they may be together: as much as is said, and
/// never more.
///
/// ```
/// use windlass::Bound;
///
/// // 10,000 jobs that have not started, or 64 MiB in all that have not ended.
/// let bound = Bound::jobs(10_000).or_weight(64 << 20);
/// # let _ = windlass::Pool::builder().workers(1).queue(bound).build()?;
/// # Ok::<(), windlass::BuildError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Bound {
    pub(super) jobs: Option<u64>,
    pub(super) weight: Option<u64>,
    pub(super) in_flight: Option<u64>,
}

impl Bound {
    /// At most so many jobs that have not started: queued ones, and those that wait for other
    /// [jobs](crate::JobBuilder::after).
    pub fn jobs(count: usize) -> Self {
        Bound::default().or_jobs(count)
    }

    /// Jobs that have not ended weigh at most so much together, in whatever unit they are
    /// [weighed](crate::JobBuilder::weight): bytes, say. A job of which nothing is said weighs 1.
    ///
    /// One that is heavier than the bound counts as heavy as the bound: it gets in alone.
    pub fn weight(sum: u64) -> Self {
        Bound::default().or_weight(sum)
    }

    /// At most so many jobs that have not ended, those that run included.
    ///
    /// A job whose time is up while it runs counts until its closure has returned.
    pub fn in_flight(count: usize) -> Self {
        Bound::default().or_in_flight(count)
    }

    /// As [`jobs`](Self::jobs), as well.
    pub fn or_jobs(mut self, count: usize) -> Self {
        self.jobs = Some(count as u64);
        self
    }

    /// As [`weight`](Self::weight), as well.
    pub fn or_weight(mut self, sum: u64) -> Self {
        self.weight = Some(sum);
        self
    }

    /// As [`in_flight`](Self::in_flight), as well.
    pub fn or_in_flight(mut self, count: usize) -> Self {
        self.in_flight = Some(count as u64);
        self
    }

    /// The limits that are there.
    fn all(&self) -> impl Iterator<Item = u64> {
        [self.jobs, self.weight, self.in_flight].into_iter().flatten()
    }
}

/// What [`Pool::submit`](crate::Pool::submit) does with a job for which there is no room. The other
/// ways in say for themselves whether they wait.
///
/// A thread that works in the pool, like one that runs a job, neither waits for room there, as that
/// might never come, nor runs anything instead, which might need what its caller holds: unless it is
/// to be rejected, its job is taken in beyond the limit, and others wait until that is made good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// Waits until there is room, in the order of arrival.
    #[default]
    Block,
    /// As `Block`, for so long at most; then the job is rejected.
    Timeout(Duration),
    /// Rejects it: its closure is dropped, and the handle says [`Full`](crate::JobError::Full).
    Reject,
    /// Runs it on the calling thread before `submit` returns, or, if as many threads work in the pool
    /// as it is wide, on one of those while the caller waits.
    ///
    /// Not for a thread that must not be held up, like one that drives an async runtime.
    CallerRuns,
}

/// The limits of a pool, for [`PoolBuilder::queue`](crate::PoolBuilder::queue).
///
/// ```
/// use windlass::{Bound, Pool, Priority, QueueLimits, SubmitError, WhenFull};
///
/// let limits = QueueLimits::new(Bound::jobs(1_000))
///     .level(Priority::Background, Bound::jobs(100))
///     .kind("thumbnail", Bound::in_flight(1))
///     .when_full(WhenFull::Reject);
/// let pool = Pool::builder().workers(1).queue(limits).build()?;
///
/// let (send, receive) = std::sync::mpsc::channel();
/// let first = pool.job("cat").kind("thumbnail").submit(move || receive.recv().unwrap());
/// match pool.job("dog").kind("thumbnail").try_submit(|| 2) {
///     Err(SubmitError::Full(f)) => assert_eq!(f(), 2),
///     other => unreachable!("{other:?}"),
/// }
/// send.send(1).unwrap();
/// assert_eq!(first.wait().unwrap(), 1);
/// assert_eq!(pool.job("dog").kind("thumbnail").submit(|| 2).wait().unwrap(), 2);
/// # Ok::<(), windlass::BuildError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct QueueLimits {
    pub(super) total: Bound,
    pub(super) levels: [Bound; Priority::ALL.len()],
    pub(super) kinds: Vec<(String, Bound)>,
    pub(super) when_full: WhenFull,
}

impl QueueLimits {
    /// With a bound for all jobs of the pool together.
    pub fn new(total: Bound) -> Self {
        QueueLimits { total, ..QueueLimits::default() }
    }

    /// And one for the jobs of this priority: of those that are submitted with it, whatever is lent
    /// to them later.
    pub fn level(mut self, priority: Priority, bound: Bound) -> Self {
        self.levels[usize::from(priority.level())] = bound;
        self
    }

    /// And one for the jobs of this [kind](crate::JobBuilder::kind). Of two for one kind the last
    /// stays.
    pub fn kind(mut self, name: impl Into<String>, bound: Bound) -> Self {
        let name = name.into();
        self.kinds.retain(|(known, _)| *known != name);
        self.kinds.push((name, bound));
        self
    }

    /// What becomes of a job for which there is no room. The default is [`WhenFull::Block`].
    pub fn when_full(mut self, then: WhenFull) -> Self {
        self.when_full = then;
        self
    }

    /// What makes no sense in it.
    pub(crate) fn check(&self) -> Result<(), BadLimits> {
        let kinds = self.kinds.iter().map(|(_, bound)| bound);
        let mut bounds = [&self.total].into_iter().chain(&self.levels).chain(kinds);
        if bounds.any(|bound| bound.all().any(|limit| limit == 0)) {
            return Err(BadLimits::Zero);
        }
        if self.kinds.len() > MOST_KINDS {
            return Err(BadLimits::TooManyKinds);
        }
        Ok(())
    }
}

impl From<Bound> for QueueLimits {
    fn from(total: Bound) -> Self {
        QueueLimits::new(total)
    }
}

/// What a pool has let in, as far as there is a [bound](QueueLimits::new) for all of its jobs. Of one
/// moment only if nobody is at it.
///
/// ```
/// use windlass::{Bound, Pool};
///
/// let pool = Pool::builder().workers(1).queue(Bound::in_flight(10)).build()?;
/// let permit = pool.try_reserve().unwrap();
/// assert_eq!(pool.queue_stats().in_flight, Some(1));
/// drop(permit);
/// assert_eq!(pool.queue_stats().in_flight, Some(0));
/// # Ok::<(), windlass::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// Jobs that have not started, and [permits](crate::Permit). `None`: there is no bound.
    pub queued: Option<u64>,
    /// The weight of those that have not ended, and of permits.
    pub weight: Option<u64>,
    /// Jobs that have not ended, and permits.
    pub in_flight: Option<u64>,
    /// How many wait to be let in.
    pub waiting: usize,
}

/// They are looked for one by one.
const MOST_KINDS: usize = 1000;

/// Why limits make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadLimits {
    Zero,
    TooManyKinds,
}

impl fmt::Display for BadLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadLimits::Zero => f.write_str("a limit of nothing would let no job in"),
            BadLimits::TooManyKinds => write!(f, "limits for more than {MOST_KINDS} kinds"),
        }
    }
}
