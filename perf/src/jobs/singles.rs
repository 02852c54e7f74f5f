//! The samples of the jobs suite that are one by one: how long a single job takes to a sleeping
//! pool and past a busy one, and what a queued one weighs.

use super::peers::{Batch, Jobs};
use super::{TALLIES, collect};
use crate::engines::Engine;
use crate::harness::{allocated_bytes, demand};
use std::hint::{black_box, spin_loop};
use std::iter::once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// An engine, and what takes one sample of it: nanoseconds or bytes.
pub(super) type Sampler<'a> = (Engine, Box<dyn FnMut() -> f64 + 'a>);

/// Time from submitting one job until its result is here; the pool sleeps before.
pub(super) fn round_trip<'a, J: Jobs + 'a>(jobs: J) -> Sampler<'a> {
    let sample = move || {
        sleep(Duration::from_millis(5));
        let start = Instant::now();
        let right = collect(&jobs, &TALLIES[0], 1, 2);
        let time = start.elapsed();
        demand(right, J::ENGINE.name());
        time.as_nanos() as f64
    };
    (J::ENGINE, Box::new(sample))
}

/// What keeps every worker of a pool inside a closure.
#[derive(Default)]
struct Hold {
    inside: AtomicUsize,
    left: AtomicUsize,
}

impl Hold {
    /// A batch of as many closures as there are workers, one for each.
    fn batch(
        self: &Arc<Hold>,
        workers: usize,
        stay: impl Fn() + Clone + Send + 'static,
    ) -> impl Batch {
        let hold = Arc::clone(self);
        (0..workers).map(move |_| {
            let (hold, stay) = (Arc::clone(&hold), stay.clone());
            move || {
                hold.inside.fetch_add(1, Ordering::Relaxed);
                stay();
                hold.left.fetch_add(1, Ordering::Relaxed);
                1
            }
        })
    }

    fn await_inside(&self, workers: usize) {
        let start = Instant::now();
        while self.inside.load(Ordering::Relaxed) < workers {
            demand(start.elapsed() < Duration::from_secs(10), "some worker takes no job");
            sleep(Duration::from_micros(100));
        }
    }
}

/// How a worker spends its time in a long closure.
#[derive(Clone, Copy)]
pub(super) enum Stay {
    /// It computes: the machine is busy too.
    Busy,
    /// It sleeps: the cores are free, and what is measured is the pool alone.
    Blocked,
}

/// Time from submitting `urgent` until it begins, while each worker is inside a long closure.
pub(super) fn start_past<'a, J: Jobs + 'a, U: Jobs + 'a>(
    ordinary: J,
    urgent: U,
    workers: usize,
    stay: Stay,
    length: Duration,
) -> Sampler<'a> {
    let long = move || match stay {
        Stay::Blocked => sleep(length),
        Stay::Busy => {
            let start = Instant::now();
            while start.elapsed() < length {
                spin_loop();
            }
        }
    };
    let sample = move || {
        // A machine that is busy otherwise may let this thread sleep for too long.
        for _ in 0..100 {
            let hold = Arc::new(Hold::default());
            let wait = ordinary.start(&TALLIES[1], hold.batch(workers, long));
            hold.await_inside(workers);
            sleep(length / 10);
            let submitted = Instant::now();
            let busy = hold.left.load(Ordering::Relaxed) == 0;
            let begin = move || submitted.elapsed().as_nanos() as u64;
            let time = urgent.start(&TALLIES[0], once(begin))();
            demand(wait() == workers as u64, J::ENGINE.name());
            if busy {
                return time as f64;
            }
        }
        demand(false, "no sample with all workers busy");
        unreachable!("the line above ends the run")
    };
    (J::ENGINE, Box::new(sample))
}

/// Jobs that are weighed: reads the allocator's books when the first is asked for, which is after
/// the vector for the handles was allocated, and when there are no more, which is after the last
/// was submitted.
struct Weighed<I> {
    jobs: I,
    begun: bool,
    books: Arc<[AtomicUsize; 2]>,
}

impl<I> Weighed<I> {
    fn read(&self, at: usize) {
        let bytes = allocated_bytes().expect("asked only where there is an answer");
        self.books[at].store(bytes, Ordering::Relaxed);
    }
}

impl<I: Iterator> Iterator for Weighed<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        if !self.begun {
            self.begun = true;
            self.read(0);
        }
        let job = self.jobs.next();
        if job.is_none() {
            self.read(1);
        }
        job
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.jobs.size_hint()
    }
}

impl<I: ExactSizeIterator> ExactSizeIterator for Weighed<I> {}

/// A job that captures so many words.
fn job_of<const WORDS: usize>(number: u32) -> impl FnOnce() -> u64 + Send + 'static {
    let capture = [u64::from(number); WORDS];
    move || black_box(capture)[0]
}

/// Bytes that a queued job takes, in a pool that has never run one, whose workers are blocked. A
/// job captures 32 bytes; where its result goes through a tally, the tally's address is one word
/// of them.
pub(super) fn weigh<'a, J: Jobs + 'a>(
    build: impl Fn() -> J + 'a,
    workers: usize,
    count: u32,
) -> Sampler<'a> {
    let sample = move || {
        let jobs = build();
        let hold = Arc::new(Hold::default());
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let closed = Arc::clone(&gate);
        let wait = jobs.start(
            &TALLIES[1],
            hold.batch(workers, move || {
                let shut = closed.0.lock().expect("no panic under the lock");
                drop(closed.1.wait_while(shut, |open| !*open));
            }),
        );
        hold.await_inside(workers);
        let books = Arc::new([const { AtomicUsize::new(0) }; 2]);
        let numbers = 0..count;
        let sum = if J::TALLIED {
            let batch = numbers.map(job_of::<3>);
            let batch = Weighed { jobs: batch, begun: false, books: Arc::clone(&books) };
            queue(&jobs, batch, &gate)
        } else {
            let batch = numbers.map(job_of::<4>);
            let batch = Weighed { jobs: batch, begun: false, books: Arc::clone(&books) };
            queue(&jobs, batch, &gate)
        };
        let right = wait() == workers as u64 && sum == (0..u64::from(count)).sum::<u64>();
        demand(right, J::ENGINE.name());
        let [before, after] = [0, 1].map(|at| books[at].load(Ordering::Relaxed));
        after.saturating_sub(before) as f64 / f64::from(count)
    };
    (J::ENGINE, Box::new(sample))
}

/// Queues the batch, opens the gate and collects.
fn queue(jobs: &impl Jobs, batch: impl Batch, gate: &(Mutex<bool>, Condvar)) -> u64 {
    let collect = jobs.start(&TALLIES[0], batch);
    *gate.0.lock().expect("no panic under the lock") = true;
    gate.1.notify_all();
    collect()
}
