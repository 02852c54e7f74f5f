//! The admission suite: what the limits of a pool cost a job, and whether a flood stays within them.

use crate::engines::Engine;
use crate::harness::{
    Case, Cell, Check, Options, Row, Run, Stats, demand, keep_freed_memory, measure, timed,
};
use crate::report;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use windlass::{Bound, Pool};

/// What a limit may cost a job, in nanoseconds.
const MOST: f64 = 20.0;
/// Of the flood.
const BOUND: usize = 10_000;
/// What may be in the pool at once may weigh so much, and some for the threads themselves.
const MOST_BYTES: f64 = BOUND as f64 * 512.0 + 4e6;

const COST: &str = "<= 20 ns a limit over none";
const MEMORY: &str = "<= 512 B a place + 4 MB";

/// Sums up what the jobs return, as they are not waited for.
#[derive(Clone, Default)]
struct Sum(Arc<[AtomicU64; 2]>);

impl Sum {
    fn job(&self, number: u64) -> impl FnOnce() + Send + 'static {
        let sum = Arc::clone(&self.0);
        move || {
            sum[1].fetch_add(black_box(number), Ordering::Relaxed);
            sum[0].fetch_add(1, Ordering::Release);
        }
    }

    /// Waits until so many have run, and whether they were those from 0.
    fn is_right(&self, count: u64) -> bool {
        while self.0[0].load(Ordering::Acquire) < count {
            thread::yield_now();
        }
        self.0[1].load(Ordering::Relaxed) == count * (count - 1) / 2
    }
}

/// Something that takes jobs in, at most so many at once.
trait Intake: Sync {
    const ENGINE: Engine;
    fn submit(&self, job: impl FnOnce() + Send + 'static);
}

struct Windlass(Pool);

impl Windlass {
    fn build(workers: usize, bound: Bound) -> Self {
        Windlass(Pool::builder().workers(workers).queue(bound).build().expect("windlass pool"))
    }
}

impl Intake for Windlass {
    const ENGINE: Engine = Engine::Windlass;
    fn submit(&self, job: impl FnOnce() + Send + 'static) {
        self.0.submit(job).detach();
    }
}

/// The same pool without a limit.
struct Unlimited(Pool);

impl Intake for Unlimited {
    const ENGINE: Engine = Engine::Unlimited;
    fn submit(&self, job: impl FnOnce() + Send + 'static) {
        self.0.submit(job).detach();
    }
}

/// tokio's tasks, each with a permit of a semaphore until it begins.
struct Tokio {
    runtime: tokio::runtime::Runtime,
    permits: Arc<tokio::sync::Semaphore>,
}

impl Tokio {
    fn build(workers: usize, bound: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).build();
        let permits = Arc::new(tokio::sync::Semaphore::new(bound));
        Tokio { runtime: runtime.expect("tokio runtime"), permits }
    }
}

impl Intake for Tokio {
    const ENGINE: Engine = Engine::Tokio;
    fn submit(&self, job: impl FnOnce() + Send + 'static) {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let permit = Arc::clone(&self.permits).acquire_owned();
                self.runtime.block_on(permit).expect("the semaphore is open")
            }
        };
        drop(self.runtime.spawn(async move {
            drop(permit);
            job();
        }));
    }
}

/// Threads that take boxed closures from a bounded channel of the standard library.
struct Channel {
    jobs: mpsc::SyncSender<Box<dyn FnOnce() + Send>>,
}

impl Channel {
    fn build(workers: usize, bound: usize) -> Self {
        let (jobs, queue) = mpsc::sync_channel::<Box<dyn FnOnce() + Send>>(bound);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..workers {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                loop {
                    let next = queue.lock().expect("no panic under the lock").recv();
                    let Ok(job) = next else { return };
                    job();
                }
            });
        }
        Channel { jobs }
    }
}

impl Intake for Channel {
    const ENGINE: Engine = Engine::Channel;
    fn submit(&self, job: impl FnOnce() + Send + 'static) {
        self.jobs.send(Box::new(job)).expect("the threads are there");
    }
}

/// All jobs from so many threads, from the first one's start until the last job has run.
fn submitted<'a, I: Intake + 'a>(intake: &'a I, submitters: u64, count: u64) -> Run<'a> {
    Run::new(I::ENGINE, move |calls| {
        timed(I::ENGINE.name(), calls, || {
            let sum = Sum::default();
            let share = count / submitters;
            let submit = |from: u64| (from..from + share).for_each(|n| intake.submit(sum.job(n)));
            thread::scope(|scope| {
                for n in 1..submitters {
                    scope.spawn(move || submit(n * share));
                }
                submit(0);
            });
            sum.is_right(share * submitters)
        })
    })
}

/// What the process has in memory, in bytes.
fn resident() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096.0)
}

/// Many jobs, each of which takes a little longer than its submission. How long a job took, and how
/// much memory the process grew by.
fn flood<I: Intake>(intake: &I, count: u64) -> (Duration, Option<f64>) {
    let (sum, before, most) = (Sum::default(), resident(), AtomicUsize::new(0));
    let start = Instant::now();
    for n in 0..count {
        let job = sum.job(n);
        intake.submit(move || {
            for _ in 0..100 {
                black_box(());
            }
            job();
        });
        if n % (1 << 14) == 0
            && let (Some(now), Some(before)) = (resident(), before)
        {
            most.fetch_max((now - before).max(0.0) as usize, Ordering::Relaxed);
        }
    }
    demand(sum.is_right(count), I::ENGINE.name());
    let most = before.map(|_| most.load(Ordering::Relaxed) as f64);
    (start.elapsed(), most)
}

fn cell(engine: Engine, value: f64) -> Cell {
    Cell { engine, time: Stats::of(vec![value]), cpu: None, p99: None, switches: None }
}

/// Runs the suite and prints its tables.
pub(crate) fn run(opts: &Options) -> Vec<Row> {
    keep_freed_memory();
    let count = if opts.quick { 4_000 } else { 200_000 };
    let flooding = if opts.quick { 100_000 } else { 10_000_000 };
    let (mut costs, mut floods, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for &workers in &opts.workers {
        // Never reached: what is measured is the way in, and the way back.
        let far = 4 * count as usize;
        let limited = Windlass::build(workers, Bound::jobs(far));
        let in_flight = Windlass::build(workers, Bound::in_flight(far));
        let both = Windlass::build(workers, Bound::jobs(far).or_in_flight(far));
        let unlimited = Unlimited(Pool::new(workers).expect("windlass pool"));
        let (tokio, channel) = (Tokio::build(workers, far), Channel::build(workers, far));
        for submitters in [1, 4] {
            let cases = [
                ("limit of jobs", &limited, 1.0),
                ("limit in flight", &in_flight, 1.0),
                ("both limits", &both, 2.0),
            ];
            for (what, intake, limits) in cases {
                let name = format!("{count} jobs, {submitters} submitters, {what}");
                if !opts.wants_case(&name) {
                    continue;
                }
                let runs = vec![
                    submitted(intake, submitters, count),
                    submitted(&unlimited, submitters, count),
                    submitted(&tokio, submitters, count),
                    submitted(&channel, submitters, count),
                ];
                let (suite, forks, max_calls) = ("admission", None, 1);
                let mut row = measure(opts, Case { suite, name, workers, forks, max_calls, runs });
                let pass = cost(&row, count).is_some_and(|cost| cost <= limits * MOST);
                row.checks = vec![Check { name: COST, pass }];
                costs.push(row);
            }
        }
        drop((limited, in_flight, both, unlimited, tokio, channel));

        let name = format!("{flooding} jobs against a limit of {BOUND}");
        if opts.wants_case(&name) {
            eprintln!("admission: {name} ({workers} workers)");
            let (mut times, mut sizes) = (Vec::new(), Vec::new());
            let mut note = |engine, (time, size): (Duration, Option<f64>)| {
                times.push(cell(engine, time.as_nanos() as f64 / flooding as f64));
                sizes.extend(size.map(|size| cell(engine, size)));
            };
            note(Engine::Windlass, flood(&Windlass::build(workers, Bound::jobs(BOUND)), flooding));
            if opts.wants_engine(Engine::Tokio) {
                note(Engine::Tokio, flood(&Tokio::build(workers, BOUND), flooding));
            }
            if opts.wants_engine(Engine::Channel) {
                note(Engine::Channel, flood(&Channel::build(workers, BOUND), flooding));
            }
            floods.push(Row::new("admission", name.clone(), workers, 1, None, times));
            let mut row = Row::new("admission", format!("{name}, memory"), workers, 1, None, sizes);
            let size = row.cell(Engine::Windlass).map(|cell| cell.time.median);
            let check = |size| Check { name: MEMORY, pass: size <= MOST_BYTES };
            row.checks = size.map(check).into_iter().collect();
            memory.push(row);
        }
    }
    print_tables(count, &costs, &floods, &memory);
    costs.into_iter().chain(floods).chain(memory).collect()
}

/// What the limit costs a job.
fn cost(row: &Row, count: u64) -> Option<f64> {
    let median = |engine| row.cell(engine).map(|cell| cell.time.median / count as f64);
    Some(median(Engine::Windlass)? - median(Engine::Unlimited)?)
}

fn print_tables(count: u64, costs: &[Row], floods: &[Row], memory: &[Row]) {
    let over = |row: &Row| cost(row, count).map_or("-".into(), |cost| format!("{cost:.1} ns"));
    let bar = |row: &Row| format!("{COST} {}", report::verdict(row, COST));
    let each = |cell: &Cell| {
        let time = report::time(cell.time.median / count as f64);
        format!("{time} ±{:.0}%", cell.time.spread * 100.0)
    };
    let extras: [report::Extra; 2] = [("cost of the limit", &over), ("bar", &bar)];
    report::table("admission: wall time a job", costs, each, &extras);
    let each = |cell: &Cell| report::time(cell.time.median);
    report::table("admission: wall time a job of a flood", floods, each, &[]);
    let bar = |row: &Row| format!("{MEMORY} {}", report::verdict(row, MEMORY));
    let size = |cell: &Cell| format!("{:.1} MB", cell.time.median / 1e6);
    let extras: [report::Extra; 1] = [("bar", &bar)];
    report::table("admission: growth of the process in a flood", memory, size, &extras);
}
