//! The letters of `notify-keyspace-events` and the bits behind them.

/// `K`: publish to `__keyspace@<db>__` channels.
pub const KEYSPACE: u32 = 1 << 0;
/// `E`: publish to `__keyevent@<db>__` channels.
pub const KEYEVENT: u32 = 1 << 1;
/// `g`: commands on keys of any type, such as DEL and EXPIRE.
pub const GENERIC: u32 = 1 << 2;
/// `$`: string commands.
pub const STRING: u32 = 1 << 3;
/// `l`: list commands.
pub const LIST: u32 = 1 << 4;
/// `s`: set commands.
pub const SET: u32 = 1 << 5;
/// `h`: hash commands.
pub const HASH: u32 = 1 << 6;
/// `z`: sorted set commands.
pub const ZSET: u32 = 1 << 7;
/// `x`: a key has expired.
pub const EXPIRED: u32 = 1 << 8;
/// `e`: a key was evicted.
pub const EVICTED: u32 = 1 << 9;
/// `t`: stream commands.
pub const STREAM: u32 = 1 << 10;
/// `m`: a key was looked up in vain; not part of `A`.
pub const KEY_MISS: u32 = 1 << 11;
/// `d`: events of modules.
pub const MODULE: u32 = 1 << 13;
/// `n`: a key was created; not part of `A`.
pub const NEW: u32 = 1 << 14;
/// `A`: all classes but `m` and `n`.
pub const ALL: u32 =
    GENERIC | STRING | LIST | SET | HASH | ZSET | EXPIRED | EVICTED | STREAM | MODULE;

/// The letters of the classes in the order in which they are printed.
const CLASSES: [(u8, u32); 11] = [
    (b'g', GENERIC),
    (b'$', STRING),
    (b'l', LIST),
    (b's', SET),
    (b'h', HASH),
    (b'z', ZSET),
    (b'x', EXPIRED),
    (b'e', EVICTED),
    (b't', STREAM),
    (b'd', MODULE),
    (b'n', NEW),
];

/// The letters printed after the classes.
const OTHERS: [(u8, u32); 3] = [(b'K', KEYSPACE), (b'E', KEYEVENT), (b'm', KEY_MISS)];

/// Bits of a text of letters; `None` if one of them means nothing.
pub fn parse(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |bits, letter| {
        let bit = if *letter == b'A' {
            ALL
        } else {
            CLASSES.iter().chain(&OTHERS).find(|(other, _)| other == letter)?.1
        };
        Some(bits | bit)
    })
}

/// The letters of some bits, in Redis's order. `n` is left out beside `A`, as Redis does.
pub fn print(bits: u32) -> Vec<u8> {
    let mut text = Vec::new();
    if bits & ALL == ALL {
        text.push(b'A');
    } else {
        text.extend(CLASSES.iter().filter(|(_, bit)| bits & bit != 0).map(|(letter, _)| letter));
    }
    text.extend(OTHERS.iter().filter(|(_, bit)| bits & bit != 0).map(|(letter, _)| letter));
    text
}
