//! Loops under a cancel token end early and say so; what work belongs to travels with it.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use std::collections::HashSet;
// Or the compiler adds up an endless row of ones by a multiplication.
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use windlass::prelude::*;
use windlass::{CancelCause, CancelToken, Cancelled, Pool};

const NONE: [Option<CancelCause>; 2] = [None, None];

#[test]
fn a_cancelled_loop_ends_early_and_its_results_are_dropped() {
    at_each_width(|pool| {
        pool.install(|| {
            for at in [0, 1, 77, 5_000] {
                let (token, live, calls) =
                    (CancelToken::new(), Live::default(), AtomicUsize::new(0));
                let n = 1_000_000;
                let result: Result<Vec<Token<'_>>, Cancelled> = (0..n)
                    .into_par_iter()
                    .with_token(&token)
                    .map(|i| {
                        calls.fetch_add(1, Ordering::Relaxed);
                        if i == at {
                            token.cancel();
                        }
                        work_for(Duration::from_micros(1));
                        live.token()
                    })
                    .collect();
                assert_eq!(result.unwrap_err().cause(), &CancelCause::Requested);
                live.assert_none();
                assert!(calls.into_inner() < n / 2, "the loop ends early");
            }
        });
    });
}

#[test]
fn an_uncancelled_loop_gives_its_result() {
    at_each_width(|pool| {
        pool.install(|| {
            let token = CancelToken::new();
            let iter = || (0..1000_u64).into_par_iter().with_token(&token);
            assert_eq!(iter().sum::<u64>(), Ok(499_500));
            assert_eq!(iter().map(|n| n + 1).max(), Ok(Some(1000)));
            assert_eq!(iter().filter(|n| n % 2 == 0).count(), Ok(500));
            assert_eq!(iter().collect::<Vec<u64>>(), Ok((0..1000).collect()));
            assert_eq!(iter().find_first(|&n| n > 7), Ok(Some(8)));
            assert_eq!(iter().try_for_each(|n| if n == 9 { Err(n) } else { Ok(()) }), Ok(Err(9)));
            let mut seen = Vec::new();
            assert_eq!(iter().for_each_ordered(|n| seen.push(n)), Ok(()));
            assert_eq!(seen.len(), 1000);
        });
    });
}

#[test]
fn nothing_runs_under_a_token_that_is_cancelled_already() {
    at_each_width(|pool| {
        let (token, calls) = (CancelToken::new(), AtomicUsize::new(0));
        token.cancel_with(CancelCause::Shutdown);
        let call = |_| {
            calls.fetch_add(1, Ordering::Relaxed);
        };
        pool.install(|| {
            let cancelled = (0..10).into_par_iter().with_token(&token).for_each(call).unwrap_err();
            assert_eq!(cancelled.cause(), &CancelCause::Shutdown);
            assert!(token.run(|| call(0)).is_err());
        });
        assert_eq!(calls.into_inner(), 0);
    });
}

#[test]
fn a_deadline_ends_an_endless_loop() {
    at_each_width(|pool| {
        pool.install(|| {
            let ones = || windlass::iter::repeat(1_u64).map(black_box);
            let cause = |result: Result<u64, Cancelled>| result.unwrap_err().cause().clone();
            let soon = Duration::from_millis(5);
            assert_eq!(
                cause(ones().with_timeout(soon).reduce(|| 0, u64::wrapping_add)),
                CancelCause::Deadline
            );
            let deadline = Instant::now() + soon;
            let under = CancelToken::new();
            let both = ones().with_token(&under).with_deadline(deadline);
            assert_eq!(cause(both.reduce(|| 0, u64::wrapping_add)), CancelCause::Deadline);
            assert_eq!(under.cause(), None, "the deadline is not that of the token");
        });
    });
}

#[test]
fn another_thread_may_cancel() {
    at_each_width(|pool| {
        let token = CancelToken::new();
        thread::scope(|s| {
            s.spawn(|| {
                thread::sleep(Duration::from_millis(5));
                token.cancel();
            });
            let sum = pool.install(|| {
                windlass::iter::repeat(1_u64)
                    .map(black_box)
                    .with_token(&token)
                    .reduce(|| 0, u64::wrapping_add)
            });
            assert!(sum.is_err());
        });
    });
}

/// The token that the calling thread's work runs under.
fn cause_here() -> Option<CancelCause> {
    CancelToken::current().and_then(|token| token.cause())
}

#[test]
fn the_context_follows_stolen_work_and_is_restored() {
    at_each_width(|pool| {
        let token = CancelToken::new();
        let is_ours = || {
            // Cancelled further down, so that a token can be told from any other.
            CancelToken::current().is_some_and(|here| here.deadline().is_none())
        };
        let (calls, threads) = (AtomicUsize::new(0), Mutex::new(HashSet::new()));
        let check = || {
            assert!(is_ours(), "in the context");
            calls.fetch_add(1, Ordering::Relaxed);
            threads.lock().unwrap().insert(thread::current().id());
            work_for(Duration::from_micros(20));
        };
        pool.install(|| {
            assert!(CancelToken::current().is_none());
            token
                .run(|| {
                    (0..200).into_par_iter().for_each(|_| check());
                    tree(6, &check);
                    windlass::scope(|s| {
                        for _ in 0..50 {
                            s.spawn(|s| {
                                check();
                                s.spawn(|_| check());
                            });
                        }
                    });
                    windlass::broadcast(|_| check());
                })
                .unwrap();
            assert!(CancelToken::current().is_none());
        });
        assert_eq!(calls.into_inner(), 200 + 64 + 100 + pool.num_workers());
        if pool.num_workers() > 1 {
            assert!(threads.into_inner().unwrap().len() > 1, "some of it was stolen");
        }
        // No worker has kept it.
        assert!(pool.broadcast(|_| CancelToken::current().is_none()).into_iter().all(|none| none));
    });
}

fn tree(depth: u32, leaf: &(impl Fn() + Sync)) {
    if depth == 0 {
        leaf();
    } else {
        windlass::join(|| tree(depth - 1, leaf), || tree(depth - 1, leaf));
    }
}

#[test]
fn forks_from_outside_of_a_context_do_not_run_in_it() {
    at_each_width(|pool| {
        let token = CancelToken::new();
        for _ in 0..scale(200) {
            pool.install(|| {
                windlass::join(
                    || {
                        // The second half is on the fork stack while this context is entered, and is
                        // asked for while it lasts.
                        token
                            .run(|| {
                                windlass::join(
                                    || work_for(Duration::from_micros(30)),
                                    || assert!(CancelToken::current().is_some()),
                                )
                            })
                            .unwrap();
                    },
                    || assert!(CancelToken::current().is_none()),
                );
            });
        }
    });
}

#[test]
fn a_task_belongs_to_its_scope() {
    at_each_width(|pool| {
        let token = CancelToken::new();
        let calls = AtomicUsize::new(0);
        pool.scope(|s| {
            let spawned = token.run(|| {
                for _ in 0..20 {
                    s.spawn(|_| {
                        // The token's call may be over by now.
                        assert!(CancelToken::current().is_none());
                        calls.fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
            assert_eq!(spawned, Ok(()));
        });
        assert_eq!(calls.into_inner(), 20);
    });
}

#[test]
fn tokens_nest_and_each_ends_its_own_call() {
    at_each_width(|pool| {
        pool.install(|| {
            let endless =
                || windlass::iter::repeat(1_u64).map(black_box).reduce(|| 0, u64::wrapping_add);
            let (outer, inner) = (CancelToken::new(), CancelToken::new());
            // The inner one alone.
            let result = outer.run(|| {
                let inner = inner.run(|| {
                    inner.cancel();
                    endless()
                });
                (inner.is_err(), windlass::checkpoint())
            });
            assert_eq!(result, Ok((true, Ok(()))));
            // The outer one, through a call under another that is not cancelled.
            let inner = CancelToken::new();
            let result = outer.run(|| {
                let _ = inner.run(|| {
                    outer.cancel_with(CancelCause::Shutdown);
                    endless()
                });
                unreachable!("the outer call has ended");
            });
            assert_eq!(result.unwrap_err().cause(), &CancelCause::Shutdown);
            assert_eq!([inner.cause(), cause_here()], NONE);
        });
    });
}

#[test]
fn cancelling_reaches_loops_in_loops_and_forks() {
    at_each_width(|pool| {
        let (token, calls) = (CancelToken::new(), AtomicUsize::new(0));
        let n = 3_000;
        let result = pool.install(|| {
            (0..n).into_par_iter().with_token(&token).for_each(|i| {
                windlass::join(
                    || {
                        (0..n).into_par_iter().for_each(|j| {
                            calls.fetch_add(1, Ordering::Relaxed);
                            if i == 1 && j == 1 {
                                token.cancel();
                            }
                        });
                    },
                    || (),
                );
            })
        });
        assert!(result.is_err());
        assert!(calls.into_inner() < n * n / 2);
    });
}

#[test]
fn a_panic_is_not_taken_for_a_cancel() {
    at_each_width(|pool| {
        let token = CancelToken::new();
        let thrown = caught::<&str, _>(|| {
            pool.install(|| {
                (0..100).into_par_iter().with_token(&token).for_each(|i| {
                    if i == 50 {
                        throw("bad");
                    }
                })
            })
        });
        assert_eq!(thrown, "bad");
        assert!(pool.install(CancelToken::current).is_none());
    });
}

#[test]
fn a_user_who_catches_the_unwinding_does_not_break_it() {
    at_each_width(|pool| {
        let token = CancelToken::new();
        let result = pool.install(|| {
            token.run(|| {
                let inside = catch_unwind(AssertUnwindSafe(|| {
                    token.cancel();
                    (0..10).into_par_iter().for_each(drop);
                }));
                assert!(inside.is_err());
                7
            })
        });
        assert_eq!(result, Ok(7), "what ran to its end counts");
    });
}

#[test]
fn an_injected_call_keeps_its_context() {
    // More callers than the pool is wide: some calls go through the injector.
    let pool = Pool::new(1).unwrap();
    watchdog(&pool, || {
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..scale(50) {
                        let token = CancelToken::new();
                        let has_token = token.run(|| {
                            pool.install(|| {
                                work_for(Duration::from_micros(50));
                                CancelToken::current().is_some()
                            })
                        });
                        assert_eq!(has_token, Ok(true));
                    }
                });
            }
        });
    });
}
