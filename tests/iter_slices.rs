//! The parallel methods of slices yield what those of the standard library yield, in their order,
//! however the slice is cut, and from either end where the length is known.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use crate::sources::{Dice, eat, eat_both, meet};
use proptest::prelude::*;
use std::fmt::Debug;
use std::sync::OnceLock;
use std::time::Duration;
use windlass::Pool;
use windlass::prelude::*;

fn pools() -> &'static [Pool] {
    static POOLS: OnceLock<Vec<Pool>> = OnceLock::new();
    POOLS.get_or_init(|| WIDTHS.into_iter().map(|width| Pool::new(width).unwrap()).collect())
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(scale(60) as u32) }
}

/// Small numbers, so that there are runs; 0 is often a separator.
fn items() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![Just(0), Just(1), Just(2), 3..40_usize, 200..4_000_usize];
    (len, 1..200_u8).prop_flat_map(|(len, one_in)| {
        let item = (0..one_in).prop_map(|n| if n < 4 { n } else { 7 });
        proptest::collection::vec(item, len)
    })
}

fn to_vecs<R: AsRef<[T]>, T: Clone>(parts: impl IntoIterator<Item = R>) -> Vec<Vec<T>> {
    parts.into_iter().map(|part| part.as_ref().to_vec()).collect()
}

/// `make` is called again and again, for iterators that cannot be cloned.
#[track_caller]
fn same<I, T>(mut make: impl FnMut() -> I + Send, plain: Vec<Vec<T>>, seed: u64)
where
    I: ParallelIterator<Item: AsRef<[T]>> + Debug,
    T: Clone + Debug + PartialEq + Send + Sync,
{
    let mut dice = Dice(seed);
    for _ in 0..3 {
        let (mut par, mut seen) = (make(), Vec::new());
        // SAFETY: `par` stays where it is until the source is eaten.
        eat(unsafe { par.source() }, &mut dice, &mut seen);
        assert_eq!(to_vecs(seen), plain);
    }
    let wanted = plain.get(dice.below(plain.len().max(1)));
    for pool in pools() {
        watchdog(pool, || {
            pool.install(|| {
                assert_eq!(to_vecs(make().collect::<Vec<_>>()), plain);
                assert_eq!(make().count(), plain.len());
                let found = make().find_first(|part| Some(part.as_ref()) == wanted.map(|v| &v[..]));
                assert_eq!(found.map(|part| part.as_ref().to_vec()).as_ref(), wanted);
            });
        });
    }
}

#[track_caller]
fn same_indexed<I, T>(mut make: impl FnMut() -> I + Send, plain: Vec<Vec<T>>, seed: u64)
where
    I: IndexedParallelIterator<Item: AsRef<[T]>> + Debug,
    T: Clone + Debug + PartialEq + Send + Sync,
{
    same(&mut make, plain.clone(), seed);
    let mut dice = Dice(seed);
    for _ in 0..3 {
        let (mut par, mut seen) = (make(), Vec::new());
        // SAFETY: `par` stays where it is until the source is eaten.
        eat_both(unsafe { par.source() }, &mut dice, &mut seen);
        assert_eq!(to_vecs(seen), plain);
    }
    let n = dice.below(plain.len().min(50) + 2);
    let own = |part: I::Item| part.as_ref().to_vec();
    for pool in pools() {
        watchdog(pool, || {
            pool.install(|| {
                assert_eq!(make().len(), plain.len());
                let back: Vec<_> = make().map(own).rev().collect();
                assert!(back.iter().eq(plain.iter().rev()));
                let numbered: Vec<_> = make().enumerate().map(|(i, part)| (i, own(part))).collect();
                assert!(numbered.iter().map(|(i, part)| (*i, part)).eq(plain.iter().enumerate()));
                let zipped: Vec<_> = make().map(own).zip(0..plain.len()).rev().collect();
                assert!(zipped.into_iter().rev().eq(plain.iter().cloned().zip(0..)));
                let some: Vec<_> = make().map(own).skip(n).take(2 * n).collect();
                assert!(some.iter().eq(plain.iter().skip(n).take(2 * n)));
                let some: Vec<_> = make().map(own).step_by(n + 1).rev().collect();
                assert!(some.iter().rev().eq(plain.iter().step_by(n + 1)));
                let last = make()
                    .position_last(|part| Some(part.as_ref()) == plain.get(n).map(|v| &v[..]));
                assert_eq!(
                    last,
                    plain.get(n).and_then(|v| plain.iter().rposition(|part| part == v))
                );
            });
        });
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn chunks_and_windows(v in items(), size in 1..90_usize, seed in any::<u64>()) {
        same_indexed(|| v.par_chunks(size), to_vecs(v.chunks(size)), seed);
        same_indexed(|| v.par_rchunks(size), to_vecs(v.rchunks(size)), seed);
        same_indexed(|| v.par_chunks_exact(size), to_vecs(v.chunks_exact(size)), seed);
        same_indexed(|| v.par_rchunks_exact(size), to_vecs(v.rchunks_exact(size)), seed);
        same_indexed(|| v.par_windows(size), to_vecs(v.windows(size)), seed);
        same_indexed(|| v.par_array_windows::<1>(), to_vecs(v.array_windows::<1>()), seed);
        same_indexed(|| v.par_array_windows::<5>(), to_vecs(v.array_windows::<5>()), seed);
        assert_eq!(v.par_chunks_exact(size).remainder(), v.chunks_exact(size).remainder());
        assert_eq!(v.par_rchunks_exact(size).remainder(), v.rchunks_exact(size).remainder());
    }

    #[test]
    fn splits_and_runs(v in items(), other in 0..8_u8, seed in any::<u64>()) {
        let is_separator = |n: &u8| *n == 0 || *n == other;
        same(|| v.par_split(is_separator), to_vecs(v.split(is_separator)), seed);
        let plain = to_vecs(v.split_inclusive(is_separator));
        same(|| v.par_split_inclusive(is_separator), plain, seed);
        same(|| v.par_chunk_by(u8::eq), to_vecs(v.chunk_by(u8::eq)), seed);
        same(|| v.par_chunk_by(u8::ge), to_vecs(v.chunk_by(u8::ge)), seed);
        same(|| v.par_chunk_by(|_, _| false), to_vecs(v.chunk_by(|_, _| false)), seed);
        same(|| v.par_chunk_by(|_, _| true), to_vecs(v.chunk_by(|_, _| true)), seed);
        same(|| v.par_split(|_| true), to_vecs(v.split(|_| true)), seed);
    }

    #[test]
    fn exclusive_ones_change_every_item_once(
        v in items(), size in 1..90_usize, other in 0..8_u8, seed in any::<u64>(),
    ) {
        let is_separator = |n: &u8| *n == 0 || *n == other;
        // Each method, on a fresh copy, with the index of the part added to its items.
        macro_rules! check {
            (indexed $par:ident, $plain:ident, $arg:expr) => {{
                check!($par, $plain, $arg);
                let (mut par, mut plain) = (v.clone(), v.clone());
                plain.$plain($arg).enumerate().for_each(|(i, part)| part.fill(i as u8));
                for pool in pools() {
                    par.copy_from_slice(&v);
                    watchdog(pool, || pool.install(|| {
                        par.$par($arg).enumerate().for_each(|(i, part)| part.fill(i as u8));
                    }));
                    assert_eq!(par, plain);
                }
                let mut copy = v.clone();
                let (mut par, mut seen) = (copy.$par($arg), Vec::new());
                // SAFETY: `par` stays where it is until the source is eaten.
                eat_both(unsafe { par.source() }, &mut Dice(seed), &mut seen);
                assert_eq!(to_vecs(seen), to_vecs(v.clone().$plain($arg)));
            }};
            ($par:ident, $plain:ident, $arg:expr) => {{
                let (mut par, mut plain) = (v.clone(), v.clone());
                let turn = |part: &mut [u8]| {
                    part.rotate_left(part.len() / 3);
                    part.iter_mut().for_each(|n| *n += 1);
                };
                plain.$plain($arg).for_each(turn);
                for pool in pools() {
                    par.copy_from_slice(&v);
                    watchdog(pool, || pool.install(|| par.$par($arg).for_each(turn)));
                    assert_eq!(par, plain);
                }
                let mut copy = v.clone();
                let (mut par, mut seen) = (copy.$par($arg), Vec::new());
                // SAFETY: `par` stays where it is until the source is eaten.
                eat(unsafe { par.source() }, &mut Dice(seed), &mut seen);
                assert_eq!(to_vecs(seen), to_vecs(v.clone().$plain($arg)));
            }};
        }
        check!(indexed par_chunks_mut, chunks_mut, size);
        check!(indexed par_rchunks_mut, rchunks_mut, size);
        check!(indexed par_chunks_exact_mut, chunks_exact_mut, size);
        check!(indexed par_rchunks_exact_mut, rchunks_exact_mut, size);
        check!(par_split_mut, split_mut, is_separator);
        check!(par_split_inclusive_mut, split_inclusive_mut, is_separator);
        check!(par_chunk_by_mut, chunk_by_mut, u8::eq);
    }

    #[test]
    fn remainders_of_exclusive_chunks(v in items(), size in 1..90_usize) {
        let mut copy = v.clone();
        let (end, front) = (v.len() - v.len() % size, v.len() % size);
        let mut chunks = copy.par_chunks_exact_mut(size);
        assert_eq!(chunks.remainder(), &v[end..]);
        assert_eq!(chunks.take_remainder(), &v[end..]);
        assert_eq!((chunks.take_remainder().len(), chunks.len()), (0, v.len() / size));
        assert_eq!(chunks.count(), v.len() / size);
        assert_eq!(copy.par_chunks_exact_mut(size).into_remainder(), &v[end..]);
        let mut chunks = copy.par_rchunks_exact_mut(size);
        assert_eq!(chunks.remainder(), &v[..front]);
        assert_eq!(chunks.take_remainder(), &v[..front]);
        assert_eq!((chunks.take_remainder().len(), chunks.len()), (0, v.len() / size));
        assert_eq!(chunks.count(), v.len() / size);
        assert_eq!(copy.par_rchunks_exact_mut(size).into_remainder(), &v[..front]);
    }
}

/// Long enough, and with slow items, so that the work is shared at many places.
#[test]
fn a_long_slice_with_slow_parts_comes_in_order() {
    let mut dice = Dice(3);
    let mut v: Vec<u8> = (0..scale(100_000)).map(|_| dice.below(6) as u8).collect();
    v.extend(vec![9; scale(100_000)]);
    let slow = |part: &&[u8]| {
        if part.len() == 9 {
            work_for(Duration::from_micros(30));
        }
    };
    at_each_width(|pool| {
        pool.install(|| {
            let parts: Vec<&[u8]> = v.par_split(|n| *n == 0).inspect(slow).collect();
            assert!(parts.into_iter().eq(v.split(|n| *n == 0)));
            let parts: Vec<&[u8]> = v.par_split_inclusive(|n| *n < 2).inspect(slow).collect();
            assert!(parts.into_iter().eq(v.split_inclusive(|n| *n < 2)));
            let parts: Vec<&[u8]> = v.par_chunk_by(u8::le).inspect(slow).collect();
            assert!(parts.into_iter().eq(v.chunk_by(u8::le)));
            let some_slow = |(index, part): &(usize, &[u8])| {
                if index.is_multiple_of(101) {
                    slow(&&part[..part.len().min(9)]);
                }
            };
            for size in [1, 9, 1000] {
                let parts: Vec<_> = v.par_rchunks(size).enumerate().inspect(some_slow).collect();
                assert!(parts.into_iter().eq(v.rchunks(size).enumerate()));
                let parts: Vec<_> = v.par_windows(size).enumerate().inspect(some_slow).collect();
                assert!(parts.into_iter().eq(v.windows(size).enumerate()));
            }
        });
    });
}

#[test]
fn both_ends_are_run_at_the_same_time() {
    let mut v = vec![0; 4001];
    (v[0], v[4000]) = (1, 1);
    let is_end = |part: &&[u8]| part.contains(&1);
    for pool in &pools()[1..] {
        watchdog(pool, || {
            pool.install(|| {
                meet(|| v.par_windows(2), is_end);
                meet(|| v.par_chunks(10), is_end);
                meet(|| v.par_rchunks(10), is_end);
                meet(|| v.par_chunks_exact(1), is_end);
                meet(|| v.par_rchunks_exact(1), is_end);
                meet(|| v.par_split(|n| *n == 0), is_end);
                meet(|| v.par_split_inclusive(|n| *n == 0), is_end);
                meet(|| v.par_chunk_by(|_, _| false), is_end);
                // Only one place to cut, near either end.
                meet(|| v.par_chunk_by(|a, _| *a == 0), is_end);
                meet(|| v.par_chunk_by(|_, b| *b == 0), is_end);
            });
        });
    }
}

#[test]
fn sizes_of_zero_panic_and_huge_ones_do_not() {
    let mut v = [1, 2, 3];
    assert!(panics(|| drop([1].par_chunks(0))));
    assert!(panics(|| drop([1].par_rchunks(0))));
    assert!(panics(|| drop([1].par_chunks_exact(0))));
    assert!(panics(|| drop([1].par_rchunks_exact(0))));
    assert!(panics(|| drop([1].par_windows(0))));
    assert!(panics(|| drop([1].par_chunks_mut(0))));
    assert!(panics(|| drop([1].par_rchunks_mut(0))));
    assert!(panics(|| drop([1].par_chunks_exact_mut(0))));
    assert!(panics(|| drop([1].par_rchunks_exact_mut(0))));
    for huge in [4, usize::MAX / 2, usize::MAX] {
        assert_eq!(v.par_chunks(huge).collect::<Vec<_>>(), [[1, 2, 3]]);
        assert_eq!(v.par_rchunks_mut(huge).map(|chunk| chunk.len()).sum::<usize>(), 3);
        assert_eq!(v.par_chunks_exact(huge).count(), 0);
        assert_eq!(v.par_chunks_exact(huge).remainder(), [1, 2, 3]);
        assert_eq!(v.par_rchunks_exact_mut(huge).into_remainder(), [1, 2, 3]);
        assert_eq!(v.par_windows(huge).count(), 0);
    }
    assert_eq!(v.par_array_windows::<4>().count(), 0);
}

#[test]
fn items_without_a_size() {
    at_each_width(|pool| {
        pool.install(|| {
            let (n, long) = (scale(10_000), vec![(); usize::MAX]);
            let mut units = vec![(); n];
            assert_eq!(units.par_windows(3).count(), n.saturating_sub(2));
            assert_eq!(units.par_rchunks_mut(3).map(|chunk| chunk.len()).sum::<usize>(), n);
            assert_eq!(units.par_split(|()| true).count(), n + 1);
            assert_eq!(units.par_chunk_by(|(), ()| false).count(), n);
            assert_eq!(long.par_windows(2).len(), usize::MAX - 1);
            assert_eq!(long.par_chunks(usize::MAX).len(), 1);
            assert_eq!(long.par_rchunks(2).len(), usize::MAX / 2 + 1);
            assert!(long.par_windows(2).any(|window| window.len() == 2));
            assert!(long.par_split(|()| true).any(<[()]>::is_empty));
            assert!(long.par_chunk_by(|(), ()| false).any(|run| run.len() == 1));
        });
    });
}

#[test]
fn a_panic_of_a_predicate_comes_out() {
    let v: Vec<usize> = (0..scale(20_000)).collect();
    at_each_width(|pool| {
        let bad = |n: &usize| if *n == v.len() / 2 { throw(7) } else { n.is_multiple_of(3) };
        assert_eq!(caught::<i32, _>(|| pool.install(|| v.par_split(bad).count())), 7);
        let mut copy = v.clone();
        let all = || copy.par_split_inclusive_mut(bad).for_each(|part| part.reverse());
        assert_eq!(caught::<i32, _>(|| pool.install(all)), 7);
        copy.sort_unstable();
        assert_eq!(copy, v);
    });
}
