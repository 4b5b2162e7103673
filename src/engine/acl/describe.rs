//! A user as rules: what ACL LIST, ACL GETUSER, ACL SAVE and CONFIG REWRITE print.
//!
//! Promise: a new user changed by the rules of [`User::describe`] equals the one described. Cost: some microseconds.
use super::commands::Commands;
use super::selector::{KeyPattern, Selector, key_access};
use super::user::{Sanitize, User};
use crate::base::quote::quote_into;

impl User {
    /// His flags as rules, in the order Redis prints them.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let sanitize = match self.sanitize {
            Sanitize::Unsaid => None,
            Sanitize::Always => Some("sanitize-payload"),
            Sanitize::Skip => Some("skip-sanitize-payload"),
        };
        let is_on = if self.is_on { "on" } else { "off" };
        [Some(is_on), self.needs_no_password.then_some("nopass"), sanitize].into_iter().flatten()
    }

    /// All his rules, with spaces between them.
    pub fn describe(&self, commands: &Commands) -> Vec<u8> {
        let mut words: Vec<Vec<u8>> = self.flags().map(|flag| flag.as_bytes().to_vec()).collect();
        words.extend(self.passwords.iter().map(|hash| [b"#", &*hash.to_text()].concat()));
        words.push(self.root.describe(commands, Place::Line));
        for selector in &self.selectors {
            let text = selector.describe(commands, Place::Parentheses);
            words.push([b"(", &*text, b")"].concat());
        }
        words.join(&b' ')
    }
}

/// Where rules stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a line of words.
    Line,
    /// In parentheses, where quotes have a meaning and the one that closes ends everything.
    Parentheses,
}

impl Selector {
    fn describe(&self, commands: &Commands, place: Place) -> Vec<u8> {
        let mut words: Vec<Vec<u8>> = match self.has_all_keys {
            true => vec![b"~*".to_vec()],
            false => self.keys.iter().map(key_rule).collect(),
        };
        if self.has_all_channels {
            words.push(b"&*".to_vec());
        } else {
            words.push(b"resetchannels".to_vec());
            words.extend(self.channels.iter().map(|pattern| [b"&", &**pattern].concat()));
        }
        if place == Place::Parentheses {
            words.iter_mut().for_each(quote_for_parentheses);
        }
        words.push(self.describe_commands_for(commands, place));
        words.join(&b' ')
    }

    /// The rules about keys, as ACL GETUSER prints them.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.has_all_keys {
            return b"~*".to_vec();
        }
        self.keys.iter().map(key_rule).collect::<Vec<_>>().join(&b' ')
    }

    /// The rules about channels, as ACL GETUSER prints them.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.has_all_channels {
            return b"&*".to_vec();
        }
        let rules = self.channels.iter().map(|pattern| [b"&", &**pattern].concat());
        rules.collect::<Vec<_>>().join(&b' ')
    }

    /// The rules about commands: `+@all` or `-@all`, then categories, then single commands.
    pub fn describe_commands(&self, commands: &Commands) -> Vec<u8> {
        self.describe_commands_for(commands, Place::Line)
    }

    fn describe_commands_for(&self, commands: &Commands, place: Place) -> Vec<u8> {
        let first_args = |index: usize, name: &str, text: &mut Vec<u8>| {
            for word in self.first_args.get(&index).into_iter().flatten() {
                let mut rule = [b"+", name.as_bytes(), b"|", &**word].concat();
                if place == Place::Parentheses {
                    quote_for_parentheses(&mut rule);
                }
                text.extend_from_slice(&rule);
                text.push(b' ');
            }
        };
        let mut text = Vec::new();
        commands.describe(&self.commands, first_args, &mut text);
        text.pop();
        text
    }
}

fn key_rule(pattern: &KeyPattern) -> Vec<u8> {
    let sign: &[u8] = match pattern.access {
        key_access::READ => b"%R~",
        key_access::WRITE => b"%W~",
        // DIFFERS: Redis prints `~*`, after which it refuses the patterns that follow in the file it wrote.
        _ if *pattern.pattern == *b"*" => b"%RW~",
        _ => b"~",
    };
    [sign, &*pattern.pattern].concat()
}

/// DIFFERS: Redis quotes nothing, and reads something else back.
fn quote_for_parentheses(rule: &mut Vec<u8>) {
    if rule.ends_with(b")") || rule.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
        let mut quoted = Vec::new();
        quote_into(&mut quoted, rule);
        *rule = quoted;
    }
}
