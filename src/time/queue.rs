//! Pending timers, ordered by deadline: no lock, no clock, no thread.
//!
//! Those that are due within a millisecond or so are in a heap of four children a node, all others in
//! a hierarchy of wheels (`wheel`), whose slots are lists. So to insert and to cancel a timer costs
//! the same among a million others as among ten: nearly all timers are limits in time of jobs that
//! make it. And yet they fire in the order of their deadlines, to the nanosecond, and then in that in
//! which they were inserted.
//!
//! A cancelled timer leaves at once, so a pool whose jobs all have a deadline holds the deadlines of
//! the jobs that it has now and not of those that it has had. The table and the heap keep the memory
//! of the most timers that were pending at once.
//!
//! I1. For each node of the heap, `slots[node.slot]` is taken and its `home` is the node's place. For
//!     each list, what is in it is taken, and its `home` is the list's.
//! I2. A node is before its children, by deadline and then by the order of insertion.
//! I3. A slot's generation is that of one key at most for as long as the queue lives.
//! I4. What is in a list is later than all that is in the heap.
//! I5. A list's `earliest` is no later than any deadline in it; it is one of them, unless that one has
//!     been cancelled.

#[cfg(test)]
mod tests;

use super::clock::nanoseconds;
use super::wheel::{NUM_SLOTS, Wheel};
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

    /// As a key of the timer whose part the queue is.
    pub(super) fn in_part(self, nth: usize) -> TimerKey {
        TimerKey { slot: self.slot * PARTS as u32 + nth as u32, ..self }
    }

    /// The part, and the key there. `None`: it is no timer's.
    pub(super) fn split(self) -> Option<(usize, TimerKey)> {
        let parts = PARTS as u32;
        let key = TimerKey { slot: self.slot / parts, ..self };
        (self != TimerKey::NONE).then_some(((self.slot % parts) as usize, key))
    }
}

/// How many parts a timer has, each of them a queue. Its thread takes the lock of each whenever it
/// looks.
pub(super) const PARTS: usize = if cfg!(any(loom, shuttle)) { 2 } else { 4 };
/// The numbers of slots are less.
const MAX_SLOTS: u32 = NO_SLOT / PARTS as u32;

/// Four children lie in two cache lines, and the tree is half as deep as a binary one.
const ARITY: usize = 4;

/// The end of a chain of slots.
const NO_SLOT: u32 = u32::MAX;

pub(super) struct Queue {
    /// What is near.
    heap: Vec<Node>,
    wheel: Wheel,
    /// What is not, by the wheel's slots. Made with the first of these.
    lists: Vec<List>,
    /// What the wheel counts from: the first deadline that was asked for.
    epoch: Option<Instant>,
    slots: Vec<Slot>,
    /// The first free slot of the chain.
    free: u32,
    len: usize,
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

#[derive(Clone, Copy)]
struct List {
    first: u32,
    /// Of no meaning if it is empty.
    earliest: Instant,
}

/// Where a timer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Home {
    /// At that place in the heap.
    Heap(u32),
    /// In that list.
    List(u32),
}

struct Slot {
    /// That of the timer that is here, or of the next one. Ends at `u32::MAX`, which is no
    /// timer's: the slot is not used any more then, so that I3 holds for ever.
    generation: u32,
    /// The next one of its list; of a free slot the next free one.
    next: u32,
    /// The one before in its list.
    previous: u32,
    home: Home,
    /// Of no meaning in a free slot, as is all but `generation` and `next`.
    at: Instant,
    number: u64,
    /// None in a free slot.
    callback: Option<Callback>,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Queue {
            heap: Vec::new(),
            wheel: Wheel::new(),
            lists: Vec::new(),
            epoch: None,
            slots: Vec::new(),
            free: NO_SLOT,
            len: 0,
            num_inserted: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The earliest deadline, or an earlier time, of one that was cancelled: then `pop_due` at that
    /// time makes it a later one.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match self.heap.first() {
            Some(node) => Some(node.at),
            None => self.wheel.first().map(|list| self.lists[list].earliest),
        }
    }

    pub(super) fn insert(&mut self, at: Instant, callback: Callback) -> TimerKey {
        self.epoch.get_or_insert(at);
        let number = self.num_inserted;
        self.num_inserted += 1;
        let slot = self.take_slot(at, number, callback);
        self.len += 1;
        self.place(slot);
        TimerKey { slot, generation: self.slots[slot as usize].generation }
    }

    /// Takes the timer out, if it is still here.
    pub(super) fn remove(&mut self, key: TimerKey) -> Option<Callback> {
        let slot = self.slots.get(key.slot as usize)?;
        if slot.generation != key.generation || slot.callback.is_none() {
            return None;
        }
        match slot.home {
            Home::Heap(place) => self.leave_heap(place as usize),
            Home::List(list) => self.leave_list(key.slot, list as usize),
        }
        self.free_slot(key.slot)
    }

    #[cfg(loom)]
    pub(super) fn contains(&self, key: TimerKey) -> bool {
        let slot = self.slots.get(key.slot as usize);
        slot.is_some_and(|slot| slot.generation == key.generation && slot.callback.is_some())
    }

    /// Takes out the first of those whose deadline is `now` or earlier.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Callback> {
        if self.next_deadline()? > now {
            return None;
        }
        let nanos = self.nanos_of(now);
        while self.heap.is_empty() {
            let list = self.wheel.advance(nanos)?;
            let mut slot = std::mem::replace(&mut self.lists[list].first, NO_SLOT);
            while slot != NO_SLOT {
                let next = self.slots[slot as usize].next;
                self.place(slot);
                slot = next;
            }
        }
        let first = *self.heap.first().filter(|first| first.at <= now)?;
        self.leave_heap(0);
        self.free_slot(first.slot)
    }

    /// Everything that is still here, in no particular order.
    pub(super) fn into_callbacks(self) -> impl Iterator<Item = Callback> {
        self.slots.into_iter().filter_map(|slot| slot.callback)
    }

    /// What the wheel takes `at` for: never later than it is, and in the same order as others, but
    /// for times that a `u64` does not hold.
    fn nanos_of(&self, at: Instant) -> u64 {
        self.epoch.map_or(0, |epoch| nanoseconds(at.saturating_duration_since(epoch)))
    }

    /// Puts a timer where it belongs.
    fn place(&mut self, slot: u32) {
        let Slot { at, number, .. } = self.slots[slot as usize];
        let Some(list) = self.wheel.slot_of(self.nanos_of(at)) else {
            let node = Node { at, number, slot };
            self.heap.push(node);
            return self.sift_up(self.heap.len() - 1, node);
        };
        if self.lists.is_empty() {
            self.lists = vec![List { first: NO_SLOT, earliest: at }; NUM_SLOTS];
        }
        let head = &mut self.lists[list];
        let next = std::mem::replace(&mut head.first, slot);
        if next == NO_SLOT {
            head.earliest = at;
            self.wheel.set_taken(list, true);
        } else {
            head.earliest = head.earliest.min(at);
            self.slots[next as usize].previous = slot;
        }
        let taken = &mut self.slots[slot as usize];
        (taken.next, taken.previous, taken.home) = (next, NO_SLOT, Home::List(list as u32));
    }

    fn leave_list(&mut self, slot: u32, list: usize) {
        let Slot { next, previous, .. } = self.slots[slot as usize];
        if next != NO_SLOT {
            self.slots[next as usize].previous = previous;
        }
        if previous != NO_SLOT {
            self.slots[previous as usize].next = next;
            return;
        }
        self.lists[list].first = next;
        if next == NO_SLOT {
            self.wheel.set_taken(list, false);
        }
    }

    // ---- the table

    fn take_slot(&mut self, at: Instant, number: u64, callback: Callback) -> u32 {
        let (previous, next, home) = (NO_SLOT, NO_SLOT, Home::Heap(0));
        let new = |generation| Slot {
            generation,
            next,
            previous,
            home,
            at,
            number,
            callback: Some(callback),
        };
        if self.free != NO_SLOT {
            let slot = self.free;
            let taken = &mut self.slots[slot as usize];
            self.free = taken.next;
            *taken = new(taken.generation);
            return slot;
        }
        // So many timers (80 GiB) there never are.
        let slot = u32::try_from(self.slots.len()).unwrap_or(NO_SLOT);
        assert!(slot < MAX_SLOTS, "too many timers are pending");
        if self.slots.len() == self.slots.capacity() {
            // By an eighth, not by half: what waits in great numbers shall be small.
            self.slots.reserve_exact((self.slots.len() / 8).max(64));
        }
        self.slots.push(new(0));
        slot
    }

    fn free_slot(&mut self, number: u32) -> Option<Callback> {
        self.len -= 1;
        let slot = &mut self.slots[number as usize];
        let callback = slot.callback.take();
        slot.generation += 1;
        if slot.generation < u32::MAX {
            slot.next = self.free;
            self.free = number;
        }
        callback
    }

    // ---- the heap

    fn leave_heap(&mut self, place: usize) {
        self.heap.swap_remove(place);
        if let Some(&moved) = self.heap.get(place) {
            // It was the last one, so it mostly belongs below; but it may be from another branch.
            if place > 0 && moved.is_before(&self.heap[(place - 1) / ARITY]) {
                self.sift_up(place, moved);
            } else {
                self.sift_down(place, moved);
            }
        }
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
        self.slots[node.slot as usize].home = Home::Heap(place as u32);
    }

    /// Checks the invariants.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let mut found = self.heap.len();
        for (place, node) in self.heap.iter().enumerate() {
            let slot = &self.slots[node.slot as usize];
            assert!(slot.callback.is_some() && slot.home == Home::Heap(place as u32), "I1");
            assert!(place == 0 || self.heap[(place - 1) / ARITY].is_before(node), "I2 at {place}");
        }
        let latest = self.heap.iter().map(|node| node.at).max();
        for (list, head) in self.lists.iter().enumerate() {
            let (mut at, mut previous) = (head.first, NO_SLOT);
            while at != NO_SLOT {
                let slot = &self.slots[at as usize];
                assert!(slot.callback.is_some() && slot.home == Home::List(list as u32), "I1");
                assert!(slot.previous == previous && head.earliest <= slot.at, "I5 in {list}");
                assert!(latest.is_none_or(|latest| latest < slot.at), "I4 in {list}");
                assert_eq!(self.wheel.slot_of(self.nanos_of(slot.at)), Some(list), "W1");
                (previous, at, found) = (at, slot.next, found + 1);
            }
        }
        let taken = self.slots.iter().filter(|slot| slot.callback.is_some()).count();
        assert_eq!((taken, found), (self.len, self.len));
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
