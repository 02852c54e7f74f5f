//! scratch
use windlass::*;
#[inline(never)]
fn fib(n: u64) -> u64 { if n < 2 { n } else { let (a, b) = join(move || fib(n-1), move || fib(n-2)); a + b } }
fn main() {
    let w: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let pool = Pool::new(w).unwrap();
    let mut best = f64::MAX;
    for _ in 0..60 { let t = std::time::Instant::now(); assert_eq!(pool.install(|| fib(std::hint::black_box(32))), 2178309); best = best.min(t.elapsed().as_secs_f64()); }
    println!("{w} workers: {:.3} ms  {:.3} ns/fork wall", best*1e3, best*1e9/3524577.0);
    println!("{pool:?}");
}
