// node-redis: its own parser and RESP3, transactions, scripts and functions, subscriptions, pools, client-side cache.
"use strict";

const { BasicClientSideCache, createClient, createClientPool, defineScript } = require("redis");
const { version } = require("redis/package.json");
const { port, database, ok, equal, refused, eventually, run, sleep } = require("./checks");

const scripts = {
  addTo: defineScript({
    NUMBER_OF_KEYS: 1,
    SCRIPT: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
    parseCommand(parser, key, number) {
      parser.pushKey(key);
      parser.push(String(number));
    },
    transformReply: (reply) => reply,
  }),
};

async function connect(options = {}) {
  const client = createClient({ socket: { host: "127.0.0.1", port }, database, scripts, ...options });
  client.on("error", () => {});
  await client.connect();
  return client;
}

let redis;

async function commands() {
  for (const RESP of [2, 3]) {
    const own = await connect({ RESP, unstableResp3: true });
    await own.flushDb();
    equal(
      `strings, RESP${RESP}`,
      [await own.set("a", "1", { EX: 100 }), await own.incr("a"), await own.get("a")],
      ["OK", 2, "2"],
    );
    await own.hSet("h", { f: "1", g: "2" });
    equal(`hashes, RESP${RESP}`, { ...(await own.hGetAll("h")) }, { f: "1", g: "2" });
    await own.zAdd("z", [
      { score: 1.5, value: "m" },
      { score: 2, value: "n" },
    ]);
    equal(
      `sorted sets, RESP${RESP}`,
      [await own.zScore("z", "m"), await own.zRangeWithScores("z", 0, 0)],
      [1.5, [{ value: "m", score: 1.5 }]],
    );
    await own.xAdd("st", "*", { k: "v" });
    const read = await own.xRead({ key: "st", id: "0" });
    ok(`streams, RESP${RESP}`, JSON.stringify(read).replace(/[^kv]/g, "") === "kv");
    equal(
      `many at once, RESP${RESP}`,
      (await Promise.all([...Array(1000).keys()].map((n) => own.set(`k${n}`, `${n}`)))).length,
      1000,
    );
    let found = 0;
    for await (const keys of own.scanIterator({ MATCH: "k*", COUNT: 100 })) found += keys.length;
    equal(`scanIterator, RESP${RESP}`, found, 1000);
    own.destroy();
  }
}

async function transactions() {
  equal("MULTI", await redis.multi().set("b", "1").incrBy("b", 4).hGetAll("none").exec(), [
    "OK",
    5,
    Object.create(null),
  ]);
  await redis.watch("b");
  await (await connect()).set("b", "8");
  await refused("WATCH", redis.multi().set("b", "9").exec(), "One (or more) of the watched keys has been changed");
  await refused("an error while it runs", redis.multi().set("s", "x").incr("s").exec(), "1 commands failed");
  await refused("an error while queueing", redis.multi().addCommand(["NOSUCH"]).exec(), "");
  equal("as a pipeline", await redis.multi().set("b", "1").get("b").execAsPipeline(), ["OK", "1"]);
}

async function scripting() {
  equal("a script", [await redis.addTo("n", 2), await redis.addTo("n", 3)], [2, 5]);
  equal("in a transaction", await redis.multi().addTo("n", 1).addTo("n", 1).exec(), [6, 7]);
  equal("EVAL", await redis.eval("return {KEYS[1], ARGV[1], 3}", { keys: ["k"], arguments: ["v"] }), ["k", "v", 3]);
  const code = `#!lua name=nodelib
    local function get(keys) return redis.call('GET', keys[1]) end
    redis.register_function{function_name='node_get', callback=get, flags={'no-writes'}}`;
  equal("FUNCTION LOAD", await redis.functionLoad(code, { REPLACE: true }), "nodelib");
  equal("FCALL", await redis.fCallRo("node_get", { keys: ["n"] }), "7");
  equal("FUNCTION LIST", (await redis.functionList({ LIBRARYNAME: "nodelib" }))[0].engine, "LUA");
  await redis.functionDelete("nodelib");
}

async function subscriptions() {
  for (const RESP of [2, 3]) {
    const subscriber = await connect({ RESP });
    const heard = [];
    await subscriber.subscribe("node:a", (text, channel) => heard.push([channel, text]));
    await subscriber.pSubscribe("node:p*", (text, channel) => heard.push([channel, text]));
    await subscriber.sSubscribe("node:s", (text, channel) => heard.push([channel, text]));
    equal(
      `PUBLISH, RESP${RESP}`,
      [await redis.publish("node:a", "1"), await redis.publish("node:pq", "2"), await redis.sPublish("node:s", "3")],
      [1, 1, 1],
    );
    await eventually(
      `messages, RESP${RESP}`,
      [
        ["node:a", "1"],
        ["node:pq", "2"],
        ["node:s", "3"],
      ],
      () => heard,
    );
    if (RESP === 3) equal("other commands while subscribed", await subscriber.get("n"), "7");
    equal(`PUBSUB NUMSUB, RESP${RESP}`, { ...(await redis.pubSubNumSub(["node:a"])) }, { "node:a": 1 });
    await subscriber.unsubscribe("node:a");
    await subscriber.pUnsubscribe("node:p*");
    await subscriber.sUnsubscribe("node:s");
    equal(`then as before, RESP${RESP}`, String(await subscriber.get("n")), "7");
    subscriber.destroy();
  }
}

async function pools() {
  const pool = createClientPool({ socket: { port }, database }, { minimum: 2, maximum: 5 });
  pool.on("error", () => {});
  await pool.connect();
  const waiting = Promise.all([pool.blPop("q", 5), pool.blPop("q", 5)]);
  await sleep(50);
  await redis.rPush("q", ["one", "two"]);
  equal("blocking calls of a pool", (await waiting).map(({ element }) => element).sort(), ["one", "two"]);
  pool.destroy();
}

async function caching() {
  const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 100 });
  const own = await connect({ RESP: 3, clientSideCache: cache });
  await redis.set("cc", "1");
  equal("kept", [await own.get("cc"), await own.get("cc"), cache.stats().hitCount], ["1", "1", 1]);
  await redis.set("cc", "2");
  await eventually("forgotten when changed", "2", () => own.get("cc"));
  await redis.del("cc");
  await eventually("and when deleted", null, () => own.get("cc"));
  own.destroy();
}

run(
  "node-redis",
  version,
  async () => {
    redis = await connect();
    await redis.flushDb();
  },
  [commands, transactions, scripting, subscriptions, pools, caching],
);
