//! The trait of all parallel iterators.

use super::adapters::*;
use super::attempt::Try;
use super::cancel::Cancellable;
use super::consumers::*;
use super::convert::{FromParallelIterator, IntoParallelIterator, ParallelExtend};
use super::on_heap::OnHeap;
use super::run;
use super::source::Source;
use super::stream::{MAX_WINDOW, SeqIter, for_each_ordered};
use crate::job::CancelToken;
use either::Either;
use std::cmp::Ordering;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

/// An iterator whose items may be worked on by several threads at once.
///
/// It has the methods of [`Iterator`] with the same meaning, as far as that can be had in parallel.
/// Adapters are lazy; a consumer, such as [`for_each`](Self::for_each) or
/// [`collect`](Self::collect), runs the loop: in the pool that the calling thread is in
/// ([`Pool::install`](crate::Pool::install)), else in the global one.
///
/// The calling thread takes part. A loop that is too short to be worth waking a thread runs as a
/// plain loop; a longer one is split when, and as far as, other workers ask for work. So there is
/// nothing to tune; [`with_min_len`](super::IndexedParallelIterator::with_min_len) and
/// [`with_max_len`](super::IndexedParallelIterator::with_max_len) are there for the rare case.
///
/// Results come in the order of the input, whatever thread made them, unless a method's name says
/// `any`. How the items are grouped on the way, and which thread runs which, is not promised.
///
/// # Panics
/// Every consumer panics if one of the loop's closures does, with the payload of the first half
/// that panicked, when all calls that had begun are finished. Items whose turn had not come are
/// dropped.
///
/// # Blocking
/// Every consumer blocks until the loop is done. While the calling thread waits for others it runs
/// only parts of this very loop.
///
/// # Cancellation
/// Every consumer stops early if the [`CancelToken`](crate::CancelToken) it runs under is
/// cancelled: [`with_token`](Self::with_token), [`CancelToken::run`](crate::CancelToken::run).
///
/// # Implementing it
/// For a structure of your own, implement [`Source`] for its parts, and this trait with
/// the three items that are required.
pub trait ParallelIterator: Sized + Send {
    /// What the closures get.
    type Item: Send;

    /// What the loop runs over.
    type Source: Source<Item = Self::Item>;

    /// Makes the source. Called once, by a consumer.
    ///
    /// # Safety
    /// The iterator stays where it is, and is not touched, until the source and all of its parts
    /// are gone. So the source may refer to it.
    unsafe fn source(&mut self) -> Self::Source;

    /// The number of items, if it is known.
    fn opt_len(&self) -> Option<usize> {
        None
    }

    // ---- adapters

    /// Applies `f` to each item.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let squares: Vec<_> = (0..4).into_par_iter().map(|n| n * n).collect();
    /// assert_eq!(squares, [0, 1, 4, 9]);
    /// ```
    fn map<F, R>(self, f: F) -> Map<Self, F>
    where
        F: Fn(Self::Item) -> R + Sync + Send,
        R: Send,
    {
        Map::new(self, f)
    }

    /// Applies `f` to each item, with a value that the calls on one thread share.
    ///
    /// `init` is cloned at most once for each thread that takes part, and for each time that a
    /// thread which waits for a part of this loop takes on another; the state is handed on
    /// from part to part. (In rayon there is a clone for every split.)
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let texts: Vec<_> = (0..3)
    ///     .into_par_iter()
    ///     .map_with(String::new(), |buffer, n| {
    ///         buffer.clear();
    ///         buffer.push_str(&n.to_string());
    ///         buffer.len()
    ///     })
    ///     .collect();
    /// assert_eq!(texts, [1, 1, 1]);
    /// ```
    fn map_with<F, T, R>(self, init: T, f: F) -> MapWith<Self, T, F>
    where
        F: Fn(&mut T, Self::Item) -> R + Sync + Send,
        T: Send + Clone,
        R: Send,
    {
        MapWith::new(self, init, f)
    }

    /// As [`map_with`](Self::map_with), with a state that `init` makes.
    ///
    /// The state is handed on between threads, so it must be [`Send`], other than in rayon.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let sums: Vec<u64> = (0..3_u64)
    ///     .into_par_iter()
    ///     .map_init(|| Vec::with_capacity(8), |buffer, n| {
    ///         buffer.clear();
    ///         buffer.extend(0..=n);
    ///         buffer.iter().sum()
    ///     })
    ///     .collect();
    /// assert_eq!(sums, [0, 1, 3]);
    /// ```
    fn map_init<F, INIT, T, R>(self, init: INIT, f: F) -> MapInit<Self, INIT, T, F>
    where
        F: Fn(&mut T, Self::Item) -> R + Sync + Send,
        INIT: Fn() -> T + Sync + Send,
        T: Send,
        R: Send,
    {
        MapInit::new(self, init, f)
    }

    /// Clones the items.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let words = ["a".to_owned(), "b".to_owned()];
    /// let copies: Vec<String> = words.par_iter().cloned().collect();
    /// assert_eq!(copies, words);
    /// ```
    fn cloned<'a, T>(self) -> Cloned<Self>
    where
        T: 'a + Clone + Send + Sync,
        Self: ParallelIterator<Item = &'a T>,
    {
        Cloned::new(self, ())
    }

    /// Copies the items.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!([1, 2, 3].par_iter().copied().max(), Some(3));
    /// ```
    fn copied<'a, T>(self) -> Copied<Self>
    where
        T: 'a + Copy + Send + Sync,
        Self: ParallelIterator<Item = &'a T>,
    {
        Copied::new(self, ())
    }

    /// Calls `f` with a reference to each item that passes.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use windlass::prelude::*;
    /// let seen = AtomicU32::new(0);
    /// let sum: u32 = [1, 2].into_par_iter().inspect(|&n| {
    ///     seen.fetch_add(n, Ordering::Relaxed);
    /// }).sum();
    /// assert_eq!((sum, seen.into_inner()), (3, 3));
    /// ```
    fn inspect<F>(self, f: F) -> Inspect<Self, F>
    where
        F: Fn(&Self::Item) + Sync + Send,
    {
        Inspect::new(self, f)
    }

    /// Changes each item that passes.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<i32> = (0..3).into_par_iter().update(|n| *n += 1).collect();
    /// assert_eq!(v, [1, 2, 3]);
    /// ```
    fn update<F>(self, f: F) -> Update<Self, F>
    where
        F: Fn(&mut Self::Item) + Sync + Send,
    {
        Update::new(self, f)
    }

    /// Keeps the items that `predicate` holds for.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!((0..10).into_par_iter().filter(|n| n % 2 == 0).count(), 5);
    /// ```
    fn filter<P>(self, predicate: P) -> Filter<Self, P>
    where
        P: Fn(&Self::Item) -> bool + Sync + Send,
    {
        Filter::new(self, predicate)
    }

    /// Keeps what `f` makes of the items, where it makes something.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let numbers: Vec<u32> = ["1", "x", "3"].par_iter().filter_map(|s| s.parse().ok()).collect();
    /// assert_eq!(numbers, [1, 3]);
    /// ```
    fn filter_map<F, R>(self, f: F) -> FilterMap<Self, F>
    where
        F: Fn(Self::Item) -> Option<R> + Sync + Send,
        R: Send,
    {
        FilterMap::new(self, f)
    }

    /// Maps each item to a parallel iterator, and iterates over all of them in order. A single long
    /// one is shared as well. Where they are short, [`flat_map_iter`](Self::flat_map_iter) is
    /// faster.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<u32> = (1..4_u32).into_par_iter().flat_map(|n| 0..n).collect();
    /// assert_eq!(v, [0, 0, 1, 0, 1, 2]);
    /// ```
    fn flat_map<F, PI>(self, f: F) -> FlatMap<Self, F, PI>
    where
        F: Fn(Self::Item) -> PI + Sync + Send,
        PI: IntoParallelIterator,
    {
        FlatMap::new(self, f)
    }

    /// Maps each item to an ordinary iterator, and iterates over all of them in order.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let letters: String = ["ab", "c"].par_iter().flat_map_iter(|word| word.chars()).collect();
    /// assert_eq!(letters, "abc");
    /// ```
    fn flat_map_iter<F, SI>(self, f: F) -> FlatMapIter<Self, F>
    where
        F: Fn(Self::Item) -> SI + Sync + Send,
        SI: IntoIterator<Item: Send>,
    {
        FlatMapIter::new(self, f)
    }

    /// [`flat_map`](Self::flat_map) for items that are parallel iterators, or become some, already.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<i32> = vec![vec![1], vec![], vec![2, 3]].into_par_iter().flatten().collect();
    /// assert_eq!(v, [1, 2, 3]);
    /// ```
    fn flatten(self) -> Flatten<Self>
    where
        Self::Item: IntoParallelIterator,
    {
        Flatten::new(self)
    }

    /// [`flat_map_iter`](Self::flat_map_iter) for items that are iterators, or become some, already.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!([Some(1), None].into_par_iter().flatten_iter().sum::<i32>(), 1);
    /// ```
    fn flatten_iter(self) -> FlattenIter<Self>
    where
        Self::Item: IntoIterator<Item: Send>,
    {
        FlattenIter::new(self, ())
    }

    /// Folds the items of each part of the loop into an accumulator, and iterates over those.
    ///
    /// How many parts there are, at least one unless the input is empty, depends on how the
    /// work was shared: usually another step combines them, such as [`reduce`](Self::reduce).
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let letters = (b'a'..=b'e')
    ///     .into_par_iter()
    ///     .fold(String::new, |mut text, byte| {
    ///         text.push(byte as char);
    ///         text
    ///     })
    ///     .reduce(String::new, |a, b| a + &b);
    /// assert_eq!(letters, "abcde");
    /// ```
    fn fold<T, ID, F>(self, identity: ID, fold_op: F) -> Fold<Self, ID, F>
    where
        F: Fn(T, Self::Item) -> T + Sync + Send,
        ID: Fn() -> T + Sync + Send,
        T: Send,
    {
        Fold::new(self, ByCall(identity), fold_op)
    }

    /// [`fold`](Self::fold) that starts with clones of `init`.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!((1..4).into_par_iter().fold_with(0, |sum, n| sum + n).sum::<i32>(), 6);
    /// ```
    fn fold_with<F, T>(self, init: T, fold_op: F) -> FoldWith<Self, T, F>
    where
        F: Fn(T, Self::Item) -> T + Sync + Send,
        T: Send + Clone,
    {
        FoldWith::new(self, init, fold_op)
    }

    /// [`fold`](Self::fold) with an operation that may fail. A part that fails ends there; what is
    /// yielded for it says why.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let sum = [1_u8, 2, 3]
    ///     .par_iter()
    ///     .try_fold(|| 0_u8, |sum, &n| sum.checked_add(n))
    ///     .try_reduce(|| 0, |a, b| a.checked_add(b));
    /// assert_eq!(sum, Some(6));
    /// ```
    fn try_fold<T, R, ID, F>(self, identity: ID, fold_op: F) -> TryFold<Self, R, ID, F>
    where
        F: Fn(T, Self::Item) -> R + Sync + Send,
        ID: Fn() -> T + Sync + Send,
        R: Try<Output = T> + Send,
    {
        TryFold::new(self, identity, fold_op, PhantomData)
    }

    /// This iterator's items, then the other's.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<i32> = (0..2).into_par_iter().chain(5..7).collect();
    /// assert_eq!(v, [0, 1, 5, 6]);
    /// ```
    fn chain<C>(self, chain: C) -> Chain<Self, C::Iter>
    where
        C: IntoParallelIterator<Item = Self::Item>,
    {
        Chain::new(self, chain.into_par_iter())
    }

    /// Stops the whole loop soon after an item is `None`, and yields what is in the others.
    ///
    /// Which items after a `None`, and which before it in other parts, are still yielded is
    /// not promised. To stop at the first `None` exactly, collect into an `Option`.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let small = [1, 2, 300].par_iter().map(|&n| u8::try_from(n).ok()).while_some();
    /// assert!(small.count() <= 2);
    /// ```
    fn while_some<T>(self) -> WhileSome<Self>
    where
        Self: ParallelIterator<Item = Option<T>>,
        T: Send,
    {
        WhileSome::new(self)
    }

    /// Looks before each item whether the loop has panicked elsewhere, and stops there.
    ///
    /// Without it a part of a loop looks after each batch, every few microseconds, or after each
    /// item that takes longer.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let sum: u32 = (0..10).into_par_iter().panic_fuse().sum();
    /// assert_eq!(sum, 45);
    /// ```
    fn panic_fuse(self) -> PanicFuse<Self> {
        PanicFuse::new(self)
    }

    /// At most `n` items, whichever come first in time; they keep their order.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!((0..100).into_par_iter().take_any(7).count(), 7);
    /// ```
    fn take_any(self, n: usize) -> TakeAny<Self> {
        TakeAny::new(self, n)
    }

    /// All but `n` items, whichever come first in time.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!((0..100).into_par_iter().skip_any(7).count(), 93);
    /// ```
    fn skip_any(self, n: usize) -> SkipAny<Self> {
        SkipAny::new(self, n)
    }

    /// Items until `predicate` is false for one, in time; they keep their order.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert!((0..100).into_par_iter().take_any_while(|&n| n < 50).all(|n| n < 50));
    /// ```
    fn take_any_while<P>(self, predicate: P) -> TakeAnyWhile<Self, P>
    where
        P: Fn(&Self::Item) -> bool + Sync + Send,
    {
        TakeAnyWhile::new(self, predicate)
    }

    /// Items from the first one in time for which `predicate` is false.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert!((0..100).into_par_iter().skip_any_while(|&n| n < 50).count() >= 50);
    /// ```
    fn skip_any_while<P>(self, predicate: P) -> SkipAnyWhile<Self, P>
    where
        P: Fn(&Self::Item) -> bool + Sync + Send,
    {
        SkipAnyWhile::new(self, predicate)
    }

    /// Runs the loop under a token: it ends early when that is cancelled. What comes after is an
    /// iterator whose consumers return a `Result`.
    ///
    /// Parts of the loop look at the token before each batch of items, every few microseconds, and
    /// at each split; see [`CancelToken::run`].
    ///
    /// ```
    /// use windlass::prelude::*;
    /// use windlass::{CancelCause, CancelToken};
    /// let token = CancelToken::new();
    /// token.cancel();
    /// let cancelled = [1, 2, 3].par_iter().with_token(&token).copied().sum::<i32>().unwrap_err();
    /// assert_eq!(cancelled.cause(), &CancelCause::Requested);
    /// ```
    fn with_token(self, token: &CancelToken) -> Cancellable<Self> {
        Cancellable::new(self, token.clone())
    }

    /// Runs the loop until `deadline` at the latest: [`with_token`](Self::with_token), with a token
    /// of its own. There is no timer: whoever works on the loop looks at the clock before each batch
    /// of items.
    ///
    /// ```
    /// use std::time::Instant;
    /// use windlass::prelude::*;
    /// assert!((0..3).into_par_iter().with_deadline(Instant::now()).count().is_err());
    /// ```
    fn with_deadline(self, deadline: Instant) -> Cancellable<Self> {
        Cancellable::new(self, CancelToken::new().with_deadline(deadline))
    }

    /// [`with_deadline`](Self::with_deadline), when `timeout` from now has passed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use windlass::prelude::*;
    /// let sum = (0..3).into_par_iter().with_timeout(Duration::from_secs(9)).sum::<i32>();
    /// assert_eq!(sum, Ok(3));
    /// ```
    fn with_timeout(self, timeout: Duration) -> Cancellable<Self> {
        Cancellable::new(self, CancelToken::new().with_timeout(timeout))
    }

    /// Reports to `sink` how far the loop has come: some twenty times a second at most, and at the
    /// end. There is no helper thread: the workers count what they have done, each on its own, and
    /// one that finds a report due makes it.
    ///
    /// What counts are the items that pass here, so the place for it is before a `filter`.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use windlass::prelude::*;
    /// let percent = AtomicU64::new(0);
    /// let sink = |done: u64, total: Option<u64>| {
    ///     percent.store(100 * done / total.unwrap_or(done).max(1), Ordering::Relaxed);
    /// };
    /// let sum: u64 = (0..1000_u64).into_par_iter().progress(&sink).sum();
    /// assert_eq!((sum, percent.into_inner()), (499_500, 100));
    /// ```
    fn progress<P: ProgressSink + ?Sized>(self, sink: &P) -> Progress<'_, Self, P> {
        Progress::new(self, sink)
    }

    // ---- in order, one after the other

    /// Becomes an ordinary iterator over the items in order, which are made in parallel: a window
    /// of them at a time, when the one before is used up. At most 65,536 units of input are worked
    /// on at once, so an endless iterator will do.
    ///
    /// Nothing runs between two calls of `next`, so the iterator may borrow, be kept, or be leaked.
    /// To work on later items *while* earlier ones are consumed, use
    /// [`for_each_ordered`](Self::for_each_ordered).
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut sevens = windlass::iter::repeat(7).map(|n| n + 1).into_seq_iter();
    /// assert_eq!(sevens.next(), Some(8));
    /// ```
    fn into_seq_iter(self) -> SeqIter<Self> {
        SeqIter::new(self, MAX_WINDOW)
    }

    /// [`into_seq_iter`](Self::into_seq_iter) with windows of at most `units` units of input, at
    /// least 1.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let lines: Vec<String> = (0..5)
    ///     .into_par_iter()
    ///     .map(|n| format!("line {n}"))
    ///     .into_seq_iter_by(2)
    ///     .skip(3)
    ///     .collect();
    /// assert_eq!(lines, ["line 3", "line 4"]);
    /// ```
    fn into_seq_iter_by(self, units: usize) -> SeqIter<Self> {
        SeqIter::new(self, units)
    }

    /// Calls `f` with each item in order, one at a time, while other workers make later ones.
    ///
    /// `f` runs on whichever worker has the next items. Nobody waits: a worker that is too far
    /// ahead of `f`, four chunks of about 50 us for each worker, turns to something else until
    /// it is called back. So the memory is bounded by that, whatever the length of the input.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut text = String::new();
    /// (0..5).into_par_iter().map(|n| n * n).for_each_ordered(|n| text.push_str(&n.to_string()));
    /// assert_eq!(text, "014916");
    /// ```
    fn for_each_ordered<F>(self, f: F)
    where
        F: FnMut(Self::Item) + Send,
    {
        for_each_ordered(OnHeap::new(self), f);
    }

    // ---- consumers

    /// Calls `f` with each item.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = [1, 2, 3];
    /// v.par_iter_mut().for_each(|n| *n *= 2);
    /// assert_eq!(v, [2, 4, 6]);
    /// ```
    fn for_each<F>(self, f: F)
    where
        F: Fn(Self::Item) + Sync + Send,
    {
        run(self, ForEach(&f));
    }

    /// Calls `f` with each item and a state, as [`map_with`](Self::map_with).
    ///
    /// ```
    /// use std::sync::mpsc::channel;
    /// use windlass::prelude::*;
    /// let (sender, receiver) = channel();
    /// (0..4).into_par_iter().for_each_with(sender, |sender, n| sender.send(n).unwrap());
    /// assert_eq!(receiver.iter().sum::<i32>(), 6);
    /// ```
    fn for_each_with<F, T>(self, init: T, f: F)
    where
        F: Fn(&mut T, Self::Item) + Sync + Send,
        T: Send + Clone,
    {
        self.map_with(init, f).for_each(drop);
    }

    /// Calls `f` with each item and a state, as [`map_init`](Self::map_init).
    ///
    /// ```
    /// use windlass::prelude::*;
    /// (0..4).into_par_iter().for_each_init(Vec::new, |seen, n| seen.push(n));
    /// ```
    fn for_each_init<F, INIT, T>(self, init: INIT, f: F)
    where
        F: Fn(&mut T, Self::Item) + Sync + Send,
        INIT: Fn() -> T + Sync + Send,
        T: Send,
    {
        self.map_init(init, f).for_each(drop);
    }

    /// Calls `f` with each item until it fails. Returns the first failure in the order of the
    /// input.
    ///
    /// Items before it are all tried, so that it is the first in any case. Of the items
    /// after it, those that have not begun when it is known are not tried.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let tried = [1, 2, 3].par_iter().try_for_each(|&n| if n < 2 { Ok(()) } else { Err(n) });
    /// assert_eq!(tried, Err(2));
    /// ```
    fn try_for_each<F, R>(self, f: F) -> R
    where
        F: Fn(Self::Item) -> R + Sync + Send,
        R: Try<Output = ()> + Send,
    {
        let failed = AtomicU64::new(u64::MAX);
        run(self, TryForEach::new(&f, &failed)).unwrap_or_else(|| R::from_output(()))
    }

    /// [`try_for_each`](Self::try_for_each) with a state, as [`map_with`](Self::map_with).
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let tried = (0..3).into_par_iter().try_for_each_with(0, |_, n| (n < 9).then_some(()));
    /// assert_eq!(tried, Some(()));
    /// ```
    fn try_for_each_with<F, T, R>(self, init: T, f: F) -> R
    where
        F: Fn(&mut T, Self::Item) -> R + Sync + Send,
        T: Send + Clone,
        R: Try<Output = ()> + Send,
    {
        self.map_with(init, f).try_for_each(|result| result)
    }

    /// [`try_for_each`](Self::try_for_each) with a state, as [`map_init`](Self::map_init).
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let tried = (0..3).into_par_iter().try_for_each_init(|| 0, |_, n| (n < 2).then_some(()));
    /// assert_eq!(tried, None);
    /// ```
    fn try_for_each_init<F, INIT, T, R>(self, init: INIT, f: F) -> R
    where
        F: Fn(&mut T, Self::Item) -> R + Sync + Send,
        INIT: Fn() -> T + Sync + Send,
        T: Send,
        R: Try<Output = ()> + Send,
    {
        self.map_init(init, f).try_for_each(|result| result)
    }

    /// How many items there are.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!("a,b,c".par_split(',').count(), 3);
    /// ```
    fn count(self) -> usize {
        run(self, Count(0))
    }

    /// Combines the items by `op`, in their order, or returns `identity` if there are none.
    ///
    /// `op` must be associative, and `identity` its neutral element: how the items are grouped
    /// depends on how the work was shared. It need not be commutative. Floating-point addition is
    /// not associative: [`reduce_deterministic`](super::IndexedParallelIterator::reduce_deterministic)
    /// groups in a fixed way.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let words = ["a", "b", "c"].par_iter().map(|s| s.to_string()).reduce(String::new, |a, b| a + &b);
    /// assert_eq!(words, "abc");
    /// ```
    fn reduce<OP, ID>(self, identity: ID, op: OP) -> Self::Item
    where
        OP: Fn(Self::Item, Self::Item) -> Self::Item + Sync + Send,
        ID: Fn() -> Self::Item + Sync + Send,
    {
        self.reduce_with(op).unwrap_or_else(identity)
    }

    /// [`reduce`](Self::reduce) without a neutral element: `None` if there are no items.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!([3, 4].into_par_iter().reduce_with(|a, b| a * b), Some(12));
    /// ```
    fn reduce_with<OP>(self, op: OP) -> Option<Self::Item>
    where
        OP: Fn(Self::Item, Self::Item) -> Self::Item + Sync + Send,
    {
        run(self, Reduce::new(&op)).0
    }

    /// [`reduce`](Self::reduce) with an operation that may fail, over items that may have failed.
    /// Returns the first failure in the order of the input.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let sum = [1_u8, 255].par_iter().map(|&n| Some(n)).try_reduce(|| 0, |a, b| a.checked_add(b));
    /// assert_eq!(sum, None);
    /// ```
    fn try_reduce<T, OP, ID>(self, identity: ID, op: OP) -> Self::Item
    where
        OP: Fn(T, T) -> Self::Item + Sync + Send,
        ID: Fn() -> T + Sync + Send,
        Self::Item: Try<Output = T>,
    {
        self.try_reduce_with(op).unwrap_or_else(|| Self::Item::from_output(identity()))
    }

    /// [`try_reduce`](Self::try_reduce) without a neutral element: `None` if there are no items.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let none: [Option<u8>; 0] = [];
    /// assert_eq!(none.into_par_iter().try_reduce_with(|a, b| a.checked_add(b)), None);
    /// ```
    fn try_reduce_with<T, OP>(self, op: OP) -> Option<Self::Item>
    where
        OP: Fn(T, T) -> Self::Item + Sync + Send,
        Self::Item: Try<Output = T>,
    {
        let failed = AtomicU64::new(u64::MAX);
        run(self, TryReduce::new(&op, &failed)).0
    }

    /// Adds the items. Floating-point sums depend on how the work was shared, by rounding:
    /// [`sum_deterministic`](super::IndexedParallelIterator::sum_deterministic) does not.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!((1..=100).into_par_iter().sum::<i32>(), 5050);
    /// ```
    fn sum<S>(self) -> S
    where
        S: Send + std::iter::Sum<Self::Item> + std::iter::Sum<S>,
    {
        run(self, Sum::new()).unwrap_or_else(|| std::iter::empty::<S>().sum())
    }

    /// Multiplies the items.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!((1..=5).into_par_iter().product::<i32>(), 120);
    /// ```
    fn product<P>(self) -> P
    where
        P: Send + std::iter::Product<Self::Item> + std::iter::Product<P>,
    {
        run(self, Product::new()).unwrap_or_else(|| std::iter::empty::<P>().product())
    }

    /// The least item, the first of several. `None` if there are no items.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!([3, 1, 2].par_iter().min(), Some(&1));
    /// ```
    fn min(self) -> Option<Self::Item>
    where
        Self::Item: Ord,
    {
        self.min_by(Ord::cmp)
    }

    /// The least item by a comparison, the first of several.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v = [2.5_f64, -1.0];
    /// assert_eq!(v.par_iter().min_by(|a, b| a.total_cmp(b)), Some(&-1.0));
    /// ```
    fn min_by<F>(self, f: F) -> Option<Self::Item>
    where
        F: Fn(&Self::Item, &Self::Item) -> Ordering + Sync + Send,
    {
        self.reduce_with(|a, b| if f(&a, &b) == Ordering::Greater { b } else { a })
    }

    /// The item with the least key, the first of several. The key of each item is computed once.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!([-3_i32, 1, 2].par_iter().min_by_key(|n| n.abs()), Some(&1));
    /// ```
    fn min_by_key<K, F>(self, f: F) -> Option<Self::Item>
    where
        K: Ord + Send,
        F: Fn(&Self::Item) -> K + Sync + Send,
    {
        self.map(|item| (f(&item), item)).min_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, item)| item)
    }

    /// The greatest item, the last of several. `None` if there are no items.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!([3, 1, 2].par_iter().max(), Some(&3));
    /// ```
    fn max(self) -> Option<Self::Item>
    where
        Self::Item: Ord,
    {
        self.max_by(Ord::cmp)
    }

    /// The greatest item by a comparison, the last of several.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v = [2.5_f64, -1.0];
    /// assert_eq!(v.par_iter().max_by(|a, b| a.total_cmp(b)), Some(&2.5));
    /// ```
    fn max_by<F>(self, f: F) -> Option<Self::Item>
    where
        F: Fn(&Self::Item, &Self::Item) -> Ordering + Sync + Send,
    {
        self.reduce_with(|a, b| if f(&a, &b) == Ordering::Greater { a } else { b })
    }

    /// The item with the greatest key, the last of several. The key of each item is computed once.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!([-3_i32, 1, 2].par_iter().max_by_key(|n| n.abs()), Some(&-3));
    /// ```
    fn max_by_key<K, F>(self, f: F) -> Option<Self::Item>
    where
        K: Ord + Send,
        F: Fn(&Self::Item) -> K + Sync + Send,
    {
        self.map(|item| (f(&item), item)).max_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, item)| item)
    }

    /// Whether `predicate` holds for an item. Stops soon after one is found.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert!((0..100).into_par_iter().any(|n| n == 99));
    /// ```
    fn any<P>(self, predicate: P) -> bool
    where
        P: Fn(Self::Item) -> bool + Sync + Send,
    {
        let is_found = AtomicBool::new(false);
        run(self, FindAny::new(&Any(predicate), &is_found)).is_some()
    }

    /// Whether `predicate` holds for all items. Stops soon after one is found that it does not hold
    /// for.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert!((0..100).into_par_iter().all(|n| n < 100));
    /// ```
    fn all<P>(self, predicate: P) -> bool
    where
        P: Fn(Self::Item) -> bool + Sync + Send,
    {
        !self.any(|item| !predicate(item))
    }

    /// An item that `predicate` holds for, whichever is found first.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert!((0..100).into_par_iter().find_any(|n| n % 10 == 9).is_some());
    /// ```
    fn find_any<P>(self, predicate: P) -> Option<Self::Item>
    where
        P: Fn(&Self::Item) -> bool + Sync + Send,
    {
        let is_found = AtomicBool::new(false);
        run(self, FindAny::new(&That(predicate), &is_found))
    }

    /// The first item in the order of the input that `predicate` holds for.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!((0..100).into_par_iter().find_first(|n| n % 10 == 9), Some(9));
    /// ```
    fn find_first<P>(self, predicate: P) -> Option<Self::Item>
    where
        P: Fn(&Self::Item) -> bool + Sync + Send,
    {
        let best = AtomicU64::new(u64::MAX);
        run(self, FindEnd::new(&That(predicate), End::First, &best)).0
    }

    /// The last item in the order of the input that `predicate` holds for.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!((0..100).into_par_iter().find_last(|n| n % 10 == 8), Some(98));
    /// ```
    fn find_last<P>(self, predicate: P) -> Option<Self::Item>
    where
        P: Fn(&Self::Item) -> bool + Sync + Send,
    {
        let best = AtomicU64::new(u64::MAX);
        run(self, FindEnd::new(&That(predicate), End::Last, &best)).0
    }

    /// What `f` makes of an item, whichever it first makes something of.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!(["x", "7"].par_iter().find_map_any(|s| s.parse().ok()), Some(7));
    /// ```
    fn find_map_any<F, R>(self, f: F) -> Option<R>
    where
        F: Fn(Self::Item) -> Option<R> + Sync + Send,
        R: Send,
    {
        let is_found = AtomicBool::new(false);
        run(self, FindAny::new(&Made(f), &is_found))
    }

    /// What `f` makes of the first item that it makes something of.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!(["x", "7", "8"].par_iter().find_map_first(|s| s.parse().ok()), Some(7));
    /// ```
    fn find_map_first<F, R>(self, f: F) -> Option<R>
    where
        F: Fn(Self::Item) -> Option<R> + Sync + Send,
        R: Send,
    {
        let best = AtomicU64::new(u64::MAX);
        run(self, FindEnd::new(&Made(f), End::First, &best)).0
    }

    /// What `f` makes of the last item that it makes something of.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!(["x", "7", "8"].par_iter().find_map_last(|s| s.parse().ok()), Some(8));
    /// ```
    fn find_map_last<F, R>(self, f: F) -> Option<R>
    where
        F: Fn(Self::Item) -> Option<R> + Sync + Send,
        R: Send,
    {
        let best = AtomicU64::new(u64::MAX);
        run(self, FindEnd::new(&Made(f), End::Last, &best)).0
    }

    /// Collects the items, in their order where the collection has one.
    ///
    /// A vector is written in place if the number of items is known; otherwise each part of the
    /// loop, one if nobody shared it, fills a vector of its own, and these are put together.
    /// Into a `Result` or an `Option`: all values, or the first failure in the order of the input.
    ///
    /// ```
    /// use std::collections::BTreeSet;
    /// use windlass::prelude::*;
    /// let set: BTreeSet<i32> = (0..3).into_par_iter().map(|n| n % 2).collect();
    /// assert_eq!(set, BTreeSet::from([0, 1]));
    /// let bad: Result<Vec<u8>, _> = ["1", "x"].par_iter().map(|s| s.parse::<u8>()).collect();
    /// assert!(bad.is_err());
    /// ```
    fn collect<C>(self) -> C
    where
        C: FromParallelIterator<Self::Item>,
    {
        C::from_par_iter(self)
    }

    /// Collects the items into as many vectors as the work was shared between, in order: without
    /// the copy that one vector would take.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let parts = (0..100).into_par_iter().filter(|n| n % 3 == 0).collect_vec_list();
    /// assert_eq!(parts.into_iter().flatten().count(), 34);
    /// ```
    fn collect_vec_list(self) -> Vec<Vec<Self::Item>> {
        run(self, Pieces::new())
    }

    /// Collects pairs into a pair of collections.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let (a, b): (Vec<i32>, Vec<i32>) = (0..3).into_par_iter().map(|n| (n, n * n)).unzip();
    /// assert_eq!((a, b), (vec![0, 1, 2], vec![0, 1, 4]));
    /// ```
    fn unzip<A, B, FromA, FromB>(self) -> (FromA, FromB)
    where
        Self: ParallelIterator<Item = (A, B)>,
        FromA: Default + Send + ParallelExtend<A>,
        FromB: Default + Send + ParallelExtend<B>,
        A: Send,
        B: Send,
    {
        super::convert::unzip(self)
    }

    /// Collects into two collections: the items that `predicate` holds for, and the others.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let (even, odd): (Vec<_>, Vec<_>) = (0..5).into_par_iter().partition(|n| n % 2 == 0);
    /// assert_eq!((even, odd), (vec![0, 2, 4], vec![1, 3]));
    /// ```
    fn partition<A, B, P>(self, predicate: P) -> (A, B)
    where
        A: Default + Send + ParallelExtend<Self::Item>,
        B: Default + Send + ParallelExtend<Self::Item>,
        P: Fn(&Self::Item) -> bool + Sync + Send,
    {
        let split = |item| if predicate(&item) { (Some(item), None) } else { (None, Some(item)) };
        super::convert::split(self, split)
    }

    /// Collects into two collections what `predicate` makes of the items.
    ///
    /// ```
    /// use windlass::iter::Either;
    /// use windlass::prelude::*;
    /// let (numbers, others): (Vec<u8>, Vec<&str>) = ["1", "x"].into_par_iter().partition_map(|s| {
    ///     s.parse::<u8>().map_or(Either::Right(s), Either::Left)
    /// });
    /// assert_eq!((numbers, others), (vec![1], vec!["x"]));
    /// ```
    fn partition_map<A, B, P, L, R>(self, predicate: P) -> (A, B)
    where
        A: Default + Send + ParallelExtend<L>,
        B: Default + Send + ParallelExtend<R>,
        P: Fn(Self::Item) -> Either<L, R> + Sync + Send,
        L: Send,
        R: Send,
    {
        let split = |item| match predicate(item) {
            Either::Left(left) => (Some(left), None),
            Either::Right(right) => (None, Some(right)),
        };
        super::convert::split(self, split)
    }
}
