//! Clients seen from outside: CLIENT LIST, CLIENT INFO and CLIENT KILL.
//!
//! One line per client (`engine::client_line`). Cost: O(clients).
use crate::base::number;
use crate::engine::client_line::line;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::engine::Shared;
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
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

/// Clients told of between two looks at the clock.
const CLIENTS_PER_PIECE: usize = 8;

pub(super) fn client_list(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let option = args.at(2);
    let named = if args.len() == 4 && option.eq_ignore_ascii_case(b"type") {
        Named::All { wanted: Some(Type::parse(args.at(3))?), next: 0 }
    } else if args.len() > 3 && option.eq_ignore_ascii_case(b"id") {
        Named::ById(3)
    } else if args.len() == 2 {
        Named::All { wanted: None, next: 0 }
    } else {
        return Err(CmdError::Syntax);
    };
    let mut job = ListClients { named, text: String::new() };
    if ctx.engine.clients.len().max(args.len()) > CLIENTS_AT_ONCE {
        return ctx.run(args, job);
    }
    // Whoever wants to see what the server does is not to wait for it.
    job.step(ctx, args, &mut Budget::unlimited()).map(|_| ())
}

/// So few are told of in one go: some 200 us.
const CLIENTS_AT_ONCE: usize = 200;

/// Of whom CLIENT LIST tells.
enum Named {
    /// All, or all of a type, in the order of their arrival, from this id on.
    All {
        /// The type.
        wanted: Option<Type>,
        /// The id.
        next: u64,
    },
    /// Those whose ids are arguments, from this one on.
    ById(usize),
}

/// CLIENT LIST, in slices: each line is of an instant of its own.
struct ListClients {
    named: Named,
    text: String,
}

impl Job for ListClients {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        loop {
            let piece = budget.piece(CLIENTS_PER_PIECE);
            for _ in 0..piece {
                if !self.tell_next(ctx, args)? {
                    ctx.reply.verbatim("txt", self.text.as_bytes());
                    ctx.engine
                        .graveyard
                        .bury_garbage(Box::new(std::mem::take(&mut self.text).into_bytes()));
                    return Ok(Step::Done);
                }
            }
            if budget.spend(piece as u64) {
                return Ok(Step::More);
            }
        }
    }

    fn reply_bytes(&self) -> usize {
        self.text.capacity()
    }
}

impl ListClients {
    /// The next line; false: there is none left.
    fn tell_next(&mut self, ctx: &Ctx<'_>, args: Args<'_>) -> Result<bool, CmdError> {
        match &mut self.named {
            Named::ById(index) => {
                if *index == args.len() {
                    return Ok(false);
                }
                let id = number::parse_i64(args.at(*index));
                *index += 1;
                let id = id.ok_or(CmdError::Text("ERR Invalid client ID"))?;
                line_of(ctx, args, id as u64, &mut self.text);
            }
            Named::All { wanted, next } => {
                let Some(id) = ctx.engine.clients.id_from(*next) else { return Ok(false) };
                *next = id + 1;
                let session = match id == ctx.client.id {
                    true => Some(&*ctx.client),
                    false => ctx.engine.clients.by_id(id),
                };
                if session.is_some_and(|one| wanted.is_none_or(|wanted| Type::of(one) == wanted)) {
                    line_of(ctx, args, id, &mut self.text);
                }
            }
        }
        Ok(true)
    }
}

/// The client with this id, if there is one.
fn line_of(ctx: &Ctx<'_>, args: Args<'_>, id: u64, text: &mut String) {
    if id == ctx.client.id {
        return own_line(ctx, args, text);
    }
    let session = ctx.engine.clients.by_id(id);
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
