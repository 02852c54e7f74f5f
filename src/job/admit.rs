//! Whether there is room for a job, and what it gives back when: between jobs and the limits of
//! their pool (`policy::admission`).
//!
//! A job has its tokens before it is made. It gives them back once, by whoever has claimed it: those
//! of the queue when its closure is taken out to be run, all that it still has before its end is
//! told.
#![forbid(unsafe_code)]

use super::board::Board;
use super::options::JobOptions;
use super::raw::Raw;
use crate::engine::registry::{self, Registry};
use crate::engine::sync::Ordering;
use crate::engine::worker::Worker;
use crate::policy::WhenFull;
use crate::policy::admission::{Admission, Entered, Ticket, Until, Verdict, Waiter};
use crate::time::after;
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
    /// To wait so long at most.
    Within(Duration),
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

/// What a job with options counts for.
pub(super) fn ticket(board: &Board, options: &JobOptions) -> Ticket {
    let kind = |name: &str| board.admission()?.kind(name);
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
    door: Door,
    is_gated: bool,
) -> Result<Pass, Refusal> {
    let board = Board::of(registry);
    let Some(admission) = board.admission() else { return Ok(Pass::Queue(Held::NONE)) };
    if let Door::With(held) = door {
        return Ok(Pass::Queue(held));
    }
    if admission.try_enter(ticket, board.shard()) {
        return Ok(Pass::Queue(Held::ALL));
    }
    ask_when_full(registry, admission, ticket, door, is_gated)
}

#[cold]
fn ask_when_full(
    registry: &Registry,
    admission: &Admission,
    ticket: &Ticket,
    door: Door,
    is_gated: bool,
) -> Result<Pass, Refusal> {
    let is_inside = Worker::with_seat_in(registry, |seat| seat.is_some());
    let limit = match (door, admission.when_full()) {
        (Door::Now | Door::With(_), _) | (Door::AsUsual, WhenFull::Reject) => {
            return Err(Refusal::Full);
        }
        (Door::Within(_), _) if is_inside => return Err(Refusal::Full),
        (Door::Within(limit), _) => Some(limit),
        (_, when) if is_inside || when == WhenFull::CallerRuns && is_gated => {
            admission.limits().force(&admission.needs(ticket));
            return Ok(Pass::Queue(Held::ALL));
        }
        (_, WhenFull::CallerRuns) => {
            admission.limits().force(&admission.needs_until(ticket, Until::End));
            return Ok(Pass::RunHere(Held(Held::REST)));
        }
        (_, WhenFull::Timeout(limit)) => Some(limit),
        (_, WhenFull::Block) => None,
    };
    let deadline = limit.map(|limit| after(Instant::now(), limit));
    match stand_in_line(registry, ticket) {
        Standing::In(held) => Ok(Pass::Queue(held)),
        Standing::Closed => Err(Refusal::ShuttingDown),
        Standing::Waiting(place) => match registry::blocking(|| place.waiter.park(deadline)) {
            Verdict::Granted => Ok(Pass::Queue(place.take())),
            Verdict::Closed => Err(Refusal::ShuttingDown),
            Verdict::Waits => Err(Refusal::Full),
        },
    }
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
    let Some(admission) = board.admission() else { return Standing::In(Held::NONE) };
    match admission.limits().enter(&admission.needs(ticket), board.shard()) {
        Entered::In => Standing::In(Held::ALL),
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
        Held::ALL
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_taken {
            return;
        }
        let board = Board::of(&self.registry);
        let admission = board.admission().expect("there is a line");
        if admission.limits().withdraw(&self.waiter) {
            give_back(board, &self.ticket, Held::ALL);
        }
    }
}

/// Gives tokens back, and so lets others in.
pub(super) fn give_back(board: &Board, ticket: &Ticket, held: Held) {
    let Some(admission) = board.admission() else { return };
    if held.0 & Held::QUEUE != 0 {
        admission.give(ticket, Until::Start, board.shard());
    }
    if held.0 & Held::REST != 0 {
        admission.give(ticket, Until::End, board.shard());
    }
}

impl Raw {
    fn ticket(self) -> Ticket {
        self.extra().map_or(Ticket::PLAIN, |extra| extra.ticket)
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
        if let Some(admission) = self.board().admission() {
            admission.limits().force(&admission.needs_until(&self.ticket(), Until::End));
            self.header().held.store(Held::REST, Ordering::Relaxed);
        }
    }
}

/// Asks for room for up to so many jobs of which nothing is said, and says for how many there is.
pub(super) fn ask_for_many(board: &Board, count: usize) -> usize {
    match board.admission() {
        None => count,
        Some(admission) => admission.enter_many(count as u64) as usize,
    }
}

/// What each of those has.
pub(super) fn held_by_each(board: &Board) -> Held {
    if board.admission().is_some() { Held::ALL } else { Held::NONE }
}
