//! Parallel iterators that know how many items they have, and which comes where.

use super::adapters::*;
use super::consumers::Tree;
use super::convert::{IntoParallelIterator, collect_in_place};
use super::iter::ParallelIterator;
use super::run;
use super::source::{Blocks, Grain, IndexedSource};
use std::cmp::Ordering;
use std::iter::{self, Sum};
use std::num::NonZeroUsize;

/// The most leaves of a deterministic reduction.
const MAX_LEAVES: usize = 1024;

/// How many items a leaf of a deterministic reduction has, by their number alone: one if there are
/// few, and soon some, because a leaf costs about as much as ten additions.
fn leaf_len(len: usize) -> usize {
    (len / 16).clamp(1, 8).max(len.div_ceil(MAX_LEAVES))
}

/// A [`ParallelIterator`] that knows how many items it has, and which comes where.
///
/// # Implementing it
/// [`opt_len`](ParallelIterator::opt_len) must return the length.
#[expect(clippy::len_without_is_empty, reason = "as `ExactSizeIterator`")]
pub trait IndexedParallelIterator: ParallelIterator<Source: IndexedSource> {
    /// How many items there are.
    ///
    /// # Panics
    /// If the number does not fit a `usize`.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!((0..10).into_par_iter().step_by(3).len(), 4);
    /// ```
    fn len(&self) -> usize {
        self.opt_len().expect("the number of items fits a usize")
    }

    // ---- adapters

    /// Items side by side with those of another, as many as the shorter one has.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let dot: i32 = [1, 2, 3].par_iter().zip(&[4, 5, 6]).map(|(a, b)| a * b).sum();
    /// assert_eq!(dot, 32);
    /// ```
    fn zip<Z>(self, other: Z) -> Zip<Self, Z::Iter>
    where
        Z: IntoParallelIterator<Iter: IndexedParallelIterator>,
    {
        Zip::new(self, other.into_par_iter())
    }

    /// [`zip`](Self::zip) of iterators that must be of one length.
    ///
    /// # Panics
    /// If they are not.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!([1, 2].par_iter().zip_eq([3, 4]).count(), 2);
    /// ```
    #[track_caller]
    fn zip_eq<Z>(self, other: Z) -> ZipEq<Self, Z::Iter>
    where
        Z: IntoParallelIterator<Iter: IndexedParallelIterator>,
    {
        let other = other.into_par_iter();
        assert_eq!(self.len(), other.len(), "the iterators of zip_eq must be of one length");
        ZipEq::new(self, other)
    }

    /// Items of this one and the other in turn, and then what is left of the longer.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<i32> = [1, 2].into_par_iter().interleave([10, 20, 30]).collect();
    /// assert_eq!(v, [1, 10, 2, 20, 30]);
    /// ```
    fn interleave<J>(self, other: J) -> Interleave<Self, J::Iter>
    where
        J: IntoParallelIterator<Item = Self::Item, Iter: IndexedParallelIterator>,
    {
        Interleave::new(self, other.into_par_iter())
    }

    /// Items of this one and the other in turn, until the one whose turn it is has none.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<i32> = [1, 2].into_par_iter().interleave_shortest([10, 20, 30]).collect();
    /// assert_eq!(v, [1, 10, 2, 20]);
    /// ```
    fn interleave_shortest<J>(self, other: J) -> Interleave<Take<Self>, Take<J::Iter>>
    where
        J: IntoParallelIterator<Item = Self::Item, Iter: IndexedParallelIterator>,
    {
        let other = other.into_par_iter();
        let (ours, theirs) = (self.len(), other.len());
        let (ours, theirs) = if ours <= theirs { (ours, ours) } else { (theirs + 1, theirs) };
        self.take(ours).interleave(other.take(theirs))
    }

    /// A copy of `item` between any two items.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<i32> = [1, 2, 3].into_par_iter().intersperse(0).collect();
    /// assert_eq!(v, [1, 0, 2, 0, 3]);
    /// ```
    fn intersperse(self, item: Self::Item) -> Intersperse<Self, Self::Item>
    where
        Self::Item: Clone,
    {
        Intersperse::new(self, item)
    }

    /// Vectors of `size` items each; the last one may be shorter.
    ///
    /// # Panics
    /// If `size` is 0.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<Vec<i32>> = (0..5).into_par_iter().chunks(2).collect();
    /// assert_eq!(v, [vec![0, 1], vec![2, 3], vec![4]]);
    /// ```
    #[track_caller]
    fn chunks(self, size: usize) -> Chunks<Self> {
        assert!(size > 0, "the size of a chunk must be at least 1");
        Chunks::new(self, size)
    }

    /// Folds each run of `size` items; the last one may be shorter.
    ///
    /// # Panics
    /// If `size` is 0.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let sums: Vec<i32> = (0..5).into_par_iter().fold_chunks(2, || 0, |sum, n| sum + n).collect();
    /// assert_eq!(sums, [1, 5, 4]);
    /// ```
    #[track_caller]
    fn fold_chunks<T, ID, F>(self, size: usize, identity: ID, fold_op: F) -> FoldChunks<Self, ID, F>
    where
        ID: Fn() -> T + Send + Sync,
        F: Fn(T, Self::Item) -> T + Send + Sync,
        T: Send,
    {
        assert!(size > 0, "the size of a chunk must be at least 1");
        FoldChunks::new(self, size, identity, fold_op)
    }

    /// [`fold_chunks`](Self::fold_chunks) that starts with clones of `init`.
    ///
    /// # Panics
    /// If `size` is 0.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let sums: Vec<i32> = (0..5).into_par_iter().fold_chunks_with(2, 0, |sum, n| sum + n).collect();
    /// assert_eq!(sums, [1, 5, 4]);
    /// ```
    #[track_caller]
    fn fold_chunks_with<T, F>(
        self,
        size: usize,
        init: T,
        fold_op: F,
    ) -> impl IndexedParallelIterator<Item = T>
    where
        F: Fn(T, Self::Item) -> T + Send + Sync,
        T: Send + Clone,
    {
        let model = ByClone::new(init);
        self.fold_chunks(size, move || model.make(), fold_op)
    }

    /// Pairs of a position, from 0, and the item there.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<(usize, char)> = vec!['a', 'b'].into_par_iter().enumerate().collect();
    /// assert_eq!(v, [(0, 'a'), (1, 'b')]);
    /// ```
    fn enumerate(self) -> Enumerate<Self> {
        Enumerate::new(self)
    }

    /// The first item, and every `step`-th after it.
    ///
    /// # Panics
    /// If `step` is 0.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<i32> = (0..7).into_par_iter().step_by(3).collect();
    /// assert_eq!(v, [0, 3, 6]);
    /// ```
    #[track_caller]
    fn step_by(self, step: usize) -> StepBy<Self> {
        assert!(step > 0, "the step must be at least 1");
        StepBy::new(self, step)
    }

    /// All but the first `n` items. Closures of earlier adapters are not called for those (in rayon
    /// and the standard library they are).
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<i32> = (0..5).into_par_iter().skip(3).collect();
    /// assert_eq!(v, [3, 4]);
    /// ```
    fn skip(self, n: usize) -> Skip<Self> {
        Skip::new(self, n)
    }

    /// The first `n` items.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<i32> = (0..5).into_par_iter().take(3).collect();
    /// assert_eq!(v, [0, 1, 2]);
    /// ```
    fn take(self, n: usize) -> Take<Self> {
        Take::new(self, n)
    }

    /// The items from the last to the first.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<i32> = (0..3).into_par_iter().rev().collect();
    /// assert_eq!(v, [2, 1, 0]);
    /// ```
    fn rev(self) -> Rev<Self> {
        Rev::new(self)
    }

    /// The positions of the items that `predicate` holds for, in order.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<usize> = [1, 8, 2, 9].par_iter().positions(|&n| n > 5).collect();
    /// assert_eq!(v, [1, 3]);
    /// ```
    fn positions<P>(self, predicate: P) -> impl ParallelIterator<Item = usize>
    where
        P: Fn(Self::Item) -> bool + Sync + Send,
    {
        self.enumerate().filter_map(move |(position, item)| predicate(item).then_some(position))
    }

    /// Prefix sums by an associative operation: what comes out at a position is all items up to
    /// there, combined.
    ///
    /// A loop that is too short to be shared is a plain one. For one that is shared, the items are
    /// collected first. With three workers or more the scan itself is parallel, in two passes
    /// (Blelloch 1990): totals of blocks, then the blocks; so `op` is called about twice as often
    /// as in a plain loop.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let v: Vec<i32> = [1, 2, 3].into_par_iter().inclusive_scan(|a, b| a + b).collect();
    /// assert_eq!(v, [1, 3, 6]);
    /// ```
    fn inclusive_scan<F>(self, op: F) -> Scan<Self, F>
    where
        F: Fn(&Self::Item, &Self::Item) -> Self::Item + Sync + Send,
    {
        Scan::new(self, None, op)
    }

    /// As [`inclusive_scan`](Self::inclusive_scan), with `init` combined with all items *before* a
    /// position.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let offsets: Vec<usize> = [3, 1, 4].into_par_iter().exclusive_scan(0, |a, b| a + b).collect();
    /// assert_eq!(offsets, [0, 3, 4]);
    /// ```
    fn exclusive_scan<F>(self, init: Self::Item, op: F) -> Scan<Self, F>
    where
        F: Fn(&Self::Item, &Self::Item) -> Self::Item + Sync + Send,
    {
        Scan::new(self, Some(init), op)
    }

    /// Pieces of fewer than twice `min` items are not split. For items whose cost cannot be judged
    /// by those before them; usually there is nothing to gain.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!((0..1000).into_par_iter().with_min_len(100).sum::<i32>(), 499_500);
    /// ```
    fn with_min_len(self, min: usize) -> WithGrain<Self> {
        WithGrain::new(self, Grain { min: min.max(1), ..Grain::default() })
    }

    /// A worker looks at least every `max` items whether others want some of its work. For items
    /// that become much more expensive along the way; usually there is nothing to gain.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!((0..1000).into_par_iter().with_max_len(1).sum::<i32>(), 499_500);
    /// ```
    fn with_max_len(self, max: usize) -> WithGrain<Self> {
        WithGrain::new(self, Grain { max: max.max(1), ..Grain::default() })
    }

    /// Runs the loop in blocks of `size` items, one block after the other, each in parallel: nothing
    /// is touched far ahead of the first unfinished item. For searches and for locality.
    ///
    /// # Panics
    /// If `size` is 0.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let found = (0..1000).into_par_iter().by_uniform_blocks(100).find_any(|&n| n == 50);
    /// assert_eq!(found, Some(50));
    /// ```
    #[track_caller]
    fn by_uniform_blocks(self, size: usize) -> WithGrain<Self> {
        let size = NonZeroUsize::new(size).expect("the size of a block must be at least 1");
        WithGrain::new(self, Grain { blocks: Blocks::Uniform(size), ..Grain::default() })
    }

    /// [`by_uniform_blocks`](Self::by_uniform_blocks) with blocks that double in size, from one
    /// item a worker. For searches that usually end early.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let found = (0..1000).into_par_iter().by_exponential_blocks().find_first(|&n| n > 3);
    /// assert_eq!(found, Some(4));
    /// ```
    fn by_exponential_blocks(self) -> WithGrain<Self> {
        WithGrain::new(self, Grain { blocks: Blocks::Exponential, ..Grain::default() })
    }

    // ---- consumers

    /// Replaces the contents of a vector by the items. Its memory is used again.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let mut v = vec![9; 9];
    /// (0..3).into_par_iter().collect_into_vec(&mut v);
    /// assert_eq!(v, [0, 1, 2]);
    /// ```
    fn collect_into_vec(self, target: &mut Vec<Self::Item>) {
        target.clear();
        collect_in_place(self, target);
    }

    /// Replaces the contents of two vectors by the halves of the items.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let (mut a, mut b) = (Vec::new(), Vec::new());
    /// (0..3).into_par_iter().map(|n| (n, -n)).unzip_into_vecs(&mut a, &mut b);
    /// assert_eq!((a, b), (vec![0, 1, 2], vec![0, -1, -2]));
    /// ```
    fn unzip_into_vecs<A, B>(self, left: &mut Vec<A>, right: &mut Vec<B>)
    where
        Self: IndexedParallelIterator<Item = (A, B)>,
        A: Send,
        B: Send,
    {
        left.clear();
        right.clear();
        super::convert::unzip_in_place(self, left, right);
    }

    /// Combines the items by `op` in a way that depends on their number alone: neither on the
    /// number of workers nor on how they shared the work. So a floating-point result is the same
    /// in every run, on every machine that rounds the same.
    ///
    /// The input is cut into at most 1,024 runs of one length. Each is folded from left to right,
    /// starting with `identity`; the results are combined as a balanced tree.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// let sum = |workers| {
    ///     let pool = windlass::Pool::new(workers).unwrap();
    ///     let numbers = (1..10_000).into_par_iter().map(|n| 1.0 / n as f64);
    ///     pool.install(|| numbers.reduce_deterministic(|| 0.0, |a, b| a + b))
    /// };
    /// assert_eq!(sum(1).to_bits(), sum(3).to_bits());
    /// ```
    fn reduce_deterministic<OP, ID>(self, identity: ID, op: OP) -> Self::Item
    where
        OP: Fn(Self::Item, Self::Item) -> Self::Item + Sync + Send,
        ID: Fn() -> Self::Item + Sync + Send,
    {
        let size = leaf_len(self.len());
        let (forest, op) = run(self.fold_chunks(size, &identity, &op), Tree::new(&op));
        forest.combine(op).unwrap_or_else(identity)
    }

    /// The sum, grouped as in [`reduce_deterministic`](Self::reduce_deterministic).
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!([0.1, 0.2, 0.3].par_iter().sum_deterministic::<f64>(), 0.1 + 0.2 + 0.3);
    /// ```
    fn sum_deterministic<S>(self) -> S
    where
        S: Send + Sum<Self::Item> + Sum<S>,
    {
        self.map(|item| iter::once(item).sum()).reduce_deterministic(
            || iter::empty::<S>().sum(),
            |a: S, b: S| [a, b].into_iter().sum(),
        )
    }

    /// The position of an item that `predicate` holds for, whichever is found first.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!([5, 6].par_iter().position_any(|&n| n == 6), Some(1));
    /// ```
    fn position_any<P>(self, predicate: P) -> Option<usize>
    where
        P: Fn(Self::Item) -> bool + Sync + Send,
    {
        self.positions(predicate).find_any(|_| true)
    }

    /// The position of the first item that `predicate` holds for.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!([5, 6, 6].par_iter().position_first(|&n| n == 6), Some(1));
    /// ```
    fn position_first<P>(self, predicate: P) -> Option<usize>
    where
        P: Fn(Self::Item) -> bool + Sync + Send,
    {
        self.positions(predicate).find_first(|_| true)
    }

    /// The position of the last item that `predicate` holds for.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!([5, 6, 6].par_iter().position_last(|&n| n == 6), Some(2));
    /// ```
    fn position_last<P>(self, predicate: P) -> Option<usize>
    where
        P: Fn(Self::Item) -> bool + Sync + Send,
    {
        self.positions(predicate).find_last(|_| true)
    }

    /// Compares the items with those of another, as words in a dictionary.
    ///
    /// ```
    /// use std::cmp::Ordering;
    /// use windlass::prelude::*;
    /// assert_eq!([1, 2].par_iter().cmp(&[1, 3]), Ordering::Less);
    /// ```
    fn cmp<I>(self, other: I) -> Ordering
    where
        I: IntoParallelIterator<Item = Self::Item, Iter: IndexedParallelIterator>,
        Self::Item: Ord,
    {
        let other = other.into_par_iter();
        let by_length = self.len().cmp(&other.len());
        self.zip(other)
            .map(|(a, b)| a.cmp(&b))
            .find_first(|order| order.is_ne())
            .unwrap_or(by_length)
    }

    /// [`cmp`](Self::cmp) of items that may not be comparable.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert_eq!([1.0].par_iter().partial_cmp(&[f64::NAN]), None);
    /// ```
    fn partial_cmp<I>(self, other: I) -> Option<Ordering>
    where
        I: IntoParallelIterator<Iter: IndexedParallelIterator>,
        Self::Item: PartialOrd<I::Item>,
    {
        let other = other.into_par_iter();
        let by_length = self.len().cmp(&other.len());
        self.zip(other)
            .map(|(a, b)| a.partial_cmp(&b))
            .find_first(|order| order.is_none_or(Ordering::is_ne))
            .unwrap_or(Some(by_length))
    }

    /// Whether both have equal items, and equally many.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert!([1, 2].par_iter().eq(&[1, 2]));
    /// ```
    fn eq<I>(self, other: I) -> bool
    where
        I: IntoParallelIterator<Iter: IndexedParallelIterator>,
        Self::Item: PartialEq<I::Item>,
    {
        let other = other.into_par_iter();
        self.len() == other.len() && self.zip(other).all(|(a, b)| a == b)
    }

    /// Not [`eq`](Self::eq).
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert!([1, 2].par_iter().ne(&[1, 2, 3]));
    /// ```
    fn ne<I>(self, other: I) -> bool
    where
        I: IntoParallelIterator<Iter: IndexedParallelIterator>,
        Self::Item: PartialEq<I::Item>,
    {
        !self.eq(other)
    }

    /// Whether [`partial_cmp`](Self::partial_cmp) says less.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert!([1, 2].par_iter().lt(&[1, 3]));
    /// ```
    fn lt<I>(self, other: I) -> bool
    where
        I: IntoParallelIterator<Iter: IndexedParallelIterator>,
        Self::Item: PartialOrd<I::Item>,
    {
        self.partial_cmp(other).is_some_and(Ordering::is_lt)
    }

    /// Whether [`partial_cmp`](Self::partial_cmp) says less or equal.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert!([1, 2].par_iter().le(&[1, 2]));
    /// ```
    fn le<I>(self, other: I) -> bool
    where
        I: IntoParallelIterator<Iter: IndexedParallelIterator>,
        Self::Item: PartialOrd<I::Item>,
    {
        self.partial_cmp(other).is_some_and(Ordering::is_le)
    }

    /// Whether [`partial_cmp`](Self::partial_cmp) says greater.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert!([2].par_iter().gt(&[1, 3]));
    /// ```
    fn gt<I>(self, other: I) -> bool
    where
        I: IntoParallelIterator<Iter: IndexedParallelIterator>,
        Self::Item: PartialOrd<I::Item>,
    {
        self.partial_cmp(other).is_some_and(Ordering::is_gt)
    }

    /// Whether [`partial_cmp`](Self::partial_cmp) says greater or equal.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// assert!([2].par_iter().ge(&[2]));
    /// ```
    fn ge<I>(self, other: I) -> bool
    where
        I: IntoParallelIterator<Iter: IndexedParallelIterator>,
        Self::Item: PartialOrd<I::Item>,
    {
        self.partial_cmp(other).is_some_and(Ordering::is_ge)
    }
}
