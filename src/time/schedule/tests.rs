use super::event::{EndReason, RunOutcome, ScheduleEventKind as Kind, SkipReason};
use super::plan::{Order, Plan, ScheduleState};
use super::rules::{Misfire, Overlap, Rules};
use crate::time::trigger::Every;
use crate::time::when::{Moment, When};
use std::time::{Duration, Instant, SystemTime};

fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A plan of one run every ten seconds, whose time the test says.
struct Bench {
    plan: Plan,
    start: Moment,
}

impl Bench {
    fn new(rules: Rules) -> Self {
        let start = Moment { at: Instant::now(), wall: SystemTime::now() };
        let mut plan = Plan::new(Box::new(Every::rate(s(10))), rules, 64, start, None);
        plan.begin(false, start);
        Bench { plan, start }
    }

    fn at(&self, n: u64) -> Moment {
        self.start.on(When::Instant(self.start.at + s(n)))
    }

    /// What is ordered when it looks then.
    fn look(&mut self, n: u64) -> Vec<Order> {
        self.plan.look(self.at(n));
        self.plan.take_effects().orders
    }

    fn skipped(&mut self) -> Vec<(SkipReason, u64)> {
        let events = self.plan.record.take().events.into_iter();
        let skips = events.filter_map(|event| match event.kind {
            Kind::Skipped { reason, count, .. } => Some((reason, count)),
            _ => None,
        });
        skips.collect()
    }
}

#[test]
fn a_rejected_run_takes_what_waits_behind_it_along() {
    let mut b = Bench::new(Rules { misfire: Misfire::Burst, ..Rules::default() });
    let orders = b.look(1_000_000);
    assert_eq!(orders.len(), 1);
    b.plan.rejected(&orders[0], false, b.at(1_000_000));
    assert!(b.plan.take_effects().orders.is_empty());
    assert_eq!(b.skipped(), [(SkipReason::Rejected, 1), (SkipReason::Rejected, 99_999)]);
    // It goes on, and a run that was not made does not count.
    assert_eq!(b.look(1_000_010).len(), 1);
    assert_eq!((b.plan.stats.runs, b.plan.stats.skipped), (1, 100_000));
}

#[test]
fn a_run_that_is_rejected_by_the_end_of_the_pool_ends_the_series() {
    let mut b = Bench::new(Rules { overlap: Overlap::QueueOne, ..Rules::default() });
    let orders = b.look(10);
    assert!(b.look(20).is_empty());
    b.plan.rejected(&orders[0], true, b.at(20));
    assert_eq!(b.plan.state(), ScheduleState::Ended(EndReason::Shutdown));
    assert!(b.plan.take_effects().orders.is_empty() && b.plan.aim().is_none());
    assert_eq!(b.skipped(), [(SkipReason::Ended, 1); 2]);
}

#[test]
fn never_more_in_flight_than_allowed_and_each_time_once() {
    for overlap in [Overlap::Skip, Overlap::QueueOne, Overlap::Allow(3), Overlap::CancelPrevious] {
        for misfire in [Misfire::RunLate, Misfire::Skip, Misfire::Burst] {
            let mut b = Bench::new(Rules { overlap, misfire, ..Rules::default() });
            let (mut state, mut now, mut in_flight) = (1_u64, 0, Vec::new());
            let most = if overlap == Overlap::Allow(3) { 3 } else { 1 };
            let mut made = 0;
            for _ in 0..2_000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let random = state >> 33;
                if random % 3 == 0 && !in_flight.is_empty() {
                    let order: Order = in_flight.swap_remove(random as usize % in_flight.len());
                    b.plan.finished(order.run, RunOutcome::Completed, b.at(now));
                } else {
                    now += random % 7 * if random % 50 == 1 { 20 } else { 1 };
                    b.plan.look(b.at(now));
                }
                let orders = b.plan.take_effects().orders;
                made += orders.len() as u64;
                in_flight.extend(orders);
                assert!(in_flight.len() <= most, "{overlap:?}, {misfire:?}");
            }
            // S1: every time up to now was run, was skipped, or waits.
            let waits = now / 10 - made - b.plan.stats.skipped;
            let all_wait = misfire == Misfire::Burst || waits <= 1;
            assert!(all_wait, "{overlap:?}, {misfire:?}: {waits} of {} wait", now / 10);
            b.plan.end(EndReason::Cancelled, b.at(now));
            assert_eq!(made + b.plan.stats.skipped, now / 10, "{overlap:?}, {misfire:?}");
        }
    }
}
