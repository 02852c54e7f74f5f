//! What the work on a thread runs under (L4): a job, cancel tokens.
//!
//! A context lives in the frame of the call that made it. The engine hands a pointer to it on with
//! every stolen fork, task and broadcast, all of which end before that frame does.

use super::cancel::{CancelToken, Cancelled};
use super::cx::JobCx;
use super::raw::Raw;
use crate::engine::unwind::{self, Payload};
use crate::engine::worker::{Belonging, context};
use std::panic::resume_unwind;
use std::ptr;

/// See the module.
pub(crate) struct Context<'a> {
    kind: Kind<'a>,
    outer: Option<&'a Context<'a>>,
}

enum Kind<'a> {
    Token(&'a CancelToken),
    /// A piece of work that takes care of its own panics.
    Piece(&'a CancelToken),
    /// A job that runs.
    Job(Raw),
    /// A task of a scope that has a name or a token.
    Task {
        name: &'a str,
        token: Option<&'a CancelToken>,
    },
}

/// What unwinds from a loop that was cancelled to the call whose token that was.
struct Unwinding {
    /// The address of the context in question.
    context: usize,
    cancelled: Cancelled,
}

impl<'a> Context<'a> {
    /// Of a job, which belongs to nothing but itself: also if a waiter runs it inside of another.
    pub(crate) fn of_job(job: Raw) -> Self {
        Context { kind: Kind::Job(job), outer: None }
    }

    /// Of a piece of work that is told to stop by a token, and takes care of its own panics.
    pub(crate) fn of_piece(token: &'a CancelToken, outer: Option<&'a Context<'a>>) -> Self {
        Context { kind: Kind::Piece(token), outer }
    }

    /// Calls `f` with every token by which the work may be told to stop.
    pub(crate) fn for_each_token(&self, mut f: impl FnMut(&CancelToken)) {
        let mut context = Some(self);
        while let Some(at) = context {
            match at.kind {
                Kind::Token(token) | Kind::Piece(token) | Kind::Task { token: Some(token), .. } => {
                    f(token)
                }
                Kind::Task { token: None, .. } => {}
                Kind::Job(job) => f(job.token_from_inside()),
            }
            context = at.outer;
        }
    }

    /// For the engine to hand on.
    pub(crate) fn as_ptr(&self) -> *const () {
        std::ptr::from_ref(self).cast()
    }

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
        // SAFETY: by contract.
        unsafe { Self::innermost() }
    }

    /// # Safety
    /// As [`Self::current`].
    #[inline]
    unsafe fn innermost() -> Option<&'a Context<'a>> {
        // SAFETY: null, or set by a call whose frame is further down this stack, or further down
        // that of a thread which waits for us.
        unsafe { context().cast::<Context<'a>>().as_ref() }
    }

    /// The job that the calling thread works for.
    pub(crate) fn current_job() -> Option<Raw> {
        // SAFETY: not used beyond this function.
        let mut at: Option<&Context<'_>> = unsafe { Context::innermost() };
        while let Some(context) = at {
            if let Kind::Job(job) = context.kind {
                return Some(job);
            }
            at = context.outer;
        }
        None
    }

    /// By what the panics of the calling thread's work are told from those of others: the job or
    /// the piece that it belongs to.
    pub(crate) fn current_key() -> Option<usize> {
        // SAFETY: not used beyond this function.
        let mut at: Option<&Context<'_>> = unsafe { Context::innermost() };
        while let Some(context) = at {
            match context.kind {
                Kind::Job(job) => return Some(super::panic::key(job)),
                Kind::Piece(_) => return Some(context.address()),
                Kind::Token(_) | Kind::Task { .. } => at = context.outer,
            }
        }
        None
    }

    pub(crate) fn address(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    fn is_cancelled_here(&self) -> bool {
        match self.kind {
            Kind::Token(token) | Kind::Piece(token) | Kind::Task { token: Some(token), .. } => {
                token.is_cancelled()
            }
            Kind::Task { token: None, .. } => false,
            Kind::Job(job) => job.is_cancelled(),
        }
    }

    fn check(&self) -> Result<(), Cancelled> {
        match self.kind {
            Kind::Token(token) | Kind::Piece(token) | Kind::Task { token: Some(token), .. } => {
                token.check()
            }
            Kind::Task { token: None, .. } => Ok(()),
            Kind::Job(job) => job.check(),
        }
    }

    /// The outermost context that is cancelled, if any is: the one that ends most.
    fn cancelled(&self) -> Option<&Context<'a>> {
        let mut found = None;
        let mut context = Some(self);
        while let Some(at) = context {
            if at.is_cancelled_here() {
                found = Some(at);
            }
            context = at.outer;
        }
        found
    }

    /// Whether the work shall stop.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled_here() || self.outer.is_some_and(Context::is_cancelled)
    }

    /// Unwinds to the call whose token is cancelled.
    ///
    /// # Panics
    /// Always; there is no panic message.
    #[cold]
    pub(crate) fn unwind(&self) -> ! {
        let context = self.cancelled().unwrap_or(self);
        let cancelled = context.check().expect_err("a token stays cancelled");
        resume_unwind(Box::new(Unwinding { context: context.address(), cancelled }))
    }

    /// Why this very context has ended, if that is what the payload means; else the payload.
    pub(crate) fn cancelled_by(&self, payload: Payload) -> Result<Cancelled, Payload> {
        match payload.downcast::<Unwinding>() {
            Ok(unwinding) if unwinding.context == self.address() => Ok(unwinding.cancelled),
            Ok(other) => Err(other),
            Err(panic) => Err(panic),
        }
    }
}

/// Why work was cancelled that has unwound, if that is what the payload means, whichever context it
/// was for.
pub(crate) fn cancelled_by_any(payload: Payload) -> Result<Cancelled, Payload> {
    payload.downcast::<Unwinding>().map(|unwinding| unwinding.cancelled)
}

/// Unwinds, if what the calling thread works for is cancelled. Called by the engine between two
/// forks, when somebody has asked all workers to look.
pub(crate) fn check_at_fork() {
    // SAFETY: not used beyond this function.
    let context: Option<&Context<'_>> = unsafe { Context::current() };
    if let Some(context) = context.filter(|context| context.is_cancelled())
        && !std::thread::panicking()
    {
        context.unwind();
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
        Some(context) => context.check(),
        None => Ok(()),
    }
}

/// Runs a task of a scope, unless it is cancelled before.
pub(crate) fn run_task(name: &str, token: Option<&CancelToken>, f: impl FnOnce()) {
    if token.is_some_and(CancelToken::is_cancelled) {
        return;
    }
    // SAFETY: used until the end of this function, by what `f` waits for.
    let outer = unsafe { Context::innermost() };
    let context = Context { kind: Kind::Task { name, token }, outer };
    let belonging = Belonging::enter(context.as_ptr());
    let result = unwind::catch(f);
    drop(belonging);
    if let Err(payload) = result
        && let Err(panic) = context.cancelled_by(payload)
    {
        resume_unwind(panic);
    }
}

/// The name of what the calling thread works for: a task of a scope ([`Scope::job`]), else a job.
/// `None` if neither has a name.
///
/// [`Scope::job`]: crate::Scope::job
///
/// ```
/// let name = windlass::task_name;
/// windlass::scope(|s| {
///     s.job("left").spawn(move |_| {
///         assert_eq!(windlass::join(name, name), (Some("left".into()), Some("left".into())));
///     });
/// });
/// assert_eq!(name(), None);
/// ```
pub fn task_name() -> Option<String> {
    // SAFETY: not used beyond this function.
    let mut at: Option<&Context<'_>> = unsafe { Context::innermost() };
    while let Some(context) = at {
        match context.kind {
            Kind::Task { name, .. } if !name.is_empty() => return Some(name.to_owned()),
            Kind::Job(job) => return JobCx::borrowed(job).name().map(str::to_owned),
            _ => at = context.outer,
        }
    }
    None
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
        let outer = unsafe { Context::current() };
        let context = Context { kind: Kind::Token(self), outer };
        let belonging = Belonging::enter(context.as_ptr());
        let result = unwind::catch(f);
        drop(belonging);
        result.or_else(|payload| match context.cancelled_by(payload) {
            Ok(cancelled) => Err(cancelled),
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
        let mut at: Option<&Context<'_>> = unsafe { Context::current() };
        while let Some(context) = at {
            match context.kind {
                Kind::Token(token) | Kind::Piece(token) | Kind::Task { token: Some(token), .. } => {
                    return Some(token.clone());
                }
                Kind::Job(job) => return Some(JobCx::borrowed(job).token()),
                Kind::Task { token: None, .. } => at = context.outer,
            }
        }
        None
    }
}
