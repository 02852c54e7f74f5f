//! How many jobs of a kind may begin in a time: a bucket of tokens that fills up evenly.
//!
//! It is kept as one number, the time at which the bucket will be full again, so nothing is lost by
//! looking often. By looking seldom nothing is lost as long as the bucket does not overflow: who comes
//! up to one interval late for a full bucket has that time credited to the next.

use crate::engine::sync::{AtomicU64, Ordering};
use std::time::Duration;

/// So many parts has a nanosecond: at a million a second an interval is then exact to 1/16,000.
const PARTS: f64 = 16.0;

/// How many jobs of a kind may begin in a time, for [`QueueLimits::rate`](crate::QueueLimits::rate).
///
/// In any time `t` no more begin than the rate times `t`, the [burst](Self::burst), and one. If there
/// are always some that wait, it is the rate itself, in the long run exactly.
///
/// ```
/// use windlass::{Pool, QueueLimits, Rate, SubmitError};
///
/// let limits = QueueLimits::default().rate("mail", Rate::per_second(0.001).burst(2).or_refuse());
/// let pool = Pool::builder().workers(1).queue(limits).build()?;
/// let send = || pool.job("mail").kind("mail").try_submit(|| ());
/// assert!(send().is_ok() && send().is_ok());
/// assert!(matches!(send(), Err(SubmitError::RateLimited(_))));
/// # Ok::<(), windlass::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Rate {
    per_second: f64,
    burst: Option<u32>,
    refuses: bool,
}

impl Rate {
    /// So many a second: from one in 30 years to ten million.
    pub fn per_second(count: f64) -> Self {
        Rate { per_second: count, burst: None, refuses: false }
    }

    /// One in each such time.
    pub fn every(interval: Duration) -> Self {
        Rate::per_second(1.0 / interval.as_secs_f64())
    }

    /// So many may begin at once after a rest. The default is what the rate makes in 10 ms, at least
    /// 1: so little is lost when a thread or a timer comes late.
    pub fn burst(mut self, count: u32) -> Self {
        self.burst = Some(count);
        self
    }

    /// Refuses what comes too early, whatever [else](crate::WhenFull) the pool does. If this is not
    /// said, such a job is taken in and waits for its time, without a worker.
    pub fn or_refuse(mut self) -> Self {
        self.refuses = true;
        self
    }

    pub(super) fn is_sound(&self) -> bool {
        (1e-9..=1e7).contains(&self.per_second) && self.burst != Some(0)
    }
}

/// A [`Rate`] at work. Times are in nanoseconds since some moment.
pub(crate) struct Bucket {
    /// Between two, in parts.
    interval: u64,
    /// What a burst is worth, without its first.
    burst: u64,
    pub(crate) refuses: bool,
    /// When it will be full again, in parts.
    full_at: AtomicU64,
}

impl Bucket {
    pub(crate) fn new(rate: &Rate) -> Self {
        let interval = (1e9 * PARTS / rate.per_second).round() as u64;
        let burst = rate.burst.unwrap_or((rate.per_second / 100.0).ceil() as u32).max(1);
        Bucket {
            interval,
            burst: interval.saturating_mul(u64::from(burst - 1)),
            refuses: rate.refuses,
            full_at: AtomicU64::new(0),
        }
    }

    /// Takes one token now, if there is one.
    pub(crate) fn take(&self, now: u64) -> bool {
        self.take_by(now, now)
    }

    /// Takes the next token, and says when it is there.
    pub(crate) fn take_next(&self, now: u64) -> u64 {
        let mut at = 0;
        let update = |full_at: u64| {
            let (begins, next) = self.next(full_at, now);
            at = begins;
            Some(next)
        };
        // Relaxed, here and below: nothing but the number.
        let _ = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
        at
    }

    /// When there will be a token.
    pub(crate) fn next_at(&self, now: u64) -> u64 {
        self.next(self.full_at.load(Ordering::Relaxed), now).0
    }

    fn take_by(&self, now: u64, latest: u64) -> bool {
        let update = |full_at: u64| {
            let (begins, next) = self.next(full_at, now);
            (begins <= latest).then_some(next)
        };
        self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update).is_ok()
    }

    /// When the next token is there, in nanoseconds, and when the bucket is full again after that.
    fn next(&self, full_at: u64, now: u64) -> (u64, u64) {
        let parts = now.saturating_mul(PARTS as u64);
        let begins = parts.max(full_at.saturating_sub(self.burst));
        let is_credited = begins.saturating_sub(full_at) < self.interval;
        let from = if is_credited { full_at } else { begins };
        (begins.div_ceil(PARTS as u64), from.saturating_add(self.interval))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// From 1/s to 1M/s, looked at every so often: within 1 % of the rate.
    #[test]
    fn the_rate_is_exact_to_one_percent_however_often_it_is_polled() {
        for per_second in [1, 3, 7, 60, 999, 1_000, 12_345, 333_333, 1_000_000_u64] {
            for poll in [per_second * 7, per_second * 100 / 99, 100_000_000] {
                let bucket = Bucket::new(&Rate::per_second(per_second as f64));
                let (mut now, mut taken) = (SECOND, 0);
                // Long enough for a thousand, and a hundred seconds at least for the slow ones.
                let polls = 1_000 * poll.div_ceil(per_second).clamp(1, 8);
                let step = (SECOND / poll.min(SECOND)).max(1);
                let from = now;
                for _ in 0..polls {
                    now += step;
                    while bucket.take(now) {
                        taken += 1;
                    }
                }
                let seconds = (now - from) as f64 / 1e9;
                let most = per_second as f64 * seconds;
                let burst = (per_second as f64 / 100.0).max(1.0);
                assert!(f64::from(taken) <= most * 1.01 + burst, "{per_second}/s, {poll}: {taken}");
                assert!(f64::from(taken) >= most * 0.99 - 1.0, "{per_second}/s, {poll}: {taken}");
            }
        }
    }

    /// Polled each 10 ms, as a tick would: the default burst is what comes together in that time.
    #[test]
    fn a_slow_poll_loses_nothing() {
        for per_second in [1, 99, 999, 1_000, 1_000_000_u64] {
            let bucket = Bucket::new(&Rate::per_second(per_second as f64));
            let (mut now, mut taken) = (SECOND, 0_u64);
            for _ in 0..10_000 {
                now += SECOND / 100;
                while bucket.take(now) {
                    taken += 1;
                }
            }
            let most = per_second * 100;
            assert!(taken.abs_diff(most) <= most / 100 + 1, "{per_second}/s: {taken} of {most}");
        }
    }

    #[test]
    fn those_that_wait_begin_evenly() {
        for per_second in [1, 3, 1_000, 1_000_000_u64] {
            let bucket = Bucket::new(&Rate::per_second(per_second as f64).burst(1));
            let times: Vec<u64> = (0..1_000).map(|_| bucket.take_next(SECOND)).collect();
            assert_eq!(times[0], SECOND);
            for (n, at) in times.iter().enumerate() {
                let ideal = SECOND + n as u64 * SECOND / per_second;
                assert!(at.abs_diff(ideal) <= 1 + ideal / 1_000, "{per_second}/s, {n}: {at}");
            }
            assert!(!bucket.take(SECOND));
            assert_eq!(bucket.next_at(SECOND), bucket.next_at(0));
        }
    }

    #[test]
    fn a_burst_comes_at_once_and_is_paid_for() {
        let bucket = Bucket::new(&Rate::per_second(10.0).burst(5));
        assert_eq!((0..10).filter(|_| bucket.take(SECOND)).count(), 5);
        assert!(!bucket.take(SECOND + SECOND / 10 - 1));
        assert!(bucket.take(SECOND + SECOND / 10));
        // A rest of a year is worth no more than a burst.
        assert_eq!((0..10).filter(|_| bucket.take(SECOND * 31_536_000)).count(), 5);
    }
}
