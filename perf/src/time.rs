//! The time suite: what a timer costs to set and to take back, how late it is, and what it costs
//! while nothing is due.

mod timers;

use crate::engines::Engine;
use crate::harness::{
    Case, Cell, Check, Options, Row, Run, Stats, Who, demand, keep_freed_memory, measure, quantile,
    usage,
};
use crate::report;
use std::thread;
use std::time::{Duration, Instant};
use timers::{Heap, Jobs, Timers, Tokio, Windlass};

const HOUR: Duration = Duration::from_secs(3_600);

/// Threads of the case with several.
const THREADS: usize = 4;

/// As many pseudo-random numbers as one likes.
fn random(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

/// Deadlines that do not come in the next hour, and are spread over another.
fn far(seed: u64) -> impl FnMut() -> Instant {
    let (mut random, from) = (random(seed), Instant::now() + HOUR);
    move || from + Duration::from_micros(random(3_600_000_000))
}

/// All are set, then all are taken back in the order in which they were set.
fn all_in_all_out<T: Timers>(timers: &T, count: u32, seed: u64) {
    let mut deadline = far(seed);
    let keys: Vec<T::Key> = (0..count).map(|_| timers.set(deadline())).collect();
    for key in keys {
        demand(timers.take_back(key), "a timer that was set");
    }
}

/// One more is set and the oldest one taken back, while so many are set.
fn beside_others<T: Timers>(timers: &T, count: u32) -> Duration {
    let mut deadline = far(2);
    let mut keys: Vec<T::Key> = (0..count).map(|_| timers.set(deadline())).collect();
    let start = Instant::now();
    for key in &mut keys {
        let oldest = std::mem::replace(key, timers.set(deadline()));
        demand(timers.take_back(oldest), "a timer that was set");
    }
    let time = start.elapsed();
    keys.into_iter().for_each(|key| _ = timers.take_back(key));
    time
}

/// The runs of one kind for each engine.
fn runs<'a>(engines: &'a Engines, all: fn(&'a Engines, Engine, u64) -> Duration) -> Vec<Run<'a>> {
    [Engine::Windlass, Engine::Tokio, Engine::Heap]
        .map(|engine| Run::new(engine, move |calls| all(engines, engine, calls)))
        .into()
}

/// One of each, and how many timers a call sets.
struct Engines {
    windlass: Windlass,
    tokio: Tokio,
    heap: Heap,
    count: u32,
}

impl Engines {
    fn alone(&self, engine: Engine, calls: u64) -> Duration {
        let start = Instant::now();
        for _ in 0..calls {
            match engine {
                Engine::Windlass => all_in_all_out(&self.windlass, self.count, 1),
                Engine::Tokio => all_in_all_out(&self.tokio, self.count, 1),
                _ => all_in_all_out(&self.heap, self.count, 1),
            }
        }
        start.elapsed()
    }

    fn beside(&self, engine: Engine, calls: u64) -> Duration {
        let one = || match engine {
            Engine::Windlass => beside_others(&self.windlass, self.count),
            Engine::Tokio => beside_others(&self.tokio, self.count),
            _ => beside_others(&self.heap, self.count),
        };
        (0..calls).map(|_| one()).sum()
    }

    fn together(&self, engine: Engine, calls: u64) -> Duration {
        let part = self.count / THREADS as u32;
        let start = Instant::now();
        for _ in 0..calls {
            thread::scope(|scope| {
                for seed in 0..THREADS as u64 {
                    scope.spawn(move || match engine {
                        Engine::Windlass => all_in_all_out(&self.windlass, part, seed),
                        Engine::Tokio => all_in_all_out(&self.tokio, part, seed),
                        _ => all_in_all_out(&self.heap, part, seed),
                    });
                }
            });
        }
        start.elapsed()
    }
}

/// Each engine's latenesses, in ns, of so many timers over `span`.
fn latenesses(engine: Engine, count: u32, span: Duration) -> Vec<f64> {
    let mut random = random(3);
    let start = Instant::now() + Duration::from_millis(50);
    let nanos = span.as_nanos() as u64;
    let deadlines: Vec<Instant> =
        (0..count).map(|_| start + Duration::from_nanos(random(nanos))).collect();
    let late = match engine {
        Engine::Windlass => Windlass::new().fire(&deadlines),
        Engine::WindlassJobs => Jobs::new().fire(&deadlines),
        Engine::Tokio => Tokio::new().fire(&deadlines),
        _ => Heap::new().fire(&deadlines),
    };
    demand(late.len() == deadlines.len(), "each timer fires once");
    late
}

fn lateness(opts: &Options) -> Option<Row> {
    let (count, span) = if opts.quick {
        (500, Duration::from_millis(250))
    } else {
        (10_000, Duration::from_secs(5))
    };
    let name = format!("lateness of {count} over {span:?}");
    if !opts.wants_case(&name) {
        return None;
    }
    eprintln!("time: {name}");
    let engines = [Engine::Windlass, Engine::WindlassJobs, Engine::Tokio, Engine::Heap];
    let engines = engines.into_iter().filter(|engine| opts.wants_engine(*engine));
    let mut values: Vec<(Engine, Vec<f64>)> = engines.map(|engine| (engine, Vec::new())).collect();
    for _ in 0..opts.rounds.min(3) {
        for (engine, values) in &mut values {
            thread::sleep(Duration::from_millis(2));
            values.extend(latenesses(*engine, count, span));
        }
    }
    let cells = values.into_iter().map(|(engine, mut values)| {
        values.sort_by(f64::total_cmp);
        let p99 = Some(quantile(&values, 0.99));
        Cell { engine, time: Stats::of(values), cpu: None, p99, switches: None }
    });
    let mut row = Row::new("time", name, 1, u64::from(count), None, cells.collect());
    let of = |row: &Row, engine| row.cell(engine).map(|cell| (cell.time.median, cell.p99));
    if let (Some(own), Some(tokio)) = (of(&row, Engine::Windlass), of(&row, Engine::Tokio)) {
        row.checks.push(Check { name: "p50 <= tokio", pass: own.0 <= tokio.0 });
        row.checks.push(Check { name: "p99 <= tokio", pass: own.1 <= tokio.1 });
    }
    Some(row)
}

/// CPU time and wake-ups of the other threads while nothing is due.
fn rest(opts: &Options) -> Option<Row> {
    let window = Duration::from_millis(if opts.quick { 300 } else { 5_000 });
    let name = format!("{window:?} with 10000 that are due in an hour");
    if !opts.wants_case(&name) {
        return None;
    }
    eprintln!("time: {name}");
    let others = || {
        let (all, own) = (usage(Who::Process), usage(Who::ThisThread));
        (all.cpu_ns - own.cpu_ns, all.switches - own.switches)
    };
    fn hold<T: Timers>(timers: T, rest: impl FnOnce()) {
        let mut deadline = far(4);
        let keys: Vec<T::Key> = (0..10_000).map(|_| timers.set(deadline())).collect();
        rest();
        keys.into_iter().for_each(|key| demand(timers.take_back(key), "a timer that was set"));
    }
    let engines = [Engine::Windlass, Engine::Tokio, Engine::Heap];
    let cells = engines.into_iter().filter(|engine| opts.wants_engine(*engine)).map(|engine| {
        let (mut cpu, mut switches) = (0, 0);
        let measure = || {
            thread::sleep(Duration::from_millis(20));
            let before = others();
            thread::sleep(window);
            let after = others();
            cpu = (after.0 - before.0).max(0);
            switches = (after.1 - before.1).max(0);
        };
        match engine {
            Engine::Windlass => hold(Windlass::new(), measure),
            Engine::Tokio => hold(Tokio::new(), measure),
            _ => hold(Heap::new(), measure),
        }
        let time = Stats::of(vec![cpu as f64]);
        Cell { engine, time, cpu: None, p99: None, switches: Some(switches) }
    });
    let mut row = Row::new("time", name, 1, 1, None, cells.collect());
    if let Some(switches) = row.cell(Engine::Windlass).and_then(|cell| cell.switches) {
        row.checks.push(Check { name: "no wake-up", pass: switches == 0 });
    }
    Some(row)
}

/// Runs the suite and prints its tables.
pub(crate) fn run(opts: &Options) -> Vec<Row> {
    keep_freed_memory();
    let count = if opts.quick { 10_000 } else { 1_000_000 };
    let engines =
        Engines { windlass: Windlass::new(), tokio: Tokio::new(), heap: Heap::new(), count };
    type Sample = fn(&Engines, Engine, u64) -> Duration;
    let cases: [(&str, Sample); 3] = [
        ("set, then taken back", Engines::alone),
        ("set and taken back beside as many", Engines::beside),
        ("4 threads", Engines::together),
    ];
    let mut costs = Vec::new();
    for (what, all) in cases {
        let name = format!("{count} {what}");
        if opts.wants_case(&name) {
            let runs = runs(&engines, all);
            let (suite, forks, workers) = ("time", Some(u64::from(count)), 1);
            let mut row = measure(opts, Case { suite, name, workers, forks, max_calls: 1, runs });
            let of = |row: &Row, engine| row.cell(engine).map(|cell| cell.time.median);
            let both = of(&row, Engine::Windlass).zip(of(&row, Engine::Tokio));
            if let Some((own, tokio)) = both {
                row.checks.push(Check { name: "<= tokio", pass: own <= tokio });
            }
            costs.push(row);
        }
    }
    drop(engines);
    let each = |cell: &Cell| {
        let time = report::time(cell.time.median / f64::from(count));
        format!("{time} ± {:.0} %", cell.time.spread * 100.0)
    };
    report::table("time: wall time a timer", &costs, each, &[VERDICTS]);
    let late: Vec<Row> = lateness(opts).into_iter().collect();
    let both = |cell: &Cell| {
        let p99 = cell.p99.map_or_else(|| "-".into(), report::time);
        format!("{} / {p99}", report::time(cell.time.median))
    };
    report::table("time: lateness, median / p99", &late, both, &[VERDICTS]);
    let idle: Vec<Row> = rest(opts).into_iter().collect();
    let rested = |cell: &Cell| {
        format!("{}, {}", report::time(cell.time.median), cell.switches.unwrap_or_default())
    };
    let title = "time: CPU time and voluntary context switches while nothing is due";
    report::table(title, &idle, rested, &[VERDICTS]);
    costs.into_iter().chain(late).chain(idle).collect()
}

/// Which bars a row meets.
const VERDICTS: report::Extra<'static> = ("bars", &verdicts);

fn verdicts(row: &Row) -> String {
    let checks = row.checks.iter();
    let texts =
        checks.map(|check| format!("{}: {}", check.name, if check.pass { "yes" } else { "NO" }));
    texts.collect::<Vec<_>>().join(", ")
}
