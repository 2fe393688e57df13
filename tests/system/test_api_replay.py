# SPDX-License-Identifier: Apache-2.0
"""
What an API server 1.36 answered, recorded (tests/data/kubernetes/recorded-1.36), is answered once
more: to several agents at once, in several ways, always to the state that the recorded objects imply.
"""
import asyncio
import json
import unittest

from cluster import (agent, apiserver, base, certificates, client, kubeconfig, live, solo, topology,
                     truth)

RECORDED = agent.SOURCE / "tests/data/kubernetes/recorded-1.36"
NODE = "n1"
LISTS = {"services": "03-services-rv0", "endpointslices": "04-endpointslices", "nodes": "05-node"}
WATCHES = {"services": "06-watch-services", "endpointslices": "07-watch-endpointslices",
           "nodes": "08-watch-node"}
INITIAL = {"services": "09-watchlist-services", "endpointslices": "10-watchlist-endpointslices"}
PAGES = ("01-services-page-1", "02-services-page-2")
TOO_OLD, TOO_NEW, EXPIRED = "11-watch-too-old", "12-list-future-rv", "13-expired-continue"
UNKNOWN, BAD_TOKEN = "14-unauthorized", "15-bad-token"
STEP = 0.02  # seconds from one version of an object to the next; the recording took 100 s for 50
TIMEOUT = 40


def setUpModule():
    base.require_root()


def recorded(name):
    """(status, body)"""
    head, _, body = (RECORDED / f"{name}.response").read_bytes().partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def events(name):
    return [json.loads(line) for line in recorded(name)[1].splitlines()]


def items(name):
    return json.loads(recorded(name)[1])["items"]


def version(object_):
    return int(object_["metadata"]["resourceVersion"])


def key(object_):
    return object_["metadata"].get("namespace"), object_["metadata"]["name"]


def end_state(resource):
    """The list, after all that its watch said."""
    held = {key(each): each for each in items(LISTS[resource])}
    for event in events(WATCHES[resource]):
        if event["type"] == "DELETED":
            del held[key(event["object"])]
        elif event["type"] != "BOOKMARK":
            held[key(event["object"])] = event["object"]
    return list(held.values())


class Script:
    """A fault (see apiproxy.Proxy.inject) that answers from the recording, and asks nobody."""

    __name__ = "script"

    def __init__(self, initial=False, before=None, pages=False):
        """initial: lists by watch are known; before: {(resource, kind): [recorded name to say first]}"""
        self.initial = initial
        self.before = {which: list(names) for which, names in (before or {}).items()}
        self.pages = pages
        self.begun = None
        self.told = []

    async def __call__(self, exchange):
        self.told.append((exchange.resource, exchange.kind, exchange.target))
        earlier = self.before.get((exchange.resource, exchange.kind))
        if earlier:
            return await self.say(exchange, earlier.pop(0))
        if exchange.kind == "list":
            return await self.list(exchange)
        if exchange.kind == "watchlist":
            return await self.watch_list(exchange)
        return await self.watch(exchange)

    @staticmethod
    async def say(exchange, name):
        status, body = recorded(name)
        await exchange.head(status, len(body))
        await exchange.send(body)

    async def list(self, exchange):
        if self.pages and exchange.resource == "services":
            return await self.say(exchange, PAGES["continue" in exchange.query])
        return await self.say(exchange, LISTS[exchange.resource])

    async def watch_list(self, exchange):
        if not self.initial:
            return await exchange.answer_json(400, {"kind": "Status", "code": 400, "status": "Failure",
                                                    "message": "unknown parameter"})
        await exchange.head(200)
        for event in self.initial_events(exchange.resource):
            await exchange.send(json.dumps(event).encode() + b"\n")
        await asyncio.sleep(TIMEOUT)

    @staticmethod
    def initial_events(resource):
        if resource in INITIAL:
            return events(INITIAL[resource])
        last = end_state(resource)
        mark = {"resourceVersion": str(version(last[0])),
                "annotations": {"k8s.io/initial-events-end": "true"}}
        return [*({"type": "ADDED", "object": each} for each in last),
                {"type": "BOOKMARK", "object": {"kind": "Node", "apiVersion": "v1", "metadata": mark}}]

    async def watch(self, exchange):
        """What is newer than the version asked for, each at its time on a clock that all share."""
        await exchange.head(200)
        now = asyncio.get_running_loop().time
        self.begun = self.begun or now()
        since = int(exchange.query["resourceVersion"])
        newer = [each for each in events(WATCHES[exchange.resource]) if version(each["object"]) > since]
        for event in newer:
            due = self.begun + (version(event["object"]) - 115) * STEP
            await asyncio.sleep(max(0, due - now()))
            await exchange.send(json.dumps(event).encode() + b"\n")
        await asyncio.sleep(TIMEOUT)


SCRIPTS = {
    "lists and watches": Script(),
    "lists by watch": Script(initial=True),
    "pages": Script(pages=True),
    "a continuation that expired": Script(pages=True, before={
        ("services", "list"): [PAGES[0], EXPIRED]}),
    "a version that the server has not yet": Script(before={("services", "list"): [TOO_NEW]}),
    "a version that the server has no more": Script(before={
        ("services", "watch"): [TOO_OLD], ("endpointslices", "watch"): [TOO_OLD]}),
    "an unknown client": Script(before={("services", "list"): [UNKNOWN]}),
    "a token that is no more": Script(before={
        ("endpointslices", "list"): [BAD_TOKEN], ("nodes", "list"): [BAD_TOKEN]}),
}


class Stage:
    """What a proxy needs of apiserver.Control; there is no server."""

    def __init__(self, running):
        self.namespace = running.ns("control")
        topology.build_control(running.ns, apiserver.ADDRESS)
        self.authority = certificates.Authority(running.directory / "control")
        self.authority.issue("server", "/CN=scripted", "serverAuth", apiserver.SUBJECT_NAMES)
        self.admin = running.directory / "control/agent.conf"
        kubeconfig.write(self.admin, "https://unused.invalid", self.authority.certificate(), token="any")

    def down(self):
        """As a cluster asks of its control."""


class Replay(base.ClusterCase):
    @classmethod
    def prepare(cls):
        cls.cluster.agents.clear()
        cls.cluster.control = Stage(cls.cluster)
        cls.followers = {}
        for number, (title, script) in enumerate(SCRIPTS.items()):
            node = solo.Solo(number)
            solo.build(cls.cluster, node)
            follower = solo.Follower(cls.cluster, node)
            follower.node_name = NODE
            cls.addClassCleanup(follower.close)
            follower.proxy.inject(script, times=1000)
            cls.followers[title] = follower

    def test_every_way_ends_in_the_same_state(self):
        for each in self.followers.values():
            each.start()
        wanted = truth.expected(*(end_state(resource) for resource in LISTS), NODE)
        self.assertEqual({name for name, _, _ in wanted},
                         {"default/kubernetes:https", "default/svc-1", "default/svc-3"})
        left = dict(self.followers)

        def there():
            for title in [title for title, each in left.items()
                          if self.at_end(title) and live.holds(each, wanted)]:
                del left[title]
            return not left
        client.eventually(there, TIMEOUT, 0.3)
        for title, each in left.items():
            with self.subTest(script=title, told=SCRIPTS[title].told):
                self.assertEqual(live.programmed(each), wanted, base.tail(each.log()))
        self.assertFalse(left)

    def at_end(self, title):
        """Nothing more is to be said; what it said first was said."""
        return not any(SCRIPTS[title].before.values())


if __name__ == "__main__":
    unittest.main()
