#!/usr/bin/env python3
"""A client of the simpledb dialect, written from its description alone, and what must hold for it.

    simpledb.py HOST PORT [RESP_PORT]     plays all of it against a server; ends with 1 where something differs

FLUSH is part of it: the server's first database is empty afterwards. With RESP_PORT the same data is also looked at
through the Redis door. Standard library only.
"""
import random
import socket
import sys
import time


class Text(str):
    """Unicode text, kept apart from bytes that happen to be ASCII."""


class Json(str):
    """JSON text."""


class Simple(str):
    """A simple string."""


class Failure(Exception):
    """An error the server answered."""


class Client:
    def __init__(self, host, port):
        self.connection = socket.create_connection((host, port), timeout=10)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.connection.makefile("rb")

    def encode(self, value):
        if value is None:
            return b"$-1\r\n"
        if isinstance(value, Simple):
            return b"+%s\r\n" % value.encode()
        if isinstance(value, (Text, Json)):
            data = value.encode()
            return (b"^" if isinstance(value, Text) else b"@") + b"%d\r\n%s\r\n" % (len(data), data)
        if isinstance(value, str):
            value = value.encode()
        if isinstance(value, bytes):
            return b"$%d\r\n%s\r\n" % (len(value), value)
        if isinstance(value, (int, float)):
            return b":%s\r\n" % repr(value).encode()
        if isinstance(value, (list, tuple)):
            return b"*%d\r\n" % len(value) + b"".join(map(self.encode, value))
        if isinstance(value, dict):
            parts = [self.encode(part) for pair in value.items() for part in pair]
            return b"%%%d\r\n" % len(value) + b"".join(parts)
        if isinstance(value, (set, frozenset)):
            return b"&%d\r\n" % len(value) + b"".join(map(self.encode, value))
        raise TypeError(type(value))

    def answer(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Failure(rest.decode())
        if kind == b"+":
            return Simple(rest.decode())
        if kind == b":":
            return int(rest) if rest.lstrip(b"-").isdigit() else float(rest)
        count = int(rest)
        if kind in b"$^@":
            if count == -1:
                return None
            data = self.file.read(count + 2)
            assert data[count:] == b"\r\n", data
            data = data[:count]
            if kind == b"$":
                # A str of this client goes out as bytes and comes back as str.
                try:
                    return data.decode("ascii")
                except UnicodeDecodeError:
                    return data
            return (Text if kind == b"^" else Json)(data.decode())
        if kind == b"*":
            return [self.answer() for _ in range(count)]
        if kind == b"%":
            return dict([(self.answer(), self.answer()) for _ in range(count)])
        if kind == b"&":
            return {self.answer() for _ in range(count)}
        raise AssertionError(f"no type: {line!r}")

    def send(self, data):
        self.connection.sendall(data)

    def call(self, *words):
        self.send(self.encode(words))
        return self.answer()

    def __getattr__(self, name):
        return lambda *words: self.call(name.upper(), *words)


def same(found, expected):
    """Equal, and of the same types all the way down: 1 is not 1.0, text is not bytes."""
    if type(found) is not type(expected):
        return False
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    return found == expected


class Checks:
    def __init__(self):
        self.done = self.failed = 0

    def equal(self, found, expected, what=""):
        self.done += 1
        if not same(found, expected):
            self.failed += 1
            print(f"FAILED {what}: {found!r:.200}, not {expected!r:.200}")

    def fails(self, message, function, *arguments):
        self.done += 1
        try:
            found = function(*arguments)
        except Failure as failure:
            if str(failure) == message:
                return
            found = f"-{failure}"
        self.failed += 1
        print(f"FAILED: {found!r}, not the error {message!r}")


def transcript(db, check):
    db.flush()
    check.equal(db.mset("k1", "v1", "k2", ["v2-0", 1, "v2-2"], "k3", "v3"), 3, "mset")
    check.equal(db.get("k2"), ["v2-0", 1, "v2-2"], "get k2")
    check.equal(db.mget("k3", "k1"), ["v3", "v1"], "mget")
    check.equal(db.mget("k3", "none"), ["v3", None], "mget of a missing key")
    check.equal(db.delete("k1"), 1, "delete")
    check.equal(db.get("k1"), None, "get after delete")
    check.equal(db.delete("k1"), 0, "delete again")
    nested = {"vx": {"vy": 0, "vz": [1, 2, 3]}}
    check.equal(db.set("kx", nested), 1, "set")
    check.equal(db.get("kx"), nested, "get kx")
    check.equal(db.flush(), 3, "flush")
    check.fails("Unrecognized command: NAME", db.call, "NAME")
    check.fails("Missing command", db.call)


def bad_bytes(connect, check):
    for byte in (b"\x01", b"\x80", b"\xff"):
        db = connect()
        db.send(byte + b"\r\n")
        check.fails("bad request", db.answer)


def types(db, check):
    values = [
        None, "", "text", b"\x00\xff\r\n", Text("héll"), Text(""), Json("{}"), Json('{"a": [1]}'), Simple("simple"),
        0, -1, 2**63 - 1, -2**63, 2**200, 1.5, -0.25, 1e300, 1e-7, [], {}, set(), [[], [{}]], {1, 2}, {"k": [7]},
        {1: {2.5: {Text("x"): {"a", 1}}}}, "x" * 300_000, ["y" * 300_000, {"k": b"\xfe" * 20_000}],
        list(range(10_000)),
    ]
    for value in values:
        check.equal(db.set("k", value), 1, "set")
        check.equal(db.get("k"), value, "get")
        check.equal(db.mget("k", "none", "k"), [value, None, value], "mget")
    check.equal(db.mset({"a": [1], "b": {"c": 2}, "d": Text("é")}), 3, "mset of a dictionary")
    check.equal(db.mget("a", "b", "d"), [[1], {"c": 2}, Text("é")], "what it set")


def random_value(chance, depth=0):
    kind = chance.randrange(7 if depth > 4 else 10)
    if kind < 7:
        return chance.choice([
            None, chance.randrange(-2**63, 2**63), chance.randrange(100), chance.uniform(-1e9, 1e9),
            Text("é" * chance.randrange(9)), Json("[]"), Simple("s"), "b" * chance.randrange(300),
            b"\xff" + chance.randbytes(chance.randrange(20)),
        ])
    count = chance.randrange(6)
    if kind == 7:
        return [random_value(chance, depth + 1) for _ in range(count)]
    if kind == 8:
        return {f"k{n}": random_value(chance, depth + 1) for n in range(count)}
    return {chance.randrange(1000) for _ in range(count)}


def commands(db, check):
    db.flush()
    check.equal(db.exists("k"), 0)
    check.equal(db.setnx("k", "v"), 1)
    check.equal(db.setnx("k", "w"), 0)
    check.equal(db.exists("k"), 1)
    check.equal(db.append("k", "w"), "vw")
    check.equal(db.get("k"), "vw")
    check.equal(db.getset("k", [1]), "vw")
    check.equal(db.getset("none", 1), None)
    check.equal(db.pop("k"), [1])
    check.equal(db.pop("k"), None)
    check.equal([db.incr("n"), db.incrby("n", 41), db.decr("n"), db.decrby("n", 40)], [1, 42, 41, 1])
    check.equal(db.get("n"), 1)
    db.mset("a", 1, "b", {"x": 2})
    check.equal(db.mpop("a", "nope", "b"), [1, None, {"x": 2}])
    db.mset("a", 1, "b", 2)
    check.equal(db.mdelete("a", "b", "nope"), 2)
    check.equal(db.len(), 2)
    check.equal(db.setex("e", "v", 1), 1)
    check.equal(db.set("f", ["v"]), 1)
    check.equal(db.expire("f", 1), 1)
    check.equal(db.get("f"), ["v"])
    time.sleep(1.1)
    check.equal(db.mget("e", "f"), [None, None])
    check.equal(type(db.info()), dict)
    db.flushall()
    check.equal(db.len(), 0)
    db.send(b"SET line value\r\nGET line\r\n")
    check.equal([db.answer(), db.answer()], [1, "value"])


def pieces(connect, check):
    db = connect()
    request = db.encode(["SET", "k", {"a": [1, 2.5, {b"\xff"}]}]) + db.encode(["GET", "k"]) + b"GET k\r\n"
    for cut in range(len(request) + 1):
        db.send(request[:cut])
        time.sleep(0.001)
        db.send(request[cut:])
        expected = {"a": [1, 2.5, {b"\xff"}]}
        check.equal([db.answer(), db.answer(), db.answer()], [1, expected, expected], f"cut at {cut}")
    db.send(db.encode(["GET", "k"]) * 2000)
    check.equal([db.answer() for _ in range(2000)], [expected] * 2000, "pipeline")


def redis_door(db, resp, check):
    """What one door writes the other reads; RESP is framed alike, its answers are a part of the types here."""
    db.flush()
    for value, plain in [("v", "v"), (7, "7"), (1.5, "1.5"), (Text("abc"), "abc"), (Json("{}"), "{}")]:
        db.set("k", value)
        check.equal(resp.get("k"), plain)
        check.equal(resp.type("k"), Simple("string"))
    resp.call("SET", "k", "5")
    check.equal(db.get("k"), "5")
    db.set("k", {"a": [1, 2], "b": 1.5})
    check.equal(resp.type("k"), Simple("document"))
    check.equal(resp.get("k"), ["a", [1, 2], "b", "1.5"])
    check.fails("WRONGTYPE Operation against a key holding the wrong kind of value", resp.call, "STRLEN", "k")
    check.equal(resp.copy("k", "c"), 1)
    check.equal(db.get("c"), {"a": [1, 2], "b": 1.5})


def main():
    host, port = sys.argv[1], int(sys.argv[2])
    check = Checks()

    def connect():
        return Client(host, port)

    db = connect()
    transcript(db, check)
    bad_bytes(connect, check)
    types(db, check)
    chance = random.Random(1)
    for _ in range(500):
        value = random_value(chance)
        db.set("k", value)
        check.equal(db.get("k"), value, "random value")
    commands(db, check)
    pieces(connect, check)
    if len(sys.argv) > 3:
        redis_door(db, Client(host, int(sys.argv[3])), check)
    check.equal(db.quit(), 1, "quit")
    check.equal(db.file.read(), b"", "the end")
    print(f"{check.done} checks, {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
