"""The commands for people who write policies, over the real binary: check, test, simulate."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
from decimal import Decimal

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve()
EXAMPLES = ROOT / "policies/examples"


def sluice(*arguments):
    return subprocess.run([BUILD / "sluice", *map(str, arguments)], capture_output=True, text=True,
                          timeout=600)


class Simulate(unittest.TestCase):
    FILES = ("--policy", EXAMPLES / "mixed_day.policy.yaml", "--workload", EXAMPLES / "mixed_day.yaml")

    def test_the_mixed_day_is_right_to_the_cent(self):
        ran = sluice("simulate", *self.FILES, "--json")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        day = json.loads(ran.stdout, parse_float=Decimal)
        self.assertEqual(day["total_usd"], Decimal("9.44"))
        self.assertEqual(day["baseline_usd"], 100)
        self.assertEqual({tier["tier"]: tier["requests"] for tier in day["tiers"]},
                         {"local": 700, "open": 250, "frontier": 50})
        self.assertEqual(day["self_hosting"]["break_even_out_tokens_a_day"], 75_000_000)

    def test_people_read_the_same_figures(self):
        ran = sluice("simulate", *self.FILES)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        for words in ("$9.44", "$100.00", "break-even: 75000000 output tokens a day"):
            self.assertIn(words, ran.stdout)

    def test_who_stays_with_its_session_is_told_in_both_forms(self):
        with tempfile.TemporaryDirectory() as folder:
            policy, day = (pathlib.Path(folder) / name for name in ("p.yaml", "day.yaml"))
            policy.write_text("version: 1\ntiers: {local: [here], frontier: [far]}\n"
                              "default: {bands: [{below: 0.5, tier: local}, {tier: frontier}]}\n")
            day.write_text(
                "version: 1\nupstreams:\n  here: {input: '1', output: '2'}\n"
                "  far: {input: '10', output: '20', cached_input: '1'}\ngroups:\n"
                "  - {name: talks, count: 10, difficulty: 0.1, input_tokens: 10000, "
                "output_tokens: 100, session_at: far, session_cached: 9000}\n"
                "  - {name: alone, count: 3, difficulty: 0.1, input_tokens: 10000, "
                "output_tokens: 100}\n")
            ran = sluice("simulate", "--policy", policy, "--workload", day, "--json")
            self.assertEqual(ran.returncode, 0, ran.stderr)
            talks, alone = json.loads(ran.stdout)["groups"]
            self.assertEqual(talks["stayed"], 10)
            self.assertIn("stays with far (frontier)", talks["stay"])
            self.assertEqual(alone["stayed"], 0)
            self.assertNotIn("stay", alone)
            ran = sluice("simulate", "--policy", policy, "--workload", day)
            self.assertIn(f"  10 stay with their session's upstream: {talks['stay']}\n", ran.stdout)

    def test_a_missing_file_is_named(self):
        ran = sluice("simulate", "--policy", "no.yaml", "--workload", EXAMPLES / "mixed_day.yaml")
        self.assertEqual(ran.returncode, 1)
        self.assertIn("no.yaml: cannot read this file", ran.stderr)


class CheckAndTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_every_example_is_good_and_its_cases_pass(self):
        ran = sluice("check", *EXAMPLES.glob("*.policy.yaml"))
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        ran = sluice("test", *EXAMPLES.glob("*.test.yaml"))
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn(" passed, 0 failed", ran.stdout)

    def test_a_fault_of_an_extended_file_names_that_file(self):
        (self.folder / "base.yaml").write_text(
            "version: 1\ntiers: {local: [a]}\ndefault: {bands: [{tier: lcoal}]}\n")
        own = self.folder / "own.yaml"
        own.write_text("version: 1\nextends: base.yaml\n")
        ran = sluice("check", own)
        self.assertEqual(ran.returncode, 1)
        self.assertIn(f"{self.folder}/base.yaml:3:26: default.bands[0].tier: unknown tier 'lcoal', "
                      "did you mean 'local'?", ran.stderr)

    def test_a_failing_case_says_expected_got_and_why(self):
        (self.folder / "own.yaml").write_text(
            "version: 1\ntiers: {local: [a], far: [b]}\n"
            "default: {bands: [{below: 0.5, tier: local}, {tier: far}]}\n")
        cases = self.folder / "own.test.yaml"
        cases.write_text("policy: own.yaml\ncases:\n"
                         "  - {name: hard, request: {difficulty: 0.9}, expect: {tier: local}}\n")
        ran = sluice("test", cases)
        self.assertEqual(ran.returncode, 1)
        self.assertIn(f"{cases}:3: hard: tier: expected local, got far", ran.stderr)
        self.assertIn("why: difficulty 0.90 is at least 0.5: tier far", ran.stderr)
        self.assertIn("0 passed, 1 failed", ran.stdout)
        said = json.loads(sluice("test", cases, "--json").stdout)
        self.assertFalse(said["passed"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
