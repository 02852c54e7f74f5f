//! A timer of each engine, used at its best.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Waker};
use std::thread::JoinHandle;
use std::time::Instant;
use windlass::perf::{BareKey, BareTimer};

/// Sets timers and takes them back.
pub(crate) trait Timers: Sync {
    type Key;
    fn set(&self, at: Instant) -> Self::Key;
    /// Whether it had not fired.
    fn take_back(&self, key: Self::Key) -> bool;
}

/// How late each of them fired, in ns.
fn collect(fired: Receiver<f64>) -> Vec<f64> {
    fired.into_iter().collect()
}

fn late(at: Instant) -> f64 {
    at.elapsed().as_nanos() as f64
}

pub(crate) struct Windlass(BareTimer);

impl Windlass {
    pub(crate) fn new() -> Self {
        Windlass(BareTimer::new())
    }

    /// On the timer's thread.
    pub(crate) fn fire(self, deadlines: &[Instant]) -> Vec<f64> {
        let (sender, fired) = channel();
        for &at in deadlines {
            let sender: Sender<f64> = sender.clone();
            self.0.insert(at, move || _ = sender.send(late(at)));
        }
        drop(sender);
        collect(fired)
    }
}

impl Timers for Windlass {
    type Key = BareKey;
    fn set(&self, at: Instant) -> BareKey {
        self.0.insert(at, || ())
    }
    fn take_back(&self, key: BareKey) -> bool {
        self.0.cancel(key)
    }
}

/// Schedules of a pool of one worker, which runs them.
pub(crate) struct Jobs(windlass::Pool);

impl Jobs {
    pub(crate) fn new() -> Self {
        Jobs(windlass::Pool::new(1).expect("windlass pool"))
    }

    pub(crate) fn fire(self, deadlines: &[Instant]) -> Vec<f64> {
        let (sender, fired) = channel();
        for &at in deadlines {
            let sender: Mutex<Sender<f64>> = Mutex::new(sender.clone());
            let run = move || _ = sender.lock().expect("no panic").send(late(at));
            self.0.schedule("late").at(at).start(run).expect("it is not past");
        }
        drop(sender);
        collect(fired)
    }
}

/// A runtime of one worker; timers that are set and taken back are polled once, which sets them.
pub(crate) struct Tokio(tokio::runtime::Runtime);

impl Tokio {
    pub(crate) fn new() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        Tokio(builder.worker_threads(1).enable_time().build().expect("tokio runtime"))
    }

    /// In a task each.
    pub(crate) fn fire(self, deadlines: &[Instant]) -> Vec<f64> {
        let (sender, fired) = channel();
        for &at in deadlines {
            let sender: Sender<f64> = sender.clone();
            self.0.spawn(async move {
                tokio::time::sleep_until(at.into()).await;
                let _ = sender.send(late(at));
            });
        }
        drop(sender);
        collect(fired)
    }
}

impl Timers for Tokio {
    type Key = Pin<Box<tokio::time::Sleep>>;
    fn set(&self, at: Instant) -> Self::Key {
        let _inside = self.0.enter();
        let mut sleep = Box::pin(tokio::time::sleep_until(at.into()));
        let polled = sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        sleep
    }
    fn take_back(&self, key: Self::Key) -> bool {
        let is_pending = !key.is_elapsed();
        drop(key);
        is_pending
    }
}

type Entry = Reverse<(Instant, u64)>;

#[derive(Default)]
struct Entries {
    heap: BinaryHeap<Entry>,
    callbacks: std::collections::HashMap<u64, Box<dyn FnOnce() + Send>>,
    /// Taken back, and still in the heap.
    gone: HashSet<u64>,
    count: u64,
    is_over: bool,
}

/// A binary heap behind a lock, whose thread sleeps until the first deadline. What is taken back stays
/// in the heap until it is due.
pub(crate) struct Heap {
    shared: Arc<(Mutex<Entries>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Heap {
    pub(crate) fn new() -> Self {
        let shared: Arc<(Mutex<Entries>, Condvar)> = Arc::default();
        let inner = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let (entries, wake) = &*inner;
            let mut entries = entries.lock().expect("no panic");
            while !entries.is_over {
                let now = Instant::now();
                match entries.heap.peek().map(|Reverse((at, _))| *at) {
                    Some(at) if at <= now => {
                        let Some(Reverse((_, number))) = entries.heap.pop() else { break };
                        entries.gone.remove(&number);
                        if let Some(callback) = entries.callbacks.remove(&number) {
                            callback();
                        }
                    }
                    Some(at) => {
                        entries = wake.wait_timeout(entries, at - now).expect("no panic").0;
                    }
                    None => entries = wake.wait(entries).expect("no panic"),
                }
            }
        });
        Heap { shared, thread: Some(thread) }
    }

    fn insert(&self, at: Instant, callback: Box<dyn FnOnce() + Send>) -> u64 {
        let (entries, wake) = &*self.shared;
        let mut entries = entries.lock().expect("no panic");
        let number = entries.count;
        entries.count += 1;
        let is_first = entries.heap.peek().is_none_or(|Reverse((first, _))| at < *first);
        entries.heap.push(Reverse((at, number)));
        entries.callbacks.insert(number, callback);
        drop(entries);
        if is_first {
            wake.notify_one();
        }
        number
    }

    pub(crate) fn fire(self, deadlines: &[Instant]) -> Vec<f64> {
        let (sender, fired) = channel();
        for &at in deadlines {
            let sender: Sender<f64> = sender.clone();
            self.insert(at, Box::new(move || _ = sender.send(late(at))));
        }
        drop(sender);
        collect(fired)
    }
}

impl Timers for Heap {
    type Key = u64;
    fn set(&self, at: Instant) -> u64 {
        self.insert(at, Box::new(|| ()))
    }
    fn take_back(&self, key: u64) -> bool {
        let mut entries = self.shared.0.lock().expect("no panic");
        let callback = entries.callbacks.remove(&key);
        if callback.is_some() {
            entries.gone.insert(key);
        }
        callback.is_some()
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        self.shared.0.lock().expect("no panic").is_over = true;
        self.shared.1.notify_all();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the thread does not panic");
        }
    }
}
