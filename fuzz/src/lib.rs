//! What the fuzz targets share: a reader of RESP replies that accepts nothing malformed, the doors, and Lua.
pub mod door;
pub mod lua;

/// Nesting no reply of ours comes near.
const DEPTH_MAX: usize = 32;

/// The bytes after the first RESP value of `bytes`, or what is wrong with it. RESP3 types are taken only where
/// `is_resp3`.
pub fn skip_value(bytes: &[u8], is_resp3: bool) -> Result<&[u8], String> {
    skip(bytes, is_resp3, DEPTH_MAX)
}

fn skip(bytes: &[u8], is_resp3: bool, depth: usize) -> Result<&[u8], String> {
    if depth == 0 {
        return Err("nested too deeply".to_owned());
    }
    let (&kind, rest) = bytes.split_first().ok_or("nothing where a value should be")?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n").ok_or("a line without its end")?;
    let (line, rest) = (&rest[..end], &rest[end + 2..]);
    if line.contains(&b'\n') || line.contains(&b'\r') {
        return Err(format!("line end within {:?}", String::from_utf8_lossy(line)));
    }
    let is_new = matches!(kind, b'_' | b'#' | b',' | b'(' | b'%' | b'~' | b'>' | b'=' | b'!');
    if is_new && !is_resp3 {
        return Err(format!("RESP3 type {:?} in RESP2", char::from(kind)));
    }
    match kind {
        b'+' | b'-' => Ok(rest),
        b':' => number(line).map(|_| rest),
        b'_' if line.is_empty() => Ok(rest),
        b'#' if matches!(line, b"t" | b"f") => Ok(rest),
        b',' => match std::str::from_utf8(line).map(str::parse::<f64>) {
            Ok(Ok(_)) => Ok(rest),
            _ => Err(format!("no number: {:?}", String::from_utf8_lossy(line))),
        },
        b'(' => Ok(rest),
        b'$' | b'=' | b'!' => skip_bulk(line, rest, kind == b'$' && !is_resp3),
        b'*' | b'~' | b'>' | b'%' => {
            let count = number(line)?;
            if count == -1 && kind == b'*' && !is_resp3 {
                return Ok(rest);
            }
            let count = u64::try_from(count).map_err(|_| "a negative count".to_owned())?;
            let values = if kind == b'%' { count * 2 } else { count };
            (0..values).try_fold(rest, |rest, _| skip(rest, is_resp3, depth - 1))
        }
        _ => Err(format!("no type {:?}", char::from(kind))),
    }
}

fn skip_bulk<'b>(line: &[u8], rest: &'b [u8], may_be_null: bool) -> Result<&'b [u8], String> {
    let len = number(line)?;
    if len == -1 && may_be_null {
        return Ok(rest);
    }
    let len = usize::try_from(len).map_err(|_| "a negative length".to_owned())?;
    let after = rest.get(len..).ok_or("a string shorter than announced")?;
    after.strip_prefix(b"\r\n").ok_or_else(|| "a string without its line end".to_owned())
}

fn number(line: &[u8]) -> Result<i64, String> {
    let text = std::str::from_utf8(line).ok().and_then(|text| text.parse().ok());
    text.ok_or_else(|| format!("no integer: {:?}", String::from_utf8_lossy(line)))
}

#[test]
fn only_whole_values_pass() {
    let good: [&[u8]; 6] = [
        b"+OK\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"*2\r\n:1\r\n$2\r\n\r\n\r\n",
        b"-ERR a\r\n",
        b"$0\r\n\r\n",
    ];
    for value in good {
        assert_eq!(skip_value(value, false), Ok(&b""[..]));
        for cut in 0..value.len() {
            assert!(skip_value(&value[..cut], false).is_err());
        }
    }
    let bad: [&[u8]; 6] =
        [b"OK\r\n", b"_\r\n", b":a\r\n", b"*1\r\n", b"$1\r\nab\r\n", b"+a\nb\r\n"];
    for value in bad {
        assert!(skip_value(value, false).is_err());
    }
    assert_eq!(skip_value(b"%1\r\n+a\r\n_\r\n+", true), Ok(&b"+"[..]));
}
