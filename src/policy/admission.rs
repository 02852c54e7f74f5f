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
//! | `limits` | what may be said of a pool's limits |

mod limits;
mod line;
#[cfg(loom)]
pub(crate) mod model;
mod tokens;

pub use limits::{Bound, QueueLimits, QueueStats, WhenFull};
pub(crate) use line::{Entered, Limits, Need, Verdict, Waiter};

use crate::Priority;
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
    /// Until when the tokens of each limit are kept.
    until: Box<[Until]>,
    total: Scope,
    levels: [Scope; Priority::ALL.len()],
    kinds: Box<[(String, Scope)]>,
    /// What jobs need of which nothing is said.
    plain: Needs,
    plain_until_start: Needs,
    plain_until_end: Needs,
    when_full: WhenFull,
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
        let (mut tokens, mut until) = (Vec::new(), Vec::new());
        let mut scope = |bound: &Bound| {
            let mut add = |limit: Option<u64>, kept| {
                limit.map(|limit| {
                    tokens.push(Tokens::new(limit, shards, false));
                    until.push(kept);
                    (tokens.len() - 1) as u16
                })
            };
            Scope {
                jobs: add(bound.jobs, Until::Start),
                weight: add(bound.weight, Until::End),
                in_flight: add(bound.in_flight, Until::End),
            }
        };
        let total = scope(&asked.total);
        let levels = std::array::from_fn(|level| scope(&asked.levels[level]));
        let kinds = asked.kinds.iter().map(|(name, bound)| (name.clone(), scope(bound)));
        let kinds = kinds.collect();
        let mut this = Admission {
            limits: Limits::new(tokens),
            until: until.into(),
            total,
            levels,
            kinds,
            plain: Needs::NONE,
            plain_until_start: Needs::NONE,
            plain_until_end: Needs::NONE,
            when_full: asked.when_full,
        };
        this.plain = this.needs(&Ticket::PLAIN);
        this.plain_until_start = this.needs_until(&Ticket::PLAIN, Until::Start);
        this.plain_until_end = this.needs_until(&Ticket::PLAIN, Until::End);
        this
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What is let in just now, as far as the pool has a bound for all jobs.
    pub(crate) fn stats(&self) -> QueueStats {
        let used = |limit: Option<u16>| {
            let tokens = self.limits.tokens(limit?);
            Some((tokens.limit() as i64 - tokens.left()).max(0) as u64)
        };
        QueueStats {
            queued: used(self.total.jobs),
            weight: used(self.total.weight),
            in_flight: used(self.total.in_flight),
            waiting: self.limits.num_waiting(),
        }
    }

    pub(crate) fn when_full(&self) -> WhenFull {
        self.when_full
    }

    /// The number of a kind, if it has limits.
    pub(crate) fn kind(&self, name: &str) -> Option<u16> {
        self.kinds.iter().position(|(kind, _)| kind == name).map(|at| at as u16)
    }

    /// Lets a job in, if there is room.
    #[inline]
    pub(crate) fn try_enter(&self, ticket: &Ticket, shard: usize) -> bool {
        if *ticket == Ticket::PLAIN {
            self.limits.try_enter(&self.plain, shard).is_ok()
        } else {
            self.limits.try_enter(&self.needs(ticket), shard).is_ok()
        }
    }

    /// Lets up to so many jobs in of which nothing is said, and says how many.
    pub(crate) fn enter_many(&self, count: u64) -> u64 {
        self.limits.enter_many(&self.plain, count)
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
    }

    /// What a job needs.
    pub(crate) fn needs(&self, ticket: &Ticket) -> Needs {
        self.made_needs(ticket, |_| true)
    }

    /// What a job needs until then.
    pub(crate) fn needs_until(&self, ticket: &Ticket, until: Until) -> Needs {
        self.made_needs(ticket, |limit| self.until[usize::from(limit)] == until)
    }

    /// The narrow limits come first: who fails there has touched none of the others.
    fn made_needs(&self, ticket: &Ticket, is_one: impl Fn(u16) -> bool) -> Needs {
        let mut needs = Needs::NONE;
        let kind = ticket.kind.map(|kind| &self.kinds[usize::from(kind)].1);
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
