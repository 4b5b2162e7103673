//! Layer 5: the commands of Redis, declared and handled. No family imports another.
mod acl;
mod acl_change;
mod bit_edit;
mod bitfield;
mod bitmap;
mod bitop;
mod claims;
mod client;
mod client_list;
mod client_tracking;
mod clock;
mod cluster;
pub mod config;
mod connection;
mod copy;
mod database;
mod debug;
mod debug_digest;
mod debug_digest_job;
mod debug_object;
mod debug_populate;
pub mod direct;
mod distribution;
mod dump;
mod each;
mod eval;
pub mod execute;
mod expire;
mod fcall;
mod function;
mod geo;
mod geo_search;
mod geo_search_job;
mod geo_value;
mod hash;
mod hash_expire;
mod hash_random;
mod hash_timed;
mod hash_value;
mod hash_walk;
mod help;
mod hotkeys;
mod hyperloglog;
pub mod introspect;
mod items;
mod key;
mod latency_report;
mod lcs;
mod list;
mod list_blocking;
mod list_inner;
mod list_value;
mod lolwut;
mod memory;
mod migrate;
mod migrate_job;
mod module;
mod nested;
mod object;
mod observe;
mod options;
mod payload;
mod pubsub;
pub mod run_jobs;
mod scan;
mod scan_options;
mod script;
mod script_debug;
mod script_run;
pub mod serve;
mod server;
mod set;
mod set_combine;
mod set_members;
mod set_random;
mod sort;
mod sort_job;
mod stalls;
mod stream_add;
mod stream_claim;
mod stream_group;
mod stream_info;
mod stream_pending;
mod stream_range;
mod stream_read;
mod stream_read_request;
mod stream_read_wait;
mod stream_value;
mod string;
mod string_number;
mod string_range;
mod string_set;
#[cfg(test)]
mod string_tests;
mod string_value;
mod string_weigh;
pub mod syntax;
mod transaction;
mod wait_many;
mod watch_many;
mod zset;
mod zset_combine;
mod zset_combine_job;
mod zset_pop;
mod zset_range;
mod zset_remove;
mod zset_scan;
mod zset_value;

use std::sync::LazyLock;

pub use crate::engine::{keys, spec, table};
use spec::Command;
use table::{Catalogue, CommandTable};

/// All commands by family. A family not listed here is dead code, which the compiler refuses.
pub(crate) const FAMILIES: &[&[Command]] = &[
    eval::COMMANDS,
    script::COMMANDS,
    string::COMMANDS,
    string_set::COMMANDS,
    string_number::COMMANDS,
    string_range::COMMANDS,
    lcs::COMMANDS,
    set::COMMANDS,
    set_combine::COMMANDS,
    set_random::COMMANDS,
    list::COMMANDS,
    list_inner::COMMANDS,
    list_blocking::COMMANDS,
    bitmap::COMMANDS,
    bitfield::COMMANDS,
    bitop::COMMANDS,
    hyperloglog::COMMANDS,
    geo::COMMANDS,
    geo_search::COMMANDS,
    key::COMMANDS,
    copy::COMMANDS,
    expire::COMMANDS,
    scan::COMMANDS,
    zset::COMMANDS,
    zset_range::COMMANDS,
    zset_remove::COMMANDS,
    zset_pop::COMMANDS,
    zset_scan::COMMANDS,
    zset_combine::COMMANDS,
    stream_add::COMMANDS,
    stream_range::COMMANDS,
    stream_read::COMMANDS,
    stream_group::COMMANDS,
    stream_pending::COMMANDS,
    stream_claim::COMMANDS,
    stream_info::COMMANDS,
    hash::COMMANDS,
    hash_walk::COMMANDS,
    hash_random::COMMANDS,
    hash_expire::COMMANDS,
    hash_timed::COMMANDS,
    sort::COMMANDS,
    object::COMMANDS,
    dump::COMMANDS,
    migrate::COMMANDS,
    fcall::COMMANDS,
    function::COMMANDS,
    database::COMMANDS,
    pubsub::COMMANDS,
    connection::COMMANDS,
    acl::COMMANDS,
    transaction::COMMANDS,
    client::COMMANDS,
    server::COMMANDS,
    observe::COMMANDS,
    stalls::COMMANDS,
    hotkeys::COMMANDS,
    cluster::COMMANDS,
    module::COMMANDS,
    memory::COMMANDS,
    debug::COMMANDS,
    clock::COMMANDS,
    config::COMMANDS,
    introspect::COMMANDS,
];

#[cfg(test)]
mod keyspace_tests;

/// The families' commands, numbered.
pub(crate) static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::of(FAMILIES));

impl Default for CommandTable {
    fn default() -> CommandTable {
        CommandTable::new()
    }
}

impl CommandTable {
    /// All commands under their own names. Some microseconds.
    pub fn new() -> CommandTable {
        CommandTable::over(&CATALOGUE)
    }
}
