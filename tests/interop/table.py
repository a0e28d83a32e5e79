#!/usr/bin/env python3
"""Prints what the cells found: the matrix, what lies beside it, every failure, the counts.

    table.py RESULTS        RESULTS holds WHERE, WHAT, "SIGNER -> VERIFIER", PASS|FAIL|empty, REASON, by tabs

One table for each thing that is signed; a row is a signer, a column a verifier. A field has one group for each WHERE
(kind of log), and in the group one mark for each registry: + holds, ! fails, a letter is empty for the reason below.
Ends with "N passed, N failed"; the status is 1 when any failed or none passed. VERBOSE=1 lists every cell.
"""
import os
import string
import sys

THINGS = ["image", "index", "image's attestation", "blob", "blob's attestation"]


def unique(values):
    return list(dict.fromkeys(values))


def main():
    with open(sys.argv[1]) as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    signers = "keyless, keyless-legacy, cosign, cosign-legacy, cosign2, sigstore-python, sigstore-js".split(", ")
    verifiers = "keyless, cosign, cosign2, sigstore-go, sigstore-python, sigstore-js".split(", ")
    cells, beside = {}, []
    for where, what, who, result, reason in rows:
        signer, _, verifier = who.partition(" -> ")
        thing, _, registry = what.partition(", ")
        if signer in signers and verifier in verifiers and thing in THINGS:
            cells[thing, signer, verifier, where, registry] = result, reason
        else:
            beside.append((where, what, who, result, reason))
    order = ["Rekor v1", "Rekor v1+TSA", "Rekor v2+TSA"]
    logs = sorted(unique(key[3] for key in cells), key=lambda log: order.index(log) if log in order else len(order))
    letters, legend = iter(string.ascii_letters), {}
    things = [thing for thing in THINGS if any(key[0] == thing for key in cells)]
    if cells:
        print("a field: " + " | ".join(logs))
    for thing in things:
        registries = sorted(unique(key[4] for key in cells if key[0] == thing), key=lambda name: (name != "referrers API", name))
        print(f"\n{thing}{': in each, ' + ', then '.join(registries) if registries[0] else ''}")
        marks = {}
        for signer in signers:
            for verifier in verifiers:
                groups = []
                for log in logs:
                    group = ""
                    for registry in registries:
                        result, reason = cells.get((thing, signer, verifier, log, registry), ("none", "not run"))
                        if result in ("empty", "none"):
                            if reason not in legend:
                                legend[reason] = next(letters)
                            group += legend[reason]
                        else:
                            group += {"PASS": "+", "FAIL": "!"}[result]
                    groups.append(group)
                marks[signer, verifier] = " ".join(groups)
        width = max(len(text) for text in [*marks.values(), *verifiers]) + 2
        print(f"  {'signer':16}" + "".join(f"{verifier:{width}}" for verifier in verifiers).rstrip())
        for signer in signers:
            print(f"  {signer:16}" + "".join(f"{marks[signer, verifier]:{width}}" for verifier in verifiers).rstrip())
    if cells:
        print("\n+ accepts, and refuses the same with the identity changed by one character, for that reason; ! fails")
        for reason, letter in legend.items():
            print(f"{letter} empty: {reason}")
        print("\nbeside the matrix")
    shown = [row for row in rows if row[3] != "empty"] if os.environ.get("VERBOSE") else beside
    widths = [max((len(row[i]) for row in shown), default=0) for i in range(4)]
    for row in shown + ([row for row in rows if row[3] == "FAIL" and tuple(row) not in beside] if shown is beside else []):
        print("  ".join(f"{row[i]:{widths[i]}}" for i in range(4)) + "  " + row[4])
    counts = {result: sum(row[3] == result for row in rows) for result in ("PASS", "FAIL", "empty")}
    print(f"{counts['empty']} empty, with the reason")
    print(f"{counts['PASS']} passed, {counts['FAIL']} failed")
    return counts["FAIL"] > 0 or counts["PASS"] == 0


if __name__ == "__main__":
    sys.exit(main())
