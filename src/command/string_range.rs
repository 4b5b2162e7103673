//! Parts of strings: STRLEN, APPEND, GETRANGE (once SUBSTR), SETRANGE.
use std::ops::Range;

use crate::command::options::integer;
use crate::command::spec::access::{ACCESS, INSERT, RO, RW, UPDATE};
use crate::command::spec::flag::{DENYOOM, FAST, READONLY, WRITE};
use crate::command::spec::{Command, Doc, Group, KeySpec, command, doc};
use crate::command::string_value::{check_length, value_at};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::store::{BigEdit, StringRef, Ttl};

/// Units of 16 KiB copied between two looks at the clock: 30 us.
const PIECE_UNITS: usize = 8;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[STRLEN, APPEND, GETRANGE, SUBSTR, SETRANGE];

const STRLEN: Command = Command {
    flags: READONLY | FAST,
    keys: &[KeySpec::first(RO)],
    doc: doc("2.2.0", "O(1)", "key:key", "Get the length of the value stored in a key"),
    ..command(Group::String, "strlen", 2, strlen)
};

const APPEND: Command = Command {
    flags: WRITE | DENYOOM | FAST,
    keys: &[KeySpec::first(RW | INSERT)],
    doc: doc(
        "2.0.0",
        "O(1). The amortized time complexity is O(1) assuming the appended value is small and \
        the already present value is of any size, since the dynamic string library used by Redis \
        will double the free space available on every reallocation.",
        "key:key value:string",
        "Append a value to a key",
    ),
    ..command(Group::String, "append", 3, append)
};

const GETRANGE: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: doc(
        "2.4.0",
        "O(N) where N is the length of the returned string. The complexity is ultimately \
        determined by the returned length, but because creating a substring from an existing \
        string is very cheap, it can be considered O(1) for small strings.",
        "key:key start:integer end:integer",
        "Get a substring of the string stored at a key",
    ),
    ..command(Group::String, "getrange", 4, getrange)
};

const SUBSTR: Command = Command {
    flags: READONLY,
    keys: &[KeySpec::first(RO | ACCESS)],
    doc: Doc {
        deprecated: Some(("2.0.0", "`GETRANGE`")),
        ..doc(
            "1.0.0",
            "O(N) where N is the length of the returned string. The complexity is ultimately \
            determined by the returned length, but because creating a substring from an existing \
            string is very cheap, it can be considered O(1) for small strings.",
            "key:key start:integer end:integer",
            "Get a substring of the string stored at a key",
        )
    },
    ..command(Group::String, "substr", 4, getrange)
};

const SETRANGE: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::first(RW | UPDATE)],
    doc: doc(
        "2.2.0",
        "O(1), not counting the time taken to copy the new string in place. Usually, this string \
        is very small so the amortized complexity is O(1). Otherwise, complexity is O(M) with M \
        being the length of the value argument.",
        "key:key offset:integer value:string",
        "Overwrite part of a string at key starting at the specified offset",
    ),
    ..command(Group::String, "setrange", 4, setrange)
};

fn strlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let value = ctx.db.string(args.key(1))?;
    ctx.reply.count(value.map_or(0, |value| value.len()));
    Ok(())
}

fn append(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let key = args.key(1);
    let added = args.at(2);
    let before = ctx.db.string_for_write(key)?.map(|value| value.len());
    let length = match before {
        Some(before) => {
            check_length(ctx, before, added.len())?;
            if ctx.is_long((before + added.len()).div_ceil(1024)) {
                let edit = BigEdit::append(ctx.db, key, added.len())?;
                return ctx.run(args, EditString { edit, written: 2, event: Event::Append });
            }
            ctx.db.append(key, added)?
        }
        // As SET does it: APPEND to nothing may make an integer, or take a block over.
        None => {
            ctx.db.set_string(key, value_at(args, 2), Ttl::Clear)?;
            added.len()
        }
    };
    ctx.changed(Event::Append, key.bytes);
    ctx.reply.count(length);
    Ok(())
}

fn getrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let start = integer(args.at(2))?;
    let end = integer(args.at(3))?;
    let Some(value) = ctx.db.string(args.key(1))? else {
        ctx.reply.bulk(b"");
        return Ok(());
    };
    match clip(start, end, value.len()) {
        // Much of a big value by reference.
        Some(range) => match value {
            StringRef::Block(block) => ctx.reply.bulk_range(block, range),
            value => ctx.reply.bulk(&value.as_bytes(&mut itoa::Buffer::new())[range]),
        },
        None => ctx.reply.bulk(b""),
    }
    Ok(())
}

/// The bytes from `start` to `end`, both included and counted from the end where negative, of a string of
/// `length` bytes; `None` where there are none. A position before the string is its first one, also for the
/// end: that is what Redis does.
fn clip(start: i64, end: i64, length: usize) -> Option<Range<usize>> {
    if start < 0 && end < 0 && start > end {
        return None;
    }
    let length = length as i64;
    let from_front = |at: i64| if at < 0 { (at + length).max(0) } else { at };
    let (start, end) = (from_front(start), from_front(end).min(length - 1));
    if start > end { None } else { Some(start as usize..end as usize + 1) }
}

fn setrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let offset = integer(args.at(2))?;
    let Ok(offset) = usize::try_from(offset) else {
        return Err(CmdError::Text("ERR offset is out of range"));
    };
    let key = args.key(1);
    let written = args.at(3);
    let before = ctx.db.string_for_write(key)?.map_or(0, |value| value.len());
    if written.is_empty() {
        ctx.reply.count(before);
        return Ok(());
    }
    check_length(ctx, offset, written.len())?;
    if ctx.is_long(before.max(offset + written.len()).div_ceil(1024)) {
        let edit = BigEdit::set_range(ctx.db, key, offset, written.len())?;
        return ctx.run(args, EditString { edit, written: 3, event: Event::SetRange });
    }
    let length = ctx.db.set_range(key, offset, written)?;
    ctx.changed(Event::SetRange, key.bytes);
    ctx.reply.count(length);
    Ok(())
}

/// APPEND and SETRANGE of a big string.
struct EditString {
    edit: BigEdit,
    /// The argument that is written.
    written: usize,
    event: Event,
}

impl Job for EditString {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(1);
        loop {
            let units = budget.piece(PIECE_UNITS);
            if self.edit.step(ctx.db, key, args.at(self.written), units)?.is_done() {
                break;
            }
            if budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
        ctx.changed(self.event, key.bytes);
        ctx.reply.count(self.edit.len());
        Ok(Step::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_as_redis_clips_them() {
        let text = b"This is a string";
        let range =
            |start, end| clip(start, end, text.len()).map_or(&b""[..], |range| &text[range]);
        assert_eq!(range(0, 3), b"This");
        assert_eq!(range(-3, -1), b"ing");
        assert_eq!(range(10, 100), b"string");
        assert_eq!(range(-1, -3), b"");
        assert_eq!(range(-100, -50), b"T");
        assert_eq!(range(0, -100), b"T");
        assert_eq!(range(16, 16), b"");
        assert_eq!(range(i64::MIN, i64::MAX), text);
        assert_eq!(clip(0, -1, 0), None);
        assert_eq!(clip(0, 0, 0), None);
    }

    proptest! {
        #[test]
        fn a_range_never_leaves_its_string(start: i64, end: i64, length in 0usize..50) {
            for (start, end) in [(start, end), (start % 60, end % 60)] {
                if let Some(range) = clip(start, end, length) {
                    prop_assert!(range.start < range.end && range.end <= length);
                }
            }
        }
    }
}
