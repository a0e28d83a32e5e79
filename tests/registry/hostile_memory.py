#!/usr/bin/env python3
"""How much memory and time `keyless verify` takes at default caps from registries and image layouts that are made to cost.

usage: KEYLESS=target/release/keyless tests/registry/hostile_memory.py

Each registry is a thread of this program on loopback. Prints, for each: exit code, error, seconds, requests, megabytes
sent and the peak of resident memory. Exit 1 if a peak is above 40 MB for a list of referrers, or above 120 MB for indexes
in indexes and for layouts; if one of these takes more than two minutes; or if a list is not told to be cut.
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
# An index is held whole while it is read, and what it says takes many times its bytes.
TREE_LIMIT = 120 * 1000 * 1000
TREE_SECONDS = 120
PAGE = 4 * 1024 * 1024
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


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


def named(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def index(entries, **others):
    return compact({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries, **others}).encode()


def entry(content, media_type, **others):
    return {"mediaType": media_type, "digest": named(content), "size": len(content), **others}


def nested(count, size):
    """An index of indexes, each filled with children."""
    inner = []
    for n in range(count):
        children = [descriptor(f"{n}.{i}", platform={"os": "linux", "architecture": "amd64"}) for i in range(150)]
        inner.append(index(children, annotations={"filled": str(n) + "x" * size}))
    root = index([entry(content, INDEX) for content in inner])
    return root, {named(content): content for content in [root, *inner]}


def wide(count):
    """An index of so many images, of which nothing else is there."""
    root = index([descriptor(n, platform={"os": "linux", "architecture": "amd64"}) for n in range(count)])
    return root, {named(root): root}


def annotated(count):
    """An index of indexes with as many small annotations as are read."""
    notes = {str(i): "" for i in range(250)}
    inner = [index([descriptor(f"{n}.{i}", annotations=notes) for i in range(1500)]) for n in range(count)]
    root = index([entry(content, INDEX) for content in inner])
    return root, {named(content): content for content in [root, *inner]}


TREES = {
    "60 indexes of 1.7 MB in an index": (lambda: nested(60, 1_700_000), ["--recursive"]),
    "the same, for a platform": (lambda: nested(60, 1_700_000), ["--platform", "linux/amd64"]),
    "30 indexes of annotations": (lambda: annotated(30), ["--recursive"]),
    "ten thousand images in an index": (lambda: wide(10_000), ["--recursive"]),
}


def layout(folder, count, filling):
    """A layout of one image and so many manifests that refer to it."""
    blobs = os.path.join(folder, "blobs", "sha256")
    os.makedirs(blobs)

    def put(content):
        with open(os.path.join(blobs, named(content)[7:]), "wb") as file:
            file.write(content)
        return entry(content, MANIFEST)

    config = entry(b"{}", "application/vnd.oci.image.config.v1+json")
    image = put(compact({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}).encode())
    for n in range(count):
        put(compact({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [], "subject": image,
                     "annotations": {"n": str(n), **filling}}).encode())
    for name, content in (("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", index([image]))):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)


LAYOUTS = {
    "layout, 60 referrers of 3.8 MB": (60, {"filled": "x" * 3_800_000}),
    "layout, 150 referrers of 3.8 MB": (150, {"filled": "x" * 3_800_000}),
    "layout, 3,000 of 250 annotations": (3000, {str(i): "x" * 200 for i in range(250)}),
}


def serve(pages, manifests=None):
    counts = {"requests": 0, "bytes": 0}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            counts["requests"] += 1
            page = 0
            if "page=" in self.path:
                page = int(self.path.rsplit("=", 1)[1])
            listed = "/referrers/" in self.path
            body = pages[page] if listed else (manifests or {}).get(self.path.rsplit("/", 1)[1])
            found, body = body is not None, body or b"{}"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", INDEX)
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


def measured(image, flags=()):
    """Runs the program and returns exit code, error, seconds and peak resident bytes."""
    command = [KEYLESS, "verify", image, *flags, "--certificate-identity", "a@example.test", "--certificate-oidc-issuer", "https://i.example.test", "--output", "json"]
    with tempfile.NamedTemporaryFile() as out:
        started = time.monotonic()
        told = subprocess.run([sys.executable, "-c", STARTER, out.name, *command], check=True, stdout=subprocess.PIPE, text=True)
        took = time.monotonic() - started
        code, peak = map(int, told.stdout.split())
        document = json.load(out)
    error = (document.get("error") or document["images"][0]["error"] or {})
    return code, error.get("message", ""), took, peak


def told(name, code, error, took, peak, counts, limit):
    """Prints a case, and returns whether it takes too much."""
    wrong = peak > limit or code == 0 or took > TREE_SECONDS
    print(f"{name:36} exit {code}  {took:5.2f} s  {counts['requests']:5} requests  {counts['bytes'] / 1e6:6.1f} MB sent  "
          f"peak {peak / 1e6:5.1f} MB  {error[:60]}{'  <- too much' if wrong else ''}", flush=True)
    return wrong


def main():
    bad = 0
    for name, pages in CASES.items():
        server, counts = serve(pages)
        code, error, took, peak = measured(f"127.0.0.1:{server.server_address[1]}/team/app@sha256:{'a' * 64}")
        server.shutdown()
        bad += told(name, code, error, took, peak, counts, LIMIT)
    for name, (tree, flags) in TREES.items():
        root, manifests = tree()
        server, counts = serve([index([])], manifests)
        code, error, took, peak = measured(f"127.0.0.1:{server.server_address[1]}/team/app@{named(root)}", flags)
        server.shutdown()
        bad += told(name, code, error, took, peak, counts, TREE_LIMIT)
    for name, (count, filling) in LAYOUTS.items():
        with tempfile.TemporaryDirectory() as folder:
            layout(folder, count, filling)
            code, error, took, peak = measured(folder, ["--local-image"])
        bad += told(name, code, error, took, peak, {"requests": 0, "bytes": 0}, TREE_LIMIT)
    print(f"{len(CASES) + len(TREES)} registries, {len(LAYOUTS)} layouts, {bad} take too much")
    sys.exit(1 if bad else 0)


main()
