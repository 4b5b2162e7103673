//! The synchronous half: pipelines, transactions, scripts, subscriptions, streams, blocking calls, ACL.
use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{Client, Commands, Connection, RedisResult, Script, Value};

use crate::{Outcome, equal, eventually, is_true, refused};

/// All parts with their names.
pub const PARTS: &[(&str, fn(&Client) -> Outcome)] = &[
    ("commands", commands),
    ("pipelines", pipelines),
    ("transactions", transactions),
    ("scripts", scripts),
    ("subscriptions", subscriptions),
    ("streams", streams),
    ("waiting", waiting),
    ("users", users),
];

fn commands(client: &Client) -> Outcome {
    let mut c = client.get_connection()?;
    let _: () = c.set("n", 41)?;
    equal("INCR", c.incr::<_, _, i64>("n", 1)?, 42);
    equal("a missing key", c.get::<_, Option<String>>("none")?, None);
    let _: () = c.hset_multiple("h", &[("a", 1), ("b", 2)])?;
    let hash: HashMap<String, i64> = c.hgetall("h")?;
    equal("HGETALL", hash, HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]));
    let _: () = c.zadd_multiple("z", &[(1.5, "m"), (2.0, "n")])?;
    let ranked: Vec<(String, f64)> = c.zrange_withscores("z", 0, -1)?;
    equal("ZRANGE WITHSCORES", ranked, vec![("m".to_owned(), 1.5), ("n".to_owned(), 2.0)]);
    let _: () = c.set("bytes", vec![0_u8, 255, 13, 10])?;
    equal("bytes", c.get::<_, Vec<u8>>("bytes")?, vec![0_u8, 255, 13, 10]);
    refused("WRONGTYPE", c.lpush::<_, _, i64>("n", 1), "Operation against a key");
    refused(
        "an unknown command",
        redis::cmd("NOSUCH").query::<Value>(&mut c),
        "unknown command 'NOSUCH'",
    );
    for number in 0..500 {
        let _: () = c.set(format!("scan:{number}"), number)?;
    }
    let found: Result<Vec<String>, _> = c.scan_match("scan:*")?.collect();
    equal("SCAN", found?.len(), 500);
    Ok(())
}

fn pipelines(client: &Client) -> Outcome {
    let mut c = client.get_connection()?;
    let answers: (i64, String) =
        redis::pipe().set("p", 1).ignore().incr("p", 1).get("p").query(&mut c)?;
    equal("a pipeline", answers, (2, "2".to_owned()));
    let mut long = redis::pipe();
    for number in 0..5000 {
        long.rpush("long", number).ignore();
    }
    let (length,): (usize,) = long.llen("long").query(&mut c)?;
    equal("5,000 commands at once", length, 5000);
    let answers: (i64, Vec<Option<i64>>, HashMap<String, i64>) =
        redis::pipe().atomic().incr("q", 1).mget(&["q", "none"]).hgetall("h").query(&mut c)?;
    equal("MULTI/EXEC", (answers.0, answers.1, answers.2.len()), (1, vec![Some(1), None], 2));
    let failing: RedisResult<Value> =
        redis::pipe().atomic().set("s", "x").incr("s", 1).set("s", "y").query(&mut c);
    refused("an error while EXEC runs", failing, "not an integer");
    equal("the others ran", c.get::<_, String>("s")?, "y");
    let refusal: RedisResult<Value> =
        redis::pipe().atomic().set("s", "z").cmd("NOSUCH").query(&mut c);
    refused("an error while queueing", refusal, "NOSUCH");
    equal("nothing ran", c.get::<_, String>("s")?, "y");
    Ok(())
}

fn transactions(client: &Client) -> Outcome {
    let mut c = client.get_connection()?;
    let mut other = client.get_connection()?;
    let _: () = c.set("t", 1)?;
    let mut attempts = 0;
    let (sum,): (i64,) = redis::transaction(&mut c, &["t"], |c, pipe| {
        let now: i64 = c.get("t")?;
        attempts += 1;
        if attempts < 3 {
            let _: () = other.incr("t", 10)?;
        }
        pipe.set("t", now + 1).ignore().get("t").query(c)
    })?;
    equal("tried until nobody interfered", (sum, attempts), (22, 3));
    let adders = (0..4).map(|_| {
        let mut c = client.get_connection();
        thread::spawn(move || -> RedisResult<()> {
            let c: &mut Connection = c
                .as_mut()
                .map_err(|e| redis::RedisError::from(std::io::Error::other(e.to_string())))?;
            for _ in 0..25 {
                let _: Value = redis::transaction(c, &["sum"], |c, pipe| {
                    let now: Option<i64> = c.get("sum")?;
                    pipe.set("sum", now.unwrap_or(0) + 1).query(c)
                })?;
            }
            Ok(())
        })
    });
    for adder in adders.collect::<Vec<_>>() {
        is_true("a thread ends well", matches!(adder.join(), Ok(Ok(()))));
    }
    equal("four threads lose no count", c.get::<_, i64>("sum")?, 100);
    Ok(())
}

fn scripts(client: &Client) -> Outcome {
    let mut c = client.get_connection()?;
    let name = format!(
        "return {{redis.call('INCRBY', KEYS[1], ARGV[1]), '{:?}'}}",
        client.get_connection_info().redis_settings()
    );
    let add = Script::new(&name);
    equal("a script", add.key("sc").arg(5).invoke::<(i64, Value)>(&mut c)?.0, 5);
    equal("again", add.key("sc").arg(5).invoke::<(i64, Value)>(&mut c)?.0, 10);
    equal("LOAD", add.prepare_invoke().load(&mut c)?, add.get_hash());
    let (answer, after): ((i64, Value), i64) =
        redis::pipe().atomic().invoke_script(add.key("sc").arg(1)).get("sc").query(&mut c)?;
    equal("in a transaction", (answer.0, after), (11, 11));
    let values: (i64, Option<i64>, Vec<String>, f64) =
        Script::new("return {1, false, {'a', 'b'}, '2.5'}").invoke(&mut c)?;
    equal("values", values, (1, None, vec!["a".to_owned(), "b".to_owned()], 2.5));
    let failing = Script::new("return redis.error_reply('MYERR of mine')").invoke::<Value>(&mut c);
    refused("an error of one's own", failing, "of mine");
    let failing = Script::new("error({err = 'x'})").invoke::<Value>(&mut c);
    is_true("a thrown error", failing.is_err());
    Ok(())
}

fn subscriptions(client: &Client) -> Outcome {
    let mut publisher = client.get_connection()?;
    let mut c = client.get_connection()?;
    let mut pubsub = c.as_pubsub();
    pubsub.set_read_timeout(Some(Duration::from_secs(5)))?;
    pubsub.subscribe(&["rs:a", "rs:b"])?;
    pubsub.psubscribe("rs:p*")?;
    let mut receivers = 0;
    for number in 0..100 {
        let channel = if number % 2 == 0 { "rs:a" } else { "rs:b" };
        receivers += publisher.publish::<_, _, i64>(channel, number)?;
    }
    equal("each was heard once", receivers, 100);
    let mut numbers = Vec::new();
    for _ in 0..100 {
        numbers.push(pubsub.get_message()?.get_payload::<i64>()?);
    }
    equal("all in order", numbers, (0..100).collect::<Vec<i64>>());
    let _: i64 = publisher.publish("rs:pq", "x")?;
    let message = pubsub.get_message()?;
    equal(
        "by pattern",
        (message.get_pattern::<String>()?, message.get_channel_name().to_owned()),
        ("rs:p*".to_owned(), "rs:pq".to_owned()),
    );
    pubsub.unsubscribe("rs:a")?;
    equal("unsubscribed", publisher.publish::<_, _, i64>("rs:a", 1)?, 0);
    drop(pubsub);
    equal("then all commands", c.get::<_, i64>("n")?, 42);
    eventually("nobody listens any more", Ok(0), || publisher.publish::<_, _, i64>("rs:b", 1));
    Ok(())
}

fn streams(client: &Client) -> Outcome {
    let mut c = client.get_connection()?;
    let id: String = c.xadd("st", "*", &[("k", "v")])?;
    let _: () = c.xgroup_create("st", "g", "0")?;
    let options = StreamReadOptions::default().group("g", "me").count(10);
    let read: Option<StreamReadReply> = c.xread_options(&["st"], &[">"], &options)?;
    let read = read.ok_or("nothing was read")?;
    equal(
        "XREADGROUP",
        (read.keys[0].ids[0].id.clone(), read.keys[0].ids[0].get("k")),
        (id.clone(), Some("v".to_owned())),
    );
    equal("XACK", c.xack::<_, _, _, i64>("st", "g", &[&id])?, 1);
    let info: redis::streams::StreamInfoGroupsReply = c.xinfo_groups("st")?;
    equal("XINFO GROUPS", (info.groups[0].name.as_str(), info.groups[0].pending), ("g", 0));
    Ok(())
}

fn waiting(client: &Client) -> Outcome {
    let mut c = client.get_connection()?;
    let mut pusher = client.get_connection()?;
    let thread = thread::spawn(move || -> RedisResult<()> {
        thread::sleep(Duration::from_millis(50));
        redis::pipe().atomic().lpush("wq", "job").exec(&mut pusher)
    });
    let popped: Option<(String, String)> = c.blpop("wq", 5.0)?;
    equal("BLPOP", popped, Some(("wq".to_owned(), "job".to_owned())));
    is_true("the pusher ends well", matches!(thread.join(), Ok(Ok(()))));
    equal("in vain", c.blpop::<_, Option<(String, String)>>("wq", 0.05)?, None);
    Ok(())
}

fn users(client: &Client) -> Outcome {
    use redis::acl::Rule;
    let mut c = client.get_connection()?;
    let rules = [
        Rule::Reset,
        Rule::On,
        Rule::AddPass("pw".into()),
        Rule::AddCategory("read".into()),
        Rule::Pattern("rs:*".into()),
    ];
    let _: () = c.acl_setuser_rules("rs", &rules)?;
    let info: Option<redis::acl::AclInfo> = c.acl_getuser("rs")?;
    let info = info.ok_or("no such user")?;
    is_true(
        "ACL GETUSER",
        info.flags.contains(&Rule::On) && info.keys == [Rule::Pattern("rs:*".into())],
    );
    let mut own = client.get_connection()?;
    redis::cmd("AUTH").arg("rs").arg("pw").exec(&mut own)?;
    equal("reading", own.get::<_, Option<String>>("rs:x")?, None);
    refused("writing", own.set::<_, _, Value>("rs:x", 1), "no permissions");
    refused("other keys", own.get::<_, Value>("n"), "no permissions");
    equal("ACL DELUSER", c.acl_deluser::<_, i64>(&["rs"])?, 1);
    Ok(())
}
