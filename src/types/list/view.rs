//! Lists, for reading: by index, in order, and node by node.
//!
//! The same for a list that lies inline in the keyspace and for one of many nodes. Cost: an index is found in O(log n)
//! and half a node; what follows in order costs what it shows.
use super::nodes::{Node, Nodes};
use super::{Element, LISTPACK_FRAME_BYTES, Way};
use crate::base::block::Block;
use crate::types::listpack::ListpackRef;
use crate::types::listpack_item::{END, Encoded, encode_back};

/// What a node holds, as RDB files and DUMP write it.
#[derive(Clone, Copy, Debug)]
pub enum NodeRef<'a> {
    /// A listpack.
    Packed(&'a [u8]),
    /// One big element: in Redis a listpack of one item below a gigabyte ([`frame_of_block`]), else its plain bytes.
    Block(&'a Block),
    /// Compressed.
    Squeezed(SqueezedRef<'a>),
}

/// A compressed node.
#[derive(Clone, Copy, Debug)]
pub struct SqueezedRef<'a> {
    /// LZF of its listpack.
    pub packed: &'a [u8],
    /// Length of the listpack.
    pub total: usize,
}

/// What stands before and behind the bytes of a big element in a listpack that holds it alone; `None` for a text that
/// does not stand there as it is: a small integer, or none at all.
pub fn frame_of_block(block: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let item = Encoded::new(block);
    if item.text.is_empty() {
        return None;
    }
    let (back, count) = encode_back(item.size());
    let total = LISTPACK_FRAME_BYTES + item.whole();
    let header = [&(total as u32).to_le_bytes()[..], &[1, 0], item.head()].concat();
    Some((header, [&back[back.len() - count..], &[END]].concat()))
}

/// A list, for reading.
#[derive(Clone, Copy)]
pub enum ListRef<'a> {
    /// One node.
    Packed(ListpackRef<'a>),
    /// Several nodes.
    Nodes(&'a Nodes),
}

impl<'a> ListRef<'a> {
    /// How many elements. O(1).
    #[inline]
    pub fn len(self) -> usize {
        match self {
            ListRef::Packed(view) => view.len(),
            ListRef::Nodes(nodes) => nodes.len(),
        }
    }

    /// Whether it has no element.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The name that OBJECT ENCODING shows.
    pub fn encoding(self) -> &'static str {
        "quicklist"
    }

    /// Shows the element at an index counted from the front; what that gives, or `None` where there is none. O(log n +
    /// half a node).
    #[inline]
    pub fn show<R>(self, index: usize, show: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        match self {
            ListRef::Packed(view) => view.seek(index as i64).map(|at| show(view.get(at).into())),
            ListRef::Nodes(nodes) => nodes.show(index, show),
        }
    }

    /// Nodes at each end that stay as they are; 0: all do.
    pub fn compress_depth(self) -> usize {
        match self {
            ListRef::Packed(_) => 0,
            ListRef::Nodes(nodes) => nodes.depth(),
        }
    }

    /// Place of an index that counts from the end if negative; `None` if there is no such element.
    pub fn place_of(self, index: i64) -> Option<usize> {
        let len = self.len() as i64;
        let place = if index < 0 { index.checked_add(len)? } else { index };
        (0..len).contains(&place).then_some(place as usize)
    }

    /// Shows up to `count` elements from `index` on, until `visit` says false. Returns how many. O(log n + a node +
    /// count).
    #[inline]
    pub fn walk(
        self,
        index: usize,
        way: Way,
        count: usize,
        mut visit: impl FnMut(Element<'_>) -> bool,
    ) -> usize {
        let nodes = match self {
            ListRef::Packed(view) => return walk_pack(view, index, way, count, &mut visit).0,
            ListRef::Nodes(nodes) => nodes,
        };
        let Some((mut at, mut inner)) = nodes.seek(index) else { return 0 };
        let mut looked = 0;
        while looked < count {
            let (walked, goes_on) = match nodes.node(at) {
                Some(Node::Pack(pack)) => {
                    walk_pack(pack.view(), inner, way, count - looked, &mut visit)
                }
                Some(Node::Block(block)) => (1, visit(Element::Block(block))),
                Some(Node::Squeezed(squeezed)) => match squeezed.open() {
                    Node::Block(block) => (1, visit(Element::Block(&block))),
                    node => walk_pack(node.view(), inner, way, count - looked, &mut visit),
                },
                None => break,
            };
            looked += walked;
            if !goes_on {
                break;
            }
            (at, inner) = match way {
                Way::Forward => (at + 1, 0),
                Way::Backward if at == 0 => break,
                Way::Backward => (at - 1, nodes.node(at - 1).map_or(0, |node| node.len() - 1)),
            };
        }
        looked
    }

    /// How many nodes. O(1).
    pub fn node_count(self) -> usize {
        match self {
            ListRef::Packed(_) => 1,
            ListRef::Nodes(nodes) => nodes.count(),
        }
    }

    /// A node, as it is written to a file. O(log n).
    pub fn node(self, at: usize) -> Option<NodeRef<'a>> {
        match self {
            ListRef::Packed(view) if at == 0 => Some(NodeRef::Packed(view.as_bytes())),
            ListRef::Packed(_) => None,
            ListRef::Nodes(nodes) => Some(match nodes.node(at)? {
                Node::Pack(pack) => NodeRef::Packed(pack.as_bytes()),
                Node::Block(block) => NodeRef::Block(block),
                Node::Squeezed(squeezed) => NodeRef::Squeezed(squeezed.view()),
            }),
        }
    }
}

/// Shows up to `count` items: how many were shown, and whether `visit` wants more.
#[inline]
fn walk_pack(
    view: ListpackRef<'_>,
    index: usize,
    way: Way,
    count: usize,
    visit: &mut impl FnMut(Element<'_>) -> bool,
) -> (usize, bool) {
    let Some(mut at) = view.seek(index as i64) else { return (0, true) };
    let mut shown = 0;
    if way == Way::Forward {
        for item in view.items_from(at).take(count) {
            shown += 1;
            if !visit(item.into()) {
                return (shown, false);
            }
        }
        return (shown, true);
    }
    while shown < count {
        shown += 1;
        if !visit(view.get(at).into()) {
            return (shown, false);
        }
        match view.previous(at) {
            Some(before) => at = before,
            None => break,
        }
    }
    (shown, true)
}
