# SPDX-License-Identifier: Apache-2.0
"""
What runs in a backend pod, on TCP and UDP of one port number and in both families.

TCP takes lines until the client closes: "who" answers who is asked and who is asking, "say TEXT"
comes back as it is, "take N" swallows N bytes and answers their digest, "give N" sends N bytes.
A datagram's text comes back beside the answer to "who". On a host with several addresses the answer
comes from the one that was asked: what the route to the client suggests may be another.
"""
import hashlib
import json
import socket
import struct
import threading

BLOCK = hashlib.shake_128(b"weir").digest(1 << 20)
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO = 8, 49, 50
ANY = {4: "0.0.0.0", 6: "::"}


def blocks(size):
    """The bytes of a bulk transfer: the same at both ends, and never held whole."""
    while size > 0:
        yield BLOCK[:size]
        size -= len(BLOCK)


def digest_of(size):
    digest = hashlib.sha256()
    for block in blocks(size):
        digest.update(block)
    return digest.hexdigest()


def receive(stream, size):
    """Reads size bytes, fewer if the stream ends before; returns their number and digest."""
    digest, got = hashlib.sha256(), 0
    while got < size:
        piece = stream.read1(min(size - got, 1 << 18))
        if not piece:
            break
        digest.update(piece)
        got += len(piece)
    return {"bytes": got, "sha256": digest.hexdigest()}


class Server:
    def __init__(self, name, port):
        self.name = name
        self.port = port

    def start(self):
        for family in FAMILY:
            listener = self.bind(family, socket.SOCK_STREAM)
            listener.listen(1024)
            threading.Thread(target=self.accept, args=(listener,), daemon=True).start()
            datagrams = self.bind(family, socket.SOCK_DGRAM)
            datagrams.setsockopt(*{4: (socket.IPPROTO_IP, IP_PKTINFO),
                                   6: (socket.IPPROTO_IPV6, IPV6_RECVPKTINFO)}[family], 1)
            threading.Thread(target=self.answer_datagrams, args=(datagrams,), daemon=True).start()

    def bind(self, family, kind):
        bound = socket.socket(FAMILY[family], kind)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == 6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((ANY[family], self.port))
        return bound

    def identity(self, peer, **more):
        text = json.dumps({"pod": self.name, "peer": peer[0], "peer_port": peer[1], **more})
        return text.encode()

    def accept(self, listener):
        while True:
            connection, peer = listener.accept()
            threading.Thread(target=self.serve, args=(connection, peer), daemon=True).start()

    def serve(self, connection, peer):
        with connection, connection.makefile("rb") as stream:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for line in iter(stream.readline, b""):
                    self.obey(line.decode().strip(), connection, stream, peer)
            except OSError:
                pass  # the client's end reports it

    def obey(self, line, connection, stream, peer):
        verb, _, rest = line.partition(" ")
        if verb == "who":
            connection.sendall(self.identity(peer) + b"\n")
        elif verb == "say":
            connection.sendall(rest.encode() + b"\n")
        elif verb == "take":
            connection.sendall(json.dumps(receive(stream, int(rest))).encode() + b"\n")
        elif verb == "give":
            for block in blocks(int(rest)):
                connection.sendall(block)

    def answer_datagrams(self, datagrams):
        while True:
            try:
                text, ancillary, _, peer = datagrams.recvmsg(65536, 64)
                answer = self.identity(peer, text=text.decode())
                datagrams.sendmsg([answer], [from_asked(item) for item in ancillary], 0, peer)
            except OSError:
                pass  # an ICMP error about an earlier answer


def from_asked(item):
    """Of what is told with a datagram, what to tell with its answer: the address, and any device."""
    level, kind, data = item
    if level == socket.IPPROTO_IP:  # device, local address, address in the header
        return level, kind, struct.pack("=I4s4s", 0, data[4:8], data[8:12])
    return level, IPV6_PKTINFO, data[:16] + struct.pack("=I", 0)
