//! Looking for work: the worker's main loop, and the two waits that may run something meanwhile.
//!
//! An idle worker runs anything. A worker that waits runs only what it waits for (L2): at a join
//! the descendants of its stolen fork, which it steals back from the thief (leapfrogging); in a
//! scope that scope's tasks. The stack therefore grows no deeper by stealing than it would
//! sequentially, and a lock held across a wait is never asked for by foreign work.

use super::clock;
use super::job::{ForkHeader, JobRef, NOBODY};
use super::lanes::FOREIGN_LEVEL;
use super::latch::Latch;
use super::sync::{self, Ordering, fence};
use super::worker::Worker;
use crossbeam_deque::{Steal, Stealer};

/// How long an idle worker searches before it sleeps. About the cost of going to sleep and being
/// woken again (5 us for the waker, 10-50 us until the woken thread runs), so that searching at
/// most doubles it.
const SEARCH_US: u64 = 50;
/// After so long it yields between two looks: there may be more threads than cores, and whoever has
/// the work that it looks for may be the one without (Arora, Blumofe, Plaxton: Thread Scheduling for
/// Multiprogrammed Multiprocessors, SPAA 1998).
const SPIN_US: u64 = 5;
/// How long a waiter spins before it parks; the same reasoning.
const WAIT_US: u64 = 50;
/// Every how many looks, on average, the injector comes first, so that work from outside is not
/// starved by the inside.
const FAIRNESS: u64 = 61;
/// Pauses between two rounds over the victims.
const PAUSES: u32 = 8;

impl Worker {
    /// The life of a pool thread. Returns when the pool stops and no work is left.
    /// A spare thread starts as a searcher with a permit, all others asleep.
    pub(crate) fn main_loop(&self, is_spare: bool) {
        let registry = self.registry();
        let me = self.index() as usize;
        let mut is_claimed = is_spare;
        loop {
            if std::mem::take(&mut is_claimed) || registry.sleep.park(me) {
                // Claimed: awake, with a permit, and counted as a searcher.
                loop {
                    if let Some(job) = self.search() {
                        registry.end_search();
                        self.run_in_a_row(job);
                        registry.sleep.start_search();
                    } else if !registry.is_stopping() {
                        break;
                    } else if registry.has_public_work() || self.has_broadcast() {
                        sync::thread::yield_now();
                    } else {
                        return registry.retire();
                    }
                }
                registry.sleep.announce(me);
            }
            // The last look, at every source of work. Of a worker whose permit has been lent, it is the
            // first, and it has been counted as a searcher until now.
            self.ask_the_busy(None);
            if registry.is_stopping() {
                // `stop` may have counted its sleepers before we became one.
                registry.sleep.wake_for_certain(me);
            } else if let Some(summoned) = registry.sleeper_with_broadcast() {
                // Most likely ourselves. Or another sleeper, whose summoner found all claimed by
                // others, one of which then took us instead.
                registry.sleep.wake_for_certain(summoned);
            } else if registry.has_public_work() && !registry.hand_on_search() {
                registry.make_way_after_search();
            }
            registry.tell_idle();
        }
    }

    /// Runs a job, and the jobs that wait behind it. As long as there are any, a worker need not
    /// count as a searcher in between.
    fn run_in_a_row(&self, job: JobRef) {
        let registry = self.registry();
        let mut next = Some(job);
        self.note_time(0);
        self.set_busy(true);
        // As in `set_level`, for the flag.
        fence(Ordering::SeqCst);
        while let Some(job) = next {
            self.run_at_the_bottom(job);
            if self.has_broadcast() || registry.sleep.is_over_width() {
                break;
            }
            next = self.find_job();
            registry.call_back();
        }
        self.set_busy(false);
    }

    /// Looks for work for a while. `None`: time to sleep.
    fn search(&self) -> Option<JobRef> {
        let registry = self.registry();
        let mut start = None;
        loop {
            // First: a broadcast wakes its workers above the width.
            if self.has_broadcast() {
                registry.end_search();
                self.set_busy(true);
                self.run_broadcasts();
                self.set_busy(false);
                registry.sleep.start_search();
            }
            if registry.sleep.is_over_width()
                && (!registry.is_stopping() || registry.sleep.is_at_work_in_full())
            {
                return None;
            }
            if let Some(job) = self.find_work() {
                return Some(job);
            }
            if registry.is_stopping() || cfg!(any(loom, shuttle)) {
                return None;
            }
            // The clock only from the second round on: most searches end in the first.
            let searched = match start {
                None => {
                    start = Some(clock::ticks());
                    0
                }
                Some(start) => clock::since(start),
            };
            if searched > registry.us(SEARCH_US) {
                return None;
            }
            self.ask_the_busy(None);
            if searched > registry.us(SPIN_US) {
                sync::thread::yield_now();
            } else {
                for _ in 0..PAUSES {
                    sync::spin_loop();
                }
            }
        }
    }

    /// One round over all sources.
    fn find_work(&self) -> Option<JobRef> {
        let registry = self.registry();
        let outside_first = self.random().is_multiple_of(FAIRNESS);
        let injected = || {
            self.set_level(FOREIGN_LEVEL);
            registry.pop_injected()
        };
        outside_first
            .then(injected)
            .flatten()
            .or_else(|| self.pop_lane())
            .or_else(|| self.find_job())
            .or_else(|| registry.pop_returned(None))
            .or_else(|| self.steal_any())
            .or_else(injected)
    }

    fn steal_any(&self) -> Option<JobRef> {
        self.registry().victims(self).find_map(|victim| self.steal_fork(victim))
    }

    /// Steals from work of this level or above.
    pub(crate) fn steal_forks(&self, level: u8) -> Option<JobRef> {
        let mut victims = self.registry().victims(self).filter(|victim| victim.level() <= level);
        victims.find_map(|victim| self.steal_fork(victim))
    }

    fn steal_fork(&self, victim: &Worker) -> Option<JobRef> {
        let level = victim.level();
        let job = steal_from(&victim.shared.forks).or_else(|| steal_from(&victim.shared.lane));
        if job.is_some() {
            self.shared.steals.fetch_add(1, Ordering::Relaxed);
            self.set_level(level);
        }
        job
    }

    /// Asks every busy worker that has nothing public to publish at its next fork; or only those
    /// whose work is of this level or above.
    pub(crate) fn ask_the_busy(&self, level: Option<u8>) {
        for victim in self.registry().victims(self) {
            if victim.shared.forks.is_empty() && level.is_none_or(|level| victim.level() <= level) {
                victim.ask();
            }
        }
    }

    /// Waits until the stolen fork behind `header` is finished. `true`: it came back un-run, and is
    /// ours to run.
    pub(crate) fn wait_for_fork(&self, header: &ForkHeader, job: JobRef) -> bool {
        let registry = self.registry();
        let mut start = clock::ticks();
        loop {
            if header.latch.probe() {
                return false;
            }
            let thief = header.thief.load(Ordering::Relaxed);
            if thief != NOBODY {
                let thief = registry.worker(thief);
                if let Some(found) = steal_from(&thief.shared.forks) {
                    // It descends from our fork if that was still running when we took it (worker
                    // I4): the thief had nothing public when it took ours.
                    if header.latch.probe() {
                        registry.give_back(found);
                        return false;
                    }
                    self.shared.steals.fetch_add(1, Ordering::Relaxed);
                    // SAFETY: stolen, so ours alone; its owner keeps it alive until its latch is
                    // set.
                    unsafe { (found.run)(found.data, self) };
                    start = clock::ticks();
                    continue;
                }
                thief.ask();
            }
            if registry.pop_returned(Some(job)).is_some() {
                return true;
            }
            if self.has_broadcast() {
                self.run_broadcasts();
            }
            if clock::since(start) < registry.us(WAIT_US) && !cfg!(any(loom, shuttle)) {
                for _ in 0..PAUSES {
                    sync::spin_loop();
                }
                continue;
            }
            registry.check_not_forked();
            self.park_on(&header.latch, || {
                let thief = header.thief.load(Ordering::Relaxed);
                registry.is_returned(job)
                    || (thief != NOBODY && !registry.worker(thief).shared.forks.is_empty())
            });
            start = clock::ticks();
        }
    }

    /// Parks until the latch is set, nudged, or a broadcast comes; gives the permit to somebody
    /// else meanwhile. `has_work` is asked once more after the announcement.
    pub(crate) fn park_on(&self, latch: &Latch, has_work: impl Fn() -> bool) {
        if !latch.announce_park() {
            return;
        }
        // Pairs with whoever published first and looked for our announcement then (`nudge`): one of
        // us sees the other.
        sync::fence(Ordering::SeqCst);
        if has_work() || self.has_broadcast() {
            latch.retract_park();
            return;
        }
        super::registry::blocking(|| {
            while latch.is_parked() && !self.has_broadcast() {
                self.shared.parker.park();
            }
            latch.retract_park();
        });
    }
}

/// Takes the oldest job.
pub(crate) fn steal_from(stealer: &Stealer<JobRef>) -> Option<JobRef> {
    loop {
        match stealer.steal() {
            Steal::Success(job) => return Some(job),
            Steal::Empty => return None,
            // Lost a race, so somebody else made progress.
            Steal::Retry => sync::spin_loop(),
        }
    }
}
