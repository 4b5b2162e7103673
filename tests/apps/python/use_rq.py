"""RQ with worker processes: results, failures, retries, delays, dependencies, callbacks, repeating, burst."""

import time
from datetime import timedelta

import rq
from rq import Callback, Queue, Repeat, Retry
from rq.command import send_stop_job_command
from rq.job import Job
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry

import checks
from checks import equal, eventually, true

r = checks.client()
connection = checks.client(decode_responses=False)
queue = Queue("apps", connection=connection)
WORKER = ("-m", "rq.cli", "worker", "--url", checks.URL, "--worker-class")


def add(a, b):
    return a + b


def fail():
    raise ValueError("always")


def fail_twice(key):
    if r.incr(key) <= 2:
        raise ValueError("not yet")
    return "at last"


def note(key, value):
    r.rpush(key, value)
    return value


def sleep(seconds):
    r.set("sleeping", 1)
    time.sleep(seconds)


def on_success(job, connection, result):
    connection.set(f"success:{job.args[0]}", result)


def on_failure(job, connection, kind, value, traceback):
    connection.set("failed", str(value))


def finished(job, status="finished", seconds=15):
    eventually(f"{job.func_name} is {status}", status, lambda: job.get_status(refresh=True).value, seconds)
    return job


def start():
    checks.worker(*WORKER, "rq.SimpleWorker", "--with-scheduler", "apps")


def results():
    equal("a result", finished(queue.enqueue(add, 1, 2)).return_value(), 3)
    jobs = queue.enqueue_many([Queue.prepare_data(add, (number, 1)) for number in range(30)])
    [finished(job) for job in jobs]
    equal("thirty results", [job.return_value() for job in jobs], list(range(1, 31)))
    equal("the registry of the finished", len(FinishedJobRegistry(queue=queue)), 31)
    job = queue.enqueue(add, 1, 1, meta={"who": "me"}, result_ttl=50, job_id="known-id")
    finished(job)
    equal("a job fetched by id", Job.fetch("known-id", connection=connection).meta, {"who": "me"})
    true("its time to live", 0 < r.ttl("rq:job:known-id") <= 50)
    true("its result is in a stream", job.latest_result().return_value == 2)


def failures():
    job = finished(queue.enqueue(fail, on_failure=Callback(on_failure)), "failed")
    true("the traceback", "ValueError: always" in job.latest_result().exc_string)
    eventually("a callback of failure", "always", lambda: r.get("failed"))
    registry = FailedJobRegistry(queue=queue)
    true("the registry of the failed", job.id in registry)
    registry.requeue(job)
    finished(job, "failed")
    equal("retried at once", finished(queue.enqueue(fail_twice, "tries", retry=Retry(max=3))).return_value(), "at last")
    equal("three attempts", r.get("tries"), "3")
    finished(queue.enqueue(note, "noted", "x", on_success=Callback(on_success)))
    eventually("a callback of success", "x", lambda: r.get("success:noted"))


def dependencies():
    first = queue.enqueue(sleep, 0.2)
    second = queue.enqueue(note, "order", "second", depends_on=first)
    third = queue.enqueue(note, "order", "third", depends_on=[first, second])
    equal("a dependent job is deferred", third.get_status().value, "deferred")
    finished(third)
    equal("order of dependent jobs", r.lrange("order", 0, -1), ["second", "third"])
    queue.enqueue(note, "front", "last")
    last = queue.enqueue(note, "front", "first", at_front=True)
    finished(last)
    eventually("both ran", 2, lambda: r.llen("front"))


def delays():
    job = queue.enqueue_in(timedelta(seconds=1), add, 3, 4)
    equal("a scheduled job", (job.get_status().value, job.id in ScheduledJobRegistry(queue=queue)), ("scheduled", True))
    equal("runs when it is due", finished(job).return_value(), 7)
    job = queue.enqueue(note, "repeated", "x", repeat=Repeat(times=2, interval=1))
    eventually("a repeated job", 3, lambda: r.llen("repeated"))
    cancelled = queue.enqueue_in(timedelta(seconds=100), add, 1, 1)
    cancelled.cancel()
    equal(
        "a cancelled job",
        (cancelled.get_status().value, cancelled.id in ScheduledJobRegistry(queue=queue)),
        ("canceled", False),
    )


def forking():
    other = Queue("forked", connection=connection)
    jobs = [other.enqueue(add, number, 1) for number in range(5)] + [other.enqueue(fail)]
    process = checks.worker(*WORKER, "rq.Worker", "--burst", "forked")
    equal("a burst worker ends by itself", process.wait(30), 0)
    equal("each job in a process of its own", [job.return_value() for job in jobs], [1, 2, 3, 4, 5, None])
    process = checks.worker(*WORKER, "rq.Worker", "forked")
    r.delete("sleeping")
    job = other.enqueue(sleep, 60)
    eventually("a long job runs", "1", lambda: r.get("sleeping"))
    send_stop_job_command(connection, job.id)
    finished(job, "stopped")
    workers = rq.Worker.all(connection=connection)
    equal("workers are known", sorted(worker.queue_names()[0] for worker in workers), ["apps", "forked"])
    checks.stop(process)
    eventually("a stopped worker says good-bye", 1, lambda: rq.Worker.count(connection=connection))
    finished(other.enqueue(add, 1, 1), "queued")
    equal("a queue can be emptied", (other.empty(), len(other)), (1, 0))
    other.delete()


def main():
    checks.run("rq", rq.VERSION, [start, results, failures, dependencies, delays, forking])
