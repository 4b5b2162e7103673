//! INFO: what the server tells about itself, in the sections and with the field names of Redis 7.0.15.
//!
//! Fields of features that do not exist yet have the value a fresh Redis shows (0, `no`, an empty list), so
//! that tools which read them go on; nothing is made up. Ours beside them: `rufous_version`,
//! `loop_turns`, `loop_max_stall_us`, and the section `loop`, which only INFO loop, all and everything show. There is
//! no `server_name`: Redis has none, and by that field programs tell Valkey and others from it.
//!
//! `info` has the frame and the small sections, `info_memory` the memory figures (MEMORY reads them too),
//! `info_load` what is counted per command, error and database. Cost: O(commands + clients).
use std::fmt::Display;
use std::io::Write;

use crate::base::sys::{self, CpuOf};
use crate::engine::config::Opt;
use crate::engine::ctx::Ctx;
use crate::engine::session::Waiting;
use crate::engine::{info_load, info_memory};

/// The version of Redis whose behaviour is offered; clients choose by it.
pub const REDIS_VERSION: &str = "7.0.15";

/// A set of sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sections(u32);

/// In the order in which they are printed: name, whether INFO without arguments shows it, what prints it.
type Section = (&'static str, bool, fn(&mut Ctx<'_>, &mut InfoText));

const SECTIONS: &[Section] = &[
    ("server", true, server),
    ("clients", true, clients),
    ("memory", true, info_memory::section),
    ("persistence", true, persistence),
    ("stats", true, info_load::stats),
    ("replication", true, replication),
    ("cpu", true, cpu),
    ("modules", true, modules),
    ("commandstats", false, info_load::command_stats),
    ("errorstats", true, info_load::error_stats),
    ("latencystats", false, info_load::latency_stats),
    ("loop", false, info_load::turns),
    ("cluster", true, cluster),
    ("keyspace", true, info_load::keyspace),
];

impl Sections {
    /// The sections named, in any case; `default`, `all` and `everything` are several, unknown names none.
    /// Without any name: the default ones.
    pub fn named<'n>(names: impl ExactSizeIterator<Item = &'n [u8]>) -> Sections {
        if names.len() == 0 {
            return Sections::default();
        }
        names.fold(Sections(0), |set, name| Sections(set.0 | Sections::of(name).0))
    }

    fn of(name: &[u8]) -> Sections {
        match &*name.to_ascii_lowercase() {
            b"default" => Sections::default(),
            b"all" | b"everything" => Sections((1 << SECTIONS.len()) - 1),
            // The name which Redis's own default list has for it.
            b"module_list" => Sections::of(b"modules"),
            name => Sections::some(|(known, _, _)| known.as_bytes() == name),
        }
    }

    fn some(is_wanted: impl Fn(&Section) -> bool) -> Sections {
        let bits = SECTIONS.iter().enumerate();
        Sections(bits.fold(0, |set, (bit, section)| set | u32::from(is_wanted(section)) << bit))
    }
}

impl Default for Sections {
    /// What INFO without arguments shows.
    fn default() -> Sections {
        Sections::some(|(_, is_default, _)| *is_default)
    }
}

/// The text of INFO.
pub fn text(ctx: &mut Ctx<'_>, sections: Sections) -> Vec<u8> {
    let mut text = InfoText::default();
    for (bit, (_, _, print)) in SECTIONS.iter().enumerate() {
        if sections.0 & 1 << bit != 0 {
            print(ctx, &mut text);
        }
    }
    text.bytes
}

/// Collects `name:value` lines.
#[derive(Debug, Default)]
pub(super) struct InfoText {
    bytes: Vec<u8>,
}

impl InfoText {
    /// Begins a section.
    pub(super) fn title(&mut self, title: &str) {
        if !self.bytes.is_empty() {
            self.bytes.extend_from_slice(b"\r\n");
        }
        self.line(format_args!("# {title}"));
    }

    /// One field.
    pub(super) fn field(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("{name}:{value}"));
    }

    /// Fields that are 0.
    pub(super) fn zeros(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.field(name, 0));
    }

    /// Bytes, and the same for people.
    pub(super) fn bytes_field(&mut self, name: &str, bytes: u64) {
        self.field(name, bytes);
        self.line(format_args!("{name}_human:{}", human(bytes)));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A Vec takes every write.
        let _ = self.bytes.write_fmt(line);
        self.bytes.extend_from_slice(b"\r\n");
    }
}

/// A name that comes from outside, without what would end a field or a line.
pub(super) fn safe_name(name: &[u8]) -> String {
    String::from_utf8_lossy(name).replace(['#', ':', '\n', '\r'], "_")
}

/// Bytes in the largest unit that leaves a number of at least one.
pub(super) fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut amount = bytes as f64;
    let mut unit = ' ';
    for next in ['K', 'M', 'G', 'T', 'P'] {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = next;
    }
    format!("{amount:.2}{unit}")
}

fn server(ctx: &mut Ctx<'_>, text: &mut InfoText) {
    let shared = &*ctx.engine;
    let config = &shared.config;
    let uptime_seconds = ((ctx.now - shared.started_ms) / 1000).max(0);
    text.title("Server");
    text.field("redis_version", REDIS_VERSION);
    text.field("rufous_version", env!("CARGO_PKG_VERSION"));
    text.field("redis_git_sha1", "00000000");
    text.field("redis_git_dirty", 0);
    text.field("redis_build_id", 0);
    text.field("redis_mode", "standalone");
    text.field("os", sys::os_name());
    text.field("arch_bits", usize::BITS);
    let counter = if cfg!(target_arch = "x86_64") { "X86 TSC" } else { "POSIX clock_gettime" };
    text.field("monotonic_clock", counter);
    text.field("multiplexing_api", if cfg!(target_os = "linux") { "epoll" } else { "kqueue" });
    text.field("atomicvar_api", "rust-std");
    text.field("gcc_version", "0.0.0");
    text.field("process_id", std::process::id());
    text.field("process_supervised", "no");
    text.field("run_id", &shared.run_id);
    let port = match config.int(Opt::Port) {
        0 => config.int(Opt::TlsPort),
        port => port,
    };
    text.field("tcp_port", port);
    text.field("server_time_usec", shared.clock.unix_us());
    text.field("uptime_in_seconds", uptime_seconds);
    text.field("uptime_in_days", uptime_seconds / 86_400);
    text.field("hz", config.int(Opt::Hz));
    text.field("configured_hz", config.int(Opt::Hz));
    text.field("lru_clock", (ctx.now / 1000) & 0x00ff_ffff);
    let executable = std::env::current_exe().unwrap_or_default();
    text.field("executable", executable.display());
    text.field("config_file", config.file.as_deref().unwrap_or(std::path::Path::new("")).display());
    text.field("io_threads_active", 0);
}

fn clients(ctx: &mut Ctx<'_>, text: &mut InfoText) {
    let shared = &*ctx.engine;
    // The one whose command runs counts, too; embedded, it may be in no registry.
    let mut connected = 1;
    let (mut waiting, mut input_max, mut output_max) = (0, 0, 0);
    for (_, session) in shared.clients.iter().filter(|(_, session)| !session.is_killed) {
        connected += 1;
        let is_waiting =
            matches!(session.waiting, Some(Waiting::Pause | Waiting::Keys | Waiting::Blocked));
        waiting += usize::from(is_waiting);
        let io = &session.io;
        input_max = input_max.max(io.query_bytes + io.query_free_bytes);
        output_max = output_max.max(io.reply_bytes + io.reply_block_bytes);
    }
    text.title("Clients");
    text.field("connected_clients", connected);
    text.field("cluster_connections", 0);
    text.field("maxclients", shared.config.int(Opt::MaxClients));
    text.field("client_recent_max_input_buffer", input_max);
    text.field("client_recent_max_output_buffer", output_max);
    text.field("blocked_clients", waiting);
    text.field("tracking_clients", shared.tracking.clients());
    text.field("clients_in_timeout_table", shared.blocking.deadlines());
}

fn persistence(ctx: &mut Ctx<'_>, text: &mut InfoText) {
    let shared = &*ctx.engine;
    text.title("Persistence");
    text.zeros(&[
        "loading",
        "async_loading",
        "current_cow_peak",
        "current_cow_size",
        "current_cow_size_age",
    ]);
    text.field("current_fork_perc", "0.00");
    text.zeros(&["current_save_keys_processed", "current_save_keys_total"]);
    text.field("rdb_changes_since_last_save", shared.stats.dirty);
    text.field("rdb_bgsave_in_progress", 0);
    text.field("rdb_last_save_time", shared.started_ms / 1000);
    text.field("rdb_last_bgsave_status", "ok");
    text.field("rdb_last_bgsave_time_sec", -1);
    text.field("rdb_current_bgsave_time_sec", -1);
    text.zeros(&[
        "rdb_saves",
        "rdb_last_cow_size",
        "rdb_last_load_keys_expired",
        "rdb_last_load_keys_loaded",
        "aof_enabled",
        "aof_rewrite_in_progress",
        "aof_rewrite_scheduled",
    ]);
    text.field("aof_last_rewrite_time_sec", -1);
    text.field("aof_current_rewrite_time_sec", -1);
    text.field("aof_last_bgrewrite_status", "ok");
    text.zeros(&["aof_rewrites", "aof_rewrites_consecutive_failures"]);
    text.field("aof_last_write_status", "ok");
    text.zeros(&["aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"]);
}

fn replication(ctx: &mut Ctx<'_>, text: &mut InfoText) {
    text.title("Replication");
    text.field("role", "master");
    text.field("connected_slaves", 0);
    if ctx.engine.lacks_replicas() {
        text.field("min_slaves_good_slaves", 0);
    }
    text.field("master_failover_state", "no-failover");
    text.field("master_replid", &ctx.engine.replication_id);
    text.field("master_replid2", "0".repeat(40));
    text.field("master_repl_offset", 0);
    text.field("second_repl_offset", -1);
    text.field("repl_backlog_active", 0);
    text.field("repl_backlog_size", ctx.engine.config.int(Opt::ReplBacklogSize));
    text.zeros(&["repl_backlog_first_byte_offset", "repl_backlog_histlen"]);
}

fn cpu(_ctx: &mut Ctx<'_>, text: &mut InfoText) {
    let seconds = |us: u64| format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.title("CPU");
    for (of, suffix) in
        [(CpuOf::Process, ""), (CpuOf::Children, "_children"), (CpuOf::Thread, "_main_thread")]
    {
        let time = sys::cpu_time(of);
        text.field(&format!("used_cpu_sys{suffix}"), seconds(time.system_us));
        text.field(&format!("used_cpu_user{suffix}"), seconds(time.user_us));
    }
}

fn modules(_ctx: &mut Ctx<'_>, text: &mut InfoText) {
    text.title("Modules");
}

fn cluster(_ctx: &mut Ctx<'_>, text: &mut InfoText) {
    text.title("Cluster");
    text.field("cluster_enabled", 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections(line: &str) -> Vec<&'static str> {
        let names: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        let set = Sections::named(names.into_iter());
        let chosen = SECTIONS.iter().enumerate().filter(|(bit, _)| set.0 & 1 << bit != 0);
        chosen.map(|(_, (name, _, _))| *name).collect()
    }

    #[test]
    fn names_choose_sections() {
        assert_eq!(sections("CPU sentinel server"), ["server", "cpu"]);
        assert_eq!(sections("nothing"), [""; 0]);
        assert_eq!(sections("module_list"), ["modules"]);
        assert_eq!(sections("cpu all").len(), SECTIONS.len());
        let default = sections("");
        assert_eq!(default, sections("cpu default"));
        assert!(!default.contains(&"commandstats") && !default.contains(&"latencystats"));
        assert_eq!(default.len(), SECTIONS.len() - 3);
    }

    #[test]
    fn bytes_for_people() {
        let shown = [0, 1023, 1024, 916_472, 25_276_510_208, u64::MAX].map(human);
        assert_eq!(shown, ["0B", "1023B", "1.00K", "894.99K", "23.54G", "16384.00P"]);
    }

    #[test]
    fn names_cannot_break_a_line() {
        assert_eq!(safe_name(b"a:b#c\r\nd"), "a_b_c__d");
    }
}
