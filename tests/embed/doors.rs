//! Every dialect of a server in process, over TCP and Unix sockets, and what is no address.
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rufous::{Address, Client, Dialect, Endpoint, Error, Server};

const PATIENCE: Duration = Duration::from_secs(10);

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("rufous-doors-{}-{name}", std::process::id()))
}

/// What stores `v` at `k` in a dialect, what reads it, and both answers. Written from the description alone.
fn session(dialect: Dialect) -> (Vec<u8>, &'static [u8]) {
    let framed = |object: &[u8]| [&(object.len() as u32).to_be_bytes()[..], object].concat();
    match dialect {
        Dialect::Resp => (
            b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".to_vec(),
            b"+OK\r\n$1\r\nv\r\n",
        ),
        Dialect::Simpledb => (
            b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".to_vec(),
            b":1\r\n$1\r\nv\r\n",
        ),
        Dialect::Msgpack => (
            [
                framed(b"\x83\xa4type\xa3Put\xa3key\xa1k\xa3val\xa1v"),
                framed(b"\x82\xa4type\xa3Get\xa3key\xa1k"),
            ]
            .concat(),
            b"\0\0\0\x01\xc0\0\0\0\x02\xa1v",
        ),
        Dialect::Kvstore => (
            b"\0\0\x01\0\0\0\x01k\0\0\0\x01v\0\0\0\0\0\0\x01k".to_vec(),
            b"\0\0\0\0\0\x01k\0\0\0\0\0\x01v",
        ),
    }
}

fn converse(mut stream: impl Read + Write, dialect: Dialect) {
    let (requests, answers) = session(dialect);
    stream.write_all(&requests).unwrap();
    let mut found = vec![0; answers.len()];
    stream.read_exact(&mut found).unwrap();
    assert!(found == answers, "{dialect:?}: {}", found.escape_ascii());
}

fn converse_at(address: &Address, dialect: Dialect) {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            converse(stream, dialect);
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            converse(stream, dialect);
        }
    }
}

#[test]
fn every_dialect_over_tcp_and_unix_on_the_same_data() {
    let mut builder = Server::builder();
    let mut paths = Vec::new();
    for dialect in Dialect::ALL {
        let (name, path) = (dialect.name(), scratch(dialect.name()));
        builder = builder.listen(format!("{name}://127.0.0.1:0"));
        builder = builder.listen(format!("{name}+unix://{}", path.display()));
        paths.push(path);
    }
    let server = builder.spawn().unwrap();
    assert_eq!(server.endpoints().len(), 8);
    let mut client = server.connect().unwrap();
    for (index, dialect) in Dialect::ALL.into_iter().enumerate() {
        let [tcp, unix] = &server.endpoints()[2 * index..][..2] else { panic!() };
        assert_eq!((tcp.dialect, unix.dialect), (dialect, dialect));
        assert!(matches!(tcp.address, Address::Tcp(at) if at.port() != 0 && at.ip().is_loopback()));
        assert_eq!(unix.address, Address::Unix(paths[index].clone()));
        assert_eq!(server.address_of(dialect), Some(&tcp.address));
        for endpoint in [tcp, unix] {
            assert!(!client.del("k").unwrap());
            converse_at(&endpoint.address, dialect);
            assert!(client.del("k").unwrap(), "{endpoint} has data of its own");
        }
    }
    let addresses: Vec<&Address> = server.endpoints().iter().map(|door| &door.address).collect();
    assert_eq!(server.addresses().iter().collect::<Vec<_>>(), addresses);
    // CONFIG tells them as `listen` lines, with the real ports.
    let listen = client.command(&["CONFIG", "GET", "listen"]).unwrap();
    let urls: Vec<String> = server.endpoints().iter().map(Endpoint::to_string).collect();
    assert_eq!(listen.as_slice().unwrap()[1].as_str().unwrap(), urls.join(" "));
    server.stop().unwrap();
    assert!(!paths.iter().any(|path| path.exists()));
}

#[test]
fn addresses_without_text() {
    let (path, any) = (scratch("typed"), SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = Server::builder()
        .listen_for(Dialect::Kvstore, any)
        .listen_for(Dialect::Msgpack, path.as_path())
        .listen_for(Dialect::Resp, Address::Tcp(any))
        .listen_for(Dialect::Resp, any)
        .spawn()
        .unwrap();
    for Endpoint { dialect, address } in server.endpoints() {
        converse_at(address, *dialect);
    }
    assert_eq!(server.address_of(Dialect::Msgpack), Some(&Address::Unix(path)));
    assert_eq!(server.address_of(Dialect::Simpledb), None);
    // `connect` passes by the doors that a client of Redis does not understand.
    let mut client = server.connect().unwrap();
    assert_eq!(client.get("k").unwrap().unwrap(), b"v");
    // The first address for clients of Redis is `port`; a second one is a `listen` line.
    let Some(Address::Tcp(main)) = server.address_of(Dialect::Resp) else { panic!() };
    let port = client.command(&["CONFIG", "GET", "port"]).unwrap();
    assert_eq!(port.as_slice().unwrap()[1].as_str().unwrap(), main.port().to_string());
    let listen = client.command(&["CONFIG", "GET", "listen"]).unwrap();
    let listen = listen.as_slice().unwrap()[1].as_str().unwrap().to_owned();
    assert!(listen.ends_with(&format!(" {}", server.endpoints()[3])), "{listen}");
    // CONFIG SET port moves the main one and leaves the others alone.
    client.command(&["CONFIG", "SET", "port", "0"]).unwrap().ok().unwrap();
    assert_eq!(Client::connect(main).unwrap_err_kind(), ErrorKind::ConnectionRefused);
    converse_at(&server.addresses()[3], Dialect::Resp);
}

trait ErrorKindOf {
    fn unwrap_err_kind(self) -> ErrorKind;
}

impl<T: std::fmt::Debug> ErrorKindOf for Result<T, Error> {
    fn unwrap_err_kind(self) -> ErrorKind {
        match self.unwrap_err() {
            Error::Io(error) => error.kind(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_server_without_a_door_for_redis() {
    let server = Server::builder().listen("simpledb://localhost:0").spawn().unwrap();
    assert_eq!(server.address_of(Dialect::Resp), None);
    assert_eq!(server.connect().unwrap_err_kind(), ErrorKind::AddrNotAvailable);
    converse_at(&server.addresses()[0], Dialect::Simpledb);
}

#[test]
fn paths_start_from_the_directory_and_may_have_blanks() {
    let dir = scratch("dir");
    std::fs::create_dir(&dir).unwrap();
    let server = Server::builder()
        .config("dir", dir.to_str().unwrap())
        .listen("kvstore+unix://a \"door\".sock")
        .listen("./main.sock")
        .spawn()
        .unwrap();
    converse_at(&Address::Unix(dir.join("a \"door\".sock")), Dialect::Kvstore);
    let listen = server.connect().unwrap().command(&["CONFIG", "GET", "listen"]).unwrap();
    let listen = listen.as_slice().unwrap()[1].as_str().unwrap().to_owned();
    assert!(listen.ends_with("/a \"door\".sock"), "{listen}");
    drop(server);
    // Removed with all that was in it: nothing.
    std::fs::remove_dir(&dir).unwrap();
}

#[test]
fn what_is_no_address_is_refused_before_anything_listens() {
    let path = scratch("never");
    let cases = [
        ("6379", "the port is missing"),
        ("localhost", "the port is missing"),
        ("127.0.0.1:65536", "the port is not 0 to 65535"),
        ("127.0.0.1:", "the port is not 0 to 65535"),
        ("::1:0", "IPv6 addresses stand in brackets"),
        (":0", "the host is missing"),
        ("", "the port is missing"),
        ("redis://127.0.0.1:0", "the dialect is none of resp, simpledb, msgpack, kvstore"),
        ("MSGPACK://127.0.0.1:0", "the dialect is none of resp, simpledb, msgpack, kvstore"),
        ("msgpack://127.0.0.1", "the port is missing"),
        ("msgpack://[::1:0", "the bracket is not closed"),
        ("msgpack+unix://", "the path is missing"),
        ("unix:", "the port is not 0 to 65535"),
    ];
    for (text, expected) in cases {
        let builder = Server::builder().listen(path.to_str().unwrap()).listen(text);
        match builder.spawn() {
            Err(Error::Address { address, reason }) => {
                assert_eq!((address.as_str(), reason), (text, expected));
            }
            other => panic!("{text}: {other:?}"),
        }
        assert!(!Path::new(&path).exists(), "{text} left a socket");
    }
    let not_text = Path::new(std::ffi::OsStr::new("/tmp"))
        .join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff.sock"));
    let error = Server::builder().listen_for(Dialect::Resp, not_text).spawn().unwrap_err();
    assert!(matches!(error, Error::Address { reason: "the path is not UTF-8", .. }), "{error}");
    let error = Server::builder().config("listen", "resp://127.0.0.1:0").spawn().unwrap_err();
    assert_eq!(error.to_string(), "option listen: is decided by listen()");
    let taken = Server::builder().listen("kvstore://127.0.0.1:0").spawn().unwrap();
    let error = Server::builder()
        .listen(path.to_str().unwrap())
        .listen(format!("msgpack://{}", taken.addresses()[0]))
        .spawn()
        .unwrap_err();
    let is_in_use = |error: &std::io::Error| error.kind() == ErrorKind::AddrInUse;
    assert!(matches!(&error, Error::Listen { error, .. } if is_in_use(error)), "{error}");
    assert!(!path.exists());
}
