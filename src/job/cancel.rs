//! Cancel tokens: work is told to stop, and why.
//!
//! The handles are here, what they share is in `tree`.
#![forbid(unsafe_code)]

mod cause;

mod tree;

pub use cause::{CancelCause, Cancelled};

use crate::time::{Alarm, Clock};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tree::Node;

/// Tells work to stop, and why.
///
/// Cancelling is cooperative: the work has a clone of the token and looks at it from time to time,
/// by [`is_cancelled`](CancelToken::is_cancelled), or by [`check`](CancelToken::check) and `?`; or
/// it leaves a closure with [`on_cancel`](CancelToken::on_cancel). A running closure is never
/// killed.
///
/// A token is a handle, one pointer wide: clones are the same token.
///
/// ```
/// use windlass::{CancelToken, Cancelled};
///
/// fn sum(numbers: &[u64], token: &CancelToken) -> Result<u64, Cancelled> {
///     let mut sum = 0;
///     for part in numbers.chunks(1_000) {
///         token.check()?;
///         sum += part.iter().sum::<u64>();
///     }
///     Ok(sum)
/// }
/// let (numbers, token) = (vec![1; 10_000], CancelToken::new());
/// assert_eq!(sum(&numbers, &token), Ok(10_000));
/// token.cancel();
/// assert!(sum(&numbers, &token).is_err());
/// ```
///
/// # Trees
///
/// A [`child`](CancelToken::child) is cancelled with its parent, for the same cause, and never the
/// other way round. When a cancel returns, every token below is cancelled.
///
/// Dropping a token cancels nothing: its children go on, and are still cancelled with whatever is
/// above. They keep the small state of the tokens above them alive, so derive children from tokens
/// that last, rather than each from the one before. A parent does not keep its children alive, nor
/// any trace of them when they are dropped: it may have any number of them in its life.
///
/// # The first cause wins
///
/// A token has one [cause](CancelCause), the first: what was asked of it, or of a token above, or a
/// deadline that has passed.
///
/// ```
/// use windlass::{CancelCause, CancelToken};
///
/// let parent = CancelToken::new();
/// let (one, two) = (parent.child(), parent.child());
/// one.cancel_with(CancelCause::SiblingFailed);
/// assert!(!parent.is_cancelled());
/// parent.cancel_with(CancelCause::Shutdown);
/// assert_eq!(one.cause(), Some(CancelCause::SiblingFailed));
/// assert_eq!(two.cause(), Some(CancelCause::Shutdown));
/// ```
///
/// # Deadlines
///
/// A token inherits the deadline of its parent, and may have an earlier one
/// ([`with_deadline`](CancelToken::with_deadline), [`with_timeout`](CancelToken::with_timeout)). No
/// timer watches it: a token is cancelled for its deadline when somebody looks at it or cancels it,
/// or one above it, after that time. For who looks, that makes no difference; but what was left
/// with [`on_cancel`](CancelToken::on_cancel) runs only when the deadline is noticed, on the thread
/// that notices. Who waits for a token ([`cancelled`](CancelToken::cancelled)) has a timer watch it as
/// long as that lasts.
#[derive(Clone)]
pub struct CancelToken {
    node: Arc<Node>,
}

impl CancelToken {
    /// A token that is below no other and has no deadline.
    ///
    /// ```
    /// let token = windlass::CancelToken::new();
    /// assert!(!token.is_cancelled());
    /// ```
    pub fn new() -> Self {
        CancelToken::new_by(None)
    }

    /// As [`new`](CancelToken::new), for a token whose deadlines, and those of all tokens below it,
    /// are by `clock`.
    ///
    /// The token of a job is by the clock of its [pool](crate::PoolBuilder::clock), all others by
    /// the real one.
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use std::time::Duration;
    /// use windlass::{CancelToken, ManualClock};
    ///
    /// let clock = ManualClock::new();
    /// let token = CancelToken::with_clock(clock.clone()).with_timeout(Duration::from_secs(60));
    /// assert!(!token.is_cancelled());
    /// clock.advance(Duration::from_secs(60));
    /// assert!(token.is_cancelled());
    /// # }
    /// ```
    pub fn with_clock(clock: impl Clock) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(clock);
        CancelToken::new_by(Some(&clock))
    }

    /// By the real clock, if there is no other.
    pub(crate) fn new_by(clock: Option<&Arc<dyn Clock>>) -> Self {
        CancelToken { node: Node::new_root(clock.cloned()) }
    }

    /// As [`child`](CancelToken::child), with deadlines by `clock` if there is one.
    pub(crate) fn child_by(
        &self,
        clock: Option<&Arc<dyn Clock>>,
        deadline: Option<Instant>,
    ) -> CancelToken {
        CancelToken { node: self.node.new_child(deadline, clock) }
    }

    /// A token that is cancelled with this one, for the same cause; so it is cancelled from the
    /// start if this one is.
    ///
    /// ```
    /// use windlass::CancelToken;
    ///
    /// let parent = CancelToken::new();
    /// let child = parent.child();
    /// parent.cancel();
    /// assert!(child.is_cancelled());
    /// assert!(parent.child().is_cancelled());
    /// ```
    #[must_use = "this makes a new token, and leaves the old one as it is"]
    pub fn child(&self) -> CancelToken {
        self.child_by(None, None)
    }

    /// A child that is also cancelled at `deadline`, for [`CancelCause::Deadline`]. The deadline of
    /// this token holds for the child too: what counts is the earlier one.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use windlass::{CancelCause, CancelToken};
    ///
    /// let now = Instant::now();
    /// let late = CancelToken::new().with_deadline(now + Duration::from_secs(60));
    /// assert_eq!(late.with_deadline(now + Duration::from_secs(90)).deadline(), late.deadline());
    /// assert_eq!(late.with_deadline(now).cause(), Some(CancelCause::Deadline));
    /// ```
    #[must_use = "this makes a new token, and leaves the old one as it is"]
    pub fn with_deadline(&self, deadline: Instant) -> CancelToken {
        self.child_by(None, Some(deadline))
    }

    /// A child that is also cancelled when `timeout` from now has passed. As
    /// [`with_deadline`](CancelToken::with_deadline); a time that is beyond what [`Instant`] holds,
    /// such as [`Duration::MAX`], never comes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::CancelToken;
    ///
    /// let token = CancelToken::new();
    /// assert!(token.with_timeout(Duration::ZERO).is_cancelled());
    /// assert!(!token.with_timeout(Duration::from_secs(60)).is_cancelled());
    /// assert_eq!(token.with_timeout(Duration::MAX).deadline(), None);
    /// ```
    #[must_use = "this makes a new token, and leaves the old one as it is"]
    pub fn with_timeout(&self, timeout: Duration) -> CancelToken {
        self.child_by(None, self.node.now().checked_add(timeout))
    }

    /// Cancels this token and all below it, for [`CancelCause::Requested`]. Returns true if this
    /// call was what cancelled this token, false if it was cancelled already.
    ///
    /// When it returns, true or false, every token below is cancelled, and those that this call has
    /// cancelled have run what was left with [`on_cancel`](CancelToken::on_cancel), on this thread.
    ///
    /// # Blocking
    /// While another thread cancels some part of the same tree, for the time that it takes to mark
    /// it. No callback runs meanwhile.
    ///
    /// ```
    /// let token = windlass::CancelToken::new();
    /// assert!(token.cancel());
    /// assert!(!token.cancel());
    /// assert!(token.is_cancelled());
    /// ```
    pub fn cancel(&self) -> bool {
        self.cancel_with(CancelCause::Requested)
    }

    /// As [`cancel`](CancelToken::cancel), for the given cause. Returns true if that is now the
    /// cause of this token by this call: the first cause wins, a deadline that has passed unnoticed
    /// included.
    ///
    /// # Blocking
    /// As [`cancel`](CancelToken::cancel).
    ///
    /// ```
    /// use windlass::{CancelCause, CancelToken};
    ///
    /// let token = CancelToken::new();
    /// assert!(token.cancel_with(CancelCause::Shutdown));
    /// assert!(!token.cancel_with("too late".into()));
    /// assert_eq!(token.cause(), Some(CancelCause::Shutdown));
    /// ```
    pub fn cancel_with(&self, cause: CancelCause) -> bool {
        self.node.cancel(cause)
    }

    /// Whether the token is cancelled.
    ///
    /// One load. With a deadline, and until the token is cancelled, also one look at the clock, some
    /// tens of nanoseconds; the call that finds that the deadline has passed cancels the token, as
    /// [`cancel`](CancelToken::cancel) does.
    ///
    /// Who sees true sees everything that was written before the cancel.
    ///
    /// ```
    /// let token = windlass::CancelToken::new();
    /// let mut rounds = 0;
    /// while !token.is_cancelled() {
    ///     rounds += 1;
    ///     if rounds == 3 {
    ///         token.cancel();
    ///     }
    /// }
    /// assert_eq!(rounds, 3);
    /// ```
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.node.is_cancelled()
    }

    /// Why the token is cancelled; None if it is not.
    ///
    /// ```
    /// use windlass::{CancelCause, CancelToken};
    ///
    /// let token = CancelToken::new();
    /// assert_eq!(token.cause(), None);
    /// token.cancel();
    /// assert_eq!(token.cause(), Some(CancelCause::Requested));
    /// ```
    #[inline]
    pub fn cause(&self) -> Option<CancelCause> {
        if self.is_cancelled() { self.node.noticed_cause() } else { None }
    }

    /// Goes on, or returns the cause as an error. As cheap as
    /// [`is_cancelled`](CancelToken::is_cancelled) while the token is not cancelled.
    ///
    /// # Errors
    /// If the token is cancelled.
    ///
    /// ```
    /// use windlass::{CancelToken, Cancelled};
    ///
    /// fn step(token: &CancelToken) -> Result<u32, Cancelled> {
    ///     token.check()?;
    ///     Ok(1)
    /// }
    /// let token = CancelToken::new();
    /// assert_eq!(step(&token), Ok(1));
    /// token.cancel();
    /// assert_eq!(step(&token).unwrap_err().to_string(), "cancelled: requested");
    /// ```
    #[inline]
    pub fn check(&self) -> Result<(), Cancelled> {
        match self.cause() {
            None => Ok(()),
            Some(cause) => Err(Cancelled::new(cause)),
        }
    }

    /// When the token is cancelled at the latest; None if it has no deadline. That is the earliest
    /// of its own and those of the tokens above.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use windlass::CancelToken;
    ///
    /// let deadline = Instant::now() + Duration::from_secs(60);
    /// let token = CancelToken::new().with_deadline(deadline);
    /// assert_eq!(token.child().deadline(), Some(deadline));
    /// assert_eq!(CancelToken::new().deadline(), None);
    /// ```
    pub fn deadline(&self) -> Option<Instant> {
        self.node.deadline()
    }

    /// The time until the [deadline](CancelToken::deadline), zero after it; None if there is none.
    /// Whether the token is cancelled for another cause plays no part.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::CancelToken;
    ///
    /// let token = CancelToken::new().with_timeout(Duration::from_secs(60));
    /// assert!(token.time_left() <= Some(Duration::from_secs(60)));
    /// assert_eq!(token.with_timeout(Duration::ZERO).time_left(), Some(Duration::ZERO));
    /// assert_eq!(CancelToken::new().time_left(), None);
    /// ```
    pub fn time_left(&self) -> Option<Duration> {
        let deadline = self.deadline()?;
        Some(deadline.saturating_duration_since(self.node.now()))
    }

    /// A guard that cancels the token when it is dropped, so that work which is left early, by `?`
    /// or by a panic, stops what it has started.
    ///
    /// ```
    /// let token = windlass::CancelToken::new();
    /// let guard = token.guard();
    /// assert!(!token.is_cancelled());
    /// drop(guard);
    /// assert!(token.is_cancelled());
    /// ```
    pub fn guard(&self) -> CancelGuard {
        CancelGuard { token: Some(self.clone()) }
    }

    /// Runs `callback` when the token is cancelled: once, on the thread that cancels it. If it is
    /// cancelled already, at once on this thread.
    ///
    /// The callback runs when all tokens below are cancelled too, in no particular order with
    /// others, and outside of every lock: it may use any token, drop any registration, and block,
    /// although whoever cancels then waits for it. If it panics, the panic hook reports that, and
    /// nobody else notices: the other callbacks run, and the call that cancels returns.
    ///
    /// For a deadline it runs when somebody notices that it has passed, see
    /// [above](CancelToken#deadlines).
    ///
    /// Dropping the registration takes the callback back and drops it;
    /// [`detach`](CancelCallback::detach) leaves it with the token. It does not wait for a callback
    /// that another thread runs just then.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use windlass::CancelToken;
    ///
    /// let (token, (sender, receiver)) = (CancelToken::new(), mpsc::channel());
    /// let registration = token.on_cancel(move |cause| sender.send(cause.to_string()).unwrap());
    /// assert!(receiver.try_recv().is_err());
    /// token.cancel();
    /// assert_eq!(receiver.try_recv(), Ok("requested".to_owned()));
    /// drop(registration);
    /// ```
    pub fn on_cancel<F>(&self, callback: F) -> CancelCallback
    where
        F: FnOnce(&CancelCause) + Send + 'static,
    {
        let key = self.node.add_callback(Box::new(callback));
        CancelCallback { registered: key.map(|key| (Arc::clone(&self.node), key)), alarm: None }
    }

    /// As [`on_cancel`](CancelToken::on_cancel), and has a timer watch the deadline as long as the
    /// registration is there.
    pub(crate) fn on_cancel_in_time<F>(&self, callback: F) -> CancelCallback
    where
        F: FnOnce(&CancelCause) + Send + 'static,
    {
        let mut registration = self.on_cancel(callback);
        if registration.registered.is_some() {
            registration.alarm = self.deadline().map(|at| {
                let token = self.clone();
                // Looking is enough: the token then calls back.
                Alarm::new(self.node.clock(), at, move || _ = token.is_cancelled())
            });
        }
        registration
    }

    /// The length of the table of children, in which places of dropped ones may be free.
    #[doc(hidden)]
    pub fn num_children_for_test(&self) -> usize {
        self.node.num_places_for_test()
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        CancelToken::new()
    }
}

/// Shows what is known: a deadline that nobody has noticed does not count.
impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken")
            .field("cause", &self.node.noticed_cause())
            .field("deadline", &self.deadline())
            .finish_non_exhaustive()
    }
}

/// Cancels a token when it is dropped. See [`CancelToken::guard`].
///
/// ```
/// use windlass::CancelToken;
///
/// fn load(token: &CancelToken, text: &str) -> Result<i32, std::num::ParseIntError> {
///     let guard = token.guard();
///     let number = text.parse()?;
///     guard.disarm();
///     Ok(number)
/// }
/// let token = CancelToken::new();
/// assert!(load(&token, "42").is_ok() && !token.is_cancelled());
/// assert!(load(&token, "?").is_err() && token.is_cancelled());
/// ```
#[derive(Debug)]
#[must_use = "a guard that is not kept cancels its token at once"]
pub struct CancelGuard {
    /// None when disarmed.
    token: Option<CancelToken>,
}

impl CancelGuard {
    /// Gives the token back, which is then not cancelled.
    ///
    /// ```
    /// let guard = windlass::CancelToken::new().guard();
    /// let token = guard.disarm();
    /// assert!(!token.is_cancelled());
    /// ```
    pub fn disarm(mut self) -> CancelToken {
        self.token.take().expect("a guard loses its token here only")
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if let Some(token) = &self.token {
            token.cancel();
        }
    }
}

/// A callback that was left with a token; dropping it takes the callback back. See
/// [`CancelToken::on_cancel`].
///
/// It keeps the token alive: the callback is run by a cancel above even if no other handle of the
/// token is left.
///
/// ```
/// use windlass::CancelToken;
///
/// let token = CancelToken::new();
/// let registration = token.on_cancel(|_| panic!("it was taken back"));
/// drop(registration);
/// token.cancel();
/// ```
#[must_use = "dropping it takes the callback back; `detach` leaves it with the token"]
pub struct CancelCallback {
    /// None if the callback was run at once, or is detached.
    registered: Option<(Arc<Node>, usize)>,
    /// What notices the deadline.
    alarm: Option<Alarm>,
}

impl CancelCallback {
    /// Leaves the callback with the token, until that is cancelled, or dropped with all of its
    /// clones and everything below it; then the callback is dropped without being run. One that
    /// holds a clone of the token itself keeps it from that.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use windlass::CancelToken;
    ///
    /// let (token, data) = (CancelToken::new(), Arc::new(()));
    /// let held = Arc::clone(&data);
    /// token.on_cancel(move |_| drop(held)).detach();
    /// assert_eq!(Arc::strong_count(&data), 2);
    /// token.cancel();
    /// assert_eq!(Arc::strong_count(&data), 1);
    /// ```
    pub fn detach(mut self) {
        self.registered = None;
        if let Some(alarm) = self.alarm.take() {
            alarm.detach();
        }
    }
}

impl Drop for CancelCallback {
    fn drop(&mut self) {
        if let Some((node, key)) = self.registered.take() {
            node.remove_callback(key);
        }
    }
}

impl fmt::Debug for CancelCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelCallback")
            .field("is_registered", &self.registered.is_some())
            .finish_non_exhaustive()
    }
}
