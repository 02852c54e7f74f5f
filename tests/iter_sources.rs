//! Sources that are not collections: one item or none, the same item again, data that a closure
//! cuts, trees, tuples.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use proptest::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;
use windlass::prelude::*;
use windlass::{Pool, iter};

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

// ---- one item or none, and the same one again

#[test]
fn empty_and_once_are_the_ends_of_chains() {
    in_each_pool(|| {
        assert_eq!(iter::empty::<i32>().len(), 0);
        assert_eq!(iter::empty::<i32>().max(), None);
        let ends = iter::once(1).chain(iter::empty()).chain(2..4).chain(iter::once(4));
        assert_eq!(ends.clone().collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(ends.clone().rev().collect::<Vec<_>>(), [4, 3, 2, 1]);
        assert_eq!(ends.skip(1).take(2).zip(iter::once('x')).collect::<Vec<_>>(), [(2, 'x')]);
    });
    assert_eq!(
        format!("{:?} {:?}", iter::empty::<u8>(), iter::once(1)),
        "Empty Once { item: Some(1) }"
    );
    let drops = Drops::new(2);
    drop(iter::once(drops.item(0)));
    iter::once(drops.item(1)).for_each(drop);
    drops.assert_each_once();
}

/// Counts its clones.
struct Cloned<'a>(
    &'a AtomicUsize,
    &'a Live,
    #[expect(dead_code, reason = "it counts while it lives")] Token<'a>,
);

impl Clone for Cloned<'_> {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        Cloned(self.0, self.1, self.1.token())
    }
}

#[test]
fn repeat_n_clones_once_less_than_it_yields_however_it_is_shared() {
    in_each_pool(|| {
        for n in [0, 1, 2, 7, scale(5_000)] {
            let (clones, live) = (AtomicUsize::new(0), Live::default());
            let model = || Cloned(&clones, &live, live.token());
            let items: Vec<Cloned<'_>> = iter::repeat_n(model(), n).collect();
            assert_eq!(items.len(), n);
            assert_eq!(clones.swap(0, Ordering::Relaxed), n.saturating_sub(1));
            drop(items);
            iter::repeat_n(model(), n).rev().enumerate().for_each(|(i, _)| {
                if i % 1_000 == 0 {
                    work_for(Duration::from_micros(200));
                }
            });
            assert_eq!(clones.swap(0, Ordering::Relaxed), n.saturating_sub(1));
            live.assert_none();
        }
    });
}

#[test]
fn repeat_goes_on_until_it_is_cut_or_ended() {
    in_each_pool(|| {
        assert_eq!(iter::repeat('x').take(5).collect::<Vec<_>>(), ['x'; 5]);
        let v: Vec<(u32, i32)> = (0..1_000).into_par_iter().zip(iter::repeat(7)).collect();
        assert!(v.into_iter().eq((0..1_000).map(|n| (n, 7))));
        assert_eq!(iter::repeat(7).find_any(|&n| n == 7), Some(7));
        assert_eq!(iter::repeat(1).take_any(scale(10_000)).sum::<usize>(), scale(10_000));
        let (clones, live) = (AtomicUsize::new(0), Live::default());
        let model = Cloned(&clones, &live, live.token());
        let thrown: usize = caught(|| {
            iter::repeat(model).enumerate().for_each(|(i, _)| {
                if i == 3_000 {
                    throw(i);
                }
            });
        });
        assert_eq!(thrown, 3_000);
        live.assert_none();
    });
}

// ---- data that a closure cuts

fn halves(range: Range<usize>) -> (Range<usize>, Option<Range<usize>>) {
    if range.len() < 2 {
        return (range, None);
    }
    let middle = range.start + range.len() / 3;
    (range.start..middle, Some(middle..range.end))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn pieces_are_in_order_and_the_same_however_they_are_shared(
        len in 0..5_000_usize, slow in 0..64_usize, start in 0..10_usize,
    ) {
        for pool in pools() {
            watchdog(pool, || pool.install(|| {
                let bound = (4 * pool.num_workers()).next_power_of_two();
                let pieces = |is_uneven: bool| {
                    let pieces = iter::split(start..start + len, halves);
                    let number = AtomicUsize::new(0);
                    pieces.inspect(|_| {
                        if is_uneven && number.fetch_add(1, Ordering::Relaxed) == slow {
                            work_for(Duration::from_micros(300));
                        }
                    }).collect::<Vec<_>>()
                };
                let (even, uneven) = (pieces(false), pieces(true));
                assert_eq!(even, uneven);
                assert!((1..=bound).contains(&even.len()), "{} pieces of {bound}", even.len());
                assert!(len < 1_000 || even.len() == bound, "{} pieces of {bound}", even.len());
                let all: Vec<usize> = even.into_iter().flatten().collect();
                assert!(all.into_iter().eq(start..start + len));
                assert_eq!(iter::split(0..len, |range| (range, None)).count(), 1);
            }));
        }
    }
}

#[test]
fn a_splitter_that_panics_anywhere_loses_no_piece() {
    in_each_pool(|| {
        for bad in 0..40 {
            let (calls, live) = (AtomicUsize::new(0), Live::default());
            let is_bad = panics(|| {
                let pieces = iter::split((0..1_000, live.token()), |(range, token)| {
                    if calls.fetch_add(1, Ordering::Relaxed) == bad {
                        throw(bad);
                    }
                    let (left, right) = halves(range);
                    ((left, token), right.map(|right| (right, live.token())))
                });
                pieces.for_each(|_| work_for(Duration::from_micros(20)));
            });
            assert_eq!(is_bad, calls.into_inner() > bad);
            live.assert_none();
        }
    });
}

// ---- trees

/// Each node's children, by index; children have higher indices than their parents.
#[derive(Clone, Debug)]
struct Tree(Vec<Vec<usize>>);

impl Tree {
    /// Node `i + 1` hangs below node `parents[i]`, modulo what there is.
    fn new(parents: &[usize]) -> Self {
        let mut tree = Tree(vec![Vec::new(); parents.len() + 1]);
        for (i, parent) in parents.iter().enumerate() {
            tree.0[parent % (i + 1)].push(i + 1);
        }
        tree
    }

    fn prefix(&self) -> Vec<usize> {
        let (mut pending, mut order) = (vec![0], Vec::new());
        while let Some(node) = pending.pop() {
            order.push(node);
            pending.extend(self.0[node].iter().rev());
        }
        order
    }

    /// The reverse of a prefix order that goes from right to left.
    fn postfix(&self) -> Vec<usize> {
        let (mut pending, mut order) = (vec![0], Vec::new());
        while let Some(node) = pending.pop() {
            order.push(node);
            pending.extend(&self.0[node]);
        }
        order.reverse();
        order
    }

    fn check(&self, slow: usize) {
        let children = |&node: &usize| self.0[node].iter().copied();
        let work = |&node: &usize| {
            if slow > 0 && node % slow == 0 {
                work_for(Duration::from_micros(30));
            }
        };
        let prefix: Vec<usize> = iter::walk_tree_prefix(0, children).inspect(work).collect();
        assert_eq!(prefix, self.prefix());
        let postfix: Vec<usize> = iter::walk_tree_postfix(0, children).inspect(work).collect();
        assert_eq!(postfix, self.postfix());
        let mut any: Vec<usize> = iter::walk_tree(0, children).inspect(work).collect();
        any.sort_unstable();
        assert!(any.into_iter().eq(0..self.0.len()));
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    let len = prop_oneof![0..4_usize, 4..100_usize, 100..3_000_usize];
    // Spread out, or close to a path, or close to a star.
    let parents = (len, 0..3_u8).prop_flat_map(|(len, shape)| {
        let parent = move |i: usize, random: usize| match shape {
            0 => random,
            1 => i.saturating_sub(random % 3),
            _ => random % 3,
        };
        proptest::collection::vec(any::<usize>(), len).prop_map(move |random| {
            random.into_iter().enumerate().map(|(i, n)| parent(i, n)).collect::<Vec<_>>()
        })
    });
    parents.prop_map(|parents| Tree::new(&parents))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn trees_are_walked_in_the_order_of_the_plain_walk(tree in trees(), slow in 0..300_usize) {
        in_each_pool(|| tree.check(slow));
    }
}

#[test]
fn neither_depth_nor_width_of_a_tree_matters_to_the_stack() {
    let n = scale(300_000);
    let path: Vec<usize> = (0..n).collect();
    let star = vec![0; n];
    // A path with a leaf at each node, before the rest of the path and after it.
    let leaf_first: Vec<usize> = (0..n).map(|i| i - i % 2).collect();
    let leaf_last: Vec<usize> = (0..n).map(|i| (i - i % 2).saturating_sub(1)).collect();
    for parents in [path, star, leaf_first, leaf_last] {
        let tree = Tree::new(&parents);
        for width in WIDTHS {
            let pool = Pool::builder().workers(width).stack_size(512 << 10).build().unwrap();
            watchdog(&pool, || {
                // All of it runs on the pool's own threads.
                std::thread::scope(|scope| {
                    let run = || pool.install(|| tree.check(0));
                    let thread = std::thread::Builder::new().stack_size(512 << 10);
                    thread.spawn_scoped(scope, run).unwrap().join().unwrap();
                });
            });
        }
    }
}

#[test]
fn a_walk_that_panics_anywhere_drops_each_node_once() {
    in_each_pool(|| {
        let len = 200;
        let tree = Tree::new(&Vec::from_iter((0..len - 1).map(|i| i * 7 % 31)));
        for (bad, is_child) in (0..len).step_by(7).flat_map(|bad| [(bad, false), (bad, true)]) {
            for is_postfix in [false, true] {
                let live = Live::default();
                let children = |(node, _): &(usize, Token<'_>)| {
                    let fail = is_child && *node == bad;
                    let live = &live;
                    tree.0[*node].iter().enumerate().map(move |(i, &child)| {
                        // In the middle of the children.
                        if fail && i > 0 {
                            throw(bad);
                        }
                        (child, live.token())
                    })
                };
                let visit = |(node, _): (usize, Token<'_>)| {
                    work_for(Duration::from_micros(1));
                    if !is_child && node == bad {
                        throw(bad);
                    }
                };
                let root = (0, live.token());
                let is_bad = panics(|| {
                    if is_postfix {
                        iter::walk_tree_postfix(root, children).for_each(visit);
                    } else {
                        iter::walk_tree_prefix(root, children).for_each(visit);
                    }
                });
                assert_eq!(is_bad, !is_child || tree.0[bad].len() > 1);
                live.assert_none();
            }
        }
    });
}

#[test]
fn a_tree_is_shared_between_workers() {
    for width in [2, 3] {
        // Spare threads would take turns with those that wait.
        let pool = Pool::builder().workers(width).max_spare_workers(0).build().unwrap();
        watchdog(&pool, || {
            let threads = Mutex::new(Vec::new());
            let children = |&depth: &u32| if depth < 14 { vec![depth + 1; 2] } else { vec![] };
            // Goes on until as many threads take part.
            let work = |_| {
                let id = std::thread::current().id();
                let mut threads = threads.lock().unwrap();
                if !threads.contains(&id) {
                    threads.push(id);
                }
                let is_enough = threads.len() >= width;
                drop(threads);
                if !is_enough {
                    work_for(Duration::from_micros(20));
                }
            };
            pool.install(|| iter::walk_tree_prefix(0, children).for_each(work));
            // The caller is a worker, too, and one of the pool's own may take turns with it.
            let num_threads = threads.lock().unwrap().len();
            assert!((width..=width + 1).contains(&num_threads), "{num_threads}");
        });
    }
}

#[test]
fn trees_and_pieces_work_with_the_adapters() {
    in_each_pool(|| {
        let children = |&n: &u32| if n < 512 { vec![2 * n, 2 * n + 1] } else { vec![] };
        let tree = iter::walk_tree_prefix(1, children);
        assert_eq!(tree.clone().filter(|n| n % 2 == 0).count(), 511);
        assert_eq!(tree.clone().find_first(|&n| n > 2 && n % 2 == 1), Some(513));
        assert_eq!(tree.clone().flat_map(|n| 0..n).count(), 1023 * 512);
        assert_eq!(tree.clone().fold(|| 0, |a, n| a + n).sum::<u32>(), 1023 * 512);
        let plain: Vec<u32> = tree.clone().collect();
        assert!(tree.clone().into_seq_iter().eq(plain.iter().copied()));
        let mut ordered = Vec::new();
        tree.clone().for_each_ordered(|n| ordered.push(n));
        assert_eq!(ordered, plain);
        let bad: Result<Vec<u32>, u32> =
            tree.clone().map(|n| if n % 64 == 33 { Err(n) } else { Ok(n) }).collect();
        assert_eq!(bad, Err(*plain.iter().find(|&n| n % 64 == 33).unwrap()));
        let mut pieces = Vec::new();
        iter::split(0..1_000, halves).for_each_ordered(|piece| pieces.push(piece));
        assert!(pieces.into_iter().flatten().eq(0..1_000));
        assert!(iter::split(0..1_000, halves).into_seq_iter().flatten().eq(0..1_000));
    });
}

// ---- tuples

proptest! {
    #![proptest_config(config())]

    #[test]
    fn tuples_are_as_long_as_the_shortest_and_cut_alike(
        lens in any::<[u8; 12]>(), skip in 0..5_usize,
    ) {
        in_each_pool(|| {
            let [a, b, c, d, ..] = lens.map(|len| usize::from(len) * 8);
            let least = a.min(b).min(c);
            let plain: Vec<_> = (0..least).map(|i| (i, i + 1, i + 2)).collect();
            let three = (0..a, 1..b + 1, 2..c + 2);
            let three = || three.clone().into_par_iter();
            assert_eq!(three().len(), least);
            assert_eq!(three().collect::<Vec<_>>(), plain);
            let back: Vec<_> = three().rev().skip(skip).collect();
            assert!(back.into_iter().eq(plain.iter().rev().skip(skip).copied()));
            let chunks: Vec<_> = three().chunks(3).collect();
            assert!(chunks.into_iter().eq(plain.chunks(3).map(<[_]>::to_vec)));

            let v: [Vec<usize>; 12] = lens.map(|len| (0..usize::from(len)).collect());
            let [a, b, c, d0, e, f, g, h, i, j, k, l] = &v;
            let all = (a, b, c, d0, e, f, g, h, i, j, k, l).into_par_iter();
            let least = usize::from(*lens.iter().min().unwrap());
            assert_eq!(all.len(), least);
            let sum: usize = all.map(|(a, b, c, d, e, f, g, h, i, j, k, l)| {
                assert!([b, c, d, e, f, g, h, i, j, k, l].iter().all(|&n| n == a));
                *a
            }).sum();
            assert_eq!(sum, (0..least).sum::<usize>());

            let mut pair = (vec![0; d], vec![1_usize; d + 3]);
            pair.par_iter_mut().enumerate().for_each(|(i, (a, b))| (*a, *b) = (i, i * i));
            let squares = (0..d).into_par_iter().map(|i| (i, i * i));
            assert!(pair.par_iter().map(|(a, b)| (*a, *b)).eq(squares));
            let sum: usize = (pair.0,).into_par_iter().map(|(a,)| a).sum();
            assert_eq!(sum, (0..d).sum::<usize>());
        });
    }
}

#[test]
fn a_panic_in_a_loop_over_a_tuple_drops_every_item_once() {
    in_each_pool(|| {
        for bad in 0..20 {
            let (a, b) = (Drops::new(20), Drops::new(30));
            let left: Vec<_> = (0..20).map(|i| a.item(i)).collect();
            let right: Vec<_> = (0..30).map(|i| b.item(i)).collect();
            let thrown: usize = caught(|| {
                (left, right).into_par_iter().for_each(|(left, right)| {
                    assert_eq!(left.index, right.index);
                    if left.index == bad {
                        throw(bad);
                    }
                });
            });
            assert_eq!(thrown, bad);
            a.assert_each_once();
            b.assert_each_once();
        }
    });
}
