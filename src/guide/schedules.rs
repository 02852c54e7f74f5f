//! Schedules: jobs that are run at times.
//!
//! ```
//! use std::time::Duration;
//! use windlass::schedule::{Misfire, OnError, Overlap};
//! use windlass::{Pool, Priority};
//!
//! let pool = Pool::new(2)?;
//! let gc = pool
//!     .schedule("gc")
//!     .every(Duration::from_secs(60))
//!     .priority(Priority::Background)
//!     .overlap(Overlap::Skip)
//!     .misfire(Misfire::RunLate)
//!     .on_error(OnError::Continue)
//!     .start(|| println!("tidying up"));
//! let gc = gc.unwrap();
//! gc.trigger_now().unwrap();
//! gc.cancel();
//! # Ok::<(), windlass::BuildError>(())
//! ```
//!
//! A run that is due is a job like any other: it has the schedule's name, goes through the lanes of
//! its [priority](crate::Priority), and may have limits in time, by
//! [`options`](crate::ScheduleBuilder::options). Nothing waits on a worker: one timer for each pool
//! sleeps until the next run of all of its schedules is due.
//!
//! # When
//!
//! | | due |
//! |---|---|
//! | [`after(d)`](crate::ScheduleBuilder::after), [`at(when)`](crate::ScheduleBuilder::at) | once; by `Instant`, or by `SystemTime` on the wall clock |
//! | [`every(d)`](crate::ScheduleBuilder::every) | at a fixed rate, which is anchored to the start: nothing drifts |
//! | [`fixed_delay(d)`](crate::ScheduleBuilder::fixed_delay) | so long after the end of the run before |
//! | `cron("..")`, with `zone("..")` | by a cron expression in a time zone (feature `calendar`) |
//! | `trigger(Calendar::months(1)..)` | every so many days, weeks, months or years by the calendar (feature `calendar`) |
//! | [`trigger(..)`](crate::ScheduleBuilder::trigger) | by a [`Trigger`](crate::schedule::Trigger) of yours |
//!
//! # Defaults
//!
//! | what happens | default | else |
//! |---|---|---|
//! | a run is due and the one before has not ended | it is skipped | [`Overlap`](crate::schedule::Overlap): one waits, n side by side, or the one before is cancelled |
//! | runs were missed: the machine was suspended, the wall clock set ahead, the timer late | one run for all, at once | [`Misfire`](crate::schedule::Misfire): none for those, or each of them |
//! | a run is late | it is run | [`grace`](crate::ScheduleBuilder::grace): not if it is later than that |
//! | a run fails: an error, a panic, a limit in time | the series goes on | [`OnError`](crate::schedule::OnError): it is paused, or ends |
//! | `at` a time that is past | an error | [`Past::RunAtOnce`](crate::schedule::Past) |
//! | the first run | when it is first due | [`immediately`](crate::ScheduleBuilder::immediately): at the start, too |
//! | jitter | none | [`jitter`](crate::ScheduleBuilder::jitter): later by some, always before the next is due, and never fed back |
//! | time zone | UTC | by name, or `local` |
//! | the handle is dropped | the series goes on | [`cancel_on_drop`](crate::ScheduleHandle::cancel_on_drop) |
//! | the pool shuts down, in whatever way, or its last handle is dropped | every series ends; runs that were submitted are jobs like others, what waited for another run to end is skipped | |
//! | how many events are kept | 256 | [`keep_events`](crate::ScheduleBuilder::keep_events) |
//!
//! Every run that was due and is not made is told, with its reason and a count, as
//! [`Skipped`](crate::schedule::ScheduleEventKind::Skipped): by
//! [`take_events`](crate::ScheduleHandle::take_events), at once by
//! [`on_event`](crate::ScheduleBuilder::on_event), or to whoever follows the schedule by
//! [`events`](crate::ScheduleHandle::events), a stream. A handle may be awaited: its future
//! [ends](crate::ScheduleHandle::ended) when the series has, and the last of its runs.
//!
//! # Two clocks
//!
//! Intervals are measured by the clock that only runs, [`Instant`](std::time::Instant). Calendars and
//! times of the day go by the one on the wall, [`SystemTime`](std::time::SystemTime), which may be
//! set. A [`When`](crate::schedule::When) is on one of the two.
//!
//! | | intervals | times of the day |
//! |---|---|---|
//! | the wall clock is set ahead | nothing changes | what has been passed over was missed: see [`Misfire`](crate::schedule::Misfire) |
//! | it is set back, by up to three hours | nothing changes | nothing is repeated: the next run is the first one later than the last |
//! | it is set back by more | nothing changes | the clock was wrong before: the series begins anew with the present time |
//! | the machine is suspended | on Linux that time does not count; where the clock goes on (Windows), it was missed | as if the clock had been set ahead |
//! | summer and winter time | nothing changes | the rule of [cron](crate::schedule) in its section there: fixed times once, rhythms in real time |
//!
//! That the clock was set is noticed within the hour, and when the next run of the schedule was to be
//! due by the clock before.
//!
//! # Tests
//!
//! With the feature `test-util` a pool may have a [`ManualClock`](crate::PoolBuilder::clock), which
//! stands still until it is moved: `advance_until_idle` goes from one due time to the next and lets
//! each run end before it moves on. A year of schedules takes no time, and the same runs are made each
//! time.
