"""dramatiq with a worker process: its queue is one big Lua script; results, retries, delays, groups, rate limits."""

import time

import dramatiq
from dramatiq import group, pipeline
from dramatiq.brokers.redis import RedisBroker
from dramatiq.rate_limits import ConcurrentRateLimiter, WindowRateLimiter
from dramatiq.rate_limits.backends import RedisBackend as LimitsBackend
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend as ResultsBackend
from dramatiq.results.errors import ResultFailure

import checks
from checks import between, equal, eventually, raises, true

r = checks.client()
broker = RedisBroker(url=checks.URL)
broker.add_middleware(Results(backend=ResultsBackend(url=checks.URL)))
dramatiq.set_broker(broker)
limits = LimitsBackend(url=checks.URL)


@dramatiq.actor(store_results=True)
def add(a, b):
    return a + b


@dramatiq.actor(max_retries=3, min_backoff=50, max_backoff=100)
def fails_twice(key):
    if r.incr(key) <= 2:
        raise ValueError("not yet")


@dramatiq.actor(store_results=True, max_retries=0)
def fails():
    raise ValueError("always")


@dramatiq.actor
def note(key, value):
    r.rpush(key, value)


def start():
    checks.worker("-m", "dramatiq", "use_dramatiq", "-p", "1", "-t", "4")


def results():
    equal("a result", add.send(1, 2).get_result(block=True, timeout=30_000), 3)
    messages = [add.send(number, number) for number in range(50)]
    equal("fifty results", [message.get_result(block=True) for message in messages], [2 * n for n in range(50)])
    raises("a failure", ResultFailure, lambda: fails.send().get_result(block=True), "always")
    fails_twice.send("tries")
    eventually("retried until it succeeds", "3", lambda: r.get("tries"))
    equal("a pipeline", pipeline([add.message(1, 1), add.message(10)]).run().get_result(block=True), 12)
    equal(
        "a group", sorted(group([add.message(n, 1) for n in range(5)]).run().get_results(block=True)), [1, 2, 3, 4, 5]
    )


def delays():
    started = time.time()
    note.send_with_options(args=("late", "x"), delay=700)
    eventually("a delayed message", ["x"], lambda: r.lrange("late", 0, -1))
    between("waits its time", 0.6, time.time() - started, 5)
    eventually("all are acknowledged", 0, lambda: r.hlen("dramatiq:default.msgs"))


def rate_limits():
    mutex = ConcurrentRateLimiter(limits, "mutex", limit=1, ttl=5000)
    with mutex.acquire():
        with mutex.acquire(raise_on_failure=False) as acquired:
            true("a second holder is refused", not acquired)
    with mutex.acquire(raise_on_failure=False) as acquired:
        true("and admitted later", acquired)
    window = WindowRateLimiter(limits, "window", limit=3, window=60)
    admitted = []
    for _ in range(5):
        with window.acquire(raise_on_failure=False) as acquired:
            admitted.append(acquired)
    equal("three in a window", admitted, [True, True, True, False, False])


def main():
    checks.run("dramatiq", dramatiq.__version__, [start, results, delays, rate_limits])
