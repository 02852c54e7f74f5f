//! The parallel methods of strings yield what those of the standard library yield, in their order,
//! however the text is cut; strings are collected from, and drained of, the same characters.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use crate::sources::{Dice, eat, eat_both, meet};
use proptest::prelude::*;
use std::borrow::Cow;
use std::fmt::Debug;
use std::ops::Bound;
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

/// What texts are made of, letters first.
const TOKENS: [&str; 18] = [
    "a",
    "word",
    "ß",
    "𝄞",
    "x",
    "",
    "lorem ipsum",
    ",",
    ";",
    "→",
    " ",
    "\n",
    "\r\n",
    "\r",
    "\t",
    "\u{a0}",
    "\u{2003}",
    "\n\n",
];

/// Texts with many separators, with few, and with none.
fn texts() -> impl Strategy<Value = String> {
    let len = prop_oneof![Just(0), Just(1), Just(2), 3..40_usize, 200..3_000_usize];
    (len, 1..=TOKENS.len(), 1..60_u32).prop_flat_map(|(len, kinds, one_in)| {
        let token = (0..TOKENS.len(), 0..one_in).prop_map(move |(token, n)| {
            if n == 0 { TOKENS[token] } else { TOKENS[token % kinds.min(7)] }
        });
        proptest::collection::vec(token, len).prop_map(|tokens| tokens.concat())
    })
}

/// Without threads.
#[track_caller]
fn cut<I>(par: &I, plain: &[I::Item], seed: u64)
where
    I: ParallelIterator<Item: PartialEq + Debug> + Clone + Debug,
{
    let mut dice = Dice(seed);
    for _ in 0..3 {
        let (mut copy, mut seen) = (par.clone(), Vec::new());
        // SAFETY: `copy` stays where it is until the source is eaten.
        eat(unsafe { copy.source() }, &mut dice, &mut seen);
        assert_eq!(seen, plain, "{par:?}");
    }
}

#[track_caller]
fn same<I>(par: I, plain: impl Iterator<Item = I::Item>, seed: u64)
where
    I: ParallelIterator<Item: PartialEq + Debug + Sync> + Clone + Debug + Sync,
{
    let plain: Vec<I::Item> = plain.collect();
    cut(&par, &plain, seed);
    let wanted = plain.get(seed as usize % plain.len().max(1));
    for pool in pools() {
        watchdog(pool, || {
            pool.install(|| {
                assert_eq!(par.clone().collect::<Vec<_>>(), plain, "{par:?}");
                assert_eq!(par.clone().count(), plain.len(), "{par:?}");
                let found = par.clone().find_first(|item| Some(item) == wanted);
                assert_eq!(found.as_ref(), wanted, "{par:?}");
            });
        });
    }
}

/// All methods with a pattern. Few patterns go through the pools: each is code of its own.
macro_rules! with_pattern {
    (same $text:expr, $pattern:expr, $seed:expr) => {
        same($text.par_split($pattern), $text.split($pattern), $seed);
        same($text.par_split_inclusive($pattern), $text.split_inclusive($pattern), $seed);
        same($text.par_split_terminator($pattern), $text.split_terminator($pattern), $seed);
        same($text.par_matches($pattern), $text.matches($pattern), $seed);
        same($text.par_match_indices($pattern), $text.match_indices($pattern), $seed);
    };
    (cut $text:expr, $pattern:expr, $seed:expr) => {
        let (text, seed) = ($text, $seed);
        cut(&text.par_split($pattern), &text.split($pattern).collect::<Vec<_>>(), seed);
        let plain: Vec<&str> = text.split_inclusive($pattern).collect();
        cut(&text.par_split_inclusive($pattern), &plain, seed);
        let plain: Vec<&str> = text.split_terminator($pattern).collect();
        cut(&text.par_split_terminator($pattern), &plain, seed);
        cut(&text.par_matches($pattern), &text.matches($pattern).collect::<Vec<_>>(), seed);
        let plain: Vec<(usize, &str)> = text.match_indices($pattern).collect();
        cut(&text.par_match_indices($pattern), &plain, seed);
    };
}

fn check(text: &str, seed: u64) {
    same(text.par_chars(), text.chars(), seed);
    same(text.par_char_indices(), text.char_indices(), seed);
    same(text.par_bytes(), text.bytes(), seed);
    same(text.par_encode_utf16(), text.encode_utf16(), seed);
    same(text.par_lines(), text.lines(), seed);
    same(text.par_split_whitespace(), text.split_whitespace(), seed);
    same(text.par_split_ascii_whitespace(), text.split_ascii_whitespace(), seed);
    with_pattern!(same text, '→', seed);
    with_pattern!(same text, |c: char| c.is_whitespace() || c == ',', seed);
    with_pattern!(cut text, ',', seed);
    with_pattern!(cut text, [',', '𝄞'], seed);
    with_pattern!(cut text, &['\n', '\r'], seed);
    with_pattern!(cut text, &[' ', '→', ';'][..], seed);
    with_pattern!(cut text, char::is_whitespace, seed);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_method_yields_what_its_namesake_yields(text in texts(), seed in any::<u64>()) {
        check(&text, seed);
    }

    #[test]
    fn strings_are_collected_in_order(
        parts in proptest::collection::vec(0..TOKENS.len(), 0..2_000), prefix in 0..3_usize,
    ) {
        let parts: Vec<&str> = parts.into_iter().map(|token| TOKENS[token]).collect();
        let text = parts.concat();
        let chars: Vec<char> = text.chars().collect();
        for pool in pools() {
            watchdog(pool, || pool.install(|| {
                assert_eq!(text.par_chars().collect::<String>(), text);
                assert_eq!(chars.par_iter().collect::<String>(), text);
                assert_eq!(parts.par_iter().copied().collect::<String>(), text);
                let owned = || parts.par_iter().map(|part| part.to_string());
                assert_eq!(owned().collect::<String>(), text);
                assert_eq!(owned().map(String::into_boxed_str).collect::<String>(), text);
                let some_owned = |(index, part): (usize, &&'static str)| {
                    if index % 2 == 0 { Cow::Borrowed(*part) } else { Cow::Owned(part.to_string()) }
                };
                let cows = || parts.par_iter().enumerate().map(some_owned);
                assert_eq!(cows().collect::<String>(), text);
                assert_eq!(*cows().collect::<Box<str>>(), *text);
                assert_eq!(*text.par_chars().collect::<Box<str>>(), *text);

                let prefix = ["", "p", "→→"][prefix];
                let mut longer = prefix.to_owned();
                longer.par_extend(text.par_chars());
                longer.par_extend(owned());
                assert_eq!(longer, [prefix, &text, &text].concat());
                let mut roomy = String::with_capacity(text.len() + 9);
                let memory = roomy.as_ptr();
                roomy.par_extend(chars.par_iter());
                assert_eq!((roomy.as_ptr(), roomy), (memory, text.clone()));
            }));
        }
    }

    #[test]
    fn drained_characters_are_gone_and_the_others_stay(
        text in texts(), a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(),
        run in 0..4_usize,
    ) {
        let places: Vec<usize> = (0..=text.len()).filter(|&at| text.is_char_boundary(at)).collect();
        let (a, b) = (places[a.index(places.len())], places[b.index(places.len())]);
        let range = a.min(b)..a.max(b);
        let mut plain = text.clone();
        let drained: String = plain.drain(range.clone()).collect();
        for pool in pools() {
            watchdog(pool, || pool.install(|| {
                let mut left = text.clone();
                let memory = (left.as_ptr(), left.capacity());
                let drain = left.par_drain(range.clone());
                match run {
                    0 => assert_eq!(drain.collect::<String>(), drained),
                    1 => assert_eq!(drain.find_first(|_| true), drained.chars().next()),
                    2 => drop(drain),
                    _ if drained.is_empty() => drop(drain),
                    _ => assert_eq!(caught::<i32, _>(|| drain.for_each(|_| throw(7))), 7),
                }
                assert_eq!((left.as_ptr(), left.capacity()), memory);
                assert_eq!(left, plain);
            }));
        }
    }

    #[test]
    fn bytes_are_indexed(text in texts(), n in 0..60_usize, seed in any::<u64>()) {
        let bytes = text.as_bytes();
        let (mut par, mut seen) = (text.par_bytes(), Vec::new());
        // SAFETY: `par` stays where it is until the source is eaten.
        eat_both(unsafe { par.source() }, &mut Dice(seed), &mut seen);
        assert_eq!(seen, bytes);
        for pool in pools() {
            watchdog(pool, || pool.install(|| {
                assert_eq!(text.par_bytes().len(), text.len());
                let reversed: Vec<u8> = text.par_bytes().rev().collect();
                assert!(reversed.iter().eq(bytes.iter().rev()));
                let numbered: Vec<(usize, u8)> = text.par_bytes().enumerate().skip(n).collect();
                assert!(numbered.into_iter().eq(text.bytes().enumerate().skip(n)));
                let pairs = text.par_bytes().zip(text.par_bytes().skip(n)).rev();
                let pairs: Vec<(u8, u8)> = pairs.collect();
                let plain: Vec<_> = text.bytes().zip(text.bytes().skip(n)).collect();
                assert!(pairs.into_iter().rev().eq(plain));
                let some: Vec<u8> = text.par_bytes().step_by(n + 1).take(n).collect();
                assert!(some.into_iter().eq(text.bytes().step_by(n + 1).take(n)));
            }));
        }
    }
}

#[test]
fn odd_texts() {
    let odd = [
        "",
        "\n",
        "\r",
        "\r\n",
        "\n\r",
        "\r\r\n",
        "a\r",
        "a\n\r\n",
        "\n\n",
        ",",
        ",,",
        ",a",
        "a,",
        "a",
        "→",
        "→→",
        "a→",
        "→a",
        "𝄞",
        "𝄞,𝄞",
        " ",
        "  a  ",
        "\u{a0}",
        "\u{a0} a",
        "a\u{2003}\u{a0}b",
        "\n,→ ;",
    ];
    for (text, seed) in odd.into_iter().zip(0..) {
        check(text, seed);
    }
}

/// Long enough, and with slow items, so that the work is shared at many places.
#[test]
fn a_long_text_with_slow_parts_comes_in_order() {
    let mut dice = Dice(7);
    let text: String = (0..scale(40_000)).map(|_| TOKENS[dice.below(TOKENS.len())]).collect();
    let slow = |part: &str| {
        if part.len().is_multiple_of(11) && part.contains("ß") {
            work_for(Duration::from_micros(30));
        }
    };
    let run_of_spaces = " ".repeat(scale(100_000));
    let uneven = [&text[..], &run_of_spaces, "\n", &text, &run_of_spaces, &run_of_spaces].concat();
    at_each_width(|pool| {
        pool.install(|| {
            for text in [&text, &uneven] {
                let lines: Vec<&str> = text.par_lines().inspect(|line| slow(line)).collect();
                assert!(lines.into_iter().eq(text.lines()));
                assert_eq!(text.par_lines().find_last(|_| true), text.lines().last());
                let found = text.par_lines().find_any(|line| line.contains('ß'));
                assert_eq!(found.is_some(), text.contains('ß'));
                let words = text.par_split_whitespace().inspect(|word| slow(word));
                assert!(words.collect::<Vec<_>>().into_iter().eq(text.split_whitespace()));
                let parts: Vec<_> = text.par_split('→').inspect(|part| slow(part)).collect();
                assert!(parts.into_iter().eq(text.split('→')));
                let parts = text.par_split_terminator(['→', 'a']).inspect(|part| slow(part));
                assert!(
                    parts.collect::<Vec<_>>().into_iter().eq(text.split_terminator(['→', 'a']))
                );
                let places = text.par_match_indices('ß').inspect(|(at, part)| {
                    if at.is_multiple_of(64) {
                        slow(&text[*at..at + part.len()]);
                    }
                });
                assert!(places.collect::<Vec<_>>().into_iter().eq(text.match_indices('ß')));
                let mut letters = (*text).clone();
                let kept = letters.par_drain(..).filter(|c| c.is_alphabetic()).collect::<String>();
                assert!(kept.chars().eq(text.chars().filter(|c| c.is_alphabetic())));
                assert_eq!(letters, "");
            }
        });
    });
}

#[test]
fn both_ends_are_run_at_the_same_time() {
    let text = ["<first>\n", &"word, \n".repeat(1000), "\n<last>"].concat();
    let is_end = |part: &&str| part.contains('<');
    let long = "x".repeat(1000);
    for pool in &pools()[1..] {
        watchdog(pool, || {
            pool.install(|| {
                meet(|| text.par_lines(), is_end);
                meet(|| text.par_split(','), is_end);
                meet(|| text.par_split_inclusive('\n'), is_end);
                meet(|| text.par_split_terminator('\n'), is_end);
                meet(|| text.par_split_whitespace(), is_end);
                meet(|| text.par_split_ascii_whitespace(), is_end);
                meet(|| text.par_matches(|_| true), is_end);
                meet(|| text.par_match_indices('<'), |_| true);
                meet(|| text.par_chars(), |c| *c == '<');
                meet(|| text.par_char_indices(), |(_, c)| *c == '<');
                meet(|| text.par_bytes(), |byte| *byte == b'<');
                meet(|| text.par_encode_utf16(), |unit| *unit == u16::from(b'<'));
                // Only one place to cut, near either end.
                for text in ["<>\n<>", &["<\n<", &long].concat(), &[&long, "<\n<"].concat()] {
                    meet(|| text.par_lines(), is_end);
                    meet(|| text.par_split('\n'), is_end);
                }
            });
        });
    }
}

#[test]
fn a_drain_checks_its_range_and_may_be_leaked() {
    let text = "a→b".to_owned();
    for range in [0..2, 2..4, 0..6, 5..6] {
        assert!(panics(|| drop(text.clone().par_drain(range))));
    }
    assert!(panics(|| drop(
        text.clone().par_drain((Bound::Excluded(usize::MAX), Bound::Unbounded))
    )));
    let mut whole = text.clone();
    whole.par_drain(1..=3).for_each(drop);
    assert_eq!(whole, "ab");
    whole.par_drain((Bound::Excluded(0), Bound::Unbounded)).for_each(drop);
    assert_eq!(whole, "a");
    let mut leaked = text.clone();
    std::mem::forget(leaked.par_drain(..));
    assert_eq!(leaked, text);
}

#[test]
fn a_panic_of_a_pattern_comes_out() {
    let text = "a,b".repeat(scale(10_000));
    at_each_width(|pool| {
        let bad = |c: char| if c == 'b' { throw(7) } else { c == ',' };
        let payload = caught::<i32, _>(|| pool.install(|| text.par_split(bad).count()));
        assert_eq!(payload, 7);
        assert_eq!(pool.install(|| text.par_split(',').count()), text.split(',').count());
    });
}
