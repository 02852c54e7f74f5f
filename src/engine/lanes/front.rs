//! Rows of jobs that somebody has begun with and that hold more: they come before what was queued
//! later, so that jobs start in the order in which they were submitted, although a lane holds them in
//! rows.
//!
//! An entry stays here as long as its row holds jobs, whoever runs them; each worker that comes by
//! has a look at the oldest and goes on with it. Each has a number, and no two the same.
//!
//! I1. Whoever has seen that the row of an entry holds no job takes off that entry, by its number,
//!     and no other: a row that holds jobs again is queued again.

use super::super::job::JobRef;
use super::super::sync::{AtomicU64, Mutex, Ordering, lock};
use std::collections::VecDeque;

/// See the module.
pub(crate) struct Front {
    /// The number of the oldest entry; 0: there is none. Changed under the lock.
    oldest: AtomicU64,
    rows: Mutex<Rows>,
}

#[derive(Default)]
struct Rows {
    list: VecDeque<Listed>,
    last: u64,
}

struct Listed {
    number: u64,
    row: JobRef,
    is_outside: bool,
    age: Age,
}

/// When a row's first job was submitted, and which number it has there: what is smaller is older.
pub(crate) type Age = (u64, u64);

impl Front {
    pub(super) fn new() -> Self {
        Front { oldest: AtomicU64::new(0), rows: Mutex::new(Rows::default()) }
    }

    /// The number of the oldest entry; 0: there is none.
    #[inline]
    pub(super) fn oldest(&self) -> u64 {
        self.oldest.load(Ordering::Relaxed)
    }

    /// Changes the list. Relaxed: the lock, and what the lane's word says (`lanes` I1), hand over all
    /// that matters.
    fn change<R>(&self, f: impl FnOnce(&mut Rows) -> R) -> R {
        let mut rows = lock(&self.rows);
        let result = f(&mut rows);
        let oldest = rows.list.front().map_or(0, |oldest| oldest.number);
        self.oldest.store(oldest, Ordering::Relaxed);
        result
    }

    /// Lists a row. Returns the number of its entry.
    pub(super) fn add(&self, row: JobRef, is_outside: bool, age: Age) -> u64 {
        self.change(|rows| {
            rows.last += 1;
            let number = rows.last;
            // There are few, and it is younger than most.
            let younger = rows.list.iter().rev().take_while(|listed| listed.age > age).count();
            let at = rows.list.len() - younger;
            rows.list.insert(at, Listed { number, row, is_outside, age });
            number
        })
    }

    /// The oldest row, or the oldest from outside, which stays listed, and the number of its entry.
    /// `keep` is called for what is given away, while nobody can take the entry off.
    pub(super) fn look(
        &self,
        only_outside: bool,
        keep: impl FnOnce(JobRef),
    ) -> Option<(u64, JobRef)> {
        if self.oldest() == 0 {
            return None;
        }
        let rows = lock(&self.rows);
        let oldest = rows.list.iter().find(|listed| listed.is_outside || !only_outside)?;
        keep(oldest.row);
        Some((oldest.number, oldest.row))
    }

    /// Takes an entry off. `None`: somebody else has.
    pub(super) fn remove(&self, number: u64) -> Option<JobRef> {
        self.change(|rows| {
            let at = rows.list.iter().position(|listed| listed.number == number)?;
            rows.list.remove(at).map(|listed| listed.row)
        })
    }

    /// Takes the oldest off: for the end of a pool.
    pub(super) fn pop(&self) -> Option<JobRef> {
        self.change(|rows| rows.list.pop_front()).map(|oldest| oldest.row)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::engine::worker::Worker;
    use std::ptr;

    /// A row that is told by its address only.
    fn row(at: usize) -> JobRef {
        fn run(_: *const (), _: &Worker) {}
        JobRef { data: ptr::without_provenance(at), run }
    }

    fn oldest(front: &Front, only_outside: bool) -> Option<usize> {
        front.look(only_outside, |_| ()).map(|(_, row)| row.data.addr())
    }

    #[test]
    fn the_oldest_comes_first_whenever_it_was_listed() {
        let front = Front::new();
        assert_eq!((front.oldest(), oldest(&front, false)), (0, None));
        let second = front.add(row(2), false, (10, 2));
        let third = front.add(row(3), true, (11, 1));
        let first = front.add(row(1), false, (10, 1));
        assert_eq!(front.oldest(), first);
        assert_eq!((oldest(&front, false), oldest(&front, true)), (Some(1), Some(3)));
        // Once, and no other.
        assert_eq!(front.remove(first).map(|row| row.data.addr()), Some(1));
        assert!(front.remove(first).is_none());
        assert_eq!((front.oldest(), oldest(&front, false)), (second, Some(2)));
        assert_eq!(front.remove(third).map(|row| row.data.addr()), Some(3));
        assert_eq!(oldest(&front, true), None);
        // A row may be there twice.
        let again = front.add(row(2), false, (10, 2));
        assert!(front.remove(second).is_some());
        assert_eq!(front.oldest(), again);
        assert!(front.pop().is_some() && front.pop().is_none());
        assert_eq!(front.oldest(), 0);
    }
}
