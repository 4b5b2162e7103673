//! Comparing expected lines with the lines of a reply.
//!
//! An expected line is literal unless it begins with `~ `: then `*` stands for any text and
//! `{low..high}` for an integer within those bounds, both included. A line `...` alone stands for
//! any number of lines.

/// Do the expected lines describe the actual ones?
pub fn matches(expected: &[String], actual: &[String]) -> bool {
    match expected.split_first() {
        None => actual.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=actual.len()).any(|skipped| matches(rest, &actual[skipped..]))
        }
        Some((first, rest)) => match actual.split_first() {
            Some((line, others)) => line_matches(first, line) && matches(rest, others),
            None => false,
        },
    }
}

/// Is any of these lines a pattern rather than literal text?
pub fn has_pattern(expected: &[String]) -> bool {
    expected.iter().any(|line| line.starts_with("~ ") || line == "...")
}

fn line_matches(expected: &str, actual: &str) -> bool {
    match expected.strip_prefix("~ ") {
        Some(glob) => glob_matches(glob.as_bytes(), actual.as_bytes()),
        None => expected == actual,
    }
}

fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    match glob.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skipped| glob_matches(rest, &text[skipped..])),
        Some((b'{', rest)) => match range(rest) {
            Some((low, high, after)) => integer_matches(low, high, after, text),
            None => text.first() == Some(&b'{') && glob_matches(rest, &text[1..]),
        },
        Some((byte, rest)) => text.first() == Some(byte) && glob_matches(rest, &text[1..]),
    }
}

/// Reads `low..high}`; returns the bounds and what follows.
fn range(glob: &[u8]) -> Option<(i64, i64, &[u8])> {
    let end = glob.iter().position(|&byte| byte == b'}')?;
    let (low, high) = std::str::from_utf8(&glob[..end]).ok()?.split_once("..")?;
    Some((low.parse().ok()?, high.parse().ok()?, &glob[end + 1..]))
}

fn integer_matches(low: i64, high: i64, after: &[u8], text: &[u8]) -> bool {
    let sign = usize::from(text.first() == Some(&b'-'));
    let digits = text[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(sign + digits);
    let number: Option<i64> = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
    number.is_some_and(|number| (low..=high).contains(&number)) && glob_matches(after, rest)
}

#[test]
fn patterns_match_what_they_say() {
    let block = |lines: &[&str]| lines.iter().map(|line| (*line).to_string()).collect::<Vec<_>>();
    let actual = block(&["1) \"a\"", "2) (integer) 99", "3) (nil)"]);
    assert!(matches(&actual, &actual));
    assert!(matches(&block(&["...", "3) (nil)"]), &actual));
    assert!(matches(&block(&["1) \"a\"", "~ *) (integer) {98..100}", "..."]), &actual));
    assert!(!matches(&block(&["1) \"a\"", "~ 2) (integer) {100..101}", "..."]), &actual));
    assert!(!matches(&block(&["...", "4) (nil)"]), &actual));
    assert!(!matches(&block(&["1) \"a\""]), &actual));
    assert!(!matches(&block(&["1) \"*\"", "..."]), &actual));
}
