"""A double of the runner that executes composite actions: enough of it to run ours as written, and strict about the rest.

It reads action.yml, checks the inputs, evaluates the `${{ }}` expressions the file uses, runs every step with the files
GITHUB_OUTPUT, GITHUB_ENV, GITHUB_PATH and GITHUB_STEP_SUMMARY, and returns outputs, summary and log. What it does not
know it refuses, so that an action cannot pass here by being misread.
"""
import os
import re
import subprocess
import tempfile

import yaml

EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.S)
TOKEN = re.compile(r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<op>\|\||&&|==|!=|!|\(|\))|(?P<name>[A-Za-z_][\w.-]*))")


class ActionError(Exception):
    """The action is not one that a runner would take."""


class Expression:
    """or := and ('||' and)*; and := eq ('&&' eq)*; eq := unary (('=='|'!=') unary)?; unary := '!' unary | '(' or ')' | value"""

    def __init__(self, text, lookup):
        self.tokens, self.lookup, at = [], lookup, 0
        text = text.rstrip()
        while at < len(text):
            found = TOKEN.match(text, at)
            if not found:
                raise ActionError(f"expression not understood: {text[at:]!r}")
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()

    def value(self):
        result = self.either()
        if self.tokens:
            raise ActionError(f"expression not understood after {result!r}: {self.tokens}")
        return result

    def next_is(self, *operators):
        return self.tokens and self.tokens[0][0] == "op" and self.tokens[0][1] in operators

    def either(self):
        left = self.both()
        while self.next_is("||"):
            self.tokens.pop(0)
            right = self.both()
            left = left or right
        return left

    def both(self):
        left = self.equal()
        while self.next_is("&&"):
            self.tokens.pop(0)
            right = self.equal()
            left = left and right
        return left

    def equal(self):
        left = self.unary()
        if self.next_is("==", "!="):
            operator = self.tokens.pop(0)[1]
            same = str(left).lower() == str(self.unary()).lower()  # strings are compared without regard to case
            return same if operator == "==" else not same
        return left

    def unary(self):
        if self.next_is("!"):
            self.tokens.pop(0)
            return not self.unary()
        if self.next_is("("):
            self.tokens.pop(0)
            inner = self.either()
            if not self.next_is(")"):
                raise ActionError("a bracket is not closed")
            self.tokens.pop(0)
            return inner
        kind, text = self.tokens.pop(0) if self.tokens else (None, "nothing")
        if kind == "string":
            return text[1:-1].replace("''", "'")
        if kind == "name":
            return {"true": True, "false": False}.get(text, None) if text in ("true", "false") else self.lookup(text)
        raise ActionError(f"a value is expected, found {text}")


def text_of(value):
    return {True: "true", False: "false", None: ""}.get(value, value) if not isinstance(value, str) else value


def parse_file_command(path):
    """NAME=VALUE lines and NAME<<DELIMITER blocks, as in GITHUB_OUTPUT and GITHUB_ENV."""
    found = {}
    with open(path, encoding="utf-8", newline="") as file:
        lines = file.read().split("\n")
    while lines:
        line = lines.pop(0)
        if not line:
            continue
        equals, block = line.find("="), line.find("<<")
        if block >= 0 and (equals < 0 or block < equals):
            name, delimiter = line.split("<<", 1)
            body = []
            while lines and lines[0] != delimiter:
                body.append(lines.pop(0))
            if not lines:
                raise ActionError(f"the block of {name} does not end with {delimiter}")
            lines.pop(0)
            found[name] = "\n".join(body)
        elif equals > 0:
            name, found[name] = line[:equals], line[equals + 1:]
        else:
            raise ActionError(f"neither NAME=VALUE nor NAME<<DELIMITER: {line!r}")
    return found


class Result:
    """status (of the step that failed, or 0), outputs, summary, log, and the environment the action leaves."""

    def __init__(self):
        self.status, self.outputs, self.summary, self.log, self.exported = 0, {}, "", "", {}


def load(folder):
    """Reads action.yml and refuses what a runner refuses, and any expression inside a shell text."""
    with open(os.path.join(folder, "action.yml"), encoding="utf-8") as file:
        action = yaml.safe_load(file)
    for key in ("name", "description", "runs"):
        if key not in action:
            raise ActionError(f"action.yml has no {key}")
    if action["runs"].get("using") != "composite":
        raise ActionError("not a composite action")
    for name, entry in action.get("inputs", {}).items():
        if not entry.get("description") or ("default" in entry) == bool(entry.get("required")):
            raise ActionError(f"input {name}: a description, and either required or a default")
    for name, entry in action.get("outputs", {}).items():
        if not entry.get("description") or not entry.get("value"):
            raise ActionError(f"output {name}: a description and a value")
    for step in action["runs"]["steps"]:
        unknown = set(step) - {"name", "id", "if", "shell", "env", "run"}
        if unknown:
            raise ActionError(f"step {step.get('name')}: {unknown} is not known to this double")
        if step.get("shell") != "bash":
            raise ActionError(f"step {step.get('name')}: a composite step names its shell, here bash")
        if "${{" in step["run"]:
            raise ActionError(f"step {step.get('name')}: an expression inside the shell text lets its value be executed")
    return action


def run(folder, inputs, environment, workspace):
    """Runs the action of `folder` with `inputs` in the folder `workspace`."""
    action, result = load(folder), Result()
    declared = action.get("inputs", {})
    unknown = set(inputs) - set(declared)
    if unknown:
        raise ActionError(f"no such input: {unknown}")
    values = {}
    for name, entry in declared.items():
        if entry.get("required") and name not in inputs:
            raise ActionError(f"input {name} is required")
        values[name] = inputs.get(name, text_of(entry.get("default", "")))
        if not isinstance(values[name], str):
            raise ActionError(f"default of {name} is not a string")
    steps = {}

    def lookup(name):
        parts = name.split(".")
        if parts[0] == "inputs" and len(parts) == 2:
            if parts[1] not in declared:
                raise ActionError(f"{name} is not declared")
            return values[parts[1]]
        if parts[0] == "steps" and len(parts) == 4 and parts[2] == "outputs":
            if parts[1] not in {step.get("id") for step in action["runs"]["steps"]}:
                raise ActionError(f"{name}: no such step")
            return steps.get(parts[1], {}).get(parts[3], "")
        raise ActionError(f"{name} is not known to this double")

    def evaluate(text):
        return EXPRESSION.sub(lambda found: text_of(Expression(found[1], lookup).value()), text)

    with tempfile.TemporaryDirectory() as temporary:
        path = environment["PATH"]
        for number, step in enumerate(action["runs"]["steps"]):
            condition = str(step.get("if", "true"))
            inner = EXPRESSION.fullmatch(condition.strip())
            if result.status or not Expression(inner[1] if inner else condition, lookup).value():
                continue
            files = {}
            for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"):
                files[name] = os.path.join(temporary, f"{name}.{number}")
                open(files[name], "w").close()
            script = os.path.join(temporary, f"step.{number}.sh")
            with open(script, "w", encoding="utf-8") as file:
                file.write(step["run"])
            own = {name: evaluate(text_of(value)) for name, value in step.get("env", {}).items()}
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script], cwd=workspace, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1200,
                env={**environment, **result.exported, **own, **files, "PATH": path, "CI": "true", "GITHUB_ACTIONS": "true",
                     "GITHUB_ACTION_PATH": os.path.abspath(folder), "GITHUB_WORKSPACE": workspace, "RUNNER_TEMP": workspace})
            result.log += done.stdout
            result.status = done.returncode
            steps[step.get("id", str(number))] = parse_file_command(files["GITHUB_OUTPUT"])
            result.exported.update(parse_file_command(files["GITHUB_ENV"]))
            with open(files["GITHUB_PATH"], encoding="utf-8") as file:
                path = ":".join([*reversed(file.read().split()), path])
            with open(files["GITHUB_STEP_SUMMARY"], encoding="utf-8") as file:
                result.summary += file.read()
    result.outputs = {name: evaluate(entry["value"]) for name, entry in action.get("outputs", {}).items()}
    return result
