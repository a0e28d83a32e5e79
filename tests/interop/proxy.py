#!/usr/bin/env python3
"""A small HTTP/1.1 proxy for tests on loopback: it counts requests, and can hold one until told to let it go.

As a program:  proxy.py NAME=HOST:PORT...   starts one proxy for each, prints one JSON object {NAME: "127.0.0.1:PORT"},
then writes every request as one JSON line to the file in $PROXY_LOG, until its standard input closes.
As a module:   Proxy("127.0.0.1:5000", before=function, after=function), see below.

It answers as the upstream does, Host header included, so that what the upstream says about itself stays true.
"""
import http.client
import http.server
import json
import os
import sys
import threading
import time

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"}


class Request:
    """What went by: method, path, the body, and after the answer its status."""

    def __init__(self, service, method, path, body):
        self.service, self.method, self.path, self.body = service, method, path, body
        self.status = None


class Proxy:
    """One listening port in front of one upstream.

    before(request) runs before the request is passed on and may block; after(request) runs after the answer came
    back from the upstream and before the client sees it.
    """

    def __init__(self, upstream, name="", before=None, after=None):
        self.requests = []
        lock = threading.Lock()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def pass_on(self):
                body = self.read_body()
                request = Request(name, self.command, self.path, body)
                if before:
                    before(request)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP | {"content-length"}}
                if body or self.command in ("POST", "PUT", "PATCH"):
                    headers["Content-Length"] = str(len(body))
                upstream_connection = http.client.HTTPConnection(upstream, timeout=120)
                try:
                    upstream_connection.request(self.command, self.path, body=body or None, headers=headers)
                    reply = upstream_connection.getresponse()
                    content = reply.read()
                finally:
                    upstream_connection.close()
                request.status = reply.status
                with lock:
                    proxy.requests.append(request)
                if after:
                    after(request)
                self.send_response_only(reply.status, reply.reason)
                for key, value in reply.getheaders():
                    if key.lower() not in HOP_BY_HOP | {"content-length"}:
                        self.send_header(key, value)
                length = reply.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
                if length is not None and reply.status not in (204, 304):
                    self.send_header("Content-Length", length)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

            def read_body(self):
                if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
                    parts = []
                    while size := int(self.rfile.readline().split(b";")[0], 16):
                        parts.append(self.rfile.read(size))
                        self.rfile.readline()
                    while self.rfile.readline() not in (b"\r\n", b"\n", b""):
                        pass
                    return b"".join(parts)
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):  # a client that went away
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def main():
    log = open(os.environ["PROXY_LOG"], "a", buffering=1)

    def write(request):
        log.write(json.dumps({"time": time.time(), "service": request.service, "method": request.method,
                              "path": request.path, "status": request.status}) + "\n")

    addresses = {}
    for argument in sys.argv[1:]:
        name, upstream = argument.split("=", 1)
        addresses[name] = Proxy(upstream, name, after=write).address
    print(json.dumps(addresses), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
