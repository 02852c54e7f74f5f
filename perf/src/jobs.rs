//! The jobs suite: what it costs to hand closures to a pool and to collect what they return, how
//! long one job takes to a sleeping pool and past a busy one, and what a queued job weighs.

mod ours;
mod peers;
mod singles;

use crate::engines::{Engine, windlass_pool};
use crate::harness::{
    Case, Cell, Check, Options, Row, Run, Stats, allocated_bytes, keep_freed_memory, measure,
    quantile, timed, weigh_in_child,
};
use crate::report;
use ours::{High, Submit, SubmitInside, SubmitMany, reserving_pool};
use peers::{
    Affinitypool, Channel, Jobs, Rayon, RayonChannel, RayonScope, RustyPool, Seq, Tally,
    Threadpool, ThreadpoolChannel, Tokio, TokioBlocking, TokioInside,
};
use singles::{Sampler, Stay, round_trip, start_past};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// Threads of the case with several submitters.
const SUBMITTERS: usize = 4;

/// A tally for each batch that can be under way at the same time.
static TALLIES: [Tally; SUBMITTERS] = [const { Tally::new() }; SUBMITTERS];

/// Something asked of Windlass in a row.
#[derive(Clone, Copy)]
enum Bar {
    /// At most that much of a peer's median.
    Median(&'static str, f64, Engine),
    /// At most that much of a peer's 99th percentile.
    P99(&'static str, f64, Engine),
    /// A median of at most that much.
    MedianAt(&'static str, f64),
    /// A 99th percentile below that.
    P99Below(&'static str, f64),
}

impl Bar {
    fn check(self, row: &Row) -> Option<Check> {
        let median = |engine| row.cell(engine).map(|cell| cell.time.median);
        let p99 = |engine| row.cell(engine).and_then(|cell| cell.p99);
        let (name, pass) = match self {
            Bar::Median(name, factor, peer) => {
                (name, median(Engine::Windlass)? <= factor * median(peer)?)
            }
            Bar::P99(name, factor, peer) => (name, p99(Engine::Windlass)? <= factor * p99(peer)?),
            Bar::MedianAt(name, most) => (name, median(Engine::Windlass)? <= most),
            Bar::P99Below(name, limit) => (name, p99(Engine::Windlass)? < limit),
        };
        Some(Check { name, pass })
    }
}

const OUTSIDE: &[Bar] = &[
    Bar::Median("<= 0.5 rayon", 0.5, Engine::Rayon),
    Bar::Median("<= 0.25 tokio", 0.25, Engine::Tokio),
];
const BULK: &[Bar] = &[Bar::Median("<= 0.2 rayon", 0.2, Engine::Rayon)];
const INSIDE: &[Bar] = &[Bar::Median("<= 0.7 rayon", 0.7, Engine::Rayon)];
const ASLEEP: &[Bar] = &[
    Bar::Median("p50 <= 0.9 rayon", 0.9, Engine::Rayon),
    Bar::P99("p99 <= 0.9 rayon", 0.9, Engine::Rayon),
];
const RESERVED: &[Bar] = &[Bar::P99Below("p99 < 1 ms", 1e6)];
const NO_BARS: &[Bar] = &[];
const WEIGHT: &[Bar] = &[Bar::MedianAt("<= 160 B", 160.0)];

/// One pool of every engine, as in the other suites.
struct Pools {
    windlass: windlass::Pool,
    rayon: Rayon,
    tokio: Tokio,
    threadpool: Threadpool,
    rusty_pool: RustyPool,
    affinitypool: Affinitypool,
    channel: Channel,
}

impl Pools {
    fn build(workers: usize) -> Pools {
        Pools {
            windlass: windlass_pool(workers),
            rayon: Rayon::build(workers),
            tokio: Tokio::build(workers),
            threadpool: Threadpool::build(workers),
            rusty_pool: RustyPool::build(workers),
            affinitypool: Affinitypool::build(workers),
            channel: Channel::build(workers),
        }
    }
}

/// A case that submits many jobs.
struct Throughput<'a> {
    name: &'static str,
    runs: Vec<Run<'a>>,
    bars: &'static [Bar],
}

/// The cases that submit `count` empty jobs.
fn throughput(pools: &Pools, count: u32) -> Vec<Throughput<'_>> {
    let Pools { windlass, rayon, tokio, threadpool, rusty_pool, affinitypool, channel } = pools;
    let alone = |windlass| {
        vec![
            one_submitter(Seq, count),
            windlass,
            one_submitter(rayon, count),
            one_submitter(tokio, count),
            one_submitter(TokioBlocking(tokio), count),
            one_submitter(threadpool, count),
            one_submitter(rusty_pool, count),
            one_submitter(affinitypool, count),
            one_submitter(channel, count),
        ]
    };
    let outside = alone(one_submitter(Submit(windlass), count));
    let bulk = alone(one_submitter(SubmitMany(windlass), count));
    let inside = vec![
        one_submitter(Seq, count),
        one_submitter(SubmitInside(windlass), count),
        one_submitter(RayonScope(&rayon.0), count),
        one_submitter(TokioInside(tokio), count),
    ];
    let four = vec![
        four_submitters(Seq, count),
        four_submitters(Submit(windlass), count),
        four_submitters(rayon, count),
        four_submitters(tokio, count),
        four_submitters(TokioBlocking(tokio), count),
        four_submitters(threadpool, count),
        four_submitters(rusty_pool, count),
        four_submitters(affinitypool, count),
        four_submitters(channel, count),
    ];
    vec![
        Throughput { name: "outside", runs: outside, bars: OUTSIDE },
        Throughput { name: "outside, submit_many", runs: bulk, bars: BULK },
        Throughput { name: "inside", runs: inside, bars: INSIDE },
        Throughput { name: "4 submitters", runs: four, bars: OUTSIDE },
    ]
}

/// An empty job. Its number is not known to the compiler, so it cannot be left out.
fn job(number: u32) -> impl FnOnce() -> u64 + Send + 'static {
    move || black_box(u64::from(number))
}

/// Submits the jobs with these numbers and collects them all; whether the sum is right.
fn collect(jobs: &impl Jobs, tally: &'static Tally, from: u32, to: u32) -> bool {
    let sum = jobs.start(tally, (from..to).map(job))();
    sum == (u64::from(from)..u64::from(to)).sum::<u64>()
}

/// A batch from this thread.
fn one_submitter<'a, J: Jobs + 'a>(jobs: J, count: u32) -> Run<'a> {
    Run::new(J::ENGINE, move |calls| {
        timed(J::ENGINE.name(), calls, || collect(&jobs, &TALLIES[0], 0, count))
    })
}

/// A batch shared out over four threads, each of which collects its own. The clock runs from the
/// first thread's start to the last one's end, so that starting threads is not part of it.
fn four_submitters<'a, J: Jobs + Sync + 'a>(jobs: J, count: u32) -> Run<'a> {
    let share = count / SUBMITTERS as u32;
    Run::new(J::ENGINE, move |calls| {
        let ready = AtomicUsize::new(0);
        let submit = |from: u32, tally| {
            // No barrier: it wakes its threads one after the other.
            ready.fetch_add(1, Ordering::Relaxed);
            while ready.load(Ordering::Relaxed) < SUBMITTERS {
                thread::yield_now();
            }
            let start = Instant::now();
            timed(J::ENGINE.name(), calls, || collect(&jobs, tally, from, from + share));
            (start, Instant::now())
        };
        thread::scope(|scope| {
            let submit = &submit;
            let start = |(from, tally)| scope.spawn(move || submit(from, tally));
            let threads: Vec<_> = (0..).step_by(share as usize).zip(&TALLIES).map(start).collect();
            let times = threads.into_iter().map(|thread| thread.join().expect("a submitter"));
            let (starts, ends): (Vec<_>, Vec<_>) = times.unzip();
            ends.into_iter().max().expect("four") - starts.into_iter().min().expect("four")
        })
    })
}

/// One job to a sleeping pool and back.
fn round_trips(pools: &Pools) -> Vec<Sampler<'_>> {
    let Pools { windlass, rayon, tokio, threadpool, rusty_pool, affinitypool, channel } = pools;
    vec![
        round_trip(Submit(windlass)),
        round_trip(RayonChannel(&rayon.0)),
        round_trip(tokio),
        round_trip(TokioBlocking(tokio)),
        round_trip(ThreadpoolChannel(threadpool)),
        round_trip(rusty_pool),
        round_trip(affinitypool),
        round_trip(channel),
    ]
}

/// A job of high priority past busy workers; rayon, which has no priorities, shows what a job waits
/// for without. A reserved worker is one beside the others.
fn urgent(workers: usize, reserved: usize, stay: Stay, length: Duration) -> Vec<Sampler<'static>> {
    let rayon = Arc::new(Rayon::build(workers));
    let windlass = Arc::new(reserving_pool(workers, reserved));
    let ordinary = Submit(Arc::clone(&windlass));
    vec![
        start_past(ordinary, High(windlass), workers, stay, length),
        start_past(Arc::clone(&rayon), rayon, workers, stay, length),
    ]
}

/// What a queued job weighs. Each sample is a process of its own, or a job might lie where an
/// earlier one was.
fn weights(workers: usize, count: u32) -> Vec<Sampler<'static>> {
    let in_child = move |engine: Engine| -> Sampler<'static> {
        (engine, Box::new(move || weigh_in_child("jobs", engine, workers, count)))
    };
    weights_here(workers, count).into_iter().map(|(engine, _)| in_child(engine)).collect()
}

/// The child's part: prints the figure of one engine.
pub(crate) fn weigh(engine: Engine, workers: usize, count: u32) {
    keep_freed_memory();
    let runs = weights_here(workers, count);
    let (_, mut sample) =
        runs.into_iter().find(|(other, _)| *other == engine).expect("an engine with jobs");
    println!("{}", sample());
}

fn weights_here(workers: usize, count: u32) -> Vec<Sampler<'static>> {
    vec![
        singles::weigh(move || Submit(windlass_pool(workers)), workers, count),
        singles::weigh(move || Rayon::build(workers), workers, count),
        singles::weigh(move || Tokio::build(workers), workers, count),
        singles::weigh(move || TokioBlocking(Tokio::build(workers)), workers, count),
        singles::weigh(move || Threadpool::build(workers), workers, count),
        singles::weigh(move || RustyPool::build(workers), workers, count),
        singles::weigh(move || Affinitypool::build(workers), workers, count),
        singles::weigh(move || Channel::build(workers), workers, count),
    ]
}

/// A row of single samples, if it is wanted. Rounds are interleaved as in the other suites; the
/// figures are over the samples of all rounds.
fn sampled<'a>(
    opts: &Options,
    name: &str,
    workers: usize,
    samples: usize,
    bars: &[Bar],
    runs: impl FnOnce() -> Vec<Sampler<'a>>,
) -> Option<Row> {
    if !opts.wants_case(name) {
        return None;
    }
    let mut runs = runs();
    runs.retain(|(engine, _)| opts.wants_engine(*engine));
    eprintln!("jobs: {name} ({workers} workers)");
    let mut values = vec![Vec::new(); runs.len()];
    for round in 0..opts.rounds {
        for turn in 0..runs.len() {
            let at = (round + turn) % runs.len();
            // An idle worker of the engine before falls asleep.
            sleep(Duration::from_millis(2));
            values[at].extend((0..samples).map(|_| (runs[at].1)()));
        }
    }
    let cells = runs.iter().zip(values).map(|((engine, _), mut values)| {
        values.sort_by(f64::total_cmp);
        let p99 = Some(quantile(&values, 0.99));
        Cell { engine: *engine, time: Stats::of(values), cpu: None, p99, switches: None }
    });
    let cells = cells.collect();
    let row = Row::new("jobs", name.to_owned(), workers, samples as u64, None, cells);
    Some(judged(row, bars))
}

/// Runs the suite and prints its tables.
pub(crate) fn run(opts: &Options) -> Vec<Row> {
    keep_freed_memory();
    let quick = opts.quick;
    let count = if quick { 4_000 } else { 200_000 };
    let (mut many, mut waits, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for &workers in &opts.workers {
        let pools = Pools::build(workers);
        for Throughput { name, runs, bars } in throughput(&pools, count) {
            let name = format!("{count} {name}");
            if opts.wants_case(&name) {
                let (suite, forks, max_calls) = ("jobs", None, 1);
                let case = Case { suite, name, workers, forks, max_calls, runs };
                many.push(judged(measure(opts, case), bars));
            }
        }
        let (name, samples) = ("round trip, asleep", if quick { 5 } else { 60 });
        waits.extend(sampled(opts, name, workers, samples, ASLEEP, || round_trips(&pools)));
        drop(pools);

        let (length, samples) = if quick { (10, 2) } else { (50, 24) };
        let length = Duration::from_millis(length);
        for (stay, how) in [(Stay::Busy, "busy"), (Stay::Blocked, "blocked")] {
            for (reserved, bars) in [(0, NO_BARS), (1, RESERVED)] {
                let name = format!("High, workers {how}, {reserved} reserved");
                let runs = || urgent(workers, reserved, stay, length);
                waits.extend(sampled(opts, &name, workers, samples, bars, runs));
            }
        }

        let name = "queued, 32-byte capture";
        if allocated_bytes().is_some() {
            let runs = || weights(workers, count / 2);
            bytes.extend(sampled(opts, name, workers, 1, WEIGHT, runs));
        }
    }
    print_tables(count, &many, &waits, &bytes);
    many.into_iter().chain(waits).chain(bytes).collect()
}

fn judged(mut row: Row, bars: &[Bar]) -> Row {
    row.checks = bars.iter().filter_map(|bar| bar.check(&row)).collect();
    row
}

fn print_tables(count: u32, many: &[Row], waits: &[Row], bytes: &[Row]) {
    let over = |row: &Row, peer| {
        let median = |engine| row.cell(engine).map(|cell| cell.time.median);
        Some(median(Engine::Windlass)? / median(peer)?)
    };
    let say = |row: &Row, peer| over(row, peer).map_or("-".into(), |ratio| format!("{ratio:.2}"));
    let rayon = |row: &Row| say(row, Engine::Rayon);
    let tokio = |row: &Row| say(row, Engine::Tokio);
    let bars = |row: &Row| {
        let checks = row.checks.iter();
        let checks: Vec<_> =
            checks.map(|c| format!("{} {}", c.name, report::verdict(row, c.name))).collect();
        if checks.is_empty() { "-".to_owned() } else { checks.join(", ") }
    };
    let extras: [report::Extra; 3] = [("vs rayon", &rayon), ("vs tokio", &tokio), ("bars", &bars)];
    let each = |cell: &Cell| {
        let time = report::time(cell.time.median / f64::from(count));
        format!("{time} ±{:.0}%", cell.time.spread * 100.0)
    };
    report::table("jobs: wall time a job (median ± interquartile range)", many, each, &extras);
    let single = |cell: &Cell| {
        let p99 = cell.p99.map_or_else(|| "-".into(), report::time);
        format!("{} / {p99}", report::time(cell.time.median))
    };
    report::table("jobs: median / p99 of single jobs", waits, single, &extras);
    let weight = |cell: &Cell| format!("{:.0} B", cell.time.median);
    report::table("jobs: memory of a queued job", bytes, weight, &extras);
}
