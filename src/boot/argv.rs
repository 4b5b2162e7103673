//! The arguments of the program: `rufous [file] [--name value …] [-]`.
//!
//! They are turned into directives which are read after the file, as Redis does: `--port 7000`
//! is the line `port "7000"`. An argument which begins with `--` starts a new directive, unless
//! the one before it still waits for its first value; so `--requirepass --x` sets a password.
//! `--save` alone means `--save ""`, `--test-mode` alone `--test-mode yes`. A single `-`, as first
//! or last argument, reads more directives from standard input, between the file and the arguments.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::config_file::{Directives, Loader};
use super::error::{BootError, REDIS_VERSION};
use crate::base::quote::{quote_into, split_args};
use crate::engine::config::Config;
use crate::engine::config_docs;

/// What the arguments ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Print a text on standard output and end with 0.
    Print(String),
    /// Run the server.
    Run(Arguments),
}

/// The arguments of a server to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    /// The configuration file, absolute.
    pub file: Option<PathBuf>,
    /// Whether standard input holds directives.
    pub input: bool,
    /// The directives made of the other arguments, one per line.
    pub options: Vec<u8>,
}

/// Reads the arguments, the program's name not included. `directory` is where relative names
/// start from, absolute.
pub fn parse(args: &[OsString], directory: &Path) -> Result<Request, BootError> {
    if args.iter().any(|arg| arg.as_bytes() == b"--sentinel") {
        return Err(BootError::Sentinel);
    }
    let first = args.first().map(|arg| arg.as_bytes()).unwrap_or_default();
    match first {
        b"-v" | b"--version" => return Ok(Request::Print(version())),
        b"-h" | b"--help" => return Ok(Request::Print(help())),
        _ => {}
    }
    let has_file = !args.is_empty() && !first.starts_with(b"-");
    let file = has_file.then(|| absolute(first, directory));
    let mut input = false;
    let mut options = Options::default();
    for (index, arg) in args.iter().enumerate().skip(usize::from(has_file)) {
        let arg = arg.as_bytes();
        if arg == b"-" && (index == 0 || index + 1 == args.len()) {
            input = true;
        } else {
            options.add(arg, args.get(index + 1).map(|next| next.as_bytes()));
        }
    }
    Ok(Request::Run(Arguments { file, input, options: options.text }))
}

/// The directives made of arguments so far.
#[derive(Default)]
struct Options {
    text: Vec<u8>,
    /// Whether the last directive still waits for its first value.
    waiting: bool,
}

impl Options {
    /// Adds an argument; `next` is the one after it.
    fn add(&mut self, arg: &[u8], next: Option<&[u8]>) {
        let Some(name) = arg.strip_prefix(b"--").filter(|_| !self.waiting) else {
            quote_into(&mut self.text, arg);
            self.text.push(b' ');
            self.waiting = false;
            return;
        };
        if !self.text.is_empty() {
            self.text.push(b'\n');
        }
        self.text.extend_from_slice(name);
        self.text.push(b' ');
        // With its value in the same argument (`"--port 7000"`) a directive is complete.
        self.waiting = split_args(arg).is_some_and(|words| words.len() == 1);
        let is_last = next.is_none_or(|next| next.starts_with(b"--"));
        if self.waiting && is_last && arg.eq_ignore_ascii_case(b"--test-mode") {
            self.text.extend_from_slice(b"yes");
            self.waiting = false;
        }
        if self.waiting && arg.eq_ignore_ascii_case(b"--save") {
            // Users build the arguments from a list which may be empty.
            match next {
                Some(next) if next.starts_with(b"--") => {
                    self.text.extend_from_slice(b"\"\"");
                    self.waiting = false;
                }
                Some(_) => {}
                None => self.text.extend_from_slice(b"\"\""),
            }
        }
    }
}

/// `name` made absolute; `../` in front are resolved, nothing else.
fn absolute(name: &[u8], directory: &Path) -> PathBuf {
    let mut name = name.trim_ascii();
    if name.starts_with(b"/") {
        return PathBuf::from(OsString::from_vec(name.to_vec()));
    }
    let mut path = directory.to_path_buf();
    while let Some(rest) = name.strip_prefix(b"../") {
        path.pop();
        name = rest;
    }
    path.push(OsString::from_vec(name.to_vec()));
    path
}

/// Loads the configuration which the arguments ask for. `directory` is the absolute one the
/// process was started in, `input` is read to its end if the arguments say so.
pub fn load(
    arguments: &Arguments,
    directory: &Path,
    input: &mut dyn Read,
    directives: &mut dyn Directives,
) -> Result<Config, BootError> {
    let mut config = Config::new(directory.to_path_buf());
    let mut text = Vec::new();
    if arguments.input {
        let failed = |error: std::io::Error| BootError::Config {
            line: None,
            reason: format!("Can't read standard input: {error}"),
        };
        input.read_to_end(&mut text).map_err(failed)?;
    }
    Loader::new(&mut config, directives).load(
        arguments.file.as_deref(),
        &text,
        &arguments.options,
    )?;
    config.file.clone_from(&arguments.file);
    Ok(config)
}

/// The line which `--version` prints. It keeps Redis's fields, in which scripts look for what they may ask for: `v` is
/// the version of Redis that we are like.
pub fn version() -> String {
    format!(
        "Rufous server v={REDIS_VERSION} sha=00000000:0 malloc=libc bits={} build=0 rufous_version={}\n",
        usize::BITS,
        env!("CARGO_PKG_VERSION"),
    )
}

/// The text which `--help` prints: usage, then all options.
fn help() -> String {
    format!("{USAGE}{}", config_docs::help())
}

const USAGE: &str = "\
Usage: rufous [/path/to/rufous.conf] [options] [-]
       rufous - (read the configuration from standard input)
       rufous -v or --version
       rufous -h or --help

Examples:
       rufous (run the server with the default configuration)
       echo 'maxmemory 128mb' | rufous -
       rufous /etc/rufous/6379.conf
       rufous --port 7777
       rufous /etc/rufous/6379.conf --loglevel verbose -

Every option can be a line of the file or an argument: `port 7777` or `--port 7777`.
";
