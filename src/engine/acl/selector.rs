//! One set of permissions: commands, keys and channels. A user has one of its own and may have more, and a command
//! needs one that allows all of it.
//!
//! A check is one bit for the command, one glob match per key and pattern, and nothing for keys where all are allowed.
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};

use super::commands::{CommandSet, Commands};
use crate::base::glob::{Case, glob_match};
use crate::engine::spec::{access, flag};

/// What may be done with the keys of a pattern, or is done with a key: bits.
pub mod key_access {
    /// The value is looked at.
    pub const READ: u8 = 1;
    /// The value changes, or the key.
    pub const WRITE: u8 = 2;
    /// Both.
    pub const ALL: u8 = READ | WRITE;
}

/// The bits of [`key_access`] that a use of a key (bits of [`access`]) asks for. None: any pattern that matches will
/// do, since nothing of the value is told (EXISTS).
pub fn asked_of_key(key_use: u32) -> u8 {
    let reads = key_use & access::ACCESS != 0;
    let writes = key_use & (access::INSERT | access::DELETE | access::UPDATE) != 0;
    let bit = |is_asked, bit| if is_asked { bit } else { 0 };
    bit(reads, key_access::READ) | bit(writes, key_access::WRITE)
}

/// Keys that may be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    /// Bits of [`key_access`], at least one.
    pub access: u8,
    /// Glob pattern.
    pub pattern: Box<[u8]>,
}

/// One set of permissions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// What may be run, whatever the arguments.
    pub commands: CommandSet,
    /// What may be run if its first argument is one of these (`+select|0`), by id. Invariant: none of these commands is
    /// in `commands`, and none of the lists is empty.
    pub first_args: BTreeMap<usize, Vec<Box<[u8]>>>,
    /// All keys, for everything. Invariant: `keys` is empty then.
    pub has_all_keys: bool,
    /// The keys that may be named, none of the patterns twice.
    pub keys: Vec<KeyPattern>,
    /// All channels. Invariant: `channels` is empty then.
    pub has_all_channels: bool,
    /// The channels that may be named, none of the patterns twice.
    pub channels: Vec<Box<[u8]>>,
    /// Where the patterns of keys stand, where they are many.
    key_places: Places,
    /// Where those of channels do.
    channel_places: Places,
}

/// Patterns found by looking at all of them.
const FEW_PATTERNS: usize = 64;
/// Patterns whose places are noted by one search.
const NOTED_PER_SEARCH: usize = 64;

/// Where each pattern of a list stands, by its hash, once they are many: so that the list grows by one in no time. It
/// is noted little by little, and follows from the list, so any two are equal and a copy begins anew.
#[derive(Debug, Default)]
struct Places {
    by_hash: HashMap<u64, usize>,
    hasher: RandomState,
    noted: usize,
    /// Two patterns of one hash: only looking at all of them tells.
    has_twins: bool,
}

impl Clone for Places {
    fn clone(&self) -> Places {
        Places::default()
    }
}

impl PartialEq for Places {
    fn eq(&self, _: &Places) -> bool {
        true
    }
}

impl Eq for Places {}

impl Places {
    /// Where a pattern stands in a list of `len` that has grown at its end, or was emptied, since the last call.
    fn find<'l>(
        &mut self,
        len: usize,
        at: impl Fn(usize) -> &'l Box<[u8]>,
        pattern: &[u8],
    ) -> Option<usize> {
        if len < FEW_PATTERNS || len < self.noted {
            *self = Places::default();
        }
        if len < FEW_PATTERNS || self.has_twins {
            return (0..len).find(|&place| **at(place) == *pattern);
        }
        let end = len.min(self.noted + NOTED_PER_SEARCH);
        for place in self.noted..end {
            let hash = self.hasher.hash_one(&**at(place));
            self.has_twins |= self.by_hash.insert(hash, place).is_some();
        }
        self.noted = end;
        if self.has_twins {
            return self.find(len, at, pattern);
        }
        let noted = self.by_hash.get(&self.hasher.hash_one(pattern)).copied();
        let noted = noted.filter(|&place| **at(place) == *pattern);
        noted.or_else(|| (self.noted..len).find(|&place| **at(place) == *pattern))
    }
}

impl Selector {
    /// One that allows nothing, but for channels where new users get them (`acl-pubsub-default`).
    pub fn new(has_all_channels: bool) -> Selector {
        Selector { has_all_channels, ..Selector::default() }
    }

    /// Whether there is nothing it does not allow.
    pub fn is_unrestricted(&self, commands: &Commands) -> bool {
        self.has_all_keys && self.has_all_channels && self.commands.covers(commands.everything())
    }

    /// Whether it allows the command of this id, whose flags these are, with this first argument.
    #[inline]
    pub fn allows_command(&self, index: usize, flags: u32, first_arg: Option<&[u8]>) -> bool {
        if self.commands.has(index) || flags & flag::NO_AUTH != 0 {
            return true;
        }
        let allowed = self.first_args.get(&index);
        allowed.zip(first_arg).is_some_and(|(allowed, given)| {
            allowed.iter().any(|word| word.eq_ignore_ascii_case(given))
        })
    }

    /// Whether it allows this use (bits of [`key_access`]) of a key.
    #[inline]
    pub fn allows_key(&self, key: &[u8], asked: u8) -> bool {
        let allows = |known: &KeyPattern| {
            known.access & asked == asked && glob_match(&known.pattern, key, Case::Sensitive)
        };
        self.has_all_keys || self.keys.iter().any(allows)
    }

    /// Whether it allows this use of whatever key.
    pub fn allows_all_keys(&self, asked: u8) -> bool {
        let allows = |known: &KeyPattern| known.access & asked == asked && *known.pattern == *b"*";
        self.has_all_keys || self.keys.iter().any(allows)
    }

    /// Whether it allows a channel, or a pattern of channels: that only if it is written as one of its own.
    pub fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.has_all_channels || channel_is_listed(&self.channels, channel, is_pattern)
    }

    /// Allows or forbids what a rule is about; first arguments allowed before are forgotten.
    pub(super) fn set_commands(&mut self, reach: &CommandSet, is_allowed: bool) {
        self.commands.set_all_of(reach, is_allowed);
        self.first_args.retain(|index, _| !reach.has(*index));
    }

    /// Allows everything, commands to come included, or nothing.
    pub(super) fn set_all_commands(&mut self, commands: &Commands, is_allowed: bool) {
        self.commands = if is_allowed { *commands.everything() } else { CommandSet::default() };
        self.first_args.clear();
    }

    /// Allows a command with this first argument.
    pub(super) fn allow_first_arg(&mut self, index: usize, word: &[u8]) {
        // Where the command is allowed with all arguments there is nothing to add: whatever forbids it later would
        // forget this.
        if self.commands.has(index) {
            return;
        }
        let allowed = self.first_args.entry(index).or_default();
        if !allowed.iter().any(|known| known.eq_ignore_ascii_case(word)) {
            allowed.push(word.into());
        }
    }

    /// Adds a pattern of keys, or what may be done with one that is there.
    pub(super) fn allow_keys(&mut self, pattern: &[u8], access: u8) {
        let keys = &mut self.keys;
        let place = self.key_places.find(keys.len(), |at| &keys[at].pattern, pattern);
        match place.and_then(|at| keys.get_mut(at)) {
            Some(known) => known.access |= access,
            None => keys.push(KeyPattern { access, pattern: pattern.into() }),
        }
    }

    /// Adds a pattern of channels.
    pub(super) fn allow_channels(&mut self, pattern: &[u8]) {
        let channels = &mut self.channels;
        let place = self.channel_places.find(channels.len(), |at| &channels[at], pattern);
        if place.is_none() {
            channels.push(pattern.into());
        }
    }
}

/// Whether one of these patterns matches a channel, or is this pattern of channels.
pub fn channel_is_listed<P: AsRef<[u8]>>(listed: &[P], channel: &[u8], is_pattern: bool) -> bool {
    listed.iter().map(P::as_ref).any(|known| match is_pattern {
        true => known == channel,
        false => glob_match(known, channel, Case::Sensitive),
    })
}
