//! Requests that leave their buffer, against copies of them.
use super::*;
use crate::base::hash::KeyHasher;
use crate::proto::args::{ArgList, HashHint};
use crate::proto::request::{Limits, Step};

const LIMITS: Limits = Limits { bulk_bytes_max: 1 << 29, is_authenticated: true };

/// Where one finished request is, as the batch notes it.
#[derive(Clone)]
struct Noted {
    spans: Range<u32>,
    blocks: Range<u32>,
}

fn encoded(words: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// A partial that has parsed all of `bytes`, and the finished requests in it. Arguments of 32 KiB and more become
/// blocks.
fn parsed(bytes: &[u8]) -> (Partial, Vec<Noted>) {
    let mut partial = Partial { buffer: bytes.to_vec(), ..Partial::default() };
    let mut noted = Vec::new();
    loop {
        let Partial { buffer, spans, parser, .. } = &mut partial;
        match parser.next(buffer, spans, LIMITS) {
            Step::Request => {
                noted.push(Noted {
                    spans: partial.finished.spans as u32..partial.spans.len() as u32,
                    blocks: partial.finished.blocks as u32..partial.blocks.len() as u32,
                });
                partial.finished = Finished {
                    bytes: partial.parser.position(),
                    spans: partial.spans.len(),
                    blocks: partial.blocks.len(),
                };
            }
            Step::Block { len } => {
                let from = parser.position();
                let block = buffer.drain(from..from + len).collect();
                buffer.shrink_to_fit();
                partial.spans.push(Span::block(partial.blocks.len()));
                partial.blocks.push(Block::new(block));
                partial.parser.block_done(0);
            }
            Step::Incomplete => return (partial, noted),
            step => panic!("{step:?}"),
        }
    }
}

fn words_of(buffer: &[u8], spans: &[Span], blocks: &[Block]) -> Vec<Vec<u8>> {
    let hasher = KeyHasher::new(1);
    let list = ArgList::new(buffer, spans, blocks, &hasher, HashHint::default());
    list.args().from(0).map(<[u8]>::to_vec).collect()
}

fn owned_words(args: &OwnedArgs) -> Vec<Vec<u8>> {
    let (buffer, spans, blocks) = args.parts();
    words_of(buffer, spans, blocks)
}

/// Small, big by bytes, big with blocks between, big by arguments, small; then the beginning of another.
fn requests() -> Vec<Vec<Vec<u8>>> {
    let small = |n: u8| vec![b"GET".to_vec(), vec![n; 10]];
    let long = |n: u8| vec![n; 20_000];
    let huge = |n: u8| vec![n; 50_000];
    vec![
        small(1),
        vec![b"MSET".to_vec(), long(2), long(3), long(4), long(5)],
        vec![b"MSET".to_vec(), huge(6), long(7), long(8), long(9), long(10), huge(11)],
        (0..30_000u32).map(|n| n.to_string().into_bytes()).collect(),
        small(12),
        vec![b"SET".to_vec(), b"k".to_vec(), huge(13)],
        small(14),
    ]
}

#[test]
fn big_requests_are_taken_and_the_others_stay() {
    let requests = requests();
    let mut bytes: Vec<u8> = requests.iter().flat_map(|request| encoded(request)).collect();
    let unfinished = encoded(&[b"SET".to_vec(), b"key".to_vec(), b"value".to_vec()]);
    bytes.extend_from_slice(&unfinished[..unfinished.len() - 5]);
    // Every choice of requests to be taken, in order; who refuses to be taken stays to be copied.
    for choice in 0u32..1 << requests.len() {
        let (mut partial, noted) = parsed(&bytes);
        assert_eq!(noted.len(), requests.len());
        let mut kept = Vec::new();
        for (index, (request, noted)) in requests.iter().zip(&noted).enumerate() {
            let (buffer, spans, blocks) =
                partial.request(noted.spans.clone(), noted.blocks.clone());
            assert!(words_of(buffer, spans, blocks) == *request, "{choice:#b} {index}");
            if choice >> index & 1 == 0 {
                continue;
            }
            let taken = partial.take_request(noted.spans.clone(), noted.blocks.clone());
            assert_eq!(taken.is_some(), (1..4).contains(&index), "{choice:#b} {index}");
            if let Some(taken) = taken {
                assert!(owned_words(&taken) == *request);
                kept.push((taken, index));
                // It is gone, and cannot be taken again.
                let (_, spans, _) = partial.request(noted.spans.clone(), noted.blocks.clone());
                assert!(spans.is_empty());
                assert!(partial.take_request(noted.spans.clone(), noted.blocks.clone()).is_none());
            }
        }
        assert!(kept.iter().all(|(taken, index)| owned_words(taken) == requests[*index]));
        let _ = partial.drop_finished();
        assert_eq!((partial.taken.bytes, partial.finished.bytes), (0, 0));
        // The unfinished one goes on.
        partial.buffer.extend_from_slice(&unfinished[unfinished.len() - 5..]);
        let Partial { buffer, spans, parser, .. } = &mut partial;
        assert_eq!(parser.next(buffer, spans, LIMITS), Step::Request);
        let words = words_of(&partial.buffer, &partial.spans, &partial.blocks);
        assert_eq!(words, [&b"SET"[..], b"key", b"value"]);
    }
}

#[test]
fn a_taken_request_does_not_hold_the_blocks_of_others() {
    let requests = [
        vec![b"SET".to_vec(), b"k".to_vec(), vec![1; 40_000]],
        vec![b"MSET".to_vec(), vec![2; 30_000], vec![3; 30_000], vec![4; 30_000]],
    ];
    let bytes: Vec<u8> = requests.iter().flat_map(|request| encoded(request)).collect();
    let (mut partial, noted) = parsed(&bytes);
    let stored = partial.blocks[0].clone();
    let taken = partial.take_request(noted[1].spans.clone(), noted[1].blocks.clone());
    let taken = taken.expect("big enough");
    assert_eq!(Block::strong_count(&stored), 1);
    assert!(owned_words(&taken) == requests[1]);
}

#[test]
fn big_buffers_of_finished_requests_are_handed_out() {
    let big: Vec<Vec<u8>> = (0..200).map(|n| vec![n as u8; 30_000]).collect();
    let mut bytes = encoded(&big);
    bytes.extend_from_slice(b"*2\r\n$4\r\nECHO\r\n");
    let (mut partial, noted) = parsed(&bytes);
    assert_eq!(noted.len(), 1);
    let place = partial.buffer.as_ptr();
    let handed = partial.drop_finished().expect("6 MB");
    assert_eq!(handed.parts().0.as_ptr(), place);
    assert_eq!(partial.buffer, b"*2\r\n$4\r\nECHO\r\n");
    assert_eq!((partial.spans.len(), partial.finished.bytes, partial.taken.bytes), (1, 0, 0));
    // A big block that the keyspace did not take is handed out, too.
    let (mut partial, _) = parsed(&encoded(&[b"SET".to_vec(), vec![1; 3 << 20]]));
    let stored = partial.blocks[0].clone();
    assert!(partial.drop_finished().is_none(), "somebody else frees it");
    drop(stored);
    let (mut partial, _) = parsed(&encoded(&[b"SET".to_vec(), vec![1; 3 << 20]]));
    assert!(partial.drop_finished().is_some());
}

#[test]
fn frames_are_taken() {
    let mut partial = Partial { buffer: vec![7; 100_000], ..Partial::default() };
    partial.buffer.extend_from_slice(b"second frame, and part of a third");
    partial.parser = Parser::at(100_012);
    partial.finished.bytes = 100_012;
    assert!(partial.take_frame(100_000..100_012).is_none());
    assert_eq!(partial.frame(100_000..100_012), b"second frame");
    let taken = partial.take_frame(0..100_000).expect("big enough");
    assert_eq!(taken.parts().0, vec![7; 100_000]);
    assert_eq!(partial.frame(0..100_000), b"");
    assert_eq!(partial.frame(100_000..100_012), b"second frame");
    assert!(partial.drop_finished().is_none());
    assert_eq!(partial.buffer, b", and part of a third");
    assert_eq!(partial.parser.position(), 0);
}
