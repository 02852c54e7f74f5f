//! What becomes of the other nodes when one fails, is skipped, or chooses.
#![cfg(not(any(loom, shuttle)))]

use crate::common::{Live, at_each_width, throw};
use proptest::prelude::{ProptestConfig, Strategy, any, prop, proptest};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use windlass::graph::{
    Decision, DepOutcome, GraphBuilder, Node, NodeError, NodeState, OnFailure, RunStatus,
    TriggerRule,
};
use windlass::prelude::*;
use windlass::{CancelCause, CancelToken, Pool};

/// A graph that goes on after failures.
fn lenient() -> GraphBuilder {
    let mut graph = GraphBuilder::new();
    graph.on_failure(OnFailure::Continue);
    graph
}

/// A node that ends like this.
fn ending(graph: &mut GraphBuilder, name: String, outcome: DepOutcome) -> Node<()> {
    match outcome {
        DepOutcome::Succeeded => graph.node(name).run(|| ()),
        DepOutcome::Failed => graph.node(name).try_run(|| Err::<(), _>("it fails")),
        // Its work runs under a token that it has cancelled, and unwinds through it.
        DepOutcome::Cancelled => graph.node(name).run_timeout(crate::common::LONG).run(|| {
            CancelToken::current().unwrap().cancel();
            windlass::iter::repeat(1_u64).map(std::hint::black_box).sum::<u64>();
        }),
        DepOutcome::Skipped => {
            let before = graph.node(format!("before {name}")).try_run(|| Err::<(), _>("so"));
            graph.node(name).after(before).run(|| unreachable!("it is skipped"))
        }
    }
}

const OUTCOMES: [DepOutcome; 4] =
    [DepOutcome::Succeeded, DepOutcome::Failed, DepOutcome::Cancelled, DepOutcome::Skipped];

/// The table in the documentation of `TriggerRule`.
fn table() -> Vec<(TriggerRule, &'static str)> {
    use TriggerRule::*;
    // ss sf sc sk ff fc fk cc ck kk
    vec![
        (AllSucceeded, "R---------"),
        (AllDone, "RRRRRRRRRR"),
        (AnySucceeded, "RRRR------"),
        (AnyFailed, "-R--RRR---"),
        (NoneFailed, "R--R-----R"),
        (Always, "RRRRRRRRRR"),
        (
            TriggerRule::custom(|deps| {
                if deps.num_skipped() > 0 { Decision::Run } else { Decision::Wait }
            }),
            "---R--R-RR",
        ),
    ]
}

#[test]
fn the_table_of_rules_holds() {
    at_each_width(|pool| {
        for (rule, expected) in table() {
            let mut expected = expected.chars();
            for (at, first) in OUTCOMES.into_iter().enumerate() {
                for second in &OUTCOMES[at..] {
                    for swap in [false, true] {
                        let mut graph = lenient();
                        let mut deps = [
                            ending(&mut graph, "first".into(), first),
                            ending(&mut graph, "second".into(), *second),
                        ];
                        if swap {
                            deps.reverse();
                        }
                        let node = graph.node("node").after_all(deps).rule(rule.clone()).run(|| ());
                        let last = graph.node("last").after(node).run(|| ());
                        let run = graph.build().unwrap().run(pool);
                        let runs = expected.clone().next() == Some('R');
                        let state = if runs { NodeState::Succeeded } else { NodeState::Skipped };
                        let what = format!("{rule:?} {first:?} {second:?}");
                        assert_eq!(run.state(node), Some(state), "{what}");
                        assert_eq!(run.state(last), Some(state), "{what}");
                    }
                    expected.next();
                }
            }
            assert_eq!(expected.next(), None);
        }
    });
}

#[test]
fn a_rule_without_dependencies_is_asked_once() {
    at_each_width(|pool| {
        for rule in [
            TriggerRule::AllSucceeded,
            TriggerRule::AllDone,
            TriggerRule::NoneFailed,
            TriggerRule::Always,
        ] {
            let mut graph = lenient();
            let node = graph.node("node").rule(rule).run(|| ());
            assert_eq!(graph.build().unwrap().run(pool).state(node), Some(NodeState::Succeeded));
        }
        for rule in [
            TriggerRule::AnySucceeded,
            TriggerRule::AnyFailed,
            TriggerRule::custom(|_| Decision::Wait),
        ] {
            let mut graph = lenient();
            let node = graph.node("node").rule(rule).run(|| ());
            assert_eq!(graph.build().unwrap().run(pool).state(node), Some(NodeState::Skipped));
        }
    });
}

#[test]
fn a_rule_that_panics_skips_its_node() {
    at_each_width(|pool| {
        let mut graph = lenient();
        let a = graph.node("a").run(|| ());
        let b = graph.node("b").after(a).rule(TriggerRule::custom(|_| throw("no"))).run(|| ());
        assert_eq!(graph.build().unwrap().run(pool).state(b), Some(NodeState::Skipped));
    });
}

#[test]
fn any_does_not_wait_for_all() {
    let pool = Pool::new(2).unwrap();
    crate::common::watchdog(&pool, || {
        let gate = crate::common::Gate::default();
        let mut graph = lenient();
        let slow = graph.node("slow").run({
            let gate = gate.clone();
            move || gate.wait()
        });
        let quick = graph.node("quick").run(|| ());
        // The slow one ends only when this has run.
        graph
            .node("any")
            .after(slow)
            .after(quick)
            .rule(TriggerRule::AnySucceeded)
            .run(move || gate.open());
        assert!(graph.build().unwrap().run(&pool).is_completed());
    });
}

#[test]
fn inputs_may_be_missing_if_they_are_said_to() {
    at_each_width(|pool| {
        let mut graph = lenient();
        let good = graph.node("good").run(|| 1);
        let bad = graph.node("bad").try_run(|| Err::<i32, _>("bad"));
        let sum = graph
            .node("sum")
            .input((good.maybe(), bad.maybe()))
            .rule(TriggerRule::AllDone)
            .run(|(good, bad)| (good.copied(), bad.copied()));
        // It runs in any case, says its rule, but cannot do without.
        let needy = graph.node("needy").input(bad).rule(TriggerRule::AllDone).run(|_| ());
        let run = graph.build().unwrap().run(pool);
        assert_eq!(run.output(sum), Some(&(Some(1), None)));
        assert_eq!(run.state(needy), Some(NodeState::Skipped));
        assert_eq!(run.status(), RunStatus::Failed);
    });
}

#[test]
fn an_early_user_of_a_result_leaves_it_to_be_dropped() {
    static LIVE: Live = Live::new();
    let pool = Pool::new(2).unwrap();
    crate::common::watchdog(&pool, || {
        let gate = crate::common::Gate::default();
        let mut graph = lenient();
        let slow = graph.node("slow").run({
            let gate = gate.clone();
            move || {
                gate.wait();
                LIVE.token()
            }
        });
        let quick = graph.node("quick").run(|| LIVE.token());
        let any = graph
            .node("any")
            .input([slow.maybe(), quick.maybe()])
            .rule(TriggerRule::AnySucceeded)
            .run(|[slow, quick]| (slow.is_some(), quick.is_some()));
        // Runs while the slow one does.
        graph.node("open").after(any).run(move || gate.open());
        let run = graph.build().unwrap().run(&pool);
        assert_eq!(run.output(any), Some(&(false, true)));
        LIVE.assert_none();
    });
}

#[test]
fn a_panic_is_told_by_its_node() {
    at_each_width(|pool| {
        let mut graph = GraphBuilder::new();
        let good = graph.node("good").run(|| ());
        let bad = graph.node("bad").after(good).run(|| throw(String::from("broken")));
        let after = graph.node("after").after(bad).run(|| ());
        let run = graph.build().unwrap().run(pool);
        assert_eq!(
            (run.state(good), run.state(bad)),
            (Some(NodeState::Succeeded), Some(NodeState::Panicked))
        );
        let Some(NodeError::Panicked(panic)) = run.error(bad) else {
            panic!("{:?}", run.error(bad))
        };
        assert_eq!(panic.message(), Some("broken"));
        assert_eq!(run.first_failure().map(|(node, _)| node), Some(bad.id()));
        assert_eq!(run.state(after), Some(NodeState::Cancelled));
        let error = run.completed().unwrap_err();
        assert!(error.to_string().contains("\"bad\": it panicked: broken"), "{error}");
    });
}

#[test]
fn the_skipped_know_because_of_whom() {
    at_each_width(|pool| {
        let mut graph = lenient();
        let bad = graph.node("bad").try_run(|| Err::<(), _>("no"));
        let next = graph.node("next").after(bad).run(|| ());
        let last = graph.node("last").after(next).run(|| ());
        let seen = graph.node("seen").after(bad).after(last).rule(TriggerRule::AllDone).run_with(
            move |cx| (cx.state_of(last), cx.error_of(bad).map(|error| error.to_string())),
        );
        let run = graph.build().unwrap().run(pool);
        let because = |node| match run.error(node) {
            Some(NodeError::Skipped { because }) => because,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (because(next).as_deref(), because(last).as_deref()),
            (Some("bad"), Some("next"))
        );
        assert_eq!(run.output(seen), Some(&(Some(NodeState::Skipped), Some("no".to_owned()))));
    });
}

#[test]
fn failing_fast_leaves_no_running_node_uncancelled() {
    let pool = Pool::new(3).unwrap();
    crate::common::watchdog(&pool, || {
        let meeting = Arc::new(crate::common::Meeting::of(3));
        let mut graph = GraphBuilder::new();
        let running: Vec<_> = (0..2)
            .map(|n| {
                let meeting = Arc::clone(&meeting);
                graph.node(format!("running {n}")).run(move || {
                    meeting.attend();
                    // Ends only if it is told to.
                    windlass::iter::repeat(1_u64).map(std::hint::black_box).sum::<u64>()
                })
            })
            .collect();
        let bad = graph.node("bad").try_run(move || {
            meeting.attend();
            Err::<(), _>("no")
        });
        let waiting = graph.node("waiting").after_all(&running).run(|| ());
        let run = graph.build().unwrap().start(&pool).wait();
        assert_eq!(run.status(), RunStatus::Failed);
        assert_eq!(run.state(bad), Some(NodeState::Failed));
        for node in running {
            let Some(NodeError::Cancelled(cause)) = run.error(node) else {
                panic!("{:?}", run.error(node))
            };
            assert_eq!(cause, CancelCause::SiblingFailed);
        }
        assert_eq!(run.state(waiting), Some(NodeState::Cancelled));
    });
}

#[test]
fn nodes_that_clear_up_run_in_any_case() {
    at_each_width(|pool| {
        let mut graph = GraphBuilder::new();
        let bad = graph.node("bad").try_run(|| Err::<(), _>("no"));
        let cleanup =
            graph.node("cleanup").after(bad).cleanup().run(|| windlass::checkpoint().is_ok());
        let always = graph
            .node("always")
            .after(bad)
            .rule(TriggerRule::Always)
            .run(|| windlass::checkpoint().is_ok());
        let done = graph.node("done").after(bad).rule(TriggerRule::AllDone).run(|| ());
        let alarm =
            graph.node("alarm").after(bad).rule(TriggerRule::AnyFailed).shielded().run(|| 1);
        let quiet =
            graph.node("quiet").after(cleanup).rule(TriggerRule::AnyFailed).shielded().run(|| 1);
        let run = graph.build().unwrap().run(pool);
        // The one does not see that the run is stopped, the other does.
        assert_eq!((run.output(cleanup), run.output(always)), (Some(&true), Some(&false)));
        assert_eq!(run.state(done), Some(NodeState::Cancelled));
        assert_eq!((run.output(alarm), run.output(quiet)), (Some(&1), None));
        assert_eq!(run.status(), RunStatus::Failed);
    });
}

#[test]
fn a_fallback_makes_a_failure_good() {
    at_each_width(|pool| {
        let mut graph = GraphBuilder::new();
        let bad = graph.node("bad").run(|| -> String { throw("no") });
        graph.fallback(bad, |error| format!("instead of {error}"));
        let user = graph.node("user").input(bad).run(|text| text.len());
        let run = graph.build().unwrap().run(pool);
        assert_eq!(run.status(), RunStatus::Completed);
        assert_eq!(run.output(user), Some(&"instead of it panicked: no".len()));
        assert!(run.fell_back(bad) && !run.fell_back(user));
        assert!(matches!(run.error(bad), Some(NodeError::Panicked(_))));

        let mut graph = GraphBuilder::new();
        let bad = graph.node("bad").try_run(|| Err::<u8, _>("no"));
        graph.fallback(bad, |_| throw("nor this"));
        let run = graph.build().unwrap().run(pool);
        assert_eq!(run.state(bad), Some(NodeState::Panicked));
    });
}

#[test]
fn branches_that_were_not_chosen_are_skipped() {
    at_each_width(|pool| {
        let which = Arc::new(AtomicUsize::new(0));
        let mut graph = GraphBuilder::new();
        let choose = graph.node("choose").run_with({
            let which = Arc::clone(&which);
            move |cx| cx.choose_named([["left", "right"][which.load(Ordering::Relaxed)]])
        });
        let left = graph.node("left").after(choose).run(|| "left");
        let right = graph.node("right").after(choose).run(|| "right");
        let deep = graph.node("deep").after(right).run(|| ());
        let both = graph.node("both").after(left).after(right).run(|| ());
        let met = graph
            .node("met")
            .input([left.maybe(), right.maybe()])
            .rule(TriggerRule::NoneFailed)
            .run(|branches| branches.into_iter().flatten().copied().collect::<Vec<_>>());
        let graph = graph.build().unwrap();
        for (chosen, name) in [(0, "left"), (1, "right"), (0, "left")] {
            which.store(chosen, Ordering::Relaxed);
            let run = graph.run(pool);
            assert_eq!(run.status(), RunStatus::Completed);
            assert_eq!(run.output(met), Some(&vec![name]));
            let states = [NodeState::Succeeded, NodeState::Skipped];
            assert_eq!(run.state(left), Some(states[chosen]));
            assert_eq!(run.state(right), Some(states[1 - chosen]));
            assert_eq!(run.state(deep), Some(states[1 - chosen]));
            assert_eq!(run.state(both), Some(NodeState::Skipped));
            // What was chosen stays chosen.
            let run = graph.on(pool).again(run).run();
            assert_eq!(run.state(right), Some(states[1 - chosen]));
            assert_eq!(run.output(met), Some(&vec![name]));
        }
    });
}

/// A random graph: for each node, which earlier ones it depends on, and whether it panics.
fn dags() -> impl Strategy<Value = Vec<(Vec<prop::sample::Index>, bool)>> {
    let before = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    prop::collection::vec((before, prop::bool::weighted(0.15)), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 64 }))]

    #[test]
    fn a_panic_skips_what_depends_on_it_and_nothing_else(dag in dags()) {
        let mut graph = lenient();
        let ran = Arc::new(Mutex::new(BTreeSet::new()));
        let mut nodes: Vec<Node<()>> = Vec::new();
        let mut expected = Vec::new();
        for (at, (before, panics)) in dag.iter().enumerate() {
            let (ran, panics) = (Arc::clone(&ran), *panics);
            let before: Vec<usize> = before.iter().filter(|_| at > 0).map(|b| b.index(at)).collect();
            let node = graph.unnamed().after_all(before.iter().map(|&b| nodes[b])).run(move || {
                assert!(ran.lock().unwrap().insert(at), "it runs twice");
                if panics {
                    throw(at);
                }
            });
            nodes.push(node);
            let is_good = before.iter().all(|&b| expected[b] == NodeState::Succeeded);
            expected.push(match (is_good, panics) {
                (false, _) => NodeState::Skipped,
                (true, true) => NodeState::Panicked,
                (true, false) => NodeState::Succeeded,
            });
        }
        let graph = graph.build().unwrap();
        for width in [1, 2, 8] {
            let pool = Pool::new(width).unwrap();
            crate::common::watchdog(&pool, || for is_recorded in [false, true] {
                ran.lock().unwrap().clear();
                let launch = graph.on(&pool);
                let run = if is_recorded { launch.recorded().run() } else { launch.run() };
                for (node, expected) in nodes.iter().zip(&expected) {
                    assert_eq!(run.state(*node), Some(*expected));
                }
                let have_run = ran.lock().unwrap();
                let should = expected.iter().filter(|state| **state != NodeState::Skipped).count();
                assert_eq!(have_run.len(), should);
            });
        }
    }
}
