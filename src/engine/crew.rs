//! Threads beyond the width: spare ones, which take the place of threads that are blocked, and
//! reserved ones, which serve only the top lanes.
//!
//! A spare thread is a thread like the others, and runs only with a permit: the width holds. It is
//! started when there is work and a permit, and every thread that there is is blocked in a wait;
//! later it sleeps with the others, the last to be woken. A reserved thread sleeps until a job of
//! its levels is queued and nobody is there to be woken for it; it needs no permit, so that it
//! comes on top of the width.
//!
//! A worker in the middle of a tree of forks, or of a loop, makes way for a higher lane: it lends its
//! permit to a spare thread. It does not run the other job itself, on top of what it holds: that
//! job may ask for a lock of the one below it (L2). For the same reason it goes on after a while in
//! any case.

use super::clock;
use super::lanes::First;
use super::park::Parker;
use super::registry::{Registry, blocking};
use super::sync::{AtomicBool, AtomicUsize, Mutex, Ordering, fence, lock};
use super::worker::Worker;
use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Starts the thread of the seat with this index. `false`: the system refuses.
type Starter = Box<dyn Fn(usize) -> bool + Send + Sync>;

/// See the module.
pub(crate) struct Crew {
    pub(crate) max_spares: usize,
    pub(crate) num_reserved: usize,
    /// The reserved threads serve this level and those above.
    reserved_level: u8,
    num_spares: AtomicUsize,
    starting: Mutex<()>,
    starter: OnceLock<Starter>,
    beds: Box<[Bed]>,
    /// How many reserved threads sleep.
    num_asleep: AtomicUsize,
    /// The seats of those who have made way.
    aside: Mutex<Vec<u32>>,
    num_aside: AtomicUsize,
}

struct Bed {
    is_asleep: AtomicBool,
    parker: Parker,
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew")
            .field("spares", &self.num_spares())
            .field("reserved", &self.num_reserved)
            .field("reserved_asleep", &self.num_asleep.load(Ordering::Relaxed))
            .finish()
    }
}

impl Crew {
    pub(crate) fn new(max_spares: usize, num_reserved: usize, reserved_level: u8) -> Self {
        let bed = || Bed { is_asleep: AtomicBool::new(false), parker: Parker::new() };
        Crew {
            max_spares,
            num_reserved,
            reserved_level,
            num_spares: AtomicUsize::new(0),
            starting: Mutex::new(()),
            starter: OnceLock::new(),
            beds: (0..num_reserved).map(|_| bed()).collect(),
            num_asleep: AtomicUsize::new(0),
            aside: Mutex::new(Vec::new()),
            num_aside: AtomicUsize::new(0),
        }
    }

    /// Called once, before there is any work.
    pub(crate) fn set_starter(&self, starter: Starter) {
        // A second call would change nothing.
        let _ = self.starter.set(starter);
    }

    /// Waits for a start that is under way; after `stop` there are no more.
    pub(crate) fn settle(&self) {
        drop(lock(&self.starting));
    }

    /// How many spare threads have been started.
    pub(crate) fn num_spares(&self) -> usize {
        self.num_spares.load(Ordering::Acquire)
    }

    /// Whether a reserved thread serves this level.
    #[inline]
    pub(crate) fn serves(&self, level: u8) -> bool {
        self.num_reserved > 0 && level <= self.reserved_level
    }

    fn wake(&self, bed: &Bed) -> bool {
        let is_won = bed.is_asleep.swap(false, Ordering::AcqRel);
        if is_won {
            self.num_asleep.fetch_sub(1, Ordering::AcqRel);
            bed.parker.unpark();
        }
        is_won
    }
}

impl Registry {
    /// Starts a spare thread with the permit that the caller has taken for it. `false`: there is
    /// none to be had.
    #[cold]
    pub(crate) fn start_spare(&self) -> bool {
        let crew = &self.crew;
        let is_started = {
            let _starting = lock(&crew.starting);
            let count = crew.num_spares();
            let may = count < crew.max_spares && !self.is_stopping();
            let is_started = may
                && crew.starter.get().is_some_and(|start| {
                    // Before the thread has anything to publish. Release pairs with `num_spares`.
                    crew.num_spares.store(count + 1, Ordering::Release);
                    let is_started = start(self.width() + count);
                    if !is_started {
                        crew.num_spares.store(count, Ordering::Release);
                    }
                    is_started
                });
            if !is_started || count + 1 == crew.max_spares {
                self.sleep.stop_growing();
            }
            is_started
        };
        if !is_started {
            // From now on the pool runs with fewer threads whenever some of them are blocked. But
            // one that went to sleep meanwhile has relied on the searcher that there is not.
            self.end_search();
            self.leave();
        }
        is_started
    }

    /// A job of a top lane is queued and nobody was woken for it.
    #[cold]
    pub(crate) fn wake_reserved(&self) {
        // `announce` and `notify` have the fence that pairs with the one in `reserved_loop`. A searcher
        // that finds something else hands on to us.
        let crew = &self.crew;
        if crew.num_asleep.load(Ordering::Relaxed) > 0 && self.sleep.word().searching() == 0 {
            crew.beds.iter().any(|bed| crew.wake(bed));
        }
    }

    pub(crate) fn wake_all_reserved(&self) {
        for bed in &self.crew.beds {
            self.crew.wake(bed);
        }
    }
}

/// The longest that a worker makes way at once, if the jobs above are not done before. What they wait
/// for may be a lock that the worker holds.
const ASIDE: Duration = Duration::from_millis(10);

impl Registry {
    /// A lane has got its first job, and nobody was woken for it: those who run forks of a lower
    /// level are to make way.
    #[cold]
    pub(crate) fn make_way_for(&self, level: u8) {
        for worker in self.busy_below(level) {
            worker.ask_to_make_way();
        }
    }

    /// A searcher has given up, and nobody was woken for the jobs that are there. Whoever has queued
    /// one meanwhile has relied on the searcher, and asked nobody to make way.
    #[cold]
    pub(crate) fn make_way_after_search(&self) {
        if self.sleep.word().searching() == 0
            && let Some(level) = self.lanes.top()
        {
            self.make_way_for(level);
        }
    }

    /// Workers that have made way may go on: the lanes above them are empty.
    #[inline]
    pub(crate) fn call_back(&self) {
        if self.crew.num_aside.load(Ordering::Relaxed) > 0 {
            self.call_back_slow();
        }
    }

    #[cold]
    fn call_back_slow(&self) {
        let top = self.lanes.top();
        for &seat in &*lock(&self.crew.aside) {
            let worker = self.worker(seat);
            if top.is_none_or(|top| top >= worker.level()) {
                worker.shared.parker.unpark();
            }
        }
    }
}

impl Worker {
    /// Lends the permit to another thread, as long as a higher lane holds jobs, within bounds.
    #[cold]
    pub(crate) fn make_way(&self) {
        let (registry, level) = (self.registry(), self.level());
        let is_due = || registry.lanes.top().is_some_and(|top| top < level);
        if !is_due() || cfg!(loom) {
            return;
        }
        if clock::ticks() < self.turn() {
            // Not yet again.
            return self.ask_to_make_way();
        }
        let crew = &registry.crew;
        lock(&crew.aside).push(self.index());
        crew.num_aside.fetch_add(1, Ordering::AcqRel);
        let until = Instant::now() + ASIDE;
        blocking(|| {
            // Pairs with the fence in `announce`, and with whoever calls back: the number first.
            fence(Ordering::SeqCst);
            let left =
                || until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
            while is_due() && registry.has_stand_in() {
                match left() {
                    Some(left) => self.shared.parker.park_at_most(left),
                    None => break,
                }
            }
        });
        lock(&crew.aside).retain(|&seat| seat != self.index());
        crew.num_aside.fetch_sub(1, Ordering::AcqRel);
        if is_due() {
            // As long at work as aside: whoever holds a lock gets on.
            self.set_turn(clock::ticks() + registry.us(ASIDE.as_micros() as u64));
            self.ask_to_make_way();
        }
    }

    /// The life of the `nth` reserved thread.
    pub(crate) fn reserved_loop(&self, nth: usize) {
        let registry = self.registry();
        let crew = &registry.crew;
        let bed = &crew.beds[nth];
        loop {
            let levels = 0..=usize::from(crew.reserved_level);
            while let Some(job) =
                levels.clone().find_map(|level| self.take_job(level, First::Outside))
            {
                // On top of the width. A regular worker that comes by meanwhile goes to sleep.
                registry.sleep.resume();
                self.set_busy(true);
                self.run_at_the_bottom(job);
                self.set_busy(false);
                registry.leave();
                registry.tell_idle();
            }
            bed.is_asleep.store(true, Ordering::Relaxed);
            crew.num_asleep.fetch_add(1, Ordering::AcqRel);
            // Pairs with the fence in `announce`: a job that we do not see now wakes us.
            fence(Ordering::SeqCst);
            let has_work = registry.lanes.top().is_some_and(|level| level <= crew.reserved_level);
            if registry.is_stopping() {
                return;
            }
            if has_work {
                crew.wake(bed);
                continue;
            }
            while bed.is_asleep.load(Ordering::Acquire) {
                bed.parker.park();
            }
        }
    }
}
