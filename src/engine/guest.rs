//! Callers from outside who take part: how they come by a permit and a seat, and how they leave.
//!
//! Most guests come with a free permit, or are served by the pool's threads. Whoever waits for a job
//! may also come with the permit of a worker that has been woken and has not come to itself (`sleep`
//! I5): if it was woken for that very job, it need not have hurried. Other guests may not: who comes
//! again and again could borrow from the one worker each time, and the job for which that was woken
//! would wait for ever.

use super::registry::Registry;
use super::sleep::Loan;
use super::sync::Ordering;
use super::worker::{Seated, Worker};

impl Registry {
    /// Runs `op` on the calling thread if it is in this pool already; else as a guest; else, when
    /// every permit is taken, on one of the pool's threads while the caller blocks.
    #[inline]
    pub(crate) fn enter<R: Send>(&self, op: impl FnOnce(&Worker) -> R + Send) -> R {
        Worker::with_seat_in(self, |seat| match seat {
            Some(worker) => op(worker),
            None => self.enter_as_guest(op),
        })
    }

    fn enter_as_guest<R: Send>(&self, op: impl FnOnce(&Worker) -> R + Send) -> R {
        self.check_not_forked();
        let guest = if self.sleep.try_enter() { self.seat_guest(None) } else { None };
        match guest {
            Some(guest) => op(guest.worker),
            None => self.inject_and_wait(op),
        }
    }

    /// As [`Self::enter`], for a caller who waits for a job of this level; with a free permit or a
    /// borrowed one, or not at all.
    pub(crate) fn enter_if_room<R>(&self, level: u8, op: impl FnOnce(&Worker) -> R) -> Option<R> {
        Worker::with_seat_in(self, |seat| match seat {
            Some(worker) => Some(op(worker)),
            None => self.enter_to_run(level, op),
        })
    }

    fn enter_to_run<R>(&self, level: u8, op: impl FnOnce(&Worker) -> R) -> Option<R> {
        self.check_not_forked();
        let loan = if self.sleep.try_enter() { None } else { Some(self.borrow(level)?) };
        let guest = self.seat_guest(loan)?;
        guest.worker.set_level(level);
        if self.lanes.has_above(level) {
            // It came meanwhile.
            guest.worker.ask_to_make_way();
        }
        Some(op(guest.worker))
    }

    /// Borrows a permit to run a job of this level.
    fn borrow(&self, level: u8) -> Option<Loan> {
        if self.lanes.has_above(level) {
            // The worker does what is above first.
            return None;
        }
        let loan = self.sleep.borrow()?;
        if self.sleep.is_over_width() {
            // It was woken for a broadcast, or to end. A searcher goes to sleep in this case.
            self.give_up(Some(loan));
            return None;
        }
        Some(loan)
    }

    /// Gives a permit back, where it was borrowed if that is not too late.
    fn give_up(&self, loan: Option<Loan>) {
        if !loan.is_some_and(|loan| self.sleep.repay(loan)) {
            self.leave();
        }
    }

    /// Seats a caller, who has a permit. `None`: there is no seat, and the permit is given back.
    pub(super) fn seat_guest(&self, loan: Option<Loan>) -> Option<Guest<'_>> {
        let Some(worker) = self.claim_seat() else {
            self.give_up(loan);
            return None;
        };
        worker.sit_down();
        worker.set_busy(true);
        // SAFETY: the seat is ours until the guest is dropped, on return or unwind.
        let seated = Some(unsafe { Seated::new(worker) });
        Some(Guest { worker, seated, loan })
    }

    fn claim_seat(&self) -> Option<&Worker> {
        for (word, free) in self.free_seats.iter().enumerate() {
            let mut bits = free.load(Ordering::Relaxed);
            while bits != 0 {
                let bit = bits & bits.wrapping_neg();
                // Acquire pairs with the Release of the guest who left: its stack is ours now.
                bits = free.fetch_and(!bit, Ordering::Acquire);
                if bits & bit != 0 {
                    let seat = self.first_guest + word * 64 + bit.trailing_zeros() as usize;
                    return Some(self.worker(seat as u32));
                }
            }
        }
        None
    }

    fn free_seat(&self, worker: &Worker) {
        let seat = worker.index() as usize - self.first_guest;
        // Release pairs with the Acquire in `claim_seat`.
        self.free_seats[seat / 64].fetch_or(1 << (seat % 64), Ordering::Release);
    }
}

/// A caller from outside who takes part: holds a permit and a seat.
pub(super) struct Guest<'a> {
    worker: &'a Worker,
    seated: Option<Seated>,
    /// Where the permit was borrowed. One that was given back during a wait was taken again since, and
    /// is as good.
    loan: Option<Loan>,
}

impl<'a> Guest<'a> {
    pub(super) fn worker(&self) -> &'a Worker {
        self.worker
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        drop(self.seated.take());
        self.worker.set_busy(false);
        self.worker.stand_up();
        let registry = self.worker.registry();
        registry.free_seat(self.worker);
        registry.give_up(self.loan);
    }
}
