"""The front doors as one would write them in an evening: asyncio streams and a dict. scripts/doors-speed compares."""
import asyncio
import struct
import sys

import msgpack

DATA = {}


async def kvstore(reader, writer):
    async def text():
        (length,) = struct.unpack(">I", await reader.readexactly(4))
        return (await reader.readexactly(length)).decode()

    def answer(status, found):
        data = found.encode()
        writer.write(struct.pack(">BBI", 0, status, len(data)) + data)

    while True:
        _, number = struct.unpack(">BH", await reader.readexactly(3))
        key = await text()
        if number == 0:
            answer(*((0, DATA[key]) if key in DATA else (1, "Key not found")))
        elif number == 1:
            DATA[key] = await text()
            answer(0, key)
        elif number == 2:
            answer(0, DATA.pop(key, ""))
        else:
            answer(0, key or "PONG")
        await writer.drain()


async def msgpack_door(reader, writer):
    while True:
        (length,) = struct.unpack(">I", await reader.readexactly(4))
        request = msgpack.unpackb(await reader.readexactly(length))
        found = None
        if request["type"] == "Get":
            found = DATA.get(request["key"])
        elif request["type"] == "Put":
            DATA[request["key"]] = request["val"]
        else:
            DATA.pop(request["key"], None)
        data = msgpack.packb(found)
        writer.write(struct.pack(">I", len(data)) + data)
        await writer.drain()


async def simpledb(reader, writer):
    async def read():
        line = (await reader.readline())[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            data = await reader.readexactly(int(rest) + 2)
            return data[:-2]
        if kind == b":":
            return int(rest)
        if kind == b"*":
            return [await read() for _ in range(int(rest))]
        if kind == b"%":
            return {await read(): await read() for _ in range(int(rest))}
        return rest.decode()

    def encode(value):
        if value is None:
            return b"$-1\r\n"
        if isinstance(value, bytes):
            return b"$%d\r\n%s\r\n" % (len(value), value)
        if isinstance(value, int):
            return b":%d\r\n" % value
        if isinstance(value, list):
            return b"*%d\r\n" % len(value) + b"".join(map(encode, value))
        pairs = b"".join(encode(part) for pair in value.items() for part in pair)
        return b"%%%d\r\n" % len(value) + pairs

    while True:
        name, *words = await read()
        if name.upper() == b"SET":
            DATA[words[0]] = words[1]
            found = 1
        else:
            found = DATA.get(words[0])
        writer.write(encode(found))
        await writer.drain()


SERVERS = {"kvstore": kvstore, "msgpack": msgpack_door, "simpledb": simpledb}


async def main(name, port):
    async def serve(reader, writer):
        try:
            await SERVERS[name](reader, writer)
        except (asyncio.IncompleteReadError, ConnectionResetError, ValueError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
