//! The stall ledger of a running server, and its static probes.
use std::process::Command;
use std::time::Duration;

use crate::client::{Client, Reply};
use crate::server::{Server, eventually};

/// A field of an entry of STALLS GET: a flat list of names and values.
fn field(entry: &Reply, name: &str) -> String {
    let Reply::Array(items) = entry else { panic!("no entry: {entry:?}") };
    let at = items.iter().step_by(2).position(|item| item.text() == name).expect(name);
    items[2 * at + 1].text().trim_start_matches(':').to_owned()
}

fn number(entry: &Reply, name: &str) -> u64 {
    field(entry, name).parse().expect(name)
}

/// The entries of STALLS GET.
fn entries(client: &mut Client) -> Vec<Reply> {
    client.command(&["STALLS", "GET", "-1"]);
    match client.reply() {
        Reply::Array(entries) => entries,
        other => panic!("no array: {other:?}"),
    }
}

/// A field of INFO.
fn info(client: &mut Client, section: &str, name: &str) -> String {
    let text = client.ask(&["INFO", section]);
    let start = format!("{name}:");
    text.lines().find_map(|line| line.strip_prefix(&start)).expect(name).trim().to_owned()
}

#[test]
fn a_stall_shows_everywhere_and_reset_forgets_it() {
    // So high that a machine which does other things makes no entries.
    let options = ["--enable-debug-command", "yes", "--stall-log-slower-than-us", "30000"];
    let server = Server::start(&options);
    let mut sleeper = server.connect();
    let mut waiting: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    waiting.iter_mut().for_each(|client| client.roundtrip(&["PING"], "+PONG"));
    sleeper.roundtrip(&["CLIENT", "SETNAME", "sleeper"], "+OK");
    sleeper.roundtrip(&["STALLS", "RESET"], "+OK");
    sleeper.command(&["DEBUG", "SLEEP", "0.1"]);
    std::thread::sleep(Duration::from_millis(20));
    waiting.iter_mut().for_each(|client| client.command(&["PING"]));
    waiting.iter_mut().for_each(|client| client.expect("+PONG"));
    sleeper.expect("+OK");

    sleeper.roundtrip(&["STALLS", "LEN"], ":1");
    let entry = entries(&mut sleeper).remove(0);
    assert_eq!(field(&entry, "phase"), "execute");
    assert_eq!((field(&entry, "command"), field(&entry, "key")), ("debug".into(), "".into()));
    assert_eq!(field(&entry, "client-name"), "sleeper");
    assert!(number(&entry, "clients-waiting") >= 3, "{entry:?}");
    let turn_us = number(&entry, "turn-us");
    let (phase_us, command_us) = (number(&entry, "phase-us"), number(&entry, "command-us"));
    assert!((100_000..1_000_000).contains(&command_us), "{entry:?}");
    assert!(command_us <= phase_us && phase_us <= turn_us, "{entry:?}");
    assert_eq!(info(&mut sleeper, "stats", "loop_max_stall_us"), turn_us.to_string());
    assert!(info(&mut sleeper, "loop", "loop_phase_execute").contains(",max=1"));
    assert_eq!(info(&mut sleeper, "loop", "loop_stalls"), "1");
    server.expect_log("its longest command was debug with 1");

    sleeper.roundtrip(&["STALLS", "RESET"], "+OK");
    assert_eq!(entries(&mut sleeper).len(), 0);
    let longest_us: u64 = info(&mut sleeper, "stats", "loop_max_stall_us").parse().unwrap();
    assert!(longest_us < turn_us, "{longest_us}");
}

#[test]
fn the_key_to_blame_is_named_and_a_turn_below_the_threshold_is_not_kept() {
    let server = Server::start(&["--stall-log-slower-than-us", "1"]);
    let mut client = server.connect();
    client.roundtrip(&["SET", "one key", "value"], "+OK");
    let of_set = entries(&mut client).into_iter().find(|entry| field(entry, "command") == "set");
    assert_eq!(field(&of_set.expect("an entry"), "key"), "one key");
    client.roundtrip(&["CONFIG", "SET", "stall-log-slower-than-us", "3600000000"], "+OK");
    client.roundtrip(&["STALLS", "RESET"], "+OK");
    client.roundtrip(&["SET", "another key", "value"], "+OK");
    assert_eq!(entries(&mut client).len(), 0);
}

/// A long command is blamed for what it did in a turn, slice by slice, not for all of it when it ends.
#[test]
fn slices_of_a_long_command_are_blamed_one_by_one() {
    let options = ["--stall-log-slower-than-us", "1", "--max-stall-us", "100"];
    let server = Server::start(&options);
    let mut client = server.connect();
    for from in (0..20_000).step_by(1000) {
        let names: Vec<String> = (from..from + 1000).map(|index| format!("key:{index}")).collect();
        let mut words = vec!["MSET"];
        words.extend(names.iter().flat_map(|name| [name.as_str(), "value"]));
        client.roundtrip(&words, "+OK");
    }
    client.roundtrip(&["STALLS", "RESET"], "+OK");
    client.command(&["KEYS", "*"]);
    client.reply();
    let entries = entries(&mut client);
    for entry in &entries {
        assert!(number(entry, "command-us") <= number(entry, "turn-us"), "{entry:?}");
    }
    let is_slice =
        |entry: &&Reply| field(entry, "phase") == "jobs" && field(entry, "command") == "keys";
    assert!(entries.iter().filter(is_slice).count() > 1, "{entries:?}");
}

/// Turns are counted once each, and every one of them took events and looked at the timers.
#[test]
fn histograms_count_every_turn() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for _ in 0..50 {
        client.roundtrip(&["PING"], "+PONG");
    }
    client.command(&["STALLS", "HISTOGRAM", "turn", "events", "TIMERS"]);
    let Reply::Array(items) = client.reply() else { panic!("no array") };
    let names: Vec<String> = items.iter().step_by(2).map(Reply::text).collect();
    assert_eq!(names, ["turn", "events", "timers"]);
    let counts: Vec<u64> = items.iter().skip(1).step_by(2).map(|of| number(of, "turns")).collect();
    assert!(counts[0] >= 50, "{counts:?}");
    assert_eq!(counts, [counts[0]; 3]);
    eventually("the count in INFO to go on", || {
        info(&mut client, "stats", "loop_turns").parse::<u64>().is_ok_and(|now| now > counts[0])
    });
}

/// The probes docs/profiling.md tells of are in the program, with their arguments.
#[test]
#[cfg(target_os = "linux")]
fn static_probes_are_in_the_program() {
    let output = Command::new("readelf").args(["-n", env!("CARGO_BIN_EXE_rufous")]).output();
    let Ok(output) = output else {
        eprintln!("skipped: readelf is not installed");
        return;
    };
    let notes = String::from_utf8_lossy(&output.stdout).into_owned();
    for (name, arguments) in [
        ("turn_begin", 0),
        ("turn_end", 1),
        ("phase_end", 2),
        ("command_begin", 2),
        ("command_end", 3),
        ("job_slice", 3),
        ("stall", 3),
    ] {
        let mut entries = notes.split("Provider: rufous\n").skip(1);
        let entry = entries.find(|entry| entry.contains(&format!("Name: {name}\n")));
        let lines = entry.unwrap_or_else(|| panic!("no probe {name} in {notes}")).lines();
        let found = lines.map(str::trim).find_map(|line| line.strip_prefix("Arguments:"));
        assert_eq!(found.unwrap_or("").split_whitespace().count(), arguments, "{name}: {found:?}");
    }
}
