//! How fast a queue drains, and so how long it takes.
#![forbid(unsafe_code)]

use super::admit::Entrance;
use super::board::Board;
use crate::engine::sync::{Mutex, lock};
use crate::policy::admission::Ticket;
use crate::pool::Pool;
use std::time::Duration;

/// How long a look back is, at least, in nanoseconds.
const WINDOW: u64 = 100_000_000;

/// What was seen when somebody last asked.
pub(crate) struct Drain(Mutex<Seen>);

#[derive(Clone, Copy, Default)]
struct Seen {
    /// In nanoseconds since the pool was built.
    at: u64,
    /// How many had ended by then.
    ended: u64,
    /// How many ended in a nanosecond, before.
    rate: f64,
}

impl Drain {
    pub(super) fn new() -> Self {
        Drain(Mutex::new(Seen::default()))
    }

    /// How many end in a nanosecond: since the last look, and half as much what was seen before.
    fn rate(&self, now: u64, ended: u64) -> f64 {
        let mut seen = lock(&self.0);
        let time = now.saturating_sub(seen.at);
        if time == 0 {
            return seen.rate;
        }
        let since = ended.saturating_sub(seen.ended) as f64 / time as f64;
        let rate = if seen.rate == 0.0 { since } else { (seen.rate + 2.0 * since) / 3.0 };
        if time >= WINDOW {
            *seen = Seen { at: now, ended, rate };
        }
        rate
    }
}

impl Entrance {
    fn retry_after(&self, board: &Board) -> Option<Duration> {
        let counts = board.counts();
        // What is pushed out says nothing of how fast the others come to their turn.
        let ended = counts.finished() - counts.evicted;
        let rate = self.drain.rate(self.now(board), ended);
        let level = crate::Priority::Normal.level();
        if self.admission.has_room() && !self.is_overdue(board, level) {
            return Some(Duration::ZERO);
        }
        let stats = self.admission.stats();
        let depth = stats.queued.or(stats.in_flight).unwrap_or_else(|| counts.pending());
        let time = depth as f64 / rate / 1e9;
        (rate > 0.0).then(|| Duration::try_from_secs_f64(time).unwrap_or(Duration::MAX))
    }
}

impl Pool {
    /// How long somebody for whom there is no [room](crate::PoolBuilder::queue) should stay away:
    /// about as long as the queue takes to drain, as fast as it does just now. Zero if there is
    /// room for a job of which nothing is said, `None` if nothing drains.
    ///
    /// It is estimated from how many are queued and how many have ended since this was last asked,
    /// or the pool was built.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{Bound, Pool, QueueLimits, WhenFull};
    ///
    /// let limits = QueueLimits::new(Bound::jobs(100)).when_full(WhenFull::Reject);
    /// let pool = Pool::builder().workers(1).queue(limits).build()?;
    /// assert_eq!(pool.retry_after(), Some(Duration::ZERO));
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn retry_after(&self) -> Option<Duration> {
        let board = Board::of(self.registry());
        board.entrance().map_or(Some(Duration::ZERO), |entrance| entrance.retry_after(board))
    }

    /// How long until a job of this kind may begin, by its [rate](crate::QueueLimits::rate). `None`
    /// if there is none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{Pool, QueueLimits, Rate};
    ///
    /// let limits = QueueLimits::default().rate("mail", Rate::every(Duration::from_secs(60)));
    /// let pool = Pool::builder().workers(1).queue(limits).build()?;
    /// assert_eq!(pool.retry_after_of("mail"), Some(Duration::ZERO));
    /// pool.job("first").kind("mail").submit(|| ()).detach();
    /// assert!(pool.retry_after_of("mail").unwrap() > Duration::from_secs(50));
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn retry_after_of(&self, kind: &str) -> Option<Duration> {
        let board = Board::of(self.registry());
        let entrance = board.entrance()?;
        let kind = entrance.admission.kind(kind);
        let bucket = entrance.admission.rate(&Ticket { kind, ..Ticket::PLAIN })?;
        let now = entrance.now(board);
        Some(Duration::from_nanos(bucket.next_at(now) - now))
    }
}
