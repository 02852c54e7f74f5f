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
