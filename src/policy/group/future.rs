//! Waits of tasks: what `wait` and `as_completed` are for threads. They wake once what they wait for
//! is there, off every lock, and leave the group when they are dropped.

use super::waiting::Ticket;
use super::{AsCompleted, Ended, GroupHandle, JoinEnd, Joiner, Until};
use crate::job::CancelCause;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

impl<T: Send + 'static> GroupHandle<T> {
    /// As [`wait`](Self::wait), for a task to await; of no runtime in particular. It waits from when
    /// it is first polled, and dropping it changes nothing for the group.
    ///
    /// ```
    /// use windlass::{Join, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let group = pool.group("squares").open();
    /// for n in 0..4_u32 {
    ///     group.submit(move || n * n)?;
    /// }
    /// let squares = async { group.join(Join::all()).await };
    /// # let mut squares = std::pin::pin!(squares);
    /// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    /// # loop {
    /// #     if let std::task::Poll::Ready(squares) = squares.as_mut().poll(&mut cx) {
    /// #         assert_eq!(squares?, [0, 1, 4, 9]);
    /// #         break;
    /// #     }
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join<J: Joiner<T>>(&self, joiner: J) -> GroupJoin<T, J> {
        GroupJoin { group: self.clone(), joiner: Some(joiner), ticket: Ticket::default() }
    }
}

/// See [`GroupHandle::join`].
#[must_use = "it waits only when it is awaited"]
pub struct GroupJoin<T: Send + 'static, J: Joiner<T>> {
    group: GroupHandle<T>,
    /// None: it is over.
    joiner: Option<J>,
    ticket: Ticket,
}

// Nothing in it is pinned.
impl<T: Send + 'static, J: Joiner<T>> Unpin for GroupJoin<T, J> {}

impl<T: Send + 'static, J: Joiner<T>> Future for GroupJoin<T, J> {
    type Output = J::Output;

    /// # Panics
    /// If it was ready before.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<J::Output> {
        let GroupJoin { group, joiner, ticket } = &mut *self;
        let core = &group.core;
        let waiting = joiner.as_mut().expect("a wait that is over is not polled");
        let end = loop {
            if !core.poll(waiting.until(), ticket, cx.waker()) {
                return Poll::Pending;
            }
            if group.hand_to(waiting).is_break() {
                core.cancel(CancelCause::NotNeeded);
                break JoinEnd::Enough;
            }
            if core.is_over() {
                break JoinEnd::AllEnded;
            }
        };
        core.give_up(ticket);
        let finish = group.finish(end);
        let joiner = self.joiner.take().expect("it was there just now");
        Poll::Ready(joiner.finish(finish))
    }
}

impl<T: Send + 'static, J: Joiner<T>> Drop for GroupJoin<T, J> {
    fn drop(&mut self) {
        self.group.core.give_up(&mut self.ticket);
    }
}

impl<T: Send + 'static, J: Joiner<T>> fmt::Debug for GroupJoin<T, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupJoin").field("group", &self.group).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> AsCompleted<'_, T> {
    /// The next result for a task, which is woken when there is one; `None` when all members have
    /// ended and all results are taken.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ended<T>>> {
        loop {
            if let Some(member) = self.group.try_next() {
                return Poll::Ready(Some(member));
            }
            if self.group.core.is_over() {
                return Poll::Ready(None);
            }
            if !self.group.core.poll(Until::Ends(1), &mut self.ticket, cx.waker()) {
                return Poll::Pending;
            }
        }
    }
}

impl<T: Send + 'static> Drop for AsCompleted<'_, T> {
    fn drop(&mut self) {
        self.group.core.give_up(&mut self.ticket);
    }
}
