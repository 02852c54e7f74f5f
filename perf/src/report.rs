//! What is printed and written: Markdown tables, the machine's description and the JSON file.

use crate::engines::Engine;
use crate::harness::{Cell, Check, Options, Row};
use serde::Serialize;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// The machine and compiler the figures belong to.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    os: &'static str,
    rustc: String,
    date: String,
}

impl Machine {
    pub(crate) fn look(cores: usize) -> Machine {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let rustc = Command::new("rustc").arg("-V").output().ok();
        let rustc = rustc.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
        Machine {
            cpu: cpu.map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned()),
            cores,
            os: std::env::consts::OS,
            rustc: rustc.unwrap_or_else(|| "unknown".to_owned()),
            date: today(),
        }
    }

    pub(crate) fn headline(&self, opts: &Options) -> String {
        let Machine { cpu, cores, os, rustc, date } = self;
        let quick = if opts.quick { ", quick (figures mean little)" } else { "" };
        let rounds = opts.rounds;
        format!("{cpu}, {cores} cores, {os}, {rustc}, {date}, {rounds} rounds{quick}")
    }
}

/// Today in UTC as YYYY-MM-DD: days since 1970 turned into a date of the Gregorian calendar, in
/// years that begin in March so that the leap day comes last.
fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, march_year) = (day - (153 * month + 2) / 5 + 1, year + era * 400);
    let (month, year) =
        if month < 10 { (month + 3, march_year) } else { (month - 9, march_year + 1) };
    format!("{year:04}-{month:02}-{day:02}")
}

/// A column beside the engines': its head and what it says of a row.
pub(crate) type Extra<'a> = (&'a str, &'a dyn Fn(&Row) -> String);

/// Prints one Markdown table; `show` says what stands in an engine's column.
pub(crate) fn table(title: &str, rows: &[Row], show: impl Fn(&Cell) -> String, extras: &[Extra]) {
    if rows.is_empty() {
        return;
    }
    let mut engines: Vec<Engine> =
        rows.iter().flat_map(|row| row.cells.iter().map(|cell| cell.engine)).collect();
    engines.sort();
    engines.dedup();
    println!("\n## {title}\n");
    let heads = engines.iter().map(|e| e.name()).chain(extras.iter().map(|(head, _)| *head));
    println!("| case | workers | {} |", heads.collect::<Vec<_>>().join(" | "));
    println!("|---|--:|{}", "--:|".repeat(engines.len() + extras.len()));
    for row in rows {
        let cells = engines.iter().map(|&e| row.cell(e).map_or_else(|| "-".into(), &show));
        let cells = cells.chain(extras.iter().map(|(_, say)| say(row)));
        println!("| {} | {} | {} |", row.case, row.workers, cells.collect::<Vec<_>>().join(" | "));
    }
}

/// The two ratios every suite but idle shows.
pub(crate) const RATIOS: [Extra<'static>; 2] = [
    ("vs best peer", &|row| ratio(row.vs_best_peer, row.best_peer)),
    ("vs seq", &|row| ratio(row.vs_seq, None)),
];

fn ratio(ratio: Option<f64>, to: Option<Engine>) -> String {
    let Some(ratio) = ratio else {
        return "-".into();
    };
    let digits = if ratio < 0.1 { 4 } else { 2 };
    match to {
        Some(to) => format!("{ratio:.digits$} ({})", to.name()),
        None => format!("{ratio:.digits$}"),
    }
}

/// No loop is a bad idea: the plain one may not be noticeably faster, however short it is.
pub(crate) const BOUND: &str = "<= 1.05 seq + 100 ns";
/// No other engine is noticeably faster.
pub(crate) const PEERS: &str = "<= 1.05 best peer";

/// Windlass over the bound, above 1 where it fails.
pub(crate) fn vs_bound(row: &Row) -> Option<f64> {
    let median = |engine| row.cell(engine).map(|cell| cell.time.median);
    Some(median(Engine::Windlass)? / (1.05 * median(Engine::Seq)? + 100.0))
}

/// The two things asked of Windlass in every cell of a loop.
pub(crate) fn checks(row: &Row) -> Vec<Check> {
    let bound = vs_bound(row).map(|ratio| Check { name: BOUND, pass: ratio <= 1.0 });
    let peers = row.vs_best_peer.map(|ratio| Check { name: PEERS, pass: ratio <= 1.05 });
    bound.into_iter().chain(peers).collect()
}

pub(crate) fn passes(row: &Row, name: &str) -> Option<bool> {
    row.checks.iter().find(|check| check.name == name).map(|check| check.pass)
}

pub(crate) fn verdict(row: &Row, name: &str) -> String {
    passes(row, name).map_or("-", |pass| if pass { "pass" } else { "FAIL" }).to_owned()
}

/// Says how many rows pass each of the two checks, and which do not.
pub(crate) fn print_failing(rows: &[Row]) {
    for name in [BOUND, PEERS] {
        let asked = rows.iter().filter(|row| passes(row, name).is_some()).count();
        if asked == 0 {
            continue;
        }
        let failing: Vec<_> = rows
            .iter()
            .filter(|row| passes(row, name) == Some(false))
            .map(|row| format!("{} @{}", row.case, row.workers))
            .collect();
        let passing = asked - failing.len();
        let list = if failing.is_empty() { "none".to_owned() } else { failing.join(", ") };
        println!("\n`{name}`: {passing} of {asked} cells pass; failing: {list}");
    }
}

/// Median wall time and spread.
pub(crate) fn time_and_spread(cell: &Cell) -> String {
    format!("{} ±{:.0}%", time(cell.time.median), cell.time.spread * 100.0)
}

/// Nanoseconds to three digits in the unit that suits them.
pub(crate) fn time(ns: f64) -> String {
    let (value, unit) = match ns.abs() {
        size if size < 1e3 => (ns, "ns"),
        size if size < 1e6 => (ns / 1e3, "µs"),
        size if size < 1e9 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    let digits = match value.abs() {
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    workers: &'a [usize],
    rounds: usize,
    quick: bool,
    rows: &'a [Row],
}

/// Writes everything measured, in full precision, for dated results.
pub(crate) fn write_json(
    path: &Path,
    machine: &Machine,
    opts: &Options,
    rows: &[Row],
) -> std::io::Result<()> {
    let (rounds, quick) = (opts.rounds, opts.quick);
    let report = Report { machine, workers: &opts.workers, rounds, quick, rows };
    let mut text = serde_json::to_string_pretty(&report)?;
    text.push('\n');
    std::fs::write(path, text)
}
