//! The rules, each a function of a file that returns what it finds. `tidy.rs` runs them over the package.
//!
//! A rule that cannot fail proves nothing, so the end of this file gives each one a snippet it must refuse
//! beside one it must accept.
use crate::source::{Source, identifier, is_word_at, words};

/// Longest file, in lines.
pub const LINES_MAX: usize = 800;
/// Longest line of code, in characters; rustfmt leaves long strings and macros alone.
const CODE_COLUMNS_MAX: usize = 100;
/// A longer line with no more code than this beside its text is one of text.
const BARE_CODE_MAX: usize = 40;
/// Longest line of comment or text, in characters. Data of tests may be longer.
const LINE_COLUMNS_MAX: usize = 120;
/// Functions longer than this are listed.
pub const FUNCTION_LINES_LISTED: usize = 80;
/// Functions longer than this are refused.
const FUNCTION_LINES_MAX: usize = 120;

/// The files with `unsafe` in them, each with its reason.
const UNSAFE_FILES: &[(&str, &str)] = &[
    ("src/base/sys.rs", "system calls that std and mio do not offer"),
    ("src/base/memory.rs", "the counting allocator"),
    ("src/base/pages.rs", "the pages behind it"),
    ("src/base/pages_tests.rs", "their tests, which fill them"),
    ("src/script/stack.rs", "Lua's stack without a handle per value"),
    ("src/script/raise.rs", "the doors by which Lua comes in to it"),
    ("src/types/table.rs", "buckets in chunks without bounds checks"),
    ("src/store/heap.rs", "entries behind 32-bit handles"),
];

/// Which layers a layer may import besides itself. `main.rs` and `lib.rs` may import all.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("proto", &["base"]),
    ("types", &["base"]),
    ("store", &["types", "base"]),
    ("persist", &["store", "types", "proto", "base"]),
    ("script", &["proto", "base"]),
    ("engine", &["script", "persist", "store", "types", "proto", "base"]),
    ("command", &["engine", "script", "persist", "store", "types", "proto", "base"]),
    ("dialect", &["engine", "persist", "store", "types", "proto", "base"]),
    // Of the commands `net` knows how to run one, of the dialects how to cut and run requests, and nothing of
    // values or the keyspace.
    ("net", &["command::execute", "dialect", "engine", "proto", "base"]),
    (
        "boot",
        &["net", "dialect", "command", "engine", "persist", "store", "types", "proto", "base"],
    ),
    ("embed", &["boot", "net", "dialect", "command", "engine", "store", "types", "proto", "base"]),
];

/// Something a rule does not like.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where: path from the root of the package.
    pub path: String,
    /// Where: line from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl Finding {
    fn new(source: &Source, line_index: usize, what: impl Into<String>) -> Finding {
        Finding { path: source.path.clone(), line: line_index + 1, what: what.into() }
    }
}

/// Layers import downwards only.
pub fn imports_point_down(source: &Source) -> Vec<Finding> {
    let Some(layer) = source.layer() else { return Vec::new() };
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
        return vec![Finding::new(source, 0, format!("layer `{layer}` is not in the table"))];
    };
    let mut findings = Vec::new();
    for (index, line) in source.code.iter().enumerate() {
        for root in ["crate", "rufous"] {
            for at in words(line, root) {
                let Some(path) = line[at + root.len()..].strip_prefix("::") else { continue };
                let target = identifier(path, 0);
                let inner = path[target.len()..].strip_prefix("::").unwrap_or("");
                let full = format!("{target}::{}", identifier(inner, 0));
                let is_allowed = target == layer
                    || allowed.contains(&target)
                    || allowed.contains(&full.as_str());
                if target.is_empty() {
                    findings.push(Finding::new(source, index, "name the layer right after `::`"));
                } else if !is_allowed {
                    findings.push(Finding::new(source, index, format!("{layer} imports {full}")));
                }
            }
        }
        let supers = line.matches("super::").count();
        if line.contains("super::super") && supers >= depth(source) {
            findings.push(Finding::new(source, index, "`super` leaves the layer"));
        }
    }
    findings
}

/// How many modules deep a file is: `src/a/b.rs` is 2.
fn depth(source: &Source) -> usize {
    let parts = source.path.trim_end_matches("/mod.rs").matches('/').count();
    parts + usize::from(source.path.ends_with("_tests.rs"))
}

/// Of the commands no family imports another. `families` are the modules that declare `COMMANDS`.
pub fn families_stay_apart(source: &Source, families: &[String]) -> Vec<Finding> {
    let Some(own) = family(source) else { return Vec::new() };
    if !families.iter().any(|family| family == own) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, line) in source.code.iter().enumerate() {
        for prefix in ["command::", "super::"] {
            for (at, _) in line.match_indices(prefix) {
                let target = identifier(line, at + prefix.len());
                if target != own && families.iter().any(|family| family == target) {
                    let what = format!("command family {own} imports family {target}");
                    findings.push(Finding::new(source, index, what));
                }
            }
        }
    }
    findings
}

/// The module below `command` that a file is or belongs to.
pub fn family(source: &Source) -> Option<&str> {
    let rest = source.path.strip_prefix("src/command/")?;
    let name = rest.split('/').next().unwrap_or(rest);
    Some(name.trim_end_matches(".rs")).filter(|name| *name != "mod")
}

/// Whether a file declares commands.
pub fn declares_commands(source: &Source) -> bool {
    source.code.iter().any(|line| line.contains("const COMMANDS:"))
}

/// Nobody reads a file that is too long.
pub fn file_is_short(source: &Source) -> Vec<Finding> {
    if source.lines.len() <= LINES_MAX {
        return Vec::new();
    }
    let what = format!("{} lines, over {LINES_MAX}", source.lines.len());
    vec![Finding::new(source, LINES_MAX, what)]
}

/// Lines fit on a screen.
pub fn lines_are_short(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in source.lines.iter().enumerate() {
        let code = &source.code[index];
        // What is text inside is better read whole than broken, within the limit of comments.
        let bare: String = code.split_whitespace().collect();
        let columns = line.chars().count();
        let is_code_long = columns > CODE_COLUMNS_MAX && bare.len() > BARE_CODE_MAX;
        let is_line_long = columns > LINE_COLUMNS_MAX && !source.is_test();
        // A link or a long string on a line of its own cannot be broken.
        let is_one_word = !line.trim().trim_start_matches("//! ").contains(' ');
        if (is_code_long || is_line_long) && !is_one_word {
            findings.push(Finding::new(source, index, format!("{columns} columns")));
        }
    }
    findings
}

/// `unsafe` stands in named files only, each time under an argument why it is sound.
pub fn unsafe_is_argued(source: &Source) -> Vec<Finding> {
    let is_named = UNSAFE_FILES.iter().any(|(path, _)| *path == source.path);
    let mut findings = Vec::new();
    for (index, line) in source.code.iter().enumerate() {
        let is_allowance =
            line.contains("allow(unsafe_code)") || line.contains("expect(unsafe_code");
        let is_use = words(line, "unsafe").next().is_some();
        if !is_named && (is_allowance || is_use) {
            findings.push(Finding::new(source, index, "`unsafe` in a file not named for it"));
        } else if is_use && !is_function_type(line) && !is_argued(source, index) {
            findings.push(Finding::new(source, index, "`unsafe` without `// SAFETY:` above it"));
        }
    }
    findings
}

/// `unsafe extern "C" fn(…)` as a type asks for nothing.
fn is_function_type(code: &str) -> bool {
    !code.contains('{') && code.contains("fn(")
}

/// Whether the statement at a line, or what is directly above it, says `SAFETY`.
fn is_argued(source: &Source, line_index: usize) -> bool {
    let says = |index: usize| {
        source.comments[index].contains("SAFETY:") || source.comments[index].contains("# Safety")
    };
    if says(line_index) || is_in_unsafe_impl(source, line_index) {
        return true;
    }
    for index in (0..line_index).rev() {
        if says(index) {
            return true;
        }
        let code = source.code[index].trim();
        let is_comment = code.is_empty() && !source.comments[index].trim().is_empty();
        let is_attribute = code.starts_with("#[");
        let ends_statement = code.is_empty() || code.ends_with([';', '{', '}', ',']);
        if !is_comment && !is_attribute && ends_statement {
            return false;
        }
    }
    false
}

/// Whether a line begins a method of an `unsafe impl`, which was argued for as a whole.
fn is_in_unsafe_impl(source: &Source, line_index: usize) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let own = &source.code[line_index];
    let mut above = source.code[..line_index].iter().rev();
    own.trim_start().starts_with("unsafe fn ")
        && above
            .find(|line| !line.trim().is_empty() && indent(line) < indent(own))
            .is_some_and(|line| line.starts_with("unsafe impl "))
}

/// Nothing is left for later without a date or an end: `DEBT:` is the word for that.
pub fn nothing_is_left_over(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, comment) in source.comments.iter().enumerate() {
        for word in ["TODO", "FIXME", "XXX", "HACK"] {
            if words(comment, word).next().is_some() {
                findings.push(Finding::new(source, index, format!("{word} in a comment")));
            }
        }
        for mark in ["todo!", "unimplemented!"] {
            if source.code[index].contains(mark) {
                findings.push(Finding::new(source, index, mark));
            }
        }
    }
    findings
}

/// A file opens with what it is.
pub fn file_says_what_it_is(source: &Source) -> Vec<Finding> {
    let first = source.lines.iter().find(|line| !line.trim().is_empty() && !line.starts_with("#!"));
    match first {
        Some(line) if line.starts_with("//! ") && line.len() > "//! ".len() + 10 => Vec::new(),
        _ => vec![Finding::new(source, 0, "does not open with a `//!` head comment")],
    }
}

/// A function is too long to be understood.
pub fn functions_are_short(source: &Source) -> Vec<Finding> {
    let long = long_functions(source, FUNCTION_LINES_MAX);
    long.into_iter()
        .map(|(line_index, name, lines)| {
            Finding::new(source, line_index, format!("fn {name} has {lines} lines"))
        })
        .collect()
}

/// The functions of more than `lines_max` lines: line index, name, lines.
pub fn long_functions(source: &Source, lines_max: usize) -> Vec<(usize, String, usize)> {
    let mut long = Vec::new();
    for (index, line) in source.code.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let Some(at) = line.find("fn ") else { continue };
        if !is_word_at(line, at, "fn") || line.trim_end().ends_with([';', '}']) {
            continue;
        }
        // rustfmt closes a function with a brace as far in as its first line.
        let closing = format!("{}}}", " ".repeat(indent));
        let rest = source.code.iter().skip(index);
        let Some(lines) = rest.clone().position(|line| line.trim_end() == closing) else {
            continue;
        };
        if lines + 1 > lines_max {
            long.push((index, identifier(line, at + 3).to_owned(), lines + 1));
        }
    }
    long
}

/// Comments that begin with `mark` (`DEBT:`, `DIFFERS:`): line index and first line.
pub fn marked<'s>(source: &'s Source, mark: &'s str) -> impl Iterator<Item = (usize, &'s str)> {
    source.comments.iter().enumerate().filter_map(move |(index, comment)| {
        let text = comment.trim_start().trim_start_matches(['/', '!']).trim_start();
        Some((index, text.strip_prefix(mark)?.trim()))
    })
}

/// A debt says why it is one and when it ends, a difference what differs.
pub fn marks_are_explained(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for mark in ["DEBT:", "DIFFERS:"] {
        for (index, text) in marked(source, mark) {
            if text.len() < 20 {
                findings.push(Finding::new(source, index, format!("{mark} without a sentence")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod proof {
    //! Every rule refuses something.
    use super::*;

    #[track_caller]
    fn check(rule: impl Fn(&Source) -> Vec<Finding>, path: &str, text: &str, lines: &[usize]) {
        let found: Vec<usize> = rule(&Source::new(path, text)).iter().map(|f| f.line).collect();
        assert_eq!(found, lines, "{path}: {text}");
    }

    #[test]
    fn imports() {
        let rule = imports_point_down;
        check(rule, "src/store/db.rs", "use crate::base::hash::Key;\nuse crate::store::X;", &[]);
        check(rule, "src/store/db.rs", "//! x\nuse crate::engine::ctx::Ctx;", &[2]);
        check(rule, "src/base/a.rs", "fn f() { crate::proto::reply::g() }", &[1]);
        check(rule, "src/base/a.rs", "// crate::proto::reply\nlet a = \"crate::proto\";", &[]);
        check(rule, "src/net/conn.rs", "use crate::command::execute::Request;", &[]);
        check(rule, "src/net/conn.rs", "use crate::command::string::GET;", &[1]);
        check(rule, "src/net/conn.rs", "use crate::store::Db;", &[1]);
        check(rule, "src/engine/a.rs", "use crate::{base::A, command::B};", &[1]);
        check(rule, "src/engine/a.rs", "use rufous::command::B;", &[1]);
        check(rule, "src/engine/a.rs", "use super::super::command::B;", &[1]);
        check(rule, "src/engine/a/b.rs", "use super::super::config::B;", &[]);
        check(rule, "src/magic/a.rs", "//! x", &[1]);
        check(rule, "src/main.rs", "use rufous::boot::start;", &[]);
    }

    #[test]
    fn families() {
        let names = ["string".to_owned(), "keys".to_owned()];
        let rule = |source: &Source| families_stay_apart(source, &names);
        check(rule, "src/command/string.rs", "use crate::command::options::X;", &[]);
        check(rule, "src/command/string.rs", "use crate::command::keys::X;", &[1]);
        check(rule, "src/command/string/tests.rs", "use crate::command::string::X;", &[]);
        check(rule, "src/command/keys.rs", "use super::string::X;", &[1]);
        check(rule, "src/command/table.rs", "use super::string::X;", &[]);
        let declaring = "pub(super) const COMMANDS: &[Command] = &[];";
        assert!(declares_commands(&Source::new("src/command/a.rs", declaring)));
        assert!(!declares_commands(&Source::new("src/command/a.rs", "// const COMMANDS: no")));
    }

    #[test]
    fn sizes() {
        check(file_is_short, "src/a.rs", &"\n".repeat(LINES_MAX), &[]);
        check(file_is_short, "src/a.rs", &"\n".repeat(LINES_MAX + 1), &[LINES_MAX + 1]);
        let code = |columns: usize| format!("let a = {};", "x".repeat(columns - 9));
        check(lines_are_short, "src/a.rs", &code(100), &[]);
        check(lines_are_short, "src/a.rs", &code(101), &[1]);
        check(lines_are_short, "src/a.rs", &format!("// a {}", "x".repeat(115)), &[]);
        check(lines_are_short, "src/a.rs", &format!("// a {}", "x".repeat(116)), &[1]);
        check(lines_are_short, "src/a.rs", &"x".repeat(130), &[]);
        let text = |columns: usize| format!("let a = f(\"{}\");", " x".repeat((columns - 13) / 2));
        check(lines_are_short, "src/a.rs", &text(119), &[]);
        check(lines_are_short, "src/a.rs", &text(123), &[1]);
        check(lines_are_short, "src/a/tests.rs", &text(123), &[]);
        let function = |lines: usize| format!("pub fn f() {{\n{}}}\n", "  a;\n".repeat(lines - 2));
        check(functions_are_short, "src/a.rs", &function(FUNCTION_LINES_MAX), &[]);
        check(functions_are_short, "src/a.rs", &function(FUNCTION_LINES_MAX + 1), &[1]);
        let nested = format!("impl A {{\n    fn g() {{\n{}    }}\n}}\n", "        b;\n".repeat(81));
        assert_eq!(
            long_functions(&Source::new("src/a.rs", &nested), FUNCTION_LINES_LISTED),
            [(1, "g".to_owned(), 83)]
        );
    }

    #[test]
    fn unsafety() {
        let rule = unsafe_is_argued;
        let named = "src/store/heap.rs";
        check(rule, "src/net/conn.rs", "// SAFETY: none.\nunsafe { a() }", &[2]);
        check(rule, "src/net/conn.rs", "#![allow(unsafe_code)]", &[1]);
        check(rule, "src/net/conn.rs", "// unsafe {\nlet a = \"unsafe\";", &[]);
        check(rule, named, "unsafe { a() }", &[1]);
        check(rule, named, "// SAFETY: a is there.\nunsafe { a() }", &[]);
        check(rule, named, "// SAFETY: a.\nlet b =\n    unsafe { a() };", &[]);
        check(rule, named, "// SAFETY: a.\nlet b = c;\nunsafe { a() };", &[3]);
        check(rule, named, "unsafe impl Send for A {}", &[1]);
        let methods = "unsafe impl A for B {\n    fn f() {\n    }\n    unsafe fn g() {\n    }\n}";
        check(rule, named, methods, &[1]);
        check(rule, named, "impl A for B {\n    unsafe fn g() {\n    }\n}", &[2]);
        check(rule, named, "/// # Safety\n/// `a` is in range.\n#[inline]\nunsafe fn f() {", &[]);
        check(rule, named, "/// Does it.\npub unsafe fn f() {", &[2]);
        check(rule, named, "type A = unsafe extern \"C\" fn(i32);", &[]);
    }

    #[test]
    fn leftovers() {
        let rule = nothing_is_left_over;
        check(rule, "src/a.rs", "// TODO: later\n// FIXME\n// XXX\n", &[1, 2, 3]);
        check(rule, "src/a.rs", "fn f() { todo!() }\nfn g() { unimplemented!() }", &[1, 2]);
        check(rule, "src/a.rs", "let mastodon = \"TODO todo!\"; // TODOS", &[]);
        check(marks_are_explained, "src/a.rs", "// DEBT: later", &[1]);
        check(marks_are_explained, "src/a.rs", "// DIFFERS: Redis clips to 32 bits here.", &[]);
    }

    #[test]
    fn heads() {
        let rule = file_says_what_it_is;
        check(rule, "src/a.rs", "//! What this file is about.\n", &[]);
        check(rule, "src/a.rs", "#![no_main]\n//! What this file is about.\n", &[]);
        check(rule, "src/a.rs", "use std::io;\n//! Too late for that.\n", &[1]);
        check(rule, "src/a.rs", "//! A file.\n", &[1]);
        check(rule, "src/a.rs", "", &[1]);
    }
}
