//! Quoted strings: how Redis shows arbitrary bytes on one line, and how it takes a line apart.
//!
//! [`quote_into`] is what MONITOR, SLOWLOG and CONFIG REWRITE print; [`split_args`] reads inline
//! commands and lines of redis.conf. Promise: `split_args` gives back what `quote_into` wrote.
//! Cost: one pass each.

use super::number::{c_string, is_c_space};

/// Appends `bytes` in double quotes with `\"`, `\\`, `\n`, `\r`, `\t`, `\a`, `\b`, and `\xhh` for
/// every other byte outside printable ASCII (Redis `sdscatrepr`).
pub fn quote_into(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => {
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                out.extend_from_slice(&[b'\\', b'x', HEX[high], HEX[low]]);
            }
        }
    }
    out.push(b'"');
}

/// Splits a line into words, with `"…"` (escapes as in [`quote_into`]) and `'…'` (only `\'`)
/// quoting (Redis `sdssplitargs`). A NUL byte ends the line.
///
/// `None` for a quote that is not closed, or closed in front of something other than a blank.
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = c_string(line);
    let mut words = Vec::new();
    loop {
        let blanks = rest.iter().take_while(|byte| is_c_space(**byte)).count();
        rest = &rest[blanks..];
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        rest = take_word(rest, &mut word)?;
        words.push(word);
    }
}

/// Moves one word from the front of `text` into `word`; returns what follows it.
fn take_word<'t>(text: &'t [u8], word: &mut Vec<u8>) -> Option<&'t [u8]> {
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        match byte {
            // Not every blank ends a word: Redis lets \v and \f stand inside one.
            b' ' | b'\n' | b'\r' | b'\t' => return Some(tail),
            b'"' => return take_double_quoted(tail, word),
            b'\'' => return take_single_quoted(tail, word),
            _ => word.push(*byte),
        }
        rest = tail;
    }
    Some(rest)
}

fn take_double_quoted<'t>(text: &'t [u8], word: &mut Vec<u8>) -> Option<&'t [u8]> {
    let mut rest = text;
    loop {
        rest = match rest {
            [b'\\', b'x', high, low, tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push(hex_value(*high) << 4 | hex_value(*low));
                tail
            }
            [b'\\', escaped, tail @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                tail
            }
            [b'"', tail @ ..] => return after_closing_quote(tail),
            [byte, tail @ ..] => {
                word.push(*byte);
                tail
            }
            [] => return None,
        };
    }
}

fn take_single_quoted<'t>(text: &'t [u8], word: &mut Vec<u8>) -> Option<&'t [u8]> {
    let mut rest = text;
    loop {
        rest = match rest {
            [b'\\', b'\'', tail @ ..] => {
                word.push(b'\'');
                tail
            }
            [b'\'', tail @ ..] => return after_closing_quote(tail),
            [byte, tail @ ..] => {
                word.push(*byte);
                tail
            }
            [] => return None,
        };
    }
}

fn after_closing_quote(rest: &[u8]) -> Option<&[u8]> {
    rest.first().is_none_or(|byte| is_c_space(*byte)).then_some(rest)
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        quote_into(&mut out, bytes);
        out
    }

    #[test]
    fn quotes_as_redis_does() {
        assert_eq!(quoted(b""), b"\"\"");
        assert_eq!(quoted(b"a b'~"), b"\"a b'~\"");
        assert_eq!(
            quoted(b"\"\\\n\r\t\x07\x08\x00\x0b\x7f\xff"),
            br#""\"\\\n\r\t\a\b\x00\x0b\x7f\xff""#
        );
    }

    #[test]
    fn splits_as_redis_does() {
        let cases: &[(&[u8], &[&[u8]])] = &[
            (b"", &[]),
            (b" \t\r\n\x0b\x0c", &[]),
            (b"  set  foo\tbar \r\n", &[b"set", b"foo", b"bar"]),
            (br#"a "b c" 'd e'"#, &[b"a", b"b c", b"d e"]),
            (br#""\x41\x4G\n\r\t\b\a\q\\\"""#, &[b"Ax4G\n\r\t\x08\x07q\\\""]),
            (br#"'\'\n\x41'"#, &[br#"'\n\x41"#]),
            (br#"foo"bar" x"#, &[b"foobar", b"x"]),
            (br#""" ''"#, &[b"", b""]),
            (b"a\x0bb c", &[b"a\x0bb", b"c"]),
            (b"\"a\"\x0b\"b\"", &[b"a", b"b"]),
            (b"a b\0 \"c", &[b"a", b"b"]),
            (br"a\ b", &[br"a\", b"b"]),
        ];
        for (line, words) in cases {
            let split = split_args(line).unwrap_or_else(|| panic!("{line:?}"));
            assert_eq!(split, *words, "{line:?}");
        }
        let unbalanced: &[&[u8]] = &[
            b"\"", b"'", b"\"a", b"'a", br#""a"b"#, b"'a'b", br#""\""#, br"'\'", b"\"a\0\"",
            br#""\x4"#,
        ];
        for line in unbalanced {
            assert_eq!(split_args(line), None, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn quoted_words_come_back(words: Vec<Vec<u8>>) {
            let mut line = Vec::new();
            for word in &words {
                quote_into(&mut line, word);
                line.push(b' ');
            }
            prop_assert_eq!(split_args(&line), Some(words));
        }

        #[test]
        fn hostile_lines_never_panic(line in "[a\"'\\\\x0 \n]{0,30}") {
            split_args(line.as_bytes());
        }
    }
}
