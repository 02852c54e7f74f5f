//! Jobs: each that is accepted ends once, and its handle tells how, in whichever way it is asked.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::cell::Cell;
use std::error::Error;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use windlass::prelude::*;
use windlass::{JobError, JobOptions, JobState, Pool, Priority};

#[test]
fn results_come_back_to_whoever_waits() {
    at_each_width(|pool| {
        let handles: Vec<_> = (0..scale(10_000)).map(|i| pool.submit(move || i)).collect();
        for (i, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.wait().unwrap(), i);
        }
        assert!(pool.wait_idle(LONG));
        let counts = pool.job_counts();
        assert_eq!((counts.accepted, counts.pending()), (counts.completed, 0));
    });
}

#[test]
fn results_come_back_by_every_way_of_asking() {
    at_each_width(|pool| {
        for i in 0..scale(200) {
            assert_eq!(pool.submit(move || i).wait().unwrap(), i);
            assert_eq!(pool.submit(move || i).wait_timeout(LONG).unwrap().unwrap(), i);
            let mut handle = pool.submit(move || i);
            while !handle.is_finished() {
                std::thread::yield_now();
            }
            assert_eq!(handle.state(), JobState::Finished);
            assert_eq!(handle.try_take().unwrap().unwrap(), i);
            // It is there once.
            assert!(handle.try_take().is_none());
            assert!(handle.wait_timeout(LONG).is_none());
            assert!(panics(|| handle.wait()));
            assert_eq!(block_on(pool.submit(move || i)).unwrap(), i);
        }
    });
}

#[test]
fn many_jobs_come_back_in_the_order_of_their_closures() {
    at_each_width(|pool| {
        for n in [0, 1, 33, scale(5_000)] {
            let from_outside = pool.submit_many((0..n).map(|i| move || i));
            let inner = pool.clone();
            let from_inside = pool.submit(move || {
                let handles = inner.submit_many((0..n).map(|i| move || i));
                handles.into_iter().map(|handle| handle.wait().unwrap()).collect::<Vec<_>>()
            });
            let results = from_outside.into_iter().map(|handle| handle.wait().unwrap());
            assert!(results.eq(0..n));
            assert!(from_inside.wait().unwrap().into_iter().eq(0..n));
        }
        // P11: those before the panic are not submitted, and the pool is as before.
        assert!(pool.wait_idle(LONG));
        let accepted = pool.job_counts().accepted;
        let bad = (0..10).map(|i| if i == 5 { throw("iterator") } else { move || i });
        assert_eq!(caught::<&str, _>(|| pool.submit_many(bad)), "iterator");
        assert_eq!(pool.job_counts().accepted, accepted);
    });
}

#[test]
fn jobs_of_one_thread_start_in_their_order_on_one_worker() {
    let pool = Pool::new(1).unwrap();
    watchdog(&pool, || {
        let (gate, blockers) = block(&pool);
        let (sender, receiver) = mpsc::channel();
        for i in 0..scale(1_000) {
            let sender = sender.clone();
            pool.submit(move || sender.send(i).unwrap()).detach();
        }
        drop(sender);
        end(&gate, blockers);
        assert!(receiver.iter().eq(0..scale(1_000)));
    });
}

#[test]
fn a_job_sees_what_it_was_given() {
    at_each_width(|pool| {
        let options = JobOptions::default().priority(Priority::Low).timeout(LONG);
        let handle = pool.job("named").options(&options).submit_with(|cx| {
            assert!(cx.deadline().is_some_and(|at| at <= Instant::now() + LONG));
            assert!(cx.checkpoint().is_ok() && !cx.is_cancelled());
            (cx.id(), cx.name().map(str::to_owned), cx.priority())
        });
        let (id, job) = (handle.id(), handle.job_ref());
        assert_eq!((handle.name(), job.name(), job.id()), (Some("named"), Some("named"), id));
        assert_eq!(handle.wait().unwrap(), (id, Some("named".to_owned()), Priority::Low));
        assert!(job.is_finished() && job.clone().state() == JobState::Finished);
        assert_ne!(pool.submit(|| ()).id(), id);
        assert_eq!(pool.submit(|| ()).name(), None);
    });
}

#[test]
fn times_are_in_order_and_tell_queue_and_run_apart() {
    at_each_width(|pool| {
        let before = Instant::now();
        let (gate, blockers) = block(pool);
        let mut handle = pool.submit(|| work_for(Duration::from_millis(3)));
        let queued = handle.times();
        assert_eq!((queued.started, queued.finished), (None, None));
        assert_eq!((queued.queue_time(), queued.run_time()), (None, None));
        work_for(Duration::from_millis(2));
        let opened = Instant::now();
        gate.open();
        // Not `wait`, which might run it here.
        handle.wait_timeout(LONG).unwrap().unwrap();
        let times = handle.times();
        let slack = Duration::from_millis(1);
        assert!(times.enqueued + slack >= before && times.enqueued <= times.ready);
        let (started, finished) = (times.started.unwrap(), times.finished.unwrap());
        assert!(started + slack >= opened, "it started when there was a worker for it");
        assert!(finished <= Instant::now() + slack);
        assert!(times.queue_time().unwrap() + slack >= Duration::from_millis(2));
        assert!(times.run_time().unwrap() + slack >= Duration::from_millis(3));
        // One that never starts has an end, and no more.
        end(&gate, blockers);
        let (gate, blockers) = block(pool);
        let removed = pool.submit(|| ());
        removed.cancel();
        let times = removed.times();
        assert!(times.started.is_none() && times.run_time().is_none() && times.finished.is_some());
        end(&gate, blockers);
    });
}

#[test]
fn a_wait_with_a_limit_gives_up_and_can_go_on() {
    at_each_width(|pool| {
        let gate = Gate::default();
        let inner = gate.clone();
        let mut handle = pool.submit(move || {
            inner.wait();
            7
        });
        assert!(handle.wait_timeout(Duration::ZERO).is_none());
        assert!(handle.wait_timeout(Duration::from_millis(1)).is_none());
        // The same from another thread, and from a worker: the waiter moves between seats.
        let mut handle = std::thread::scope(|s| {
            let wait = || {
                assert!(handle.wait_timeout(Duration::from_millis(1)).is_none());
                handle
            };
            s.spawn(wait).join().unwrap()
        });
        let outer = Pool::new(1).unwrap();
        let moved = outer.submit(move || {
            assert!(handle.wait_timeout(Duration::from_millis(1)).is_none());
            handle
        });
        handle = moved.wait().unwrap();
        gate.open();
        assert_eq!(handle.wait_timeout(Duration::MAX).unwrap().unwrap(), 7);
    });
}

#[test]
fn a_dropped_or_detached_handle_lets_the_job_run_and_its_result_go() {
    static LIVE: Live = Live::new();
    at_each_width(|pool| {
        let ran = Arc::new(AtomicUsize::new(0));
        let n = scale(2_000);
        for i in 0..n {
            let (ran, capture) = (Arc::clone(&ran), LIVE.token());
            let handle = pool.submit(move || {
                ran.fetch_add(1, Ordering::SeqCst);
                drop(capture);
                LIVE.token()
            });
            match i % 4 {
                0 => drop(handle),
                1 => handle.detach(),
                2 => handle.cancel_on_drop().detach(),
                // Gone when the job has ended.
                _ => {
                    while !handle.is_finished() {
                        std::thread::yield_now();
                    }
                    drop(handle);
                }
            }
        }
        assert!(pool.wait_idle(LONG));
        assert_eq!(ran.load(Ordering::SeqCst), n);
        LIVE.assert_none();
    });
}

#[test]
fn cancel_on_drop_removes_what_has_not_started() {
    at_each_width(|pool| {
        let (gate, blockers) = block(pool);
        let job = pool.submit(|| unreachable!("it was cancelled")).cancel_on_drop().job_ref();
        assert!(job.is_finished());
        end(&gate, blockers);
        assert!(pool.wait_idle(LONG));
        assert_eq!(pool.job_counts().cancelled, 1);
        // A result that was taken leaves nothing to cancel.
        let mut kept = pool.submit(|| 1).cancel_on_drop();
        assert_eq!(kept.wait_timeout(LONG).unwrap().unwrap(), 1);
        drop(kept);
        assert_eq!(pool.job_counts().cancelled, 1);
    });
}

/// S2.
#[test]
fn captures_and_results_may_be_large() {
    at_each_width(|pool| {
        let big = [7_u8; 64 * 1024];
        let handles: Vec<_> = (0..10)
            .map(|i| {
                pool.submit(move || {
                    let mut big = big;
                    big[i] = 9;
                    big
                })
            })
            .collect();
        for (i, handle) in handles.into_iter().enumerate() {
            let result = handle.wait().unwrap();
            assert_eq!((result[i], result[i + 1], result.len()), (9, 7, 64 * 1024));
        }
        #[repr(align(256))]
        struct Aligned(usize);
        let aligned = Aligned(3);
        let is_aligned = move || {
            let aligned = &aligned;
            (&raw const *aligned).addr() % 256 + aligned.0
        };
        assert_eq!(pool.submit(is_aligned).wait().unwrap(), 3);
    });
}

#[test]
fn jobs_submit_jobs() {
    at_each_width(|pool| {
        fn grow(depth: u32, count: Arc<AtomicUsize>) {
            count.fetch_add(1, Ordering::SeqCst);
            for _ in 0..if depth > 0 { 2 } else { 0 } {
                let count = Arc::clone(&count);
                windlass::submit(move || grow(depth - 1, count)).detach();
            }
        }
        let count = Arc::new(AtomicUsize::new(0));
        let inner = Arc::clone(&count);
        pool.submit(move || grow(9, inner)).detach();
        assert!(pool.wait_idle(LONG));
        assert_eq!(count.load(Ordering::SeqCst), (1 << 10) - 1);
        // They were the pool's own, not the global one's.
        assert_eq!(pool.job_counts().completed, (1 << 10) - 1);
    });
}

#[test]
fn wait_idle_gives_up_in_time_and_waits_for_jobs_of_jobs() {
    at_each_width(|pool| {
        assert!(pool.wait_idle(Duration::ZERO));
        let (gate, blockers) = block(pool);
        assert!(!pool.wait_idle(Duration::from_millis(1)));
        end(&gate, blockers);
        assert!(pool.wait_idle(LONG));
    });
}

// ---- panics

struct Bomb(&'static AtomicUsize);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        throw("destructor");
    }
}

/// The pool has all its workers, and they run jobs. P1.
#[track_caller]
fn assert_whole(pool: &Pool) {
    let (gate, blockers) = block(pool);
    end(&gate, blockers);
    let handles: Vec<_> = (0..scale(1_000)).map(|i| pool.submit(move || i)).collect();
    assert!(handles.into_iter().enumerate().all(|(i, handle)| handle.wait().unwrap() == i));
}

#[test]
fn a_panic_belongs_to_its_handle() {
    at_each_width(|pool| {
        for _ in 0..100 {
            let handle = pool.submit(|| -> usize { throw("thrown") });
            match handle.wait() {
                Err(error @ JobError::Panicked(_)) => {
                    assert!(error.source().is_some());
                    let JobError::Panicked(panic) = error else { unreachable!() };
                    assert_eq!((panic.message(), panic.location()), (Some("thrown"), None));
                    assert_eq!(*panic.into_payload().downcast::<&str>().unwrap(), "thrown");
                }
                other => panic!("{other:?}"),
            }
            pool.submit(|| -> usize { throw(7_u8) }).detach();
        }
        assert!(pool.wait_idle(LONG));
        assert_eq!(pool.job_counts().panicked, 200);
        assert_whole(pool);
    });
}

/// P3, for each value of the user's that the pool drops.
#[test]
fn a_destructor_that_panics_harms_nobody() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    at_each_width(|pool| {
        DROPS.store(0, Ordering::SeqCst);
        let mut bombs = 0;
        let mut bomb = || {
            bombs += 1;
            Bomb(&DROPS)
        };
        // A result that nobody wants, before and after the handle goes.
        let result = bomb();
        pool.submit(move || result).detach();
        let result = bomb();
        let handle = pool.submit(move || result);
        while !handle.is_finished() {
            std::thread::yield_now();
        }
        drop(handle);
        // A capture that the closure drops is a panic of the job.
        let capture = bomb();
        let panicked = pool.submit(move || drop(capture)).wait();
        assert!(matches!(panicked, Err(JobError::Panicked(_))));
        // A capture of a job that never runs.
        let (gate, blockers) = block(pool);
        let capture = bomb();
        let removed = pool.submit(move || drop(capture));
        removed.cancel();
        assert!(matches!(removed.wait(), Err(JobError::Cancelled { had_started: false, .. })));
        end(&gate, blockers);
        // A payload that nobody looks at.
        let payload = bomb();
        pool.submit(move || throw(payload)).detach();
        // A value that the job was given, with and without its handle.
        for keeps in [true, false] {
            let handle = pool.job("").extension(bomb()).submit(|| ());
            if keeps {
                let mut handle = handle;
                handle.wait_timeout(LONG).unwrap().unwrap();
            } else {
                handle.detach();
            }
        }
        assert!(pool.wait_idle(LONG));
        assert_whole(pool);
        assert_eq!(DROPS.load(Ordering::SeqCst), bombs);
    });
}

#[test]
fn the_place_of_a_panic_is_known_also_from_a_stolen_fork() {
    // In a process of its own: a hook that is set later and does not call the one before hides the place.
    in_child("the_place_of_a_panic_is_known_also_from_a_stolen_fork", &[], || {
        std::panic::set_hook(Box::new(|_| ()));
        places_are_known();
    });
}

fn places_are_known() {
    let pool = Pool::new(2).unwrap();
    watchdog(&pool, || {
        let line = line!() + 1;
        let handle = pool.submit(|| -> () { panic!("here") });
        let mut handle = handle;
        let Err(JobError::Panicked(panic)) = handle.wait_timeout(LONG).unwrap() else {
            panic!("it must panic")
        };
        let location = panic.location().expect("the hook was called");
        assert_eq!((location.file(), location.line()), (file!(), line));
        assert!(panic.to_string().contains("here") && panic.to_string().contains(file!()));
        let num_stolen = Arc::new(AtomicUsize::new(0));
        for _ in 0..scale(50) {
            let thefts = Arc::clone(&num_stolen);
            // The first half forks until the second has started, so that is stolen; but not for ever:
            // the two need not run at the same time.
            let place = Arc::new(AtomicUsize::new(0));
            let inner = Arc::clone(&place);
            let mut handle = pool.submit(move || {
                let is_stolen = AtomicBool::new(false);
                let until_stolen = || {
                    let start = Instant::now();
                    while !is_stolen.load(Ordering::SeqCst)
                        && start.elapsed() < Duration::from_secs(1)
                    {
                        fib(4);
                    }
                };
                let outside = std::thread::current().id();
                windlass::join(until_stolen, || {
                    is_stolen.store(true, Ordering::SeqCst);
                    if std::thread::current().id() != outside {
                        thefts.fetch_add(1, Ordering::SeqCst);
                    }
                    inner.store(line!() as usize + 1, Ordering::SeqCst);
                    panic!("stolen")
                })
            });
            let Err(JobError::Panicked(panic)) = handle.wait_timeout(LONG).unwrap() else {
                panic!("it must panic")
            };
            let line = panic.location().expect("the hook was called").line();
            assert_eq!(
                (panic.message(), line as usize),
                (Some("stolen"), place.load(Ordering::SeqCst))
            );
            // A panic that the job catches says nothing of the next one.
            let mut handle = pool.submit(|| {
                _ = std::panic::catch_unwind(|| panic!("caught"));
            });
            handle.wait_timeout(LONG).unwrap().unwrap();
            let mut handle = pool.submit(|| -> () { throw("later") });
            let Err(JobError::Panicked(panic)) = handle.wait_timeout(LONG).unwrap() else {
                panic!("it must panic")
            };
            assert_eq!(panic.location(), None);
        }
        assert!(num_stolen.load(Ordering::SeqCst) > 0, "the very first is stolen");
    });
}

// ---- as a future

struct Unparker(std::thread::Thread, AtomicBool);

impl Wake for Unparker {
    fn wake(self: Arc<Self>) {
        self.1.store(true, Ordering::SeqCst);
        self.0.unpark();
    }
}

fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    let unparker = Arc::new(Unparker(std::thread::current(), AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&unparker));
    loop {
        if let Poll::Ready(output) = Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        while !unparker.1.swap(false, Ordering::SeqCst) {
            std::thread::park();
        }
    }
}

#[test]
fn the_last_waker_is_woken() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    at_each_width(|pool| {
        let (gate, blockers) = block(pool);
        let mut handle = pool.submit(|| 5);
        let [first, last] = [0, 1].map(|_| Arc::new(Count(AtomicUsize::new(0))));
        for count in [&first, &last] {
            let waker = Waker::from(Arc::clone(count));
            assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
        }
        // A handle that was polled can be waited for, too.
        assert!(handle.wait_timeout(Duration::ZERO).is_none());
        end(&gate, blockers);
        // Kept: with a handle that is gone, nobody waits any more.
        assert_eq!(handle.wait_timeout(LONG).unwrap().unwrap(), 5);
        assert!(pool.wait_idle(LONG));
        assert_eq!(first.0.load(Ordering::SeqCst), 0);
        until(|| last.0.load(Ordering::SeqCst) == 1);
        // Its waker is not kept.
        until(|| Arc::strong_count(&last) == 1);
        drop(handle);
    });
}

#[test]
fn a_future_sees_every_end_while_jobs_finish_and_are_cancelled() {
    at_each_width(|pool| {
        for i in 0..scale(500) {
            let handle = pool.submit(move || i);
            let job = handle.job_ref();
            let canceller = std::thread::spawn(move || job.cancel());
            match block_on(handle) {
                Ok(result) => assert_eq!(result, i),
                Err(JobError::Cancelled { .. }) => {}
                other => panic!("{other:?}"),
            }
            canceller.join().unwrap();
        }
    });
}

#[test]
fn a_waker_that_panics_harms_nobody() {
    struct Bad(AtomicUsize);
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
            throw("waker");
        }
    }
    at_each_width(|pool| {
        let (gate, blockers) = block(pool);
        let bad = Arc::new(Bad(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&bad));
        let mut handle = pool.submit(|| 5);
        assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        end(&gate, blockers);
        // Before that, another waker would take its place.
        until(|| bad.0.load(Ordering::SeqCst) == 1);
        assert_eq!(block_on(handle).unwrap(), 5);
        assert_whole(pool);
        assert_eq!(bad.0.load(Ordering::SeqCst), 1);
    });
}

// ---- threads that end

/// P9. What a thread-local value's destructor submits runs, or is given back; the thread ends either way.
#[test]
fn a_destructor_of_a_thread_local_value_may_submit_and_wait() {
    struct Late(Pool, mpsc::Sender<i32>);
    impl Drop for Late {
        fn drop(&mut self) {
            let result = self.0.submit(|| 1).wait().unwrap();
            let second = self.0.try_submit(|| 2).unwrap().wait_timeout(LONG).unwrap().unwrap();
            self.1.send(result + second).unwrap();
        }
    }
    thread_local! {
        static LATE: Cell<Option<Late>> = const { Cell::new(None) };
    }
    at_each_width(|pool| {
        let (sender, receiver) = mpsc::channel();
        let late = Late(pool.clone(), sender);
        std::thread::spawn(move || LATE.set(Some(late))).join().unwrap();
        assert_eq!(receiver.recv().unwrap(), 3);
    });
}

#[test]
fn a_loop_of_a_lower_level_makes_way() {
    at_each_width(|pool| {
        // Each ends only when the job of a higher level has run.
        let done = Arc::new(AtomicUsize::new(0));
        let low = |by_fork: bool| {
            let done = Arc::clone(&done);
            let started = Gate::default();
            let is_started = started.clone();
            let busy = move || {
                fn fork(done: &AtomicUsize) {
                    if done.load(Ordering::SeqCst) == 0 {
                        windlass::join(|| work_for(Duration::from_micros(5)), || ());
                    }
                }
                started.open();
                while by_fork && done.load(Ordering::SeqCst) == 0 {
                    fork(&done);
                }
                if !by_fork {
                    windlass::iter::repeat(()).find_any(|()| {
                        work_for(Duration::from_micros(5));
                        done.load(Ordering::SeqCst) > 0
                    });
                }
            };
            let handle = pool.job("batch").priority(Priority::Background).submit(busy);
            (is_started, handle)
        };
        for by_fork in [false, true] {
            done.store(0, Ordering::SeqCst);
            // One endless loop takes all workers.
            let count = if by_fork { pool.num_workers() } else { 1 };
            let batches: Vec<_> = (0..count).map(|_| low(by_fork)).collect();
            for (started, _) in &batches {
                started.wait();
            }
            let count = Arc::clone(&done);
            let urgent = pool.job("urgent").priority(Priority::High);
            urgent.submit(move || count.fetch_add(1, Ordering::SeqCst)).detach();
            for (_, batch) in batches {
                batch.wait().unwrap();
            }
            assert_eq!(done.load(Ordering::SeqCst), 1);
        }
    });
}
