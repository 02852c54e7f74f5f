//! What is known of the attempts of a job: how many, when, and which timer stands behind the present
//! one.
//!
//! It lies in the job's memory beside its options, so the handle may look when the job has ended.
//!
//! I1. An attempt begins when its runner says so ([`Record::begin`]), and is over when that says so
//!     ([`Record::end`]), before the job waits again. Whoever ends a job for what is true of an
//!     attempt (that it runs too long), or of none (that the first has not begun), claims the job
//!     under the lock; so of a late timer and the next attempt each knows of the other.
//! I2. Between the end of an attempt and the beginning of the next one `timer` is that of the wait,
//!     during an attempt that of its limit.
#![forbid(unsafe_code)]

use super::board::Board;
use super::options::Extra;
use super::work::Options;
use crate::engine::sync::{Mutex, lock};
use crate::time::TimerKey;
use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

/// See the module.
pub(crate) struct Record {
    state: Mutex<State>,
}

struct State {
    /// How many were begun.
    attempts: u32,
    is_running: bool,
    /// The job has ended: timers that come later are taken down at once.
    is_over: bool,
    timer: TimerKey,
    /// If anybody wants to know when. In a box, as many jobs may wait.
    times: Option<Box<Times>>,
}

struct Times {
    /// When the first attempt began, and the last one.
    first: Option<Instant>,
    last: Option<Instant>,
    /// How many are remembered at most.
    most: usize,
    history: VecDeque<Attempt>,
}

/// One attempt of a job, that has ended: see [`RetryHandle::history`](crate::RetryHandle::history).
///
/// The times are by the [clock](crate::PoolBuilder::clock) of the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Which one, from 1.
    pub number: u32,
    /// How long the job has waited since the attempt before: for its delay to pass, and for a
    /// worker. Zero in the first one.
    pub waited: Duration,
    /// When the closure was called.
    pub started: Instant,
    /// When it returned or panicked.
    pub ended: Instant,
    /// What it failed with, in words: of an error, if [`Retry::describe`](crate::Retry::describe)
    /// says how; of a panic its message. `None` also if it did not fail.
    pub error: Option<Box<str>>,
}

impl Record {
    /// Remembers when, if that `is_timed`, and at most so many of the last attempts.
    pub(super) fn new(is_timed: bool, most: u32) -> Self {
        let times = || Times { first: None, last: None, most: most as usize, history: [].into() };
        Record {
            state: Mutex::new(State {
                attempts: 0,
                is_running: false,
                is_over: false,
                timer: TimerKey::NONE,
                times: (is_timed || most > 0).then(|| Box::new(times())),
            }),
        }
    }

    /// How many were begun.
    pub(super) fn attempts(&self) -> u32 {
        lock(&self.state).attempts
    }

    pub(super) fn history(&self) -> Vec<Attempt> {
        let state = lock(&self.state);
        state.times.iter().flat_map(|times| times.history.iter().cloned()).collect()
    }

    /// Whether what has failed is to be remembered.
    pub(super) fn remembers(&self) -> bool {
        lock(&self.state).times.as_ref().is_some_and(|times| times.most > 0)
    }

    /// An attempt begins; returns its number.
    pub(super) fn begin(&self, now: Instant) -> u32 {
        let mut state = lock(&self.state);
        state.attempts = state.attempts.saturating_add(1);
        state.is_running = true;
        state.timer = TimerKey::NONE;
        if let Some(times) = &mut state.times {
            times.first.get_or_insert(now);
            times.last = Some(now);
        }
        state.attempts
    }

    /// When the first attempt began, if that is remembered.
    pub(super) fn begun(&self) -> Option<Instant> {
        lock(&self.state).times.as_ref()?.first
    }

    /// What the attempt has come to. It is not over yet.
    pub(super) fn note(&self, now: Instant, error: Option<Box<str>>) {
        let mut state = lock(&self.state);
        let number = state.attempts;
        let Some(times) = &mut state.times else { return };
        let (Some(started), 1..) = (times.last, times.most) else { return };
        let before = times.history.back().map(|before| before.ended);
        let waited = before.map_or(Duration::ZERO, |end| started.saturating_duration_since(end));
        if times.history.len() >= times.most {
            times.history.pop_front();
        } else if times.history.len() == times.history.capacity() {
            // Most jobs have few attempts.
            times.history.reserve_exact(1);
        }
        times.history.push_back(Attempt { number, waited, started, ended: now, error });
    }

    /// Whether an attempt has failed, and the next one has not begun.
    pub(super) fn is_between(&self) -> bool {
        let state = lock(&self.state);
        state.attempts > 0 && !state.is_running
    }

    /// The attempt is over.
    pub(super) fn end(&self, board: &Board) {
        let timer = {
            let mut state = lock(&self.state);
            state.is_running = false;
            mem::replace(&mut state.timer, TimerKey::NONE)
        };
        cancel(board, timer);
    }

    /// Notes the timer of an attempt, or of the wait after it. If that is long over, or the job has
    /// ended, it is taken down.
    pub(super) fn set_timer(&self, attempt: u32, key: TimerKey, board: &Board) {
        let mut state = lock(&self.state);
        if state.is_over || state.attempts != attempt {
            drop(state);
            return cancel(board, key);
        }
        state.timer = key;
    }

    /// The job has ended.
    pub(super) fn forget_timer(&self, board: &Board) {
        let timer = {
            let mut state = lock(&self.state);
            state.is_over = true;
            mem::replace(&mut state.timer, TimerKey::NONE)
        };
        cancel(board, timer);
    }

    /// Calls `claim` if no attempt has begun (I1).
    pub(super) fn unless_begun(&self, claim: impl FnOnce() -> bool) -> bool {
        let state = lock(&self.state);
        state.attempts == 0 && claim()
    }

    /// Calls `claim` if that attempt runs (I1).
    pub(super) fn while_running(&self, attempt: u32, claim: impl FnOnce() -> bool) -> bool {
        let state = lock(&self.state);
        state.is_running && state.attempts == attempt && claim()
    }
}

fn cancel(board: &Board, key: TimerKey) {
    if key != TimerKey::NONE {
        board.timer().cancel(key);
    }
}

/// What a job that may be tried again has beside its closure.
pub(super) struct Recorded {
    pub(super) extra: Extra,
    pub(super) record: Record,
}

impl Options for Recorded {
    const HAS_EXTRA: bool = true;
    const HAS_RECORD: bool = true;

    fn extra(&self) -> Option<&Extra> {
        Some(&self.extra)
    }

    fn record(&self) -> Option<&Record> {
        Some(&self.record)
    }
}
