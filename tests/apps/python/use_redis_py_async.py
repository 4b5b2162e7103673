"""redis-py, its other half: asyncio (pool, pipelines, WATCH, pub/sub, locks, waiting) and client-side caching."""

import asyncio
import time

import redis
import redis.asyncio
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection
from redis.exceptions import WatchError

import checks
from checks import equal, eventually, true

r = checks.client()


def async_client(**options):
    return redis.asyncio.Redis(**{"port": checks.PORT, "db": checks.DATABASE, "decode_responses": True, **options})


async def commands():
    async with async_client() as client:
        equal(
            "80 INCR at once over a pool",
            sorted(await asyncio.gather(*(client.incr("n") for _ in range(80)))),
            list(range(1, 81)),
        )
        async with client.pipeline(transaction=True) as pipe:
            equal("MULTI/EXEC", await pipe.set("a", "1").incr("a").get("a").execute(), [True, 2, "2"])
        script = client.register_script("return {KEYS[1], ARGV[1]}")
        equal("a script", await script(keys=["k"], args=["v"]), ["k", "v"])
        equal("scan_iter", [key async for key in client.scan_iter("n")], ["n"])
        waiting = asyncio.create_task(client.blpop("queue", 3))
        await asyncio.sleep(0.05)
        await client.rpush("queue", "job")
        equal("BLPOP", list(await waiting), ["queue", "job"])
        await client.xadd("st", {"f": "v"})
        true("XREAD", "'f': 'v'" in str(await client.xread({"st": 0})))


async def watching():
    async with async_client() as client:

        async def add():
            async with client.pipeline() as pipe:
                while True:
                    try:
                        await pipe.watch("sum")
                        now = int(await pipe.get("sum") or 0)
                        await asyncio.sleep(0)
                        pipe.multi()
                        await pipe.set("sum", now + 1).execute()
                        return
                    except WatchError:
                        continue

        await asyncio.gather(*(add() for _ in range(20)))
        equal("twenty tasks lose no count", await client.get("sum"), "20")

        async def locked():
            async with client.lock("lock", timeout=5, sleep=0.005):
                now = int(await client.get("held") or 0)
                await asyncio.sleep(0.001)
                await client.set("held", now + 1)

        await asyncio.gather(*(locked() for _ in range(10)))
        equal("nor under a lock", await client.get("held"), "10")


async def subscriptions():
    for protocol in (2, 3):
        async with async_client(protocol=protocol) as client, client.pubsub() as pubsub:
            await pubsub.subscribe("aio:c")
            await pubsub.psubscribe("aio:p*")
            heard, confirmed = [], []

            async def listen():
                async for message in pubsub.listen():
                    confirmed.append(message["type"])
                    if message["type"].endswith("message"):
                        heard.append(message["data"])
                    if message["data"] == "end":
                        return

            task = asyncio.create_task(listen())
            while len(confirmed) < 2:
                await asyncio.sleep(0.01)
            for number in range(300):
                await client.publish("aio:c" if number % 2 else "aio:pattern", number)
            await client.publish("aio:c", "end")
            await asyncio.wait_for(task, 5)
            equal(f"300 messages in order, RESP{protocol}", heard, [*map(str, range(300)), "end"])


async def pools():
    pool = redis.asyncio.BlockingConnectionPool.from_url(checks.URL, max_connections=3, timeout=5)
    client = redis.asyncio.Redis(connection_pool=pool)
    await asyncio.gather(*(client.set(f"pool:{number}", number) for number in range(50)))
    equal("three connections for 50 tasks", await client.exists(*(f"pool:{number}" for number in range(50))), 50)
    equal("bytes without decoding", await client.get("pool:7"), b"7")
    await client.aclose()
    await pool.disconnect()


def asynchronous():
    for part in (commands, watching, subscriptions, pools):
        asyncio.run(part())


def caching():
    # redis-py asks for 7.4 "to maximize compatibility"; what it uses is in 6.0.
    CacheProxyConnection.MIN_ALLOWED_VERSION = "6.0.0"
    cached = checks.client(protocol=3, cache_config=CacheConfig(max_size=100))
    cache = cached.get_cache()
    r.set("cc", "1")
    equal("the first read asks the server", cached.get("cc"), "1")
    equal("the answer is kept", cache.size, 1)
    calls = r.info("commandstats")["cmdstat_get"]["calls"]
    equal("ten reads from memory", {cached.get("cc") for _ in range(10)}, {"1"})
    equal("the server was not asked", r.info("commandstats")["cmdstat_get"]["calls"], calls)
    r.set("cc", "2")
    eventually("a write elsewhere is seen", "2", lambda: cached.get("cc"))
    r.hset("cch", mapping={"f": "1"})
    equal(
        "hashes are kept",
        (cached.hgetall("cch"), cached.hget("cch", "f"), cached.mget("cc", "none")),
        ({"f": "1"}, "1", ["2", None]),
    )
    r.hset("cch", "f", "2")
    eventually("and forgotten", "2", lambda: cached.hget("cch", "f"))
    r.set("ccx", "1", px=80)
    equal("a key with a time to live", cached.get("ccx"), "1")
    time.sleep(0.12)
    eventually("is forgotten with it", None, lambda: cached.get("ccx"))
    r.set("cc", "3")
    r.delete("cch")
    with r.pipeline() as pipe:
        pipe.set("cc", "4").set("cc", "5").execute()
    eventually("writes of a transaction are seen", "5", lambda: cached.get("cc"))
    r.eval("return redis.call('SET', KEYS[1], '6')", 1, "cc")
    eventually("writes of a script are seen", "6", lambda: cached.get("cc"))
    r.flushdb()
    eventually("FLUSHDB is seen", None, lambda: cached.get("cc"))


def tracking_by_hand():
    listener = checks.client(protocol=2)
    pubsub = listener.pubsub()
    pubsub.execute_command("CLIENT", "ID")
    identity = pubsub.parse_response()
    pubsub.subscribe("__redis__:invalidate")
    pubsub.get_message(timeout=2)
    own = checks.client(protocol=2, single_connection_client=True)
    equal("TRACKING with REDIRECT", own.client_tracking_on(clientid=identity, bcast=True, prefix=["tr:"]), "OK")
    r.set("other", 1)
    r.set("tr:k", 1)
    equal("a broadcast invalidation", pubsub.get_message(timeout=2)["data"], ["tr:k"])
    info = own.client_trackinginfo()
    info = dict(zip(info[::2], info[1::2])) if isinstance(info, list) else info
    equal(
        "TRACKINGINFO", (set(info["flags"]), info["redirect"], info["prefixes"]), ({"on", "bcast"}, identity, ["tr:"])
    )
    equal("GETREDIR", own.client_getredir(), identity)


def main():
    checks.run("redis-py asyncio and caching", redis.__version__, [asynchronous, caching, tracking_by_hand])
