//! MIGRATE: keys move to another server, as a job that keeps nobody waiting but who wants those keys.
//!
//! In Redis everybody waits for the other server. Here the job (`migrate_job`) holds its keys until that has answered,
//! and the loop goes on; a script that migrates waits as in Redis.
use std::time::Duration;

use crate::command::keys;
use crate::command::migrate_job::Migrate;
use crate::command::options::{Options, integer, is};
use crate::command::spec::access::{ACCESS, DELETE, INCOMPLETE, RW};
use crate::command::spec::flag::WRITE;
use crate::command::spec::{Begin, Command, Doc, Find, Group, KeySpec, category, command, doc};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::proto::args::Args;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[MIGRATE];

const MIGRATE: Command = Command {
    flags: WRITE,
    categories: category::DANGEROUS,
    keys: &[
        KeySpec::range(RW | ACCESS | DELETE, 3, 0, 1),
        KeySpec {
            access: RW | ACCESS | DELETE | INCOMPLETE,
            begin: Begin::Keyword("KEYS", -2),
            find: Find::Range { last: -1, step: 1, limit: 0 },
            notes: "",
        },
    ],
    find_keys: Some(keys::migrate_keys),
    tips: &["nondeterministic_output"],
    doc: Doc {
        history: &[
            ("3.0.0", "Added the `COPY` and `REPLACE` options."),
            ("3.0.6", "Added the `KEYS` option."),
            ("4.0.7", "Added the `AUTH` option."),
            ("6.0.0", "Added the `AUTH2` option."),
        ],
        ..doc(
            "2.6.0",
            "This command actually executes a DUMP+DEL in the source instance, and a RESTORE in \
            the target instance. See the pages of these commands for time complexity. Also an \
            O(N) data transfer between the two instances is performed.",
            "host:string port:integer key_or_empty_string(key:key|''=empty_string) \
            destination-db:integer timeout:integer [COPY@3.0.0] [REPLACE@3.0.0] \
            [authentication([AUTH=password:string@4.0.7]|\
            [AUTH2=username_password(username:string password:string)@6.0.0])] \
            [KEYS=key:key#1...@3.0.6]",
            "Atomically transfer a key from a Redis instance to another one.",
        )
    },
    ..command(Group::Generic, "migrate", -6, migrate)
};

/// Where a request without options ends.
const OPTIONS: usize = 6;
/// Where its one key is.
const KEY: usize = 3;
/// How long each step of the other server may take, where the request does not say it.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(1000);

/// What a request asks for.
pub(super) struct Choices {
    /// COPY: the keys stay.
    pub is_copy: bool,
    /// REPLACE: what is there goes.
    pub is_replace: bool,
    /// Arguments of the user's name and the password there, as far as they are given.
    pub user: Option<usize>,
    /// See `user`.
    pub password: Option<usize>,
    /// The database there.
    pub db: i64,
    /// How long nothing may come from there.
    pub timeout: Duration,
    /// Argument of the first key.
    pub first_key: usize,
    /// How many there are, behind each other.
    pub key_count: usize,
}

impl Choices {
    fn parse(args: Args<'_>) -> Result<Choices, CmdError> {
        let mut choices = Choices {
            is_copy: false,
            is_replace: false,
            user: None,
            password: None,
            db: 0,
            timeout: DEFAULT_TIMEOUT,
            first_key: KEY,
            key_count: 1,
        };
        let mut options = Options::new(args, OPTIONS);
        while let Some(option) = options.next() {
            if is(option, "copy") {
                choices.is_copy = true;
            } else if is(option, "replace") {
                choices.is_replace = true;
            } else if is(option, "auth") {
                choices.password = Some(options.position());
                options.value()?;
            } else if is(option, "auth2") {
                choices.user = Some(options.position());
                options.value()?;
                choices.password = Some(options.position());
                options.value()?;
            } else if is(option, "keys") {
                if !args.at(KEY).is_empty() {
                    return Err(CmdError::Text(
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the \
                         empty string",
                    ));
                }
                choices.first_key = options.position();
                choices.key_count = args.len() - options.position();
                break;
            } else {
                return Err(CmdError::Syntax);
            }
        }
        let timeout_ms = integer(args.at(5))?;
        choices.db = integer(args.at(4))?;
        if let Ok(millis @ 1..) = u64::try_from(timeout_ms) {
            choices.timeout = Duration::from_millis(millis);
        }
        Ok(choices)
    }
}

fn migrate(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let choices = Choices::parse(args)?;
    let is_long = ctx.is_long(choices.key_count.saturating_sub(1));
    let job = Migrate::new(ctx, args, choices);
    match is_long {
        true => ctx.run_with_many_keys(args, job),
        false => ctx.run(args, job),
    }
}
