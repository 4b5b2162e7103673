//! What must not hold the loop: looking into everything, waiting for very many keys, and who is let pass whom.
use crate::client::{Client, Reply};
use crate::server::{Server, eventually};
use crate::slices::{assert_waits, run, step, stop_after};

const OPTIONS: &[&str] = &["--enable-debug-command", "yes"];

/// Values of every type, some of them big, in two databases.
fn fill(control: &mut Client) {
    let numbers: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    let with = |words: &[&str], each: &dyn Fn(&str) -> Vec<String>| -> Vec<String> {
        let given = words.iter().map(|word| word.to_string());
        given.chain(numbers.iter().flat_map(|number| each(number))).collect()
    };
    let one = |number: &str| vec![format!("e{number}")];
    let two = |number: &str| vec![number.to_owned(), format!("m{number}")];
    for words in [
        with(&["RPUSH", "list"], &one),
        with(&["SADD", "set"], &one),
        with(&["SADD", "numbers"], &|number| vec![number.to_owned()]),
        with(&["HSET", "hash"], &two),
        with(&["ZADD", "zset"], &two),
    ] {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert!(control.ask(&words).starts_with(':'));
    }
    for number in &numbers {
        control.roundtrip(&["SET", &format!("key:{number}"), number], "+OK");
        control.ask(&[
            "XADD",
            "stream",
            &format!("{}-1", number.parse::<u32>().unwrap() + 1),
            "f",
            number,
        ]);
    }
    control.roundtrip(&["SET", "text", &"0123456789".repeat(20_000)], "+OK");
    control.roundtrip(&["EXPIRE", "zset", "10000"], ":1");
    control.roundtrip(&["SELECT", "3"], "+OK");
    control.roundtrip(&["SET", "elsewhere", "x"], "+OK");
    control.roundtrip(&["SELECT", "0"], "+OK");
}

#[test]
fn a_digest_is_that_of_one_instant() {
    let mut server = Server::start(OPTIONS);
    let mut control = server.connect();
    fill(&mut control);
    let values = ["list", "set", "numbers", "hash", "zset", "stream", "text", "none"];
    let ask_values = [&["DEBUG", "DIGEST-VALUE"], &values[..]].concat();
    let whole = control.ask(&["DEBUG", "DIGEST"]);
    control.command(&ask_values);
    let of_values = control.reply().text();
    stop_after(&mut control, "0");
    let [mut digest, mut of_each, mut object] = [(); 3].map(|()| server.connect());
    digest.command(&["DEBUG", "DIGEST"]);
    of_each.command(&ask_values);
    object.command(&["DEBUG", "OBJECT", "list"]);
    eventually("jobs run", || control.info("jobs_running") == "3");
    // More than the elements of the list, and fewer than all there is to look at.
    step(&mut control, 900);
    assert_eq!(control.info("jobs_running"), "2", "the figures of the list alone are there");
    assert!(object.reply().text().contains("ql_nodes"));
    // Keys that nobody holds change, and go, in both databases.
    for number in (0..300).step_by(2) {
        control.roundtrip(&["SET", &format!("key:{number}"), "changed"], "+OK");
        control.roundtrip(&["GETDEL", &format!("key:{}", number + 1)], &(number + 1).to_string());
    }
    control.roundtrip(&["SELECT", "3"], "+OK");
    control.roundtrip(&["SET", "elsewhere", "changed"], "+OK");
    // What would take the values away waits.
    let [mut writer, mut flusher] = [(); 2].map(|()| server.connect());
    writer.command(&["RPUSH", "list", "more"]);
    flusher.command(&["FLUSHALL"]);
    assert_waits(&mut writer);
    assert_waits(&mut flusher);
    run(&mut control);
    assert_eq!(digest.reply().text(), whole);
    assert_eq!(of_each.reply().text(), of_values);
    writer.reply();
    flusher.expect("+OK");
    server.assert_healthy();
}

/// Has a client begin a transaction that goes on as a job which writes.
fn begin_write(server: &Server, key: &str) -> Client {
    let mut client = server.connect();
    client.roundtrip(&["MULTI"], "+OK");
    client.roundtrip(&["SET", key, "1"], "+QUEUED");
    client.roundtrip(&["SET", key, "2"], "+QUEUED");
    client.command(&["EXEC"]);
    client
}

#[test]
fn a_swap_is_passed_by_few() {
    let mut server = Server::start(OPTIONS);
    let mut control = server.connect();
    stop_after(&mut control, "0");
    let _first = begin_write(&server, "first");
    eventually("it runs", || control.info("jobs_running") == "1");
    let mut swapper = server.connect();
    swapper.command(&["SWAPDB", "0", "1"]);
    assert_waits(&mut swapper);
    let _others: Vec<Client> =
        (0..8).map(|number| begin_write(&server, &format!("key:{number}"))).collect();
    eventually("they pass", || control.info("jobs_running") == "9");
    // Reads and, until it is enough, short writes are not held up; the ninth job is, and so are writes from now on.
    control.roundtrip(&["GET", "other"], "Null");
    let mut late = begin_write(&server, "late");
    assert_waits(&mut late);
    assert_eq!(control.info("jobs_running"), "9");
    let mut short = server.connect();
    short.command(&["SET", "short", "x"]);
    assert_waits(&mut short);
    run(&mut control);
    swapper.expect("+OK");
    short.expect("+OK");
    late.reply();
    // All that passed went with the database, and what waited came after.
    control.roundtrip(&["DBSIZE"], ":2");
    control.roundtrip(&["SELECT", "1"], "+OK");
    control.roundtrip(&["DBSIZE"], ":9");
    control.roundtrip(&["SET", "again", "x"], "+OK");
    server.assert_healthy();
}

#[test]
fn very_many_keys_are_waited_for() {
    let mut server = Server::start(OPTIONS);
    let mut control = server.connect();
    let keys: Vec<String> = (0..3000).map(|number| format!("k{number}")).collect();
    let request = |before: &[&'static str], after: &[&'static str]| -> Vec<String> {
        let words = before.iter().map(|word| word.to_string()).chain(keys.iter().cloned());
        words.chain(after.iter().map(|word| word.to_string())).collect()
    };
    let ids = vec!["$"; keys.len()];
    let count: &'static str = "3000";
    let requests = [
        (request(&["BLPOP"], &["0"]), vec!["RPUSH", "k2999", "x"]),
        (request(&["BZPOPMIN"], &["0"]), vec!["ZADD", "k1500", "1", "x"]),
        (request(&["BLMPOP", "0", count], &["LEFT"]), vec!["RPUSH", "k0", "x"]),
        (request(&["BZMPOP", "0", count], &["MIN"]), vec!["ZADD", "k7", "1", "x"]),
        (request(&["XREAD", "BLOCK", "0", "STREAMS"], &ids), vec!["XADD", "k2000", "*", "x", "y"]),
    ];
    for (words, change) in &requests {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (mut waiting, mut leaving) = (server.connect(), server.connect());
        waiting.command(&words);
        leaving.command(&words);
        eventually("both wait", || control.info("blocked_clients") == "2");
        eventually("nothing is held", || control.info("jobs_running") == "0");
        drop(leaving);
        eventually("one is gone", || control.info("blocked_clients") == "1");
        assert_waits(&mut waiting);
        control.ask(change);
        assert!(matches!(waiting.reply(), Reply::Array(_)), "{}", words[0]);
        // What is there already is found without a wait.
        control.roundtrip(&["FLUSHALL"], "+OK");
        control.ask(change);
        waiting.command(&words);
        if words[0] != "XREAD" {
            assert!(matches!(waiting.reply(), Reply::Array(_)), "{}", words[0]);
        }
        drop(waiting);
        eventually("nobody waits", || control.info("blocked_clients") == "0");
        control.roundtrip(&["FLUSHALL"], "+OK");
    }
    server.assert_healthy();
}

#[test]
fn who_closes_its_side_before_it_waits_is_forgotten() {
    let mut server = Server::start(OPTIONS);
    let mut control = server.connect();
    stop_after(&mut control, "0");
    let mut client = server.connect();
    client.command(&["BLPOP", "a", "b", "0"]);
    eventually("a job runs", || control.info("jobs_running") == "1");
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    run(&mut control);
    client.expect_closed();
    eventually("nobody waits", || control.info("blocked_clients") == "0");
    server.assert_healthy();
}

#[test]
fn what_a_client_has_read_is_remembered_in_slices() {
    let mut server = Server::start(OPTIONS);
    let mut control = server.connect();
    let [mut reader, mut listener] = [(); 2].map(|()| server.connect());
    let id = listener.ask(&["CLIENT", "ID"]);
    listener.command(&["SUBSCRIBE", "__redis__:invalidate"]);
    listener.reply();
    reader.roundtrip(&["CLIENT", "TRACKING", "ON", "REDIRECT", &id[1..]], "+OK");
    stop_after(&mut control, "0");
    reader.command(&["MGET", "a", "b", "c"]);
    eventually("a job runs", || control.info("jobs_running") == "1");
    // It takes three keys, and what stands for the database; reads them; and remembers the first.
    let mut slices = 0;
    while control.info("tracking_total_keys") == "0" {
        slices += 1;
        assert!(slices < 20, "nothing is remembered");
        step(&mut control, 1);
    }
    assert_eq!(control.info("tracking_total_keys"), "1");
    // It is held as long as that takes.
    let mut writer = server.connect();
    writer.command(&["SET", "c", "x"]);
    assert_waits(&mut writer);
    assert_waits(&mut reader);
    run(&mut control);
    assert!(matches!(reader.reply(), Reply::Array(_)));
    writer.expect("+OK");
    let Reply::Array(told) = listener.reply() else { panic!("no message") };
    assert_eq!(told[2], Reply::Array(vec![Reply::Bulk(b"c".to_vec())]));
    server.assert_healthy();
}

#[test]
fn what_is_asked_about_very_much_is_answered_in_slices() {
    let file = std::env::temp_dir().join(format!("rufous-users-{}.acl", std::process::id()));
    std::fs::write(&file, "user default on nopass ~* &* +@all\nuser pu on ~a* +@all\n").unwrap();
    let path = file.to_str().unwrap();
    let mut server = Server::start(&[OPTIONS, &["--aclfile", path]].concat());
    let [mut control, mut client] = [(); 2].map(|()| server.connect());
    control.roundtrip(&["CONFIG", "SET", "slowlog-log-slower-than", "0"], "+OK");
    (0..5).for_each(|_| control.roundtrip(&["PING"], "+PONG"));
    control.roundtrip(&["CONFIG", "SET", "slowlog-log-slower-than", "-1"], "+OK");
    let lines = [
        "COMMAND GETKEYS MGET a b c",
        "COMMAND GETKEYSANDFLAGS MSET a 1 b 2 c 3",
        "COMMAND INFO get nothing set",
        "COMMAND DOCS get nothing set",
        "SCRIPT EXISTS a b c",
        "ACL DRYRUN pu MGET a1 a2 a3",
        "ACL DRYRUN pu MGET a1 b2 a3",
        "ACL LIST",
        "ACL USERS",
        "ACL SETUSER other on ~a ~b (~c +get)",
        "ACL SETUSER other on ~a ~b (~c",
        "ACL LOAD",
        "ACL DELUSER nobody nothing other",
        "CONFIG GET maxmemory* port hz",
        "SLOWLOG GET 3",
        "DEBUG POPULATE 100",
        "DEBUG HTSTATS 0",
        "WATCH a b c",
    ];
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        client.command(&words);
        let at_once = client.reply();
        stop_after(&mut control, "0");
        client.command(&words);
        assert_waits(&mut client);
        assert_eq!(control.info("jobs_running"), "1", "{line}");
        step(&mut control, 1);
        assert_eq!(control.info("jobs_running"), "1", "{line}: it takes more than two slices");
        run(&mut control);
        assert_eq!(client.reply(), at_once, "{line}");
        control.roundtrip(&["DEBUG", "JOBS", "UNITS", "0"], "+OK");
    }
    std::fs::remove_file(&file).unwrap();
    server.assert_healthy();
}

#[test]
fn clients_are_listed_in_slices() {
    let mut server = Server::start(OPTIONS);
    let [mut control, mut client] = [(); 2].map(|()| server.connect());
    let _others: Vec<Client> = (0..300).map(|_| server.connect()).collect();
    eventually("all are there", || control.info("connected_clients") == "302");
    stop_after(&mut control, "0");
    client.command(&["CLIENT", "LIST"]);
    assert_waits(&mut client);
    let _late = server.connect();
    control.roundtrip(&["PING"], "+PONG");
    run(&mut control);
    let Reply::Bulk(text) = client.reply() else { panic!("no list") };
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains("cmd=client|list")).count(), 1, "{text}");
    let ids: Vec<u64> = text
        .lines()
        .map(|line| line.strip_prefix("id=").unwrap().split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(ids.len() >= 302 && ids.is_sorted(), "{text}");
    // Nobody looks at more in one slice than is allowed, by a type or by ids.
    for line in ["CLIENT LIST TYPE normal", "CLIENT LIST ID 1 2 3 4"] {
        stop_after(&mut control, "0");
        client.command(&line.split(' ').collect::<Vec<_>>());
        assert_waits(&mut client);
        run(&mut control);
        assert!(matches!(client.reply(), Reply::Bulk(_)), "{line}");
    }
    server.assert_healthy();
}
