//! Layer `types`: data structures and algorithms behind the types of values. They know no command and no reply.
pub mod arena;
pub mod bitfield;
pub mod bits;
pub mod document;
pub mod hash;
pub mod hyperloglog;
pub mod lcs;
pub mod limits;
pub mod list;
pub mod members;
pub mod object;
pub mod set;
pub mod stream;
pub mod table;
pub mod zset;
