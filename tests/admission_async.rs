//! Waiting for room without a thread. Who waits is let in by arrival; who waits no more gives up its
//! place, and what it was granted meanwhile goes to the next (W9).
#![cfg(not(any(loom, shuttle)))]

use crate::common::{Gate, LONG, WIDTHS, deadline, end, scale, throw, until, watchdog};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;
use windlass::{
    Bound, JobError, JobHandle, Pool, QueueLimits, ReserveError, Shutdown, SubmitError, WhenFull,
};

fn bounded(width: usize, limits: impl Into<QueueLimits>) -> Pool {
    Pool::builder().workers(width).queue(limits).build().unwrap()
}

fn at_each_width(limits: impl Into<QueueLimits>, body: impl Fn(&Pool)) {
    let limits = limits.into();
    for width in WIDTHS {
        let pool = bounded(width, limits.clone());
        watchdog(&pool, || body(&pool));
    }
}

/// The one worker is busy until the gate is opened.
fn block(pool: &Pool) -> (Gate, Vec<JobHandle<()>>) {
    let gate = Gate::default();
    let held = gate.clone();
    let blocker = pool.reserve().unwrap().submit(move || held.wait());
    until(|| blocker.state() == windlass::JobState::Running);
    (gate, vec![blocker])
}

/// Counts its wakes.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll<F: Future + Unpin>(f: &mut F, wakes: &Arc<Wakes>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(wakes));
    pin!(f).poll(&mut Context::from_waker(&waker))
}

fn ready<T: std::fmt::Debug>(polled: Poll<T>) -> T {
    match polled {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it is pending"),
    }
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
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn room_comes_to_who_waits_by_arrival() {
    let pool = bounded(1, Bound::jobs(1));
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let queued = pool.submit(|| 0);
        let wakes: Vec<_> = (0..3).map(|_| Arc::new(Wakes::default())).collect();
        let mut waiting: Vec<_> = (1..4).map(|n| pool.submit_async(move || n)).collect();
        for (f, wakes) in waiting.iter_mut().zip(&wakes) {
            assert!(poll(f, wakes).is_pending());
        }
        assert_eq!(pool.queue_stats().waiting, 3);
        assert!(pool.try_submit(|| ()).is_err(), "who waits comes first");
        queued.cancel();
        assert_eq!(wakes.iter().map(|wakes| wakes.count()).collect::<Vec<_>>(), [1, 0, 0]);
        assert!(pool.try_submit(|| ()).is_err(), "the room is taken");
        let mut waiting = waiting.into_iter();
        let mut first = waiting.next().unwrap();
        let first = ready(poll(&mut first, &wakes[0])).unwrap();
        // The second gives up while it waits, the third is next.
        drop(waiting.next());
        assert_eq!(pool.queue_stats().waiting, 1);
        first.cancel();
        assert_eq!(wakes[2].count(), 1);
        let mut third = waiting.next().unwrap();
        let third = ready(poll(&mut third, &wakes[2])).unwrap();
        end(&gate, blockers);
        assert_eq!(third.wait().unwrap(), 3);
        assert_eq!(pool.queue_stats().queued, Some(0));
    });
}

/// W9: a waiter that goes after it was granted its room, and before it has taken it.
#[test]
fn a_grant_that_is_not_taken_goes_to_the_next() {
    let pool = bounded(1, Bound::jobs(1));
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let queued = pool.submit(|| 0);
        let wakes: Vec<_> = (0..3).map(|_| Arc::new(Wakes::default())).collect();
        let mut first = pool.submit_async(|| 1);
        let mut second = pool.reserve_async();
        let mut third = pool.job("third").submit_async(|| 3);
        assert!(poll(&mut first, &wakes[0]).is_pending());
        assert!(poll(&mut second, &wakes[1]).is_pending());
        assert!(poll(&mut third, &wakes[2]).is_pending());
        queued.cancel();
        assert_eq!(wakes[0].count(), 1);
        drop(first);
        assert_eq!(wakes[1].count(), 1, "the grant was swallowed");
        drop(second);
        assert_eq!(wakes[2].count(), 1, "the grant was swallowed");
        let third = ready(poll(&mut third, &wakes[2])).unwrap();
        assert_eq!(third.name(), Some("third"));
        end(&gate, blockers);
        assert_eq!(third.wait().unwrap(), 3);
        assert_eq!(pool.queue_stats().queued, Some(0));
    });
}

#[test]
fn a_permit_that_is_not_used_goes_to_the_next() {
    let pool = bounded(1, Bound::in_flight(1));
    deadline(|| {
        let wakes = Arc::new(Wakes::default());
        let permit = pool.try_reserve().unwrap();
        let mut next = pool.reserve_async();
        assert!(poll(&mut next, &wakes).is_pending());
        drop(permit);
        let permit = ready(poll(&mut next, &wakes)).unwrap();
        assert_eq!(permit.submit(|| 1).wait().unwrap(), 1);
    });
}

#[test]
fn it_waits_whatever_the_pool_does_with_others() {
    for when_full in [WhenFull::Reject, WhenFull::Timeout(Duration::ZERO), WhenFull::CallerRuns] {
        at_each_width(QueueLimits::new(Bound::jobs(2)).when_full(when_full), |pool| {
            let sum: u64 = block_on(async {
                let mut handles = Vec::new();
                for n in 0..scale(500) as u64 {
                    handles.push(pool.submit_async(move || n).await.unwrap());
                }
                let mut sum = 0;
                for handle in handles {
                    sum += handle.await.unwrap();
                }
                sum
            });
            assert_eq!(sum, (0..scale(500) as u64).sum::<u64>());
            assert_eq!(pool.queue_stats().queued, Some(0));
        });
    }
}

#[test]
fn a_pool_without_limits_takes_all() {
    let pool = Pool::new(1).unwrap();
    deadline(|| {
        let wakes = Arc::new(Wakes::default());
        let handle = ready(poll(&mut pool.submit_async(|| 1), &wakes)).unwrap();
        assert_eq!(handle.wait().unwrap(), 1);
        let permit = ready(poll(&mut pool.reserve_async(), &wakes)).unwrap();
        assert_eq!(permit.submit(|| 2).wait().unwrap(), 2);
    });
}

#[test]
fn the_end_of_the_pool_ends_the_wait() {
    let pool = bounded(1, Bound::jobs(1));
    let wakes = Arc::new(Wakes::default());
    let permit = pool.try_reserve().unwrap();
    let mut submitting = pool.submit_async(|| "precious");
    let mut reserving = pool.reserve_async();
    assert!(
        poll(&mut submitting, &wakes).is_pending() && poll(&mut reserving, &wakes).is_pending()
    );
    let (mut late, mut last) = (pool.submit_async(|| 1), pool.submit_async(|| 2));
    pool.shutdown(Shutdown::Drain, LONG);
    assert_eq!(wakes.count(), 2);
    drop(pool);
    match ready(poll(&mut submitting, &wakes)) {
        Err(SubmitError::ShuttingDown(f)) => assert_eq!(f(), "precious"),
        other => panic!("{other:?}"),
    }
    assert_eq!(ready(poll(&mut reserving, &wakes)).unwrap_err(), ReserveError::ShuttingDown);
    assert!(matches!(ready(poll(&mut late, &wakes)), Err(SubmitError::ShuttingDown(_))));
    drop(permit);
    assert!(matches!(ready(poll(&mut last, &wakes)), Err(SubmitError::ShuttingDown(_))));
}

#[test]
fn a_waker_may_panic_and_may_use_the_pool() {
    struct Bad(Pool);
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            assert_eq!(self.0.queue_stats().waiting, 0);
            assert!(self.0.try_submit(|| ()).is_err(), "the room is somebody's");
            throw(())
        }
    }
    let pool = bounded(1, Bound::jobs(1));
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let queued = pool.submit(|| 0);
        let waker = Waker::from(Arc::new(Bad(pool.clone())));
        let mut waits = pin!(pool.submit_async(|| 1));
        assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        queued.cancel();
        let polled = waits.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        end(&gate, blockers);
        assert_eq!(ready(polled).unwrap().wait().unwrap(), 1);
    });
}

/// Many tasks and threads that come, wait, give up or stay: in the end all tokens are back.
#[test]
fn waits_that_are_given_up_at_random_lose_nothing() {
    for bound in [Bound::jobs(3), Bound::in_flight(2), Bound::jobs(3).or_weight(4)] {
        at_each_width(bound, |pool| {
            let kept = AtomicUsize::new(0);
            thread::scope(|scope| {
                for seed in 0..4_usize {
                    let (pool, kept) = (&pool, &kept);
                    scope.spawn(move || {
                        let wakes = Arc::new(Wakes::default());
                        for n in 0..scale(400) {
                            let weight = (seed + n) as u64 % 4;
                            let job = pool.job("").weight(weight);
                            match (seed * 7 + n * 13) % 5 {
                                0 => drop(poll(&mut pool.submit_async(|| ()), &wakes)),
                                1 => {
                                    let mut f = job.submit_async(|| ());
                                    let polled = poll(&mut f, &wakes);
                                    thread::yield_now();
                                    drop(polled);
                                }
                                2 => {
                                    block_on(job.submit_async(|| ())).unwrap().detach();
                                    kept.fetch_add(1, Ordering::SeqCst);
                                }
                                3 => drop(pool.submit_timeout(Duration::ZERO, || ())),
                                _ => match pool.submit(|| throw::<()>(())).wait() {
                                    Err(JobError::Panicked(_)) => {}
                                    other => panic!("{other:?}"),
                                },
                            }
                        }
                    });
                }
            });
            assert!(pool.wait_idle(LONG));
            assert!(kept.load(Ordering::SeqCst) > 0);
            let stats = pool.queue_stats();
            assert_eq!(stats.waiting, 0);
            assert!(
                [stats.queued, stats.weight, stats.in_flight].iter().all(|n| n.unwrap_or(0) == 0)
            );
        });
    }
}
