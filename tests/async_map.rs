//! A map over items as a stream: all results, within its bounds; the first error ends it and is not buried.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use crate::tasks::{Task, in_each_executor};
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt, TryStreamExt, stream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use windlass::iter::ParallelIterator as _;
use windlass::{
    Bound, JobError, JobOptions, MapError, Pool, Priority, Shutdown, block_on, checkpoint,
};

#[test]
fn it_agrees_with_the_plain_loop() {
    at_each_width(|pool| {
        for (len, limit) in [(0, 1), (1, 3), (2, 1), (50, 1), (50, 7), (200, 64)] {
            let expected: Vec<u64> = (0..len).map(|n| n * n).collect();
            let map = || pool.map_async(0..len, |n| n * n).limit(limit);
            let ordered = block_on(map().try_collect::<Vec<_>>()).unwrap();
            assert_eq!(ordered, expected);
            let mut unordered = block_on(map().unordered().try_collect::<Vec<_>>()).unwrap();
            unordered.sort_unstable();
            assert_eq!(unordered, expected);
            let fallible = pool.try_map_async(0..len, |n| Ok::<_, ()>(n * n)).look_ahead(limit + 3);
            assert_eq!(block_on(fallible.try_collect::<Vec<_>>()).unwrap(), expected);
        }
    });
}

#[test]
fn every_executor_drives_it() {
    at_each_width(|pool| {
        in_each_executor(async || {
            let input = stream::iter(0..20).then(|n| async move {
                crate::tasks::Yields(n % 3).await;
                n
            });
            let options = JobOptions::default().priority(Priority::High);
            let sum = pool.map_stream(input, |n| n).options(&options).map(Result::unwrap);
            assert_eq!(sum.fold(0, |sum, n| async move { sum + n }).await, 190);
        });
    });
}

#[test]
fn its_bounds_hold_over_an_endless_input() {
    at_each_width(|pool| {
        for (limit, look_ahead) in [(1, 1), (2, 5), (4, 4), (3, 1)] {
            for is_ordered in [true, false] {
                let (taken, started, yielded) =
                    (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), 40);
                let (count, inner) = (Arc::clone(&taken), Arc::clone(&started));
                let input = (0..).inspect(move |_| _ = count.fetch_add(1, Ordering::SeqCst));
                let ended = Arc::new(AtomicUsize::new(0));
                let f = move |n: usize| {
                    let now = inner.fetch_add(1, Ordering::SeqCst) + 1;
                    assert!(now - ended.load(Ordering::SeqCst) <= limit);
                    ended.fetch_add(1, Ordering::SeqCst);
                    n
                };
                let mut results = pool.map_async(input, f).limit(limit).look_ahead(look_ahead);
                if !is_ordered {
                    results = results.unordered();
                }
                for n in 0..yielded {
                    let result = block_on(results.next()).unwrap().unwrap();
                    assert!(!is_ordered || result == n);
                    let ahead = taken.load(Ordering::SeqCst) - n;
                    assert!(ahead <= look_ahead.max(limit) + 1, "{ahead} of {look_ahead}, {limit}");
                }
                drop(results);
                assert!(pool.wait_idle(LONG));
                assert!(started.load(Ordering::SeqCst) < yielded + look_ahead.max(limit) + 1);
            }
        }
    });
}

#[test]
fn results_are_yielded_while_the_input_is_not_there() {
    at_each_width(|pool| {
        let (mut sender, receiver) = mpsc::channel(4);
        let mut results = pool.map_stream(receiver, |n: u32| n + 1);
        let task = Task::default();
        for n in 0..3 {
            assert!(task.with(|cx| results.poll_next_unpin(cx)).is_pending());
            block_on(sender.send(n)).unwrap();
            assert_eq!(block_on(results.next()).unwrap().unwrap(), n + 1);
        }
        drop(sender);
        assert!(block_on(results.next()).is_none());
        assert!(block_on(results.next()).is_none());
    });
}

#[test]
fn a_slow_item_holds_up_the_order_but_not_the_others() {
    at_each_width(|pool| {
        if pool.num_workers() == 1 {
            return;
        }
        let gate = Gate::default();
        let inner = gate.clone();
        let ended = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ended);
        let f = move |n: usize| {
            if n == 0 {
                inner.wait();
            }
            count.fetch_add(1, Ordering::SeqCst);
            n
        };
        let (mut results, task) =
            (pool.map_async(0..100, f).limit(3).look_ahead(8), Task::default());
        while ended.load(Ordering::SeqCst) < 7 {
            assert!(task.with(|cx| results.poll_next_unpin(cx)).is_pending());
            std::thread::yield_now();
        }
        // No more are begun than may be kept.
        assert!(task.with(|cx| results.poll_next_unpin(cx)).is_pending());
        assert_eq!(ended.load(Ordering::SeqCst), 7);
        gate.open();
        assert!(block_on(results.map(Result::unwrap).collect::<Vec<_>>()).into_iter().eq(0..100));
    });
}

#[test]
fn the_first_error_ends_it_and_nothing_behind_is_begun() {
    at_each_width(|pool| {
        for is_ordered in [true, false] {
            for bad in [0, 5, 19] {
                let ran = Arc::new(AtomicUsize::new(0));
                let count = Arc::clone(&ran);
                let f = move |n: usize| {
                    count.fetch_add(1, Ordering::SeqCst);
                    if n == bad { Err("bad") } else { Ok(n) }
                };
                let (gate, blockers) = block(pool);
                let mut results = pool.try_map_async(0.., f).limit(20);
                if !is_ordered {
                    results = results.unordered();
                }
                let task = Task::default();
                assert!(task.with(|cx| results.poll_next_unpin(cx)).is_pending());
                end(&gate, blockers);
                // All of the twenty have been submitted, and nobody polls.
                assert!(pool.wait_idle(LONG));
                if pool.num_workers() == 1 {
                    assert_eq!(ran.load(Ordering::SeqCst), bad + 1);
                }
                let mut values = Vec::new();
                let error = loop {
                    match block_on(results.next()).unwrap() {
                        Ok(value) => values.push(value),
                        Err(error) => break error,
                    }
                };
                assert!(matches!(error, MapError::Failed("bad")));
                assert!(block_on(results.next()).is_none());
                if is_ordered {
                    assert!(values.into_iter().eq(0..bad));
                }
            }
        }
    });
}

/// Those that are cancelled fail too, for that reason.
#[test]
fn the_first_error_is_not_buried_by_those_that_it_causes() {
    at_each_width(|pool| {
        let width = pool.num_workers();
        for is_ordered in [true, false] {
            let begun = Arc::new(Meeting::of(width));
            let inner = Arc::clone(&begun);
            // In order, what comes before the failure is not cancelled.
            let bad = if is_ordered { 0 } else { width - 1 };
            let f = move |n: usize| {
                inner.attend();
                if n == bad {
                    return Err("the real one");
                }
                while checkpoint().is_ok() {
                    std::thread::yield_now();
                }
                Err::<(), _>("cancelled")
            };
            let mut results = pool.try_map_async(0..width, f).limit(width);
            if !is_ordered {
                results = results.unordered();
            }
            let first = block_on(results.next()).unwrap().unwrap_err();
            assert!(matches!(first, MapError::Failed("the real one")));
            assert!(block_on(results.next()).is_none());
            assert!(pool.wait_idle(LONG));
        }
    });
}

#[test]
fn a_panic_is_a_failure_like_another() {
    at_each_width(|pool| {
        let f = |n: usize| if n == 3 { throw("three") } else { n };
        let mut results = pool.map_async(0..10, f);
        for n in 0..3 {
            assert_eq!(block_on(results.next()).unwrap().unwrap(), n);
        }
        let error = block_on(results.next()).unwrap().unwrap_err();
        assert!(matches!(&error, JobError::Panicked(panic) if panic.message() == Some("three")));
        assert!(block_on(results.next()).is_none());
        let f = |n: usize| if n == 3 { throw("three") } else { Ok::<_, ()>(n) };
        let error = block_on(pool.try_map_async(0..10, f).try_collect::<Vec<_>>()).unwrap_err();
        assert!(matches!(error, MapError::Job(JobError::Panicked(_))));
    });
}

#[test]
fn dropped_at_any_point_it_cancels_what_is_under_way() {
    at_each_width(|pool| {
        for yielded in [None, Some(0), Some(3)] {
            let (held, num_quick) = (Arc::new(()), AtomicUsize::new(0));
            let inner = Arc::clone(&held);
            let endless = move |n: usize| {
                let _held = &inner;
                if n < 3 {
                    num_quick.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                // Several workers do not start them quite in order, and what is endless keeps all.
                until(|| num_quick.load(Ordering::SeqCst) == 3 || checkpoint().is_err());
                windlass::iter::repeat(()).for_each(std::mem::drop);
            };
            let (mut results, task) = (pool.map_async(0.., endless).limit(16), Task::default());
            if let Some(yielded) = yielded {
                for _ in 0..yielded {
                    block_on(results.next()).unwrap().unwrap();
                }
                while let Poll::Ready(item) = task.with(|cx| results.poll_next_unpin(cx)) {
                    item.unwrap().unwrap();
                }
            }
            drop(results);
            assert!(!task.is_held());
            assert!(pool.wait_idle(LONG));
            assert_eq!(Arc::strong_count(&held), 1);
        }
    });
}

#[test]
fn an_input_that_panics_ends_it() {
    at_each_width(|pool| {
        let input = (0..).map(|n| if n == 4 { throw("input") } else { n });
        let mut results = pool.map_async(input, |n| n).limit(1).look_ahead(1);
        for n in 0..4 {
            assert_eq!(block_on(results.next()).unwrap().unwrap(), n);
        }
        assert_eq!(caught::<&str, _>(|| block_on(results.next())), "input");
        assert!(block_on(results.next()).is_none());
        assert_eq!(pool.submit(|| 1).wait().unwrap(), 1);
    });
}

#[test]
fn after_a_shutdown_it_says_so() {
    at_each_width(|pool| {
        pool.shutdown(Shutdown::Drain, LONG);
        let mut results = pool.map_async(0..10, |n| n);
        assert!(matches!(block_on(results.next()), Some(Err(JobError::Rejected))));
        assert!(block_on(results.next()).is_none());
    });
}

#[test]
fn it_waits_for_room_in_a_pool_that_is_bounded() {
    for width in WIDTHS {
        for bound in [1, 3] {
            let pool =
                Pool::builder().workers(width).queue(Bound::in_flight(bound)).build().unwrap();
            watchdog(&pool, || {
                let map = || pool.map_async(0..50, |n| n).limit(8);
                let ordered = block_on(map().try_collect::<Vec<_>>()).unwrap();
                assert!(ordered.into_iter().eq(0..50));
                // Two at a time, and one that is dropped while it waits.
                let mut dropped = map();
                block_on(dropped.next()).unwrap().unwrap();
                let unordered = map().unordered().try_collect::<Vec<_>>();
                drop(dropped);
                let sum = block_on(unordered).unwrap().into_iter().sum::<usize>();
                assert_eq!(sum, 49 * 25);
                assert!(pool.wait_idle(LONG));
                assert_eq!(pool.queue_stats().in_flight, Some(0));
            });
        }
    }
}
