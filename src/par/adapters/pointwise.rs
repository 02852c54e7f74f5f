//! Adapters that turn each batch of their base into another by an adapter of the standard library.
#![expect(clippy::redundant_closure, reason = "a `Shared` closure is called through its deref")]

use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{Grain, IndexedSource, Shared, Source};
use std::fmt;

/// The adapter, its source, and what makes it one. `T` is the item of the base; the expression says
/// how a batch changes, given the items and the shared closure.
macro_rules! pointwise {
    ($(
        $(#[$doc:meta])*
        $name:ident, $source:ident<$($g:ident),*> exact: $exact:tt, Item = $item:ty;
        where { $($bounds:tt)* }
        |$items:ident, $f:ident| $each:expr;
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone)]
        #[must_use = "parallel iterators are lazy and do nothing unless consumed"]
        pub struct $name<I, F = ()> {
            base: I,
            f: F,
        }

        impl<I, F> $name<I, F> {
            pub(crate) fn new(base: I, f: F) -> Self {
                $name { base, f }
            }
        }

        impl<I: fmt::Debug, F> fmt::Debug for $name<I, F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("base", &self.base).finish_non_exhaustive()
            }
        }

        impl<I, F, $($g),*> ParallelIterator for $name<I, F>
        where
            I: ParallelIterator<Item = T>,
            F: Sync + Send,
            $($bounds)*
        {
            type Item = $item;
            type Source = $source<I::Source, F>;
            unsafe fn source(&mut self) -> Self::Source {
                // SAFETY: the base and the closure stay where they are as long as `self` does.
                let (base, f) = unsafe { (self.base.source(), Shared::new(&self.f)) };
                $source { base, f }
            }
            fn opt_len(&self) -> Option<usize> {
                if $exact { self.base.opt_len() } else { None }
            }
        }

        #[doc(hidden)]
        #[expect(missing_debug_implementations, reason = "nobody sees it")]
        pub struct $source<S, F> {
            base: S,
            f: Shared<F>,
        }

        // SAFETY: an adapter that is exact yields an item for each item of its base.
        unsafe impl<S, F, $($g),*> Source for $source<S, F>
        where
            S: Source<Item = T>,
            F: Sync + Send,
            $($bounds)*
        {
            type Item = $item;
            const EXACT: bool = $exact && S::EXACT;
            #[inline]
            fn len(&self) -> usize {
                self.base.len()
            }
            #[inline]
            fn split_at(self, index: usize) -> (Self, Self) {
                let f = self.f;
                let (left, right) = self.base.split_at(index);
                ($source { base: left, f }, $source { base: right, f })
            }
            #[inline]
            fn take_front(&mut self, n: usize) -> impl Iterator<Item = $item> {
                let ($items, $f) = (self.base.take_front(n), self.f);
                $each
            }
            fn grain(&self) -> Grain {
                self.base.grain()
            }
        }

        pointwise!(@indexed $exact, $name, $source<$($g),*> $item; { $($bounds)* } |$items, $f| $each);
    )*};
    (@indexed true, $name:ident, $source:ident<$($g:ident),*> $item:ty;
        { $($bounds:tt)* } |$items:ident, $f:ident| $each:expr) => {
        impl<S, F, $($g),*> IndexedSource for $source<S, F>
        where
            S: IndexedSource<Item = T>,
            F: Sync + Send,
            $($bounds)*
        {
            #[inline]
            fn take_back(&mut self, n: usize) -> impl Iterator<Item = $item> {
                let ($items, $f) = (self.base.take_back(n), self.f);
                $each
            }
        }

        impl<I, F, $($g),*> IndexedParallelIterator for $name<I, F>
        where
            I: IndexedParallelIterator<Item = T>,
            F: Sync + Send,
            $($bounds)*
        {
        }
    };
    (@indexed false, $($rest:tt)*) => {};
}

pointwise! {
    /// What [`map`](ParallelIterator::map) returns.
    Map, MapSource<T, R> exact: true, Item = R;
    where { T: Send, R: Send, F: Fn(T) -> R }
    |items, f| items.map(move |item| f(item));

    /// What [`cloned`](ParallelIterator::cloned) returns.
    Cloned, ClonedSource<T, R> exact: true, Item = R;
    where { T: Send + std::ops::Deref<Target = R>, R: Clone + Send }
    |items, _f| items.map(|item| (*item).clone());

    /// What [`copied`](ParallelIterator::copied) returns.
    Copied, CopiedSource<T, R> exact: true, Item = R;
    where { T: Send + std::ops::Deref<Target = R>, R: Copy + Send }
    |items, _f| items.map(|item| *item);

    /// What [`inspect`](ParallelIterator::inspect) returns.
    Inspect, InspectSource<T> exact: true, Item = T;
    where { T: Send, F: Fn(&T) }
    |items, f| items.inspect(move |item| f(item));

    /// What [`update`](ParallelIterator::update) returns.
    Update, UpdateSource<T> exact: true, Item = T;
    where { T: Send, F: Fn(&mut T) }
    |items, f| items.map(move |mut item| {
        f(&mut item);
        item
    });

    /// What [`filter`](ParallelIterator::filter) returns.
    Filter, FilterSource<T> exact: false, Item = T;
    where { T: Send, F: Fn(&T) -> bool }
    |items, f| items.filter(move |item| f(item));

    /// What [`filter_map`](ParallelIterator::filter_map) returns.
    FilterMap, FilterMapSource<T, R> exact: false, Item = R;
    where { T: Send, R: Send, F: Fn(T) -> Option<R> }
    |items, f| items.filter_map(move |item| f(item));

    /// What [`flat_map_iter`](ParallelIterator::flat_map_iter) returns.
    FlatMapIter, FlatMapIterSource<T, R> exact: false, Item = R::Item;
    where { T: Send, R: IntoIterator<Item: Send>, F: Fn(T) -> R }
    |items, f| items.flat_map(move |item| f(item));

    /// What [`flatten_iter`](ParallelIterator::flatten_iter) returns.
    FlattenIter, FlattenIterSource<T> exact: false, Item = T::Item;
    where { T: Send + IntoIterator<Item: Send> }
    |items, _f| items.flatten();
}
