//! How a pool is configured and started.

use crate::engine::crew::Crew;
use crate::engine::registry::{MAX_WORKERS, Registry};
use crate::engine::sync::{Mutex, lock, thread};
use crate::engine::topology::{self, Topology};
use crate::engine::unwind::AbortOnUnwind;
use crate::engine::worker::Seated;
use crate::job::{Board, check_at_fork, discard, keep};
use crate::pool::Pool;
use crate::time::Clock;
use crate::{BuildError, Priority, QueueLimits, engine::sync::Ordering};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

/// The smallest stack that a worker runs on, in bytes.
const MIN_STACK: usize = 64 * 1024;

/// How many spare threads a pool may start by default. A model needs no more to go wrong.
const MAX_SPARES: usize = if cfg!(shuttle) { 2 } else { 32 };

/// Where the workers run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pinning {
    /// One worker a physical core, if that is sure to do no harm: the process may use whole cores
    /// (all hyper-threads of each), the pool has as many workers as there are CPUs, and
    /// no other live pool of the process has pinned its workers. Otherwise as `Never`.
    ///
    /// Nothing is pinned where the system does not tell which CPUs share a core: on macOS, on
    /// Windows, and in many virtual machines.
    #[default]
    Auto,
    /// The operating system places the workers.
    Never,
    /// One worker a physical core, the fastest first, hyper-threads last, within the process's
    /// affinity mask; a pool with more workers than CPUs starts again from the first.
    Cores,
    /// Worker `i` on the `i`-th CPU of the list, by the operating system's numbers.
    Cpus(Vec<usize>),
}

/// Configures a [`Pool`].
///
/// ```
/// use windlass::Pool;
///
/// let pool = Pool::builder().workers(2).name("crunch").build()?;
/// assert_eq!(pool.num_workers(), 2);
/// # Ok::<(), windlass::BuildError>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct PoolBuilder {
    workers: Option<usize>,
    name: String,
    stack_size: Option<usize>,
    pinning: Pinning,
    max_spare_workers: usize,
    reserved_workers: usize,
    /// None: the real one.
    clock: Option<Arc<dyn Clock>>,
    /// None: none.
    limits: Option<QueueLimits>,
}

impl Default for PoolBuilder {
    fn default() -> Self {
        PoolBuilder {
            workers: None,
            name: "windlass".to_owned(),
            stack_size: None,
            pinning: Pinning::default(),
            max_spare_workers: MAX_SPARES,
            reserved_workers: 0,
            clock: None,
            limits: None,
        }
    }
}

impl PoolBuilder {
    /// How many threads run the pool's work at once, callers that take part included.
    ///
    /// The default is the environment variable `WINDLASS_NUM_THREADS`, else the number of CPUs that
    /// the process may use: its affinity mask and its cgroup's quota are respected.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// The name of the worker threads, which get `-0`, `-1`, .. appended. The default is
    /// `windlass`.
    ///
    /// A NUL byte in it ends the name. Linux shows the first 15 bytes.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The size of each worker's stack, in bytes. The default is that of `std::thread`.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Where the workers run. The default is [`Pinning::Auto`].
    pub fn pinning(mut self, pinning: Pinning) -> Self {
        self.pinning = pinning;
        self
    }

    /// How many threads the pool may start beyond its workers, to take the place of those that are
    /// blocked in a wait of this crate: for a job that runs elsewhere, for a fork that was stolen,
    /// for another pool. The default is 32.
    ///
    /// A thread is started when there is work and every worker is blocked, and then kept. No more
    /// threads than the pool is wide run at once because of it. With none left, the pool runs with
    /// fewer threads as long as others are blocked; nothing fails. What blocks by other means, say
    /// a lock or a read, is not noticed.
    pub fn max_spare_workers(mut self, count: usize) -> Self {
        self.max_spare_workers = count;
        self
    }

    /// So many threads more, which serve only jobs of
    /// [`Priority::High`](crate::Priority::High) and above, and sleep otherwise. The default is none.
    ///
    /// They come on top of the pool's width: such a job starts at once even when every worker is
    /// in the middle of a long closure, and shares the CPUs with those.
    pub fn reserved_workers(mut self, count: usize) -> Self {
        self.reserved_workers = count;
        self
    }

    /// What time it is in the pool. The default is [`RealClock`](crate::RealClock).
    ///
    /// By this clock are the schedules of the pool and the limits in time of its jobs:
    /// [`start_within`](crate::JobBuilder::start_within),
    /// [`run_timeout`](crate::JobBuilder::run_timeout), [`timeout`](crate::JobBuilder::timeout) and
    /// [`deadline`](crate::JobBuilder::deadline), and the deadlines of tokens that are derived from
    /// a job's own. How long a thread waits at most
    /// ([`wait_timeout`](crate::JobHandle::wait_timeout), [`wait_idle`](Pool::wait_idle),
    /// [`shutdown`](Pool::shutdown)) is real time, and so is what
    /// [`JobTimes`](crate::JobTimes) tells.
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use std::time::Duration;
    /// use windlass::{JobError, ManualClock, Pool};
    ///
    /// let clock = ManualClock::new();
    /// let pool = Pool::builder().workers(1).clock(clock.clone()).build()?;
    /// let (started, has_started) = std::sync::mpsc::channel();
    /// let late = pool.job("late").run_timeout(Duration::from_secs(60)).submit_with(move |cx| {
    ///     started.send(()).unwrap();
    ///     while !cx.is_cancelled() {}
    /// });
    /// has_started.recv().unwrap();
    /// clock.advance(Duration::from_secs(60));
    /// assert!(matches!(late.wait(), Err(JobError::TimedOut { .. })));
    /// # }
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// How many jobs the pool takes in, and what becomes of those for which there is no room. The
    /// default is no limit.
    ///
    /// ```
    /// use windlass::{Bound, Pool};
    ///
    /// let pool = Pool::builder().workers(2).queue(Bound::jobs(100)).build()?;
    /// // Waits while 100 jobs are queued.
    /// let handles: Vec<_> = (0..10_000).map(|n| pool.submit(move || n % 2)).collect();
    /// assert_eq!(handles.into_iter().map(|handle| handle.wait().unwrap()).sum::<i32>(), 5_000);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn queue(mut self, limits: impl Into<QueueLimits>) -> Self {
        self.limits = Some(limits.into());
        self
    }

    /// Starts the pool's threads, which go to sleep at once.
    ///
    /// # Errors
    /// A [`BuildError`] if a setting makes no sense or a thread cannot be started. A pin that the
    /// operating system refuses is not an error: the worker runs unpinned, and
    /// [`Pool::pinned_cpus`] tells.
    ///
    /// # Blocking
    /// Until every thread has started, some ten microseconds each.
    pub fn build(self) -> Result<Pool, BuildError> {
        let width = match self.workers {
            Some(workers) => workers,
            None => workers_from_environment()?.unwrap_or_else(topology::default_workers),
        };
        if width == 0 {
            return Err(BuildError::ZeroWorkers);
        }
        for asked in [width, self.max_spare_workers, self.reserved_workers] {
            if asked > MAX_WORKERS {
                return Err(BuildError::TooManyWorkers { asked, max: MAX_WORKERS });
            }
        }
        if let Some(asked) = self.stack_size.filter(|&asked| asked < MIN_STACK) {
            return Err(BuildError::StackTooSmall { asked, min: MIN_STACK });
        }
        if let Some(Err(bad)) = self.limits.as_ref().map(QueueLimits::check) {
            return Err(BuildError::BadLimits { reason: bad.to_string() });
        }
        let (placement, guard) = Placement::choose(&self.pinning, width)?.unzip();
        self.start(width, placement, guard.flatten())
    }

    fn start(
        self,
        width: usize,
        placement: Option<Placement>,
        guard: Option<AutoPinGuard>,
    ) -> Result<Pool, BuildError> {
        let reserved_level = Priority::High.level();
        let crew = Crew::new(self.max_spare_workers, self.reserved_workers, reserved_level);
        let registry = Registry::new(
            width,
            crew,
            Box::new(Board::new(width, self.clock, self.limits)),
            check_at_fork,
            discard,
            keep,
        );
        let starter = Arc::new(Starter {
            registry: Arc::downgrade(&registry),
            prefix: self.name.split('\0').next().unwrap_or_default().to_owned(),
            stack_size: self.stack_size,
            placement,
            threads: Mutex::new(Vec::with_capacity(width)),
            ids: Mutex::new(Vec::with_capacity(width)),
        });
        let first_reserved = width + self.max_spare_workers;
        let regular = (0..width).map(|index| (index, Role::Regular));
        let reserved = (0..self.reserved_workers).map(|n| (first_reserved + n, Role::Reserved(n)));
        let (started, starts) = std::sync::mpsc::channel();
        for (index, role) in regular.chain(reserved) {
            if let Err(source) = starter.start(index, role, Some(started.clone())) {
                registry.stop();
                starter.join_all();
                return Err(BuildError::Spawn { worker: index, source });
            }
        }
        drop(started);
        // The pins are in place when the pool is handed out; under shuttle the receiver would block
        // the one real thread, and there is nothing to pin.
        #[cfg(not(shuttle))]
        for () in starts {}
        #[cfg(shuttle)]
        drop(starts);
        let spares = Arc::clone(&starter);
        let start = move |index| spares.start(index, Role::Spare, None).is_ok();
        registry.crew.set_starter(Box::new(start));
        Ok(Pool::new_started(registry, starter, guard))
    }
}

// A clock is only asked for the time.
impl std::panic::UnwindSafe for PoolBuilder {}
impl std::panic::RefUnwindSafe for PoolBuilder {}

impl fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("workers", &self.workers)
            .field("name", &self.name)
            .field("stack_size", &self.stack_size)
            .field("pinning", &self.pinning)
            .field("max_spare_workers", &self.max_spare_workers)
            .field("reserved_workers", &self.reserved_workers)
            .field("has_own_clock", &self.clock.is_some())
            .field("limits", &self.limits)
            .finish()
    }
}

#[derive(Clone, Copy)]
enum Role {
    Regular,
    Spare,
    /// The nth of those.
    Reserved(usize),
}

/// Starts the pool's threads, and joins them at the end.
pub(crate) struct Starter {
    registry: Weak<Registry>,
    prefix: String,
    stack_size: Option<usize>,
    placement: Option<Placement>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
    /// Of each thread, from its start on.
    ids: Mutex<Vec<thread::ThreadId>>,
}

impl Starter {
    fn start(
        self: &Arc<Self>,
        index: usize,
        role: Role,
        started: Option<std::sync::mpsc::Sender<()>>,
    ) -> std::io::Result<()> {
        let mut builder = thread::Builder::new().name(format!("{}-{index}", self.prefix));
        if let Some(bytes) = self.stack_size {
            builder = builder.stack_size(bytes);
        }
        let this = Arc::clone(self);
        let registry = self.registry.upgrade().expect("it is in use");
        let thread = builder.spawn(move || {
            if let (Some(placement), Role::Regular) = (&this.placement, role) {
                placement.apply(&registry, index);
            }
            lock(&this.ids).push(thread::current().id());
            drop(this);
            if let Some(started) = started {
                // The receiver lives until every thread that was started has said so.
                let _ = started.send(());
            }
            run_worker(&registry, index, role);
        })?;
        lock(&self.threads).push(thread);
        Ok(())
    }

    /// Whether the calling thread is one of the pool's, be it at its end, in a destructor of a
    /// thread-local value.
    pub(crate) fn is_called_from_inside(&self) -> bool {
        lock(&self.ids).contains(&thread::current().id())
    }

    /// Waits for the end of all threads, which have been told to stop. Not called by one of them.
    pub(crate) fn join_all(&self) {
        // Under the lock, so that whoever comes second waits too. None of the threads takes it: there
        // are no more starts.
        for thread in lock(&self.threads).drain(..) {
            // A worker thread catches what user code throws, so it ends normally.
            let _ = thread.join();
        }
    }

    /// Lets the threads go, which are another process's.
    pub(crate) fn forget_all(&self) {
        std::mem::forget(std::mem::take(&mut *lock(&self.threads)));
    }
}

fn run_worker(registry: &Registry, index: usize, role: Role) {
    let guard = AbortOnUnwind("a worker's main loop");
    let worker = registry.worker(index as u32);
    worker.sit_down();
    // SAFETY: this thread alone holds the seat, until it ends; the registry outlives the guard.
    let seated = unsafe { Seated::new(worker) };
    match role {
        Role::Regular => worker.main_loop(false),
        Role::Spare => worker.main_loop(true),
        Role::Reserved(nth) => worker.reserved_loop(nth),
    }
    drop(seated);
    // Somebody outside may still run a job of ours, cancel it, or be about to, and relies on the
    // registry as long as the job is pending; that waits for us, or we are the last to leave it.
    let board = Board::of(registry);
    registry.tell_idle();
    registry.wait_idle(None, || board.is_idle());
    guard.disarm();
}

fn workers_from_environment() -> Result<Option<usize>, BuildError> {
    let Some(value) = std::env::var_os("WINDLASS_NUM_THREADS").filter(|value| !value.is_empty())
    else {
        return Ok(None);
    };
    let parsed = value.to_str().and_then(|text| text.trim().parse().ok());
    match parsed {
        Some(workers) if (1..=MAX_WORKERS).contains(&workers) => Ok(Some(workers)),
        _ => Err(BuildError::BadEnvironment { value: value.to_string_lossy().into_owned() }),
    }
}

/// Whether a live pool of this process was pinned by [`Pinning::Auto`].
static AUTO_PINNED: AtomicBool = AtomicBool::new(false);

/// Lets the next pool pin when this one is gone.
#[derive(Debug)]
pub(crate) struct AutoPinGuard(());

impl Drop for AutoPinGuard {
    fn drop(&mut self) {
        AUTO_PINNED.store(false, Ordering::Release);
    }
}

/// Where the workers of a pinned pool go.
struct Placement {
    topology: Topology,
    /// One a worker.
    cpus: Vec<Option<usize>>,
}

/// Above this many workers, each one's list of victims by nearness is not worth its memory, which
/// grows with the square.
const MAX_NEAR: usize = 256;

impl Placement {
    /// `None`: the operating system places the workers.
    fn choose(
        pinning: &Pinning,
        width: usize,
    ) -> Result<Option<(Placement, Option<AutoPinGuard>)>, BuildError> {
        if *pinning == Pinning::Never {
            return Ok(None);
        }
        let topology = Topology::detect();
        let (cpus, guard) = match pinning {
            Pinning::Never => return Ok(None),
            Pinning::Auto => {
                let fits = topology.covers_whole_cores() && topology.cpus.len() == width;
                if !fits || AUTO_PINNED.swap(true, Ordering::AcqRel) {
                    return Ok(None);
                }
                (topology.placement(), Some(AutoPinGuard(())))
            }
            Pinning::Cores => (topology.placement(), None),
            Pinning::Cpus(cpus) => {
                if cpus.len() != width {
                    return Err(BuildError::CpuCount { cpus: cpus.len(), workers: width });
                }
                let allowed = |cpu: &&usize| topology.cpus.iter().any(|known| known.id == **cpu);
                if let Some(&cpu) = cpus.iter().find(|cpu| !allowed(cpu)) {
                    return Err(BuildError::CpuNotAllowed { cpu });
                }
                (cpus.clone(), None)
            }
        };
        // Around again, if there are more workers than CPUs.
        let cpus = cpus.iter().copied().map(Some).cycle().take(width).collect();
        Ok(Some((Placement { topology, cpus }, guard)))
    }

    /// Pins the calling thread, which is worker `index`.
    fn apply(&self, registry: &Registry, index: usize) {
        let Some(cpu) = self.cpus[index] else { return };
        // A refusal leaves the worker unpinned, and `Pool::pinned_cpus` tells.
        if topology::pin_current_thread(cpu).is_err() {
            return;
        }
        registry.sleep.set_cpu(index, cpu);
        if self.cpus.len() <= MAX_NEAR {
            registry.threads()[index].set_near(self.topology.victim_order(&self.cpus, index));
        }
    }
}
