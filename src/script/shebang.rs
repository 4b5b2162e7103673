//! The first line of a script, where it begins with `#!`: `#!lua flags=no-writes,allow-stale`.
//!
//! A script without one runs as scripts always did (`Flags::COMPATIBLE`): what it may do is found out call by call.
//! With one it is known before it runs.
use crate::base::quote;

/// What a script says of itself, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// It writes nothing.
    pub const NO_WRITES: Flags = Flags(1);
    /// It may run when memory is out.
    pub const ALLOW_OOM: Flags = Flags(2);
    /// It may run on a replica with old data.
    pub const ALLOW_STALE: Flags = Flags(4);
    /// It does not run in a cluster.
    pub const NO_CLUSTER: Flags = Flags(8);
    /// It says nothing: there was no such line.
    pub const COMPATIBLE: Flags = Flags(16);
    /// It may touch keys of several slots.
    pub const ALLOW_CROSS_SLOT: Flags = Flags(32);

    /// Whether all of these are set.
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flag of this name.
    pub fn named(name: &[u8]) -> Option<Flags> {
        NAMES.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, flag)| *flag)
    }
}

/// The names of flags, in the order in which they are listed.
pub const NAMES: &[(&str, Flags)] = &[
    ("no-writes", Flags::NO_WRITES),
    ("allow-oom", Flags::ALLOW_OOM),
    ("allow-stale", Flags::ALLOW_STALE),
    ("no-cluster", Flags::NO_CLUSTER),
    ("allow-cross-slot-keys", Flags::ALLOW_CROSS_SLOT),
];

/// The flags of a script and the length of its first line, which is no Lua; an error is what its sender is told.
pub fn read(source: &[u8]) -> Result<(Flags, usize), Vec<u8>> {
    if !source.starts_with(b"#!") {
        return Ok((Flags::COMPATIBLE, 0));
    }
    let Some(end) = memchr::memchr(b'\n', source) else {
        return Err(b"ERR Invalid script shebang".to_vec());
    };
    let line = source.get(..end).unwrap_or(&[]);
    let parts = quote::split_args(line).unwrap_or_default();
    let Some((engine, options)) = parts.split_first() else {
        return Err(b"ERR Invalid engine in script shebang".to_vec());
    };
    if engine != b"#!lua" {
        return Err([b"ERR Unexpected engine in script shebang: ", engine.as_slice()].concat());
    }
    let mut flags = Flags::default();
    for option in options {
        let Some(list) = option.strip_prefix(b"flags=") else {
            return Err([b"ERR Unknown lua shebang option: ", option.as_slice()].concat());
        };
        // No flag at all is none, and not one without a name.
        for name in list.split(|&byte| byte == b',').filter(|_| !list.is_empty()) {
            let Some(flag) = Flags::named(name) else {
                return Err([b"ERR Unexpected flag in script shebang: ", name].concat());
            };
            flags.0 |= flag.0;
        }
    }
    Ok((flags, end))
}

#[cfg(test)]
mod tests {
    use super::{Flags, read};

    #[test]
    fn flags_are_read_and_mistakes_named() {
        assert_eq!(read(b"return 1"), Ok((Flags::COMPATIBLE, 0)));
        assert_eq!(read(b"#!lua\nreturn 1"), Ok((Flags(0), 5)));
        let both = Flags(Flags::NO_WRITES.0 | Flags::ALLOW_OOM.0);
        assert_eq!(read(b"#!lua flags=no-writes,allow-oom\n"), Ok((both, 31)));
        let error =
            |source: &[u8]| read(source).map_err(|e| String::from_utf8(e).unwrap_or_default());
        assert_eq!(error(b"#!lua"), Err("ERR Invalid script shebang".to_owned()));
        assert_eq!(
            error(b"#!not-lua\n"),
            Err("ERR Unexpected engine in script shebang: #!not-lua".to_owned())
        );
        assert_eq!(
            error(b"#!lua flags=bad\n"),
            Err("ERR Unexpected flag in script shebang: bad".to_owned())
        );
        assert_eq!(
            error(b"#!lua name=x\n"),
            Err("ERR Unknown lua shebang option: name=x".to_owned())
        );
    }
}
