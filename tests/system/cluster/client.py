# SPDX-License-Identifier: Apache-2.0
"""What clients send. A failure is a value: "timeout", "refused", "reset", "unreachable"."""
import errno
import json
import select
import socket
import threading
import time

from . import server

KIND = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
ERRORS = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.EPIPE: "reset",
          errno.EHOSTUNREACH: "unreachable", errno.ENETUNREACH: "unreachable",
          errno.ETIMEDOUT: "timeout", errno.EACCES: "unreachable"}


def reason(error):
    if isinstance(error, TimeoutError):
        return "timeout"
    return ERRORS.get(error.errno, str(error))


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def connect(proto, address, port, timeout, source_port=0):
    opened = socket.socket(family_of(address), KIND[proto])
    try:
        opened.settimeout(timeout)
        if source_port:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(("", source_port))
        opened.connect((address, port))
        return opened
    except OSError:
        opened.close()
        raise


def read_line(opened):
    line = b""
    while not line.endswith(b"\n"):
        piece = opened.recv(4096)
        if not piece:
            raise ConnectionResetError(errno.ECONNRESET, "closed early")
        line += piece
    return line


def exchange(opened, proto, text="who"):
    """One question over an open socket; the answer as sent by the pod."""
    if proto == "tcp":
        opened.sendall(text.encode() + b"\n")
        return json.loads(read_line(opened))
    opened.send(text.encode())
    return json.loads(opened.recv(65536))


def ask(proto, address, port, timeout=2.0, source_port=0, rounds=1):
    """
    Who serves this address, and whom does it see? With more rounds, the same question again over
    the same socket, and every answer has to be the same.
    """
    begin = time.monotonic()
    try:
        with connect(proto, address, port, timeout, source_port) as opened:
            answers = [exchange(opened, proto) for _ in range(rounds)]
            same = all(answer == answers[0] for answer in answers)
            return answers[0] | {"error": None if same else f"answers differ: {answers}",
                                 "port": opened.getsockname()[1],
                                 "named": opened.getpeername()[:2],
                                 "seconds": time.monotonic() - begin}
    except OSError as error:
        return {"pod": None, "peer": None, "error": reason(error),
                "seconds": time.monotonic() - begin}


def ask_all(questions, at_once=8):
    """Many questions at once: each is the arguments of ask()."""
    answers = [None] * len(questions)

    def work(offset):
        for index in range(offset, len(questions), at_once):
            answers[index] = ask(**questions[index])

    run_threads(work, min(at_once, len(questions)))
    return answers


def run_threads(work, count):
    threads = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def bulk(address, port, size, direction, timeout=60.0):
    """Sends ("up") or fetches ("down") size bytes over TCP; true if they arrived as sent."""
    begin = time.monotonic()
    try:
        with connect("tcp", address, port, timeout) as opened:
            seen = push(opened, size) if direction == "up" else pull(opened, size)
    except OSError as error:
        return {"error": reason(error), "bytes": 0, "seconds": time.monotonic() - begin}
    right = seen == {"bytes": size, "sha256": server.digest_of(size)}
    return {"error": None if right else "damaged", "bytes": seen["bytes"],
            "seconds": time.monotonic() - begin}


def push(opened, size):
    opened.sendall(f"take {size}\n".encode())
    for block in server.blocks(size):
        opened.sendall(block)
    return json.loads(read_line(opened))


def pull(opened, size):
    opened.sendall(f"give {size}\n".encode())
    with opened.makefile("rb") as stream:
        return server.receive(stream, size)


ATTEMPTS = 200  # open at once


def first_answer(address, port, timeout=5.0, tick=0.002):
    """
    Opens a connection every tick until one is answered; when that was (CLOCK_MONOTONIC, the same
    in every process) and by whom. Attempts stay open, so that a lost SYN costs one tick.
    """
    pending, end = [], time.monotonic() + timeout
    try:
        while time.monotonic() < end:
            pending.append(attempt(address, port))
            if len(pending) > ATTEMPTS:
                pending.pop(0).close()
            opened = first_connected(pending, tick)
            if opened:
                at = time.monotonic()
                opened.settimeout(2)
                return exchange(opened, "tcp") | {"error": None, "at": at}
        return {"error": "timeout", "pod": None, "at": None}
    except OSError as error:
        return {"error": reason(error), "pod": None, "at": None}
    finally:
        for opened in pending:
            opened.close()


def first_connected(pending, tick):
    """One that got through, if any does within a tick; refused ones are closed and forgotten."""
    _, done, _ = select.select([], pending, [], tick)
    for opened in done:
        if opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            return opened
        pending.remove(opened)
        opened.close()
    return None


def attempt(address, port):
    opened = socket.socket(family_of(address), socket.SOCK_STREAM)
    opened.setblocking(False)
    opened.connect_ex((address, port))
    return opened


def eventually(condition, timeout=3.0, pause=0.01):
    """Whether condition() comes true in time."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True
