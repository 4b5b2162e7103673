//! SORT and SORT_RO: what they are asked for. `sort_job` does it.
//!
//! BY and GET read keys that the request does not name: their names are made of the elements. A short SORT reads them
//! in one go, with nothing else running. A long one, or one beside other jobs, first takes the key it sorts, then all
//! keys that BY and GET make of its elements, and begins once it holds them all ([`Job::find_further_keys`]): so it
//! sees one instant, as every job does, while whoever writes other keys goes on. That costs 40 bytes and about 0.2 us
//! for each such key. With LIMIT the keys of all elements are held, as nobody knows yet whose will be asked for.
use crate::base::number::parse_f64;
use crate::command::keys;
use crate::command::options::{integer, is};
use crate::command::sort_job::{Sort, Source};
use crate::command::spec::access::{ACCESS, OW, RO, UPDATE};
use crate::command::spec::flag::{DENYOOM, READONLY, WRITE};
use crate::command::spec::{Command, Group, KeySpec, category, command, doc};
use crate::engine::acl;
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::engine::jobs::{Budget, Job};
use crate::engine::session::Nesting;
use crate::proto::args::Args;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[SORT, SORT_RO];

const SORT: Command = Command {
    flags: WRITE | DENYOOM,
    categories: category::DANGEROUS | category::LIST | category::SET | category::SORTEDSET,
    keys: &[
        KeySpec::first(RO | ACCESS),
        KeySpec::unknown(
            RO | ACCESS,
            "For the optional BY/GET keyword. It is marked 'unknown' because \
            the key names derive from the content of the key we sort",
        ),
        KeySpec::unknown(
            OW | UPDATE,
            "For the optional STORE keyword. It is marked 'unknown' because \
            the keyword can appear anywhere in the argument array",
        ),
    ],
    find_keys: Some(keys::sort_keys),
    doc: doc(
        "1.0.0",
        "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the \
        number of returned elements. When the elements are not sorted, complexity is O(N).",
        "key:key [BY=pattern:pattern#1] [LIMIT=offset_count(offset:integer count:integer)] \
        [GET=pattern:pattern#1...+] [order(ASC|DESC)] [ALPHA=sorting] [STORE=destination:key#2]",
        "Sort the elements in a list, set or sorted set",
    ),
    ..command(Group::Generic, "sort", -2, sort)
};

const SORT_RO: Command = Command {
    flags: READONLY,
    categories: category::DANGEROUS | category::LIST | category::SET | category::SORTEDSET,
    keys: &[
        KeySpec::first(RO | ACCESS),
        KeySpec::unknown(
            RO | ACCESS,
            "For the optional BY/GET keyword. It is marked 'unknown' because \
            the key names derive from the content of the key we sort",
        ),
    ],
    find_keys: Some(keys::sort_ro_keys),
    doc: doc(
        "7.0.0",
        "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the \
        number of returned elements. When the elements are not sorted, complexity is O(N).",
        "key:key [BY=pattern:pattern#1] [LIMIT=offset_count(offset:integer count:integer)] \
        [GET=pattern:pattern#1...+] [order(ASC|DESC)] [ALPHA=sorting]",
        "Sort the elements in a list, set or sorted set. Read-only variant of SORT.",
    ),
    ..command(Group::Generic, "sort_ro", -2, sort_ro)
};

fn sort(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let reads_all = may_read_all(ctx, args);
    let orders_sets = ctx.client.nesting == Nesting::Script;
    run(ctx, args, Plan { orders_sets, ..Plan::parse(args, true, reads_all)? })
}

fn sort_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> CmdResult {
    let reads_all = may_read_all(ctx, args);
    let orders_sets = ctx.client.nesting == Nesting::Script;
    run(ctx, args, Plan { orders_sets, ..Plan::parse(args, false, reads_all)? })
}

/// Whether the client may read whatever key BY and GET come upon.
fn may_read_all(ctx: &Ctx<'_>, args: Args<'_>) -> bool {
    let found = ctx.client.last_command.map(|id| ctx.engine.table.found(id));
    found.is_some_and(|found| acl::may_read_all_keys(ctx.engine, ctx.client, found, args))
}

fn run(ctx: &mut Ctx<'_>, args: Args<'_>, plan: Plan) -> CmdResult {
    let source = ctx.db.peek(args.key(1)).map(|entry| entry.value());
    // Whether it is of a wrong type is for the job to say.
    let length = Source::of(source).ok().flatten().map_or(0, Source::len);
    let further_keys = plan.keys_per_element();
    let is_long = ctx.is_long(length.saturating_mul(1 + further_keys));
    let mut job = Sort::new(plan);
    if further_keys > 0 && (is_long || !ctx.db.holds.is_empty()) {
        return ctx.run_with_further_keys(args, job);
    }
    if is_long {
        return ctx.run(args, job);
    }
    job.step(ctx, args, &mut Budget::unlimited())?;
    Ok(())
}

const BY_DENIED: CmdError =
    CmdError::Text("ERR BY option of SORT denied due to insufficient ACL permissions.");
const GET_DENIED: CmdError =
    CmdError::Text("ERR GET option of SORT denied due to insufficient ACL permissions.");

/// What the options ask for. Patterns are told by their places among the arguments.
pub(super) struct Plan {
    /// What elements are sorted by.
    pub(super) by: By,
    /// By text, not by number.
    pub(super) is_alpha: bool,
    /// The last comes first.
    pub(super) is_descending: bool,
    /// LIMIT: results to skip.
    pub(super) skip: usize,
    /// LIMIT: results wanted.
    pub(super) wanted: usize,
    /// What each result consists of; nothing: the element.
    pub(super) gets: Vec<Template>,
    /// Argument that names the list to be made of the results.
    pub(super) store: Option<usize>,
    /// Sets have an order: what a script does with the results should not depend on chance.
    pub(super) orders_sets: bool,
}

/// What elements are sorted by.
#[derive(Clone, Copy)]
pub(super) enum By {
    /// Themselves.
    Element,
    /// Nothing: BY with a pattern that names no key.
    Nothing,
    /// What other keys hold.
    Pattern(Template),
}

impl Plan {
    /// Errors come in the order of the arguments, as in Redis.
    fn parse(args: Args<'_>, can_store: bool, reads_all: bool) -> Result<Plan, CmdError> {
        let mut plan = Plan {
            by: By::Element,
            is_alpha: false,
            is_descending: false,
            skip: 0,
            wanted: usize::MAX,
            gets: Vec::new(),
            store: None,
            orders_sets: false,
        };
        let mut index = 2;
        while index < args.len() {
            let option = args.at(index);
            let values = args.len() - index - 1;
            index += 1;
            if is(option, "asc") {
                plan.is_descending = false;
            } else if is(option, "desc") {
                plan.is_descending = true;
            } else if is(option, "alpha") {
                plan.is_alpha = true;
            } else if is(option, "limit") && values >= 2 {
                let (skip, wanted) = (integer(args.at(index))?, integer(args.at(index + 1))?);
                plan.skip = usize::try_from(skip).unwrap_or(0);
                plan.wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
                index += 2;
            } else if is(option, "store") && values >= 1 && can_store {
                plan.store = Some(index);
                index += 1;
            } else if is(option, "by") && values >= 1 {
                plan.by = match Template::parse(args.at(index), index) {
                    Template::Key { .. } if !reads_all => return Err(BY_DENIED),
                    // Nothing stays nothing, whatever comes behind.
                    _ if matches!(plan.by, By::Nothing) => By::Nothing,
                    pattern @ Template::Key { .. } => By::Pattern(pattern),
                    Template::Element | Template::Nothing => By::Nothing,
                };
                index += 1;
            } else if is(option, "get") && values >= 1 && !reads_all {
                return Err(GET_DENIED);
            } else if is(option, "get") && values >= 1 {
                plan.gets.push(Template::parse(args.at(index), index));
                index += 1;
            } else {
                return Err(CmdError::Syntax);
            }
        }
        Ok(plan)
    }

    /// Keys that are looked up for each element.
    fn keys_per_element(&self) -> usize {
        self.templates().filter(|template| matches!(template, Template::Key { .. })).count()
    }

    /// All templates: BY's and GET's.
    pub(super) fn templates(&self) -> impl Iterator<Item = Template> + '_ {
        let by = match self.by {
            By::Pattern(template) => Some(template),
            By::Element | By::Nothing => None,
        };
        by.into_iter().chain(self.gets.iter().copied())
    }
}

/// A pattern of BY or GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Template {
    /// `#`: the element itself.
    Element,
    /// Without a `*`: no value, ever.
    Nothing,
    /// The value of a key, or of a field of it.
    Key {
        /// The argument that is the pattern.
        argument: usize,
        /// Where the element's text goes.
        star: usize,
        /// Where `->` is, before the name of a field.
        arrow: Option<usize>,
    },
}

impl Template {
    /// As C sees it: what follows a NUL is only ever a part of a name.
    fn parse(pattern: &[u8], argument: usize) -> Template {
        let c_text = pattern.split(|&byte| byte == 0).next().unwrap_or(&[]);
        if c_text == b"#" {
            return Template::Element;
        }
        let Some(star) = c_text.iter().position(|&byte| byte == b'*') else {
            return Template::Nothing;
        };
        let arrow = c_text[star..].windows(2).position(|pair| pair == b"->").map(|at| star + at);
        // An arrow with nothing behind it is a part of the key's name.
        let arrow = arrow.filter(|arrow| arrow + 2 < c_text.len());
        Template::Key { argument, star, arrow }
    }

    /// The name of the key for an element, written into `name`; `None` where no key is looked up.
    pub(super) fn key<'n>(
        self,
        args: Args<'_>,
        element: &[u8],
        name: &'n mut Vec<u8>,
    ) -> Option<&'n [u8]> {
        let Template::Key { argument, star, arrow } = self else { return None };
        let pattern = args.at(argument);
        name.clear();
        name.extend_from_slice(&pattern[..star]);
        name.extend_from_slice(element);
        name.extend_from_slice(&pattern[star + 1..arrow.unwrap_or(pattern.len())]);
        Some(name)
    }

    /// The name of the field in that key.
    pub(super) fn field<'b>(self, args: Args<'b>) -> Option<&'b [u8]> {
        let Template::Key { argument, arrow, .. } = self else { return None };
        arrow.map(|arrow| &args.at(argument)[arrow + 2..])
    }
}

/// Reads a text as a weight, as C's `strtod` does: blanks may stand before it, a NUL ends it, and no text at all is
/// 0. `None` for what is no number, NaN, and what no double comes near.
pub(super) fn parse_weight(text: &[u8]) -> Option<f64> {
    let text = text.split(|&byte| byte == 0).next()?;
    if text.is_empty() {
        return Some(0.0);
    }
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let digits = text.iter().position(|byte| !is_blank(byte)).map_or(&[][..], |at| &text[at..]);
    // C says of what is below the normal numbers that it is out of range (but for a few in hexadecimal).
    parse_f64(digits).filter(|number| !number.is_subnormal())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::KeyHasher;
    use crate::proto::args::OwnedArgs;

    /// The key and field that `pattern` makes of `element`.
    fn names(pattern: &[u8], element: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        let request = OwnedArgs::from_parts([pattern]);
        let hasher = KeyHasher::new(0);
        let list = request.lend(&hasher);
        let template = Template::parse(pattern, 0);
        let mut name = Vec::new();
        let key = template.key(list.args(), element, &mut name)?.to_vec();
        Some((key, template.field(list.args()).map(<[u8]>::to_vec)))
    }

    #[test]
    fn patterns_are_read_as_c_reads_them() {
        let key = |name: &[u8]| Some((name.to_vec(), None));
        let field = |name: &[u8], field: &[u8]| Some((name.to_vec(), Some(field.to_vec())));
        assert_eq!(names(b"w_*", b"7"), key(b"w_7"));
        assert_eq!(names(b"*", b""), key(b""));
        assert_eq!(names(b"a*b*c", b"-"), key(b"a-b*c"));
        assert_eq!(names(b"w_*->f", b"7"), field(b"w_7", b"f"));
        assert_eq!(names(b"w_*x->f->g", b"7"), field(b"w_7x", b"f->g"));
        assert_eq!(names(b"w_*->", b"7"), key(b"w_7->"));
        assert_eq!(names(b"a->*->f", b"7"), field(b"a->7", b"f"));
        assert_eq!(names(b"w->f", b"7"), None);
        assert_eq!(names(b"w\0*", b"7"), None);
        assert_eq!(names(b"*\0->f", b"7"), key(b"7\0->f"));
        assert_eq!(names(b"*->f\0g", b"7"), field(b"7", b"f\0g"));
        assert_eq!(names(b"*->\0g", b"7"), key(b"7->\0g"));
        assert_eq!(Template::parse(b"#", 0), Template::Element);
        assert_eq!(Template::parse(b"#\0x", 0), Template::Element);
        assert_eq!(Template::parse(b"", 0), Template::Nothing);
    }

    #[test]
    fn weights_are_read_as_c_reads_them() {
        // Each was asked of Redis 7.0.15.
        for (text, weight) in [
            ("", Some(0.0)),
            (" 1", Some(1.0)),
            ("\t\x0b-1e2", Some(-100.0)),
            ("0x1p3", Some(8.0)),
            ("+5", Some(5.0)),
            ("-INF", Some(f64::NEG_INFINITY)),
            ("infinity", Some(f64::INFINITY)),
            ("1\0x", Some(1.0)),
            ("\0x", Some(0.0)),
            (" ", None),
            ("1 ", None),
            ("nan", None),
            ("1e400", None),
            ("1e-400", None),
            ("1e-310", None),
            ("2.2250738585072014e-308", Some(f64::MIN_POSITIVE)),
            ("x", None),
        ] {
            assert_eq!(parse_weight(text.as_bytes()), weight, "{text:?}");
        }
    }
}
