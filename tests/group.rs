//! Groups: members are waited for, limited, cancelled and counted together.
#![cfg(not(any(loom, shuttle)))]

use crate::common::{Gate, LONG, Live, Meeting, at_each_width, block, end, throw, until, watchdog};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use windlass::group::{Ended, Finish, GroupErrorKind, JoinEnd, Joiner, MemberError, Until};
use windlass::{
    CancelCause, CancelOutcome, GroupHandle, JobError, Join, Pool, RetryPolicy, SubmitError,
};

// ---- waiting

#[test]
fn results_come_in_the_order_of_submission() {
    at_each_width(|pool| {
        let group = pool.group("squares").open();
        for n in 0..200_u64 {
            group.submit(move || n * n).unwrap();
        }
        let squares = group.wait(Join::all()).unwrap();
        assert!(squares.iter().enumerate().all(|(n, square)| *square == (n * n) as u64));
        // And the group can be used on.
        group.submit(|| 7).unwrap();
        assert_eq!(group.wait(Join::all()).unwrap(), [7]);
    });
}

#[test]
fn a_group_without_members_completes_at_once() {
    at_each_width(|pool| {
        let group = pool.group("none").limit(1).open::<u32>();
        assert_eq!(group.wait(Join::all()).unwrap(), []);
        assert!(group.wait(Join::any()).is_none());
        assert_eq!(group.wait(Join::first_n(0)).unwrap(), []);
        let group = pool.group("none").open::<u32>();
        assert_eq!(group.wait(Join::first_ok()).unwrap_err().kind(), GroupErrorKind::Failed);
        assert_eq!(group.as_completed().count(), 0);
        assert!(group.next_timeout(LONG).is_none());
        // Nested ones count for nothing, either.
        let _inner = group.group("inner").open::<()>();
        assert!(group.wait(Join::all()).unwrap().is_empty());
    });
}

#[test]
fn each_result_is_handed_out_once_failures_and_cancellations_included() {
    at_each_width(|pool| {
        let (gate, blockers) = block(pool);
        let group = pool.group("mixed").open();
        for n in 0..20_usize {
            let job = match n % 4 {
                0 => group.submit(move || n),
                1 => {
                    group.submit_fallible(move || Err::<usize, _>("no")).map_err(|_| unreachable!())
                }
                2 => group.submit(|| throw("no")).map_err(|_| unreachable!()),
                _ => group.submit(move || n).map_err(|_| unreachable!()),
            };
            let job = job.unwrap();
            if n % 4 == 3 {
                job.cancel();
            }
        }
        // They can be taken before all have ended.
        assert!(group.as_completed().take(5).all(|ended| {
            matches!(ended.result, Err(MemberError::Job(JobError::Cancelled { .. })))
        }));
        end(&gate, blockers);
        let takers = [(); 2].map(|()| {
            let group = group.handle();
            std::thread::spawn(move || {
                let indices =
                    group.as_completed().map(|ended| (ended.index(), ended.result.is_ok()));
                indices.collect::<Vec<_>>()
            })
        });
        let mut taken: Vec<_> =
            takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect();
        taken.sort_unstable();
        let expected: Vec<_> = (0..20).filter(|n| n % 4 != 3).map(|n| (n, n % 4 == 0)).collect();
        assert_eq!(taken, expected);
        assert!(group.try_next().is_none());
    });
}

#[test]
fn first_ends_first_successes_and_n_of_them() {
    at_each_width(|pool| {
        let group = pool.group("any").open();
        group.submit(|| -> u32 { throw(0) }).unwrap();
        assert!(group.wait(Join::any()).unwrap().result.is_err());
        assert!(group.is_closed(), "the rest is cancelled");

        let group = pool.group("ok").open();
        let hold = Gate::default();
        for n in 0..4_u32 {
            let hold = hold.clone();
            // Those that hang hold no more than the one worker.
            let wait = move || {
                hold.wait();
                n
            };
            if n == 3 && pool.num_workers() > 1 {
                group.submit(wait).unwrap();
            } else {
                group.submit_fallible(move || if n < 2 { Err("no") } else { Ok(n) }).unwrap();
            }
        }
        assert!(group.wait(Join::first_ok()).unwrap() >= 2);
        hold.open();

        let group = pool.group("n").open();
        for n in 0..5_u32 {
            group.submit_fallible(move || if n % 2 == 0 { Ok(n) } else { Err("odd") }).unwrap();
        }
        let mut even = group.wait(Join::first_n(3)).unwrap();
        even.sort_unstable();
        assert_eq!(even, [0, 2, 4]);

        let group = pool.group("too few").open();
        group.submit(|| 1).unwrap();
        group.submit_fallible(|| Err::<u32, _>("no")).unwrap();
        let error = group.wait(Join::first_n(2)).unwrap_err();
        assert_eq!((error.kind(), error.failures().len()), (GroupErrorKind::Failed, 1));
    });
}

/// The shortcut cancels what has not started, whose closures are dropped.
#[test]
fn a_joiner_that_has_enough_cancels_the_rest() {
    struct Two(usize);
    impl Joiner<usize> for Two {
        type Output = (usize, JoinEnd);
        fn until(&self) -> Until {
            Until::Ends(1)
        }
        fn ended(&mut self, member: Ended<usize>) -> ControlFlow<()> {
            self.0 += member.result.unwrap();
            if self.0 >= 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
        fn finish(self, finish: Finish) -> Self::Output {
            (self.0, finish.end)
        }
    }
    static LIVE: Live = Live::new();
    at_each_width(|pool| {
        let group = pool.group("two").limit(1).open();
        let runs = Arc::new(AtomicUsize::new(0));
        let hold = Gate::default();
        for n in 0..10 {
            let (hold, runs, token) = (hold.clone(), Arc::clone(&runs), LIVE.token());
            group
                .submit(move || {
                    let _token = token;
                    if n == 2 {
                        hold.wait();
                    }
                    runs.fetch_add(1, Ordering::SeqCst);
                    1
                })
                .unwrap();
        }
        assert_eq!(group.wait(Two(0)), (2, JoinEnd::Enough));
        assert!(group.is_closed());
        hold.open();
        until(|| group.statistics().pending() == 0);
        assert!(runs.load(Ordering::SeqCst) <= 3);
        let statistics = group.statistics();
        assert!(statistics.cancelled >= 7, "{statistics:?}");
        drop(group);
    });
    LIVE.assert_none();
}

#[test]
fn a_wait_that_times_out_loses_nothing() {
    at_each_width(|pool| {
        let (group, hold) = (pool.group("slow").open(), Gate::default());
        let inner = hold.clone();
        group.submit(|| 1).unwrap();
        group
            .submit(move || {
                inner.wait();
                2
            })
            .unwrap();
        until(|| group.statistics().completed == 1);
        let error = group.wait_timeout(Join::all(), Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.kind(), GroupErrorKind::TimedOut);
        hold.open();
        assert_eq!(group.wait_timeout(Join::all(), LONG).unwrap(), [1, 2]);

        // Others make do with a part.
        let (group, hold) = (pool.group("partial").open(), Gate::default());
        let inner = hold.clone();
        group.submit(|| 1).unwrap();
        group
            .submit(move || {
                inner.wait();
                2
            })
            .unwrap();
        until(|| group.statistics().completed == 1);
        let part = group.wait_timeout(Join::collect(), Duration::ZERO);
        assert_eq!(part.iter().map(Ended::index).collect::<Vec<_>>(), [0]);
        hold.open();
        assert_eq!(group.wait(Join::collect()).len(), 1);
    });
}

/// SEMANTICS 6.1.
#[test]
fn a_member_cancelled_before_the_wait_wakes_it() {
    at_each_width(|pool| {
        let (gate, blockers) = block(pool);
        let group = pool.group("cancelled").open();
        let jobs: Vec<_> = (0..3).map(|n| group.submit(move || n).unwrap()).collect();
        jobs.iter().for_each(|job| assert_eq!(job.cancel(), CancelOutcome::Removed));
        let error = group.wait(Join::all()).unwrap_err();
        assert_eq!(error.failures().len(), 3);
        // And one that is cancelled during it.
        let job = group.submit(|| 1).unwrap();
        let waiter = {
            let group = group.handle();
            std::thread::spawn(move || group.wait(Join::collect()).len())
        };
        job.cancel();
        assert_eq!(waiter.join().unwrap(), 1);
        end(&gate, blockers);
    });
}

// ---- waiting workers

/// SEMANTICS 6.2, RELIABILITY D11.
#[test]
fn as_many_waiting_workers_as_there_are_finish_at_any_depth() {
    fn sum(pool: &Pool, depth: u32) -> u64 {
        if depth == 0 {
            return 1;
        }
        let group = pool.group("level").open();
        for _ in 0..2 {
            let inner = pool.clone();
            group.submit(move || sum(&inner, depth - 1)).unwrap();
        }
        group.wait(Join::all()).unwrap().into_iter().sum()
    }
    for spares in [0, 4] {
        for width in crate::common::WIDTHS {
            let pool = Pool::builder().workers(width).max_spare_workers(spares).build().unwrap();
            watchdog(&pool, || {
                let jobs: Vec<_> = (0..2 * width)
                    .map(|_| {
                        let inner = pool.clone();
                        pool.submit(move || sum(&inner, 5))
                    })
                    .collect();
                jobs.into_iter().for_each(|job| assert_eq!(job.wait().unwrap(), 32));
            });
        }
    }
}

/// The members wait for a limit, so that none of them is queued when the wait begins.
#[test]
fn a_worker_helps_with_members_that_become_ready_while_it_waits() {
    for spares in [0, 1] {
        let pool = Pool::builder().workers(1).max_spare_workers(spares).build().unwrap();
        watchdog(&pool, || {
            let inner = pool.clone();
            let (first, second) = (Gate::default(), Gate::default());
            let outside = {
                let (first, second) = (first.clone(), second.clone());
                std::thread::spawn(move || {
                    first.wait();
                    // The worker waits, or is about to.
                    second.open();
                })
            };
            let job = pool.submit(move || {
                let group = inner.group("late").open();
                let other = Pool::new(1).unwrap();
                let elsewhere = other.submit(move || {
                    second.wait();
                });
                group.job("after").after(&[&elsewhere]).submit(|| 5).unwrap();
                first.open();
                group.wait(Join::all()).unwrap()
            });
            assert_eq!(job.wait().unwrap(), [5]);
            outside.join().unwrap();
        });
    }
}

/// L2: a lock that is held across the wait is not asked for by foreign work on this thread.
#[test]
fn a_waiting_worker_runs_nothing_foreign() {
    at_each_width(|pool| {
        let lock = Arc::new(Mutex::new(()));
        let jobs: Vec<_> = (0..16)
            .map(|_| {
                let (lock, pool) = (Arc::clone(&lock), pool.clone());
                move || {
                    let _guard = lock.lock().unwrap();
                    let group = pool.group("inside").open();
                    for n in 0..4 {
                        group.submit(move || n).unwrap();
                    }
                    group.wait(Join::all()).unwrap().into_iter().sum::<i32>()
                }
            })
            .collect();
        let handles: Vec<_> = jobs.into_iter().map(|job| pool.submit(job)).collect();
        handles.into_iter().for_each(|handle| assert_eq!(handle.wait().unwrap(), 6));
    });
}

#[test]
fn a_member_cannot_wait_for_its_own_group() {
    at_each_width(|pool| {
        let group = pool.group("self").open();
        let handle = group.handle();
        group
            .submit(move || {
                let nested = handle.group("nested").open();
                let outer = handle.clone();
                nested
                    .submit(move || outer.wait(Join::all()).map(drop).unwrap_err().kind())
                    .unwrap();
                let inside = nested.wait(Join::all()).unwrap()[0];
                assert!(handle.as_completed().next().is_none());
                (inside, handle.wait(Join::first_ok()).unwrap_err().kind())
            })
            .unwrap_or_else(|_| unreachable!());
        let kinds = group.wait(Join::all());
        assert_eq!(kinds.unwrap(), [(GroupErrorKind::FromInside, GroupErrorKind::FromInside)]);
    });
}

// ---- failing

#[test]
fn the_first_failure_cancels_the_others_and_is_told_first() {
    at_each_width(|pool| {
        let group = pool.group("fast").fail_fast().limit(1).open();
        let (ran, hold) = (Arc::new(AtomicBool::new(false)), Gate::default());
        let inner = hold.clone();
        group
            .submit_fallible(move || {
                inner.wait();
                Err::<(), _>("disk full")
            })
            .unwrap();
        for _ in 0..10 {
            let ran = Arc::clone(&ran);
            group.submit(move || ran.store(true, Ordering::SeqCst)).unwrap();
        }
        hold.open();
        let error = group.wait(Join::all()).unwrap_err();
        assert!(!ran.load(Ordering::SeqCst), "nobody starts after the failure");
        assert_eq!(error.first().unwrap().index(), 0);
        assert_eq!(error.first().unwrap().error().to_string(), "disk full");
        assert_eq!(error.failures().len(), 11);
        assert!(error.failures()[1..].iter().all(|failure| failure.error().is_secondary()));
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(std::error::Error::source(source).unwrap().to_string(), "disk full");
        assert!(error.to_string().contains("disk full (and 10 more)"), "{error}");
        let statistics = group.statistics();
        assert_eq!((statistics.failed, statistics.cancelled), (1, 10));
        assert_eq!(group.token().cause(), Some(CancelCause::SiblingFailed));
        assert!(matches!(group.submit(|| ()), Err(SubmitError::GroupClosed(_))));
    });
}

#[test]
fn without_that_the_others_go_on_and_all_failures_are_told() {
    at_each_width(|pool| {
        let group = pool.group("slow").fail_fast().collect_errors().open();
        for n in 0..9_u32 {
            let job = group.job(format!("m{n}"));
            match n % 3 {
                0 => drop(job.submit(move || n).unwrap()),
                1 => drop(job.submit_fallible(move || Err::<u32, _>(format!("{n}"))).unwrap()),
                _ => drop(job.submit_with(|_| throw("thrown")).unwrap()),
            }
        }
        let error = group.wait(Join::all()).unwrap_err();
        assert_eq!(error.failures().len(), 6);
        assert!(error.failures().iter().all(|failure| !failure.error().is_secondary()));
        let names: Vec<_> =
            error.failures().iter().map(|failure| failure.name().unwrap()).collect();
        assert!(names.contains(&"slow/m1") && names.contains(&"slow/m8"));
        assert_eq!(group.statistics().completed, 3);
        assert!(!group.is_closed());
    });
}

/// SEMANTICS 6.12: nothing that panics hurts the pool, and each is told once.
#[test]
fn panics_of_members_results_joiners_and_hooks_leave_the_pool_whole() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                throw("dropped")
            }
        }
    }
    at_each_width(|pool| {
        let ends = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&ends);
        let hook = move |_: &windlass::group::GroupStatistics| {
            counted.fetch_add(1, Ordering::SeqCst);
            throw("hook")
        };
        let group = pool.group("bombs").on_end(hook).open();
        for n in 0..4 {
            group.submit(move || if n % 2 == 0 { throw("member") } else { Some(Bomb) }).unwrap();
        }
        until(|| ends.load(Ordering::SeqCst) == 4);
        // The results are dropped with the group.
        drop(group);
        let group = pool.group("joiner").open();
        group.submit(|| 1).unwrap();
        let thrown: &str =
            crate::common::caught(|| group.wait(Join::fold((), |(), _| throw("joiner"))));
        assert_eq!(thrown, "joiner");
        group.submit(|| 2).unwrap();
        assert_eq!(group.wait(Join::all()).unwrap(), [2]);
        // All of it is at work.
        let meeting = Arc::new(Meeting::of(pool.num_workers()));
        let all: Vec<_> = (0..pool.num_workers())
            .map(|_| {
                let meeting = Arc::clone(&meeting);
                pool.submit(move || meeting.attend())
            })
            .collect();
        all.into_iter().for_each(|job| job.wait().unwrap());
    });
}

// ---- tasks

/// Unparks its thread, and counts.
struct Bell {
    thread: std::thread::Thread,
    rung: AtomicUsize,
}

impl std::task::Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

fn bell() -> Arc<Bell> {
    Arc::new(Bell { thread: std::thread::current(), rung: AtomicUsize::new(0) })
}

/// Returns also how often it was woken.
fn block_on<F: Future>(future: F) -> (F::Output, usize) {
    let (mut future, bell) = (std::pin::pin!(future), bell());
    let waker = std::task::Waker::from(Arc::clone(&bell));
    let mut cx = std::task::Context::from_waker(&waker);
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return (output, bell.rung.load(Ordering::SeqCst));
        }
        std::thread::park();
    }
}

#[test]
fn a_task_is_woken_once_when_all_is_there() {
    at_each_width(|pool| {
        let (group, hold) = (pool.group("tasks").open(), Gate::default());
        for n in 0..20 {
            let hold = hold.clone();
            group.submit(move || (hold.wait(), n).1).unwrap();
        }
        let opener = std::thread::spawn(move || hold.open());
        let (all, woken) = block_on(group.join(Join::all()));
        assert_eq!(all.unwrap(), (0..20).collect::<Vec<_>>());
        assert!(woken <= 1, "woken {woken} times");
        opener.join().unwrap();

        group.submit(|| 3).unwrap();
        let (first, _) = block_on(group.join(Join::first_ok()));
        assert_eq!(first.unwrap(), 3);
        assert!(group.is_closed());
    });
}

#[test]
fn a_task_takes_the_results_as_they_come_and_leaves_nothing_behind() {
    at_each_width(|pool| {
        let group = pool.group("stream").limit(2).open();
        for n in 0..50_u32 {
            group.submit(move || n).unwrap();
        }
        let mut stream = group.as_completed();
        let mut taken = Vec::new();
        while let Some(ended) = block_on(std::future::poll_fn(|cx| stream.poll_next(cx))).0 {
            taken.push(ended.result.unwrap());
        }
        taken.sort_unstable();
        assert_eq!(taken, (0..50).collect::<Vec<_>>());

        // A wait that is dropped keeps no waker.
        let (hold, bell) = (Gate::default(), bell());
        let inner = hold.clone();
        group.submit(move || (inner.wait(), 0).1).unwrap();
        let waker = std::task::Waker::from(Arc::clone(&bell));
        let mut cx = std::task::Context::from_waker(&waker);
        let mut join = group.join(Join::collect());
        for _ in 0..3 {
            assert!(std::pin::Pin::new(&mut join).poll(&mut cx).is_pending());
            assert!(group.as_completed().poll_next(&mut cx).is_pending());
        }
        drop((join, waker));
        assert_eq!(Arc::strong_count(&bell), 1);
        hold.open();
        assert_eq!(group.wait(Join::collect()).len(), 1);
        assert_eq!(bell.rung.load(Ordering::SeqCst), 0);
    });
}

// ---- members that are tried again

/// SEMANTICS 6.4.
#[test]
fn a_member_that_is_tried_again_is_not_finished() {
    at_each_width(|pool| {
        let group = pool.group("g").limit(1).open::<()>();
        let tries = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&tries);
        let hour = Duration::from_secs(3_600);
        let member = pool
            .job("m")
            .group(&group)
            .retry(RetryPolicy::fixed(hour).attempts(2))
            .submit_fallible(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                Err::<(), _>("no")
            });
        until(|| group.statistics().retrying == 1);
        assert_eq!(tries.load(Ordering::SeqCst), 1);
        // It holds no slot while it waits.
        let other = pool.job("o").group(&group).submit(|| 7);
        assert_eq!(other.wait().unwrap(), 7);
        // The group hears of an end after whoever waits for the job.
        until(|| group.statistics().completed == 1);
        let now = group.statistics();
        assert_eq!((now.total, now.retrying, now.pending()), (2, 1, 1));
        group.cancel_all(CancelCause::Requested);
        assert!(member.wait().is_err());
        until(|| group.statistics().pending() == 0);
        assert_eq!(group.statistics().cancelled, 1);
    });
}

/// Its `Err` is the end of it, and counts as a failure.
#[test]
fn a_member_that_gives_up_has_failed() {
    at_each_width(|pool| {
        let group = pool.group("g").fail_fast().open::<()>();
        let member = pool.job("m").group(&group).submit_fallible(|_| Err::<(), _>("no"));
        assert!(member.wait().is_err());
        until(|| group.statistics().pending() == 0);
        assert_eq!(group.statistics().failed, 1);
    });
}

/// The group may be the last that knows a member, and what goes with that is the user's.
#[test]
fn a_member_goes_outside_of_the_lock() {
    struct Asks(Arc<Mutex<Option<GroupHandle<()>>>>, Arc<AtomicUsize>);
    impl Drop for Asks {
        fn drop(&mut self) {
            if let Some(group) = &*self.0.lock().unwrap() {
                assert!(group.statistics().total > 0);
            }
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
    at_each_width(|pool| {
        let group = pool.group("asked").open::<()>();
        let (asked, gone) = (Arc::new(Mutex::new(Some(group.handle()))), Arc::default());
        for _ in 0..20 {
            let extension = Asks(Arc::clone(&asked), Arc::clone(&gone));
            pool.job("").extension(extension).group(&group).submit(|| ()).detach();
        }
        group.wait(Join::collect());
        until(|| gone.load(Ordering::SeqCst) == 20);
        *asked.lock().unwrap() = None;
    });
}
