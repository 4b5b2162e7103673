//! A list of several nodes: the first and the last at hand, those between them in a [`Sequence`].
//!
//! ```text
//!   first ── rest: ── middle: nodes without room, in a tree with counts ── last
//! ```
//!
//! Whatever happens at the ends of a list touches one node, and the tree only when that is full or empty. Filling,
//! splitting and joining follow Redis's quicklist; an element of 16 KiB and more that is alone in its node is kept by
//! reference. Where nodes are compressed, a change of one opens it (`squeezed`).
//! Cost: O(1) at the ends, O(log n + one node) elsewhere.
use crate::base::block::Block;
use crate::base::memory::allocation_bytes;
use crate::base::pieces::{Garbage, Progress};
use crate::types::list::pack::{EMPTY, Pack};
use crate::types::list::sequence::{Level, Sequence};
use crate::types::list::squeezed::Squeezed;
use crate::types::list::{Element, End, Fill, NODE_BYTES_MAX, Spent};
use crate::types::listpack::ListpackRef;
use crate::types::listpack_item::Encoded;

/// Some elements of a list.
#[derive(Debug)]
pub(super) enum Node {
    /// Elements one after the other.
    Pack(Pack),
    /// One big element.
    Block(Block),
    /// Either, compressed.
    Squeezed(Squeezed),
}

impl Node {
    /// A node with this element alone.
    pub(super) fn with(element: Element<'_>, fill: &Fill) -> Node {
        if fill.is_block(element) {
            return Node::Block(element.to_block());
        }
        let mut pack = Pack::default();
        pack.push(End::Back, &element.encode(), fill.bytes_full());
        Node::Pack(pack)
    }

    /// How many elements.
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Node::Pack(pack) => pack.len(),
            Node::Block(_) => 1,
            Node::Squeezed(squeezed) => squeezed.figures().1,
        }
    }

    /// Memory it owns, a shared block included.
    #[inline]
    fn footprint(&self) -> usize {
        match self {
            Node::Pack(pack) => pack.footprint(),
            Node::Block(block) => block_footprint(block),
            Node::Squeezed(squeezed) => squeezed.footprint(),
        }
    }

    /// The element at an end.
    #[inline]
    pub(super) fn end(&self, end: End) -> Option<Element<'_>> {
        match self {
            Node::Pack(pack) => {
                let view = pack.view();
                let at = match end {
                    End::Front => view.first(),
                    End::Back => view.last(),
                };
                Some(view.get(at?).into())
            }
            Node::Block(block) => Some(Element::Block(block)),
            // None is at an end.
            Node::Squeezed(_) => None,
        }
    }

    /// The items of a pack.
    #[inline]
    pub(super) fn view(&self) -> ListpackRef<'_> {
        match self {
            Node::Pack(pack) => pack.view(),
            Node::Block(_) | Node::Squeezed(_) => ListpackRef::new(&EMPTY),
        }
    }

    /// Whether an element may be added to its own.
    fn takes(&self, element: Element<'_>, fill: &Fill) -> bool {
        let (total, items) = match self {
            Node::Pack(pack) => (pack.total(), pack.len()),
            Node::Block(block) if fill.is_plain_length(block.len()) => return false,
            node => node.figures(),
        };
        fill.allows(total, items, element)
    }

    /// As a pack, if it is no compressed one.
    fn pack(&mut self) -> Option<&mut Pack> {
        if let Node::Block(block) = self {
            let mut pack = Pack::default();
            pack.push(End::Back, &Encoded::new(block), 0);
            *self = Node::Pack(pack);
        }
        if let Node::Pack(pack) = self { Some(pack) } else { None }
    }

    fn seal(&mut self) {
        if let Node::Pack(pack) = self {
            pack.seal();
        }
    }
}

fn block_footprint(block: &Block) -> usize {
    allocation_bytes(block.capacity()) + allocation_bytes(size_of::<Vec<u8>>() + 16)
}

impl Level for Node {
    type Node = Node;

    fn nodes(&self) -> usize {
        1
    }

    fn elements(&self) -> usize {
        self.len()
    }

    fn of(node: Node) -> Node {
        node
    }

    fn node(&self, _at: usize) -> Option<&Node> {
        Some(self)
    }

    fn seek(&self, index: usize) -> (usize, usize) {
        (0, index)
    }

    fn change<R>(&mut self, _at: usize, edit: impl FnOnce(&mut Node) -> R) -> Option<R> {
        Some(edit(self))
    }

    fn insert(&mut self, at: usize, node: Node) -> Option<Node> {
        Some(if at == 0 { std::mem::replace(self, node) } else { node })
    }

    fn remove(&mut self, _at: usize) -> Option<Node> {
        None
    }

    fn into_only(self) -> Option<Node> {
        Some(self)
    }

    fn absorb(&mut self, next: Node) -> Option<Node> {
        Some(next)
    }
}

/// The nodes of a list that is not empty. Invariant: no node is empty.
#[derive(Debug)]
pub struct Nodes {
    first: Node,
    /// The others, if there are any.
    rest: Option<Box<Rest>>,
    /// Elements in all nodes.
    elements: usize,
    /// Memory that nodes own.
    footprint: usize,
    /// Nodes at each end that stay uncompressed; 0: all do.
    pub(super) depth: u32,
}

/// The nodes behind the first one.
#[derive(Debug)]
struct Rest {
    middle: Sequence<Node>,
    last: Node,
}

impl Nodes {
    /// A list of one node. Of those to come the ones farther than `depth` from both ends will be compressed; 0: none.
    pub(super) fn new(node: Node, depth: usize) -> Nodes {
        let (elements, footprint) = (node.len(), node.footprint());
        Nodes { first: node, rest: None, elements, footprint, depth: depth as u32 }
    }

    /// How many elements.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.elements
    }

    /// How many nodes.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.rest.as_ref().map_or(1, |rest| 2 + rest.middle.nodes())
    }

    /// Memory it owns.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        let rest = |rest: &Rest| allocation_bytes(size_of::<Rest>()) + rest.middle.bytes();
        self.footprint + self.rest.as_deref().map_or(0, rest)
    }

    /// The node at a place.
    pub(super) fn node(&self, at: usize) -> Option<&Node> {
        match (at.checked_sub(1), &self.rest) {
            (None, _) => Some(&self.first),
            (Some(at), Some(rest)) if at < rest.middle.nodes() => rest.middle.node(at),
            (Some(at), Some(rest)) if at == rest.middle.nodes() => Some(&rest.last),
            _ => None,
        }
    }

    /// Which node holds the element at `index`, and its index there.
    pub(super) fn seek(&self, index: usize) -> Option<(usize, usize)> {
        let first = self.first.len();
        if index < first {
            return Some((0, index));
        }
        let index = index - first;
        let rest = self.rest.as_ref()?;
        let middle = rest.middle.elements();
        if index < middle {
            let (node, inner) = rest.middle.seek(index);
            return Some((node + 1, inner));
        }
        (index - middle < rest.last.len()).then(|| (rest.middle.nodes() + 1, index - middle))
    }

    /// The node at an end.
    #[inline]
    pub(super) fn end(&self, end: End) -> &Node {
        match &self.rest {
            Some(rest) if end == End::Back => &rest.last,
            _ => &self.first,
        }
    }

    #[inline]
    fn end_mut(&mut self, end: End) -> &mut Node {
        match &mut self.rest {
            Some(rest) if end == End::Back => &mut rest.last,
            _ => &mut self.first,
        }
    }

    /// Adds an element at an end.
    #[inline]
    pub(super) fn push(&mut self, end: End, element: Element<'_>, fill: &Fill) {
        if let Node::Pack(pack) = self.end_mut(end)
            && fill.allows(pack.total(), pack.len(), element)
        {
            let before = pack.footprint();
            pack.push(end, &element.encode(), fill.bytes_full());
            let after = pack.footprint();
            self.elements += 1;
            self.footprint = self.footprint - before + after;
            return;
        }
        let (at, place) = match end {
            End::Front => (0, 0),
            End::Back => (self.count() - 1, self.count()),
        };
        if matches!(self.end(end), Node::Block(_)) && self.end(end).takes(element, fill) {
            self.change_pack(at, |pack| pack.push(end, &element.encode(), fill.bytes_full()));
        } else {
            self.put(place, Node::with(element, fill));
        }
    }

    /// Removes the element at an end. Returns whether no node is left; then the list is to be given up.
    #[inline]
    pub(super) fn pop(&mut self, end: End) -> bool {
        if let Node::Pack(pack) = self.end_mut(end)
            && pack.len() > 1
        {
            let before = pack.footprint();
            pack.pop(end);
            let after = pack.footprint();
            self.elements -= 1;
            self.footprint = self.footprint - before + after;
            return false;
        }
        let at = if end == End::Front { 0 } else { self.count() - 1 };
        self.take(at).is_none()
    }

    /// Changes a node, and keeps count. It must not become empty.
    pub(super) fn change<R>(&mut self, at: usize, edit: impl FnOnce(&mut Node) -> R) -> Option<R> {
        let (mut elements, mut footprint) = (0isize, 0isize);
        let counted = |node: &mut Node| {
            (elements, footprint) = (-(node.len() as isize), -(node.footprint() as isize));
            let result = edit(node);
            elements += node.len() as isize;
            footprint += node.footprint() as isize;
            debug_assert!(node.len() > 0);
            result
        };
        let result = match (at.checked_sub(1), &mut self.rest) {
            (None, _) => Some(counted(&mut self.first)),
            (Some(at), Some(rest)) if at < rest.middle.nodes() => rest.middle.change(at, counted),
            (Some(_), Some(rest)) => Some(counted(&mut rest.last)),
            (Some(_), None) => None,
        };
        self.elements = self.elements.wrapping_add_signed(elements);
        self.footprint = self.footprint.wrapping_add_signed(footprint);
        result
    }

    /// As `change`, of a pack; a big element becomes one.
    fn change_pack<R>(&mut self, at: usize, edit: impl FnOnce(&mut Pack) -> R) -> Option<R> {
        if self.depth != 0 {
            self.open(at);
        }
        let result = self.change(at, |node| node.pack().map(edit)).flatten();
        if self.depth != 0 {
            self.squeeze(at);
        }
        result
    }

    /// Puts a node at a place. Those that are no ends any more give their room back.
    pub(super) fn put(&mut self, at: usize, node: Node) {
        self.elements += node.len();
        self.footprint += node.footprint();
        let Some(rest) = &mut self.rest else {
            let is_first = at == 0;
            let last = if is_first { std::mem::replace(&mut self.first, node) } else { node };
            self.rest = Some(Box::new(Rest { middle: Sequence::default(), last }));
            return;
        };
        let count = rest.middle.nodes() + 2;
        let (place, mut inner) = match at {
            0 => (0, std::mem::replace(&mut self.first, node)),
            at if at >= count => (count - 2, std::mem::replace(&mut rest.last, node)),
            at => (at - 1, node),
        };
        self.footprint -= inner.footprint();
        inner.seal();
        self.footprint += inner.footprint();
        rest.middle.put(place, inner);
        if self.depth != 0 {
            self.squeeze_around(at);
        }
    }

    /// Takes a node out; `None`, if it was the only one: that stays.
    pub(super) fn take(&mut self, at: usize) -> Option<Node> {
        let rest = self.rest.as_mut()?;
        let inner = rest.middle.nodes();
        let node = if (1..=inner).contains(&at) {
            rest.middle.take(at - 1)?
        } else if let Some(next) = rest.middle.take(if at == 0 { 0 } else { inner.wrapping_sub(1) })
        {
            let end = if at == 0 { &mut self.first } else { &mut rest.last };
            std::mem::replace(end, next)
        } else {
            // Two nodes: one stays.
            let Rest { last, .. } = *self.rest.take()?;
            if at == 0 { std::mem::replace(&mut self.first, last) } else { last }
        };
        self.elements -= node.len();
        self.footprint -= node.footprint();
        if self.depth != 0 {
            self.open_ends(1);
        }
        Some(node)
    }

    /// The pack of a list that is one pack of at most so many bytes.
    #[inline]
    pub(super) fn only_pack(&self, bytes_max: usize) -> Option<&Pack> {
        match &self.first {
            Node::Pack(pack) if self.rest.is_none() && pack.total() <= bytes_max => Some(pack),
            _ => None,
        }
    }

    /// Removes a node, or returns true: it was the only one.
    pub(super) fn drop_node(&mut self, at: usize, spent: &mut Spent) -> bool {
        match self.take(at) {
            Some(Node::Block(block)) => spent.add(block),
            Some(Node::Pack(_) | Node::Squeezed(_)) => {}
            None => {
                if let Node::Block(block) = &self.first {
                    spent.add(block.clone());
                }
                return true;
            }
        }
        false
    }

    /// Removes up to `count` items of one node, of which it has more.
    pub(super) fn remove_some(&mut self, at: usize, index: usize, count: usize) {
        self.change_pack(at, |pack| pack.remove(index, count));
    }

    /// Removes items of one node, not all, by their positions.
    pub(super) fn remove_positions(&mut self, at: usize, positions: &[usize]) {
        self.change_pack(at, |pack| pack.remove_all(positions));
    }

    /// Puts an element beside the one at `index` of node `at`, as Redis does: there if there is room, else in the
    /// neighbour if it comes right beside that, else between the halves of the node.
    pub(super) fn insert_beside(
        &mut self,
        (at, index): (usize, usize),
        is_after: bool,
        element: Element<'_>,
        fill: &Fill,
    ) {
        let len = self.node(at).map_or(0, Node::len);
        let place = index + usize::from(is_after);
        let fits = |node: Option<&Node>| node.is_some_and(|node| node.takes(element, fill));
        if fits(self.node(at)) {
            self.change_pack(at, |pack| pack.insert(place, &element.encode(), fill.bytes_full()));
        } else if place == len {
            if fits(self.node(at + 1)) {
                let full = fill.bytes_full();
                self.change_pack(at + 1, |pack| pack.push(End::Front, &element.encode(), full));
            } else {
                self.put(at + 1, Node::with(element, fill));
            }
        } else if place == 0 {
            if at > 0 && fits(self.node(at - 1)) {
                let full = fill.bytes_full();
                self.change_pack(at - 1, |pack| pack.push(End::Back, &element.encode(), full));
            } else {
                self.put(at, Node::with(element, fill));
            }
        } else {
            self.split_around(at, place, is_after, element, fill);
        }
    }

    /// Splits a node before its item `place`, and puts an element between the halves.
    fn split_around(
        &mut self,
        at: usize,
        place: usize,
        is_after: bool,
        element: Element<'_>,
        fill: &Fill,
    ) {
        let Some(behind) = self.change_pack(at, |pack| pack.split_off(place)) else { return };
        self.put(at + 1, Node::Pack(behind));
        // Into the half that Redis makes a new node of.
        let (half, end) = if is_after { (at + 1, End::Front) } else { (at, End::Back) };
        let bytes = self.node(half).map_or(0, |node| node.figures().0);
        if fill.is_plain(element) || bytes + element.len() > NODE_BYTES_MAX {
            return self.put(at + 1, Node::with(element, fill));
        }
        self.change_pack(half, |pack| pack.push(end, &element.encode(), fill.bytes_full()));
        let centre = if is_after { at } else { at + 1 };
        self.merge_around(centre, fill);
    }

    /// Joins the nodes around one with their neighbours where both fit into one.
    fn merge_around(&mut self, centre: usize, fill: &Fill) {
        let mut centre = centre;
        if centre >= 2 && self.merge(centre - 2, fill) {
            centre -= 1;
        }
        self.merge(centre + 1, fill);
        if centre >= 1 && self.merge(centre - 1, fill) {
            centre -= 1;
        }
        self.merge(centre, fill);
    }

    /// Joins a node and the next one, if they fit into one.
    fn merge(&mut self, at: usize, fill: &Fill) -> bool {
        let (Some(one), Some(next)) = (self.node(at), self.node(at + 1)) else { return false };
        let is_plain = |node: &Node| match node {
            Node::Block(block) => fill.is_plain_length(block.len()),
            Node::Pack(_) | Node::Squeezed(_) => false,
        };
        if is_plain(one) || is_plain(next) || !fill.allows_merge(one.figures(), next.figures()) {
            return false;
        }
        if let Some(mut next) = self.take(at + 1).map(Node::into_open)
            && let Some(next) = next.pack()
        {
            self.change_pack(at, |pack| pack.append(next));
        }
        true
    }

    /// Puts an element in the place of another one.
    pub(super) fn replace(
        &mut self,
        (at, index): (usize, usize),
        element: Element<'_>,
        fill: &Fill,
        spent: &mut Spent,
    ) {
        let Some(node) = self.node(at) else { return };
        let ((total, items), is_new_plain) = (node.figures(), fill.is_plain(element));
        let is_old_plain = match node {
            Node::Block(block) => fill.is_plain_length(block.len()),
            Node::Pack(_) | Node::Squeezed(_) => false,
        };
        if items > 1 && !is_new_plain && total + element.len() <= NODE_BYTES_MAX {
            // However long the node gets, as in Redis.
            let item = element.encode();
            self.change_pack(at, |pack| pack.replace(index, &item, fill.bytes_full()));
        } else if items > 1 {
            // Removed before, so that its place is known.
            self.remove_some(at, index, 1);
            let (beside, is_after) = if index == 0 { (0, false) } else { (index - 1, true) };
            self.insert_beside((at, beside), is_after, element, fill);
        } else if is_old_plain && !is_new_plain {
            self.insert_beside((at, 0), true, element, fill);
            self.drop_node(at, spent);
        } else {
            let old = self.change(at, |node| std::mem::replace(node, Node::with(element, fill)));
            if let Some(Node::Block(block)) = old {
                spent.add(block);
            }
            self.squeeze(at);
        }
    }

    /// Shows the element at an index; `None` where there is none.
    #[inline]
    pub(super) fn show<R>(&self, index: usize, show: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        let (at, inner) = self.seek(index)?;
        match &*self.node(at)?.opened() {
            Node::Block(block) => Some(show(Element::Block(block))),
            node => {
                let view = node.view();
                view.seek(inner as i64).map(|at| show(view.get(at).into()))
            }
        }
    }

    /// A copy of a node, for lists that are being copied.
    pub(super) fn copy_of(node: &Node) -> Node {
        match node {
            Node::Pack(pack) => Node::Pack(Pack::of(pack.view())),
            Node::Block(block) => Node::Block(block.clone()),
            Node::Squeezed(squeezed) => squeezed.open(),
        }
    }
}

impl Garbage for Nodes {
    /// A unit is a node, or a megabyte of a big element.
    fn free_slice(&mut self, units: usize) -> Progress {
        // What goes is not opened.
        self.depth = 0;
        for _ in 0..units {
            let at = self.count() - 1;
            let is_free = self
                .change(at, |node| match node {
                    Node::Pack(_) | Node::Squeezed(_) => true,
                    Node::Block(block) => block.free_slice(1).is_done(),
                })
                .unwrap_or(true);
            if is_free && self.take(at).is_none() {
                return Progress::Done;
            }
        }
        Progress::More
    }
}

/// An item as it is written into a pack.
impl<'a> Element<'a> {
    #[inline]
    pub(super) fn encode(&self) -> Encoded<'a> {
        match *self {
            Element::Int(value) => Encoded::int(value),
            Element::Text(text) => Encoded::new(text),
            Element::Block(block) => Encoded::new(block),
        }
    }

    /// The element as a block: itself, or a copy.
    fn to_block(self) -> Block {
        match self {
            Element::Int(value) => Block::new(value.to_string().into_bytes()),
            Element::Text(text) => Block::new(text.to_vec()),
            Element::Block(block) => block.clone(),
        }
    }
}

#[cfg(test)]
impl Nodes {
    /// Counts again, and compares.
    pub(super) fn check(&self) {
        let nodes: Vec<&Node> = (0..self.count()).filter_map(|at| self.node(at)).collect();
        assert_eq!(nodes.len(), self.count());
        assert_eq!(nodes.iter().map(|node| node.len()).sum::<usize>(), self.elements);
        assert_eq!(nodes.iter().map(|node| node.footprint()).sum::<usize>(), self.footprint);
        assert!(nodes.iter().all(|node| node.len() > 0));
    }
}
