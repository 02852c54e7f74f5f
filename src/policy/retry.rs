//! Goal: decide, when an attempt has failed, whether there is another one, and when.
//!
//! Rule: in this order: what the failure itself says, the number of attempts, the delay, the time
//! that all of it may take, the deadline, the budget. The first that says no is the reason.
//!
//! Cost: some ten nanoseconds a failed attempt; none for one that succeeds.
//!
//! Starvation bound: a job gives up after so many attempts, so much time, or at its deadline,
//! whichever comes first.
//!
//! Not promised: that an attempt begins as soon as the delay is over; it then waits for a worker.

#![forbid(unsafe_code)]

use super::backoff::{Backoff, Delays, Jitter};
use super::budget::RetryBudget;
use crate::time::after;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How often, and after what delays, a job that fails is tried again.
///
/// The default: three attempts, the first one counted; exponential backoff from 100 ms, doubled each
/// time up to 30 s; full jitter; panics are not retried.
///
/// While a job waits for its next attempt it holds no worker and no thread. That attempts may be made
/// more than once is for the closure to know: what it does should come out the same if it is
/// done twice.
///
/// It is data: kept, shared, read from a file (feature `serde`, but for a budget and a backoff of
/// one's own). What depends on the type of the error is said by [`Retry`](crate::Retry).
///
/// ```
/// use std::time::Duration;
/// use windlass::{Backoff, Jitter, Pool, RetryPolicy};
///
/// let policy = RetryPolicy::default()
///     .attempts(5)
///     .backoff(Backoff::exponential(Duration::from_millis(1), 2.0))
///     .max_delay(Duration::from_millis(20))
///     .jitter(Jitter::Equal);
/// let pool = Pool::new(2)?;
/// let flaky = pool.job("flaky").retry(policy).submit_fallible(|cx| match cx.attempt() {
///     1 | 2 => Err("not yet"),
///     nth => Ok(nth),
/// });
/// assert_eq!(flaky.wait().unwrap(), 3);
/// # Ok::<(), windlass::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[must_use]
pub struct RetryPolicy {
    attempts: u32,
    elapsed: Option<Duration>,
    backoff: Backoff,
    max_delay: Duration,
    jitter: Jitter,
    seed: Option<u64>,
    max_hint: Duration,
    retry_panics: bool,
    history: u32,
    #[cfg_attr(feature = "serde", serde(skip))]
    budget: Option<RetryBudget>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            attempts: 3,
            elapsed: None,
            backoff: Backoff::exponential(Duration::from_millis(100), 2.0),
            max_delay: Duration::from_secs(30),
            jitter: Jitter::Full,
            seed: None,
            max_hint: Duration::from_secs(300),
            retry_panics: false,
            history: 0,
            budget: None,
        }
    }
}

impl RetryPolicy {
    /// One attempt, and that is it.
    pub fn never() -> Self {
        RetryPolicy::default().attempts(1)
    }

    /// The same delay each time, without jitter; else the default.
    pub fn fixed(delay: Duration) -> Self {
        let policy = RetryPolicy::default().backoff(Backoff::fixed(delay)).jitter(Jitter::None);
        policy.max_delay(delay)
    }

    /// How many attempts there are at most, **the first one counted**: with 1 nothing is retried. 0
    /// counts as 1.
    pub fn attempts(mut self, most: u32) -> Self {
        self.attempts = most;
        self
    }

    /// How long all of it may take: no attempt is waited for that would begin so long after the
    /// first one began. By default there is no such limit.
    pub fn max_elapsed(mut self, limit: Duration) -> Self {
        self.elapsed = Some(limit);
        self
    }

    /// How the delays grow.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// The cap: no delay is longer, jitter included. [`Duration::MAX`] is none.
    pub fn max_delay(mut self, cap: Duration) -> Self {
        self.max_delay = cap;
        self
    }

    /// What chance does to the delays.
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Makes chance the same for each job and each run: for tests. By default no two jobs draw the
    /// same numbers.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The most that a failure may ask for by [`Transience::RetryAfter`]; what is more is cut to
    /// it. By default five minutes. Neither the cap nor the jitter touch what a failure asks for.
    pub fn max_hint(mut self, most: Duration) -> Self {
        self.max_hint = most;
        self
    }

    /// Whether an attempt that panics is tried again, with the same closure: whatever that has left
    /// half-done, the next attempt finds. By default it is not, and the job ends as
    /// [`Panicked`](crate::JobError::Panicked).
    pub fn retry_panics(mut self, yes: bool) -> Self {
        self.retry_panics = yes;
        self
    }

    /// How many of the last attempts are remembered: see [`Attempt`](crate::Attempt). By default none.
    pub fn history(mut self, most: u32) -> Self {
        self.history = most;
        self
    }

    /// Has the retries counted with those of all others who share the budget.
    pub fn budget(mut self, budget: &RetryBudget) -> Self {
        self.budget = Some(budget.clone());
        self
    }

    pub(crate) fn retries_panics(&self) -> bool {
        self.retry_panics
    }

    /// Whether it matters when the first attempt began.
    pub(crate) fn is_timed(&self) -> bool {
        self.elapsed.is_some()
    }

    pub(crate) fn num_remembered(&self) -> u32 {
        self.history
    }

    /// The delay before the `n`-th retry, from 1, as a job with such a seed would wait; without
    /// limits and hints. `None`: a backoff of one's own has ended by then.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::RetryPolicy;
    ///
    /// let policy = RetryPolicy::default();
    /// assert!(policy.delay(1, 7).unwrap() <= Duration::from_millis(100));
    /// assert!(policy.delay(u32::MAX, 7).unwrap() <= Duration::from_secs(30));
    /// assert_eq!(policy.delay(3, 7), policy.delay(3, 7));
    /// ```
    pub fn delay(&self, n: u32, seed: u64) -> Option<Duration> {
        let mut progress = Progress::default();
        // Only these two know what came before.
        if self.jitter == Jitter::Decorrelated || self.backoff.custom_delays().is_some() {
            for earlier in 1..n {
                self.advance(&mut progress, earlier, seed)?;
            }
        }
        self.advance(&mut progress, n.max(1), seed)
    }

    fn advance(&self, progress: &mut Progress, n: u32, seed: u64) -> Option<Duration> {
        let kept = match &mut progress.0 {
            Some(kept) => Some(kept),
            None => {
                let delays = self.backoff.custom_delays();
                let is_chained = self.jitter == Jitter::Decorrelated;
                (delays.is_some() || is_chained).then(|| {
                    progress.0.insert(Box::new(Kept { previous: None, delays, first: None }))
                })
            }
        };
        let (seed, cap) = (self.seed.unwrap_or(seed), self.max_delay);
        let Some(kept) = kept else {
            let cut = self.backoff.formula(n).min(cap);
            return Some(self.jitter.apply(cut, (cut, None), cap, (seed, n)));
        };
        let plain = match &mut kept.delays {
            Some(delays) => delays.next()?,
            None => self.backoff.formula(n),
        };
        let first = *kept.first.get_or_insert_with(|| match kept.delays {
            Some(_) => plain,
            None => self.backoff.formula(1),
        });
        let delay = self.jitter.apply(plain.min(cap), (first, kept.previous), cap, (seed, n));
        kept.previous = Some(delay);
        Some(delay)
    }

    /// A job is tried for the first time.
    pub(crate) fn begin(&self, now: Instant) {
        if let Some(budget) = &self.budget {
            budget.earn(now);
        }
    }

    /// What to do about an attempt that has failed. If it shall be retried, [`Self::spend`] has the
    /// last word.
    pub(crate) fn next(
        &self,
        progress: &mut Progress,
        failure: Transience,
        at: &Moment,
    ) -> Result<Duration, GiveUp> {
        if failure == Transience::Permanent {
            return Err(GiveUp::Permanent);
        }
        if at.attempt >= self.attempts {
            return Err(GiveUp::Attempts);
        }
        let delay = match failure {
            Transience::RetryAfter(asked) => asked.min(self.max_hint),
            _ => self.advance(progress, at.attempt, at.seed).ok_or(GiveUp::Backoff)?,
        };
        let next = after(at.now, delay);
        let elapsed = next.saturating_duration_since(at.begun);
        if self.elapsed.is_some_and(|limit| elapsed >= limit) {
            return Err(GiveUp::Elapsed);
        }
        if at.deadline.is_some_and(|deadline| next >= deadline) {
            return Err(GiveUp::Deadline);
        }
        Ok(delay)
    }

    /// Takes the retry out of the budget.
    pub(crate) fn spend(&self, now: Instant) -> Result<(), GiveUp> {
        match &self.budget {
            Some(budget) if !budget.spend(now) => Err(GiveUp::Budget),
            _ => Ok(()),
        }
    }
}

/// What a job keeps between its attempts: nothing, with most policies.
#[derive(Default)]
pub(crate) struct Progress(Option<Box<Kept>>);

struct Kept {
    /// The last delay.
    previous: Option<Duration>,
    /// What the backoff says of the first retry.
    first: Option<Duration>,
    /// Of a backoff of the user's own.
    delays: Option<Delays>,
}

/// When an attempt has failed.
pub(crate) struct Moment {
    /// Which one, from 1.
    pub(crate) attempt: u32,
    pub(crate) now: Instant,
    /// When the first one began.
    pub(crate) begun: Instant,
    pub(crate) deadline: Option<Instant>,
    /// Of the job, if the policy has none.
    pub(crate) seed: u64,
}

/// Different for each job of each run.
pub(crate) fn seed_of(job: u64) -> u64 {
    static KEYS: OnceLock<RandomState> = OnceLock::new();
    KEYS.get_or_init(RandomState::new).hash_one(job)
}

/// Whether it makes sense to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transience {
    /// It may work next time.
    Transient,
    /// It will fail again.
    Permanent,
    /// It may work next time, but not before so long: what a server says in `Retry-After`. Instead of
    /// the policy's own delay, cut to its [maximum](RetryPolicy::max_hint).
    RetryAfter(Duration),
}

/// Errors that know whether it makes sense to try again:
/// `Retry::default().classify(Retryable::transience)`.
///
/// ```
/// use std::time::Duration;
/// use windlass::{GiveUp, Pool, Retry, RetryError, Retryable, Transience};
///
/// #[derive(Debug)]
/// enum Fault { Busy(Duration), NotFound }
/// impl Retryable for Fault {
///     fn transience(&self) -> Transience {
///         match self {
///             Fault::Busy(time) => Transience::RetryAfter(*time),
///             Fault::NotFound => Transience::Permanent,
///         }
///     }
/// }
/// let pool = Pool::new(1)?;
/// let retry = Retry::default().classify(Retryable::transience);
/// let job = pool.job("get").retry(retry).submit_fallible(|cx| -> Result<(), _> {
///     if cx.attempt() == 1 { Err(Fault::Busy(Duration::from_millis(1))) } else { Err(Fault::NotFound) }
/// });
/// match job.wait() {
///     Err(RetryError::Failed(failed)) => {
///         assert_eq!((failed.attempts(), failed.reason()), (2, GiveUp::Permanent));
///     }
///     other => unreachable!("{other:?}"),
/// }
/// # Ok::<(), windlass::BuildError>(())
/// ```
pub trait Retryable {
    /// Whether it does.
    fn transience(&self) -> Transience;
}

/// Why a job that failed is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GiveUp {
    /// There were as many [attempts](RetryPolicy::attempts) as there may be.
    Attempts,
    /// The failure was said to be [permanent](Transience::Permanent).
    Permanent,
    /// The next attempt would have begun after the [time](RetryPolicy::max_elapsed) for all of them.
    Elapsed,
    /// The next attempt would have begun after the deadline of the job. It is not waited for.
    Deadline,
    /// The [budget](RetryBudget) had nothing left.
    Budget,
    /// The iterator of a [custom backoff](Backoff::custom) has ended.
    Backoff,
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GiveUp::Attempts => "no attempts left",
            GiveUp::Permanent => "permanent",
            GiveUp::Elapsed => "no time left",
            GiveUp::Deadline => "the deadline is too near",
            GiveUp::Budget => "no retry budget left",
            GiveUp::Backoff => "no delays left",
        })
    }
}
