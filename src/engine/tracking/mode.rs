//! How one client is tracked, and the options of CLIENT TRACKING that say so.
use std::collections::BTreeSet;

use super::readers::Reader;
use crate::base::number;
use crate::engine::error::CmdError;
use crate::proto::args::Args;

/// Which of its reads are remembered, or whether it hears of prefixes instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// All it reads.
    #[default]
    All,
    /// What it reads right after CLIENT CACHING yes.
    OptIn,
    /// All but what it reads right after CLIENT CACHING no.
    OptOut,
    /// Nothing: it hears of every change of keys with its prefixes.
    Broadcast,
}

/// The tracking of one client.
#[derive(Clone, Debug)]
pub struct ClientTracking {
    /// The client, as the tables know it.
    pub reader: Reader,
    /// Which reads are remembered.
    pub mode: Mode,
    /// The client that is told in its place; 0: itself.
    pub redirect: u64,
    /// It is not to hear of its own changes.
    pub is_noloop: bool,
    /// Somebody it redirects to is gone, and it could not be told of something.
    pub is_broken: bool,
    /// CLIENT CACHING was given for the command or transaction that comes next.
    pub is_caching: bool,
    /// What it wants to hear of, in broadcasting mode.
    pub prefixes: BTreeSet<Box<[u8]>>,
    /// Keys that the script it runs has declared.
    pub script_keys: Vec<Box<[u8]>>,
    /// What the prefixes take.
    prefix_bytes: usize,
}

impl ClientTracking {
    /// All that a client reads is remembered.
    #[must_use]
    pub fn new(reader: Reader) -> ClientTracking {
        ClientTracking {
            reader,
            mode: Mode::All,
            redirect: 0,
            is_noloop: false,
            is_broken: false,
            is_caching: false,
            prefixes: BTreeSet::new(),
            script_keys: Vec::new(),
            prefix_bytes: 0,
        }
    }

    /// It wants to hear of a prefix, too.
    pub fn add_prefix(&mut self, prefix: &[u8]) {
        if self.prefixes.insert(prefix.into()) {
            self.prefix_bytes += prefix.len() + PREFIX_BYTES;
        }
    }

    /// Whether keys are remembered that it reads now.
    #[inline]
    #[must_use]
    pub fn is_remembering(&self) -> bool {
        match self.mode {
            Mode::All => true,
            Mode::OptIn => self.is_caching,
            Mode::OptOut => !self.is_caching,
            Mode::Broadcast => false,
        }
    }

    /// Memory it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<ClientTracking>() + self.prefix_bytes
    }
}

/// What a prefix takes beside its bytes, with its place in the table of all prefixes.
const PREFIX_BYTES: usize = 64;

/// CLIENT TRACKING with options that are well-formed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Request<'b> {
    /// It is to be on.
    pub is_on: bool,
    /// REDIRECT; 0: not given.
    pub redirect: u64,
    /// PREFIX, each as often as it was given.
    pub prefixes: Vec<&'b [u8]>,
    /// NOLOOP.
    pub is_noloop: bool,
    is_broadcast: bool,
    is_opt_in: bool,
    is_opt_out: bool,
}

impl<'b> Request<'b> {
    /// Reads `CLIENT TRACKING on|off [option …]`. `exists` says whether there is a client of that id.
    pub fn parse(args: Args<'b>, exists: impl Fn(u64) -> bool) -> Result<Request<'b>, CmdError> {
        let mut request = Request::default();
        let mut at = 3;
        while at < args.len() {
            let word = args.at(at);
            let has_more = at + 1 < args.len();
            if word.eq_ignore_ascii_case(b"redirect") && has_more {
                at += 1;
                request.parse_redirect(args.at(at), &exists)?;
            } else if word.eq_ignore_ascii_case(b"bcast") {
                request.is_broadcast = true;
            } else if word.eq_ignore_ascii_case(b"optin") {
                request.is_opt_in = true;
            } else if word.eq_ignore_ascii_case(b"optout") {
                request.is_opt_out = true;
            } else if word.eq_ignore_ascii_case(b"noloop") {
                request.is_noloop = true;
            } else if word.eq_ignore_ascii_case(b"prefix") && has_more {
                at += 1;
                request.prefixes.push(args.at(at));
            } else {
                return Err(CmdError::Syntax);
            }
            at += 1;
        }
        // After the options, as in Redis: theirs are the first errors.
        let switch = args.at(2);
        request.is_on = switch.eq_ignore_ascii_case(b"on");
        if !request.is_on && !switch.eq_ignore_ascii_case(b"off") {
            return Err(CmdError::Syntax);
        }
        Ok(request)
    }

    fn parse_redirect(
        &mut self,
        text: &[u8],
        exists: impl Fn(u64) -> bool,
    ) -> Result<(), CmdError> {
        if self.redirect != 0 {
            return Err(CmdError::Text("ERR A client can only redirect to a single other client"));
        }
        let id = number::parse_i64(text).ok_or(CmdError::NotInteger)?;
        self.redirect = id as u64;
        if !exists(self.redirect) {
            return Err(CmdError::Text("ERR The client ID you want redirect to does not exist"));
        }
        Ok(())
    }

    /// The mode it asks for.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match (self.is_broadcast, self.is_opt_in, self.is_opt_out) {
            (true, _, _) => Mode::Broadcast,
            (_, true, _) => Mode::OptIn,
            (_, _, true) => Mode::OptOut,
            _ => Mode::All,
        }
    }

    /// Whether its options go together, and with how the client is tracked now.
    pub fn check(&self, now: Option<&ClientTracking>) -> Result<(), CmdError> {
        if !self.is_on {
            return Ok(());
        }
        if !self.is_broadcast && !self.prefixes.is_empty() {
            return Err(CmdError::Text("ERR PREFIX option requires BCAST mode to be enabled"));
        }
        let mode = now.map(|now| now.mode);
        if mode.is_some_and(|mode| (mode == Mode::Broadcast) != self.is_broadcast) {
            return Err(CmdError::Text(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, \
                 and then re-enabling it with a different mode.",
            ));
        }
        if self.is_broadcast && (self.is_opt_in || self.is_opt_out) {
            return Err(CmdError::Text("ERR OPTIN and OPTOUT are not compatible with BCAST"));
        }
        if self.is_opt_in && self.is_opt_out {
            return Err(CmdError::Text("ERR You can't specify both OPTIN mode and OPTOUT mode"));
        }
        if self.is_opt_in && mode == Some(Mode::OptOut)
            || self.is_opt_out && mode == Some(Mode::OptIn)
        {
            return Err(CmdError::Text(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, \
                 and then re-enabling it with a different mode.",
            ));
        }
        self.check_prefixes(now)
    }

    /// No key may have two of a client's prefixes. DIFFERS: Redis 7.0.15 reports an overlap of others than the first
    /// prefix given, and then goes on and answers OK as well, which leaves its client one reply behind.
    fn check_prefixes(&self, now: Option<&ClientTracking>) -> Result<(), CmdError> {
        let overlap = |prefix: &[u8], of: &str, other: &[u8]| {
            CmdError::owned(&[
                b"ERR Prefix '",
                prefix,
                b"' overlaps with ",
                of.as_bytes(),
                b" prefix '",
                other,
                b"'. Prefixes for a single client must not overlap.",
            ])
        };
        let is_crossed = crossed(&self.prefixes);
        for (index, (prefix, is_crossed)) in self.prefixes.iter().zip(is_crossed).enumerate() {
            if let Some(other) = now.and_then(|now| first_overlap(&now.prefixes, prefix)) {
                return Err(overlap(prefix, "an existing", other));
            }
            let mut later = self.prefixes.iter().skip(index + 1);
            if is_crossed && let Some(other) = later.find(|other| do_overlap(prefix, other)) {
                return Err(overlap(prefix, "another provided", other));
            }
        }
        Ok(())
    }
}

/// Whether a key can have both prefixes.
fn do_overlap(first: &[u8], second: &[u8]) -> bool {
    first.starts_with(second) || second.starts_with(first)
}

/// The first of a client's prefixes that overlaps with this one. O(log n): none of them but the empty one, which comes
/// without a check, begins with another.
fn first_overlap<'p>(known: &'p BTreeSet<Box<[u8]>>, prefix: &[u8]) -> Option<&'p [u8]> {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let empty = known.first().filter(|first| first.is_empty());
    let before = || known.range::<[u8], _>((Unbounded, Excluded(prefix))).next_back();
    let after = || known.range::<[u8], _>((Included(prefix), Unbounded)).next();
    let shorter = empty.or_else(|| before().filter(|other| prefix.starts_with(other)));
    let found = shorter.or_else(|| after().filter(|other| other.starts_with(prefix)));
    found.map(|found| &**found)
}

/// Which of these overlap with another of them. O(n log n): in the order of bytes those that begin with a prefix
/// follow it.
fn crossed(prefixes: &[&[u8]]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..prefixes.len()).collect();
    order.sort_by_key(|&index| prefixes[index]);
    let mut is_crossed = vec![false; prefixes.len()];
    // Each begins with the one below it.
    let mut open: Vec<usize> = Vec::new();
    for index in order {
        while open.pop_if(|top| !prefixes[index].starts_with(prefixes[*top])).is_some() {}
        if let Some(&top) = open.last() {
            (is_crossed[top], is_crossed[index]) = (true, true);
        }
        open.push(index);
    }
    is_crossed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::KeyHasher;
    use crate::proto::args::OwnedArgs;

    /// The error of these options for a client that is tracked so.
    fn refusal(options: &str, now: Option<&ClientTracking>) -> String {
        let words = ["client", "tracking"].into_iter().chain(options.split_whitespace());
        let owned = OwnedArgs::from_parts(words.map(str::as_bytes));
        let hasher = KeyHasher::new(1);
        let lent = owned.lend(&hasher);
        let request = Request::parse(lent.args(), |id| id == 7);
        let result = request.and_then(|request| request.check(now));
        result
            .err()
            .map_or(String::new(), |error| String::from_utf8_lossy(&error.message()).into_owned())
    }

    fn tracked(mode: Mode, prefixes: &[&str]) -> ClientTracking {
        let mut tracking = ClientTracking { mode, ..ClientTracking::new(Reader::new(0, 1)) };
        prefixes.iter().for_each(|prefix| tracking.add_prefix(prefix.as_bytes()));
        tracking
    }

    #[test]
    fn options_are_read_before_the_switch() {
        let long = "ON redirect 7 BCAST noloop prefix a PREFIX b";
        for options in ["on", "off", long, "off bcast optin prefix a prefix a"] {
            assert_eq!(refusal(options, None), "", "{options}");
        }
        assert_eq!(refusal("maybe", None), "ERR syntax error");
        assert_eq!(
            refusal("maybe redirect x", None),
            "ERR value is not an integer or out of range"
        );
        assert_eq!(refusal("on redirect", None), "ERR syntax error");
        assert_eq!(refusal("on prefix", None), "ERR syntax error");
        let gone = "ERR The client ID you want redirect to does not exist";
        assert_eq!(refusal("on redirect 0", None), gone);
        assert_eq!(refusal("on redirect -7", None), gone);
        let twice = "ERR A client can only redirect to a single other client";
        assert_eq!(refusal("on redirect 7 redirect x", None), twice);
    }

    #[test]
    fn modes_exclude_each_other() {
        let prefix = "ERR PREFIX option requires BCAST mode to be enabled";
        assert_eq!(refusal("on prefix a", None), prefix);
        let both = "ERR You can't specify both OPTIN mode and OPTOUT mode";
        assert_eq!(refusal("on optin optout", None), both);
        let all = tracked(Mode::All, &[]);
        assert!(
            refusal("on bcast", Some(&all)).starts_with("ERR You can't switch BCAST mode on/off")
        );
        assert_eq!(refusal("on optin", Some(&all)), "");
        let opt_in = tracked(Mode::OptIn, &[]);
        assert!(
            refusal("on optout", Some(&opt_in)).starts_with("ERR You can't switch OPTIN/OPTOUT")
        );
        assert_eq!(refusal("on", Some(&opt_in)), "");
        let broadcast = tracked(Mode::Broadcast, &["a"]);
        assert!(refusal("on", Some(&broadcast)).starts_with("ERR You can't switch BCAST mode"));
    }

    #[test]
    fn prefixes_do_not_overlap() {
        let now = tracked(Mode::Broadcast, &["foo", "bar"]);
        let existing = |one: &str, other: &str| {
            format!(
                "ERR Prefix '{one}' overlaps with an existing prefix '{other}'. Prefixes for a \
                 single client must not overlap."
            )
        };
        for (prefix, other) in [("fo", "foo"), ("barb", "bar"), ("foo", "foo")] {
            let options = format!("on bcast prefix {prefix}");
            assert_eq!(refusal(&options, Some(&now)), existing(prefix, other));
        }
        let provided = "ERR Prefix 'ab' overlaps with another provided prefix 'a'. Prefixes for a \
                        single client must not overlap.";
        assert_eq!(refusal("on bcast prefix ab prefix a", None), provided);
        assert_eq!(refusal("on bcast prefix x prefix ab prefix a", None), provided);
        assert_eq!(refusal("on bcast prefix ab prefix ac", Some(&now)), "");
    }

    #[test]
    fn what_is_remembered() {
        let cases = [
            (Mode::All, [true, true]),
            (Mode::OptIn, [false, true]),
            (Mode::OptOut, [true, false]),
            (Mode::Broadcast, [false, false]),
        ];
        for (mode, wanted) in cases {
            let mut tracking = tracked(mode, &[]);
            let without = tracking.is_remembering();
            tracking.is_caching = true;
            assert_eq!([without, tracking.is_remembering()], wanted, "{mode:?}");
        }
    }

    proptest::proptest! {
        /// The same overlap is found as by comparing all with all.
        #[test]
        fn overlaps_as_by_comparing_all(
            known in proptest::collection::vec("[ab]{1,4}", 0..6),
            has_empty in proptest::bool::ANY,
            given in proptest::collection::vec("[ab]{0,4}", 0..7),
        ) {
            let mut now = tracked(Mode::Broadcast, if has_empty { &[""] } else { &[] });
            for prefix in &known {
                let is_free = |other: &&[u8]| {
                    other.is_empty() || !do_overlap(other, prefix.as_bytes())
                };
                if now.prefixes.iter().map(|other| &**other).all(|other| is_free(&other)) {
                    now.add_prefix(prefix.as_bytes());
                }
            }
            let prefixes: Vec<&[u8]> = given.iter().map(String::as_bytes).collect();
            let mut wanted = None;
            'all: for (index, prefix) in prefixes.iter().enumerate() {
                let later = prefixes[index + 1..].iter().map(|other| ("another provided", *other));
                let existing = now.prefixes.iter().map(|other| ("an existing", &**other));
                for (of, other) in existing.chain(later) {
                    if do_overlap(prefix, other) {
                        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                        wanted = Some(format!(
                            "ERR Prefix '{}' overlaps with {of} prefix '{}'. Prefixes for a single \
                             client must not overlap.", text(prefix), text(other)
                        ));
                        break 'all;
                    }
                }
            }
            let request =
                Request { is_on: true, is_broadcast: true, prefixes, ..Request::default() };
            let error = request.check(Some(&now)).err();
            let message = error.map(|error| String::from_utf8_lossy(&error.message()).into_owned());
            proptest::prop_assert_eq!(message, wanted);
        }
    }
}
