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

use super::consumers::Consumer;
use super::source::{Blocks, Grain, Source};
use crate::engine::clock;
use crate::engine::registry::Registry;
use crate::engine::site::Site;
use crate::engine::worker::{Alone, Worker};
use crate::job::Context;
use std::sync::atomic::{AtomicBool, Ordering};

/// A loop that takes less wakes nobody: until a sleeper is awake and at work, some 20 us have
/// passed.
pub(super) const WORTH_SHARING_US: u64 = 20;
/// How long a batch of a shared loop takes: the time a thief waits for an answer.
const BATCH_US: u64 = 4;
/// Less than this is not given away: a theft costs about as much.
const WORTH_SPLITTING_US: u64 = 2;
/// The first batch of a loop that is known to be cheap. Small, because the history may be wrong.
const FIRST_BATCH: usize = 2;
/// Where long batches and pieces begin: at a multiple of so many units.
const ROUND: usize = 64;
/// The cost of a unit is kept in ticks times this, so that cheap units have a cost at all.
const SCALE: u64 = 64;

/// What the parts of one loop share.
struct Control<'a> {
    site: Site,
    grain: Grain,
    /// A loop whose units are known to cost less is not split. As `Loop::cost`.
    min_cost: u64,
    /// What the caller's work runs under.
    context: Option<&'a Context<'a>>,
    /// The loop has panicked or was cancelled: its result is lost, so the rest need not run.
    is_stopped: AtomicBool,
    is_cancelled: AtomicBool,
}

impl Control<'_> {
    /// Whether the rest of the loop need not run.
    #[inline]
    fn is_stopped(&self) -> bool {
        // Relaxed: whoever set it unwinds, or is seen to have by the caller, after all joins.
        self.is_stopped.load(Ordering::Relaxed)
            || self.context.is_some_and(|context| self.look(context))
    }

    #[inline(never)]
    fn look(&self, context: &Context<'_>) -> bool {
        let is_cancelled = context.is_cancelled();
        if is_cancelled {
            self.is_cancelled.store(true, Ordering::Relaxed);
            self.is_stopped.store(true, Ordering::Relaxed);
        }
        is_cancelled
    }
}

/// The part of a loop that is still to be done.
struct Loop<'a, S, C> {
    source: S,
    consumer: C,
    control: &'a Control<'a>,
    /// What a unit costs, in ticks times `SCALE`. 0 while nothing is known.
    cost: u64,
}

/// Runs a whole loop.
pub(crate) fn drive<S: Source, C: Consumer<S::Item>>(
    registry: &Registry,
    source: S,
    consumer: C,
) -> C::Out {
    let grain = source.grain();
    let control = Control {
        site: Site::of(drive::<S, C> as fn(&Registry, S, C) -> C::Out as usize),
        min_cost: grain.min_ns.saturating_mul(registry.us(1) * SCALE / 1_000),
        grain,
        // SAFETY: used by the parts of the loop, which we wait for.
        context: unsafe { Context::current() },
        is_stopped: AtomicBool::new(false),
        is_cancelled: AtomicBool::new(false),
    };
    let out = match control.grain.blocks {
        Blocks::All => drive_at_once(registry, &control, source, consumer),
        blocks => drive_in_blocks(registry, &control, blocks, source, consumer),
    };
    if let Some(context) = control.context
        && control.is_cancelled.load(Ordering::Relaxed)
    {
        drop(out);
        context.unwind();
    }
    out
}

#[inline]
fn drive_at_once<S: Source, C: Consumer<S::Item>>(
    registry: &Registry,
    control: &Control<'_>,
    source: S,
    consumer: C,
) -> C::Out {
    let estimate = control.site.estimate();
    let mut whole = Loop { source, consumer, control, cost: estimate.unwrap_or(0) };
    let worth = registry.us(WORTH_SHARING_US);
    let is_short = estimate.is_some() && whole.ticks_left() < worth;
    if is_short || !whole.may_split() {
        let alone = Alone::new(registry);
        if whole.run_alone(registry, worth) {
            return whole.consumer.finish();
        }
        drop(alone);
    }
    registry.enter(move |worker| whole.share(worker))
}

/// Runs a loop block after block.
#[cold]
fn drive_in_blocks<S: Source, C: Consumer<S::Item>>(
    registry: &Registry,
    control: &Control<'_>,
    blocks: Blocks,
    mut source: S,
    mut consumer: C,
) -> C::Out {
    let mut size = match blocks {
        Blocks::Uniform(units) => units.get(),
        _ => registry.width(),
    };
    let mut done: Option<C::Out> = None;
    loop {
        let is_last = source.len() <= size;
        let at = size.min(source.len());
        let (block, rest) = source.split_at(at);
        let (eats_block, eats_rest) = consumer.split_at(at);
        let out = drive_at_once(registry, control, block, eats_block);
        let so_far = match done.take() {
            Some(so_far) => C::merge(so_far, out),
            None => out,
        };
        if is_last || eats_rest.is_full() || control.is_stopped() {
            // What the last consumer has eaten: nothing, but `merge` may want its place.
            return C::merge(so_far, eats_rest.finish());
        }
        done = Some(so_far);
        (source, consumer) = (rest, eats_rest);
        if blocks == Blocks::Exponential {
            size = size.saturating_mul(2);
        }
    }
}

/// Stops the other parts of a loop when one unwinds.
struct Fuse<'a>(&'a Control<'a>);

impl Drop for Fuse<'_> {
    fn drop(&mut self) {
        // Relaxed: tells the others to stop; the panic itself is handed on by the joins.
        self.0.is_stopped.store(true, Ordering::Relaxed);
    }
}

impl<S: Source, C: Consumer<S::Item>> Loop<'_, S, C> {
    /// What the rest will take, as far as is known.
    #[inline]
    fn ticks_left(&self) -> u64 {
        self.cost.saturating_mul(self.source.len() as u64) / SCALE
    }

    /// Eats about `n` units, and says how many it were.
    #[inline(always)]
    fn feed(&mut self, n: usize) -> usize {
        let before = self.source.len();
        self.consumer.feed(self.source.take_front(n));
        if S::EXACT {
            return n;
        }
        // It may eat more, or find that more is left than it thought; or that all is eaten, where it
        // did not know how much there was.
        match self.source.len() {
            0 => n,
            after => n.max(before.saturating_sub(after)),
        }
    }

    #[inline]
    fn is_done(&self) -> bool {
        self.source.is_empty() || self.consumer.is_full() || self.control.is_stopped()
    }

    #[inline]
    fn may_split(&self) -> bool {
        self.source.len() / 2 >= self.control.grain.min.max(1)
            && (self.cost == 0 || self.cost >= self.control.min_cost)
    }

    /// Runs the loop on this thread, unless it turns out to be worth sharing: then `false`.
    fn run_alone(&mut self, registry: &Registry, worth: u64) -> bool {
        let target = registry.us(BATCH_US);
        let start = clock::ticks();
        let (mut batch, mut before) = (FIRST_BATCH, start);
        if self.cost == 0 {
            batch = 1;
        }
        let mut done = 0;
        loop {
            let n = batch.min(self.source.len());
            if n > 0 && !self.is_done() {
                done = self.feed(n).saturating_add(done);
            }
            let now = clock::ticks();
            if self.is_done() {
                self.learn(now.saturating_sub(start), done, registry);
                return true;
            }
            let took = now.saturating_sub(before);
            before = now;
            let elapsed = now.saturating_sub(start);
            if elapsed > target {
                self.cost = cost(elapsed, done);
                if self.ticks_left() > worth && self.may_split() {
                    return false;
                }
                Worker::with_current(|worker| worker.map(Worker::make_way_if_asked));
            }
            batch = self.next_batch(batch, done, took, target);
        }
    }

    /// Eight times what is done by now, or more if that took next to nothing, but not far beyond the
    /// target. Batches begin at round numbers, which spares vectorised bodies unaligned accesses.
    #[inline]
    fn next_batch(&self, batch: usize, done: usize, took: u64, target: u64) -> usize {
        let next = if took < target / 64 {
            done.saturating_mul(63)
        } else if took < target / 8 {
            done.saturating_mul(7)
        } else if took > 2 * target {
            batch / 2
        } else {
            batch.saturating_mul((target / (took + 1)).max(1) as usize)
        };
        let next = if next >= ROUND { next - next % ROUND } else { next };
        next.clamp(1, self.control.grain.max.max(1))
    }

    /// Runs the loop with whoever wants to take part. Its far half is published at once, even if
    /// nobody could take it now: somebody may be free before the first item is done.
    fn share(self, worker: &Worker) -> C::Out {
        self.spread(worker, worker.registry().width().next_power_of_two().ilog2())
    }

    /// Splits the loop into two parts; into one for each worker, in so many levels, if an item may
    /// take long: nobody is answered before the first one is done.
    fn spread(self, worker: &Worker, levels: u32) -> C::Out {
        if levels == 0 || !self.may_split() {
            return self.run(worker);
        }
        let batch = worker.registry().us(BATCH_US);
        let may_be_long = self.cost == 0 || self.cost / SCALE >= batch;
        self.split(worker, if may_be_long { levels - 1 } else { 0 })
    }

    /// Gives the far half away and goes on with the near one.
    fn split(self, worker: &Worker, levels: u32) -> C::Out {
        let Loop { source, consumer, control, cost } = self;
        let mid = source.len().div_ceil(2);
        // Results on either side of the cut should not share a cache line.
        let mid = if mid >= 4 * ROUND { mid - mid % ROUND } else { mid };
        let (near_source, far_source) = source.split_at(mid);
        let (near_consumer, far_consumer) = consumer.split_at(mid);
        let near = Loop { source: near_source, consumer: near_consumer, control, cost };
        let far = Loop { source: far_source, consumer: far_consumer, control, cost };
        let (near, far) = worker.join_shared(
            || near.spread(worker, levels),
            || {
                // Another worker may run this, or this one again.
                Worker::with_current(|worker| match worker {
                    Some(worker) => far.spread(worker, levels),
                    None => unreachable!("forks run on workers"),
                })
            },
        );
        C::merge(near, far)
    }

    /// Runs the loop in batches, and splits it when somebody asks.
    fn run(mut self, worker: &Worker) -> C::Out {
        let registry = worker.registry();
        let target = registry.us(BATCH_US);
        let start = clock::ticks();
        let mut before = start;
        let mut batch = match self.cost {
            0 => 1,
            cost => (target * SCALE / cost).clamp(1, FIRST_BATCH as u64) as usize,
        };
        let fuse = Fuse(self.control);
        let mut done = 0;
        loop {
            let n = batch.min(self.source.len());
            if n > 0 && !self.is_done() {
                done = self.feed(n).saturating_add(done);
            }
            let now = clock::ticks();
            if self.is_done() {
                self.learn(now.saturating_sub(start), done, registry);
                std::mem::forget(fuse);
                return self.consumer.finish();
            }
            let took = now.saturating_sub(before);
            before = now;
            self.cost = cost(now.saturating_sub(start), done);
            worker.make_way_if_asked();
            if worker.is_wanted() {
                if worker.num_private() > 0 {
                    // Forks further down are older, and so bigger.
                    worker.answer();
                } else if self.may_split() && self.ticks_left() > registry.us(WORTH_SPLITTING_US) {
                    worker.answer();
                    std::mem::forget(fuse);
                    return self.split(worker, 0);
                }
            }
            batch = self.next_batch(batch, done, took, target);
        }
    }

    /// Keeps what the units have cost for the next loop from this site. What a very short loop
    /// measures is mostly the clock: an upper bound, which counts only if it is below what is
    /// known.
    fn learn(&self, elapsed: u64, done: usize, registry: &Registry) {
        if done == 0 {
            return;
        }
        let is_less =
            |known: u64| elapsed.saturating_mul(SCALE) < known.saturating_mul(done as u64);
        if elapsed > registry.us(1) || self.control.site.estimate().is_none_or(is_less) {
            self.control.site.record(cost(elapsed, done));
        }
    }
}

/// At least 1, so that 0 can say "unknown".
#[inline]
fn cost(elapsed: u64, units: usize) -> u64 {
    (elapsed.saturating_mul(SCALE) / units.max(1) as u64).max(1)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// Eats nine units a time, whatever it is asked for.
    struct Greedy(usize);

    // SAFETY: not exact.
    unsafe impl Source for Greedy {
        type Item = ();
        const EXACT: bool = false;
        fn len(&self) -> usize {
            self.0
        }
        fn split_at(self, index: usize) -> (Self, Self) {
            (Greedy(index), Greedy(self.0 - index))
        }
        fn take_front(&mut self, _: usize) -> impl Iterator<Item = ()> {
            let eaten = self.0.min(9);
            self.0 -= eaten;
            std::iter::repeat_n((), eaten)
        }
    }

    #[test]
    fn units_beyond_those_asked_for_are_counted() {
        let control = Control {
            site: Site::of(0),
            grain: Grain::default(),
            min_cost: 0,
            context: None,
            is_stopped: AtomicBool::new(false),
            is_cancelled: AtomicBool::new(false),
        };
        let consumer = crate::par::consumers::Count(0);
        let mut whole = Loop { source: Greedy(18), consumer, control: &control, cost: 0 };
        assert_eq!(whole.feed(2), 9);
        // What is gone at the end need not have been there.
        assert_eq!(whole.feed(2), 2);
        assert_eq!(Consumer::<()>::finish(whole.consumer), 18);
    }
}
