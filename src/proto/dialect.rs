//! The names of the wire protocols, as `listen` and CLIENT-visible places write them.

/// A wire protocol a front door can speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Redis clients: RESP2 and RESP3.
    #[default]
    Resp,
    /// The miniature Redis in Python: RESP framing with typed, nested values.
    Simpledb,
    /// Length-prefixed MessagePack.
    Msgpack,
    /// The binary protocol of the tokio series.
    Kvstore,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 4] =
        [Dialect::Resp, Dialect::Simpledb, Dialect::Msgpack, Dialect::Kvstore];

    /// Its name, as it stands before `://`.
    pub const fn name(self) -> &'static str {
        match self {
            Dialect::Resp => "resp",
            Dialect::Simpledb => "simpledb",
            Dialect::Msgpack => "msgpack",
            Dialect::Kvstore => "kvstore",
        }
    }

    /// The one with this name, in lower case.
    pub fn named(name: &str) -> Option<Dialect> {
        Dialect::ALL.into_iter().find(|dialect| dialect.name() == name)
    }
}
