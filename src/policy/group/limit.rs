//! How many members of a group are queued or run at once.
//!
//! Goal: members beyond the limit hold no worker and no place in a lane.
//! Rule: whoever finds no slot leaves its gate here; each slot that comes free goes to the first of
//! the highest level. A member of a nested group needs a slot of each limited group above, its own
//! group's first; those it has it keeps while it waits for the next.
//! Cost: one lock a limit on the way in, one on the way out; none without a limit.
//! Starvation bound: none between levels; within a level, first come, first served.
//! Not promised: that members start in the order in which they got their slots.
//!
//! Lock order: a member's `pass`, then a limit's `slots`. Gates are opened and dropped outside of
//! both.

use super::member::Node;
use crate::engine::sync::{Mutex, lock};
use crate::job::Gate;
use std::collections::BTreeMap;
use std::sync::Arc;

/// See the module.
pub(super) struct Limit {
    slots: Mutex<Slots>,
}

struct Slots {
    most: usize,
    taken: usize,
    next: u64,
    /// By level, then in the order in which they came.
    queue: BTreeMap<Place, Held>,
}

/// A place in the queue.
pub(super) type Place = (u8, u64);

/// A member that waits for a slot.
pub(super) struct Held {
    node: Arc<Node>,
    gate: Gate,
    /// Which of its limits this is.
    nth: usize,
}

impl Held {
    /// Tells it that it has its slot.
    pub(super) fn go_on(self) {
        self.node.granted(self.gate, self.nth);
    }
}

impl Slots {
    fn is_free_for(&self, level: u8) -> bool {
        self.taken < self.most && self.queue.keys().next().is_none_or(|first| level < first.0)
    }

    /// Gives a free slot to who is first.
    fn grant(&mut self) -> Option<Held> {
        if self.taken >= self.most {
            return None;
        }
        let (_, held) = self.queue.pop_first()?;
        self.taken += 1;
        Some(held)
    }
}

impl Limit {
    pub(super) fn new(most: usize) -> Arc<Limit> {
        let slots = Slots { most, taken: 0, next: 0, queue: BTreeMap::new() };
        Arc::new(Limit { slots: Mutex::new(slots) })
    }

    /// Takes a slot, if one is free and nobody has waited for it longer; else keeps the gate until
    /// there is one.
    pub(super) fn take_or_wait(
        &self,
        node: &Arc<Node>,
        gate: Gate,
        nth: usize,
    ) -> Result<Gate, Place> {
        let level = gate.level();
        let mut slots = lock(&self.slots);
        if slots.is_free_for(level) {
            slots.taken += 1;
            return Ok(gate);
        }
        let place = (level, slots.next);
        slots.next += 1;
        slots.queue.insert(place, Held { node: Arc::clone(node), gate, nth });
        Err(place)
    }

    /// Gives a slot back. It may be somebody else's now, whom the caller tells.
    #[must_use]
    pub(super) fn give_back(&self) -> Option<Held> {
        let mut slots = lock(&self.slots);
        slots.taken -= 1;
        slots.grant()
    }

    /// Takes somebody out of the queue. `None`: it has got its slot.
    pub(super) fn withdraw(&self, place: Place) -> Option<Held> {
        lock(&self.slots).queue.remove(&place)
    }

    /// Changes the limit, and tells those who fit in now.
    pub(super) fn set(&self, most: usize) {
        lock(&self.slots).most = most;
        loop {
            // Not in the condition, where the lock would be held throughout the body.
            let granted = lock(&self.slots).grant();
            let Some(held) = granted else { return };
            held.go_on();
        }
    }
}
