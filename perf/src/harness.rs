//! How a case is measured: calibration, interleaved rounds, CPU time, and what a sample becomes.
//!
//! The suites say what to run; this file alone decides how often, in which order and with what
//! rest in between, so that no engine is measured by other rules than its peers.

use crate::engines::Engine;
use serde::Serialize;
use std::fmt::Display;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Rest between two samples. An idle worker of the engine before may still spin or, in chili,
/// wait for its heartbeat's next tick (100 µs); after this it is asleep and leaves the cores alone.
const SETTLE: Duration = Duration::from_millis(2);

/// What the command line asked for, in the form the suites use.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) workers: Vec<usize>,
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    pub(crate) only: Option<String>,
    pub(crate) engines: Vec<Engine>,
}

impl Options {
    /// Whether `--only` lets this case through.
    pub(crate) fn wants_case(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|part| name.contains(part))
    }

    /// Whether `--engines` lets this engine through. The sequential version always runs: it
    /// calibrates the sample and is one of the two yardsticks.
    pub(crate) fn wants_engine(&self, engine: Engine) -> bool {
        engine == Engine::Seq || self.engines.is_empty() || self.engines.contains(&engine)
    }

    /// The shortest sequential sample that counts, and the longest one for the slowest engine.
    fn sample_bounds_ns(&self) -> (f64, f64) {
        if self.quick { (2e5, 4e6) } else { (2e6, 6e7) }
    }
}

/// One engine's way of doing a case: makes that many calls and returns their wall time. The
/// closure holds the clock itself, so it can open a scope, build a pool or sleep untimed.
pub(crate) struct Run<'a> {
    pub(crate) engine: Engine,
    pub(crate) call: Box<dyn FnMut(u64) -> Duration + 'a>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(engine: Engine, call: impl FnMut(u64) -> Duration + 'a) -> Self {
        Run { engine, call: Box::new(call) }
    }
}

/// A case at one worker count, ready to be measured.
pub(crate) struct Case<'a> {
    pub(crate) suite: &'static str,
    pub(crate) name: String,
    pub(crate) workers: usize,
    /// How often one call forks, where that is known.
    pub(crate) forks: Option<u64>,
    /// Most calls a sample may hold; the cases that sleep between calls keep this low.
    pub(crate) max_calls: u64,
    pub(crate) runs: Vec<Run<'a>>,
}

/// Median, extremes and spread of a list of samples.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Stats {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// Interquartile range over the median: one disturbed round does not blow it up.
    pub(crate) spread: f64,
}

impl Stats {
    pub(crate) fn of(mut samples: Vec<f64>) -> Stats {
        samples.sort_by(f64::total_cmp);
        let median = quantile(&samples, 0.5);
        let iqr = quantile(&samples, 0.75) - quantile(&samples, 0.25);
        Stats {
            median,
            min: samples[0],
            max: samples[samples.len() - 1],
            spread: if median > 0.0 { iqr / median } else { 0.0 },
        }
    }
}

impl Stats {
    /// In another unit.
    pub(crate) fn scale(&mut self, by: f64) {
        for figure in [&mut self.median, &mut self.min, &mut self.max] {
            *figure *= by;
        }
    }
}

/// The `q` quantile of sorted samples, interpolated between neighbours.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

/// One engine's figures in a row.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cell {
    pub(crate) engine: Engine,
    /// Wall time of one call in ns; in the idle suite, CPU time of the window in ns; in the cases
    /// of the jobs suite that count memory, bytes.
    pub(crate) time: Stats,
    /// CPU time of the whole process for one call in ns, with all that the call's closure does
    /// untimed (a case that builds its pool afresh pays for that here).
    pub(crate) cpu: Option<Stats>,
    /// The 99th percentile of single calls in ns.
    pub(crate) p99: Option<f64>,
    /// Voluntary context switches of the window.
    pub(crate) switches: Option<i64>,
}

/// A yes-or-no question asked of a row.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) pass: bool,
}

/// A measured case: one line of a table and one object of the JSON file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) suite: &'static str,
    pub(crate) case: String,
    pub(crate) workers: usize,
    pub(crate) calls_per_sample: u64,
    pub(crate) forks: Option<u64>,
    pub(crate) cells: Vec<Cell>,
    pub(crate) best_peer: Option<Engine>,
    /// Windlass over the best peer; below 1 Windlass is faster.
    pub(crate) vs_best_peer: Option<f64>,
    /// Windlass over sequential; below 1 Windlass is faster.
    pub(crate) vs_seq: Option<f64>,
    pub(crate) checks: Vec<Check>,
}

impl Row {
    /// Puts the cells in the tables' order and works out the ratios.
    pub(crate) fn new(
        suite: &'static str,
        case: String,
        workers: usize,
        calls_per_sample: u64,
        forks: Option<u64>,
        mut cells: Vec<Cell>,
    ) -> Row {
        cells.sort_by_key(|cell| cell.engine);
        let of = |engine| cells.iter().find(|c| c.engine == engine).map(|c| c.time.median);
        let best = cells
            .iter()
            .filter(|c| c.engine.is_peer())
            .min_by(|a, b| a.time.median.total_cmp(&b.time.median));
        let ratio = |to: Option<f64>| Some(of(Engine::Windlass)? / to.filter(|&t| t > 0.0)?);
        Row {
            best_peer: best.map(|c| c.engine),
            vs_best_peer: ratio(best.map(|c| c.time.median)),
            vs_seq: ratio(of(Engine::Seq)),
            suite,
            case,
            workers,
            calls_per_sample,
            forks,
            cells,
            checks: Vec::new(),
        }
    }

    pub(crate) fn cell(&self, engine: Engine) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.engine == engine)
    }
}

/// Measures one case: calibrates, then runs every engine once a round in rotating order.
pub(crate) fn measure(opts: &Options, mut case: Case<'_>) -> Row {
    case.runs.retain(|run| opts.wants_engine(run.engine));
    // Printed first, so that a wrong answer or a hang stands below the case's name.
    eprintln!("{}: {} ({} workers)", case.suite, case.name, case.workers);
    let calls = calibrate(opts, &mut case);
    let engines = case.runs.len();
    let mut wall = vec![Vec::new(); engines];
    let mut cpu = vec![Vec::new(); engines];
    sleep(SETTLE);
    for round in 0..opts.rounds {
        for turn in 0..engines {
            let at = (round + turn) % engines;
            let before = cpu_time_ns();
            let time = (case.runs[at].call)(calls);
            // The rest is part of the CPU window: what idle workers burn before they fall asleep
            // is a cost of the call, and a sleeping thread's CPU time is exact in the kernel's
            // books, while that of a thread still running lags by up to a timer tick.
            sleep(SETTLE);
            wall[at].push(time.as_nanos() as f64 / calls as f64);
            cpu[at].push((cpu_time_ns() - before) as f64 / calls as f64);
        }
    }
    let cells = case.runs.iter().zip(wall).zip(cpu).map(|((run, wall), cpu)| Cell {
        engine: run.engine,
        time: Stats::of(wall),
        cpu: Some(Stats::of(cpu)),
        p99: None,
        switches: None,
    });
    let cells = cells.collect();
    Row::new(case.suite, case.name, case.workers, calls, case.forks, cells)
}

/// How many calls make a sample, the same number for every engine: enough for the sequential
/// version to fill the shortest sample that counts, but no more than keeps the slowest engine
/// under the longest one (a 20 ns loop costs some pools a thousand times that). It is also the
/// warm-up, and the first check of every engine's answers.
fn calibrate(opts: &Options, case: &mut Case<'_>) -> u64 {
    let (shortest, longest) = opts.sample_bounds_ns();
    let (mut sequential, mut slowest) = (1.0_f64, 1.0_f64);
    for run in &mut case.runs {
        let mut calls = 1;
        let mut ns = (run.call)(1).as_nanos() as f64;
        while ns < shortest / 10.0 && calls < case.max_calls {
            calls = (calls * 4).min(case.max_calls);
            ns = (run.call)(calls).as_nanos() as f64;
        }
        let each = (ns / calls as f64).max(1.0);
        slowest = slowest.max(each);
        if run.engine == Engine::Seq {
            sequential = each;
        }
    }
    let fill = (shortest / sequential).ceil();
    (fill.min(longest / slowest) as u64).clamp(1, case.max_calls)
}

/// Times `calls` repetitions of `call`, whose answer says whether it was right.
pub(crate) fn timed(what: impl Display, calls: u64, mut call: impl FnMut() -> bool) -> Duration {
    let mut right = true;
    let start = Instant::now();
    for _ in 0..calls {
        right &= call();
    }
    let time = start.elapsed();
    demand(right, what);
    time
}

/// Ends the whole run when an answer is wrong: a figure for wrong work must not be printed.
pub(crate) fn demand(right: bool, what: impl Display) {
    if !right {
        eprintln!("wrong answer: {what}");
        std::process::exit(1);
    }
}

/// Makes glibc keep what is freed. Otherwise it gives large vectors back to the kernel by rules
/// that differ between the main thread and others: the page faults of the next call then depend on
/// which thread an engine happens to allocate on.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "mallopt has no safe form in the standard library")]
pub(crate) fn keep_freed_memory() {
    for parameter in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: sets a number in the allocator, under its lock.
        let set = unsafe { libc::mallopt(parameter, i32::MAX) };
        assert_eq!(set, 1, "mallopt refused");
    }
}

/// Other allocators are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_freed_memory() {}

/// Bytes handed out by the allocator, over all its arenas. What a thread has freed and kept for
/// itself counts as handed out.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "mallinfo2 has no safe form in the standard library")]
pub(crate) fn allocated_bytes() -> Option<usize> {
    // SAFETY: reads the allocator's books, under its locks.
    let info = unsafe { libc::mallinfo2() };
    Some(info.uordblks + info.hblkhd)
}

/// Other allocators are not asked.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn allocated_bytes() -> Option<usize> {
    None
}

/// Whose CPU time and context switches to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Process,
    ThisThread,
    /// The programs that this one has started and waited for.
    Children,
}

/// CPU time and voluntary context switches so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_ns: i64,
    pub(crate) switches: i64,
}

fn cpu_time_ns() -> i64 {
    usage(Who::Process).cpu_ns
}

/// Reads getrusage(2).
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "getrusage has no safe form in the standard library")]
pub(crate) fn usage(who: Who) -> Usage {
    let who = match who {
        Who::Process => libc::RUSAGE_SELF,
        Who::ThisThread => libc::RUSAGE_THREAD,
        Who::Children => libc::RUSAGE_CHILDREN,
    };
    // SAFETY: `rusage` is plain integers, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a live `rusage` that nothing else points to.
    let answer = unsafe { libc::getrusage(who, &mut usage) };
    assert_eq!(answer, 0, "getrusage refused");
    let ns = |time: libc::timeval| time.tv_sec * 1_000_000_000 + time.tv_usec * 1_000;
    Usage { cpu_ns: ns(usage.ru_utime) + ns(usage.ru_stime), switches: usage.ru_nvcsw }
}

/// Elsewhere there is no RUSAGE_THREAD; wall time is still measured and CPU time reads zero.
#[cfg(not(target_os = "linux"))]
pub(crate) fn usage(_: Who) -> Usage {
    Usage::default()
}

/// Has a suite weigh so many jobs of one engine in a process of its own, or a job might lie where an
/// earlier one was.
pub(crate) fn weigh_in_child(suite: &str, engine: Engine, workers: usize, count: u32) -> f64 {
    let this = std::env::current_exe().expect("the path of this program");
    let mut child = std::process::Command::new(this);
    child.args([suite, "--weigh", &count.to_string(), "--workers", &workers.to_string()]);
    child.args(["--engines", engine.name()]);
    let output = child.output().expect("a child process");
    let text = String::from_utf8_lossy(&output.stdout);
    demand(output.status.success(), engine.name());
    text.trim().parse().expect("the child prints a number")
}
