//! The series of one schedule: what is due, what is run, what is skipped. No lock, no clock, no
//! thread: what happens comes in with its time, what is to be done comes out.
//!
//! S1. `cursor` is the last time that was due, or the start; it only grows, unless the wall clock
//!     has been set back so far that what it was is not to be relied on. Every time after it has
//!     neither been run nor skipped, every time before it has, once.
//! S2. `next` is the first time after the cursor, if the series is active and there is one. Jitter
//!     is added to what is waited for, and never to the cursor.
//! S3. No more runs are in flight than `Rules::width`; no more than `max_runs` are ever made.
//! S4. `waiting` and `backlog` hold due runs that are made when one in flight has ended. They are
//!     empty when nothing is in flight.

use super::event::{
    EndReason, Record, RunOutcome, ScheduleEvent, ScheduleEventKind as Kind, ScheduleStats,
    SkipReason,
};
use super::rules::{Misfire, OnError, Overlap, Rules};
use crate::engine::unwind::catch;
use crate::time::trigger::{Missed, Trigger, TriggerCx, is_later};
use crate::time::when::{Moment, When};
use std::time::Duration;

/// If the wall clock is set back by more, it was wrong before, and the series begins anew: what
/// Vixie's cron does, for which less is a change that a run should not be repeated for.
const SET_BACK: Duration = Duration::from_secs(3 * 3_600);

/// Where a schedule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScheduleState {
    /// Runs are made when they are due.
    Active,
    /// Until it is resumed, none are.
    Paused,
    /// There are no more.
    Ended(EndReason),
}

/// A run that is to be submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// From 1.
    pub(super) run: u64,
    pub(super) due: When,
    /// When it was to be made: `due` and the jitter.
    pub(super) aim: When,
    /// How many that were due before it stands for, beside itself.
    pub(super) coalesced: u64,
}

/// What is to be done, outside of every lock.
#[derive(Default, Debug)]
pub(super) struct Effects {
    pub(super) orders: Vec<Order>,
    /// Ask those in flight to stop.
    pub(super) cancels: bool,
    pub(super) events: Vec<ScheduleEvent>,
}

/// What a request to run at once has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Triggered {
    /// The run was submitted.
    Started,
    /// It waits for the end of the one before.
    Waiting,
    /// It was skipped.
    Skipped(SkipReason),
}

#[derive(Clone, Copy, Debug)]
struct Due {
    due: When,
    aim: When,
    coalesced: u64,
}

/// Runs that are made up for one by one: those after the cursor, so many.
#[derive(Debug)]
struct Backlog {
    cursor: Moment,
    left: u64,
    last: When,
}

/// See the module.
pub(super) struct Plan {
    trigger: Box<dyn Trigger>,
    rules: Rules,
    cx: TriggerCx,
    cursor: Moment,
    next: Option<Due>,
    state: ScheduleState,
    in_flight: Vec<u64>,
    /// The number of the last one.
    last_run: u64,
    waiting: Option<Due>,
    backlog: Option<Backlog>,
    pub(super) stats: ScheduleStats,
    pub(super) last: Option<RunOutcome>,
    pub(super) record: Record,
    effects: Effects,
}

impl Plan {
    /// A series that begins now, or at `start`, which then is the first time that may be due. If
    /// that is past, what was due before now is nobody's.
    pub(super) fn new(
        trigger: Box<dyn Trigger>,
        rules: Rules,
        record: usize,
        now: Moment,
        start: Option<When>,
    ) -> Self {
        let moment = start.map_or(now, |start| now.on(start));
        let cx = TriggerCx { start: moment, last_end: None, failures: 0, runs: 0 };
        let cursor = match start {
            Some(start) if now.since(start).is_zero() => moment.back(Duration::from_nanos(1)),
            _ => now,
        };
        Plan {
            trigger,
            rules,
            cx,
            cursor,
            next: None,
            state: ScheduleState::Active,
            in_flight: Vec::new(),
            last_run: 0,
            waiting: None,
            backlog: None,
            stats: ScheduleStats::default(),
            last: None,
            record: Record::new(record),
            effects: Effects::default(),
        }
    }

    // ---- what the outside asks

    pub(super) fn state(&self) -> ScheduleState {
        self.state
    }

    /// What is waited for.
    pub(super) fn aim(&self) -> Option<When> {
        self.next.map(|next| next.aim)
    }

    pub(super) fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// The next `n` times, as far as they are known.
    pub(super) fn preview(&self, n: usize, now: Moment) -> Vec<When> {
        let mut found = Vec::new();
        let left = self.rules.max_runs - self.cx.runs;
        let n = n.min(usize::try_from(left).unwrap_or(usize::MAX));
        if matches!(self.state, ScheduleState::Ended(_)) || n == 0 {
            return found;
        }
        let (mut at, mut cx) = (self.cursor, self.cx);
        if self.state == ScheduleState::Paused || self.trigger.waits_for_end() {
            at = at.max_of(now);
            cx.last_end =
                cx.last_end.filter(|_| self.in_flight.is_empty()).or(match self.cx.runs {
                    0 => None,
                    _ => Some(now),
                });
        }
        if let Some(next) = self.next {
            found.push(next.due);
            at = now.on(next.due);
        }
        while found.len() < n {
            if self.trigger.waits_for_end() && !found.is_empty() {
                // As if the run took no time.
                cx.last_end = Some(at);
            }
            cx.runs = self.cx.runs + found.len() as u64;
            match catch(|| self.trigger.next(at, &cx)) {
                Ok(Some(due)) if is_later(due, at) && self.is_within(due, now) => {
                    found.push(due);
                    at = now.on(due);
                }
                _ => break,
            }
        }
        found
    }

    // ---- what happens

    /// The series begins.
    pub(super) fn begin(&mut self, runs_at_once: bool, now: Moment) {
        if self.state != ScheduleState::Active {
            return;
        }
        if runs_at_once {
            let at = When::Instant(now.at);
            self.ask(Due { due: at, aim: at, coalesced: 0 }, now);
        }
        self.settle(now);
    }

    /// Time has passed, or the wall clock was set.
    pub(super) fn look(&mut self, now: Moment) {
        if self.state != ScheduleState::Active {
            return;
        }
        if let Some(next) = self.next {
            if now.is_at(next.aim) {
                self.next = None;
                self.fire(next, now);
            } else if self.is_set_back(next, now) {
                self.cursor = now;
                self.next = None;
            }
        }
        self.settle(now);
    }

    /// A run has begun, so much after it was to be made.
    pub(super) fn started(&mut self, order: &Order, now: Moment) {
        let lateness = now.since(order.aim);
        self.stats.lateness.add(lateness);
        self.tell(Kind::Started { run: order.run, due: order.due, lateness }, now);
    }

    /// A run has ended.
    pub(super) fn finished(&mut self, run: u64, outcome: RunOutcome, now: Moment) {
        self.in_flight.retain(|other| *other != run);
        let is_error = outcome.is_error();
        match outcome {
            RunOutcome::Completed => self.stats.completed += 1,
            _ if is_error => self.stats.failed += 1,
            _ => self.stats.cancelled += 1,
        }
        self.cx.last_end = Some(now);
        self.cx.failures = if is_error { self.cx.failures.saturating_add(1) } else { 0 };
        self.last = Some(outcome.clone());
        self.tell(Kind::Finished { run, outcome }, now);
        if is_error && self.state == ScheduleState::Active {
            match self.rules.on_error {
                OnError::Continue => {}
                OnError::Pause => self.pause_for(true, now),
                OnError::Stop => _ = self.end(EndReason::Error, now),
            }
        }
        self.settle(now);
    }

    /// The pool did not accept a run, and accepts no more if it `is_ending`.
    pub(super) fn rejected(&mut self, order: &Order, is_ending: bool, now: Moment) {
        self.in_flight.retain(|other| *other != order.run);
        self.cx.runs -= 1;
        self.stats.runs -= 1;
        let reason = if is_ending { SkipReason::Ended } else { SkipReason::Rejected };
        self.skip(reason, 1, order.due, now);
        // If there is no room for this one there is none for what waits behind it; and one after the
        // other each would be asked for by who hears of the one before.
        self.drop_due(reason, now);
        if is_ending {
            self.end(EndReason::Shutdown, now);
        }
        self.settle(now);
    }

    // ---- what is asked of it

    pub(super) fn pause(&mut self, now: Moment) -> bool {
        let is_active = self.state == ScheduleState::Active;
        if is_active {
            self.pause_for(false, now);
        }
        is_active
    }

    pub(super) fn resume(&mut self, now: Moment) -> bool {
        if self.state != ScheduleState::Paused {
            return false;
        }
        self.state = ScheduleState::Active;
        if let Some(missed) = self.missed(now) {
            self.pass(missed, now);
            self.skip(SkipReason::Paused, missed.count, missed.last, now);
        }
        self.tell(Kind::Resumed, now);
        self.settle(now);
        true
    }

    /// `None`: the series has ended.
    pub(super) fn run_now(&mut self, now: Moment) -> Option<Triggered> {
        if matches!(self.state, ScheduleState::Ended(_)) || self.is_used_up() {
            return None;
        }
        let at = When::Instant(now.at);
        let result = self.ask(Due { due: at, aim: at, coalesced: 0 }, now);
        self.settle(now);
        Some(result)
    }

    /// Replaces the trigger; the series begins anew with it. `false`: it has ended.
    pub(super) fn change(&mut self, trigger: Box<dyn Trigger>, now: Moment) -> bool {
        if matches!(self.state, ScheduleState::Ended(_)) {
            return false;
        }
        self.trigger = trigger;
        (self.cx.start, self.cx.last_end, self.cursor) = (now, None, now);
        self.next = None;
        self.drop_due(SkipReason::Changed, now);
        self.tell(Kind::Changed, now);
        self.settle(now);
        true
    }

    /// Ends the series, unless it has ended. Runs in flight are left alone.
    pub(super) fn end(&mut self, reason: EndReason, now: Moment) -> bool {
        if matches!(self.state, ScheduleState::Ended(_)) {
            return false;
        }
        self.next = None;
        self.drop_due(SkipReason::Ended, now);
        self.state = ScheduleState::Ended(reason);
        self.tell(Kind::Ended { reason }, now);
        true
    }

    // ---- inside

    fn tell(&mut self, kind: Kind, at: Moment) {
        let event = ScheduleEvent { at, kind };
        self.record.keep(event.clone());
        self.effects.events.push(event);
    }

    fn skip(&mut self, reason: SkipReason, count: u64, last: When, now: Moment) {
        if count > 0 {
            self.stats.skipped = self.stats.skipped.saturating_add(count);
            self.tell(Kind::Skipped { reason, count, last }, now);
        }
    }

    fn pause_for(&mut self, by_error: bool, now: Moment) {
        self.state = ScheduleState::Paused;
        self.next = None;
        self.drop_due(SkipReason::Paused, now);
        self.tell(Kind::Paused { by_error }, now);
    }

    /// Whether the last run has been made.
    fn is_used_up(&self) -> bool {
        self.cx.runs >= self.rules.max_runs
    }

    fn is_within(&self, due: When, now: Moment) -> bool {
        self.rules.until.is_none_or(|until| !until.is_before(due, now))
    }

    /// Whether the wall clock was set back so far that it was wrong before.
    fn is_set_back(&self, next: Due, now: Moment) -> bool {
        let When::Wall(_) = next.due else { return false };
        self.cursor.wall.duration_since(now.wall).is_ok_and(|back| back > SET_BACK)
    }

    /// The due times from the cursor up to now. A trigger that panics ends the series.
    fn missed(&mut self, now: Moment) -> Option<Missed> {
        let end = match self.rules.until {
            Some(until) if now.is_at(until) => now.on(until),
            _ => now,
        };
        match catch(|| self.trigger.missed(self.cursor, end, &self.cx)) {
            Ok(missed) => missed.filter(|missed| missed.count > 0),
            Err(payload) => {
                crate::engine::unwind::drop_quietly(payload);
                self.end(EndReason::BadTrigger, now);
                None
            }
        }
    }

    /// Moves the cursor over what was missed; up to now, if there was more than the trigger has
    /// counted.
    fn pass(&mut self, missed: Missed, now: Moment) {
        let last = now.on(missed.last);
        let next = catch(|| self.trigger.next(last, &self.cx)).ok().flatten();
        let is_all = self.trigger.waits_for_end() || next.is_none_or(|next| !now.is_at(next));
        self.cursor = if is_all { last } else { now };
    }

    /// What was waited for is due, and maybe more.
    fn fire(&mut self, first: Due, now: Moment) {
        let missed = self.missed(now).unwrap_or(Missed { last: first.due, count: 1 });
        if self.state != ScheduleState::Active {
            return;
        }
        let grace = self.rules.grace();
        let before = self.cursor;
        self.pass(missed, now);
        if missed.count == 1 {
            return match now.since(first.aim) > grace {
                true => self.skip(SkipReason::GracePassed, 1, first.due, now),
                false => _ = self.ask(first, now),
            };
        }
        if self.rules.misfire == Misfire::Burst {
            return self.catch_up(before, missed, now);
        }
        let (last, others) = (missed.last, missed.count - 1);
        let is_too_late = now.since(last) > grace;
        let reason = match self.rules.misfire {
            _ if is_too_late => SkipReason::GracePassed,
            Misfire::Skip => SkipReason::Missed,
            _ => SkipReason::Coalesced,
        };
        if is_too_late {
            return self.skip(reason, missed.count, last, now);
        }
        self.skip(reason, others, last, now);
        self.ask(Due { due: last, aim: last, coalesced: others }, now);
    }

    /// Makes up for all that were missed and are not too late.
    fn catch_up(&mut self, mut from: Moment, missed: Missed, now: Moment) {
        let (mut left, grace) = (missed.count, self.rules.grace());
        if now.since(missed.last) > grace {
            return self.skip(SkipReason::GracePassed, left, missed.last, now);
        }
        if grace < Duration::MAX {
            let edge = now.back(grace).back(Duration::from_nanos(1));
            let late = catch(|| self.trigger.missed(from, edge, &self.cx)).ok().flatten();
            if let Some(late) = late.filter(|late| late.count <= left) {
                left -= late.count;
                from = now.on(late.last);
                self.skip(SkipReason::GracePassed, late.count, late.last, now);
            }
        }
        match &mut self.backlog {
            Some(backlog) => (backlog.left, backlog.last) = (backlog.left + left, missed.last),
            None => self.backlog = Some(Backlog { cursor: from, left, last: missed.last }),
        }
    }

    /// Makes a run, or does what the rules say if it overlaps another.
    fn ask(&mut self, due: Due, now: Moment) -> Triggered {
        if self.in_flight.len() < self.rules.width() && self.backlog.is_none() {
            self.order(due);
            return Triggered::Started;
        }
        match self.rules.overlap {
            Overlap::QueueOne if self.waiting.is_none() => self.waiting = Some(due),
            Overlap::CancelPrevious => {
                self.effects.cancels = true;
                if let Some(older) = self.waiting.replace(due) {
                    self.skip(SkipReason::Overlap, 1, older.due, now);
                }
            }
            _ => {
                self.skip(SkipReason::Overlap, 1, due.due, now);
                return Triggered::Skipped(SkipReason::Overlap);
            }
        }
        Triggered::Waiting
    }

    fn order(&mut self, Due { due, aim, coalesced }: Due) {
        self.cx.runs += 1;
        self.stats.runs += 1;
        self.last_run += 1;
        let run = self.last_run;
        self.in_flight.push(run);
        self.effects.orders.push(Order { run, due, aim, coalesced });
    }

    /// Makes what has waited for room, looks for the next time, and sees whether all is over.
    fn settle(&mut self, now: Moment) {
        while self.in_flight.len() < self.rules.width() && !self.is_used_up() {
            match self.take_from_backlog(now).or_else(|| self.waiting.take()) {
                Some(due) => self.order(due),
                None => break,
            }
        }
        self.stats.in_flight = self.in_flight.len() as u64;
        if self.is_used_up() {
            self.next = None;
            self.drop_due(SkipReason::Ended, now);
        } else if self.state == ScheduleState::Active && self.next.is_none() {
            let waits = self.trigger.waits_for_end() && !self.in_flight.is_empty();
            self.next = if waits { None } else { self.find_next(now) };
            if waits {
                return;
            }
        }
        let is_over = self.next.is_none()
            && self.in_flight.is_empty()
            && (self.state == ScheduleState::Active || self.is_used_up());
        if is_over {
            self.end(EndReason::Exhausted, now);
        }
    }

    fn take_from_backlog(&mut self, now: Moment) -> Option<Due> {
        let backlog = self.backlog.as_mut()?;
        let due = catch(|| self.trigger.next(backlog.cursor, &self.cx)).ok().flatten();
        let due = due.filter(|due| !backlog.last.is_before(*due, now));
        match due {
            Some(due) => {
                (backlog.cursor, backlog.left) = (now.on(due), backlog.left - 1);
                if backlog.left == 0 {
                    self.backlog = None;
                }
                Some(Due { due, aim: due, coalesced: 0 })
            }
            None => {
                self.backlog = None;
                None
            }
        }
    }

    /// What is due and has not been made will not be.
    fn drop_due(&mut self, reason: SkipReason, now: Moment) {
        if let Some(backlog) = self.backlog.take() {
            self.skip(reason, backlog.left, backlog.last, now);
        }
        if let Some(due) = self.waiting.take() {
            self.skip(reason, 1, due.due, now);
        }
    }

    fn find_next(&mut self, now: Moment) -> Option<Due> {
        let found = catch(|| {
            let due = self.trigger.next(self.cursor, &self.cx)?;
            let has_gap = !self.rules.jitter.is_zero() && !self.trigger.waits_for_end();
            let after = has_gap.then(|| self.trigger.next(now.on(due), &self.cx)).flatten();
            let gap = after.map(|after| now.on(due).until(after));
            Some((due, due.plus(self.rules.jitter_of(self.number_of(due), gap))))
        });
        match found {
            Ok(None) => None,
            Ok(Some((due, aim))) if is_later(due, self.cursor) => {
                self.is_within(due, now).then_some(Due { due, aim, coalesced: 0 })
            }
            _ => {
                self.end(EndReason::BadTrigger, now);
                None
            }
        }
    }

    /// By which the jitter of a time is chosen, so that it is the same if it is asked for again.
    fn number_of(&self, due: When) -> u64 {
        match due {
            When::Instant(at) => at.saturating_duration_since(self.cx.start.at).as_nanos() as u64,
            When::Wall(wall) => {
                wall.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
            }
        }
    }
}
