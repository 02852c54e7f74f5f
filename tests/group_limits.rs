//! Groups: how many members run, how they are cancelled and dropped, and that the books are right.
#![cfg(not(any(loom, shuttle)))]

use crate::common::{Gate, Live, WIDTHS, at_each_width, block, end, scale, throw, until, watchdog};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use windlass::group::{GroupStatistics, MemberError};
use windlass::{
    Bound, CancelCause, CancelToken, Group, GroupHandle, Jitter, JobError, JobOutcome, JobState,
    Join, Pool, Priority, QueueLimits, Retry, RetryPolicy, Shutdown, SubmitError, WhenFull,
};

const LONG: Duration = crate::common::LONG;

/// Counts those that are inside.
#[derive(Default)]
struct Room {
    inside: AtomicUsize,
    most: AtomicUsize,
}

impl Room {
    fn visit(&self) {
        let inside = self.inside.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(inside, SeqCst);
        std::thread::yield_now();
        self.inside.fetch_sub(1, SeqCst);
    }
}

// ---- limits

#[test]
fn no_more_members_run_than_the_limit_says_and_all_do() {
    at_each_width(|pool| {
        for limit in 1..=3 {
            let (room, group) = (Arc::new(Room::default()), pool.group("room").limit(limit).open());
            std::thread::scope(|s| {
                for _ in 0..3 {
                    s.spawn(|| {
                        for n in 0..100 {
                            let room = Arc::clone(&room);
                            match n % 3 {
                                0 => drop(pool.job("").group(&group).submit(move || room.visit())),
                                _ => drop(group.submit(move || room.visit()).unwrap()),
                            }
                        }
                    });
                }
            });
            group.wait(Join::all()).unwrap();
            assert!(room.most.load(SeqCst) <= limit);
            assert_eq!(group.statistics().completed, 300);
        }
    });
}

/// RELIABILITY D6: a slot comes back however its holder ends.
#[test]
fn a_slot_comes_back_when_its_member_panics_is_cancelled_times_out_or_is_skipped() {
    at_each_width(|pool| {
        let group = pool.group("slots").limit(1).open();
        let (gate, blockers) = block(pool);
        let queued = group.submit(|| ()).unwrap();
        let held: Vec<_> = (0..3).map(|_| group.submit(|| ()).unwrap()).collect();
        assert_eq!((queued.state(), held[0].state()), (JobState::Queued, JobState::Waiting));
        let statistics = group.statistics();
        assert_eq!((statistics.queued, statistics.waiting), (1, 3));
        // The one that has the slot, and one that waits for it.
        held[1].cancel();
        queued.cancel();
        assert_eq!(held[0].state(), JobState::Queued);
        assert_eq!(group.statistics().cancelled, 2);
        let late = group.job("late").timeout(Duration::ZERO).submit(|| ()).unwrap();
        until(|| late.is_finished());
        let skipped = group.job("skipped").after(&[&queued]).submit(|| ()).unwrap();
        assert_eq!(skipped.outcome(), Some(JobOutcome::Skipped));
        end(&gate, blockers);
        group.submit_with(|_| throw("thrown")).unwrap();
        group.submit(|| ()).unwrap();
        group.wait(Join::collect());
        let s = group.statistics();
        assert_eq!((s.completed, s.panicked, s.cancelled, s.timed_out, s.skipped), (3, 1, 2, 1, 1));
    });
}

#[test]
fn a_member_that_fails_is_a_job_that_has_failed() {
    at_each_width(|pool| {
        let group = pool.group("fails").open::<()>();
        let failed = group.submit_fallible(|| Err("no")).unwrap();
        let after = group.job("after").after(&[&failed]).submit(|| ()).unwrap();
        let error = group.wait(Join::all()).unwrap_err();
        assert_eq!(error.first().unwrap().error().to_string(), "no");
        assert_eq!(failed.outcome(), Some(JobOutcome::Failed));
        assert_eq!(after.outcome(), Some(JobOutcome::Skipped));
        let statistics = group.statistics();
        assert_eq!((statistics.failed, statistics.skipped, statistics.completed), (1, 1, 0));
        assert_eq!(pool.job_counts().failed, 1);
    });
}

#[test]
fn who_waits_for_a_slot_gets_it_by_level_and_then_in_turn() {
    let pool = Pool::new(1).unwrap();
    watchdog(&pool, || {
        let group = pool.group("turns").limit(1).priority(Priority::Low).open();
        let (order, hold) = (Arc::new(Mutex::new(Vec::new())), Gate::default());
        let inner = hold.clone();
        let first = group.submit(move || inner.wait()).unwrap();
        assert_eq!(first.priority(), Priority::Low);
        for (name, priority) in [
            (1, Priority::Low),
            (2, Priority::High),
            (3, Priority::Low),
            (4, Priority::High),
            (5, Priority::Background),
        ] {
            let order = Arc::clone(&order);
            let note = move || order.lock().unwrap().push(name);
            group.job("").priority(priority).submit(note).unwrap();
        }
        hold.open();
        group.wait(Join::all()).unwrap();
        assert_eq!(*order.lock().unwrap(), [2, 4, 1, 3, 5]);
    });
}

#[test]
fn a_limit_can_be_changed_and_zero_holds_all_back() {
    at_each_width(|pool| {
        let group = pool.group("paused").limit(0).open();
        let jobs: Vec<_> = (0..5).map(|n| group.submit(move || n).unwrap()).collect();
        assert!(jobs.iter().all(|job| job.state() == JobState::Waiting));
        assert!(pool.submit(|| true).wait().unwrap(), "no worker is held");
        assert!(group.set_limit(2));
        assert_eq!(group.wait(Join::all()).unwrap(), [0, 1, 2, 3, 4]);
        assert!(!pool.group("none").open::<()>().set_limit(1));
    });
}

#[test]
fn members_of_nested_groups_count_for_the_limits_above() {
    at_each_width(|pool| {
        let room = Arc::new(Room::default());
        let outer = pool.group("outer").limit(2).open::<()>();
        let middle = outer.group("middle").open::<()>();
        let inner: Vec<Group<()>> =
            (0..3).map(|n| middle.group(&n.to_string()).limit(1).open()).collect();
        for _ in 0..50 {
            for group in &inner {
                let room = Arc::clone(&room);
                group.submit(move || room.visit()).unwrap();
            }
            let room = Arc::clone(&room);
            outer.submit(move || room.visit()).unwrap();
        }
        outer.wait(Join::all()).unwrap();
        assert_eq!(inner[1].name(), "outer/middle/1");
        assert!(inner.iter().all(|group| group.statistics().completed == 50));
        assert_eq!(outer.statistics().total, 50);
        assert!(room.most.load(SeqCst) <= 2);
    });
}

/// golang #27837: adding to a full group from inside of it.
#[test]
fn a_member_adds_to_its_full_group_without_blocking() {
    fn grow(group: GroupHandle<u32>, depth: u32) -> u32 {
        if depth > 0 {
            for _ in 0..2 {
                let inner = group.clone();
                group.submit(move || grow(inner, depth - 1)).unwrap();
            }
        }
        1
    }
    at_each_width(|pool| {
        let group = pool.group("tree").limit(1).open();
        let handle = group.handle();
        group.submit(move || grow(handle, 6)).unwrap();
        assert_eq!(group.wait(Join::all()).unwrap().len(), 127);
    });
}

/// SEMANTICS 6.4: a member that is tried again has not ended, and holds no slot while it waits.
#[test]
fn a_retrying_member_has_not_ended_and_gives_its_slot_back_meanwhile() {
    at_each_width(|pool| {
        let group = pool.group("retry").limit(1).open::<()>();
        let policy = RetryPolicy::fixed(Duration::from_millis(2)).attempts(3);
        let retried = pool.job("again").group(&group).retry(policy);
        let handle = retried.submit_fallible(|cx| match cx.attempt() {
            3 => Ok(()),
            _ => Err("not yet"),
        });
        for _ in 0..20 {
            group.submit(|| ()).unwrap();
        }
        assert_eq!(group.wait(Join::collect()).len(), 20);
        assert!(handle.is_finished(), "the group waits for its last attempt");
        let s = group.statistics();
        assert_eq!((s.completed, s.failed, s.total), (21, 0, 21));
        assert!(handle.wait().is_ok());

        // One that waits for ever: the slot is free, and a cancel ends it at once.
        let policy = RetryPolicy::fixed(LONG).attempts(2).jitter(Jitter::None);
        let job = pool.job("late").group(&group).retry(policy);
        let late = job.submit_fallible(|_| Err::<(), _>("never"));
        until(|| group.statistics().retrying == 1);
        group.submit(|| ()).unwrap();
        assert_eq!(group.as_completed().next().unwrap().result.unwrap(), ());
        group.cancel();
        assert!(late.is_finished() && group.statistics().cancelled == 1);
        assert!(group.wait(Join::all()).is_err());
    });
}

#[test]
fn a_member_is_retried_and_the_group_has_its_last_result() {
    at_each_width(|pool| {
        let group = pool.group("pages").limit(1).fail_fast().open();
        let policy = RetryPolicy::fixed(Duration::from_micros(10)).attempts(3);
        // The first two attempts of each fail, which cancels nobody.
        for n in 0..5 {
            let page = group.job("page").retry(policy.clone());
            let page =
                page.submit_fallible(move |cx| if cx.attempt() < 3 { Err("no") } else { Ok(n) });
            assert_eq!(page.unwrap().name(), Some("pages/page"));
        }
        assert_eq!(group.wait(Join::all()).unwrap(), [0, 1, 2, 3, 4]);

        // One that gives up has failed, with its last error, and cancels the others.
        let held = group.job("held").after(&[&pool.job("never").submit(|| ())]);
        let retry = Retry::new(RetryPolicy::fixed(LONG).attempts(2).jitter(Jitter::None));
        let held = held.retry(retry).submit_fallible(|_| Err("later")).unwrap();
        until(|| group.statistics().retrying == 1);
        let bad = group.job("bad").retry(policy.clone());
        let bad = bad.submit_fallible(|cx| Err(format!("attempt {}", cx.attempt()))).unwrap();
        let mut results = group.wait(Join::collect());
        results.sort_by_key(|member| member.index());
        let [late, failed] = &results[..] else { unreachable!("{results:?}") };
        assert!(matches!(late.result, Err(MemberError::Job(JobError::Cancelled { .. }))));
        match &failed.result {
            Err(MemberError::Failed(error)) => assert_eq!(error.to_string(), "attempt 3"),
            other => unreachable!("{other:?}"),
        }
        assert_eq!((held.attempts(), bad.attempts()), (1, 3));
        assert_eq!(bad.outcome(), Some(JobOutcome::Failed));
        let refused = group.job("closed").retry(policy).submit_fallible(|_| Err::<u32, _>("no"));
        assert!(matches!(refused, Err(SubmitError::GroupClosed(_))));
    });
}

#[test]
fn a_group_completes_once_after_its_last_member() {
    at_each_width(|pool| {
        let (group, hold) = (pool.group("last").open(), Gate::default());
        let inner = hold.clone();
        group.submit(move || inner.wait()).unwrap();
        for _ in 0..10 {
            group.submit(|| ()).unwrap();
        }
        let is_done = Arc::new(AtomicUsize::new(0));
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let (group, is_done) = (group.handle(), Arc::clone(&is_done));
                std::thread::spawn(move || {
                    let ended = group.wait(Join::collect()).len();
                    is_done.fetch_add(1, SeqCst);
                    ended
                })
            })
            .collect();
        if pool.num_workers() > 1 {
            until(|| group.statistics().completed == 10);
        }
        assert_eq!(is_done.load(SeqCst), 0);
        hold.open();
        let ended: usize = waiters.into_iter().map(|waiter| waiter.join().unwrap()).sum();
        assert_eq!(ended, 11, "each result goes to one of them");
    });
}

// ---- cancelling

#[test]
fn cancelling_a_group_ends_what_has_not_started_and_asks_the_rest() {
    static LIVE: Live = Live::new();
    at_each_width(|pool| {
        let group = pool.group("cancel").limit(pool.num_workers()).open();
        let nested = group.group("nested").open();
        let started = Arc::new(AtomicUsize::new(0));
        for _ in 0..pool.num_workers() {
            let started = Arc::clone(&started);
            group
                .submit_with(move |cx| {
                    started.fetch_add(1, SeqCst);
                    while !cx.is_cancelled() {
                        std::thread::yield_now();
                    }
                    cx.token().cause()
                })
                .unwrap();
        }
        until(|| started.load(SeqCst) == pool.num_workers());
        for n in 0..10 {
            let token = LIVE.token();
            let call = move || {
                let _token = token;
                unreachable!("it never starts")
            };
            let job = if n % 2 == 0 { group.submit(call) } else { nested.submit(call) };
            job.unwrap_or_else(|_| unreachable!());
        }
        group.cancel_all("enough".into());
        LIVE.assert_none();
        assert!(nested.is_closed() && group.is_closed());
        group.cancel_all(CancelCause::Shutdown);
        let mut asked = 0;
        for member in group.wait(Join::collect()) {
            match member.result {
                Ok(cause) => {
                    assert_eq!(cause, Some("enough".into()));
                    asked += 1;
                }
                Err(MemberError::Job(JobError::Cancelled { cause, had_started })) => {
                    assert!(cause == "enough".into() && !had_started);
                }
                Err(other) => unreachable!("{other:?}"),
            }
        }
        assert_eq!(asked, pool.num_workers());
        assert_eq!(nested.statistics().cancelled, 5);
    });
}

#[test]
fn a_slot_that_comes_free_in_a_cancel_starts_nobody() {
    at_each_width(|pool| {
        let token = CancelToken::new();
        // Tokens are marked, and callbacks come, in no promised order: one of these two is marked after
        // the nested group's, and one is called before that is told.
        let one = token.child();
        let group = pool.group("cancel").cancel_token(&token).limit(1).open();
        let two = token.child();
        let nested = group.group("nested").open();
        let running = [one.clone(), two.clone()];
        let first = group
            .submit(move || {
                while !running.iter().all(CancelToken::is_cancelled) {
                    std::thread::yield_now();
                }
            })
            .unwrap();
        until(|| first.state() == JobState::Running);
        let next = nested.submit(|| ()).unwrap();
        let callbacks = [&one, &two].map(|token| {
            let (first, next) = (first.clone(), next.clone());
            token.on_cancel(move |_| until(|| first.is_finished() && next.is_finished()))
        });
        token.cancel();
        assert_eq!(first.outcome(), Some(JobOutcome::Completed));
        assert_eq!(next.outcome(), Some(JobOutcome::Cancelled));
        drop(callbacks);
    });
}

#[test]
fn a_token_above_cancels_the_group_and_the_group_nothing_above() {
    at_each_width(|pool| {
        let token = CancelToken::new();
        let group = pool.group("below").cancel_token(&token).limit(0).open::<()>();
        let other = pool.group("other").cancel_token(&token).open::<()>();
        let job = group.submit(|| ()).unwrap();
        other.cancel();
        assert!(!token.is_cancelled() && !job.is_finished());
        token.cancel_with(CancelCause::Shutdown);
        assert_eq!(job.outcome(), Some(JobOutcome::Cancelled));
        assert!(matches!(group.submit(|| ()), Err(SubmitError::GroupClosed(_))));
        assert!(matches!(
            pool.job("x").group(&group).submit(|| ()).wait(),
            Err(JobError::Rejected)
        ));
    });
}

#[test]
fn a_deadline_cancels_the_members_which_see_it() {
    at_each_width(|pool| {
        let group = pool.group("timed").timeout(Duration::from_millis(20)).open();
        let long = group.submit_with(|cx| {
            assert!(cx.deadline().is_some());
            while !cx.is_cancelled() {
                std::thread::yield_now();
            }
        });
        long.unwrap();
        let waits = pool.group("waits").timeout(Duration::from_millis(5)).limit(0).open::<()>();
        let job = waits.submit(|| ()).unwrap();
        until(|| job.is_finished());
        group.wait(Join::collect());
        assert_eq!(group.token().cause(), Some(CancelCause::Deadline));
        assert!(group.is_closed() && waits.is_closed());
    });
}

#[test]
fn services_stop_in_the_reverse_order() {
    let pool = Pool::new(4).unwrap();
    watchdog(&pool, || {
        let (group, order) = (pool.group("services").open(), Arc::new(Mutex::new(Vec::new())));
        for n in 0..4 {
            let order = Arc::clone(&order);
            group
                .submit_with(move |cx| {
                    while !cx.is_cancelled() {
                        std::thread::yield_now();
                    }
                    order.lock().unwrap().push(n);
                })
                .unwrap();
        }
        until(|| group.statistics().running == 4);
        assert!(group.stop_in_reverse(LONG));
        assert_eq!(*order.lock().unwrap(), [3, 2, 1, 0]);
        assert!(group.is_closed());
    });
}

// ---- dropping

/// SEMANTICS 6.18.
#[test]
fn a_dropped_group_cancels_a_detached_one_does_not_a_guard_waits() {
    static LIVE: Live = Live::new();
    at_each_width(|pool| {
        let (gate, blockers) = block(pool);
        let runs = Arc::new(AtomicUsize::new(0));
        let fill = |group: &Group<crate::common::Token<'static>>| {
            for _ in 0..5 {
                let (runs, token) = (Arc::clone(&runs), LIVE.token());
                group
                    .submit(move || {
                        runs.fetch_add(1, SeqCst);
                        token
                    })
                    .unwrap();
            }
        };
        let group = pool.group("dropped").limit(2).open();
        fill(&group);
        let handle = group.handle();
        drop(group);
        LIVE.assert_none();
        assert!(handle.submit(|| LIVE.token()).is_err());
        assert_eq!(handle.statistics().cancelled, 5);

        let group = pool.group("detached").limit(2).open();
        fill(&group);
        let handle = group.handle();
        group.detach();
        handle.submit(|| LIVE.token()).unwrap();
        end(&gate, blockers);
        until(|| handle.statistics().completed == 6);
        assert_eq!(handle.as_completed().count(), 0, "its results are dropped");

        let group = pool.group("guard").limit(2).open().wait_on_drop();
        fill(&group);
        drop(group);
        assert_eq!(runs.load(SeqCst), 10);

        // By a panic.
        let thrown: &str = crate::common::caught(|| {
            pool.group("run").limit(1).run(|group| {
                fill(group);
                throw::<&str>("thrown")
            })
        });
        assert_eq!(thrown, "thrown");
        assert!(pool.wait_idle(LONG));
        LIVE.assert_none();
    });
}

#[test]
fn nothing_of_a_group_is_left_behind() {
    at_each_width(|pool| {
        let root = CancelToken::new();
        let captured = Arc::new(());
        for n in 0..50 {
            let group = pool.group("round").cancel_token(&root).limit(1 + n % 3).open();
            let nested = group.group("nested").open();
            for _ in 0..10 {
                let (a, b) = (Arc::clone(&captured), Arc::clone(&captured));
                group.submit(move || a).unwrap();
                nested.submit(move || b).unwrap();
            }
            if n % 2 == 0 {
                group.wait(Join::all()).unwrap();
            }
        }
        until(|| pool.job_counts().pending() == 0);
        until(|| Arc::strong_count(&captured) == 1);
        assert!(root.num_children_for_test() < 25, "the token tree is pruned");
    });
}

#[test]
fn the_end_of_the_pool_ends_the_members() {
    for width in WIDTHS {
        let pool = Pool::new(width).unwrap();
        let group = pool.group("left").limit(1).open();
        let (hold, started) = (Gate::default(), Gate::default());
        let (inner, begun) = (hold.clone(), started.clone());
        group
            .submit(move || {
                begun.open();
                inner.wait();
            })
            .unwrap();
        started.wait();
        for _ in 0..5 {
            group.submit(|| ()).unwrap();
        }
        let waiter = {
            let group = group.handle();
            std::thread::spawn(move || group.wait(Join::collect()))
        };
        pool.shutdown(Shutdown::CancelPending, Duration::ZERO);
        match group.submit(|| ()) {
            Err(SubmitError::ShuttingDown(f)) => f(),
            other => unreachable!("{other:?}"),
        }
        hold.open();
        let ended = waiter.join().unwrap();
        let is_abandoned =
            |error: &MemberError| matches!(error, MemberError::Job(JobError::Abandoned));
        assert_eq!(ended.len(), 6);
        assert_eq!(ended.iter().filter(|m| m.result.as_ref().is_err_and(is_abandoned)).count(), 5);
        drop(pool);
        assert_eq!((group.statistics().total, group.statistics().abandoned), (6, 5));
        assert!(group.submit(|| ()).is_err());
        // Below a group whose pool is gone.
        assert!(group.group("nested").limit(1).open().submit(|| ()).is_err());
    }
}

// ---- the books

fn assert_consistent(s: &GroupStatistics) {
    assert_eq!(s.total, s.finished() + s.pending(), "{s:?}");
}

#[test]
fn what_is_read_of_a_group_adds_up_at_any_time() {
    at_each_width(|pool| {
        let group = pool.group("sums").limit(3).open();
        let is_over = AtomicUsize::new(0);
        std::thread::scope(|s| {
            let reader = s.spawn(|| {
                let (mut last, mut looks) = (0, 0);
                while is_over.load(SeqCst) == 0 || looks < 10 {
                    let statistics = group.statistics();
                    assert_consistent(&statistics);
                    assert!(statistics.running + statistics.queued <= 3, "{statistics:?}");
                    assert!(statistics.finished() >= last);
                    assert!((0.0..=1.0).contains(&statistics.progress()));
                    (last, looks) = (statistics.finished(), looks + 1);
                }
            });
            for n in 0..scale(2_000) {
                let job = match n % 3 {
                    0 => group.submit_fallible(|| Err::<(), _>("no")).unwrap(),
                    _ => group.submit(|| ()).unwrap(),
                };
                if n % 5 == 0 {
                    job.cancel();
                }
            }
            group.wait(Join::collect());
            is_over.store(1, SeqCst);
            reader.join().unwrap();
        });
        assert_eq!(group.statistics().total, scale(2_000) as u64);
    });
}

/// A small generator, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Everything at once, by several threads: at the end each accepted member has ended once, its
/// result was handed out once or dropped, and nothing is left of any.
#[test]
fn the_books_are_right_under_a_random_mix_of_everything() {
    static LIVE: Live = Live::new();
    at_each_width(|pool| {
        for round in 0..scale(30) as u64 {
            let mut builder = pool.group("mix").limit((round % 4 + 1) as usize);
            if round % 3 == 0 {
                builder = builder.fail_fast();
            }
            let group = builder.open();
            let nested = group.group("nested").limit(2).open();
            let (accepted, taken, refused) =
                (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
            std::thread::scope(|s| {
                for thread in 0..3_u64 {
                    let (group, nested) = (&group, &nested);
                    let (accepted, taken, refused) = (&accepted, &taken, &refused);
                    s.spawn(move || {
                        let mut dice = Dice(round * 31 + thread + 1);
                        let mut jobs = Vec::new();
                        for _ in 0..60 {
                            let token = LIVE.token();
                            let target = if dice.roll(4) == 0 { nested } else { group };
                            let job = match dice.roll(12) {
                                0 => target.submit_with(|_| throw("no")).map_err(drop),
                                1 => target
                                    .submit_fallible(|| {
                                        Err::<crate::common::Token<'static>, _>("no")
                                    })
                                    .map_err(drop),
                                2 => {
                                    let handle = target.handle();
                                    let more = move || {
                                        let _ = handle.submit(|| LIVE.token());
                                        token
                                    };
                                    target.submit(more).map_err(drop)
                                }
                                3 if !jobs.is_empty() => {
                                    let at = dice.roll(jobs.len() as u64) as usize;
                                    let after: &windlass::JobRef = &jobs[at];
                                    target.job("").after(&[after]).submit(|| token).map_err(drop)
                                }
                                4 => {
                                    let timeout = Duration::from_micros(dice.roll(100));
                                    target.job("").timeout(timeout).submit(|| token).map_err(drop)
                                }
                                _ => target.submit(|| token).map_err(drop),
                            };
                            match job {
                                Ok(job) => {
                                    accepted.fetch_add(1, SeqCst);
                                    jobs.push(job);
                                }
                                Err(()) => drop(refused.fetch_add(1, SeqCst)),
                            }
                            match dice.roll(40) {
                                0 | 1 if !jobs.is_empty() => {
                                    jobs[dice.roll(jobs.len() as u64) as usize].cancel();
                                }
                                2..=4 => {
                                    let got = usize::from(target.try_next().is_some());
                                    taken.fetch_add(got, SeqCst);
                                }
                                5 => {
                                    let wait = Duration::from_micros(dice.roll(50));
                                    let got = target.wait_timeout(Join::collect(), wait).len();
                                    taken.fetch_add(got, SeqCst);
                                }
                                6 if dice.roll(20) == 0 => nested.cancel(),
                                7 if dice.roll(30) == 0 => group.close(),
                                8 => assert_consistent(&target.statistics()),
                                9 => drop(group.set_limit(dice.roll(4) as usize + 1)),
                                _ => {}
                            }
                        }
                    });
                }
            });
            let last = [&group, &nested].map(|group| group.wait(Join::collect()).len());
            let (outer, inner) = (group.statistics(), nested.statistics());
            for statistics in [&outer, &inner] {
                assert_consistent(statistics);
                assert_eq!(statistics.pending(), 0, "{statistics:?}");
            }
            // Members have added others.
            let total = (outer.total + inner.total) as usize;
            assert!(total >= accepted.load(SeqCst));
            assert_eq!(taken.load(SeqCst) + last.iter().sum::<usize>(), total);
        }
        // Those that have timed out may run for a moment longer.
        assert!(pool.wait_idle(LONG));
        LIVE.assert_none();
        let counts = pool.job_counts();
        assert_eq!(counts.accepted, counts.finished());
    });
}

// ---- with the pool's limits

/// Who waits for room in the pool holds no slot of the group, or nobody would make room.
#[test]
fn a_limited_group_gets_through_a_bounded_queue() {
    for width in [1, 2] {
        let limits = QueueLimits::new(Bound::jobs(2)).when_full(WhenFull::Block);
        let pool = Pool::builder().workers(width).queue(limits).build().unwrap();
        watchdog(&pool, || {
            let group = pool.group("narrow").limit(1).open();
            std::thread::scope(|s| {
                for _ in 0..4 {
                    s.spawn(|| (0..50).for_each(|n| drop(group.submit(move || n).unwrap())));
                }
            });
            assert_eq!(group.wait(Join::all()).unwrap().len(), 200);
        });
    }
}
