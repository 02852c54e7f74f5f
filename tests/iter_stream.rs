//! From parallel to sequential: in order, complete, with bounded memory; and reports of progress.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use windlass::prelude::*;

/// Items of uneven cost.
fn slow(n: usize) -> usize {
    if n % 97 == 3 {
        work_for(Duration::from_micros(30));
    }
    n * 3
}

const LENGTHS: [usize; 7] = [0, 1, 2, 3, 100, 1_001, 70_000];

#[test]
fn into_seq_iter_yields_everything_in_order() {
    at_each_width(|pool| {
        pool.install(|| {
            for n in LENGTHS {
                let expected: Vec<usize> = (0..n).map(|n| n * 3).collect();
                let seq = (0..n).into_par_iter().map(slow).into_seq_iter();
                assert_eq!(seq.size_hint(), (n, Some(n)));
                assert_eq!(seq.collect::<Vec<_>>(), expected);
                let odd = (0..n).into_par_iter().filter(|n| n % 2 == 1).map(slow);
                let expected: Vec<usize> = expected.into_iter().filter(|n| n % 2 == 1).collect();
                assert_eq!(odd.into_seq_iter_by(7).collect::<Vec<_>>(), expected);
            }
        });
    });
}

#[test]
fn into_seq_iter_does_not_run_ahead_of_its_window() {
    at_each_width(|pool| {
        pool.install(|| {
            let made = AtomicUsize::new(0);
            let mut seq = (0..100_000_usize)
                .into_par_iter()
                .inspect(|_| {
                    made.fetch_add(1, Ordering::Relaxed);
                })
                .into_seq_iter_by(10);
            assert_eq!(made.load(Ordering::Relaxed), 0, "lazy");
            for taken in 1..=1_000 {
                assert_eq!(seq.next(), Some(taken - 1));
                assert!(made.load(Ordering::Relaxed) <= taken + 10);
            }
        });
    });
}

#[test]
fn into_seq_iter_uses_the_pool() {
    let pool = windlass::Pool::new(2).unwrap();
    watchdog(&pool, || {
        pool.install(|| {
            let meeting = Meeting::of(2);
            // Both must be under way at once.
            let seq = (0..2).into_par_iter().map(|_| meeting.attend()).into_seq_iter();
            assert_eq!(seq.count(), 2);
        });
    });
}

#[test]
fn a_seq_iter_may_be_dropped_or_leaked_or_panic_half_way() {
    at_each_width(|pool| {
        pool.install(|| {
            let live = Live::default();
            let items = || (0..1_000).map(|_| live.token()).collect::<Vec<_>>();
            let mut seq = items().into_par_iter().into_seq_iter_by(16);
            drop(seq.by_ref().take(20).collect::<Vec<_>>());
            drop(seq);
            live.assert_none();

            let (v, calls) = ((0..1_000).collect::<Vec<usize>>(), AtomicUsize::new(0));
            let mut seq =
                v.par_iter().map(|n| n + calls.fetch_add(0, Ordering::Relaxed)).into_seq_iter();
            assert_eq!(seq.next(), Some(0));
            // Borrowed data, and nothing runs behind our back. (Sanitizers look for leaks.)
            if scale(2) == 2 {
                std::mem::forget(seq);
                drop(v);
            }

            let mut seq = items()
                .into_par_iter()
                .enumerate()
                .map(|(i, token)| if i == 40 { throw("bad") } else { token })
                .into_seq_iter_by(16);
            assert_eq!(caught::<&str, _>(|| seq.by_ref().for_each(drop)), "bad");
            assert!(seq.next().is_none(), "at its end after a panic");
            drop(seq);
            live.assert_none();
        });
    });
}

#[test]
fn for_each_ordered_sees_everything_once_in_order() {
    at_each_width(|pool| {
        pool.install(|| {
            for n in LENGTHS {
                let mut seen = Vec::new();
                (0..n).into_par_iter().map(slow).for_each_ordered(|n| seen.push(n));
                assert_eq!(seen, (0..n).map(|n| n * 3).collect::<Vec<_>>());
            }
            let mut text = String::new();
            (0..300_u32)
                .into_par_iter()
                .flat_map_iter(|n| 0..n % 5)
                .for_each_ordered(|n| text.push_str(&n.to_string()));
            let expected: String =
                (0..300_u32).flat_map(|n| 0..n % 5).map(|n| n.to_string()).collect();
            assert_eq!(text, expected);
        });
    });
}

#[test]
fn for_each_ordered_makes_items_while_others_are_consumed() {
    let pool = windlass::Pool::new(2).unwrap();
    watchdog(&pool, || {
        pool.install(|| {
            let threads = Mutex::new(HashSet::new());
            let mut consumed = 0;
            (0..2_000)
                .into_par_iter()
                .map(|_| {
                    work_for(Duration::from_micros(20));
                    threads.lock().unwrap().insert(thread::current().id());
                })
                .for_each_ordered(|()| consumed += 1);
            assert_eq!(consumed, 2_000);
            assert!(threads.into_inner().unwrap().len() > 1, "not by the caller alone");
        });
    });
}

#[test]
fn for_each_ordered_is_never_far_ahead_of_a_slow_consumer() {
    at_each_width(|pool| {
        pool.install(|| {
            let (made, consumed) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let furthest = AtomicUsize::new(0);
            let n = 400;
            (0..n)
                .into_par_iter()
                .map(|_| {
                    let ahead = made.fetch_add(1, Ordering::SeqCst) + 1
                        - consumed.load(Ordering::SeqCst).min(made.load(Ordering::SeqCst));
                    furthest.fetch_max(ahead, Ordering::SeqCst);
                    // A chunk of its own.
                    work_for(Duration::from_micros(120));
                })
                .for_each_ordered(|()| {
                    work_for(Duration::from_micros(150));
                    consumed.fetch_add(1, Ordering::SeqCst);
                });
            assert_eq!(consumed.into_inner(), n);
            // Four chunks a worker, and the one that is consumed; a chunk is of one or two items,
            // more only if the clock stood still for a while.
            let bound = 5 * 4 * (pool.num_workers() + 1);
            assert!(furthest.into_inner() <= bound.max(40), "bounded");
        });
    });
}

#[test]
fn a_panic_ends_an_ordered_loop_and_drops_everything_once() {
    at_each_width(|pool| {
        pool.install(|| {
            for bad in [0, 1, 50, 499] {
                for in_consumer in [false, true] {
                    let live = Live::default();
                    let items: Vec<_> = (0..500).map(|i| (i, live.token())).collect();
                    let thrown = caught::<usize, _>(|| {
                        items
                            .into_par_iter()
                            .map(|(i, token)| {
                                if !in_consumer && i == bad {
                                    throw(i)
                                }
                                work_for(Duration::from_micros(2));
                                (i, token)
                            })
                            .for_each_ordered(|(i, _)| {
                                if in_consumer && i == bad {
                                    throw(i);
                                }
                            });
                    });
                    assert_eq!(thrown, bad);
                    live.assert_none();
                }
            }
        });
    });
}

/// Remembers what it is told, and that it is told by one thread at a time and never less.
#[derive(Default)]
struct Sink {
    reports: AtomicUsize,
    last: AtomicU64,
    total: AtomicU64,
    is_busy: std::sync::atomic::AtomicBool,
}

impl windlass::iter::ProgressSink for Sink {
    fn update(&self, done: u64, total: Option<u64>) {
        assert!(!self.is_busy.swap(true, Ordering::SeqCst), "one at a time");
        assert!(self.last.swap(done, Ordering::SeqCst) <= done, "never falls");
        self.total.store(total.unwrap_or(0), Ordering::SeqCst);
        self.reports.fetch_add(1, Ordering::SeqCst);
        self.is_busy.store(false, Ordering::SeqCst);
    }
}

#[test]
fn progress_is_told_now_and_then_and_at_the_end() {
    at_each_width(|pool| {
        pool.install(|| {
            let sink = Sink::default();
            let n = 3_000;
            (0..n)
                .into_par_iter()
                .progress(&sink)
                .for_each(|_| work_for(Duration::from_micros(100)));
            assert_eq!(sink.last.load(Ordering::SeqCst), n);
            assert_eq!(sink.total.load(Ordering::SeqCst), n);
            // 300 ms of work; eight threads on two cores may be done in less.
            assert!(sink.reports.load(Ordering::SeqCst) >= 2, "not at the end alone");
            assert!(sink.reports.load(Ordering::SeqCst) < n as usize / 4, "not each time");

            let sink = Sink::default();
            let evens =
                (0..1000_u32).into_par_iter().filter(|n| n % 2 == 0).progress(&sink).count();
            assert_eq!((evens, sink.last.into_inner(), sink.total.into_inner()), (500, 500, 0));

            let sink = Sink::default();
            let back: Vec<u32> = (0..1000).into_par_iter().progress(&sink).rev().collect();
            assert_eq!((back[0], sink.last.into_inner()), (999, 1000));
        });
    });
}

#[test]
fn an_unused_progress_reports_nothing() {
    let sink = Sink::default();
    drop((0..10).into_par_iter().progress(&sink));
    assert_eq!(sink.reports.into_inner(), 0);
}
