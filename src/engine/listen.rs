//! The addresses of `listen`: `<dialect>://host:port` and `<dialect>+unix://path`.
//!
//! ```text
//! msgpack://127.0.0.1:8888     simpledb://[::1]:31337     kvstore://*:9998     resp+unix:///run/rufous.sock
//! ```
//!
//! Read when the configuration is, so a wrong one stops the start with its line; opened by the network layer.
use std::path::PathBuf;

use crate::proto::dialect::Dialect;

/// One address to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// What is spoken there.
    pub dialect: Dialect,
    /// Where that is.
    pub place: ListenPlace,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenPlace {
    /// TCP; the host as `bind` takes it (`*` is any IPv4, `::*` any IPv6 address), port 0 lets the system choose.
    Tcp {
        /// Address or name, without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket; relative paths start from `dir`.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Reads one address. The error is a line for the user.
    pub fn parse(text: &str) -> Result<ListenAddress, String> {
        Self::read(text).map_err(|why| format!("Invalid listen address '{text}': {why}"))
    }

    /// Reads one address. The error is the reason alone.
    pub fn read(text: &str) -> Result<ListenAddress, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("it has to be <dialect>://host:port")?;
        let (name, is_unix) = match scheme.strip_suffix("+unix") {
            Some(name) => (name, true),
            None => (scheme, false),
        };
        let dialect = Dialect::named(name)
            .ok_or("the dialect is none of resp, simpledb, msgpack, kvstore")?;
        let place = if is_unix { unix(rest) } else { ListenPlace::tcp(rest) };
        Ok(ListenAddress { dialect, place: place? })
    }
}

fn unix(path: &str) -> Result<ListenPlace, &'static str> {
    if path.is_empty() {
        return Err("the path is missing");
    }
    Ok(ListenPlace::Unix(PathBuf::from(path)))
}

impl ListenPlace {
    /// Reads `host:port`. The error is the reason.
    pub fn tcp(text: &str) -> Result<ListenPlace, &'static str> {
        let (host, port) = text.rsplit_once(':').ok_or("the port is missing")?;
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_number).ok_or("the port is not 0 to 65535")?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or("the bracket is not closed")?,
            None if host.contains(':') => return Err("IPv6 addresses stand in brackets"),
            None => host,
        };
        if host.is_empty() {
            return Err("the host is missing");
        }
        Ok(ListenPlace::Tcp { host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let tcp = |dialect, host: &str, port| ListenAddress {
            dialect,
            place: ListenPlace::Tcp { host: host.to_owned(), port },
        };
        let cases = [
            ("msgpack://127.0.0.1:8888", tcp(Dialect::Msgpack, "127.0.0.1", 8888)),
            ("simpledb://[::1]:0", tcp(Dialect::Simpledb, "::1", 0)),
            ("kvstore://*:65535", tcp(Dialect::Kvstore, "*", 65535)),
            ("resp://[::*]:1", tcp(Dialect::Resp, "::*", 1)),
            ("resp://localhost:6379", tcp(Dialect::Resp, "localhost", 6379)),
        ];
        for (text, address) in cases {
            assert_eq!(ListenAddress::parse(text), Ok(address));
        }
        let path = ListenAddress::parse("resp+unix:///run/rufous.sock").map(|found| found.place);
        assert_eq!(path, Ok(ListenPlace::Unix("/run/rufous.sock".into())));
        let wrong = [
            "",
            "6379",
            "127.0.0.1:1",
            "redis://a:1",
            "RESP://a:1",
            "resp://",
            "resp://a",
            "resp://a:",
            "resp://a:65536",
            "resp://a:+1",
            "resp://:1",
            "resp://::1:1",
            "resp://[::1:1",
            "resp+unix://",
            "resp+tcp://a:1",
        ];
        for text in wrong {
            let reason = ListenAddress::parse(text).unwrap_err();
            assert!(reason.starts_with(&format!("Invalid listen address '{text}': ")), "{reason}");
        }
    }
}
