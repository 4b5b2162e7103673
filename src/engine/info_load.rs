//! INFO: what is counted — statistics, per command, per error, per database.
use crate::engine::config::Opt;
use crate::engine::ctx::Ctx;
use crate::engine::engine::Shared;
use crate::engine::info::{InfoText, safe_name};
use crate::engine::pubsub::Kind;
use crate::engine::stalls::{Durations, Phase};
use crate::engine::stats::{CommandStats, Metric};

/// Section `stats`.
pub(super) fn stats(ctx: &mut Ctx<'_>, text: &mut InfoText) {
    let (mut hits, mut misses, mut expired, mut expired_fields) = (0, 0, 0, 0);
    for db in ctx.dbs() {
        hits += db.stats.hits;
        misses += db.stats.misses;
        expired += db.stats.expired;
        expired_fields += db.stats.expired_fields;
    }
    let shared = &*ctx.engine;
    let stats = &shared.stats;
    text.title("Stats");
    text.field("total_connections_received", stats.connections_received);
    text.field("total_commands_processed", stats.commands_processed);
    text.field("instantaneous_ops_per_sec", stats.rate(Metric::Commands));
    text.field("total_net_input_bytes", stats.net_input_bytes);
    text.field("total_net_output_bytes", stats.net_output_bytes);
    text.zeros(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"]);
    let kib_per_second = |metric| format!("{:.2}", stats.rate(metric) as f64 / 1024.0);
    text.field("instantaneous_input_kbps", kib_per_second(Metric::NetInput));
    text.field("instantaneous_output_kbps", kib_per_second(Metric::NetOutput));
    text.field("instantaneous_input_repl_kbps", "0.00");
    text.field("instantaneous_output_repl_kbps", "0.00");
    text.field("rejected_connections", stats.connections_rejected);
    text.zeros(&["sync_full", "sync_partial_ok", "sync_partial_err"]);
    text.field("expired_subkeys", expired_fields);
    text.field("expired_keys", expired);
    text.field("expired_stale_perc", format_args!("{:.2}", stats.expired_stale_percent));
    text.field("expired_time_cap_reached_count", stats.expire_cycle_capped);
    text.field("expire_cycle_cpu_milliseconds", stats.expire_cycle_us / 1000);
    text.field("evicted_keys", stats.evicted_keys);
    text.field("evicted_clients", stats.evicted_clients);
    let exceeding_us = shared.exceeding_us();
    let exceeded_us = stats.eviction_exceeded_us + exceeding_us;
    text.field("total_eviction_exceeded_time", exceeded_us / 1000);
    text.field("current_eviction_exceeded_time", exceeding_us / 1000);
    text.field("keyspace_hits", hits);
    text.field("keyspace_misses", misses);
    for (name, kind) in [
        ("pubsub_channels", Kind::Channel),
        ("pubsub_patterns", Kind::Pattern),
        ("pubsubshard_channels", Kind::Shard),
    ] {
        text.field(name, shared.pubsub.topics(kind));
    }
    text.field("latest_fork_usec", stats.last_fork_us);
    text.field("total_forks", stats.forks);
    text.field("migrate_cached_sockets", shared.remotes.len());
    text.field("slave_expires_tracked_keys", 0);
    // An entry is one allocation, and those of a page that is being emptied all move.
    text.field("active_defrag_hits", stats.compaction_moves);
    text.field("active_defrag_misses", 0);
    text.field("active_defrag_key_hits", stats.compaction_moves);
    text.field("active_defrag_key_misses", 0);
    let compaction_ms = shared.clock.nanos(stats.compaction_ticks) / 1_000_000;
    text.field("total_active_defrag_time", compaction_ms);
    text.field("current_active_defrag_time", 0);
    text.field("tracking_total_keys", shared.tracking.keys());
    text.field("tracking_total_items", shared.tracking.items());
    text.field("tracking_total_prefixes", shared.tracking.prefixes());
    text.field("unexpected_error_replies", 0);
    text.field("total_error_replies", stats.error_replies);
    text.field("dump_payload_sanitizations", 0);
    text.field("total_reads_processed", stats.reads_processed);
    text.field("total_writes_processed", stats.writes_processed);
    text.zeros(&["io_threaded_reads_processed", "io_threaded_writes_processed"]);
    text.field("reply_buffer_shrinks", stats.reply_buffer_shrinks);
    text.field("reply_buffer_expands", stats.reply_buffer_expands);
    text.field("client_query_buffer_limit_disconnections", stats.query_buffer_disconnections);
    text.field("client_output_buffer_limit_disconnections", stats.output_buffer_disconnections);
    let turns = shared.stalls.turns();
    text.field("loop_turns", turns.histogram.count());
    text.field("loop_max_stall_us", turns.nanos_max / 1000);
}

/// Section `loop`: turns of the event loop, whole and by phase, without waiting; microseconds.
pub(super) fn turns(ctx: &mut Ctx<'_>, text: &mut InfoText) {
    let shared = &*ctx.engine;
    let stalls = &shared.stalls;
    text.title("Loop");
    text.field("loop_budget_us", shared.config.size(Opt::MaxStallUs));
    text.field("loop_stalls", stalls.count());
    text.field("jobs_running", shared.jobs.len());
    text.field("jobs_ended", shared.jobs.ended);
    text.field("clients_waiting_for_keys", shared.jobs.clients_waiting());
    durations(text, "loop_turn", stalls.turns());
    for &phase in Phase::ALL {
        durations(text, &format!("loop_phase_{}", phase.name()), stalls.phase(phase));
    }
}

fn durations(text: &mut InfoText, name: &str, durations: &Durations) {
    let percentile = |percent| durations.histogram.percentile(percent) as f64 / 1000.0;
    text.field(
        name,
        format_args!(
            "turns={},usec={},p50={:.3},p99={:.3},p99.9={:.3},max={:.3}",
            durations.histogram.count(),
            durations.nanos_total / 1000,
            percentile(50.0),
            percentile(99.0),
            percentile(99.9),
            durations.nanos_max as f64 / 1000.0,
        ),
    );
}

/// Every command and subcommand with its counters.
fn counted(shared: &Shared) -> impl Iterator<Item = (&'static str, &CommandStats)> {
    shared
        .table
        .commands_and_subcommands()
        .filter_map(|entry| Some((entry.full_name, shared.stats.commands.get(entry.id.index())?)))
}

/// Section `commandstats`: commands that were called or refused.
pub(super) fn command_stats(ctx: &mut Ctx<'_>, text: &mut InfoText) {
    text.title("Commandstats");
    let shared = &*ctx.engine;
    for (name, stats) in counted(shared) {
        if stats.calls + stats.rejected + stats.failed == 0 {
            continue;
        }
        let micros = shared.clock.nanos(stats.ticks) / 1000;
        let micros_each = micros as f64 / stats.calls.max(1) as f64;
        text.field(
            &format!("cmdstat_{name}"),
            format_args!(
                "calls={},usec={micros},usec_per_call={micros_each:.2},rejected_calls={},failed_calls={}",
                stats.calls, stats.rejected, stats.failed
            ),
        );
    }
}

/// Section `errorstats`.
pub(super) fn error_stats(ctx: &mut Ctx<'_>, text: &mut InfoText) {
    text.title("Errorstats");
    for (code, count) in &ctx.engine.stats.errors {
        text.field(&format!("errorstat_{}", safe_name(code)), format_args!("count={count}"));
    }
}

/// Section `latencystats`: percentiles in microseconds, by `latency-tracking-info-percentiles`.
pub(super) fn latency_stats(ctx: &mut Ctx<'_>, text: &mut InfoText) {
    text.title("Latencystats");
    let shared = &*ctx.engine;
    if !shared.config.flag(Opt::LatencyTracking) {
        return;
    }
    for (name, stats) in counted(shared) {
        let Some(histogram) = &stats.histogram else { continue };
        let list: Vec<String> = shared
            .config
            .percentiles()
            .iter()
            .map(|&percent| {
                let micros = histogram.percentile(percent) as f64 / 1000.0;
                format!("p{}={micros:.3}", percent_name(percent))
            })
            .collect();
        text.field(&format!("latency_percentiles_usec_{name}"), list.join(","));
    }
}

/// Up to six decimals, without zeros at the end.
fn percent_name(percent: f64) -> String {
    format!("{percent:.6}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Section `keyspace`: databases that have keys.
pub(super) fn keyspace(ctx: &mut Ctx<'_>, text: &mut InfoText) {
    text.title("Keyspace");
    for (index, db) in ctx.dbs().enumerate() {
        if !db.is_empty() {
            // Later than 7.0, so only where it says something.
            let hashes = db.expiring_hashes();
            let subexpiry = if hashes > 0 { format!(",subexpiry={hashes}") } else { String::new() };
            text.field(
                &format!("db{index}"),
                format_args!(
                    "keys={},expires={},avg_ttl={}{subexpiry}",
                    db.len(),
                    db.expires_len(),
                    db.avg_ttl_ms()
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::percent_name;

    #[test]
    fn percents_are_named_as_they_were_configured() {
        let named = [50.0, 99.9, 100.0, 0.0, 99.123_456_7].map(percent_name);
        assert_eq!(named, ["50", "99.9", "100", "0", "99.123457"]);
    }
}
