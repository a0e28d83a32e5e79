#!/usr/bin/env python3
"""Forces two writers of one fallback tag to interleave, then repairs what was lost.

    KEYLESS=... PEERS=... keyless sandbox run -- tests/interop/interleave.py HOST

HOST is a registry without the referrers API (run by interleave.sh on a real docker-registry). A delaying proxy holds
the first writer's PUT of the index under sha256-<hex> until the second writer has written its own:

1. released at once: the second writer's line is overwritten while it still re-checks, so it must notice and write again;
2. held until the second writer has ended: nobody is left to notice, one signature is lost. The protocol has no lock
   against that. `keyless attach bundle IMAGE FILE` then puts it back, without a new signature.

Ends with "N passed, N failed".
"""
import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from images import push  # noqa: E402
from proxy import Proxy  # noqa: E402

KEYLESS = os.environ["KEYLESS"]
IDENTITY = ["--certificate-identity", os.environ["SANDBOX_IDENTITY"],
            "--certificate-oidc-issuer", os.environ["SANDBOX_ISSUER"]]
passed = failed = 0


def check(what, good, found=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print(f"{'PASS' if good else 'FAIL'}  {what}" + (f": {found}" if found else ""), flush=True)


def keyless(*arguments):
    return subprocess.Popen([KEYLESS, *arguments], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    output, _ = process.communicate(timeout=120)
    return process.returncode, output.strip().splitlines()[-1:] or [""]


def listed(host, image):
    name, digest = image.split("/", 1)[1].rsplit("@", 1)
    request = urllib.request.Request(f"http://{host}/v2/{name}/manifests/{digest.replace(':', '-')}",
                                     headers={"Accept": "application/vnd.oci.image.index.v1+json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return len({line["digest"] for line in json.load(reply)["manifests"]})
    except urllib.error.HTTPError:
        return 0


def signatures(image):
    """How many signatures `keyless verify` judged and accepted, and its exit code."""
    result = subprocess.run([KEYLESS, "verify", *IDENTITY, "--output", "json", image], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=120)
    return result.returncode


class Holder:
    """Holds the first PUT of the fallback tag until `release` is set."""

    def __init__(self):
        self.held, self.release, self.lock = threading.Event(), threading.Event(), threading.Lock()

    def before(self, request):
        if request.method != "PUT" or "/manifests/sha256-" not in request.path:
            return
        with self.lock:
            first = not self.held.is_set()
            self.held.set()
        if first:
            self.release.wait(60)


def interleave(host, name, work, until_the_end):
    digest = push(host, name)
    image, holder, written = f"{host}/{name}@{digest}", Holder(), threading.Event()
    slow = Proxy(host, "slow", before=holder.before)

    def note_write(request):
        if request.method == "PUT" and "/manifests/sha256-" in request.path and request.status == 201:
            written.set()

    quick = Proxy(host, "quick", after=note_write)
    bundles = [os.path.join(work, f"{name.replace('/', '-')}-{n}.json") for n in (1, 2)]
    first = keyless("sign", "-y", "--bundle", bundles[0], f"{slow.address}/{name}@{digest}")
    check("the first writer's index is held", holder.held.wait(60))
    second = keyless("sign", "-y", "--bundle", bundles[1], f"{quick.address}/{name}@{digest}")
    if until_the_end:
        status, line = finish(second)
        check("the second writer ends before it is let go", status == 0, f"exit {status} {line[0]}")
    else:
        check("the second writer has written", written.wait(60))
    holder.release.set()
    status, line = finish(first)
    check("the first writer succeeds", status == 0, f"exit {status} {line[0]}")
    if not until_the_end:
        status, line = finish(second)
        check("the second writer succeeds", status == 0, f"exit {status} {line[0]}")
    for proxy in (slow, quick):
        proxy.close()
    return image, bundles


def main():
    host = sys.argv[1]
    with tempfile.TemporaryDirectory() as work:
        print("overwritten while the second writer re-checks")
        image, _ = interleave(host, "interleave/recheck", work, until_the_end=False)
        check("both signatures are listed without a repair", listed(host, image) == 2, f"{listed(host, image)} of 2")

        print("overwritten after the second writer has ended")
        image, bundles = interleave(host, "interleave/lost", work, until_the_end=True)
        lost = listed(host, image)
        check("the second signature is lost, as the protocol has it", lost == 1, f"{lost} of 2 listed")
        for n in (1, 2, 1):  # which of the two is missing need not be known, and repeating does no harm
            status, line = finish(keyless("attach", "bundle", *IDENTITY, image, bundles[n - 1]))
            check(f"attach bundle, signature {n}", status == 0, f"exit {status} {line[0]}")
        check("both are listed after the repair", listed(host, image) == 2, f"{listed(host, image)} of 2")
        check("and the image verifies", signatures(image) == 0)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
