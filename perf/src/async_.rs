//! The async suite: what it costs async code to have closures computed elsewhere and to await them,
//! and how a service answers while it computes.

mod service;

use crate::engines::{Engine, rayon_pool, windlass_pool};
use crate::harness::{
    Case, Cell, Check, Options, Row, Run, Stats, keep_freed_memory, measure, quantile, timed,
};
use crate::report;
use service::{Blocking, Compute, Load};
use std::hint::black_box;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// Where small closures are run for a task.
trait Elsewhere {
    const ENGINE: Engine;

    /// Has `job(number)` run, and returns a future of what it returns.
    fn start(&self, number: u32) -> impl Future<Output = u64>;
}

/// A closure that is too small to be worth it. Its number is not known to the compiler.
fn job(number: u32) -> u64 {
    black_box(u64::from(number))
}

/// On the spot.
struct Here;

impl Elsewhere for Here {
    const ENGINE: Engine = Engine::Seq;
    fn start(&self, number: u32) -> impl Future<Output = u64> {
        std::future::ready(job(number))
    }
}

impl Elsewhere for windlass::Pool {
    const ENGINE: Engine = Engine::Windlass;
    fn start(&self, number: u32) -> impl Future<Output = u64> {
        let run = self.run(move || job(number));
        async move { run.await.expect("no job panics") }
    }
}

/// `tokio::spawn`, which is not meant for what computes; a bound for what a hand-over may cost.
struct Spawn;

impl Elsewhere for Spawn {
    const ENGINE: Engine = Engine::Tokio;
    fn start(&self, number: u32) -> impl Future<Output = u64> {
        let task = tokio::spawn(async move { job(number) });
        async move { task.await.expect("no task panics") }
    }
}

/// `tokio::task::spawn_blocking`.
struct SpawnBlocking;

impl Elsewhere for SpawnBlocking {
    const ENGINE: Engine = Engine::TokioBlocking;
    fn start(&self, number: u32) -> impl Future<Output = u64> {
        let task = tokio::task::spawn_blocking(move || job(number));
        async move { task.await.expect("no job panics") }
    }
}

/// `rayon::spawn` and a channel for one value.
struct RayonOneshot(rayon::ThreadPool);

impl Elsewhere for RayonOneshot {
    const ENGINE: Engine = Engine::Rayon;
    fn start(&self, number: u32) -> impl Future<Output = u64> {
        let (sender, receiver) = oneshot::channel();
        self.0.spawn(move || _ = sender.send(job(number)));
        async move { receiver.await.expect("no job panics") }
    }
}

/// The runtime whose task awaits, in every case: a thread that polls it, and `workers` more, on
/// which `tokio::spawn` runs; as many threads for `spawn_blocking`.
fn runtime(workers: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).max_blocking_threads(workers).enable_all();
    // Or the blocking threads end while another case runs, and start inside a sample.
    builder.thread_keep_alive(Duration::from_secs(3_600));
    builder.build().expect("tokio runtime")
}

/// Submits all, then awaits one after the other.
fn together<'a, E: Elsewhere + 'a>(runtime: &'a Runtime, elsewhere: E, count: u32) -> Run<'a> {
    Run::new(E::ENGINE, move |calls| {
        timed(E::ENGINE.name(), calls, || {
            let sum = runtime.block_on(async {
                let mut futures = Vec::with_capacity(count as usize);
                futures.extend((0..count).map(|number| elsewhere.start(number)));
                let mut sum = 0;
                for future in futures {
                    sum += future.await;
                }
                sum
            });
            sum == u64::from(count) * u64::from(count - 1) / 2
        })
    })
}

/// Submits each when the one before has been awaited.
fn in_turn<'a, E: Elsewhere + 'a>(runtime: &'a Runtime, elsewhere: E, count: u32) -> Run<'a> {
    Run::new(E::ENGINE, move |calls| {
        timed(E::ENGINE.name(), calls, || {
            let sum = runtime.block_on(async {
                let mut sum = 0;
                for number in 0..count {
                    sum += elsewhere.start(number).await;
                }
                sum
            });
            sum == u64::from(count) * u64::from(count - 1) / 2
        })
    })
}

/// Requests that compute, under way at a time, in the case of the service.
const CLIENTS: usize = 16;

/// Answers of `/ping` while every worker computes, in ns; the engines take turns.
fn pings(opts: &Options, workers: usize, samples: usize) -> Row {
    let name = format!("p99 of /ping, {CLIENTS} compute");
    eprintln!("async: {name} ({workers} workers)");
    let computes: [(Engine, Box<dyn Fn() -> Compute>); 2] = [
        (Engine::Windlass, Box::new(move || Compute::Windlass(windlass_pool(workers)))),
        (Engine::TokioBlocking, Box::new(|| Compute::Blocking(Blocking))),
    ];
    let mut values = vec![Vec::new(); computes.len()];
    for round in 0..opts.rounds {
        for turn in 0..computes.len() {
            let at = (round + turn) % computes.len();
            let load = Load::start(workers, computes[at].1(), CLIENTS);
            values[at].extend((0..samples).map(|_| load.ping().as_nanos() as f64));
        }
    }
    let cells = computes.iter().zip(values).map(|((engine, _), mut values)| {
        values.sort_by(f64::total_cmp);
        let p99 = Some(quantile(&values, 0.99));
        Cell { engine: *engine, time: Stats::of(values), cpu: None, p99, switches: None }
    });
    Row::new("async", name, workers, samples as u64, None, cells.collect())
}

fn at_most(row: &Row, name: &'static str, factor: f64, peer: Engine) -> Option<Check> {
    let median = |engine| row.cell(engine).map(|cell| cell.time.median);
    Some(Check { name, pass: median(Engine::Windlass)? <= factor * median(peer)? })
}

fn p99_at_most(row: &Row, name: &'static str, factor: f64, peer: Engine) -> Option<Check> {
    let p99 = |engine| row.cell(engine).and_then(|cell| cell.p99);
    Some(Check { name, pass: p99(Engine::Windlass)? <= factor * p99(peer)? })
}

/// Runs the suite and prints its tables.
pub(crate) fn run(opts: &Options) -> Vec<Row> {
    keep_freed_memory();
    let (many, few, samples) = if opts.quick { (4_000, 200, 50) } else { (100_000, 10_000, 400) };
    let (mut costs, mut answers) = (Vec::new(), Vec::new());
    for &workers in &opts.workers {
        let (runtime, pool) = (runtime(workers), windlass_pool(workers));
        let rayon = || RayonOneshot(rayon_pool(workers));
        let cases = [
            (
                format!("{many} submitted, then awaited"),
                many,
                vec![
                    together(&runtime, Here, many),
                    together(&runtime, pool.clone(), many),
                    together(&runtime, rayon(), many),
                    together(&runtime, Spawn, many),
                    together(&runtime, SpawnBlocking, many),
                ],
            ),
            (
                format!("{few} awaited in turn"),
                few,
                vec![
                    in_turn(&runtime, Here, few),
                    in_turn(&runtime, pool.clone(), few),
                    in_turn(&runtime, rayon(), few),
                    in_turn(&runtime, Spawn, few),
                    in_turn(&runtime, SpawnBlocking, few),
                ],
            ),
        ];
        for (name, count, runs) in cases {
            if opts.wants_case(&name) {
                let case = Case { suite: "async", name, workers, forks: None, max_calls: 1, runs };
                let mut row = measure(opts, case);
                let blocking = at_most(&row, "<= 0.4 spawn_blocking", 0.4, Engine::TokioBlocking);
                let spawn = at_most(&row, "<= 1.0 spawn", 1.0, Engine::Tokio);
                row.checks = blocking.into_iter().chain(spawn).collect();
                costs.push((count, row));
            }
        }
        drop((runtime, pool));
        if opts.wants_case("p99 of /ping") {
            let mut row = pings(opts, workers, samples);
            let bar = p99_at_most(&row, "p99 <= 0.5 spawn_blocking", 0.5, Engine::TokioBlocking);
            row.checks = bar.into_iter().collect();
            answers.push(row);
        }
    }
    print_tables(&costs, &answers);
    costs.into_iter().map(|(_, row)| row).chain(answers).collect()
}

fn print_tables(costs: &[(u32, Row)], answers: &[Row]) {
    let bars = |row: &Row| {
        let checks = row.checks.iter();
        let checks: Vec<_> =
            checks.map(|c| format!("{} {}", c.name, report::verdict(row, c.name))).collect();
        if checks.is_empty() { "-".to_owned() } else { checks.join(", ") }
    };
    let extras: [report::Extra; 1] = [("bars", &bars)];
    // Rows of one count share a table, as a cell does not know its row.
    let mut counts: Vec<u32> = costs.iter().map(|(count, _)| *count).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    counts.dedup();
    for count in counts {
        let rows: Vec<Row> =
            costs.iter().filter(|(of, _)| *of == count).map(|(_, row)| row.clone()).collect();
        let each = |cell: &Cell| {
            let time = report::time(cell.time.median / f64::from(count));
            format!("{time} ±{:.0}%", cell.time.spread * 100.0)
        };
        report::table(
            "async: wall time a job (median ± interquartile range)",
            &rows,
            each,
            &extras,
        );
    }
    let single = |cell: &Cell| {
        let p99 = cell.p99.map_or_else(|| "-".into(), report::time);
        format!("{} / {p99}", report::time(cell.time.median))
    };
    report::table("async: median / p99 of an answer", answers, single, &extras);
}
