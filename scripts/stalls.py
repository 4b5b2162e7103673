"""The rows of `scripts/compare --stall`: what one client does while another one's PINGs are timed.

Each row prepares first (untimed: data, and requests as bytes, so that building them in Python does not take the core
from the probe), then does one thing. It runs in a process of its own and tells the parent when it is ready and how it
ended. Rows do not depend on each other, so any can be left out.
"""
import os
import threading
import time

import measure
from measure import Client, encode

VALUE = b"v" * 32
OK, FAILED, UNSUPPORTED = range(3)


class Unsupported(Exception):
    """The server takes the request and does not do what the row is about."""


class Probe:
    """Sends PING every millisecond from a thread of its own and keeps how long each took."""

    def __init__(self, port):
        self.client = Client(port)
        self.waits_ms, self.is_over = [], False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        request, socket = encode("PING"), self.client.socket
        while not self.is_over:
            started = time.perf_counter()
            try:
                socket.sendall(request)
                if not socket.recv(64):
                    return
            except OSError:
                return
            self.waits_ms.append((time.perf_counter() - started) * 1e3)
            time.sleep(0.001)

    def take(self):
        waits, self.waits_ms = self.waits_ms, []
        return waits

    def end(self):
        self.is_over = True
        self.thread.join(3)


def rows(keys, value_bytes):
    """label -> (prepare, run): `prepare(client)` returns what `run(client, prepared)` is given."""
    name = lambda key: b"key:%012d" % key
    sets = lambda step: (("SET", name(key), VALUE) for key in range(0, keys, step))
    names = [name(key) for key in range(keys)]
    members = lambda: (("SADD", "set", *range(key, key + 100)) for key in range(0, keys, 100))

    def filled(client):
        client("CONFIG", "SET", "maxmemory", 0)
        if client.ask("DBSIZE") != keys:
            empty(client)
            client.pipeline(sets(1))

    def empty(client):
        client("CONFIG", "SET", "maxmemory", 0)
        client("FLUSHALL")
        settle(client)

    def one(*words, given=filled):
        """A row that is one request."""

        def prepare(client):
            given(client)
            return encode(*(words[0]() if callable(words[0]) else words))

        return prepare, lambda client, request: client.raw(request)

    def big(client):
        if client.ask("STRLEN", "big") != value_bytes:
            empty(client)
            client("SET", "big", os.urandom(value_bytes))
            settle(client)

    def texts(client):
        empty(client)
        length = int((keys * 100) ** 0.5)
        for key in ("one", "two"):
            client("SET", key, bytes(97 + byte % 4 for byte in os.urandom(length)))

    def serialized(client):
        big(client)
        return encode("RESTORE", "other", 0, client.ask("DUMP", "big"))

    def dying(client):
        empty(client)
        client.pipeline(("SET", name(key), VALUE, "PX", 2500 + key % 2000) for key in range(keys))

    def await_expiry(client, _):
        until = time.monotonic() + 10
        while client.ask("DBSIZE") > 0 and time.monotonic() < until:
            time.sleep(0.1)

    def limited(client):
        empty(client)
        client("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        # Room for about a third of the keys in the leanest of servers.
        client("CONFIG", "SET", "maxmemory", client.figure("used_memory") + keys * 25)

    def evict(client, _):
        client.pipeline(sets(1))
        if client.figure("evicted_keys") == 0:
            raise Unsupported

    def kilobytes(client):
        empty(client)
        client("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        client.pipeline(("SET", name(key), b"v" * 1000) for key in range(keys // 10))
        return client.figure("used_memory") // 4

    def shrink(client, maxmemory):
        evicted = client.figure("evicted_keys")
        client("CONFIG", "SET", "maxmemory", maxmemory)
        client("SET", "one", "more")
        time.sleep(0.5)
        if client.figure("evicted_keys") == evicted:
            raise Unsupported

    numbers = lambda: range(0, keys, 100)
    collections = {
        "set": ("SCARD", members),
        "list": ("LLEN", lambda: (("RPUSH", "list", *range(key, key + 100)) for key in numbers())),
        "hash": ("HLEN", lambda: (("HSET", "hash", *(word for field in range(key, key + 100) for word in (field, VALUE)))
                                  for key in numbers())),
        "zset": ("ZCARD", lambda: (("ZADD", "zset", *(word for field in range(key, key + 100)
                                                      for word in (field * 7919 % keys, b"m%d" % field)))
                                   for key in numbers())),
        "stream": ("XLEN", lambda: (("XADD", "stream", "*", "field", number) for number in range(keys))),
    }

    def given(kind):
        """Makes sure that one collection of `keys` elements is there, and nothing else."""
        length, fill = collections[kind]

        def prepare(client):
            if client.ask("DBSIZE") != 1 or client.ask("TYPE", kind) != kind.encode() or client.ask(length, kind) != keys:
                empty(client)
                client.pipeline(fill())

        return prepare

    one_set = given("set")

    run_all = lambda commands: lambda client, _: client.pipeline(commands())
    return {
        "idle": (filled, run_all(lambda: sets(5))),
        "grow": (empty, run_all(lambda: sets(1))),
        "keys": one("KEYS", "*"),
        "mget": one(lambda: ["MGET", *names]),
        "mset": one(lambda: ["MSET", *(word for key in names for word in (key, VALUE))], given=empty),
        "del": one(lambda: ["DEL", *names]),
        "flush": one("FLUSHALL"),
        "expire": (dying, await_expiry),
        "evict": (limited, evict),
        "shrinkmem": (kilobytes, shrink),
        "lcs": one("LCS", "one", "two", "LEN", given=texts),
        "dump": one("DUMP", "big", given=big),
        "restore": (serialized, lambda client, request: client.raw(request)),
        "append": one("APPEND", "big", "x", given=big),
        "setbig": one(lambda: ["SET", "big", os.urandom(value_bytes)], given=big),
        "delbig": one("DEL", "big", given=big),
        "sadd": (empty, run_all(members)),
        "smembers": one("SMEMBERS", "set", given=one_set),
        "sunionst": one("SUNIONSTORE", "other", "set", "nothing", given=one_set),
        "sort": one("SORT", "set", "LIMIT", 0, 10, given=one_set),
        "copyset": one("COPY", "set", "other", given=one_set),
        "spop": one("SPOP", "set", keys // 2, given=one_set),
        "dumpset": one("DUMP", "set", given=one_set),
        "delset": one("DEL", "set", given=one_set),
        "lrange": one("LRANGE", "list", 0, -1, given=given("list")),
        "lrem": one("LREM", "list", 0, "nothing", given=given("list")),
        "sortlist": one("SORT", "list", "DESC", "STORE", "other", given=given("list")),
        "hgetall": one("HGETALL", "hash", given=given("hash")),
        "delhash": one("DEL", "hash", given=given("hash")),
        "zrange": one("ZRANGE", "zset", 0, -1, "WITHSCORES", given=given("zset")),
        "zunionst": one("ZUNIONSTORE", "other", 1, "zset", "WEIGHTS", 2, given=given("zset")),
        "zremrange": one("ZREMRANGEBYRANK", "zset", 0, keys // 2, given=given("zset")),
        "xrange": one("XRANGE", "stream", "-", "+", given=given("stream")),
        "xtrim": one("XTRIM", "stream", "MAXLEN", 0, given=given("stream")),
        "bitcount": one("BITCOUNT", "big", given=big),
        "bitop": one("BITOP", "NOT", "other", "big", given=big),
    }


def settle(client):
    """Waits until what was dropped has been freed, as far as that shows."""
    before = client.figure("used_memory")
    for _ in range(100):
        time.sleep(0.1)
        now = client.figure("used_memory")
        if now >= before:
            return
        before = now


def measure_row(server, probe, client, prepare, run):
    """Does one row: how it ended, the waits of the probe in ms, how long it took in seconds, the longest turn."""
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        # The probe has precedence on the core both share.
        os.nice(5)
        status = FAILED
        try:
            client = Client(server.port)
            prepared = prepare(client)
            os.write(ready[1], b"r")
            os.read(go[0], 1)
            run(client, prepared)
            status = OK
        except Unsupported:
            status = UNSUPPORTED
        except (RuntimeError, OSError) as error:
            # A command the server does not know is a row without a figure.
            status = UNSUPPORTED if "unknown command" in str(error) else FAILED
            if status == FAILED:
                print(f"\n{error}", flush=True)
        finally:
            os._exit(status)
    os.close(ready[1])
    is_ready = os.read(ready[0], 1) == b"r"
    # What preparing has left behind is over, for the server and for the probe.
    time.sleep(0.5 if is_ready else 0)
    forget_turns(client)
    probe.take()
    started = time.monotonic()
    os.write(go[1], b"g")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    seconds = time.monotonic() - started
    time.sleep(0.3)
    for end in (ready[0], *go):
        os.close(end)
    return status, probe.take(), seconds, worst_turn(client)


def forget_turns(client):
    """Empties the ledger of a Rufous; another server does not know the command."""
    try:
        client("STALLS", "RESET")
    except (RuntimeError, OSError):
        pass


def worst_turn(client):
    """Phase and command of the longest turn in the ledger of a Rufous; nothing of other servers."""
    try:
        entries = client.ask("STALLS", "GET", -1)
    except (RuntimeError, OSError):
        return ""
    entries = [dict(zip(entry[::2], entry[1::2])) for entry in entries]
    worst = max(entries, key=lambda entry: entry[b"turn-us"], default=None)
    if worst is None:
        return "no turn over the budget"
    parts = [worst[b"phase"].decode(), worst[b"command"].decode()]
    return f"{' '.join(part for part in parts if part)} {worst[b'turn-us'] / 1000:.1f} ms"
