//! Who is awake, who sleeps, and who wakes whom: one packed word and one parker a worker.
//!
//! Called by the worker loop, by whoever published work, and by guests that come and go. The
//! protocol, the races it excludes and the rejected variants stand in `engine/README.md`, "Sleep".
//!
//! I1. `active` counts every thread that holds a permit: awake workers and guests. A permit is
//!     taken only while `active < width`, except by a waiter that resumes and by a targeted wake.
//! I2. `searching` counts the awake workers that look for work; a claimed sleeper counts from the
//!     claim on.
//! I3. The number of workers whose state is `ASLEEP` is at least `sleeping` plus the number of
//!     claims that have not found their sleeper yet. So a claim always finds one.
//! I4. Whoever makes work visible calls [`Sleep::notify`] after; whoever goes to sleep looks at
//!     every source of work between [`Sleep::announce`] and [`Sleep::park`].
//! I5. A bed is `LENT` when a guest has borrowed the permit of a sleeper that was claimed and has not
//!     come to itself: the permit is the guest's, and the sleeper counts as searching all the same.
//!     So `active` is the threads that hold a permit, the beds that are `CLAIMED`, and the claims that
//!     have not found their bed yet; `searching` is the awake workers that search, the beds that are
//!     `CLAIMED` or `LENT`, and those claims. Permits are all alike: whoever has one may give it back
//!     into any bed that is `LENT`.

use super::park::Parker;
use super::sync::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use crossbeam_utils::CachePadded;

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;
const CLAIMED: u32 = 2;
const LENT: u32 = 3;

/// The packed word, most significant first: `deferred:1, unused:15, sleeping:16, searching:16,
/// active:16`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(u64);

const ACTIVE: u64 = 1;
const SEARCHING: u64 = 1 << 16;
const SLEEPING: u64 = 1 << 32;
const FIELD: u64 = 0xffff;
/// Somebody would have woken a worker, but every permit was taken.
const DEFERRED: u64 = 1 << 63;

impl Word {
    pub(crate) fn active(self) -> usize {
        (self.0 & FIELD) as usize
    }
    pub(crate) fn searching(self) -> usize {
        ((self.0 / SEARCHING) & FIELD) as usize
    }
    pub(crate) fn sleeping(self) -> usize {
        ((self.0 / SLEEPING) & FIELD) as usize
    }
    pub(crate) fn is_deferred(self) -> bool {
        self.0 & DEFERRED != 0
    }
}

impl std::fmt::Debug for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Word")
            .field("active", &self.active())
            .field("searching", &self.searching())
            .field("sleeping", &self.sleeping())
            .field("deferred", &self.is_deferred())
            .finish()
    }
}

/// One worker's own part.
struct Bed {
    state: AtomicU32,
    parker: Parker,
    /// The CPU that the worker is pinned to, plus one; 0 when it floats. Written once, at its
    /// start.
    cpu: AtomicUsize,
}

impl Bed {
    /// AcqRel: who finds a state sees what came before it: a claim the store of ASLEEP, the worker the
    /// claim, a guest the word of the claim that it borrows from.
    fn moves(&self, from: u32, to: u32) -> bool {
        self.state.load(Ordering::Relaxed) == from
            && self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

/// The bed that a guest's permit was borrowed from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loan(usize);

/// See the module.
pub(crate) struct Sleep {
    word: CachePadded<AtomicU64>,
    width: usize,
    beds: Box<[CachePadded<Bed>]>,
    /// Whether another spare thread may be started.
    may_grow: AtomicBool,
}

/// What became of a wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notified {
    /// Nobody need be woken, or nobody may.
    Nobody,
    Woken,
    /// There is a permit and no thread to take it: all are blocked. The caller holds the permit,
    /// counted as a searcher's, and starts a spare thread with it.
    Spare,
}

impl Sleep {
    /// `width` workers, all of them asleep, and beds for so many spare threads.
    pub(crate) fn new(width: usize, spares: usize) -> Self {
        let bed = |index| Bed {
            state: AtomicU32::new(if index < width { ASLEEP } else { AWAKE }),
            parker: Parker::new(),
            cpu: AtomicUsize::new(0),
        };
        Sleep {
            word: CachePadded::new(AtomicU64::new(SLEEPING * width as u64)),
            width,
            beds: (0..width + spares).map(|index| CachePadded::new(bed(index))).collect(),
            may_grow: AtomicBool::new(spares > 0),
        }
    }

    /// The state of the word, for decisions that a stale answer does not harm.
    #[inline]
    pub(crate) fn word(&self) -> Word {
        Word(self.word.load(Ordering::Relaxed))
    }

    /// Whether more threads run than the pool's width, so that a searcher should go to sleep.
    #[inline]
    pub(crate) fn is_over_width(&self) -> bool {
        self.word().active() > self.width
    }

    /// Whether so many threads are at work as the pool is wide, those that look for some aside: at
    /// the end of a pool all its threads are woken, and there may be none but searchers above the
    /// width. Each would leave the last job to the others.
    pub(crate) fn is_at_work_in_full(&self) -> bool {
        // A guest with a borrowed permit is at work, and the worker counts as searching (I5).
        let lent = self.beds.iter().filter(|bed| bed.state.load(Ordering::Relaxed) == LENT).count();
        let word = self.word();
        (word.active() + lent).saturating_sub(word.searching()) >= self.width
    }

    // ---- permits

    /// A guest asks for a permit.
    #[inline]
    pub(crate) fn try_enter(&self) -> bool {
        let mut word = self.word();
        loop {
            if word.active() >= self.width {
                return false;
            }
            match self.swap_word(word, Word(word.0 + ACTIVE)) {
                Ok(()) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// A guest asks for a permit, or takes note that it would have one.
    pub(crate) fn enter_or_defer(&self) -> bool {
        let mut word = self.word();
        loop {
            // One step, as in `notify`.
            let is_free = word.active() < self.width;
            let next = if is_free { word.0 + ACTIVE } else { word.0 | DEFERRED };
            match self.swap_word(word, Word(next)) {
                Ok(()) => return is_free,
                Err(now) => word = now,
            }
        }
    }

    /// A guest that has found every permit taken asks for that of a worker which has been claimed and
    /// has not come to itself. `Some`: the permit is the guest's, to be given back by
    /// [`Self::repay`], or by [`Self::leave`] when that is too late.
    pub(crate) fn borrow(&self) -> Option<Loan> {
        if self.word().searching() == 0 {
            return None;
        }
        self.beds.iter().position(|bed| bed.moves(CLAIMED, LENT)).map(Loan)
    }

    /// Gives a permit back to the worker that it was borrowed from, which has not noticed; or to
    /// another claim on the same worker, which is as good (I5). `false`: it has noticed.
    #[must_use]
    pub(crate) fn repay(&self, loan: Loan) -> bool {
        self.beds[loan.0].moves(LENT, CLAIMED)
    }

    /// A guest, or a waiter that is about to park, gives its permit back. `Some`: somebody found
    /// every permit taken before, and so many search now; the caller hands the permit on.
    #[inline]
    #[must_use]
    pub(crate) fn leave(&self) -> Option<usize> {
        let mut word = self.word();
        // One step for the permit and the note: a producer that relies on the note must not lose
        // it between the two.
        while let Err(now) = self.swap_word(word, Word((word.0 - ACTIVE) & !DEFERRED)) {
            word = now;
        }
        word.is_deferred().then(|| word.searching())
    }

    /// A waiter that parked takes its permit again, even above the width: it may hold a lock that
    /// a permit holder waits for, so it must not wait for a permit.
    pub(crate) fn resume(&self) {
        self.word.fetch_add(ACTIVE, Ordering::AcqRel);
    }

    // ---- waking

    /// No spare thread is started any more.
    pub(crate) fn stop_growing(&self) {
        self.may_grow.store(false, Ordering::Relaxed);
    }

    /// Whether all threads are blocked, so that another one should take a permit.
    #[inline]
    fn wants_spare(&self, word: Word) -> bool {
        word.active() < self.width && self.may_grow.load(Ordering::Relaxed)
    }

    /// Makes sure that published work is seen: by a searcher if there is one, else by one sleeper,
    /// which is claimed and woken.
    #[inline]
    pub(crate) fn notify(&self) -> Notified {
        // Pairs with the fence in `announce`: either we see the sleeper, or it sees our work.
        fence(Ordering::SeqCst);
        self.notify_fenced()
    }

    /// As [`Self::notify`], by a caller that has passed such a fence since it made work visible.
    #[inline]
    pub(crate) fn notify_fenced(&self) -> Notified {
        let word = self.word();
        if word.searching() > 0 || (word.sleeping() == 0 && !self.wants_spare(word)) {
            return Notified::Nobody;
        }
        self.notify_slow(word)
    }

    #[cold]
    fn notify_slow(&self, mut word: Word) -> Notified {
        loop {
            if word.searching() > 0 || (word.sleeping() == 0 && !self.wants_spare(word)) {
                return Notified::Nobody;
            }
            // With every permit taken, the note and the look at `active` must be one step, or the
            // last permit could come back between them, unseen by either side.
            let (next, done) = if word.sleeping() == 0 {
                (Word(word.0 + SEARCHING + ACTIVE), Notified::Spare)
            } else if word.active() < self.width {
                (Word(word.0 - SLEEPING + SEARCHING + ACTIVE), Notified::Woken)
            } else if word.is_deferred() {
                return Notified::Nobody;
            } else {
                (Word(word.0 | DEFERRED), Notified::Nobody)
            };
            match self.swap_word(word, next) {
                Ok(()) => {
                    if done == Notified::Woken {
                        self.wake_claimed(None);
                    }
                    return done;
                }
                Err(now) => word = now,
            }
        }
    }

    /// Wakes worker `index` if it sleeps, above the width if need be; some other sleeper if
    /// another claim was faster. Nothing to do when no sleeper is left unclaimed.
    pub(crate) fn wake_for_certain(&self, index: usize) {
        fence(Ordering::SeqCst); // pairs with `announce`, as in `notify`
        let mut word = self.word();
        while word.sleeping() > 0 {
            match self.swap_word(word, Word(word.0 - SLEEPING + SEARCHING + ACTIVE)) {
                Ok(()) => return self.wake_claimed(Some(index)),
                Err(now) => word = now,
            }
        }
    }

    /// A claim is in the word; finds its sleeper (I3: there is one) and wakes it.
    fn wake_claimed(&self, wanted: Option<usize>) {
        let here = super::topology::current_cpu().map_or(usize::MAX, |cpu| cpu + 1);
        loop {
            // Low indices first, so that a lightly loaded pool keeps using the same warm workers;
            // but not one that is pinned to the CPU the caller runs on, if there is another.
            let order = wanted.into_iter().chain(0..self.beds.len());
            let mut fallback = None;
            for index in order {
                if self.beds[index].state.load(Ordering::Relaxed) != ASLEEP {
                    continue;
                }
                if wanted.is_none() && self.beds[index].cpu.load(Ordering::Relaxed) == here {
                    fallback = Some(index);
                    continue;
                }
                if self.claim(index) {
                    return;
                }
            }
            if fallback.is_some_and(|index| self.claim(index)) {
                return;
            }
            super::sync::spin_loop();
        }
    }

    fn claim(&self, index: usize) -> bool {
        let bed = &self.beds[index];
        let won = bed.moves(ASLEEP, CLAIMED);
        if won {
            bed.parker.unpark();
        }
        won
    }

    // ---- the worker's side

    /// A worker that ran out of work starts to search.
    pub(crate) fn start_search(&self) {
        self.word.fetch_add(SEARCHING, Ordering::AcqRel);
    }

    /// A searcher has found work. `true`: it was the last, and calls [`Self::notify`] so that
    /// somebody goes on searching, because producers that saw it searching have woken nobody.
    #[must_use]
    pub(crate) fn end_search(&self) -> bool {
        Word(self.word.fetch_sub(SEARCHING, Ordering::AcqRel)).searching() == 1
    }

    /// A searcher gives up. Next it must look once more at every source of work; if it finds some,
    /// it calls [`Self::notify`], which may claim the caller itself; then it parks.
    pub(crate) fn announce(&self, index: usize) {
        // Before the word, so that a claim finds it (I3); the word's Release half publishes it.
        self.beds[index].state.store(ASLEEP, Ordering::Relaxed);
        self.lie_down(SEARCHING + ACTIVE);
    }

    /// A worker whose bed says so counts as a sleeper from now on, and no more as what it `was`.
    fn lie_down(&self, was: u64) {
        let mut word = self.word();
        while let Err(now) = self.swap_word(word, Word(word.0 - was + SLEEPING)) {
            word = now;
        }
        // Pairs with the fence in `notify`.
        fence(Ordering::SeqCst);
    }

    /// A searcher leaves for good. Its permit is of use to others, as in [`Self::leave`].
    #[must_use]
    pub(crate) fn retire(&self) -> Option<usize> {
        self.word.fetch_sub(SEARCHING, Ordering::AcqRel);
        self.leave()
    }

    /// Sleeps until claimed; the caller is a searcher then. `false`: its permit has been lent, and it
    /// has announced itself again, so that it looks once more at every source of work, for which
    /// others have relied on it, and parks again.
    #[must_use]
    pub(crate) fn park(&self, index: usize) -> bool {
        let bed = &self.beds[index];
        loop {
            // Relaxed: the exchanges acquire.
            match bed.state.load(Ordering::Relaxed) {
                CLAIMED if bed.moves(CLAIMED, AWAKE) => return true,
                // The guest has the permit, so `active` stays.
                LENT if bed.moves(LENT, ASLEEP) => {
                    self.lie_down(SEARCHING);
                    return false;
                }
                // A guest was faster.
                CLAIMED | LENT => {}
                _ => bed.parker.park(),
            }
        }
    }

    /// Whether worker `index` sleeps and nobody has claimed it.
    pub(crate) fn is_asleep(&self, index: usize) -> bool {
        self.beds[index].state.load(Ordering::Relaxed) == ASLEEP
    }

    /// Worker `index` is pinned to `cpu`.
    pub(crate) fn set_cpu(&self, index: usize, cpu: usize) {
        self.beds[index].cpu.store(cpu + 1, Ordering::Relaxed);
    }

    /// The CPU that worker `index` is pinned to.
    pub(crate) fn cpu(&self, index: usize) -> Option<usize> {
        self.beds[index].cpu.load(Ordering::Relaxed).checked_sub(1)
    }

    fn swap_word(&self, from: Word, to: Word) -> Result<(), Word> {
        // AcqRel: the word is the hand-over point between a sleeper and whoever claims it.
        match self.word.compare_exchange_weak(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(now) => Err(Word(now)),
        }
    }
}
