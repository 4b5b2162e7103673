//! SORT reads keys that it finds in what it sorts: as a job it still sees one instant, and stops only those who write
//! these keys.
use crate::client::{Client, Reply};
use crate::server::{Server, eventually};
use crate::slices::{assert_waits, run, step, stop_after};

const OPTIONS: &[&str] = &["--enable-debug-command", "yes"];
const SORT: &[&str] = &["SORT", "list", "BY", "weight_*", "GET", "#", "GET", "object_*->name"];

fn prepared() -> (Server, Client) {
    let server = Server::start(OPTIONS);
    let mut control = server.connect();
    control.roundtrip(&["RPUSH", "list", "1", "2", "3"], ":3");
    control.roundtrip(&["MSET", "weight_1", "30", "weight_2", "20", "weight_3", "10"], "+OK");
    for number in ["1", "2", "3"] {
        control.roundtrip(&["HSET", &format!("object_{number}"), "name", "old"], ":1");
    }
    stop_after(&mut control, "0");
    (server, control)
}

fn texts(reply: &Reply) -> Vec<String> {
    let Reply::Array(items) = reply else { panic!("{reply:?} is no array") };
    items.iter().map(Reply::text).collect()
}

#[test]
fn holds_the_keys_it_finds_and_no_others() {
    let (mut server, mut control) = prepared();
    let [mut sorter, mut reader, mut weigher, mut pusher] = [(); 4].map(|()| server.connect());
    sorter.command(SORT);
    eventually("a job runs", || control.info("jobs_running") == "1");
    // The list, its three elements, and the six keys they name.
    step(&mut control, 13);
    assert_eq!(control.info("jobs_running"), "1");
    reader.roundtrip(&["GET", "weight_3"], "10");
    reader.roundtrip(&["SET", "weight_4", "1"], "+OK");
    reader.roundtrip(&["SET", "object_4", "no hash"], "+OK");
    weigher.command(&["MSET", "weight_1", "0", "object_1", "no hash"]);
    pusher.command(&["RPUSH", "list", "4"]);
    assert_waits(&mut weigher);
    assert_waits(&mut pusher);
    run(&mut control);
    assert_eq!(texts(&sorter.reply()), ["3", "old", "2", "old", "1", "old"]);
    weigher.expect("+OK");
    pusher.expect(":4");
    eventually("no job runs", || control.info("jobs_running") == "0");
    server.assert_healthy();
}

#[test]
fn sees_one_instant_whenever_somebody_writes() {
    // What it shows is what was there before all of these, or after all.
    let before = ["3", "old", "2", "old", "1", "old"];
    let after = ["1", "Null", "2", "old", "3", "Null"];
    let mut seen = [0, 0];
    for slices in 0..40 {
        let (mut server, mut control) = prepared();
        let [mut sorter, mut writer] = [(); 2].map(|()| server.connect());
        sorter.command(SORT);
        eventually("a job runs", || control.info("jobs_running") == "1");
        step(&mut control, slices);
        // The short path, that of a command with few keys: a job of its own would take turns with the other one.
        control.roundtrip(&["DEBUG", "JOBS", "UNITS", "0"], "+OK");
        writer.command(&[
            "MSET", "weight_1", "1", "weight_2", "2", "weight_3", "3", "object_1", "x", "object_3",
            "y",
        ]);
        control.roundtrip(&["DEBUG", "JOBS", "UNITS", "1"], "+OK");
        run(&mut control);
        let shown = texts(&sorter.reply());
        writer.expect("+OK");
        match () {
            () if shown == before => seen[0] += 1,
            () if shown == after => seen[1] += 1,
            () => panic!("neither before nor after, {slices} slices on: {shown:?}"),
        }
        server.assert_healthy();
    }
    assert!(seen.iter().all(|&times| times > 0), "{seen:?}");
}

#[test]
fn waits_for_the_keys_that_others_change() {
    let (mut server, mut control) = prepared();
    let [mut setter, mut sorter] = [(); 2].map(|()| server.connect());
    setter.command(&["MSET", "weight_1", "1", "weight_2", "2", "weight_3", "3"]);
    eventually("a job runs", || control.info("jobs_running") == "1");
    // Two of three are set; a SORT of three elements is short, and must not see that.
    step(&mut control, 8);
    control.roundtrip(&["DEBUG", "JOBS", "UNITS", "0"], "+OK");
    sorter.command(&["SORT", "list", "BY", "weight_*"]);
    assert_waits(&mut sorter);
    control.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", "-1"], "+OK");
    setter.expect("+OK");
    assert_eq!(texts(&sorter.reply()), ["1", "2", "3"]);
    server.assert_healthy();
}

#[test]
fn two_of_them_and_a_writer_of_many_keys_do_not_stop_each_other() {
    let (mut server, mut control) = prepared();
    run(&mut control);
    control.roundtrip(&["RPUSH", "other", "3", "2", "1"], ":3");
    eventually("no job runs", || control.info("jobs_running") == "0");
    let [mut first, mut second, mut writer] = [(); 3].map(|()| server.connect());
    for slices in 0..25 {
        control.roundtrip(&["DEBUG", "JOBS", "STOP-AFTER", "0"], "+OK");
        first.command(&["SORT", "list", "BY", "weight_*", "STORE", "other"]);
        eventually("a job runs", || control.info("jobs_running") == "1");
        step(&mut control, slices);
        second.command(&["SORT", "other", "BY", "weight_*", "STORE", "list"]);
        writer.command(&["MSET", "list_2", "a", "weight_2", "25", "weight_1", "35"]);
        run(&mut control);
        first.expect(":3");
        second.expect(":3");
        writer.expect("+OK");
        // They let go of their keys after they have replied.
        eventually("no job runs", || control.info("jobs_running") == "0");
    }
    server.assert_healthy();
}
