//! CONFIG as a client sees it. The options themselves are tested in `engine::config_tests`.

use crate::base::clock::Clock;
use crate::command::execute::Request;
use crate::engine::config::{Config, Opt};
use crate::engine::engine::Engine;
use crate::engine::host::{Host, HostError, Line, Side};
use crate::engine::session::{Address, Session};
use crate::proto::args::OwnedArgs;
use crate::proto::reply::{Output, Resp};

/// A network layer which can do anything but listen.
struct Deaf;

impl Host for Deaf {
    fn apply(&mut self, changed: &[Opt], _config: &Config) -> Result<(), HostError> {
        match changed.contains(&Opt::Port) {
            true => Err(HostError { option: Opt::Port, reason: "Unable to listen".into() }),
            false => Ok(()),
        }
    }

    fn may_fork(&self) -> bool {
        false
    }

    fn fork(&mut self, _client_fd: i32, _config: &Config) -> Result<Side, String> {
        Err("nothing to fork".to_owned())
    }

    fn reap(&mut self) {}

    fn end_children(&mut self) {}

    fn open_line(&self, _client_fd: i32) -> Result<Box<dyn Line>, String> {
        Err("no line".to_owned())
    }
}

struct Client {
    engine: Engine,
    session: Session,
}

impl Client {
    fn new() -> Client {
        let engine = Engine::new(Config::new("/".into()), Clock::manual(1), Some(1));
        Client { engine, session: Session::new(Address::InProcess, 1) }
    }

    fn ask(&mut self, words: &[&str]) -> String {
        let owned = OwnedArgs::from_parts(words.iter().map(|word| word.as_bytes()));
        let (buffer, spans, blocks) = owned.parts();
        let request = Request { buffer, spans, blocks, command: None, hint: Default::default() };
        let mut out = Output::default();
        self.engine.execute(&mut self.session, request, &mut out, &mut 0);
        String::from_utf8(out.to_bytes()).unwrap()
    }

    fn int(&self, opt: Opt) -> i64 {
        self.engine.shared.config.int(opt)
    }
}

#[test]
fn get() {
    let mut client = Client::new();
    let both = "$7\r\ntimeout\r\n$1\r\n0\r\n$2\r\nHZ\r\n$2\r\n10\r\n";
    assert_eq!(client.ask(&["config", "GET", "timeou?", "HZ", "nothing"]), format!("*4\r\n{both}"));
    client.session.resp = Resp::V3;
    assert_eq!(client.ask(&["config", "GET", "timeou?", "HZ", "nothing"]), format!("%2\r\n{both}"));
    assert_eq!(
        client.ask(&["config", "get"]),
        "-ERR wrong number of arguments for 'config|get' command\r\n"
    );
}

#[test]
fn set() {
    let mut client = Client::new();
    assert_eq!(client.ask(&["config", "set", "timeout", "5", "hz", "20"]), "+OK\r\n");
    assert_eq!((client.int(Opt::Timeout), client.int(Opt::Hz)), (5, 20));
    assert_eq!(client.ask(&["config", "set", "timeout", "5", "hz"]), "-ERR syntax error\r\n");
    assert_eq!(
        client.ask(&["config", "set", "timeout", "6", "no\0such", "1"]),
        "-ERR Unknown option or number of arguments for CONFIG SET - 'no'\r\n"
    );
    assert_eq!(
        client.ask(&["config", "set", "timeout", "6", "hz", "x"]),
        "-ERR CONFIG SET failed (possibly related to argument 'hz') - \
         argument couldn't be parsed into an integer\r\n"
    );
    assert_eq!(client.int(Opt::Timeout), 5);
}

#[test]
fn a_change_takes_effect_at_once() {
    let mut client = Client::new();
    assert_eq!(client.ask(&["config", "set", "slowlog-log-slower-than", "-1"]), "+OK\r\n");
    assert_eq!(client.engine.shared.thresholds.slow_ticks, u64::MAX);
    assert_eq!(client.ask(&["config", "set", "maxmemory-policy", "allkeys-lfu"]), "+OK\r\n");
    assert!(client.engine.shared.is_lfu);
}

#[test]
fn what_the_network_refuses_is_taken_back() {
    let mut client = Client::new();
    client.engine.shared.host = Some(Box::new(Deaf));
    assert_eq!(
        client.ask(&["config", "set", "timeout", "5", "port", "7000"]),
        "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen\r\n"
    );
    assert_eq!((client.int(Opt::Timeout), client.int(Opt::Port)), (0, 6379));
    assert_eq!(client.ask(&["config", "set", "timeout", "5"]), "+OK\r\n");
}

#[test]
fn rewrite_resetstat_help() {
    let mut client = Client::new();
    assert_eq!(
        client.ask(&["config", "rewrite"]),
        "-ERR The server is running without a config file\r\n"
    );
    client.engine.shared.stats.connections_received = 7;
    client.engine.dbs[0].stats.hits = 3;
    assert_eq!(client.ask(&["config", "resetstat"]), "+OK\r\n");
    assert_eq!(client.engine.shared.stats.connections_received, 0);
    assert_eq!(client.engine.dbs[0].stats.hits, 0);
    assert!(client.ask(&["config", "help"]).starts_with("*11\r\n+CONFIG <subcommand> "));
    assert_eq!(
        client.ask(&["config", "foo"]),
        "-ERR unknown subcommand 'foo'. Try CONFIG HELP.\r\n"
    );
}
