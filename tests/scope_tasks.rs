//! Tasks of a scope that have a name, a priority, a token.
#![cfg(not(any(loom, shuttle)))]

use crate::common::{at_each_width, caught, throw, watchdog};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use windlass::{CancelToken, Pool, Priority, task_name};

#[test]
fn a_name_follows_what_the_task_forks() {
    at_each_width(|pool| {
        pool.scope(|s| {
            for n in 0..20 {
                s.job(format!("task {n}")).spawn(move |s| {
                    let expected = Some(format!("task {n}"));
                    let check = || assert_eq!(task_name(), expected);
                    windlass::join(check, || windlass::join(check, check));
                    // What it spawns belongs to the scope.
                    s.spawn(|_| assert_eq!(task_name(), None));
                });
            }
        });
        let name = pool.job("outer").submit(|| {
            let mut inner = None;
            windlass::scope(|s| s.job("").spawn(|_| inner = task_name()));
            inner
        });
        assert_eq!(name.wait().unwrap().as_deref(), Some("outer"));
        assert_eq!(task_name(), None);
    });
}

#[test]
fn the_highest_priority_starts_first_and_plain_tasks_are_normal() {
    let pool = Pool::new(1).unwrap();
    watchdog(&pool, || {
        let order = Mutex::new(Vec::new());
        let note = |name: &'static str| order.lock().unwrap().push(name);
        // The only one at work: nothing runs before the body has returned.
        pool.install(|| {
            pool.scope(|s| {
                s.job("").priority(Priority::Low).spawn(|_| note("low"));
                s.spawn(|_| note("plain"));
                s.job("").priority(Priority::High).spawn(|_| note("high 1"));
                s.job("").priority(Priority::Critical).spawn(|_| note("critical"));
                s.job("").priority(Priority::High).spawn(|_| note("high 2"));
            });
        });
        assert_eq!(*order.lock().unwrap(), ["critical", "high 1", "high 2", "plain", "low"]);
    });
}

#[test]
fn a_token_ends_its_task_and_no_other() {
    at_each_width(|pool| {
        let (before, during) = (CancelToken::new(), CancelToken::new());
        before.cancel();
        let (ran, others, ended) =
            (AtomicBool::new(false), AtomicUsize::new(0), AtomicBool::new(true));
        pool.scope(|s| {
            s.job("never").cancel_token(&before).spawn(|_| ran.store(true, SeqCst));
            s.job("endless").cancel_token(&during).spawn(|_| {
                assert!(!CancelToken::current().unwrap().is_cancelled());
                during.cancel();
                let sum: u64 = {
                    use windlass::prelude::*;
                    windlass::iter::repeat(1_u64).map(std::hint::black_box).sum()
                };
                ended.store(sum == 0, SeqCst);
            });
            for _ in 0..10 {
                s.job("other").spawn(|_| _ = others.fetch_add(1, SeqCst));
            }
        });
        assert!(!ran.load(SeqCst) && ended.load(SeqCst));
        assert_eq!(others.load(SeqCst), 10);
    });
}

#[test]
fn a_panic_comes_out_of_the_scope() {
    at_each_width(|pool| {
        let token = CancelToken::new();
        let thrown: i32 = caught(|| {
            pool.scope(|s| {
                s.job("bad").cancel_token(&token).priority(Priority::High).spawn(|_| throw(7))
            });
        });
        assert_eq!(thrown, 7);
        // A token above ends it all, named tasks too.
        let result = token.run(|| {
            pool.scope(|s| {
                s.job("inner").spawn(|_| {
                    token.cancel();
                    use windlass::prelude::*;
                    let _: u64 = windlass::iter::repeat(1_u64).map(std::hint::black_box).sum();
                });
            });
        });
        assert!(result.is_err());
    });
}
