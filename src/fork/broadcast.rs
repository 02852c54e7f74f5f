//! `broadcast`: one call on every worker.

use crate::engine::job::JobRef;
use crate::engine::latch::Latch;
use crate::engine::registry::{Registry, blocking};
use crate::engine::signal::{FirstPanic, Signal};
use crate::engine::sync::{AtomicUsize, Ordering};
use crate::engine::unwind;
use crate::engine::worker::{Belonging, Worker, context};
use crate::pool::{Pool, with_current_registry};
use std::sync::{Arc, OnceLock};

/// Tells a broadcast closure where it runs.
#[derive(Clone, Copy, Debug)]
pub struct BroadcastContext {
    index: usize,
    num_workers: usize,
}

impl BroadcastContext {
    /// The index of the worker, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many workers the pool has.
    pub fn num_workers(&self) -> usize {
        self.num_workers
    }
}

/// Runs `f` once on each thread of the current pool, or of [`Pool::global`], and returns the
/// results in the order of the workers.
///
/// For per-thread state: warming thread-locals, flushing them, reading counters.
///
/// # Panics
/// If a call panics, after all have finished, with the payload of the first one in time.
///
/// # Blocking
/// Until every worker has come by: one that runs a long job comes when it is done. A worker that
/// waits in `join` or `scope` runs the call meanwhile; this is the one exception to the rule that a
/// wait runs nothing foreign, without which two such waits could block each other. So `f` must not
/// take a lock that is held across a wait in this pool. A worker that waits inside of another pool
/// comes when that wait is over.
///
/// # Examples
/// ```
/// let pool = windlass::Pool::new(3)?;
/// assert_eq!(pool.broadcast(|cx| cx.index() * 10), [0, 10, 20]);
/// # Ok::<(), windlass::BuildError>(())
/// ```
pub fn broadcast<R: Send>(f: impl Fn(BroadcastContext) -> R + Sync) -> Vec<R> {
    with_current_registry(|registry| run(registry, f))
}

impl Pool {
    /// [`broadcast`](crate::broadcast()) in this pool.
    ///
    /// # Panics
    /// As [`broadcast`](crate::broadcast()), and if the pool was made before a fork(2) of which
    /// this process is the child.
    ///
    /// # Blocking
    /// As [`broadcast`](crate::broadcast()).
    pub fn broadcast<R: Send>(&self, f: impl Fn(BroadcastContext) -> R + Sync) -> Vec<R> {
        run(self.registry(), f)
    }
}

/// What the caller waits for. Counted by `Arc`: the last call to finish touches it after the caller
/// may have gone on.
struct Completion {
    pending: AtomicUsize,
    latch: Latch,
    signal: Signal,
    /// The seat of the caller if it is one of the pool's threads: it must serve broadcasts of
    /// others while it waits.
    owner: Option<u32>,
}

/// One worker's share.
struct Piece<'a, F, R> {
    f: &'a F,
    context: BroadcastContext,
    result: OnceLock<R>,
    panic: &'a FirstPanic,
    done: &'a Arc<Completion>,
    /// What the call of `broadcast` belongs to.
    belongs_to: *const (),
}

impl<F: Fn(BroadcastContext) -> R + Sync, R: Send> Piece<'_, F, R> {
    /// # Safety
    /// `data` is a live piece; the caller of `broadcast` keeps it so until the completion is
    /// signalled.
    unsafe fn run(data: *const (), worker: &Worker) {
        // SAFETY: by contract.
        let piece = unsafe { &*data.cast::<Self>() };
        let belonging = Belonging::enter(piece.belongs_to);
        let result = unwind::catch(|| (piece.f)(piece.context));
        drop(belonging);
        match result {
            // Each piece is run once, so the cell is empty.
            Ok(value) => drop(piece.result.set(value)),
            Err(payload) => piece.panic.keep(payload),
        }
        let done = Arc::clone(piece.done);
        // AcqRel: the last one passes on what the others wrote. From here on the piece may be gone
        // (L7).
        if done.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            match done.owner {
                // SAFETY: our own Arc keeps the latch alive.
                Some(owner) if unsafe { Latch::set(&raw const done.latch) } => {
                    worker.registry().unpark(owner);
                }
                Some(_) => {}
                None => done.signal.set(),
            }
        }
    }
}

fn run<F: Fn(BroadcastContext) -> R + Sync, R: Send>(registry: &Registry, f: F) -> Vec<R> {
    registry.check_not_forked();
    let num_workers = registry.width();
    let panic = FirstPanic::default();
    Worker::with_seat_in(registry, |seat| {
        let thread = seat.filter(|worker| (worker.index() as usize) < num_workers);
        let done = Arc::new(Completion {
            pending: AtomicUsize::new(num_workers),
            latch: Latch::new(),
            signal: Signal::default(),
            owner: thread.map(Worker::index),
        });
        let pieces: Vec<Piece<'_, F, R>> = (0..num_workers)
            .map(|index| Piece {
                f: &f,
                context: BroadcastContext { index, num_workers },
                result: OnceLock::new(),
                panic: &panic,
                done: &done,
                belongs_to: context(),
            })
            .collect();
        // From the first push on nothing here unwinds: the pieces are on our stack.
        for (piece, worker) in pieces.iter().zip(registry.threads()) {
            let data = (&raw const *piece).cast();
            worker.push_broadcast(JobRef { data, run: Piece::<'_, F, R>::run });
            registry.summon(piece.context.index);
        }
        match thread {
            Some(worker) => loop {
                worker.run_broadcasts();
                if done.latch.probe() {
                    break;
                }
                worker.park_on(&done.latch, || false);
            },
            None => blocking(|| while !done.signal.wait() {}),
        }
        if let Some(payload) = panic.take() {
            unwind::drop_quietly(pieces);
            std::panic::resume_unwind(payload);
        }
        pieces.into_iter().filter_map(|piece| piece.result.into_inner()).collect()
    })
}
