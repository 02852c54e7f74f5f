//! Job graphs: every node runs once, after all that it depends on; results go where they are wanted, and no further.
#![cfg(not(any(loom, shuttle)))]

use crate::common::{Live, WIDTHS, at_each_width, deadline, forever, watchdog};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use windlass::Pool;
use windlass::graph::{Graph, GraphBuilder, GraphError, NodeState, RunStatus};

#[test]
fn results_go_to_those_who_use_them() {
    at_each_width(|pool| {
        let mut graph = GraphBuilder::new();
        let text = graph.node("text").run(|| String::from("to be or not"));
        let words = graph.node("words").input(text).run(|text| text.split(' ').count());
        let letters = graph.node("letters").input(text).run(|text| text.len());
        let both = graph.node("both").input((words, letters)).run(|(w, l)| format!("{w} {l}"));
        let taken = graph.node("taken").input(both.take()).run(|both: String| both + "!");
        let many = graph
            .node("many")
            .input(vec![words, letters])
            .run(|all| all.into_iter().sum::<usize>());
        let graph = graph.build().unwrap();
        for _ in 0..3 {
            let mut run = graph.run(pool);
            assert_eq!(run.status(), RunStatus::Completed);
            assert_eq!(run.output(taken).map(String::as_str), Some("4 12!"));
            assert_eq!(run.output(many), Some(&16));
            assert_eq!(run.output(text), None, "it was dropped after its last user");
            assert_eq!(run.take(taken).as_deref(), Some("4 12!"));
            assert_eq!(run.take(taken), None);
            assert_eq!(run.state(text), Some(NodeState::Succeeded));
        }
    });
}

#[test]
fn an_empty_graph_completes() {
    at_each_width(|pool| {
        let graph = GraphBuilder::new().build().unwrap();
        assert!(graph.run(pool).is_completed());
        assert!(graph.start(pool).wait().is_completed());
    });
}

#[test]
fn a_circle_is_told_by_its_names() {
    let mut graph = GraphBuilder::new();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| graph.node(name).run(|| ()));
    let end = graph.node("end").after(d).run(|| ());
    graph.edge(a, b).edge(b, c).edge(c, d).edge(d, b).edge(c, end);
    let error = graph.build().unwrap_err();
    let GraphError::Cycle { path } = &error else { panic!("{error}") };
    let at = path.iter().position(|name| name == "b").unwrap();
    let turned: Vec<&str> = (0..3).map(|k| path[(at + k) % 3].as_str()).collect();
    assert_eq!((path.len(), turned), (3, vec!["b", "c", "d"]));
    assert!(error.to_string().contains("b -> c -> d"), "{error}");
}

#[test]
fn mistakes_are_told() {
    let mut other = GraphBuilder::new();
    let foreign = other.node("x").run(|| 1);

    let mut graph = GraphBuilder::new();
    graph.node("a").after(foreign).run(|| ());
    assert_eq!(graph.build().unwrap_err(), GraphError::ForeignNode { user: Some("a".into()) });

    let mut graph = GraphBuilder::new();
    graph.node("a").run(|| ());
    graph.node("a").run(|| ());
    assert_eq!(graph.build().unwrap_err(), GraphError::DuplicateName { name: "a".into() });

    let mut graph = GraphBuilder::new();
    let a = graph.node("a").run(|| 1);
    graph.node("b").input(a.take()).run(|_| ());
    graph.node("c").input(a).run(|_| ());
    let users = vec!["b".to_owned(), "c".to_owned()];
    assert_eq!(graph.build().unwrap_err(), GraphError::TakenAndUsed { node: "a".into(), users });

    let mut graph = GraphBuilder::new();
    let a = graph.node("a").run(|| 1_u32);
    assert_eq!(graph.find::<u32>("a"), Ok(a));
    assert!(matches!(graph.find::<u64>("a"), Err(GraphError::TypeMismatch { .. })));
    assert_eq!(graph.find::<u32>("b"), Err(GraphError::UnknownName { name: "b".into() }));
}

/// A random graph: for each node, which earlier ones it depends on.
fn dags() -> impl Strategy<Value = Vec<Vec<prop::sample::Index>>> {
    prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 64 }))]

    #[test]
    fn each_node_runs_once_and_after_what_it_depends_on(dag in dags()) {
        let clock = Arc::new(AtomicUsize::new(1));
        let ran: Arc<Vec<AtomicUsize>> = Arc::new(dag.iter().map(|_| AtomicUsize::new(0)).collect());
        let twice = Arc::new(AtomicUsize::new(0));
        let mut graph = GraphBuilder::new();
        let mut nodes = Vec::new();
        let mut edges = Vec::new();
        for (at, before) in dag.iter().enumerate() {
            let (clock, ran, twice) = (Arc::clone(&clock), Arc::clone(&ran), Arc::clone(&twice));
            let node = graph.add(move || {
                let now = clock.fetch_add(1, Ordering::SeqCst);
                if ran[at].swap(now, Ordering::SeqCst) != 0 {
                    twice.fetch_add(1, Ordering::SeqCst);
                }
            });
            if at > 0 {
                for index in before {
                    let from: usize = index.index(at);
                    graph.edge(nodes[from], node);
                    edges.push((from, at));
                }
            }
            nodes.push(node);
        }
        let graph = graph.build().unwrap();
        for width in WIDTHS {
            let pool = Pool::new(width).unwrap();
            watchdog(&pool, || for is_started in [false, true, false] {
                ran.iter().for_each(|ran| ran.store(0, Ordering::SeqCst));
                let run = if is_started { graph.start(&pool).wait() } else { graph.run(&pool) };
                assert!(run.is_completed());
                assert!(ran.iter().all(|ran| ran.load(Ordering::SeqCst) != 0), "a node did not run");
                assert_eq!(twice.load(Ordering::SeqCst), 0);
                for &(from, to) in &edges {
                    let [from, to] = [from, to].map(|node| ran[node].load(Ordering::SeqCst));
                    assert!(from < to, "an edge was not respected");
                }
            });
        }
    }
}

#[test]
fn one_graph_runs_several_times_at_once() {
    at_each_width(|pool| {
        let live = forever(Live::new());
        let mut graph = GraphBuilder::new();
        let sources: Vec<_> =
            (0..50_u64).map(|n| graph.unnamed().run(move || (n, live.token()))).collect();
        let sums: Vec<_> = sources
            .chunks(2)
            .map(|pair| graph.unnamed().input([pair[0], pair[1]]).run(|[a, b]| a.0 + b.0))
            .collect();
        let total = graph.unnamed().input(sums).run(|sums| sums.into_iter().sum::<u64>());
        let graph = graph.build().unwrap();
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    let handles: Vec<_> = (0..5).map(|_| graph.start(pool)).collect();
                    for _ in 0..5 {
                        assert_eq!(graph.run(pool).output(total), Some(&1225));
                    }
                    for handle in handles {
                        assert_eq!(handle.wait().output(total), Some(&1225));
                    }
                });
            }
        });
        live.assert_none();
    });
}

#[test]
fn a_long_chain_is_built_run_and_dropped_on_a_small_stack() {
    let len = crate::common::scale(1_000_000) as u32;
    let thread = std::thread::Builder::new().stack_size(64 << 10);
    let thread = thread.spawn(move || {
        deadline(|| {
            let pool = Pool::builder().workers(2).stack_size(64 << 10).build().unwrap();
            let count = Arc::new(AtomicU32::new(0));
            let mut graph = Graph::builder();
            let mut last = None;
            for n in 0..len {
                let count = Arc::clone(&count);
                let node = graph.add(move || {
                    // Exactly in turn: a plain load and store would do.
                    let before = count.load(Ordering::Relaxed);
                    assert_eq!(before % len, n);
                    count.store(before + 1, Ordering::Relaxed);
                });
                if let Some(last) = last {
                    graph.edge(last, node);
                }
                last = Some(node);
            }
            let graph = graph.build().unwrap();
            assert!(graph.run(&pool).is_completed());
            assert!(graph.start(&pool).wait().is_completed());
            assert_eq!(count.load(Ordering::Relaxed), 2 * len);
            drop(graph);
            assert_eq!(Arc::strong_count(&count), 1);
        });
    });
    thread.unwrap().join().unwrap();
}
