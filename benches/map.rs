//! Is a parallel loop ever a bad idea?
//!
//! `&[u64]` to `Vec<u64>`, called from the main thread: a few lengths times a few costs of an item.
//! The shortest loops ask what the call itself costs over the plain loop, the longest ones whether
//! all cores are used. Rayon runs as one writes it first, without a hand-set minimal length.

use criterion::{Criterion, Throughput};
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Duration;

/// What an item costs: its name, its nominal ns, its rounds of `mix`.
const BODIES: [(&str, f64, u32); 3] =
    [("0.5 ns", 0.5, 0), ("5 ns", 5.0, 12), ("100 ns", 100.0, 85)];

const LENGTHS: [usize; 4] = [10, 1_000, 30_000, 1_000_000];

/// Longer loops than this, in nominal ns, would say nothing new.
const LONGEST_NS: f64 = 6e6;

/// Rounds of multiply and xorshift, each waiting for the one before.
fn mix(mut x: u64, rounds: u32) -> u64 {
    for _ in 0..rounds {
        x = (x ^ (x >> 29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    x
}

struct Pools {
    windlass: windlass::Pool,
    rayon: rayon::ThreadPool,
}

impl Pools {
    fn cell<F>(&self, c: &mut Criterion, name: &str, items: &[u64], f: F)
    where
        F: Fn(&u64) -> u64 + Copy + Send + Sync,
    {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(items.len() as u64));
        group.bench_function("sequential", |b| {
            b.iter(|| black_box(items).iter().map(f).collect::<Vec<_>>());
        });
        group.bench_function("windlass", |b| b.iter(|| self.windlass.par_map(black_box(items), f)));
        group.bench_function("rayon", |b| {
            b.iter(|| {
                let map = black_box(items).par_iter().map(f);
                self.rayon.install(|| map.collect::<Vec<_>>())
            });
        });
        group.finish();
    }
}

fn main() {
    let mut c = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let windlass = windlass::Pool::new(workers).expect("the threads start");
    let rayon = rayon::ThreadPoolBuilder::new().num_threads(workers).build();
    let pools = Pools { windlass, rayon: rayon.expect("the threads start") };
    for length in LENGTHS {
        let items: Vec<u64> = (0..length as u64).collect();
        for (cost, ns, rounds) in BODIES {
            let name = format!("map, {length} x {cost}");
            if length as f64 * ns > LONGEST_NS {
                continue;
            }
            // A closure of its own, which the compiler vectorises.
            match rounds {
                0 => pools.cell(&mut c, &name, &items, |x| x.wrapping_mul(3).wrapping_add(1)),
                _ => pools.cell(&mut c, &name, &items, move |x| mix(*x, rounds)),
            }
        }
    }
    c.final_summary();
}
