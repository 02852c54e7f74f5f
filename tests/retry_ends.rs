//! However a job that may be tried again comes to its end, it ends once, and leaves nothing behind.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use windlass::{
    Bound, CancelToken, JobError, JobState, ManualClock, Pool, QueueLimits, Retry, RetryError,
    RetryHandle, RetryPolicy, Shutdown, WhenFull,
};

const SECOND: Duration = Duration::from_secs(1);

/// What a closure or an error captures.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(live: &Arc<AtomicUsize>) -> Self {
        live.fetch_add(1, Ordering::SeqCst);
        Counted(Arc::clone(live))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

#[derive(Default, Debug, PartialEq, Eq)]
struct Told {
    completed: u64,
    failed: u64,
    panicked: u64,
    cancelled: u64,
    timed_out: u64,
    abandoned: u64,
    rejected: u64,
}

impl Told {
    fn note<T, E>(&mut self, result: Result<T, RetryError<E>>) {
        *match result {
            Ok(_) => &mut self.completed,
            Err(RetryError::Failed(_)) => &mut self.failed,
            Err(RetryError::Job(JobError::Panicked(_))) => &mut self.panicked,
            Err(RetryError::Job(JobError::Cancelled { .. })) => &mut self.cancelled,
            Err(RetryError::Job(JobError::TimedOut { .. })) => &mut self.timed_out,
            Err(RetryError::Job(JobError::Abandoned)) => &mut self.abandoned,
            Err(RetryError::Job(JobError::Rejected)) => &mut self.rejected,
            Err(_) => panic!("no other end is possible"),
        } += 1;
    }
}

type Handle = RetryHandle<Counted, Counted>;

/// A job that fails, panics and succeeds by chance, with limits and tokens by chance.
fn some_job(
    pool: &Pool,
    random: &mut Random,
    tokens: &[CancelToken],
    live: &Arc<AtomicUsize>,
) -> Handle {
    let us = Duration::from_micros;
    let policy = RetryPolicy::fixed(us(random.below(40)))
        .attempts(1 + random.below(4) as u32)
        .retry_panics(random.below(2) == 0)
        .history(random.below(3) as u32);
    let mut job = pool.job("some");
    match random.below(8) {
        0 => job = job.timeout(us(random.below(300))),
        1 => job = job.run_timeout(us(random.below(50))),
        2 => job = job.start_within(us(random.below(300))),
        3 | 4 => job = job.cancel_token(&tokens[random.below(tokens.len() as u64) as usize]),
        _ => {}
    }
    let (held, live) = (Counted::new(live), Arc::clone(live));
    let mut inner = Random(random.0 | 1);
    job.retry(policy).submit_fallible(move |_| {
        let _ = &held;
        match inner.below(8) {
            0 => throw("chance"),
            1..=4 => Err(Counted::new(&live)),
            5 => {
                work_for(us(20));
                Err(Counted::new(&live))
            }
            _ => Ok(Counted::new(&live)),
        }
    })
}

/// L3, under everything at once.
fn mix(width: usize, seed: u64, ends: Option<Shutdown>) {
    let pool = Pool::new(width).unwrap();
    watchdog(&pool, || {
        let live = Arc::new(AtomicUsize::new(0));
        let mut random = Random(seed);
        let tokens: Vec<CancelToken> = (0..8).map(|_| CancelToken::new()).collect();
        let (mut told, mut dropped) = (Told::default(), 0);
        let mut handles: Vec<Handle> = Vec::new();
        let count = scale(1_500) as u64;
        for n in 0..count {
            let handle = some_job(&pool, &mut random, &tokens, &live);
            match random.below(12) {
                0 => {
                    dropped += 1;
                    drop(handle);
                }
                1 => {
                    dropped += 1;
                    drop(handle.cancel_on_drop());
                }
                2 => {
                    handle.cancel();
                    handles.push(handle);
                }
                3 => told.note(handle.wait()),
                _ => handles.push(handle),
            }
            if random.below(50) == 0 {
                tokens[random.below(8) as usize].cancel();
            }
            if n == count / 2
                && let Some(how) = ends
            {
                pool.shutdown(how, LONG);
            }
        }
        for handle in handles {
            told.note(handle.wait());
        }
        assert!(pool.wait_idle(LONG));
        let counts = pool.job_counts();
        assert_eq!(counts.accepted, counts.finished(), "{counts:?}");
        assert_eq!(counts.overrunning, 0);
        let of_handles = told.completed
            + told.failed
            + told.panicked
            + told.cancelled
            + told.timed_out
            + told.abandoned;
        assert_eq!(of_handles + told.rejected + dropped, count);
        if ends.is_none() {
            assert_eq!(counts.accepted, count);
            assert_eq!((told.rejected, told.abandoned), (0, 0));
        }
        let exceeds = |counted: u64, told: u64| counted >= told && counted <= told + dropped;
        assert!(exceeds(counts.completed, told.completed), "{counts:?} {told:?}");
        assert!(exceeds(counts.failed, told.failed), "{counts:?} {told:?}");
        assert!(exceeds(counts.panicked, told.panicked), "{counts:?} {told:?}");
        assert!(exceeds(counts.cancelled, told.cancelled), "{counts:?} {told:?}");
        assert!(exceeds(counts.timed_out, told.timed_out), "{counts:?} {told:?}");
        // A closure is dropped before its handle is told, what overruns before the pool is idle.
        assert_eq!(live.load(Ordering::SeqCst), 0, "closures, results and errors are gone");
    });
}

#[test]
fn accepted_is_the_sum_of_the_outcomes() {
    for width in WIDTHS {
        for seed in 1..=3 {
            mix(width, 0x9e37_79b9_7f4a_7c15 >> seed, None);
        }
    }
}

#[test]
fn accepted_is_the_sum_of_the_outcomes_when_the_pool_ends() {
    for width in WIDTHS {
        for how in [Shutdown::Drain, Shutdown::CancelPending, Shutdown::CancelAll] {
            mix(width, 0x9e37_79b9_7f4a_7c15 ^ width as u64, Some(how));
        }
    }
}

/// The last handle of the pool goes at any moment.
#[test]
fn a_pool_may_be_dropped_at_any_moment() {
    for width in WIDTHS {
        deadline(|| {
            for round in 0..scale(300) {
                let live = Arc::new(AtomicUsize::new(0));
                let pool = Pool::new(width).unwrap();
                let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ round as u64);
                let tokens = [CancelToken::new()];
                let handles: Vec<Handle> =
                    (0..8).map(|_| some_job(&pool, &mut random, &tokens, &live)).collect();
                for _ in 0..round % 100 {
                    std::hint::spin_loop();
                }
                drop(pool);
                let mut told = Told::default();
                handles.into_iter().for_each(|handle| told.note(handle.wait()));
                assert_eq!(live.load(Ordering::SeqCst), 0);
            }
        });
    }
}

/// SEMANTICS 6.5: what was let in is never refused, and while it waits it is in nobody's way.
#[test]
fn a_retry_into_a_full_queue_succeeds() {
    for width in WIDTHS {
        let clock = ManualClock::new();
        let limits = Bound::jobs(2).or_in_flight(width + 2);
        let limits = QueueLimits::new(limits).when_full(WhenFull::Reject);
        let pool = Pool::builder().workers(width).queue(limits).clock(clock.clone());
        let pool = pool.build().unwrap();
        watchdog(&pool, || {
            let job = pool.job("again").retry(RetryPolicy::fixed(SECOND));
            let job = job.submit_fallible(|cx| match cx.attempt() {
                1 => Err("no"),
                nth => Ok(nth),
            });
            clock.run_until_idle(&pool);
            assert_eq!(job.state(), JobState::Waiting);
            let stats = pool.queue_stats();
            assert_eq!((stats.queued, stats.in_flight), (Some(0), Some(0)), "no permit, no slot");
            // Others fill the pool meanwhile.
            let gate = Gate::default();
            let started = Arc::new(Meeting::of(width + 1));
            let blockers: Vec<_> = (0..width)
                .map(|_| {
                    let (gate, started) = (gate.clone(), Arc::clone(&started));
                    pool.reserve().unwrap().submit(move || {
                        started.attend();
                        gate.wait();
                    })
                })
                .collect();
            started.attend();
            let queued = [pool.submit(|| ()), pool.submit(|| ())];
            assert!(matches!(pool.submit(|| ()).wait(), Err(JobError::Full)));
            clock.advance(SECOND);
            assert_eq!(job.state(), JobState::Queued);
            end(&gate, blockers);
            assert_eq!(job.wait().unwrap(), 2);
            queued.into_iter().for_each(|job| job.wait().unwrap());
            assert!(pool.wait_idle(LONG));
            let stats = pool.queue_stats();
            assert_eq!((stats.queued, stats.in_flight), (Some(0), Some(0)));
        });
    }
}

/// What was let in is not pushed out later on, to make room for others.
#[test]
fn a_retry_is_not_pushed_out() {
    for width in WIDTHS {
        let clock = ManualClock::new();
        let limits = QueueLimits::new(Bound::jobs(1)).when_full(WhenFull::DropOldest);
        let pool = Pool::builder().workers(width).queue(limits).clock(clock.clone());
        let pool = pool.build().unwrap();
        watchdog(&pool, || {
            let job = pool.job("again").retry(RetryPolicy::fixed(SECOND));
            let job = job.submit_fallible(|cx| match cx.attempt() {
                1 => Err("no"),
                nth => Ok(nth),
            });
            clock.run_until_idle(&pool);
            let (gate, started) = (Gate::default(), Arc::new(Meeting::of(width + 1)));
            let blockers: Vec<_> = (0..width)
                .map(|_| {
                    let (gate, meeting) = (gate.clone(), Arc::clone(&started));
                    let blocker = pool.submit(move || {
                        meeting.attend();
                        gate.wait();
                    });
                    until(|| pool.queue_stats().queued == Some(0));
                    blocker
                })
                .collect();
            started.attend();
            clock.advance(SECOND);
            assert_eq!(job.state(), JobState::Queued);
            let mut others: Vec<_> = (0..10).map(|n| pool.submit(move || n)).collect();
            let last = others.pop().unwrap();
            assert!(others.into_iter().all(|other| matches!(other.wait(), Err(JobError::Evicted))));
            end(&gate, blockers);
            assert_eq!((job.wait().unwrap(), last.wait().unwrap()), (2, 9));
        });
    }
}

/// It goes behind those that are queued already, and before those that come later.
#[test]
fn a_retry_keeps_its_turn() {
    let clock = ManualClock::new();
    let pool = Pool::builder().workers(1).clock(clock.clone()).build().unwrap();
    watchdog(&pool, || {
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let note = |name: &'static str| {
            let order = Arc::clone(&order);
            move || order.lock().unwrap().push(name)
        };
        let retried = note("retried");
        let job = pool.job("again").retry(RetryPolicy::fixed(SECOND));
        let job = job.submit_fallible(move |cx| {
            if cx.attempt() == 1 {
                return Err(());
            }
            retried();
            Ok(())
        });
        clock.run_until_idle(&pool);
        let (gate, blockers) = block(&pool);
        let before: Vec<_> = (0..3).map(|_| pool.job("").submit(note("before"))).collect();
        clock.advance(SECOND);
        let after: Vec<_> = (0..3).map(|_| pool.job("").submit(note("after"))).collect();
        end(&gate, blockers);
        assert!(pool.wait_idle(LONG));
        let expected = ["before", "before", "before", "retried", "after", "after", "after"];
        assert_eq!(*order.lock().unwrap(), expected);
        job.wait().unwrap();
        before.into_iter().chain(after).for_each(|job| job.wait().unwrap());
    });
}

/// A handle is a future: woken once the job has ended, not before.
#[test]
fn a_task_that_awaits_is_woken_at_the_end() {
    struct Flag(AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    for width in WIDTHS {
        let clock = ManualClock::new();
        let pool = Pool::builder().workers(width).clock(clock.clone()).build().unwrap();
        watchdog(&pool, || {
            let job = pool.job("awaited").retry(RetryPolicy::fixed(SECOND));
            let mut job = job.submit_fallible(|cx| match cx.attempt() {
                1 => Err("no"),
                nth => Ok(nth),
            });
            let flag = Arc::new(Flag(AtomicBool::new(false)));
            let waker = Waker::from(Arc::clone(&flag));
            let mut cx = Context::from_waker(&waker);
            assert!(Pin::new(&mut job).poll(&mut cx).is_pending());
            clock.run_until_idle(&pool);
            assert!(!flag.0.load(Ordering::SeqCst));
            clock.advance_until_idle(&pool, SECOND);
            until(|| flag.0.load(Ordering::SeqCst));
            match Pin::new(&mut job).poll(&mut cx) {
                Poll::Ready(Ok(2)) => {}
                other => panic!("{other:?}"),
            }
        });
    }
}

/// The bar: 10^5 jobs that wait, at most 400 bytes each.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn a_job_that_waits_is_small() {
    in_child("a_job_that_waits_is_small", &[], || {
        let allocated = || {
            // SAFETY: reads the counters of the allocator.
            let info = unsafe { libc::mallinfo2() };
            info.uordblks + info.hblkhd
        };
        let pool = Pool::new(1).unwrap();
        let count = 100_000;
        let retry = Retry::new(RetryPolicy::fixed(Duration::from_secs(3_600)));
        let ballast = [1_u64; 4];
        let submit = || {
            pool.job("poll").retry(&retry).submit_fallible(move |_| {
                std::hint::black_box(&ballast);
                Err::<(), _>("nothing there")
            })
        };
        let mut handles = Vec::with_capacity(count);
        let before = allocated();
        handles.extend((0..count).map(|_| submit()));
        until(|| handles.iter().all(|handle| handle.state() == JobState::Waiting));
        let each = (allocated() - before) / count;
        assert!(each <= 400, "{each} bytes each");
        eprintln!("{each} bytes each");
    });
}
