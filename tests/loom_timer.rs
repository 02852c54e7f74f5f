//! Models of the timer, explored exhaustively by loom:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release --test loom_timer
//! ```
//!
//! The timer is the code that ships, with a clock that is moved by hand. What sleeps and is woken is
//! the thread that it has otherwise: tokio #8252, #3229 were races of a cancel, Z2 of RELIABILITY.
#![cfg(loom)]

#[path = "common/models.rs"]
mod models;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use models::{assert_caught, explore};
use std::sync::Arc;
use windlass::model::TimerModel;

/// A callback that counts its runs, and its drops.
struct Counted {
    runs: Arc<AtomicUsize>,
    drops: Arc<AtomicUsize>,
}

impl Counted {
    fn run(self) {
        self.runs.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::SeqCst);
    }
}

fn counted() -> (impl FnOnce() + Send + 'static, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (runs, drops) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Counted { runs: Arc::clone(&runs), drops: Arc::clone(&drops) };
    (move || counted.run(), runs, drops)
}

/// It runs once, or is cancelled; and a cancel that says so has dropped it.
fn cancel_and_fire(in_two_steps: bool) {
    let timer = Arc::new(TimerModel::new());
    let (callback, runs, drops) = counted();
    let key = timer.insert(1, callback);
    let firing = {
        let timer = Arc::clone(&timer);
        thread::spawn(move || timer.pass(1))
    };
    let is_cancelled =
        if in_two_steps { timer.cancel_in_two_steps(key) } else { timer.cancel(key) };
    if is_cancelled {
        assert_eq!(drops.load(Ordering::SeqCst), 1, "dropped by who cancels");
    }
    firing.join().unwrap();
    let runs = runs.load(Ordering::SeqCst);
    assert_eq!(runs + usize::from(is_cancelled), 1, "run or cancelled");
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    assert!(!timer.cancel(key));
}

#[test]
fn a_timer_is_run_or_cancelled() {
    explore(3, || cancel_and_fire(false));
}

#[test]
fn twin_cancel_in_two_steps() {
    assert_caught("twin_cancel_in_two_steps", "or cancelled", 3, || cancel_and_fire(true));
}

#[test]
fn two_who_fire_run_it_once() {
    explore(3, || {
        let timer = Arc::new(TimerModel::new());
        let (first, runs, drops) = counted();
        let (second, other_runs, _) = counted();
        timer.insert(1, first);
        timer.insert(2, second);
        let firing = {
            let timer = Arc::clone(&timer);
            thread::spawn(move || timer.pass(2))
        };
        timer.pass(1);
        firing.join().unwrap();
        let counts = [runs, drops, other_runs].map(|count| count.load(Ordering::SeqCst));
        assert_eq!(counts, [1, 1, 1]);
    });
}

#[test]
fn what_is_inserted_while_others_fire_is_not_lost() {
    explore(3, || {
        let timer = Arc::new(TimerModel::new());
        let (callback, runs, _) = counted();
        let inserting = {
            let timer = Arc::clone(&timer);
            thread::spawn(move || timer.insert(1, callback))
        };
        timer.insert(2, || ());
        timer.pass(1);
        let key = inserting.join().unwrap();
        timer.pass(1);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert!(!timer.cancel(key));
    });
}

#[test]
fn a_stop_drops_or_comes_too_late() {
    explore(3, || {
        let timer = Arc::new(TimerModel::new());
        let (callback, runs, drops) = counted();
        let (late, late_runs, late_drops) = counted();
        timer.insert(1, callback);
        let other = {
            let timer = Arc::clone(&timer);
            thread::spawn(move || {
                timer.insert(1, late);
                timer.pass(1);
            })
        };
        timer.stop();
        other.join().unwrap();
        timer.pass(1);
        for (runs, drops) in [(runs, drops), (late_runs, late_drops)] {
            assert!(runs.load(Ordering::SeqCst) <= 1);
            assert_eq!(drops.load(Ordering::SeqCst), 1, "run or dropped, once");
        }
    });
}
