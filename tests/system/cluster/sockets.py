# SPDX-License-Identifier: Apache-2.0
"""Sockets that a process keeps, by a name of the caller's: what becomes of them is the question."""
import errno
import json
import socket

from . import client

kept = {}


def failure(error):
    return "aborted" if error.errno == errno.ECONNABORTED else client.reason(error)


def socket_open(name, proto, address=None, port=0, family=4, timeout=2.0):
    """Connected to the address; without one, a socket of that family to send datagrams from."""
    if address is not None:
        kept[name] = client.connect(proto, address, port, timeout)
        return
    kept[name] = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, client.KIND[proto])
    kept[name].settimeout(timeout)


def socket_ask(name, proto, address=None, port=0):
    """
    "who" over the socket as it is connected, or in a datagram to the address: who answered, and
    what this end is told of the other.
    """
    opened = kept[name]
    try:
        if address is None:
            return client.exchange(opened, proto) | {"error": None, "named": opened.getpeername()[:2]}
        opened.sendto(b"who", (address, port))
        text, source = opened.recvfrom(65536)
        return json.loads(text) | {"error": None, "named": source[:2]}
    except OSError as error:
        return {"error": failure(error), "pod": None, "named": None}


def socket_read(name):
    """Waits for what nobody will send; says how that ended."""
    try:
        return kept[name].recv(1).decode()
    except OSError as error:
        return failure(error)


def socket_connect(name, address, port):
    try:
        kept[name].connect((address, port))
    except OSError as error:
        return failure(error)
    return None


def socket_finish(name, text):
    """Says this last, and sends a FIN; what is answered is left unread."""
    kept[name].sendall(text.encode() + b"\n")
    kept[name].shutdown(socket.SHUT_WR)


def socket_close(name):
    kept.pop(name).close()
