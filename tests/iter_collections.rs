//! The collections of the standard library in parallel: the same items in the same order as their
//! ordinary iterators, each dropped exactly once whatever panics.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use proptest::prelude::*;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use windlass::Pool;
use windlass::iter::Either;
use windlass::prelude::*;

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
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(scale(40) as u32) }
}

/// Small numbers, so that some are equal.
fn items() -> impl Strategy<Value = Vec<u16>> {
    let len = prop_oneof![0..4_usize, 4..100_usize, 100..4_000_usize];
    len.prop_flat_map(|len| proptest::collection::vec(0..2_000_u16, len))
}

/// A deque whose items wrap around.
fn deque_of<T>(items: impl IntoIterator<Item = T>, num_in_front: usize) -> VecDeque<T> {
    let mut deque: VecDeque<T> = items.into_iter().collect();
    let front: Vec<T> = deque.drain(..num_in_front.min(deque.len())).collect();
    front.into_iter().rev().for_each(|item| deque.push_front(item));
    deque
}

/// Takes long now and then.
fn sometimes_slow(n: u16) {
    if n.is_multiple_of(500) {
        work_for(Duration::from_micros(200));
    }
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items
}

/// By reference, by value and, if there is a change to make, by exclusive reference: as the
/// ordinary iterators do, in their order.
macro_rules! check {
    ($collection:expr $(, |$n:pat_param| $change:expr)?) => {{
        let collection = &$collection;
        let plain: Vec<_> = collection.iter().collect();
        assert_eq!(collection.par_iter().collect::<Vec<_>>(), plain);
        assert_eq!(collection.par_iter().len(), plain.len());
        // Clones of a hash table may differ in their order.
        let plain: Vec<_> = collection.clone().into_iter().collect();
        let par: Vec<_> = collection.clone().into_par_iter().collect();
        assert_eq!(sorted(par), sorted(plain));
        $(
            let (mut plain, mut par) = (collection.clone(), collection.clone());
            plain.iter_mut().for_each(|$n| $change);
            par.par_iter_mut().for_each(|$n| $change);
            assert_eq!(par, plain);
        )?
    }};
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn every_collection_is_iterated_over_like_its_ordinary_self(
        v in items(), at in 0..4_000_usize,
    ) {
        in_each_pool(|| {
            let pairs = || v.iter().map(|&n| (n, n / 2));
            check!(deque_of(v.clone(), at), |n| *n += 1);
            check!(LinkedList::from_iter(v.clone()), |n| *n += 1);
            let map: HashMap<u16, u16> = pairs().collect();
            check!(map, |(_, n)| *n += 1);
            let map: BTreeMap<u16, u16> = pairs().collect();
            check!(map, |(_, n)| *n += 1);
            assert!(map.into_par_iter().collect::<Vec<_>>().is_sorted());
            let set: HashSet<u16> = v.iter().copied().collect();
            check!(set);
            let set: BTreeSet<u16> = v.iter().copied().collect();
            check!(set);
            assert!(set.into_par_iter().collect::<Vec<_>>().is_sorted());
            let heap: BinaryHeap<u16> = v.iter().copied().collect();
            check!(heap);
            let deque = deque_of(v.clone(), at);
            assert_eq!(deque.par_iter().rev().collect::<Vec<_>>(), Vec::from_iter(v.iter().rev()));
            assert_eq!(deque.into_par_iter().collect::<Vec<_>>(), v);
            let list = LinkedList::from_iter(v.clone());
            assert_eq!(list.into_par_iter().collect::<Vec<_>>(), v);
        });
    }

    #[test]
    fn every_collection_is_collected_like_from_an_ordinary_iterator(v in items()) {
        in_each_pool(|| {
            // With a length that is known, and with one that is not.
            let exact = || v.par_iter().copied().inspect(|&n| sometimes_slow(n));
            let some = || exact().filter(|n| n % 3 > 0);
            let plain: Vec<u16> = v.iter().copied().filter(|n| n % 3 > 0).collect();
            macro_rules! same {
                ($($type:ty, |$c:ident| $view:expr;)*) => {$({
                    let view = |$c: $type| $view;
                    assert_eq!(view(exact().collect()), view(v.iter().copied().collect()));
                    assert_eq!(view(some().collect()), view(plain.iter().copied().collect()));
                })*};
            }
            same! {
                Vec<u16>, |c| c;
                VecDeque<u16>, |c| c;
                LinkedList<u16>, |c| c;
                BinaryHeap<u16>, |c| c.into_sorted_vec();
                HashSet<u16>, |c| c;
                BTreeSet<u16>, |c| c;
                Box<[u16]>, |c| c;
                Rc<[u16]>, |c| c;
                Arc<[u16]>, |c| c;
                Cow<'_, [u16]>, |c| c.into_owned();
            }
            // Of equal keys the last one's value stays.
            let numbered = || v.par_iter().enumerate().map(|(i, &n)| (n, i));
            let plain: Vec<(u16, usize)> = v.iter().enumerate().map(|(i, &n)| (n, i)).collect();
            let map: HashMap<u16, usize> = plain.iter().copied().collect();
            assert_eq!(numbered().collect::<HashMap<_, _>>(), map);
            assert_eq!(numbered().filter(|_| true).collect::<HashMap<_, _>>(), map);
            let map: BTreeMap<u16, usize> = plain.iter().copied().collect();
            assert_eq!(numbered().collect::<BTreeMap<_, _>>(), map);
            assert_eq!(numbered().filter(|_| true).collect::<BTreeMap<_, _>>(), map);
        });
    }

    #[test]
    fn every_collection_is_extended_like_by_an_ordinary_iterator(v in items(), before in items()) {
        in_each_pool(|| {
            let some = || v.par_iter().filter(|&n| n % 3 > 0);
            let plain: Vec<u16> = v.iter().copied().filter(|n| n % 3 > 0).collect();
            macro_rules! same {
                ($($type:ty, |$c:ident| $view:expr;)*) => {$({
                    let old = || before.iter().copied().collect::<$type>();
                    let view = |$c: $type| $view;
                    let (mut a, mut b, mut c, mut d) = (old(), old(), old(), old());
                    a.extend(v.iter().copied());
                    b.par_extend(v.par_iter().copied());
                    assert_eq!(view(a.clone()), view(b));
                    c.par_extend(&v);
                    assert_eq!(view(a), view(c));
                    let mut a = old();
                    a.extend(plain.iter().copied());
                    d.par_extend(some());
                    assert_eq!(view(a), view(d));
                })*};
            }
            same! {
                Vec<u16>, |c| c;
                VecDeque<u16>, |c| c;
                LinkedList<u16>, |c| c;
                BinaryHeap<u16>, |c| c.into_sorted_vec();
                HashSet<u16>, |c| c;
                BTreeSet<u16>, |c| c;
            }
            let old: BTreeMap<u16, u16> = before.iter().map(|&n| (n, n)).collect();
            let new: HashMap<u16, u16> = v.iter().map(|&n| (n, n / 2)).collect();
            let (mut a, mut b, mut c) = (old.clone(), old.clone(), old.clone());
            a.extend(new.clone());
            b.par_extend(&new);
            c.par_extend(new.clone());
            assert_eq!((&b, &c), (&a, &a));
            let mut d: HashMap<u16, u16> = old.clone().into_iter().collect();
            d.par_extend(&new);
            assert_eq!(d.into_iter().collect::<BTreeMap<_, _>>(), a);
        });
    }

    #[test]
    fn pairs_and_eithers_go_into_two_collections(v in items()) {
        in_each_pool(|| {
            let pairs = || v.par_iter().map(|&n| (n, u32::from(n) * 2));
            let plain: (Vec<u16>, BTreeSet<u32>) = v.iter().map(|&n| (n, u32::from(n) * 2)).unzip();
            assert_eq!(pairs().collect::<(Vec<u16>, BTreeSet<u32>)>(), plain);
            assert_eq!(pairs().filter(|_| true).collect::<(Vec<u16>, BTreeSet<u32>)>(), plain);
            let mut extended = (vec![7], BTreeSet::from([7]));
            extended.par_extend(pairs());
            assert_eq!((&extended.0[1..], extended.1.len()), (&plain.0[..], plain.1.len() + 1));
            let nested = pairs().map(|(n, twice)| ((n, ()), twice));
            let nested: ((LinkedList<u16>, ()), Box<[u32]>) = nested.collect();
            assert!(nested.0.0.into_iter().eq(v.iter().copied()));
            assert!(nested.1.iter().copied().eq(v.iter().map(|&n| u32::from(n) * 2)));

            let sides = || v.par_iter().map(|&n| {
                if n % 2 == 0 { Either::Left(n) } else { Either::Right(n) }
            });
            let (even, odd): (Vec<u16>, Vec<u16>) = v.iter().partition(|&n| n % 2 == 0);
            let both: (Vec<u16>, VecDeque<u16>) = sides().collect();
            assert_eq!(both, (even.clone(), VecDeque::from(odd.clone())));
            let mut both = (vec![1], vec![2]);
            both.par_extend(sides());
            assert_eq!((&both.0[1..], &both.1[1..]), (&even[..], &odd[..]));
        });
    }

    #[test]
    fn a_drained_deque_keeps_the_rest_and_its_memory(
        v in items(), at in 0..4_000_usize, a in any::<prop::sample::Index>(),
        b in any::<prop::sample::Index>(), is_used in any::<bool>(),
    ) {
        let (a, b) = (a.index(v.len() + 1), b.index(v.len() + 1));
        let range = a.min(b)..a.max(b);
        in_each_pool(|| {
            let (mut plain, mut par) = (deque_of(v.clone(), at), deque_of(v.clone(), at));
            let capacity = par.capacity();
            let drained: Vec<u16> = plain.drain(range.clone()).collect();
            let drain = par.par_drain(range.clone());
            assert_eq!(drain.len(), drained.len());
            if is_used {
                let found = drain.inspect(|&n| sometimes_slow(n)).collect::<Vec<_>>();
                assert_eq!(found, drained);
            } else {
                drop(drain);
            }
            assert_eq!(par, plain);
            assert!(par.capacity() >= capacity, "it was {capacity}, now {}", par.capacity());
        });
    }
}

#[test]
fn options_results_and_units() {
    in_each_pool(|| {
        let (mut some, mut none) = (Some(1), None::<i32>);
        some.par_iter_mut().chain(&mut none).for_each(|n| *n += 1);
        assert_eq!(some.par_iter().chain(&none).copied().collect::<Vec<_>>(), [2]);
        assert_eq!(some.into_par_iter().zip([7]).collect::<Vec<_>>(), [(2, 7)]);
        assert_eq!(none.into_par_iter().len(), 0);
        let (mut ok, err) = (Ok::<i32, &str>(1), Err::<i32, &str>("no"));
        ok.par_iter_mut().for_each(|n| *n += 1);
        assert_eq!(ok.par_iter().chain(&err).copied().collect::<Vec<_>>(), [2]);
        assert_eq!(ok.into_par_iter().chain(err).rev().collect::<Vec<_>>(), [2]);
        assert_eq!((0..9).into_par_iter().map(|_| ()).collect::<()>(), ());
        let bad = (0..9).into_par_iter().map(|n| if n < 5 { Ok(()) } else { Err(n) });
        assert_eq!(bad.collect::<Result<(), i32>>(), Err(5));
        ().par_extend([(), ()]);
        let borrowed: Cow<'_, [i32]> = Cow::Borrowed(&[1, 2]);
        assert_eq!((&borrowed).into_par_iter().sum::<i32>(), 3);
        assert_eq!(borrowed.into_par_iter().rev().collect::<Vec<_>>(), [2, 1]);
    });
}

#[test]
fn draining_a_table_or_a_heap_empties_it_and_keeps_its_memory() {
    in_each_pool(|| {
        let n = scale(3_000) as u32;
        let mut map: HashMap<u32, u32> = (0..n).map(|n| (n, n)).collect();
        let mut set: HashSet<u32> = (0..n).collect();
        let mut heap: BinaryHeap<u32> = (0..n).collect();
        let room = (map.capacity(), set.capacity(), heap.capacity());
        let sum = u64::from(n) * u64::from(n - 1) / 2;
        assert_eq!(map.par_drain().map(|(_, value)| u64::from(value)).sum::<u64>(), sum);
        assert_eq!(set.par_drain().map(u64::from).sum::<u64>(), sum);
        assert_eq!(heap.par_drain().map(u64::from).sum::<u64>(), sum);
        assert!(map.is_empty() && set.is_empty() && heap.is_empty());
        assert!(map.capacity() >= room.0 && set.capacity() >= room.1 && heap.capacity() >= room.2);
        map.insert(1, 1);
        heap.push(1);
        drop(map.par_drain());
        drop(heap.par_drain());
        assert!(map.is_empty() && heap.is_empty());
    });
}

#[test]
fn a_range_out_of_bounds_is_refused_and_nothing_is_lost() {
    let mut deque = VecDeque::from([1, 2, 3]);
    assert!(panics(|| deque.par_drain(..5).count()));
    assert!(panics(|| deque.par_drain(4..).count()));
    assert!(panics(|| deque.par_drain(..=usize::MAX).count()));
    #[expect(clippy::reversed_empty_ranges, reason = "the case that is refused")]
    let reversed = 2..1;
    assert!(panics(|| deque.par_drain(reversed).count()));
    assert_eq!(deque, [1, 2, 3]);
    assert_eq!(deque.par_drain(1..=1).collect::<Vec<_>>(), [2]);
}

// ---- every item is dropped once

/// An item that can be a key.
#[derive(Debug)]
struct Key<'a>(Item<'a>);

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.index == other.0.index
    }
}

impl Eq for Key<'_> {}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.index.cmp(&other.0.index)
    }
}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.index.hash(state);
    }
}

const LEN: usize = 41;

/// A loop that panics at each position in turn, and a search that ends there: in both cases every
/// item is dropped once.
fn check_drops<'a, I>(make: impl Fn(&'a Drops) -> I + Sync, index_of: fn(&I::Item) -> usize)
where
    I: ParallelIterator,
{
    for bad in 0..LEN {
        in_each_pool(|| {
            let drops: &'a Drops = forever(Drops::new(LEN));
            let thrown: usize = caught(|| {
                make(drops).for_each(|item| {
                    if index_of(&item) == bad {
                        throw(bad);
                    }
                    if index_of(&item) % 16 == 3 {
                        work_for(Duration::from_micros(30));
                    }
                });
            });
            assert_eq!(thrown, bad);
            drops.assert_each_once();

            let drops: &'a Drops = forever(Drops::new(LEN));
            let found = make(drops).find_any(|item| index_of(item) == bad);
            assert_eq!(found.as_ref().map(index_of), Some(bad));
            drop(found);
            drops.assert_each_once();
        });
    }
    let drops: &'a Drops = forever(Drops::new(LEN));
    drop(make(drops));
    drops.assert_each_once();
}

fn keys<'a, C: FromIterator<Key<'a>>>(drops: &'a Drops) -> C {
    (0..LEN).map(|index| Key(drops.item(index))).collect()
}

fn pairs<'a, C: FromIterator<(usize, Key<'a>)>>(drops: &'a Drops) -> C {
    (0..LEN).map(|index| (index, Key(drops.item(index)))).collect()
}

#[test]
fn a_panic_at_any_item_drops_each_item_of_a_collection_once() {
    let key = |key: &Key<'static>| key.0.index;
    let pair = |(_, key): &(usize, Key<'static>)| key.0.index;
    check_drops(|drops| deque_of(keys::<Vec<_>>(drops), 7).into_par_iter(), key);
    check_drops(|drops| keys::<BinaryHeap<_>>(drops).into_par_iter(), key);
    check_drops(|drops| keys::<LinkedList<_>>(drops).into_par_iter(), key);
    check_drops(|drops| keys::<BTreeSet<_>>(drops).into_par_iter(), key);
    check_drops(|drops| keys::<HashSet<_>>(drops).into_par_iter(), key);
    check_drops(|drops| pairs::<BTreeMap<_, _>>(drops).into_par_iter(), pair);
    check_drops(|drops| pairs::<HashMap<_, _>>(drops).into_par_iter(), pair);
}

#[test]
fn a_panic_at_any_drained_item_leaves_the_collection_whole() {
    for bad in 5..30_usize {
        in_each_pool(|| {
            let drops = Drops::new(LEN);
            let mut deque = deque_of(keys::<Vec<_>>(&drops), 7);
            let thrown: usize = caught(|| {
                deque.par_drain(5..30).for_each(|key| {
                    if key.0.index == bad {
                        throw(bad);
                    }
                });
            });
            assert_eq!(thrown, bad);
            let rest: Vec<usize> = deque.iter().map(|key| key.0.index).collect();
            assert_eq!(rest, Vec::from_iter((0..5).chain(30..LEN)));
            assert!((0..LEN).all(|i| drops.count(i) == usize::from((5..30).contains(&i))));
            drop(deque);
            drops.assert_each_once();

            let drops = Drops::new(LEN);
            let mut heap: BinaryHeap<_> = keys(&drops);
            let thrown: usize = caught(|| {
                heap.par_drain().for_each(|key| {
                    if key.0.index == bad {
                        throw(bad);
                    }
                });
            });
            assert_eq!((thrown, heap.len()), (bad, 0));
            drops.assert_each_once();
        });
    }
}

#[test]
fn a_drain_that_is_forgotten_or_not_used_drops_nothing_twice() {
    let drops = Drops::new(LEN);
    let mut deque = deque_of(keys::<Vec<_>>(&drops), 7);
    std::mem::forget(deque.par_drain(3..9));
    assert_eq!(deque.len(), LEN);
    drop(deque.par_drain(3..9));
    assert!((0..LEN).all(|i| drops.count(i) == usize::from((3..9).contains(&i))));
    let mut heap: BinaryHeap<_> = deque.into_iter().collect();
    std::mem::forget(heap.par_drain());
    assert_eq!(heap.len(), LEN - 6);
    drop(heap.par_drain());
    drops.assert_each_once();
}

#[test]
fn a_drain_whose_items_panic_when_dropped_leaves_the_collection_whole() {
    struct Bad(bool);
    impl Drop for Bad {
        fn drop(&mut self) {
            if self.0 && !std::thread::panicking() {
                throw(());
            }
        }
    }
    for is_used in [false, true] {
        let mut deque: VecDeque<Bad> = (0..9).map(|n| Bad(n == 4)).collect();
        let () = caught(|| {
            let drain = deque.par_drain(2..7);
            if is_used {
                drain.for_each(drop);
            }
        });
        assert_eq!(deque.len(), 4);
    }
}

#[test]
#[expect(clippy::mutable_key_type, reason = "the counters are no part of the key")]
fn a_key_that_panics_when_it_is_compared_drops_each_item_once() {
    struct Picky<'a>(Item<'a>);
    impl PartialEq for Picky<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other).is_eq()
        }
    }
    impl Eq for Picky<'_> {}
    impl PartialOrd for Picky<'_> {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Picky<'_> {
        fn cmp(&self, other: &Self) -> Ordering {
            if self.0.index == 20 {
                throw("picky");
            }
            self.0.index.cmp(&other.0.index)
        }
    }
    in_each_pool(|| {
        let drops = Drops::new(LEN);
        let items = || (0..LEN).into_par_iter().map(|index| Picky(drops.item(index)));
        let text: &str = caught(|| items().collect::<BTreeSet<_>>());
        assert_eq!(text, "picky");
        drops.assert_each_once();
        let drops = Drops::new(LEN);
        let mut set = BTreeSet::new();
        let items = (0..LEN).into_par_iter().map(|index| Picky(drops.item(index)));
        let _: &str = caught(|| set.par_extend(items));
        drop(set);
        drops.assert_each_once();
    });
}
