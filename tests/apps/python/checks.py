"""What the Python programs share: where the server is, counting of checks, worker processes, waiting.

A program is a list of parts. A check that fails is printed and the program goes on; a part that raises ends there.
Processes started by `worker` are ended by `run`; whatever escapes is ended by `tests/apps/run`, with the whole
process group.
"""

import os
import subprocess
import sys
import tempfile
import time
import traceback

import redis

# Set by program.py; workers inherit it.
PORT = int(os.environ["APPS_PORT"])
DATABASE = int(os.environ["APPS_DATABASE"])
URL = f"redis://127.0.0.1:{PORT}/{DATABASE}"

_passed = 0
_failures = []
_workers = []
_program = "?"


def client(**options):
    """A redis-py client of the program's database; answers are text unless told otherwise."""
    return redis.Redis(**{"port": PORT, "db": DATABASE, "decode_responses": True, **options})


def _failed(text):
    _failures.append(text)
    print(f"{_program}: FAILED: {text}", flush=True)


def true(what, claim):
    global _passed
    if claim:
        _passed += 1
    else:
        _failed(what)


def equal(what, got, wanted):
    true(f"{what}: got {got!r}, wanted {wanted!r}", got == wanted)


def between(what, low, got, high):
    true(f"{what}: got {got!r}, wanted {low} to {high}", low <= got <= high)


def raises(what, error, function, text=""):
    """`function()` raises `error`, and its message contains `text`."""
    try:
        answer = function()
    except error as caught:
        true(f"{what}: raised {type(caught).__name__}: {caught}, wanted {text!r} in it", text in str(caught))
    else:
        _failed(f"{what}: got {answer!r}, wanted {error}")


def eventually(what, wanted, function, seconds=10):
    """`function()` is `wanted` before long; asks 50 times a second."""
    end = time.monotonic() + seconds
    while (got := function()) != wanted and time.monotonic() < end:
        time.sleep(0.02)
    equal(what, got, wanted)


def worker(*arguments):
    """Starts `python arguments…` in this folder; its output is shown if a check fails."""
    log = tempfile.TemporaryFile()
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=os.path.dirname(__file__),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    _workers.append((process, log))
    return process


def stop(process):
    """Ends a worker by a signal it may obey in its own time (5 s), then by one it must."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(name, version, parts):
    """Empties the database, runs the parts, prints the one line, and exits with 1 if a check failed."""
    global _program
    _program = name
    client().flushdb()
    for part in parts:
        try:
            part()
        except Exception as error:  # One part's failure is no reason to keep silent about the others.
            _failed(f"{part.__name__}: {type(error).__name__}: {error}")
            traceback.print_exc()
    for process, _ in _workers:
        stop(process)
    if _failures:
        for _, log in _workers:
            log.seek(0)
            sys.stdout.write(log.read().decode(errors="replace")[-8000:])
        print(f"{name} {version}: {_passed} checks passed, {len(_failures)} FAILED", flush=True)
    else:
        print(f"{name} {version}: {_passed} checks passed", flush=True)
    sys.stdout.flush()
    # Threads of a library in mid-wait must not keep the program.
    os._exit(1 if _failures else 0)
