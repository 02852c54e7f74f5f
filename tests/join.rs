//! `join` runs both closures exactly once, returns both results, and lets a panic out only when both are done.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use windlass::{Pool, join};

#[test]
fn both_results_come_back_in_their_places() {
    at_each_width(|pool| {
        assert_eq!(pool.join(|| 1, || "two"), (1, "two"));
        assert_eq!(pool.install(|| join(|| vec![1, 2], || ())), (vec![1, 2], ()));
        for _ in 0..scale(50) {
            assert_eq!(pool.install(|| fib(16)), 987);
        }
    });
}

#[test]
fn closures_may_borrow_and_change_what_is_around_them() {
    fn sort(v: &mut [u32]) {
        if v.len() < 2 {
            return;
        }
        let pivot = v[v.len() - 1];
        let (mut mid, last) = (0, v.len() - 1);
        for i in 0..last {
            if v[i] < pivot {
                v.swap(i, mid);
                mid += 1;
            }
        }
        v.swap(mid, last);
        let (left, right) = v.split_at_mut(mid);
        join(|| sort(left), || sort(&mut right[1..]));
    }
    at_each_width(|pool| {
        let n = scale(50_000) as u32;
        let mut v: Vec<u32> = (0..n).map(|i| i.wrapping_mul(2_654_435_761)).collect();
        let mut expected = v.clone();
        expected.sort_unstable();
        pool.install(|| sort(&mut v));
        assert_eq!(v, expected);
    });
}

#[test]
fn one_worker_runs_in_sequential_order() {
    fn walk(path: u32, depth: u32, seen: &Mutex<Vec<u32>>) {
        if depth == 0 {
            return seen.lock().unwrap().push(path);
        }
        join(|| walk(2 * path, depth - 1, seen), || walk(2 * path + 1, depth - 1, seen));
    }
    let pool = Pool::new(1).unwrap();
    watchdog(&pool, || {
        for depth in 0..12 {
            let seen = Mutex::new(Vec::new());
            // The caller is the one thread that may run, so nothing is stolen.
            pool.install(|| walk(0, depth, &seen));
            assert_eq!(seen.into_inner().unwrap(), (0..1 << depth).collect::<Vec<_>>());
        }
    });
}

#[test]
fn a_panic_of_the_first_half_lets_the_second_run() {
    at_each_width(|pool| {
        for round in 0..scale(200) {
            let (live, ran) = (Live::default(), AtomicUsize::new(0));
            let (in_a, in_b) = (live.token(), live.token());
            let thrown: usize = caught(|| {
                pool.join(
                    || {
                        let _in_a = in_a;
                        throw(round)
                    },
                    || {
                        let _in_b = in_b;
                        ran.fetch_add(1, Ordering::SeqCst);
                        live.token()
                    },
                )
            });
            assert_eq!((thrown, ran.into_inner()), (round, 1));
            live.assert_none();
        }
    });
}

#[test]
fn a_panic_of_the_second_half_drops_the_first_result() {
    at_each_width(|pool| {
        for round in 0..scale(200) {
            let live = Live::default();
            let in_b = live.token();
            let thrown: usize = caught(|| {
                pool.join(
                    || live.token(),
                    || {
                        let _in_b = in_b;
                        throw(round)
                    },
                )
            });
            assert_eq!(thrown, round);
            live.assert_none();
        }
    });
}

#[test]
fn if_both_halves_panic_the_first_one_counts() {
    at_each_width(|pool| {
        for _ in 0..scale(200) {
            assert_eq!(caught::<&str, _>(|| pool.join(|| throw("a"), || throw("b"))), "a");
        }
    });
}

/// A recursion in which chosen leaves panic. Its captures and results are counted, and every leaf must run.
fn shaky<'a>(
    n: u32,
    path: u64,
    bad: &(impl Fn(u64) -> bool + Sync),
    live: &'a Live,
    leaves: &AtomicUsize,
) -> Token<'a> {
    if n < 2 {
        leaves.fetch_add(1, Ordering::Relaxed);
        if bad(path) {
            throw(path);
        }
        return live.token();
    }
    let (in_a, in_b) = (live.token(), live.token());
    let next = path.wrapping_mul(31);
    let (a, _b) = join(
        move || {
            let _in_a = in_a;
            shaky(n - 1, next + 1, bad, live, leaves)
        },
        move || {
            let _in_b = in_b;
            shaky(n - 2, next + 2, bad, live, leaves)
        },
    );
    a
}

#[test]
fn every_closure_runs_wherever_a_leaf_panics_in_a_deep_recursion() {
    let expected = 10_946; // the leaves of fib(20)
    at_each_width(|pool| {
        for round in 0..scale(60) as u64 {
            // From many panicking leaves to none.
            let one_in = 1 << (round % 20);
            let bad = |path: u64| {
                (path ^ round).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40 & (one_in - 1) == 0
            };
            let (live, leaves) = (Live::default(), AtomicUsize::new(0));
            let result = catch_unwind(AssertUnwindSafe(|| {
                pool.install(|| drop(shaky(20, 1, &bad, &live, &leaves)));
            }));
            if let Err(payload) = result {
                assert!(bad(*payload.downcast::<u64>().expect("a leaf's own payload")));
            }
            assert_eq!(leaves.into_inner(), expected, "round {round}");
            live.assert_none();
        }
    });
}

/// U6: the sibling that was stolen works on the frames that the panic unwinds.
#[test]
fn a_panic_waits_for_the_sibling_that_was_stolen_at_every_depth() {
    fn dive<'a>(depth: u32, data: &'a [AtomicUsize], stolen: &AtomicBool, live: &'a Live) {
        if depth == 0 {
            while !stolen.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            throw("bottom");
        }
        let on_this_frame = [AtomicUsize::new(7), AtomicUsize::new(8)];
        let token = live.token();
        join(
            || dive(depth - 1, data, stolen, live),
            || {
                let _token = token;
                stolen.store(true, Ordering::SeqCst);
                work_for(Duration::from_micros(100));
                // Reads and writes a frame that is being unwound.
                for cell in on_this_frame.iter().chain(data) {
                    cell.fetch_add(1, Ordering::SeqCst);
                }
            },
        );
    }
    for width in [2, 3, 8] {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            for depth in 1..=6 {
                for _ in 0..scale(300) / 3 + 1 {
                    let (live, stolen) = (Live::default(), AtomicBool::new(false));
                    let data = [AtomicUsize::new(0)];
                    let thrown = caught::<&str, _>(|| {
                        pool.install(|| dive(depth, &data, &stolen, &live));
                    });
                    assert_eq!(thrown, "bottom");
                    assert_eq!(data[0].load(Ordering::SeqCst), depth as usize);
                    live.assert_none();
                }
            }
        });
    }
}

/// A fork whose site has been short for long is kept private at first. Whatever its first half is made of
/// then, a look at the clock must find that it has grown long.
#[test]
fn a_short_site_that_grows_long_is_shared() {
    /// A region that is short, but for the call that loops over trees of so many levels until the
    /// second half has begun.
    fn call(long: Option<u32>, started: &AtomicBool) {
        let first = || {
            if let Some(depth) = long {
                let start = std::time::Instant::now();
                while !started.load(Ordering::SeqCst) && start.elapsed() < LONG {
                    tree_of(0, depth);
                }
                assert!(started.load(Ordering::SeqCst), "nobody came in time");
            }
        };
        join(first, || started.store(true, Ordering::SeqCst));
    }
    for width in [2, 3, 8] {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            for depth in [1, 2, 4, 8] {
                for _ in 0..scale(20) {
                    pool.install(|| {
                        // Two sites in turn: of one alone not even the time is taken after a while.
                        for _ in 0..200 {
                            call(None, &AtomicBool::new(false));
                            join(|| (), || ());
                        }
                        // Those who search give up.
                        std::thread::sleep(std::time::Duration::from_millis(1));
                        call(Some(depth), &AtomicBool::new(false));
                    });
                }
            }
        });
    }
}

#[test]
fn both_halves_run_at_the_same_time_from_the_very_first_call() {
    // A closure type of its own for each size: a site without history.
    fn once<const WIDTH: usize>() {
        let pool = Pool::new(WIDTH).unwrap();
        watchdog(&pool, || {
            let meeting = Meeting::of(2);
            pool.join(|| meeting.attend(), || meeting.attend());
            let meeting = Meeting::of(2);
            pool.install(|| join(|| meeting.attend(), || meeting.attend()));
        });
    }
    once::<2>();
    once::<3>();
    once::<8>();
}

#[test]
fn both_halves_keep_running_at_the_same_time_where_that_takes_long() {
    for width in [2, 3, 8] {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            for _ in 0..scale(500) {
                let meeting = Meeting::of(2);
                let half = || {
                    meeting.attend();
                    work_for(Duration::from_micros(100));
                };
                pool.join(half, half);
            }
        });
    }
}

#[test]
fn one_fork_before_a_long_leaf_is_taken() {
    for width in [2, 3, 8] {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            for _ in 0..scale(200) {
                let started = AtomicBool::new(false);
                pool.install(|| {
                    join(
                        || {
                            while !started.load(Ordering::SeqCst) {
                                std::thread::yield_now();
                            }
                            // Long, also as the table of call sites sees it.
                            work_for(Duration::from_micros(200));
                        },
                        || started.store(true, Ordering::SeqCst),
                    )
                });
            }
        });
    }
}

/// The call site of the short forks must not spoil the long one that follows in the same entry.
#[test]
fn a_long_fork_is_taken_after_many_short_ones() {
    for width in [2, 3, 8] {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            for _ in 0..scale(30) {
                pool.install(|| {
                    for i in 0..3000_u64 {
                        assert_eq!(join(|| i, || i + 1), (i, i + 1));
                    }
                    let meeting = Meeting::of(2);
                    let half = || {
                        meeting.attend();
                        work_for(Duration::from_micros(100));
                    };
                    join(half, half);
                });
            }
        });
    }
}

#[test]
fn a_long_fork_is_taken_after_short_ones_that_panicked() {
    for width in [2, 3, 8] {
        let pool = Pool::new(width).unwrap();
        watchdog(&pool, || {
            for round in 0..scale(30) as u64 {
                pool.install(|| {
                    for i in 0..3000_u64 + round {
                        let last = i == 2999 + round;
                        // One call site, so that the last one is taken for short.
                        let result =
                            catch_unwind(|| join(|| if last { throw(i) } else { i }, || i + 1));
                        assert_eq!(result.is_err(), last);
                    }
                    let meeting = Meeting::of(2);
                    let half = || {
                        meeting.attend();
                        work_for(Duration::from_micros(100));
                    };
                    join(half, half);
                });
            }
        });
    }
}

#[test]
fn forks_may_be_nested_deeper_than_the_fork_stack() {
    fn line(depth: usize, sum: &AtomicUsize) {
        if depth > 0 {
            join(|| line(depth - 1, sum), || sum.fetch_add(1, Ordering::Relaxed));
        }
    }
    fn line_of_seconds(depth: usize, sum: &AtomicUsize) {
        if depth > 0 {
            join(|| sum.fetch_add(1, Ordering::Relaxed), || line_of_seconds(depth - 1, sum));
        }
    }
    let depth = 10_000;
    for width in WIDTHS {
        let pool = Pool::builder().workers(width).stack_size(256 << 20).build().unwrap();
        watchdog(&pool, || {
            for _ in 0..scale(20) {
                let sum = AtomicUsize::new(0);
                // On a worker, whose stack is large; what else is stolen runs on workers too.
                pool.broadcast(|cx| {
                    if cx.index() == 0 {
                        line(depth, &sum);
                        line_of_seconds(depth, &sum);
                    }
                });
                assert_eq!(sum.into_inner(), 2 * depth);
            }
        });
    }
}

#[test]
fn a_panic_at_the_end_of_ten_thousand_forks_runs_them_all() {
    fn line(depth: usize, sum: &AtomicUsize) {
        if depth == 0 {
            throw("end");
        }
        join(|| line(depth - 1, sum), || sum.fetch_add(1, Ordering::Relaxed));
    }
    for width in [1, 2, 3] {
        let pool = Pool::builder().workers(width).stack_size(256 << 20).build().unwrap();
        watchdog(&pool, || {
            let sum = AtomicUsize::new(0);
            let thrown = caught::<&str, _>(|| {
                pool.broadcast(|cx| {
                    if cx.index() == 0 {
                        line(10_000, &sum)
                    }
                });
            });
            assert_eq!((thrown, sum.into_inner()), ("end", 10_000));
        });
    }
}

/// S2: big values are not copied about on a small stack.
#[test]
fn captures_and_results_of_64_kib_pass_through() {
    fn halves(depth: u32) -> usize {
        let (x, y) = ([1_u8; 65_536], [2_u8; 65_536]);
        let (a, b) = join(move || x, move || y);
        let sum = usize::from(a[65_535]) + usize::from(b[0]);
        if depth == 0 {
            return sum;
        }
        let (left, right) = join(|| halves(depth - 1), || halves(depth - 1));
        sum + left + right
    }
    at_each_width(|pool| {
        // On the pool's threads, with the stack that they have by default.
        let sums = pool.broadcast(|_| halves(1));
        assert!(sums.into_iter().all(|sum| sum == 3 * 3));
    });
}

#[test]
fn zero_sized_closures_and_results_work() {
    fn tree(depth: u32) {
        if depth > 0 {
            join(|| tree(depth - 1), || tree(depth - 1));
        }
    }
    at_each_width(|pool| pool.install(|| tree(14)));
}
