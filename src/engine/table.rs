//! The command table: from a name to what is declared about it.
//!
//! Families list their commands (`command::FAMILIES`, in the layer above); here they get dense ids,
//! subcommands after all commands, those of one command in a row:
//!
//! ```text
//! entries   get  set  …  client  config  …  client|id  client|info  …  config|get  …
//! id        0    1       57      58          112        113              130
//! ```
//!
//! What Redis derives is derived here once: ACL categories, legacy key positions, `movablekeys`,
//! the key to prefetch. `rename-command` changes a server's own table only; ids and full names
//! stay.
//!
//! Lookup packs a name of up to 16 bytes into two words, lower-cased eight letters at a time,
//! hashes them by one multiplication and compares two words: about 5 ns and two cache lines. Longer
//! names, of which Redis has two, are compared one by one. Building a table takes some microseconds.
use std::fmt;

use crate::engine::spec::{Begin, Command, Find, Handler, access, category, flag};
use crate::proto::args::Args;

/// A command or subcommand. The same in every server of one program, so statistics can be indexed
/// by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(u16);

impl CommandId {
    /// Position in arrays of [`CommandTable::len`] elements.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A command that was looked up.
#[derive(Clone, Copy)]
pub struct Found {
    /// Its id.
    pub id: CommandId,
    /// The argument that is its first key; 0 where there is none or that depends on the request.
    pub first_key: u8,
    /// Its declaration.
    pub command: &'static Command,
}

/// What is known of one command or subcommand. One cache line: all that running a command reads of
/// it.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct CommandEntry {
    /// Its name packed; meaningless for subcommands and names that do not pack.
    name: [u64; 2],
    /// Runs it.
    pub handler: Handler,
    /// As it was declared.
    pub command: &'static Command,
    /// With the name of its container: `client|list`. `rename-command` does not change it.
    pub full_name: &'static str,
    /// Bits of [`flag`], MOVABLEKEYS among them where it applies.
    pub flags: u32,
    /// Bits of [`category`], derived ones included.
    pub categories: u32,
    /// Its id.
    pub id: CommandId,
    /// Index of its first subcommand.
    first_child: u16,
    /// How many subcommands it has.
    child_count: u8,
    /// Number of arguments, negative: at least that many.
    pub arity: i8,
    /// The argument that is its first key; 0 where that depends on the request or there is none.
    pub first_key_index: u8,
    /// Length of the packed name.
    name_len: u8,
}

impl CommandEntry {
    /// Whether a request of `count` arguments, the name included, fits the arity.
    #[inline]
    pub fn accepts(&self, count: usize) -> bool {
        let arity = isize::from(self.arity);
        if arity >= 0 { count as isize == arity } else { count as isize >= -arity }
    }

    /// Whether any of these bits of [`flag`] is set.
    #[inline]
    pub fn has(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    /// Whether it has subcommands.
    #[inline]
    pub fn is_container(&self) -> bool {
        self.child_count != 0
    }
}

impl fmt::Debug for CommandEntry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "CommandEntry({})", self.full_name)
    }
}

/// Why a `rename-command` is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameError {
    /// No command has the old name.
    NoSuchCommand,
    /// Another command has the new name.
    NameTaken,
}

impl fmt::Display for RenameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            RenameError::NoSuchCommand => "No such command in rename-command",
            RenameError::NameTaken => "Target command name already exists",
        })
    }
}

/// Slots of the hash index; 16 times the commands Redis has, so most lookups hit at once.
const SLOT_BITS: u32 = 12;
const EMPTY: u16 = u16::MAX;

/// The commands of one server.
pub struct CommandTable {
    entries: Box<[CommandEntry]>,
    /// Id by hash of the packed name, colliding ones in the next slots.
    slots: Box<[u16; 1 << SLOT_BITS]>,
    /// Names that do not pack.
    long: Vec<(Box<[u8]>, CommandId)>,
    /// Commands, without those that were removed.
    present: Vec<CommandId>,
}

impl CommandTable {
    /// All commands of a catalogue under their own names.
    pub fn over(catalogue: &Catalogue) -> CommandTable {
        let entries: Box<[CommandEntry]> = catalogue.0.as_slice().into();
        let present =
            entries.iter().map(|e| e.id).filter(|id| !is_subcommand(&entries, *id)).collect();
        let mut table = CommandTable {
            entries,
            slots: Box::new([EMPTY; 1 << SLOT_BITS]),
            long: Vec::new(),
            present,
        };
        for index in 0..table.present.len() {
            let id = table.present[index];
            let name = table.entry(id).command.name.as_bytes();
            table.index_name(name, id);
        }
        table
    }

    /// Directive `rename-command`: `old` becomes `new`, or disappears where `new` is empty.
    pub fn rename(&mut self, old: &[u8], new: &[u8]) -> Result<(), RenameError> {
        let id = self.lookup(old).ok_or(RenameError::NoSuchCommand)?;
        if new.eq_ignore_ascii_case(old) {
            return Ok(());
        }
        if self.lookup(new).is_some() {
            return Err(RenameError::NameTaken);
        }
        self.unindex(id);
        if new.is_empty() {
            self.present.retain(|present| *present != id);
        } else {
            self.index_name(new, id);
        }
        Ok(())
    }

    /// The command of this name in any case. About 5 ns.
    #[inline]
    pub fn lookup(&self, name: &[u8]) -> Option<CommandId> {
        let Some(packed) = pack(name) else {
            return self.lookup_long(name);
        };
        let mut slot = slot_of(packed);
        let folded = packed.map(lower_case);
        loop {
            // EMPTY is no id, so an empty slot ends the search here.
            let entry = self.entries.get(usize::from(self.slots[slot]))?;
            if entry.name == folded && usize::from(entry.name_len) == name.len() {
                return Some(entry.id);
            }
            slot = next_slot(slot);
        }
    }

    #[cold]
    fn lookup_long(&self, name: &[u8]) -> Option<CommandId> {
        let mut long = self.long.iter();
        long.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, id)| *id)
    }

    /// The command called `name`, with what running it needs.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<Found> {
        self.lookup(name).map(|id| self.found(id))
    }

    /// What running `id` needs.
    #[inline]
    pub fn found(&self, id: CommandId) -> Found {
        let entry = self.entry(id);
        Found { id, first_key: entry.first_key_index, command: entry.command }
    }

    /// The subcommand of `container` of this name in any case. O(its subcommands).
    pub fn subcommand(&self, container: CommandId, name: &[u8]) -> Option<CommandId> {
        let mut children = self.children(self.entry(container)).iter();
        let named =
            |child: &&CommandEntry| child.command.name.as_bytes().eq_ignore_ascii_case(name);
        children.find(named).map(|child| child.id)
    }

    /// What a request means: its command, or the subcommand where one is named.
    pub fn resolve(&self, args: Args<'_>) -> Option<&CommandEntry> {
        let entry = self.entry(self.lookup(args.at(0))?);
        if !entry.is_container() || args.len() == 1 {
            return Some(entry);
        }
        Some(self.entry(self.subcommand(entry.id, args.at(1))?))
    }

    /// The command called `client|list` or `get`, in any case.
    pub fn lookup_full(&self, name: &[u8]) -> Option<&CommandEntry> {
        let mut parts = name.splitn(2, |byte| *byte == b'|');
        let command = self.lookup(parts.next()?)?;
        Some(self.entry(match parts.next() {
            Some(subcommand) => self.subcommand(command, subcommand)?,
            None => command,
        }))
    }

    /// The entry of `id`.
    #[inline]
    pub fn entry(&self, id: CommandId) -> &CommandEntry {
        // Ids come from a table, and all tables of a program have the same.
        &self.entries[id.index()]
    }

    /// The declaration of `id`.
    #[inline]
    pub fn command(&self, id: CommandId) -> &'static Command {
        self.entry(id).command
    }

    /// The name of `id` with that of its container: `client|list`.
    pub fn full_name(&self, id: CommandId) -> &'static str {
        self.entry(id).full_name
    }

    /// How many ids there are, subcommands and removed commands included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no commands; there are.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Commands without their subcommands, in the order of their ids.
    pub fn commands(&self) -> impl ExactSizeIterator<Item = &CommandEntry> + Clone {
        self.present.iter().map(|id| self.entry(*id))
    }

    /// All that is declared, by id: also what `rename-command` has taken away.
    pub fn declared(&self) -> &[CommandEntry] {
        &self.entries
    }

    /// Commands, each followed by its subcommands.
    pub fn commands_and_subcommands(&self) -> impl Iterator<Item = &CommandEntry> + Clone {
        self.commands().flat_map(|entry| std::iter::once(entry).chain(self.children(entry)))
    }

    /// The subcommands of `entry`.
    pub fn children(&self, entry: &CommandEntry) -> &[CommandEntry] {
        let first = usize::from(entry.first_child);
        self.entries.get(first..first + usize::from(entry.child_count)).unwrap_or(&[])
    }

    /// The container that `entry` is a subcommand of. O(commands).
    pub fn parent(&self, entry: &CommandEntry) -> Option<&CommandEntry> {
        self.entries.iter().find(|container| container.has_child(entry.id))
    }

    fn index_name(&mut self, name: &[u8], id: CommandId) {
        let Some(packed) = pack(name) else {
            self.long.push((name.into(), id));
            return;
        };
        let entry = &mut self.entries[id.index()];
        entry.name = packed.map(lower_case);
        entry.name_len = name.len() as u8;
        let mut slot = slot_of(packed);
        while self.slots[slot] != EMPTY {
            slot = next_slot(slot);
        }
        self.slots[slot] = id.0;
    }

    /// Takes the name of `id` away, and closes the gap in its run of slots.
    fn unindex(&mut self, id: CommandId) {
        self.long.retain(|(_, long)| *long != id);
        let Some(mut slot) = self.slots.iter().position(|slot| *slot == id.0) else {
            return;
        };
        self.slots[slot] = EMPTY;
        loop {
            slot = next_slot(slot);
            let moved = self.slots[slot];
            if moved == EMPTY {
                return;
            }
            self.slots[slot] = EMPTY;
            let mut free = slot_of(self.entries[usize::from(moved)].name);
            while self.slots[free] != EMPTY {
                free = next_slot(free);
            }
            self.slots[free] = moved;
        }
    }
}

impl CommandEntry {
    fn has_child(&self, id: CommandId) -> bool {
        (self.first_child..self.first_child + u16::from(self.child_count)).contains(&id.0)
    }
}

fn is_subcommand(entries: &[CommandEntry], id: CommandId) -> bool {
    entries[id.index()].full_name.len() != entries[id.index()].command.name.len()
}

/// A name of 1 to 16 bytes as two words. Together with its length it is unambiguous.
#[inline]
fn pack(name: &[u8]) -> Option<[u64; 2]> {
    // Two reads that may overlap: no loop, no padding, and never a byte outside the name.
    if let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        return (name.len() <= 16).then(|| [u64::from_le_bytes(*first), u64::from_le_bytes(*last)]);
    }
    if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return Some([u64::from(first) | u64::from(last) << 32, 0]);
    }
    let (first, middle, last) = (name.first()?, name[name.len() / 2], name.last()?);
    Some([u64::from(u32::from_le_bytes([*first, middle, *last, 0])), 0])
}

/// `A`–`Z` in all eight bytes become `a`–`z`; nothing else changes.
#[inline]
fn lower_case(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;
    let low = word & !HIGH;
    // The high bit of a byte comes to be set where its low seven bits are at least `A`, and above
    // `Z`.
    let from_a = low + (0x80 - b'A' as u64) * EACH;
    let above_z = low + (0x7f - b'Z' as u64) * EACH;
    let capital = from_a & !above_z & !word & HIGH;
    word | capital >> 2
}

#[inline]
fn slot_of(packed: [u64; 2]) -> usize {
    // Setting the bit that tells cases apart is no exact folding, but one instruction; comparison
    // is exact.
    let [first, last] = packed.map(|word| word | 0x2020_2020_2020_2020);
    // Any odd constant with mixed bits does; this is the golden ratio's.
    let mixed = (first ^ last.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - SLOT_BITS)) as usize
}

#[inline]
fn next_slot(slot: usize) -> usize {
    (slot + 1) & ((1 << SLOT_BITS) - 1)
}

/// All commands and subcommands with their ids. To be made once per program: declarations do not
/// change, and full names live as long as the program.
pub struct Catalogue(Vec<CommandEntry>);

impl Catalogue {
    /// Numbers the commands of all families.
    pub fn of(families: &[&'static [Command]]) -> Catalogue {
        let commands = || families.iter().flat_map(|family| family.iter());
        let mut entries: Vec<CommandEntry> =
            commands().enumerate().map(|(id, command)| describe(id, command, None)).collect();
        for index in 0..entries.len() {
            let container = entries[index];
            entries[index].first_child = entries.len() as u16;
            for command in container.command.subcommands {
                entries.push(describe(entries.len(), command, Some(container.full_name)));
            }
        }
        Catalogue(entries)
    }
}

fn describe(id: usize, command: &'static Command, container: Option<&str>) -> CommandEntry {
    let full_name = match container {
        // Lives as long as the program, as the declaration does.
        Some(container) => format!("{container}|{}", command.name).leak(),
        None => command.name,
    };
    let range = LegacyRange::of(command);
    CommandEntry {
        name: [0; 2],
        handler: command.handler,
        command,
        full_name,
        flags: command.flags | if range.is_movable { flag::MOVABLEKEYS } else { 0 },
        categories: categories_of(command),
        id: CommandId(id as u16),
        first_child: 0,
        child_count: command.subcommands.len() as u8,
        arity: command.arity,
        first_key_index: first_key_index(command),
        name_len: 0,
    }
}

/// The ACL categories of a command, as Redis derives them from its flags.
pub fn categories_of(command: &Command) -> u32 {
    let mut categories = command.categories;
    // SORT and WAIT are generic, but not of the keyspace: a declared group replaces that of the
    // documentation.
    if categories & GROUPS == 0 && command.subcommands.is_empty() {
        categories |= command.group.category();
    }
    for (flag, implied) in [
        (flag::WRITE, category::WRITE),
        (flag::READONLY, category::READ),
        (flag::ADMIN, category::ADMIN | category::DANGEROUS),
        (flag::PUBSUB, category::PUBSUB),
        (flag::FAST, category::FAST),
        (flag::BLOCKING, category::BLOCKING),
    ] {
        if command.flags & flag != 0 {
            categories |= implied;
        }
    }
    if categories & category::SCRIPTING != 0 {
        // EVAL_RO reads, but what a script does is not known from its name.
        categories &= !category::READ;
    }
    if categories & category::FAST == 0 {
        categories |= category::SLOW;
    }
    categories
}

/// Categories that say what a command is about rather than what it does.
const GROUPS: u32 = category::KEYSPACE
    | category::SET
    | category::SORTEDSET
    | category::LIST
    | category::HASH
    | category::STRING
    | category::BITMAP
    | category::HYPERLOGLOG
    | category::GEO
    | category::STREAM
    | category::CONNECTION
    | category::TRANSACTION
    | category::SCRIPTING;

/// Key positions as COMMAND told them before there were key specifications; all 0 where there are
/// none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegacyRange {
    /// First key.
    pub first: i16,
    /// Last key; negative: counted from the last argument.
    pub last: i16,
    /// Distance between keys.
    pub step: i16,
    /// These positions are not all there is to say.
    pub is_movable: bool,
}

impl LegacyRange {
    /// The range that says most about the key specifications of `command`.
    pub fn of(command: &Command) -> LegacyRange {
        let mut range = LegacyRange::default();
        for spec in command.keys {
            range.is_movable |= spec.access & access::INCOMPLETE != 0;
            let (Begin::Index(first), Find::Range { last, step, .. }) = (spec.begin, spec.find)
            else {
                range.is_movable = true;
                continue;
            };
            let last = if last < 0 { last } else { first + last };
            if command.keys.len() == 1 {
                return LegacyRange { first, last, step, ..range };
            }
            // Several ranges become one where they follow each other without a gap.
            if step != 1 || (range.last != 0 && range.last != first - 1) {
                range.is_movable = true;
                continue;
            }
            range.first = if range.first == 0 { first } else { range.first.min(first) };
            // Without signs a last key counted from the end is behind all others.
            range.last = (range.last as u16).max(last as u16) as i16;
            range.step = 1;
        }
        range
    }
}

/// The first key where it is the same argument in every request.
fn first_key_index(command: &Command) -> u8 {
    let first = command.keys.first().filter(|spec| spec.access & access::NOT_KEY == 0);
    let index = match first.map(|spec| (spec.begin, spec.find)) {
        Some((Begin::Index(begin), Find::Range { .. })) => begin,
        Some((Begin::Index(begin), Find::Number { first, .. })) => begin + first,
        _ => 0,
    };
    u8::try_from(index).unwrap_or(0)
}

#[cfg(test)]
mod tests;
