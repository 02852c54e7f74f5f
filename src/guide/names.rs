//! The words that you may come with, each beside ours.
//!
//! | elsewhere | here | what differs |
//! |---|---|---|
//! | `executor.submit(f)`, `spawn_blocking` | [`Pool::submit`], [`submit`](crate::submit) | a handle that waits, looks, or is awaited; levels, limits in time, cancellation |
//! | `executor.map`, `par_map` | [`par_map`](crate::par_map), [`par_iter`](crate::iter) | decides by measured time whether to share |
//! | `submit_async`, `run_in_executor` | [`Pool::run`], [`Pool::submit_async`] | dropping `run`'s future cancels its job; `submit_async` waits for room without a thread |
//! | `map_async`, `imap`, `buffered`, `buffer_unordered` | [`Pool::map_async`], [`Pool::try_map_async`] | lazy input, bounded look-ahead, the first error is the real one |
//! | `as_completed`, `imap_unordered`, `JoinSet::join_next` | [`as_completed`](crate::as_completed), [`GroupHandle::as_completed`] | each end once: results, failures and cancellations |
//! | `submit_with_priority`, `priority=` | [`Pool::job`] and [`priority`](crate::JobBuilder::priority) | eight levels with bounded waits; what a job forks has its level |
//! | `CancellationToken`, `future.cancel()` | [`CancelToken`], [`JobHandle::cancel`](crate::JobHandle::cancel) | trees, causes, deadlines; seen by loops and forks by themselves |
//! | `timeout=`, `ThreadPoolExecutor` time-outs | [`timeout`](crate::JobBuilder::timeout), [`run_timeout`](crate::JobBuilder::run_timeout), [`start_within`](crate::JobBuilder::start_within) | which of the times was up is told |
//! | `submit_with_retry`, `@retry`, `tenacity`, `backon` | [`JobBuilder::retry`](crate::JobBuilder::retry), [`RetryPolicy`] | holds no worker between two attempts |
//! | a hedged or backup request | [`Pool::hedge`](crate::Pool::hedge) | the loser is cancelled, and never runs if it is still queued |
//! | `submit_with_deps`, `depends_on`, `then` | [`JobBuilder::after`](crate::JobBuilder::after), [`graph`](crate::graph) | a failure skips what waits, and says because of whom |
//! | a DAG, `taskflow`, `airflow` | [`graph::Graph`](crate::graph::Graph) | typed results, trigger rules, a timeline of each run |
//! | `schedule_at`, `call_later` | [`Pool::schedule`] with [`at`](crate::schedule::ScheduleBuilder::at), [`after`](crate::schedule::ScheduleBuilder::after) | |
//! | `schedule_periodic`, `setInterval`, `scheduleAtFixedRate` | [`every`](crate::schedule::ScheduleBuilder::every), [`fixed_delay`](crate::schedule::ScheduleBuilder::fixed_delay) | no drift, no overlap, no silence: see [`schedules`](super::schedules) |
//! | `cron` | `cron` and `zone` of the [schedule](crate::schedule::ScheduleBuilder), with the feature `calendar` | zones, and rules for the nights on which clocks are set |
//! | `create_group`, `TaskGroup`, `JoinSet`, `errgroup` | [`Pool::group`] | limits, fail-fast, nested groups, a snapshot of what its members are at |
//! | `wait_all`, `wait_any`, `gather`, `invokeAny` | [`Join::all`], [`Join::any`], [`Join::first_ok`], [`Join::collect`] | a worker that waits runs what it waits for |
//! | `Queue(maxsize)`, a bounded executor, back-pressure | [`PoolBuilder::queue`](crate::PoolBuilder::queue), [`WhenFull`](crate::WhenFull) | by count, weight, level, kind, or how long the first has waited |
//! | a semaphore around the executor | [`Bound::in_flight`](crate::Bound::in_flight), [`Pool::reserve`] | exact, and given back however the job ends |
//! | a rate limiter | [`Rate`](crate::Rate) | of a kind; those who are early wait without a worker |
//! | `shutdown(wait=True)`, `close` and `join` | [`Pool::shutdown`], [`Shutdown`](crate::Shutdown) | bounded in time, with a report |
//! | `loop.run_until_complete` | [`block_on`](crate::block_on) | in a job, too |
//! | `tokio::spawn` for what computes | [`Pool::spawn_future`] | on the lanes of the pool |
//!
//! [`Pool::submit`]: crate::Pool::submit
//! [`Pool::run`]: crate::Pool::run
//! [`Pool::submit_async`]: crate::Pool::submit_async
//! [`Pool::map_async`]: crate::Pool::map_async
//! [`Pool::try_map_async`]: crate::Pool::try_map_async
//! [`Pool::job`]: crate::Pool::job
//! [`Pool::schedule`]: crate::Pool::schedule
//! [`Pool::group`]: crate::Pool::group
//! [`Pool::reserve`]: crate::Pool::reserve
//! [`Pool::shutdown`]: crate::Pool::shutdown
//! [`Pool::spawn_future`]: crate::Pool::spawn_future
//! [`GroupHandle::as_completed`]: crate::GroupHandle::as_completed
//! [`CancelToken`]: crate::CancelToken
//! [`RetryPolicy`]: crate::RetryPolicy
//! [`Join::all`]: crate::Join::all
//! [`Join::any`]: crate::Join::any
//! [`Join::first_ok`]: crate::Join::first_ok
//! [`Join::collect`]: crate::Join::collect
//!
//! Several of them in one program:
//!
//! ```
//! use std::time::Duration;
//! use windlass::{Bound, Join, Pool, Priority, RetryPolicy};
//!
//! let pool = Pool::builder().workers(2).queue(Bound::jobs(1_000)).build()?;
//!
//! // submit_with_retry
//! let mut tries = 0;
//! let fetch = pool.job("fetch").retry(RetryPolicy::fixed(Duration::ZERO)).submit_fallible(move |_| {
//!     tries += 1;
//!     if tries < 2 { Err("busy") } else { Ok(tries) }
//! });
//! assert_eq!(fetch.wait().unwrap(), 2);
//!
//! // submit_with_deps
//! let load = pool.job("load").priority(Priority::High).submit(|| 1);
//! let index = pool.job("index").after(&[&load]).submit(|| 2);
//! assert_eq!(index.wait().unwrap(), 2);
//!
//! // create_group, wait_all
//! let group = pool.group("squares").open();
//! for n in 0..4 {
//!     group.submit(move || n * n).unwrap();
//! }
//! assert_eq!(group.wait(Join::all()).unwrap(), [0, 1, 4, 9]);
//!
//! // schedule_periodic
//! let (sender, ticks) = std::sync::mpsc::channel();
//! let gc = pool.schedule("gc").every(Duration::from_millis(1)).max_runs(2);
//! let gc = gc.start(move || sender.send(()).unwrap()).unwrap();
//! assert_eq!(ticks.iter().count(), 2);
//! # drop(gc);
//! # Ok::<(), windlass::BuildError>(())
//! ```
