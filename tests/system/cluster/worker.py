# SPDX-License-Identifier: Apache-2.0
"""
One process in each namespace: takes calls as lines of JSON on stdin, each in a thread of its own,
and answers in whatever order they end. It goes when whoever started it goes.
"""
import ctypes
import json
import os
import signal
import sys
import threading
import time

from . import client, icmp, load, raw, sctp, server, sockets, web

PR_SET_PDEATHSIG = 1


def serve(name, port):
    server.Server(name, port).start()


CALLS = {
    "ask": client.ask, "ask_all": client.ask_all, "bulk": client.bulk,
    "first_answer": client.first_answer, "load_start": load.load_start,
    "load_stop": load.load_stop, "serve": serve, "ping": lambda: "pong",
    "sleep": time.sleep, "socket_open": sockets.socket_open, "socket_ask": sockets.socket_ask,
    "socket_read": sockets.socket_read, "socket_connect": sockets.socket_connect,
    "socket_finish": sockets.socket_finish, "socket_close": sockets.socket_close, "fetch": web.fetch, "fetch_for": web.fetch_for,
    "echo": icmp.echo, "time_exceeded": icmp.time_exceeded,
    "path_mtu": icmp.path_mtu, "datagrams": icmp.datagrams,
    "raw_open": raw.raw_open, "raw_read": raw.raw_read, "raw_close": raw.raw_close,
    "sctp_serve": sctp.sctp_serve, "sctp_ask": sctp.sctp_ask,
    "raw_send": raw.raw_send, "stray_segment": raw.stray_segment, "tcp_counter": raw.tcp_counter,
}
writing = threading.Lock()


def answer(request):
    try:
        reply = {"id": request["id"], "result": CALLS[request["call"]](**request["args"])}
    except Exception as error:  # the caller gets it, whatever it is
        reply = {"id": request["id"], "exception": f"{type(error).__name__}: {error}"}
    with writing:
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


def main():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:  # gone before the line above
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's ^C is for the parent to handle
    for line in sys.stdin:
        threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()


if __name__ == "__main__":
    main()
