//! tmp
#![allow(dead_code)]
mod common;
mod group_limits;
mod job_after;
#[path = "common/tasks.rs"]
mod tasks;
mod admission;
mod admission_async;
