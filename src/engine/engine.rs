//! The engine: databases and everything commands share. It holds no socket.
//!
//! The whole server is [`Engine`] plus a layer that moves bytes. That is what makes embedding, several wire
//! protocols, tests in process and fuzzing cheap. Running a command is `Engine::execute`, in
//! `command::execute`, since commands are the layer above.
use std::sync::Arc;

use crate::base::clock::Clock;
use crate::base::hash::KeyHasher;
use crate::base::random::Random;
use crate::engine::acl::Acl;
use crate::engine::acl::commands::Commands;
use crate::engine::blocking::Blocking;
use crate::engine::clients::Clients;
use crate::engine::config::{Config, Opt};
use crate::engine::config_choice::MaxmemoryPolicy;
use crate::engine::debug_settings::DebugSettings;
use crate::engine::evict::Eviction;
use crate::engine::functions::Functions;
use crate::engine::graveyard::Graveyard;
use crate::engine::host::Host;
use crate::engine::hotkeys::HotKeys;
use crate::engine::jobs::Jobs;
use crate::engine::latency::LatencyMonitor;
use crate::engine::outbox::Outbox;
use crate::engine::pubsub::Pubsub;
use crate::engine::remote::Remotes;
use crate::engine::scripts::Scripts;
use crate::engine::slowlog::SlowLog;
use crate::engine::stalls::{self, Stalls};
use crate::engine::stats::Stats;
use crate::engine::table::{CommandId, CommandTable};
use crate::engine::tracking::Tracking;
use crate::engine::verbs::VerbIds;
use crate::engine::watch::Watch;
use crate::store::Db;
use crate::types::limits::Limits;

/// Databases and what commands share.
pub struct Engine {
    /// The databases, by index.
    pub dbs: Vec<Db>,
    /// Hashes keys; the same for all databases, so a hash is computed once per request.
    pub hasher: KeyHasher,
    /// Everything but databases.
    pub shared: Shared,
    /// Where active expiry stands.
    pub(super) expiry: crate::engine::expiry::ExpiryCycle,
    pub(super) trim: crate::engine::trim::Trim,
}

/// All but the databases.
pub struct Shared {
    /// Options and their values.
    pub config: Config,
    /// All commands, by the names clients use.
    pub table: Arc<CommandTable>,
    /// The commands behind the verbs of the other dialects.
    pub verbs: VerbIds,
    /// All users, and what they were denied.
    pub acl: Acl,
    /// All clients.
    pub clients: Clients,
    /// For the network layer, carried out after each command.
    pub outbox: Outbox,
    /// Counters.
    pub stats: Stats,
    /// The slow log.
    pub slowlog: SlowLog,
    /// The latency monitor.
    pub latency: LatencyMonitor,
    /// The session of HOTKEYS, under way or ended.
    pub hotkeys: Option<Box<HotKeys>>,
    /// Where the time of the loop goes.
    pub stalls: Stalls,
    /// Time.
    pub clock: Clock,
    /// Every random choice comes from here, so a seed repeats it.
    pub random: Random,
    /// Slots of the clients that see every command.
    pub monitors: Vec<usize>,
    /// CLIENT PAUSE, while it lasts.
    pub pause: Option<Pause>,
    /// Long commands under way, and who waits for them.
    pub jobs: Jobs,
    /// Clients that wait for keys to bring something.
    pub blocking: Blocking,
    /// Who listens to which channels, and messages on their way.
    pub pubsub: Pubsub,
    /// Libraries of functions.
    pub functions: Functions,
    /// Clients that keep copies of keys, and who is to be told what.
    pub tracking: Tracking,
    /// Keys that transactions depend on.
    pub watch: Watch,
    /// Who wants to know of changes, as bits of [`listener`]; 0: nobody but blocked clients.
    ///
    /// [`listener`]: crate::engine::changes::listener
    pub listeners: u32,
    /// What keeps commands of all clients from running, as bits of [`restraint`]: 0 but in rare hours.
    pub restraint: u32,
    /// What goes on alone, if something does.
    pub busy: Option<Busy>,
    /// The scripts of EVAL.
    pub scripts: Scripts,
    /// Detached databases and values, freed in slices.
    pub graveyard: Graveyard,
    /// What the network layer does for commands at once (ports, limits); absent in process.
    pub host: Option<Box<dyn Host>>,
    /// Connections to other servers.
    pub remotes: Remotes,
    /// Wall time of the start, in milliseconds since 1970.
    pub started_ms: i64,
    /// 40 hexadecimal digits, new at every start.
    pub run_id: String,
    /// Replication id: 40 hexadecimal digits; DEBUG CHANGE-REPL-ID makes a new one.
    pub replication_id: String,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub is_active_expire_on: bool,
    /// What else DEBUG switches.
    pub debug: DebugSettings,
    /// Bytes in use when the engine had been set up (INFO `used_memory_startup`).
    pub startup_memory_bytes: usize,
    /// Up to which size values keep their small forms.
    pub limits: Limits,
    /// Whether keys carry an LFU counter instead of an LRU time, by `maxmemory-policy`.
    pub is_lfu: bool,
    /// What `maxmemory` is about.
    pub eviction: Eviction,
    /// Derived from the configuration, read for every command.
    pub thresholds: Thresholds,
}

/// Thresholds of what is recorded per command, in ticks; `u64::MAX` for never.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// `slowlog-log-slower-than`
    pub slow_ticks: u64,
    /// `latency-monitor-threshold`
    pub spike_ticks: u64,
    /// From here on a command may be to blame for a stall.
    pub culprit_ticks: u64,
    /// The smallest of these: one comparison for a command that was none of it. 0 while HOTKEYS counts all.
    pub least_ticks: u64,
    /// `stall-log-slower-than-us`, for whole turns.
    pub stall_ticks: u64,
    /// `latency-tracking`
    pub is_tracking: bool,
    /// `max-stall-us`
    pub slice_ticks: u64,
    /// Whether clients have to say who they are: `default` has a password, or is off.
    pub needs_password: bool,
}

/// Bits of [`Shared::restraint`].
pub mod restraint {
    /// CLIENT PAUSE.
    pub const PAUSED: u32 = 1 << 0;
    /// More memory is in use than `maxmemory` allows.
    pub const NO_ROOM: u32 = 1 << 1;
    /// A script has been running for too long.
    pub const BUSY: u32 = 1 << 2;
    /// Too many messages are under way for more to be published.
    pub const FLOODED: u32 = 1 << 3;
    /// `min-replicas-to-write` asks for replicas.
    pub const NO_REPLICAS: u32 = 1 << 4;
    /// Databases with very many watched keys have changed places.
    pub const SWEEPING: u32 = 1 << 5;
}

/// A script that has been running for longer than `busy-reply-threshold`, or a transaction that goes on in slices and
/// sees whole databases: commands of others do not run meanwhile.
#[derive(Clone, Debug)]
pub struct Busy {
    /// Number of the job that it goes on as; nothing else goes on meanwhile.
    pub job: u32,
    /// What other clients are told; `None`: they wait.
    pub error: Option<&'static str>,
}

/// CLIENT PAUSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it ends, in milliseconds since 1970.
    pub until_ms: i64,
    /// Only commands that may write wait.
    pub is_writes_only: bool,
}

impl Engine {
    /// An engine that knows these commands; `Engine::new` in the layer above is one with all.
    pub fn with_table(
        config: Config,
        clock: Clock,
        seed: Option<u64>,
        mut table: CommandTable,
    ) -> Engine {
        let mut random = Random::from_seed(seed.unwrap_or_else(crate::base::random::os_seed));
        let hasher = KeyHasher::new(random.next_u64());
        let limits = Limits::new(hasher.clone());
        let pubsub = Pubsub::new(hasher.clone());
        let tracking = Tracking::new(&hasher);
        let count = config.int(Opt::Databases).max(1) as usize;
        for rename in &config.renames {
            if let Err(error) = table.rename(&rename.from, &rename.to) {
                log::warn!("rename-command: {error}");
            }
        }
        let table = Arc::new(table);
        let mut engine = Engine {
            dbs: (0..count).map(|_| Db::new(hasher.clone())).collect(),
            hasher,
            shared: Shared {
                stats: Stats::new(table.len()),
                verbs: VerbIds::of(&table),
                acl: Acl::new(Commands::of(&table)),
                table,
                clients: Clients::default(),
                outbox: Outbox::default(),
                slowlog: SlowLog::default(),
                latency: LatencyMonitor::default(),
                hotkeys: None,
                stalls: Stalls::default(),
                started_ms: clock.unix_ms(),
                clock,
                run_id: random.hex_id(),
                replication_id: random.hex_id(),
                random,
                monitors: Vec::new(),
                pause: None,
                jobs: Jobs::default(),
                blocking: Blocking::default(),
                pubsub,
                functions: Functions::default(),
                tracking,
                watch: Watch::default(),
                listeners: 0,
                restraint: 0,
                busy: None,
                scripts: Scripts::default(),
                graveyard: Graveyard::default(),
                host: None,
                remotes: Remotes::default(),
                is_active_expire_on: true,
                debug: DebugSettings::default(),
                startup_memory_bytes: 0,
                limits,
                is_lfu: false,
                eviction: Eviction::default(),
                thresholds: Thresholds {
                    slow_ticks: u64::MAX,
                    spike_ticks: u64::MAX,
                    culprit_ticks: u64::MAX,
                    least_ticks: u64::MAX,
                    stall_ticks: u64::MAX,
                    is_tracking: false,
                    slice_ticks: 0,
                    needs_password: false,
                },
                config,
            },
            expiry: Default::default(),
            trim: Default::default(),
        };
        engine.shared.take_over_password();
        engine.shared.config_changed();
        let (log_factor, decay_minutes) = engine.shared.lfu_settings();
        let is_fifo = engine.shared.is_fifo();
        for db in &mut engine.dbs {
            db.set_lfu(log_factor, decay_minutes);
            db.set_fifo(is_fifo);
        }
        engine.shared.startup_memory_bytes = crate::base::memory::allocated_bytes();
        engine
    }

    /// Bytes in use: what was allocated, and what the heaps of the databases hold, which are mapped. Free slots of
    /// their pages are fragmentation.
    pub fn used_memory(&self) -> usize {
        let heaps: usize = self.dbs.iter().map(|db| db.memory().heap_live_bytes).sum();
        let dying = self.shared.graveyard.bytes() - self.shared.graveyard.allocated_bytes();
        crate::base::memory::allocated_bytes() + heaps + dying
    }

    /// Keeps the highest use of memory, measures what counts against `maxmemory`, and returns what is free. To be
    /// called some times per second.
    pub fn note_peak_memory(&mut self) {
        let used = self.used_memory();
        self.shared.stats.peak_memory_bytes = self.shared.stats.peak_memory_bytes.max(used);
        self.measure_base();
        self.trim();
    }

    /// The beginning of a turn: reads the clock.
    #[inline]
    pub fn begin_turn(&mut self) {
        let now = self.shared.clock.ticks();
        self.shared.stalls.begin_turn(now);
        self.shared.clock.refresh();
        self.shared.jobs.begin_turn(self.shared.thresholds.slice_ticks);
        self.begin_eviction_turn();
        self.shared.clients.memory.begin_turn();
        if let Some(pause) = self.shared.pause
            && pause.until_ms <= self.shared.clock.unix_ms()
        {
            self.end_pause();
        }
    }

    /// CLIENT PAUSE is over: keys may expire again.
    #[cold]
    pub fn end_pause(&mut self) {
        self.shared.set_pause(None);
        self.dbs.iter_mut().for_each(|db| db.keeps_expired = false);
    }
}

impl Shared {
    /// Takes over what is kept apart from the configuration; to be called after every change of it.
    pub fn config_changed(&mut self) {
        let config = &self.config;
        let slow_us = config.int(Opt::SlowlogLogSlowerThan);
        let spike_ms = config.int(Opt::LatencyMonitorThreshold);
        let never_below = |value: i64, least: i64, nanos_each: u64| -> u64 {
            if value < least {
                return u64::MAX;
            }
            self.clock.ticks_of((value as u64).saturating_mul(nanos_each))
        };
        let slow_ticks = never_below(slow_us, 0, 1_000);
        let spike_ticks = never_below(spike_ms, 1, 1_000_000);
        let threshold_us = match config.size(Opt::StallLogSlowerThanUs) {
            0 => config.size(Opt::MaxStallUs),
            threshold_us => threshold_us,
        };
        let (stall_ticks, culprit_ticks) = stalls::thresholds(&self.clock, threshold_us);
        self.thresholds = Thresholds {
            slow_ticks,
            spike_ticks,
            culprit_ticks,
            least_ticks: u64::MAX,
            stall_ticks,
            is_tracking: config.flag(Opt::LatencyTracking),
            slice_ticks: self.clock.ticks_of(config.size(Opt::MaxStallUs) * 1000),
            needs_password: self.acl.needs_password(),
        };
        self.is_lfu = matches!(
            config.maxmemory_policy(),
            MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu
        );
        self.limits = limits_of(&self.config, &self.limits);
        self.tracking.set_keys_max(self.config.size(Opt::TrackingTableMaxKeys) as usize);
        self.set_least_ticks();
        self.configure_eviction();
        self.configure_client_memory();
        self.configure_replicas();
        self.minded_topics_changed();
        self.slowlog.shorten(self.config.int(Opt::SlowlogMaxLen).max(0) as usize);
    }

    /// Takes over `min-replicas-to-write`: there are no replicas, so where some are asked for nothing may be written.
    fn configure_replicas(&mut self) {
        let config = &self.config;
        let is_asked =
            config.int(Opt::MinReplicasToWrite) != 0 && config.int(Opt::MinReplicasMaxLag) != 0;
        self.restrain(restraint::NO_REPLICAS, is_asked);
    }

    /// Whether fewer replicas are there than `min-replicas-to-write` asks for.
    #[inline]
    pub fn lacks_replicas(&self) -> bool {
        self.restraint & restraint::NO_REPLICAS != 0
    }

    /// Derives from the other thresholds and from HOTKEYS which commands are looked at once they have run.
    pub(super) fn set_least_ticks(&mut self) {
        let counts_all = self.counts_hot_keys();
        let Thresholds { slow_ticks, spike_ticks, culprit_ticks, .. } = self.thresholds;
        let slow = slow_ticks.min(spike_ticks).min(culprit_ticks);
        self.thresholds.least_ticks = if counts_all { 0 } else { slow };
    }

    /// Whether keys carry what S3-FIFO needs instead of an LRU time, by `maxmemory-policy`.
    pub fn is_fifo(&self) -> bool {
        self.config.maxmemory_policy() == MaxmemoryPolicy::AllkeysS3Fifo
    }

    /// `lfu-log-factor` and `lfu-decay-time`, for each database to keep.
    pub fn lfu_settings(&self) -> (u32, u32) {
        let of = |option| self.config.int(option).clamp(0, i64::from(u32::MAX)) as u32;
        (of(Opt::LfuLogFactor), of(Opt::LfuDecayTime))
    }

    /// Whether keys may be deleted because their time has come, without anybody asking for them: not while
    /// CLIENT PAUSE lasts, since nothing may change meanwhile.
    pub fn may_expire(&self) -> bool {
        self.is_active_expire_on && self.busy.is_none() && !self.is_paused(true)
    }

    /// Counts a command that ran and took this long.
    #[inline]
    pub fn count_call(&mut self, id: CommandId, ticks: u64) {
        let nanos = self.thresholds.is_tracking.then(|| self.clock.nanos(ticks));
        self.stats.count_call(id, ticks, nanos);
    }

    /// A command that was counted when its client began to wait has ended: `ticks` in all, of them `reply_ticks` now.
    pub fn count_end_of_wait(&mut self, id: CommandId, ticks: u64, reply_ticks: u64) {
        let nanos = self.thresholds.is_tracking.then(|| self.clock.nanos(ticks));
        self.stats.count_end_of_wait(id, ticks, nanos);
        self.note_spike("command-unblocking", reply_ticks);
    }

    /// Counts `calls` runs of a command at once, each of which took this long.
    #[inline]
    pub fn count_calls(&mut self, id: CommandId, calls: u32, ticks: u64) {
        let nanos = self.thresholds.is_tracking.then(|| self.clock.nanos(ticks));
        self.stats.count_calls(id, calls, ticks, nanos);
    }

    /// CLIENT PAUSE begins, or ends.
    pub fn set_pause(&mut self, pause: Option<Pause>) {
        self.pause = pause;
        self.restrain(restraint::PAUSED, pause.is_some());
    }

    /// A script has been running for too long, or ended at last.
    pub fn set_busy(&mut self, busy: Option<Busy>) {
        if busy.is_some() || self.busy.is_some() {
            self.jobs.only = busy.as_ref().map(|busy| busy.job);
            self.restrain(restraint::BUSY, busy.is_some());
            if busy.is_none() {
                self.jobs.wake_kept(&mut self.outbox.wakes);
            }
            self.busy = busy;
        }
    }

    /// Sets or clears a bit of [`restraint`].
    pub fn restrain(&mut self, bit: u32, is_restrained: bool) {
        match is_restrained {
            true => self.restraint |= bit,
            false => self.restraint &= !bit,
        }
    }

    /// Whether CLIENT PAUSE holds commands back that may (or may not) write.
    pub fn is_paused(&self, may_write: bool) -> bool {
        self.pause.is_some_and(|pause| {
            pause.until_ms > self.clock.unix_ms() && (may_write || !pause.is_writes_only)
        })
    }
}

fn limits_of(config: &Config, before: &Limits) -> Limits {
    let size = |option| usize::try_from(config.int(option)).unwrap_or(0);
    Limits {
        hasher: before.hasher.clone(),
        hash_max_listpack_entries: size(Opt::HashMaxListpackEntries),
        hash_max_listpack_value: size(Opt::HashMaxListpackValue),
        set_max_intset_entries: size(Opt::SetMaxIntsetEntries),
        zset_max_listpack_entries: size(Opt::ZsetMaxListpackEntries),
        zset_max_listpack_value: size(Opt::ZsetMaxListpackValue),
        list_max_listpack_size: config.int(Opt::ListMaxListpackSize),
        list_packed_threshold: before.list_packed_threshold,
        list_compress_depth: size(Opt::ListCompressDepth),
        stream_node_max_bytes: size(Opt::StreamNodeMaxBytes),
        stream_node_max_entries: size(Opt::StreamNodeMaxEntries),
        hll_sparse_max_bytes: size(Opt::HllSparseMaxBytes),
    }
}
