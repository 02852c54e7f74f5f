//! The loop: sequential start, then lazy binary splitting (Tzannes et al., PPoPP 2010).
//!
//! A loop of unknown length in time must neither pay for a wake that it is too short for, nor run
//! alone when it is long. What its call site has cost per item lately says which
//! (`engine/site.rs`):
//!
//! 1. Without history, or when length times cost is worth a wake: the far half is published and a
//!    sleeper woken before the first item.
//! 2. Otherwise the caller runs it alone, in batches that grow from one item, with a look at the
//!    clock after each. If what is left turns out to be worth a wake after all, it goes on with 1.
//!
//! A loop that is shared runs in batches of a few microseconds. Between two batches it looks at one
//! word: if somebody wants work, it gives the far half of what is left away, as the second half of
//! a join. So there is no chunk size, no threshold argument, and a piece is split only if somebody
//! asked.

use super::consume::Consumer;
use super::source::Source;
use crate::engine::clock;
use crate::engine::registry::Registry;
use crate::engine::site::Site;
use crate::engine::worker::{Alone, Worker};

/// A loop that takes less wakes nobody: until a sleeper is awake and at work, some 20 us have
/// passed.
const WORTH_SHARING_US: u64 = 20;
/// How long a batch of a shared loop takes: the time a thief waits for an answer.
const BATCH_US: u64 = 4;
/// Less than this is not given away: a theft costs about as much.
const WORTH_SPLITTING_US: u64 = 2;
/// The first batch of a loop that is known to be cheap. Small, because the history may be wrong.
const FIRST_BATCH: usize = 2;
/// The cost of an item is kept in ticks times this, so that cheap items have a cost at all.
const SCALE: u64 = 64;

/// The part of a loop that is still to be done.
struct Loop<S, C> {
    source: S,
    consumer: C,
    site: Site,
    /// What an item costs, in ticks times `SCALE`. 0 while nothing is known.
    cost: u64,
}

/// Runs a whole loop.
pub(crate) fn drive<S: Source, C: Consumer<S::Item>>(
    registry: &Registry,
    source: S,
    consumer: C,
) -> C::Out {
    let site = Site::of(drive::<S, C> as fn(&Registry, S, C) -> C::Out as usize);
    let estimate = site.estimate();
    let mut whole = Loop { source, consumer, site, cost: estimate.unwrap_or(0) };
    let worth = registry.us(WORTH_SHARING_US);
    let is_short = estimate.is_some() && whole.ticks_left() < worth;
    if is_short || whole.source.len() < 2 {
        let alone = Alone::new(registry);
        if whole.run_alone(registry, worth) {
            return whole.consumer.finish();
        }
        drop(alone);
    }
    registry.enter(move |worker| whole.share(worker))
}

impl<S: Source, C: Consumer<S::Item>> Loop<S, C> {
    /// What the rest will take, as far as is known.
    #[inline]
    fn ticks_left(&self) -> u64 {
        self.cost.saturating_mul(self.source.len() as u64) / SCALE
    }

    #[inline(always)]
    fn feed(&mut self, n: usize) {
        self.consumer.feed(self.source.take_front(n), n);
    }

    #[inline]
    fn is_done(&self) -> bool {
        self.source.len() == 0 || self.consumer.is_full()
    }

    /// Runs the loop on this thread, unless it turns out to be worth sharing: then `false`.
    fn run_alone(&mut self, registry: &Registry, worth: u64) -> bool {
        let len = self.source.len();
        let target = registry.us(BATCH_US);
        let start = clock::ticks();
        let (mut batch, mut before) = (FIRST_BATCH, start);
        if self.cost == 0 {
            batch = 1;
        }
        loop {
            let n = batch.min(self.source.len());
            self.feed(n);
            let now = clock::ticks();
            if self.is_done() {
                self.learn(now.saturating_sub(start), len - self.source.len(), registry);
                return true;
            }
            let took = now.saturating_sub(before);
            before = now;
            let elapsed = now.saturating_sub(start);
            if elapsed > target {
                self.cost = cost(elapsed, len - self.source.len());
                if self.ticks_left() > worth {
                    return false;
                }
            }
            // Eight times as many, but not far beyond the target.
            let room = target / (took + 1);
            batch = if room >= 8 { batch * 8 } else { (batch * room.max(1) as usize).max(1) };
        }
    }

    /// Runs the loop with whoever wants to take part. Its far half is published at once, even if
    /// nobody could take it now: somebody may be free before the first item is done.
    fn share(self, worker: &Worker) -> C::Out {
        if self.source.len() < 2 { self.run(worker) } else { self.split(worker) }
    }

    /// Gives the far half away and goes on with the near one.
    fn split(self, worker: &Worker) -> C::Out {
        let Loop { source, consumer, site, cost } = self;
        let mid = source.len().div_ceil(2);
        let (near_source, far_source) = source.split_at(mid);
        let (near_consumer, far_consumer) = consumer.split_at(mid);
        let near = Loop { source: near_source, consumer: near_consumer, site, cost };
        let far = Loop { source: far_source, consumer: far_consumer, site, cost };
        let (near, far) = worker.join_shared(
            || near.run(worker),
            || {
                // Another worker may run this, or this one again.
                Worker::with_current(|worker| match worker {
                    Some(worker) => far.run(worker),
                    None => unreachable!("forks run on workers"),
                })
            },
        );
        C::merge(near, far)
    }

    /// Runs the loop in batches, and splits it when somebody asks.
    fn run(mut self, worker: &Worker) -> C::Out {
        let registry = worker.registry();
        let len = self.source.len();
        let target = registry.us(BATCH_US);
        let start = clock::ticks();
        let mut before = start;
        let mut batch = match self.cost {
            0 => 1,
            cost => (target * SCALE / cost).clamp(1, FIRST_BATCH as u64) as usize,
        };
        loop {
            let n = batch.min(self.source.len());
            if n > 0 {
                self.feed(n);
            }
            let now = clock::ticks();
            let done = len - self.source.len();
            if self.is_done() {
                self.learn(now.saturating_sub(start), done, registry);
                return self.consumer.finish();
            }
            let took = now.saturating_sub(before);
            before = now;
            self.cost = cost(now.saturating_sub(start), done);
            if worker.is_wanted() {
                if worker.num_private() > 0 {
                    // Forks further down are older, and so bigger.
                    worker.answer();
                } else if self.source.len() > 1
                    && self.ticks_left() > registry.us(WORTH_SPLITTING_US)
                {
                    worker.answer();
                    return self.split(worker);
                }
            }
            let room = target / (took + 1);
            batch = if room >= 8 { batch * 8 } else { (batch * room.max(1) as usize).max(1) };
            if took > 2 * target {
                batch = (batch / 2).max(1);
            }
        }
    }

    /// Keeps what the items have cost for the next loop from this site. What a very short loop
    /// measures is mostly the clock: an upper bound, which counts only if it is below what is
    /// known.
    fn learn(&self, elapsed: u64, done: usize, registry: &Registry) {
        if done == 0 {
            return;
        }
        let cost = cost(elapsed, done);
        if elapsed > registry.us(1) || self.site.estimate().is_none_or(|known| cost < known) {
            self.site.record(cost);
        }
    }
}

/// At least 1, so that 0 can say "unknown".
fn cost(elapsed: u64, items: usize) -> u64 {
    (elapsed.saturating_mul(SCALE) / items.max(1) as u64).max(1)
}
