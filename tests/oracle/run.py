#!/usr/bin/env python3
"""Our verifier against four others, case by case.

    tests/oracle/run.py            every case; writes disagreements.md beside this file
    tests/oracle/run.py --check    every case; disagreements.md must come out as it is
    tests/oracle/run.py --quick    a sample, under a minute; nothing may differ from disagreements.md

Cases are what the forge makes (`tests/forge`), each with one defect, and changes to the JSON of its good bundles
(`mutations.py`). Asked are this project, cosign, sigstore-go's own program, sigstore-verify and sigstore-python.
Whoever does not give the right verdict is a disagreement; every one must be explained in `causes.toml`, or the run
fails. A peer that cannot be asked, or refuses the base before its change, is left out of that case.
"""

import argparse
import base64
import fnmatch
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from mutations import mutations, root_mutations  # noqa: E402

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
PEERS = Path(os.environ.get("PEERS", REPO / ".peers"))
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target"))
WORK = TARGET / "oracle"
KEYLESS = Path(os.environ.get("KEYLESS", TARGET / "debug/keyless"))
TOOLS = ["ours", "cosign", "sigstore-go", "sigstore-verify", "sigstore-python"]
SIGN = {"accept": "accept", "refuse": "refuse", "panic": "panics", "unable": "-"}
# Bases whose JSON is changed. The others differ from these in nothing that a parser sees.
MUTATED = ["blob-v1-stamped", "blob-v2-stamped", "envelope-v1", "envelope-v2-stamped", "blob-key-v1"]
# Of these, only what the older versions do otherwise.
OLDER = {"blob-v1-stamped-v0.1", "blob-v1-stamped-v0.2"}
OLDER_KINDS = ["absent/*", "null/*", "emptied/*", "media-type-*", "*/*x509CertificateChain*"]
ROOTS = ["blob-v1-stamped", "blob-v2-stamped"]
# The sample of --quick: cases of each cause, and any.
SEED, QUICK_EACH, QUICK_MORE = 20251123, 2, 40
WORKERS = 2
SERIAL = itertools.count()


def run(command, **more):
    done = subprocess.run(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout[-3000:]}")


def build():
    if "KEYLESS" not in os.environ:
        run(["cargo", "build", "-q", "--locked", "--bin", "keyless"])
    run(["cargo", "build", "-q", "--locked", "--manifest-path", HERE / "Cargo.toml", "--target-dir", HERE / "target"])


def make_cases():
    """Lets the forge write its cases and changes the JSON of its bases; returns a folder for each name."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    run(["cargo", "test", "-q", "--locked", "--test", "forge"], env={**os.environ, "KEYLESS_FORGE_OUT": str(WORK)})
    cases = {}
    for folder in sorted((WORK / "base").iterdir()):
        cases[f"base/{folder.name}"] = folder
    for folder in sorted((WORK / "forged").iterdir()):
        cases[f"forged/{folder.name}"] = folder
    for base in [*MUTATED, *sorted(OLDER)]:
        source = WORK / "base" / base
        bundle = json.loads((source / "bundle.json").read_bytes())
        sibling = json.loads((source / "sibling" / "bundle.json").read_bytes())
        for change, document in mutations(bundle, sibling):
            if base not in OLDER or any(fnmatch.fnmatch(change, kind) for kind in OLDER_KINDS):
                cases[f"changed/{base}/{change}"] = changed_case(source, "bundle.json", document)
    for base in ROOTS:
        source = WORK / "base" / base
        root = json.loads((source / "trusted_root.json").read_bytes())
        for change, document in root_mutations(root):
            cases[f"root/{base}/{change}"] = changed_case(source, "trusted_root.json", document)
    return cases


def changed_case(source, name, document):
    """A base with one file changed, in a folder of its own."""
    folder = WORK / "changed" / str(next(SERIAL))
    folder.mkdir(parents=True)
    (folder / name).write_bytes(document)
    for shared in ("bundle.json", "artifact", "trusted_root.json", "key.pem", "case.json"):
        if shared != name and (source / shared).exists():
            (folder / shared).symlink_to(source / shared)
    return folder


def about(folder):
    return json.loads((folder / "case.json").read_bytes())


def predicate_type(folder):
    """What cosign must be told to expect: the type in the base, for the change may have taken it away."""
    bundle = json.loads((WORK / "base" / about(folder)["base"] / "bundle.json").read_bytes())
    if "dsseEnvelope" not in bundle:
        return None
    return json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))["predicateType"]


def executed(command, reason=lambda done: (done.stderr or done.stdout).decode(errors="replace").strip()):
    home = WORK / "home"
    home.mkdir(exist_ok=True)
    # No peer has any business on the network: an address where nobody listens stands in its way.
    nowhere = "http://127.0.0.1:9"
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "https_proxy": nowhere, "http_proxy": nowhere}
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode == 0:
        return "accept", ""
    crashes = (b"goroutine 1 [", b"panicked at")
    if done.returncode < 0 or any(crash in done.stderr for crash in crashes):
        return "panic", done.stderr.decode(errors="replace")
    return "refuse", reason(done)


def cosign(folder):
    case = about(folder)
    if not (folder / "artifact").exists():
        return "unable", "only a digest"
    command = [PEERS / "bin/cosign", "verify-blob"]
    kind = predicate_type(folder)
    if kind:
        command = [PEERS / "bin/cosign", "verify-blob-attestation", "--type", kind]
    command += ["--bundle", folder / "bundle.json", "--trusted-root", folder / "trusted_root.json"]
    if "unpromised" in case["base"]:
        command.append("--use-signed-timestamps")
    if case["key"]:
        command += ["--key", folder / "key.pem"]
    else:
        for flag, asked in (("identity", case["identity"]), ("oidc-issuer", case["issuer"])):
            command += [f"--certificate-{flag}" + ("-regexp" if "pattern" in asked else ""), *asked.values()]
    return executed([*command, folder / "artifact"])


def sigstore_go(folder):
    case = about(folder)
    command = [PEERS / "bin/sigstore-go-verification", "-trustedrootJSONpath", folder / "trusted_root.json"]
    if (folder / "artifact").exists():
        command += ["-artifact", folder / "artifact"]
    else:
        algorithm, digest = case["digest"].split(":")
        command += ["-artifact-digest", digest, "-artifact-digest-algorithm", algorithm]
    if case["key"]:
        # It has no way to want a key, a log and no time.
        command += ["-publicKey", folder / "key.pem", "-requireCTlog=false"]
    else:
        for flag, asked in (("SAN", case["identity"]), ("Issuer", case["issuer"])):
            command += [f"-expected{flag}" + ("Regex" if "pattern" in asked else ""), *asked.values()]
    return executed([*command, folder / "bundle.json"])


def ours(folder):
    case = about(folder)
    artifact = folder / "artifact" if (folder / "artifact").exists() else case["digest"]
    command = [KEYLESS, "verify-blob", artifact, "--bundle", folder / "bundle.json", "--output", "json"]
    command += ["--trusted-root", folder / "trusted_root.json", "--any-statement"]
    if case["key"]:
        command += ["--key", folder / "key.pem"]
    else:
        for flag, asked in (("identity", case["identity"]), ("oidc-issuer", case["issuer"])):
            command += [f"--certificate-{flag}" + ("-regexp" if "pattern" in asked else ""), *asked.values()]
    return executed(command, lambda done: json.loads(done.stdout)["error"]["code"])


def one_by_one(judge, cases):
    with ThreadPoolExecutor(WORKERS) as pool:
        return dict(zip(cases, pool.map(judge, cases.values())))


def at_once(command, cases):
    """One process for all; a case that kills it has killed it, and the next one gets another."""
    verdicts = {}
    left = list(cases)
    while left:
        lines = "".join(f"{cases[name]}\n" for name in left)
        done = subprocess.run(command, input=lines, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        for name, answer in zip(left, answers):
            verdicts[name] = answer["verdict"], answer["reason"]
        left = left[len(answers):]
        if left:
            verdicts[left.pop(0)] = "panic", f"exit {done.returncode}"
    return verdicts


def judge_all(cases):
    tasks = {
        "ours": lambda: one_by_one(ours, cases),
        "cosign": lambda: one_by_one(cosign, cases),
        "sigstore-go": lambda: one_by_one(sigstore_go, cases),
        "sigstore-verify": lambda: at_once([HERE / "target/debug/oracle"], cases),
        "sigstore-python": lambda: at_once([PEERS / "venv/bin/python", HERE / "sigstore_python.py"], cases),
    }
    verdicts = {}
    for tool in TOOLS:
        began = time.monotonic()
        verdicts[tool] = tasks[tool]()
        print(f"{tool}: {len(cases)} cases, {time.monotonic() - began:.0f} s", flush=True)
    return verdicts


class Cases:
    """Verdicts, what they should be, and why they differ."""

    def __init__(self, verdicts, bases):
        self.verdicts = verdicts
        self.bases = bases
        self.causes = tomllib.loads((HERE / "causes.toml").read_text())["cause"]
        self.rows = {}  # name: cause and verdicts, for every disagreement
        self.agreed = 0
        self.unexplained = []
        for name in verdicts["ours"]:
            self.judge(name)

    def counted(self, name, tool):
        """The verdict, if the tool can be asked and accepts the base; a refusal says nothing otherwise."""
        verdict = self.verdicts[tool][name][0]
        base = f"base/{self.bases[name]}"
        if name != base and self.verdicts[tool][base][0] != "accept":
            return "unable"
        return verdict

    def judge(self, name):
        vector = tuple(self.counted(name, tool) for tool in TOOLS)
        found = {verdict for verdict in vector if verdict != "unable"}
        fits = lambda cause: any(fnmatch.fnmatchcase(name, pattern) for pattern in cause["cases"])
        cause = next(filter(fits, self.causes), None)
        if len(found) == 1 and (cause is None or not cause.get("unanimous") or found == {cause["right"]}):
            self.agreed += 1
        elif cause is None:
            self.unexplained.append((name, vector))
        else:
            self.rows[name] = cause["name"], vector


def grouped(rows):
    """Numbers of cases and one of them, by cause and verdicts."""
    groups = {}
    for name, key in rows.items():
        count, example = groups.get(key, (0, name))
        groups[key] = count + 1, example
    return groups


HEAD = [
    "| cause | right | ours | cosign | sigstore-go | sigstore-verify | sigstore-python | cases | for instance |",
    "|---|---|---|---|---|---|---|---|---|",
]
CLASSES = [
    ("Where we are wrong", "Ours is not the right verdict. Reported, and to be mended or to be decided."),
    ("Where others accept what is wrong", "Ours refuses, rightly; at least one peer accepts."),
    ("Where others read what is no bundle", "As before, but only the form of the JSON is wrong; what it says is true."),
    ("Where others refuse what is right", "Ours accepts, rightly; at least one peer refuses."),
    ("Where the specifications leave room", "Nobody is wrong."),
]


def class_of(cause, rows):
    """Number of the chapter that a cause with these rows belongs to; none without any."""
    if not rows:
        return None
    if cause["right"] == "open":
        return 4
    if any(vector[0] != cause["right"] for vector, _, _ in rows):
        return 0
    if cause["right"] == "accept":
        return 3
    return 2 if cause.get("form") else 1


def write(cases, total):
    groups = grouped(cases.rows)
    causes = {cause["name"]: cause for cause in cases.causes}
    kinds = Counter(name.split("/")[0] for name in cases.verdicts["ours"])
    versions = dict(line.split(" ", 1) for line in (PEERS / "versions").read_text().splitlines())
    verify = tomllib.loads((HERE / "Cargo.toml").read_text())["dependencies"]["sigstore-verify"]["version"].lstrip("=")
    lines = [
        "# Disagreements",
        "",
        "Written by `tests/oracle/run.py`; what it asks and how is in `README.md`, why and by which clause in `causes.toml`.",
        "",
        f"Asked: cosign {versions['cosign']}, sigstore-go {versions['sigstore-go']}, sigstore-verify {verify}, "
        f"sigstore-python {versions['sigstore-python']}. A dash stands for a peer that cannot be asked, or refuses the case's base.",
        "",
        f"{total} cases: {kinds['base']} bases, {kinds['forged']} forged, {kinds['changed']} bundles and {kinds['root']} "
        f"trusted roots with their JSON changed. All agree, rightly, in {cases.agreed}; {len(cases.rows)} are below, "
        f"of {len({name for name, _ in groups})} causes.",
        "",
        "| | asked | accepts what is wrong | reads what is no bundle | refuses what is right |",
        "|---|---|---|---|---|",
    ]
    for at, tool in enumerate(TOOLS):
        wrong = {"accept": Counter(), "form": Counter(), "refuse": Counter()}
        for (name, vector), (count, _) in groups.items():
            right = causes[name]["right"]
            if right != "open" and vector[at] not in ("unable", right):
                kind = "refuse" if right == "accept" else "form" if causes[name].get("form") else "accept"
                wrong[kind][name] += count
        told = " | ".join(f"{sum(found.values())}, of {len(found)} causes" for found in wrong.values())
        asked = sum(cases.counted(name, tool) != "unable" for name in cases.verdicts[tool])
        lines.append(f"| {tool} | {asked} | {told} |")
    placed = {}
    for (name, vector), (count, example) in groups.items():
        placed.setdefault(name, []).append((vector, count, example))
    for number, (title, about_it) in enumerate(CLASSES):
        there = [cause for cause in cases.causes if class_of(cause, placed.get(cause["name"])) == number]
        lines += ["", f"## {title}", "", about_it, "", "| cause | why | clause |", "|---|---|---|"]
        lines += [f"| {cause['name']} | {cause['why']} | {cause['clause']} |" for cause in there]
        lines += ["", *HEAD]
        for cause in there:
            for vector, count, example in sorted(placed[cause["name"]], key=lambda row: (-row[1], row[0])):
                told = " | ".join(SIGN[verdict] for verdict in vector)
                lines.append(f"| {cause['name']} | {cause['right']} | {told} | {count} | `{example}` |")
    return "\n".join(lines) + "\n"


def committed():
    """Causes and verdicts of the table as it is committed."""
    signs = {sign: verdict for verdict, sign in SIGN.items()}
    rows = set()
    for line in (HERE / "disagreements.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 9 and all(cell in signs for cell in cells[2:7]):
            rows.add((cells[0], tuple(signs[cell] for cell in cells[2:7])))
    return rows


def sample(cases):
    """Every base, a few cases of each cause, and some of which no pattern knows anything."""
    rng = random.Random(SEED)
    chosen = {name for name in cases if name.startswith("base/")}
    left = [name for name in cases if name not in chosen]
    rng.shuffle(left)
    for cause in tomllib.loads((HERE / "causes.toml").read_text())["cause"]:
        fits = lambda name: any(fnmatch.fnmatchcase(name, pattern) for pattern in cause["cases"])
        chosen.update(itertools.islice(filter(fits, left), QUICK_EACH))
    chosen.update(left[:QUICK_MORE])
    return {name: folder for name, folder in cases.items() if name in chosen}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a sample, checked against disagreements.md")
    parser.add_argument("--check", action="store_true", help="disagreements.md must come out as it is")
    parser.add_argument("--again", action="store_true", help="nobody is asked: what the last run was told, told anew")
    parser.add_argument("--only", metavar="PATTERN", help="cases of such names; nothing is written or checked")
    arguments = parser.parse_args()
    if arguments.again:
        report(*recorded(), arguments)
    build()
    cases = make_cases()
    if arguments.quick:
        cases = sample(cases)
    elif arguments.only:
        wanted = lambda name: name.startswith("base/") or fnmatch.fnmatchcase(name, arguments.only)
        cases = {name: folder for name, folder in cases.items() if wanted(name)}
    report(cases, judge_all(cases), arguments)


def recorded():
    """Cases and verdicts of the last run."""
    cases, verdicts = {}, {tool: {} for tool in TOOLS}
    for line in (WORK / "results.tsv").read_text().splitlines():
        name, folder, *told = line.split("\t")
        cases[name] = Path(folder)
        for tool in TOOLS:
            verdicts[tool][name], told = (told[0], told[1]), told[2:]
    return cases, verdicts


def report(cases, verdicts, arguments):
    """Writes or checks the table, and ends the program."""
    judged = Cases(verdicts, {name: about(folder)["base"] for name, folder in cases.items()})
    with open(WORK / "results.tsv", "w") as out:
        for name, folder in cases.items():
            told = [" ".join(cell.split()) for tool in TOOLS for cell in judged.verdicts[tool][name]]
            print(name, folder, *told, sep="\t", file=out)
    print(f"every verdict and reason: {WORK / 'results.tsv'}")
    failed = [f"not explained by causes.toml: {name} {vector}" for name, vector in judged.unexplained]
    if arguments.quick:
        known = committed()
        new = {name: key for name, key in judged.rows.items() if key not in known}
        failed += [f"not in disagreements.md: {name} {key}" for name, key in new.items()]
    elif not arguments.only:
        text = write(judged, len(cases))
        path = HERE / "disagreements.md"
        if arguments.check and text != path.read_text():
            failed.append("disagreements.md comes out otherwise")
        elif not arguments.check:
            path.write_text(text)
    for line in failed:
        print(line)
    print(f"{len(cases)} cases, {judged.agreed} agree, {len(judged.rows)} disagree as explained")
    print(f"{len(cases) - len(failed)} passed, {len(failed)} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
