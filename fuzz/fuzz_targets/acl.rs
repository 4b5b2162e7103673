//! Access control: any lines are rules or refused; a user changed by them is described, and the description makes the
//! same user. The same text as an ACL file is taken whole, and then goes round as one, or refused with a reason.
#![no_main]
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rufous::command::table::CommandTable;
use rufous::engine::acl::commands::Commands;
use rufous::engine::acl::file::{UserLines, configured_users, parse_file};
use rufous::engine::acl::rule::{Rulebook, merge_selectors};
use rufous::engine::acl::user::User;

static TABLE: LazyLock<CommandTable> = LazyLock::new(CommandTable::new);
static COMMANDS: LazyLock<Commands> = LazyLock::new(|| Commands::of(&TABLE));

fuzz_target!(|text: &[u8]| {
    for allows_channels in [false, true] {
        let book = Rulebook { commands: &COMMANDS, allows_channels };
        let rules: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
        let mut user = User::new(allows_channels);
        for rule in merge_selectors(&rules).unwrap_or_default() {
            let _ = user.apply(&rule, book);
        }
        goes_round(b"u", &user, book);
        match parse_file(text, "f", book) {
            Ok(users) => users.iter().for_each(|(name, user)| goes_round(name, user, book)),
            Err(errors) => assert!(!errors.is_empty()),
        }
    }
});

fn goes_round(name: &[u8], user: &User, book: Rulebook<'_>) {
    let described = user.describe(&COMMANDS);
    let line = [b"user ", name, b" ", &*described].concat();
    let read = parse_file(&line, "f", book);
    assert_eq!(read, Ok(vec![(name.to_vec(), user.clone())]), "{}", line.escape_ascii());
    // What a configuration would be told of it.
    let words: Vec<Vec<u8>> = line[5..].split(|&byte| byte == b' ').map(<[u8]>::to_vec).collect();
    assert_eq!(UserLines::new(&TABLE).check(&words), Ok(()));
    assert!(configured_users(&[words], book).is_ok());
}
