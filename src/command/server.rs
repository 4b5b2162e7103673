//! The server as a whole: INFO, TIME, LASTSAVE, ROLE, WAIT, SHUTDOWN. LOLWUT's pictures are in `lolwut`.
use crate::base::number::parse_i64;
use crate::command::lolwut::lolwut;
use crate::command::spec::flag::{
    ADMIN, ALLOW_BUSY, FAST, LOADING, NO_MULTI, NOSCRIPT, READONLY, STALE,
};
use crate::command::spec::{Command, Doc, Group, category, command, doc};
use crate::engine::blocking::{Wait, millis_until};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::info::{self, Sections};
use crate::engine::outbox::Shutdown;
use crate::proto::args::Args;
use crate::store::Kind;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[INFO, TIME, LASTSAVE, ROLE, WAIT, LOLWUT, SHUTDOWN];

const INFO: Command = Command {
    flags: LOADING | STALE,
    categories: category::DANGEROUS,
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    doc: Doc {
        history: &[("7.0.0", "Added support for taking multiple section arguments.")],
        ..doc(
            "1.0.0",
            "O(1)",
            "[section:string...]",
            "Get information and statistics about the server",
        )
    },
    ..command(Group::Server, "info", -1, info)
};

const TIME: Command = Command {
    flags: LOADING | STALE | FAST,
    tips: &["nondeterministic_output"],
    doc: doc("2.6.0", "O(1)", "", "Return the current server time"),
    ..command(Group::Server, "time", 1, time)
};

const ROLE: Command = Command {
    flags: NOSCRIPT | LOADING | STALE | FAST,
    categories: category::ADMIN | category::DANGEROUS,
    doc: doc("2.8.12", "O(1)", "", "Return the role of the instance in the context of replication"),
    ..command(Group::Server, "role", 1, role)
};

const LASTSAVE: Command = Command {
    flags: LOADING | STALE | FAST,
    categories: category::ADMIN | category::DANGEROUS,
    tips: &["nondeterministic_output"],
    doc: doc("1.0.0", "O(1)", "", "Get the UNIX time stamp of the last successful save to disk"),
    ..command(Group::Server, "lastsave", 1, last_save)
};

const WAIT: Command = Command {
    flags: NOSCRIPT,
    categories: category::CONNECTION,
    tips: &["request_policy:all_shards", "response_policy:agg_min"],
    doc: doc(
        "3.0.0",
        "O(1)",
        "numreplicas:integer timeout:integer",
        "Wait for the synchronous replication of all the write commands sent in the context of the \
         current connection",
    ),
    ..command(Group::Generic, "wait", 3, wait)
};

const LOLWUT: Command = Command {
    flags: READONLY | FAST,
    doc: doc(
        "5.0.0",
        "",
        "[VERSION=version:integer]",
        "Display some computer art and the Redis version",
    ),
    ..command(Group::Server, "lolwut", -1, lolwut)
};

const SHUTDOWN: Command = Command {
    flags: ADMIN | NOSCRIPT | LOADING | STALE | NO_MULTI | ALLOW_BUSY,
    doc: Doc {
        history: &[("7.0.0", "Added the `NOW`, `FORCE` and `ABORT` modifiers.")],
        ..doc(
            "1.0.0",
            "O(N) when saving, where N is the total number of keys in all databases when saving \
            data, otherwise O(1)",
            "[nosave_save(NOSAVE|SAVE)] [NOW@7.0.0] [FORCE@7.0.0] [ABORT@7.0.0]",
            "Synchronously save the dataset to disk and then shut down the server",
        )
    },
    ..command(Group::Server, "shutdown", -1, shutdown)
};

/// A master that has written nothing for replicas, of which there are none before replication exists.
fn role(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.reply.array(3);
    ctx.reply.bulk(b"master");
    ctx.reply.int(0);
    ctx.reply.array(0);
    Ok(())
}

/// Nothing has been saved since the start, which Redis then calls the last save.
fn last_save(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    let seconds = ctx.engine.started_ms / 1000;
    ctx.reply.int(seconds);
    Ok(())
}

/// No replica ever says that it has something, so who wants to hear of any waits until the time is over.
fn wait(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let wanted = parse_i64(args.at(1)).ok_or(CmdError::NotInteger)?;
    let until = millis_until(ctx.now, args.at(2))?;
    if wanted <= 0 {
        ctx.reply.int(0);
        return Ok(());
    }
    ctx.block_on_keys(args, 0..0, Wait::new(Kind::String, until).or_zero())
}

fn info(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let text = info::text(ctx, Sections::named(args.from(1)));
    ctx.reply.verbatim("txt", &text);
    Ok(())
}

/// The time now, not that of the turn's beginning: who asks for microseconds wants them.
fn time(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    ctx.engine.clock.refresh();
    let unix_us = ctx.engine.clock.unix_us();
    ctx.reply.array(2);
    ctx.reply.bulk_int(unix_us / 1_000_000);
    ctx.reply.bulk_int(unix_us % 1_000_000);
    Ok(())
}

/// What SHUTDOWN was told.
#[derive(Default)]
struct ShutdownOptions {
    is_nosave: bool,
    is_save: bool,
    is_now: bool,
    is_forced: bool,
    is_abort: bool,
}

impl ShutdownOptions {
    fn parse(args: Args<'_>) -> Result<ShutdownOptions, CmdError> {
        let mut options = ShutdownOptions::default();
        for word in args.from(1) {
            match &*word.to_ascii_lowercase() {
                b"nosave" => options.is_nosave = true,
                b"save" => options.is_save = true,
                b"now" => options.is_now = true,
                b"force" => options.is_forced = true,
                b"abort" => options.is_abort = true,
                _ => return Err(CmdError::Syntax),
            }
        }
        let has_others =
            options.is_nosave || options.is_save || options.is_now || options.is_forced;
        if (options.is_abort && has_others) || (options.is_nosave && options.is_save) {
            return Err(CmdError::Syntax);
        }
        Ok(options)
    }
}

/// There is no reply: the connection ends with the server.
///
/// SAVE asks for the data to be on disk before the end. That cannot be done yet, so it is refused as Redis
/// refuses where saving fails; FORCE leaves all the same. NOW has no replicas not to wait for.
fn shutdown(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let options = ShutdownOptions::parse(args)?;
    if options.is_abort {
        return match ctx.engine.outbox.scheduled_shutdown.take() {
            Some(_) => {
                log::info!("Shutdown manually aborted.");
                ctx.reply.ok();
                Ok(())
            }
            None => Err(CmdError::Text("ERR No shutdown in progress.")),
        };
    }
    if !options.is_nosave
        && let Some(error) = ctx.engine.busy.as_ref().and_then(|busy| busy.error)
    {
        return Err(CmdError::Text(error));
    }
    if options.is_save && !options.is_forced {
        log::warn!("SHUTDOWN SAVE refused: saving is not available yet");
        return Err(CmdError::Text("ERR Errors trying to SHUTDOWN. Check logs."));
    }
    log::warn!("User requested shutdown...");
    ctx.engine.outbox.shutdown = Some(Shutdown { is_forced: options.is_forced });
    Ok(())
}
