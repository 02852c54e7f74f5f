//! A state for each thread that takes part in a loop.

use crate::engine::sync::{Mutex, lock};
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{Grain, IndexedSource, Shared, Source};
use std::fmt;

/// How a state is made.
#[doc(hidden)]
pub trait Make: Sync {
    /// The state.
    type State: Send;
    /// Makes one.
    fn make(&self) -> Self::State;
}

/// By a closure.
#[doc(hidden)]
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct ByCall<F>(pub(crate) F);

impl<T: Send, F: Fn() -> T + Sync> Make for ByCall<F> {
    type State = T;
    fn make(&self) -> T {
        (self.0)()
    }
}

/// By cloning a model. The lock stands in for `Sync`; a state is made once a thread.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct ByClone<T>(Mutex<T>);

impl<T: Clone> ByClone<T> {
    pub(crate) fn new(model: T) -> Self {
        ByClone(Mutex::new(model))
    }
}

impl<T: Clone> Clone for ByClone<T> {
    fn clone(&self) -> Self {
        ByClone::new(lock(&self.0).clone())
    }
}

impl<T: Clone + Send> Make for ByClone<T> {
    type State = T;
    fn make(&self) -> T {
        lock(&self.0).clone()
    }
}

/// States that no part of the loop uses at the moment. A part takes one when it begins and gives it
/// back when it ends, so there are never more of them than parts running at once.
struct States<M: Make> {
    make: M,
    free: Mutex<Vec<M::State>>,
}

impl<M: Make> States<M> {
    fn new(make: M) -> Self {
        States { make, free: Mutex::new(Vec::new()) }
    }
}

impl<M: Make + Clone> Clone for States<M> {
    fn clone(&self) -> Self {
        States::new(self.make.clone())
    }
}

/// The state that a part of the loop uses.
struct Held<M: Make> {
    states: Shared<States<M>>,
    state: Option<M::State>,
}

impl<M: Make> Held<M> {
    fn new(states: Shared<States<M>>) -> Self {
        Held { states, state: None }
    }

    #[inline]
    fn get(&mut self) -> &mut M::State {
        let states = self.states;
        self.state.get_or_insert_with(|| {
            let free = lock(&states.free).pop();
            free.unwrap_or_else(|| states.make.make())
        })
    }
}

impl<M: Make> Drop for Held<M> {
    fn drop(&mut self) {
        if let Some(state) = self.state.take()
            // A closure may have panicked half-way through a change.
            && !std::thread::panicking()
        {
            lock(&self.states.free).push(state);
        }
    }
}

macro_rules! map_with_state {
    ($(#[$doc:meta])* $name:ident<$($g:ident),*>, $make:ty, $new:expr, $arg:ident: $arg_type:ty,
        where { $($bounds:tt)* }, clone where { $($clone_bounds:tt)* }) => {
        $(#[$doc])*
        #[must_use = "parallel iterators are lazy and do nothing unless consumed"]
        pub struct $name<I, $($g,)* F>
        where
            $($bounds)*
        {
            base: I,
            states: States<$make>,
            f: F,
        }

        impl<I, $($g,)* F> $name<I, $($g,)* F>
        where
            $($bounds)*
        {
            pub(crate) fn new(base: I, $arg: $arg_type, f: F) -> Self {
                $name { base, states: States::new($new), f }
            }
        }

        impl<I: Clone, $($g,)* F: Clone> Clone for $name<I, $($g,)* F>
        where
            $($bounds)* $($clone_bounds)*
        {
            fn clone(&self) -> Self {
                $name { base: self.base.clone(), states: self.states.clone(), f: self.f.clone() }
            }
        }

        impl<I: fmt::Debug, $($g,)* F> fmt::Debug for $name<I, $($g,)* F>
        where
            $($bounds)*
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("base", &self.base).finish_non_exhaustive()
            }
        }

        impl<I, $($g,)* F, R> ParallelIterator for $name<I, $($g,)* F>
        where
            I: ParallelIterator,
            F: Fn(&mut T, I::Item) -> R + Sync + Send,
            R: Send,
            $($bounds)*
        {
            type Item = R;
            type Source = MapStateSource<I::Source, $make, F>;
            unsafe fn source(&mut self) -> Self::Source {
                // SAFETY: the states and the closure stay where they are as long as `self` does.
                let (states, f) = unsafe { (Shared::new(&self.states), Shared::new(&self.f)) };
                // SAFETY: and so does the base.
                MapStateSource { base: unsafe { self.base.source() }, held: Held::new(states), f }
            }
            fn opt_len(&self) -> Option<usize> {
                self.base.opt_len()
            }
        }

        impl<I, $($g,)* F, R> IndexedParallelIterator for $name<I, $($g,)* F>
        where
            I: IndexedParallelIterator,
            F: Fn(&mut T, I::Item) -> R + Sync + Send,
            R: Send,
            $($bounds)*
        {
        }
    };
}

map_with_state! {
    /// What [`map_with`](ParallelIterator::map_with) returns.
    MapWith<T>, ByClone<T>, ByClone::new(init), init: T,
    where { T: Clone + Send, }, clone where {}
}

map_with_state! {
    /// What [`map_init`](ParallelIterator::map_init) returns.
    MapInit<INIT, T>, ByCall<INIT>, ByCall(init), init: INIT,
    where { T: Send, INIT: Fn() -> T + Sync + Send, }, clone where { INIT: Clone, }
}

#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct MapStateSource<S, M: Make, F> {
    base: S,
    held: Held<M>,
    f: Shared<F>,
}

// SAFETY: an item for each item of the base.
unsafe impl<S, M, F, R> Source for MapStateSource<S, M, F>
where
    S: Source,
    M: Make,
    F: Fn(&mut M::State, S::Item) -> R + Sync + Send,
{
    type Item = R;
    const EXACT: bool = S::EXACT;
    #[inline]
    fn len(&self) -> usize {
        self.base.len()
    }
    /// The state stays with the left part, which is the one that goes on at once.
    fn split_at(self, index: usize) -> (Self, Self) {
        let MapStateSource { base, held, f } = self;
        let states = held.states;
        let (left, right) = base.split_at(index);
        (
            MapStateSource { base: left, held, f },
            MapStateSource { base: right, held: Held::new(states), f },
        )
    }
    #[inline]
    fn take_front(&mut self, n: usize) -> impl Iterator<Item = R> {
        let (state, f) = (self.held.get(), self.f);
        self.base.take_front(n).map(move |item| f(state, item))
    }
    fn grain(&self) -> Grain {
        self.base.grain()
    }
}

impl<S, M, F, R> IndexedSource for MapStateSource<S, M, F>
where
    S: IndexedSource,
    M: Make,
    F: Fn(&mut M::State, S::Item) -> R + Sync + Send,
{
    #[inline]
    fn take_back(&mut self, n: usize) -> impl Iterator<Item = R> {
        let (state, f) = (self.held.get(), self.f);
        self.base.take_back(n).map(move |item| f(state, item))
    }
}
