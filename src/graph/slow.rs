//! Nodes that are out of the ordinary: something is said of them, something has failed, the run is
//! stopped or watched.

use super::drive::{Driver, NOBODY};
use super::error::NodeError;
use super::family::{Entry, Task};
use super::frozen::Flow;
use super::options::{Extra, Retry};
use super::rule::Decision;
use super::run::{At, RunCore, Tries, UNEVEN};
use super::state;
use crate::engine::clock;
use crate::engine::registry::Registry;
use crate::engine::sync::{AtomicBool, Mutex, Ordering, lock};
use crate::engine::unwind;
use crate::engine::worker::{Belonging, Worker};
use crate::job::{
    Board, CancelCause, CancelToken, Context, TimeoutPhase, submit_at, take_location_of,
};
use crate::policy::{Moment, Transience, seed_of};
use crate::time::{TimerKey, after};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Whether a node in this state is one to go on with when its last dependency has ended.
pub(super) fn may_begin(state: u8) -> bool {
    matches!(state, state::WAITING | state::CLAIMED | state::DOOMED | state::EXPIRED)
}

/// One dependency of a node has ended that may not wait for all. `true`: it is ours to go on with.
pub(super) fn arrive_eagerly(run: &RunCore, node: u32) -> bool {
    // AcqRel: of two who come at the same time the second sees the state of both dependencies.
    run.memory().buffers().pending[node as usize].fetch_sub(1, Ordering::AcqRel);
    match run.decide(node) {
        Decision::Run => claim(run, node, state::CLAIMED),
        Decision::Skip => claim(run, node, state::DOOMED),
        Decision::Wait => false,
    }
}

/// Moves a node on that has not begun. `false`: somebody else has.
pub(super) fn claim(run: &RunCore, node: u32, to: u8) -> bool {
    change(run, node, state::WAITING, to)
}

fn change(run: &RunCore, node: u32, from: u8, to: u8) -> bool {
    let state = &run.memory().buffers().states[node as usize];
    // AcqRel: as in `Memory::set_state`.
    state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

/// Takes a node that is ready through whatever is said of it.
pub(super) fn step(driver: &mut Driver<'_>, node: u32) -> u32 {
    let run = driver.run;
    let extra = run.graph.extra(node);
    match run.memory().state(node) {
        state::WAITING => {}
        // Decided upon, or at its time.
        state::CLAIMED | state::RETRYING => return begin(driver, node, extra),
        // What its body has started has ended.
        state::RUNNING => return end_deferred(driver, node, extra),
        state::DOOMED => return end_as(driver, node, state::SKIPPED),
        // Whoever comes first: the timer, or the last dependency.
        state::EXPIRED if change(run, node, state::EXPIRED, state::TIMED_OUT) => {
            return end_as(driver, node, state::TIMED_OUT);
        }
        _ => return NOBODY,
    }
    let is_contended = extra.is_some_and(Extra::is_contended);
    if run.is_stopped_for(extra) || driver.worker.is_none() {
        if is_contended && !claim(run, node, state::CLAIMED) {
            return step(driver, node);
        }
        return end(driver, node, cancelled(run));
    }
    let runs = run.decide(node) == Decision::Run;
    if !claim(run, node, if runs { state::CLAIMED } else { state::DOOMED }) {
        // Its time was up just now.
        return step(driver, node);
    }
    if runs { begin(driver, node, extra) } else { end_as(driver, node, state::SKIPPED) }
}

/// A node ends otherwise than by success, and there is no more to tell of it.
fn end_as(driver: &mut Driver<'_>, node: u32, state: u8) -> u32 {
    driver.run.mark(UNEVEN);
    driver.run.memory().set_state(node, state);
    driver.end(node)
}

fn cancelled(run: &RunCore) -> NodeError {
    let cause = lock(&run.notes).stop.clone();
    NodeError::Cancelled(cause.unwrap_or(CancelCause::Requested))
}

/// A node ends with an error.
fn end(driver: &mut Driver<'_>, node: u32, error: NodeError) -> u32 {
    let run = driver.run;
    let state = RunCore::state_of(&error);
    let is_expected = run.has(super::run::STOPPED) && matches!(error, NodeError::Cancelled(_));
    if !is_expected {
        driver.leave_alone();
        run.note_failure(node, error);
    }
    end_as(driver, node, state)
}

/// Runs a claimed node's body, here or where its priority says.
fn begin(driver: &mut Driver<'_>, node: u32, extra: Option<&Extra>) -> u32 {
    let run = driver.run;
    let Some(worker) = driver.worker.filter(|_| !run.is_stopped_for(extra)) else {
        return end(driver, node, cancelled(run));
    };
    if let Some(priority) = extra.and_then(|extra| extra.priority)
        && worker.level() != priority.level()
        && run.memory().state(node) == state::CLAIMED
    {
        driver.leave_alone();
        let entry = run.entry(Task::Nodes(vec![node]));
        // Not to be handed on again.
        run.memory().set_state(node, state::RETRYING);
        let entry = Arc::new(Mutex::new(Some(entry)));
        let handed = Handed(Arc::clone(&entry));
        match submit_at(worker.registry(), priority.level(), move || handed.run()) {
            Ok(()) => return NOBODY,
            // The pool takes no more jobs, but runs those that it has to their end: as this one.
            Err(_handed) if lock(&entry).take().is_some() => driver.keep_entry(),
            Err(_) => return NOBODY,
        }
    }
    call(driver, node, extra)
}

/// A node on its way through a lane. If the pool drops it there, its run is abandoned.
struct Handed(Arc<Mutex<Option<Entry>>>);

impl Handed {
    fn run(self) {
        let entry = lock(&self.0).take();
        Worker::with_current(|worker| match (worker, entry) {
            (Some(worker), Some(entry)) => Driver::drive_one(worker, entry),
            (None, Some(entry)) => Driver::abandon(entry),
            (_, None) => {}
        });
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        let entry = lock(&self.0).take();
        if let Some(entry) = entry {
            Driver::abandon(entry);
        }
    }
}

/// Calls a node's body.
fn call(driver: &mut Driver<'_>, node: u32, extra: Option<&Extra>) -> u32 {
    let run = driver.run;
    run.memory().set_state(node, state::RUNNING);
    if let Some(log) = &run.log {
        let stamp = &log[node as usize];
        let index = driver.worker.map_or(0, |worker| worker.index());
        stamp.worker.store(index, Ordering::Relaxed);
        if stamp.start.load(Ordering::Relaxed) == 0 {
            stamp.start.store(clock::ticks().max(1), Ordering::Relaxed);
        }
    }
    if let (Some(Retry::Policy(policy)), Some(worker)) =
        (extra.and_then(|extra| extra.retry.as_ref()), driver.worker)
        && !lock(&run.notes).attempts.contains_key(&node)
    {
        policy.begin(Board::of(worker.registry()).now());
    }
    let rec = &run.graph.recs[node as usize];
    // SAFETY: the node is claimed by us, so its body may be called for it (`frozen` I2).
    let body = || unwind::catch(|| unsafe { (rec.call)(&rec.word, run, node) });
    let limit = extra.and_then(|extra| extra.run_timeout);
    let is_shielded = extra.is_some_and(|extra| extra.is_shielded);
    if limit.is_none() && !is_shielded {
        let result = body().map_err(Driver::panicked);
        return after_call(driver, node, result, false);
    }
    let token = if is_shielded { CancelToken::new() } else { run.token.child() };
    // SAFETY: whoever began the run waits for it, if that has a context.
    let outer = unsafe { run.outer.cast::<Context<'_>>().as_ref() };
    let context = Context::of_piece(&token, outer.filter(|_| !is_shielded));
    let timer = limit.map(|limit| Alarm::set(driver, &token, limit));
    let belonging = Belonging::enter(context.as_ptr());
    let result = body().map_err(Driver::panicked);
    drop(belonging);
    drop(take_location_of(context.address()));
    let is_late = timer.is_some_and(Alarm::take_down);
    after_call(driver, node, result, is_late)
}

/// Cancels a token after a time.
struct Alarm {
    timer: Option<(Arc<Registry>, TimerKey)>,
    has_rung: Arc<AtomicBool>,
}

impl Alarm {
    fn set(driver: &Driver<'_>, token: &CancelToken, limit: Duration) -> Alarm {
        let has_rung = Arc::new(AtomicBool::new(false));
        let Some(worker) = driver.worker else { return Alarm { timer: None, has_rung } };
        let registry = worker.registry().to_arc();
        let (rings, token, pool) =
            (Arc::clone(&has_rung), token.clone(), Arc::downgrade(&registry));
        let at = after(Board::of(&registry).now(), limit);
        let key = Board::of(&registry).timer().insert(at, move || {
            // Before the cancel, which the body sees. Relaxed: it is read after a lock was taken.
            rings.store(true, Ordering::Relaxed);
            token.cancel_with(CancelCause::Deadline);
            if let Some(registry) = pool.upgrade() {
                registry.ask_all_to_check();
            }
        });
        Alarm { timer: Some((registry, key)), has_rung }
    }

    /// Takes it down. Whether it has rung.
    fn take_down(self) -> bool {
        if let Some((registry, key)) = &self.timer {
            Board::of(registry).timer().cancel(*key);
        }
        self.has_rung.load(Ordering::Relaxed)
    }
}

/// A body has returned, or unwound. `is_late`: after its time.
pub(super) fn after_call(
    driver: &mut Driver<'_>,
    node: u32,
    result: Result<Flow, NodeError>,
    is_late: bool,
) -> u32 {
    let run = driver.run;
    if let Some(log) = &run.log {
        log[node as usize].end.store(clock::ticks().max(1), Ordering::Relaxed);
    }
    let error = match result {
        Ok(Flow::Failed) => lock(&run.notes).errors.remove(&node),
        Ok(Flow::Done) => None,
        Err(error) => Some(error),
    };
    let error = match error {
        None if is_late => {
            // SAFETY: written by the body just now, and its state does not say so.
            unsafe { run.memory().discard(node) };
            Some(NodeError::TimedOut(TimeoutPhase::Running))
        }
        Some(NodeError::Cancelled(_)) if is_late => {
            Some(NodeError::TimedOut(TimeoutPhase::Running))
        }
        error => error,
    };
    let children = {
        let mut notes = lock(&run.notes);
        notes.children.get_mut(&node).map(|children| {
            children.body_is_done = true;
            if let Some(error) = &error {
                children.has_failed.get_or_insert_with(|| error.clone());
            }
            children.running.clone()
        })
    };
    match children {
        Some(children) if !children.is_empty() => {
            driver.leave_alone();
            if error.is_some() {
                children.iter().for_each(|child| child.stop(CancelCause::SiblingFailed));
            }
            // The last of them comes back for the node.
            NOBODY
        }
        Some(_) => end_deferred(driver, node, run.graph.extra(node)),
        None => settle(driver, node, error),
    }
}

/// All that a node's body has started has ended, and the body, too.
fn end_deferred(driver: &mut Driver<'_>, node: u32, _: Option<&Extra>) -> u32 {
    let run = driver.run;
    let children = lock(&run.notes).children.remove(&node);
    let Some(children) = children else { return NOBODY };
    if let Some(log) = &run.log {
        log[node as usize].end.store(clock::ticks().max(1), Ordering::Relaxed);
    }
    settle(driver, node, children.has_failed)
}

/// A node has done what it could: it has succeeded, or there is an error.
fn settle(driver: &mut Driver<'_>, node: u32, error: Option<NodeError>) -> u32 {
    let run = driver.run;
    let Some(error) = error else {
        run.memory().set_state(node, state::SUCCEEDED);
        run.memory().let_go(node);
        return driver.end(node);
    };
    let extra = run.graph.extra(node);
    if let NodeError::Cancelled(cause) = &error
        && !run.has(super::run::STOPPED)
        && run.is_told_to_stop()
    {
        driver.leave_alone();
        run.stop(cause.clone());
    }
    if matches!(error, NodeError::Cancelled(_)) {
        return end(driver, node, error);
    }
    if let Some(delay) = next_attempt(run, node, extra, &error) {
        // An error is the user's, and so is its destructor.
        unwind::drop_quietly(error);
        return put_off(driver, node, delay);
    }
    if let Some(fallback) = extra.and_then(|extra| extra.fallback.as_ref()) {
        match unwind::catch(|| fallback(&error, At { run, node })) {
            Ok(()) => {
                let mut notes = lock(&run.notes);
                notes.fell_back.push(node);
                notes.errors.insert(node, error);
                drop(notes);
                run.memory().set_state(node, state::SUCCEEDED);
                run.memory().let_go(node);
                return driver.end(node);
            }
            Err(payload) => return end(driver, node, Driver::panicked(payload)),
        }
    }
    end(driver, node, error)
}

/// How long until a node that has failed runs again, if it does.
fn next_attempt(
    run: &RunCore,
    node: u32,
    extra: Option<&Extra>,
    error: &NodeError,
) -> Option<Duration> {
    let retry = extra?.retry.as_ref()?;
    let registry = run.family.registry()?;
    if run.is_stopped_for(extra) || Board::of(&registry).is_discarding() {
        return None;
    }
    let (attempt, mut progress) = {
        let mut notes = lock(&run.notes);
        let tries = notes.attempts.entry(node).or_default();
        tries.count = tries.count.max(1);
        (tries.count, std::mem::take(&mut tries.progress))
    };
    let delay = match retry {
        // The user's code, and so outside of the lock.
        Retry::With(f) => unwind::catch(|| f(attempt, error)).unwrap_or_else(|payload| {
            unwind::drop_quietly(payload);
            None
        }),
        Retry::Policy(policy) => {
            if matches!(error, NodeError::Panicked(_)) && !policy.retries_panics() {
                return None;
            }
            let now = Board::of(&registry).now();
            let (begun, deadline) = (run.begun, run.token.deadline());
            let seed = seed_of(u64::from(run.graph.id) << 32 | u64::from(node));
            let moment = Moment { attempt, now, begun, deadline, seed };
            // A backoff may be the user's code.
            let next = unwind::catch(|| policy.next(&mut progress, Transience::Transient, &moment));
            let next = next.map_err(unwind::drop_quietly).ok()?;
            next.and_then(|delay| policy.spend(now).map(|()| delay)).ok()
        }
    }?;
    let mut notes = lock(&run.notes);
    notes.attempts.insert(node, Tries { count: attempt + 1, progress });
    Some(delay)
}

/// A node runs again after a time. Meanwhile it holds nothing but its place in the run.
fn put_off(driver: &mut Driver<'_>, node: u32, delay: Duration) -> u32 {
    let run = driver.run;
    run.memory().set_state(node, state::RETRYING);
    let Some(worker) = driver.worker.filter(|_| !delay.is_zero()) else {
        driver.stack.push(node);
        return NOBODY;
    };
    driver.leave_alone();
    {
        let mut notes = lock(&run.notes);
        if notes.stop.is_some() && run.is_to_be_stopped(run.graph.extra(node)) {
            // It was stopped since we looked, by somebody who has not seen us: it ends at once.
            driver.stack.push(node);
            return NOBODY;
        }
        // Listed first: what happens to the timer from now on finds it there.
        notes.retrying.push((node, None));
    }
    let ticket = Ticket { run: run.to_weak(), node };
    let board = Board::of(worker.registry());
    let timer = board.timer();
    let key = timer.insert(after(board.now(), delay), move || ticket.fire());
    let is_listed = {
        let mut notes = lock(&run.notes);
        let listed = notes.retrying.iter_mut().find(|(waiting, _)| *waiting == node);
        listed.map(|(_, noted)| *noted = Some(key)).is_some()
    };
    if !is_listed {
        // It has fired; or somebody who did not know the key has taken the node off the list.
        timer.cancel(key);
    } else if board.is_discarding() {
        // The pool may have looked for what waits before we were listed.
        run.abandon_if_waiting();
    }
    NOBODY
}

/// A node that is with the timer. Whoever takes it off the list has it go on.
struct Ticket {
    run: Weak<RunCore>,
    node: u32,
}

impl Ticket {
    /// The run, if the node is ours.
    fn claim(&self) -> Option<Arc<RunCore>> {
        let run = self.run.upgrade()?;
        let is_ours = {
            let mut notes = lock(&run.notes);
            let at = notes.retrying.iter().position(|(node, _)| *node == self.node);
            at.map(|at| notes.retrying.swap_remove(at)).is_some()
        };
        is_ours.then_some(run)
    }

    fn fire(mut self) {
        if let Some(run) = self.claim() {
            // The node may come back to the list: this ticket is done with it.
            self.run = Weak::new();
            run.resume(self.node);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(run) = self.claim() {
            // The timer is no more, and so neither is the pool.
            Driver::abandon(run.entry(Task::Nodes(vec![self.node])));
        }
    }
}

/// The time is up by which a node was to have begun.
pub(super) fn expire(run: &RunCore, node: u32) {
    // The entry holds the run up: until then it may end at any moment.
    let Some(mut entry) = run.entry_if_not_ended() else { return };
    if claim(run, node, state::EXPIRED) {
        run.mark(UNEVEN);
        run.note_failure(node, NodeError::TimedOut(TimeoutPhase::Queued));
        entry.task = Task::Expired(node);
    }
    Arc::clone(&run.family).publish(entry);
}
