//! Graphs in the whole pool, under random schedules:
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test --release --test shuttle_graph
//! ```
//!
//! At the end of each scenario stands the law of conservation: each body ran as often as its node's
//! state says, each result was dropped once, and the run has ended. Two scenarios are run again with a
//! fault put in, which must be found.
#![cfg(shuttle)]

#[path = "common/schedules.rs"]
mod schedules;

use schedules::{explore_some, pool, throw};
use shuttle::sync::atomic::{AtomicUsize as Steps, Ordering};
use shuttle::thread;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use windlass::graph::fault::{self, Fault};
use windlass::graph::{Decision, GraphBuilder, NodeState, OnFailure, Run, RunStatus, TriggerRule};

const ITERATIONS: usize = 2_000;

/// Faults are put in for the whole process: one scenario at a time.
static ONE: Mutex<()> = Mutex::new(());

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    explore_some(ITERATIONS, scenario);
}

/// The scenario must fail with the fault.
fn must_find(fault: Fault, scenario: impl Fn() + Send + Sync + 'static) {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    fault::set(Some(fault));
    let found = catch_unwind(AssertUnwindSafe(|| explore_some(ITERATIONS, scenario)));
    fault::set(None);
    assert!(found.is_err(), "{fault:?} was not found");
}

/// Counted with atomics of std, so that it adds no steps to the schedule.
#[derive(Clone, Default)]
struct Ledger(Arc<(AtomicUsize, AtomicUsize)>);

/// What each body returns.
struct Token(Ledger, usize);

impl Ledger {
    fn token(&self, value: usize) -> Token {
        self.0.0.fetch_add(1, Relaxed);
        Token(self.clone(), value)
    }

    fn assert_settled(&self, made: impl Into<Option<usize>>) {
        let (now, dropped) = (self.0.0.load(Relaxed), self.0.1.load(Relaxed));
        assert_eq!(now, dropped, "each result is dropped once");
        if let Some(made) = made.into() {
            assert_eq!(now, made, "each node has run once");
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.0.1.fetch_add(1, Relaxed);
    }
}

/// Two roots, each used by two, all used by one.
fn net(ledger: &Ledger) -> (GraphBuilder, windlass::graph::Node<Token>) {
    let mut graph = GraphBuilder::new();
    let make = |value| {
        let ledger = ledger.clone();
        move || ledger.token(value)
    };
    let (a, b) = (graph.unnamed().run(make(1)), graph.unnamed().run(make(2)));
    let middle = [(a, b), (b, a)].map(|pair| {
        let ledger = ledger.clone();
        graph.unnamed().input(pair).run(move |(a, b): (&Token, &Token)| ledger.token(a.1 + b.1))
    });
    let taken = ledger.clone();
    let last = graph
        .unnamed()
        .input((middle[0].take(), middle[1]))
        .run(move |(x, y): (Token, &Token)| taken.token(x.1 + y.1));
    (graph, last)
}

fn a_net_runs(is_started: bool, workers: usize) {
    let ledger = Ledger::default();
    let (graph, last) = net(&ledger);
    let (graph, pool) = (graph.build().unwrap(), pool(workers));
    let run = if is_started { graph.start(&pool).wait() } else { graph.run(&pool) };
    assert_eq!(run.status(), RunStatus::Completed);
    assert_eq!(run.output(last).map(|token| token.1), Some(6));
    drop(run);
    ledger.assert_settled(5);
}

#[test]
fn each_node_runs_once() {
    for workers in [1, 2, 3] {
        explore(move || a_net_runs(false, workers));
        explore(move || a_net_runs(true, workers));
    }
}

#[test]
fn a_driver_that_stays_alone_is_found() {
    must_find(Fault::StaysAlone, || a_net_runs(false, 2));
}

#[test]
fn an_entry_that_is_not_counted_is_found() {
    // The run ends with nodes left, or the count goes below nothing.
    must_find(Fault::UncountedEntry, || a_net_runs(false, 2));
}

#[test]
fn two_runs_of_one_graph() {
    explore(|| {
        let ledger = Ledger::default();
        let (graph, last) = net(&ledger);
        let (graph, pool) = (graph.build().unwrap(), pool(2));
        let handle = graph.start(&pool);
        for run in [graph.run(&pool), handle.wait()] {
            assert_eq!(run.output(last).map(|token| token.1), Some(6));
        }
        ledger.assert_settled(10);
    });
}

fn two_of_two_are_enough() {
    let pool = pool(2);
    let mut graph = GraphBuilder::new();
    let votes = [graph.unnamed().run(|| ()), graph.unnamed().run(|| ())];
    let rule = TriggerRule::custom(|deps| match deps.num_succeeded() {
        2 => Decision::Run,
        _ => Decision::Wait,
    });
    let node = graph.unnamed().after_all(votes).rule(rule).run(|| 5);
    let any = graph.unnamed().after_all(votes).rule(TriggerRule::AnySucceeded).run(|| 6);
    let run = graph.build().unwrap().run(&pool);
    assert_eq!((run.output(node), run.output(any)), (Some(&5), Some(&6)));
}

#[test]
fn who_may_decide_early_decides_once() {
    explore(two_of_two_are_enough);
}

#[test]
fn telling_early_is_found() {
    must_find(Fault::TellsEarly, two_of_two_are_enough);
}

/// Every node's state fits what has run, and the run has ended.
fn assert_consistent(run: &Run, nodes: &[windlass::graph::Node<Token>]) -> usize {
    let done = nodes.iter().filter(|node| run.state(**node) == Some(NodeState::Succeeded)).count();
    assert!(nodes.iter().all(|node| run.state(*node).unwrap().is_final()));
    done
}

#[test]
fn a_cancel_in_the_middle() {
    explore(|| {
        let (pool, ledger) = (pool(2), Ledger::default());
        let mut graph = GraphBuilder::new();
        let mut nodes = Vec::new();
        for at in 0..5_usize {
            let ledger = ledger.clone();
            let mut node = graph.unnamed();
            if at >= 2 {
                node = node.after(nodes[at - 2]);
            }
            nodes.push(node.run(move || ledger.token(at)));
        }
        let last = graph.unnamed().after_all(&nodes).cleanup().run(|| 1);
        let handle = Arc::new(graph.build().unwrap().start(&pool));
        let canceller = thread::spawn({
            let handle = Arc::clone(&handle);
            move || handle.cancel()
        });
        canceller.join().unwrap();
        let run = Arc::into_inner(handle).unwrap().wait();
        let done = assert_consistent(&run, &nodes);
        assert_eq!(run.output(last), Some(&1));
        drop(run);
        ledger.assert_settled(done);
    });
}

#[test]
fn a_failure_stops_the_others_once() {
    explore(|| {
        let (pool, ledger) = (pool(2), Ledger::default());
        let mut graph = GraphBuilder::new();
        let mut nodes = Vec::new();
        for at in 0..4 {
            let ledger = ledger.clone();
            nodes.push(
                graph
                    .unnamed()
                    .run(move || if at == 1 { ledger.token(throw()) } else { ledger.token(at) }),
            );
        }
        let last = {
            let ledger = ledger.clone();
            graph.unnamed().after_all(&nodes).run(move || ledger.token(9))
        };
        let run = graph.build().unwrap().run(&pool);
        nodes.push(last);
        let done = assert_consistent(&run, &nodes);
        assert_eq!(
            (run.status(), run.state(nodes[1])),
            (RunStatus::Failed, Some(NodeState::Panicked))
        );
        drop(run);
        ledger.assert_settled(done);
    });
}

#[test]
fn a_time_that_is_up_and_the_last_dependency() {
    explore(|| {
        let pool = pool(2);
        let mut graph = GraphBuilder::new();
        graph.on_failure(OnFailure::Continue);
        let first = graph.unnamed().run(thread::yield_now);
        let late = graph.unnamed().start_within(Duration::ZERO).after(first).run(|| 1);
        let last = graph.unnamed().after(late).rule(TriggerRule::AllDone).run(|| 2);
        let run = graph.build().unwrap().run(&pool);
        assert_eq!(run.output(last), Some(&2));
        let state = run.state(late).unwrap();
        assert!(matches!(state, NodeState::Succeeded | NodeState::TimedOut), "{state:?}");
        assert_eq!(run.output(late).is_some(), state == NodeState::Succeeded);
    });
}

#[test]
fn another_attempt_and_a_cancel() {
    explore(|| {
        let (pool, tries) = (pool(1), Arc::new(AtomicUsize::new(0)));
        let mut graph = GraphBuilder::new();
        let counts = Arc::clone(&tries);
        // The timer fires if it comes to look after that, and else never: there is no time.
        let retry = move |_, _: &_| Some(Duration::from_nanos(1));
        let node = graph
            .unnamed()
            .retry_with(retry)
            .try_run(move || if counts.fetch_add(1, Relaxed) < 2 { Err("not yet") } else { Ok(7) });
        let handle = graph.build().unwrap().start(&pool);
        handle.cancel();
        let run = handle.wait();
        match run.state(node) {
            Some(NodeState::Succeeded) => assert_eq!(run.output(node), Some(&7)),
            state => assert!(matches!(state, Some(NodeState::Cancelled | NodeState::Failed))),
        }
    });
}

#[test]
fn a_pool_that_goes_takes_its_runs_along() {
    explore(|| {
        let (pool, ledger) = (pool(1), Ledger::default());
        let (graph, last) = net(&ledger);
        let handle = graph.build().unwrap().start(&pool);
        let dropper = thread::spawn(move || drop(pool));
        let run = handle.wait();
        dropper.join().unwrap();
        match run.status() {
            RunStatus::Completed => assert_eq!(run.output(last).map(|token| token.1), Some(6)),
            status => assert_eq!(status, RunStatus::Abandoned),
        }
        drop(run);
        ledger.assert_settled(None);
    });
}

#[test]
fn graphs_in_graphs_and_rounds() {
    explore(|| {
        let (pool, count) = (pool(2), Arc::new(Steps::new(0)));
        let mut step = GraphBuilder::new();
        let counts = Arc::clone(&count);
        step.add(move || counts.fetch_add(1, Ordering::SeqCst));
        let step = step.build().unwrap();
        let mut graph = GraphBuilder::new();
        let twice = graph.unnamed().repeat(2, step.clone(), |round, _| match round {
            2 => ControlFlow::Break(round),
            _ => ControlFlow::Continue(()),
        });
        let both = graph.unnamed().run_with(move |cx| {
            cx.spawn(&step);
            cx.spawn(&step);
        });
        let last =
            graph.unnamed().after(twice).after(both).run(move || count.load(Ordering::SeqCst));
        let run = graph.build().unwrap().run(&pool);
        assert_eq!((run.output(twice), run.output(last)), (Some(&2), Some(&4)));
    });
}
