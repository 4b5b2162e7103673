//! The doors obey the user `default`, as which all of their clients come.
use crate::dialect::Dialect;
use crate::dialect::tests_support::Door;

/// What a door answers whose user may only do this.
fn answer(dialect: Dialect, rules: &[&str], request: &[u8]) -> String {
    let mut door = Door::new(dialect);
    for key in ["a", "b"] {
        door.resp(&["SET", key, "1"]);
    }
    let setuser = [&["ACL", "SETUSER", "default"], rules].concat();
    assert_eq!(door.resp(&setuser), b"+OK\r\n");
    let mut session = door.session.clone();
    door.engine.shared.admit(&mut session);
    door.session = session;
    String::from_utf8_lossy(&door.send(request)).into_owned()
}

#[test]
fn commands_and_keys_of_simpledb() {
    let says = |rules: &[&str], request: &str| {
        let told = answer(Dialect::Simpledb, rules, request.as_bytes());
        match told.strip_prefix("-NOPERM this user has no permissions to ") {
            Some(denied) => denied.trim_end().to_owned(),
            None => "allowed".to_owned(),
        }
    };
    const KEY: &str = "access one of the keys used as arguments";
    assert_eq!(says(&["-get"], "GET a\r\n"), "run the 'get' command");
    assert_eq!(says(&["-get"], "MGET a\r\n"), "allowed");
    assert_eq!(says(&["resetkeys", "~a"], "GET a\r\n"), "allowed");
    assert_eq!(says(&["resetkeys", "~a"], "GET b\r\n"), KEY);
    assert_eq!(says(&["resetkeys", "~a"], "MGET a b\r\n"), KEY);
    assert_eq!(says(&["resetkeys", "~a"], "MPOP a b\r\n"), KEY);
    assert_eq!(says(&["resetkeys", "%R~a"], "GET a\r\n"), "allowed");
    assert_eq!(says(&["resetkeys", "%R~a"], "SET a 1\r\n"), KEY);
    assert_eq!(says(&["resetkeys", "%W~a"], "SET a 1\r\n"), "allowed");
    assert_eq!(says(&["resetkeys", "%W~a"], "MPOP a\r\n"), KEY);
    assert_eq!(says(&["resetkeys", "~a"], "MSET a 1 b 2\r\n"), KEY);
    let dictionary = "*2\r\n+MSET\r\n%1\r\n+b\r\n:1\r\n";
    assert_eq!(says(&["resetkeys", "~a"], dictionary), KEY);
    assert_eq!(says(&["resetkeys", "~b"], dictionary), "allowed");
    assert_eq!(says(&["-flushdb", "-flushall"], "FLUSH\r\n"), "run the 'flushdb' command");
    assert_eq!(says(&["~*"], "FLUSH\r\n"), "allowed");
}

#[test]
fn the_binary_dialects() {
    let get = |key: &str| {
        let object = [b"\x82\xa4type\xa3Get\xa3key\xa1", key.as_bytes()].concat();
        let length = u32::try_from(object.len()).expect("short").to_be_bytes();
        answer(Dialect::Msgpack, &["resetkeys", "~a"], &[&length[..], &object].concat())
    };
    assert!(get("b").contains("NOPERM"), "{}", get("b"));
    assert!(!get("a").contains("NOPERM"));
}
