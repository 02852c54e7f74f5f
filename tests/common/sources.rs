//! Sources without threads: eaten as a driver might, at random.
#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use windlass::iter::{IndexedSource, ParallelIterator, Source};

/// Random numbers, below what is asked for.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(self.0) * n as u128) >> 64) as usize
    }
}

/// Eats a source in batches and parts of random sizes.
pub(crate) fn eat<S: Source>(mut source: S, dice: &mut Dice, out: &mut Vec<S::Item>) {
    while !source.is_empty() {
        let len = source.len();
        if dice.below(4) == 0 {
            let at = dice.below(len + 1);
            let (left, right) = source.split_at(at);
            assert!(at > 0 || left.is_empty());
            assert!(at < len || right.is_empty());
            eat(left, dice, out);
            source = right;
        } else {
            let most = if dice.below(2) == 0 { len.min(9) } else { len };
            let (n, before) = (dice.below(most + 1), out.len());
            out.extend(source.take_front(n));
            assert!(n > 0 || (out.len() == before && source.len() == len));
            assert!(source.len() <= len - n.min(1));
        }
    }
}

/// The same from both ends, with every count checked.
pub(crate) fn eat_both<S: IndexedSource>(mut source: S, dice: &mut Dice, out: &mut Vec<S::Item>) {
    let mut back = Vec::new();
    while !source.is_empty() {
        let len = source.len();
        match dice.below(5) {
            0 => {
                let at = dice.below(len + 1);
                let (left, right) = source.split_at(at);
                assert_eq!((left.len(), right.len()), (at, len - at));
                eat_both(left, dice, out);
                source = right;
            }
            turn => {
                let most = if dice.below(2) == 0 { len.min(5) } else { len };
                let n = dice.below(most + 1);
                let side = if turn < 3 { &mut *out } else { &mut back };
                let before = side.len();
                if turn < 3 {
                    side.extend(source.take_front(n))
                } else {
                    side.extend(source.take_back(n))
                }
                assert_eq!((side.len() - before, source.len()), (n, len - n));
            }
        }
    }
    out.extend(back.into_iter().rev());
}

/// Runs a loop until the two items that `is_end` holds for have been in it at the same time. That
/// is not the first time if the loop has been a short one before.
pub(crate) fn meet<I: ParallelIterator>(
    make: impl Fn() -> I,
    is_end: impl Fn(&I::Item) -> bool + Sync,
) {
    let (num_here, have_met) = (AtomicUsize::new(0), AtomicBool::new(false));
    while !have_met.load(Ordering::SeqCst) {
        make().for_each(|item| {
            if !is_end(&item) {
                return;
            }
            num_here.fetch_add(1, Ordering::SeqCst);
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(20) {
                if num_here.load(Ordering::SeqCst) == 2 {
                    have_met.store(true, Ordering::SeqCst);
                }
                std::thread::yield_now();
            }
            num_here.fetch_sub(1, Ordering::SeqCst);
        });
    }
}
