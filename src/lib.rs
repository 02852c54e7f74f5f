//! Windlass: a work-stealing data-parallel engine.
//!
//! [`join`] runs two closures, [`scope`] any number of tasks that borrow from the caller, and
//! [`par_map`] and its kin run loops: maybe in parallel, on one pool of threads. There is nothing
//! to tune. A fork that nobody takes costs one to two nanoseconds, so a recursion needs no cut-off;
//! a loop too short to be worth waking a thread runs as a plain loop on the caller, so no loop is
//! too short to be written in parallel.
//!
//! # Quick start
//!
//! ```
//! // Each result in its place, in the order of the items.
//! let squares = windlass::par_map(0..1_000u64, |n| n * n);
//!
//! // Divide and conquer, down to single numbers.
//! fn largest(numbers: &[u64]) -> u64 {
//!     match numbers {
//!         [] => 0,
//!         [n] => *n,
//!         _ => {
//!             let (left, right) = numbers.split_at(numbers.len() / 2);
//!             let (left, right) = windlass::join(|| largest(left), || largest(right));
//!             left.max(right)
//!         }
//!     }
//! }
//! assert_eq!(largest(&squares), 998_001);
//!
//! // Any number of different tasks, which borrow.
//! let (mut count, mut total) = (0, 0);
//! windlass::scope(|s| {
//!     s.spawn(|_| count = squares.iter().filter(|&n| n % 2 == 0).count());
//!     s.spawn(|_| total = squares.iter().sum());
//! });
//! assert_eq!((count, total), (500, 332_833_500));
//! ```
//!
//! The free functions use the pool that the calling thread is in, else [`Pool::global`], which
//! starts with the first call. Each is a method of [`Pool`] too, to name a pool.
//!
//! # Parallel iterators
//!
//! `use windlass::prelude::*;` gives slices, vectors, ranges, strings and collections the methods
//! that rayon's users know, with the same meaning: [`guide::from_rayon`] goes through the names, and
//! the differences.
//!
//! ```
//! use windlass::prelude::*;
//!
//! let text = "steal\nfork\njoin\nsteal";
//! let long: Vec<&str> = text.par_lines().filter(|line| line.len() > 4).collect();
//! assert_eq!(long, ["steal", "steal"]);
//! let total: Result<u32, _> = "1 2 3".par_split(' ').map(str::parse::<u32>).try_reduce(|| 0, |a, b| Ok(a + b));
//! assert_eq!(total, Ok(6));
//! let mut words = ["steal", "fork", "join"];
//! words.par_sort();
//! assert_eq!(words, ["fork", "join", "steal"]);
//! ```
//!
//! Beyond those there are loops that can be [cancelled](iter::ParallelIterator::with_token), have a
//! [deadline](iter::ParallelIterator::with_deadline), tell their
//! [progress](iter::ParallelIterator::progress), hand their results on
//! [in order](iter::ParallelIterator::for_each_ordered) while they run, and floating-point sums that
//! are [the same](iter::IndexedParallelIterator::sum_deterministic) on any number of workers.
//!
//! # Jobs
//!
//! [`submit`] has a closure run in the background, [`Pool::job`] says more of it first: its
//! [priority](Priority), limits in time, a token that cancels it. The [`JobHandle`] is for whoever
//! wants the result, waits for it, awaits it, or cancels the job.
//!
//! ```
//! use std::time::Duration;
//! use windlass::{JobError, Pool, Priority};
//!
//! let pool = Pool::new(2)?;
//! let report = pool.job("report").priority(Priority::Background).submit(|| "all well");
//! let urgent = pool.job("lookup").priority(Priority::High).timeout(Duration::from_secs(5));
//! assert_eq!(urgent.submit(|| 42).wait().unwrap(), 42);
//! assert_eq!(report.wait().unwrap(), "all well");
//!
//! // Whatever happens to a job, its handle tells.
//! let broken = pool.submit(|| -> u32 { panic!("no paper") });
//! assert!(matches!(broken.wait(), Err(JobError::Panicked(panic)) if panic.message() == Some("no paper")));
//! # Ok::<(), windlass::BuildError>(())
//! ```
//!
//! | what happens to a job | before it starts | while it runs |
//! |---|---|---|
//! | [`cancel`](JobHandle::cancel), its token | it ends as `Cancelled`, its closure is dropped at once | its loops and forks end, [`checkpoint`] says so; `Cancelled` if that ends it |
//! | [`start_within`](JobBuilder::start_within) | `TimedOut` | nothing |
//! | [`run_timeout`](JobBuilder::run_timeout) | nothing | `TimedOut` at once; its token is cancelled; it keeps its worker until it returns |
//! | [`timeout`](JobBuilder::timeout), [`deadline`](JobBuilder::deadline) | `TimedOut` | as `run_timeout` |
//! | a job that it is [`after`](JobBuilder::after) does not complete | `Skipped` | nothing |
//! | the handle is dropped | it runs, and its result is dropped | the same |
//! | the pool is dropped | `Abandoned` | the drop waits for it |
//! | [`shutdown`](Pool::shutdown) | as it says: it runs, or `Abandoned` | it is waited for, for so long; told to stop by `CancelAll` |
//!
//! Beyond single jobs:
//!
//! - [`JobBuilder::after`]: a job that starts when others have ended; [`graph`]: whole graphs, typed,
//!   built once and run often.
//! - [`JobBuilder::retry`]: a job that is tried again when it fails, and holds nothing meanwhile.
//! - [`Pool::hedge`]: a second copy of what takes long; the first that succeeds counts.
//! - [`Pool::group`]: jobs that are limited, waited for, cancelled and counted together.
//! - [`PoolBuilder::queue`]: limits on what a pool takes in, and what becomes of the rest.
//! - [`Pool::schedule`]: jobs at a time, or again and again: [`guide::schedules`].
//! - [`Pool::run`], [`Pool::map_async`], [`as_completed`], [`Pool::spawn_future`]: jobs for async
//!   code, in any runtime.
//!
//! [`guide::names`] has the words of other systems, each beside ours.
//!
//! # Blocking
//!
//! Every call returns when all of its work is done, so that closures may borrow. The calling thread
//! takes part: it runs the work itself, and others join in. One that comes from outside counts
//! against the pool's width; if that many threads are at work already, the call blocks until one of
//! them has time for it.
//!
//! A thread that waits for work which another has taken runs only what it waits for: `join` what
//! the stolen closure has forked itself, `scope` its own tasks, a loop its own parts. A lock that
//! is held across such a wait is therefore never asked for by foreign work on the same stack. The
//! one exception is [`broadcast`], which runs on waiting threads too. Who waits for a job that has not
//! started runs that job. When there is nothing of its
//! own to run, the thread sleeps, and another one may take its place in the pool; when it resumes,
//! one more thread than the width may be at work for a moment.
//!
//! A closure that blocks in any other way (a lock, a channel, a socket) keeps its place. So tasks
//! must not wait for each other except by the means of this crate: the two closures of a `join` may
//! run one after the other.
//!
//! # Panics
//!
//! A panic in a closure comes out of the call that the closure was given to, with its payload,
//! after everything that might still borrow has finished. The other closure of a `join` and the
//! other tasks of a `scope` run to their end; which other items of a loop still run is not
//! promised, but soon none. The pool stays usable. With several panics, `join` propagates that of its first
//! closure, `scope` and `broadcast` the first in time; the others are dropped.
//!
//! ```
//! let caught = std::panic::catch_unwind(|| windlass::join(|| panic!("first"), || 1));
//! assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"first"));
//! assert_eq!(windlass::join(|| 1, || 2), (1, 2));
//! ```
//!
//! # Configuration
//!
//! By default a pool has as many workers as there are CPUs that the process may use: its affinity
//! mask and its cgroup's quota are respected. The environment variable `WINDLASS_NUM_THREADS` says
//! otherwise, for the global pool and for every pool whose builder does not name a number.
//!
//! ```
//! use windlass::{Pinning, Pool};
//!
//! let pool = Pool::builder()
//!     .workers(2)
//!     .name("crunch")
//!     .stack_size(4 << 20)
//!     .pinning(Pinning::Never)
//!     .build()?;
//! let (a, b) = pool.install(|| windlass::join(|| 20, || 22));
//! assert_eq!(a + b, 42);
//! # Ok::<(), windlass::BuildError>(())
//! ```
//!
//! An idle pool sleeps: no thread of it wakes up until there is work. Dropping the last handle of a
//! pool ends its threads. In the child of a fork(2), a pool that was made before panics when it is
//! entered, and the global one starts anew.

mod bridge;
mod builder;
mod engine;
mod error;
mod fork;
pub mod graph;
pub mod guide;
mod job;
mod par;
mod policy;
mod pool;
mod time;

#[cfg(loom)]
#[doc(hidden)]
pub mod model {
    pub use crate::engine::model::*;
    pub use crate::job::model::*;
    pub use crate::policy::admission::model::*;
    pub use crate::time::model::*;
}

/// For `perf` alone.
#[cfg(feature = "test-util")]
#[doc(hidden)]
pub mod perf {
    pub use crate::time::bare::{BareKey, BareTimer};
}

#[cfg(feature = "rayon")]
pub use bridge::rayon as rayon_compat;
#[cfg(all(feature = "tokio", not(loom)))]
pub use bridge::tokio as tokio_compat;
pub use bridge::{
    AsCompleted, CompletedIter, FutureHandle, IterStream, MapAsync, MapError, Run, WhenCancelled,
    as_completed, block_on,
};
pub use builder::{Pinning, PoolBuilder};
pub use error::BuildError;
pub use fork::{BroadcastContext, Scope, TaskBuilder, broadcast, join, scope};
pub use graph::Graph;
pub use job::{
    Attempt, CancelCallback, CancelCause, CancelGuard, CancelOutcome, CancelToken, Cancelled,
    Dependency, Failed, FailedAttempt, JobBuilder, JobCounts, JobCx, JobError, JobHandle, JobId,
    JobOptions, JobOutcome, JobPanic, JobRef, JobState, JobTimes, LeftJob, PanicLocation, Permit,
    ReserveAsync, ReserveError, Retry, RetryBuilder, RetryError, RetryHandle, Shutdown,
    ShutdownReport, SkipCause, SubmitAsync, SubmitError, TimeoutPhase, checkpoint, current, submit,
    task_name,
};
pub use par::{
    par_chunks, par_chunks_mut, par_for_each, par_map, par_map_reduce, try_par_for_each,
    try_par_map,
};
pub use policy::group::{Group, GroupHandle, Join};
pub use policy::{
    Backoff, Bound, GiveUp, HedgeBuilder, Hedged, Jitter, Priority, QueueEvent, QueueLimits,
    QueueStats, Rate, RetryBudget, RetryPolicy, Retryable, Transience, WhenFull,
};
pub use pool::Pool;
#[cfg(any(test, feature = "test-util"))]
pub use time::ManualClock;
pub use time::schedule::{ScheduleBuilder, ScheduleHandle};
pub use time::{Clock, RealClock};

/// Parallel iterators: the traits, and the types that their methods return.
pub mod iter {
    pub use crate::par::adapters::*;
    pub use crate::par::attempt::Try;
    pub use crate::par::cancel::Cancellable;
    pub use crate::par::convert::*;
    pub use crate::par::indexed::IndexedParallelIterator;
    pub use crate::par::iter::ParallelIterator;
    pub use crate::par::source::{Blocks, Grain, IndexedSource, Source};
    pub use crate::par::sources::bridge::{IterBridge, ParallelBridge};
    pub use crate::par::sources::once::{Empty, Once, empty, once};
    pub use crate::par::sources::range::RangeIter;
    pub use crate::par::sources::repeat::{Repeat, RepeatN, repeat, repeat_n};
    pub use crate::par::sources::splitter::{Split, split};
    pub use crate::par::sources::tree::{
        WalkTree, WalkTreePostfix, WalkTreePrefix, walk_tree, walk_tree_postfix, walk_tree_prefix,
    };
    pub use crate::par::sources::tuple::MultiZip;
    pub use crate::par::sources::vec::IntoIter;
    pub use crate::par::stream::SeqIter;
    pub use either::Either;
}

/// Jobs that are run at times: see [`Pool::schedule`], and [`guide::schedules`].
pub mod schedule {
    pub use crate::time::schedule::*;
    pub use crate::time::{Every, Missed, Moment, Once, Trigger, TriggerCx, When};
}

/// Parallel iterators over the collections of the standard library, and back.
///
/// | | by reference | by value, `par_drain` |
/// |---|---|---|
/// | slices, vectors, arrays, `BinaryHeap` | in place | in place |
/// | `VecDeque` | in place, as two slices | in place; rotated first if it wraps around |
/// | `HashMap`, `HashSet`, `BTreeMap`, `BTreeSet`, `LinkedList` | gathered first | gathered first |
///
/// Where a collection cannot be cut, its items or references to them are gathered into a vector, by
/// the calling thread, when the parallel iterator is made. So all of them are indexed, and those
/// that have an order keep it.
///
/// To collect into one of them the items are brought together in parallel, in their order, and
/// inserted by the calling thread: so of several equal keys the last one's value stays, as in an
/// ordinary loop. A `LinkedList` is linked in parallel.
///
/// ```
/// use std::collections::{BTreeMap, HashMap, VecDeque};
/// use windlass::prelude::*;
///
/// let ages = BTreeMap::from([("ann", 31), ("bob", 26)]);
/// let next: HashMap<&str, u32> = ages.par_iter().map(|(name, age)| (*name, age + 1)).collect();
/// assert_eq!(next["bob"], 27);
///
/// let mut queue: VecDeque<u32> = (0..10).into_par_iter().collect();
/// assert_eq!(queue.par_drain(..4).sum::<u32>(), 6);
/// queue.par_extend([1, 2]);
/// assert_eq!(queue, [4, 5, 6, 7, 8, 9, 1, 2]);
/// ```
pub mod collections {
    pub use crate::par::collections::drain::Drain;
}

/// Groups of jobs: how to wait for them, and what comes of that.
pub mod group {
    pub use crate::policy::group::*;
}

/// Parallel iterators over slices.
pub mod slice {
    pub use crate::par::slice::{ParallelSlice, ParallelSliceMut};
    pub use crate::par::sources::chunks::{
        Chunks, ChunksExact, ChunksExactMut, ChunksMut, RChunks, RChunksExact, RChunksExactMut,
        RChunksMut,
    };
    pub use crate::par::sources::slice::{Iter, IterMut};
    pub use crate::par::sources::split::{
        ChunkBy, ChunkByMut, Split, SplitInclusive, SplitInclusiveMut, SplitMut,
    };
    pub use crate::par::sources::windows::{ArrayWindows, Windows};
}

/// Parallel iterators over strings.
pub mod str {
    pub use crate::par::sources::text::{
        Bytes, CharIndices, Chars, EncodeUtf16, Lines, MatchIndices, Matches, Pattern, Split,
        SplitAsciiWhitespace, SplitInclusive, SplitTerminator, SplitWhitespace,
    };
    pub use crate::par::string::{Drain, ParallelString};
}

/// All traits of the parallel iterators: `use windlass::prelude::*`.
pub mod prelude {
    pub use crate::iter::{
        FromParallelIterator, IndexedParallelIterator, IntoParallelIterator,
        IntoParallelRefIterator, IntoParallelRefMutIterator, ParallelBridge, ParallelDrainFull,
        ParallelDrainRange, ParallelExtend, ParallelIterator,
    };
    pub use crate::slice::{ParallelSlice, ParallelSliceMut};
    pub use crate::str::ParallelString;
}

/// The README's examples are compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
