//! `scope`: any number of tasks that may borrow from the caller.
//!
//! A scope has its own queue. Thieves find it by a *beacon*: a job in a worker's lane that says
//! "this scope has tasks". One beacon stands for all of them, and whoever takes it puts up another
//! if more than one task is left; so a task costs no trip through a deque, and the waiting owner,
//! which may run nothing but this scope's tasks (L2), finds them in one place.

use super::task::Ranked;
use crate::engine::clock;
use crate::engine::job::JobRef;
use crate::engine::latch::Latch;
use crate::engine::registry::Registry;
use crate::engine::signal::FirstPanic;
use crate::engine::sync::{AtomicUsize, Mutex, Ordering, lock, spin_loop};
use crate::engine::unwind;
use crate::engine::worker::{Belonging, Worker, context};
use crate::pool::{Pool, with_current_registry};
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// How long the owner spins for the last task before it parks, in microseconds.
const WAIT_US: u64 = 50;

/// The handle by which tasks are spawned into a scope. See [`scope`].
pub struct Scope<'scope> {
    core: Arc<Core>,
    /// Invariant in `'scope`, so that nobody can shorten it and spawn what does not live long
    /// enough.
    marker: PhantomData<fn(&'scope ()) -> &'scope ()>,
}

struct Core {
    registry: *const Registry,
    /// The seat that waits.
    owner: u32,
    /// Tasks that are not finished, plus one for the body.
    pending: AtomicUsize,
    latch: Latch,
    queue: Mutex<Queue>,
    panic: FirstPanic,
    /// What the scope belongs to, and with it all of its tasks.
    context: *const (),
}

// SAFETY: the registry pointer is used only while a task is pending or the body runs, when the
// owner's seat keeps the registry alive, and by beacons, which run on that registry's own workers.
// What `context` points to is used by tasks, and outlives the call of `scope`.
// The rest is Sync.
unsafe impl Send for Core {}
// SAFETY: as above.
unsafe impl Sync for Core {}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<JobRef>,
    /// Those that have a level of their own.
    ranked: Ranked,
    /// Beacons that are in some lane.
    beacons: usize,
}

impl Queue {
    /// The next task: `pop` takes it of those that have no level of their own.
    #[inline]
    fn pop(&mut self, pop: fn(&mut VecDeque<JobRef>) -> Option<JobRef>) -> Option<JobRef> {
        if self.ranked.is_empty() {
            return pop(&mut self.tasks);
        }
        self.ranked.pop(self.tasks.is_empty()).or_else(|| pop(&mut self.tasks))
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.ranked.is_empty()
    }
}

/// Runs `f` with a [`Scope`], and waits for every task that was spawned into it.
///
/// Tasks may borrow whatever outlives the call. They start in no particular order: the owner takes
/// the latest, other workers the oldest. Called outside of a pool, it uses [`Pool::global`].
///
/// # Panics
/// If `f` or a task panics, after everything in the scope has finished, with the payload of the
/// first panic in time. The others are dropped.
///
/// # Blocking
/// Until all tasks are finished. Meanwhile the thread runs tasks of this very scope, and nothing
/// else.
///
/// # Examples
/// ```
/// let mut parts = [0; 3];
/// windlass::scope(|s| {
///     for (i, part) in parts.iter_mut().enumerate() {
///         s.spawn(move |_| *part = i * i);
///     }
/// });
/// assert_eq!(parts, [0, 1, 4]);
/// ```
///
/// What a task borrows must outlive the scope:
/// ```compile_fail,E0597
/// windlass::scope(|s| {
///     let local = 1;
///     s.spawn(|_| assert_eq!(local, 1));
/// });
/// ```
/// Nor may two tasks write the same place:
/// ```compile_fail,E0499
/// let mut n = 0;
/// windlass::scope(|s| {
///     s.spawn(|_| n += 1);
///     s.spawn(|_| n += 1);
/// });
/// ```
pub fn scope<'scope, R: Send>(f: impl FnOnce(&Scope<'scope>) -> R + Send) -> R {
    with_current_registry(|registry| registry.enter(|worker| run(worker, f)))
}

impl Pool {
    /// [`scope`](crate::scope()) in this pool.
    ///
    /// # Panics
    /// As [`scope`](crate::scope()) and [`install`](Pool::install).
    ///
    /// # Blocking
    /// As [`scope`](crate::scope()) and [`install`](Pool::install).
    pub fn scope<'scope, R: Send>(&self, f: impl FnOnce(&Scope<'scope>) -> R + Send) -> R {
        self.registry().enter(|worker| run(worker, f))
    }
}

fn run<'scope, R>(worker: &Worker, f: impl FnOnce(&Scope<'scope>) -> R) -> R {
    let core = Arc::new(Core {
        registry: worker.registry(),
        owner: worker.index(),
        pending: AtomicUsize::new(1),
        latch: Latch::new(),
        queue: Mutex::new(Queue::default()),
        panic: FirstPanic::default(),
        context: context(),
    });
    let scope = Scope { core, marker: PhantomData };
    // Caught, because tasks that borrow from the frames above may still run (L8).
    let result = unwind::catch(|| f(&scope)).map_err(|payload| scope.core.panic.keep(payload));
    scope.core.wait(worker);
    match (scope.core.panic.take(), result) {
        (None, Ok(value)) => value,
        (Some(payload), result) => {
            unwind::drop_quietly(result);
            std::panic::resume_unwind(payload)
        }
        (None, Err(())) => unreachable!("a payload was kept"),
    }
}

impl<'scope> Scope<'scope> {
    /// Spawns a task, which may run on any worker, from now on until the scope ends.
    ///
    /// The task gets the scope, so that it can spawn further tasks.
    pub fn spawn(&self, f: impl FnOnce(&Scope<'scope>) + Send + 'scope) {
        self.spawn_at(None, f);
    }

    /// Spawns a task, with a level of its own or without.
    #[inline]
    pub(super) fn spawn_at(
        &self,
        level: Option<u8>,
        f: impl FnOnce(&Scope<'scope>) + Send + 'scope,
    ) {
        let scope: *const Scope<'scope> = self;
        self.core.pending.fetch_add(1, Ordering::Relaxed);
        self.core.push(level, Task { f, scope: scope.cast() }.into_job());
    }
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = self.core.pending.load(Ordering::Relaxed);
        f.debug_struct("Scope").field("pending", &pending).finish_non_exhaustive()
    }
}

/// A spawned task, boxed.
struct Task<F> {
    f: F,
    scope: *const (),
}

impl<F> Task<F> {
    fn into_job<'scope>(self) -> JobRef
    where
        F: FnOnce(&Scope<'scope>) + Send + 'scope,
    {
        JobRef { data: Box::into_raw(Box::new(self)).cast_const().cast(), run: Self::run }
    }

    /// # Safety
    /// `data` came from `into_job`, is run once, and its scope has not ended: it is pending.
    unsafe fn run<'scope>(data: *const (), _: &Worker)
    where
        F: FnOnce(&Scope<'scope>) + Send + 'scope,
    {
        // SAFETY: by contract.
        let task = unsafe { Box::from_raw(data.cast_mut().cast::<Self>()) };
        // SAFETY: the scope waits for us, also when its body has unwound, so it is live until
        // `finish`.
        let scope = unsafe { &*task.scope.cast::<Scope<'scope>>() };
        let Task { f, .. } = *task;
        let belonging = Belonging::enter(scope.core.context);
        if let Err(payload) = unwind::catch(|| f(scope)) {
            scope.core.panic.keep(payload);
        }
        drop(belonging);
        let core: *const Core = &raw const *scope.core;
        // SAFETY: whoever runs tasks holds an Arc of the core: the owner, or a beacon. The scope
        // itself may be gone after this (L7).
        unsafe { (*core).finish() };
    }
}

impl Core {
    fn registry(&self) -> &Registry {
        // SAFETY: see the note at `impl Send`.
        unsafe { &*self.registry }
    }

    /// One of `pending` is done; the last one sets the latch.
    fn finish(&self) {
        // Release: what the task wrote is visible to the owner; Acquire for the last, who passes it
        // on.
        if self.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: the caller holds an Arc of this core.
            if unsafe { Latch::set(&raw const self.latch) } {
                self.registry().unpark(self.owner);
            }
        }
    }

    fn push(self: &Arc<Self>, level: Option<u8>, task: JobRef) {
        let registry = self.registry();
        let mut queue = lock(&self.queue);
        match level {
            None => queue.tasks.push_back(task),
            Some(level) => queue.ranked.push(level, task),
        }
        // Whatever it is worth: a spawn, unlike a fork, says that the task shall start, and what
        // comes next in the scope may count on that.
        let beacon = queue.beacons == 0;
        queue.beacons += usize::from(beacon);
        drop(queue);
        if beacon {
            self.put_up_beacon();
        }
        // The owner may be waiting already, and this task be spawned by another one.
        if self.latch.nudge() {
            registry.unpark(self.owner);
        }
    }

    /// Tells the pool that there are tasks. The beacon is counted already.
    fn put_up_beacon(self: &Arc<Self>) {
        let data = Arc::into_raw(Arc::clone(self)).cast();
        let beacon = JobRef { data, run: Core::follow };
        let registry = self.registry();
        Worker::with_seat_in(registry, |seat| match seat {
            Some(worker) => {
                worker.push_lane(beacon);
                registry.notify();
            }
            // `Scope` is Sync, so a thread that is not in the pool may spawn as well.
            None => registry.inject(beacon),
        });
    }

    /// Follows a beacon: runs tasks until there are none.
    ///
    /// # Safety
    /// `data` is the raw Arc of a core, given away by `put_up_beacon`.
    unsafe fn follow(data: *const (), worker: &Worker) {
        // SAFETY: by contract.
        let core = unsafe { Arc::from_raw(data.cast::<Core>()) };
        // It is taken down: while we run a task, only a new one calls others to those that are left.
        lock(&core.queue).beacons -= 1;
        loop {
            let mut queue = lock(&core.queue);
            let Some(task) = queue.pop(VecDeque::pop_front) else { return };
            let more = !queue.is_empty() && queue.beacons == 0;
            queue.beacons += usize::from(more);
            drop(queue);
            if more {
                core.put_up_beacon();
            }
            worker.run_plain(task);
        }
    }

    /// The owner's wait.
    fn wait(self: &Arc<Self>, worker: &Worker) {
        let registry = self.registry();
        self.finish();
        let mut start = clock::ticks();
        loop {
            let mut queue = lock(&self.queue);
            if let Some(task) = queue.pop(VecDeque::pop_back) {
                drop(queue);
                worker.run_plain(task);
                start = clock::ticks();
                continue;
            }
            drop(queue);
            if self.latch.probe() {
                break;
            }
            if worker.has_broadcast() {
                worker.run_broadcasts();
            }
            if clock::since(start) < registry.us(WAIT_US) && !cfg!(shuttle) {
                spin_loop();
                continue;
            }
            registry.check_not_forked();
            worker.park_on(&self.latch, || !lock(&self.queue).is_empty());
            start = clock::ticks();
        }
        let beacons = lock(&self.queue).beacons;
        if beacons > 0 {
            self.take_beacon_down(worker);
        }
    }

    /// A beacon that nobody has followed is most likely the newest job in our lane.
    fn take_beacon_down(self: &Arc<Self>, worker: &Worker) {
        let Some(job) = worker.pop_lane() else { return };
        if std::ptr::eq(job.data, Arc::as_ptr(self).cast()) {
            // SAFETY: the Arc that this beacon held.
            drop(unsafe { Arc::from_raw(job.data.cast::<Core>()) });
        } else {
            worker.push_lane(job);
        }
    }
}
