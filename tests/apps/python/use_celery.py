"""Celery with a worker process: redis as broker and backend; canvas, retries, ETA, priorities, revoking, control."""

import threading
import time
from datetime import datetime, timedelta, timezone

import celery
from celery import Celery, chain, chord, group
from celery.exceptions import TaskRevokedError

import checks
from checks import between, equal, eventually, raises, true

r = checks.client()
app = Celery("use_celery", broker=checks.URL, backend=checks.URL)
app.conf.update(
    task_track_started=True,
    result_extended=True,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    task_routes={"use_celery.in_order": {"queue": "ranked"}},
    result_expires=600,
    worker_prefetch_multiplier=1,
    broker_transport_options={"queue_order_strategy": "priority", "priority_steps": list(range(10))},
)
told = set()


@app.task
def add(a, b):
    return a + b


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=3)
def fails_twice(self, key):
    if r.incr(key) <= 2:
        raise self.retry(countdown=0.1)
    return self.request.retries


@app.task
def fails():
    raise ValueError("always")


@app.task
def note(key, value):
    r.rpush(key, value)


@app.task
def failed(request, error, traceback):
    r.set("errback", str(error))


@app.task(bind=True)
def progress(self):
    self.update_state(state="PROGRESS", meta={"done": 50})
    time.sleep(0.3)
    return "done"


@app.task
def in_order(value):
    r.rpush("order", value)


@app.task(ignore_result=True)
def silent(key):
    r.set(key, 1)


@app.task
def sleep(seconds):
    r.set("sleeping", 1)
    time.sleep(seconds)


def start():
    checks.worker("-m", "celery", "-A", "use_celery", "worker", "-c", "2", "-Q", "celery", "-l", "WARNING")


def results():
    equal("a result", add.delay(1, 2).get(timeout=30), 3)
    answers = [add.delay(number, number) for number in range(50)]
    equal("fifty results", [answer.get(timeout=10) for answer in answers], [2 * number for number in range(50)])
    equal("a big result", len(add.delay("x" * 300_000, "y").get(timeout=10)), 300_001)
    answer = fails.apply_async(link_error=failed.s())
    raises("a failure", ValueError, lambda: answer.get(timeout=10), "always")
    equal("its state", answer.state, "FAILURE")
    eventually("its errback", "always", lambda: r.get("errback"))
    equal("retried twice", fails_twice.delay("tries").get(timeout=10), 2)
    answer = progress.delay()
    eventually("a state of one's own", ("PROGRESS", {"done": 50}), lambda: (answer.state, answer.info))
    equal("and then the result", answer.get(timeout=10), "done")
    silent.delay("silent")
    eventually("a task without result", "1", lambda: r.get("silent"))
    answer.forget()
    equal("a forgotten result", r.exists(f"celery-task-meta-{answer.id}"), 0)
    between("results expire", 1, r.ttl(f"celery-task-meta-{answers[0].id}"), 600)


def canvas():
    equal("a chain", chain(add.s(1, 1), add.s(10), add.s(100)).apply_async().get(timeout=10), 112)
    equal("a group", group(add.s(n, n) for n in range(10)).apply_async().get(timeout=10), [2 * n for n in range(10)])
    equal("a chord", chord((add.s(n, 1) for n in range(20)), total.s()).apply_async().get(timeout=10), 210)
    equal(
        "a chain with a group in it", (add.s(1, 1) | group(add.s(1), add.s(2)) | total.s()).delay().get(timeout=10), 7
    )
    equal(
        "nested chords",
        chord([chord([add.s(1, 1), add.s(2, 2)], total.s()), add.s(3, 3)], total.s()).delay().get(timeout=10),
        12,
    )
    equal(
        "map and chunks",
        add.chunks(zip(range(6), range(6)), 2).apply_async().get(timeout=10),
        [[0, 2], [4, 6], [8, 10]],
    )
    broken = chord([add.s(1, 1), fails.s()], total.s()).apply_async()
    raises("a chord with a failure", Exception, lambda: broken.get(timeout=10), "always")
    linked = add.apply_async((1, 1), link=note.si("linked", "yes"))
    linked.get(timeout=10)
    eventually("a callback", ["yes"], lambda: r.lrange("linked", 0, -1))


def delays():
    started = time.time()
    equal("a countdown", add.apply_async((1, 1), countdown=1).get(timeout=10), 2)
    between("waits its time", 0.9, time.time() - started, 5)
    eta = datetime.now(timezone.utc) + timedelta(seconds=0.5)
    equal("an ETA", add.apply_async((1, 2), eta=eta).get(timeout=10), 3)
    late = add.apply_async((1, 1), expires=datetime.now(timezone.utc) - timedelta(seconds=1))
    raises("an expired task", TaskRevokedError, lambda: late.get(timeout=10), "expired")
    revoked = add.apply_async((1, 1), countdown=1)
    revoked.revoke()
    raises("a revoked task", TaskRevokedError, lambda: revoked.get(timeout=10), "revoked")
    r.delete("sleeping")
    killed = sleep.delay(60)
    eventually("a long task runs", "1", lambda: r.get("sleeping"))
    killed.revoke(terminate=True)
    raises("a terminated task", TaskRevokedError, lambda: killed.get(timeout=10), "terminated")


def control():
    equal("ping", list(app.control.ping(timeout=2)[0].values()), [{"ok": "pong"}])
    inspect = app.control.inspect(timeout=2)
    true("inspect registered", "use_celery.add" in list(inspect.registered().values())[0])
    true("inspect stats", list(inspect.stats().values())[0]["total"]["use_celery.add"] > 50)
    note.apply_async(("purged", 1), queue="nobody")
    with app.connection_for_write() as connection:
        equal("purge", connection.default_channel.queue_purge("nobody"), 1)
    for value, priority in [("low", 9), ("high", 0), ("middle", 5), ("high too", 0)]:
        in_order.apply_async((value,), priority=priority)
    app.control.add_consumer("ranked", reply=True, timeout=2)
    app.control.pool_shrink(1)
    eventually("the ranked are done", {"high", "high too", "middle", "low"}, lambda: set(r.lrange("order", 0, -1)))
    app.control.enable_events()
    threading.Thread(target=listen, daemon=True).start()
    eventually(
        "events of the worker, by pub/sub",
        True,
        lambda: add.delay(5, 5).get(timeout=10) == 10 and "task-succeeded" in told,
    )


def listen():
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": lambda event: told.add(event["type"])})
        receiver.capture(limit=None, timeout=10)


def main():
    checks.run("celery", celery.__version__, [start, results, canvas, delays, control])
