"""huey with consumer processes: results, retries, delays, priorities, locks, pipelines, periodic tasks, revoking."""

import sys
import time

import huey as library
from huey import PriorityRedisHuey, RedisHuey, crontab
from huey.exceptions import TaskException

import checks
from checks import between, equal, eventually, raises, true

r = checks.client()
# A failure that is tried again is no result yet.
plain = RedisHuey("plain", host="127.0.0.1", port=checks.PORT, db=checks.DATABASE, store_intermediate_errors=False)
ranked = PriorityRedisHuey("ranked", host="127.0.0.1", port=checks.PORT, db=checks.DATABASE)


@plain.task()
def add(a, b):
    return a + b


@plain.task(retries=2, retry_delay=0)
def fails_twice(key):
    if r.incr(key) <= 2:
        raise ValueError("not yet")
    return "at last"


@plain.task()
def fails():
    raise ValueError("always")


@plain.task()
def note(key, value):
    r.rpush(key, value)


@plain.task()
@plain.lock_task("one-at-a-time")
def locked():
    time.sleep(0.3)
    return "ran"


@plain.task(context=True)
def own_id(task=None):
    return task.id


@plain.periodic_task(crontab(minute="*"), name="minutely")
def minutely():
    r.incr("minutely")


@ranked.task()
def in_order(value):
    r.rpush("order", value)


def results():
    equal("a result", add(1, 2)(blocking=True, timeout=10), 3)
    handles = [add(number, number) for number in range(50)]
    equal("fifty results", [handle(blocking=True, timeout=10) for handle in handles], [2 * n for n in range(50)])
    handle = own_id()
    equal("a task knows its id", handle(blocking=True, timeout=10), handle.id)
    equal("map", add.map([(1, 1), (2, 2)]).get(blocking=True, timeout=10), [2, 4])
    equal("big arguments", len(add("x" * 500_000, "y")(blocking=True, timeout=10)), 500_001)
    plain.put("kept", {"any": "thing"})
    equal(
        "results of one's own",
        (plain.get("kept", peek=True), plain.get("kept"), plain.get("kept")),
        ({"any": "thing"}, {"any": "thing"}, None),
    )


def failures():
    equal("retried twice", fails_twice("tries")(blocking=True, timeout=10), "at last")
    equal("three attempts", r.get("tries"), "3")
    raises("a failure", TaskException, lambda: fails()(blocking=True, timeout=10), "always")


def delays():
    started = time.time()
    late = add.schedule((2, 3), delay=1)
    true("a scheduled task waits", late() is None)
    equal("and runs", late(blocking=True, timeout=10), 5)
    between("after its delay", 0.9, time.time() - started, 5)
    never = note.schedule(("never", 1), delay=1)
    never.revoke()
    time.sleep(1.5)
    equal("a revoked task does not run", r.exists("never"), 0)


def chains():
    pipeline = add.s(1, 1).then(add, 10).then(add, 100)
    group = plain.enqueue(pipeline)
    equal("a pipeline", group.get(blocking=True, timeout=10), [2, 12, 112])
    handles = [locked(), locked()]
    answers = []
    for handle in handles:
        try:
            answers.append(handle(blocking=True, timeout=10))
        except TaskException as error:
            answers.append("locked" if "unable to set lock" in str(error) or "Lock" in str(error) else str(error))
    equal("a lock lets one of two in", sorted(answers), ["locked", "ran"])


def priorities():
    for value, priority in [("low", 1), ("high", 90), ("middle", 50), ("high too", 90)]:
        in_order(value, priority=priority)
    equal("waiting", len(ranked), 4)
    checks.worker("-m", "huey.bin.huey_consumer", "use_huey.ranked", "-w", "1", "-d", "0.05")
    eventually("by priority", ["high", "high too", "middle", "low"], lambda: r.lrange("order", 0, -1))


def bookkeeping():
    plain.revoke_by_id("minutely")
    true("periodic tasks are known", any("minutely" in str(task) for task in plain._registry.periodic_tasks))
    eventually("nothing is left waiting", 0, lambda: plain.pending_count())
    add.schedule((1, 1), delay=600)
    add.schedule((1, 1), delay=700)
    eventually("scheduled tasks wait in the database", 2, lambda: plain.scheduled_count())
    plain.flush()
    equal("flush", (plain.pending_count(), plain.scheduled_count(), plain.result_count()), (0, 0, 0))


def start():
    checks.worker("-m", "huey.bin.huey_consumer", "use_huey.plain", "-w", "4", "-k", "thread", "-d", "0.05", "-s", "1")


def main():
    checks.run("huey", library.__version__, [start, results, failures, delays, chains, priorities, bookkeeping])
