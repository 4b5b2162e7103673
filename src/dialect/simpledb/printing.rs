//! A huge nested value on its way to a client, in pieces.
//!
//! The bytes of such a value stand in a block, which is kept by reference: what becomes of the key meanwhile does not
//! matter. Cost: 60 ns per token.
use super::wire;
use crate::base::block::Block;
use crate::base::pieces::Progress;
use crate::proto::reply::Output;
use crate::store::EntryRef;
use crate::types::document;

/// Longer values are printed in pieces: this many bytes are at most 4096 tokens, a quarter of a millisecond.
const BYTES_AT_ONCE: usize = 8 * 1024;

/// See the head of the file.
pub(super) struct Printing {
    document: Block,
    /// Bytes printed.
    done: usize,
}

impl Printing {
    /// Of the value of a key, if it is a long one, as [`is_long`] says.
    pub(super) fn of(entry: &EntryRef<'_>, is_forced: bool) -> Option<Printing> {
        is_long(entry, is_forced).then(|| entry.document_block()).flatten().map(Printing::of_block)
    }

    fn of_block(document: Block) -> Printing {
        Printing { document, done: 0 }
    }

    /// Prints about so many tokens more.
    pub(super) fn step(&mut self, out: &mut Output, units: usize) -> Progress {
        let mut tokens = document::tokens(self.document.get(self.done..).unwrap_or(&[]));
        // It was checked when it was stored.
        tokens.by_ref().flatten().take(units).for_each(|token| wire::token(token, out));
        self.done = self.document.len() - tokens.left();
        if tokens.left() == 0 { Progress::Done } else { Progress::More }
    }

    /// What is to be freed, perhaps as its last owner.
    pub(super) fn into_block(self) -> Block {
        self.document
    }
}

/// Whether a value is one that takes long to print; any nested one where jobs are forced.
pub(super) fn is_long(entry: &EntryRef<'_>, is_forced: bool) -> bool {
    entry.document().is_some_and(|bytes| bytes.len() > BYTES_AT_ONCE || is_forced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::document::Nested;

    #[test]
    fn pieces_are_the_whole() {
        let list = Nested::Array((0..100).map(Nested::Int).collect());
        let bytes = Nested::Dict(vec![(Nested::Null, list), (Nested::Int(1), Nested::Int(2))]);
        let mut whole = Output::default();
        let bytes = bytes.encode().unwrap();
        document::tokens(&bytes).flatten().for_each(|token| wire::token(token, &mut whole));
        for units in [1, 7, 1000] {
            let (mut out, mut steps) = (Output::default(), 1);
            let mut printing = Printing::of_block(Block::new(bytes.clone()));
            while !printing.step(&mut out, units).is_done() {
                steps += 1;
            }
            assert_eq!(out.to_bytes(), whole.to_bytes());
            // 105 tokens.
            assert_eq!(steps, 105usize.div_ceil(units));
        }
    }
}
