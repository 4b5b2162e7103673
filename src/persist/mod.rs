//! Layer 3: the keyspace as bytes that outlive the process. Knows no command and no client.
pub mod dump_pieces;
pub mod rdb_format;
