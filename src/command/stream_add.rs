//! XADD and XTRIM: entries come at the end of a stream and go at its front.
//!
//! Cost: O(bytes of the entry), and one node freed for each hundred entries trimmed; many nodes are a job.
use crate::command::options::{integer, is};
use crate::command::spec::access::{DELETE, RW, UPDATE};
use crate::command::spec::flag::{DENYOOM, FAST, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, doc};
use crate::command::stream_value::{
    ENTRIES_PER_PIECE, bury, invalid_id, node_limits, reply_id, strict_id,
};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::types::stream::{AppendError, Keep, NewId, Stream, StreamId, Trim};

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[XADD, XTRIM];

/// Nodes that one `~` removes at most, unless LIMIT says otherwise.
const NODES_LIMIT: i64 = 100;
/// Entries that it removes at most where nodes have no limit.
const ENTRIES_LIMIT: i64 = 10_000;
/// Entries that it removes at most where nodes are large.
const ENTRIES_LIMIT_MAX: i64 = 1_000_000;

const XADD: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec {
        notes: "UPDATE instead of INSERT because of the optional trimming feature",
        ..KeySpec::first(RW | UPDATE)
    }],
    tips: &["nondeterministic_output"],
    doc: Doc {
        history: &[
            (
                "6.2.0",
                "Added the `NOMKSTREAM` option, `MINID` trimming strategy and the `LIMIT` option.",
            ),
            ("7.0.0", "Added support for the `<ms>-*` explicit ID form."),
        ],
        ..doc(
            "5.0.0",
            "O(1) when adding a new entry, O(N) when trimming where N being the number of \
            entries evicted.",
            "key:key [NOMKSTREAM@6.2.0] [trim(strategy(MAXLEN|MINID@6.2.0) [operator('='=equal|\
            '~'=approximately)] threshold:string [LIMIT=count:integer@6.2.0])] \
            id_or_auto('*'=auto_id|id:string) field_value(field:string value:string)...",
            "Appends a new entry to a stream",
        )
    },
    ..command(Group::Stream, "xadd", -5, xadd)
};

const XTRIM: Command = Command {
    flags: WRITE,
    keys: &[KeySpec::first(RW | DELETE)],
    tips: &["nondeterministic_output"],
    doc: Doc {
        history: &[("6.2.0", "Added the `MINID` trimming strategy and the `LIMIT` option.")],
        ..doc(
            "5.0.0",
            "O(N), with N being the number of evicted entries. Constant times are very small \
            however, since entries are organized in macro nodes containing multiple entries that \
            can be released with a single deallocation.",
            "key:key trim(strategy(MAXLEN|MINID@6.2.0) [operator('='=equal|'~'=approximately)] \
            threshold:string [LIMIT=count:integer@6.2.0])",
            "Trims the stream to (approximately if '~' is passed) a certain size",
        )
    },
    ..command(Group::Stream, "xtrim", -4, xtrim)
};

/// What stands between the key and the fields of XADD, or after the key of XTRIM.
struct Options {
    /// NOMKSTREAM.
    is_no_create: bool,
    /// MAXLEN or MINID.
    trim: Option<Trim>,
    id: NewId,
    /// Argument of the first field.
    fields: usize,
}

/// Which of both commands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Add,
    Trim,
}

/// MAXLEN or MINID with what belongs to it, as it is read.
struct TrimOptions {
    keep: Option<Keep>,
    is_exact: bool,
    limit: Option<i64>,
}

impl Options {
    fn parse(ctx: &Ctx<'_>, args: Args<'_>, verb: Verb) -> Result<Options, CmdError> {
        let mut is_no_create = false;
        let mut trim = TrimOptions { keep: None, is_exact: true, limit: None };
        let mut id = NewId::Auto;
        let mut index = 2;
        while index < args.len() {
            let word = args.at(index);
            let has_more = index + 1 < args.len();
            if verb == Verb::Add && word == b"*" {
                break;
            } else if has_more && is(word, "maxlen") {
                index = trim.threshold(args, index, |text| match integer(text)? {
                    count @ 0.. => Ok(Keep::Newest(count.unsigned_abs())),
                    _ => Err(CmdError::Text("ERR The MAXLEN argument must be >= 0.")),
                })?;
            } else if has_more && is(word, "minid") {
                index = trim.threshold(args, index, |text| Ok(Keep::From(strict_id(text, 0)?)))?;
            } else if has_more && is(word, "limit") {
                let limit = integer(args.at(index + 1))?;
                if limit < 0 {
                    return Err(CmdError::Text("ERR The LIMIT argument must be >= 0."));
                }
                trim.limit = Some(limit);
                index += 2;
            } else if verb == Verb::Add && is(word, "nomkstream") {
                is_no_create = true;
                index += 1;
            } else if verb == Verb::Add {
                id = NewId::parse(word).ok_or(invalid_id())?;
                break;
            } else {
                return Err(CmdError::Syntax);
            }
        }
        let trim = trim.finish(verb, ctx.engine.limits.stream_node_max_entries)?;
        Ok(Options { is_no_create, trim, id, fields: index + 1 })
    }
}

impl TrimOptions {
    /// Reads `[=|~] threshold` after the word at `index`; returns the index after it.
    fn threshold(
        &mut self,
        args: Args<'_>,
        index: usize,
        read: impl FnOnce(&[u8]) -> Result<Keep, CmdError>,
    ) -> Result<usize, CmdError> {
        if self.keep.is_some() {
            return Err(CmdError::Text(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let has_sign = index + 2 < args.len() && matches!(args.at(index + 1), b"~" | b"=");
        self.is_exact = !(has_sign && args.at(index + 1) == b"~");
        let at = index + 1 + usize::from(has_sign);
        self.keep = Some(read(args.at(at))?);
        Ok(at + 1)
    }

    fn finish(self, verb: Verb, node_entries: usize) -> Result<Option<Trim>, CmdError> {
        let Some(keep) = self.keep else {
            if self.limit.is_some_and(|limit| limit > 0) {
                return Err(CmdError::Text(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming \
                    strategy",
                ));
            }
            if verb == Verb::Trim {
                return Err(CmdError::Text(
                    "ERR syntax error, XTRIM must be called with a trimming strategy",
                ));
            }
            // As in Redis: LIMIT 0 says nothing, but not without `~`.
            return self.without_tilde(self.limit.is_some()).map(|()| None);
        };
        let limit = match self.limit {
            Some(limit) => {
                self.without_tilde(self.is_exact)?;
                limit
            }
            None if self.is_exact => 0,
            None => {
                let entries = i64::try_from(node_entries).unwrap_or(i64::MAX);
                match entries.saturating_mul(NODES_LIMIT) {
                    0 => ENTRIES_LIMIT,
                    limit => limit.min(ENTRIES_LIMIT_MAX),
                }
            }
        };
        Ok(Some(Trim::new(keep, self.is_exact, limit.unsigned_abs())))
    }

    fn without_tilde(&self, is_wrong: bool) -> Result<(), CmdError> {
        match is_wrong {
            true => Err(CmdError::Text(
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            )),
            false => Ok(()),
        }
    }
}

fn xadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let options = Options::parse(ctx, args, Verb::Add)?;
    let first = options.fields;
    if args.len() < first + 2 || !(args.len() - first).is_multiple_of(2) {
        return Err(CmdError::Arity("xadd"));
    }
    if options.id == NewId::Given(StreamId::MIN) {
        return Err(CmdError::Text("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let key = args.key(1);
    let limits = node_limits(ctx);
    let now = ctx.now.unsigned_abs();
    let trim = options.trim;
    let add = |stream: &mut Stream| {
        let values = args.from(first + 1).step_by(2);
        let fields = args.from(first).step_by(2).zip(values);
        let id = stream.append(options.id, now, fields, limits)?;
        Ok((id, trim.map_or(0, |trim| trim.nodes_ahead(stream.log()))))
    };
    let added = match options.is_no_create {
        true => match ctx.db.edit(key, add)? {
            Some(added) => added,
            None => {
                ctx.reply.null();
                return Ok(());
            }
        },
        false => ctx.db.edit_or_new(key, add)?,
    };
    let (id, nodes) = added.map_err(|error: AppendError| match error {
        AppendError::Exhausted => CmdError::Text(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ),
        AppendError::NotGreater => CmdError::Text(
            "ERR The ID specified in XADD is equal or smaller than the target stream top item",
        ),
        // Redis has no words of its own for the first.
        AppendError::NoSequence | AppendError::TooLarge => {
            CmdError::Text("ERR Elements are too large to be stored")
        }
    })?;
    reply_id(&mut ctx.reply, id);
    ctx.changed(Event::XAdd, key.bytes);
    match trim.filter(|_| nodes > 0) {
        Some(trim) => trim_with(ctx, args, Trimming { trim, is_after_adding: true }, nodes),
        None => Ok(()),
    }
}

fn xtrim(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let options = Options::parse(ctx, args, Verb::Trim)?;
    let Some(trim) = options.trim else { return Err(CmdError::Syntax) };
    let Some(stream) = ctx.db.peek_as::<Stream>(args.key(1))? else {
        ctx.reply.int(0);
        return Ok(());
    };
    let nodes = trim.nodes_ahead(stream.log());
    trim_with(ctx, args, Trimming { trim, is_after_adding: false }, nodes)
}

fn trim_with(ctx: &mut Ctx<'_>, args: Args<'_>, mut job: Trimming, nodes: usize) -> CmdResult {
    if ctx.is_long(nodes) {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

/// XTRIM, or XADD once the entry is added and its id replied.
struct Trimming {
    trim: Trim,
    is_after_adding: bool,
}

impl Job for Trimming {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(1);
        loop {
            let units = budget.piece(ENTRIES_PER_PIECE);
            let stepped = ctx.db.edit(key, |stream: &mut Stream| {
                let progress = self.trim.step(stream.log_mut(), units);
                (progress, stream.log_mut().take_spent())
            })?;
            let Some((progress, spent)) = stepped else { break };
            bury(ctx, spent);
            if progress.is_done() {
                break;
            }
            if budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
        let removed = self.trim.removed();
        if removed > 0 {
            // After an addition the change was counted with the entry.
            let changes = if self.is_after_adding { 0 } else { removed as usize };
            ctx.changed_by(Event::XTrim, key.bytes, changes);
        }
        if !self.is_after_adding {
            ctx.reply.int(removed as i64);
        }
        Ok(Step::Done)
    }
}
