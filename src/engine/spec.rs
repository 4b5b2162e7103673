//! How a command is declared: types only.
//!
//! A command is one [`Command`] constant, next to its handler. Everything else that knows commands
//! reads these: lookup, arity errors, COMMAND and its subcommands, ACL categories, statistics,
//! `docs/commands.md`. Field meanings are those of
//! <https://redis.io/docs/latest/commands/command/>.
use std::ops::Range;

use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::proto::args::Args;

/// A plain function pointer: no box, no dynamic dispatch, no future.
pub type Handler = fn(&mut Ctx<'_>, Args<'_>) -> CmdResult;

/// Tells the keys of one command whose `keys` do not tell all; the name is argument 0.
pub type KeyFinder = fn(Args<'_>, &mut dyn FnMut(KeysUse));

/// One command or subcommand.
#[derive(Clone, Copy)]
pub struct Command {
    /// Lower case, as Redis reports it: `get`; for a subcommand its own word: `list`.
    pub name: &'static str,
    /// Number of arguments, the name (and the subcommand) included; negative: at least that many.
    pub arity: i8,
    /// Runs it. A container command (CLIENT) has one for the case that no subcommand was given.
    pub handler: Handler,
    /// Bits of [`flag`].
    pub flags: u32,
    /// ACL categories besides those that follow from group and flags; bits of [`category`].
    pub categories: u32,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// Finds its keys where `keys` are unclear or their access depends on options.
    pub find_keys: Option<KeyFinder>,
    /// Finds keys that its work is about though it does not say so to anybody (DEBUG OBJECT): jobs that change them are
    /// waited for.
    pub looks_at: Option<KeyFinder>,
    /// Hints for clients and proxies, such as `nondeterministic_output`.
    pub tips: &'static [&'static str],
    /// Group of the documentation.
    pub group: Group,
    /// What COMMAND DOCS tells.
    pub doc: Doc,
    /// Subcommands; empty for a plain command.
    pub subcommands: &'static [Command],
}

/// Bits of [`Command::flags`], with the names COMMAND prints.
pub mod flag {
    /// May change the keyspace.
    pub const WRITE: u32 = 1 << 0;
    /// Reads keys and changes none.
    pub const READONLY: u32 = 1 << 1;
    /// Refused when memory is over its limit.
    pub const DENYOOM: u32 = 1 << 2;
    /// Administrative.
    pub const ADMIN: u32 = 1 << 3;
    /// Publish and subscribe.
    pub const PUBSUB: u32 = 1 << 4;
    /// Refused in scripts.
    pub const NOSCRIPT: u32 = 1 << 5;
    /// May block its client.
    pub const BLOCKING: u32 = 1 << 6;
    /// Allowed while a data set is loaded.
    pub const LOADING: u32 = 1 << 7;
    /// Allowed on a replica whose data is stale.
    pub const STALE: u32 = 1 << 8;
    /// MONITOR does not show it.
    pub const SKIP_MONITOR: u32 = 1 << 9;
    /// The slow log does not record it.
    pub const SKIP_SLOWLOG: u32 = 1 << 10;
    /// Accepted by a cluster node for a slot being imported.
    pub const ASKING: u32 = 1 << 11;
    /// O(1) or O(log n), never delayed.
    pub const FAST: u32 = 1 << 12;
    /// Needs no authentication.
    pub const NO_AUTH: u32 = 1 << 13;
    /// May propagate although it is no write.
    pub const MAY_REPLICATE: u32 = 1 << 14;
    /// Refused in MULTI.
    pub const NO_MULTI: u32 = 1 << 15;
    /// Its key positions depend on arguments; derived for COMMAND where a key spec says so.
    pub const MOVABLEKEYS: u32 = 1 << 16;
    /// Allowed while a script keeps the server busy.
    pub const ALLOW_BUSY: u32 = 1 << 17;
    /// Refused during asynchronous loading.
    pub const NO_ASYNC_LOADING: u32 = 1 << 18;
    /// Its keys may be absent from the arguments.
    pub const NO_MANDATORY_KEYS: u32 = 1 << 19;
    /// Needs `enable-debug-command` or its like.
    pub const PROTECTED: u32 = 1 << 20;
    /// May touch keys that are not among its arguments.
    pub const TOUCHES_ARBITRARY_KEYS: u32 = 1 << 21;
    /// Writes more or fewer than one reply; only ours, never printed.
    pub const MANY_REPLIES: u32 = 1 << 22;
    /// Internal to Redis, not for clients; COMMAND DOCS prints it among its `doc_flags`.
    pub const SYSCMD: u32 = 1 << 23;

    /// Looks at all keys of its database at once; only ours, never printed.
    pub const READS_ALL: u32 = 1 << 24;
    /// Its keys may be in another database than the selected one; only ours, never printed.
    pub const OTHER_DB: u32 = 1 << 25;
    /// Empties databases; only ours, never printed.
    pub const EMPTIES: u32 = 1 << 26;

    /// Names in the order COMMAND prints them; bits that are not here it keeps to itself.
    pub const NAMES: &[(u32, &str)] = &[
        (WRITE, "write"),
        (READONLY, "readonly"),
        (DENYOOM, "denyoom"),
        (ADMIN, "admin"),
        (PUBSUB, "pubsub"),
        (NOSCRIPT, "noscript"),
        (BLOCKING, "blocking"),
        (LOADING, "loading"),
        (STALE, "stale"),
        (SKIP_MONITOR, "skip_monitor"),
        (SKIP_SLOWLOG, "skip_slowlog"),
        (ASKING, "asking"),
        (FAST, "fast"),
        (NO_AUTH, "no_auth"),
        (NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (NO_ASYNC_LOADING, "no_async_loading"),
        (NO_MULTI, "no_multi"),
        (MOVABLEKEYS, "movablekeys"),
        (ALLOW_BUSY, "allow_busy"),
    ];
}

/// Bits of [`Command::categories`].
pub mod category {
    /// `@keyspace`
    pub const KEYSPACE: u32 = 1 << 0;
    /// `@read`
    pub const READ: u32 = 1 << 1;
    /// `@write`
    pub const WRITE: u32 = 1 << 2;
    /// `@set`
    pub const SET: u32 = 1 << 3;
    /// `@sortedset`
    pub const SORTEDSET: u32 = 1 << 4;
    /// `@list`
    pub const LIST: u32 = 1 << 5;
    /// `@hash`
    pub const HASH: u32 = 1 << 6;
    /// `@string`
    pub const STRING: u32 = 1 << 7;
    /// `@bitmap`
    pub const BITMAP: u32 = 1 << 8;
    /// `@hyperloglog`
    pub const HYPERLOGLOG: u32 = 1 << 9;
    /// `@geo`
    pub const GEO: u32 = 1 << 10;
    /// `@stream`
    pub const STREAM: u32 = 1 << 11;
    /// `@pubsub`
    pub const PUBSUB: u32 = 1 << 12;
    /// `@admin`
    pub const ADMIN: u32 = 1 << 13;
    /// `@fast`
    pub const FAST: u32 = 1 << 14;
    /// `@slow`
    pub const SLOW: u32 = 1 << 15;
    /// `@blocking`
    pub const BLOCKING: u32 = 1 << 16;
    /// `@dangerous`
    pub const DANGEROUS: u32 = 1 << 17;
    /// `@connection`
    pub const CONNECTION: u32 = 1 << 18;
    /// `@transaction`
    pub const TRANSACTION: u32 = 1 << 19;
    /// `@scripting`
    pub const SCRIPTING: u32 = 1 << 20;

    /// Names without `@`, in the order COMMAND and ACL CAT print them.
    pub const NAMES: &[(u32, &str)] = &[
        (KEYSPACE, "keyspace"),
        (READ, "read"),
        (WRITE, "write"),
        (SET, "set"),
        (SORTEDSET, "sortedset"),
        (LIST, "list"),
        (HASH, "hash"),
        (STRING, "string"),
        (BITMAP, "bitmap"),
        (HYPERLOGLOG, "hyperloglog"),
        (GEO, "geo"),
        (STREAM, "stream"),
        (PUBSUB, "pubsub"),
        (ADMIN, "admin"),
        (FAST, "fast"),
        (SLOW, "slow"),
        (BLOCKING, "blocking"),
        (DANGEROUS, "dangerous"),
        (CONNECTION, "connection"),
        (TRANSACTION, "transaction"),
        (SCRIPTING, "scripting"),
    ];
}

/// Groups of the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Group {
    Generic,
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Pubsub,
    Transactions,
    Connection,
    Server,
    Scripting,
    Hyperloglog,
    Cluster,
    Sentinel,
    Geo,
    Stream,
    Bitmap,
}

impl Group {
    /// As COMMAND DOCS prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::Pubsub => "pubsub",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Scripting => "scripting",
            Group::Hyperloglog => "hyperloglog",
            Group::Cluster => "cluster",
            Group::Sentinel => "sentinel",
            Group::Geo => "geo",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
        }
    }

    /// The ACL category its commands are in by default, as a bit of [`category`]; 0 for none.
    pub const fn category(self) -> u32 {
        match self {
            Group::Generic => category::KEYSPACE,
            Group::String => category::STRING,
            Group::List => category::LIST,
            Group::Set => category::SET,
            Group::SortedSet => category::SORTEDSET,
            Group::Hash => category::HASH,
            Group::Transactions => category::TRANSACTION,
            Group::Connection => category::CONNECTION,
            Group::Scripting => category::SCRIPTING,
            Group::Hyperloglog => category::HYPERLOGLOG,
            Group::Geo => category::GEO,
            Group::Stream => category::STREAM,
            Group::Bitmap => category::BITMAP,
            // Publishing commands get theirs from the PUBSUB flag; these others have none.
            Group::Pubsub | Group::Server | Group::Cluster | Group::Sentinel => 0,
        }
    }
}

/// Where some keys of a command are, and what it does with them.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// Bits of [`access`].
    pub access: u32,
    /// How to find the first one.
    pub begin: Begin,
    /// How to find the others.
    pub find: Find,
    /// A note for readers of COMMAND INFO; empty for most.
    pub notes: &'static str,
}

/// One key among the arguments of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// Which argument it is; the command's name is 0.
    pub index: usize,
    /// What happens to it; bits of [`access`].
    pub access: u32,
}

/// Keys that stand behind each other among the arguments of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysUse {
    /// Which arguments they are.
    pub indices: Range<usize>,
    /// What happens to each; bits of [`access`].
    pub access: u32,
}

impl KeysUse {
    /// A single key.
    pub fn one(index: usize, access: u32) -> KeysUse {
        KeysUse { indices: index..index + 1, access }
    }
}

/// Bits of [`KeySpec::access`], with the names COMMAND prints.
pub mod access {
    /// Read and write.
    pub const RW: u32 = 1 << 0;
    /// Read only.
    pub const RO: u32 = 1 << 1;
    /// Overwrite.
    pub const OW: u32 = 1 << 2;
    /// Delete.
    pub const RM: u32 = 1 << 3;
    /// The value's data is returned, copied or used.
    pub const ACCESS: u32 = 1 << 4;
    /// The value's data changes, as a function of what it was.
    pub const UPDATE: u32 = 1 << 5;
    /// Data is added, nothing read.
    pub const INSERT: u32 = 1 << 6;
    /// Data is deleted.
    pub const DELETE: u32 = 1 << 7;
    /// Looks like a key and is none (a channel).
    pub const NOT_KEY: u32 = 1 << 8;
    /// Not all keys are found by this specification.
    pub const INCOMPLETE: u32 = 1 << 9;
    /// Options can change `RO` into `RW` and the like.
    pub const VARIABLE_FLAGS: u32 = 1 << 10;

    /// Names in the order COMMAND prints them.
    pub const NAMES: &[(u32, &str)] = &[
        (RO, "RO"),
        (RW, "RW"),
        (OW, "OW"),
        (RM, "RM"),
        (ACCESS, "access"),
        (UPDATE, "update"),
        (INSERT, "insert"),
        (DELETE, "delete"),
        (NOT_KEY, "not_key"),
        (INCOMPLETE, "incomplete"),
        (VARIABLE_FLAGS, "variable_flags"),
    ];
}

/// Where the keys begin.
#[derive(Clone, Copy, Debug)]
pub enum Begin {
    /// At this argument.
    Index(i16),
    /// After this word, searched from an argument (negative: from the end).
    Keyword(&'static str, i16),
    /// Cannot be said.
    Unknown,
}

/// How to find the keys from there.
#[derive(Clone, Copy, Debug)]
pub enum Find {
    /// From the first to `last` (negative: from the end of the arguments), every `step`th; `limit`
    /// halves.
    Range {
        /// Relative to the first; -1 the last argument.
        last: i16,
        /// Distance between keys.
        step: i16,
        /// 2: the first half of the rest, and so on; 0 and 1: all.
        limit: i16,
    },
    /// An argument tells how many there are.
    Number {
        /// Where the number is, relative to the beginning.
        at: i16,
        /// Where the first key is, relative to the beginning.
        first: i16,
        /// Distance between keys.
        step: i16,
    },
    /// Cannot be said.
    Unknown,
}

impl KeySpec {
    /// Exactly one key, the first argument.
    pub const fn first(access: u32) -> KeySpec {
        KeySpec::range(access, 1, 0, 1)
    }

    /// Keys from argument `begin`, to `last` relative to it, every `step`th.
    pub const fn range(access: u32, begin: i16, last: i16, step: i16) -> KeySpec {
        let find = Find::Range { last, step, limit: 0 };
        KeySpec { access, begin: Begin::Index(begin), find, notes: "" }
    }

    /// Argument `at` tells how many keys follow it.
    pub const fn counted(access: u32, at: i16) -> KeySpec {
        let find = Find::Number { at: 0, first: 1, step: 1 };
        KeySpec { access, begin: Begin::Index(at), find, notes: "" }
    }

    /// Keys at places that only the command itself can tell, as `notes` explains.
    pub const fn unknown(access: u32, notes: &'static str) -> KeySpec {
        KeySpec { access, begin: Begin::Unknown, find: Find::Unknown, notes }
    }
}

/// What COMMAND DOCS tells about a command.
#[derive(Clone, Copy)]
pub struct Doc {
    /// One sentence.
    pub summary: &'static str,
    /// First version of Redis that has it.
    pub since: &'static str,
    /// Cost, in Redis's words.
    pub complexity: &'static str,
    /// Arguments in the notation of `syntax`: one line from which COMMAND DOCS is built.
    pub syntax: &'static str,
    /// Changes of behaviour: version, what.
    pub history: &'static [(&'static str, &'static str)],
    /// Set where it is deprecated: since which version, replaced by what.
    pub deprecated: Option<(&'static str, &'static str)>,
}

/// A documentation with nothing but the necessary.
pub const fn doc(
    since: &'static str,
    complexity: &'static str,
    syntax: &'static str,
    summary: &'static str,
) -> Doc {
    Doc { summary, since, complexity, syntax, history: &[], deprecated: None }
}

/// Name, arity and handler cannot be left out; everything else has a default.
pub const fn command(group: Group, name: &'static str, arity: i8, handler: Handler) -> Command {
    Command {
        name,
        arity,
        handler,
        flags: 0,
        categories: 0,
        keys: &[],
        find_keys: None,
        looks_at: None,
        tips: &[],
        group,
        doc: doc("1.0.0", "O(1)", "", ""),
        subcommands: &[],
    }
}

/// A command that is nothing but its subcommands, such as CLIENT. It takes at least one argument,
/// so arity and subcommand lookup answer for it, and its handler is never reached.
pub const fn container(
    group: Group,
    name: &'static str,
    subcommands: &'static [Command],
) -> Command {
    Command { subcommands, ..command(group, name, -2, needs_subcommand) }
}

fn needs_subcommand(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    Err(CmdError::Syntax)
}
