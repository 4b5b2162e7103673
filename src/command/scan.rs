//! KEYS and SCAN: finding keys by pattern.
//!
//! SCAN steps through the buckets of the table with a cursor that outlives growth and shrinking
//! (`store::Table::scan`): a key that is there from the first call to the last is found at least once. A
//! pattern without special characters names one key, so both commands look it up instead of walking.
//! Cost: KEYS O(keys); SCAN about COUNT keys, and never more than ten times COUNT steps.
use crate::base::glob::{Case, glob_match, is_literal};
use crate::command::options::{Options, integer, is};
use crate::command::spec::flag::{READONLY, TOUCHES_ARBITRARY_KEYS};
use crate::command::spec::{Command, Doc, Group, category, command, doc};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::proto::args::Args;
use crate::proto::reply::{Output, Reply};
use crate::store::EntryRef;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[KEYS, SCAN];

const KEYS: Command = Command {
    flags: READONLY,
    categories: category::DANGEROUS,
    tips: &["request_policy:all_shards", "nondeterministic_output_order"],
    doc: doc(
        "1.0.0",
        "O(N) with N being the number of keys in the database, under the assumption that the key \
        names in the database and the given pattern have limited length.",
        "pattern:pattern",
        "Find all keys matching the given pattern",
    ),
    ..command(Group::Generic, "keys", 2, keys)
};

const SCAN: Command = Command {
    flags: READONLY | TOUCHES_ARBITRARY_KEYS,
    tips: &["nondeterministic_output", "request_policy:special"],
    doc: Doc {
        history: &[("6.0.0", "Added the `TYPE` subcommand.")],
        ..doc(
            "2.8.0",
            "O(1) for every call. O(N) for a complete iteration, including enough command calls \
            for the cursor to return back to 0. N is the number of elements inside the \
            collection.",
            "cursor:integer [MATCH=pattern:pattern] [COUNT=count:integer] \
            [TYPE=type:string@6.0.0]",
            "Incrementally iterate the keys space",
        )
    },
    ..command(Group::Generic, "scan", -2, scan)
};

/// Keys a SCAN looks at where COUNT does not say.
const COUNT_DEFAULT: i64 = 10;
/// Steps of the cursor for each key wanted, so a sparse table cannot hold the loop.
const STEPS_PER_KEY: u64 = 10;

fn keys(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let pattern = Pattern::parse(args.at(1));
    if let Pattern::Exact(name) = pattern {
        match ctx.db.peek(args.hasher().key(name)) {
            Some(entry) => {
                ctx.reply.array(1);
                ctx.reply.bulk(entry.key());
            }
            None => ctx.reply.array(0),
        }
        return Ok(());
    }
    let open = ctx.reply.array_open();
    let reply = &mut ctx.reply;
    let mut found = 0;
    ctx.db.for_each_bucket(0..ctx.db.buckets(), &mut |entry| {
        if pattern.matches(entry.key()) {
            reply.bulk(entry.key());
            found += 1;
        }
    });
    ctx.reply.array_close(open, found);
    Ok(())
}

fn scan(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let mut cursor = parse_cursor(args.at(1)).ok_or(CmdError::Text("ERR invalid cursor"))?;
    let filter = Filter::parse(args)?;
    let mut listed = Output::default();
    let mut list = Reply::new(&mut listed, ctx.reply.resp());
    let mut found = 0;
    if let Pattern::Exact(name) = filter.pattern {
        if let Some(entry) = ctx.db.peek(args.hasher().key(name))
            && filter.accepts(&entry)
        {
            list.bulk(entry.key());
            found = 1;
        }
        cursor = 0;
    } else {
        let mut seen = 0;
        let mut steps_left = filter.count.saturating_mul(STEPS_PER_KEY);
        loop {
            cursor = ctx.db.scan(cursor, &mut |entry| {
                seen += 1;
                if filter.accepts(&entry) {
                    list.bulk(entry.key());
                    found += 1;
                }
            });
            if cursor == 0 || steps_left == 0 || seen >= filter.count {
                break;
            }
            steps_left -= 1;
        }
    }
    ctx.reply.array(2);
    // Redis prints it signed; cursors of a real table never reach that far.
    ctx.reply.bulk_int(cursor as i64);
    ctx.reply.array(found);
    ctx.reply.raw(listed.bytes());
    Ok(())
}

/// Which keys a SCAN reports.
struct Filter<'b> {
    /// COUNT: about so many are looked at.
    count: u64,
    /// MATCH.
    pattern: Pattern<'b>,
    /// TYPE: only those of the type with this name.
    type_name: Option<&'b [u8]>,
}

impl<'b> Filter<'b> {
    fn parse(args: Args<'b>) -> Result<Filter<'b>, CmdError> {
        let mut count = COUNT_DEFAULT;
        let mut filter = Filter { count: 0, pattern: Pattern::All, type_name: None };
        let mut options = Options::new(args, 2);
        while let Some(option) = options.next() {
            if is(option, "count") {
                count = integer(options.value()?)?;
                if count < 1 {
                    return Err(CmdError::Syntax);
                }
            } else if is(option, "match") {
                filter.pattern = Pattern::parse(options.value()?);
            } else if is(option, "type") {
                filter.type_name = Some(options.value()?);
            } else {
                return Err(CmdError::Syntax);
            }
        }
        filter.count = count.unsigned_abs();
        Ok(filter)
    }

    #[inline]
    fn accepts(&self, entry: &EntryRef<'_>) -> bool {
        self.pattern.matches(entry.key())
            && self
                .type_name
                .is_none_or(|name| name.eq_ignore_ascii_case(entry.kind().name().as_bytes()))
    }
}

/// A glob pattern, the cheap cases told apart.
#[derive(Clone, Copy)]
enum Pattern<'b> {
    /// `*`: every key, the empty one included, which no other pattern with a star matches.
    All,
    /// No special character: this key alone.
    Exact(&'b [u8]),
    /// Anything else.
    Glob(&'b [u8]),
}

impl<'b> Pattern<'b> {
    fn parse(text: &'b [u8]) -> Pattern<'b> {
        match text {
            b"*" => Pattern::All,
            _ if is_literal(text) => Pattern::Exact(text),
            _ => Pattern::Glob(text),
        }
    }

    #[inline]
    fn matches(self, key: &[u8]) -> bool {
        match self {
            Pattern::All => true,
            Pattern::Exact(name) => name == key,
            Pattern::Glob(pattern) => glob_match(pattern, key, Case::Sensitive),
        }
    }
}

/// Reads a cursor as C's `strtoul` does: a sign is allowed and a negative number wraps, nothing at all is 0,
/// and a NUL ends the text. Redis's client libraries only ever send back what they were given.
fn parse_cursor(text: &[u8]) -> Option<u64> {
    let text = text.split(|&byte| byte == 0).next()?;
    let (is_negative, digits) = match text {
        [] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    Some(if is_negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::parse_cursor;

    #[test]
    fn cursors_are_read_as_strtoul_reads_them() {
        // Each was asked of Redis 7.0.15: error or not; the values are strtoul's.
        for (text, value) in [
            ("", Some(0)),
            ("0", Some(0)),
            ("007", Some(7)),
            ("+5", Some(5)),
            ("-1", Some(u64::MAX)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-18446744073709551616", None),
            ("+", None),
            ("-", None),
            (" 1", None),
            ("1 ", None),
            ("1x", None),
            ("x", None),
            ("+-1", None),
            ("1\0x", Some(1)),
            ("\0", Some(0)),
        ] {
            assert_eq!(parse_cursor(text.as_bytes()), value, "{text:?}");
        }
    }
}
