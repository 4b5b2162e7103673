// ioredis: pipelines, transactions, scripts as commands, pub/sub, streams, auto-pipelining, prefixes, reconnecting.
"use strict";

const { createHash } = require("node:crypto");
const Redis = require("ioredis");
const { version } = require("ioredis/package.json");
const { port, database, ok, equal, refused, eventually, events, run, sleep } = require("./checks");

const connect = (options = {}) => new Redis({ port, db: database, ...options });
const redis = connect();
const sha1 = (text) => createHash("sha1").update(text).digest("hex");

async function pipelines() {
  equal("a pipeline", await redis.pipeline().set("a", 1).incr("a").get("a").exec(), [
    [null, "OK"],
    [null, 2],
    [null, "2"],
  ]);
  const mixed = await redis.pipeline().lpush("a", 1).get("a").exec();
  ok("an error in a pipeline is one of its answers", /WRONGTYPE/.test(mixed[0][0].message) && mixed[1][1] === "2");
  const long = redis.pipeline();
  for (let number = 0; number < 10000; number += 1) long.rpush("long", number);
  equal("10,000 commands at once", (await long.exec()).at(-1), [null, 10000]);
  equal("buffers", (await redis.getBuffer("a")).equals(Buffer.from("2")), true);
  equal(
    "hashes are objects",
    [await redis.hset("h", { a: 1, b: 2 }), await redis.hgetall("h")],
    [2, { a: "1", b: "2" }],
  );
}

async function transactions() {
  equal("MULTI", await redis.multi().set("b", 1).incrby("b", 4).exec(), [
    [null, "OK"],
    [null, 5],
  ]);
  await redis.multi({ pipeline: false });
  equal("QUEUED one by one", [await redis.set("b", 7), await redis.get("b")], ["QUEUED", "QUEUED"]);
  equal(
    "EXEC",
    await redis.exec(),
    ["OK", "7"].map((answer) => [null, answer]),
  );
  await redis.watch("b");
  await connect().set("b", 8);
  equal("WATCH", await redis.multi().set("b", 9).exec(), null);
  await refused("an error while queueing", redis.multi().set("b").get("b").exec(), "EXECABORT");
  equal(
    "DISCARD",
    [await redis.multi({ pipeline: false }), await redis.set("b", 1), await redis.discard(), await redis.get("b")],
    ["OK", "QUEUED", "OK", "8"],
  );
  const failing = await redis.multi().set("s", "x").incr("s").set("s", "y").exec();
  equal("an error while it runs", [/not an integer/.test(failing[1][0].message), await redis.get("s")], [true, "y"]);
}

async function scripts() {
  redis.defineCommand("addTo", { numberOfKeys: 1, lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])" });
  equal("a command of one's own", [await redis.addTo("n", 3), await redis.addTo("n", 4)], [3, 7]);
  equal("by its digest", await connect().evalsha(sha1("return redis.call('INCRBY', KEYS[1], ARGV[1])"), 1, "n", 1), 8);
  equal("in a pipeline", await redis.pipeline().addTo("n", 1).get("n").exec(), [
    [null, 9],
    [null, "9"],
  ]);
  equal("in a transaction", await redis.multi().addTo("n", 1).addTo("n", 1).exec(), [
    [null, 10],
    [null, 11],
  ]);
  equal("a varying number of keys", await redis.eval("return {KEYS[1], KEYS[2], ARGV[1]}", 2, "x", "y", "z"), [
    "x",
    "y",
    "z",
  ]);
  const [hash] = [await redis.script("LOAD", "return ARGV[1]")];
  equal(
    "EVALSHA",
    [await redis.evalsha(hash, 0, "hi"), await redis.script("EXISTS", hash, "f".repeat(40))],
    ["hi", [1, 0]],
  );
  await refused("NOSCRIPT", redis.evalsha("f".repeat(40), 0), "NOSCRIPT No matching script. Please use EVAL.");
  equal(
    "buffers through Lua",
    await redis.evalBuffer("return ARGV[1]", 0, Buffer.from([0, 255, 1])),
    Buffer.from([0, 255, 1]),
  );
}

async function subscriptions() {
  const subscriber = connect();
  const identity = await subscriber.client("ID");
  equal("SUBSCRIBE counts", await subscriber.subscribe("io:a", "io:b"), 2);
  equal("PSUBSCRIBE counts", await subscriber.psubscribe("io:p*"), 3);
  const messages = events(subscriber, "message", 100);
  const matched = events(subscriber, "pmessage", 1);
  const pipeline = redis.pipeline();
  for (let number = 0; number < 100; number += 1) pipeline.publish(number % 2 ? "io:a" : "io:b", number);
  const counts = await pipeline.publish("io:pq", "hello").exec();
  equal(
    "each was delivered once",
    counts.every(([, count]) => count === 1),
    true,
  );
  equal(
    "in order",
    (await messages).map(([, text]) => Number(text)),
    [...Array(100).keys()],
  );
  equal("by pattern", (await matched)[0], ["io:p*", "io:pq", "hello"]);
  await refused("other commands", subscriber.get("a"), "subscriber mode");
  const buffers = events(subscriber, "messageBuffer", 1);
  await redis.publish("io:a", Buffer.from([0, 200]));
  equal("bytes", (await buffers)[0][1], Buffer.from([0, 200]));
  const sharded = events(subscriber, "smessage", 1);
  await subscriber.ssubscribe("io:s");
  await redis.spublish("io:s", "x");
  equal("sharded", (await sharded)[0], ["io:s", "x"]);
  await subscriber.sunsubscribe("io:s");
  equal(
    "UNSUBSCRIBE counts down",
    [await subscriber.unsubscribe("io:a", "io:b"), await subscriber.punsubscribe()],
    [1, 0],
  );
  equal("then all commands", await subscriber.get("n"), "11");
  await subscriber.subscribe("io:again");
  const again = events(subscriber, "message", 1);
  await redis.client("KILL", "ID", identity);
  await eventually("subscriptions come back after a lost connection", 1, () => redis.publish("io:again", "here"));
  equal("and messages", (await again)[0], ["io:again", "here"]);
  subscriber.disconnect();
}

async function streams() {
  const id = await redis.xadd("st", "*", "k", "v");
  equal("XRANGE", await redis.xrange("st", "-", "+"), [[id, ["k", "v"]]]);
  await redis.xgroup("CREATE", "st", "g", "0");
  equal("XREADGROUP", await redis.xreadgroup("GROUP", "g", "c", "COUNT", 5, "STREAMS", "st", ">"), [
    ["st", [[id, ["k", "v"]]]],
  ]);
  equal("XACK", await redis.xack("st", "g", id), 1);
  const reader = connect();
  const waiting = reader.xread("BLOCK", 5000, "STREAMS", "st", "$");
  await eventually("a client waits", true, async () => /blocked_clients:1/.test(await redis.info("clients")));
  const next = await redis.xadd("st", "*", "k", "w");
  equal("XREAD BLOCK", await waiting, [["st", [[next, ["k", "w"]]]]]);
  const popping = reader.blpop("q", "q2", 5);
  await sleep(50);
  await redis.multi().rpush("q2", "job").exec();
  equal("BLPOP", await popping, ["q2", "job"]);
  reader.disconnect();
}

async function convenience() {
  const auto = connect({ enableAutoPipelining: true, keyPrefix: "pre:" });
  const answers = await Promise.all([...Array(500).keys()].map((number) => auto.incrby("sum", number)));
  equal("auto-pipelining", [answers.length, await auto.get("sum")], [500, "124750"]);
  equal("prefixes", await redis.get("pre:sum"), "124750");
  for (let number = 0; number < 500; number += 1) auto.set(`k${number}`, number);
  await auto.ping();
  const found = new Set();
  for await (const keys of redis.scanStream({ match: "pre:k*", count: 100 })) keys.forEach((key) => found.add(key));
  equal("scanStream", found.size, 500);
  const monitor = await redis.monitor();
  const seen = events(monitor, "monitor", 1);
  await auto.set("seen", 1);
  equal("MONITOR", (await seen)[0][1], ["set", "pre:seen", "1"]);
  monitor.disconnect();
  auto.disconnect();
}

run("ioredis", version, () => redis.flushdb(), [pipelines, transactions, scripts, subscriptions, streams, convenience]);
