//! All tests that run as ordinary threads, one file a promise, in one program: they share most of the code that the
//! compiler makes of the crate. Those of loom and shuttle are programs of their own.
#![cfg(not(any(loom, shuttle)))]

mod common;
#[path = "common/loops.rs"]
mod loops;
#[path = "common/sources.rs"]
mod sources;
#[path = "common/tasks.rs"]
mod tasks;

mod admission;
mod admission_async;
mod admission_evict;
mod admission_mix;
#[cfg(feature = "test-util")]
mod admission_time;
mod async_block;
mod async_jobs;
mod async_map;
mod async_spawn;
#[cfg(feature = "tokio")]
mod async_tokio;
mod bridge;
mod broadcast;
mod cancel;
#[cfg(feature = "test-util")]
mod clock;
mod fork;
mod graph;
mod graph_life;
mod graph_rules;
#[cfg(feature = "test-util")]
mod graph_time;
mod group;
mod group_limits;
#[cfg(feature = "test-util")]
mod hedge;
mod iter_cancel;
mod iter_collections;
mod iter_consumers;
mod iter_laws;
mod iter_slices;
mod iter_sources;
mod iter_splits;
mod iter_stream;
mod iter_strings;
mod job_after;
mod job_cancel;
mod job_context;
mod job_priorities;
mod job_rows;
mod job_shutdown;
mod job_waiting;
mod jobs;
mod join;
mod layering;
mod leapfrog;
mod nesting;
mod par;
mod pool;
#[cfg(feature = "rayon")]
mod rayon_interop;
#[cfg(feature = "test-util")]
mod retry;
#[cfg(feature = "test-util")]
mod retry_ends;
#[cfg(feature = "test-util")]
mod retry_policy;
#[cfg(feature = "test-util")]
mod schedule;
#[cfg(all(feature = "test-util", feature = "calendar"))]
mod schedule_calendar;
#[cfg(feature = "test-util")]
mod schedule_follow;
mod scope;
mod scope_tasks;
mod sort;
