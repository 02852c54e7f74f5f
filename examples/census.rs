//! A census of a source tree, taken three times over: by a plain loop, by Windlass, by rayon.
//!
//! ```sh
//! cargo run --release --example census                   # the crates that Windlass is built from
//! cargo run --release --example census -- DIR --workers 4
//! ```
//!
//! Each file is read, hashed and scanned for lines, words and identifiers. The list of files is cut
//! into pieces, [`Pool::par_map_reduce`] takes a census of each piece and merges the results: files
//! of very uneven size, and a result large enough that it pays to merge few of them. The report
//! ends with the time of each engine, and with whether all three results are equal.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fs::{self, File};
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, Read, Write};
use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use rayon::prelude::*;
use windlass::Pool;

/// Counts lines, words, identifiers and duplicates in a source tree, and times three engines at it.
#[derive(Parser)]
struct Args {
    /// Directory to count [default: the unpacked sources of the crates Windlass is built from]
    dir: Option<PathBuf>,
    /// Worker threads, of Windlass and of rayon [default: one for each available core]
    #[arg(long)]
    workers: Option<usize>,
    /// Rows of the identifier and duplicate tables
    #[arg(long, default_value_t = 15)]
    top: usize,
    /// Timed rounds; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Show no progress bar
    #[arg(long)]
    no_progress: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse(), &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // The reader has seen enough: `census | head` is no failure.
        Err(e) if e.downcast_ref().map(io::Error::kind) == Some(io::ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("census: {e}");
            ExitCode::from(2)
        }
    }
}

/// Prints the report; says whether the three engines agree.
fn run(args: &Args, out: &mut impl Write) -> Result<bool, Box<dyn Error>> {
    if args.workers == Some(0) || args.rounds == 0 {
        return Err("--workers and --rounds must be at least 1".into());
    }
    let tree = match &args.dir {
        Some(dir) => Tree::of_directory(dir)?,
        None => Tree::of_dependencies()?,
    };
    let pool = match args.workers {
        Some(n) => Pool::new(n)?,
        None => Pool::builder().build()?,
    };
    let workers = pool.num_workers();
    let rayon_pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build()?;
    let pieces = tree.pieces(workers * PIECES_PER_WORKER);

    // Sequential code needs neither pieces nor merges, so its census is one piece.
    let sequential = || Census::of(&tree.files, |_| ());
    let windlass = |tick: &(dyn Fn(u64) + Sync)| {
        pool.par_map_reduce(&pieces, |p| Census::of(p, tick), Census::default, Census::merge)
    };
    let rayon = || {
        let map = pieces.par_iter().map(|p| Census::of(p, |_| ()));
        rayon_pool.install(|| map.reduce(Census::default, Census::merge))
    };

    // The first pass feeds the bar and the report, and warms the page cache for the timed rounds.
    let bytes = tree.files.iter().map(|file| file.len).sum();
    let bar = if args.no_progress { ProgressBar::hidden() } else { ProgressBar::new(bytes) };
    bar.set_style(ProgressStyle::with_template("{bar:50} {bytes} of {total_bytes}, {eta} to go")?);
    let census = windlass(&|bytes| bar.inc(bytes));
    bar.finish_and_clear();
    writeln!(out, "census of {}\n", tree.name)?;
    census.report(out, &tree, args.top)?;
    out.flush()?;

    let engines: [(&str, &dyn Fn() -> _); 3] =
        [("sequential", &sequential), ("Windlass", &|| windlass(&|_| ())), ("rayon", &rayon)];
    writeln!(out, "workers: {workers}, rounds: {}, warm page cache", args.rounds)?;
    race(out, engines, &census, args.rounds)
}

/// Times the engines in turn, and says whether each gives the census expected of it every time.
fn race<'a>(
    out: &mut impl Write,
    engines: [(&str, &dyn Fn() -> Census<'a>); 3],
    expected: &Census<'a>,
    rounds: usize,
) -> Result<bool, Box<dyn Error>> {
    let mut times = engines.map(|_| Vec::new());
    let mut differing = Vec::new();
    for _ in 0..rounds {
        for ((name, engine), times) in engines.iter().zip(&mut times) {
            let start = Instant::now();
            let census = engine();
            times.push(start.elapsed());
            if census != *expected && !differing.contains(name) {
                differing.push(name);
            }
        }
    }
    let seconds = times.map(median);
    let rows = engines.iter().zip(seconds).map(|((name, _), time)| {
        [name.to_string(), format!("{:.1} ms", time * 1e3), format!("{:.2}x", seconds[0] / time)]
    });
    writeln!(out, "{}", table(["engine", "median time", "speed-up"], rows))?;
    // What is expected is itself by Windlass: if that is wrong, the other two differ.
    match differing.is_empty() {
        true => writeln!(out, "results equal: yes")?,
        false => writeln!(out, "results equal: no ({} differ)", differing.join(", "))?,
    }
    out.flush()?;
    Ok(differing.is_empty())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    (times[(times.len() - 1) / 2] + times[times.len() / 2]).as_secs_f64() / 2.0
}

/// Enough pieces that an idle worker finds one to steal, few enough that merging them stays cheap.
const PIECES_PER_WORKER: usize = 16;

struct Tree {
    name: String,
    /// Reported paths are relative to it.
    base: PathBuf,
    files: Vec<SourceFile>,
    errors: Vec<(PathBuf, String)>,
}

struct SourceFile {
    path: PathBuf,
    len: u64,
}

impl Tree {
    fn of_directory(dir: &Path) -> Result<Self, Box<dyn Error>> {
        let name = dir.display().to_string();
        if !fs::metadata(dir).map_err(|e| format!("{name}: {e}"))?.is_dir() {
            return Err(format!("{name}: not a directory").into());
        }
        Ok(Self::walk(name, dir, &[dir]))
    }

    /// The crates that this workspace depends on: where it is built, cargo has unpacked them.
    fn of_dependencies() -> Result<Self, Box<dyn Error>> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let metadata = |offline: Option<&str>| {
            Command::new(&cargo)
                .args(["metadata", "--format-version", "1", "--manifest-path"])
                .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
                .args(offline)
                .output()
                .map_err(|e| format!("{}: {e}", cargo.display()))
        };
        // What only another platform or member needs may be missing here, and cargo can fetch it.
        let mut output = metadata(Some("--offline"))?;
        if !output.status.success() {
            output = metadata(None)?;
        }
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let reason = stderr.lines().next().unwrap_or("no reason given");
            return Err(format!("cargo metadata fails: {reason}").into());
        }
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let packages = metadata["packages"].as_array().into_iter().flatten();
        // A package without a source is a member of this workspace.
        let mut crates: Vec<&Path> = packages
            .filter(|package| !package["source"].is_null())
            .filter_map(|package| Path::new(package["manifest_path"].as_str()?).parent())
            .collect();
        crates.sort();
        let holds_all = |base: &&Path| crates.iter().all(|path| path.starts_with(base));
        let base = crates.first().and_then(|path| path.ancestors().skip(1).find(holds_all));
        let name = format!("the {} crates that Windlass is built from", crates.len());
        Ok(Self::walk(name, base.unwrap_or(Path::new("")), &crates))
    }

    fn walk(name: String, base: &Path, roots: &[impl AsRef<Path>]) -> Self {
        let mut tree = Self { name, base: base.into(), files: Vec::new(), errors: Vec::new() };
        roots.iter().for_each(|root| tree.visit(root.as_ref()));
        tree
    }

    /// Appends what is below `dir`, in the order of paths. Symbolic links are not followed, and so
    /// not counted: what they lead to is counted where it is, or is outside the tree.
    fn visit(&mut self, dir: &Path) {
        let entries = fs::read_dir(dir).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(e) => return self.errors.push((dir.into(), e.to_string())),
        };
        entries.sort_by_key(|entry| entry.file_name());
        for entry in entries {
            let path = entry.path();
            match entry.metadata() {
                Ok(meta) if meta.is_symlink() => {}
                Ok(meta) if meta.is_file() => self.files.push(SourceFile { path, len: meta.len() }),
                Ok(meta) if meta.is_dir() => {
                    if entry.file_name() != ".git" && entry.file_name() != "target" {
                        self.visit(&path);
                    }
                }
                // To open a named pipe could block for ever.
                Ok(_) => self.errors.push((path, "not a regular file".into())),
                Err(e) => self.errors.push((path, e.to_string())),
            }
        }
    }

    /// Cuts the list into about `count` pieces of about equal work.
    fn pieces(&self, count: usize) -> Vec<&[SourceFile]> {
        // To open a file takes about as long as to scan some KiB.
        let work = |file: &SourceFile| file.len + 8192;
        let share = self.files.iter().map(work).sum::<u64>() / count as u64;
        let mut held = 0;
        let same_piece = |file: &SourceFile, _: &SourceFile| {
            held += work(file);
            let full = held > share;
            if full {
                held = 0;
            }
            !full
        };
        self.files.chunk_by(same_piece).collect()
    }

    fn relative<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        match path.strip_prefix(&self.base) {
            Ok(rest) if rest != Path::new("") => rest.display(),
            _ => path.display(),
        }
    }
}

/// What a list of files holds. Merging the censuses of two lists gives that of their
/// concatenation, so pieces can be counted in any order and merged in any grouping.
#[derive(Default, PartialEq)]
struct Census<'a> {
    languages: BTreeMap<&'static str, Totals>,
    identifiers: Identifiers,
    /// Hash and length of each file, in the order of the list.
    contents: Vec<([u8; 32], u64, &'a Path)>,
    errors: Vec<(&'a Path, String)>,
}

#[derive(Clone, Copy, Default, PartialEq)]
struct Totals {
    files: u64,
    lines: u64,
    words: u64,
    bytes: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.lines += other.lines;
        self.words += other.words;
        self.bytes += other.bytes;
    }
}

impl<'a> Census<'a> {
    /// Counts the files one by one; `tick` hears the length of each.
    fn of(files: &'a [SourceFile], tick: impl Fn(u64)) -> Self {
        let (mut census, mut buffer) = (Self::default(), Vec::new());
        for file in files {
            buffer.clear();
            match File::open(&file.path).and_then(|mut open| open.read_to_end(&mut buffer)) {
                Ok(_) => census.add(&file.path, &mut buffer),
                Err(e) => census.errors.push((&file.path, e.to_string())),
            }
            tick(file.len);
        }
        census
    }

    fn add(&mut self, path: &'a Path, buffer: &mut Vec<u8>) {
        let bytes = buffer.len() as u64;
        let mut totals = Totals { files: 1, bytes, ..Totals::default() };
        self.contents.push((*blake3::hash(buffer).as_bytes(), bytes, path));
        let is_binary = buffer[..buffer.len().min(8192)].contains(&0);
        if !is_binary {
            totals.lines += u64::from(buffer.last().is_some_and(|&byte| byte != b'\n'));
            // A blank at the end lets the scan see the end of the last identifier.
            buffer.push(b' ');
            scan(buffer, &mut totals, &mut self.identifiers);
        }
        *self.languages.entry(language(path)).or_default() += totals;
    }

    fn merge(mut self, mut other: Self) -> Self {
        for (language, totals) in other.languages {
            *self.languages.entry(language).or_default() += totals;
        }
        // The smaller map goes into the larger one; the lists keep their order.
        if self.identifiers.len() < other.identifiers.len() {
            std::mem::swap(&mut self.identifiers, &mut other.identifiers);
        }
        for (name, count) in other.identifiers {
            *self.identifiers.entry(name).or_default() += count;
        }
        self.contents.append(&mut other.contents);
        self.errors.append(&mut other.errors);
        self
    }

    fn report(&self, out: &mut impl Write, tree: &Tree, top: usize) -> io::Result<()> {
        let count = |n: u64| HumanCount(n).to_string();
        let mut languages: Vec<_> = self.languages.iter().map(|(name, t)| (*name, *t)).collect();
        languages.sort_by_key(|(_, totals)| Reverse(totals.bytes));
        let mut all = Totals::default();
        languages.iter().for_each(|(_, totals)| all += *totals);
        languages.push(("total", all));
        let rows = languages.iter().map(|(name, t)| {
            [name.to_string(), count(t.files), count(t.lines), count(t.words), count(t.bytes)]
        });
        writeln!(out, "{}\n", table(["language", "files", "lines", "words", "bytes"], rows))?;

        let mut names: Vec<_> = self.identifiers.iter().collect();
        names.sort_by_key(|&(name, n)| (Reverse(*n), name));
        writeln!(out, "identifiers: {}", count(names.len() as u64))?;
        let rows = names.iter().map(|(name, n)| [String::from_utf8_lossy(name).into(), count(**n)]);
        writeln!(out, "{}\n", table(["identifier", "count"], rows.take(top)))?;

        // The sort is stable, so the first of a group is the first in the list.
        let mut contents = self.contents.clone();
        contents.sort_by_key(|&(hash, len, _)| (hash, len));
        let mut groups: Vec<_> = contents
            .chunk_by(|a, b| (a.0, a.1) == (b.0, b.1))
            .map(|group| (group[0].1 * (group.len() as u64 - 1), group.len() as u64, group[0].2))
            .filter(|&(wasted, ..)| wasted > 0)
            .collect();
        groups.sort_by_key(|&(wasted, _, path)| (Reverse(wasted), path));
        let wasted = HumanBytes(groups.iter().map(|group| group.0).sum());
        writeln!(out, "groups of duplicates: {}, {wasted} wasted", count(groups.len() as u64))?;
        let rows = groups.iter().map(|&(wasted, copies, path)| {
            [tree.relative(path).to_string(), count(copies), count(wasted)]
        });
        writeln!(out, "{}\n", table(["duplicate", "copies", "wasted bytes"], rows.take(top)))?;

        let walked = tree.errors.iter().map(|(path, e)| (path.as_path(), e));
        let errors: Vec<_> = walked.chain(self.errors.iter().map(|(path, e)| (*path, e))).collect();
        writeln!(out, "errors: {}", errors.len())?;
        for (path, error) in errors.iter().take(10) {
            writeln!(out, "  {}: {error}", tree.relative(path))?;
        }
        writeln!(out)
    }
}

/// Lays out rows of a name and numbers.
fn table<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header).add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn language(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "rs" => "Rust",
        "c" | "h" => "C",
        "cc" | "cpp" | "cxx" | "hh" | "hpp" | "hxx" => "C++",
        "py" | "pyi" => "Python",
        "go" => "Go",
        "js" | "mjs" | "cjs" | "jsx" => "JavaScript",
        "ts" | "mts" | "tsx" => "TypeScript",
        "sh" | "bash" | "zsh" => "Shell",
        "s" | "S" | "asm" => "Assembly",
        "toml" => "TOML",
        "json" => "JSON",
        "yaml" | "yml" => "YAML",
        "html" | "htm" => "HTML",
        "css" => "CSS",
        "md" | "markdown" => "Markdown",
        "txt" => "Text",
        _ => "Other",
    }
}

const BLANK: u8 = 1;
const NAME: u8 = 2;

/// What a byte may be part of. One look-up classifies it, where comparisons would branch.
static CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = match byte as u8 {
            b' ' | b'\t'..=b'\r' => BLANK,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => NAME,
            _ => 0,
        };
        byte += 1;
    }
    class
};

/// Counts lines, words and identifiers in one pass; `text` ends with a blank.
fn scan(text: &[u8], totals: &mut Totals, identifiers: &mut Identifiers) {
    let (mut lines, mut words, mut before, mut start) = (0, 0, BLANK, 0);
    for (i, &byte) in text.iter().enumerate() {
        let class = CLASS[byte as usize];
        lines += u64::from(byte == b'\n');
        words += u64::from(before & !class & BLANK);
        if (before ^ class) & NAME != 0 {
            match class & NAME != 0 {
                true => start = i,
                false => count(&text[start..i], identifiers),
            }
        }
        before = class;
    }
    totals.lines += lines;
    totals.words += words;
}

fn count(name: &[u8], identifiers: &mut Identifiers) {
    if name.len() < 3 || name[0].is_ascii_digit() {
        return;
    }
    // Most names are known already, so only a new one is worth an allocation.
    match identifiers.get_mut(name) {
        Some(count) => *count += 1,
        None => _ = identifiers.insert(name.into(), 1),
    }
}

type Identifiers = HashMap<Box<[u8]>, u64, BuildHasherDefault<NameHasher>>;

/// A multiplicative hash: names are short, and most of the time goes to looking them up.
#[derive(Default)]
struct NameHasher(u64);

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        words.iter().for_each(|word| self.write_u64(u64::from_le_bytes(*word)));
        self.write_u64(rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// The length of a name, which comes before its bytes.
    fn write_usize(&mut self, length: usize) {
        self.write_u64(length as u64);
    }

    fn finish(&self) -> u64 {
        // The table takes its index from the low bits, the multiplication mixes the high ones.
        self.0.rotate_left(26)
    }
}
