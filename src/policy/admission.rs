//! Goal: a pool that cannot be flooded.
//!
//! Rule: a job needs a token of each limit that it falls under, and is let in when it has all. It
//! gives those that count what is queued back when it starts, the others when it has ended, in
//! whatever way it ends.
//!
//! Cost: none without limits, but for one branch. With one, a token from the thread's own shard and
//! back to the shard of whoever runs the job: some ten nanoseconds.
//!
//! Starvation bound: who waits is let in by arrival. Who needs more than there is may be passed 32
//! times by others who need less.
//!
//! Not promised: that a job which is let in starts soon; for that a limit in time is there.
//!
//! | file | owns |
//! |---|---|
//! | `tokens` | how many of one limit are left |
//! | `line` | who waits for them |
//! | `order` | who is queued, for pools that push somebody out |
//! | `rate` | how many may begin in a time |
//! | `marks` | who is told that the queue is long |
//! | `limits` | what may be said of a pool's limits |

mod limits;
mod line;
mod marks;
#[cfg(loom)]
pub(crate) mod model;
mod order;
mod rate;
mod tokens;

pub use limits::{Bound, QueueLimits, QueueStats, WhenFull};
pub(crate) use line::{Entered, Verdict, Waiter};
pub use marks::QueueEvent;
pub(crate) use order::{Among, Entry, Listed, Order, Which};
pub use rate::Rate;

use crate::Priority;
use crate::engine::sync::{AtomicU64, Ordering};
use crate::time::nanoseconds;
use line::{Limits, Need};
use marks::Marks;
use rate::Bucket;
use tokens::Tokens;

/// What of a job counts when it is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) weight: u64,
    pub(crate) level: u8,
    /// Its kind, if that has limits: see [`Admission::kind`].
    pub(crate) kind: Option<u16>,
}

impl Ticket {
    /// Of a job of which nothing is said.
    pub(crate) const PLAIN: Ticket =
        Ticket { weight: 1, level: Priority::Normal.level(), kind: None };
}

impl Default for Ticket {
    fn default() -> Self {
        Ticket::PLAIN
    }
}

/// Until when a job keeps its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    Start,
    End,
}

/// The limits of one pool.
pub(crate) struct Admission {
    limits: Limits,
    /// Whose each limit is, and until when its tokens are kept.
    owners: Box<[(Among, Until)]>,
    total: Scope,
    levels: [Scope; Priority::ALL.len()],
    kinds: Box<[Kind]>,
    /// What jobs need of which nothing is said.
    plain: Needs,
    plain_until_start: Needs,
    plain_until_end: Needs,
    when_full: WhenFull,
    /// In nanoseconds.
    longest_wait: Option<u64>,
    /// Until then nobody can have waited too long, for a job of each level; in nanoseconds.
    calm_until: [AtomicU64; Priority::ALL.len()],
    marks: Option<Marks>,
    refused: AtomicU64,
    beyond: AtomicU64,
}

struct Kind {
    name: String,
    scope: Scope,
    rate: Option<Bucket>,
}

/// The limits, by index, of what falls under a [`Bound`].
#[derive(Clone, Copy, Default)]
struct Scope {
    jobs: Option<u16>,
    weight: Option<u16>,
    in_flight: Option<u16>,
}

/// What one job needs: of three scopes, each with three limits.
#[derive(Clone, Copy)]
pub(crate) struct Needs {
    list: [Need; 9],
    len: usize,
}

impl Needs {
    const NONE: Needs = Needs { list: [Need { limit: 0, amount: 0 }; 9], len: 0 };

    fn add(&mut self, limit: u16, amount: u64) {
        self.list[self.len] = Need { limit, amount };
        self.len += 1;
    }
}

impl std::ops::Deref for Needs {
    type Target = [Need];
    fn deref(&self) -> &[Need] {
        &self.list[..self.len]
    }
}

impl Admission {
    /// Of a pool whose threads use so many shards.
    pub(crate) fn new(asked: QueueLimits, shards: usize) -> Self {
        let (mut tokens, mut owners) = (Vec::new(), Vec::new());
        let is_marked = asked.marks.is_some();
        let mut scope = |bound: &Bound, among: Among| {
            let mut add = |limit: Option<u64>, until| {
                limit.map(|limit| {
                    // What is measured is in one place.
                    let is_single = is_marked && among == Among::All && until == Until::Start;
                    tokens.push(Tokens::new(limit, shards, is_single));
                    owners.push((among, until));
                    (tokens.len() - 1) as u16
                })
            };
            Scope {
                jobs: add(bound.jobs, Until::Start),
                weight: add(bound.weight, Until::End),
                in_flight: add(bound.in_flight, Until::End),
            }
        };
        let total = scope(&asked.total, Among::All);
        let levels = std::array::from_fn(|n| scope(&asked.levels[n], Among::Level(n as u8)));
        let kinds = asked.kinds.iter().enumerate().map(|(n, (name, kind))| Kind {
            name: name.clone(),
            scope: scope(&kind.bound, Among::Kind(n as u16)),
            rate: kind.rate.as_ref().map(Bucket::new),
        });
        let kinds = kinds.collect();
        let mut this = Admission {
            limits: Limits::new(tokens),
            owners: owners.into(),
            total,
            levels,
            kinds,
            plain: Needs::NONE,
            plain_until_start: Needs::NONE,
            plain_until_end: Needs::NONE,
            when_full: asked.when_full,
            longest_wait: asked.wait.map(nanoseconds),
            calm_until: Default::default(),
            marks: asked.marks.map(Marks::new),
            refused: AtomicU64::new(0),
            beyond: AtomicU64::new(0),
        };
        this.plain = this.needs(&Ticket::PLAIN);
        this.plain_until_start = this.needs_until(&Ticket::PLAIN, Until::Start);
        this.plain_until_end = this.needs_until(&Ticket::PLAIN, Until::End);
        this
    }

    pub(crate) fn when_full(&self) -> WhenFull {
        self.when_full
    }

    /// Whether a job of which nothing is said has something until it starts, and until it ends.
    pub(crate) fn plain_has(&self) -> (bool, bool) {
        (!self.plain_until_start.is_empty(), !self.plain_until_end.is_empty())
    }

    /// Whether somebody must list who is queued ([`Order`]).
    pub(crate) fn needs_order(&self) -> bool {
        self.longest_wait.is_some()
            || matches!(
                self.when_full,
                WhenFull::DropOldest | WhenFull::DropNewest | WhenFull::DropLowest
            )
    }

    /// Among whom somebody must go to make room in this limit.
    pub(crate) fn among(&self, limit: u16) -> Among {
        self.owners[usize::from(limit)].0
    }

    /// The number of a kind, if it has limits.
    pub(crate) fn kind(&self, name: &str) -> Option<u16> {
        self.kinds.iter().position(|kind| kind.name == name).map(|at| at as u16)
    }

    /// What is let in just now, as far as the pool has a bound for all jobs.
    pub(crate) fn stats(&self) -> QueueStats {
        QueueStats {
            queued: self.used(self.total.jobs),
            weight: self.used(self.total.weight),
            in_flight: self.used(self.total.in_flight),
            waiting: self.limits.num_waiting(),
            is_high: self.marks.as_ref().is_some_and(Marks::is_high),
            refused: self.refused.load(Ordering::Relaxed),
            beyond: self.beyond.load(Ordering::Relaxed),
        }
    }

    fn used(&self, limit: Option<u16>) -> Option<u64> {
        let tokens = self.limits.tokens(limit?);
        Some((tokens.limit() as i64 - tokens.left()).max(0) as u64)
    }

    /// Whether a job of which nothing is said would be let in.
    pub(crate) fn has_room(&self) -> bool {
        let fits = |need: &Need| self.limits.tokens(need.limit).left() >= need.amount as i64;
        self.plain.iter().all(fits)
    }

    // ---- in and out

    /// Lets a job in, if there is room. Else the limit that is in the way.
    #[inline]
    pub(crate) fn try_enter(&self, ticket: &Ticket, shard: usize) -> Result<(), u16> {
        let entered = if *ticket == Ticket::PLAIN {
            self.limits.try_enter(&self.plain, shard)
        } else {
            self.limits.try_enter(&self.needs(ticket), shard)
        };
        self.look();
        entered
    }

    /// Lets a job in, or has it stand in line.
    pub(crate) fn enter(&self, ticket: &Ticket, shard: usize) -> Entered {
        let entered = self.limits.enter(&self.needs(ticket), shard);
        self.look();
        entered
    }

    /// Lets a job in that is not to wait, and not to be refused.
    pub(crate) fn force(&self, ticket: &Ticket) {
        self.limits.force(&self.needs(ticket));
        self.beyond.fetch_add(1, Ordering::Relaxed);
        self.look();
    }

    /// As [`Self::force`], for one that is not queued.
    pub(crate) fn force_to_run(&self, ticket: &Ticket) {
        self.limits.force(&self.needs_until(ticket, Until::End));
    }

    /// Lets up to so many jobs in of which nothing is said, and says how many.
    pub(crate) fn enter_many(&self, count: u64) -> u64 {
        let entered = self.limits.enter_many(&self.plain, count);
        self.look();
        entered
    }

    /// Takes back what a job had until then.
    #[inline]
    pub(crate) fn give(&self, ticket: &Ticket, until: Until, shard: usize) {
        match until {
            _ if *ticket != Ticket::PLAIN => {
                self.limits.give(&self.needs_until(ticket, until), shard);
            }
            Until::Start => self.limits.give(&self.plain_until_start, shard),
            Until::End => self.limits.give(&self.plain_until_end, shard),
        }
        self.look();
    }

    /// Somebody waits no more. `true`: it had been let in already.
    pub(crate) fn withdraw(&self, waiter: &Waiter) -> bool {
        self.limits.withdraw(waiter)
    }

    /// Lets nobody stand in line any more.
    pub(crate) fn close(&self) {
        self.limits.close();
    }

    /// Notes that one was refused.
    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    fn look(&self) {
        if let Some(marks) = &self.marks {
            marks.look(self.used(self.total.jobs).unwrap_or(0));
        }
    }

    // ---- time

    /// Whether the first in the queue has waited too long, for a job of this level. `since`: when it
    /// came.
    #[inline]
    pub(crate) fn is_overdue(
        &self,
        level: u8,
        now: impl FnOnce() -> u64,
        since: impl FnOnce() -> Option<u64>,
    ) -> bool {
        let Some(longest) = self.longest_wait else { return false };
        let (now, calm_until) = (now(), &self.calm_until[usize::from(level)]);
        if now <= calm_until.load(Ordering::Relaxed) {
            return false;
        }
        // Whoever is first later has come later. Relaxed: a hint, and it only grows.
        let until = since().unwrap_or(now).saturating_add(longest);
        calm_until.fetch_max(until, Ordering::Relaxed);
        now > until
    }

    /// The rate of a job's kind.
    pub(crate) fn rate(&self, ticket: &Ticket) -> Option<&Bucket> {
        self.kinds[usize::from(ticket.kind?)].rate.as_ref()
    }

    /// What a job needs.
    pub(crate) fn needs(&self, ticket: &Ticket) -> Needs {
        self.made_needs(ticket, |_| true)
    }

    /// What a job needs until then.
    pub(crate) fn needs_until(&self, ticket: &Ticket, until: Until) -> Needs {
        self.made_needs(ticket, |limit| self.owners[usize::from(limit)].1 == until)
    }

    /// The narrow limits come first: who fails there has touched none of the others.
    fn made_needs(&self, ticket: &Ticket, is_one: impl Fn(u16) -> bool) -> Needs {
        let mut needs = Needs::NONE;
        let kind = ticket.kind.map(|kind| &self.kinds[usize::from(kind)].scope);
        let level = &self.levels[usize::from(ticket.level)];
        for scope in kind.into_iter().chain([level, &self.total]) {
            let Scope { jobs, weight, in_flight } = *scope;
            for (limit, amount) in [(jobs, 1), (weight, ticket.weight), (in_flight, 1)] {
                let limit = limit.filter(|&limit| is_one(limit));
                if let (Some(limit), true) = (limit, amount > 0) {
                    // What is heavier than the limit gets in alone.
                    needs.add(limit, amount.min(self.limits.tokens(limit).limit()));
                }
            }
        }
        needs
    }
}
