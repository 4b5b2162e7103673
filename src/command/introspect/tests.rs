//! Replies against the stored answers of Redis 7.0.15, and `docs/commands.md` against the
//! declarations.
//!
//! `tests/data/command_{info,docs}_7.0.15.txt` hold what that server says of each of its commands:
//! name, a space, its reply (RESP3; `"bulk"`, `simple`, number, `[array]`, `(set)`, `{map}`),
//! without subcommands, which have lines of their own.
use super::*;
use crate::base::hash::KeyHasher;
use crate::proto::args::OwnedArgs;
use crate::proto::reply::{Output, Resp};
use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Commands that Redis 7.0.15 does not know, and why we have them.
const ADDED: &[(&str, &str)] = &[
    ("client|no-touch", "of Redis 7.2"),
    ("client|setinfo", "of Redis 7.2: clients send it at every start"),
    ("clock", "test mode, which Redis does not have"),
    ("clock|advance", "test mode"),
    ("clock|freeze", "test mode"),
    ("clock|help", "test mode"),
    ("clock|resume", "test mode"),
    ("clock|set", "test mode"),
    ("delex", "of Redis 8.4"),
    ("digest", "of Redis 8.4"),
    ("hexpire", "of Redis 7.4"),
    ("hexpireat", "of Redis 7.4"),
    ("hexpiretime", "of Redis 7.4"),
    ("hgetdel", "of Redis 8.0"),
    ("hgetex", "of Redis 8.0"),
    ("hotkeys", "of Redis 8.6"),
    ("hotkeys|get", "of Redis 8.6"),
    ("hotkeys|help", "of Redis 8.6"),
    ("hotkeys|reset", "of Redis 8.6"),
    ("hotkeys|start", "of Redis 8.6"),
    ("hotkeys|stop", "of Redis 8.6"),
    ("hpersist", "of Redis 7.4"),
    ("hpexpire", "of Redis 7.4"),
    ("hpexpireat", "of Redis 7.4"),
    ("hpexpiretime", "of Redis 7.4"),
    ("hpttl", "of Redis 7.4"),
    ("hsetex", "of Redis 8.0"),
    ("httl", "of Redis 7.4"),
    ("msetex", "of Redis 8.4"),
    ("stalls", "the stall ledger, which Redis does not have"),
    ("stalls|get", "the stall ledger"),
    ("stalls|help", "the stall ledger"),
    ("stalls|histogram", "the stall ledger"),
    ("stalls|len", "the stall ledger"),
    ("stalls|reset", "the stall ledger"),
];

/// Replies that differ from those of Redis 7.0.15, and why.
const DIFFERENT: &[(&str, &str, &str)] =
    &[("docs", "set", "tells of IFEQ, IFNE, IFDEQ and IFDNE, of Redis 8.4")];

/// Subcommands of Redis 7.0.15 that are missing from containers we have.
const MISSING: &[(&str, &str)] = &[];

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn stored(what: &str) -> HashMap<String, String> {
    let path = in_repository(&format!("tests/data/command_{what}_7.0.15.txt"));
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| line.split_once(' ').unwrap());
    lines.map(|(name, reply)| (name.to_owned(), reply.to_owned())).collect()
}

fn written(resp: Resp, write: impl FnOnce(&mut Reply<'_>)) -> Vec<u8> {
    let mut out = Output::default();
    write(&mut Reply::new(&mut out, resp));
    out.to_bytes()
}

/// The next value of an encoded reply in the notation of the stored answers.
fn read_value(encoded: &mut &[u8], out: &mut String) {
    let line = take_line(encoded);
    let (kind, rest) = (line.as_bytes()[0], &line[1..]);
    match kind {
        b'+' | b':' => out.push_str(rest),
        b'_' => out.push('_'),
        b'$' if rest == "-1" => out.push_str("$-1"),
        b'$' => {
            let (text, after) = encoded.split_at(rest.parse().unwrap());
            *encoded = &after[2..];
            let text = std::str::from_utf8(text).unwrap();
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(out, "\"{text}\"").unwrap();
        }
        _ => {
            let (open, close, per_element) = match kind {
                b'*' => ('[', ']', 1),
                b'~' => ('(', ')', 1),
                b'%' => ('{', '}', 2),
                _ => panic!("unexpected reply {line}"),
            };
            out.push(open);
            for index in 0..rest.parse::<usize>().unwrap() * per_element {
                if index > 0 {
                    out.push(' ');
                }
                read_value(encoded, out);
            }
            out.push(close);
        }
    }
}

fn take_line<'e>(encoded: &mut &'e [u8]) -> &'e str {
    let end = encoded.windows(2).position(|pair| pair == b"\r\n").unwrap();
    let line = std::str::from_utf8(&encoded[..end]).unwrap();
    *encoded = &encoded[end + 2..];
    line
}

fn as_text(encoded: &[u8]) -> String {
    let (mut rest, mut text) = (encoded, String::new());
    read_value(&mut rest, &mut text);
    assert!(rest.is_empty(), "more than one reply");
    text
}

/// As `write_info`, in the form of the stored answers.
fn info_line(table: &CommandTable, entry: &CommandEntry) -> String {
    let text = as_text(&written(Resp::V3, |reply| write_info(table, reply, entry)));
    if !entry.is_container() {
        return format!("{}] subcommands:set", text.strip_suffix(" ()]").unwrap());
    }
    let children: String = table
        .children(entry)
        .iter()
        .map(|child| as_text(&written(Resp::V3, |reply| write_info(table, reply, child))))
        .collect::<Vec<_>>()
        .join(" ");
    format!("{}] subcommands:array", text.strip_suffix(&format!(" [{children}]]")).unwrap())
}

fn docs_line(table: &CommandTable, entry: &CommandEntry) -> String {
    let text = as_text(&written(Resp::V3, |reply| write_docs(table, reply, entry)));
    match text.split_once(" \"subcommands\" {") {
        Some((own, _)) => {
            assert!(entry.is_container());
            format!("{own}}} subcommands")
        }
        None => text,
    }
}

fn compare(what: &str, ours: fn(&CommandTable, &CommandEntry) -> String) {
    let stored = stored(what);
    let table = CommandTable::new();
    for entry in table.commands_and_subcommands() {
        let name = entry.full_name;
        let ours = ours(&table, entry);
        let is_added = ADDED.iter().any(|(added, _)| *added == name);
        let differs = DIFFERENT.iter().any(|(reply, other, _)| *reply == what && *other == name);
        match stored.get(name) {
            Some(theirs) if differs => assert_ne!(ours, *theirs, "{what} of {name} is the same"),
            Some(theirs) => assert_eq!(ours, *theirs, "{what} of {name}"),
            None => assert!(is_added, "Redis has no {name}: give the reason in ADDED"),
        }
    }
}

#[test]
fn info_is_that_of_redis() {
    compare("info", info_line);
}

#[test]
fn docs_are_those_of_redis() {
    compare("docs", docs_line);
}

#[test]
fn containers_have_the_subcommands_of_redis() {
    let table = CommandTable::new();
    for name in stored("info").keys() {
        let Some((container, _)) = name.split_once('|') else { continue };
        if table.lookup(container.as_bytes()).is_some() {
            let is_missing = MISSING.iter().any(|(missing, _)| missing == name);
            assert_eq!(table.lookup_full(name.as_bytes()).is_none(), is_missing, "{name}");
        }
    }
}

fn request(line: &str) -> OwnedArgs {
    OwnedArgs::from_parts(line.split(' ').map(str::as_bytes))
}

#[test]
fn unknown_names_are_null_in_place() {
    let table = CommandTable::new();
    let known = |name: &[u8]| table.lookup_full(name).map(|entry| entry.full_name);
    for name in ["nothing", "command|nothing", "command|"] {
        assert_eq!(known(name.as_bytes()), None, "{name}");
    }
    assert_eq!(known(b"COMMAND|count"), Some("command|count"));
}

#[test]
fn filters_are_those_of_redis() {
    let hasher = KeyHasher::new(0);
    let table = CommandTable::new();
    let names = |line: &str| -> Option<Vec<&str>> {
        let asked = request(line);
        let list = asked.lend(&hasher);
        let filter = Filter::parse(list.args()).ok()?;
        let entries = table.commands_and_subcommands();
        Some(entries.filter(|entry| filter.lets_through(entry)).map(|e| e.full_name).collect())
    };
    assert_eq!(names("command list").unwrap().len(), table.len());
    assert_eq!(
        names("command list FilterBy pattern COMMAND|getk*s"),
        Some(vec!["command|getkeys", "command|getkeysandflags"])
    );
    assert!(names("command list filterby aclcat connection").unwrap().contains(&"command"));
    assert_eq!(names("command list filterby aclcat @connection"), Some(vec![]));
    assert_eq!(names("command list filterby module any"), Some(vec![]));
    for wrong in
        ["filterby", "filterby pattern", "filterby name x", "pattern x", "filterby pattern x y"]
    {
        assert_eq!(names(&format!("command list {wrong}")), None, "{wrong}");
    }
}

#[test]
fn keys_are_those_of_redis() {
    use crate::command::spec::access::{ACCESS, OW, RO, RW, UPDATE};
    let hasher = KeyHasher::new(0);
    let table = CommandTable::new();
    let keys = |line: &str| {
        let asked = request(line);
        let keys = keys_in(&table, asked.lend(&hasher).args())
            .map_err(|error| error.message().into_owned())?;
        let each = |(range, access): &(KeyRange, u32)| {
            let (range, access) = (*range, *access);
            (0..range.count).map(move |nth| (range.first + nth * range.step, access))
        };
        Ok::<_, Vec<u8>>(keys.iter().flat_map(each).collect::<Vec<_>>())
    };
    let refused = |text: &str| Err(format!("ERR {text}").into_bytes());
    assert_eq!(keys("nothing a"), refused("Invalid command specified"));
    assert_eq!(keys("command nothing"), refused("Invalid command specified"));
    assert_eq!(keys("command count"), refused("The command has no key arguments"));
    assert_eq!(keys("get a"), Ok(vec![(1, RO | ACCESS)]));
    assert_eq!(keys("get a b"), refused("Invalid number of arguments specified for command"));
    assert_eq!(keys("set a b"), Ok(vec![(1, OW | UPDATE)]));
    assert_eq!(keys("set a b NX Get"), Ok(vec![(1, RW | ACCESS | UPDATE)]));
    assert_eq!(keys("set a b IFEQ c"), Ok(vec![(1, RW | ACCESS | UPDATE)]));
    assert_eq!(keys("mset a 1 b 2"), Ok(vec![(1, OW | UPDATE), (3, OW | UPDATE)]));
    assert_eq!(keys("msetex 2 a 1 b 2 EX 9"), Ok(vec![(2, OW | UPDATE), (4, OW | UPDATE)]));
    for count in ["0", "-1", "9", "9223372036854775807", "x"] {
        let line = format!("msetex {count} a 1");
        assert_eq!(keys(&line), refused("Invalid arguments specified for command"), "{line}");
    }
    assert_eq!(keys("lcs a b LEN"), Ok(vec![(1, RO | ACCESS), (2, RO | ACCESS)]));
}

/// `docs/commands.md`: every command with its usage, by group.
fn catalogue() -> String {
    let table = CommandTable::new();
    let mut entries: Vec<&CommandEntry> = table
        .commands_and_subcommands()
        .filter(|entry| !entry.is_container() || entry.arity == -1)
        .collect();
    entries.sort_by_key(|entry| (entry.command.group.name(), entry.full_name));
    let mut text = String::from(
        "# Commands\n\n\
         Written by the tests from the declarations in `src/command`: do not edit, run\n\
         `UPDATE_DOCS=1 cargo test catalogue`. Behaviour is that of Redis 7.0.15, or of\n\
         the version given where that is later.\n",
    );
    let mut group = "";
    for entry in entries {
        let doc = &entry.command.doc;
        if entry.command.group.name() != group {
            group = entry.command.group.name();
            write!(text, "\n## {group}\n\n").unwrap();
        }
        let name = entry.full_name.to_ascii_uppercase().replace('|', " ");
        let usage = syntax::usage(&syntax::parse(doc.syntax).unwrap());
        write!(
            text,
            "- `{}`  \n  {}.",
            format!("{name} {usage}").trim_end(),
            doc.summary.trim_end_matches('.')
        )
        .unwrap();
        write!(text, " Since {}.", doc.since).unwrap();
        if !doc.complexity.is_empty() {
            write!(text, " {}.", doc.complexity.trim_end_matches('.')).unwrap();
        }
        if let Some((since, replacement)) = doc.deprecated {
            write!(text, " Deprecated since {since}: use {replacement}.").unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn catalogue_is_up_to_date() {
    let path = in_repository("docs/commands.md");
    let fresh = catalogue();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == fresh, "docs/commands.md is out of date: UPDATE_DOCS=1 cargo test catalogue");
}
