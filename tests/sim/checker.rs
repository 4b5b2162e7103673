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
    let deadlines = rows.iter().map(|row| deadlines(row)).collect();
    let mut search = Search {
        rows,
        deadlines,
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

/// Until when each call of a connection must have happened: one without an answer before the next one with.
fn deadlines(row: &[&Call]) -> Vec<u64> {
    let mut earliest = u64::MAX;
    let mut times: Vec<u64> = row
        .iter()
        .rev()
        .map(|call| {
            earliest = earliest.min(call.returned.unwrap_or(u64::MAX));
            earliest
        })
        .collect();
    times.reverse();
    times
}

/// Whether a call may change the state; if in doubt, yes.
fn may_write(call: &Call) -> bool {
    const READS: &[&[u8]] = &[
        b"GET",
        b"MGET",
        b"KEYS",
        b"SCAN",
        b"DBSIZE",
        b"EXISTS",
        b"TOUCH",
        b"STRLEN",
        b"GETRANGE",
        b"LCS",
        b"TTL",
        b"PTTL",
        b"EXPIRETIME",
        b"PEXPIRETIME",
        b"TYPE",
        b"RANDOMKEY",
        b"DUMP",
        b"LRANGE",
        b"LLEN",
        b"SMEMBERS",
        b"SCARD",
        b"SINTER",
        b"HGET",
        b"HGETALL",
        b"HLEN",
        b"ZCARD",
        b"ZRANGE",
        b"XLEN",
        b"XRANGE",
        b"XREAD",
        b"PING",
        b"ECHO",
        b"SELECT",
        b"HELLO",
        b"PAUSE",
        b"UNPAUSE",
        b"KILL",
        b"NOTOUCH",
        b"QUIT",
        b"REPLY",
        b"GARBAGE",
    ];
    !READS.contains(&&call.words[0][..])
}

struct Search<'c> {
    /// Calls by connection.
    rows: Vec<Vec<&'c Call>>,
    /// Until when each of them must have happened.
    deadlines: Vec<Vec<u64>>,
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
        let next = |row: usize| {
            let position = at[row];
            let deadline = *self.deadlines[row].get(position)?;
            Some((row, self.rows[row][position], deadline))
        };
        let mut candidates: Vec<(usize, &Call, u64)> = (0..at.len()).filter_map(next).collect();
        let first_answer = candidates.iter().map(|(_, _, deadline)| *deadline).min();
        let Some(first_answer) = first_answer.filter(|&time| time != u64::MAX) else {
            // What is left was never answered, so it need not have happened.
            return true;
        };
        let mut hasher = DefaultHasher::new();
        (&at, model).hash(&mut hasher);
        if self.nodes >= NODES_MAX || !self.seen.insert(hasher.finish()) {
            return false;
        }
        self.nodes += 1;
        candidates.retain(|(_, call, _)| call.invoked.is_some_and(|time| time < first_answer));
        // The first answer was probably given first.
        candidates.sort_by_key(|(_, _, deadline)| *deadline);
        let mut stuck = String::new();
        for (row, call, _) in candidates {
            for (after, expect) in model.outcomes(call) {
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
        }
        if self.order.len() > self.longest.len() || self.stuck.is_empty() {
            self.longest.clone_from(&self.order);
            self.stuck = format!("{stuck}  in the state {model}\n");
        }
        false
    }

    fn report(&self) -> String {
        let mut text =
            "no order explains the answers. The longest that could be found:\n".to_owned();
        for call in &self.longest {
            text += &format!("    {call}\n");
        }
        text + "  After it, none of these is right:\n" + &self.stuck
    }
}
