// socket.io: two servers that share rooms by the adapters for pub/sub (sharded too) and streams; connect-redis.
"use strict";

const http = require("node:http");
const { createAdapter, createShardedAdapter } = require("@socket.io/redis-adapter");
const { createAdapter: createStreamsAdapter } = require("@socket.io/redis-streams-adapter");
const { RedisStore } = require("connect-redis");
const session = require("express-session");
const Redis = require("ioredis");
const { createClient } = require("redis");
const { Server } = require("socket.io");
const { version } = require("socket.io/package.json");
const { io: browser } = require("socket.io-client");
const { port, database, ok, equal, eventually, events, run, sleep } = require("./checks");

const redis = new Redis({ port, db: database });

async function nodeRedis() {
  const client = createClient({ socket: { port }, database });
  client.on("error", () => {});
  await client.connect();
  return client;
}

/** A socket.io server with `adapter` and one browser connected to it. */
async function site(adapter) {
  const io = new Server({ adapter, transports: ["websocket"] });
  const address = await new Promise((resolve) => {
    const server = http.createServer().listen(0, "127.0.0.1", () => resolve(server.address()));
    io.attach(server);
  });
  io.on("connection", (socket) => {
    socket.on("join", (room, done) => done(socket.join(room)));
    socket.on("ask", (text, answer) => answer(`${text}!`));
  });
  io.on("sum", (a, b, answer) => answer(a + b));
  const socket = browser(`http://127.0.0.1:${address.port}`, { transports: ["websocket"] });
  await new Promise((resolve) => socket.once("connect", resolve));
  return { io, socket };
}

async function two(name, adapter) {
  const one = await site(await adapter());
  const other = await site(await adapter());
  equal(`${name}: a server knows the others`, await waitFor(async () => (await one.io.fetchSockets()).length, 2), 2);
  await other.socket.emitWithAck("join", "room").catch(() => {});
  await eventually(`${name}: sockets of a room`, 1, async () => (await one.io.in("room").fetchSockets()).length);
  const told = events(other.socket, "hello", 1);
  one.io.to("room").emit("hello", "all", Buffer.from([1, 0, 255]));
  const [text, bytes] = (await told)[0];
  equal(`${name}: a room across servers`, [text, [...new Uint8Array(bytes)]], ["all", [1, 0, 255]]);
  equal(
    `${name}: serverSideEmit with answer`,
    await new Promise((resolve, reject) => {
      one.io.serverSideEmit("sum", 2, 3, (error, answers) => (error ? reject(error) : resolve(answers)));
    }),
    [5],
  );
  const both = [events(one.socket, "x", 50), events(other.socket, "x", 50)];
  for (let number = 0; number < 50; number += 1) one.io.emit("x", number);
  for (const heard of both)
    equal(
      `${name}: order`,
      (await heard).map(([number]) => number),
      [...Array(50).keys()],
    );
  one.io.in("room").disconnectSockets(true);
  await eventually(`${name}: disconnected from elsewhere`, false, () => other.socket.connected);
  for (const { io, socket } of [one, other]) {
    socket.close();
    await io.close();
  }
}

async function waitFor(ask, wanted) {
  for (let tries = 0; tries < 200 && (await ask()) !== wanted; tries += 1) await sleep(20);
  return ask();
}

const ioredisAdapter = () =>
  two("pub/sub, ioredis", () => {
    const client = new Redis({ port, db: database });
    return createAdapter(client, client.duplicate());
  });

const nodeRedisAdapter = () =>
  two("pub/sub, node-redis", async () => createAdapter(await nodeRedis(), await nodeRedis()));

const shardedAdapter = () => two("sharded", async () => createShardedAdapter(await nodeRedis(), await nodeRedis()));

const streamsAdapter = () =>
  two("streams", async () => createStreamsAdapter(await nodeRedis(), { blockTimeInMs: 200 }));

async function sessions() {
  const store = new RedisStore({ client: await nodeRedis(), prefix: "sess:", ttl: 100 });
  const middleware = session({ store, secret: "s", resave: false, saveUninitialized: false });
  const server = http.createServer((request, response) =>
    middleware(request, response, () => {
      request.session.count = (request.session.count ?? 0) + 1;
      const { count } = request.session;
      if (request.url === "/leave") request.session.destroy(() => response.end("bye"));
      else response.end(String(count));
    }),
  );
  const address = await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address())));
  const visit = (path, cookie) =>
    fetch(`http://127.0.0.1:${address.port}${path}`, { headers: cookie ? { cookie } : {} });
  const first = await visit("/");
  const cookie = first.headers.get("set-cookie").split(";")[0];
  const counts = [await first.text()];
  for (let visits = 0; visits < 3; visits += 1) counts.push(await (await visit("/", cookie)).text());
  equal("a session counts visits", counts, ["1", "2", "3", "4"]);
  const [key] = await redis.keys("sess:*");
  ok("with a time to live", (await redis.ttl(key)) > 90);
  await visit("/leave", cookie);
  equal("until one leaves", await redis.keys("sess:*"), []);
  server.close();
}

run("socket.io", version, () => redis.flushdb(), [
  ioredisAdapter,
  nodeRedisAdapter,
  shardedAdapter,
  streamsAdapter,
  sessions,
]);
