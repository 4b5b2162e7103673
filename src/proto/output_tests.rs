//! Against a plain string of bytes.
use proptest::prelude::*;
use std::sync::Arc;

use super::*;

/// Something done to an output.
#[derive(Clone, Debug)]
enum Step {
    Text(usize),
    Block(usize),
    Range(usize, usize),
    Seal,
    Consume(usize),
    /// Appends another output of this much text and this block, sealed or not.
    Append(usize, usize, bool),
    /// A mark, then text, a block and text, with a seal between them or not; then what becomes of it.
    Marked(usize, usize, bool, After),
}

#[derive(Clone, Copy, Debug)]
enum After {
    Rewind,
    Split,
    Header,
}

fn any_len() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0usize..50, 1 => 10_000usize..90_000]
}

fn any_step() -> impl Strategy<Value = Step> {
    let after = prop_oneof![Just(After::Rewind), Just(After::Split), Just(After::Header)];
    prop_oneof![
        3 => any_len().prop_map(Step::Text),
        2 => any_len().prop_map(Step::Block),
        1 => (0usize..60, 0usize..60).prop_map(|(from, len)| Step::Range(from, len)),
        2 => Just(Step::Seal),
        2 => any_len().prop_map(Step::Consume),
        1 => (any_len(), any_len(), any::<bool>()).prop_map(|(a, b, c)| Step::Append(a, b, c)),
        3 => (any_len(), any_len(), any::<bool>(), after)
            .prop_map(|(a, b, c, d)| Step::Marked(a, b, c, d)),
    ]
}

/// An output and what it must be equal to, filled with bytes that differ.
#[derive(Default)]
struct Pair {
    output: Output,
    model: Vec<u8>,
    count: u8,
}

impl Pair {
    fn piece(&mut self, len: usize) -> Vec<u8> {
        self.count = self.count.wrapping_add(1);
        (0..len).map(|at| self.count.wrapping_add(at as u8)).collect()
    }

    fn text(&mut self, len: usize) {
        let piece = self.piece(len);
        self.output.bytes_mut().extend_from_slice(&piece);
        self.model.extend(piece);
    }

    fn block(&mut self, len: usize) {
        let piece = self.piece(len);
        self.output.push_block(Arc::new(piece.clone()));
        self.model.extend(piece);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Text(len) => self.text(len),
            Step::Block(len) => self.block(len),
            Step::Range(from, len) => {
                let piece = self.piece(50);
                let to = (from + len).min(50);
                self.output.push_range(Arc::new(piece.clone()), from..from + len);
                self.model.extend(&piece[from.min(to)..to]);
            }
            Step::Seal => self.output.seal_all(),
            Step::Consume(len) => {
                let len = len.min(self.model.len());
                self.output.consume(len);
                self.model.drain(..len);
            }
            Step::Append(text, block, is_sealed) => {
                let mut other = Pair { count: self.count, ..Pair::default() };
                other.text(text);
                other.block(block);
                if is_sealed {
                    other.output.seal_all();
                }
                other.text(text);
                self.output.append(other.output);
                self.model.extend(other.model);
            }
            Step::Marked(text, block, is_sealed, after) => {
                let (mark, len) = (self.output.mark(), self.model.len());
                self.text(text);
                if is_sealed {
                    self.output.seal_all();
                }
                self.block(block);
                self.text(text);
                assert_eq!(self.output.grew_since(mark), self.model.len() != len);
                match after {
                    After::Rewind => {
                        self.output.rewind(mark);
                        self.model.truncate(len);
                    }
                    After::Split => {
                        let tail = self.output.split_off(mark);
                        assert!(tail.to_bytes() == self.model.split_off(len));
                    }
                    After::Header => {
                        self.output.insert(mark, b"*header");
                        self.model.splice(len..len, *b"*header");
                    }
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn equals_a_string(steps in prop::collection::vec(any_step(), 1..40)) {
        let mut pair = Pair::default();
        for step in steps {
            pair.take(step.clone());
            let Pair { output, model, .. } = &pair;
            prop_assert_eq!(output.len(), model.len(), "{:?}", step);
            prop_assert_eq!(output.is_empty(), model.is_empty());
            prop_assert!(output.to_bytes() == *model, "{:?}", step);
            prop_assert!(output.sealed <= output.blocks.len());
            prop_assert!(output.blocks.iter().take(output.sealed).all(|insert| insert.at == 0));
            prop_assert!(output.blocks.iter().all(|insert| !insert.range.is_empty()));
        }
    }
}

#[test]
fn a_long_reply_is_a_queue_of_chunks() {
    let mut output = Output::default();
    output.bytes_mut().extend_from_slice(b"before");
    let open = output.mark();
    for _ in 0..1000 {
        // A slice writes some text.
        (0..1000).for_each(|_| output.bytes_mut().extend_from_slice(b"0123456789abcdef"));
        output.seal();
        assert!(output.capacity() <= 2 * SEAL_BYTES_MIN);
    }
    output.insert(open, b"*1\r\n");
    assert_eq!(output.len(), 6 + 4 + 16_000_000);
    assert!(output.to_bytes().starts_with(b"before*1\r\n0123"));
    assert!(output.blocks().len() <= 16_000_000 / SEAL_BYTES_MIN + 2);
    // Chunks go as they leave.
    let second = Arc::downgrade(&output.blocks()[1].block);
    output.consume(160_000);
    assert!(second.upgrade().is_none());
    assert_eq!(output.to_bytes().len(), 16_000_010 - 160_000);
}

#[test]
fn a_short_text_is_not_sealed() {
    let mut output = Output::default();
    output.bytes_mut().extend_from_slice(&[1; SEAL_BYTES_MIN - 1]);
    output.seal();
    assert!(output.blocks().is_empty());
    output.bytes_mut().push(1);
    output.seal();
    assert_eq!((output.blocks().len(), output.bytes().len()), (1, 0));
}

#[test]
fn big_blocks_that_have_left_are_handed_out() {
    let mut output = Output::default();
    let kept = Arc::new(vec![1u8; SPENT_BYTES_MIN]);
    output.push_block(Arc::clone(&kept));
    output.push_block(Arc::new(vec![2u8; SPENT_BYTES_MIN]));
    output.push_block(Arc::new(vec![3u8; SPENT_BYTES_MIN - 1]));
    output.consume(2 * SPENT_BYTES_MIN - 1);
    assert!(!output.has_spent());
    output.consume(SPENT_BYTES_MIN);
    let spent = output.take_spent();
    assert_eq!((spent.len(), spent[0][0]), (1, 2));
    assert!(output.is_empty() && !output.has_spent());
}

#[test]
fn it_is_freed_in_slices() {
    let mut output = Output::default();
    output.push_block(Arc::new(vec![1u8; 8 * FREE_PIECE_BYTES]));
    output.bytes_mut().extend_from_slice(&vec![1; 8 * FREE_PIECE_BYTES]);
    output.push_block(Arc::new(vec![1u8; 10]));
    let mut steps = 0;
    while output.free_slice(1) == Progress::More {
        steps += 1;
    }
    // The small one, seven pieces of the big one, six or more of the text.
    assert!((14..20).contains(&steps), "{steps}");
    assert_eq!((output.capacity(), output.len()), (0, 0));
}
