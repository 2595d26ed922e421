"""Shadow answers: the next tier is asked afterwards and both answers are judged with their places
swapped; booked exactly and apart, within a day's dollars, and never for data that must stay."""
import http.server
import json
import pathlib
import sqlite3
import tempfile
import threading
import unittest
from decimal import Decimal

import harness

CONFIG = """version: 1
ledger: {{url: "sqlite:ledger.db"}}
learning: {{state: learned.state}}
budgets: {{limits: [{{all: true, per: day, usd: "100"}}, {{org: acme, per: day, usd: "50"}}]}}
policy: policy.yaml
keys:
  - {{id: alpha, org: acme, team: alpha, sha256: {key}}}
  - {{id: admin, team: ops, admin: true, sha256: {admin}}}
upstreams:
  - {{name: open-a, vendor: simulated-openai, model: sim-reasoner, base_url: {url}}}
  - {{name: middle-a, vendor: simulated-openai, model: sim-reasoner, base_url: {url}}}
  - {{name: frontier-a, vendor: simulated-openai, model: sim-frontier, base_url: {url}}}
"""
POLICY = """version: 1
tiers:
  open: [open-a]
{middle}  frontier: [frontier-a]
learning: {{shadow: {{judge: frontier-a, usd_per_day: "{usd}"}}}}
{rules}default: {{bands: [{{tier: open}}], shadow: 100}}
confine:
  - {{name: stays, when: {{tags: {{stays: "1"}}}}, to: [open, frontier]}}
"""
MIDDLE = "  middle: [middle-a]\n"
RULES = """rules:
  - {name: near, when: {tags: {near: "1"}}, order: [open, middle], shadow: 100}
  - {name: far, when: {tags: {near: "0"}}, order: [open, frontier], shadow: 100}
"""


class Model(http.server.BaseHTTPRequestHandler):
    """The frontier's answers are `deep`, the others `shallow`; the judge prefers the deep one."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        system = asked["messages"][0]["content"]
        text = asked["messages"][-1]["content"]
        said = "deep" if asked["model"] == "sim-frontier" else "shallow"
        if said == "deep":
            self.server.may_answer.wait(harness.WAIT_S)
        if "You judge" in system:
            self.server.judged.append(text)
            said = "VERDICT: A" if text.rindex("deep") < text.rindex("shallow") else "VERDICT: B"
            said = self.server.verdict or said
        body = {"id": "x", "object": "chat.completion", "created": 1, "model": asked["model"],
                "choices": [{"index": 0, "finish_reason": "stop",
                             "message": {"role": "assistant", "content": said}}],
                "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}}
        sent = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_):
        pass


class Shadow(unittest.TestCase):
    def setUp(self):
        harness.within_one_day(self)
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
        self.server.daemon_threads = True
        self.server.judged = []
        self.server.verdict = ""
        self.server.may_answer = threading.Event()
        self.server.may_answer.set()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        (self.folder / "config.yaml").write_text(CONFIG.format(
            key=harness.sha256(harness.KEY), admin=harness.sha256(harness.ADMIN_KEY),
            url=f"http://127.0.0.1:{self.server.server_port}/v1"))

    def start(self, usd="5", middle="", rules=""):
        text = POLICY.format(usd=usd, middle=middle, rules=rules)
        (self.folder / "policy.yaml").write_text(text)
        self.gateway = harness.Program([harness.BUILD / "sluice", "serve", "--config",
                                        self.folder / "config.yaml", "--listen", "127.0.0.1:0"])
        self.addCleanup(lambda: self.gateway.child.poll() is None and self.gateway.kill())

    def ask(self, headers=None, **fields):
        body = {"model": "auto", "messages": [{"role": "user", "content": "why is it so?"}],
                "max_tokens": 50, **fields}
        answer = harness.send(self.gateway.address, "POST", "/v1/chat/completions",
                              json.dumps(body), {"authorization": "Bearer " + harness.KEY,
                                                 **(headers or {})})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.headers["x-sluice-tier"], "open")
        return answer

    def admin(self, name):
        return harness.send(self.gateway.address, "GET", "/admin/" + name,
                            headers={"authorization": "Bearer " + harness.ADMIN_KEY}).json()

    def report(self):
        return self.admin("router")

    def wait(self, name, count):
        def there():
            shadow = self.report()["shadow"]
            return shadow if shadow[name] >= count else None
        return harness.until(there, f"{name} never came to {count}")

    def rows(self, sql):
        database = sqlite3.connect(self.folder / "ledger.db")
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()

    def test_both_answers_are_judged_in_both_orders_and_booked_apart(self):
        self.start()
        answer = self.ask()
        self.wait("judged", 1)
        self.assertEqual(len(self.server.judged), 2)
        plain, swapped = self.server.judged
        self.assertLess(plain.rindex("shallow"), plain.rindex("deep"))
        self.assertLess(swapped.rindex("deep"), swapped.rindex("shallow"))
        report = self.report()
        self.assertEqual(report["challenger"]["labels"], 1)
        self.assertEqual(report["challenger_less_base"]["all"]["labels"], 1)
        budgets = {one["scope"]: one for one in self.admin("policy")["budgets"]}
        self.assertEqual(budgets["all:day"]["held_usd"], 0)
        spent = budgets["all:day"]["spent_usd"]
        self.assertEqual(budgets["org:acme:day"]["spent_usd"], spent)
        self.gateway.stop()
        self.assertEqual(self.rows("SELECT DISTINCT org FROM attempts"), [("acme",)])
        rows = self.rows("SELECT team, rule, answered, COUNT(*), SUM(cost_pico_usd), "
                         "SUM(baseline_pico_usd) FROM attempts GROUP BY team ORDER BY team")
        self.assertEqual([row[:4] for row in rows],
                         [("alpha", "default", 1, 1), ("shadow", "shadow", 0, 3)])
        each = self.rows("SELECT cost_pico_usd FROM attempts WHERE team = 'shadow'")
        self.assertEqual(rows[1][4], sum(cost for cost, in each))
        self.assertGreater(rows[1][4], 0)
        self.assertEqual(spent, Decimal(rows[0][4] + rows[1][4]) / 10**12)
        self.assertEqual(rows[1][5], 0)
        outcome, = self.rows("SELECT request_id, team, kind, score, learned FROM outcomes")
        self.assertEqual(outcome,
                         (answer.headers["x-request-id"], "alpha", "shadow", 0.0, 1))

    def test_a_days_dollars_outlive_the_process(self):
        self.start()
        self.ask()
        used = self.wait("judged", 1)["used_today_usd"]
        self.assertGreater(used, 0)
        self.gateway.stop()
        self.start()
        self.assertEqual(self.report()["shadow"]["used_today_usd"], used)
        metrics = harness.send(self.gateway.address, "GET", "/metrics").body.decode()
        self.assertIn('sluice_shadow_answers_total{result="judged"} 0', metrics)

    def test_a_judge_that_wavers_makes_a_tie(self):
        self.server.verdict = "VERDICT: A"
        self.start()
        self.ask()
        shadow = self.wait("ties", 1)
        self.assertEqual(shadow["judged"], 0)

    def test_data_that_must_stay_and_calls_of_tools_are_never_shown_to_others(self):
        self.start()
        self.ask({"x-sluice-tags": "stays=1"})
        self.ask({"x-sluice-data-class": "restricted"})
        self.ask(tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}])
        self.ask()
        self.wait("judged", 1)
        self.assertEqual(self.report()["shadow"]["started"], 1)

    def test_a_tier_that_a_rule_keeps_a_request_from_does_not_judge_it(self):
        self.start(middle=MIDDLE, rules=RULES)
        self.ask({"x-sluice-tags": "near=1"})
        self.ask({"x-sluice-tags": "near=0"})
        self.wait("judged", 1)
        self.assertEqual(self.report()["shadow"]["started"], 1)

    def test_a_day_costs_no_more_than_was_said(self):
        self.start(usd="0.000001")
        self.ask()
        shadow = self.wait("dropped_money", 1)
        self.assertEqual((shadow["started"], shadow["used_today_usd"]), (0, 0))
        self.gateway.stop()
        self.assertEqual(self.rows("SELECT COUNT(*) FROM attempts WHERE team = 'shadow'"), [(0,)])

    def test_what_writing_to_a_cache_may_cost_is_reserved_too(self):
        self.start()
        text = "why is it so? " * 1000
        reserved = []
        for n, mark in enumerate(({}, {"cache_control": {"type": "ephemeral"}})):
            before = self.report()["shadow"]["used_today_usd"]
            self.server.may_answer.clear()
            body = {"model": "auto", "max_tokens": 50, "messages": [
                {"role": "user", "content": [{"type": "text", "text": text, **mark}]}]}
            answer = harness.send(self.gateway.address, "POST", "/v1/messages", json.dumps(body),
                                  {"authorization": "Bearer " + harness.KEY})
            self.assertEqual(answer.status, 200, answer.body)
            reserved.append(self.wait("started", n + 1)["used_today_usd"] - before)
            self.server.may_answer.set()
            self.wait("judged", n + 1)
        self.assertGreater(reserved[1], reserved[0])

    def test_a_gateway_that_ends_cuts_what_is_under_way(self):
        self.start()
        for _ in range(20):
            self.ask()
        self.gateway.stop()


if __name__ == "__main__":
    harness.main()
