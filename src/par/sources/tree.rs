//! Trees whose nodes are made as they are visited.

use crate::engine::clock;
use crate::par::iter::ParallelIterator;
use crate::par::source::{Shared, Source};
use crate::pool::with_current_registry;
use std::{fmt, iter};

/// So often a part may be cut, and its parts again, at any time; after that, only when it has taken
/// an eighth more steps than at the last cut. Each cut is a frame on the stack of whoever goes on.
/// So there are some 200 at most in a walk of a billion steps, even where a cut leaves nearly all
/// on one side, as in a tree that is little more than a path.
const FREE_CUTS: u32 = 64;
const MIN_GROWTH: usize = 16;
/// While a part cannot be cut, the driver has nothing to decide: it need not look more often.
const SLICE_US: u64 = 4;
const MAX_SLICE: usize = 1024;

/// A parallel iterator over the nodes of a tree in whatever order is fastest, as
/// [`walk_tree_prefix`] otherwise. `children_of` says what the children of a node are.
///
/// ```
/// use windlass::iter;
/// use windlass::prelude::*;
/// // Numbers, and under each its halves.
/// let children = |&n: &u32| if n > 1 { vec![n / 2, n - n / 2] } else { vec![] };
/// assert_eq!(iter::walk_tree(100, children).filter(|&n| n == 1).count(), 100);
/// ```
pub fn walk_tree<S, B, I>(root: S, children_of: B) -> WalkTree<S, B>
where
    S: Send,
    B: Fn(&S) -> I + Send + Sync,
    I: IntoIterator<Item = S>,
{
    WalkTree { root: Some(root), children_of }
}

/// A parallel iterator over the nodes of a tree, each before its children, and those with all below
/// them one after the other. `children_of` says what the children of a node are.
///
/// Nodes that wait for their turn are given to other workers, with all that is below them. Neither
/// the depth nor the width of the tree matters to the stack. The nodes of a path, where there is
/// never more than one that waits, are visited by one worker.
///
/// ```
/// use windlass::iter;
/// use windlass::prelude::*;
/// let children = |&n: &u32| if n < 4 { vec![2 * n, 2 * n + 1] } else { vec![] };
/// let nodes: Vec<u32> = iter::walk_tree_prefix(1, children).collect();
/// assert_eq!(nodes, [1, 2, 4, 5, 3, 6, 7]);
/// ```
pub fn walk_tree_prefix<S, B, I>(root: S, children_of: B) -> WalkTreePrefix<S, B>
where
    S: Send,
    B: Fn(&S) -> I + Send + Sync,
    I: IntoIterator<Item = S>,
{
    WalkTreePrefix { root: Some(root), children_of }
}

/// A parallel iterator over the nodes of a tree, each after its children and all that is below
/// them, as [`walk_tree_prefix`] otherwise.
///
/// ```
/// use windlass::iter;
/// use windlass::prelude::*;
/// let children = |&n: &u32| if n < 4 { vec![2 * n, 2 * n + 1] } else { vec![] };
/// let nodes: Vec<u32> = iter::walk_tree_postfix(1, children).collect();
/// assert_eq!(nodes, [4, 5, 2, 6, 7, 3, 1]);
/// ```
pub fn walk_tree_postfix<S, B, I>(root: S, children_of: B) -> WalkTreePostfix<S, B>
where
    S: Send,
    B: Fn(&S) -> I + Send + Sync,
    I: IntoIterator<Item = S>,
{
    WalkTreePostfix { root: Some(root), children_of }
}

macro_rules! walk {
    ($($(#[$doc:meta])* $name:ident => $source:ident, $first:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone)]
        #[must_use = "parallel iterators are lazy and do nothing unless consumed"]
        pub struct $name<S, B> {
            /// Until the source is made.
            root: Option<S>,
            children_of: B,
        }

        impl<S: fmt::Debug, B> fmt::Debug for $name<S, B> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("root", &self.root).finish_non_exhaustive()
            }
        }

        impl<S, B, I> ParallelIterator for $name<S, B>
        where
            S: Send,
            B: Fn(&S) -> I + Send + Sync,
            I: IntoIterator<Item = S>,
        {
            type Item = S;
            type Source = $source<S, B>;
            unsafe fn source(&mut self) -> Self::Source {
                // SAFETY: the closure stays where it is as long as `self` does.
                let children_of = unsafe { Shared::new(&self.children_of) };
                $source { pending: Pending::new(self.root.take().map($first)), children_of }
            }
        }
    )*};
}

walk! {
    /// What [`walk_tree`] returns.
    WalkTree => PrefixSource, |root| root;
    /// What [`walk_tree_prefix`] returns.
    WalkTreePrefix => PrefixSource, |root| root;
    /// What [`walk_tree_postfix`] returns.
    WalkTreePostfix => PostfixSource, Step::Enter;
}

/// What is still to be done, the next step last: so what comes earlier in the list is later in the
/// order of the tree, and a cut anywhere is a cut of the sequence of nodes. Units are steps.
struct Pending<E> {
    steps: Vec<E>,
    /// How many steps have been taken by this part and by those that it was cut from, and how many
    /// it were when it was cut from the last.
    taken: usize,
    taken_before: usize,
    num_cuts: u32,
    /// In ticks.
    slice: u64,
}

impl<E> Pending<E> {
    fn new(first: Option<E>) -> Self {
        let slice = with_current_registry(|registry| registry.us(SLICE_US));
        let steps = first.into_iter().collect();
        Pending { steps, taken: 0, taken_before: 0, num_cuts: 0, slice }
    }

    fn may_cut(&self) -> bool {
        let growth = self.taken - self.taken_before;
        self.steps.len() > 1
            && (self.num_cuts < FREE_CUTS || growth >= (self.taken_before / 8).max(MIN_GROWTH))
    }

    /// How many steps are thought to come of one that is pending: as many as there were so far. A
    /// walk that has taken long is likely to take long again.
    fn weight(&self) -> usize {
        self.taken.saturating_add(1)
    }

    fn len(&self) -> usize {
        match self.steps.len() {
            0 => 0,
            pending if self.may_cut() => pending.saturating_mul(self.weight()),
            // The driver does not cut this.
            _ => 1,
        }
    }

    fn split_at(mut self, index: usize) -> (Self, Self) {
        let num_left = match index {
            0 => 0,
            _ if index >= self.len() => self.steps.len(),
            _ => index.div_ceil(self.weight()).min(self.steps.len() - 1),
        };
        let left = self.steps.split_off(self.steps.len() - num_left);
        let part = |steps| Pending {
            steps,
            taken_before: self.taken,
            num_cuts: self.num_cuts.saturating_add(1),
            ..self
        };
        (part(left), part(self.steps))
    }

    /// Takes `n` steps, each of which may put others in its place and may yield an item. While the
    /// part cannot be cut, one step stands for a whole slice of time.
    fn take<T>(
        &mut self,
        n: usize,
        mut step: impl FnMut(&mut Vec<E>, E) -> Option<T>,
    ) -> impl Iterator<Item = T> {
        let mut slice = (n == 1 && !self.may_cut()).then(|| Slice::new(self.slice));
        let mut left = n;
        iter::from_fn(move || {
            loop {
                if left > 0 {
                    left -= 1;
                } else if self.may_cut() || !slice.as_mut()?.goes_on() {
                    return None;
                }
                let next = self.steps.pop()?;
                self.taken = self.taken.saturating_add(1);
                let item = step(&mut self.steps, next);
                if item.is_some() {
                    return item;
                }
            }
        })
    }
}

/// A stretch of steps. It looks at the clock after 1, 2, 4, .. of them.
struct Slice {
    start: u64,
    limit: u64,
    count: usize,
    next_look: usize,
}

impl Slice {
    fn new(limit: u64) -> Self {
        Slice { start: clock::ticks(), limit, count: 0, next_look: 1 }
    }

    /// Whether there is time for another step, after the first.
    #[inline]
    fn goes_on(&mut self) -> bool {
        self.count += 1;
        if self.count == self.next_look {
            self.next_look *= 2;
            return self.count < MAX_SLICE && clock::since(self.start) < self.limit / 2;
        }
        true
    }
}

macro_rules! by_steps {
    ($source:ident<$s:ident, $step:ty>,
        |$children_of:ident, $steps:ident, $next:ident| $take:expr) => {
        #[doc(hidden)]
        #[expect(missing_debug_implementations, reason = "nobody sees it")]
        pub struct $source<$s, B> {
            pending: Pending<$step>,
            children_of: Shared<B>,
        }

        // SAFETY: not exact.
        unsafe impl<$s, B, I> Source for $source<$s, B>
        where
            $s: Send,
            B: Fn(&$s) -> I + Send + Sync,
            I: IntoIterator<Item = $s>,
        {
            type Item = $s;
            const EXACT: bool = false;
            #[inline]
            fn len(&self) -> usize {
                self.pending.len()
            }
            fn split_at(self, index: usize) -> (Self, Self) {
                let children_of = self.children_of;
                let (left, right) = self.pending.split_at(index);
                ($source { pending: left, children_of }, $source { pending: right, children_of })
            }
            #[inline]
            fn take_front(&mut self, n: usize) -> impl Iterator<Item = $s> {
                let $children_of = self.children_of;
                self.pending.take(n, move |$steps, $next| $take)
            }
        }
    };
}

by_steps!(PrefixSource<S, S>, |children_of, steps, node| {
    let first = steps.len();
    steps.extend(children_of(&node));
    steps[first..].reverse();
    Some(node)
});

enum Step<S> {
    /// The node's children are not known yet.
    Enter(S),
    /// Its children come before it in the list of what is done, so they are done.
    Leave(S),
}

by_steps!(PostfixSource<S, Step<S>>, |children_of, steps, next| match next {
    Step::Leave(node) => Some(node),
    Step::Enter(node) => {
        let children = children_of(&node).into_iter();
        steps.push(Step::Leave(node));
        let first = steps.len();
        steps.extend(children.map(Step::Enter));
        steps[first..].reverse();
        None
    }
});
