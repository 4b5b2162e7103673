//! What the compiler does not check: layers, lengths, `SAFETY` comments, leftovers, head comments.
//!
//! The rules are in `tidy/rules.rs`, each with a proof that it can fail. `cargo test --test tidy -- --nocapture`
//! also lists long functions, debts (`DEBT:`) and departures from Redis (`DIFFERS:`).
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use rules::Finding;
use source::Source;

/// Folders with Rust files of ours.
const FOLDERS: &[&str] = &["src", "tests", "benches", "examples", "fuzz"];
/// Folders with other text of ours.
const TEXT_FOLDERS: &[&str] = &["scripts", ".ci", "docs"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `folder` (from the root), with their paths from the root, sorted.
fn files(folder: &str) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            let is_built = path.ends_with("target") || path.ends_with("corpus");
            if path.is_dir() && !is_built {
                walk(&path, found);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    let relative = |path: &PathBuf| {
        path.strip_prefix(root()).expect("found below the root").to_string_lossy().into_owned()
    };
    let mut paths: Vec<String> = found.iter().map(relative).collect();
    paths.sort();
    paths
}

fn sources() -> Vec<Source> {
    let paths = FOLDERS.iter().flat_map(|folder| files(folder));
    let rust = paths.filter(|path| path.ends_with(".rs"));
    let read = |path: String| {
        let text = fs::read_to_string(root().join(&path)).expect("source is UTF-8");
        Source::new(&path, &text)
    };
    rust.map(read).collect()
}

/// Runs `rule` over everything and fails with all findings at once.
fn enforce(rule: impl Fn(&Source) -> Vec<Finding>) {
    let sources = sources();
    assert!(sources.len() > 50, "found only {} files below {:?}", sources.len(), root());
    let findings: Vec<Finding> = sources.iter().flat_map(rule).collect();
    let lines: Vec<String> =
        findings.iter().map(|f| format!("{}:{}: {}", f.path, f.line, f.what)).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn layers_import_downwards() {
    enforce(|source| {
        // A test may look at the server from above.
        if source.is_test() { Vec::new() } else { rules::imports_point_down(source) }
    });
}

#[test]
fn command_families_stay_apart() {
    let sources = sources();
    let declaring = sources.iter().filter(|source| rules::declares_commands(source));
    let families: Vec<String> =
        declaring.filter_map(|source| rules::family(source).map(str::to_owned)).collect();
    assert!(families.iter().any(|family| family == "string"), "{families:?}");
    enforce(|source| rules::families_stay_apart(source, &families));
}

#[test]
fn files_are_short() {
    enforce(rules::file_is_short);
}

#[test]
fn lines_are_short() {
    enforce(rules::lines_are_short);
}

#[test]
fn functions_are_short() {
    enforce(rules::functions_are_short);
}

#[test]
fn unsafe_is_argued() {
    enforce(rules::unsafe_is_argued);
}

#[test]
fn nothing_is_left_over() {
    enforce(rules::nothing_is_left_over);
}

#[test]
fn files_say_what_they_are() {
    enforce(rules::file_says_what_it_is);
}

#[test]
fn marks_are_explained() {
    enforce(rules::marks_are_explained);
}

#[test]
fn scripts_and_documents_leave_nothing_over() {
    let words = ["TODO", "FIXME"];
    let mut paths: Vec<String> = TEXT_FOLDERS.iter().flat_map(|folder| files(folder)).collect();
    paths.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(str::to_owned));
    for path in paths {
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        for (index, line) in text.lines().enumerate() {
            // CONTRIBUTING.md names what is refused, in backquotes.
            let is_left =
                |word: &&&str| source::words(line, word).any(|at| !line[..at].ends_with('`'));
            let left = words.iter().find(is_left);
            assert!(left.is_none(), "{path}:{}: {}", index + 1, left.unwrap_or(&""));
        }
    }
}

#[test]
fn documents_keep_their_length() {
    for (path, lines_max) in [("README.md", 150), ("ARCHITECTURE.md", 200)] {
        let text = fs::read_to_string(root().join(path)).expect("documents are there");
        let lines = text.lines().count();
        assert!(lines < lines_max, "{path} has {lines} lines");
    }
}

/// No rule: a list for readers, seen with `--nocapture`.
#[test]
fn list_debts_and_differences() {
    for source in sources().iter().filter(|source| source.path.starts_with("src/")) {
        for (index, name, lines) in rules::long_functions(source, rules::FUNCTION_LINES_LISTED) {
            eprintln!("{}:{}: fn {name} has {lines} lines", source.path, index + 1);
        }
        for mark in ["DEBT:", "DIFFERS:"] {
            for (index, text) in rules::marked(source, mark) {
                eprintln!("{}:{}: {mark} {text}", source.path, index + 1);
            }
        }
    }
}
