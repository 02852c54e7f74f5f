//! Coming from rayon: name by name.
//!
//! `use windlass::prelude::*;` instead of `use rayon::prelude::*;` is most of it. The traits have
//! rayon's names, and where a method has rayon's name it has rayon's meaning, but for what the
//! tables below say. Both preludes cannot be imported into one module, because their methods have
//! the same names.
//!
//! ```
//! use windlass::prelude::*;
//!
//! let words = ["fork", "join", "steal"];
//! let longest = words.par_iter().map(|word| word.len()).max();
//! assert_eq!(longest, Some(5));
//! ```
//!
//! # What differs everywhere
//!
//! - **The caller takes part.** A loop that takes less than some 20 us runs on the calling thread,
//!   as a plain loop, and wakes nobody. So there is no input too short to be worth `par_iter`.
//! - **No tuning.** Loops split when somebody asks for work, and by measured time.
//!   [`with_min_len`](IndexedParallelIterator::with_min_len) and
//!   [`with_max_len`](IndexedParallelIterator::with_max_len) exist, and are rarely of use.
//! - **Waiting runs nothing foreign.** A thread that waits for a part of a loop runs other parts of
//!   that loop, and nothing else; so a lock may be held across a parallel call.
//! - **Errors are the first ones.** `try_for_each`, `try_reduce`, and `collect` into a `Result` or
//!   an `Option`, return the first failure in the order of the input; in rayon it is any.
//! - **A panic ends the loop.** Parts that have not begun are dropped, not run.
//! - **Loops can be cancelled:** see the last table.
//!
//! # Functions and pools
//!
//! | rayon | here | |
//! |---|---|---|
//! | `join`, `scope`, `broadcast` | [`join`], [`scope`], [`broadcast`] | `join` runs both closures also if the first panics |
//! | `in_place_scope` | [`scope`] | always on the calling thread if there is room |
//! | `spawn` | [`submit`](crate::submit)`(f).`[`detach`](crate::JobHandle::detach)`()` | has a handle, for whoever wants one; starts in the order of submission, where rayon's starts the latest first |
//! | `ThreadPoolBuilder` | [`PoolBuilder`] | `build` returns a [`BuildError`] |
//! | `ThreadPool::install` | [`Pool::install`] | runs on the calling thread |
//! | `current_num_threads` | [`Pool::num_workers`] | |
//! | `current_thread_index` | [`Pool::current_worker`] | `None` for a caller that takes part |
//! | `build_global` | `WINDLASS_NUM_THREADS` | |
//! | `RAYON_NUM_THREADS` | `WINDLASS_NUM_THREADS` | |
//!
//! # Sources
//!
//! | rayon | here | |
//! |---|---|---|
//! | `par_iter`, `par_iter_mut`, `into_par_iter` | the same | of slices, vectors, arrays, ranges, `Option`, `Result`, tuples and the collections of `std` |
//! | ranges | the same | `u64` and `i64` are indexed too (on 64-bit machines); inclusive ranges may end at the largest number |
//! | `par_chunks`.., `par_windows`, `par_split`.. | the same | methods of [`ParallelSlice`] and [`ParallelSliceMut`] |
//! | `par_lines`, `par_chars`, `par_split`.. | the same | methods of [`ParallelString`](crate::str::ParallelString) |
//! | `par_bridge` | the same | each worker takes at most 1,024 items ahead; the iterator may fork |
//! | `par_drain` | the same | |
//! | `iter::{empty, once, repeat, repeat_n}` | the same | `repeat` is indexed, so `take` and `zip` are the general ones; there is no `repeatn` |
//! | `iter::split`, `walk_tree`.. | the same | |
//!
//! # Adapters
//!
//! | rayon | here | |
//! |---|---|---|
//! | `map`, `filter`, `filter_map`, `inspect`, `update`, `cloned`, `copied`, `chain` | the same | |
//! | `flat_map`, `flatten`, `flat_map_iter`, `flatten_iter` | the same | long inner iterators are split, short ones are not |
//! | `map_with`, `map_init`, `for_each_with`, `for_each_init`, `try_for_each_with`, `try_for_each_init` | the same | a state for each worker that takes part, not for each split; so the state must be `Send` |
//! | `fold`, `fold_with`, `try_fold` | the same | nothing comes of an empty input; an accumulator for each part, and there are few parts |
//! | `enumerate`, `zip`, `zip_eq`, `interleave`, `interleave_shortest`, `rev`, `step_by`, `take`, `chunks`, `fold_chunks`, `fold_chunks_with` | the same | |
//! | `skip` | the same | closures of earlier adapters are not called for what is skipped |
//! | `intersperse` | the same | for indexed iterators |
//! | `positions` | the same | |
//! | `while_some`, `panic_fuse`, `take_any`, `skip_any`, `take_any_while`, `skip_any_while` | the same | |
//! | `with_min_len`, `with_max_len` | the same | wishes: see there |
//! | `by_uniform_blocks`, `by_exponential_blocks` | the same | |
//! | | [`inclusive_scan`](IndexedParallelIterator::inclusive_scan), [`exclusive_scan`](IndexedParallelIterator::exclusive_scan) | prefix sums |
//!
//! # Consumers
//!
//! | rayon | here | |
//! |---|---|---|
//! | `for_each`, `count`, `sum`, `product`, `min`.., `max`.. | the same | |
//! | `reduce`, `reduce_with` | the same | `identity` is called only if there are no items |
//! | `try_for_each`, `try_reduce`, `try_reduce_with` | the same | over [`Try`](crate::iter::Try): `Option`, `Result`, `ControlFlow` |
//! | `any`, `all`, `find_any`, `find_first`, `find_last`, `find_map_any`.. | the same | |
//! | `position_any`, `position_first`, `position_last` | the same | |
//! | `partition`, `partition_map`, `unzip` | the same | |
//! | `collect`, `collect_into_vec`, `unzip_into_vecs` | the same | in place if the length is known; also into `Result<Vec<_>, _>` |
//! | `collect_vec_list` | the same | a `Vec` of vectors, not a `LinkedList` |
//! | `cmp`, `partial_cmp`, `eq`, `ne`, `lt`, `le`, `gt`, `ge` | the same | |
//! | `par_sort`.., `par_sort_unstable`.., `par_sort_by_cached_key` | the same | |
//! | `drive`, `with_producer`, `plumbing` | [`Source`](crate::iter::Source) | three methods for a structure of your own |
//!
//! # What rayon does not have
//!
//! | | |
//! |---|---|
//! | [`with_token`](ParallelIterator::with_token), [`with_deadline`](ParallelIterator::with_deadline), [`with_timeout`](ParallelIterator::with_timeout) | the loop ends early, and returns [`Cancelled`](crate::Cancelled) |
//! | [`CancelToken::run`] | the same for all loops in a closure, at whatever depth |
//! | [`progress`](ParallelIterator::progress) | how far the loop has come, for a progress bar |
//! | [`into_seq_iter`](ParallelIterator::into_seq_iter) | made in parallel, consumed one after the other, in order |
//! | [`for_each_ordered`](ParallelIterator::for_each_ordered) | the same with both at once |
//! | [`reduce_deterministic`](IndexedParallelIterator::reduce_deterministic), [`sum_deterministic`](IndexedParallelIterator::sum_deterministic) | the same bits, whatever the number of workers |
//!
//! # Crates that give rayon's iterators
//!
//! With the feature `rayon`, an indexed parallel iterator of rayon, such as those of ndarray,
//! hashbrown or indexmap, runs on a pool of this crate: see `windlass::rayon_compat`.

#[expect(unused_imports, reason = "for the links")]
use crate::{
    BuildError, CancelToken, Pool, PoolBuilder, broadcast,
    iter::{IndexedParallelIterator, ParallelIterator},
    join, scope,
    slice::{ParallelSlice, ParallelSliceMut},
};
