//! A token that most jobs never need, in one word.

use super::cancel::CancelToken;
use crate::engine::sync::{AtomicPtr, Ordering};
use crate::time::Clock;
use std::ptr;
use std::sync::Arc;

/// Null, or a box that nobody moves.
pub(crate) struct LazyToken(AtomicPtr<CancelToken>);

impl LazyToken {
    #[inline]
    pub(crate) fn new(token: Option<CancelToken>) -> Self {
        let token = token.map_or(ptr::null_mut(), |token| Box::into_raw(Box::new(token)));
        LazyToken(AtomicPtr::new(token))
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&CancelToken> {
        // Acquire pairs with the Release half of the exchange in `get_or_make`.
        // SAFETY: null, or a box that lives as long as `self`.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// One that is made here goes by `clock`; None: the real one.
    #[cold]
    pub(crate) fn get_or_make(&self, clock: Option<&Arc<dyn Clock>>) -> &CancelToken {
        if let Some(token) = self.get() {
            return token;
        }
        let mine = Box::into_raw(Box::new(CancelToken::new_by(clock)));
        let (null, order) = (ptr::null_mut(), (Ordering::AcqRel, Ordering::Acquire));
        match self.0.compare_exchange(null, mine, order.0, order.1) {
            // SAFETY: as in `get`.
            Ok(_) => unsafe { &*mine },
            Err(theirs) => {
                // SAFETY: nobody has seen ours; as in `get`.
                unsafe {
                    drop(Box::from_raw(mine));
                    &*theirs
                }
            }
        }
    }
}

impl Drop for LazyToken {
    fn drop(&mut self) {
        let token = self.0.load(Ordering::Relaxed);
        if !token.is_null() {
            // SAFETY: a box of ours, and nobody borrows it any more.
            drop(unsafe { Box::from_raw(token) });
        }
    }
}
