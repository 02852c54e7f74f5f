//! The idle suite: what a pool costs while nothing runs on it, in CPU time and in wake-ups.

use crate::engines::{
    Engine, Loops, OrxLoops, OrxPool, RayonLoops, chili_pool, paralight_pool, rayon_pool,
    windlass_pool,
};
use crate::harness::{Cell, Options, Row, Stats, Usage, Who, demand, usage};
use crate::report;
use std::hint::black_box;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the load before the second window lasts.
const LOAD: Duration = Duration::from_millis(20);

/// Runs the suite and prints its table. Each engine's pool is built and dropped in turn, so only
/// one is alive at a time.
pub(crate) fn run(opts: &Options) -> Vec<Row> {
    let window = Duration::from_secs(if opts.quick { 1 } else { 5 });
    // A smoke run has not the time for every worker count and engine.
    let (workers, engines): (&[usize], &[Engine]) = if opts.quick {
        (&opts.workers[opts.workers.len() - 1..], &ENGINES[..4])
    } else {
        (&opts.workers, &ENGINES)
    };
    let mut rows = Vec::new();
    for &workers in workers {
        for (loaded, name) in [(false, "after start"), (true, "after load")] {
            if !opts.wants_case(name) {
                continue;
            }
            let wanted = engines.iter().filter(|&&engine| opts.wants_engine(engine));
            let cells = wanted.map(|&engine| measure(engine, workers, loaded, window)).collect();
            rows.push(Row::new("idle", name.to_owned(), workers, 1, None, cells));
        }
    }
    let seconds = window.as_secs();
    let title = format!("idle: CPU time and voluntary context switches in {seconds} s of rest");
    let show = |cell: &Cell| {
        format!("{}, {}", report::time(cell.time.median), cell.switches.unwrap_or_default())
    };
    report::table(&title, &rows, show, &[]);
    rows
}

const ENGINES: [Engine; 5] =
    [Engine::Windlass, Engine::Rayon, Engine::Chili, Engine::Paralight, Engine::Orx];

/// Builds the engine's pool, loads it if asked, and measures the window right after.
fn measure(engine: Engine, workers: usize, loaded: bool, window: Duration) -> Cell {
    eprintln!("idle: {} ({workers} workers, loaded: {loaded})", engine.name());
    let (cpu_ns, switches) = match engine {
        Engine::Windlass => {
            let pool = windlass_pool(workers);
            rest(window, || loaded.then(|| load(&pool)))
        }
        Engine::Rayon => {
            let pool = rayon_pool(workers);
            rest(window, || loaded.then(|| load(RayonLoops { pool: &pool, min_len: 1 })))
        }
        Engine::Chili => {
            let pool = chili_pool(workers);
            rest(window, || loaded.then(|| load_forks(&pool)))
        }
        Engine::Paralight => {
            let mut pool = paralight_pool(workers, false);
            rest(window, || loaded.then(|| load(&mut pool)))
        }
        Engine::Orx => {
            let pool = OrxPool::build(workers);
            rest(window, || loaded.then(|| load(OrxLoops { orx: &pool, fixed: false })))
        }
        _ => unreachable!("not one of ENGINES"),
    };
    let time = Stats::of(vec![cpu_ns as f64]);
    Cell { engine, time, cpu: None, p99: None, switches: Some(switches) }
}

/// How long an engine has to fall asleep.
const SETTLE: Duration = Duration::from_millis(2);

/// Loads the pool, then sleeps and returns what the other threads did meanwhile: the process's
/// CPU time and voluntary switches less this thread's own, whose single sleep is one switch.
fn rest(window: Duration, load: impl FnOnce() -> Option<()>) -> (i64, i64) {
    load();
    // Starting, looking around once more and falling asleep belong to what came before; it is the
    // same for all.
    sleep(SETTLE);
    let others = || {
        let (all, own) = (usage(Who::Process), usage(Who::ThisThread));
        Usage { cpu_ns: all.cpu_ns - own.cpu_ns, switches: all.switches - own.switches }
    };
    let before = others();
    sleep(window);
    let after = others();
    // The two readings are a moment apart, so a thread that does nothing can come out below zero.
    ((after.cpu_ns - before.cpu_ns).max(0), (after.switches - before.switches).max(0))
}

/// Maps until the time is over.
fn load(mut loops: impl Loops) {
    let items: Vec<u64> = (0..10_000).collect();
    let start = Instant::now();
    while start.elapsed() < LOAD {
        let output = loops.map(black_box(&items), |&x| (0..50).fold(x, |x, y| black_box(x ^ y)));
        demand(output.len() == items.len(), "idle load");
    }
}

/// chili has no loops: forks until the time is over.
fn load_forks(pool: &chili::ThreadPool) {
    fn leaves(scope: &mut chili::Scope<'_>, layers: u32) -> u64 {
        if layers == 0 {
            return (0..50).fold(1, |x, _| black_box(x));
        }
        let (a, b) = scope.join(|s| leaves(s, layers - 1), |s| leaves(s, layers - 1));
        a + b
    }
    let start = Instant::now();
    while start.elapsed() < LOAD {
        demand(leaves(&mut pool.scope(), 12) == 1 << 12, "idle load");
    }
}
