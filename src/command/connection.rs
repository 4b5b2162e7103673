//! The connection itself: who it is, which protocol it speaks, and its end.
//!
//! Who may come in, and as whom, is asked of `engine::acl`.
use crate::base::number;
use crate::command::spec::flag::{ALLOW_BUSY, FAST, LOADING, NO_AUTH, NOSCRIPT, STALE};
use crate::command::spec::{Command, Doc, Group, command, doc};
use crate::engine::acl::users::{DEFAULT, WrongPassword};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::session::{Replies, restraint};
use crate::proto::args::Args;
use crate::proto::reply::Resp;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[PING, ECHO, HELLO, AUTH, QUIT, RESET];

const PING: Command = Command {
    flags: FAST,
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    doc: doc("1.0.0", "O(1)", "[message:string]", "Ping the server"),
    ..command(Group::Connection, "ping", -1, ping)
};

const ECHO: Command = Command {
    flags: LOADING | STALE | FAST,
    doc: doc("1.0.0", "O(1)", "message:string", "Echo the given string"),
    ..command(Group::Connection, "echo", 2, echo)
};

const HELLO: Command = Command {
    flags: NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY,
    doc: Doc {
        history: &[(
            "6.2.0",
            "`protover` made optional; when called without arguments the command reports the \
                current connection's context.",
        )],
        ..doc(
            "6.0.0",
            "O(1)",
            "[arguments(protover:integer [AUTH=username_password(username:string \
            password:string)] [SETNAME=clientname:string])]",
            "Handshake with Redis",
        )
    },
    ..command(Group::Connection, "hello", -1, hello)
};

const AUTH: Command = Command {
    flags: NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY,
    doc: Doc {
        history: &[("6.0.0", "Added ACL style (username and password).")],
        ..doc(
            "1.0.0",
            "O(N) where N is the number of passwords defined for the user",
            "[username:string@6.0.0] password:string",
            "Authenticate to the server",
        )
    },
    ..command(Group::Connection, "auth", -2, auth)
};

const QUIT: Command = Command {
    flags: ALLOW_BUSY | NOSCRIPT | LOADING | STALE | FAST | NO_AUTH,
    doc: doc("1.0.0", "O(1)", "", "Close the connection"),
    ..command(Group::Connection, "quit", -1, quit)
};

const RESET: Command = Command {
    flags: NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY,
    doc: doc("6.2.0", "O(1)", "", "Reset the connection"),
    ..command(Group::Connection, "reset", 1, reset)
};

/// Version of Redis whose behaviour clients may expect.
const REDIS_VERSION: &str = crate::engine::info::REDIS_VERSION;

const WRONG_PASSWORD: CmdError =
    CmdError::Text("WRONGPASS invalid username-password pair or user is disabled.");

fn ping(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    match args.len() {
        ..=2 if ctx.client.is(restraint::SUBSCRIBED) => {
            ctx.reply.array(2);
            ctx.reply.bulk(b"pong");
            echo_argument(ctx, args);
        }
        1 => ctx.reply.simple("PONG"),
        2 => echo_argument(ctx, args),
        _ => return Err(CmdError::Arity("ping")),
    }
    Ok(())
}

fn echo(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    echo_argument(ctx, args);
    Ok(())
}

/// The first argument, by reference where it was received into a block.
fn echo_argument(ctx: &mut Ctx<'_>, args: Args<'_>) {
    match args.block(1) {
        Some(block) => ctx.reply.bulk_block(block),
        None => ctx.reply.bulk(args.at(1)),
    }
}

fn hello(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let resp = match args.len() {
        1 => None,
        _ => Some(protocol_version(args.at(1))?),
    };
    hello_options(ctx, args)?;
    if !ctx.client.is_authenticated() {
        return Err(CmdError::Text(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO AUTH <user> <pass> option can be used to authenticate the client and select \
             the RESP protocol version at the same time",
        ));
    }
    if let Some(resp) = resp {
        ctx.client.set_resp(resp);
        ctx.reply.set_resp(resp);
    }
    let id = ctx.client.id as i64;
    let protocol = match ctx.client.resp {
        Resp::V2 => 2,
        Resp::V3 => 3,
    };
    let reply = &mut ctx.reply;
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.int(protocol);
    reply.bulk(b"id");
    reply.int(id);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

fn protocol_version(text: &[u8]) -> Result<Resp, CmdError> {
    match number::parse_i64(text) {
        Some(2) => Ok(Resp::V2),
        Some(3) => Ok(Resp::V3),
        Some(_) => Err(CmdError::Text("NOPROTO unsupported protocol version")),
        None => Err(CmdError::Text("ERR Protocol version is not an integer or out of range")),
    }
}

/// AUTH and SETNAME take effect one after the other, as in Redis: a wrong option undoes none before it.
fn hello_options(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let mut at = 2;
    while at < args.len() {
        let word = args.at(at);
        let following = args.len() - 1 - at;
        if word.eq_ignore_ascii_case(b"auth") && following >= 2 {
            authenticate(ctx, args.at(0), args.at(at + 1), args.at(at + 2))?;
            at += 3;
        } else if word.eq_ignore_ascii_case(b"setname") && following >= 1 {
            ctx.client.set_name(args.at(at + 1))?;
            at += 2;
        } else {
            return Err(CmdError::owned(&[b"ERR Syntax error in HELLO option '", word, b"'"]));
        }
    }
    Ok(())
}

fn auth(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    match args.len() {
        2 if ctx.engine.acl.default_user().needs_no_password => {
            return Err(CmdError::Text(
                "ERR AUTH <password> called without any password configured for the default \
                 user. Are you sure your configuration is correct?",
            ));
        }
        2 => authenticate(ctx, args.at(0), DEFAULT, args.at(1))?,
        3 => authenticate(ctx, args.at(0), args.at(1), args.at(2))?,
        _ => return Err(CmdError::Syntax),
    }
    ctx.reply.ok();
    Ok(())
}

/// A client stays who it was where the password is wrong. `command` is what it sent, for ACL LOG.
fn authenticate(ctx: &mut Ctx<'_>, command: &[u8], user: &[u8], password: &[u8]) -> CmdResult {
    match ctx.engine.authenticate(ctx.client, command, user, password) {
        Ok(()) => Ok(()),
        Err(WrongPassword) => Err(WRONG_PASSWORD),
    }
}

fn quit(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.client.closes_after_reply = true;
    ctx.reply.ok();
    Ok(())
}

/// Everything as it was when the client came, but for its id, its age, CLIENT NO-EVICT and CLIENT SETINFO.
fn reset(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    if ctx.client.restrain(restraint::MONITOR, false)
        && let Some(slot) = ctx.engine.clients.slot_of(ctx.client.id)
    {
        ctx.engine.monitors.retain(|monitor| *monitor != slot);
    }
    if let Some(transaction) = ctx.client.end_transaction() {
        ctx.engine.graveyard.bury_garbage(Box::new(transaction.into_commands()));
    }
    ctx.engine.unwatch(ctx.client);
    if ctx.client.subscriptions.is_any()
        && let Some(slot) = ctx.slot()
    {
        ctx.engine.forget_listener(slot);
        ctx.listening_changed();
    }
    ctx.engine.end_tracking(ctx.client);
    let client = &mut *ctx.client;
    client.db = 0;
    client.set_resp(Resp::V2);
    client.name = Box::default();
    client.is_no_touch = false;
    ctx.engine.admit(client);
    // The reply to RESET itself stays away after CLIENT REPLY SKIP.
    if client.replies != Replies::Skip {
        client.replies = Replies::On;
    }
    ctx.reply.set_resp(Resp::V2);
    ctx.reply.simple("RESET");
    Ok(())
}
