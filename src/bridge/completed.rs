//! Many jobs, in the order in which they end.
//!
//! I1. Each handle that is taken in arrives in the inbox once: told by the end of its job, or put at
//!     once if that has ended already. It is handed out when it is taken out of there.
#![forbid(unsafe_code)]

use super::block_on::Helping;
use super::inbox::Inbox;
use crate::job::life::Continue;
use crate::job::{JobError, JobHandle, JobState};
use futures_core::Stream;
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Yields the results of jobs as they end, each with its number among the handles: see
/// [`as_completed`].
///
/// As a stream it never blocks; `for` over it does.
#[must_use = "streams and iterators do nothing unless they are used"]
pub struct AsCompleted<T> {
    handles: BTreeMap<usize, JobHandle<T>>,
    next: usize,
    /// All before this one have started, or belong to other pools.
    started: usize,
    inbox: Arc<Inbox<usize>>,
}

/// Tells the inbox that a job has ended.
struct Member {
    index: usize,
    inbox: Arc<Inbox<usize>>,
}

impl Continue for Member {
    fn go_on(&self) {
        self.inbox.put(self.index);
    }
}

/// Yields the results of these jobs in the order in which they end: each exactly once, whether it
/// has completed, failed or was cancelled, with the handle's place in `handles`. Nothing is polled
/// meanwhile: who waits is told by the job that ends.
///
/// Those that have ended before come first, in the order in which they have. A handle whose result
/// was taken before is passed over. More jobs may be [pushed](AsCompleted::push) at any time.
///
/// It is a [`Stream`], and blocking, an [`IntoIterator`]. Dropping either drops the handles that
/// are left: their jobs run on, or are cancelled if the handle
/// [says so](JobHandle::cancel_on_drop).
///
/// ```
/// use futures::StreamExt;
/// use windlass::{JobError, Pool, as_completed};
///
/// let pool = Pool::new(2)?;
/// let jobs = (0..3).map(|n| pool.submit(move || if n == 1 { panic!("unlucky") } else { n * 10 }));
/// let mut results = as_completed(jobs);
/// futures::executor::block_on(async {
///     while let Some((index, result)) = results.next().await {
///         match result {
///             Ok(value) => assert_eq!(value, index * 10),
///             Err(JobError::Panicked(_)) => assert_eq!(index, 1),
///             Err(other) => unreachable!("{other}"),
///         }
///     }
/// });
///
/// // Without a runtime.
/// let jobs = (0..3).map(|n| pool.submit(move || n));
/// let sum: usize = as_completed(jobs).into_iter().map(|(_, result)| result.unwrap()).sum();
/// assert_eq!(sum, 3);
/// # Ok::<(), windlass::BuildError>(())
/// ```
pub fn as_completed<T>(handles: impl IntoIterator<Item = JobHandle<T>>) -> AsCompleted<T> {
    let handles = handles.into_iter();
    let mut all = AsCompleted::new();
    let mut ended = Vec::new();
    for handle in handles {
        if handle.is_finished() && !handle.is_taken() {
            ended.push((handle.finished_ticks(), all.next));
            all.keep(handle);
        } else {
            all.push(handle);
        }
    }
    ended.sort_unstable();
    all.inbox.put_first(ended.into_iter().map(|(_, index)| index));
    all
}

impl<T> AsCompleted<T> {
    /// None yet.
    pub fn new() -> Self {
        let inbox = Arc::new(Inbox::new());
        AsCompleted { handles: BTreeMap::new(), next: 0, started: 0, inbox }
    }

    /// Takes one more job in, and returns its number.
    ///
    /// ```
    /// use windlass::{AsCompleted, Pool};
    ///
    /// let pool = Pool::new(1)?;
    /// let mut jobs = AsCompleted::new();
    /// assert_eq!(jobs.push(pool.submit(|| 'a')), 0);
    /// assert_eq!(jobs.push(pool.submit(|| 'b')), 1);
    /// assert_eq!((jobs.len(), jobs.into_iter().count()), (2, 2));
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn push(&mut self, handle: JobHandle<T>) -> usize {
        let index = self.next;
        if !handle.is_taken() {
            let inbox = Arc::clone(&self.inbox);
            if !handle.tell(Member { index, inbox }) {
                self.inbox.put(index);
            }
        }
        self.keep(handle);
        index
    }

    fn keep(&mut self, handle: JobHandle<T>) {
        if !handle.is_taken() {
            self.handles.insert(self.next, handle);
        }
        self.next += 1;
    }

    /// How many jobs have not been handed out yet.
    pub fn len(&self) -> usize {
        self.handles.len()
    }

    /// Whether all have been handed out.
    pub fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    /// How many have been taken in, and the number of the next one.
    pub(super) fn num_pushed(&self) -> usize {
        self.next
    }

    /// Takes the handles from this number on out again.
    pub(super) fn split_off(&mut self, from: usize) -> impl Iterator<Item = JobHandle<T>> + use<T> {
        self.handles.split_off(&from).into_values()
    }

    /// Runs one of the jobs here that are queued, if this is a thread of their pool, which waits for
    /// them.
    fn help(&mut self) -> bool {
        for (&index, handle) in self.handles.range(self.started..) {
            self.started = index;
            if handle.run_if_queued() {
                return true;
            }
            if handle.state() == JobState::Waiting {
                // It may be queued when we look again.
                return false;
            }
        }
        false
    }

    /// The result of one that has arrived, if it has not been taken out.
    fn take(&mut self, index: usize) -> Option<(usize, Result<T, JobError>)> {
        let mut handle = self.handles.remove(&index)?;
        let result = handle.try_take().expect("it has told that it has ended");
        Some((index, result))
    }
}

impl<T> Default for AsCompleted<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Stream for AsCompleted<T> {
    type Item = (usize, Result<T, JobError>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.is_empty() {
            match self.inbox.poll_take(cx.waker()) {
                Poll::Ready(index) => {
                    if let Some(item) = self.take(index) {
                        return Poll::Ready(Some(item));
                    }
                }
                // In `block_on` on a worker.
                Poll::Pending if Helping::is_on() && self.help() => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<T> Drop for AsCompleted<T> {
    fn drop(&mut self) {
        // The jobs keep their shares of it until they end.
        self.inbox.close();
    }
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// [`AsCompleted`] as an iterator, which blocks until the next job has ended.
///
/// # Blocking
/// As [`JobHandle::wait`]: a worker of the pool runs those of these jobs that have not started
/// itself, and nothing else.
#[must_use = "iterators do nothing unless they are used"]
pub struct CompletedIter<T> {
    jobs: AsCompleted<T>,
}

impl<T> IntoIterator for AsCompleted<T> {
    type Item = (usize, Result<T, JobError>);
    type IntoIter = CompletedIter<T>;

    fn into_iter(self) -> CompletedIter<T> {
        CompletedIter { jobs: self }
    }
}

impl<T> Iterator for CompletedIter<T> {
    type Item = (usize, Result<T, JobError>);

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        while !self.jobs.is_empty() {
            let index = self.jobs.inbox.try_take();
            if let Some(item) = index.and_then(|index| self.jobs.take(index)) {
                return Some(item);
            }
            if index.is_none() && !self.jobs.help() {
                self.jobs.inbox.wait();
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.jobs.len(), Some(self.jobs.len()))
    }
}

impl<T> ExactSizeIterator for CompletedIter<T> {}
impl<T> std::iter::FusedIterator for CompletedIter<T> {}

impl<T> fmt::Debug for CompletedIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompletedIter").field("len", &self.jobs.len()).finish_non_exhaustive()
    }
}
