//! COMMAND and its subcommands: the table, told to clients.
//!
//! Everything is read from the declarations; nothing here knows a command by name. Replies have the
//! order and types of Redis 7.0.15 (sets for flags, maps in RESP3), which tests compare with its
//! stored answers. Without names, INFO and DOCS answer about every command: some hundred
//! microseconds, once per client.
use crate::base::glob::{Case, glob_match};
use crate::command::each::visit_each;
use crate::command::keys::{has_keys, uses_of};
use crate::command::spec::flag::{LOADING, STALE};
use crate::command::spec::{
    Begin, Command, Doc, Find, Group, KeySpec, access, category, command, doc, flag,
};
use crate::command::syntax::{self, Argument, Kind};
use crate::command::table::{CommandEntry, CommandTable, LegacyRange};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::jobs::KeyRange;
use crate::proto::args::Args;
use crate::proto::reply::Reply;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[COMMAND];

const COMMAND: Command = Command {
    flags: LOADING | STALE,
    categories: category::CONNECTION,
    tips: &["nondeterministic_output_order"],
    doc: doc(
        "2.8.13",
        "O(N) where N is the total number of Redis commands",
        "",
        "Get array of Redis command details",
    ),
    subcommands: &[
        COMMAND_COUNT,
        COMMAND_DOCS,
        COMMAND_GETKEYS,
        COMMAND_GETKEYSANDFLAGS,
        COMMAND_HELP,
        COMMAND_INFO,
        COMMAND_LIST,
    ],
    ..command(Group::Server, "command", -1, command_all)
};

const COMMAND_COUNT: Command = Command {
    flags: LOADING | STALE,
    categories: category::CONNECTION,
    doc: doc("2.8.13", "O(1)", "", "Get total number of Redis commands"),
    ..command(Group::Server, "count", 2, command_count)
};

const COMMAND_DOCS: Command = Command {
    flags: LOADING | STALE,
    categories: category::CONNECTION,
    tips: &["nondeterministic_output_order"],
    doc: doc(
        "7.0.0",
        "O(N) where N is the number of commands to look up",
        "[command-name:string...]",
        "Get array of specific Redis command documentation",
    ),
    ..command(Group::Server, "docs", -2, command_docs)
};

const COMMAND_GETKEYS: Command = Command {
    flags: LOADING | STALE,
    categories: category::CONNECTION,
    doc: doc(
        "2.8.13",
        "O(N) where N is the number of arguments to the command",
        "",
        "Extract keys given a full Redis command",
    ),
    ..command(Group::Server, "getkeys", -4, command_getkeys)
};

const COMMAND_GETKEYSANDFLAGS: Command = Command {
    flags: LOADING | STALE,
    categories: category::CONNECTION,
    doc: doc(
        "7.0.0",
        "O(N) where N is the number of arguments to the command",
        "",
        "Extract keys and access flags given a full Redis command",
    ),
    ..command(Group::Server, "getkeysandflags", -4, command_getkeysandflags)
};

const COMMAND_HELP: Command = Command {
    flags: LOADING | STALE,
    categories: category::CONNECTION,
    doc: doc("5.0.0", "O(1)", "", "Show helpful text about the different subcommands"),
    ..command(Group::Server, "help", 2, command_help)
};

const COMMAND_INFO: Command = Command {
    flags: LOADING | STALE,
    categories: category::CONNECTION,
    tips: &["nondeterministic_output_order"],
    doc: Doc {
        history: &[("7.0.0", "Allowed to be called with no argument to get info on all commands.")],
        ..doc(
            "2.8.13",
            "O(N) where N is the number of commands to look up",
            "[command-name:string...]",
            "Get array of specific Redis command details, or all when no argument is given.",
        )
    },
    ..command(Group::Server, "info", -2, command_info)
};

const COMMAND_LIST: Command = Command {
    flags: LOADING | STALE,
    categories: category::CONNECTION,
    tips: &["nondeterministic_output_order"],
    doc: doc(
        "7.0.0",
        "O(N) where N is the total number of Redis commands",
        "[FILTERBY=filterby(MODULE=module-name:string|ACLCAT=category:string|\
        PATTERN=pattern:pattern)]",
        "Get an array of Redis command names",
    ),
    ..command(Group::Server, "list", -2, command_list)
};

/// The two parts of `ctx` used here.
fn parts<'c, 'a>(ctx: &'c mut Ctx<'a>) -> (&'c CommandTable, &'c mut Reply<'a>) {
    (&ctx.engine.table, &mut ctx.reply)
}

fn command_all(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let (table, reply) = parts(ctx);
    write_info_of_all(table, reply);
    Ok(())
}

fn command_count(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let (table, reply) = parts(ctx);
    reply.count(table.commands().len());
    Ok(())
}

fn command_info(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if args.len() == 2 {
        return command_all(ctx, args);
    }
    ctx.reply.array(args.len() - 2);
    visit_each(ctx, args, 2..args.len(), COMMANDS_PER_PIECE, |ctx, args, index| {
        let (table, reply) = parts(ctx);
        match table.lookup_full(args.at(index)) {
            Some(entry) => write_info(table, reply, entry),
            None => reply.null(),
        }
        Ok(())
    })
}

fn command_docs(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if args.len() > 2 {
        return docs_of(ctx, args);
    }
    let (table, reply) = parts(ctx);
    reply.map(table.commands().len());
    table.commands().for_each(|entry| {
        reply.bulk(entry.full_name.as_bytes());
        write_docs(table, reply, entry);
    });
    Ok(())
}

/// Those of all commands named that there are: they are counted first.
fn docs_of(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let names = args.len() - 2;
    let mut count = 0;
    visit_each(ctx, args, 0..2 * names, COMMANDS_PER_PIECE, move |ctx, args, index| {
        let (table, reply) = parts(ctx);
        let entry = table.lookup_full(args.at(2 + index % names));
        if index < names {
            count += usize::from(entry.is_some());
        }
        if index + 1 == names {
            reply.map(count);
        }
        if let (true, Some(entry)) = (index >= names, entry) {
            reply.bulk(entry.full_name.as_bytes());
            write_docs(table, reply, entry);
        }
        Ok(())
    })
}

/// Commands told of between two looks at the clock.
const COMMANDS_PER_PIECE: usize = 4;

/// COMMAND LIST: which commands to leave in.
enum Filter<'b> {
    All,
    /// There are no modules, so no command is in one.
    Module,
    /// Bit of [`category`], 0 where nothing is called so.
    Category(u32),
    Pattern(&'b [u8]),
}

impl<'b> Filter<'b> {
    fn parse(args: Args<'b>) -> Result<Filter<'b>, CmdError> {
        if args.len() == 2 {
            return Ok(Filter::All);
        }
        if args.len() != 5 || !args.at(2).eq_ignore_ascii_case(b"filterby") {
            return Err(CmdError::Syntax);
        }
        let (kind, value) = (args.at(3), args.at(4));
        if kind.eq_ignore_ascii_case(b"module") {
            Ok(Filter::Module)
        } else if kind.eq_ignore_ascii_case(b"aclcat") {
            let known = |name: &str| name.as_bytes().eq_ignore_ascii_case(value);
            let found = category::NAMES.iter().find(|(_, name)| known(name));
            Ok(Filter::Category(found.map_or(0, |(bit, _)| *bit)))
        } else if kind.eq_ignore_ascii_case(b"pattern") {
            Ok(Filter::Pattern(value))
        } else {
            Err(CmdError::Syntax)
        }
    }

    fn lets_through(&self, entry: &CommandEntry) -> bool {
        match self {
            Filter::All => true,
            Filter::Module => false,
            Filter::Category(bit) => entry.categories & bit != 0,
            Filter::Pattern(pattern) => {
                glob_match(pattern, entry.full_name.as_bytes(), Case::Insensitive)
            }
        }
    }
}

fn command_list(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let filter = Filter::parse(args)?;
    let (table, reply) = parts(ctx);
    let open = reply.array_open();
    let mut count = 0;
    for entry in table.commands_and_subcommands().filter(|entry| filter.lets_through(entry)) {
        reply.bulk(entry.full_name.as_bytes());
        count += 1;
    }
    reply.array_close(open, count);
    Ok(())
}

fn command_getkeys(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    tell_keys(ctx, args, |reply, key, _| reply.bulk(key))
}

fn command_getkeysandflags(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    tell_keys(ctx, args, |reply, key, flags| {
        reply.array(2);
        reply.bulk(key);
        write_names(reply, flags, access::NAMES, "");
    })
}

/// Keys told of between two looks at the clock.
const KEYS_PER_PIECE: usize = 64;

/// Tells of each key of a request that does not run, in slices.
fn tell_keys(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    tell: impl Fn(&mut Reply<'_>, &[u8], u32) + Send + 'static,
) -> CmdResult {
    let uses = keys_in(&ctx.engine.table, args.skip(2))?;
    let count = uses.iter().map(|(range, _)| range.count).sum();
    ctx.reply.array(count);
    let (mut range, mut nth) = (0, 0);
    visit_each(ctx, args, 0..count, KEYS_PER_PIECE, move |ctx, args, _| {
        while uses.get(range).is_some_and(|(keys, _)| nth >= keys.count) {
            (range, nth) = (range + 1, 0);
        }
        if let Some((keys, flags)) = uses.get(range) {
            tell(&mut ctx.reply, args.at(2 + keys.at(nth)), *flags);
        }
        nth += 1;
        Ok(())
    })
}

/// The keys of a request that does not run, as ranges of its arguments, with what it does to them.
fn keys_in(table: &CommandTable, request: Args<'_>) -> Result<Vec<(KeyRange, u32)>, CmdError> {
    let entry = table.resolve(request).ok_or(CmdError::Text("ERR Invalid command specified"))?;
    if !has_keys(entry.command) {
        return Err(CmdError::Text("ERR The command has no key arguments"));
    }
    if !entry.accepts(request.len()) {
        return Err(CmdError::Text("ERR Invalid number of arguments specified for command"));
    }
    let uses = uses_of(entry.command, request).unwrap_or_default();
    let has_any = uses.iter().any(|(range, _)| range.count > 0);
    if !has_any && !entry.has(flag::NO_MANDATORY_KEYS) {
        return Err(CmdError::Text("ERR Invalid arguments specified for command"));
    }
    Ok(uses)
}

fn command_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.reply.array(HELP.len());
    for line in HELP {
        ctx.reply.simple(line);
    }
    Ok(())
}

const HELP: &[&str] = &[
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Return details about all Redis commands.",
    "COUNT",
    "    Return the total number of commands in this Redis server.",
    "LIST",
    "    Return a list of all commands in this Redis server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "GETKEYS <full-command>",
    "    Return the keys from a full Redis command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full Redis command.",
    "HELP",
    "    Prints this help.",
];

fn write_info_of_all(table: &CommandTable, reply: &mut Reply<'_>) {
    reply.array(table.commands().len());
    for entry in table.commands() {
        write_info(table, reply, entry);
    }
}

fn write_info(table: &CommandTable, reply: &mut Reply<'_>, entry: &CommandEntry) {
    let range = LegacyRange::of(entry.command);
    reply.array(10);
    reply.bulk(entry.full_name.as_bytes());
    reply.int(entry.arity.into());
    write_names(reply, entry.flags, flag::NAMES, "");
    reply.int(range.first.into());
    reply.int(range.last.into());
    reply.int(range.step.into());
    write_names(reply, entry.categories, category::NAMES, "@");
    reply.set(entry.command.tips.len());
    for tip in entry.command.tips {
        reply.bulk(tip.as_bytes());
    }
    reply.set(entry.command.keys.len());
    for spec in entry.command.keys {
        write_key_spec(reply, spec);
    }
    if !entry.is_container() {
        // A set here and an array below: so does Redis.
        return reply.set(0);
    }
    let children = table.children(entry);
    reply.array(children.len());
    for child in children {
        write_info(table, reply, child);
    }
}

/// The names of the bits set, as a set of simple strings.
fn write_names(reply: &mut Reply<'_>, bits: u32, names: &[(u32, &str)], prefix: &str) {
    let set = names.iter().filter(|(bit, _)| bits & bit != 0);
    reply.set(set.clone().count());
    for (_, name) in set {
        reply.simple(&format!("{prefix}{name}"));
    }
}

fn write_key_spec(reply: &mut Reply<'_>, spec: &KeySpec) {
    reply.map(3 + usize::from(!spec.notes.is_empty()));
    write_text(reply, "notes", spec.notes);
    reply.bulk(b"flags");
    write_names(reply, spec.access, access::NAMES, "");
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => write_spec(reply, "index", &[("index", index)]),
        Begin::Keyword(word, from) => {
            write_spec_type(reply, "keyword");
            reply.map(2);
            write_text(reply, "keyword", word);
            reply.bulk(b"startfrom");
            reply.int(from.into());
        }
        Begin::Unknown => write_spec(reply, "unknown", &[]),
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Range { last, step, limit } => {
            write_spec(reply, "range", &[("lastkey", last), ("keystep", step), ("limit", limit)]);
        }
        Find::Number { at, first, step } => {
            let numbers = [("keynumidx", at), ("firstkey", first), ("keystep", step)];
            write_spec(reply, "keynum", &numbers);
        }
        Find::Unknown => write_spec(reply, "unknown", &[]),
    }
}

fn write_spec_type(reply: &mut Reply<'_>, kind: &str) {
    reply.map(2);
    write_text(reply, "type", kind);
    reply.bulk(b"spec");
}

fn write_spec(reply: &mut Reply<'_>, kind: &str, numbers: &[(&str, i16)]) {
    write_spec_type(reply, kind);
    reply.map(numbers.len());
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.int((*number).into());
    }
}

/// One pair of a map; nothing where there is no text.
fn write_text(reply: &mut Reply<'_>, name: &str, text: &str) {
    if !text.is_empty() {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
}

fn write_docs(table: &CommandTable, reply: &mut Reply<'_>, entry: &CommandEntry) {
    let doc = &entry.command.doc;
    // The tests over the table parse every syntax; one that does not parse has no arguments.
    let arguments = syntax::parse(doc.syntax).unwrap_or_default();
    let is_internal = entry.has(flag::SYSCMD);
    let pairs = [
        true, // group
        !doc.summary.is_empty(),
        !doc.since.is_empty(),
        !doc.complexity.is_empty(),
        is_internal || doc.deprecated.is_some(),
        doc.deprecated.is_some(),
        doc.deprecated.is_some(),
        !doc.history.is_empty(),
        !arguments.is_empty(),
        entry.is_container(),
    ];
    reply.map(pairs.iter().filter(|pair| **pair).count());
    write_text(reply, "summary", doc.summary);
    write_text(reply, "since", doc.since);
    write_text(reply, "group", entry.command.group.name());
    write_text(reply, "complexity", doc.complexity);
    write_doc_flags(reply, doc, is_internal);
    if !doc.history.is_empty() {
        reply.bulk(b"history");
        reply.set(doc.history.len());
        for (version, change) in doc.history {
            reply.array(2);
            reply.bulk(version.as_bytes());
            reply.bulk(change.as_bytes());
        }
    }
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        write_arguments(reply, &arguments);
    }
    if entry.is_container() {
        let children = table.children(entry);
        reply.bulk(b"subcommands");
        reply.map(children.len());
        for child in children {
            reply.bulk(child.full_name.as_bytes());
            write_docs(table, reply, child);
        }
    }
}

fn write_doc_flags(reply: &mut Reply<'_>, doc: &Doc, is_internal: bool) {
    if is_internal || doc.deprecated.is_some() {
        reply.bulk(b"doc_flags");
        let bits = u32::from(doc.deprecated.is_some()) | u32::from(is_internal) << 1;
        write_names(reply, bits, &[(1, "deprecated"), (2, "syscmd")], "");
    }
    if let Some((since, replacement)) = doc.deprecated {
        write_text(reply, "deprecated_since", since);
        write_text(reply, "replaced_by", replacement);
    }
}

fn write_arguments(reply: &mut Reply<'_>, arguments: &[Argument<'_>]) {
    reply.array(arguments.len());
    for argument in arguments {
        let flags = u32::from(argument.is_optional)
            | u32::from(argument.is_multiple) << 1
            | u32::from(argument.is_token_repeated) << 2;
        let has_members = matches!(argument.kind, Kind::OneOf | Kind::Block);
        let pairs = [
            argument.key_spec.is_some(),
            argument.token.is_some(),
            argument.since.is_some(),
            argument.deprecated_since.is_some(),
            flags != 0,
            has_members,
        ];
        reply.map(2 + pairs.iter().filter(|pair| **pair).count());
        write_text(reply, "name", &argument.name);
        write_text(reply, "type", argument.kind.name());
        if let Some(index) = argument.key_spec {
            reply.bulk(b"key_spec_index");
            reply.int(index.into());
        }
        if let Some(token) = argument.token {
            // May be empty: MIGRATE takes "" instead of a key.
            reply.bulk(b"token");
            reply.bulk(token.as_bytes());
        }
        write_text(reply, "since", argument.since.unwrap_or_default());
        write_text(reply, "deprecated_since", argument.deprecated_since.unwrap_or_default());
        if flags != 0 {
            reply.bulk(b"flags");
            let names = [(1, "optional"), (2, "multiple"), (4, "multiple_token")];
            write_names(reply, flags, &names, "");
        }
        if has_members {
            reply.bulk(b"arguments");
            write_arguments(reply, &argument.members);
        }
    }
}

#[cfg(test)]
mod tests;
