//! Adapters that end a whole loop early, or let through what comes first in time. Their parts talk
//! to each other through an atomic or two; the items themselves are handed on by the joins, so that
//! Relaxed is enough throughout.

use crate::engine::sync::{Mutex, lock};
use crate::par::attempt::Try;
use crate::par::consumers::Rank;
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{Grain, IndexedSource, Shared, Source};
use std::fmt;
use std::ops::ControlFlow::{Break, Continue};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// What the parts share; a clone of the adapter starts afresh.
#[derive(Default)]
struct Flag(AtomicBool);

impl Flag {
    fn is_up(&self) -> bool {
        self.0.load(Relaxed)
    }

    fn raise(&self) {
        self.0.store(true, Relaxed);
    }
}

impl Clone for Flag {
    fn clone(&self) -> Self {
        Flag::default()
    }
}

/// How many items are still to be let through, or kept back.
struct Tickets {
    total: usize,
    left: AtomicUsize,
}

impl Tickets {
    fn new(total: usize) -> Self {
        Tickets { total, left: AtomicUsize::new(total) }
    }

    fn take(&self) -> bool {
        // The load keeps the line shared when there are none left.
        self.left.load(Relaxed) > 0
            && self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

impl Clone for Tickets {
    fn clone(&self) -> Self {
        Tickets::new(self.total)
    }
}

/// An adapter with something that its parts share. The expressions say whether a part has ended,
/// and how a batch changes.
macro_rules! flow {
    ($(
        $(#[$doc:meta])*
        $name:ident, $source:ident<$($g:ident),*> exact: $exact:literal, Item = $item:ty;
        shared: $shared:ty = |$($arg:ident: $arg_type:ty)?| $new:expr;
        where { $($bounds:tt)* }
        over: |$over:ident| $is_over:expr;
        each: |$items:ident, $state:ident| $each:expr;
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone)]
        #[must_use = "parallel iterators are lazy and do nothing unless consumed"]
        pub struct $name<I $(, $g)*> {
            base: I,
            shared: $shared,
        }

        impl<I $(, $g)*> $name<I $(, $g)*> {
            pub(crate) fn new(base: I $(, $arg: $arg_type)?) -> Self {
                $name { base, shared: $new }
            }
        }

        impl<I: fmt::Debug $(, $g)*> fmt::Debug for $name<I $(, $g)*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("base", &self.base).finish_non_exhaustive()
            }
        }

        impl<I, T: Send $(, $g)*> ParallelIterator for $name<I $(, $g)*>
        where
            I: ParallelIterator<Item = T>,
            $($bounds)*
        {
            type Item = $item;
            type Source = $source<I::Source $(, $g)*>;
            unsafe fn source(&mut self) -> Self::Source {
                // SAFETY: the base and what is shared stay where they are as long as `self` does.
                let (base, shared) = unsafe { (self.base.source(), Shared::new(&self.shared)) };
                $source { base, shared }
            }
            fn opt_len(&self) -> Option<usize> {
                if $exact { self.base.opt_len() } else { None }
            }
        }

        #[doc(hidden)]
        #[expect(missing_debug_implementations, reason = "nobody sees it")]
        pub struct $source<S $(, $g)*> {
            base: S,
            shared: Shared<$shared>,
        }

        // SAFETY: an adapter that is exact yields the items of its base, or ends early.
        unsafe impl<S, T: Send $(, $g)*> Source for $source<S $(, $g)*>
        where
            S: Source<Item = T>,
            $($bounds)*
        {
            type Item = $item;
            const EXACT: bool = $exact && S::EXACT;
            #[inline]
            fn len(&self) -> usize {
                let $over = &*self.shared;
                if $is_over { 0 } else { self.base.len() }
            }
            fn split_at(self, index: usize) -> (Self, Self) {
                let shared = self.shared;
                // Another part may have ended the loop since the length was asked for.
                let at = index.min(self.base.len());
                let (left, right) = self.base.split_at(at);
                ($source { base: left, shared }, $source { base: right, shared })
            }
            #[inline]
            fn take_front(&mut self, n: usize) -> impl Iterator<Item = $item> {
                let ($items, $state) = (self.base.take_front(n), self.shared);
                $each
            }
            fn grain(&self) -> Grain {
                self.base.grain()
            }
        }
    )*};
}

flow! {
    /// What [`while_some`](ParallelIterator::while_some) returns.
    WhileSome, WhileSomeSource<> exact: false, Item = T::Output;
    shared: Flag = | | Flag::default();
    where { T: Try<Output: Send> }
    over: |flag| flag.is_up();
    each: |items, flag| items.map_while(move |item| match item.branch() {
        Continue(item) if !flag.is_up() => Some(item),
        Continue(_) => None,
        Break(_) => {
            flag.raise();
            None
        }
    });

    /// What [`take_any`](ParallelIterator::take_any) returns.
    TakeAny, TakeAnySource<> exact: false, Item = T;
    shared: Tickets = |n: usize| Tickets::new(n);
    where {}
    over: |tickets| tickets.left.load(Relaxed) == 0;
    each: |items, tickets| items.take_while(move |_| tickets.take());

    /// What [`skip_any`](ParallelIterator::skip_any) returns.
    SkipAny, SkipAnySource<> exact: false, Item = T;
    shared: Tickets = |n: usize| Tickets::new(n);
    where {}
    over: |_tickets| false;
    each: |items, tickets| items.filter(move |_| !tickets.take());

    /// What [`take_any_while`](ParallelIterator::take_any_while) returns.
    TakeAnyWhile, TakeAnyWhileSource<P> exact: false, Item = T;
    shared: (Flag, P) = |predicate: P| (Flag::default(), predicate);
    where { P: Fn(&T) -> bool + Sync + Send }
    over: |shared| shared.0.is_up();
    each: |items, shared| items.take_while(move |item| {
        let goes_on = !shared.0.is_up() && (shared.1)(item);
        if !goes_on {
            shared.0.raise();
        }
        goes_on
    });

    /// What [`skip_any_while`](ParallelIterator::skip_any_while) returns.
    SkipAnyWhile, SkipAnyWhileSource<P> exact: false, Item = T;
    shared: (Flag, P) = |predicate: P| (Flag::default(), predicate);
    where { P: Fn(&T) -> bool + Sync + Send }
    over: |_shared| false;
    each: |items, shared| items.filter(move |item| {
        let has_begun = shared.0.is_up() || !(shared.1)(item);
        if has_begun {
            shared.0.raise();
        }
        has_begun
    });

    /// What [`panic_fuse`](ParallelIterator::panic_fuse) returns.
    PanicFuse, PanicFuseSource<> exact: true, Item = T;
    shared: Flag = | | Flag::default();
    where {}
    // Not `flag.is_up()`: what is made of an exact source relies on its length.
    over: |_flag| false;
    each: |items, flag| until_panic(items, flag);
}

impl<I: IndexedParallelIterator> IndexedParallelIterator for PanicFuse<I> {}

impl<S: IndexedSource<Item: Send>> IndexedSource for PanicFuseSource<S> {
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = S::Item> {
        until_panic(self.base.take_back(n), self.shared)
    }
}

/// Raises the flag when the loop unwinds.
struct Alarm {
    flag: Shared<Flag>,
    was_panicking: bool,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.was_panicking {
            self.flag.raise();
        }
    }
}

fn until_panic<T>(items: impl Iterator<Item = T>, flag: Shared<Flag>) -> impl Iterator<Item = T> {
    let alarm = Alarm { flag, was_panicking: std::thread::panicking() };
    items.take_while(move |_| {
        // All of it, not just a copy of its field, so that it goes off when the batch is dropped.
        let alarm = &alarm;
        !alarm.flag.is_up()
    })
}

/// The first failure of a loop, in the order of its input.
pub(crate) struct FirstFailure<R> {
    /// The rank of the part it was in; `u64::MAX` while there is none.
    coarse: AtomicU64,
    failure: Mutex<Option<(Rank, R)>>,
}

impl<R> FirstFailure<R> {
    pub(crate) fn new() -> Self {
        FirstFailure { coarse: AtomicU64::new(u64::MAX), failure: Mutex::new(None) }
    }

    #[cold]
    fn keep(&self, rank: Rank, failure: R) {
        let mut first = lock(&self.failure);
        if first.as_ref().is_some_and(|&(earlier, _)| !rank.is_before(earlier)) {
            // The lock is released first: dropping a failure runs user code.
            drop(first);
            return;
        }
        let later = first.replace((rank, failure));
        self.coarse.fetch_min(rank.coarse(), Relaxed);
        drop(first);
        drop(later);
    }

    pub(crate) fn into_inner(self) -> Option<R> {
        let failure = self.failure.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        failure.map(|(_, failure)| failure)
    }
}

/// Yields what is in the items up to the first failure. What is yielded is of use only if there is
/// none: parts after the failure may be cut short, which an exact source may do.
pub(crate) struct WhileOk<'a, I, R> {
    base: I,
    first: &'a FirstFailure<R>,
}

impl<'a, I, R> WhileOk<'a, I, R> {
    pub(crate) fn new(base: I, first: &'a FirstFailure<R>) -> Self {
        WhileOk { base, first }
    }
}

impl<'a, I, R> ParallelIterator for WhileOk<'a, I, R>
where
    I: ParallelIterator<Item = R>,
    R: Try<Output: Send> + Send,
{
    type Item = R::Output;
    type Source = WhileOkSource<'a, I::Source, R>;
    unsafe fn source(&mut self) -> Self::Source {
        // SAFETY: the base stays where it is as long as `self` does.
        let base = unsafe { self.base.source() };
        WhileOkSource { base, rank: Rank::ALL, first: self.first, has_failed: false }
    }
}

pub(crate) struct WhileOkSource<'a, S, R> {
    base: S,
    rank: Rank,
    first: &'a FirstFailure<R>,
    has_failed: bool,
}

impl<S, R> WhileOkSource<'_, S, R> {
    /// Whether this part or one before it has failed.
    fn is_over(&self) -> bool {
        self.has_failed || self.first.coarse.load(Relaxed) < self.rank.coarse()
    }
}

// SAFETY: an item for each item of the base, or it ends early, and with it all that comes after.
unsafe impl<S, R> Source for WhileOkSource<'_, S, R>
where
    S: Source<Item = R>,
    R: Try<Output: Send> + Send,
{
    type Item = R::Output;
    const EXACT: bool = S::EXACT;
    /// The length of an exact source changes by its methods alone.
    #[inline]
    fn len(&self) -> usize {
        if !Self::EXACT && self.is_over() { 0 } else { self.base.len() }
    }
    fn split_at(self, index: usize) -> (Self, Self) {
        let (left_rank, right_rank) = self.rank.split(index);
        let (left, right) = self.base.split_at(index);
        (
            WhileOkSource { base: left, rank: left_rank, ..self },
            WhileOkSource { base: right, rank: right_rank, ..self },
        )
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = R::Output> {
        let n = if self.is_over() {
            drop(self.base.take_front(n));
            0
        } else {
            n
        };
        let has_failed = &mut self.has_failed;
        let (first, rank) = (self.first, self.rank);
        self.base.take_front(n).map_while(move |item| match item.branch() {
            Continue(item) => Some(item),
            Break(residual) => {
                *has_failed = true;
                first.keep(rank, R::from_residual(residual));
                None
            }
        })
    }
    fn grain(&self) -> Grain {
        self.base.grain()
    }
}
