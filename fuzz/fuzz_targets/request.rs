//! The request parser: any bytes in any pieces mean the same as in one piece, and nothing panics.
//!
//! The first byte of an input says how the rest is cut.
#![no_main]
use libfuzzer_sys::fuzz_target;
use rufous::base::hash::KeyHasher;
use rufous::proto::args::{ArgList, HashHint, Span};
use rufous::proto::error::ProtocolError;
use rufous::proto::request::{Limits, Parser, Step, inline_words};

/// What a stream of bytes means: requests, and the error that ended it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Meaning {
    requests: Vec<Vec<Vec<u8>>>,
    error: Option<ProtocolError>,
}

/// A connection as the parser sees it: the buffer, and the argument that goes to a block.
struct Reader {
    parser: Parser,
    buffer: Vec<u8>,
    spans: Vec<Span>,
    blocks: Vec<std::sync::Arc<Vec<u8>>>,
    /// A block being read, and its length when it is whole.
    open_block: Option<(Vec<u8>, usize)>,
    hasher: KeyHasher,
    limits: Limits,
    meaning: Meaning,
}

impl Reader {
    fn new(limits: Limits) -> Reader {
        Reader {
            parser: Parser::default(),
            buffer: Vec::new(),
            spans: Vec::new(),
            blocks: Vec::new(),
            open_block: None,
            hasher: KeyHasher::new(1),
            limits,
            meaning: Meaning::default(),
        }
    }

    fn feed(&mut self, mut piece: &[u8]) {
        if self.meaning.error.is_some() {
            return;
        }
        if let Some((block, len)) = &mut self.open_block {
            let wanted = (*len - block.len()).min(piece.len());
            block.extend_from_slice(&piece[..wanted]);
            piece = &piece[wanted..];
            if block.len() < *len {
                return;
            }
            self.close_block(0);
        }
        self.buffer.extend_from_slice(piece);
        while self.step() {}
        assert!(self.parser.position() <= self.buffer.len());
    }

    /// One step; whether another may follow.
    fn step(&mut self) -> bool {
        match self.parser.next(&self.buffer, &mut self.spans, self.limits) {
            Step::Request => {
                let (spans, blocks) = (&self.spans, &self.blocks);
                let hint = HashHint::default();
                let list = ArgList::new(&self.buffer, spans, blocks, &self.hasher, hint);
                self.meaning.requests.push(list.args().from(0).map(<[u8]>::to_vec).collect());
                self.spans.clear();
                self.blocks.clear();
                true
            }
            Step::Inline { start, end } => match inline_words(&self.buffer[start..end]) {
                Ok(words) if words.is_empty() => true,
                Ok(words) => {
                    self.meaning.requests.push(words);
                    true
                }
                Err(error) => self.fail(error),
            },
            Step::Nothing => true,
            Step::Incomplete => false,
            Step::Block { len } => {
                let held = &self.buffer[self.parser.position()..];
                let taken = held.len().min(len);
                self.open_block = Some((held[..taken].to_vec(), len));
                if taken < len {
                    self.buffer.truncate(self.parser.position());
                    return false;
                }
                self.close_block(taken);
                true
            }
            Step::Error(error) => self.fail(error),
        }
    }

    fn close_block(&mut self, taken: usize) {
        if let Some((block, _)) = self.open_block.take() {
            self.spans.push(Span::block(self.blocks.len()));
            self.blocks.push(std::sync::Arc::new(block));
            self.parser.block_done(taken);
        }
    }

    fn fail(&mut self, error: ProtocolError) -> bool {
        self.meaning.error = Some(error);
        false
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&cut, bytes)) = input.split_first() else { return };
    let limits = Limits { bulk_bytes_max: 512 << 20, is_authenticated: cut & 1 == 0 };
    let mut whole = Reader::new(limits);
    whole.feed(bytes);
    let mut pieces = Reader::new(limits);
    bytes.chunks(usize::from(cut / 2) + 1).for_each(|piece| pieces.feed(piece));
    // An error about a line that is too long comes earlier the more is there of it.
    if bytes.len() < 60_000 {
        assert_eq!(whole.meaning, pieces.meaning);
    }
});
