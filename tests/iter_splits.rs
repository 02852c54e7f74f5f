//! Sources without threads: cut and eaten at random, or in the worst way, as a driver might.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use proptest::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use windlass::iter::{self, Source};
use windlass::prelude::*;

/// Cuts and eats a source as the bytes say, and then to its end.
fn eat<S: Source>(mut source: S, dice: &mut impl Iterator<Item = u8>, out: &mut Vec<S::Item>) {
    while !source.is_empty() {
        let len = source.len();
        let n = match dice.next() {
            Some(byte) if byte % 3 == 0 => {
                let at = len / 255 * usize::from(byte) + len % 255 * usize::from(byte) / 255;
                let (left, right) = source.split_at(at);
                assert!(at > 0 || left.is_empty());
                assert!(at == 0 || !left.is_empty());
                eat(left, dice, out);
                source = right;
                continue;
            }
            Some(byte) => usize::from(byte).min(len),
            None => len,
        };
        let before = out.len();
        out.extend(source.take_front(n));
        assert!(n > 0 || out.len() == before);
    }
}

/// The items that come of an iterator if it is cut and eaten as the bytes say.
fn eaten<I: ParallelIterator>(mut iter: I, dice: &[u8]) -> Vec<I::Item> {
    let mut out = Vec::new();
    // SAFETY: the iterator stays here until the source is gone.
    let source = unsafe { iter.source() };
    eat(source, &mut dice.iter().copied(), &mut out);
    out
}

fn children(&(node, depth): &(usize, u32)) -> Vec<(usize, u32)> {
    let num = if depth == 0 { 0 } else { node * 7 % 5 };
    (1..=num).map(|i| (node * 5 + i, depth - 1)).collect()
}

fn plain(node: (usize, u32), is_prefix: bool, out: &mut Vec<(usize, u32)>) {
    if is_prefix {
        out.push(node);
    }
    children(&node).into_iter().for_each(|child| plain(child, is_prefix, out));
    if !is_prefix {
        out.push(node);
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(scale(300) as u32) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn order_is_kept_wherever_a_source_is_cut(
        dice in proptest::collection::vec(any::<u8>(), 0..200),
        root in 1..100_usize, depth in 0..6_u32, len in 0..300_usize,
    ) {
        let root = (root, depth);
        let mut expected = Vec::new();
        plain(root, true, &mut expected);
        assert_eq!(eaten(iter::walk_tree_prefix(root, children), &dice), expected);
        let tree = iter::walk_tree_prefix(root, children);
        let twice = tree.clone().chain(tree);
        assert_eq!(eaten(twice, &dice), [expected.clone(), expected.clone()].concat());
        expected.clear();
        plain(root, false, &mut expected);
        assert_eq!(eaten(iter::walk_tree_postfix(root, children), &dice), expected);

        let halves = |(start, end): (usize, usize)| match end - start {
            0..=1 => ((start, end), None),
            len => ((start, start + len / 3), Some((start + len / 3, end))),
        };
        let pieces = eaten(iter::split((0, len), halves), &dice);
        assert_eq!(pieces, eaten(iter::split((0, len), halves), &[]));
        assert!(pieces.into_iter().flat_map(|(start, end)| start..end).eq(0..len));

        assert_eq!(eaten(iter::repeat_n(len, len), &dice), vec![len; len]);
        assert_eq!(eaten(iter::once(len).chain(iter::empty()), &dice), [len]);
        let tuple = (0..len, 1..len + 2, iter::repeat(()));
        let tuples = eaten(tuple.into_par_iter(), &dice);
        assert!(tuples.into_iter().eq((0..len).map(|n| (n, n + 1, ()))));
        let bridged = eaten((0..len).par_bridge(), &dice);
        assert!(bridged.into_iter().eq(0..len));
        let bridged = eaten((0..len).filter(|_| true).par_bridge(), &dice);
        assert!(bridged.into_iter().eq(0..len));
    }
}

/// How often a source can be cut in the middle if somebody always goes on with what `pick` takes of
/// the halves, after a step. Each time is a frame on a stack.
fn deepest<S: Source>(mut source: S, pick: impl Fn(S, S) -> S) -> usize {
    let mut depth = 0;
    while !source.is_empty() {
        source.take_front(1).for_each(drop);
        if source.len() >= 2 {
            depth += 1;
            let at = source.len().div_ceil(2);
            let (left, right) = source.split_at(at);
            source = pick(left, right);
        }
    }
    depth
}

#[test]
fn cuts_do_not_pile_up() {
    let n = scale(200_000);
    // A path with a leaf at each node, before the rest of the path or after it.
    for is_leaf_first in [false, true] {
        let comb = move |&(depth, is_leaf): &(usize, bool)| match depth {
            _ if is_leaf => vec![],
            0 => vec![],
            depth if is_leaf_first => vec![(depth, true), (depth - 1, false)],
            depth => vec![(depth - 1, false), (depth, true)],
        };
        let mut prefix = iter::walk_tree_prefix((n, false), comb);
        let mut postfix = iter::walk_tree_postfix((n, false), comb);
        // SAFETY: the iterators stay where they are until the sources are gone.
        let (prefix, postfix) = unsafe { (prefix.source(), postfix.source()) };
        let depth = match is_leaf_first {
            true => deepest(prefix, |_, right| right).max(deepest(postfix, |left, _| left)),
            false => deepest(prefix, |left, _| left).max(deepest(postfix, |left, _| left)),
        };
        assert!((64..200).contains(&depth), "{depth} cuts");
    }
    // Of a bridge, somebody is idle and asks again only when his part has had its share.
    for is_left in [false, true] {
        let (mut m, mut k) = (0..n, 0..n);
        let mut known = std::iter::from_fn(|| m.next()).take(n).par_bridge();
        let mut unknown = std::iter::from_fn(|| k.next()).par_bridge();
        // SAFETY: as above.
        let (known, unknown) = unsafe { (known.source(), unknown.source()) };
        let depth = deepest(known, |a, b| go_on(a, b, is_left))
            .max(deepest(unknown, |a, b| go_on(a, b, is_left)));
        assert!((1..=64).contains(&depth), "{depth} cuts");
    }
}

/// The left part, or the right one when the left has been eaten.
fn go_on<S: Source>(mut left: S, right: S, is_left: bool) -> S {
    if is_left {
        return left;
    }
    while !left.is_empty() {
        let n = left.len();
        left.take_front(n).for_each(drop);
    }
    right
}

/// Numbers that are counted as they are taken.
fn counted(taken: &AtomicUsize, is_promised: bool) -> Box<dyn Iterator<Item = usize> + Send + '_> {
    let numbers = (0..20_000).inspect(|_| _ = taken.fetch_add(1, Ordering::Relaxed));
    if is_promised { Box::new(numbers) } else { Box::new(numbers.filter(|_| true)) }
}

#[test]
fn a_batch_of_a_bridge_takes_no_more_than_it_should_at_once() {
    for (is_promised, look_ahead, at_once) in [
        (true, None, 1024),
        (false, None, 1),
        (true, Some(0), 1),
        (false, Some(3_000), 3_000),
        (true, Some(usize::MAX), 10_000),
    ] {
        let taken = AtomicUsize::new(0);
        let bridge = counted(&taken, is_promised).par_bridge();
        let mut bridge = match look_ahead {
            Some(n) => bridge.with_look_ahead(n),
            None => bridge,
        };
        // SAFETY: the iterator stays here until the source is gone.
        let mut source = unsafe { bridge.source() };
        let mut batch = source.take_front(10_000);
        let mut furthest = 0;
        for n in 0..10_000 {
            assert_eq!(batch.next(), Some(n));
            furthest = furthest.max(taken.load(Ordering::Relaxed) - n);
        }
        assert_eq!(furthest, at_once);
        assert_eq!(batch.next(), None);
        drop(batch);
        assert_eq!(source.take_front(1).next(), Some(10_000));
    }
}

/// Has more items than it says.
struct Modest(Range<usize>, usize);

impl Iterator for Modest {
    type Item = usize;
    fn next(&mut self) -> Option<usize> {
        self.0.next()
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.1))
    }
}

#[test]
fn a_part_of_a_bridge_takes_its_share_and_the_last_one_all_the_rest() {
    for hint in [10, 1_000, 2_000] {
        let mut bridge = Modest(0..1_000, hint).par_bridge();
        // SAFETY: the iterator stays here until the source is gone.
        let source = unsafe { bridge.source() };
        assert_eq!(source.len(), hint);
        let (mut left, mut right) = source.split_at(7);
        assert_eq!(left.len(), 7);
        assert_eq!(left.take_front(7).count(), 7);
        assert!(left.is_empty() && !right.is_empty());
        let mut rest = 0;
        while !right.is_empty() {
            let n = right.len().min(100);
            rest += right.take_front(n).count();
        }
        assert_eq!(rest, 993);
    }
}

#[test]
fn an_iterator_that_has_panicked_or_ended_is_not_asked_again() {
    for panics in [false, true] {
        let asked = AtomicUsize::new(0);
        let mut bridge = std::iter::from_fn(|| match asked.fetch_add(1, Ordering::Relaxed) {
            n @ 0..3 => Some(n),
            3 if panics => throw(3),
            3 => None,
            _ => panic!("it is asked again"),
        })
        .par_bridge();
        // SAFETY: the iterator stays here until the source is gone.
        let source = unsafe { bridge.source() };
        let (mut left, mut right) = source.split_at(1_000);
        assert_eq!(left.take_front(3).collect::<Vec<_>>(), [0, 1, 2]);
        if panics {
            assert_eq!(caught::<i32, _>(|| left.take_front(3).count()), 3);
        } else {
            assert_eq!(left.take_front(3).count(), 0);
        }
        assert_eq!(right.take_front(3).count(), 0);
        assert!(left.is_empty() && right.is_empty());
    }
}
