#!/usr/bin/env python3
"""Proof that the signing key is gone: looks for it in the memory of the running program, from outside.

    KEYLESS=... PEERS=... SCANNER=target/release/examples/memory_scan tests/interop/memory_scan.py [v1|v2]

Signs an image on the sandbox through proxies that hold a request, so that the program is stopped (SIGSTOP) exactly

1. while it waits for Fulcio's reply: the key exists, and the scan must find its scalar (the positive control);
2. while it waits for Rekor's reply: the signature is made, and neither the scalar, nor the nonce, nor the nonce's
   inverse may be found;
3. while it writes to the registry: the same.

Its writable memory is then read through /proc/PID/mem, which needs root, since the program forbids it to everyone else.
The public key comes from the request to Fulcio, r from the signature sent to Rekor; tests/interop/memory_scan.rs says what
a scan covers. Ends with "N passed, N failed".
"""
import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
from images import push  # noqa: E402
from proxy import Proxy  # noqa: E402

KEYLESS = os.path.abspath(os.environ.get("KEYLESS", f"{REPO}/target/release/keyless"))
SCANNER = os.path.abspath(os.environ.get("SCANNER", f"{REPO}/target/release/examples/memory_scan"))
GENERATOR = "036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
passed = failed = 0


def check(what, good, found=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print(f"{'PASS' if good else 'FAIL'}  {what}" + (f": {found}" if found else ""), flush=True)


def strings(value):
    """Every string in a JSON value, also inside JSON kept as a string or in base64."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value
        try:
            inner = value if value.startswith("{") else base64.b64decode(value, validate=True).decode()
            yield from strings(json.loads(inner))
        except (ValueError, UnicodeDecodeError):
            pass


def public_point(body):
    """The P-256 point in a request to Fulcio: a PEM block whose DER ends with the uncompressed point."""
    for text in strings(json.loads(body)):
        found = re.search(r"-----BEGIN PUBLIC KEY-----(.*?)-----END", text, re.S)
        if found:
            der = base64.b64decode("".join(found[1].split()))
            if len(der) == 91 and der[26] == 4:
                return der[26:].hex()
    return None


def signature_r(body):
    """r of the DER ECDSA signature in a request to Rekor."""
    for text in strings(json.loads(body)):
        try:
            der = base64.b64decode(text, validate=True)
        except ValueError:
            continue
        if 60 < len(der) <= 72 and der[0] == 0x30 and der[1] == len(der) - 2 and der[2] == 2:
            r = der[4:4 + der[3]]
            rest = der[4 + der[3]:]
            if rest[:1] == b"\x02" and rest[1] == len(rest) - 2:
                return int.from_bytes(r, "big")
    return None


class Stop:
    """Holds the first request that `matches`, until the scan has read the memory."""

    def __init__(self, matches):
        self.matches, self.body = matches, None
        self.reached, self.release = threading.Event(), threading.Event()

    def before(self, request):
        if not self.reached.is_set() and self.matches(request):
            self.body = request.body
            self.reached.set()
            self.release.wait(120)


def state(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


def scan(pid, targets):
    """Stops the process, reads its memory, lets it go on; then scans what was read. Returns the scanner and its lines."""
    os.kill(pid, signal.SIGSTOP)
    while state(pid) != "T":
        time.sleep(0.01)
    scanner = subprocess.Popen([SCANNER, str(pid), *targets], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = [scanner.stdout.readline().strip()]
    os.kill(pid, signal.SIGCONT)
    return scanner, lines


def conclude(scanner, lines):
    lines += scanner.communicate(timeout=900)[0].strip().splitlines()
    for line in lines:
        print("      " + line)
    return scanner.returncode


def inside(version):
    with tempfile.TemporaryDirectory() as work:
        fulcio = Stop(lambda request: request.method == "POST" and "signingCert" in request.path)
        rekor = Stop(lambda request: request.method == "POST" and "entries" in request.path)
        registry = Stop(lambda request: request.method == "PUT" and "/manifests/" in request.path)
        upstream = lambda url: url.split("://", 1)[1].split("/", 1)[0]  # noqa: E731
        with open(os.environ["KEYLESS_SIGNING_CONFIG"]) as file:
            config = file.read()
        for url, stop in ((os.environ["SANDBOX_FULCIO_URL"], fulcio), (os.environ["SANDBOX_REKOR_URL"], rekor)):
            config = config.replace(f"//{upstream(url)}", f"//{Proxy(upstream(url), before=stop.before).address}")
        config_file = os.path.join(work, "signing_config.json")
        with open(config_file, "w") as file:
            file.write(config)
        host, name = os.environ["SANDBOX_REGISTRY"], "memory/scan"
        digest = push(host, name)
        image = f"{Proxy(host, before=registry.before).address}/{name}@{digest}"
        print(f"program: {KEYLESS}, {os.path.getsize(KEYLESS)} bytes, "
              f"sha256 {hashlib.sha256(open(KEYLESS, 'rb').read()).hexdigest()}, Rekor {version}")

        signer = subprocess.Popen([KEYLESS, "sign", "-y", "--signing-config", config_file, image],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if not fulcio.reached.wait(60):
            sys.exit("error: no request reached Fulcio: " + signer.communicate(timeout=60)[0])
        key = public_point(fulcio.body)
        check("the request to Fulcio holds a P-256 public key", key)
        before = scan(signer.pid, [f"private scalar={key}"])
        fulcio.release.set()

        after = []
        for what, stop in (("while Rekor is asked", rekor), ("while the registry is written", registry)):
            if not stop.reached.wait(60):
                sys.exit("error: the program did not come so far: " + signer.communicate(timeout=60)[0])
            r = signature_r(rekor.body)
            point = f"02{r:064x}" # x = r: that r is x − n instead has a chance of 2^-128
            targets = [f"private scalar={key}", f"nonce={point}", f"inverse of the nonce={GENERATOR}/{point}"]
            after.append((what, *scan(signer.pid, targets)))
            stop.release.set()
        output, _ = signer.communicate(timeout=60)
        check("the image is signed", signer.returncode == 0, f"exit {signer.returncode}")
        if signer.returncode:
            print(output)

        print("stopped while Fulcio is asked, before signing:")
        check("the private scalar is found", conclude(*before) == 1)
        for what, scanner, lines in after:
            print(f"stopped {what}, after signing:")
            check("neither private scalar nor nonce nor its inverse is found", conclude(scanner, lines) == 0)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["inside"]:
        inside(sys.argv[2])
    version = (sys.argv[1:] or ["v1"])[0]
    os.execv(KEYLESS, [KEYLESS, "sandbox", "run", "--rekor", version, "--",
                       sys.executable, os.path.abspath(__file__), "inside", version])
