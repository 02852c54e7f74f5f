//! What a group knows of its members, under one lock; so what is read of it is of one moment.
//!
//! G1. `members` are those that have not ended, or have not joined: the group hears of the end of a
//!     member after that. A member is listed before its job exists, so whoever finds none has not
//!     overlooked one.
//! G2. `counts` has each member of the group in one place, always: the sum of the others is `total`. Those
//!     that run are counted by themselves, and among those that are queued.
//! G3. Nothing of the user's is called or dropped under the lock.
//! G4. While something is pending in a nested group it counts as one of its parent's
//!     (`busy_groups`): from before a member is submitted until after the last has ended. So a parent
//!     may take it for busy a little too long, never for idle too soon.

use super::joiner::Until;
use super::limit::Limit;
use super::member::Node;
use super::members::Members;
use super::statistics::GroupStatistics;
use super::waiting::{self, Waiters, Waiting};
use crate::Priority;
use crate::engine::registry::Registry;
use crate::engine::sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock};
use crate::engine::unwind;
use crate::job::waiter::Waiter;
use crate::job::{
    AnyHandle, Board, CancelCallback, CancelCause, CancelToken, JobOutcome, JobRef, JobState,
    SkipCause, is_inside_group,
};
use crate::time::TimerKey;
use crossbeam_utils::CachePadded;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};

/// What is said of a group before it is opened.
pub(super) struct Terms {
    /// With the names of the groups above.
    pub(super) name: Arc<str>,
    pub(super) token: CancelToken,
    pub(super) priority: Priority,
    pub(super) fails_fast: bool,
    pub(super) limit: Option<usize>,
    pub(super) parent: Option<Arc<Core>>,
    pub(super) on_end: Option<OnEnd>,
}

pub(super) type OnEnd = Box<dyn Fn(&GroupStatistics) + Send + Sync>;

/// See the module.
pub(super) struct Core {
    pub(super) registry: Weak<Registry>,
    pub(super) name: Arc<str>,
    pub(super) token: CancelToken,
    pub(super) priority: Priority,
    fails_fast: bool,
    /// Its own, then those above.
    limits: Box<[Arc<Limit>]>,
    has_limit: bool,
    parent: Option<Arc<Core>>,
    on_end: Option<OnEnd>,
    /// What cancels the members with the token.
    callback: OnceLock<CancelCallback>,
    /// What looks at the token when its deadline has passed.
    timer: OnceLock<TimerKey>,
    state: Mutex<State>,
    /// How many of the members that were queued run. Raised without the lock, so that a start does not
    /// wait for whoever submits; lowered under it.
    running: CachePadded<AtomicU64>,
}

pub(super) struct State {
    is_closed: bool,
    /// Set once its members are being cancelled.
    cause: Option<CancelCause>,
    /// The first member, here or in a group below, that has ended and not completed.
    pub(super) failure: Option<SkipCause>,
    counts: GroupStatistics,
    members: Members<Entry>,
    busy_groups: usize,
    /// Results that nobody has taken, in the order of the ends.
    done: VecDeque<Done>,
    /// How many of those are successes.
    num_good: usize,
    /// Nobody wants results.
    discards: bool,
    /// Members that have not completed, whose results are elsewhere.
    failed_elsewhere: Vec<Elsewhere>,
    /// No queued member has a lower index. At the end: there is none at all.
    help_from: u64,
    pub(super) waiters: Waiters,
}

/// A member that is listed.
struct Entry {
    place: Place,
    /// `None`: it has not joined.
    job: Option<JobRef>,
    /// Of the group's type, if the group has the result.
    handle: Option<AnyHandle>,
}

/// Where a member is. One that runs is still where it was queued: see `Core::running`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Waiting,
    Queued,
    Retrying,
}

/// A member that has ended, and its result.
pub(super) struct Done {
    pub(super) index: u64,
    pub(super) handle: AnyHandle,
    is_good: bool,
}

/// A member that has ended, whose result is not the group's.
#[derive(Clone)]
pub(super) struct Elsewhere {
    pub(super) index: u64,
    pub(super) job: JobRef,
    pub(super) outcome: JobOutcome,
}

/// So many of them are kept; of the others, the counts tell.
const MOST_ELSEWHERE: usize = 64;

impl State {
    fn has_all_ended(&self) -> bool {
        self.members.is_empty() && self.busy_groups == 0
    }

    pub(super) fn is_reached(&self, until: Until) -> bool {
        let is_reached = match until {
            Until::Ends(n) => self.done.len() >= n,
            Until::Successes(n) => self.num_good >= n,
            Until::AllEnded => false,
            Until::Gone(index) => self.members.get(index).is_none(),
        };
        is_reached || self.has_all_ended()
    }

    pub(super) fn has_queued(&self) -> bool {
        self.help_from < self.members.next()
    }

    /// A queued member that nobody has been shown yet.
    pub(super) fn next_queued(&mut self) -> Option<JobRef> {
        let queued = self.members.from(self.help_from).find_map(|(index, entry)| {
            let job = entry.job.as_ref().filter(|_| entry.place == Place::Queued)?;
            (job.state() == JobState::Queued).then(|| (index + 1, job.clone()))
        });
        let (from, job) = queued.unzip();
        self.help_from = from.unwrap_or(self.members.next());
        job
    }

    /// A member may be found by those who help.
    fn show(&mut self, index: u64) -> Vec<Arc<Waiter>> {
        self.help_from = self.help_from.min(index);
        self.waiters.helpers()
    }

    /// Takes those out whose wait is over.
    fn take_reached(&mut self) -> Vec<Waiting> {
        let mut waiters = std::mem::take(&mut self.waiters);
        let over = waiters.take_over(|until| self.is_reached(until));
        self.waiters = waiters;
        over
    }

    fn set_place(&mut self, index: u64, place: Place) {
        let Some(entry) = self.members.get_mut(index) else { return };
        let before = std::mem::replace(&mut entry.place, place);
        *self.counts.at(before) -= 1;
        *self.counts.at(place) += 1;
    }

    /// Takes a member off the list, which has ended. Returns what is to be dropped, outside of the lock.
    fn settle(&mut self, index: u64, outcome: JobOutcome) -> Option<Entry> {
        let mut entry = self.members.remove(index)?;
        *self.counts.at(entry.place) -= 1;
        self.counts.count(outcome);
        let is_good = outcome == JobOutcome::Completed;
        match entry.handle.take_if(|_| !self.discards) {
            Some(handle) => {
                self.num_good += usize::from(is_good);
                self.done.push_back(Done { index, handle, is_good });
            }
            None if entry.handle.is_some() || is_good => {}
            None if self.failed_elsewhere.len() < MOST_ELSEWHERE => {
                let elsewhere = entry.job.take().map(|job| Elsewhere { index, job, outcome });
                self.failed_elsewhere.extend(elsewhere);
            }
            None => {}
        }
        Some(entry)
    }
}

impl Core {
    pub(super) fn open(registry: Option<&Registry>, terms: Terms) -> Arc<Core> {
        let Terms { name, token, priority, fails_fast, limit, parent, on_end } = terms;
        let above = parent.as_ref().map_or(&[][..], |parent| parent.limits());
        let limits = limit.map(Limit::new).into_iter().chain(above.iter().cloned()).collect();
        let core = Arc::new(Core {
            registry: registry.map_or_else(Weak::new, Registry::to_weak),
            name,
            token,
            priority,
            fails_fast,
            limits,
            has_limit: limit.is_some(),
            parent,
            on_end,
            callback: OnceLock::new(),
            timer: OnceLock::new(),
            state: Mutex::new(State {
                is_closed: false,
                cause: None,
                failure: None,
                counts: GroupStatistics::default(),
                members: Members::new(),
                busy_groups: 0,
                done: VecDeque::new(),
                num_good: 0,
                discards: false,
                failed_elsewhere: Vec::new(),
                help_from: 0,
                waiters: Waiters::default(),
            }),
            running: CachePadded::default(),
        });
        let weak = Arc::downgrade(&core);
        let callback = core.token.on_cancel(move |cause| {
            if let Some(core) = weak.upgrade() {
                core.cancel_members(cause);
            }
        });
        let _ = core.callback.set(callback);
        if let (Some(at), Some(registry)) = (core.token.deadline(), registry) {
            // Looking is enough: the token then calls back.
            let token = core.token.clone();
            let key = Board::of(registry).timer().insert(at, move || {
                token.is_cancelled();
            });
            let _ = core.timer.set(key);
        }
        core
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(super) fn registry(&self) -> Option<Arc<Registry>> {
        self.registry.upgrade()
    }

    pub(super) fn limits(&self) -> &[Arc<Limit>] {
        &self.limits
    }

    /// Its own limit.
    pub(super) fn limit(&self) -> Option<&Arc<Limit>> {
        self.limits.first().filter(|_| self.has_limit)
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whether it is the group with that address, or below it.
    pub(super) fn is_within(&self, group: usize) -> bool {
        let mut at = Some(self);
        while let Some(core) = at {
            if core.address() == group {
                return true;
            }
            at = core.parent.as_deref();
        }
        false
    }

    // ---- members

    /// Lists a new member. `None`: the group is closed.
    pub(super) fn add(self: &Arc<Self>, waits: bool) -> Option<Arc<Node>> {
        // Not under the lock: it may notice that the deadline has passed.
        let is_cancelled = self.token.is_cancelled();
        let (index, is_first) = {
            let mut state = self.state();
            if is_cancelled || state.is_closed {
                return None;
            }
            let is_first = state.has_all_ended();
            let place = if waits { Place::Waiting } else { Place::Queued };
            state.counts.total += 1;
            *state.counts.at(place) += 1;
            let index = state.members.add(Entry { place, job: None, handle: None });
            // Nobody who helps need look for one that has not joined.
            state.help_from += u64::from(state.help_from == index);
            (index, is_first)
        };
        if is_first {
            self.tell_parent(true);
        }
        Some(Node::new(Arc::clone(self), index))
    }

    /// The member is in the pool. Its end is told after that.
    pub(super) fn joined(&self, index: u64, job: &JobRef, handle: Option<AnyHandle>) {
        let mut state = self.state();
        let Some(entry) = state.members.get_mut(index) else { return };
        let is_queued = entry.place == Place::Queued;
        entry.job = Some(job.clone());
        entry.handle = handle;
        let cause = state.cause.clone();
        let helpers = if is_queued { state.show(index) } else { Vec::new() };
        drop(state);
        helpers.iter().for_each(|helper| helper.nudge());
        if let Some(cause) = cause {
            // Whoever has cancelled all others has not seen it.
            job.cancel_with(cause);
        }
    }

    pub(super) fn rejected(&self, index: u64) {
        let mut state = self.state();
        if let Some(entry) = state.members.remove(index) {
            *state.counts.at(entry.place) -= 1;
            state.counts.total -= 1;
        }
        self.after_removal(state);
    }

    pub(super) fn set_place(&self, index: u64, place: Place) {
        self.state().set_place(index, place);
    }

    pub(super) fn started(&self, node: &Node) {
        // Relaxed, here and below: a count. First, so that whoever ends the member takes it back: `run` of
        // the node tells that.
        self.running.fetch_add(1, Ordering::Relaxed);
        if !node.start_run() {
            // Its time was up just now.
            self.running.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(super) fn paused(&self, node: &Node) {
        let mut state = self.state();
        if node.end_run(false) {
            self.running.fetch_sub(1, Ordering::Relaxed);
        }
        state.set_place(node.index, Place::Retrying);
    }

    /// Its job can be claimed now, unless somebody has.
    pub(super) fn listed(&self, index: u64) {
        let helpers = {
            let mut state = self.state();
            let entry = state.members.get(index);
            if entry.is_none_or(|entry| entry.place != Place::Queued || entry.job.is_none()) {
                return;
            }
            state.show(index)
        };
        helpers.iter().for_each(|helper| helper.nudge());
    }

    /// Its job has ended.
    pub(super) fn ended(&self, node: &Node) {
        let mut state = self.state();
        let Some(entry) = state.members.get(node.index) else { return };
        let failure = entry.job.as_ref().and_then(SkipCause::of);
        let outcome = failure.as_ref().map_or(JobOutcome::Completed, |failure| failure.outcome);
        if let Some(failure) = failure {
            drop(state);
            self.note_failure(&failure);
            state = self.state();
        }
        if node.end_run(true) {
            self.running.fetch_sub(1, Ordering::Relaxed);
        }
        let unwanted = state.settle(node.index, outcome);
        use JobOutcome::{Abandoned, Cancelled, Completed};
        let is_failure = !matches!(outcome, Completed | Cancelled | Abandoned);
        let cancels = self.fails_fast && is_failure && state.cause.is_none();
        let counts = self.counts(&state);
        self.after_removal(state);
        drop(unwanted);
        if cancels {
            self.cancel(CancelCause::SiblingFailed);
        }
        if let Some(on_end) = &self.on_end {
            let _ = unwind::catch(|| on_end(&counts)).map_err(unwind::drop_quietly);
        }
    }

    /// A member has ended like that: whoever depends on the group, or on one above, is to know before
    /// it hears that all have ended.
    fn note_failure(&self, failure: &SkipCause) {
        let mut at = Some(self);
        while let Some(core) = at {
            core.state().failure.get_or_insert_with(|| failure.clone());
            at = core.parent.as_deref();
        }
    }

    /// A member may be off the list: tells those whom that concerns.
    fn after_removal(&self, mut state: MutexGuard<'_, State>) {
        let is_last = state.has_all_ended();
        let over = state.take_reached();
        drop(state);
        waiting::wake(over);
        if is_last {
            self.tell_parent(false);
        }
    }

    /// Something of the group is pending now, or nothing any more.
    fn tell_parent(&self, is_busy: bool) {
        let mut at = self.parent.as_deref();
        while let Some(parent) = at {
            let mut state = parent.state();
            let was_over = state.has_all_ended();
            state.busy_groups = if is_busy { state.busy_groups + 1 } else { state.busy_groups - 1 };
            let is_over = state.has_all_ended();
            let over = state.take_reached();
            drop(state);
            waiting::wake(over);
            at = if was_over == is_over { None } else { parent.parent.as_deref() };
        }
    }

    // ---- the end

    pub(super) fn is_closed(&self) -> bool {
        // Its members are told a little later.
        self.token.is_cancelled() || self.state().is_closed
    }

    pub(super) fn close(&self) {
        self.state().is_closed = true;
    }

    /// Closes the group and cancels its members, and the groups below.
    pub(super) fn cancel(&self, cause: CancelCause) {
        // Which calls back.
        self.token.cancel_with(cause);
    }

    fn cancel_members(&self, cause: &CancelCause) {
        let mut jobs: Vec<JobRef> = {
            let mut state = self.state();
            state.is_closed = true;
            state.cause.get_or_insert_with(|| cause.clone());
            state.members.all().filter_map(|(_, entry)| entry.job.clone()).collect()
        };
        // The latest first: those that wait for a slot before those that have one to give back.
        while let Some(job) = jobs.pop() {
            job.cancel_with(cause.clone());
        }
    }

    /// From now on results are dropped as they come.
    pub(super) fn discard(&self) {
        let (done, over) = {
            let mut state = self.state();
            state.discards = true;
            state.num_good = 0;
            (std::mem::take(&mut state.done), std::mem::take(&mut state.failed_elsewhere))
        };
        drop((done, over));
    }

    // ---- looking, waiting

    pub(super) fn statistics(&self) -> GroupStatistics {
        self.counts(&self.state())
    }

    /// Of this very moment: nothing else changes under the lock than how many run.
    fn counts(&self, state: &State) -> GroupStatistics {
        let mut counts = state.counts;
        // No more than that: see `started`.
        counts.running = self.running.load(Ordering::Relaxed).min(counts.queued);
        counts.queued -= counts.running;
        counts
    }

    /// The members that have not ended, the latest first.
    pub(super) fn pending(&self) -> Vec<(u64, JobRef)> {
        let state = self.state();
        let pending = state.members.all().rev();
        pending.filter_map(|(index, entry)| Some((index, entry.job.clone()?))).collect()
    }

    /// The next result in the order of the ends.
    pub(super) fn take(&self) -> Option<Done> {
        let mut state = self.state();
        let done = state.done.pop_front()?;
        state.num_good -= usize::from(done.is_good);
        Some(done)
    }

    /// Whether every member has ended, and every result is taken.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state();
        state.has_all_ended() && state.done.is_empty()
    }

    pub(super) fn is_reached(&self, until: Until) -> bool {
        self.state().is_reached(until)
    }

    pub(super) fn failed_elsewhere(&self) -> Vec<Elsewhere> {
        self.state().failed_elsewhere.clone()
    }

    /// Whether the calling thread works for a member, of this group or one below.
    pub(super) fn is_inside(&self) -> bool {
        is_inside_group(self.address())
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if let (Some(key), Some(registry)) = (self.timer.get(), self.registry()) {
            Board::of(&registry).timer().cancel(*key);
        }
    }
}
