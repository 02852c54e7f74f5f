//! Goal: say how long to wait before something is tried again.
//!
//! Rule: the delay before the n-th retry is that of the [`Backoff`], then cut to the cap, then
//! shortened by the [`Jitter`]. All of it is a function of the policy, of a seed and of n, but for
//! decorrelated jitter and a backoff of one's own, which also know what came before.
//!
//! Cost: some ten nanoseconds a retry; nothing is kept but what those two know.
//!
//! Starvation bound: no delay is longer than the cap, whatever the jitter.
//!
//! Not promised: the same random numbers for the same seed in another version of this crate.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How the delays between attempts grow.
///
/// Nothing overflows: what is too long is [`Duration::MAX`], and then the policy's cap. Each sort but
/// [`custom`](Backoff::custom) never becomes shorter from one retry to the next, and is zero only if
/// the first delay is.
///
/// ```
/// use std::time::Duration;
/// use windlass::Backoff;
///
/// let ms = Duration::from_millis;
/// let first_five = |backoff: Backoff| (1..=5).filter_map(|n| backoff.delay(n)).collect::<Vec<_>>();
/// assert_eq!(first_five(Backoff::fixed(ms(10))), [10, 10, 10, 10, 10].map(ms));
/// assert_eq!(first_five(Backoff::linear(ms(10), ms(5))), [10, 15, 20, 25, 30].map(ms));
/// assert_eq!(first_five(Backoff::exponential(ms(10), 2.0)), [10, 20, 40, 80, 160].map(ms));
/// assert_eq!(first_five(Backoff::fibonacci(ms(10))), [10, 10, 20, 30, 50].map(ms));
/// let own = move || [ms(1), ms(7)].into_iter();
/// assert_eq!(first_five(Backoff::custom(own)), [1, 7].map(ms));
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Backoff(Kind);

#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
enum Kind {
    Fixed(Duration),
    Linear {
        first: Duration,
        step: Duration,
    },
    Exponential {
        first: Duration,
        factor: f64,
    },
    Fibonacci {
        first: Duration,
    },
    #[cfg_attr(feature = "serde", serde(skip))]
    Custom(Factory),
}

/// The delays of one job, of a backoff of one's own.
pub(crate) type Delays = Box<dyn Iterator<Item = Duration> + Send>;
type Factory = Arc<dyn Fn() -> Delays + Send + Sync>;

/// A factor that differs less from 1 counts as 1: so the powers grow by more than they are rounded.
const LEAST_GROWTH: f64 = 1e-6;

impl Backoff {
    /// Always the same delay.
    pub fn fixed(delay: Duration) -> Self {
        Backoff(Kind::Fixed(delay))
    }

    /// `first`, and `step` more each time.
    pub fn linear(first: Duration, step: Duration) -> Self {
        Backoff(Kind::Linear { first, step })
    }

    /// `first`, and `factor` times as long each time. A factor below 1, or one that is no number,
    /// counts as 1.
    pub fn exponential(first: Duration, factor: f64) -> Self {
        Backoff(Kind::Exponential { first, factor })
    }

    /// `first`, `first`, and then each as long as the two before together.
    pub fn fibonacci(first: Duration) -> Self {
        Backoff(Kind::Fibonacci { first })
    }

    /// What an iterator says, which `delays` makes for each job when that fails for the first time.
    /// When the iterator ends, the job is not tried again ([`GiveUp::Backoff`](crate::GiveUp)).
    ///
    /// The iterator comes from the user, or from another crate. It is kept with the job, and is
    /// called by the worker that has run the attempt. If it panics, the job panics.
    pub fn custom<I>(delays: impl Fn() -> I + Send + Sync + 'static) -> Self
    where
        I: Iterator<Item = Duration> + Send + 'static,
    {
        Backoff(Kind::Custom(Arc::new(move || Box::new(delays()))))
    }

    /// The delay before the `n`-th retry, from 1, without cap and jitter. `None`: there is no such
    /// retry, as an iterator has ended.
    pub fn delay(&self, n: u32) -> Option<Duration> {
        match &self.0 {
            Kind::Custom(factory) => factory().nth(n.max(1) as usize - 1),
            _ => Some(self.formula(n)),
        }
    }

    /// A new iterator of a backoff of one's own; `None`: it is none of those.
    pub(super) fn custom_delays(&self) -> Option<Delays> {
        match &self.0 {
            Kind::Custom(factory) => Some(factory()),
            _ => None,
        }
    }

    pub(super) fn formula(&self, n: u32) -> Duration {
        // How often it has grown.
        let grown = n.max(1) - 1;
        match self.0 {
            Kind::Fixed(delay) => delay,
            Kind::Linear { first, step } => first.saturating_add(step.saturating_mul(grown)),
            Kind::Exponential { first, factor } => exponential(first, factor, grown),
            Kind::Fibonacci { first } => fibonacci(first, grown),
            Kind::Custom(_) => Duration::ZERO,
        }
    }
}

fn exponential(first: Duration, factor: f64, grown: u32) -> Duration {
    let grows = factor >= 1.0 + LEAST_GROWTH; // not if it is no number
    if grown == 0 || first.is_zero() || !grows {
        return first;
    }
    let seconds = first.as_secs_f64() * factor.powf(f64::from(grown));
    // Infinity is too long as well.
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).max(first)
}

fn fibonacci(first: Duration, grown: u32) -> Duration {
    if first.is_zero() {
        return first;
    }
    let (mut now, mut next) = (first, first);
    for _ in 0..grown {
        if now == Duration::MAX {
            break;
        }
        (now, next) = (next, now.saturating_add(next));
    }
    now
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Fixed(delay) => f.debug_tuple("Fixed").field(delay).finish(),
            Kind::Linear { first, step } => {
                f.debug_struct("Linear").field("first", first).field("step", step).finish()
            }
            Kind::Exponential { first, factor } => {
                f.debug_struct("Exponential").field("first", first).field("factor", factor).finish()
            }
            Kind::Fibonacci { first } => f.debug_struct("Fibonacci").field("first", first).finish(),
            Kind::Custom(_) => f.debug_struct("Custom").finish_non_exhaustive(),
        }
    }
}

/// Two of one's own are equal if one is a clone of the other.
impl PartialEq for Backoff {
    fn eq(&self, other: &Backoff) -> bool {
        match (&self.0, &other.0) {
            (Kind::Fixed(a), Kind::Fixed(b)) => a == b,
            (Kind::Linear { first: a, step: x }, Kind::Linear { first: b, step: y }) => {
                (a, x) == (b, y)
            }
            (
                Kind::Exponential { first: a, factor: x },
                Kind::Exponential { first: b, factor: y },
            ) => (a, x) == (b, y),
            (Kind::Fibonacci { first: a }, Kind::Fibonacci { first: b }) => a == b,
            (Kind::Custom(a), Kind::Custom(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// What chance does to the delays, so that those who have failed together do not come back together.
///
/// Jitter only ever shortens: the policy's cap stays one. A delay that is not zero does not become
/// zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Jitter {
    /// None.
    None,
    /// Anything up to the delay: spreads best.
    #[default]
    Full,
    /// At least half of the delay.
    Equal,
    /// Between the backoff's first delay and three times the one before; the backoff says nothing
    /// else then.
    Decorrelated,
}

/// Some whole number below 2^64, a function of the seed and of `n`. SplitMix64.
fn random(seed: u64, n: u32) -> u64 {
    let mut z = seed.wrapping_add(u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Evenly one of `low + 1 ns ..= high`; `high` if that is none.
fn between(low: Duration, high: Duration, random: u64) -> Duration {
    let nanos = high.saturating_sub(low).as_nanos();
    let (upper, lower) = (nanos >> 64, nanos & u128::from(u64::MAX));
    // nanos · random / 2^64, less than nanos, which is less than 2^94.
    let less = upper * u128::from(random) + ((lower * u128::from(random)) >> 64);
    let (seconds, rest) = (less / 1_000_000_000, less % 1_000_000_000);
    // A part of a duration, so both fit.
    high - Duration::new(seconds as u64, rest as u32).min(high)
}

impl Jitter {
    /// The delay before the `n`-th retry. `cut`: what the backoff says, cut to the cap; `first`: what
    /// it says of the first retry; `previous`: the delay before the last one.
    pub(super) fn apply(
        self,
        cut: Duration,
        (first, previous): (Duration, Option<Duration>),
        cap: Duration,
        (seed, n): (u64, u32),
    ) -> Duration {
        let random = random(seed, n);
        match self {
            Jitter::None => cut,
            Jitter::Full => between(Duration::ZERO, cut, random),
            Jitter::Equal => between(cut / 2, cut, random),
            Jitter::Decorrelated => {
                let low = first.min(cap);
                let high = previous.unwrap_or(low).saturating_mul(3).clamp(low, cap);
                between(low, high, random)
            }
        }
    }
}
