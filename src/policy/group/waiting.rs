//! Who waits for a group: threads, workers that help meanwhile, tasks, jobs.

use super::core::Core;
use super::joiner::Until;
use crate::engine::unwind;
use crate::engine::wait;
use crate::engine::worker::Worker;
use crate::job::waiter::Waiter;
use crate::job::{Await, Continue, SkipCause};
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

/// Those who wait, under the group's lock.
#[derive(Default)]
pub(super) struct Waiters {
    list: Vec<Waiting>,
    next_number: u64,
}

/// Somebody who waits.
pub(super) struct Waiting {
    number: u64,
    until: Until,
    who: Who,
}

enum Who {
    Thread(Arc<Waiter>),
    /// A worker that runs members meanwhile.
    Helper(Arc<Waiter>),
    Task(Waker),
    /// A job's dependency on the group.
    Edge(Arc<dyn Continue>),
}

/// Somebody's place among those who wait, if it has one.
#[derive(Debug, Default)]
pub(super) struct Ticket(Option<u64>);

impl Waiters {
    fn list(&mut self, until: Until, who: Who) -> Ticket {
        let number = self.next_number;
        self.next_number += 1;
        self.list.push(Waiting { number, until, who });
        Ticket(Some(number))
    }

    /// As [`Self::list`], for somebody who may be listed already. Returns what is to be dropped.
    fn list_again(&mut self, until: Until, who: Who, ticket: &mut Ticket) -> Option<Who> {
        match self.find(ticket) {
            Some(at) => {
                self.list[at].until = until;
                Some(std::mem::replace(&mut self.list[at].who, who))
            }
            None => {
                *ticket = self.list(until, who);
                None
            }
        }
    }

    fn find(&self, ticket: &Ticket) -> Option<usize> {
        self.list.iter().position(|waiting| Some(waiting.number) == ticket.0)
    }

    fn remove(&mut self, ticket: &Ticket) -> Option<Waiting> {
        let at = self.find(ticket)?;
        Some(self.list.swap_remove(at))
    }

    /// Those who are to be told of work.
    pub(super) fn helpers(&self) -> Vec<Arc<Waiter>> {
        let helpers = self.list.iter().filter_map(|waiting| match &waiting.who {
            Who::Helper(thread) => Some(Arc::clone(thread)),
            _ => None,
        });
        helpers.collect()
    }

    /// Takes those out whose wait is over.
    pub(super) fn take_over(&mut self, is_reached: impl Fn(Until) -> bool) -> Vec<Waiting> {
        self.list.extract_if(.., |waiting| is_reached(waiting.until)).collect()
    }
}

/// Ends the waits. Outside of the lock.
pub(super) fn wake(over: Vec<Waiting>) {
    for waiting in over {
        match waiting.who {
            Who::Thread(thread) | Who::Helper(thread) => thread.tell(),
            // A waker is the user's code.
            Who::Task(waker) => {
                let _ = unwind::catch(|| waker.wake()).map_err(unwind::drop_quietly);
            }
            Who::Edge(edge) => edge.go_on(),
        }
    }
}

impl Core {
    /// Waits for that, or until all have ended. `false`: the time was up. Without a deadline, a
    /// worker of the pool runs queued members meanwhile.
    pub(super) fn wait(&self, until: Until, deadline: Option<Instant>) -> bool {
        let is_here = |worker: &Worker| std::ptr::eq(worker.registry(), self.registry.as_ptr());
        let helps =
            deadline.is_none() && Worker::with_current(|worker| worker.is_some_and(is_here));
        if helps {
            self.wait_and_help(until);
            return true;
        }
        if wait::spin(|| self.is_reached(until)) {
            return true;
        }
        let thread = Arc::new(Waiter::new());
        let ticket = {
            let mut state = self.state();
            if state.is_reached(until) {
                return true;
            }
            state.waiters.list(until, Who::Thread(Arc::clone(&thread)))
        };
        thread.block(deadline);
        // It may have come at the last moment.
        self.unlist(ticket).is_none()
    }

    fn wait_and_help(&self, until: Until) {
        loop {
            let next = {
                let mut state = self.state();
                if state.is_reached(until) {
                    return;
                }
                state.next_queued()
            };
            if let Some(job) = next {
                job.run_if_queued();
                continue;
            }
            let is_done = || {
                let state = self.state();
                state.is_reached(until) || state.has_queued()
            };
            if wait::spin(is_done) {
                continue;
            }
            let thread = Arc::new(Waiter::new());
            let ticket = {
                let mut state = self.state();
                if state.is_reached(until) || state.has_queued() {
                    continue;
                }
                state.waiters.list(until, Who::Helper(Arc::clone(&thread)))
            };
            thread.block_or_work(|| self.state().has_queued());
            drop(self.unlist(ticket));
        }
    }

    /// Whether that has come; if not, the task is woken when it has. Once it has, or the task has
    /// lost interest, its ticket is to be [given back](Self::give_up).
    pub(super) fn poll(&self, until: Until, ticket: &mut Ticket, waker: &Waker) -> bool {
        // A clone and a drop are the user's code.
        let waker = waker.clone();
        let old = {
            let mut state = self.state();
            if state.is_reached(until) {
                return true;
            }
            state.waiters.list_again(until, Who::Task(waker), ticket)
        };
        drop(old);
        false
    }

    /// Takes it off the list of those who wait, if it is there.
    pub(super) fn give_up(&self, ticket: &mut Ticket) {
        if ticket.0.is_some() {
            drop(self.unlist(std::mem::take(ticket)));
        }
    }

    /// As [`Self::give_up`]. `None`: it is not there, as what it has waited for has come.
    fn unlist(&self, ticket: Ticket) -> Option<Waiting> {
        self.state().waiters.remove(&ticket)
    }
}

impl Await for Core {
    fn attach(&self, target: Arc<dyn Continue>) -> bool {
        let mut state = self.state();
        let is_pending = !state.is_reached(Until::AllEnded);
        if is_pending {
            let _ = state.waiters.list(Until::AllEnded, Who::Edge(target));
        }
        is_pending
    }

    fn failure(&self) -> Option<SkipCause> {
        self.state().failure.clone()
    }
}
