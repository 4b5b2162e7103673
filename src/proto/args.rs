//! The arguments of one command: spans of the buffer that received them.
//!
//! Nothing is copied per argument; the bytes are copied once, when a key or a value enters the keyspace.
//! A bulk string too big for that was read straight into a [`Block`], which the keyspace takes over by
//! reference ([`Args::block`]). What must outlive its request is an [`OwnedArgs`], which lends the same
//! [`Args`].
use crate::base::block::Block;
use crate::base::hash::{Key, KeyHasher};
use crate::base::pieces::{FREE_PIECE_BYTES, Garbage, Progress, free_buffer};

/// Place of one argument: a range of the buffer, or the index of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte in the buffer, or [`Span::IN_BLOCK`].
    start: u32,
    /// Length in bytes; for a block its index.
    len: u32,
}

impl Span {
    const IN_BLOCK: u32 = u32::MAX;

    /// A range of the buffer. Buffers stay below 4 GiB (`limits::BUFFER_BYTES_MAX`).
    #[inline]
    pub fn new(start: usize, len: usize) -> Span {
        debug_assert!(start < Span::IN_BLOCK as usize && len <= u32::MAX as usize);
        Span { start: start as u32, len: len as u32 }
    }

    /// The argument is the block at `index`.
    #[inline]
    pub fn block(index: usize) -> Span {
        Span { start: Span::IN_BLOCK, len: index as u32 }
    }

    /// The same argument after the first `bytes` of the buffer and the first `blocks` blocks were dropped.
    #[inline]
    pub fn shifted_back(self, bytes: usize, blocks: usize) -> Span {
        if self.start == Span::IN_BLOCK {
            return Span { len: self.len - blocks as u32, ..self };
        }
        Span { start: self.start - bytes as u32, ..self }
    }

    /// Where the argument begins in the buffer; `None` if it is a block.
    #[inline]
    pub fn buffer_start(self) -> Option<usize> {
        (self.start != Span::IN_BLOCK).then_some(self.start as usize)
    }

    /// Where the argument ends in the buffer; `None` if it is a block.
    #[inline]
    pub fn buffer_end(self) -> Option<usize> {
        (self.start != Span::IN_BLOCK).then_some(self.start as usize + self.len as usize)
    }
}

/// The hash of one argument, computed before the command runs so that its bucket could be prefetched.
#[derive(Clone, Copy, Debug, Default)]
pub struct HashHint {
    /// Which argument, 0 where none was hashed.
    pub index: u32,
    /// Its hash.
    pub hash: u64,
}

/// What the arguments of one command are made of. It stays where the request is executed;
/// handlers get [`Args`], which refers to it.
#[derive(Clone, Copy)]
pub struct ArgList<'b> {
    buffer: &'b [u8],
    spans: &'b [Span],
    blocks: &'b [Block],
    hasher: &'b KeyHasher,
    hint: HashHint,
}

impl<'b> ArgList<'b> {
    /// Arguments at `spans` of `buffer`, those too big for it in `blocks`.
    #[inline(always)]
    pub fn new(
        buffer: &'b [u8],
        spans: &'b [Span],
        blocks: &'b [Block],
        hasher: &'b KeyHasher,
        hint: HashHint,
    ) -> ArgList<'b> {
        ArgList { buffer, spans, blocks, hasher, hint }
    }

    /// The arguments, the command's name first.
    #[inline(always)]
    pub fn args(&'b self) -> Args<'b> {
        Args { list: self, skipped: 0 }
    }
}

/// The arguments of one command, the command's name first. `Copy`, and two words long: it travels
/// in registers.
#[derive(Clone, Copy)]
pub struct Args<'b> {
    list: &'b ArgList<'b>,
    /// Arguments of the list before the first of these; at most as many as it has.
    skipped: usize,
}

impl<'b> Args<'b> {
    #[inline(always)]
    fn spans(self) -> &'b [Span] {
        self.list.spans.get(self.skipped..).unwrap_or(&[])
    }

    /// How many, the name included.
    #[inline(always)]
    pub fn len(self) -> usize {
        self.list.spans.len() - self.skipped
    }

    /// Only an empty request has none, and that never reaches a handler.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Argument `index`; the name is 0. Past the end: empty, so no request can make a handler panic.
    #[inline(always)]
    pub fn at(self, index: usize) -> &'b [u8] {
        match self.list.spans.get(self.skipped + index) {
            Some(span) => self.resolve(*span),
            None => &[],
        }
    }

    #[inline(always)]
    fn resolve(self, span: Span) -> &'b [u8] {
        if span.start != Span::IN_BLOCK {
            &self.list.buffer[span.start as usize..][..span.len as usize]
        } else {
            self.list.blocks.get(span.len as usize).map_or(&[], |block| block.as_slice())
        }
    }

    /// Argument `index` with its hash: the prefetched one where it is, else computed now.
    #[inline(always)]
    pub fn key(self, index: usize) -> Key<'b> {
        let bytes = self.at(index);
        let hint = self.list.hint;
        if self.skipped + index == hint.index as usize {
            return Key { bytes, hash: hint.hash };
        }
        Key { bytes, hash: self.list.hasher.hash(bytes) }
    }

    /// The block behind argument `index`, where it was big enough for one: a value can be kept by
    /// reference.
    #[inline]
    pub fn block(self, index: usize) -> Option<&'b Block> {
        let span = self.spans().get(index)?;
        if span.start == Span::IN_BLOCK { self.list.blocks.get(span.len as usize) } else { None }
    }

    /// All arguments from `first` on.
    #[inline]
    pub fn from(self, first: usize) -> impl ExactSizeIterator<Item = &'b [u8]> + Clone {
        self.spans().get(first..).unwrap_or(&[]).iter().map(move |span| self.resolve(*span))
    }

    /// The arguments after the first `count`: a command within a command (COMMAND GETKEYS).
    pub fn skip(self, count: usize) -> Args<'b> {
        let skipped = (self.skipped + count).min(self.list.spans.len());
        Args { skipped, ..self }
    }

    /// Total bytes of all arguments. O(arguments).
    pub fn bytes_total(self) -> usize {
        self.from(0).map(<[u8]>::len).sum()
    }

    /// Bytes of the request as clients send it: `*2 $6 client $4 list`, with a line end after each part. O(arguments).
    pub fn wire_bytes(self) -> usize {
        let digits = |number: usize| number.checked_ilog10().unwrap_or(0) as usize + 1;
        let header = |number: usize| 1 + digits(number) + 2;
        let part = |arg: &[u8]| header(arg.len()) + arg.len() + 2;
        header(self.len()) + self.from(0).map(part).sum::<usize>()
    }

    /// The key hasher of the engine the arguments are meant for.
    #[inline]
    pub fn hasher(self) -> &'b KeyHasher {
        self.list.hasher
    }
}

/// A buffer larger than this is not freed at once.
pub const BIG_BYTES: usize = 2 * FREE_PIECE_BYTES;

/// Arguments that outlive their request, in one buffer.
#[derive(Clone, Debug, Default)]
pub struct OwnedArgs {
    buffer: Vec<u8>,
    spans: Vec<Span>,
    /// Spans before the first argument: they belonged to earlier requests of a buffer that was taken over.
    spans_skipped: usize,
    blocks: Vec<Block>,
}

impl OwnedArgs {
    /// Copies `parts` (blocks by reference where there are any).
    pub fn copy_of(args: Args<'_>) -> OwnedArgs {
        let mut owned = OwnedArgs::default();
        for index in 0..args.len() {
            match args.block(index) {
                Some(block) => owned.push_block(block.clone()),
                None => owned.push(args.at(index)),
            }
        }
        owned
    }

    /// Takes over the buffers of a request: `spans` of `buffer`, or of `blocks`. Copies nothing.
    pub fn from_buffer(buffer: Vec<u8>, spans: Vec<Span>, blocks: Vec<Block>) -> OwnedArgs {
        OwnedArgs { buffer, spans, spans_skipped: 0, blocks }
    }

    /// Without the first `count` arguments and `blocks` blocks, which were those of earlier requests. O(blocks).
    #[must_use]
    pub fn without_first(mut self, count: usize, blocks: usize) -> OwnedArgs {
        self.spans_skipped = (self.spans_skipped + count).min(self.spans.len());
        let nothing = Block::default();
        // Their places stay, since spans name blocks by them; what they hold may be somebody's to change.
        self.blocks.iter_mut().take(blocks).for_each(|block| *block = nothing.clone());
        self
    }

    /// Copies a list of strings.
    pub fn from_parts<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> OwnedArgs {
        let mut owned = OwnedArgs::default();
        parts.into_iter().for_each(|part| owned.push(part));
        owned
    }

    /// Appends a copy of `part`; one that would overflow the buffer's 4 GiB goes to a block.
    pub fn push(&mut self, part: &[u8]) {
        if part.len() + self.buffer.len() >= Span::IN_BLOCK as usize {
            return self.push_block(Block::new(part.to_vec()));
        }
        self.spans.push(Span::new(self.buffer.len(), part.len()));
        self.buffer.extend_from_slice(part);
    }

    /// Appends a block by reference.
    pub fn push_block(&mut self, block: Block) {
        self.spans.push(Span::block(self.blocks.len()));
        self.blocks.push(block);
    }

    /// Buffer, spans and blocks.
    pub fn parts(&self) -> (&[u8], &[Span], &[Block]) {
        (&self.buffer, self.spans(), &self.blocks)
    }

    fn spans(&self) -> &[Span] {
        self.spans.get(self.spans_skipped..).unwrap_or(&[])
    }

    /// Whether it is to be freed in pieces. O(blocks).
    pub fn is_big(&self) -> bool {
        let is_big =
            |block: &Block| block.capacity() > BIG_BYTES && Block::strong_count(block) == 1;
        self.buffer.capacity() > BIG_BYTES
            || self.spans.capacity() * size_of::<Span>() > BIG_BYTES
            || self.blocks.iter().any(is_big)
    }

    /// Memory it holds, in bytes; blocks in full, though others may refer to them, too. O(blocks).
    pub fn memory_bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(|block| block.capacity()).sum();
        self.buffer.capacity() + self.spans.capacity() * size_of::<Span>() + blocks
    }

    /// Lends the arguments.
    pub fn lend<'b>(&'b self, hasher: &'b KeyHasher) -> ArgList<'b> {
        ArgList::new(&self.buffer, self.spans(), &self.blocks, hasher, HashHint::default())
    }

    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.spans.clear();
        self.spans_skipped = 0;
        self.blocks.clear();
    }
}

impl Garbage for OwnedArgs {
    fn free_slice(&mut self, units: usize) -> Progress {
        for _ in 0..units {
            let is_done = self.blocks.free_slice(1).is_done()
                && free_buffer(&mut self.spans, 1).is_done()
                && self.buffer.free_slice(1).is_done();
            if is_done {
                return Progress::Done;
            }
        }
        Progress::More
    }
}

#[cfg(test)]
pub(crate) mod tests_support {
    //! For tests of those who push spans.
    use super::Span;

    /// The bytes behind `spans`, none of which is a block.
    pub(crate) fn resolve(buffer: &[u8], spans: &[Span]) -> Vec<Vec<u8>> {
        let bytes = |span: &Span| buffer[span.start as usize..][..span.len as usize].to_vec();
        spans.iter().map(bytes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_long_as_it_was_sent() {
        let long = vec![b'x'; 100];
        for parts in [vec![&b"client"[..], b"list"], vec![b"echo", b""], vec![b"set", b"k", &long]]
        {
            let owned = OwnedArgs::from_parts(parts.iter().copied());
            let mut sent = format!("*{}\r\n", parts.len());
            for part in &parts {
                sent += &format!("${}\r\n{}\r\n", part.len(), String::from_utf8_lossy(part));
            }
            assert_eq!(owned.lend(&KeyHasher::new(1)).args().wire_bytes(), sent.len());
        }
    }
}
