//! Where memory is: the figures behind INFO memory, MEMORY STATS and MEMORY DOCTOR.
//!
//! ```text
//!   resident    ─ what the system gave us
//!   active      ─ of that: what was used, and the free slots of the pages of the keyspace's heaps
//!     used      ─ of that: what the allocator was asked for, and the slots in use
//!       counted ─ of that: what counts against `maxmemory`: all but clients
//!     overhead  ─ of that: what was there at the start, tables, clients
//!     dataset   ─ the rest: keys and values
//! ```
//!
//! The keyspace's heaps are mapped from the system, so the allocator does not count them. Cost: one file read
//! (`/proc/self/statm`), O(databases).
use crate::base::memory;
use crate::base::sys;
use crate::engine::config::Opt;
use crate::engine::config_choice::MaxmemoryPolicy;
use crate::engine::ctx::Ctx;
use crate::engine::engine::Shared;
use crate::engine::info::{InfoText, human};

/// One database that has keys.
#[derive(Clone, Copy, Debug)]
pub struct DbOverhead {
    /// Its index.
    pub index: usize,
    /// Bytes of its table.
    pub table_bytes: usize,
}

/// All figures, in bytes but where said.
#[derive(Clone, Debug)]
pub struct MemoryReport {
    /// In use.
    pub used: usize,
    /// Most ever in use, as far as it was looked at.
    pub peak: usize,
    /// In use when the engine had been set up.
    pub startup: usize,
    /// Resident set.
    pub resident: usize,
    /// In use, and the keyspace's free slots.
    pub active: usize,
    /// Of what is in use: what counts against `maxmemory`.
    pub counted: usize,
    /// Connections and what is known of clients.
    pub clients: usize,
    /// All that is not keys and values.
    pub overhead: usize,
    /// Keys and values.
    pub dataset: usize,
    /// Number of keys.
    pub keys: usize,
    /// Databases with keys.
    pub dbs: Vec<DbOverhead>,
}

impl MemoryReport {
    /// Measures. Also notes a new peak.
    pub fn measure(ctx: &mut Ctx<'_>) -> MemoryReport {
        let (mut heap_live, mut heap_free, mut tables, mut data) = (0, 0, 0, 0);
        let (mut keys, mut dbs) = (0, Vec::new());
        for (index, db) in ctx.dbs().enumerate() {
            let memory = db.memory();
            heap_live += memory.heap_live_bytes;
            heap_free += memory.heap_page_bytes.saturating_sub(memory.heap_live_bytes);
            tables += memory.table_bytes;
            data += memory.used_bytes();
            keys += db.len();
            if !db.is_empty() {
                dbs.push(DbOverhead { index, table_bytes: memory.table_bytes });
            }
        }
        // Without the counting allocator (embedded) the keyspace is all that is known.
        let allocated = match memory::allocated_bytes() {
            0 => data,
            allocated => allocated + heap_live,
        };
        let shared = &mut *ctx.engine;
        let dying = shared.graveyard.bytes();
        let used = allocated + dying - shared.graveyard.allocated_bytes();
        let counted = (shared.eviction.base_bytes() + data + dying).min(used);
        shared.stats.peak_memory_bytes = shared.stats.peak_memory_bytes.max(used);
        // Embedded, the client may be in no registry.
        let is_known = shared.clients.slot_of(ctx.client.id).is_some();
        let own = if is_known { 0 } else { ctx.client.memory_bytes() };
        let clients = shared.clients.memory.total_bytes() + own;
        let overhead = (shared.startup_memory_bytes + tables + clients).min(used);
        MemoryReport {
            used,
            peak: shared.stats.peak_memory_bytes,
            startup: shared.startup_memory_bytes,
            resident: memory::resident_bytes(),
            active: used + heap_free,
            counted,
            clients,
            overhead,
            dataset: used - overhead,
            keys,
            dbs,
        }
    }

    /// Bytes used since the start; at least 1, as it divides.
    pub fn net(&self) -> usize {
        self.used.saturating_sub(self.startup).max(1)
    }

    /// Share of the data set in what was allocated since the start, in per cent.
    pub fn dataset_percent(&self) -> f64 {
        self.dataset as f64 * 100.0 / self.net() as f64
    }

    /// Use now, in per cent of the peak.
    pub fn peak_percent(&self) -> f64 {
        self.used as f64 * 100.0 / self.peak.max(1) as f64
    }

    /// Free slots of the keyspace: what compaction can return.
    pub fn fragmentation(&self) -> Ratio {
        Ratio::of(self.active, self.used)
    }

    /// Resident beyond what we hold: the allocator's free lists, code, stacks.
    pub fn allocator_overhead(&self) -> Ratio {
        Ratio::of(self.resident, self.active)
    }

    /// Resident against in use: all overhead together.
    pub fn total_fragmentation(&self) -> Ratio {
        Ratio::of(self.resident, self.used)
    }
}

/// A whole compared with a part of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Whole divided by part.
    pub ratio: f64,
    /// Whole less part, in bytes.
    pub bytes: i64,
}

impl Ratio {
    /// Nothing beyond the part.
    pub const NONE: Ratio = Ratio { ratio: 1.0, bytes: 0 };

    fn of(whole: usize, part: usize) -> Ratio {
        Ratio { ratio: whole as f64 / part.max(1) as f64, bytes: whole as i64 - part as i64 }
    }
}

/// Section `memory` of INFO.
pub(super) fn section(ctx: &mut Ctx<'_>, text: &mut InfoText) {
    let report = MemoryReport::measure(ctx);
    text.title("Memory");
    text.bytes_field("used_memory", report.used as u64);
    text.bytes_field("used_memory_rss", report.resident as u64);
    text.bytes_field("used_memory_peak", report.peak as u64);
    text.field("used_memory_peak_perc", format_args!("{:.2}%", report.peak_percent()));
    text.field("used_memory_overhead", report.overhead);
    text.field("used_memory_startup", report.startup);
    text.field("used_memory_dataset", report.dataset);
    text.field("used_memory_dataset_perc", format_args!("{:.2}%", report.dataset_percent()));
    text.field("allocator_allocated", report.used);
    text.field("allocator_active", report.active);
    text.field("allocator_resident", report.resident);
    text.bytes_field("total_system_memory", sys::memory_total());
    scripts(ctx.engine, text);
    text.bytes_field("maxmemory", ctx.engine.config.size(Opt::Maxmemory));
    text.field("maxmemory_policy", policy_name(ctx.engine.config.maxmemory_policy()));
    ratios(&report, text);
    let is_limited = ctx.engine.config.size(Opt::Maxmemory) != 0;
    let not_counted = if is_limited { report.used - report.counted } else { report.clients };
    text.field("mem_not_counted_for_evict", not_counted);
    text.zeros(&["mem_replication_backlog", "mem_total_replication_buffers", "mem_clients_slaves"]);
    text.field("mem_clients_normal", report.clients);
    text.zeros(&["mem_cluster_links", "mem_aof_buffer"]);
    text.field("mem_allocator", "libc");
    let is_compacting = ctx.dbs().any(|db| db.is_compacting());
    text.field("active_defrag_running", u8::from(is_compacting));
    let (mut pending, mut freed) = (ctx.engine.graveyard.pending(), ctx.engine.graveyard.freed);
    for db in ctx.dbs() {
        pending += db.garbage_objects();
        freed += db.stats.freed_later;
    }
    text.field("lazyfree_pending_objects", pending);
    text.field("lazyfreed_objects", freed);
}

/// Interpreters, and what is kept beside them.
fn scripts(engine: &Shared, text: &mut InfoText) {
    let (scripts, libraries) = (&engine.scripts, &engine.functions.libraries);
    let (eval, functions) = (scripts.interpreter_bytes, scripts.functions_bytes);
    text.field("used_memory_lua", eval);
    text.field("used_memory_vm_eval", eval);
    text.field("used_memory_lua_human", human(eval as u64));
    text.field("used_memory_scripts_eval", scripts.cache_bytes());
    text.field("number_of_cached_scripts", scripts.len());
    text.field("number_of_functions", libraries.function_count());
    text.field("number_of_libraries", libraries.len());
    text.field("used_memory_vm_functions", functions);
    text.bytes_field("used_memory_vm_total", (eval + functions) as u64);
    text.field("used_memory_functions", libraries.bytes());
    text.bytes_field("used_memory_scripts", (scripts.cache_bytes() + libraries.bytes()) as u64);
}

fn ratios(report: &MemoryReport, text: &mut InfoText) {
    let fields = [
        ("allocator_frag", report.fragmentation()),
        ("allocator_rss", report.allocator_overhead()),
        // Resident is counted as the allocator's in full: there is no third part.
        ("rss_overhead", Ratio::NONE),
        ("mem_fragmentation", report.total_fragmentation()),
    ];
    for (name, ratio) in fields {
        text.field(&format!("{name}_ratio"), format_args!("{:.2}", ratio.ratio));
        text.field(&format!("{name}_bytes"), ratio.bytes);
    }
}

fn policy_name(policy: MaxmemoryPolicy) -> &'static str {
    let words = MaxmemoryPolicy::WORDS;
    words.iter().find(|(_, value)| *value == policy as i64).map_or("noeviction", |(word, _)| word)
}
