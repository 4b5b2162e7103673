//! ACL: users and their rules, told and changed. What they mean is in `engine::acl`.
use crate::base::number::{self, c_string};
use crate::base::random::fill_from_os;
use crate::command::acl_change::{DeleteUsers, LoadUsers, SetUser};
use crate::command::each::tell_each;
use crate::command::help;
use crate::command::spec::flag::{ADMIN, LOADING, NOSCRIPT, STALE};
use crate::command::spec::{Command, Doc, Group, category, command, container, doc};
use crate::engine::acl::rule::is_word;
use crate::engine::acl::selector::Selector;
use crate::engine::acl::users::DEFAULT;
use crate::engine::acl::{self, Acl, User};
use crate::engine::config::Opt;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::engine::table::Found;
use crate::proto::args::Args;
use crate::proto::reply::Reply;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[ACL];

const ACL: Command = Command {
    doc: doc(
        "6.0.0",
        "Depends on subcommand.",
        "",
        "A container for Access List Control commands ",
    ),
    ..container(
        Group::Server,
        "acl",
        &[
            ACL_CAT,
            ACL_DELUSER,
            ACL_DRYRUN,
            ACL_GENPASS,
            ACL_GETUSER,
            ACL_HELP,
            ACL_LIST,
            ACL_LOAD,
            ACL_LOG,
            ACL_SAVE,
            ACL_SETUSER,
            ACL_USERS,
            ACL_WHOAMI,
        ],
    )
};

const ACL_CAT: Command = Command {
    flags: NOSCRIPT | LOADING | STALE,
    doc: doc(
        "6.0.0",
        "O(1) since the categories and commands are a fixed set.",
        "[categoryname:string]",
        "List the ACL categories or the commands inside a category",
    ),
    ..command(Group::Server, "cat", -2, acl_cat)
};

const ACL_DELUSER: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: doc(
        "6.0.0",
        "O(1) amortized time considering the typical user.",
        "username:string...",
        "Remove the specified ACL users and the associated rules",
    ),
    ..command(Group::Server, "deluser", -3, acl_deluser)
};

const ACL_DRYRUN: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: doc(
        "7.0.0",
        "O(1).",
        "username:string command:string [arg:string...]",
        "Returns whether the user can execute the given command without executing the command.",
    ),
    ..command(Group::Server, "dryrun", -4, acl_dryrun)
};

const ACL_GENPASS: Command = Command {
    flags: NOSCRIPT | LOADING | STALE,
    doc: doc(
        "6.0.0",
        "O(1)",
        "[bits:integer]",
        "Generate a pseudorandom secure password to use for ACL users",
    ),
    ..command(Group::Server, "genpass", -2, acl_genpass)
};

const ACL_GETUSER: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: Doc {
        history: &[
            ("6.2.0", "Added Pub/Sub channel patterns."),
            (
                "7.0.0",
                "Added selectors and changed the format of key and channel patterns from a list to \
                 their rule representation.",
            ),
        ],
        ..doc(
            "6.0.0",
            "O(N). Where N is the number of password, command and pattern rules that the user has.",
            "username:string",
            "Get the rules for a specific ACL user",
        )
    },
    ..command(Group::Server, "getuser", 3, acl_getuser)
};

const ACL_HELP: Command = Command {
    flags: LOADING | STALE,
    doc: doc("6.0.0", "O(1)", "", "Show helpful text about the different subcommands"),
    ..command(Group::Server, "help", 2, acl_help)
};

const ACL_LIST: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: doc(
        "6.0.0",
        "O(N). Where N is the number of configured users.",
        "",
        "List the current ACL rules in ACL config file format",
    ),
    ..command(Group::Server, "list", 2, acl_list)
};

const ACL_LOAD: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: doc(
        "6.0.0",
        "O(N). Where N is the number of configured users.",
        "",
        "Reload the ACLs from the configured ACL file",
    ),
    ..command(Group::Server, "load", 2, acl_load)
};

const ACL_LOG: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: doc(
        "6.0.0",
        "O(N) with N being the number of entries shown.",
        "[operation(count:integer|RESET)]",
        "List latest events denied because of ACLs in place",
    ),
    ..command(Group::Server, "log", -2, acl_log)
};

const ACL_SAVE: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: doc(
        "6.0.0",
        "O(N). Where N is the number of configured users.",
        "",
        "Save the current ACL rules in the configured ACL file",
    ),
    ..command(Group::Server, "save", 2, acl_save)
};

const ACL_SETUSER: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: Doc {
        history: &[
            ("6.2.0", "Added Pub/Sub channel patterns."),
            ("7.0.0", "Added selectors and key based permissions."),
        ],
        ..doc(
            "6.0.0",
            "O(N). Where N is the number of rules provided.",
            "username:string [rule:string...]",
            "Modify or create the rules for a specific ACL user",
        )
    },
    ..command(Group::Server, "setuser", -3, acl_setuser)
};

const ACL_USERS: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: doc(
        "6.0.0",
        "O(N). Where N is the number of configured users.",
        "",
        "List the username of all the configured ACL rules",
    ),
    ..command(Group::Server, "users", 2, acl_users)
};

const ACL_WHOAMI: Command = Command {
    flags: NOSCRIPT | LOADING | STALE,
    doc: doc(
        "6.0.0",
        "O(1)",
        "",
        "Return the name of the user associated to the current connection",
    ),
    ..command(Group::Server, "whoami", 2, acl_whoami)
};

/// The error of a subcommand with more arguments than it takes.
fn check_len_max(args: Args<'_>, len_max: usize) -> CmdResult {
    match args.len() > len_max {
        true => Err(CmdError::subcommand_syntax("acl", args.at(1))),
        false => Ok(()),
    }
}

fn acl_cat(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    check_len_max(args, 3)?;
    if args.len() == 2 {
        ctx.reply.array(category::NAMES.len());
        category::NAMES.iter().for_each(|(_, name)| ctx.reply.bulk(name.as_bytes()));
        return Ok(());
    }
    let wanted = args.at(2);
    let Some(names) = ctx.engine.acl.commands().names_in_category(wanted) else {
        let shown = c_string(&wanted[..wanted.len().min(128)]);
        return Err(CmdError::owned(&[b"ERR Unknown category '", shown, b"'"]));
    };
    ctx.reply.array(names.len());
    names.iter().for_each(|name| ctx.reply.bulk(name.as_bytes()));
    Ok(())
}

fn acl_deluser(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    if args.from(2).any(|name| name == DEFAULT) {
        return Err(CmdError::Text("ERR The 'default' user cannot be removed"));
    }
    ctx.run_compound(DeleteUsers::default())
}

fn acl_dryrun(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (name, request) = (args.at(2), args.skip(3));
    if ctx.engine.acl.get(name).is_none() {
        return Err(CmdError::owned(&[b"ERR User '", c_string(name), b"' not found"]));
    }
    let Some(entry) = ctx.engine.table.resolve(request) else {
        let name = c_string(request.at(0));
        return Err(CmdError::owned(&[b"ERR Command '", name, b"' not found"]));
    };
    if !entry.accepts(request.len()) {
        return Err(CmdError::Arity(entry.full_name));
    }
    let found = ctx.engine.table.found(entry.id);
    let full_name = entry.full_name.to_owned();
    ctx.run(args, DryRun { found, full_name, checking: acl::Checking::default() })
}

/// ACL DRYRUN, in slices where there are very many keys.
struct DryRun {
    found: Found,
    full_name: String,
    checking: acl::Checking,
}

impl Job for DryRun {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let (name, request) = (args.at(2), args.skip(3));
        let acl = &ctx.engine.acl;
        let Some(denial) = self.checking.go_on(acl, acl.get(name), self.found, request, budget)
        else {
            return Ok(Step::More);
        };
        match denial.map_err(|denial| denial.told(&self.full_name, request)) {
            Err(told) => ctx.reply.bulk(&told),
            Ok(()) => ctx.reply.ok(),
        }
        Ok(Step::Done)
    }
}

/// Most bits of a password.
const PASSWORD_BITS_MAX: i64 = 4096;

fn acl_genpass(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    check_len_max(args, 3)?;
    let bits = match args.len() {
        2 => 256,
        _ => number::parse_i64(args.at(2)).ok_or(CmdError::NotInteger)?,
    };
    if !(1..=PASSWORD_BITS_MAX).contains(&bits) {
        return Err(CmdError::Text(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a \
             positive number up to 4096",
        ));
    }
    let mut bytes = vec![0; (bits as usize).div_ceil(4)];
    // Only who asks for everything to be repeated gets a password that can be guessed.
    match ctx.engine.config.seed() {
        Some(_) => ctx.engine.random.fill(&mut bytes),
        None => fill_from_os(&mut bytes),
    }
    let digit = |byte: &u8| b"0123456789abcdef"[usize::from(byte & 15)];
    let password: Vec<u8> = bytes.iter().map(digit).collect();
    ctx.reply.bulk(&password);
    Ok(())
}

fn acl_getuser(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (acl, reply) = (&ctx.engine.acl, &mut ctx.reply);
    let Some(user) = acl.get(args.at(2)) else {
        reply.null();
        return Ok(());
    };
    reply.map(6);
    reply.bulk(b"flags");
    reply.set(user.flags().count());
    user.flags().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(user.passwords.len());
    user.passwords.iter().for_each(|hash| reply.bulk(&hash.to_text()));
    write_selector(reply, acl, &user.root);
    reply.bulk(b"selectors");
    reply.array(user.selectors.len());
    for selector in &user.selectors {
        reply.map(3);
        write_selector(reply, acl, selector);
    }
    Ok(())
}

fn write_selector(reply: &mut Reply<'_>, acl: &Acl, selector: &Selector) {
    reply.bulk(b"commands");
    reply.bulk(&selector.describe_commands(acl.commands()));
    reply.bulk(b"keys");
    reply.bulk(&selector.describe_keys());
    reply.bulk(b"channels");
    reply.bulk(&selector.describe_channels());
}

fn acl_list(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    tell_users(ctx, args, |acl, reply, name, user| {
        reply.bulk(&[b"user ", name, b" ", &*user.describe(acl.commands())].concat());
    })
}

fn acl_users(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    tell_users(ctx, args, |_, reply, name, _| reply.bulk(name))
}

/// Users told of between two looks at the clock.
const USERS_PER_PIECE: usize = 8;

/// Tells of all users, in the order of their names.
fn tell_users(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    tell: impl Fn(&Acl, &mut Reply<'_>, &[u8], &User) + Send + 'static,
) -> CmdResult {
    let mut last: Option<Vec<u8>> = None;
    tell_each(ctx, args, USERS_PER_PIECE, move |ctx, _, reply| {
        let acl = &ctx.engine.acl;
        let Some((name, user)) = acl.user_after(last.as_deref()) else { return false };
        last = Some(name.to_vec());
        tell(acl, reply, name, user);
        true
    })
}

fn acl_whoami(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.reply.bulk(ctx.client.user_name());
    Ok(())
}

fn acl_setuser(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let name = args.at(2);
    if !is_word(name) {
        return Err(CmdError::Text("ERR Usernames can't contain spaces or null characters"));
    }
    ctx.run_compound(SetUser::default())
}

fn needs_file(ctx: &Ctx<'_>) -> CmdResult {
    if !ctx.engine.config.text(Opt::AclFile).is_empty() {
        return Ok(());
    }
    Err(CmdError::Text(
        "ERR This Redis instance is not configured to use an ACL file. You may want to specify \
         users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a \
         Redis configuration file set) in order to store users in the Redis configuration.",
    ))
}

/// Waits for the disk, as Redis does: the file is small, and who asks wants to know.
fn acl_load(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    needs_file(ctx)?;
    ctx.run_compound(LoadUsers::default())
}

/// Waits for the disk, as Redis does.
fn acl_save(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    needs_file(ctx)?;
    match ctx.engine.save_acl_file() {
        Ok(()) => {
            ctx.reply.ok();
            Ok(())
        }
        Err(_) => Err(CmdError::Text(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more \
             information",
        )),
    }
}

/// Entries that ACL LOG tells where nobody says how many.
const ENTRIES_TOLD: usize = 10;

fn acl_log(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    check_len_max(args, 3)?;
    let log = &mut ctx.engine.acl.log;
    let mut count = ENTRIES_TOLD;
    if args.len() == 3 {
        if args.at(2).eq_ignore_ascii_case(b"reset") {
            log.reset();
            ctx.reply.ok();
            return Ok(());
        }
        let wanted = number::parse_i64(args.at(2)).ok_or(CmdError::NotInteger)?;
        count = usize::try_from(wanted).unwrap_or(0);
    }
    let entries = log.entries();
    let count = count.min(entries.len());
    let reply = &mut ctx.reply;
    reply.array(count);
    for entry in entries.take(count) {
        reply.map(7);
        reply.bulk(b"count");
        reply.int(entry.count as i64);
        reply.bulk(b"reason");
        reply.bulk(entry.reason.name().as_bytes());
        reply.bulk(b"context");
        reply.bulk(entry.context.name().as_bytes());
        reply.bulk(b"object");
        reply.bulk(&entry.object);
        reply.bulk(b"username");
        reply.bulk(&entry.username);
        reply.bulk(b"age-seconds");
        reply.double((ctx.now - entry.last_ms) as f64 / 1000.0);
        reply.bulk(b"client-info");
        reply.bulk(entry.client.as_bytes());
    }
    Ok(())
}

fn acl_help(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    help::reply(ctx, args, HELP)
}

const HELP: &[&str] = &[
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "DELUSER <username> [<username> ...]",
    "    Delete a list of users.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Returns whether the user can execute the given command without executing the command.",
    "GETUSER <username>",
    "    Get the user's details.",
    "GENPASS [<bits>]",
    "    Generate a secure 256-bit user password. The optional `bits` argument can",
    "    be used to specify a different size.",
    "LIST",
    "    Show users details in config file format.",
    "LOAD",
    "    Reload users from the ACL file.",
    "LOG [<count> | RESET]",
    "    Show the ACL log entries.",
    "SAVE",
    "    Save the current config to the ACL file.",
    "SETUSER <username> <attribute> [<attribute> ...]",
    "    Create or modify a user with the specified attributes.",
    "USERS",
    "    List all the registered usernames.",
    "WHOAMI",
    "    Return the current connection username.",
];
