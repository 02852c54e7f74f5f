//! Jobs, and what belongs to them.
//!
//! | file | owns |
//! |---|---|
//! | `life` | the word that says where a job is, who may touch it, who is told of its end |
//! | `lazy` | a token that is made when it is asked for |
//! | `raw` | a job in memory, and how it runs |
//! | `end` | how it ends, and who is told |
//! | `stamps` | when what happened to it |
//! | `work` | what a job does, and what it may have beside its closure |
//! | `control` | what others do to a job: claim it, cancel it, lend it their level |
//! | `gate` | jobs that wait for something else than a worker |
//! | `after` | jobs that wait for other jobs |
//! | `attempt` | how a job runs that may be tried again |
//! | `record` | what is known of its attempts |
//! | `retry`, `retry_handle` | fallible jobs, and what the outside holds of them |
//! | `member` | what a job that is in a group tells it |
//! | `help` | what a thread runs that waits for a job, or a group |
//! | `store` | where jobs live, and how those that lie side by side are queued together |
//! | `ready` | the word that says which of them are queued |
//! | `board` | what the jobs of a pool have in common: counts, what runs, the timer |
//! | `step` | jobs that are a part of something else |
//! | `submit` | the ways in |
//! | `admit` | whether there is room for a job, and what it gives back when |
//! | `drain` | how long the queue takes |
//! | `many` | the way in for many at once |
//! | `reserve` | the ways in that wait for so long, or without a thread; room that is taken before there is a job |
//! | `options` | what may be said of a job |
//! | `handle`, `reference` | what the outside holds of a job, with its type and without |
//! | `told` | the list of those who are told of an end |
//! | `waiter` | a thread or a task that waits, and how it is told |
//! | `done` | what is to follow the end of a job |
//! | `cx` | what a job sees of itself |
//! | `context` | what the work on a thread belongs to |
//! | `outcome` | errors |
//! | `panic` | where a panic was thrown |
//! | `shutdown` | the end of a pool |
//! | `slab` | a table whose entries keep their keys |
//! | `cancel` | tokens by which work is told to stop; `cancel/cause`: why; `cancel/tree`: who is below whom |

mod admit;
mod after;
mod attempt;
mod board;
mod builder;
mod cancel;
mod context;
mod control;
mod cx;
mod done;
mod drain;
mod end;
mod gate;
mod handle;
mod help;
mod lazy;
pub(crate) mod life;
mod many;
mod member;
#[cfg(loom)]
pub(crate) mod model;
mod options;
mod outcome;
mod panic;
mod raw;
mod ready;
mod record;
mod reference;
mod reserve;
mod retry;
mod retry_handle;
mod shutdown;
mod slab;
mod stamps;
mod step;
mod store;
mod submit;
mod tail;
mod told;
pub(crate) mod waiter;
mod work;

pub use after::Dependency;
pub(crate) use board::{Board, Ongoing};
pub use board::{JobCounts, JobId};
pub use builder::JobBuilder;
pub use cancel::{CancelCallback, CancelCause, CancelGuard, CancelToken, Cancelled};
pub(crate) use context::{Context, cancelled_by_any, check_at_fork, run_task};
pub use context::{checkpoint, task_name};
pub use control::CancelOutcome;
pub use cx::{JobCx, current};
pub(crate) use gate::Gate;
pub(crate) use handle::AnyHandle;
pub use handle::JobHandle;
pub(crate) use help::is_inside_group;
pub(crate) use life::Continue;
pub(crate) use member::{Await, Enlist, Member};
pub use options::JobOptions;
pub use outcome::{
    JobError, JobOutcome, JobPanic, PanicLocation, SkipCause, SubmitError, TimeoutPhase,
};
pub(crate) use panic::{take_current_location, take_location_of, watch as watch_panics};
pub use record::Attempt;
pub use reference::{JobRef, JobState, JobTimes};
pub use reserve::{Permit, ReserveAsync, ReserveError, SubmitAsync};
pub(crate) use retry::EndsAs;
pub use retry::{FailedAttempt, Retry, RetryBuilder};
pub(crate) use retry_handle::Ended;
pub use retry_handle::{Failed, RetryError, RetryHandle};
pub use shutdown::{LeftJob, Shutdown, ShutdownReport};
pub(crate) use shutdown::{abandon_pending, discard, keep};
pub(crate) use step::queue_step;
pub use submit::submit;
pub(crate) use submit::submit_at;
pub(crate) use work::Call;
