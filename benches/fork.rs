//! What does a fork cost?
//!
//! Two recursions that fork at every step, without a cut-off: `fib`, the smallest work there is
//! between two forks, and the sum of a small tree in memory. *Hot*: the pool is entered once and
//! the calls follow each other inside. *Cold*: every call enters the pool from the main thread.
//! The throughput is forks a second; what a fork costs is the difference to `sequential`.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::hint::black_box;
use std::time::Duration;

/// A recursion, written once for all engines.
trait Recursion: Sync {
    /// How many forks it makes.
    fn forks(&self) -> u64;
    fn run<E: Engine>(&self) -> u64;
}

/// Runs `a`, then `b`, or both at once.
trait Engine {
    fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send)
    -> (A, B);
}

struct Sequential;
impl Engine for Sequential {
    #[inline]
    fn join<A, B>(a: impl FnOnce() -> A, b: impl FnOnce() -> B) -> (A, B) {
        (a(), b())
    }
}

struct Windlass;
impl Engine for Windlass {
    #[inline]
    fn join<A: Send, B: Send>(
        a: impl FnOnce() -> A + Send,
        b: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        windlass::join(a, b)
    }
}

struct Rayon;
impl Engine for Rayon {
    #[inline]
    fn join<A: Send, B: Send>(
        a: impl FnOnce() -> A + Send,
        b: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        rayon::join(a, b)
    }
}

struct Fib(u64);

fn fib<E: Engine>(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (a, b) = E::join(|| fib::<E>(n - 1), || fib::<E>(n - 2));
    a + b
}

impl Recursion for Fib {
    fn forks(&self) -> u64 {
        // One for each call above the leaves, of which there are fib(n + 1).
        fib::<Sequential>(self.0 + 1) - 1
    }

    fn run<E: Engine>(&self) -> u64 {
        fib::<E>(black_box(self.0))
    }
}

/// A balanced tree of `values.len()` nodes: the root in the middle, a subtree to each side.
struct Tree {
    values: Vec<u64>,
}

fn sum<E: Engine>(values: &[u64]) -> u64 {
    if values.is_empty() {
        return 0;
    }
    let (left, rest) = values.split_at(values.len() / 2);
    let (left, right) = E::join(|| sum::<E>(left), || sum::<E>(&rest[1..]));
    left + rest[0] + right
}

impl Recursion for Tree {
    fn forks(&self) -> u64 {
        self.values.len() as u64
    }

    fn run<E: Engine>(&self) -> u64 {
        sum::<E>(black_box(&self.values))
    }
}

struct Pools {
    workers: usize,
    windlass: windlass::Pool,
    rayon: rayon::ThreadPool,
}

impl Pools {
    fn new(workers: usize) -> Pools {
        let windlass = windlass::Pool::new(workers).expect("the threads start");
        let rayon = rayon::ThreadPoolBuilder::new().num_threads(workers).build();
        Pools { workers, windlass, rayon: rayon.expect("the threads start") }
    }
}

fn group<'a>(c: &'a mut Criterion, name: &str, forks: u64) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(forks));
    group
}

fn hot(c: &mut Criterion, name: &str, work: &impl Recursion, pools: &[Pools]) {
    let mut group = group(c, &format!("{name}, hot"), work.forks());
    group.bench_function("sequential", |b| b.iter(|| work.run::<Sequential>()));
    for Pools { workers, windlass, rayon } in pools {
        group.bench_function(format!("windlass/{workers}"), |b| {
            windlass.install(|| b.iter(|| work.run::<Windlass>()));
        });
        group.bench_function(format!("rayon/{workers}"), |b| {
            rayon.install(|| b.iter(|| work.run::<Rayon>()));
        });
    }
    group.finish();
}

fn cold(c: &mut Criterion, name: &str, work: &impl Recursion, pools: &[Pools]) {
    let mut group = group(c, &format!("{name}, cold"), work.forks());
    group.bench_function("sequential", |b| b.iter(|| work.run::<Sequential>()));
    for Pools { workers, windlass, rayon } in pools {
        group.bench_function(format!("windlass/{workers}"), |b| {
            b.iter(|| windlass.install(|| work.run::<Windlass>()));
        });
        group.bench_function(format!("rayon/{workers}"), |b| {
            b.iter(|| rayon.install(|| work.run::<Rayon>()));
        });
    }
    group.finish();
}

fn main() {
    let mut c = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut pools = vec![Pools::new(1)];
    if cores > 1 {
        pools.push(Pools::new(cores));
    }
    let tree = Tree { values: (1..1024).collect() };
    hot(&mut c, "fib(20)", &Fib(20), &pools);
    hot(&mut c, "tree of 1023", &tree, &pools);
    cold(&mut c, "tree of 1023", &tree, &pools);
    c.final_summary();
}
