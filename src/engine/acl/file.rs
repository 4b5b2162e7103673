//! ACL files, and the `user` lines of configuration files: the same lines, read with more and with less tolerance.
//!
//! ```text
//! user alice on #5e88… ~cached:* resetchannels -@all +@read (~own:* resetchannels -@all +set)
//! ```
//!
//! A file is taken as a whole or not at all, and what is wrong with it is told for all of its lines at once.
use std::collections::HashSet;

use super::commands::Commands;
use super::rule::{RuleError, Rulebook, is_word, merge_selectors};
use super::user::User;
use super::users::DEFAULT;
use crate::engine::table::CommandTable;

/// The users of an ACL file, or all that is wrong with it. `shown` is the file's name as it is configured.
pub fn parse_file(
    text: &[u8],
    shown: &str,
    book: Rulebook<'_>,
) -> Result<Vec<(Vec<u8>, User)>, String> {
    let mut users: Vec<(Vec<u8>, User)> = Vec::new();
    let mut names: HashSet<&[u8]> = HashSet::new();
    let mut errors = String::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = trim(line, b" \t\r\n");
        if line.is_empty() {
            continue;
        }
        let place = format!("{shown}:{}", index + 1);
        match parse_line(line, &place, &mut names, book) {
            Ok(user) => users.push(user),
            Err(wrong) => errors.push_str(&wrong),
        }
    }
    if errors.is_empty() {
        return Ok(users);
    }
    errors.push_str(
        "WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
    );
    Err(errors)
}

fn parse_line<'t>(
    line: &'t [u8],
    place: &str,
    names: &mut HashSet<&'t [u8]>,
    book: Rulebook<'_>,
) -> Result<(Vec<u8>, User), String> {
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let [b"user", name, rules @ ..] = &words[..] else {
        return Err(format!("{place} should start with user keyword followed by the username. "));
    };
    let shown = || String::from_utf8_lossy(name);
    if !is_word(name) {
        // The quote is Redis's.
        return Err(format!("'{place}: username '{}' contains invalid characters. ", shown()));
    }
    if !names.insert(name) {
        let line = place.rsplit(':').next().unwrap_or_default();
        return Err(format!("WARNING: Duplicate user '{}' found on line {line}. ", shown()));
    }
    let Ok(rules) = merge_selectors(rules) else {
        return Err(format!("{place}: Unmatched parenthesis in selector definition."));
    };
    let mut user = User::new(book.allows_channels);
    let mut errors = String::new();
    let mut has_other_error = false;
    for rule in rules {
        let rule = trim(&rule, b"\t\r\n");
        match user.apply(rule, book) {
            Ok(()) => {}
            Err(error @ RuleError::UnknownCommand) => errors.push_str(&format!(
                "{place}: Error in applying operation '{}': {error}. ",
                String::from_utf8_lossy(rule)
            )),
            // Only the first: the others may follow from it. And not its text, which may be a secret.
            Err(error) if !has_other_error => {
                errors.push_str(&format!("{place}: {error}. "));
                has_other_error = true;
            }
            Err(_) => {}
        }
    }
    if errors.is_empty() { Ok((name.to_vec(), user)) } else { Err(errors) }
}

fn trim<'t>(mut text: &'t [u8], blanks: &[u8]) -> &'t [u8] {
    while let [first, rest @ ..] = text
        && blanks.contains(first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && blanks.contains(last)
    {
        text = rest;
    }
    text
}

/// Checks `user` lines while a configuration is read, before all of it is known.
pub struct UserLines {
    commands: Commands,
    /// Users that were declared.
    names: Vec<Vec<u8>>,
}

impl UserLines {
    /// For servers with these commands.
    pub fn new(table: &CommandTable) -> UserLines {
        UserLines { commands: Commands::of(table), names: Vec::new() }
    }

    /// Why a line is refused, if so; `words` are the user's name and the rules. Unknown commands are told later, by
    /// [`configured_users`].
    pub fn check(&mut self, words: &[Vec<u8>]) -> Result<(), String> {
        let Some((name, rules)) = words.split_first() else { return Ok(()) };
        // DIFFERS: Redis names the word two places before the one that is wrong.
        let refused = |word: &[u8], error: RuleError| {
            Err(format!("Error in user declaration '{}': {error}", String::from_utf8_lossy(word)))
        };
        if self.names.contains(name) {
            return refused(name, RuleError::Duplicate);
        }
        let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
        let rules = match merge_selectors(&rules) {
            Ok(rules) => rules,
            Err(opener) => return refused(&opener, RuleError::Syntax),
        };
        let book = Rulebook { commands: &self.commands, allows_channels: false };
        let mut user = User::new(book.allows_channels);
        for rule in rules {
            match user.apply(&rule, book) {
                Ok(()) | Err(RuleError::UnknownCommand) => {}
                Err(error) => return refused(&rule, error),
            }
        }
        self.names.push(name.clone());
        Ok(())
    }
}

/// The users of the `user` lines of a configuration, each with the name first; or the line for the log.
pub fn configured_users(
    lines: &[Vec<Vec<u8>>],
    book: Rulebook<'_>,
) -> Result<Vec<(Vec<u8>, User)>, String> {
    let mut users = Vec::with_capacity(lines.len());
    for line in lines {
        let Some((name, rules)) = line.split_first() else { continue };
        if !is_word(name) {
            return Err("Spaces not allowed in ACL usernames".to_owned());
        }
        let shown = String::from_utf8_lossy(name);
        let failed = |rule: &[u8], error: RuleError| {
            let rule = String::from_utf8_lossy(rule);
            format!("Error loading ACL rule '{rule}' for the user named '{shown}': {error}")
        };
        let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
        let rules = merge_selectors(&rules).map_err(|opener| failed(&opener, RuleError::Syntax))?;
        let mut user = User::new(book.allows_channels);
        if name == DEFAULT {
            // He is there already, and is reset.
            user.sanitize = super::user::Sanitize::Always;
        }
        for rule in rules {
            user.apply(&rule, book).map_err(|error| failed(&rule, error))?;
        }
        if !user.is_on {
            log::info!(
                "The user '{shown}' is disabled (there is no 'on' modifier in the user \
                 description). Make sure this is not a configuration error."
            );
        }
        users.push((name.clone(), user));
    }
    Ok(users)
}
