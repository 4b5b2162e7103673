//! The front doors besides RESP over real sockets: pieces, closed halves, much at once, and what stays of it.
//!
//! What the dialects mean is tested in `src/dialect`, and by other people's clients in `scripts/doors`.
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

use crate::server::{PATIENCE, Server, eventually, free_port, scratch_path};

const MIB: usize = 1 << 20;

/// A kvstore request.
fn request(number: u16, arguments: &[&[u8]]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend(number.to_be_bytes());
    for argument in arguments {
        frame.extend((argument.len() as u32).to_be_bytes());
        frame.extend_from_slice(argument);
    }
    frame
}

/// The answer `Ok(text)`.
fn ok(text: &[u8]) -> Vec<u8> {
    [&[0, 0][..], &(text.len() as u32).to_be_bytes(), text].concat()
}

/// A server with a kvstore door, and where that is.
fn start(options: &[&str]) -> (Server, u16) {
    let port = free_port();
    let listen = format!("kvstore://127.0.0.1:{port}");
    (Server::start(&[&["--listen", &listen], options].concat()), port)
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn expect(stream: &mut impl Read, answer: &[u8]) {
    let mut found = vec![0; answer.len()];
    stream.read_exact(&mut found).unwrap();
    assert!(found == answer, "{}", found[..found.len().min(100)].escape_ascii());
}

#[test]
fn bytes_in_pieces_and_a_closed_half() {
    let (mut server, port) = start(&[]);
    let stream = [request(1, &[b"key", b"value"]), request(0, &[b"key"]), request(2, &[b"key"])];
    let (bytes, answer) = (stream.concat(), [ok(b"key"), ok(b"value"), ok(b"value")].concat());
    for step in [1, 2, 5, 11] {
        let mut client = connect(port);
        for piece in bytes.chunks(step) {
            client.write_all(piece).unwrap();
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        expect(&mut client, &answer);
    }
    // Who closes its half still gets its answers; what is unfinished then is dropped.
    let mut client = connect(port);
    client.write_all(&[&bytes[..], &[0, 0]].concat()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    assert_eq!(all, answer);
    // An unfinished request costs no processor time.
    connect(port).write_all(&[0]).unwrap();
    let mut waiting = connect(port);
    waiting.write_all(&bytes[..5]).unwrap();
    server.assert_healthy();
}

#[test]
fn more_than_a_turn_takes() {
    let (mut server, port) = start(&[]);
    let mut client = connect(port);
    let count = 30_000;
    let mut writer = client.try_clone().unwrap();
    let sent = request(3, &[b"x"]).repeat(count);
    let writing = std::thread::spawn(move || writer.write_all(&sent).unwrap());
    expect(&mut client, &ok(b"x").repeat(count));
    writing.join().unwrap();
    server.assert_healthy();
}

#[test]
fn long_values_come_and_go_and_leave_nothing() {
    let (mut server, port) = start(&[]);
    let value = vec![b'x'; 20 * MIB];
    let mut client = connect(port);
    for _ in 0..3 {
        client.write_all(&request(1, &[b"big", &value])).unwrap();
        expect(&mut client, &ok(b"big"));
        client.write_all(&request(0, &[b"big"])).unwrap();
        expect(&mut client, &ok(&value));
    }
    client.write_all(&request(2, &[b"big"])).unwrap();
    expect(&mut client, &ok(&value));
    eventually("memory to come back", || server.resident_bytes() < 20 * MIB);
    server.assert_healthy();
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let (mut server, port) = start(&["--client-output-buffer-limit", "normal 5mb 0 0"]);
    let mut client = connect(port);
    client.write_all(&request(1, &[b"big", &vec![b'x'; MIB]])).unwrap();
    expect(&mut client, &ok(b"big"));
    // A reset while sending is what is wanted.
    let _ = client.write_all(&request(0, &[b"big"]).repeat(1000));
    server.expect_log("overcoming of output buffer limits");
    server.assert_healthy();
}

#[test]
fn lines_of_a_file_and_unix_sockets() {
    let path = scratch_path("kv.sock");
    let (file, port) = (scratch_path("doors.conf"), free_port());
    let lines = format!("listen kvstore+unix://{} kvstore://*:{port}\n", path.display());
    std::fs::write(&file, lines).unwrap();
    let mut program = crate::server::command();
    program.arg(&file);
    let server = Server::run(program, 0, &[]);
    server.expect_log("Ready to accept connections");
    let mut over_unix = UnixStream::connect(&path).unwrap();
    over_unix.write_all(&request(1, &[b"k", b"v"])).unwrap();
    expect(&mut over_unix, &ok(b"k"));
    let mut over_tcp = connect(port);
    over_tcp.write_all(&request(0, &[b"k"])).unwrap();
    expect(&mut over_tcp, &ok(b"v"));
    server.signal("TERM");
    eventually("the socket to be removed", || !path.exists());
    std::fs::remove_file(file).unwrap();
}

#[test]
fn wrong_addresses_stop_the_start() {
    for (address, reason) in [
        ("kvstore:127.0.0.1:1", "it has to be <dialect>://host:port"),
        ("redis://127.0.0.1:1", "the dialect is none of"),
        ("kvstore://127.0.0.1", "the port is missing"),
        ("kvstore://192.0.2.1:7", "Failed listening on 192.0.2.1:7"),
    ] {
        let mut server = Server::run(crate::server::command(), 0, &["--listen", address]);
        assert!(!server.wait().success());
        assert!(server.log().contains(reason), "{}", server.log());
    }
}
