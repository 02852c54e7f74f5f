//! Requests to a service that is down for a while, tried again without a thread that sleeps.
//!
//! ```text
//! cargo run --release --example retry
//! ```
//!
//! A thousand jobs ask a service that refuses everything in its first 300 ms, and then answers nine
//! of ten. Two workers do all of it: a job that waits for its next attempt holds none. One request is
//! for something that does not exist, and is not tried again; one is cancelled while it waits. Then
//! the service goes down for good, and a budget keeps the retries from being most of the load.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use windlass::{
    Backoff, Jitter, Pool, Retry, RetryBudget, RetryError, RetryPolicy, Retryable, Transience,
};

#[derive(Debug)]
enum Refusal {
    Down,
    Busy { come_back_in: Duration },
    NotFound,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Down => f.write_str("the service is down"),
            Refusal::Busy { come_back_in } => write!(f, "busy, come back in {come_back_in:?}"),
            Refusal::NotFound => f.write_str("not found"),
        }
    }
}

impl Retryable for Refusal {
    fn transience(&self) -> Transience {
        match self {
            Refusal::Down => Transience::Transient,
            Refusal::Busy { come_back_in } => Transience::RetryAfter(*come_back_in),
            Refusal::NotFound => Transience::Permanent,
        }
    }
}

struct Service {
    start: Instant,
    down: Duration,
    asked: AtomicU64,
}

impl Service {
    fn new(down: Duration) -> Arc<Service> {
        Arc::new(Service { start: Instant::now(), down, asked: AtomicU64::new(0) })
    }

    fn get(&self, id: u64) -> Result<u64, Refusal> {
        let nth = self.asked.fetch_add(1, Ordering::Relaxed);
        match id {
            404 => Err(Refusal::NotFound),
            _ if self.start.elapsed() < self.down => Err(Refusal::Down),
            _ if nth % 10 == 9 => Err(Refusal::Busy { come_back_in: Duration::from_millis(5) }),
            _ => Ok(id * 2),
        }
    }
}

fn main() {
    let pool = Pool::new(2).expect("two workers");
    let policy = RetryPolicy::default()
        .attempts(10)
        .backoff(Backoff::exponential(Duration::from_millis(20), 2.0))
        .max_delay(Duration::from_millis(200))
        .jitter(Jitter::Full)
        .history(10);
    let retry = Retry::new(policy).classify(Retryable::transience).describe(Refusal::to_string);

    let service = Service::new(Duration::from_millis(300));
    let ask = |id: u64| {
        let service = Arc::clone(&service);
        pool.job("get").retry(&retry).submit_fallible(move |_| service.get(id))
    };
    let jobs: Vec<_> = (0..1_000).map(ask).collect();
    let cancelled = ask(7);
    cancelled.cancel();
    let (mut sum, mut most) = (0, 0);
    for (id, job) in (0..).zip(jobs) {
        let by_ref = job.job_ref();
        match job.wait() {
            Ok(twice) => sum += twice - id,
            Err(error) => println!("{id}: {error}"),
        }
        most = most.max(by_ref.attempts());
    }
    println!("all others answered, after {most} attempts at most; the sum is {sum}");
    println!("the one that was cancelled: {}", cancelled.wait().expect_err("it was down"));

    let last = ask(404).wait().expect_err("it does not exist");
    if let RetryError::Failed(failed) = &last {
        for attempt in failed.history() {
            let error = attempt.error.as_deref().unwrap_or_default();
            println!("attempt {} waited {:?}: {error}", attempt.number, attempt.waited);
        }
    }

    // No more than a tenth on top, and one a second.
    let budget = RetryBudget::new(10, 1);
    let policy = RetryPolicy::fixed(Duration::from_millis(1)).attempts(10).budget(&budget);
    let retry = Retry::new(policy);
    let service = Service::new(Duration::MAX);
    let jobs: Vec<_> = (0..1_000)
        .map(|id| {
            let service = Arc::clone(&service);
            pool.job("get").retry(&retry).submit_fallible(move |_| service.get(id))
        })
        .collect();
    let failed = jobs.into_iter().filter_map(|job| job.wait().err()).count();
    let asked = service.asked.load(Ordering::Relaxed);
    println!(
        "down for good: {failed} requests have failed, after {asked} attempts instead of 10000"
    );
}
