//! The parts of the sorts, with pieces so small that every step is taken with few elements.

use super::merge::{merge, merge_few};
use super::quick::{Quick, partition_branchless, partition_by_swaps};
use super::runs::{self, Run};
use super::tree::Tree;
use crate::Pool;
use std::cell::Cell;
use std::cmp::Ordering;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

const WIDTHS: [usize; 4] = [1, 2, 3, 8];

fn at_each_width(body: impl Fn() + Sync) {
    for width in WIDTHS {
        Pool::new(width).expect("a small pool").install(&body);
    }
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}

/// What an element is sorted by, and where it was.
type Pair = (usize, usize);

fn by_key(a: &Pair, b: &Pair) -> bool {
    a.0 < b.0
}

fn paired(keys: impl IntoIterator<Item = usize>) -> Vec<Pair> {
    keys.into_iter().enumerate().map(|(index, key)| (key, index)).collect()
}

/// Every vector of `len` numbers below `end`.
fn each_vector(len: usize, end: usize, mut body: impl FnMut(&[usize])) {
    let mut v = vec![0; len];
    loop {
        body(&v);
        let Some(at) = v.iter().position(|&digit| digit + 1 < end) else { return };
        v[at] += 1;
        v[..at].fill(0);
    }
}

/// Keys of all the shapes that the sorts treat in ways of their own.
fn shapes(len: usize) -> Vec<(&'static str, Vec<usize>)> {
    let mut random = Random(len as u64 + 1);
    let mut with = |name, make: &mut dyn FnMut(&mut Random, usize) -> usize| {
        (name, (0..len).map(|index| make(&mut random, index)).collect::<Vec<_>>())
    };
    let tenth = (len / 10).max(1);
    vec![
        with("random", &mut |random, _| random.below(len.max(1))),
        with("two keys", &mut |random, _| random.below(2)),
        with("few keys", &mut |random, _| random.below(7)),
        with("sorted", &mut |_, index| index),
        with("sorted, with equal ones", &mut |_, index| index / 3),
        with("reversed", &mut |_, index| len - index),
        with("reversed, with equal ones", &mut |_, index| (len - index) / 3),
        with("all equal", &mut |_, _| 5),
        with("organ pipe", &mut |_, index| index.min(len - index)),
        with("valley", &mut |_, index| index.max(len - index)),
        with("saw", &mut |_, index| index % tenth),
        with("falling saw", &mut |_, index| len - index % tenth),
        with("sorted with a tail", &mut |random, index| {
            if index + 3 < len { index } else { random.below(len) }
        }),
        with("sorted with a head", &mut |random, index| {
            if index < 3 { random.below(len) } else { index }
        }),
        with("nearly sorted", &mut |random, index| {
            if random.below(20) == 0 { random.below(len) } else { index }
        }),
        with("nearly reversed", &mut |random, index| {
            if random.below(20) == 0 { random.below(len) } else { len - index }
        }),
        with("half and half", &mut |random, index| {
            if index < len / 2 { index } else { random.below(len) }
        }),
        with("rotated", &mut |_, index| (index + len / 3) % len.max(1)),
    ]
}

fn ordering(is_less: bool) -> Ordering {
    if is_less { Ordering::Less } else { Ordering::Greater }
}

/// The stable sort, whatever the length.
fn tree_sort<T: Send, F: Fn(&T, &T) -> bool + Sync>(v: &mut [T], leaf_len: usize, is_less: &F) {
    let leaf = |v: &mut [T]| v.sort_by(|a, b| ordering(is_less(a, b)));
    let run = runs::leading(v, 3, is_less);
    Tree { leaf_len, piece: 6, is_less, leaf: &leaf }.sort(v, run);
}

/// The unstable sort, whatever the length.
fn quick_sort<T: Send, F: Fn(&T, &T) -> bool + Sync>(v: &mut [T], part_len: usize, is_less: &F) {
    let leaf = |v: &mut [T]| v.sort_unstable_by(|a, b| ordering(is_less(a, b)));
    Quick { part_len, piece: 6, is_less, leaf: &leaf }.sort(v);
}

#[test]
fn sorts_what_std_sorts() {
    at_each_width(|| {
        for len in [0, 1, 2, 3, 9, 64, 257, 1_500] {
            for (name, keys) in shapes(len) {
                let mut expected = paired(keys.iter().copied());
                expected.sort_by_key(|pair| pair.0);
                for leaf_len in [1, 5, 100] {
                    let mut stable = paired(keys.iter().copied());
                    tree_sort(&mut stable, leaf_len, &by_key);
                    assert_eq!(stable, expected, "{name}, {len} elements, leaves of {leaf_len}");

                    let mut unstable = paired(keys.iter().copied());
                    quick_sort(&mut unstable, leaf_len, &by_key);
                    assert!(unstable.is_sorted_by_key(|pair| pair.0), "{name}, {len} elements");
                    unstable.sort();
                    let mut all = expected.clone();
                    all.sort();
                    assert_eq!(unstable, all, "{name}, {len} elements, parts of {leaf_len}");
                }
            }
        }
    });
}

#[test]
fn every_short_vector() {
    for len in 0..7 {
        each_vector(len, 4, |keys| {
            let mut expected = paired(keys.iter().copied());
            expected.sort_by_key(|pair| pair.0);
            let mut v = paired(keys.iter().copied());
            tree_sort(&mut v, 1, &by_key);
            assert_eq!(v, expected, "{keys:?}");

            let run = runs::leading(&mut paired(keys.iter().copied()), 2, &by_key);
            let falls = keys.windows(2).take_while(|pair| pair[1] < pair[0]).count();
            let rises = keys.windows(2).take_while(|pair| pair[0] <= pair[1]).count();
            assert_eq!(run.len, len.min(falls.max(rises) + 1), "{keys:?}");
            assert_eq!(run.is_descending, falls > 0, "{keys:?}");
        });
    }
}

#[test]
fn finds_runs_across_pieces() {
    at_each_width(|| {
        for len in 2..60 {
            for end in 1..=len {
                for piece in [1, 2, 3, 7, 100] {
                    let mut v: Vec<_> = (0..len).map(|at| if at < end { at } else { 0 }).collect();
                    let Run { len: found, is_descending } =
                        runs::leading(&mut v, piece, &usize::lt);
                    let expected = if end == 1 { (len, false) } else { (end, false) };
                    assert_eq!((found, is_descending), expected, "{v:?}, {piece}");
                }
            }
        }
    });
}

#[test]
fn reverses() {
    at_each_width(|| {
        for len in 0..50 {
            for piece in [1, 3, 100] {
                let mut v: Vec<_> = (0..len).collect();
                runs::reverse(&mut v, piece);
                assert!(v.iter().copied().eq((0..len).rev()), "{v:?}, {piece}");
            }
        }
    });
}

/// Two sorted runs, the second one's indices behind the first one's.
fn two_runs(random: &mut Random, left: usize, right: usize, end: usize) -> Vec<Pair> {
    let mut v = paired((0..left + right).map(|_| random.below(end)));
    v[..left].sort_by_key(|pair| pair.0);
    v[left..].sort_by_key(|pair| pair.0);
    v
}

#[test]
fn merges_runs_of_all_lengths() {
    at_each_width(|| {
        let mut random = Random(7);
        for left in [0, 1, 2, 7, 8, 9, 16, 33, 150, 1_000] {
            for right in [0, 1, 2, 7, 8, 9, 16, 33, 150, 1_000] {
                for end in [1, 2, 10, 5_000] {
                    let v = two_runs(&mut random, left, right, end);
                    let mut expected = v.clone();
                    expected.sort_by_key(|pair| pair.0);
                    for piece in [2, 16, 100_000] {
                        let mut from = v.clone();
                        let mut out = vec![MaybeUninit::uninit(); v.len()];
                        let (a, b) = from.split_at_mut(left);
                        merge(a, b, &mut out, piece, &by_key);
                        // SAFETY: `merge` writes all of it.
                        let out = unsafe { out.assume_init_ref() };
                        assert_eq!(out, expected, "{left} and {right}, {end} keys, {piece}");
                        assert_eq!(from, v, "the source stays");

                        let mut in_place = v.clone();
                        let mut room = vec![MaybeUninit::uninit(); left.min(right)];
                        merge_few(&mut in_place, left, &mut room, piece, &by_key);
                        assert_eq!(in_place, expected, "{left} and {right}, {end} keys, {piece}");
                    }
                }
            }
        }
    });
}

#[test]
fn partitions() {
    for len in 0..9 {
        each_vector(len, 2, |digits| {
            let few = digits.iter().filter(|&&digit| digit == 0).count();
            let ways: [fn(&mut [Pair]) -> usize; 3] = [
                |v| partition_branchless(v, |pair| pair.0 == 0),
                |v| partition_by_swaps(v, false, |pair| pair.0 == 0).0,
                |v| partition_by_swaps(v, true, |pair| pair.0 == 0).0,
            ];
            for partition in ways {
                let mut v = paired(digits.iter().copied());
                assert_eq!(partition(&mut v), few, "{digits:?}");
                assert!(v[..few].iter().all(|pair| pair.0 == 0), "{digits:?}");
                v.sort_by_key(|pair| pair.1);
                assert_eq!(v, paired(digits.iter().copied()));
            }
        });
    }
}

// ---- comparisons that panic, change elements, and lie --------------------------------------------

/// An element that knows how often it was compared.
#[derive(Debug)]
struct Watched<'a> {
    key: usize,
    index: usize,
    compared: Cell<usize>,
    /// Whether a thread looks at it: the same for every copy.
    is_busy: &'a AtomicBool,
    drops: &'a AtomicUsize,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Relaxed);
    }
}

/// Counts comparisons, in the elements too, and watches that none is looked at by two threads.
struct Comparer {
    count: AtomicUsize,
    panics_at: usize,
    /// What it says instead of the truth, given how many have been asked before.
    lie: Option<Lie>,
}

type Lie = fn(usize, &Watched, &Watched) -> bool;

struct Thrown;

impl Comparer {
    fn is_less(&self, a: &Watched, b: &Watched) -> bool {
        for element in [a, b] {
            let was_busy = element.is_busy.swap(true, Relaxed);
            assert!(!was_busy || a.index == b.index, "two threads look at one element");
            element.compared.set(element.compared.get() + 1);
        }
        let count = self.count.fetch_add(1, Relaxed);
        if count.is_multiple_of(8) {
            std::thread::yield_now();
        }
        a.is_busy.store(false, Relaxed);
        b.is_busy.store(false, Relaxed);
        if count == self.panics_at {
            resume_unwind(Box::new(Thrown));
        }
        self.lie.map_or(a.key < b.key, |lie| lie(count, a, b))
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Tree,
    Quick,
    /// A merge sort over quicksorts, as in a wide pool.
    Both,
}

/// Sorts, and checks that every element is there once, with all that it has seen, and is dropped
/// once. Whether it has panicked.
fn check(way: Way, keys: &[usize], comparer: &Comparer) -> bool {
    let busy: Vec<_> = keys.iter().map(|_| AtomicBool::new(false)).collect();
    let drops: Vec<_> = keys.iter().map(|_| AtomicUsize::new(0)).collect();
    let make = |(index, &key): (usize, &usize)| Watched {
        key,
        index,
        compared: Cell::new(0),
        is_busy: &busy[index],
        drops: &drops[index],
    };
    let mut v: Vec<_> = keys.iter().enumerate().map(make).collect();
    let is_less = |a: &Watched, b: &Watched| comparer.is_less(a, b);
    let has_panicked = catch_unwind(AssertUnwindSafe(|| match way {
        Way::Tree => tree_sort(&mut v, 4, &is_less),
        Way::Quick => quick_sort(&mut v, 8, &is_less),
        Way::Both => {
            let leaf = |v: &mut [Watched]| quick_sort(v, 8, &is_less);
            let run = runs::leading(&mut v, 3, &is_less);
            Tree { leaf_len: 30, piece: 6, is_less: &is_less, leaf: &leaf }.sort(&mut v, run);
        }
    }))
    .is_err();
    let compared: usize = v.iter().map(|element| element.compared.get()).sum();
    assert_eq!(compared, 2 * comparer.count.load(Relaxed), "changes that comparisons made");
    let mut indices: Vec<_> = v.iter().map(|element| element.index).collect();
    if !has_panicked && comparer.lie.is_none() {
        assert!(v.is_sorted_by_key(|element| element.key));
        let is_stable = |a: &Watched, b: &Watched| a.key < b.key || a.index < b.index;
        assert!(!matches!(way, Way::Tree) || v.is_sorted_by(is_stable));
    }
    indices.sort();
    assert!(indices.iter().copied().eq(0..keys.len()), "each element once: {indices:?}");
    drop(v);
    assert!(drops.iter().all(|count| count.load(Relaxed) == 1));
    has_panicked
}

#[test]
fn a_panic_leaves_every_element_once_with_its_changes() {
    at_each_width(|| {
        for (name, keys) in shapes(70) {
            for way in [Way::Tree, Way::Quick, Way::Both] {
                let mut panics_at = 0;
                loop {
                    let comparer = Comparer { count: AtomicUsize::new(0), panics_at, lie: None };
                    if !check(way, &keys, &comparer) {
                        assert!(comparer.count.into_inner() <= panics_at, "{name}, {way:?}");
                        break;
                    }
                    // Every one of the first comparisons, then some.
                    panics_at += 1 + panics_at / 100;
                }
            }
        }
    });
}

#[test]
fn comparisons_that_contradict_themselves() {
    const LIES: [Lie; 7] = [
        |_, _, _| true,
        |_, _, _| false,
        |_, a, b| a.key <= b.key,
        |_, a, b| (a.key + 1) % 3 == b.key % 3,
        |count, _, _| count.is_multiple_of(2),
        |count, _, _| (count.wrapping_mul(0x9e37_79b9) >> 7).is_multiple_of(3),
        |count, a, b| (a.key < b.key) != count.is_multiple_of(11),
    ];
    at_each_width(|| {
        for (_, keys) in shapes(200) {
            for lie in LIES {
                for way in [Way::Tree, Way::Quick, Way::Both] {
                    let count = AtomicUsize::new(0);
                    check(way, &keys, &Comparer { count, panics_at: usize::MAX, lie: Some(lie) });
                }
            }
        }
    });
}
