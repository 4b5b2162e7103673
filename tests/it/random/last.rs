//! What is there at the end of a history: type, encoding, time to live, content and dump of each key, and what each
//! server makes of the other's dump.

use super::Request;
use super::compare::Check;
use super::duel::{Duel, Mismatch, mismatch, request};
use super::values::KEYS;
use crate::support::reply::{Order, Reply};

/// What shows the content of a key, by its type; its reply is compared so.
fn content(kind: &[u8], key: &str) -> Option<(Request, Check)> {
    Some(match kind {
        b"string" => (request(&["GET", key]), Check::Exact),
        b"list" => (request(&["LRANGE", key, "0", "-1"]), Check::Exact),
        b"set" => (request(&["SMEMBERS", key]), Check::Unordered(Order::Sorted)),
        b"hash" => (request(&["HGETALL", key]), Check::Unordered(Order::SortedPairs)),
        b"zset" => (request(&["ZRANGE", key, "0", "-1", "WITHSCORES"]), Check::Exact),
        b"stream" => (request(&["XINFO", "STREAM", key, "FULL", "COUNT", "0"]), Check::Masked),
        _ => return None,
    })
}

/// Compares all keys; how many replies, or the first difference, which belongs to step `step`.
pub fn compare(duel: &mut Duel, step: usize) -> Result<usize, Mismatch> {
    let has_dumps = !super::list("RANDOM_WITHOUT").iter().any(|word| word == "dump");
    let keys: Vec<&str> = KEYS.iter().flat_map(|pool| pool.iter().copied()).collect();
    let mut asked: Vec<(Request, Check)> = Vec::new();
    for key in &keys {
        asked.push((request(&["TYPE", key]), Check::Exact));
        asked.push((request(&["OBJECT", "ENCODING", key]), Check::Exact));
        asked.push((request(&["PTTL", key]), Check::Time));
        if has_dumps {
            asked.push((request(&["DUMP", key]), Check::Dump));
        }
    }
    let (theirs, _) = ask(duel, step, &asked)?;
    let mut compared = asked.len();
    let kinds = keys.iter().zip(theirs.iter().step_by(asked.len() / keys.len()));
    let present: Vec<(&str, Vec<u8>)> = kinds
        .filter_map(|(key, kind)| match kind {
            Reply::Status(kind) if kind != b"none" => Some((*key, kind.clone())),
            _ => None,
        })
        .collect();
    let contents: Vec<_> = present.iter().filter_map(|(key, kind)| content(kind, key)).collect();
    ask(duel, step, &contents)?;
    compared += contents.len();
    if has_dumps {
        compared += exchange(duel, step, &present)?;
    }
    Ok(compared)
}

/// Asks both and compares.
fn ask(
    duel: &mut Duel,
    step: usize,
    asked: &[(Request, Check)],
) -> Result<(Vec<Reply>, Vec<Reply>), Mismatch> {
    let requests: Vec<&Request> = asked.iter().map(|(request, _)| request).collect();
    let (theirs, ours) = duel.ask_both(&requests)?;
    for (index, (request, check)) in asked.iter().enumerate() {
        // The encoding stands before the dump.
        let then = index.checked_sub(2).map(|before| &theirs[before]);
        if !check.agrees(request, &theirs[index], &ours[index], then) {
            return Err(mismatch(step, request, &theirs[index], &ours[index]));
        }
    }
    Ok((theirs, ours))
}

/// Each server restores what the other one has dumped, and shows it.
fn exchange(duel: &mut Duel, step: usize, keys: &[(&str, Vec<u8>)]) -> Result<usize, Mismatch> {
    let dumps: Vec<Request> = keys.iter().map(|(key, _)| request(&["DUMP", key])).collect();
    let (theirs, ours) = duel.ask_both(&dumps.iter().collect::<Vec<_>>())?;
    let restored = |dumps: &[Reply]| -> Vec<Request> {
        let restore = |(key, dump): (&(&str, Vec<u8>), &Reply)| {
            let Reply::Bulk(payload) = dump else { return request(&["PING"]) };
            let mut words = request(&["RESTORE", key.0, "0"]);
            words.extend([payload.clone(), b"REPLACE".to_vec()]);
            words
        };
        keys.iter().zip(dumps).map(restore).collect()
    };
    let (to_redis, to_rufous) = (restored(&ours), restored(&theirs));
    let (at_redis, at_rufous) =
        duel.ask_each(&to_redis.iter().collect::<Vec<_>>(), &to_rufous.iter().collect::<Vec<_>>())?;
    let ok = Reply::Status(b"OK".to_vec());
    for (index, request) in to_redis.iter().enumerate() {
        if at_redis[index] != ok || at_rufous[index] != ok {
            return Err(mismatch(step, request, &at_redis[index], &at_rufous[index]));
        }
    }
    let contents: Vec<_> = keys.iter().filter_map(|(key, kind)| content(kind, key)).collect();
    ask(duel, step, &contents)?;
    Ok(3 * keys.len())
}
