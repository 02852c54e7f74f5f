//! Everything at once: jobs that come by all doors, wait, give up, are cancelled, panic, expire, are
//! pushed out or abandoned. In the end each has had one outcome, and all tokens are back.
#![cfg(not(any(loom, shuttle)))]

use crate::common::{Gate, LONG, Live, Token, WIDTHS, end, scale, throw, until, watchdog};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;
use windlass::{
    Bound, JobError, JobHandle, Pool, Priority, QueueLimits, Shutdown, SubmitError, WhenFull,
};

/// What the jobs of the two tests have in them.
static LIVE: [Live; 2] = [Live::new(), Live::new()];

/// A small generator, so that each failure can be had again.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// How jobs have ended, as their handles say.
#[derive(Default)]
struct Ends {
    accepted: AtomicU64,
    completed: AtomicU64,
    panicked: AtomicU64,
    cancelled: AtomicU64,
    timed_out: AtomicU64,
    skipped: AtomicU64,
    abandoned: AtomicU64,
    evicted: AtomicU64,
    refused: AtomicU64,
}

impl Ends {
    fn note(&self, result: Result<(), JobError>) {
        let end = match result {
            Ok(()) => &self.completed,
            Err(JobError::Panicked(_)) => &self.panicked,
            Err(JobError::Cancelled { .. }) => &self.cancelled,
            Err(JobError::TimedOut { .. }) => &self.timed_out,
            Err(JobError::Skipped { .. }) => &self.skipped,
            Err(JobError::Abandoned) => &self.abandoned,
            Err(JobError::Evicted) => &self.evicted,
            Err(JobError::Full | JobError::Rejected) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Err(other) => panic!("{other:?}"),
        };
        end.fetch_add(1, Ordering::Relaxed);
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }
}

fn work(pool: &Pool, what: u64, token: Token<'static>) -> impl FnOnce() + Send + 'static {
    let pool = pool.clone();
    move || {
        drop(token);
        match what {
            0 => throw(()),
            // From inside: beyond the limit, if need be.
            1 => pool.submit(|| ()).detach(),
            2 => thread::yield_now(),
            _ => {}
        }
    }
}

/// One of the threads that submit.
fn submit(pool: &Pool, live: &'static Live, ends: &Ends, seed: u64, count: usize) {
    let mut dice = Dice(seed * 0x9E37_79B9 + 1);
    let mut handles: Vec<JobHandle<()>> = Vec::new();
    for _ in 0..count {
        let f = work(pool, dice.throw(8), live.token());
        let kinds = ["thumb", "mail", "other"];
        let mut job = pool.job("").kind(kinds[dice.throw(3) as usize]).weight(dice.throw(5));
        job =
            job.priority([Priority::High, Priority::Normal, Priority::Low][dice.throw(3) as usize]);
        if dice.throw(8) == 0 {
            job = job.start_within(Duration::from_micros(dice.throw(200)));
        }
        if dice.throw(8) == 0
            && let Some(last) = handles.last()
        {
            job = job.after(&[last]);
        }
        let taken = match dice.throw(9) {
            0 => Some(pool.submit(f)),
            1 => pool.try_submit(f).ok(),
            2 => Some(job.submit(f)),
            3 => job.try_submit(f).ok(),
            4 => job.submit_timeout(Duration::from_micros(dice.throw(100)), f).ok(),
            5 => {
                // Looked at so often, and then given up.
                let mut submission = pin!(job.submit_async(f));
                let mut cx = Context::from_waker(Waker::noop());
                let looks = 1 + dice.throw(3);
                let mut polls = (0..looks).map(|_| submission.as_mut().poll(&mut cx));
                match polls.find(|polled| polled.is_ready()) {
                    Some(std::task::Poll::Ready(Ok(handle))) => Some(handle),
                    _ => None,
                }
            }
            6 => match pool.try_reserve() {
                Ok(permit) if dice.throw(2) == 0 => Some(permit.submit(f)),
                _ => None,
            },
            7 => {
                handles.extend(pool.submit_many((0..dice.throw(6)).map(|_| || ())));
                None
            }
            _ => block_on(job.submit_async(f)).ok(),
        };
        handles.extend(taken);
        if dice.throw(4) == 0 && !handles.is_empty() {
            let at = dice.throw(handles.len() as u64) as usize;
            let handle = handles.swap_remove(at);
            if dice.throw(2) == 0 {
                handle.cancel();
            }
            ends.note(handle.wait());
        }
    }
    handles.into_iter().for_each(|handle| ends.note(handle.wait()));
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(f: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut f = pin!(f);
    loop {
        match f.as_mut().poll(&mut Context::from_waker(&waker)) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => thread::park(),
        }
    }
}

fn limits(when_full: WhenFull) -> QueueLimits {
    QueueLimits::new(Bound::jobs(6).or_weight(16).or_in_flight(10))
        .level(Priority::Low, Bound::jobs(2))
        .kind("thumb", Bound::in_flight(3))
        .kind("mail", Bound::weight(6))
        .marks(1, 4, |_| ())
        .when_full(when_full)
}

const ALL: [WhenFull; 7] = [
    WhenFull::Block,
    WhenFull::Timeout(Duration::from_micros(50)),
    WhenFull::Reject,
    WhenFull::CallerRuns,
    WhenFull::DropOldest,
    WhenFull::DropNewest,
    WhenFull::DropLowest,
];

fn assert_agree(pool: &Pool, live: &Live, ends: &Ends) {
    let counts = pool.job_counts();
    assert_eq!(counts.accepted, counts.finished(), "{counts:?}");
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    // Those that jobs have submitted are nobody's, and complete unless the pool is ended.
    assert_eq!(counts.panicked, of(&ends.panicked));
    assert_eq!(counts.cancelled, of(&ends.cancelled));
    assert_eq!(counts.timed_out, of(&ends.timed_out));
    assert_eq!(counts.skipped, of(&ends.skipped));
    assert!(counts.accepted >= of(&ends.accepted));
    let stats = pool.queue_stats();
    let used = (stats.queued, stats.weight, stats.in_flight, stats.waiting);
    assert_eq!(used, (Some(0), Some(0), Some(0), 0), "{stats:?}");
    live.assert_none();
}

#[test]
fn a_mix_of_everything_gives_all_tokens_back() {
    for (n, when_full) in ALL.into_iter().enumerate() {
        for width in WIDTHS {
            let pool = Pool::builder().workers(width).queue(limits(when_full)).build().unwrap();
            watchdog(&pool, || {
                let ends = Ends::default();
                thread::scope(|scope| {
                    for seed in 0..3 {
                        let (pool, ends) = (&pool, &ends);
                        let seed = (n * 100 + width * 10) as u64 + seed;
                        scope.spawn(move || submit(pool, &LIVE[0], ends, seed, scale(400)));
                    }
                });
                assert!(pool.wait_idle(LONG));
                assert_agree(&pool, &LIVE[0], &ends);
                // And each limit by itself: what it has is there.
                let all: Vec<_> = (0..6).map(|_| pool.try_reserve().unwrap()).collect();
                assert!(pool.try_reserve().is_err());
                drop(all);
                let (low, kind) = (pool.job("").priority(Priority::Low), pool.job("").kind("mail"));
                assert!(low.try_submit(|| ()).is_ok());
                assert!(kind.weight(6).try_submit(|| ()).is_ok());
            });
        }
    }
}

#[test]
fn a_mix_that_is_shut_down_gives_all_tokens_back() {
    let shutdowns = [Shutdown::Drain, Shutdown::CancelPending, Shutdown::CancelAll];
    for (n, when_full) in ALL.into_iter().enumerate() {
        for width in WIDTHS {
            let pool = Pool::builder().workers(width).queue(limits(when_full)).build().unwrap();
            watchdog(&pool, || {
                let (ends, begun) = (Ends::default(), AtomicUsize::new(0));
                thread::scope(|scope| {
                    for seed in 0..3 {
                        let (pool, ends, begun) = (&pool, &ends, &begun);
                        let seed = (n * 100 + width * 10) as u64 + seed;
                        scope.spawn(move || {
                            for turn in 0..20 {
                                begun.fetch_add(1, Ordering::Relaxed);
                                submit(pool, &LIVE[1], ends, seed + 1_000 * turn, scale(20));
                            }
                        });
                    }
                    until(|| begun.load(Ordering::Relaxed) > 6);
                    let report = pool.shutdown(shutdowns[(n + width) % 3], LONG);
                    assert!(report.threads_ended, "{report:?}");
                });
                assert!(ends.refused.load(Ordering::Relaxed) > 0);
                assert_agree(&pool, &LIVE[1], &ends);
                assert!(matches!(pool.try_submit(|| ()), Err(SubmitError::ShuttingDown(_))));
            });
        }
    }
}

/// SEMANTICS 6, item 10: who needs much is passed by those who need less, but not for ever.
#[test]
fn a_heavy_one_is_neither_starved_nor_in_the_way_for_ever() {
    let pool = Pool::builder().workers(1).queue(Bound::weight(10)).build().unwrap();
    watchdog(&pool, || {
        let gate = Gate::default();
        let held = gate.clone();
        let blocker = pool.job("").weight(5).submit(move || held.wait());
        let waker = Waker::noop();
        let mut cx = Context::from_waker(waker);
        let mut heavy = Box::pin(pool.job("heavy").weight(8).submit_async(|| 8));
        assert!(heavy.as_mut().poll(&mut cx).is_pending());
        // There are 5 left. Whoever needs less passes, one after the other, and so often.
        let mut passed = 0;
        while let Ok(light) = pool.job("light").weight(4).try_submit(|| 1) {
            light.cancel();
            passed += 1;
            assert!(passed < 1_000);
        }
        assert_eq!(passed, 32);
        // One that came later waits behind it, though there is room for it.
        let mut late = Box::pin(pool.job("late").weight(1).submit_async(|| 1));
        assert!(late.as_mut().poll(&mut cx).is_pending());
        assert_eq!(pool.queue_stats().waiting, 2);
        end(&gate, vec![blocker]);
        until(|| pool.queue_stats().waiting == 0);
        let heavy = block_on(heavy).unwrap();
        assert_eq!(heavy.wait().unwrap() + block_on(late).unwrap().wait().unwrap(), 9);
        assert_eq!(pool.queue_stats().weight, Some(0));
    });
}

/// One that gives up lets those pass that it was in the way of.
#[test]
fn a_heavy_one_that_gives_up_is_in_nobodys_way() {
    let pool = Pool::builder().workers(1).queue(Bound::weight(10)).build().unwrap();
    watchdog(&pool, || {
        let permits: Vec<_> = (0..5).map(|_| pool.try_reserve().unwrap()).collect();
        let mut cx = Context::from_waker(Waker::noop());
        let mut heavy = Box::pin(pool.job("heavy").weight(8).submit_async(|| 8));
        assert!(heavy.as_mut().poll(&mut cx).is_pending());
        let mut equal = Box::pin(pool.job("equal").weight(8).submit_async(|| 8));
        assert!(equal.as_mut().poll(&mut cx).is_pending());
        drop(permits);
        drop(heavy);
        assert_eq!(block_on(equal).unwrap().wait().unwrap(), 8);
        assert_eq!(pool.queue_stats().weight, Some(0));
    });
}
