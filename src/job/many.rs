//! Getting many jobs into a pool at once.

use super::admit;
use super::board::Board;
use super::handle::JobHandle;
use super::outcome::SubmitError;
use super::panic;
use super::raw::{Parts, Raw};
use super::store::{self, Row};
use super::submit::{list, rejected, submit_to};
use super::work::Plain;
use crate::Priority;
use crate::engine::clock;
use crate::engine::registry::Registry;
use crate::pool::Pool;

/// Queues jobs that have been let in, in rows: those that lie side by side at once.
fn queue_many<T, F>(
    registry: &Registry,
    mut calls: impl ExactSizeIterator<Item = F>,
    handles: &mut Vec<JobHandle<T>>,
) where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let board = Board::of(registry);
    let level = Priority::Normal.level();
    board.accept(calls.len() as u64);
    let (enqueued, held) = (clock::ticks(), admit::held_by_each(board));
    let wish = Raw::wish::<(), Plain<F>>(registry, level, enqueued, false);
    while calls.len() > 0 {
        let most = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        let (first, count) = store::take_row(&wish, most);
        let from = handles.len();
        // Nothing in here unwinds: places are filled, and what fills them is queued.
        handles.extend((0..count).zip(calls.by_ref()).map(|(nth, f)| {
            let (is_timed, token, is_gated) = (false, None, false);
            let (call, extra) = (Plain(f), ());
            let parts = Parts { call, extra, level, is_timed, token, enqueued, is_gated, held };
            // SAFETY: taken for such jobs, of which this is the one with that number.
            let raw = unsafe { Raw::write(first.nth(nth, wish.layout), parts) };
            // SAFETY: the job's output is the closure's, and this is its handle.
            unsafe { JobHandle::new(raw) }
        }));
        let entry = match Row::of(first, count, wish.layout) {
            // SAFETY: they have not been queued, and their handles are kept.
            Some(row) => unsafe { row.queue() },
            None => Some(handles[from].entry()),
        };
        list(registry, level, entry);
        registry.notify_of_job(level);
        for handle in &handles[from..] {
            handle.list_in_order(board);
        }
    }
}

impl Pool {
    /// As [`submit`](Pool::submit) for many closures at once, at less cost a job. The handles are
    /// in the order of the closures, in which the jobs start as well.
    ///
    /// If the iterator panics, the jobs before that are not submitted. If there is no room for all,
    /// those for which there is some are submitted together, and the others one by one.
    ///
    /// ```
    /// let pool = windlass::Pool::new(2)?;
    /// let handles = pool.submit_many((0..10).map(|n| move || n * n));
    /// let squares: Vec<i32> = handles.into_iter().map(|handle| handle.wait().unwrap()).collect();
    /// assert_eq!(squares[9], 81);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn submit_many<T, F>(&self, jobs: impl IntoIterator<Item = F>) -> Vec<JobHandle<T>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let registry = self.registry();
        registry.check_not_forked();
        panic::watch();
        let board = Board::of(registry);
        let calls: Vec<F> = jobs.into_iter().collect();
        if !board.is_open() {
            let reject = |f| rejected(registry, SubmitError::ShuttingDown(Plain(f)));
            return calls.into_iter().map(reject).collect();
        }
        let count = calls.len();
        let (mut calls, mut handles) = (calls.into_iter(), Vec::with_capacity(count));
        while handles.len() < count {
            match admit::ask_for_many(board, count - handles.len()) {
                0 => handles.extend(calls.next().map(|f| submit_to(registry, Plain(f)))),
                some => queue_many(registry, calls.by_ref().take(some), &mut handles),
            }
        }
        if !board.is_open() {
            // As in `accept`; those that nobody has taken yet are abandoned.
            for handle in &handles {
                handle.abandon();
            }
        }
        handles
    }
}
