//! After fork(2) a pool of the parent says what is wrong instead of hanging, and the global pool starts anew.
#![cfg(all(unix, not(any(loom, shuttle))))]

use crate::common::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use windlass::{Pool, broadcast, join};

/// P13. Forks, runs `body` in the child, and waits for it as long as a test may take.
#[track_caller]
fn in_fork(body: impl FnOnce()) {
    // SAFETY: the test runs alone in a process of its own, whose other threads are idle workers: no lock of
    // the allocator or of the standard library is held, and glibc's own handlers see to the rest.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        // `alarm` is the watchdog here: it kills the child, and the parent sees that.
        // SAFETY: a plain system call.
        unsafe { libc::alarm(time_limit().as_secs() as u32) };
        let result = catch_unwind(AssertUnwindSafe(body));
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(if result.is_ok() { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: our own child, and a live place for its status.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(libc::WIFEXITED(status), "the child was killed (signal {})", libc::WTERMSIG(status));
    assert_eq!(libc::WEXITSTATUS(status), 0, "the child failed");
}

#[track_caller]
fn refused(f: impl FnOnce()) {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("a pool of the parent must refuse");
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or(payload.downcast_ref::<&str>().copied()).expect("a message");
    assert!(text.contains("fork"), "{text}");
}

#[test]
fn a_pool_of_the_parent_panics_in_the_child_and_can_be_dropped() {
    in_child("a_pool_of_the_parent_panics_in_the_child_and_can_be_dropped", &[], || {
        for width in WIDTHS {
            let mut pool = Some(Pool::new(width).unwrap());
            let used = pool.as_ref().unwrap();
            assert_eq!(used.install(|| fib(10)), 55);
            in_fork(|| {
                let pool = pool.take().unwrap();
                refused(|| _ = pool.install(|| fib(10)));
                refused(|| _ = pool.join(|| 1, || 2));
                refused(|| pool.scope(|s| s.spawn(|_| ())));
                refused(|| _ = pool.broadcast(|_| ()));
                // The first loop of a site, which is shared.
                refused(|| _ = pool.par_map(0..100_000, |n| n));
                drop(pool.clone());
                drop(pool);
                // A new pool works.
                let pool = Pool::new(width).unwrap();
                assert_eq!(pool.install(|| fib(10)), 55);
                assert_eq!(pool.broadcast(|cx| cx.index()).len(), width);
            });
            // And the parent's goes on.
            let pool = pool.unwrap();
            assert_eq!(pool.broadcast(|cx| cx.index()).len(), width);
            assert_eq!(pool.install(|| fib(10)), 55);
        }
    });
}

#[test]
fn a_short_loop_in_the_child_does_not_hang() {
    in_child("a_short_loop_in_the_child_does_not_hang", &[], || {
        let pool = Pool::new(2).unwrap();
        let short = |pool: &Pool| pool.par_map(0..4, |n| n);
        // With a history the loop is known to be short and asks nobody, so it may as well run.
        (0..100).for_each(|_| _ = short(&pool));
        in_fork(|| {
            for _ in 0..100 {
                match catch_unwind(AssertUnwindSafe(|| short(&pool))) {
                    Ok(v) => assert_eq!(v, [0, 1, 2, 3]),
                    Err(payload) => refused(|| std::panic::resume_unwind(payload)),
                }
            }
        });
    });
}

#[test]
fn the_global_pool_starts_anew_in_the_child() {
    let test = "the_global_pool_starts_anew_in_the_child";
    in_child(test, &[("WINDLASS_NUM_THREADS", "3")], || {
        let before: *const Pool = Pool::global();
        assert_eq!(join(|| fib(10), || fib(11)), (55, 89));
        in_fork(|| {
            assert!(!std::ptr::eq(before, Pool::global()));
            assert_eq!(join(|| fib(10), || fib(11)), (55, 89));
            assert_eq!(broadcast(|cx| cx.index()), [0, 1, 2]);
            assert_eq!(windlass::par_map(0..1000, |n| n).len(), 1000);
            windlass::scope(|s| (0..10).for_each(|_| s.spawn(|_| _ = fib(5))));
            // Once more, in the child's child.
            in_fork(|| assert_eq!(broadcast(|cx| cx.index()), [0, 1, 2]));
        });
        assert!(std::ptr::eq(before, Pool::global()));
        assert_eq!(broadcast(|cx| cx.index()), [0, 1, 2]);
    });
}

#[test]
fn a_fork_before_the_first_pool_changes_nothing() {
    in_child("a_fork_before_the_first_pool_changes_nothing", &[], || {
        in_fork(|| {
            assert_eq!(join(|| fib(10), || fib(11)), (55, 89));
            assert_eq!(Pool::new(2).unwrap().broadcast(|_| ()).len(), 2);
        });
        assert_eq!(join(|| fib(10), || fib(11)), (55, 89));
    });
}

#[test]
fn a_fork_inside_of_a_pool_does_not_hang_the_child() {
    in_child("a_fork_inside_of_a_pool_does_not_hang_the_child", &[], || {
        let pool = Pool::new(2).unwrap();
        pool.install(|| {
            in_fork(|| {
                // Nobody comes for the second halves, so either it runs here or it is refused.
                let _ = catch_unwind(|| join(|| fib(5), || fib(5)));
                let _ = catch_unwind(|| windlass::scope(|s| s.spawn(|_| _ = fib(5))));
                refused(|| _ = broadcast(|_| ()));
            });
        });
        assert_eq!(pool.broadcast(|_| ()).len(), 2);
    });
}
