"""Starts the real binaries on free ports of 127.0.0.1 for one test, and ends them with it.

A test file is run as `test_x.py BUILD_DIR`. It makes a Stack (simulator, gateway, a folder of its
own) in a with-block or by unittest's enterContext, and calls harness.main() at its end. Nothing
sleeps: the binaries say when they listen, the simulator when its counters have moved, and every
wait has a limit. Exit status 77 = skipped, since something that tests/run installs is missing.
"""
import ctypes
import glob
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import site
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from decimal import Decimal

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve()
KEY = "sk-test-alpha"
OTHER_KEY = "sk-test-beta"
ADMIN_KEY = "sk-test-admin"
WAIT_S = 300  # the longest that anything here is waited for; sanitizer builds are slow

for packages in glob.glob(str(ROOT / "build/venv/lib/python3*/site-packages")):
    site.addsitedir(packages)


def skip(why):
    print(f"skipped: {why}; ./tests/run gets it", file=sys.stderr)
    sys.exit(77)


def model_file():
    """The starter model, or None."""
    for path in (os.environ.get("SLUICE_MODEL", ""),
                 ROOT / "models/smollm2-135m-instruct-q4_1.gguf"):
        if path and pathlib.Path(path).is_file():
            return pathlib.Path(path)
    return None


def until(wanted, what):
    """Asks `wanted` again until it gives something true, which is returned."""
    end = time.monotonic() + WAIT_S
    while not (found := wanted()):
        if time.monotonic() > end:
            raise AssertionError(what)
    return found


def within_one_day(test):
    """Not begun where the day (UTC) may end before the test does: a budget would begin anew."""
    left_s = 86_400 - time.time() % 86_400
    if left_s < WAIT_S:
        test.skipTest(f"the day ends in {left_s:.0f} s")


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def die_with_parent():
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Program:
    """A child whose stdout is read line by line as JSON objects."""

    def __init__(self, command, env=None, descriptors=()):
        self.errors = tempfile.TemporaryFile("w+")
        self.child = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE,
                                      stderr=self.errors, text=True, preexec_fn=die_with_parent,
                                      env={**os.environ, **(env or {})}, pass_fds=descriptors)
        self.lines = []
        self.ended = False
        self.moved = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.address = self.wait_for(lambda line: line.get("event") == "listening")["address"]

    def _read(self):
        for text in self.child.stdout:
            try:
                line = json.loads(text)
            except ValueError:
                line = {"event": "not JSON", "text": text}
            with self.moved:
                self.lines.append(line)
                self.moved.notify_all()
        with self.moved:
            self.ended = True
            self.moved.notify_all()

    def wait_for(self, wanted):
        """The first line of the log, from its beginning, that `wanted` takes."""
        with self.moved:
            def found():
                return any(map(wanted, self.lines)) or self.ended
            if not self.moved.wait_for(found, WAIT_S) or not any(map(wanted, self.lines)):
                raise AssertionError(f"the line never came; stderr: {self.error_text()}; "
                                     f"log: {self.lines[-20:]}")
            return next(line for line in self.lines if wanted(line))

    def error_text(self):
        self.errors.seek(0)
        return self.errors.read()

    def stop(self):
        """Ends it in good order: a leak or a race that a sanitizer reports fails the test."""
        if self.errors.closed:
            return  # it was stopped before
        if self.child.poll() is None:
            self.child.terminate()
        status = self.child.wait(WAIT_S)
        if status != 0:
            raise AssertionError(f"{self.child.args[0]} ended with {status}: {self.error_text()}")
        self.close()

    def kill(self):
        self.child.kill()
        self.child.wait(WAIT_S)
        self.close()

    def close(self):
        self.reader.join(WAIT_S)
        self.child.stdout.close()
        self.errors.close()


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def json(self):
        return json.loads(self.body, parse_float=Decimal)

    def events(self):
        """A stream's data fields, parsed; "[DONE]" stays as it is."""
        events = []
        for block in self.body.decode().split("\n\n"):
            data = "\n".join(line[6:] for line in block.split("\n") if line.startswith("data: "))
            if data:
                events.append(data if data == "[DONE]" else json.loads(data, parse_float=Decimal))
        return events

    def text(self):
        """The whole text of an answer, streamed or not."""
        if not self.headers["content-type"].startswith("text/event-stream"):
            return self.json()["choices"][0]["message"]["content"]
        choices = [event["choices"] for event in self.events() if event != "[DONE]"]
        return "".join(one[0]["delta"].get("content") or "" for one in choices if one)


def send(address, method, path, body=None, headers=None):
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=WAIT_S)
    try:
        connection.request(method, path, body, headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


class Simulator(Program):
    def __init__(self, *flags):
        super().__init__([BUILD / "sluice-upstream-sim", "--listen", "127.0.0.1:0", *flags])

    def stats(self):
        return send(self.address, "GET", "/sim/stats").json()

    def wait(self, **counters):
        """Waits until `open` is at most, and the other counters at least, what is given."""
        query = "&".join(f"{name}={value}" for name, value in counters.items())
        answer = send(self.address, "GET", f"/sim/wait?{query}&timeout_ms={WAIT_S * 500}")
        if answer.status != 200:
            raise AssertionError(f"the simulator never came to {counters}: {answer.json()}")
        return answer.json()

    def plan(self, directive, count=1, model=""):
        """The next `count` calls of `model` are answered as the directive says."""
        body = json.dumps({"directive": directive, "count": count, "model": model})
        answer = send(self.address, "POST", "/sim/faults", body)
        if answer.status != 200:
            raise AssertionError(answer.body)


POLICY = """version: 1
tiers:
{local}  open: [open-sim, open-spare]
  frontier: [frontier-sim]
rules:
  - name: closed team
    when: {{team: [beta], model: [frontier]}}
    refuse: team beta may not use the frontier tier
default:
  bands:
    - {{below: 0.5, tier: open}}
    - {{tier: frontier}}
"""

ENGINE = """engine:
  model: {model}
  context_tokens_max: 2048
  max_tokens_default: 64
  gpu_hour_usd: "1.37"
  tokens_per_hour: 500000
"""

CONFIG = """version: 1
ledger:
  url: sqlite:ledger.db
policy: policy.yaml
keys:
  - {{id: alpha, team: alpha, sha256: {alpha}}}
  - {{id: beta, team: beta, sha256: {beta}}}
  - {{id: admin, team: ops, admin: true, sha256: {admin}}}
limits: {{body_bytes_max: 1000000}}
{engine}upstreams:
{local}  - name: open-sim
    vendor: simulated-openai
    model: sim-reasoner
    base_url: {sim}/v1
    deadlines: {{first_token_ms: 120000, inter_token_ms: 120000, total_ms: 300000}}
  - name: open-spare
    vendor: simulated-openai
    model: sim-frontier
    base_url: {sim}/v1
  - name: frontier-sim
    vendor: simulated-anthropic
    model: sim-frontier
    base_url: {sim}/v1
"""


class Stack:
    """A simulator and a gateway over it, in a folder of their own."""

    def __init__(self, engine=False, edit=None):
        """`engine`: with the local tier. `edit` changes the text of the config."""
        self.engine = engine
        self.edit = edit or (lambda text: text)

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-e2e-"))
        self.gateway = None
        self.sim = Simulator()
        local = "  - {name: local-starter, vendor: engine}\n" if self.engine else ""
        self.config_text = self.edit(CONFIG.format(
            alpha=sha256(KEY), beta=sha256(OTHER_KEY), admin=sha256(ADMIN_KEY),
            sim="http://" + self.sim.address,
            engine=ENGINE.format(model=model_file()) if self.engine else "", local=local))
        (self.folder / "config.yaml").write_text(self.config_text)
        policy = POLICY.format(local="  local: [local-starter]\n" if self.engine else "")
        (self.folder / "policy.yaml").write_text(policy)
        # The secret of draws: which side of a canary a conversation is on is the same every time.
        secret = self.folder / "ledger.db.secret"
        secret.touch(0o600)
        secret.write_text("0123456789abcdeffedcba9876543210\n")
        try:
            self.start()
        except AssertionError:
            self.clean_up()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.gateway.stop()
            self.sim.stop()
        finally:
            self.clean_up()

    def clean_up(self):
        for program in (self.gateway, self.sim):
            if program and program.child.poll() is None:
                program.kill()
        shutil.rmtree(self.folder)

    def start(self):
        self.gateway = Program([BUILD / "sluice", "serve", "--config",
                                self.folder / "config.yaml", "--listen", "127.0.0.1:0"])
        self.url = f"http://{self.gateway.address}/v1"

    def chat(self, content="hello", model="open", key=KEY, headers=None, **fields):
        body = {"model": model, "messages": [{"role": "user", "content": content}], **fields}
        return self.post(json.dumps(body), key, headers)

    def post(self, body, key=KEY, headers=None, path="/v1/chat/completions"):
        sent = {"Content-Type": "application/json", **(headers or {})}
        if key:
            sent["Authorization"] = "Bearer " + key
        return send(self.gateway.address, "POST", path, body, sent)

    def get(self, path, key=KEY):
        return send(self.gateway.address, "GET", path, headers={"Authorization": "Bearer " + key})

    def rows(self):
        """The ledger's rows, oldest first. Whole only after the gateway has stopped."""
        database = sqlite3.connect(f"file:{self.folder}/ledger.db?mode=ro", uri=True)
        database.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in database.execute("SELECT * FROM attempts ORDER BY id")]
        finally:
            database.close()

    def spend(self, *flags):
        """What `sluice spend` prints as JSON, decimals exact."""
        ran = subprocess.run([BUILD / "sluice", "spend", "--ledger",
                              f"sqlite:{self.folder}/ledger.db", "--format", "json", *flags],
                             capture_output=True, text=True, timeout=WAIT_S, check=True)
        return json.loads(ran.stdout, parse_float=Decimal)


def main():
    unittest.main(argv=[sys.argv[0]], verbosity=2)
