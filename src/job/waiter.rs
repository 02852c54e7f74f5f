//! Who waits for the end of something, and how they are told: a thread, or a task.
//!
//! A waker is the user's code: it is cloned, woken and dropped outside of every lock, and what it
//! throws reaches nobody.
#![forbid(unsafe_code)]

use super::life::Continue;
use crate::engine::latch::Latch;
use crate::engine::park::Parker;
use crate::engine::registry::Registry;
use crate::engine::sync::{Mutex, Ordering, fence, lock};
use crate::engine::unwind;
use crate::engine::wait;
use crate::engine::worker::Worker;
use std::sync::Weak;
use std::task::Waker;
use std::time::Instant;

/// A thread that blocks until it is told, once.
pub(crate) struct Waiter {
    latch: Latch,
    /// The seat of a worker that waits. Its pool may end as soon as it does.
    seat: Mutex<Option<(Weak<Registry>, u32)>>,
    /// For a thread that is no worker.
    parker: Parker,
}

impl Waiter {
    pub(crate) fn new() -> Self {
        Waiter { latch: Latch::new(), seat: Mutex::new(None), parker: Parker::new() }
    }

    /// Tells the thread. The caller has a share of the waiter, which therefore outlives the call.
    pub(crate) fn tell(&self) {
        if self.latch.set_shared() {
            let seat = lock(&self.seat).take();
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
    }

    /// Blocks until it is told or the time is up. A worker lends its place to others meanwhile.
    #[track_caller]
    pub(crate) fn block(&self, deadline: Option<Instant>) {
        #[cfg(all(feature = "tokio", not(loom)))]
        crate::bridge::tokio::note_blocking_wait();
        Worker::with_current(|worker| {
            // It may be told just now, and look where we sit, after an earlier wait elsewhere.
            let seat = worker.map(|worker| (worker.registry().to_weak(), worker.index()));
            *lock(&self.seat) = seat;
            match worker {
                Some(worker) => worker.wait_for_latch(&self.latch, deadline),
                None => wait::park(&self.latch, &self.parker, deadline),
            }
        });
    }

    /// Makes a worker that is in [`block_or_work`](Self::block_or_work) look for work. What it shall
    /// find is visible to it.
    pub(crate) fn nudge(&self) {
        // Pairs with the fence in `Worker::park_on`: it sees the work, or we see it parked.
        fence(Ordering::SeqCst);
        if self.latch.nudge() {
            let seat = lock(&self.seat).clone();
            if let Some((registry, seat)) = seat
                && let Some(registry) = registry.upgrade()
            {
                registry.unpark(seat);
            }
        }
    }

    /// As [`block`](Self::block), for a worker; returns also when there is work, or when it is nudged.
    pub(crate) fn block_or_work(&self, has_work: impl Fn() -> bool) {
        Worker::with_current(|worker| {
            let worker = worker.expect("called by a worker");
            *lock(&self.seat) = Some((worker.registry().to_weak(), worker.index()));
            if worker.has_broadcast() {
                worker.run_broadcasts();
            }
            worker.registry().check_not_forked();
            worker.park_on(&self.latch, has_work);
        });
    }
}

impl Continue for Waiter {
    fn go_on(&self) {
        self.tell();
    }
}

/// The task that waits for something: the last one that has asked.
pub(crate) struct Task(Mutex<Option<Waker>>);

impl Task {
    pub(crate) fn new(waker: &Waker) -> Self {
        Task(Mutex::new(Some(waker.clone())))
    }

    /// From now on this one is to be woken.
    pub(crate) fn set(&self, waker: &Waker) {
        if lock(&self.0).as_ref().is_some_and(|known| known.will_wake(waker)) {
            return;
        }
        let waker = waker.clone();
        let old = lock(&self.0).replace(waker);
        drop_waker(old);
    }

    /// Wakes the task, if nobody has since it was last set.
    pub(crate) fn wake(&self) {
        let waker = lock(&self.0).take();
        wake(waker);
    }

    /// Nobody waits any more.
    pub(crate) fn clear(&self) {
        let waker = lock(&self.0).take();
        drop_waker(waker);
    }
}

impl Continue for Task {
    fn go_on(&self) {
        self.wake();
    }
}

/// Wakes a task. The caller holds no lock.
pub(crate) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        let _ = unwind::catch(|| waker.wake()).map_err(unwind::drop_quietly);
    }
}

/// Drops a waker. The caller holds no lock.
pub(crate) fn drop_waker(waker: Option<Waker>) {
    if waker.is_some() {
        unwind::drop_quietly(waker);
    }
}
