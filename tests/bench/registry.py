#!/usr/bin/env python3
"""What verifying images costs beside cosign, in one run: requests, round trips, time with latency, CPU, memory.

    cargo build --release --bin keyless && tests/interop/peers.sh && python3 tests/bench/registry.py

On the embedded sandbox, Rekor v1, and on a real docker-registry without the referrers API; both programs verify the same
signatures, taking turns. LATENCY (0.05) seconds are added before every request by a proxy that holds up none for another.
Of RUNS (5) runs the median is taken, of SLOW_RUNS (2) where one of cosign's takes long. IMAGES (200) and SIGNATURES (100)
are how many. Every line ends with our ratio to cosign's and the goal. Nothing here is a test: the numbers are of the
machine.
"""
import concurrent.futures
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(REPO, "tests", "interop"))
os.environ.setdefault("PEERS", os.path.join(REPO, ".peers"))
import junk  # noqa: E402
from images import push  # noqa: E402
from latency import LatencyProxy, chain  # noqa: E402
from measure import Measure  # noqa: E402

PEERS = os.path.abspath(os.environ["PEERS"])
KEYLESS = os.path.abspath(os.environ.get("KEYLESS", f"{REPO}/target/release/keyless"))
COSIGN = os.path.join(PEERS, "bin", "cosign")
LATENCY = float(os.environ.get("LATENCY", 0.05))
RUNS, SLOW_RUNS = int(os.environ.get("RUNS", 5)), int(os.environ.get("SLOW_RUNS", 2))
IMAGES, SIGNATURES = int(os.environ.get("IMAGES", 200)), int(os.environ.get("SIGNATURES", 100))
failures = []


class Place:
    def __init__(self, name, host, work):
        self.name, self.host, self.measure = name, host, Measure(work)
        self.who = ["--trusted-root", os.environ["KEYLESS_TRUSTED_ROOT"], "--certificate-identity", os.environ["SANDBOX_IDENTITY"],
                    "--certificate-oidc-issuer", os.environ["SANDBOX_ISSUER"]]

    def image(self, name, signatures=1):
        image = f"{self.host}/{name}@{push(self.host, name)}"
        for _ in range(signatures):
            subprocess.run([KEYLESS, "sign", "-y", image], check=True, capture_output=True, timeout=120)
        return image

    def images(self, name, count):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            images = [f"{self.host}/{name}@{digest}" for digest in pool.map(lambda _: push(self.host, name), range(count))]
        subprocess.run([KEYLESS, "sign", "-y", *images], check=True, capture_output=True, timeout=300)
        return images

    def once(self, what, program, images):
        sample = self.measure(program, "verify", *self.who, *images, timeout=600)
        if sample.code:
            failures.append(f"{self.name}, {what}, {os.path.basename(program)}: exit {sample.code}: {(sample.text.strip().splitlines() or [''])[-1][:160]}")
        return sample

    def rows(self, what, images, runs=RUNS, late=True):
        """Counts once through a proxy, then measures directly and, if asked, through the proxy that answers late."""
        found = {}
        with LatencyProxy(self.host) as near, LatencyProxy(self.host, LATENCY) as far:
            for program in (KEYLESS, COSIGN):
                self.once(what, program, through(near, self.host, images))
                requests = near.take()
                found[program] = {"requests": len(requests), "late": [], "direct": []}
            for _ in range(runs):
                for program in (KEYLESS, COSIGN):
                    found[program]["direct"].append(self.once(what, program, images))
                    if late:
                        found[program]["late"].append(self.once(what, program, through(far, self.host, images)))
                        found[program]["round trips"] = chain(far.take())
        return found[KEYLESS], found[COSIGN]


def through(proxy, host, images):
    return [image.replace(host, proxy.address, 1) for image in images]


def median(samples, of):
    return statistics.median(of(sample) for sample in samples)


def line(what, ours, theirs, shape, goal=None, absolute=None):
    ratio = ours / theirs if theirs else float("nan")
    verdict = ""
    if goal is not None:
        verdict = f"goal at most {goal:.0%} of cosign's: {'met' if ratio <= goal else 'MISSED'}"
    if absolute is not None:
        verdict = f"goal {absolute:g}: {'met' if ours <= absolute else 'MISSED'}"
    print(f"{what:58}  {shape.format(ours):>9}  {shape.format(theirs):>9}  {ratio:6.1%}  {verdict}", flush=True)


def table(place, api):
    extra = 0 if api else 1  # without the referrers API one request more, for what it says instead
    print(f"\n{place.name}\n{'':58}  {'keyless':>9}  {'cosign':>9}  {'ratio':>6}")
    one = [place.image("bench/one")]
    ours, theirs = place.rows("one image", one)
    line("one signature by digest: requests", ours["requests"], theirs["requests"], "{:d}", absolute=3 + extra)
    line("one signature by digest: dependent round trips", ours["round trips"], theirs["round trips"], "{:d}")
    line(f"one image with {LATENCY * 1000:.0f} ms: seconds", median(ours["late"], lambda s: s.wall), median(theirs["late"], lambda s: s.wall), "{:.3f}", 0.6)
    line("one image: CPU seconds", median(ours["direct"], lambda s: s.cpu), median(theirs["direct"], lambda s: s.cpu), "{:.3f}")
    loop = median(theirs["direct"], lambda s: s.cpu) * IMAGES
    many = [place.image("bench/many", SIGNATURES)]
    ours, theirs = place.rows("many signatures", many)
    line(f"{SIGNATURES} signatures: requests", ours["requests"], theirs["requests"], "{:d}", absolute=2 * SIGNATURES + 1 + extra)
    line(f"{SIGNATURES} signatures: dependent round trips", ours["round trips"], theirs["round trips"], "{:d}")
    line(f"{SIGNATURES} signatures with {LATENCY * 1000:.0f} ms: seconds", median(ours["late"], lambda s: s.wall), median(theirs["late"], lambda s: s.wall), "{:.3f}")
    line(f"{SIGNATURES} signatures: CPU seconds", median(ours["direct"], lambda s: s.cpu), median(theirs["direct"], lambda s: s.cpu), "{:.3f}", 0.2)
    batch = place.images("bench/batch", IMAGES)
    ours, theirs = place.rows("many images", batch, SLOW_RUNS)
    line(f"{IMAGES} images in one run: requests", ours["requests"], theirs["requests"], "{:d}")
    line(f"{IMAGES} images in one run: dependent round trips", ours["round trips"], theirs["round trips"], "{:d}")
    line(f"{IMAGES} images in one run with {LATENCY * 1000:.0f} ms: seconds", median(ours["late"], lambda s: s.wall), median(theirs["late"], lambda s: s.wall), "{:.3f}", 0.1)
    line(f"{IMAGES} images in one run: seconds", median(ours["direct"], lambda s: s.wall), median(theirs["direct"], lambda s: s.wall), "{:.3f}")
    cpu = median(ours["direct"], lambda s: s.cpu)
    line(f"{IMAGES} images in one run: CPU seconds", cpu, median(theirs["direct"], lambda s: s.cpu), "{:.3f}", 0.2)
    line(f"{IMAGES} images in one run; cosign's {IMAGES} runs of one: CPU", cpu, loop, "{:.3f}", 1 / 15)
    line(f"{IMAGES} images in one run: peak MiB", median(ours["direct"], lambda s: s.peak), median(theirs["direct"], lambda s: s.peak), "{:.1f}", absolute=40)
    hostile = place.image("bench/hostile")
    junk.attach(hostile, 1000, "bundle")
    junk.attach_large(hostile, 250_000_000)
    ours, theirs = place.rows("hostile", [hostile], SLOW_RUNS, late=False)
    line("1,000 false bundles and one of 250 MB: requests", ours["requests"], theirs["requests"], "{:d}")
    line("1,000 false bundles and one of 250 MB: seconds", median(ours["direct"], lambda s: s.wall), median(theirs["direct"], lambda s: s.wall), "{:.3f}")
    line("1,000 false bundles and one of 250 MB: peak MiB", max(s.peak for s in ours["direct"]), max(s.peak for s in theirs["direct"]), "{:.1f}", absolute=40)


def main():
    if sys.argv[1:] != ["inside"]:
        for program in (KEYLESS, COSIGN):
            if not os.access(program, os.X_OK):
                sys.exit(f"no program at {program}")
        script = '. "$1/lib.sh"; new_work; start_docker_registry; export DOCKER_REGISTRY_HOST=$docker_registry_host; "$KEYLESS" sandbox run --rekor v1 -- "$2" "$3" inside'
        os.environ.update(KEYLESS=KEYLESS, PEERS=PEERS)
        sys.exit(subprocess.run(["bash", "-c", script, "bench", os.path.join(REPO, "tests", "interop"), sys.executable, os.path.abspath(__file__)],
                                stdin=subprocess.DEVNULL).returncode)
    with open(os.path.join(PEERS, "versions")) as file:
        print("peers: " + ", ".join(file.read().split("\n")).rstrip(", "))
    print(f"{os.cpu_count()} cores; medians of {RUNS} runs, {SLOW_RUNS} of {IMAGES} images and of the hostile image")
    with tempfile.TemporaryDirectory() as work:
        table(Place("registry with the referrers API", os.environ["SANDBOX_REGISTRY"], work), True)
        table(Place("docker-registry, by the fallback tag", os.environ["DOCKER_REGISTRY_HOST"], work), False)
    for failure in failures:
        print("failed: " + failure)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
