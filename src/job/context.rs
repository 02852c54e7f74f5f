//! What the work on a thread runs under (L4): a cancel token, for now.
//!
//! A context lives in the frame of the call that made it. The engine hands a pointer to it on with
//! every stolen fork, task and broadcast, all of which end before that frame does.

use super::cancel::{CancelToken, Cancelled};
use crate::engine::unwind;
use crate::engine::worker::{Belonging, context};
use std::panic::resume_unwind;
use std::ptr;

/// See the module.
pub(crate) struct Context<'a> {
    token: &'a CancelToken,
    outer: Option<&'a Context<'a>>,
}

/// What unwinds from a loop that was cancelled to the call whose token that was.
struct Unwinding {
    /// The address of the context in question.
    context: usize,
    cancelled: Cancelled,
}

impl<'a> Context<'a> {
    /// What the calling thread's work runs under.
    ///
    /// # Safety
    /// The reference is not used after the calling function has returned, other than by forks that
    /// it waits for.
    #[inline]
    pub(crate) unsafe fn current() -> Option<&'a Context<'a>> {
        // A program that cannot unwind runs its loops to the end.
        if cfg!(panic = "abort") {
            return None;
        }
        // SAFETY: null, or set by `run` below, whose frame is further down this stack, or further
        // down that of a thread which waits for us.
        unsafe { context().cast::<Context<'a>>().as_ref() }
    }

    fn address(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    /// The outermost context that is cancelled, if any is: the one that ends most.
    fn cancelled(&self) -> Option<&Context<'a>> {
        let mut found = None;
        let mut context = Some(self);
        while let Some(at) = context {
            if at.token.is_cancelled() {
                found = Some(at);
            }
            context = at.outer;
        }
        found
    }

    /// Whether the work shall stop.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.token.is_cancelled() || self.outer.is_some_and(Context::is_cancelled)
    }

    /// Unwinds to the call whose token is cancelled.
    ///
    /// # Panics
    /// Always; there is no panic message.
    #[cold]
    pub(crate) fn unwind(&self) -> ! {
        let context = self.cancelled().unwrap_or(self);
        let cancelled = context.token.check().expect_err("a token stays cancelled");
        resume_unwind(Box::new(Unwinding { context: context.address(), cancelled }))
    }
}

/// Goes on, or says that the work of the calling thread is cancelled: for long closures, which
/// nobody interrupts.
///
/// # Errors
/// If a token that the calling thread's work runs under ([`CancelToken::run`]) is cancelled.
///
/// ```
/// use windlass::{CancelToken, Cancelled};
///
/// fn long(token: &CancelToken) -> Result<(), Cancelled> {
///     windlass::checkpoint()?;
///     token.cancel();
///     windlass::checkpoint()
/// }
/// let token = CancelToken::new();
/// assert!(token.run(|| long(&token)).unwrap().is_err());
/// assert_eq!(windlass::checkpoint(), Ok(()));
/// ```
pub fn checkpoint() -> Result<(), Cancelled> {
    // SAFETY: not used beyond this function.
    let context: Option<&Context<'_>> = unsafe { Context::current() };
    match context.and_then(Context::cancelled) {
        Some(context) => context.token.check(),
        None => Ok(()),
    }
}

impl CancelToken {
    /// Runs `f` under this token: the parallel loops in it, at whatever depth and on whichever
    /// thread, end early when it is cancelled, and with them `f`.
    ///
    /// A loop looks at the token before each batch of items, every few microseconds, and at every
    /// split; an item that has begun is not interrupted, but may look by itself
    /// ([`checkpoint`](crate::checkpoint)). A loop that is cut short unwinds to here, without a
    /// panic message, and what it had made is dropped. Tokens nest: what runs under two ends with
    /// the first of them.
    ///
    /// If the program is built to abort on panics, loops run to their end.
    ///
    /// # Errors
    /// If the token was cancelled before the call, or a loop was cut short. If all loops were done
    /// by then, the result of `f` counts.
    ///
    /// # Panics
    /// If `f` does.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::prelude::*;
    /// use windlass::{CancelCause, CancelToken};
    ///
    /// let token = CancelToken::new().with_timeout(Duration::from_millis(20));
    /// let endless = token.run(|| windlass::iter::repeat(1_u64).sum::<u64>());
    /// assert_eq!(endless.unwrap_err().cause(), &CancelCause::Deadline);
    /// ```
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> Result<R, Cancelled> {
        self.check()?;
        // SAFETY: used until the end of this function, by what `f` waits for.
        let context = Context { token: self, outer: unsafe { Context::current() } };
        let belonging = Belonging::enter(ptr::from_ref(&context).cast());
        let result = unwind::catch(f);
        drop(belonging);
        result.or_else(|payload| match payload.downcast::<Unwinding>() {
            Ok(unwinding) if unwinding.context == context.address() => Err(unwinding.cancelled),
            Ok(other) => resume_unwind(other),
            Err(panic) => resume_unwind(panic),
        })
    }

    /// The token that the calling thread's work runs under, the innermost of several.
    ///
    /// ```
    /// use windlass::{CancelToken, join};
    ///
    /// let token = CancelToken::new();
    /// let (a, b) = token.run(|| join(CancelToken::current, CancelToken::current)).unwrap();
    /// assert!(a.is_some() && b.is_some());
    /// assert!(CancelToken::current().is_none());
    /// ```
    pub fn current() -> Option<CancelToken> {
        // SAFETY: not used beyond this function.
        let context: Option<&Context<'_>> = unsafe { Context::current() };
        context.map(|context| context.token.clone())
    }
}
