//! The end of a pool, as far as its jobs go.

use super::board::{Board, JobId, Mode, Ongoing};
use super::cancel::CancelCause;
use super::record::Record;
use super::store;
use crate::engine::job::JobRef as Entry;
use crate::engine::registry::Registry;
use crate::engine::sync::{Ordering, fence};
use crate::engine::worker::Worker;
use crate::pool::Pool;
use crate::time::after;
use std::time::{Duration, Instant};

/// What a [shutdown](Pool::shutdown) does with the jobs that have not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shutdown {
    /// Runs all of them to their end; those that fail are tried again as ever.
    Drain,
    /// Lets those end that run. The others end as [`Abandoned`](crate::JobError::Abandoned).
    CancelPending,
    /// As `CancelPending`, and asks those that run to stop, for the cause
    /// [`Shutdown`](CancelCause::Shutdown).
    CancelAll,
}

/// What a [shutdown](Pool::shutdown) has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// How many jobs have ended by themselves since the shutdown began: completed, failed or panicked.
    pub finished: u64,
    /// How many it has ended: cancelled, abandoned or timed out.
    pub cancelled: u64,
    /// How many are still running, or queued behind those that run.
    pub left: u64,
    /// Those of them that run and have a name, a token or a limit.
    pub left_running: Vec<LeftJob>,
    /// Whether all threads of the pool have ended, and with them the destructors of their
    /// thread-local values have run.
    pub threads_ended: bool,
}

impl ShutdownReport {
    /// Whether nothing is left.
    pub fn is_complete(&self) -> bool {
        self.left == 0 && self.threads_ended
    }
}

/// A job that a shutdown has left running.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftJob {
    /// Its number.
    pub id: JobId,
    /// Its name.
    pub name: Option<String>,
}

/// For the engine: what to do with a job that nobody will run.
///
/// # Safety
/// As [`store::discard`].
pub(crate) unsafe fn discard(entry: Entry) {
    // SAFETY: by contract.
    unsafe { store::discard(entry) };
}

/// For the engine: there is one more entry like this.
///
/// # Safety
/// As [`store::keep`].
pub(crate) unsafe fn keep(entry: Entry) {
    // SAFETY: by contract.
    unsafe { store::keep(entry) };
}

/// Accepts no more jobs, and ends those that have not started.
pub(crate) fn abandon_pending(registry: &Registry) {
    let board = Board::of(registry);
    board.advance(Mode::Discarding);
    for job in board.waiting() {
        job.raw().abandon();
    }
    board.wake_futures();
    // SAFETY: taken out of a lane by us alone.
    registry.lanes.drain(registry.threads(), |entry| unsafe { discard(entry) });
    Board::of(registry).for_each_ongoing(Ongoing::discard);
}

/// Ends the threads, and the jobs that wait to be tried again: when their time has come there would
/// be nobody left to run them.
fn abandon_retries(registry: &Registry) {
    registry.stop();
    // Pairs with that of a new gate: either we see the job in the list, or its runner that we stop.
    fence(Ordering::SeqCst);
    for job in Board::of(registry).waiting() {
        let job = job.raw();
        if job.record().is_some_and(Record::is_between) {
            job.abandon();
        }
    }
}

impl Pool {
    /// Waits until no job of the pool is queued or running. `false`: the time was up before.
    ///
    /// Jobs that are submitted meanwhile are waited for too. Calls like [`join`](crate::join) and
    /// [`install`](Pool::install) are no jobs.
    ///
    /// # Blocking
    /// Until then. Called from a job of the pool it waits for that job, too, and so for the whole
    /// time.
    ///
    /// ```
    /// use std::time::Duration;
    /// let pool = windlass::Pool::new(2)?;
    /// pool.submit(|| 1).detach();
    /// assert!(pool.wait_idle(Duration::from_secs(10)));
    /// assert_eq!(pool.job_counts().pending(), 0);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn wait_idle(&self, timeout: Duration) -> bool {
        self.wait_idle_until(Instant::now().checked_add(timeout))
    }

    pub(crate) fn wait_idle_until(&self, deadline: Option<Instant>) -> bool {
        let (registry, board) = (self.registry(), Board::of(self.registry()));
        if board.is_idle() {
            return true;
        }
        registry.check_not_forked();
        crate::engine::registry::blocking(|| registry.wait_idle(deadline, || board.is_idle()))
    }

    /// Waits until all jobs that are pending wait for a time, or for such jobs.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn wait_until_at_rest(&self) {
        let (registry, board) = (self.registry(), Board::of(self.registry()));
        registry.check_not_forked();
        crate::engine::registry::blocking(|| registry.wait_idle(None, || board.is_at_rest()));
    }

    /// How many jobs there were and are.
    pub fn job_counts(&self) -> crate::JobCounts {
        Board::of(self.registry()).counts()
    }

    /// Ends the pool: accepts no more jobs, does with the others what `how` says, waits for them, but
    /// no longer than `limit`, and for the pool's threads to end.
    ///
    /// It may be called again, for example with a severer `how` when the first limit was too short.
    /// From its beginning, jobs are rejected, also those that jobs submit. Forks and loops go on:
    /// when the threads have ended, they run on the threads that call them.
    ///
    /// A job that is still running when the time is up is left running; its thread ends after it,
    /// and then neither this nor the drop of the pool has waited for it. One that waits to be tried
    /// again then ends as [`Abandoned`](crate::JobError::Abandoned), and so does one that would have
    /// to wait later.
    ///
    /// # Blocking
    /// For at most `limit`, and a little more for the threads to end. Called from a thread of the
    /// pool it does not wait at all, neither for that thread's job nor for the threads.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::{Pool, Shutdown};
    ///
    /// let pool = Pool::new(2)?;
    /// let handle = pool.submit(|| 1);
    /// let report = pool.shutdown(Shutdown::Drain, Duration::from_secs(10));
    /// assert!(report.is_complete());
    /// assert_eq!(handle.wait().unwrap(), 1);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn shutdown(&self, how: Shutdown, limit: Duration) -> ShutdownReport {
        let (registry, board) = (self.registry(), Board::of(self.registry()));
        let deadline = after(Instant::now(), limit);
        let before = board.counts();
        match how {
            Shutdown::Drain => board.advance(Mode::Draining),
            Shutdown::CancelPending => abandon_pending(registry),
            Shutdown::CancelAll => {
                abandon_pending(registry);
                board.advance(Mode::Cancelling);
                for job in board.running() {
                    job.cancel_with(CancelCause::Shutdown);
                }
                board.for_each_ongoing(Ongoing::shut_down);
                registry.ask_all_to_check();
            }
        }
        board.schedules.end_all();
        registry.tell_idle();
        let inside = Worker::with_seat_in(registry, |seat| seat.is_some());
        let mut is_idle =
            if inside { board.is_idle() } else { self.wait_idle_until(Some(deadline)) };
        if !is_idle {
            abandon_retries(registry);
            is_idle = board.is_idle();
        }
        let threads_ended = self.end_threads(is_idle && !inside);
        let after = board.counts();
        let ended = |count: fn(&crate::JobCounts) -> u64| count(&after) - count(&before);
        let left_running = board
            .running()
            .into_iter()
            .map(|job| LeftJob { id: job.id(), name: job.name().map(str::to_owned) });
        ShutdownReport {
            finished: ended(|counts| counts.completed + counts.panicked + counts.failed),
            cancelled: ended(|counts| {
                counts.cancelled
                    + counts.abandoned
                    + counts.timed_out
                    + counts.skipped
                    + counts.evicted
            }),
            // What has been counted since all had ended is a submission that comes too late, and is
            // about to be given back.
            left: if is_idle { 0 } else { after.pending() + after.overrunning },
            left_running: left_running.collect(),
            threads_ended,
        }
    }
}
