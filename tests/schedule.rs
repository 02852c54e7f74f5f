//! Schedules: when runs are made, what becomes of those that overlap or are missed, and how a series ends.
#![cfg(not(any(loom, shuttle)))]

use crate::common::{Gate, at_each_width, deadline, throw, until, watchdog};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use windlass::schedule::{
    EndReason, Every, Misfire, Moment, OnError, Once, Overlap, Past, RunOutcome, ScheduleError,
    ScheduleEvent, ScheduleEventKind as Kind, ScheduleState, SkipReason, Trigger, TriggerCx,
    Triggered, When,
};
use windlass::{
    CancelToken, Clock, JobOptions, ManualClock, Pool, Priority, ScheduleBuilder, ScheduleHandle,
    Shutdown,
};

const TICK: Duration = Duration::from_nanos(1);
const HOUR: Duration = Duration::from_secs(3_600);

fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A pool whose clock the test moves, and when its runs began, in seconds from the start.
struct Bench {
    clock: ManualClock,
    pool: Pool,
    start: Instant,
    runs: Arc<Mutex<Vec<u64>>>,
}

impl Bench {
    fn new() -> Self {
        let clock = ManualClock::new();
        let pool = Pool::builder().workers(2).clock(clock.clone()).build().unwrap();
        Bench { start: clock.now(), clock, pool, runs: Arc::default() }
    }

    fn note(&self) -> impl Fn() + Send + Sync + 'static {
        let (clock, start, runs) = (self.clock.clone(), self.start, Arc::clone(&self.runs));
        move || runs.lock().unwrap().push((clock.now() - start).as_secs())
    }

    fn start(
        &self,
        say: impl FnOnce(ScheduleBuilder<'_>) -> ScheduleBuilder<'_>,
    ) -> ScheduleHandle {
        say(self.pool.schedule("tick")).start(self.note()).unwrap()
    }

    /// Starts one whose runs wait for the gate.
    fn start_held(
        &self,
        gate: &Gate,
        say: impl FnOnce(ScheduleBuilder<'_>) -> ScheduleBuilder<'_>,
    ) -> ScheduleHandle {
        let (note, gate) = (self.note(), gate.clone());
        let run = move || {
            note();
            gate.wait();
        };
        say(self.pool.schedule("held")).start(run).unwrap()
    }

    fn pass(&self, time: Duration) {
        self.clock.advance_until_idle(&self.pool, time);
    }

    /// When runs began since this was last asked.
    fn runs(&self) -> Vec<u64> {
        std::mem::take(&mut self.runs.lock().unwrap())
    }

    fn at(&self, n: u64) -> When {
        When::Instant(self.start + s(n))
    }

    fn watched(body: impl FnOnce(&Bench)) {
        let bench = Bench::new();
        watchdog(&bench.pool, || body(&bench));
    }
}

/// What was skipped, in order: how many for which reason.
fn skipped(schedule: &ScheduleHandle) -> Vec<(SkipReason, u64)> {
    let events = schedule.take_events();
    assert_eq!(events.lost, 0);
    let skips = events.events.into_iter().filter_map(|event| match event.kind {
        Kind::Skipped { reason, count, .. } => Some((reason, count)),
        _ => None,
    });
    skips.collect()
}

#[test]
fn after_and_at_run_once_and_end() {
    Bench::watched(|b| {
        let after = b.start(|s_| s_.after(s(5)));
        let at = b.start(|s_| s_.at(b.start + s(7)));
        let wall = b.start(|s_| s_.at(b.clock.wall() + s(9)));
        assert_eq!(after.next_runs(3), [b.at(5)]);
        b.pass(s(5) - TICK);
        assert_eq!(b.runs(), []);
        b.pass(TICK);
        assert_eq!(b.runs(), [5]);
        b.pass(HOUR);
        assert_eq!(b.runs(), [7, 9]);
        for schedule in [after, at, wall] {
            assert_eq!(schedule.state(), ScheduleState::Ended(EndReason::Exhausted));
            assert_eq!(schedule.next_runs(1), []);
            assert_eq!(schedule.trigger_now(), Err(ScheduleError::Ended));
        }
        assert!(b.pool.schedules().is_empty());
    });
}

/// Seed: re-arms after the run, so that each period is longer by the run and the delay of the timer.
#[test]
fn a_fixed_rate_does_not_drift() {
    let clock = ManualClock::new();
    let pool = Pool::builder().workers(1).clock(clock.clone()).build().unwrap();
    watchdog(&pool, || {
        let (start, count) = (clock.now(), Arc::new(AtomicUsize::new(0)));
        let (inner, counter) = (clock.clone(), Arc::clone(&count));
        let tick = pool.schedule("tick").every(Duration::from_micros(333)).start(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            // Takes time, and begins late by some.
            inner.advance(Duration::from_micros(100));
        });
        let tick = tick.unwrap();
        let n = if cfg!(debug_assertions) { 2_000 } else { 20_000 };
        for _ in 0..n {
            clock.advance_until_idle(&pool, Duration::from_micros(233));
        }
        let count = count.load(Ordering::Relaxed) as u32;
        assert_eq!(u128::from(count), (clock.now() - start).as_micros() / 333);
        assert!(count >= n - 1);
        let due = start + Duration::from_micros(333) * (count + 1);
        assert_eq!(tick.next_runs(1), [When::Instant(due)]);
        assert_eq!(tick.stats().skipped, 0);
    });
}

/// Of 10^6 virtual ticks, by the trigger alone (Z1).
#[test]
fn a_million_ticks_are_where_they_belong() {
    let clock = ManualClock::new();
    let pool = Pool::builder().workers(1).clock(clock.clone()).build().unwrap();
    watchdog(&pool, || {
        let start = clock.now();
        let tick = pool.schedule("tick").every(Duration::from_nanos(1_000_003)).start(|| ());
        let tick = tick.unwrap();
        let runs = tick.next_runs(1_000_000);
        for (n, run) in (1..).zip(&runs) {
            assert_eq!(*run, When::Instant(start + Duration::from_nanos(1_000_003 * n)));
        }
        assert_eq!(runs.len(), 1_000_000);
    });
}

#[test]
fn a_fixed_delay_is_counted_from_the_end() {
    Bench::watched(|b| {
        let gate = Gate::default();
        let tick = b.start_held(&gate, |s_| s_.fixed_delay(s(10)));
        assert_eq!(tick.next_runs(3), [b.at(10), b.at(20), b.at(30)]);
        b.clock.advance(s(10));
        until(|| !b.runs.lock().unwrap().is_empty());
        b.clock.advance(s(15));
        // One is in flight, so nothing is due.
        assert_eq!(tick.next_runs(2), [b.at(35), b.at(45)]);
        gate.open();
        b.clock.run_until_idle(&b.pool);
        assert_eq!(tick.next_runs(2), [b.at(35), b.at(45)]);
        b.pass(s(20));
        assert_eq!(b.runs(), [10, 35, 45]);
        assert_eq!(skipped(&tick), []);
    });
}

#[test]
fn the_first_run_may_be_at_once() {
    Bench::watched(|b| {
        let rate = b.start(|s_| s_.every(s(10)).immediately());
        b.pass(s(20));
        assert_eq!(b.runs(), [0, 10, 20]);
        rate.cancel();
        let delay = b.start(|s_| s_.fixed_delay(s(10)).immediately().max_runs(2));
        b.pass(s(60));
        assert_eq!(b.runs(), [20, 30]);
        assert_eq!(delay.state(), ScheduleState::Ended(EndReason::Exhausted));
        b.start(|s_| s_.after(Duration::ZERO));
        b.clock.run_until_idle(&b.pool);
        assert_eq!(b.runs(), [80]);
    });
}

#[test]
fn bounds_and_the_number_of_runs_hold() {
    Bench::watched(|b| {
        let bound = b.start(|s_| s_.every(s(10)).starting(b.start + s(5)).until(b.start + s(25)));
        assert_eq!(bound.next_runs(9), [b.at(5), b.at(15), b.at(25)]);
        b.pass(s(100));
        assert_eq!(b.runs(), [5, 15, 25]);
        assert_eq!(bound.state(), ScheduleState::Ended(EndReason::Exhausted));
        let few = b.start(|s_| s_.every(s(1)).max_runs(3));
        assert_eq!(few.next_runs(9), [b.at(101), b.at(102), b.at(103)]);
        b.pass(s(100));
        assert_eq!(b.runs(), [101, 102, 103]);
        // Anchored in the past: what was due before it was started is nobody's.
        let anchored = b.start(|s_| s_.every(s(7)).starting(b.start));
        b.pass(s(14));
        assert_eq!(b.runs(), [203, 210]);
        assert_eq!(skipped(&anchored), []);
        anchored.cancel();
        // By the wall clock.
        let wall = b.clock.wall();
        let end = b.start(|s_| s_.every(s(10)).until(wall + s(25)));
        b.pass(s(100));
        assert_eq!(b.runs(), [224, 234]);
        assert_eq!(end.state(), ScheduleState::Ended(EndReason::Exhausted));
    });
}

/// Seed: instants in the past raise from inside.
#[test]
fn the_past_is_an_error_or_now() {
    Bench::watched(|b| {
        b.pass(s(100));
        let builder = || b.pool.schedule("past").at(b.start + s(40));
        let error = builder().start(|| ()).unwrap_err();
        assert_eq!(error.error, ScheduleError::InPast { by: s(60) });
        assert_eq!(error.to_string(), "the time is 60s past");
        (error.closure)();
        let late = builder().past(Past::RunAtOnce).start(b.note()).unwrap();
        b.clock.run_until_idle(&b.pool);
        assert_eq!(b.runs(), [100]);
        assert_eq!(late.state(), ScheduleState::Ended(EndReason::Exhausted));
        // Now is not past.
        b.start(|s_| s_.at(b.clock.now()));
        b.clock.run_until_idle(&b.pool);
        assert_eq!(b.runs(), [100]);
    });
}

#[test]
fn what_makes_no_sense_is_a_typed_error() {
    Bench::watched(|b| {
        let error = |say: fn(ScheduleBuilder<'_>) -> ScheduleBuilder<'_>| {
            say(b.pool.schedule("bad")).start(|| ()).unwrap_err().error
        };
        assert_eq!(error(|s_| s_), ScheduleError::NoTrigger);
        assert_eq!(error(|s_| s_.every(Duration::ZERO)), ScheduleError::ZeroInterval);
        assert_eq!(error(|s_| s_.fixed_delay(Duration::ZERO)), ScheduleError::ZeroInterval);
        assert_eq!(error(|s_| s_.every(s(1)).max_runs(0)), ScheduleError::NeverDue);
        let until = b.start + s(5);
        let error = b.pool.schedule("bad").every(s(10)).until(until).start(|| ()).unwrap_err();
        assert_eq!(error.error, ScheduleError::NeverDue);
        b.pool.shutdown(Shutdown::Drain, s(20));
        let error = b.pool.schedule("late").every(s(1)).start(|| ()).unwrap_err();
        assert_eq!(error.error, ScheduleError::ShuttingDown);
    });
}

#[test]
fn far_times_do_not_overflow() {
    Bench::watched(|b| {
        let far = b.start(|s_| s_.after(Duration::MAX));
        let rate = b.start(|s_| s_.every(Duration::MAX).immediately());
        let delay = b.start(|s_| s_.fixed_delay(Duration::MAX));
        let jitter = b.start(|s_| s_.every(s(10)).jitter(Duration::MAX).grace(Duration::MAX));
        let until = b.start(|s_| s_.every(HOUR).until(b.clock.now() + s(u64::MAX / 8)));
        b.pass(s(60));
        assert!(rate.stats().completed == 1 && jitter.stats().runs >= 5);
        for schedule in [&far, &delay] {
            assert_eq!(schedule.state(), ScheduleState::Active);
            assert_eq!(schedule.next_runs(2).len(), 1.max(schedule.next_runs(2).len()));
        }
        assert_eq!(until.next_runs(1), [b.at(3_600)]);
        jitter.cancel();
        until.cancel();
        b.clock.jump(Duration::MAX);
        b.clock.run_until_idle(&b.pool);
    });
}

// ---- overlap -------------------------------------------------------------------------------------

/// Seed: any number of runs at once.
#[test]
fn runs_do_not_overlap_and_each_that_is_skipped_is_told() {
    Bench::watched(|b| {
        let gate = Gate::default();
        let tick = b.start_held(&gate, |s_| s_.every(s(10)));
        b.clock.advance(s(10));
        until(|| !b.runs.lock().unwrap().is_empty());
        b.clock.advance(s(30));
        assert_eq!(tick.stats().in_flight, 1);
        assert_eq!(skipped(&tick), [(SkipReason::Overlap, 1); 3]);
        gate.open();
        b.clock.run_until_idle(&b.pool);
        assert_eq!(b.runs(), [10]);
        b.pass(s(10));
        assert_eq!(b.runs(), [50]);
        assert_eq!((tick.stats().runs, tick.stats().skipped), (2, 3));
    });
}

#[test]
fn one_may_wait_for_the_one_before() {
    Bench::watched(|b| {
        let gate = Gate::default();
        let tick = b.start_held(&gate, |s_| s_.every(s(10)).overlap(Overlap::QueueOne));
        b.clock.advance(s(10));
        until(|| !b.runs.lock().unwrap().is_empty());
        b.clock.advance(s(30));
        assert_eq!(tick.trigger_now(), Ok(Triggered::Skipped(SkipReason::Overlap)));
        assert_eq!(skipped(&tick), [(SkipReason::Overlap, 1); 3]);
        gate.open();
        b.clock.run_until_idle(&b.pool);
        // The one of 20, at 40.
        assert_eq!(b.runs(), [10, 40]);
        assert_eq!(tick.stats().lateness.max, s(20));
    });
}

#[test]
fn so_many_may_run_side_by_side() {
    Bench::watched(|b| {
        let gate = Gate::default();
        let tick = b.start_held(&gate, |s_| s_.every(s(10)).overlap(Overlap::Allow(2)));
        b.clock.advance(s(10));
        assert_eq!(tick.stats().in_flight, 1);
        b.clock.advance(s(30));
        assert_eq!(tick.stats().in_flight, 2);
        assert_eq!(skipped(&tick), [(SkipReason::Overlap, 1); 2]);
        gate.open();
        b.clock.run_until_idle(&b.pool);
        assert_eq!(tick.stats().completed, 2);
    });
}

#[test]
fn the_previous_run_may_be_told_to_stop() {
    Bench::watched(|b| {
        let most = Arc::new(AtomicUsize::new(0));
        let running = Arc::new(AtomicUsize::new(0));
        let (counter, max) = (Arc::clone(&running), Arc::clone(&most));
        let tick = b.pool.schedule("latest").every(s(10)).overlap(Overlap::CancelPrevious);
        let tick = tick.start_with(move |run| {
            max.fetch_max(counter.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let token = run.cx().token();
            until(|| token.is_cancelled());
            counter.fetch_sub(1, Ordering::SeqCst);
            windlass::checkpoint().map_err(throw::<windlass::Cancelled>).unwrap();
        });
        let tick = tick.unwrap();
        for n in 1..=5 {
            b.clock.advance(s(10));
            until(|| tick.stats().lateness.count == n);
        }
        assert_eq!(most.load(Ordering::SeqCst), 1);
        assert_eq!((tick.stats().runs, tick.stats().skipped), (5, 0));
        tick.cancel();
        assert_eq!(tick.cancel_runs(), 1);
        b.clock.run_until_idle(&b.pool);
        assert_eq!(tick.stats().in_flight, 0);
    });
}

// ---- misfires ------------------------------------------------------------------------------------

/// What a series of one run a minute does when the clock jumps by an hour.
fn after_a_jump(
    jump: Duration,
    say: impl FnOnce(ScheduleBuilder<'_>) -> ScheduleBuilder<'_>,
) -> (Vec<u64>, Vec<(SkipReason, u64)>) {
    let bench = Bench::new();
    watchdog(&bench.pool, || {
        let tick = bench.start(|s_| say(s_.every(s(60))));
        bench.clock.jump(jump);
        bench.clock.run_until_idle(&bench.pool);
        let result = (bench.runs(), skipped(&tick));
        // The series goes on where it belongs (tokio-cron-scheduler #113: never again).
        let next = 60 * (jump.as_secs() / 60 + 1);
        assert_eq!(tick.next_runs(2), [bench.at(next), bench.at(next + 60)]);
        result
    })
}

#[test]
fn an_hour_that_was_slept_through_gives_one_run_not_sixty() {
    let (runs, skips) = after_a_jump(HOUR, |s_| s_);
    assert_eq!((runs, skips), (vec![3_600], vec![(SkipReason::Coalesced, 59)]));
    let (runs, skips) = after_a_jump(HOUR + s(59), |s_| s_.misfire(Misfire::RunLate));
    assert_eq!((runs, skips), (vec![3_659], vec![(SkipReason::Coalesced, 59)]));
    let (runs, skips) = after_a_jump(s(60) - TICK, |s_| s_);
    assert_eq!((runs, skips), (vec![], vec![]));
}

#[test]
fn missed_runs_may_be_left_alone() {
    fn skip(s_: ScheduleBuilder<'_>) -> ScheduleBuilder<'_> {
        s_.misfire(Misfire::Skip)
    }
    let (runs, skips) = after_a_jump(HOUR + s(59), skip);
    assert_eq!((runs, skips), (vec![], vec![(SkipReason::GracePassed, 60)]));
    let (runs, skips) = after_a_jump(HOUR + s(1), skip);
    assert_eq!((runs, skips), (vec![3_601], vec![(SkipReason::Missed, 59)]));
    let (runs, skips) = after_a_jump(s(61) + TICK, skip);
    assert_eq!((runs, skips), (vec![], vec![(SkipReason::GracePassed, 1)]));
}

#[test]
fn each_missed_run_may_be_made_up_for() {
    fn burst(s_: ScheduleBuilder<'_>) -> ScheduleBuilder<'_> {
        s_.misfire(Misfire::Burst)
    }
    let (runs, skips) = after_a_jump(HOUR, burst);
    assert_eq!((runs, skips), (vec![3_600; 60], vec![]));
    let (runs, skips) = after_a_jump(HOUR, |s_| burst(s_).grace(s(120)));
    assert_eq!((runs, skips), (vec![3_600; 3], vec![(SkipReason::GracePassed, 57)]));
    let (runs, skips) = after_a_jump(HOUR + s(30), |s_| burst(s_).grace(s(20)));
    assert_eq!((runs, skips), (vec![], vec![(SkipReason::GracePassed, 60)]));
}

#[test]
fn grace_holds_for_one_late_run_and_for_the_last_of_many() {
    let (runs, skips) = after_a_jump(s(75), |s_| s_.grace(s(15)));
    assert_eq!((runs, skips), (vec![75], vec![]));
    let (runs, skips) = after_a_jump(s(76), |s_| s_.grace(s(15)));
    assert_eq!((runs, skips), (vec![], vec![(SkipReason::GracePassed, 1)]));
    let (runs, skips) = after_a_jump(s(3_616), |s_| s_.grace(s(15)));
    assert_eq!((runs, skips), (vec![], vec![(SkipReason::GracePassed, 60)]));
}

/// The backlog of a burst is worked off one by one, and what comes due meanwhile is an overlap.
#[test]
fn a_burst_does_not_overlap() {
    Bench::watched(|b| {
        let gate = Gate::default();
        let tick = b.start_held(&gate, |s_| s_.every(s(10)).misfire(Misfire::Burst));
        b.clock.jump(s(35));
        until(|| tick.stats().lateness.count == 1);
        assert_eq!(tick.stats().in_flight, 1);
        b.clock.advance(s(5));
        assert_eq!(skipped(&tick), [(SkipReason::Overlap, 1)]);
        gate.open();
        b.clock.run_until_idle(&b.pool);
        assert_eq!(tick.stats().completed, 3);
        b.pass(s(10));
        assert_eq!(tick.stats().completed, 4);
    });
}

#[test]
fn a_jump_over_a_million_ticks_is_counted_exactly() {
    Bench::watched(|b| {
        let tick = b.start(|s_| s_.every(Duration::from_micros(1)));
        b.clock.jump(s(1_000));
        b.clock.run_until_idle(&b.pool);
        assert_eq!(b.runs(), [1_000]);
        assert_eq!(skipped(&tick), [(SkipReason::Coalesced, 999_999_999)]);
        assert_eq!(tick.stats().skipped, 999_999_999);
    });
}

// ---- errors --------------------------------------------------------------------------------------

#[test]
fn a_panic_or_an_error_does_not_end_the_series() {
    Bench::watched(|b| {
        let tick = b.pool.schedule("bad").every(s(1)).start_fallible(|run| match run.number() {
            1 => throw("ouch"),
            2 => Err("no luck"),
            _ => Ok(()),
        });
        let tick = tick.unwrap();
        assert!(tick.last_outcome().is_none());
        b.pass(s(1));
        match tick.last_outcome() {
            Some(RunOutcome::Panicked { message }) => assert_eq!(message.as_deref(), Some("ouch")),
            other => panic!("{other:?}"),
        }
        b.pass(s(1));
        assert_eq!(tick.last_outcome().unwrap().to_string(), "failed: no luck");
        b.pass(s(3));
        assert!(matches!(tick.last_outcome(), Some(RunOutcome::Completed)));
        let stats = tick.stats();
        assert_eq!((stats.runs, stats.failed, stats.completed), (5, 2, 3));
        assert_eq!(stats.lateness.count, 5);
    });
}

#[test]
fn an_error_may_pause_or_stop_it() {
    Bench::watched(|b| {
        let start = |on_error| {
            let builder = b.pool.schedule("bad").every(s(1)).on_error(on_error);
            builder.start_fallible(|run| if run.number() == 2 { Err("no") } else { Ok(()) })
        };
        let paused = start(OnError::Pause).unwrap();
        let stopped = start(OnError::Stop).unwrap();
        b.pass(s(10));
        assert_eq!(paused.state(), ScheduleState::Paused);
        assert_eq!(stopped.state(), ScheduleState::Ended(EndReason::Error));
        assert!(paused.resume() && !stopped.resume());
        assert_eq!(skipped(&paused), [(SkipReason::Paused, 8)]);
        b.pass(s(3));
        assert_eq!((paused.stats().runs, stopped.stats().runs), (5, 2));
    });
}

#[test]
fn a_run_that_takes_too_long_is_an_error() {
    Bench::watched(|b| {
        let options = JobOptions::default().run_timeout(s(5)).priority(Priority::High);
        let builder = b.pool.schedule("long").every(s(10)).options(&options);
        let tick = builder.on_error(OnError::Stop).start_with(|run| {
            assert_eq!(run.cx().priority(), Priority::High);
            assert_eq!(run.cx().name(), Some("long"));
            let token = run.cx().token();
            until(|| token.is_cancelled());
        });
        let tick = tick.unwrap();
        b.clock.advance(s(10));
        until(|| tick.stats().lateness.count == 1);
        b.clock.advance(s(5));
        assert_eq!(tick.state(), ScheduleState::Ended(EndReason::Error));
        assert!(matches!(tick.last_outcome(), Some(RunOutcome::TimedOut { .. })));
    });
}

// ---- the handle ----------------------------------------------------------------------------------

#[test]
fn pause_skips_and_resume_keeps_the_anchor() {
    Bench::watched(|b| {
        let tick = b.start(|s_| s_.every(s(10)));
        b.pass(s(15));
        assert!(tick.pause() && !tick.pause());
        assert_eq!(tick.state(), ScheduleState::Paused);
        assert_eq!(tick.next_runs(1), [b.at(20)]);
        b.pass(s(30));
        assert_eq!(tick.next_runs(1), [b.at(50)]);
        assert!(tick.resume() && !tick.resume());
        b.pass(s(10));
        assert_eq!(b.runs(), [10, 50]);
        assert_eq!(skipped(&tick), [(SkipReason::Paused, 3)]);
        // By hand, also if it is paused.
        tick.pause();
        assert_eq!(tick.trigger_now(), Ok(Triggered::Started));
        b.clock.run_until_idle(&b.pool);
        assert_eq!(b.runs(), [55]);
    });
}

#[test]
fn a_run_by_hand_counts_and_moves_nothing() {
    Bench::watched(|b| {
        let tick = b.start(|s_| s_.every(s(10)).max_runs(3));
        b.pass(s(5));
        assert_eq!(tick.trigger_now(), Ok(Triggered::Started));
        b.pass(s(60));
        assert_eq!(b.runs(), [5, 10, 20]);
        assert_eq!(tick.trigger_now(), Err(ScheduleError::Ended));
    });
}

#[test]
fn the_trigger_may_be_changed() {
    Bench::watched(|b| {
        let tick = b.start(|s_| s_.every(s(10)));
        b.pass(s(15));
        tick.set_trigger(Every::rate(s(7))).unwrap();
        assert_eq!(tick.next_runs(2), [b.at(22), b.at(29)]);
        b.pass(s(10));
        tick.set_trigger(Once::at(b.clock.now() + s(1))).unwrap();
        b.pass(s(10));
        assert_eq!(b.runs(), [10, 22, 26]);
        assert_eq!(tick.state(), ScheduleState::Ended(EndReason::Exhausted));
        assert_eq!(tick.set_trigger(Every::rate(s(7))), Err(ScheduleError::Ended));
    });
}

/// Seed: a cancel leaves the entry of the timer, and with it what the closure holds.
#[test]
fn cancel_frees_the_closure_at_once() {
    Bench::watched(|b| {
        let data = Arc::new(());
        let start = || {
            let held = Arc::clone(&data);
            b.pool.schedule("held").every(HOUR).start(move || drop(Arc::clone(&held))).unwrap()
        };
        let (one, other) = (start(), start());
        drop(start().cancel_on_drop());
        assert_eq!(Arc::strong_count(&data), 3);
        assert!(one.cancel() && !one.cancel());
        assert_eq!(Arc::strong_count(&data), 2);
        assert_eq!(one.state(), ScheduleState::Ended(EndReason::Cancelled));
        drop(other);
        assert_eq!(Arc::strong_count(&data), 2, "it goes on without its handle");
        let listed = b.pool.schedules();
        assert_eq!(listed.len(), 1);
        listed[0].cancel();
        assert_eq!(Arc::strong_count(&data), 1);
    });
}

#[test]
fn a_token_ends_the_series_and_its_runs() {
    Bench::watched(|b| {
        let token = CancelToken::new();
        let builder = b.pool.schedule("bound").every(s(10)).cancel_token(&token);
        let tick = builder.start_with(|run| {
            let token = run.cx().token();
            until(|| token.is_cancelled());
        });
        let tick = tick.unwrap();
        b.clock.advance(s(10));
        until(|| tick.stats().lateness.count == 1);
        token.cancel();
        assert_eq!(tick.state(), ScheduleState::Ended(EndReason::Cancelled));
        b.clock.run_until_idle(&b.pool);
        let stats = tick.stats();
        assert_eq!((stats.runs, stats.in_flight), (1, 0));
        // One that is cancelled already.
        let late = b.pool.schedule("late").every(s(1)).cancel_token(&token).start(|| ()).unwrap();
        assert_eq!(late.state(), ScheduleState::Ended(EndReason::Cancelled));
        b.pass(s(10));
        assert_eq!(late.stats().runs, 0);
        assert!(b.pool.schedules().is_empty());
    });
}

#[test]
fn events_are_told_in_order_and_kept_in_bounds() {
    Bench::watched(|b| {
        let told: Arc<Mutex<Vec<ScheduleEvent>>> = Arc::default();
        let sink = Arc::clone(&told);
        let tick = b.start(|s_| {
            s_.every(s(10)).keep_events(3).on_event(move |event| {
                sink.lock().unwrap().push(event.clone());
                throw(());
            })
        });
        b.pass(s(20));
        tick.cancel();
        let words = |events: &[ScheduleEvent]| -> Vec<String> {
            let word = |event: &ScheduleEvent| {
                let name = match &event.kind {
                    Kind::Started { run, .. } => format!("started {run}"),
                    Kind::Finished { run, outcome } => format!("finished {run}: {outcome}"),
                    Kind::Ended { reason } => format!("ended: {reason:?}"),
                    other => format!("{other:?}"),
                };
                format!("{} {name}", (event.at.at - b.start).as_secs())
            };
            events.iter().map(word).collect()
        };
        let all = [
            "10 started 1",
            "10 finished 1: completed",
            "20 started 2",
            "20 finished 2: completed",
            "20 ended: Cancelled",
        ];
        assert_eq!(words(&told.lock().unwrap()), all);
        let kept = tick.take_events();
        assert_eq!(words(&kept.events), all[2..]);
        assert_eq!((kept.lost, tick.take_events().lost), (2, 0));
    });
}

#[test]
fn a_listener_may_use_the_handle_and_the_pool() {
    Bench::watched(|b| {
        let own: Arc<Mutex<Option<ScheduleHandle>>> = Arc::default();
        let (inner, pool) = (Arc::clone(&own), b.pool.clone());
        let tick = b.start(|s_| {
            s_.every(s(10)).on_event(move |event| {
                if matches!(event.kind, Kind::Finished { run: 2, .. }) {
                    pool.submit(|| ()).wait().unwrap();
                    inner.lock().unwrap().take().unwrap().pause();
                }
            })
        });
        *own.lock().unwrap() = Some(tick.clone());
        b.pass(s(60));
        assert_eq!(b.runs(), [10, 20]);
        assert_eq!(tick.state(), ScheduleState::Paused);
    });
}

// ---- jitter, triggers ----------------------------------------------------------------------------

#[test]
fn jitter_is_within_bounds_and_never_fed_back() {
    Bench::watched(|b| {
        let tick = b.start(|s_| s_.every(s(10)).jitter(s(10)).jitter_seed(7));
        let dues: Vec<When> = (1..=500).map(|n| b.at(10 * n)).collect();
        assert_eq!(tick.next_runs(500), dues);
        b.pass(s(5_010));
        let runs = b.runs();
        assert!(runs.len() >= 500);
        for (n, run) in runs.iter().enumerate() {
            let due = 10 * (n as u64 + 1);
            assert!((due..due + 10).contains(run), "run {n} at {run}");
        }
        let spread: u64 = runs.iter().enumerate().map(|(n, run)| run - 10 * (n as u64 + 1)).sum();
        assert!((1_500..3_000).contains(&spread), "in the mean half of it: {spread}");
        let stats = tick.stats();
        assert_eq!((stats.skipped, stats.lateness.max), (0, Duration::ZERO));
        // The same seed, the same times; more jitter than there is time until the next.
        let again = |seed| {
            let other = Bench::new();
            let schedule = other.start(|s_| s_.every(s(10)).jitter(HOUR).jitter_seed(seed));
            other.pass(s(1_000));
            assert_eq!(schedule.stats().skipped, 0);
            other.runs()
        };
        assert_eq!(again(7)[..90], runs[..90]);
        assert_ne!(again(8)[..90], runs[..90]);
    });
}

/// A trigger of the user's: powers of two, then none.
struct Doubling;

impl Trigger for Doubling {
    fn next(&self, after: Moment, cx: &TriggerCx) -> Option<When> {
        let start = cx.start().at;
        (0..5).map(|n| start + s(1 << n)).find(|at| *at > after.at).map(When::Instant)
    }
}

#[test]
fn a_custom_trigger_decides() {
    Bench::watched(|b| {
        let tick = b.start(|s_| s_.trigger(Doubling));
        assert_eq!(tick.next_runs(9).len(), 5);
        b.pass(HOUR);
        assert_eq!(b.runs(), [1, 2, 4, 8, 16]);
        assert_eq!(tick.state(), ScheduleState::Ended(EndReason::Exhausted));
        // Counted one by one when it was missed.
        let late = b.start(|s_| s_.trigger(Doubling));
        b.clock.jump(s(9));
        b.clock.run_until_idle(&b.pool);
        assert_eq!(skipped(&late), [(SkipReason::Coalesced, 3)]);
    });
}

/// node-cron #938, croner-js #286: no endless loop, no storm.
#[test]
fn a_trigger_that_does_not_move_on_ends_the_series() {
    struct Stuck(When);
    impl Trigger for Stuck {
        fn next(&self, _: Moment, _: &TriggerCx) -> Option<When> {
            Some(self.0)
        }
    }
    struct Broken;
    impl Trigger for Broken {
        fn next(&self, _: Moment, cx: &TriggerCx) -> Option<When> {
            if cx.runs() == 0 { Some(When::Instant(cx.start().at + s(1))) } else { throw(()) }
        }
    }
    Bench::watched(|b| {
        let stuck = b.start(|s_| s_.trigger(Stuck(b.at(5))));
        let broken = b.start(|s_| s_.trigger(Broken));
        b.pass(HOUR);
        for schedule in [&stuck, &broken] {
            assert_eq!(schedule.state(), ScheduleState::Ended(EndReason::BadTrigger));
            assert_eq!(schedule.stats().runs, 1);
        }
    });
}

#[test]
fn a_trigger_sees_how_runs_fared() {
    struct BackOff;
    impl Trigger for BackOff {
        fn next(&self, after: Moment, cx: &TriggerCx) -> Option<When> {
            Some(When::Instant(after.at + s(1 << cx.failures_in_a_row())))
        }
        fn waits_for_end(&self) -> bool {
            true
        }
    }
    Bench::watched(|b| {
        let note = b.note();
        let tick = b.pool.schedule("back off").trigger(BackOff).start_fallible(move |run| {
            note();
            if (2..5).contains(&run.number()) { Err("no") } else { Ok(()) }
        });
        tick.unwrap();
        b.pass(s(20));
        assert_eq!(b.runs(), [1, 2, 4, 8, 16, 17, 18, 19, 20]);
    });
}

// ---- the wall clock ------------------------------------------------------------------------------

#[test]
fn intervals_do_not_care_about_the_wall_clock() {
    Bench::watched(|b| {
        let tick = b.start(|s_| s_.every(s(10)));
        b.clock.set_wall(b.clock.wall() + 24 * HOUR);
        b.clock.run_until_idle(&b.pool);
        b.pass(s(20));
        b.clock.set_wall(b.clock.wall() - 48 * HOUR);
        b.pass(s(10));
        assert_eq!(b.runs(), [10, 20, 30]);
        assert_eq!(skipped(&tick), []);
    });
}

#[test]
fn a_time_of_the_day_comes_nearer_when_the_clock_is_set_ahead() {
    Bench::watched(|b| {
        let due = b.clock.wall() + HOUR;
        let tick = b.start(|s_| s_.at(due));
        b.clock.set_wall(due - s(10));
        b.pass(s(9));
        assert_eq!(b.runs(), []);
        b.clock.set_wall(due - s(60));
        b.pass(s(59));
        assert_eq!(b.runs(), []);
        b.pass(s(1));
        assert_eq!(b.runs(), [69]);
        assert_eq!(tick.stats().lateness.max, Duration::ZERO);
        // Past it: late, and at once.
        let other = b.start(|s_| s_.at(b.clock.wall() + HOUR));
        b.clock.suspend(2 * HOUR);
        b.clock.run_until_idle(&b.pool);
        assert_eq!((b.runs(), other.stats().lateness.last), (vec![69], HOUR));
    });
}

// ---- the end of the pool -------------------------------------------------------------------------

#[test]
fn a_drain_ends_the_series_and_runs_what_is_due() {
    Bench::watched(|b| {
        let gate = Gate::default();
        let tick = b.start_held(&gate, |s_| s_.every(s(10)).overlap(Overlap::QueueOne));
        let idle = b.start(|s_| s_.every(HOUR));
        b.clock.advance(s(20));
        until(|| tick.stats().lateness.count == 1);
        std::thread::scope(|scope| {
            let end = scope.spawn(|| b.pool.shutdown(Shutdown::Drain, s(20)));
            until(|| matches!(idle.state(), ScheduleState::Ended(_)));
            gate.open();
            assert!(end.join().unwrap().is_complete());
        });
        for schedule in [&tick, &idle] {
            assert_eq!(schedule.state(), ScheduleState::Ended(EndReason::Shutdown));
        }
        assert_eq!(tick.stats().completed, 1);
        assert_eq!(skipped(&tick), [(SkipReason::Ended, 1)]);
        assert!(b.pool.schedules().is_empty());
        b.clock.advance(HOUR);
        assert_eq!(idle.stats().runs, 0);
    });
}

#[test]
fn a_schedule_does_not_keep_its_pool_alive() {
    deadline(|| {
        let clock = ManualClock::new();
        let pool = Pool::builder().workers(2).clock(clock.clone()).build().unwrap();
        let data = Arc::new(());
        let held = Arc::clone(&data);
        let run = move || drop(Arc::clone(&held));
        let tick = pool.schedule("tick").every(s(1)).start(run).unwrap();
        clock.advance_until_idle(&pool, s(3));
        drop(pool);
        assert_eq!(Arc::strong_count(&data), 1);
        assert_eq!(tick.state(), ScheduleState::Ended(EndReason::Shutdown));
        clock.advance(s(10));
        assert_eq!(tick.stats().completed, 3);
        assert!(!tick.cancel() && !tick.pause() && !tick.resume());
        assert_eq!(tick.next_runs(1), []);
        assert_eq!(tick.trigger_now(), Err(ScheduleError::Ended));
    });
}

#[test]
fn a_pool_may_be_dropped_while_its_schedules_run() {
    for _ in 0..50 {
        deadline(|| {
            let pool = Pool::new(2).unwrap();
            let count = Arc::new(AtomicUsize::new(0));
            let handles: Vec<_> = (1..=10)
                .map(|n| {
                    let count = Arc::clone(&count);
                    let builder = pool.schedule("tick").every(Duration::from_micros(20 * n));
                    let run = move || _ = count.fetch_add(1, Ordering::Relaxed);
                    builder.overlap(Overlap::Allow(3)).start(run).unwrap()
                })
                .collect();
            until(|| count.load(Ordering::Relaxed) > 20);
            drop(pool);
            let at_end = count.load(Ordering::Relaxed);
            for handle in &handles {
                assert_eq!(handle.state(), ScheduleState::Ended(EndReason::Shutdown));
            }
            assert_eq!(Arc::strong_count(&count), 1, "the closures are gone");
            assert_eq!(count.load(Ordering::Relaxed), at_end);
        });
    }
}

// ---- by the real clock ---------------------------------------------------------------------------

#[test]
fn it_runs_by_the_real_clock() {
    at_each_width(|pool| {
        let (count, start) = (Arc::new(AtomicUsize::new(0)), Instant::now());
        let counter = Arc::clone(&count);
        let tick = pool.schedule("tick").every(Duration::from_millis(1)).start(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let tick = tick.unwrap();
        until(|| count.load(Ordering::Relaxed) >= 5);
        assert!(start.elapsed() >= Duration::from_millis(5));
        assert!(tick.cancel());
        until(|| tick.stats().in_flight == 0);
        let stats = tick.stats();
        assert_eq!(stats.completed, stats.runs);
        assert!(stats.lateness.mean() <= stats.lateness.max);
    });
}
