//! WATCH of very many keys: in slices, and as if at one instant.
use crate::client::{Client, Reply};
use crate::server::{Server, eventually};
use crate::slices::{assert_waits, run, step, stop_after};

const OPTIONS: &[&str] = &["--enable-debug-command", "yes"];

fn words<'a>(name: &'a str, keys: &'a [String]) -> Vec<&'a str> {
    std::iter::once(name).chain(keys.iter().map(String::as_str)).collect()
}

/// What EXEC of one PING says: whether nothing has changed.
fn is_clean(client: &mut Client) -> bool {
    client.roundtrip(&["MULTI"], "+OK");
    client.roundtrip(&["PING"], "+QUEUED");
    client.command(&["EXEC"]);
    matches!(client.reply(), Reply::Array(_))
}

#[test]
fn a_watch_of_many_keys_takes_a_slice_for_each() {
    let mut server = Server::start(OPTIONS);
    let mut control = server.connect();
    control.roundtrip(&["SELECT", "9"], "+OK");
    control.roundtrip(&["MSET", "b", "1", "c", "2"], "+OK");
    stop_after(&mut control, "0");
    let mut watching = server.connect();
    watching.roundtrip(&["SELECT", "9"], "+OK");
    watching.command(&["WATCH", "a", "b", "c", "d"]);
    eventually("a job runs", || control.info("jobs_running") == "1");
    assert_waits(&mut watching);
    // It is one of five keys and the database that it holds; who wants to change one waits, and who empties it.
    let [mut writer, mut emptier, mut swapper] = [(); 3].map(|()| server.connect());
    for client in [&mut writer, &mut emptier] {
        client.roundtrip(&["SELECT", "9"], "+OK");
    }
    writer.command(&["SET", "d", "x"]);
    assert_waits(&mut writer);
    swapper.command(&["SWAPDB", "9", "1"]);
    assert_waits(&mut swapper);
    step(&mut control, 2);
    assert_eq!(control.info("jobs_running"), "1");
    run(&mut control);
    watching.expect("+OK");
    writer.expect("+OK");
    swapper.expect("+OK");
    assert!(!is_clean(&mut watching), "d has changed");
    for (line, is_change) in
        [("FLUSHALL", false), ("SET b x", true), ("FLUSHDB", true), ("SWAPDB 1 9", true)]
    {
        control.roundtrip(&["FLUSHALL"], "+OK");
        control.roundtrip(&["SELECT", "1"], "+OK");
        control.roundtrip(&["SET", "c", "1"], "+OK");
        control.roundtrip(&["SELECT", "9"], "+OK");
        if line == "FLUSHDB" {
            control.roundtrip(&["SET", "a", "x"], "+OK");
        }
        watching.roundtrip(&["WATCH", "a", "b", "c", "d"], "+OK");
        emptier.ask(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(is_clean(&mut watching), !is_change, "{line}");
    }
    server.assert_healthy();
}

#[test]
fn who_leaves_while_it_begins_to_watch_is_forgotten() {
    let mut server = Server::start(OPTIONS);
    let mut control = server.connect();
    stop_after(&mut control, "2");
    let mut watching = server.connect();
    let id = watching.ask(&["CLIENT", "ID"]);
    watching.command(&["WATCH", "a", "b", "c", "d"]);
    eventually("a job runs", || control.info("jobs_running") == "1");
    control.roundtrip(&["CLIENT", "KILL", "ID", &id[1..]], ":1");
    eventually("it is gone", || control.info("connected_clients") == "1");
    run(&mut control);
    eventually("nothing runs", || control.info("jobs_running") == "0");
    control.roundtrip(&["SET", "a", "x"], "+OK");
    server.assert_healthy();
}

#[test]
fn what_changes_while_exec_takes_its_keys_is_seen() {
    let mut server = Server::start(OPTIONS);
    let mut control = server.connect();
    let keys: Vec<String> = (0..3000).map(|number| format!("k{number}")).collect();
    let mut client = server.connect();
    for (changed, is_lost) in [("k7", true), ("other", false)] {
        control.roundtrip(&["SET", "k7", "1"], "+OK");
        client.roundtrip(&["WATCH", "k7"], "+OK");
        client.roundtrip(&["MULTI"], "+OK");
        client.command(&words("MGET", &keys));
        client.expect("+QUEUED");
        client.roundtrip(&["SET", "k7", "2"], "+QUEUED");
        control.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", "0"], "+OK");
        client.command(&["EXEC"]);
        eventually("it waits for its keys", || control.info("jobs_running") == "1");
        control.roundtrip(&["SET", changed, "between"], "+OK");
        run(&mut control);
        assert_eq!(client.reply() == Reply::Null, is_lost, "{changed}");
    }
    server.assert_healthy();
}

#[test]
fn very_many_watched_keys_are_looked_at_in_slices_when_databases_change_places() {
    let mut server = Server::start(OPTIONS);
    let mut control = server.connect();
    let keys: Vec<String> = (0..30_000).map(|number| format!("k{number}")).collect();
    control.roundtrip(&["SELECT", "1"], "+OK");
    control.roundtrip(&["SET", "k29999", "x"], "+OK");
    let [mut one, mut two] = [(); 2].map(|()| server.connect());
    for (swaps, is_lost) in [(1, true), (2, true)] {
        one.command(&words("WATCH", &keys));
        one.expect("+OK");
        two.command(&words("WATCH", &keys[..29_999]));
        two.expect("+OK");
        // Whoever asks before it is known waits until it is, and so does the next SWAPDB.
        let swap = &["SWAPDB", "0", "1"];
        (0..swaps).for_each(|_| control.roundtrip(swap, "+OK"));
        assert_eq!(is_clean(&mut one), !is_lost, "{swaps}");
        assert!(is_clean(&mut two), "{swaps}");
        control.roundtrip(&["FLUSHALL"], "+OK");
        control.roundtrip(&["SET", "k29999", "x"], "+OK");
    }
    server.assert_healthy();
}
