//! One run of a graph, while it lasts: what its drivers share.
//!
//! I1. Each node that takes part ends once: by the one who runs it, or, if several may want to, by
//!     the one who has moved its state on from `WAITING`. `remaining` counts those that have not.
//! I2. A node's state is set before its successors are told; the last of those who tell a node
//!     makes it ready, and sees the states of all (AcqRel on `pending`).
//! I3. A run keeps itself alive until it has ended, by one reference of its own (`RunRef`). Entries
//!     and the drivers that have taken them have none: each entry counts as a node itself, besides
//!     those that it names, until its driver is done with all of them. So taking it off `remaining` is the last touch (L7), and a run goes when those who
//!     started it let it go.
//! I4. `special` is 0 while nothing is out of the ordinary: every node succeeds, and nobody wants
//!     to know when. Whoever sets a bit of it does so before telling successors.

use super::drive::Driver;
use super::error::{BoxError, NodeError};
use super::family::{Entry, Family, Task};
use super::fault::{self, Fault};
use super::frozen::{Flow, Frozen, OnFailure};
use super::memory::Memory;
use super::options::Extra;
use super::rule::{Decision, DepStates};
use super::state::{self, DepOutcome, NodeState};
use crate::engine::clock;
use crate::engine::sync::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Mutex, Ordering, lock};
use crate::job::{Board, CancelCallback, CancelCause, CancelToken, Context, JobOutcome};
use crate::policy::Progress;
use crate::time::TimerKey;
use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::error::Error;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// What has started does not see that the run goes on: nothing new starts.
pub(super) const STOPPED: u32 = 1;
/// A node has ended otherwise than by success, or has chosen among its successors.
pub(super) const UNEVEN: u32 = 2;
/// When each node starts and ends is written down.
pub(super) const RECORDED: u32 = 4;
/// Not all nodes take part.
pub(super) const PARTIAL: u32 = 8;

/// What a body is called for.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) run: &'a RunCore,
    pub(super) node: u32,
}

/// When and where a node ran.
#[derive(Default)]
pub(super) struct Stamp {
    /// In ticks; 0: it has not.
    pub(super) start: AtomicU64,
    pub(super) end: AtomicU64,
    /// The seat.
    pub(super) worker: AtomicU32,
}

/// How a run has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunStatus {
    /// No node has failed. Some may have been skipped.
    Completed,
    /// A node has failed, panicked, or was out of time.
    Failed,
    /// It was cancelled.
    Cancelled(CancelCause),
    /// It was not done in time.
    TimedOut,
    /// The pool was shut down before the run began, or while it waited for a time to come.
    Abandoned,
}

/// How often a node has run, and how long it has waited.
#[derive(Default)]
pub(super) struct Tries {
    pub(super) count: u32,
    pub(super) progress: Progress,
}

/// What is seldom written down. Under the lock no foreign code runs.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) errors: HashMap<u32, NodeError>,
    /// The first node that has failed.
    pub(super) first: Option<u32>,
    /// Why the run was stopped.
    pub(super) stop: Option<CancelCause>,
    /// What nodes have chosen of their successors.
    pub(super) choices: HashMap<u32, Vec<u32>>,
    /// Runs that a node has started and that have not ended.
    pub(super) children: HashMap<u32, Children>,
    /// How often a node has run, if more than once.
    pub(super) attempts: HashMap<u32, Tries>,
    /// Nodes whose fallback has stepped in.
    pub(super) fell_back: Vec<u32>,
    /// Nodes that wait for their next attempt.
    pub(super) retrying: Vec<(u32, Option<TimerKey>)>,
    pub(super) timers: Vec<TimerKey>,
    pub(super) callbacks: Vec<CancelCallback>,
    pub(super) is_abandoned: bool,
    /// Set when the run has ended.
    pub(super) status: Option<RunStatus>,
}

/// What is called when all runs that a node has started have ended.
pub(super) type Then = Box<dyn FnOnce(At<'_>, Arc<RunCore>) -> Flow + Send>;

#[derive(Default)]
pub(super) struct Children {
    pub(super) running: Vec<Arc<RunCore>>,
    pub(super) body_is_done: bool,
    pub(super) has_failed: Option<NodeError>,
    /// Called with the one that has just ended; may start another one.
    pub(super) then: Option<Then>,
}

/// See the module.
pub(super) struct RunCore {
    memory: UnsafeCell<Memory>,
    /// The run's own reference (I3), as `Arc::into_raw` has given it.
    own: AtomicPtr<RunCore>,
    pub(super) graph: Arc<Frozen>,
    pub(super) family: Arc<Family>,
    /// The node that has started the run, with what counts as an entry of its run until this one ends.
    pub(super) parent: Option<(RunRef, u32)>,
    pub(super) special: AtomicU32,
    pub(super) remaining: AtomicUsize,
    pub(super) next_root: AtomicUsize,
    /// If they are not those of the graph.
    pub(super) own_roots: Option<Box<[u32]>>,
    pub(super) token: CancelToken,
    /// What the caller's work belongs to, which waits for the run; or null.
    pub(super) outer: *const (),
    /// Whether it counts as a job of the pool.
    pub(super) is_job: bool,
    pub(super) notes: Mutex<Notes>,
    pub(super) log: Option<Box<[Stamp]>>,
    pub(super) begun: Instant,
    pub(super) begun_ticks: u64,
    pub(super) ended_ticks: AtomicU64,
}

// SAFETY: `memory` is changed as a whole only by the one `Run` that is made of it when it has
// ended; what `outer` points to is used while the caller waits.
unsafe impl Send for RunCore {}
// SAFETY: as above; `Memory` is Sync.
unsafe impl Sync for RunCore {}

/// A run that has not ended: see I3.
#[derive(Clone, Copy)]
pub(super) struct RunRef(NonNull<RunCore>);

// SAFETY: a reference to something that is Sync.
unsafe impl Send for RunRef {}
// SAFETY: as above.
unsafe impl Sync for RunRef {}

impl RunRef {
    /// # Safety
    /// It is used only while a node or an entry that it is for has not been taken off `remaining`.
    pub(super) unsafe fn new(run: &RunCore) -> RunRef {
        RunRef(NonNull::from(run))
    }

    /// So many have ended. `Some`: they were the last.
    ///
    /// # Safety
    /// They have not been taken off before; it is the last touch by whoever stands for them.
    pub(super) unsafe fn take_off(self, ended: usize) -> Option<Arc<RunCore>> {
        // SAFETY: live until it is taken off.
        let run = unsafe { self.0.as_ref() };
        let own = run.own.load(Ordering::Relaxed);
        // Release for what we have done, Acquire for what the others have: the last ends the run.
        let before = run.remaining.fetch_sub(ended, Ordering::AcqRel);
        // SAFETY: from `Arc::into_raw` in `RunCore::new`; it belongs to the one who ends the run.
        (before == ended).then(|| unsafe { Arc::from_raw(own) })
    }
}

impl Deref for RunRef {
    type Target = RunCore;
    #[inline(always)]
    fn deref(&self) -> &RunCore {
        // SAFETY: by the contract of `new`.
        unsafe { self.0.as_ref() }
    }
}

/// How a run is to be made.
pub(super) struct Plan {
    pub(super) graph: Arc<Frozen>,
    pub(super) family: Arc<Family>,
    pub(super) parent: Option<(RunRef, u32)>,
    pub(super) token: CancelToken,
    pub(super) outer: *const (),
    pub(super) is_job: bool,
    pub(super) is_recorded: bool,
    /// By the pool's clock.
    pub(super) begun: Instant,
    /// The memory of an earlier run, and what of it is to run again.
    pub(super) part: Option<Part>,
}

/// A part of a graph.
pub(super) struct Part {
    pub(super) memory: Memory,
    /// What is to be known of nodes that do not run again.
    pub(super) notes: Notes,
    pub(super) roots: Box<[u32]>,
    pub(super) len: usize,
}

impl RunCore {
    /// A run that counts as one more node: the entry by which its roots are begun.
    pub(super) fn new(plan: Plan) -> Arc<RunCore> {
        let Plan { graph, family, parent, token, outer, is_job, is_recorded, begun, part } = plan;
        let mut special = if is_recorded { RECORDED } else { 0 };
        let (memory, notes, own_roots, remaining) = match part {
            Some(Part { memory, notes, roots, len }) => {
                special |= PARTIAL | if notes.choices.is_empty() { 0 } else { UNEVEN };
                (memory, notes, Some(roots), len)
            }
            None => (Memory::new(&graph), Notes::default(), None, graph.recs.len()),
        };
        let log = is_recorded.then(|| graph.recs.iter().map(|_| Stamp::default()).collect());
        let run = Arc::new(RunCore {
            memory: UnsafeCell::new(memory),
            own: AtomicPtr::new(std::ptr::null_mut()),
            graph,
            family,
            parent,
            special: AtomicU32::new(special),
            remaining: AtomicUsize::new(remaining + 1),
            next_root: AtomicUsize::new(0),
            own_roots,
            token,
            outer,
            is_job,
            notes: Mutex::new(notes),
            log,
            begun,
            begun_ticks: clock::ticks(),
            ended_ticks: AtomicU64::new(0),
        });
        // Relaxed: nobody else knows of the run.
        run.own.store(Arc::into_raw(Arc::clone(&run)).cast_mut(), Ordering::Relaxed);
        run
    }

    /// The run, for somebody who stands for a node of it that has not ended.
    pub(super) fn to_ref(&self) -> RunRef {
        // SAFETY: whoever calls this stands for such a node, and hands it on.
        unsafe { RunRef::new(self) }
    }

    /// Something to be done for the run, for others to take. It counts as a node until whoever takes
    /// it is done (I3). Whoever calls this stands for a node that has not ended.
    pub(super) fn entry(&self, task: Task) -> Entry {
        let is_uncounted = matches!(task, Task::Roots) && fault::is_there(Fault::UncountedEntry);
        if !is_uncounted {
            self.remaining.fetch_add(1, Ordering::Relaxed);
        }
        Entry { run: self.to_ref(), task }
    }

    /// As [`Self::entry`], for somebody who stands for nothing: an entry with nothing to do, if the run
    /// has not ended.
    pub(super) fn entry_if_not_ended(&self) -> Option<Entry> {
        // AcqRel: what has happened in the run is visible, if it has ended or not.
        let one_more = |left: usize| (left > 0).then_some(left + 1);
        let result = self.remaining.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        result.ok().map(|_| Entry { run: self.to_ref(), task: Task::Nodes(Vec::new()) })
    }

    /// For whoever may come after the run's end. The run has not ended now.
    pub(super) fn to_weak(&self) -> Weak<RunCore> {
        let own = self.own.load(Ordering::Relaxed).cast_const();
        // SAFETY: from `Arc::into_raw`, and the reference that it stands for is given back at the
        // run's end, which the caller holds up.
        let run = unsafe {
            Arc::increment_strong_count(own);
            Arc::from_raw(own)
        };
        Arc::downgrade(&run)
    }

    /// The entry that a new run counts from the start: the one that begins its roots.
    pub(super) fn first_entry(&self) -> Entry {
        Entry { run: self.to_ref(), task: Task::Roots }
    }

    #[inline(always)]
    pub(super) fn memory(&self) -> &Memory {
        // SAFETY: changed as a whole only in `take_memory`.
        unsafe { &*self.memory.get() }
    }

    /// The memory, to be dropped or used again; an empty one stays.
    ///
    /// # Safety
    /// The run has ended, and nobody else uses its memory any more.
    pub(super) unsafe fn take_memory(&self, instead: Memory) -> Memory {
        // SAFETY: by contract.
        unsafe { std::mem::replace(&mut *self.memory.get(), instead) }
    }

    pub(super) fn roots(&self) -> &[u32] {
        self.own_roots.as_deref().unwrap_or(&self.graph.roots)
    }

    /// A root that nobody has begun.
    pub(super) fn take_root(&self) -> Option<u32> {
        let roots = self.roots();
        if self.next_root.load(Ordering::Relaxed) >= roots.len() {
            return None;
        }
        // Relaxed: roots wait for nothing.
        roots.get(self.next_root.fetch_add(1, Ordering::Relaxed)).copied()
    }

    pub(super) fn has_roots(&self) -> bool {
        self.next_root.load(Ordering::Relaxed) < self.roots().len()
    }

    #[inline(always)]
    pub(super) fn is_special(&self) -> bool {
        // Relaxed: a bit that concerns a node was set before that was made ready (I4).
        self.special.load(Ordering::Relaxed) != 0
    }

    pub(super) fn has(&self, bit: u32) -> bool {
        self.special.load(Ordering::Relaxed) & bit != 0
    }

    pub(super) fn mark(&self, bit: u32) {
        if !self.has(bit) {
            self.special.fetch_or(bit, Ordering::Relaxed);
        }
    }

    // ---- deciding

    /// What a dependency means for a node.
    fn outcome_for(&self, dependency: u32, node: u32) -> Option<DepOutcome> {
        let outcome = NodeState::of(self.memory().state(dependency)).outcome()?;
        if outcome == DepOutcome::Succeeded {
            let notes = lock(&self.notes);
            if notes.choices.get(&dependency).is_some_and(|chosen| !chosen.contains(&node)) {
                return Some(DepOutcome::Skipped);
            }
        }
        Some(outcome)
    }

    fn outcomes(&self, node: u32) -> Vec<Option<DepOutcome>> {
        let dependencies = self.graph.predecessors_of(node).iter();
        dependencies.map(|&dependency| self.outcome_for(dependency, node)).collect()
    }

    /// Whether a node runs, given its rule and how its dependencies have ended so far.
    pub(super) fn decide(&self, node: u32) -> Decision {
        let extra = self.graph.extra(node);
        let is_default = extra.is_none_or(|extra| {
            extra.needs.is_empty() && matches!(extra.rule, super::rule::TriggerRule::AllSucceeded)
        });
        if is_default && !self.has(UNEVEN) {
            return Decision::Run;
        }
        let outcomes = self.outcomes(node);
        let states = DepStates::new(&outcomes);
        let Some(extra) = extra else {
            return super::rule::TriggerRule::AllSucceeded.decide(&states);
        };
        let decision = crate::engine::unwind::catch(|| extra.rule.decide(&states));
        let decision = decision.unwrap_or_else(|payload| {
            crate::engine::unwind::drop_quietly(payload);
            Decision::Skip
        });
        let is_there = |&need: &u32| self.memory().has_succeeded(need);
        match decision {
            Decision::Run if !extra.needs.iter().all(is_there) => {
                // It may come yet.
                if states.num_waiting() > 0 { Decision::Wait } else { Decision::Skip }
            }
            decision => decision,
        }
    }

    /// The dependency because of which a node is skipped.
    pub(super) fn culprit(&self, node: u32) -> Option<u32> {
        let dependencies = self.graph.predecessors_of(node);
        let is_bad = |&&dependency: &&u32| {
            self.outcome_for(dependency, node).is_some_and(|o| o != DepOutcome::Succeeded)
        };
        dependencies.iter().find(is_bad).copied()
    }

    /// Whether a node is not to be begun because the run is stopped.
    pub(super) fn is_stopped_for(&self, extra: Option<&Extra>) -> bool {
        self.has(STOPPED) && !extra.is_some_and(Extra::defies_stop)
    }

    /// Whether the body that has just unwound was told to by what the whole run works under.
    pub(super) fn is_told_to_stop(&self) -> bool {
        // SAFETY: whoever began the run waits for it, if that has a context.
        let outer = unsafe { self.outer.cast::<Context<'_>>().as_ref() };
        self.token.is_cancelled() || outer.is_some_and(Context::is_cancelled)
    }

    /// Whether the stop of the run concerns a node.
    pub(super) fn is_to_be_stopped(&self, extra: Option<&Extra>) -> bool {
        !extra.is_some_and(Extra::defies_stop)
    }

    // ---- stopping

    /// Stops the run: what has not started never does, what runs is asked to stop. The first cause
    /// counts.
    pub(super) fn stop(&self, cause: CancelCause) {
        let (waiting, children): (Vec<_>, Vec<_>) = {
            let mut notes = lock(&self.notes);
            if notes.stop.is_some() || notes.status.is_some() {
                return;
            }
            notes.stop = Some(cause.clone());
            let children: Vec<_> =
                notes.children.values().flat_map(|children| children.running.clone()).collect();
            let is_stopped = |(node, _): &(u32, _)| self.is_to_be_stopped(self.graph.extra(*node));
            let (stopped, others) =
                std::mem::take(&mut notes.retrying).into_iter().partition(is_stopped);
            notes.retrying = others;
            (stopped, children)
        };
        self.mark(STOPPED);
        self.token.cancel_with(cause.clone());
        for child in children {
            child.stop(cause.clone());
        }
        if let Some(registry) = self.family.registry() {
            // Forks look when they are asked to.
            registry.ask_all_to_check();
        }
        self.end_waits(waiting);
    }

    /// Has nodes go on that were taken off the list of those that wait.
    fn end_waits(&self, waiting: Vec<(u32, Option<TimerKey>)>) {
        let registry = self.family.registry();
        for (node, key) in waiting {
            if let (Some(registry), Some(key)) = (&registry, key) {
                // If it is too late, the timer finds that the node is no longer listed.
                Board::of(registry).timer().cancel(key);
            }
            self.resume(node);
        }
    }

    /// Nothing that waits runs any more: neither does a run of which a node waits for its next
    /// attempt. Returns whether that is so.
    pub(super) fn abandon_if_waiting(&self) -> bool {
        let (is_waiting, children) = {
            let notes = lock(&self.notes);
            let children = notes.children.values().flat_map(|children| children.running.clone());
            (!notes.retrying.is_empty(), children.collect::<Vec<_>>())
        };
        let is_waiting = children.iter().any(|child| child.abandon_if_waiting()) || is_waiting;
        if is_waiting {
            lock(&self.notes).is_abandoned = true;
            self.stop(CancelCause::Shutdown);
            let others = std::mem::take(&mut lock(&self.notes).retrying);
            self.end_waits(others);
        }
        is_waiting
    }

    /// Nothing of the run is begun any more: there is no pool.
    pub(super) fn abandon(&self) {
        {
            let mut notes = lock(&self.notes);
            notes.is_abandoned = true;
            notes.stop.get_or_insert(CancelCause::Shutdown);
        }
        self.mark(STOPPED);
    }

    /// Has a node done that was put off.
    pub(super) fn resume(&self, node: u32) {
        let (entry, family) = (self.entry(Task::Nodes(vec![node])), Arc::clone(&self.family));
        family.publish(entry);
    }

    /// A node has failed for good.
    pub(super) fn note_failure(&self, node: u32, error: NodeError) {
        {
            let mut notes = lock(&self.notes);
            notes.first.get_or_insert(node);
            notes.errors.insert(node, error);
        }
        if self.graph.on_failure == OnFailure::Stop {
            self.stop(CancelCause::SiblingFailed);
        }
    }

    pub(super) fn state_of(error: &NodeError) -> u8 {
        match error {
            NodeError::Failed(_) => state::FAILED,
            NodeError::Panicked(_) => state::PANICKED,
            NodeError::TimedOut(_) => state::TIMED_OUT,
            NodeError::Cancelled(_) => state::CANCELLED,
            NodeError::Skipped { .. } => state::SKIPPED,
        }
    }

    // ---- the end

    /// All nodes have ended. Returns what is left to do for the run that this one is a part of.
    pub(super) fn finish(self: Arc<Self>) -> Option<Entry> {
        let now = clock::ticks();
        self.ended_ticks.store(now, Ordering::Relaxed);
        let (status, timers, callbacks) = {
            let mut notes = lock(&self.notes);
            let status = match (&notes.stop, notes.first) {
                (None | Some(CancelCause::SiblingFailed), Some(_)) => RunStatus::Failed,
                (None, None) => RunStatus::Completed,
                (Some(CancelCause::Deadline), _) => RunStatus::TimedOut,
                (Some(cause), _) => RunStatus::Cancelled(cause.clone()),
            };
            let status = if notes.is_abandoned { RunStatus::Abandoned } else { status };
            notes.status = Some(status.clone());
            (status, std::mem::take(&mut notes.timers), std::mem::take(&mut notes.callbacks))
        };
        drop(callbacks);
        let registry = self.family.registry();
        if let (Some(registry), false) = (&registry, timers.is_empty()) {
            let timer = Board::of(registry).timer();
            timers.into_iter().for_each(|key| {
                timer.cancel(key);
            });
        }
        if status == RunStatus::Completed && self.own_roots.is_none() {
            self.graph.learn(now.saturating_sub(self.begun_ticks));
        }
        if let Some((parent, node)) = &self.parent {
            let has_ended = parent.child_has_ended(*node, &self);
            let nodes = if has_ended { vec![*node] } else { Vec::new() };
            return Some(Entry { run: *parent, task: Task::Nodes(nodes) });
        }
        let board = registry.as_deref().filter(|_| self.is_job).map(Board::of);
        if let Some(board) = board {
            board.counter().count(match status {
                RunStatus::Completed => JobOutcome::Completed,
                RunStatus::Failed => self.outcome_of_failure(),
                RunStatus::Cancelled(_) => JobOutcome::Cancelled,
                RunStatus::TimedOut => JobOutcome::TimedOut,
                RunStatus::Abandoned => JobOutcome::Abandoned,
            });
        }
        let family = Arc::clone(&self.family);
        // Whoever waits shall have the last reference.
        drop(self);
        family.finish();
        if let Some(board) = board {
            board.counter().resolved();
            if let Some(registry) = &registry {
                registry.tell_idle();
            }
        }
        None
    }

    fn outcome_of_failure(&self) -> JobOutcome {
        let notes = lock(&self.notes);
        match notes.first.and_then(|node| notes.errors.get(&node)) {
            Some(NodeError::Panicked(_)) => JobOutcome::Panicked,
            Some(NodeError::TimedOut(_)) => JobOutcome::TimedOut,
            _ => JobOutcome::Failed,
        }
    }

    /// A run that `node` has started has ended. `true`: so has the node.
    fn child_has_ended(&self, node: u32, child: &Arc<RunCore>) -> bool {
        let then = {
            let mut notes = lock(&self.notes);
            let Some(children) = notes.children.get_mut(&node) else { return false };
            children.then.take()
        };
        let mut failure = None;
        let is_good = child.status() == RunStatus::Completed;
        match then {
            Some(then) if is_good => {
                // It may start another one, or return the node's result. The user's code.
                let at = At { run: self, node };
                match crate::engine::unwind::catch(|| then(at, Arc::clone(child))) {
                    Ok(Flow::Failed) => failure = lock(&self.notes).errors.get(&node).cloned(),
                    Ok(_) => {}
                    Err(payload) => failure = Some(Driver::panicked(payload)),
                }
            }
            _ if !is_good => failure = Some(child.failure_as_child()),
            _ => {}
        }
        let mut notes = lock(&self.notes);
        let Some(children) = notes.children.get_mut(&node) else { return false };
        children.running.retain(|running| !Arc::ptr_eq(running, child));
        if let Some(failure) = failure {
            children.has_failed.get_or_insert(failure);
        }
        children.body_is_done && children.running.is_empty()
    }

    pub(super) fn status(&self) -> RunStatus {
        lock(&self.notes).status.clone().unwrap_or(RunStatus::Completed)
    }

    /// What the end of this run means for the node that has started it.
    fn failure_as_child(&self) -> NodeError {
        let notes = lock(&self.notes);
        match &notes.status {
            Some(RunStatus::Cancelled(cause)) => NodeError::Cancelled(cause.clone()),
            Some(RunStatus::TimedOut) => NodeError::TimedOut(crate::TimeoutPhase::Running),
            Some(RunStatus::Abandoned) => NodeError::Cancelled(CancelCause::Shutdown),
            _ => match notes.first.and_then(|node| Some((node, notes.errors.get(&node)?))) {
                Some((node, error)) => {
                    let node = self.graph.name_of(node).into_owned();
                    NodeError::Failed(Arc::new(InGraph { node, error: error.clone() }))
                }
                None => NodeError::Cancelled(CancelCause::SiblingFailed),
            },
        }
    }
}

/// The failure of a node of a graph that is a node of another.
#[derive(Debug)]
struct InGraph {
    node: String,
    error: NodeError,
}

impl std::fmt::Display for InGraph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node {:?}: {}", self.node, self.error)
    }
}

impl Error for InGraph {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

impl At<'_> {
    /// Writes the result.
    ///
    /// # Safety
    /// The node's result is a `T`, and this is called once, by the one who runs the node.
    #[inline(always)]
    pub(super) unsafe fn put<T>(self, value: T) -> Flow {
        // SAFETY: by contract.
        unsafe { self.run.memory().put(self.node, value) };
        Flow::Done
    }

    /// Keeps the error for whoever looks after the node.
    #[cold]
    pub(super) fn fail(self, error: BoxError) -> Flow {
        let error = NodeError::Failed(Arc::from(error));
        lock(&self.run.notes).errors.insert(self.node, error);
        Flow::Failed
    }
}
