//! Parallel iterators of [rayon] on the threads of Windlass, for crates that have no others.
//!
//! [`on_windlass`](OnWindlassExt::on_windlass) runs what follows it in the pool that the calling
//! thread is in, not in rayon's, whose threads are not even started:
//!
//! ```
//! use rayon::prelude::*;
//! use windlass::rayon_compat::OnWindlassExt as _;
//!
//! let pool = windlass::Pool::new(2)?;
//! let prices = [3, 5, 4, 8];
//! let rises: i32 = pool.install(|| {
//!     let steps = prices.par_windows(2).map(|pair| pair[1] - pair[0]);
//!     steps.on_windlass().filter(|step| *step > 0).sum()
//! });
//! assert_eq!(rises, 6);
//! # Ok::<(), windlass::BuildError>(())
//! ```
//!
//! What a structure gives by `par_iter` works if it knows where its items are: slices, vectors and
//! the like, ranges of `usize` and of integers of up to 32 bits, the maps and sets of `indexmap`,
//! the axes of `ndarray`. If it does not, rayon hands out nothing but the finished loop, and
//! `on_windlass` does not compile. This is so for ranges of 64 bits and `..=` of 32 bits or more
//! (map a range of `usize`), for strings and `par_bridge`, for the maps of the standard library and
//! of `hashbrown` (collect them into a vector), for the elements of an array of `ndarray` (use an
//! axis).
//!
//! # Where it stands
//!
//! As far behind as it may: as the last thing before the consumer, or before the first adapter that
//! loses the position of items.
//!
//! | rayon's adapter | in front of `on_windlass` | behind |
//! |---|---|---|
//! | `enumerate`, `zip`, `zip_eq`, `rev`, `chunks`, `fold_chunks`, `fold_chunks_with`, `interleave`, `interleave_shortest`, `step_by`, `take`, `with_min_len`, `with_max_len` | yes | does not compile |
//! | `map`, `cloned`, `copied`, `inspect`, `update`, `intersperse`, `panic_fuse` | yes | yes, but then none of the line above |
//! | `map_with`, `map_init` | yes, but with a state for each batch of some microseconds | **yes**, with a state for each of the loop's parts |
//! | `filter`, `filter_map`, `flat_map_iter`, `flatten_iter`, `fold`, `try_fold` and their `_with`, `while_some`, `take_any`, `skip_any` and their `_while` | does not compile | yes |
//! | `chain` | yes | directly behind, which is [`OnWindlass::chain`]; **not** behind another adapter, where rayon's starts rayon's pool |
//! | `skip` | **no**: it starts rayon's pool (in debug builds it panics) | directly behind, which is [`OnWindlass::skip`] |
//! | `flat_map`, `flatten` | does not compile | yes if the inner iterators are `on_windlass()` too, **else** they run in rayon's pool |
//! | `by_exponential_blocks`, `by_uniform_blocks` | does not compile | does not compile |
//!
//! Behind it stand all consumers: `for_each` and `try_for_each` and their kin, `count`, `sum`,
//! `product`, `min` and `max` and their kin, `reduce`, `try_reduce` and their kin, `find_any`,
//! `find_first`, `find_last` and their kin, `any`, `all`, `collect`, `collect_vec_list`, `unzip`,
//! `partition`, `partition_map`, and `par_extend` of a collection. Those that need positions
//! (`position_any` and its kin, `cmp`, `eq` and their kin) can be had by `enumerate` and `zip` in
//! front; [`collect_into_vec`](OnWindlass::collect_into_vec) and
//! [`unzip_into_vecs`](OnWindlass::unzip_into_vecs) are there. Not to compile is the protection:
//! whatever rayon knows positions of, it runs itself.
//!
//! ```compile_fail,E0599
//! use rayon::prelude::*;
//! use windlass::rayon_compat::OnWindlassExt as _;
//!
//! let v: Vec<_> = [1, 2].par_iter().on_windlass().map(|n| n + 1).enumerate().collect();
//! ```
//!
//! A closure in the loop that itself calls rayon (`join`, a `par_iter` that runs, `par_sort`) gets
//! rayon's pool, as anywhere.
//!
//! # How it differs from rayon
//!
//! Loops are cut as Windlass cuts them: when, and as far as, another worker asks for work. So
//! `with_min_len` is kept, and `with_max_len` says after how many items at the latest a thread
//! looks whether somebody asks. How often `fold` and `map_init` make a state depends on that, too:
//! some dozens of times in a loop that nobody else takes part in, however long it is.

// How it works: rayon describes a loop by a *producer*, which splits and becomes an iterator, and a
// *consumer*, which splits and becomes a *folder*. Neither starts a thread; only rayon's own driver
// (`bridge`) does, and that is what is replaced. `units.rs`: a producer as a source of batches.
// `part.rs`: a consumer as one that eats them. These must hold:
//
// R1. Two results are reduced by the reducer of the very split that their consumers came from, once
//     and the left one first, and a consumer that came from a split gets as many units as the split
//     said. rayon's driver does so, and consumers may rely on it.
// R2. A folder and a reducer stay on the thread that made them: rayon does not ask them to be
//     `Send` (with `map_init` a folder keeps what a closure made). The loop runs from inside of the
//     pool, so that the driver never moves a part that has begun; `Pinned` checks it.
// R3. A consumer that is a folder cannot be split any more, but a folder is to last for many
//     batches. So a part that begins is split, half by half as rayon would, down to a piece that is
//     small against what is left; this one becomes a folder, and what the driver gives away is cut
//     out of the others. So it cannot have every cut it likes: a part that has begun says where the
//     next cut goes (`Cut`), and there its source is cut, and then the part itself.

mod part;
mod pinned;
mod units;

use crate::par::run_source;
use crate::par::source::Grain;
use crate::pool::with_current_registry;
use part::Part;
use rayon::iter::plumbing::{Consumer, Producer, ProducerCallback, UnindexedConsumer};
use rayon::iter::{
    Chain, IndexedParallelIterator, IntoParallelIterator, ParallelExtend, ParallelIterator,
};
use std::mem;
use units::Units;

/// Gives [`on_windlass`](Self::on_windlass) to every parallel iterator of rayon that knows its
/// length.
pub trait OnWindlassExt: IndexedParallelIterator {
    /// Runs what follows in the pool of Windlass that the calling thread is in
    /// ([`Pool::install`](crate::Pool::install)), else in the global one, instead of rayon's.
    ///
    /// It stands behind all adapters that need to know where an item is, and before those that
    /// lose it; the table in [`rayon_compat`](crate::rayon_compat#where-it-stands) says which do.
    ///
    /// # Panics
    /// In debug builds, if the iterator was made by [`skip`](IndexedParallelIterator::skip), which
    /// starts rayon's pool: there is [`OnWindlass::skip`].
    ///
    /// The loop panics as those of rayon do: with the payload of a closure that panicked, after
    /// all calls that had begun are finished. Each item is dropped once.
    ///
    /// # Blocking
    /// The loop blocks until it is done; the calling thread takes part. As
    /// [`Pool::install`](crate::Pool::install) if the pool is full of other callers, also when the
    /// loop is short.
    ///
    /// # Cancellation
    /// The loop stops early, and unwinds to the token, if the
    /// [`CancelToken`](crate::CancelToken) it runs under is cancelled
    /// ([`CancelToken::run`](crate::CancelToken::run)).
    ///
    /// # Examples
    /// ```
    /// use rayon::prelude::*;
    /// use windlass::rayon_compat::OnWindlassExt as _;
    ///
    /// let words = ["a", "bc", "def"];
    /// let long: Vec<(usize, &str)> = words
    ///     .par_iter()
    ///     .copied()
    ///     .enumerate()
    ///     .on_windlass()
    ///     .filter(|(_, word)| word.len() > 1)
    ///     .collect();
    /// assert_eq!(long, [(1, "bc"), (2, "def")]);
    /// ```
    #[track_caller]
    fn on_windlass(self) -> OnWindlass<Self> {
        debug_assert!(
            !is_skip(std::any::type_name::<Self>()),
            "rayon's `skip` starts rayon's pool: use `.on_windlass().skip(n)`"
        );
        OnWindlass { base: self, start: 0 }
    }
}

impl<I: IndexedParallelIterator> OnWindlassExt for I {}

/// Whether this is the name of rayon's `Skip` or of an adapter around it.
fn is_skip(mut name: &str) -> bool {
    // The first argument of an adapter is its base.
    while let Some((adapter, base)) = name.split_once('<') {
        if !adapter.starts_with("rayon::") {
            return false;
        }
        if adapter.ends_with("::Skip") {
            return true;
        }
        name = base;
    }
    false
}

/// A parallel iterator of rayon whose loop runs on the threads of Windlass: what
/// [`on_windlass`](OnWindlassExt::on_windlass) returns.
///
/// It is no [`IndexedParallelIterator`], because rayon would run what stands behind such a one. It
/// does know its length, so `collect` into a vector writes each item to its place all the same.
#[derive(Clone, Debug)]
#[must_use = "parallel iterators are lazy and do nothing unless consumed"]
pub struct OnWindlass<I> {
    base: I,
    /// So many items at the front are dropped.
    start: usize,
}

impl<I: IndexedParallelIterator> OnWindlass<I> {
    /// Leaves out the first `n` items. Other than rayon's
    /// [`skip`](IndexedParallelIterator::skip), which would start rayon's pool, it does not make
    /// them: the closures of adapters in front of it are not called for them.
    ///
    /// # Examples
    /// ```
    /// use rayon::prelude::*;
    /// use windlass::rayon_compat::OnWindlassExt as _;
    ///
    /// let v: Vec<usize> = (0..5_usize).into_par_iter().on_windlass().skip(3).collect();
    /// assert_eq!(v, [3, 4]);
    /// ```
    pub fn skip(self, n: usize) -> Self {
        let start = self.start.saturating_add(n).min(self.base.len());
        OnWindlass { start, ..self }
    }

    /// The items of this one, and then those of the other, which must know its length too. (The
    /// `chain` of rayon's trait would run in rayon's pool.)
    ///
    /// # Examples
    /// ```
    /// use rayon::prelude::*;
    /// use windlass::rayon_compat::OnWindlassExt as _;
    ///
    /// let v: Vec<i32> = [1, 2].into_par_iter().on_windlass().chain([3]).collect();
    /// assert_eq!(v, [1, 2, 3]);
    /// ```
    pub fn chain<C>(self, chain: C) -> OnWindlass<Chain<I, C::Iter>>
    where
        C: IntoParallelIterator<Item = I::Item, Iter: IndexedParallelIterator>,
    {
        OnWindlass { base: self.base.chain(chain), start: self.start }
    }

    /// As [`IndexedParallelIterator::collect_into_vec`]: the items in the place of what was in
    /// `target`, whose memory is used again.
    ///
    /// Behind a `filter` or a `map`, clear the vector and call its
    /// [`par_extend`](ParallelExtend::par_extend), which does the same.
    ///
    /// # Panics
    /// If the loop does; `target` is empty then.
    ///
    /// # Blocking
    /// Until the loop is done.
    ///
    /// # Examples
    /// ```
    /// use rayon::prelude::*;
    /// use windlass::rayon_compat::OnWindlassExt as _;
    ///
    /// let mut squares = vec![7; 7];
    /// (0..4).into_par_iter().map(|n: u32| n * n).on_windlass().collect_into_vec(&mut squares);
    /// assert_eq!(squares, [0, 1, 4, 9]);
    /// ```
    pub fn collect_into_vec(self, target: &mut Vec<I::Item>) {
        target.clear();
        target.par_extend(self);
    }

    /// As [`IndexedParallelIterator::unzip_into_vecs`]: the halves of the items in the place of
    /// what was in `left` and `right`, whose memory is used again.
    ///
    /// # Panics
    /// If the loop does; both vectors are empty then.
    ///
    /// # Blocking
    /// Until the loop is done.
    ///
    /// # Examples
    /// ```
    /// use rayon::prelude::*;
    /// use windlass::rayon_compat::OnWindlassExt as _;
    ///
    /// let (mut places, mut letters) = (Vec::new(), Vec::new());
    /// let pairs = ['a', 'b'].into_par_iter().enumerate();
    /// pairs.on_windlass().unzip_into_vecs(&mut places, &mut letters);
    /// assert_eq!((places, letters), (vec![0, 1], vec!['a', 'b']));
    /// ```
    pub fn unzip_into_vecs<A, B>(self, left: &mut Vec<A>, right: &mut Vec<B>)
    where
        I: IndexedParallelIterator<Item = (A, B)>,
        A: Send,
        B: Send,
    {
        left.clear();
        right.clear();
        let mut both = (mem::take(left), mem::take(right));
        both.par_extend(self);
        (*left, *right) = both;
    }
}

impl<I: IndexedParallelIterator> ParallelIterator for OnWindlass<I> {
    type Item = I::Item;

    fn drive_unindexed<C: UnindexedConsumer<I::Item>>(self, consumer: C) -> C::Result {
        let len = self.base.len();
        self.base.with_producer(Drive { consumer, start: self.start.min(len), len })
    }

    /// The length, which says that `consumer` above is never split at an unknown place: what
    /// collects in place relies on it.
    fn opt_len(&self) -> Option<usize> {
        Some(self.base.len().saturating_sub(self.start))
    }
}

/// Runs the loop once the base has made its producer.
struct Drive<C> {
    consumer: C,
    start: usize,
    /// Of the base.
    len: usize,
}

impl<T, C: Consumer<T>> ProducerCallback<T> for Drive<C> {
    type Output = C::Result;

    fn callback<P: Producer<Item = T>>(self, producer: P) -> C::Result {
        let producer = match self.start {
            0 => producer,
            start => producer.split_at(start).1,
        };
        let len = self.len - self.start;
        let grain = Grain {
            min: producer.min_len().max(1),
            max: producer.max_len().max(1),
            ..Grain::default()
        };
        let source = Units::new(producer, len, grain);
        let part = Part::new(self.consumer, len, grain.min);
        // Inside of the pool first (R2): a loop that begins outside may move to another thread.
        let whole = with_current_registry(|registry| {
            registry.enter(|_| run_source(source, part).into_whole())
        });
        whole.expect("the first part has a consumer")
    }
}
