//! Invariants over every declaration, and lookup against a plain search.
use super::*;
use crate::command::CATALOGUE;
use crate::command::syntax::{self, Argument, Kind};
use crate::engine::spec::{Group, KeySpec};
use std::collections::HashSet;

fn all() -> Vec<CommandEntry> {
    CATALOGUE.0.clone()
}

#[test]
fn names_are_unique_lower_case_words() {
    let mut seen = HashSet::new();
    for entry in all() {
        assert!(seen.insert(entry.full_name), "{} is declared twice", entry.full_name);
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        assert!(entry.command.name.bytes().all(is_plain), "{}", entry.full_name);
    }
}

#[test]
fn every_command_is_documented() {
    // As in Redis, which says nothing of their cost.
    const WITHOUT_COMPLEXITY: &[&str] = &["lolwut", "monitor", "psync", "sync"];
    for entry in all() {
        let doc = &entry.command.doc;
        let name = entry.full_name;
        assert!(!doc.summary.is_empty(), "{name}");
        assert_eq!(doc.complexity.is_empty(), WITHOUT_COMPLEXITY.contains(&name), "{name}");
        assert_eq!(
            doc.since.split('.').filter(|part| part.parse::<u8>().is_ok()).count(),
            3,
            "{name}"
        );
        for tip in entry.command.tips {
            assert_eq!(*tip, tip.to_ascii_lowercase(), "{name}");
        }
    }
}

#[test]
fn flags_do_not_contradict() {
    for entry in all() {
        let name = entry.full_name;
        assert!(!(entry.has(flag::WRITE) && entry.has(flag::READONLY)), "{name}");
        assert!(
            !entry.has(flag::DENYOOM) || entry.has(flag::WRITE),
            "{name}: only writes need memory"
        );
        // What looks like a key and is none (a shard channel) is neither read nor written.
        let is_key = |spec: &&KeySpec| spec.access & access::NOT_KEY == 0;
        for spec in entry.command.keys.iter().filter(is_key) {
            let kinds = spec.access & (access::RW | access::RO | access::OW | access::RM);
            assert_eq!(kinds.count_ones(), 1, "{name}: one of RW, RO, OW, RM");
            // PFCOUNT keeps what it has counted, which nobody sees; of a script nobody knows what it changes.
            let is_script = entry.command.group == Group::Scripting;
            let changes = kinds != access::RO && name != "pfcount" && !is_script;
            assert!(!changes || entry.has(flag::WRITE), "{name}: changes a key, so it is a write");
        }
        if entry.is_container() {
            assert!(entry.command.keys.is_empty(), "{name}: subcommands have the keys");
        }
    }
}

#[test]
fn key_positions_fit_the_arity() {
    for entry in all() {
        let least = i64::from(entry.arity.unsigned_abs());
        for spec in entry.command.keys {
            if let Begin::Index(begin) = spec.begin {
                // These may do without.
                let may_lack = ["pfmerge", "sunsubscribe"].contains(&entry.full_name);
                let limit = if may_lack { least + 1 } else { least };
                assert!(begin >= 1 && i64::from(begin) < limit, "{}", entry.full_name);
            }
            if let Find::Range { last, step, .. } = spec.find {
                assert!(step >= 1 && i64::from(last) < least, "{}", entry.full_name);
            }
        }
        let least = if entry.full_name.contains('|') { 2 } else { 1 };
        assert!(i64::from(entry.arity.unsigned_abs()) >= least, "{}", entry.full_name);
    }
}

#[test]
fn syntaxes_parse_and_name_existing_key_specs() {
    fn key_specs(arguments: &[Argument<'_>], found: &mut Vec<u8>) {
        for argument in arguments {
            assert_eq!(
                matches!(argument.kind, Kind::OneOf | Kind::Block),
                !argument.members.is_empty()
            );
            found.extend(argument.key_spec);
            key_specs(&argument.members, found);
        }
    }
    for entry in all() {
        let parsed = syntax::parse(entry.command.doc.syntax);
        let arguments = parsed.unwrap_or_else(|error| panic!("{}: {error:?}", entry.full_name));
        let mut found = Vec::new();
        key_specs(&arguments, &mut found);
        for index in found {
            assert!(usize::from(index) < entry.command.keys.len(), "{}", entry.full_name);
        }
        if entry.arity > 0 && !arguments.iter().any(|argument| argument.is_optional) {
            let words = 1 + entry.full_name.matches('|').count();
            let values: usize = arguments.iter().map(words_of).sum();
            assert_eq!(words + values, entry.arity as usize, "{}", entry.full_name);
        }
    }
}

/// Arguments one of these takes at least.
fn words_of(argument: &Argument<'_>) -> usize {
    let values = match argument.kind {
        Kind::PureToken => 0,
        Kind::OneOf => argument.members.iter().map(words_of).min().unwrap_or(0),
        Kind::Block => argument.members.iter().map(words_of).sum(),
        _ => 1,
    };
    values + usize::from(argument.token.is_some())
}

#[test]
fn an_entry_is_a_cache_line() {
    assert_eq!(size_of::<CommandEntry>(), 64);
    assert!(all().iter().all(|entry| entry.command.subcommands.len() < 256));
}

#[test]
fn lookup_finds_every_name_in_any_case_and_nothing_else() {
    let table = CommandTable::new();
    for entry in table.commands() {
        let name = entry.full_name;
        assert_eq!(table.lookup(name.as_bytes()), Some(entry.id));
        assert_eq!(table.lookup(name.to_uppercase().as_bytes()), Some(entry.id));
        // Every byte but the right letter in either case must miss.
        for index in 0..name.len() {
            let mut other = name.as_bytes().to_vec();
            for byte in 0..=255 {
                other[index] = byte;
                let expected = table
                    .commands()
                    .find(|entry| entry.full_name.as_bytes().eq_ignore_ascii_case(&other));
                assert_eq!(
                    table.lookup(&other),
                    expected.map(|entry| entry.id),
                    "{:?}",
                    other.escape_ascii()
                );
            }
        }
        let padded = [name.as_bytes(), b"\0"].concat();
        assert_eq!(table.lookup(&padded), None);
    }
    for absent in [
        &b""[..],
        b"\0",
        b"ge",
        b"gett",
        b"get\0\0\0\0\0",
        b"client|list",
        b"an unknown command of many bytes",
    ] {
        assert_eq!(table.lookup(absent), None, "{}", absent.escape_ascii());
    }
}

#[test]
fn packing_lowers_letters_only_and_is_injective() {
    for byte in 0..=255u8 {
        for index in 0..8 {
            let mut bytes = [b'Q'; 8];
            bytes[index] = byte;
            assert_eq!(
                lower_case(u64::from_le_bytes(bytes)).to_le_bytes(),
                bytes.to_ascii_lowercase()[..]
            );
        }
    }
    let text = b"abcdefghijklmnopqrstuvwxyz";
    for len in 1..=16 {
        let packed = pack(&text[..len]);
        for index in 0..len {
            let mut other = text[..len].to_vec();
            other[index] = b'-';
            assert_ne!(pack(&other), packed, "byte {index} of {len} does not count");
        }
    }
    assert_eq!((pack(b""), pack(&text[..17])), (None, None));
}

#[test]
fn most_names_are_found_in_their_first_slot() {
    let table = CommandTable::new();
    let first = |entry: &&CommandEntry| table.slots[slot_of(entry.name)] == entry.id.0;
    let (all, hits) = (table.commands().len(), table.commands().filter(first).count());
    assert!(hits * 100 >= all * 95, "{hits} of {all}");
}

#[test]
fn subcommands_belong_to_their_container() {
    let table = CommandTable::new();
    let command = table.lookup(b"command").unwrap();
    let count = table.subcommand(command, b"COUNT").unwrap();
    assert_eq!(table.full_name(count), "command|count");
    assert_eq!(table.parent(table.entry(count)).unwrap().id, command);
    assert_eq!(table.subcommand(command, b"nothing"), None);
    assert_eq!(table.lookup(b"count"), None);
    assert_eq!(table.lookup_full(b"Command|Count").unwrap().id, count);
    for absent in [&b"command|"[..], b"command|count|x", b"|count", b"count|", b"nothing|count"] {
        assert!(table.lookup_full(absent).is_none(), "{}", absent.escape_ascii());
    }
    let listed = table.commands_and_subcommands().count();
    assert_eq!(listed, table.len());
    for entry in table.commands_and_subcommands() {
        assert_eq!(table.lookup_full(entry.full_name.as_bytes()).unwrap().id, entry.id);
        assert_eq!(table.parent(entry).is_some(), entry.full_name.contains('|'));
    }
}

#[test]
fn renamed_commands_are_found_by_their_new_name_only() {
    let mut table = CommandTable::new();
    let id = table.lookup(b"command").unwrap();
    for name in ["a-name-longer-than-sixteen-bytes", "c", "Secret", "command"] {
        let old = *[&b"command"[..], b"a-name-longer-than-sixteen-bytes", b"c", b"secret"]
            .iter()
            .find(|name| table.lookup(name).is_some())
            .unwrap();
        assert_eq!(table.rename(old, name.as_bytes()), Ok(()));
        assert_eq!(table.lookup(name.to_ascii_uppercase().as_bytes()), Some(id));
        assert_eq!(table.lookup(old), None);
        assert_eq!(table.full_name(id), "command");
    }
    assert_eq!(table.rename(b"command", b"COMMAND"), Ok(()), "nothing changes");
    assert_eq!(table.rename(b"nothing", b"x"), Err(RenameError::NoSuchCommand));
    let before = table.commands().len();
    assert_eq!(table.rename(b"command", b""), Ok(()));
    assert_eq!(table.lookup(b"command"), None);
    assert!(table.lookup_full(b"command|count").is_none());
    assert_eq!((table.commands().len(), table.len()), (before - 1, CommandTable::new().len()));
    assert_eq!(table.rename(b"command", b"x"), Err(RenameError::NoSuchCommand));
}

#[test]
fn removing_a_name_keeps_those_that_collided_with_it() {
    // Three names in one run of slots: removing any must leave the others reachable.
    let mut table = CommandTable::new();
    let id = table.lookup(b"command").unwrap();
    let command_slot = slot_of(pack(b"command").unwrap());
    table.slots.fill(EMPTY);
    for (offset, moved) in [(0, 0u16), (1, 1), (2, 2)] {
        assert_eq!(table.slots[command_slot + offset], EMPTY);
        let entry = &mut table.entries[usize::from(moved)];
        entry.name = pack(b"command").unwrap().map(lower_case);
        entry.name_len = b"command".len() as u8;
        table.slots[command_slot + offset] = moved;
    }
    table.unindex(CommandId(1));
    assert_eq!(table.slots[command_slot..command_slot + 4], [0, 2, EMPTY, EMPTY]);
    table.unindex(CommandId(0));
    assert_eq!(table.slots[command_slot..command_slot + 3], [2, EMPTY, EMPTY]);
    assert!(id.index() < table.len());
}

fn with_keys(keys: &'static [KeySpec]) -> Command {
    let any = CATALOGUE.0[0].command;
    Command { keys, subcommands: &[], ..*any }
}

#[test]
fn legacy_ranges_are_those_of_redis() {
    const RO: u32 = access::RO;
    let range = |first, last, step, is_movable| LegacyRange { first, last, step, is_movable };
    let unclear = KeySpec { find: Find::Unknown, ..KeySpec::first(RO) };
    let cases: &[(&'static [KeySpec], LegacyRange)] = &[
        (&[], range(0, 0, 0, false)),
        (const { &[KeySpec::first(RO)] }, range(1, 1, 1, false)),
        (const { &[KeySpec::range(RO, 1, -1, 2)] }, range(1, -1, 2, false)),
        // RENAME: two ranges in a row; BITOP: the second to the end; XREAD and SORT: not all is
        // known.
        (const { &[KeySpec::first(RO), KeySpec::range(RO, 2, 0, 1)] }, range(1, 2, 1, false)),
        (
            const { &[KeySpec::range(RO, 2, 0, 1), KeySpec::range(RO, 3, -1, 1)] },
            range(2, -1, 1, false),
        ),
        (const { &[KeySpec::first(RO), KeySpec::range(RO, 3, 0, 1)] }, range(1, 1, 1, true)),
        (const { &[KeySpec::first(access::INCOMPLETE)] }, range(1, 1, 1, true)),
    ];
    for (keys, expected) in cases {
        assert_eq!(LegacyRange::of(&with_keys(keys)), *expected);
    }
    let leaked: &'static [KeySpec] = vec![unclear].leak();
    assert_eq!(LegacyRange::of(&with_keys(leaked)), range(0, 0, 0, true));
}

#[test]
fn categories_follow_from_group_and_flags() {
    let derive = |group, flags, categories| {
        categories_of(&Command { group, flags, categories, ..with_keys(&[]) })
    };
    use category::{
        ADMIN, CONNECTION, DANGEROUS, FAST, KEYSPACE, READ, SCRIPTING, SLOW, STRING, WRITE,
    };
    assert_eq!(derive(Group::String, flag::WRITE | flag::FAST, 0), STRING | WRITE | FAST);
    assert_eq!(derive(Group::Server, flag::ADMIN, 0), ADMIN | DANGEROUS | SLOW);
    assert_eq!(derive(Group::Generic, flag::READONLY, 0), KEYSPACE | READ | SLOW);
    assert_eq!(derive(Group::Generic, 0, CONNECTION), CONNECTION | SLOW, "WAIT");
    assert_eq!(derive(Group::Scripting, flag::READONLY, 0), SCRIPTING | SLOW, "EVAL_RO");
}
