//! What may be said of the limits of a pool.

use super::marks::{Asked, QueueEvent};
use super::rate::Rate;
use crate::Priority;
use std::fmt;
use std::sync::Arc;
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
    /// Makes room: pushes out those that have been queued longest, as far as they are in the way.
    /// Their closures are dropped, and their handles say [`Evicted`](crate::JobError::Evicted). If
    /// none is queued there, the new job is rejected.
    DropOldest,
    /// As `DropOldest`, but those that were queued last.
    DropNewest,
    /// As `DropOldest`, but of those whose priority is lower than the new job's: the lowest first, and
    /// of these the newest.
    DropLowest,
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
    pub(super) kinds: Vec<(String, KindLimits)>,
    pub(super) when_full: WhenFull,
    pub(super) wait: Option<Duration>,
    pub(super) marks: Option<Asked>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct KindLimits {
    pub(super) bound: Bound,
    pub(super) rate: Option<Rate>,
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
        self.of_kind(name.into()).bound = bound;
        self
    }

    /// How many jobs of this [kind](crate::JobBuilder::kind) may begin in a time.
    ///
    /// A job that comes too early is taken in, if there is room, and waits for its time without a
    /// worker; or it is refused, if the rate [says so](Rate::or_refuse). Of two for one kind the last
    /// stays. Time is that of the pool's [clock](crate::PoolBuilder::clock). Who cancels a job does
    /// not get its turn back.
    pub fn rate(mut self, name: impl Into<String>, rate: Rate) -> Self {
        self.of_kind(name.into()).rate = Some(rate);
        self
    }

    fn of_kind(&mut self, name: String) -> &mut KindLimits {
        let at = self.kinds.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            self.kinds.push((name, KindLimits::default()));
            self.kinds.len() - 1
        });
        &mut self.kinds[at].1
    }

    /// Takes nothing in while the first in the queue has waited longer than so, by the pool's
    /// [clock](crate::PoolBuilder::clock): a queue is too long when it takes too long.
    ///
    /// For a job those count that wait for a worker on its own level or above, but for such as had to
    /// wait for something else first, and such as a worker submitted beyond the limit. Nobody waits
    /// for this to change: what would wait for room is refused as well. With
    /// [`WhenFull::DropOldest`] those are pushed out that have waited too long.
    ///
    /// The pool then knows its queue by the order of arrival, which costs a job some 50 ns.
    pub fn or_wait(mut self, limit: Duration) -> Self {
        self.wait = Some(limit);
        self
    }

    /// Tells when so many jobs as `high` are queued, and when it are no more than `low` again; one
    /// after the other, beginning with the first. Needs a bound of [`jobs`](Bound::jobs) for the
    /// pool, as its part of which the queue is measured.
    ///
    /// `tell` is called by the thread that brought it about, so it should be short. It may use the
    /// pool; if it panics, nobody else notices.
    ///
    /// ```
    /// use windlass::{Bound, Pool, QueueEvent, QueueLimits};
    ///
    /// let (send, receive) = std::sync::mpsc::channel();
    /// let limits = QueueLimits::new(Bound::jobs(10)).marks(2, 8, move |event| {
    ///     let _ = send.send(event);
    /// });
    /// let pool = Pool::builder().workers(1).queue(limits).build()?;
    /// let mut permits: Vec<_> = (0..9).map(|_| pool.try_reserve().unwrap()).collect();
    /// permits.truncate(2);
    /// assert_eq!(receive.recv().unwrap(), QueueEvent::High(8));
    /// assert_eq!(receive.recv().unwrap(), QueueEvent::Low(2));
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn marks(
        mut self,
        low: usize,
        high: usize,
        tell: impl Fn(QueueEvent) + Send + Sync + 'static,
    ) -> Self {
        let tell = Arc::new(tell);
        self.marks = Some(Asked { low: low as u64, high: high as u64, tell });
        self
    }

    /// What becomes of a job for which there is no room. The default is [`WhenFull::Block`].
    pub fn when_full(mut self, then: WhenFull) -> Self {
        self.when_full = then;
        self
    }

    /// What makes no sense in it.
    pub(crate) fn check(&self) -> Result<(), BadLimits> {
        let kinds = self.kinds.iter().map(|(_, kind)| &kind.bound);
        let mut bounds = [&self.total].into_iter().chain(&self.levels).chain(kinds);
        if bounds.any(|bound| bound.all().any(|limit| limit == 0)) {
            return Err(BadLimits::Zero);
        }
        if self.kinds.len() > MOST_KINDS {
            return Err(BadLimits::TooManyKinds);
        }
        if self.kinds.iter().any(|(_, kind)| kind.rate.is_some_and(|rate| !rate.is_sound())) {
            return Err(BadLimits::Rate);
        }
        let fits = |marks: &Asked| {
            marks.low < marks.high && self.total.jobs.is_some_and(|jobs| marks.high <= jobs)
        };
        if self.marks.as_ref().is_some_and(|marks| !fits(marks)) {
            return Err(BadLimits::Marks);
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
    /// Whether the queue is long, by the [marks](QueueLimits::marks).
    pub is_high: bool,
    /// How many were refused since the pool was built.
    pub refused: u64,
    /// How many were taken in beyond the limit, from inside of the pool.
    pub beyond: u64,
}

/// They are looked for one by one.
const MOST_KINDS: usize = 1000;

/// Why limits make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadLimits {
    Zero,
    TooManyKinds,
    Rate,
    Marks,
}

impl fmt::Display for BadLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadLimits::Zero => f.write_str("a limit of nothing would let no job in"),
            BadLimits::Rate => f.write_str("a rate is from 1e-9 to 1e7 a second, its burst from 1"),
            BadLimits::Marks => f.write_str("the low mark is below the high one, within the bound"),
            BadLimits::TooManyKinds => write!(f, "limits for more than {MOST_KINDS} kinds"),
        }
    }
}
