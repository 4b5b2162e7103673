//! The commands as rules name them, and sets of commands.
//!
//! A set has one bit per command and subcommand, by id, and one for the commands to come (`+@all` sets it). The
//! members of a category are such a set, made once per server, so a rule about a category, the count of what a
//! category has in common with a user and the question whether a user may run a command are a few machine words.
//!
//! Rules name commands as they are declared, whatever `rename-command` calls them.
use crate::engine::spec::category;
use crate::engine::table::CommandTable;

/// Words of a set: room for 1024 commands and subcommands, as in Redis; there are some 430.
const WORDS: usize = 16;

/// Commands and subcommands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandSet {
    words: [u64; WORDS],
    /// Commands that later versions bring are in it.
    pub has_future: bool,
}

impl CommandSet {
    /// Whether the command of this id is in it.
    #[inline]
    pub fn has(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 != 0)
    }

    /// Puts the command of this id in, or takes it out. An id without a bit stays out, so nobody may run it who is not
    /// allowed everything.
    pub fn set(&mut self, index: usize, is_in: bool) {
        if let Some(word) = self.words.get_mut(index / 64) {
            let bit = 1 << (index % 64);
            *word = if is_in { *word | bit } else { *word & !bit };
        }
    }

    /// Puts in, or takes out, all that `other` has; commands to come stay what they are.
    pub fn set_all_of(&mut self, other: &CommandSet, is_in: bool) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word = if is_in { *word | other } else { *word & !other };
        }
    }

    /// How many of `other`'s commands it has, and how many it does not have.
    fn count_of(&self, other: &CommandSet) -> (u32, u32) {
        let pairs = || self.words.iter().zip(&other.words);
        let has = pairs().map(|(word, other)| (word & other).count_ones()).sum();
        let lacks = pairs().map(|(word, other)| (!word & other).count_ones()).sum();
        (has, lacks)
    }

    /// Whether it has every command that `other` has, those to come left aside.
    pub fn covers(&self, other: &CommandSet) -> bool {
        self.words.iter().zip(&other.words).all(|(word, other)| !word & other == 0)
    }
}

/// One command or subcommand.
#[derive(Clone, Debug)]
struct Known {
    full_name: &'static str,
    /// Itself and its subcommands: what a rule with its name is about.
    family: CommandSet,
    is_subcommand: bool,
    is_container: bool,
}

/// One category.
#[derive(Clone, Debug)]
struct Category {
    name: &'static str,
    /// The commands that are in it.
    members: CommandSet,
    /// Those and all their subcommands: what a rule with its name is about.
    reach: CommandSet,
}

/// All commands of a server by name, and its categories.
#[derive(Clone, Debug)]
pub struct Commands {
    /// By id.
    known: Vec<Known>,
    /// Ids of the commands, each followed by its subcommands.
    order: Vec<usize>,
    /// In the order of [`category::NAMES`].
    categories: Vec<Category>,
    /// All commands, those to come included.
    everything: CommandSet,
}

impl Commands {
    /// Those of a table. Some 10 microseconds.
    pub fn of(table: &CommandTable) -> Commands {
        let entries = table.declared();
        let mut known: Vec<Known> = entries
            .iter()
            .map(|entry| {
                let mut family = CommandSet::default();
                family.set(entry.id.index(), true);
                table.children(entry).iter().for_each(|child| family.set(child.id.index(), true));
                Known {
                    full_name: entry.full_name,
                    family,
                    is_subcommand: false,
                    is_container: entry.is_container(),
                }
            })
            .collect();
        let mut everything = CommandSet { has_future: true, ..CommandSet::default() };
        for entry in entries {
            everything.set(entry.id.index(), true);
            table.children(entry).iter().for_each(|sub| known[sub.id.index()].is_subcommand = true);
        }
        let mut order = Vec::with_capacity(known.len());
        for entry in entries.iter().filter(|entry| !known[entry.id.index()].is_subcommand) {
            order.push(entry.id.index());
            order.extend(table.children(entry).iter().map(|child| child.id.index()));
        }
        let categories = category::NAMES
            .iter()
            .map(|&(bit, name)| {
                let (mut members, mut reach) = (CommandSet::default(), CommandSet::default());
                for entry in entries.iter().filter(|entry| entry.categories & bit != 0) {
                    members.set(entry.id.index(), true);
                    reach.set_all_of(&known[entry.id.index()].family, true);
                }
                Category { name, members, reach }
            })
            .collect();
        Commands { known, order, categories, everything }
    }

    /// All commands, those to come included.
    pub fn everything(&self) -> &CommandSet {
        &self.everything
    }

    /// The id of the command called `get` or `config|set`, in any case. O(commands).
    pub fn find(&self, full_name: &[u8]) -> Option<usize> {
        let is_called = |known: &Known| known.full_name.as_bytes().eq_ignore_ascii_case(full_name);
        self.known.iter().position(is_called)
    }

    /// What a rule with the name of this command is about: itself and its subcommands.
    pub fn family(&self, index: usize) -> &CommandSet {
        &self.known[index].family
    }

    /// Whether it is a subcommand.
    pub fn is_subcommand(&self, index: usize) -> bool {
        self.known[index].is_subcommand
    }

    /// Whether it has subcommands.
    pub fn is_container(&self, index: usize) -> bool {
        self.known[index].is_container
    }

    /// What a rule with the name of this category is about; the name in any case, without `@`.
    pub fn category_reach(&self, name: &[u8]) -> Option<&CommandSet> {
        self.category_named(name).map(|category| &category.reach)
    }

    /// Full names of the commands in a category, each command before its subcommands.
    pub fn names_in_category(&self, name: &[u8]) -> Option<Vec<&'static str>> {
        let category = self.category_named(name)?;
        let members = self.order.iter().filter(|&&index| category.members.has(index));
        Some(members.map(|&index| self.known[index].full_name).collect())
    }

    fn category_named(&self, name: &[u8]) -> Option<&Category> {
        self.categories.iter().find(|known| known.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Rules that make exactly this set, each followed by a space. `first_args` appends rules for a command that is not
    /// in the set, given its id and its name.
    ///
    /// Begins with everything or nothing; then categories, each time the one that brings fewest wrong commands with it,
    /// and at last single commands. O(categories²) words, and O(commands).
    pub fn describe(
        &self,
        wanted: &CommandSet,
        mut first_args: impl FnMut(usize, &str, &mut Vec<u8>),
        text: &mut Vec<u8>,
    ) {
        let is_additive = !wanted.has_future;
        let mut made = if is_additive { CommandSet::default() } else { self.everything };
        text.extend_from_slice(if is_additive { b"-@all " } else { b"+@all " });
        for category in self.best_categories(wanted) {
            text.extend_from_slice(if is_additive { b"+@" } else { b"-@" });
            text.extend_from_slice(category.name.as_bytes());
            text.push(b' ');
            made.set_all_of(&category.reach, is_additive);
        }
        for &index in &self.order {
            let known = &self.known[index];
            let is_wanted = wanted.has(index);
            if is_wanted != made.has(index) {
                text.push(if is_wanted { b'+' } else { b'-' });
                text.extend_from_slice(known.full_name.as_bytes());
                text.push(b' ');
                // Those of its subcommands that this makes wrong come right after it.
                made.set_all_of(&known.family, is_wanted);
            }
            if !is_wanted {
                first_args(index, known.full_name, text);
            }
        }
        debug_assert_eq!(made, *wanted, "{}", String::from_utf8_lossy(text));
    }

    /// The categories worth a rule, in the order of their rules.
    fn best_categories(&self, wanted: &CommandSet) -> Vec<&Category> {
        let is_additive = !wanted.has_future;
        let mut left = *wanted;
        let mut is_used = vec![false; self.categories.len()];
        let mut chosen = Vec::new();
        loop {
            // (wrong commands it brings, right ones, which)
            let mut best: Option<(u32, u32, usize)> = None;
            for (at, category) in self.categories.iter().enumerate() {
                let (has, lacks) = left.count_of(&category.members);
                let (wrong, right) = if is_additive { (lacks, has) } else { (has, lacks) };
                let is_better = best.is_none_or(|(least_wrong, most_right, _)| {
                    wrong < least_wrong || (wrong == least_wrong && right > most_right)
                });
                if !is_used[at] && right > wrong && is_better {
                    best = Some((wrong, right, at));
                }
            }
            let Some((_, _, at)) = best else { return chosen };
            is_used[at] = true;
            // What it says is said: other categories get no credit for it.
            left.set_all_of(&self.categories[at].reach, !is_additive);
            chosen.push(&self.categories[at]);
        }
    }
}
