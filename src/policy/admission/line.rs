//! Who waits to be let in, and in which order they are.
//!
//! Whoever finds that a limit is reached stands in the line of that limit, by the time at which it
//! came. It takes all that it needs at once or nothing, so nobody holds a token while it waits. If
//! it then lacks another limit's, it goes over to that one's line, to where it belongs by its time.
//!
//! Who needs little may pass somebody who needs more than there is, but nobody is passed more than
//! [`MOST_PASSED`] times in a line: from then on what is given back is kept for it.
//!
//! All lines are under one lock, which is taken by whoever does not find a token in its own shard,
//! and by whoever gives one back for which somebody waits. No user code runs under it.

use super::tokens::Tokens;
use crate::engine::park::Parker;
use crate::engine::sync::{AtomicU8, Mutex, Ordering, lock};
use crate::engine::unwind;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// How often somebody may be passed by others who came later and need less.
pub(crate) const MOST_PASSED: u64 = 32;

/// So many tokens of a limit, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) limit: u16,
    pub(crate) amount: u64,
}

/// The limits, and who waits for them.
pub(crate) struct Limits {
    tokens: Box<[Tokens]>,
    lines: Mutex<Lines>,
}

struct Lines {
    /// One a limit; its key is the time of arrival.
    lines: Box<[Line]>,
    next: u64,
    is_closed: bool,
}

#[derive(Default)]
struct Line {
    waiting: BTreeMap<u64, Standing>,
    /// How often somebody has passed others in it.
    passed: u64,
    /// Whether more is out than the limit says (`tokens` I4).
    has_debt: bool,
}

struct Standing {
    waiter: Arc<Waiter>,
    /// The line's `passed` when it came to it.
    since: u64,
}

/// Somebody who waits.
pub(crate) struct Waiter {
    arrival: u64,
    needs: Box<[Need]>,
    shard: usize,
    verdict: AtomicU8,
    parker: Parker,
    waker: Mutex<Option<Waker>>,
}

/// What has become of a [`Waiter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Verdict {
    Waits,
    /// It has what it needs.
    Granted,
    /// Nobody is let in any more.
    Closed,
}

const VERDICTS: [Verdict; 3] = [Verdict::Waits, Verdict::Granted, Verdict::Closed];

/// What has come of the attempt to get in.
pub(crate) enum Entered {
    In,
    Waiting(Arc<Waiter>),
    Closed,
}

impl Waiter {
    pub(crate) fn verdict(&self) -> Verdict {
        // Acquire pairs with the Release in `decide`.
        VERDICTS[usize::from(self.verdict.load(Ordering::Acquire))]
    }

    fn decide(&self, verdict: Verdict) {
        self.verdict.store(verdict as u8, Ordering::Release);
    }

    fn wake(&self) {
        self.parker.unpark();
        let waker = lock(&self.waker).take();
        if let Some(waker) = waker {
            // A waker is the user's code.
            let _ = unwind::catch(|| waker.wake()).map_err(unwind::drop_quietly);
        }
    }

    /// Has `waker` told of the verdict. It may be there already, and then nobody may be told.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let old = lock(&self.waker).replace(waker.clone());
        // Outside of the lock: a waker is the user's code.
        drop(old);
    }

    /// Blocks until there is a verdict, or the time is up.
    pub(crate) fn park(&self, deadline: Option<Instant>) -> Verdict {
        loop {
            let verdict = self.verdict();
            if verdict != Verdict::Waits {
                return verdict;
            }
            let left = match deadline {
                None => Duration::MAX,
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            };
            if left.is_zero() {
                return verdict;
            }
            self.parker.park_at_most(left);
        }
    }
}

impl Limits {
    pub(crate) fn new(tokens: Vec<Tokens>) -> Self {
        let lines = tokens.iter().map(|_| Line::default()).collect();
        let lines = Mutex::new(Lines { lines, next: 0, is_closed: false });
        Limits { tokens: tokens.into(), lines }
    }

    pub(crate) fn tokens(&self, limit: u16) -> &Tokens {
        &self.tokens[usize::from(limit)]
    }

    /// How many wait.
    pub(crate) fn num_waiting(&self) -> usize {
        lock(&self.lines).lines.iter().map(|line| line.waiting.len()).sum()
    }

    /// Gets in if nobody waits and all is in the thread's own shard.
    #[inline]
    fn enter_fast(&self, needs: &[Need], shard: usize) -> bool {
        for (at, need) in needs.iter().enumerate() {
            if !self.tokens(need.limit).take_here(need.amount, shard) {
                self.give(&needs[..at], shard);
                return false;
            }
        }
        true
    }

    /// Gets in if there is room, past nobody who must not be passed. Else the limit that is in the
    /// way.
    #[inline]
    pub(crate) fn try_enter(&self, needs: &[Need], shard: usize) -> Result<(), u16> {
        if self.enter_fast(needs, shard) { Ok(()) } else { self.try_enter_slow(needs, shard) }
    }

    #[cold]
    fn try_enter_slow(&self, needs: &[Need], shard: usize) -> Result<(), u16> {
        self.pass(&mut lock(&self.lines), needs, shard, u64::MAX, false)
    }

    /// Gets in, or stands in line.
    pub(crate) fn enter(&self, needs: &[Need], shard: usize) -> Entered {
        if self.enter_fast(needs, shard) {
            return Entered::In;
        }
        let mut lines = lock(&self.lines);
        if lines.is_closed {
            return Entered::Closed;
        }
        let Err(limit) = self.pass(&mut lines, needs, shard, u64::MAX, false) else {
            return Entered::In;
        };
        lines.next += 1;
        let waiter = Arc::new(Waiter {
            arrival: lines.next,
            needs: needs.into(),
            shard,
            verdict: AtomicU8::new(Verdict::Waits as u8),
            parker: Parker::new(),
            waker: Mutex::new(None),
        });
        if self.stand(&mut lines, limit, &waiter) {
            return Entered::In;
        }
        Entered::Waiting(waiter)
    }

    /// Gets up to `most` of those in who need this each, at once, and says how many. None if somebody
    /// waits.
    pub(crate) fn enter_many(&self, each: &[Need], most: u64) -> u64 {
        let lines = lock(&self.lines);
        let mut count = most;
        for (at, need) in each.iter().enumerate() {
            let tokens = self.tokens(need.limit);
            let taken = if tokens.is_waited_for() {
                0
            } else {
                tokens.take_some(count.saturating_mul(need.amount))
            };
            let fewer = taken / need.amount;
            tokens.put_back(taken - fewer * need.amount);
            for earlier in &each[..at] {
                self.tokens(earlier.limit).put_back((count - fewer) * earlier.amount);
            }
            count = fewer;
            if count == 0 {
                break;
            }
        }
        drop(lines);
        // What was put back may be what somebody has come to wait for.
        for need in each {
            if self.tokens(need.limit).is_waited_for() {
                self.serve(need.limit);
            }
        }
        count
    }

    /// Gets in whether there is room or not.
    pub(crate) fn force(&self, needs: &[Need]) {
        let mut lines = lock(&self.lines);
        for need in needs {
            let tokens = self.tokens(need.limit);
            let line = &mut lines.lines[usize::from(need.limit)];
            if tokens.force(need.amount) && !line.has_debt {
                line.has_debt = true;
                tokens.add_waiting();
            }
        }
    }

    /// Gives back, and lets those in who have waited for it.
    #[inline]
    pub(crate) fn give(&self, needs: &[Need], shard: usize) {
        for need in needs {
            if self.tokens(need.limit).give(need.amount, shard) {
                self.serve(need.limit);
            }
        }
    }

    /// Somebody waits no more. `true`: it had been let in already.
    pub(crate) fn withdraw(&self, waiter: &Waiter) -> bool {
        let mut lines = lock(&self.lines);
        if waiter.verdict() == Verdict::Waits {
            waiter.decide(Verdict::Closed);
            let found = lines.lines.iter().position(|l| l.waiting.contains_key(&waiter.arrival));
            let limit = found.expect("who waits stands in a line") as u16;
            self.step_out(&mut lines, limit, waiter.arrival);
            drop(lines);
            // It may have been in the way of others who need less.
            self.serve(limit);
            return false;
        }
        waiter.verdict() == Verdict::Granted
    }

    /// Lets nobody stand in line any more.
    pub(crate) fn close(&self) {
        let mut lines = lock(&self.lines);
        lines.is_closed = true;
        let mut told = Vec::new();
        for (tokens, line) in self.tokens.iter().zip(&mut lines.lines) {
            for standing in std::mem::take(&mut line.waiting).into_values() {
                tokens.remove_waiting();
                standing.waiter.decide(Verdict::Closed);
                told.push(standing.waiter);
            }
        }
        drop(lines);
        told.iter().for_each(|waiter| waiter.wake());
    }

    /// Lets those in who stand in the line of this limit, as far as there is room.
    #[cold]
    fn serve(&self, limit: u16) {
        let mut granted = Vec::new();
        let mut lines = lock(&self.lines);
        self.settle(&mut lines, limit);
        let mut last = 0;
        loop {
            let line = &lines.lines[usize::from(limit)];
            let after = (Excluded(last), Unbounded);
            let Some((&arrival, standing)) = line.waiting.range(after).next() else { break };
            let waiter = Arc::clone(&standing.waiter);
            last = arrival;
            match self.pass(&mut lines, &waiter.needs, waiter.shard, arrival, true) {
                Ok(()) => {
                    self.step_out(&mut lines, limit, arrival);
                    waiter.decide(Verdict::Granted);
                    granted.push(waiter);
                }
                Err(lacks) if lacks == limit => {
                    if self.tokens(limit).left() <= 0 || !lines.may_pass(limit) {
                        break;
                    }
                }
                Err(lacks) => {
                    self.step_out(&mut lines, limit, arrival);
                    if self.stand(&mut lines, lacks, &waiter) {
                        waiter.decide(Verdict::Granted);
                        granted.push(waiter);
                    }
                }
            }
        }
        drop(lines);
        granted.iter().for_each(|waiter| waiter.wake());
    }

    // ---- under the lock

    /// Takes all of that or nothing, for somebody who came then. Else the limit that is in the way.
    fn pass(
        &self,
        lines: &mut Lines,
        needs: &[Need],
        shard: usize,
        arrival: u64,
        is_last: bool,
    ) -> Result<(), u16> {
        for need in needs {
            self.settle(lines, need.limit);
            if lines.first_before(need.limit, arrival).is_some_and(|first| {
                first.needs.iter().any(|its| its.limit == need.limit && its.amount <= need.amount)
                    || !lines.may_pass(need.limit)
            }) {
                return Err(need.limit);
            }
        }
        for (at, need) in needs.iter().enumerate() {
            if !self.tokens(need.limit).take_anywhere(need.amount, shard, is_last) {
                for taken in &needs[..at] {
                    self.tokens(taken.limit).put_back(taken.amount);
                }
                return Err(need.limit);
            }
        }
        for need in needs {
            if lines.first_before(need.limit, arrival).is_some() {
                lines.lines[usize::from(need.limit)].passed += 1;
            }
        }
        Ok(())
    }

    /// Has somebody stand in the line of a limit that is in its way. `true`: it has got in after
    /// all.
    fn stand(&self, lines: &mut Lines, mut limit: u16, waiter: &Arc<Waiter>) -> bool {
        loop {
            let line = &mut lines.lines[usize::from(limit)];
            let standing = Standing { waiter: Arc::clone(waiter), since: line.passed };
            line.waiting.insert(waiter.arrival, standing);
            self.tokens(limit).add_waiting();
            match self.pass(lines, &waiter.needs, waiter.shard, waiter.arrival, true) {
                Ok(()) => {
                    self.step_out(lines, limit, waiter.arrival);
                    return true;
                }
                Err(lacks) if lacks == limit => return false,
                Err(lacks) => {
                    self.step_out(lines, limit, waiter.arrival);
                    limit = lacks;
                }
            }
        }
    }

    fn step_out(&self, lines: &mut Lines, limit: u16, arrival: u64) {
        if lines.lines[usize::from(limit)].waiting.remove(&arrival).is_some() {
            self.tokens(limit).remove_waiting();
        }
    }

    /// Forgets the debt of a limit if it has been paid.
    fn settle(&self, lines: &mut Lines, limit: u16) {
        let line = &mut lines.lines[usize::from(limit)];
        if line.has_debt && self.tokens(limit).gather(false) >= 0 {
            line.has_debt = false;
            self.tokens(limit).remove_waiting();
        }
    }
}

impl Lines {
    /// The first in the line of a limit, if it came before then.
    fn first_before(&self, limit: u16, arrival: u64) -> Option<&Waiter> {
        let (&first, standing) = self.lines[usize::from(limit)].waiting.first_key_value()?;
        (first < arrival).then_some(&standing.waiter)
    }

    /// Whether those who stand in the line of a limit may be passed once more.
    fn may_pass(&self, limit: u16) -> bool {
        let line = &self.lines[usize::from(limit)];
        let most = |standing: &Standing| line.passed - standing.since < MOST_PASSED;
        line.waiting.first_key_value().is_none_or(|(_, first)| most(first))
    }
}
