//! The group suite: what a member of a group costs beside a plain job, and beside the sets of tasks
//! of the peers.
//!
//! Each call puts a thousand closures into a set and collects what they return. tokio's set gives
//! the results in the order of the ends, as `as_completed` does; rayon's scope has none, so its tasks
//! write theirs into slots. `plain jobs` is Windlass without a group: `submit` and a handle each.

use crate::engines::{Engine, rayon_pool, windlass_pool};
use crate::harness::{Case, Check, Options, Row, Run, measure, timed};
use crate::report;
use std::hint::black_box;
use windlass::{Join, Pool};

const MEMBERS: u64 = 1_000;
const SUM: u64 = MEMBERS * (MEMBERS - 1) / 2;
/// What a member with a result costs at most.
const BAR: &str = "<= tokio";

fn closure(n: u64) -> impl FnOnce() -> u64 + Send + 'static {
    move || black_box(n)
}

fn plain_jobs(pool: &Pool) -> bool {
    let handles: Vec<_> = (0..MEMBERS).map(|n| pool.submit(closure(n))).collect();
    handles.into_iter().map(|handle| handle.wait().expect("no job panics")).sum::<u64>() == SUM
}

/// Jobs with options, which a member is, in no group.
fn named_jobs(pool: &Pool) -> bool {
    let submit = |n| pool.job("job").submit(closure(n));
    let handles: Vec<_> = (0..MEMBERS).map(submit).collect();
    handles.into_iter().map(|handle| handle.wait().expect("no job panics")).sum::<u64>() == SUM
}

fn all_of_group(pool: &Pool, limit: Option<usize>) -> bool {
    let builder = pool.group("members");
    let group = match limit {
        Some(limit) => builder.limit(limit).open(),
        None => builder.open(),
    };
    for n in 0..MEMBERS {
        group.submit(closure(n)).expect("an open group");
    }
    group.wait(Join::all()).expect("no member panics").into_iter().sum::<u64>() == SUM
}

fn as_completed(pool: &Pool) -> bool {
    let group = pool.group("members").open();
    for n in 0..MEMBERS {
        group.submit(closure(n)).expect("an open group");
    }
    let results = group.as_completed().map(|member| member.result.expect("no member panics"));
    results.sum::<u64>() == SUM
}

fn windlass_scope(pool: &Pool) -> bool {
    let mut slots = vec![0; MEMBERS as usize];
    pool.scope(|s| {
        for (n, slot) in slots.iter_mut().enumerate() {
            s.spawn(move |_| *slot = closure(n as u64)());
        }
    });
    slots.into_iter().sum::<u64>() == SUM
}

fn named_tasks(pool: &Pool) -> bool {
    let mut slots = vec![0; MEMBERS as usize];
    pool.scope(|s| {
        for (n, slot) in slots.iter_mut().enumerate() {
            s.job("task").spawn(move |_| *slot = closure(n as u64)());
        }
    });
    slots.into_iter().sum::<u64>() == SUM
}

fn rayon_scope(pool: &rayon::ThreadPool) -> bool {
    let mut slots = vec![0; MEMBERS as usize];
    pool.scope(|s| {
        for (n, slot) in slots.iter_mut().enumerate() {
            s.spawn(move |_| *slot = closure(n as u64)());
        }
    });
    slots.into_iter().sum::<u64>() == SUM
}

fn join_set(runtime: &tokio::runtime::Runtime) -> bool {
    runtime.block_on(async {
        let mut set = tokio::task::JoinSet::new();
        for n in 0..MEMBERS {
            let call = closure(n);
            set.spawn(async move { call() });
        }
        let mut sum = 0;
        while let Some(result) = set.join_next().await {
            sum += result.expect("no task panics");
        }
        sum == SUM
    })
}

/// Runs the suite and prints its table.
pub(crate) fn run(opts: &Options) -> Vec<Row> {
    let mut rows = Vec::new();
    for &workers in &opts.workers {
        let (windlass, rayon) = (windlass_pool(workers), rayon_pool(workers));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).build();
        let runtime = runtime.expect("tokio runtime");
        type Ours<'a> = Box<dyn Fn() -> bool + 'a>;
        let cases: [(&'static str, bool, Ours<'_>); 7] = [
            ("plain jobs", true, Box::new(|| plain_jobs(&windlass))),
            ("jobs with a name", true, Box::new(|| named_jobs(&windlass))),
            ("a group, all", true, Box::new(|| all_of_group(&windlass, None))),
            ("a group of 8 at once, all", true, Box::new(|| all_of_group(&windlass, Some(8)))),
            ("a group, as completed", true, Box::new(|| as_completed(&windlass))),
            ("a scope", false, Box::new(|| windlass_scope(&windlass))),
            ("a scope, named tasks", false, Box::new(|| named_tasks(&windlass))),
        ];
        for (name, has_results, ours) in cases {
            if !opts.wants_case(name) {
                continue;
            }
            let seq = || (0..MEMBERS).map(|n| closure(n)()).sum::<u64>() == SUM;
            let mut runs = vec![
                Run::new(Engine::Seq, |calls| timed(name, calls, seq)),
                Run::new(Engine::Windlass, |calls| timed(name, calls, &ours)),
                Run::new(Engine::Rayon, |calls| timed(name, calls, || rayon_scope(&rayon))),
            ];
            if has_results {
                let tokio = |calls| timed(name, calls, || join_set(&runtime));
                runs.push(Run::new(Engine::Tokio, tokio));
            }
            let (suite, name) = ("group", name.to_owned());
            let case = Case { suite, name, workers, forks: Some(MEMBERS), max_calls: 200, runs };
            let mut row = measure(opts, case);
            let median = |engine| row.cell(engine).map(|cell| cell.time.median);
            if let (Some(ours), Some(tokio)) = (median(Engine::Windlass), median(Engine::Tokio)) {
                row.checks = vec![Check { name: BAR, pass: ours <= tokio }];
            }
            rows.push(row);
        }
    }
    let title = "group: a thousand members (median ± interquartile range)";
    let bar: report::Extra = (BAR, &|row| report::verdict(row, BAR));
    let [peer, _] = report::RATIOS;
    report::table(title, &rows, report::time_and_spread, &[peer, bar]);
    report::print_failing(&rows);
    rows
}
