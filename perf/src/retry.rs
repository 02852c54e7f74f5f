//! The retry suite: what a round of a retry costs beside a plain job, and what a job weighs that waits
//! for its next attempt.
//!
//! Each call submits a thousand jobs that fail twice and then succeed, without a delay, so that all
//! that is measured is the way out of the worker and back. The peer does by hand what a task does that
//! is tried again without a delay: it yields and runs once more. In `by the timer` each retry waits a
//! nanosecond, and so goes through the timer's thread.

use crate::engines::{Engine, windlass_pool};
use crate::harness::{
    Case, Cell, Check, Options, Row, Run, Stats, allocated_bytes, demand, keep_freed_memory,
    measure, timed, weigh_in_child,
};
use crate::report;
use std::hint::black_box;
use std::time::Duration;
use windlass::{JobState, Pool, Retry, RetryPolicy};

const JOBS: u64 = 1_000;
const SUM: u64 = JOBS * (JOBS - 1) / 2;
const ATTEMPTS: u32 = 3;
/// How much a job may weigh that waits.
const BAR: &str = "<= 400 B";

fn attempt(n: u64, nth: u32) -> Result<u64, &'static str> {
    if nth < ATTEMPTS { Err(black_box("not yet")) } else { Ok(black_box(n)) }
}

fn retried(pool: &Pool, retry: &Retry<u64, &'static str>, attempts: u32) -> bool {
    let submit = |n| {
        let job = pool.job("retried").retry(retry);
        job.submit_fallible(move |cx| attempt(n, cx.attempt() + ATTEMPTS - attempts))
    };
    let handles: Vec<_> = (0..JOBS).map(submit).collect();
    handles.into_iter().map(|handle| handle.wait().expect("the last succeeds")).sum::<u64>() == SUM
}

fn yielding(runtime: &tokio::runtime::Runtime, attempts: u32) -> bool {
    runtime.block_on(async {
        let spawn = |n| {
            tokio::spawn(async move {
                for nth in ATTEMPTS + 1 - attempts.. {
                    match attempt(n, nth) {
                        Ok(n) => return n,
                        Err(_) => tokio::task::yield_now().await,
                    }
                }
                unreachable!("the last succeeds")
            })
        };
        let tasks: Vec<_> = (0..JOBS).map(spawn).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.expect("no task panics");
        }
        sum == SUM
    })
}

/// Prints how many bytes a job takes, of many that wait for an hour.
pub(crate) fn weigh(workers: usize, count: u32) {
    keep_freed_memory();
    let pool = windlass_pool(workers);
    let retry = Retry::new(RetryPolicy::fixed(Duration::from_secs(3_600)));
    let ballast = [1_u64; 4];
    let submit = || {
        pool.job("waits").retry(&retry).submit_fallible(move |_| {
            black_box(&ballast);
            Err::<(), _>("not yet")
        })
    };
    // Starts the timer's thread, and waits until it is there.
    let soon = RetryPolicy::fixed(Duration::from_nanos(1));
    let first = pool.job("first").retry(soon);
    let first = first.submit_fallible(|cx| if cx.attempt() == 1 { Err("not yet") } else { Ok(()) });
    first.wait().expect("the second attempt succeeds");
    let mut handles = Vec::with_capacity(count as usize);
    let (before, threads) = (allocated_bytes(), num_threads());
    handles.extend((0..count).map(|_| submit()));
    while handles.iter().any(|handle| handle.state() != JobState::Waiting) {
        std::thread::yield_now();
    }
    let after = allocated_bytes();
    demand(num_threads() == threads, "a job that waits holds a thread");
    demand(pool.job_counts().pending() == u64::from(count), "a job that waits has ended");
    let grown = after.zip(before).map(|(after, before)| after - before);
    println!(
        "{}",
        grown.expect("the parent has asked whether it can be told") as f64 / f64::from(count)
    );
}

fn num_threads() -> Option<usize> {
    std::fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}

/// Runs the suite and prints its tables.
pub(crate) fn run(opts: &Options) -> Vec<Row> {
    let (mut rows, mut weights) = (Vec::new(), Vec::new());
    for &workers in &opts.workers {
        rows.extend(rounds(opts, workers));
        let name = "waiting for an hour, 32-byte capture";
        let count = if opts.quick { 1_000 } else { 100_000 };
        if opts.wants_case(name) && allocated_bytes().is_some() {
            eprintln!("retry: {name} ({workers} workers)");
            let sample = |_| weigh_in_child("retry", Engine::Windlass, workers, count);
            let time = Stats::of((0..opts.rounds.min(3)).map(sample).collect());
            let pass = time.median <= 400.0;
            let (engine, cpu, p99, switches) = (Engine::Windlass, None, None, None);
            let cells = vec![Cell { engine, time, cpu, p99, switches }];
            let mut row = Row::new("retry", name.to_owned(), workers, 1, None, cells);
            row.checks = vec![Check { name: BAR, pass }];
            weights.push(row);
        }
    }
    let [peer, _] = report::RATIOS;
    let title = "retry: a thousand jobs (median ± interquartile range)";
    report::table(title, &rows, report::time_and_spread, &[peer]);
    let bytes = |cell: &Cell| format!("{:.0} B", cell.time.median);
    let bar: report::Extra = (BAR, &|row| report::verdict(row, BAR));
    report::table("retry: memory of a job that waits", &weights, bytes, &[bar]);
    report::print_failing(&weights);
    rows.into_iter().chain(weights).collect()
}

fn rounds(opts: &Options, workers: usize) -> Vec<Row> {
    let pool = windlass_pool(workers);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).build();
    let runtime = runtime.expect("tokio runtime");
    let after = |delay| Retry::new(RetryPolicy::fixed(delay).attempts(ATTEMPTS));
    let (at_once, soon) = (after(Duration::ZERO), after(Duration::from_nanos(1)));
    let cases = [
        ("one attempt", &at_once, 1),
        ("three attempts", &at_once, ATTEMPTS),
        ("three attempts, by the timer", &soon, ATTEMPTS),
    ];
    let mut rows = Vec::new();
    for (name, retry, attempts) in cases {
        if !opts.wants_case(name) {
            continue;
        }
        let first = ATTEMPTS + 1 - attempts;
        let one = move |n| (first..).find_map(|nth| attempt(n, nth).ok());
        let seq = move || (0..JOBS).filter_map(one).sum::<u64>() == SUM;
        let runs = vec![
            Run::new(Engine::Seq, |calls| timed(name, calls, seq)),
            Run::new(Engine::Windlass, |calls| {
                timed(name, calls, || retried(&pool, retry, attempts))
            }),
            Run::new(Engine::Tokio, |calls| timed(name, calls, || yielding(&runtime, attempts))),
        ];
        let (suite, name, forks) = ("retry", name.to_owned(), Some(JOBS));
        rows.push(measure(opts, Case { suite, name, workers, forks, max_calls: 200, runs }));
    }
    rows
}
