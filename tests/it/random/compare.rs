//! What makes two replies the same: Redis leaves some orders open, and clocks differ by a moment.

use super::Request;
use crate::support::reply::{Order, Reply, arrange};

/// How the replies to a request are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Check {
    /// As they are.
    Exact,
    /// In any order.
    Unordered(Order),
    /// In any order, if the reply to the request behind it says that the value is a table.
    UnorderedInTables(Order),
    /// Chance: only how much it is. All of it, in any order, where more was wanted than there is.
    Sample,
    /// A moment's difference is none.
    Time,
    /// Times and what Redis keeps for itself left out.
    Masked,
    /// A cursor, and elements in any order if they are all of them.
    Scan(Order),
    /// A dump, whose order is open in tables.
    Dump,
    /// By name, which means nothing unless the request behind it shows that all scores are equal.
    ByName,
    /// As `ByName`, of what is deleted behind it: not at all.
    Open,
}

/// Moments in ms and s that are none.
const MOMENT_MS: i64 = 5000;
/// Numbers above this are points in time.
const CLOCK_MIN: i64 = 100_000_000_000;

fn words(request: &[&str], key: &[u8]) -> Request {
    let own = request.iter().map(|word| word.as_bytes().to_vec());
    own.chain([key.to_vec()]).collect()
}

fn scores(key: &[u8]) -> Request {
    let mut request = words(&["zrange"], key);
    request.extend(["0", "-1", "withscores"].map(|word| word.as_bytes().to_vec()));
    request
}

impl Check {
    /// How this command is compared, and what has to follow it. May take an option away that leaves chance behind.
    pub fn of(name: &str, request: &mut Request) -> (Check, Option<Request>) {
        let key = request.get(1).cloned().unwrap_or_default();
        let encoding = || Some(words(&["object", "encoding"], &key));
        match name {
            "sunion" | "sinter" | "sdiff" => (Check::Unordered(Order::Sorted), None),
            "smembers" => (Check::UnorderedInTables(Order::Sorted), encoding()),
            "hkeys" | "hvals" => (Check::UnorderedInTables(Order::Sorted), encoding()),
            "hgetall" => (Check::UnorderedInTables(Order::SortedPairs), encoding()),
            "sscan" => (Check::Scan(Order::Sorted), None),
            "hscan" | "zscan" => (Check::Scan(Order::SortedPairs), None),
            "srandmember" | "hrandfield" | "zrandmember" => (Check::Sample, None),
            // Which one it takes is chance, so nothing may be left.
            "spop" => (Check::Sample, Some(words(&["del"], &key))),
            "ttl" | "pttl" | "expiretime" | "pexpiretime" => (Check::Time, None),
            "xpending" | "xinfo|stream" | "xinfo|groups" | "xinfo|consumers" => {
                (Check::Masked, None)
            }
            "dump" => (Check::Dump, encoding()),
            // Redis makes a table of a packed sorted set that it sorts.
            "sort" | "sort_ro" => (sort_check(request), Some(words(&["del"], &key))),
            "zlexcount" | "zrangebylex" | "zrevrangebylex" => (Check::ByName, Some(scores(&key))),
            "zrange" if has(request, "bylex") => (Check::ByName, Some(scores(&key))),
            "zremrangebylex" => (Check::Open, Some(words(&["del"], &key))),
            "zrangestore" if has(request, "bylex") => (Check::Open, Some(words(&["del"], &key))),
            _ => (Check::Exact, None),
        }
    }

    /// Whether the replies are the same; `then` is Redis's to the request that followed.
    pub fn agrees(
        self,
        request: &Request,
        theirs: &Reply,
        ours: &Reply,
        then: Option<&Reply>,
    ) -> bool {
        let is_table = then == Some(&Reply::Bulk(b"hashtable".to_vec()));
        let sorted = |order| arrange(theirs.clone(), order) == arrange(ours.clone(), order);
        match self {
            Check::Exact => theirs == ours,
            Check::Unordered(order) => sorted(order),
            Check::UnorderedInTables(order) if is_table => sorted(order),
            Check::UnorderedInTables(_) => theirs == ours,
            Check::Sample => sample_agrees(request, theirs, ours),
            Check::Time => time_agrees(theirs, ours),
            Check::Masked => masked(theirs) == masked(ours),
            Check::Scan(order) => scan_agrees(request, theirs, ours, order),
            Check::ByName => theirs == ours || !then.is_some_and(has_one_score),
            Check::Open => is_error(theirs) == is_error(ours),
            Check::Dump if is_table => is_bulk(theirs) == is_bulk(ours),
            Check::Dump if then == Some(&Reply::Bulk(b"stream".to_vec())) => {
                // Consumers and what is pending have times in it, of eight bytes each.
                let length = |reply: &Reply| match reply {
                    Reply::Bulk(bytes) => Some(bytes.len()),
                    _ => None,
                };
                theirs == ours || length(theirs).is_some() && length(theirs) == length(ours)
            }
            // A long element that LSET puts into a full node is cut off at another place than Redis does it, and a list
            // that SORT has stored never follows `list-max-listpack-size` in Redis. So lists may have other nodes; what
            // they hold is compared by restoring them.
            Check::Dump if then == Some(&Reply::Bulk(b"quicklist".to_vec())) => {
                is_bulk(theirs) == is_bulk(ours)
            }
            Check::Dump => theirs == ours,
        }
    }
}

fn is_bulk(reply: &Reply) -> bool {
    matches!(reply, Reply::Bulk(_))
}

fn has(request: &Request, word: &str) -> bool {
    request.iter().skip(2).any(|other| other.eq_ignore_ascii_case(word.as_bytes()))
}

/// Where elements are equal, or a set is left as it is, the order is open.
fn sort_check(request: &mut Request) -> Check {
    if has(request, "by") {
        if let Some(at) = request.iter().position(|word| word.eq_ignore_ascii_case(b"store")) {
            request.truncate(at.max(2));
        }
        return if has(request, "limit") || has(request, "get") {
            Check::Sample
        } else {
            Check::Unordered(Order::Sorted)
        };
    }
    Check::Exact
}

fn elements(reply: &Reply) -> Option<&[Reply]> {
    match reply {
        Reply::Array(items) | Reply::Set(items) => Some(items),
        _ => None,
    }
}

fn sample_agrees(request: &Request, theirs: &Reply, ours: &Reply) -> bool {
    let (Some(their_items), Some(our_items)) = (elements(theirs), elements(ours)) else {
        return match (theirs, ours) {
            (Reply::Bulk(_), Reply::Bulk(_)) => true,
            _ => theirs == ours,
        };
    };
    let count = request.get(2).and_then(|word| std::str::from_utf8(word).ok()?.parse::<i64>().ok());
    let is_same_kind = matches!(theirs, Reply::Set(_)) == matches!(ours, Reply::Set(_));
    let is_all = count.is_some_and(|count| count > their_items.len() as i64);
    is_same_kind
        && their_items.len() == our_items.len()
        && (!is_all || sorted_elements(their_items) == sorted_elements(our_items))
}

fn sorted_elements(items: &[Reply]) -> Vec<String> {
    let mut items: Vec<String> = items.iter().map(|item| format!("{item:?}")).collect();
    items.sort();
    items
}

fn time_agrees(theirs: &Reply, ours: &Reply) -> bool {
    let (Reply::Integer(theirs), Reply::Integer(ours)) = (theirs, ours) else {
        return theirs == ours;
    };
    let (Ok(theirs), Ok(ours)) = (theirs.parse::<i64>(), ours.parse::<i64>()) else { return false };
    theirs == ours || theirs >= 0 && ours >= 0 && (theirs - ours).abs() < MOMENT_MS
}

fn is_error(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(_))
}

/// Whether all members of a reply of ZRANGE have the same score.
fn has_one_score(reply: &Reply) -> bool {
    let Some(items) = elements(reply) else { return true };
    let is_nested = items.iter().all(|item| matches!(item, Reply::Array(_)));
    let mut scores: Vec<&Reply> = match is_nested {
        true => items.iter().filter_map(|item| elements(item)?.get(1)).collect(),
        false => items.iter().skip(1).step_by(2).collect(),
    };
    scores.dedup();
    scores.len() <= 1
}

fn scan_agrees(request: &Request, theirs: &Reply, ours: &Reply, order: Order) -> bool {
    let (Reply::Array(their_parts), Reply::Array(our_parts)) = (theirs, ours) else {
        return theirs == ours;
    };
    let ([their_cursor, their_items], [our_cursor, our_items]) = (&their_parts[..], &our_parts[..])
    else {
        return false;
    };
    let end = Reply::Bulk(b"0".to_vec());
    let is_whole = request.get(2).is_some_and(|cursor| cursor == b"0");
    if !is_whole || *their_cursor != end || *our_cursor != end {
        // Which elements come first is open.
        return is_bulk(their_cursor) && is_bulk(our_cursor);
    }
    arrange(their_items.clone(), order) == arrange(our_items.clone(), order)
}

/// The reply without what cannot be the same.
fn masked(reply: &Reply) -> Reply {
    let hidden = || Reply::Status(b"(hidden)".to_vec());
    let hides = |name: &Reply| {
        let Reply::Bulk(name) = name else { return false };
        matches!(&name[..], b"idle" | b"seen-time" | b"radix-tree-keys" | b"radix-tree-nodes")
    };
    match reply {
        Reply::Integer(number) if number.parse::<i64>().is_ok_and(|n| n > CLOCK_MIN) => hidden(),
        Reply::Map(pairs) => Reply::Map(
            pairs
                .iter()
                .map(|(key, value)| {
                    (key.clone(), if hides(key) { hidden() } else { masked(value) })
                })
                .collect(),
        ),
        Reply::Array(items) => {
            // A pending entry: ID, consumer, idle time, deliveries.
            let is_pending = matches!(
                &items[..],
                [Reply::Bulk(_), Reply::Bulk(_), Reply::Integer(_), Reply::Integer(_)]
            );
            let mut is_next_hidden = false;
            let mut out = Vec::new();
            for (index, item) in items.iter().enumerate() {
                let hide = is_next_hidden || is_pending && index == 2;
                out.push(if hide { hidden() } else { masked(item) });
                is_next_hidden = hides(item);
            }
            Reply::Array(out)
        }
        other => other.clone(),
    }
}
