//! One member of a group: where it is, and what it holds of the group's limits.

use super::core::{Core, Place};
use super::limit;
use crate::engine::sync::{AtomicBool, AtomicU8, Mutex, Ordering, lock};
use crate::job::{
    AnyHandle, CancelToken, Continue, Enlist, Gate, JobError, JobOutcome, JobRef, Member,
};
use std::borrow::Cow;
use std::sync::Arc;

/// See the module.
pub(super) struct Node {
    pub(super) core: Arc<Core>,
    /// Its number in the group, from 0, in the order of submission.
    pub(super) index: u64,
    pass: Mutex<Pass>,
    /// Its closure has returned an error.
    has_failed: AtomicBool,
    run: AtomicU8,
}

/// Whether it runs, as the group counts it: not now, so it is, or not any more.
const IDLE: u8 = 0;
const RUNS: u8 = 1;
const OVER: u8 = 2;

/// How far it has come through the limits.
#[derive(Default)]
struct Pass {
    /// Of so many it has a slot.
    held: usize,
    /// Where it waits for the next.
    waits: Option<limit::Place>,
    /// It has ended: what is granted to it now goes back.
    is_over: bool,
}

impl Node {
    pub(super) fn new(core: Arc<Core>, index: u64) -> Arc<Node> {
        let has_failed = AtomicBool::new(false);
        let run = AtomicU8::new(IDLE);
        Arc::new(Node { core, index, pass: Mutex::default(), has_failed, run })
    }

    /// It runs from now on, and is counted. `false`: it is over.
    pub(super) fn start_run(&self) -> bool {
        // Release pairs with the Acquire in `end_run`: it has been counted before.
        self.run.compare_exchange(IDLE, RUNS, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// It does not run any more, for now or at all. Returns whether it did.
    pub(super) fn end_run(&self, is_over: bool) -> bool {
        // Acquire: see `start_run`.
        self.run.swap(if is_over { OVER } else { IDLE }, Ordering::Acquire) == RUNS
    }

    /// Goes through the limits that are left, as far as there is room.
    fn go_through(self: &Arc<Self>, mut gate: Gate) {
        let mut pass = lock(&self.pass);
        while let Some(limit) = self.core.limits().get(pass.held) {
            if pass.is_over {
                break;
            }
            match limit.take_or_wait(self, gate, pass.held) {
                Ok(ours) => gate = ours,
                Err(place) => {
                    pass.waits = Some(place);
                    return;
                }
            }
            pass.held += 1;
        }
        drop(pass);
        // Of the token, which is cancelled with all those below before any member hears of it: a slot
        // that a member above gives back when it is told starts nobody here.
        match self.core.token.cause() {
            None => gate.open_now(),
            // It is about to be cancelled, with all others.
            Some(cause) => {
                let error = JobError::Cancelled { cause, had_started: false };
                gate.end(JobOutcome::Cancelled, error);
            }
        }
    }

    /// It has got the slot of the limit for which it has waited.
    pub(super) fn granted(self: &Arc<Self>, gate: Gate, nth: usize) {
        let mut pass = lock(&self.pass);
        pass.waits = None;
        if !pass.is_over {
            pass.held += 1;
            drop(pass);
            return self.go_through(gate);
        }
        drop(pass);
        if let Some(next) = self.core.limits()[nth].give_back() {
            next.go_on();
        }
    }

    /// Gives back what it holds of the limits.
    fn leave_limits(&self, is_over: bool) {
        if self.core.limits().is_empty() {
            return;
        }
        let (held, waits) = {
            let mut pass = lock(&self.pass);
            pass.is_over = is_over;
            (std::mem::take(&mut pass.held), pass.waits.take())
        };
        let limits = self.core.limits();
        let withdrawn = waits.and_then(|place| limits[held].withdraw(place));
        for limit in &limits[..held] {
            if let Some(next) = limit.give_back() {
                next.go_on();
            }
        }
        // Its job has ended, so this only lets it go.
        drop(withdrawn);
    }
}

impl Member for Node {
    fn joined(self: Arc<Self>, job: JobRef, handle: Option<AnyHandle>) {
        self.core.joined(self.index, &job, handle);
        job.on_end(self);
    }

    fn rejected(&self) {
        self.core.rejected(self.index);
        self.leave_limits(true);
    }

    fn enter(self: Arc<Self>, gate: Gate) {
        self.go_through(gate);
    }

    fn queued(&self) {
        self.core.set_place(self.index, Place::Queued);
    }

    fn listed(&self) {
        self.core.listed(self.index);
    }

    fn started(&self) {
        self.core.started(self);
    }

    fn paused(&self) {
        self.core.paused(self);
        self.leave_limits(false);
    }

    fn failed(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
    }

    fn has_failed(&self) -> bool {
        // Relaxed: asked by the thread that has said it.
        self.has_failed.load(Ordering::Relaxed)
    }

    fn timed_token(&self) -> Option<CancelToken> {
        self.core.token.deadline().map(|_| self.core.token.clone())
    }

    fn is_within(&self, group: usize) -> bool {
        self.core.is_within(group)
    }
}

impl Continue for Node {
    fn go_on(&self) {
        // First: it may cancel those who would get the slot.
        self.core.ended(self);
        self.leave_limits(true);
    }
}

impl Enlist for Core {
    fn enlist(self: Arc<Self>, waits: bool) -> Option<Arc<dyn Member>> {
        Some(self.add(waits)?)
    }

    fn holds_back(&self) -> bool {
        !self.limits().is_empty()
    }

    fn name_of_member(&self, name: &str) -> Cow<'static, str> {
        if name.is_empty() {
            return Cow::Borrowed("");
        }
        Cow::Owned(format!("{}/{name}", self.name))
    }
}
