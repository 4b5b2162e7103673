//! Glob patterns (`* ? [a-z] [^a] \x`) for KEYS, SCAN, PSUBSCRIBE, CONFIG GET, ACL rules.
//!
//! Follows Redis's matcher in every corner clients can see (unclosed `[`, reversed ranges, signed
//! bytes in ranges, `*` against the empty text), but walks instead of recursing: only the last
//! `*` seen is ever reopened. That is enough, because what stands between two stars matches
//! best at its leftmost place.
//!
//! Promise: at most `pattern × text` steps and no allocation, whatever the pattern.

/// Whether letters must agree in case (ASCII only).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `a` and `A` differ.
    Sensitive,
    /// `a` and `A` are the same.
    Insensitive,
}

/// Where to go on when the text after a `*` did not match: one byte further.
struct Reopen<'a> {
    pattern: &'a [u8],
    text: &'a [u8],
}

/// True if all of `text` matches all of `pattern`.
///
/// As in Redis, the empty text is matched by the empty pattern alone, not by `*`.
pub fn glob_match(pattern: &[u8], text: &[u8], nocase: Case) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    if text.is_empty() {
        return pattern.is_empty();
    }
    // Most patterns are some plain bytes and a star.
    let plain =
        pattern.iter().zip(text).take_while(|(one, other)| one == other && !is_special(**one));
    let plain = plain.count();
    (pattern, text) = (&pattern[plain..], &text[plain..]);
    let mut reopen: Option<Reopen<'_>> = None;
    while let [byte, text_tail @ ..] = text {
        if pattern.first() == Some(&b'*') {
            pattern = skip_stars(pattern);
            if pattern.is_empty() {
                return true;
            }
            reopen = Some(Reopen { pattern, text: text_tail });
        } else if let Some(pattern_tail) = match_one(pattern, *byte, nocase) {
            pattern = pattern_tail;
            text = text_tail;
        } else if let Some(last) = &mut reopen {
            pattern = last.pattern;
            text = last.text;
            last.text = last.text.get(1..).unwrap_or_default();
        } else {
            return false;
        }
    }
    // No need to reopen a star now: with less text to cover, the same elements cannot match.
    skip_stars(pattern).is_empty()
}

/// True if the pattern has no special byte, so it matches exactly the equal text. O(n).
pub fn is_literal(pattern: &[u8]) -> bool {
    memchr::memchr3(b'*', b'?', b'[', pattern).is_none() && memchr::memchr(b'\\', pattern).is_none()
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'*' | b'?' | b'[' | b'\\')
}

fn skip_stars(pattern: &[u8]) -> &[u8] {
    let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
    &pattern[stars..]
}

/// Matches one byte against the first element (not `*`); returns the pattern behind it.
fn match_one(pattern: &[u8], byte: u8, nocase: Case) -> Option<&[u8]> {
    let (is_match, tail) = match pattern {
        [] => return None,
        [b'?', tail @ ..] => (true, tail),
        [b'[', b'^', members @ ..] => {
            let (is_member, tail) = match_class(members, byte, nocase);
            (!is_member, tail)
        }
        [b'[', members @ ..] => match_class(members, byte, nocase),
        [b'\\', literal, tail @ ..] | [literal, tail @ ..] => {
            (fold(*literal, nocase) == fold(byte, nocase), tail)
        }
    };
    is_match.then_some(tail)
}

/// Is `byte` in the class whose members start here? Also returns what follows the class; one
/// that is not closed reaches to the end of the pattern.
fn match_class(members: &[u8], byte: u8, nocase: Case) -> (bool, &[u8]) {
    let mut is_member = false;
    let mut rest = members;
    loop {
        rest = match rest {
            [] => return (is_member, rest),
            // An escaped member is compared exactly, even when case does not matter.
            [b'\\', literal, tail @ ..] => {
                is_member |= *literal == byte;
                tail
            }
            [b']', tail @ ..] => return (is_member, tail),
            // The end of a range may be any byte, even `]`.
            [start, b'-', end, tail @ ..] => {
                is_member |= is_in_range(*start, *end, byte, nocase);
                tail
            }
            [literal, tail @ ..] => {
                is_member |= fold(*literal, nocase) == fold(byte, nocase);
                tail
            }
        };
    }
}

/// C compares `char`s here, which are signed on x86-64: bytes from 0x80 sort before ASCII.
/// The ends are put in order first and folded second, as Redis does.
fn is_in_range(start: u8, end: u8, byte: u8, nocase: Case) -> bool {
    let (low, high) =
        if start.cast_signed() > end.cast_signed() { (end, start) } else { (start, end) };
    let signed = |byte| fold(byte, nocase).cast_signed();
    (signed(low)..=signed(high)).contains(&signed(byte))
}

fn fold(byte: u8, nocase: Case) -> u8 {
    match nocase {
        Case::Sensitive => byte,
        Case::Insensitive => byte.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Redis's algorithm as a plain recursion: every star tries every place.
    fn naive(pattern: &[u8], text: &[u8], nocase: Case) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([], _) => false,
            // A star covers the end of the text, if there was any text in front of it.
            ([b'*', tail @ ..], []) => naive(tail, text, nocase),
            (_, []) => false,
            ([b'*', tail @ ..], [_, text_tail @ ..]) => {
                naive(tail, text, nocase) || naive(pattern, text_tail, nocase)
            }
            (_, [byte, text_tail @ ..]) => {
                match_one(pattern, *byte, nocase).is_some_and(|tail| naive(tail, text_tail, nocase))
            }
        }
    }

    /// Answers of redis-server 7.0.15 (`KEYS pattern` against one key).
    const GOLDEN: &[(&[u8], &[u8], bool)] = &[
        (b"h?llo", b"hello", true),
        (b"h*llo", b"hllo", true),
        (b"h[ae]llo", b"hillo", false),
        (b"h[^e]llo", b"hallo", true),
        (b"h[a-b]llo", b"hbllo", true),
        (b"a\x5c*", b"a*", true),
        (b"a\x5c", b"a\x5c", true),
        (b"[", b"[", false),
        (b"[a", b"a", true),
        (b"[^a", b"b", true),
        (b"[^", b"x", true),
        (b"[]", b"]", false),
        (b"[]a]", b"]a]", false),
        (b"[a-]", b"_", true),
        (b"[z-a]", b"m", true),
        (b"[\x5c]]", b"]", true),
        (b"[\x5c", b"\x5c", true),
        (b"[a\x5c", b"a", true),
        (b"[a-\xff]", b"b", false),
        (b"[a-\xff]", b"\x80", false),
        (b"[a-\xff]", b"A", true),
        (b"[\x80-\xff]", b"\x90", true),
        (b"[\x7f-\x80]", b"0", true),
        (b"**a**", b"a", true),
        (b"a*b*c", b"aXbYbZc", true),
        (b"a*b*c", b"aXbYbZ", false),
        (b"a***", b"a", true),
        (b"*a", b"a", true),
        (b"?*", b"a", true),
        (b"*?", b"a", true),
        (b"*??", b"a", false),
        (b"[a-c", b"b", true),
        (b"[a-", b"-", true),
        (b"\x5c[a]", b"[a]", true),
        (b"a[*]b", b"a*b", true),
        (b"a\x00b", b"a\x00b", true),
        (b"a\x00*", b"a\x00", true),
        (b"-*]\x5c", b"-", false),
        (b"[^^", b"a", true),
        (b"a^]-[-?", b"c", false),
        (b"[-]a^]a", b"--\x5cb", false),
        (b"[[ba--?b", b"-", true),
        (b"a[*a]*^b", b"a", false),
        (b"^\x5c-b]", b"abc-", false),
        (b"]]]*b", b"\x5c", false),
        (b"?b?^?", b"caa]", false),
        (b"\x5c?*]b]", b"-", false),
        (b"]ba^b", b"a", false),
        (b"a*-", b"]", false),
        (b"-]?\x5c]\x5c]a", b"c-\x5c]", false),
        (b"]^\x5cb[\x5c^?", b"-", false),
        (b"[a\x5c]]", b"\x5cb-", false),
        (b"\x5c]b\x5c*]", b"ac", false),
        (b"*b?", b"]cb", false),
        (b"^-^^[[", b"-]b", false),
        (b"a-]?b", b"b\x5c", false),
        (b"[*b-]*", b"ba-", false),
        (b"*bab-^\x5c-", b"cb\x5ca", false),
        (b"^b^]b-", b"ca", false),
        (b"b\x5cb", b"b\x5c]a", false),
        (b"?b*^", b"\x5cb", false),
        (b"\x5c^---^", b"]]", false),
        (b"[a\x5c\x5c\x5c*\x5c", b"a", true),
        (b"]a-]\x5c\x5c-\x5c", b"]", false),
        (b"b?b", b"a\x5cc", false),
        (b"?--][]", b"bcc", false),
        (b"^a^", b"b\x5ca]", false),
        (b"\x5cab]?^^", b"aa", false),
        (b"-[?", b"]b", false),
        (b"a?[]b*", b"\x5c-", false),
        (b"\x5c\x5c[bb", b"--a", false),
        (b"\x5ca^^a[]*", b"b\x5c\x5c", false),
        (b"b?]", b"a]\x5c]", false),
        (b"?^*]*]]-", b"ab]", false),
        (b"-b*?]]?b", b"]\x5c", false),
    ];

    #[test]
    fn agrees_with_redis() {
        for (pattern, text, is_match) in GOLDEN {
            let pattern_text = String::from_utf8_lossy(pattern);
            assert_eq!(
                glob_match(pattern, text, Case::Sensitive),
                *is_match,
                "{pattern_text} {text:?}"
            );
        }
    }

    #[test]
    fn case_is_folded_where_redis_folds_it() {
        let folded = |pattern: &[u8], text: &[u8]| glob_match(pattern, text, Case::Insensitive);
        assert!(folded(b"MaxMemory*", b"maxmemory-policy"));
        assert!(folded(b"[A-C]x", b"bX"));
        assert!(folded(b"[ABC]", b"b"));
        assert!(!folded(b"[\\A]", b"a"));
        // Z..=_ is in order before folding, out of order after it: nothing is between.
        assert!(!folded(b"[Z-_]", b"["));
        assert!(!glob_match(b"A", b"a", Case::Sensitive));
    }

    #[test]
    fn the_empty_text_is_special() {
        assert!(glob_match(b"", b"", Case::Sensitive));
        assert!(!glob_match(b"*", b"", Case::Sensitive));
        assert!(!glob_match(b"", b"a", Case::Sensitive));
    }

    #[test]
    fn hostile_patterns_end_soon() {
        let pattern = b"a*".repeat(5_000);
        let text = vec![b'a'; 20_000];
        assert!(!glob_match(&[&pattern[..], b"b"].concat(), &text, Case::Sensitive));
        assert!(glob_match(&pattern, &text, Case::Sensitive));
    }

    #[test]
    fn literals() {
        assert!(is_literal(b"user:1]^-"));
        assert!(is_literal(b""));
        for special in [b"a*", b"a?", b"a[", b"a\\"] {
            assert!(!is_literal(special));
        }
    }

    proptest! {
        #[test]
        fn agrees_with_plain_recursion(
            pattern in "[ab*?\\[\\]^\\\\-]{0,9}",
            text in "[abA\\]\\\\-]{1,9}",
        ) {
            for nocase in [Case::Sensitive, Case::Insensitive] {
                prop_assert_eq!(
                    glob_match(pattern.as_bytes(), text.as_bytes(), nocase),
                    naive(pattern.as_bytes(), text.as_bytes(), nocase)
                );
            }
        }

        #[test]
        fn a_literal_matches_itself_alone(text in "[a-c]{1,5}", other in "[a-c]{1,5}") {
            let (text, other) = (text.as_bytes(), other.as_bytes());
            prop_assert!(is_literal(text));
            prop_assert_eq!(glob_match(text, other, Case::Sensitive), text == other);
        }
    }
}
