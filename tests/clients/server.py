"""A Rufous server for one test: free ports, all four doors, over TCP and over Unix sockets."""
import os
import socket
import subprocess
import tempfile
import time

PROGRAM = os.environ.get("RUFOUS", "target/debug/rufous")
DIALECTS = ("resp", "simpledb", "msgpack", "kvstore")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """Running while the `with` block does. `address[name]` is a TCP address, `path[name]` a Unix socket."""

    def __init__(self, *options):
        self.folder = tempfile.TemporaryDirectory(prefix="rufous-doors-")
        self.address = {name: ("127.0.0.1", free_port()) for name in DIALECTS}
        self.path = {name: f"{self.folder.name}/{name}.sock" for name in DIALECTS}
        command = [PROGRAM, "--port", "0", "--dir", self.folder.name]
        for name in DIALECTS:
            command += ["--listen", "%s://%s:%d" % (name, *self.address[name])]
            command += ["--listen", f"{name}+unix://{self.path[name]}"]
        self.process = subprocess.Popen(
            command + list(options), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.started = []
        for line in self.process.stdout:
            self.started.append(line)
            if "eady to accept connections" in line:
                return
        raise AssertionError("the server ended: " + "".join(self.started))

    def connect(self, name, unix=False):
        """A connected socket."""
        kind, place = (socket.AF_UNIX, self.path[name]) if unix else (socket.AF_INET, self.address[name])
        connection = socket.socket(kind)
        connection.settimeout(10)
        connection.connect(place)
        return connection

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as figures:
            return int(figures.read().split()[1]) * 4096

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()
        self.folder.cleanup()


class Stream:
    """A socket that sends in pieces of `step` bytes, if asked to, and reads exactly what is wanted."""

    def __init__(self, connection, step=None):
        self.connection = connection
        self.step = step
        self.buffer = b""
        if step and connection.family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        step = self.step or len(data) or 1
        for start in range(0, len(data), step):
            self.connection.sendall(data[start:start + step])
            if self.step:
                time.sleep(0.0002)

    def read(self, count):
        while len(self.buffer) < count:
            more = self.connection.recv(65536)
            if not more:
                raise EOFError
            self.buffer += more
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def line(self):
        while b"\r\n" not in self.buffer:
            more = self.connection.recv(65536)
            if not more:
                raise EOFError
            self.buffer += more
        taken, self.buffer = self.buffer.split(b"\r\n", 1)
        return taken

    def is_closed(self):
        """Whether the server closes now."""
        try:
            return not self.buffer and not self.connection.recv(1)
        except ConnectionResetError:
            return True

    def close(self):
        self.connection.close()
