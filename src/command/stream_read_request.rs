//! What a request of XREAD or XREADGROUP asks for.
use crate::command::options::{integer, is};
use crate::engine::blocking::millis_until;
use crate::engine::ctx::Ctx;
use crate::engine::error::CmdError;
use crate::engine::session::Nesting;
use crate::proto::args::Args;

/// Entries that a client which waited gets at most, unless COUNT says otherwise: it should not get a huge stream.
const WOKEN_COUNT: usize = 1000;

/// Which of both commands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Read,
    ReadGroup,
}

/// What the options say.
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) verb: Verb,
    /// Entries of each stream at most.
    pub(super) count: usize,
    /// BLOCK, and until when; never where there is no time.
    pub(super) block: Option<Option<i64>>,
    pub(super) is_noack: bool,
    /// Argument of the group's name; the consumer's follows.
    pub(super) group: usize,
    /// Argument of the first key.
    pub(super) first: usize,
    /// How many streams.
    pub(super) streams: usize,
    /// The client waited, and a stream has got something.
    pub(super) is_woken: bool,
    pub(super) now: i64,
}

impl Request {
    /// Reads the options up to the names of the streams.
    pub(super) fn parse(ctx: &Ctx<'_>, args: Args<'_>, verb: Verb) -> Result<Request, CmdError> {
        let (mut count, mut block, mut is_noack) = (0, None, false);
        let (mut group, mut streams) = (None, None);
        let mut index = 1;
        while index < args.len() {
            let (word, more) = (args.at(index), args.len() - index - 1);
            if more > 0 && is(word, "block") {
                block = Some(millis_until(ctx.now, args.at(index + 1))?);
                if ctx.client.nesting == Nesting::Script {
                    return Err(CmdError::owned(&[
                        b"ERR ",
                        args.at(0),
                        b" command is not allowed with BLOCK option from scripts",
                    ]));
                }
                index += 2;
            } else if more > 0 && is(word, "count") {
                count = usize::try_from(integer(args.at(index + 1))?).unwrap_or(0);
                index += 2;
            } else if more > 0 && is(word, "streams") {
                if !more.is_multiple_of(2) {
                    return Err(UNBALANCED);
                }
                streams = Some((index + 1, more / 2));
                break;
            } else if more > 1 && is(word, "group") {
                only_with_group(verb, "GROUP")?;
                group = Some(index + 1);
                index += 3;
            } else if is(word, "noack") {
                only_with_group(verb, "NOACK")?;
                is_noack = true;
                index += 1;
            } else {
                return Err(CmdError::Syntax);
            }
        }
        let Some((first, streams)) = streams else { return Err(CmdError::Syntax) };
        if verb == Verb::ReadGroup && group.is_none() {
            return Err(CmdError::Text("ERR Missing GROUP option for XREADGROUP"));
        }
        let is_woken = ctx.is_woken();
        let count = match count {
            0 if is_woken => WOKEN_COUNT,
            0 => usize::MAX,
            count => count,
        };
        let (group, now) = (group.unwrap_or(0), ctx.now);
        Ok(Request { verb, count, block, is_noack, group, first, streams, is_woken, now })
    }
}

const UNBALANCED: CmdError = CmdError::Text(
    "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
);

fn only_with_group(verb: Verb, option: &'static str) -> Result<(), CmdError> {
    match (verb, option) {
        (Verb::ReadGroup, _) => Ok(()),
        (Verb::Read, "GROUP") => Err(CmdError::Text(
            "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
        )),
        (Verb::Read, _) => Err(CmdError::Text(
            "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
        )),
    }
}
