#!/usr/bin/env python3
"""Measured faults of cosign 3, replayed: the same scene for the real cosign and for ours. Started by faults.sh.

Each scene tells what both did; it passes when ours has the right outcome, and notes whether cosign still has the fault.
The letters are those under which the faults were measured, + where that was later. Ends with "N passed, N failed".
"""
import base64
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from images import push, push_index  # noqa: E402
import junk  # noqa: E402
from measure import Measure  # noqa: E402
from proxy import Proxy  # noqa: E402

KEYLESS, PEERS = os.environ["KEYLESS"], os.environ["PEERS"]
COSIGN = os.path.join(PEERS, "bin/cosign")
ROOT, CONFIG = os.environ["KEYLESS_TRUSTED_ROOT"], os.environ["KEYLESS_SIGNING_CONFIG"]
IDENTITY, ISSUER = os.environ["SANDBOX_IDENTITY"], os.environ["SANDBOX_ISSUER"]
API, TAG = os.environ["SANDBOX_REGISTRY"], os.environ["DOCKER_REGISTRY_HOST"]
WHO = ["--trusted-root", ROOT, "--certificate-identity", IDENTITY, "--certificate-oidc-issuer", ISSUER]
MOST_MEMORY = 40  # MiB, whatever a registry sends

work = tempfile.mkdtemp(dir=os.environ["WORK"])
measure = Measure(work)
scenes = []


def scene(letter, title):
    def add(function):
        scenes.append((letter, title, function))
        return function
    return add


class Done:
    def __init__(self, command, env=None, timeout=180):
        began = time.monotonic()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, env={**os.environ, **(env or {})})
        self.seconds, self.code, self.out, self.err = time.monotonic() - began, done.returncode, done.stdout, done.stderr
        self.text = self.out + self.err

    def __str__(self):
        lines = [line for line in self.err.splitlines() if re.search("error", line, re.I)] or (self.err or self.out).strip().splitlines()
        return f"exit {self.code}" + (f": {lines[0].strip()[:110]}" if lines and self.code else "")


def run(*command, **more):
    return Done([str(part) for part in command], **more)


def must(done):
    if done.code:
        raise RuntimeError(f"the scene cannot be set: {done}: {done.text.strip()[-300:]}")
    return done


def token(identity=IDENTITY):
    with urllib.request.urlopen(f"{ISSUER}/token?identity={identity}&format=text", timeout=20) as reply:
        return reply.read().decode().strip()


def keyless(command, *rest, **more):
    return run(KEYLESS, command, *rest, **more)


def keyless_verify(*images, **more):
    return keyless("verify", *WHO, *images, **more)


def cosign_verify(*images, **more):
    return run(COSIGN, "verify", *WHO, *images, **more)


def new(identity=IDENTITY):
    return ["--signing-config", CONFIG, "--trusted-root", ROOT, "--identity-token", token(identity), "-y"]


def legacy(identity=IDENTITY):
    return ["--use-signing-config=false", "--new-bundle-format=false", "--trusted-root", ROOT, "--fulcio-url", os.environ["SANDBOX_FULCIO_URL"],
            "--rekor-url", os.environ["SANDBOX_REKOR_V1_URL"], "--identity-token", token(identity), "-y"]


def cosign_sign(image, flags=None, *more):
    return must(run(COSIGN, "sign", *(flags or new()), *more, image))


def keyless_sign(*images):
    return must(keyless("sign", "-y", *images))


def cosign_attest(image, kind="custom", predicate=None, flags=None):
    return must(run(COSIGN, "attest", *(flags or new()), "--type", kind, "--predicate", predicate or file('{"x":1}'), image))


def file(text, suffix=".json"):
    with tempfile.NamedTemporaryFile("w", dir=work, suffix=suffix, delete=False) as out:
        out.write(text)
    return out.name


def fresh(host, name="scene"):
    name = f"faults/{name}{len(os.listdir(work))}x{time.time_ns() % 100000}"
    return f"{host}/{name}@{push(host, name)}"


def documents(text):
    """How many JSON documents stand in a text; None if something else does."""
    decoder, count, text = json.JSONDecoder(), 0, text.strip()
    try:
        while text:
            _, end = decoder.raw_decode(text)
            count, text = count + 1, text[end:].strip()
    except ValueError:
        return None
    return count


def payload(bundle_or_envelope):
    envelope = bundle_or_envelope.get("dsseEnvelope", bundle_or_envelope)
    return base64.b64decode(envelope["payload"])


class Outcome:
    """cosign: what it did; fault: whether that is the fault; ours: what we did; right: whether that is right."""

    def __init__(self, cosign, fault, ours, right, where=""):
        self.cosign, self.fault, self.ours, self.right, self.where = str(cosign), fault, str(ours), right, where


BOTH = (("referrers API", API), ("fallback tag", TAG))


# --- B3: what counts as a signature ------------------------------------------------------------------------------

@scene("B3", "an image that is only attested passes verify")
def attestation_as_signature():
    for where, host in BOTH:
        image = fresh(host)
        cosign_attest(image)
        theirs, ours = cosign_verify(image), keyless_verify(image)
        yield Outcome(theirs, theirs.code == 0, ours, ours.code == 10, where)


@scene("B3", "a stranger's bundle hides a valid legacy signature")
def stranger_hides_legacy():
    for where, host in BOTH:
        for what in ("attest", "sign"):
            image = fresh(host)
            cosign_sign(image, legacy())
            before = cosign_verify(image)
            (cosign_attest(image, flags=new("mallory@example.test")) if what == "attest" else cosign_sign(image, new("mallory@example.test")))
            theirs, ours = cosign_verify(image), keyless_verify(image)
            yield Outcome(f"before: exit {before.code}, after: {theirs}", before.code == 0 and theirs.code != 0, ours, ours.code == 0, f"{where}, a stranger's {what}")


# --- B4: attestations -----------------------------------------------------------------------------------------------

@scene("B4", "a predicate that does not fit its type is signed as {} or as an empty template")
def silent_loss():
    for kind in ("slsaprovenance", "slsaprovenance1", "vuln"):
        blob, predicate, out = file("blob\n"), file('{"x":1}'), os.path.join(work, f"loss.{kind}.json")
        theirs = run(COSIGN, "attest-blob", *new(), "--type", kind, "--predicate", predicate, "--bundle", out, blob)
        signed = json.loads(payload(json.load(open(out)))).get("predicate") if theirs.code == 0 else None
        ours_out = out + ".ours"
        ours = keyless("attest-blob", "-y", "--type", kind, "--predicate", predicate, "--bundle", ours_out, blob)
        kept = b'{"x":1}' in payload(json.load(open(ours_out))) if ours.code == 0 else None
        said = f"exit 0, predicate carried through: {kept}" if ours.code == 0 else str(ours)
        # Refused is right when it is the predicate that is refused, in so many words, and nothing was written.
        refused = ours.code == 2 and "error: the predicate is not of type" in ours.text and not os.path.exists(ours_out)
        yield Outcome(f"exit {theirs.code}, signed predicate {json.dumps(signed)[:60]}", theirs.code == 0 and "x" not in (signed or {}), said,
                      bool(kept) or refused, kind)


@scene("B4", "what a predicate's type does not name is dropped")
def unknown_members():
    blob = file("blob\n")
    text = ('{"buildDefinition":{"buildType":"https://example.test/b","externalParameters":{"z":1.0,"a":2},"internalParameters":{},"resolvedDependencies":[],'
            '"x_more":"kept"},"runDetails":{"builder":{"id":"https://example.test/b"},"metadata":{"invocationId":"1"}},"x_own":{"b":[1,2],"a":null}}')
    out = os.path.join(work, "members.json")
    theirs = must(run(COSIGN, "attest-blob", *new(), "--type", "slsaprovenance1", "--predicate", file(text), "--bundle", out, blob))
    dropped = b"x_own" not in payload(json.load(open(out)))
    ours = keyless("attest-blob", "-y", "--type", "slsaprovenance1", "--predicate", file(text), "--bundle", out + ".ours", blob)
    kept = ours.code == 0 and text.encode() in payload(json.load(open(out + ".ours")))
    yield Outcome(f"exit {theirs.code}, members {'dropped' if dropped else 'kept'}", dropped, f"{ours}, byte for byte: {kept}", kept)


@scene("B4", "statements are of type v0.1")
def statement_version():
    blob, out = file("blob\n"), os.path.join(work, "version.json")
    must(run(COSIGN, "attest-blob", *new(), "--type", "custom", "--predicate", file('{"x":1}'), "--bundle", out, blob))
    theirs = json.loads(payload(json.load(open(out))))["_type"]
    ours = keyless("attest-blob", "-y", "--type", "custom", "--predicate", file('{"x":1}'), "--bundle", out + ".ours", blob)
    kind = json.loads(payload(json.load(open(out + ".ours"))))["_type"] if ours.code == 0 else str(ours)
    yield Outcome(theirs, theirs.endswith("v0.1"), kind, kind == "https://in-toto.io/Statement/v1")


# --- B6: what is said -----------------------------------------------------------------------------------------------

@scene("B6", "verify -o json of two images is not one JSON document")
def one_document():
    images = [fresh(API), fresh(API)]
    keyless_sign(*images)
    theirs, ours = cosign_verify("-o", "json", *images), keyless_verify("-o", "json", *images)
    yield Outcome(f"exit {theirs.code}, {documents(theirs.out)} documents, first line {theirs.out.splitlines()[0]!r}", documents(theirs.out) != 1,
                  f"exit {ours.code}, {documents(ours.out)} document", ours.code == 0 and documents(ours.out) == 1)


@scene("B6", "the JSON of a bundle names no signer, log index or time")
def nothing_of_the_signer():
    image = fresh(API)
    keyless_sign(image)
    theirs, ours = cosign_verify("-o", "json", image), keyless_verify("-o", "json", image)
    names = [name for name, text in (("identity", IDENTITY), ("issuer", ISSUER), ("log index", "ndex"), ("time", "20")) if text in ours.out]
    yield Outcome("no identity" if IDENTITY not in theirs.out else "identity is there", IDENTITY not in theirs.out, "has " + ", ".join(names), len(names) == 4)


@scene("B6", "verify --local-image of a bundle prints blanks and exits 0")
def local_image():
    image, theirs_dir, ours_dir = fresh(API), os.path.join(work, "saved.cosign"), os.path.join(work, "saved.keyless")
    keyless_sign(image)
    must(run(COSIGN, "save", "--dir", theirs_dir, image))
    theirs = cosign_verify("--local-image", theirs_dir)
    saved = keyless("save", "--dir", ours_dir, image)
    ours = keyless_verify("-o", "json", "--local-image", ours_dir) if saved.code == 0 else saved
    blank = '"docker-manifest-digest":""' in theirs.out
    right = ours.code == 0 and IDENTITY in ours.out and image.rpartition("@")[2] in ours.out
    yield Outcome(f"exit {theirs.code}{', all blank' if blank else ''}", theirs.code == 0 and blank, f"{ours}{', digest and identity told' if right else ''}", right, "saved by each")
    both = keyless_verify("-o", "json", "--local-image", theirs_dir)
    right = both.code == 0 and image.rpartition("@")[2] in both.out
    yield Outcome("", None, f"{both}{', digest told' if right else ''}", right, "saved by cosign, judged by us")


@scene("B6", "--insecure-ignore-tlog still says that the log was verified")
def false_statement():
    image = fresh(API)
    keyless_sign(image)
    theirs, ours = cosign_verify("--insecure-ignore-tlog", image), keyless_verify("--insecure-ignore-tlog", image)
    false = re.search("transparency log was verified", theirs.text) is not None
    truthful = ours.code == 0 and re.search(r"log\b.*(not checked|waived|insecure|not verified)|not checked.*log", ours.text, re.I) is not None
    claims = re.search(r"inclusion (proven|promised)", ours.text) is not None
    told = next((line.strip() for line in ours.text.splitlines() if re.search("log", line, re.I)), "")
    yield Outcome(f"exit {theirs.code}, {'says verified' if false else 'does not say verified'}", false, f"exit {ours.code}: {told[:90]}", truthful and not claims)


@scene("B6", "signing and verifying a file say nothing on standard output")
def silent_success():
    blob, out = file("blob\n"), os.path.join(work, "silent.json")
    must(run(COSIGN, "sign-blob", *new(), "--bundle", out, blob))
    theirs = must(run(COSIGN, "verify-blob", *WHO, "--bundle", out, blob))
    ours = keyless("verify-blob", *WHO, "-o", "json", "--bundle", out, blob)
    image = fresh(API)
    theirs_image = cosign_sign(image)
    ours_image = keyless("sign", "-y", "-o", "json", image)
    right = documents(ours.out) == 1 and IDENTITY in ours.out and documents(ours_image.out) == 1 and image.rpartition("@")[2] in ours_image.out
    yield Outcome(f"stdout: {len(theirs.out)} bytes of verify-blob, {len(theirs_image.out)} of sign", not theirs.out and not theirs_image.out,
                  f"stdout: {documents(ours.out)} document of verify-blob, {documents(ours_image.out)} of sign", right)


@scene("B5", "every error is printed twice")
def printed_twice():
    image = fresh(API)
    theirs, ours = cosign_verify(image), keyless_verify(image)
    yield Outcome(f"{theirs.err.count('no signatures found')} times", theirs.err.count("no signatures found") > 1, f"{len(re.findall('^error', ours.err, re.M))} time: {ours}",
                  len(re.findall("^error", ours.err, re.M)) == 1)


@scene("B5", "the exit code for another identity depends on the format")
def exit_codes():
    other = ["--trusted-root", ROOT, "--certificate-identity", "x" + IDENTITY, "--certificate-oidc-issuer", ISSUER]
    codes = {"cosign": [], "keyless": []}
    for flags in (legacy(), new()):
        image = fresh(API)
        cosign_sign(image, flags)
        codes["cosign"].append(run(COSIGN, "verify", *other, image).code)
        codes["keyless"].append(keyless("verify", *other, image).code)
    yield Outcome(f"legacy {codes['cosign'][0]}, bundle {codes['cosign'][1]}", codes["cosign"][0] != codes["cosign"][1],
                  f"legacy {codes['keyless'][0]}, bundle {codes['keyless'][1]}", codes["keyless"] == [12, 12])


# --- B7: fragile flows -----------------------------------------------------------------------------------------------

@scene("B7", "old and new signatures in one call")
def mixed_formats():
    for where, host in BOTH:
        fresh_image, old_image = fresh(host), fresh(host)
        cosign_sign(fresh_image)
        cosign_sign(old_image, legacy())
        for order, images in (("new, old", (fresh_image, old_image)), ("old, new", (old_image, fresh_image))):
            theirs, ours = cosign_verify(*images), keyless_verify(*images)
            yield Outcome(theirs, theirs.code != 0, ours, ours.code == 0 and all(image.rpartition("@")[2] in ours.text for image in images), f"{where}, {order}")


@scene("B7", "the first image that fails stops the run")
def first_failure():
    bad, good = fresh(API), fresh(API)
    keyless_sign(good)
    theirs, ours = cosign_verify(bad, good), keyless_verify("-o", "json", bad, good)
    digest = good.rpartition("@")[2]
    yield Outcome(f"exit {theirs.code}, the good one is {'told' if digest in theirs.text else 'not told'}", digest not in theirs.text,
                  f"exit {ours.code}, the good one is {'told' if digest in ours.out and IDENTITY in ours.out else 'not told'}",
                  ours.code == 10 and digest in ours.out and IDENTITY in ours.out and documents(ours.out) == 1)


@scene("B7", "six sign at once, no referrers API: signatures are lost")
def lost_signatures():
    kept, said = {}, {}
    for program, command in (("cosign", lambda image: run(COSIGN, "sign", *new(), image)), ("keyless", lambda image: keyless("sign", "-y", image))):
        image = fresh(TAG)
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            done = list(pool.map(command, [image] * 6))
        name, digest = image.split("/", 1)[1].split("@")
        request = urllib.request.Request(f"http://{TAG}/v2/{name}/manifests/{digest.replace(':', '-')}", headers={"Accept": "application/vnd.oci.image.index.v1+json"})
        with urllib.request.urlopen(request, timeout=20) as reply:
            kept[program] = len({line["digest"] for line in json.load(reply)["manifests"]})
        said[program] = sum(one.code == 0 for one in done)
    yield Outcome(f"{said['cosign']} said they signed, {kept['cosign']} are kept", kept["cosign"] < said["cosign"], f"{said['keyless']} said they signed, {kept['keyless']} are kept",
                  said["keyless"] == kept["keyless"] == 6)


@scene("B7", "verify-blob with a bundle file that does not exist")
def no_such_file():
    blob = file("blob\n")
    flags = ["--certificate-identity", IDENTITY, "--certificate-oidc-issuer", ISSUER, "--bundle", os.path.join(work, "nosuch.json"), blob]
    theirs, ours = run(COSIGN, "verify-blob", *flags), keyless("verify-blob", *flags)
    named = "nosuch.json" in theirs.text and "no such file" in theirs.text.lower()
    yield Outcome(theirs, not named, ours, ours.code == 3 and "nosuch.json" in ours.text)


@scene("B7", "a signing config given by name, and still a trusted root is asked of the public repository")
def explicit_config():
    images = fresh(API), fresh(API)
    flags = ["--signing-config", CONFIG, "--identity-token", token(), "-y"]
    theirs = run(COSIGN, "sign", *flags, images[0])
    ours = keyless("sign", *flags, images[1])
    asks = re.search(r"tuf|trusted root", theirs.text, re.I) is not None
    yield Outcome(f"exit {theirs.code}{', warns about TUF' if asks else ''}", asks, f"exit {ours.code}, {'speaks of TUF' if re.search('tuf', ours.text, re.I) else 'silent about TUF'}",
                  ours.code == 0 and re.search("tuf", ours.text, re.I) is None)


@scene("B7", "sign --recursive signs three, verify looks at one")
def recursive():
    for where, host in BOTH:
        name = f"faults/index{time.time_ns()}"
        index, children = push_index(host, name)
        image = f"{host}/{name}@{index}"
        cosign_sign(image)  # the index alone
        theirs, ours = cosign_verify(image), keyless_verify("--recursive", image)
        yield Outcome(f"{theirs} (it has no --recursive)", theirs.code == 0, ours, ours.code == 10 and any(child in ours.text for child in children), f"{where}, only the index is signed")
        cosign_sign(image, None, "--recursive")
        ours = keyless_verify("--recursive", image)
        yield Outcome("", None, ours, ours.code == 0 and all(child in ours.text for child in children), f"{where}, all three are signed")


@scene("B7", "clean of an index leaves what is attached to its images")
def clean():
    for where, host in BOTH:
        left = {}
        for program in ("cosign", "keyless"):
            name = f"faults/clean{program}{time.time_ns()}"
            index, children = push_index(host, name)
            image = f"{host}/{name}@{index}"
            cosign_sign(image, None, "--recursive")
            done = run(COSIGN, "clean", "--type", "all", "-f", image) if program == "cosign" else keyless("clean", "--recursive", "--force", image)
            left[program] = done, sum(keyless_verify(f"{host}/{name}@{one}").code == 0 for one in (index, *children))
        (theirs, a), (ours, b) = left["cosign"], left["keyless"]
        yield Outcome(f"exit {theirs.code}, {a} of 3 still verify", a > 0, f"{ours}, {b} of 3 still verify", ours.code == 0 and b == 0, where)


@scene("B7", "a tag is signed with a warning only")
def sign_a_tag():
    image = fresh(API)
    name, digest = image.split("@")
    theirs = run(COSIGN, "sign", *new(), f"{name}:v1")
    ours = keyless("sign", "-y", f"{name}:v1")
    yield Outcome(f"exit {theirs.code}, {'names' if digest in theirs.text else 'does not name'} what was signed", digest not in theirs.text,
                  f"exit {ours.code}, {'names' if digest in ours.text else 'does not name'} what was signed", ours.code == 0 and digest in ours.text)


@scene("+", "cosign copy puts the image itself under its fallback tag, and then cannot sign it")
def copied_by_cosign():
    image = fresh(API)
    cosign_sign(image, legacy())
    name = f"{os.environ['SANDBOX_REGISTRY_PLAIN']}/faults/copied{time.time_ns()}"
    must(run(COSIGN, "copy", image, f"{name}:v1"))
    copy = f"{name}@{image.rpartition('@')[2]}"
    theirs, judged = run(COSIGN, "sign", *new(), copy), keyless_verify(copy)
    signed = keyless("sign", "-y", copy)
    again = keyless_verify(copy)
    yield Outcome(theirs, theirs.code != 0, f"old signature: {judged}; signs: {signed}; verifies: {again}", judged.code == signed.code == again.code == 0)


@scene("+", "cosign copy, save and load lose bundles")
def lost_on_the_way():
    for where, host in BOTH:
        image, left = fresh(API), {}
        keyless_sign(image)
        for program in ("cosign", "keyless"):
            name, folder = f"{host}/faults/moved{program}{time.time_ns()}", os.path.join(work, f"moved{program}{time.time_ns()}")
            copy = [run(COSIGN, "copy", image, f"{name}:v1") if program == "cosign" else keyless("copy", image, f"{name}:v1")]
            layout = [run(COSIGN, "save", "--dir", folder, image), run(COSIGN, "load", "--dir", folder, f"{name}l:v1")] if program == "cosign" else [
                keyless("save", "--dir", folder, image), keyless("load", "--dir", folder, f"{name}l:v1")]
            digest = image.rpartition("@")[2]
            left[program] = [f"{what}: exit {'/'.join(str(one.code) for one in done)}, then verify {keyless_verify(f'{at}@{digest}').code}"
                             for what, done, at in (("copy", copy, name), ("save/load", layout, f"{name}l"))]
        yield Outcome("; ".join(left["cosign"]), any(not text.endswith(" 0") for text in left["cosign"]), "; ".join(left["keyless"]), all(text.endswith("verify 0") and "exit 0" in text for text in left["keyless"]), where)


@scene("+", "cosign attest in the old format stamps what cosign does not look for")
def own_timestamp():
    image = fresh(API)
    cosign_attest(image, "slsaprovenance", file('{"builder":{"id":"https://example.test/b"},"buildType":"https://example.test/t"}'), [*legacy(), "--timestamp-server-url", os.environ["SANDBOX_TSA_URL"]])
    theirs = run(COSIGN, "verify-attestation", *WHO, "--type", "slsaprovenance", "--use-signed-timestamps", image)
    ours = keyless("verify-attestation", *WHO, "--type", "slsaprovenance", "--timestamp-threshold", "1", image)
    yield Outcome(theirs, theirs.code != 0, ours, ours.code == 0)


# --- B8: cost ---------------------------------------------------------------------------------------------------------

def counted(image, *programs):
    """Runs verify of both through a counting proxy: {program: (sample, requests)}."""
    host, rest = image.split("/", 1)
    result = {}
    for program, command in (("cosign", COSIGN), ("keyless", KEYLESS)):
        with Proxy(host) as proxy:
            sample = measure(command, "verify", *WHO, f"{proxy.address}/{rest}")
            result[program] = sample, len(proxy.requests)
    return result


def told(sample, requests):
    return f"exit {sample.code}, {requests} requests, {sample.wall:.2f} s, {sample.peak:.0f} MiB"


@scene("B8", "requests for one signature by digest")
def requests_for_one():
    image = fresh(API)
    keyless_sign(image)
    got = counted(image)
    (theirs, a), (ours, b) = got["cosign"], got["keyless"]
    yield Outcome(told(theirs, a), a > 3, told(ours, b), ours.code == 0 and b <= 3)


@scene("B8", "61 referrers, 60 of them of another type")
def many_of_another_type():
    for where, host in BOTH:
        image = fresh(host)
        keyless_sign(image)
        junk.attach(image, 60, "other")
        got = counted(image)
        (theirs, a), (ours, b) = got["cosign"], got["keyless"]
        # The fallback index of others may be described wrongly, so what says nothing of itself is looked at.
        yield Outcome(told(theirs, a), a > 100, told(ours, b), ours.code == 0 and b < a / 2, where)


@scene("B8", "one referrer of 300 MB says that it is a bundle")
def large_junk():
    for where, host, size in (("referrers API, of 250 MB, as the registry takes", API, 250_000_000), ("fallback tag", TAG, 300_000_000)):
        image = fresh(host)
        keyless_sign(image)
        junk.attach_large(image, size)
        theirs, ours = measure(COSIGN, "verify", *WHO, image), measure(KEYLESS, "verify", *WHO, image)
        yield Outcome(told(theirs, "-"), theirs.peak > 200, told(ours, "-"), ours.code == 0 and ours.peak < MOST_MEMORY, where)


@scene("B8", "1,000 junk referrers beside the good one")
def thousand():
    for where, host in BOTH:
        for kind in ("other", "bundle"):
            image = fresh(host)
            keyless_sign(image)
            junk.attach(image, 1000, kind)
            got = counted(image)
            (theirs, a), (ours, b) = got["cosign"], got["keyless"]
            yield Outcome(told(theirs, a), a > 2000 or theirs.code != 0, told(ours, b), ours.code == 0 and ours.peak < MOST_MEMORY,
                          f"{where}, {'of other types' if kind == 'other' else 'that claim to be bundles'}")


@scene("B8", "junk under the old tag beside the good signature")
def crowded_legacy():
    for where, host, count, large in (("300 false layers", API, 300, 0), ("300 false layers", TAG, 300, 0), ("10 false layers, one of 100 MB", TAG, 10, 100_000_000)):
        image = fresh(host)
        cosign_sign(image, legacy())
        junk.crowd_legacy(image, count, large)
        got = counted(image)
        (theirs, a), (ours, b) = got["cosign"], got["keyless"]
        yield Outcome(told(theirs, a), theirs.code != 0 or theirs.peak > 100, told(ours, b), ours.code == 0 and ours.peak < MOST_MEMORY,
                      f"{'referrers API' if host == API else 'fallback tag'}, {where}")


def main():
    wanted = sys.argv[1:]
    passed = failed = 0
    for letter, title, function in scenes:
        if wanted and letter not in wanted and function.__name__ not in wanted:
            continue
        print(f"{letter}  {title}", flush=True)
        try:
            for outcome in function():
                passed, failed = passed + outcome.right, failed + (not outcome.right)
                where = f"{outcome.where}: " if outcome.where else ""
                if outcome.cosign:
                    note = {True: "the fault", False: "no fault any more", None: ""}[outcome.fault]
                    print(f"          cosign   {where}{outcome.cosign}   [{note}]")
                print(f"    {'PASS' if outcome.right else 'FAIL'}  keyless  {where}{outcome.ours}", flush=True)
        except Exception as error:  # a scene that cannot be set is a failure, and the others go on
            failed += 1
            print(f"    FAIL  {type(error).__name__}: {error}", flush=True)
            if os.environ.get("VERBOSE"):
                traceback.print_exc()
    print(f"{passed} passed, {failed} failed")
    return failed > 0 or passed == 0


if __name__ == "__main__":
    sys.exit(main())
