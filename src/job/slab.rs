//! A table whose entries keep their keys, and whose free slots are used again.

/// The end of the chain of free slots.
const NONE: usize = usize::MAX;

/// A capacity up to which an empty table keeps its memory, so that one whose entries come and go
/// does not allocate each time.
const KEEP: usize = 64;

/// Inserts and removes in constant time, amortised. As long as the most entries that it has held at
/// once since it was last empty.
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    /// How many slots are taken.
    len: usize,
    /// The first free slot of the chain.
    free: usize,
}

enum Slot<T> {
    Taken(T),
    /// Holds the next free slot of the chain.
    Free(usize),
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Slab { slots: Vec::new(), len: 0, free: NONE }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many slots there are, free ones included.
    pub(crate) fn num_slots(&self) -> usize {
        self.slots.len()
    }

    /// The key that the next entry will get.
    pub(crate) fn next_key(&self) -> usize {
        if self.free == NONE { self.slots.len() } else { self.free }
    }

    pub(crate) fn insert(&mut self, value: T) -> usize {
        let key = self.next_key();
        match self.slots.get_mut(key) {
            Some(slot) => {
                if let Slot::Free(next) = *slot {
                    self.free = next;
                }
                *slot = Slot::Taken(value);
            }
            None => {
                if self.slots.len() == self.slots.capacity() {
                    // By an eighth, not by half: what waits in great numbers shall be small.
                    self.slots.reserve_exact((self.slots.len() / 8).max(16));
                }
                self.slots.push(Slot::Taken(value));
            }
        }
        self.len += 1;
        key
    }

    pub(crate) fn remove(&mut self, key: usize) -> Option<T> {
        let slot = self.slots.get_mut(key).filter(|slot| matches!(slot, Slot::Taken(_)))?;
        let Slot::Taken(value) = std::mem::replace(slot, Slot::Free(self.free)) else {
            return None;
        };
        self.free = key;
        self.len -= 1;
        if self.len == 0 {
            self.free = NONE;
            self.slots.clear();
            self.slots.shrink_to(KEEP);
        }
        Some(value)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Taken(value) => Some(value),
            Slot::Free(_) => None,
        })
    }

    pub(crate) fn into_values(self) -> impl Iterator<Item = T> {
        self.slots.into_iter().filter_map(|slot| match slot {
            Slot::Taken(value) => Some(value),
            Slot::Free(_) => None,
        })
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab::new()
    }
}
