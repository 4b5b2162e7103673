//! The rules of ACL SETUSER, `user` lines and ACL files: text → a change of a user.
//!
//! ```text
//! on >secret ~cached:* %R~config:* +@read +set -@dangerous +config|get (~shared:* +del)
//! ```
//!
//! A list of rules changes a copy, so that one that is wrong changes nothing. Errors have Redis's words.
use std::borrow::Cow;
use std::fmt;

use super::commands::Commands;
use super::selector::{Selector, key_access};
use super::user::{PasswordHash, Sanitize, User};
use crate::base::number::is_c_space;
use crate::base::quote::split_args;

/// What rules are read by.
#[derive(Clone, Copy)]
pub struct Rulebook<'a> {
    /// The commands there are.
    pub commands: &'a Commands,
    /// A new set of permissions allows all channels (`acl-pubsub-default`).
    pub allows_channels: bool,
}

/// Why a rule is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// No command or category is called so.
    UnknownCommand,
    /// It is no rule, or its pattern is none.
    Syntax,
    /// A pattern of keys adds nothing to all keys.
    AfterAllKeys,
    /// A pattern of channels adds nothing to all channels.
    AfterAllChannels,
    /// The password to be taken away is none of his.
    NoSuchPassword,
    /// Not the text of a hash.
    BadHash,
    /// The user is defined twice.
    Duplicate,
    /// `+config|get|maxmemory`
    FirstArgOfSubcommand,
}

impl fmt::Display for RuleError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            RuleError::UnknownCommand => "Unknown command or category name in ACL",
            RuleError::Syntax => "Syntax error",
            RuleError::AfterAllKeys => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does \
                 not have any effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            RuleError::AfterAllChannels => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and \
                 does not have any effect. Try 'resetchannels' to start with an empty list of \
                 channels"
            }
            RuleError::NoSuchPassword => {
                "The password you are trying to remove from the user does not exist"
            }
            RuleError::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase \
                 hexadecimal characters"
            }
            RuleError::Duplicate => {
                "Duplicate user found. A user can only be defined once in config files"
            }
            RuleError::FirstArgOfSubcommand => {
                "Allowing first-arg of a subcommand is not supported"
            }
        })
    }
}

/// Whether a name or a pattern can stand in a line of words: it has no blank and no NUL.
pub fn is_word(text: &[u8]) -> bool {
    !text.iter().any(|&byte| byte == 0 || is_c_space(byte))
}

/// Puts the pieces of each selector together: clients and lines send `(~a +get)` as two words.
#[derive(Debug, Default)]
pub struct Merger {
    /// A selector that has not ended: its first word, and all so far.
    open: Option<(Vec<u8>, Vec<u8>)>,
}

impl Merger {
    /// The next word: a rule, or `None` inside of a selector. The error is the word that opens a selector nobody
    /// closes.
    pub fn feed<'w>(&mut self, word: &'w [u8]) -> Result<Option<Cow<'w, [u8]>>, Vec<u8>> {
        let is_closing = word.ends_with(b")");
        let is_opening = word.starts_with(b"(") && !is_closing;
        let Some((opener, text)) = &mut self.open else {
            if is_opening {
                self.open = Some((word.to_vec(), word.to_vec()));
                return Ok(None);
            }
            return Ok(Some(Cow::Borrowed(word)));
        };
        if is_opening {
            // DIFFERS: Redis forgets the selector that was open, and the rules in it.
            return Err(std::mem::take(opener));
        }
        text.push(b' ');
        text.extend_from_slice(word);
        if !is_closing {
            return Ok(None);
        }
        Ok(self.open.take().map(|(_, text)| Cow::Owned(text)))
    }

    /// All words were fed; the next belongs to another list. The error is as in [`Merger::feed`].
    pub fn finish(&mut self) -> Result<(), Vec<u8>> {
        self.open.take().map_or(Ok(()), |(opener, _)| Err(opener))
    }
}

/// Rules with the pieces of each selector put together. The error is the word that opens a selector nobody closes.
pub fn merge_selectors<'w>(words: &[&'w [u8]]) -> Result<Vec<Cow<'w, [u8]>>, Vec<u8>> {
    let mut merged: Vec<Cow<'w, [u8]>> = Vec::with_capacity(words.len());
    let mut merger = Merger::default();
    for &word in words {
        merged.extend(merger.feed(word)?);
    }
    merger.finish()?;
    Ok(merged)
}

impl User {
    /// Changes him by one rule. What a wrong one has changed is not taken back.
    pub fn apply(&mut self, rule: &[u8], book: Rulebook<'_>) -> Result<(), RuleError> {
        match &*rule.to_ascii_lowercase() {
            b"" => {}
            b"on" => self.is_on = true,
            b"off" => self.is_on = false,
            b"skip-sanitize-payload" => self.sanitize = Sanitize::Skip,
            b"sanitize-payload" => self.sanitize = Sanitize::Always,
            b"nopass" => {
                self.needs_no_password = true;
                self.passwords.clear();
            }
            b"resetpass" => {
                self.needs_no_password = false;
                self.passwords.clear();
            }
            b"clearselectors" => self.selectors.clear(),
            b"reset" => {
                *self = User::new(book.allows_channels);
                self.sanitize = Sanitize::Always;
            }
            _ => return self.apply_longer(rule, book),
        }
        Ok(())
    }

    fn apply_longer(&mut self, rule: &[u8], book: Rulebook<'_>) -> Result<(), RuleError> {
        match rule {
            [b'>', password @ ..] => self.add_password(PasswordHash::of(password)),
            [b'#', hash @ ..] => {
                self.add_password(PasswordHash::parse(hash).ok_or(RuleError::BadHash)?);
            }
            [b'<', password @ ..] => return self.remove_password(PasswordHash::of(password)),
            [b'!', hash @ ..] => {
                let hash = PasswordHash::parse(hash).ok_or(RuleError::BadHash)?;
                return self.remove_password(hash);
            }
            [b'(', rules @ .., b')'] => self.selectors.push(parse_selector(rules, book)?),
            rule => return self.root.apply(rule, book.commands),
        }
        Ok(())
    }

    fn add_password(&mut self, hash: PasswordHash) {
        self.needs_no_password = false;
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
    }

    fn remove_password(&mut self, hash: PasswordHash) -> Result<(), RuleError> {
        let known = self.passwords.iter().position(|known| *known == hash);
        self.passwords.remove(known.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }
}

/// What stands between the parentheses of a selector.
fn parse_selector(text: &[u8], book: Rulebook<'_>) -> Result<Selector, RuleError> {
    // DIFFERS: Redis takes a selector with a quote that is not closed for an empty one.
    let words = if text.contains(&0) { None } else { split_args(text) };
    let mut selector = Selector::new(book.allows_channels);
    for word in words.ok_or(RuleError::Syntax)? {
        selector.apply(&word, book.commands)?;
    }
    Ok(selector)
}

impl Selector {
    /// Changes it by one rule; one that is wrong changes nothing.
    fn apply(&mut self, rule: &[u8], commands: &Commands) -> Result<(), RuleError> {
        match &*rule.to_ascii_lowercase() {
            b"allkeys" | b"~*" => {
                self.has_all_keys = true;
                self.keys.clear();
            }
            b"resetkeys" => {
                self.has_all_keys = false;
                self.keys.clear();
            }
            b"allchannels" | b"&*" => {
                self.has_all_channels = true;
                self.channels.clear();
            }
            b"resetchannels" => {
                self.has_all_channels = false;
                self.channels.clear();
            }
            b"allcommands" | b"+@all" => self.set_all_commands(commands, true),
            b"nocommands" | b"-@all" => self.set_all_commands(commands, false),
            _ => return self.apply_longer(rule, commands),
        }
        Ok(())
    }

    fn apply_longer(&mut self, rule: &[u8], commands: &Commands) -> Result<(), RuleError> {
        match rule {
            [b'~' | b'%', ..] if self.has_all_keys => return Err(RuleError::AfterAllKeys),
            [b'~', pattern @ ..] => self.allow_keys(word(pattern)?, key_access::ALL),
            [b'%', rest @ ..] => {
                let (access, pattern) = key_access_of(rest)?;
                self.allow_keys(word(pattern)?, access);
            }
            [b'&', ..] if self.has_all_channels => return Err(RuleError::AfterAllChannels),
            [b'&', pattern @ ..] => self.allow_channels(word(pattern)?),
            [sign @ (b'+' | b'-'), b'@', name @ ..] => {
                let reach = commands.category_reach(name).ok_or(RuleError::UnknownCommand)?;
                self.set_commands(reach, *sign == b'+');
            }
            [b'+', name @ ..] => return self.allow_command(name, commands),
            [b'-', name @ ..] => {
                let index = commands.find(name).ok_or(RuleError::UnknownCommand)?;
                self.set_commands(commands.family(index), false);
            }
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    /// `+get`, `+config|get`, `+select|0`.
    fn allow_command(&mut self, name: &[u8], commands: &Commands) -> Result<(), RuleError> {
        let find = |name: &[u8]| commands.find(name).ok_or(RuleError::UnknownCommand);
        let Some(bar) = name.iter().rposition(|&byte| byte == b'|') else {
            self.set_commands(commands.family(find(name)?), true);
            return Ok(());
        };
        let (command, argument) = (find(&name[..bar])?, &name[bar + 1..]);
        if commands.is_subcommand(command) {
            return Err(RuleError::FirstArgOfSubcommand);
        }
        if argument.is_empty() {
            return Err(RuleError::Syntax);
        }
        if commands.is_container(command) {
            self.set_commands(commands.family(find(name)?), true);
            return Ok(());
        }
        // DIFFERS: Redis takes an argument with blanks, and writes an ACL file that it cannot read.
        let argument = word(argument)?;
        log::warn!(
            "Deprecation warning: Allowing a first arg of an otherwise blocked command is a misuse \
             of ACL and may get disabled in the future (offender: +{})",
            name.escape_ascii()
        );
        self.allow_first_arg(command, argument);
        Ok(())
    }
}

/// `RW~pattern`, what follows a `%`: each letter at most once, in any case. As in Redis the pattern may be missing with
/// its `~`: it is the empty one then.
fn key_access_of(text: &[u8]) -> Result<(u8, &[u8]), RuleError> {
    let mut access = 0;
    for (at, byte) in text.iter().enumerate() {
        let bit = match byte {
            b'R' | b'r' => key_access::READ,
            b'W' | b'w' => key_access::WRITE,
            // DIFFERS: Redis takes `%~a`, and ends when it has to print that.
            b'~' if access != 0 => return Ok((access, &text[at + 1..])),
            _ => return Err(RuleError::Syntax),
        };
        if access & bit != 0 {
            return Err(RuleError::Syntax);
        }
        access |= bit;
    }
    if access == 0 { Err(RuleError::Syntax) } else { Ok((access, &[])) }
}

fn word(text: &[u8]) -> Result<&[u8], RuleError> {
    if is_word(text) { Ok(text) } else { Err(RuleError::Syntax) }
}
