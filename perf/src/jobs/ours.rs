//! Windlass behind the trait of the jobs suite: all that it calls of Windlass's jobs.

use super::peers::{Batch, Jobs, Tally};
use crate::engines::Engine;
use std::borrow::Borrow;
use windlass::{JobHandle, Pool, Priority};

/// A pool with so many workers beside its `workers` that take nothing below high priority.
pub(super) fn reserving_pool(workers: usize, reserved: usize) -> Pool {
    let pool = Pool::builder().workers(workers).reserved_workers(reserved).build();
    pool.expect("windlass pool")
}

/// Waits for the handles one by one.
fn sum(handles: Vec<JobHandle<u64>>) -> u64 {
    handles.into_iter().map(|handle| handle.wait().expect("no job panics")).sum()
}

/// `Pool::submit` and its handles.
pub(super) struct Submit<P>(pub(super) P);

impl<P: Borrow<Pool>> Jobs for Submit<P> {
    const ENGINE: Engine = Engine::Windlass;

    fn start(&self, _: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        let pool = self.0.borrow();
        let mut handles = Vec::with_capacity(batch.len());
        handles.extend(batch.map(|job| pool.submit(job)));
        move || sum(handles)
    }
}

/// `Pool::submit_many`.
pub(super) struct SubmitMany<'p>(pub(super) &'p Pool);

impl Jobs for SubmitMany<'_> {
    const ENGINE: Engine = Engine::Windlass;

    fn start(&self, _: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        let handles = self.0.submit_many(batch);
        move || sum(handles)
    }
}

/// A worker that submits jobs to its own pool and waits for them.
pub(super) struct SubmitInside<'p>(pub(super) &'p Pool);

impl Jobs for SubmitInside<'_> {
    const ENGINE: Engine = Engine::Windlass;

    fn start(&self, _: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        move || {
            self.0.install(|| {
                let mut handles = Vec::with_capacity(batch.len());
                handles.extend(batch.map(windlass::submit));
                sum(handles)
            })
        }
    }
}

/// Jobs of high priority.
pub(super) struct High<P>(pub(super) P);

impl<P: Borrow<Pool>> Jobs for High<P> {
    const ENGINE: Engine = Engine::Windlass;

    fn start(&self, _: &'static Tally, batch: impl Batch) -> impl FnOnce() -> u64 {
        let pool = self.0.borrow();
        let submit = |job| pool.job("high").priority(Priority::High).submit(job);
        let handles = batch.map(submit).collect();
        move || sum(handles)
    }
}
