"""Runs a command through tests/bench/measure.c: seconds, peak memory, status, and what it said."""
import os
import subprocess

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench", "measure.c")


class Sample:
    """wall, user, system in seconds; peak in MiB; code; faults: pages made present; text is what it said."""

    def __init__(self, line, text):
        wall, user, system, peak, code, faults = line.split()
        self.wall, self.user, self.system, self.peak, self.code, self.text = float(wall), float(user), float(system), int(peak) / 1024, int(code), text
        self.faults = int(faults)

    @property
    def cpu(self):
        return self.user + self.system


class Measure:
    def __init__(self, work):
        self.work = work
        self.program = os.path.join(work, "measure")
        subprocess.run(["cc", "-O2", "-o", self.program, SOURCE], check=True)

    def __call__(self, *command, timeout=900, env=None):
        out, log = os.path.join(self.work, "measured"), os.path.join(self.work, "measured.log")
        with open(log, "w") as file:
            subprocess.run([self.program, out, *command], stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, check=True,
                           timeout=timeout, env={**os.environ, **(env or {})})
        with open(out) as line, open(log, errors="replace") as text:
            return Sample(line.read(), text.read())
