# SPDX-License-Identifier: Apache-2.0
"""
What can go wrong on the way to an agent: functions for apiproxy.Proxy.inject(). Those of a list
answer one; those of a watch get in the way of its first event, or make events of their own.
"""
import asyncio
import json
import re

MEGABYTE = 1 << 20
NAME = re.compile(rb'"name": ?"')  # of an object's metadata: the first field, as the server writes it


def named(name):
    """For messages."""
    def name_it(function):
        function.__name__ = name
        return function
    return name_it


def status_object(code, reason, message):
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code}


# ---- of any request ----

def refuse(code, reason="InternalError", **headers):
    @named(f"refuse {code}")
    async def fault(exchange):
        await exchange.answer_json(code, status_object(code, reason, "a test's"), **headers)
    return fault


async def too_many(exchange):
    await refuse(429, "TooManyRequests", retry_after=1)(exchange)


async def gone(exchange):
    await refuse(410, "Expired")(exchange)


async def reset(exchange):
    exchange.cut()


async def garbage(exchange):
    await exchange.head(200, 28)
    await exchange.send(b"<html>502 Bad Gateway</html>")


async def empty(exchange):
    await exchange.head(200, 0)


def after(seconds, then=None):
    @named(f"after {seconds} s")
    async def fault(exchange):
        await asyncio.sleep(seconds)
        await (then(exchange) if then else exchange.hand_on())
    return fault


class Gate:
    """Holds requests back until open() or refuse_all(); a coroutine function as faults are."""

    __name__ = "gate"

    def __init__(self, proxy):
        self.proxy = proxy
        self.passed = asyncio.Event()

    async def __call__(self, exchange):
        await self.passed.wait()
        await exchange.hand_on()

    def open(self):
        self.proxy.loop.loop.call_soon_threadsafe(self.passed.set)


async def drip(exchange):
    """A byte at a time."""
    await exchange.ask()
    await exchange.head(exchange.status)
    async for piece in exchange.pieces():
        for place in range(len(piece)):
            await exchange.send(piece[place:place + 1])
            if place % 64 == 0:
                await asyncio.sleep(0)
    await exchange.end()


# ---- of a list ----

def cut_list(announced):
    """In the middle of its objects; announced: after a content-length, else between two chunks."""
    @named(f"cut list{' of announced length' if announced else ''}")
    async def fault(exchange):
        await exchange.ask()
        text = await exchange.whole()
        await exchange.head(200, len(text) if announced else None)
        await exchange.send(text[:len(text) * 2 // 3])
        await asyncio.sleep(0.05)  # so that it was received, and is not lost with the connection
        exchange.cut()
    return fault


async def list_half_valid(exchange):
    """Complete as HTTP, and still half a list."""
    await exchange.ask()
    text = await exchange.whole()
    await exchange.head(200, len(text) * 2 // 3)
    await exchange.send(text[:len(text) * 2 // 3])


def bloated(pieces):
    """The first object of a list or of a watch's next event grows by a field of metadata in pieces."""
    @named("bloated")
    async def fault(exchange):
        await exchange.ask()
        await exchange.head(200)
        source = exchange.lines() if exchange.kind == "watch" else whole_once(exchange)
        first = True
        async for text in source:
            place = NAME.search(text) if first else None
            if place:
                first = False
                await send_bloated(exchange, text, place.start(), pieces)
            else:
                await exchange.send(text)
        await exchange.end()
    return fault


async def whole_once(exchange):
    yield await exchange.whole()


async def send_bloated(exchange, text, at, pieces):
    await exchange.send(text[:at])
    for piece in pieces():
        await exchange.send(piece)
    await exchange.send(text[at:])


def long_string(megabytes=100):
    """An annotation that no server would take."""
    yield b'"annotations":{"weir.test/long":"'
    for _ in range(megabytes):
        yield b"x" * MEGABYTE
    yield b'"},'


def many_fields(count=1_000_000):
    yield b'"annotations":{'
    for start in range(0, count, 10_000):
        yield b"".join(b'"weir.test/%d":"%d",' % (number, number) for number in range(start, start + 10_000))
    yield b'"weir.test/last":""},'


# ---- of a watch ----

def change_events(change):
    """Each line of a watch becomes those that change(line) gives."""
    @named(change.__name__)
    async def fault(exchange):
        await exchange.ask()
        await exchange.head(exchange.status)
        async for line in exchange.lines():
            for changed in change(line):
                await exchange.send(changed)
        await exchange.end()
    return fault


@change_events
def twice(line):
    return [line, line]


@change_events
def among_strangers(line):
    """Types that nobody knows yet, and empty lines."""
    return [b'{"type":"PARTED","object":{"kind":"Odd","metadata":{"name":"x"}}}\n', b"\n", line]


@change_events
def in_pieces(line):
    return [line[:1], line[1:7], line[7:-1], line[-1:]]


def at_first_event(then):
    """Watches until there is an event; then(exchange, line) ends it."""
    @named(then.__name__)
    async def fault(exchange):
        await exchange.ask()
        await exchange.head(exchange.status)
        async for line in exchange.lines():
            if json.loads(line)["type"] != "BOOKMARK":
                return await then(exchange, line)
            await exchange.send(line)
        return await exchange.end()
    return fault


@at_first_event
async def cut_event(exchange, line):
    await exchange.send(line[:len(line) // 2])
    await asyncio.sleep(0.05)
    exchange.cut()


@at_first_event
async def event_then_end(exchange, line):
    """Half an event, and a body that is complete."""
    await exchange.send(line[:len(line) // 2])
    await exchange.end()


@at_first_event
async def half_closed(exchange, line):
    """No more from there, but the connection stays open in the other direction. Not with TLS."""
    await exchange.send(line[:len(line) // 2])
    exchange.writer.write_eof()
    await asyncio.sleep(30)


@at_first_event
async def garbage_event(exchange, _line):
    await exchange.send(b'{"type":"MODIFIED","object":{"metadata":{{{\n')
    await asyncio.sleep(30)


@at_first_event
async def gone_event(exchange, _line):
    error = {"type": "ERROR", "object": status_object(410, "Expired", "too old resource version")}
    await exchange.send(json.dumps(error).encode() + b"\n")
    await exchange.end()


@at_first_event
async def error_event(exchange, _line):
    error = {"type": "ERROR", "object": status_object(500, "InternalError", "a test's")}
    await exchange.send(json.dumps(error).encode() + b"\n")
    await exchange.end()


async def silent(exchange):
    """Says nothing, not even its end, for a while; then ends as a server's time limit ends it."""
    await exchange.head(200)
    await asyncio.sleep(2)
    await exchange.end()


def late(seconds):
    """Events come that much later than those of other resources."""
    @named(f"late {seconds} s")
    async def fault(exchange):
        await exchange.ask()
        await exchange.head(exchange.status)
        async for line in exchange.lines():
            await asyncio.sleep(seconds)
            await exchange.send(line)
        await exchange.end()
    return fault
