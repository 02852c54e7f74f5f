//! The latency suite: how long an empty call into a pool takes, from a thread outside it.
//!
//! Here single calls are timed, not samples of many, because the tail is half of the question.
//! The `seq` column is the same with nothing between the two readings of the clock: its cost is
//! in every other figure too.

use crate::engines::{Engine, Pools};
use crate::harness::{Cell, Options, Row, Stats, quantile};
use crate::report;
use std::hint::black_box;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How the calls follow each other, and how many a round holds.
struct Pace {
    name: &'static str,
    gap: Duration,
    calls: usize,
    quick_calls: usize,
}

const PACES: [Pace; 3] = [
    Pace { name: "back to back", gap: Duration::ZERO, calls: 2_000, quick_calls: 100 },
    Pace { name: "after 1 ms", gap: Duration::from_millis(1), calls: 50, quick_calls: 5 },
    Pace { name: "after 20 ms", gap: Duration::from_millis(20), calls: 12, quick_calls: 2 },
];

type Call<'a> = (Engine, Box<dyn Fn() + 'a>);

fn call<'a>(engine: Engine, call: impl Fn() + 'a) -> Call<'a> {
    (engine, Box::new(call))
}

/// The three ways in. chili runs a scope on the calling thread, so its `install` only opens and
/// closes one; and as it has no spawn, its `scope` row would be its `join` row and is left out.
fn kinds(pools: &Pools) -> [(&'static str, Vec<Call<'_>>); 3] {
    let Pools { windlass, rayon, chili, .. } = pools;
    let clock = || call(Engine::Seq, || black_box(()));
    let install = vec![
        clock(),
        call(Engine::Windlass, || windlass.install(|| black_box(()))),
        call(Engine::Rayon, || rayon.install(|| black_box(()))),
        call(Engine::Chili, || drop(black_box(chili.scope()))),
    ];
    let scope = vec![
        clock(),
        call(Engine::Windlass, || windlass.scope(|s| s.spawn(|_| black_box(())))),
        call(Engine::Rayon, || rayon.scope(|s| s.spawn(|_| black_box(())))),
    ];
    let join = vec![
        clock(),
        call(Engine::Windlass, || _ = windlass.join(|| black_box(()), || black_box(()))),
        call(Engine::Rayon, || _ = rayon.join(|| black_box(()), || black_box(()))),
        call(Engine::Chili, || _ = chili.scope().join(|_| black_box(()), |_| black_box(()))),
    ];
    [("install", install), ("scope + spawn", scope), ("join", join)]
}

/// Runs the suite and prints its table.
pub(crate) fn run(opts: &Options) -> Vec<Row> {
    let mut rows = Vec::new();
    for &workers in &opts.workers {
        let pools = Pools::build(workers);
        for (kind, mut calls) in kinds(&pools) {
            calls.retain(|(engine, _)| opts.wants_engine(*engine));
            for pace in &PACES {
                let name = format!("{kind} {}", pace.name);
                if opts.wants_case(&name) {
                    rows.push(measure(opts, workers, name, &calls, pace));
                }
            }
        }
    }
    let show = |cell: &Cell| {
        format!(
            "{} / {}",
            report::time(cell.time.median),
            cell.p99.map_or_else(|| "-".into(), report::time)
        )
    };
    report::table("latency: median / p99 of a call", &rows, show, &report::RATIOS[..1]);
    rows
}

/// Rounds are interleaved as in the other suites; the figures are over the calls of all rounds.
fn measure(opts: &Options, workers: usize, name: String, runs: &[Call<'_>], pace: &Pace) -> Row {
    let calls = if opts.quick { pace.quick_calls } else { pace.calls };
    eprintln!("latency: {name} ({workers} workers)");
    let mut times = vec![Vec::new(); runs.len()];
    for round in 0..opts.rounds {
        for turn in 0..runs.len() {
            let at = (round + turn) % runs.len();
            let call = &runs[at].1;
            // An idle worker of the engine before falls asleep; one call goes untimed, so that
            // back to back is back to back from the first.
            sleep(Duration::from_millis(2));
            call();
            for _ in 0..calls {
                if !pace.gap.is_zero() {
                    sleep(pace.gap);
                }
                let start = Instant::now();
                call();
                times[at].push(start.elapsed().as_nanos() as f64);
            }
        }
    }
    let cells = runs.iter().zip(times).map(|((engine, _), mut times)| {
        times.sort_by(f64::total_cmp);
        let p99 = Some(quantile(&times, 0.99));
        Cell { engine: *engine, time: Stats::of(times), cpu: None, p99, switches: None }
    });
    let cells = cells.collect();
    Row::new("latency", name, workers, calls as u64, None, cells)
}
