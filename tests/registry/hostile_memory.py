#!/usr/bin/env python3
"""How much memory `keyless verify` takes at default caps from registries whose lists of referrers are made to cost.

usage: KEYLESS=target/release/keyless tests/registry/hostile_memory.py

Each registry is a thread of this program on loopback. Prints, for each: exit code, error, seconds, requests, megabytes
sent and the peak of resident memory. Exit 1 if a peak is above 40 MB, or a list is not told to be cut.
"""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

KEYLESS = os.environ.get("KEYLESS", "target/release/keyless")
LIMIT = 40 * 1000 * 1000
PAGE = 4 * 1024 * 1024
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def descriptor(number, **others):
    digest = "sha256:" + hashlib.sha256(str(number).encode()).hexdigest()
    return {"mediaType": MANIFEST, "size": 900, "digest": digest, **others}


def filled(entries):
    """As many entries as a page holds."""
    parts, size = [], 40
    for entry in entries:
        size += len(entry) + 1
        if size > PAGE:
            break
        parts.append(entry)
    return ('{"manifests":[%s]}' % ",".join(parts)).encode()


def numbers():
    number = 0
    while True:
        number += 1
        yield number


def compact(value):
    return json.dumps(value, separators=(",", ":"))


CASES = {
    "honest, ten thousand": [
        filled(compact(descriptor(n, artifactType="application/spdx+json", annotations={
            "dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
            "org.opencontainers.image.created": "2026-01-01T00:00:00Z"})) for n in range(start, start + 5000))
        for start in (0, 5000)],
    "numbers in place of entries": [filled("1" for _ in numbers())] * 3,
    "empty objects": [filled("{}" for _ in numbers())] * 3,
    "annotations, 250 each": [filled(compact(descriptor(n, artifactType="x", annotations={str(i): "" for i in range(250)})) for n in numbers())] * 3,
    "annotations, one entry of a million": [b'{"manifests":[{"annotations":{%s}}]}' % b",".join(b'"%d":""' % i for i in range(350000))] * 3,
    "one annotation each": [filled(compact(descriptor(n, artifactType="x", annotations={"": ""})) for n in range(s, s + 100000)) for s in (0, 100000, 200000)],
    "names of four megabytes": [filled(["{\"mediaType\":\"%s\",\"size\":1,\"digest\":\"sha256:%064d\"}" % ("x" * (PAGE - 200), n)]) for n in range(9)],
    "white space": [b'{"manifests":[' + b" " * (PAGE - 20) + b"]}"] * 20,
    "nesting": [b'{"manifests":[' + b"[" * (PAGE // 2 - 20) + b"]" * (PAGE // 2 - 20) + b"]}"],
    "fields nobody knows": [b'{"manifests":[],' + b",".join(b'"%d":"%s"' % (i, b"x" * 65000) for i in range(60)) + b"}"] * 20,
}


def serve(pages):
    counts = {"requests": 0, "bytes": 0}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            counts["requests"] += 1
            page = 0
            if "page=" in self.path:
                page = int(self.path.rsplit("=", 1)[1])
            listed = "/referrers/" in self.path
            body = pages[page] if listed else b"{}"
            self.send_response(200 if listed else 404)
            self.send_header("Content-Type", "application/vnd.oci.image.index.v1+json")
            self.send_header("Content-Length", str(len(body)))
            if listed and page + 1 < len(pages):
                self.send_header("Link", f"<{self.path.split('?')[0]}?page={page + 1}>; rel=\"next\"")
            self.end_headers()
            try:
                self.wfile.write(body)
                counts["bytes"] += len(body)
            except OSError:
                pass

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, counts


# The system counts a program's peak from before it replaced the one that started it: this small one starts it.
STARTER = """
import os, sys
out = os.open(sys.argv[1], os.O_WRONLY)
nowhere = os.open(os.devnull, os.O_WRONLY)
child = os.posix_spawn(sys.argv[2], sys.argv[2:], {"HOME": "/nonexistent"}, file_actions=[
    (os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, nowhere, 2)])
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024)
"""


def measured(host):
    """Runs the program and returns exit code, error, seconds and peak resident bytes."""
    image = f"{host}/team/app@sha256:{'a' * 64}"
    command = [KEYLESS, "verify", image, "--certificate-identity", "a@example.test", "--certificate-oidc-issuer", "https://i.example.test", "--output", "json"]
    with tempfile.NamedTemporaryFile() as out:
        started = time.monotonic()
        told = subprocess.run([sys.executable, "-c", STARTER, out.name, *command], check=True, stdout=subprocess.PIPE, text=True)
        took = time.monotonic() - started
        code, peak = map(int, told.stdout.split())
        document = json.load(out)
    error = (document.get("error") or document["images"][0]["error"] or {})
    return code, error.get("message", ""), took, peak


def main():
    bad = 0
    for name, pages in CASES.items():
        server, counts = serve(pages)
        code, error, took, peak = measured(f"127.0.0.1:{server.server_address[1]}")
        server.shutdown()
        wrong = peak > LIMIT or code == 0
        bad += wrong
        print(f"{name:36} exit {code}  {took:5.2f} s  {counts['requests']:4} requests  {counts['bytes'] / 1e6:6.1f} MB sent  "
              f"peak {peak / 1e6:5.1f} MB  {error[:60]}{'  <- too much' if wrong else ''}", flush=True)
    print(f"{len(CASES)} registries, {bad} take too much")
    sys.exit(1 if bad else 0)


main()
