"""redis-py against a running server: strings, keys, expiry, databases, connections, server commands.

    redis_py.py PORT UNIX_SOCKET

Each `check_…` function is run with protocol 2 and 3 on an empty database 9 and says by an assertion what failed; all
run even if one fails, and then the exit code is 1. The expectations are Redis 7.0.15's: `SERVER=redis-server
scripts/clients` proves them. Commands of other types, transactions and subscriptions have no place here.

The checks change settings (and put them back): do not let them loose on a server in use.
"""

import asyncio
import inspect
import sys
import threading
import time
import traceback
from datetime import datetime, timedelta

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

DATABASE = 9
PORT = int(sys.argv[1])
UNIX_SOCKET = sys.argv[2]
PROTOCOLS = (2, 3)


def client(protocol, **options):
    """A client of the server; answers are text, not bytes, unless told otherwise."""
    options = {"port": PORT, "db": DATABASE, "decode_responses": True, **options}
    return redis.Redis(protocol=protocol, **options)


def refusal(expected, function, *args, **options):
    """Asserts that a call is refused with a text that contains `expected`."""
    try:
        answer = function(*args, **options)
    except redis.ResponseError as error:
        assert expected in str(error), f"refused with {error}, not {expected}"
        return
    raise AssertionError(f"{answer!r} instead of the error {expected}")


def check_set(r, protocol):
    assert r.set("k", "v") is True
    assert r.set("k", "w", get=True) == "v"
    assert r.set("k", "x", nx=True) is None
    assert r.set("none", "x", xx=True) is None
    assert r.set("k", "x", xx=True, ex=100) is True
    assert 98 <= r.ttl("k") <= 100
    assert r.set("k", "y", keepttl=True) is True
    assert r.ttl("k") > 90
    assert r.set("k", "z", px=50_000) is True
    assert 49_000 < r.pttl("k") <= 50_000
    at = int(time.time()) + 500
    assert r.set("k", "z", exat=at) is True
    assert r.expiretime("k") == at
    assert r.set("k", "z", pxat=at * 1000 + 7) is True
    assert r.pexpiretime("k") == at * 1000 + 7
    assert r.set("k", "z", ex=timedelta(seconds=9)) is True
    assert r.set("k", "z") is True
    assert r.ttl("k") == -1
    refusal("invalid expire time", r.set, "k", "v", ex=0)
    refusal("syntax error", r.execute_command, "SET", "k", "v", "NX", "XX")
    refusal("wrong number of arguments for 'set'", r.execute_command, "SET", "k")


def check_get(r, protocol):
    assert r.get("k") is None
    r.set("k", "v")
    assert r.getset("k", "w") == "v"
    assert r.getex("k", ex=100) == "w"
    assert r.ttl("k") > 90
    assert r.getex("k", persist=True) == "w"
    assert r.ttl("k") == -1
    assert r.getdel("k") == "w"
    assert r.exists("k") == 0
    assert r.mset({"a": 1, "b": 2}) is True
    assert r.mget("a", "none", "b") == ["1", None, "2"]
    assert r.msetnx({"b": 3, "c": 4}) is False
    assert r.msetnx({"c": 4, "d": 5}) is True
    assert r.setnx("a", 2) is False
    assert r.setex("e", 100, "v") is True
    assert r.psetex("e", 100_000, "v") is True


def check_numbers(r, protocol):
    assert r.incr("n") == 1
    assert r.incrby("n", 41) == 42
    assert r.decr("n") == 41
    assert r.decrby("n", 50) == -9
    assert r.incrbyfloat("f", 1.5) == 1.5
    assert r.incrbyfloat("f", "1e2") == 101.5
    r.set("n", 2**63 - 1)
    refusal("increment or decrement would overflow", r.incr, "n")
    r.set("s", "text")
    refusal("value is not an integer or out of range", r.incr, "s")
    refusal("value is not a valid float", r.incrbyfloat, "s", 1)


def check_parts(r, protocol):
    assert r.append("k", "Hello") == 5
    assert r.append("k", " World") == 11
    assert r.strlen("k") == 11
    assert r.getrange("k", -5, -1) == "World"
    assert r.substr("k", 0, 4) == "Hello"
    assert r.setrange("k", 6, "Redis") == 11
    assert r.get("k") == "Hello Redis"
    assert r.setrange("new", 3, "x") == 4
    assert r.get("new") == "\0\0\0x"
    r.mset({"k1": "ohmytext", "k2": "mynewtext"})
    assert r.lcs("k1", "k2") == "mytext"
    assert r.lcs("k1", "k2", len=True) == 6
    found = r.execute_command("LCS", "k1", "k2", "IDX", "MINMATCHLEN", "4", "WITHMATCHLEN")
    pairs = list(found.items()) if isinstance(found, dict) else list(zip(found[::2], found[1::2]))
    assert pairs == [("matches", [[[4, 7], [5, 8], 4]]), ("len", 6)], found


def check_binary(r, protocol):
    raw = client(protocol, decode_responses=False)
    every_byte = bytes(range(256)) * 300
    assert raw.set(every_byte[:256], every_byte) is True
    assert raw.get(every_byte[:256]) == every_byte
    assert raw.keys() == [every_byte[:256]]
    big = b"x" * (3 << 20)
    assert raw.set("big", big) is True
    assert raw.get("big") == big
    assert raw.echo(b"\r\n$-1\r\n") == b"\r\n$-1\r\n"
    raw.close()


def check_keys(r, protocol):
    r.mset({f"key:{n}": n for n in range(500)})
    assert r.dbsize() == 500
    assert set(r.scan_iter()) == {f"key:{n}" for n in range(500)}
    assert set(r.scan_iter(match="key:1?", count=7)) == {f"key:1{n}" for n in range(10)}
    assert len(list(r.scan_iter(_type="string"))) == 500
    assert list(r.scan_iter(_type="list")) == []
    assert sorted(r.keys("key:4[01]")) == ["key:40", "key:41"]
    assert r.randomkey().startswith("key:")
    assert r.exists("key:1", "key:1", "none") == 2
    assert r.touch("key:1", "key:2", "none") == 2
    assert r.delete("key:1", "none") == 1
    assert r.unlink("key:2", "key:3") == 2
    assert r.type("key:4") == "string"
    assert r.type("none") == "none"
    assert r.rename("key:4", "four") is True
    assert r.renamenx("key:5", "four") is False
    refusal("no such key", r.rename, "none", "other")
    assert r.flushdb() is True
    assert r.dbsize() == 0
    assert r.randomkey() is None


def check_databases(r, protocol):
    other = client(protocol, db=10)
    other.flushdb()
    r.set("k", "v")
    assert r.copy("k", "k2") is True
    assert r.copy("k", "k2") is False
    assert r.copy("k", "k2", replace=True) is True
    assert r.copy("k", "k", destination_db=10) is True
    assert other.get("k") == "v"
    assert r.move("k2", 10) is True
    assert other.dbsize() == 2
    assert r.swapdb(9, 10) is True
    assert r.dbsize() == 2
    assert r.flushdb(asynchronous=True) is True
    assert other.flushdb() is True
    other.close()
    refusal("DB index is out of range", client(protocol, db=99_999).ping)


def check_expiry(r, protocol):
    r.set("k", "v")
    assert r.ttl("none") == -2
    assert r.ttl("k") == -1
    assert r.expire("none", 10) is False
    assert r.expire("k", 100, xx=True) is False
    assert r.expire("k", 100, nx=True) is True
    assert r.expire("k", 50, gt=True) is False
    assert r.expire("k", 50, lt=True) is True
    assert r.pexpire("k", 90_000) is True
    assert 89_000 < r.pttl("k") <= 90_000
    at = datetime.now() + timedelta(seconds=1000)
    assert r.expireat("k", at) is True
    assert r.expiretime("k") == int(at.timestamp())
    assert r.pexpireat("k", at) is True
    assert r.persist("k") is True
    assert r.persist("k") is False
    assert r.pexpire("k", 20) is True
    time.sleep(0.06)
    assert r.get("k") is None
    r.set("k", "v")
    assert r.expire("k", -1) is True
    assert r.exists("k") == 0


def check_dump(r, protocol):
    raw = client(protocol, decode_responses=False)
    for value in (b"12345", b"text", b"z" * 5000):
        raw.set("k", value)
        dump = raw.dump("k")
        assert raw.restore("copy", 0, dump, replace=True) in (True, b"OK", "OK")
        assert raw.get("copy") == value
    raw.restore("copy", 5000, dump, replace=True)
    assert 4000 < raw.pttl("copy") <= 5000
    refusal("BUSYKEY", raw.execute_command, "RESTORE", "copy", 0, dump)
    refusal("DUMP payload version or checksum are wrong", raw.restore, "bad", 0, dump[:-1] + b"?")
    assert raw.dump("none") is None
    raw.close()


def check_object(r, protocol):
    r.mset({"int": 7, "short": "text", "long": "x" * 100})
    encodings = [r.object("encoding", key) for key in ("int", "short", "long")]
    assert encodings == ["int", "embstr", "raw"], encodings
    assert r.object("idletime", "short") == 0
    assert r.object("refcount", "long") == 1
    assert r.object("encoding", "none") is None
    policy = r.config_get("maxmemory-policy")["maxmemory-policy"]
    assert r.config_set("maxmemory-policy", "allkeys-lfu") is True
    r.set("hot", 1)
    for _ in range(30):
        r.get("hot")
    assert r.object("freq", "hot") > 0
    assert r.config_set("maxmemory-policy", policy) is True


def check_pipeline(r, protocol):
    pipe = r.pipeline(transaction=False)
    for n in range(2000):
        pipe.set(f"k{n}", n).get(f"k{n}")
    answers = pipe.execute()
    assert answers == [answer for n in range(2000) for answer in (True, str(n))]
    pipe.set("text", "x").incr("text").get("text")
    answers = pipe.execute(raise_on_error=False)
    assert answers[0] is True and answers[2] == "x"
    assert isinstance(answers[1], redis.ResponseError)


def check_threads(r, protocol):
    failures = []

    def work(number):
        try:
            for n in range(100):
                r.set(f"t{number}:{n}", n)
                assert r.get(f"t{number}:{n}") == str(n)
                r.incr("count")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert r.get("count") == "1000"


def check_clients(r, protocol):
    named = client(protocol, client_name="named", single_connection_client=True,
                   retry=Retry(NoBackoff(), 2), retry_on_error=[redis.ConnectionError])
    assert named.client_getname() == "named"
    assert named.client_setname("renamed") is True
    number = named.client_id()
    info = named.client_info()
    assert (info["name"], int(info["id"]), int(info["db"])) == ("renamed", number, DATABASE)
    assert int(info["resp"]) == protocol
    assert [found["name"] for found in r.client_list(client_id=[str(number)])] == ["renamed"]
    assert any(found["name"] == "renamed" for found in r.client_list(_type="normal"))
    assert named.client_no_evict("ON") in (True, "OK")
    refusal("Client names cannot contain spaces", named.client_setname, "a b")
    assert r.client_kill_filter(_id=number) == 1
    assert named.ping() is True, "no new connection after CLIENT KILL"
    refusal("No such client", r.client_kill, "127.0.0.1:1")
    assert r.client_pause(1) is True
    assert r.client_unpause() in (True, "OK")
    named.close()


def check_monitor(r, protocol):
    with client(protocol).monitor() as monitor:
        r.get("seen")
        for _ in range(10):
            line = monitor.next_command()
            if line["command"] == "GET seen":
                break
        assert (line["command"], line["db"]) == ("GET seen", DATABASE), line
        assert line["client_type"] == "tcp"


def check_info(r, protocol):
    info = r.info()
    assert info["redis_version"] == "7.0.15"
    assert info["tcp_port"] == PORT
    for field, kind in (
        ("uptime_in_seconds", int), ("connected_clients", int), ("used_memory", int),
        ("used_memory_human", str), ("mem_fragmentation_ratio", (int, float)),
        ("total_commands_processed", int), ("keyspace_hits", int), ("role", str),
        ("used_cpu_user", float), ("redis_mode", str), ("maxmemory_policy", str),
    ):
        assert isinstance(info[field], kind), f"{field}: {info.get(field)!r}"
    r.set("k", "v", ex=100)
    space = r.info("keyspace")[f"db{DATABASE}"]
    assert (space["keys"], space["expires"]) == (1, 1), space
    assert r.info("commandstats")["cmdstat_set"]["calls"] > 0
    assert "errorstat_ERR" in r.info("errorstats")
    assert r.info("everything")["redis_version"] == "7.0.15"


def check_config(r, protocol):
    assert r.config_get("maxmemory") == {"maxmemory": "0"}
    assert {"save", "appendonly", "maxclients"} <= set(r.config_get())
    assert set(r.config_get("maxmemory*", "hz")) > {"maxmemory", "maxmemory-policy", "hz"}
    assert r.config_set("maxmemory", "100mb") is True
    assert r.config_get("maxmemory") == {"maxmemory": str(100 << 20)}
    assert r.config_set("maxmemory", 0, "timeout", 0) in (True, "OK")
    refusal("Unknown option", r.config_set, "no-such-option", 1)
    assert r.config_resetstat() is True


def check_slow_log(r, protocol):
    before = r.config_get("slowlog-log-slower-than")
    r.config_set("slowlog-log-slower-than", 0)
    assert r.slowlog_reset() is True
    r.set("slow", "v")
    commands = [entry["command"] for entry in r.slowlog_get(10)]
    # Bytes in some versions of redis-py, text in others.
    assert any(command in (b"SET slow v", "SET slow v") for command in commands), commands
    entry = r.slowlog_get(1)[0]
    assert entry["duration"] >= 0 and entry["start_time"] > 0
    r.config_set("slowlog-log-slower-than", before["slowlog-log-slower-than"])
    assert r.slowlog_len() > 0
    assert r.slowlog_reset() is True


def check_latency_and_memory(r, protocol):
    assert r.latency_latest() == []
    assert r.latency_history("command") == []
    assert r.latency_reset() == 0
    r.set("k", "x" * 1000)
    assert r.memory_usage("k") > 1000
    assert r.memory_usage("none") is None
    assert r.memory_stats()["keys.count"] >= 1
    assert isinstance(r.execute_command("MEMORY DOCTOR"), str)
    assert isinstance(r.execute_command("LATENCY DOCTOR"), str)
    assert r.memory_purge() is True


def check_command(r, protocol):
    commands = r.command()
    assert commands["get"]["arity"] == 2
    assert "readonly" in commands["get"]["flags"]
    assert r.command_count() == len(commands)
    assert {name.lower() for name in r.command_list()} >= {"get", "set", "client|list"}
    assert r.command_getkeys("MSET", "a", 1, "b", 2) == ["a", "b"]
    seconds, micros = r.time()
    assert abs(seconds - time.time()) < 5 and 0 <= micros < 1_000_000
    assert r.echo("text") == "text"
    refusal("unknown command 'nosuch'", r.execute_command, "nosuch")


def check_unix_socket(r, protocol):
    over_socket = redis.Redis(unix_socket_path=UNIX_SOCKET, db=DATABASE, protocol=protocol)
    over_socket.set("k", "v")
    assert r.get("k") == "v"
    over_socket.close()
    by_address = redis.from_url(f"redis://localhost:{PORT}/{DATABASE}?protocol={protocol}")
    assert by_address.get("k") == b"v"
    by_address.close()


def check_password(r, protocol):
    admin = client(protocol, single_connection_client=True)
    admin.config_set("requirepass", "secret")
    try:
        with_password = client(protocol, password="secret")
        assert with_password.ping() is True
        assert client(protocol, username="default", password="secret").ping() is True
        assert with_password.auth("secret") is True
        for options, expected in (({}, redis.AuthenticationError),
                                  ({"password": "wrong"}, redis.AuthenticationError)):
            try:
                client(protocol, **options).ping()
            except expected:
                continue
            raise AssertionError(f"let in with {options}")
    finally:
        admin.config_set("requirepass", "")
        admin.close()


def check_health(r, protocol):
    healthy = client(protocol, health_check_interval=1, retry=Retry(NoBackoff(), 2),
                     retry_on_error=[redis.ConnectionError])
    healthy.set("k", "v")
    number = healthy.client_id()
    time.sleep(1.1)
    assert healthy.get("k") == "v"
    r.client_kill_filter(_id=number)
    assert healthy.get("k") == "v"
    healthy.close()
    hasty = client(protocol, socket_timeout=0.1, retry=Retry(NoBackoff(), 0))
    hasty.ping()
    r.client_pause(300)
    try:
        hasty.set("k", "v")
        raise AssertionError("no timeout while clients are paused")
    except redis.TimeoutError:
        pass
    finally:
        time.sleep(0.35)
        hasty.close()


def check_asyncio(r, protocol):
    async def run():
        async with redis.asyncio.Redis(port=PORT, db=DATABASE, protocol=protocol,
                                       decode_responses=True) as a:
            assert await a.set("k", "v", ex=100) is True
            assert await a.get("k") == "v"
            assert all(await asyncio.gather(*(a.set(f"a{n}", n) for n in range(80))))
            assert await a.mget("a0", "a79", "none") == ["0", "79", None]
            async with a.pipeline(transaction=False) as pipe:
                assert await pipe.incr("n").incr("n").execute() == [1, 2]
            assert len([key async for key in a.scan_iter(match="a*")]) == 80
            assert (await a.info("server"))["redis_version"] == "7.0.15"

    asyncio.run(run())


def main():
    """Runs all checks; returns the exit code."""
    checks = [(name, function) for name, function in globals().items()
              if name.startswith("check_") and inspect.isfunction(function)]
    failed = []
    for protocol in PROTOCOLS:
        for name, function in checks:
            with client(protocol) as r:
                try:
                    r.flushdb()
                    function(r, protocol)
                except Exception:
                    failed.append(f"{name} (protocol {protocol})")
                    print(f"--- {failed[-1]}", file=sys.stderr)
                    traceback.print_exc()
    count = len(checks) * len(PROTOCOLS)
    if failed:
        print(f"redis-py {redis.__version__}: {len(failed)} of {count} checks failed: "
              + ", ".join(failed), file=sys.stderr)
        return 1
    print(f"redis-py {redis.__version__}: {count} checks passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
