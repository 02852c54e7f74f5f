//! Regions: is this tree of forks worth sharing with a thread that sleeps?
//!
//! A *region* is one fork at the bottom of a worker's stack, from the fork to its join: the time in
//! which a thief could come for it. Its size is unknown beforehand, and waking a sleeper costs
//! microseconds, so the call site's history decides (`site.rs`):
//!
//! - no history, or long lately: published and a sleeper woken at once ([`Plan::Share`]);
//! - short lately: kept private, and *polled*: the joins of the region look at the clock, at the
//!   deepest level first and then ever further up, so that about log(forks) looks find a region
//!   that has grown long after all; those of the level above the base, and those from which on
//!   joins are plain calls, look each time, because a region may be a loop of small trees;
//! - short many times in a row: not even timed ([`Plan::Skip`]), for a number of regions that
//!   doubles up to a bound; every fourth of them looks at the clock once, and a long one ends the
//!   skipping.
//!
//! Owner only; plain cells. The estimate of a fork site is in ticks.

use super::clock;
use super::site::Site;
use std::cell::Cell;
use std::ptr;

/// What to do with the first fork of a region.
pub(crate) enum Plan {
    Share,
    Poll,
    Skip,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No region is open, or nobody wants to know about it.
    Closed,
    Shared,
    Polling,
    Skipping,
}

/// How many short regions in a row may go untimed: at 500 ns each they take about as long as one
/// wake.
const MAX_SKIP: u32 = 32;
/// Every how many skipped regions one looks at the clock. A power of two.
const SKIP_CHECK: u32 = 4;

/// See the module.
pub(crate) struct Region {
    base: Cell<*mut ()>,
    state: Cell<State>,
    site: Cell<usize>,
    start: Cell<u64>,
    worth: Cell<u64>,
    skip: Cell<u32>,
    skip_reload: Cell<u32>,
}

/// The part of an interrupted region that comes back when the stolen job on top of it is done.
pub(crate) struct Saved {
    base: *mut (),
    state: State,
    site: usize,
    start: u64,
    mark: *mut (),
}

impl Region {
    pub(crate) fn new() -> Self {
        Region {
            base: Cell::new(ptr::null_mut()),
            state: Cell::new(State::Closed),
            site: Cell::new(0),
            start: Cell::new(0),
            worth: Cell::new(u64::MAX),
            skip: Cell::new(0),
            skip_reload: Cell::new(0),
        }
    }

    pub(crate) fn reset(&self, base: *mut ()) {
        self.base.set(base);
        self.state.set(State::Closed);
    }

    /// The slot whose fork opens a region.
    #[inline]
    pub(crate) fn base(&self) -> *mut () {
        self.base.get()
    }

    /// The first fork of a region. `worth` is the time that makes a
    /// wake worth while.
    pub(crate) fn begin(&self, site: usize, worth: u64) -> Plan {
        self.worth.set(worth);
        let skip = self.skip.get();
        if skip > 0 && self.site.get() == site {
            self.skip.set(skip - 1);
            self.state.set(State::Skipping);
            return Plan::Skip;
        }
        if self.site.replace(site) != site {
            self.skip_reload.set(0);
        }
        self.skip.set(0);
        self.start.set(clock::ticks());
        match Site::of(site).estimate() {
            Some(ticks) if ticks < worth => {
                self.state.set(State::Polling);
                Plan::Poll
            }
            _ => {
                self.state.set(State::Shared);
                Plan::Share
            }
        }
    }

    /// The join of the region's first fork. `ours`: nobody stole it.
    pub(crate) fn end(&self, ours: bool, worth: u64) {
        match self.state.replace(State::Closed) {
            State::Closed => return,
            State::Skipping => {
                if self.skip.get().is_multiple_of(SKIP_CHECK) {
                    let now = clock::ticks();
                    if now.saturating_sub(self.start.replace(now)) > worth {
                        self.skip.set(0);
                        self.skip_reload.set(0);
                    }
                }
                return;
            }
            State::Shared | State::Polling => {}
        }
        let now = clock::ticks();
        let took = now.saturating_sub(self.start.replace(now));
        Site::of(self.site.get()).record(took);
        // As many as fit into the time of a wake, growing from one.
        let bound = if ours { worth / (took + 1) } else { 0 };
        let reload = (self.skip_reload.get() * 2 + 1).min(MAX_SKIP).min(bound as u32);
        self.skip_reload.set(reload);
        self.skip.set(reload);
    }

    #[inline]
    pub(crate) fn is_polling(&self) -> bool {
        self.state.get() == State::Polling
    }

    /// A look at the clock from inside a region that was taken for short. `true`: it is not; share
    /// it.
    pub(crate) fn poll(&self) -> bool {
        let long = clock::since(self.start.get()) > self.worth.get();
        if long {
            self.state.set(State::Shared);
        }
        long
    }

    /// Whether an asking thief is to be served now: not while the region is too young to be worth a
    /// theft.
    pub(crate) fn may_share_now(&self) -> bool {
        match self.state.get() {
            State::Closed | State::Shared => true,
            State::Polling | State::Skipping => self.poll(),
        }
    }

    /// A stolen job starts on top of the stack, at `base`.
    pub(crate) fn enter(&self, base: *mut (), mark: *mut ()) -> Saved {
        Saved {
            base: self.base.replace(base),
            state: self.state.replace(State::Closed),
            site: self.site.get(),
            start: self.start.get(),
            mark,
        }
    }

    /// It has ended. Returns the mark that was saved.
    pub(crate) fn leave(&self, saved: Saved) -> *mut () {
        self.base.set(saved.base);
        self.state.set(saved.state);
        self.site.set(saved.site);
        self.start.set(saved.start);
        saved.mark
    }
}
