//! What an option of the configuration is: its kind, range, flags and effect. Types only.
//!
//! The table itself is in `config_table.rs`, how values are read and printed in
//! `config_value.rs`. Everything here is `const`, so the table costs nothing at start-up.

/// The highest value of a C `int`, the upper bound of most numeric options.
pub const INT_MAX: u64 = i32::MAX as u64;
/// The lowest value of a C `int`.
pub const INT_MIN: i64 = i32::MIN as i64;
/// The highest value of a C `unsigned int`.
pub const UINT_MAX: u64 = u32::MAX as u64;
/// The highest value of a C `long` and `long long`.
pub const LONG_MAX: u64 = i64::MAX as u64;

/// Can only be set at start-up.
pub const IMMUTABLE: u16 = 1 << 0;
/// Holds a secret: not to be shown in logs, SLOWLOG and MONITOR.
pub const SENSITIVE: u16 = 1 << 1;
/// Takes several words: the line's arguments, or one argument split at spaces.
pub const MULTI: u16 = 1 << 2;
/// Listed by CONFIG GET only under its exact name.
pub const HIDDEN: u16 = 1 << 3;
/// CONFIG SET is allowed only as `enable-protected-configs` says.
pub const PROTECTED: u16 = 1 << 4;
/// CONFIG SET is refused while a data set is being loaded.
pub const DENY_LOADING: u16 = 1 << 5;
/// Names something outside (a file), so setting it to the same value applies it again.
pub const VOLATILE: u16 = 1 << 6;

/// Whether an option does something yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The server acts on it.
    Now,
    /// Parsed, checked and stored; the text says which feature it waits for.
    Stored(&'static str),
    /// Accepted so that existing files load; the text says why there is nothing for it to do.
    Moot(&'static str),
}

/// How the text of a number is read and printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Decimal digits with an optional minus.
    Plain,
    /// Bytes, with an optional unit such as `kb` (1024) or `k` (1000).
    Memory,
    /// As `Memory`, or `n%`, which is stored as `-n`.
    MemoryOrPercent,
    /// Octal digits, as in file modes.
    Octal,
}

/// The options which are lists or need their own storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// `dir`: the directory which relative paths start from.
    Dir,
    /// `save`: the snapshot points.
    Save,
    /// `client-output-buffer-limit`.
    OutputLimits,
    /// `oom-score-adj-values`.
    OomScores,
    /// `notify-keyspace-events`.
    Notify,
    /// `bind`.
    Bind,
    /// `listen`.
    Listen,
    /// `replicaof`.
    ReplicaOf,
    /// `latency-tracking-info-percentiles`.
    Percentiles,
}

/// A check of a text beyond its type; the error is the reason shown to the user.
pub type TextCheck = fn(&[u8]) -> Result<(), &'static str>;

/// The words of a choice, each with the value it stands for.
pub type Words = &'static [(&'static str, i64)];

/// Type, range and default of an option.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `yes` or `no`.
    Flag(bool),
    /// A number within `low..=high`. With `unsigned`, it is stored as the bits of a `u64`.
    Number {
        /// Lowest value allowed.
        low: i64,
        /// Highest value allowed.
        high: u64,
        /// Value when nothing is configured.
        default: i64,
        /// How it is written.
        unit: Unit,
        /// Whether values and bounds are compared as `u64`.
        unsigned: bool,
    },
    /// Any text. `None` as default means that the empty text is "not set".
    Text {
        /// Value when nothing is configured.
        default: Option<&'static str>,
        /// May hold zero bytes; otherwise it ends at the first one.
        binary: bool,
        /// What else must hold.
        check: Option<TextCheck>,
    },
    /// One of some words or, with `many`, a combination of them.
    Choice {
        /// The words allowed.
        words: Words,
        /// Value when nothing is configured.
        default: i64,
        /// Whether values combine as bits.
        many: bool,
    },
    /// Anything else.
    Special(Special),
}

/// A yes/no option.
pub const fn flag(default: bool) -> Kind {
    Kind::Flag(default)
}

const fn number(low: i64, high: u64, default: i64, unit: Unit, unsigned: bool) -> Kind {
    Kind::Number { low, high, default, unit, unsigned }
}

/// A signed decimal number.
pub const fn int(low: i64, high: u64, default: i64) -> Kind {
    number(low, high, default, Unit::Plain, false)
}

/// An unsigned decimal number.
pub const fn uint(high: u64, default: i64) -> Kind {
    number(0, high, default, Unit::Plain, true)
}

/// A number of bytes, signed.
pub const fn memory(low: i64, high: u64, default: i64) -> Kind {
    number(low, high, default, Unit::Memory, false)
}

/// A number of bytes, unsigned.
pub const fn umemory(low: i64, high: u64, default: i64) -> Kind {
    number(low, high, default, Unit::Memory, true)
}

/// A text which may be empty.
pub const fn text(default: &'static str) -> Kind {
    Kind::Text { default: Some(default), binary: false, check: None }
}

/// A text which may be empty and has to pass a check.
pub const fn checked(default: &'static str, check: TextCheck) -> Kind {
    Kind::Text { default: Some(default), binary: false, check: Some(check) }
}

/// A text which is not set when empty.
pub const fn unset() -> Kind {
    Kind::Text { default: None, binary: false, check: None }
}

/// A password: any bytes, not set when empty.
pub const fn secret() -> Kind {
    Kind::Text { default: None, binary: true, check: None }
}

/// One of some words.
pub const fn choice(words: Words, default: i64) -> Kind {
    Kind::Choice { words, default, many: false }
}

/// One option as declared.
#[derive(Debug)]
pub struct Spec {
    /// The name, in lower case.
    pub name: &'static str,
    /// An older name which works as well.
    pub alias: Option<&'static str>,
    /// The heading it is listed under in the documentation.
    pub section: &'static str,
    /// Type, range, default.
    pub kind: Kind,
    /// `IMMUTABLE`, `SENSITIVE`, …
    pub flags: u16,
    /// Whether it does something yet.
    pub effect: Effect,
    /// What it does, in one line.
    pub doc: &'static str,
}

impl Spec {
    /// Whether all bits of `flag` are set.
    pub const fn has(&self, flag: u16) -> bool {
        self.flags & flag == flag
    }
}
