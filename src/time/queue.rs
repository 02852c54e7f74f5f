//! The pending timers of one pool, ordered by deadline: no lock, no clock, no thread.
//!
//! A heap of four children a node over a table of callbacks. Each entry of the table knows its
//! place in the heap, so a cancelled timer leaves both at once: a pool whose jobs all have a
//! deadline, and nearly all make it, holds the deadlines of the jobs that it has now and not of
//! those that it has had. Both keep the memory of the most timers that were pending at once.
//!
//! I1. For each node, `slots[node.slot]` is taken and its `link` is the node's place in the heap.
//! I2. A node is before its children, by deadline and then by the order of insertion.
//! I3. A slot's generation is that of one key at most for as long as the queue lives.

use std::time::Instant;

pub(super) type Callback = Box<dyn FnOnce() + Send>;

/// Names a timer for as long as the program runs: no later timer gets the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TimerKey {
    slot: u32,
    generation: u32,
}

impl TimerKey {
    /// No timer's key: what has been inserted after the stop.
    pub(crate) const NONE: TimerKey = TimerKey { slot: NO_SLOT, generation: u32::MAX };
}

/// Four children lie in two cache lines, and the tree is half as deep as a binary one.
const ARITY: usize = 4;

/// The end of the chain of free slots.
const NO_SLOT: u32 = u32::MAX;

pub(super) struct Queue {
    heap: Vec<Node>,
    slots: Vec<Slot>,
    /// The first free slot of the chain.
    free: u32,
    /// How many timers were inserted so far.
    num_inserted: u64,
}

#[derive(Clone, Copy)]
struct Node {
    at: Instant,
    /// The number of the insertion, by which timers of the same deadline keep their order.
    number: u64,
    slot: u32,
}

impl Node {
    fn is_before(&self, other: &Node) -> bool {
        (self.at, self.number) < (other.at, other.number)
    }
}

struct Slot {
    /// That of the timer that is here, or of the next one. Ends at `u32::MAX`, which is no
    /// timer's: the slot is not used any more then, so that I3 holds for ever.
    generation: u32,
    /// The place in the heap; in a free slot the next free one.
    link: u32,
    /// None in a free slot.
    callback: Option<Callback>,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Queue { heap: Vec::new(), slots: Vec::new(), free: NO_SLOT, num_inserted: 0 }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The earliest deadline.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.heap.first().map(|node| node.at)
    }

    pub(super) fn insert(&mut self, at: Instant, callback: Callback) -> TimerKey {
        let slot = self.take_slot();
        let node = Node { at, number: self.num_inserted, slot };
        self.num_inserted += 1;
        let taken = &mut self.slots[slot as usize];
        taken.callback = Some(callback);
        let key = TimerKey { slot, generation: taken.generation };
        self.heap.push(node);
        self.sift_up(self.heap.len() - 1, node);
        key
    }

    /// Takes the timer out, if it is still here.
    pub(super) fn remove(&mut self, key: TimerKey) -> Option<Callback> {
        let slot = self.slots.get(key.slot as usize)?;
        if slot.generation != key.generation || slot.callback.is_none() {
            return None;
        }
        self.remove_at(slot.link as usize)
    }

    /// Takes out the first of those whose deadline is `now` or earlier.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Callback> {
        if self.next_deadline()? > now { None } else { self.remove_at(0) }
    }

    /// Everything that is still here, in no particular order.
    pub(super) fn into_callbacks(self) -> impl Iterator<Item = Callback> {
        self.slots.into_iter().filter_map(|slot| slot.callback)
    }

    fn take_slot(&mut self) -> u32 {
        if self.free != NO_SLOT {
            let slot = self.free;
            self.free = self.slots[slot as usize].link;
            return slot;
        }
        // A slot's number is less than `NO_SLOT`, which so many timers (200 GiB) never reach.
        let slot = u32::try_from(self.slots.len()).unwrap_or(NO_SLOT);
        assert!(slot < NO_SLOT, "too many timers are pending");
        self.slots.push(Slot { generation: 0, link: NO_SLOT, callback: None });
        slot
    }

    fn remove_at(&mut self, place: usize) -> Option<Callback> {
        let number = self.heap.swap_remove(place).slot;
        if let Some(&moved) = self.heap.get(place) {
            // It was the last one, so it mostly belongs below; but it may be from another branch.
            if place > 0 && moved.is_before(&self.heap[(place - 1) / ARITY]) {
                self.sift_up(place, moved);
            } else {
                self.sift_down(place, moved);
            }
        }
        let slot = &mut self.slots[number as usize];
        let callback = slot.callback.take();
        slot.generation += 1;
        if slot.generation < u32::MAX {
            slot.link = self.free;
            self.free = number;
        }
        callback
    }

    /// Puts `node` at `place` or above.
    fn sift_up(&mut self, mut place: usize, node: Node) {
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if !node.is_before(&self.heap[parent]) {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, node);
    }

    /// Puts `node` at `place` or below.
    fn sift_down(&mut self, mut place: usize, node: Node) {
        loop {
            let first = place * ARITY + 1;
            let mut earliest = node;
            let mut next = place;
            for (child, &other) in self.heap.iter().enumerate().skip(first).take(ARITY) {
                if other.is_before(&earliest) {
                    (earliest, next) = (other, child);
                }
            }
            self.put(place, earliest);
            if next == place {
                return;
            }
            place = next;
        }
    }

    fn put(&mut self, place: usize, node: Node) {
        self.heap[place] = node;
        // As many nodes as slots at most, so it fits.
        self.slots[node.slot as usize].link = place as u32;
    }

    /// Checks the invariants.
    #[cfg(test)]
    pub(super) fn check(&self) {
        for (place, node) in self.heap.iter().enumerate() {
            let slot = &self.slots[node.slot as usize];
            assert!(slot.callback.is_some() && slot.link as usize == place, "I1 at {place}");
            assert!(place == 0 || self.heap[(place - 1) / ARITY].is_before(node), "I2 at {place}");
        }
        let taken = self.slots.iter().filter(|slot| slot.callback.is_some()).count();
        assert_eq!(taken, self.heap.len());
    }

    /// Makes the free slot that comes next one that can be used once more.
    #[cfg(test)]
    pub(super) fn wear_out_for_test(&mut self) {
        self.slots[self.free as usize].generation = u32::MAX - 1;
    }
}

impl Default for Queue {
    fn default() -> Self {
        Queue::new()
    }
}
