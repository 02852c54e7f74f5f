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
use super::raw::Options;
use crate::engine::sync::{Mutex, lock};
use crate::time::TimerKey;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// See the module.
#[derive(Default)]
pub(crate) struct Record {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many were begun.
    attempts: u32,
    /// How many are remembered at most.
    most: u32,
    is_running: bool,
    /// The job has ended: timers that come later are taken down at once.
    is_over: bool,
    timer: Option<TimerKey>,
    /// Of the first attempt and of the last one.
    begun: Option<(Instant, Instant)>,
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
    pub(super) fn new(most: u32) -> Self {
        Record { state: Mutex::new(State { most, ..State::default() }) }
    }

    /// How many were begun.
    pub(super) fn attempts(&self) -> u32 {
        lock(&self.state).attempts
    }

    pub(super) fn history(&self) -> Vec<Attempt> {
        lock(&self.state).history.iter().cloned().collect()
    }

    /// Whether what has failed is to be remembered.
    pub(super) fn remembers(&self) -> bool {
        lock(&self.state).most > 0
    }

    /// An attempt begins; returns its number.
    pub(super) fn begin(&self, now: Instant) -> u32 {
        let mut state = lock(&self.state);
        state.attempts = state.attempts.saturating_add(1);
        state.is_running = true;
        state.timer = None;
        let first = state.begun.map_or(now, |(first, _)| first);
        state.begun = Some((first, now));
        state.attempts
    }

    /// When the first attempt began.
    pub(super) fn begun(&self) -> Option<Instant> {
        lock(&self.state).begun.map(|(first, _)| first)
    }

    /// What the attempt has come to. It is not over yet.
    pub(super) fn note(&self, now: Instant, error: Option<Box<str>>) {
        let mut state = lock(&self.state);
        let (Some((_, started)), 1..) = (state.begun, state.most) else { return };
        let before = state.history.back().map(|before| before.ended);
        let waited = before.map_or(Duration::ZERO, |end| started.saturating_duration_since(end));
        if state.history.len() >= state.most as usize {
            state.history.pop_front();
        } else if state.history.len() == state.history.capacity() {
            // Most jobs have few attempts.
            state.history.reserve_exact(1);
        }
        let number = state.attempts;
        state.history.push_back(Attempt { number, waited, started, ended: now, error });
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
            state.timer.take()
        };
        cancel(board, timer);
    }

    /// Notes the timer of an attempt, or of the wait after it. If that is long over, or the job has
    /// ended, it is taken down.
    pub(super) fn set_timer(&self, attempt: u32, key: TimerKey, board: &Board) {
        let mut state = lock(&self.state);
        if state.is_over || state.attempts != attempt {
            drop(state);
            return cancel(board, Some(key));
        }
        state.timer = Some(key);
    }

    /// The job has ended.
    pub(super) fn forget_timer(&self, board: &Board) {
        let timer = {
            let mut state = lock(&self.state);
            state.is_over = true;
            state.timer.take()
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

fn cancel(board: &Board, key: Option<TimerKey>) {
    if let Some(key) = key {
        board.timer().cancel(key);
    }
}

/// What a job that may be tried again has beside its closure.
pub(super) struct Recorded {
    pub(super) extra: Extra,
    pub(super) record: Record,
}

impl Options for Recorded {
    fn extra(&self) -> Option<&Extra> {
        Some(&self.extra)
    }

    fn record(&self) -> Option<&Record> {
        Some(&self.record)
    }
}
