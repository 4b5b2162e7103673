//! Layer 3: the keyspace as bytes that outlive the process. Knows no command and no client.
pub mod dump_pieces;
pub mod function_payload;
pub mod packed_walk;
pub mod payload;
pub mod rdb_format;
pub mod stream_reader;
pub mod value_reader;
pub mod value_target;
pub mod value_writer;
