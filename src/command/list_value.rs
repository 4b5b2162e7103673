//! What the families of list commands share: elements from arguments and to replies, ends by name, what is told about
//! a list that gave elements away, and the two ways to take elements: one, or many.
use crate::base::number::parse_i64;
use crate::command::options::is;
use crate::engine::ctx::{CmdResult, Ctx, Event};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job, Step, Stepped};
use crate::proto::args::Args;
use crate::proto::reply::Reply;
use crate::types::list::{Element, End, Fill, List, OwnedElement, Spent, Way};
use crate::types::object::Aggregate;

/// Elements replied with between two looks at the clock: some microseconds, or half a megabyte.
pub(super) const ELEMENTS_PER_PIECE: usize = 32;

/// Argument `index` as an element: a big one by reference.
#[inline]
pub(super) fn element_at(args: Args<'_>, index: usize) -> Element<'_> {
    match args.block(index) {
        Some(block) => Element::Block(block),
        None => Element::Text(args.at(index)),
    }
}

/// Replies with an element: a big one by reference.
#[inline]
pub(super) fn reply_element(reply: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Text(text) => reply.bulk(text),
        Element::Int(number) => reply.bulk_int(number),
        Element::Block(block) => reply.bulk_block(block),
    }
}

/// The end that LEFT or RIGHT names.
pub(super) fn end_named(word: &[u8]) -> Result<End, CmdError> {
    match word {
        word if is(word, "left") => Ok(End::Front),
        word if is(word, "right") => Ok(End::Back),
        _ => Err(CmdError::Syntax),
    }
}

/// LPUSH or RPUSH.
pub(super) fn push_event(end: End) -> Event {
    if end == End::Front { Event::LPush } else { Event::RPush }
}

/// LPOP or RPOP.
pub(super) fn pop_event(end: End) -> Event {
    if end == End::Front { Event::LPop } else { Event::RPop }
}

/// Says that so many elements were taken from a list, which is gone if they were all.
#[inline]
pub(super) fn note_taken(ctx: &mut Ctx<'_>, event: Event, key: &[u8], taken: Taken) {
    ctx.changed_by(event, key, taken.count);
    if taken.is_gone {
        ctx.emptied(key);
    }
}

/// Elements taken from a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// How many.
    pub(super) count: usize,
    /// Whether none is left.
    pub(super) is_gone: bool,
}

/// Has what takes long to free be freed in pieces.
#[inline]
pub(super) fn bury(ctx: &mut Ctx<'_>, spent: Spent) {
    if let Some(garbage) = spent.into_garbage() {
        ctx.engine.graveyard.bury_garbage(garbage);
    }
}

/// Takes one element and replies with it, behind the key if `with_key`; false if there is no such list.
#[inline]
pub(super) fn pop_one(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    index: usize,
    end: End,
    with_key: bool,
) -> Result<bool, CmdError> {
    let key = args.key(index);
    let reply = &mut ctx.reply;
    let popped = ctx.db.edit(key, |list: &mut List| {
        if with_key {
            reply.array(2);
            reply.bulk(key.bytes);
        }
        list.pop(end, |element| reply_element(reply, element));
        list.is_empty()
    })?;
    let Some(is_gone) = popped else { return Ok(false) };
    note_taken(ctx, pop_event(end), key.bytes, Taken { count: 1, is_gone });
    Ok(true)
}

/// Takes up to `count` elements, at least one, of the list at argument `index`, which is there, and replies with them:
/// an array, behind the key if `with_key`. A handler ends with it.
pub(super) fn pop_many(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    index: usize,
    end: End,
    count: usize,
    with_key: bool,
) -> CmdResult {
    let len = ctx.db.peek_as::<List>(args.key(index))?.map_or(0, |list| list.len());
    let count = count.min(len);
    if with_key {
        ctx.reply.array(2);
        ctx.reply.bulk(args.at(index));
    }
    ctx.reply.array(count);
    ctx.run(args, PopMany { index, end, count, left: count })
}

/// LPOP and its like of many elements.
struct PopMany {
    /// Argument of the key.
    index: usize,
    end: End,
    count: usize,
    left: usize,
}

impl Job for PopMany {
    fn step(&mut self, ctx: &mut Ctx<'_>, args: Args<'_>, budget: &mut Budget) -> Stepped {
        let key = args.key(self.index);
        let (end, mut spent) = (self.end, Spent::default());
        loop {
            let piece = budget.piece(ELEMENTS_PER_PIECE).min(self.left);
            let reply = &mut ctx.reply;
            let is_gone = ctx.db.edit(key, |list: &mut List| {
                let (from, way) = match end {
                    End::Front => (0, Way::Forward),
                    End::Back => (list.len().saturating_sub(1), Way::Backward),
                };
                list.view().walk(from, way, piece, |element| {
                    reply_element(reply, element);
                    true
                });
                list.cut(end, piece, usize::MAX, &mut spent);
                list.is_empty()
            })?;
            self.left -= piece;
            if self.left == 0 {
                bury(ctx, spent);
                let taken = Taken { count: self.count, is_gone: is_gone.unwrap_or(true) };
                note_taken(ctx, pop_event(end), key.bytes, taken);
                return Ok(Step::Done);
            }
            if budget.spend(piece as u64) {
                bury(ctx, spent);
                return Ok(Step::More);
            }
        }
    }
}

/// What LMPOP and BLMPOP ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct PopOptions {
    /// Argument of the first key.
    pub(super) first: usize,
    /// How many keys.
    pub(super) keys: usize,
    /// Where they are taken.
    pub(super) end: End,
    /// How many elements at most.
    pub(super) count: usize,
}

impl PopOptions {
    /// Reads them: the number of keys is argument `at`.
    pub(super) fn parse(args: Args<'_>, at: usize) -> Result<PopOptions, CmdError> {
        const KEYS: CmdError = CmdError::Text("ERR numkeys should be greater than 0");
        let keys = positive(args.at(at)).ok_or(KEYS)?;
        let place = keys.saturating_add(at + 1);
        if place >= args.len() {
            return Err(CmdError::Syntax);
        }
        let end = end_named(args.at(place))?;
        let mut count = None;
        let mut next = place + 1;
        while next < args.len() {
            if count.is_some() || !is(args.at(next), "count") || next + 1 == args.len() {
                return Err(CmdError::Syntax);
            }
            const COUNT: CmdError = CmdError::Text("ERR count should be greater than 0");
            count = Some(positive(args.at(next + 1)).ok_or(COUNT)?);
            next += 2;
        }
        Ok(PopOptions { first: at + 1, keys, end, count: count.unwrap_or(1) })
    }
}

/// A number that is not negative; where Redis has one error for all others.
pub(super) fn natural(text: &[u8]) -> Option<usize> {
    usize::try_from(parse_i64(text)?).ok()
}

fn positive(text: &[u8]) -> Option<usize> {
    natural(text).filter(|number| *number > 0)
}

/// Moves an element from the list at argument 1 to that at argument 2 and replies with it; false if there is none.
pub(super) fn move_one(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    from: End,
    to: End,
) -> Result<bool, CmdError> {
    let (source, target) = (args.key(1), args.key(2));
    let fill = Fill::of(&ctx.engine.limits);
    let Some(list) = ctx.db.peek_as::<List>(source)? else { return Ok(false) };
    let index = if from == End::Front { 0 } else { list.len().saturating_sub(1) };
    let Some(moved) = list.show(index, |item| OwnedElement::from(item)) else { return Ok(false) };
    let mut is_gone = false;
    if source.bytes == target.bytes {
        ctx.db.edit(source, |list: &mut List| {
            list.pop(from, |_| ());
            list.push(to, moved.lend(), &fill);
        })?;
    } else {
        // First where memory may be missing: then nothing has changed.
        ctx.db.edit_or_new(target, |list: &mut List| list.push(to, moved.lend(), &fill))?;
        let emptied = ctx.db.edit(source, |list: &mut List| {
            list.pop(from, |_| ());
            list.is_empty()
        })?;
        is_gone = emptied.unwrap_or(true);
    }
    ctx.changed_by(push_event(to), target.bytes, 0);
    reply_element(&mut ctx.reply, moved.lend());
    note_taken(ctx, pop_event(from), source.bytes, Taken { count: 1, is_gone });
    Ok(true)
}
