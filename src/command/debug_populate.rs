//! DEBUG POPULATE and DEBUG HTSTATS, in slices.
//!
//! POPULATE adds its keys one after the other, and others see those that are there; only who looks at all keys waits
//! for its end, as does who empties or moves databases. A key that a job holds it waits for.
//! HTSTATS counts bucket by bucket: of a table that changes meanwhile its figures are of no one moment.
use std::fmt::Write as _;
use std::io;

use crate::base::block::Block;
use crate::base::number;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, INDEX, Job, KEYS_PER_PIECE, Step, Stepped, WHOLE};
use crate::engine::session::Nesting;
use crate::proto::args::Args;
use crate::store::{Hold, NewString, Ttl};

/// Longest key and value text before padding (Redis prints them into 128 bytes).
const TEXT_BYTES_MAX: usize = 127;
/// Bytes of a value made between two looks at the clock.
const BYTES_PER_PIECE: usize = 64 * 1024;
/// Buckets counted between two looks at the clock.
const BUCKETS_PER_PIECE: usize = 64;

/// Keys `prefix:0`, `prefix:1` …; those that exist are left alone.
pub(super) fn populate(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let positive = |text: &[u8]| match number::parse_i64(text) {
        Some(value) if value >= 0 => Ok(value),
        _ => Err(CmdError::Text("ERR value is out of range, must be positive")),
    };
    let count = positive(args.at(2))?;
    let size = if args.len() == 5 { positive(args.at(4))? as usize } else { 0 };
    ctx.run(args, Populate { next: 0, count, size, value: None, is_held: false })
}

struct Populate {
    next: i64,
    count: i64,
    /// Bytes of a value; 0: as long as its text.
    size: usize,
    /// The value of the next, as far as it is made.
    value: Option<Vec<u8>>,
    /// It holds what stands for the database.
    is_held: bool,
}

impl Job for Populate {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let prefix = if args.len() > 3 { args.at(3) } else { b"key" };
        let prefix = prefix.split(|byte| *byte == 0).next().unwrap_or(&[]);
        let mut name = Vec::new();
        while self.next < self.count {
            for _ in 0..budget.piece(KEYS_PER_PIECE) {
                name.clear();
                name.extend_from_slice(prefix);
                let _ = io::Write::write_fmt(&mut name, format_args!(":{}", self.next));
                name.truncate(TEXT_BYTES_MAX);
                if self.next == self.count || !self.add(ctx, args, &name)? {
                    break;
                }
            }
            let units = budget.piece(KEYS_PER_PIECE) as u64;
            if budget.spend(units) && self.next < self.count {
                self.hold(ctx);
                return Ok(Step::More);
            }
            if ctx.client.nesting == Nesting::None && !self.may_add(ctx, args, &name) {
                // The job that holds it does not go on before this one stops.
                self.hold(ctx);
                budget.spend(u64::MAX);
                return Ok(Step::More);
            }
        }
        ctx.reply.ok();
        Ok(Step::Done)
    }
}

impl Populate {
    /// Whether no other job holds a key.
    fn may_add(&self, ctx: &Ctx<'_>, args: Args<'_>, name: &[u8]) -> bool {
        ctx.db.holds.is_free(args.hasher().key(name).hash, Hold::Write)
    }

    /// Adds the next key; false: not yet.
    fn add(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, name: &[u8]) -> Result<bool, CmdError> {
        if !self.may_add(ctx, args, name) {
            // A part of a transaction waits for nobody.
            let is_passed = ctx.client.nesting != Nesting::None;
            self.next += i64::from(is_passed);
            return Ok(is_passed);
        }
        let key = args.hasher().key(name);
        if self.value.is_none() && ctx.db.peek(key).is_some() {
            self.next += 1;
            return Ok(true);
        }
        let (number, size) = (self.next, self.size);
        let value = self.value.get_or_insert_with(|| format!("value:{number}").into_bytes());
        if size > 0 && value.len() != size {
            value
                .try_reserve_exact(size.saturating_sub(value.len()))
                .map_err(|_| CmdError::OutOfMemory)?;
            value.resize(size.min(value.len() + BYTES_PER_PIECE), 0);
            if value.len() < size {
                return Ok(false);
            }
        }
        let value = self.value.take().unwrap_or_default();
        let stored = match value.len() <= BYTES_PER_PIECE {
            true => ctx.db.set_string(key, NewString::Bytes(&value), Ttl::Clear),
            false => ctx.db.set_string(key, NewString::Block(Block::new(value)), Ttl::Clear),
        };
        stored.map_err(|_| CmdError::OutOfMemory)?;
        // Not a change that a snapshot would be taken for, as in Redis.
        self.next += 1;
        Ok(true)
    }

    fn hold(&mut self, ctx: &mut Ctx<'_>) {
        if !std::mem::replace(&mut self.is_held, true) {
            let index = ctx.db_index();
            ctx.engine.jobs.need_further((index, INDEX));
            ctx.engine.jobs.need_further((index, WHOLE));
        }
    }
}

/// How full the buckets of a database are, in the words Redis has for the chains of its hash tables.
/// DIFFERS: a bucket holds up to twelve keys before anything is chained, and TTLs have no table of their own.
pub(super) fn table_stats(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let index = number::parse_i64(args.at(2)).ok_or(CmdError::NotInteger)?;
    let index = usize::try_from(index).ok().filter(|&index| index < ctx.db_count());
    let index = index.ok_or(CmdError::Text("ERR Out of range database"))?;
    ctx.run(args, TableStats { index, next: 0, keys: 0, keys_max: 0, buckets_by_keys: [0; 50] })
}

struct TableStats {
    index: usize,
    /// The next bucket.
    next: usize,
    keys: usize,
    keys_max: usize,
    buckets_by_keys: [usize; 50],
}

impl Job for TableStats {
    fn step(&mut self, ctx: &mut Ctx<'_>, _args: Args<'_>, budget: &mut Budget) -> Stepped {
        let Some(db) = ctx.db_at(self.index) else { return Ok(Step::Done) };
        while !db.is_empty() && self.next < db.buckets() {
            let end = db.buckets().min(self.next + budget.piece(BUCKETS_PER_PIECE));
            for bucket in self.next..end {
                let mut count = 0usize;
                db.for_each_bucket(bucket..bucket + 1, &mut |_| count += 1);
                self.buckets_by_keys[count.min(49)] += 1;
                self.keys_max = self.keys_max.max(count);
                self.keys += count;
            }
            let count = (end - self.next) as u64;
            self.next = end;
            if budget.spend(count) && self.next < db.buckets() {
                return Ok(Step::More);
            }
        }
        let text = self.describe(db.len(), db.expires_len());
        ctx.reply.verbatim("txt", text.as_bytes());
        Ok(Step::Done)
    }
}

impl TableStats {
    fn describe(&self, len: usize, expires_len: usize) -> String {
        const EMPTY: &str = "No stats available for empty dictionaries\n";
        let mut text = "[Dictionary HT]\nHash table 0 stats (main hash table):\n".to_owned();
        if len == 0 || self.next == 0 {
            text.push_str(EMPTY);
        } else {
            self.write_bucket_counts(len, &mut text);
        }
        text.push_str("[Expires HT]\nHash table 0 stats (main hash table):\n");
        match expires_len {
            0 => text.push_str(EMPTY),
            count => {
                let _ = writeln!(text, " number of elements: {count}");
            }
        }
        text
    }

    fn write_bucket_counts(&self, len: usize, text: &mut String) {
        let used = self.next - self.buckets_by_keys[0];
        let average = self.keys as f64 / used.max(1) as f64;
        let _ = writeln!(
            text,
            " table size: {}\n number of elements: {len}\n different slots: {used}\n max chain \
             length: {}\n avg chain length (counted): {average:.2}\n avg chain length (computed): \
             {:.2}\n Chain length distribution:",
            self.next,
            self.keys_max,
            len as f64 / used.max(1) as f64,
        );
        let counts = self.buckets_by_keys.iter().enumerate();
        for (count, buckets) in counts.filter(|(_, buckets)| **buckets > 0) {
            let share = *buckets as f64 * 100.0 / self.next as f64;
            let _ = writeln!(text, "   {count}: {buckets} ({share:.2}%)");
        }
    }
}
