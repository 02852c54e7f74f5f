//! The graph suite: what a node costs beside its body, when a graph is run and when it is built, and
//! how well workers share one whose bodies take 1 or 10 µs. All figures are for one node.

mod peers;
mod shapes;

use crate::engines::{Engine, rayon_pool, windlass_pool};
use crate::harness::{
    Case, Cell, Check, Options, Row, Run, Stats, demand, keep_freed_memory, measure, timed,
};
use crate::map::mix;
use crate::report;
use peers::{ByHand, Dagx, Tbb, TbbFigures};
use shapes::{Grain, Shape, chain, patterns, tree, wavefront};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use windlass::graph::{Graph, GraphBuilder};

/// What the bodies add up, whichever engine calls them.
static SUM: AtomicU64 = AtomicU64::new(0);

/// The body of a node: one relaxed addition, after so much work.
#[inline(always)]
fn body(node: u32, rounds: u32) {
    if rounds > 0 {
        black_box(mix(u64::from(node), u64::from(rounds)));
    }
    SUM.fetch_add(u64::from(node) + 1, Ordering::Relaxed);
}

fn take_sum() -> u64 {
    SUM.swap(0, Ordering::Relaxed)
}

/// What one run adds up.
fn expected(shape: &Shape) -> u64 {
    let nodes = u64::from(shape.nodes);
    nodes * (nodes + 1) / 2
}

/// Something asked of Windlass in a row.
#[derive(Clone, Copy)]
enum Bar {
    None,
    /// CPU time of a node, in ns.
    Cpu(&'static str, f64),
    /// CPU time of a node and its edges, in ns: so much for each.
    Build(&'static str, f64, f64),
    /// The part of the workers' time that goes into bodies.
    Efficiency(&'static str, f64),
}

const CHAIN: Bar = Bar::Cpu("<= 8 ns", 8.0);
const TREE: Bar = Bar::Cpu("<= 14 ns", 14.0);
const WAVEFRONT: Bar = Bar::Cpu("<= 16 ns", 16.0);
const BUILD: Bar = Bar::Build("<= 10 ns a node + 3 an edge", 10.0, 3.0);
const SHARED: Bar = Bar::Efficiency("efficiency >= 0.9", 0.9);

impl Bar {
    fn check(self, row: &Row, shape: &Shape) -> Option<Check> {
        let ours = row.cell(Engine::Windlass)?;
        let cpu = ours.cpu.as_ref()?.median;
        let (name, pass) = match self {
            Bar::None => return None,
            Bar::Cpu(name, most) => (name, cpu <= most),
            Bar::Build(name, node, edge) => {
                let edges = shape.edges.len() as f64 / f64::from(shape.nodes);
                (name, cpu <= node + edge * edges)
            }
            Bar::Efficiency(name, least) => (name, efficiency(row)? >= least),
        };
        Some(Check { name, pass })
    }
}

/// The plain loop's time over what all workers have taken.
fn efficiency(row: &Row) -> Option<f64> {
    let median = |engine| row.cell(engine).map(|cell| cell.time.median);
    Some(median(Engine::Seq)? / (row.workers as f64 * median(Engine::Windlass)?))
}

/// One pool of every engine.
struct Pools {
    windlass: windlass::Pool,
    rayon: rayon::ThreadPool,
    dagx: Dagx,
    tbb: Option<Tbb>,
}

/// Runs the suite and prints its tables.
pub(crate) fn run(opts: &Options) -> Vec<Row> {
    keep_freed_memory();
    let (nodes, side) = if opts.quick { (4_096, 64) } else { (262_144, 512) };
    let (width, steps) = if opts.quick { (16, 16) } else { (64, 64) };
    let small = [(chain(nodes), CHAIN), (tree(nodes), TREE), (wavefront(side), WAVEFRONT)];
    let (mut runs, mut builds) = (Vec::new(), Vec::new());
    let mut tbb = opts.wants_engine(Engine::Tbb).then(Tbb::build).flatten();
    for &workers in &opts.workers {
        let pools = Pools {
            windlass: windlass_pool(workers),
            rayon: rayon_pool(workers),
            dagx: Dagx::build(workers),
            tbb: tbb.take(),
        };
        for (shape, bar) in &small {
            let bar = if workers == 1 { *bar } else { Bar::None };
            let cell = Cases { opts, pools: &pools, workers, shape, grain: Grain::Nothing, bar };
            cell.measure(&mut runs, &mut builds);
        }
        let side = side / 4;
        let bar = if workers == 2 { SHARED } else { Bar::None };
        let (shape, grain) = (wavefront(side), Grain::Us(1));
        Cases { opts, pools: &pools, workers, shape: &shape, grain, bar }
            .measure(&mut runs, &mut builds);
        for shape in patterns(width, steps) {
            for grain in [Grain::Us(1), Grain::Us(10)] {
                let (shape, bar) = (&shape, Bar::None);
                Cases { opts, pools: &pools, workers, shape, grain, bar }
                    .measure(&mut runs, &mut builds);
            }
        }
        tbb = pools.tbb;
    }
    print_tables(&runs, &builds);
    runs.extend(builds);
    runs
}

/// What is measured of one graph.
struct Cases<'a> {
    opts: &'a Options,
    pools: &'a Pools,
    workers: usize,
    shape: &'a Shape,
    grain: Grain,
    bar: Bar,
}

impl Cases<'_> {
    fn measure(&self, runs: &mut Vec<Row>, builds: &mut Vec<Row>) {
        let Cases { opts, workers, shape, grain, .. } = *self;
        let name = format!("{} of {}{grain}", shape.name, shape.nodes);
        let builds_too = grain == Grain::Nothing && workers == opts.workers[0];
        let build_name = format!("build: {name}");
        let wants_build = builds_too && opts.wants_case(&build_name);
        if !opts.wants_case(&name) && !wants_build {
            return;
        }
        let tbb =
            self.pools.tbb.as_ref().map(|tbb| tbb.measure(shape, grain, workers, opts.rounds));
        if opts.wants_case(&name) {
            let figures =
                tbb.as_ref().map(|TbbFigures { wall, cpu, .. }| (wall.clone(), cpu.clone()));
            runs.push(self.finish(self.runs(name), figures, self.bar));
        }
        if wants_build {
            let build = tbb.map(|figures| figures.build_cpu);
            // Built by one thread, so that is also how long it takes.
            let figures = build.map(|build| (build.clone(), build));
            builds.push(self.finish(self.builds(build_name), figures, BUILD));
        }
    }

    /// Running it.
    fn runs(&self, name: String) -> Row {
        let Cases { opts, pools, workers, shape, grain, .. } = *self;
        let (rounds, sum) = (grain.rounds(), expected(shape));
        let graph = ours(shape, grain);
        let by_hand = ByHand::new(shape, grain);
        let mut all = vec![
            Run::new(Engine::Seq, |calls| {
                timed("the plain loop", calls, || {
                    (0..shape.nodes).for_each(|node| body(black_box(node), rounds));
                    take_sum() == sum
                })
            }),
            Run::new(Engine::Windlass, |calls| {
                timed("windlass", calls, || {
                    graph.run(&pools.windlass).is_completed() && take_sum() == sum
                })
            }),
            Run::new(Engine::RayonByHand, |calls| {
                timed("rayon by hand", calls, || {
                    by_hand.run(&pools.rayon);
                    take_sum() == sum
                })
            }),
        ];
        if Dagx::can(shape) {
            all.push(Run::new(Engine::Dagx, |calls| {
                let mut time = Duration::ZERO;
                for _ in 0..calls {
                    let graph = pools.dagx.graph(shape, grain);
                    let start = Instant::now();
                    pools.dagx.run(&graph);
                    time += start.elapsed();
                    demand(take_sum() == sum, "dagx");
                }
                time
            }));
        }
        let case =
            Case { suite: "graph", name, workers, forks: None, max_calls: u64::MAX, runs: all };
        measure(opts, case)
    }

    /// Building it, and taking it down.
    fn builds(&self, name: String) -> Row {
        let Cases { opts, pools, workers, shape, grain, .. } = *self;
        let is_whole = |graph: &Graph| {
            graph.len() == shape.nodes as usize && graph.num_edges() == shape.edges.len()
        };
        let mut all = vec![
            // What is built: the edges, once more.
            Run::new(Engine::Seq, |calls| {
                timed("the plain copy", calls, || {
                    black_box(shape.edges.clone()).len() == shape.edges.len()
                })
            }),
            Run::new(Engine::Windlass, |calls| {
                timed("windlass", calls, || is_whole(black_box(&ours(shape, grain))))
            }),
            Run::new(Engine::RayonByHand, |calls| {
                timed("rayon by hand", calls, || {
                    black_box(ByHand::new(shape, grain));
                    true
                })
            }),
        ];
        if Dagx::can(shape) {
            all.push(Run::new(Engine::Dagx, |calls| {
                timed("dagx", calls, || {
                    black_box(pools.dagx.graph(shape, grain));
                    true
                })
            }));
        }
        let case =
            Case { suite: "graph", name, workers, forks: None, max_calls: u64::MAX, runs: all };
        measure(opts, case)
    }

    /// Brings the row to one node, and adds what oneTBB has taken.
    fn finish(&self, row: Row, tbb: Option<(Stats, Stats)>, bar: Bar) -> Row {
        let Row { suite, case, workers, calls_per_sample, forks, mut cells, .. } = row;
        if let Some((time, cpu)) = tbb {
            let (cpu, p99, switches) = (Some(cpu), None, None);
            cells.push(Cell { engine: Engine::Tbb, time, cpu, p99, switches });
        }
        let by = 1.0 / f64::from(self.shape.nodes);
        for cell in &mut cells {
            cell.time.scale(by);
            cell.cpu.iter_mut().for_each(|cpu| cpu.scale(by));
        }
        let mut row = Row::new(suite, case, workers, calls_per_sample, forks, cells);
        row.checks.extend(bar.check(&row, self.shape));
        row
    }
}

/// The graph, as one builds it of nodes that are alike.
fn ours(shape: &Shape, grain: Grain) -> Graph {
    let rounds = grain.rounds();
    let mut graph = GraphBuilder::new();
    graph.reserve(shape.nodes as usize, shape.edges.len());
    let mut nodes = Vec::with_capacity(shape.nodes as usize);
    // Edges come in the order of the nodes that they lead to.
    let mut edges = shape.edges.iter().peekable();
    for node in 0..shape.nodes {
        let added = match rounds {
            0 => graph.add(move || body(node, 0)),
            rounds => graph.add(move || body(node, rounds)),
        };
        while let Some((from, _)) = edges.next_if(|(_, to)| *to == node) {
            graph.edge(nodes[*from as usize], added);
        }
        nodes.push(added);
    }
    match graph.build() {
        Ok(graph) => graph,
        Err(error) => {
            eprintln!("graph: {error}");
            std::process::exit(1);
        }
    }
}

fn print_tables(runs: &[Row], builds: &[Row]) {
    let [peer, seq] = report::RATIOS;
    let bars: report::Extra = ("bar", &|row| {
        let told = row
            .checks
            .iter()
            .map(|check| format!("{} {}", check.name, if check.pass { "pass" } else { "FAIL" }));
        told.collect::<Vec<_>>().join(", ")
    });
    let part: report::Extra = ("efficiency", &|row| {
        efficiency(row).map_or_else(|| "-".to_owned(), |part| format!("{part:.2}"))
    });
    let cpu = |cell: &Cell| {
        cell.cpu.as_ref().map_or_else(|| "-".to_owned(), |cpu| report::time(cpu.median))
    };
    let title = "graph: wall time of a node (median ± interquartile range)";
    report::table(title, runs, report::time_and_spread, &[peer, seq, part]);
    report::table("graph: CPU time of a node", runs, cpu, &[bars]);
    report::table("graph: CPU time of a node, building and freeing", builds, cpu, &[bars]);
}
