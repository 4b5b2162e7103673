"""Web frameworks in Python: Django's own Redis cache, django-redis, sessions, Flask-Caching, cachelib."""

from concurrent.futures import ThreadPoolExecutor

import django
import flask
from django.conf import settings
from django.core.cache import caches
from flask_caching import Cache

import checks
from checks import between, equal, true

r = checks.client()
settings.configure(
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": checks.URL,
            "KEY_PREFIX": "dj",
        },
        "other": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": checks.URL, "KEY_PREFIX": "djr"},
    },
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    INSTALLED_APPS=["django.contrib.sessions"],
    USE_TZ=True,
)
django.setup()


def caches_of_django():
    for name in ("default", "other"):
        cache = caches[name]
        cache.set("a", {"any": [1, 2]}, 50)
        equal(f"{name}: get", (cache.get("a"), cache.get("none", 7)), ({"any": [1, 2]}, 7))
        equal(f"{name}: add", (cache.add("a", 1), cache.add("b", 1)), (False, True))
        equal(f"{name}: incr", (cache.incr("b", 5), cache.decr("b", 2)), (6, 4))
        cache.set_many({"m1": 1, "m2": "two"}, 50)
        equal(f"{name}: get_many", cache.get_many(["m1", "m2", "none"]), {"m1": 1, "m2": "two"})
        equal(f"{name}: touch", (cache.touch("a", 1000), cache.touch("none")), (True, False))
        equal(f"{name}: get_or_set", (cache.get_or_set("g", lambda: 9), cache.get_or_set("g", 10)), (9, 9))
        cache.delete_many(["m1", "m2"])
        equal(f"{name}: has_key", ("m1" in cache, "a" in cache), (False, True))
        cache.set("v", 1, version=2)
        equal(
            f"{name}: versions",
            (cache.get("v"), cache.incr_version("v", version=2), cache.get("v", version=3)),
            (None, 3, 1),
        )
    between("a time to live", 990, r.ttl("dj:1:a"), 1000)


def extras_of_django_redis():
    cache = caches["other"]
    equal("ttl", cache.ttl("a") > 900, True)
    equal("keys by pattern", sorted(cache.keys("?")), ["a", "b", "g"])
    equal("iter_keys", sorted(cache.iter_keys("*b*")), ["b"])
    with cache.lock("lock", timeout=5):
        equal("a lock", r.exists("djr:1:lock"), 1)
    equal("delete_pattern", (cache.delete_pattern("*"), cache.keys("*")), (3, []))


def sessions():
    from django.contrib.sessions.backends.cache import SessionStore

    session = SessionStore()
    session["user"] = 7
    session.save()
    again = SessionStore(session_key=session.session_key)
    equal("a session", again["user"], 7)
    again.flush()
    true("a session that ended", not SessionStore().exists(session.session_key))


def flask_caching():
    app = flask.Flask("apps")
    cache = Cache(app, config={"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": checks.URL, "CACHE_KEY_PREFIX": "fl:"})
    calls = []

    @app.route("/")
    @cache.cached(timeout=50)
    def page():
        calls.append(1)
        return f"page {len(calls)}"

    @cache.memoize(50)
    def square(number):
        calls.append(number)
        return number * number

    browser = app.test_client()
    equal("a page is made once", {browser.get("/").text for _ in range(5)}, {"page 1"})
    with app.app_context():
        equal("a function is called once", ([square(9), square(9)], calls), ([81, 81], [1, 9]))
        cache.delete_memoized(square)
        equal("and again when forgotten", (square(9), calls), (81, [1, 9, 9]))
        cache.set_many({"x": 1, "y": 2})
        equal(
            "many", (cache.get_many("x", "y"), cache.delete_many("x", "y"), cache.get("x")), ([1, 2], ["x", "y"], None)
        )
        cache.clear()
        equal("clear by prefix", list(r.scan_iter("fl:*")), [])
    with ThreadPoolExecutor(8) as pool:
        equal(
            "eight threads",
            {answer.text for answer in pool.map(lambda _: app.test_client().get("/"), range(40))}
            <= {f"page {number}" for number in range(1, 20)},
            True,
        )


def main():
    checks.run(
        "django and flask-caching",
        django.__version__,
        [caches_of_django, extras_of_django_redis, sessions, flask_caching],
    )
