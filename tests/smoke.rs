//! smoke
use windlass::*;
fn fib(n: u64) -> u64 {
    if n < 2 {
        n
    } else {
        let (a, b) = join(|| fib(n - 1), || fib(n - 2));
        a + b
    }
}
#[test]
fn smoke() {
    for w in [1, 2, 3, 8] {
        let pool = Pool::new(w).unwrap();
        for _ in 0..20 {
            assert_eq!(pool.install(|| fib(20)), 6765);
            let v: Vec<u64> = (0..100_000).collect();
            assert_eq!(pool.par_map(&v, |x| x * 2).iter().sum::<u64>(), 9999900000);
            assert_eq!(pool.broadcast(|c| c.index()), (0..w).collect::<Vec<_>>());
            let n = std::sync::atomic::AtomicUsize::new(0);
            pool.scope(|s| {
                for _ in 0..100 {
                    s.spawn(|s| {
                        n.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        s.spawn(|_| {
                            fib(10);
                            n.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        });
                    })
                }
            });
            assert_eq!(n.load(std::sync::atomic::Ordering::SeqCst), 200);
        }
    }
}
