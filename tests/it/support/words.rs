//! Splitting a command line into arguments and printing bytes, both as `redis-cli` does, and the
//! `${…}` substitutions of the corpus.

use std::collections::HashMap;

/// Bytes in double quotes: printable ASCII as it is, the rest as `\n`, `\r`, `\t`, `\a`, `\b` or
/// `\xhh`.
pub fn quote(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend(['\\', char::from(byte)]),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x07 => out.push_str("\\a"),
            0x08 => out.push_str("\\b"),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

/// Splits a line into words by white space, double quotes (with escapes) and single quotes.
pub fn split(line: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut bytes = line.bytes().peekable();
    let mut words = Vec::new();
    loop {
        while bytes.next_if(u8::is_ascii_whitespace).is_some() {}
        if bytes.peek().is_none() {
            return Ok(words);
        }
        let mut word = Vec::new();
        while let Some(byte) = bytes.next_if(|byte| !byte.is_ascii_whitespace()) {
            match byte {
                b'"' => double_quoted(&mut bytes, &mut word)?,
                b'\'' => single_quoted(&mut bytes, &mut word)?,
                _ => {
                    word.push(byte);
                    continue;
                }
            }
            if bytes.peek().is_some_and(|next| !next.is_ascii_whitespace()) {
                return Err(format!("something follows a closing quote in {line:?}"));
            }
        }
        words.push(word);
    }
}

fn double_quoted(
    bytes: &mut impl Iterator<Item = u8>,
    word: &mut Vec<u8>,
) -> Result<(), &'static str> {
    const UNCLOSED: &str = "a double quote is not closed";
    loop {
        match bytes.next().ok_or(UNCLOSED)? {
            b'"' => return Ok(()),
            b'\\' => match bytes.next().ok_or(UNCLOSED)? {
                b'n' => word.push(b'\n'),
                b'r' => word.push(b'\r'),
                b't' => word.push(b'\t'),
                b'a' => word.push(0x07),
                b'b' => word.push(0x08),
                b'x' => {
                    let digits = [bytes.next().ok_or(UNCLOSED)?, bytes.next().ok_or(UNCLOSED)?];
                    let text = String::from_utf8_lossy(&digits).into_owned();
                    word.push(u8::from_str_radix(&text, 16).map_err(|_| "bad \\x escape")?);
                }
                other => word.push(other),
            },
            byte => word.push(byte),
        }
    }
}

fn single_quoted(
    bytes: &mut impl Iterator<Item = u8>,
    word: &mut Vec<u8>,
) -> Result<(), &'static str> {
    const UNCLOSED: &str = "a single quote is not closed";
    loop {
        match bytes.next().ok_or(UNCLOSED)? {
            b'\'' => return Ok(()),
            b'\\' => match bytes.next().ok_or(UNCLOSED)? {
                b'\'' => word.push(b'\''),
                other => word.extend([b'\\', other]),
            },
            byte => word.push(byte),
        }
    }
}

/// What `${…}` may name while a script plays.
pub struct Names {
    /// Values kept by `save`.
    pub saved: HashMap<String, Vec<u8>>,
    /// The clock of the target, in ms since 1970.
    pub now_ms: u64,
}

impl Names {
    /// Replaces `${name}`, `${now_s+5}`, `${now_ms-5}` and `${text*count}` in `word`.
    pub fn substitute(&self, word: &[u8]) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let mut rest = word;
        while let Some(start) = rest.windows(2).position(|pair| pair == b"${") {
            let length = rest[start..].iter().position(|&byte| byte == b'}');
            let end = start + length.ok_or("${ without }")?;
            out.extend_from_slice(&rest[..start]);
            let name = String::from_utf8_lossy(&rest[start + 2..end]).into_owned();
            out.extend(self.value(&name)?);
            rest = &rest[end + 1..];
        }
        out.extend_from_slice(rest);
        Ok(out)
    }

    fn value(&self, name: &str) -> Result<Vec<u8>, String> {
        if let Some(value) = self.saved.get(name) {
            return Ok(value.clone());
        }
        if let Some((text, count)) = name.rsplit_once('*') {
            let count: usize = count.parse().map_err(|_| format!("bad count in ${{{name}}}"))?;
            return Ok(text.as_bytes().repeat(count));
        }
        let (base, offset) = match name.find(['+', '-']) {
            Some(at) => (&name[..at], name[at..].parse().map_err(|_| format!("${{{name}}}"))?),
            None => (name, 0i64),
        };
        let base = match base {
            "now_s" => self.now_ms / 1000,
            "now_ms" => self.now_ms,
            _ => return Err(format!("nothing is called ${{{name}}}")),
        };
        Ok((base.cast_signed() + offset).to_string().into_bytes())
    }
}

#[test]
fn words_split_as_in_redis_cli() {
    let words = split(r#" SET "a\x00\n b" 'it\'s' x"#).unwrap();
    assert_eq!(words, [&b"SET"[..], b"a\0\n b", b"it's", b"x"]);
    assert_eq!(split(r#"a "" ''"#).unwrap(), [&b"a"[..], b"", b""]);
    assert!(split(r#"a "b"#).is_err());
    assert!(split(r#"a "b"c"#).is_err());
}

#[test]
fn names_are_substituted() {
    let saved = HashMap::from([("id".to_string(), b"7".to_vec())]);
    let names = Names { saved, now_ms: 5_000 };
    assert_eq!(names.substitute(b"a${id}b${now_s+2}${now_ms-1}").unwrap(), b"a7b74999");
    assert_eq!(names.substitute(b"${xy*3}").unwrap(), b"xyxyxy");
    assert!(names.substitute(b"${nothing}").is_err());
}
