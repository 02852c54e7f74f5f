//! Whoever follows a schedule: its events as a stream or an iterator, its end as a future.
#![cfg(not(any(loom, shuttle)))]

use crate::common::{Gate, at_each_width_by_hand, deadline, pool_and_clock};
use futures::StreamExt;
use futures::task::noop_waker_ref;
use std::future::{Future, IntoFuture};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;
use windlass::schedule::{EndReason, RunOutcome, ScheduleEvent, ScheduleEventKind as Kind};
use windlass::{Pool, Shutdown};

const SECOND: Duration = Duration::from_secs(1);

/// What happened, in short.
fn short(event: &ScheduleEvent) -> String {
    match &event.kind {
        Kind::Started { run, .. } => format!("started {run}"),
        Kind::Finished { run, outcome } => format!("{run} {outcome}"),
        Kind::Skipped { reason, count, .. } => format!("skipped {count}: {reason:?}"),
        Kind::Paused { .. } => "paused".into(),
        Kind::Resumed => "resumed".into(),
        Kind::Ended { reason } => format!("ended: {reason:?}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_stream_tells_what_a_listener_hears() {
    at_each_width_by_hand(|pool, clock| {
        let tick = pool.schedule("tick").every(SECOND).max_runs(2).start(|| ()).unwrap();
        let (stream, iterator) = (tick.events(64), tick.events(64));
        clock.advance_until_idle(pool, SECOND);
        tick.pause();
        tick.resume();
        clock.advance_until_idle(pool, SECOND);
        let told: Vec<String> = pollster::block_on(stream.map(|event| short(&event)).collect());
        let expected = [
            "started 1",
            "1 completed",
            "paused",
            "resumed",
            "started 2",
            "2 completed",
            "ended: Exhausted",
        ];
        assert_eq!(told, expected);
        assert_eq!(iterator.into_iter().map(|event| short(&event)).collect::<Vec<_>>(), told);
    });
}

/// It waits for the runs, too, and wakes a task of any runtime.
#[test]
fn the_end_is_awaited() {
    at_each_width_by_hand(|pool, clock| {
        let (gate, started) = (Gate::default(), Gate::default());
        let (inner, begun) = (gate.clone(), started.clone());
        let run = move || {
            begun.open();
            inner.wait();
        };
        let tick = pool.schedule("tick").every(SECOND).start(run).unwrap();
        let mut ended = pin!(tick.ended());
        let mut cx = Context::from_waker(noop_waker_ref());
        assert!(ended.as_mut().poll(&mut cx).is_pending());
        clock.advance(SECOND);
        started.wait();
        assert!(tick.cancel());
        // One run is left.
        assert!(ended.as_mut().poll(&mut cx).is_pending());
        gate.open();
        assert_eq!(pollster::block_on(ended), EndReason::Cancelled);
        assert_eq!(tick.stats().completed, 1);
        // When it is over, at once.
        assert_eq!(tick.ended().wait(), EndReason::Cancelled);
        assert_eq!(tick.events(1).into_iter().count(), 0);
        let mut again = pin!(tick.clone().into_future());
        assert_eq!(again.as_mut().poll(&mut cx), Poll::Ready(EndReason::Cancelled));
    });
}

#[test]
fn what_nobody_takes_is_bounded() {
    at_each_width_by_hand(|pool, clock| {
        let tick = pool.schedule("tick").every(SECOND).start(|| ()).unwrap();
        let mut few = tick.events(3);
        for _ in 0..10 {
            clock.advance_until_idle(pool, SECOND);
        }
        assert_eq!(few.lost(), 2 * 10 - 3);
        tick.cancel();
        let left: Vec<String> =
            pollster::block_on(few.by_ref().map(|event| short(&event)).collect());
        // The end pushes out one more, but nothing pushes the last one out.
        assert_eq!(left, ["started 10", "10 completed", "ended: Cancelled"]);
        assert_eq!(few.lost(), 2 * 10 + 1 - 3);
    });
}

/// Two that follow, one of which goes; and a run that fails.
#[test]
fn each_follows_for_itself() {
    at_each_width_by_hand(|pool, clock| {
        let fails = || Err::<(), _>(std::io::Error::other("no"));
        let tick = pool.schedule("tick").every(SECOND).start_fallible(move |_| fails()).unwrap();
        let (first, second) = (tick.events(8), tick.events(8));
        clock.advance_until_idle(pool, SECOND);
        drop(first);
        clock.advance_until_idle(pool, SECOND);
        tick.cancel();
        let outcomes = second.into_iter().filter_map(|event| match event.kind {
            Kind::Finished { run, outcome: RunOutcome::Failed(error) } => Some((run, error)),
            _ => None,
        });
        let outcomes: Vec<_> = outcomes.map(|(run, error)| (run, error.to_string())).collect();
        assert_eq!(outcomes, [(1, "no".to_owned()), (2, "no".to_owned())]);
    });
}

/// By the real clock, and a thread that waits.
#[test]
fn a_thread_waits_for_the_end() {
    deadline(|| {
        let pool = Pool::new(2).unwrap();
        let tick = pool.schedule("tick").every(Duration::from_millis(1)).max_runs(5);
        let tick = tick.start(|| ()).unwrap();
        assert_eq!(tick.ended().wait(), EndReason::Exhausted);
        assert_eq!(tick.stats().completed, 5);
    });
}

/// The end of the pool ends what follows: nobody waits for ever.
#[test]
fn the_end_of_the_pool_is_the_end() {
    deadline(|| {
        for shuts_down in [true, false] {
            let (pool, clock) = pool_and_clock(1);
            let tick = pool.schedule("tick").every(SECOND).start(|| ()).unwrap();
            clock.advance_until_idle(&pool, SECOND);
            let (events, ended) = (tick.events(8), tick.ended());
            let waits = std::thread::spawn(move || (events.into_iter().count(), ended.wait()));
            if shuts_down {
                pool.shutdown(Shutdown::Drain, Duration::MAX);
            }
            drop(pool);
            assert_eq!(waits.join().unwrap(), (1, EndReason::Shutdown));
            assert_eq!(tick.ended().wait(), EndReason::Shutdown);
        }
    });
}

/// In a run it could not end; on a worker beside it can.
#[test]
fn a_worker_may_wait_for_the_end() {
    deadline(|| {
        let pool = Pool::new(1).unwrap();
        let tick = pool.schedule("tick").every(Duration::from_millis(1)).max_runs(3);
        let tick = tick.start(|| ()).unwrap();
        // The one worker waits, and another thread runs what it waits for.
        let reason = pool.submit(move || tick.ended().wait()).wait().unwrap();
        assert_eq!(reason, EndReason::Exhausted);
    });
}
