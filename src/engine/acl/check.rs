//! What the rest of the server asks: may this client do that?
//!
//! Nobody asks about a client whose user may do everything: the bit `ACL` of its session says so. Cost of a check: a
//! bit for the command; to find the keys, and one glob match per key and pattern where not all are allowed.
use super::denials::{Context, Entry, Reason};
use super::user::{Asked, Channels, Denial, User};
use super::users::Acl;
use crate::engine::budget::Budget;
use crate::engine::client_line;
use crate::engine::config::Opt;
use crate::engine::engine::Shared;
use crate::engine::error::CmdError;
use crate::engine::job_keys::KeyRange;
use crate::engine::keys::{has_keys, keys_of, single_key, uses_of};
use crate::engine::session::{Nesting, Session, restraint};
use crate::engine::spec::{KeyUse, flag};
use crate::engine::table::Found;
use crate::proto::args::Args;

/// Whether a client, whose session has the bit `ACL`, may run a request. What it may not is entered in the log.
///
/// # Errors
/// In the words of who asks, by the session's nesting: a request, EXEC, or a script.
#[cold]
pub fn check(
    shared: &mut Shared,
    session: &mut Session,
    found: Found,
    args: Args<'_>,
) -> Result<(), CmdError> {
    match may_run(shared, session, found, args) {
        Ok(()) => Ok(()),
        Err(denial) => Err(deny(shared, session, found, args, denial)),
    }
}

/// Tells the log, and in what words the client is told.
fn deny(
    shared: &mut Shared,
    session: &mut Session,
    found: Found,
    args: Args<'_>,
    denial: Denial,
) -> CmdError {
    let full_name = shared.table.full_name(found.id);
    let (reason, object) = match denial {
        Denial::Command => (Reason::Command, full_name.as_bytes()),
        Denial::Key(index) => (Reason::Key, args.at(index)),
        Denial::Channel(index) => (Reason::Channel, args.at(index)),
    };
    if session.nesting != Nesting::Script {
        session.last_command = Some(found.id);
    }
    let user = session.user_name().to_vec();
    note_denial(shared, session, reason, object.to_vec(), user);
    words_of(denial, session.nesting, full_name)
}

/// A request with very many keys, on its way through the rules.
#[derive(Clone, Debug, Default)]
pub struct Checking {
    /// The rules as they were when it began.
    changes: u64,
    /// Sets of permissions that do not allow it, and keys that the next one allows.
    selector: usize,
    keys: usize,
    told: Option<Denial>,
    is_allowed: bool,
}

/// Keys looked at between two looks at the clock: 10 us with a few patterns.
const KEYS_PER_PIECE: usize = 64;

/// As [`check`], for a request with very many keys, in slices: false: not done, so call again in a later turn. What has
/// been found out stands in the session until the request runs, and is worth nothing once rules have changed.
///
/// # Errors
/// As [`check`].
#[cold]
pub fn check_slice(
    shared: &mut Shared,
    session: &mut Session,
    found: Found,
    args: Args<'_>,
    budget: &mut Budget,
) -> Result<bool, CmdError> {
    let mut checking = session.checking.take().unwrap_or_default();
    let user = shared.acl.user_of(session.user.as_ref());
    match checking.go_on(&shared.acl, user, found, args, budget) {
        Some(Err(denial)) => Err(deny(shared, session, found, args, denial)),
        outcome => {
            session.checking = Some(checking);
            Ok(outcome.is_some())
        }
    }
}

impl Checking {
    /// Goes on finding out whether a user may run a request, without a log; `None`: the slice is over. Rules that
    /// change meanwhile have it begin again; one who is gone may nothing.
    pub fn go_on(
        &mut self,
        acl: &Acl,
        user: Option<&User>,
        found: Found,
        args: Args<'_>,
        budget: &mut Budget,
    ) -> Option<Result<(), Denial>> {
        let Some(user) = user else { return Some(Err(Denial::Command)) };
        let uses = if channels_of(found).is_some() { None } else { uses_of(found.command, args) };
        let Some(uses) = uses else {
            return Some(with_request(user, found, args, |asked| user.check(asked)));
        };
        if self.changes != acl.changes() {
            *self = Checking { changes: acl.changes(), ..Checking::default() };
        }
        self.step(user, found, args, &uses, budget)
    }

    fn step(
        &mut self,
        user: &User,
        found: Found,
        args: Args<'_>,
        uses: &[(KeyRange, u32)],
        budget: &mut Budget,
    ) -> Option<Result<(), Denial>> {
        while !self.is_allowed {
            let Some(selector) = user.all_selectors().nth(self.selector) else {
                return Some(Err(self.told.unwrap_or(Denial::Command)));
            };
            let (from, count) = (self.keys, budget.piece(KEYS_PER_PIECE));
            let asked = Asked {
                command: found.id.index(),
                flags: found.command.flags,
                args,
                keys: &some_keys(uses, from, count),
                channels: None,
            };
            let is_last = asked.keys.len() < count;
            match selector.check(&asked) {
                Err(denial) => {
                    self.told = self.told.max(Some(denial));
                    (self.selector, self.keys) = (self.selector + 1, 0);
                }
                Ok(()) => {
                    self.is_allowed = is_last || selector.has_all_keys;
                    self.keys += count;
                }
            }
            if budget.spend(count as u64) && !self.is_allowed {
                return None;
            }
        }
        Some(Ok(()))
    }
}

/// Up to `count` keys from one on.
fn some_keys(uses: &[(KeyRange, u32)], from: usize, count: usize) -> Vec<KeyUse> {
    let mut skipped = from;
    let mut keys = Vec::with_capacity(count);
    for (range, access) in uses {
        let first = skipped.min(range.count);
        skipped -= first;
        let end = range.count.min(first + count - keys.len());
        keys.extend((first..end).map(|nth| KeyUse { index: range.at(nth), access: *access }));
    }
    keys
}

/// As [`check`], without a log: for who only wants to know.
pub fn may_run(
    shared: &Shared,
    session: &Session,
    found: Found,
    args: Args<'_>,
) -> Result<(), Denial> {
    if !session.is(restraint::ACL) {
        return Ok(());
    }
    let user = shared.acl.user_of(session.user.as_ref()).ok_or(Denial::Command)?;
    with_request(user, found, args, |asked| user.check(asked))
}

/// Finds out what there is to ask about a request of this user.
fn with_request<R>(
    user: &User,
    found: Found,
    args: Args<'_>,
    ask: impl FnOnce(&Asked<'_>) -> R,
) -> R {
    let matters = user.all_selectors().any(|selector| !selector.has_all_keys);
    let single = if matters { single_key(found.command, args) } else { None };
    let mut several: Vec<KeyUse> = Vec::new();
    if matters && single.is_none() && has_keys(found.command) {
        // A request whose keys cannot be found fails anyway, and touches none.
        let _ = keys_of(found.command, args, &mut several);
    }
    let keys = single.as_ref().map_or(&several[..], std::slice::from_ref);
    ask(&Asked {
        command: found.id.index(),
        flags: found.command.flags,
        args,
        keys,
        channels: channels_of(found),
    })
}

/// Which arguments are channels that a client publishes to, or subscribes to. It may always unsubscribe.
fn channels_of(found: Found) -> Option<Channels> {
    if found.command.flags & flag::PUBSUB == 0 {
        return None;
    }
    match found.command.name {
        "publish" | "spublish" => Some(Channels { last: 1, are_patterns: false }),
        "subscribe" | "ssubscribe" => Some(Channels { last: usize::MAX, are_patterns: false }),
        "psubscribe" => Some(Channels { last: usize::MAX, are_patterns: true }),
        _ => None,
    }
}

impl Denial {
    /// As ACL DRYRUN tells it.
    pub fn told(self, full_name: &str, args: Args<'_>) -> Vec<u8> {
        let (what, object, kind): (&[u8], &[u8], &[u8]) = match self {
            Denial::Command => (b"run", full_name.as_bytes(), b"command"),
            Denial::Key(index) => (b"access", args.at(index), b"key"),
            Denial::Channel(index) => (b"access", args.at(index), b"channel"),
        };
        [b"This user has no permissions to ", what, b" the '", object, b"' ", kind].concat()
    }
}

/// Whether a client may read whatever key in a request that it may run (SORT BY and GET).
pub fn may_read_all_keys(shared: &Shared, session: &Session, found: Found, args: Args<'_>) -> bool {
    if !session.is(restraint::ACL) {
        return true;
    }
    let user = shared.acl.user_of(session.user.as_ref());
    user.is_some_and(|user| with_request(user, found, args, |asked| user.may_read_all_keys(asked)))
}

/// Whether a client may use all of these channels, or patterns of channels; the first that it may not.
pub fn check_channels<'c>(
    shared: &Shared,
    session: &Session,
    mut channels: impl Iterator<Item = &'c [u8]>,
    are_patterns: bool,
) -> Result<(), &'c [u8]> {
    if !session.is(restraint::ACL) {
        return Ok(());
    }
    let user = shared.acl.user_of(session.user.as_ref());
    let allows = |channel| user.is_some_and(|user| user.allows_channel(channel, are_patterns));
    channels.find(|channel| !allows(channel)).map_or(Ok(()), Err)
}

fn context_of(session: &Session) -> Context {
    match session.nesting {
        Nesting::Script => Context::Lua,
        Nesting::Transaction => Context::Multi,
        Nesting::None if session.is(restraint::MULTI) => Context::Multi,
        Nesting::None => Context::Toplevel,
    }
}

fn words_of(denial: Denial, nesting: Nesting, full_name: &str) -> CmdError {
    CmdError::Text(match (nesting, denial) {
        (Nesting::Script, Denial::Command) => {
            "ERR The user executing the script can't run this command or subcommand"
        }
        (Nesting::Script, Denial::Key(_)) => {
            "ERR The user executing the script can't access at least one of the keys mentioned in \
             the command arguments"
        }
        (Nesting::Script, Denial::Channel(_)) => {
            "ERR The user executing the script can't publish to the channel mentioned in the \
             command"
        }
        (Nesting::Transaction, denial) => {
            let reason: &[u8] = match denial {
                Denial::Command => b"no permission to execute the command or subcommand",
                Denial::Key(_) => b"no permission to touch the specified keys",
                Denial::Channel(_) => {
                    b"no permission to access one of the channels used as arguments"
                }
            };
            return CmdError::owned(&[
                b"NOPERM ACLs rules changed between the moment the transaction was accumulated and \
                  the EXEC call. This command is no longer allowed for the following reason: ",
                reason,
            ]);
        }
        (Nesting::None, Denial::Command) => {
            return CmdError::owned(&[
                b"NOPERM this user has no permissions to run the '",
                full_name.as_bytes(),
                b"' command",
            ]);
        }
        (Nesting::None, Denial::Key(_)) => {
            "NOPERM this user has no permissions to access one of the keys used as arguments"
        }
        (Nesting::None, Denial::Channel(_)) => {
            "NOPERM this user has no permissions to access one of the channels used as arguments"
        }
    })
}

pub(super) fn note_denial(
    shared: &mut Shared,
    session: &Session,
    reason: Reason,
    object: Vec<u8>,
    username: Vec<u8>,
) {
    let now_ms = shared.clock.unix_ms();
    let entries_max = usize::try_from(shared.config.int(Opt::AclLogMaxLen)).unwrap_or(usize::MAX);
    let entry = Entry {
        count: 1,
        reason,
        context: context_of(session),
        object,
        username,
        last_ms: now_ms,
        client: client_line::log_line(session, shared, now_ms),
    };
    shared.acl.log.add(entry, entries_max);
}
