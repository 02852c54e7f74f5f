//! The engine knows nothing of what is built on it, unsafe code stays where it is counted, and files stay short.
#![cfg(not(any(loom, shuttle)))]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How often `unsafe` stands in each file that has any. A change here is a change to what must be reviewed.
const UNSAFE: &[(&str, usize)] = &[
    ("bridge/rayon/pinned.rs", 3),
    ("bridge/rayon/units.rs", 1),
    ("builder.rs", 1),
    ("engine/clock.rs", 2),
    ("engine/forked.rs", 1),
    ("engine/guest.rs", 1),
    ("engine/job.rs", 13),
    ("engine/lanes.rs", 3),
    ("engine/latch.rs", 3),
    ("engine/model.rs", 2),
    ("engine/registry.rs", 14),
    ("engine/search.rs", 1),
    ("engine/topology.rs", 3),
    ("engine/topology/tests.rs", 3),
    ("engine/worker.rs", 10),
    ("engine/worker/context.rs", 8),
    ("engine/worker/join.rs", 16),
    ("fork/broadcast.rs", 3),
    ("fork/join.rs", 1),
    ("fork/scope.rs", 11),
    ("graph/arena.rs", 16),
    ("graph/build.rs", 4),
    ("graph/children.rs", 1),
    ("graph/drive.rs", 3),
    ("graph/family.rs", 4),
    ("graph/frozen.rs", 3),
    ("graph/graph.rs", 1),
    ("graph/inputs.rs", 25),
    ("graph/memory.rs", 21),
    ("graph/node_builder.rs", 14),
    ("graph/part.rs", 1),
    ("graph/result.rs", 3),
    ("graph/run.rs", 17),
    ("graph/slow.rs", 3),
    ("job/attempt.rs", 13),
    ("job/board.rs", 1),
    ("job/context.rs", 12),
    ("job/control.rs", 21),
    ("job/end.rs", 26),
    ("job/gate.rs", 5),
    ("job/handle.rs", 10),
    ("job/help.rs", 3),
    ("job/lazy.rs", 4),
    ("job/life.rs", 6),
    ("job/many.rs", 3),
    ("job/model.rs", 2),
    ("job/raw.rs", 72),
    ("job/reference.rs", 1),
    ("job/shutdown.rs", 5),
    ("job/step.rs", 1),
    ("job/store.rs", 26),
    ("job/store/row.rs", 27),
    ("job/store/tests.rs", 4),
    ("job/submit.rs", 5),
    ("job/tail.rs", 3),
    ("job/told.rs", 19),
    ("par/adapters/chain.rs", 3),
    ("par/adapters/chunks.rs", 9),
    ("par/adapters/flat_map.rs", 6),
    ("par/adapters/flow.rs", 6),
    ("par/adapters/fold.rs", 10),
    ("par/adapters/grain.rs", 3),
    ("par/adapters/interleave.rs", 6),
    ("par/adapters/pointwise.rs", 3),
    ("par/adapters/progress.rs", 3),
    ("par/adapters/rev.rs", 7),
    ("par/adapters/scan.rs", 5),
    ("par/adapters/state.rs", 4),
    ("par/adapters/zip.rs", 6),
    ("par/collections/drain.rs", 2),
    ("par/consumers/collect.rs", 9),
    ("par/convert.rs", 7),
    ("par/drive.rs", 2),
    ("par/iter.rs", 1),
    ("par/mod.rs", 1),
    ("par/on_heap.rs", 4),
    ("par/sort/cached.rs", 5),
    ("par/sort/merge.rs", 22),
    ("par/sort/quick.rs", 4),
    ("par/sort/tests.rs", 1),
    ("par/sort/tree.rs", 7),
    ("par/source.rs", 5),
    ("par/sources/bridge.rs", 3),
    ("par/sources/chunks.rs", 2),
    ("par/sources/once.rs", 3),
    ("par/sources/range.rs", 2),
    ("par/sources/repeat.rs", 3),
    ("par/sources/slice.rs", 4),
    ("par/sources/split.rs", 3),
    ("par/sources/splitter.rs", 3),
    ("par/sources/text.rs", 5),
    ("par/sources/tree.rs", 3),
    ("par/sources/tuple.rs", 3),
    ("par/sources/vec.rs", 17),
    ("par/sources/windows.rs", 3),
    ("par/stream.rs", 1),
    ("par/string.rs", 3),
    ("pool.rs", 4),
];

const MAX_LINES: usize = 700;

/// A trait stands in one file, with the documentation of all its methods.
const LONG: &[(&str, usize)] = &[("par/iter.rs", 1200)];

fn sources() -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    found.sort();
    assert!(found.len() > 20, "only {} sources", found.len());
    let name = |path: &Path| {
        path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/")
    };
    found
        .iter()
        .map(|path| (name(path), std::fs::read_to_string(path).expect("a source")))
        .collect()
}

/// The line without its comment. (No source here has `//` in a string.)
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    code(line).split(|c: char| !c.is_alphanumeric() && c != '_')
}

#[test]
fn the_engine_depends_on_nothing_above_it() {
    let above =
        ["policy", "pool", "par", "fork", "builder", "job", "graph", "time", "bridge", "observe"];
    for (name, text) in sources() {
        if !name.starts_with("engine/") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let line = code(line);
            for module in above {
                let crossing = format!("crate::{module}");
                let crosses = line.match_indices(&crossing).any(|(at, _)| {
                    !line[at + crossing.len()..]
                        .starts_with(|c: char| c.is_alphanumeric() || c == '_')
                });
                assert!(!crosses, "src/{name}:{}: the engine uses {crossing}", number + 1);
            }
            // What stands at the root of the crate is all from above.
            let root = line.contains("crate::")
                && !line.contains("crate::engine")
                && !line.contains("$crate");
            assert!(!root || line.contains("pub(in crate::"), "src/{name}:{}: {line}", number + 1);
        }
    }
}

#[test]
fn unsafe_code_is_counted() {
    let mut found = BTreeMap::new();
    for (name, text) in sources() {
        let sites = text.lines().flat_map(words).filter(|word| *word == "unsafe").count();
        if sites > 0 {
            found.insert(name, sites);
        }
    }
    let listed: BTreeMap<String, usize> =
        UNSAFE.iter().map(|&(name, n)| (name.to_owned(), n)).collect();
    let table: String = found.iter().map(|(name, n)| format!("    ({name:?}, {n}),\n")).collect();
    assert!(found == listed, "the table in tests/layering.rs should say:\n{table}");
}

#[test]
fn every_file_stays_short() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        let max = LONG.iter().find(|(long, _)| *long == name).map_or(MAX_LINES, |&(_, max)| max);
        assert!(lines < max, "src/{name} has {lines} lines: split it");
    }
}
