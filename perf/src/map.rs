//! The map suite: `&[u64]` to `Vec<u64>` over a grid of lengths and item costs, called from the
//! plain main thread, against every engine that has loops.

use crate::engines::{Engine, Loops, OrxLoops, Pools, RayonLoops, SeqLoops};
use crate::harness::{Case, Options, Row, Run, demand, measure};
use crate::report::{self, BOUND, PEERS};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// What a body costs: its name, its nominal ns and its rounds of `mix`.
struct Body {
    name: &'static str,
    ns: f64,
    rounds: u64,
}

/// Fixed rounds rather than calibrated ones: the work is the same on every machine and in every
/// run, and the sequential column says what it costs here.
const BODIES: [Body; 4] = [
    Body { name: "0.5 ns", ns: 0.5, rounds: 0 },
    Body { name: "5 ns", ns: 5.0, rounds: 12 },
    Body { name: "100 ns", ns: 100.0, rounds: 85 },
    Body { name: "10 µs", ns: 10_000.0, rounds: 7_000 },
];

/// Rounds of multiply and xorshift, each waiting for the one before. One to one.
pub(crate) fn mix(mut x: u64, rounds: u64) -> u64 {
    for _ in 0..rounds {
        x = (x ^ (x >> 29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    x
}

/// Runs the suite, prints its table and the count of passes.
pub(crate) fn run(opts: &Options) -> Vec<Row> {
    let longest_ns = if opts.quick { 5e6 } else { 1.5e9 };
    let lengths = [10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];
    let most = if opts.quick { 100_000 } else { 10_000_000 };
    let mut rows = Vec::new();
    for &workers in &opts.workers {
        let pools = Pools::build(workers);
        for length in lengths.into_iter().filter(|&length| length <= most) {
            // An item is its own index: a body can tell from it how much it is to cost.
            let items: Vec<u64> = (0..length).collect();
            for body in BODIES.iter().filter(|body| body.ns * length as f64 <= longest_ns) {
                for skewed in [false, true] {
                    let shape = if skewed { "skewed" } else { "uniform" };
                    let name = format!("{length} x {} {shape}", body.name);
                    if opts.wants_case(&name) && !(skewed && body.rounds == 0) {
                        let cell = Cell { opts, pools: &pools, workers, name, skewed, ns: body.ns };
                        rows.push(cell.dispatch(&items, body.rounds));
                    }
                }
            }
        }
    }
    print_table(&rows);
    rows
}

/// One point of the grid.
struct Cell<'a> {
    opts: &'a Options,
    pools: &'a Pools,
    workers: usize,
    name: String,
    skewed: bool,
    ns: f64,
}

impl Cell<'_> {
    /// Picks the body. Skewed work grows with the index from nothing to twice the mean, so the
    /// mean stays and the last half holds three quarters; the vectorised body has no skewed form.
    fn dispatch(self, items: &[u64], rounds: u64) -> Row {
        if rounds == 0 {
            return self.measure(items, |&x| x.wrapping_mul(3).wrapping_add(1));
        }
        if self.skewed {
            let slope = ((2 * rounds) << 32) / items.len() as u64;
            return self.measure(items, move |&x| mix(x, (x * slope) >> 32));
        }
        self.measure(items, move |&x| mix(x, rounds))
    }

    fn measure<F: Fn(&u64) -> u64 + Sync + Send + Copy>(self, items: &[u64], f: F) -> Row {
        let expected: Vec<u64> = items.iter().map(f).collect();
        let expected = expected.as_slice();
        let Pools { windlass, rayon, paralight_fixed, paralight_stealing, orx, .. } = self.pools;
        let paralight = if self.skewed { paralight_stealing } else { paralight_fixed };
        // What one would set by hand, knowing the cost: pieces of about 20 µs.
        let min_len = ((20_000.0 / self.ns) as usize).max(1);
        let runs = vec![
            Run::new(Engine::Seq, |calls| sample(SeqLoops, items, f, expected, calls)),
            Run::new(Engine::Windlass, |calls| sample(windlass, items, f, expected, calls)),
            Run::new(Engine::Rayon, |calls| {
                sample(RayonLoops { pool: rayon, min_len: 1 }, items, f, expected, calls)
            }),
            Run::new(Engine::RayonTuned, |calls| {
                sample(RayonLoops { pool: rayon, min_len }, items, f, expected, calls)
            }),
            Run::new(Engine::Paralight, |calls| {
                sample(&mut *paralight.borrow_mut(), items, f, expected, calls)
            }),
            Run::new(Engine::Orx, |calls| {
                sample(OrxLoops { orx, fixed: !self.skewed }, items, f, expected, calls)
            }),
        ];
        let Cell { workers, name, .. } = self;
        let case = Case { suite: "map", name, workers, forks: None, max_calls: u64::MAX, runs };
        let mut row = measure(self.opts, case);
        row.checks = report::checks(&row);
        row
    }
}

/// Times `calls` maps. An output is freed inside the time by every call but the last of a
/// sample, whose output stays to be compared item by item after the clock has stopped; the
/// others are checked by length and last item. The same holds for every engine.
fn sample<F: Fn(&u64) -> u64 + Sync + Send + Copy>(
    mut loops: impl Loops,
    items: &[u64],
    f: F,
    expected: &[u64],
    calls: u64,
) -> Duration {
    let mut right = true;
    let start = Instant::now();
    for _ in 1..calls {
        let output = black_box(loops.map(black_box(items), f));
        right &= output.len() == expected.len() && output.last() == expected.last();
    }
    let last = black_box(loops.map(black_box(items), f));
    let time = start.elapsed();
    demand(right && last == expected, "map");
    time
}

fn print_table(rows: &[Row]) {
    let [peer, seq] = report::RATIOS;
    let bound: report::Extra = (BOUND, &|row| report::verdict(row, BOUND));
    let peers: report::Extra = (PEERS, &|row| report::verdict(row, PEERS));
    let title = "map: wall time of a call (median ± interquartile range)";
    report::table(title, rows, report::time_and_spread, &[peer, seq, bound, peers]);
    report::print_failing(rows);
}
