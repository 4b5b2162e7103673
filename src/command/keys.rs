//! Which arguments of a request are keys, and what happens to them.
//!
//! Read from the key specifications of the command (`Command::keys`), or from its `find_keys` where they
//! cannot say it or the access depends on options. COMMAND GETKEYS, ACL rules, held keys and cluster slots
//! all ask here, so they cannot disagree.
use crate::base::number::parse_i64;
use crate::command::spec::{Begin, Command, Find, KeySpec, KeyUse, access};
use crate::proto::args::Args;

/// The request does not fit the command's key specifications: it has a syntax error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysUnclear;

/// Whether requests of this command name keys at all.
pub fn has_keys(command: &Command) -> bool {
    command.find_keys.is_some()
        || command.keys.iter().any(|spec| spec.access & access::NOT_KEY == 0)
}

/// Appends the keys of the request `args` to `found`, in the order of the key specifications.
/// O(keys); a `Keyword` specification also looks at every argument.
pub fn keys_of(
    command: &Command,
    args: Args<'_>,
    found: &mut Vec<KeyUse>,
) -> Result<(), KeysUnclear> {
    let varies = command.keys.iter().any(|spec| spec.access & access::VARIABLE_FLAGS != 0);
    let before = found.len();
    match command.find_keys {
        // The specifications know where, but only the options tell what happens.
        Some(find) if varies => find(args, found),
        finder => {
            let all_clear = command
                .keys
                .iter()
                .filter(|spec| spec.access & access::NOT_KEY == 0)
                .all(|spec| push_keys(spec, args, found));
            if !all_clear {
                found.truncate(before);
                finder.ok_or(KeysUnclear)?(args, found);
            }
        }
    }
    Ok(())
}

/// Appends the keys of one specification; false where it is incomplete or the request too short for it.
fn push_keys(spec: &KeySpec, args: Args<'_>, found: &mut Vec<KeyUse>) -> bool {
    let count = args.len() as i64;
    let begin = match spec.begin {
        Begin::Index(index) => i64::from(index),
        Begin::Keyword(word, from) => match keyword_at(word, from.into(), args) {
            Some(index) => index + 1,
            // An option that was not given has no keys.
            None => return true,
        },
        Begin::Unknown => return false,
    };
    let (first, last, step) = match spec.find {
        Find::Range { last, step, limit } => {
            let last = match (last, limit) {
                (0.., _) => begin + i64::from(last),
                (_, 0 | 1) => count + i64::from(last),
                (_, limit) => begin + (count - begin) / i64::from(limit) + i64::from(last),
            };
            (begin, last, i64::from(step))
        }
        Find::Number { at, first, step } => {
            let number_index = begin + i64::from(at);
            let step = i64::from(step);
            let number = match usize::try_from(number_index) {
                Ok(index) if number_index < count => parse_i64(args.at(index)),
                _ => None,
            };
            // More keys than arguments is unclear anyway; checked here so that nothing overflows below.
            let Some(number) = number.filter(|number| (0..=count).contains(number)) else {
                return false;
            };
            let first = begin + i64::from(first);
            // DIFFERS: Redis 7.0 ignores the step here; only later commands (MSETEX) have one.
            (first, first + (number - 1) * step, step)
        }
        Find::Unknown => return false,
    };
    if first < 1 || last < first || last >= count || step < 1 {
        return false;
    }
    found.extend(
        (first..=last)
            .step_by(step as usize)
            .map(|index| KeyUse { index: index as usize, access: spec.access }),
    );
    spec.access & access::INCOMPLETE == 0
}

/// Where `word` is: searched forwards from `from`, or backwards from `from` counted from the end.
fn keyword_at(word: &str, from: i64, args: Args<'_>) -> Option<i64> {
    let count = args.len() as i64;
    let matches = |index: &i64| args.at(*index as usize).eq_ignore_ascii_case(word.as_bytes());
    if from > 0 {
        // As in Redis the last argument is not looked at: no key could follow.
        (from..count - 1).find(matches)
    } else {
        (2..=count + from).rev().find(matches)
    }
}

/// SET: with GET it also reads.
pub fn set_keys(args: Args<'_>, found: &mut Vec<KeyUse>) {
    let gets = args.from(3).any(|option| option.eq_ignore_ascii_case(b"get"));
    let access = if gets {
        access::RW | access::ACCESS | access::UPDATE
    } else {
        access::OW | access::UPDATE
    };
    found.push(KeyUse { index: 1, access });
}

/// DELEX: without a condition it does not look at the value.
pub fn delex_keys(args: Args<'_>, found: &mut Vec<KeyUse>) {
    let reads = if args.len() > 2 { access::RW } else { access::RM };
    found.push(KeyUse { index: 1, access: reads | access::DELETE });
}
