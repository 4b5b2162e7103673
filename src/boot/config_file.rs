//! Reads the configuration: files, standard input and arguments become one text of directives.
//!
//! The grammar is Redis's: one directive per line, blanks around it trimmed, `#` in front for a
//! comment, words in `"…"` (with escapes) or `'…'`. Names are case-insensitive, a later line wins
//! over an earlier one, and the first line that is wrong stops everything. `include` reads
//! another file at once; with a wildcard it reads what matches, in order of the names, as one
//! text, and nothing if nothing matches. Relative names start from `dir` as set so far.

use std::fs::{self, OpenOptions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::error::BootError;
use crate::base::glob::{Case, glob_match};
use crate::base::quote::split_args;
use crate::engine::config::{Config, Opt, Rename};
use crate::engine::config_value::os_reason;

/// How deep files may include each other: far more than anybody needs, and it ends loops.
const INCLUDE_DEPTH_LIMIT: usize = 64;

/// Directives which older files hold, with one argument, and which do nothing any more.
const RETIRED: [&str; 3] =
    ["list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"];

/// The reason to refuse options of modules (`name.option value`) when no module is loaded.
const NO_MODULE: &str =
    "Module Configuration detected without loadmodule directive or no ApplyConfig call: aborting";

/// Checks of directives which only other parts of the server understand. The error is the
/// reason to print.
pub trait Directives {
    /// `rename-command from to`: `from` has to be a command, `to` none. Called in order.
    fn rename_command(&mut self, from: &[u8], to: &[u8]) -> Result<(), String>;

    /// `user name rules…`: the words after `user`.
    fn user(&mut self, words: &[Vec<u8>]) -> Result<(), String>;
}

/// Accepts every directive.
pub struct AcceptAll;

impl Directives for AcceptAll {
    fn rename_command(&mut self, _from: &[u8], _to: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn user(&mut self, _words: &[Vec<u8>]) -> Result<(), String> {
        Ok(())
    }
}

/// Loads directives into a configuration.
pub struct Loader<'a> {
    config: &'a mut Config,
    directives: &'a mut dyn Directives,
    depth: usize,
    /// Whether an option of a module was set.
    has_module_options: bool,
}

impl<'a> Loader<'a> {
    /// A loader into `config`.
    pub fn new(config: &'a mut Config, directives: &'a mut dyn Directives) -> Loader<'a> {
        Loader { config, directives, depth: 0, has_module_options: false }
    }

    /// Loads the text of `file` (a name or a pattern), followed by `input` (what standard input
    /// gave) and `options` (made from the arguments).
    pub fn load(
        &mut self,
        file: Option<&Path>,
        input: &[u8],
        options: &[u8],
    ) -> Result<(), BootError> {
        let mut text = match file {
            Some(file) => self.read(file.as_os_str().as_bytes())?,
            None => Vec::new(),
        };
        end_line(&mut text);
        text.extend_from_slice(input);
        text.push(b'\n');
        text.extend_from_slice(options);
        self.load_text(&text)?;
        if self.has_module_options && self.config.modules.is_empty() {
            return Err(BootError::Config { line: None, reason: NO_MODULE.into() });
        }
        Ok(())
    }

    /// Loads directives from a text.
    pub fn load_text(&mut self, text: &[u8]) -> Result<(), BootError> {
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = trim(line);
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            self.load_line(line).map_err(|failure| match failure {
                Failure::Here(reason) => {
                    BootError::Config { line: Some((index + 1, line.to_vec())), reason }
                }
                Failure::Included(error) => error,
            })?;
        }
        self.check_whole().map_err(|reason| BootError::Config { line: None, reason })
    }

    fn load_line(&mut self, line: &[u8]) -> Result<(), Failure> {
        let words = split_args(line).ok_or("Unbalanced quotes in configuration line")?;
        let Some((name, args)) = words.split_first() else { return Ok(()) };
        let name = name.to_ascii_lowercase();
        if let Some((opt, _)) = Opt::find(&name) {
            return self.config.load(opt, args).map_err(Failure::Here);
        }
        if args.len() == 1 && RETIRED.iter().any(|retired| retired.as_bytes() == name) {
            return Ok(());
        }
        match (name.as_slice(), args) {
            (b"include", [file]) => self.include(file)?,
            (b"rename-command", [from, to]) => {
                self.directives.rename_command(from, to)?;
                self.config.renames.push(Rename { from: from.clone(), to: to.clone() });
            }
            (b"user", [_, ..]) => {
                self.directives.user(args)?;
                self.config.users.push(args.to_vec());
            }
            (b"loadmodule", [_, ..]) => self.config.modules.push(args.to_vec()),
            (name, args) if name.contains(&b'.') => {
                if args.is_empty() {
                    return Err("Module config specified without value".into());
                }
                self.has_module_options = true;
            }
            (b"sentinel", []) => {}
            (b"sentinel", _) => return Err("sentinel directive while not in sentinel mode".into()),
            _ => return Err("Bad directive or wrong number of arguments".into()),
        }
        Ok(())
    }

    fn include(&mut self, file: &[u8]) -> Result<(), Failure> {
        if self.depth == INCLUDE_DEPTH_LIMIT {
            return Err("Too many files included by each other".into());
        }
        let text = self.read(file).map_err(Failure::Included)?;
        self.depth += 1;
        let result = self.load_text(&text).map_err(Failure::Included);
        self.depth -= 1;
        result
    }

    /// The text of a file, or of all files which match a pattern.
    fn read(&self, name: &[u8]) -> Result<Vec<u8>, BootError> {
        let path = self.config.dir().join(std::ffi::OsStr::from_bytes(name));
        let (shown, files) = if has_wildcard(name) {
            (None, expand(&path))
        } else {
            (Some(PathBuf::from(std::ffi::OsString::from_vec(name.to_vec()))), vec![path])
        };
        let mut text = Vec::new();
        for file in files {
            let part = fs::read(&file).map_err(|error| BootError::Open {
                path: shown.clone().unwrap_or(file),
                reason: os_reason(&error),
            })?;
            end_line(&mut text);
            text.extend(part);
        }
        Ok(text)
    }

    /// What can be checked only when all lines are known.
    fn check_whole(&self) -> Result<(), String> {
        if let Some(path) = self.config.path(Opt::LogFile) {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            opened.map_err(|error| format!("Can't open the log file: {}", os_reason(&error)))?;
        }
        if self.config.flag(Opt::ClusterEnabled) && self.config.primary().is_some() {
            return Err("replicaof directive not allowed in cluster mode".into());
        }
        Ok(())
    }
}

/// Why a line was refused: it is wrong itself, or something in the file which it includes.
enum Failure {
    Here(String),
    Included(BootError),
}

impl From<String> for Failure {
    fn from(reason: String) -> Failure {
        Failure::Here(reason)
    }
}

impl From<&str> for Failure {
    fn from(reason: &str) -> Failure {
        Failure::Here(reason.into())
    }
}

/// Lets the last line end, so that what follows does not become a part of it.
fn end_line(text: &mut Vec<u8>) {
    if text.last().is_some_and(|&byte| byte != b'\n') {
        text.push(b'\n');
    }
}

fn trim(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = line {
        line = rest;
    }
    while let [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = line {
        line = rest;
    }
    line
}

fn has_wildcard(name: &[u8]) -> bool {
    name.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// The files which match a path with wildcards, sorted. A wildcard matches within one part of
/// the path and no dot in front.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let part = part.as_os_str();
        if !has_wildcard(part.as_bytes()) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        found = found.iter().flat_map(|directory| entries(directory, part.as_bytes())).collect();
    }
    found.retain(|path| path.exists());
    found
}

fn entries(directory: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let hidden = pattern.starts_with(b".");
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.as_bytes();
            (hidden || !name.starts_with(b".")) && glob_match(pattern, name, Case::Sensitive)
        })
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}
