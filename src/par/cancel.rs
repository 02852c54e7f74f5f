//! Loops that may be cancelled, and say so.

use super::adapters::{
    Cloned, Copied, Enumerate, Filter, FilterMap, FlatMap, FlatMapIter, Inspect, Map, Zip,
};
use super::attempt::Try;
use super::convert::{FromParallelIterator, IntoParallelIterator, ParallelExtend};
use super::indexed::IndexedParallelIterator;
use super::iter::ParallelIterator;
use crate::job::{CancelToken, Cancelled};
use std::cmp::Ordering;
use std::iter::{Product, Sum};
use std::time::{Duration, Instant};

/// A parallel iterator that runs under a [`CancelToken`]: what
/// [`with_token`](ParallelIterator::with_token) and its like return.
///
/// Its consumers are those of [`ParallelIterator`], but return a `Result`: if the token is cancelled
/// before the loop is done, [`Cancelled`], and the partial results are dropped. The adapters and
/// consumers that are not here are to be had before `with_token`, and by [`run`](Self::run).
///
/// ```
/// use windlass::CancelToken;
/// use windlass::prelude::*;
///
/// let token = CancelToken::new();
/// assert_eq!((0..10).into_par_iter().with_token(&token).map(|n| n * n).sum::<u32>(), Ok(285));
/// let stopped = (0..1_000_000_u32).into_par_iter().with_token(&token).for_each(|n| {
///     if n == 0 {
///         token.cancel_with("seen enough".into());
///     }
/// });
/// assert_eq!(stopped.unwrap_err().to_string(), "cancelled: seen enough");
/// ```
#[derive(Clone, Debug)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct Cancellable<I> {
    iter: I,
    tokens: Vec<CancelToken>,
}

/// Runs `f` under all of the tokens.
fn run_under<R>(tokens: &[CancelToken], f: impl FnOnce() -> R) -> Result<R, Cancelled> {
    match tokens {
        [] => Ok(f()),
        [token] => token.run(f),
        [token, rest @ ..] => {
            // Boxed, so that the types do not grow without end.
            let f: Box<dyn FnOnce() -> R + '_> = Box::new(f);
            token.run(|| run_under(rest, f))?
        }
    }
}

impl<I: ParallelIterator> Cancellable<I> {
    pub(crate) fn new(iter: I, token: CancelToken) -> Self {
        Cancellable { iter, tokens: vec![token] }
    }

    /// Ends with the first of both tokens.
    pub fn with_token(mut self, token: &CancelToken) -> Self {
        self.tokens.push(token.clone());
        self
    }

    /// Ends at `deadline` at the latest.
    pub fn with_deadline(self, deadline: Instant) -> Self {
        self.with_token(&CancelToken::new().with_deadline(deadline))
    }

    /// Ends when `timeout` has passed from now at the latest.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        self.with_token(&CancelToken::new().with_timeout(timeout))
    }

    /// Changes the iterator by any of its adapters.
    ///
    /// ```
    /// use windlass::CancelToken;
    /// use windlass::prelude::*;
    /// let cancellable = (0..9).into_par_iter().with_token(&CancelToken::new());
    /// assert_eq!(cancellable.adapt(|iter| iter.rev().step_by(4)).collect(), Ok(vec![8, 4, 0]));
    /// ```
    pub fn adapt<J: ParallelIterator>(self, f: impl FnOnce(I) -> J) -> Cancellable<J> {
        Cancellable { iter: f(self.iter), tokens: self.tokens }
    }

    /// Consumes the iterator in any way.
    ///
    /// # Errors
    /// If the token is cancelled before the loop is done. This holds for all consumers.
    ///
    /// ```
    /// use windlass::CancelToken;
    /// use windlass::prelude::*;
    /// let mut v = Vec::new();
    /// let cancellable = (0..3).into_par_iter().with_token(&CancelToken::new());
    /// cancellable.run(|iter| iter.collect_into_vec(&mut v))?;
    /// assert_eq!(v, [0, 1, 2]);
    /// # Ok::<(), windlass::Cancelled>(())
    /// ```
    pub fn run<R>(self, f: impl FnOnce(I) -> R) -> Result<R, Cancelled> {
        let Cancellable { iter, tokens } = self;
        run_under(&tokens, || f(iter))
    }
}

/// `name(arguments) -> type` for the adapters, each as in `ParallelIterator`.
macro_rules! adapters {
    ($($name:ident [$($g:ident: ($($bound:tt)*)),*] ($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        impl<I: ParallelIterator> Cancellable<I> {$(
            #[doc = concat!("As [`", stringify!($name), "`](ParallelIterator::", stringify!($name), ").")]
            pub fn $name<$($g: $($bound)*),*>(self $(, $arg: $type)*) -> Cancellable<$out> {
                self.adapt(|iter| iter.$name($($arg),*))
            }
        )*}
    };
}

adapters! {
    map[R: (Send), F: (Fn(I::Item) -> R + Sync + Send)](f: F) -> Map<I, F>;
    filter[P: (Fn(&I::Item) -> bool + Sync + Send)](predicate: P) -> Filter<I, P>;
    filter_map[R: (Send), F: (Fn(I::Item) -> Option<R> + Sync + Send)](f: F) -> FilterMap<I, F>;
    flat_map[PI: (IntoParallelIterator), F: (Fn(I::Item) -> PI + Sync + Send)](f: F)
        -> FlatMap<I, F, PI>;
    flat_map_iter[SI: (IntoIterator<Item: Send>), F: (Fn(I::Item) -> SI + Sync + Send)](f: F)
        -> FlatMapIter<I, F>;
    inspect[F: (Fn(&I::Item) + Sync + Send)](f: F) -> Inspect<I, F>;
}

impl<'a, T: 'a + Send + Sync, I: ParallelIterator<Item = &'a T>> Cancellable<I> {
    /// As [`cloned`](ParallelIterator::cloned).
    pub fn cloned(self) -> Cancellable<Cloned<I>>
    where
        T: Clone,
    {
        self.adapt(I::cloned)
    }

    /// As [`copied`](ParallelIterator::copied).
    pub fn copied(self) -> Cancellable<Copied<I>>
    where
        T: Copy,
    {
        self.adapt(I::copied)
    }
}

impl<I: IndexedParallelIterator> Cancellable<I> {
    /// As [`enumerate`](IndexedParallelIterator::enumerate).
    pub fn enumerate(self) -> Cancellable<Enumerate<I>> {
        self.adapt(I::enumerate)
    }

    /// As [`zip`](IndexedParallelIterator::zip).
    pub fn zip<Z>(self, other: Z) -> Cancellable<Zip<I, Z::Iter>>
    where
        Z: IntoParallelIterator<Iter: IndexedParallelIterator>,
    {
        self.adapt(|iter| iter.zip(other))
    }
}

/// `name(arguments) -> type` for the consumers, each as in `ParallelIterator` but for the `Result`.
macro_rules! consumers {
    ($($name:ident [$($g:ident: ($($bound:tt)*)),*] ($($arg:ident: $type:ty),*)
        $(where [$($clause:tt)*])? -> $out:ty;)*) => {
        impl<I: ParallelIterator> Cancellable<I> {$(
            #[doc = concat!("As [`", stringify!($name), "`](ParallelIterator::", stringify!($name), ").")]
            ///
            /// # Errors
            /// If the token is cancelled before the loop is done.
            pub fn $name<$($g: $($bound)*),*>(self $(, $arg: $type)*) -> Result<$out, Cancelled>
            $(where $($clause)*)?
            {
                self.run(|iter| iter.$name($($arg),*))
            }
        )*}
    };
}

consumers! {
    for_each[F: (Fn(I::Item) + Sync + Send)](f: F) -> ();
    for_each_ordered[F: (FnMut(I::Item) + Send)](f: F) -> ();
    try_for_each[R: (Try<Output = ()> + Send), F: (Fn(I::Item) -> R + Sync + Send)](f: F) -> R;
    count[]() -> usize;
    reduce[ID: (Fn() -> I::Item + Sync + Send), OP: (Fn(I::Item, I::Item) -> I::Item + Sync + Send)]
        (identity: ID, op: OP) -> I::Item;
    reduce_with[OP: (Fn(I::Item, I::Item) -> I::Item + Sync + Send)](op: OP) -> Option<I::Item>;
    sum[S: (Send + Sum<I::Item> + Sum<S>)]() -> S;
    product[P: (Send + Product<I::Item> + Product<P>)]() -> P;
    min[]() where [I::Item: Ord] -> Option<I::Item>;
    max[]() where [I::Item: Ord] -> Option<I::Item>;
    min_by[F: (Fn(&I::Item, &I::Item) -> Ordering + Sync + Send)](f: F) -> Option<I::Item>;
    max_by[F: (Fn(&I::Item, &I::Item) -> Ordering + Sync + Send)](f: F) -> Option<I::Item>;
    min_by_key[K: (Ord + Send), F: (Fn(&I::Item) -> K + Sync + Send)](f: F) -> Option<I::Item>;
    max_by_key[K: (Ord + Send), F: (Fn(&I::Item) -> K + Sync + Send)](f: F) -> Option<I::Item>;
    any[P: (Fn(I::Item) -> bool + Sync + Send)](predicate: P) -> bool;
    all[P: (Fn(I::Item) -> bool + Sync + Send)](predicate: P) -> bool;
    find_any[P: (Fn(&I::Item) -> bool + Sync + Send)](predicate: P) -> Option<I::Item>;
    find_first[P: (Fn(&I::Item) -> bool + Sync + Send)](predicate: P) -> Option<I::Item>;
    find_last[P: (Fn(&I::Item) -> bool + Sync + Send)](predicate: P) -> Option<I::Item>;
    find_map_any[R: (Send), F: (Fn(I::Item) -> Option<R> + Sync + Send)](f: F) -> Option<R>;
    find_map_first[R: (Send), F: (Fn(I::Item) -> Option<R> + Sync + Send)](f: F) -> Option<R>;
    find_map_last[R: (Send), F: (Fn(I::Item) -> Option<R> + Sync + Send)](f: F) -> Option<R>;
    collect[C: (FromParallelIterator<I::Item>)]() -> C;
    partition[A: (Default + Send + ParallelExtend<I::Item>),
        B: (Default + Send + ParallelExtend<I::Item>),
        P: (Fn(&I::Item) -> bool + Sync + Send)](predicate: P) -> (A, B);
}
