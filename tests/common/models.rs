//! How loom's models are explored, and how their twins are seen to fail.

use std::env;
use std::process::Command;

/// What loom says when all threads wait: a lost wake-up.
pub(crate) const DEADLOCK: &str = "deadlock; threads";

/// Explores `model` with at most `most` preemptions, or fewer if the environment says so.
pub(crate) fn explore(most: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.map_or(most, |asked| asked.min(most)));
    builder.check(model);
}

/// Runs the test `name` of this binary in a child process, where it explores `model`, and asserts
/// that it fails with `fault`.
pub(crate) fn assert_caught(
    name: &str,
    fault: &str,
    most: usize,
    model: impl Fn() + Send + Sync + 'static,
) {
    const CHILD: &str = "WINDLASS_LOOM_TWIN";
    if env::var_os(CHILD).is_some_and(|twin| twin == name) {
        return explore(most, model);
    }
    let this = env::current_exe().unwrap();
    let child = Command::new(this).args(["--exact", name, "--nocapture"]).env(CHILD, name).output();
    let child = child.unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&child.stdout),
        String::from_utf8_lossy(&child.stderr)
    );
    assert!(!child.status.success(), "loom does not see what is wrong with {name}:\n{said}");
    assert!(said.contains(fault), "{name} fails with something else than {fault:?}:\n{said}");
}
