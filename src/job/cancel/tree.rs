//! The tree of tokens: who is below whom, and how a cancel goes down.
//!
//! I1. *Links point up strongly and down weakly.* A node keeps its ancestors alive, so that a
//!     cancel far above finds a way down although nobody holds the tokens between. A parent never
//!     keeps a child alive: the child's last handle takes it out of the parent's table.
//! I2. *Closed once.* A node is open until its first cause; that step replaces its table of
//!     children and its callbacks by the cause, under `links`, and nothing ever enters again. So of
//!     a `child` and a cancel that race, either the child is in the table that the cancel takes, or
//!     it sees the cause and is born cancelled.
//! I3. *A cancel that has returned is done below, too.* Cancels of one tree take turns by the
//!     root's `cancelling`, so that one which meets a closed node knows that whoever closed it has
//!     been everywhere below. A node without children is closed without a turn: there is nothing
//!     below.
//! I4. *Order of locks*: `cancelling`, then at most one `links`. No user code runs under either: a
//!     callback is run or dropped when both are released. A walk may drop the last handle of a
//!     node, but only of a closed one, which has no callbacks left (I2).
//! I5. *No recursion*, neither in a cancel nor in a drop.

use super::cause::CancelCause;
use crate::engine::sync::{AtomicU32, Mutex, Ordering, lock};
use crate::engine::unwind::{catch, drop_quietly};
use crate::job::slab::Slab;
use crate::time::Clock;
use std::mem;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// What runs when a token is cancelled.
pub(super) type Callback = Box<dyn FnOnce(&CancelCause) + Send>;

/// Not cancelled, and no deadline to look at.
const LIVE: u32 = 0;
/// Not known to be cancelled, but it has a deadline.
const TIMED: u32 = 1;
/// Has a cause, for good.
const CANCELLED: u32 = 2;

/// A token, without the handle.
pub(super) struct Node {
    /// `LIVE` or `TIMED`, then `CANCELLED`. Written under `links`, by whoever closes the node.
    flag: AtomicU32,
    /// The earliest of the node's own deadline and those above.
    deadline: Option<Instant>,
    /// By which the deadline is; None: the real one. That of the node above, unless it is given.
    clock: Option<Arc<dyn Clock>>,
    links: Mutex<Links>,
    /// Taken by those who cancel any node of the tree, in the root only (I3).
    cancelling: Mutex<()>,
    /// None in a root, and in a node that was born cancelled.
    place: Option<Place>,
}

// A clock is only asked for the time, and the locks go on after a panic.
impl std::panic::UnwindSafe for Node {}
impl std::panic::RefUnwindSafe for Node {}

enum Links {
    Open { children: Slab<Weak<Node>>, callbacks: Slab<Callback> },
    Closed(CancelCause),
}

/// Where in the tree a node is.
struct Place {
    parent: Arc<Node>,
    /// None if that is the parent.
    root: Option<Arc<Node>>,
    /// In the parent's table of children.
    key: usize,
}

impl Node {
    fn new(deadline: Option<Instant>, clock: Option<Arc<dyn Clock>>) -> Node {
        Node {
            flag: AtomicU32::new(if deadline.is_some() { TIMED } else { LIVE }),
            deadline,
            clock,
            links: Mutex::new(Links::Open { children: Slab::new(), callbacks: Slab::new() }),
            cancelling: Mutex::new(()),
            place: None,
        }
    }

    pub(super) fn new_root(clock: Option<Arc<dyn Clock>>) -> Arc<Node> {
        Arc::new(Node::new(None, clock))
    }

    /// A node below, whose deadline is no later than `deadline`. Reads no clock.
    pub(super) fn new_child(
        self: &Arc<Node>,
        deadline: Option<Instant>,
        clock: Option<&Arc<dyn Clock>>,
    ) -> Arc<Node> {
        let clock = clock.or(self.clock.as_ref()).cloned();
        let deadline = self.deadline.into_iter().chain(deadline).min();
        // Allocated before the lock, which all children of a busy parent go through.
        let mut child = Arc::new(Node::new(deadline, clock));
        let fresh = Arc::get_mut(&mut child).expect("nobody else knows the child yet");
        match &mut *lock(&self.links) {
            Links::Open { children, .. } => {
                let key = children.next_key();
                let root = self.place.as_ref().map(|place| Arc::clone(place.root()));
                fresh.place = Some(Place { parent: Arc::clone(self), root, key });
                children.insert(Arc::downgrade(&child));
            }
            Links::Closed(cause) => {
                fresh.flag = AtomicU32::new(CANCELLED);
                fresh.links = Mutex::new(Links::Closed(cause.clone()));
            }
        }
        child
    }

    /// The present time, by the node's clock.
    pub(super) fn now(&self) -> Instant {
        self.clock.as_ref().map_or_else(Instant::now, |clock| clock.now())
    }

    fn has_clock_of(&self, other: &Node) -> bool {
        match (&self.clock, &other.clock) {
            (None, None) => true,
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }

    pub(super) fn clock(&self) -> Option<&Arc<dyn Clock>> {
        self.clock.as_ref()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the node has a cause. One that has passed its deadline is cancelled here, which runs
    /// its callbacks.
    #[inline]
    pub(super) fn is_cancelled(&self) -> bool {
        // Acquire pairs with the store in `close`: who sees the cancel sees what led to it.
        match self.flag.load(Ordering::Acquire) {
            LIVE => false,
            TIMED => self.is_past_deadline(),
            _ => true,
        }
    }

    #[inline(never)]
    fn is_past_deadline(&self) -> bool {
        let is_past = self.deadline.is_some_and(|deadline| deadline <= self.now());
        if is_past {
            self.cancel(CancelCause::Deadline);
        }
        is_past
    }

    /// The cause, unless it is a deadline that nobody has noticed.
    pub(super) fn noticed_cause(&self) -> Option<CancelCause> {
        match &*lock(&self.links) {
            Links::Open { .. } => None,
            Links::Closed(cause) => Some(cause.clone()),
        }
    }

    /// Cancels the node and all below it; returns whether `asked` has become the node's cause.
    pub(super) fn cancel(&self, asked: CancelCause) -> bool {
        let mut due = Vec::new();
        let is_first = self
            .cancel_leaf(&asked, &mut due)
            .unwrap_or_else(|| self.cancel_tree(&asked, &mut due));
        // The lowest first: what hangs on others' ends goes before those others.
        for (callback, cause) in due.into_iter().rev() {
            run(callback, &cause);
        }
        is_first
    }

    /// As `cancel_tree`, for an open node without children. None if it is none.
    fn cancel_leaf(&self, asked: &CancelCause, due: &mut Due) -> Option<bool> {
        let now = self.deadline.map(|_| self.now());
        let mut links = lock(&self.links);
        match &*links {
            Links::Open { children, .. } if children.is_empty() => {
                Some(self.close(&mut links, asked, now, &mut Vec::new(), due))
            }
            _ => None,
        }
    }

    /// Closes the node and all below it, and collects the callbacks.
    #[cold]
    fn cancel_tree(&self, asked: &CancelCause, due: &mut Due) -> bool {
        let root = self.place.as_ref().map_or(self, |place| place.root());
        let _turn = lock(&root.cancelling);
        // One for all of a clock: a deadline above is no later than one below, and so are their
        // causes.
        let now = self.now();
        let mut below = Vec::new();
        let is_first = self.close(&mut lock(&self.links), asked, Some(now), &mut below, due);
        while let Some(child) = below.pop() {
            // One that is being dropped is nobody's any more.
            if let Some(child) = child.upgrade() {
                let now = if self.has_clock_of(&child) { now } else { child.now() };
                child.close(&mut lock(&child.links), asked, Some(now), &mut below, due);
            }
        }
        is_first
    }

    /// Gives the node its cause, unless it has one: `asked`, or the deadline if that came first.
    /// Returns whether it is `asked`.
    fn close(
        &self,
        links: &mut Links,
        asked: &CancelCause,
        now: Option<Instant>,
        below: &mut Vec<Weak<Node>>,
        due: &mut Due,
    ) -> bool {
        let Links::Open { children, callbacks } = links else { return false };
        let is_late = self.deadline.zip(now).is_some_and(|(deadline, now)| deadline <= now);
        let cause = if is_late { CancelCause::Deadline } else { asked.clone() };
        let is_asked = cause == *asked;
        below.extend(mem::take(children).into_values());
        due.extend(mem::take(callbacks).into_values().map(|callback| (callback, cause.clone())));
        *links = Links::Closed(cause);
        // Release pairs with the load in `is_cancelled`.
        self.flag.store(CANCELLED, Ordering::Release);
        is_asked
    }

    /// Keeps `callback` for the cancel and returns its key; or runs it now, if that is past.
    pub(super) fn add_callback(&self, callback: Callback) -> Option<usize> {
        // Notices the deadline.
        self.is_cancelled();
        let cause = match &mut *lock(&self.links) {
            Links::Open { callbacks, .. } => return Some(callbacks.insert(callback)),
            Links::Closed(cause) => cause.clone(),
        };
        run(callback, &cause);
        None
    }

    /// Drops the callback, unless a cancel has taken it.
    pub(super) fn remove_callback(&self, key: usize) {
        let callback = match &mut *lock(&self.links) {
            Links::Open { callbacks, .. } => callbacks.remove(key),
            Links::Closed(_) => None,
        };
        drop_quietly(callback);
    }

    fn remove_child(&self, key: usize) {
        if let Links::Open { children, .. } = &mut *lock(&self.links) {
            children.remove(key);
        }
    }

    pub(super) fn num_places_for_test(&self) -> usize {
        match &*lock(&self.links) {
            Links::Open { children, .. } => children.num_slots(),
            Links::Closed(_) => 0,
        }
    }
}

impl Place {
    fn root(&self) -> &Arc<Node> {
        self.root.as_ref().unwrap_or(&self.parent)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let callbacks = match &mut *lock(&self.links) {
            Links::Open { callbacks, .. } => mem::take(callbacks),
            Links::Closed(_) => Slab::new(),
        };
        callbacks.into_values().for_each(drop_quietly);
        // Goes up as far as we are the last to hold a node; each is dropped without its place (I5).
        let mut place = self.place.take();
        while let Some(Place { parent, key, .. }) = place {
            parent.remove_child(key);
            place = Arc::into_inner(parent).and_then(|mut parent| parent.place.take());
        }
    }
}

/// Callbacks to be run with the cause of their node.
type Due = Vec<(Callback, CancelCause)>;

/// Runs a callback. Whoever cancels is not the one to suffer from its panic, which the panic hook
/// has reported.
fn run(callback: Callback, cause: &CancelCause) {
    if let Err(payload) = catch(|| callback(cause)) {
        drop_quietly(payload);
    }
}
