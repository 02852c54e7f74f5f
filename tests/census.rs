//! Runs the `census` example as a program, on small trees whose census is known.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::time::SystemTime;
use std::{env, fs, io};

/// The example is built beside the tests: `target/<profile>/deps` has `examples` for a sibling.
fn census() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let test = env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        let program = profile.join("examples").join(format!("census{}", env::consts::EXE_SUFFIX));
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let source = newest(&root.join("src")).max(newest(&root.join("examples/census.rs")));
        // `cargo test` builds the examples first, but `cargo test --test census` does not.
        if fs::metadata(&program).map_or(true, |built| built.modified().unwrap() < source) {
            let name = profile.file_name().and_then(OsStr::to_str).unwrap();
            let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
                .args(["build", "--example", "census"])
                .args(["--profile", if name == "debug" { "dev" } else { name }])
                .arg("--manifest-path")
                .arg(root.join("Cargo.toml"))
                .arg("--target-dir")
                .arg(profile.parent().unwrap())
                .status();
            assert!(status.unwrap().success(), "the example does not build");
        }
        program
    });
    &PROGRAM
}

/// When the file, or any file below the directory, last changed.
fn newest(path: &Path) -> SystemTime {
    let below =
        fs::read_dir(path).into_iter().flatten().map(|entry| newest(&entry.unwrap().path()));
    below.fold(fs::metadata(path).unwrap().modified().unwrap(), SystemTime::max)
}

/// A directory that goes away with the value.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("windlass-census-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, path: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(census()).arg(&self.0).args(args).output().unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The rows of the table whose first column has this head; timings vary, so no test reads them.
fn rows(output: &Output, head: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('│').split('┆').map(|cell| cell.trim().to_string()).collect()
    };
    text(&output.stdout)
        .lines()
        .skip_while(|line| !line.starts_with('│') || cells(line)[0] != head)
        .skip(2)
        .take_while(|line| line.starts_with('│'))
        .map(cells)
        .collect()
}

#[track_caller]
fn assert_line(output: &Output, line: &str) {
    let stdout = text(&output.stdout);
    assert!(stdout.lines().any(|l| l == line), "no line {line:?} in\n{stdout}");
}

#[track_caller]
fn assert_fails(output: &Output, message: &str) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(message), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn counts_a_known_tree() {
    let dir = Dir::new("known");
    // Names run over letters, digits and `_`; `0x1f` starts with a digit and `ab` is too short.
    let main = "fn main() {\n    let sum_1 = 0x1f + ab;\n\tsum_1; sum_1\n}\n";
    dir.write("src/main.rs", main);
    dir.write("src/nested/copy.rs", main);
    // The last line has no line feed, and is a line all the same.
    dir.write("notes.md", "main idea\r\n\r\nsum é main");
    dir.write("empty.md", "");
    dir.write("empty.txt", "");
    dir.write("data.bin", b"let let\nlet\0let");
    dir.write("target/built.rs", "fn built() {}\n");
    dir.write(".git/config", "[core]\n");

    for workers in ["1", "2", "5"] {
        let output = dir.run(&["--workers", workers, "--top", "3"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "");
        assert_eq!(
            rows(&output, "language"),
            [
                ["Rust", "2", "8", "24", "110"],
                ["Markdown", "2", "3", "5", "24"],
                ["Other", "1", "0", "0", "15"],
                ["Text", "1", "0", "0", "0"],
                ["total", "6", "11", "29", "149"],
            ]
        );
        assert_line(&output, "identifiers: 5");
        assert_eq!(rows(&output, "identifier"), [["sum_1", "6"], ["main", "4"], ["let", "2"]]);
        // Empty files are alike, but they waste nothing.
        assert_line(&output, "groups of duplicates: 1, 55 B wasted");
        let copy = Path::new("src").join("main.rs").display().to_string();
        assert_eq!(rows(&output, "duplicate"), [[copy.as_str(), "2", "55"]]);
        assert_line(&output, "errors: 0");
        assert_line(&output, "results equal: yes");
    }
}

#[test]
fn merges_many_files() {
    let dir = Dir::new("many");
    for i in 0..400 {
        // Two files of each content, and one name that all of them hold.
        let name = format!("name_{:03}\n", i / 2);
        dir.write(&format!("d{}/{i:03}.c", i % 7), format!("shared {}", name.repeat(i / 2 + 1)));
    }
    let output = dir.run(&["--workers", "4", "--rounds", "2", "--top", "2"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    // Each pair holds 2 * (1 + n) lines and 2 * (2 + n) words, for n from 0 to 199.
    let bytes = (0..200).map(|n| 2 * (7 + 9 * (n + 1))).sum::<u64>();
    assert_eq!(bytes, 364_600);
    assert_eq!(rows(&output, "language")[0], ["C", "400", "40,200", "40,600", "364,600"]);
    assert_line(&output, "identifiers: 201");
    // Equal counts rank by name: name_199 has 2 * 200 and `shared` one for each file.
    assert_eq!(rows(&output, "identifier"), [["name_199", "400"], ["shared", "400"]]);
    assert_eq!(rows(&output, "duplicate")[0][1..], ["2", "1,807"]);
    assert_line(&output, "results equal: yes");
}

#[test]
fn an_empty_directory_has_an_empty_census() {
    let output = Dir::new("empty").run(&[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(rows(&output, "language"), [["total", "0", "0", "0", "0"]]);
    assert_line(&output, "results equal: yes");
}

#[test]
fn wrong_arguments_are_one_line_errors() {
    let dir = Dir::new("wrong");
    let file = dir.write("file", "");
    let run = |path: &Path| Command::new(census()).arg(path).output().unwrap();
    assert_fails(&run(&dir.0.join("absent")), "absent");
    assert_fails(&run(&file), "not a directory");
    assert_fails(&dir.run(&["--workers", "0"]), "--workers");
    assert_fails(&dir.run(&["--rounds", "0"]), "--rounds");
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let dir = Dir::new("pipe");
    dir.write("main.rs", "fn main() {}\n");
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let output = Command::new(census()).arg(&dir.0).stdout(writer).output().unwrap();
    assert!(output.status.success());
    assert_eq!(text(&output.stderr), "");
}

#[cfg(unix)]
#[test]
fn what_cannot_be_read_is_listed_and_skipped() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::os::unix::process::CommandExt;

    let dir = Dir::new("unreadable");
    let file = dir.write("closed.rs", "fn closed() {}\n");
    let closed = dir.write("closed/inner.rs", "fn inner() {}\n").parent().unwrap().to_path_buf();
    dir.write("open.rs", "fn open() {}\n");
    symlink(dir.0.join("nowhere"), dir.0.join("dangling")).unwrap();
    symlink(&dir.0, dir.0.join("cycle")).unwrap();
    let _socket = UnixListener::bind(dir.0.join("socket")).unwrap();
    // To read from a pipe without a writer would block for ever.
    let pipe = Command::new("mkfifo").arg(dir.0.join("pipe")).status();
    assert!(pipe.unwrap().success());
    for path in [&file, &closed] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }

    // No permission stops root, so for root the census runs as another user, who may not be able
    // to reach the build directory: that user gets a copy of the program.
    let mut command = Command::new(census());
    let copy = Dir::new("program");
    if fs::read(&file).is_ok() {
        let program = copy.0.join("census");
        // Not by `fs::copy`: another test that starts a child then could hold the copy open for
        // writing, and the program would be busy.
        assert!(Command::new("cp").arg(census()).arg(&program).status().unwrap().success());
        for path in [&copy.0, &program, &dir.0] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        command = Command::new(program);
        command.uid(65534);
    }
    let output = command.arg(&dir.0).current_dir("/").output();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    let output = match output {
        // A sandbox may forbid root to become another user; nothing is unreadable to it then.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            eprintln!("not tested, cannot give up root: {e}");
            return;
        }
        output => output.unwrap(),
    };

    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_line(&output, "errors: 4");
    assert_line(&output, "  closed: Permission denied (os error 13)");
    assert_line(&output, "  closed.rs: Permission denied (os error 13)");
    assert_line(&output, "  pipe: not a regular file");
    assert_line(&output, "  socket: not a regular file");
    assert_eq!(rows(&output, "language")[0][..2], ["Rust", "1"]);
    assert_line(&output, "results equal: yes");
}
