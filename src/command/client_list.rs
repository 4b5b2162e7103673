//! Clients seen from outside: CLIENT LIST, CLIENT INFO and CLIENT KILL.
//!
//! One line per client (`engine::client_line`). Cost: O(clients).
use crate::base::number;
use crate::engine::client_line::line;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::engine::Shared;
use crate::engine::error::CmdError;
use crate::engine::session::Session;
use crate::proto::args::Args;

/// What kind of client TYPE asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Normal,
    Master,
    Replica,
    PubSub,
}

impl Type {
    fn parse(word: &[u8]) -> Result<Type, CmdError> {
        let known: [(&[u8], Type); 5] = [
            (b"normal", Type::Normal),
            (b"slave", Type::Replica),
            (b"replica", Type::Replica),
            (b"pubsub", Type::PubSub),
            (b"master", Type::Master),
        ];
        match known.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) {
            Some((_, kind)) => Ok(*kind),
            None => Err(CmdError::owned(&[b"ERR Unknown client type '", word, b"'"])),
        }
    }

    /// Replication does not exist yet; a monitoring client is a normal one.
    fn of(session: &Session) -> Type {
        if session.subscriptions.is_any() { Type::PubSub } else { Type::Normal }
    }
}

pub(super) fn client_info(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let mut text = String::new();
    own_line(ctx, args, &mut text);
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

pub(super) fn client_list(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let mut text = String::new();
    let option = args.at(2);
    if args.len() == 4 && option.eq_ignore_ascii_case(b"type") {
        let wanted = Type::parse(args.at(3))?;
        all_lines(ctx, args, |session| Type::of(session) == wanted, &mut text);
    } else if args.len() > 3 && option.eq_ignore_ascii_case(b"id") {
        for id in args.from(3) {
            let id = number::parse_i64(id).ok_or(CmdError::Text("ERR Invalid client ID"))?;
            line_of(ctx, args, id as u64, &mut text);
        }
    } else if args.len() == 2 {
        all_lines(ctx, args, |_| true, &mut text);
    } else {
        return Err(CmdError::Syntax);
    }
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// All clients in the order of their arrival. The one whose command runs is out of the registry, and goes
/// in between by its id.
fn all_lines(
    ctx: &Ctx<'_>,
    args: Args<'_>,
    is_wanted: impl Fn(&Session) -> bool,
    text: &mut String,
) {
    let mut is_own_due = is_wanted(ctx.client);
    for (_, session) in ctx.engine.clients.iter() {
        if is_own_due && session.id > ctx.client.id {
            own_line(ctx, args, text);
            is_own_due = false;
        }
        if !session.is_killed && is_wanted(session) {
            line(session, session.io.args_bytes, ctx.engine, ctx.now, text);
        }
    }
    if is_own_due {
        own_line(ctx, args, text);
    }
}

/// The client with this id, if there is one.
fn line_of(ctx: &Ctx<'_>, args: Args<'_>, id: u64, text: &mut String) {
    if id == ctx.client.id {
        return own_line(ctx, args, text);
    }
    let slot = ctx.engine.clients.slot_of(id);
    let session = slot.and_then(|slot| ctx.engine.clients.get(slot));
    if let Some(session) = session.filter(|session| !session.is_killed) {
        line(session, session.io.args_bytes, ctx.engine, ctx.now, text);
    }
}

/// The client whose command runs: that command is still in its query buffer.
fn own_line(ctx: &Ctx<'_>, args: Args<'_>, text: &mut String) {
    let mut own = ctx.client.clone();
    own.io.query_bytes += args.wire_bytes();
    line(&own, args.bytes_total(), ctx.engine, ctx.now, text);
}

/// Whom CLIENT KILL means; what is `None` is not looked at.
struct Filter<'b> {
    address: Option<&'b [u8]>,
    local_address: Option<&'b [u8]>,
    kind: Option<Type>,
    id: Option<u64>,
    user: Option<&'b [u8]>,
    skips_self: bool,
}

impl Filter<'_> {
    fn matches(&self, session: &Session) -> bool {
        self.address.is_none_or(|wanted| session.address.peer().as_bytes() == wanted)
            && self.local_address.is_none_or(|wanted| session.address.local().as_bytes() == wanted)
            && self.kind.is_none_or(|wanted| Type::of(session) == wanted)
            && self.id.is_none_or(|wanted| session.id == wanted)
            && self.user.is_none_or(|wanted| session.user_name() == wanted)
    }
}

fn kill_filter<'b>(shared: &Shared, args: Args<'b>) -> Result<Filter<'b>, CmdError> {
    let mut filter = Filter {
        address: None,
        local_address: None,
        kind: None,
        id: None,
        user: None,
        skips_self: true,
    };
    if args.len() == 3 {
        // The form from before 2.8.12, with which one may end oneself.
        return Ok(Filter { address: Some(args.at(2)), skips_self: false, ..filter });
    }
    let mut at = 2;
    while at < args.len() {
        let word = args.at(at).to_ascii_lowercase();
        if at + 1 == args.len() {
            return Err(CmdError::Syntax);
        }
        let value = args.at(at + 1);
        match &*word {
            b"id" => filter.id = Some(kill_id(value)?),
            b"type" => filter.kind = Some(Type::parse(value)?),
            b"addr" => filter.address = Some(value),
            b"laddr" => filter.local_address = Some(value),
            b"user" if shared.acl.get(value).is_some() => filter.user = Some(value),
            b"user" => return Err(CmdError::owned(&[b"ERR No such user '", value, b"'"])),
            b"skipme" if value.eq_ignore_ascii_case(b"yes") => filter.skips_self = true,
            b"skipme" if value.eq_ignore_ascii_case(b"no") => filter.skips_self = false,
            _ => return Err(CmdError::Syntax),
        }
        at += 2;
    }
    Ok(filter)
}

fn kill_id(text: &[u8]) -> Result<u64, CmdError> {
    match number::parse_i64(text) {
        Some(id) if id > 0 => Ok(id as u64),
        _ => Err(CmdError::Text("ERR client-id should be greater than 0")),
    }
}

pub(super) fn client_kill(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let filter = kill_filter(ctx.engine, args)?;
    let slots: Vec<usize> = ctx
        .engine
        .clients
        .iter()
        .filter(|(_, session)| filter.matches(session))
        .map(|(slot, _)| slot)
        .collect();
    let mut killed = slots.into_iter().filter(|&slot| ctx.engine.kill_client(slot)).count();
    if !filter.skips_self && filter.matches(ctx.client) {
        killed += 1;
        // Its own reply still leaves.
        ctx.client.closes_after_reply = true;
    }
    match args.len() {
        3 if killed == 0 => return Err(CmdError::Text("ERR No such client")),
        3 => ctx.reply.ok(),
        _ => ctx.reply.count(killed),
    }
    Ok(())
}
