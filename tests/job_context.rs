//! What runs in a job sees that job, wherever it runs, and nothing else does.
#![cfg(not(any(loom, shuttle)))]

use crate::common::*;
use windlass::prelude::*;
use windlass::{JobId, Pool, Priority, join, scope};

struct Tenant(usize);

/// Everything that is known of the current job.
fn seen() -> Option<(JobId, Option<String>, Priority, Option<usize>)> {
    let cx = windlass::current()?;
    let tenant = cx.extension::<Tenant>().map(|tenant| tenant.0);
    Some((cx.id(), cx.name().map(str::to_owned), cx.priority(), tenant))
}

fn tree(depth: u32, check: &(impl Fn() + Sync)) {
    check();
    if depth > 0 {
        join(|| tree(depth - 1, check), || tree(depth - 1, check));
        check();
    }
}

/// SEMANTICS 6.14.
#[test]
fn a_job_and_all_its_forks_see_it_under_random_stealing() {
    at_each_width(|pool| {
        let handles: Vec<_> = (0..scale(200))
            .map(|i| {
                let inner = pool.clone();
                let priority = Priority::ALL[i % 8];
                let job = pool.job(format!("job {i}")).priority(priority).extension(Tenant(i));
                job.submit_with(move |cx| {
                    let (id, name) = (cx.id(), Some(format!("job {i}")));
                    let check = || {
                        let (seen_id, seen_name, _, tenant) = seen().expect("a job");
                        assert_eq!((seen_id, &seen_name, tenant), (id, &name, Some(i)));
                    };
                    check();
                    tree(6, &check);
                    scope(|s| (0..8).for_each(|_| s.spawn(|_| tree(1, &check))));
                    (0..64).into_par_iter().for_each(|_| check());
                    inner.broadcast(|_| check());
                    // One that is run by its waiter is itself, and then we are again.
                    let other = inner.submit(seen).wait().unwrap().expect("a job");
                    assert!(other.0 != id && other.1.is_none() && other.3.is_none());
                    check();
                    // A panic in between changes nothing.
                    assert!(panics(|| join(|| throw("fork"), || tree(2, &check))));
                    assert!(inner.submit(|| throw::<u8>(1)).wait().is_err() as u8 == 1);
                    check();
                    assert!(cx.extension::<String>().is_none());
                    id
                })
            })
            .collect();
        // What comes in between is none of them.
        for _ in 0..50 {
            assert!(seen().is_none());
            assert!(pool.install(|| join(seen, seen)) == (None, None));
            let (_, name, priority, tenant) = pool.submit(seen).wait().unwrap().expect("a job");
            assert_eq!((name, priority, tenant), (None, Priority::Normal, None));
            assert!(pool.broadcast(|_| seen()).into_iter().all(|seen| seen.is_none()));
        }
        for handle in handles {
            let id = handle.id();
            assert_eq!(handle.wait().unwrap(), id);
        }
        assert!(seen().is_none());
    });
}

#[test]
fn what_was_seen_may_be_kept_beyond_the_job_and_the_pool() {
    for width in WIDTHS {
        let pool = Pool::new(width).unwrap();
        let kept = watchdog(&pool, || {
            let job = pool.job("kept").extension(Tenant(3));
            job.submit(|| windlass::current().unwrap()).wait().unwrap()
        });
        drop(pool);
        assert_eq!((kept.name(), kept.extension::<Tenant>().unwrap().0), (Some("kept"), 3));
        assert!(!kept.token().is_cancelled());
        assert!(kept.clone().job_ref().is_finished());
    }
}

/// A job of another pool that a job waits for is not a part of it.
#[test]
fn a_job_is_not_a_part_of_who_waits_for_it() {
    let (a, b) = (Pool::new(2).unwrap(), Pool::new(2).unwrap());
    watchdog(&a, || {
        for i in 0..scale(200) {
            let inner = b.clone();
            let handle = a.job("outer").extension(Tenant(i)).submit(move || {
                let other = inner.submit(|| join(seen, seen)).wait().unwrap();
                // But what is called in another pool is.
                (other, inner.install(|| join(seen, seen)))
            });
            let ((one, two), (three, four)) = handle.wait().unwrap();
            assert!(
                one == two
                    && one.is_some_and(|(_, name, _, tenant)| name.is_none() && tenant.is_none())
            );
            assert!(three == four && three.is_some_and(|seen| seen.3 == Some(i)));
        }
    });
}

#[test]
fn a_cancelled_job_that_runs_another_does_not_cancel_that() {
    at_each_width(|pool| {
        let inner = pool.clone();
        let mut outer = pool.submit_with(move |cx| {
            cx.token().cancel();
            let other = inner.submit(|| (windlass::checkpoint().is_ok(), fib(12)));
            (cx.is_cancelled(), other.wait().unwrap())
        });
        assert_eq!(outer.wait_timeout(LONG).unwrap().unwrap(), (true, (true, 144)));
    });
}
