#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""server.py [--port N] [--certificate PEM --key PEM [--client-ca PEM]]: an HTTP server of the tests.

What it does with a request is the first word of the path. Prints its port once it listens.
"""
import argparse
import gzip
import http.server
import json
import socket
import ssl
import sys
import threading
import time
import urllib.parse

MEGABYTE = b"0123456789abcdef" * 65536


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""
    protocol_version = "HTTP/1.1"
    connections = 0
    lock = threading.Lock()

    def setup(self):
        super().setup()
        with Handler.lock:
            Handler.connections += 1
            self.number = Handler.connections

    def log_message(self, *args):
        pass

    def do_any(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(url.query))
        size = int(self.headers.get("Content-Length") or 0)
        self.content = self.rfile.read(size).decode()
        getattr(self, "say_" + url.path.split("/")[-1].replace("-", "_"))()

    do_GET = do_POST = do_PATCH = do_DELETE = do_any

    def answer(self, body, status=200, **headers):
        self.send_response(status)
        self.send_header("Content-Length", len(body))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def head(self, **headers):
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def cut(self):
        """Closes without a word of farewell."""
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def say_hello(self):
        self.answer(b"hello")

    def say_seen(self):
        peer = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        names = [value for part in (peer or {}).get("subject", ()) for _, value in part]
        self.answer(json.dumps({
            "method": self.command, "path": self.path, "headers": dict(self.headers.items()),
            "body": self.content, "peer": names, "connection": self.number}).encode())

    def say_connection(self):
        self.answer(b"%d" % self.number)

    def say_peer(self):
        peer = self.connection.getpeercert() or {}
        self.answer(dict(part[0] for part in peer.get("subject", ())).get("commonName", "").encode())

    def say_pieces(self):
        self.head(Transfer_Encoding="chunked")
        for i in range(int(self.query["n"])):
            self.chunk(b"piece %d\n" % i)
            time.sleep(float(self.query["gap"]))
        self.chunk(b"")

    def say_mute(self):
        time.sleep(30)

    def say_stall(self):
        self.head(Content_Length=100)
        self.wfile.write(b"some")
        self.wfile.flush()
        time.sleep(30)

    def say_cut(self):
        self.head(Content_Length=100)
        self.wfile.write(b"some")
        self.cut()

    def say_cut_chunked(self):
        self.head(Transfer_Encoding="chunked")
        self.chunk(b"some")
        self.cut()

    def say_cut_head(self):
        self.cut()

    def say_big(self):
        megabytes = int(self.query["mb"])
        self.head(Content_Length=megabytes << 20)
        for _ in range(megabytes):
            self.wfile.write(MEGABYTE)

    def say_gzip(self):
        if self.headers.get("Accept-Encoding") != "gzip":
            return self.answer(b"not asked for", 406)
        return self.answer(gzip.compress(MEGABYTE * 3), Content_Encoding="gzip")

    def say_garbled(self):
        self.answer(b"no gzip at all", Content_Encoding="gzip")

    def say_busy(self):
        self.answer(b"later", 429, Retry_After=self.query.get("after", "7"))

    def say_moved(self):
        self.answer(b"", 302, Location="/hello")

    def say_early(self):
        self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nRetry-After: 3\r\n\r\n")
        self.answer(b"hello")

    def say_login(self):
        good = self.headers.get("Authorization") == self.query["wanted"]
        self.answer(b"welcome" if good else b"who?", 200 if good else 401)


class Server(http.server.ThreadingHTTPServer):
    """Handshakes on the connection's own thread, so that one that hangs holds up no other."""
    request_queue_size = 64

    def __init__(self, address, context):
        super().__init__(address, Handler)
        self.context = context

    def finish_request(self, request, client_address):
        if self.context:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass


def tls(options):
    if not options.certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    if options.client_ca:
        context.load_verify_locations(options.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--client-ca")
    options = parser.parse_args()
    server = Server(("127.0.0.1", options.port), tls(options))
    print(server.server_address[1], flush=True)
    # The test that started it may be gone: its end of the pipe closes then.
    threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
