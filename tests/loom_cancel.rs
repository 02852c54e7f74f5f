//! Models of the cancel tokens, explored exhaustively by loom:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release --test loom_cancel
//! ```
//!
//! The tokens are the code that ships. Their `Arc` and `Weak` are those of std, which loom takes
//! for steps that cannot be interrupted; `tests/cancel.rs` has stress tests of drops that race.
#![cfg(loom)]

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::sync::Arc;
use windlass::{CancelCause, CancelToken};

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(3));
    builder.check(model);
}

/// A callback that counts its runs.
fn counted(token: &CancelToken, count: &Arc<AtomicUsize>) -> windlass::CancelCallback {
    let count = Arc::clone(count);
    token.on_cancel(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    })
}

#[test]
fn no_child_is_missed_by_a_cancel() {
    explore(|| {
        let root = CancelToken::new();
        let parent = root.child();
        let grow = {
            let parent = parent.clone();
            thread::spawn(move || {
                let child = parent.child();
                (child.child(), child)
            })
        };
        assert!(root.cancel_with(CancelCause::Shutdown));
        let (grandchild, child) = grow.join().unwrap();
        assert_eq!(child.cause(), Some(CancelCause::Shutdown));
        assert_eq!(grandchild.cause(), Some(CancelCause::Shutdown));
    });
}

#[test]
fn one_of_two_cancels_is_the_first() {
    explore(|| {
        let token = CancelToken::new();
        let child = token.child();
        let other = {
            let token = token.clone();
            thread::spawn(move || token.cancel_with(CancelCause::Shutdown))
        };
        let is_first = token.cancel();
        assert!(child.is_cancelled(), "whoever was first, it is done below");
        assert!(is_first != other.join().unwrap());
        let cause = if is_first { CancelCause::Requested } else { CancelCause::Shutdown };
        assert_eq!(token.cause(), Some(cause.clone()));
        assert_eq!(child.cause(), Some(cause));
    });
}

#[test]
fn a_cancel_that_has_returned_is_done_below() {
    explore(|| {
        let root = CancelToken::new();
        let middle = root.child();
        let leaf = middle.child();
        let other = {
            let middle = middle.clone();
            thread::spawn(move || middle.cancel_with(CancelCause::SiblingFailed))
        };
        assert!(root.cancel());
        assert!(middle.is_cancelled());
        assert!(leaf.is_cancelled());
        let cause = match other.join().unwrap() {
            true => CancelCause::SiblingFailed,
            false => CancelCause::Requested,
        };
        assert_eq!(middle.cause(), Some(cause.clone()));
        assert_eq!(leaf.cause(), Some(cause));
    });
}

#[test]
fn who_sees_the_cancel_sees_what_led_to_it() {
    explore(|| {
        let root = CancelToken::new();
        let token = root.child();
        let data = Arc::new(AtomicUsize::new(0));
        let reader = {
            let data = Arc::clone(&data);
            thread::spawn(move || {
                if token.is_cancelled() {
                    assert_eq!(data.load(Ordering::Relaxed), 1);
                    assert_eq!(token.cause(), Some(CancelCause::Requested));
                }
            })
        };
        data.store(1, Ordering::Relaxed);
        root.cancel();
        reader.join().unwrap();
    });
}

#[test]
fn a_callback_runs_once() {
    explore(|| {
        let root = CancelToken::new();
        let token = root.child();
        let kept = Arc::new(AtomicUsize::new(0));
        let dropped = Arc::new(AtomicUsize::new(0));
        let register = {
            let (token, kept, dropped) = (token.clone(), Arc::clone(&kept), Arc::clone(&dropped));
            thread::spawn(move || {
                drop(counted(&token, &dropped));
                counted(&token, &kept).detach();
            })
        };
        root.cancel();
        register.join().unwrap();
        assert_eq!(kept.load(Ordering::Relaxed), 1);
        assert!(dropped.load(Ordering::Relaxed) <= 1);
    });
}

#[test]
fn tokens_may_be_dropped_while_they_are_cancelled() {
    explore(|| {
        let root = CancelToken::new();
        let leaf = root.child().child();
        let count = Arc::new(AtomicUsize::new(0));
        counted(&leaf, &count).detach();
        let dropper = thread::spawn(move || drop(leaf));
        assert!(root.cancel());
        dropper.join().unwrap();
        // Run or dropped.
        assert_eq!(Arc::strong_count(&count), 1);
        assert!(count.load(Ordering::Relaxed) <= 1);
    });
}
