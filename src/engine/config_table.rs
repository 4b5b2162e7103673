//! Every option of the configuration, each declared once.
//!
//! The macro turns the list into `enum Opt` and `TABLE`, in the same order. The parser of files
//! and arguments, CONFIG GET / SET / REWRITE, `--help` and docs/config.md all read `TABLE`; the
//! rest of the server reads values by `Opt`. Names, ranges and defaults are those of Redis
//! 7.0.15, the section "Rufous" aside. A line reads:
//! `Variant "name" | "alias": kind, flags, effect, "what it does";`

use super::config_check as check;
use super::config_choice::*;
use super::config_spec::Effect::{self, Moot, Now, Stored};
use super::config_spec::*;

macro_rules! options {
    ($($section:literal {
        $($variant:ident $name:literal $(| $alias:literal)? :
            $kind:expr, $flags:expr, $effect:expr, $doc:literal;)*
    })*) => {
        /// One option of the configuration, usable as an index into `TABLE`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(usize)]
        pub enum Opt { $($(
            #[doc = concat!("`", $name, "`: ", $doc)]
            $variant,
        )*)* }

        /// All options in the order of their declaration.
        pub const ALL: [Opt; COUNT] = [$($(Opt::$variant),*),*];

        /// How many options there are.
        pub const COUNT: usize = [$($($name),*),*].len();

        /// The declarations, indexed by `Opt`.
        pub static TABLE: [Spec; COUNT] = [$($(Spec {
            name: $name,
            alias: options!(@alias $($alias)?),
            section: $section,
            kind: $kind,
            flags: $flags,
            effect: $effect,
            doc: $doc,
        }),*),*];
    };
    (@alias $alias:literal) => { Some($alias) };
    (@alias) => { None };
}

const SNAPSHOT: Effect = Stored("snapshots");
const AOF: Effect = Stored("the append-only file");
const REPLICATION: Effect = Stored("replication");
const CLUSTER: Effect = Stored("cluster");
const TLS: Effect = Stored("TLS");
const MODULES: Effect = Stored("modules");
const DEFRAG: Effect = Moot("sparse pages are always compacted, in slices");
const PROCESS: Effect = Stored("process management");
const SYSLOG: Effect = Stored("syslog");
const THREADS: Effect = Moot("one thread does everything");
const CHILD: Effect = Moot("there is no child process");
const LAZY: Effect = Moot("large values are always freed in slices");

options! {
"Network" {
    Bind "bind": Kind::Special(Special::Bind), MULTI, Now,
        "Addresses to listen on; `*` is any IPv4, `-` before an address makes it optional.";
    BindSourceAddr "bind-source-addr": unset(), 0, REPLICATION,
        "Local address of connections which the server opens.";
    Port "port": int(0, 65535, 6379), 0, Now, "TCP port to listen on; 0 for none.";
    ProtectedMode "protected-mode": flag(true), 0, Now,
        "Refuse clients from other machines while there is no password.";
    TcpBacklog "tcp-backlog": int(0, INT_MAX, 511), IMMUTABLE, Now,
        "Connections the system may queue before they are accepted.";
    UnixSocket "unixsocket": unset(), IMMUTABLE, Now, "Path of a Unix socket to listen on.";
    UnixSocketPerm "unixsocketperm": number_octal(0o777, 0), IMMUTABLE, Now,
        "Mode of the Unix socket, in octal; 0 leaves it to the umask.";
    Timeout "timeout": int(0, INT_MAX, 0), 0, Now,
        "Seconds after which an idle client is disconnected; 0 for never.";
    TcpKeepalive "tcp-keepalive": int(0, INT_MAX, 300), 0, Now,
        "Seconds between keep-alive probes; 0 for none.";
    SocketMarkId "socket-mark-id": uint(UINT_MAX, 0), IMMUTABLE, Stored("socket marks"),
        "Mark of the listening sockets, for the system's packet filter.";
}
"General" {
    Daemonize "daemonize": flag(false), IMMUTABLE, PROCESS, "Run in the background.";
    Supervised "supervised": choice(Supervised::WORDS, Supervised::No as i64), IMMUTABLE, PROCESS,
        "Who supervises the process and is told when it is ready.";
    PidFile "pidfile": unset(), IMMUTABLE, Now, "File which receives the process id.";
    LogLevel "loglevel": choice(LogLevel::WORDS, LogLevel::Notice as i64), 0, Now,
        "The least important messages to log.";
    LogFile "logfile": text(""), IMMUTABLE, Now, "File to log to; standard output when empty.";
    SyslogEnabled "syslog-enabled": flag(false), IMMUTABLE, SYSLOG, "Log to syslog as well.";
    SyslogIdent "syslog-ident": text("redis"), IMMUTABLE, SYSLOG, "Name used in syslog.";
    SyslogFacility "syslog-facility":
        choice(SyslogFacility::WORDS, SyslogFacility::Local0 as i64), IMMUTABLE, SYSLOG,
        "Facility used in syslog.";
    CrashLogEnabled "crash-log-enabled": flag(true), 0, Stored("crash reports"),
        "Write a report when the server crashes.";
    CrashMemcheckEnabled "crash-memcheck-enabled": flag(true), 0, Stored("crash reports"),
        "Test the memory when the server crashes.";
    UseExitOnPanic "use-exit-on-panic": flag(false), HIDDEN, Stored("crash reports"),
        "Exit instead of aborting when the server panics.";
    WatchdogPeriod "watchdog-period": int(0, INT_MAX, 0), HIDDEN,
        Moot("the stall ledger takes its place"),
        "Milliseconds after which a command is reported as stuck.";
    Databases "databases": int(1, INT_MAX, 16), IMMUTABLE, Now, "Number of databases.";
    AlwaysShowLogo "always-show-logo": flag(false), IMMUTABLE, Moot("there is no logo"),
        "Show a logo at start-up.";
    SetProcTitle "set-proc-title": flag(true), IMMUTABLE, Now,
        "Change the title of the process.";
    ProcTitleTemplate "proc-title-template":
        checked("{title} {listen-addr} {server-mode}", check::title_template), 0, Now,
        "Title of the process, with variables in braces.";
    IgnoreWarnings "ignore-warnings": text(""), 0, Moot("no warning stops the start-up"),
        "Warnings which should not stop the start-up.";
    Dir "dir": Kind::Special(Special::Dir), PROTECTED | DENY_LOADING, Now,
        "Directory which relative paths start from.";
    Hz "hz": int(0, INT_MAX, 10), 0, Now, "Turns of the background tasks per second, 1 to 500.";
    DynamicHz "dynamic-hz": flag(true), 0, Moot("background work follows the load by itself"),
        "Raise `hz` with the number of clients.";
    ShutdownTimeout "shutdown-timeout": int(0, INT_MAX, 10), 0, REPLICATION,
        "Seconds a shutdown waits for replicas.";
    ShutdownOnSigint "shutdown-on-sigint":
        Kind::Choice { words: SHUTDOWN_WORDS, default: 0, many: true }, MULTI, SNAPSHOT,
        "How to shut down at SIGINT: default, save, nosave, now, force.";
    ShutdownOnSigterm "shutdown-on-sigterm":
        Kind::Choice { words: SHUTDOWN_WORDS, default: 0, many: true }, MULTI, SNAPSHOT,
        "How to shut down at SIGTERM: default, save, nosave, now, force.";
    DisableThp "disable-thp": flag(true), IMMUTABLE, PROCESS,
        "Turn transparent huge pages off for this process.";
    OomScoreAdj "oom-score-adj": choice(OOM_WORDS, 0), 0, Now,
        "Tell the system which of our processes to end first when memory runs out.";
    OomScoreAdjValues "oom-score-adj-values": Kind::Special(Special::OomScores), MULTI, Now,
        "Scores of a primary, a replica and a background process.";
    ServerCpulist "server_cpulist": unset(), IMMUTABLE, PROCESS, "CPUs for the server.";
    BioCpulist "bio_cpulist": unset(), IMMUTABLE, THREADS, "CPUs for background threads.";
    AofRewriteCpulist "aof_rewrite_cpulist": unset(), IMMUTABLE, CHILD,
        "CPUs for rewriting the append-only file.";
    BgsaveCpulist "bgsave_cpulist": unset(), IMMUTABLE, CHILD, "CPUs for saving snapshots.";
}
"Security" {
    RequirePass "requirepass": secret(), SENSITIVE, Now, "Password of the user `default`.";
    AclFile "aclfile": text(""), IMMUTABLE, Now,
        "File which declares the users.";
    AclLogMaxLen "acllog-max-len": int(0, LONG_MAX, 128), 0, Now, "Entries kept by ACL LOG.";
    AclPubsubDefault "acl-pubsub-default":
        choice(AclPubsubDefault::WORDS, AclPubsubDefault::ResetChannels as i64), 0, Now,
        "Channels which a new user may use.";
    EnableProtectedConfigs "enable-protected-configs":
        choice(ProtectedAction::WORDS, ProtectedAction::No as i64), IMMUTABLE, Now,
        "Who may CONFIG SET `dir` and `dbfilename`.";
    EnableDebugCommand "enable-debug-command":
        choice(ProtectedAction::WORDS, ProtectedAction::No as i64), IMMUTABLE, Now,
        "Who may use DEBUG.";
    EnableModuleCommand "enable-module-command":
        choice(ProtectedAction::WORDS, ProtectedAction::No as i64), IMMUTABLE, MODULES,
        "Who may use MODULE.";
    SanitizeDumpPayload "sanitize-dump-payload":
        choice(SanitizeDump::WORDS, SanitizeDump::No as i64), 0, SNAPSHOT,
        "When to check a dump deeply before it is used.";
}
"Clients" {
    MaxClients "maxclients": Kind::Number { low: 1, high: UINT_MAX, default: 10000,
        unit: Unit::Plain, unsigned: true }, 0, Now, "Clients served at the same time.";
    ClientQueryBufferLimit "client-query-buffer-limit": umemory(1 << 20, LONG_MAX, 1 << 30), 0,
        Now, "Bytes a client may send before its request is complete.";
    ClientOutputBufferLimit "client-output-buffer-limit":
        Kind::Special(Special::OutputLimits), MULTI, Now,
        "Per class: hard limit, soft limit and its seconds, beyond which a client is closed.";
    ProtoMaxBulkLen "proto-max-bulk-len": memory(1 << 20, LONG_MAX, 512 << 20), 0, Now,
        "Longest string a client may send.";
    MaxmemoryClients "maxmemory-clients": number_percent(), 0, Now,
        "Memory of all clients together, in bytes or percent of `maxmemory`; 0 for no limit.";
    TrackingTableMaxKeys "tracking-table-max-keys": uint(LONG_MAX, 1_000_000), 0, Now,
        "Keys remembered for client-side caching.";
}
"Memory" {
    Maxmemory "maxmemory": umemory(0, u64::MAX, 0), 0, Now,
        "Bytes the data set may take, or percent of what this process may (`75%`); 0 for no limit.";
    MaxmemoryPolicy "maxmemory-policy":
        choice(MaxmemoryPolicy::WORDS, MaxmemoryPolicy::NoEviction as i64), 0, Now,
        "What gives way when `maxmemory` is reached.";
    MaxmemorySamples "maxmemory-samples": int(1, INT_MAX, 5), 0, Now,
        "Keys compared to find one to evict.";
    MaxmemoryEvictionTenacity "maxmemory-eviction-tenacity": int(0, 100, 10), 0, Now,
        "How much time eviction may take, 0 to 100.";
    LfuLogFactor "lfu-log-factor": int(0, INT_MAX, 10), 0, Now,
        "How slowly the frequency counter saturates.";
    LfuDecayTime "lfu-decay-time": int(0, INT_MAX, 1), 0, Now,
        "Minutes after which the frequency counter is lowered.";
    ActiveExpireEffort "active-expire-effort": int(1, 10, 1), 0, Now,
        "Share of the time that expiry may take while clients are busy: 25 % at 1, 2 % more per step.";
    LazyfreeLazyEviction "lazyfree-lazy-eviction": flag(false), 0, LAZY,
        "Free evicted values in the background.";
    LazyfreeLazyExpire "lazyfree-lazy-expire": flag(false), 0, LAZY,
        "Free expired values in the background.";
    LazyfreeLazyServerDel "lazyfree-lazy-server-del": flag(false), 0, LAZY,
        "Free overwritten values in the background.";
    LazyfreeLazyUserDel "lazyfree-lazy-user-del": flag(false), 0, LAZY,
        "Make DEL behave as UNLINK.";
    LazyfreeLazyUserFlush "lazyfree-lazy-user-flush": flag(false), 0, LAZY,
        "Make FLUSHALL and FLUSHDB free in the background.";
    Activerehashing "activerehashing": flag(true), 0, Moot("tables grow bucket by bucket"),
        "Spend spare time on growing tables.";
    JemallocBgThread "jemalloc-bg-thread": flag(true), 0, THREADS,
        "Let jemalloc purge in a thread.";
    Activedefrag "activedefrag": flag(false), 0, DEFRAG, "Compact the memory while running.";
    ActiveDefragIgnoreBytes "active-defrag-ignore-bytes": umemory(1, LONG_MAX, 100 << 20), 0,
        DEFRAG, "Wasted bytes below which nothing is compacted.";
    ActiveDefragThresholdLower "active-defrag-threshold-lower": int(0, 1000, 10), 0, DEFRAG,
        "Percent of waste at which compaction starts.";
    ActiveDefragThresholdUpper "active-defrag-threshold-upper": int(0, 1000, 100), 0, DEFRAG,
        "Percent of waste at which compaction works hardest.";
    ActiveDefragCycleMin "active-defrag-cycle-min": int(1, 99, 1), 0, DEFRAG,
        "Percent of CPU for compaction at the lower threshold.";
    ActiveDefragCycleMax "active-defrag-cycle-max": int(1, 99, 25), 0, DEFRAG,
        "Percent of CPU for compaction at the upper threshold.";
    ActiveDefragMaxScanFields "active-defrag-max-scan-fields": int(1, LONG_MAX, 1000), 0, DEFRAG,
        "Elements above which a value is compacted in several steps.";
}
"Data types" {
    HashMaxListpackEntries "hash-max-listpack-entries" | "hash-max-ziplist-entries":
        uint(LONG_MAX, 512), 0, Now, "Fields up to which a hash is stored packed.";
    HashMaxListpackValue "hash-max-listpack-value" | "hash-max-ziplist-value":
        umemory(0, LONG_MAX, 64), 0, Now, "Longest field or value in a packed hash.";
    ListMaxListpackSize "list-max-listpack-size" | "list-max-ziplist-size":
        int(INT_MIN, INT_MAX, -2), 0, Now,
        "Elements per node of a list; -1 to -5 for 4, 8, 16, 32, 64 kb.";
    ListCompressDepth "list-compress-depth": int(0, INT_MAX, 0), 0, Now,
        "Nodes at both ends of a list which are not compressed; 0 for no compression.";
    SetMaxIntsetEntries "set-max-intset-entries": uint(LONG_MAX, 512), 0, Now,
        "Elements up to which a set of integers is stored packed.";
    ZsetMaxListpackEntries "zset-max-listpack-entries" | "zset-max-ziplist-entries":
        uint(LONG_MAX, 128), 0, Now, "Elements up to which a sorted set is stored packed.";
    ZsetMaxListpackValue "zset-max-listpack-value" | "zset-max-ziplist-value":
        umemory(0, LONG_MAX, 64), 0, Now, "Longest element in a packed sorted set.";
    HllSparseMaxBytes "hll-sparse-max-bytes": umemory(0, LONG_MAX, 3000), 0, Now,
        "Size up to which a HyperLogLog stays sparse.";
    StreamNodeMaxBytes "stream-node-max-bytes": umemory(0, LONG_MAX, 4096), 0, Now,
        "Bytes per node of a stream; 0 for no limit.";
    StreamNodeMaxEntries "stream-node-max-entries": int(0, LONG_MAX, 100), 0, Now,
        "Entries per node of a stream; 0 for no limit.";
}
"Observation" {
    SlowlogLogSlowerThan "slowlog-log-slower-than": int(-1, LONG_MAX, 10000), 0, Now,
        "Microseconds from which a command is slow; -1 for never.";
    SlowlogMaxLen "slowlog-max-len": int(0, LONG_MAX, 128), 0, Now, "Entries of the slow log.";
    LatencyMonitorThreshold "latency-monitor-threshold": int(0, LONG_MAX, 0), 0, Now,
        "Milliseconds from which LATENCY records an event; 0 for never.";
    LatencyTracking "latency-tracking": flag(true), 0, Now, "Keep a histogram per command.";
    LatencyTrackingInfoPercentiles "latency-tracking-info-percentiles":
        Kind::Special(Special::Percentiles), MULTI, Now, "Percentiles shown by INFO.";
    NotifyKeyspaceEvents "notify-keyspace-events": Kind::Special(Special::Notify), 0, Now,
        "Classes of events published to clients, as letters.";
}
"Scripts" {
    BusyReplyThreshold "busy-reply-threshold" | "lua-time-limit": int(0, LONG_MAX, 5000), 0, Now,
        "Milliseconds after which others are told that a script is busy.";
}
"Snapshots" {
    Save "save": Kind::Special(Special::Save), MULTI, SNAPSHOT,
        "Pairs of seconds and changes after which a snapshot is saved.";
    DbFilename "dbfilename": checked("dump.rdb", check::db_file_name), PROTECTED, SNAPSHOT,
        "Name of the snapshot file.";
    Rdbcompression "rdbcompression": flag(true), 0, SNAPSHOT, "Compress strings in snapshots.";
    Rdbchecksum "rdbchecksum": flag(true), IMMUTABLE, SNAPSHOT, "Put a checksum in snapshots.";
    RdbDelSyncFiles "rdb-del-sync-files": flag(false), 0, REPLICATION,
        "Delete snapshots made only for replication.";
    RdbSaveIncrementalFsync "rdb-save-incremental-fsync": flag(true), 0, SNAPSHOT,
        "Flush a snapshot to disk step by step.";
    RdbKeySaveDelay "rdb-key-save-delay": int(INT_MIN, INT_MAX, 0), HIDDEN, SNAPSHOT,
        "Microseconds to wait after saving a key, for tests.";
    KeyLoadDelay "key-load-delay": int(INT_MIN, INT_MAX, 0), HIDDEN, SNAPSHOT,
        "Microseconds to wait after loading a key, for tests.";
    LoadingProcessEventsIntervalBytes "loading-process-events-interval-bytes":
        int(1024, INT_MAX, 2 << 20), HIDDEN, SNAPSHOT,
        "Bytes loaded between two looks at the clients.";
    StopWritesOnBgsaveError "stop-writes-on-bgsave-error": flag(true), 0, SNAPSHOT,
        "Refuse writes after a snapshot has failed.";
}
"Append-only file" {
    Appendonly "appendonly": flag(false), DENY_LOADING, AOF, "Append every change to a file.";
    Appendfsync "appendfsync": choice(AppendFsync::WORDS, AppendFsync::EverySecond as i64), 0,
        AOF, "When appended changes reach the disk.";
    Appendfilename "appendfilename": checked("appendonly.aof", check::append_file_name),
        IMMUTABLE, AOF, "Base name of the files.";
    Appenddirname "appenddirname": checked("appendonlydir", check::append_dir_name),
        IMMUTABLE, AOF, "Directory of the files.";
    NoAppendfsyncOnRewrite "no-appendfsync-on-rewrite": flag(false), 0, AOF,
        "Do not flush while a rewrite runs.";
    AutoAofRewritePercentage "auto-aof-rewrite-percentage": int(0, INT_MAX, 100), 0, AOF,
        "Growth in percent which starts a rewrite; 0 for never.";
    AutoAofRewriteMinSize "auto-aof-rewrite-min-size": memory(0, LONG_MAX, 64 << 20), 0, AOF,
        "Size below which no rewrite is started.";
    AofLoadTruncated "aof-load-truncated": flag(true), 0, AOF,
        "Load a file whose end is missing.";
    AofUseRdbPreamble "aof-use-rdb-preamble": flag(true), 0, AOF,
        "Begin a rewritten file with a snapshot.";
    AofTimestampEnabled "aof-timestamp-enabled": flag(false), 0, AOF,
        "Note the time in the file.";
    AofRewriteIncrementalFsync "aof-rewrite-incremental-fsync": flag(true), 0, AOF,
        "Flush a rewrite to disk step by step.";
    AofDisableAutoGc "aof-disable-auto-gc": flag(false), 0, AOF,
        "Keep files which are no longer needed.";
}
"Replication" {
    Replicaof "replicaof" | "slaveof": Kind::Special(Special::ReplicaOf), IMMUTABLE | MULTI,
        REPLICATION, "Host and port of the primary to follow; `no one` for none.";
    Masterauth "masterauth": secret(), SENSITIVE, REPLICATION, "Password at the primary.";
    Masteruser "masteruser": unset(), SENSITIVE, REPLICATION, "User at the primary.";
    ReplicaServeStaleData "replica-serve-stale-data" | "slave-serve-stale-data": flag(true), 0,
        REPLICATION, "Answer while the primary cannot be reached.";
    ReplicaReadOnly "replica-read-only" | "slave-read-only": flag(true), 0, REPLICATION,
        "Refuse writes of clients of a replica.";
    ReplicaIgnoreMaxmemory "replica-ignore-maxmemory" | "slave-ignore-maxmemory": flag(true), 0,
        REPLICATION, "Leave eviction to the primary.";
    ReplicaLazyFlush "replica-lazy-flush" | "slave-lazy-flush": flag(false), 0, REPLICATION,
        "Free the old data set in the background before a full synchronisation.";
    ReplicaPriority "replica-priority" | "slave-priority": int(0, INT_MAX, 100), 0, REPLICATION,
        "Rank among replicas when Sentinel promotes one; 0 for never.";
    ReplicaAnnounced "replica-announced": flag(true), 0, REPLICATION,
        "Let Sentinel list this replica.";
    ReplicaAnnounceIp "replica-announce-ip" | "slave-announce-ip": unset(), 0, REPLICATION,
        "Address under which the replica is listed.";
    ReplicaAnnouncePort "replica-announce-port" | "slave-announce-port": int(0, 65535, 0), 0,
        REPLICATION, "Port under which the replica is listed.";
    ReplicaIgnoreDiskWriteErrors "replica-ignore-disk-write-errors": flag(false), 0, REPLICATION,
        "Carry on when the replica cannot write to its disk.";
    ReplDisklessSync "repl-diskless-sync": flag(true), 0, REPLICATION,
        "Send snapshots without a file.";
    ReplDisklessSyncDelay "repl-diskless-sync-delay": int(0, INT_MAX, 5), 0, REPLICATION,
        "Seconds to wait for more replicas before sending.";
    ReplDisklessSyncMaxReplicas "repl-diskless-sync-max-replicas": int(0, INT_MAX, 0), 0,
        REPLICATION, "Replicas which end that wait; 0 for none.";
    ReplDisklessLoad "repl-diskless-load":
        choice(DisklessLoad::WORDS, DisklessLoad::Disabled as i64), DENY_LOADING, REPLICATION,
        "Load snapshots without a file.";
    ReplDisableTcpNodelay "repl-disable-tcp-nodelay": flag(false), 0, REPLICATION,
        "Send fewer, larger packets to replicas.";
    ReplPingReplicaPeriod "repl-ping-replica-period" | "repl-ping-slave-period":
        int(1, INT_MAX, 10), 0, REPLICATION, "Seconds between pings to replicas.";
    ReplTimeout "repl-timeout": int(1, INT_MAX, 60), 0, REPLICATION,
        "Seconds of silence after which the other side is gone.";
    ReplBacklogSize "repl-backlog-size": memory(1, LONG_MAX, 1 << 20), 0, REPLICATION,
        "Bytes kept for replicas which reconnect.";
    ReplBacklogTtl "repl-backlog-ttl": int(0, LONG_MAX, 3600), 0, REPLICATION,
        "Seconds without replicas after which these bytes are freed.";
    MinReplicasToWrite "min-replicas-to-write" | "min-slaves-to-write": int(0, INT_MAX, 0), 0,
        Now, "Replicas without which writes are refused.";
    MinReplicasMaxLag "min-replicas-max-lag" | "min-slaves-max-lag": int(0, INT_MAX, 10), 0,
        Now, "Seconds of lag up to which a replica counts.";
    PropagationErrorBehavior "propagation-error-behavior":
        choice(PropagationError::WORDS, PropagationError::Ignore as i64), 0, REPLICATION,
        "What to do when a propagated command fails.";
}
"Cluster" {
    ClusterEnabled "cluster-enabled": flag(false), IMMUTABLE, CLUSTER, "Be a cluster node.";
    ClusterConfigFile "cluster-config-file": text("nodes.conf"), IMMUTABLE, CLUSTER,
        "File with the state of the cluster.";
    ClusterNodeTimeout "cluster-node-timeout": int(0, LONG_MAX, 15000), 0, CLUSTER,
        "Milliseconds after which a node counts as failing.";
    ClusterPort "cluster-port": int(0, 65535, 0), IMMUTABLE, CLUSTER,
        "Port of the cluster bus; 0 for `port` + 10000.";
    ClusterAnnounceIp "cluster-announce-ip": unset(), 0, CLUSTER, "Address told to others.";
    ClusterAnnounceHostname "cluster-announce-hostname":
        Kind::Text { default: None, binary: false, check: Some(check::host_name) }, 0, CLUSTER,
        "Host name told to others.";
    ClusterAnnouncePort "cluster-announce-port": int(0, 65535, 0), 0, CLUSTER,
        "Port told to others.";
    ClusterAnnounceTlsPort "cluster-announce-tls-port": int(0, 65535, 0), 0, CLUSTER,
        "TLS port told to others.";
    ClusterAnnounceBusPort "cluster-announce-bus-port": int(0, 65535, 0), 0, CLUSTER,
        "Bus port told to others.";
    ClusterPreferredEndpointType "cluster-preferred-endpoint-type":
        choice(EndpointType::WORDS, EndpointType::Ip as i64), 0, CLUSTER,
        "How nodes are named to clients.";
    ClusterReplicaValidityFactor "cluster-replica-validity-factor"
        | "cluster-slave-validity-factor": int(0, INT_MAX, 10), 0, CLUSTER,
        "How old the data of a replica may be for a failover.";
    ClusterReplicaNoFailover "cluster-replica-no-failover" | "cluster-slave-no-failover":
        flag(false), 0, CLUSTER, "Never take over from the primary.";
    ClusterMigrationBarrier "cluster-migration-barrier": int(0, INT_MAX, 1), 0, CLUSTER,
        "Replicas a primary keeps when one moves to an orphan.";
    ClusterAllowReplicaMigration "cluster-allow-replica-migration": flag(true), 0, CLUSTER,
        "Let replicas move to orphaned primaries.";
    ClusterRequireFullCoverage "cluster-require-full-coverage": flag(true), 0, CLUSTER,
        "Stop when some slots have no node.";
    ClusterAllowReadsWhenDown "cluster-allow-reads-when-down": flag(false), 0, CLUSTER,
        "Answer reads while the cluster is down.";
    ClusterAllowPubsubshardWhenDown "cluster-allow-pubsubshard-when-down": flag(true), 0,
        CLUSTER, "Serve sharded channels while the cluster is down.";
    ClusterLinkSendbufLimit "cluster-link-sendbuf-limit": umemory(0, u64::MAX, 0), 0, CLUSTER,
        "Bytes waiting for another node, beyond which its link is closed; 0 for no limit.";
}
"Threads" {
    IoThreads "io-threads": int(1, 128, 1), IMMUTABLE, THREADS, "Threads for reading and writing.";
    IoThreadsDoReads "io-threads-do-reads": flag(false), IMMUTABLE, THREADS,
        "Let these threads read and parse as well.";
}
"TLS" {
    TlsPort "tls-port": int(0, 65535, 0), 0, TLS, "TLS port to listen on; 0 for none.";
    TlsCertFile "tls-cert-file": unset(), VOLATILE, TLS, "Certificate of the server.";
    TlsKeyFile "tls-key-file": unset(), VOLATILE, TLS, "Key of the server.";
    TlsKeyFilePass "tls-key-file-pass": unset(), 0, TLS, "Password of that key.";
    TlsClientCertFile "tls-client-cert-file": unset(), VOLATILE, TLS,
        "Certificate for connections to other servers.";
    TlsClientKeyFile "tls-client-key-file": unset(), VOLATILE, TLS,
        "Key for connections to other servers.";
    TlsClientKeyFilePass "tls-client-key-file-pass": unset(), 0, TLS, "Password of that key.";
    TlsDhParamsFile "tls-dh-params-file": unset(), VOLATILE, TLS, "Diffie-Hellman parameters.";
    TlsCaCertFile "tls-ca-cert-file": unset(), VOLATILE, TLS, "Certificates which are trusted.";
    TlsCaCertDir "tls-ca-cert-dir": unset(), VOLATILE, TLS, "Directory of trusted certificates.";
    TlsAuthClients "tls-auth-clients":
        choice(TlsAuthClients::WORDS, TlsAuthClients::Yes as i64), 0, TLS,
        "Whether clients have to show a certificate.";
    TlsReplication "tls-replication": flag(false), 0, TLS, "Replicate over TLS.";
    TlsCluster "tls-cluster": flag(false), 0, TLS, "Use TLS between cluster nodes.";
    TlsProtocols "tls-protocols": unset(), 0, TLS, "Versions allowed.";
    TlsCiphers "tls-ciphers": unset(), 0, TLS, "Ciphers allowed up to TLS 1.2.";
    TlsCiphersuites "tls-ciphersuites": unset(), 0, TLS, "Cipher suites allowed in TLS 1.3.";
    TlsPreferServerCiphers "tls-prefer-server-ciphers": flag(false), 0, TLS,
        "Let the server choose the cipher.";
    TlsSessionCaching "tls-session-caching": flag(true), 0, TLS, "Resume earlier sessions.";
    TlsSessionCacheSize "tls-session-cache-size": int(0, INT_MAX, 20480), 0, TLS,
        "Sessions remembered.";
    TlsSessionCacheTimeout "tls-session-cache-timeout": int(0, INT_MAX, 300), 0, TLS,
        "Seconds a session is remembered.";
}
"Rufous" {
    Listen "listen": Kind::Special(Special::Listen), MULTI | IMMUTABLE, Now,
        "More addresses, each with its dialect: `resp`, `simpledb`, `msgpack` or `kvstore`, as in \
        `msgpack://127.0.0.1:8888` and `resp+unix:///run/rufous.sock`.";
    BusyPollUs "busy-poll-us": int(0, 1_000_000, 0), 0, Now,
        "Microseconds to look for requests before sleeping: lower latency for more CPU time.";
    MaxStallUs "max-stall-us": int(1, 1_000_000, 500), 0, Now,
        "Microseconds which one piece of work may hold the loop before it is sliced.";
    StallLogSlowerThanUs "stall-log-slower-than-us": int(0, 3_600_000_000, 0), 0, Now,
        "Microseconds above which a turn of the loop is kept for STALLS GET; 0: `max-stall-us`.";
    Seed "seed": checked_unset(check::seed), IMMUTABLE, Now,
        "Number which all random choices follow from, so that a trace repeats; not set: from the system.";
    TestMode "test-mode": flag(false), IMMUTABLE, Now,
        "Let CLOCK stop and move the server's time.";
}
}

const fn checked_unset(check: TextCheck) -> Kind {
    Kind::Text { default: None, binary: false, check: Some(check) }
}

const fn number_octal(high: u64, default: i64) -> Kind {
    Kind::Number { low: 0, high, default, unit: Unit::Octal, unsigned: true }
}

const fn number_percent() -> Kind {
    Kind::Number {
        low: -100,
        high: LONG_MAX,
        default: 0,
        unit: Unit::MemoryOrPercent,
        unsigned: false,
    }
}

impl Opt {
    /// Its declaration.
    pub fn spec(self) -> &'static Spec {
        &TABLE[self as usize]
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The option called `name` in any case, or by its alias (then the second value is true).
    /// A linear search: for start-up and CONFIG only.
    pub fn find(name: &[u8]) -> Option<(Opt, bool)> {
        for opt in ALL {
            let spec = opt.spec();
            if spec.name.as_bytes().eq_ignore_ascii_case(name) {
                return Some((opt, false));
            }
            if spec.alias.is_some_and(|alias| alias.as_bytes().eq_ignore_ascii_case(name)) {
                return Some((opt, true));
            }
        }
        None
    }
}
