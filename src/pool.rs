//! The pool: the handle that users hold, and the global one.

use crate::builder::{AutoPinGuard, PoolBuilder, Starter};
use crate::engine::registry::Registry;
use crate::engine::worker::{Alone, Worker};
use crate::error::BuildError;
use crate::job::{Board, abandon_pending};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// A pool of workers.
///
/// A `Pool` is a handle: clones share the same workers. When the last handle is dropped, jobs that
/// have not started are abandoned, and the drop waits for those that run and until the threads have
/// ended; [`shutdown`](Pool::shutdown) does it otherwise, and in bounded time. Dropped by one of its
/// own jobs, it waits for nothing, and the threads end by themselves.
///
/// Callers take part: [`install`](Pool::install), [`join`](Pool::join), [`scope`](Pool::scope) and
/// the `par_*` methods run on the calling thread, which counts against the pool's width for that
/// time, and wake a worker only when there is something worth sharing. When as many callers as the
/// pool is wide are inside already, the next one blocks and its closure runs on a worker.
///
/// ```
/// use windlass::Pool;
///
/// let pool = Pool::new(2)?;
/// let squares = pool.par_map(&[1, 2, 3], |x| x * x);
/// assert_eq!(squares, [1, 4, 9]);
/// # Ok::<(), windlass::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

// A panic inside a pool's work reaches who waits for it and leaves the pool whole, whatever the
// cells and atomics in it suggest.
impl std::panic::UnwindSafe for Pool {}
impl std::panic::RefUnwindSafe for Pool {}

struct Inner {
    registry: Arc<Registry>,
    threads: Arc<Starter>,
    /// Whether a shutdown has left a job running.
    is_left: AtomicBool,
    _auto_pin: Option<AutoPinGuard>,
}

impl Pool {
    /// A pool of `workers` workers with every other setting at its default.
    ///
    /// # Errors
    /// As [`PoolBuilder::build`].
    pub fn new(workers: usize) -> Result<Pool, BuildError> {
        Pool::builder().workers(workers).build()
    }

    /// Configures a pool.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::default()
    }

    /// The pool that the free functions use outside of any pool. Started on first use, never
    /// dropped.
    ///
    /// It has the default settings of [`PoolBuilder`]. If `WINDLASS_NUM_THREADS` does not hold a
    /// number of workers, a line on standard error says so and the default is used. In the child of
    /// a fork(2) the first use starts a new one.
    ///
    /// # Panics
    /// If the operating system refuses even a single thread.
    pub fn global() -> &'static Pool {
        // Acquire pairs with the Release half of the exchange in `start_global`.
        let pool = GLOBAL.load(Ordering::Acquire);
        // SAFETY: null or a leaked Box.
        match unsafe { pool.as_ref() } {
            Some(pool) if !pool.registry().is_from_before_fork() => pool,
            _ => start_global(pool),
        }
    }

    pub(crate) fn new_started(
        registry: Arc<Registry>,
        threads: Arc<Starter>,
        auto_pin: Option<AutoPinGuard>,
    ) -> Pool {
        Pool {
            inner: Arc::new(Inner {
                registry,
                threads,
                is_left: AtomicBool::new(false),
                _auto_pin: auto_pin,
            }),
        }
    }

    #[inline]
    pub(crate) fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// The pool's width: how many threads run its work at once.
    pub fn num_workers(&self) -> usize {
        self.registry().width()
    }

    /// The CPU that each worker is pinned to, `None` for one that the operating system places.
    pub fn pinned_cpus(&self) -> Vec<Option<usize>> {
        (0..self.num_workers()).map(|index| self.registry().sleep.cpu(index)).collect()
    }

    /// The index of the calling thread among this pool's workers, from 0, or `None` if it is not
    /// one of its threads. A caller that takes part is none.
    ///
    /// ```
    /// let pool = windlass::Pool::new(2)?;
    /// assert_eq!(pool.current_worker(), None);
    /// assert_eq!(pool.broadcast(|_| pool.current_worker()), [Some(0), Some(1)]);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn current_worker(&self) -> Option<usize> {
        Worker::with_seat_in(self.registry(), |seat| {
            seat.map(|worker| worker.index() as usize).filter(|&index| index < self.num_workers())
        })
    }

    /// Runs `f` in this pool: what it calls of [`join`](crate::join), [`scope`](crate::scope) and
    /// the `par_*` functions uses this pool's workers.
    ///
    /// `f` runs on the calling thread if that is in the pool already, or else if the pool has room
    /// for one more at work; otherwise on one of the pool's threads.
    ///
    /// # Panics
    /// If `f` panics, with its payload. If the pool was made before a fork(2) of which this process
    /// is the child.
    ///
    /// # Blocking
    /// Until `f` has returned. If as many threads as the pool is wide are at work in it, also until
    /// one of them has time for `f`. A thread of another pool that blocks here lends its place
    /// there to others.
    ///
    /// ```
    /// let pool = windlass::Pool::new(2)?;
    /// let n = pool.install(|| windlass::join(|| 20, || 22));
    /// assert_eq!(n.0 + n.1, 42);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        self.registry().enter(|_| f())
    }
}

/// Runs `f` with the pool that the calling thread is in, else with the global one.
#[inline]
pub(crate) fn with_current_registry<R>(f: impl FnOnce(&Registry) -> R) -> R {
    Worker::with_current(|worker| match worker {
        Some(worker) => f(worker.registry()),
        None => Alone::with_ambient(|ambient| match ambient {
            Some(registry) => f(registry),
            None => f(Pool::global().registry()),
        }),
    })
}

static GLOBAL: AtomicPtr<Pool> = AtomicPtr::new(std::ptr::null_mut());

// No lock: a thread that held it while another forked would leave it locked in the child for ever.
// Two threads that come first at the same time both build a pool, and one of them drops its own.
#[cold]
fn start_global(stale: *mut Pool) -> &'static Pool {
    let built = match Pool::builder().build() {
        Ok(pool) => pool,
        Err(error) => {
            let workers = match &error {
                BuildError::BadEnvironment { .. } => crate::engine::topology::default_workers(),
                _ => 1,
            };
            eprintln!("windlass: {error}; the global pool starts with {workers} instead");
            Pool::new(workers).unwrap_or_else(|error| {
                panic!("windlass: the global pool cannot be started: {error}")
            })
        }
    };
    let mine = Box::into_raw(Box::new(built));
    match GLOBAL.compare_exchange(stale, mine, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: leaked on purpose: the global pool lives as long as the process. (A stale one
        // belongs to the parent of a fork and cannot be joined here.)
        Ok(_) => unsafe { &*mine },
        Err(theirs) => {
            // SAFETY: nobody has seen ours.
            drop(unsafe { Box::from_raw(mine) });
            // SAFETY: a published pool is never freed.
            unsafe { &*theirs }
        }
    }
}

impl Pool {
    /// Tells the threads to end, and waits for that if it is told to. Returns whether they have.
    pub(crate) fn end_threads(&self, waits: bool) -> bool {
        self.registry().stop();
        let waits = waits && !self.inner.threads.is_called_from_inside();
        // Who has not waited here does not wait in the drop either, unless a later call does.
        self.inner.is_left.store(!waits, Ordering::Release);
        if waits {
            self.inner.threads.join_all();
            Board::of(self.registry()).stop_timer();
        }
        waits
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.registry.is_from_before_fork() {
            // The threads are the parent's. Their handles must not be joined, nor what they share
            // be freed.
            self.threads.forget_all();
            std::mem::forget(Arc::clone(&self.registry));
            return;
        }
        abandon_pending(&self.registry);
        Board::of(&self.registry).schedules.end_all();
        self.registry.stop();
        // The last handle may be dropped by a job of this very pool, whose thread cannot wait for
        // itself, nor for those that may wait for it. They end by themselves.
        let inside = Worker::with_seat_in(&self.registry, |seat| seat.is_some());
        let inside = inside || self.threads.is_called_from_inside();
        if !inside && !self.is_left.load(Ordering::Acquire) {
            self.threads.join_all();
            Board::of(&self.registry).stop_timer();
        }
    }
}

impl fmt::Debug for Pool {
    /// Shows the counters, and for each seat that is in use what it has queued: what a watchdog
    /// wants to see.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registry = self.registry();
        f.debug_struct("Pool")
            .field("workers", &self.num_workers())
            .field("sleep", &registry.sleep.word())
            .field("crew", &registry.crew)
            .field("jobs", Board::of(registry))
            .field(
                "seats",
                &registry.seats().iter().filter(|seat| seat.is_notable()).collect::<Vec<_>>(),
            )
            .finish()
    }
}
