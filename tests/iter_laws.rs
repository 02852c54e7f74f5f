//! Every indexed adapter, and what splits and batches make of it, item by item: a source is split,
//! and eaten from both ends, as a script says, and what comes out is compared with the plain
//! iterator. Without threads, so each failure is one for good.
#![cfg(not(any(loom, shuttle)))]

use crate::loops::config;
use proptest::prelude::*;
use std::fmt::Debug;
use windlass::iter::{IndexedSource, Source};
use windlass::prelude::*;

/// What is done to a source, a byte a decision; over and over.
struct Script<'a> {
    bytes: &'a [u8],
    next: usize,
}

impl Script<'_> {
    fn below(&mut self, end: usize) -> usize {
        let byte = usize::from(self.bytes[self.next % self.bytes.len()]);
        self.next += 1;
        // One out of four is the whole: the end of a piece is where the mistakes are.
        if byte >= 192 { end - 1 } else { byte % end }
    }
}

/// Takes the items out, in one of the ways in which an iterator can be eaten. An item that was left
/// is `None`.
fn eat<T>(mut items: impl Iterator<Item = T>, n: usize, script: &mut Script<'_>) -> Vec<Option<T>> {
    let mut eaten = Vec::new();
    let way = script.below(5);
    if way < 3 {
        eat_one_by_one(&mut items, way % 2, &mut eaten);
        items.for_each(|item| eaten.push(Some(item)));
    } else {
        let enough = if way == 3 { n + 1 } else { script.below(n + 1) };
        eat_one_by_one(&mut items, enough, &mut eaten);
        if way == 4 {
            assert_eq!(eaten.len(), enough);
            eaten.resize_with(n, || None);
        }
    }
    assert_eq!(eaten.len(), n, "a batch has the items it was asked for");
    eaten
}

/// Apart, and not generic over the iterator, which would be built for each of some hundred types.
fn eat_one_by_one<T>(items: &mut dyn Iterator<Item = T>, most: usize, eaten: &mut Vec<Option<T>>) {
    for _ in 0..most {
        eaten.extend(items.next().map(Some));
    }
}

fn eat_indexed<S: IndexedSource>(
    mut source: S,
    len: usize,
    script: &mut Script<'_>,
    depth: usize,
) -> Vec<Option<S::Item>> {
    const { assert!(S::EXACT) };
    let (mut front, mut back) = (Vec::new(), Vec::new());
    loop {
        let left = len - front.len() - back.len();
        assert_eq!((source.len(), source.is_empty()), (left, left == 0));
        let n = script.below(left + 1);
        // A script may go round and round.
        match if script.next < 200 { script.below(4) } else { 3 } {
            0 => front.extend(eat(source.take_front(n), n, script)),
            1 => back.extend(eat(source.take_back(n), n, script)),
            2 if left == 0 => break,
            2 if depth < 8 => {
                let (a, b) = source.split_at(n);
                let (first, second);
                if script.below(2) == 0 {
                    first = eat_indexed(a, n, script, depth + 1);
                    second = eat_indexed(b, left - n, script, depth + 1);
                } else {
                    second = eat_indexed(b, left - n, script, depth + 1);
                    first = eat_indexed(a, n, script, depth + 1);
                }
                front.extend(first.into_iter().chain(second));
                break;
            }
            _ => {
                front.extend(eat(source.take_front(left), left, script));
                break;
            }
        }
    }
    back.reverse();
    front.extend(back);
    front
}

#[track_caller]
fn agree<I>(what: &str, mut iter: I, model: &[I::Item], script: &[u8])
where
    I: IndexedParallelIterator<Item: Debug + PartialEq>,
{
    assert_eq!((iter.len(), iter.opt_len()), (model.len(), Some(model.len())), "{what}");
    // SAFETY: the iterator stays here until the source is gone.
    let source = unsafe { iter.source() };
    let items = eat_indexed(source, model.len(), &mut Script { bytes: script, next: 0 }, 0);
    for (at, (item, expected)) in items.iter().zip(model).enumerate() {
        if let Some(item) = item {
            assert_eq!(item, expected, "{what}, item {at}");
        }
    }
}

/// The arguments of the adapters.
#[derive(Clone, Debug)]
struct Args {
    script: Vec<u8>,
    a: usize,
    b: usize,
    step: usize,
}

fn args() -> impl Strategy<Value = Args> {
    let script = proptest::collection::vec(any::<u8>(), 1..40);
    let step = prop_oneof![4 => 1..8_usize, 1 => Just(usize::MAX), 1 => Just(usize::MAX / 2)];
    (script, 0..12_usize, 0..12_usize, step).prop_map(|(script, a, b, step)| Args {
        script,
        a,
        b,
        step,
    })
}

fn interleaved<T>(a: Vec<T>, b: Vec<T>) -> Vec<T> {
    let (mut a, mut b, mut out) = (a.into_iter(), b.into_iter(), Vec::new());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return out,
            (one, other) => out.extend(one.into_iter().chain(other)),
        }
    }
}

fn interleaved_shortest<T>(a: Vec<T>, b: Vec<T>) -> Vec<T> {
    let (mut a, mut b, mut out) = (a.into_iter(), b.into_iter(), Vec::new());
    loop {
        let Some(one) = a.next() else { return out };
        out.push(one);
        let Some(other) = b.next() else { return out };
        out.push(other);
    }
}

fn interspersed<T: Clone>(items: &[T], separator: &T) -> Vec<T> {
    let mut out: Vec<T> = items.iter().flat_map(|item| [item.clone(), separator.clone()]).collect();
    out.pop();
    out
}

fn chunked<T: Clone>(items: &[T], size: usize) -> Vec<Vec<T>> {
    items.chunks(size).map(<[T]>::to_vec).collect()
}

/// The iterator, and every indexed adapter on top of it.
fn followed<I>(make: impl Fn() -> I, model: &[I::Item], args: &Args)
where
    I: IndexedParallelIterator<Item: Clone + Debug + PartialEq>,
{
    let Args { script, a, b, step } = args;
    let (a, b, step) = (*a, *b, *step);
    let v = model.to_vec();
    agree("itself", make(), model, script);
    agree("rev", make().rev(), &reversed(&v), script);
    let cut: Vec<_> = v.iter().skip(a).take(b).cloned().collect();
    agree("skip, take", make().skip(a).take(b), &cut, script);
    let steps: Vec<_> = v.iter().step_by(step).cloned().collect();
    agree("step_by", make().step_by(step), &steps, script);
    let pairs: Vec<_> = v.iter().cloned().enumerate().collect();
    agree("enumerate", make().enumerate(), &pairs, script);
    let other: Vec<usize> = (0..a + b).collect();
    let pairs: Vec<_> = v.iter().cloned().zip(other.clone()).collect();
    agree("zip", make().zip(&other).map(|(x, &n)| (x, n)), &pairs, script);
    let both: Vec<_> = v.iter().chain(v.iter().rev()).cloned().collect();
    agree("chain", make().chain(make().rev()), &both, script);
    agree("chunks", make().chunks(step), &chunked(&v, step), script);
    let mixed = interleaved(v.clone(), cut.clone());
    agree("interleave", make().interleave(make().skip(a).take(b)), &mixed, script);
    if let Some(separator) = v.first() {
        let mixed = interspersed(&v, separator);
        agree("intersperse", make().intersperse(separator.clone()), &mixed, script);
    }
}

fn reversed<T: Clone>(items: &[T]) -> Vec<T> {
    items.iter().rev().cloned().collect()
}

fn few() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(any::<u32>(), 0..24)
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn adapters_that_cut_and_turn(v in few(), args in args()) {
        let script = &args.script[..];
        followed(|| v.clone().into_par_iter().rev(), &reversed(&v), &args);
        let cut: Vec<u32> = v.iter().copied().take(args.a).skip(args.b / 2).collect();
        followed(|| v.clone().into_par_iter().take(args.a).skip(args.b / 2), &cut, &args);
        let steps: Vec<u32> = v.iter().copied().step_by(args.step).collect();
        followed(|| v.clone().into_par_iter().step_by(args.step), &steps, &args);
        followed(|| v.clone().into_par_iter().chunks(args.step), &chunked(&v, args.step), &args);
        let digest = |so_far: u32, n: u32| so_far.wrapping_mul(31).wrapping_add(n);
        let folded: Vec<u32> =
            v.chunks(args.step).map(|c| c.iter().fold(7, |h, &n| digest(h, n))).collect();
        let iter = v.clone().into_par_iter().fold_chunks(args.step, || 7, digest);
        agree("fold_chunks", iter, &folded, script);
        let iter = v.clone().into_par_iter().fold_chunks_with(args.step, 7, digest);
        agree("fold_chunks_with", iter, &folded, script);
    }

    #[test]
    fn adapters_of_two(v in few(), w in few(), args in args()) {
        let script = &args.script[..];
        let pairs: Vec<(u32, u32)> = v.iter().copied().zip(w.iter().copied()).collect();
        followed(|| v.clone().into_par_iter().zip(w.clone()), &pairs, &args);
        let pairs: Vec<(u32, usize)> = v.iter().copied().zip(0..).collect();
        agree("zip_eq", v.clone().into_par_iter().zip_eq(0..v.len()), &pairs, script);
        let both: Vec<u32> = v.iter().chain(&w).copied().collect();
        followed(|| v.clone().into_par_iter().chain(w.clone()), &both, &args);
        let mixed = interleaved(v.clone(), w.clone());
        followed(|| v.clone().into_par_iter().interleave(w.clone()), &mixed, &args);
        let mixed = interleaved_shortest(v.clone(), w.clone());
        agree("shortest", v.clone().into_par_iter().interleave_shortest(w.clone()), &mixed, script);
        let mixed = interspersed(&v, &7);
        followed(|| v.clone().into_par_iter().intersperse(7), &mixed, &args);
    }

    #[test]
    fn adapters_item_by_item(v in few(), args in args()) {
        let script = &args.script[..];
        let pairs: Vec<(usize, u32)> = v.iter().copied().enumerate().collect();
        followed(|| v.clone().into_par_iter().enumerate(), &pairs, &args);
        let halves: Vec<u32> = v.iter().map(|n| n / 2).collect();
        let sink = |_: u64, _: Option<u64>| ();
        followed(|| v.par_iter().map(|n| n / 2).panic_fuse().progress(&sink), &halves, &args);
        agree("update", v.par_iter().cloned().update(|n| *n /= 2), &halves, script);
        let iter = v.par_iter().map_with(1, |one, n| n / 2 * *one);
        agree("map_with", iter.with_min_len(2).inspect(|_| ()), &halves, script);
        let iter = v.par_iter().copied().map_init(|| 2, |two, n| n / *two);
        agree("map_init", iter.by_exponential_blocks(), &halves, script);
        let sums: Vec<u32> = v
            .iter()
            .scan(0_u32, |sum, n| {
                *sum = sum.wrapping_add(*n);
                Some(*sum)
            })
            .collect();
        let add = |a: &u32, b: &u32| a.wrapping_add(*b);
        agree("inclusive_scan", v.clone().into_par_iter().inclusive_scan(add), &sums, script);
        let mut before: Vec<u32> = sums.iter().map(|n| n.wrapping_add(9)).collect();
        before.insert(0, 9);
        before.pop();
        agree("exclusive_scan", v.clone().into_par_iter().exclusive_scan(9, add), &before, script);
    }
}

/// All of a small world: every cut of every length.
#[test]
fn every_cut_of_short_iterators() {
    for (m, n) in (0..7_u32).flat_map(|m| (0..7_u32).map(move |n| (m, n))) {
        let (v, w): (Vec<u32>, Vec<u32>) = ((0..m).collect(), (100..100 + n).collect());
        every_cut(
            || (0..m).into_par_iter().interleave(100..100 + n),
            &interleaved(v.clone(), w.clone()),
        );
        let mixed = interleaved_shortest(v.clone(), w.clone());
        every_cut(|| (0..m).into_par_iter().interleave_shortest(100..100 + n), &mixed);
        every_cut(|| (0..m).into_par_iter().intersperse(9), &interspersed(&v, &9));
        let both: Vec<u32> = v.iter().chain(&w).copied().collect();
        every_cut(|| (0..m).into_par_iter().chain(100..100 + n), &both);
        let size = n as usize + 1;
        every_cut(|| (0..m).into_par_iter().chunks(size), &chunked(&v, size));
        let steps: Vec<u32> = v.iter().copied().step_by(size).collect();
        every_cut(|| (0..m).into_par_iter().step_by(size), &steps);
    }
}

/// Two cuts and two ends eaten, in every way there is.
fn every_cut<I>(make: impl Fn() -> I, model: &[I::Item])
where
    I: IndexedParallelIterator<Item: Clone + Debug + PartialEq>,
{
    let len = model.len();
    for front in 0..=len {
        for back in 0..=len - front {
            for cut in 0..=len - front - back {
                let mut iter = make();
                // SAFETY: the iterator stays here until the sources are gone.
                let mut source = unsafe { iter.source() };
                let mut items: Vec<I::Item> = source.take_front(front).collect();
                let mut last: Vec<I::Item> = source.take_back(back).collect();
                let (left, right) = source.split_at(cut);
                assert_eq!((left.len(), right.len()), (cut, len - front - back - cut));
                for mut part in [left, right] {
                    let half = part.len() / 2;
                    let mut end: Vec<I::Item> = part.take_back(half).collect();
                    let rest = part.len();
                    items.extend(part.take_front(rest));
                    end.reverse();
                    items.append(&mut end);
                }
                last.reverse();
                items.append(&mut last);
                assert_eq!(items, model, "{front} from the front, {back} from the back, at {cut}");
            }
        }
    }
}

// ---- where the number of items is not known

/// Splits and eats a source whose units are not items, to its end.
fn eat_any<S: Source>(mut source: S, script: &mut Script<'_>, depth: usize) -> Vec<S::Item> {
    let mut items = Vec::new();
    while !source.is_empty() {
        let len = source.len();
        // A unit a round at least.
        let n = 1 + script.below(len.min(40));
        if depth < 12 && script.below(3) == 0 {
            let (left, right) = source.split_at(n.min(len));
            items.extend(eat_any(left, script, depth + 1));
            items.extend(eat_any(right, script, depth + 1));
            return items;
        }
        let mut batch = source.take_front(n);
        match script.below(3) {
            0 => batch.for_each(|item| items.push(item)),
            1 => {
                items.extend(batch.next());
                batch.for_each(|item| items.push(item));
            }
            _ => {
                for item in batch {
                    items.push(item);
                }
            }
        }
    }
    items
}

#[track_caller]
fn agree_any<I>(what: &str, mut iter: I, model: Vec<I::Item>, script: &[u8])
where
    I: ParallelIterator<Item: Debug + PartialEq>,
{
    assert!(!<I::Source as Source>::EXACT);
    assert!(iter.opt_len().is_none(), "{what}");
    // SAFETY: the iterator stays here until the source is gone.
    let source = unsafe { iter.source() };
    let items = eat_any(source, &mut Script { bytes: script, next: 0 }, 0);
    assert_eq!(items, model, "{what}");
}

/// The iterator, and every adapter for all iterators on top of it.
fn followed_any<I>(make: impl Fn() -> I + Send + Sync, model: &[u32], script: &[u8])
where
    I: ParallelIterator<Item = u32>,
{
    let v = model.to_vec();
    agree_any("itself", make(), v.clone(), script);
    let odd: Vec<u32> = v.iter().copied().filter(|n| n % 2 == 1).collect();
    agree_any("filter", make().map(|n| n).filter(|n| n % 2 == 1), odd, script);
    let both: Vec<u32> = v.iter().copied().chain(0..5).collect();
    agree_any("chain", make().chain(0..5), both, script);
    let both: Vec<u32> = (0..5).chain(v.iter().copied()).chain(v.iter().copied()).collect();
    agree_any("chain behind", (0..5).into_par_iter().chain(make()).chain(make()), both, script);
    let flat: Vec<u32> = v.iter().flat_map(|&n| 0..n % 7).collect();
    agree_any("flat_map", make().flat_map(|n| 0..n % 7), flat.clone(), script);
    agree_any("flat_map_iter", make().flat_map_iter(|n| 0..n % 7), flat, script);
    let doubles: Vec<u32> = v.iter().flat_map(|&n| [n, n]).collect();
    let in_flat = (0..1_u32).into_par_iter().flat_map(|_| make().flat_map_iter(|n| [n, n]));
    agree_any("within flat_map", in_flat, doubles, script);
    agree_any("skip_any", make().skip_any(0).take_any(usize::MAX), v.clone(), script);
    // The parts differ, but what is in them does not.
    let mut folded = make().fold(Vec::new, |mut all, n| {
        all.push(n);
        all
    });
    // SAFETY: the iterator stays here until the source is gone.
    let source = unsafe { folded.source() };
    let parts = eat_any(source, &mut Script { bytes: script, next: 0 }, 0);
    assert_eq!(parts.concat(), v, "fold");
    let mut folded = make().try_fold(Vec::new, |mut all, n| {
        all.push(n);
        Some(all)
    });
    // SAFETY: as above.
    let source = unsafe { folded.source() };
    let parts = eat_any(source, &mut Script { bytes: script, next: 0 }, 0);
    assert_eq!(parts.into_iter().flatten().collect::<Vec<_>>().concat(), v, "try_fold");
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn adapters_that_drop_and_multiply(
        v in few(), script in proptest::collection::vec(any::<u8>(), 1..40), long in 0..3_u32,
    ) {
        // Some inner iterators are empty, some longer than any batch.
        let len = |n: u32| match n % 5 { 0 => 0, 1 => 1, 2 if long > 0 => 90, k => k };
        let odd: Vec<u32> = v.iter().copied().filter(|n| n % 2 == 1).collect();
        followed_any(|| v.clone().into_par_iter().filter(|n| n % 2 == 1), &odd, &script);
        let some: Vec<u32> = v.iter().filter_map(|n| n.checked_sub(1 << 31)).collect();
        followed_any(|| v.par_iter().filter_map(|n| n.checked_sub(1 << 31)), &some, &script);
        let flat: Vec<u32> = v.iter().flat_map(|&n| 0..len(n)).collect();
        followed_any(|| v.clone().into_par_iter().flat_map(|n| 0..len(n)), &flat, &script);
        followed_any(|| v.clone().into_par_iter().flat_map_iter(|n| 0..len(n)), &flat, &script);
        followed_any(|| v.clone().into_par_iter().flat_map_iter(|n| [n; 3])
            .flat_map(|n| (0..len(n)).into_par_iter().flat_map_iter(|n| [n; 2])).filter(|n| n % 3 > 0),
            &v.iter().flat_map(|&n| [n; 3]).flat_map(|n| (0..len(n)).flat_map(|n| [n; 2]))
                .filter(|n| n % 3 > 0).collect::<Vec<_>>(), &script);
        let nested: Vec<Vec<u32>> = v.iter().map(|&n| (0..len(n)).collect()).collect();
        followed_any(|| nested.clone().into_par_iter().flatten(), &flat, &script);
        followed_any(|| nested.clone().into_par_iter().flatten_iter(), &flat, &script);
        followed_any(|| v.clone().into_par_iter().map(Some).while_some(), &v, &script);
        followed_any(|| v.clone().into_par_iter().take_any_while(|_| true), &v, &script);
        followed_any(|| v.clone().into_par_iter().skip_any_while(|_| false), &v, &script);
    }
}

// ---- panic_fuse

/// The other parts look before each item, not after each batch.
#[test]
fn a_fuse_ends_a_batch_that_has_begun() {
    for from_back in [false, true] {
        let mut iter = (0..100_u32).into_par_iter().panic_fuse();
        // SAFETY: the iterator stays here until the sources are gone.
        let (mut left, mut right) = unsafe { iter.source() }.split_at(50);
        let mut batch: Box<dyn Iterator<Item = u32>> =
            if from_back { Box::new(right.take_back(10)) } else { Box::new(right.take_front(10)) };
        assert!(batch.next().is_some());
        let panicked = crate::common::panics(|| {
            left.take_front(10).inspect(|_| crate::common::throw(())).count()
        });
        assert!(panicked);
        assert_eq!(batch.next(), None);
    }
}

/// A part's length must not change under the adapters above: they reckon with it.
#[test]
fn a_fuse_that_has_blown_changes_no_length() {
    let mut iter = (0..100_u32).into_par_iter().panic_fuse().chunks(3).rev().step_by(2);
    // SAFETY: the iterator stays here until the sources are gone.
    let (mut left, right) = unsafe { iter.source() }.split_at(5);
    let before = right.len();
    assert!(crate::common::panics(|| left
        .take_front(2)
        .inspect(|_| crate::common::throw(()))
        .count()));
    assert_eq!(right.len(), before);
    let (mut a, mut b) = right.split_at(before / 2);
    let (in_a, in_b) = (a.len(), b.len());
    assert_eq!((in_a, in_a + in_b), (before / 2, before));
    assert_eq!(a.take_back(in_a).count() + b.take_front(in_b).count(), 0);
}
