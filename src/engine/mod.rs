//! The mechanism: moves jobs between threads, and knows no priority, group, deadline or retry.
//!
//! | file | owns | may call |
//! |---|---|---|
//! | `sync` | the door to atomics, locks and threads (std, loom or shuttle) | - |
//! | `clock` | ticks | - |
//! | `unwind` | where panics are caught | - |
//! | `topology` | CPUs, caches, pinning | - |
//! | `forked` | the notice of fork(2) | - |
//! | `number` | numbers of threads | - |
//! | `park` | one parker a worker | `sync` |
//! | `latch` | the completion of one piece of work | `sync` |
//! | `sleep` | who is awake, permits, who wakes whom | `park`, `topology` |
//! | `site` | what call sites have cost lately | - |
//! | `region` | whether a cold tree of forks is worth a wake | `site`, `clock` |
//! | `job` | erased jobs, the stack job of a fork | `latch`, `unwind`, `worker` |
//! | `worker` | a seat: what is the owner's and what others see; `worker/join`: the fork stack; `worker/context`: the seats of a thread | all above |
//! | `lanes` | jobs that wait, by level, and which of them is next | `worker`, `job` |
//! | `crew` | threads beyond the width: spare ones for blocked ones, reserved ones | `registry`, `lanes` |
//! | `search` | the main loop, stealing, waiting | `worker`, `registry` |
//! | `signal` | what threads without a seat wait on, the first panic of several | `sync`, `unwind` |
//! | `wait` | waiting for what is neither a fork nor a task | `worker`, `registry` |
//! | `guest` | callers from outside: their permits and seats | `registry`, `lanes` |
//! | `registry` | the shared state of a pool, the injector, the end | all above |
//!
//! `README.md` in this folder is the maintainer's map: vocabulary, protocols, races, rejected
//! designs.

pub(crate) mod clock;
pub(crate) mod crew;
pub(crate) mod forked;
pub(crate) mod guest;
pub(crate) mod job;
pub(crate) mod lanes;
pub(crate) mod latch;
#[cfg(loom)]
pub(crate) mod model;
pub(crate) mod number;
pub(crate) mod park;
pub(crate) mod region;
pub(crate) mod registry;
pub(crate) mod search;
pub(crate) mod signal;
pub(crate) mod site;
pub(crate) mod sleep;
pub(crate) mod sync;
pub(crate) mod topology;
pub(crate) mod unwind;
pub(crate) mod wait;
pub(crate) mod worker;
