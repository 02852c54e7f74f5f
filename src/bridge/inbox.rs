//! What has arrived, in the order in which it came, and the one task or thread that waits for it.
//!
//! I1. Who waits looks and says so under one lock, and an item is put and whoever waits is taken out
//!     under the same lock. So nobody sleeps untold beside an item.
//! I2. Whoever waits is told once for each time that it has said so, outside of the lock.
//! I3. When it is closed it keeps nothing, and nothing arrives any more.
#![forbid(unsafe_code)]

use crate::engine::sync::{Mutex, MutexGuard, lock};
use crate::engine::wait;
use crate::job::waiter::{Waiter, drop_waker, wake};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// See the module.
pub(crate) struct Inbox<T>(Mutex<State<T>>);

struct State<T> {
    items: VecDeque<T>,
    task: Option<Waker>,
    thread: Option<Arc<Waiter>>,
    is_closed: bool,
}

/// Somebody who waits, or nobody, and is to be told outside of every lock.
#[must_use]
pub(crate) struct Untold {
    task: Option<Waker>,
    thread: Option<Arc<Waiter>>,
}

impl Untold {
    pub(crate) fn tell(self) {
        if let Some(thread) = self.thread {
            thread.tell();
        }
        wake(self.task);
    }
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        let (items, task, thread) = (VecDeque::new(), None, None);
        Inbox(Mutex::new(State { items, task, thread, is_closed: false }))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        lock(&self.0)
    }

    /// Puts an item, and tells whoever waits.
    pub(crate) fn put(&self, item: T) {
        if let Some((untold, _)) = self.put_within(item, usize::MAX) {
            untold.tell();
        }
    }

    /// Puts an item, for a caller under a lock, who tells whoever waits later. With that there are
    /// `most` items at most: else the oldest goes, and is returned. `None`: it is closed.
    pub(crate) fn put_within(&self, item: T, most: usize) -> Option<(Untold, Option<T>)> {
        let mut state = self.lock();
        if state.is_closed {
            return None;
        }
        let pushed_out = if state.items.len() < most { None } else { state.items.pop_front() };
        state.items.push_back(item);
        Some((Untold { task: state.task.take(), thread: state.thread.take() }, pushed_out))
    }

    /// Puts these before all others. Nobody waits yet.
    pub(crate) fn put_first(&self, items: impl DoubleEndedIterator<Item = T>) {
        let mut state = self.lock();
        items.rev().for_each(|item| state.items.push_front(item));
    }

    pub(crate) fn try_take(&self) -> Option<T> {
        self.lock().items.pop_front()
    }

    /// Takes the oldest item. If there is none, the waker is woken when one comes; it takes the
    /// place of the one before.
    pub(crate) fn poll_take(&self, waker: &Waker) -> Poll<T> {
        {
            let mut state = self.lock();
            if let Some(item) = state.items.pop_front() {
                return Poll::Ready(item);
            }
            if state.task.as_ref().is_some_and(|known| known.will_wake(waker)) {
                return Poll::Pending;
            }
        }
        // Outside of the lock, as it is the user's code; so look again.
        let waker = waker.clone();
        let (item, unused) = {
            let mut state = self.lock();
            match state.items.pop_front() {
                Some(item) => (Poll::Ready(item), Some(waker)),
                None => (Poll::Pending, state.task.replace(waker)),
            }
        };
        drop_waker(unused);
        item
    }

    /// Blocks until something has arrived.
    #[track_caller]
    pub(crate) fn wait(&self) {
        if wait::spin(|| !self.lock().items.is_empty()) {
            return;
        }
        let waiter = Arc::new(Waiter::new());
        {
            let mut state = self.lock();
            if !state.items.is_empty() {
                return;
            }
            state.thread = Some(Arc::clone(&waiter));
        }
        waiter.block(None);
    }

    /// Lets go of what has arrived and of whoever waits.
    pub(crate) fn close(&self) {
        let (items, task) = {
            let mut state = self.lock();
            state.is_closed = true;
            (std::mem::take(&mut state.items), state.task.take())
        };
        drop(items);
        drop_waker(task);
    }
}
