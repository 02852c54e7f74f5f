//! Guides: what to use, and how it differs from what you know.

pub mod from_rayon;
pub mod names;
pub mod schedules;
