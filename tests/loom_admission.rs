//! Models of the admission, explored exhaustively by loom:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release --test loom_admission
//! ```
//!
//! `Doors` is the code that ships, `policy::admission::line` and `tokens`. Where twins leave out a
//! step, its use of the tokens is mirrored by `Door`: they must fail, see `tests/loom.rs`.
#![cfg(loom)]

#[path = "common/models.rs"]
mod models;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use models::{DEADLOCK, assert_caught, explore};
use windlass::model::{Doors, InLine, Purse};

const ONE: &[(u16, u64)] = &[(0, 1)];

/// Counts who is in.
struct Room {
    doors: Doors,
    inside: AtomicUsize,
    most: usize,
}

impl Room {
    fn new(limit: u64, shards: usize, batch: u64) -> Arc<Room> {
        let doors = Doors::new(&[limit], shards, batch);
        Arc::new(Room { doors, inside: AtomicUsize::new(0), most: limit as usize })
    }

    /// Somebody is in, and goes.
    fn visit(&self, shard: usize) {
        let inside = self.inside.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(inside <= self.most, "{inside} are in");
        self.inside.fetch_sub(1, Ordering::Relaxed);
        self.doors.give(ONE, shard);
    }
}

fn spawn<R: 'static>(
    room: &Arc<Room>,
    f: impl FnOnce(&Room) -> R + 'static,
) -> thread::JoinHandle<R> {
    let room = Arc::clone(room);
    thread::spawn(move || f(&room))
}

/// I1: never more than the limit, be the tokens in the centre or in shards.
#[test]
fn as_many_are_in_as_the_limit_says() {
    for batch in [0, 1] {
        explore(3, move || {
            let room = Room::new(1, 2, batch);
            let others: Vec<_> = (0..2)
                .map(|shard| {
                    spawn(&room, move |room| {
                        if room.doors.try_enter(ONE, shard) {
                            room.visit(1 - shard);
                        }
                    })
                })
                .collect();
            if room.doors.try_enter(ONE, 0) {
                room.visit(0);
            }
            others.into_iter().for_each(|other| other.join().unwrap());
            assert_eq!(room.doors.left(0), 1);
        });
    }
}

/// I1: who looks everywhere finds what is there, though others take theirs along.
#[test]
fn nobody_is_refused_while_there_is_room() {
    explore(3, || {
        let room = Room::new(2, 2, 1);
        let other = spawn(&room, |room| room.doors.try_enter(ONE, 0));
        assert!(room.doors.try_enter(ONE, 1));
        assert!(other.join().unwrap());
        assert_eq!(room.doors.left(0), 0);
    });
}

/// I3: what is given back is found by who waits, or given to it.
#[test]
fn who_waits_is_let_in() {
    for batch in [0, 1] {
        explore(3, move || {
            let room = Room::new(1, 2, batch);
            assert!(room.doors.try_enter(ONE, 0));
            let waits: Vec<_> = (0..2)
                .map(|shard| {
                    spawn(&room, move |room| {
                        room.doors.enter_and_wait(ONE, shard);
                        room.visit(shard);
                    })
                })
                .collect();
            room.visit(1);
            waits.into_iter().for_each(|waits| waits.join().unwrap());
            assert_eq!(room.doors.left(0), 1);
        });
    }
}

/// W9: who goes while it waits, or when it has just been let in, leaves its room to the next.
#[test]
fn who_goes_leaves_its_room_to_the_next() {
    explore(3, || {
        let room = Room::new(1, 1, 0);
        assert!(room.doors.try_enter(ONE, 0));
        let first: Option<InLine> = room.doors.enter(ONE, 0);
        let first = first.expect("there is no room");
        let goes = spawn(&room, move |room| {
            if room.doors.withdraw(&first) {
                room.visit(0);
            }
        });
        let next = spawn(&room, |room| {
            room.doors.enter_and_wait(ONE, 0);
            room.visit(0);
        });
        room.visit(0);
        goes.join().unwrap();
        next.join().unwrap();
        assert_eq!(room.doors.left(0), 1);
    });
}

/// Who needs of two limits waits for the one and then for the other, and holds neither meanwhile.
#[test]
fn who_needs_two_things_gets_both() {
    explore(2, || {
        let doors = Arc::new(Doors::new(&[1, 1], 1, 0));
        assert!(doors.try_enter(&[(0, 1)], 0) && doors.try_enter(&[(1, 1)], 0));
        let spawn = |f: fn(&Doors)| {
            let doors = Arc::clone(&doors);
            thread::spawn(move || f(&doors))
        };
        let both = spawn(|doors| {
            doors.enter_and_wait(&[(0, 1), (1, 1)], 0);
            doors.give(&[(0, 1), (1, 1)], 0);
        });
        let one = spawn(|doors| doors.give(&[(1, 1)], 0));
        doors.give(&[(0, 1)], 0);
        both.join().unwrap();
        one.join().unwrap();
        assert_eq!((doors.left(0), doors.left(1)), (1, 1));
    });
}

/// I4: what was taken beyond the limit is made good before anybody else is let in.
#[test]
fn a_debt_is_paid_first() {
    explore(3, || {
        let room = Room::new(1, 2, 1);
        room.doors.force(&[(0, 2)]);
        let other = spawn(&room, |room| {
            room.doors.enter_and_wait(ONE, 1);
            room.visit(1);
        });
        let pays = spawn(&room, |room| room.doors.give(ONE, 0));
        assert!(!room.doors.try_enter(&[(0, 1), (0, 1)], 0), "there is never as much");
        room.doors.give(ONE, 1);
        other.join().unwrap();
        pays.join().unwrap();
        assert_eq!(room.doors.left(0), 1);
    });
}

/// Who needs more than there is gets it in the end, past those who need less.
#[test]
fn who_needs_much_gets_it() {
    explore(2, || {
        let doors = Arc::new(Doors::new(&[2], 2, 1));
        assert!(doors.try_enter(&[(0, 1)], 0));
        let heavy = {
            let doors = Arc::clone(&doors);
            thread::spawn(move || {
                doors.enter_and_wait(&[(0, 2)], 0);
                doors.give(&[(0, 2)], 0);
            })
        };
        if doors.try_enter(ONE, 1) {
            doors.give(ONE, 1);
        }
        doors.give(ONE, 0);
        heavy.join().unwrap();
        assert_eq!(doors.left(0), 2);
    });
}

// ---- the twins

/// What a twin leaves out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// Saying that it waits before it looks for the last time.
    SayingSoFirst,
    /// The read-modify-writes of the last look.
    TheLastLook,
    /// The look of whoever gives back.
    TheLookOfTheGiver,
}

/// One waiter and its purse, as in `Limits`.
struct Door {
    purse: Purse,
    lines: Mutex<bool>,
    is_in: Mutex<bool>,
    wake: Condvar,
    without: Without,
}

impl Door {
    fn enter_and_wait(&self, shard: usize) {
        if self.purse.take_here(1, shard) {
            return;
        }
        let mut waits = self.lines.lock().unwrap();
        if self.without != Without::SayingSoFirst {
            self.purse.add_waiting();
        }
        let is_last = self.without != Without::TheLastLook;
        let found = self.purse.take_anywhere(1, shard, is_last);
        if self.without == Without::SayingSoFirst {
            self.purse.add_waiting();
        }
        if found {
            self.purse.remove_waiting();
            return;
        }
        *waits = true;
        drop(waits);
        let mut is_in = self.is_in.lock().unwrap();
        while !*is_in {
            is_in = self.wake.wait(is_in).unwrap();
        }
    }

    fn give(&self, shard: usize) {
        if !self.purse.give(1, shard) || self.without == Without::TheLookOfTheGiver {
            return;
        }
        let mut waits = self.lines.lock().unwrap();
        if *waits && self.purse.take_anywhere(1, shard, true) {
            *waits = false;
            self.purse.remove_waiting();
            drop(waits);
            *self.is_in.lock().unwrap() = true;
            self.wake.notify_one();
        }
    }
}

fn one_waits(without: Without) {
    let door = Arc::new(Door {
        purse: Purse::new(1, 2, 1),
        lines: Mutex::new(false),
        is_in: Mutex::new(false),
        wake: Condvar::new(),
        without,
    });
    assert!(door.purse.take_anywhere(1, 0, false));
    let waits = {
        let door = Arc::clone(&door);
        thread::spawn(move || door.enter_and_wait(1))
    };
    door.give(0);
    waits.join().unwrap();
    assert_eq!(door.purse.left(), 0);
}

#[test]
fn the_one_that_waits_is_let_in() {
    explore(3, || one_waits(Without::Nothing));
}

#[test]
fn twin_it_looks_before_it_says_that_it_waits() {
    assert_caught("twin_it_looks_before_it_says_that_it_waits", DEADLOCK, 3, || {
        one_waits(Without::SayingSoFirst);
    });
}

#[test]
fn twin_its_last_look_only_reads() {
    assert_caught("twin_its_last_look_only_reads", DEADLOCK, 3, || {
        one_waits(Without::TheLastLook);
    });
}

#[test]
fn twin_who_gives_back_does_not_look() {
    assert_caught("twin_who_gives_back_does_not_look", DEADLOCK, 3, || {
        one_waits(Without::TheLookOfTheGiver);
    });
}
