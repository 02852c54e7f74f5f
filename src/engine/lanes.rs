//! Where jobs wait for a worker: one lane a level, level 0 first.
//!
//! A lane is an injector for jobs from outside and one deque a worker for jobs from inside, whose
//! entries may stand for rows of jobs, and before both the rows that somebody has begun with. Which
//! lanes hold jobs stands in one word, so that a worker finds the highest with one load. The engine
//! knows levels as numbers; what they are called and mean is decided above.
//!
//! I1. A job is pushed before its lane's bit is looked at, and a bit is cleared before the lane is
//!     looked at again, with a fence between the two on both sides. So a lane that holds a job has
//!     its bit set, or somebody is about to set it.
//!     A batch that is on its way from one deque to another is in neither: whoever moves it looks at
//!     the bit again when it has arrived.
//! I2. A set bit promises nothing: the lane may be empty, and the jobs in it done by others.

mod front;
pub(crate) mod mask;

use super::clock;
use super::job::JobRef;
use super::sync::{AtomicU32, AtomicU64, Ordering};
use super::worker::Worker;
use crossbeam_deque::{Injector, Steal, Stealer, Worker as Deque};
use crossbeam_utils::CachePadded;
use front::{Age, Front};
use mask::Mask;
use std::cell::Cell;

pub(crate) const LEVELS: usize = 8;

/// What counts as the level of work that is no job: calls from outside and what they fork.
pub(crate) const FOREIGN_LEVEL: u8 = 3;

/// Every so many dispatches of a worker one lower lane gets its turn, each of those that hold jobs
/// after the other. A prime, so that it falls in with no other rhythm.
const TURN: u32 = 61;
/// Every so many dispatches the work of others comes before what a worker has of its own: forks,
/// calls, jobs from outside, and those of a worker that may be in the middle of something long.
const OUTSIDE: u32 = 32;
/// A lane that has waited so long for each level between it and the highest that holds jobs gets
/// its turn. Long against a job that is worth its own level, so that ageing takes a small share.
const AGE_US: u64 = 100_000;
/// In a row of quick jobs whoever runs it looks for forks, calls, broadcasts and other rows after each so
/// many, which so wait for three quick jobs more; for higher lanes it looks after each.
const GLANCE: u32 = 4;
/// Rows of jobs that take no longer than that each are not shared: two workers that take turns at one
/// would do little but pass its cache line to and fro.
const QUICK_US: u64 = 20;
/// After one that took longer, so many must be quick before that is expected again.
const CAUTION: u32 = 32;
/// And after none.
pub(super) const AT_FIRST: u32 = 4;
/// How many jobs a worker takes from another at once.
const BATCH: usize = 32;

/// Whose jobs of a level a worker looks at first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// Its own.
    Own,
    /// Those from outside.
    Outside,
    /// Those of other workers, which may be in the middle of something long.
    Others,
}

/// The jobs of one worker, by level.
pub(crate) struct OwnLanes {
    deques: [Deque<JobRef>; LEVELS],
    /// What this worker has begun with and goes on with next.
    aside: [Cell<Option<Aside>>; LEVELS],
}

/// A row of jobs that was put aside.
#[derive(Clone, Copy)]
struct Aside {
    row: JobRef,
    is_outside: bool,
    /// As of [`Worker::list_in_front`]; 0: none.
    number: u64,
}

pub(crate) type LaneStealers = Box<[Stealer<JobRef>; LEVELS]>;

impl OwnLanes {
    pub(crate) fn new() -> (Box<OwnLanes>, LaneStealers) {
        // First in, first out, for the owner too: what was submitted first starts first.
        let own = Box::new(OwnLanes {
            deques: std::array::from_fn(|_| Deque::new_fifo()),
            aside: std::array::from_fn(|_| Cell::new(None)),
        });
        let stealers = Box::new(std::array::from_fn(|level| own.deques[level].stealer()));
        (own, stealers)
    }

    pub(crate) fn push(&self, level: u8, job: JobRef) {
        self.deques[usize::from(level)].push(job);
    }

    /// What was put aside; or only if it has come from outside.
    fn take_aside(&self, level: usize, only_outside: bool) -> Option<Aside> {
        let aside = self.aside[level].get().filter(|aside| aside.is_outside || !only_outside)?;
        self.aside[level].set(None);
        Some(aside)
    }
}

/// What the workers of a pool share.
pub(crate) struct Lanes {
    injectors: [Injector<JobRef>; LEVELS],
    fronts: [CachePadded<Front>; LEVELS],
    mask: CachePadded<Mask>,
    /// Bit `l`: somebody has published forks of work of level `l`. A hint.
    forks: CachePadded<AtomicU32>,
    /// When each lane got its first job, or its last turn, in ticks.
    served: CachePadded<[AtomicU64; LEVELS]>,
    age: u64,
    quick: u64,
    /// Has what a row's entry stands for kept once more.
    keep: unsafe fn(JobRef),
}

impl Lanes {
    /// `keep` is called for entries that [`Worker::list_in_front`] was given.
    pub(crate) fn new(ticks_per_us: u64, keep: unsafe fn(JobRef)) -> Self {
        Lanes {
            injectors: std::array::from_fn(|_| Injector::new()),
            fronts: std::array::from_fn(|_| CachePadded::new(Front::new())),
            mask: CachePadded::new(Mask::new()),
            forks: CachePadded::new(AtomicU32::new(0)),
            served: CachePadded::new(std::array::from_fn(|_| AtomicU64::new(0))),
            age: AGE_US * ticks_per_us,
            quick: QUICK_US * ticks_per_us,
            keep,
        }
    }

    /// The lanes that may hold jobs, one bit each.
    #[inline]
    pub(crate) fn levels(&self) -> u32 {
        self.mask.levels()
    }

    /// Whether a lane above this one may hold jobs.
    #[inline]
    pub(crate) fn has_above(&self, level: u8) -> bool {
        self.levels() & ((1 << level) - 1) != 0
    }

    /// The highest of them.
    pub(crate) fn top(&self) -> Option<u8> {
        let levels = self.levels();
        (levels != 0).then(|| levels.trailing_zeros() as u8)
    }

    /// Queues a job from outside. The caller announces it.
    pub(crate) fn inject(&self, level: u8, job: JobRef) {
        self.injectors[usize::from(level)].push(job);
    }

    /// Says that the lane holds jobs; after a push, before a wake. `true`: it was said to be empty.
    #[inline]
    pub(crate) fn announce(&self, level: u8) -> bool {
        self.mask.announce(level, || {
            self.served[usize::from(level)].store(clock::ticks(), Ordering::Relaxed);
        })
    }

    /// Notes that work of this level has published forks.
    #[inline]
    pub(crate) fn note_forks(&self, level: u8) {
        if self.forks.load(Ordering::Relaxed) & (1 << level) == 0 {
            self.forks.fetch_or(1 << level, Ordering::Relaxed);
        }
    }

    /// Whether work of `level` or above has published forks lately. Asked once: the note is taken
    /// down.
    fn take_note_of_forks(&self, level: usize) -> bool {
        let above = (2 << level) - 1;
        self.forks.load(Ordering::Relaxed) & above != 0
            && self.forks.fetch_and(!above, Ordering::Relaxed) & above != 0
    }

    /// A lane below the highest whose turn it is.
    fn neglected(&self, levels: u32, tick: u32) -> Option<usize> {
        let top = levels.trailing_zeros();
        let below = levels & (levels - 1);
        if below == 0 {
            return None;
        }
        let chosen = if tick.is_multiple_of(TURN) {
            // The lanes below in turn, as far as they hold jobs.
            let from = 1 + (tick / TURN) % (LEVELS as u32 - 1);
            let later = below & (u32::MAX << from);
            (if later != 0 { later } else { below }).trailing_zeros()
        } else {
            let now = clock::ticks();
            let is_old = |&level: &u32| {
                let served = self.served[level as usize].load(Ordering::Relaxed);
                now.saturating_sub(served) > self.age * u64::from(level - top)
            };
            (top + 1..LEVELS as u32).filter(|level| below & (1 << level) != 0).find(is_old)?
        };
        self.served[chosen as usize].store(clock::ticks(), Ordering::Relaxed);
        Some(chosen as usize)
    }

    /// Takes whatever waits, in no order: for the end of a pool.
    pub(crate) fn drain(&self, workers: &[Worker], mut f: impl FnMut(JobRef)) {
        for (level, injector) in self.injectors.iter().enumerate() {
            while let Some(row) = self.fronts[level].pop() {
                f(row);
            }
            while let Some(job) = steal(|| injector.steal()) {
                f(job);
            }
            for worker in workers {
                while let Some(job) = worker.steal_lane(level) {
                    f(job);
                }
            }
        }
    }
}

fn steal(mut attempt: impl FnMut() -> Steal<JobRef>) -> Option<JobRef> {
    loop {
        match attempt() {
            Steal::Success(job) => return Some(job),
            Steal::Empty => return None,
            Steal::Retry => {}
        }
    }
}

impl Worker {
    /// Queues a job, from inside the pool if this worker is one of its threads.
    pub(crate) fn queue_job(&self, level: u8, job: JobRef) {
        match self.own_lanes() {
            Some(own) => own.push(level, job),
            None => self.registry().lanes.inject(level, job),
        }
    }

    fn steal_lane(&self, level: usize) -> Option<JobRef> {
        steal(|| self.lane_stealers().map_or(Steal::Empty, |lanes| lanes[level].steal()))
    }

    /// What this worker, which has nothing to do, does next, if any lane holds jobs: the highest
    /// first, but forks of work of that level or above before that.
    #[inline]
    pub(crate) fn find_job(&self) -> Option<JobRef> {
        let lanes = &self.registry().lanes;
        let levels = lanes.levels();
        if levels == 0 {
            // What comes next is of another kind, perhaps.
            self.set_caution(self.caution().max(AT_FIRST));
            return self.take_what_is_aside();
        }
        self.find_job_among(levels)
    }

    /// A row that others have run to its end, to be let go.
    pub(crate) fn take_what_is_aside(&self) -> Option<JobRef> {
        let own = self.own_lanes()?;
        let aside = (0..LEVELS).find_map(|level| own.take_aside(level, false));
        aside.map(|aside| self.go_on_with(aside))
    }

    fn go_on_with(&self, aside: Aside) -> JobRef {
        self.set_row(aside.number);
        aside.row
    }

    fn find_job_among(&self, levels: u32) -> Option<JobRef> {
        let registry = self.registry();
        let lanes = &registry.lanes;
        let tick = self.next_tick();
        let mut among = levels;
        while let Some(level) = lanes.neglected(among, tick) {
            if let Some(job) = self.take_job(level, First::Outside) {
                return Some(job);
            }
            // It was empty (I2): the turn is another's.
            among &= !(1 << level);
        }
        let outside_first = tick.is_multiple_of(OUTSIDE);
        let first = match (outside_first, tick.is_multiple_of(2 * OUTSIDE)) {
            (false, _) => First::Own,
            (true, false) => First::Outside,
            (true, true) => First::Others,
        };
        let top = levels.trailing_zeros() as usize;
        let is_foreign = top >= usize::from(FOREIGN_LEVEL);
        // Callers who wait for a permit, and beacons.
        if (is_foreign || outside_first)
            && let Some(job) = registry.pop_injected()
        {
            self.set_level(FOREIGN_LEVEL);
            return Some(job);
        }
        if lanes.take_note_of_forks(top) || outside_first {
            let found = self.steal_forks(top as u8);
            if found.is_some() {
                return found;
            }
            // There may be private ones; they will be noted.
            self.ask_the_busy(Some(top as u8));
        }
        let mut left = levels;
        while left != 0 {
            let level = left.trailing_zeros() as usize;
            if let Some(job) = self.take_job(level, first) {
                return Some(job);
            }
            left &= left - 1;
        }
        None
    }

    /// Takes a job of this level, wherever it is.
    pub(crate) fn take_job(&self, level: usize, first: First) -> Option<JobRef> {
        let registry = self.registry();
        let own = self.own_lanes();
        self.set_row(0);
        let aside = |only_outside| {
            let aside = own.and_then(|own| own.take_aside(level, only_outside));
            aside.map(|aside| self.go_on_with(aside))
        };
        let mine = || own.and_then(|own| own.deques[level].pop());
        let injector = &registry.lanes.injectors[level];
        // One alone: others would come behind what is here, where later ones would overtake them.
        let outside = || steal(|| injector.steal());
        // One: it is their turn once, and they may get to the rest themselves.
        let one_of_others = || {
            let holds = |lanes: &&LaneStealers| !lanes[level].is_empty();
            registry.victims(self).find_map(|victim| {
                let lanes = victim.lane_stealers().filter(holds)?;
                steal(|| lanes[level].steal())
            })
        };
        let others = || {
            registry.victims(self).find_map(|victim| {
                let lanes = victim.lane_stealers()?;
                if lanes[level].is_empty() {
                    return None;
                }
                // Where jobs are long, later ones must not wait with us for those before them.
                let Some(own) = own.filter(|_| self.is_quick()) else {
                    return steal(|| lanes[level].steal());
                };
                let job = steal(|| {
                    lanes[level].steal_batch_with_limit_and_pop(&own.deques[level], BATCH)
                });
                if job.is_some() {
                    self.announce_moved(level as u8);
                }
                job
            })
        };
        // What others are at comes first where jobs are long, and last where they are quick, but has
        // its turn as well.
        let front = |only_outside| self.look_to_the_front(level, only_outside);
        let is_mine_oldest = || {
            let mine = own.and_then(|own| own.aside[level].get()).map_or(0, |aside| aside.number);
            mine != 0 && mine == registry.lanes.fronts[level].oldest()
        };
        let is_long = !self.is_quick();
        loop {
            // What was begun with comes before what came later from the same side.
            let from_outside = || aside(true).or_else(outside);
            let job = match first {
                First::Own => {
                    let begun = if is_long { front(false) } else { None };
                    begun.or_else(|| aside(false)).or_else(mine).or_else(outside)
                }
                First::Outside => {
                    let found = front(true).or_else(from_outside);
                    found.or_else(|| aside(false)).or_else(mine)
                }
                First::Others => {
                    // Not what this worker was at itself, unless it is from outside.
                    let begun = || front(is_mine_oldest());
                    let found = if self.tick().is_multiple_of(4 * OUTSIDE) {
                        begun().or_else(one_of_others)
                    } else {
                        one_of_others().or_else(begun)
                    };
                    let found = found.or_else(from_outside);
                    found.or_else(|| aside(false)).or_else(mine)
                }
            };
            if let Some(job) = job.or_else(others).or_else(|| front(false)) {
                self.set_level(level as u8);
                return Some(job);
            }
            if !self.clear(level) {
                return None;
            }
        }
    }

    /// The oldest row that somebody has begun with, or the oldest from outside. It stays where it is.
    fn look_to_the_front(&self, level: usize, only_outside: bool) -> Option<JobRef> {
        let lanes = &self.registry().lanes;
        // SAFETY: an entry of a row, which is listed until we have let go of the list.
        let (number, row) =
            lanes.fronts[level].look(only_outside, |row| unsafe { (lanes.keep)(row) })?;
        self.set_row(number);
        Some(row)
    }

    /// What was on its way within a lane has arrived (I1).
    fn announce_moved(&self, level: u8) {
        let registry = self.registry();
        if registry.lanes.announce(level) {
            registry.notify();
        }
    }

    /// Puts a row of jobs back into its lane, of which this worker goes on with some.
    pub(crate) fn share(&self, level: u8, row: JobRef, is_outside: bool) {
        let registry = self.registry();
        if is_outside {
            // So that what this worker has of its own does not come before it everywhere.
            registry.lanes.inject(level, row);
        } else {
            self.queue_job(level, row);
        }
        self.announce_moved(level);
    }

    /// As [`share`](Self::share), before what came later. Returns the number of the entry.
    pub(crate) fn list_in_front(&self, level: u8, row: JobRef, is_outside: bool, age: Age) -> u64 {
        let front = &self.registry().lanes.fronts[usize::from(level)];
        let number = front.add(row, is_outside, age);
        self.announce_moved(level);
        number
    }

    /// Takes back an entry that was [listed](Self::list_in_front): its row holds no job. `None`: somebody
    /// else has.
    pub(crate) fn unlist_in_front(&self, level: u8, number: u64) -> Option<JobRef> {
        self.registry().lanes.fronts[usize::from(level)].remove(number)
    }

    /// Whether this worker, which runs a row of jobs of this level, may start the next one without
    /// looking for what comes before it. It counts as a dispatch.
    #[inline]
    pub(crate) fn may_go_on(&self, level: u8, is_outside: bool, number: u64) -> bool {
        let registry = self.registry();
        let lanes = &registry.lanes;
        let (next, is_quick) = (self.tick().wrapping_add(1), self.is_quick());
        if lanes.levels() & !(1 << level) != 0
            // Its own jobs do not keep those from outside waiting, nor both those of others.
            || next.is_multiple_of(if is_outside { 2 * OUTSIDE } else { OUTSIDE })
            || (!is_quick || next.is_multiple_of(GLANCE)) && self.is_needed_elsewhere(level, number)
        {
            return false;
        }
        self.next_tick();
        registry.call_back();
        // It may have been raised for the last one.
        self.set_level(level);
        self.arm();
        true
    }

    /// Whether there is something else to be done than the jobs of this level.
    #[inline]
    fn is_needed_elsewhere(&self, level: u8, number: u64) -> bool {
        let registry = self.registry();
        registry.lanes.forks.load(Ordering::Relaxed) != 0
            || registry.has_calls()
            || self.has_broadcast()
            || registry.sleep.is_over_width()
            || self.has_older_row(level, number)
    }

    /// A job has run, which began then.
    #[inline]
    pub(crate) fn note_quickness(&self, begin: u64) {
        // If its end was not noted, it ran for others, or had ended before.
        let end = self.noted_time();
        self.note_run(begin, end);
    }

    /// A job has run from then till now.
    #[inline]
    pub(crate) fn note_run(&self, begin: u64, now: u64) {
        self.note_time(now);
        let is_quick = now.wrapping_sub(begin) < self.registry().lanes.quick;
        self.set_caution(if is_quick { self.caution().saturating_sub(1) } else { CAUTION });
    }

    /// Whether the next job is taken for a quick one, as the last ones were.
    #[inline]
    pub(crate) fn is_quick(&self) -> bool {
        // There is no time under shuttle, and a schedule must be the same when it is replayed.
        if cfg!(shuttle) { self.random().is_multiple_of(2) } else { self.caution() == 0 }
    }

    /// Whether jobs are long, and somebody has begun with an older row than that of this number; 0: one
    /// that is not in front.
    pub(crate) fn has_older_row(&self, level: u8, number: u64) -> bool {
        let oldest = self.registry().lanes.fronts[usize::from(level)].oldest();
        oldest != 0 && oldest != number && !self.is_quick()
    }

    /// Keeps a row of jobs, which is in a lane, too, to go on with it next. `false`: there is no
    /// room.
    pub(crate) fn put_aside(&self, level: u8, row: JobRef, is_outside: bool, number: u64) -> bool {
        let Some(aside) = self.own_lanes().map(|own| &own.aside[usize::from(level)]) else {
            return false;
        };
        let is_free = aside.get().is_none();
        if is_free {
            aside.set(Some(Aside { row, is_outside, number }));
        }
        is_free
    }

    /// Says that the lane is empty. `true`: it is not, after all.
    fn clear(&self, level: usize) -> bool {
        let registry = self.registry();
        let lanes = &registry.lanes;
        let holds = |worker: &Worker| {
            worker.lane_stealers().is_some_and(|stealers| !stealers[level].is_empty())
        };
        lanes.mask.clear(level, || {
            !lanes.injectors[level].is_empty()
                || lanes.fronts[level].oldest() != 0
                || registry.threads().iter().any(holds)
        })
    }
}
