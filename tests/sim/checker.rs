//! Is there an order of the calls that explains every answer?
//!
//! Wing and Gong's search with Lowe's memory: a call may come next if no other call has been answered before it was
//! asked for; the model runs it and must accept its answer; a state that was reached before by the same calls leads
//! nowhere new. Calls of one connection keep their order, so what has happened is one position per connection.
//! A call without an answer may happen at any later moment or never.
//!
//! Cost: linear where answers leave no choice, exponential in the calls that overlap at worst; after
//! [`NODES_MAX`] states the search gives up.
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::history::Call;
use super::model::Model;

/// States looked at before giving up.
const NODES_MAX: usize = 400_000;

/// What the search came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order.
    Linearizable,
    /// There is none; where the furthest attempt got stuck.
    Violation(String),
    /// It would take too long to know.
    Undecided,
}

/// Judges the calls that arrived, starting from this model.
pub fn check(calls: &[Call], model: &Model) -> Verdict {
    let connections = calls.iter().map(|call| call.connection + 1).max().unwrap_or(0);
    let mut rows: Vec<Vec<&Call>> = vec![Vec::new(); connections];
    for call in calls.iter().filter(|call| call.invoked.is_some()) {
        // What neither changes anything nor tells of anything only makes the search longer.
        let is_silent = call.reply.is_none() && call.returned.is_none() && !may_write(call);
        if !is_silent {
            rows[call.connection].push(call);
        }
    }
    rows.retain(|row| !row.is_empty());
    let mut search = Search {
        rows,
        seen: HashSet::new(),
        nodes: 0,
        order: Vec::new(),
        longest: Vec::new(),
        stuck: String::new(),
    };
    let mut at = vec![0; search.rows.len()];
    match search.descend(&mut at, model) {
        true => Verdict::Linearizable,
        false if search.nodes >= NODES_MAX => Verdict::Undecided,
        false => Verdict::Violation(search.report()),
    }
}

/// Whether a call may change the state; if in doubt, yes.
fn may_write(call: &Call) -> bool {
    const READS: &[&[u8]] = &[
        b"GET", b"MGET", b"KEYS", b"SCAN", b"DBSIZE", b"EXISTS", b"TOUCH", b"STRLEN", b"GETRANGE",
        b"LCS", b"TTL", b"PTTL", b"EXPIRETIME", b"PEXPIRETIME", b"TYPE", b"RANDOMKEY", b"DUMP",
        b"PING", b"ECHO", b"SELECT", b"HELLO", b"PAUSE", b"UNPAUSE", b"KILL", b"NOTOUCH", b"QUIT",
    ];
    !READS.contains(&&call.words[0][..])
}

struct Search<'c> {
    /// Calls by connection.
    rows: Vec<Vec<&'c Call>>,
    /// Positions and states that led nowhere, by their hash.
    seen: HashSet<u64>,
    nodes: usize,
    /// The attempt under way.
    order: Vec<&'c Call>,
    /// The attempt that explained most calls.
    longest: Vec<&'c Call>,
    /// What the calls that could have come next were answered and what would have been right.
    stuck: String,
}

impl<'c> Search<'c> {
    fn descend(&mut self, at: &mut [usize], model: &Model) -> bool {
        let next = |row: usize, at: &[usize]| self.rows[row].get(at[row]).copied();
        let mut candidates: Vec<(usize, &Call)> =
            (0..at.len()).filter_map(|row| Some((row, next(row, at)?))).collect();
        let returned = |call: &Call| call.returned.unwrap_or(u64::MAX);
        let Some(first_answer) = candidates.iter().map(|(_, call)| returned(call)).min() else {
            return true;
        };
        if first_answer == u64::MAX {
            // What is left was never answered, so it need not have happened.
            return true;
        }
        let mut hasher = DefaultHasher::new();
        (&at, model).hash(&mut hasher);
        if self.nodes >= NODES_MAX || !self.seen.insert(hasher.finish()) {
            return false;
        }
        self.nodes += 1;
        candidates.retain(|(_, call)| call.invoked.is_some_and(|time| time < first_answer));
        // The first answer was probably given first.
        candidates.sort_by_key(|(_, call)| returned(call));
        let mut stuck = String::new();
        for (row, call) in candidates {
            let mut after = model.clone();
            let expect = after.apply(call.db, &call.words);
            if let Some(reply) = &call.reply
                && !expect.accepts(reply)
            {
                stuck += &format!("    {call}\n        right would be {expect}\n");
                continue;
            }
            at[row] += 1;
            self.order.push(call);
            if self.descend(at, &after) {
                return true;
            }
            self.order.pop();
            at[row] -= 1;
        }
        if self.order.len() > self.longest.len() || self.stuck.is_empty() {
            self.longest.clone_from(&self.order);
            self.stuck = format!("{stuck}  in the state {model}\n");
        }
        false
    }

    fn report(&self) -> String {
        let mut text = "no order explains the answers. The longest that could be found:\n".to_owned();
        for call in &self.longest {
            text += &format!("    {call}\n");
        }
        text + "  After it, none of these is right:\n" + &self.stuck
    }
}
