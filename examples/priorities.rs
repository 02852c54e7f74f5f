//! A stream of small jobs that somebody waits for, beside a heavy batch, on one pool.
//!
//! ```text
//! cargo run --release --example priorities
//! ```
//!
//! The batch keeps every worker busy with parallel loops and with plain closures of some
//! milliseconds. Meanwhile a request comes every few milliseconds. Shown is how long requests took
//! from their submission to their result: first with everything on one level, then with the batch
//! in the background and the requests above, then with a reserved worker for those.

use clap::Parser;
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use windlass::prelude::*;
use windlass::{JobHandle, Pool, Priority};

#[derive(Parser)]
struct Args {
    /// How many workers the pool has [default: all CPUs].
    #[arg(long)]
    workers: Option<usize>,
    /// How many requests each run has.
    #[arg(long, default_value_t = 200)]
    requests: u32,
}

/// About so much work, for the CPU.
fn work(rounds: u64) -> u64 {
    (0..rounds).fold(1, |a: u64, b| std::hint::black_box(a.wrapping_mul(31).wrapping_add(b)))
}

/// One job of the batch: a parallel loop, or a closure that nobody can interrupt.
fn batch_job(pool: &Pool, level: Priority, nth: u64, done: &Arc<AtomicU64>) -> JobHandle<u64> {
    let done = Arc::clone(done);
    let job = pool.job("batch").priority(level);
    job.submit(move || {
        let result = match nth % 2 {
            0 => (0..2_000_u64).into_par_iter().map(|n| work(1_000 + n % 7)).max().unwrap_or(0),
            _ => work(2_000_000),
        };
        done.fetch_add(1, Ordering::Relaxed);
        result
    })
}

/// Runs the requests beside the batch. Returns their latencies, sorted, and how many jobs of the
/// batch were done a second.
fn run(args: &Args, batch: Priority, request: Priority, reserved: usize) -> (Vec<Duration>, f64) {
    let mut builder = Pool::builder().reserved_workers(reserved);
    if let Some(workers) = args.workers {
        builder = builder.workers(workers);
    }
    let pool = builder.build().expect("a pool");
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let feeder = {
        let (pool, done, stop) = (pool.clone(), Arc::clone(&done), Arc::clone(&stop));
        std::thread::spawn(move || {
            // A few for each worker are always queued.
            let mut queued = std::collections::VecDeque::new();
            for nth in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                queued.push_back(batch_job(&pool, batch, nth, &done));
                if queued.len() > 4 * pool.num_workers()
                    && let Some(mut first) = queued.pop_front()
                {
                    // Not `wait`, which would take part.
                    while first.wait_timeout(Duration::from_secs(1)).is_none() {}
                }
            }
        })
    };
    let start = Instant::now();
    let mut latencies: Vec<Duration> = (0..args.requests)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(3));
            let begin = Instant::now();
            let mut handle = pool.job("request").priority(request).submit(|| work(20_000));
            while handle.wait_timeout(Duration::from_secs(1)).is_none() {}
            begin.elapsed()
        })
        .collect();
    let rate = done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    feeder.join().expect("the feeder does not panic");
    latencies.sort();
    (latencies, rate)
}

fn main() {
    let args = Args::parse();
    let normal = Priority::Normal;
    let cases = [
        ("one level", run(&args, normal, normal, 0)),
        ("priorities", run(&args, Priority::Background, Priority::High, 0)),
        ("and a reserved worker", run(&args, Priority::Background, Priority::High, 1)),
    ];
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["", "p50", "p90", "p99", "most", "batch jobs a second"]);
    for (name, (latencies, rate)) in cases {
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
        let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
        table.add_row([
            name.to_owned(),
            ms(at(0.5)),
            ms(at(0.9)),
            ms(at(0.99)),
            ms(at(1.0)),
            format!("{rate:.0}"),
        ]);
    }
    println!("{table}");
}
