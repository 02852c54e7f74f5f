//! What a recorded run has to tell: when and where each node ran, and what held the run up.
#![forbid(unsafe_code)]

use super::frozen::Frozen;
use super::run::{RunCore, RunStatus};
use super::state::NodeState;
use crate::engine::clock;
use crate::engine::sync::{Ordering, lock};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn duration(ticks: u64) -> Duration {
    let nanos = u128::from(ticks) * 1_000 / u128::from(clock::ticks_per_us());
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// A run in times: see [`Run::report`](crate::graph::Run::report).
///
/// It is a value of its own: it may be kept when the run is dropped.
#[derive(Clone)]
pub struct RunReport {
    pub(super) graph: Arc<Frozen>,
    nodes: Vec<NodeReport>,
    status: RunStatus,
    elapsed: Duration,
    pub(super) critical: Vec<u32>,
    workers: Vec<WorkerReport>,
}

/// One node of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeReport {
    /// Which node of its graph it is.
    pub index: usize,
    /// Its name, or its number.
    pub name: String,
    /// How it has ended.
    pub state: NodeState,
    /// How often it has run.
    pub attempts: u32,
    /// When it began, counted from the beginning of the run; `None` if it did not run.
    pub start: Option<Duration>,
    /// How long it took, waits between attempts and what its body has started included.
    pub time: Duration,
    /// The number of the worker in [`RunReport::workers`] on which it began.
    pub worker: Option<usize>,
    /// How much longer it might have taken, without making the run longer than the critical path,
    /// had there been workers enough.
    pub slack: Duration,
    /// Whether it is on the critical path.
    pub is_critical: bool,
}

/// One worker of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerReport {
    /// How it is called.
    pub name: String,
    /// How long it was at work in bodies.
    pub busy: Duration,
}

impl RunReport {
    pub(super) fn of(run: &RunCore) -> Option<RunReport> {
        let log = run.log.as_ref()?;
        let graph = Arc::clone(&run.graph);
        let mut seats: Vec<u32> = log
            .iter()
            .filter(|stamp| stamp.start.load(Ordering::Relaxed) != 0)
            .map(|stamp| stamp.worker.load(Ordering::Relaxed))
            .collect();
        seats.sort_unstable();
        seats.dedup();
        let registry = run.family.registry();
        let mut workers: Vec<WorkerReport> = (seats.iter())
            .map(|&seat| {
                let kind =
                    registry.as_ref().map_or("Thread", |registry| registry.kind_of_seat(seat));
                let name = match kind {
                    "Thread" => format!("worker {seat}"),
                    "Guest" => "caller".to_owned(),
                    other => format!("{} worker {seat}", other.to_lowercase()),
                };
                WorkerReport { name, busy: Duration::ZERO }
            })
            .collect();
        let (attempts, status) = {
            let notes = lock(&run.notes);
            let attempts = notes.attempts.iter().map(|(node, tries)| (*node, tries.count));
            let attempts: HashMap<u32, u32> = attempts.collect();
            (attempts, notes.status.clone().unwrap_or(RunStatus::Completed))
        };
        let mut nodes: Vec<NodeReport> = Vec::with_capacity(log.len());
        for (index, stamp) in log.iter().enumerate() {
            let (start, end) =
                (stamp.start.load(Ordering::Relaxed), stamp.end.load(Ordering::Relaxed));
            let has_run = start != 0;
            let time = duration(end.saturating_sub(start));
            let seat = stamp.worker.load(Ordering::Relaxed);
            let worker = seats.binary_search(&seat).ok().filter(|_| has_run);
            if let Some(worker) = worker {
                workers[worker].busy += time;
            }
            let node = index as u32;
            nodes.push(NodeReport {
                index,
                name: graph.name_of(node).into_owned(),
                state: NodeState::of(run.memory().state(node)),
                attempts: attempts.get(&node).copied().unwrap_or(u32::from(has_run)),
                start: has_run.then(|| duration(start.saturating_sub(run.begun_ticks))),
                time: if has_run { time } else { Duration::ZERO },
                worker,
                slack: Duration::ZERO,
                is_critical: false,
            });
        }
        let elapsed = run.ended_ticks.load(Ordering::Relaxed).saturating_sub(run.begun_ticks);
        let mut report = RunReport {
            graph,
            nodes,
            status,
            elapsed: duration(elapsed),
            critical: Vec::new(),
            workers,
        };
        report.find_critical_path();
        Some(report)
    }

    /// The longest way through the nodes that have run, by what they have taken, and the slack of
    /// the others.
    fn find_critical_path(&mut self) {
        let len = self.nodes.len();
        let time = |nodes: &[NodeReport], node: u32| nodes[node as usize].time;
        // The longest way to the end of each node, and from its beginning to the end of all.
        let (mut to, mut from) = (vec![Duration::ZERO; len], vec![Duration::ZERO; len]);
        for node in self.graph.in_order() {
            let before = self.graph.predecessors_of(node).iter();
            let before = before.map(|&node| to[node as usize]).max().unwrap_or_default();
            to[node as usize] = before + time(&self.nodes, node);
        }
        for node in self.graph.in_order().rev() {
            let rec = &self.graph.recs[node as usize];
            let after = self.graph.successors_of(rec).iter().map(|&node| from[node as usize]);
            from[node as usize] = after.max().unwrap_or_default() + time(&self.nodes, node);
        }
        let span = to.iter().max().copied().unwrap_or_default();
        for (node, report) in self.nodes.iter_mut().enumerate() {
            report.slack = (span + report.time).saturating_sub(to[node] + from[node]);
        }
        let longest = |nodes: &mut dyn Iterator<Item = u32>| {
            // The first of several, so that the path is always the same.
            nodes.reduce(
                |best, node| if from[node as usize] > from[best as usize] { node } else { best },
            )
        };
        let mut at = longest(&mut self.graph.roots.iter().copied());
        while let Some(node) = at {
            if self.nodes[node as usize].start.is_some() {
                self.nodes[node as usize].is_critical = true;
                self.critical.push(node);
            }
            let rec = &self.graph.recs[node as usize];
            at = longest(&mut self.graph.successors_of(rec).iter().copied());
        }
    }

    /// The nodes, by number.
    pub fn nodes(&self) -> &[NodeReport] {
        &self.nodes
    }

    /// The workers that ran nodes.
    pub fn workers(&self) -> &[WorkerReport] {
        &self.workers
    }

    /// The name of the graph.
    pub fn graph_name(&self) -> &str {
        &self.graph.name
    }

    /// How the run has ended.
    pub fn status(&self) -> &RunStatus {
        &self.status
    }

    /// From the call to the end of the last node.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The nodes of the longest way through those that have run, in their order: what the run could
    /// not have been shorter than, with any number of workers.
    pub fn critical_path(&self) -> impl ExactSizeIterator<Item = &NodeReport> {
        self.critical.iter().map(|&node| &self.nodes[node as usize])
    }

    /// What all nodes have taken together.
    pub fn work(&self) -> Duration {
        self.nodes.iter().map(|node| node.time).sum()
    }

    /// What the nodes of the [critical path](Self::critical_path) have taken.
    pub fn span(&self) -> Duration {
        self.critical_path().map(|node| node.time).sum()
    }

    /// How many workers could have been kept busy on average: work over span. 0 if nothing has run.
    pub fn parallelism(&self) -> f64 {
        let span = self.span().as_secs_f64();
        if span > 0.0 { self.work().as_secs_f64() / span } else { 0.0 }
    }

    /// How many workers were kept busy on average: work over the time that the run took.
    pub fn utilization(&self) -> f64 {
        let elapsed = self.elapsed.as_secs_f64();
        if elapsed > 0.0 { self.work().as_secs_f64() / elapsed } else { 0.0 }
    }
}

impl fmt::Debug for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunReport")
            .field("graph", &self.graph.name)
            .field("status", &self.status)
            .field("nodes", &self.nodes.len())
            .field("elapsed", &self.elapsed)
            .field("work", &self.work())
            .field("span", &self.span())
            .finish_non_exhaustive()
    }
}

/// A few lines: what the run took, and its critical path.
impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ran = self.nodes.iter().filter(|node| node.start.is_some()).count();
        writeln!(
            f,
            "{}: {:?}, {ran} of {} nodes ran, in {:.1?} on {} workers",
            self.graph.name,
            self.status,
            self.nodes.len(),
            self.elapsed,
            self.workers.len()
        )?;
        writeln!(
            f,
            "work {:.1?}, span {:.1?}, parallelism {:.2}, {:.2} workers busy",
            self.work(),
            self.span(),
            self.parallelism(),
            self.utilization()
        )?;
        write!(f, "critical path:")?;
        for (at, node) in self.critical_path().enumerate() {
            let arrow = if at == 0 { "" } else { " ->" };
            write!(f, "{arrow} {} ({:.1?})", node.name, node.time)?;
        }
        Ok(())
    }
}
