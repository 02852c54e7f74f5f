//! Consumers that boil the items down to one value.

use super::Consumer;
use std::iter;
use std::marker::PhantomData;

/// Combines the items by an associative operation, in their order.
pub(crate) struct Reduce<'a, T, O> {
    op: &'a O,
    so_far: Option<T>,
}

impl<'a, T, O> Reduce<'a, T, O> {
    pub(crate) fn new(op: &'a O) -> Self {
        Reduce { op, so_far: None }
    }
}

impl<'a, T: Send, O: Fn(T, T) -> T + Sync> Consumer<T> for Reduce<'a, T, O> {
    type Out = (Option<T>, &'a O);
    fn split_at(self, _: usize) -> (Self, Self) {
        let right = Reduce::new(self.op);
        (self, right)
    }
    #[inline]
    fn feed(&mut self, mut items: impl Iterator<Item = T>) {
        let so_far = match self.so_far.take() {
            Some(so_far) => so_far,
            None => match items.next() {
                Some(first) => first,
                None => return,
            },
        };
        self.so_far = Some(items.fold(so_far, self.op));
    }
    fn finish(self) -> Self::Out {
        (self.so_far, self.op)
    }
    fn merge((left, op): Self::Out, (right, _): Self::Out) -> Self::Out {
        let both = match (left, right) {
            (Some(left), Some(right)) => Some(op(left, right)),
            (left, right) => left.or(right),
        };
        (both, op)
    }
}

/// Combines the items as a balanced tree, whose shape depends on their number alone.
pub(crate) struct Tree<'a, T, O> {
    op: &'a O,
    /// Which item comes next.
    next: usize,
    forest: Forest<T>,
}

/// What the items of one part have come to: side by side, the subtrees of the whole that are in it.
pub(crate) struct Forest<T>(Vec<Subtree<T>>);

/// Two to the power of `height` items, of which the first is at a multiple of that.
struct Subtree<T> {
    first: usize,
    height: u32,
    value: T,
}

impl<T> Forest<T> {
    /// Puts a subtree behind the others, and joins it with its sibling if that is there.
    #[inline]
    fn push(&mut self, mut subtree: Subtree<T>, op: &impl Fn(T, T) -> T) {
        while let Some(last) = self
            .0
            .pop_if(|last| last.height == subtree.height && last.first >> last.height & 1 == 0)
        {
            subtree = Subtree {
                first: last.first,
                height: last.height + 1,
                value: op(last.value, subtree.value),
            };
        }
        self.0.push(subtree);
    }

    /// What all of the items have come to.
    pub(crate) fn combine(self, op: &impl Fn(T, T) -> T) -> Option<T> {
        // The last one is the smallest: what the number of items lacks to a power of two is there.
        self.0.into_iter().map(|subtree| subtree.value).rev().reduce(|right, left| op(left, right))
    }
}

impl<'a, T, O> Tree<'a, T, O> {
    pub(crate) fn new(op: &'a O) -> Self {
        Tree { op, next: 0, forest: Forest(Vec::new()) }
    }
}

impl<'a, T: Send, O: Fn(T, T) -> T + Sync> Consumer<T> for Tree<'a, T, O> {
    type Out = (Forest<T>, &'a O);
    fn split_at(self, index: usize) -> (Self, Self) {
        let right = Tree { next: self.next + index, ..Tree::new(self.op) };
        (self, right)
    }
    #[inline]
    fn feed(&mut self, items: impl Iterator<Item = T>) {
        items.for_each(|value| {
            self.forest.push(Subtree { first: self.next, height: 0, value }, self.op);
            self.next += 1;
        });
    }
    fn finish(self) -> Self::Out {
        (self.forest, self.op)
    }
    fn merge((mut left, op): Self::Out, (right, _): Self::Out) -> Self::Out {
        right.0.into_iter().for_each(|subtree| left.push(subtree, op));
        (left, op)
    }
}

/// Counts the items.
pub(crate) struct Count(pub(crate) usize);

impl<T> Consumer<T> for Count {
    type Out = usize;
    fn split_at(self, _: usize) -> (Self, Self) {
        (self, Count(0))
    }
    #[inline]
    fn feed(&mut self, items: impl Iterator<Item = T>) {
        self.0 += items.count();
    }
    fn finish(self) -> usize {
        self.0
    }
    fn merge(left: usize, right: usize) -> usize {
        left + right
    }
}

macro_rules! total {
    ($(#[$doc:meta])* $name:ident, $trait:ident, $method:ident) => {
        $(#[$doc])*
        pub(crate) struct $name<S>(Option<S>, PhantomData<fn() -> S>);

        impl<S> $name<S> {
            pub(crate) fn new() -> Self {
                $name(None, PhantomData)
            }
        }

        impl<T, S> Consumer<T> for $name<S>
        where
            S: Send + iter::$trait<T> + iter::$trait<S>,
        {
            type Out = Option<S>;
            fn split_at(self, _: usize) -> (Self, Self) {
                (self, Self::new())
            }
            #[inline]
            fn feed(&mut self, items: impl Iterator<Item = T>) {
                let more: S = items.$method();
                self.0 = Some(match self.0.take() {
                    None => more,
                    Some(so_far) => [so_far, more].into_iter().$method(),
                });
            }
            fn finish(self) -> Option<S> {
                self.0
            }
            fn merge(left: Option<S>, right: Option<S>) -> Option<S> {
                match (left, right) {
                    (Some(left), Some(right)) => Some([left, right].into_iter().$method()),
                    (left, right) => left.or(right),
                }
            }
        }
    };
}

total! {
    /// Adds the items.
    Sum, Sum, sum
}
total! {
    /// Multiplies the items.
    Product, Product, product
}
