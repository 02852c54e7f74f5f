//! What a group keeps of its members, by their numbers: most come and go in order.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, VecDeque};

/// In the order of their numbers, which are given out from 0.
pub(super) struct Members<T> {
    /// Those from number `first` on, with gaps where one has gone.
    row: VecDeque<Option<T>>,
    first: u64,
    /// How many of the row are there.
    len: usize,
    /// Those that stayed when most that came after them had gone.
    old: BTreeMap<u64, T>,
}

/// A row that is longer than this is not kept for few.
const LONG: usize = 64;

impl<T> Members<T> {
    pub(super) fn new() -> Self {
        Members { row: VecDeque::new(), first: 0, len: 0, old: BTreeMap::new() }
    }

    /// The number of the next one.
    pub(super) fn next(&self) -> u64 {
        self.first + self.row.len() as u64
    }

    /// Adds one. Returns its number.
    pub(super) fn add(&mut self, member: T) -> u64 {
        let number = self.next();
        self.row.push_back(Some(member));
        self.len += 1;
        number
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0 && self.old.is_empty()
    }

    /// Where in the row.
    fn place(&self, number: u64) -> Option<usize> {
        number.checked_sub(self.first).map(|place| place as usize)
    }

    pub(super) fn get(&self, number: u64) -> Option<&T> {
        match self.place(number) {
            Some(place) => self.row.get(place)?.as_ref(),
            None => self.old.get(&number),
        }
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        match self.place(number) {
            Some(place) => self.row.get_mut(place)?.as_mut(),
            None => self.old.get_mut(&number),
        }
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<T> {
        let Some(place) = self.place(number) else { return self.old.remove(&number) };
        let member = self.row.get_mut(place)?.take()?;
        self.len -= 1;
        // Each place is left behind once.
        while let Some(None) = self.row.front() {
            self.row.pop_front();
            self.first += 1;
        }
        if self.row.is_empty() {
            self.row.shrink_to(LONG);
        }
        // A move of few after many have gone: a part of one for each of those.
        if self.row.len() > LONG && self.len < self.row.len() / 4 {
            let numbers = self.first..;
            self.first = self.next();
            let stay = numbers.zip(self.row.drain(..));
            self.old.extend(stay.filter_map(|(number, member)| Some((number, member?))));
            self.row.shrink_to(LONG);
            self.len = 0;
        }
        Some(member)
    }

    /// Those from this number on.
    pub(super) fn from(&self, number: u64) -> impl DoubleEndedIterator<Item = (u64, &T)> {
        let old = self.old.range(number..).map(|(&number, member)| (number, member));
        let skipped = self.place(number).unwrap_or(0).min(self.row.len());
        let first = self.first + skipped as u64;
        let row = self.row.range(skipped..).enumerate();
        old.chain(row.filter_map(move |(nth, member)| Some((first + nth as u64, member.as_ref()?))))
    }

    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = (u64, &T)> {
        self.from(0)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// Beside a plain map, with members that go in any order and a few that stay.
    #[test]
    fn it_is_as_a_map() {
        let mut random = 7_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % below
        };
        for stays in [1, 3, 1_000] {
            let (mut members, mut map) = (Members::new(), BTreeMap::new());
            for round in 0..3_000_u64 {
                let number = members.add(round);
                assert_eq!((number, map.insert(number, round)), (round, None));
                if next(3) > 0 {
                    let number = next(members.next());
                    let goes = number % stays != 0 || round % 97 == 0;
                    if goes {
                        assert_eq!(members.remove(number), map.remove(&number));
                    }
                }
                if round % 2 == 0 {
                    let oldest = map.keys().copied().find(|number| number % stays != 0);
                    let oldest = oldest.unwrap_or(0);
                    assert_eq!(members.remove(oldest), map.remove(&oldest));
                }
                let number = next(members.next() + 3);
                assert_eq!(members.get(number), map.get(&number));
                assert_eq!(members.get_mut(number), map.get_mut(&number));
                assert_eq!(members.is_empty(), map.is_empty());
                if round % 50 == 0 {
                    let these = members.from(number).map(|(number, &member)| (number, member));
                    let those = map.range(number..).map(|(&number, &member)| (number, member));
                    assert!(these.eq(those));
                    assert!(members.all().rev().map(|(n, _)| n).eq(map.keys().rev().copied()));
                }
            }
        }
    }

    #[test]
    fn one_that_stays_keeps_no_room_for_others() {
        let mut members = Members::new();
        let eternal = members.add(());
        for _ in 0..100_000 {
            let number = members.add(());
            assert_eq!(members.remove(number), Some(()));
            assert!(members.row.capacity() <= 2 * (LONG + 1));
        }
        assert_eq!((members.get(eternal), members.old.len()), (Some(&()), 1));
        assert_eq!(members.remove(eternal), Some(()));
        assert!(members.is_empty());
    }
}
