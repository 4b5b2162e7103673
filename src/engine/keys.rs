//! Which arguments of a request are keys, and what happens to them.
//!
//! Read from the key specifications of the command (`Command::keys`), or from its `find_keys` where
//! they cannot say it or the access depends on options. COMMAND GETKEYS, ACL rules, held keys and
//! cluster slots all ask here, so they cannot disagree.
use crate::base::number::parse_i64;
use crate::engine::jobs::KeyRange;
use crate::engine::spec::{Begin, Command, Find, KeySpec, KeyUse, KeysUse, access, flag};
use crate::proto::args::Args;
use crate::store::Hold;

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
    for (keys, access) in uses_of(command, args).ok_or(KeysUnclear)? {
        found.extend((0..keys.count).map(|nth| KeyUse { index: keys.at(nth), access }));
    }
    Ok(())
}

/// The key of a request that has one and no more, where that is easily said. O(1), without memory of its own: most
/// requests have one key.
pub fn single_key(command: &Command, args: Args<'_>) -> Option<KeyUse> {
    let [spec] = command.keys else { return None };
    let Begin::Index(index) = spec.begin else { return None };
    if !matches!(spec.find, Find::Range { last: 0, .. }) || index as usize >= args.len() {
        return None;
    }
    let unclear = access::NOT_KEY | access::INCOMPLETE | access::VARIABLE_FLAGS;
    if spec.access & unclear == 0 {
        return Some(KeyUse { index: index as usize, access: spec.access });
    }
    let (mut key, mut count) = (None, 0);
    if spec.access & unclear == access::VARIABLE_FLAGS {
        command.find_keys?(args, &mut |KeysUse { indices, access }| {
            key = Some(KeyUse { index: indices.start, access });
            count += indices.len();
        });
    }
    key.filter(|_| count == 1)
}

/// Where the keys of one specification are.
enum KeyPlace {
    /// An option that has them was not given.
    Nowhere,
    /// The request does not fit.
    Unclear,
    /// These arguments, from the first to the last.
    Range { first: usize, last: usize, step: usize },
}

fn place_of(spec: &KeySpec, args: Args<'_>) -> KeyPlace {
    let count = args.len() as i64;
    let begin = match spec.begin {
        Begin::Index(index) => i64::from(index),
        Begin::Keyword(word, from) => match keyword_at(word, from.into(), args) {
            Some(index) => index + 1,
            // An option that was not given has no keys.
            None => return KeyPlace::Nowhere,
        },
        Begin::Unknown => return KeyPlace::Unclear,
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
            // More keys than arguments is unclear anyway; checked here so that nothing overflows
            // below.
            let Some(number) = number.filter(|number| (0..=count).contains(number)) else {
                return KeyPlace::Unclear;
            };
            let first = begin + i64::from(first);
            // DIFFERS: Redis 7.0 ignores the step here; only later commands (MSETEX) have one.
            (first, first + (number - 1) * step, step)
        }
        Find::Unknown => return KeyPlace::Unclear,
    };
    if first < 1 || last < first || last >= count || step < 1 {
        return KeyPlace::Unclear;
    }
    KeyPlace::Range { first: first as usize, last: last as usize, step: step as usize }
}

fn range_of(keys: &KeysUse, hold: Hold) -> KeyRange {
    KeyRange { first: keys.indices.start, count: keys.indices.len(), step: 1, hold }
}

/// The keys of a request as ranges of its arguments, with what happens to them; `None` where the request does not fit.
/// O(key specifications), however many keys there are.
pub fn uses_of(command: &Command, args: Args<'_>) -> Option<Vec<(KeyRange, u32)>> {
    let by_finder = || {
        let mut uses = Vec::new();
        command.find_keys?(args, &mut |keys| uses.push((range_of(&keys, Hold::Read), keys.access)));
        Some(uses)
    };
    let varies = command.keys.iter().any(|spec| spec.access & access::VARIABLE_FLAGS != 0);
    if varies && command.find_keys.is_some() {
        return by_finder();
    }
    let mut ranges = Vec::new();
    for spec in command.keys.iter().filter(|spec| spec.access & access::NOT_KEY == 0) {
        match place_of(spec, args) {
            KeyPlace::Nowhere => {}
            KeyPlace::Range { first, last, step } if spec.access & access::INCOMPLETE == 0 => {
                let (count, hold) = ((last - first) / step + 1, Hold::Read);
                ranges.push((KeyRange { first, count, step, hold }, spec.access));
            }
            KeyPlace::Range { .. } | KeyPlace::Unclear => return by_finder(),
        }
    }
    Some(ranges)
}

/// The keys of a request as ranges of its arguments, with how a job holds them; none where the request is wrong.
/// O(key specifications), however many keys there are.
pub fn ranges_of(command: &Command, args: Args<'_>) -> Vec<KeyRange> {
    // XREADGROUP changes groups of streams that it only reads, by their specification.
    let is_only_read = |spec: &KeySpec| spec.access & access::RO != 0;
    let is_writer = command.flags & flag::WRITE != 0 && command.keys.iter().all(is_only_read);
    let hold = |access: u32| match access & access::RO != 0 && !is_writer {
        true => Hold::Read,
        false => Hold::Write,
    };
    let mut ranges = Vec::new();
    if let Some(find) = command.find_keys.or(command.looks_at) {
        // Not the specifications: they find the first STORE of several, the command obeys the last.
        find(args, &mut |keys| ranges.push(range_of(&keys, hold(keys.access))));
        return ranges;
    }
    for spec in command.keys.iter().filter(|spec| spec.access & access::NOT_KEY == 0) {
        if let KeyPlace::Range { first, last, step } = place_of(spec, args) {
            let count = (last - first) / step + 1;
            ranges.push(KeyRange { first, count, step, hold: hold(spec.access) });
        }
    }
    ranges
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

/// SET: with GET or a condition on the value it also reads.
pub fn set_keys(args: Args<'_>, found: &mut dyn FnMut(KeysUse)) {
    const READING: [&str; 5] = ["get", "ifeq", "ifne", "ifdeq", "ifdne"];
    let reads =
        |option: &[u8]| READING.iter().any(|word| option.eq_ignore_ascii_case(word.as_bytes()));
    let access = if args.from(3).any(reads) {
        access::RW | access::ACCESS | access::UPDATE
    } else {
        access::OW | access::UPDATE
    };
    found(KeysUse::one(1, access));
}

/// BITFIELD: without SET and INCRBY it only reads; what is wrong may be meant as one of them.
pub fn bitfield_keys(args: Args<'_>, found: &mut dyn FnMut(KeysUse)) {
    let mut index = 2;
    let mut writes = false;
    while index < args.len() && !writes {
        let word = args.at(index);
        let follow = args.len() - index - 1;
        match () {
            () if word.eq_ignore_ascii_case(b"get") && follow >= 2 => index += 3,
            () if word.eq_ignore_ascii_case(b"overflow") && follow >= 1 => index += 2,
            () => writes = true,
        }
    }
    let access = access::ACCESS | if writes { access::RW | access::UPDATE } else { access::RO };
    found(KeysUse::one(1, access | access::ACCESS));
}

/// DELEX: without a condition it does not look at the value.
pub fn delex_keys(args: Args<'_>, found: &mut dyn FnMut(KeysUse)) {
    let reads = if args.len() > 2 { access::RW } else { access::RM };
    found(KeysUse::one(1, reads | access::DELETE));
}

/// MIGRATE: its one key, or those behind the first KEYS; none where both are given, which is a syntax error. What
/// follows AUTH and AUTH2 is no option.
pub fn migrate_keys(args: Args<'_>, found: &mut dyn FnMut(KeysUse)) {
    let access = access::RW | access::ACCESS | access::DELETE;
    let mut at = 6;
    let mut keys = 3..4;
    while at < args.len() {
        let option = args.at(at);
        if option.eq_ignore_ascii_case(b"keys") {
            let end = if args.at(3).is_empty() { args.len() } else { at + 1 };
            keys = at + 1..end;
            break;
        }
        let values = match () {
            () if option.eq_ignore_ascii_case(b"auth") => 1,
            () if option.eq_ignore_ascii_case(b"auth2") => 2,
            () => 0,
        };
        at += 1 + values;
    }
    found(KeysUse { indices: keys, access });
}

/// SORT: the source, and the destination of the last STORE. Keys that BY and GET make of the elements
/// are no arguments.
pub fn sort_keys(args: Args<'_>, found: &mut dyn FnMut(KeysUse)) {
    sort_ro_keys(args, found);
    let mut destination = None;
    let mut index = 2;
    while index < args.len() {
        // Their values are passed by: a pattern may be called "store".
        let values = match args.at(index) {
            word if word.eq_ignore_ascii_case(b"limit") => 2,
            word if word.eq_ignore_ascii_case(b"get") || word.eq_ignore_ascii_case(b"by") => 1,
            word if word.eq_ignore_ascii_case(b"store") && index + 1 < args.len() => {
                destination = Some(index + 1);
                1
            }
            _ => 0,
        };
        index += 1 + values;
    }
    if let Some(index) = destination {
        found(KeysUse::one(index, access::OW | access::UPDATE));
    }
}

/// DEBUG: what a subcommand about values looks at.
pub fn debug_keys(args: Args<'_>, found: &mut dyn FnMut(KeysUse)) {
    const ABOUT_ONE: [&str; 5] = ["object", "listpack", "quicklist", "htstats-key", "sdslen"];
    let is = |name: &str| args.at(1).eq_ignore_ascii_case(name.as_bytes());
    let end = match () {
        () if ABOUT_ONE.iter().any(|name| is(name)) => args.len().min(3),
        () if is("digest-value") => args.len(),
        () => 0,
    };
    found(KeysUse { indices: 2..end.max(2), access: access::RO | access::ACCESS });
}

/// SORT_RO: nothing but the source.
pub fn sort_ro_keys(_args: Args<'_>, found: &mut dyn FnMut(KeysUse)) {
    found(KeysUse::one(1, access::RO | access::ACCESS));
}

/// GEORADIUS and GEORADIUSBYMEMBER: the source, and the destination of the last STORE or STOREDIST.
pub fn georadius_keys(args: Args<'_>, found: &mut dyn FnMut(KeysUse)) {
    found(KeysUse::one(1, access::RO | access::ACCESS));
    let mut destination = None;
    let mut index = 5;
    while index + 1 < args.len() {
        let word = args.at(index);
        if word.eq_ignore_ascii_case(b"store") || word.eq_ignore_ascii_case(b"storedist") {
            index += 1;
            destination = Some(index);
        }
        index += 1;
    }
    if let Some(index) = destination {
        found(KeysUse::one(index, access::OW | access::UPDATE));
    }
}

/// XREAD and XREADGROUP: what follows the option STREAMS, which may also be the name of a group, of
/// a consumer or of a stream. Nothing where the request is wrong.
pub fn xread_keys(args: Args<'_>, found: &mut dyn FnMut(KeysUse)) {
    let mut index = 1;
    while index < args.len() {
        let word = args.at(index);
        let is = |option: &str| word.eq_ignore_ascii_case(option.as_bytes());
        if is("streams") {
            let count = (args.len() - index - 1) / 2;
            let access = access::RO | access::ACCESS;
            found(KeysUse { indices: index + 1..index + 1 + count, access });
            return;
        }
        index += match () {
            () if is("block") || is("count") => 2,
            () if is("group") => 3,
            () if is("noack") => 1,
            () => return,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::KeyHasher;
    use crate::engine::ctx::{CmdResult, Ctx};
    use crate::engine::spec::{Group, KeyFinder, command};
    use crate::proto::args::OwnedArgs;

    fn handler(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
        Ok(())
    }

    /// Indices of the keys that `keys` finds in `line`; `None` where it is unclear.
    fn found(keys: &[KeySpec], line: &str) -> Option<Vec<usize>> {
        let keys = keys.to_vec().leak();
        let command = Command { keys, ..command(Group::Generic, "test", -1, handler) };
        let hasher = KeyHasher::new(0);
        let request = OwnedArgs::from_parts(line.split(' ').map(str::as_bytes));
        let mut found = vec![KeyUse { index: 99, access: 0 }];
        let outcome = keys_of(&command, request.lend(&hasher).args(), &mut found);
        assert_eq!(found.remove(0).index, 99, "what was there stays");
        assert!(outcome.is_ok() || found.is_empty(), "half a result");
        outcome.is_ok().then(|| found.iter().map(|key| key.index).collect())
    }

    const RO: u32 = access::RO;

    #[test]
    fn ranges() {
        let first = KeySpec::first(RO);
        assert_eq!(found(&[first], "c a b"), Some(vec![1]));
        assert_eq!(found(&[first], "c"), None);
        let pairs = KeySpec::range(RO, 1, -1, 2);
        assert_eq!(found(&[pairs], "c a 1 b 2"), Some(vec![1, 3]));
        let all_but_last = KeySpec::range(RO, 1, -2, 1);
        assert_eq!(found(&[all_but_last], "c a b 0"), Some(vec![1, 2]));
        assert_eq!(found(&[all_but_last], "c 0"), None);
        let second = KeySpec::range(RO, 2, 0, 1);
        assert_eq!(found(&[first, second], "c a b c"), Some(vec![1, 2]));
        assert_eq!(found(&[first, second], "c a"), None);
    }

    #[test]
    fn half_of_the_rest_after_a_word() {
        // XREAD [COUNT n] STREAMS key… id…
        let find = Find::Range { last: -1, step: 1, limit: 2 };
        let streams = KeySpec { begin: Begin::Keyword("STREAMS", 1), find, ..KeySpec::first(RO) };
        assert_eq!(found(&[streams], "c COUNT 1 streams a b 1 2"), Some(vec![4, 5]));
        assert_eq!(found(&[streams], "c COUNT 1"), Some(vec![]));
        assert_eq!(found(&[streams], "c COUNT streams"), Some(vec![]), "nothing can follow");
    }

    #[test]
    fn words_are_searched_from_the_end_too() {
        // MIGRATE … KEYS key…
        let keys = KeySpec {
            begin: Begin::Keyword("KEYS", -2),
            find: Find::Range { last: -1, step: 1, limit: 0 },
            ..KeySpec::first(RO)
        };
        assert_eq!(found(&[keys], "c a KEYS b c"), Some(vec![3, 4]));
        assert_eq!(found(&[keys], "c KEYS b c"), Some(vec![]), "not the first argument");
        assert_eq!(found(&[keys], "c a KEYS"), Some(vec![]));
        assert_eq!(found(&[keys], "c"), Some(vec![]));
    }

    #[test]
    fn counted_keys() {
        let find = Find::Number { at: 0, first: 1, step: 1 };
        let counted = KeySpec { begin: Begin::Index(2), find, ..KeySpec::first(RO) };
        assert_eq!(found(&[counted], "c x 2 a b other"), Some(vec![3, 4]));
        for wrong in ["c x", "c x 0", "c x 0 a", "c x -1 a", "c x 2 a", "c x 01 a", "c x"] {
            assert_eq!(found(&[counted], wrong), None, "{wrong}");
        }
        assert_eq!(found(&[counted], &format!("c x {} a", i64::MAX)), None);
    }

    #[test]
    fn incomplete_unknown_and_unreal_keys() {
        let incomplete = KeySpec::first(RO | access::INCOMPLETE);
        assert_eq!(found(&[incomplete], "c a"), None);
        let unknown = KeySpec { begin: Begin::Unknown, ..KeySpec::first(RO) };
        assert_eq!(found(&[unknown], "c a"), None);
        let channel = KeySpec::first(RO | access::NOT_KEY);
        assert_eq!(found(&[channel], "c a"), Some(vec![]));
        let command =
            Command { keys: vec![channel].leak(), ..command(Group::Pubsub, "test", -1, handler) };
        assert!(!has_keys(&command));
        assert!(has_keys(&Command { find_keys: Some(set_keys), ..command }));
    }

    fn found_by(find: KeyFinder, line: &str) -> Vec<(usize, u32)> {
        let hasher = KeyHasher::new(0);
        let request = OwnedArgs::from_parts(line.split(' ').map(str::as_bytes));
        let mut found = Vec::new();
        find(request.lend(&hasher).args(), &mut |KeysUse { indices, access }| {
            found.extend(indices.map(|index| (index, access)));
        });
        found
    }

    proptest::proptest! {
        /// Whoever asks for the key of a request with one gets what he would find among all keys, or nothing.
        #[test]
        fn a_single_key_is_the_only_one(
            words in proptest::collection::vec("get|ifeq|store|streams|keys|set|2|k", 0..6),
            variable: bool,
            finder in 0usize..5,
            first in 1i16..3,
            last in -1i16..2,
        ) {
            let finders: [KeyFinder; 5] =
                [set_keys, bitfield_keys, delex_keys, sort_keys, migrate_keys];
            let extra = if variable { access::VARIABLE_FLAGS } else { 0 };
            let keys = vec![KeySpec::range(RO | extra, first, last, 1)].leak();
            let command = Command {
                keys,
                find_keys: Some(finders[finder]),
                ..command(Group::Generic, "test", -1, handler)
            };
            let hasher = KeyHasher::new(0);
            let words = std::iter::once("c").chain(words.iter().map(String::as_str));
            let request = OwnedArgs::from_parts(words.map(str::as_bytes));
            let list = request.lend(&hasher);
            let mut all = Vec::new();
            let outcome = keys_of(&command, list.args(), &mut all);
            if let Some(key) = single_key(&command, list.args()) {
                proptest::prop_assert!(outcome.is_ok());
                proptest::prop_assert_eq!(all, [key]);
            }
        }
    }

    #[test]
    fn finders_know_options_from_their_values() {
        let source = (1, access::RO | access::ACCESS);
        let stored = |index| (index, access::OW | access::UPDATE);
        for (line, keys) in [
            ("sort k", vec![source]),
            ("sort k STORE", vec![source]),
            ("sort k by store get STORE store d", vec![source, stored(7)]),
            ("sort k store by store d desc", vec![source, stored(5)]),
            ("sort k limit store store store d", vec![source, stored(6)]),
        ] {
            assert_eq!(found_by(sort_keys, line), keys, "{line}");
        }
        for (line, keys) in [
            ("georadius k 0 0 1 m", vec![source]),
            ("georadius k 0 0 1 m store", vec![source]),
            ("georadius k 0 0 1 m store store", vec![source, stored(7)]),
            ("georadiusbymember k store 1 m store a storedist b", vec![source, stored(8)]),
        ] {
            assert_eq!(found_by(georadius_keys, line), keys, "{line}");
        }
        let updated = (1, access::RW | access::ACCESS | access::UPDATE);
        for (line, key) in [
            ("bitfield k", source),
            ("bitfield k get u8 set overflow wrap GET u8 0", source),
            ("bitfield k get u8 0 set u8 0 1", updated),
            ("bitfield k nothing", updated),
        ] {
            assert_eq!(found_by(bitfield_keys, line), [key], "{line}");
        }
    }

    #[test]
    fn streams_is_an_option_and_a_name() {
        let indices = |line: &str| -> Vec<usize> {
            found_by(xread_keys, line).into_iter().map(|(index, _)| index).collect()
        };
        assert_eq!(indices("xread streams streams 0"), [2]);
        assert_eq!(indices("xread COUNT 1 block 0 STREAMS a b 0 0"), [6, 7]);
        assert_eq!(indices("xreadgroup noack group streams streams streams a 0"), [6]);
        for wrong in ["xread", "xread streams", "xread streams a", "xread group streams a 0"] {
            assert_eq!(indices(wrong), [0; 0], "{wrong}");
        }
    }

    #[test]
    fn xreadgroup_changes_what_its_specification_says_it_reads() {
        let streams = KeySpec {
            begin: Begin::Keyword("STREAMS", 1),
            find: Find::Range { last: -1, step: 1, limit: 2 },
            ..KeySpec::first(RO)
        };
        let keys = vec![streams].leak();
        let reader = Command {
            keys,
            find_keys: Some(xread_keys),
            ..command(Group::Stream, "xread", -4, handler)
        };
        let writer = Command { flags: flag::WRITE, ..reader };
        let hasher = KeyHasher::new(0);
        let line = "c STREAMS a b 0 0";
        let request = OwnedArgs::from_parts(line.split(' ').map(str::as_bytes));
        for (command, hold) in [(reader, Hold::Read), (writer, Hold::Write)] {
            let held = ranges_of(&command, request.lend(&hasher).args());
            assert_eq!(held, [KeyRange { first: 2, count: 2, step: 1, hold }]);
        }
    }

    #[test]
    fn what_is_held_is_what_is_written() {
        let find = Find::Range { last: 0, step: 1, limit: 0 };
        let store =
            KeySpec { begin: Begin::Keyword("STORE", 6), find, ..KeySpec::first(access::OW) };
        let keys = vec![KeySpec::first(RO), store].leak();
        let command = Command {
            keys,
            find_keys: Some(georadius_keys),
            ..command(Group::Geo, "georadius", -6, handler)
        };
        let hasher = KeyHasher::new(0);
        let line = "georadius k 0 0 1 m STORE a STOREDIST b";
        let request = OwnedArgs::from_parts(line.split(' ').map(str::as_bytes));
        let held = ranges_of(&command, request.lend(&hasher).args());
        let held: Vec<_> = held.iter().map(|range| (range.first, range.hold)).collect();
        assert_eq!(held, [(1, Hold::Read), (9, Hold::Write)]);
    }
}
