//! Every limit of the wire, with its reason.

/// Longest line that is not a bulk string: inline commands, counts, lengths (`PROTO_INLINE_MAX_SIZE`).
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Most arguments of one request; Redis: `INT_MAX` in a multibulk count.
pub const ARGUMENTS_MAX: i64 = i32::MAX as i64;
/// Most arguments before the client has authenticated: a stranger must not make us allocate.
pub const ARGUMENTS_UNAUTHENTICATED_MAX: i64 = 10;
/// Longest bulk string before the client has authenticated.
pub const BULK_UNAUTHENTICATED_BYTES_MAX: i64 = 16 * 1024;
/// A bulk string of this size or more is read straight into the block that will hold the value
/// (`PROTO_MBULK_BIG_ARG`).
pub const BULK_BLOCK_BYTES: usize = 32 * 1024;
/// A value of this size or more leaves by reference instead of by copy.
pub const REPLY_BLOCK_BYTES: usize = 16 * 1024;
/// So much of what waits to be sent to a client neither counts for `client-output-buffer-limit` nor is `omem` of CLIENT
/// LIST: in Redis it stands in the buffer that each client has (`PROTO_REPLY_CHUNK_BYTES`).
pub const REPLY_BUFFER_BYTES: usize = 16 * 1024;
/// What is beyond that counts in nodes of a list, as in Redis, where each is of the next size that its allocator has.
/// A limit thus means the same here and there, although nothing here is held in nodes.
pub const REPLY_NODE_BYTES: usize = 20 * 1024 + 24;
/// Bytes of replies in such a node.
pub const REPLY_NODE_ROOM: usize = 20 * 1024 - 16;
/// A short part of a big value is copied below this size: a tenth of a millisecond.
pub const RANGE_COPY_MAX: usize = 512 * 1024;
/// Spans are 32-bit, so one connection's unfinished request stays below this; Redis's own
/// `client-query-buffer-limit` (1 GiB by default) is reached first.
pub const BUFFER_BYTES_MAX: usize = 0xf000_0000;
/// Bytes around keys and values in one frame of a dialect that is not RESP: names of fields, lengths.
pub const FRAME_OVERHEAD_BYTES: usize = 64 * 1024;
/// Longest frame of such a dialect before the client has authenticated.
pub const FRAME_UNAUTHENTICATED_BYTES_MAX: usize = 16 * 1024;
/// How deep values of a dialect may nest: what reads them recursively must not run out of stack.
pub const DEPTH_MAX: usize = 128;
/// Most elements of all containers of one frame together; a container can announce no more than bytes that follow.
pub const ELEMENTS_MAX: usize = 1 << 24;
