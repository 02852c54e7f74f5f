//! Tuples of parallel iterators: side by side.

use crate::par::convert::{
    IntoParallelIterator, IntoParallelRefIterator, IntoParallelRefMutIterator,
};
use crate::par::indexed::IndexedParallelIterator;
use crate::par::iter::ParallelIterator;
use crate::par::source::{Grain, IndexedSource, Source};

/// Tuples of the items at the same place in each of several parallel iterators, as many as the
/// shortest has: what a tuple of up to twelve things that can be iterated over in parallel becomes.
///
/// ```
/// use windlass::prelude::*;
/// let (a, b, mut sums) = ([1, 2, 3], vec![10, 20, 30], [0; 3]);
/// (&a, &b, &mut sums).into_par_iter().for_each(|(a, b, sum)| *sum = a + b);
/// assert_eq!(sums, [11, 22, 33]);
/// assert_eq!((a, b).par_iter().map(|(a, b)| a * b).sum::<i32>(), 140);
/// ```
#[derive(Clone, Debug)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct MultiZip<T> {
    tuple: T,
}

#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "nobody sees it")]
pub struct MultiZipSource<T>(T);

/// `zip(a, zip(b, c))` of `a b c`.
macro_rules! zip_all {
    ($last:expr;) => { $last };
    ($first:expr; $($rest:expr;)+) => { std::iter::zip($first, zip_all!($($rest;)+)) };
}

/// `(a, (b, c))` of `a b c`.
macro_rules! nested {
    ($last:ident) => { $last };
    ($first:ident $($rest:ident)+) => { ($first, nested!($($rest)+)) };
}

/// For each tuple: the types, names for what belongs to each, and the places.
macro_rules! multi_zip {
    ($([$($t:ident $one:ident $left:ident $right:ident $i:tt),+])*) => {$(
        impl<$($t),+> IntoParallelIterator for ($($t,)+)
        where
            $($t: IntoParallelIterator<Iter: IndexedParallelIterator>,)+
        {
            type Iter = MultiZip<($($t::Iter,)+)>;
            type Item = ($($t::Item,)+);
            fn into_par_iter(self) -> Self::Iter {
                MultiZip { tuple: ($(self.$i.into_par_iter(),)+) }
            }
        }

        impl<'data, $($t),+> IntoParallelIterator for &'data ($($t,)+)
        where
            $($t: IntoParallelRefIterator<'data, Iter: IndexedParallelIterator>,)+
        {
            type Iter = MultiZip<($($t::Iter,)+)>;
            type Item = ($($t::Item,)+);
            fn into_par_iter(self) -> Self::Iter {
                MultiZip { tuple: ($(self.$i.par_iter(),)+) }
            }
        }

        impl<'data, $($t),+> IntoParallelIterator for &'data mut ($($t,)+)
        where
            $($t: IntoParallelRefMutIterator<'data, Iter: IndexedParallelIterator>,)+
        {
            type Iter = MultiZip<($($t::Iter,)+)>;
            type Item = ($($t::Item,)+);
            fn into_par_iter(self) -> Self::Iter {
                MultiZip { tuple: ($(self.$i.par_iter_mut(),)+) }
            }
        }

        impl<$($t: IndexedParallelIterator),+> ParallelIterator for MultiZip<($($t,)+)> {
            type Item = ($($t::Item,)+);
            type Source = MultiZipSource<($($t::Source,)+)>;
            unsafe fn source(&mut self) -> Self::Source {
                // SAFETY: all stay where they are as long as `self` does.
                let sources = unsafe { ($(self.tuple.$i.source(),)+) };
                // The longer ones are cut down, so that all are always of one length, also from
                // the back.
                let len = [$(sources.$i.len()),+].into_iter().min().unwrap_or(0);
                MultiZipSource(($(sources.$i.split_at(len).0,)+))
            }
            fn opt_len(&self) -> Option<usize> {
                let mut least = usize::MAX;
                $(least = least.min(self.tuple.$i.opt_len()?);)+
                Some(least)
            }
        }

        impl<$($t: IndexedParallelIterator),+> IndexedParallelIterator for MultiZip<($($t,)+)> {}

        // SAFETY: exact if all are; they are cut alike.
        unsafe impl<$($t: Source),+> Source for MultiZipSource<($($t,)+)> {
            type Item = ($($t::Item,)+);
            const EXACT: bool = $($t::EXACT)&&+;
            #[inline]
            fn len(&self) -> usize {
                self.0.0.len()
            }
            #[inline]
            fn split_at(self, index: usize) -> (Self, Self) {
                $(let ($left, $right) = self.0.$i.split_at(index);)+
                (MultiZipSource(($($left,)+)), MultiZipSource(($($right,)+)))
            }
            #[inline]
            fn take_front(&mut self, n: usize) -> impl Iterator<Item = Self::Item> {
                zip_all!($(self.0.$i.take_front(n);)+).map(|nested!($($one)+)| ($($one,)+))
            }
            fn grain(&self) -> Grain {
                Grain::default()$(.and(self.0.$i.grain()))+
            }
        }

        impl<$($t: IndexedSource),+> IndexedSource for MultiZipSource<($($t,)+)> {
            #[inline]
            fn take_back(&mut self, n: usize) -> impl Iterator<Item = Self::Item> {
                zip_all!($(self.0.$i.take_back(n);)+).map(|nested!($($one)+)| ($($one,)+))
            }
        }
    )*};
}

multi_zip! {
    [A a a0 a1 0]
    [A a a0 a1 0, B b b0 b1 1]
    [A a a0 a1 0, B b b0 b1 1, C c c0 c1 2]
    [A a a0 a1 0, B b b0 b1 1, C c c0 c1 2, D d d0 d1 3]
    [A a a0 a1 0, B b b0 b1 1, C c c0 c1 2, D d d0 d1 3, E e e0 e1 4]
    [A a a0 a1 0, B b b0 b1 1, C c c0 c1 2, D d d0 d1 3, E e e0 e1 4, F f f0 f1 5]
    [A a a0 a1 0, B b b0 b1 1, C c c0 c1 2, D d d0 d1 3, E e e0 e1 4, F f f0 f1 5, G g g0 g1 6]
    [A a a0 a1 0, B b b0 b1 1, C c c0 c1 2, D d d0 d1 3, E e e0 e1 4, F f f0 f1 5, G g g0 g1 6,
        H h h0 h1 7]
    [A a a0 a1 0, B b b0 b1 1, C c c0 c1 2, D d d0 d1 3, E e e0 e1 4, F f f0 f1 5, G g g0 g1 6,
        H h h0 h1 7, I i i0 i1 8]
    [A a a0 a1 0, B b b0 b1 1, C c c0 c1 2, D d d0 d1 3, E e e0 e1 4, F f f0 f1 5, G g g0 g1 6,
        H h h0 h1 7, I i i0 i1 8, J j j0 j1 9]
    [A a a0 a1 0, B b b0 b1 1, C c c0 c1 2, D d d0 d1 3, E e e0 e1 4, F f f0 f1 5, G g g0 g1 6,
        H h h0 h1 7, I i i0 i1 8, J j j0 j1 9, K k k0 k1 10]
    [A a a0 a1 0, B b b0 b1 1, C c c0 c1 2, D d d0 d1 3, E e e0 e1 4, F f f0 f1 5, G g g0 g1 6,
        H h h0 h1 7, I i i0 i1 8, J j j0 j1 9, K k k0 k1 10, L l l0 l1 11]
}
