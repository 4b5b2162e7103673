"""Request rates of the front doors beside those of plain asyncio servers (plain_servers.py).

One core for the server, another for this client, which keeps 20 connections busy with ready-made requests: 32-byte
values under 10,000 keys, read and written in turn, in pipelines of the given length. Printed are requests a second, what a
second of the server's CPU time would do (the figure where this client is the slower one), and the ratios of both.
"""
import argparse
import os
import random
import selectors
import socket
import struct
import subprocess
import sys
import time

import msgpack
from clients import KINDS
from server import PROGRAM, free_port

CONNECTIONS = 20
VALUE = "v" * 32
KEYS = 10_000


def requests(name):
    """Encoders of a write and a read, with the lengths of their answers."""
    encode = KINDS[name](None).encode
    if name == "kvstore":
        return (lambda k: encode(1, k, VALUE), 6 + 9), (lambda k: encode(0, k), 6 + 32)
    if name == "msgpack":
        answer = 4 + len(msgpack.packb(VALUE))
        return (lambda k: encode({"type": "Put", "key": k, "val": VALUE}), 5), (
            lambda k: encode({"type": "Get", "key": k}), answer)
    return (lambda k: encode(["SET", k, VALUE]), 4), (lambda k: encode(["GET", k]), len(encode(VALUE)))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/schedstat") as figures:
        return int(figures.read().split()[0]) / 1e9


def run(address, name, pipeline, seconds, pid):
    """Requests a second, and requests per second of the server's CPU time."""
    dice = random.Random(1)
    (write, write_length), (read, read_length) = requests(name)
    keys = ["key:%05d" % number for number in range(KEYS)]
    with socket.create_connection(address) as filler:
        filler.sendall(b"".join(map(write, keys)))
        left = write_length * KEYS
        while left:
            left -= len(filler.recv(left))
    pieces = []
    for number in range(max(64, 4000 // pipeline)):
        is_write = [(number + place) % 2 for place in range(pipeline)]
        data = b"".join((write if w else read)(dice.choice(keys)) for w in is_write)
        pieces.append((data, sum(write_length if w else read_length for w in is_write)))
    selector = selectors.DefaultSelector()
    turn = 0
    for _ in range(CONNECTIONS):
        connection = socket.create_connection(address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        state = [0]
        selector.register(connection, selectors.EVENT_READ, state)
        data, state[0] = pieces[turn % len(pieces)]
        turn += 1
        connection.sendall(data)
    done, started, cpu = 0, time.perf_counter(), cpu_seconds(pid)
    until = started + seconds
    while time.perf_counter() < until:
        for key, _ in selector.select(5):
            connection, state = key.fileobj, key.data
            state[0] -= len(connection.recv(1 << 20))
            if state[0] == 0:
                done += pipeline
                data, state[0] = pieces[turn % len(pieces)]
                turn += 1
                connection.sendall(data)
            assert state[0] >= 0, "longer answers than expected"
    elapsed, cpu = time.perf_counter() - started, cpu_seconds(pid) - cpu
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    return done / elapsed, done / cpu


def start(command, port):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, {0}))
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise AssertionError(f"{command} does not listen")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2, help="of each run")
    parser.add_argument("--pipelines", default="1,16,64", help="requests sent at once")
    parser.add_argument("--doors", default="simpledb,msgpack,kvstore")
    options = parser.parse_args()
    if os.cpu_count() > 1:
        os.sched_setaffinity(0, {1})
    plain_script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plain_servers.py")
    print(f"{'door':10}{'pipeline':>9}{'asyncio':>12}{'Rufous':>12}{'ratio':>8}   per CPU second:{'asyncio':>10}{'Rufous':>12}{'ratio':>8}")
    for name in options.doors.split(","):
        for pipeline in map(int, options.pipelines.split(",")):
            rates = []
            for is_ours in (False, True):
                port = free_port()
                listen = f"{name}://127.0.0.1:{port}"
                ours = [PROGRAM, "--port", "0", "--save", "", "--listen", listen]
                process = start(ours if is_ours else [sys.executable, plain_script, name, str(port)], port)
                try:
                    rates.append(run(("127.0.0.1", port), name, pipeline, options.seconds, process.pid))
                finally:
                    process.kill()
                    process.wait()
            (plain, plain_cpu), (ours, ours_cpu) = rates
            print(f"{name:10}{pipeline:9}{plain:12,.0f}{ours:12,.0f}{ours / plain:8.1f}                  "
                  f"{plain_cpu:10,.0f}{ours_cpu:12,.0f}{ours_cpu / plain_cpu:8.1f}", flush=True)


if __name__ == "__main__":
    main()
