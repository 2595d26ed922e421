"""Versions of the policy in a running gateway: noted with their owner, rolled back at once and
across a restart, tried on a share of the requests or in the shadow."""
import json
import subprocess
import unittest
from decimal import Decimal

import harness

POLICY = """version: 1
owner: {owner}
tiers:
  open: [open-sim, open-spare]
  frontier: [frontier-sim]
{more}default: {{bands: [{{tier: {tier}}}]}}
"""
REFUSE = "rules: [{name: none, when: {tags: {app: x}}, refuse: not for x}]\n"


class Activation(unittest.TestCase):
    def setUp(self):
        self.stack = self.enterContext(harness.Stack())
        self.write("policy.yaml", "open", "ann")
        self.stack.gateway.wait_for(lambda line: line.get("why") == "file change")
        self.first = self.version()

    def write(self, name, tier, owner="bob", more=""):
        text = POLICY.format(tier=tier, owner=owner, more=more)
        (self.stack.folder / name).write_text(text)

    def ask(self, **headers):
        named = {f"x-sluice-{name.replace('_', '-')}": value for name, value in headers.items()}
        return self.stack.chat(model="auto", headers=named)

    def version(self):
        return self.ask().headers["x-sluice-policy-version"]

    def policy(self, *words, code=0):
        ran = subprocess.run(
            [harness.BUILD / "sluice", "policy", words[0], "--config",
             self.stack.folder / "config.yaml", *words[1:]],
            capture_output=True, text=True, timeout=harness.WAIT_S)
        self.assertEqual(ran.returncode, code, ran.stderr + ran.stdout)
        return ran.stdout if code == 0 else ran.stderr

    def until(self, wanted, what):
        """The gateway looks at its files once a second."""
        harness.until(wanted, what)

    def listed(self):
        return [json.loads(line) for line in self.policy("list", "--json").splitlines()]

    def configure(self, section):
        path = self.stack.folder / "config.yaml"
        path.write_text(self.stack.config_text.replace("policy: policy.yaml", "policy: " + section))

    def test_a_bad_policy_is_rolled_back_and_stays_so_until_it_is_mended(self):
        self.write("policy.yaml", "frontier")
        self.until(lambda: self.version() != self.first, "the new policy never came")
        second = self.version()
        self.assertIn("no policy of version", self.policy("rollback", "--to", "zz", code=1))
        said = self.policy("rollback", "--by", "eve", "--why", "too dear")
        self.assertIn(self.first, said)
        self.until(lambda: self.version() == self.first, "the rollback never came")
        self.assertEqual(self.ask().headers["x-sluice-tier"], "open")
        self.stack.gateway.stop()
        self.stack.start()
        self.assertEqual(self.version(), self.first)
        shown = self.stack.get("/admin/policy", harness.ADMIN_KEY).json()
        self.assertEqual(shown["live"]["version"], self.first)
        self.assertEqual(shown["live"]["owner"], "ann")
        self.assertEqual((shown["rolled_back"]["by"], shown["rolled_back"]["from"]), ("eve", second))
        self.assertIsNone(shown["candidate"])
        listed = self.listed()
        self.assertEqual([one["version"] for one in listed[-3:]],
                         [self.first, second, self.first])
        self.assertEqual([one["owner"] for one in listed[-3:]], ["ann", "bob", "ann"])
        self.assertEqual(listed[-1]["why"], "rollback by eve: too dear")
        self.assertTrue(listed[-1]["now"])
        self.assertIn("owner: bob", self.policy("show", second[:6]))
        self.assertIn("--to", self.policy("rollback", code=1))
        # A merged repair ends it by itself.
        self.write("policy.yaml", "frontier", "carl")
        self.until(lambda: self.version() not in (self.first, second), "the repair never came")
        self.assertEqual(self.ask().headers["x-sluice-tier"], "frontier")
        self.assertIn("live already", self.policy("resume", code=1))

    def test_a_gateway_starts_over_a_policy_with_faults_once_it_is_rolled_back(self):
        self.stack.gateway.stop()
        self.write("policy.yaml", "nowhere")
        ran = subprocess.run([harness.BUILD / "sluice", "serve", "--config",
                              self.stack.folder / "config.yaml", "--listen", "127.0.0.1:0"],
                             capture_output=True, text=True, timeout=harness.WAIT_S)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("policy.yaml:6:", ran.stderr)
        said = self.policy("rollback", "--by", "eve")
        self.assertIn("which has faults", said)
        self.stack.start()
        self.assertEqual(self.version(), self.first)
        self.write("policy.yaml", "frontier")
        self.until(lambda: self.ask().headers["x-sluice-tier"] == "frontier", "it never came")

    def test_what_is_damaged_of_the_kept_versions_is_shown(self):
        def shown():
            told = self.stack.get("/admin/policy", harness.ADMIN_KEY).json()["damaged"]
            metrics = self.stack.get("/metrics").body.decode()
            return told, f"\nsluice_policy_damaged_files {len(told)}\n" in metrics
        self.assertEqual(shown(), ([], True))
        kept = self.stack.folder / "ledger.db.policies"
        (kept / "0123456789ab.json").write_text('{"version":"0123456789ab","files":[{"path":"p"')
        (kept / "rollback.json").write_text('{"from":')
        self.stack.gateway.wait_for(lambda line: line["event"] == "reload_refused")
        self.until(lambda: len(shown()[0]) == 2, "the damage was never shown")
        told, counted = shown()
        self.assertTrue(counted)
        self.assertIn("rollback.json", told[0])
        self.assertIn("0123456789ab.json", told[1])
        ran = subprocess.run([harness.BUILD / "sluice", "policy", "list", "--config",
                              self.stack.folder / "config.yaml"],
                             capture_output=True, text=True, timeout=harness.WAIT_S, check=True)
        self.assertEqual(ran.stderr.splitlines(), told)
        self.stack.gateway.stop()
        self.stack.start()
        self.assertEqual(shown(), (told, True))

    def test_a_rollback_is_ended_by_resume(self):
        self.write("policy.yaml", "frontier")
        self.until(lambda: self.version() != self.first, "the new policy never came")
        second = self.version()
        self.policy("rollback", "--to", self.first)
        self.until(lambda: self.version() == self.first, "the rollback never came")
        file = self.stack.folder / "policy.yaml"
        good = file.read_text()
        file.write_text(good.replace("open-sim", "open-smi"))
        self.assertIn("open-smi", self.policy("resume", code=1))
        file.write_text(good)
        self.assertIn(f"policy {second} of", self.policy("resume"))
        self.until(lambda: self.version() == second, "it never went on")

    def test_a_canary_decides_its_share_and_sessions_stay(self):
        self.write("next.yaml", "frontier")
        self.configure("{path: policy.yaml, candidate: {path: next.yaml, canary_percent: 50}}")
        self.stack.gateway.wait_for(lambda line: line.get("candidate_version"))
        sides = {}
        for session in map(str, range(40)):
            answers = [self.ask(session_id=session) for _ in range(2)]
            seen = {(one.headers["x-sluice-policy-version"] == self.first,
                     one.headers["x-sluice-tier"]) for one in answers}
            self.assertEqual(len(seen), 1)
            sides.setdefault(seen.pop(), []).append(session)
        self.assertEqual(set(sides), {(True, "open"), (False, "frontier")})
        self.assertGreater(min(map(len, sides.values())), 5)
        self.assertIn("canary 50 %", self.policy("list"))
        metrics = self.stack.get("/metrics").body.decode()
        self.assertIn('sluice_policy_info{owner="bob",role="canary"', metrics)
        self.assertIn("sluice_policy_requests_total{version=", metrics)

    def test_a_candidate_in_the_shadow_calls_nobody_and_its_differences_are_counted(self):
        self.write("next.yaml", "frontier", more=REFUSE)
        self.configure("{path: policy.yaml, candidate: {path: next.yaml, shadow: true}}")
        line = self.stack.gateway.wait_for(lambda line: line.get("candidate_version"))
        candidate = line["candidate_version"]
        spent = Decimal(0)
        for i in range(10):
            answer = self.ask(tags="app=x" if i < 4 else "app=y", explain="1")
            self.assertEqual(answer.headers["x-sluice-tier"], "open")
            self.assertEqual(answer.headers["x-sluice-policy-version"], self.first)
            spent += Decimal(answer.headers["x-sluice-cost-usd"])
            self.assertIn(f"candidate policy {candidate} would choose " +
                          ("nothing: not for x" if i < 4 else "tier frontier"),
                          answer.headers["x-sluice-explain"])
        asked = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "hi"}]})
        for tags, word in (("app=y", "tier"), ("app=x", "refused")):
            ran = subprocess.run(
                [harness.BUILD / "sluice", "explain", "--json", "--tags", tags, "--config",
                 self.stack.folder / "config.yaml"],
                input=asked, capture_output=True, text=True, timeout=harness.WAIT_S, check=True)
            said = json.loads(ran.stdout)["candidate"]
            self.assertEqual(said["what"], "shadow")
            self.assertEqual(said["policy_version"], candidate)
            self.assertIn(word, said)
        self.assertIn("was on trial and never live",
                      self.policy("rollback", "--to", candidate, code=1))
        metrics = self.stack.get("/metrics").body.decode()
        for to, count in (("frontier", 6), ("refused", 4)):
            self.assertIn('sluice_policy_shadow_decisions_total{from="open",to="%s",version="%s"} %d'
                          % (to, candidate, count), metrics)
        self.stack.gateway.stop()
        self.assertFalse([row for row in self.stack.rows() if row["tier"] == "frontier"])
        lines = [json.loads(text, parse_float=Decimal)
                 for text in self.policy("shadow", "--json").splitlines()]
        self.assertEqual([(one["to"], one["requests"]) for one in lines],
                         [("frontier", 6), ("refused", 4)])
        self.assertEqual(sum(one["cost_usd"] for one in lines), spent)
        self.assertGreater(lines[0]["would_cost_usd"], lines[0]["cost_usd"])
        self.assertEqual(lines[1]["would_cost_usd"], 0)
        self.assertIn("10 of 10 requests would change their tier", self.policy("shadow"))
        self.stack.start()

    def test_a_candidate_with_a_fault_changes_nothing(self):
        self.write("next.yaml", "nowhere")
        self.configure("{path: policy.yaml, candidate: {path: next.yaml, shadow: true}}")
        line = self.stack.gateway.wait_for(lambda line: line["event"] == "reload_refused")
        self.assertIn("next.yaml:6:", line["faults"])
        self.assertEqual(self.version(), self.first)


if __name__ == "__main__":
    harness.main()
