//! The options with a fixed set of words, as enums.
//!
//! Each enum is declared once with its words; the table takes `WORDS`, the code takes the enum.
//! The order of the words is the order in which an error message lists them.

use super::config_spec::Words;

macro_rules! choices {
    ($($(#[$outer:meta])* $name:ident { $($variant:ident $word:literal),+ $(,)? })*) => {$(
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(i64)]
        pub enum $name { $(#[doc = concat!("`", $word, "`")] $variant),+ }

        impl $name {
            /// The words of the configuration, each with the value it stands for.
            pub const WORDS: Words = &[$(($word, $name::$variant as i64)),+];
            const ALL: &'static [$name] = &[$($name::$variant),+];
        }

        impl From<usize> for $name {
            /// The variant behind a value of `Config::choice`; a value out of range gives the
            /// last variant, which cannot happen for an option of this type.
            fn from(value: usize) -> $name {
                let last = $name::ALL.len() - 1;
                $name::ALL[value.min(last)]
            }
        }
    )*};
}

choices! {
    /// `maxmemory-policy`: what gives way when memory is full.
    MaxmemoryPolicy {
        VolatileLru "volatile-lru", VolatileLfu "volatile-lfu",
        VolatileRandom "volatile-random", VolatileTtl "volatile-ttl",
        AllkeysLru "allkeys-lru", AllkeysLfu "allkeys-lfu",
        AllkeysRandom "allkeys-random", NoEviction "noeviction",
        AllkeysS3Fifo "allkeys-s3fifo",
    }
    /// `syslog-facility`.
    SyslogFacility {
        User "user", Local0 "local0", Local1 "local1", Local2 "local2", Local3 "local3",
        Local4 "local4", Local5 "local5", Local6 "local6", Local7 "local7",
    }
    /// `loglevel`: the least important messages which are written.
    LogLevel { Debug "debug", Verbose "verbose", Notice "notice", Warning "warning" }
    /// `supervised`: who started us and wants to be told that we are ready.
    Supervised { Upstart "upstart", Systemd "systemd", Auto "auto", No "no" }
    /// `appendfsync`: when appended commands reach the disk.
    AppendFsync { EverySecond "everysec", Always "always", No "no" }
    /// `repl-diskless-load`.
    DisklessLoad { Disabled "disabled", OnEmptyDb "on-empty-db", SwapDb "swapdb" }
    /// `tls-auth-clients`.
    TlsAuthClients { No "no", Yes "yes", Optional "optional" }
    /// `acl-pubsub-default`: the channels a new user may use.
    AclPubsubDefault { AllChannels "allchannels", ResetChannels "resetchannels" }
    /// `sanitize-dump-payload`.
    SanitizeDump { No "no", Yes "yes", Clients "clients" }
    /// `enable-protected-configs` and the like: who may do something dangerous.
    ProtectedAction { No "no", Yes "yes", Local "local" }
    /// `cluster-preferred-endpoint-type`.
    EndpointType { Ip "ip", Hostname "hostname", Unknown "unknown-endpoint" }
    /// `propagation-error-behavior`.
    PropagationError { Ignore "ignore", Panic "panic", PanicOnReplicas "panic-on-replicas" }
}

/// `shutdown-on-sigint`: bit of `save`.
pub const SHUTDOWN_SAVE: i64 = 1;
/// `shutdown-on-sigint`: bit of `nosave`.
pub const SHUTDOWN_NOSAVE: i64 = 2;
/// `shutdown-on-sigint`: bit of `now`.
pub const SHUTDOWN_NOW: i64 = 4;
/// `shutdown-on-sigint`: bit of `force`.
pub const SHUTDOWN_FORCE: i64 = 8;

/// The words of `shutdown-on-sigint` and `shutdown-on-sigterm`, which combine as bits.
pub const SHUTDOWN_WORDS: Words = &[
    ("default", 0),
    ("save", SHUTDOWN_SAVE),
    ("nosave", SHUTDOWN_NOSAVE),
    ("now", SHUTDOWN_NOW),
    ("force", SHUTDOWN_FORCE),
];

/// `oom-score-adj`: how the scores of `oom-score-adj-values` are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OomScoreAdj {
    /// Not used.
    No,
    /// Relative to the score the process started with.
    Relative,
    /// As they are.
    Absolute,
}

/// The words of `oom-score-adj`; `yes` and `relative` are the same.
pub const OOM_WORDS: Words = &[("no", 0), ("yes", 1), ("relative", 1), ("absolute", 2)];

impl From<usize> for OomScoreAdj {
    /// What a value of [`OOM_WORDS`] stands for.
    fn from(value: usize) -> OomScoreAdj {
        match value {
            0 => OomScoreAdj::No,
            1 => OomScoreAdj::Relative,
            _ => OomScoreAdj::Absolute,
        }
    }
}
