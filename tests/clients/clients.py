"""One client per dialect, each written from its description alone; msgpack from PyPI does the encoding."""
import struct

import msgpack


class Failure(Exception):
    """An error the server answered."""


class Kvstore:
    """`str` is a u32 length and UTF-8; a request is a 0, a u16 and its arguments."""

    def __init__(self, stream):
        self.stream = stream

    @staticmethod
    def encode(number, *arguments):
        frame = struct.pack(">BH", 0, number)
        for argument in arguments:
            data = argument.encode()
            frame += struct.pack(">I", len(data)) + data
        return frame

    def answer(self):
        header, status, length = struct.unpack(">BBI", self.stream.read(6))
        assert header == 0 and status in (0, 1), (header, status)
        text = self.stream.read(length).decode()
        if status:
            raise Failure(text)
        return text

    def call(self, number, *arguments):
        self.stream.send(self.encode(number, *arguments))
        return self.answer()

    def get(self, key):
        return self.call(0, key)

    def set(self, key, value):
        return self.call(1, key, value)

    def clear(self, key):
        return self.call(2, key)

    def ping(self, message=""):
        return self.call(3, message)


class Msgpack:
    """A u32 length, then one object."""

    def __init__(self, stream, packb=msgpack.packb, unpackb=msgpack.unpackb):
        self.stream, self.packb, self.unpackb = stream, packb, unpackb

    def encode(self, request):
        data = self.packb(request)
        return struct.pack(">I", len(data)) + data

    def answer(self):
        (length,) = struct.unpack(">I", self.stream.read(4))
        found = self.unpackb(self.stream.read(length))
        if isinstance(found, dict):
            assert found["type"] == "Error", found
            raise Failure(found["message"])
        return found

    def call(self, request):
        self.stream.send(self.encode(request))
        return self.answer()

    def get(self, key):
        return self.call({"type": "Get", "key": key})

    def put(self, key, value):
        return self.call({"type": "Put", "key": key, "val": value})

    def delete(self, key):
        return self.call({"key": key, "type": "Del"})


class Simpledb:
    """RESP framing with more types: str as `$`, numbers as `:`, list as `*`, dict as `%`, set as `&`."""

    def __init__(self, stream):
        self.stream = stream

    def encode(self, value):
        if value is None:
            return b"$-1\r\n"
        if isinstance(value, bytes):
            return b"$%d\r\n%s\r\n" % (len(value), value)
        if isinstance(value, str):
            data = value.encode()
            return (b"$%d\r\n%s\r\n" if value.isascii() else b"^%d\r\n%s\r\n") % (len(data), data)
        if isinstance(value, (int, float)):
            return b":%s\r\n" % repr(value).encode()
        if isinstance(value, (list, tuple)):
            return b"*%d\r\n" % len(value) + b"".join(map(self.encode, value))
        if isinstance(value, dict):
            pairs = b"".join(self.encode(part) for pair in value.items() for part in pair)
            return b"%%%d\r\n" % len(value) + pairs
        if isinstance(value, (set, frozenset)):
            return b"&%d\r\n" % len(value) + b"".join(map(self.encode, value))
        raise TypeError(type(value))

    def answer(self):
        line = self.stream.line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise Failure(rest.decode())
        if kind == b":":
            return float(rest) if b"." in rest or b"e" in rest else int(rest)
        count = int(rest)
        if kind in (b"$", b"^", b"@"):
            if count < 0:
                return None
            data = self.stream.read(count)
            assert self.stream.read(2) == b"\r\n"
            if kind != b"$":
                return data.decode()
            try:
                return data.decode()
            except UnicodeDecodeError:
                return data
        if kind == b"*":
            return [self.answer() for _ in range(count)]
        if kind == b"%":
            return {self.answer(): self.answer() for _ in range(count)}
        if kind == b"&":
            return {self.answer() for _ in range(count)}
        raise AssertionError(f"no answer: {line!r}")

    def call(self, *words):
        self.stream.send(self.encode(list(words)))
        return self.answer()


class Resp:
    """Enough of RESP2 to look at what the other doors do."""

    def __init__(self, stream):
        self.stream = stream

    def answer(self):
        line = self.stream.line()
        kind, rest = line[:1], line[1:].decode()
        if kind == b"-":
            raise Failure(rest)
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if int(rest) < 0:
            return None
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        data = self.stream.read(int(rest) + 2)[:-2]
        return data.decode(errors="surrogateescape")

    def call(self, *words):
        parts = [str(word).encode(errors="surrogateescape") for word in words]
        self.stream.send(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        return self.answer()


KINDS = {"resp": Resp, "simpledb": Simpledb, "msgpack": Msgpack, "kvstore": Kvstore}
