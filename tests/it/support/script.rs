//! Reading a script file into steps. `tests/scripts/README.md` is the description of the format.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reply::Order;
use super::words::split;

/// One file of the corpus.
pub struct Script {
    /// The file name without directory.
    pub name: String,
    /// Where it lies, for recording.
    pub path: PathBuf,
    /// Its lines, for recording.
    pub lines: Vec<String>,
    /// Whom and how the file concerns.
    pub marks: Marks,
    /// What to do, in order.
    pub steps: Vec<Step>,
}

/// The `needs:`, `server:`, `resp:` and `cut:` lines of a file.
#[derive(Default)]
pub struct Marks {
    /// Words such as `lists` or `wire`: a target that lacks one of them skips the file.
    pub needs: Vec<String>,
    /// Only this server can play the file (`rufous` or `redis`).
    pub server: Option<String>,
    /// Only this protocol version plays it.
    pub resp: Option<u8>,
    /// `cut: no`: not to be played with its bytes cut in pieces.
    pub uncut: bool,
}

/// One step of a script.
pub struct Step {
    /// Line number, from 1.
    pub line: usize,
    /// The line itself.
    pub text: String,
    /// The connection it runs on.
    pub link: u32,
    /// What it does.
    pub action: Action,
    /// What must come back.
    pub expected: Expected,
}

/// What a step does.
pub enum Action {
    /// `> words`: send and read one reply.
    Command(Vec<Vec<u8>>),
    /// `>> words`: send only.
    SendOnly(Vec<Vec<u8>>),
    /// `<`: read one more reply.
    Receive,
    /// `raw "…"`: send bytes, compare bytes.
    Raw(Vec<u8>),
    /// `close`: close the connection from our side.
    Close,
    /// `advance 100ms`.
    Advance(Duration),
    /// `config name value`: set now, restored at the end of the file.
    Config(String, Vec<u8>),
    /// `save name`: keep the last reply.
    Save(String),
}

impl Action {
    /// Does this step have a block of expected lines?
    pub fn answers(&self) -> bool {
        matches!(self, Action::Command(_) | Action::Receive | Action::Raw(_))
    }
}

/// The block of lines below a step.
pub struct Expected {
    /// The lines for RESP2, and for RESP3 unless `resp3` differs.
    pub lines: Vec<String>,
    /// The lines below `resp3:`.
    pub resp3: Option<Vec<String>>,
    /// From `sort:` or `sort pairs:`.
    pub order: Order,
    /// The indexes into `Script::lines` the whole block covers.
    pub span: std::ops::Range<usize>,
}

/// All scripts by name, reduced to those `SCRIPTS` names.
pub fn load_all() -> Vec<Script> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let wanted = std::env::var("SCRIPTS").unwrap_or_default();
    let mut paths: Vec<PathBuf> = fs::read_dir(&directory)
        .expect("tests/scripts can be listed")
        .map(|entry| entry.expect("tests/scripts can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .filter(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            wanted.is_empty() || wanted.split(',').any(|word| name.contains(word))
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no script matches SCRIPTS={wanted}");
    paths.iter().map(|path| load(path)).collect()
}

fn load(path: &Path) -> Script {
    let text = fs::read_to_string(path).expect("a script can be read");
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match parse(&name, path, &text) {
        Ok(script) => script,
        Err(message) => panic!("tests/scripts/{name}: {message}"),
    }
}

/// Reads the text of a script; the error names the line.
pub fn parse(name: &str, path: &Path, text: &str) -> Result<Script, String> {
    let lines: Vec<String> = text.lines().map(str::to_string).collect();
    let mut marks = Marks::default();
    let mut steps = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at].trim_end();
        let located = |message: String| format!("line {}: {message}", at + 1);
        if line.is_empty() || line.starts_with('#') || read_mark(line, &mut marks) {
            at += 1;
            continue;
        }
        let (link, action) = read_action(line)
            .map_err(located)?
            .ok_or_else(|| located(format!("not a step: {line:?}")))?;
        let expected = read_block(&lines, at + 1);
        if !action.answers() && !expected.span.is_empty() {
            return Err(located("this step has no reply".into()));
        }
        let next = expected.span.end;
        steps.push(Step { line: at + 1, text: line.to_string(), link, action, expected });
        at = next;
    }
    Ok(Script { name: name.into(), path: path.into(), lines, marks, steps })
}

fn read_mark(line: &str, marks: &mut Marks) -> bool {
    let Some((name, value)) = line.split_once(": ") else { return false };
    match (name, value) {
        ("needs", words) => marks.needs.extend(words.split_whitespace().map(str::to_string)),
        ("server", server) => marks.server = Some(server.to_string()),
        ("resp", "2") => marks.resp = Some(2),
        ("resp", "3") => marks.resp = Some(3),
        ("cut", "no") => marks.uncut = true,
        _ => return false,
    }
    true
}

/// Reads a step line; `None` when the line is none.
fn read_action(line: &str) -> Result<Option<(u32, Action)>, String> {
    let (link, line) = match line.strip_prefix('@') {
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let Ok(link) = rest[..digits].parse() else { return Ok(None) };
            (link, rest[digits..].trim_start())
        }
        None => (1, line),
    };
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let action = match verb {
        ">" => Action::Command(split(rest)?),
        ">>" => Action::SendOnly(split(rest)?),
        "<" => Action::Receive,
        "close" if rest.is_empty() => Action::Close,
        "raw" => Action::Raw(split(rest)?.concat()),
        "advance" => {
            let digits = rest.strip_suffix("ms").ok_or("advance takes a number of ms")?;
            let ms = digits.parse().map_err(|_| "advance takes a number of ms")?;
            Action::Advance(Duration::from_millis(ms))
        }
        "config" => {
            let mut words = split(rest)?;
            let value = words.pop().ok_or("config takes a name and a value")?;
            let name = words.pop().ok_or("config takes a name and a value")?;
            Action::Config(String::from_utf8_lossy(&name).into_owned(), value)
        }
        "save" => Action::Save(rest.to_string()),
        _ => return Ok(None),
    };
    Ok(Some((link, action)))
}

fn read_block(lines: &[String], start: usize) -> Expected {
    let mut expected =
        Expected { lines: Vec::new(), resp3: None, order: Order::AsSent, span: start..start };
    for line in &lines[start..] {
        let ends = line.trim().is_empty()
            || line.starts_with("# ")
            || read_action(line).is_ok_and(|found| found.is_some());
        if ends {
            break;
        }
        expected.span.end += 1;
        match line.as_str() {
            "sort:" => expected.order = Order::Sorted,
            "sort pairs:" => expected.order = Order::SortedPairs,
            "resp3:" => expected.resp3 = Some(Vec::new()),
            _ => expected.resp3.as_mut().unwrap_or(&mut expected.lines).push(line.clone()),
        }
    }
    expected
}

#[test]
fn a_script_is_read_into_steps() {
    let text = "# head\nserver: rufous\n\n> GET k\n\"v\"\nresp3:\n1) \"w\"\n@2>> PING\n@2<\nPONG\n";
    let script = parse("t", Path::new("t"), text).unwrap();
    assert_eq!(script.marks.server.as_deref(), Some("rufous"));
    assert_eq!(script.steps.len(), 3);
    assert_eq!(script.steps[0].expected.lines, ["\"v\""]);
    assert_eq!(script.steps[0].expected.resp3.as_deref().unwrap(), ["1) \"w\""]);
    assert_eq!((script.steps[2].link, script.steps[2].line), (2, 9));
    assert_eq!(script.steps[2].expected.lines, ["PONG"]);
    assert!(parse("t", Path::new("t"), "nonsense\n").is_err());
}
