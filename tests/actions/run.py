#!/usr/bin/env python3
"""Executes the actions under .github/actions on the sandbox, by the runner double beside this file.

    KEYLESS=... PEERS=... $PEERS/venv/bin/python tests/actions/run.py

Inputs, outputs, files and summary of a good run; refusals; the job's own identity token; and hostile inputs, which
must be taken as values and never executed. Ends with "N passed, N failed".
"""
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(REPO, "tests", "interop")]
import runner  # noqa: E402
from images import push  # noqa: E402

KEYLESS = os.path.abspath(os.environ.get("KEYLESS", f"{REPO}/target/release/keyless"))
SIGN, VERIFY = (os.path.join(REPO, ".github", "actions", name) for name in ("sign", "verify"))
passed = failed = 0


def check(what, good, found=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print(f"{'PASS' if good else 'FAIL'}  {what}" + (f": {found}" if found and not good else ""), flush=True)


class TokenService:
    """The service a job asks for its own token: the audience in the query, a bearer token in the header."""

    def __init__(self, token):
        self.asked = asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                asked.append((query, self.headers.get("Authorization")))
                body = json.dumps({"count": 1, "value": token}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_address[1]}/token?api-version=2"
        threading.Thread(target=server.serve_forever, daemon=True).start()


def last(result):
    return (result.log.strip().splitlines() or [""])[-1]


def inside():
    token, host = os.environ["SIGSTORE_ID_TOKEN"], os.environ["SANDBOX_REGISTRY"]
    identity, issuer = os.environ["SANDBOX_IDENTITY"], os.environ["SANDBOX_ISSUER"]
    # What a runner gives a step: no token lies about in its environment.
    base = {name: os.environ[name] for name in ("PATH", "HOME", "KEYLESS_TRUSTED_ROOT", "KEYLESS_SIGNING_CONFIG",
                                                "CARGO_HOME", "RUSTUP_HOME") if name in os.environ}
    who = {"certificate-identity": identity, "certificate-oidc-issuer": issuer, "keyless-path": KEYLESS}
    how = {"identity-token": token, "keyless-path": KEYLESS}
    with tempfile.TemporaryDirectory() as work:
        digests = [push(host, f"actions/{n}") for n in "ab"]
        images = [f"{host}/actions/{n}@{digest}" for n, digest in zip("ab", digests)]

        signed = runner.run(SIGN, {**how, "images": images[0], "bundle": "out.sigstore.json", "annotations": "stage=test\nteam=a b"}, base, work)
        check("sign: succeeds", signed.status == 0, last(signed))
        check("sign: output digests is the image's", signed.outputs["digests"] == digests[0], signed.outputs["digests"])
        check("sign: output json is a file with one JSON document", isinstance(read_json(signed.outputs["json"]), (dict, list)))
        bundle = read_json(os.path.join(work, signed.outputs["bundle"] or "none"))
        check("sign: output bundle is a file with a bundle", bool(bundle) and "bundle" in bundle.get("mediaType", ""))
        check("sign: the summary names the digest", digests[0] in signed.summary)
        check("sign: the token is masked and nowhere else", "::add-mask::" in signed.log and signed.log.count(token) == 1
              and token not in json.dumps(signed.outputs) + signed.summary)

        verified = runner.run(VERIFY, {**who, "images": images[0], "annotations": "stage=test\nteam=a b"}, base, work)
        check("verify: succeeds", verified.status == 0, last(verified))
        check("verify: output digests is the image's", verified.outputs["digests"] == digests[0], verified.outputs["digests"])
        check("verify: the summary names the digest", digests[0] in verified.summary)

        refused = runner.run(VERIFY, {**who, "images": images[0], "certificate-identity": "x" + identity}, base, work)
        check("verify: another identity ends with 12", refused.status == 12, f"{refused.status} {last(refused)}")
        check("verify: and gives no digests, but the JSON document", refused.outputs["digests"] == ""
              and read_json(refused.outputs["json"]) is not None)
        refused = runner.run(VERIFY, {**who, "images": images[0], "annotations": "stage=other"}, base, work)
        check("verify: another annotation ends with 12", refused.status == 12, f"{refused.status} {last(refused)}")
        refused = runner.run(VERIFY, {**who, "images": images[1]}, base, work)
        check("verify: an unsigned image ends with 10", refused.status == 10, f"{refused.status} {last(refused)}")
        refused = runner.run(VERIFY, {"images": images[0], "keyless-path": KEYLESS}, base, work)
        check("verify: without identity and issuer ends with 2", refused.status == 2, f"{refused.status} {last(refused)}")
        either = runner.run(VERIFY, {**who, "images": images[0], "certificate-identity": f"x{identity}\n{identity}\n"}, base, work)
        check("verify: one of two identities is enough", either.status == 0, last(either))

        # The job's own token, and two images with one certificate.
        service = TokenService(token)
        ambient = {**base, "ACTIONS_ID_TOKEN_REQUEST_URL": service.url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-token"}
        both = runner.run(SIGN, {"keyless-path": KEYLESS, "images": f"{images[0]}\n  {images[1]}\n"}, ambient, work)
        check("sign: with the job's own token, two images", both.status == 0 and both.outputs["digests"].split() == digests, last(both))
        check("sign: the token service was asked once, for sigstore, with the request token",
              [(q.get("audience"), h.lower()) for q, h in service.asked] == [(["sigstore"], "bearer request-token")], str(service.asked))
        both = runner.run(VERIFY, {**who, "images": " ".join(images)}, base, work)
        check("verify: two images", both.status == 0 and both.outputs["digests"].split() == digests, last(both))
        nobody = runner.run(SIGN, {"keyless-path": KEYLESS, "images": images[0]}, base, work)
        check("sign: without any token ends with 14", nobody.status == 14, f"{nobody.status} {last(nobody)}")

        # Hostile values: taken as they are, executed never.
        bait = os.path.join(work, "executed")
        for text in (f"$(touch {bait})", f"`touch {bait}`", f"\"; touch {bait}; \"", f"'; touch {bait}; '", f"a\n$(touch {bait})",
                     f"${{IFS}};touch${{IFS}}{bait}", "*", "--help", "--version", f"--output-file={bait}"):
            for action, name, inputs in ((SIGN, "sign", how), (VERIFY, "verify", who)):
                result = runner.run(action, {**inputs, "images": text}, base, work)
                check(f"{name}: image {text!r} is refused, not executed", result.status != 0 and not os.path.exists(bait),
                      f"{result.status} {last(result)}")
        for name in ("certificate-identity", "certificate-identity-regexp", "certificate-oidc-issuer", "trusted-root"):
            result = runner.run(VERIFY, {**who, "images": images[0], "certificate-identity": "nobody", name: f"$(touch {bait})`touch {bait}`"}, base, work)
            check(f"verify: hostile {name} is refused, not executed", result.status != 0 and not os.path.exists(bait), last(result))
        hostile = f"note=$(touch {bait}) `touch {bait}` \" ' ;"
        result = runner.run(SIGN, {**how, "images": images[1], "annotations": hostile}, base, work)
        check("sign: a hostile annotation is signed as it is", result.status == 0 and not os.path.exists(bait), last(result))
        result = runner.run(VERIFY, {**who, "images": images[1], "annotations": hostile}, base, work)
        check("verify: and found again as it is", result.status == 0 and not os.path.exists(bait), last(result))
        result = runner.run(SIGN, {**how, "images": images[1], "bundle": f"b\ndigests=sha256:{'0' * 64}"}, base, work)
        check("sign: a bundle's name cannot write another output", "0" * 64 not in result.outputs["digests"], result.outputs["digests"])
        result = runner.run(SIGN, {**how, "images": images[1], "recursive": "true; touch x"}, base, work)
        check("sign: recursive is true or false", result.status == 2, f"{result.status} {last(result)}")
        for action in (SIGN, VERIFY):
            result = runner.run(action, {"images": " \n ", "keyless-path": KEYLESS}, base, work)
            check("no image named: 2", result.status == 2, f"{result.status} {last(result)}")

        if "--build" in sys.argv:  # without keyless-path the action builds it; quick where the release build exists
            built = runner.run(VERIFY, {k: v for k, v in who.items() if k != "keyless-path"} | {"images": images[0]}, base, work)
            check("verify: builds the program where none is given", built.status == 0, last(built))
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


def read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def double_refuses():
    """The double itself: it must not let through what a runner would not."""
    with tempfile.TemporaryDirectory() as work:
        good = "name: n\ndescription: d\ninputs: {a: {description: d, default: ''}}\nruns: {using: composite, steps: [{id: s, shell: bash, run: 'RUN', env: {A: '${{ inputs.a }}'}}]}\n"
        for what, text, inputs in (("an expression in the shell text", good.replace("RUN", "echo ${{ inputs.a }}"), {}),
                                   ("an unknown input", good.replace("RUN", "true"), {"b": ""}),
                                   ("an undeclared input in an expression", good.replace("RUN", "true").replace("inputs.a }}", "inputs.b }}"), {}),
                                   ("another shell", good.replace("RUN", "true").replace("bash", "python"), {})):
            with open(os.path.join(work, "action.yml"), "w") as file:
                file.write(text)
            try:
                runner.run(work, inputs, {"PATH": os.environ["PATH"]}, work)
                check(f"the double refuses {what}", False, "accepted")
            except runner.ActionError:
                check(f"the double refuses {what}", True)
        with open(os.path.join(work, "action.yml"), "w") as file:
            file.write(good.replace("RUN", "printf %s \"$A\" > seen; printf \"x<<E\\\\n1\\\\n2\\\\nE\\\\n\" >> \"$GITHUB_OUTPUT\"")
                       + "outputs: {x: {description: d, value: '${{ steps.s.outputs.x }}'}}\n")
        result = runner.run(work, {"a": "$(id) ${{ inputs.a }}"}, {"PATH": os.environ["PATH"]}, work)
        with open(os.path.join(work, "seen")) as file:
            seen = file.read()
        check("the double passes inputs as values and reads blocks", result.outputs["x"] == "1\n2" and seen == "$(id) ${{ inputs.a }}",
              f"{result.outputs} {seen} {result.log}")


if __name__ == "__main__":
    if "inside" in sys.argv:
        double_refuses()
        inside()
    sys.exit(subprocess.run([KEYLESS, "sandbox", "run", "--", sys.executable, os.path.abspath(__file__), "inside", *sys.argv[1:]],
                            stdin=subprocess.DEVNULL, env={**os.environ, "KEYLESS": KEYLESS}).returncode)
