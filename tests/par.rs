//! The `par_*` functions do what the plain loop does, in its order, and drop everything exactly once.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use proptest::prelude::*;
use std::collections::HashSet;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;
use windlass::{Pool, iter::IntoParallelIterator};

fn pools() -> &'static [Pool] {
    static POOLS: OnceLock<Vec<Pool>> = OnceLock::new();
    POOLS.get_or_init(|| WIDTHS.into_iter().map(|width| Pool::new(width).unwrap()).collect())
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(scale(100) as u32) }
}

fn items() -> impl Strategy<Value = Vec<u32>> {
    let len = prop_oneof![0..4_usize, 4..100_usize, 100..5_000_usize];
    len.prop_flat_map(|len| proptest::collection::vec(any::<u32>(), len))
}

fn mix(n: u32) -> u64 {
    u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_function_gives_what_the_plain_loop_gives(
        v in items(), size in 1..70_usize, bad in any::<prop::sample::Index>(), one_in in 1..500_u32,
    ) {
        let expected: Vec<u64> = v.iter().map(|&n| mix(n)).collect();
        for pool in pools() {
            watchdog(pool, || {
                assert_eq!(pool.par_map(&v, |&n| mix(n)), expected);
                assert_eq!(pool.par_map(&v[..], |&n| mix(n)), expected);
                assert_eq!(pool.par_map(v.clone(), mix), expected);
                let (mut twice, mut once) = (v.clone(), v.clone());
                once.iter_mut().for_each(|n| *n = n.wrapping_mul(2));
                pool.par_for_each(&mut twice, |n| *n = n.wrapping_mul(2));
                assert_eq!(twice, once);
                let mapped = pool.par_map(&mut twice[..], std::mem::take);
                assert_eq!((mapped, twice.iter().all(|&n| n == 0)), (once, true));

                let sum = pool.par_map_reduce(&v, |&n| mix(n), || 0, u64::wrapping_add);
                assert_eq!(sum, expected.iter().copied().fold(0, u64::wrapping_add));
                let text = pool.par_map_reduce(&v, |n| n.to_string(), String::new, |a, b| a + &b);
                assert_eq!(text, v.iter().map(u32::to_string).collect::<String>());

                let chunks: Vec<Vec<u32>> = v.chunks(size).map(<[u32]>::to_vec).collect();
                assert_eq!(pool.par_chunks(&v, size, <[u32]>::to_vec), chunks);
                let (mut cells, mut rows) = (v.clone(), v.clone());
                rows.chunks_mut(size).enumerate().for_each(|(i, row)| row.fill(i as u32));
                pool.par_chunks_mut(&mut cells, size, |i, row| row.fill(i as u32));
                assert_eq!(cells, rows);

                let check = |n: &u32| if n.is_multiple_of(one_in) { Err(*n) } else { Ok(mix(*n)) };
                let plain: Result<Vec<u64>, u32> = v.iter().map(check).collect();
                assert_eq!(pool.try_par_map(&v, check), plain);
                assert_eq!(pool.try_par_for_each(&v, |n| check(n).map(drop)), plain.map(drop));
                if !v.is_empty() {
                    let bad = bad.index(v.len());
                    let found = pool.try_par_for_each(0..v.len(), |i| if i < bad { Ok(()) } else { Err(i) });
                    assert_eq!(found, Err(bad));
                }
            });
        }
    }

    #[test]
    fn ranges_of_every_integer_type_run_like_plain_ranges(
        a in any::<(u8, i8, u16, i16)>(), b in any::<(u8, i8, u16, i16)>(),
        start in any::<(i32, u32, i64, u64, isize, usize)>(), len in 0..3_000_u16,
    ) {
        check_range(a.0..b.0);
        check_range(a.1..b.1);
        check_range(a.2..b.2);
        check_range(a.3..b.3);
        check_range(start.0..start.0.saturating_add(i32::from(len)));
        check_range(start.1..start.1.saturating_add(u32::from(len)));
        check_range(start.2..start.2.saturating_add(i64::from(len)));
        check_range(start.3..start.3.saturating_add(u64::from(len)));
        check_range(start.4..start.4.saturating_add(len as isize));
        check_range(start.5..start.5.saturating_add(usize::from(len)));
        check_range(start.0..start.0.saturating_sub(i32::from(len)));
    }
}

fn check_range<T: Copy + Debug + PartialEq + Send>(range: Range<T>)
where
    Range<T>: IntoParallelIterator<Item = T> + Iterator<Item = T>,
{
    for pool in pools() {
        watchdog(pool, || {
            let seen = pool.par_map(range.clone(), |n| n);
            assert!(range.clone().eq(seen), "{range:?}");
        });
    }
}

#[test]
fn the_widest_and_the_empty_ranges_work() {
    check_range(i8::MIN..i8::MAX);
    check_range(-100_i8..100);
    check_range(u8::MIN..u8::MAX);
    check_range(i16::MIN..i16::MAX);
    check_range(u16::MIN..u16::MAX);
    check_range(5..5_i32);
    #[expect(clippy::reversed_empty_ranges, reason = "an empty range is the case")]
    check_range(i32::MAX..i32::MIN);
    check_range(u64::MAX - 3..u64::MAX);
    check_range(i64::MIN..i64::MIN + 3);
    // Too long to run, but an error ends it early.
    let pool = &pools()[0];
    let first = |n: i32| if n < i32::MIN + 10 { Ok(()) } else { Err(n) };
    watchdog(pool, || {
        assert_eq!(pool.try_par_for_each(i32::MIN..i32::MAX, first), Err(i32::MIN + 10));
    });
}

#[test]
fn arrays_of_every_kind_work() {
    at_each_width(|pool| {
        assert_eq!(pool.par_map([1, 2, 3], |n| n * 2), [2, 4, 6]);
        assert_eq!(pool.par_map(&[1, 2, 3], |n| n * 2), [2, 4, 6]);
        assert_eq!(pool.par_map([String::from("a")], |s| s + "b"), ["ab"]);
        assert_eq!(pool.par_map([0_u8; 0], |n| n), []);
        let mut cells = [1; 100];
        pool.par_for_each(&mut cells, |n| *n += 1);
        assert_eq!(cells, [2; 100]);
    });
}

#[test]
fn zero_sized_and_big_values_work() {
    at_each_width(|pool| {
        let n = scale(100_000);
        assert_eq!(pool.par_map(vec![(); n], |()| ()).len(), n);
        assert_eq!(pool.par_map(0..n, |_| ()).len(), n);
        let (in_order, mut units) = (AtomicUsize::new(0), vec![(); n]);
        pool.par_for_each(&mut units, |()| _ = in_order.fetch_add(1, Ordering::Relaxed));
        assert_eq!(in_order.into_inner(), n);
        assert_eq!(pool.par_chunks(&units, 7, <[()]>::len).iter().sum::<usize>(), n);
        assert_eq!(pool.par_chunks(&units, usize::MAX, <[()]>::len), [n]);
        let pages = pool.par_map(0..1000_u16, |n| [n; 2048]);
        assert!(pages.iter().zip(0..).all(|(page, n)| *page == [n; 2048]));
        assert_eq!(pool.par_map(pages, |page| page[2047]), (0..1000).collect::<Vec<_>>());
    });
}

#[test]
fn a_zero_sized_value_with_a_destructor_is_dropped_once() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    struct Unit;
    impl Drop for Unit {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::SeqCst);
        }
    }
    at_each_width(|pool| {
        let made = AtomicUsize::new(0);
        DROPS.store(0, Ordering::SeqCst);
        for bad in [0, 1, 500, 999, 1000] {
            let result = pool.try_par_map(0..1000, |n| {
                if n == bad {
                    return Err(());
                }
                made.fetch_add(1, Ordering::SeqCst);
                Ok(Unit)
            });
            assert_eq!(result.is_err(), bad < 1000);
            drop(result);
            assert_eq!(DROPS.load(Ordering::SeqCst), made.load(Ordering::SeqCst));
        }
    });
}

/// Every item and every result is dropped once, wherever the loop panics.
#[test]
fn a_panic_at_any_item_drops_every_item_and_result_once() {
    at_each_width(|pool| {
        let n = 61;
        // At n nothing panics. Some rounds are slow, so that the loop is shared.
        for (bad, slow) in (0..=n).flat_map(|bad| [(bad, false), (bad, true)]) {
            let (items, results, calls) = (Drops::new(n), Drops::new(n), Drops::new(n));
            let owned: Vec<Item<'_>> = (0..n).map(|i| items.item(i)).collect();
            let map = |item: Item<'_>| {
                drop(calls.item(item.index));
                if slow {
                    work_for(Duration::from_micros(3));
                }
                if item.index == bad { throw(bad) } else { results.item(item.index) }
            };
            if bad == n {
                assert!(pool.par_map(owned, map).iter().zip(0..).all(|(r, i)| r.index == i));
            } else {
                assert_eq!(caught::<usize, _>(|| pool.par_map(owned, map)), bad);
            }
            items.assert_each_once();
            for i in 0..n {
                assert_eq!(results.count(i), calls.count(i) - usize::from(i == bad), "result {i}");
            }
            // A plain loop would have gone as far.
            assert!((0..bad).all(|i| calls.count(i) == 1) || pool.num_workers() > 1);
        }
    });
}

#[test]
fn many_panics_and_many_errors_drop_every_value_once() {
    at_each_width(|pool| {
        for round in 0..scale(100) {
            let n = 200 + round;
            let (items, live) = (Drops::new(n), Live::default());
            let owned: Vec<Item<'_>> = (0..n).map(|i| items.item(i)).collect();
            let thrown: usize = caught(|| {
                pool.par_map(owned, |item| {
                    if item.index % 50 == 7 { throw(item.index) } else { live.token() }
                })
            });
            assert_eq!(thrown % 50, 7);
            items.assert_each_once();
            live.assert_none();

            let (items, errors) = (Drops::new(n), Live::default());
            let owned: Vec<Item<'_>> = (0..n).map(|i| items.item(i)).collect();
            let first = pool.try_par_map(owned, |item| match (item.index + round) % 40 {
                39 => Err((item.index, errors.token())),
                _ => Ok(live.token()),
            });
            assert_eq!(first.expect_err("it must fail").0, 39 - round % 40);
            items.assert_each_once();
            live.assert_none();
            errors.assert_none();
        }
    });
}

#[test]
fn as_many_long_items_as_workers_are_run_at_the_same_time() {
    let pool = Pool::new(8).unwrap();
    watchdog(&pool, || {
        let meeting = Meeting::of(8);
        // Each waits for all others: nobody is answered by one that has begun. This is the first
        // loop from here, so nothing is known of how long its items take.
        pool.par_for_each(0..8, |_| meeting.attend());
    });
}

#[test]
fn a_panic_in_reduce_drops_every_value_once() {
    at_each_width(|pool| {
        // A hundred items are combined 99 times.
        for bad in 0..scale(99) {
            let (items, live, calls) = (Drops::new(100), Live::default(), AtomicUsize::new(0));
            let owned: Vec<Item<'_>> = (0..100).map(|i| items.item(i)).collect();
            let thrown = caught::<&str, _>(|| {
                pool.par_map_reduce(
                    owned,
                    |_| live.token(),
                    || live.token(),
                    |a, _| {
                        if calls.fetch_add(1, Ordering::SeqCst) == bad { throw("bad") } else { a }
                    },
                )
            });
            assert_eq!(thrown, "bad");
            items.assert_each_once();
            live.assert_none();
        }
    });
}

#[test]
fn the_error_is_the_first_in_the_order_of_the_items() {
    at_each_width(|pool| {
        for round in 0..scale(300) as u64 {
            let n = 2_000;
            let is_bad =
                |i: u64| (i + 1).wrapping_mul(round.wrapping_mul(0x9e37_79b9) | 1) >> 3 & 63 == 5;
            let expected = (0..n).find(|&i| is_bad(i));
            let result = pool.try_par_for_each(0..n, |i| {
                if i % 128 == 0 {
                    work_for(Duration::from_micros(2));
                }
                if is_bad(i) { Err(i) } else { Ok(()) }
            });
            assert_eq!(result.err(), expected);
        }
    });
}

#[test]
fn items_after_an_early_error_are_mostly_not_tried() {
    at_each_width(|pool| {
        // The first call has no history, later ones have.
        for _ in 0..5 {
            let (n, calls) = (scale(1_000_000), AtomicUsize::new(0));
            let result = pool.try_par_for_each(0..n, |i| {
                calls.fetch_add(1, Ordering::Relaxed);
                if i == 3 { Err(i) } else { Ok(()) }
            });
            assert_eq!(result, Err(3));
            let calls = calls.into_inner();
            // With one thread only the rest of the error's batch may run.
            let most = if pool.num_workers() == 1 { n / 2 } else { n };
            assert!(calls < most, "{calls} of {n} items were tried");
        }
    });
}

#[test]
fn a_panicking_function_in_a_fallible_loop_panics() {
    at_each_width(|pool| {
        for bad in 0..scale(50) {
            let live = Live::default();
            let thrown: usize = caught(|| {
                pool.try_par_map(0..100_usize, |i| -> Result<Token<'_>, ()> {
                    if i == bad { throw(i) } else { Ok(live.token()) }
                })
            });
            assert_eq!(thrown, bad);
            live.assert_none();
        }
    });
}

/// P3: whatever a destructor throws, nobody hangs or aborts, and everybody else works on.
#[test]
fn a_panic_in_a_destructor_is_a_panic_of_the_loop() {
    struct Bomb(bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            if self.0 && !std::thread::panicking() {
                throw("bomb");
            }
        }
    }
    at_each_width(|pool| {
        for bad in 0..scale(40) {
            let items: Vec<Bomb> = (0..40).map(|i| Bomb(i == bad)).collect();
            assert_eq!(caught::<&str, _>(|| pool.par_for_each(items, drop)), "bomb");
            assert_eq!(pool.par_map(0..10, |n| n).len(), 10);
        }
    });
}

#[test]
fn chunks_of_no_items_panic() {
    let pool = &pools()[1];
    let message = |f: &dyn Fn()| caught::<&str, _>(f);
    let old = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let chunks = message(&|| _ = pool.par_chunks(&[1, 2], 0, <[i32]>::len));
    let chunks_mut = message(&|| pool.par_chunks_mut(&mut [1, 2], 0, |_, _| ()));
    std::panic::set_hook(old);
    assert!(chunks.contains("at least 1") && chunks_mut.contains("at least 1"));
}

#[test]
fn loops_nest() {
    at_each_width(|pool| {
        for _ in 0..scale(30) {
            let table =
                pool.par_map(0..30_u64, |row| windlass::par_map(0..40_u64, |col| row * col));
            assert!(
                table
                    .iter()
                    .zip(0..)
                    .all(|(cells, row)| cells.iter().zip(0..).all(|(&c, col)| c == row * col))
            );
            let sums = pool.par_map(0..6_u64, |a| {
                let inner = windlass::par_map(0..6_u64, |b| {
                    windlass::par_map_reduce(0..6_u64, |c| a * b * c, || 0, |x, y| x + y)
                });
                inner.into_iter().sum::<u64>()
            });
            assert_eq!(sums, (0..6).map(|a| a * 225).collect::<Vec<_>>());
        }
    });
}

#[test]
fn two_items_run_at_the_same_time_on_the_very_first_call() {
    fn once<const WIDTH: usize>() {
        let pool = Pool::new(WIDTH).unwrap();
        watchdog(&pool, || {
            let meeting = Meeting::of(2);
            pool.par_for_each(0..2, |_| meeting.attend());
            let meeting = Meeting::of(2);
            assert_eq!(pool.par_map(&[1, 2], |&n| (meeting.attend(), n).1), [1, 2]);
        });
    }
    once::<2>();
    once::<3>();
    once::<8>();
}

#[test]
fn a_long_loop_is_shared_with_every_worker() {
    for width in [2, 3, 8] {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            let seen = Mutex::new(HashSet::new());
            let most = AtomicUsize::new(0);
            // Uneven items. As many calls as it takes, mostly one.
            while most.load(Ordering::Relaxed) < width {
                seen.lock().unwrap().clear();
                pool.par_for_each(0..400_u64, |i| {
                    seen.lock().unwrap().insert(std::thread::current().id());
                    // No item ends before a second thread has come.
                    while seen.lock().unwrap().len() < 2 {
                        std::thread::yield_now();
                    }
                    work_for(Duration::from_micros(i % 7 * 40));
                });
                most.fetch_max(seen.lock().unwrap().len(), Ordering::Relaxed);
            }
        });
    }
}

#[test]
fn a_loop_that_turns_out_long_after_all_is_shared() {
    for width in [2, 3, 8] {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            let late = AtomicUsize::new(usize::MAX);
            let seen = Mutex::new(HashSet::new());
            let item = |i: usize| {
                if i < late.load(Ordering::Relaxed) {
                    return;
                }
                work_for(Duration::from_micros(50));
                seen.lock().unwrap().insert(std::thread::current().id());
            };
            // The history of this call site: very short.
            (0..100).for_each(|_| pool.par_for_each(0..500_usize, item));
            late.store(0, Ordering::Relaxed);
            // As many as it takes; each has an item a while, so the second thread has time to come.
            while seen.lock().unwrap().len() < 2 {
                pool.par_for_each(0..500_usize, item);
            }
        });
    }
}
