//! Decisions: what runs first, what is let in. Safe code, one file a policy; the engine asks it, or
//! is given numbers, at these points and no others.
//!
//! | decision point | asked by | question | answer | cost on the hot path |
//! |---|---|---|---|---|
//! | level | submit | which lane | `priority`: the level of the job's [`Priority`] | none |
//! | next | a worker with nothing to do | which lane first | the highest that holds jobs; each 61st dispatch, or after 100 ms a level, a lower one (`engine::lanes`) | a load and a counter |
//! | admit | submit, before a job is made | is there room, and if not, then what | `admission`: a token of each limit; by default there are no limits | a branch; with limits some ten nanoseconds |
//! | again | a fallible job whose attempt failed | is there another attempt, and when | `retry`: three attempts, exponential backoff, full jitter | none: only failures ask |
//! | another copy | the timer; a hedged job whose copy failed | is there one more | `hedge`: until one succeeds, if there is room | none: only hedged jobs ask |
//! | reserve | a submit that woke nobody | may a reserved worker start | for `High` and above | a compare |
//! | members | a job of a group becomes ready, starts, ends | may it be queued, is that enough, is it too much | `group`: its limit, its waiters, fail-fast | none for other jobs: a branch where a job has options |
//!
//! `join` and the loops ask nothing: what they fork has the level of the job that it belongs to.

#![forbid(unsafe_code)]

pub(crate) mod admission;
mod backoff;
mod budget;
pub(crate) mod group;
mod hedge;
mod priority;
mod retry;

pub use admission::{Bound, QueueEvent, QueueLimits, QueueStats, Rate, WhenFull};
pub use backoff::{Backoff, Jitter};
pub use budget::RetryBudget;
pub use hedge::{HedgeBuilder, Hedged};
pub use priority::Priority;
pub use retry::{GiveUp, RetryPolicy, Retryable, Transience};
pub(crate) use retry::{Moment, Progress, seed_of};
