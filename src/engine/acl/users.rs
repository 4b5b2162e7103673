//! All users of a server.
//!
//! A session knows its user by an [`Identity`]; `None` there is the user `default`. What the user may do is looked up
//! when it matters, so that changed rules are obeyed by all connections from the next command on.
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use slab::Slab;

use super::commands::Commands;
use super::denials::AclLog;
use super::rule::{RuleError, Rulebook, merge_selectors};
use super::user::User;
use crate::base::number::c_string;
use crate::base::pieces::{Garbage, Progress};

/// The name of the user that clients have who have not said anything.
pub const DEFAULT: &[u8] = b"default";

/// Who a client is: the user's name, and where he is kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    place: usize,
    name: Box<[u8]>,
}

impl Identity {
    /// The user's name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }
}

/// One user and what follows from his rules.
#[derive(Debug)]
struct Account {
    identity: Arc<Identity>,
    user: User,
    is_unrestricted: bool,
}

/// A set of users, one of them called `default`. Boxed each, so that the list grows in no time.
#[derive(Debug, Default)]
pub struct Accounts {
    list: Slab<Box<Account>>,
    /// In the order of their names, which is that of ACL LIST.
    places: BTreeMap<Box<[u8]>, usize>,
    /// Where `default` is.
    default_place: usize,
}

impl Accounts {
    /// Only `default`, who may do everything.
    pub fn new(commands: &Commands) -> Accounts {
        let mut accounts = Accounts::default();
        accounts.put(DEFAULT, User::default_user(commands), commands);
        accounts
    }

    /// All users with their names, in the order of those.
    pub fn users(&self) -> impl ExactSizeIterator<Item = (&[u8], &User)> {
        self.places.iter().map(|(name, place)| (&**name, &self.list[*place].user))
    }

    fn account(&self, name: &[u8]) -> Option<&Account> {
        self.list.get(*self.places.get(name)?).map(|account| &**account)
    }

    /// Makes `user` the one called `name`. Who is that already stays it. O(log n).
    pub fn put(&mut self, name: &[u8], user: User, commands: &Commands) {
        let is_unrestricted = user.is_unrestricted(commands);
        let place = self.places.get(name).copied();
        if let Some(account) = place.and_then(|place| self.list.get_mut(place)) {
            account.user = user;
            account.is_unrestricted = is_unrestricted;
            return;
        }
        let entry = self.list.vacant_entry();
        let place = entry.key();
        let identity = Arc::new(Identity { place, name: name.into() });
        entry.insert(Box::new(Account { identity, user, is_unrestricted }));
        self.places.insert(name.into(), place);
        if name == DEFAULT {
            self.default_place = place;
        }
    }
}

/// Users freed as fast as a megabyte.
const USERS_PER_UNIT: usize = 32;

/// Users nobody is any more.
impl Garbage for Accounts {
    fn free_slice(&mut self, units: usize) -> Progress {
        for _ in 0..units * USERS_PER_UNIT {
            let Some((_, place)) = self.places.pop_last() else { return Progress::Done };
            self.list.try_remove(place);
        }
        Progress::More
    }
}

/// All users. There is always one called `default`.
#[derive(Debug)]
pub struct Acl {
    commands: Commands,
    accounts: Accounts,
    /// What was denied.
    pub log: AclLog,
    /// How often the rules of a user have changed.
    changes: u64,
}

impl Acl {
    /// Only `default`, who may do everything.
    pub fn new(commands: Commands) -> Acl {
        let accounts = Accounts::new(&commands);
        Acl { commands, accounts, log: AclLog::default(), changes: 1 }
    }

    /// The commands that rules may name.
    pub fn commands(&self) -> &Commands {
        &self.commands
    }

    /// The user `default`.
    pub fn default_user(&self) -> &User {
        &self.accounts.list[self.accounts.default_place].user
    }

    /// The user called so.
    pub fn get(&self, name: &[u8]) -> Option<&User> {
        self.accounts.account(name).map(|account| &account.user)
    }

    /// All users with their names, in the order of those.
    pub fn users(&self) -> impl ExactSizeIterator<Item = (&[u8], &User)> {
        self.accounts.users()
    }

    /// The first user whose name comes after this one; `None`: the first of all. O(log n).
    pub fn user_after(&self, name: Option<&[u8]>) -> Option<(&[u8], &User)> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        let Accounts { list, places, .. } = &self.accounts;
        let mut after = places.range::<[u8], _>((from, Bound::Unbounded));
        let (name, place) = after.next()?;
        Some((name, &list.get(*place)?.user))
    }

    /// The user a client is; `None` if he was deleted.
    pub fn user_of(&self, identity: Option<&Arc<Identity>>) -> Option<&User> {
        self.account_of(identity).map(|account| &account.user)
    }

    /// Whether the user a client is may do everything.
    pub fn is_unrestricted(&self, identity: Option<&Arc<Identity>>) -> bool {
        self.account_of(identity).is_some_and(|account| account.is_unrestricted)
    }

    fn account_of(&self, identity: Option<&Arc<Identity>>) -> Option<&Account> {
        let Accounts { list, default_place, .. } = &self.accounts;
        let account = list.get(identity.map_or(*default_place, |identity| identity.place))?;
        // Another user may have come to his place.
        identity.is_none_or(|known| Arc::ptr_eq(&account.identity, known)).then_some(account)
    }

    /// Who a client is from now on that gave this name and this password: the user's identity, `None` for `default`.
    /// The error: there is no such user, he is off, or the password is wrong.
    pub fn authenticate(
        &self,
        name: &[u8],
        password: &[u8],
    ) -> Result<Option<Arc<Identity>>, WrongPassword> {
        let account = self.accounts.account(name).ok_or(WrongPassword)?;
        if !account.user.lets_in(password) {
            return Err(WrongPassword);
        }
        Ok((name != DEFAULT).then(|| Arc::clone(&account.identity)))
    }

    /// A user like the one called `name`, or like a new one, changed by `rules`; or why not.
    pub fn changed_user(
        &self,
        name: &[u8],
        rules: &[&[u8]],
        allows_channels: bool,
    ) -> Result<User, RulesError> {
        let book = Rulebook { commands: &self.commands, allows_channels };
        let mut user = self.user_to_change(name, allows_channels);
        for rule in merge_selectors(rules).map_err(RulesError::Unmatched)? {
            apply(&mut user, &rule, book)?;
        }
        Ok(user)
    }

    /// A user like the one called `name`, or like a new one.
    pub fn user_to_change(&self, name: &[u8], allows_channels: bool) -> User {
        self.get(name).cloned().unwrap_or_else(|| User::new(allows_channels))
    }

    /// How often the rules of a user have changed.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Makes `user` the one called `name`. Who is that already stays it.
    pub fn put(&mut self, name: &[u8], user: User) {
        self.changes += 1;
        self.accounts.put(name, user, &self.commands);
    }

    /// Removes a user; his clients are nobody from now on. Whether there was one. Never `default`.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        if name == DEFAULT {
            return false;
        }
        let Some(place) = self.accounts.places.remove(name) else { return false };
        self.changes += 1;
        self.accounts.list.try_remove(place).is_some()
    }

    /// Makes these the only users; who was one before is returned, to be freed.
    pub fn replace_all(&mut self, accounts: Accounts) -> Accounts {
        self.changes += 1;
        std::mem::replace(&mut self.accounts, accounts)
    }

    /// Each user as a line of an ACL file, without `user ` and without its end.
    pub fn lines(&self) -> impl Iterator<Item = Vec<u8>> {
        self.users().map(|(name, user)| [name, b" ", &*user.describe(&self.commands)].concat())
    }
}

/// Changes a user by one rule; or why not.
pub(super) fn apply(user: &mut User, rule: &[u8], book: Rulebook<'_>) -> Result<(), RulesError> {
    user.apply(rule, book).map_err(|error| RulesError::Rule { rule: rule.to_vec(), error })
}

/// No user has this name and this password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongPassword;

/// Why a list of rules is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RulesError {
    /// The selector that begins so does not end.
    Unmatched(Vec<u8>),
    /// A rule is wrong.
    Rule {
        /// Which one.
        rule: Vec<u8>,
        /// Why.
        error: RuleError,
    },
}

impl RulesError {
    /// As ACL SETUSER answers it, without code.
    pub fn message(&self) -> Vec<u8> {
        match self {
            RulesError::Unmatched(opener) => {
                let text: &[u8] = b"Unmatched parenthesis in acl selector starting at '";
                [text, c_string(opener), b"'."].concat()
            }
            RulesError::Rule { rule, error } => {
                let error = error.to_string();
                let rule = c_string(rule);
                [b"Error in ACL SETUSER modifier '", rule, b"': ", error.as_bytes()].concat()
            }
        }
    }
}
