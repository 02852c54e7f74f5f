//! What does it cost to enter a pool?
//!
//! Calls that do nothing, from a thread outside the pool, back to back: `install`, `join` of two
//! empty closures, `scope` with one empty task. In Windlass the caller takes part; rayon hands the
//! closure to one of its threads and waits for it. The tails and the calls on a sleeping pool are in
//! `perf`'s `latency` suite.

use criterion::Criterion;
use std::hint::black_box;
use std::time::Duration;

fn main() {
    let mut c = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let windlass = windlass::Pool::new(workers).expect("the threads start");
    let rayon = rayon::ThreadPoolBuilder::new().num_threads(workers).build();
    let rayon = rayon.expect("the threads start");

    let mut group = c.benchmark_group("install");
    group.bench_function("windlass", |b| b.iter(|| windlass.install(|| black_box(1))));
    group.bench_function("rayon", |b| b.iter(|| rayon.install(|| black_box(1))));
    group.finish();

    let mut group = c.benchmark_group("join");
    group.bench_function("windlass", |b| {
        b.iter(|| windlass.join(|| black_box(1), || black_box(2)));
    });
    group.bench_function("rayon", |b| b.iter(|| rayon.join(|| black_box(1), || black_box(2))));
    group.finish();

    let mut group = c.benchmark_group("scope + spawn");
    group.bench_function("windlass", |b| {
        b.iter(|| windlass.scope(|s| s.spawn(|_| _ = black_box(1))));
    });
    group.bench_function("rayon", |b| {
        b.iter(|| rayon.scope(|s| s.spawn(|_| _ = black_box(1))));
    });
    group.finish();

    c.final_summary();
}
