//! Where in a hierarchy of wheels a time belongs: arithmetic alone.
//!
//! Time is cut into ticks of 2^20 ns, about a millisecond. Level 0 has a slot for each of the next 64
//! ticks, level 1 one for each of the next 64 turns of level 0, and so on: eight levels hold the 584
//! years that a `u64` of nanoseconds has. What is `near`, up to the tick of the hand, is in none.
//!
//! W1. A time in slot `i` of a level has the same bits as the hand above that level, and `i` is more
//!     than the hand has there. So the first slot of the lowest level that has any holds the earliest
//!     of all, and the hand may move up to the start of that slot without anything being moved.

/// How many slots a level has.
const SLOTS: u64 = 64;
/// How many levels.
const LEVELS: usize = 8;
/// A tick is two to the power of so many nanoseconds.
const TICK_BITS: u32 = 20;
const SLOT_BITS: u32 = 6;

/// How many slots there are on all levels together.
pub(super) const NUM_SLOTS: usize = LEVELS * SLOTS as usize;

#[derive(Debug)]
pub(super) struct Wheel {
    /// The tick up to which everything is near.
    hand: u64,
    /// For each level, which slots hold something.
    taken: [u64; LEVELS],
}

impl Wheel {
    pub(super) const fn new() -> Self {
        Wheel { hand: 0, taken: [0; LEVELS] }
    }

    /// The slot for a time in nanoseconds; `None`: it is near.
    pub(super) fn slot_of(&self, nanos: u64) -> Option<usize> {
        let tick = nanos >> TICK_BITS;
        if tick <= self.hand {
            return None;
        }
        let level = (63 - (tick ^ self.hand).leading_zeros()) / SLOT_BITS;
        let index = tick >> (level * SLOT_BITS) & (SLOTS - 1);
        Some(level as usize * SLOTS as usize + index as usize)
    }

    pub(super) fn set_taken(&mut self, slot: usize, is_taken: bool) {
        let bit = 1 << (slot as u64 % SLOTS);
        let level = &mut self.taken[slot / SLOTS as usize];
        *level = if is_taken { *level | bit } else { *level & !bit };
    }

    /// The slot that holds the earliest time of all that are not near.
    pub(super) fn first(&self) -> Option<usize> {
        let level = self.taken.iter().position(|taken| *taken != 0)?;
        Some(level * SLOTS as usize + self.taken[level].trailing_zeros() as usize)
    }

    /// Moves the hand on towards a time. `Some`: to the start of that slot and no further; what is in
    /// it is to be put in its place anew.
    pub(super) fn advance(&mut self, nanos: u64) -> Option<usize> {
        let tick = nanos >> TICK_BITS;
        if let Some(slot) = self.first() {
            let shift = (slot / SLOTS as usize) as u32 * SLOT_BITS;
            // The bits above this level are the hand's (W1).
            let above = self.hand.checked_shr(shift + SLOT_BITS).unwrap_or(0);
            let start = ((above << SLOT_BITS) | (slot as u64 % SLOTS)) << shift;
            if start <= tick {
                self.hand = start;
                self.set_taken(slot, false);
                return Some(slot);
            }
        }
        self.hand = self.hand.max(tick);
        None
    }
}
