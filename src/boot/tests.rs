//! Tests of arguments and configuration files. Expected texts are those of redis-server 7.0.15.

use super::argv::{self, Arguments, Request};
use super::config_file::{AcceptAll, Directives, Loader};
use super::error::BootError;
use crate::engine::config::{Config, Opt};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

fn arguments(args: &[&str]) -> Arguments {
    let args: Vec<OsString> = args.iter().map(OsString::from).collect();
    match argv::parse(&args, Path::new("/srv/a")) {
        Ok(Request::Run(arguments)) => arguments,
        other => panic!("{args:?}: {other:?}"),
    }
}

fn options(args: &[&str]) -> String {
    String::from_utf8(arguments(args).options).unwrap()
}

fn load_text(text: &str) -> Result<Config, String> {
    let mut config = Config::new("/".into());
    let result = Loader::new(&mut config, &mut AcceptAll).load(None, text.as_bytes(), b"");
    result.map(|()| config).map_err(|error| error.to_string())
}

fn refused(line: &str, reason: &str) {
    let want = format!(
        "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\n\
         Reading the configuration file, at line 2\n>>> '{line}'\n{reason}\n"
    );
    assert_eq!(load_text(&format!("# first\n  {line}\t\r\nport 7\n")).unwrap_err(), want);
}

/// A directory for one test, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("rufous-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("conf.d")).unwrap();
        Directory(path.canonicalize().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn load(&self, file: &str, input: &str) -> Result<Config, BootError> {
        let file = Some(self.0.join(file));
        let arguments = Arguments { file, input: true, options: b"hz 30".to_vec() };
        argv::load(&arguments, &self.0, &mut input.as_bytes(), &mut AcceptAll)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn arguments_become_lines() {
    assert_eq!(options(&["--port", "7", "--bind", "a", "b"]), "port \"7\" \nbind \"a\" \"b\" ");
    assert_eq!(options(&["--port 7", "--hz", "20"]), "port 7 \nhz \"20\" ");
    assert_eq!(options(&["--requirepass", "--x", "--hz", "1"]), "requirepass \"--x\" \nhz \"1\" ");
    assert_eq!(options(&["--port"]), "port ");
    assert_eq!(options(&["--save"]), "save \"\"");
    assert_eq!(options(&["--SAVE", "--hz", "20"]), "SAVE \"\"\nhz \"20\" ");
    assert_eq!(options(&["--save", ""]), "save \"\" ");
    assert_eq!(options(&["--save", "1", "2"]), "save \"1\" \"2\" ");
    assert_eq!(options(&["--dir", "a \"b\n"]), "dir \"a \\\"b\\n\" ");
    assert_eq!(options(&["--hz \"1"]), "hz \"1 ");
    assert_eq!(options(&["--test-mode"]), "test-mode yes");
    assert_eq!(options(&["--test-mode", "--seed", "7"]), "test-mode yes\nseed \"7\" ");
    assert_eq!(options(&["--test-mode", "no"]), "test-mode \"no\" ");
    assert_eq!(options(&["--"]), " ");
}

#[test]
fn file_and_standard_input() {
    let found = arguments(&["x.conf", "hz", "20", "-"]);
    assert_eq!(found.file, Some("/srv/a/x.conf".into()));
    assert_eq!((found.input, found.options.as_slice()), (true, &b"\"hz\" \"20\" "[..]));
    assert_eq!(arguments(&["../../b/x"]).file, Some("/b/x".into()));
    assert_eq!(arguments(&["/x"]).file, Some("/x".into()));
    assert_eq!(arguments(&["-", "--hz", "2"]).file, None);
    assert!(arguments(&["-", "--hz", "2"]).input);
    let found = arguments(&["--hz", "-", "--port", "1"]);
    assert_eq!((found.input, found.options.as_slice()), (false, &b"hz \"-\" \nport \"1\" "[..]));
}

#[test]
fn printing_instead_of_running() {
    let request = |arg: &str| argv::parse(&[arg.into()], Path::new("/")).unwrap();
    for arg in ["-v", "--version"] {
        let Request::Print(text) = request(arg) else { panic!("{arg}") };
        assert!(text.starts_with("Rufous server v=7.0.15 sha="), "{text}");
        assert!(text.ends_with(&format!("rufous_version={}\n", env!("CARGO_PKG_VERSION"))));
        assert_eq!(text.lines().count(), 1);
    }
    for arg in ["-h", "--help"] {
        let Request::Print(text) = request(arg) else { panic!("{arg}") };
        assert!(text.starts_with("Usage: rufous") && text.contains("--maxmemory-policy"));
    }
    let both = ["--port".into(), "--sentinel".into()];
    assert_eq!(argv::parse(&both, Path::new("/")), Err(BootError::Sentinel));
}

#[test]
fn refusals() {
    refused("foo bar", "Bad directive or wrong number of arguments");
    refused("port \"1", "Unbalanced quotes in configuration line");
    refused("a \"x\"y", "Unbalanced quotes in configuration line");
    refused("timeout a", "argument couldn't be parsed into an integer");
    refused("port", "wrong number of arguments");
    refused("port 1 2", "wrong number of arguments");
    refused("hz 3000000000", "argument must be between 0 and 2147483647 inclusive");
    refused("maxclients -1", "argument must be between 1 and 4294967295 inclusive");
    refused("unixsocketperm 1000", "argument must be between 0 and 777 inclusive");
    refused("unixsocketperm 999", "argument couldn't be parsed as an octal number");
    refused("save 1", "Invalid save parameters");
    refused("save 0 1", "Invalid save parameters");
    refused("replicaof a", "wrong number of arguments");
    refused("replicaof a 70000", "Invalid master port");
    refused("dir /no/such", "No such file or directory");
    refused("dir /etc/passwd", "Not a directory");
    refused("bind 1 2 3 4 5 6 7 8 9 a b c d e f g h", "Too many bind addresses specified.");
    refused("dbfilename a/b", "dbfilename can't be a path, just a filename");
    refused("sentinel monitor x", "sentinel directive while not in sentinel mode");
    refused("foo.bar", "Module config specified without value");
    refused("include", "Bad directive or wrong number of arguments");
    refused("user", "Bad directive or wrong number of arguments");
    refused("list-max-ziplist-entries 1 2", "Bad directive or wrong number of arguments");
    let whole = "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\n";
    assert_eq!(
        load_text("cluster-enabled yes\nreplicaof a 1").unwrap_err(),
        format!("{whole}replicaof directive not allowed in cluster mode\n")
    );
    assert_eq!(
        load_text("logfile /no/such/file").unwrap_err(),
        format!("{whole}Can't open the log file: No such file or directory\n")
    );
    assert!(load_text("module.option 1").unwrap_err().contains("without loadmodule"));
    assert!(load_text("module.option 1\nloadmodule x.so").is_ok());
}

#[test]
fn a_file_with_everything() {
    let text = "# comment\r\n\n  PORT 7000\r\nslave-read-only no\nsave 10 1\nsave \"20 2\"\n\
        client-output-buffer-limit pubsub 1mb 2kb 3\nrequirepass \"a \\x41\\\"\"\nmaxmemory 1gb\n\
        rename-command FLUSHALL \"\"\nuser bob on >x ~*\nuser eve off\nlua-replicate-commands no\n\
        loadmodule m.so 1 2\nbind 127.0.0.1 -::1\ntimeout 1\ntimeout 2\nmaxmemory-clients 5%\n";
    let config = load_text(text).unwrap();
    assert_eq!(config.int(Opt::Port), 7000);
    assert!(!config.flag(Opt::ReplicaReadOnly));
    assert_eq!(config.show(Opt::Save), b"10 1 20 2");
    assert_eq!(config.output_limits().pubsub.soft_bytes, 2048);
    assert_eq!(config.text(Opt::RequirePass), b"a A\"");
    assert_eq!(config.size(Opt::Maxmemory), 1 << 30);
    assert_eq!(config.int(Opt::Timeout), 2);
    assert_eq!(config.int(Opt::MaxmemoryClients), -5);
    assert_eq!((config.renames.len(), config.renames[0].to.as_slice()), (1, &b""[..]));
    assert_eq!((config.users.len(), config.users[0].len()), (2, 4));
    assert_eq!(config.modules, [[b"m.so".to_vec(), b"1".to_vec(), b"2".to_vec()]]);
    let inert = ["save", "replica-read-only", "loadmodule"];
    assert_eq!(config.inert_set(), inert);
    assert_eq!(load_text("save 1 1\nsave \"\"").unwrap().show(Opt::Save), b"");
    assert_eq!(load_text("save \"\"\nsave 1 1").unwrap().show(Opt::Save), b"1 1");
}

#[test]
fn includes() {
    let directory = Directory::new("includes");
    directory.write("a.conf", "include conf.d/*.conf\ninclude none/*.conf\ntcp-keepalive 3");
    directory.write("conf.d/1.conf", "timeout 11\nport 1\n");
    directory.write("conf.d/2.conf", "port 2\n");
    directory.write("conf.d/.3.conf", "hidden\n");
    let config = directory.load("a.conf", "port 3\nhz 20").unwrap();
    let values = [Opt::Timeout, Opt::Port, Opt::TcpKeepalive, Opt::Hz].map(|opt| config.int(opt));
    assert_eq!(values, [11, 3, 3, 30]);
    assert_eq!(config.file, Some(directory.0.join("a.conf")));

    directory.write("dir.conf", "dir conf.d\ninclude 1.conf\n");
    let config = directory.load("dir.conf", "").unwrap();
    assert_eq!((config.int(Opt::Timeout), config.dir()), (11, &*directory.0.join("conf.d")));

    directory.write("bad.conf", "include conf.d/2.conf\ninclude worse.conf");
    directory.write("worse.conf", "\n\n bad line");
    let line = Some((3, b"bad line".to_vec()));
    let reason = "Bad directive or wrong number of arguments".to_string();
    assert_eq!(directory.load("bad.conf", "").unwrap_err(), BootError::Config { line, reason });

    directory.write("open.conf", "include none.conf");
    let error = directory.load("open.conf", "").unwrap_err().to_string();
    let want = "Fatal error, can't open config file 'none.conf': No such file or directory\n";
    assert_eq!(error, want);

    directory.write("loop.conf", "include loop.conf");
    let error = directory.load("loop.conf", "").unwrap_err().to_string();
    assert!(error.contains("Too many files"), "{error}");
}

#[test]
fn directives_are_checked_in_place() {
    struct Strict;
    impl Directives for Strict {
        fn rename_command(&mut self, from: &[u8], _to: &[u8]) -> Result<(), String> {
            let known = from.eq_ignore_ascii_case(b"get");
            if known { Ok(()) } else { Err("No such command in rename-command".into()) }
        }
        fn user(&mut self, words: &[Vec<u8>]) -> Result<(), String> {
            Err(format!("Error in user declaration '{}': why", String::from_utf8_lossy(&words[1])))
        }
    }
    let load = |text: &str| {
        let mut config = Config::new("/".into());
        let result = Loader::new(&mut config, &mut Strict).load_text(text.as_bytes());
        (config.renames.len(), result.err().map(|error| error.to_string()).unwrap_or_default())
    };
    assert_eq!(load("rename-command GET G"), (1, String::new()));
    let (renames, error) = load("port 1\nrename-command x y");
    assert!(error.contains("line 2\n>>> 'rename-command x y'\nNo such command in rename-command"));
    assert_eq!(renames, 0);
    assert!(load("user a b").1.contains("'user a b'\nError in user declaration 'b': why\n"));
}
