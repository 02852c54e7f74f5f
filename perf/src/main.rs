//! The command line: which suites run, with which options. What they ask and how they measure is
//! in `perf/README.md`.

#![deny(unsafe_code)]

mod admission;
mod async_;
mod compile;
mod engines;
mod fork;
mod graph;
mod group;
mod harness;
mod idle;
mod iter;
mod jobs;
mod latency;
mod map;
mod recursions;
mod report;
mod retry;
mod time;

use clap::{Parser, ValueEnum};
use engines::Engine;
use harness::Options;
use std::path::PathBuf;

/// The same work on Windlass and its peers, in one run.
#[derive(Parser)]
#[command(name = "windlass-perf")]
struct Cli {
    /// What to measure.
    suite: Suite,
    /// Worker counts, in a list; by default 1 and all cores.
    #[arg(long, value_delimiter = ',', value_parser = positive)]
    workers: Vec<usize>,
    /// Rounds: every engine runs once in each [default: 9, with --quick 2].
    #[arg(long, value_parser = positive)]
    rounds: Option<usize>,
    /// Tiny sizes, to see that everything runs; the figures mean little.
    #[arg(long)]
    quick: bool,
    /// Also writes the rows and the machine's description to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only the cases whose name holds this text.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Only these engines; the sequential version always runs too.
    #[arg(long, value_delimiter = ',')]
    engines: Vec<Engine>,
    /// For the suite itself: weighs so many jobs of one engine, and prints that alone.
    #[arg(long, hide = true)]
    weigh: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// What a fork costs, hot and from outside, on even and skewed trees.
    Fork,
    /// Loops over a slice, from ten items to ten million.
    Map,
    /// Parallel iterators beside rayon's and the standard library's.
    Iter,
    /// What a pool costs while nothing runs on it.
    Idle,
    /// How long entering a pool takes.
    Latency,
    /// What a job costs: submitting many, waiting for one, and memory.
    Jobs,
    /// What a member of a group costs, beside plain jobs and the peers' sets of tasks.
    Group,
    /// What a retry costs, and what a job weighs that waits for one.
    Retry,
    /// What it costs async code to have closures computed, and how a service answers meanwhile.
    Async,
    /// What a node of a graph costs: running it, building it, and how well it is shared.
    Graph,
    /// Timers: what they cost, how late they are, and what they cost at rest.
    Time,
    /// What the limits of a pool cost a job, and whether a flood stays within them.
    Admission,
    /// How long the compiler takes for parallel iterators. Not part of `all`.
    Compile,
    /// All of the above but `compile`.
    All,
}

/// Runs a suite and prints its tables.
type Run = fn(&Options) -> Vec<harness::Row>;

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number from 1 up".into()),
        Ok(number) => Ok(number),
    }
}

fn main() {
    let cli = Cli::parse();
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut workers = cli.workers;
    if workers.is_empty() {
        workers = vec![1, cores];
    }
    workers.sort_unstable();
    workers.dedup();
    if let Some(count) = cli.weigh {
        return match cli.suite {
            Suite::Retry => retry::weigh(workers[0], count),
            _ => jobs::weigh(cli.engines[0], workers[0], count),
        };
    }
    let opts = Options {
        workers,
        rounds: cli.rounds.unwrap_or(if cli.quick { 2 } else { 9 }),
        quick: cli.quick,
        only: cli.only,
        engines: cli.engines,
    };
    let machine = report::Machine::look(cores);
    println!("{}", machine.headline(&opts));
    // The idle suite goes first, while no other suite has left threads in the process: orx's
    // global pool, once started, stays to the end.
    let suites: [(Suite, Run); 12] = [
        (Suite::Idle, idle::run),
        (Suite::Fork, fork::run),
        (Suite::Map, map::run),
        (Suite::Iter, iter::run),
        (Suite::Latency, latency::run),
        (Suite::Jobs, jobs::run),
        (Suite::Group, group::run),
        (Suite::Retry, retry::run),
        (Suite::Async, async_::run),
        (Suite::Graph, graph::run),
        (Suite::Time, time::run),
        (Suite::Admission, admission::run),
    ];
    let mut rows = Vec::new();
    for (suite, run) in suites {
        if cli.suite == suite || cli.suite == Suite::All {
            rows.extend(run(&opts));
        }
    }
    if cli.suite == Suite::Compile {
        rows.extend(compile::run(&opts));
    }
    if rows.is_empty() {
        eprintln!("no case fits --only");
        std::process::exit(2);
    }
    if let Some(path) = cli.json
        && let Err(error) = report::write_json(&path, &machine, &opts, &rows)
    {
        eprintln!("{}: {error}", path.display());
        std::process::exit(1);
    }
}
