"""How each peer is asked for a verdict on a conformance case: the invocation that gets most of them right."""

import base64
import enum
import json
import os
import subprocess


STACK_TRACE = "stack trace"


class Verdict(enum.Enum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    CRASHED = "crashed"
    NOT_OFFERED = "not offered"


def peers(folder, work):
    """Yields a name and a function from case to verdict and message, for every peer under `folder`."""
    programs = {name: folder / "bin" / name for name in ("cosign", "sigstore-go-verification", "sigstore")}
    missing = [str(program) for program in programs.values() if not os.access(program, os.X_OK)]
    if missing:
        raise SystemExit(f"run.py: no {', '.join(missing)}: run tests/interop/peers.sh first")
    runner = Runner(work)
    yield "cosign", lambda case: cosign(case, programs["cosign"], runner)
    yield "sigstore-go", lambda case: sigstore_go(case, programs["sigstore-go-verification"], runner)
    yield "sigstore-python", lambda case: sigstore_python(case, programs["sigstore"], runner)


class Runner:
    """Runs programs in a home of their own."""

    def __init__(self, work):
        self.work = work
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(work / "home"), "TUF_ROOT": str(work / "tuf"),
            "LC_ALL": "C", "COLUMNS": "250", "NO_COLOR": "1", "SIGSTORE_NO_CACHE": "1"}
        (work / "home").mkdir()

    def verdict(self, command):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, errors="replace",
                              timeout=120, stdin=subprocess.DEVNULL, env=self.environment)
        if done.returncode == 0:
            return Verdict.ACCEPTED, ""
        told = done.stderr + done.stdout
        if done.returncode < 0:
            return Verdict.CRASHED, f"signal {-done.returncode}"
        if "\ngoroutine " in told or "Traceback (most recent call last)" in told:
            return Verdict.REFUSED, STACK_TRACE
        lines = [line for line in told.splitlines() if line.strip()] or [""]
        return Verdict.REFUSED, next((line for line in lines if line.lower().startswith("error")), lines[-1])[:150]


def read_bundle(case):
    """The bundle's JSON; an empty one where it cannot be read."""
    try:
        with open(case["bundle"], encoding="utf-8") as file:
            return json.load(file)
    except ValueError:
        return {}


def cosign(case, program, runner):
    """Two commands, one for each kind of content. An attestation's wants its predicate type, and the digest without its
    algorithm. Timestamps are looked at only on demand, and with that demand there must be some."""
    bundle = read_bundle(case)
    subject = [case["subject"]]
    if "dsseEnvelope" in bundle:
        try:
            predicate_type = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))["predicateType"]
        except (ValueError, KeyError, TypeError):
            predicate_type = "custom"
        command = ["verify-blob-attestation", "--type", predicate_type]
        if case["mode"] == "digest":
            subject = ["--digest", case["digest"].split(":")[1], "--digestAlg", "sha256"]
    else:
        command = ["verify-blob"]
    stamps = (bundle.get("verificationMaterial", {}).get("timestampVerificationData") or {}).get("rfc3161Timestamps")
    who = ["--key", case["key"]] if case.get("key") else [
        "--certificate-identity", case["identity"], "--certificate-oidc-issuer", case["issuer"]]
    return runner.verdict([program, *command, *(["--use-signed-timestamps"] if stamps else []), "--bundle", case["bundle"],
                           "--trusted-root", case["trusted_root"], *who, *subject])


def sigstore_go(case, program, runner):
    """Its example verifier, which takes every input; a managed key has no certificate that a CT log could know."""
    who = ["-publicKey", case["key"], "-requireCTlog=false"] if case.get("key") else [
        "-expectedSAN", case["identity"], "-expectedIssuer", case["issuer"]]
    subject = ["-artifact", case["artifact"]]
    if case["mode"] == "digest":
        subject = ["-artifact-digest", case["digest"].split(":")[1]]
    return runner.verdict([program, "-trustedrootJSONpath", case["trusted_root"], *who, *subject, case["bundle"]])


def sigstore_python(case, program, runner):
    """It verifies no managed keys. Its trusted root comes inside a ClientTrustConfig, whose services are not asked."""
    if case.get("key"):
        return Verdict.NOT_OFFERED, ""
    with open(case["trusted_root"], encoding="utf-8") as file:
        root = json.load(file)
    signing = {"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
               "caUrls": [], "oidcUrls": [], "rekorTlogUrls": [], "tsaUrls": [],
               "rekorTlogConfig": {"selector": "ANY"}, "tsaConfig": {"selector": "ANY"}}
    config = runner.work / "trust_config.json"
    config.write_text(json.dumps({"mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
                                  "trustedRoot": root, "signingConfig": signing}))
    return runner.verdict([program, "--trust-config", config, "verify", "identity", "--offline",
                           "--bundle", case["bundle"], "--cert-identity", case["identity"],
                           "--cert-oidc-issuer", case["issuer"], case["subject"]])
