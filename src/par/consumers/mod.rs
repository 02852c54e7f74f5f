//! What a parallel loop does with its items: one consumer a kind of loop.

mod attempt;
mod collect;
mod find;
mod reduce;

pub(crate) use attempt::{TryForEach, TryReduce};
pub(crate) use collect::{InPlace, Pieces, TwoInPlace, TwoPieces};
pub(crate) use find::{Any, End, FindAny, FindEnd, Made, Rank, That};
pub(crate) use reduce::{Count, Product, Reduce, Sum, Tree};

/// Eats the items of one contiguous part of the input, and merges with the consumer of the next
/// part.
pub(crate) trait Consumer<T>: Sized + Send {
    /// What is left when the part is eaten. Dropping it drops the partial results in it.
    type Out: Send;
    /// The consumer of the first `index` units that are still to come (and all that were eaten),
    /// and that of the rest.
    fn split_at(self, index: usize) -> (Self, Self);
    /// Eats the items of the next batch.
    fn feed(&mut self, items: impl Iterator<Item = T>);
    /// Whether further items are of no interest.
    fn is_full(&self) -> bool {
        false
    }
    /// The part is eaten.
    fn finish(self) -> Self::Out;
    /// Joins the results of two neighbouring parts.
    fn merge(left: Self::Out, right: Self::Out) -> Self::Out;
}

/// Calls a closure with each item.
pub(crate) struct ForEach<'a, F>(pub(crate) &'a F);

impl<T, F: Fn(T) + Sync> Consumer<T> for ForEach<'_, F> {
    type Out = ();
    fn split_at(self, _: usize) -> (Self, Self) {
        (ForEach(self.0), self)
    }
    #[inline]
    fn feed(&mut self, items: impl Iterator<Item = T>) {
        items.for_each(self.0);
    }
    fn finish(self) {}
    fn merge((): (), (): ()) {}
}
