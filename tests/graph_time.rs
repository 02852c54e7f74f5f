//! Nodes and runs out of time, and tried again, by a clock that the tests move.
#![cfg(not(any(loom, shuttle)))]

use crate::common::{at_each_width_by_hand, until};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use windlass::graph::{GraphBuilder, NodeError, NodeState, OnFailure, RunStatus, TriggerRule};
use windlass::{Backoff, CancelToken, Clock, ManualClock, RetryPolicy, TimeoutPhase};

/// When what began.
type Log = Arc<Mutex<Vec<Duration>>>;

const SECOND: Duration = Duration::from_secs(1);

/// A body that fails so often, and what it has been called at.
fn flaky(
    clock: &ManualClock,
    failures: usize,
) -> (Log, impl Fn() -> Result<usize, &'static str> + Send + Sync + 'static) {
    let (times, clock) = (Arc::new(Mutex::new(Vec::new())), clock.clone());
    let (notes, start) = (Arc::clone(&times), clock.now());
    let body = move || {
        let mut notes = notes.lock().unwrap();
        notes.push(clock.now() - start);
        if notes.len() > failures { Ok(notes.len()) } else { Err("not yet") }
    };
    (times, body)
}

#[test]
fn a_node_is_tried_again_at_its_times_and_holds_no_worker_meanwhile() {
    at_each_width_by_hand(|pool, clock| {
        let (times, body) = flaky(clock, 2);
        let mut graph = GraphBuilder::new();
        // Far apart: the clock may be moved once more after an attempt has begun.
        let delays = Backoff::custom(|| [SECOND, 1_000 * SECOND].into_iter());
        let policy =
            RetryPolicy::fixed(SECOND).backoff(delays).max_delay(2_000 * SECOND).attempts(3);
        let node = graph.node("node").retry(policy).try_run(body);
        let last = graph.node("last").input(node).run(|tries| tries * 10);
        let handle = graph.build().unwrap().start(pool);
        for tries in 1..3 {
            until(|| times.lock().unwrap().len() == tries);
            // As many jobs as there are workers, side by side: nobody waits on one.
            let meeting = Arc::new(crate::common::Meeting::of(pool.num_workers()));
            let jobs = (0..pool.num_workers()).map(|_| {
                let meeting = Arc::clone(&meeting);
                pool.submit(move || meeting.attend())
            });
            jobs.collect::<Vec<_>>().into_iter().for_each(|job| job.wait().unwrap());
            assert!(!handle.is_finished());
            // The timer is set when the body has returned.
            while times.lock().unwrap().len() == tries {
                clock.advance(if tries == 1 { SECOND } else { 1_000 * SECOND });
                std::thread::yield_now();
            }
        }
        let run = handle.wait();
        assert_eq!((run.output(last), run.attempts(node)), (Some(&30), 3));
        let times = times.lock().unwrap();
        assert!(times[0] == Duration::ZERO && times[1] >= SECOND && times[2] >= 1_001 * SECOND);
    });
}

#[test]
fn a_policy_gives_up() {
    at_each_width_by_hand(|pool, clock| {
        let (times, body) = flaky(clock, usize::MAX);
        let mut graph = GraphBuilder::new();
        graph.on_failure(OnFailure::Continue);
        let never = RetryPolicy::fixed(Duration::ZERO);
        let node = graph.node("node").retry(never.clone().attempts(5)).try_run(body);
        // A panic is no failure, unless the policy says so.
        let counts = [Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0))];
        let panics = [false, true].map(|yes| {
            let count = Arc::clone(&counts[usize::from(yes)]);
            let policy = never.clone().attempts(4).retry_panics(yes);
            graph.node(format!("{yes}")).retry(policy).run(move || {
                count.fetch_add(1, Ordering::SeqCst);
                crate::common::throw::<u8>(1)
            })
        });
        let run = graph.build().unwrap().run(pool);
        assert_eq!((run.attempts(node), times.lock().unwrap().len()), (5, 5));
        assert!(matches!(run.error(node), Some(NodeError::Failed(_))));
        assert_eq!(counts.each_ref().map(|count| count.load(Ordering::SeqCst)), [1, 4]);
        assert_eq!(panics.map(|node| run.state(node)), [Some(NodeState::Panicked); 2]);
    });
}

#[test]
fn limits_are_those_of_the_pools_clock() {
    at_each_width_by_hand(|pool, clock| {
        let started = Arc::new(AtomicU32::new(0));
        let mut graph = GraphBuilder::new();
        graph.on_failure(OnFailure::Continue);
        let starts = Arc::clone(&started);
        let slow = graph.node("slow").run_timeout(SECOND).run(move || {
            starts.store(1, Ordering::SeqCst);
            until(|| CancelToken::current().unwrap().is_cancelled());
        });
        let late = graph.node("late").start_within(SECOND).after(slow).run(|| ());
        let last = graph.node("last").after(late).rule(TriggerRule::AllDone).run(|| 1);
        let handle = graph.build().unwrap().on(pool).timeout(10 * SECOND).start();
        until(|| started.load(Ordering::SeqCst) == 1);
        // Of the timers of the node and of what waits for it; the run's has time.
        clock.advance(SECOND);
        let run = handle.wait();
        assert_eq!(run.state(slow), Some(NodeState::TimedOut));
        assert!(matches!(run.error(late), Some(NodeError::TimedOut(TimeoutPhase::Queued))));
        assert_eq!((run.output(last), run.status()), (Some(&1), RunStatus::Failed));

        let mut graph = GraphBuilder::new();
        let starts = Arc::clone(&started);
        graph.node("endless").run(move || {
            starts.store(2, Ordering::SeqCst);
            until(|| CancelToken::current().unwrap().is_cancelled());
            CancelToken::current().unwrap().check()
        });
        let handle = graph.build().unwrap().on(pool).timeout(SECOND).start();
        until(|| started.load(Ordering::SeqCst) == 2);
        clock.advance(SECOND);
        assert_eq!(handle.wait().status(), RunStatus::TimedOut);
    });
}
