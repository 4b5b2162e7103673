//! From arguments to a running server, and its end.
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::base::clock::Clock;
use crate::base::sys::{self, TitleArea};
use crate::boot::argv::{self, Arguments, Request};
use crate::boot::config_file::Directives;
use crate::boot::error::BootError;
use crate::boot::logging;
use crate::command::table::CommandTable;
use crate::engine::acl::file::UserLines;
use crate::engine::config::{Config, Opt};
use crate::engine::config_value::os_reason;
use crate::engine::engine::Engine;
use crate::net::host::{listen_doors, listen_tcp, raise_open_files};
use crate::net::listener::Listener;
use crate::net::reactor::Reactor;

/// Runs the program; returns its exit code.
pub fn run(args: &[OsString]) -> i32 {
    let directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let arguments = match argv::parse(args, &directory) {
        Ok(Request::Print(text)) => {
            // Nobody is left to tell if standard output is closed.
            let _ = std::io::stdout().write_all(text.as_bytes());
            return 0;
        }
        Ok(Request::Run(arguments)) => arguments,
        Err(error) => return fail(&error),
    };
    let mut input = std::io::stdin();
    let table = CommandTable::new();
    let users = UserLines::new(&table);
    let mut checks = CommandChecks { table, users };
    match argv::load(&arguments, &directory, &mut input, &mut checks) {
        Ok(config) => serve(config, &arguments),
        Err(error) => fail(&error),
    }
}

fn fail(error: &BootError) -> i32 {
    let _ = std::io::stderr().write_all(error.to_string().as_bytes());
    1
}

/// Checks what only the command table knows.
struct CommandChecks {
    table: CommandTable,
    users: UserLines,
}

impl Directives for CommandChecks {
    fn rename_command(&mut self, from: &[u8], to: &[u8]) -> Result<(), String> {
        self.table.rename(from, to).map_err(|error| error.to_string())
    }

    fn user(&mut self, words: &[Vec<u8>]) -> Result<(), String> {
        self.users.check(words)
    }
}

fn serve(mut config: Config, arguments: &Arguments) -> i32 {
    if let Err(error) = logging::start(config.log_level(), config.path(Opt::LogFile).as_deref()) {
        return fail(&BootError::Config {
            line: None,
            reason: format!("Can't open the log file: {}", os_reason(&error)),
        });
    }
    if std::env::set_current_dir(config.dir()).is_err() {
        log::warn!("Can't chdir to '{}'", config.dir().display());
        return 1;
    }
    sys::tune_malloc();
    let title = config.flag(Opt::SetProcTitle).then(take_title).flatten();
    limit_clients(&mut config);
    let listeners = match listen(&config) {
        Ok(listeners) => listeners,
        Err(line) => {
            log::warn!("{line}");
            return 1;
        }
    };
    announce(&config, arguments, &listeners);
    let pid_file = write_pid_file(&config);
    let seed = config.seed();
    let mut engine = Engine::new(config, Clock::real(), seed);
    if let Err(line) = engine.shared.load_users() {
        log::warn!("{line}");
        return 1;
    }
    let result = Reactor::new(engine, listeners).and_then(|mut reactor| {
        reactor.handle_signals()?;
        reactor.on_log_level(logging::set_level);
        reactor.allow_forks();
        if let Some((area, program)) = title {
            reactor.show_title(area, program);
        }
        log::info!("Ready to accept connections");
        reactor.run()
    });
    if let Some(path) = pid_file {
        let _ = std::fs::remove_file(path);
    }
    match result {
        Ok(()) => {
            log::warn!("Rufous is now ready to exit, bye bye...");
            0
        }
        Err(error) => {
            log::error!("The event loop failed: {error}");
            1
        }
    }
}

/// The place of the process's title, and the name as which it was started.
fn take_title() -> Option<(TitleArea, Vec<u8>)> {
    let program = std::env::args_os().next()?.into_vec();
    Some((TitleArea::take()?, program))
}

/// `maxclients` and the limit of open files have to fit each other, as in Redis.
fn limit_clients(config: &mut Config) {
    let wanted = config.int(Opt::MaxClients).max(0) as u64;
    let possible = raise_open_files(wanted);
    if possible >= wanted {
        return;
    }
    log::warn!(
        "Current maximum open files is too low: maxclients has been reduced from {wanted} to \
         {possible}. If you need higher maxclients increase 'ulimit -n'."
    );
    config.lower_maxclients(possible.max(1) as i64);
}

fn listen(config: &Config) -> Result<Vec<Listener>, String> {
    let mut listeners = listen_tcp(config).map_err(|failure| {
        format!(
            "Failed listening on port {} ({}): {}",
            config.int(Opt::Port),
            failure.place,
            os_reason(&failure.error)
        )
    })?;
    if let Some(path) = config.path(Opt::UnixSocket) {
        let permissions = config.int(Opt::UnixSocketPerm).max(0) as u32;
        let listener = Listener::unix(&path, permissions).map_err(|failure| {
            let reason = os_reason(&failure.error);
            format!("Failed opening Unix socket: bind: {}: {reason}", failure.place)
        })?;
        listeners.push(listener);
    }
    let doors = listen_doors(config)
        .map_err(|failure| format!("Failed listening on {}: {}", failure.place, failure.error))?;
    listeners.extend(doors);
    if listeners.is_empty() {
        return Err("Configured to not listen anywhere, exiting.".to_owned());
    }
    Ok(listeners)
}

/// The lines of a start: what runs, where, with what.
fn announce(config: &Config, arguments: &Arguments, listeners: &[Listener]) {
    let places: Vec<String> = listeners.iter().map(Listener::url).collect();
    let memory = match config.size(Opt::Maxmemory) {
        0 => "no memory limit".to_owned(),
        bytes => format!("maxmemory {bytes} bytes"),
    };
    let file = match &arguments.file {
        Some(path) => path.display().to_string(),
        None => "no config file".to_owned(),
    };
    log::info!(
        "Rufous {} (Redis {} compatible), PID: {}, {file}, {memory}, nothing is saved to disk",
        env!("CARGO_PKG_VERSION"),
        crate::boot::error::REDIS_VERSION,
        std::process::id()
    );
    log::info!("Listening on {}", places.join(", "));
    let inert = config.inert_set();
    if !inert.is_empty() {
        log::warn!("Accepted but without effect yet: {}", inert.join(", "));
    }
}

/// Redis writes one where it is asked to, or where it is a daemon.
fn write_pid_file(config: &Config) -> Option<PathBuf> {
    let path = config.path(Opt::PidFile)?;
    match std::fs::write(&path, format!("{}\n", std::process::id())) {
        Ok(()) => Some(path),
        Err(error) => {
            log::warn!("Failed to write PID file {}: {}", path.display(), os_reason(&error));
            None
        }
    }
}
