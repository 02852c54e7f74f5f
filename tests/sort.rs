//! The parallel sorts order what std's do, as those would, keep every element, and cost no more.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use proptest::prelude::*;
use std::cell::Cell;
use std::cmp::{Ordering, Reverse};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use windlass::Pool;
use windlass::prelude::*;

fn pools() -> &'static [Pool] {
    static POOLS: OnceLock<Vec<Pool>> = OnceLock::new();
    POOLS.get_or_init(|| WIDTHS.into_iter().map(|width| Pool::new(width).unwrap()).collect())
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(scale(60) as u32) }
}

fn mix(n: usize) -> u64 {
    let n = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (n ^ n >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 8
}

/// Keys of `len` elements in many kinds of order.
fn shapes(len: usize) -> Vec<(&'static str, Vec<u64>)> {
    let n = len as u64;
    let make = |f: &dyn Fn(u64, u64) -> u64| -> Vec<u64> {
        (0..n).map(|index| f(index, mix(index as usize))).collect()
    };
    vec![
        ("random", make(&|_, random| random)),
        ("few keys", make(&|_, random| random % 5)),
        ("sorted", make(&|index, _| index)),
        ("reversed", make(&|index, _| n - index)),
        ("all equal", make(&|_, _| 3)),
        ("organ pipe", make(&|index, _| index.min(n - index))),
        ("runs", make(&|index, _| index % (n / 7 + 1))),
        ("nearly sorted", make(&|index, random| if random % 64 == 0 { random % n } else { index })),
        (
            "nearly reversed",
            make(&|index, random| {
                if random % 64 == 0 { random % n } else { n - index }
            }),
        ),
        ("a tail", make(&|index, random| if index + n / 50 < n { index } else { random % n })),
        ("a head", make(&|index, random| if index > n / 50 { index } else { random % n })),
    ]
}

/// Every way to sort gives what std's way gives. Equal elements are told apart by `Debug`, and only
/// the stable ways keep their order.
fn agrees_with_std<T, K>(v: &[T], key: impl Fn(&T) -> K + Sync)
where
    T: Ord + Clone + Debug + Send,
    K: Ord + Send,
{
    let sorted = |sort: &dyn Fn(&mut [T])| {
        let mut v = v.to_vec();
        sort(&mut v);
        v
    };
    let backwards = |a: &T, b: &T| key(b).cmp(&key(a));
    let same = |ours: Vec<T>, std: Vec<T>| {
        let equal = ours.iter().zip(&std).all(|(a, b)| format!("{a:?}") == format!("{b:?}"));
        assert!(equal && ours.len() == std.len(), "{v:?} became {ours:?}, not {std:?}");
    };
    same(sorted(&|v| v.par_sort()), sorted(&|v| v.sort()));
    same(sorted(&|v| v.par_sort_by(backwards)), sorted(&|v| v.sort_by(backwards)));
    same(sorted(&|v| v.par_sort_by_key(&key)), sorted(&|v| v.sort_by_key(&key)));
    let cached = sorted(&|v| v.par_sort_by_cached_key(&key));
    same(cached, sorted(&|v| v.sort_by_cached_key(&key)));

    let all = sorted(&|v| v.sort());
    let complete = |mut ours: Vec<T>, is_sorted: &dyn Fn(&[T]) -> bool| {
        assert!(is_sorted(&ours), "{v:?} became {ours:?}");
        ours.sort();
        assert_eq!(ours, all);
    };
    complete(sorted(&|v| v.par_sort_unstable()), &|v| v.is_sorted());
    complete(sorted(&|v| v.par_sort_unstable_by(backwards)), &|v| {
        v.is_sorted_by(|a, b| backwards(a, b).is_le())
    });
    complete(sorted(&|v| v.par_sort_unstable_by_key(&key)), &|v| v.is_sorted_by_key(&key));
}

/// As above, by two ways to sort: each type of elements costs seconds to compile.
fn agrees_in_short<T: Ord + Clone + Debug + Send>(v: &[T]) {
    let (mut stable, mut unstable, mut std) = (v.to_vec(), v.to_vec(), v.to_vec());
    stable.par_sort();
    unstable.par_sort_unstable();
    std.sort();
    assert!(stable == std && unstable == std, "{v:?} became {stable:?} and {unstable:?}");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn numbers(
        v in prop_oneof![
            proptest::collection::vec(any::<i64>(), 0..40),
            proptest::collection::vec(-9..9_i64, 0..600),
            proptest::collection::vec(any::<i64>(), 0..9_000),
        ],
    ) {
        for pool in pools() {
            watchdog(pool, || pool.install(|| agrees_with_std(&v, |n| Reverse(n / 3))));
        }
    }

    #[test]
    fn texts(v in proptest::collection::vec("[a-c]{0,9}", 0..2_500)) {
        for pool in pools() {
            watchdog(pool, || pool.install(|| agrees_with_std(&v, String::len)));
        }
    }
}

#[test]
fn every_shape_and_length() {
    for pool in pools() {
        for len in [0, 1, 2, 3, 20, 21, 22, 333, 4_000, scale(60_001), scale(300_000)] {
            for (_, keys) in shapes(len) {
                // The index tells equal keys apart, and counts for nothing.
                let v: Vec<_> =
                    keys.iter().enumerate().map(|(index, &key)| Numbered { key, index }).collect();
                watchdog(pool, || {
                    pool.install(|| {
                        let mut stable = v.clone();
                        stable.par_sort();
                        assert!(stable.is_sorted_by_key(|element| (element.key, element.index)));
                        let mut cached = v.clone();
                        cached.par_sort_by_cached_key(|element| element.key);
                        assert!(cached.is_sorted_by_key(|element| (element.key, element.index)));
                        let mut unstable = v.clone();
                        unstable.par_sort_unstable();
                        assert!(unstable.is_sorted());
                        unstable.sort_unstable_by_key(|element| element.index);
                        assert!(unstable.iter().zip(&v).all(|(a, b)| a.index == b.index));
                    });
                });
            }
        }
    }
}

/// Equal to all that have the same key.
#[derive(Clone, Copy, Debug)]
struct Numbered {
    key: u64,
    index: usize,
}

impl Ord for Numbered {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl PartialOrd for Numbered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Numbered {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Numbered {}

#[test]
fn elements_of_all_sizes() {
    at_each_width(|pool| {
        pool.install(|| {
            for (_, keys) in shapes(scale(5_000)) {
                agrees_in_short(&vec![(); keys.len()]);
                agrees_in_short(&keys.iter().map(|&key| key as u8).collect::<Vec<_>>());
                // 256 bytes.
                agrees_in_short(&keys.iter().map(|&key| [key; 32]).collect::<Vec<_>>());
                agrees_in_short(&keys.iter().map(|&key| Box::new(key)).collect::<Vec<_>>());
            }
        });
    });
}

/// Dropped once, sent but never shared, changed by comparisons.
#[derive(Debug)]
struct Counted<'a> {
    key: u64,
    compared: Cell<usize>,
    item: Item<'a>,
}

type Sort = fn(&mut [Counted], &(dyn Fn(&Counted, &Counted) -> Ordering + Sync));

const SORTS: [(&str, Sort); 2] = [
    ("stable", |v, compare| v.par_sort_by(compare)),
    ("unstable", |v, compare| v.par_sort_unstable_by(compare)),
];

/// Sorts with a comparison that counts in the elements and panics at its `panics_at`-th call. Every
/// element must be there afterwards, with all its counts, and be dropped once. How often it was
/// called.
fn sort_and_count(keys: &[u64], sort: Sort, panics_at: usize, truth: bool) -> usize {
    let drops = Drops::new(keys.len());
    let counted = |(index, &key)| Counted { key, compared: Cell::new(0), item: drops.item(index) };
    let mut v: Vec<_> = keys.iter().enumerate().map(counted).collect();
    let calls = AtomicUsize::new(0);
    let compare = |a: &Counted, b: &Counted| {
        a.compared.set(a.compared.get() + 1);
        b.compared.set(b.compared.get() + 1);
        let call = calls.fetch_add(1, Relaxed);
        if call == panics_at {
            throw(call);
        }
        // Slow, so that a few elements are worth sharing.
        for _ in 0..200 {
            std::hint::spin_loop();
        }
        if truth { a.key.cmp(&b.key) } else { mix(call).cmp(&(1 << 55)) }
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| sort(&mut v, &compare)));
    let calls = calls.into_inner();
    if truth {
        assert_eq!(outcome.is_err(), calls > panics_at);
        assert!(outcome.is_err() || v.is_sorted_by_key(|element| element.key));
    }
    let compared: usize = v.iter().map(|element| element.compared.get()).sum();
    assert_eq!(compared, 2 * calls, "what comparisons have changed is kept");
    let mut indices: Vec<_> = v.iter().map(|element| element.item.index).collect();
    indices.sort();
    assert!(indices.into_iter().eq(0..keys.len()), "each element is there once");
    drop(v);
    drops.assert_each_once();
    calls
}

#[test]
fn a_panic_in_any_comparison_loses_nothing() {
    at_each_width(|pool| {
        pool.install(|| {
            for (_, keys) in shapes(150) {
                for (_, sort) in SORTS {
                    let calls = sort_and_count(&keys, sort, usize::MAX, true);
                    // More than about so many are not made; the rest are sampled.
                    let step = (calls / scale(100)).max(1);
                    for panics_at in (0..calls).step_by(step) {
                        sort_and_count(&keys, sort, panics_at, true);
                    }
                }
            }
        });
    });
}

#[test]
fn comparisons_that_lie_lose_nothing() {
    at_each_width(|pool| {
        pool.install(|| {
            for (_, keys) in shapes(400) {
                for (name, sort) in SORTS {
                    for _ in 0..3 {
                        sort_and_count(&keys, sort, usize::MAX, false);
                    }
                    let _ = name;
                }
            }
        });
    });
}

#[test]
fn a_key_is_asked_for_once() {
    at_each_width(|pool| {
        for len in [0, 1, 2, 30, scale(20_000)] {
            let asked: Vec<_> = (0..len).map(|_| AtomicUsize::new(0)).collect();
            let mut v: Vec<_> = (0..len).collect();
            pool.install(|| {
                v.par_sort_by_cached_key(|&index| {
                    asked[index].fetch_add(1, Relaxed);
                    // Slow, so that many threads make keys.
                    (0..50).fold(mix(index), |key, _| std::hint::black_box(key)).to_string()
                });
            });
            assert!(v.is_sorted_by_key(|&index| mix(index).to_string()));
            let once = if len < 2 { 0 } else { 1 };
            assert!(asked.iter().all(|count| count.load(Relaxed) == once));
        }
    });
}

#[test]
fn a_panic_in_a_key_drops_the_keys_and_keeps_the_elements() {
    at_each_width(|pool| {
        let len = scale(4_000);
        for panics_at in [0, 1, 2, 17, len / 2, len - 1] {
            let (elements, keys) = (Live::default(), Live::default());
            let mut v: Vec<_> = (0..len).map(|index| (index, elements.token())).collect();
            let calls = AtomicUsize::new(0);
            struct Key<'a>(u64, #[expect(dead_code, reason = "counted")] Token<'a>);
            impl Ord for Key<'_> {
                fn cmp(&self, other: &Self) -> Ordering {
                    self.0.cmp(&other.0)
                }
            }
            impl PartialOrd for Key<'_> {
                fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                    Some(self.cmp(other))
                }
            }
            impl PartialEq for Key<'_> {
                fn eq(&self, other: &Self) -> bool {
                    self.0 == other.0
                }
            }
            impl Eq for Key<'_> {}
            let key = |element: &(usize, Token)| {
                if calls.fetch_add(1, Relaxed) == panics_at {
                    throw("no key");
                }
                (0..50).for_each(|_| std::hint::spin_loop());
                Key(mix(element.0), keys.token())
            };
            let thrown: &str =
                caught(|| pool.install(|| v.par_sort_by_cached_key(|element| key(element))));
            assert_eq!(thrown, "no key");
            keys.assert_none();
            assert!(v.iter().map(|element| element.0).eq(0..len), "nothing has moved");
            drop(v);
            elements.assert_none();
        }
    });
}

#[test]
fn sorts_within_sorts() {
    at_each_width(|pool| {
        let mut rows: Vec<Vec<u64>> =
            (0..200).map(|row| (0..100).map(|n| mix(row * 100 + n)).collect()).collect();
        pool.install(|| {
            // A key that sorts, while threads wait for other keys.
            rows.par_sort_by_cached_key(|row| {
                let mut row = row.repeat(20);
                row.par_sort_unstable();
                row[row.len() / 2]
            });
        });
        let middle = |row: &Vec<u64>| {
            let mut row = row.repeat(20);
            row.sort_unstable();
            row[row.len() / 2]
        };
        assert!(rows.is_sorted_by_key(middle));
    });
}

#[test]
fn outside_of_any_pool_the_global_one_sorts() {
    deadline(|| {
        let mut v: Vec<_> = (0..scale(200_000)).map(mix).collect();
        let mut expected = v.clone();
        expected.sort();
        v.par_sort();
        assert_eq!(v, expected);
        v.par_sort_unstable_by_key(|&n| Reverse(n));
        expected.reverse();
        assert_eq!(v, expected);
    });
}

#[test]
fn what_is_sorted_is_looked_at_once() {
    at_each_width(|pool| {
        for (is_reversed, len) in [(false, 50_000), (true, 50_000)] {
            let mut v: Vec<_> = (0..len).collect();
            if is_reversed {
                v.reverse();
            }
            let calls = AtomicUsize::new(0);
            pool.install(|| {
                v.par_sort_by(|a, b| {
                    calls.fetch_add(1, Relaxed);
                    a.cmp(b)
                });
            });
            assert!(v.is_sorted());
            assert!(calls.into_inner() < len + 500, "comparisons of {len} elements");
        }
    });
}
