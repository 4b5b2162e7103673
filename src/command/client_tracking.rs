//! CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO, and what follows each command of a tracked client: the keys it
//! has read are remembered.
//!
//! Which keys those are the command's declaration says, whether or not they exist. Of a script that reads anything they
//! are the keys it has declared, as in Redis.
use crate::command::keys::ranges_of;
use crate::command::spec::flag::{LOADING, NOSCRIPT, PUBSUB, READONLY, STALE};
use crate::command::spec::{Command, Group, command, doc};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::engine::Shared;
use crate::engine::error::CmdError;
use crate::engine::jobs::KeyRange;
use crate::engine::session::{Nesting, Session};
use crate::engine::table::CommandId;
use crate::engine::tracking::mode::{Mode, Request};
use crate::proto::args::Args;

pub(super) const CLIENT_CACHING: Command = Command {
    flags: NOSCRIPT | LOADING | STALE,
    doc: doc(
        "6.0.0",
        "O(1)",
        "mode(YES|NO)",
        "Instruct the server about tracking or not keys in the next request",
    ),
    ..command(Group::Connection, "caching", 3, client_caching)
};

pub(super) const CLIENT_GETREDIR: Command = Command {
    flags: NOSCRIPT | LOADING | STALE,
    doc: doc("6.0.0", "O(1)", "", "Get tracking notifications redirection client ID if any"),
    ..command(Group::Connection, "getredir", 2, client_getredir)
};

pub(super) const CLIENT_TRACKING: Command = Command {
    flags: NOSCRIPT | LOADING | STALE,
    doc: doc(
        "6.0.0",
        "O(1). Some options may introduce additional complexity.",
        "status(ON|OFF) [REDIRECT=client-id:integer] [PREFIX=prefix:string...+] [BCAST] \
        [OPTIN] [OPTOUT] [NOLOOP]",
        "Enable or disable server assisted client side caching support",
    ),
    ..command(Group::Connection, "tracking", -3, client_tracking)
};

pub(super) const CLIENT_TRACKINGINFO: Command = Command {
    flags: NOSCRIPT | LOADING | STALE,
    doc: doc(
        "6.2.0",
        "O(1)",
        "",
        "Return information about server assisted client side caching for the current connection",
    ),
    ..command(Group::Connection, "trackinginfo", 2, client_trackinginfo)
};

fn client_tracking(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let clients = &ctx.engine.clients;
    let request = Request::parse(args, |id| clients.slot_of(id).is_some())?;
    request.check(ctx.client.tracking.as_deref())?;
    if request.is_on {
        ctx.engine.begin_tracking(ctx.client, &request);
        // From here on databases note which keys expire.
        ctx.dbs().for_each(|db| db.record_expired = true);
    } else {
        ctx.engine.end_tracking(ctx.client);
    }
    ctx.reply.ok();
    Ok(())
}

fn client_caching(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let Some(tracking) = &mut ctx.client.tracking else {
        return Err(CmdError::Text(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN \
             or OPTOUT mode enabled",
        ));
    };
    let word = args.at(2);
    let (needed, error) = if word.eq_ignore_ascii_case(b"yes") {
        let error = "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.";
        (Mode::OptIn, error)
    } else if word.eq_ignore_ascii_case(b"no") {
        let error = "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.";
        (Mode::OptOut, error)
    } else {
        return Err(CmdError::Syntax);
    };
    if tracking.mode != needed {
        return Err(CmdError::Text(error));
    }
    tracking.is_caching = true;
    ctx.reply.ok();
    Ok(())
}

fn client_getredir(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let redirect = redirect_of(ctx.client);
    ctx.reply.int(redirect);
    Ok(())
}

/// The id it redirects to; 0: none, -1: it is not tracked.
fn redirect_of(session: &Session) -> i64 {
    session.tracking.as_ref().map_or(-1, |tracking| tracking.redirect as i64)
}

fn client_trackinginfo(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let Ctx { reply, client, .. } = ctx;
    let mut flags = Vec::new();
    match &client.tracking {
        None => flags.push("off"),
        Some(tracking) => {
            flags.push("on");
            let (mode, caching) = match tracking.mode {
                Mode::All => (None, None),
                Mode::Broadcast => (Some("bcast"), None),
                Mode::OptIn => (Some("optin"), Some("caching-yes")),
                Mode::OptOut => (Some("optout"), Some("caching-no")),
            };
            flags.extend(mode);
            flags.extend(caching.filter(|_| tracking.is_caching));
            flags.extend(tracking.is_noloop.then_some("noloop"));
            flags.extend(tracking.is_broken.then_some("broken_redirect"));
        }
    }
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.int(redirect_of(client));
    reply.bulk(b"prefixes");
    let prefixes = client.tracking.as_ref().map(|tracking| &tracking.prefixes);
    reply.array(prefixes.map_or(0, |prefixes| prefixes.len()));
    prefixes.into_iter().flatten().for_each(|prefix| reply.bulk(prefix));
    Ok(())
}

/// After a command of a tracked client: what it has read is remembered, and CLIENT CACHING has had its effect. O(keys).
#[cold]
pub(super) fn after_command(
    shared: &mut Shared,
    session: &mut Session,
    (id, command, is_remembered): (CommandId, &Command, bool),
    args: Args<'_>,
) {
    let Some(tracking) = session.tracking.as_ref() else { return };
    if !is_remembered && remembers(session, command) {
        let reader = tracking.reader;
        if session.nesting == Nesting::Script {
            let keys = tracking.script_keys.iter().map(|key| &**key);
            shared.remember_reads(reader, keys);
        } else {
            let ranges = ranges_of(command, args);
            shared.remember_reads(reader, keys_of(&ranges, args));
        }
    }
    if session.nesting == Nesting::None {
        let is_client = shared.table.full_name(id).starts_with("client|");
        end_caching(session, is_client);
    }
}

/// Whether what a client reads by this command is remembered.
pub(super) fn remembers(session: &Session, command: &Command) -> bool {
    let is_reader = command.flags & READONLY != 0
        && command.flags & PUBSUB == 0
        && command.group != Group::Scripting;
    is_reader && session.tracking.as_ref().is_some_and(|tracking| tracking.is_remembering())
}

/// Remembers up to `count` of the keys that a job has read and still holds, from one on; how many there were.
pub(super) fn remember_some(
    shared: &mut Shared,
    session: &Session,
    command: &Command,
    args: Args<'_>,
    (from, count): (usize, usize),
) -> usize {
    let Some(tracking) = session.tracking.as_ref() else { return 0 };
    let mut skipped = from;
    let mut ranges = ranges_of(command, args);
    let mut left = count;
    for range in &mut ranges {
        let passed = skipped.min(range.count);
        skipped -= passed;
        range.first += passed * range.step;
        range.count = (range.count - passed).min(left);
        left -= range.count;
    }
    shared.remember_reads(tracking.reader, keys_of(&ranges, args));
    count - left
}

/// CLIENT CACHING is for one command, or one transaction, which CLIENT and its like do not count as.
pub(super) fn end_caching(session: &mut Session, is_client: bool) {
    let is_in_transaction = session.transaction.is_some();
    if let Some(tracking) = &mut session.tracking
        && !is_client
        && !is_in_transaction
    {
        tracking.is_caching = false;
        tracking.script_keys.clear();
    }
}

/// A script of a tracked client begins: should it read anything, these are the keys that are remembered.
#[cold]
pub(super) fn note_script(session: &mut Session, command: &Command, args: Args<'_>) {
    if let Some(tracking) = &mut session.tracking
        && command.group == Group::Scripting
    {
        let ranges = ranges_of(command, args);
        tracking.script_keys = keys_of(&ranges, args).map(Into::into).collect();
    }
}

fn keys_of<'a>(ranges: &'a [KeyRange], args: Args<'a>) -> impl Iterator<Item = &'a [u8]> + 'a {
    ranges.iter().flat_map(move |range| (0..range.count).map(move |nth| args.at(range.at(nth))))
}
