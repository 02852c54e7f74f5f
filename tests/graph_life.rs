//! The life of a run: cancelled, out of time, tried again, inside of another, in part, abandoned.
#![cfg(not(any(loom, shuttle)))]

use crate::common::{
    Gate, LONG, Live, Meeting, at_each_width, caught, forever, throw, until, watchdog,
};
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use windlass::graph::{
    Graph, GraphBuilder, GraphError, NodeError, NodeState, OnFailure, RunStatus, TriggerRule,
};
use windlass::prelude::*;
use windlass::{CancelCause, CancelToken, JobError, Pool, Priority, Shutdown, TimeoutPhase};

const SHORT: Duration = Duration::from_millis(1);

/// Work that ends only if it is told to.
fn endless() -> u64 {
    windlass::iter::repeat(1_u64).map(std::hint::black_box).sum()
}

// ---- cancelling

#[test]
fn a_run_is_cancelled_by_its_handle_and_by_a_token() {
    at_each_width(|pool| {
        let started = Arc::new(AtomicBool::new(false));
        let mut graph = GraphBuilder::new();
        let before = graph.node("before").run(|| 1);
        let running = graph.node("running").after(before).run({
            let started = Arc::clone(&started);
            move || {
                started.store(true, Ordering::SeqCst);
                endless()
            }
        });
        let after = graph.node("after").after(running).run(|| ());
        let cleanup = graph.node("cleanup").after(after).cleanup().run(|| 7);
        let graph = graph.build().unwrap();
        for by_token in [false, true] {
            started.store(false, Ordering::SeqCst);
            let token = CancelToken::new();
            let handle = graph.on(pool).cancel_token(&token).start();
            until(|| started.load(Ordering::SeqCst));
            assert!(!handle.is_finished());
            if by_token {
                token.cancel_with("enough".into());
            } else {
                handle.cancel()
            }
            let run = handle.wait();
            let cause = if by_token { "enough".into() } else { CancelCause::Requested };
            assert_eq!(run.status(), RunStatus::Cancelled(cause.clone()));
            assert_eq!(run.state(before), Some(NodeState::Succeeded));
            assert_eq!(run.state(running), Some(NodeState::Cancelled));
            assert_eq!(run.state(after), Some(NodeState::Cancelled));
            assert!(matches!(run.error(after), Some(NodeError::Cancelled(c)) if c == cause));
            assert_eq!(run.output(cleanup), Some(&7));
        }
        // From the start: nothing runs but what clears up.
        let token = CancelToken::new();
        token.cancel();
        let run = graph.on(pool).cancel_token(&token).run();
        assert_eq!(
            (run.state(before), run.output(cleanup)),
            (Some(NodeState::Cancelled), Some(&7))
        );
    });
}

#[test]
fn a_cancelled_caller_takes_its_run_along() {
    at_each_width(|pool| {
        let started = Arc::new(AtomicBool::new(false));
        let mut graph = GraphBuilder::new();
        let starts = Arc::clone(&started);
        let node = graph.node("node").run(move || {
            starts.store(true, Ordering::SeqCst);
            endless()
        });
        let (graph, inner) = (graph.build().unwrap(), pool.clone());
        let seen = Arc::new(Mutex::new(None));
        let tells = Arc::clone(&seen);
        let job = pool.job("caller").submit(move || {
            let run = graph.run(&inner);
            *tells.lock().unwrap() = Some((run.status(), run.state(node)));
        });
        until(|| started.load(Ordering::SeqCst));
        job.cancel();
        drop(job.wait());
        let expected = (RunStatus::Cancelled(CancelCause::Requested), Some(NodeState::Cancelled));
        assert_eq!(*seen.lock().unwrap(), Some(expected));
    });
}

#[test]
fn bodies_see_the_job_that_runs_them() {
    at_each_width(|pool| {
        let mut graph = GraphBuilder::new();
        let name = || windlass::current().and_then(|cx| cx.name().map(str::to_owned));
        let nodes: Vec<_> = (0..8).map(|n| graph.node(format!("{n}")).run(name)).collect();
        let forks = graph.node("forks").run(move || windlass::join(name, name));
        let (graph, inner) = (graph.build().unwrap(), pool.clone());
        let job = pool.job("caller").submit(move || {
            let mut run = graph.run(&inner);
            let names: Vec<_> = nodes.iter().map(|&node| run.take(node).unwrap()).collect();
            (names, run.take(forks).unwrap())
        });
        let (names, forks) = job.wait().unwrap();
        let caller = Some("caller".to_owned());
        assert!(names.iter().chain([&forks.0, &forks.1]).all(|name| *name == caller), "{names:?}");
    });
}

// ---- time

#[test]
fn a_node_that_runs_too_long_is_asked_to_stop() {
    at_each_width(|pool| {
        let mut graph = GraphBuilder::new();
        graph.on_failure(OnFailure::Continue);
        let endless = graph.node("endless").run_timeout(SHORT).run(endless);
        // One that does not look in time, and returns all the same.
        static LIVE: Live = Live::new();
        let deaf = graph.node("deaf").run_timeout(SHORT).run(|| {
            until(|| CancelToken::current().unwrap().is_cancelled());
            LIVE.token()
        });
        let after = graph.node("after").after(deaf).run(|| ());
        let quick = graph.node("quick").run_timeout(LONG).run(|| 3);
        let run = graph.build().unwrap().run(pool);
        for node in [endless.id(), deaf.id()] {
            assert_eq!(run.state(node), Some(NodeState::TimedOut));
            assert!(matches!(run.error(node), Some(NodeError::TimedOut(TimeoutPhase::Running))));
        }
        assert_eq!((run.state(after), run.output(quick)), (Some(NodeState::Skipped), Some(&3)));
        assert_eq!((run.status(), run.output(deaf).is_none()), (RunStatus::Failed, true));
        LIVE.assert_none();
    });
}

#[test]
fn a_node_that_waits_too_long_never_begins() {
    let pool = Pool::new(3).unwrap();
    watchdog(&pool, || {
        for _ in 0..crate::common::scale(50) {
            let gate = Gate::default();
            let mut graph = GraphBuilder::new();
            graph.on_failure(OnFailure::Continue);
            let slow = graph.node("slow").run({
                let gate = gate.clone();
                move || gate.wait()
            });
            let late = graph.node("late").start_within(SHORT).after(slow).run(|| ());
            let on_time = graph.node("on time").start_within(LONG).run(|| ());
            // The slow one goes on when the late one has ended.
            let alarm = graph
                .node("alarm")
                .after(late)
                .rule(TriggerRule::AnyFailed)
                .run(move || gate.open());
            let run = graph.build().unwrap().run(&pool);
            assert_eq!(run.state(late), Some(NodeState::TimedOut));
            assert!(matches!(run.error(late), Some(NodeError::TimedOut(TimeoutPhase::Queued))));
            assert_eq!(run.attempts(late), 0);
            for node in [slow, on_time, alarm] {
                assert_eq!(run.state(node), Some(NodeState::Succeeded));
            }
        }
    });
}

#[test]
fn a_run_that_is_not_done_in_time_is_stopped() {
    at_each_width(|pool| {
        let mut graph = GraphBuilder::new();
        graph.timeout(SHORT);
        let node = graph.node("node").run(endless);
        let graph = graph.build().unwrap();
        for run in [graph.run(pool), graph.start(pool).wait()] {
            assert_eq!(run.status(), RunStatus::TimedOut);
            assert_eq!(run.state(node), Some(NodeState::Cancelled));
            assert!(run.completed().unwrap_err().to_string().contains("not done in time"));
        }
        // A token's deadline does the same.
        let mut graph = GraphBuilder::new();
        graph.node("node").run(endless);
        let token = CancelToken::new().with_timeout(SHORT);
        let run = graph.build().unwrap().on(pool).cancel_token(&token).run();
        assert_eq!(run.status(), RunStatus::TimedOut);
    });
}

// ---- again

#[test]
fn a_node_is_tried_again_while_nobody_waits_on_a_worker() {
    at_each_width(|pool| {
        let live = forever(Live::new());
        let tries = Arc::new(AtomicU32::new(0));
        let mut graph = GraphBuilder::new();
        let input = graph.node("input").run(move || (5, live.token()));
        let flaky = graph
            .node("flaky")
            .input(input)
            .retry_with(|attempt, _| {
                (attempt < 4).then_some(if attempt == 1 { Duration::ZERO } else { SHORT })
            })
            .run({
                let tries = Arc::clone(&tries);
                move |input| match tries.fetch_add(1, Ordering::SeqCst) % 4 {
                    3 => input.0,
                    n => throw(n),
                }
            });
        let hopeless = graph
            .node("hopeless")
            .rule(TriggerRule::AllDone)
            .retry_with(|attempt, error| {
                assert!(matches!(error, NodeError::Failed(_)));
                (attempt < 3).then_some(SHORT)
            })
            .try_run_with(|cx| Err::<(), _>(format!("try {}", cx.attempt())));
        graph.fallback(hopeless, |error| assert_eq!(error.to_string(), "try 3"));
        let graph = graph.build().unwrap();
        for is_started in [false, true] {
            let run = if is_started { graph.start(pool).wait() } else { graph.run(pool) };
            assert_eq!(run.status(), RunStatus::Completed, "{:?}", run.first_failure());
            assert_eq!((run.output(flaky), run.attempts(flaky)), (Some(&5), 4));
            assert_eq!((run.attempts(hopeless), run.fell_back(hopeless)), (3, true));
        }
        live.assert_none();
    });
}

#[test]
fn a_cancel_ends_the_wait_for_the_next_attempt() {
    at_each_width(|pool| {
        let failed = Arc::new(AtomicBool::new(false));
        let mut graph = GraphBuilder::new();
        let fails = Arc::clone(&failed);
        let node = graph.node("node").retry_with(|_, _| Some(LONG * 100)).try_run(move || {
            fails.store(true, Ordering::SeqCst);
            Err::<(), _>("not yet")
        });
        let handle = graph.build().unwrap().start(pool);
        until(|| failed.load(Ordering::SeqCst));
        handle.cancel();
        let run = handle.wait();
        assert_eq!(run.status(), RunStatus::Cancelled(CancelCause::Requested));
        // The cancel may have come before the first attempt had ended, which then was the last.
        assert!(matches!(run.state(node), Some(NodeState::Cancelled | NodeState::Failed)));
    });
}

#[test]
fn what_may_run_again_takes_nothing_by_value() {
    let mut graph = GraphBuilder::new();
    let a = graph.node("a").run(|| 1);
    graph.node("b").input(a.take()).retry_with(|_, _| None).run(|_| ());
    let expected = GraphError::TakenByRepeated { user: "b".into(), node: "a".into() };
    assert_eq!(graph.build().unwrap_err(), expected);
}

#[test]
fn only_what_has_not_succeeded_runs_again() {
    at_each_width(|pool| {
        let (is_up, counts) =
            (Arc::new(AtomicBool::new(false)), Arc::new([const { AtomicU32::new(0) }; 6]));
        let count = |at: usize| {
            let counts = Arc::clone(&counts);
            move || counts[at].fetch_add(1, Ordering::SeqCst)
        };
        let mut graph = GraphBuilder::new();
        graph.on_failure(OnFailure::Continue);
        let kept = graph.node("kept").run({
            let count = count(0);
            move || {
                count();
                10
            }
        });
        let gone = graph.node("gone").run({
            let count = count(1);
            move || {
                count();
                String::from("text")
            }
        });
        let good = graph.node("good").input(gone.take()).run({
            let count = count(2);
            move |text: String| {
                count();
                text.len()
            }
        });
        let bad = graph.node("bad").input((kept, good)).try_run({
            let (count, is_up) = (count(3), Arc::clone(&is_up));
            move |(kept, good)| {
                count();
                if is_up.load(Ordering::SeqCst) { Ok(kept + good) } else { Err("down") }
            }
        });
        let last = graph.node("last").input(bad).run({
            let count = count(4);
            move |bad| {
                count();
                bad * 2
            }
        });
        let other = graph.node("other").after(gone).run({
            let count = count(5);
            move || {
                count();
            }
        });
        let graph = graph.build().unwrap();
        let run = graph.run(pool);
        assert_eq!(
            (run.state(bad), run.state(last)),
            (Some(NodeState::Failed), Some(NodeState::Skipped))
        );
        is_up.store(true, Ordering::SeqCst);
        let run = graph.on(pool).again(run).run();
        assert_eq!((run.status(), run.output(last)), (RunStatus::Completed, Some(&28)));
        assert_eq!(run.state(other), Some(NodeState::Succeeded));
        let now =
            |counts: &[AtomicU32; 6]| counts.each_ref().map(|count| count.load(Ordering::SeqCst));
        // What failed had not let its inputs go.
        assert_eq!(now(&counts), [1, 1, 1, 2, 1, 1]);
        // All has succeeded: nothing runs.
        let run = graph.on(pool).again(run).run();
        assert_eq!((run.output(last), now(&counts)), (Some(&28), [1, 1, 1, 2, 1, 1]));
    });
}

#[test]
fn what_is_missing_for_another_try_is_made_again() {
    at_each_width(|pool| {
        let (is_up, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let mut graph = GraphBuilder::new();
        let source = graph.node("source").run({
            let made = Arc::clone(&made);
            move || {
                made.fetch_add(1, Ordering::SeqCst);
                String::from("text")
            }
        });
        let up = Arc::clone(&is_up);
        let bad = graph.node("bad").input(source.take()).try_run(move |text: String| {
            if up.load(Ordering::SeqCst) { Ok(text.len()) } else { Err("down") }
        });
        let graph = graph.build().unwrap();
        let run = graph.run(pool);
        is_up.store(true, Ordering::SeqCst);
        let run = graph.on(pool).again(run).run();
        assert_eq!((run.output(bad), made.load(Ordering::SeqCst)), (Some(&4), 2));
    });
}

#[test]
fn a_target_runs_with_what_it_needs_and_nothing_else() {
    at_each_width(|pool| {
        let mut graph = GraphBuilder::new();
        let a = graph.node("a").run(|| 1);
        let b = graph.node("b").input(a).run(|a| a + 1);
        let c = graph.node("c").input(a).run(|a| a + 10);
        let d = graph.node("d").input((b, c)).run(|(b, c)| b + c);
        let e = graph.node("e").rule(TriggerRule::AnySucceeded).after(b).run(|| ());
        let graph = graph.build().unwrap();
        let run = graph.run_target(pool, b);
        assert_eq!((run.status(), run.output(b)), (RunStatus::Completed, Some(&2)));
        for node in [c.id(), d.id(), e.id()] {
            assert_eq!(run.state(node), Some(NodeState::Skipped));
        }
        // The rest, from there.
        let run = graph.on(pool).again(run).run();
        assert_eq!((run.output(d), run.state(e)), (Some(&13), Some(NodeState::Succeeded)));
        let foreign = GraphBuilder::new().node("x").run(|| ());
        let run = graph.run_target(pool, foreign);
        assert_eq!((run.status(), run.state(a)), (RunStatus::Completed, Some(NodeState::Skipped)));
    });
}

// ---- inside of others

#[test]
fn graphs_are_nodes_of_graphs() {
    at_each_width(|pool| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |what: &'static str| {
            let order = Arc::clone(&order);
            move || order.lock().unwrap().push(what)
        };
        let mut inner = GraphBuilder::new();
        let one = inner.node("one").run(note("one"));
        inner.node("two").after(one).run(note("two"));
        let mut middle = GraphBuilder::new();
        middle.node("inner").graph(inner.build().unwrap());
        let mut outer = GraphBuilder::new();
        let first = outer.node("first").run(note("first"));
        let both = outer.node("both").after(first).graph(middle.build().unwrap());
        outer.node("last").after(both).run(note("last"));
        let outer = outer.build().unwrap();
        for run in [outer.run(pool), outer.start(pool).wait()] {
            assert!(run.is_completed());
            assert_eq!(std::mem::take(&mut *order.lock().unwrap()).len() % 4, 0);
        }
    });
}

#[test]
fn a_failure_or_a_cancel_reaches_into_and_out_of_a_graph_in_a_graph() {
    at_each_width(|pool| {
        let mut inner = GraphBuilder::new();
        inner.node("deep").run(|| throw("deep down"));
        let mut outer = GraphBuilder::new();
        let node = outer.node("node").graph(inner.build().unwrap());
        let after = outer.node("after").after(node).run(|| ());
        let run = outer.build().unwrap().run(pool);
        assert_eq!(
            (run.state(node), run.state(after)),
            (Some(NodeState::Failed), Some(NodeState::Cancelled))
        );
        assert_eq!(run.error(node).unwrap().to_string(), "node \"deep\": it panicked: deep down");

        let started = Arc::new(AtomicBool::new(false));
        let mut inner = GraphBuilder::new();
        let starts = Arc::clone(&started);
        let endless = inner.node("endless").run(move || {
            starts.store(true, Ordering::SeqCst);
            endless()
        });
        inner.node("never").after(endless).run(|| unreachable!("the run is cancelled"));
        let mut outer = GraphBuilder::new();
        let node = outer.node("node").graph(inner.build().unwrap());
        let handle = outer.build().unwrap().start(pool);
        until(|| started.load(Ordering::SeqCst));
        handle.cancel();
        let run = handle.wait();
        assert_eq!(run.status(), RunStatus::Cancelled(CancelCause::Requested));
        assert_eq!(run.state(node), Some(NodeState::Cancelled));
    });
}

#[test]
fn a_time_limit_reaches_into_a_graph_in_a_graph() {
    at_each_width(|pool| {
        let mut graph = GraphBuilder::new();
        let node = graph.node("node").run_with(|cx| {
            let mut inner = GraphBuilder::new();
            inner.timeout(SHORT);
            inner.node("endless").run(endless);
            // Its own limit holds, too.
            cx.spawn(&inner.build().unwrap());
        });
        let mut run = graph.build().unwrap().on(pool).timeout(SHORT * 20).run();
        assert!(run.state(node).unwrap().is_final());
        assert_ne!(run.status(), RunStatus::Completed);
        assert_eq!(run.take(node), None);
    });
}

#[test]
fn a_loop_is_bounded() {
    at_each_width(|pool| {
        let rounds = Arc::new(AtomicU32::new(0));
        let mut step = GraphBuilder::new();
        let counts = Arc::clone(&rounds);
        let round = step.node("round").run(move || counts.fetch_add(1, Ordering::SeqCst));
        let step = step.build().unwrap();
        let mut graph = GraphBuilder::new();
        graph.on_failure(OnFailure::Continue);
        let done =
            graph.node("done").repeat(10, step.clone(), move |number, run| match run.take(round) {
                Some(4) => ControlFlow::Break(number),
                _ => ControlFlow::Continue(()),
            });
        let never = graph
            .node("never")
            .after(done)
            .repeat(3, step.clone(), |_, _| ControlFlow::<u8>::Continue(()));
        let broken = graph.node("broken").repeat(
            3,
            GraphBuilder::new().build().unwrap(),
            |_, _| -> ControlFlow<u8> { throw("no") },
        );
        let run = graph.build().unwrap().run(pool);
        assert_eq!(run.output(done), Some(&5));
        assert_eq!(run.error(never).unwrap().to_string(), "it was not done after 3 rounds");
        assert_eq!(rounds.load(Ordering::SeqCst), 8);
        assert_eq!(run.state(broken), Some(NodeState::Panicked));
    });
}

#[test]
fn a_running_node_adds_nodes() {
    at_each_width(|pool| {
        // A tree that is found as it is walked: each node adds two, to a depth.
        fn walk(depth: u32, count: Arc<AtomicUsize>) -> Graph {
            let mut graph = GraphBuilder::new();
            for n in 0..2 {
                let count = Arc::clone(&count);
                graph.node(format!("{depth} {n}")).run_with(move |cx| {
                    count.fetch_add(1, Ordering::Relaxed);
                    if depth > 0 {
                        cx.spawn(&walk(depth - 1, Arc::clone(&count)));
                    }
                });
            }
            graph.build().unwrap()
        }
        let count = Arc::new(AtomicUsize::new(0));
        let mut graph = GraphBuilder::new();
        let tree = graph.node("tree").graph(walk(6, Arc::clone(&count)));
        let seen = Arc::clone(&count);
        let total = graph.node("total").after(tree).run(move || seen.load(Ordering::Relaxed));
        let graph = graph.build().unwrap();
        assert_eq!(graph.run(pool).output(total), Some(&254));
        assert_eq!(graph.start(pool).wait().output(total), Some(&508));
        drop(graph);
        assert_eq!(Arc::strong_count(&count), 1, "what was spawned is gone");
    });
}

// ---- memory

#[test]
fn results_go_when_the_last_user_has_succeeded() {
    at_each_width(|pool| {
        let mut graph = GraphBuilder::new();
        let source = graph.node("source").run(|| Arc::new(()));
        let weak = graph.node("weak").input(source).run(Arc::downgrade);
        let after = graph.node("after").input(weak).run(|weak| weak.strong_count());
        let mut run = graph.build().unwrap().run(pool);
        assert_eq!(run.take(after), Some(0));
        drop(run);
        // Kept, if that is said.
        let mut graph = GraphBuilder::new();
        let source = graph.node("source").keep().run(|| Arc::new(()));
        let weak = graph.node("weak").input(source).run(Arc::downgrade);
        let mut run = graph.build().unwrap().run(pool);
        let weak = run.take(weak).unwrap();
        assert_eq!(weak.strong_count(), 1);
        drop(run);
        assert_eq!(weak.strong_count(), 0);
    });
}

#[test]
fn few_results_of_many_roots_are_alive_at_a_time() {
    at_each_width(|pool| {
        let live = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        struct Counted(Arc<(AtomicUsize, AtomicUsize)>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let mut graph = GraphBuilder::new();
        for _ in 0..1_000 {
            let live = Arc::clone(&live);
            let root = graph.unnamed().run(move || {
                let now = live.0.fetch_add(1, Ordering::SeqCst) + 1;
                live.1.fetch_max(now, Ordering::SeqCst);
                Counted(Arc::clone(&live))
            });
            graph.unnamed().input(root.take()).run(drop);
        }
        let graph = graph.build().unwrap();
        assert!(graph.run(pool).is_completed());
        assert!(graph.start(pool).wait().is_completed());
        let most = live.1.load(Ordering::SeqCst);
        // Each worker has one in hand, and one that it has made public.
        assert!(most <= 2 * pool.num_workers() + 2, "{most} were alive at a time");
        assert_eq!(live.0.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn destructors_that_panic_do_no_harm() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            throw("dropped");
        }
    }
    at_each_width(|pool| {
        let mut graph = GraphBuilder::new();
        let bomb = graph.node("bomb").run(|| Bomb);
        graph.node("user").input(bomb).run(|_| ());
        graph.node("kept").run(|| Bomb);
        let run = graph.build().unwrap().run(pool);
        assert!(run.is_completed());
        drop(run);
    });
}

// ---- the pool

#[test]
fn a_handle_is_a_future() {
    struct Flag(AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    at_each_width(|pool| {
        let gate = Gate::default();
        let mut graph = GraphBuilder::new();
        let opens = gate.clone();
        let node = graph.node("node").run(move || {
            opens.wait();
            3
        });
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut handle = pin!(graph.build().unwrap().start(pool));
        assert!(handle.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        gate.open();
        until(|| flag.0.load(Ordering::SeqCst));
        let Poll::Ready(run) = handle.as_mut().poll(&mut Context::from_waker(&waker)) else {
            panic!("it has ended")
        };
        assert_eq!(run.output(node), Some(&3));
    });
}

#[test]
fn runs_count_as_jobs_and_are_waited_for() {
    at_each_width(|pool| {
        let count = Arc::new(AtomicUsize::new(0));
        let mut graph = GraphBuilder::new();
        for _ in 0..100 {
            let count = Arc::clone(&count);
            graph.add(move || count.fetch_add(1, Ordering::SeqCst));
        }
        let graph = graph.build().unwrap();
        let before = pool.job_counts();
        for _ in 0..10 {
            graph.start(pool).detach();
        }
        assert!(pool.wait_idle(LONG));
        assert_eq!(count.load(Ordering::SeqCst), 1_000);
        let after = pool.job_counts();
        assert_eq!(
            (after.accepted - before.accepted, after.completed - before.completed),
            (10, 10)
        );
        assert_eq!(after.pending(), 0);
    });
}

#[test]
fn a_node_waits_for_a_run_of_the_same_pool() {
    // N workers, N runs each waiting for another: nobody but the waiter need run it.
    at_each_width(|pool| {
        let mut inner = GraphBuilder::new();
        let answer = inner.node("answer").run(|| 42);
        let inner = inner.build().unwrap();
        let mut outer = GraphBuilder::new();
        let nodes: Vec<_> = (0..2 * pool.num_workers())
            .map(|n| {
                let (inner, pool) = (inner.clone(), pool.clone());
                outer.node(format!("{n}")).run(move || match n % 2 {
                    0 => inner.run(&pool).take(answer),
                    _ => inner.start(&pool).wait().take(answer),
                })
            })
            .collect();
        let handles: Vec<_> = {
            let outer = outer.build().unwrap();
            (0..4).map(|_| outer.start(pool)).collect()
        };
        for handle in handles {
            let run = handle.wait();
            assert!(nodes.iter().all(|&node| run.output(node) == Some(&Some(42))));
        }
    });
}

#[test]
fn a_long_run_leaves_others_their_turn() {
    // One worker, and a run that ends only when a job of the same level has run beside it.
    let pool = Pool::new(1).unwrap();
    watchdog(&pool, || {
        let has_run = Arc::new(AtomicBool::new(false));
        let mut step = GraphBuilder::new();
        let seen = Arc::clone(&has_run);
        let looks = step.node("look").run(move || seen.load(Ordering::SeqCst));
        let step = step.build().unwrap();
        let mut outer = GraphBuilder::new();
        let begun = Arc::new(AtomicBool::new(false));
        let begins = Arc::clone(&begun);
        let node = outer.node("until").repeat(u32::MAX, step, move |_, run| {
            begins.store(true, Ordering::SeqCst);
            if run.take(looks) == Some(true) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        let handle = outer.build().unwrap().start(&pool);
        until(|| begun.load(Ordering::SeqCst));
        let sets = Arc::clone(&has_run);
        pool.submit(move || sets.store(true, Ordering::SeqCst)).detach();
        assert_eq!(handle.wait().state(node), Some(NodeState::Succeeded));
    });
}

#[test]
fn priorities_are_those_of_lanes() {
    at_each_width(|pool| {
        let level =
            || CancelToken::current().map(|_| ()).and(windlass::current().map(|cx| cx.priority()));
        let _ = level;
        let mut graph = GraphBuilder::new();
        let first = graph.node("first").run(|| 1);
        let high = graph.node("high").priority(Priority::High).input(first).run(|first| first + 1);
        let low = graph.node("low").priority(Priority::Background).input(high).run(|high| high + 1);
        let last = graph.node("last").input(low).run(|low| low + 1);
        let graph = graph.build().unwrap();
        let before = pool.job_counts().accepted;
        assert_eq!(graph.run(pool).output(last), Some(&4));
        assert_eq!(pool.job_counts().accepted - before, 2, "each was a job of its level");
        let run = graph.on(pool).priority(Priority::Background).start().wait();
        assert_eq!(run.output(last), Some(&4));
        assert!(pool.wait_idle(LONG));
    });
}

#[test]
fn a_shutdown_ends_runs_as_it_says() {
    for width in crate::common::WIDTHS {
        // Drain: to the end, priorities and attempts included.
        let pool = Pool::new(width).unwrap();
        let tries = Arc::new(AtomicU32::new(0));
        let mut graph = GraphBuilder::new();
        let fails = Arc::clone(&tries);
        let node = graph.node("node").retry_with(|_, _| Some(SHORT)).try_run(move || {
            if fails.fetch_add(1, Ordering::SeqCst) < 3 { Err("not yet") } else { Ok(5) }
        });
        let last = graph.node("last").input(node).priority(Priority::High).run(|n| n + 1);
        let graph = graph.build().unwrap();
        let handle = graph.start(&pool);
        let report = crate::common::deadline(|| pool.shutdown(Shutdown::Drain, LONG));
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(handle.wait().output(last), Some(&6));
        // No more are accepted.
        let run = graph.start(&pool).wait();
        assert_eq!(
            (run.status(), run.state(node)),
            (RunStatus::Abandoned, Some(NodeState::Cancelled))
        );

        // Cancel all: what runs is asked to stop.
        let pool = Pool::new(width).unwrap();
        let started = Arc::new(AtomicBool::new(false));
        let mut graph = GraphBuilder::new();
        let starts = Arc::clone(&started);
        graph.node("node").run(move || {
            starts.store(true, Ordering::SeqCst);
            endless()
        });
        let handle = graph.build().unwrap().start(&pool);
        until(|| started.load(Ordering::SeqCst));
        let report = crate::common::deadline(|| pool.shutdown(Shutdown::CancelAll, LONG));
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(handle.wait().status(), RunStatus::Cancelled(CancelCause::Shutdown));
    }
}

#[test]
fn a_pool_that_is_dropped_abandons_what_waits() {
    /// `false`: the pool has ended while the attempt did, so that nothing waited.
    fn is_abandoned(width: usize) -> bool {
        let pool = Pool::new(width).unwrap();
        let failed = Arc::new(AtomicBool::new(false));
        let mut graph = GraphBuilder::new();
        let fails = Arc::clone(&failed);
        let node = graph.node("node").retry_with(|_, _| Some(LONG * 100)).try_run(move || {
            fails.store(true, Ordering::SeqCst);
            Err::<(), _>("not yet")
        });
        let never = graph.node("never").after(node).run(|| ());
        let always = graph.node("always").after(node).rule(TriggerRule::Always).run(|| ());
        let handle = graph.build().unwrap().start(&pool);
        until(|| failed.load(Ordering::SeqCst));
        crate::common::deadline(|| drop(pool));
        let run = crate::common::deadline(|| handle.wait());
        if run.state(node).unwrap() == NodeState::Failed {
            return false;
        }
        assert_eq!(run.status(), RunStatus::Abandoned);
        let states = [node, never, always].map(|node| run.state(node).unwrap());
        assert_eq!(states, [NodeState::Cancelled, NodeState::Cancelled, NodeState::Succeeded]);
        true
    }
    for width in crate::common::WIDTHS {
        assert!((0..1_000).any(|_| is_abandoned(width)));
    }
}

#[test]
fn semaphores_and_panics_leave_nothing_behind() {
    // As in taskflow #730: a panic while others wait for a permit; all of them end, and all that
    // they hold is freed.
    at_each_width(|pool| {
        let live = Arc::new(());
        let mut graph = GraphBuilder::new();
        graph.on_failure(OnFailure::Continue);
        let permits = Arc::new(Mutex::new(()));
        for n in 0..50 {
            let (live, permits) = (Arc::clone(&live), Arc::clone(&permits));
            graph.node(format!("{n}")).run(move || {
                let _permit = permits.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if n % 3 == 0 {
                    throw(n);
                }
                Arc::clone(&live)
            });
        }
        let graph = graph.build().unwrap();
        for _ in 0..5 {
            let run = graph.run(pool);
            assert_eq!(run.status(), RunStatus::Failed);
            assert_eq!(Arc::strong_count(&live), 51 + 33);
            drop(run);
            assert_eq!(Arc::strong_count(&live), 51);
        }
        drop(graph);
        assert_eq!(Arc::strong_count(&live), 1);
    });
}

#[test]
fn a_job_is_not_confused_by_a_run_that_fails_in_it() {
    at_each_width(|pool| {
        let mut graph = GraphBuilder::new();
        let bad = graph.node("bad").run(|| throw(1_u8));
        let (graph, inner) = (graph.build().unwrap(), pool.clone());
        let job = pool.submit(move || graph.run(&inner).state(bad));
        match job.wait() {
            Ok(state) => assert_eq!(state, Some(NodeState::Panicked)),
            Err(JobError::Panicked(panic)) => panic!("{panic}"),
            Err(error) => panic!("{error}"),
        }
        assert_eq!(caught::<u8, _>(|| pool.install(|| throw::<u8>(7))), 7);
    });
}

#[test]
fn two_workers_share_a_graph() {
    let pool = Pool::new(2).unwrap();
    watchdog(&pool, || {
        let meeting = Arc::new(Meeting::of(2));
        for is_deep in [false, true] {
            for _ in 0..5 {
                let meeting = Arc::new(Meeting::of(2));
                let mut graph = GraphBuilder::new();
                let first = graph.node("first").run(|| ());
                for n in 0..2 {
                    let meeting = Arc::clone(&meeting);
                    let node = graph.node(format!("{n}"));
                    let node = if is_deep { node.after(first) } else { node };
                    // Only side by side they get past.
                    node.run(move || meeting.attend());
                }
                let graph = graph.build().unwrap();
                assert!(graph.run(&pool).is_completed());
                let meeting = Arc::clone(&meeting);
                let _ = meeting;
            }
        }
        drop(meeting);
    });
}
