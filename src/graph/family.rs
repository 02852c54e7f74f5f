//! A run and the runs that its nodes have started: what they have made public for other workers,
//! and who waits for them.
//!
//! Ready nodes are private to the worker that made them ready, until somebody wants work. Then some
//! go into the family's queue, and a *beacon* into the worker's lane, as in a scope: it says "this
//! family has work", and whoever follows it puts up another one if more is left.
//!
//! I1. While the queue is not empty a beacon is up, or somebody is about to put one up; so what is
//!     in the queue is found.
//! I2. What is left to do of a run that has not ended is with a driver, in the queue of its family,
//!     or with a timer or a lane of jobs, which abandon it if they go. So it ends.
//! I3. The one who waits, runs entries of this family and nothing else (L2).

use super::drive::{Driver, is_others_turn};
use super::run::RunRef;
use crate::engine::clock;
use crate::engine::job::JobRef;
use crate::engine::lanes::FOREIGN_LEVEL;
use crate::engine::latch::Latch;
use crate::engine::park::Parker;
use crate::engine::registry::Registry;
use crate::engine::sync::{AtomicBool, Mutex, Ordering, lock, spin_loop};
use crate::engine::unwind;
use crate::engine::wait;
use crate::engine::worker::Worker;
use crate::job::{Board, submit_at};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::task::Waker;

/// How long a waiting worker spins before it parks, in microseconds.
const WAIT_US: u64 = 50;
/// A worker that was called to a family turns to other jobs after so long, in microseconds, if such
/// wait. As long as low work makes way for higher lanes.
const TURN_US: u64 = 10_000;

/// What can be done for a run.
pub(super) enum Task {
    /// Nodes that are ready, the best one last.
    Nodes(Vec<u32>),
    /// The roots that nobody has begun.
    Roots,
    /// A node whose time to begin was up. It may have been told of its last dependency by now, and
    /// have ended: the run waits for the entry, too.
    Expired(u32),
}

/// Something public.
pub(super) struct Entry {
    pub(super) run: RunRef,
    pub(super) task: Task,
}

/// See the module.
pub(super) struct Family {
    registry: Weak<Registry>,
    /// At which it is done.
    level: u8,
    queue: Mutex<Queue>,
    /// Whether a beacon is up: a hint for drivers, to look at without the lock.
    is_public: AtomicBool,
    /// Set when the first run of the family has ended.
    pub(super) latch: Latch,
    /// The seat of the worker that waits for it.
    seat: Mutex<Option<(Weak<Registry>, u32)>>,
    /// For a waiting thread that is no worker.
    parker: Parker,
    pub(super) waker: Mutex<Option<Waker>>,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// Beacons that are in some lane.
    beacons: usize,
}

impl Family {
    pub(super) fn new(registry: &Registry, level: u8) -> Arc<Family> {
        Arc::new(Family {
            registry: registry.to_weak(),
            level,
            queue: Mutex::new(Queue::default()),
            is_public: AtomicBool::new(false),
            latch: Latch::new(),
            seat: Mutex::new(None),
            parker: Parker::new(),
            waker: Mutex::new(None),
        })
    }

    /// The pool, if it still exists.
    pub(super) fn registry(&self) -> Option<Arc<Registry>> {
        self.registry.upgrade()
    }

    /// Whether there is something that others may take. A hint.
    #[inline(always)]
    pub(super) fn is_public(&self) -> bool {
        self.is_public.load(Ordering::Relaxed)
    }

    /// Makes an entry public. Without a pool it is done at once: its run is abandoned.
    pub(super) fn publish(self: &Arc<Self>, entry: Entry) {
        self.publish_somewhere(entry, false);
    }

    /// As [`Self::publish`], behind the jobs that wait.
    pub(super) fn publish_behind(self: &Arc<Self>, entry: Entry) {
        self.publish_somewhere(entry, true);
    }

    fn publish_somewhere(self: &Arc<Self>, entry: Entry, behind: bool) {
        let Some(registry) = self.registry() else { return Driver::abandon(entry) };
        let mut queue = lock(&self.queue);
        queue.entries.push_back(entry);
        let beacon = queue.beacons == 0 || behind;
        queue.beacons += usize::from(beacon);
        // Relaxed: a hint.
        self.is_public.store(true, Ordering::Relaxed);
        drop(queue);
        if beacon {
            self.put_up_beacon(&registry, behind);
        }
        // The one who waits may do it, and may do nothing else.
        if self.latch.nudge() {
            self.unpark();
        }
    }

    /// Tells the pool that there is work. The beacon is counted already.
    fn put_up_beacon(self: &Arc<Self>, registry: &Registry, behind: bool) {
        let put_up = |seat: Option<&Worker>| {
            let data = Arc::into_raw(Arc::clone(self)).cast();
            let beacon = JobRef { data, run: Family::follow };
            match seat {
                Some(worker) => {
                    worker.push_lane(beacon);
                    registry.notify();
                }
                None => registry.inject(beacon),
            }
        };
        Worker::with_seat_in(registry, |seat| match seat {
            // What is found with a worker is done at the level of that worker's work.
            Some(worker) if worker.level() == self.level && !behind => put_up(Some(worker)),
            _ if self.level == FOREIGN_LEVEL && !behind => put_up(None),
            // What comes from outside would be taken before the jobs that wait.
            _ => {
                let family = Arc::clone(self);
                if submit_at(registry, self.level, move || family.follow_here()).is_err() {
                    // The pool takes no more jobs, but runs those that it has to their end.
                    put_up(None);
                }
            }
        });
    }

    /// Takes an entry, and says whether another beacon is to be put up for what is left.
    fn take(&self, beacons_down: usize) -> (Option<Entry>, bool) {
        let mut queue = lock(&self.queue);
        queue.beacons -= beacons_down;
        let entry = queue.entries.pop_front();
        let more = !queue.entries.is_empty() && queue.beacons == 0;
        queue.beacons += usize::from(more);
        if queue.entries.is_empty() {
            self.is_public.store(false, Ordering::Relaxed);
        }
        (entry, more)
    }

    fn take_one(self: &Arc<Self>, registry: &Registry, beacons_down: usize) -> Option<Entry> {
        let (entry, more) = self.take(beacons_down);
        if more {
            self.put_up_beacon(registry, false);
        }
        entry
    }

    /// Follows a beacon: does what there is.
    ///
    /// # Safety
    /// `data` is the raw Arc of a family, given away by `put_up_beacon`.
    unsafe fn follow(data: *const (), worker: &Worker) {
        // SAFETY: by contract.
        unsafe { Arc::from_raw(data.cast::<Family>()) }.follow_on(worker);
    }

    /// As `follow`, for a job that stands for a beacon.
    fn follow_here(self: &Arc<Self>) {
        Worker::with_current(|worker| worker.map(|worker| self.follow_on(worker)));
    }

    fn follow_on(self: &Arc<Self>, worker: &Worker) {
        let registry = worker.registry();
        let until = clock::ticks().saturating_add(registry.us(TURN_US));
        let mut next = self.take_one(registry, 1);
        while let Some(entry) = next {
            if entry.run.is_job
                && entry.run.next_root.load(Ordering::Relaxed) == 0
                && Board::of(registry).is_discarding()
            {
                // It has not begun, and never does.
                Driver::abandon(entry);
            } else if !Driver::follow(worker, entry, until) {
                return;
            }
            if is_others_turn(worker, until) {
                return self.wait_behind(registry);
            }
            next = self.take_one(registry, 0);
        }
    }

    /// Sees to it that what is public is found behind the jobs that wait.
    fn wait_behind(self: &Arc<Self>, registry: &Registry) {
        let mut queue = lock(&self.queue);
        let beacon = !queue.entries.is_empty();
        queue.beacons += usize::from(beacon);
        drop(queue);
        if beacon {
            self.put_up_beacon(registry, true);
        }
    }

    /// The first run of the family has ended, and nobody will use the family but to wait.
    pub(super) fn finish(self: &Arc<Self>) {
        // SAFETY: we hold an Arc.
        if unsafe { Latch::set(&raw const self.latch) } {
            self.unpark();
        }
        if let Some(waker) = lock(&self.waker).take() {
            // A waker is the user's code.
            let _ = unwind::catch(|| waker.wake()).map_err(unwind::drop_quietly);
        }
    }

    fn unpark(&self) {
        let seat = lock(&self.seat).clone();
        match seat {
            None => self.parker.unpark(),
            Some((registry, seat)) => {
                // Gone: then nobody waits there any more.
                if let Some(registry) = registry.upgrade() {
                    registry.unpark(seat);
                }
            }
        }
    }

    /// The calling thread, on this worker, will wait.
    pub(super) fn sit(&self, worker: &Worker) {
        *lock(&self.seat) = Some((worker.registry().to_weak(), worker.index()));
    }

    /// Waits until the first run has ended. A worker of the pool does what there is to do for it.
    pub(super) fn wait(self: &Arc<Self>) {
        Worker::with_current(|worker| {
            *lock(&self.seat) = worker.map(|worker| (worker.registry().to_weak(), worker.index()));
            match worker {
                None => {
                    if !wait::spin(|| self.latch.probe()) {
                        wait::park(&self.latch, &self.parker, None);
                    }
                }
                Some(worker) if std::ptr::eq(self.registry.as_ptr(), worker.registry()) => {
                    self.help_and_wait(worker);
                }
                Some(worker) => worker.wait_for_latch(&self.latch, None),
            }
        });
    }

    fn help_and_wait(self: &Arc<Self>, worker: &Worker) {
        let registry = worker.registry();
        let mut start = clock::ticks();
        loop {
            if let Some(entry) = self.take_one(registry, 0) {
                Driver::help(worker, entry);
                start = clock::ticks();
                continue;
            }
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
            worker.park_on(&self.latch, || !lock(&self.queue).entries.is_empty());
            start = clock::ticks();
        }
        if lock(&self.queue).beacons > 0 {
            self.take_beacon_down(worker);
        }
    }

    /// A beacon that nobody has followed is most likely the newest job in our lane.
    fn take_beacon_down(self: &Arc<Self>, worker: &Worker) {
        let Some(job) = worker.pop_lane() else { return };
        if std::ptr::eq(job.data, Arc::as_ptr(self).cast()) {
            // SAFETY: the Arc that this beacon held.
            drop(unsafe { Arc::from_raw(job.data.cast::<Family>()) });
        } else {
            worker.push_lane(job);
        }
    }
}
