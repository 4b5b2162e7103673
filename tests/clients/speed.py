"""Request rates of the front doors beside those of plain asyncio servers (plain_servers.py).

One core for the server, another for the client (examples/load.rs), which keeps 20 connections busy with ready-made
requests and compares every answer: 32-byte values under 10,000 keys, read and written in turn, in pipelines of the given
length. The two servers take turns, a few rounds each; the medians are printed: requests a second, how busy the server's
core was, what a second of the server's CPU time would do (the figure where the client is the slower one, or the
machine has other work), and the ratios of both.

`floor` is the server that does nothing (examples/floor.rs): one read and one write per pipeline over loopback, and what
the kernel takes for them. No server on this machine does more, whatever its language; unpipelined it is only some five
times asyncio's.
"""
import argparse
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import msgpack
from clients import KINDS
from server import PROGRAM, free_port

LOAD = os.environ.get("LOAD", "target/release/examples/load")
FLOOR = os.environ.get("FLOOR", "target/release/examples/floor")
CONNECTIONS = 20
VALUE = "v" * 32
KEYS = ["key:%05d" % number for number in range(10_000)]


def requests(name):
    """Functions that give a write and its answer, and a read and its answer, once all keys are written."""
    if name == "floor":
        return 2 * (lambda k: (b"*2\r\n$3\r\nGET\r\n$9\r\n%s\r\n" % k.encode(), b"+OK\r\n"),)
    encode = KINDS[name](None).encode
    if name == "kvstore":
        answer = lambda text: struct.pack(">BBI", 0, 0, len(text)) + text.encode()
        return lambda k: (encode(1, k, VALUE), answer(k)), lambda k: (encode(0, k), answer(VALUE))
    if name == "msgpack":
        framed = lambda value: struct.pack(">I", len(msgpack.packb(value))) + msgpack.packb(value)
        return (lambda k: (encode({"type": "Put", "key": k, "val": VALUE}), framed(None)),
                lambda k: (encode({"type": "Get", "key": k}), framed(VALUE)))
    return lambda k: (encode(["SET", k, VALUE]), encode(1)), lambda k: (encode(["GET", k]), encode(VALUE))


def write_pieces(path, name, pipeline):
    """What the client sends, and what it is to get."""
    dice = random.Random(1)
    write, read = requests(name)
    with open(path, "wb") as file:
        for number in range(max(64, 4000 // pipeline)):
            calls = [((write, read)[(number + place) % 2])(dice.choice(KEYS)) for place in range(pipeline)]
            for part in map(b"".join, zip(*calls)):
                file.write(struct.pack("<I", len(part)) + part)


def fill(port, name):
    """Writes all keys."""
    write, _ = requests(name)
    calls = [write(key) for key in KEYS]
    with socket.create_connection(("127.0.0.1", port)) as filler:
        filler.sendall(b"".join(call for call, _ in calls))
        left = sum(len(answer) for _, answer in calls)
        while left:
            left -= len(filler.recv(left))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/schedstat") as figures:
        return int(figures.read().split()[0]) / 1e9


def run(port, path, pipeline, seconds, pid):
    """Requests a second, and requests per second of the server's CPU time."""
    command = [LOAD, f"127.0.0.1:{port}", path, str(CONNECTIONS), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout.readline() == "started\n", "see the error above"
        cpu = cpu_seconds(pid)
        pieces, nanoseconds = map(int, load.stdout.readline().split())
        cpu = cpu_seconds(pid) - cpu
    return pieces * pipeline / nanoseconds * 1e9, pieces * pipeline / cpu


def start(command, port):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, {0}))
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise AssertionError(f"{command} does not listen")


def commands(name, ports):
    """The servers to compare."""
    if name == "floor":
        return [[FLOOR, str(ports[0])]]
    plain_script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plain_servers.py")
    ours = [PROGRAM, "--port", "0", "--save", "", "--listen", f"{name}://127.0.0.1:{ports[1]}"]
    return [[sys.executable, plain_script, name, str(ports[0])], ours]


def measure(name, pipeline, options, path):
    """One line of the table."""
    write_pieces(path, name, pipeline)
    ports = [free_port(), free_port()]
    servers = [(port, start(command, port)) for port, command in zip(ports, commands(name, ports))]
    try:
        for port, _ in servers:
            fill(port, name)
        rounds = [[run(port, path, pipeline, options.seconds, server.pid) for port, server in servers]
                  for _ in range(options.rounds)]
    finally:
        for _, server in servers:
            server.kill()
            server.wait()
    found = [[statistics.median(figures) for figures in zip(*runs)] for runs in zip(*rounds)]
    ours, ours_cpu = found[-1]
    if len(found) == 1:
        print(f"{name:10}{pipeline:9}{'':19}{ours:13,.0f}{ours / ours_cpu:7.0%}{'':27}{ours_cpu:13,.0f}", flush=True)
        return
    plain, plain_cpu = found[0]
    print(f"{name:10}{pipeline:9}{plain:12,.0f}{plain / plain_cpu:7.0%}{ours:13,.0f}{ours / ours_cpu:7.0%}{ours / plain:8.1f}"
          f"{plain_cpu:19,.0f}{ours_cpu:13,.0f}{ours_cpu / plain_cpu:8.1f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2, help="of each run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each server; the median counts")
    parser.add_argument("--pipelines", default="1,16,64", help="requests sent at once")
    parser.add_argument("--doors", default="simpledb,msgpack,kvstore,floor")
    options = parser.parse_args()
    if os.cpu_count() > 1:
        os.sched_setaffinity(0, {1})
    print(f"{'':19}{'requests a second (how busy)':^39}{'':8}{'per CPU second':^32}")
    print(f"{'door':10}{'pipeline':>9}{'asyncio':>12}{'':7}{'Rufous':>13}{'':7}{'ratio':>8}{'asyncio':>19}{'Rufous':>13}{'ratio':>8}")
    with tempfile.TemporaryDirectory(prefix="rufous-speed-") as folder:
        for name in options.doors.split(","):
            for pipeline in map(int, options.pipelines.split(",")):
                measure(name, pipeline, options, os.path.join(folder, "pieces"))


if __name__ == "__main__":
    main()
