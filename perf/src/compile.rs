//! The compile suite: what the compiler takes for one file of fifty chains, written against rayon
//! and against Windlass. The two files differ in their `use` line alone.
//!
//! The crates are thrown together in the target directory. Their dependencies are built first and
//! are not part of any figure.

use crate::engines::Engine;
use crate::harness::{Cell, Check, Options, Row, Stats, Who, usage};
use crate::report;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime};

/// Where this program's own manifest lies, when it was built.
const PERF: &str = env!("CARGO_MANIFEST_DIR");

/// What is run: its name, the arguments, and where under the target directory the library lies.
const MODES: [(&str, &[&str], Option<&str>); 3] = [
    ("check", &["check"], None),
    ("debug", &["build"], Some("debug")),
    ("release", &["build", "--release"], Some("release")),
];

const BAR: &str = "<= 1.3 rayon";

/// Builds the crates and prints the table.
pub(crate) fn run(opts: &Options) -> Vec<Row> {
    let text = Path::new(PERF).join("compile/chains.rs");
    let text = fs::read_to_string(&text).unwrap_or_else(|e| panic!("{}: {e}", text.display()));
    let chains = text.lines().filter(|line| line.starts_with("pub fn ")).count();
    let modes: Vec<_> = MODES
        .into_iter()
        .map(|mode| (format!("{chains} chains, {}", mode.0), mode))
        .filter(|(name, _)| opts.wants_case(name))
        .collect();
    if modes.is_empty() {
        return Vec::new();
    }
    let root = target_dir().join("compile-time");
    // An empty file stands in the column of the sequential version: what cargo and rustc take for
    // anything at all.
    let crates = [Engine::Seq, Engine::Windlass, Engine::Rayon]
        .map(|engine| Crate::new(&root, engine, &text));
    let (mut rows, mut sizes) = (Vec::new(), Vec::new());
    for (name, (mode, args, built_in)) in modes {
        eprintln!("compile: {name}");
        for each in &crates {
            each.build_offline_if_possible(args);
        }
        let mut wall = crates.each_ref().map(|_| Vec::new());
        let mut cpu = crates.each_ref().map(|_| Vec::new());
        for round in 0..opts.rounds {
            for turn in 0..crates.len() {
                let at = (round + turn) % crates.len();
                crates[at].touch();
                let (start, before) = (Instant::now(), usage(Who::Children).cpu_ns);
                let built = crates[at].cargo(args, true);
                wall[at].push(start.elapsed().as_nanos() as f64);
                cpu[at].push((usage(Who::Children).cpu_ns - before) as f64);
                assert!(built, "{} no longer builds", crates[at].name);
            }
        }
        let cells = crates.iter().zip(wall).zip(cpu).map(|((each, wall), cpu)| Cell {
            engine: each.engine,
            time: Stats::of(wall),
            cpu: Some(Stats::of(cpu)),
            p99: None,
            switches: None,
        });
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let mut row = Row::new("compile", name, cores, 1, None, cells.collect());
        row.vs_seq = None;
        let ratio = row.vs_best_peer.expect("both were built");
        row.checks.push(Check { name: BAR, pass: ratio <= 1.3 });
        rows.push(row);
        if let Some(dir) = built_in {
            let size = |at: usize| crates[at].library_size(dir);
            sizes.push(format!("{mode} {} and {} KiB", size(1) >> 10, size(2) >> 10));
        }
    }
    print_table(&rows);
    if !sizes.is_empty() {
        println!("\nSize of the library, Windlass and rayon: {}.", sizes.join(", "));
    }
    rows
}

fn print_table(rows: &[Row]) {
    let over = |row: &Row, net: bool, of: fn(&Cell) -> f64| {
        let time = |engine| row.cell(engine).map_or(0.0, of);
        let floor = if net { time(Engine::Seq) } else { 0.0 };
        let ratio = (time(Engine::Windlass) - floor) / (time(Engine::Rayon) - floor);
        let mark = if ratio <= 1.3 { "" } else { " FAIL" };
        format!("{ratio:.2}{mark}")
    };
    let wall = |cell: &Cell| cell.time.median;
    let cpu = |cell: &Cell| cell.cpu.as_ref().map_or(0.0, |cpu| cpu.median);
    let ratios: [report::Extra; 4] = [
        ("wall, windlass/rayon", &|row| over(row, false, wall)),
        ("less the empty file", &|row| over(row, true, wall)),
        ("CPU, windlass/rayon", &|row| over(row, false, cpu)),
        ("less the empty file ", &|row| over(row, true, cpu)),
    ];
    let title = "compile: wall time of cargo for one changed file (seq: an empty file)";
    report::table(title, rows, report::time_and_spread, &ratios);
}

/// One of the throw-away crates.
struct Crate {
    engine: Engine,
    name: String,
    dir: PathBuf,
    target: PathBuf,
}

impl Crate {
    fn new(root: &Path, engine: Engine, chains: &str) -> Crate {
        let name = format!("chains-{}", engine.name());
        let dir = root.join(&name);
        let windlass = Path::new(PERF).parent().expect("perf lies in it");
        let (dependency, text) = match engine {
            Engine::Seq => (String::new(), String::new()),
            Engine::Windlass => (
                format!("windlass = {{ path = {windlass:?} }}\n"),
                format!("use windlass::prelude::*;\n{chains}"),
            ),
            _ => ("rayon = \"1\"\n".into(), format!("use rayon::prelude::*;\n{chains}")),
        };
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
             [dependencies]\n{dependency}\n[workspace]\n"
        );
        let write = || {
            fs::create_dir_all(dir.join("src"))?;
            fs::write(dir.join("Cargo.toml"), manifest)?;
            fs::write(dir.join("src/lib.rs"), text)?;
            // The versions that this program itself was built with, which are on this machine.
            fs::copy(windlass.join("Cargo.lock"), dir.join("Cargo.lock"))
        };
        write().unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        Crate { engine, name, target: root.join("target").join(engine.name()), dir }
    }

    fn touch(&self) {
        let touched = File::options()
            .append(true)
            .open(self.dir.join("src/lib.rs"))
            .and_then(|file| file.set_modified(SystemTime::now()));
        touched.unwrap_or_else(|error| panic!("{}: {error}", self.dir.display()));
    }

    /// Runs cargo, quietly. Not incremental: with nothing but the date changed, the compiler would
    /// find all of its work done.
    fn cargo(&self, args: &[&str], offline: bool) -> bool {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(args).arg("--quiet").arg("--target-dir").arg(&self.target);
        if offline {
            cargo.arg("--offline");
        }
        cargo.env("CARGO_INCREMENTAL", "0").current_dir(&self.dir);
        cargo.status().unwrap_or_else(|error| panic!("cargo does not start: {error}")).success()
    }

    /// Builds the dependencies and the file for the first time. The network is used only if
    /// something is missing here.
    fn build_offline_if_possible(&self, args: &[&str]) {
        if !self.cargo(args, true) {
            eprintln!("compile: {} once more, with the network", self.name);
            if !self.cargo(args, false) {
                eprintln!("compile: {} does not build", self.name);
                std::process::exit(1);
            }
        }
    }

    fn library_size(&self, dir: &str) -> u64 {
        let library = format!("lib{}.rlib", self.name.replace('-', "_"));
        fs::metadata(self.target.join(dir).join(library)).map_or(0, |file| file.len())
    }
}

/// The target directory that this program lies in: `target/release/windlass-perf`.
fn target_dir() -> PathBuf {
    let program = std::env::current_exe().expect("a program has a path");
    program.ancestors().nth(2).expect("cargo puts it two levels deep").to_path_buf()
}
