//! BITOP: several strings combined bit by bit. What it does to bytes is `types::bits`.
//!
//! The result is built beside the keyspace, part by part over all sources, and given to its key in one step. A source
//! is left out of the parts behind its end, so many short ones and a long one cost no more than their bytes.
use std::sync::Arc;

use crate::command::options::is;
use crate::command::spec::access::{ACCESS, OW, RO, UPDATE};
use crate::command::spec::flag::{DENYOOM, WRITE};
use crate::command::spec::{Command, Group, KeySpec, command, doc};
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, KEYS_PER_PIECE, Step, Stepped};
use crate::proto::args::Args;
use crate::store::{NewString, Ttl};
use crate::types::bits::{Operation, combine};

/// Bytes of a source combined per unit.
const BYTES_PER_UNIT: usize = 8 * 1024;
/// Units of a part: 64 KiB of result, which stay in the cache while the sources pass.
const PART_UNITS: usize = 8;
/// Results up to this length are copied into their entry.
const SHORT_BYTES_MAX: usize = 4096;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[BITOP];

const BITOP: Command = Command {
    flags: WRITE | DENYOOM,
    keys: &[KeySpec::range(OW | UPDATE, 2, 0, 1), KeySpec::range(RO | ACCESS, 3, -1, 1)],
    doc: doc(
        "2.6.0",
        "O(N)",
        "operation:string destkey:key key:key#1...",
        "Perform bitwise operations between strings",
    ),
    ..command(Group::Bitmap, "bitop", -4, bitop)
};

fn bitop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let name = args.at(1);
    let operation = match name {
        _ if is(name, "and") => Operation::And,
        _ if is(name, "or") => Operation::Or,
        _ if is(name, "xor") => Operation::Xor,
        _ if is(name, "not") => Operation::Not,
        _ => return Err(CmdError::Syntax),
    };
    if operation == Operation::Not && args.len() != 4 {
        return Err(CmdError::Text("ERR BITOP NOT must be called with a single source key."));
    }
    let job = Combine {
        operation,
        sources: Vec::new(),
        next: FIRST_SOURCE,
        shortest: usize::MAX,
        longest: 0,
        result: Vec::new(),
        part: None,
    };
    if ctx.is_long(args.len() - 2) { ctx.run_with_many_keys(args, job) } else { ctx.run(args, job) }
}

/// Argument of the first source.
const FIRST_SOURCE: usize = 3;

/// A string that is combined.
#[derive(Clone, Copy)]
struct Source {
    /// Argument of its key.
    index: usize,
    length: usize,
}

/// A part of the result under way.
struct Part {
    /// Where it begins.
    start: usize,
    /// The next source, by its place in the list.
    next: usize,
    /// How many of those before reach beyond this part.
    kept: usize,
}

/// BITOP.
struct Combine {
    operation: Operation,
    /// Those that reach into the parts to come.
    sources: Vec<Source>,
    /// Argument of the next source to be looked up.
    next: usize,
    shortest: usize,
    longest: usize,
    /// As far as it is built, and the part under way.
    result: Vec<u8>,
    part: Option<Part>,
}

impl Combine {
    /// Looks sources up; false: the budget is spent.
    fn measure(
        &mut self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        budget: &mut Budget,
    ) -> Result<bool, CmdError> {
        while self.next < args.len() {
            let end = (self.next + budget.piece(KEYS_PER_PIECE)).min(args.len());
            for index in self.next..end {
                let length = ctx.db.string(args.key(index))?.map_or(0, |value| value.len());
                self.shortest = self.shortest.min(length);
                self.longest = self.longest.max(length);
                self.sources.push(Source { index, length });
            }
            let done = end - self.next;
            self.next = end;
            if self.next == args.len() {
                let room = self.result.try_reserve_exact(self.longest);
                room.map_err(|_| CmdError::OutOfMemory)?;
            }
            if budget.spend(done as u64) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Goes on with the part under way, or begins one; false: the budget is spent.
    fn combine(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> bool {
        // AND is zeros where a source has ended.
        let is_and = self.operation == Operation::And;
        let combined = if is_and { self.shortest } else { self.longest };
        while self.result.len() < self.longest || self.part.is_some() {
            let Some(part) = &mut self.part else {
                let units = budget.piece(PART_UNITS);
                let start = self.result.len();
                let limit = if start < combined { combined } else { self.longest };
                self.result.resize((start + units * BYTES_PER_UNIT).min(limit), 0);
                if start < combined {
                    self.part = Some(Part { start, next: 0, kept: 0 });
                }
                if budget.spend(units as u64) {
                    return false;
                }
                continue;
            };
            let Some(&source) = self.sources.get(part.next) else {
                self.sources.truncate(part.kept);
                self.part = None;
                continue;
            };
            let end = self.result.len();
            let result = &mut self.result[part.start..];
            let string = ctx.db.peek(args.key(source.index)).and_then(|entry| entry.string());
            let mut digits = itoa::Buffer::new();
            let text = string.as_ref().map_or(&b""[..], |string| string.as_bytes(&mut digits));
            let operand = text.get(part.start..end.min(text.len())).unwrap_or(&[]);
            // The first one is taken as it is.
            let is_first = is_and && part.next == 0;
            combine(if is_first { Operation::Or } else { self.operation }, result, operand);
            if source.length > end {
                self.sources[part.kept] = source;
                part.kept += 1;
            }
            part.next += 1;
            let units = operand.len().div_ceil(BYTES_PER_UNIT).max(1);
            if budget.spend(units as u64) {
                return false;
            }
        }
        true
    }

    /// Gives the key its value.
    fn store(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
        let key = args.key(2);
        let result = std::mem::take(&mut self.result);
        let length = result.len();
        if result.is_empty() {
            ctx.delete(key);
        } else {
            // Bytes, even if they should spell a number.
            let value = match length {
                ..=SHORT_BYTES_MAX => NewString::Raw(&result),
                _ => NewString::Block(Arc::new(result)),
            };
            ctx.db.set_string(key, value, Ttl::Clear)?;
            ctx.changed(Event::Set, key.bytes);
        }
        ctx.reply.count(length);
        Ok(())
    }
}

impl Job for Combine {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        if !self.measure(ctx, args, budget)? || !self.combine(ctx, args, budget) {
            return Ok(Step::More);
        }
        self.store(ctx, args)?;
        Ok(Step::Done)
    }
}
