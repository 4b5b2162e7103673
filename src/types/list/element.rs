//! Elements of lists by themselves, and the words for where they are.
//!
//! Cost: an element lent is a number or a reference; one by itself is a copy, or a share in a block.
use crate::base::block::Block;
use crate::base::number::canonical_i64;
use crate::types::listpack::Item;

/// One end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its head, where the first element is.
    Front,
    /// Its tail.
    Back,
}

/// In which direction elements are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From lower indices to higher ones.
    Forward,
    /// From higher indices to lower ones.
    Backward,
}

/// Beside an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// On the side of the first element.
    Before,
    /// On the side of the last one.
    After,
}

/// An element, as it is kept or as it comes. Text that is a canonical integer is kept as the integer.
#[derive(Clone, Copy, Debug)]
pub enum Element<'a> {
    /// An integer; its text is the canonical one.
    Int(i64),
    /// A text.
    Text(&'a [u8]),
    /// A big text.
    Block(&'a Block),
}

impl<'a> Element<'a> {
    /// Length of its text in bytes.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Element::Int(value) => Item::Int(value).text_len(),
            Element::Text(text) => text.len(),
            Element::Block(block) => block.len(),
        }
    }

    /// Whether its text is empty.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Its text; an integer's is written into `scratch`.
    #[inline]
    pub fn as_bytes<'s>(&'s self, scratch: &'s mut itoa::Buffer) -> &'s [u8] {
        match self {
            Element::Int(value) => scratch.format(*value).as_bytes(),
            Element::Text(text) => text,
            Element::Block(block) => block,
        }
    }
}

impl<'a> From<Item<'a>> for Element<'a> {
    #[inline]
    fn from(item: Item<'a>) -> Element<'a> {
        match item {
            Item::Int(value) => Element::Int(value),
            Item::Bytes(text) => Element::Text(text),
        }
    }
}

/// An element by itself.
#[derive(Clone, Debug)]
pub enum OwnedElement {
    /// An integer.
    Int(i64),
    /// A text.
    Text(Vec<u8>),
    /// A big text.
    Block(Block),
}

impl OwnedElement {
    /// The element, lent.
    pub fn lend(&self) -> Element<'_> {
        match self {
            OwnedElement::Int(value) => Element::Int(*value),
            OwnedElement::Text(text) => Element::Text(text),
            OwnedElement::Block(block) => Element::Block(block),
        }
    }
}

impl From<Element<'_>> for OwnedElement {
    fn from(element: Element<'_>) -> OwnedElement {
        match element {
            Element::Int(value) => OwnedElement::Int(value),
            Element::Text(text) => OwnedElement::Text(text.to_vec()),
            Element::Block(block) => OwnedElement::Block(block.clone()),
        }
    }
}

/// A text to be compared with many elements.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    text: &'a [u8],
    /// The integer that an element with this text is kept as.
    int: Option<i64>,
}

impl<'a> Wanted<'a> {
    /// Prepares a text.
    pub fn new(text: &'a [u8]) -> Wanted<'a> {
        Wanted { text, int: canonical_i64(text) }
    }

    /// Whether an element has this text.
    #[inline]
    pub fn is(&self, element: Element<'_>) -> bool {
        match element {
            Element::Int(value) => self.int == Some(value),
            Element::Text(text) => text == self.text,
            Element::Block(block) => block.as_slice() == self.text,
        }
    }
}
