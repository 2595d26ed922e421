"""sluice eval: golden sets over a scripted upstream, and the gate that holds a gateway to them."""
import http.server
import json
import pathlib
import re
import signal
import sqlite3
import subprocess
import tempfile
import threading
import unittest
from decimal import Decimal

import harness

CONFIG = """version: 1
ledger: {{url: "sqlite:ledger.db"}}
policy: policy.yaml
keys: [{{id: alpha, team: alpha, sha256: {key}}}]
{golden}upstreams:
  - {{name: open-a, vendor: simulated-openai, model: {open}, base_url: {url}}}
  - {{name: frontier-a, vendor: simulated-openai, model: sim-frontier, base_url: {url}}}
"""
GOLDEN = "golden: {file: golden.yaml, result: golden.result.json, tolerance: 0.02}\n"
POLICY = """version: 1
tiers:
  open: [open-a]
  frontier: [frontier-a]
default: {{bands: [{{tier: {first}}}]}}
"""


class Model(http.server.BaseHTTPRequestHandler):
    """Knows that qN is answered by N, but for the numbers that its model has wrong."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = asked["messages"][-1]["content"]
        self.server.asked.append((asked["model"], text))
        status, body = 200, self.answer(asked["model"], asked["messages"][0]["content"], text)
        if isinstance(body, int):
            status, body = body, {"error": {"message": "broken"}}
        sent = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        try:
            self.wfile.write(sent)
        except BrokenPipeError:
            pass  # eval was stopped meanwhile

    def answer(self, model, system, text):
        if "You judge" in system:
            said = self.server.judge(text)
        else:
            number = int(re.search(r"q(\d+)", text)[1])
            said = self.server.say(model, number)
            if isinstance(said, int):
                return said
        return {"id": "x", "object": "chat.completion", "created": 1, "model": model,
                "choices": [{"index": 0, "finish_reason": "stop",
                             "message": {"role": "assistant", "content": said}}],
                "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}}

    def log_message(self, *_):
        pass


class Eval(unittest.TestCase):
    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.folder = pathlib.Path(folder)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
        self.server.daemon_threads = True
        self.server.asked = []
        self.server.wrong = {}
        self.server.say = lambda model, number: (
            "no idea" if number in self.server.wrong.get(model, ()) else f"It is {number}.")
        self.server.judge = lambda text: "GRADE: 5"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.write_config()
        self.write_policy()

    def write_config(self, golden="", model="sim-reasoner"):
        (self.folder / "config.yaml").write_text(CONFIG.format(
            key=harness.sha256(harness.KEY), golden=golden, open=model,
            url=f"http://127.0.0.1:{self.server.server_port}/v1"))

    def write_policy(self, first="open"):
        (self.folder / "policy.yaml").write_text(POLICY.format(first=first))

    def write_golden(self, cases):
        (self.folder / "golden.yaml").write_text("version: 1\ndefaults: {max_tokens: 20}\n" + cases)

    def write_numbers(self, count=50):
        self.write_golden("cases:\n" + "".join(
            f"  - {{id: c{i}, prompt: 'q{i}?', score: {{numeric: {i}}}}}\n" for i in range(count)))

    def sluice(self, *arguments):
        return subprocess.run([harness.BUILD / "sluice", *map(str, arguments)],
                              capture_output=True, text=True, timeout=harness.WAIT_S)

    def eval(self, tiers, *more):
        return self.sluice("eval", "--config", self.folder / "config.yaml", "--golden",
                           self.folder / "golden.yaml", "--tiers", tiers, *more)

    def save(self, tiers="open,frontier"):
        return self.eval(tiers, "--save", self.folder / "golden.result.json")

    def check(self):
        return self.sluice("check", self.folder / "config.yaml")

    def gateway(self):
        gateway = harness.Program([harness.BUILD / "sluice", "serve", "--config",
                                   self.folder / "config.yaml", "--listen", "127.0.0.1:0"])
        self.addCleanup(lambda: gateway.child.poll() is None and gateway.kill())
        return gateway

    def rows(self):
        database = sqlite3.connect(f"file:{self.folder}/ledger.db?mode=ro", uri=True)
        database.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in database.execute("SELECT * FROM attempts")]
        finally:
            database.close()

    def test_tiers_are_compared_and_every_answer_is_booked(self):
        self.write_numbers()
        self.server.wrong["sim-reasoner"] = {1, 2, 3}
        ran = self.eval("frontier,open", "--json")
        self.assertEqual(ran.returncode, 1, ran.stderr)
        self.assertIn("tier open loses 6.0 % against frontier", ran.stderr)
        found = json.loads(ran.stdout, parse_float=Decimal)
        frontier, cheap = found["tiers"]
        self.assertEqual((frontier["right"], cheap["right"], cheap["measured"]), (50, 47, 50))
        pair = found["pairs"][0]
        self.assertEqual((pair["lost"], pair["won"], pair["test"], pair["verdict"]),
                         (3, 0, "McNemar", "loses"))
        self.assertAlmostEqual(float(pair["p"]), 0.25)
        self.assertFalse(found["passed"])
        rows = self.rows()
        self.assertEqual(len(rows), 100)
        self.assertEqual({(row["key_id"], row["rule"]) for row in rows}, {("eval", "eval")})
        for tier in found["tiers"]:
            booked = sum(row["cost_pico_usd"] for row in rows if row["tier"] == tier["tier"])
            self.assertEqual(tier["cost_usd"], Decimal(booked) / 10**12)
            self.assertGreater(booked, 0)
        self.assertTrue(all(row["baseline_pico_usd"] == row["cost_pico_usd"] for row in rows))
        replayed = self.sluice("replay", "--policy", self.folder / "policy.yaml", "--ledger",
                               f"sqlite:{self.folder}/ledger.db", "--config",
                               self.folder / "config.yaml", "--json")
        self.assertIn('"requests":0', replayed.stdout)  # measuring is no traffic
        self.assertEqual(self.eval("open,frontier").returncode, 0)  # the dearer one loses nothing

    def test_restricted_cases_never_leave(self):
        for spelt in ("restricted", "Restricted", "' RESTRICTED '"):
            with self.subTest(spelt):
                self.server.asked.clear()
                self.restricted_case_stays(spelt)

    def restricted_case_stays(self, spelt):
        self.write_golden("cases:\n"
                          f"  - {{id: a, prompt: 'q1', data_class: {spelt}, score: {{numeric: 1}}}}\n"
                          "  - {id: b, prompt: 'q2', score: {numeric: 2}}\n")
        ran = self.eval("open,frontier", "--json")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertEqual({text for _, text in self.server.asked}, {"q2"})
        found = json.loads(ran.stdout)
        self.assertEqual([tier["left_out"] for tier in found["tiers"]], [1, 1])
        self.assertIn("restricted", found["cases"][0]["tiers"]["open"]["why"])

    def test_what_the_policy_confines_is_not_sent_either(self):
        text = (self.folder / "policy.yaml").read_text()
        (self.folder / "policy.yaml").write_text(
            text + "confine: [{name: health stays open, when: {data_class: [health]}, to: [open]}]\n")
        self.write_golden("judge: {tier: frontier}\ncases:\n"
                          "  - {id: a, prompt: 'q1', data_class: health,"
                          " score: {judge: {rubric: polite}}}\n")
        ran = self.eval("open,frontier", "--max-usd", "1", "--json")
        self.assertEqual(ran.returncode, 1)
        self.assertEqual({model for model, _ in self.server.asked}, {"sim-reasoner"})
        self.assertEqual(json.loads(ran.stdout)["tiers"][0]["errors"], {"judge_not_allowed": 1})

    def test_a_judge_is_asked_in_both_orders_within_its_budget(self):
        self.write_golden("judge: {tier: frontier}\ncases:\n"
                          "  - {id: a, prompt: 'q1', score: {judge: {compare: be right}}}\n"
                          "  - {id: b, prompt: 'q2', score: {judge: {rubric: be right}}}\n")
        self.assertIn("--max-usd", self.eval("open,frontier").stderr)
        self.assertEqual(self.server.asked, [])
        self.server.wrong["sim-reasoner"] = {1}
        self.server.judge = lambda text: (
            "GRADE: 4" if "<rubric" in text and "<A-" not in text
            else "VERDICT: " + ("B" if text.index("no idea") < text.index("It is 1") else "A"))
        ran = self.eval("open,frontier", "--max-usd", "1", "--json")
        found = json.loads(ran.stdout, parse_float=Decimal)
        self.assertEqual(found["cases"][0]["tiers"]["frontier"]["score"], 1)
        self.assertEqual(found["cases"][0]["tiers"]["open"]["score"], Decimal("0.5"))
        self.assertEqual(found["cases"][1]["tiers"]["open"]["score"], Decimal("0.75"))
        self.assertEqual(found["judge_calls"], 4)
        self.assertGreater(found["judge_cost_usd"], 0)
        self.server.judge = lambda text: "GRADE: 4" if "<A-" not in text else "VERDICT: A"
        found = json.loads(self.eval("open,frontier", "--max-usd", "1", "--json").stdout)
        self.assertEqual(found["cases"][0]["tiers"]["frontier"]["score"], 0.5)  # only its place
        poor = self.eval("open,frontier", "--max-usd", "0.000001", "--json")
        self.assertEqual(poor.returncode, 1)
        self.assertIn("over_budget", json.loads(poor.stdout)["tiers"][0]["errors"])

    def test_failed_answers_fail_the_run_by_kind(self):
        self.write_numbers(3)
        self.server.say = lambda model, number: 500 if number == 1 else str(number)
        ran = self.eval("open", "--json")
        self.assertEqual(ran.returncode, 1)
        tier = json.loads(ran.stdout)["tiers"][0]
        self.assertEqual((tier["measured"], tier["right"], tier["errors"]),
                         (2, 2, {"upstream_failed": 1}))

    def test_a_slow_answer_ends_at_its_case_s_deadline(self):
        self.write_golden("cases: [{id: a, prompt: q1, deadline_ms: 200, score: {numeric: 1}}]\n")
        answered = threading.Event()
        self.addCleanup(answered.set)
        self.server.say = lambda model, number: answered.wait(harness.WAIT_S) and "1"
        ran = self.eval("open", "--json")
        self.assertEqual(json.loads(ran.stdout)["tiers"][0]["errors"], {"timed_out": 1})

    def test_an_interrupt_books_what_was_asked_and_saves_nothing(self):
        self.write_numbers(50)
        answered, asked = threading.Event(), threading.Event()
        self.addCleanup(answered.set)

        waiting = []

        def say(model, number):
            if number > 0:
                waiting.append(number)
                if len(waiting) == 2:  # as many as are asked at a time: no more will come
                    asked.set()
                answered.wait(harness.WAIT_S)
            return str(number)
        self.server.say = say
        result = self.folder / "golden.result.json"
        child = subprocess.Popen(
            [harness.BUILD / "sluice", "eval", "--config", self.folder / "config.yaml", "--golden",
             self.folder / "golden.yaml", "--tiers", "open", "--save", result, "--parallel", "2"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.assertTrue(asked.wait(harness.WAIT_S))
        child.send_signal(signal.SIGINT)
        errors = child.communicate(timeout=harness.WAIT_S)[1]
        self.assertEqual(child.returncode, 1)
        self.assertIn("stopped: what was answered is booked, nothing is saved", errors)
        self.assertFalse(result.exists())
        self.assertEqual((len(self.server.asked), len(self.rows())), (3, 3))

    def test_faults_say_where_and_nothing_is_asked(self):
        self.write_golden("cases:\n  - {id: a, prompt: x, score: {regex: '(?=a)'}}\n")
        ran = self.eval("open")
        self.assertEqual(ran.returncode, 1)
        self.assertIn("golden.yaml:4:39: cases[0].score.regex: only (?: is known", ran.stderr)
        self.write_numbers(1)
        self.assertIn("no tier 'opne', it has open, frontier", self.eval("opne").stderr)
        self.write_golden("cases:\n  - {id: a, prompt: q1, score: {code_run: "
                          "{command: [sh, a.sh], file: a.sh}}}\n")
        self.assertIn("--run-code", self.eval("open").stderr)
        self.assertEqual(self.server.asked, [])

    def test_the_gate_wants_a_result_of_what_is_configured(self):
        self.write_numbers()
        self.write_config(GOLDEN)
        for command in (self.check(), self.sluice("serve", "--config",
                                                  self.folder / "config.yaml")):
            self.assertEqual(command.returncode, 1)
            self.assertIn("there is no result yet; measure it: sluice eval --config", command.stderr)
        self.assertEqual(self.save().returncode, 0)
        self.assertEqual(self.check().returncode, 0, self.check().stderr)
        text = (self.folder / "golden.result.json").read_text()
        self.assertNotIn("q1?", text)
        self.assertNotIn("It is", text)
        self.write_config(GOLDEN, model="sim-frontier")
        self.assertRegex(self.check().stderr,
                         "tier 'open' is stale: measured was simulated-openai/sim-reasoner at "
                         "http://[0-9.:]+/v1, configured is simulated-openai/sim-frontier at ")
        self.write_config(GOLDEN)
        self.write_numbers(49)
        self.assertIn("another version of", self.check().stderr)

    def test_a_worse_model_is_refused_however_often_it_is_measured(self):
        self.write_numbers()
        self.write_config(GOLDEN)
        self.assertEqual(self.save().returncode, 0)
        self.write_config(GOLDEN, model="sim-frontier")  # "the same, but quantised"
        self.server.wrong["sim-frontier"] = {7, 8}
        for _ in range(3):
            ran = self.save()
            self.assertEqual(ran.returncode, 1, ran.stderr)
            self.assertIn("tier 'open' loses 4.0 % against the version before", ran.stderr)
            self.assertIn("to accept the loss all the same, remove", self.check().stderr)
        self.server.wrong["sim-frontier"] = set()
        self.assertEqual(self.save().returncode, 0)
        self.assertEqual(self.check().returncode, 0)

    def test_a_reload_is_refused_that_sends_cases_to_a_worse_tier(self):
        self.write_numbers()
        self.write_config(GOLDEN)
        self.write_policy("frontier")
        self.server.wrong["sim-reasoner"] = {1, 2}
        self.assertEqual(self.save().returncode, 0)
        gateway = self.gateway()
        self.write_policy("open")
        gateway.child.send_signal(signal.SIGHUP)
        line = gateway.wait_for(lambda one: one["event"] == "reload_refused")
        self.assertIn("the policy as a whole loses 4.0 % against the version before",
                      line["faults"])
        answer = harness.send(gateway.address, "POST", "/v1/chat/completions", json.dumps(
            {"model": "auto", "messages": [{"role": "user", "content": "q1"}]}),
            {"Authorization": "Bearer " + harness.KEY, "Content-Type": "application/json"})
        self.assertEqual(answer.headers["x-sluice-tier"], "frontier")  # the old one serves on
        gateway.stop()
        for command in (self.check(), self.sluice("serve", "--config",
                                                  self.folder / "config.yaml")):
            self.assertEqual(command.returncode, 1)
            self.assertIn(line["faults"], command.stderr)  # nor does a stop and start let it in

    def test_a_canary_and_a_rollback_are_held_to_the_golden_set_and_a_shadow_is_not(self):
        self.write_numbers()
        self.write_policy("open")
        self.gateway().stop()  # so that this version is kept
        self.write_config(GOLDEN)
        self.write_policy("frontier")
        self.server.wrong["sim-reasoner"] = {1, 2}
        self.assertEqual(self.save().returncode, 0)
        gateway = self.gateway()
        ran = self.sluice("policy", "rollback", "--config", self.folder / "config.yaml")
        self.assertEqual(ran.returncode, 1)
        self.assertIn("the policy as a whole loses 4.0 %", ran.stderr)
        (self.folder / "next.yaml").write_text(POLICY.format(first="open"))
        config = self.folder / "config.yaml"
        plain = config.read_text()

        def candidate(kind):
            config.write_text(plain.replace(
                "policy: policy.yaml",
                f"policy: {{path: policy.yaml, candidate: {{path: next.yaml, {kind}}}}}"))
        candidate("canary_percent: 1")
        line = gateway.wait_for(lambda one: one["event"] == "reload_refused")
        self.assertIn("next.yaml: the golden set refuses this", line["faults"])
        candidate("shadow: true")
        gateway.wait_for(lambda one: one.get("candidate_version"))
        gateway.stop()

    def test_a_new_model_serves_once_it_has_been_measured(self):
        self.write_numbers()
        self.write_config(GOLDEN)
        self.assertEqual(self.save().returncode, 0)
        gateway = self.gateway()
        self.write_config(GOLDEN, model="sim-frontier")
        line = gateway.wait_for(lambda one: one["event"] == "reload_refused")
        self.assertIn("is stale", line["faults"])
        self.assertIn("--tiers open,frontier --save", line["faults"])
        self.assertEqual(self.save().returncode, 0)
        gateway.wait_for(lambda one: one["event"] == "reloaded")
        gateway.stop()

    def test_a_rate_limit_is_waited_for(self):
        self.write_numbers(2)
        seen = []

        def say(model, number):
            seen.append(number)
            return 429 if seen.count(number) == 1 else str(number)
        self.server.say = say
        ran = self.eval("open", "--json")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertEqual(json.loads(ran.stdout)["tiers"][0]["right"], 2)
        self.assertEqual(sorted(seen), [0, 0, 1, 1])

    def test_code_runs_only_where_it_is_allowed_and_apart(self):
        self.write_golden("cases:\n  - id: a\n    prompt: q1\n    score: {code_run: {command: [sh, a.sh], "
                          "file: a.sh, append: 'test $(answer) = 1 && echo {{passed}}'}}\n"
                          "  - id: leaves\n    prompt: q2\n    score: {code_run: {command: [sh, a.sh], "
                          "file: a.sh, append: 'test $(answer) = 1 && echo {{passed}}'}}\n")
        self.server.say = lambda model, number: ("```sh\nanswer() { echo 1; }\n"
                                                 + "exit 0\n" * (number == 2) + "```")
        ran = self.eval("open", "--run-code", "--json")
        if "does not allow to run it apart" in ran.stderr:
            self.assertEqual((ran.returncode, self.server.asked), (1, []))
            return
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertEqual(json.loads(ran.stdout)["tiers"][0]["right"], 1)

    @unittest.skipUnless(harness.model_file(), "the starter model is not there")
    def test_the_engine_is_measured_and_its_model_is_in_the_identity(self):
        text = (self.folder / "config.yaml").read_text().replace(
            "upstreams:\n", harness.ENGINE.format(model=harness.model_file())
            + "upstreams:\n  - {name: local-a, vendor: engine}\n")
        (self.folder / "config.yaml").write_text(text)
        text = (self.folder / "policy.yaml").read_text()
        (self.folder / "policy.yaml").write_text(
            text.replace("tiers:\n", "tiers:\n  local: [local-a]\n"))
        self.write_golden("cases:\n  - {id: a, prompt: 'q2: What is the capital of France?', "
                          "data_class: restricted, score: {regex: Paris}}\n")
        ran = self.eval("local,open", "--json")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        local, far = json.loads(ran.stdout)["tiers"]
        self.assertEqual((local["right"], far["left_out"], self.server.asked), (1, 1, []))
        self.assertRegex(local["identity"], "^engine/.* sha256:[0-9a-f]{16} kv:bf16$")
        self.assertGreater(local["median_ms"], 0)


if __name__ == "__main__":
    harness.main()
