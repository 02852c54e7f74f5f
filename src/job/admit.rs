//! Whether there is room for a job, and what it gives back when: between jobs and the limits of
//! their pool (`policy::admission`).
//!
//! A job has its tokens before it is made. It gives them back once, by whoever has claimed it: those
//! of the queue when its closure is taken out to be run, all that it still has before its end is
//! told.
#![forbid(unsafe_code)]

use super::board::Board;
use super::drain::Drain;
use super::gate::Gate;
use super::options::{Extra, JobOptions};
use super::raw::Raw;
use super::reference::{JobRef, JobState};
use crate::engine::registry::{self, Registry};
use crate::engine::sync::{Ordering, thread};
use crate::engine::wait;
use crate::engine::worker::Worker;
use crate::policy::admission::{
    Admission, Entered, Entry, Listed, Order, Ticket, Until, Verdict, Waiter, Which,
};
use crate::policy::{QueueLimits, WhenFull};
use crate::time::{after, nanoseconds};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Which tokens a job has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held(u8);

impl Held {
    pub(super) const NONE: Held = Held(0);
    /// Those that it gives back when it starts.
    const QUEUE: u8 = 1;
    /// Those that it gives back when it has ended.
    const REST: u8 = 2;
    const ALL: Held = Held(Held::QUEUE | Held::REST);

    pub(super) fn bits(self) -> u8 {
        self.0
    }
}

/// How somebody comes to the door.
#[derive(Clone, Copy, Debug)]
pub(super) enum Door {
    /// As the pool's limits say.
    AsUsual,
    /// To get in now or not at all.
    Now,
    /// To wait so long at most, in nanoseconds.
    Within(u64),
    /// With tokens in the hand.
    With(Held),
}

/// Somebody may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Queue(Held),
    /// It is run by whoever has brought it.
    RunHere(Held),
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Full,
    ShuttingDown,
}

/// Where jobs come into a pool that has limits.
pub(crate) struct Entrance {
    pub(super) admission: Admission,
    /// What a job has of which nothing is said.
    plain: Held,
    /// Who is queued, if that is asked for.
    order: Option<Order<JobRef>>,
    /// When the pool was built, by its clock.
    built: Instant,
    pub(super) drain: Drain,
}

impl Listed for JobRef {
    /// One that is to be tried again was let in for good.
    fn is_queued(&self) -> bool {
        matches!(self.state(), JobState::Waiting | JobState::Queued) && self.attempts() == 0
    }
}

impl Entrance {
    pub(crate) fn new(limits: QueueLimits, shards: usize, now: Instant) -> Self {
        let admission = Admission::new(limits, shards);
        let (until_start, until_end) = admission.plain_has();
        let (queue, rest) = (u8::from(until_start) * Held::QUEUE, u8::from(until_end) * Held::REST);
        let plain = Held(queue | rest);
        let order = admission.needs_order().then(|| Order::new(shards));
        Entrance { admission, plain, order, built: now, drain: Drain::new() }
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        self.admission.close();
        if let Some(order) = &self.order {
            order.clear();
        }
    }

    #[inline]
    fn held(&self, ticket: &Ticket) -> Held {
        if *ticket == Ticket::PLAIN { self.plain } else { Held::ALL }
    }

    /// In nanoseconds since the pool was built.
    pub(super) fn now(&self, board: &Board) -> u64 {
        nanoseconds(board.now().saturating_duration_since(self.built))
    }

    /// Whether somebody has waited too long, for a job of this level.
    #[inline]
    pub(super) fn is_overdue(&self, board: &Board, level: u8) -> bool {
        let Some(order) = &self.order else { return false };
        self.admission.is_overdue(level, || self.now(board), || order.waits_since(level))
    }

    /// Pushes others out, until there is room. `None`: there are none to push out.
    fn push_in(&self, board: &Board, ticket: &Ticket, which: Which) -> Option<Pass> {
        let order = self.order.as_ref().expect("made for those who push in");
        if which == Which::Oldest {
            while self.is_overdue(board, ticket.level) {
                push_out(&order.find_waiting(ticket.level)?);
            }
        }
        while let Err(limit) = self.admission.try_enter(ticket, board.shard()) {
            push_out(&order.find(self.admission.among(limit), which)?);
        }
        Some(Pass::Queue(self.held(ticket)))
    }
}

/// Ends a job that has not started. One that has makes room as well; but so does not one that somebody
/// has just taken out of its row, who is about to start it.
fn push_out(job: &JobRef) {
    if !job.raw().evict() {
        thread::yield_now();
    }
}

/// What a job with options counts for.
pub(super) fn ticket(board: &Board, options: &JobOptions) -> Ticket {
    let kind = |name: &str| board.entrance()?.admission.kind(name);
    Ticket {
        weight: options.weight.unwrap_or(1),
        level: options.priority.level(),
        kind: options.kind.as_deref().and_then(kind),
    }
}

/// Asks whether a job may come in, and takes what it needs. Nobody can run it here and now if it
/// waits at a gate.
#[inline]
pub(super) fn ask(
    registry: &Registry,
    ticket: &Ticket,
    door: &Door,
    is_gated: bool,
) -> Result<Pass, Refusal> {
    match Board::of(registry).entrance() {
        None => Ok(Pass::Queue(Held::NONE)),
        Some(entrance) => ask_at(registry, entrance, ticket, door, is_gated),
    }
}

/// As [`ask`], of a pool that has limits.
fn ask_at(
    registry: &Registry,
    entrance: &Entrance,
    ticket: &Ticket,
    door: &Door,
    is_gated: bool,
) -> Result<Pass, Refusal> {
    if let Door::With(held) = *door {
        return Ok(Pass::Queue(held));
    }
    let board = Board::of(registry);
    let is_overdue = entrance.is_overdue(board, ticket.level);
    if !is_overdue && entrance.admission.try_enter(ticket, board.shard()).is_ok() {
        return Ok(Pass::Queue(entrance.held(ticket)));
    }
    let asked = ask_when_full(registry, entrance, ticket, (door, is_gated, is_overdue));
    if asked == Err(Refusal::Full) {
        entrance.admission.refuse();
    }
    asked
}

#[cold]
fn ask_when_full(
    registry: &Registry,
    entrance: &Entrance,
    ticket: &Ticket,
    (door, is_gated, is_overdue): (&Door, bool, bool),
) -> Result<Pass, Refusal> {
    let Entrance { admission, .. } = entrance;
    let board = Board::of(registry);
    let is_inside = Worker::with_seat_in(registry, |seat| seat.is_some());
    let full = Err(Refusal::Full);
    let limit = match (*door, admission.when_full()) {
        (Door::Now | Door::With(_), _) | (Door::AsUsual, WhenFull::Reject) => return full,
        (Door::Within(_), _) if is_inside || is_overdue => return full,
        (Door::Within(limit), _) => Some(Duration::from_nanos(limit)),
        (_, WhenFull::DropOldest) => {
            return entrance.push_in(board, ticket, Which::Oldest).ok_or(Refusal::Full);
        }
        (_, WhenFull::DropNewest | WhenFull::DropLowest) if is_overdue => return full,
        (_, WhenFull::DropNewest) => {
            return entrance.push_in(board, ticket, Which::Newest).ok_or(Refusal::Full);
        }
        (_, WhenFull::DropLowest) => {
            let which = Which::LowestBelow(ticket.level);
            return entrance.push_in(board, ticket, which).ok_or(Refusal::Full);
        }
        (_, when) if is_inside || when == WhenFull::CallerRuns && is_gated => {
            admission.force(ticket);
            return Ok(Pass::Queue(entrance.held(ticket)));
        }
        (_, WhenFull::CallerRuns) => {
            admission.force_to_run(ticket);
            return Ok(Pass::RunHere(Held(entrance.held(ticket).0 & Held::REST)));
        }
        (_, WhenFull::Timeout(_) | WhenFull::Block) if is_overdue => return full,
        (_, WhenFull::Timeout(limit)) => Some(limit),
        (_, WhenFull::Block) => None,
    };
    let deadline = limit.map(|limit| after(Instant::now(), limit));
    match stand_in_line(registry, ticket) {
        Standing::In(held) => Ok(Pass::Queue(held)),
        Standing::Closed => Err(Refusal::ShuttingDown),
        Standing::Waiting(place) => {
            // Where jobs are short, there is room again before one could have fallen asleep.
            wait::spin(|| place.waiter.verdict() != Verdict::Waits);
            match registry::blocking(|| place.waiter.park(deadline)) {
                Verdict::Granted => Ok(Pass::Queue(place.take())),
                Verdict::Closed => Err(Refusal::ShuttingDown),
                Verdict::Waits => full,
            }
        }
    }
}

/// Whether a job of that kind comes too early to be let in.
#[inline]
pub(super) fn comes_too_early(board: &Board, ticket: &Ticket) -> bool {
    let Some(entrance) = board.entrance().filter(|_| ticket.kind.is_some()) else { return false };
    let bucket = entrance.admission.rate(ticket).filter(|bucket| bucket.refuses);
    let is_early = bucket.is_some_and(|bucket| !bucket.take(entrance.now(board)));
    if is_early {
        entrance.admission.refuse();
    }
    is_early
}

/// Whether a job of that kind has a time before which it must not begin.
pub(super) fn is_paced(board: &Board, ticket: &Ticket) -> bool {
    let rate = board.entrance().and_then(|entrance| entrance.admission.rate(ticket));
    rate.is_some_and(|bucket| !bucket.refuses)
}

/// Holds the gate of a job back until its kind may begin. `None`: it is opened then.
pub(super) fn pace(registry: &Registry, gate: Gate, job: Raw) -> Option<Gate> {
    let board = Board::of(registry);
    let extra = job.extra().expect("a job with a gate has options");
    let entrance = board.entrance().filter(|_| extra.take_paced());
    let Some(entrance) = entrance else { return Some(gate) };
    let bucket = entrance.admission.rate(&extra.ticket()).expect("a job that is paced has a rate");
    let now = entrance.now(board);
    let begins = bucket.take_next(now);
    if begins <= now {
        return Some(gate);
    }
    let at = after(entrance.built, Duration::from_nanos(begins));
    board.timer().insert(at, move || gate.open());
    None
}

/// What has become of somebody who would wait.
pub(super) enum Standing {
    In(Held),
    Waiting(Place),
    Closed,
}

/// Gets in, or stands in line. From inside of the pool too: that nobody blocks is up to the caller.
pub(super) fn stand_in_line(registry: &Registry, ticket: &Ticket) -> Standing {
    let board = Board::of(registry);
    let Some(entrance) = board.entrance() else { return Standing::In(Held::NONE) };
    match entrance.admission.enter(ticket, board.shard()) {
        Entered::In => Standing::In(entrance.held(ticket)),
        Entered::Waiting(waiter) => {
            let registry = registry.to_arc();
            Standing::Waiting(Place { waiter, registry, ticket: *ticket, is_taken: false })
        }
        Entered::Closed => Standing::Closed,
    }
}

/// A place in the line. Dropped, it is given up, and what has been granted meanwhile goes to the
/// next.
pub(super) struct Place {
    pub(super) waiter: Arc<Waiter>,
    registry: Arc<Registry>,
    ticket: Ticket,
    is_taken: bool,
}

impl Place {
    /// What has been granted.
    pub(super) fn take(mut self) -> Held {
        debug_assert_eq!(self.waiter.verdict(), Verdict::Granted);
        self.is_taken = true;
        self.held()
    }

    fn held(&self) -> Held {
        let entrance = Board::of(&self.registry).entrance().expect("there is a line");
        entrance.held(&self.ticket)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_taken {
            return;
        }
        let board = Board::of(&self.registry);
        let entrance = board.entrance().expect("there is a line");
        if entrance.admission.withdraw(&self.waiter) {
            give_back(board, &self.ticket, self.held());
        }
    }
}

/// Somebody is turned away for another reason than room: what is in the hand goes back.
pub(super) fn turn_away(board: &Board, ticket: &Ticket, door: &Door) {
    if let Door::With(held) = *door {
        give_back(board, ticket, held);
    }
}

/// Gives tokens back, and so lets others in.
pub(super) fn give_back(board: &Board, ticket: &Ticket, held: Held) {
    let Some(Entrance { admission, .. }) = board.entrance() else { return };
    if held.0 & Held::QUEUE != 0 {
        admission.give(ticket, Until::Start, board.shard());
    }
    if held.0 & Held::REST != 0 {
        admission.give(ticket, Until::End, board.shard());
    }
}

impl Raw {
    fn ticket(self) -> Ticket {
        self.extra().map_or(Ticket::PLAIN, Extra::ticket)
    }

    /// It starts. The caller has claimed it.
    #[inline]
    pub(super) fn leave_queue(self) {
        // Relaxed, here and below: the job is claimed.
        let held = self.header().held.load(Ordering::Relaxed);
        if held & Held::QUEUE != 0 {
            self.header().held.store(held & !Held::QUEUE, Ordering::Relaxed);
            give_back(self.board(), &self.ticket(), Held(Held::QUEUE));
        }
    }

    /// It has ended, or is about to. The caller has claimed it.
    #[inline]
    pub(super) fn give_all_back(self) {
        let held = self.header().held.load(Ordering::Relaxed);
        if held != 0 {
            self.header().held.store(0, Ordering::Relaxed);
            give_back(self.board(), &self.ticket(), Held(held));
        }
    }

    /// It starts once more. It has given everything back while it waited, so that it was in nobody's
    /// way, and there is always room for it: it was let in before. The caller has claimed it.
    pub(super) fn step_in_again(self) {
        if let Some(entrance) = self.board().entrance() {
            let ticket = self.ticket();
            entrance.admission.force_to_run(&ticket);
            let held = entrance.held(&ticket).0 & Held::REST;
            self.header().held.store(held, Ordering::Relaxed);
        }
    }

    /// Lists it where those are found that may have to go. It is queued, or waits at its gate: whoever
    /// finds it there can end it.
    #[inline]
    pub(super) fn list_in_order(self, board: &Board, is_gated: bool) {
        if let Some(entrance) = board.entrance()
            && let Some(order) = &entrance.order
        {
            self.list_in(order, entrance.now(board), board.shard(), is_gated);
        }
    }

    #[cold]
    fn list_in(self, order: &Order<JobRef>, at: u64, shard: usize, is_gated: bool) {
        let ticket = self.ticket();
        let entry = Entry { at, kind: ticket.kind, is_gated, job: JobRef::new(self) };
        order.add(shard, ticket.level, entry);
    }
}

/// Asks for room for up to so many jobs of which nothing is said, and says for how many there is.
pub(super) fn ask_for_many(board: &Board, count: usize) -> usize {
    match board.entrance() {
        None => count,
        Some(entrance) if entrance.is_overdue(board, Ticket::PLAIN.level) => 0,
        Some(entrance) => entrance.admission.enter_many(count as u64) as usize,
    }
}

/// What each of those has.
pub(super) fn held_by_each(board: &Board) -> Held {
    board.entrance().map_or(Held::NONE, |entrance| entrance.plain)
}
