//! Goal: keep retries from becoming most of the load when everything fails.
//!
//! Rule: within any ten seconds there are at most so many retries as a percentage of the first
//! attempts of those ten seconds, and a floor.
//!
//! Cost: a short lock at each first attempt and each retry of the jobs that share the budget.
//!
//! Starvation bound: none; what is refused is given up.
//!
//! Not promised: fairness between those who share a budget.

#![forbid(unsafe_code)]

use crate::engine::sync::{Mutex, lock};
use std::sync::Arc;
use std::time::Instant;

/// Over how many seconds it is counted.
const WINDOW: usize = 10;

/// How many retries all those who share it may make.
///
/// In any ten seconds at most `percent` of the first attempts that were begun in them, and
/// `floor_per_second` for each of the ten seconds. A job whose retry is refused gives up
/// ([`GiveUp::Budget`](crate::GiveUp)) with the error that it has.
///
/// It is a handle: clones are the same budget. Share one among all jobs that lean on the same
/// service: when that is down, each of them fails, and without a budget each would ask again.
///
/// ```
/// use std::time::Duration;
/// use windlass::{GiveUp, Pool, RetryBudget, RetryError, RetryPolicy};
///
/// let pool = Pool::new(1)?;
/// let budget = RetryBudget::new(20, 0);
/// let policy = RetryPolicy::fixed(Duration::ZERO).attempts(10).budget(&budget);
/// // Of five first attempts one is retried.
/// for nth in 0..5 {
///     let job = pool.job("ask").retry(policy.clone()).submit_fallible(|_| Err::<(), _>("down"));
///     match job.wait() {
///         Err(RetryError::Failed(failed)) => {
///             assert_eq!(failed.reason(), GiveUp::Budget);
///             assert_eq!(failed.attempts(), if nth == 4 { 2 } else { 1 });
///         }
///         other => unreachable!("{other:?}"),
///     }
/// }
/// # Ok::<(), windlass::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RetryBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    percent: u32,
    floor: u32,
    state: Mutex<State>,
}

/// What has happened in the last seconds.
#[derive(Debug, Default)]
struct State {
    /// Where the seconds are counted from: the first use.
    start: Option<Instant>,
    /// The present second.
    now: u64,
    /// By second, modulo the window: first attempts and retries.
    slots: [(u64, u64); WINDOW],
}

impl State {
    /// Goes on to the present. A clock that goes back stands still.
    fn advance(&mut self, now: Instant) {
        let start = *self.start.get_or_insert(now);
        let second = now.saturating_duration_since(start).as_secs();
        let steps = second.saturating_sub(self.now).min(WINDOW as u64);
        self.now = self.now.max(second);
        for back in 0..steps {
            self.slots[((self.now - back) % WINDOW as u64) as usize] = (0, 0);
        }
    }

    fn slot(&mut self) -> &mut (u64, u64) {
        &mut self.slots[(self.now % WINDOW as u64) as usize]
    }
}

impl RetryBudget {
    /// A budget of `percent` of the first attempts, and `floor_per_second`.
    pub fn new(percent: u32, floor_per_second: u32) -> Self {
        let (floor, state) = (floor_per_second, Mutex::new(State::default()));
        RetryBudget(Arc::new(Shared { percent, floor, state }))
    }

    /// A job is tried for the first time.
    pub(super) fn earn(&self, now: Instant) {
        let mut state = lock(&self.0.state);
        state.advance(now);
        state.slot().0 += 1;
    }

    /// Whether there may be one more retry; then it is counted.
    pub(super) fn spend(&self, now: Instant) -> bool {
        let mut state = lock(&self.0.state);
        state.advance(now);
        let sum = |which: fn(&(u64, u64)) -> u64| state.slots.iter().map(which).sum::<u64>();
        let (firsts, retries) = (sum(|slot| slot.0), sum(|slot| slot.1));
        let floor = u128::from(self.0.floor) * WINDOW as u128 * 100;
        let earned = u128::from(firsts) * u128::from(self.0.percent) + floor;
        let is_granted = (u128::from(retries) + 1) * 100 <= earned;
        if is_granted {
            state.slot().1 += 1;
        }
        is_granted
    }
}

/// Two are equal if one is a clone of the other.
impl PartialEq for RetryBudget {
    fn eq(&self, other: &RetryBudget) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Default for RetryBudget {
    /// A fifth of the first attempts, and ten a second.
    fn default() -> Self {
        RetryBudget::new(20, 10)
    }
}
