//! The title of the process: `proc-title-template` with its variables filled in, as `ps` shows it.
//!
//! ```text
//!   {title} {listen-addr} {server-mode}      →      /usr/bin/rufous *:6379
//! ```
//!
//! Promise: whatever `config_check::title_template` lets pass can be filled in. Cost: O(length), at the start and
//! after a CONFIG SET that concerns it.
use std::os::unix::ffi::OsStrExt;

use crate::engine::config::{Config, Opt};

/// The options whose change shows in the title.
pub const SHOWN: &[Opt] = &[Opt::ProcTitleTemplate, Opt::Port, Opt::Bind, Opt::UnixSocket];

/// The title of a server that was started as `program`, without spaces at its ends.
#[must_use]
pub fn of(config: &Config, program: &[u8]) -> Vec<u8> {
    let mut title = Vec::new();
    let mut rest = config.text(Opt::ProcTitleTemplate);
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'{' {
            title.push(first);
        } else if let Some(after) = tail.strip_prefix(b"{") {
            title.push(b'{');
            rest = after;
        } else {
            let end = tail.iter().position(|&byte| byte == b'}').unwrap_or(tail.len());
            let (name, after) = tail.split_at(end);
            variable(config, program, name, &mut title);
            rest = after.get(1..).unwrap_or_default();
        }
    }
    let is_text = |byte: &u8| *byte != b' ';
    let start = title.iter().position(is_text).unwrap_or(title.len());
    let end = title.iter().rposition(is_text).map_or(start, |last| last + 1);
    title[start..end].to_vec()
}

/// Appends what a variable stands for. There are no modes to show, and no TLS port.
fn variable(config: &Config, program: &[u8], name: &[u8], title: &mut Vec<u8>) {
    let port = config.int(Opt::Port);
    match name {
        b"title" => title.extend_from_slice(program),
        b"listen-addr" if port != 0 => {
            let first = config.bind().next();
            if first.is_some_and(|bind| bind.optional) {
                title.push(b'-');
            }
            title.extend_from_slice(first.map_or(b"*", |bind| bind.address));
            title.extend_from_slice(format!(":{port}").as_bytes());
        }
        b"listen-addr" | b"unixsocket" => title.extend_from_slice(config.text(Opt::UnixSocket)),
        b"port" => title.extend_from_slice(port.to_string().as_bytes()),
        b"tls-port" => title.extend_from_slice(config.int(Opt::TlsPort).to_string().as_bytes()),
        b"config-file" => {
            let file = config.file.as_deref().map(|file| file.as_os_str().as_bytes());
            title.extend_from_slice(file.unwrap_or(b"-"));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(settings: &[(&str, &str)]) -> String {
        let mut config = Config::new("/tmp".into());
        for (name, value) in settings {
            let opt = Opt::find(name.as_bytes()).expect("an option").0;
            config.load(opt, &[value.as_bytes().to_vec()]).expect("a value");
        }
        String::from_utf8(of(&config, b"./rufous")).expect("text")
    }

    #[test]
    fn variables_are_filled_in() {
        assert_eq!(title(&[]), "./rufous *:6379");
        let template = ("proc-title-template", " {{} {port} {tls-port} {config-file}|{title} ");
        assert_eq!(title(&[template]), "{} 6379 0 -|./rufous");
        let elsewhere = [("bind", "-::1 127.0.0.1"), ("port", "7000")];
        assert_eq!(title(&elsewhere), "./rufous -::1:7000");
        let listening = ("proc-title-template", "{listen-addr}");
        assert_eq!(title(&[("bind", ""), listening]), "*:6379");
        assert_eq!(title(&[("port", "0"), listening]), "");
    }
}
