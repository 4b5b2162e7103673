//! ACL files, and the `user` lines of configuration files: the same lines, read with more and with less tolerance.
//!
//! ```text
//! user alice on #5e88… ~cached:* resetchannels -@all +@read (~own:* resetchannels -@all +set)
//! ```
//!
//! A file is taken as a whole or not at all, and what is wrong with it is told for all of its lines at once.
use super::commands::Commands;
use super::rule::{RuleError, Rulebook, is_word, merge_selectors};
use super::user::User;
use super::users::{Accounts, DEFAULT};
use crate::base::shards::Shards;
use crate::engine::table::CommandTable;

/// An ACL file on its way, line by line.
#[derive(Debug)]
pub struct FileParser {
    /// The file's name as it is configured.
    shown: String,
    allows_channels: bool,
    text: Vec<u8>,
    /// Bytes of it, and lines, that were read.
    at: usize,
    lines: usize,
    names: Shards<Vec<u8>, ()>,
    accounts: Accounts,
    errors: String,
}

impl FileParser {
    /// Of this text. `default` is as new where he is not in the file.
    pub fn new(text: Vec<u8>, shown: String, book: Rulebook<'_>) -> FileParser {
        FileParser {
            shown,
            allows_channels: book.allows_channels,
            text,
            at: 0,
            lines: 0,
            names: Shards::default(),
            accounts: Accounts::new(book.commands),
            errors: String::new(),
        }
    }

    /// Reads the next line; false: there was none left.
    pub fn step(&mut self, commands: &Commands) -> bool {
        let Some(rest) = self.text.get(self.at..).filter(|rest| !rest.is_empty()) else {
            return false;
        };
        let len = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        let line = trim(&rest[..len], b" \t\r\n");
        (self.at, self.lines) = (self.at + len + 1, self.lines + 1);
        if line.is_empty() {
            return true;
        }
        let place = format!("{}:{}", self.shown, self.lines);
        let book = Rulebook { commands, allows_channels: self.allows_channels };
        match parse_line(line, &place, &mut self.names, book) {
            Ok((name, user)) => self.accounts.put(&name, user, commands),
            Err(wrong) => self.errors.push_str(&wrong),
        }
        true
    }

    /// The users, or all that is wrong with the file.
    pub fn finish(mut self) -> Result<Accounts, String> {
        if self.errors.is_empty() {
            return Ok(self.accounts);
        }
        self.errors.push_str(
            "WARNING: ACL errors detected, no change to the previously active ACL rules was \
             performed",
        );
        Err(self.errors)
    }
}

/// The users of the text of an ACL file, in the order of their names, or all that is wrong with it.
///
/// # Errors
/// As [`FileParser::finish`].
pub fn parse_file(
    text: &[u8],
    shown: &str,
    book: Rulebook<'_>,
) -> Result<Vec<(Vec<u8>, User)>, String> {
    let mut parser = FileParser::new(text.to_vec(), shown.to_owned(), book);
    while parser.step(book.commands) {}
    let has_default = parser.names.get(DEFAULT).is_some();
    let accounts = parser.finish()?;
    let users = accounts.users().filter(|&(name, _)| has_default || name != DEFAULT);
    Ok(users.map(|(name, user)| (name.to_vec(), user.clone())).collect())
}

fn parse_line(
    line: &[u8],
    place: &str,
    names: &mut Shards<Vec<u8>, ()>,
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
    let names_before = names.len();
    names.get_or_default(name.to_vec());
    if names.len() == names_before {
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
