//! The bridge to tokio: tokens both ways, and waits that would hold up a runtime.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use crate::tasks::Task;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;
use windlass::iter::ParallelIterator as _;
use windlass::{CancelToken, JobHandle, Pool, as_completed, block_on, tokio_compat};

#[test]
fn a_token_of_theirs_is_cancelled_with_ours() {
    let (ours, theirs) = (CancelToken::new(), CancellationToken::new());
    let registration = tokio_compat::forward(&ours.child(), &theirs);
    let child = theirs.child_token();
    ours.cancel();
    assert!(child.is_cancelled());
    drop(registration);

    let (ours, theirs) = (CancelToken::new(), CancellationToken::new());
    drop(tokio_compat::forward(&ours, &theirs));
    ours.cancel();
    assert!(!theirs.is_cancelled());
}

#[test]
fn a_deadline_of_ours_reaches_theirs() {
    deadline(|| {
        let theirs = CancellationToken::new();
        let ours = CancelToken::new().with_timeout(std::time::Duration::from_millis(5));
        let registration = tokio_compat::forward(&ours, &theirs);
        futures::executor::block_on(theirs.cancelled());
        drop(registration);
    });
}

#[test]
fn a_token_of_ours_is_cancelled_with_theirs() {
    let (ours, theirs) = (CancelToken::new(), CancellationToken::new());
    let following = tokio_compat::follow(&ours, &theirs.child_token());
    let (task, mut when) = (Task::default(), ours.cancelled());
    assert!(task.poll(&mut when).is_pending());
    theirs.cancel();
    assert!(ours.is_cancelled());
    assert_eq!(task.wakes(), 1);
    drop(following);
    // It may be cancelled already.
    let late = CancelToken::new();
    let _following = tokio_compat::follow(&late, &theirs);
    assert!(late.is_cancelled());
}

#[test]
fn who_follows_no_more_leaves_nothing_behind() {
    let (ours, theirs) = (CancelToken::new(), CancellationToken::new());
    let held = Arc::new(());
    let inner = Arc::clone(&held);
    ours.on_cancel(move |_| drop(inner)).detach();
    drop(tokio_compat::follow(&ours, &theirs));
    theirs.cancel();
    assert!(!ours.is_cancelled());
    drop(ours);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_cancel_races_who_begins_to_follow() {
    deadline(|| {
        for _ in 0..scale(2_000) {
            let (ours, theirs) = (CancelToken::new(), CancellationToken::new());
            let canceller = std::thread::spawn({
                let theirs = theirs.clone();
                move || theirs.cancel()
            });
            let following = tokio_compat::follow(&ours, &theirs);
            canceller.join().unwrap();
            assert!(ours.is_cancelled());
            drop(following);
        }
    });
}

#[test]
fn a_client_that_cancels_its_token_stops_the_job() {
    at_each_width(|pool| {
        let theirs = CancellationToken::new();
        let token = CancelToken::new();
        let _following = tokio_compat::follow(&token, &theirs);
        let endless = || windlass::iter::repeat(1_u64).map(std::hint::black_box);
        let job = pool.job("endless").cancel_token(&token);
        let job = job.run(move || endless().sum::<u64>());
        theirs.cancel();
        assert!(block_on(job).is_err());
    });
}

/// In one test: the hook is the process's.
#[test]
fn waits_that_block_a_runtime_are_reported() {
    let pool = Pool::new(1).unwrap();
    watchdog(&pool, || {
        let reported = Arc::new(Mutex::new(Vec::new()));
        let places = Arc::clone(&reported);
        tokio_compat::on_blocking_wait(move |place| places.lock().unwrap().push(place.line()));
        let count = || reported.lock().unwrap().len();

        // Each of them finds its job running, and ends only with it.
        let running = || -> (Gate, JobHandle<()>) {
            let (gate, started) = (Gate::default(), Gate::default());
            let inner = (gate.clone(), started.clone());
            let job = pool.submit(move || {
                inner.1.open();
                inner.0.wait();
            });
            started.wait();
            (gate, job)
        };
        // Opened by the hook's side effect: when the wait has been reported, or at once.
        let with_gate = |gate: Gate, expected: usize, before: usize, f: &dyn Fn()| {
            let opener = {
                let reported = Arc::clone(&reported);
                std::thread::spawn(move || {
                    until(|| reported.lock().unwrap().len() >= before + expected);
                    gate.open();
                })
            };
            f();
            opener.join().unwrap();
        };
        let waits: [fn(JobHandle<()>); 4] = [
            |job| job.wait().unwrap(),
            |mut job| job.wait_timeout(LONG).unwrap().unwrap(),
            |job| as_completed([job]).into_iter().for_each(|(_, result)| result.unwrap()),
            |job| block_on(job).unwrap(),
        ];
        let runtimes = [
            tokio::runtime::Builder::new_current_thread().build().unwrap(),
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap(),
        ];
        for wait in waits {
            for runtime in &runtimes {
                // In a task.
                let ((gate, job), before) = (running(), count());
                let job = Mutex::new(Some(job));
                with_gate(gate, 1, before, &|| {
                    let job = job.lock().unwrap().take().unwrap();
                    runtime
                        .block_on(async { tokio::spawn(async move { wait(job) }).await.unwrap() });
                });
                assert_eq!(count(), before + 1);

                // On a thread that is meant for it, and on one that is no runtime's.
                for is_inside in [true, false] {
                    let ((gate, job), before) = (running(), count());
                    let job = Mutex::new(Some(job));
                    with_gate(gate, 0, before, &|| {
                        let job = job.lock().unwrap().take().unwrap();
                        if is_inside {
                            let task =
                                async { tokio::task::spawn_blocking(move || wait(job)).await };
                            runtime.block_on(task).unwrap();
                        } else {
                            wait(job);
                        }
                    });
                    assert_eq!(count(), before);
                }
            }
        }
        // The budget is what it was: a task that has reported waits goes on as before.
        runtimes[0].block_on(async {
            let (gate, mut job) = running();
            let mut budgets = Vec::new();
            for _ in 0..2 {
                assert!(job.wait_timeout(std::time::Duration::ZERO).is_none());
                budgets.push(tokio::task::coop::has_budget_remaining());
            }
            gate.open();
            job.await.unwrap();
            assert_eq!(budgets, [true, true]);
        });
    });
}
