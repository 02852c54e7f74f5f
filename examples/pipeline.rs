//! A build-like graph over files: reads the sources of this crate, analyses each, sums up each
//! folder, and writes a report. The run is drawn as `target/pipeline.svg`.
//!
//! ```text
//! cargo run --release --example pipeline [-- <folder>]
//! ```

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};
use windlass::Pool;
use windlass::graph::{Graph, Node};

/// What is known of a file, or of several.
#[derive(Clone, Debug, Default)]
struct Facts {
    files: usize,
    lines: usize,
    comments: usize,
    words: HashMap<String, usize>,
}

impl Facts {
    fn of(text: &str) -> Facts {
        let mut facts = Facts { files: 1, ..Facts::default() };
        for line in text.lines() {
            facts.lines += 1;
            facts.comments += usize::from(line.trim_start().starts_with("//"));
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            for word in words.filter(|word| word.len() > 3) {
                *facts.words.entry(word.to_owned()).or_default() += 1;
            }
        }
        facts
    }

    fn add(mut self, other: &Facts) -> Facts {
        self.files += other.files;
        self.lines += other.lines;
        self.comments += other.comments;
        for (word, count) in &other.words {
            *self.words.entry(word.clone()).or_default() += count;
        }
        self
    }

    fn favourite(&self) -> &str {
        let best =
            self.words.iter().max_by_key(|(word, count)| (**count, std::cmp::Reverse(*word)));
        best.map_or("-", |(word, _)| word)
    }
}

/// The Rust sources below a folder, in a fixed order.
fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::args_os().nth(1).map_or_else(|| root.join("src"), PathBuf::from);
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);

    fs::create_dir_all(&target)?;

    let mut graph = Graph::builder();
    graph.name("pipeline").timeout(Duration::from_secs(60));
    let mut folders: BTreeMap<PathBuf, Vec<Node<Facts>>> = BTreeMap::new();
    for path in sources(&folder)? {
        let short = path.strip_prefix(&folder)?.to_owned();
        let size = fs::metadata(&path)?.len();
        let read = graph
            .node(format!("read {}", short.display()))
            .cost(Duration::from_micros(20))
            .try_run(move || fs::read_to_string(&path));
        // The text is dropped as soon as it has been analysed.
        let facts = graph
            .node(format!("analyse {}", short.display()))
            .input(read.take())
            .cost(Duration::from_nanos(10 * size))
            .run(|text: String| Facts::of(&text));
        folders.entry(short.parent().unwrap_or(Path::new("")).to_owned()).or_default().push(facts);
    }
    let sums: Vec<Node<(PathBuf, Facts)>> = folders
        .into_iter()
        .map(|(folder, files)| {
            let node = graph.node(format!("sum up {}/", folder.display()));
            node.input(files).run(move |files| {
                let sum = files.into_iter().fold(Facts::default(), Facts::add);
                (folder.clone(), sum)
            })
        })
        .collect();
    let report = graph.node("report").input(sums).run(|sums| {
        let mut text = String::from(
            "| folder | files | lines | comments | favourite word |\n|---|--:|--:|--:|---|\n",
        );
        let mut total = Facts::default();
        for (folder, facts) in sums {
            let Facts { files, lines, comments, .. } = facts;
            let (share, favourite) = (100 * comments / lines.max(&1), facts.favourite());
            let _ = writeln!(
                text,
                "| {}/ | {files} | {lines} | {share} % | {favourite} |",
                folder.display()
            );
            total = total.add(facts);
        }
        let _ = writeln!(text, "\n{} files, {} lines.", total.files, total.lines);
        text
    });
    let to = target.join("pipeline.md");
    let written = graph
        .node("write")
        .input(report)
        .try_run(move |text| fs::write(&to, text).map(|()| text.len()));
    let graph = graph.build()?;

    let run = graph.on(Pool::global()).recorded().run().completed()?;
    let report = run.report().ok_or("it was recorded")?;
    println!("{report}");
    println!(
        "{} bytes written to {}",
        run.output(written).unwrap_or(&0),
        target.join("pipeline.md").display()
    );
    let picture = target.join("pipeline.svg");
    fs::write(&picture, report.to_svg())?;
    fs::write(target.join("pipeline.json"), report.to_json())?;
    println!("the timeline is in {}", picture.display());
    Ok(())
}
