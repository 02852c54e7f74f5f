//! What few handles need beside their job, in one word: two flags, and a box for the rest. So a handle is
//! two words, which go in registers, and there may be many.

use super::told::Told;
use super::waiter::{Task, Waiter};
use crate::engine::registry::Registry;
use std::ptr;
use std::sync::{Arc, Weak};

/// Null or a box, with the flags in the low bits of its address.
pub(super) struct Tail(*mut Rest);

#[derive(Default)]
pub(super) struct Rest {
    /// For a thread that waits.
    pub(super) wait: Option<Wait>,
    /// The task that awaits the job, and is told when it has ended.
    pub(super) task: Option<Arc<Told<Task>>>,
}

pub(super) enum Wait {
    /// The submission has woken a worker of this pool: so there was room for one more at work, and a
    /// thread that waits may run the job if there still is.
    Room(Weak<Registry>),
    /// A thread waits, or has waited, and is told when the job has ended.
    Told(Arc<Told<Waiter>>),
}

/// The result has been taken.
pub(super) const IS_TAKEN: usize = 1;
/// The drop of the handle cancels the job.
pub(super) const CANCELS: usize = 2;
const FLAGS: usize = IS_TAKEN | CANCELS;

const _: () = assert!(align_of::<Rest>() > FLAGS);

impl Tail {
    #[inline]
    pub(super) fn new() -> Self {
        Tail(ptr::null_mut())
    }

    /// Whether there is neither a flag nor a box.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_null()
    }

    #[inline]
    pub(super) fn has(&self, flag: usize) -> bool {
        self.0.addr() & flag != 0
    }

    #[inline]
    pub(super) fn set(&mut self, flag: usize, is_set: bool) {
        self.0 = self.0.map_addr(|addr| if is_set { addr | flag } else { addr & !flag });
    }

    #[inline]
    fn rest_ptr(&self) -> *mut Rest {
        self.0.map_addr(|addr| addr & !FLAGS)
    }

    #[inline]
    pub(super) fn rest(&self) -> Option<&Rest> {
        // SAFETY: null, or a box of ours.
        unsafe { self.rest_ptr().as_ref() }
    }

    /// Made if there is none.
    pub(super) fn rest_mut(&mut self) -> &mut Rest {
        if self.rest_ptr().is_null() {
            let rest: *mut Rest = Box::into_raw(Box::default());
            self.0 = rest.map_addr(|addr| addr | self.0.addr());
        }
        // SAFETY: a box of ours.
        unsafe { &mut *self.rest_ptr() }
    }
}

impl Drop for Tail {
    #[inline]
    fn drop(&mut self) {
        let rest = self.rest_ptr();
        if !rest.is_null() {
            // SAFETY: a box of ours, which goes here.
            drop(unsafe { Box::from_raw(rest) });
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn flags_and_box_leave_each_other_alone() {
        let told = Told::new(Waiter::new());
        let mut tail = Tail::new();
        assert!(tail.is_empty() && tail.rest().is_none());
        tail.set(CANCELS, true);
        assert!(!tail.is_empty() && tail.rest().is_none());
        tail.rest_mut().wait = Some(Wait::Told(Arc::clone(&told)));
        assert!(tail.has(CANCELS) && !tail.has(IS_TAKEN));
        tail.set(IS_TAKEN, true);
        tail.set(CANCELS, false);
        assert!(tail.has(IS_TAKEN) && !tail.has(CANCELS));
        let rest = tail.rest().map(ptr::from_ref);
        assert_eq!(rest, Some(ptr::from_ref(&*tail.rest_mut())));
        assert!(matches!(tail.rest_mut().wait, Some(Wait::Told(_))));
        assert_eq!(Arc::strong_count(&told), 2);
        drop(tail);
        assert_eq!(Arc::strong_count(&told), 1);
    }
}
