//! Who follows a schedule from outside: its events as they come, and its end.
#![forbid(unsafe_code)]

use super::core::Core;
use super::event::{EndReason, ScheduleEvent};
use super::handle::ScheduleHandle;
use super::plan::ScheduleState;
use crate::bridge::{Inbox, Untold};
use crate::engine::sync::{AtomicU64, Ordering};
use futures_core::Stream;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// What the schedule knows of somebody who follows it.
pub(super) struct Follower {
    /// None comes last.
    inbox: Inbox<Option<ScheduleEvent>>,
    capacity: usize,
    lost: AtomicU64,
}

impl Follower {
    /// Puts an event; whoever waits is to be told when no lock is held. `None`: nobody follows any
    /// more.
    pub(super) fn put(&self, event: &ScheduleEvent) -> Option<Untold> {
        let (untold, pushed_out) = self.inbox.put_within(Some(event.clone()), self.capacity)?;
        // Relaxed: a count.
        self.lost.fetch_add(u64::from(pushed_out.is_some()), Ordering::Relaxed);
        Some(untold)
    }

    /// No event comes any more.
    pub(super) fn end(&self) -> Option<Untold> {
        let (untold, _) = self.inbox.put_within(None, usize::MAX)?;
        Some(untold)
    }
}

/// The events of a schedule as they come: see [`ScheduleHandle::events`].
///
/// A `Stream` for async code, and for others what an iterator that blocks is made of. Both end when
/// the series has, and the last of its runs. Dropping it leaves the schedule alone.
pub struct ScheduleEvents {
    follower: Arc<Follower>,
    is_over: bool,
}

impl ScheduleEvents {
    /// Of a schedule that goes on, or is over.
    pub(super) fn new(core: &Core, capacity: usize) -> Self {
        let (inbox, lost) = (Inbox::new(), AtomicU64::new(0));
        let follower = Arc::new(Follower { inbox, capacity: capacity.max(1), lost });
        let is_over = !core.follow(&follower);
        ScheduleEvents { follower, is_over }
    }

    /// How many events were dropped, because more than the capacity waited to be taken: always the
    /// oldest.
    pub fn lost(&self) -> u64 {
        self.follower.lost.load(Ordering::Relaxed)
    }

    fn arrived(&mut self, event: Option<ScheduleEvent>) -> Option<ScheduleEvent> {
        self.is_over = event.is_none();
        event
    }
}

impl Stream for ScheduleEvents {
    type Item = ScheduleEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ScheduleEvent>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let event = ready!(self.follower.inbox.poll_take(cx.waker()));
        Poll::Ready(self.arrived(event))
    }
}

impl IntoIterator for ScheduleEvents {
    type Item = ScheduleEvent;
    type IntoIter = ScheduleEventsIter;

    fn into_iter(self) -> ScheduleEventsIter {
        ScheduleEventsIter { events: self }
    }
}

/// The events of a schedule for whoever waits for each: see [`ScheduleHandle::events`].
///
/// # Blocking
/// Until there is another event, or the schedule is over. A worker that waits leaves its place to
/// another thread.
#[derive(Debug)]
#[must_use = "iterators do nothing unless they are used"]
pub struct ScheduleEventsIter {
    events: ScheduleEvents,
}

impl Iterator for ScheduleEventsIter {
    type Item = ScheduleEvent;

    #[track_caller]
    fn next(&mut self) -> Option<ScheduleEvent> {
        while !self.events.is_over {
            if let Some(event) = self.events.follower.inbox.try_take() {
                return self.events.arrived(event);
            }
            self.events.follower.inbox.wait();
        }
        None
    }
}

impl std::iter::FusedIterator for ScheduleEventsIter {}

impl Drop for ScheduleEvents {
    fn drop(&mut self) {
        self.follower.inbox.close();
    }
}

impl fmt::Debug for ScheduleEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScheduleEvents")
            .field("is_over", &self.is_over)
            .field("lost", &self.lost())
            .finish_non_exhaustive()
    }
}

/// The end of a schedule, to be awaited or waited for: see [`ScheduleHandle::ended`].
#[derive(Debug)]
#[must_use = "it does nothing unless it is awaited, or waited for"]
pub struct ScheduleEnded {
    handle: ScheduleHandle,
    events: ScheduleEvents,
}

impl ScheduleEnded {
    fn new(handle: ScheduleHandle) -> Self {
        // That there are events is all that it wants to know.
        let events = handle.events(1);
        ScheduleEnded { handle, events }
    }

    /// Waits for the end.
    ///
    /// # Blocking
    /// Until the series has ended, and the last of its runs. A worker that waits leaves its place to
    /// another thread; in a run of the schedule it would wait for itself.
    #[track_caller]
    pub fn wait(self) -> EndReason {
        self.events.into_iter().for_each(drop);
        reason(&self.handle)
    }
}

impl Future for ScheduleEnded {
    type Output = EndReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<EndReason> {
        while ready!(Pin::new(&mut self.events).poll_next(cx)).is_some() {}
        Poll::Ready(reason(&self.handle))
    }
}

fn reason(handle: &ScheduleHandle) -> EndReason {
    match handle.state() {
        ScheduleState::Ended(reason) => reason,
        // Its pool is gone.
        _ => EndReason::Shutdown,
    }
}

impl IntoFuture for ScheduleHandle {
    type Output = EndReason;
    type IntoFuture = ScheduleEnded;

    /// As [`ended`](ScheduleHandle::ended).
    fn into_future(self) -> ScheduleEnded {
        ScheduleEnded::new(self)
    }
}

impl ScheduleHandle {
    /// Its events from now on, for whoever follows it: as a stream, or by an iterator that blocks.
    /// Up to `capacity` of them, at least one, wait to be taken; beyond that the oldest are
    /// [lost](ScheduleEvents::lost).
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::schedule::ScheduleEventKind;
    ///
    /// let pool = windlass::Pool::new(1)?;
    /// let tick = pool.schedule("tick").every(Duration::from_millis(1)).max_runs(3).start(|| ()).unwrap();
    /// let runs = tick.events(64).into_iter().filter(|event| matches!(event.kind, ScheduleEventKind::Finished { .. }));
    /// assert!(runs.count() <= 3);
    /// # Ok::<(), windlass::BuildError>(())
    /// ```
    pub fn events(&self, capacity: usize) -> ScheduleEvents {
        ScheduleEvents::new(self.core(), capacity)
    }

    /// Its end: when the series has ended, and the last of its runs.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::schedule::EndReason;
    ///
    /// # pollster::block_on(async {
    /// let pool = windlass::Pool::new(1).unwrap();
    /// let tick = pool.schedule("tick").every(Duration::from_millis(1)).max_runs(3).start(|| ()).unwrap();
    /// assert_eq!(tick.ended().await, EndReason::Exhausted);
    /// assert_eq!(tick.stats().completed, 3);
    /// // For a handle that nobody needs any more.
    /// assert_eq!(tick.await, EndReason::Exhausted);
    /// # });
    /// ```
    pub fn ended(&self) -> ScheduleEnded {
        ScheduleEnded::new(self.clone())
    }
}
