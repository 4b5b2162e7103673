"""The front doors as their clients see them. scripts/doors runs this against the built server."""
import struct
import time
import unittest

import msgspec

from clients import KINDS, Failure, Kvstore, Msgpack, Resp, Simpledb
from server import DIALECTS, Server, Stream


class Doors(unittest.TestCase):
    """One server for all tests of a class; each test starts with no keys."""

    OPTIONS = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.OPTIONS)

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def open(self, name, unix=False, step=None):
        stream = Stream(self.server.connect(name, unix), step)
        self.addCleanup(stream.close)
        return KINDS[name](stream)

    def setUp(self):
        self.resp = self.open("resp")
        if not self.OPTIONS:
            self.resp.call("FLUSHALL")

    def fails(self, message, function, *arguments):
        with self.assertRaises(Failure) as caught:
            function(*arguments)
        self.assertIn(message, str(caught.exception))


class TestKvstore(Doors):
    def test_session(self):
        for unix in (False, True):
            client = self.open("kvstore", unix)
            self.fails("Key not found", client.get, "k")
            self.assertEqual(client.set("k", "wért"), "k")
            self.assertEqual(client.get("k"), "wért")
            self.assertEqual(client.clear("k"), "wért")
            self.assertEqual(client.clear("k"), "")
            self.assertEqual(client.ping(), "PONG")
            self.assertEqual(client.ping("hello"), "hello")

    def test_errors_to_the_byte(self):
        client = self.open("kvstore")
        client.stream.send(client.encode(0, "absent"))
        self.assertEqual(client.stream.read(19), b"\0\1\0\0\0\x0dKey not found")
        client.stream.send(client.encode(3, "") + struct.pack(">BH", 0, 77) + b"more")
        self.assertEqual(client.answer(), "PONG")
        self.fails("Unknown command number", client.answer)
        self.assertTrue(client.stream.is_closed())

    def test_pipelined_and_in_pieces(self):
        stream = b"".join(
            Kvstore.encode(1, f"k{n}", str(n) * n) + Kvstore.encode(0, f"k{n}") for n in range(40))
        for step in (None, 1, 2, 3, 7, 1000):
            client = self.open("kvstore", step=step)
            client.stream.send(stream)
            for number in range(40):
                self.assertEqual(client.answer(), f"k{number}")
                self.assertEqual(client.answer(), str(number) * number)

    def test_every_cut(self):
        stream = Kvstore.encode(1, "key", "value") + Kvstore.encode(0, "key")
        for cut in range(len(stream) + 1):
            client = self.open("kvstore", unix=True)
            client.stream.send(stream[:cut])
            time.sleep(0.002)
            client.stream.send(stream[cut:])
            self.assertEqual((client.answer(), client.answer()), ("key", "value"))


class TestMsgpack(Doors):
    def test_session(self):
        spec = {"packb": msgspec.msgpack.encode, "unpackb": msgspec.msgpack.decode}
        for options in ({}, spec):
            for unix in (False, True):
                client = Msgpack(self.open("msgpack", unix).stream, **options)
                self.assertIsNone(client.get("k"))
                self.assertIsNone(client.put("k", "wért"))
                self.assertEqual(client.get("k"), "wért")
                self.assertIsNone(client.delete("k"))
                self.assertIsNone(client.delete("k"))
                self.assertIsNone(client.get("k"))

    def test_lengths(self):
        client = self.open("msgpack")
        for length in (0, 1, 31, 32, 255, 256, 65535, 65536, 1 << 20, 5 << 20):
            client.put("k", "x" * length)
            self.assertEqual(client.get("k"), "x" * length)

    def test_bytes(self):
        client = self.open("msgpack")
        self.resp.call("SET", "k", "\udcff\0")
        self.assertEqual(client.get("k"), b"\xff\0")

    def test_what_is_no_request(self):
        client = self.open("msgpack")
        for request in (
            None, 1, [], {}, "Get", {"type": "Nope", "key": "k"}, {"type": "Get"}, {"key": "k"},
            {"type": "Get", "key": 1}, {"type": 1, "key": "k"}, {"type": "Put", "key": "k"},
            {"type": "Put", "key": "k", "val": ["v"]}, {"type": "Put", "key": "k", "val": None},
        ):
            self.fails("", client.call, request)
        self.fails("", client.call, {"type": "Del", "key": {}})
        data = client.packb({"type": "Get", "key": "k"}) + b"\xc0"
        client.stream.send(struct.pack(">I", len(data)) + data)
        self.fails("trailing", client.answer)
        client.stream.send(struct.pack(">I", 0))
        self.fails("", client.answer)
        # Other fields do not matter, and the connection is still there.
        self.assertIsNone(client.call({"x": [{}, 1.5], "type": "Get", "key": "k", "y": None}))

    def test_a_length_above_the_limit_closes(self):
        client = self.open("msgpack")
        client.stream.send(b"\xff\xff\xff\xff")
        self.fails("long", client.answer)
        self.assertTrue(client.stream.is_closed())

    def test_pipelined_and_in_pieces(self):
        encode = self.open("msgpack").encode
        stream = b"".join(
            encode({"type": "Put", "key": f"k{n}", "val": str(n) * n}) + encode({"type": "Get", "key": f"k{n}"})
            for n in range(40))
        for step in (None, 1, 3, 7, 1000):
            client = self.open("msgpack", step=step)
            client.stream.send(stream)
            for number in range(40):
                self.assertIsNone(client.answer())
                self.assertEqual(client.answer(), str(number) * number)

    def test_more_requests_than_a_turn_takes(self):
        client = self.open("msgpack")
        count = 5000
        client.stream.send(client.encode({"type": "Get", "key": "k"}) * count)
        self.assertEqual([client.answer() for _ in range(count)], [None] * count)


class TestSimpledb(Doors):
    def test_transcript(self):
        for unix in (False, True):
            db = self.open("simpledb", unix)
            self.assertEqual(db.call("MSET", "k1", "v1", "k2", ["v2-0", 1, "v2-2"], "k3", "v3"), 3)
            self.assertEqual(db.call("GET", "k2"), ["v2-0", 1, "v2-2"])
            self.assertEqual(db.call("MGET", "k3", "k1"), ["v3", "v1"])
            self.assertEqual(db.call("MGET", "k3", "none"), ["v3", None])
            self.assertEqual(db.call("DELETE", "k1"), 1)
            self.assertIsNone(db.call("GET", "k1"))
            self.assertEqual(db.call("DELETE", "k1"), 0)
            nested = {"vx": {"vy": 0, "vz": [1, 2, 3]}}
            self.assertEqual(db.call("SET", "kx", nested), 1)
            self.assertEqual(db.call("GET", "kx"), nested)
            self.assertEqual(db.call("FLUSH"), 3)
            self.fails("Unrecognized command: NOPE", db.call, "NOPE")
            self.fails("Missing command", db.call)


class TestTogether(Doors):
    def test_what_one_writes_the_others_read(self):
        readers = {
            "resp": lambda client, key: client.call("GET", key),
            "msgpack": lambda client, key: client.get(key),
            "kvstore": lambda client, key: client.get(key),
            "simpledb": lambda client, key: client.call("GET", key),
        }
        writers = {
            "resp": lambda client, key, value: client.call("SET", key, value),
            "msgpack": lambda client, key, value: client.put(key, value),
            "kvstore": lambda client, key, value: client.set(key, value),
            "simpledb": lambda client, key, value: client.call("SET", key, value),
        }
        clients = {name: self.open(name) for name in readers}
        for writer, write in writers.items():
            for value in ("", "text", "wért", "-17", "x" * 100_000):
                write(clients[writer], "k", value)
                for reader, read in readers.items():
                    self.assertEqual(read(clients[reader], "k"), value, f"{writer} to {reader}")

    def test_observation(self):
        msgpack, kvstore = self.open("msgpack"), self.open("kvstore")
        monitor = self.open("resp")
        monitor.call("MONITOR")
        self.resp.call("CONFIG", "RESETSTAT")
        self.resp.call("CONFIG", "SET", "slowlog-log-slower-than", 0)
        msgpack.put("k", "v")
        msgpack.get("k")
        kvstore.clear("k")
        self.resp.call("CONFIG", "SET", "slowlog-log-slower-than", 10000)
        lines = [monitor.stream.line().decode() for _ in range(3)]
        for line, shown in zip(lines, ('"set" "k" "v"', '"get" "k"', '"getdel" "k"')):
            self.assertTrue(line.endswith(shown), line)
        slow = [entry[3] for entry in self.resp.call("SLOWLOG", "GET", 10)]
        for words in (["set", "k", "v"], ["get", "k"], ["getdel", "k"]):
            self.assertIn(words, slow)
        info = self.resp.call("INFO", "everything")
        for line in ("cmdstat_set:calls=1,", "cmdstat_get:calls=1,", "cmdstat_getdel:calls=1,"):
            self.assertIn(line, info)
        clients = self.resp.call("CLIENT", "LIST")
        self.assertIn("cmd=get ", clients)
        self.assertIn("cmd=getdel ", clients)

    def test_pause(self):
        msgpack, kvstore = self.open("msgpack"), self.open("kvstore")
        self.resp.call("CLIENT", "PAUSE", 300, "WRITE")
        started = time.monotonic()
        self.assertEqual(kvstore.ping(), "PONG")
        self.assertIsNone(msgpack.get("k"))
        self.assertLess(time.monotonic() - started, 0.2)
        msgpack.stream.send(msgpack.encode({"type": "Put", "key": "k", "val": "v"}) + msgpack.encode(
            {"type": "Get", "key": "k"}))
        kvstore.stream.send(Kvstore.encode(1, "l", "w") + struct.pack(">BH", 0, 9))
        self.assertEqual([msgpack.answer(), msgpack.answer(), kvstore.answer()], [None, "v", "l"])
        self.assertGreater(time.monotonic() - started, 0.28)
        self.fails("Unknown command number", kvstore.answer)
        self.assertTrue(kvstore.stream.is_closed())

    def test_clients_can_be_killed(self):
        client = self.open("kvstore")
        client.ping()
        found = [line for line in self.resp.call("CLIENT", "LIST").splitlines() if "cmd=ping" in line]
        self.assertEqual(len(found), 1)
        number = found[0].split()[0].split("=")[1]
        self.assertEqual(self.resp.call("CLIENT", "KILL", "ID", number), 1)
        self.assertTrue(client.stream.is_closed())

    def test_expired_keys_are_gone_at_every_door(self):
        self.resp.call("SET", "k", "v", "PX", 20)
        time.sleep(0.05)
        self.assertIsNone(self.open("msgpack").get("k"))
        self.fails("Key not found", self.open("kvstore").get, "k")

    def test_memory_is_for_what_was_sent(self):
        before = self.server.resident_bytes()
        heads = {
            "msgpack": struct.pack(">I", 500 << 20) + b"\xdf\xff\xff\xff\xff",
            "kvstore": struct.pack(">BHI", 0, 0, 500 << 20),
        }
        for name, head in heads.items():
            for _ in range(100):
                self.open(name).stream.send(head + b"x" * 100)
        # One whose announced array is long although the frame is short.
        client = self.open("msgpack")
        for body in (b"\xdd\xff\xff\xff\xff", b"\x91" * 100_000, b"\xdf\xff\xff\xff\xff" + b"\x01" * 1000):
            client.stream.send(struct.pack(">I", len(body)) + body)
            self.fails("", client.answer)
        self.assertLess(self.server.resident_bytes() - before, 16 << 20)

    def test_addresses(self):
        listening = [line for line in self.server.started if "Listening on" in line]
        for name in DIALECTS:
            self.assertIn("%s://%s:%d" % (name, *self.server.address[name]), listening[0])
            self.assertIn(f"{name}+unix://{self.server.path[name]}", listening[0])
        shown = self.resp.call("CONFIG", "GET", "listen")[1].split()
        self.assertEqual(len(shown), 8)
        # CONFIG SET port moves the Redis door only.
        self.resp.call("CONFIG", "SET", "port", "0")
        self.assertEqual(self.open("kvstore").ping(), "PONG")
        self.assertEqual(self.open("resp").call("PING"), "PONG")


class TestPassword(Doors):
    OPTIONS = ("--requirepass", "secret")

    def test_doors_without_auth_refuse_and_close(self):
        for name, ask in (
            ("msgpack", lambda client: client.get("k")),
            ("kvstore", lambda client: client.get("k")),
            ("simpledb", lambda client: client.call("GET", "k")),
        ):
            client = self.open(name)
            self.fails("NOAUTH Authentication required.", ask, client)
            self.assertTrue(client.stream.is_closed(), name)
        self.assertEqual(self.resp.call("AUTH", "secret"), "OK")

    def test_nothing_long_from_strangers(self):
        client = self.open("msgpack")
        client.stream.send(struct.pack(">I", 20_000))
        self.fails("long", client.answer)


class TestLimits(Doors):
    OPTIONS = ("--maxclients", "3", "--client-query-buffer-limit", "1mb", "--proto-max-bulk-len", "1mb")

    def setUp(self):
        # Who has just left may still count.
        for _ in range(500):
            self.resp = self.open("resp")
            try:
                if "connected_clients:1\r" in self.resp.call("INFO", "clients"):
                    return
            except (Failure, OSError, EOFError):
                pass
            self.resp.stream.close()
            time.sleep(0.01)
        self.fail("the clients of another test stay")

    def check_too_many(self, name, ask):
        for client in [self.open(name), self.open(name)]:
            ask(client)
        self.fails("max number of clients reached", self.open(name).answer)

    def test_too_many_msgpack(self):
        self.check_too_many("msgpack", lambda client: client.get("k"))

    def test_too_many_kvstore(self):
        self.check_too_many("kvstore", lambda client: client.ping())

    def test_too_many_simpledb(self):
        self.check_too_many("simpledb", lambda client: client.call("GET", "k"))

    def test_too_long(self):
        client = self.open("kvstore")
        client.stream.send(Kvstore.encode(1, "k", "x" * (1 << 20)))
        self.fails("Request too long", client.answer)


if __name__ == "__main__":
    unittest.main()
