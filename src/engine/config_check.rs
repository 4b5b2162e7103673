//! Checks which some text options have to pass, with Redis's reasons.

fn is_base_name(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, b'/' | b'\\'))
}

/// `dbfilename`: a name without a directory.
pub fn db_file_name(value: &[u8]) -> Result<(), &'static str> {
    if !is_base_name(value) {
        return Err("dbfilename can't be a path, just a filename");
    }
    Ok(())
}

/// `appendfilename`: a name without a directory.
pub fn append_file_name(value: &[u8]) -> Result<(), &'static str> {
    if value.is_empty() {
        return Err("appendfilename can't be empty");
    }
    if !is_base_name(value) {
        return Err("appendfilename can't be a path, just a filename");
    }
    Ok(())
}

/// `appenddirname`: a name without a directory.
pub fn append_dir_name(value: &[u8]) -> Result<(), &'static str> {
    if value.is_empty() {
        return Err("appenddirname can't be empty");
    }
    if !is_base_name(value) {
        return Err("appenddirname can't be a path, just a dirname");
    }
    Ok(())
}

/// `cluster-announce-hostname`: letters, digits, hyphens and dots.
pub fn host_name(value: &[u8]) -> Result<(), &'static str> {
    const LENGTH_LIMIT: usize = 256;
    if value.len() >= LENGTH_LIMIT {
        return Err("Hostnames must be less than 256 characters");
    }
    if !value.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')) {
        return Err("Hostnames may only contain alphanumeric characters, hyphens or dots");
    }
    Ok(())
}

/// `proc-title-template`: text with `{variable}`s, which must not come out empty.
pub fn title_template(value: &[u8]) -> Result<(), &'static str> {
    const REASON: &str = "template format is invalid or contains unknown variables";
    // Variables which may be empty count for nothing here, the others for one character.
    let mut filled = false;
    let mut rest = value;
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'{' {
            filled |= first != b' ';
            rest = tail;
            continue;
        }
        if tail.first() == Some(&b'{') {
            filled = true;
            rest = &tail[1..];
            continue;
        }
        let Some(end) = tail.iter().position(|&byte| byte == b'}') else { return Err(REASON) };
        match &tail[..end] {
            b"title" | b"server-mode" | b"unixsocket" => {}
            b"listen-addr" | b"config-file" | b"port" | b"tls-port" => filled = true,
            _ => return Err(REASON),
        }
        rest = &tail[end + 1..];
    }
    if filled { Ok(()) } else { Err(REASON) }
}

/// `seed`: a number of 64 bits, or nothing.
pub fn seed(value: &[u8]) -> Result<(), &'static str> {
    let is_number = std::str::from_utf8(value).is_ok_and(|text| text.parse::<u64>().is_ok());
    if value.is_empty() || is_number {
        return Ok(());
    }
    Err("argument must be a number from 0 to 2^64-1")
}
