# SPDX-License-Identifier: Apache-2.0
"""One HTTP request over a socket of its own. A failure is a value, as in client.py."""
import json
import time

from . import client


def fetch(address, port, path="/", method="GET", timeout=2.0):
    """status as a number; headers by name in lower case; body parsed if it is JSON."""
    begin = time.monotonic()
    request = f"{method} {path} HTTP/1.1\r\nHost: {port}\r\nConnection: close\r\n\r\n"
    try:
        with client.connect("tcp", address, port, timeout) as opened:
            opened.sendall(request.encode())
            with opened.makefile("rb") as stream:
                text = stream.read().decode()
    except OSError as error:
        return {"error": client.reason(error), "status": None, "headers": {}, "body": None,
                "seconds": time.monotonic() - begin}
    if not text:  # taken in by a server that then went
        return {"error": "closed", "status": None, "headers": {}, "body": None,
                "seconds": time.monotonic() - begin}
    head, _, body = text.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in
               (line.partition(":") for line in lines)}
    is_json = headers.get("content-type") == "application/json" and body
    return {"error": None, "status": int(first.split()[1]), "headers": headers,
            "body": json.loads(body) if is_json else body, "seconds": time.monotonic() - begin}


def fetch_for(seconds, **question):
    """The same question over and over: how many answers were a 200, and the slowest of all."""
    end = time.monotonic() + seconds
    good, bad, slowest = 0, [], 0.0
    while time.monotonic() < end:
        answer = fetch(**question)
        slowest = max(slowest, answer["seconds"])
        if answer["status"] == 200:
            good += 1
        else:
            bad.append(answer["error"] or answer["status"])
    return {"good": good, "bad": bad, "slowest": slowest}
