#!/usr/bin/env python3
"""The benchmark: ours beside cosign's and sigstore-go's, from one run.

    cargo build --release --bin keyless --example sha256_alone && tests/interop/peers.sh && python3 tests/bench/run.py

Runs on the embedded sandbox (REKOR=v2 for Rekor v2 with TSA); with STACK_DEST set, also on the real services started
from there (STACK_SCRIPTS: the folder with their env.sh). For each command it prints, for each program, the median of
RUNS (7) runs that take turns: wall milliseconds, CPU milliseconds (user and system), peak resident MiB, page faults, and
the number of requests, counted in one more run through counting proxies. BIG (1024) MiB is the size of the big file, of
which BIG_RUNS (5) runs are made, SIGNATURES (100) the number on the image with many, and IMAGES (200) the number in one
run. START_RUNS (51) are made of the start-up. The ratios are ours to each other's: below 1 is better. A line with a goal
ends with it.

What ours is measured against comes from outside its build, in the same run, so that a build that is slow throughout
cannot hide: `true` beside the start-up, `openssl dgst` beside a big file (`sha2 alone` is the library that keyless hashes
with, and shows where a difference lies), the peers beside everything. P-256 beside `openssl speed` is verify_rate's part.

KEYLESS, PEERS and SHA256_ALONE name the programs where they are not in their usual places.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(REPO, "tests", "interop"))
os.environ.setdefault("PEERS", os.path.join(REPO, ".peers"))
from images import push  # noqa: E402
from proxy import Proxy  # noqa: E402

KEYLESS = os.path.abspath(os.environ.get("KEYLESS", f"{REPO}/target/release/keyless"))
SHA256_ALONE = os.path.abspath(os.environ.get("SHA256_ALONE", f"{REPO}/target/release/examples/sha256_alone"))
COSIGN, SIGSTORE_GO = (os.path.join(os.path.abspath(os.environ["PEERS"]), "bin", p) for p in ("cosign", "sigstore-go-verification"))
TRUE, OPENSSL = shutil.which("true"), shutil.which("openssl")
START_RUNS = int(os.environ.get("START_RUNS", 51))  # of what takes a millisecond
MOST_BYTES = 16_000_000  # of the program, the goal
RUNS, BIG_RUNS = int(os.environ.get("RUNS", 7)), int(os.environ.get("BIG_RUNS", 5))
BIG, SIGNATURES, IMAGES = (int(os.environ.get(name, usual)) for name, usual in (("BIG", 1024), ("SIGNATURES", 100), ("IMAGES", 200)))
failures = []


class Bench:
    def __init__(self, work, place):
        self.work, self.place = work, place
        self.measure = os.path.join(work, "measure")
        subprocess.run(["cc", "-O2", "-o", self.measure, os.path.join(HERE, "measure.c")], check=True)
        self.proxies, self.counts = [], {}
        with open(place["signing_config"]) as file:
            config = file.read()
        for entry in (entry for key in ("caUrls", "rekorTlogUrls", "tsaUrls") for entry in json.loads(config).get(key, [])):
            host = entry["url"].split("://", 1)[1].split("/", 1)[0]
            config = config.replace(f"//{host}", f"//{self.proxy(host)}")
        self.counted_config = os.path.join(work, "counted_signing_config.json")
        with open(self.counted_config, "w") as file:
            file.write(config)
        self.counted_registry = self.proxy(place["registry"])

    def proxy(self, host):
        self.proxies.append(Proxy(host))
        return self.proxies[-1].address

    def once(self, what, program, command):
        out = os.path.join(self.work, "measured")
        log = os.path.join(self.work, "log")
        with open(log, "w") as file:
            subprocess.run([self.measure, out, *command], stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                           check=True, timeout=900)
        with open(out) as file:
            wall, user, system, peak, status, faults = file.read().split()
        if status != "0":
            with open(log) as file:
                last = (file.read().strip().splitlines() or [""])[-1]
            failures.append(f"{what}, {program}: exit {status}: {last[:160]}")
            return None
        return float(wall) * 1000, (float(user) + float(system)) * 1000, int(peak) / 1024, int(faults)

    def row(self, what, commands, runs=RUNS, counted=None, goals=None):
        """commands: {program: function returning a command}; they take turns. counted: the same through the proxies.
        goals: {program: the most of its CPU that ours may take}, or for ours the most milliseconds."""
        samples = {program: [] for program in commands}
        for turn in range(runs + 1):  # the first turn warms the page cache and is not counted
            for program, command in commands.items():
                sample = self.once(what, program, command())
                if sample and turn:
                    samples[program].append(sample)
        requests = {}
        for program, command in (counted or {}).items():
            before = sum(len(proxy.requests) for proxy in self.proxies)
            if self.once(what + ", counted", program, command()):
                requests[program] = sum(len(proxy.requests) for proxy in self.proxies) - before
        medians = {p: [statistics.median(column) for column in zip(*s)] for p, s in samples.items() if s}
        ours = medians.get("keyless")
        for program in commands:
            values = medians.get(program)
            if not values:
                print(f"{what:34}  {program:12}  failed", flush=True)
                continue
            line = f"{what:34}  {program:12}  {values[0]:9.2f}  {values[1]:9.2f}  {values[2]:7.1f}  {values[3]:7.0f}  {requests.get(program, '-'):>5}"
            if ours and program != "keyless":
                line += "   " + "  ".join(f"{o / v:6.2f}" if v > 0 else "     -" for o, v in zip(ours, values))
            goal = (goals or {}).get(program)
            if goal is not None and ours:
                reached = ours[0] <= goal if program == "keyless" else ours[1] <= goal * values[1]
                line += f"   goal: {f'{goal:g} ms' if program == 'keyless' else f'{goal:.2f} of its CPU'}: {'met' if reached else 'MISSED'}"
            print(line, flush=True)
            what = ""


def table(place):
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(work, place)
        root = ["--trusted-root", place["trusted_root"]]
        who = [*root, "--certificate-identity", place["identity"], "--certificate-oidc-issuer", place["issuer"]]
        # sigstore-go's program takes its flags first
        go = [SIGSTORE_GO, "-trustedrootJSONpath", place["trusted_root"], "-expectedSAN", place["identity"], "-expectedIssuer", place["issuer"]]

        def signing(config=place["signing_config"]):
            return ["--identity-token", place["token"], "--signing-config", config, *root]

        print(f"\n{place['name']}")
        print(f"{'':34}  {'program':12}  {'wall ms':>9}  {'cpu ms':>9}  {'MiB':>7}  {'faults':>7}  {'req':>5}   ours/theirs: wall, cpu, MiB, faults")
        small, big = os.path.join(work, "small"), os.path.join(work, "big")
        with open(small, "wb") as file:
            file.write(os.urandom(4096))
        with open(big, "wb") as file:
            for _ in range(BIG):
                file.write(os.urandom(1 << 20))
        for blob in (small, big):
            subprocess.run([COSIGN, "sign-blob", *signing(), "-y", "--bundle", blob + ".json", blob], check=True, capture_output=True, timeout=300)

        def verify_blob(blob):
            return {"keyless": lambda: [KEYLESS, "verify-blob", *who, "--bundle", blob + ".json", blob],
                    "cosign": lambda: [COSIGN, "verify-blob", *who, "--bundle", blob + ".json", blob],
                    "sigstore-go": lambda: [*go, "-artifact", blob, blob + ".json"]}

        def sign_blob(blob, config=place["signing_config"]):
            out = os.path.join(work, "out.json")
            return {"keyless": lambda: [KEYLESS, "sign-blob", *signing(config), "--overwrite", "--bundle", out, blob],
                    "cosign": lambda: [COSIGN, "sign-blob", *signing(config), "-y", "--bundle", out, blob]}

        def sign(host=place["registry"], config=place["signing_config"]):
            def command(program):
                return lambda: [program, "sign", *signing(config), "-y", f"{host}/bench/sign@{push(place['registry'], 'bench/sign')}"]
            return {"keyless": command(KEYLESS), "cosign": command(COSIGN)}

        def verify(name, digest, host=place["registry"]):
            return {"keyless": lambda: [KEYLESS, "verify", *who, f"{host}/{name}@{digest}"],
                    "cosign": lambda: [COSIGN, "verify", *who, f"{host}/{name}@{digest}"]}

        def signed(name, count):
            digest = push(place["registry"], name)
            for _ in range(count):
                subprocess.run([KEYLESS, "sign", *signing(), "-y", f"{place['registry']}/{name}@{digest}"], check=True,
                               capture_output=True, timeout=120)
            return name, digest

        alone = {"sha2 alone": lambda: [SHA256_ALONE, big], "openssl dgst": lambda: [OPENSSL, "dgst", "-sha256", big]}
        bench.row("start-up: version", {"keyless": lambda: [KEYLESS, "version"], "true": lambda: [TRUE], "cosign": lambda: [COSIGN, "version"]}, START_RUNS, goals={"keyless": 1.2})
        bench.row("verify-blob, 4 KiB", verify_blob(small), 3 * RUNS, counted=verify_blob(small), goals={"sigstore-go": 1 / 3})
        bench.row(f"verify-blob, {BIG} MiB", {**verify_blob(big), **alone}, BIG_RUNS)
        one, many = signed("bench/one", 1), signed("bench/many", SIGNATURES)
        bench.row("verify, one image", verify(*one), counted=verify(*one, bench.counted_registry))
        bench.row(f"verify, {SIGNATURES} signatures", verify(*many), counted=verify(*many, bench.counted_registry), goals={"cosign": 0.2})
        images = [f"{place['registry']}/bench/batch@{push(place['registry'], 'bench/batch')}" for _ in range(IMAGES)]
        subprocess.run([KEYLESS, "sign", *signing(), "-y", *images], check=True, capture_output=True, timeout=300)
        bench.row(f"verify, {IMAGES} images in one run",
                  {"keyless": lambda: [KEYLESS, "verify", *who, *images], "cosign": lambda: [COSIGN, "verify", *who, *images]}, goals={"cosign": 0.2})
        bench.row("sign", sign(), counted=sign(bench.counted_registry, bench.counted_config))
        bench.row(f"sign-blob, {BIG} MiB", {**sign_blob(big), **alone}, BIG_RUNS, counted=sign_blob(big, bench.counted_config))


def sandbox_place():
    return {"name": f"on the sandbox, Rekor {os.environ.get('REKOR', 'v1')}", "token": os.environ["SIGSTORE_ID_TOKEN"],
            "trusted_root": os.environ["KEYLESS_TRUSTED_ROOT"], "signing_config": os.environ["KEYLESS_SIGNING_CONFIG"],
            "registry": os.environ["SANDBOX_REGISTRY"], "identity": os.environ["SANDBOX_IDENTITY"], "issuer": os.environ["SANDBOX_ISSUER"]}


def stack_place():
    scripts = os.environ.get("STACK_SCRIPTS", os.path.join(REPO, "..", "shared", "stack"))
    names = "TRUSTED_ROOT SIGNING_CONFIG_V1 SIGNING_CONFIG_V2 REGISTRY_REFERRERS IDENTITY ISSUER"
    shell = f'. "$0/env.sh" "$1" && token && for n in {names}; do echo "${{!n}}"; done'
    lines = subprocess.run(["bash", "-c", shell, scripts, os.environ["STACK_DEST"]], check=True, capture_output=True, text=True).stdout.splitlines()
    token, root, v1, v2, registry, identity, issuer = lines
    rekor = os.environ.get("REKOR", "v1")
    return {"name": f"on the real services, Rekor {rekor}", "token": token, "trusted_root": root, "registry": registry,
            "signing_config": v2 if rekor == "v2" else v1, "identity": identity, "issuer": issuer}


def main():
    if sys.argv[1:] != ["inside"]:
        for program in (KEYLESS, SHA256_ALONE, COSIGN, SIGSTORE_GO, TRUE, OPENSSL):
            if not program or not os.access(program, os.X_OK):
                sys.exit(f"no program at {program}" if program else "no openssl or true on the PATH")
        os.execv(KEYLESS, [KEYLESS, "sandbox", "run", "--rekor", os.environ.get("REKOR", "v1"), "--",
                           sys.executable, os.path.abspath(__file__), "inside"])
    home = tempfile.TemporaryDirectory()
    os.environ.update(COSIGN_YES="true", SIGSTORE_NO_CACHE="1", NO_COLOR="1", HOME=home.name, TUF_ROOT=home.name)
    with open(os.path.join(os.environ["PEERS"], "versions")) as file:
        print("peers: " + ", ".join(file.read().split("\n")).rstrip(", "))
    size = os.path.getsize(KEYLESS)
    openssl = subprocess.run([OPENSSL, "version"], check=True, capture_output=True, text=True).stdout.strip()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, beside {openssl}")
    print(f"keyless is {size} bytes (goal {MOST_BYTES}: {'met' if size <= MOST_BYTES else 'MISSED'}), cosign {os.path.getsize(COSIGN)}, "
          f"sigstore-go-verification {os.path.getsize(SIGSTORE_GO)}; medians of {RUNS} runs, {BIG_RUNS} of the big file")
    table(sandbox_place())
    if os.environ.get("STACK_DEST"):
        table(stack_place())
    for failure in failures:
        print("failed: " + failure)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
