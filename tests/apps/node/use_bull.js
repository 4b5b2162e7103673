// Bull 4, BullMQ's elder, still in many programs: other Lua scripts, BRPOPLPUSH, pub/sub between processes.
"use strict";

const Bull = require("bull");
const { version } = require("bull/package.json");
const Redis = require("ioredis");
const { port, database, ok, equal, refused, eventually, events, run } = require("./checks");

const redis = new Redis({ port, db: database });
const queueOf = (name, options = {}) =>
  new Bull(name, { redis: { port, db: database }, settings: { drainDelay: 1 }, ...options });

async function jobs() {
  const queue = queueOf("plain");
  let tries = 0;
  queue.process("add", 5, async (job) => job.data.a + job.data.b);
  queue.process("retry", async () => {
    tries += 1;
    if (tries < 3) throw new Error("not yet");
    return tries;
  });
  equal("a result", await (await queue.add("add", { a: 1, b: 2 })).finished(), 3);
  const many = await queue.addBulk([...Array(50).keys()].map((number) => ({ name: "add", data: { a: number, b: 1 } })));
  equal(
    "fifty in bulk",
    await Promise.all(many.map((job) => job.finished())),
    [...Array(50).keys()].map((n) => n + 1),
  );
  equal("retried", await (await queue.add("retry", {}, { attempts: 3, backoff: 10 })).finished(), 3);
  tries = -5;
  await refused("a failure", (await queue.add("retry", {})).finished(), "not yet");
  const started = Date.now();
  await (await queue.add("add", { a: 1, b: 1 }, { delay: 300 })).finished();
  ok("a delay", Date.now() - started >= 290);
  const told = events(queue, "global:completed", 1);
  await queue.add("add", { a: 4, b: 4 });
  equal("told to all processes", (await told)[0][1], "8");
  const { completed, failed } = await queue.getJobCounts();
  equal("counts", { completed, failed }, { completed: 54, failed: 1 });
  await queue.close();
}

async function order() {
  const queue = queueOf("order");
  await queue.pause();
  for (const [name, priority] of [
    ["low", 9],
    ["high", 1],
    ["middle", 5],
  ])
    await queue.add({ name }, { priority });
  const done = [];
  queue.process(async (job) => done.push(job.data.name));
  await queue.resume();
  await eventually("by priority", ["high", "middle", "low"], () => done);
  await queue.add({ name: "repeated" }, { repeat: { every: 200, limit: 2 } });
  await eventually("repeated", 5, () => done.length);
  await queue.obliterate({ force: true });
  equal("obliterated", await redis.keys("bull:order:*"), []);
  await queue.close();
}

run("bull", version, () => redis.flushdb(), [jobs, order]);
