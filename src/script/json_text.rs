//! JSON as text, without Lua: tokens of it, and strings and numbers written.
//!
//! The reader takes what the library lua-cjson 2.1 takes, which is more than JSON: numbers that `strtod` reads and
//! bytes that are no UTF-8. As there, a zero byte is the end of the text.
//!
//! It holds one token and no tree, so that it costs memory for one string only, whatever the input.

use crate::base::c_number::{parse_prefix, write_general};

/// A piece of JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// `{`
    ObjectBegin,
    /// `}`
    ObjectEnd,
    /// `[`
    ArrayBegin,
    /// `]`
    ArrayEnd,
    /// A string, which [`Lexer::string`] has.
    String,
    /// A number.
    Number(f64),
    /// `true` or `false`
    Boolean(bool),
    /// `null`
    Null,
    /// `:`
    Colon,
    /// `,`
    Comma,
    /// Nothing is left.
    End,
    /// No token, and what is wrong.
    Wrong(&'static str),
}

impl Token {
    /// What error messages call it.
    pub fn name(&self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::String => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Wrong(what) => what,
        }
    }
}

/// Reads tokens from a text.
pub struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    token_at: usize,
    /// The last string, where it had escapes.
    string: Vec<u8>,
    /// The last string, where it had none: from here to there.
    plain: Option<(usize, usize)>,
    takes_invalid_numbers: bool,
}

impl<'t> Lexer<'t> {
    /// At the beginning of `text`. `takes_invalid_numbers`: infinities, NaN, hexadecimal numbers, leading zeros and
    /// plus signs are read too.
    pub fn new(text: &'t [u8], takes_invalid_numbers: bool) -> Self {
        Lexer { text, at: 0, token_at: 0, string: Vec::new(), plain: None, takes_invalid_numbers }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Where the last token begins, or where it went wrong.
    pub fn token_position(&self) -> usize {
        self.token_at
    }

    /// The last [`Token::String`], without quotes and escapes.
    pub fn string(&self) -> &[u8] {
        match self.plain {
            Some((from, to)) => self.text.get(from..to).unwrap_or_default(),
            None => &self.string,
        }
    }

    /// The next token. O(its length).
    pub fn next_token(&mut self) -> Token {
        while matches!(self.byte(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.token_at = self.at;
        let single = match self.byte(0) {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b',' => Token::Comma,
            b':' => Token::Colon,
            0 => return Token::End,
            b'"' => return self.read_string(),
            b'-' | b'0'..=b'9' => return self.read_number(),
            b'f' | b'i' | b'I' | b'n' | b'N' | b't' | b'+' => return self.read_word(),
            _ => return Token::Wrong("invalid token"),
        };
        self.at += 1;
        single
    }

    /// The byte `ahead` of the position; 0 beyond the end, as where C strings end.
    fn byte(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'t [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn wrong(&mut self, what: &'static str) -> Token {
        self.token_at = self.at;
        Token::Wrong(what)
    }

    fn read_word(&mut self) -> Token {
        let words = [
            (&b"true"[..], Token::Boolean(true)),
            (b"false", Token::Boolean(false)),
            (b"null", Token::Null),
        ];
        for (word, token) in words {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return token;
            }
        }
        if self.takes_invalid_numbers && is_invalid_number(self.rest()) {
            return self.read_number();
        }
        self.wrong("invalid token")
    }

    fn read_number(&mut self) -> Token {
        if let Some((value, len)) = short_integer(self.rest()) {
            self.at += len;
            return Token::Number(value);
        }
        if !self.takes_invalid_numbers && is_invalid_number(self.rest()) {
            return self.wrong("invalid number");
        }
        match parse_prefix(self.rest()) {
            Some((value, len)) => {
                self.at += len;
                Token::Number(value)
            }
            None => self.wrong("invalid number"),
        }
    }

    fn read_string(&mut self) -> Token {
        self.at += 1;
        let from = self.at;
        self.at += plain_len(self.rest());
        if self.byte(0) == b'"' {
            self.plain = Some((from, self.at));
            self.at += 1;
            return Token::String;
        }
        self.plain = None;
        self.string.clear();
        self.string.extend_from_slice(self.text.get(from..self.at).unwrap_or_default());
        loop {
            match self.byte(0) {
                b'"' => {
                    self.at += 1;
                    return Token::String;
                }
                b'\\' => {
                    if let Err(what) = self.read_escape() {
                        return self.wrong(what);
                    }
                }
                _ => return self.wrong("unexpected end of string"),
            }
            let plain = self.rest();
            let plain = plain.get(..plain_len(plain)).unwrap_or_default();
            self.string.extend_from_slice(plain);
            self.at += plain.len();
        }
    }

    /// Reads the escape at the position, which stays on its backslash if it is wrong.
    fn read_escape(&mut self) -> Result<(), &'static str> {
        let character = match self.byte(1) {
            escaped @ (b'"' | b'\\' | b'/') => escaped,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 12,
            b'r' => b'\r',
            b'u' => return self.read_unicode().ok_or("invalid unicode escape code"),
            _ => return Err("invalid escape code"),
        };
        self.string.push(character);
        self.at += 2;
        Ok(())
    }

    /// `\uXXXX`, or two of them that are a surrogate pair. A low surrogate alone is wrong.
    fn read_unicode(&mut self) -> Option<()> {
        let mut code = self.hexadecimal(2)?;
        let mut len = 6;
        if code & 0xf800 == 0xd800 {
            let is_pair = code & 0x400 == 0 && self.byte(6) == b'\\' && self.byte(7) == b'u';
            let low = self.hexadecimal(8).filter(|low| is_pair && low & 0xfc00 == 0xdc00)?;
            code = ((code & 0x3ff) << 10 | low & 0x3ff) + 0x10000;
            len = 12;
        }
        let character = char::from_u32(code)?;
        self.string.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        self.at += len;
        Some(())
    }

    fn hexadecimal(&self, ahead: usize) -> Option<u32> {
        (ahead..ahead + 4)
            .try_fold(0, |code, index| Some(code << 4 | char::from(self.byte(index)).to_digit(16)?))
    }
}

/// Bytes before the first that ends a string or does not stand for itself.
fn plain_len(text: &[u8]) -> usize {
    let len = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0));
    len.unwrap_or(text.len())
}

/// The commonest numbers, and how long they are: integers that a double holds, in decimal figures and nothing else.
fn short_integer(text: &[u8]) -> Option<(f64, usize)> {
    const FIGURES_MAX: usize = 15;
    let sign = usize::from(text.first() == Some(&b'-'));
    let figures = text.get(sign..)?;
    let mut value = 0u64;
    let mut len = 0;
    while let Some(figure @ b'0'..=b'9') = figures.get(len) {
        if len == FIGURES_MAX {
            return None;
        }
        value = value * 10 + u64::from(figure - b'0');
        len += 1;
    }
    // Zeros in front, fractions, exponents and hexadecimal figures are for others to read.
    let is_plain = len == 1 || len > 1 && figures[0] != b'0';
    if !is_plain || matches!(figures.get(len), Some(b'.' | b'e' | b'E' | b'x' | b'X')) {
        return None;
    }
    let value = value as f64;
    Some((if sign == 1 { -value } else { value }, sign + len))
}

/// Whether `text` begins with what `strtod` may read and JSON does not allow.
fn is_invalid_number(text: &[u8]) -> bool {
    let body = match text {
        [b'+', ..] => return true,
        [b'-', body @ ..] => body,
        body => body,
    };
    match body {
        [b'0', b'x' | b'X' | b'0'..=b'9', ..] => true,
        [first, ..] if *first <= b'9' => false,
        _ => body.get(..3).is_some_and(|word| {
            word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
        }),
    }
}

/// Appends `text` in quotes, with control characters, quotes, backslashes and slashes escaped. O(its length).
pub fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text;
    while let Some(len) = rest.iter().position(|byte| NEEDS_ESCAPE[usize::from(*byte)]) {
        let (plain, from) = rest.split_at(len);
        out.extend_from_slice(plain);
        write_escape(out, from[0]);
        rest = &from[1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// By byte.
const NEEDS_ESCAPE: [bool; 256] = {
    let mut needs = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        needs[byte] = byte < 0x20 || matches!(byte as u8, b'"' | b'/' | b'\\' | 0x7f);
        byte += 1;
    }
    needs
};

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    let letter = match byte {
        8 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        12 => b'f',
        b'\r' => b'r',
        b'"' | b'/' | b'\\' => byte,
        _ => {
            const FIGURES: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.push(FIGURES[usize::from(byte >> 4)]);
            out.push(FIGURES[usize::from(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// Appends a number with `digits` significant digits; `nan` without a sign.
pub fn write_number(out: &mut Vec<u8>, value: f64, digits: usize) {
    if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else {
        write_general(out, value, digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(text: &[u8], takes_invalid: bool) -> Vec<Token> {
        let mut lexer = Lexer::new(text, takes_invalid);
        let mut found = Vec::new();
        loop {
            let token = lexer.next_token();
            let is_last = matches!(token, Token::End | Token::Wrong(_));
            found.push(token);
            if is_last {
                return found;
            }
        }
    }

    #[test]
    fn tokens_of_all_kinds() {
        use Token::*;
        let text = b" {} [ ] \"a\" 1.5 true false null : ,\n";
        let expected = [
            ObjectBegin,
            ObjectEnd,
            ArrayBegin,
            ArrayEnd,
            String,
            Number(1.5),
            Boolean(true),
            Boolean(false),
            Null,
            Colon,
            Comma,
            End,
        ];
        assert_eq!(tokens(text, true), expected);
    }

    #[test]
    fn invalid_numbers_are_a_choice() {
        for text in ["0x10", "01", "-00", "+1", "inf", "-INF", "nan", "-0x1"] {
            assert!(matches!(tokens(text.as_bytes(), true)[0], Token::Number(_)), "{text}");
            assert!(matches!(tokens(text.as_bytes(), false)[0], Token::Wrong(_)), "{text}");
        }
        assert_eq!(tokens(b"-", true)[0], Token::Wrong("invalid number"));
        assert_eq!(tokens(b"-.5", false)[0], Token::Number(-0.5));
        assert_eq!(tokens(b"nul", true)[0], Token::Wrong("invalid token"));
    }

    #[test]
    fn escapes_are_read() {
        let mut lexer = Lexer::new(br#""\u00e9\ud834\udd1e\/\b\"\\""#, true);
        assert_eq!(lexer.next_token(), Token::String);
        assert_eq!(lexer.string(), "é𝄞/\u{8}\"\\".as_bytes());
        for text in [r#""\ud834""#, r#""\udd1e""#, r#""\ud834\u0041""#, r#""\u12g4""#, r#""\u12"#] {
            assert_eq!(
                tokens(text.as_bytes(), true),
                [Token::Wrong("invalid unicode escape code")]
            );
        }
        assert_eq!(tokens(br#""\x""#, true), [Token::Wrong("invalid escape code")]);
        assert_eq!(tokens(b"\"a\0\"", true), [Token::Wrong("unexpected end of string")]);
    }

    proptest! {
        #[test]
        fn strings_come_back(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut out = Vec::new();
            write_string(&mut out, &text);
            let mut lexer = Lexer::new(&out, true);
            prop_assert_eq!(lexer.next_token(), Token::String);
            prop_assert_eq!(lexer.string(), &text[..]);
            prop_assert_eq!(lexer.next_token(), Token::End);
        }

        #[test]
        fn any_bytes_end(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut lexer = Lexer::new(&text, true);
            for _ in 0..=text.len() {
                if matches!(lexer.next_token(), Token::End | Token::Wrong(_)) {
                    break;
                }
            }
            prop_assert!(matches!(lexer.next_token(), Token::End | Token::Wrong(_)));
            prop_assert!(lexer.position() <= text.len());
        }
    }
}
