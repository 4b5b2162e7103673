//! Tests of the options: the table itself, answers compared with Redis 7.0.15, and rewriting.

use super::config::{Config, Origin, SetError, Values};
use super::config_docs;
use super::config_notify as notify;
use super::config_rewrite::Lines;
use super::config_spec::{Effect, Kind, MULTI, Special};
use super::config_table::{ALL, Opt, TABLE};
use super::config_value::{Source, assign, same, show};
use crate::base::quote::split_args;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const REDIS_DEFAULTS: &str = include_str!("../../tests/data/config-get-redis-7.0.15.txt");
const REDIS_REPLIES: &str = include_str!("../../tests/data/config-set-redis-7.0.15.txt");

fn config() -> Config {
    Config::new("/".into())
}

fn message(error: &SetError) -> String {
    String::from_utf8_lossy(&error.message()).into_owned()
}

fn set(config: &mut Config, pairs: &[(&str, &str)]) -> Result<Vec<Opt>, String> {
    let pairs: Vec<(&[u8], &[u8])> =
        pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    config.set(&pairs, Origin::default()).map_err(|error| message(&error))
}

fn get(config: &Config, patterns: &[&str]) -> Vec<(String, String)> {
    let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    config.get(&patterns).into_iter().map(|(name, value)| (text(name), text(value))).collect()
}

#[test]
fn names_are_unique_and_documented() {
    let mut names = BTreeSet::new();
    for (index, spec) in TABLE.iter().enumerate() {
        assert_eq!(ALL[index] as usize, index);
        for name in [Some(spec.name), spec.alias].into_iter().flatten() {
            assert!(names.insert(name), "{name} is declared twice");
            assert_eq!(name, name.to_ascii_lowercase());
        }
        assert!(spec.doc.ends_with('.') && spec.doc.len() > 10, "{}", spec.name);
        if let Effect::Stored(why) | Effect::Moot(why) = spec.effect {
            assert!(!why.is_empty());
        }
    }
}

/// Each default is a value which the option itself accepts, and prints as it was read.
#[test]
fn defaults_are_valid() {
    for opt in ALL {
        let mut values = Values::defaults("/".into());
        let text = show(&values, opt);
        if opt == Opt::Replicaof {
            continue;
        }
        let words: Vec<&[u8]> = if opt.spec().has(MULTI) {
            text.split(|&byte| byte == b' ').collect()
        } else {
            vec![&text]
        };
        let result = assign(&mut values, opt, &words, Source::Runtime);
        assert!(result.is_ok(), "{}: {result:?}", opt.name());
        assert!(same(&values, &Values::defaults("/".into()), opt), "{}", opt.name());
    }
}

/// CONFIG GET * of a fresh Redis, run in `/`, and of us, differ only in what we added.
#[test]
fn defaults_are_those_of_redis() {
    let added =
        ["busy-poll-us", "listen", "max-stall-us", "seed", "stall-log-slower-than-us", "test-mode"];
    let redis: BTreeMap<String, String> = REDIS_DEFAULTS
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    let mut ours: BTreeMap<String, String> = get(&config(), &["*"]).into_iter().collect();
    for name in added {
        assert!(ours.remove(name).is_some());
    }
    assert_eq!(ours, redis);
}

/// A session of CONFIG SET and CONFIG GET, reply by reply.
#[test]
fn answers_are_those_of_redis() {
    let mut config = config();
    let mut transcript = String::new();
    for line in REDIS_REPLIES.lines() {
        let Some(command) = line.strip_prefix("> ") else {
            if line.starts_with('#') {
                transcript.push_str(&format!("{line}\n"));
            }
            continue;
        };
        transcript.push_str(&format!("> {command}\n"));
        let words = split_args(command.as_bytes()).unwrap();
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        if words[0] == b"get" {
            let mut found = config.get(&words[1..]);
            found.sort();
            for (name, value) in found {
                let text = [&name[..], b" = ", &value].concat();
                transcript.push_str(String::from_utf8_lossy(&text).trim_end());
                transcript.push('\n');
            }
        } else {
            let pairs: Vec<(&[u8], &[u8])> =
                words[1..].chunks(2).map(|pair| (pair[0], pair[1])).collect();
            match config.set(&pairs, Origin::default()) {
                Ok(_) => transcript.push_str("OK\n"),
                Err(error) => transcript.push_str(&format!("{}\n", message(&error))),
            }
        }
    }
    for (ours, redis) in transcript.lines().zip(REDIS_REPLIES.lines()) {
        assert_eq!(ours, redis);
    }
    assert_eq!(transcript.lines().count(), REDIS_REPLIES.lines().count());
}

#[test]
fn set_tells_what_changed_and_takes_all_back() {
    let mut config = config();
    let changed = set(&mut config, &[("timeout", "1"), ("hz", "10"), ("slave-priority", "5")]);
    assert_eq!(changed, Ok(vec![Opt::Timeout, Opt::ReplicaPriority]));
    assert_eq!(set(&mut config, &[("timeout", "1")]), Ok(vec![]));
    assert_eq!(set(&mut config, &[("tls-cert-file", "")]), Ok(vec![Opt::TlsCertFile]));
    let before = config.snapshot();
    let pairs = [("timeout", "2"), ("save", "1 1"), ("bind", "::1"), ("maxmemory", "x")];
    assert!(set(&mut config, &pairs).is_err());
    assert_eq!(config.snapshot(), before);
    assert!(set(&mut config, &[("bind", "127.0.0.1 -::1")]).is_ok());
    let bind: Vec<_> = config.bind().map(|bind| (bind.address, bind.optional)).collect();
    assert_eq!(bind, [(&b"127.0.0.1"[..], false), (&b"::1"[..], true)]);
    config.restore(before.clone());
    assert_eq!(config.snapshot(), before);
}

#[test]
fn options_of_ours_may_be_set_to_what_they_are() {
    let mut config = config();
    config.load(Opt::Listen, &[b"resp://127.0.0.1:7000".to_vec()]).unwrap();
    config.load(Opt::Seed, &[b"7".to_vec()]).unwrap();
    let before = config.snapshot();
    let same = [("listen", "resp://127.0.0.1:7000"), ("seed", "7"), ("test-mode", "no")];
    assert_eq!(set(&mut config, &same), Ok(vec![]));
    assert_eq!(config.snapshot(), before);
    for (name, value) in [("listen", ""), ("seed", "8"), ("test-mode", "yes"), ("databases", "16")]
    {
        let error = set(&mut config, &[(name, value)]).unwrap_err();
        assert!(error.ends_with("can't set immutable config"), "{name}: {error}");
    }
}

#[test]
fn protection_and_loading() {
    let mut config = config();
    let refused = "ERR CONFIG SET failed (possibly related to argument 'dir') - \
                   can't set protected config";
    assert_eq!(set(&mut config, &[("dir", "/tmp")]), Err(refused.into()));
    config.load(Opt::EnableProtectedConfigs, &[b"local".to_vec()]).unwrap();
    assert_eq!(set(&mut config, &[("dir", "/tmp")]), Err(refused.into()));
    let local = Origin { local: true, loading: false };
    assert_eq!(config.set(&[(b"dir", b"usr/../tmp")], local), Ok(vec![Opt::Dir]));
    assert_eq!(config.dir(), std::path::Path::new("/tmp"));
    let missing = config.set(&[(b"dir", b"/no/such")], local).unwrap_err();
    let missing = message(&missing);
    assert!(missing.ends_with(" - No such file or directory"), "{missing}");
    let loading = Origin { local: true, loading: true };
    let error = config.set(&[(b"appendonly", b"yes")], loading).unwrap_err();
    assert_eq!(message(&error), "LOADING Redis is loading the dataset in memory");
    assert!(config.set(&[(b"hz", b"20")], loading).is_ok());
}

#[test]
fn typed_values() {
    let mut config = config();
    assert_eq!(config.size(Opt::Maxmemory), 0);
    set(&mut config, &[("maxmemory", "18446744073709551615")]).unwrap();
    assert_eq!(config.size(Opt::Maxmemory), u64::MAX);
    assert_eq!(config.output_limits().replica.soft_bytes, 64 << 20);
    assert_eq!(config.save_points().len(), 3);
    assert!(config.primary().is_none());
    config.load(Opt::Replicaof, &[b"host 7".to_vec()]).unwrap();
    assert_eq!(config.primary().map(|primary| primary.port), Some(7));
    assert_eq!(config.path(Opt::DbFilename), Some("/dump.rdb".into()));
    assert_eq!(config.path(Opt::UnixSocket), None);
    assert!(Config::is_sensitive(b"RequirePass") && !Config::is_sensitive(b"port"));
}

#[test]
fn what_has_no_effect_is_told() {
    let mut config = config();
    assert_eq!(config.inert_set(), Vec::<&str>::new());
    set(&mut config, &[("timeout", "5"), ("appendonly", "yes"), ("save", "1 1")]).unwrap();
    config.load(Opt::IoThreads, &[b"4".to_vec()]).unwrap();
    assert_eq!(config.inert_set(), ["save", "appendonly", "io-threads"]);
    set(&mut config, &[("appendonly", "no")]).unwrap();
    assert_eq!(config.inert_set(), ["save", "io-threads"]);
}

#[test]
fn notification_letters() {
    assert_eq!(notify::parse(b"Kx"), Some(notify::KEYSPACE | notify::EXPIRED));
    assert_eq!(notify::parse(b"KEA?"), None);
    for letter in b"g$lshzxetdKEmn" {
        assert_eq!(notify::print(notify::parse(&[*letter]).unwrap()), [*letter]);
    }
    assert_eq!(notify::print(notify::parse(b"g$lshzxetdE").unwrap()), b"AE");
}

/// Run with UPDATE_DOCS=1 to write the file again.
#[test]
fn documentation_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/config.md");
    let text = config_docs::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap() == text, "run UPDATE_DOCS=1 cargo test");
    let help = config_docs::help();
    assert!(ALL.iter().all(|opt| help.contains(&format!("  --{} ", opt.name()))));
}

/// Loads a text of directives as a file would be, without its other checks.
fn load(text: &[u8]) -> Config {
    let mut config = config();
    for line in text.split(|&byte| byte == b'\n') {
        let words = split_args(line).unwrap();
        if !words.is_empty() && !words[0].starts_with(b"#") {
            let (opt, _) = Opt::find(&words[0]).unwrap();
            config.load(opt, &words[1..]).unwrap();
        }
    }
    config
}

#[test]
fn rewriting_keeps_what_is_not_ours() {
    let old = b"# mine\n\n\n\nslave-read-only no\ninclude x\nsave 1 2\nsave 3 4\nwhat is this\n\
        timeout 5\ntimeout 6\nuser bob on\n";
    let mut config = config();
    set(&mut config, &[("save", ""), ("hz", "20"), ("timeout", "7")]).unwrap();
    let new = config.rewritten(old, None, Lines::Changed);
    let want = "# mine\n\nreplica-read-only yes\ninclude x\nsave \"\"\n\n# ??? what is this\n\
        timeout 7\n\nuser bob on\n\n# Generated by CONFIG REWRITE\ndir \"/\"\nhz 20\n\
        latency-tracking-info-percentiles 50 99 99.9\n";
    assert_eq!(String::from_utf8(new.clone()).unwrap(), want);
    assert_eq!(config.rewritten(&new, None, Lines::Changed), {
        let mut again = new.clone();
        // A line which was commented out stays as it is; the end does not grow.
        again.push(b'\n');
        again
    });
    let users = [b"default on nopass".to_vec()];
    let new = String::from_utf8(config.rewritten(old, Some(&users), Lines::Changed)).unwrap();
    assert!(new.contains("\nuser default on nopass\n") && !new.contains("bob"), "{new}");
    config.load(Opt::AclFile, &[b"users.acl".to_vec()]).unwrap();
    let new = String::from_utf8(config.rewritten(old, Some(&users), Lines::Changed)).unwrap();
    assert!(!new.contains("user default") && !new.contains("bob"), "{new}");
}

#[test]
fn rewriting_a_file() {
    let directory = std::env::temp_dir().join(format!("rufous-rewrite-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut config = config();
    assert_eq!(
        config.rewrite(None, Lines::Changed).unwrap_err().to_string(),
        "ERR The server is running without a config file"
    );
    let path = directory.join("a.conf");
    config.file = Some(path.clone());
    config.rewrite(None, Lines::Changed).unwrap();
    std::fs::write(&path, "port 7\n").unwrap();
    config.rewrite(None, Lines::Changed).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("port 6379\n"));
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
    config.file = Some(directory.join("none/a.conf"));
    assert_eq!(
        config.rewrite(None, Lines::Changed).unwrap_err().to_string(),
        "ERR Rewriting config file: No such file or directory"
    );
    std::fs::remove_dir_all(&directory).unwrap();
}

/// Some value for an option, usually a valid one.
fn value_of(opt: Opt) -> BoxedStrategy<String> {
    match opt.spec().kind {
        Kind::Flag(_) => "yes|no".boxed(),
        Kind::Number { high, .. } => {
            prop_oneof![(0..high).prop_map(|value| value.to_string()), "[0-9]{1,4}(kb|mb|gb|%)?"]
                .boxed()
        }
        Kind::Choice { words, .. } => {
            (0..words.len()).prop_map(move |index| words[index].0.to_string()).boxed()
        }
        Kind::Text { .. } => "[ -~\\t\\n]{0,12}".boxed(),
        Kind::Special(special) => match special {
            Special::Dir => "/(usr|tmp)?".boxed(),
            Special::Save => "([1-9][0-9]{0,5} [0-9]{1,6}( [1-9] [0-9])?)?".boxed(),
            Special::OutputLimits => "(normal|replica|pubsub) [0-9]{1,5}(kb)? [0-9] [0-9]".boxed(),
            Special::OomScores => "-?[0-9]{1,3} [0-9]{1,3} [0-9]{1,3}".boxed(),
            Special::Notify => "[KEg$lshzxetdmnA]{0,9}".boxed(),
            Special::Bind => "((-?::1)|(\\*)|(127\\.0\\.0\\.1 -::1))?".boxed(),
            Special::Listen => "(kvstore://\\*:[1-9])?".boxed(),
            Special::ReplicaOf => "[a-z]{3,5} [0-9]{1,4}".boxed(),
            Special::Percentiles => "([0-9]{1,2}\\.[0-9]{1,4}( 100)?)?".boxed(),
        },
    }
}

fn settings() -> impl Strategy<Value = Vec<(Opt, String)>> {
    let one = (0..ALL.len())
        .prop_flat_map(|index| value_of(ALL[index]).prop_map(move |value| (ALL[index], value)));
    proptest::collection::vec(one, 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is set, the rewritten file gives it back, on top of any older file.
    #[test]
    fn rewriting_round_trip(old in settings(), new in settings()) {
        let apply = |config: &mut Config, settings: &[(Opt, String)]| {
            for (opt, value) in settings {
                let words: Vec<&[u8]> = match opt.spec().has(MULTI) {
                    true => value.split(' ').map(str::as_bytes).collect(),
                    false => vec![value.as_bytes()],
                };
                // A refused value changes nothing.
                let before = config.snapshot();
                if assign(&mut config.values, *opt, &words, Source::Runtime).is_err() {
                    prop_assert_eq!(config.snapshot(), before);
                }
            }
            Ok(())
        };
        let mut config = config();
        apply(&mut config, &old)?;
        let text = config.rewritten(b"", None, Lines::Changed);
        prop_assert_eq!(load(&text).snapshot(), without_hidden_primary(&config));
        apply(&mut config, &new)?;
        let text = config.rewritten(&text, None, Lines::Changed);
        prop_assert_eq!(load(&text).snapshot(), without_hidden_primary(&config));
    }
}

/// A cluster node has no `replicaof` line.
fn without_hidden_primary(config: &Config) -> Values {
    let mut values = config.snapshot();
    if config.flag(Opt::ClusterEnabled) {
        values.primary = None;
    }
    values
}
