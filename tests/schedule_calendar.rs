//! Schedules by the calendar, on a wall clock that is set and a machine that is suspended.
#![cfg(not(any(loom, shuttle)))]

use crate::common::watchdog;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use windlass::schedule::{
    Calendar, CalendarError, Cron, EndReason, Misfire, ScheduleError, ScheduleEventKind as Kind,
    ScheduleState, SkipReason, When,
};
use windlass::{Clock, ManualClock, Pool, ScheduleBuilder, ScheduleHandle};

const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

/// A time in UTC.
fn utc(text: &str) -> SystemTime {
    text.parse::<jiff::Timestamp>().unwrap().try_into().unwrap()
}

fn text(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).unwrap().to_string()
}

/// A pool whose wall clock begins at a time, and when its runs began by that clock.
struct Bench {
    clock: ManualClock,
    pool: Pool,
    runs: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    fn at(wall: &str, body: impl FnOnce(&Bench)) {
        let clock = ManualClock::new();
        clock.set_wall(utc(wall));
        let pool = Pool::builder().workers(2).clock(clock.clone()).build().unwrap();
        let bench = Bench { clock, pool, runs: Arc::default() };
        watchdog(&bench.pool, || body(&bench));
    }

    fn start(
        &self,
        say: impl FnOnce(ScheduleBuilder<'_>) -> ScheduleBuilder<'_>,
    ) -> ScheduleHandle {
        let (clock, runs) = (self.clock.clone(), Arc::clone(&self.runs));
        let run = move || runs.lock().unwrap().push(text(clock.wall()));
        say(self.pool.schedule("calendar")).start(run).unwrap()
    }

    fn pass(&self, time: Duration) {
        self.clock.advance_until_idle(&self.pool, time);
    }

    fn runs(&self) -> Vec<String> {
        std::mem::take(&mut self.runs.lock().unwrap())
    }
}

fn skipped(schedule: &ScheduleHandle) -> Vec<(SkipReason, u64)> {
    let skips = schedule.take_events().events.into_iter().filter_map(|event| match event.kind {
        Kind::Skipped { reason, count, .. } => Some((reason, count)),
        _ => None,
    });
    skips.collect()
}

/// tokio-cron-scheduler #107, apscheduler #606: an hour off after each change, a day lost.
#[test]
fn cron_runs_through_a_year_at_its_time_of_the_day() {
    Bench::at("2025-01-01T00:00:00Z", |b| {
        let tick = b.start(|s| s.cron("30 2 * * *").zone("America/New_York").jitter(MINUTE));
        b.pass(365 * 24 * HOUR);
        let runs = b.runs();
        assert_eq!(runs.len(), 365);
        let zone = jiff::tz::TimeZone::get("America/New_York").unwrap();
        for (n, run) in runs.iter().enumerate() {
            let civil = zone.to_datetime(run.parse().unwrap());
            let expected = if n == 67 { (3, 0) } else { (2, 30) };
            assert_eq!((civil.hour(), civil.minute()), expected, "{civil}");
            assert_eq!(civil.date().day_of_year() as usize, n + 1);
        }
        assert_eq!(tick.stats().skipped, 0);
    });
}

#[test]
fn a_rhythm_keeps_its_rhythm_on_the_night_of_the_change() {
    for (start, runs) in [("2025-03-09T00:00:00Z", 96), ("2025-11-02T00:00:00Z", 96)] {
        Bench::at(start, |b| {
            let tick = b.start(|s| s.cron("*/15 * * * *").zone("America/New_York"));
            b.pass(24 * HOUR);
            assert_eq!((b.runs().len(), tick.stats().skipped), (runs, 0));
        });
    }
}

#[test]
fn the_preview_crosses_the_change() {
    Bench::at("2025-11-01T12:00:00Z", |b| {
        let tick = b.start(|s| s.cron("0,30 1 * * *").zone("America/New_York"));
        let expected = ["2025-11-02T05:00:00Z", "2025-11-02T05:30:00Z", "2025-11-03T06:00:00Z"];
        assert_eq!(tick.next_runs(3), expected.map(|at| When::Wall(utc(at))));
    });
}

#[test]
fn a_calendar_interval_runs() {
    Bench::at("2025-01-31T10:00:00Z", |b| {
        let payday = Calendar::months(1).from(2025, 1, 31).at(9, 0, 0).build().unwrap();
        b.start(|s| s.trigger(payday).max_runs(3));
        b.pass(365 * 24 * HOUR);
        let expected = ["2025-02-28T09:00:00Z", "2025-03-31T09:00:00Z", "2025-04-30T09:00:00Z"];
        assert_eq!(b.runs(), expected);
    });
}

#[test]
fn bounds_hold_for_the_calendar_too() {
    Bench::at("2025-06-01T00:00:00Z", |b| {
        let (from, to) = (utc("2025-06-02T12:00:00Z"), utc("2025-06-04T12:00:00Z"));
        let tick = b.start(|s| s.cron("0 12 * * *").starting(from).until(to));
        b.pass(240 * HOUR);
        assert_eq!(
            b.runs(),
            ["2025-06-02T12:00:00Z", "2025-06-03T12:00:00Z", "2025-06-04T12:00:00Z"]
        );
        assert_eq!(tick.state(), ScheduleState::Ended(EndReason::Exhausted));
        let never = b.pool.schedule("never").cron("0 12 * * *").until(utc("2025-06-11T11:00:00Z"));
        assert_eq!(never.start(|| ()).unwrap_err().error, ScheduleError::NeverDue);
    });
}

#[test]
fn an_expression_that_is_wrong_is_an_error_at_the_start() {
    Bench::at("2025-06-01T00:00:00Z", |b| {
        let error = |say: fn(ScheduleBuilder<'_>) -> ScheduleBuilder<'_>| {
            say(b.pool.schedule("bad")).start(|| ()).unwrap_err().error
        };
        let found = error(|s| s.cron("* * *"));
        assert_eq!(found, ScheduleError::Calendar(CalendarError::FieldCount { found: 3 }));
        let source = std::error::Error::source(&found).unwrap();
        assert_eq!(source.to_string(), found.to_string());
        let found = error(|s| s.cron("@daily").zone("Nowhere/Else"));
        assert!(matches!(found, ScheduleError::Calendar(CalendarError::UnknownZone { .. })));
        // A rhythm that is in a gap each time.
        let gap = Cron::in_zone("*/10 2 * 3 0#2", "America/New_York").unwrap();
        let found = b.pool.schedule("gap").trigger(gap).start(|| ()).unwrap_err();
        assert_eq!(found.error, ScheduleError::NeverDue);
    });
}

// ---- the clock is set ----------------------------------------------------------------------------

#[test]
fn a_suspended_machine_runs_once_and_late() {
    Bench::at("2025-06-01T00:30:00Z", |b| {
        let tick = b.start(|s| s.cron("0 * * * *"));
        b.clock.suspend(10 * HOUR);
        b.clock.run_until_idle(&b.pool);
        assert_eq!(b.runs(), ["2025-06-01T10:30:00Z"]);
        assert_eq!(skipped(&tick), [(SkipReason::Coalesced, 9)]);
        assert_eq!(tick.stats().lateness.max, HOUR / 2);
        b.pass(HOUR);
        assert_eq!(b.runs(), ["2025-06-01T11:00:00Z"]);
        // Or each, or none.
        tick.cancel();
        let burst = b.start(|s| s.cron("0 * * * *").misfire(Misfire::Burst));
        let skip = b.start(|s| s.cron("0 * * * *").misfire(Misfire::Skip));
        b.clock.suspend(10 * HOUR);
        b.clock.run_until_idle(&b.pool);
        assert_eq!((burst.stats().runs, skip.stats().runs), (10, 0));
        assert_eq!(skipped(&skip), [(SkipReason::GracePassed, 10)]);
    });
}

/// More runs were missed than are counted one by one: one run all the same.
#[test]
fn a_month_of_seconds_is_one_run() {
    Bench::at("2025-06-01T00:00:00Z", |b| {
        let tick = b.start(|s| s.cron("* * * * * *"));
        b.clock.suspend(30 * 24 * HOUR);
        b.clock.run_until_idle(&b.pool);
        assert_eq!(b.runs(), ["2025-07-01T00:00:00Z"]);
        b.pass(MINUTE);
        assert_eq!((b.runs().len(), tick.stats().runs), (60, 61));
    });
}

#[test]
fn a_clock_that_is_set_back_by_little_repeats_nothing() {
    Bench::at("2025-06-01T11:30:00Z", |b| {
        let tick = b.start(|s| s.cron("0 * * * *"));
        b.pass(HOUR);
        assert_eq!(b.runs(), ["2025-06-01T12:00:00Z"]);
        b.clock.set_wall(utc("2025-06-01T10:00:00Z"));
        b.pass(2 * HOUR + HOUR / 2);
        assert_eq!(b.runs(), [] as [&str; 0]);
        b.pass(HOUR / 2);
        assert_eq!(b.runs(), ["2025-06-01T13:00:00Z"]);
        assert_eq!(skipped(&tick), []);
    });
}

#[test]
fn a_clock_that_was_wrong_begins_anew() {
    Bench::at("2035-06-01T11:30:00Z", |b| {
        let tick = b.start(|s| s.cron("0 * * * *"));
        b.pass(HOUR);
        b.runs();
        b.clock.set_wall(utc("2025-06-01T10:10:00Z"));
        assert_eq!(tick.next_runs(1), [When::Wall(utc("2025-06-01T11:00:00Z"))]);
        b.pass(2 * HOUR);
        assert_eq!(b.runs(), ["2025-06-01T11:00:00Z", "2025-06-01T12:00:00Z"]);
        assert_eq!(skipped(&tick), []);
    });
}

#[test]
fn a_clock_that_is_set_ahead_makes_one_run() {
    Bench::at("2025-06-01T11:30:00Z", |b| {
        let tick = b.start(|s| s.cron("0 * * * *"));
        b.clock.set_wall(utc("2025-06-01T14:10:00Z"));
        b.clock.run_until_idle(&b.pool);
        assert_eq!(b.runs(), ["2025-06-01T14:10:00Z"]);
        assert_eq!(skipped(&tick), [(SkipReason::Coalesced, 2)]);
        b.pass(HOUR);
        assert_eq!(b.runs(), ["2025-06-01T15:00:00Z"]);
    });
}
