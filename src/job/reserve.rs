//! The ways in that wait for room for so long, or without a thread; and room that is taken before
//! there is a job.
#![forbid(unsafe_code)]

use super::admit::{self, Door, Held, Pass, Place, Refusal, Standing};
use super::board::Board;
use super::builder::JobBuilder;
use super::handle::JobHandle;
use super::outcome::SubmitError;
use super::submit::{self, submit_plain};
use super::work::Plain;
use crate::engine::registry::Registry;
use crate::policy::QueueStats;
use crate::policy::admission::{Ticket, Verdict};
use crate::pool::Pool;
use crate::time::nanoseconds;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Room for one job in the queue of a pool: see [`Pool::reserve`]. Dropped, it is free again.
///
/// It is kept from everybody else, whether it is used or not, so whoever has one had better submit
/// soon. It does not keep the pool alive.
#[must_use = "a permit that is dropped lets others in"]
pub struct Permit {
    registry: Arc<Registry>,
    ticket: Ticket,
    held: Held,
    /// What is said of the job.
    draft: Option<Box<Draft>>,
}

impl Permit {
    /// As [`Pool::submit`], in the room that is there already: so it neither blocks nor fails,
    /// unless the pool has begun to shut down. Of a permit that was
    /// [reserved by options](JobBuilder::reserve), the job has them; its limits in time count from
    /// now, and its group, or the rate of its kind, may still refuse it: then its handle says
    /// [`Rejected`](crate::JobError::Rejected).
    pub fn submit<T, F>(mut self, f: F) -> JobHandle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let held = std::mem::replace(&mut self.held, Held::NONE);
        match self.draft.take() {
            None => submit::submit_with(&self.registry, f, held),
            Some(draft) => draft.on(&self.registry).submit_call(Plain(f), Door::With(held)),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        admit::give_back(Board::of(&self.registry), &self.ticket, self.held);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// Why there is no [`Permit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReserveError {
    /// The pool has begun to shut down.
    ShuttingDown,
    /// There is no room.
    Full,
}

impl fmt::Display for ReserveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReserveError::ShuttingDown => "the pool shuts down",
            ReserveError::Full => "the queue is full",
        })
    }
}

impl Error for ReserveError {}

impl From<Refusal> for ReserveError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full => ReserveError::Full,
            Refusal::ShuttingDown => ReserveError::ShuttingDown,
        }
    }
}

fn reserve(
    registry: &Registry,
    draft: Option<Box<Draft>>,
    door: Door,
) -> Result<Permit, ReserveError> {
    registry.check_not_forked();
    let board = Board::of(registry);
    if !board.is_open() {
        return Err(ReserveError::ShuttingDown);
    }
    let ticket = ticket(board, &draft);
    match admit::ask(registry, &ticket, &door, true)? {
        Pass::Queue(held) | Pass::RunHere(held) => {
            Ok(Permit { registry: registry.to_arc(), ticket, held, draft })
        }
    }
}

impl Pool {
    /// Takes the room that one job needs, to be filled later: what is submitted by the [`Permit`]
    /// is accepted for certain.
    ///
    /// ```
    /// use windlass::{Bound, Pool, ReserveError};
    ///
    /// let pool = Pool::builder().workers(1).queue(Bound::jobs(1)).build()?;
    /// let permit = pool.try_reserve()?;
    /// assert_eq!(pool.try_reserve().unwrap_err(), ReserveError::Full);
    /// assert_eq!(permit.submit(|| 1).wait().unwrap(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If there is no room, or the pool has begun to shut down.
    ///
    /// # Blocking
    /// Never.
    pub fn try_reserve(&self) -> Result<Permit, ReserveError> {
        reserve(self.registry(), None, Door::Now)
    }

    /// As [`try_reserve`](Self::try_reserve), and waits for room.
    ///
    /// # Errors
    /// If the pool has begun to shut down. If the calling thread works in the pool, and so must not
    /// wait, also if there is no room.
    ///
    /// # Blocking
    /// Until there is room.
    ///
    /// ```
    /// use windlass::{Bound, Pool};
    ///
    /// let pool = Pool::builder().workers(1).queue(Bound::jobs(1)).build()?;
    /// for n in 0..10 {
    ///     let permit = pool.reserve()?;
    ///     // What is dear to make is made only now that there is room for it.
    ///     let text = n.to_string();
    ///     permit.submit(move || text.len()).detach();
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserve(&self) -> Result<Permit, ReserveError> {
        reserve(self.registry(), None, Door::Within(u64::MAX))
    }

    /// As [`reserve`](Self::reserve), as a future.
    ///
    /// ```
    /// # fn block_on<F: Future>(f: F) -> F::Output {
    /// #     let mut f = std::pin::pin!(f);
    /// #     let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    /// #     loop {
    /// #         if let std::task::Poll::Ready(value) = f.as_mut().poll(&mut cx) { return value; }
    /// #     }
    /// # }
    /// # block_on(async {
    /// use windlass::{Bound, Pool};
    ///
    /// let pool = Pool::builder().workers(1).queue(Bound::jobs(1)).build()?;
    /// let permit = pool.reserve_async().await?;
    /// assert_eq!(permit.submit(|| 1).await.unwrap(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn reserve_async(&self) -> ReserveAsync {
        ReserveAsync::new(self.registry(), None)
    }

    /// As [`try_submit`](Pool::try_submit), but waits for room, so long at most.
    ///
    /// # Errors
    /// If there was no room in that time, or the pool has begun to shut down.
    ///
    /// # Blocking
    /// Until there is room, but no longer than `limit`. A thread that works in the pool does not
    /// wait.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use windlass::{Bound, Pool, SubmitError};
    ///
    /// let pool = Pool::builder().workers(1).queue(Bound::in_flight(1)).build()?;
    /// let (send, receive) = std::sync::mpsc::channel();
    /// let first = pool.submit(move || receive.recv().unwrap());
    /// match pool.submit_timeout(Duration::from_millis(1), || 2) {
    ///     Err(SubmitError::Full(f)) => assert_eq!(f(), 2),
    ///     other => unreachable!("{other:?}"),
    /// }
    /// send.send(1).unwrap();
    /// let second = pool.submit_timeout(Duration::from_secs(10), || 2).unwrap();
    /// assert_eq!((first.wait().unwrap(), second.wait().unwrap()), (1, 2));
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn submit_timeout<T, F>(
        &self,
        limit: Duration,
        f: F,
    ) -> Result<JobHandle<T>, SubmitError<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        submit_plain(self.registry(), f, Door::Within(nanoseconds(limit)))
    }

    /// As [`try_submit`](Self::try_submit), and waits for room as a future does: without a thread.
    ///
    /// The future has the handle as soon as there is room, in the order of arrival with all others
    /// who wait. Dropped before that, it has submitted nothing, and gives its place up.
    ///
    /// ```
    /// # fn block_on<F: Future>(f: F) -> F::Output {
    /// #     let mut f = std::pin::pin!(f);
    /// #     let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    /// #     loop {
    /// #         if let std::task::Poll::Ready(value) = f.as_mut().poll(&mut cx) { return value; }
    /// #     }
    /// # }
    /// # block_on(async {
    /// use windlass::{Bound, Pool};
    ///
    /// let pool = Pool::builder().workers(2).queue(Bound::jobs(2)).build()?;
    /// let mut handles = Vec::new();
    /// for n in 0..100 {
    ///     let handle = pool.submit_async(move || n).await;
    ///     handles.push(handle.map_err(|error| error.to_string())?);
    /// }
    /// for (n, handle) in handles.into_iter().enumerate() {
    ///     assert_eq!(handle.await.unwrap(), n);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn submit_async<T, F>(&self, f: F) -> SubmitAsync<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        SubmitAsync::new(self.registry(), None, f)
    }
}

impl Pool {
    /// Whether there may be no room for a job.
    pub(crate) fn is_bounded(&self) -> bool {
        Board::of(self.registry()).entrance().is_some()
    }

    /// How much room the pool's [limits](crate::PoolBuilder::queue) have left.
    pub fn queue_stats(&self) -> QueueStats {
        let entrance = Board::of(self.registry()).entrance();
        entrance.map(|entrance| entrance.admission.stats()).unwrap_or_default()
    }
}

/// Without its pool.
type Draft = JobBuilder<'static>;

/// What a job counts for of which that is said.
fn ticket(board: &Board, draft: &Option<Box<Draft>>) -> Ticket {
    draft.as_ref().map_or(Ticket::PLAIN, |draft| admit::ticket(board, &draft.options))
}

impl<'a> JobBuilder<'a> {
    fn into_draft(self) -> (&'a Registry, Option<Box<Draft>>) {
        let to = self.registry();
        let JobBuilder { options, extra, token, deadline, after, group, joins_whole, .. } = self;
        let registry = None;
        let draft =
            JobBuilder { registry, options, extra, token, deadline, after, group, joins_whole };
        (to, Some(Box::new(draft)))
    }

    /// As [`Pool::submit_timeout`]. The limits in time of the job itself count from this call.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Blocking
    /// As there.
    pub fn submit_timeout<T, F>(self, limit: Duration, f: F) -> Result<JobHandle<T>, SubmitError<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.submit_by(f, Door::Within(nanoseconds(limit)))
    }

    /// As [`Pool::submit_async`]. The limits in time of the job count from when there is room.
    pub fn submit_async<T, F>(self, f: F) -> SubmitAsync<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (registry, draft) = self.into_draft();
        SubmitAsync::new(registry, draft, f)
    }

    /// As [`Pool::try_reserve`], for a job with these options: room for its
    /// [weight](JobBuilder::weight), its [kind](JobBuilder::kind), its priority.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Blocking
    /// Never.
    ///
    /// ```
    /// use windlass::{Bound, Pool, QueueLimits, ReserveError};
    ///
    /// let limits = QueueLimits::default().kind("upload", Bound::weight(100));
    /// let pool = Pool::builder().workers(1).queue(limits).build()?;
    /// let upload = |bytes| pool.job("upload").kind("upload").weight(bytes);
    /// let permit = upload(80).try_reserve()?;
    /// assert_eq!(upload(40).try_reserve().unwrap_err(), ReserveError::Full);
    /// // What it is for is read only now.
    /// let text = "x".repeat(80);
    /// assert_eq!(permit.submit(move || text.len()).wait().unwrap(), 80);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_reserve(self) -> Result<Permit, ReserveError> {
        let (registry, draft) = self.into_draft();
        reserve(registry, draft, Door::Now)
    }

    /// As [`try_reserve`](Self::try_reserve), and waits for room.
    ///
    /// # Errors
    /// As [`Pool::reserve`].
    ///
    /// # Blocking
    /// Until there is room.
    pub fn reserve(self) -> Result<Permit, ReserveError> {
        let (registry, draft) = self.into_draft();
        reserve(registry, draft, Door::Within(u64::MAX))
    }

    /// As [`reserve`](Self::reserve), as a future.
    pub fn reserve_async(self) -> ReserveAsync {
        let (registry, draft) = self.into_draft();
        ReserveAsync::new(registry, draft)
    }
}

/// On the way in, without a thread.
struct Entry {
    registry: Arc<Registry>,
    ticket: Ticket,
    place: Option<Place>,
}

impl Entry {
    fn new(registry: &Registry, ticket: Ticket) -> Self {
        Entry { registry: registry.to_arc(), ticket, place: None }
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<Held, Refusal>> {
        if self.place.is_none() {
            self.registry.check_not_forked();
            if !Board::of(&self.registry).is_open() {
                return Poll::Ready(Err(Refusal::ShuttingDown));
            }
            match admit::stand_in_line(&self.registry, &self.ticket) {
                Standing::In(held) => return Poll::Ready(Ok(held)),
                Standing::Closed => return Poll::Ready(Err(Refusal::ShuttingDown)),
                Standing::Waiting(place) => self.place = Some(place),
            }
        }
        let place = self.place.as_ref().expect("it stands in line");
        if place.waiter.verdict() == Verdict::Waits {
            place.waiter.set_waker(cx.waker());
        }
        match place.waiter.verdict() {
            Verdict::Waits => Poll::Pending,
            Verdict::Closed => {
                self.place = None;
                Poll::Ready(Err(Refusal::ShuttingDown))
            }
            Verdict::Granted => Poll::Ready(Ok(self.place.take().expect("as above").take())),
        }
    }
}

/// A job on its way into a pool: see [`Pool::submit_async`].
///
/// It does not keep the pool alive: if that ends first, it says so.
#[must_use = "a future does nothing unless it is polled"]
pub struct SubmitAsync<T, F> {
    entry: Entry,
    draft: Option<Box<Draft>>,
    f: Option<F>,
    output: PhantomData<fn() -> T>,
}

// The closure is moved out, and never pinned.
impl<T, F> Unpin for SubmitAsync<T, F> {}

impl<T, F> SubmitAsync<T, F> {
    fn new(registry: &Registry, draft: Option<Box<Draft>>, f: F) -> Self {
        let entry = Entry::new(registry, ticket(Board::of(registry), &draft));
        SubmitAsync { entry, draft, f: Some(f), output: PhantomData }
    }
}

impl<T, F> Future for SubmitAsync<T, F>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    type Output = Result<JobHandle<T>, SubmitError<F>>;

    /// # Panics
    /// If it has completed before.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        assert!(this.f.is_some(), "the job was submitted before");
        let Poll::Ready(entered) = this.entry.poll(cx) else { return Poll::Pending };
        let f = this.f.take().expect("as above");
        Poll::Ready(match entered {
            Err(Refusal::Full) => Err(SubmitError::Full(f)),
            Err(Refusal::ShuttingDown) => Err(SubmitError::ShuttingDown(f)),
            Ok(held) => {
                let (registry, door) = (&*this.entry.registry, Door::With(held));
                match this.draft.take() {
                    None => submit_plain(registry, f, door),
                    Some(draft) => draft.on(registry).submit_by(f, door),
                }
            }
        })
    }
}

impl<T, F> fmt::Debug for SubmitAsync<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitAsync").field("is_pending", &self.f.is_some()).finish_non_exhaustive()
    }
}

/// Room on its way: see [`Pool::reserve_async`].
///
/// It does not keep the pool alive: if that ends first, it says so.
#[must_use = "a future does nothing unless it is polled"]
pub struct ReserveAsync {
    entry: Entry,
    draft: Option<Box<Draft>>,
}

impl ReserveAsync {
    fn new(registry: &Registry, draft: Option<Box<Draft>>) -> Self {
        ReserveAsync { entry: Entry::new(registry, ticket(Board::of(registry), &draft)), draft }
    }
}

impl Future for ReserveAsync {
    type Output = Result<Permit, ReserveError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(entered) = self.entry.poll(cx) else { return Poll::Pending };
        let (registry, ticket) = (Arc::clone(&self.entry.registry), self.entry.ticket);
        let held = entered?;
        Poll::Ready(Ok(Permit { registry, ticket, held, draft: self.draft.take() }))
    }
}

impl fmt::Debug for ReserveAsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReserveAsync").finish_non_exhaustive()
    }
}
