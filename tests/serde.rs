//! Options of jobs come from a file and go into one.
#![cfg(not(any(loom, shuttle)))]

use std::time::Duration;
use windlass::{JobOptions, Priority};

#[test]
fn options_of_jobs_come_back_as_they_were() {
    let options = JobOptions::default()
        .priority(Priority::Background)
        .start_within(Duration::from_millis(1_500))
        .run_timeout(Duration::MAX)
        .timeout(Duration::ZERO);
    let text = serde_json::to_string(&options).unwrap();
    assert_eq!(serde_json::from_str::<JobOptions>(&text).unwrap(), options);
}

#[test]
fn what_is_not_said_has_its_default_and_what_is_unknown_is_an_error() {
    let some: JobOptions = serde_json::from_str(r#"{"priority":"below_normal"}"#).unwrap();
    assert_eq!(some, JobOptions::default().priority(Priority::BelowNormal));
    let error = serde_json::from_str::<JobOptions>(r#"{"retry":3}"#).unwrap_err();
    assert!(error.to_string().contains("retry"), "{error}");
    assert!(serde_json::from_str::<JobOptions>(r#"{"priority":"urgent"}"#).is_err());
}
