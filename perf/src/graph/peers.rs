//! The peers: a hand-written rayon scope with counters, dagx, and oneTBB's flow graph.

use super::shapes::{Grain, Shape};
use super::{body, take_sum};
use crate::harness::{Stats, demand};
use dagx::{DagRunner, Task, TaskHandle, task};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// What one writes by hand: successors side by side, a counter a node, and a scope. A node goes on
/// with the first of its successors that is ready and spawns the others.
pub(super) struct ByHand {
    first: Vec<u32>,
    successors: Vec<u32>,
    waits_for: Vec<u32>,
    pending: Vec<AtomicU32>,
    rounds: u32,
}

impl ByHand {
    pub(super) fn new(shape: &Shape, grain: Grain) -> ByHand {
        let nodes = shape.nodes as usize;
        let mut first = vec![0; nodes + 1];
        let mut waits_for = vec![0; nodes];
        for &(from, to) in &shape.edges {
            first[from as usize + 1] += 1;
            waits_for[to as usize] += 1;
        }
        for node in 0..nodes {
            first[node + 1] += first[node];
        }
        let mut next = first.clone();
        let mut successors = vec![0; shape.edges.len()];
        for &(from, to) in &shape.edges {
            successors[next[from as usize] as usize] = to;
            next[from as usize] += 1;
        }
        let pending = waits_for.iter().map(|_| AtomicU32::new(0)).collect();
        ByHand { first, successors, waits_for, pending, rounds: grain.rounds() }
    }

    pub(super) fn run(&self, pool: &rayon::ThreadPool) {
        for (pending, &count) in self.pending.iter().zip(&self.waits_for) {
            pending.store(count, Ordering::Relaxed);
        }
        pool.scope(|scope| {
            for node in (0..).zip(&self.waits_for).filter(|(_, count)| **count == 0) {
                scope.spawn(move |scope| self.visit(scope, node.0));
            }
        });
    }

    fn visit<'s>(&'s self, scope: &rayon::Scope<'s>, mut node: u32) {
        loop {
            body(node, self.rounds);
            let (from, to) = (self.first[node as usize], self.first[node as usize + 1]);
            let mut next = None;
            for &successor in &self.successors[from as usize..to as usize] {
                // As ours: the last one needs no read-modify-write.
                let pending = &self.pending[successor as usize];
                let is_last = pending.load(Ordering::Acquire) == 1
                    || pending.fetch_sub(1, Ordering::AcqRel) == 1;
                if is_last && next.is_some() {
                    scope.spawn(move |scope| self.visit(scope, successor));
                } else if is_last {
                    next = Some(successor);
                }
            }
            match next {
                Some(next) => node = next,
                None => return,
            }
        }
    }
}

/// A node of dagx, by how many it waits for.
struct Root(u32, u32);
struct One(u32, u32);
struct Two(u32, u32);

#[task]
impl Root {
    async fn run(&self) -> u32 {
        body(self.0, self.1);
        self.0
    }
}

#[task]
impl One {
    async fn run(&self, _before: &u32) -> u32 {
        body(self.0, self.1);
        self.0
    }
}

#[task]
impl Two {
    async fn run(&self, _left: &u32, _up: &u32) -> u32 {
        body(self.0, self.1);
        self.0
    }
}

/// dagx on tokio. Its graphs run once, so each is built before it is run.
pub(super) struct Dagx(pub(super) tokio::runtime::Runtime);

impl Dagx {
    pub(super) fn build(workers: usize) -> Dagx {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        Dagx(builder.worker_threads(workers).build().expect("tokio runtime"))
    }

    /// Up to two dependencies a node: the types of its inputs are part of a node's type.
    pub(super) fn can(shape: &Shape) -> bool {
        let mut counts = vec![0_u8; shape.nodes as usize];
        shape
            .edges
            .iter()
            .for_each(|&(_, to)| counts[to as usize] = counts[to as usize].saturating_add(1));
        counts.iter().all(|&count| count <= 2)
    }

    pub(super) fn graph(&self, shape: &Shape, grain: Grain) -> DagRunner {
        let rounds = grain.rounds();
        let graph = DagRunner::new();
        let mut before = vec![[u32::MAX; 2]; shape.nodes as usize];
        for &(from, to) in &shape.edges {
            let at = usize::from(before[to as usize][0] != u32::MAX);
            before[to as usize][at] = from;
        }
        let mut nodes: Vec<TaskHandle<u32>> = Vec::with_capacity(shape.nodes as usize);
        for (node, &[first, second]) in (0..).zip(&before) {
            let added: TaskHandle<u32> = match (first, second) {
                (u32::MAX, _) => graph.add_task(Root(node, rounds)).into(),
                (first, u32::MAX) => {
                    graph.add_task(One(node, rounds)).depends_on(nodes[first as usize])
                }
                (first, second) => graph
                    .add_task(Two(node, rounds))
                    .depends_on((&nodes[first as usize], &nodes[second as usize])),
            };
            nodes.push(added);
        }
        graph
    }

    pub(super) fn run(&self, graph: &DagRunner) {
        let spawn = |task| drop(tokio::spawn(task));
        let result = self.0.block_on(graph.run(spawn));
        demand(result.is_ok(), "dagx");
    }
}

/// The program in `perf/tbb`, compiled.
pub(super) struct Tbb {
    program: PathBuf,
    folder: PathBuf,
}

/// What it says of a graph.
pub(super) struct TbbFigures {
    pub(super) build_cpu: Stats,
    pub(super) wall: Stats,
    pub(super) cpu: Stats,
}

impl Tbb {
    /// `None`, with a line that says why, without a C++ compiler or oneTBB (Debian: `libtbb-dev`).
    pub(super) fn build() -> Option<Tbb> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tbb/flow_graph.cpp");
        let folder = std::env::temp_dir().join(format!("windlass-perf-tbb-{}", std::process::id()));
        if let Err(error) = std::fs::create_dir_all(&folder) {
            eprintln!("graph: without oneTBB: {}: {error}", folder.display());
            return None;
        }
        let program = folder.join("flow_graph");
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
        let mut command = Command::new(&compiler);
        command.args(["-O2", "-std=c++17", "-o"]).arg(&program).arg(source).arg("-ltbb");
        match command.output() {
            Ok(output) if output.status.success() => Some(Tbb { program, folder }),
            Ok(output) => {
                let errors = String::from_utf8_lossy(&output.stderr);
                let first =
                    errors.lines().find(|line| line.contains("error")).unwrap_or("it fails");
                eprintln!("graph: without oneTBB (Debian: libtbb-dev): {compiler}: {first}");
                None
            }
            Err(error) => {
                eprintln!("graph: without oneTBB, which needs a C++ compiler: {compiler}: {error}");
                None
            }
        }
    }

    pub(super) fn measure(
        &self,
        shape: &Shape,
        grain: Grain,
        workers: usize,
        rounds: usize,
    ) -> TbbFigures {
        let path = self.folder.join("graph.bin");
        let head = [shape.nodes, shape.edges.len() as u32, grain.rounds()];
        let pairs = shape.edges.iter().flat_map(|&(from, to)| [from, to]);
        let bytes: Vec<u8> = head.into_iter().chain(pairs).flat_map(u32::to_le_bytes).collect();
        let written = std::fs::File::create(&path).and_then(|mut file| file.write_all(&bytes));
        demand(written.is_ok(), "the file for oneTBB cannot be written");
        let mut command = Command::new(&self.program);
        command.arg(&path).arg(workers.to_string()).arg(rounds.to_string());
        let output = command.output().expect("the program that was just compiled");
        demand(output.status.success(), "oneTBB");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut samples = [Vec::new(), Vec::new(), Vec::new()];
        for line in text.lines() {
            let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
            demand(numbers.len() == 4 && numbers[3] == super::expected(shape), "oneTBB's sum");
            for (samples, number) in samples.iter_mut().zip(&numbers) {
                samples.push(*number as f64);
            }
        }
        let [build_cpu, wall, cpu] = samples.map(Stats::of);
        TbbFigures { build_cpu, wall, cpu }
    }
}

impl Drop for Tbb {
    fn drop(&mut self) {
        // What is left behind is in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.folder);
        let _ = take_sum();
    }
}
