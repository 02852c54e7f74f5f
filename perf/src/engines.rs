//! One small adaptor per engine: its pool, its fork-join and its loops, each used at its best.

use clap::ValueEnum;
use serde::Serialize;
use std::cell::RefCell;
use std::num::NonZeroUsize;

/// An engine, in the order of the tables' columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Engine {
    /// The plain loop or recursion on one thread.
    Seq,
    Windlass,
    /// Schedules of Windlass, where `Windlass` is its timer alone.
    WindlassJobs,
    /// Windlass as before, where the one beside it has limits.
    Unlimited,
    Rayon,
    /// Rayon with `with_min_len` set by hand, knowing what an item costs.
    RayonTuned,
    Chili,
    Paralight,
    Orx,
    Tokio,
    /// tokio's `spawn_blocking`.
    TokioBlocking,
    Threadpool,
    RustyPool,
    Affinitypool,
    /// Threads that take boxed closures from a standard channel.
    Channel,
    /// A scope with counters, written by hand.
    RayonByHand,
    Dagx,
    /// oneTBB's flow graph, a program of its own.
    Tbb,
    /// A binary heap of deadlines behind a lock.
    Heap,
}

impl Engine {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine::Seq => "seq",
            Engine::Windlass => "windlass",
            Engine::WindlassJobs => "windlass-jobs",
            Engine::Unlimited => "unlimited",
            Engine::Rayon => "rayon",
            Engine::RayonTuned => "rayon-tuned",
            Engine::Chili => "chili",
            Engine::Paralight => "paralight",
            Engine::Orx => "orx",
            Engine::Tokio => "tokio",
            Engine::TokioBlocking => "tokio-blocking",
            Engine::Threadpool => "threadpool",
            Engine::RustyPool => "rusty-pool",
            Engine::Affinitypool => "affinitypool",
            Engine::Channel => "channel",
            Engine::RayonByHand => "rayon-by-hand",
            Engine::Dagx => "dagx",
            Engine::Tbb => "tbb",
            Engine::Heap => "heap",
        }
    }

    pub(crate) fn is_peer(self) -> bool {
        use Engine::{Seq, Unlimited, Windlass, WindlassJobs};
        !matches!(self, Seq | Windlass | WindlassJobs | Unlimited)
    }
}

/// One pool of every engine, all with the same number of threads at work, built once per worker
/// count and kept while every case runs. Only one is used at a time and the others cost nothing:
/// rayon's, paralight's and orx's idle threads block on a condition variable. chili adds a
/// heartbeat thread, but that one too blocks while no `Scope` from outside is open; it ticks only
/// from the opening of a scope until one tick after its end. So the chili pool stays built like
/// the others, and what must not happen is a scope that outlives its sample: `Chili::enter` is
/// the only place that opens one, and the rest between samples covers the last tick. The idle
/// suite shows for every engine whether this holds.
pub(crate) struct Pools {
    pub(crate) windlass: windlass::Pool,
    pub(crate) rayon: rayon::ThreadPool,
    pub(crate) chili: chili::ThreadPool,
    /// Paralight advises one strategy for even work and the other for uneven work; each case
    /// uses the one advised for it. A pool is used by `&mut`, hence the cells.
    pub(crate) paralight_fixed: RefCell<paralight::threads::ThreadPool>,
    pub(crate) paralight_stealing: RefCell<paralight::threads::ThreadPool>,
    pub(crate) orx: OrxPool,
}

impl Pools {
    pub(crate) fn build(workers: usize) -> Pools {
        Pools {
            windlass: windlass_pool(workers),
            rayon: rayon_pool(workers),
            chili: chili_pool(workers),
            paralight_fixed: RefCell::new(paralight_pool(workers, true)),
            paralight_stealing: RefCell::new(paralight_pool(workers, false)),
            orx: OrxPool::build(workers),
        }
    }
}

pub(crate) fn windlass_pool(workers: usize) -> windlass::Pool {
    windlass::Pool::new(workers).expect("windlass pool")
}

pub(crate) fn rayon_pool(workers: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("rayon pool")
}

/// chili counts the calling thread: a pool of n starts n - 1 threads (and the heartbeat).
pub(crate) fn chili_pool(workers: usize) -> chili::ThreadPool {
    let thread_count = NonZeroUsize::new(workers);
    chili::ThreadPool::with_config(chili::Config { thread_count, ..Default::default() })
}

pub(crate) fn paralight_pool(workers: usize, fixed: bool) -> paralight::threads::ThreadPool {
    use paralight::threads::{CpuPinningPolicy, RangeStrategy, ThreadCount, ThreadPoolBuilder};
    let range_strategy = if fixed { RangeStrategy::Fixed } else { RangeStrategy::WorkStealing };
    let num_threads = ThreadCount::try_from(workers).expect("at least one worker");
    let cpu_pinning = CpuPinningPolicy::No;
    ThreadPoolBuilder { num_threads, range_strategy, cpu_pinning }.build()
}

/// orx's own persistent pool. It never has more threads than the machine has cores, whatever is
/// asked for. Naming any `par()` also starts orx's global pool, whose threads sleep unused.
pub(crate) struct OrxPool {
    pool: orx_parallel::BasicPool,
    workers: usize,
}

impl OrxPool {
    pub(crate) fn build(workers: usize) -> OrxPool {
        OrxPool { pool: orx_parallel::Pool::basic(workers), workers }
    }
}

/// An engine that forks. `Ctx` is what it hands down the recursion (chili's scope, else nothing).
pub(crate) trait Fork {
    const ENGINE: Engine;
    type Ctx<'s>;

    /// Enters the pool from outside and runs `f` in it.
    fn enter<R: Send>(pools: &Pools, f: impl FnOnce(&mut Self::Ctx<'_>) -> R + Send) -> R;

    /// Runs both, perhaps at the same time; on one thread `a` runs before `b` in every engine.
    fn join<RA: Send, RB: Send>(
        ctx: &mut Self::Ctx<'_>,
        a: impl FnOnce(&mut Self::Ctx<'_>) -> RA + Send,
        b: impl FnOnce(&mut Self::Ctx<'_>) -> RB + Send,
    ) -> (RA, RB);
}

pub(crate) struct Seq;

impl Fork for Seq {
    const ENGINE: Engine = Engine::Seq;
    type Ctx<'s> = ();

    fn enter<R: Send>(_: &Pools, f: impl FnOnce(&mut ()) -> R + Send) -> R {
        f(&mut ())
    }

    #[inline]
    fn join<RA: Send, RB: Send>(
        ctx: &mut (),
        a: impl FnOnce(&mut ()) -> RA + Send,
        b: impl FnOnce(&mut ()) -> RB + Send,
    ) -> (RA, RB) {
        (a(ctx), b(ctx))
    }
}

pub(crate) struct Windlass;

impl Fork for Windlass {
    const ENGINE: Engine = Engine::Windlass;
    type Ctx<'s> = ();

    fn enter<R: Send>(pools: &Pools, f: impl FnOnce(&mut ()) -> R + Send) -> R {
        pools.windlass.install(|| f(&mut ()))
    }

    #[inline]
    fn join<RA: Send, RB: Send>(
        _: &mut (),
        a: impl FnOnce(&mut ()) -> RA + Send,
        b: impl FnOnce(&mut ()) -> RB + Send,
    ) -> (RA, RB) {
        windlass::join(|| a(&mut ()), || b(&mut ()))
    }
}

pub(crate) struct Rayon;

impl Fork for Rayon {
    const ENGINE: Engine = Engine::Rayon;
    type Ctx<'s> = ();

    fn enter<R: Send>(pools: &Pools, f: impl FnOnce(&mut ()) -> R + Send) -> R {
        pools.rayon.install(|| f(&mut ()))
    }

    #[inline]
    fn join<RA: Send, RB: Send>(
        _: &mut (),
        a: impl FnOnce(&mut ()) -> RA + Send,
        b: impl FnOnce(&mut ()) -> RB + Send,
    ) -> (RA, RB) {
        rayon::join(|| a(&mut ()), || b(&mut ()))
    }
}

pub(crate) struct Chili;

impl Fork for Chili {
    const ENGINE: Engine = Engine::Chili;
    type Ctx<'s> = chili::Scope<'s>;

    fn enter<R: Send>(pools: &Pools, f: impl FnOnce(&mut chili::Scope<'_>) -> R + Send) -> R {
        f(&mut pools.chili.scope())
    }

    /// chili queues its first closure and runs its second at once, the other way round from
    /// the rest. The arguments are swapped so that it walks a tree in the same order, which is
    /// the order the tree lies in memory.
    #[inline]
    fn join<RA: Send, RB: Send>(
        ctx: &mut chili::Scope<'_>,
        a: impl FnOnce(&mut chili::Scope<'_>) -> RA + Send,
        b: impl FnOnce(&mut chili::Scope<'_>) -> RB + Send,
    ) -> (RA, RB) {
        let (rb, ra) = ctx.join(b, a);
        (ra, rb)
    }
}

/// Runs in sequence and counts the forks: how the suites learn a case's number of forks.
pub(crate) struct Counting;

impl Fork for Counting {
    const ENGINE: Engine = Engine::Seq;
    type Ctx<'s> = u64;

    fn enter<R: Send>(_: &Pools, f: impl FnOnce(&mut u64) -> R + Send) -> R {
        f(&mut 0)
    }

    fn join<RA: Send, RB: Send>(
        ctx: &mut u64,
        a: impl FnOnce(&mut u64) -> RA + Send,
        b: impl FnOnce(&mut u64) -> RB + Send,
    ) -> (RA, RB) {
        *ctx += 1;
        (a(ctx), b(ctx))
    }
}

/// An engine that loops over a slice, called from a plain thread outside its pool.
pub(crate) trait Loops {
    fn map<F: Fn(&u64) -> u64 + Sync + Send + Copy>(&mut self, items: &[u64], f: F) -> Vec<u64>;
    fn for_each<F: Fn(&u64) + Sync + Send + Copy>(&mut self, items: &[u64], f: F);
}

pub(crate) struct SeqLoops;

impl Loops for SeqLoops {
    fn map<F: Fn(&u64) -> u64 + Sync + Send + Copy>(&mut self, items: &[u64], f: F) -> Vec<u64> {
        items.iter().map(f).collect()
    }

    fn for_each<F: Fn(&u64) + Sync + Send + Copy>(&mut self, items: &[u64], f: F) {
        items.iter().for_each(f);
    }
}

impl Loops for &windlass::Pool {
    fn map<F: Fn(&u64) -> u64 + Sync + Send + Copy>(&mut self, items: &[u64], f: F) -> Vec<u64> {
        self.par_map(items, f)
    }

    fn for_each<F: Fn(&u64) + Sync + Send + Copy>(&mut self, items: &[u64], f: F) {
        self.par_for_each(items, f);
    }
}

/// Rayon's loops; `min_len` above 1 is the form tuned by hand.
pub(crate) struct RayonLoops<'p> {
    pub(crate) pool: &'p rayon::ThreadPool,
    pub(crate) min_len: usize,
}

impl Loops for RayonLoops<'_> {
    fn map<F: Fn(&u64) -> u64 + Sync + Send + Copy>(&mut self, items: &[u64], f: F) -> Vec<u64> {
        use rayon::prelude::*;
        self.pool.install(|| items.par_iter().with_min_len(self.min_len).map(f).collect())
    }

    fn for_each<F: Fn(&u64) + Sync + Send + Copy>(&mut self, items: &[u64], f: F) {
        use rayon::prelude::*;
        self.pool.install(|| items.par_iter().with_min_len(self.min_len).for_each(f));
    }
}

impl Loops for &mut paralight::threads::ThreadPool {
    fn map<F: Fn(&u64) -> u64 + Sync + Send + Copy>(&mut self, items: &[u64], f: F) -> Vec<u64> {
        use paralight::prelude::*;
        items.par_iter().map(f).with_thread_pool(&mut **self).collect()
    }

    fn for_each<F: Fn(&u64) + Sync + Send + Copy>(&mut self, items: &[u64], f: F) {
        use paralight::prelude::*;
        items.par_iter().with_thread_pool(&mut **self).for_each(f);
    }
}

/// orx's loops. Its default runner learns the chunk size while it runs; for even work it advises
/// the fixed one, which is the faster of the two there. `num_threads` is passed as well as the
/// pool: at one thread orx then runs the plain loop on the caller.
pub(crate) struct OrxLoops<'p> {
    pub(crate) orx: &'p OrxPool,
    pub(crate) fixed: bool,
}

impl Loops for OrxLoops<'_> {
    fn map<F: Fn(&u64) -> u64 + Sync + Send + Copy>(&mut self, items: &[u64], f: F) -> Vec<u64> {
        use orx_parallel::{Par, Parallelizable, Runner};
        let par = items.par().num_threads(self.orx.workers);
        if self.fixed {
            par.runner(Runner::fixed_with_pool(&self.orx.pool)).map(f).collect()
        } else {
            par.runner(Runner::adaptive_with_pool(&self.orx.pool)).map(f).collect()
        }
    }

    fn for_each<F: Fn(&u64) + Sync + Send + Copy>(&mut self, items: &[u64], f: F) {
        use orx_parallel::{Par, Parallelizable, Runner};
        let par = items.par().num_threads(self.orx.workers);
        if self.fixed {
            par.runner(Runner::fixed_with_pool(&self.orx.pool)).for_each(f);
        } else {
            par.runner(Runner::adaptive_with_pool(&self.orx.pool)).for_each(f);
        }
    }
}
