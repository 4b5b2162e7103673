//! What clients of collections send. A plan has one or two kinds of them, so that commands meet values they fit to.
use super::Dice;

/// The collections of a plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kinds {
    /// Two of them, or one twice.
    kinds: [Kind; 2],
    /// Databases change places. Who waits for several keys may then be served by any of them, which the model does
    /// not know: there is only one key then.
    swaps: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    List,
    Set,
    Hash,
    Zset,
    Stream,
}

/// Of strings, what makes no sense here: DUMP and RESTORE, whose payloads the model does not know.
const LEFT_OUT: &[&str] = &["DUMP", "RESTORE", "LCS"];

impl Dice {
    pub(super) fn kinds(&mut self) -> Kinds {
        use Kind::{Hash, List, Set, Stream, Zset};
        let mut kind = || self.pick(&[List, List, List, Set, Hash, Zset, Zset, Stream, Stream]);
        let kinds = [kind(), kind()];
        let kinds = if self.one_in(2) { [kinds[0]; 2] } else { kinds };
        Kinds { kinds, swaps: self.one_in(4) }
    }

    pub(super) fn with_collections(&mut self, clients: usize) -> Vec<String> {
        loop {
            let line = match self.below(24) {
                0..15 => self.of_collection(),
                15..17 => self.simple(),
                17..19 => self.of_many(),
                19..21 => self.of_keyspace(),
                _ => self.of_connection(clients),
            };
            let swaps = self.kinds.is_some_and(|kinds| kinds.swaps);
            if !LEFT_OUT.contains(&&*line[0]) && (swaps || line[0] != "SWAPDB") {
                return line;
            }
        }
    }

    fn of_collection(&mut self) -> Vec<String> {
        let line = match self.kinds.map(|kinds| self.pick(&kinds.kinds)) {
            Some(Kind::List) => self.of_list(),
            Some(Kind::Set) => self.of_set(),
            Some(Kind::Hash) => self.of_hash(),
            Some(Kind::Zset) => self.of_zset(),
            Some(Kind::Stream) | None => self.of_stream(),
        };
        line.split(' ').map(str::to_owned).collect()
    }

    /// The keys of a command that waits.
    fn keys_to_wait_for(&mut self) -> String {
        let swaps = self.kinds.is_some_and(|kinds| kinds.swaps);
        match self.below(3) {
            0 if !swaps => format!("{} {}", self.key(), self.key()),
            _ => self.key(),
        }
    }

    /// Seconds. Never for ever: at the end everything has an answer.
    fn wait(&mut self) -> &'static str {
        self.pick(&["0.001", "0.005", "0.02", "0.1", "1", "1", "3"])
    }

    fn of_list(&mut self) -> String {
        let (key, other) = (self.key(), self.key());
        let (end, into) = (self.pick(&["LEFT", "RIGHT"]), self.pick(&["LEFT", "RIGHT"]));
        let (side, item) = (self.pick(&["L", "R"]), self.item());
        match self.below(24) {
            0..5 => format!("{side}PUSH {key} {item}"),
            5 => format!("{side}PUSH {key} {item} {}", self.item()),
            6..8 => format!("{side}POP {key}"),
            8..13 => format!("B{side}POP {} {}", self.keys_to_wait_for(), self.wait()),
            13 => format!("LMOVE {key} {other} {end} {into}"),
            14..16 => format!("BLMOVE {key} {other} {end} {into} {}", self.wait()),
            16 => format!("BRPOPLPUSH {key} {other} {}", self.wait()),
            17 => format!("RPOPLPUSH {key} {other}"),
            18 => format!("LRANGE {key} {} -1", self.pick(&["0", "0", "1", "-2"])),
            19 => format!("LREM {key} 0 a"),
            20 => format!("LTRIM {key} {} {}", self.pick(&["0", "1"]), self.pick(&["-1", "1"])),
            21 => format!("LINSERT {key} BEFORE a {item}"),
            22 => format!("SORT {key} ALPHA STORE {other}"),
            _ => format!("LLEN {key}"),
        }
    }

    /// Mostly unique, so that it is known where it comes from.
    fn item(&mut self) -> String {
        self.counter += 1;
        if self.one_in(4) { "a".to_owned() } else { format!("e{}", self.counter) }
    }

    fn member(&mut self) -> &'static str {
        self.pick(&["a", "b", "c", "d", "e"])
    }

    fn of_set(&mut self) -> String {
        let (key, other, third) = (self.key(), self.key(), self.key());
        let (member, more) = (self.member(), self.member());
        let store = self.pick(&["SINTERSTORE", "SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]);
        match self.below(16) {
            0..3 => format!("SADD {key} {member}"),
            3..5 => format!("SADD {key} {member} {more} f"),
            5 => format!("SREM {key} {member} {more}"),
            6..8 => format!("SMEMBERS {key}"),
            8 => format!("SCARD {key}"),
            9..11 => format!("SMOVE {key} {other} {member}"),
            11 => format!("SINTER {key} {other}"),
            12 => format!("SPOP {key}"),
            13 => format!("SORT {key} ALPHA STORE {other}"),
            _ => format!("{store} {key} {other} {third}"),
        }
    }

    fn of_hash(&mut self) -> String {
        let (key, field, other) = (self.key(), self.member(), self.member());
        match self.below(12) {
            0..2 => format!("HSET {key} {field} {}", self.below(20)),
            2 => format!("HSET {key} {field} {} {other} {}", self.item(), self.below(20)),
            3 => format!("HDEL {key} {field}"),
            4 => format!("HDEL {key} {field} {other}"),
            5 => format!("HGET {key} {field}"),
            6..8 => format!("HGETALL {key}"),
            8..11 => format!("HINCRBY {key} {field} {}", self.pick(&["1", "-3"])),
            _ => format!("HLEN {key}"),
        }
    }

    fn of_zset(&mut self) -> String {
        let (key, other, third) = (self.key(), self.key(), self.key());
        let (member, more, side) = (self.member(), self.member(), self.pick(&["MIN", "MAX"]));
        match self.below(18) {
            0..4 => format!("ZADD {key} {} {member}", self.below(9)),
            4 => format!("ZADD {key} {} {member} {} {more}", self.below(9), self.below(9)),
            5 => format!("ZREM {key} {member}"),
            6..8 => format!("ZPOP{side} {key}"),
            8..13 => format!("BZPOP{side} {} {}", self.keys_to_wait_for(), self.wait()),
            13 => format!("ZRANGE {key} 0 -1 WITHSCORES"),
            14 => format!("ZINCRBY {key} {} {member}", self.pick(&["2", "-1"])),
            15 => format!("ZUNIONSTORE {key} 2 {other} {third}"),
            16 => format!("SORT {key} ALPHA STORE {other}"),
            _ => format!("ZCARD {key}"),
        }
    }

    fn of_stream(&mut self) -> String {
        let (key, item) = (self.key(), self.item());
        let ms = self.below(3);
        let block_ms = self.pick(&["1", "5", "20", "100", "1000"]);
        match self.below(20) {
            0..6 => format!("XADD {key} {ms}-* f {item}"),
            6 => format!("XDEL {key} {ms}-{}", self.below(3)),
            7 => format!("XLEN {key}"),
            8 => format!("XRANGE {key} - +"),
            9 => format!("XTRIM {key} MAXLEN {}", self.below(3)),
            10..12 => {
                let (group, from) = (self.pick(&["g", "h"]), self.pick(&["0", "$", "1"]));
                format!("XGROUP CREATE {key} {group} {from} MKSTREAM")
            }
            12..16 => {
                let group = self.pick(&["g", "g", "h"]);
                format!("XREADGROUP GROUP {group} c NOACK BLOCK {block_ms} STREAMS {key} >")
            }
            _ => format!("XREAD BLOCK {block_ms} STREAMS {key} {ms}-{}", self.below(3)),
        }
    }
}
