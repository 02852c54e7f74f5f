//! The pools of the jobs suite, each behind the one trait that the cases are written against, and
//! each with its own way to hand back results where it has one.

use crate::engines::{Engine, rayon_pool};
use std::borrow::Borrow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, Thread};
use std::time::Duration;

/// Jobs to submit, in order. Some engines submit from a thread of their own, hence the bounds.
pub(super) trait Batch:
    ExactSizeIterator<Item: FnOnce() -> u64 + Send> + Send + 'static
{
}

impl<I: ExactSizeIterator<Item: FnOnce() -> u64 + Send> + Send + 'static> Batch for I {}

/// A pool that runs jobs.
pub(super) trait Jobs {
    const ENGINE: Engine;
    /// Whether a job's result goes through a [`Tally`]: the pool itself returns nothing.
    const TALLIED: bool = false;

    /// Submits the batch; what it returns waits for the results and adds them up. The engines
    /// that have handles ignore the tally.
    fn start(&self, tally: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64;
}

impl<J: Jobs> Jobs for &J {
    const ENGINE: Engine = J::ENGINE;
    const TALLIED: bool = J::TALLIED;

    fn start(&self, tally: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        (**self).start(tally, batch)
    }
}

impl<J: Jobs> Jobs for Arc<J> {
    const ENGINE: Engine = J::ENGINE;
    const TALLIED: bool = J::TALLIED;

    fn start(&self, tally: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        (**self).start(tally, batch)
    }
}

/// Number and sum of a batch's results, for pools that return nothing: one `fetch_add` a job, and
/// the last job wakes the thread that waits. Cheaper than a channel, so in the peer's favour.
#[repr(align(128))]
pub(super) struct Tally {
    /// The number in the upper bits, the sum in the lower ones.
    word: AtomicU64,
    target: AtomicU64,
    waiter: Mutex<Option<Thread>>,
}

impl Tally {
    const ONE: u64 = 1 << 40;

    pub(super) const fn new() -> Tally {
        Tally { word: AtomicU64::new(0), target: AtomicU64::new(0), waiter: Mutex::new(None) }
    }

    fn begin(&self, jobs: usize) {
        *self.waiter.lock().expect("no panic under the lock") = Some(thread::current());
        self.target.store(jobs as u64, Ordering::Relaxed);
        // Handed to the jobs by the pool that takes them.
        self.word.store(0, Ordering::Relaxed);
    }

    fn add(&self, result: u64) {
        let word = self.word.fetch_add(Self::ONE + result, Ordering::AcqRel) + Self::ONE + result;
        if word / Self::ONE == self.target.load(Ordering::Relaxed)
            && let Some(waiter) = &*self.waiter.lock().expect("no panic under the lock")
        {
            waiter.unpark();
        }
    }

    fn wait(&self) -> u64 {
        loop {
            let word = self.word.load(Ordering::Acquire);
            if word / Self::ONE == self.target.load(Ordering::Relaxed) {
                return word % Self::ONE;
            }
            thread::park();
        }
    }
}

/// The batch on a pool whose jobs return nothing, by way of the tally.
fn tallied<B: Batch>(
    tally: &'static Tally,
    batch: B,
    spawn: impl Fn(Tallied<B::Item>),
) -> impl FnOnce() -> u64 {
    tally.begin(batch.len());
    batch.for_each(|job| spawn(Tallied { job, tally }));
    move || tally.wait()
}

/// A job whose result goes to a tally.
struct Tallied<F> {
    job: F,
    tally: &'static Tally,
}

impl<F: FnOnce() -> u64> Tallied<F> {
    fn run(self) {
        self.tally.add((self.job)());
    }
}

/// The batch on a pool whose jobs return nothing, by way of a channel.
fn channelled<B: Batch>(
    batch: B,
    spawn: impl Fn(B::Item, mpsc::Sender<u64>),
) -> impl FnOnce() -> u64 {
    let (count, (sender, results)) = (batch.len(), mpsc::channel());
    batch.for_each(|job| spawn(job, sender.clone()));
    move || results.iter().take(count).sum()
}

/// The plain loop.
pub(super) struct Seq;

impl Jobs for Seq {
    const ENGINE: Engine = Engine::Seq;

    fn start(&self, _: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        move || batch.map(|job| job()).sum()
    }
}

/// rayon's `spawn`, which returns nothing.
pub(super) struct Rayon(pub(super) rayon::ThreadPool);

impl Rayon {
    pub(super) fn build(workers: usize) -> Rayon {
        Rayon(rayon_pool(workers))
    }
}

impl Jobs for Rayon {
    const ENGINE: Engine = Engine::Rayon;
    const TALLIED: bool = true;

    fn start(&self, tally: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        tallied(tally, batch, |job| self.0.spawn(move || job.run()))
    }
}

/// rayon's `spawn` and a channel: how one waits for a single job.
pub(super) struct RayonChannel<'p>(pub(super) &'p rayon::ThreadPool);

impl Jobs for RayonChannel<'_> {
    const ENGINE: Engine = Engine::Rayon;

    fn start(&self, _: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        channelled(batch, |job, sender| self.0.spawn(move || _ = sender.send(job())))
    }
}

/// rayon's scope, opened by a worker; its end is where the jobs are waited for.
pub(super) struct RayonScope<'p>(pub(super) &'p rayon::ThreadPool);

impl Jobs for RayonScope<'_> {
    const ENGINE: Engine = Engine::Rayon;

    fn start(&self, tally: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        move || {
            // The scope waits for them, and the worker that opened it takes part.
            self.0
                .scope(|scope| drop(tallied(tally, batch, |job| scope.spawn(move |_| job.run()))));
            tally.wait()
        }
    }
}

/// tokio's tasks and their join handles.
pub(super) struct Tokio(tokio::runtime::Runtime);

impl Tokio {
    pub(super) fn build(workers: usize) -> Tokio {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .max_blocking_threads(workers)
            // Or the blocking threads end while another case runs, and start inside a sample.
            .thread_keep_alive(Duration::from_secs(3_600))
            .build();
        Tokio(runtime.expect("tokio runtime"))
    }
}

/// Waits for tokio's handles one by one.
async fn join_all(handles: Vec<tokio::task::JoinHandle<u64>>) -> u64 {
    let mut sum = 0;
    for handle in handles {
        sum += handle.await.expect("no job panics");
    }
    sum
}

impl Jobs for Tokio {
    const ENGINE: Engine = Engine::Tokio;

    fn start(&self, _: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        let mut handles = Vec::with_capacity(batch.len());
        handles.extend(batch.map(|job| self.0.spawn(async move { job() })));
        move || self.0.block_on(join_all(handles))
    }
}

/// A tokio task that spawns the others and awaits them.
pub(super) struct TokioInside<'p>(pub(super) &'p Tokio);

impl Jobs for TokioInside<'_> {
    const ENGINE: Engine = Engine::Tokio;

    fn start(&self, _: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        let runtime = &self.0.0;
        let task = async move {
            let mut handles = Vec::with_capacity(batch.len());
            handles.extend(batch.map(|job| tokio::spawn(async move { job() })));
            join_all(handles).await
        };
        move || runtime.block_on(runtime.spawn(task)).expect("no job panics")
    }
}

/// tokio's `spawn_blocking`, on as many blocking threads as the others have workers.
pub(super) struct TokioBlocking<T>(pub(super) T);

impl<T: Borrow<Tokio>> Jobs for TokioBlocking<T> {
    const ENGINE: Engine = Engine::TokioBlocking;

    fn start(&self, _: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        let runtime = &self.0.borrow().0;
        let mut handles = Vec::with_capacity(batch.len());
        handles.extend(batch.map(|job| runtime.spawn_blocking(job)));
        move || runtime.block_on(join_all(handles))
    }
}

/// threadpool's `execute`, which returns nothing.
pub(super) struct Threadpool(threadpool::ThreadPool);

impl Threadpool {
    pub(super) fn build(workers: usize) -> Threadpool {
        Threadpool(threadpool::ThreadPool::new(workers))
    }
}

impl Jobs for Threadpool {
    const ENGINE: Engine = Engine::Threadpool;
    const TALLIED: bool = true;

    fn start(&self, tally: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        tallied(tally, batch, |job| self.0.execute(move || job.run()))
    }
}

/// threadpool's `execute` and a channel.
pub(super) struct ThreadpoolChannel<'p>(pub(super) &'p Threadpool);

impl Jobs for ThreadpoolChannel<'_> {
    const ENGINE: Engine = Engine::Threadpool;

    fn start(&self, _: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        channelled(batch, |job, sender| self.0.0.execute(move || _ = sender.send(job())))
    }
}

/// rusty_pool's `evaluate` and its join handles.
pub(super) struct RustyPool(rusty_pool::ThreadPool);

impl RustyPool {
    /// All threads are core threads, which stay, and they are started here.
    pub(super) fn build(workers: usize) -> RustyPool {
        let pool = rusty_pool::ThreadPool::new(workers, workers, Duration::ZERO);
        pool.start_core_threads();
        RustyPool(pool)
    }
}

impl Jobs for RustyPool {
    const ENGINE: Engine = Engine::RustyPool;

    fn start(&self, _: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        let mut handles = Vec::with_capacity(batch.len());
        handles.extend(batch.map(|job| self.0.evaluate(job)));
        move || handles.into_iter().map(|handle| handle.await_complete()).sum()
    }
}

/// affinitypool's `spawn`, whose futures start at once.
pub(super) struct Affinitypool(affinitypool::Threadpool);

impl Affinitypool {
    pub(super) fn build(workers: usize) -> Affinitypool {
        Affinitypool(affinitypool::Threadpool::new(workers))
    }
}

impl Jobs for Affinitypool {
    const ENGINE: Engine = Engine::Affinitypool;

    fn start(&self, _: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        let mut futures = Vec::with_capacity(batch.len());
        futures.extend(batch.map(|job| self.0.spawn(job)));
        move || {
            pollster::block_on(async {
                let mut sum = 0;
                for future in futures {
                    sum += future.await;
                }
                sum
            })
        }
    }
}

/// What one writes without a crate: boxed closures in a standard channel, threads that take turns
/// at its receiver, and a second channel for a batch's results.
pub(super) struct Channel {
    /// Taken by `drop`, which closes the channel.
    jobs: Option<mpsc::Sender<Box<dyn FnOnce() + Send>>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Channel {
    pub(super) fn build(workers: usize) -> Channel {
        let (jobs, receiver) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let receiver = Arc::new(Mutex::new(receiver));
        let work = || {
            let receiver = Arc::clone(&receiver);
            thread::spawn(move || {
                // The guard is gone before the job runs.
                let next = || receiver.lock().expect("no panic under the lock").recv();
                while let Ok(job) = next() {
                    job();
                }
            })
        };
        Channel { jobs: Some(jobs), threads: (0..workers).map(|_| work()).collect() }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            thread.join().expect("no job panics");
        }
    }
}

impl Jobs for Channel {
    const ENGINE: Engine = Engine::Channel;

    fn start(&self, _: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        let jobs = self.jobs.as_ref().expect("the pool is open");
        channelled(batch, |job, sender| {
            let job = Box::new(move || _ = sender.send(job()));
            jobs.send(job).expect("the threads take jobs to the end");
        })
    }
}
