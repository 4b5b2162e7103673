//! CLIENT, but for LIST, INFO and KILL, which are in `client_list`, and for what `client_tracking` has.
//!
//! What a subcommand sets is a field of the client's session; what follows from it happens where that field
//! is read: in `execute` (CLIENT REPLY, CLIENT PAUSE), in the keyspace (NO-TOUCH), in the network layer.
use crate::base::number;
use crate::command::client_list::{client_info, client_kill, client_list};
use crate::command::client_tracking::{
    CLIENT_CACHING, CLIENT_GETREDIR, CLIENT_TRACKING, CLIENT_TRACKINGINFO,
};
use crate::command::help;
use crate::command::spec::flag::{ADMIN, LOADING, NOSCRIPT, STALE};
use crate::command::spec::{Command, Doc, Group, command, container, doc};
use crate::engine::blocking::WaitEnd;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::engine::Pause;
use crate::engine::error::CmdError;
use crate::engine::session::{Library, Replies, is_printable_word};
use crate::proto::args::Args;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[CLIENT];

const CLIENT: Command = Command {
    doc: doc("2.4.0", "Depends on subcommand.", "", "A container for client connection commands"),
    ..container(
        Group::Connection,
        "client",
        &[
            CLIENT_CACHING,
            CLIENT_GETNAME,
            CLIENT_GETREDIR,
            CLIENT_HELP,
            CLIENT_ID,
            CLIENT_INFO,
            CLIENT_KILL,
            CLIENT_LIST,
            CLIENT_NO_EVICT,
            CLIENT_NO_TOUCH,
            CLIENT_PAUSE,
            CLIENT_REPLY,
            CLIENT_SETINFO,
            CLIENT_SETNAME,
            CLIENT_TRACKING,
            CLIENT_TRACKINGINFO,
            CLIENT_UNBLOCK,
            CLIENT_UNPAUSE,
        ],
    )
};

const CLIENT_GETNAME: Command = Command {
    flags: NOSCRIPT | LOADING | STALE,
    doc: doc("2.6.9", "O(1)", "", "Get the current connection name"),
    ..command(Group::Connection, "getname", 2, client_getname)
};

const CLIENT_HELP: Command = Command {
    flags: LOADING | STALE,
    doc: doc("5.0.0", "O(1)", "", "Show helpful text about the different subcommands"),
    ..command(Group::Connection, "help", 2, client_help)
};

const CLIENT_ID: Command = Command {
    flags: NOSCRIPT | LOADING | STALE,
    doc: doc("5.0.0", "O(1)", "", "Returns the client ID for the current connection"),
    ..command(Group::Connection, "id", 2, client_id)
};

const CLIENT_INFO: Command = Command {
    flags: NOSCRIPT | LOADING | STALE,
    tips: &["nondeterministic_output"],
    doc: doc("6.2.0", "O(1)", "", "Returns information about the current client connection."),
    ..command(Group::Connection, "info", 2, client_info)
};

const CLIENT_KILL: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: Doc {
        history: &[
            ("2.8.12", "Added new filter format."),
            ("2.8.12", "`ID` option."),
            ("3.2.0", "Added `master` type in for `TYPE` option."),
            (
                "5.0.0",
                "Replaced `slave` `TYPE` with `replica`. `slave` still supported for backward \
                compatibility.",
            ),
            ("6.2.0", "`LADDR` option."),
        ],
        ..doc(
            "2.4.0",
            "O(N) where N is the number of client connections",
            "filter(ip:port:string!2.8.12|new-format([ID=client-id:integer@2.8.12]|\
            [TYPE=normal_master_slave_pubsub(NORMAL|MASTER@3.2.0|SLAVE|REPLICA@5.0.0|\
            PUBSUB)@2.8.12]|[USER=username:string]|[ADDR=ip:port:string]|\
            [LADDR=ip:port:string@6.2.0]|[SKIPME=yes/no:string])...)",
            "Kill the connection of a client",
        )
    },
    ..command(Group::Connection, "kill", -3, client_kill)
};

const CLIENT_LIST: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    tips: &["nondeterministic_output"],
    doc: Doc {
        history: &[
            ("2.8.12", "Added unique client `id` field."),
            ("5.0.0", "Added optional `TYPE` filter."),
            ("6.0.0", "Added `user` field."),
            (
                "6.2.0",
                "Added `argv-mem`, `tot-mem`, `laddr` and `redir` fields and the optional `ID` \
                filter.",
            ),
            ("7.0.0", "Added `resp`, `multi-mem`, `rbs` and `rbp` fields."),
            ("7.0.3", "Added `ssub` field."),
        ],
        ..doc(
            "2.4.0",
            "O(N) where N is the number of client connections",
            "[TYPE=normal_master_replica_pubsub(NORMAL|MASTER|REPLICA|PUBSUB)@5.0.0] \
            [ID=id(client-id:integer...)@6.2.0]",
            "Get the list of client connections",
        )
    },
    ..command(Group::Connection, "list", -2, client_list)
};

const CLIENT_NO_EVICT: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: doc(
        "7.0.0",
        "O(1)",
        "enabled(ON|OFF)",
        "Set client eviction mode for the current connection",
    ),
    ..command(Group::Connection, "no-evict", 3, client_no_evict)
};

const CLIENT_NO_TOUCH: Command = Command {
    flags: NOSCRIPT | LOADING | STALE,
    doc: doc(
        "7.2.0",
        "O(1)",
        "enabled(ON|OFF)",
        "Controls whether commands sent by the client affect the LRU/LFU of accessed keys",
    ),
    ..command(Group::Connection, "no-touch", 3, client_no_touch)
};

const CLIENT_PAUSE: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: Doc {
        history: &[("6.2.0", "`CLIENT PAUSE WRITE` mode added along with the `mode` option.")],
        ..doc(
            "2.9.50",
            "O(1)",
            "timeout:integer [mode(WRITE|ALL)@6.2.0]",
            "Stop processing commands from clients for some time",
        )
    },
    ..command(Group::Connection, "pause", -3, client_pause)
};

const CLIENT_REPLY: Command = Command {
    flags: NOSCRIPT | LOADING | STALE,
    doc: doc(
        "3.2.0",
        "O(1)",
        "on_off_skip(ON|OFF|SKIP)",
        "Instruct the server whether to reply to commands",
    ),
    ..command(Group::Connection, "reply", 3, client_reply)
};

const CLIENT_SETINFO: Command = Command {
    flags: NOSCRIPT | LOADING | STALE,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    doc: doc(
        "7.2.0",
        "O(1)",
        "attr(LIB-NAME=libname:string|LIB-VER=libver:string)",
        "Sets information specific to the client or connection",
    ),
    ..command(Group::Connection, "setinfo", 4, client_setinfo)
};

const CLIENT_SETNAME: Command = Command {
    flags: NOSCRIPT | LOADING | STALE,
    doc: doc("2.6.9", "O(1)", "connection-name:string", "Set the current connection name"),
    ..command(Group::Connection, "setname", 3, client_setname)
};

const CLIENT_UNBLOCK: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: doc(
        "5.0.0",
        "O(log N) where N is the number of client connections",
        "client-id:integer [timeout_error(TIMEOUT|ERROR)]",
        "Unblock a client blocked in a blocking command from a different connection",
    ),
    ..command(Group::Connection, "unblock", -3, client_unblock)
};

const CLIENT_UNPAUSE: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE,
    doc: doc(
        "6.2.0",
        "O(N) Where N is the number of paused clients",
        "",
        "Resume processing of clients that were paused",
    ),
    ..command(Group::Connection, "unpause", 2, client_unpause)
};

fn client_id(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.reply.int(ctx.client.id as i64);
    Ok(())
}

fn client_getname(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    match &*ctx.client.name {
        [] => ctx.reply.null(),
        name => ctx.reply.bulk(name),
    }
    Ok(())
}

fn client_setname(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    ctx.client.set_name(args.at(2))?;
    ctx.engine.clients.recount(ctx.client);
    ctx.reply.ok();
    Ok(())
}

fn client_setinfo(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let (attribute, value) = (args.at(2), args.at(3));
    let is_name = attribute.eq_ignore_ascii_case(b"lib-name");
    if !is_name && !attribute.eq_ignore_ascii_case(b"lib-ver") {
        return Err(CmdError::owned(&[b"ERR Unrecognized option '", attribute, b"'"]));
    }
    if !is_printable_word(value) {
        return Err(CmdError::owned(&[
            b"ERR ",
            attribute,
            b" cannot contain spaces, newlines or special characters.",
        ]));
    }
    let library = ctx.client.library.get_or_insert_with(Box::<Library>::default);
    let place = if is_name { &mut library.name } else { &mut library.version };
    *place = value.into();
    ctx.engine.clients.recount(ctx.client);
    ctx.reply.ok();
    Ok(())
}

/// ON or OFF.
fn switch(word: &[u8]) -> Result<bool, CmdError> {
    if word.eq_ignore_ascii_case(b"on") {
        Ok(true)
    } else if word.eq_ignore_ascii_case(b"off") {
        Ok(false)
    } else {
        Err(CmdError::Syntax)
    }
}

fn client_no_evict(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    ctx.client.is_no_evict = switch(args.at(2))?;
    ctx.engine.clients.recount(ctx.client);
    ctx.reply.ok();
    Ok(())
}

fn client_no_touch(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    ctx.client.is_no_touch = switch(args.at(2))?;
    ctx.reply.ok();
    Ok(())
}

/// OFF and SKIP have no reply of their own; SKIP while replies are off changes nothing.
fn client_reply(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let mode = args.at(2);
    if mode.eq_ignore_ascii_case(b"on") {
        ctx.client.replies = Replies::On;
        ctx.reply.ok();
    } else if mode.eq_ignore_ascii_case(b"off") {
        ctx.client.replies = Replies::Off;
    } else if mode.eq_ignore_ascii_case(b"skip") {
        if ctx.client.replies != Replies::Off {
            ctx.client.replies = Replies::SkipNext;
        }
    } else {
        return Err(CmdError::Syntax);
    }
    Ok(())
}

/// A pause that is on can be made longer or stricter, never shorter or milder.
fn client_pause(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let is_writes_only = match args.len() {
        3 => false,
        4 if args.at(3).eq_ignore_ascii_case(b"write") => true,
        4 if args.at(3).eq_ignore_ascii_case(b"all") => false,
        4 => return Err(CmdError::Text("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(CmdError::subcommand_syntax("client", args.at(1))),
    };
    let timeout_ms = number::parse_i64(args.at(2))
        .ok_or(CmdError::Text("ERR timeout is not an integer or out of range"))?;
    if timeout_ms < 0 {
        return Err(CmdError::Text("ERR timeout is negative"));
    }
    let mut pause = Pause { until_ms: ctx.now.saturating_add(timeout_ms), is_writes_only };
    if let Some(earlier) = ctx.engine.pause.filter(|earlier| earlier.until_ms > ctx.now) {
        pause.until_ms = pause.until_ms.max(earlier.until_ms);
        pause.is_writes_only &= earlier.is_writes_only;
    }
    ctx.engine.set_pause((pause.until_ms > ctx.now).then_some(pause));
    keep_expired(ctx);
    ctx.reply.ok();
    Ok(())
}

fn client_unpause(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.engine.set_pause(None);
    keep_expired(ctx);
    ctx.reply.ok();
    Ok(())
}

/// While clients are paused the data stays as it is: keys past their time are not deleted.
fn keep_expired(ctx: &mut Ctx<'_>) {
    let is_paused = ctx.engine.pause.is_some();
    ctx.dbs().for_each(|db| db.keeps_expired = is_paused);
}

/// Ends the wait for keys of another client. One held back by CLIENT PAUSE or by a job is none that could be told a
/// timeout: 0, as Redis answers for a client that is not blocked.
fn client_unblock(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let end = match args.len() {
        3 => WaitEnd::Unblocked,
        4 if args.at(3).eq_ignore_ascii_case(b"timeout") => WaitEnd::Unblocked,
        4 if args.at(3).eq_ignore_ascii_case(b"error") => {
            WaitEnd::Error("UNBLOCKED client unblocked via CLIENT UNBLOCK")
        }
        4 => return Err(CmdError::Text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        _ => return Err(CmdError::subcommand_syntax("client", args.at(1))),
    };
    let id = number::parse_i64(args.at(2)).ok_or(CmdError::NotInteger)?;
    let slot = ctx.engine.clients.slot_of(id as u64);
    let is_ended = slot.is_some_and(|slot| ctx.engine.end_wait(slot, end));
    ctx.reply.int(is_ended.into());
    Ok(())
}

fn client_help(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    help::reply(ctx, args, HELP)
}

/// DIFFERS: with the subcommands of Redis 7.2.
const HELP: &[&str] = &[
    "CACHING (YES|NO)",
    "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
    "GETREDIR",
    "    Return the client ID we are redirecting to when tracking is enabled.",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made from the specified address",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made to specified local address",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Kill connections by type.",
    "    * USER <username>",
    "      Kill connections authenticated by <username>.",
    "    * SKIPME (YES|NO)",
    "      Skip killing current connection (default: yes).",
    "LIST [options ...]",
    "    Return information about client connections. Options:",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Return clients of specified type.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "SETINFO <option> <value>",
    "    Set client meta attr. Options are:",
    "    * LIB-NAME: the client lib name.",
    "    * LIB-VER: the client lib version.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Control server assisted client side caching.",
    "TRACKINGINFO",
    "    Report tracking status for the current connection.",
    "NO-EVICT (ON|OFF)",
    "    Protect current client connection from eviction.",
    "NO-TOUCH (ON|OFF)",
    "    Will not touch LRU/LFU stats when this mode is on.",
];
