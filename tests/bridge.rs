//! Ordinary iterators in parallel: every item once, never far ahead of the loop, whatever they do.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use proptest::prelude::*;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::Duration;
use windlass::Pool;
use windlass::prelude::*;

/// What a worker takes from an iterator that promises much, at most.
const LOOK_AHEAD: usize = 1024;

fn pools() -> &'static [Pool] {
    static POOLS: OnceLock<Vec<Pool>> = OnceLock::new();
    POOLS.get_or_init(|| WIDTHS.into_iter().map(|width| Pool::new(width).unwrap()).collect())
}

fn in_each_pool(body: impl Fn() + Sync) {
    for pool in pools() {
        watchdog(pool, || pool.install(&body));
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(scale(60) as u32) }
}

/// Numbers below `len`; its size hint is exact, unknown, or plainly wrong.
fn numbers(len: usize, hint: u8) -> impl Iterator<Item = usize> + Send + Clone {
    #[derive(Clone)]
    struct Liar(std::ops::Range<usize>, (usize, Option<usize>));
    impl Iterator for Liar {
        type Item = usize;
        fn next(&mut self) -> Option<usize> {
            self.0.next()
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            self.1
        }
    }
    let hint = match hint {
        0 => (len, Some(len)),
        1 => (0, None),
        2 => (0, Some(len)),
        3 => (2 * len, Some(2 * len)),
        _ => (0, Some(len / 2)),
    };
    Liar(0..len, hint)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_item_comes_once_whatever_the_iterator_says_of_its_length(
        len in prop_oneof![0..4_usize, 4..3_000_usize], hint in 0..5_u8, slow in 1..2_000_usize,
    ) {
        in_each_pool(|| {
            let items = numbers(len, hint).par_bridge();
            let mut all: Vec<usize> = items.clone().inspect(|&n| {
                if n % slow == 0 {
                    work_for(Duration::from_micros(50));
                }
            }).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..len));
            assert_eq!(items.clone().map(|n| n + 1).max(), Some(len).filter(|&n| n > 0));
            let many = items.clone().with_look_ahead(slow);
            assert_eq!(many.filter(|n| n % 2 == 0).count(), len.div_ceil(2));
            assert_eq!(items.clone().take_any(7).count(), len.min(7));
            let mut all: Vec<usize> = items.clone().flat_map(|n| [n, n]).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq((0..2 * len).map(|n| n / 2)));
            let all: HashSet<usize> = items.clone().into_seq_iter().collect();
            assert_eq!(all.len(), len);
            let mut count = 0;
            items.clone().for_each_ordered(|_| count += 1);
            assert_eq!(count, len);
            assert_eq!(items.find_any(|&n| n + 1 == len), len.checked_sub(1));
        });
    }
}

/// Runs a loop over many items and says how far the iterator was ahead of it at most. The iterator
/// promises its items, or does not.
fn furthest_ahead(is_promised: bool, look_ahead: Option<usize>) -> usize {
    let len = scale(200_000);
    let [pulled, begun, furthest] = [const { AtomicUsize::new(0) }; 3];
    let numbers = (0..len).inspect(|_| _ = pulled.fetch_add(1, Ordering::SeqCst));
    let numbers: Box<dyn Iterator<Item = usize> + Send> =
        if is_promised { Box::new(numbers) } else { Box::new(numbers.filter(|_| true)) };
    let bridge = numbers.par_bridge();
    let bridge = match look_ahead {
        Some(n) => bridge.with_look_ahead(n),
        None => bridge,
    };
    bridge.for_each(|n| {
        begun.fetch_add(1, Ordering::SeqCst);
        // In this order: what happens in between makes it less, not more.
        let pulled = pulled.load(Ordering::SeqCst);
        let ahead = pulled.saturating_sub(begun.load(Ordering::SeqCst));
        furthest.fetch_max(ahead, Ordering::SeqCst);
        // Cheap ones, so that batches are long, and then one that is not.
        if n % 10_000 == 9_999 {
            work_for(Duration::from_micros(500));
        }
    });
    assert_eq!(begun.into_inner(), len);
    furthest.into_inner()
}

#[test]
fn the_iterator_is_never_far_ahead_of_the_loop() {
    at_each_width(|pool| {
        // A waiter that resumes may be one more than the width.
        let threads = pool.num_workers() + 1;
        let check = |is_promised, look_ahead, bound| {
            let ahead = pool.install(|| furthest_ahead(is_promised, look_ahead));
            assert!(ahead <= threads * bound, "{ahead} ahead of {threads} times {bound}");
        };
        check(true, None, LOOK_AHEAD);
        check(false, None, 1);
        check(true, Some(0), 1);
        check(false, Some(10), 10);
    });
}

#[test]
fn items_of_a_channel_do_not_wait_for_others_to_come() {
    at_each_width(|pool| {
        let (to_loop, items) = mpsc::channel();
        let (done, is_done) = mpsc::channel();
        let producer = std::thread::spawn(move || {
            // Cheap ones at first. From there on the next comes when the loop has done the last.
            for n in 0..scale(2_000) {
                to_loop.send(n).unwrap();
                if n >= scale(1_000) {
                    while is_done.recv().unwrap() != n {}
                }
            }
        });
        // The producer may be gone when the last of the cheap ones is done.
        pool.install(|| {
            items.into_iter().par_bridge().for_each(|n| {
                let _ = done.send(n);
            });
        });
        drop(done);
        producer.join().unwrap();
    });
}

#[test]
fn a_bridge_is_shared_between_workers() {
    for width in [2, 3] {
        for is_promised in [false, true] {
            let pool = Pool::new(width).unwrap();
            let threads = Mutex::new(HashSet::new());
            // Until as many threads take part.
            let is_enough = |_: &u32| {
                let mut threads = threads.lock().unwrap();
                threads.insert(std::thread::current().id());
                let is_enough = threads.len() == width;
                drop(threads);
                work_for(Duration::from_micros(20));
                is_enough
            };
            let found = watchdog(&pool, || {
                pool.install(|| match is_promised {
                    true => (0..100_000).par_bridge().find_any(is_enough),
                    false => (0..100_000).filter(|_| true).par_bridge().find_any(is_enough),
                })
            });
            assert!(found.is_some(), "{} of {width} threads", threads.lock().unwrap().len());
        }
    }
}

#[test]
fn an_iterator_that_forks_does_not_deadlock() {
    at_each_width(|pool| {
        for by_loop in [false, true] {
            let mut n = 0;
            let next = || {
                n += 1;
                let heavy = || work_for(Duration::from_micros(30));
                if by_loop {
                    // Long enough to be shared.
                    (0..4).into_par_iter().for_each(|_| heavy());
                } else {
                    windlass::join(|| windlass::join(heavy, heavy), heavy);
                }
                (n <= scale(200)).then_some(n)
            };
            let iter = std::iter::from_fn(next);
            let sum: usize = pool.install(|| {
                iter.par_bridge()
                    .map(|n| {
                        let (a, b) = windlass::join(|| fib(10), || fib(10));
                        assert_eq!(a, b);
                        n
                    })
                    .sum()
            });
            assert_eq!(sum, scale(200) * (scale(200) + 1) / 2);
        }
    });
}

#[test]
fn bridges_within_bridges_end() {
    in_each_pool(|| {
        let inner = |n: usize| (0..n).par_bridge().map(|m| m + 1).sum::<usize>();
        let sum: usize = (0..60).par_bridge().map(inner).sum();
        assert_eq!(sum, (0..60).map(|n| n * (n + 1) / 2).sum());
        // An iterator whose items are made by another bridge.
        let sum: usize = (0..60).map(inner).par_bridge().sum();
        assert_eq!(sum, (0..60).map(|n| n * (n + 1) / 2).sum());
    });
}

#[test]
fn a_panic_in_the_iterator_ends_the_loop_and_the_iterator_is_not_asked_again() {
    in_each_pool(|| {
        for bad in (0..100).step_by(9) {
            for is_known in [false, true] {
                let (drops, has_thrown) = (Drops::new(100), AtomicBool::new(false));
                let make = |index| {
                    assert!(!has_thrown.load(Ordering::SeqCst), "it is asked again");
                    if index == bad {
                        has_thrown.store(true, Ordering::SeqCst);
                        throw(bad);
                    }
                    drops.item(index)
                };
                let items = (0..100).map(make);
                let thrown: usize = caught(|| {
                    let work = |item: Item<'_>| {
                        if item.index.is_multiple_of(5) {
                            work_for(Duration::from_micros(20));
                        }
                    };
                    if is_known {
                        items.par_bridge().for_each(work);
                    } else {
                        items.filter(|_| true).par_bridge().for_each(work);
                    }
                });
                assert_eq!(thrown, bad);
                assert!((0..100).all(|i| drops.count(i) == usize::from(i < bad)));
            }
        }
    });
}

#[test]
fn a_panic_at_any_item_drops_what_was_taken_once() {
    in_each_pool(|| {
        for bad in (0..100).step_by(9) {
            let (made, drops) = (AtomicUsize::new(0), Drops::new(100));
            let items = (0..100).map(|index| {
                made.fetch_add(1, Ordering::SeqCst);
                drops.item(index)
            });
            let thrown: usize = caught(|| {
                items.par_bridge().for_each(|item| {
                    if item.index == bad {
                        throw(bad);
                    }
                });
            });
            assert_eq!(thrown, bad);
            let made = made.into_inner();
            assert!((0..100).all(|i| drops.count(i) == usize::from(i < made)));
        }
        let drops = Drops::new(100);
        let items: Vec<_> = (0..100).map(|index| drops.item(index)).collect();
        let found = items.into_iter().par_bridge().find_any(|item| item.index == 50);
        assert_eq!(found.as_ref().map(|item| item.index), Some(50));
        drop(found);
        drops.assert_each_once();
    });
}

#[test]
fn an_endless_iterator_ends_with_the_loop() {
    in_each_pool(|| {
        assert_eq!((0..).par_bridge().find_any(|&n| n == 5_000), Some(5_000));
        let n = scale(20_000);
        assert_eq!(std::iter::repeat(1).par_bridge().take_any(n).sum::<usize>(), n);
        let is_err = (0..).par_bridge().try_for_each(|n| if n < 1_000 { Ok(()) } else { Err(n) });
        assert!(is_err.is_err());
        let firsts: HashSet<i32> = (0..).par_bridge().into_seq_iter().take(100).collect();
        assert_eq!(firsts.len(), 100);
    });
}

#[test]
fn the_stack_does_not_grow_with_the_number_of_items() {
    let pool = Pool::new(8).unwrap();
    let places = Mutex::new(std::collections::HashMap::new());
    let note = |n: usize| {
        let mark = 0_u8;
        let place = std::ptr::from_ref(std::hint::black_box(&mark)).addr();
        let mut places = places.lock().unwrap();
        let (low, high) = places.entry(std::thread::current().id()).or_insert((place, place));
        (*low, *high) = (place.min(*low), place.max(*high));
        drop(places);
        // Now and then somebody has nothing to do and asks.
        if n.is_multiple_of(64) {
            std::thread::yield_now();
        }
    };
    watchdog(&pool, || {
        pool.install(|| {
            (0..scale(300_000)).par_bridge().for_each(note);
            (0..scale(300_000)).filter(|_| true).par_bridge().for_each(note);
            std::iter::repeat(1).par_bridge().take_any(scale(300_000)).for_each(note);
        });
    });
    for (low, high) in places.into_inner().unwrap().into_values() {
        assert!(high - low < 128 << 10, "{} bytes of stack", high - low);
    }
}

#[test]
fn a_bridge_shows_its_iterator_and_can_be_cloned() {
    let bridge = vec![1, 2].into_iter().par_bridge();
    assert_eq!(format!("{bridge:?}"), "IterBridge { iter: Some(IntoIter([1, 2])), .. }");
    assert_eq!(bridge.clone().sum::<i32>() + bridge.sum::<i32>(), 6);
}
