//! Tests of the request parser: whole, in pieces, and at every limit.
use super::*;

const OPEN: Limits = Limits { bulk_bytes_max: 512 << 20, is_authenticated: true };

/// What a stream of bytes means: requests, and the error that ended it.
type Meaning = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// Feeds `input` in the pieces that end at `cuts`, keeping the buffer as a connection does.
fn parse(input: &[u8], cuts: &[usize], limits: Limits) -> Meaning {
    let (mut parser, mut buffer, mut spans) = (Parser::default(), Vec::new(), Vec::new());
    let mut requests = Vec::new();
    let mut from = 0;
    for &to in cuts.iter().chain([&input.len()]) {
        buffer.extend_from_slice(&input[from..to]);
        from = to;
        loop {
            match parser.next(&buffer, &mut spans, limits) {
                Step::Request => {
                    let args: Vec<Vec<u8>> =
                        crate::proto::args::tests_support::resolve(&buffer, &spans);
                    requests.push(args);
                    spans.clear();
                }
                Step::Inline { start, end } => match inline_words(&buffer[start..end]) {
                    Ok(words) if words.is_empty() => {}
                    Ok(words) => requests.push(words),
                    Err(error) => return (requests, Some(error)),
                },
                Step::Nothing => {}
                Step::Incomplete => break,
                Step::Block { .. } => panic!("no block in these tests"),
                Step::Error(error) => return (requests, Some(error)),
            }
        }
    }
    (requests, None)
}

fn words(text: &str) -> Vec<Vec<u8>> {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

#[test]
fn requests_mean_the_same_in_any_three_pieces_and_byte_by_byte() {
    let input = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING \"a b\"\r\n*0\r\n*-1\r\n\r\n*11\r\n$4\r\nMGET\r\n\
        $1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n$1\r\n6\r\n$1\r\n7\r\n$1\r\n8\r\n$1\r\n9\r\n\
        $12\r\nabcdefghijkl\r\n*3\r\n$3\r\nSET\r\n$0\r\n\r\n$101\r\n";
    let mut input = input.to_vec();
    input.extend([b'v'; 101]);
    input.extend(b"\r\n");
    let whole = parse(&input, &[], OPEN);
    assert_eq!(whole.0.len(), 4);
    assert_eq!(whole.0[0], words("GET k"));
    assert_eq!(whole.0[1], [b"PING".to_vec(), b"a b".to_vec()]);
    assert_eq!(whole.0[2].len(), 11);
    assert_eq!(whole.0[3][1], b"");
    assert_eq!(whole.1, None);
    // Two cuts: what the first makes the parser remember must be right after the second, too.
    for first in 0..=input.len() {
        for second in first..=input.len() {
            assert_eq!(parse(&input, &[first, second], OPEN), whole, "cuts at {first}, {second}");
        }
    }
    let every: Vec<usize> = (0..input.len()).collect();
    assert_eq!(parse(&input, &every, OPEN), whole);
}

#[test]
fn errors_have_their_cause() {
    let cases: &[(&[u8], ProtocolError)] = &[
        (b"*x\r\n", ProtocolError::BadCount),
        (b"*2147483648\r\n", ProtocolError::BadCount),
        (b"*1\r\n#3\r\n", ProtocolError::ExpectedBulk(b'#')),
        (b"*1\r\n\r\n", ProtocolError::ExpectedBulk(b'\r')),
        (b"*1\r\n$-1\r\n", ProtocolError::BadLength),
        (b"*1\r\n$536870913\r\n", ProtocolError::BadLength),
        (b"*1\r\n$ 3\r\n", ProtocolError::BadLength),
        (b"PING \"x\r\n", ProtocolError::UnbalancedQuotes),
    ];
    for (input, error) in cases {
        assert_eq!(parse(input, &[], OPEN).1, Some(*error), "{}", input.escape_ascii());
        assert_eq!(parse(input, &[1, 2], OPEN).1, Some(*error), "{}", input.escape_ascii());
    }
}

#[test]
fn lines_may_have_64_kib_and_no_more() {
    for (head, error) in [
        (&b""[..], ProtocolError::InlineTooBig),
        (b"*", ProtocolError::CountTooBig),
        (b"*1\r\n$", ProtocolError::LengthTooBig),
    ] {
        let line_start = if head.ends_with(b"$") { 4 } else { usize::from(head == b"*") };
        let mut input = head.to_vec();
        input.resize(line_start + INLINE_BYTES_MAX, b'1');
        assert_eq!(parse(&input, &[], OPEN).1, None);
        input.push(b'1');
        assert_eq!(parse(&input, &[], OPEN).1, Some(error));
    }
}

#[test]
fn strangers_are_trusted_less() {
    let stranger = Limits { is_authenticated: false, ..OPEN };
    assert_eq!(parse(b"*10\r\n$16384\r\n", &[], stranger).1, None);
    assert_eq!(parse(b"*11\r\n", &[], stranger).1, Some(ProtocolError::UnauthenticatedCount));
    let long = parse(b"*1\r\n$16385\r\n", &[], stranger);
    assert_eq!(long.1, Some(ProtocolError::UnauthenticatedLength));
}

#[test]
fn a_long_argument_goes_to_a_block() {
    let (mut parser, mut spans) = (Parser::default(), Vec::new());
    let head = b"*2\r\n$6\r\nSTRLEN\r\n$32768\r\nabc";
    assert_eq!(parser.next(head, &mut spans, OPEN), Step::Block { len: 32768 });
    assert_eq!(&head[parser.position()..], b"abc");
    parser.block_done(3);
    spans.push(Span::block(0));
    let mut buffer = head.to_vec();
    assert_eq!(parser.next(&buffer, &mut spans, OPEN), Step::Incomplete);
    buffer.extend(b"\r\n");
    assert_eq!(parser.next(&buffer, &mut spans, OPEN), Step::Request);
    assert_eq!(spans.len(), 2);
}
