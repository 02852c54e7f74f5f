//! Who is told of the end of a job: links, in a list that hangs on the word of its life.

use std::cell::Cell;
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;

/// What happens when a job has ended.
pub(crate) trait Continue: Send + Sync {
    /// Called once, by whoever has ended it. Must not unwind, nor block.
    fn go_on(&self);
}

impl Continue for Arc<dyn Continue> {
    fn go_on(&self) {
        (**self).go_on();
    }
}

/// A link in the list. The low bits of its address are the word's.
#[repr(align(16))]
pub(super) struct Link {
    next: Cell<*mut Link>,
    /// Calls what the link is the head of, and gives up the list's share of it.
    tell: unsafe fn(*mut Link),
}

/// Something that is told of the end of one job: in one allocation with its link, shared by the
/// job's list and whoever has attached it.
#[repr(C)]
pub(crate) struct Told<C> {
    link: Link,
    target: C,
}

// SAFETY: the link belongs to the list; before that to `attach`, which has not shared it yet.
unsafe impl<C: Sync> Sync for Told<C> {}
// SAFETY: as above.
unsafe impl<C: Send> Send for Told<C> {}

impl<C> Deref for Told<C> {
    type Target = C;
    fn deref(&self) -> &C {
        &self.target
    }
}

impl<C: Continue> Told<C> {
    pub(super) fn new(target: C) -> Arc<Self> {
        let link = Link { next: Cell::new(ptr::null_mut()), tell: Self::tell };
        Arc::new(Told { link, target })
    }

    /// # Safety
    /// The link is that of an `Arc<Told<C>>`, which the caller gives away.
    unsafe fn tell(link: *mut Link) {
        // SAFETY: by contract; the link comes first.
        unsafe { Arc::from_raw(link.cast_const().cast::<Self>()) }.target.go_on();
    }
}

impl Link {
    /// The link of `told`, with a share of it.
    pub(super) fn of<C: Continue>(told: &Arc<Told<C>>) -> *mut Link {
        Arc::into_raw(Arc::clone(told)).cast_mut().cast()
    }

    /// Takes the share back.
    ///
    /// # Safety
    /// From [`Self::of`] this very `told`, once, and in no list.
    pub(super) unsafe fn take_back<C: Continue>(link: *mut Link, told: &Arc<Told<C>>) {
        debug_assert!(ptr::eq(Arc::as_ptr(told).cast(), link));
        // SAFETY: by contract.
        drop(unsafe { Arc::from_raw(link.cast_const().cast::<Told<C>>()) });
    }

    /// # Safety
    /// The link is live, and the caller's.
    pub(super) unsafe fn set_next(link: *mut Link, next: *mut Link) {
        // SAFETY: by contract.
        unsafe { (*link).next.set(next) };
    }
}

/// Those who are to be told, to be told once. The one that came last is at the head.
#[must_use]
pub(crate) struct Continuations(pub(super) *mut Link);

/// Links in the order in which they are told; they and their shares are the holder's.
#[derive(Clone, Copy)]
struct Row {
    first: *mut Link,
    last: *mut Link,
}

#[cfg(not(any(loom, shuttle)))]
thread_local! {
    /// Those who are to be told by a thread that tells others already.
    static TELLING: Cell<Option<Row>> = const { Cell::new(None) };
}
// The threads of both are tasks of one thread.
#[cfg(loom)]
loom::thread_local! {
    static TELLING: Cell<Option<Row>> = Cell::new(None);
}
#[cfg(all(shuttle, not(loom)))]
shuttle::thread_local! {
    static TELLING: Cell<Option<Row>> = Cell::new(None);
}

impl Continuations {
    /// Tells them, in the order in which they came. If that ends other jobs, those whom these have
    /// are told when all of ours have been: so a chain of jobs that end with each other, however
    /// long, takes no stack.
    #[inline]
    pub(crate) fn go_on(self) {
        if !self.0.is_null() {
            self.go_on_slow();
        }
    }

    #[cold]
    fn go_on_slow(self) {
        // SAFETY: taken out of the word by us alone, so the links are ours.
        let mut row = unsafe { Row::turned_round(self.0) };
        let is_outermost = TELLING.try_with(|telling| match telling.take() {
            Some(before) => {
                // SAFETY: both are ours.
                telling.set(Some(unsafe { before.followed_by(row) }));
                false
            }
            None => {
                telling.set(Some(Row::EMPTY));
                true
            }
        });
        // A thread that is about to end has no such row.
        let keeps_row = is_outermost.is_ok();
        if matches!(is_outermost, Ok(false)) {
            return;
        }
        while !row.first.is_null() {
            // SAFETY: ours, or left to us by a call further up this stack.
            unsafe { row.tell() };
            if !keeps_row {
                return;
            }
            row = TELLING.with(|telling| {
                let left = telling.take().unwrap_or(Row::EMPTY);
                telling.set((!left.first.is_null()).then_some(Row::EMPTY));
                left
            });
        }
    }
}

impl Row {
    const EMPTY: Row = Row { first: ptr::null_mut(), last: ptr::null_mut() };

    /// # Safety
    /// A list of live links, the caller's.
    unsafe fn turned_round(head: *mut Link) -> Row {
        let (mut first, mut rest) = (ptr::null_mut(), head);
        while !rest.is_null() {
            // SAFETY: by contract.
            let next = unsafe { (*rest).next.replace(first) };
            (first, rest) = (rest, next);
        }
        Row { first, last: head }
    }

    /// # Safety
    /// The links of both are live, and the caller's.
    unsafe fn followed_by(self, other: Row) -> Row {
        if self.first.is_null() {
            return other;
        }
        // SAFETY: by contract.
        unsafe { Link::set_next(self.last, other.first) };
        Row { first: self.first, last: other.last }
    }

    /// # Safety
    /// The links are live, and the caller gives them away.
    unsafe fn tell(self) {
        let mut link = self.first;
        while !link.is_null() {
            // SAFETY: by contract; read before the share is given up.
            let (next, tell) = unsafe { ((*link).next.get(), (*link).tell) };
            // SAFETY: a link is made with what tells it.
            unsafe { tell(link) };
            link = next;
        }
    }
}
