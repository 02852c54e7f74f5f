//! Reports and drawings: what they say agrees with what has happened, and other programs can read them.
#![cfg(not(any(loom, shuttle)))]

mod common;

use common::{at_each_width, throw, work_for};
use std::time::Duration;
use windlass::Pool;
use windlass::graph::{Graph, GraphBuilder, Node, NodeState, OnFailure, RunReport};

/// A graph with names that want escaping, of which one node fails.
fn graph() -> (Graph, [Node<u32>; 5]) {
    let mut graph = GraphBuilder::new();
    graph.name("a \"graph\" <&>").on_failure(OnFailure::Continue);
    let work = |us| {
        move || {
            work_for(Duration::from_micros(us));
            us as u32
        }
    };
    let source = graph.node("so\"urce\\ <1>").run(work(20));
    let long = graph.node("long").after(source).run(work(2_000));
    let short = graph.node("short & 'sweet'").after(source).run(work(10));
    let end = graph.node("end\n").after(long).after(short).run(work(20));
    let bad = graph.node("bad").after(source).run(|| throw("no"));
    graph.node("skipped").after(bad).run(|| ());
    (graph.build().unwrap(), [source, long, short, end, bad])
}

fn report(pool: &Pool) -> (Graph, [Node<u32>; 5], RunReport) {
    let (graph, nodes) = graph();
    let run = graph.on(pool).recorded().run();
    let report = run.report().unwrap();
    (graph, nodes, report)
}

#[test]
fn only_a_recorded_run_has_a_report() {
    let (graph, _) = graph();
    let pool = Pool::new(1).unwrap();
    assert!(graph.run(&pool).report().is_none());
}

#[test]
fn a_report_agrees_with_the_run() {
    at_each_width(|pool| {
        let (graph, [source, long, short, end, bad], report) = report(pool);
        let node = |node: Node<u32>| &report.nodes()[node.index()];
        assert_eq!(report.nodes().len(), 6);
        assert_eq!(node(bad).state, NodeState::Panicked);
        assert_eq!((report.nodes()[5].state, report.nodes()[5].start), (NodeState::Skipped, None));
        // Each node began when those before it had ended.
        for (before, after) in graph.edges() {
            let [before, after] = [before, after].map(|node| &report.nodes()[node.index()]);
            if let (Some(first), Some(then)) = (before.start, after.start) {
                assert!(
                    first + before.time <= then + Duration::from_nanos(1),
                    "{} {}",
                    before.name,
                    after.name
                );
            }
        }
        // However long they were held up: a way along the edges, and none is longer.
        let critical: Vec<usize> = report.critical_path().map(|node| node.index).collect();
        let edges: Vec<_> = graph.edges().map(|(from, to)| [from.index(), to.index()]).collect();
        assert_eq!(critical.first(), Some(&source.index()));
        assert!(
            critical.windows(2).all(|pair| edges.iter().any(|edge| edge == pair)),
            "{critical:?}"
        );
        let time = |node: Node<u32>| report.nodes()[node.index()].time;
        let ways = [long, short].map(|middle| time(source) + time(middle) + time(end));
        let longest = ways.into_iter().chain([time(source) + time(bad)]).max().unwrap();
        assert_eq!(report.span(), longest);
        for entry in report.nodes() {
            assert_eq!(entry.is_critical, critical.contains(&entry.index));
            assert!(!entry.is_critical || entry.slack.is_zero(), "{entry:?}");
        }
        assert!(report.span() <= report.work() && report.span() <= report.elapsed());
        assert!(report.parallelism() >= 1.0);
        assert!(report.workers().len() <= pool.num_workers() + 1);
        let busy: Duration = report.workers().iter().map(|worker| worker.busy).sum();
        assert_eq!(busy, report.work());
        assert!(report.to_string().contains("critical path: so\"urce"), "{report}");
    });
}

#[test]
fn the_order_is_a_topological_one_and_always_the_same() {
    let shapes = || {
        let mut graph = GraphBuilder::new();
        let nodes: Vec<_> = (0..50).map(|_| graph.add(|| ())).collect();
        // Backwards, so that it is not that of the numbers.
        for at in 0..49 {
            graph.edge(nodes[at + 1], nodes[at]);
            graph.edge(nodes[49], nodes[at]);
        }
        graph.build().unwrap()
    };
    let order =
        |graph: &Graph| graph.topological_order().map(|node| node.index()).collect::<Vec<_>>();
    let (one, two) = (shapes(), shapes());
    assert_eq!(order(&one), (0..50).rev().collect::<Vec<_>>());
    assert_eq!(order(&one), order(&two));
    assert!(one.run(&Pool::new(2).unwrap()).is_completed());
}

#[test]
fn json_is_json() {
    let pool = Pool::new(2).unwrap();
    let (graph, _, report) = report(&pool);
    let plain: serde_json::Value = serde_json::from_str(&graph.to_json()).unwrap();
    assert_eq!(plain["graph"], "a \"graph\" <&>");
    assert_eq!(plain["nodes"][0]["name"], "so\"urce\\ <1>");
    assert_eq!(plain["edges"].as_array().unwrap().len(), graph.num_edges());
    let full: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(full["nodes"][4]["state"], "panicked");
    let critical: Vec<usize> = report.critical_path().map(|node| node.index).collect();
    assert_eq!(full["critical_path"], serde_json::json!(critical));
    let time = full["nodes"][1]["time_us"].as_f64().unwrap();
    assert!((time * 1e3 - report.nodes()[1].time.as_nanos() as f64).abs() < 1.0);
    let empty = GraphBuilder::new().build().unwrap();
    serde_json::from_str::<serde_json::Value>(&empty.to_json()).unwrap();
}

#[test]
fn drawings_are_well_formed() {
    let pool = Pool::new(2).unwrap();
    let (graph, _, report) = report(&pool);
    for dot in [graph.to_dot(), report.to_dot()] {
        assert!(
            dot.starts_with("digraph \"a \\\"graph\\\" <&>\" {\n") && dot.ends_with("}\n"),
            "{dot}"
        );
        assert!(dot.contains("label=\"so\\\"urce\\\\ <1>"), "{dot}");
        assert_eq!(dot.matches(" -> ").count(), graph.num_edges());
        assert_eq!(dot.matches("[label=").count(), graph.len());
    }
    for flow in [graph.to_mermaid(), report.to_mermaid()] {
        assert!(flow.starts_with("flowchart TD\n"));
        assert_eq!(flow.matches("-->").count() + flow.matches("==>").count(), graph.num_edges());
        assert!(flow.contains("so&quot;urce"), "{flow}");
    }
    assert!(
        report.to_mermaid().contains("n0 ==> n1") && report.to_mermaid().contains(":::panicked")
    );
    let svg = report.to_svg();
    // Every tag that is opened is closed, in order, and no text holds what would open one.
    let mut open = Vec::new();
    for part in svg.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap();
        assert!(!text.contains('>') && !tag.contains('&') || tag.contains("&quot;"), "{part}");
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split([' ', '\n']).next().unwrap()),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    assert_eq!(svg.matches("<title>").count(), 5, "a bar for each node that ran");
    assert!(svg.contains("short &amp; &#39;sweet&#39;") && svg.contains("critical path"));
}

#[test]
fn what_takes_longest_comes_first_when_that_is_known() {
    let pool = Pool::new(1).unwrap();
    let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut graph = GraphBuilder::new();
    let first = graph.node("first").run(|| ());
    let costs = [1, 30, 2, 20];
    let middle: Vec<_> = (0..4)
        .map(|n| {
            let order = std::sync::Arc::clone(&order);
            let node = graph.node(format!("{n}")).after(first);
            node.cost(Duration::from_micros(costs[n])).run(move || {
                order.lock().unwrap().push(n);
                // As they turn out, it is the other way round.
                work_for(Duration::from_micros(if n == 2 { 900 } else { 0 }));
            })
        })
        .collect();
    graph.node("last").after_all(&middle).run(|| ());
    let graph = graph.build().unwrap();
    assert_eq!(graph.rank(middle[1]), Some(Duration::from_nanos(30_001)));
    let run = graph.on(&pool).recorded().run();
    assert_eq!(std::mem::take(&mut *order.lock().unwrap()), [1, 3, 2, 0]);
    let report = run.report().unwrap();
    let longest = middle.iter().max_by_key(|node| report.nodes()[node.index()].time).unwrap();
    let better = graph.ranked_by(&report);
    assert!(better.run(&pool).is_completed());
    assert_eq!(middle[order.lock().unwrap()[0]], *longest);
}
