#!/usr/bin/env python3
"""The public conformance cases through `client`, each by the artifact's path and by its digest.

    KEYLESS_CONFORMANCE_DIR=DIR tests/conformance/run.py [--peers]

Prints a line for each case: expected verdict, ours, and the code of a refusal, which must be the one in reasons.tsv.
Ends with "N passed, N failed"; any failure exits non-zero. The program is $KEYLESS, else target/release/keyless.

With --peers also the programs of tests/interop/peers.sh ($PEERS, else .peers) judge every case; a table of right
verdicts follows, with each wrong one named. What a program has no input for counts as not offered, neither right nor
wrong; a refusal by stack trace is right, as the public suite has it, and counted apart. The score of the peers decides
nothing about the exit code.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
from peers import STACK_TRACE, Verdict, peers  # noqa: E402

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent


def read_cases(folder):
    """Every case twice, with paths made absolute."""
    for case in json.loads((folder / "cases.json").read_text())["cases"]:
        for field in ("bundle", "artifact", "trusted_root", "key"):
            if case.get(field):
                case[field] = str(folder / case[field])
        for mode in case["modes"]:
            yield {**case, "mode": mode, "subject": case["artifact"] if mode == "path" else case["digest"]}


def read_reasons():
    lines = (HERE / "reasons.tsv").read_text().splitlines()
    return dict(line.split("\t") for line in lines if "\t" in line)


def keyless(case):
    """Our own verdict, through the adapter, in the order of options that the protocol fixes."""
    who = ["--key", case["key"]] if case.get("key") else [
        "--certificate-identity", case["identity"], "--certificate-oidc-issuer", case["issuer"]]
    command = [HERE / "client", "verify-bundle", "--bundle", case["bundle"], *who,
               "--trusted-root", case["trusted_root"], case["subject"]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    try:
        document = json.loads(done.stdout)
    except ValueError:
        return Verdict.CRASHED, f"exit {done.returncode} without a document: {done.stderr.strip().splitlines()[:1]}"
    if document["exitCode"] != done.returncode:
        return Verdict.CRASHED, f"exit {done.returncode}, but the document says {document['exitCode']}"
    if done.returncode == 0:
        return Verdict.ACCEPTED, ""
    if done.returncode == 70 or document["result"] not in ("refused", "error"):
        return Verdict.CRASHED, document["error"]["code"]
    return Verdict.REFUSED, document["error"]["code"]


def print_table(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths)).rstrip())


def judge_ours(cases):
    """Returns failures and our verdicts; prints the table."""
    reasons = read_reasons()
    rows, failed, verdicts = [("case", "kind", "expected", "keyless", "reason")], [], []
    for case in cases:
        verdict, reason = keyless(case)
        verdicts.append((verdict, reason))
        if case["expect"] == "pass":
            expected, right = "accepted", verdict == Verdict.ACCEPTED
        else:
            code = reasons.get(case["name"], "no reason listed in reasons.tsv")
            expected, right = "refused", verdict == Verdict.REFUSED and reason == code
            if verdict == Verdict.REFUSED and not right:
                reason += f", expected {code}"
        rows.append((case["name"], case["mode"], expected, verdict.value, reason))
        if not right:
            failed.append(rows[-1])
    print_table(rows)
    return failed, verdicts


def judge_peers(cases, ours):
    """Prints the score of every program, and each wrong verdict."""
    scores, wrong = [("program", "right", "wrong", "not offered", "right by stack trace")], []
    with tempfile.TemporaryDirectory() as work:
        judged = [("keyless", ours)]
        for name, judge in peers(Path(os.environ.get("PEERS", REPO / ".peers")), Path(work)):
            judged.append((name, [judge(case) for case in cases]))
    for name, verdicts in judged:
        right = offered = traces = 0
        for case, (verdict, told) in zip(cases, verdicts):
            if verdict == Verdict.NOT_OFFERED:
                continue
            offered += 1
            wanted = Verdict.ACCEPTED if case["expect"] == "pass" else Verdict.REFUSED
            if verdict == wanted:
                right += 1
                traces += told == STACK_TRACE
            else:
                wrong.append((name, case["name"], case["mode"], f"expected {wanted.value}", verdict.value, told))
        scores.append((name, str(right), str(offered - right), str(len(cases) - offered), str(traces)))
    print(f"\nright verdicts of {len(cases)}")
    print_table(scores)
    if wrong:
        print("\nwrong verdicts")
        print_table(wrong)
    print()


def main():
    if sys.argv[1:] not in ([], ["--peers"]):
        sys.exit(__doc__)
    folder = os.environ.get("KEYLESS_CONFORMANCE_DIR")
    if not folder:
        sys.exit("run.py: KEYLESS_CONFORMANCE_DIR does not say where the cases are")
    cases = list(read_cases(Path(folder).resolve()))
    failed, verdicts = judge_ours(cases)
    if sys.argv[1:]:
        judge_peers(cases, verdicts)
    print(f"{len(cases) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed or not cases else 0)


if __name__ == "__main__":
    main()
