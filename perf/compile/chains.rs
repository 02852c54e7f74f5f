// Fifty chains of the kinds that programs are made of. `windlass-perf compile` puts a `use` of one
// engine's prelude before this text and times what the compiler takes for it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

pub struct Person {
    pub name: String,
    pub age: u32,
    pub city: String,
    pub income: f64,
}

pub fn sum_of_squares(v: &[u64]) -> u64 {
    v.par_iter().map(|&x| x * x).sum()
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.par_iter().zip(b).map(|(x, y)| x * y).sum()
}

pub fn count_even(v: &[u64]) -> usize {
    v.par_iter().filter(|&&x| x % 2 == 0).count()
}

pub fn lengths(v: &[String]) -> Vec<usize> {
    v.par_iter().map(|s| s.len()).collect()
}

pub fn saxpy(a: f32, x: &[f32], y: &mut [f32]) {
    y.par_iter_mut().zip(x).for_each(|(y, &x)| *y += a * x);
}

pub fn add_index(v: &mut [usize]) {
    v.par_iter_mut().enumerate().for_each(|(i, x)| *x += i);
}

pub fn odd_squares(n: u64) -> Vec<u64> {
    (0..n).into_par_iter().filter(|x| x % 2 == 1).map(|x| x * x).collect()
}

pub fn histogram(v: &[u8]) -> Vec<u32> {
    v.par_iter()
        .fold(
            || vec![0u32; 256],
            |mut counts, &x| {
                counts[x as usize] += 1;
                counts
            },
        )
        .reduce(
            || vec![0u32; 256],
            |mut a, b| {
                a.iter_mut().zip(&b).for_each(|(a, b)| *a += b);
                a
            },
        )
}

pub fn word_counts(lines: &[String]) -> HashMap<String, usize> {
    lines
        .par_iter()
        .flat_map_iter(|line| line.split_whitespace())
        .fold(HashMap::new, |mut counts, word| {
            *counts.entry(word.to_owned()).or_insert(0) += 1;
            counts
        })
        .reduce(HashMap::new, |mut a, b| {
            for (word, n) in b {
                *a.entry(word).or_insert(0) += n;
            }
            a
        })
}

pub fn parse_all(texts: &[String]) -> Result<Vec<i64>, std::num::ParseIntError> {
    texts.par_iter().map(|s| s.trim().parse::<i64>()).collect()
}

pub fn parse_some(texts: &[String]) -> Vec<f64> {
    texts.par_iter().filter_map(|s| s.parse().ok()).collect()
}

pub fn find_needle<'a>(v: &'a [String], needle: &str) -> Option<&'a String> {
    v.par_iter().find_any(|s| s.contains(needle))
}

pub fn first_negative(v: &[f64]) -> Option<usize> {
    v.par_iter().position_first(|&x| x < 0.0)
}

pub fn has_zero(v: &[i32]) -> bool {
    v.par_iter().any(|&x| x == 0)
}

pub fn all_finite(v: &[f64]) -> bool {
    v.par_iter().all(|x| x.is_finite())
}

pub fn oldest(people: &[Person]) -> Option<&Person> {
    people.par_iter().max_by_key(|p| p.age)
}

pub fn poorest(people: &[Person]) -> Option<&Person> {
    people.par_iter().min_by(|a, b| a.income.total_cmp(&b.income))
}

pub fn adults(people: Vec<Person>) -> Vec<Person> {
    people.into_par_iter().filter(|p| p.age >= 18).collect()
}

pub fn by_age(people: Vec<Person>) -> (Vec<Person>, Vec<Person>) {
    people.into_par_iter().partition(|p| p.age < 40)
}

pub fn names_and_incomes(people: Vec<Person>) -> (Vec<String>, Vec<f64>) {
    people.into_par_iter().map(|p| (p.name, p.income)).unzip()
}

pub fn index_by_name(people: &[Person]) -> HashMap<&str, u32> {
    people.par_iter().map(|p| (p.name.as_str(), p.age)).collect()
}

pub fn cities(people: &[Person]) -> HashSet<String> {
    people.par_iter().map(|p| p.city.clone()).collect()
}

pub fn mean_income(people: &[Person]) -> f64 {
    let (sum, n) =
        people.par_iter().map(|p| (p.income, 1)).reduce(|| (0.0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    sum / f64::from(n.max(1))
}

pub fn chunk_sums(v: &[u64]) -> Vec<u64> {
    v.par_chunks(64).map(|chunk| chunk.iter().sum()).collect()
}

pub fn normalise_rows(v: &mut [f32], width: usize) {
    v.par_chunks_mut(width).for_each(|row| {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
    });
}

pub fn differences(v: &[f64]) -> Vec<f64> {
    v.par_windows(2).map(|w| w[1] - w[0]).collect()
}

pub fn pairs(n: u32) -> Vec<(u32, u32)> {
    (0..n).into_par_iter().flat_map(|i| (0..i).into_par_iter().map(move |j| (i, j))).collect()
}

pub fn flatten(v: Vec<Vec<u64>>) -> Vec<u64> {
    v.into_par_iter().flatten().collect()
}

pub fn check_all(v: &[i64]) -> Result<(), String> {
    v.par_iter().try_for_each(|&x| if x >= 0 { Ok(()) } else { Err(format!("{x} is negative")) })
}

pub fn checked_sum(v: &[u32]) -> Option<u32> {
    v.par_iter().copied().map(Some).try_reduce(|| 0, |a, b| a.checked_add(b))
}

pub fn checked_product(v: &[u64]) -> Option<u64> {
    v.par_iter()
        .try_fold(|| 1u64, |p, &x| p.checked_mul(x))
        .try_reduce(|| 1, |a, b| a.checked_mul(b))
}

pub fn sort_numbers(v: &mut [u64]) {
    v.par_sort_unstable();
}

pub fn sort_names(v: &mut Vec<String>) {
    v.par_sort();
}

pub fn sort_people(v: &mut [Person]) {
    v.par_sort_by(|a, b| a.age.cmp(&b.age).then_with(|| a.name.cmp(&b.name)));
}

pub fn sort_by_income(v: &mut [Person]) {
    v.par_sort_unstable_by_key(|p| p.income.to_bits());
}

pub fn buffered(v: &[u64]) -> Vec<usize> {
    v.par_iter()
        .map_init(String::new, |buffer, x| {
            buffer.clear();
            buffer.push_str(&x.to_string());
            buffer.len()
        })
        .collect()
}

pub fn total(v: &[u64]) -> u64 {
    let sum = AtomicU64::new(0);
    v.par_iter().for_each(|&x| {
        sum.fetch_add(x, Ordering::Relaxed);
    });
    sum.into_inner()
}

pub fn reversed(v: &[u64]) -> Vec<u64> {
    v.par_iter().rev().copied().collect()
}

pub fn every_third(v: &[f32]) -> f32 {
    v.par_iter().step_by(3).cloned().sum()
}

pub fn middle(v: &[u64]) -> Vec<u64> {
    v.par_iter().skip(10).take(100).map(|x| x + 1).collect()
}

pub fn joined(a: Vec<u64>, b: Vec<u64>) -> Vec<u64> {
    a.into_par_iter().chain(b).map(|x| x / 2).collect()
}

pub fn interleaved(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.par_iter().interleave(b).copied().collect()
}

pub fn equal(a: &[u64], b: &[u64]) -> bool {
    a.par_iter().eq(b.par_iter())
}

pub fn mandelbrot(width: usize, height: usize) -> Vec<u8> {
    (0..width * height)
        .into_par_iter()
        .map(|i| {
            let (cx, cy) = ((i % width) as f64 / 100.0 - 2.0, (i / width) as f64 / 100.0 - 1.0);
            let (mut x, mut y, mut n) = (0.0, 0.0, 0u8);
            while x * x + y * y < 4.0 && n < 255 {
                (x, y) = (x * x - y * y + cx, 2.0 * x * y + cy);
                n += 1;
            }
            n
        })
        .collect()
}

pub fn nearest(points: &[(f64, f64)], x: f64, y: f64) -> Option<(usize, f64)> {
    points
        .par_iter()
        .enumerate()
        .map(|(i, p)| (i, (p.0 - x).hypot(p.1 - y)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
}

pub fn line_sum(text: &str) -> u64 {
    text.par_lines().filter_map(|line| line.parse::<u64>().ok()).sum()
}

pub fn values(map: &HashMap<String, u64>) -> u64 {
    map.par_iter()
        .filter(|(key, _)| key.len() > 3)
        .map(|(_, value)| value)
        .max()
        .copied()
        .unwrap_or(0)
}

pub fn squares_by_number(n: u32) -> BTreeMap<u32, u64> {
    (0..n).into_par_iter().map(|x| (x, u64::from(x) * u64::from(x))).collect()
}

pub fn fill(target: &mut Vec<usize>, n: usize) {
    (0..n).into_par_iter().map(|x| x ^ (x >> 3)).collect_into_vec(target);
}

pub fn long_chain(v: &[i32], w: &[i32], least: i32) -> Vec<(usize, i64)> {
    v.par_iter()
        .zip(w)
        .enumerate()
        .with_min_len(16)
        .filter(|&(_, (&a, &b))| a > least && b > least)
        .map(|(i, (&a, &b))| (i, i64::from(a) * i64::from(b)))
        .inspect(|(_, product)| assert!(*product != 13))
        .filter_map(|(i, product)| (product % 7 != 0).then_some((i, product)))
        .collect()
}
