#!/usr/bin/env python3
"""Mutation testing of `src/crypto`, `src/format`, `src/trust` and `src/verify`; see README.md.

One build holds every mutant, each switched on by KEYLESS_MUTANT=number. First each test runs once and notes which
switches it reached; then each mutant is run against the tests that reach it, cheapest first, until one fails.
Outcomes go to ledger.tsv, which keeps the reasons that people wrote there.
"""

import argparse
import concurrent.futures
import hashlib
import json
import math
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
LEDGER = HERE / "ledger.tsv"
COLUMNS = ["mutant", "line", "change", "outcome", "by", "reason"]
FOLDERS = ["crypto", "format", "trust", "verify"]

# Test binaries in the order they are tried; `slow` ones only where no other killed. A filter names what is run.
UNIT = r"(crypto|format|trust|verify)::"
FIRST = [("forge", ""), ("captures", ""), ("conformance", "(?!adapter::)"), ("lib", UNIT)]
SLOW = [
    ("lib", rf"(?!{UNIT})"), ("registry", ""), ("http", ""), ("sandbox", ""), ("conformance", "adapter::"), ("cli", ""),
]
BATCH = 1.0  # seconds of tests in one process
MEMORY = 6 << 30  # bytes of address space; a mutant may loop and push


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def limits(processor):
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    if processor:
        resource.setrlimit(resource.RLIMIT_CPU, (processor, processor + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Scratch:
    """The copy of the repository with the mutants in it, and what was built from it."""

    def __init__(self, path):
        self.path = path
        self.source = path / "source"
        self.target = path / "target"
        self.dropped = path / "dropped.txt"
        self.kept = path / "binaries.json"

    def environment(self):
        environment = dict(os.environ)
        environment["CARGO_TARGET_DIR"] = str(self.target)
        environment["CARGO_INCREMENTAL"] = "0"
        return environment

    def copy(self):
        """Copies what git knows or would take, but for what the tool writes; removes what is gone."""
        names = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=REPOSITORY, check=True, capture_output=True,
        ).stdout.decode().split("\0")
        written = tuple(f"src/{folder}/" for folder in FOLDERS)
        kept = set()
        for name in filter(None, names):
            origin, copy = REPOSITORY / name, self.source / name
            if not origin.is_file():
                continue
            kept.add(name)
            rewritten = name.startswith(written) and not name.endswith("/tests.rs")
            if rewritten or name == "src/lib.rs" or name.startswith("tests/mutants/"):
                continue
            data = origin.read_bytes()
            if name == "Cargo.toml":
                data = re.sub(rb"(?ms)^\[lints\..*?(?=^\[(?!lints)|\Z)", b"", data) + b"\n[workspace]\n"
            if name.startswith("tests/") and name.endswith(".rs"):
                # What the tests start must see the switch.
                data = data.replace(
                    b".env_clear()",
                    b'.env_clear().envs(std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("KEYLESS_MUTANT")))',
                )
            if not copy.is_file() or copy.read_bytes() != data:
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(data)
                copy.chmod(origin.stat().st_mode)
        for folder in ("src", "tests"):
            for path in (self.source / folder).rglob("*.rs"):
                if str(path.relative_to(self.source)) not in kept:
                    path.unlink()

    def seed(self):
        """Takes the dependencies that the repository has built already: their artefacts know no path."""
        built = REPOSITORY / "target/debug"
        if self.target.exists() or not built.is_dir():
            return
        say("taking built dependencies over")
        own = re.compile(r"^(lib)?(keyless|cli|forge|captures|conformance|http|registry|sandbox|architecture|memory_scan|sha256_alone)-")
        for part in ("deps", "build", ".fingerprint"):
            shutil.copytree(
                built / part, self.target / "debug" / part, symlinks=True,
                ignore=lambda _, names: [name for name in names if own.match(name)],
            )

    def write(self):
        tool = self.path / "tool"
        subprocess.run(
            ["cargo", "build", "--quiet", "--locked", "--manifest-path", HERE / "Cargo.toml", "--target-dir", tool],
            check=True,
        )
        result = subprocess.run(
            [tool / "debug/keyless-mutants", REPOSITORY, self.path, self.dropped], check=True, capture_output=True, text=True
        )
        return result.stdout

    def mutants(self):
        found = {}
        for line in (self.path / "mutants.tsv").read_text().splitlines():
            number, name, at, change = line.split("\t")
            found[name] = {"number": int(number), "line": at, "change": change}
        return found

    def places(self):
        found = {}
        for line in (self.path / "places.tsv").read_text().splitlines():
            file, start, end, numbers = line.split("\t")
            found.setdefault(file, []).append((int(start), int(end), [int(n) for n in numbers.split(",")]))
        return found

    def cargo(self, *arguments):
        """Runs cargo; returns its messages and whether it was content."""
        process = subprocess.run(
            ["nice", "-n", "10", "cargo", *arguments, "--locked", "--message-format=json"],
            cwd=self.source, env=self.environment(), capture_output=True, text=True,
        )
        messages = [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]
        if process.returncode and not any(m["reason"] == "compiler-message" for m in messages):
            sys.exit(process.stderr)
        return messages, process.returncode == 0

    def blame(self, messages):
        """Finds the mutants that errors are about: of the smallest place around a span."""
        places, by_number = self.places(), {m["number"]: name for name, m in self.mutants().items()}
        blamed, unclear = set(), []
        for message in messages:
            if message["reason"] != "compiler-message" or message["message"]["level"] != "error":
                continue
            message = message["message"]
            spans = sorted(message["spans"], key=lambda span: not span["is_primary"])
            for span in spans:
                around = [
                    place for place in places.get(span["file_name"], [])
                    if place[0] <= span["byte_start"] and span["byte_end"] <= place[1]
                ]
                if around:
                    smallest = min(around, key=lambda place: place[1] - place[0])
                    blamed.update(by_number[number] for number in smallest[2])
                    break
            else:
                if spans:
                    unclear.append(message["rendered"])
        return blamed, unclear

    def build(self, fast):
        """Drops what does not compile until all does; returns the test binaries."""
        while True:
            told = self.write()
            messages, content = self.cargo("check", "--lib")
            if content:
                break
            blamed, unclear = self.blame(messages)
            if not blamed:
                sys.exit("no mutant is to blame:\n" + "\n".join(unclear))
            with self.dropped.open("a") as file:
                file.writelines(f"{name}\n" for name in sorted(blamed))
            say(f"{len(blamed)} mutants do not compile")
        for line in told.splitlines():
            say(line)
        say("building the tests")
        names = sorted({name for name, _ in FIRST + ([] if fast else SLOW)} - {"lib"})
        # Slow tests start the program.
        arguments = ["test", "--no-run", "--lib", *([] if fast else ["--bins"])]
        for name in names:
            arguments += ["--test", name]
        messages, content = self.cargo(*arguments)
        if not content:
            sys.exit("\n".join(m["message"]["rendered"] for m in messages if m["reason"] == "compiler-message"))
        binaries = {}
        for message in messages:
            if message["reason"] == "compiler-artifact" and message["profile"]["test"] and message["executable"]:
                kind = message["target"]["kind"]
                name = "lib" if "lib" in kind else message["target"]["name"]
                if "bin" not in kind:
                    binaries[name] = message["executable"]
        self.kept.write_text(json.dumps(binaries))
        return binaries

    def run(self, binary, tests, mutant, seconds, processor=0):
        """Runs tests of a binary under a switch, for so many seconds, of the processor and by the clock.

        Returns what failed, "" if none, whether time ran out, and what was used of the processor.
        """
        environment = self.environment() | {"KEYLESS_MUTANT": str(mutant), "RUST_BACKTRACE": "0", "NO_COLOR": "1"}
        if mutant == "record":
            environment["KEYLESS_MUTANT_RECORD"] = str(self.path / f"record.{threading.get_ident()}")
        process = subprocess.Popen(
            [binary, "--exact", *tests, "--test-threads=1"],
            cwd=self.source, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", preexec_fn=lambda: limits(processor), start_new_session=True,
        )
        late = threading.Event()

        def stop():
            late.set()
            os.killpg(process.pid, signal.SIGKILL)

        clock = threading.Timer(seconds, stop)
        clock.start()
        output = process.stdout.read()
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        clock.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        ran_out = late.is_set() or process.returncode == -signal.SIGXCPU
        failed = "" if process.returncode == 0 else self.failing(output, tests)
        return failed, ran_out, usage.ru_utime + usage.ru_stime

    @staticmethod
    def failing(output, tests):
        failed = re.search(r"^test (\S+)(?: - should panic)? \.\.\. FAILED", output, re.M)
        begun = re.findall(r"^test (\S+)(?: - should panic)? \.\.\. ", output, re.M)
        return failed.group(1) if failed else (begun[-1] if begun else tests[0])


class Killers:
    """The tests, what each costs, and what each reaches."""

    def __init__(self, scratch, binaries, options):
        self.scratch = scratch
        self.binaries = binaries
        self.patience = options.patience
        self.only_slow = options.slow
        self.tests = []  # (tier, binary, test, seconds, reached)
        self.recent = {}  # by function and by file: who killed there last, as "binary test"
        tiers = [(0, FIRST)] * (not options.slow) + [(1, SLOW)] * (not options.fast)
        jobs = []
        for tier, list_ in tiers:
            for binary, only in list_:
                listed = subprocess.run(
                    [binaries[binary], "--list", "--format", "terse"], capture_output=True, text=True, check=True, cwd=scratch.source,
                ).stdout
                for line in listed.splitlines():
                    name, _, kind = line.rpartition(": ")
                    if kind == "test" and re.match(only, name):
                        jobs.append((tier, binary, name))
        self.numbers = hashlib.sha256((scratch.path / "mutants.tsv").read_bytes()).hexdigest()
        self.hashed = {}
        kept = scratch.path / "recorded.json"
        known = json.loads(kept.read_text()) if kept.exists() else {}

        def recorded(job):
            tier, binary, name = job
            key = self.key(binary, name)
            if key not in known:
                known[key] = self.record(tier, binary, name)
            seconds, reached = known[key]
            return tier, binary, name, seconds, frozenset(reached)

        before = len(known)
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            self.tests = list(pool.map(recorded, jobs))
        kept.write_text(json.dumps(known))
        say(f"{len(self.tests)} tests, {sum(t[3] for t in self.tests):.0f} s one after the other; {len(known) - before} were recorded")

    def key(self, binary, name):
        """What a recording holds for: the mutants with their places, and the file that the test stands in."""
        source = self.scratch.source
        if binary == "lib":
            parts = name.split("::")[:-1]
            paths = []
            while parts and not paths:
                stem = source / "src" / "/".join(parts)
                paths = [path for path in (stem.with_suffix(".rs"), stem / "mod.rs") if path.is_file()]
                parts.pop()
        else:
            paths = [source / f"tests/{binary}.rs", *(source / "tests" / binary).rglob("*.rs")]
        hashes = []
        for path in sorted(path for path in paths if path.is_file()):
            if path not in self.hashed:
                self.hashed[path] = hashlib.sha256(path.read_bytes()).hexdigest()
            hashes.append(self.hashed[path])
        return hashlib.sha256(" ".join([self.numbers, binary, name, *hashes]).encode()).hexdigest()

    def record(self, tier, binary, name):
        """Runs a test once; returns its cost and what it reached."""
        record = self.scratch.path / f"record.{threading.get_ident()}"
        for attempt in (1, 2, 3):
            record.unlink(missing_ok=True)
            began = time.monotonic()
            failed, late, used = self.scratch.run(self.binaries[binary], [name], "record", 300 * self.patience)
            if not failed and not late:
                break
        else:
            say(f"left out, for it fails without a mutant: {binary} {name}")
            return 0.0, []
        # What else runs here makes the clock run on; only servers and programs need it.
        seconds = time.monotonic() - began if tier else used
        reached = sorted({int(line) for line in record.read_text().split()}) if record.exists() else []
        return seconds, reached

    def judge(self, name, number, before):
        """Runs a mutant, first against who killed it before or killed nearby; returns outcome and by whom."""
        reaching = [test for test in self.tests if number in test[4]]
        if not reaching:
            return "survived", before if self.only_slow else "not reached"
        function, file = name.rsplit(":", 2)[0], name.split(":")[0]
        likely = dict.fromkeys([before, *self.recent.get(function, []), *self.recent.get(file, [])])
        by_name = {f"{test[1]} {test[2]}": test for test in reaching}
        first = [by_name[one] for one in likely if one in by_name]
        rest = [test for test in reaching if test not in first]
        for batch in [*([test] for test in first), *self.batches(rest)]:
            binary = batch[0][1]
            cost = sum(test[3] for test in batch)
            names = [test[2] for test in batch]
            failed, late = self.run(batch[0][0], binary, names, number, cost)
            if failed or late:
                by = f"{binary} {failed}"
                for key, most in ((function, 3), (file, 2)):
                    self.recent[key] = [by, *(one for one in self.recent.get(key, []) if one != by)][:most]
                return "timeout" if late else "killed", by
        return "survived", ""

    def run(self, slow, binary, names, number, cost):
        """Runs a batch; returns what failed and whether time ran out, as seen twice where once may be chance."""
        path = self.binaries[binary]
        if not slow:
            # Pure code: the processor's time tells, whatever else runs here.
            failed, late, _ = self.scratch.run(path, names, number, self.patience * (20 + 6 * cost), math.ceil(4 + 4 * cost))
            if late:
                failed, late, _ = self.scratch.run(path, names, number, self.patience * (60 + 12 * cost), math.ceil(12 + 12 * cost))
            return failed, late
        failed, late, _ = self.scratch.run(path, names, number, self.patience * (8 + 6 * cost))
        if failed or late:
            # Slow tests have servers and clocks, and a busy machine is late: these must fail twice, and pass without.
            failed, late, _ = self.scratch.run(path, names, number, self.patience * (24 + 12 * cost))
            if failed or late:
                chance, never, _ = self.scratch.run(path, [failed], 0, self.patience * (24 + 12 * cost))
                if chance or never:
                    return "", False
        return failed, late

    @staticmethod
    def batches(tests):
        """Groups tests of one binary and tier, cheapest first."""
        groups = {}
        for test in sorted(tests, key=lambda test: test[3]):
            groups.setdefault((test[0], test[1]), []).append(test)
        order = [(tier, binary) for tier, list_ in enumerate([FIRST, SLOW]) for binary, _ in list_]
        for key in order:
            batch, cost = [], 0.0
            for test in groups.get(key, []):
                if batch and cost + test[3] > BATCH:
                    yield batch
                    batch, cost = [], 0.0
                batch.append(test)
                cost += test[3]
            if batch:
                yield batch


def read_ledger():
    if not LEDGER.exists():
        return {}
    rows = {}
    for line in LEDGER.read_text().splitlines()[1:]:
        values = line.split("\t") + [""] * len(COLUMNS)
        row = dict(zip(COLUMNS, values))
        rows[row["mutant"]] = row
    return rows


def write_ledger(rows):
    lines = ["\t".join(COLUMNS)]
    lines += ["\t".join(str(row[column]) for column in COLUMNS) for row in rows.values()]
    temporary = LEDGER.with_suffix(".new")
    temporary.write_text("\n".join(line.rstrip() for line in lines) + "\n")
    temporary.replace(LEDGER)


def carried(old, mutants, dropped):
    """The rows of the mutants that there are now, with outcome and reason of the same change where it was known."""
    by_change = {}
    for row in old.values():
        by_change.setdefault((row["mutant"].rpartition(":")[0], row["change"]), []).append(row)
    rows = {}
    for name, mutant in mutants.items():
        row = {"mutant": name, "line": mutant["line"], "change": mutant["change"], "outcome": "", "by": "", "reason": ""}
        known = old.get(name)
        if known is None or known["change"] != mutant["change"]:
            others = by_change.get((name.rpartition(":")[0], mutant["change"]), [])
            known = others[0] if len(others) == 1 else None
        if known:
            row |= {column: known[column] for column in ("outcome", "by", "reason")}
        if name in dropped:
            row |= {"outcome": "does not compile", "by": "", "reason": ""}
        elif row["outcome"] == "does not compile":
            row["outcome"] = ""
        rows[name] = row
    return rows


def summary(rows):
    lines = [f"{'':8}{'mutants':>9}{'dropped':>9}{'run':>7}{'killed':>8}{'timeout':>9}{'survived':>10}{'harmless':>10}{'open':>6}{'all %':>8}{'open %':>8}"]
    for folder in [*FOLDERS, "all"]:
        mine = [row for row in rows.values() if folder == "all" or row["mutant"].startswith(folder + "/")]
        count = lambda outcome: sum(row["outcome"] == outcome for row in mine)
        killed, late, survived = count("killed"), count("timeout"), count("survived")
        harmless = sum(row["outcome"] == "survived" and bool(row["reason"]) for row in mine)
        ran = killed + late + survived
        share = lambda n: f"{100 * n / ran:.1f}" if ran else "-"
        lines.append(
            f"{folder:8}{len(mine):9}{count('does not compile'):9}{ran:7}{killed:8}{late:9}{survived:10}{harmless:10}"
            f"{survived - harmless:6}{share(survived):>8}{share(survived - harmless):>8}"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shard", metavar="I/N", help="only the I-th of N parts, 1 to N")
    parser.add_argument("--file", action="append", default=[], metavar="PATH", help="only mutants whose id begins so, such as crypto/key.rs")
    parser.add_argument("--sample", type=int, metavar="COUNT", help="only so many, drawn by --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=["new", "open", "survived"], help="without outcome; survivors without reason; all survivors")
    parser.add_argument("--fast", action="store_true", help="leave the slow tests out")
    parser.add_argument("--built", action="store_true", help="with the build that there is, whatever has changed since")
    parser.add_argument("--slow", action="store_true", help="only the slow tests, for what outlived the others")
    parser.add_argument("--patience", type=float, default=1, metavar="FACTOR", help="multiplies the time allowed by the clock, on a busy machine")
    parser.add_argument("--list", action="store_true", help="print what is open and the figures, and run nothing")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--scratch", type=Path, default=REPOSITORY / "target/mutants")
    options = parser.parse_args()
    if options.list:
        rows = read_ledger()
        for row in rows.values():
            if row["outcome"] == "survived" and not row["reason"]:
                print(f"{row['mutant']}  line {row['line']}: {row['change']}  {row['by']}")
        print(summary(rows))
        return
    began = time.monotonic()
    scratch = Scratch(options.scratch)
    if options.built:
        binaries = json.loads(scratch.kept.read_text())
    else:
        scratch.source.mkdir(parents=True, exist_ok=True)
        scratch.copy()
        scratch.seed()
        binaries = scratch.build(options.fast)
    mutants = scratch.mutants()
    dropped = set(scratch.dropped.read_text().splitlines()) if scratch.dropped.exists() else set()
    rows = carried(read_ledger(), mutants, dropped)
    write_ledger(rows)
    say(f"built after {time.monotonic() - began:.0f} s")
    chosen = [row for row in rows.values() if row["outcome"] != "does not compile"]
    chosen = [row for row in chosen if not options.file or row["mutant"].startswith(tuple(options.file))]
    if options.only == "new":
        chosen = [row for row in chosen if not row["outcome"]]
    if options.only == "open":
        chosen = [row for row in chosen if row["outcome"] in ("", "survived") and not row["reason"]]
    if options.only == "survived":
        chosen = [row for row in chosen if row["outcome"] in ("", "survived")]
    if options.shard:
        part, parts = map(int, options.shard.split("/"))
        chosen = [row for row in chosen if zlib.crc32(row["mutant"].encode()) % parts == part - 1]
    if options.sample is not None:
        chosen = random.Random(options.seed).sample(chosen, min(options.sample, len(chosen)))
    killers = Killers(scratch, binaries, options)
    say(f"{len(chosen)} mutants to run")
    began_runs, done, lock = time.monotonic(), 0, threading.Lock()

    def judge(row):
        nonlocal done
        outcome, by = killers.judge(row["mutant"], mutants[row["mutant"]]["number"], row["by"])
        with lock:
            row |= {"outcome": outcome, "by": by}
            if outcome != "survived":
                row["reason"] = ""
            done += 1
            if done % 50 == 0 or done == len(chosen):
                write_ledger(rows)
                say(f"{done} of {len(chosen)}")

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(judge, chosen))
    write_ledger(rows)
    say(f"ran {time.monotonic() - began_runs:.0f} s, {time.monotonic() - began:.0f} s with building and recording")
    mine = {row["mutant"]: row for row in chosen}
    if len(mine) != len(rows):
        print("of this run:")
        print(summary(mine))
        print("of the ledger:")
    print(summary(rows))


if __name__ == "__main__":
    main()
