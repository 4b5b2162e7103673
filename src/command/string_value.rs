//! What the families of string commands share: a value from the arguments, a value to the reply, and the
//! comparisons of SET and DELEX.
use xxhash_rust::xxh3::xxh3_64;

use crate::command::options::is;
use crate::command::string_weigh::Weighed;
use crate::engine::config::Opt;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::{Reply, Resp};
use crate::store::{NewString, StringRef};
use crate::types::document::{self, Token};

/// Hexadecimal digits of a digest.
const DIGEST_DIGITS: usize = 16;
/// Tokens of a nested value replied between two looks at the clock: about 20 us.
const TOKENS_PER_PIECE: usize = 256;

/// A digest as text.
pub(super) type Digest = [u8; DIGEST_DIGITS];

/// Argument `index` as a value to store: a big one by reference.
#[inline]
pub(super) fn value_at(args: Args<'_>, index: usize) -> NewString<'_> {
    match args.block(index) {
        Some(block) => NewString::Block(block.clone()),
        None => NewString::Bytes(args.at(index)),
    }
}

/// Replies with a value: a big one by reference.
#[inline]
pub(super) fn reply_value(reply: &mut Reply<'_>, value: StringRef<'_>) {
    match value {
        StringRef::Bytes(bytes) => reply.bulk(bytes),
        StringRef::Int(number) => reply.bulk_int(number),
        StringRef::Block(block) => reply.bulk_block(block),
    }
}

/// Replies with a value or, where there is none, null.
#[inline]
pub(super) fn reply_value_or_null(reply: &mut Reply<'_>, value: Option<StringRef<'_>>) {
    match value {
        Some(value) => reply_value(reply, value),
        None => reply.null(),
    }
}

/// Replies with the nested value of a key: in RESP3 as nested aggregates, in RESP2 with dictionaries flattened to
/// arrays and numbers that are no 64-bit integers as strings. O(its bytes), in slices.
#[derive(Default)]
pub(super) struct ReplyDocument {
    /// Bytes replied.
    done: usize,
}

impl Job for ReplyDocument {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let entry = ctx.db.peek(args.key(1));
        let bytes = entry.and_then(|entry| entry.document()).unwrap_or(&[]);
        loop {
            let units = budget.piece(TOKENS_PER_PIECE);
            let mut tokens = document::tokens(bytes.get(self.done..).unwrap_or(&[]));
            // What is stored was checked; only a bug could end this early, and then in an answer that is too short.
            let pieces = tokens.by_ref().flatten().take(units);
            let count = pieces.map(|token| reply_token(&mut ctx.reply, token)).count();
            self.done = bytes.len() - tokens.left();
            if count < units || tokens.left() == 0 {
                return Ok(Step::Done);
            }
            if budget.spend(units as u64) {
                return Ok(Step::More);
            }
        }
    }
}

fn reply_token(reply: &mut Reply<'_>, token: Token<'_>) {
    match token {
        Token::Null => reply.null(),
        Token::Simple(text) | Token::Bytes(text) => reply.bulk(text),
        Token::Text(text) | Token::Json(text) => reply.bulk(text.as_bytes()),
        Token::Int(number) => reply.int(number),
        Token::Number(text) => match text.parse::<f64>() {
            _ if !text.contains(|c: char| c != '-' && !c.is_ascii_digit()) => {
                reply.big_number(text)
            }
            Ok(number) if reply.resp() == Resp::V3 => reply.double(number),
            _ => reply.bulk(text.as_bytes()),
        },
        Token::Array(count) => reply.array(count as usize),
        Token::Dict(pairs) => reply.map(pairs as usize),
        Token::Set(count) => reply.set(count as usize),
    }
}

/// Refuses a string that would become longer than `proto-max-bulk-len`.
pub(super) fn check_length(ctx: &Ctx<'_>, before: usize, added: usize) -> Result<(), CmdError> {
    let length_max = ctx.engine.config.int(Opt::ProtoMaxBulkLen).max(0) as usize;
    match before.checked_add(added) {
        Some(length) if length <= length_max => Ok(()),
        _ => Err(CmdError::Text("ERR string exceeds maximum allowed size (proto-max-bulk-len)")),
    }
}

/// The digest of a value: XXH3 (64 bits) in 16 hexadecimal digits. O(n).
pub(super) fn digest(value: StringRef<'_>) -> Digest {
    digest_text(xxh3_64(value.as_bytes(&mut itoa::Buffer::new())))
}

/// The text of a digest.
pub(super) fn digest_text(hash: u64) -> Digest {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|at| HEX[(hash >> (60 - 4 * at)) as usize & 0xf])
}

/// How a value has to compare for SET or DELEX to go ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// IFEQ: it is equal.
    Equal,
    /// IFNE: it is different.
    Different,
    /// IFDEQ: its digest is equal.
    DigestEqual,
    /// IFDNE: its digest is different.
    DigestDifferent,
}

impl Comparison {
    /// The comparison an option word stands for.
    pub(super) fn of(word: &[u8]) -> Option<Comparison> {
        match word.len() {
            4 if is(word, "ifeq") => Some(Comparison::Equal),
            4 if is(word, "ifne") => Some(Comparison::Different),
            5 if is(word, "ifdeq") => Some(Comparison::DigestEqual),
            5 if is(word, "ifdne") => Some(Comparison::DigestDifferent),
            _ => None,
        }
    }

    /// Whether it holds where there is no value: nothing is different from anything.
    pub(super) fn holds_for_nothing(self) -> bool {
        matches!(self, Comparison::Different | Comparison::DigestDifferent)
    }

    /// Whether it is about digests.
    pub(super) fn takes_digest(self) -> bool {
        matches!(self, Comparison::DigestEqual | Comparison::DigestDifferent)
    }

    /// Whether an operand can be one. A digest of any other length than 16 is an error.
    pub(super) fn check(self, operand: &[u8]) -> CmdResult {
        if self.takes_digest() && operand.len() != DIGEST_DIGITS {
            return Err(CmdError::Text("ERR must be exactly 16 hexadecimal characters"));
        }
        Ok(())
    }

    /// Whether `value` compares with `operand` so. O(n).
    pub(super) fn holds(self, value: StringRef<'_>, operand: &[u8]) -> Result<bool, CmdError> {
        self.check(operand)?;
        let weighed = match self.takes_digest() {
            true => Weighed::Digest(digest(value)),
            false => Weighed::Equal(value.as_bytes(&mut itoa::Buffer::new()) == operand),
        };
        Ok(self.holds_for(weighed, operand))
    }

    /// Whether it holds for a string of which this is known. Digits of digests are compared without regard to case.
    pub(super) fn holds_for(self, weighed: Weighed, operand: &[u8]) -> bool {
        let is_equal = match weighed {
            Weighed::Digest(digest) => digest.eq_ignore_ascii_case(operand),
            Weighed::Equal(is_equal) => is_equal,
        };
        is_equal == matches!(self, Comparison::Equal | Comparison::DigestEqual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_redis() {
        let zeros = b"v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzkjytls2kwlj7626sd";
        let known: [(&[u8], &[u8; 16]); 4] = [
            (b"hello", b"9555e8555c62dcfd"),
            (b"", b"2d06800538d394c2"),
            (b"v8", b"0cc76dbb41381419"),
            (zeros, b"00006c38adf31777"),
        ];
        for (value, expected) in known {
            assert_eq!(&digest(StringRef::Bytes(value)), expected);
        }
        assert_eq!(&digest(StringRef::Int(123)), b"404a763b3f4c8c9a");
    }

    #[test]
    fn comparisons() {
        let value = StringRef::Int(-12);
        assert_eq!(Comparison::Equal.holds(value, b"-12"), Ok(true));
        assert_eq!(Comparison::Different.holds(value, b"-12"), Ok(false));
        assert_eq!(Comparison::Equal.holds(value, b"-012"), Ok(false));
        let value = StringRef::Bytes(b"hello");
        assert_eq!(Comparison::DigestEqual.holds(value, b"9555E8555c62dcfd"), Ok(true));
        assert_eq!(Comparison::DigestDifferent.holds(value, b"9555e8555c62dcfd"), Ok(false));
        assert_eq!(Comparison::DigestDifferent.holds(value, b"zzzzzzzzzzzzzzzz"), Ok(true));
        assert!(Comparison::DigestEqual.holds(value, b"555e8555c62dcfd").is_err());
    }
}
