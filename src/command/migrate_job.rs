//! MIGRATE under way: connect, say who we are, send each key as a RESTORE, delete what was taken.
//!
//! ```text
//!   look up keys → connect → AUTH, SELECT → ┌ RESTORE, RESTORE, … ┐ → reply
//!                     ▲                     └ +OK, -BUSYKEY, …    ┘
//!                     └── once more, if the connection breaks before the first answer
//! ```
//!
//! Keys are sent as the socket takes them, so that little more than one of them is in memory twice; answers are read
//! meanwhile, and each key goes when its own has come. All are held until the end. Errors are Redis's, word by word.
//!
//! DIFFERS: no key is sent before AUTH and SELECT have been answered; where one of them failed Redis's keys have left
//! by then, and arrive in the wrong database.
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::Duration;

use crate::base::pieces::Progress;
use crate::base::sys::Ready;
use crate::command::migrate::Choices;
use crate::command::payload::{Choice, Payload};
use crate::engine::ctx::{Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, KEYS_PER_PIECE, Step, Stepped};
use crate::engine::remote::Link;
use crate::proto::args::Args;
use crate::proto::reply::{Output, Reply, Resp};

/// So much is made ready to be sent before the rest has left.
const UNSENT_BYTES: usize = 256 * 1024;
/// Read at once.
const READ_BYTES: usize = 4096;
/// An answer is one short line.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// One look at the socket, in units of a budget.
const LOOK_UNITS: u64 = 4;

/// See the head of the file.
pub(super) struct Migrate {
    choices: Choices,
    payloads: Choice,
    /// Host and port: the name under which connections are kept.
    name: Vec<u8>,
    stage: Stage,
    /// Arguments of the keys that exist.
    found: Vec<u32>,
    link: Option<Link>,
    /// When the other server has taken too long; `None` while it has not to be waited for.
    deadline: Option<Duration>,
    /// It may be begun once more.
    may_retry: bool,
    unsent: Output,
    received: Vec<u8>,
    /// The first error that the other server has answered.
    refusal: Option<Vec<u8>>,
}

enum Stage {
    /// So many keys are looked up.
    Look(usize),
    Connect,
    /// So many answers to AUTH and SELECT are to come.
    Greet(usize),
    Transfer(Transfer),
}

#[derive(Default)]
struct Transfer {
    /// Place in `Migrate::found` of the next key to send.
    next: usize,
    /// What it will be.
    payload: Option<Payload>,
    /// Its time to live.
    ttl_ms: i64,
    /// Arguments of those whose answers are to come.
    sent: VecDeque<u32>,
    /// An answer has come.
    has_answer: bool,
}

/// Why a conversation ended early.
enum Broken {
    Connecting,
    /// And whether it was time that ran out.
    Writing(bool),
    Reading(bool),
}

/// Whether a turn of the conversation has brought anything.
type Turn = Result<bool, Broken>;

impl Migrate {
    pub(super) fn new(ctx: &Ctx<'_>, args: Args<'_>, choices: Choices) -> Migrate {
        Migrate {
            payloads: Choice::of(ctx),
            name: [args.at(1), b":", args.at(2)].concat(),
            stage: Stage::Look(0),
            found: Vec::new(),
            link: None,
            deadline: None,
            may_retry: true,
            unsent: Output::default(),
            received: Vec::new(),
            refusal: None,
            choices,
        }
    }

    /// Looks keys up; done once all are.
    fn look(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Progress {
        let Stage::Look(from) = self.stage else { return Progress::Done };
        let mut looked = from;
        while looked < self.choices.key_count {
            let count = budget.piece(KEYS_PER_PIECE).min(self.choices.key_count - looked);
            for index in (self.choices.first_key + looked..).take(count) {
                if ctx.db.read(args.key(index)).is_some() {
                    self.found.push(index as u32);
                }
            }
            looked += count;
            self.stage = Stage::Look(looked);
            if budget.spend(count as u64) && looked < self.choices.key_count {
                return Progress::More;
            }
        }
        Progress::Done
    }

    /// Takes a connection that is there, or opens one; whether it is ready.
    fn connect(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>) -> Turn {
        let link = match &mut self.link {
            Some(link) => link,
            place => match ctx.engine.remotes.take(&self.name).filter(|_| self.may_retry) {
                Some(link) => place.insert(link),
                None => {
                    let host = String::from_utf8_lossy(args.at(1));
                    // As atoi(3): what is no number is 0, where nobody listens.
                    let port =
                        std::str::from_utf8(args.at(2)).ok().and_then(|port| port.parse().ok());
                    let opened = ctx.engine.remotes.open(&host, port.unwrap_or(0));
                    place.insert(opened.map_err(|_| Broken::Connecting)?)
                }
            },
        };
        link.remote.connect().map_err(|error| match error.kind() {
            ErrorKind::NotFound => Broken::Connecting,
            // As in Redis, which learns of a refusal by writing.
            _ => Broken::Writing(false),
        })
    }

    /// Says who we are and what database we want; how many answers are to come.
    fn greet(&mut self, args: Args<'_>) -> usize {
        let mut request = Reply::new(&mut self.unsent, Resp::V2);
        let mut answers = 0;
        if let Some(password) = self.choices.password {
            request.array(2 + usize::from(self.choices.user.is_some()));
            request.bulk(b"AUTH");
            self.choices.user.into_iter().for_each(|user| request.bulk(args.at(user)));
            request.bulk(args.at(password));
            answers += 1;
        }
        if self.link.as_ref().is_none_or(|link| link.db != Some(self.choices.db)) {
            request.array(2);
            request.bulk(b"SELECT");
            request.bulk_int(self.choices.db);
            answers += 1;
        }
        answers
    }

    /// Makes keys ready to be sent; whether the slice is over.
    fn fill(
        &mut self,
        ctx: &mut Ctx<'_>,
        args: Args<'_>,
        budget: &mut Budget,
    ) -> Result<bool, CmdError> {
        let Stage::Transfer(transfer) = &mut self.stage else { return Ok(false) };
        while self.unsent.len() < UNSENT_BYTES {
            let Some(&index) = self.found.get(transfer.next) else { break };
            let key = args.key(index as usize);
            let payload = match &mut transfer.payload {
                Some(payload) => payload,
                place => {
                    let now = ctx.engine.clock.unix_ms();
                    let entry = ctx.db.peek(key);
                    let expiry = entry.as_ref().and_then(|entry| entry.expiry());
                    let Some(entry) = entry.filter(|_| expiry.is_none_or(|at| at >= now)) else {
                        // Its time has come since it was looked up.
                        transfer.next += 1;
                        continue;
                    };
                    transfer.ttl_ms = expiry.map_or(0, |at| (at - now).max(1));
                    place.insert(Payload::begin(&entry, self.payloads)?)
                }
            };
            if !payload.step(ctx.db, key, budget).is_done() {
                return Ok(true);
            }
            let is_replace = self.choices.is_replace;
            let mut request = Reply::new(&mut self.unsent, Resp::V2);
            request.array(4 + usize::from(is_replace));
            request.bulk(b"RESTORE");
            request.bulk(key.bytes);
            request.bulk_int(transfer.ttl_ms);
            if let Some(payload) = transfer.payload.take() {
                payload.write(&mut request);
            }
            if is_replace {
                request.bulk(b"REPLACE");
            }
            transfer.sent.push_back(index);
            transfer.next += 1;
            if budget.spend(1) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sends what is ready, reads what has come; whether there was anything.
    fn exchange(&mut self) -> Turn {
        let Some(link) = &mut self.link else { return Err(Broken::Connecting) };
        let mut has_moved = false;
        if !self.unsent.is_empty() {
            match link.remote.send(&mut self.unsent) {
                Ok(sent) => has_moved = sent > 0,
                Err(error) if is_nothing(error.kind()) => {}
                Err(_) => return Err(Broken::Writing(false)),
            }
        }
        let mut buffer = [0; READ_BYTES];
        match link.remote.receive(&mut buffer) {
            Ok(0) => return Err(Broken::Reading(false)),
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                has_moved = true;
            }
            Err(error) if is_nothing(error.kind()) => {}
            Err(_) => return Err(Broken::Reading(false)),
        }
        if self.received.len() > LINE_BYTES_MAX && !self.received.contains(&b'\n') {
            return Err(Broken::Reading(false));
        }
        Ok(has_moved)
    }

    /// Takes over what the other server has answered.
    fn take_answers(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>) {
        let received = std::mem::take(&mut self.received);
        let mut rest = &received[..];
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let refusal = line.strip_prefix(b"-");
            if let (Some(refusal), None) = (refusal, &self.refusal) {
                self.refusal = Some(refusal.to_vec());
            }
            match &mut self.stage {
                Stage::Greet(answers) => *answers = answers.saturating_sub(1),
                Stage::Transfer(transfer) => {
                    transfer.has_answer = true;
                    let index = transfer.sent.pop_front();
                    if let (Some(index), None, false) = (index, refusal, self.choices.is_copy) {
                        let key = args.key(index as usize);
                        if ctx.db.remove(key) {
                            ctx.changed(Event::Del, key.bytes);
                        }
                    }
                }
                Stage::Look(_) | Stage::Connect => {}
            }
        }
        self.received = rest.to_vec();
    }

    /// Goes on talking. Done when there is no more to say.
    fn talk(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Talked {
        loop {
            let has_moved = match self.stage {
                Stage::Look(_) => return Ok(Step::Done),
                Stage::Connect => {
                    let is_connected = self.connect(ctx, args)?;
                    if is_connected {
                        self.stage = Stage::Greet(self.greet(args));
                    }
                    is_connected
                }
                Stage::Greet(0) => {
                    if self.refusal.is_some() {
                        return Ok(Step::Done);
                    }
                    self.stage = Stage::Transfer(Transfer::default());
                    true
                }
                Stage::Greet(_) | Stage::Transfer(_) => {
                    let is_over = self.fill(ctx, args, budget)?;
                    if is_over && self.unsent.is_empty() {
                        return Ok(Step::More);
                    }
                    let has_moved = self.exchange()?;
                    self.take_answers(ctx, args);
                    if self.has_all_answers() {
                        return Ok(Step::Done);
                    }
                    has_moved || is_over
                }
            };
            if has_moved {
                self.deadline = None;
                if budget.spend(LOOK_UNITS) {
                    return Ok(Step::More);
                }
            } else if let Some(step) = self.wait(ctx, budget)? {
                return Ok(step);
            }
        }
    }

    fn has_all_answers(&self) -> bool {
        let Stage::Transfer(transfer) = &self.stage else { return false };
        transfer.next == self.found.len() && transfer.sent.is_empty()
    }

    /// Nothing can be done before something comes: until when to wait for it, unless it was waited for here.
    fn wait(&mut self, ctx: &mut Ctx<'_>, budget: &Budget) -> Result<Option<Step>, Broken> {
        let now = ctx.engine.clock.monotonic();
        let deadline = *self.deadline.get_or_insert(now.saturating_add(self.choices.timeout));
        let is_writing = !self.unsent.is_empty();
        if now >= deadline {
            return Err(match self.stage {
                Stage::Look(_) | Stage::Connect => Broken::Connecting,
                _ if is_writing => Broken::Writing(true),
                _ => Broken::Reading(true),
            });
        }
        if !budget.is_unlimited() {
            return Ok(Some(Step::Until(deadline)));
        }
        if let Some(link) = &mut self.link {
            let what = if is_writing { Ready::Write } else { Ready::Read };
            link.remote.wait(what, deadline - now);
        }
        Ok(None)
    }

    /// The conversation has broken off: it begins again, where nothing is known to have arrived, or that is the end.
    fn begin_again(&mut self, ctx: &mut Ctx<'_>, broken: &Broken) -> Option<CmdError> {
        self.hang_up(ctx);
        let has_answer = matches!(&self.stage, Stage::Transfer(transfer) if transfer.has_answer);
        if let Some(refusal) = self.refusal.take_if(|_| has_answer) {
            return Some(refused(&refusal));
        }
        let error = match broken {
            Broken::Connecting => "IOERR error or timeout connecting to the client",
            Broken::Writing(_) => "IOERR error or timeout writing to target instance",
            Broken::Reading(_) => "IOERR error or timeout reading to target instance",
        };
        let is_final =
            matches!(broken, Broken::Connecting | Broken::Writing(true) | Broken::Reading(true));
        if is_final || has_answer || !std::mem::take(&mut self.may_retry) {
            return Some(CmdError::Text(error));
        }
        self.stage = Stage::Connect;
        (self.deadline, self.refusal) = (None, None);
        self.received.clear();
        None
    }

    /// Closes the connection: who knows what would still be said on it.
    fn hang_up(&mut self, ctx: &mut Ctx<'_>) {
        self.link = None;
        let graveyard = &mut ctx.engine.graveyard;
        graveyard.bury_output(std::mem::take(&mut self.unsent));
        if let Stage::Transfer(transfer) = &mut self.stage
            && let Some(payload) = transfer.payload.take()
        {
            payload.bury(graveyard);
        }
    }

    /// All is said: the connection is kept, and this is the reply.
    fn end(&mut self, ctx: &mut Ctx<'_>) -> Stepped {
        let refusal = self.refusal.take();
        if let Some(mut link) = self.link.take() {
            link.db = refusal.is_none().then_some(self.choices.db);
            ctx.engine.remotes.keep(&self.name, link, ctx.engine.clock.monotonic());
        }
        match refusal {
            Some(refusal) => Err(refused(&refusal)),
            None => {
                ctx.reply.ok();
                Ok(Step::Done)
            }
        }
    }
}

/// What talking came to; errors of our own beside a broken conversation.
type Talked = Result<Step, Ended>;

enum Ended {
    Broken(Broken),
    Failed(CmdError),
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Ended {
        Ended::Broken(broken)
    }
}

impl From<CmdError> for Ended {
    fn from(error: CmdError) -> Ended {
        Ended::Failed(error)
    }
}

impl Job for Migrate {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        if matches!(self.stage, Stage::Look(_)) {
            if self.look(ctx, args, budget) == Progress::More {
                return Ok(Step::More);
            }
            if self.found.is_empty() {
                ctx.reply.simple("NOKEY");
                return Ok(Step::Done);
            }
            self.stage = Stage::Connect;
        }
        loop {
            match self.talk(ctx, args, budget) {
                Ok(Step::Done) => return self.end(ctx),
                Ok(step) => return Ok(step),
                Err(Ended::Failed(error)) => {
                    self.hang_up(ctx);
                    return Err(error);
                }
                Err(Ended::Broken(broken)) => {
                    if let Some(error) = self.begin_again(ctx, &broken) {
                        return Err(error);
                    }
                }
            }
        }
    }
}

/// Nothing has gone wrong, there is only nothing to do.
fn is_nothing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn refused(refusal: &[u8]) -> CmdError {
    CmdError::owned(&[b"ERR Target instance replied with error: ", refusal])
}
