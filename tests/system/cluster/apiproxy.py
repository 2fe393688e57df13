# SPDX-License-Identifier: Apache-2.0
"""
Between an agent and the API server: hands everything on, HTTP/1.1 on both sides, except where a
fault (see faults.py) was put in its way. It lives in this process, in the API server's namespace,
so that a fault is a Python function; a scripted answer (see test_api_replay.py) is one too.
"""
import asyncio
import collections
import json
import ssl
import threading
import urllib.parse

from . import apiserver, client, netns

LIMIT = 1 << 24  # bytes of one line of a watch
RESOURCES = ("services", "endpointslices", "nodes")
ENDED = (OSError, asyncio.IncompleteReadError, ValueError)  # of a connection; ssl's are OSErrors

# What was asked, and with which status it was answered; gone: by 410, as a status or in an
# event. Noted when the answer is over.
Asked = collections.namedtuple("Asked", "method target resource kind status gone")


async def read_head(reader):
    """(first line, {header: value}); None at the end."""
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = text.strip().split("\r\n")
    return first, {name.lower(): value.strip() for name, _, value in
                   (line.partition(":") for line in lines)}


async def read_body(reader, headers):
    """Pieces, as they come."""
    if headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readline()).split(b";")[0], 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
        return
    left = int(headers.get("content-length", 0))
    while left:
        piece = await reader.read(min(left, 1 << 16))
        if not piece:
            raise ConnectionError("the body ends too early")
        left -= len(piece)
        yield piece


class Exchange:
    """One request of the agent's, and what a fault may do with it."""

    def __init__(self, proxy, writer, request, body):
        self.proxy = proxy
        self.writer = writer
        self.method, self.target, _ = request[0].split(" ")
        self.headers = request[1]
        self.request_body = body
        self.path, _, query = self.target.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        self.resource = self.path.rsplit("/", 1)[-1]
        self.kind = self.kind_of_request()
        self.upstream = None
        self.status = 0
        self.gone = False
        self.announced = None  # bytes of the body, or None: in chunks

    def kind_of_request(self):
        if self.method != "GET" or self.resource not in RESOURCES:
            return "other"
        if self.query.get("watch") not in ("1", "true"):
            return "list"
        return "watchlist" if self.query.get("sendInitialEvents") == "true" else "watch"

    # ---- towards the server ----

    async def ask(self):
        """Sends the request on and reads the answer's head."""
        reader, self.upstream = await self.proxy.connect()
        kept = {name: value for name, value in self.headers.items()
                if name not in ("host", "connection", "accept-encoding", "content-length")}
        kept |= {"host": "kubernetes", "connection": "close"}
        if self.request_body:
            kept["content-length"] = str(len(self.request_body))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{k}: {v}" for k, v in kept.items())]
        self.upstream.write("\r\n".join(lines).encode() + b"\r\n\r\n" + self.request_body)
        first, self.answer = await read_head(reader)
        self.status = int(first.split()[1])
        self.reader = reader

    def pieces(self):
        return read_body(self.reader, self.answer)

    async def whole(self):
        return b"".join([piece async for piece in self.pieces()])

    async def lines(self):
        """Whole events of a watch, each with its line end."""
        rest = b""
        async for piece in self.pieces():
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield line + b"\n"

    # ---- towards the agent ----

    async def head(self, status=200, length=None, **headers):
        self.status = status
        self.announced = length
        size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
        lines = [f"HTTP/1.1 {status} as told", "content-type: application/json", size,
                 *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        await self.raw("\r\n".join(lines).encode() + b"\r\n\r\n")

    async def raw(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def send(self, piece):
        if piece:
            await self.raw(piece if self.announced is not None else b"%x\r\n%s\r\n" % (len(piece), piece))

    async def end(self):
        if self.announced is None:
            await self.raw(b"0\r\n\r\n")

    async def answer_json(self, status, object_, **headers):
        text = json.dumps(object_).encode()
        await self.head(status, len(text), **headers)
        await self.send(text)

    async def hand_on(self):
        """As if nobody were between."""
        await self.ask()
        await self.head(self.status)
        async for piece in self.pieces():
            self.gone |= b'"code":410' in piece
            await self.send(piece)
        await self.end()

    def cut(self):
        self.writer.transport.abort()


class Proxy:
    """up() listens; inject() puts a fault in the way of what is asked next."""

    def __init__(self, control, port, tls=True):
        self.control = control
        self.port = port
        self.tls = tls
        self.rules = []
        self.asked = []
        self.open = set()
        self.lock = threading.Lock()
        self.loop = netns.Loop(control.namespace)
        self.server = None

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://{apiserver.ADDRESS[4]}:{self.port}"

    def up(self):
        self.loop.run(self._listen())
        return self

    def down(self):
        """Nobody listens any more, and no connection is left."""
        if self.server is not None:
            self.loop.run(self._close())

    def close(self):
        self.down()
        self.loop.close()

    async def _listen(self):
        context = None
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.control.authority.certificate("server"),
                                    self.control.authority.key("server"))
            context.set_alpn_protocols(["http/1.1"])
        self.server = await asyncio.start_server(self._serve, "0.0.0.0", self.port, ssl=context,
                                                 limit=LIMIT, reuse_address=True)

    async def _close(self):
        self.server.close()
        self.server = None
        self._cut_all()

    def _cut_all(self):
        for task in list(self.open):
            task.cancel()

    def cut_all(self):
        """Connections break as they do when a server is killed."""
        self.loop.loop.call_soon_threadsafe(self._cut_all)

    async def connect(self):
        authority = self.control.authority
        context = ssl.create_default_context(cafile=authority.certificate(authority.name))
        context.load_cert_chain(authority.certificate("admin"), authority.key("admin"))
        return await asyncio.open_connection(apiserver.ADDRESS[4], apiserver.PORT, ssl=context,
                                             limit=LIMIT)

    # ---- what happens to requests ----

    def inject(self, fault, resource=None, kind=None, times=1):
        """
        fault(exchange), a coroutine function, instead of handing on, for the next requests of this
        resource and kind: "list", "watch", "watchlist" (a watch that begins with a list), None: any.
        Returns a counter whose .count goes up.
        """
        rule = Rule(fault, resource, kind, times)
        with self.lock:
            self.rules.append(rule)
        return rule

    def clear(self):
        with self.lock:
            self.rules.clear()

    def take(self, exchange):
        with self.lock:
            rule = next((r for r in self.rules if r.matches(exchange)), None)
            if rule is None:
                return Exchange.hand_on
            rule.count += 1
            return rule.fault

    def seen(self, **what):
        """Requests so far: seen(kind="watch", status=410)."""
        return [each for each in list(self.asked)
                if all(getattr(each, name) == value for name, value in what.items())]

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self.open.add(task)  # a loop alone does not keep one
        try:
            while request := await read_head(reader):
                body = b"".join([piece async for piece in read_body(reader, request[1])])
                await self._answer(Exchange(self, writer, request, body))
        except (*ENDED, asyncio.CancelledError):
            pass  # either side went, or close() was called
        finally:
            self.open.discard(task)
            writer.transport.abort()

    async def _answer(self, exchange):
        try:
            await self.take(exchange)(exchange)
        finally:
            self.asked.append(Asked(exchange.method, exchange.target, exchange.resource,
                                    exchange.kind, exchange.status, exchange.gone))
            if exchange.upstream is not None:
                exchange.upstream.transport.abort()


class Rule:
    def __init__(self, fault, resource, kind, times):
        self.fault = fault
        self.resource = resource
        self.kind = kind
        self.times = times
        self.count = 0

    def matches(self, exchange):
        return (self.count < self.times and exchange.kind != "other"
                and self.resource in (None, exchange.resource) and self.kind in (None, exchange.kind))

    def wait(self, count=1, timeout=20):
        if not client.eventually(lambda: self.count >= count, timeout):
            raise TimeoutError(f"{self.fault.__name__}: {self.resource} {self.kind}: "
                               f"{self.count} times in {timeout} s, not {count}")
