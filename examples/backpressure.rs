//! A fast reader and a slow stage: the pool's limit holds the reader up, so memory stays flat however
//! long the input is.
//!
//! ```text
//! cargo run --release --example backpressure
//! ```

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;
use windlass::{Bound, Pool, QueueEvent, QueueLimits};

/// What is read at once, in bytes.
const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 1_000;
/// How many bytes may be in the pool at once.
const BUDGET: usize = 4 << 20;

/// The input: made up, and so as fast as can be.
fn read(nth: usize) -> Vec<u8> {
    let mut chunk = vec![nth as u8; CHUNK];
    chunk[0] = chunk[0].wrapping_add(nth as u8 | 1);
    chunk
}

/// The slow stage: some checksum, a few times over.
fn digest(chunk: &[u8]) -> u64 {
    (0..20).fold(0, |sum, round| {
        chunk.iter().fold(sum, |sum: u64, byte| {
            // FNV-1a, with the round in it.
            (sum ^ u64::from(*byte) ^ round).wrapping_mul(0x0100_0000_01b3)
        })
    })
}

/// What this process has in memory, in MiB, where the system tells.
fn resident() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some((text.split(' ').nth(1)?.parse::<usize>().ok()? * 4096) >> 20)
}

fn main() -> Result<(), Box<dyn Error>> {
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    // The weight of a job is what it has in memory, until it has ended.
    let limits =
        QueueLimits::new(Bound::weight(BUDGET as u64).or_jobs(1_000)).marks(8, 32, move |event| {
            if let QueueEvent::High(_) = event {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
    let pool = Pool::builder().queue(limits).build()?;
    let (sum, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
    let start = Instant::now();
    let (mut heaviest, mut held_up) = (0, 0);
    for nth in 0..CHUNKS {
        let chunk = read(nth);
        let (its_sum, its_done) = (Arc::clone(&sum), Arc::clone(&done));
        let before = Instant::now();
        // Blocks while the stage is behind by more than the budget.
        pool.job("digest")
            .weight(CHUNK as u64)
            .submit(move || {
                its_sum.fetch_add(digest(&chunk), Ordering::Relaxed);
                its_done.fetch_add(1, Ordering::Relaxed);
            })
            .detach();
        held_up += usize::from(before.elapsed().as_micros() > 20);
        heaviest = heaviest.max(pool.queue_stats().weight.unwrap_or(0));
        if nth % (CHUNKS / 8) == CHUNKS / 8 - 1 {
            let memory = resident().map_or("?".to_owned(), |mib| mib.to_string());
            println!(
                "read {:>4} MiB, {:>4} MiB to go, {memory:>3} MiB in memory",
                ((nth + 1) * CHUNK) >> 20,
                ((nth + 1 - done.load(Ordering::Relaxed)) * CHUNK) >> 20,
            );
        }
    }
    pool.wait_idle(std::time::Duration::MAX);
    println!(
        "{} MiB in {:.2} s, digest {:016x}; the reader was held up {held_up} times, the queue was \
         long {} times; at most {} KiB of {} were in the pool",
        (CHUNKS * CHUNK) >> 20,
        start.elapsed().as_secs_f64(),
        sum.load(Ordering::Relaxed),
        turns.load(Ordering::Relaxed),
        heaviest >> 10,
        BUDGET >> 10,
    );
    if heaviest > BUDGET as u64 {
        return Err("more was let in than the limit says".into());
    }
    Ok(())
}
