//! Compressed nodes of a list: what `list-compress-depth` asks for.
//!
//! A node is LZF of its listpack, in the bytes a Redis would make, so that a DUMP takes them as they are; a big element
//! is compressed as the listpack that would hold it. Which nodes are compressed is a matter of place alone: all that
//! are farther than the depth from both ends and gain by it. Whoever changes a node opens it first and has it
//! compressed again; whoever reads one works on a copy, which is dropped.
//!
//! Cost: some 20 us to compress 8 KiB and 8 us to open them. A list of depth 0 pays one comparison where nodes come and
//! go, and none at its ends.
use std::ops::Deref;

use crate::base::block::Block;
use crate::base::lzf;
use crate::base::memory::allocation_bytes;
use crate::types::list::nodes::{Node, Nodes};
use crate::types::list::pack::Pack;
use crate::types::list::view::{SqueezedRef, frame_of_block};
use crate::types::list::{End, LISTPACK_FRAME_BYTES, Spent};
use crate::types::listpack::ListpackRef;
use crate::types::listpack_item::Encoded;

/// Shorter listpacks are left alone, as in Redis.
const TOTAL_MIN: usize = 48;
/// Bytes that have to be gained, as in Redis.
const GAIN_MIN: usize = 8;
/// A big element longer than this is left alone: it would hold everybody up.
const BLOCK_BYTES_MAX: usize = 128 * 1024;

/// What a node is when it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Pack,
    Block,
}

/// A compressed node.
#[derive(Clone, Debug)]
pub struct Squeezed {
    packed: Box<[u8]>,
    /// Bytes of its listpack.
    total: u32,
    items: u32,
    form: Form,
}

impl Squeezed {
    /// A node, compressed; `None` where that gains too little.
    fn of(node: &Node) -> Option<Squeezed> {
        match node {
            Node::Pack(pack) => Squeezed::of_bytes(pack.as_bytes(), pack.len(), Form::Pack),
            Node::Block(block) if block.len() <= BLOCK_BYTES_MAX => {
                let (head, tail) = frame_of_block(block)?;
                Squeezed::of_bytes(&[&head[..], block, &tail].concat(), 1, Form::Block)
            }
            Node::Block(_) | Node::Squeezed(_) => None,
        }
    }

    fn of_bytes(bytes: &[u8], items: usize, form: Form) -> Option<Squeezed> {
        if bytes.len() < TOTAL_MIN {
            return None;
        }
        let mut packed = Vec::new();
        lzf::compress(bytes, &mut packed, bytes.len() - GAIN_MIN - 1)?;
        let (total, items) = (bytes.len() as u32, items as u32);
        Some(Squeezed { packed: packed.into_boxed_slice(), total, items, form })
    }

    /// The node as it was.
    pub(super) fn open(&self) -> Node {
        let mut bytes = Vec::new();
        let is_whole = lzf::decompress(&self.packed, &mut bytes, self.total as usize);
        debug_assert!(is_whole, "it was made here");
        let view = ListpackRef::new(&bytes);
        match self.form {
            Form::Pack => Node::Pack(Pack::from_bytes(bytes, self.items)),
            Form::Block => {
                let text = view.first().map(|at| view.get(at).to_vec());
                Node::Block(Block::new(text.unwrap_or_default()))
            }
        }
    }

    /// As DUMP writes it.
    pub(super) fn view(&self) -> SqueezedRef<'_> {
        SqueezedRef { packed: &self.packed, total: self.total as usize }
    }

    /// Bytes of its listpack, and how many items.
    pub(super) fn figures(&self) -> (usize, usize) {
        (self.total as usize, self.items as usize)
    }

    /// Memory it owns.
    pub(super) fn footprint(&self) -> usize {
        allocation_bytes(self.packed.len())
    }
}

/// A node that is open: itself, or a copy of a compressed one.
pub(super) enum Opened<'a> {
    Lent(&'a Node),
    Copy(Node),
}

impl Deref for Opened<'_> {
    type Target = Node;

    fn deref(&self) -> &Node {
        match self {
            Opened::Lent(node) => node,
            Opened::Copy(node) => node,
        }
    }
}

impl Node {
    /// The node, to be read.
    pub(super) fn opened(&self) -> Opened<'_> {
        match self {
            Node::Squeezed(squeezed) => Opened::Copy(squeezed.open()),
            node => Opened::Lent(node),
        }
    }

    /// As it was before it was compressed.
    pub(super) fn into_open(self) -> Node {
        match self {
            Node::Squeezed(squeezed) => squeezed.open(),
            node => node,
        }
    }

    /// Bytes of its listpack, and how many items.
    pub(super) fn figures(&self) -> (usize, usize) {
        match self {
            Node::Pack(pack) => (pack.total(), pack.len()),
            Node::Block(block) => (LISTPACK_FRAME_BYTES + Encoded::new(block).whole(), 1),
            Node::Squeezed(squeezed) => squeezed.figures(),
        }
    }
}

impl Nodes {
    /// Nodes at each end that are not compressed; 0: none is.
    #[inline]
    pub(super) fn depth(&self) -> usize {
        self.depth as usize
    }

    /// Opens a node that is to be changed.
    pub(super) fn open(&mut self, at: usize) {
        if let Some(Node::Squeezed(squeezed)) = self.node(at) {
            let open = squeezed.open();
            self.change(at, |node| *node = open);
        }
    }

    /// Compresses a node, if its place is one for that.
    pub(super) fn squeeze(&mut self, at: usize) {
        let depth = self.depth();
        if depth == 0 || at < depth || at + depth >= self.count() {
            return;
        }
        if let Some(squeezed) = self.node(at).and_then(Squeezed::of) {
            self.change(at, |node| *node = Node::Squeezed(squeezed));
        }
    }

    /// A node was put at a place, and others have moved inwards.
    #[cold]
    pub(super) fn squeeze_around(&mut self, at: usize) {
        let depth = self.depth();
        self.squeeze(at);
        self.squeeze(depth);
        self.squeeze((self.count() - 1).saturating_sub(depth));
    }

    /// So many nodes are gone, and others have moved outwards by as many.
    #[inline]
    pub(super) fn open_ends(&mut self, gone: usize) {
        let depth = self.depth();
        for distance in depth.saturating_sub(gone)..depth {
            self.open(distance);
            self.open(self.count().saturating_sub(distance + 1));
        }
    }

    /// Removes the node at an end, or returns true: it was the only one. The one that is there then may be compressed:
    /// `open_ends` has to follow before anything else is done.
    pub(super) fn drop_end(&mut self, end: End, spent: &mut Spent) -> bool {
        let depth = std::mem::take(&mut self.depth);
        let at = if end == End::Front { 0 } else { self.count() - 1 };
        let is_last = self.drop_node(at, spent);
        self.depth = depth;
        is_last
    }
}
