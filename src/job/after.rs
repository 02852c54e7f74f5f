//! Jobs that wait for other jobs, or for groups: a gate with a counter, which the ends of those count
//! down.
#![forbid(unsafe_code)]

use super::gate::Gate;
use super::handle::JobHandle;
use super::life::Continue;
use super::member::Await;
use super::outcome::{JobOutcome, SkipCause};
use super::reference::JobRef;
use super::retry_handle::RetryHandle;
use crate::engine::sync::{AtomicUsize, Mutex, Ordering, lock};
use crate::group::{Group, GroupHandle};
use std::fmt;
use std::sync::Arc;

/// What jobs may wait for: a job ([`JobHandle`], [`RetryHandle`], [`JobRef`]) or a
/// [group](crate::GroupHandle), see [`JobBuilder::after`](crate::JobBuilder::after).
///
/// ```
/// use windlass::Pool;
///
/// let pool = Pool::new(2)?;
/// let tables = pool.group("tables").open();
/// for n in 0..10 {
///     tables.submit(move || n)?;
/// }
/// let views = pool.job("views").submit(|| ());
/// let report = pool.job("report").after(&[&tables, &views]).submit(|| "done");
/// assert_eq!(report.wait().unwrap(), "done");
/// assert_eq!(tables.statistics().completed, 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Dependency: sealed::Sealed {}

mod sealed {
    pub trait Sealed {
        fn awaited(&self) -> super::Awaited;
    }
}

/// See [`Dependency`].
#[derive(Debug)]
pub enum Awaited {
    Job(JobRef),
    Group(GroupRef),
}

/// A group, without its type.
pub struct GroupRef(Arc<dyn Await>);

impl fmt::Debug for GroupRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupRef").finish_non_exhaustive()
    }
}

impl<T> Dependency for JobHandle<T> {}
impl<T> sealed::Sealed for JobHandle<T> {
    fn awaited(&self) -> Awaited {
        Awaited::Job(self.job_ref())
    }
}

impl<T, E> Dependency for RetryHandle<T, E> {}
impl<T, E> sealed::Sealed for RetryHandle<T, E> {
    fn awaited(&self) -> Awaited {
        Awaited::Job(self.job_ref())
    }
}

impl Dependency for JobRef {}
impl sealed::Sealed for JobRef {
    fn awaited(&self) -> Awaited {
        Awaited::Job(self.clone())
    }
}

impl<T: Send + 'static> Dependency for GroupHandle<T> {}
impl<T: Send + 'static> sealed::Sealed for GroupHandle<T> {
    fn awaited(&self) -> Awaited {
        Awaited::Group(GroupRef(self.as_awaited()))
    }
}

impl<T: Send + 'static> Dependency for Group<T> {}
impl<T: Send + 'static> sealed::Sealed for Group<T> {
    fn awaited(&self) -> Awaited {
        (**self).awaited()
    }
}

impl Awaited {
    /// Has `target` told of its end. `false`: that has come.
    fn attach(&self, target: Arc<dyn Continue>) -> bool {
        match self {
            Awaited::Job(job) => job.raw().header().life.attach(target),
            Awaited::Group(group) => group.0.attach(target),
        }
    }

    /// It has ended: why it has not completed.
    fn failure(&self) -> Option<SkipCause> {
        match self {
            Awaited::Job(job) => SkipCause::of(job),
            Awaited::Group(group) => group.0.failure(),
        }
    }
}

impl SkipCause {
    /// Why those that depend on the job, which has ended, are skipped. `None`: it has completed.
    pub(crate) fn of(job: &JobRef) -> Option<SkipCause> {
        // None: it was never accepted.
        let outcome = job.outcome().unwrap_or(JobOutcome::Abandoned);
        let name = || job.name().map(str::to_owned);
        (outcome != JobOutcome::Completed).then(|| SkipCause {
            id: job.id(),
            name: name(),
            outcome,
        })
    }
}

/// What a job waits for, before it is submitted.
#[derive(Default)]
pub(super) struct After {
    all: Vec<(Awaited, Need)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It must complete.
    Completion,
    /// It must end, in whatever way.
    End,
}

impl After {
    pub(super) fn add(&mut self, jobs: &[&dyn Dependency], need: Need) {
        self.all.extend(jobs.iter().map(|job| (job.awaited(), need)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Opens the gate when all of them have ended.
    pub(super) fn keep(self, gate: Gate) {
        // One more, until all are listed: the last end may come before that.
        let counter = Arc::new(Counter {
            left: AtomicUsize::new(self.all.len() + 1),
            gate: Mutex::new(Some(gate)),
        });
        for (on, need) in self.all {
            let edge = Arc::new(Edge { counter: Arc::clone(&counter), on, need });
            if !edge.on.attach(Arc::clone(&edge) as Arc<dyn Continue>) {
                // It has ended.
                edge.go_on();
            }
        }
        counter.count_down();
    }
}

/// Shared by the edges of one job.
struct Counter {
    left: AtomicUsize,
    /// Until it is opened, or the job is skipped.
    gate: Mutex<Option<Gate>>,
}

impl Counter {
    fn count_down(&self) {
        // AcqRel: what the last one does comes after what all jobs have done.
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(gate) = self.take()
        {
            gate.open();
        }
    }

    fn take(&self) -> Option<Gate> {
        lock(&self.gate).take()
    }
}

/// From what a job waits for to that job.
struct Edge {
    counter: Arc<Counter>,
    on: Awaited,
    need: Need,
}

impl Continue for Edge {
    fn go_on(&self) {
        if self.need == Need::Completion
            && let Some(cause) = self.on.failure()
            && let Some(gate) = self.counter.take()
        {
            gate.skip(cause);
        }
        self.counter.count_down();
    }
}
