//! Rules against what redis-server 7.0.15 makes of them, and users against their own description.
use proptest::prelude::*;

use super::commands::Commands;
use super::denials::{AclLog, Context, Entry, Reason};
use super::file::{UserLines, configured_users, parse_file};
use super::rule::{RuleError, Rulebook, merge_selectors};
use super::user::{Asked, Channels, Denial, PasswordHash, User};
use super::users::{Accounts, Acl};
use crate::base::clock::Clock;
use crate::base::hash::KeyHasher;
use crate::command::CATALOGUE;
use crate::engine::acl::{check, check_slice};
use crate::engine::budget::Budget;
use crate::engine::config::Config;
use crate::engine::engine::{Engine, Shared};
use crate::engine::session::{Address, Session};
use crate::engine::spec::{KeyUse, access, category};
use crate::engine::table::CommandTable;
use crate::proto::args::OwnedArgs;

fn table() -> CommandTable {
    CommandTable::over(&CATALOGUE)
}

fn commands() -> Commands {
    Commands::of(&table())
}

fn book(commands: &Commands) -> Rulebook<'_> {
    Rulebook { commands, allows_channels: false }
}

fn user(rules: &str) -> Result<User, RuleError> {
    let commands = commands();
    let words: Vec<&[u8]> = rules.split_ascii_whitespace().map(str::as_bytes).collect();
    let mut user = User::new(false);
    for rule in merge_selectors(&words).unwrap() {
        user.apply(&rule, book(&commands))?;
    }
    Ok(user)
}

fn described(rules: &str) -> String {
    String::from_utf8(user(rules).unwrap().describe(&commands())).unwrap()
}

/// What a user with these rules is told when he asks for a request whose keys are these arguments.
fn asked(rules: &str, request: &str, keys: &[(usize, u32)]) -> Result<(), Denial> {
    let table = table();
    let owned = OwnedArgs::from_parts(request.split(' ').map(str::as_bytes));
    let hasher = KeyHasher::new(1);
    let list = owned.lend(&hasher);
    let args = list.args();
    let entry = table.resolve(args).unwrap();
    let keys: Vec<KeyUse> = keys.iter().map(|&(index, access)| KeyUse { index, access }).collect();
    user(rules).unwrap().check(&Asked {
        command: entry.id.index(),
        flags: entry.flags,
        args,
        keys: &keys,
        channels: None,
    })
}

#[test]
fn descriptions_are_those_of_redis() {
    for (rules, text) in [
        ("", "off resetchannels -@all"),
        ("reset", "off sanitize-payload resetchannels -@all"),
        ("on nopass ~* &* +@all", "on nopass ~* &* +@all"),
        ("%R~foo %W~foo %RW~bar %w~a %rW~b", "off ~foo ~bar %W~a ~b resetchannels -@all"),
        ("%R & ~", "off ~ resetchannels & -@all"),
        ("&foo +@all", "off resetchannels &foo +@all"),
        ("+@all -client|kill", "off resetchannels +@all -client|kill"),
        ("+@all -client +client|id", "off resetchannels +@all -client +client|id"),
        ("+config -config|set", "off resetchannels -@all +config -config|set"),
        ("+select|0 +select|A +SELECT|a", "off resetchannels -@all +select|0 +select|A"),
        ("+debug|a +debug|b -debug", "off resetchannels -@all"),
        ("+@string -incr", "off resetchannels -@all +@string -incr"),
        ("+@all -@string +incr", "off resetchannels +@all -@string +incr"),
        ("+memory|doctor +memory", "off resetchannels -@all +memory"),
        ("+select +select|1 on", "on resetchannels -@all +select"),
        (
            "(~a +get ) (%R~b)",
            "off resetchannels -@all (~a resetchannels -@all +get) (%R~b resetchannels -@all)",
        ),
        (
            "(+get) clearselectors skip-sanitize-payload",
            "off skip-sanitize-payload resetchannels -@all",
        ),
        ("nopass >a <a", "off resetchannels -@all"),
        ("~a ~* resetkeys ~b", "off ~b resetchannels -@all"),
        ("(+@all ~* &*) +@ALL -@All", "off resetchannels -@all (~* &* +@all)"),
    ] {
        assert_eq!(described(rules), text, "{rules}");
    }
    let hash = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";
    assert_eq!(described(">password nopass >password"), format!("off #{hash} resetchannels -@all"));
    assert_eq!(user(&format!("#{hash} <password")), user("resetpass"));
}

#[test]
fn each_category_is_described_by_itself() {
    for (bit, name) in category::NAMES {
        if !table().declared().iter().any(|entry| entry.categories & bit != 0) {
            continue;
        }
        assert_eq!(described(&format!("+@{name}")), format!("off resetchannels -@all +@{name}"));
        assert_eq!(
            described(&format!("+@all -@{name}")),
            format!("off resetchannels +@all -@{name}")
        );
    }
}

#[test]
fn wrong_rules() {
    use RuleError::*;
    for (rule, error) in [
        ("+@foo", UnknownCommand),
        ("+", UnknownCommand),
        ("-", UnknownCommand),
        ("+|x", UnknownCommand),
        ("+nosuch|x", UnknownCommand),
        ("+config|nosuch", UnknownCommand),
        ("-config|nosuch", UnknownCommand),
        ("+get|key1|key2", UnknownCommand),
        ("-get|key1", UnknownCommand),
        ("+config|get|appendonly", FirstArgOfSubcommand),
        ("+get|", Syntax),
        ("+config|", Syntax),
        ("%RR~a", Syntax),
        ("%X~a", Syntax),
        ("%~a", Syntax),
        ("%", Syntax),
        ("allthings", Syntax),
        (")", Syntax),
        ("(nonsense)", Syntax),
        ("(~\"a)", Syntax),
        ("#abc", BadHash),
        ("!abc", BadHash),
        ("#5E884898DA28047151D0E56F8DC6292773603D0D6AABBDD62A11EF721D1542D8", BadHash),
        ("<abc", NoSuchPassword),
        ("~* ~a", AfterAllKeys),
        ("~* %R~a", AfterAllKeys),
        ("&* &a", AfterAllChannels),
        ("(&* &fail)", AfterAllChannels),
    ] {
        assert_eq!(user(rule), Err(error), "{rule}");
    }
    let commands = commands();
    for rule in [&b"~a b"[..], b"&a\0", b"%R~a\x0b", b"+select|a b", b" () "] {
        assert_eq!(User::new(false).apply(rule, book(&commands)), Err(Syntax), "{rule:?}");
    }
}

#[test]
fn selectors_in_pieces() {
    let merged = |words: &[&str]| {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let text = |words: Vec<std::borrow::Cow<'_, [u8]>>| {
            words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>()
        };
        let opener = |word: Vec<u8>| String::from_utf8_lossy(&word).into_owned();
        merge_selectors(&words).map(text).map_err(opener)
    };
    assert_eq!(merged(&["on", "(~a", "+get", ")", "off"]).unwrap(), ["on", "(~a +get )", "off"]);
    assert_eq!(merged(&["(a)", "(", "b", ")"]).unwrap(), ["(a)", "( b )"]);
    assert_eq!(merged(&["on", "(a", "b"]), Err("(a".to_owned()));
    assert_eq!(merged(&["(a", "(b", "c)"]), Err("(a".to_owned()));
    assert_eq!(merged(&["("]), Err("(".to_owned()));
}

#[test]
fn the_nearest_denial_is_told() {
    const READ: u32 = access::RO | access::ACCESS;
    const BOTH: u32 = access::RW | access::ACCESS | access::UPDATE;
    let mget = [(1, READ), (2, READ)];
    let rules = "+mget ~key (+mget ~key ~other)";
    assert_eq!(asked(rules, "get key", &[(1, READ)]), Err(Denial::Command));
    assert_eq!(asked(rules, "mget other someother", &mget), Err(Denial::Key(2)));
    assert_eq!(asked(rules, "mget key other", &mget), Ok(()));
    // What one set allows of it does not help another.
    let rules = "(%R~read* +@all) (%W~write* +@all)";
    assert_eq!(asked(rules, "get read1", &[(1, READ)]), Ok(()));
    assert_eq!(asked(rules, "get write1", &[(1, READ)]), Err(Denial::Key(1)));
    let copy = [(1, READ), (2, access::OW | access::UPDATE)];
    assert_eq!(asked(rules, "copy read1 write1", &copy), Err(Denial::Key(2)));
    assert_eq!(asked("%R~a %W~b +@all", "copy a b", &copy), Ok(()));
    assert_eq!(asked("%R~a +@all", "incr a", &[(1, BOTH)]), Err(Denial::Key(1)));
    // Neither reads nor writes a value: either permission will do.
    for rule in ["%R~a", "%W~a"] {
        assert_eq!(asked(&format!("{rule} +@all"), "exists a", &[(1, access::RO)]), Ok(()));
    }
    assert_eq!(asked("+select|0", "select 0", &[]), Ok(()));
    assert_eq!(asked("+select|0", "select 1", &[]), Err(Denial::Command));
    assert_eq!(asked("+client|id", "client id", &[]), Ok(()));
    assert_eq!(asked("+client|id", "client info", &[]), Err(Denial::Command));
    assert_eq!(asked("-@all", "auth x", &[]), Ok(()), "needs no permission");
}

#[test]
fn channels_match_and_patterns_are_compared() {
    let user = user("+@all &foo:1 &bar:*").unwrap();
    for (channel, is_pattern, allowed) in [
        ("foo:1", false, true),
        ("bar:2", false, true),
        ("zap:3", false, false),
        ("bar:*", true, true),
        ("bar:2", true, false),
        ("foo:1", true, true),
    ] {
        assert_eq!(user.allows_channel(channel.as_bytes(), is_pattern), allowed, "{channel}");
    }
    let hasher = KeyHasher::new(1);
    let owned = OwnedArgs::from_parts(["subscribe", "foo:1", "bar:x", "zap"].map(str::as_bytes));
    let list = owned.lend(&hasher);
    let asked = |last| Asked {
        command: table().lookup(b"get").unwrap().index(),
        flags: 0,
        args: list.args(),
        keys: &[],
        channels: Some(Channels { last, are_patterns: false }),
    };
    assert_eq!(user.check(&asked(usize::MAX)), Err(Denial::Channel(3)));
    assert_eq!(user.check(&asked(2)), Ok(()));
}

#[test]
fn who_is_unrestricted() {
    let commands = commands();
    let is = |rules: &str| user(rules).unwrap().is_unrestricted(&commands);
    assert!(is("~* &* +@all") && is("(~* &* +@all)") && is("~* &* +@all -get +get"));
    for rules in ["~* &* +@all -get", "~* +@all", "&* +@all", "~* &*", "~* (&* +@all)"] {
        assert!(!is(rules), "{rules}");
    }
    assert!(User::default_user(&commands).is_unrestricted(&commands));
}

#[test]
fn passwords() {
    let user = user("on >a >b").unwrap();
    assert!(user.lets_in(b"a") && user.lets_in(b"b"));
    assert!(!user.lets_in(b"c") && !user.lets_in(b"") && !user.lets_in(b"ab"));
    assert!(!super::tests::user(">a").unwrap().lets_in(b"a"), "off");
    assert!(super::tests::user("on nopass").unwrap().lets_in(b"whatever"));
    assert!(!super::tests::user("on").unwrap().lets_in(b""), "no password is none of his");
    let hash = PasswordHash::of(b"a");
    assert_eq!(PasswordHash::parse(&hash.to_text()), Some(hash));
}

#[test]
fn who_is_who() {
    let mut acl = Acl::new(commands());
    let change = |acl: &mut Acl, name: &str, rules: &[&str]| {
        let rules: Vec<&[u8]> = rules.iter().map(|rule| rule.as_bytes()).collect();
        let user = acl.changed_user(name.as_bytes(), &rules, false).unwrap();
        acl.put(name.as_bytes(), user);
    };
    change(&mut acl, "alice", &["on", ">a"]);
    change(&mut acl, "default", &["resetpass", ">d"]);
    assert!(acl.authenticate(b"alice", b"d").is_err() && acl.authenticate(b"bob", b"a").is_err());
    assert!(acl.authenticate(b"default", b"d").unwrap().is_none());
    let alice = acl.authenticate(b"alice", b"a").unwrap();
    assert_eq!(alice.as_ref().unwrap().name(), b"alice");
    assert!(!acl.is_unrestricted(alice.as_ref()) && acl.is_unrestricted(None));
    change(&mut acl, "alice", &["allkeys", "allchannels", "allcommands"]);
    assert!(acl.is_unrestricted(alice.as_ref()), "from now on");
    assert!(acl.remove(b"alice") && !acl.remove(b"alice") && !acl.remove(b"default"));
    change(&mut acl, "bob", &["on", "nopass", "+@all", "~*", "&*"]);
    assert!(acl.user_of(alice.as_ref()).is_none(), "bob has taken his place, but is not him");
    let mut accounts = Accounts::new(acl.commands());
    accounts.put(b"zoe", User::new(false), acl.commands());
    acl.replace_all(accounts);
    let names: Vec<&[u8]> = acl.users().map(|(name, _)| name).collect();
    assert_eq!(names, [&b"default"[..], b"zoe"]);
    assert!(acl.default_user().needs_no_password);
}

#[test]
fn files() {
    let commands = commands();
    let parse = |text: &str| parse_file(text.as_bytes(), "u.acl", book(&commands));
    let users = parse("user alice on\t ~a  +get\r\n\n  user bob (+set %W~w*) (+get\n").unwrap_err();
    assert_eq!(
        users,
        "u.acl:3: Unmatched parenthesis in selector definition.WARNING: ACL errors detected, no \
         change to the previously active ACL rules was performed"
    );
    let users =
        parse("user alice on\t ~a  +get\r\n\n  user bob (+set %W~w*) (+get %R~r*)").unwrap();
    assert_eq!(users[0], (b"alice".to_vec(), user("on ~a +get").unwrap()));
    assert_eq!(users[1].1, user("(+set %W~w*) (+get %R~r*)").unwrap());
    for (text, error) in [
        ("# no comment", "u.acl:1 should start with user keyword followed by the username. "),
        ("user", "u.acl:1 should start with user keyword followed by the username. "),
        ("user a\tb on", "'u.acl:1: username 'a\tb' contains invalid characters. "),
        ("user a\nuser a", "WARNING: Duplicate user 'a' found on line 2. "),
        (
            "user a +nosuch\nuser a",
            "u.acl:1: Error in applying operation '+nosuch': Unknown command or category name in \
             ACL. WARNING: Duplicate user 'a' found on line 2. ",
        ),
        (
            "user a +foo #12 >pw %% -bar",
            "u.acl:1: Error in applying operation '+foo': Unknown command or category name in \
             ACL. u.acl:1: The password hash must be exactly 64 characters and contain only \
             lowercase hexadecimal characters. u.acl:1: Error in applying operation '-bar': \
             Unknown command or category name in ACL. ",
        ),
    ] {
        let told = parse(text).unwrap_err();
        assert!(told.starts_with(error) && told[error.len()..].starts_with("WARNING: "), "{told}");
    }
}

#[test]
fn lines_of_a_configuration() {
    let commands = commands();
    let line = |text: &str| -> Vec<Vec<u8>> {
        text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    };
    let mut lines = UserLines::new(&table());
    let mut check = |text: &str| lines.check(&line(text));
    assert_eq!(check("known on"), Ok(()));
    assert_eq!(
        check("a on +nosuch (+get"),
        Err("Error in user declaration '(+get': Syntax error".to_owned())
    );
    assert_eq!(check("a on +nosuch"), Ok(()));
    assert!(check("known on").unwrap_err().contains("Duplicate user found"));
    assert!(check("b ~* ~b").unwrap_err().starts_with("Error in user declaration '~b': Adding"));
    let load = |text: &str| configured_users(&[line(text)], book(&commands));
    assert_eq!(
        load("a +nosuch").unwrap_err(),
        "Error loading ACL rule '+nosuch' for the user named 'a': Unknown command or category \
         name in ACL"
    );
    assert_eq!(load("default on").unwrap()[0].1, user("reset on").unwrap());
    assert_eq!(load("a on").unwrap()[0].1, user("on").unwrap());
}

#[test]
fn what_happens_again_is_counted() {
    let entry = |object: &str, last_ms| Entry {
        count: 1,
        reason: Reason::Key,
        context: Context::Toplevel,
        object: object.into(),
        username: b"u".to_vec(),
        last_ms,
        client: format!("at {last_ms}"),
    };
    let mut log = AclLog::default();
    log.add(entry("a", 0), 5);
    log.add(entry("b", 10), 5);
    log.add(entry("a", 60_000), 5);
    let told: Vec<_> = log.entries().map(|e| (&*e.object, e.count, &*e.client)).collect();
    assert_eq!(told, [(&b"a"[..], 2, "at 60000"), (b"b", 1, "at 10")]);
    log.add(entry("a", 120_001), 5);
    assert_eq!(log.entries().len(), 3, "more than a minute later");
    for object in ["c", "d", "e", "f"] {
        log.add(entry(object, 120_001), 5);
    }
    assert_eq!(log.entries().len(), 5);
    log.add(entry("g", 0), 0);
    assert_eq!(log.entries().len(), 0);
}

/// A rule of any kind, wrong ones among them.
fn any_rule() -> impl Strategy<Value = Vec<u8>> {
    let names: Vec<&'static str> = table().declared().iter().map(|entry| entry.full_name).collect();
    let categories: Vec<&'static str> = category::NAMES.iter().map(|(_, name)| *name).collect();
    let pattern =
        prop::collection::vec(prop::sample::select(&b"abc*?[]()\"'\\~%&+-|\x01\xff"[..]), 0..6);
    let fixed = prop::sample::select(vec![
        "on",
        "off",
        "nopass",
        "resetpass",
        "reset",
        "clearselectors",
        "allkeys",
        "resetkeys",
        "allchannels",
        "resetchannels",
        "allcommands",
        "nocommands",
        "sanitize-payload",
        "skip-sanitize-payload",
        "+@all",
        "-@all",
        ">pw",
        "<pw",
        "%R~*",
        "%W~*",
        "%RW~*",
    ]);
    let joined = |sign: &'static str| move |rest: Vec<u8>| [sign.as_bytes(), &rest].concat();
    prop_oneof![
        fixed.prop_map(|text| text.as_bytes().to_vec()),
        pattern.clone().prop_map(joined("~")),
        pattern.clone().prop_map(joined("%R~")),
        pattern.clone().prop_map(joined("%W~")),
        pattern.clone().prop_map(joined("&")),
        pattern.clone().prop_map(joined("+select|")),
        pattern.prop_map(joined("+debug|")),
        (any::<bool>(), prop::sample::select(names)).prop_map(|(is_allowed, name)| {
            format!("{}{name}", if is_allowed { '+' } else { '-' }).into_bytes()
        }),
        (any::<bool>(), prop::sample::select(categories)).prop_map(|(is_allowed, name)| {
            format!("{}@{name}", if is_allowed { '+' } else { '-' }).into_bytes()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_description_makes_the_same_user(
        rules in prop::collection::vec(any_rule(), 0..20),
        selectors in prop::collection::vec(prop::collection::vec(any_rule(), 0..8), 0..3),
    ) {
        let commands = commands();
        let mut user = User::new(false);
        for rule in &rules {
            let _ = user.apply(rule, book(&commands));
        }
        for rules in selectors {
            let mut text = Vec::new();
            for rule in rules {
                text.push(b' ');
                crate::base::quote::quote_into(&mut text, &rule);
            }
            let _ = user.apply(&[b"(", &*text, b")"].concat(), book(&commands));
        }
        let described = user.describe(&commands);
        let line = [b"user u ", &*described].concat();
        let read = parse_file(&line, "f", book(&commands));
        prop_assert_eq!(read, Ok(vec![(b"u".to_vec(), user)]), "{}", line.escape_ascii());
    }
}

#[test]
fn very_many_keys_are_asked_about_in_slices() {
    let mut engine = Engine::new(Config::new("/".into()), Clock::real(), Some(1));
    let shared = &mut engine.shared;
    let mut session = Session::new(Address::Unix("test".into()), 0);
    let rules: [&[u8]; 5] = [b"on", b"nopass", b"~a*", b"+@all", b"(~k* +mget)"];
    shared.change_user(&mut session, b"eve", &rules).unwrap();
    shared.authenticate(&mut session, b"auth", b"eve", b"any").unwrap();
    let hasher = KeyHasher::new(1);
    let found = shared.table.find(b"mget").unwrap();
    let slices_of = |shared: &mut Shared, session: &mut Session, words: &str, stop: usize| {
        let owned = OwnedArgs::from_parts(words.split(' ').map(str::as_bytes));
        let list = owned.lend(&hasher);
        let mut slices = 0;
        loop {
            let mut budget = Budget::units(1);
            slices += 1;
            match check_slice(shared, session, found, list.args(), &mut budget) {
                Ok(false) if slices < stop => {}
                Ok(is_done) => return (slices, Ok(is_done)),
                Err(error) => {
                    let whole = check(shared, session, found, list.args()).unwrap_err();
                    assert_eq!(error.message(), whole.message());
                    return (slices, Err(()));
                }
            }
        }
    };
    // One for the first set of permissions, which does not allow the first key; one for each key; one for the end.
    assert_eq!(slices_of(shared, &mut session, "mget k1 k2 k3", 99), (5, Ok(true)));
    session.checking = None;
    assert_eq!(slices_of(shared, &mut session, "mget k1 k2 x", 99).1, Err(()));
    assert_eq!(slices_of(shared, &mut session, "mget a1 k2", 99).1, Err(()));
    // What was found out is worth nothing once the rules are others.
    assert_eq!(slices_of(shared, &mut session, "mget k1 k2 k3", 3), (3, Ok(false)));
    shared.change_user(&mut session, b"eve", &[b"clearselectors"]).unwrap();
    assert_eq!(slices_of(shared, &mut session, "mget k1 k2 k3", 99).1, Err(()));
}
