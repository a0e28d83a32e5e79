#!/usr/bin/env python3
"""Takes each request handler out of the registry double in turn, and shows which tests fail without it.

usage: tests/registry/delete_handlers.py [TEST-PROGRAM]

Builds the `registry` test target unless its program is named, runs the tests of `handlers.rs` once whole and once
without each handler of the table in src/sandbox/registry/handlers/table.rs, and prints a line for each. Exit 1 if a
handler can go without its own test noticing.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def program():
    if len(sys.argv) > 1:
        return sys.argv[1]
    build = ["cargo", "test", "--locked", "--test", "registry", "--no-run", "--message-format=json"]
    out = subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    artifacts = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    found = [a["executable"] for a in artifacts if a.get("executable") and a["target"]["name"] == "registry"]
    return found[-1]


def failing(tests, handler):
    environment = dict(os.environ, RUST_BACKTRACE="0")
    environment.pop("KEYLESS_TEST_WITHOUT_HANDLER", None)
    if handler:
        environment["KEYLESS_TEST_WITHOUT_HANDLER"] = handler
    run = subprocess.run([tests, "handlers::"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    passed = re.findall(r"^test handlers::(\S+) \.\.\. ok$", run.stdout, re.M)
    failed = re.findall(r"^test handlers::(\S+) \.\.\. FAILED$", run.stdout, re.M)
    if not passed + failed:
        sys.exit(f"{tests} ran no test")
    return sorted(failed)


def main():
    table = (ROOT / "src/sandbox/registry/handlers/table.rs").read_text()
    table = table[table.index("pub const HANDLERS"):]
    rows = re.findall(r'Handler::\w+,\s*"([a-z-]+)",\s*"([A-Z]+)",\s*"([^"]+)"', table)
    count = int(re.search(r"; (\d+)\]", table).group(1))
    assert len(rows) == count, f"{len(rows)} rows read of {count}"
    tests = program()
    if failing(tests, None):
        sys.exit("a test fails with every handler there")
    unnoticed = 0
    for name, method, path in rows:
        failed = failing(tests, name)
        own = name.replace("-", "_")
        unnoticed += own not in failed
        shown = ", ".join(failed) if failed else "NOBODY NOTICES"
        mark = "" if own in failed else "  <- not its own test"
        print(f"{name:16} {method:6} {path:56} {shown}{mark}", flush=True)
    print(f"{len(rows)} handlers, {unnoticed} can go unnoticed")
    sys.exit(1 if unnoticed else 0)


main()
