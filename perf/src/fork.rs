//! The fork suite: recursions that fork at every step, on every engine that has a fork-join, from
//! inside a pool and from outside it.

use crate::engines::{
    Chili, Counting, Engine, Fork, Loops, OrxLoops, OrxPool, Pools, Rayon, RayonLoops, Seq,
    SeqLoops, Windlass, paralight_pool, rayon_pool, windlass_pool,
};
use crate::harness::{Case, Options, Row, Run, demand, measure, timed};
use crate::recursions::{Fib, Leaves, Queens, Tree, Uts, Work, busy, steps_for};
use crate::report;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// Gap between two calls of a `cold+gap` sample: long enough for the workers to fall asleep.
const GAP: Duration = Duration::from_millis(1);

/// Where a call starts from.
#[derive(Clone, Copy)]
enum Mode {
    /// The pool is entered once a sample; calls follow each other inside.
    Hot,
    /// Every call enters the pool from the main thread.
    Cold,
    /// The same, and the pool sleeps before every call. The sleep is not timed.
    Gap,
}

fn sample<E: Fork, W: Work>(pools: &Pools, work: &W, mode: Mode, calls: u64) -> Duration {
    let expected = work.expected();
    // `black_box` around the work itself, or the sequential version could be folded into a
    // constant or hoisted out of the loop.
    let right = |ctx: &mut E::Ctx<'_>| black_box(black_box(work).run::<E>(ctx)) == expected;
    let name = E::ENGINE.name();
    match mode {
        Mode::Hot => E::enter(pools, |ctx| timed(name, calls, || right(ctx))),
        Mode::Cold => timed(name, calls, || E::enter(pools, right)),
        Mode::Gap => (0..calls)
            .map(|_| {
                sleep(GAP);
                timed(name, 1, || E::enter(pools, right))
            })
            .sum(),
    }
}

/// The suite at one worker count.
struct Bench<'a> {
    opts: &'a Options,
    workers: usize,
    pools: Pools,
    rows: Vec<Row>,
}

impl Bench<'_> {
    /// Measures one recursion in the given modes.
    fn cases<W: Work>(&mut self, name: &str, modes: &[Mode], work: impl FnOnce() -> W) {
        let label = |mode| match mode {
            Mode::Hot => format!("{name} hot"),
            Mode::Cold => format!("{name} cold"),
            Mode::Gap => format!("{name} cold+gap"),
        };
        let modes: Vec<Mode> =
            modes.iter().copied().filter(|&m| self.opts.wants_case(&label(m))).collect();
        if modes.is_empty() {
            return;
        }
        let work = work();
        let mut forks = 0;
        demand(work.run::<Counting>(&mut forks) == work.expected(), name);
        let Bench { opts, workers, ref pools, ref mut rows } = *self;
        for mode in modes {
            let max_calls = match mode {
                Mode::Gap if opts.quick => 2,
                Mode::Gap => 20,
                _ => u64::MAX,
            };
            let run = |engine, call: fn(&Pools, &W, Mode, u64) -> Duration| {
                let work = &work;
                Run::new(engine, move |calls| call(pools, work, mode, calls))
            };
            let runs = vec![
                run(Engine::Seq, sample::<Seq, W>),
                run(Engine::Windlass, sample::<Windlass, W>),
                run(Engine::Rayon, sample::<Rayon, W>),
                run(Engine::Chili, sample::<Chili, W>),
            ];
            let (name, forks) = (label(mode), Some(forks));
            rows.push(measure(opts, Case { suite: "fork", name, workers, forks, max_calls, runs }));
        }
    }

    /// All recursions of the suite. `steps` is the length of a long leaf.
    fn run(&mut self, steps: u64) {
        let quick = self.opts.quick;
        let all_modes = [Mode::Hot, Mode::Cold, Mode::Gap];
        let (n, expected) = if quick { (18, 2_584) } else { (30, 832_040) };
        self.cases(&format!("fib({n})"), &[Mode::Hot], || Fib { n, expected });

        let layers: &[u32] = if quick { &[10, 14] } else { &[10, 14, 20, 23] };
        for &layers in layers {
            self.cases(&format!("tree 2^{layers}-1"), &all_modes, || Tree::new(layers));
        }

        let (size, expected) = if quick { (8, 92) } else { (11, 2_680) };
        let name = format!("queens({size})");
        self.cases(&name, &all_modes[..2], || Queens { size, expected });

        // The largest of the root's subtrees holds 20% of the nodes (in the quick one, 97%).
        let (seed, root, expected) = if quick { (10, 20, 5_631) } else { (1, 10_000, 1_425_401) };
        self.cases("uts", &all_modes[..2], || Uts { seed, root, expected });

        let expected = busy(1, steps).wrapping_add(busy(2, steps));
        let name = format!("one fork {}", long_pair(quick));
        self.cases(&name, &[Mode::Gap], || Leaves { steps, expected });
    }
}

/// How long the two leaves, or items, take one by one.
fn long_pair(quick: bool) -> &'static str {
    if quick { "2 x 1 ms" } else { "2 x 10 ms" }
}

/// Two long items in a loop, the first call of a pool that was just built: an engine that groups
/// items until it has learnt their cost runs both on one worker.
fn two_items(opts: &Options, workers: usize, name: &str, steps: u64) -> Row {
    fn call(mut loops: impl Loops, steps: u64, expected: u64) -> Duration {
        // The new threads are at rest before the clock starts.
        sleep(2 * GAP);
        let total = AtomicU64::new(0);
        timed("two items", 1, || {
            loops.for_each(black_box(&[1, 2]), |&seed| {
                total.fetch_add(busy(seed, steps), Ordering::Relaxed);
            });
            total.load(Ordering::Relaxed) == expected
        })
    }
    let expected = busy(1, steps).wrapping_add(busy(2, steps));
    let runs = vec![
        Run::new(Engine::Seq, |_| call(SeqLoops, steps, expected)),
        Run::new(Engine::Windlass, |_| call(&windlass_pool(workers), steps, expected)),
        Run::new(Engine::Rayon, |_| {
            call(RayonLoops { pool: &rayon_pool(workers), min_len: 1 }, steps, expected)
        }),
        Run::new(Engine::Paralight, |_| call(&mut paralight_pool(workers, true), steps, expected)),
        Run::new(Engine::Orx, |_| {
            call(OrxLoops { orx: &OrxPool::build(workers), fixed: false }, steps, expected)
        }),
    ];
    let name = name.to_owned();
    measure(opts, Case { suite: "fork", name, workers, forks: None, max_calls: 1, runs })
}

/// Runs the suite and prints its two tables.
pub(crate) fn run(opts: &Options) -> Vec<Row> {
    let steps = steps_for(Duration::from_millis(if opts.quick { 1 } else { 10 }));
    let name = format!("loop {}, first call", long_pair(opts.quick));
    let mut rows = Vec::new();
    for &workers in &opts.workers {
        let mut bench = Bench { opts, workers, pools: Pools::build(workers), rows: Vec::new() };
        bench.run(steps);
        rows.append(&mut bench.rows);
        drop(bench);
        if opts.wants_case(&name) {
            rows.push(two_items(opts, workers, &name, steps));
        }
    }
    print_tables(&rows);
    rows
}

fn print_tables(rows: &[Row]) {
    let title = "fork: wall time of a call (median ± interquartile range)";
    report::table(title, rows, report::time_and_spread, &report::RATIOS);

    // CPU time of the process, idle workers' spinning included, beyond what the sequential
    // version takes, shared out over the forks.
    let per_fork = |row: &Row, engine: Engine| {
        let cpu = |engine| Some(row.cell(engine)?.cpu.as_ref()?.median);
        let over = cpu(engine)? - cpu(Engine::Seq)?;
        Some(report::time(over / row.forks? as f64))
    };
    let say = |row: &Row, engine| per_fork(row, engine).unwrap_or_else(|| "-".into());
    let forking: Vec<Row> = rows.iter().filter(|row| row.forks.is_some()).cloned().collect();
    report::table(
        "fork: CPU time of a call, and per fork over sequential",
        &forking,
        |cell| cell.cpu.as_ref().map_or_else(|| "-".into(), |cpu| report::time(cpu.median)),
        &[
            ("forks", &|row| row.forks.unwrap_or(0).to_string()),
            ("windlass/fork", &|row| say(row, Engine::Windlass)),
            ("rayon/fork", &|row| say(row, Engine::Rayon)),
            ("chili/fork", &|row| say(row, Engine::Chili)),
        ],
    );
}
