//! Waiting for something that any thread may finish: neither a fork nor a scope's tasks.

use super::clock;
use super::latch::Latch;
use super::park::Parker;
use super::sync::{self, fence};
use super::sync::{Ordering, thread};
use super::worker::Worker;
use std::time::{Duration, Instant};

/// Up to so many pauses between two looks before it yields, and so often again before it gives up:
/// together some microseconds, which is less than parking and being woken costs.
const PAUSES: u32 = 64;
const YIELDS: u32 = 8;
/// The most pauses before the second look at what was begun long ago, while which some hundred of the
/// quickest jobs are run; and of how many ticks one is worth a pause, so that they are a small share of
/// the time that has passed.
const FAR: u32 = 256;
const SHARE: u64 = 1 << 10;

/// More than all that takes, on the slowest machine.
pub(crate) const SPIN: Duration = Duration::from_micros(50);

/// Waits a little. `true`: it is done.
pub(crate) fn spin(is_done: impl Fn() -> bool) -> bool {
    spin_from(1, is_done)
}

/// As [`spin`], for what has been under way since `begin`, in ticks. If that is long ago it looks less
/// often: whoever collects the results of many jobs comes so to lag behind those who run them, instead
/// of taking the cache line of each away from them.
pub(crate) fn spin_since(begin: u64, is_done: impl Fn() -> bool) -> bool {
    let first = (clock::since(begin) / SHARE).clamp(1, u64::from(FAR));
    spin_from(first as u32, is_done)
}

/// Looks, then looks again after so many pauses, and after twice as many each time.
fn spin_from(first: u32, is_done: impl Fn() -> bool) -> bool {
    if cfg!(any(loom, shuttle)) {
        return is_done();
    }
    let mut pauses = first;
    while pauses <= PAUSES.max(first) {
        if is_done() {
            return true;
        }
        for _ in 0..pauses {
            sync::spin_loop();
        }
        pauses *= 2;
    }
    for _ in 0..YIELDS {
        if is_done() {
            return true;
        }
        thread::yield_now();
    }
    is_done()
}

/// How long until the deadline, `None` if it has passed.
fn time_left(deadline: Option<Instant>) -> Option<Duration> {
    match deadline {
        None => Some(Duration::MAX),
        Some(deadline) => {
            deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
        }
    }
}

/// Parks a thread that is no worker until the latch is set, or the deadline has passed.
pub(crate) fn park(latch: &Latch, parker: &Parker, deadline: Option<Instant>) {
    while let Some(left) = time_left(deadline) {
        if !latch.announce_park() {
            return;
        }
        parker.park_at_most(left);
        latch.retract_park();
    }
}

impl Worker {
    /// Parks this worker until the latch is set, or the deadline has passed; its permits go to
    /// others, and if all threads are blocked, to a spare one. Runs nothing but broadcasts
    /// meanwhile (L2).
    pub(crate) fn wait_for_latch(&self, latch: &Latch, deadline: Option<Instant>) {
        while !latch.probe() {
            if self.has_broadcast() {
                self.run_broadcasts();
            }
            if time_left(deadline).is_none() {
                return;
            }
            self.registry().check_not_forked();
            self.park_on_until(latch, deadline);
        }
    }

    fn park_on_until(&self, latch: &Latch, deadline: Option<Instant>) {
        if !latch.announce_park() {
            return;
        }
        // Pairs with the fence of whoever broadcasts, as in `park_on`.
        fence(Ordering::SeqCst);
        if self.has_broadcast() {
            latch.retract_park();
            return;
        }
        super::registry::blocking(|| {
            while latch.is_parked() && !self.has_broadcast() {
                match time_left(deadline) {
                    Some(left) => self.shared.parker.park_at_most(left),
                    None => break,
                }
            }
            latch.retract_park();
        });
    }
}
