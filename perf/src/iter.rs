//! The iter suite: chains of iterators, written once for the standard library and once for both
//! engines, which differ in the prelude alone. Every call enters the pool from the main thread.
//!
//! The data is chosen so that every answer is exact and the same in any order: floating-point
//! numbers are small integers.

use crate::engines::{Engine, Pools};
use crate::harness::{Case, Options, Row, Run, demand, keep_freed_memory, measure};
use crate::map::mix;
use crate::report;
use std::collections::HashMap;
use std::fmt::Write;
use std::hash::Hash;
use std::hint::black_box;
use std::num::Wrapping;
use std::time::{Duration, Instant};

/// The powers of ten that a loop runs to, and the longest cell by what its body costs.
struct Limits {
    loops: u32,
    sorts: u32,
    strings: u32,
    text: u32,
    longest_ns: f64,
}

const FULL: Limits = Limits { loops: 6, sorts: 7, strings: 6, text: 7, longest_ns: 1e8 };
const QUICK: Limits = Limits { loops: 4, sorts: 4, strings: 3, text: 4, longest_ns: 1e6 };

/// A sort gets as many copies of its input in a sample as stay in the cache, this many items.
const COPIED: u64 = 1 << 17;

/// Runs the suite, prints its table and what became of the bars.
pub(crate) fn run(opts: &Options) -> Vec<Row> {
    keep_freed_memory();
    let limits = if opts.quick { QUICK } else { FULL };
    let mut rows = Vec::new();
    for &workers in &opts.workers {
        let pools = Pools::build(workers);
        let mut suite = Suite { opts, pools: &pools, workers, rows: Vec::new() };
        for power in 2..=limits.loops {
            let input = Input::new(power);
            let fits = |ns: f64| ns * input.keys.len() as f64 <= limits.longest_ns;
            suite.with_body(&input, "trivial", |x| x.wrapping_mul(3).wrapping_add(1));
            if fits(20.0) {
                suite.with_body(&input, "20 ns", |x| mix(x, 32));
            }
            if fits(1_000.0) {
                suite.with_body(&input, "1 µs", |x| mix(x, 700));
            }
            suite.collecting(&input);
            suite.nested(&input);
            suite.folding(&input);
            suite.searching(&input);
            suite.fixed_order(&input);
        }
        suite.long_inner();
        (3..=limits.text).for_each(|power| suite.lines(power));
        (2..=limits.sorts).for_each(|power| suite.sorting_numbers(power));
        (3..=limits.strings).for_each(|power| suite.sorting_strings(power));
        rows.extend(suite.rows);
    }
    print_table(&rows);
    rows
}

/// What the chains of one length run over.
struct Input {
    power: u32,
    /// All different, in no order.
    keys: Vec<u64>,
    doubles: Vec<f64>,
    singles: [Vec<f32>; 2],
}

impl Input {
    fn new(power: u32) -> Input {
        let keys = keys(power);
        let single = |shift: u32| keys.iter().map(|&x| (x >> shift & 0x3ff) as f32).collect();
        Input {
            power,
            doubles: keys.iter().map(|&x| (x & 0xf_ffff) as f64).collect(),
            singles: [single(0), single(20)],
            keys,
        }
    }
}

fn keys(power: u32) -> Vec<u64> {
    (1..=10_u64.pow(power)).map(|n| mix(n, 3)).collect()
}

/// What a chain makes. `resembles` is the quick look at every answer but the last of a sample,
/// which is compared in full when the clock has stopped.
trait Answer: PartialEq {
    fn resembles(&self, right: &Self) -> bool {
        self == right
    }
}

impl Answer for bool {}
impl Answer for usize {}
impl Answer for f64 {}
impl Answer for Wrapping<u64> {}
impl Answer for Option<u64> {}
impl Answer for Box<[u32; 256]> {}

impl<T: PartialEq> Answer for Vec<T> {
    fn resembles(&self, right: &Self) -> bool {
        self.len() == right.len() && self.last() == right.last()
    }
}

impl<A: Answer, B: Answer> Answer for (A, B) {
    fn resembles(&self, right: &Self) -> bool {
        self.0.resembles(&right.0) && self.1.resembles(&right.1)
    }
}

impl<K: Eq + Hash, V: PartialEq> Answer for HashMap<K, V> {
    fn resembles(&self, right: &Self) -> bool {
        self.len() == right.len()
    }
}

/// Measures a chain: `cell!(suite, name; type of the answer; sequential; parallel)`. The parallel
/// form is compiled once with either prelude. `only` after the name: rayon has no such thing.
macro_rules! cell {
    ($suite:expr, $name:expr; $answer:ty; $seq:expr; $par:expr) => {{
        let rayon = |pool: &rayon::ThreadPool| -> $answer {
            use ::rayon::prelude::*;
            pool.install(|| $par)
        };
        cell!(@ $suite, $name; $answer; $seq; $par; Some(rayon));
    }};
    ($suite:expr, $name:expr, only; $answer:ty; $seq:expr; $par:expr) => {
        cell!(@ $suite, $name; $answer; $seq; $par; None::<fn(&rayon::ThreadPool) -> $answer>)
    };
    (@ $suite:expr, $name:expr; $answer:ty; $seq:expr; $par:expr; $rayon:expr) => {{
        let windlass = |pool: &windlass::Pool| -> $answer {
            use ::windlass::prelude::*;
            pool.install(|| $par)
        };
        $suite.measure($name, || -> $answer { $seq }, windlass, $rayon);
    }};
}

/// Measures a call that changes a slice, given as `|slice| sequential; parallel`.
macro_rules! change {
    ($suite:expr, $name:expr; $input:expr, $fresh:expr; |$slice:ident: $type:ty| $seq:expr; $par:expr) => {{
        let windlass = |pool: &windlass::Pool, $slice: $type| {
            use ::windlass::prelude::*;
            pool.install(|| $par)
        };
        let rayon = |pool: &rayon::ThreadPool, $slice: $type| {
            use ::rayon::prelude::*;
            pool.install(|| $par)
        };
        $suite.measure_change($name, $input, $fresh, |$slice: $type| $seq, windlass, rayon);
    }};
}

/// One worker count.
struct Suite<'a> {
    opts: &'a Options,
    pools: &'a Pools,
    workers: usize,
    rows: Vec<Row>,
}

impl Suite<'_> {
    /// The chains whose items may cost something.
    fn with_body<F>(&mut self, input: &Input, body: &str, f: F)
    where
        F: Fn(u64) -> u64 + Copy + Send + Sync,
    {
        let (v, power) = (input.keys.as_slice(), input.power);
        let name = |case| format!("{case} {body} 10^{power}");
        cell!(self, name("map+sum u64"); Wrapping<u64>;
            v.iter().map(|&x| Wrapping(f(x))).sum();
            v.par_iter().map(|&x| Wrapping(f(x))).sum());
        cell!(self, name("filter+count"); usize;
            v.iter().filter(|&&x| f(x).is_multiple_of(3)).count();
            v.par_iter().filter(|&&x| f(x).is_multiple_of(3)).count());
        cell!(self, name("map+collect"); Vec<u64>;
            v.iter().map(|&x| f(x)).collect();
            v.par_iter().map(|&x| f(x)).collect());
        cell!(self, name("filter+collect"); Vec<u64>;
            v.iter().copied().filter(|&x| f(x).is_multiple_of(3)).collect();
            v.par_iter().copied().filter(|&x| f(x).is_multiple_of(3)).collect());
        cell!(self, name("min_by_key"); Option<u64>;
            v.iter().copied().min_by_key(|&x| f(x));
            v.par_iter().copied().min_by_key(|&x| f(x)));
        cell!(self, name("par_chunks(64)+map+sum"); Wrapping<u64>;
            v.chunks(64).map(|c| c.iter().map(|&x| Wrapping(f(x))).sum::<Wrapping<u64>>()).sum();
            v.par_chunks(64).map(|c| c.iter().map(|&x| Wrapping(f(x))).sum::<Wrapping<u64>>()).sum());
        // Writes what it has written before, so that it may be called again and again.
        change!(self, name("par_iter_mut+enumerate+for_each"); v, false;
            |s: &mut [u64]| s.iter_mut().enumerate().for_each(|(i, x)| *x = f(i as u64));
            s.par_iter_mut().enumerate().for_each(|(i, x)| *x = f(i as u64)));
    }

    fn collecting(&mut self, input: &Input) {
        let (v, [a, b], power) = (&input.keys, &input.singles, input.power);
        cell!(self, format!("zip+map+collect f32 10^{power}"); Vec<f32>;
            a.iter().zip(b).map(|(x, y)| x * y + 1.0).collect();
            a.par_iter().zip(b).map(|(x, y)| x * y + 1.0).collect());
        cell!(self, format!("unzip 10^{power}"); (Vec<u64>, Vec<u64>);
            v.iter().map(|&x| (x, !x)).unzip();
            v.par_iter().map(|&x| (x, !x)).unzip());
        cell!(self, format!("collect HashMap 10^{power}"); HashMap<u64, u64>;
            v.iter().map(|&x| (x, !x)).collect();
            v.par_iter().map(|&x| (x, !x)).collect());
    }

    /// As many inner items as the other chains have items, eight to each outer one.
    fn nested(&mut self, input: &Input) {
        let power = input.power;
        let v: Vec<u64> = input.keys.iter().take(input.keys.len() / 8).map(|x| x >> 1).collect();
        let v = v.as_slice();
        cell!(self, format!("flat_map_iter 8 sum 10^{power}"); Wrapping<u64>;
            v.iter().flat_map(|&x| x..x + 8).map(Wrapping).sum();
            v.par_iter().flat_map_iter(|&x| x..x + 8).map(Wrapping).sum());
        cell!(self, format!("flat_map 8 sum 10^{power}"); Wrapping<u64>;
            v.iter().flat_map(|&x| x..x + 8).map(Wrapping).sum();
            v.par_iter().flat_map(|&x| x..x + 8).map(Wrapping).sum());
        cell!(self, format!("flat_map_iter 8 collect 10^{power}"); Vec<u64>;
            v.iter().flat_map(|&x| x..x + 8).collect();
            v.par_iter().flat_map_iter(|&x| x..x + 8).collect());
    }

    fn long_inner(&mut self) {
        let n = if self.opts.quick { 1_000 } else { 100_000 };
        cell!(self, format!("flat_map_iter 10 x {n} sum"); Wrapping<u64>;
            (0..10).flat_map(|k| (0..n).map(move |i| Wrapping(mix(k + i, 2)))).sum();
            (0..10_u64).into_par_iter()
                .flat_map_iter(|k| (0..n).map(move |i| Wrapping(mix(k + i, 2)))).sum());
        cell!(self, format!("flat_map 10 x {n} sum"); Wrapping<u64>;
            (0..10).flat_map(|k| (0..n).map(move |i| Wrapping(mix(k + i, 2)))).sum();
            (0..10_u64).into_par_iter()
                .flat_map(|k| (0..n).into_par_iter().map(move |i| Wrapping(mix(k + i, 2)))).sum());
    }

    fn folding(&mut self, input: &Input) {
        let (v, d, power) = (&input.keys, &input.doubles, input.power);
        cell!(self, format!("map+sum f64 10^{power}"); f64;
            d.iter().map(|&x| x * 0.5).sum();
            d.par_iter().map(|&x| x * 0.5).sum());
        let count = |mut counts: Box<[u32; 256]>, &x: &u64| {
            counts[(x & 0xff) as usize] += 1;
            counts
        };
        let add = |mut a: Box<[u32; 256]>, b: Box<[u32; 256]>| {
            a.iter_mut().zip(b.iter()).for_each(|(a, b)| *a += b);
            a
        };
        let empty = || Box::new([0_u32; 256]);
        cell!(self, format!("fold+reduce histogram 10^{power}"); Box<[u32; 256]>;
            v.iter().fold(empty(), count);
            v.par_iter().fold(empty, count).reduce(empty, add));
    }

    #[expect(clippy::manual_contains, reason = "the chains are to be alike")]
    fn searching(&mut self, input: &Input) {
        let (v, power) = (&input.keys, input.power);
        // `mix` maps only zero to zero, and no key is made of that.
        let places = [("at 1 %", v[v.len() / 100]), ("at 50 %", v[v.len() / 2]), ("absent", 0)];
        for (place, key) in places {
            cell!(self, format!("find_any {place} 10^{power}"); Option<u64>;
                v.iter().copied().find(|&x| x == key);
                v.par_iter().copied().find_any(|&x| x == key));
        }
        let key = v[v.len() / 100];
        cell!(self, format!("find_first at 1 % 10^{power}"); Option<u64>;
            v.iter().copied().find(|&x| x == key);
            v.par_iter().copied().find_first(|&x| x == key));
        cell!(self, format!("any at 1 % 10^{power}"); bool;
            v.iter().any(|&x| x == key);
            v.par_iter().any(|&x| x == key));
        cell!(self, format!("all true 10^{power}"); bool;
            v.iter().all(|&x| x != 0);
            v.par_iter().all(|&x| x != 0));
    }

    /// What rayon does not have; beside the plain loop only.
    fn fixed_order(&mut self, input: &Input) {
        let (v, d, power) = (&input.keys, &input.doubles, input.power);
        cell!(self, format!("sum_deterministic f64 10^{power}"), only; f64;
            d.iter().sum();
            d.par_iter().sum_deterministic());
        cell!(self, format!("reduce_deterministic f64 10^{power}"), only; f64;
            d.iter().copied().fold(0.0, |a, b| a + b);
            d.par_iter().copied().reduce_deterministic(|| 0.0, |a, b| a + b));
        cell!(self, format!("inclusive_scan u64 10^{power}"), only; Vec<u64>;
            {
                let mut sum = 0_u64;
                let add = |&x: &u64| {
                    sum = sum.wrapping_add(x);
                    sum
                };
                v.iter().map(add).collect()
            };
            v.par_iter().copied().inclusive_scan(|a, b| a.wrapping_add(*b)).collect());
    }

    /// A text of 10^power bytes, a number on each line.
    fn lines(&mut self, power: u32) {
        let mut text = String::new();
        for x in (0..).map(|n| mix(n, 3) & 0xf_ffff) {
            if text.len() >= 10_usize.pow(power) {
                break;
            }
            writeln!(text, "{x}").expect("a string takes all");
        }
        let text = text.as_str();
        let parse = |line: &str| Wrapping(line.parse::<u64>().expect("a number"));
        cell!(self, format!("par_lines+parse+sum 10^{power} bytes"); Wrapping<u64>;
            text.lines().map(parse).sum();
            text.par_lines().map(parse).sum());
    }

    fn sorting_numbers(&mut self, power: u32) {
        let random = keys(power);
        let mut nearly: Vec<u64> = (0..random.len() as u64).collect();
        // One in a hundred is out of place.
        for (at, key) in random.iter().take((nearly.len() / 200).max(1)).enumerate() {
            let other = (key % nearly.len() as u64) as usize;
            nearly.swap(at * 200, other);
        }
        let reversed: Vec<u64> = (0..random.len() as u64).rev().collect();
        for (order, v) in [("random", &random), ("nearly sorted", &nearly), ("reversed", &reversed)]
        {
            change!(self, format!("par_sort_unstable {order} u64 10^{power}"); v, true;
                |s: &mut [u64]| s.sort_unstable();
                s.par_sort_unstable());
            change!(self, format!("par_sort {order} u64 10^{power}"); v, true;
                |s: &mut [u64]| s.sort();
                s.par_sort());
        }
    }

    fn sorting_strings(&mut self, power: u32) {
        let v: Vec<String> = keys(power).iter().map(|key| format!("{key:x}")).collect();
        change!(self, format!("par_sort_unstable strings 10^{power}"); &v, true;
            |s: &mut [String]| s.sort_unstable();
            s.par_sort_unstable());
        change!(self, format!("par_sort strings 10^{power}"); &v, true;
            |s: &mut [String]| s.sort();
            s.par_sort());
        if power == 5 {
            let key = |text: &String| text.bytes().rev().collect::<Vec<u8>>();
            change!(self, format!("par_sort_by_cached_key strings 10^{power}"); &v, true;
                |s: &mut [String]| s.sort_by_cached_key(key);
                s.par_sort_by_cached_key(key));
        }
    }

    fn measure<T: Answer>(
        &mut self,
        name: String,
        seq: impl Fn() -> T,
        windlass: impl Fn(&windlass::Pool) -> T,
        rayon: Option<impl Fn(&rayon::ThreadPool) -> T>,
    ) {
        if !self.opts.wants_case(&name) {
            return;
        }
        let (pools, right) = (self.pools, &seq());
        let mut runs = vec![
            Run::new(Engine::Seq, |calls| sample(&seq, right, calls)),
            Run::new(Engine::Windlass, |calls| sample(|| windlass(&pools.windlass), right, calls)),
        ];
        if let Some(rayon) = &rayon {
            let call = |calls| sample(|| rayon(&pools.rayon), right, calls);
            runs.push(Run::new(Engine::Rayon, call));
        }
        self.finish(name, u64::MAX, runs);
    }

    /// `fresh`: every call needs a copy of the input of its own, which is made beforehand.
    fn measure_change<T: Clone + PartialEq>(
        &mut self,
        name: String,
        input: &[T],
        fresh: bool,
        seq: impl Fn(&mut [T]),
        windlass: impl Fn(&windlass::Pool, &mut [T]),
        rayon: impl Fn(&rayon::ThreadPool, &mut [T]),
    ) {
        if !self.opts.wants_case(&name) {
            return;
        }
        let mut right = input.to_vec();
        seq(&mut right);
        let (pools, right) = (self.pools, right.as_slice());
        let max_calls = if fresh { (COPIED / input.len() as u64).max(1) } else { u64::MAX };
        let runs = vec![
            Run::new(Engine::Seq, |calls| sample_change(&seq, input, right, fresh, calls)),
            Run::new(Engine::Windlass, |calls| {
                sample_change(|s| windlass(&pools.windlass, s), input, right, fresh, calls)
            }),
            Run::new(Engine::Rayon, |calls| {
                sample_change(|s| rayon(&pools.rayon, s), input, right, fresh, calls)
            }),
        ];
        self.finish(name, max_calls, runs);
    }

    fn finish(&mut self, name: String, max_calls: u64, runs: Vec<Run<'_>>) {
        let case =
            Case { suite: "iter", name, workers: self.workers, forks: None, max_calls, runs };
        let mut row = measure(self.opts, case);
        row.checks = report::checks(&row);
        self.rows.push(row);
    }
}

/// Times `calls` calls. An answer is freed inside the time, but for the last one. Between two calls
/// the chain's captures are out of the compiler's sight, so that it computes each anew.
fn sample<T: Answer>(chain: impl Fn() -> T, expected: &T, calls: u64) -> Duration {
    let mut right = true;
    let start = Instant::now();
    for _ in 1..calls {
        let answer = black_box(black_box(&chain)());
        right &= answer.resembles(expected);
    }
    let last = black_box(black_box(&chain)());
    let time = start.elapsed();
    demand(right && last == *expected, "iter");
    time
}

/// Times `calls` changes of a copy of the input, or of a copy each; all are compared in the end.
fn sample_change<T: Clone + PartialEq>(
    change: impl Fn(&mut [T]),
    input: &[T],
    expected: &[T],
    fresh: bool,
    calls: u64,
) -> Duration {
    let mut copies = vec![input.to_vec(); if fresh { calls as usize } else { 1 }];
    let again = if fresh { 1 } else { calls };
    let start = Instant::now();
    for copy in &mut copies {
        for _ in 0..again {
            black_box(&change)(black_box(copy));
        }
    }
    let time = start.elapsed();
    demand(copies.iter().all(|copy| copy == expected), "iter");
    time
}

fn print_table(rows: &[Row]) {
    let mark = |ratio: Option<f64>, most: f64| match ratio {
        Some(ratio) if ratio > most => format!("**{ratio:.2}** FAIL"),
        Some(ratio) => format!("{ratio:.2}"),
        None => "-".into(),
    };
    let bound: report::Extra =
        ("windlass / (1.05 seq + 100 ns)", &|row| mark(report::vs_bound(row), 1.0));
    let rayon: report::Extra = ("windlass / rayon", &|row| mark(row.vs_best_peer, 1.05));
    let title = "iter: wall time of a call (median ± interquartile range)";
    report::table(title, rows, report::time_and_spread, &[bound, rayon]);
    if rows.is_empty() {
        return;
    }
    report::print_failing(rows);
    let passing = rows.iter().filter(|row| row.checks.iter().all(|check| check.pass)).count();
    let versus: Vec<f64> = rows.iter().filter_map(|row| row.vs_best_peer).collect();
    let wins = versus.iter().filter(|&&ratio| ratio < 0.95).count();
    let losses = versus.iter().filter(|&&ratio| ratio > 1.05).count();
    println!(
        "\niter: {passing} of {} cells pass all; of {} cells beside rayon Windlass wins {wins} by \
         more than 5 %, loses {losses} and draws the others.",
        rows.len(),
        versus.len()
    );
}
