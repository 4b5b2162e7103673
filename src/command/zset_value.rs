//! What the families of sorted-set commands share: scores and bounds from arguments, members and scores to the reply.
use std::ops::Range;

use crate::base::hash::Key;
use crate::base::number::{parse_f64, parse_f64_lenient};
use crate::command::items::reply_item;
use crate::command::options::{clip, integer};
use crate::engine::ctx::{Ctx, Event};
use crate::engine::error::CmdError;
use crate::proto::args::Args;
use crate::proto::reply::{Reply, Resp};
use crate::store::Ttl;
use crate::types::listpack::Item;
use crate::types::zset::{End, LexBound, LexRange, ScoreRange, Zset, ZsetRef};

/// Members handled between two looks at the clock: each may be some cache misses.
pub(super) const MEMBERS_PER_PIECE: usize = 32;

/// Reads a score.
#[inline]
pub(super) fn score(text: &[u8]) -> Result<f64, CmdError> {
    parse_f64(text).ok_or(CmdError::NotFloat)
}

/// How a range is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// By rank.
    Rank,
    /// By score.
    Score,
    /// By name.
    Lex,
}

/// A range of members, as arguments give it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bounds<'b> {
    /// Ranks from and to, both included, negative ones counted from the end.
    Ranks(i64, i64),
    /// Scores.
    Scores(ScoreRange),
    /// Names.
    Names(LexRange<'b>),
}

impl<'b> Bounds<'b> {
    /// Reads two arguments: the lower and the upper bound.
    pub(super) fn parse(args: Args<'b>, min: usize, max: usize, by: By) -> Result<Self, CmdError> {
        let (min, max) = (args.at(min), args.at(max));
        match by {
            By::Rank => Ok(Bounds::Ranks(integer(min)?, integer(max)?)),
            By::Score => match (score_bound(min), score_bound(max)) {
                (Some((min, excludes_min)), Some((max, excludes_max))) => {
                    Ok(Bounds::Scores(ScoreRange { min, max, excludes_min, excludes_max }))
                }
                _ => Err(CmdError::Text("ERR min or max is not a float")),
            },
            By::Lex => match (lex_bound(min), lex_bound(max)) {
                (Some(min), Some(max)) => Ok(Bounds::Names(LexRange { min, max })),
                _ => Err(CmdError::Text("ERR min or max not valid string range item")),
            },
        }
    }

    /// The ranks of the members inside, counted from this end: rank 0 of the last end is the highest.
    pub(super) fn ranks(&self, zset: ZsetRef<'_>, from: End) -> Range<usize> {
        let len = zset.len();
        let ranks = match self {
            // Ranks are given as they are counted.
            Bounds::Ranks(start, end) => return clip(*start, *end, len),
            Bounds::Scores(range) => zset.ranks_of_scores(range),
            Bounds::Names(range) => zset.ranks_of_names(range, from),
        };
        match from {
            End::First => ranks,
            End::Last => len - ranks.end..len - ranks.start,
        }
    }
}

fn score_bound(text: &[u8]) -> Option<(f64, bool)> {
    match text {
        [b'(', rest @ ..] => Some((parse_f64_lenient(rest)?, true)),
        _ => Some((parse_f64_lenient(text)?, false)),
    }
}

fn lex_bound(text: &[u8]) -> Option<LexBound<'_>> {
    match text {
        // Redis sees the end of a C string.
        [b'+'] | [b'+', 0, ..] => Some(LexBound::Highest),
        [b'-'] | [b'-', 0, ..] => Some(LexBound::Lowest),
        [b'(', name @ ..] => Some(LexBound::Exclusive(name)),
        [b'[', name @ ..] => Some(LexBound::Inclusive(name)),
        _ => None,
    }
}

/// How members are replied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Without scores.
    Names,
    /// Member, score, member, score.
    Flat,
    /// Pairs of member and score.
    Pairs,
}

impl Form {
    /// The form of lists WITHSCORES. No map: clients must keep the order.
    pub(super) fn with_scores(reply: &Reply<'_>) -> Form {
        if reply.resp() == Resp::V3 { Form::Pairs } else { Form::Flat }
    }

    /// Opens a list of so many members.
    pub(super) fn open(self, reply: &mut Reply<'_>, members: usize) {
        reply.array(if self == Form::Flat { 2 * members } else { members });
    }

    /// Replies with a member.
    #[inline]
    pub(super) fn show(self, reply: &mut Reply<'_>, member: Item<'_>, score: f64) {
        if self == Form::Pairs {
            reply.array(2);
        }
        reply_item(reply, member);
        if self != Form::Names {
            reply.double(score);
        }
    }
}

/// Says that members were taken out, after which the key may be gone.
#[inline]
pub(super) fn note_taken(ctx: &mut Ctx<'_>, event: Event, key: Key<'_>, count: usize, left: usize) {
    ctx.changed_by(event, key.bytes, count);
    if left == 0 {
        ctx.emptied(key.bytes);
    }
}

/// Puts a result into the place of whatever a key held, and replies with its size; an empty one deletes the key.
pub(super) fn install(
    ctx: &mut Ctx<'_>,
    key: Key<'_>,
    result: Zset,
    event: Event,
) -> Result<(), CmdError> {
    let len = result.len();
    ctx.reply.count(len);
    if len > 0 {
        ctx.db.put_aggregate(key, result, Ttl::Clear)?;
        ctx.changed(event, key.bytes);
    } else if ctx.db.remove(key) {
        ctx.changed(Event::Del, key.bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_as_redis_clips_them() {
        assert_eq!(clip(0, -1, 5), 0..5);
        assert_eq!(clip(-3, -2, 5), 2..4);
        assert_eq!(clip(-100, 100, 5), 0..5);
        assert_eq!(clip(3, 2, 5), 0..0);
        assert_eq!(clip(5, 9, 5), 0..0);
        assert_eq!(clip(0, -6, 5), 0..0);
        assert_eq!(clip(i64::MIN, i64::MAX, 5), 0..5);
        assert_eq!(clip(0, -1, 0), 0..0);
    }

    #[test]
    fn bounds_are_read_as_strtod_reads_them() {
        for (text, bound) in [
            ("1", Some((1.0, false))),
            ("(1.5", Some((1.5, true))),
            ("-inf", Some((f64::NEG_INFINITY, false))),
            ("(+inf", Some((f64::INFINITY, true))),
            ("", Some((0.0, false))),
            ("(", Some((0.0, true))),
            ("  3", Some((3.0, false))),
            ("1e400", Some((f64::INFINITY, false))),
            ("-1e400", Some((f64::NEG_INFINITY, false))),
            ("1e-400", Some((0.0, false))),
            ("0x10", Some((16.0, false))),
            ("0x1p2000", Some((f64::INFINITY, false))),
            ("1\0x", Some((1.0, false))),
            ("nan", None),
            ("(nan", None),
            ("1 ", None),
            (" ", None),
            ("((1", None),
            ("x", None),
        ] {
            assert_eq!(score_bound(text.as_bytes()), bound, "{text:?}");
        }
        assert_eq!(lex_bound(b"+"), Some(LexBound::Highest));
        assert_eq!(lex_bound(b"-\0x"), Some(LexBound::Lowest));
        assert_eq!(lex_bound(b"["), Some(LexBound::Inclusive(b"")));
        for wrong in [&b""[..], b"a", b"+a", b"--"] {
            assert_eq!(lex_bound(wrong), None);
        }
    }
}
