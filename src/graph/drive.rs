//! A driver: one worker at work for one run.
//!
//! It runs a node, tells the successors, goes on with the best of those that are ready, and keeps
//! the others to itself on a stack, the next best on top. So a graph is walked depth first: few
//! results are alive at a time, and what a node needs is warm. Roots are begun one by one, when
//! there is nothing else.
//!
//! D1. While a driver is `alone`, nothing of its run was ever public: nobody else runs a node of
//!     it, so counters are changed by plain loads and stores. Whatever makes something public ends
//!     that before.
//! D2. A driver has its own count of the nodes that it has ended, and takes it off the run's when
//!     it runs out of work: one read-modify-write a visit, none a node.
//! D3. Between two nodes it looks at two words that others write: the run's `special`, and the
//!     worker's attention. On its own it makes something public only if no beacon is up.

use super::error::NodeError;
use super::family::{Entry, Task};
use super::fault::{self, Fault};
use super::frozen::{Flow, Frozen, Rec};
use super::run::{RunCore, RunRef};
use super::slow;
use super::state;
use crate::engine::clock;
use crate::engine::sync::Ordering;
use crate::engine::unwind::{self, AbortOnUnwind, Payload};
use crate::engine::worker::{Belonging, Worker};
use crate::job::{Context, JobPanic, cancelled_by_any, take_location_of};
use std::sync::Arc;

/// No node.
pub(super) const NOBODY: u32 = u32::MAX;
/// Every so many nodes a run that was taken for short looks at the clock. A power of two.
const LOOK: u32 = 64;

/// See the module.
pub(super) struct Driver<'a> {
    /// `None`: the pool is gone, and no body runs.
    pub(super) worker: Option<&'a Worker>,
    pub(super) run: &'a RunCore,
    /// Nodes that are ready, the next on top.
    pub(super) stack: Vec<u32>,
    is_alone: bool,
    /// Whether there may be anybody who would take something, and it is worth it.
    may_share: bool,
    /// Whether it ends after one node.
    is_short: bool,
    ended: u32,
    /// When it is to let others come first, if such wait; 0: never.
    until: u64,
}

/// Why a driver is at work.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Its thread waits for the run.
    Waits,
    /// It began the run, of which nobody else knows, and waits for it.
    Begins,
    /// It was called by a beacon, and lets others come first after that time, in ticks.
    Called(u64),
    /// It runs one node at a level that is not the run's.
    One,
}

/// Whether jobs wait, and the worker has been with a family for long enough.
#[inline]
pub(super) fn is_others_turn(worker: &Worker, until: u64) -> bool {
    worker.registry().lanes.levels() != 0 && clock::ticks() > until
}

impl<'a> Driver<'a> {
    /// Does what an entry says, and what comes of it, for a thread that waits for the run.
    pub(super) fn help(worker: &Worker, entry: Entry) {
        Self::drive(worker, entry, Why::Waits);
    }

    /// As [`Self::help`], for a worker that was called. `false`: it is time for other work.
    pub(super) fn follow(worker: &Worker, entry: Entry, until: u64) -> bool {
        Self::drive(worker, entry, Why::Called(until))
    }

    /// Does what an entry says, and leaves to others what comes of it.
    pub(super) fn drive_one(worker: &Worker, entry: Entry) {
        Self::drive(worker, entry, Why::One);
    }

    /// Begins a run here. If it is `alone`, nobody else knows of it yet.
    pub(super) fn begin(worker: &Worker, run: &RunCore, is_alone: bool) {
        let entry = run.first_entry();
        Self::drive(worker, entry, if is_alone { Why::Begins } else { Why::Waits });
    }

    fn drive(worker: &Worker, entry: Entry, why: Why) -> bool {
        let outer = worker.enter_stolen(std::ptr::null());
        // Whatever is the user's is caught where it is called.
        let guard = AbortOnUnwind("a graph's driver");
        let goes_on = Self::drive_all(Some(worker), entry, why);
        guard.disarm();
        worker.leave_stolen(outer);
        goes_on
    }

    /// Ends the nodes of an entry without running them. There is no pool any more.
    pub(super) fn abandon(entry: Entry) {
        entry.run.abandon();
        Self::drive_all(None, entry, Why::Waits);
    }

    fn drive_all(worker: Option<&Worker>, entry: Entry, why: Why) -> bool {
        let Entry { mut run, mut task } = entry;
        let mut why = why;
        loop {
            // SAFETY: whoever began the run waits for it, if that has a context.
            let outer = unsafe { run.outer.cast::<Context<'_>>().as_ref() };
            let context = Context::of_piece(&run.token, outer);
            let belonging = worker.and_then(|_| Belonging::enter(context.as_ptr()));
            let (ended, goes_on) = Driver::new(worker, &run, why).work(task);
            drop(belonging);
            // Of panics that bodies have caught themselves.
            drop(take_location_of(context.address()));
            // SAFETY: they are those that this driver has ended, and its entry; nobody uses `run`
            // after it.
            let ended = unsafe { run.take_off(ended) };
            // If it was the run of a node, the node may have ended with it.
            let Some(entry) = ended.and_then(RunCore::finish) else { return goes_on };
            Entry { run, task } = entry;
            if why == Why::Begins {
                why = Why::Waits;
            }
        }
    }

    fn new(worker: Option<&'a Worker>, run: &'a RunRef, why: Why) -> Self {
        let is_alone = why == Why::Begins;
        let may_share = worker.is_some_and(|worker| {
            let registry = worker.registry();
            let estimate = run.graph.estimate.load(Ordering::Relaxed);
            registry.width() > 1 && (!is_alone || estimate == 0 || estimate > registry.worth_waking)
        });
        let until = if let Why::Called(until) = why { until } else { 0 };
        let is_short = why == Why::One;
        Driver { worker, run, stack: Vec::new(), is_alone, may_share, is_short, ended: 0, until }
    }

    /// Works until there is nothing left here. Returns how many nodes have ended, what counts as one
    /// included, and whether the worker goes on with this family.
    fn work(mut self, task: Task) -> (usize, bool) {
        let mut next = NOBODY;
        // For the entry.
        self.ended += 1;
        match task {
            Task::Nodes(nodes) => self.stack = nodes,
            Task::Expired(node) => next = node,
            Task::Roots => {}
        }
        let mut goes_on = true;
        loop {
            if next == NOBODY {
                match self.stack.pop().or_else(|| self.run.take_root()) {
                    Some(node) => next = node,
                    None => break,
                }
            }
            if let Some(worker) = self.worker {
                self.look_around(worker);
                if self.until != 0 && is_others_turn(worker, self.until) {
                    goes_on = false;
                    self.hand_over(next, true);
                    break;
                }
            }
            next = self.step(next);
            if self.is_short {
                self.hand_over(next, false);
                break;
            }
        }
        (self.ended as usize, goes_on)
    }

    /// Runs a node and tells its successors. Returns the next one to run, or `NOBODY`.
    #[inline(always)]
    fn step(&mut self, node: u32) -> u32 {
        let graph: &Frozen = &self.run.graph;
        let rec = &graph.recs[node as usize];
        if rec.is_rich() || self.run.is_special() {
            return self.step_slowly(node);
        }
        let run: &RunCore = self.run;
        // SAFETY: the node is ready and ours alone, so its body may be called for it (`frozen` I2).
        match unwind::catch(|| unsafe { (rec.call)(&rec.word, run, node) }) {
            Ok(Flow::Done) => {}
            result => return self.step_ends_badly(node, result),
        }
        self.succeed(rec, node)
    }

    /// A node has succeeded, and nothing of it is out of the ordinary.
    #[inline(always)]
    pub(super) fn succeed(&mut self, rec: &Rec, node: u32) -> u32 {
        self.ended += 1;
        if fault::is_there(Fault::TellsEarly) {
            let next = self.tell::<false>(rec);
            self.run.memory().set_state(node, state::SUCCEEDED);
            return next;
        }
        self.run.memory().set_state(node, state::SUCCEEDED);
        self.tell::<false>(rec)
    }

    /// Before a node is run: whether somebody wants something, or might take something.
    #[inline(always)]
    fn look_around(&mut self, worker: &Worker) {
        if worker.is_asked_for_something() {
            self.attend(worker);
        }
        if self.may_share {
            if !self.run.family.is_public() && (!self.stack.is_empty() || self.run.has_roots()) {
                self.expose();
            }
        } else if self.ended & (LOOK - 1) == LOOK - 1 {
            self.look_at_the_clock(worker);
        }
    }

    /// Tells the successors of a node that it has ended. Those that are ready go onto the stack,
    /// but for the first, which is returned.
    #[inline(always)]
    fn tell<const PARTIAL: bool>(&mut self, rec: &Rec) -> u32 {
        let graph: &Frozen = &self.run.graph;
        let mut next = NOBODY;
        for &successor in graph.successors_of(rec).iter().rev() {
            let other = &graph.recs[successor as usize];
            if PARTIAL && !slow::may_begin(self.run.memory().state(successor)) {
                // It takes no part.
                continue;
            }
            if other.is_eager() {
                if !slow::arrive_eagerly(self.run, successor) {
                    continue;
                }
            } else if (PARTIAL || other.pending > 1) && !self.arrive(successor) {
                continue;
            }
            if next != NOBODY {
                self.stack.push(next);
            }
            next = successor;
        }
        next
    }

    /// One dependency of a node has ended. `true`: it was the last.
    #[inline(always)]
    fn arrive(&self, node: u32) -> bool {
        let pending = &self.run.memory().buffers().pending[node as usize];
        if self.is_alone || fault::is_there(Fault::StaysAlone) {
            let left = pending.load(Ordering::Relaxed) - 1;
            pending.store(left, Ordering::Relaxed);
            return left == 0;
        }
        // The last one needs no read-modify-write: nobody else will come. Acquire and AcqRel: it
        // sees what those before it have done (`run` I2).
        pending.load(Ordering::Acquire) == 1 || pending.fetch_sub(1, Ordering::AcqRel) == 1
    }

    // ---- sharing

    /// Makes the oldest of our nodes public, or the roots, and wakes somebody.
    #[cold]
    #[inline(never)]
    fn expose(&mut self) {
        self.is_alone = false;
        let task = if self.stack.is_empty() {
            Task::Roots
        } else {
            Task::Nodes(vec![self.stack.remove(0)])
        };
        self.run.family.publish(self.run.entry(task));
    }

    /// Leaves all that is here to others: now, or behind the jobs that wait.
    fn hand_over(&mut self, next: u32, behind: bool) {
        if next != NOBODY {
            self.stack.push(next);
        }
        if !self.stack.is_empty() {
            let entry = self.run.entry(Task::Nodes(std::mem::take(&mut self.stack)));
            if behind {
                self.run.family.publish_behind(entry);
            } else {
                self.run.family.publish(entry);
            }
        }
    }

    /// Somebody wants something of this worker.
    #[cold]
    #[inline(never)]
    fn attend(&mut self, worker: &Worker) {
        worker.make_way_if_asked();
        if !worker.is_wanted() || (self.stack.is_empty() && !self.run.has_roots()) {
            return;
        }
        worker.answer();
        self.is_alone = false;
        let task = if self.stack.is_empty() {
            Task::Roots
        } else {
            let half = self.stack.len().div_ceil(2);
            Task::Nodes(self.stack.drain(..half).collect())
        };
        self.run.family.publish(self.run.entry(task));
    }

    #[cold]
    fn look_at_the_clock(&mut self, worker: &Worker) {
        let registry = worker.registry();
        self.may_share =
            registry.width() > 1 && clock::since(self.run.begun_ticks) > registry.worth_waking;
    }

    /// An entry that this driver has made comes back.
    pub(super) fn keep_entry(&mut self) {
        self.ended += 1;
    }

    /// Something of the run becomes known to others.
    pub(super) fn leave_alone(&mut self) {
        self.is_alone = false;
    }

    // ---- what is out of the ordinary

    #[cold]
    #[inline(never)]
    fn step_slowly(&mut self, node: u32) -> u32 {
        slow::step(self, node)
    }

    #[cold]
    #[inline(never)]
    fn step_ends_badly(&mut self, node: u32, result: Result<Flow, Payload>) -> u32 {
        slow::after_call(self, node, result.map_err(Self::panicked), false)
    }

    /// A node has ended somehow, and its state is set: tells its successors.
    pub(super) fn end(&mut self, node: u32) -> u32 {
        self.ended += 1;
        let run = self.run;
        let rec = &run.graph.recs[node as usize];
        if run.has(super::run::PARTIAL) { self.tell::<true>(rec) } else { self.tell::<false>(rec) }
    }

    /// What a payload that came out of a body means.
    pub(super) fn panicked(payload: Payload) -> NodeError {
        match cancelled_by_any(payload) {
            Ok(cancelled) => NodeError::Cancelled(cancelled.cause().clone()),
            Err(payload) => {
                let location = Context::current_key().and_then(take_location_of);
                NodeError::Panicked(Arc::new(JobPanic::new(payload, location)))
            }
        }
    }
}
