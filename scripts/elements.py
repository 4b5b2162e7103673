"""The rows of `scripts/compare --elements`: resident memory per element of collections, big and small.

A big collection is one key; of small ones there are many. Counted is what the server's resident memory grows by, divided by
the elements: names, values, scores and the keys of small collections are in it.
"""
import time

from measure import Client, Server, end_note, note

WORD = lambda number: b"%016d" % number
ROWS = {
    # label: (collections, elements of each, the command that adds `elements` of them)
    "list, big": (1, 1_000_000, lambda key, numbers: ("RPUSH", key, *map(WORD, numbers))),
    "list of 10": (50_000, 10, lambda key, numbers: ("RPUSH", key, *map(WORD, numbers))),
    "set, big": (1, 1_000_000, lambda key, numbers: ("SADD", key, *map(WORD_OF, numbers))),
    "set of 10": (50_000, 10, lambda key, numbers: ("SADD", key, *map(WORD_OF, numbers))),
    "set of numbers, big": (1, 1_000_000, lambda key, numbers: ("SADD", key, *numbers)),
    "set of 10 numbers": (50_000, 10, lambda key, numbers: ("SADD", key, *numbers)),
    "hash, big": (1, 1_000_000, lambda key, numbers: ("HSET", key, *pairs(WORD, WORD_OF, numbers))),
    "hash of 10": (50_000, 10, lambda key, numbers: ("HSET", key, *pairs(WORD, WORD_OF, numbers))),
    "sorted set, big": (1, 1_000_000, lambda key, numbers: ("ZADD", key, *pairs(score, WORD_OF, numbers))),
    "sorted set of 10": (50_000, 10, lambda key, numbers: ("ZADD", key, *pairs(score, WORD_OF, numbers))),
    "stream, big": (1, 500_000, lambda key, numbers: [("XADD", key, "*", "field", WORD(n)) for n in numbers]),
    "stream of 10": (20_000, 10, lambda key, numbers: [("XADD", key, "*", "field", WORD(n)) for n in numbers]),
    "pending entries": (1, 300_000, None),
}
AT_ONCE = 100


def WORD_OF(number):
    """16 bytes that are no number."""
    return b"m%015d" % number


def score(number):
    return number * 7919 % 1_000_003


def pairs(first, second, numbers):
    return [word for number in numbers for word in (first(number), second(number))]


def requests(collections, elements, add):
    for collection in range(collections):
        key, start = b"key:%d" % collection, collection * elements
        for begin in range(start, start + elements, AT_ONCE):
            made = add(key, range(begin, min(begin + AT_ONCE, start + elements)))
            yield from made if isinstance(made, list) else [made]


def grown(name, collections, elements, add):
    """Bytes by which the server grows per element."""
    with Server(name) as server:
        client = Client(server.port)
        # What a server keeps once it has worked is no element's.
        client.pipeline(("SET", b"warm:%d" % number, b"x" * 500) for number in range(500))
        client("FLUSHALL")
        time.sleep(1)
        if add is None:
            add = ROWS["stream, big"][2]
            client.pipeline(requests(collections, elements, add))
            client("XGROUP", "CREATE", "key:0", "group", "0")
            time.sleep(1)
            before = server.resident_bytes()
            client.pipeline(("XREADGROUP", "GROUP", "group", "one", "COUNT", 100, "STREAMS", "key:0", ">")
                            for _ in range(elements // 100))
        else:
            before = server.resident_bytes()
            client.pipeline(requests(collections, elements, add))
        time.sleep(1)
        return (server.resident_bytes() - before) / (collections * elements)


def compare(names, scale, table):
    table.row("bytes per element of 16 bytes (values of hashes: 16 more; scores: numbers below a million), resident")
    table.row(f"{'':22s} " + " ".join(f"{name:>14s}" for name in names))
    for label, (collections, elements, add) in ROWS.items():
        collections = max(1, int(collections * scale)) if collections > 1 else 1
        elements = max(AT_ONCE, int(elements * scale)) if collections == 1 else elements
        shown = []
        for name in names:
            note(f"{label}: {name}")
            shown.append(f"{grown(name, collections, elements, add):14.1f}")
        end_note()
        table.row(f"{label:22s} " + " ".join(shown))
    table.save()
