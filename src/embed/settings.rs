//! What both builders take: options, clock, seed.
use std::path::PathBuf;

use crate::base::clock::Clock;
use crate::boot::config_file::{Directives, Loader};
use crate::boot::error::BootError;
use crate::command::table::CommandTable;
use crate::embed::error::Error;
use crate::engine::acl::file::UserLines;
use crate::engine::config::{Config, Opt};
use crate::engine::engine::Engine;

/// Options that [`ServerBuilder::listen`] decides.
///
/// [`ServerBuilder::listen`]: crate::embed::ServerBuilder::listen
const DECIDED: &[Opt] = &[Opt::Port, Opt::Bind, Opt::UnixSocket, Opt::Listen];

/// Collected by a builder.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    options: Vec<(String, Vec<u8>)>,
    pub(super) clock: Option<Clock>,
    pub(super) seed: Option<u64>,
}

impl Settings {
    pub(super) fn set(&mut self, name: &str, value: &[u8]) {
        self.options.push((name.to_owned(), value.to_vec()));
    }

    /// All options, later ones winning; the first wrong one is the error.
    pub(super) fn config(&self) -> Result<Config, Error> {
        let dir = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let mut config = Config::new(dir);
        let table = CommandTable::new();
        let users = UserLines::new(&table);
        let mut checks = Checks { table, users };
        for (name, value) in &self.options {
            let failed = |reason: String| Error::Config { option: name.clone(), reason };
            if let Some((opt, _)) = Opt::find(name.as_bytes()) {
                if DECIDED.contains(&opt) {
                    return Err(failed("is decided by listen()".to_owned()));
                }
                config.load(opt, std::slice::from_ref(value)).map_err(failed)?;
                continue;
            }
            // Directives that are no options: `rename-command`, `user`.
            let line = [name.as_bytes(), b" ", value].concat();
            if line.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
                return Err(failed("is more than one line".to_owned()));
            }
            Loader::new(&mut config, &mut checks).load_text(&line).map_err(
                |error| match error {
                    BootError::Config { reason, .. } => failed(reason),
                    other => failed(other.to_string()),
                },
            )?;
        }
        Ok(config)
    }

    /// An engine of this configuration; the error is about its users.
    pub(super) fn engine(self, config: Config) -> Result<Engine, Error> {
        let seed = self.seed.or(config.seed());
        let mut engine = Engine::new(config, self.clock.unwrap_or_else(Clock::real), seed);
        let failed = |reason| Error::Config { option: "user".to_owned(), reason };
        engine.shared.load_users().map_err(failed)?;
        Ok(engine)
    }
}

/// Checks what only the command table knows.
struct Checks {
    table: CommandTable,
    users: UserLines,
}

impl Directives for Checks {
    fn rename_command(&mut self, from: &[u8], to: &[u8]) -> Result<(), String> {
        self.table.rename(from, to).map_err(|error| error.to_string())
    }

    fn user(&mut self, words: &[Vec<u8>]) -> Result<(), String> {
        self.users.check(words)
    }
}
