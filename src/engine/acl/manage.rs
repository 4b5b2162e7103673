//! Users come, change and go, and what that means for the clients who are them.
//!
//! Whoever changes users says who the client is that asked for it: its session is not among the others, and it still
//! gets its reply.
use std::sync::Arc;

use super::check::note_denial;
use super::denials::Reason;
use super::file::{self, FileParser};
use super::rule::Rulebook;
use super::selector::channel_is_listed;
use super::user::User;
use super::users::{Accounts, Acl, DEFAULT, Identity, RulesError, WrongPassword, apply};
use crate::base::quote::{quote_into, split_args};
use crate::engine::config::Opt;
use crate::engine::config_choice::AclPubsubDefault;
use crate::engine::config_rewrite::replace_file;
use crate::engine::config_value::os_reason;
use crate::engine::engine::Shared;
use crate::engine::pubsub::{KINDS, Kind};
use crate::engine::session::{Session, restraint};

impl Acl {
    /// Whether clients have to say who they are: nobody is `default` without a password.
    pub fn needs_password(&self) -> bool {
        !self.is_default_free()
    }

    fn is_default_free(&self) -> bool {
        let user = self.default_user();
        user.is_on && user.needs_no_password
    }

    /// The users as `user` lines of a configuration file, without the word `user`.
    pub fn config_lines(&self) -> Vec<Vec<u8>> {
        self.lines().map(quoted_for_config).collect()
    }
}

/// Whether a user had channels, or patterns, that he does not have any more. Not the exact question, but the one that
/// Redis asks: a pattern that allows what others allowed is another one.
fn loses_channels(old: &User, new: &User) -> bool {
    let has_all = |user: &User| user.all_selectors().any(|selector| selector.has_all_channels);
    let kept = new.channels();
    !has_all(new) && (has_all(old) || old.channels().iter().any(|channel| !kept.contains(channel)))
}

/// DIFFERS: Redis quotes nothing, and does not start any more with a rule that has quotes in it.
fn quoted_for_config(line: Vec<u8>) -> Vec<u8> {
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let is_read_back =
        |read: Vec<Vec<u8>>| read.iter().map(Vec::as_slice).eq(words.iter().copied());
    if split_args(&line).is_some_and(is_read_back) {
        return line;
    }
    let quoted = |word: &&[u8]| {
        let mut text = Vec::new();
        quote_into(&mut text, word);
        text
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(&b' ')
}

impl Shared {
    /// Makes a client one that has just come: `default`, and let in if that needs no password.
    pub fn admit(&self, session: &mut Session) {
        session.user = None;
        session.set_authenticated(self.acl.is_default_free());
        self.restrain_by_user(session);
    }

    fn restrain_by_user(&self, session: &mut Session) {
        session.restrain(restraint::ACL, !self.acl.is_unrestricted(session.user.as_ref()));
    }

    /// A client says who it is. Where that is wrong it stays who it was, and the log gets an entry. `command` is what
    /// it sent.
    pub fn authenticate(
        &mut self,
        session: &mut Session,
        command: &[u8],
        name: &[u8],
        password: &[u8],
    ) -> Result<(), WrongPassword> {
        match self.acl.authenticate(name, password) {
            Ok(identity) => {
                session.user = identity;
                session.set_authenticated(true);
                self.restrain_by_user(session);
                Ok(())
            }
            Err(WrongPassword) => {
                note_denial(self, session, Reason::Auth, command.to_vec(), name.to_vec());
                Err(WrongPassword)
            }
        }
    }

    /// `requirepass` has been set, or is as the configuration was loaded: `default` has this password and no other.
    pub fn take_over_password(&mut self) {
        let mut user = self.acl.default_user().clone();
        let password = self.config.text(Opt::RequirePass);
        user.set_password((!password.is_empty()).then_some(password));
        self.acl.put(DEFAULT, user);
        self.thresholds.needs_password = self.acl.needs_password();
    }

    fn allows_channels(&self) -> bool {
        self.config.acl_pubsub_default() == AclPubsubDefault::AllChannels
    }

    fn rulebook(&self) -> Rulebook<'_> {
        Rulebook { commands: self.acl.commands(), allows_channels: self.allows_channels() }
    }

    /// ACL SETUSER: a new user, or one that exists, is changed by `rules`; all of them, or none where one is wrong.
    /// O(clients) where this takes away from him, or gives him, that he may do everything.
    pub fn change_user(
        &mut self,
        session: &mut Session,
        name: &[u8],
        rules: &[&[u8]],
    ) -> Result<(), RulesError> {
        let user = self.acl.changed_user(name, rules, self.allows_channels())?;
        self.put_changed_user(session, name, user);
        Ok(())
    }

    /// The user called `name`, or a new one, to be changed rule by rule.
    pub fn user_to_change(&self, name: &[u8]) -> User {
        self.acl.user_to_change(name, self.allows_channels())
    }

    /// Changes such a user by one rule; or why not.
    pub fn apply_rule(&self, user: &mut User, rule: &[u8]) -> Result<(), RulesError> {
        apply(user, rule, self.rulebook())
    }

    /// Puts such a user into his place; what follows for his clients. O(clients) where he may do everything now, or not
    /// any more, or loses channels.
    pub fn put_changed_user(&mut self, session: &mut Session, name: &[u8], user: User) {
        let loses_channels = self.acl.get(name).is_some_and(|old| loses_channels(old, &user));
        self.put_user(session, name, user);
        if loses_channels {
            self.close_listeners(session, name);
        }
    }

    fn put_user(&mut self, session: &mut Session, name: &[u8], user: User) {
        let is_unrestricted = user.is_unrestricted(self.acl.commands());
        let was_unrestricted =
            self.acl.get(name).is_some_and(|old| old.is_unrestricted(self.acl.commands()));
        self.acl.put(name, user);
        self.thresholds.needs_password = self.acl.needs_password();
        if is_unrestricted == was_unrestricted {
            return;
        }
        let others = self.clients.each().map(|(_, other)| other);
        for client in others.chain(std::iter::once(session)) {
            if client.user_name() == name {
                client.restrain(restraint::ACL, !is_unrestricted);
            }
        }
    }

    /// Closes clients of a user who listen to what he may not listen to any more. O(clients), and O(1) glob matches per
    /// subscription and pattern.
    fn close_listeners(&mut self, session: &mut Session, name: &[u8]) {
        let Some(user) = self.acl.get(name) else { return };
        // As in Redis a pattern may be allowed by one set of permissions and a channel by another.
        let allowed = user.channels();
        let pubsub = &self.pubsub;
        let may_not = |slot: usize, client: &Session| {
            client.user_name() == name
                && KINDS.iter().any(|&kind| {
                    let mut listened = pubsub.names_of(slot, kind);
                    listened
                        .any(|channel| !channel_is_listed(&allowed, channel, kind == Kind::Pattern))
                })
        };
        let clients = self.clients.iter().filter(|&(slot, client)| may_not(slot, client));
        let slots: Vec<usize> = clients.map(|(slot, _)| slot).collect();
        let own_slot = self.clients.slot_of(session.id);
        let is_own = own_slot.is_some_and(|slot| may_not(slot, session));
        for slot in slots {
            self.kill_client(slot);
        }
        session.closes_after_reply |= is_own;
    }

    /// ACL DELUSER: whether there was such a user. His clients are closed. O(clients). Never `default`.
    pub fn delete_user(&mut self, session: &mut Session, name: &[u8]) -> bool {
        let is_deleted = self.acl.remove(name);
        if is_deleted {
            self.close_clients(session, |user| user.name() == name);
        }
        is_deleted
    }

    /// Closes all clients whose user, not `default`, is gone. The one that asked for it gets its reply before.
    fn close_clients(&mut self, session: &mut Session, is_gone: impl Fn(&Identity) -> bool) {
        let is_gone =
            |user: &Option<Arc<Identity>>| user.as_ref().is_some_and(|user| is_gone(user));
        let slots: Vec<usize> = self
            .clients
            .iter()
            .filter(|(_, client)| is_gone(&client.user))
            .map(|(slot, _)| slot)
            .collect();
        for slot in slots {
            self.kill_client(slot);
            if let Some(mut client) = self.clients.checkout(slot) {
                self.make_nobody(&mut client);
                self.clients.checkin(slot, client);
            }
        }
        if is_gone(&session.user) {
            self.make_nobody(session);
            session.closes_after_reply = true;
        }
    }

    /// It is closing; whatever it may still try, it has not said who it is.
    fn make_nobody(&self, session: &mut Session) {
        self.admit(session);
        session.set_authenticated(false);
    }

    /// ACL LOAD: the users of the ACL file take the place of all others, whose clients are closed, but for those of
    /// `default`. O(clients).
    pub fn put_users(&mut self, session: &mut Session, accounts: Accounts) {
        let old = self.acl.replace_all(accounts);
        self.graveyard.bury_garbage(Box::new(old));
        self.thresholds.needs_password = self.acl.needs_password();
        let is_restricted = !self.acl.is_unrestricted(None);
        // All others are closed.
        let others = self.clients.each().map(|(_, other)| other);
        for client in others.chain(std::iter::once(&mut *session)) {
            client.restrain(restraint::ACL, is_restricted);
        }
        self.close_clients(session, |_| true);
    }

    /// The ACL file, to be read line by line. Waits for the disk.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open_acl_file(&self) -> Result<FileParser, String> {
        let shown = String::from_utf8_lossy(self.config.text(Opt::AclFile));
        let path = self.config.path(Opt::AclFile).unwrap_or_default();
        let text = std::fs::read(path).map_err(|error| {
            format!("Error loading ACLs, opening file '{shown}': {}", os_reason(&error))
        })?;
        Ok(FileParser::new(text, shown.into_owned(), self.rulebook()))
    }

    /// ACL SAVE: all users, as a new ACL file in the place of the old one. Waits for the disk.
    pub fn save_acl_file(&self) -> std::io::Result<()> {
        let mut text = Vec::new();
        for line in self.acl.lines() {
            text.extend_from_slice(b"user ");
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
        let path = self.config.path(Opt::AclFile).unwrap_or_default();
        replace_file(&path, &text).inspect_err(|error| {
            log::warn!("Writing ACL file for ACL SAVE: {}", os_reason(error));
        })
    }

    /// The users of the configuration or of the ACL file, at the start. The error is the line for the log; the server
    /// does not run then.
    pub fn load_users(&mut self) -> Result<(), String> {
        let has_file = !self.config.text(Opt::AclFile).is_empty();
        if has_file && !self.config.users.is_empty() {
            return Err(
                "Configuring Redis with users defined in redis.conf and at the same setting \
                        an ACL file path is invalid. This setup is very likely to lead to \
                        configuration errors and security holes, please define either an ACL file \
                        or declare users directly in your redis.conf, but not both."
                    .to_owned(),
            );
        }
        let configured = file::configured_users(&self.config.users, self.rulebook());
        let configured = configured.map_err(|line| {
            log::warn!("{line}");
            "Critical error while loading ACLs. Exiting.".to_owned()
        })?;
        for (name, user) in configured {
            self.acl.put(&name, user);
        }
        if has_file {
            let aborting =
                |errors| format!("Aborting Redis startup because of ACL errors: {errors}");
            let mut parser = self.open_acl_file().map_err(aborting)?;
            while parser.step(self.acl.commands()) {}
            self.acl.replace_all(parser.finish().map_err(aborting)?);
        }
        self.thresholds.needs_password = self.acl.needs_password();
        Ok(())
    }
}
