//! Runs of a part of a graph: towards one node, or what is left of an earlier run.

use super::frozen::Frozen;
use super::memory::Memory;
use super::result::Run;
use super::run::{Notes, Part};
use super::state;
use crate::engine::sync::lock;
use std::sync::Arc;

/// What the node needs, and the node.
pub(super) fn towards(graph: &Arc<Frozen>, node: Option<u32>) -> Part {
    let mut is_in = vec![false; graph.recs.len()];
    let mut open: Vec<u32> = node.into_iter().collect();
    while let Some(node) = open.pop() {
        if !std::mem::replace(&mut is_in[node as usize], true) {
            open.extend_from_slice(graph.predecessors_of(node));
        }
    }
    let memory = Memory::new(graph);
    for node in (0..graph.recs.len() as u32).filter(|&node| !is_in[node as usize]) {
        memory.set_state(node, state::SKIPPED);
    }
    finish(graph, memory, Notes::default(), &is_in)
}

/// What has not succeeded, and what is missing for that.
pub(super) fn again(run: Run) -> Part {
    let graph = Arc::clone(&run.core.graph);
    // SAFETY: the run has ended, and the only `Run` of it is given up.
    let mut memory = unsafe { run.core.take_memory(Memory::empty(&graph)) };
    let mut notes = Notes::default();
    {
        let mut before = lock(&run.core.notes);
        notes.choices = std::mem::take(&mut before.choices);
        notes.errors = std::mem::take(&mut before.errors);
        notes.attempts = std::mem::take(&mut before.attempts);
        notes.fell_back = std::mem::take(&mut before.fell_back);
    }
    drop(run);
    let mut is_again = vec![false; graph.recs.len()];
    // Users before those whose results they use.
    for node in graph.in_order().rev() {
        let rec = &graph.recs[node as usize];
        let is_wanted = || graph.successors_of(rec).iter().any(|&user| is_again[user as usize]);
        is_again[node as usize] = !memory.has_succeeded(node)
            || (rec.has_slot() && !memory.has_result(node) && is_wanted());
    }
    let is_kept = |node: &u32| !is_again[*node as usize];
    notes.choices.retain(|node, _| is_kept(node));
    notes.errors.retain(|node, _| is_kept(node));
    notes.attempts.retain(|node, _| is_kept(node));
    notes.fell_back.retain(is_kept);
    let waits_for = waits(&graph, &is_again);
    memory.rewind(&is_again, &waits_for);
    finish(&graph, memory, notes, &is_again)
}

/// How many of those that take part each node waits for.
fn waits(graph: &Frozen, is_in: &[bool]) -> Vec<u32> {
    let count = |node| graph.predecessors_of(node).iter().filter(|&&n| is_in[n as usize]).count();
    (0..graph.recs.len() as u32).map(|node| count(node) as u32).collect()
}

fn finish(graph: &Frozen, memory: Memory, notes: Notes, is_in: &[bool]) -> Part {
    let waits_for = waits(graph, is_in);
    let is_root = |&node: &u32| is_in[node as usize] && waits_for[node as usize] == 0;
    Part {
        memory,
        notes,
        roots: (0..graph.recs.len() as u32).filter(is_root).collect(),
        len: is_in.iter().filter(|&&is_in| is_in).count(),
    }
}
