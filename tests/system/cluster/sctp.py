# SPDX-License-Identifier: Apache-2.0
"""
As much of SCTP (RFC 9260) as an exchange needs that conntrack takes for one: an association opened
by four packets, and messages that come back. By raw sockets, since the kernel may have no SCTP. Where
one is open, a namespace's own answer to the protocol (ICMP: unreachable) is not given.
"""
import json
import os
import select
import socket
import struct
import threading
import time

from . import client, icmp

PROTOCOL = 132
HEADER = struct.Struct("!HHI4s")  # ports, verification tag, checksum
CHUNK = struct.Struct("!BBH")  # type, flags, length
INIT = struct.Struct("!IIHHI")  # tag, window, streams out and in, first TSN
DATA_HEADER = struct.Struct("!IHHI")  # TSN, stream, number in it, protocol
DATA, INIT_TYPE, INIT_ACK, COOKIE_ECHO, COOKIE_ACK = 0, 1, 2, 10, 11
WHOLE_MESSAGE = 3  # flags: first and last fragment
STATE_COOKIE = 7  # a parameter
CASTAGNOLI = 0x82f63b78  # lowest bit first


def crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (CASTAGNOLI if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = crc_table()


def crc32c(data):
    rest = 0xffffffff
    for byte in data:
        rest = rest >> 8 ^ TABLE[(rest ^ byte) & 0xff]
    return rest ^ 0xffffffff


def with_crc(packet):
    blank = packet[:8] + bytes(4) + packet[12:]
    return packet[:8] + struct.pack("<I", crc32c(blank)) + packet[12:]


def build(source, dest, tag, chunk, value=b"", flags=0):
    padding = bytes(-len(value) % 4)
    return with_crc(HEADER.pack(source, dest, tag, bytes(4)) +
                    CHUNK.pack(chunk, flags, CHUNK.size + len(value)) + value + padding)


def init(kind, source, dest, tag, own_tag, more=b""):
    return build(source, dest, tag, kind, INIT.pack(own_tag, 65536, 10, 10, 1) + more)


def message(source, dest, tag, payload):
    return build(source, dest, tag, DATA, DATA_HEADER.pack(1, 0, 0, 0) + payload, WHOLE_MESSAGE)


class Packet:
    """One that came, as far as a test looks at it: its first chunk."""

    def __init__(self, data, peer):
        self.peer = peer
        self.source, self.dest, self.tag, _ = HEADER.unpack_from(data)
        self.right = with_crc(data) == data
        self.chunk, _, length = CHUNK.unpack_from(data, HEADER.size)
        self.value = data[HEADER.size + CHUNK.size:HEADER.size + length]

    @property
    def own_tag(self):
        return INIT.unpack_from(self.value)[0]


def open_raw(family):
    return socket.socket(family, socket.SOCK_RAW, PROTOCOL)


def receive(opened):
    data, peer = opened.recvfrom(65536)
    if opened.family == socket.AF_INET:
        data = data[(data[0] & 0xf) * 4:]
    return Packet(data, peer[0])


def tag():
    return int.from_bytes(os.urandom(4), "big") | 1


# ---- the server


def sctp_serve(name, port):
    """Answers on this port of both families, for as long as its process is there."""
    for family in (socket.AF_INET, socket.AF_INET6):
        opened = open_raw(family)
        threading.Thread(target=serve, args=(opened, name, port), daemon=True).start()


def serve(opened, name, port):
    tags = {}  # of clients, by address and port
    while True:
        packet = receive(opened)
        if packet.dest != port or not packet.right:
            continue
        answer = answer_to(packet, name, port, tags)
        if answer:
            opened.sendto(answer, (packet.peer, 0))


def answer_to(packet, name, port, tags):
    """The cookie says who the server is and whom it sees."""
    whom = packet.peer, packet.source
    if packet.chunk == INIT_TYPE:
        tags[whom] = packet.own_tag
        seen = json.dumps({"pod": name, "peer": packet.peer, "peer_port": packet.source}).encode()
        cookie = struct.pack("!HH", STATE_COOKIE, 4 + len(seen)) + seen
        return init(INIT_ACK, port, packet.source, packet.own_tag, tag(), cookie)
    if whom not in tags:
        return None
    if packet.chunk == COOKIE_ECHO:
        return build(port, packet.source, tags[whom], COOKIE_ACK)
    return message(port, packet.source, tags[whom], packet.value[DATA_HEADER.size:])


# ---- the client


class Refused(Exception):
    def __init__(self, said):
        super().__init__(said)
        self.said = said


class Association:
    """Packets from this port that answer those to `address` and `port`, whoever they are from."""

    def __init__(self, address, port, source_port, timeout):
        self.address, self.port, self.source_port = address, port, source_port
        self.tag, self.timeout = tag(), timeout
        self.socket = open_raw(client.family_of(address))
        icmp.option(self.socket, icmp.IP_RECVERR, icmp.IPV6_RECVERR, 1)

    def exchange(self, packet):
        self.socket.sendto(packet, (self.address, 0))
        waiting = select.poll()
        waiting.register(self.socket, select.POLLIN)
        end = time.monotonic() + self.timeout
        while waiting.poll(max(0, end - time.monotonic()) * 1000):
            try:
                answer = receive(self.socket)
            except OSError:
                raise Refused(icmp.told(self.socket)) from None
            if answer.dest == self.source_port:
                return answer
        raise TimeoutError

    def wrong(self, answer, chunk):
        """What is wrong with an answer: the words of a test that fails."""
        return [what for what, bad in (
            (f"from {answer.peer}", answer.peer != self.address),
            (f"from port {answer.source}", answer.source != self.port),
            ("checksum", not answer.right), ("tag", answer.tag != self.tag),
            (f"chunk {answer.chunk}", answer.chunk != chunk)) if bad]


def sctp_ask(address, port, source_port, size=0, timeout=1.0):
    """
    Opens an association and has a message of so many bytes come back. What the server's cookie
    says, what was wrong with any answer, or who refused it, how, and what that one quoted.
    """
    asked = Association(address, port, source_port, timeout)
    ports = source_port, port
    with asked.socket:
        try:
            opened = asked.exchange(init(INIT_TYPE, *ports, 0, asked.tag))
            wrong = asked.wrong(opened, INIT_ACK)
            cookie = opened.value[INIT.size + 4:]
            echoed = asked.exchange(build(*ports, opened.own_tag, COOKIE_ECHO, cookie))
            wrong += asked.wrong(echoed, COOKIE_ACK)
            payload = os.urandom(size)
            back = asked.exchange(message(*ports, opened.own_tag, payload))
            wrong += asked.wrong(back, DATA)
            if back.value[DATA_HEADER.size:] != payload:
                wrong.append("payload")
        except TimeoutError:
            return {"error": "timeout"}
        except Refused as refused:
            quoted = HEADER.unpack_from(bytes.fromhex(refused.said["quoted"]))
            return {"error": refused.said["error"], "from": refused.said["from"],
                    "about": [refused.said["about"], *quoted[:2]]}
    return {"error": None, "wrong": wrong, **json.loads(cookie)}
