//! A crawl of a made-up web by a group of jobs: members add members, no more than a few at once.
//!
//! ```text
//! cargo run --release --example group
//! ```
//!
//! Shown are four ways to wait for a group: for the results as they come, while members still add
//! others; for all of them, of which one fails; for the first of several mirrors that answers; and
//! for a part, when the time is up. At the end services stop one after the other.

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use windlass::group::GroupErrorKind;
use windlass::{CancelCause, GroupHandle, Join, Pool};

const PAGES: u32 = 200;

/// Fetches a page, with all that a job would do there, and says where it leads.
fn fetch(page: u32) -> Vec<u32> {
    let work = (0..20_000_u64).fold(u64::from(page), |a, b| std::hint::black_box(a ^ (b * 31)));
    vec![page * 2 + 1, page * 2 + 2, (work % u64::from(PAGES)) as u32]
}

/// Visits a page that nobody has seen, and adds those it leads to to the group.
fn visit(page: u32, group: GroupHandle<(u32, usize)>, seen: Arc<Mutex<HashSet<u32>>>) {
    if page >= PAGES || !seen.lock().expect("no panic under the lock").insert(page) {
        return;
    }
    let inner = group.clone();
    // It only fails when the group is closed: then nobody wants the page.
    let _ = group.job(format!("page {page}")).submit(move || {
        let links = fetch(page);
        let count = links.len();
        links.into_iter().for_each(|link| visit(link, inner.clone(), Arc::clone(&seen)));
        (page, count)
    });
}

fn crawl(pool: &Pool) -> usize {
    let group = pool.group("crawl").limit(4).open();
    visit(0, group.handle(), Arc::default());
    let mut pages = 0;
    for member in group.as_completed() {
        let name = member.name().unwrap_or_default().to_owned();
        let (page, links) = member.result.expect("no page panics");
        pages += 1;
        if pages % 50 == 0 {
            println!("{name} is the {pages}th: page {page} has {links} links");
        }
    }
    let statistics = group.statistics();
    println!("{pages} pages, progress {:.0} %", 100.0 * statistics.progress());
    assert_eq!((statistics.completed, pages), (u64::from(PAGES), PAGES as usize));
    pages
}

fn parse(pool: &Pool) {
    let group = pool.group("parse").fail_fast().limit(1).open();
    for text in ["17", "four", "4", "21"] {
        group.job(text).submit_fallible(|| text.parse::<u32>()).expect("an open group");
    }
    let error = group.wait(Join::all()).expect_err("one is no number");
    println!("{error}");
    assert_eq!(error.kind(), GroupErrorKind::Failed);
    assert_eq!(error.first().and_then(|first| first.name()), Some("parse/four"));
    assert_eq!(group.token().cause(), Some(CancelCause::SiblingFailed));
}

fn mirrors(pool: &Pool) -> Result<(), Box<dyn Error>> {
    let group = pool.group("mirrors").open();
    group.submit_fallible(|| Err::<&str, _>("no route to host"))?;
    group.submit(|| "the file")?;
    println!("a mirror has {}", group.wait(Join::first_ok())?);
    Ok(())
}

fn partial(pool: &Pool) -> Result<(), Box<dyn Error>> {
    let group = pool.group("slow").open();
    group.submit(|| 1)?;
    group.submit_with(|cx| {
        // For ever, if nobody says otherwise.
        while !cx.is_cancelled() {
            std::thread::yield_now();
        }
        2
    })?;
    // The first member has no reason to take that long.
    while group.statistics().completed == 0 {
        std::thread::yield_now();
    }
    let part = group.wait_timeout(Join::collect(), Duration::from_millis(10));
    println!("{} of 2 in time", part.len());
    assert_eq!(part.len(), 1);
    Ok(())
    // Here the group is dropped, which cancels the second.
}

fn services(pool: &Pool) -> Result<(), Box<dyn Error>> {
    let group = pool.group("services").open();
    for name in ["log", "server"] {
        group.job(name).submit_with(move |cx| {
            while !cx.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            println!("{name} stops");
        })?;
    }
    while group.statistics().running < 2 {
        std::thread::yield_now();
    }
    assert!(group.stop_in_reverse(Duration::from_secs(10)));
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let (pool, start) = (Pool::new(2)?, Instant::now());
    crawl(&pool);
    parse(&pool);
    mirrors(&pool)?;
    partial(&pool)?;
    services(&pool)?;
    println!("all in {:.1?}", start.elapsed());
    Ok(())
}
