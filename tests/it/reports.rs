//! What servers tell about themselves, ours and a real Redis: after the same random histories their reports have
//! the same fields in the same order, and the same figures where the history alone decides about them.
//!
//! Compared in full: errors, CLIENT filters, COMMAND GETKEYS and LIST, SLOWLOG, calls and failures in INFO
//! commandstats, errorstats and keyspace. Compared in shape (names, order, kinds of values): all other sections of
//! INFO, CLIENT LIST and INFO, MEMORY STATS, HELLO. What is ours alone is left out by name. A second client sees it
//! all by MONITOR, whose lines have to be the same but for times and addresses.
//!
//! `REPORTS_SEED=7 REPORTS_ROUNDS=1` plays one round again.

use std::time::{Duration, Instant};

use rufous::base::random::Random;

use super::support::play::encode;
use super::support::process::{Kind, Process, redis_is_installed};
use super::support::reply::{Reply, Trouble, decode, lines};
use super::support::target::{Link, Received, Target};

const PATIENCE: Duration = Duration::from_secs(20);
/// Requests of one round.
const STEPS: usize = 120;

/// Fields of INFO that only ours has.
const OUR_FIELDS: &[&str] = &[
    "rufous_version",
    "expired_subkeys",
    "client_query_buffer_limit_disconnections",
    "client_output_buffer_limit_disconnections",
    "loop_turns",
    "loop_max_stall_us",
];

/// Fields of INFO whose values the history decides about.
const FIXED_FIELDS: &[&str] = &[
    "redis_version",
    "redis_mode",
    "connected_clients",
    "blocked_clients",
    "maxmemory_policy",
    "total_error_replies",
    "unexpected_error_replies",
    "keyspace_misses",
    "expired_keys",
    "evicted_keys",
    "role",
    "connected_slaves",
    "cluster_enabled",
    "rdb_bgsave_in_progress",
    "loading",
];

/// Fields of a client whose values the history decides about.
const FIXED_CLIENT_FIELDS: &[&str] = &[
    "name", "age", "idle", "flags", "db", "sub", "psub", "ssub", "multi", "qbuf", "argv-mem",
    "oll", "omem", "events", "cmd", "user", "redir", "resp",
];

/// What happens, a word per argument; `K` stands for a key.
const EVENTS: &[&str] = &[
    "EVAL return\tredis.call('get','k') 0",
    "EVAL return\tredis.pcall('lpush','k','v') 0",
    "EVAL return\tredis.call('nosuch') 0",
    "EVAL return( 0",
    "EVALSHA ffffffffffffffffffffffffffffffffffffffff 0",
    "CLIENT TRACKING ON",
    "CLIENT TRACKING ON BCAST",
    "CLIENT TRACKING OFF",
    "CLIENT TRACKING ON NOLOOP",
    "CLIENT CACHING yes",
    "ACL SETUSER u on >p",
    "ACL DELUSER u",
    "ACL WHOAMI",
    "ACL GETUSER nosuch",
    "PUBLISH c m",
    "SET K v",
    "GET K",
    "LPUSH K a b",
    "INCR K",
    "ZADD z 1 a",
    "HSET h f v",
    "SADD s 1 2",
    "EXPIRE K 1000",
    "DEL K",
    "nosuch command",
    "GET",
    "CONFIG SET maxmemory x",
    "CONFIG nosuch",
    "SELECT 0",
    "SELECT 1",
    "SELECT 99",
    "CLIENT SETNAME me",
    "CLIENT SETNAME a\tb",
    "CLIENT NO-EVICT ON",
    "CLIENT NO-EVICT OFF",
    "CLIENT NO-EVICT x",
    "MGET K K h",
    "TYPE K",
    "OBJECT ENCODING K",
    "OBJECT nosuch K",
    "PING",
    "AUTH x",
    "AUTH u p",
    "HELLO 2",
    "HELLO 3",
    "HELLO 9",
    "HELLO 3 AUTH u p",
    "MULTI",
    "EXEC",
    "DISCARD",
    "WATCH K",
    "UNWATCH",
    "MULTI x",
    "SETEX K 0 v",
    "XADD x 1-1 f v",
    "XGROUP CREATE K g 0",
    "BLPOP K x",
    "DEBUG nosuch",
    "SORT h BY nosort",
    "BITCOUNT K",
    "MOVE K 1",
    "SWAPDB 0 1",
    "RESET",
    "FLUSHDB",
    "CONFIG RESETSTAT",
    "SLOWLOG RESET",
    "CLIENT REPLY x",
    "LATENCY RESET",
    "COPY K h",
    "SETRANGE K 300 end",
];

/// What is asked; `K` is a key, `N` a number or something like one, `S` a section of INFO, `C` a command.
const QUESTIONS: &[&str] = &[
    "INFO",
    "INFO S",
    "INFO S S",
    "INFO S S S",
    "INFO commandstats",
    "INFO errorstats",
    "INFO keyspace",
    "INFO stats",
    "CLIENT LIST",
    "CLIENT INFO",
    "CLIENT LIST TYPE normal",
    "CLIENT LIST TYPE PubSub",
    "CLIENT LIST TYPE replica",
    "CLIENT LIST TYPE master",
    "CLIENT LIST TYPE x",
    "CLIENT LIST TYPE",
    "CLIENT LIST ID N",
    "CLIENT LIST x y",
    "CLIENT KILL ID N",
    "CLIENT KILL ADDR 1.1.1.1:1",
    "CLIENT KILL LADDR 1.1.1.1:1 TYPE normal",
    "CLIENT KILL TYPE x",
    "CLIENT KILL USER nosuch",
    "CLIENT KILL 1.1.1.1:1",
    "CLIENT KILL ID 777777 SKIPME N",
    "CLIENT KILL TYPE pubsub SKIPME no",
    "CLIENT KILL ID",
    "CLIENT KILL",
    "CLIENT GETNAME",
    "CLIENT GETREDIR",
    "CLIENT TRACKINGINFO",
    "CLIENT UNBLOCK N",
    "CLIENT UNBLOCK 777777 N",
    "CLIENT UNBLOCK 777777 ERROR",
    "CLIENT PAUSE N x",
    "CLIENT PAUSE",
    "CLIENT UNPAUSE",
    "CLIENT nosuch",
    "MEMORY STATS",
    "MEMORY USAGE K SAMPLES N",
    "MEMORY USAGE",
    "MEMORY PURGE",
    "MEMORY HELP",
    "MEMORY nosuch",
    "COMMAND LIST FILTERBY MODULE x",
    "COMMAND LIST FILTERBY ACLCAT nosuch",
    "COMMAND LIST FILTERBY PATTERN xg*|c*",
    "COMMAND LIST x",
    "COMMAND LIST FILTERBY PATTERN *|usage",
    "COMMAND HELP",
    "COMMAND COUNT x",
    "COMMAND nosuch",
    "COMMAND GETKEYS C",
    "COMMAND GETKEYSANDFLAGS C",
    "COMMAND GETKEYS",
    "SLOWLOG GET",
    "SLOWLOG GET N",
    "SLOWLOG GET -1",
    "SLOWLOG LEN",
    "SLOWLOG HELP",
    "SLOWLOG x",
    "LATENCY LATEST",
    "LATENCY HISTORY command",
    "LATENCY GRAPH command",
    "LATENCY DOCTOR",
    "LATENCY RESET x",
    "LATENCY HISTOGRAM nosuch",
    "LATENCY HELP",
    "LATENCY",
    "OBJECT HELP",
    "OBJECT FREQ K",
    "OBJECT REFCOUNT K",
    "OBJECT IDLETIME nokey",
    "DEBUG PROTOCOL integer",
    "DEBUG PROTOCOL map",
    "DEBUG PROTOCOL x",
    "DEBUG REPLYBUFFER x 1",
    "DBSIZE",
    "HELLO",
    "LOLWUT VERSION x",
    "ROLE",
    "CLUSTER INFO",
    "CLUSTER nosuch",
    "READONLY",
    "MODULE LIST",
    "CONFIG GET nosuch",
    "CONFIG GET maxmemory hz",
    "CONFIG GET",
    "CONFIG HELP",
    "TIME x",
];

/// Requests whose keys are asked for.
const KEYED: &[&str] = &[
    "get a",
    "set a b get",
    "mset a 1 b",
    "mset a 1 b 2",
    "zunionstore d 2 a b",
    "zunionstore d 9 a",
    "sort a by x store b store c",
    "xread count 1 streams a b 0 0",
    "xreadgroup group g c streams a 0",
    "bitop and d a b",
    "georadius a 1 1 1 m store d",
    "lmpop 2 a b left",
    "object encoding k",
    "memory usage k",
    "blmpop 0 1 a left",
    "sintercard 2 a b",
    "ping a",
    "nosuch a",
    "copy a b",
    "config get a",
    "blpop a b 0",
    "xgroup create k g 0",
    "set a",
    "get a b",
    "hello 3",
];

const SECTIONS: &[&str] = &[
    "server",
    "clients",
    "memory",
    "persistence",
    "stats",
    "replication",
    "cpu",
    "modules",
    "commandstats",
    "errorstats",
    "latencystats",
    "cluster",
    "keyspace",
    "all",
    "default",
    "everything",
    "nosuch",
    "sentinel",
];

const NUMBERS: &[&str] =
    &["0", "1", "-1", "-5", "10", "x", "", "99999999999999999999", "yes", "1.5"];
const KEYS: &[&str] = &["k", "h", "z", "s", "x", "l"];

type Request = Vec<Vec<u8>>;

fn pick<'w>(random: &mut Random, words: &[&'w str]) -> &'w str {
    words[random.below(words.len() as u64) as usize]
}

/// A request of one of these forms, in any case, at times with an argument too many.
fn request(random: &mut Random, forms: &[&str]) -> Request {
    let mut words: Vec<String> = Vec::new();
    for word in pick(random, forms).split(' ') {
        match word {
            "K" => words.push(pick(random, KEYS).into()),
            "N" => words.push(pick(random, NUMBERS).into()),
            "S" => {
                let section = pick(random, SECTIONS).to_ascii_uppercase();
                words.push(any_case(random, &section));
            }
            "C" => words.extend(pick(random, KEYED).split(' ').map(str::to_owned)),
            word => words.push(any_case(random, word)),
        }
    }
    // What else is hidden there of a wrong AUTH or HELLO is ours: docs/compatibility.md.
    let is_secret = ["auth", "hello"].contains(&words[0].to_ascii_lowercase().as_str());
    if random.below(25) == 0 && !is_secret {
        words.push("more".into());
    }
    words.into_iter().map(String::into_bytes).collect()
}

/// Keys and values keep theirs: only words of capitals are options.
fn any_case(random: &mut Random, word: &str) -> String {
    let is_option = word.len() > 1 && word.chars().all(|letter| !letter.is_ascii_lowercase());
    let is_lowered = random.below(2) == 0;
    if is_option && is_lowered { word.to_ascii_lowercase() } else { word.to_owned() }
}

/// A server and a connection to it.
struct Side {
    process: Process,
    link: Box<dyn Link>,
    /// What came on it and was not used yet.
    received: Vec<u8>,
    /// Sees all that happens there (MONITOR).
    watcher: Box<dyn Link>,
}

impl Side {
    fn start(kind: Kind) -> Side {
        let mut process = Process::start(kind, false).expect("a server starts");
        let link = process.connect().expect("a server accepts connections");
        let mut watcher = process.connect().expect("a server accepts connections");
        watcher.send(b"MONITOR\r\n").expect("a server reads");
        let mut side = Side { process, link, received: Vec::new(), watcher };
        side.seen_until(|line| line == "OK");
        side
    }

    /// The reply to a request. Pushes (of CLIENT TRACKING) are passed over.
    fn ask(&mut self, request: &Request) -> Reply {
        self.link.send(&encode(request)).expect("a server reads");
        loop {
            match decode(&self.received) {
                Ok((reply, length)) => {
                    self.received.drain(..length);
                    if !matches!(reply, Reply::Push(_)) {
                        return reply;
                    }
                }
                Err(Trouble::Malformed(what)) => panic!("{what}"),
                Err(Trouble::Incomplete) => match self.link.receive(&mut self.received, PATIENCE) {
                    Ok(Received::Bytes) => {}
                    outcome => panic!("{outcome:?}\n{}", self.process.log_tail()),
                },
            }
        }
    }

    /// What MONITOR shows up to such a line, without times and addresses: `[0 …] "get" "k"`.
    fn seen_until(&mut self, is_last: impl Fn(&str) -> bool) -> Vec<String> {
        let (mut received, mut used, mut seen) = (Vec::new(), 0, Vec::new());
        loop {
            match decode(&received[used..]) {
                Ok((Reply::Status(line), length)) => {
                    used += length;
                    let line = String::from_utf8_lossy(&line).into_owned();
                    if is_last(&line) {
                        return seen;
                    }
                    seen.push(without_time(&line));
                }
                Ok((other, _)) => panic!("a line of MONITOR: {other:?}"),
                Err(Trouble::Malformed(what)) => panic!("{what}"),
                Err(Trouble::Incomplete) => match self.watcher.receive(&mut received, PATIENCE) {
                    Ok(Received::Bytes) => {}
                    outcome => panic!("{outcome:?}\n{}", self.process.log_tail()),
                },
            }
        }
    }
}

/// A line of MONITOR without its time, and without the address of a client, which differs.
fn without_time(line: &str) -> String {
    let (_, shown) = line.split_once(' ').unwrap_or_default();
    let (place, request) = shown.split_once("] ").unwrap_or((shown, ""));
    let (db, source) = place.split_once(' ').unwrap_or((place, ""));
    let source = if source == "lua" { source } else { "client" };
    format!("{db} {source}] {request}")
}

/// The words of a request that say how its reply is compared: in lower case, the subcommand with it.
fn name_of(request: &Request) -> (String, String) {
    let word = |index: usize| {
        let word =
            request.get(index).map(|word| String::from_utf8_lossy(word).to_ascii_lowercase());
        word.unwrap_or_default()
    };
    (word(0), word(1))
}

/// What of a reply has to be the same.
fn essence(request: &Request, reply: &Reply) -> Vec<String> {
    if matches!(reply, Reply::Error(_)) {
        return lines(reply);
    }
    let (name, part) = name_of(request);
    match (&name[..], &part[..]) {
        ("info", _) => info(&text_of(reply)),
        ("client", "list" | "info") => text_of(reply).lines().map(client).collect(),
        ("client", "help") => Vec::new(),
        ("slowlog", "get") => slow_commands(reply),
        ("memory", "stats" | "usage") | ("hello" | "time", _) => vec![shape(reply)],
        ("object", "refcount") => vec![shape(reply)],
        ("command", "list") => common_names(reply),
        // What there is, is compared elsewhere (`command::introspect::tests`).
        ("command", "" | "docs" | "info" | "count") => Vec::new(),
        // In the order of a table that Redis shuffles.
        ("config", "get") => sorted_lines(reply),
        ("exec", _) => match reply {
            Reply::Array(replies) => vec![format!("{} replies", replies.len())],
            other => lines(other),
        },
        _ => lines(reply),
    }
}

fn sorted_lines(reply: &Reply) -> Vec<String> {
    let mut pairs: Vec<String> = match reply {
        Reply::Map(pairs) => pairs.iter().map(|pair| format!("{pair:?}")).collect(),
        Reply::Array(flat) => flat.chunks(2).map(|pair| format!("{pair:?}")).collect(),
        other => vec![format!("{other:?}")],
    };
    pairs.sort();
    pairs
}

/// Names that both have, sorted: what is newer than 7.0 is ours alone, and what is not built yet theirs.
fn common_names(reply: &Reply) -> Vec<String> {
    const THEIRS_OR_OURS: &[&str] = &["client|setinfo", "client|no-touch"];
    let Reply::Array(names) = reply else { return lines(reply) };
    let mut names: Vec<String> = names.iter().map(text_of).collect();
    names.retain(|name| !THEIRS_OR_OURS.contains(&&name[..]));
    names.sort();
    names
}

fn text_of(reply: &Reply) -> String {
    match reply {
        Reply::Bulk(text) | Reply::Verbatim(_, text) | Reply::Status(text) => {
            String::from_utf8_lossy(text).into_owned()
        }
        other => panic!("no text: {other:?}"),
    }
}

/// Kinds and names, without what is measured.
fn shape(reply: &Reply) -> String {
    let list = |items: &[Reply]| items.iter().map(shape).collect::<Vec<_>>().join(" ");
    match reply {
        Reply::Integer(_) => "int".into(),
        Reply::Double(_) => "double".into(),
        Reply::Bulk(text) if is_number(text) => "number".into(),
        Reply::Array(items) => format!("[{}]", list(items)),
        Reply::Set(items) => format!("~[{}]", list(items)),
        Reply::Map(pairs) => {
            let pairs =
                pairs.iter().map(|(name, value)| format!("{}={}", shape(name), shape(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(" "))
        }
        other => lines(other).join(" "),
    }
}

fn is_number(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok())
}

/// The lines of INFO: titles, names in their order, and what the history decides about. Lines of commands, whose order
/// is that of a table, are sorted among themselves.
fn info(text: &str) -> Vec<String> {
    let mut shown: Vec<String> = Vec::new();
    let mut sorted_from = 0;
    let mut is_ours = false;
    for line in text.split("\r\n").filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            shown[sorted_from..].sort_by_key(|line| (!line.contains('='), line.clone()));
            is_ours = line == "# Loop";
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if is_ours || OUR_FIELDS.contains(&name) {
            continue;
        }
        let is_listed = ["cmdstat_", "latency_percentiles", "errorstat_"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        shown.push(match name {
            _ if name.starts_with("errorstat_") || FIXED_FIELDS.contains(&name) => line.to_owned(),
            _ if name.starts_with("cmdstat_") => {
                format!("{name}:{}", keep(value, &["calls", "rejected_calls", "failed_calls"]))
            }
            _ if name.starts_with("db") => format!("{name}:{}", keep(value, &["keys", "expires"])),
            _ if name.starts_with("latency_percentiles") => format!("{name}:{}", keep(value, &[])),
            _ => name.to_owned(),
        });
        if !is_listed {
            sorted_from = shown.len();
        }
    }
    shown[sorted_from..].sort();
    shown
}

/// `a=1,b=2` with the values of these names, and the names alone of the others; without what is ours.
fn keep(value: &str, names: &[&str]) -> String {
    let part = |pair: &str| {
        let (name, _) = pair.split_once('=').unwrap_or((pair, ""));
        if names.contains(&name) { pair.to_owned() } else { name.to_owned() }
    };
    let pairs = value.split(',').map(part).filter(|pair| pair != "subexpiry");
    pairs.collect::<Vec<_>>().join(",")
}

/// A line of CLIENT LIST.
fn client(line: &str) -> String {
    let field = |field: &str| {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        match name {
            // A second may have passed between the two servers.
            "age" | "idle" => format!("{name}={}", value.parse::<u64>().is_ok()),
            _ if FIXED_CLIENT_FIELDS.contains(&name) => format!("{name}={value}"),
            _ => name.to_owned(),
        }
    };
    let fields = line.split(' ').filter(|field| !field.starts_with("lib-"));
    fields.map(field).collect::<Vec<_>>().join(" ")
}

/// The entries of the slow log, without ids and times.
fn slow_commands(reply: &Reply) -> Vec<String> {
    let Reply::Array(entries) = reply else { return lines(reply) };
    let entry = |entry: &Reply| match entry {
        Reply::Array(fields) => {
            let shown = [&fields[3], &fields[5]].map(|field| lines(field).join(" "));
            let is_scripted = fields[4] == Reply::Bulk(b"?:0".to_vec());
            format!("{} fields, {}, {is_scripted}", fields.len(), shown.join(" by "))
        }
        other => format!("{other:?}"),
    };
    entries.iter().map(entry).collect()
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Both begin the round in the same state, with every command slow enough for the slow log.
fn prepare(side: &mut Side) {
    for line in [
        "RESET",
        "CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 40",
        "FLUSHALL",
        "CLIENT NO-EVICT OFF",
        "CONFIG RESETSTAT",
        "SLOWLOG RESET",
    ] {
        let request: Request = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let reply = side.ask(&request);
        assert!(!matches!(reply, Reply::Error(_)), "{line}: {reply:?}");
    }
}

#[test]
fn reports_have_the_shape_and_the_counts_of_redis() {
    if !redis_is_installed() {
        eprintln!("skipped: there is no redis-server 7.0 on PATH to compare with");
        return;
    }
    let seed = setting("REPORTS_SEED", 1);
    let until = Instant::now() + Duration::from_secs(setting("REPORTS_SECONDS", 6));
    let (mut redis, mut rufous) = (Side::start(Kind::Redis), Side::start(Kind::Rufous));
    let mut compared = 0;
    for round in seed..seed + setting("REPORTS_ROUNDS", 1000) {
        if Instant::now() > until {
            break;
        }
        prepare(&mut redis);
        prepare(&mut rufous);
        let mut random = Random::from_seed(round);
        let mut history = Vec::new();
        for _ in 0..STEPS {
            let forms = if random.below(2) == 0 { EVENTS } else { QUESTIONS };
            let request = request(&mut random, forms);
            history.push(String::from_utf8_lossy(&request.join(&b' ')).into_owned());
            let (theirs, ours) = (redis.ask(&request), rufous.ask(&request));
            if theirs == ours {
                compared += 1;
                continue;
            }
            let (theirs, ours) = (essence(&request, &theirs), essence(&request, &ours));
            assert!(
                theirs == ours,
                "REPORTS_SEED={round}, after {}:\n{}",
                history.join("; "),
                difference(&theirs, &ours)
            );
            compared += 1;
        }
        compared += compare_feeds(&mut redis, &mut rufous, round);
    }
    eprintln!("reports: {compared} replies compared");
}

/// What MONITOR has shown of a round, which this ends; how many lines.
fn compare_feeds(redis: &mut Side, rufous: &mut Side, round: u64) -> usize {
    let mark = format!("end of round {round}");
    let end: Request = vec![b"ECHO".to_vec(), mark.clone().into_bytes()];
    let [theirs, ours] = [redis, rufous].map(|side| {
        // Out of a transaction, and again somebody who may do all.
        side.ask(&vec![b"RESET".to_vec()]);
        side.ask(&end);
        side.seen_until(|line| line.contains(&mark))
    });
    let first = theirs.iter().zip(&ours).position(|(theirs, ours)| theirs != ours);
    let at = first.unwrap_or(theirs.len().min(ours.len()));
    let around = |lines: &[String]| {
        lines[at.saturating_sub(3).min(lines.len())..].iter().take(6).cloned().collect::<Vec<_>>()
    };
    assert!(
        theirs == ours,
        "REPORTS_SEED={round}, MONITOR:\nredis:\n    {}\nrufous:\n    {}",
        around(&theirs).join("\n    "),
        around(&ours).join("\n    ")
    );
    theirs.len()
}

/// The lines that only one side has; all, where they only stand in another order.
fn difference(theirs: &[String], ours: &[String]) -> String {
    let only = |some: &[String], other: &[String]| {
        some.iter().filter(|line| !other.contains(line)).cloned().collect::<Vec<_>>()
    };
    let (mut only_theirs, mut only_ours) = (only(theirs, ours), only(ours, theirs));
    if only_theirs.is_empty() && only_ours.is_empty() {
        (only_theirs, only_ours) = (theirs.to_vec(), ours.to_vec());
    }
    format!("redis:\n    {}\nrufous:\n    {}", only_theirs.join("\n    "), only_ours.join("\n    "))
}
