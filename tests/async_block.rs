//! A thread waits for a future wherever it is, and whatever runtimes are around it.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use crate::tasks::Yields;
use futures::StreamExt;
use futures::channel::oneshot;
use futures::future::{join_all, select};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use windlass::{Pool, as_completed, block_on};

#[test]
fn it_polls_until_the_future_is_ready() {
    at_each_width(|pool| {
        assert_eq!(block_on(async { 1 }), 1);
        block_on(Yields(100));
        let (sender, receiver) = oneshot::channel();
        let other = std::thread::spawn(move || sender.send(5).unwrap());
        assert_eq!(block_on(receiver).unwrap(), 5);
        other.join().unwrap();
        assert_eq!(caught::<&str, _>(|| block_on(async { throw("up") })), "up");
        assert_eq!(block_on(pool.run(|| block_on(async { 2 }))).unwrap(), 2);
    });
}

/// D8, and SEMANTICS 6.2: in every worker, for jobs that nobody else is there to run.
#[test]
fn inside_of_a_pool_it_runs_the_jobs_that_it_waits_for() {
    for width in WIDTHS {
        for spares in [0, 4] {
            let pool = Pool::builder().workers(width).max_spare_workers(spares).build().unwrap();
            watchdog(&pool, || {
                let jobs = (0..width + 1).map(|_| {
                    let inner = pool.clone();
                    move || {
                        block_on(async {
                            let many = join_all((0..10).map(|n| inner.submit(move || n))).await;
                            let many: usize = many.into_iter().map(Result::unwrap).sum();
                            let one = inner.run(|| 1).await.unwrap();
                            let jobs = (0..10).map(|n| inner.submit(move || n));
                            let stream = as_completed(jobs).map(|(_, result)| result.unwrap());
                            let stream: usize =
                                stream.fold(0, |sum, n| async move { sum + n }).await;
                            let map = inner.map_async(0..10, |n| n).map(Result::unwrap);
                            let map: usize = map.fold(0, |sum, n| async move { sum + n }).await;
                            many + one + stream + map
                        })
                    }
                });
                for handle in pool.submit_many(jobs.collect::<Vec<_>>()) {
                    assert_eq!(handle.wait().unwrap(), 45 * 3 + 1);
                }
            });
        }
    }
}

#[test]
fn as_many_workers_as_there_are_wait_for_what_one_more_does() {
    at_each_width(|pool| {
        let jobs = (0..pool.num_workers()).map(|_| {
            let inner = pool.clone();
            move || block_on(inner.spawn_future(Yields(3))).unwrap()
        });
        for handle in pool.submit_many(jobs.collect::<Vec<_>>()) {
            handle.wait().unwrap();
        }
    });
}

/// It runs nothing but what it waits for.
#[test]
fn a_lock_may_be_held_across_it() {
    at_each_width(|pool| {
        let lock = Arc::new(Mutex::new(0));
        let jobs = (0..8).map(|_| {
            let (inner, lock) = (pool.clone(), Arc::clone(&lock));
            move || {
                for _ in 0..scale(200) {
                    let mut sum = lock.lock().unwrap();
                    *sum += block_on(inner.run(|| 1)).unwrap();
                    *sum += block_on(inner.spawn_future(async { 1 })).unwrap();
                }
            }
        });
        for handle in pool.submit_many(jobs.collect::<Vec<_>>()) {
            handle.wait().unwrap();
        }
        assert_eq!(*lock.lock().unwrap(), 16 * scale(200));
    });
}

#[test]
fn the_loser_of_a_race_is_cancelled_with_its_future() {
    at_each_width(|pool| {
        let (sender, receiver) = oneshot::channel();
        let ran = Arc::new(AtomicUsize::new(0));
        let (gate, blockers) = block(pool);
        let count = Arc::clone(&ran);
        let run = pool.run(move || count.fetch_add(1, Ordering::SeqCst));
        sender.send(()).unwrap();
        drop(block_on(select(run, receiver)));
        end(&gate, blockers);
        assert!(pool.wait_idle(LONG));
        assert_eq!((ran.load(Ordering::SeqCst), pool.job_counts().cancelled), (0, 1));
    });
}

// ---- nested runtimes

fn runtimes() -> [tokio::runtime::Runtime; 2] {
    let current = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    [current, multi]
}

#[test]
fn a_runtime_in_a_job_in_a_runtime() {
    // A runtime in a job blocks its worker, so it is another pool's that it waits for.
    let other = Pool::new(1).unwrap();
    at_each_width(|pool| {
        for outer in runtimes() {
            let other = other.clone();
            let job = pool.run(move || {
                let mut sum = 0;
                for nested in runtimes() {
                    let pool = other.clone();
                    let task = async move { pool.run(|| 20).await.unwrap() };
                    sum += nested.block_on(async { tokio::spawn(task).await.unwrap() });
                }
                sum + smol::block_on(other.spawn_future(async { 2 })).unwrap()
            });
            assert_eq!(outer.block_on(job).unwrap(), 42);
        }
    });
}

#[test]
fn a_task_of_a_runtime_is_awaited_in_a_job_and_by_a_future_of_the_pool() {
    at_each_width(|pool| {
        let [_, multi] = runtimes();
        let handle = multi.handle().clone();
        let job = pool.run(move || block_on(handle.spawn(async { 1 })).unwrap());
        assert_eq!(multi.block_on(job).unwrap(), 1);
        let (handle, inner) = (multi.handle().clone(), pool.clone());
        let future = pool.spawn_future(async move {
            let task = handle.spawn(async move { inner.submit(|| 2).await.unwrap() });
            task.await.unwrap()
        });
        assert_eq!(multi.block_on(future).unwrap(), 2);
    });
}

#[test]
fn two_pools_wait_for_each_other_by_futures() {
    for width in WIDTHS {
        let (a, b) = (Pool::new(width).unwrap(), Pool::new(width).unwrap());
        watchdog(&a, || {
            fn bounce(a: Pool, b: Pool, depth: usize) -> usize {
                if depth == 0 {
                    return 0;
                }
                let (c, d) = (b.clone(), a.clone());
                block_on(b.run(move || bounce(c, d, depth - 1))).unwrap() + 1
            }
            for _ in 0..scale(20) {
                let (c, d) = (a.clone(), b.clone());
                assert_eq!(bounce(c, d, 8), 8);
            }
        });
    }
}
