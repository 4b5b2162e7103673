//! What stands for an argument, chosen by its name.

use rufous::base::random::Random;
use rufous::command::spec::Group;
use rufous::command::syntax::Kind;

use super::grammar::{Form, once_in, pick};

/// Keys by what they usually hold.
const STRINGS: &[&str] = &["k1", "k2", "w_1", "w_2", "w_a"];
const LISTS: &[&str] = &["l1", "l2", "l3"];
const SETS: &[&str] = &["s1", "s2", "s3"];
const HASHES: &[&str] = &["h1", "h2", "h_1", "h_a"];
const ZSETS: &[&str] = &["z1", "z2", "z3"];
const STREAMS: &[&str] = &["x1", "x2"];
const BITMAPS: &[&str] = &["b1", "b2", "k1"];
const LOGS: &[&str] = &["p1", "p2", "p3"];
const PLACES: &[&str] = &["g1", "g2"];
const MISSING: &[&str] = &["nothing"];

/// All of them.
pub const KEYS: &[&[&str]] =
    &[STRINGS, LISTS, SETS, HASHES, ZSETS, STREAMS, BITMAPS, LOGS, PLACES, MISSING];

/// Small numbers, and those at the borders.
const INDICES: &[&str] =
    &["0", "1", "2", "3", "5", "9", "20", "100", "-1", "-2", "-3", "-5", "-9", "-100"];
const COUNTS: &[&str] = &["1", "1", "2", "3", "5", "10", "100", "0", "-1", "-2", "-5", "-20"];
/// None that C's `strtod` calls out of range: Redis's SORT would still see that error of another command.
const SCORES: &[&str] = &[
    "0",
    "1",
    "1",
    "2",
    "3",
    "-1",
    "1.5",
    "2.5",
    "0.1",
    "-0.3",
    "1e3",
    "3.0",
    "inf",
    "-inf",
    "+inf",
    "1e-5",
    "1000000000000000",
    "1.7976931348623157e308",
    "-0",
    "12345.678",
    "0x10",
    "100000000000000000000",
];
const SCORE_BOUNDS: &[&str] = &[
    "-inf", "+inf", "inf", "0", "1", "2", "3", "(1", "(2", "(0", "(-inf", "(inf", "1.5", "-1", "(",
];
const NAME_BOUNDS: &[&str] =
    &["-", "+", "[a", "(a", "[b", "(b", "[c", "(zz", "[", "(", "[1", "[10", "a", "", "-x"];
const IDS: &[&str] = &[
    "1-1",
    "1-2",
    "2-1",
    "3-1",
    "5-5",
    "7",
    "7-*",
    "8-*",
    "10-0",
    "0-1",
    "0-0",
    "0",
    "12-3",
    "100",
    "200-1",
    "18446744073709551615-18446744073709551615",
    "18446744073709551615",
];
const RANGE_IDS: &[&str] = &[
    "-",
    "+",
    "0",
    "1",
    "(1-1",
    "(2-1",
    "5-5",
    "7-0",
    "10",
    "(10",
    "$",
    "100",
    "(-",
    "(+",
    "18446744073709551615-18446744073709551615",
    "(18446744073709551615-18446744073709551615",
];
const PATTERNS: &[&str] = &["*", "a*", "[ab]*", "?", "1*", "nothing", "*b*", "\\*"];
const SORT_PATTERNS: &[&str] = &["w_*", "#", "nosort", "h_*->a", "h_*->b", "*", "l*", "w_*->a"];
const ENCODINGS: &[&str] = &[
    "u1", "u4", "u8", "u16", "u32", "u63", "i1", "i5", "i8", "i16", "i64", "u64", "i65", "u0", "x8",
];
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "5",
    "100",
    "-128",
    "127",
    "255",
    "65535",
    "9223372036854775807",
    "-9223372036854775808",
];
const LONGITUDES: &[&str] =
    &["13.361389", "15.087269", "2.349014", "0", "-74.0", "179.9", "-179.9", "180", "-180", "181"];
const LATITUDES: &[&str] =
    &["38.115556", "37.502669", "48.864716", "0", "40.7", "85.05", "-85.05", "86", "-33.9"];
const RADII: &[&str] = &["100", "200", "1000", "5000", "0", "1", "20000", "0.5", "-1", "100000"];
const UNIX_SECONDS: &[&str] = &["4000000000", "4100000000", "1", "0"];
const UNIX_MILLIS: &[&str] = &["4000000000000", "4100000000000", "1", "0"];
const WORDS: &[&str] = &["1", "2", "3", "a", "b", "c", "d", "10", "aa", "ab", "foo"];
const ODD_WORDS: &[&str] = &[
    "",
    "007",
    "-0",
    "-7",
    "1.5",
    "3e5",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "12345678",
    "hello world",
    " ",
    "x\r\ny",
    "nan",
    "inf",
    "0.1",
    "127",
    "128",
    "4095",
    "4096",
    "32767",
    "32768",
    "8388607",
    "8388608",
    "2147483647",
    "2147483648",
    "-32768",
    "-8388608",
    "-2147483648",
    "A",
    "10.50",
    "+1",
];
const JUNK: &[&str] = &[
    "",
    "-1",
    "0",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "nan",
    "inf",
    "abc",
    " 1",
    "01",
    "1.0",
    "+1",
    "(",
    "[",
    "*",
    "$",
    "NX",
    "COUNT",
    "\n",
];

fn text(random: &mut Random, from: &[&str]) -> Vec<u8> {
    pick(random, from).as_bytes().to_vec()
}

/// Something that is wrong nearly everywhere.
pub fn junk(random: &mut Random) -> Vec<u8> {
    text(random, JUNK)
}

/// An element, a member, a field, a value.
fn word(random: &mut Random) -> Vec<u8> {
    match random.below(40) {
        0..=23 => text(random, WORDS),
        24..=29 => text(random, ODD_WORDS),
        30..=33 => format!("m{}", random.below(300)).into_bytes(),
        34..=35 => random.below(1000).to_string().into_bytes(),
        36 => b"q\0b\xff\x80".to_vec(),
        37 => vec![b'x'; 60 + random.below(10) as usize],
        38 => vec![b'y'; pick(random, &[100, 255, 256, 300, 4094, 4095, 4096, 4097]).to_owned()],
        _ if once_in(random, 4) => vec![b'z'; *pick(random, &[8190, 9000, 16384, 20000, 70000])],
        _ => vec![random.below(256) as u8],
    }
}

/// A key that this command would like, mostly.
fn key(random: &mut Random, form: &Form, name: &str) -> Vec<u8> {
    if once_in(random, 14) {
        let pool = *pick(random, KEYS);
        return text(random, pool);
    }
    let pools: &[&[&str]] = match form.group {
        Group::String => &[STRINGS],
        Group::List => &[LISTS],
        Group::Set => &[SETS],
        Group::Hash => &[HASHES],
        Group::SortedSet if name == "key" && form.name.contains("store") => &[ZSETS, SETS],
        Group::SortedSet => &[ZSETS, ZSETS, ZSETS, PLACES],
        Group::Stream => &[STREAMS],
        Group::Bitmap => &[BITMAPS],
        Group::Hyperloglog => &[LOGS],
        Group::Geo => &[PLACES],
        _ if form.name.starts_with("sort") => &[LISTS, SETS, ZSETS],
        _ => KEYS,
    };
    let pool = *pick(random, pools);
    text(random, pool)
}

/// The value of an argument.
pub fn value(random: &mut Random, form: &Form, name: &str, kind: Kind) -> Vec<u8> {
    // What decides how long a client blocks is never junk that could mean for ever.
    match (form.name, name) {
        (_, "timeout") => return text(random, &["0.001", "0.002", "0.001", "-1", "abc", "nan"]),
        ("xread" | "xreadgroup", "milliseconds") => return text(random, &["1", "2", "-1", "abc"]),
        _ if kind == Kind::Key => return key(random, form, name),
        _ => {}
    }
    if once_in(random, 50) && !matches!(form.name, "spop" | "xadd") {
        return junk(random);
    }
    match form.group {
        Group::Stream => stream_value(random, form, name),
        Group::SortedSet => zset_value(random, form, name),
        Group::Geo => geo_value(random, name),
        Group::Bitmap => bit_value(random, name),
        _ => None,
    }
    .unwrap_or_else(|| plain_value(random, form, name, kind))
}

fn plain_value(random: &mut Random, form: &Form, name: &str, kind: Kind) -> Vec<u8> {
    let pool: &[&str] = match name {
        "numkeys" => &["1", "2"],
        "count" | "num-matches" | "limit" | "len" => match form.name {
            // What is left over is chance, unless all is taken.
            "spop" => &["1000", "0", "100000"],
            "hscan" | "sscan" | "zscan" => &["1000", "10", "1", "100000", "0", "-1"],
            _ => COUNTS,
        },
        "rank" => &["1", "2", "-1", "-2", "0", "100", "3"],
        "index" | "start" | "stop" | "end" => INDICES,
        "offset" if form.name == "setrange" => {
            &["0", "1", "5", "20", "100", "3000", "-1", "536870912"]
        }
        "offset" => &["0", "1", "2", "5", "-1", "100"],
        "cursor" => &["0", "0", "0", "0", "5", "-1", "abc"],
        "pattern" if form.name.starts_with("sort") => SORT_PATTERNS,
        "pattern" => PATTERNS,
        // Never twice the same: which of two is later must not depend on the moment between them.
        "seconds" | "milliseconds" if !once_in(random, 6) => {
            let seconds = 100_000 + random.below(1_000_000_000);
            let factor = if name == "seconds" { 1 } else { 1000 };
            return (seconds * factor).to_string().into_bytes();
        }
        "seconds" | "milliseconds" => &["0", "-1"],
        "unix-time-seconds" => UNIX_SECONDS,
        "unix-time-milliseconds" => UNIX_MILLIS,
        "increment" if kind == Kind::Double => SCORES,
        "increment" | "decrement" => NUMBERS,
        "destination-db" | "db" => &["0", "0", "abc", "16", "-1"],
        "subcommand" => &["getreg", "encoding", "todense", "GETREG", "xx"],
        _ => return word(random),
    };
    text(random, pool)
}

fn stream_value(random: &mut Random, form: &Form, name: &str) -> Option<Vec<u8>> {
    let pool: &[&str] = match name {
        "id" if form.name == "xreadgroup" => &[">", ">", ">", "0", "1-1", "5", "$"],
        "id" if form.name == "xread" => &["0", "0", "1-1", "5", "$", "10", ">"],
        "id" if form.name == "xadd" => {
            // Mostly one behind the others, so that streams grow.
            return Some(match random.below(4) {
                0 => text(random, IDS),
                1 => format!("{}-*", random.below(60)).into_bytes(),
                _ => format!("{}-{}", random.below(60), random.below(4)).into_bytes(),
            });
        }
        "id" | "last-id" | "max_deleted_entry_id" | "threshold" if once_in(random, 2) => {
            return Some(format!("{}-{}", random.below(60), random.below(4)).into_bytes());
        }
        "threshold" => &["0", "1", "2", "5", "10", "100", "3-1", "20"],
        "id" | "last-id" | "max_deleted_entry_id" => IDS,
        "start" | "end" => RANGE_IDS,
        "group" | "groupname" => &["g", "g", "g", "other"],
        "consumer" | "consumername" => &["alice", "bob", "carol"],
        "min-idle-time" => &["0", "0", "0", "1000000000", "-1"],
        "ms" => &["0", "1000", "-1"],
        "unix-time-milliseconds" => &["0", "1", "1000000"],
        "count" if form.name == "xadd" || form.name == "xtrim" => &["0", "1", "3", "100", "-1"],
        "count" => &["1", "2", "3", "10", "100", "0", "-1"],
        "entries_read" | "entries_added" => &["0", "1", "3", "10", "-1", "-2", "100"],
        _ => return None,
    };
    Some(text(random, pool))
}

fn zset_value(random: &mut Random, form: &Form, name: &str) -> Option<Vec<u8>> {
    let is_lex = form.name.contains("lex");
    let pool: &[&str] = match name {
        "score" | "increment" => SCORES,
        "weight" => &["1", "2", "0.5", "-1", "0", "inf", "-inf", "3"],
        "min" | "max" if is_lex => NAME_BOUNDS,
        "min" | "max" if form.name != "zrangestore" => SCORE_BOUNDS,
        "start" | "stop" | "min" | "max" if form.name.starts_with("zrange") => {
            let pools = [INDICES, SCORE_BOUNDS, NAME_BOUNDS];
            pools[random.below(3) as usize]
        }
        _ => return None,
    };
    Some(text(random, pool))
}

fn geo_value(random: &mut Random, name: &str) -> Option<Vec<u8>> {
    if name == "longitude" && once_in(random, 2) {
        return Some(format!("{:.6}", random.below(360_000_000) as f64 / 1e6 - 180.0).into_bytes());
    }
    if name == "latitude" && once_in(random, 2) {
        return Some(format!("{:.6}", random.below(170_000_000) as f64 / 1e6 - 85.0).into_bytes());
    }
    let pool: &[&str] = match name {
        "longitude" => LONGITUDES,
        "latitude" => LATITUDES,
        "radius" | "width" | "height" => RADII,
        _ => return None,
    };
    Some(text(random, pool))
}

fn bit_value(random: &mut Random, name: &str) -> Option<Vec<u8>> {
    let pool: &[&str] = match name {
        "operation" => &["AND", "OR", "XOR", "NOT", "and"],
        "offset" => {
            &["0", "1", "7", "8", "100", "#0", "#1", "#3", "1000", "20000", "-1", "4294967296"]
        }
        "bit" => &["0", "1", "0", "1", "2"],
        "encoding" => ENCODINGS,
        "value" | "increment" => NUMBERS,
        _ => return None,
    };
    Some(text(random, pool))
}
