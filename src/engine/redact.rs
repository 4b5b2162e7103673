//! Which arguments of a command are secrets: MONITOR and the slow log print `(redacted)` in their place.
//!
//! Promise: no password given by AUTH, HELLO, CONFIG SET, ACL or MIGRATE leaves the server. Cost: one comparison of a
//! short name for a command without secrets.
use crate::engine::config::Opt;
use crate::engine::config_spec::SENSITIVE;
use crate::proto::args::Args;

/// What is shown in the place of a secret.
pub const REDACTED: &[u8] = b"(redacted)";

/// Whether argument `index` of the command called `full_name` (`auth`, `config|set`; never a name given by
/// `rename-command`) is a secret. O(options) for CONFIG SET, O(arguments) for HELLO, else O(1).
pub fn is_secret(full_name: &str, args: Args<'_>, index: usize) -> bool {
    match full_name {
        // DIFFERS: Redis shows all of an AUTH with too many arguments. They may still be passwords.
        "auth" => index > 0,
        // DIFFERS: Redis shows user and password where an earlier argument of HELLO is wrong.
        "hello" => {
            let names_auth = |at: usize| args.at(at).eq_ignore_ascii_case(b"auth");
            (index >= 3 && names_auth(index - 1)) || (index >= 4 && names_auth(index - 2))
        }
        "config|set" => {
            index >= 3
                && index % 2 == 1
                && Opt::find(args.at(index - 1)).is_some_and(|(opt, _)| opt.spec().has(SENSITIVE))
        }
        // All of it: names of users are worth something, too.
        "acl|setuser" => index > 1,
        "migrate" => index > MIGRATE_OPTIONS && is_migrate_secret(args, index),
        _ => false,
    }
}

/// The last argument of MIGRATE that is no option.
const MIGRATE_OPTIONS: usize = 5;

/// What follows AUTH, and the two words that follow AUTH2; behind KEYS come keys only.
fn is_migrate_secret(args: Args<'_>, index: usize) -> bool {
    let mut at = MIGRATE_OPTIONS + 1;
    while at < index {
        let values = match &*args.at(at).to_ascii_lowercase() {
            b"auth" => 1,
            b"auth2" => 2,
            b"keys" => return false,
            _ => 0,
        };
        if index <= at + values {
            return true;
        }
        at += 1 + values;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::KeyHasher;
    use crate::proto::args::OwnedArgs;

    fn secrets(full_name: &str, line: &str) -> Vec<usize> {
        let owned = OwnedArgs::from_parts(line.split(' ').map(str::as_bytes));
        let hasher = KeyHasher::new(1);
        let list = owned.lend(&hasher);
        let args = list.args();
        (0..args.len()).filter(|&index| is_secret(full_name, args, index)).collect()
    }

    #[test]
    fn passwords_are_secrets_and_nothing_else_is() {
        assert_eq!(secrets("auth", "auth p"), [1]);
        assert_eq!(secrets("auth", "AUTH u p"), [1, 2]);
        assert_eq!(secrets("hello", "hello 3 setname me AUTH u p"), [5, 6]);
        assert_eq!(secrets("hello", "hello 2 auth u p setname x"), [3, 4]);
        assert_eq!(secrets("config|set", "config set maxmemory 1 REQUIREPASS p"), [5]);
        assert_eq!(secrets("config|set", "config set requirepass p hz 10"), [3]);
        assert_eq!(secrets("acl|setuser", "acl setuser u on >p +@all"), [2, 3, 4, 5]);
        assert!(secrets("acl|list", "acl list x").is_empty());
        assert_eq!(secrets("migrate", "migrate h 1 k 0 9 COPY AUTH p REPLACE"), [8]);
        assert_eq!(secrets("migrate", "migrate h 1 k 0 9 auth2 u p keys auth x"), [7, 8]);
        assert!(secrets("migrate", "migrate h auth auth 0 9 keys auth x").is_empty());
        assert!(secrets("set", "set auth p").is_empty());
    }
}
