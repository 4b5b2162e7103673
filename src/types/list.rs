//! Lists: a sequence of texts with two ends, in nodes that are listpacks, as Redis's quicklist.
//!
//! A short list is one node and lies inline in the keyspace as the bytes of a listpack; a longer one is a `Nodes`.
//! How much goes into a node is `list-max-listpack-size` by Redis's rules ([`Fill`]), so that a DUMP has the nodes
//! a Redis would make.
//! With `list-compress-depth` the nodes farther than that from both ends are kept compressed (`squeezed`).
//! DIFFERS: LSET and LINSERT make no node longer than 128 KiB, where Redis has no limit: a change moves a node's bytes.
//!
//! Cost: O(1) at both ends; an index is found in O(log n) and half a node. What touches many elements is told how
//! many at most, and says how far it came.
mod element;
mod nodes;
mod pack;
mod sequence;
mod squeezed;
mod view;

use crate::base::block::Block;
use crate::base::memory::allocation_bytes;
use crate::base::pieces::{FREE_PIECE_BYTES, Garbage, Progress};
use crate::types::limits::Limits;
use crate::types::listpack::{Listpack, ListpackRef};
use crate::types::object::{Aggregate, Kind, Object};
pub use element::{Element, End, OwnedElement, Side, Wanted, Way};
use nodes::{Node, Nodes};
use pack::Pack;
pub use view::{ListRef, NodeRef, SqueezedRef, frame_of_block};

/// Elements from this size on are kept as blocks, so that replies send them by reference and moves are free.
pub const BLOCK_BYTES_MIN: usize = 16 * 1024;
/// A list of more bytes has nodes; the keyspace keeps a shorter one in its entry.
const PACKED_BYTES_MAX: usize = 1024;
/// Bytes of a node where the number of its elements is limited (Redis's safety limit).
const SAFETY_BYTES: usize = 8192;
/// Bytes of a node for `list-max-listpack-size` -1 to -5.
const SIZES: [usize; 5] = [4096, 8192, 16384, 32768, 65536];
/// Redis adds this to an element's length to estimate what it takes.
const ITEM_OVERHEAD: usize = 8;
/// Redis keeps the limit in 16 bits.
const ITEMS_MAX: i64 = (1 << 15) - 1;
/// Header and end mark of a listpack.
const LISTPACK_FRAME_BYTES: usize = 7;
/// No node of several elements is longer than this: a listpack from outside that is gets cut.
const NODE_BYTES_MAX: usize = 2 * SIZES[4];
/// Redis takes this off the length of two listpacks to estimate that of both as one.
const MERGE_GAIN: usize = 11;
/// Redis keeps the depth in 16 bits.
const DEPTH_MAX: usize = (1 << 16) - 1;

/// How much goes into a node, and which nodes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    bytes_max: usize,
    items_max: usize,
    plain_bytes: usize,
    depth: usize,
}

impl Fill {
    /// By the limits in force.
    pub fn of(limits: &Limits) -> Fill {
        let depth = limits.list_compress_depth.min(DEPTH_MAX);
        Fill { depth, ..Fill::new(limits.list_max_listpack_size, limits.list_packed_threshold) }
    }

    /// By `list-max-listpack-size`, without compression. `packed_threshold` is from how many bytes on an element is a
    /// node by itself, which takes in no other.
    pub fn new(list_max_listpack_size: i64, packed_threshold: usize) -> Fill {
        let plain_bytes = packed_threshold.max(1);
        let (bytes_max, items_max) = match list_max_listpack_size {
            items @ 0.. => (SAFETY_BYTES, items.min(ITEMS_MAX) as usize),
            size => (SIZES[((-size).min(5) - 1) as usize], usize::MAX),
        };
        Fill { bytes_max, items_max, plain_bytes, depth: 0 }
    }

    /// Bytes at which a node is full.
    #[inline]
    fn bytes_full(&self) -> usize {
        self.bytes_max
    }

    /// Whether an element of so many bytes is a node by itself for ever.
    #[inline]
    fn is_plain_length(&self, bytes: usize) -> bool {
        bytes >= self.plain_bytes
    }

    #[inline]
    fn is_plain(&self, element: Element<'_>) -> bool {
        match element {
            Element::Int(_) if self.plain_bytes > 20 => false,
            element => self.is_plain_length(element.len()),
        }
    }

    /// Whether an element that is alone in its node is kept as a block.
    #[inline]
    fn is_block(&self, element: Element<'_>) -> bool {
        match element {
            Element::Int(_) if self.plain_bytes > 20 => false,
            element => element.len() >= self.plain_bytes.min(BLOCK_BYTES_MIN),
        }
    }

    /// Whether an element may be added.
    #[inline]
    fn allows(&self, total: usize, items: usize, element: Element<'_>) -> bool {
        let grown = total + element.len() + ITEM_OVERHEAD;
        grown <= self.bytes_max && items < self.items_max && !self.is_plain(element)
    }

    /// Whether two nodes may be one: total bytes and items of each.
    fn allows_merge(&self, one: (usize, usize), next: (usize, usize)) -> bool {
        one.0 + next.0 - MERGE_GAIN <= self.bytes_max && one.1 + next.1 <= self.items_max
    }
}

/// Big elements that were removed and take long to free.
#[derive(Default)]
pub struct Spent(Vec<Block>);

impl Spent {
    fn add(&mut self, block: Block) {
        if block.capacity() >= 2 * FREE_PIECE_BYTES {
            self.0.push(block);
        }
    }

    /// What is to be freed in pieces; `None` nearly always.
    pub fn into_garbage(self) -> Option<Box<dyn Garbage + Send>> {
        if self.0.is_empty() { None } else { Some(Box::new(self.0)) }
    }
}

/// A list.
#[derive(Debug)]
pub enum List {
    /// A short one, or none at all.
    Packed(Listpack),
    /// A longer one, or one with a big element.
    Nodes(Nodes),
}

impl Default for List {
    fn default() -> List {
        List::Packed(Listpack::new())
    }
}

impl List {
    /// How many elements. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            List::Packed(pack) => pack.len(),
            List::Nodes(nodes) => nodes.len(),
        }
    }

    /// Whether it has no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        match self {
            List::Packed(pack) => pack.is_empty(),
            List::Nodes(_) => false,
        }
    }

    /// As nodes, of which those farther than `depth` from the ends will be compressed.
    fn nodes(&mut self, depth: usize) -> &mut Nodes {
        if let List::Packed(pack) = self {
            let node = Node::Pack(Pack::of(pack.view()));
            *self = List::Nodes(Nodes::new(node, depth));
        }
        match self {
            List::Nodes(nodes) => nodes,
            List::Packed(_) => unreachable!("just made"),
        }
    }

    /// What has become short enough is packed again: well below where it stops to be.
    #[inline]
    fn settle(&mut self) {
        self.pack_if_within(PACKED_BYTES_MAX / 2);
    }

    #[inline]
    fn pack_if_within(&mut self, bytes_max: usize) {
        if let List::Nodes(nodes) = self
            && let Some(pack) = nodes.only_pack(bytes_max)
        {
            *self = List::Packed(Listpack::from_bytes(pack.as_bytes().to_vec()));
        }
    }

    /// Whether a short list stays one with this element.
    #[inline]
    fn is_short(pack: &Listpack, element: Element<'_>, fill: &Fill) -> bool {
        let grown = pack.bytes_len() + element.len() + ITEM_OVERHEAD;
        grown <= PACKED_BYTES_MAX && !fill.is_plain(element)
    }

    /// Whether an element may be added to a short list that stays one.
    #[inline]
    fn has_room(pack: &Listpack, element: Element<'_>, fill: &Fill) -> bool {
        List::is_short(pack, element, fill) && fill.allows(pack.bytes_len(), pack.len(), element)
    }

    /// Adds an element at an end. O(1).
    #[inline]
    pub fn push(&mut self, end: End, element: Element<'_>, fill: &Fill) {
        match self {
            List::Packed(pack) if List::has_room(pack, element, fill) => {
                let mut scratch = itoa::Buffer::new();
                match end {
                    End::Front => pack.push_front(element.as_bytes(&mut scratch)),
                    End::Back => pack.push_back(element.as_bytes(&mut scratch)),
                }
            }
            List::Packed(pack) if pack.is_empty() => {
                let node = Node::with(element, fill);
                *self = List::Nodes(Nodes::new(node, fill.depth));
            }
            _ => self.nodes(fill.depth).push(end, element, fill),
        }
    }

    /// Shows the element at an end and removes it. O(1).
    #[inline]
    pub fn pop<R>(&mut self, end: End, take: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        match self {
            List::Packed(pack) => {
                let view = pack.view();
                let at = match end {
                    End::Front => view.first(),
                    End::Back => view.last(),
                }?;
                let taken = take(view.get(at).into());
                pack.remove(at);
                Some(taken)
            }
            List::Nodes(nodes) => {
                let taken = nodes.end(end).end(end).map(take);
                if nodes.pop(end) {
                    *self = List::default();
                } else {
                    self.settle();
                }
                taken
            }
        }
    }

    /// Removes up to `count` elements at an end, from `nodes_max` nodes at most. Returns how many: fewer if nodes were
    /// the limit. O(nodes_max) and half a node.
    pub fn cut(&mut self, end: End, count: usize, nodes_max: usize, spent: &mut Spent) -> usize {
        let mut left = count.min(self.len());
        let (wanted, mut dropped) = (left, 0);
        for _ in 0..nodes_max {
            if left == 0 {
                break;
            }
            match self {
                List::Packed(pack) => {
                    let index = if end == End::Front { 0 } else { pack.len() - left };
                    if let Some(at) = pack.view().seek(index as i64) {
                        pack.remove_many(at, left);
                    }
                    left = 0;
                }
                List::Nodes(nodes) => {
                    let at = if end == End::Front { 0 } else { nodes.count() - 1 };
                    let len = nodes.end(end).len();
                    if left < len {
                        let index = if end == End::Front { 0 } else { len - left };
                        nodes.remove_some(at, index, left);
                        left = 0;
                    } else {
                        left -= len;
                        dropped += 1;
                        if nodes.drop_end(end, spent) {
                            *self = List::default();
                        }
                    }
                }
            }
        }
        if let List::Nodes(nodes) = self {
            nodes.open_ends(dropped);
        }
        self.settle();
        wanted - left
    }

    /// Puts an element beside the one at `index`, which is below the length. O(log n + one node).
    pub fn insert(&mut self, index: usize, side: Side, element: Element<'_>, fill: &Fill) {
        let is_after = side == Side::After;
        match self {
            List::Packed(pack) if List::has_room(pack, element, fill) => {
                let Some(at) = pack.view().seek(index as i64) else { return };
                let mut scratch = itoa::Buffer::new();
                let text = element.as_bytes(&mut scratch);
                if is_after {
                    pack.insert_after(at, text);
                } else {
                    pack.insert_before(at, text);
                }
            }
            _ => {
                let nodes = self.nodes(fill.depth);
                if let Some(place) = nodes.seek(index) {
                    nodes.insert_beside(place, is_after, element, fill);
                }
                self.settle();
            }
        }
    }

    /// Puts an element in the place of the one at `index`; false if there is none. O(log n + one node).
    pub fn set(
        &mut self,
        index: usize,
        element: Element<'_>,
        fill: &Fill,
        spent: &mut Spent,
    ) -> bool {
        if index >= self.len() {
            return false;
        }
        if let List::Packed(pack) = self
            && List::is_short(pack, element, fill)
            && let Some(at) = pack.view().seek(index as i64)
        {
            pack.replace(at, element.as_bytes(&mut itoa::Buffer::new()));
            return true;
        }
        let nodes = self.nodes(fill.depth);
        if let Some(place) = nodes.seek(index) {
            nodes.replace(place, element, fill, spent);
        }
        self.settle();
        true
    }

    /// Looks at up to `limits.looks` elements from `index` on, in one node only, and removes up to `limits.removals`
    /// that are `wanted`. Returns how many it looked at and how many it removed. O(log n + one node).
    pub fn remove_equal(
        &mut self,
        index: usize,
        way: Way,
        wanted: &Wanted<'_>,
        limits: RemoveLimits,
        spent: &mut Spent,
    ) -> (usize, usize) {
        match self {
            List::Packed(pack) => {
                let (looked, positions) = positions_of(pack.view(), index, way, wanted, limits);
                // From the last one on, so that the others stay where they are.
                for &at in positions.iter().rev() {
                    pack.remove(at);
                }
                (looked, positions.len())
            }
            List::Nodes(nodes) => {
                let Some((at, inner)) = nodes.seek(index) else { return (0, 0) };
                let in_pack = |pack: &Pack| positions_of(pack.view(), inner, way, wanted, limits);
                let in_block = |block| match wanted.is(Element::Block(block)) {
                    true => (1, vec![0]),
                    false => (1, Vec::new()),
                };
                let Some(node) = nodes.node(at) else { return (0, 0) };
                let len = node.len();
                let (looked, positions) = match &*node.opened() {
                    Node::Pack(pack) => in_pack(pack),
                    Node::Block(block) => in_block(block),
                    Node::Squeezed(_) => return (0, 0),
                };
                if positions.is_empty() {
                    return (looked, 0);
                }
                if positions.len() < len {
                    nodes.remove_positions(at, &positions);
                } else if nodes.drop_node(at, spent) {
                    *self = List::default();
                }
                self.settle();
                (looked, positions.len())
            }
        }
    }

    /// Appends copies of up to `nodes_max` nodes of another list, from node `from` on. Returns the node to go on with;
    /// `None` after the last one. Big elements are shared. O(nodes_max).
    pub fn copy_nodes(
        &mut self,
        source: ListRef<'_>,
        from: usize,
        nodes_max: usize,
    ) -> Option<usize> {
        for at in from..from + nodes_max {
            match source {
                ListRef::Packed(view) => {
                    self.append_node(Node::Pack(Pack::of(view)), 0);
                    self.pack_if_within(PACKED_BYTES_MAX);
                    return None;
                }
                ListRef::Nodes(nodes) => {
                    self.append_node(Nodes::copy_of(nodes.node(at)?), nodes.depth());
                }
            }
        }
        Some(from + nodes_max)
    }

    /// Appends the elements of a listpack from outside, which was checked: as one node, or as several where it is
    /// longer than any of ours. O(its elements).
    pub fn append_packed(&mut self, view: ListpackRef<'_>, fill: &Fill) {
        let first = view.first().map(|at| Element::from(view.get(at)));
        match first {
            Some(only) if view.len() == 1 => self.append_node(Node::with(only, fill), fill.depth),
            _ if view.as_bytes().len() <= NODE_BYTES_MAX => {
                self.append_node(Node::Pack(Pack::of(view)), fill.depth);
            }
            _ => view.iter().for_each(|item| self.push(End::Back, item.into(), fill)),
        }
        self.pack_if_within(PACKED_BYTES_MAX);
    }

    fn append_node(&mut self, node: Node, depth: usize) {
        if node.len() == 0 {
            return;
        }
        if self.is_empty() {
            *self = List::Nodes(Nodes::new(node, depth));
        } else {
            let nodes = self.nodes(depth);
            nodes.put(nodes.count(), node);
        }
    }
}

impl Aggregate for List {
    const KIND: Kind = Kind::List;
    type View<'a> = ListRef<'a>;

    fn new_empty() -> List {
        List::default()
    }

    fn from_packed(_is_ints: bool, bytes: Vec<u8>) -> List {
        List::Packed(Listpack::from_bytes(bytes))
    }

    fn packed(&self) -> Option<(bool, &[u8])> {
        match self {
            List::Packed(pack) => Some((false, pack.as_bytes())),
            List::Nodes(_) => None,
        }
    }

    fn into_packed_bytes(self) -> Vec<u8> {
        match self {
            List::Packed(pack) => pack.into_bytes(),
            List::Nodes(_) => Vec::new(),
        }
    }

    fn view_packed(_is_ints: bool, bytes: &[u8]) -> ListRef<'_> {
        ListRef::Packed(ListpackRef::new(bytes))
    }

    fn view(&self) -> ListRef<'_> {
        match self {
            List::Packed(pack) => ListRef::Packed(pack.view()),
            List::Nodes(nodes) => ListRef::Nodes(nodes),
        }
    }

    fn is_gone(&self) -> bool {
        self.is_empty()
    }

    fn memory_bytes(&self) -> usize {
        match self {
            List::Packed(pack) => allocation_bytes(pack.capacity()),
            List::Nodes(nodes) => nodes.bytes(),
        }
    }

    fn into_object(self) -> Object {
        Object::List(self)
    }

    fn of(object: &Object) -> Option<&List> {
        if let Object::List(list) = object { Some(list) } else { None }
    }

    fn of_mut(object: &mut Object) -> Option<&mut List> {
        if let Object::List(list) = object { Some(list) } else { None }
    }
}

/// How far [`List::remove_equal`] goes.
#[derive(Clone, Copy, Debug)]
pub struct RemoveLimits {
    /// Elements to look at.
    pub looks: usize,
    /// Elements to remove.
    pub removals: usize,
}

/// Looks at items from `index` on: how many were looked at, and where those that are wanted begin, in ascending order.
fn positions_of(
    view: ListpackRef<'_>,
    index: usize,
    way: Way,
    wanted: &Wanted<'_>,
    limits: RemoveLimits,
) -> (usize, Vec<usize>) {
    let (mut looked, mut positions) = (0, Vec::new());
    let mut at = view.seek(index as i64);
    while let Some(position) = at
        && looked < limits.looks
        && positions.len() < limits.removals
    {
        looked += 1;
        if wanted.is(view.get(position).into()) {
            positions.push(position);
        }
        at = match way {
            Way::Forward => view.next(position),
            Way::Backward => view.previous(position),
        };
    }
    if way == Way::Backward {
        positions.reverse();
    }
    (looked, positions)
}

impl Garbage for List {
    /// A unit is a node, or a megabyte of a big element.
    fn free_slice(&mut self, units: usize) -> Progress {
        match self {
            List::Packed(_) => Progress::Done,
            List::Nodes(nodes) => nodes.free_slice(units),
        }
    }
}

#[cfg(test)]
#[path = "list/list_tests.rs"]
mod tests;
