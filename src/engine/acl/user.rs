//! One user: whether he may come in, with which passwords, and what he may do then.
//!
//! Passwords are kept as SHA-256, never as they were given, and compared in a time that does not depend on where they
//! differ.
use sha2::{Digest, Sha256};

use super::commands::Commands;
use super::selector::{Selector, asked_of_key};
use crate::engine::spec::KeyUse;
use crate::proto::args::Args;

/// A password as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordHash(pub(super) [u8; 32]);

/// The length of a hash as text.
const HASH_DIGITS: usize = 64;

impl PasswordHash {
    /// Of a password as a user types it. O(bytes).
    pub fn of(password: &[u8]) -> PasswordHash {
        PasswordHash(Sha256::digest(password).into())
    }

    /// Of its text: 64 hexadecimal digits in lower case.
    pub fn parse(text: &[u8]) -> Option<PasswordHash> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        if text.len() != HASH_DIGITS {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(PasswordHash(hash))
    }

    /// 64 hexadecimal digits.
    pub fn to_text(self) -> Vec<u8> {
        let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
        self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
    }

    /// Whether both are equal, in the same time whatever they are.
    fn is_same(&self, other: &PasswordHash) -> bool {
        let difference = self.0.iter().zip(&other.0).fold(0, |all, (one, other)| all | one ^ other);
        // Keeps the compiler from leaving the loop once a difference is known.
        std::hint::black_box(difference) == 0
    }
}

/// Whether what a user RESTOREs is examined (`sanitize-payload`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sanitize {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// `sanitize-payload`
    Always,
    /// `skip-sanitize-payload`
    Skip,
}

/// Why a user may not run a request; which argument is to blame. Later variants are told rather than earlier ones where
/// several sets of permissions refuse, and among equals the later argument: it is what comes nearest to being allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// The command is not among his.
    Command,
    /// The key at this argument is not.
    Key(usize),
    /// The channel at this argument is not.
    Channel(usize),
}

/// A request to be checked.
pub struct Asked<'a> {
    /// Id of its command.
    pub command: usize,
    /// The flags of that.
    pub flags: u32,
    /// Its arguments, the name first.
    pub args: Args<'a>,
    /// Which of them are keys.
    pub keys: &'a [KeyUse],
    /// Which of them are channels.
    pub channels: Option<Channels>,
}

/// The arguments of a command that are channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Those after this one are none.
    pub last: usize,
    /// They are patterns of channels.
    pub are_patterns: bool,
}

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Whether he may come in (`on`).
    pub is_on: bool,
    /// Any password will do (`nopass`). Invariant: `passwords` is empty then.
    pub needs_no_password: bool,
    /// Whether what he RESTOREs is examined.
    pub sanitize: Sanitize,
    /// Each of these will do; none twice.
    pub passwords: Vec<PasswordHash>,
    /// What he may do.
    pub root: Selector,
    /// What else he may do: a request needs one set that allows all of it.
    pub selectors: Vec<Selector>,
}

impl User {
    /// A new one: off, without a password, allowed nothing, but channels where new users get them.
    pub fn new(has_all_channels: bool) -> User {
        User {
            is_on: false,
            needs_no_password: false,
            sanitize: Sanitize::default(),
            passwords: Vec::new(),
            root: Selector::new(has_all_channels),
            selectors: Vec::new(),
        }
    }

    /// The user `default` as long as nobody says anything else: on, without a password, allowed everything.
    pub fn default_user(commands: &Commands) -> User {
        let mut user = User::new(true);
        user.is_on = true;
        user.needs_no_password = true;
        user.root.set_all_commands(commands, true);
        user.root.has_all_keys = true;
        user
    }

    /// The sets of permissions, his own first.
    pub fn all_selectors(&self) -> impl Iterator<Item = &Selector> + Clone {
        std::iter::once(&self.root).chain(&self.selectors)
    }

    /// Whether there is nothing he may not do.
    pub fn is_unrestricted(&self, commands: &Commands) -> bool {
        self.all_selectors().any(|selector| selector.is_unrestricted(commands))
    }

    /// Whether he may come in with this password.
    pub fn lets_in(&self, password: &[u8]) -> bool {
        if !self.is_on || self.needs_no_password {
            return self.is_on;
        }
        let given = PasswordHash::of(password);
        // All are compared, so the time does not tell which one it was.
        self.passwords.iter().fold(false, |found, known| found | known.is_same(&given))
    }

    /// Only this password will do, or any where there is none (`requirepass`).
    pub fn set_password(&mut self, password: Option<&[u8]>) {
        self.passwords = password.map(PasswordHash::of).into_iter().collect();
        self.needs_no_password = password.is_none();
    }

    /// Whether he may run a request. O(keys × patterns) glob matches.
    pub fn check(&self, asked: &Asked<'_>) -> Result<(), Denial> {
        let mut told = Denial::Command;
        for selector in self.all_selectors() {
            match selector.check(asked) {
                Ok(()) => return Ok(()),
                Err(denial) => told = told.max(denial),
            }
        }
        Err(told)
    }

    /// Whether a set that allows the request allows reading of whatever key too (SORT BY and GET).
    pub fn may_read_all_keys(&self, asked: &Asked<'_>) -> bool {
        use super::selector::key_access::READ;
        self.all_selectors()
            .any(|selector| selector.allows_all_keys(READ) && selector.check(asked).is_ok())
    }

    /// The patterns of channels of all sets.
    pub fn channels(&self) -> Vec<&[u8]> {
        self.all_selectors().flat_map(|selector| &selector.channels).map(|known| &**known).collect()
    }

    /// Whether he may use a channel, or a pattern of channels.
    pub fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.all_selectors().any(|selector| selector.allows_channel(channel, is_pattern))
    }
}

impl Selector {
    /// Whether it allows all of a request.
    pub(super) fn check(&self, asked: &Asked<'_>) -> Result<(), Denial> {
        let args = asked.args;
        let first_arg = (args.len() > 1).then(|| args.at(1));
        if !self.allows_command(asked.command, asked.flags, first_arg) {
            return Err(Denial::Command);
        }
        if !self.has_all_keys {
            let allows =
                |key: &&KeyUse| self.allows_key(args.at(key.index), asked_of_key(key.access));
            if let Some(key) = asked.keys.iter().find(|key| !allows(key)) {
                return Err(Denial::Key(key.index));
            }
        }
        if let (Some(channels), false) = (asked.channels, self.has_all_channels) {
            let allows = |&at: &usize| self.allows_channel(args.at(at), channels.are_patterns);
            let count = args.len().min(channels.last.saturating_add(1));
            if let Some(at) = (1..count).find(|at| !allows(at)) {
                return Err(Denial::Channel(at));
            }
        }
        Ok(())
    }
}
