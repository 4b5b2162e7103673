//! ACL SETUSER of very many rules, ACL DELUSER of very many users and ACL LOAD of them, in slices.
//!
//! SETUSER changes a copy of the user, rule by rule, which takes his place at the end; where rules of anybody have
//! changed meanwhile it begins again. Cost: as in one piece.
use crate::engine::acl::rule::Merger;
use crate::engine::acl::users::RulesError;
use crate::engine::acl::{FileParser, User};
use crate::engine::compound::Compound;
use crate::engine::engine::{Engine, Shared};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Step};
use crate::engine::session::Session;
use crate::proto::args::Args;
use crate::proto::reply::{Output, Reply};

/// Rules between two looks at the clock.
const RULES_PER_PIECE: usize = 16;
/// Where SETUSER has its rules, and DELUSER its users.
const FIRST_RULE: usize = 3;
const FIRST_USER: usize = 2;

/// ACL SETUSER on its way.
#[derive(Default)]
pub(super) struct SetUser {
    /// The user as far as he is changed, and how often rules had changed when that began; `None`: first it is seen
    /// whether every selector ends, as in Redis.
    changed: Option<(Box<User>, u64)>,
    /// Rules looked at.
    done: usize,
    merger: Merger,
}

impl Compound for SetUser {
    fn step(
        &mut self,
        engine: &mut Engine,
        session: &mut Session,
        args: Args<'_>,
        out: &mut Output,
        budget: &mut Budget,
    ) -> Result<Step, CmdError> {
        let shared = &mut engine.shared;
        loop {
            let count = budget.piece(RULES_PER_PIECE);
            let is_over = self.step_some(shared, args, count).map_err(refusal)?;
            if is_over && self.end(shared, session, args) {
                Reply::new(out, session.resp).ok();
                return Ok(Step::Done);
            }
            if budget.spend(count as u64) {
                return Ok(Step::More);
            }
        }
    }
}

/// As ACL SETUSER answers it.
fn refusal(error: RulesError) -> CmdError {
    CmdError::owned(&[b"ERR ", &error.message()])
}

impl SetUser {
    /// Looks at some more rules, or applies them; true: at all of them.
    fn step_some(
        &mut self,
        shared: &Shared,
        args: Args<'_>,
        count: usize,
    ) -> Result<bool, RulesError> {
        let rules = args.len() - FIRST_RULE;
        let end = rules.min(self.done + count);
        for at in self.done..end {
            let rule = self.merger.feed(args.at(FIRST_RULE + at)).map_err(RulesError::Unmatched)?;
            if let (Some((user, _)), Some(rule)) = (&mut self.changed, rule) {
                shared.apply_rule(user, &rule)?;
            }
        }
        self.done = end;
        if end == rules {
            self.merger.finish().map_err(RulesError::Unmatched)?;
        }
        Ok(end == rules)
    }

    /// Begins with the changes, or puts the user into his place; false: it is not over.
    fn end(&mut self, shared: &mut Shared, session: &mut Session, args: Args<'_>) -> bool {
        let name = args.at(2);
        match self.changed.take() {
            Some((user, changes)) if changes == shared.acl.changes() => {
                shared.put_changed_user(session, name, *user);
                return true;
            }
            _ => {
                self.changed = Some((Box::new(shared.user_to_change(name)), shared.acl.changes()));
                self.done = 0;
            }
        }
        false
    }
}

/// ACL DELUSER on its way.
#[derive(Default)]
pub(super) struct DeleteUsers {
    done: usize,
    deleted: usize,
}

impl Compound for DeleteUsers {
    fn step(
        &mut self,
        engine: &mut Engine,
        session: &mut Session,
        args: Args<'_>,
        out: &mut Output,
        budget: &mut Budget,
    ) -> Result<Step, CmdError> {
        // All clients are looked at for each.
        while self.done < args.len() - FIRST_USER {
            let name = args.at(FIRST_USER + self.done);
            self.deleted += usize::from(engine.shared.delete_user(session, name));
            self.done += 1;
            if budget.spend(1) && self.done < args.len() - FIRST_USER {
                return Ok(Step::More);
            }
        }
        Reply::new(out, session.resp).count(self.deleted);
        Ok(Step::Done)
    }
}

/// ACL LOAD on its way: all users are read before any takes his place.
#[derive(Default)]
pub(super) struct LoadUsers {
    parser: Option<FileParser>,
}

/// Lines read between two looks at the clock.
const LINES_PER_PIECE: usize = 8;

impl Compound for LoadUsers {
    fn step(
        &mut self,
        engine: &mut Engine,
        session: &mut Session,
        _args: Args<'_>,
        out: &mut Output,
        budget: &mut Budget,
    ) -> Result<Step, CmdError> {
        let shared = &mut engine.shared;
        let wrong = |errors: String| CmdError::owned(&[b"ERR ", errors.as_bytes()]);
        let mut parser = match self.parser.take() {
            Some(parser) => parser,
            None => shared.open_acl_file().map_err(wrong)?,
        };
        loop {
            let count = budget.piece(LINES_PER_PIECE);
            for _ in 0..count {
                if !parser.step(shared.acl.commands()) {
                    let accounts = parser.finish().map_err(wrong)?;
                    shared.put_users(session, accounts);
                    Reply::new(out, session.resp).ok();
                    return Ok(Step::Done);
                }
            }
            if budget.spend(count as u64) {
                self.parser = Some(parser);
                return Ok(Step::More);
            }
        }
    }
}
