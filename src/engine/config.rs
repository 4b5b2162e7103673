//! The configuration of one server: the values, and how the rest of the server reads them.
//!
//! Values lie in arrays indexed by `Opt`, so that reading one is an array access. They change in
//! two ways: while the configuration is loaded (`load`, one directive of a file or of the
//! arguments after the other) and at run time (`set`, the CONFIG SET command: all of its pairs
//! or none). What follows from a change (a new port, a new limit) is not done here: `set` tells
//! which options changed, the caller applies them and goes back with `restore` if that fails.
//! There is no global state, and the process's working directory is never changed.

use std::path::{Path, PathBuf};

use super::config_choice::{
    AclPubsubDefault, AppendFsync, LogLevel, MaxmemoryPolicy, OomScoreAdj, ProtectedAction,
};
use super::config_spec::{
    DENY_LOADING, Effect, HIDDEN, IMMUTABLE, Kind, MULTI, PROTECTED, SENSITIVE,
};
use super::config_table::ALL;
pub use super::config_table::{COUNT, Opt};
use super::config_value::{self, Source, c_string};
use crate::base::glob::{Case, glob_match};
use crate::base::quote::split_args;
use crate::engine::listen::{ListenAddress, ListenPlace};

/// Output buffer limits of one class of clients; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes beyond which a client is closed at once.
    pub hard_bytes: u64,
    /// Bytes beyond which a client is closed after `soft_seconds`.
    pub soft_bytes: u64,
    /// How many seconds a client may be beyond `soft_bytes`.
    pub soft_seconds: i32,
}

/// Output buffer limits of all classes (`client-output-buffer-limit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputLimits {
    /// Ordinary clients.
    pub normal: OutputLimit,
    /// Replicas.
    pub replica: OutputLimit,
    /// Subscribers.
    pub pubsub: OutputLimit,
}

/// Save a snapshot after this time if there were this many changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavePoint {
    /// Seconds since the last snapshot.
    pub seconds: i64,
    /// Changes since the last snapshot.
    pub changes: i32,
}

/// One address of `bind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindAddress<'a> {
    /// The address; `*` is any IPv4, `::*` any IPv6 address.
    pub address: &'a [u8],
    /// Whether the start-up may go on if the address does not exist here.
    pub optional: bool,
}

/// The server to follow (`replicaof`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Primary {
    /// Its address or host name.
    pub host: Box<[u8]>,
    /// Its port.
    pub port: u16,
}

/// All values; what `snapshot` copies.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    pub(super) ints: [i64; COUNT],
    pub(super) texts: [Option<Box<[u8]>>; COUNT],
    pub(super) save: Vec<SavePoint>,
    pub(super) limits: OutputLimits,
    pub(super) oom_scores: [i32; 3],
    pub(super) bind: Vec<Box<[u8]>>,
    pub(super) listen: Vec<Box<[u8]>>,
    pub(super) primary: Option<Primary>,
    pub(super) percentiles: Vec<f64>,
    pub(super) dir: PathBuf,
}

/// A command renamed by `rename-command`; an empty new name removes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// The command's own name.
    pub from: Vec<u8>,
    /// What it is called instead.
    pub to: Vec<u8>,
}

/// Who asks for a change at run time, and when.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin {
    /// Whether the client runs on this machine.
    pub local: bool,
    /// Whether a data set is being loaded.
    pub loading: bool,
}

/// Why CONFIG SET was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetError {
    /// The option does not exist.
    Unknown(Vec<u8>),
    /// The value, or setting the option at all, was refused.
    Failed {
        /// The name to blame.
        name: Vec<u8>,
        /// Why, in Redis's words.
        reason: String,
    },
    /// Not while a data set is being loaded.
    Loading,
}

impl SetError {
    /// For the caller of `set` whose attempt to apply a changed option failed.
    pub fn applying(opt: Opt, reason: impl Into<String>) -> SetError {
        SetError::Failed { name: opt.name().into(), reason: reason.into() }
    }
}

impl SetError {
    /// The error as sent to the client, code included, with names as the client sent them.
    pub fn message(&self) -> Vec<u8> {
        match self {
            SetError::Unknown(name) => {
                let text = b"ERR Unknown option or number of arguments for CONFIG SET - '";
                [&text[..], c_string(name), b"'"].concat()
            }
            SetError::Failed { name, reason } => {
                let text = b"ERR CONFIG SET failed (possibly related to argument '";
                [&text[..], c_string(name), b"') - ", reason.as_bytes()].concat()
            }
            SetError::Loading => b"LOADING Redis is loading the dataset in memory".to_vec(),
        }
    }
}

/// The configuration of one server.
#[derive(Debug, Clone)]
pub struct Config {
    pub(super) values: Values,
    /// The file it was loaded from, absolute; `None` if it came from elsewhere.
    pub file: Option<PathBuf>,
    /// `rename-command` directives, in order.
    pub renames: Vec<Rename>,
    /// `user` directives, each with the user's name first, then the rules.
    pub users: Vec<Vec<Vec<u8>>>,
    /// `loadmodule` directives: path and arguments.
    pub modules: Vec<Vec<Vec<u8>>>,
    /// Whether loading has already replaced the default snapshot points.
    save_loaded: bool,
}

impl Config {
    /// The defaults. `dir` is the absolute directory which relative paths start from.
    pub fn new(dir: PathBuf) -> Config {
        Config {
            values: Values::defaults(dir),
            file: None,
            renames: Vec::new(),
            users: Vec::new(),
            modules: Vec::new(),
            save_loaded: false,
        }
    }

    /// The value of a number: a count, bytes, seconds … as declared. Of an unsigned option the
    /// same bits; see `size`.
    #[inline]
    pub fn int(&self, opt: Opt) -> i64 {
        self.values.ints[opt as usize]
    }

    /// The value of a number which cannot be negative (`maxmemory` reaches `u64::MAX`).
    #[inline]
    pub fn size(&self, opt: Opt) -> u64 {
        self.values.ints[opt as usize] as u64
    }

    /// The value of a yes/no option.
    #[inline]
    pub fn flag(&self, opt: Opt) -> bool {
        self.values.ints[opt as usize] != 0
    }

    /// The value of a text option; empty when it is not set.
    #[inline]
    pub fn text(&self, opt: Opt) -> &[u8] {
        self.values.texts[opt as usize].as_deref().unwrap_or_default()
    }

    /// The value of a choice: what its word stands for, to be turned into its enum, or bits.
    #[inline]
    pub fn choice(&self, opt: Opt) -> usize {
        self.values.ints[opt as usize] as usize
    }

    /// `maxmemory-policy`.
    #[inline]
    pub fn maxmemory_policy(&self) -> MaxmemoryPolicy {
        self.choice(Opt::MaxmemoryPolicy).into()
    }

    /// `appendfsync`.
    pub fn appendfsync(&self) -> AppendFsync {
        self.choice(Opt::Appendfsync).into()
    }

    /// `loglevel`.
    pub fn log_level(&self) -> LogLevel {
        self.choice(Opt::LogLevel).into()
    }

    /// `acl-pubsub-default`.
    pub fn acl_pubsub_default(&self) -> AclPubsubDefault {
        self.choice(Opt::AclPubsubDefault).into()
    }

    /// Whether `opt`, one of the `enable-…` options, allows a client to do what it guards.
    pub fn allows_protected(&self, opt: Opt, local: bool) -> bool {
        match ProtectedAction::from(self.choice(opt)) {
            ProtectedAction::No => false,
            ProtectedAction::Yes => true,
            ProtectedAction::Local => local,
        }
    }

    /// Lowers `maxclients` to what the system allows, at start-up.
    pub fn lower_maxclients(&mut self, possible: i64) {
        self.values.ints[Opt::MaxClients as usize] = possible;
    }

    /// `client-output-buffer-limit`.
    pub fn output_limits(&self) -> OutputLimits {
        self.values.limits
    }

    /// `save`.
    pub fn save_points(&self) -> &[SavePoint] {
        &self.values.save
    }

    /// `notify-keyspace-events` as bits of `config_notify`.
    #[inline]
    pub fn notify_flags(&self) -> u32 {
        self.values.ints[Opt::NotifyKeyspaceEvents as usize] as u32
    }

    /// `oom-score-adj`.
    pub fn oom_score_adj(&self) -> OomScoreAdj {
        self.choice(Opt::OomScoreAdj).into()
    }

    /// `oom-score-adj-values`: of a primary, a replica, a background process.
    pub fn oom_scores(&self) -> [i32; 3] {
        self.values.oom_scores
    }

    /// `latency-tracking-info-percentiles`, each 0 to 100.
    pub fn percentiles(&self) -> &[f64] {
        &self.values.percentiles
    }

    /// `replicaof`: host and port of the primary.
    pub fn primary(&self) -> Option<&Primary> {
        self.values.primary.as_ref()
    }

    /// `bind`, in order; empty means that no TCP address was asked for.
    pub fn bind(&self) -> impl Iterator<Item = BindAddress<'_>> {
        self.values.bind.iter().map(|text| match text.strip_prefix(b"-") {
            Some(address) => BindAddress { address, optional: true },
            None => BindAddress { address: text, optional: false },
        })
    }

    /// `listen`, in order; paths are absolute.
    pub fn listen(&self) -> impl Iterator<Item = ListenAddress> {
        // Each was read once before it was taken in.
        let read = |text: &[u8]| ListenAddress::parse(&String::from_utf8_lossy(text)).ok();
        self.values.listen.iter().filter_map(move |text| read(text)).map(|mut address| {
            if let ListenPlace::Unix(path) = &mut address.place {
                *path = self.values.dir.join(&*path);
            }
            address
        })
    }

    /// `dir`, absolute.
    pub fn dir(&self) -> &Path {
        &self.values.dir
    }

    /// `seed`, where it is set.
    pub fn seed(&self) -> Option<u64> {
        std::str::from_utf8(self.text(Opt::Seed)).ok()?.parse().ok()
    }

    /// A path option, made absolute by `dir`; `None` when it is empty.
    pub fn path(&self, opt: Opt) -> Option<PathBuf> {
        let text = self.text(opt);
        (!text.is_empty()).then(|| self.values.dir.join(config_value::path_of(text)))
    }

    /// Names of the options which were set to something else than the default but have no
    /// effect, in the order of the table; `user` lists are not options and never in it.
    pub fn inert_set(&self) -> Vec<&'static str> {
        let defaults = Values::defaults(self.values.dir.clone());
        let mut names: Vec<&'static str> = ALL
            .iter()
            .filter(|opt| opt.spec().effect != Effect::Now)
            .filter(|&&opt| !config_value::same(&self.values, &defaults, opt))
            // No snapshots are asked for, and none are taken.
            .filter(|&&opt| opt != Opt::Save || !self.values.save.is_empty())
            .map(|opt| opt.name())
            .collect();
        if !self.modules.is_empty() {
            names.push("loadmodule");
        }
        names
    }

    /// All values, to go back to with `restore`.
    pub fn snapshot(&self) -> Values {
        self.values.clone()
    }

    /// Takes back what happened since `snapshot`.
    pub fn restore(&mut self, values: Values) {
        self.values = values;
    }

    /// Sets one option from a configuration file or the arguments of the program; `args` are the
    /// words after the name. The error is the reason as Redis prints it.
    pub fn load(&mut self, opt: Opt, args: &[Vec<u8>]) -> Result<(), String> {
        let split;
        let mut words: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        if !opt.spec().has(MULTI) {
            if words.len() != 1 {
                return Err("wrong number of arguments".into());
            }
        } else if let [only] = words[..]
            && !only.is_empty()
        {
            split = split_args(only).unwrap_or_default();
            words = split.iter().map(Vec::as_slice).collect();
        }
        // The first `save` replaces the defaults, the following ones add to it.
        let source = if self.save_loaded { Source::NextLine } else { Source::FirstLine };
        config_value::assign(&mut self.values, opt, &words, source)?;
        self.save_loaded |= opt == Opt::Save;
        Ok(())
    }

    /// CONFIG SET: sets all pairs or, with an error, none. Returns the options which changed,
    /// each once, in order; they are for the caller to apply.
    pub fn set(&mut self, pairs: &[(&[u8], &[u8])], origin: Origin) -> Result<Vec<Opt>, SetError> {
        let found = self.check_names(pairs, origin)?;
        let before = self.snapshot();
        let mut changed = Vec::new();
        for (&(opt, alias), (_, value)) in found.iter().zip(pairs) {
            if opt.spec().has(IMMUTABLE) {
                continue;
            }
            let words: Vec<&[u8]> = match opt.spec().has(MULTI) {
                true if value.is_empty() => Vec::new(),
                true => value.split(|&byte| byte == b' ').collect(),
                false => vec![value],
            };
            match config_value::assign(&mut self.values, opt, &words, Source::Runtime) {
                Ok(true) if !changed.contains(&opt) => changed.push(opt),
                Ok(_) => {}
                Err(reason) => {
                    self.restore(before);
                    let name = if alias { opt.spec().alias } else { None };
                    let name = name.unwrap_or(opt.name()).into();
                    return Err(SetError::Failed { name, reason });
                }
            }
        }
        Ok(changed)
    }

    /// Finds the options of CONFIG SET and refuses those which may not be set; the first one
    /// refused decides the error.
    fn check_names(
        &self,
        pairs: &[(&[u8], &[u8])],
        origin: Origin,
    ) -> Result<Vec<(Opt, bool)>, SetError> {
        let mut found = Vec::with_capacity(pairs.len());
        for &(name, value) in pairs {
            let Some((opt, alias)) = Opt::find(name) else {
                return Err(SetError::Unknown(name.to_vec()));
            };
            let spec = opt.spec();
            // Tools set all that they were told; of Redis's options they know which cannot be set.
            let stays = spec.section == "Rufous" && self.show(opt) == value;
            let reason = if spec.has(IMMUTABLE) && !stays {
                "can't set immutable config"
            } else if spec.has(PROTECTED)
                && !self.allows_protected(Opt::EnableProtectedConfigs, origin.local)
            {
                "can't set protected config"
            } else if origin.loading && spec.has(DENY_LOADING) {
                return Err(SetError::Loading);
            } else if found.contains(&(opt, alias)) {
                "duplicate parameter"
            } else {
                found.push((opt, alias));
                continue;
            };
            return Err(SetError::Failed { name: name.to_vec(), reason: reason.into() });
        }
        Ok(found)
    }

    /// CONFIG GET: names and values of what the patterns match, each name once. An exact name is
    /// given back as it was asked; a pattern finds names and aliases, but nothing hidden.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        patterns.iter().for_each(|pattern| self.find(pattern, &mut found));
        found
    }

    /// As [`Config::get`], for one pattern more. O(options).
    pub fn find(&self, pattern: &[u8], found: &mut Vec<(Vec<u8>, Vec<u8>)>) {
        let listed = |found: &[(Vec<u8>, Vec<u8>)], name: &[u8]| {
            found.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
        };
        if !pattern.iter().any(|byte| matches!(byte, b'[' | b'*' | b'?')) {
            if let Some((opt, _)) = Opt::find(pattern)
                && !listed(found, pattern)
            {
                found.push((pattern.to_vec(), self.show(opt)));
            }
            return;
        }
        for opt in ALL {
            let spec = opt.spec();
            if spec.has(HIDDEN) {
                continue;
            }
            for name in [Some(spec.name), spec.alias].into_iter().flatten() {
                let name = name.as_bytes();
                if glob_match(pattern, name, Case::Insensitive) && !listed(found, name) {
                    found.push((name.to_vec(), self.show(opt)));
                }
            }
        }
    }

    /// The value of an option as CONFIG GET shows it.
    pub fn show(&self, opt: Opt) -> Vec<u8> {
        config_value::show(&self.values, opt)
    }

    /// Whether the option called `name` holds a secret.
    pub fn is_sensitive(name: &[u8]) -> bool {
        Opt::find(name).is_some_and(|(opt, _)| opt.spec().has(SENSITIVE))
    }
}

impl Values {
    /// The value of every option when nothing is configured.
    pub(super) fn defaults(dir: PathBuf) -> Values {
        let mut ints = [0; COUNT];
        let mut texts = [const { None }; COUNT];
        for opt in ALL {
            match opt.spec().kind {
                Kind::Flag(default) => ints[opt as usize] = i64::from(default),
                Kind::Number { default, .. } | Kind::Choice { default, .. } => {
                    ints[opt as usize] = default;
                }
                Kind::Text { default, .. } => {
                    texts[opt as usize] = default.map(|text| text.as_bytes().into());
                }
                Kind::Special(_) => {}
            }
        }
        let limit = |hard_mb: u64, soft_mb: u64, soft_seconds| OutputLimit {
            hard_bytes: hard_mb << 20,
            soft_bytes: soft_mb << 20,
            soft_seconds,
        };
        let point = |seconds, changes| SavePoint { seconds, changes };
        Values {
            ints,
            texts,
            save: vec![point(3600, 1), point(300, 100), point(60, 10000)],
            limits: OutputLimits {
                normal: limit(0, 0, 0),
                replica: limit(256, 64, 60),
                pubsub: limit(32, 8, 60),
            },
            oom_scores: [0, 200, 800],
            bind: vec![b"*"[..].into(), b"-::*"[..].into()],
            listen: Vec::new(),
            primary: None,
            percentiles: vec![50.0, 99.0, 99.9],
            dir,
        }
    }
}
