//! A cancel reaches every token below, for the first cause and once; tokens that are gone leave nothing behind.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::error::Error;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use windlass::{CancelCallback, CancelCause, CancelGuard, CancelToken, Cancelled};

const HOUR: Duration = Duration::from_secs(3600);

/// How deep a tree must be that a recursion would not survive on a [`SMALL_STACK`].
const DEPTH: usize = 100_000;
const SMALL_STACK: usize = 128 << 10;

/// A deadline that has passed, and which nobody has noticed.
fn past() -> Instant {
    Instant::now()
}

/// A callback that counts its runs.
fn counted(token: &CancelToken, count: &Arc<AtomicUsize>) -> CancelCallback {
    let count = Arc::clone(count);
    token.on_cancel(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    })
}

fn on_a_small_stack(body: impl FnOnce() + Send + 'static) {
    let builder = thread::Builder::new().stack_size(SMALL_STACK);
    builder.spawn(body).expect("a thread").join().expect("it does not panic");
}

type Body<'a, R> = Box<dyn FnOnce() -> R + Send + 'a>;

/// Runs `bodies` on a thread each, from as near the same moment as can be, and returns what they do.
fn at_once<'a, R: Send + 'a>(bodies: Vec<Body<'a, R>>) -> Vec<R> {
    let meeting = &Meeting::of(bodies.len());
    thread::scope(|s| {
        let mut threads = Vec::new();
        for body in bodies {
            threads.push(s.spawn(move || {
                meeting.attend();
                body()
            }));
        }
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
    })
}

// ---- the tree ------------------------------------------------------------------------------------

#[test]
fn a_cancel_goes_down_and_not_up() {
    let root = CancelToken::new();
    let (a, b) = (root.child(), root.child());
    let (aa, ab, ba) = (a.child(), a.child(), b.child());
    let aaa = aa.child();
    assert!(a.cancel());
    for token in [&a, &aa, &ab, &aaa] {
        assert!(token.is_cancelled());
        assert_eq!(token.cause(), Some(CancelCause::Requested));
        assert_eq!(token.check().unwrap_err().cause(), &CancelCause::Requested);
    }
    for token in [&root, &b, &ba] {
        assert!(!token.is_cancelled());
        assert_eq!(token.cause(), None);
        assert_eq!(token.check(), Ok(()));
    }
    root.cancel();
    assert!(b.is_cancelled() && ba.is_cancelled());
}

#[test]
fn clones_are_one_token() {
    let token = CancelToken::new();
    let clone = token.clone();
    assert!(clone.cancel());
    assert!(token.is_cancelled());
    assert!(!token.cancel());
}

#[test]
fn a_cancel_gets_past_tokens_that_are_gone() {
    let root = CancelToken::new();
    let leaf = root.child().with_timeout(HOUR).child();
    assert!(!leaf.is_cancelled());
    root.cancel_with(CancelCause::Shutdown);
    assert_eq!(leaf.cause(), Some(CancelCause::Shutdown));
}

#[test]
fn children_outlive_their_parent() {
    let parent = CancelToken::new();
    let child = parent.child();
    drop(parent);
    assert!(!child.is_cancelled());
    let grandchild = child.child();
    assert!(child.cancel());
    assert!(grandchild.is_cancelled());
}

#[test]
fn children_of_a_cancelled_token_are_born_cancelled_for_its_cause() {
    let parent = CancelToken::new();
    parent.cancel_with(CancelCause::GroupDropped);
    for child in [parent.child(), parent.with_deadline(past()), parent.with_timeout(HOUR)] {
        assert!(child.is_cancelled());
        assert_eq!(child.cause(), Some(CancelCause::GroupDropped));
        assert!(!child.cancel());
        assert_eq!(child.child().cause(), Some(CancelCause::GroupDropped));
    }
    let late = CancelToken::new().with_deadline(past());
    assert_eq!(late.child().cause(), Some(CancelCause::Deadline));
}

#[test]
fn a_tree_a_hundred_thousand_deep_is_cancelled_and_dropped_without_recursion() {
    let chain = |root: &CancelToken| {
        let mut tokens = vec![root.clone()];
        for depth in 0..DEPTH {
            let next = tokens[depth].child();
            tokens.push(next);
        }
        tokens
    };
    on_a_small_stack(move || {
        let root = CancelToken::new();
        let tokens = chain(&root);
        assert!(root.cancel_with(CancelCause::Shutdown));
        assert!(tokens.iter().all(|token| token.cause() == Some(CancelCause::Shutdown)));
    });
    on_a_small_stack(move || {
        let root = CancelToken::new();
        let leaf = chain(&root).pop();
        assert_eq!(root.num_children_for_test(), 1);
        // The last handle below the root: all in between go with it.
        drop(leaf);
        assert_eq!(root.num_children_for_test(), 0);
    });
    on_a_small_stack(move || {
        // The root first, the leaf last.
        for token in chain(&CancelToken::new()) {
            drop(token);
        }
    });
    on_a_small_stack(move || {
        let root = CancelToken::new();
        let leaf = chain(&root).pop().expect("a leaf");
        root.cancel();
        assert!(leaf.is_cancelled());
        drop(root);
        drop(leaf);
    });
}

// ---- memory --------------------------------------------------------------------------------------

#[test]
fn a_parent_keeps_no_trace_of_children_that_are_gone() {
    let parent = CancelToken::new();
    let mut window: Vec<_> = (0..16).map(|_| parent.child()).collect();
    for i in 0..scale(1_000_000) {
        window[i * 7 % 16] = parent.child();
        // One more than the window for the moment in which both are there.
        assert!(parent.num_children_for_test() <= 17);
    }
    assert!(!window.iter().any(CancelToken::is_cancelled));
    parent.cancel();
    assert!(window.iter().all(CancelToken::is_cancelled));
    assert_eq!(parent.num_children_for_test(), 0);
}

#[test]
fn a_table_is_given_back_when_the_last_child_goes() {
    let parent = CancelToken::new();
    let children: Vec<_> = (0..10_000).map(|_| parent.child()).collect();
    assert_eq!(parent.num_children_for_test(), 10_000);
    drop(children);
    assert_eq!(parent.num_children_for_test(), 0);
    let child = parent.child();
    parent.cancel();
    assert!(child.is_cancelled());
}

#[test]
fn children_keep_their_places_while_others_come_and_go() {
    let parent = CancelToken::new();
    let mut children: Vec<_> = (0..100).map(|_| parent.child()).collect();
    // Every third goes, then others take the free places, and some are left free.
    let mut index = 0;
    children.retain(|_| {
        index += 1;
        index % 3 != 0
    });
    children.extend((0..20).map(|_| parent.child()));
    assert_eq!(parent.num_children_for_test(), 100);
    parent.cancel_with(CancelCause::SiblingFailed);
    for child in children {
        assert_eq!(child.cause(), Some(CancelCause::SiblingFailed));
    }
}

// ---- causes and deadlines ------------------------------------------------------------------------

#[test]
fn the_first_cause_wins() {
    let parent = CancelToken::new();
    let (child, other) = (parent.child(), parent.child());
    let grandchild = child.child();
    assert!(child.cancel_with("first".into()));
    assert!(!child.cancel_with(CancelCause::Shutdown));
    assert!(!grandchild.cancel());
    assert!(parent.cancel_with(CancelCause::Shutdown));
    assert!(!parent.cancel());
    assert!(!other.cancel());
    assert_eq!(child.cause(), Some("first".into()));
    assert_eq!(grandchild.cause(), Some("first".into()));
    assert_eq!(parent.cause(), Some(CancelCause::Shutdown));
    assert_eq!(other.cause(), Some(CancelCause::Shutdown));
}

#[test]
fn a_deadline_that_nobody_has_noticed_comes_before_a_later_cancel() {
    // One without children, and one with.
    let late = CancelToken::new().with_deadline(past());
    assert!(!late.cancel());
    assert_eq!(late.cause(), Some(CancelCause::Deadline));
    let late = CancelToken::new().with_deadline(past());
    let child = late.child();
    assert!(!late.cancel_with(CancelCause::Shutdown));
    assert_eq!(late.cause(), Some(CancelCause::Deadline));
    assert_eq!(child.cause(), Some(CancelCause::Deadline));

    // From above.
    let root = CancelToken::new();
    let late = root.with_deadline(past());
    let (below, early) = (late.child(), root.with_timeout(HOUR));
    assert!(root.cancel_with(CancelCause::Shutdown));
    assert_eq!(late.cause(), Some(CancelCause::Deadline));
    assert_eq!(below.cause(), Some(CancelCause::Deadline));
    assert_eq!(early.cause(), Some(CancelCause::Shutdown));

    // And a cancel before a deadline.
    let token = CancelToken::new().with_timeout(Duration::from_millis(10));
    assert!(token.cancel());
    thread::sleep(Duration::from_millis(20));
    assert_eq!(token.cause(), Some(CancelCause::Requested));
}

#[test]
fn the_earliest_deadline_counts() {
    let now = Instant::now();
    let (soon, late) = (now + HOUR, now + 2 * HOUR);
    let root = CancelToken::new();
    assert_eq!(root.deadline(), None);
    assert_eq!(root.child().deadline(), None);
    assert_eq!(root.with_deadline(soon).deadline(), Some(soon));
    assert_eq!(root.with_deadline(soon).with_deadline(late).deadline(), Some(soon));
    assert_eq!(root.with_deadline(late).with_deadline(soon).deadline(), Some(soon));
    assert_eq!(root.with_deadline(soon).child().child().deadline(), Some(soon));
    assert_eq!(root.with_deadline(soon).with_timeout(Duration::MAX).deadline(), Some(soon));
    assert_eq!(root.with_timeout(Duration::MAX).deadline(), None);
    assert!(!root.with_timeout(Duration::MAX).is_cancelled());
    let token = root.with_timeout(HOUR);
    let deadline = token.deadline().expect("an hour is in range");
    assert!(now + HOUR <= deadline && deadline <= Instant::now() + HOUR);
    // A parent's deadline is not the child's.
    assert_eq!(root.deadline(), None);
}

#[test]
fn the_time_left_ends_at_zero() {
    let root = CancelToken::new();
    assert_eq!(root.time_left(), None);
    let left = root.with_timeout(HOUR).time_left().expect("a deadline");
    assert!(left <= HOUR && left > HOUR / 2);
    assert_eq!(root.with_deadline(past()).time_left(), Some(Duration::ZERO));
}

#[test]
fn whoever_looks_notices_a_deadline() {
    let looks: [fn(&CancelToken) -> bool; 4] = [
        |token| token.is_cancelled(),
        |token| token.check() == Err(token.check().unwrap_err()),
        |token| token.cause() == Some(CancelCause::Deadline),
        |token| token.child().is_cancelled(),
    ];
    for look in looks {
        assert!(look(&CancelToken::new().with_deadline(past())));
    }
    let timeout = Duration::from_millis(20);
    let before = Instant::now();
    let root = CancelToken::new();
    let token = root.with_timeout(timeout);
    let calls = Arc::new(AtomicUsize::new(0));
    let registration = counted(&token.child(), &calls);
    while !token.is_cancelled() {
        thread::yield_now();
    }
    assert!(before.elapsed() >= timeout, "not before its time");
    assert_eq!(token.check().unwrap_err().cause(), &CancelCause::Deadline);
    assert_eq!(calls.load(Ordering::SeqCst), 1, "it goes down like any cancel");
    assert!(!root.is_cancelled());
    drop(registration);
}

#[test]
fn a_deadline_below_is_not_one_above() {
    let root = CancelToken::new();
    let parent = root.with_timeout(HOUR);
    assert!(parent.with_deadline(past()).is_cancelled());
    assert!(!parent.is_cancelled());
    assert!(!root.is_cancelled());
}

#[test]
fn causes_and_errors_speak() {
    assert_eq!(CancelCause::from("full"), CancelCause::from("full".to_owned()));
    assert_ne!(CancelCause::from("full"), CancelCause::from("empty"));
    assert_ne!(CancelCause::Requested, CancelCause::Deadline);
    let causes = [
        (CancelCause::Requested, "requested"),
        (CancelCause::Deadline, "the deadline passed"),
        (CancelCause::SiblingFailed, "a sibling failed"),
        (CancelCause::Shutdown, "the pool shuts down"),
        (CancelCause::GroupDropped, "the group was dropped"),
        (CancelCause::from("full"), "full"),
    ];
    for (cause, text) in causes {
        let token = CancelToken::new();
        token.cancel_with(cause.clone());
        assert_eq!(cause.to_string(), text);
        let error: Box<dyn Error + Send + Sync> = token.check().unwrap_err().into();
        assert_eq!(error.to_string(), format!("cancelled: {text}"));
        assert_eq!(error.downcast_ref::<Cancelled>().map(Cancelled::cause), Some(&cause));
    }
}

#[test]
fn showing_a_token_notices_nothing() {
    let token = CancelToken::default().with_deadline(past());
    for _ in 0..2 {
        assert!(format!("{token:?}").contains("cause: None"));
    }
    assert!(token.is_cancelled());
    assert!(format!("{token:?}").contains("cause: Some(Deadline)"));
}

// ---- callbacks -----------------------------------------------------------------------------------

#[test]
fn a_callback_runs_once_on_the_thread_that_cancels() {
    let root = CancelToken::new();
    let token = root.child();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    let registration = token.on_cancel(move |cause| {
        record.lock().unwrap().push((cause.clone(), thread::current().id()));
    });
    assert!(seen.lock().unwrap().is_empty());
    let canceller = thread::spawn(move || {
        assert!(root.cancel_with(CancelCause::Shutdown));
        thread::current().id()
    });
    let canceller = canceller.join().expect("it does not panic");
    assert_eq!(*seen.lock().unwrap(), [(CancelCause::Shutdown, canceller)]);
    token.cancel();
    drop(registration);
    drop(token);
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[test]
fn a_callback_of_a_cancelled_token_runs_at_once() {
    let cancelled = CancelToken::new();
    cancelled.cancel();
    for token in [&cancelled, &cancelled.child(), &CancelToken::new().with_deadline(past())] {
        let calls = Arc::new(AtomicUsize::new(0));
        let registration = counted(token, &calls);
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        drop(registration);
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(Arc::strong_count(&calls), 1);
    }
}

#[test]
fn each_callback_gets_the_cause_of_its_own_token() {
    let root = CancelToken::new();
    let late = root.with_timeout(Duration::from_millis(20));
    let early = root.with_timeout(HOUR);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut registrations = Vec::new();
    for (name, token) in [("root", &root), ("late", &late.child()), ("early", &early)] {
        let seen = Arc::clone(&seen);
        // The child of `late` lives on in the registration only.
        registrations.push(token.on_cancel(move |cause| {
            seen.lock().unwrap().push((name, cause.clone()));
        }));
    }
    thread::sleep(Duration::from_millis(30));
    root.cancel();
    let mut seen = seen.lock().unwrap();
    seen.sort_by_key(|(name, _)| *name);
    let (requested, deadline) = (CancelCause::Requested, CancelCause::Deadline);
    assert_eq!(*seen, [("early", requested.clone()), ("late", deadline), ("root", requested)]);
}

#[test]
fn a_callback_runs_when_the_whole_tree_is_cancelled() {
    let root = CancelToken::new();
    let tokens: Vec<_> = (0..10).flat_map(|_| [root.child(), root.child().child()]).collect();
    let calls = Arc::new(AtomicUsize::new(0));
    let mut registrations = Vec::new();
    for token in [&root].into_iter().chain(&tokens) {
        let (tokens, calls) = (tokens.clone(), Arc::clone(&calls));
        registrations.push(token.on_cancel(move |_| {
            assert!(tokens.iter().all(CancelToken::is_cancelled));
            calls.fetch_add(1, Ordering::SeqCst);
        }));
    }
    root.cancel();
    assert_eq!(calls.load(Ordering::SeqCst), 21, "a panic in one is not seen otherwise");
}

#[test]
fn dropping_a_registration_frees_the_callback() {
    let token = CancelToken::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let kept = counted(&token, &calls);
    for _ in 0..100 {
        let registration = counted(&token, &calls);
        assert_eq!(Arc::strong_count(&calls), 3);
        drop(registration);
        assert_eq!(Arc::strong_count(&calls), 2);
    }
    token.cancel();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(Arc::strong_count(&calls), 1, "one that has run is freed, too");
    drop(kept);
}

#[test]
fn a_registration_keeps_its_token() {
    let root = CancelToken::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let registration = counted(&root.child(), &calls);
    root.cancel();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    drop(registration);
}

#[test]
fn a_detached_callback_stays_as_long_as_its_token() {
    let root = CancelToken::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let token = root.child();
    counted(&token, &calls).detach();
    drop(token);
    assert_eq!(Arc::strong_count(&calls), 1, "gone with the token");
    assert_eq!(root.num_children_for_test(), 0);

    let (token, other) = (root.child(), root.child());
    counted(&token, &calls).detach();
    counted(&other, &calls).detach();
    // Something below is as good as the token.
    let below = other.child();
    drop(other);
    assert_eq!(Arc::strong_count(&calls), 3);
    root.cancel();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(Arc::strong_count(&calls), 1);
    drop(below);
}

/// Panics when it is dropped, with a payload that takes no memory: it is leaked at last.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        throw(());
    }
}

#[test]
fn a_panic_in_a_callback_stops_nothing() {
    let token = CancelToken::new();
    let child = token.child();
    let calls = Arc::new(AtomicUsize::new(0));
    let mut registrations = Vec::new();
    for token in [&token, &child] {
        for _ in 0..3 {
            registrations.push(counted(token, &calls));
            registrations.push(token.on_cancel(|_| throw("first")));
            // The payload panics when it is dropped, and so does what the callback holds.
            registrations.push(token.on_cancel(|_| throw(Bomb)));
            let held = Bomb;
            registrations.push(token.on_cancel(move |_| drop(held)));
        }
    }
    assert!(token.cancel());
    assert!(child.is_cancelled());
    assert_eq!(calls.load(Ordering::SeqCst), 6);
    drop(registrations);
    // One that runs at once is no different.
    assert!(!panics(|| token.on_cancel(|_| throw("at once"))));
}

#[test]
fn a_callback_that_panics_when_dropped_harms_nobody() {
    let root = CancelToken::new();
    let hold = |token: &CancelToken| {
        let held = Bomb;
        token.on_cancel(move |_| drop(held))
    };
    let registration = hold(&root);
    assert!(!panics(|| drop(registration)));
    let token = root.child();
    hold(&token).detach();
    assert!(!panics(|| drop(token)));
    assert_eq!(root.num_children_for_test(), 0);
}

#[test]
fn a_callback_may_use_every_token_of_its_tree() {
    deadline(|| {
        let root = CancelToken::new();
        let (token, sibling) = (root.child(), root.child());
        // A token with children is cancelled in another way than one without.
        let below = token.child();
        let calls = Arc::new(AtomicUsize::new(0));
        let others = Arc::new(Mutex::new(Vec::new()));
        others.lock().unwrap().push(counted(&sibling, &calls));
        let registration = {
            let (root, token, others) = (root.clone(), token.clone(), Arc::clone(&others));
            let calls = Arc::clone(&calls);
            token.clone().on_cancel(move |cause| {
                assert_eq!(token.cause().as_ref(), Some(cause));
                assert!(!token.cancel());
                assert!(token.child().is_cancelled());
                // Drops a registration, and makes others.
                others.lock().unwrap().clear();
                others.lock().unwrap().push(counted(&token, &calls));
                others.lock().unwrap().push(counted(&root, &calls));
                drop(root.child());
                assert!(root.cancel_with("from below".into()));
                calls.fetch_add(10, Ordering::SeqCst);
            })
        };
        let own = Arc::new(Mutex::new(None));
        let in_callback = Arc::clone(&own);
        // It drops its own registration.
        let itself = token.on_cancel(move |_| drop(in_callback.lock().unwrap().take()));
        *own.lock().unwrap() = Some(itself);
        assert!(token.cancel());
        assert_eq!(calls.load(Ordering::SeqCst), 12, "12 when nothing in the callback panics");
        assert_eq!(root.cause(), Some("from below".into()));
        assert_eq!(sibling.cause(), Some("from below".into()));
        assert!(own.lock().unwrap().is_none());
        drop((registration, below));

        // One that runs at once is as free.
        let (again, calls) = (token.clone(), Arc::new(AtomicUsize::new(0)));
        let ran = Arc::clone(&calls);
        let registration = token.on_cancel(move |cause| {
            assert_eq!(again.cause().as_ref(), Some(cause));
            assert!(again.child().is_cancelled());
            assert!(!again.cancel());
            ran.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        drop(registration);
    });
}

// ---- guards --------------------------------------------------------------------------------------

#[test]
fn a_guard_cancels_unless_it_is_disarmed() {
    let token = CancelToken::new();
    drop(token.guard().disarm());
    assert!(!token.is_cancelled());
    let guard = token.guard();
    assert!(!token.is_cancelled());
    drop(guard);
    assert_eq!(token.cause(), Some(CancelCause::Requested));
}

#[test]
fn a_guard_cancels_when_its_frame_unwinds() {
    let token = CancelToken::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let registrations =
        [counted(&token, &calls), token.on_cancel(|_| throw("inner")), counted(&token, &calls)];
    let payload: &str = caught(|| {
        let _guard = token.guard();
        throw("outer")
    });
    assert_eq!(payload, "outer");
    assert!(token.is_cancelled());
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    drop(registrations);
}

// ---- races ---------------------------------------------------------------------------------------

#[test]
fn one_of_many_cancels_is_the_first() {
    deadline(|| {
        for _ in 0..scale(2_000) {
            let root = CancelToken::new();
            let token = root.child();
            let leaf = token.child();
            // With children, and without.
            for token in [&leaf, &token] {
                let firsts = at_once(
                    (0..4)
                        .map(|i| -> Body<'_, Option<CancelCause>> {
                            let cause = CancelCause::from(format!("thread {i}"));
                            Box::new(move || token.cancel_with(cause.clone()).then_some(cause))
                        })
                        .collect(),
                );
                let firsts: Vec<_> = firsts.into_iter().flatten().collect();
                assert_eq!(firsts.len(), 1);
                assert_eq!(token.cause().as_ref(), firsts.first());
            }
        }
    });
}

#[test]
fn no_child_is_missed_by_a_cancel() {
    deadline(|| {
        for _ in 0..scale(2_000) {
            let root = CancelToken::new();
            let parent = root.child();
            let grow = || {
                let mut children = Vec::new();
                for i in 0..20 {
                    let child = parent.child();
                    children.push(child.child());
                    children.push(child);
                    if i % 3 == 0 {
                        children.swap_remove(i % children.len());
                    }
                }
                children
            };
            let cancel = || {
                assert!(root.cancel_with(CancelCause::Shutdown));
                Vec::new()
            };
            let grown = at_once(vec![Box::new(grow), Box::new(grow), Box::new(cancel)]);
            for child in grown.iter().flatten() {
                assert_eq!(child.cause(), Some(CancelCause::Shutdown));
            }
        }
    });
}

#[test]
fn a_cancel_that_has_returned_is_done_below() {
    deadline(|| {
        for _ in 0..scale(2_000) {
            let root = CancelToken::new();
            let middle = root.child();
            let leaves: Vec<_> = (0..100).map(|_| middle.child().child()).collect();
            // Whoever is first in the middle, the other one may not return before it is done; nor
            // may who is too late.
            let cancel = |token: &CancelToken| {
                token.cancel();
                leaves.iter().filter(|leaf| !leaf.is_cancelled()).count()
            };
            let missed = at_once(vec![
                Box::new(|| cancel(&middle)),
                Box::new(|| cancel(&root)),
                Box::new(|| cancel(&middle)),
            ]);
            assert_eq!(missed, [0, 0, 0]);
        }
    });
}

#[test]
fn a_callback_that_races_with_a_cancel_runs_once() {
    deadline(|| {
        for _ in 0..scale(2_000) {
            let root = CancelToken::new();
            let token = root.child();
            let (kept, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let register = || {
                for _ in 0..10 {
                    counted(&token, &kept).detach();
                    drop(counted(&token, &dropped));
                }
            };
            let cancel = || assert!(root.cancel());
            at_once(vec![Box::new(register), Box::new(register), Box::new(cancel)]);
            assert_eq!(kept.load(Ordering::SeqCst), 20);
            assert!(dropped.load(Ordering::SeqCst) <= 20);
            assert_eq!(Arc::strong_count(&kept) + Arc::strong_count(&dropped), 2);
        }
    });
}

#[test]
fn a_deadline_is_noticed_once() {
    deadline(|| {
        for _ in 0..scale(500) {
            let root = CancelToken::new();
            let token = root.with_timeout(Duration::from_micros(100));
            let calls = Arc::new(AtomicUsize::new(0));
            let registrations = [counted(&token, &calls), counted(&token.child(), &calls)];
            let look = || {
                while !token.is_cancelled() {
                    std::hint::spin_loop();
                }
            };
            at_once(vec![Box::new(look), Box::new(look), Box::new(look)]);
            assert_eq!(calls.load(Ordering::SeqCst), 2);
            drop(registrations);
        }
    });
}

#[test]
fn tokens_may_be_dropped_while_they_are_cancelled() {
    deadline(|| {
        for _ in 0..scale(2_000) {
            let root = CancelToken::new();
            let calls = Arc::new(AtomicUsize::new(0));
            let mut leaves = Vec::new();
            for _ in 0..20 {
                let leaf = root.child().child();
                counted(&leaf, &calls).detach();
                leaves.push(leaf);
            }
            let keep = leaves.split_off(10);
            let canceller = root.clone();
            at_once(vec![
                Box::new(move || drop(leaves)),
                Box::new(move || assert!(canceller.cancel())),
            ]);
            // Each of the first ten was either run or dropped.
            assert!((10..=20).contains(&calls.load(Ordering::SeqCst)));
            assert_eq!(Arc::strong_count(&calls), 1);
            assert!(keep.iter().all(CancelToken::is_cancelled));
            assert_eq!(root.num_children_for_test(), 0);
        }
    });
}

// ---- the types -----------------------------------------------------------------------------------

#[test]
fn tokens_go_anywhere() {
    fn assert_all<T: Send + Sync + UnwindSafe + RefUnwindSafe + 'static>() {}
    assert_all::<CancelToken>();
    assert_all::<CancelGuard>();
    assert_all::<CancelCallback>();
    assert_all::<CancelCause>();
    assert_all::<Cancelled>();
    assert_eq!(size_of::<CancelToken>(), size_of::<usize>());
}
