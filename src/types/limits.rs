//! Up to which size values keep their small forms.
use crate::base::hash::KeyHasher;

/// Redis's threshold for elements of lists.
pub const LIST_PACKED_THRESHOLD: usize = 1 << 30;

/// What decides forms: the configuration options of these names, and the hash of big forms.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Hashes members and fields.
    pub hasher: KeyHasher,
    /// Fields of a packed hash.
    pub hash_max_listpack_entries: usize,
    /// Bytes of a field or value in it.
    pub hash_max_listpack_value: usize,
    /// Members of an intset.
    pub set_max_intset_entries: usize,
    /// Members of a packed sorted set.
    pub zset_max_listpack_entries: usize,
    /// Bytes of a member in it.
    pub zset_max_listpack_value: usize,
    /// Size of a list's node: elements, or negative for a class of bytes.
    pub list_max_listpack_size: i64,
    /// From how many bytes on an element of a list is a node by itself. `DEBUG QUICKLIST-PACKED-THRESHOLD` sets it;
    /// lists may do so earlier.
    pub list_packed_threshold: usize,
    /// Nodes at both ends of a list that Redis leaves uncompressed; 0: all.
    pub list_compress_depth: usize,
    /// Bytes of a stream's node; 0: any.
    pub stream_node_max_bytes: usize,
    /// Entries of a stream's node; 0: any.
    pub stream_node_max_entries: usize,
    /// Bytes of a sparse HyperLogLog.
    pub hll_sparse_max_bytes: usize,
}

impl Limits {
    /// Redis's defaults.
    #[must_use]
    pub fn new(hasher: KeyHasher) -> Limits {
        Limits {
            hasher,
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            set_max_intset_entries: 512,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            list_max_listpack_size: -2,
            list_packed_threshold: LIST_PACKED_THRESHOLD,
            list_compress_depth: 0,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
            hll_sparse_max_bytes: 3000,
        }
    }
}
