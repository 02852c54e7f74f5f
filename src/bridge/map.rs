//! A function over many items, each as a job, as a stream of the results.
//!
//! I1. Whichever item fails notes that in `stop` before its job ends. A job that begins behind that
//!     does nothing. So when one worker has run a failed item, it runs none behind it, however late
//!     the stream is polled.
//! I2. What is cancelled because of a failure is taken out of the stream first: of the errors that
//!     are left, none was caused by another.
#![forbid(unsafe_code)]

use super::completed::AsCompleted;
use super::run::Run;
use crate::engine::sync::{AtomicUsize, Ordering};
use crate::job::{CancelCause, JobError, JobOptions};
use crate::pool::Pool;
use futures_core::Stream;
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Why an item of [`Pool::try_map_async`] has no result.
#[derive(Debug)]
pub enum MapError<E> {
    /// The function said so.
    Failed(E),
    /// Its job did not complete: the function panicked, say.
    Job(JobError),
}

impl<E> From<JobError> for MapError<E> {
    fn from(error: JobError) -> Self {
        MapError::Job(error)
    }
}

impl<E: fmt::Display> fmt::Display for MapError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MapError::Failed(error) => error.fmt(f),
            MapError::Job(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error> std::error::Error for MapError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            MapError::Failed(error) => error.source(),
            MapError::Job(error) => error.source(),
        }
    }
}

/// An iterator as a stream that is always ready: the input of [`Pool::map_async`].
#[derive(Debug)]
pub struct IterStream<I>(I);

// Nobody pins the iterator.
impl<I> Unpin for IterStream<I> {}

impl<I: Iterator> Stream for IterStream<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}

/// What a job leaves; `None`: something before it has failed, and it has done nothing.
type Outcome<T, E> = Option<Result<T, E>>;

/// Submits the job of an item.
type Launch<I, T, E> =
    dyn Fn(&Pool, &JobOptions, Option<usize>, I) -> Run<Outcome<T, E>> + Send + Sync;

/// The number of the first item that has failed.
struct Stop(AtomicUsize);

/// Notes that an item has failed, unless it is told otherwise.
struct Failing<'a> {
    stop: &'a Stop,
    index: usize,
}

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        // Relaxed: a hint, for jobs that begin later on the same worker above all.
        self.stop.0.fetch_min(self.index, Ordering::Relaxed);
    }
}

impl Stop {
    /// `order`: the item's number; `None` if all items are behind one that fails.
    fn run<T, E>(&self, order: Option<usize>, f: impl FnOnce() -> Result<T, E>) -> Outcome<T, E> {
        if self.0.load(Ordering::Relaxed) < order.unwrap_or(usize::MAX) {
            return None;
        }
        let failing = Failing { stop: self, index: order.unwrap_or(0) };
        let result = f();
        if result.is_ok() {
            std::mem::forget(failing);
        }
        Some(result)
    }
}

/// The results of a function over many items, which run as jobs: see [`Pool::map_async`].
///
/// A [`Stream`]. It keeps the pool alive; dropping it cancels the jobs that are under way.
#[must_use = "streams do nothing unless they are polled"]
pub struct MapAsync<S: Stream, T, E> {
    pool: Pool,
    options: JobOptions,
    /// `None`: there are no more items, or no more are wanted.
    input: Option<Pin<Box<S>>>,
    launch: Arc<Launch<S::Item, T, E>>,
    /// The last item, while the pool has no room for its job.
    entering: Option<Run<Outcome<T, E>>>,
    jobs: AsCompleted<Outcome<T, E>>,
    /// In order: those that have ended before one in front of them has.
    ready: BTreeMap<usize, Result<T, E>>,
    next: usize,
    is_ordered: bool,
    limit: usize,
    look_ahead: Option<usize>,
}

impl<S: Stream, T, E> Unpin for MapAsync<S, T, E> {}

impl Pool {
    /// Runs `f` on each item, as a job, and yields the results as a stream, in the order of the
    /// items.
    ///
    /// The stream submits jobs when it is polled: at most [`limit`](MapAsync::limit) are under way
    /// at a time, and at most [`look_ahead`](MapAsync::look_ahead) items are taken from the input
    /// beyond what has been yielded. So the input may be endless, and a slow consumer slows it
    /// down. If the pool is [bounded](crate::PoolBuilder::queue) and has no room, the stream waits for
    /// it as [`run`](Pool::run) does. The iterator is asked for its items by the polling task.
    ///
    /// **The first error ends the stream.** When an item fails (`f` panics), no other is begun, and
    /// the stream yields the results of those in front of it, then the error, then nothing more. Those
    /// behind it are cancelled, for [`CancelCause::SiblingFailed`]; the errors which that causes are
    /// not seen. [`unordered`](MapAsync::unordered) yields each result as soon as it is there; an
    /// error then cancels all others.
    ///
    /// For a function that itself may fail there is [`try_map_async`](Pool::try_map_async); for
    /// input that is itself a stream, [`map_stream`](Pool::map_stream).
    ///
    /// # Cancellation
    /// Dropping the stream cancels what is under way.
    ///
    /// ```
    /// use futures::{StreamExt, TryStreamExt};
    ///
    /// # pollster::block_on(async {
    /// let pool = windlass::Pool::new(2).unwrap();
    /// let squares: Vec<u64> = pool.map_async(0..5, |n| n * n).try_collect().await.unwrap();
    /// assert_eq!(squares, [0, 1, 4, 9, 16]);
    ///
    /// // An endless input: only what is asked for is computed, and a little more.
    /// let evens = pool.map_async((0..).step_by(2), |n| n).limit(2).take(3);
    /// assert_eq!(evens.map(Result::unwrap).collect::<Vec<_>>().await, [0, 2, 4]);
    /// # });
    /// ```
    pub fn map_async<I, T, F>(
        &self,
        items: I,
        f: F,
    ) -> MapAsync<IterStream<I::IntoIter>, T, JobError>
    where
        I: IntoIterator<Item: Send + 'static>,
        T: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
    {
        self.map_stream(IterStream(items.into_iter()), f)
    }

    /// As [`map_async`](Pool::map_async), with a function that may fail, which counts as a failure
    /// like a panic.
    ///
    /// ```
    /// use futures::StreamExt;
    /// use windlass::MapError;
    ///
    /// # pollster::block_on(async {
    /// let pool = windlass::Pool::new(2).unwrap();
    /// let words = ["1", "2", "three", "4"];
    /// let mut numbers = pool.try_map_async(words, |word| word.parse::<u32>());
    /// assert_eq!(numbers.next().await.unwrap().unwrap(), 1);
    /// assert_eq!(numbers.next().await.unwrap().unwrap(), 2);
    /// assert!(matches!(numbers.next().await, Some(Err(MapError::Failed(_)))));
    /// assert!(numbers.next().await.is_none());
    /// # });
    /// ```
    pub fn try_map_async<I, T, E, F>(
        &self,
        items: I,
        f: F,
    ) -> MapAsync<IterStream<I::IntoIter>, T, MapError<E>>
    where
        I: IntoIterator<Item: Send + 'static>,
        T: Send + 'static,
        E: Send + 'static,
        F: Fn(I::Item) -> Result<T, E> + Send + Sync + 'static,
    {
        self.try_map_stream(IterStream(items.into_iter()), f)
    }

    /// As [`map_async`](Pool::map_async), for items that come from a stream. While the next one is
    /// not there, results are yielded all the same.
    ///
    /// ```
    /// use futures::{StreamExt, stream};
    ///
    /// # pollster::block_on(async {
    /// let pool = windlass::Pool::new(2).unwrap();
    /// let lines = stream::iter(["steal", "fork"]);
    /// let lengths = pool.map_stream(lines, str::len).map(Result::unwrap);
    /// assert_eq!(lengths.collect::<Vec<_>>().await, [5, 4]);
    /// # });
    /// ```
    pub fn map_stream<S, T, F>(&self, items: S, f: F) -> MapAsync<S, T, JobError>
    where
        S: Stream<Item: Send + 'static>,
        T: Send + 'static,
        F: Fn(S::Item) -> T + Send + Sync + 'static,
    {
        MapAsync::new(self, items, move |item| Ok(f(item)))
    }

    /// As [`try_map_async`](Pool::try_map_async), for items that come from a stream.
    pub fn try_map_stream<S, T, E, F>(&self, items: S, f: F) -> MapAsync<S, T, MapError<E>>
    where
        S: Stream<Item: Send + 'static>,
        T: Send + 'static,
        E: Send + 'static,
        F: Fn(S::Item) -> Result<T, E> + Send + Sync + 'static,
    {
        MapAsync::new(self, items, move |item| f(item).map_err(MapError::Failed))
    }
}

impl<S, T, E> MapAsync<S, T, E>
where
    S: Stream<Item: Send + 'static>,
    T: Send + 'static,
    E: Send + 'static,
{
    fn new<F>(pool: &Pool, items: S, f: F) -> Self
    where
        F: Fn(S::Item) -> Result<T, E> + Send + Sync + 'static,
    {
        let shared = Arc::new((f, Stop(AtomicUsize::new(usize::MAX))));
        let launch =
            move |pool: &Pool, options: &JobOptions, order: Option<usize>, item: S::Item| {
                let shared = Arc::clone(&shared);
                let call = move || shared.1.run(order, || (shared.0)(item));
                if *options == JobOptions::default() {
                    pool.run(call)
                } else {
                    pool.job("").options(options).run(call)
                }
            };
        MapAsync {
            pool: pool.clone(),
            options: JobOptions::default(),
            input: Some(Box::pin(items)),
            launch: Arc::new(launch),
            entering: None,
            jobs: AsCompleted::new(),
            ready: BTreeMap::new(),
            next: 0,
            is_ordered: true,
            limit: 2 * pool.num_workers(),
            look_ahead: None,
        }
    }
}

impl<S: Stream, T, E> MapAsync<S, T, E> {
    /// How many jobs are under way at a time, queued or running: by default twice as many as the
    /// pool has workers, so that none of them waits for the next poll. 0 counts as 1.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit.max(1);
        self
    }

    /// How many items are taken from the input beyond those whose results have been yielded: by
    /// default twice the limit, and never less than that. It bounds how many results are kept
    /// behind one that takes long.
    pub fn look_ahead(mut self, items: usize) -> Self {
        self.look_ahead = Some(items);
        self
    }

    /// Yields each result as soon as it is there, whichever item it is of.
    pub fn unordered(mut self) -> Self {
        self.is_ordered = false;
        self
    }

    /// Options of the jobs: their priority, limits in time.
    ///
    /// ```
    /// use futures::TryStreamExt;
    /// use windlass::{JobOptions, Priority};
    ///
    /// # pollster::block_on(async {
    /// let pool = windlass::Pool::new(2).unwrap();
    /// let batch = JobOptions::default().priority(Priority::Background);
    /// let pages = pool.map_async(["a", "b"], str::to_uppercase).options(&batch);
    /// assert_eq!(pages.try_collect::<Vec<_>>().await.unwrap(), ["A", "B"]);
    /// # });
    /// ```
    pub fn options(mut self, options: &JobOptions) -> Self {
        self.options = options.clone();
        self
    }

    /// Submits jobs as far as the limits allow. What is not ready wakes the task.
    fn fill(&mut self, cx: &mut Context<'_>)
    where
        E: From<JobError>,
    {
        let look_ahead = self.look_ahead.unwrap_or(2 * self.limit).max(self.limit);
        while self.jobs.len() < self.limit && self.jobs.len() + self.ready.len() < look_ahead {
            if self.entering.is_none() {
                // Not put back if it panics.
                let Some(mut input) = self.input.take() else { return };
                let polled = input.as_mut().poll_next(cx);
                if !matches!(polled, Poll::Ready(None)) {
                    self.input = Some(input);
                }
                let Poll::Ready(Some(item)) = polled else { return };
                let order = self.is_ordered.then_some(self.jobs.num_pushed());
                self.entering = Some((self.launch)(&self.pool, &self.options, order, item));
            }
            let entering = self.entering.as_mut().expect("it has just been put there");
            let Poll::Ready(entered) = entering.poll_handle(cx) else { return };
            self.entering = None;
            match entered {
                Ok(handle) => _ = self.jobs.push(handle),
                Err(error) => {
                    let index = if self.is_ordered { self.jobs.num_pushed() } else { self.next };
                    self.fail(index);
                    self.ready.insert(index, Err(E::from(error)));
                }
            }
        }
    }

    /// Item `index` has failed: wants nothing more of what is behind it.
    fn fail(&mut self, index: usize) {
        (self.input, self.entering) = (None, None);
        let behind = if self.is_ordered { index + 1 } else { 0 };
        drop(self.ready.split_off(&behind));
        for handle in self.jobs.split_off(behind) {
            handle.cancel_with(CancelCause::SiblingFailed);
        }
    }
}

impl<S: Stream, T, E: From<JobError>> Stream for MapAsync<S, T, E> {
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            this.fill(cx);
            if let Some(result) = this.ready.remove(&this.next) {
                this.next += 1;
                return Poll::Ready(Some(result));
            }
            let (index, outcome) = match Pin::new(&mut this.jobs).poll_next(cx) {
                Poll::Ready(Some(ended)) => ended,
                // What is not there yet is the input, or room.
                Poll::Ready(None) if this.input.is_some() || this.entering.is_some() => {
                    return Poll::Pending;
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            };
            let result = match outcome {
                Ok(Some(result)) => result,
                // The item that has failed is still to come.
                Ok(None) => continue,
                Err(error) => Err(E::from(error)),
            };
            if result.is_err() {
                this.fail(index);
            }
            if !this.is_ordered {
                return Poll::Ready(Some(result));
            }
            this.ready.insert(index, result);
        }
    }
}

impl<S: Stream, T, E> fmt::Debug for MapAsync<S, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapAsync")
            .field("under_way", &self.jobs.len())
            .field("ready", &self.ready.len())
            .field("is_ordered", &self.is_ordered)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
