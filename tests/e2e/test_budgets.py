"""Money budgets: reserved before a call, settled to the real cost, refused in the client's dialect,
seen by rules and metrics, and still spent after a restart; and the pace that a day is held to."""
import json
import re
import subprocess
import threading
import unittest
from decimal import Decimal

import harness

BUDGETS = """budgets:
  limits:
    - {team: alpha, per: day, usd: "0.01"}
    - {team: "*", per: month, usd: "1000"}
"""
POLICY = """version: 1
tiers:
  open: [open-sim, open-spare]
  frontier: [frontier-sim]
rules:
  - {name: careful, when: {budget_pressure: {min: 0.4}}, use: auto, max_tokens: 1500}
default: {bands: [{tier: open}]}
"""
ASK = "hello [[sim tokens=1000 input_tokens=10]]"


class Budgets(unittest.TestCase):
    def setUp(self):
        harness.within_one_day(self)
        self.stack = self.enterContext(harness.Stack(edit=lambda text: text + BUDGETS))
        (self.stack.folder / "policy.yaml").write_text(POLICY)
        self.stack.gateway.stop()
        self.stack.start()

    def gauge(self, name, scope):
        text = self.stack.get("/metrics").body.decode()
        found = re.search(rf'^sluice_budget_{name}_usd{{scope="{scope}"}} (\S+)$', text, re.M)
        return float(found.group(1)) if found else None

    def spend_all(self):
        """Asks until the day's budget is spent; gives the dollars spent and the rules seen."""
        spent, rules = Decimal(0), []
        for _ in range(20):
            answer = self.stack.chat(ASK, model="auto", max_tokens=1000)
            if answer.status != 200:
                return spent, rules, answer
            spent += Decimal(answer.headers["x-sluice-cost-usd"])
            rules.append(answer.headers["x-sluice-rule"])
        self.fail("the budget never ran out")

    def test_a_spent_budget_refuses_in_the_clients_dialect_and_outlives_a_restart(self):
        spent, rules, refused = self.spend_all()
        self.assertLessEqual(spent, Decimal("0.01"))
        self.assertGreater(spent, Decimal("0.007"))
        self.assertEqual(rules[0], "default")
        self.assertEqual(rules[-1], "careful")
        self.check_refused(refused)
        told = self.stack.get("/admin/policy", harness.ADMIN_KEY).json()
        shown = {one["scope"]: one for one in told["budgets"]}
        self.assertEqual(shown["team:alpha:day"]["spent_usd"], spent)
        self.assertEqual(shown["team:alpha:day"]["limit_usd"], Decimal("0.01"))
        self.assertTrue(shown["team:alpha:day"]["resets"].endswith("T00:00:00Z"))
        self.assertAlmostEqual(self.gauge("spent", "team:alpha:day"), float(spent), 12)
        self.assertEqual(self.gauge("limit", "team:alpha:day"), 0.01)
        self.assertEqual(self.gauge("held", "team:alpha:day"), 0)
        self.assertEqual(self.gauge("limit", "team:beta:month"), 1000)
        self.assertAlmostEqual(self.gauge("spent", "team:alpha:month"), float(spent), 12)
        # Others, and what is sure to cost less than is left, go on.
        self.assertEqual(self.stack.chat(ASK, key=harness.OTHER_KEY).status, 200)
        self.assertEqual(self.stack.chat("hi", model="auto", max_tokens=5).status, 200)
        self.assertEqual(self.explained("alpha"), "careful")
        self.assertEqual(self.explained("beta"), "default")
        self.stack.gateway.stop()
        told = sum(row["cost_pico_usd"] for row in self.stack.rows() if row["team"] == "alpha")
        self.stack.start()
        self.check_refused(self.stack.chat(ASK, model="auto", max_tokens=1000))
        self.assertAlmostEqual(self.gauge("spent", "team:alpha:day"), told / 1e12, 12)

    def explained(self, name):
        """The rule that `sluice explain` says would decide for this team, from the ledger."""
        ran = subprocess.run(
            [harness.BUILD / "sluice", "explain", "--json", "--team", name, "--key", name,
             "--config", self.stack.folder / "config.yaml"],
            input=json.dumps({"model": "auto", "max_tokens": 5,
                              "messages": [{"role": "user", "content": "hi"}]}),
            capture_output=True, text=True, timeout=harness.WAIT_S, check=True)
        return json.loads(ran.stdout)["rule"]

    def check_refused(self, answer):
        self.assertEqual(answer.status, 429, answer.body)
        error = answer.json()["error"]
        self.assertEqual(error["type"], "insufficient_quota")
        self.assertEqual(error["code"], "insufficient_quota")
        self.assertIn("budget of team 'alpha' a day", error["message"])
        self.assertIn("it resets at 20", error["message"])
        self.assertEqual(answer.headers["x-should-retry"], "false")
        self.assertLessEqual(int(answer.headers["retry-after"]), 86_400)
        body = json.dumps({"model": "auto", "max_tokens": 1000,
                           "messages": [{"role": "user", "content": ASK}]})
        answer = self.stack.post(body, path="/v1/messages")
        self.assertEqual(answer.status, 429)
        self.assertEqual(answer.json()["type"], "error")
        self.assertEqual(answer.json()["error"]["type"], "rate_limit_error")

    def test_failed_and_cut_attempts_give_back_what_they_held(self):
        self.stack.sim.plan("fault=500", count=8, model="sim-reasoner")
        self.stack.sim.plan("fault=500", count=8, model="sim-frontier")
        for _ in range(4):
            self.assertGreaterEqual(
                self.stack.chat(ASK, model="open", max_tokens=4000).status, 500)
        self.assertEqual(self.gauge("held", "team:alpha:day"), 0)
        self.assertEqual(self.gauge("spent", "team:alpha:day"), 0)

    def test_many_at_once_never_spend_more_than_there_is(self):
        answers = []

        def ask(number):
            for _ in range(12):
                answers.append(self.stack.chat(ASK, model="auto", max_tokens=1000,
                                               stream=number % 2 == 0))
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(harness.WAIT_S)
        self.assertEqual({answer.status for answer in answers}, {200, 429})
        self.assertEqual(self.gauge("held", "team:alpha:day"), 0)
        self.stack.gateway.stop()
        spent = sum(row["cost_pico_usd"] for row in self.stack.rows())
        self.assertLessEqual(spent, 10_000_000_000)
        self.assertGreater(spent, 6_000_000_000)
        self.stack.start()

    def test_a_new_budget_counts_what_was_spent_before_it_was_written(self):
        self.assertEqual(self.stack.chat(ASK, key=harness.OTHER_KEY, max_tokens=1000).status, 200)
        config = self.stack.folder / "config.yaml"
        config.write_text(config.read_text() +
                          '    - {key: beta, per: day, usd: "0.0000001"}\n')
        self.stack.gateway.wait_for(lambda line: line.get("why") == "file change")
        answer = self.stack.chat(ASK, key=harness.OTHER_KEY, max_tokens=1)
        self.assertEqual(answer.status, 429, answer.body)
        self.assertGreater(self.gauge("spent", "key:beta:day"), 0.002)


class Pace(unittest.TestCase):
    POLICY = """version: 1
tiers:
  open: [open-sim, open-spare]
  frontier: [frontier-sim]
rules:
  - {name: fixed, when: {tags: {app: fixed}}, use: frontier}
default: {bands: [{below: 0.02, tier: open}, {tier: frontier}]}
pace: {tier_share: {frontier: 0.01}}
"""

    def ask(self, **headers):
        answer = self.stack.chat("Is this right?", model="auto", headers=headers)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.headers

    def test_thresholds_move_for_the_days_share_and_stay_where_they_were_at_a_restart(self):
        harness.within_one_day(self)
        self.stack = self.enterContext(harness.Stack())
        (self.stack.folder / "policy.yaml").write_text(self.POLICY)
        self.stack.gateway.stop()
        self.stack.start()
        self.assertEqual(self.ask()["x-sluice-tier"], "frontier")
        asked = 1
        while self.ask()["x-sluice-tier"] == "frontier":
            asked += 1
            self.assertLess(asked, 20_000, "the share was never held")
        reasoning = self.ask(**{"x-sluice-explain": "1"})["x-sluice-explain"]
        self.assertIn("for the day's pace", reasoning)
        fixed = self.ask(**{"x-sluice-tags": "app=fixed"})
        self.assertEqual(fixed["x-sluice-tier"], "frontier")
        shift = self.shift()
        self.assertGreater(shift, 0)
        self.assertLessEqual(shift, 0.9)
        self.stack.gateway.stop()
        self.stack.start()
        self.assertAlmostEqual(self.shift(), shift, 1)
        self.assertEqual(self.ask()["x-sluice-tier"], "open")

    def shift(self):
        text = self.stack.get("/metrics").body.decode()
        return float(re.search(r"^sluice_pace_shift (\S+)$", text, re.M).group(1))


if __name__ == "__main__":
    harness.main()
