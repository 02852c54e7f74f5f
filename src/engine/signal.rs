//! What threads of any kind wait on, or leave for others: a signal, the wait for an idle pool, the
//! first panic of several.

use super::sync::{AtomicUsize, Condvar, Mutex, Ordering, fence, lock, wait_timeout};
use super::unwind::{self, Payload};
use std::time::{Duration, Instant};

/// What a thread without a seat waits on.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    state: Mutex<SignalState>,
    condvar: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SignalState {
    #[default]
    Unset,
    /// Look around, and wait again.
    Poked,
    Set,
}

impl Signal {
    pub(crate) fn set(&self) {
        *lock(&self.state) = SignalState::Set;
        self.condvar.notify_one();
    }

    /// Makes the waiter look around, now or when it comes.
    pub(super) fn poke(&self) {
        let mut state = lock(&self.state);
        if *state == SignalState::Unset {
            *state = SignalState::Poked;
            self.condvar.notify_one();
        }
    }

    /// Waits until it is set: `true`; or poked: `false`.
    pub(crate) fn wait(&self) -> bool {
        let mut state = lock(&self.state);
        while *state == SignalState::Unset {
            state = self.condvar.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        let is_set = *state == SignalState::Set;
        if !is_set {
            *state = SignalState::Unset;
        }
        is_set
    }
}

/// The first panic of several: the one that is propagated. Later ones are dropped.
#[derive(Debug, Default)]
pub(crate) struct FirstPanic(Mutex<Option<Payload>>);

impl FirstPanic {
    pub(crate) fn keep(&self, payload: Payload) {
        let mut first = lock(&self.0);
        if first.is_none() {
            *first = Some(payload);
            return;
        }
        drop(first);
        unwind::drop_quietly(payload);
    }

    pub(crate) fn take(&self) -> Option<Payload> {
        lock(&self.0).take()
    }
}

/// Those who wait for the pool to have nothing to do.
#[derive(Debug, Default)]
pub(super) struct IdleWaiters {
    count: AtomicUsize,
    lock: Mutex<()>,
    condvar: Condvar,
}

impl IdleWaiters {
    pub(super) fn wait(&self, deadline: Option<Instant>, is_idle: impl Fn() -> bool) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed);
        // Pairs with the fence in `tell`: it sees us, or we see what it has done.
        fence(Ordering::SeqCst);
        let mut guard = lock(&self.lock);
        let result = loop {
            if is_idle() {
                break true;
            }
            let left = match deadline {
                None => Duration::MAX,
                Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                    None | Some(Duration::ZERO) => break false,
                    Some(left) => left,
                },
            };
            guard = wait_timeout(&self.condvar, guard, left);
        };
        drop(guard);
        self.count.fetch_sub(1, Ordering::Relaxed);
        result
    }

    pub(super) fn tell(&self) {
        fence(Ordering::SeqCst); // as in `wait`
        if self.count.load(Ordering::Relaxed) > 0 {
            // Under the lock, or it could fall between a waiter's look and its wait.
            let _guard = lock(&self.lock);
            self.condvar.notify_all();
        }
    }
}
