//! CLUSTER, READONLY, READWRITE and ASKING on a server that is no cluster: each says so.
//!
//! Clients and tools ask them to find out (`CLUSTER INFO`, `CLUSTER SLOTS`), and `redis-cli` knows them by COMMAND
//! DOCS, so they are declared in full. As in Redis without `cluster-enabled`, even HELP is refused.
use crate::command::spec::flag::{ADMIN, FAST, LOADING, NO_ASYNC_LOADING, NOSCRIPT, STALE};
use crate::command::spec::{Command, Doc, Group, category, command, container, doc};
use crate::engine::ctx::{CmdResult, Ctx};
use crate::engine::error::CmdError;
use crate::proto::args::Args;

/// The table of contents of this family.
pub(super) const COMMANDS: &[Command] = &[CLUSTER, READONLY, READWRITE, ASKING];

const CLUSTER: Command = Command {
    doc: doc("3.0.0", "Depends on subcommand.", "", "A container for cluster commands"),
    ..container(Group::Cluster, "cluster", PARTS)
};

const READONLY: Command = Command {
    flags: FAST | LOADING | STALE,
    categories: category::CONNECTION,
    doc: doc(
        "3.0.0",
        "O(1)",
        "",
        "Enables read queries for a connection to a cluster replica node",
    ),
    ..command(Group::Cluster, "readonly", 1, disabled)
};

const READWRITE: Command = Command {
    flags: FAST | LOADING | STALE,
    categories: category::CONNECTION,
    doc: doc(
        "3.0.0",
        "O(1)",
        "",
        "Disables read queries for a connection to a cluster replica node",
    ),
    ..command(Group::Cluster, "readwrite", 1, disabled)
};

const ASKING: Command = Command {
    flags: FAST,
    categories: category::CONNECTION,
    doc: doc("3.0.0", "O(1)", "", "Sent by cluster clients after an -ASK redirect"),
    ..command(Group::Cluster, "asking", 1, disabled)
};

/// Of those that change a cluster.
const CHANGES: u32 = NO_ASYNC_LOADING | ADMIN | STALE;
const OUTPUT: &[&str] = &["nondeterministic_output"];

const PARTS: &[Command] = &[
    part(
        "addslots",
        -3,
        CHANGES,
        &[],
        doc(
            "3.0.0",
            "O(N) where N is the total number of hash slot arguments",
            "slot:integer...",
            "Assign new hash slots to receiving node",
        ),
    ),
    part(
        "addslotsrange",
        -4,
        CHANGES,
        &[],
        doc(
            "7.0.0",
            "O(N) where N is the total number of the slots between the start slot and end slot arguments.",
            "start-slot_end-slot(start-slot:integer end-slot:integer)...",
            "Assign new hash slots to receiving node",
        ),
    ),
    part(
        "bumpepoch",
        2,
        CHANGES,
        OUTPUT,
        doc("3.0.0", "O(1)", "", "Advance the cluster config epoch"),
    ),
    part(
        "count-failure-reports",
        3,
        ADMIN | STALE,
        OUTPUT,
        doc(
            "3.0.0",
            "O(N) where N is the number of failure reports",
            "node-id:string",
            "Return the number of failure reports active for a given node",
        ),
    ),
    part(
        "countkeysinslot",
        3,
        STALE,
        &[],
        doc(
            "3.0.0",
            "O(1)",
            "slot:integer",
            "Return the number of local keys in the specified hash slot",
        ),
    ),
    part(
        "delslots",
        -3,
        CHANGES,
        &[],
        doc(
            "3.0.0",
            "O(N) where N is the total number of hash slot arguments",
            "slot:integer...",
            "Set hash slots as unbound in receiving node",
        ),
    ),
    part(
        "delslotsrange",
        -4,
        CHANGES,
        &[],
        doc(
            "7.0.0",
            "O(N) where N is the total number of the slots between the start slot and end slot arguments.",
            "start-slot_end-slot(start-slot:integer end-slot:integer)...",
            "Set hash slots as unbound in receiving node",
        ),
    ),
    part(
        "failover",
        -2,
        CHANGES,
        &[],
        doc(
            "3.0.0",
            "O(1)",
            "[options(FORCE|TAKEOVER)]",
            "Forces a replica to perform a manual failover of its master.",
        ),
    ),
    part(
        "flushslots",
        2,
        CHANGES,
        &[],
        doc("3.0.0", "O(1)", "", "Delete a node's own slots information"),
    ),
    part(
        "forget",
        3,
        CHANGES,
        &[],
        doc("3.0.0", "O(1)", "node-id:string", "Remove a node from the nodes table"),
    ),
    part(
        "getkeysinslot",
        4,
        STALE,
        OUTPUT,
        doc(
            "3.0.0",
            "O(log(N)) where N is the number of requested keys",
            "slot:integer count:integer",
            "Return local key names in the specified hash slot",
        ),
    ),
    part(
        "help",
        2,
        LOADING | STALE,
        &[],
        doc("5.0.0", "O(1)", "", "Show helpful text about the different subcommands"),
    ),
    part(
        "info",
        2,
        STALE,
        OUTPUT,
        doc("3.0.0", "O(1)", "", "Provides info about Redis Cluster node state"),
    ),
    part(
        "keyslot",
        3,
        STALE,
        &[],
        doc(
            "3.0.0",
            "O(N) where N is the number of bytes in the key",
            "key:string",
            "Returns the hash slot of the specified key",
        ),
    ),
    part(
        "links",
        2,
        STALE,
        OUTPUT,
        doc(
            "7.0.0",
            "O(N) where N is the total number of Cluster nodes",
            "",
            "Returns a list of all TCP links to and from peer nodes in cluster",
        ),
    ),
    part(
        "meet",
        -4,
        CHANGES,
        &[],
        Doc {
            history: &[("4.0.0", "Added the optional `cluster_bus_port` argument.")],
            ..doc(
                "3.0.0",
                "O(1)",
                "ip:string port:integer [cluster_bus_port:integer@4.0.0]",
                "Force a node cluster to handshake with another node",
            )
        },
    ),
    part("myid", 2, STALE, &[], doc("3.0.0", "O(1)", "", "Return the node id")),
    part(
        "nodes",
        2,
        STALE,
        OUTPUT,
        doc(
            "3.0.0",
            "O(N) where N is the total number of Cluster nodes",
            "",
            "Get Cluster config for the node",
        ),
    ),
    part(
        "replicas",
        3,
        ADMIN | STALE,
        OUTPUT,
        doc("5.0.0", "O(1)", "node-id:string", "List replica nodes of the specified master node"),
    ),
    part(
        "replicate",
        3,
        CHANGES,
        &[],
        doc(
            "3.0.0",
            "O(1)",
            "node-id:string",
            "Reconfigure a node as a replica of the specified master node",
        ),
    ),
    part(
        "reset",
        -2,
        ADMIN | NOSCRIPT | STALE,
        &[],
        doc(
            "3.0.0",
            "O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.",
            "[hard_soft(HARD|SOFT)]",
            "Reset a Redis Cluster node",
        ),
    ),
    part(
        "saveconfig",
        2,
        CHANGES,
        &[],
        doc("3.0.0", "O(1)", "", "Forces the node to save cluster state on disk"),
    ),
    part(
        "set-config-epoch",
        3,
        CHANGES,
        &[],
        doc("3.0.0", "O(1)", "config-epoch:integer", "Set the configuration epoch in a new node"),
    ),
    part(
        "setslot",
        -4,
        CHANGES,
        &[],
        doc(
            "3.0.0",
            "O(1)",
            "slot:integer subcommand(IMPORTING=node-id:string|MIGRATING=node-id:string|NODE=node-id:string|STABLE)",
            "Bind a hash slot to a specific node",
        ),
    ),
    part(
        "shards",
        2,
        STALE,
        OUTPUT,
        doc(
            "7.0.0",
            "O(N) where N is the total number of cluster nodes",
            "",
            "Get array of cluster slots to node mappings",
        ),
    ),
    part(
        "slaves",
        3,
        ADMIN | STALE,
        OUTPUT,
        Doc {
            deprecated: Some(("5.0.0", "`CLUSTER REPLICAS`")),
            ..doc(
                "3.0.0",
                "O(1)",
                "node-id:string",
                "List replica nodes of the specified master node",
            )
        },
    ),
    part(
        "slots",
        2,
        STALE,
        OUTPUT,
        Doc {
            history: &[
                ("4.0.0", "Added node IDs."),
                ("7.0.0", "Added additional networking metadata field."),
            ],
            deprecated: Some(("7.0.0", "`CLUSTER SHARDS`")),
            ..doc(
                "3.0.0",
                "O(N) where N is the total number of Cluster nodes",
                "",
                "Get array of Cluster slot to node mappings",
            )
        },
    ),
];

const fn part(
    name: &'static str,
    arity: i8,
    flags: u32,
    tips: &'static [&'static str],
    doc: Doc,
) -> Command {
    Command { flags, tips, doc, ..command(Group::Cluster, name, arity, disabled) }
}

fn disabled(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> CmdResult {
    Err(CmdError::Text("ERR This instance has cluster support disabled"))
}
