//! Collecting into, and iterating over, the collections of the standard library.

mod collect;
pub(crate) mod drain;
mod into;

use super::adapters::{FirstFailure, WhileOk};
use super::convert::{FromParallelIterator, IntoParallelIterator};

/// All values, or the first error in the order of the input. Items before it are all looked at.
impl<C, T, E> FromParallelIterator<Result<T, E>> for Result<C, E>
where
    C: FromParallelIterator<T>,
    T: Send,
    E: Send,
{
    fn from_par_iter<I: IntoParallelIterator<Item = Result<T, E>>>(items: I) -> Self {
        let first = FirstFailure::new();
        let values = C::from_par_iter(WhileOk::new(items.into_par_iter(), &first));
        match first.into_inner() {
            Some(Err(error)) => Err(error),
            _ => Ok(values),
        }
    }
}

/// All values, or `None` if an item is.
impl<C, T> FromParallelIterator<Option<T>> for Option<C>
where
    C: FromParallelIterator<T>,
    T: Send,
{
    fn from_par_iter<I: IntoParallelIterator<Item = Option<T>>>(items: I) -> Self {
        let first = FirstFailure::new();
        let values = C::from_par_iter(WhileOk::new(items.into_par_iter(), &first));
        first.into_inner().is_none().then_some(values)
    }
}
