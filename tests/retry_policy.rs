//! The decisions of retries: delays that never overflow and never exceed their cap, chance that is the
//! same for the same seed, budgets.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use proptest::prelude::*;
use std::time::Duration;
use windlass::{
    Backoff, Clock, GiveUp, Jitter, JobError, Pool, Retry, RetryBudget, RetryError, RetryPolicy,
};

const SECOND: Duration = Duration::from_secs(1);
const JITTERS: [Jitter; 4] = [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated];

fn any_duration() -> impl Strategy<Value = Duration> {
    let nanos = 0..1_000_000_000_u32;
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_nanos(1)),
        Just(Duration::MAX),
        (0..10_u64, nanos.clone()).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
        (any::<u64>(), nanos).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
    ]
}

fn any_backoff() -> impl Strategy<Value = Backoff> {
    let factor = prop_oneof![
        Just(2.0),
        Just(1.5),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::MAX),
        Just(-3.0),
        Just(1.0 + f64::EPSILON),
        Just(1.0 + 2e-6),
        0.5..8.0,
    ];
    prop_oneof![
        any_duration().prop_map(Backoff::fixed),
        (any_duration(), any_duration()).prop_map(|(first, step)| Backoff::linear(first, step)),
        (any_duration(), factor).prop_map(|(first, factor)| Backoff::exponential(first, factor)),
        any_duration().prop_map(Backoff::fibonacci),
    ]
}

fn any_retry() -> impl Strategy<Value = u32> {
    prop_oneof![1..70_u32, any::<u32>(), Just(u32::MAX), Just(u32::MAX - 1)]
}

proptest! {
    /// RELIABILITY S7: of others, some overflowed to a panic and some to no delay at all.
    #[test]
    fn delays_grow_to_the_end_and_are_never_zero(
        backoff in any_backoff(), n in any_retry(), cap in any_duration(),
    ) {
        let policy = RetryPolicy::default().backoff(backoff.clone()).jitter(Jitter::None);
        let policy = policy.max_delay(cap);
        let delay = |n| policy.delay(n, 1).unwrap();
        prop_assert!(delay(n) <= cap);
        prop_assert!(delay(n) <= delay(n.saturating_add(1)));
        prop_assert!(delay(1) <= delay(n));
        let first = backoff.delay(1).unwrap();
        prop_assert_eq!(delay(n).is_zero(), first.min(cap).is_zero() && delay(n).is_zero());
        if !first.is_zero() && !cap.is_zero() {
            prop_assert!(!delay(n).is_zero());
        }
    }

    /// SEMANTICS 6.5: of others, jitter came on top of the cap.
    #[test]
    fn jitter_only_shortens_and_is_the_same_for_the_same_seed(
        backoff in any_backoff(), n in prop_oneof![1..70_u32, 1_000..1_010_u32], cap in any_duration(),
        seed in any::<u64>(),
    ) {
        for jitter in JITTERS {
            let policy = RetryPolicy::default().backoff(backoff.clone()).jitter(jitter);
            let policy = policy.max_delay(cap);
            let delay = policy.delay(n, seed).unwrap();
            prop_assert!(delay <= cap);
            prop_assert_eq!(delay, policy.delay(n, seed).unwrap());
            prop_assert_eq!(delay, policy.clone().seed(seed).delay(n, seed ^ 1).unwrap());
            let plain = backoff.delay(n).unwrap().min(cap);
            match jitter {
                Jitter::Equal => prop_assert!(delay >= plain / 2 && delay <= plain),
                Jitter::Full => prop_assert!(delay <= plain),
                Jitter::Decorrelated => prop_assert!(delay >= backoff.delay(1).unwrap().min(cap)),
                _ => prop_assert_eq!(delay, plain),
            }
            if jitter != Jitter::Decorrelated {
                prop_assert_eq!(delay.is_zero(), plain.is_zero());
            }
        }
    }
}

/// The numbers themselves: a change of them is a change that users see in their tests.
#[test]
fn the_sequence_of_a_seed_is_stable() {
    let sequence = |jitter| {
        let policy = RetryPolicy::default().jitter(jitter).seed(42);
        [1, 2, 3, 4].map(|n| policy.delay(n, 0).unwrap().as_micros())
    };
    assert_eq!(sequence(Jitter::None), [100_000, 200_000, 400_000, 800_000]);
    let drawn = [Jitter::Full, Jitter::Equal, Jitter::Decorrelated].map(sequence);
    assert_eq!(drawn, DRAWN, "{drawn:?}");
}

const DRAWN: [[u128; 4]; 3] = [
    [25_843, 168_017, 288_559, 524_647],
    [62_921, 184_008, 344_279, 662_323],
    [151_687, 398_283, 889_823, 1_785_081],
];

/// Chance is spread over all of the range, so that those who fail together come back apart.
#[test]
fn full_jitter_is_spread() {
    let policy = RetryPolicy::default().backoff(Backoff::fixed(SECOND)).max_delay(SECOND);
    let mut tenths = [0; 10];
    for seed in 0..10_000 {
        let delay = policy.delay(1, seed).unwrap();
        assert!(!delay.is_zero() && delay <= SECOND);
        tenths[((delay.as_nanos() - 1) / 100_000_000) as usize] += 1;
    }
    assert!(tenths.iter().all(|&count| (800..1_200).contains(&count)), "{tenths:?}");
    // Unless it is seeded, no two jobs draw the same.
    let pool = Pool::new(1).unwrap();
    watchdog(&pool, || {
        let (sent, delays) = std::sync::mpsc::channel();
        let policy = RetryPolicy::default().attempts(2).max_delay(Duration::from_micros(100));
        let retry = Retry::new(policy).on_retry(move |_, delay| sent.send(delay).unwrap());
        let job = || pool.job("").retry(&retry).submit_fallible(|_| Err::<(), _>(()));
        assert!([job(), job()].into_iter().all(|job| job.wait().is_err()));
        assert_ne!(delays.recv().unwrap(), delays.recv().unwrap());
    });
}

fn reason<T: std::fmt::Debug, E: std::fmt::Debug>(
    result: Result<T, RetryError<E>>,
) -> (u32, GiveUp) {
    match result {
        Err(RetryError::Failed(failed)) => (failed.attempts(), failed.reason()),
        other => panic!("it must fail: {other:?}"),
    }
}

/// Another crate's backoff plugs in; it is asked for each job anew.
#[test]
fn an_iterator_says_how_long() {
    let (pool, clock) = pool_and_clock(2);
    watchdog(&pool, || {
        let backoff = Backoff::custom(|| [SECOND, 3 * SECOND].into_iter());
        let policy = RetryPolicy::default().attempts(9).jitter(Jitter::None).backoff(backoff);
        for _ in 0..2 {
            let start = clock.now();
            let job = pool.job("own").retry(policy.clone()).submit_fallible({
                let clock = clock.clone();
                move |_| Err::<(), _>(clock.now() - start)
            });
            clock.advance_until_idle(&pool, 60 * SECOND);
            match job.wait() {
                Err(RetryError::Failed(failed)) => {
                    assert_eq!(*failed.error(), 4 * SECOND);
                    assert_eq!((failed.attempts(), failed.reason()), (3, GiveUp::Backoff));
                }
                other => panic!("{other:?}"),
            }
        }
        let broken = Backoff::custom(|| std::iter::from_fn(|| throw("broken")));
        let job = pool.job("broken").retry(RetryPolicy::default().backoff(broken));
        let job = job.submit_fallible(|_| Err::<(), _>(()));
        assert!(matches!(job.wait(), Err(RetryError::Job(JobError::Panicked(_)))));
    });
}

#[test]
fn a_budget_bounds_the_retries_of_all_who_share_it() {
    let (pool, clock) = pool_and_clock(2);
    watchdog(&pool, || {
        // A tenth of the first attempts, and one a second: so 10 in ten seconds.
        let budget = RetryBudget::new(10, 1);
        let policy = RetryPolicy::fixed(Duration::ZERO).attempts(u32::MAX).budget(&budget);
        let retry = Retry::new(policy);
        let ask = || {
            let job = pool.job("down").retry(&retry).submit_fallible(|_| Err::<(), _>("down"));
            let (attempts, why) = reason(job.wait());
            assert_eq!(why, GiveUp::Budget);
            attempts - 1
        };
        assert_eq!(ask(), 10, "the floor");
        let more: u32 = (0..99).map(|_| ask()).sum();
        assert_eq!(more, 10, "and a tenth of 100");
        clock.advance(9 * SECOND);
        assert_eq!(ask(), 0, "ten seconds are not over");
        clock.advance(SECOND);
        assert_eq!(ask(), 10);
        // What was earned is forgotten too.
        clock.advance(3_600 * SECOND);
        assert_eq!((0..10).map(|_| ask()).sum::<u32>(), 11);
        // Who succeeds earns as well.
        clock.advance(3_600 * SECOND);
        for _ in 0..90 {
            pool.job("up").retry(&retry).submit_fallible(|_| Ok(())).wait().unwrap();
        }
        assert_eq!((0..10).map(|_| ask()).sum::<u32>(), 20);
    });
}

/// A refusal is not waited for, and takes nothing.
#[test]
fn a_budget_of_nothing_refuses_at_once() {
    let (pool, _clock) = pool_and_clock(2);
    watchdog(&pool, || {
        let policy = RetryPolicy::fixed(SECOND).attempts(2).budget(&RetryBudget::new(0, 0));
        let job = pool.job("none").retry(policy).submit_fallible(|_| Err::<(), _>(()));
        assert_eq!(reason(job.wait()), (1, GiveUp::Budget));
    });
}
