"""What scripts/compare needs of the machine: servers to start, their CPU time, RESP, and pictures.

Everything is in the standard library of Python 3. One server runs on one core and the client on another, so
neither takes the other's time; where the machine has a single core, both share it and the result says so.
"""
import math
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NO_SAVING = ["--save", "", "--appendonly", "no"]
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[1] if len(CORES) > 1 else CORES[0]

# name -> command line; `None` where the program is not there. The order is that of the tables.
PEERS = {
    "floor": lambda port: [f"{ROOT}/target/release/examples/floor", str(port)],
    "rufous": lambda port: [f"{ROOT}/target/release/rufous", "--port", str(port), *NO_SAVING],
    "redis-server": lambda port: ["redis-server", "--port", str(port), *NO_SAVING],
    "valkey-server": lambda port: ["valkey-server", "--port", str(port), *NO_SAVING],
    "pogocache": lambda port: ["pogocache", "-p", str(port), "--threads", "1"],
}


def note(text):
    """Progress, on standard error: standard output is for results."""
    print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def end_note():
    print("\r\033[K", end="", file=sys.stderr, flush=True)


def build():
    print("building (release)", file=sys.stderr, flush=True)
    command = ["cargo", "build", "--release", "--quiet", "--bin", "rufous", "--example", "floor"]
    subprocess.run(command, cwd=ROOT, check=True)


def available(names):
    """The peers among `names` that can be started; says which cannot."""
    found = []
    for name in names:
        if name not in PEERS:
            sys.exit(f"no server is called {name}; there are {', '.join(PEERS)}")
        if shutil.which(PEERS[name](0)[0]):
            found.append(name)
        else:
            print(f"{name}: not found, left out", file=sys.stderr)
    if shutil.which("memcached"):
        print("memcached: speaks no RESP, so redis-benchmark cannot drive it; left out", file=sys.stderr)
    return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server of its own on the server core, in an empty directory; ends with the `with` block."""

    def __init__(self, name):
        self.name, self.port = name, free_port()

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory()
        command = ["taskset", "-c", str(SERVER_CORE), *PEERS[self.name](self.port)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, cwd=self.directory.name, **quiet)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        self.__exit__()
        sys.exit(f"{self.name} does not listen on port {self.port}")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.directory.cleanup()

    def cpu_seconds(self):
        """Time its threads have spent on a core, in the kernel and outside."""
        tasks = f"/proc/{self.process.pid}/task"
        try:
            nanos = 0
            for task in os.listdir(tasks):
                with open(f"{tasks}/{task}/schedstat") as file:
                    nanos += int(file.read().split()[0])
            return nanos / 1e9
        except FileNotFoundError:
            # A kernel without scheduler statistics: the same in steps of 10 ms.
            with open(f"/proc/{self.process.pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            line = next(line for line in file if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024


def encode(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


class Client:
    """A connection that pipelines; an error is raised, other replies are skipped unless they are asked for."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", 1 << 20)

    def __call__(self, *words):
        return self.raw(encode(*words))

    def raw(self, request):
        """Sends one request that is encoded already."""
        self.socket.sendall(request)
        return self.skip()

    def ask(self, *words):
        """The reply: bytes, int, None, or a list of them."""
        self.socket.sendall(encode(*words))
        return self.value()

    def figure(self, field):
        """A number in INFO; 0 where there is none of this name."""
        found = re.search(rb"^%s:(\d+)" % field.encode(), self.ask("INFO"), re.MULTILINE)
        return int(found.group(1)) if found else 0

    def pipeline(self, commands, depth=200):
        batch = []
        for command in commands:
            batch.append(encode(*command))
            if len(batch) == depth:
                self.exchange(batch)
                batch = []
        self.exchange(batch)

    def exchange(self, batch):
        self.socket.sendall(b"".join(batch))
        for _ in batch:
            self.skip()

    def value(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"*":
            return [self.value() for _ in range(int(rest))]
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if not line:
            raise RuntimeError("the server closed the connection")
        return int(rest) if kind == b":" else rest

    def skip(self):
        line = self.file.readline()
        if line[:1] in (b"*", b"~", b">", b"%"):
            for _ in range(int(line[1:]) * (2 if line[:1] == b"%" else 1)):
                self.skip()
        elif line[:1] == b"$" and line[1:2] != b"-":
            self.file.read(int(line[1:]) + 2)
        elif line[:1] == b"-":
            raise RuntimeError(line.decode().strip())
        elif not line:
            raise RuntimeError("the server closed the connection")
        return line


def machine():
    """One line about where the numbers are from."""
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "?")
    shared = "" if SERVER_CORE != CLIENT_CORE else "; one core only, shared by server and client"
    return f"{model}, {len(CORES)} cores, Linux {os.uname().release}{shared}"


def median(values):
    return statistics.median(values)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


# Pictures: one hue per server, the project's in the strongest; grey for the floor.
COLOURS = {
    "floor": "#b8b8b8",
    "rufous": "#c2410c",
    "redis-server": "#5b7aa6",
    "valkey-server": "#7d9fc4",
    "pogocache": "#8aa17e",
}


def bars(title, subtitle, groups, path, unit="", digits=0):
    """Writes horizontal bars as SVG. `groups`: list of (label, list of (server, value))."""
    row, gap, left, width, top = 20, 16, 150, 760, 74
    biggest = max((value for _, rows in groups for _, value in rows), default=1) or 1
    step = 10 ** math.floor(math.log10(biggest))
    step = next(s for s in (step / 5, step / 2, step, step * 2) if biggest / s <= 6)
    scale = (width - left - 140) / biggest
    height = top + sum(len(rows) * row + gap for _, rows in groups) + 26
    show = lambda value: f"{value:,.{digits}f}{unit}"
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="26" font-size="16" font-weight="600" fill="#1c1917">{escape(title)}</text>',
        f'<text x="16" y="45" fill="#78716c">{escape(subtitle)}</text>',
    ]
    bottom, mark = height - 26, 0
    while mark <= biggest:
        x = left + mark * scale
        out.append(f'<line x1="{x:.1f}" y1="{top - 12}" x2="{x:.1f}" y2="{bottom}" stroke="#e7e5e4"/>')
        label = f"{mark:,.0f}" if step >= 1 else f"{mark:,.1f}"
        out.append(f'<text x="{x:.1f}" y="{bottom + 16}" fill="#a8a29e" text-anchor="middle">{label}</text>')
        mark += step
    y = top
    for label, rows in groups:
        middle = y + len(rows) * row / 2 + 4
        out.append(f'<text x="16" y="{middle:.0f}" font-weight="600" fill="#1c1917">{escape(label)}</text>')
        for name, value in rows:
            weight = ' font-weight="600"' if name == "rufous" else ""
            colour = COLOURS.get(name, "#a1a1aa")
            length = max(value * scale, 1)
            out.append(f'<rect x="{left}" y="{y + 2}" width="{length:.1f}" height="{row - 4}" rx="2" fill="{colour}"/>')
            text = f"{show(value)}  {name}"
            out.append(f'<text x="{left + length + 6:.1f}" y="{y + 14}" fill="#44403c"{weight}>{escape(text)}</text>')
            y += row
        y += gap
    out.append("</svg>")
    with open(path, "w") as file:
        file.write("\n".join(out) + "\n")


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
