"""redis-py: pipelines, transactions, pub/sub, scripts, locks, streams, blocking calls, ACL, functions, monitor."""

import threading
import time

import redis
from redis.exceptions import LockError, LockNotOwnedError, NoScriptError, ResponseError, WatchError

import checks
from checks import between, equal, eventually, raises, true

r = checks.client()


def pipelines():
    pipe = r.pipeline(transaction=False)
    pipe.set("p", 1).incr("p", 4).get("p").lpush("p", "x").exists("p")
    answers = pipe.execute(raise_on_error=False)
    equal("answers of a pipeline", answers[:3] + answers[4:], [True, 5, "5", 1])
    true("an error in a pipeline is an answer", isinstance(answers[3], ResponseError))
    pipe.get("p").lpop("p")
    raises(
        "an error names its command", ResponseError, pipe.execute, "Command # 2 (LPOP p) of pipeline caused error: W"
    )
    for number in range(5000):
        pipe.rpush("long", number)
    equal("5,000 commands at once", pipe.execute()[-1], 5000)


def transactions():
    with r.pipeline() as pipe:
        equal("MULTI/EXEC", pipe.set("a", 1).incr("a").expire("a", 100).ttl("a").execute(), [True, 2, True, 100])
        pipe.set("a", "text").incr("a").set("b", 2)
        raises("an error while EXEC runs", ResponseError, pipe.execute, "caused error: value is not an integer")
        equal("the others ran", (r.get("a"), r.get("b")), ("text", "2"))
        pipe.set("b", 3).execute_command("NOSUCH", "x").set("b", 4)
        raises("an error while queueing", ResponseError, pipe.execute, "unknown command 'NOSUCH'")
        equal("nothing ran", r.get("b"), "2")
        pipe.set("b", 3).execute_command("GET")
        raises(
            "an arity error while queueing", ResponseError, pipe.execute, "wrong number of arguments for 'get' command"
        )
        equal("an empty transaction", pipe.execute(), [])
        equal(
            "types in a transaction",
            pipe.hset("h", mapping={"f": "1"})
            .hgetall("h")
            .zadd("z", {"m": 1.5})
            .zscore("z", "m")
            .smembers("none")
            .execute(),
            [1, {"f": "1"}, 1, 1.5, set()],
        )


def watching():
    r.set("n", 1)
    with r.pipeline() as pipe:
        pipe.watch("n")
        equal("a read while watching", pipe.get("n"), "1")
        r.set("n", 2)
        pipe.multi()
        pipe.set("n", 3)
        raises("a watched key was changed", WatchError, pipe.execute)
        equal("nothing was written", r.get("n"), "2")
        pipe.watch("n")
        pipe.unwatch()
        r.set("n", 5)
        pipe.multi()
        equal("UNWATCH forgets", pipe.incr("n").execute(), [6])
        r.set("gone", 1, px=20)
        pipe.watch("gone")
        time.sleep(0.06)
        pipe.multi()
        raises("a watched key expired", WatchError, pipe.set("x", 1).execute)

    attempts = []

    def double(pipe):
        now = int(pipe.get("n"))
        if len(attempts) < 2:
            r.incr("n")
        attempts.append(now)
        pipe.multi()
        pipe.set("n", now * 2)
        return now

    equal("transaction() tries again", r.transaction(double, "n", value_from_callable=True), 8)
    equal("until nobody interferes", (attempts, r.get("n")), ([6, 7, 8], "16"))

    def count():
        own = checks.client()
        for _ in range(25):
            own.transaction(lambda pipe: (pipe.get("sum"), pipe.multi(), pipe.incr("sum")), "sum")

    threads = [threading.Thread(target=count) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    equal("four threads lose no count", r.get("sum"), "100")


def subscriptions():
    heard = []
    pubsub = r.pubsub()
    pubsub.subscribe("py:news", **{"py:handled": lambda message: heard.append(message["data"])})
    pubsub.psubscribe("py:pat*")
    kinds = sorted((m["type"], m["channel"], m["data"]) for m in (pubsub.get_message(timeout=2) for _ in range(3)))
    equal(
        "confirmations",
        [kind[:2] for kind in kinds],
        [("psubscribe", "py:pat*"), ("subscribe", "py:handled"), ("subscribe", "py:news")],
    )
    equal("nobody listens there", r.publish("py:none", "x"), 0)
    equal("PUBLISH counts channel and pattern", (r.publish("py:news", "one"), r.publish("py:pattern", "two")), (1, 1))
    first, second = pubsub.get_message(timeout=2), pubsub.get_message(timeout=2)
    equal("a message", first, {"type": "message", "pattern": None, "channel": "py:news", "data": "one"})
    equal(
        "a message by pattern",
        second,
        {"type": "pmessage", "pattern": "py:pat*", "channel": "py:pattern", "data": "two"},
    )
    equal("PUBSUB CHANNELS", sorted(r.pubsub_channels("py:*")), ["py:handled", "py:news"])
    equal("PUBSUB NUMSUB", r.pubsub_numsub("py:news", "py:none"), [("py:news", 1), ("py:none", 0)])
    true("PUBSUB NUMPAT", r.pubsub_numpat() >= 1)
    pubsub.unsubscribe("py:news")
    pubsub.punsubscribe()
    equal("confirmed", [pubsub.get_message(timeout=2)["type"] for _ in range(2)], ["unsubscribe", "punsubscribe"])
    thread = pubsub.run_in_thread(sleep_time=0.01)
    r.publish("py:handled", "called")
    eventually("a handler in a thread", ["called"], lambda: heard)
    thread.stop()
    thread.join()
    eventually("stopping unsubscribes", [], lambda: r.pubsub_channels("py:*"))

    for protocol in (2, 3):
        own = checks.client(protocol=protocol)
        pubsub = own.pubsub()
        pubsub.subscribe("py:p")
        pubsub.get_message(timeout=2)
        if protocol == 2:  # With RESP3 redis-py trips over the plain reply.
            pubsub.ping("hello")
            equal("PING while subscribed", pubsub.get_message(timeout=2)["data"], "hello")
        pubsub.ssubscribe("py:s")
        equal(f"SSUBSCRIBE, RESP{protocol}", pubsub.get_message(timeout=2)["type"], "ssubscribe")
        equal(f"SPUBLISH, RESP{protocol}", own.spublish("py:s", "shard"), 1)
        message = pubsub.get_sharded_message(timeout=2)
        equal(f"smessage, RESP{protocol}", (message["type"], message["data"]), ("smessage", "shard"))
        equal(f"PUBSUB SHARDCHANNELS, RESP{protocol}", own.pubsub_shardchannels(), ["py:s"])
        pubsub.unsubscribe()
        equal(f"UNSUBSCRIBE, RESP{protocol}", pubsub.get_message(timeout=2)["type"], "unsubscribe")
        pubsub.close()


def keyspace_events():
    before = r.config_get("notify-keyspace-events")
    r.config_set("notify-keyspace-events", "KEA")
    equal("flags come back in Redis's order", r.config_get("notify-keyspace-events")["notify-keyspace-events"], "AKE")
    pubsub = r.pubsub(ignore_subscribe_messages=True)
    pubsub.psubscribe(f"__key*@{checks.DATABASE}__:*")
    pubsub.get_message(timeout=1)
    r.set("ev", 1, px=30)
    r.lpush("evl", 1)
    time.sleep(0.1)
    r.get("ev")
    events = []
    while message := pubsub.get_message(timeout=0.3):
        events.append((message["channel"].split(":", 1)[1], message["data"]))
    equal(
        "events of SET with PX, LPUSH and expiry",
        events,
        [
            ("ev", "set"),
            ("set", "ev"),
            ("ev", "expire"),
            ("expire", "ev"),
            ("evl", "lpush"),
            ("lpush", "evl"),
            ("ev", "expired"),
            ("expired", "ev"),
        ],
    )
    pubsub.close()
    r.config_set("notify-keyspace-events", before["notify-keyspace-events"])


def scripts():
    add = r.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    equal("a registered script", add(keys=["s"], args=[5]), 5)
    equal("the same, by its digest", (r.script_exists(add.sha), r.evalsha(add.sha, 1, "s", 2)), ([True], 7))
    raises("an unknown digest", NoScriptError, lambda: r.evalsha("0" * 40, 0))
    with r.pipeline() as pipe:
        add(keys=["s"], args=[1], client=pipe)
        pipe.get("s")
        equal("a script in a transaction", pipe.execute(), [8, "8"])
    equal(
        "values of Lua",
        r.eval("return {1, 'two', 3.9, true, false, {4, {5}}, nil, 6}", 0),
        [1, "two", 3, 1, None, [4, [5]]],
    )
    equal(
        "status and JSON",
        r.eval("return cjson.encode({a = {1, 2}, b = cjson.decode('[true]')[1]})", 0)
        in ('{"a":[1,2],"b":true}', '{"b":true,"a":[1,2]}'),
        True,
    )
    raises(
        "an error of redis.call",
        ResponseError,
        lambda: r.eval("return redis.call('LPUSH', KEYS[1], 1)", 1, "s"),
        "WRONGTYPE Operation against a key",
    )
    raises(
        "an error of one's own", ResponseError, lambda: r.eval("return redis.error_reply('MY words')", 0), "MY words"
    )
    raises(
        "a mistake",
        ResponseError,
        lambda: r.eval("return nosuch", 0),
        "Script attempted to access nonexistent global variable 'nosuch'",
    )
    equal("pcall", r.eval("return redis.pcall('NOSUCH').err", 0), "ERR Unknown Redis command called from script")
    equal("EVAL_RO", r.eval_ro("return redis.call('GET', KEYS[1])", 1, "s"), "8")
    raises(
        "EVAL_RO writes not",
        ResponseError,
        lambda: r.eval_ro("return redis.call('DEL', KEYS[1])", 1, "s"),
        "Write commands are not allowed from read-only scripts",
    )
    three = checks.client(protocol=3)
    equal("RESP3 from Lua", three.eval("redis.setresp(3); return redis.call('HGETALL', KEYS[1])", 1, "h"), {"f": "1"})
    equal("RESP3 scalars from Lua", three.eval("return {{double = 1.5}, {map = {a = 1}}}", 0), [1.5, {"a": 1}])


def functions():
    code = """#!lua name=pylib
        redis.register_function('py_set', function(keys, args) return redis.call('SET', keys[1], args[1]) end)
        redis.register_function{function_name='py_get', flags={'no-writes'},
            callback=function(keys) return redis.call('GET', keys[1]) end}"""
    equal("FUNCTION LOAD", r.function_load(code, replace=True), "pylib")
    equal("FCALL", (r.fcall("py_set", 1, "fn", "v"), r.fcall_ro("py_get", 1, "fn")), ("OK", "v"))
    raises(
        "FCALL_RO of a writing function",
        ResponseError,
        lambda: r.fcall_ro("py_set", 1, "fn", "v"),
        "Can not execute a script with write flag using *_ro command",
    )
    true("FUNCTION LIST", "pylib" in str(r.function_list()))
    dump = checks.client(decode_responses=False).function_dump()
    equal("FUNCTION DELETE", r.function_delete("pylib"), True)
    raises("a deleted function", ResponseError, lambda: r.fcall("py_get", 1, "fn"), "Function not found")
    checks.client(decode_responses=False).function_restore(dump)
    equal("FUNCTION RESTORE", r.fcall("py_get", 1, "fn"), "v")
    r.function_delete("pylib")


def locks():
    lock = r.lock("lock", timeout=5)
    true("acquire", lock.acquire())
    true("locked and owned", lock.locked() and lock.owned())
    true("nobody else gets it", not r.lock("lock", timeout=5).acquire(blocking=False))
    between("extend adds", 9000, lock.extend(5) and r.pttl("lock"), 10_000)
    true("reacquire sets it back", lock.reacquire() and r.pttl("lock") <= 5000)
    raises("release of another's lock", LockError, r.lock("lock").release)
    lock.release()
    true("released", not lock.locked())
    short = r.lock("short", timeout=0.05)
    short.acquire()
    time.sleep(0.1)
    raises("release of an expired lock", LockNotOwnedError, short.release)
    r.set("held", 0)

    def work():
        own = checks.client()
        for _ in range(5):
            with own.lock("mutex", timeout=10, sleep=0.002):
                now = int(own.get("held"))
                time.sleep(0.001)
                own.set("held", now + 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    equal("a lock of four threads", r.get("held"), "20")


def streams():
    first = r.xadd("st", {"a": "1"})
    r.xadd("st", {"b": "2"})
    r.xgroup_create("st", "g", id="0")
    raises("a group twice", ResponseError, lambda: r.xgroup_create("st", "g"), "BUSYGROUP")
    answer = r.xreadgroup("g", "c1", {"st": ">"}, count=1)
    equal("XREADGROUP", answer[0][1] if isinstance(answer, list) else answer["st"][0], [(first, {"a": "1"})])
    equal("XPENDING", r.xpending("st", "g")["pending"], 1)
    equal("XCLAIM", r.xclaim("st", "g", "c2", 0, [first]), [(first, {"a": "1"})])
    equal("XAUTOCLAIM", r.xautoclaim("st", "g", "c3", 0)[1], [(first, {"a": "1"})])
    equal("XACK", r.xack("st", "g", first), 1)
    equal("XINFO GROUPS", r.xinfo_groups("st")[0]["lag"], 1)
    late = threading.Timer(0.1, lambda: checks.client().xadd("st", {"c": "3"}))
    late.start()
    answer = r.xread({"st": "$"}, block=3000)
    true("a blocked XREAD is woken", "'c': '3'" in str(answer))
    equal("XTRIM", r.xtrim("st", maxlen=1, approximate=False), 2)


def blocking_calls():
    for name, command in {
        "BLPOP": lambda: r.blpop(["q", "q2"], 3),
        "BRPOP": lambda: r.brpop("q", 3),
        "BLMOVE": lambda: r.blmove("q", "moved", 3),
        "BRPOPLPUSH": lambda: r.brpoplpush("q", "moved", 3),
    }.items():
        threading.Timer(0.05, lambda: checks.client().rpush("q", "job")).start()
        true(f"{name} is woken", "job" in command())
    threading.Timer(0.05, lambda: checks.client().zadd("zq", {"m": 1, "n": 2})).start()
    equal("BZPOPMIN is woken", list(r.bzpopmin("zq", 3)), ["zq", "m", 1.0])
    started = time.monotonic()
    equal("BLPOP waits in vain", r.blpop("q", 0.15), None)
    between("for its time", 0.14, time.monotonic() - started, 1.5)

    def transaction():
        with checks.client().pipeline() as pipe:
            pipe.lpush("tq", "a").lpop("tq").rpush("tq", "b").execute()

    threading.Timer(0.05, transaction).start()
    equal("BLPOP sees what a transaction leaves", list(r.blpop("tq", 3)), ["tq", "b"])
    threading.Timer(0.05, lambda: checks.client().eval("return redis.call('RPUSH', KEYS[1], 's')", 1, "sq")).start()
    equal("BLPOP is woken by a script", list(r.blpop("sq", 3)), ["sq", "s"])
    with r.pipeline() as pipe:
        equal(
            "blocking calls in a transaction do not wait",
            pipe.blpop("none", 0).brpop("none", 0).execute(),
            [None, None],
        )


def scanning():
    with r.pipeline(transaction=False) as pipe:
        for number in range(1000):
            pipe.set(f"scan:{number}", number).hset("scan:h", f"f{number}", number)
        pipe.execute()
    equal("scan_iter", len(set(r.scan_iter("scan:[0-9]*", count=100))), 1000)
    equal("scan_iter by type", list(r.scan_iter("scan:*", _type="hash")), ["scan:h"])
    equal("hscan_iter", len(dict(r.hscan_iter("scan:h"))), 1000)


def users():
    equal("ACL WHOAMI", r.acl_whoami(), "default")
    true(
        "ACL SETUSER",
        r.acl_setuser(
            "py",
            enabled=True,
            passwords=["+secret"],
            categories=["+@read"],
            commands=["+set", "+select", "+ping"],
            keys=["py:*"],
            channels=["py:*"],
            reset=True,
        ),
    )
    user = r.acl_getuser("py")
    equal("ACL GETUSER", ("on" in user["flags"], user["keys"], user["channels"]), (True, ["~py:*"], ["&py:*"]))
    own = checks.client(username="py", password="secret")
    equal("AUTH", (own.set("py:k", 1), own.get("py:k")), (True, "1"))
    raises("a key without permission", redis.exceptions.NoPermissionError, lambda: own.get("other"), "key")
    raises("a command without permission", redis.exceptions.NoPermissionError, lambda: own.delete("py:k"), "'del'")
    raises(
        "a wrong password",
        redis.exceptions.AuthenticationError,
        checks.client(username="py", password="wrong").ping,
        "invalid username-password pair",
    )
    true("ACL LOG", any(entry["username"] == "py" for entry in r.acl_log()))
    equal("ACL DRYRUN", r.acl_dryrun("py", "get", "py:x"), "OK")
    equal("ACL DELUSER", r.acl_deluser("py"), 1)
    true("ACL CAT", {"read", "write", "scripting"} <= set(r.acl_cat()))
    equal("ACL GENPASS", len(r.acl_genpass()), 64)


def introspection():
    with r.monitor() as monitor:
        checks.client().set("watched", "by all")
        commands = (command["command"] for command in monitor.listen())
        true("MONITOR", any(command == "SET watched by all" for command in commands))
    r.config_set("slowlog-log-slower-than", 0)
    r.slowlog_reset()
    r.get("seen")
    true("SLOWLOG", any("GET seen" in str(entry["command"]) for entry in checks.client().slowlog_get(20)))
    r.config_set("slowlog-log-slower-than", 10000)
    docs = r.connection_pool.get_connection()
    docs.send_command("COMMAND", "DOCS", "set")
    true("COMMAND DOCS", "Set the string value of a key" in str(docs.read_response()))
    r.connection_pool.release(docs)
    equal("COMMAND GETKEYS", r.command_getkeys("EVAL", "x", "2", "a", "b"), ["a", "b"])
    for section in ("server", "clients", "memory", "stats", "replication", "cpu", "commandstats", "keyspace"):
        true(f"INFO {section}", r.info(section))
    equal("INFO commandstats", r.info("commandstats")["cmdstat_eval"]["calls"] > 0, True)
    named = checks.client(client_name="the-one")
    named.ping()
    equal("CLIENT LIST", [c["name"] for c in r.client_list() if c["name"] == "the-one"], ["the-one"])
    equal("CLIENT KILL", r.client_kill_filter(_id=named.client_id()), 1)
    equal("a killed client connects again", named.ping(), True)
    true("MEMORY", r.memory_usage("scan:h") > 1000 and r.memory_stats())
    true("LATENCY", r.latency_latest() is not None)


def main():
    checks.run(
        "redis-py",
        redis.__version__,
        [
            pipelines,
            transactions,
            watching,
            subscriptions,
            keyspace_events,
            scripts,
            functions,
            locks,
            streams,
            blocking_calls,
            scanning,
            users,
            introspection,
        ],
    )
