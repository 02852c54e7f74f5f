//! Jobs that wait for other jobs: a gate with a counter, which the ends of those count down.
#![forbid(unsafe_code)]

use super::gate::Gate;
use super::handle::JobHandle;
use super::life::Continue;
use super::outcome::{JobOutcome, SkipCause};
use super::reference::JobRef;
use super::retry_handle::RetryHandle;
use crate::engine::sync::{AtomicUsize, Mutex, Ordering, lock};
use std::sync::Arc;

/// A job that others may wait for: a [`JobHandle`], a [`RetryHandle`] or a [`JobRef`], see
/// [`JobBuilder::after`](crate::JobBuilder::after).
pub trait Dependency: sealed::Sealed {
    /// The job.
    fn job_ref(&self) -> JobRef;
}

mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for crate::JobHandle<T> {}
    impl<T, E> Sealed for crate::RetryHandle<T, E> {}
    impl Sealed for crate::JobRef {}
}

impl<T> Dependency for JobHandle<T> {
    fn job_ref(&self) -> JobRef {
        JobHandle::job_ref(self)
    }
}

impl<T, E> Dependency for RetryHandle<T, E> {
    fn job_ref(&self) -> JobRef {
        RetryHandle::job_ref(self)
    }
}

impl Dependency for JobRef {
    fn job_ref(&self) -> JobRef {
        self.clone()
    }
}

/// What a job waits for, before it is submitted.
#[derive(Default)]
pub(super) struct After {
    jobs: Vec<(JobRef, Need)>,
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
        self.jobs.extend(jobs.iter().map(|job| (job.job_ref(), need)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Opens the gate when all of them have ended.
    pub(super) fn keep(self, gate: Gate) {
        // One more, until all are listed: the last end may come before that.
        let counter = Arc::new(Counter {
            left: AtomicUsize::new(self.jobs.len() + 1),
            gate: Mutex::new(Some(gate)),
        });
        for (job, need) in self.jobs {
            let raw = job.raw();
            let edge = Arc::new(Edge { counter: Arc::clone(&counter), job, need });
            if !raw.header().life.attach(Arc::clone(&edge) as Arc<dyn Continue>) {
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

/// From one job to another that waits for it.
struct Edge {
    counter: Arc<Counter>,
    job: JobRef,
    need: Need,
}

impl Continue for Edge {
    fn go_on(&self) {
        // None: it was never accepted.
        let outcome = self.job.outcome().unwrap_or(JobOutcome::Abandoned);
        if self.need == Need::Completion
            && outcome != JobOutcome::Completed
            && let Some(gate) = self.counter.take()
        {
            let name = self.job.name().map(str::to_owned);
            gate.skip(SkipCause { id: self.job.id(), name, outcome });
        }
        self.counter.count_down();
    }
}
