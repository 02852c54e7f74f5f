//! Every consumer, and the adapters that are not exact, give what the plain iterators give; and a
//! panic anywhere drops everything once.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use proptest::prelude::*;
use std::cmp::Ordering as Order;
use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use windlass::Pool;
use windlass::iter::Either;
use windlass::prelude::*;

fn pools() -> &'static [Pool] {
    static POOLS: OnceLock<Vec<Pool>> = OnceLock::new();
    POOLS.get_or_init(|| WIDTHS.into_iter().map(|width| Pool::new(width).unwrap()).collect())
}

/// Runs `body` in pools of each width, under the watchdog.
fn everywhere(body: impl Fn() + Sync) {
    for pool in pools() {
        watchdog(pool, || pool.install(&body));
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(scale(60) as u32) }
}

fn items() -> impl Strategy<Value = Vec<u32>> {
    let len = prop_oneof![0..4_usize, 4..100_usize, 1_000..3_000_usize];
    len.prop_flat_map(|len| proptest::collection::vec(0..1_000_u32, len))
}

/// Some items are slow, so that parts are of uneven length.
fn slowly(n: u32) -> u32 {
    if n % 61 == 7 {
        work_for(Duration::from_micros(3));
    }
    n
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn searches(v in items(), x in 0..1_000_u32) {
        everywhere(|| {
            let iter = || v.par_iter().map(|&n| slowly(n));
            let is_x = |n: &u32| *n == x;
            assert_eq!(iter().any(|n| n == x), v.contains(&x));
            assert_eq!(iter().all(|n| n != x), !v.contains(&x));
            assert_eq!(iter().find_any(is_x), v.contains(&x).then_some(x));
            let big = |n: &u32| *n > x;
            assert_eq!(iter().find_first(big), v.iter().copied().find(big));
            assert_eq!(iter().find_last(big), v.iter().copied().rev().find(big));
            let half = |n: u32| (n > x).then_some(n / 2);
            assert_eq!(iter().find_map_first(half), v.iter().copied().find_map(half));
            assert_eq!(iter().find_map_last(half), v.iter().copied().rev().find_map(half));
            assert_eq!(iter().find_map_any(half).is_some(), v.iter().any(big));
            let position = iter().position_any(|n| n > x);
            assert_eq!(position.map(|at| v[at] > x), v.iter().any(big).then_some(true));
            assert_eq!(iter().position_first(|n| n > x), v.iter().position(big));
            assert_eq!(iter().position_last(|n| n > x), v.iter().rposition(big));
            let positions: Vec<usize> = iter().positions(|n| n > x).collect();
            assert!(positions.iter().copied().eq((0..v.len()).filter(|&at| v[at] > x)));
            let blocks = || iter().by_exponential_blocks();
            assert_eq!(blocks().find_first(big), v.iter().copied().find(big));
            assert_eq!(iter().by_uniform_blocks(100).find_last(big), v.iter().copied().rev().find(big));
        });
    }

    #[test]
    fn reductions(v in items()) {
        everywhere(|| {
            let iter = || v.par_iter().map(|&n| slowly(n));
            assert_eq!(iter().count(), v.len());
            assert_eq!(iter().sum::<u32>(), v.iter().sum());
            let odd = |n: u32| std::num::Wrapping(2 * n + 1);
            assert_eq!(
                iter().map(odd).product::<std::num::Wrapping<u32>>(),
                v.iter().copied().map(odd).product()
            );
            // Ties: the first of the least, the last of the greatest.
            let ranked = || iter().enumerate();
            let std = || v.iter().copied().enumerate();
            let by = |a: &(usize, u32), b: &(usize, u32)| (a.1 / 10).cmp(&(b.1 / 10));
            assert_eq!(ranked().min_by(by), std().min_by(by));
            assert_eq!(ranked().max_by(by), std().max_by(by));
            assert_eq!(ranked().min_by_key(|p| p.1 / 10), std().min_by_key(|p| p.1 / 10));
            assert_eq!(ranked().max_by_key(|p| p.1 / 10), std().max_by_key(|p| p.1 / 10));
            assert_eq!((iter().min(), iter().max()), (v.iter().copied().min(), v.iter().copied().max()));
            // Associative, not commutative.
            let text = |n: u32| format!("{n},");
            let joined: String = v.iter().copied().map(text).collect();
            assert_eq!(iter().map(text).reduce(String::new, |a, b| a + &b), joined);
            assert_eq!(
                iter().map(text).reduce_with(|a, b| a + &b),
                (!v.is_empty()).then(|| joined.clone())
            );
            let fold = |mut so_far: String, n: u32| {
                so_far.push_str(&text(n));
                so_far
            };
            assert_eq!(iter().fold(String::new, fold).reduce(String::new, |a, b| a + &b), joined);
            assert_eq!(iter().fold_with(String::new(), fold).collect::<Vec<_>>().concat(), joined);
            assert_eq!(iter().map(text).reduce_deterministic(String::new, |a, b| a + &b), joined);
            let scanned: Vec<String> =
                iter().take(200).map(text).inclusive_scan(|a, b| format!("{a}{b}")).collect();
            assert!(scanned.iter().enumerate().all(|(at, s)| {
                *s == v[..=at].iter().copied().map(text).collect::<String>()
            }));
            let before: Vec<u32> = iter().exclusive_scan(5, |a, b| a + b).collect();
            let expected = v.iter().scan(5, |total, n| {
                *total += n;
                Some(*total - n)
            });
            assert!(before.into_iter().eq(expected));
        });
    }

    #[test]
    fn the_first_failure_counts(v in items(), x in 0..1_000_u32) {
        everywhere(|| {
            let check = |(at, n): (usize, u32)| if n > x { Err(at) } else { Ok(n) };
            let iter = || v.par_iter().map(|&n| slowly(n)).enumerate();
            let std = || v.iter().copied().enumerate().map(check);
            let all: Result<Vec<u32>, usize> = std().collect();
            assert_eq!(iter().map(check).collect::<Result<Vec<u32>, usize>>(), all);
            let filtered: Result<Vec<u32>, usize> =
                iter().filter(|p| p.1 % 3 > 0).map(check).collect();
            let expected: Result<Vec<u32>, usize> =
                v.iter().copied().enumerate().filter(|p| p.1 % 3 > 0).map(check).collect();
            assert_eq!(filtered, expected);
            assert_eq!(iter().map(|p| check(p).ok()).collect::<Option<Vec<u32>>>(), all.clone().ok());
            assert_eq!(iter().try_for_each(|p| check(p).map(drop)), all.clone().map(drop));
            let flow = |p| match check(p) {
                Ok(_) => ControlFlow::Continue(()),
                Err(at) => ControlFlow::Break(at),
            };
            assert_eq!(iter().try_for_each(flow).break_value(), all.clone().err());
            let sum = all.as_ref().map(|v| v.iter().sum::<u32>()).map_err(|&at| at);
            assert_eq!(iter().map(check).try_reduce(|| 0, |a, b| Ok(a + b)), sum);
            assert_eq!(
                iter().map(check).try_reduce_with(|a, b| Ok(a + b)),
                if v.is_empty() { None } else { Some(sum) }
            );
            let folded = iter()
                .try_fold(|| 0, |so_far, p| check(p).map(|n| so_far + n))
                .try_reduce(|| 0, |a, b| Ok(a + b));
            assert_eq!(folded, sum);
        });
    }

    #[test]
    fn collections_in_two(v in items(), x in 0..1_000_u32) {
        everywhere(|| {
            let iter = || v.par_iter().map(|&n| slowly(n));
            let parts: (Vec<u32>, Vec<u32>) = v.iter().partition(|n| **n > x);
            assert_eq!(iter().partition::<Vec<u32>, Vec<u32>, _>(|n| *n > x), parts);
            let either = |n| if n > x { Either::Left(n) } else { Either::Right(n) };
            assert_eq!(iter().partition_map::<Vec<u32>, Vec<u32>, _, _, _>(either), parts);
            let two = |n: u32| (n, n.to_string());
            let pairs: (Vec<u32>, Vec<String>) = v.iter().copied().map(two).unzip();
            assert_eq!(iter().map(two).unzip::<_, _, Vec<u32>, Vec<String>>(), pairs);
            let some = iter().filter(|n| *n > x).map(two).unzip::<_, _, Vec<u32>, Vec<String>>();
            assert_eq!(some.0, parts.0);
            let (mut a, mut b) = (vec![1], vec![String::new()]);
            iter().map(two).unzip_into_vecs(&mut a, &mut b);
            assert_eq!((a, b), pairs);
            let mut into = vec![7; 3];
            iter().collect_into_vec(&mut into);
            assert_eq!(into, v);
            assert_eq!(iter().filter(|n| *n > x).collect_vec_list().concat(), parts.0);
            let mut more = vec![7];
            more.par_extend(iter());
            more.par_extend(iter().filter(|n| *n > x));
            assert_eq!(more, [&[7], &v[..], &parts.0].concat());
        });
    }

    #[test]
    fn adapters_that_are_not_exact(v in items(), x in 0..1_000_u32) {
        everywhere(|| {
            let iter = || v.par_iter().map(|&n| slowly(n));
            let std = || v.iter().copied();
            let collect = |iter: &dyn Fn() -> Vec<u32>, expected: Vec<u32>| assert_eq!(iter(), expected);
            collect(&|| iter().filter(|n| *n > x).collect(), std().filter(|n| *n > x).collect());
            let half = |n: u32| (n > x).then_some(n / 2);
            collect(&|| iter().filter_map(half).collect(), std().filter_map(half).collect());
            let few = |n: u32| 0..n % 5;
            collect(&|| iter().flat_map(few).collect(), std().flat_map(few).collect());
            collect(&|| iter().flat_map_iter(few).collect(), std().flat_map(few).collect());
            collect(&|| iter().map(few).flatten_iter().collect(), std().flat_map(few).collect());
            collect(
                &|| iter().map(|n| vec![n; (n % 4) as usize]).flatten().collect(),
                std().flat_map(|n| vec![n; (n % 4) as usize]).collect(),
            );
            // A long one inside.
            collect(
                &|| iter().take(3).flat_map(|n| (0..2_000_u32).into_par_iter().map(move |m| slowly(n + m))).collect(),
                std().take(3).flat_map(|n| (0..2_000).map(move |m| n + m)).collect(),
            );
            collect(
                &|| iter().filter(|n| *n > x).chain(iter().flat_map(few)).collect(),
                std().filter(|n| *n > x).chain(std().flat_map(few)).collect(),
            );
            let mut any: Vec<u32> = iter().take_any(10).collect();
            assert_eq!(any.len(), v.len().min(10));
            any.extend(iter().skip_any(10).collect::<Vec<_>>());
            assert!(any.len() == v.len() || v.len() < 10);
            let until = iter().take_any_while(|n| *n <= x).count();
            assert!(until <= std().filter(|n| *n <= x).count());
            let from = iter().skip_any_while(|n| *n <= x).count();
            assert!(from >= std().filter(|n| *n > x).count());
            // Nothing is lost between a fold and what ends a part early.
            assert_eq!(iter().take_any(10).fold(|| 0, |n, _| n + 1).sum::<usize>(), v.len().min(10));
            let some = iter().map(|n| (n <= x).then_some(n)).while_some();
            assert!(some.fold(|| 0, |n, _| n + 1).sum::<usize>() <= std().filter(|n| *n <= x).count());
        });
    }

    #[test]
    fn comparisons(v in items(), w in items(), cut in any::<prop::sample::Index>()) {
        everywhere(|| {
            let mut like_v = v.clone();
            if !v.is_empty() {
                like_v[cut.index(v.len())] += 1;
            }
            for w in [&v, &w, &like_v, &v[..cut.index(v.len() + 1)].to_vec()] {
                let iter = || v.par_iter();
                assert_eq!(iter().cmp(w), v.cmp(w));
                assert_eq!(iter().partial_cmp(w), v.partial_cmp(w));
                assert_eq!((iter().eq(w), iter().ne(w)), (v == *w, v != *w));
                assert_eq!((iter().lt(w), iter().le(w)), (v < *w, v <= *w));
                assert_eq!((iter().gt(w), iter().ge(w)), (v > *w, v >= *w));
            }
        });
    }
}

#[test]
fn a_float_that_compares_with_nothing() {
    everywhere(|| {
        let (a, b) = ([1.0, f64::NAN], [1.0, 2.0]);
        assert_eq!(a.par_iter().partial_cmp(&b), None);
        assert!(!a.par_iter().lt(&b) && !a.par_iter().ge(&b) && a.par_iter().ne(&a));
        assert_eq!(b.par_iter().partial_cmp(&b), Some(Order::Equal));
    });
}

#[test]
fn floating_point_results_do_not_depend_on_the_workers() {
    for n in [0, 1, 1_000, 1_025, 100_003] {
        let term = |i: usize| 1.0 / (i as f64 + 0.1) * if i.is_multiple_of(3) { -1.0 } else { 1.0 };
        let sums: Vec<u64> = pools()
            .iter()
            .flat_map(|pool| {
                (0..scale(5)).map(|_| {
                    pool.install(|| {
                        let iter = (0..n).into_par_iter().map(|i| {
                            slowly(i as u32);
                            term(i)
                        });
                        let sum: f64 = iter.clone().sum_deterministic();
                        let reduced = iter.reduce_deterministic(|| 0.0, |a, b| a + b);
                        assert!((sum - reduced).abs() < 1e-9);
                        sum.to_bits() ^ reduced.to_bits().rotate_left(1)
                    })
                })
            })
            .collect();
        assert!(sums.windows(2).all(|pair| pair[0] == pair[1]), "{n}: {sums:?}");
    }
}

#[test]
fn a_deterministic_reduction_is_a_balanced_tree_of_runs() {
    let op = |a: String, b: String| format!("({a}{b})");
    fn tree(runs: &[String], op: &impl Fn(String, String) -> String) -> String {
        match runs {
            [run] => run.clone(),
            _ => {
                let (left, right) = runs.split_at(runs.len().next_power_of_two() / 2);
                op(tree(left, op), tree(right, op))
            }
        }
    }
    for len in (0..20).chain([31, 32, 33, 100, 127, 255, 1_000]) {
        let items: Vec<String> = (0..len).map(|n| format!(" {n}")).collect();
        let runs: Vec<String> = items
            .chunks((len / 16).clamp(1, 8))
            .map(|run| run.iter().cloned().fold("_".into(), op))
            .collect();
        let expected = if len == 0 { "_".into() } else { tree(&runs, &op) };
        everywhere(|| {
            let iter = (0..len as u32).into_par_iter().map(|n| format!(" {}", slowly(n)));
            assert_eq!(iter.reduce_deterministic(|| "_".into(), op), expected, "{len} items");
        });
    }
}

#[test]
fn a_scan_that_nobody_shares_goes_along_with_its_consumer() {
    Pool::new(1).unwrap().install(|| {
        let (made, used) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let count = |n: u32| {
            made.fetch_add(1, Ordering::SeqCst);
            slowly(n)
        };
        let sums = (0..1_000).into_par_iter().map(count).inclusive_scan(|a, b| a + b);
        sums.with_max_len(1).for_each(|_| {
            let (made, used) =
                (made.load(Ordering::SeqCst), used.fetch_add(1, Ordering::SeqCst) + 1);
            assert!(made <= used + 1, "{made} items were made when {used} were used");
        });
        assert_eq!(used.into_inner(), 1_000);
    });
}

#[test]
fn states_are_made_once_for_each_part_that_runs() {
    at_each_width(|pool| {
        pool.install(|| {
            let made = AtomicUsize::new(0);
            let make = || made.fetch_add(1, Ordering::SeqCst);
            let n = 20_000;
            let count =
                (0..n).into_par_iter().with_max_len(1).map_init(make, |_, i| slowly(i)).count();
            assert_eq!(count, n as usize);
            // A thread that waits for a part may have begun another on top.
            let most = 2 * (pool.num_workers() + 1);
            assert!(made.load(Ordering::SeqCst) <= most, "{made:?} states");
            let live = Live::default();
            #[derive(Clone)]
            struct State<'a>(&'a AtomicUsize, std::sync::Arc<Token<'a>>);
            let clones = AtomicUsize::new(0);
            let token = std::sync::Arc::new(live.token());
            (0..n).into_par_iter().for_each_with(State(&clones, token), |state, i| {
                assert!(std::sync::Arc::strong_count(&state.1) > 0);
                state.0.fetch_add(1, Ordering::Relaxed);
                slowly(i);
            });
            assert_eq!(clones.into_inner(), n as usize);
            live.assert_none();
        });
    });
}

#[test]
fn blocks_come_one_after_the_other() {
    at_each_width(|pool| {
        pool.install(|| {
            let done = AtomicUsize::new(0);
            (0..5_000_usize).into_par_iter().by_uniform_blocks(250).for_each(|i| {
                assert!(done.load(Ordering::SeqCst) >= i / 250 * 250, "all blocks before are done");
                slowly(i as u32);
                done.fetch_add(1, Ordering::SeqCst);
            });
            assert_eq!(done.into_inner(), 5_000);
        });
    });
}

#[test]
fn searches_stop_early() {
    at_each_width(|pool| {
        pool.install(|| {
            let calls = AtomicUsize::new(0);
            let n = 100_000;
            let slow = |i: usize| {
                calls.fetch_add(1, Ordering::Relaxed);
                work_for(Duration::from_micros(1));
                i
            };
            assert!((0..n).into_par_iter().map(slow).any(|i| i == 3));
            assert_eq!((0..n).into_par_iter().map(slow).find_first(|&i| i >= 5), Some(5));
            assert!(calls.into_inner() < n, "half of either at most");
        });
    });
}

/// A loop over counted items, of which the closure at `bad` throws.
type Loop = fn(Vec<Item<'_>>, &(dyn Fn(usize) + Sync));

/// Items go in; `hit` is called with the index of each that a closure sees.
const LOOPS: &[(&str, Loop)] = &[
    ("for_each", |v, hit| v.into_par_iter().for_each(|item| hit(item.index))),
    ("map", |v, hit| {
        let kept: Vec<Item<'_>> = v
            .into_par_iter()
            .map(|item| {
                hit(item.index);
                item
            })
            .collect();
        drop(kept);
    }),
    ("filter", |v, hit| {
        let keep = |item: &Item<'_>| {
            hit(item.index);
            item.index.is_multiple_of(2)
        };
        drop(v.into_par_iter().filter(keep).collect::<Vec<_>>());
    }),
    ("flat_map", |v, hit| {
        let inner = v.into_par_iter().flat_map(|item| {
            hit(item.index);
            vec![item]
        });
        drop(inner.collect::<Vec<_>>());
    }),
    ("fold", |v, hit| {
        let folds = v.into_par_iter().fold(Vec::new, |mut kept, item| {
            hit(item.index);
            kept.push(item);
            kept
        });
        drop(folds.collect::<Vec<_>>());
    }),
    ("reduce", |v, hit| {
        drop(v.into_par_iter().reduce_with(|a, b| {
            hit(b.index);
            a
        }));
    }),
    ("zip and chunks", |v, hit| {
        let other: Vec<usize> = (0..v.len()).collect();
        let chunk =
            |chunk: Vec<(Item<'_>, usize)>| chunk.iter().for_each(|(item, _)| hit(item.index));
        v.into_par_iter().zip(other).rev().chunks(3).for_each(chunk);
    }),
    ("unzip", |v, hit| {
        let pairs = v.into_par_iter().map(|item| {
            hit(item.index);
            (item.index, item)
        });
        drop(pairs.unzip::<_, _, Vec<usize>, Vec<_>>());
    }),
    ("collect into a result", |v, hit| {
        let checked = v.into_par_iter().map(|item| {
            hit(item.index);
            if item.index == 70 { Err(item) } else { Ok(item) }
        });
        drop(checked.collect::<Result<Vec<_>, _>>());
    }),
    ("states", |v, hit| {
        v.into_par_iter().for_each_init(Vec::new, |kept, item| {
            hit(item.index);
            kept.push(item.index);
        });
    }),
];

#[test]
fn a_panic_at_any_position_drops_every_item_once() {
    at_each_width(|pool| {
        for (name, run) in LOOPS {
            for bad in (0..90).step_by(if pool.num_workers() > 2 { 7 } else { 1 }) {
                let items = Drops::new(90);
                let owned: Vec<Item<'_>> = (0..90).map(|index| items.item(index)).collect();
                let hit = |index| {
                    slowly(index as u32);
                    if index == bad {
                        throw("bad");
                    }
                };
                let is_caught = panics(|| pool.install(|| run(owned, &hit)));
                // The first item is never the right one of two, and an error may come before.
                assert!(is_caught || bad == 0 || bad > 70, "{name} at {bad}");
                items.assert_each_once();
            }
        }
    });
}

#[test]
fn parts_that_have_not_begun_are_not_run_after_a_panic() {
    at_each_width(|pool| {
        let (calls, n) = (AtomicUsize::new(0), 200_000);
        let thrown = caught::<&str, _>(|| {
            pool.install(|| {
                (0..n).into_par_iter().for_each(|i| {
                    calls.fetch_add(1, Ordering::Relaxed);
                    work_for(Duration::from_micros(1));
                    if i == 100 {
                        throw("bad");
                    }
                });
            });
        });
        assert_eq!(thrown, "bad");
        assert!(calls.into_inner() < n / 2);
    });
}
