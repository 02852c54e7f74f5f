//! Why something was cancelled, as a value and as an error.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why a token was cancelled.
///
/// A token has at most one cause: the first one.
///
/// ```
/// use windlass::{CancelCause, CancelToken};
///
/// let token = CancelToken::new();
/// token.cancel_with(CancelCause::from("disk full"));
/// match token.cause() {
///     Some(CancelCause::Custom(text)) => assert_eq!(&*text, "disk full"),
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CancelCause {
    /// Somebody asked: [`CancelToken::cancel`](crate::CancelToken::cancel), or a
    /// [`CancelGuard`](crate::CancelGuard) that was dropped.
    Requested,
    /// The deadline of the token, or of one above it, passed.
    Deadline,
    /// Another part of the same work failed, so that this part is of no use.
    SiblingFailed,
    /// Others have brought about what it was for.
    NotNeeded,
    /// The pool shuts down.
    Shutdown,
    /// The group that the work belonged to was dropped.
    GroupDropped,
    /// Something else, in words.
    Custom(Arc<str>),
}

impl fmt::Display for CancelCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CancelCause::Requested => "requested",
            CancelCause::Deadline => "the deadline passed",
            CancelCause::SiblingFailed => "a sibling failed",
            CancelCause::NotNeeded => "it is needed no more",
            CancelCause::Shutdown => "the pool shuts down",
            CancelCause::GroupDropped => "the group was dropped",
            CancelCause::Custom(text) => text,
        })
    }
}

impl From<&str> for CancelCause {
    fn from(text: &str) -> Self {
        CancelCause::Custom(text.into())
    }
}

impl From<String> for CancelCause {
    fn from(text: String) -> Self {
        CancelCause::Custom(text.into())
    }
}

/// The error of work that stopped because its token was cancelled. See
/// [`CancelToken::check`](crate::CancelToken::check).
///
/// ```
/// use windlass::{CancelCause, CancelToken};
///
/// let token = CancelToken::new();
/// token.cancel_with(CancelCause::Shutdown);
/// let error = token.check().unwrap_err();
/// assert_eq!(error.cause(), &CancelCause::Shutdown);
/// assert_eq!(error.to_string(), "cancelled: the pool shuts down");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancelled {
    cause: CancelCause,
}

impl Cancelled {
    pub(crate) fn new(cause: CancelCause) -> Self {
        Cancelled { cause }
    }

    /// Why.
    ///
    /// ```
    /// use windlass::{CancelCause, CancelToken};
    ///
    /// let token = CancelToken::new();
    /// token.cancel();
    /// assert_eq!(token.check().unwrap_err().cause(), &CancelCause::Requested);
    /// ```
    pub fn cause(&self) -> &CancelCause {
        &self.cause
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cancelled: {}", self.cause)
    }
}

impl Error for Cancelled {}
