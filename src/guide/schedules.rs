//! Schedules: jobs that are run at times.
