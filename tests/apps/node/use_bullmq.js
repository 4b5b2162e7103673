// BullMQ, some fifty Lua scripts: jobs, delays, priorities, repeating, flows, rate limits, stalled jobs, events.
"use strict";

const { FlowProducer, Queue, QueueEvents, UnrecoverableError, Worker } = require("bullmq");
const { version } = require("bullmq/package.json");
const Redis = require("ioredis");
const { port, database, ok, equal, refused, eventually, run, sleep } = require("./checks");

const redis = new Redis({ port, db: database });
const connection = { host: "127.0.0.1", port, db: database, maxRetriesPerRequest: null };
const open = [];

function keep(thing) {
  open.push(thing);
  thing.on?.("error", () => {});
  return thing;
}

const queueOf = (name, options = {}) => keep(new Queue(name, { connection, ...options }));
const workerOf = (name, work, options = {}) => keep(new Worker(name, work, { connection, drainDelay: 1, ...options }));

async function eventsOf(name) {
  const events = keep(new QueueEvents(name, { connection }));
  await events.waitUntilReady();
  return events;
}

async function results() {
  const queue = queueOf("plain");
  const events = await eventsOf("plain");
  const tries = {};
  const worker = workerOf(
    "plain",
    async (job) => {
      if (job.name === "fail") throw new Error("always");
      if (job.name === "fatal") throw new UnrecoverableError("fatal");
      if (job.name === "retry") {
        tries[job.id] = (tries[job.id] ?? 0) + 1;
        if (tries[job.id] < 3) throw new Error("not yet");
      }
      await job.updateProgress(50);
      await job.log("half-way");
      return job.data.a + job.data.b;
    },
    { concurrency: 5 },
  );
  const progress = [];
  events.on("progress", ({ data }) => progress.push(data));
  equal("a result", await (await queue.add("add", { a: 1, b: 2 })).waitUntilFinished(events, 10000), 3);
  const jobs = await queue.addBulk(
    [...Array(100).keys()].map((number) => ({ name: "add", data: { a: number, b: 1 } })),
  );
  equal(
    "a hundred in bulk",
    await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 10000))),
    [...Array(100).keys()].map((number) => number + 1),
  );
  ok("progress is told", progress.includes(50));
  equal("logs", (await queue.getJobLogs(jobs[0].id)).logs, ["half-way"]);
  await refused("a failure", (await queue.add("fail", {})).waitUntilFinished(events, 10000), "always");
  const retried = await queue.add(
    "retry",
    { a: 2, b: 2 },
    { attempts: 3, backoff: { type: "exponential", delay: 20 } },
  );
  equal("retried with backoff", [await retried.waitUntilFinished(events, 10000), tries[retried.id]], [4, 3]);
  const fatal = await queue.add("fatal", {}, { attempts: 3 });
  await refused("not retried", fatal.waitUntilFinished(events, 10000), "fatal");
  equal("state", [await fatal.getState(), await retried.getState()], ["failed", "completed"]);
  const counts = await queue.getJobCounts("completed", "failed", "waiting");
  equal("counts", counts, { completed: 102, failed: 2, waiting: 0 });
  const again = events.waitUntilReady().then(() => new Promise((resolve) => events.once("failed", resolve)));
  await queue.retryJobs({ count: 1 });
  ok("failed jobs may be tried again", (await again).jobId);
  const once = await Promise.all([1, 2, 3].map(() => queue.add("add", { a: 1, b: 1 }, { jobId: "the-one" })));
  await once[0].waitUntilFinished(events, 10000);
  equal("an id is used once", (await queue.getJobCounts("completed")).completed, 103);
  const removed = await queue.add("add", { a: 1, b: 1 }, { removeOnComplete: true });
  await removed.waitUntilFinished(events, 10000);
  await eventually("removed when complete", undefined, () => queue.getJob(removed.id));
  equal("clean", (await queue.clean(0, 1000, "completed")).length, 103);
  await worker.close();
}

async function delays() {
  const queue = queueOf("late");
  const events = await eventsOf("late");
  const done = [];
  workerOf("late", async (job) => done.push(job.name));
  const started = Date.now();
  const slow = await queue.add("second", {}, { delay: 500 });
  await queue.add("first", {}, { delay: 100 });
  equal("delayed", (await queue.getJobCounts("delayed")).delayed, 2);
  await slow.waitUntilFinished(events, 10000);
  equal("in the order of their times", done, ["first", "second"]);
  ok("not before", Date.now() - started >= 490);
  await (await queue.add("promoted", {}, { delay: 60000 })).promote();
  await eventually("a promoted job runs", "promoted", () => done.at(-1));
  await queue.upsertJobScheduler("every", { every: 200 }, { name: "repeated" });
  await eventually("a repeated job runs again", true, () => done.filter((name) => name === "repeated").length >= 3);
  equal(
    "schedulers are listed",
    (await queue.getJobSchedulers()).map(({ key }) => key),
    ["every"],
  );
  equal("and removed", [await queue.removeJobScheduler("every"), (await queue.getJobSchedulers()).length], [true, 0]);
  await queue.upsertJobScheduler("cron", { pattern: "* * * * * *" }, { name: "cron" });
  await eventually("a job by a cron pattern", true, () => done.includes("cron"));
  await queue.removeJobScheduler("cron");
}

async function order() {
  const queue = queueOf("order");
  await queue.pause();
  for (const [name, options] of [
    ["last", {}],
    ["low", { priority: 10 }],
    ["high", { priority: 1 }],
    ["lifo", { lifo: true }],
  ]) {
    await queue.add(name, {}, options);
  }
  const done = [];
  const worker = workerOf("order", async (job) => done.push(job.name));
  await sleep(100);
  equal("a paused queue waits", [done, await queue.isPaused()], [[], true]);
  equal("prioritized", (await queue.getJobCounts("prioritized")).prioritized, 2);
  await queue.resume();
  await eventually("by priority", ["lifo", "last", "high", "low"], () => done);
  await worker.close();
  const debounced = await Promise.all([1, 2, 3].map(() => queue.add("d", {}, { deduplication: { id: "same" } })));
  equal("deduplicated", new Set(debounced.map((job) => job.id)).size, 1);
  await queue.drain();
  equal("drained", await queue.getWaitingCount(), 0);
  await queue.obliterate({ force: true });
  equal("obliterated", await redis.keys("bull:order:*"), []);
}

async function flows() {
  const flow = keep(new FlowProducer({ connection }));
  const events = await eventsOf("parent");
  workerOf("child", async (job) => job.data.value * 2);
  workerOf("parent", async (job) =>
    Object.values(await job.getChildrenValues()).reduce((sum, value) => sum + value, 0),
  );
  const child = (value) => ({ name: "child", queueName: "child", data: { value } });
  const tree = await flow.add({ name: "sum", queueName: "parent", children: [1, 2, 3].map(child) });
  equal("a parent after its children", await tree.job.waitUntilFinished(events, 10000), 12);
  const deep = await flow.add({
    name: "sum",
    queueName: "parent",
    children: [child(5), { name: "sum", queueName: "parent", children: [child(1), child(2)] }],
  });
  equal("a tree of three levels", await deep.job.waitUntilFinished(events, 10000), 16);
  equal("dependencies", (await deep.job.getDependencies()).unprocessed ?? [], []);
}

async function limits() {
  const queue = queueOf("limited");
  const times = [];
  workerOf("limited", async () => times.push(Date.now()), { limiter: { max: 3, duration: 400 } });
  await queue.addBulk([...Array(7).keys()].map(() => ({ name: "job", data: {} })));
  await eventually("all run", 7, () => times.length);
  ok(
    `three in 400 ms: ${times.map((time) => time - times[0])}`,
    times[3] - times[0] >= 300 && times[6] - times[0] >= 700,
  );
  const global = queueOf("one");
  await global.setGlobalConcurrency(1);
  let now = 0;
  let most = 0;
  workerOf(
    "one",
    async () => {
      most = Math.max(most, (now += 1));
      await sleep(20);
      now -= 1;
    },
    { concurrency: 5 },
  );
  await global.addBulk([...Array(6).keys()].map(() => ({ name: "job", data: {} })));
  await eventually("all run, one at a time", [6, 1], async () => [
    (await global.getJobCounts("completed")).completed,
    most,
  ]);
}

async function stalled() {
  const queue = queueOf("stalled");
  const events = await eventsOf("stalled");
  const lost = new Worker("stalled", () => sleep(60000), {
    connection,
    lockDuration: 300,
    lockRenewTime: 60000,
    skipStalledCheck: true,
  });
  lost.on("error", () => {});
  const job = await queue.add("job", {});
  await eventually("a worker takes the job", "active", () => job.getState());
  await lost.close(true);
  const told = new Promise((resolve) => events.once("stalled", resolve));
  workerOf("stalled", async () => "saved", { stalledInterval: 300, lockDuration: 2000 });
  equal("a stalled job is run by another", await job.waitUntilFinished(events, 10000), "saved");
  equal("and told", (await told).jobId, job.id);
}

async function closing() {
  await Promise.all(open.map((thing) => thing.close()));
}

run("bullmq", version, () => redis.flushdb(), [results, delays, order, flows, limits, stalled, closing]);
